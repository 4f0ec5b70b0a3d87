"""L{xmppd.net.explain}: a real server of ours is tried out by real sockets, with a DNS that says what the test wants."""

from __future__ import annotations

import json
import time
from typing import Any

from cryptography import x509
from twisted.internet import reactor
from twisted.internet.task import deferLater
from twisted.names import dns
from twisted.trial.unittest import TestCase

from tests.ctl.servers import folderFor
from tests.doubles import CountingEntropy
from tests.marks import spec
from tests.net.test_resolver import FakeClient, srv
from tests.trust.authority import ALWAYS, Authority, curveKey, der, keyPEM, pem
from xmppd.config import parse
from xmppd.net import rest
from xmppd.net.explain import Explanation, Explorer
from xmppd.store.memory import MemoryStore
from xmppd.tap import Server
from xmppd.trust.publish import tlsaRecord
from xmppd.trust.verdict import Prooftype

SERVED = """
data = "data"
[listen]
s2s = ["tcp:0:interface=127.0.0.1"]
s2s_tls = ["tcp:0:interface=127.0.0.1"]
[tls]
certificates = "certs"
[store]
url = "memory:"
[host."example.net"]
"""

CALLING = """
data = "data"
[s2s]
enabled = true
authorities = "ca.pem"
[host."example.org"]
"""


class NoWeb:
    """Nobody has a POSH document."""

    async def material(self, domain: str) -> tuple[None, str]:
        """See L{xmppd.net.posh.Places}."""
        return None, "there is no POSH document"


@spec("mission", "T15")
@spec("mission", "T11")
class ExplainTests(TestCase):
    """L{Explorer}."""

    async def setUp(self) -> None:
        self.patch(rest, "REST_SECONDS", 0.01)
        self.folder = folder = folderFor(self)
        authority, key = Authority("All"), curveKey()
        leaf = authority.sign(key, [x509.DNSName("example.net")], start=0, end=ALWAYS)
        self.certificate = der(leaf)
        (folder / "certs").mkdir()
        (folder / "certs" / "example.net.pem").write_bytes(keyPEM(key) + pem(leaf))
        (folder / "certs" / "example.net.pem").chmod(0o600)
        (folder / "ca.pem").write_bytes(pem(authority.certificate))
        config = parse(SERVED, str(folder / "xmppd.toml"))
        self.server = Server(config, reactor, MemoryStore(), CountingEntropy())
        self.server.service.startService()
        await self.server.service.started
        self.addCleanup(deferLater, reactor, 0.05)
        self.addCleanup(self.server.service.stopService)
        self.ports = {option: port.getHost().port for option, _, port in self.server.listeners.ports}
        self.dns = FakeClient()

    async def explain(self, more: str = "", remote: str = "example.net") -> Explanation:
        """Try it out."""
        config = parse(CALLING + more, str(self.folder / "xmppd.toml"))
        explorer: Any = Explorer(reactor, CountingEntropy(), config, None)
        explorer._resolver._client = self.dns
        explorer.places = NoWeb()
        try:
            found: Explanation = await explorer.explain("example.org", remote)
        finally:
            await explorer.stop()
        json.dumps(found.facts())
        return found

    def records(self, secure: bool, *tlsa: bytes) -> None:
        """SRV records to both ports, and TLSA records."""
        plain, direct = self.ports["listen.s2s"], self.ports["listen.s2s_tls"]
        self.dns.records["_xmpp-server._tcp.example.net", dns.SRV] = [srv(1, 0, plain, "xmpp.example.net")]
        self.dns.records["_xmpps-server._tcp.example.net", dns.SRV] = [srv(0, 0, direct, "xmpp.example.net")]
        self.dns.records["xmpp.example.net", dns.A] = [dns.Record_A("127.0.0.1")]
        for port in (plain, direct):
            if tlsa:
                unknown = [dns.UnknownRecord(each) for each in tlsa]  # type: ignore[no-untyped-call]
                self.dns.records[f"_{port}._tcp.xmpp.example.net", 52] = unknown
        if secure:
            self.dns.secure = {name for name, _ in self.dns.records}

    async def test_pkix(self) -> None:
        """Two places, both proved by an authority; what isn't offered is told, too."""
        self.records(False)
        found = await self.explain()
        self.assertTrue(found.accepted)
        self.assertEqual([visit.place.target.direct for visit in found.visits], [True, False])
        self.assertEqual({str(visit.verdict.prooftype) for visit in found.visits if visit.verdict}, {"PKIX"})
        text = found.text()
        for words in ("TLS at once", "STARTTLS", "POSH: not offered", "DANE-EE: not offered", "TLSv1.3"):
            self.assertIn(words, text)
        self.assertIn("stanzas get there by xmpp.example.net", text.splitlines()[-1])

    async def test_dane(self) -> None:
        """TLSA records that fit, from a DNS that is secure."""
        self.records(True, tlsaRecord(self.certificate).encode())
        found = await self.explain()
        self.assertEqual({visit.verdict.prooftype for visit in found.visits if visit.verdict}, {Prooftype.DANE_EE})
        self.assertIn("TLSA 3 1 1", found.text())

    async def test_daneFails(self) -> None:
        """TLSA records that don't fit, and what that means though an authority vouches."""
        self.records(True, b"\x03\x01\x01" + bytes(32))
        found = await self.explain()
        self.assertFalse(found.accepted)
        text = found.text()
        self.assertIn("PKIX: held", text)
        self.assertIn("nothing else makes good", text)
        self.assertIn("stanzas don't get there", text.splitlines()[-1])

    async def test_policy(self) -> None:
        """A proof that holds and that the policy has no use for."""
        self.records(False)
        found = await self.explain('[s2s.peer."example.net"]\nprooftypes = ["dane"]\n')
        self.assertFalse(found.accepted)
        self.assertIn("the policy asks for DANE-EE or DANE-TA", found.text())

    async def test_wrongName(self) -> None:
        """A place that another domain has."""
        port = self.ports["listen.s2s"]
        found = await self.explain(f'[s2s.connect]\n"other.example" = "127.0.0.1:{port}"\n', "other.example")
        self.assertTrue(found.routed)
        self.assertFalse(found.accepted)
        self.assertIsNotNone(found.visits[0].problem)

    async def test_nowhere(self) -> None:
        """A domain that the DNS doesn't know, and one that says it has no server."""
        found = await self.explain(remote="nobody.example")
        self.assertEqual(found.visits, [])
        self.assertIn("has no address", found.problems[0])
        self.dns.records["_xmpp-server._tcp.example.net", dns.SRV] = [srv(0, 0, 0, ".")]
        found = await self.explain()
        self.assertIn("no server for XMPP", found.text())

    async def test_refused(self) -> None:
        """Nobody listens there; this isn't the end."""
        self.records(False)
        dead = [srv(0, 0, 1, "xmpp.example.net")]
        self.dns.records["_xmpps-server._tcp.example.net", dns.SRV] = dead
        start = time.monotonic()
        found = await self.explain()
        self.assertLess(time.monotonic() - start, 10)
        self.assertIn("can't be reached", found.visits[0].problem or "")
        self.assertIn("after 1 that fails", found.text().splitlines()[-1])
