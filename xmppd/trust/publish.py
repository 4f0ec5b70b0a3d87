"""
What to publish so that others can prove our domains: TLSA records (RFC 6698, RFC 7671, RFC 7673) and POSH documents
(RFC 7711), as text for the administrator to put where it belongs.

TLSA records are C{3 1 1}: the hash of the key, which stays the same over renewals that keep the key, whatever names the
certificate has and whoever has issued it (RFC 7671 section 5.1). If a key is to be replaced, the record of the next one
has to be there for as long as answers are kept before the server shows it (section 8.1); so more than one certificate
can be given.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from typing import Final

from xmppd.trust.certificatefacts import load, publicKeyInfo
from xmppd.trust.certificates import asciiDomain
from xmppd.trust.dane import Matching, Selector, TLSARecord, Usage, tlsaName
from xmppd.trust.posh import fingerprintsDocument, wellKnown

TTL: Final = 3600
"""For how many seconds others may keep the records."""

DIRECT: Final = 5
UPGRADED: Final = 10
"""The priorities of ports where TLS begins at once, and of those with STARTTLS."""


def tlsaRecord(certificate: bytes) -> TLSARecord:
    """
    The record C{3 1 1} for a certificate in DER.

    @raise ValueError: it is none.
    """
    digest = hashlib.sha256(publicKeyInfo(load(certificate))).digest()
    return TLSARecord(Usage.DANE_EE, Selector.SPKI, Matching.SHA2_256, digest)


def tlsaLines(host: str, ports: Iterable[int], certificates: Sequence[bytes], ttl: int = TTL) -> list[str]:
    """
    Lines for a zone file.

    @param host: the name that the SRV records point to, not the XMPP domain, unless they are the same (RFC 7673 section
        3.3).
    @param ports: the TCP ports, those of clients too.
    @param certificates: DER of what is shown on them, now or soon.
    @raise ValueError: the host isn't one, or a certificate isn't.
    """
    records = dict.fromkeys(str(tlsaRecord(each)) for each in certificates)
    return [f"{tlsaName(host, port)}. {ttl} IN TLSA {each}" for port in ports for each in records]


def srvLines(domain: str, host: str, services: Iterable[tuple[str, int]], ttl: int = TTL) -> list[str]:
    """
    SRV records to go with them. Those of direct TLS are to be preferred (RFC 9325 section 3.2).

    @param services: names and ports, as C{("xmpp-server", 5269)}, C{("xmpps-server", 5270)}.
    @raise ValueError: the domain or the host isn't one.
    """
    owner, target = asciiDomain(domain), asciiDomain(host)
    lines = []
    for service, port in services:
        priority = DIRECT if service.startswith("xmpps-") else UPGRADED
        lines.append(f"_{service}._tcp.{owner}. {ttl} IN SRV {priority} 0 {port} {target}.")
    return lines


def publication(
    domain: str, host: str, services: Sequence[tuple[str, int]], certificates: Sequence[bytes], expires: int = 86_400
) -> str:
    """
    All there is to publish for a domain, with comments that say where.

    @param services: see L{srvLines}.
    @param certificates: DER, the one that is shown now first.
    @param expires: for how many seconds others may keep the POSH document.
    @raise ValueError: the domain or the host isn't one, or a certificate isn't.
    """
    ports = dict.fromkeys(port for _, port in services)
    document = fingerprintsDocument(certificates, expires).decode("ascii").rstrip()
    lines = [
        f"; In the zone of {asciiDomain(domain)}, signed with DNSSEC:",
        *srvLines(domain, host, services),
        f"; In the zone of {asciiDomain(host)}, signed with DNSSEC, as are its A and AAAA records:",
        *tlsaLines(host, ports, certificates),
        "; When the key is to change, publish the new records first, and wait until answers without them have expired.",
    ]
    for service in dict.fromkeys(name.replace("xmpps-", "xmpp-") for name, _ in services):
        lines += ["", f"; At {wellKnown(domain, service)}, as application/json:", document]
    lines.append("; Renew this document whenever the certificate is renewed, before it is shown.")
    return "\n".join(lines) + "\n"
