"""
C{xmppctl check tls}: the audit of L{xmppd.trust.audit} for a configuration, its certificates, and the listeners of the
server that runs with it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

from cryptography.hazmat.primitives.serialization import Encoding

from xmppd.config import Configuration
from xmppd.ctl.exits import EX_CONFIG, EX_TEMPFAIL
from xmppd.ctl.tlsprobe import Door, doorsOf, probe
from xmppd.trust.audit import Finding, Grade, ListenerFacts, audit, report
from xmppd.trust.certificates import Certificate, findCertificate, loadCertificates
from xmppd.trust.ocsp import mustStaple
from xmppd.trust.staples import stapleProblem
from xmppd.trust.tlspolicy import TLSPolicy

_RANK: Final = {Grade.VIOLATION: 0, Grade.WARNING: 1, Grade.UNKNOWN: 2, Grade.OK: 3}


@dataclass(frozen=True, slots=True)
class TLSReport:
    """
    What the audit has found.

    @ivar findings: all of it.
    @ivar problems: listeners about which nothing is known, and why.
    """

    findings: tuple[Finding, ...]
    problems: tuple[str, ...]

    @property
    def status(self) -> int:
        """The exit status: a broken MUST counts most, then a listener that couldn't be asked."""
        if any(finding.grade is Grade.VIOLATION for finding in self.findings):
            return EX_CONFIG
        return EX_TEMPFAIL if self.problems else 0

    def facts(self) -> dict[str, Any]:
        """For programs."""
        findings = sorted(self.findings, key=lambda finding: _RANK[finding.grade])
        return {"findings": [asdict(finding) for finding in findings], "problems": list(self.problems)}

    def text(self, everything: bool) -> str:
        """For people. C{everything}: also what is well."""
        lines = [f"not reached: {problem}" for problem in self.problems]
        return "\n".join([*lines, report(self.findings, everything).rstrip()])


def derOf(certificate: Certificate) -> bytes:
    """The octets of one of our certificates."""
    return certificate.chain[0].public_bytes(Encoding.DER)


def checkTLS(
    config: Configuration,
    ports: Sequence[Mapping[str, Any]] | None,
    ask: Callable[[Door], tuple[ListenerFacts, str | None]] = probe,
) -> TLSReport:
    """
    Audit everything.

    @param ports: what the running server says of its ports; None: none runs with this configuration.
    @param ask: finds out about a listener.
    @raise CertificateError: a certificate can't be used.
    """
    now = time.time()
    folder = config.tls.certificates
    certificates = loadCertificates(folder, now) if folder is not None else {}
    domain = next((each for each in config.hosts if findCertificate(certificates, each) is not None), None)
    problems: list[str] = []
    listeners: list[ListenerFacts] = []
    if ports is None:
        problems.append("no server runs with this configuration, so no listener was asked; start it and check again")
    elif domain is None and any(doorsOf(ports, "")):
        problems.append("no host has a certificate, so no listener was asked; see xmppctl check")
    for door in doorsOf(ports or (), domain) if domain is not None else ():
        facts, problem = ask(door)
        listeners.append(facts)
        problems += [problem] if problem is not None else []
    own = {each: derOf(certificate) for each, certificate in certificates.items()}
    policy = TLSPolicy(clientAuthorities=config.tls.clientCa)
    findings: Iterable[Finding] = audit(policy, own, listeners, now)
    staples = (each for certificate in certificates.values() for each in _staple(certificate, now))
    return TLSReport((*_plaintext(config), *findings, *staples), tuple(problems))


def _staple(certificate: Certificate, now: float) -> Iterable[Finding]:
    """What is wrong with the OCSP response beside a certificate (RFC 9325 section 7.5)."""
    problem = stapleProblem(certificate, now)
    if problem is not None:
        must = mustStaple(certificate.der)
        grade, level = (Grade.VIOLATION, "MUST") if must else (Grade.WARNING, "SHOULD")
        text = f"{problem.path.name} {problem.what}; {problem.remedy}"
        yield Finding(grade, "7.5", level, f"certificate {certificate.domain}", text)


def _plaintext(config: Configuration) -> Iterable[Finding]:
    """What the configuration says about plaintext (RFC 9325 section 3.2)."""
    for name, required in (("require_c2s", config.tls.requireC2s), ("require_s2s", config.tls.requireS2s)):
        grade, text = (Grade.OK, "is true") if required else (Grade.VIOLATION, "is false: TLS isn't demanded")
        yield Finding(grade, "3.2", "MUST", "configuration", f"tls.{name} {text}")
