"""What a server that we have called can make of the way back: other domains than the one it was called for."""

from __future__ import annotations

from hashlib import sha256
from typing import cast

from cryptography import x509
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater
from twisted.trial.unittest import TestCase

from tests.ctl.servers import folderFor
from tests.doubles import CountingEntropy
from tests.marks import spec
from tests.trust.authority import ALWAYS, Authority, curveKey, keyPEM, pem
from xmppd.config import parse
from xmppd.net import peers, rest
from xmppd.net.peers import Peers
from xmppd.store.memory import MemoryStore
from xmppd.stream.incoming import IncomingStream
from xmppd.stream.outgoing import OutgoingStream
from xmppd.tap import Server
from xmppd.trust.dane import Endpoint, Security, TLSARecord
from xmppd.trust.pkix import presentedChain
from xmppd.wire.errors import StanzaError
from xmppd.wire.stanza import build

OURS, EVIL, BANK = "example.org", "evil.example", "bank.example"

CONFIGURATION = """
data = "data-OWN"
[listen]
s2s_tls = ["tcp:0:interface=127.0.0.1"]
[tls]
certificates = "certs-OWN"
[store]
url = "memory:"
[s2s]
resolver = "127.0.0.1:1"
authorities = "ca.pem"
prooftypes = ["pkix", "dane", "dialback"]
[s2s.connect]
ROUTES
[host."OWN"]
"""


@spec("XEP-0288", "4")
@spec("XEP-0220", "2.2")
@spec("mission", "T8", "T9")
class RidingTests(TestCase):
    """We have called a hostile server on a stream for both directions; it claims to be somebody else, too."""

    async def setUp(self) -> None:
        self.patch(rest, "REST_SECONDS", 0.01)
        self.patch(peers, "DRAIN_SECONDS", 0.2)
        self.folder = folderFor(self)
        self.authority = Authority("Encrypt Us")
        (self.folder / "ca.pem").write_bytes(pem(self.authority.certificate))
        self.addCleanup(deferLater, reactor, 0.05)
        self.evil = await self.start(EVIL)
        self.bank = await self.start(BANK)
        assert self.bank.peers is not None
        self.bank.peers.secret = b"what keys are made of"  # those that count don't come out alike here
        self.ours = await self.start(OURS, (EVIL, self.evil), (BANK, self.bank))
        self.ours.router.route(build("message", {"from": f"a@{OURS}", "to": f"b@{EVIL}"}))
        self.stream = cast(OutgoingStream, await self.found(self.ours, OutgoingStream))
        self.far = cast(IncomingStream, await self.found(self.evil, IncomingStream))

    async def start(self, domain: str, *routes: tuple[str, Server]) -> Server:
        """A server that runs, and knows where others are."""
        key = curveKey()
        leaf = self.authority.sign(key, [x509.DNSName(domain)], start=0, end=ALWAYS)
        path = self.folder / f"certs-{domain}" / f"{domain}.pem"
        path.parent.mkdir()
        path.write_bytes(keyPEM(key) + pem(leaf))
        path.chmod(0o600)
        ports = [(name, server.listeners.ports[0][2].getHost().port) for name, server in routes]
        lines = "\n".join(f'"{name}" = "tls:127.0.0.1:{port}"' for name, port in ports)
        text = CONFIGURATION.replace("OWN", domain).replace("ROUTES", lines)
        server = Server(parse(text, str(self.folder / "xmppd.toml")), reactor, MemoryStore(), CountingEntropy())
        assert server.peers is not None
        self.patch(server.peers._resolver, "endpoints", self.endpoints)
        server.service.startService()
        await server.service.started
        self.addCleanup(server.service.stopService)
        return server

    async def endpoints(self, domain: str) -> list[Endpoint]:
        """What the DNS says of a domain."""
        return []

    async def found(self, server: Server, kind: type) -> object:
        """The stream of a kind that is in use in both directions."""
        assert server.peers is not None
        for _ in range(200):
            for each in server.peers.streams:
                if isinstance(each, kind) and each.heard and each.spoken:
                    return each
            await deferLater(reactor, 0.02)  # type: ignore[arg-type]
        raise AssertionError("there is no such stream")

    async def claim(self) -> str:
        """The hostile server sends a key of its own for the bank; answers what it is told."""
        asked: Deferred[None] = self.far.dialback.request(BANK, OURS)
        try:
            await asked
        except StanzaError as error:
            return str(error)
        return "valid"

    def refused(self) -> None:
        """Nothing is believed, sent there, or remembered."""
        self.assertEqual(set(self.stream.heard), {(EVIL, OURS)})
        self.assertEqual(self.stream.spoken, {(OURS, EVIL)})

    async def test_where(self) -> None:
        """That we were led there for its own domain says nothing about another, whose server doesn't know the key."""
        self.assertNotEqual(await self.claim(), "valid")
        self.refused()
        assert self.peers.histories is not None
        assert self.stream.tls is not None and self.stream.tls.peerCertificate is not None
        shown = sha256(self.stream.tls.peerCertificate).hexdigest()
        history = await self.peers.histories.of(BANK)
        self.assertNotIn(shown, [each.sha256 for each in history.sightings])

    async def test_records(self) -> None:
        """Nor do its records, however secure they are."""
        transport = self.far.transport
        (leaf, *_) = presentedChain(self.stream.transport.tlsConnection)  # type: ignore[attr-defined]
        record = TLSARecord.parse(b"\x03\x00\x00" + leaf)
        secure = Security.SECURE
        port = transport.transport.getHost().port  # type: ignore[attr-defined]
        endpoint = Endpoint("xmpp.evil.example", port, secure, secure, secure, (record,))
        self.stream.transport.endpoint = endpoint  # type: ignore[attr-defined]
        self.assertNotEqual(await self.claim(), "valid")
        self.refused()

    @property
    def peers(self) -> Peers:
        """Ours."""
        assert self.ours.peers is not None
        return self.ours.peers
