"""
The certificates of a server as administrators see them: what each is, and which domains it is shown for.

The same whether a running server says what it has or C{xmppctl} reads the folder.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from xmppd.config import Configuration
from xmppd.ctl.arguments import Arguments
from xmppd.ctl.tables import cell, day, table
from xmppd.trust.certificatefacts import factsOf
from xmppd.trust.certificates import Certificate, CertificateError, findCertificate, loadEach
from xmppd.trust.expiry import DAY, endOf
from xmppd.trust.inspection import Authorities

if TYPE_CHECKING:
    from xmppd.tap import Server


class CertCommands:
    """What xmppctl can ask about the certificates of a running server."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self.commands: dict[str, Callable[[Arguments], Awaitable[Any]]] = {"cert list": self.list}

    async def list(self, arguments: Arguments) -> dict[str, Any]:
        """All certificates that it has, and the domains that they are shown for."""
        server = self._server
        certificates = server.tls.certificates if server.tls is not None else {}
        services = (*server.serviceHosts, *server.components)
        return listing(certificates, server.hosts, services, server.clock.seconds())


def listing(
    certificates: Mapping[str, Certificate],
    hosts: Iterable[str],
    services: Iterable[str],
    now: float,
    problems: Sequence[str] = (),
) -> dict[str, Any]:
    """
    All certificates, and all domains with the file of the certificate that each is shown.

    @param hosts: the domains of users; C{services}: those of rooms, other services, and components.
    @param now: seconds since the epoch.
    @param problems: of files that can't be used.
    """
    authorities = Authorities()
    domains = {**dict.fromkeys(hosts, False), **dict.fromkeys(services, True)}
    found = {domain: findCertificate(certificates, domain) for domain in domains}
    return {
        "certificates": [
            described(each, [domain for domain, own in found.items() if own is each], authorities, now)
            for each in certificates.values()
        ],
        "domains": [
            {"domain": domain, "service": service, "file": None if (own := found[domain]) is None else str(own.path)}
            for domain, service in domains.items()
        ],
        "problems": list(problems),
    }


def described(certificate: Certificate, served: Sequence[str], authorities: Authorities, now: float) -> dict[str, Any]:
    """
    One certificate as values that JSON can hold.

    @param served: the domains that it is shown for.
    """
    facts, names, end = factsOf(certificate.der), certificate.names, endOf(certificate)
    return {
        "file": str(certificate.path),
        "domain": certificate.domain,
        "names": {
            "dns": list(names.dnsNames),
            "srv": list(names.serviceNames),
            "xmpp": list(names.xmppAddresses),
        },
        "subject": facts.subject,
        "issuer": facts.issuer,
        "serial": facts.serial,
        "key": facts.key,
        "key_bits": facts.keyBits,
        "signature_hash": facts.signatureHash,
        "not_before": certificate.notBefore,
        "not_after": certificate.notAfter,
        "ends": end,
        "days_left": int((end - now) // DAY),
        "sha256": certificate.sha256,
        "public_key_sha256": certificate.publicKeySHA256,
        "chain": str(authorities.completeness(certificate.chain)),
        "chain_length": len(certificate.chain),
        "serves": list(served),
        "warnings": [str(problem) for problem in certificate.warnings],
    }


def servicesOf(config: Configuration) -> list[str]:
    """The domains of services and components in a configuration."""
    return [*config.rooms, *config.pubsub, *config.upload, *config.proxy, *config.components]


def listingOfFolder(config: Configuration, now: float) -> dict[str, Any]:
    """
    What a server with this configuration would have.

    @raise CertificateError: the folder can't be read.
    """
    certificates: dict[str, Certificate] = {}
    problems: list[str] = []
    for _, loaded in loadEach(config.tls.certificates, now) if config.tls.certificates is not None else ():
        if isinstance(loaded, CertificateError):
            problems += map(str, loaded.problems)
        else:
            certificates[loaded.domain] = loaded
    return listing(certificates, config.hosts, servicesOf(config), now, problems)


def listingText(answer: Mapping[str, Any]) -> str:
    """A listing for people."""
    rows = [
        (
            each["domain"],
            kindsOf(each["names"]),
            each["issuer"],
            each["key"] if each["key_bits"] in (0, 256, 448) else f"{each['key']} {each['key_bits']}",
            day(each["not_before"]),
            day(each["ends"]),
            each["days_left"],
            each["chain"],
            ", ".join(each["serves"]) or None,
        )
        for each in answer["certificates"]
    ]
    headings = ("CERTIFICATE", "NAMES", "ISSUED BY", "KEY", "FROM (UTC)", "UNTIL (UTC)", "DAYS", "CHAIN", "SHOWN FOR")
    prints = [(each["domain"], each["sha256"], each["public_key_sha256"]) for each in answer["certificates"]]
    lines = [table(headings, rows) or "There are none."]
    if prints:
        lines += ["", table(("CERTIFICATE", "SHA-256", "KEY SHA-256"), prints)]
    lines += [
        f"no certificate for {'the service' if each['service'] else 'the host'} {cell(each['domain'])}"
        for each in answer["domains"]
        if each["file"] is None
    ]
    lines += [f"error: {cell(line)}" for line in answer["problems"]]
    lines += [f"warning: {cell(line)}" for each in answer["certificates"] for line in each["warnings"]]
    return "\n".join(lines)


def kindsOf(names: Mapping[str, Sequence[str]]) -> str:
    """The names of a certificate by kind, the first of each, in short."""
    kinds = {"dns": "DNS", "srv": "SRV", "xmpp": "XMPP"}
    parts = [
        f"{kinds[kind]} {values[0]}" + (f" and {len(values) - 1} more" if len(values) > 1 else "")
        for kind, values in names.items()
        if values
    ]
    return "; ".join(parts) or "none"
