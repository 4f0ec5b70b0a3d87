"""
C{xmppctl cert check}: what clients and other servers wouldn't like about our certificates.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from cryptography import x509

from xmppd.config import Configuration
from xmppd.ctl.certs import servicesOf
from xmppd.ctl.exits import EX_CONFIG, EX_NOHOST
from xmppd.ctl.logs import printable
from xmppd.ctl.socket import CommandError
from xmppd.trust.certificates import (
    Certificate,
    CertificateError,
    asciiDomain,
    certificatesIn,
    findCertificate,
    loadCertificate,
    loadEach,
)
from xmppd.trust.expiry import WARNING_DAYS
from xmppd.trust.inspection import Authorities, Grade, Remark, arrangement, inspect, permissions
from xmppd.trust.ocsp import mustStaple
from xmppd.trust.staples import stapleProblem

NO_KEY = "has no private key"
"""How the problem of a file begins that may be meant to hold certificates only."""


@dataclass(frozen=True, slots=True)
class Checked:
    """
    What was found about one file, or about a domain that has none.

    @ivar what: the file, or the domain.
    @ivar domains: whom the certificate is shown for.
    """

    what: str
    domains: tuple[str, ...]
    remarks: tuple[Remark, ...]

    def facts(self) -> dict[str, Any]:
        """For programs."""
        return {"what": self.what, "domains": list(self.domains), "remarks": [asdict(each) for each in self.remarks]}


@dataclass(frozen=True, slots=True)
class CertificateReport:
    """What was found about all."""

    checked: tuple[Checked, ...]

    @property
    def status(self) -> int:
        """The exit status: whether clients or servers would refuse anything."""
        grades = {remark.grade for each in self.checked for remark in each.remarks}
        return EX_CONFIG if Grade.ERROR in grades else 0

    def facts(self) -> dict[str, Any]:
        """For programs."""
        return {"checked": [each.facts() for each in self.checked]}

    def text(self) -> str:
        """For people."""
        lines: list[str] = []
        for each in self.checked:
            whom = f", shown for {', '.join(each.domains)}" if each.domains else ""
            verdict = "" if each.remarks else " nothing to object to"
            lines.append(printable(f"{each.what}{whom}:{verdict}"))
            lines += [f"  {printable(str(remark))}" for remark in each.remarks]
        return "\n".join(lines) or "There are no certificates."


def checkFile(path: Path, config: Configuration | None, now: float) -> CertificateReport:
    """
    One file, wherever it is.

    @param config: says for which domains it would be shown; None: there is no configuration.
    @raise CertificateError: it can't be read.
    """
    try:
        domain = asciiDomain(path.name.removesuffix(".pem"))
    except ValueError:
        domain = ""
    own = {*config.hosts, *servicesOf(config)} if config is not None else set()
    domains = (domain,) if domain in own or (path.suffix == ".pem" and "." in domain) else ()
    return CertificateReport((_checked(path, domains, now, config, domains or ("any.invalid",)),))


def checkDomain(
    domain: str, config: Configuration, running: Mapping[str, str] | None, now: float
) -> CertificateReport:
    """
    The certificate that a domain is shown. See L{checkAll}.

    @raise CommandError: there is none.
    @raise CertificateError: the folder can't be read.
    """
    report = checkAll(config, running, now)
    wanted = asciiDomain(domain)
    found = tuple(
        each
        for each in report.checked
        if each.what == domain or wanted in map(asciiDomain, each.domains)
    )
    if not found:
        served = ", ".join((*config.hosts, *servicesOf(config)))
        line = f"there is no certificate for {domain}, and it isn't served here; served are: {served}"
        raise CommandError(EX_NOHOST, line)
    return CertificateReport(found)


def checkAll(config: Configuration, running: Mapping[str, str] | None, now: float) -> CertificateReport:
    """
    Every file in the folder, and every domain without one.

    @param running: by file, the SHA-256 of the certificates that a running server has; None: none runs.
    @param now: seconds since the epoch.
    @raise CertificateError: the folder can't be read.
    """
    folder = config.tls.certificates
    loaded = dict(loadEach(folder, now)) if folder is not None else {}
    usable = {each.domain: each for each in loaded.values() if isinstance(each, Certificate)}
    shown = {domain: findCertificate(usable, domain) for domain in (*config.hosts, *servicesOf(config))}
    checked = []
    for path, each in loaded.items():
        serving = [domain for domain, own in shown.items() if own is each]
        named = [each.domain] if isinstance(each, Certificate) else []
        domains = tuple({asciiDomain(domain): domain for domain in (*named, *serving)}.values())
        found = _checked(path, domains, now, config, None)
        if isinstance(each, Certificate) and running is not None and running.get(str(path)) != each.sha256:
            remark = Remark(Grade.WARNING, "not-in-use", "isn't what the running server shows", "xmppctl reload")
            found = Checked(found.what, found.domains, (*found.remarks, remark))
        checked.append(found)
    checked += [_missing(domain, config) for domain, own in shown.items() if own is None]
    return CertificateReport(tuple(checked))


def _missing(domain: str, config: Configuration) -> Checked:
    """A domain without a certificate."""
    listen = config.listen
    if domain in config.hosts and (listen.c2sTls or (listen.c2s and config.tls.requireC2s)):
        grade, text = Grade.ERROR, "has no certificate: nobody can log in there"
    else:
        grade, text = Grade.WARNING, "has no certificate: other servers are shown another's, and need dialback"
    remedy = f"put chain and key into {domain}.pem, or have one issued that names {domain}, too"
    return Checked(domain, (), (Remark(grade, "no-certificate", text, remedy),))


def _checked(
    path: Path, domains: tuple[str, ...], now: float, config: Configuration | None, meant: Sequence[str] | None
) -> Checked:
    """
    Everything about one file.

    @param meant: domains for a file that lies anywhere, and needn't hold a key; None for one in the server's folder.
    """
    remarks: list[Remark] = []
    listed = certificatesIn(path)
    chain: Sequence[x509.Certificate] = ()
    hasKey = True
    try:
        certificate = loadCertificate(path, now, meant[0] if meant is not None else None)
        chain = certificate.chain
        remarks += _staple(certificate, now)
    except CertificateError as error:
        for problem in error.problems:
            hasKey = hasKey and not problem.what.startswith(NO_KEY)
            mild = meant is not None and not hasKey and bool(listed)
            grade = Grade.INFO if mild else Grade.ERROR
            remarks.append(Remark(grade, "no-key" if not hasKey else "unusable", problem.what, problem.remedy))
        chain = listed
    if chain:
        days = config.tls.expiryWarningDays if config is not None else WARNING_DAYS
        remarks += [*inspect(chain, domains, now, Authorities(), days), *arrangement(listed, chain)]
    if hasKey:
        remarks += permissions(path, path.stat().st_mode, path.parent.stat().st_mode)
    return Checked(str(path), domains, tuple(_sorted(remarks)))


def _staple(certificate: Certificate, now: float) -> Iterable[Remark]:
    """What is wrong with the OCSP response for a certificate; clients refuse one that demands it and comes without."""
    problem = stapleProblem(certificate, now)
    if problem is not None:
        grade = Grade.ERROR if mustStaple(certificate.der) else Grade.WARNING
        yield Remark(grade, "no-staple", f"{problem.path.name} {problem.what}", problem.remedy)


def _sorted(remarks: Iterable[Remark]) -> list[Remark]:
    """The gravest first."""
    return sorted(remarks, key=lambda remark: tuple(Grade).index(remark.grade))
