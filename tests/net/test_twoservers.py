"""Two real servers of ours on loopback, one of which changes its certificate while the other is restarted."""

from __future__ import annotations

from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256
from prometheus_client.parser import text_string_to_metric_families as families
from twisted.internet import reactor
from twisted.internet.task import deferLater
from twisted.trial.unittest import TestCase

from tests.ctl.servers import folderFor
from tests.doubles import CountingEntropy
from tests.marks import spec
from tests.trust.authority import ALWAYS, Authority, curveKey, keyPEM, pem
from xmppd.config import parse
from xmppd.ctl.commands import Commands
from xmppd.ctl.exits import EX_DATAERR, EX_NOHOST
from xmppd.ctl.metrics import Metrics
from xmppd.ctl.socket import CommandError
from xmppd.ctl.statuspage import Status
from xmppd.ctl.streamsgroup import historyText
from xmppd.ixmppd import WebRequest
from xmppd.net import rest
from xmppd.store.memory import MemoryStore
from xmppd.tap import Server
from xmppd.wire.stanza import build

CONFIGURATION = """
data = "data-OWN"
[listen]
s2s_tls = ["tcp:0:interface=127.0.0.1"]
[tls]
certificates = "certs-OWN"
[store]
url = "memory:"
[s2s]
authorities = "ca.pem"
[s2s.connect]
ROUTE
[host."OWN"]
admins = ["admin@OWN"]
"""


