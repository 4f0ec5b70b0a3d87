"""Tests for L{xmppd.net.peertls}: handshakes between servers, without sockets."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from OpenSSL import SSL
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from tests.marks import spec
from tests.trust.authority import ALWAYS, NOW, Authority, curveKey, keyPEM, pem
from tests.trust.test_ocsp import REVOKED, demandingLeaf, response
from xmppd.net.peertls import ConnectingLayer, PeerTLS
from xmppd.net.tls import ServerTLS, TLSLayer
from xmppd.trust import openssl
from xmppd.trust.certificates import loadCertificate, loadCertificates
from xmppd.trust.ocsp import OCSPStatus
from xmppd.trust.pkix import provePKIX

ROOT = Authority("root")
MIDDLE = Authority("middle", ROOT)


class PeerTLSTests(SynchronousTestCase):
    """Two servers, each with an end."""

    def setUp(self) -> None:
        """One server of each."""
        self.folders = {}
        self.ends = {domain: self.make(domain) for domain in ("here.example", "there.example")}

    def make(self, domain: str) -> PeerTLS:
        """A server for one domain."""
        folder = self.folders[domain] = Path(self.mktemp())
        folder.mkdir()
        (folder / "ca.crt").write_bytes(pem(ROOT.certificate))
        path = MIDDLE.write(folder, domain, start=0, end=ALWAYS)
        path.write_bytes(path.read_bytes() + pem(MIDDLE.certificate))
        return self.start(domain)

    def start(self, domain: str) -> PeerTLS:
        """The same, from what is in the folder."""
        folder = self.folders[domain]
        clock = Clock()
        clock.advance(NOW)
        serverTLS = ServerTLS(loadCertificates(folder, NOW), clock)
        return PeerTLS(serverTLS, lambda name: name == domain, folder / "ca.crt")

    def staple(self, status: Any = None) -> None:
        """Have there.example staple."""
        folder = self.folders["there.example"]
        leaf = loadCertificate(folder / "there.example.pem", NOW).chain[0]
        options = {"leaf": leaf, "issuer": MIDDLE.certificate, "signer": MIDDLE.certificate, "key": MIDDLE.key}
        content = response(**options) if status is None else response(status, **options)
        (folder / "there.example.ocsp").write_bytes(content)

    def meet(self, direct: bool) -> tuple[SSL.Connection, SSL.Connection]:
        """here.example connects to there.example; the connection's ends."""
        here, there = self.ends["here.example"], self.ends["there.example"]
        client = ConnectingLayer(here.connecting("here.example", "there.example", direct))
        server = TLSLayer(there.forDirect() if direct else there.forStream("there.example"))
        octets = client.begin()
        while octets:
            server.received(octets)
            client.received(server.outgoing())
            octets = client.outgoing()
        self.assertTrue(client.established and server.established)
        return client.connection, server.connection

    @spec("RFC 6066", "8")
    @spec("RFC 9325", "7.5")
    def test_stapled(self) -> None:
        """Who connects asks for an answer of the other's authority, and takes one that says good for a reason."""
        here = self.ends["here.example"]
        for direct in (False, True):
            client, _ = self.meet(direct)
            self.assertIsNone(here.stapled(client, NOW))
        self.staple()
        self.ends["there.example"] = self.start("there.example")
        for direct in (False, True):
            client, server = self.meet(direct)
            self.assertIs(here.stapled(client, NOW), OCSPStatus.GOOD)
            proof = provePKIX("there.example", here.recorder.of(client), NOW, ocsp=here.stapled(client, NOW))
            self.assertTrue(any("stapled" in reason for reason in proof.reasons))
            self.assertEqual(self.ends["there.example"].staples.of(server), b"")

    @spec("RFC 9325", "7.5")
    def test_revoked(self) -> None:
        """One that says revoked is one, from a server that staples it; ours wouldn't."""
        here, there = self.ends["here.example"], self.ends["there.example"]
        leaf = there.certificateFor("there.example")
        assert leaf is not None
        answer = response(
            REVOKED, leaf=leaf.chain[0], issuer=MIDDLE.certificate, signer=MIDDLE.certificate, key=MIDDLE.key
        )
        self.patch(there._serverTLS, "staple", lambda made, _: made.set_ocsp_server_callback(lambda *ignored: answer))
        client, _ = self.meet(False)
        self.assertIs(here.stapled(client, NOW), OCSPStatus.REVOKED)

    @spec("RFC 7633", "4.3.3")
    def test_demanded(self) -> None:
        """A certificate that demands an answer without one isn't good enough."""
        key = curveKey()
        leaf = demandingLeaf(key, MIDDLE, "there.example")
        path = self.folders["there.example"] / "there.example.pem"
        path.write_bytes(keyPEM(key) + pem(leaf) + pem(MIDDLE.certificate))
        self.ends["there.example"] = self.start("there.example")
        here = self.ends["here.example"]
        client, _ = self.meet(True)
        self.assertIs(here.stapled(client, NOW), OCSPStatus.MISSING)
        self.staple()
        self.ends["there.example"] = self.start("there.example")
        client, _ = self.meet(True)
        self.assertIs(here.stapled(client, NOW), OCSPStatus.GOOD)

    @spec("mission", "T6")
    def test_notResumed(self) -> None:
        """Sessions between servers aren't resumed: OpenSSL would not look at certificates again."""
        for direct in (False, True):
            client, _ = self.meet(direct)
            again = ConnectingLayer(self.ends["here.example"].connecting("here.example", "there.example", direct))
            session = client.get_session()
            if session is not None:
                again.connection.set_session(session)
            there = self.ends["there.example"]
            server = TLSLayer(there.forDirect() if direct else there.forStream("there.example"))
            octets = again.begin()
            while octets:
                server.received(octets)
                again.received(server.outgoing())
                octets = again.outgoing()
            self.assertFalse(openssl.wasResumed(server.connection))
            self.assertIsNotNone(server.connection.get_peer_certificate())
