"""What administrators see of streams."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256
from zope.interface.verify import verifyObject

from tests.ctl.servers import ServerCase
from tests.doubles import STREAM_START
from tests.marks import spec
from tests.server import ServerCase as MemoryCase
from tests.trust.authority import NOW, Authority, curveKey, der
from xmppd.ixmppd import IInspection, TLSFacts
from xmppd.net import inspection
from xmppd.net.c2s import ClientFactory
from xmppd.net.inspection import certificateFacts
from xmppd.stream.component import Component, ComponentStream


def listed(server: Any, **wanted: Any) -> list[dict[str, Any]]:
    """What is told of the streams."""
    return [server.inspection.entry(*each) for each in server.inspection.found(**wanted)]


@spec("mission", "T10", "T11", "T12")
class InspectionTests(ServerCase):
    """L{inspection.Inspection}, with streams of clients and of a component; those of servers are in C{test_twoservers}."""

    def setUp(self) -> None:
        super().setUp()
        for name in ("romeo", "juliet"):
            self.successResultOf(self.server.hosts["example.org"].registrar.create(name, name))

    def test_interface(self) -> None:
        """It is what features get."""
        verifyObject(IInspection, self.server.inspection)
        self.assertIs(self.server.hosts["example.org"].inspection, self.server.inspection)

    def test_who(self) -> None:
        """Streams are found by who is at the other end, by id, by host and by kind."""
        self.login("romeo")
        self.login("juliet")
        self.connect()
        juliet = next(each for each in listed(self.server) if each["jid"] == "juliet@example.org/r")
        for peer in ("juliet@example.org", "juliet@example.org/r"):
            self.assertEqual([each["jid"] for each in listed(self.server, peer=peer)], ["juliet@example.org/r"])
        self.assertEqual([each["jid"] for each in listed(self.server, id=juliet["id"])], ["juliet@example.org/r"])
        for wanted, count in (
            ({"peer": "example.org"}, 2), ({"peer": "example.net"}, 0), ({"host": "example.org"}, 2), ({"host": "example.net"}, 0),
            ({"servers": True}, 0), ({"servers": False}, 3), ({"id": ""}, 0), ({"id": "nonsense"}, 0), ({}, 3),
        ):
            self.assertEqual(len(listed(self.server, **wanted)), count, wanted)

    def test_forFeatures(self) -> None:
        """A host's administrators see the streams of that host, page by page in order."""
        self.patch(inspection, "PAGE", 2)
        for resource in "edcba":
            self.login("romeo", resource)
        self.connect()
        ours = self.server.inspection
        found = [each["jid"][-1] for each in ours.streams("example.org")]
        self.assertEqual(sorted(found), list("abcde"))
        self.assertEqual(list(ours.streams("example.net")), [])
        (first, *_) = ours.streams("example.org")
        self.assertIsNone(ours.stream("example.net", first["id"]))
        one = ours.stream("example.org", first["id"])
        assert one is not None
        self.assertEqual((one["jid"], one["chain"]), (first["jid"], []))

    def test_keys(self) -> None:
        """Whatever there is to tell has the same keys for each; JSON's readers can rely on that."""
        self.connect()
        session = self.login("romeo").stream.session
        self.login("juliet")
        assert session is not None
        stream, session.stream = session.stream, None
        keys = {tuple(sorted(each)) for each in listed(self.server)}
        session.stream = stream
        self.assertEqual(len(keys), 1)

    def test_component(self) -> None:
        """A component isn't named before it has proved who it is."""
        component = Component("rooms.example.org", "secret", self.server.router)

        def stream(transport: Any, reception: Any) -> ComponentStream:
            return ComponentStream(transport, reception, {"rooms.example.org": component}, self.server.router)

        factory = ClientFactory(
            self.server.reception, self.server.admission, self.server.turns, None, None, self.server.connections, stream
        )
        self.patch(self, "connect", lambda: self.connected(factory))
        connection = self.connect()
        start = STREAM_START.replace(b"jabber:client", b"jabber:component:accept").replace(b">", b" to='rooms.example.org'>")
        self.send(connection, start)
        (entry,) = listed(self.server, servers=True)
        self.assertEqual((entry["kind"], entry["jid"], entry["state"], entry["mechanism"]), ("component", None, "login", None))
        self.assertEqual(listed(self.server, peer="rooms.example.org"), [])
        connection.stream.established = True
        (entry,) = listed(self.server, peer="rooms.example.org")
        self.assertEqual((entry["jid"], entry["state"], entry["mechanism"]), ("rooms.example.org", "component", "handshake"))
        self.assertEqual(len(listed(self.server, host="example.org")), 1)

    def connected(self, factory: ClientFactory) -> Any:
        """A connection of that factory's."""
        from tests.ctl.servers import UsualTransport

        connection = factory.buildProtocol(None)
        transport = UsualTransport()
        transport.protocol = connection  # type: ignore[attr-defined]
        connection.makeConnection(transport)
        return connection

    def test_clientCertificate(self) -> None:
        """The certificate of a client that has shown one."""
        connection = self.login("romeo")
        leaf = der(Authority("Encrypt Us").sign(curveKey(), [x509.DNSName("example.net")], start=NOW, end=NOW + 1))
        connection.stream.tls = TLSFacts("TLSv1.3", "x", peerCertificate=leaf)
        connection.stream.mechanism = "EXTERNAL"
        (entry,) = listed(self.server)
        self.assertEqual((entry["tls"], entry["proof"]), ("TLSv1.3", "PKIX"))
        self.assertEqual(entry["certificate"]["sha256"], x509.load_der_x509_certificate(leaf).fingerprint(SHA256()).hex())

    def test_unreadable(self) -> None:
        """Bytes that are no certificate are told as such, and can be had all the same."""
        self.assertEqual(certificateFacts(b"x"), {"unreadable": True})
        self.assertIn("BEGIN CERTIFICATE", certificateFacts(b"x", True)["pem"])

    def test_withoutServers(self) -> None:
        """Where nothing is exchanged with other servers there is no history."""
        ours = self.server.inspection
        self.assertIsNone(ours.peers)
        self.assertEqual(self.successResultOf(ours.domains()), ())
        self.assertIsNone(self.successResultOf(ours.history("example.net")))
        self.assertEqual(self.successResultOf(ours.acknowledge("example.net", "me")), 0)
        self.assertEqual(list(ours.found(servers=True)), [])

    def test_serverStates(self) -> None:
        """L{inspection.pairsOf}: a stream's pairs, be they heard or spoken."""
        stream: Any = SimpleNamespace(heard={("b.example", "a.example"): None}, spoken={("a.example", "c.example")})
        self.assertEqual(list(inspection.pairsOf(stream)), [("a.example", "b.example"), ("a.example", "c.example")])


@spec("mission", "T10")
class BindingTests(MemoryCase):
    """Logins that are bound to the channel."""

    @spec("RFC 7590", "3.6")
    def test_binding(self) -> None:
        """Which type of binding a login had is told; of others, that it had none."""
        server = self.serve(tls=True)
        client = server.connect()
        client.open()
        client.startTLS()
        client.open()
        assert client.tls is not None
        data = client.tls.export_keying_material(b"EXPORTER-Channel-Binding", 32, b"")
        self.assertSuccess(client.scram("romeo", mechanism="SCRAM-SHA-256-PLUS", binding=("tls-exporter", data)))
        (entry,) = listed(server.server)
        self.assertEqual(
            [entry[key] for key in ("tls", "mechanism", "channel_binding", "kind", "proof")],
            ["TLSv1.3", "SCRAM-SHA-256-PLUS", "tls-exporter", "c2s", None],
        )
        self.assertTrue(entry["cipher"].startswith("TLS_"))