@spec("mission", "T10", "T11", "T12", "T13")
class TwoServersTests(TestCase):
    """What each knows of the other."""

    async def setUp(self) -> None:
        self.patch(rest, "REST_SECONDS", 0.01)
        self.folder = folderFor(self)
        self.authorities = [Authority("Encrypt Us"), Authority("Somebody Else")]
        (self.folder / "ca.pem").write_bytes(pem(*(each.certificate for each in self.authorities)))
        self.addCleanup(deferLater, reactor, 0.05)
        for domain in ("example.org", "example.net"):
            self.issue(domain, 0)
        self.net = await self.start("example.net", "", MemoryStore())
        self.port = self.net.listeners.ports[0][2].getHost().port
        self.store = MemoryStore()

    def issue(self, domain: str, authority: int) -> None:
        """Put a certificate for a domain where its server looks."""
        key = curveKey()
        leaf = self.authorities[authority].sign(key, [x509.DNSName(domain)], start=0, end=ALWAYS)
        path = self.folder / f"certs-{domain}" / f"{domain}.pem"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(keyPEM(key) + pem(leaf))
        path.chmod(0o600)

    async def start(self, domain: str, route: str, store: MemoryStore) -> Server:
        """A server that runs."""
        text = CONFIGURATION.replace("OWN", domain).replace("ROUTE", route)
        server = Server(parse(text, str(self.folder / "xmppd.toml")), reactor, store, CountingEntropy())
        server.service.startService()
        await server.service.started
        self.addCleanup(server.service.stopService)
        return server

    async def meet(self) -> list[dict[str, Any]]:
        """Start the other server, write to somebody over there, and answer the streams as xmppctl shows them."""
        route = f'"example.net" = "tls:127.0.0.1:{self.port}"'
        server = self.org = await self.start("example.org", route, self.store)
        server.router.route(build("message", {"from": "a@example.org", "to": "b@example.net"}))
        items: list[dict[str, Any]] = []
        for _ in range(200):
            items = (await Commands(server).streams({}))["items"]
            if any(pair["out"] for each in items for pair in each.get("pairs") or ()):
                break
            await deferLater(reactor, 0.02)  # type: ignore[arg-type]
        return items

    async def test_changed(self) -> None:
        """
        Both streams' facts are there to see; and another key from another authority is told, over a restart, by log,
        message and xmppctl.
        """
        (stream,) = await self.meet()
        self.assertEqual((stream["proof"], stream["tls"], stream["change"]), ("PKIX", "TLSv1.3", None))
        histories = self.net.peers and self.net.peers.histories
        assert histories is not None
        (seen,) = (await histories.of("example.org")).sightings
        self.assertEqual((seen.incoming, str(seen.prooftype)), (True, "PKIX"))
        await self.org.service.stopService()

        self.issue("example.net", 1)
        assert self.net.tls is not None
        self.net.tls.reload(self.folder / "certs-example.net")
        (stream,) = await self.meet()
        self.assertIn("new-issuer", stream["change"]["changes"])
        commands = Commands(self.org)
        await self.certificates(commands)
        self.assertEqual((await commands("dna history", {}))["items"], [{"domain": "example.net", "change": None}])
        answer = await commands("dna history", {"domain": "example.net"})
        self.assertEqual(len(answer["sightings"]), 2)
        self.assertIn("new-issuer", historyText(answer))
        for domain, status in (("nobody.example", EX_NOHOST), ("a b", EX_DATAERR)):
            with self.assertRaises(CommandError) as caught:
                await commands("dna history", {"domain": domain})
            self.assertEqual(caught.exception.status, status)

    async def certificates(self, commands: Commands) -> None:
        """The certificates of the stream that is there, and of the one that was; in PEM that is the same."""
        (stream,) = (await commands("streams", {"peer": "example.net", "pem": True}))["items"]
        self.assertEqual((await commands("streams", {"peer": "example.com"}))["items"], [])
        now, *_ = [x509.load_pem_x509_certificate(each["pem"].encode()) for each in stream["chain"]]
        self.assertEqual(now.fingerprint(SHA256()).hex(), stream["certificate"]["sha256"])
        self.assertEqual(stream["certificate"]["dns_names"], ["example.net"])
        history = await commands("dna history", {"domain": "example.net", "pem": True})
        new, old = history["sightings"]
        self.assertEqual(new["chain"][0]["pem"], stream["chain"][0]["pem"])
        self.assertEqual(old["chain"][0]["issuer"], "CN=Encrypt Us")
        self.assertEqual(old["chain"][0]["sha256"], old["sha256"])
        plain = await commands("dna history", {"domain": "example.net"})
        self.assertNotIn("pem", plain["sightings"][0]["chain"][0])
        await self.monitoring()
        (domain,) = (await commands("dna history", {}))["items"]
        self.assertIn("early", domain["change"]["changes"])
        self.assertEqual(await commands("dna acknowledge", {"domain": "example.net"}), {"domain": "example.net", "acknowledged": 1})
        (stream,) = (await commands("streams", {"id": stream["id"]}))["items"]
        self.assertIsNone(stream["change"])
        with self.assertRaises(CommandError):
            await commands("dna acknowledge", {"domain": "example.net"})

    async def monitoring(self) -> None:
        """Prometheus and the page are told of it."""
        text = (await self.get(Metrics(self.org), "/metrics")).decode()
        samples = {sample.name: sample for family in families(text) for sample in family.samples}
        self.assertEqual(
            {key: value for key, value in samples["xmppd_streams"].labels.items() if key != "cipher"},
            {"kind": "s2s", "direction": "out", "tls": "TLSv1.3", "mechanism": "EXTERNAL", "proof": "PKIX"},
        )
        self.assertEqual(samples["xmppd_peer_warnings"].value, 1)
        self.assertEqual(samples["xmppd_remote_links"].labels.keys(), {"state"})
        page = (await self.get(Status(self.org), "/status")).decode()
        for words in ("example.org &lt;&gt; example.net", "TLSv1.3", "PKIX", "early new-issuer", "CN=Somebody Else"):
            self.assertIn(words, page)

    async def get(self, resource: Any, path: str) -> bytes:
        """What a web resource answers."""
        response: Any = await resource.respond(WebRequest("GET", path, "", {"host": "localhost"}, 0, "127.0.0.1", False))
        self.assertEqual(response.status, 200)
        body: bytes = response.body
        return body
