"""
C{xmppctl dna}: what to publish so that others can prove our domains, and why another domain can be proved or can't.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from xmppd.config import Configuration
from xmppd.ctl.exits import EX_CONFIG, EX_DATAERR, EX_NOHOST, EX_SOFTWARE, CannotStart
from xmppd.ctl.socket import CommandError
from xmppd.ctl.tlscheck import derOf
from xmppd.trust.certificates import asciiDomain, findCertificate, loadCertificates
from xmppd.trust.posh import fingerprintsDocument, wellKnown
from xmppd.trust.publish import publication, srvLines, tlsaLines
from xmppd.trust.verdict import Past
from xmppd.wire.jid import JIDMalformed, prepareDomain

if TYPE_CHECKING:
    from xmppd.ctl.line import Target
    from xmppd.net.explain import Explanation

EXPLAIN_SECONDS: Final = 150.0
"""How long it may take to explain a domain."""

POSH_SECONDS: Final = 86_400
"""For how many seconds others may keep a POSH document."""

SERVICES: Final = (
    ("c2s", "xmpp-client"),
    ("c2sTls", "xmpps-client"),
    ("s2s", "xmpp-server"),
    ("s2sTls", "xmpps-server"),
)
"""By listener, the service of SRV records."""

_PORT: Final = re.compile(r"tcp6?:(?:port=)?(\d+)(?::|$)")


@dataclass(frozen=True, slots=True)
class Publication:
    """
    What to publish for one domain.

    @ivar domain: which.
    @ivar host: the name of the machine that the SRV records point to.
    @ivar services: names and ports.
    @ivar certificates: DER, the one that is shown now first.
    """

    domain: str
    host: str
    services: tuple[tuple[str, int], ...]
    certificates: tuple[bytes, ...]

    def text(self) -> str:
        """For people."""
        return publication(self.domain, self.host, self.services, self.certificates, POSH_SECONDS)

    def facts(self) -> dict[str, Any]:
        """For programs."""
        document = fingerprintsDocument(self.certificates, POSH_SECONDS).decode("ascii")
        kinds = dict.fromkeys(name.replace("xmpps-", "xmpp-") for name, _ in self.services)
        return {
            "domain": self.domain,
            "host": self.host,
            "srv": srvLines(self.domain, self.host, self.services),
            "tlsa": tlsaLines(self.host, dict.fromkeys(port for _, port in self.services), self.certificates),
            "posh": {wellKnown(self.domain, kind): document for kind in kinds},
        }


def publications(
    config: Configuration, domain: str | None, host: str | None, following: Sequence[Path] = ()
) -> list[Publication]:
    """
    What to publish.

    @param domain: one of our domains; None for all that have a certificate.
    @param host: the name of this machine in the DNS; None: that of the domain.
    @param following: files with certificates that will be shown soon.
    @raise CommandError: there is nothing to publish, or an argument can't be used.
    @raise CertificateError: a certificate can't be used.
    """
    folder = config.tls.certificates
    certificates = loadCertificates(folder, time.time()) if folder is not None else {}
    known = (*config.hosts, *config.rooms)
    if domain is not None and domain not in known:
        raise CommandError(EX_NOHOST, f"{domain} is not served here; served are: {', '.join(known)}")
    services = tuple(servicesOf(config))
    if not services:
        raise CommandError(EX_CONFIG, f"{config.file}: listen: no TCP port with a fixed number; set listen.s2s")
    soon = tuple(der for path in following for der in _leaves(path))
    found = []
    for each in (domain,) if domain is not None else known:
        certificate = findCertificate(certificates, each)
        if certificate is not None:
            target = _checked(host or each)
            shown = tuple(dict.fromkeys((derOf(certificate), *soon)))
            found.append(Publication(each, target, services, shown))
    if not found:
        raise CommandError(EX_CONFIG, f"there is no certificate for {domain or 'any domain'}; see xmppctl check")
    return found


def servicesOf(config: Configuration) -> Iterable[tuple[str, int]]:
    """The services that are listened for, with the ports in the configuration."""
    for option, service in SERVICES:
        for endpoint in getattr(config.listen, option):
            match = _PORT.match(endpoint)
            if match is not None and int(match[1]):
                yield service, int(match[1])


def _checked(host: str) -> str:
    """
    A host name.

    @raise CommandError: it is none.
    """
    try:
        return asciiDomain(host)
    except ValueError:
        raise CommandError(EX_DATAERR, f"{host!r} is no host name; write something like chat.example.org") from None


def _leaves(path: Path) -> Iterable[bytes]:
    """
    The first certificate in a file.

    @raise CommandError: there is none.
    """
    try:
        yield x509.load_pem_x509_certificates(path.read_bytes())[0].public_bytes(Encoding.DER)
    except OSError as error:
        raise CommandError(EX_DATAERR, f"{path}: {error.strerror}; name a file with a certificate in PEM") from None
    except ValueError:
        raise CommandError(EX_DATAERR, f"{path}: no certificate in it; name a file with one in PEM") from None


# --- explaining ---------------------------------------------------------------------------------------------------


def explained(config: Configuration, domain: str, local: str | None, past: Past | None = None) -> Explanation:
    """
    Try a domain out. Runs the reactor, so this can be done once in a process.

    @param local: the domain of ours that calls; None: the first one.
    @param past: what it was proved by before; None: that isn't known.
    @raise CommandError: an argument or the configuration can't be used.
    """
    from twisted.internet import reactor as installed
    from twisted.internet.defer import Deferred
    from twisted.python.failure import Failure

    reactor: Any = installed
    exploring = exploration(reactor, config, domain, local, past)
    outcome: list[Any] = []

    def begin() -> None:
        deferred: Deferred[Explanation] = Deferred.fromCoroutine(exploring())
        deferred.addTimeout(EXPLAIN_SECONDS, reactor)
        deferred.addBoth(outcome.append).addCallback(lambda _: reactor.stop())

    reactor.callWhenRunning(begin)
    reactor.run()
    if not outcome:
        raise KeyboardInterrupt
    if isinstance(outcome[0], Failure):
        reason = outcome[0].getErrorMessage()
        raise CommandError(EX_SOFTWARE, f"{domain} can't be explained: {reason}; please report it")
    found: Explanation = outcome[0]
    return found


def pastOf(target: Target, config: Configuration, domain: str) -> Past | None:
    """What a domain was proved by before; None if there is no server that could tell."""
    from xmppd.net.histories import historyFrom

    try:
        facts = target.client.ask("dna history", domain=domain)
    except CommandError as error:
        return Past() if error.status == EX_NOHOST else None
    return historyFrom(facts).past(False, time.time() - config.s2s.downgradeDays * 86_400)


def exploration(
    reactor: Any, config: Configuration, domain: str, local: str | None, past: Past | None = None
) -> Any:
    """
    What explains a domain when it is called, as a coroutine.

    @param past: what it was proved by before; None: that isn't known.
    @raise CommandError: an argument or the configuration can't be used.
    """
    from xmppd.ixmppd import IEntropy
    from xmppd.net.explain import Explorer
    from xmppd.tap import Entropy, makeTLS
    from xmppd.trust.certificates import CertificateError

    try:
        remote = prepareDomain(domain)
    except JIDMalformed:
        raise CommandError(EX_DATAERR, f"{domain!r} is no domain; write something like example.org") from None
    calling = local or next(iter(config.hosts))
    if calling not in config.hosts:
        raise CommandError(EX_NOHOST, f"{calling} is not served here; served are: {', '.join(config.hosts)}")
    entropy: IEntropy = Entropy()
    try:
        explorer = Explorer(reactor, entropy, config, makeTLS(config, reactor), past)
    except (CannotStart, CertificateError) as error:
        raise CommandError(EX_CONFIG, str(error)) from None

    async def exploring() -> Explanation:
        try:
            return await explorer.explain(calling, remote)
        finally:
            await explorer.stop()

    return exploring
