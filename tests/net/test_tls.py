"""Tests for L{xmppd.net.tls}, and with real handshakes for L{xmppd.trust.tlspolicy}; no sockets."""

from __future__ import annotations

import datetime
import gc
import hashlib
import struct
import sys
from pathlib import Path
from typing import Any
from weakref import ref

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ed25519
from OpenSSL import SSL
from twisted.internet.interfaces import IHandshakeListener, IOpenSSLServerConnectionCreator
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer
from zope.interface.verify import verifyObject

from tests.marks import spec
from tests.trust.authority import (
    ALWAYS,
    CLIENT_ONLY,
    DAY,
    NOW,
    SERVER_ONLY,
    Authority,
    curveKey,
    der,
    keyPEM,
    pem,
    rsaKey,
)
from tests.trust.authority import name as commonName
from xmppd.net import tls as netTLS
from xmppd.net.tls import CLIENT_PROTOCOL, SERVER_PROTOCOL, NoCertificate, ServerTLS, TLSLayer, wrapDirect
from xmppd.trust import openssl
from xmppd.trust.certificates import CertificateError, loadCertificates
from xmppd.trust.tlspolicy import TLSPolicy, alpnSelector, peerVerified, serverEndPoint, tlsFacts

UNRECOGNIZED_NAME = 112
NO_APPLICATION_PROTOCOL = 120
PROTOCOL_VERSION = 70
HANDSHAKE_FAILURE = 40


def alert(code: int) -> bytes:
    """A fatal alert on the wire, before encryption; its version may be any of the TLS 1 family."""
    return struct.pack("!BHBB", 0x15, 2, 2, code)


def clientContext() -> SSL.Context:
    """A client that verifies nothing."""
    return SSL.Context(SSL.TLS_CLIENT_METHOD)


def tls12Context() -> SSL.Context:
    """A client of TLS 1.2."""
    context = clientContext()
    context.set_max_proto_version(SSL.TLS1_2_VERSION)
    return context


class Client:
    """A client of pyOpenSSL, joined to a L{TLSLayer}."""

    def __init__(
        self,
        creator: Any,
        name: str | None = None,
        context: SSL.Context | None = None,
        alpn: list[bytes] | None = None,
        session: SSL.Session | None = None,
    ) -> None:
        self.connection = SSL.Connection(context or clientContext())
        if name is not None:
            self.connection.set_tlsext_host_name(name.encode("ascii"))
        if alpn:
            self.connection.set_alpn_protos(alpn)
        if session is not None:
            self.connection.set_session(session)
        self.connection.set_connect_state()
        self.layer = TLSLayer(creator)
        self.plain = b""
        self.wire = b""

    def takeSent(self) -> bytes:
        """What the client has to send."""
        sent = b""
        try:
            while True:
                sent += self.connection.bio_read(65536)
        except SSL.WantReadError:
            return sent

    def turn(self) -> bool:
        """Carry octets once each way; whether there were any."""
        sent = self.takeSent()
        failure = None
        if sent:
            try:
                self.plain += self.layer.received(sent)
            except SSL.Error as error:
                failure = error
        answer = self.layer.outgoing()
        self.wire += answer
        if answer:
            self.connection.bio_write(answer)
        if failure is not None:
            raise failure
        return bool(sent or answer)

    def shake(self) -> Client:
        """Complete the handshake. Raises what the server raises, or else what the client raises."""
        for _ in range(10):
            try:
                self.connection.do_handshake()
            except SSL.WantReadError:
                pass
            if not self.turn():
                break
        return self

    def read(self) -> bytes:
        """All that the client can read."""
        received = b""
        try:
            while True:
                received += self.connection.recv(65536)
        except SSL.WantReadError:
            return received

    def shown(self) -> list[str]:
        """DNS names of the certificate that the client was shown."""
        certificate = self.connection.get_peer_certificate(as_cryptography=True)
        assert certificate is not None
        extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
        return extension.value.get_values_for_type(x509.DNSName)


THEN = datetime.datetime.fromtimestamp(NOW, datetime.UTC)


def selfSigned(key: Any, algorithm: Any) -> x509.Certificate:
    """A certificate that a key of any kind signed itself."""
    subject = commonName("a")
    return x509.CertificateBuilder(subject, subject, key.public_key(), 1, THEN, THEN).sign(key, algorithm)


class TLSCase(SynchronousTestCase):
    """Has a server with two domains."""

    root = Authority("root")
    policy: TLSPolicy | None = None

    def setUp(self) -> None:
        """Write certificates and make the server."""
        self.folder = Path(self.mktemp())
        self.folder.mkdir()
        self.root.write(self.folder, "a.example")
        self.root.write(self.folder, "b.example")
        self.clock = Clock()
        self.clock.advance(NOW)
        self.tls = ServerTLS(loadCertificates(self.folder, NOW), self.clock, self.policy)

    def stream(self, **options: Any) -> Client:
        """A client that has done STARTTLS on a stream to a.example."""
        return Client(self.tls.forStream("a.example"), **options).shake()

    def refused(self, client: Client, code: int) -> None:
        """The handshake fails on both sides, and the client is told why by an alert."""
        self.assertRaises(SSL.Error, client.shake)
        self.assertFalse(client.layer.established)
        self.assertEqual(client.wire[-7:-6] + client.wire[-4:], alert(code))
        self.assertEqual(client.wire[-6:-5], b"\x03")


@spec("mission", "T1")
class PolicyTests(TLSCase):
    """What TLS may be."""

    def test_tls13(self) -> None:
        """TLS 1.3 where both have it."""
        client = self.stream()
        self.assertEqual(client.connection.get_protocol_version_name(), "TLSv1.3")
        self.assertEqual(client.connection.get_cipher_name(), "TLS_AES_128_GCM_SHA256")

    def test_hybridGroup(self) -> None:
        """The key exchange that withstands quantum computers is used where both have it."""
        if SSL.OPENSSL_VERSION_NUMBER < 0x30500000:
            self.skipTest("this OpenSSL hasn't got it")
        self.assertEqual(self.stream().connection.get_group_name(), "X25519MLKEM768")

    def test_otherGroups(self) -> None:
        """X25519, P-256 and P-384 will do as well; P-521 won't."""
        for group in ("X25519", "P-256", "P-384"):
            context = clientContext()
            openssl.setGroups(context, group)
            self.assertTrue(self.stream(context=context).layer.established, group)
        context = clientContext()
        openssl.setGroups(context, "P-521")
        self.refused(Client(self.tls.forStream("a.example"), context=context), HANDSHAKE_FAILURE)

    def test_tls12(self) -> None:
        """TLS 1.2 with forward secrecy and authenticated encryption."""
        client = self.stream(context=tls12Context())
        self.assertEqual(client.connection.get_protocol_version_name(), "TLSv1.2")
        self.assertEqual(client.connection.get_cipher_name(), "ECDHE-ECDSA-AES128-GCM-SHA256")

    @spec("RFC 9325", "3.1.1")
    def test_tls11Refused(self) -> None:
        """A ClientHello of TLS 1.1 is answered by protocol_version."""
        suites = bytes.fromhex("c009c013002f")
        body = b"\x03\x02" + bytes(32) + b"\0" + struct.pack("!H", len(suites)) + suites + b"\x01\0"
        hello = b"\x01" + struct.pack("!I", len(body))[1:] + body
        layer = TLSLayer(self.tls.forStream("a.example"))
        self.assertRaises(SSL.Error, layer.received, b"\x16\x03\x01" + struct.pack("!H", len(hello)) + hello)
        answer = layer.outgoing()
        self.assertEqual(answer[:1] + answer[3:], alert(PROTOCOL_VERSION))

    @spec("RFC 9325", "4.1", "4.2")
    def test_suitesRefused(self) -> None:
        """Static RSA, finite-field Diffie-Hellman and CBC are refused, with RSA and ECDSA certificates."""
        self.root.write(self.folder, "a.example", key=rsaKey())
        for _ in range(2):
            for suite in (
                b"AES128-GCM-SHA256",
                b"AES256-SHA",
                b"DHE-RSA-AES128-GCM-SHA256",
                b"ECDHE-RSA-AES128-SHA256",
                b"ECDHE-ECDSA-AES256-SHA",
            ):
                context = tls12Context()
                context.set_cipher_list(suite + b":@SECLEVEL=0")
                self.refused(Client(self.tls.forStream("a.example"), context=context), HANDSHAKE_FAILURE)
            self.tls.reload(self.folder)
        context = tls12Context()
        self.assertEqual(self.stream(context=context).connection.get_cipher_name(), "ECDHE-RSA-AES128-GCM-SHA256")

    def test_serverPreference(self) -> None:
        """The server's order counts, but a client that prefers ChaCha20 gets it."""
        context = tls12Context()
        context.set_cipher_list(b"ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-ECDSA-AES128-GCM-SHA256")
        self.assertEqual(
            self.stream(context=context).layer.connection.get_cipher_name(), "ECDHE-ECDSA-AES128-GCM-SHA256"
        )
        context = clientContext()
        context.set_tls13_ciphersuites(b"TLS_CHACHA20_POLY1305_SHA256:TLS_AES_128_GCM_SHA256")
        self.assertEqual(
            self.stream(context=context).layer.connection.get_cipher_name(), "TLS_CHACHA20_POLY1305_SHA256"
        )

    @spec("RFC 9325", "3.5")
    def test_renegotiationRefused(self) -> None:
        """A client that wants to negotiate again doesn't get to; the stream lives on."""
        client = self.stream(context=tls12Context())
        client.connection.renegotiate()
        self.assertRaises(SSL.WantReadError, client.connection.do_handshake)
        client.turn()
        error = self.assertRaises(SSL.Error, client.connection.do_handshake)
        self.assertIn("no renegotiation", str(error))
        self.assertEqual(client.layer.connection.total_renegotiations(), 0)

    @spec("RFC 9325", "3.4")
    @spec("mission", "T6")
    def test_resumption(self) -> None:
        """A ticket resumes a session under TLS 1.3 and 1.2, without a cache here."""
        for context in (clientContext(), tls12Context()):
            first = self.stream(context=context)
            first.layer.sending(b"")
            first.connection.bio_write(first.layer.sending(b"x"))
            first.read()
            second = self.stream(context=context, session=first.connection.get_session())
            self.assertTrue(openssl.wasResumed(second.layer.connection))
            self.assertFalse(openssl.wasResumed(first.layer.connection))

    @spec("mission", "T6")
    def test_ticketsEnd(self) -> None:
        """After the life of the contexts there are new ticket keys: nothing resumes with the old."""
        context = clientContext()
        first = self.stream(context=context)
        first.read()
        self.clock.advance(TLSPolicy().contextLife + 1)
        second = self.stream(context=context, session=first.connection.get_session())
        self.assertFalse(openssl.wasResumed(second.layer.connection))
        self.assertTrue(second.layer.established)

    def test_ticketsOfAnotherDomain(self) -> None:
        """A session of a listener or of another domain isn't resumed after STARTTLS."""
        context = clientContext()
        for creator in (self.tls, self.tls.forStream("a.example")):
            first = Client(creator, "a.example", context).shake()
            first.read()
            second = Client(self.tls.forStream("b.example"), None, context, session=first.connection.get_session())
            self.assertFalse(openssl.wasResumed(second.shake().layer.connection))
            self.assertEqual(second.shown(), ["b.example"])

    @spec("mission", "T6")
    def test_listenerResumes(self) -> None:
        """On direct TLS every domain can resume."""
        for context in (clientContext(), tls12Context()):
            for name in ("a.example", "b.example"):
                first = Client(self.tls, name, context).shake()
                first.read()
                second = Client(self.tls, name, context, session=first.connection.get_session()).shake()
                self.assertTrue(openssl.wasResumed(second.layer.connection), name)
                self.assertEqual(second.shown(), [name])

    @spec("RFC 6066", "3")
    @spec("mission", "T6")
    def test_ticketsOfAnotherName(self) -> None:
        """
        On direct TLS a session is resumed neither under the name of another domain, nor without a name, nor under
        another name of the same certificate; the certificate shown is always the one for the name.
        """
        self.root.write(self.folder, "c.example", "c.example", "d.example")
        self.tls.reload(self.folder)
        for context in (clientContext(), tls12Context()):
            for made, used, shown in (
                ("a.example", "b.example", ["b.example"]),
                ("b.example", "a.example", ["a.example"]),
                ("a.example", None, ["a.example"]),
                ("b.example", None, ["a.example"]),
                (None, "a.example", ["a.example"]),
                ("c.example", "d.example", ["c.example", "d.example"]),
            ):
                first = Client(self.tls, made, context).shake()
                first.read()
                second = Client(self.tls, used, context, session=first.connection.get_session()).shake()
                self.assertFalse(openssl.wasResumed(second.layer.connection), (made, used))
                self.assertEqual(second.shown(), shown)
                self.assertEqual(second.layer.connection.get_servername(), used and used.encode())

    @spec("mission", "T6")
    def test_ticketsOfAnotherUse(self) -> None:
        """A session of the chat's listener isn't resumed by that of the web, where nobody is asked for a certificate."""
        for context in (clientContext(), tls12Context()):
            first = Client(self.tls, "a.example", context).shake()
            first.read()
            session = first.connection.get_session()
            second = Client(self.tls.forDirect(b"http/1.1"), "a.example", context, session=session).shake()
            self.assertFalse(openssl.wasResumed(second.layer.connection))

    @spec("mission", "T6")
    def test_ticketsOfAnotherStream(self) -> None:
        """After STARTTLS neither, if the streams are to two domains with one certificate."""
        self.root.write(self.folder, "c.example", "c.example", "d.example")
        self.tls.reload(self.folder)
        for context in (clientContext(), tls12Context()):
            first = Client(self.tls.forStream("c.example"), "c.example", context).shake()
            first.read()
            for domain, resumed in (("c.example", True), ("d.example", False)):
                session = first.connection.get_session()
                second = Client(self.tls.forStream(domain), domain, context, session=session).shake()
                self.assertIs(openssl.wasResumed(second.layer.connection), resumed)

    @spec("RFC 9325", "3.7")
    def test_nameUnreadable(self) -> None:
        """A hello whose name isn't served or can't be read is refused, also with a session made without a name."""
        for context in (clientContext(), tls12Context()):
            first = Client(self.tls, None, context).shake()
            first.read()
            session = first.connection.get_session()
            for name in ("nobody.example", "%" * 200):
                self.refused(Client(self.tls, name, context, session=session), UNRECOGNIZED_NAME)

    def test_contextsBounded(self) -> None:
        """A wildcard has any number of names, and contexts are kept for the latest of them only."""
        self.root.write(self.folder, "*.example")
        self.tls.reload(self.folder)
        self.patch(netTLS._Contexts, "most", 5)
        context = clientContext()
        for name in [f"{number}.example" for number in range(9)]:
            first = Client(self.tls, name, context).shake()
            first.read()
            second = Client(self.tls, name, context, session=first.connection.get_session()).shake()
            self.assertTrue(openssl.wasResumed(second.layer.connection))
        self.assertEqual(len(self.tls._contexts._named), 5)

    def test_intermediates(self) -> None:
        """The client gets the intermediate certificates too, and a root that is in the file (RFC 7671 section 5.2.2)."""
        middle = Authority("middle", self.root)
        path = middle.write(self.folder, "a.example")
        path.write_bytes(path.read_bytes() + pem(middle.certificate, self.root.certificate))
        self.tls.reload(self.folder)
        chain = self.stream().connection.get_peer_cert_chain(as_cryptography=True)
        self.assertEqual([each.subject.rfc4514_string() for each in chain or ()], ["CN=leaf", "CN=middle", "CN=root"])


class DirectTests(TLSCase):
    """SNI and ALPN on direct TLS."""

    def direct(self, name: str | None, alpn: list[bytes] | None = None) -> Client:
        """A client of the listener for clients."""
        return Client(self.tls.forDirect(CLIENT_PROTOCOL), name, alpn=alpn)

    def test_interfaces(self) -> None:
        """All creators provide the interface."""
        for creator in (self.tls, self.tls.forStream("a.example"), self.tls.forDirect(SERVER_PROTOCOL)):
            self.assertTrue(verifyObject(IOpenSSLServerConnectionCreator, creator))

    @spec("RFC 9325", "3.7")
    @spec("XEP-0368")
    def test_names(self) -> None:
        """Each name gets its certificate, under TLS 1.3 and 1.2."""
        for context in (clientContext(), tls12Context()):
            for name in ("a.example", "b.example", "B.EXAMPLE"):
                client = Client(self.tls, name, context).shake()
                self.assertEqual(client.shown(), [name.lower()])
                self.assertTrue(client.layer.established)

    @spec("RFC 9325", "3.7")
    def test_unknownName(self) -> None:
        """A name without a certificate is refused by unrecognized_name, silently."""
        for name in ("c.example", "127.0.0.1", "x" * 200):
            self.refused(self.direct(name), UNRECOGNIZED_NAME)
        self.assertEqual(self.flushLoggedErrors(), [])

    def test_noName(self) -> None:
        """Without SNI the first certificate is shown."""
        self.assertEqual(self.direct(None).shake().shown(), ["a.example"])

    @spec("RFC 9325", "3.8")
    @spec("RFC 7301", "3.2")
    def test_otherProtocol(self) -> None:
        """A client that offers other protocols only is refused by no_application_protocol, whatever it named."""
        for name in (None, "a.example", "b.example"):
            self.refused(self.direct(name, [b"h2", b"http/1.1"]), NO_APPLICATION_PROTOCOL)
            self.refused(self.direct(name, [SERVER_PROTOCOL]), NO_APPLICATION_PROTOCOL)

    @spec("XEP-0368")
    def test_protocol(self) -> None:
        """A client that offers ours gets it; one that offers nothing is accepted."""
        client = self.direct("b.example", [b"h2", CLIENT_PROTOCOL]).shake()
        self.assertEqual(tlsFacts(client.layer.connection).alpn, "xmpp-client")
        self.assertIsNone(tlsFacts(self.direct("b.example").shake().layer.connection).alpn)

    def test_protocols(self) -> None:
        """Each listener has its own protocols."""
        client = Client(self.tls.forDirect(SERVER_PROTOCOL), "a.example", alpn=[CLIENT_PROTOCOL, SERVER_PROTOCOL])
        self.assertEqual(client.shake().connection.get_alpn_proto_negotiated(), SERVER_PROTOCOL)

    def test_retry(self) -> None:
        """SNI works when the client has to send a second ClientHello."""
        context = clientContext()
        openssl.setGroups(context, "P-521:P-384")
        client = Client(self.tls, "b.example", context, [CLIENT_PROTOCOL]).shake()
        self.assertEqual(client.shown(), ["b.example"])
        self.assertEqual(client.connection.get_alpn_proto_negotiated(), CLIENT_PROTOCOL)

    def test_noCertificates(self) -> None:
        """Without any certificate there is no connection."""
        self.assertRaises(NoCertificate, ServerTLS({}, self.clock).serverConnectionForTLS, None)

    def test_publicHook(self) -> None:
        """With a pyOpenSSL whose callback can't be replaced a name is refused as well, if noisily."""
        hooked: list[Any] = []
        self.patch(sys, "excepthook", lambda *arguments: hooked.append(arguments))
        self.patch(openssl, "lib", object())
        tls = ServerTLS(self.tls.certificates, self.clock)
        creator = tls.forDirect(CLIENT_PROTOCOL)
        connection = creator.serverConnectionForTLS(None)
        connection.set_accept_state()
        client = SSL.Connection(clientContext())
        client.set_tlsext_host_name(b"c.example")
        client.set_connect_state()
        self.assertRaises(SSL.WantReadError, client.do_handshake)
        connection.bio_write(client.bio_read(65536))
        self.assertRaises(SSL.Error, connection.do_handshake)
        self.assertEqual(len(hooked), 1)
        self.assertEqual(connection.bio_read(65536)[-1], UNRECOGNIZED_NAME)


class StreamTests(TLSCase):
    """STARTTLS: the stream's C{to} decides."""

    def test_domain(self) -> None:
        """The stream's domain decides, in any form."""
        self.assertEqual(Client(self.tls.forStream("B.example")).shake().shown(), ["b.example"])

    @spec("RFC 7590", "3.5")
    def test_serverNameIgnored(self) -> None:
        """SNI with another name, known or not, changes nothing; it is noted."""
        for name in ("a.example", "b.example", "machine7.example"):
            client = self.stream(name=name)
            self.assertEqual(client.shown(), ["a.example"])

    def test_protocolIgnored(self) -> None:
        """ALPN isn't looked at."""
        client = self.stream(alpn=[b"h2"])
        self.assertEqual(client.connection.get_alpn_proto_negotiated(), b"")

    def test_noCertificate(self) -> None:
        """A domain without certificate can't do STARTTLS."""
        self.assertIsNone(self.tls.certificateFor("c.example"))
        self.assertRaises(NoCertificate, self.tls.forStream("c.example").serverConnectionForTLS, None)


class ReloadTests(TLSCase):
    """Other certificates while the server runs."""

    def serial(self) -> int:
        """The serial number of the certificate for a.example."""
        certificate = self.stream().connection.get_peer_certificate(as_cryptography=True)
        assert certificate is not None
        return certificate.serial_number

    def test_renewed(self) -> None:
        """New connections get the new certificate, by creators made earlier too; old ones live on."""
        creator = self.tls.forStream("a.example")
        old = Client(creator).shake()
        self.root.write(self.folder, "a.example", end=NOW + 9 * DAY)
        self.assertEqual(list(self.tls.reload(self.folder)), [])
        new = Client(creator).shake()
        self.assertNotEqual(
            old.connection.get_peer_certificate(as_cryptography=True),
            new.connection.get_peer_certificate(as_cryptography=True),
        )
        for client in (old, new):
            client.connection.send(b"still here")
            client.turn()
            self.assertEqual(client.plain, b"still here")

    def test_duringHandshake(self) -> None:
        """A handshake that has begun ends with what it began with."""
        client = Client(self.tls, "b.example")
        self.assertRaises(SSL.WantReadError, client.connection.do_handshake)
        self.root.write(self.folder, "b.example", "new.example")
        self.tls.reload(self.folder)
        gc.collect()
        self.assertEqual(client.shake().shown(), ["b.example"])

    def test_broken(self) -> None:
        """One broken file keeps all that was there and says what is wrong."""
        before = self.serial()
        self.root.write(self.folder, "a.example")
        path = self.folder / "b.example.pem"
        for data in (b"", path.read_bytes()[:300], keyPEM(curveKey()) + pem(self.root.certificate)):
            path.write_bytes(data)
            (problem,) = self.tls.reload(self.folder)
            self.assertEqual(problem.path, path)
            self.assertEqual(self.serial(), before)
            self.assertEqual(set(self.tls.certificates), {"a.example", "b.example"})

    def test_gone(self) -> None:
        """An empty folder, or none, keeps all that was there."""
        empty = self.folder / "empty"
        empty.mkdir()
        self.assertEqual([each.what for each in self.tls.reload(empty)], ["has no certificates"])
        self.assertEqual(len(self.tls.reload(self.folder / "none")), 1)
        self.assertTrue(self.stream().layer.established)

    def test_refusedByOpenSSL(self) -> None:
        """A certificate that loads but that OpenSSL won't serve with keeps the old ones."""
        before = self.serial()
        self.root.write(self.folder, "b.example")
        broken = {**self.tls.certificates}

        def refuse(*arguments: Any) -> None:
            raise SSL.Error([("SSL routines", "", "ca md too weak")])

        self.patch(netTLS, "serverContext", refuse)
        error = self.assertRaises(CertificateError, self.tls.replace, broken)
        self.assertIn("is refused by OpenSSL (ca md too weak)", str(error))
        self.assertEqual(len(self.tls.reload(self.folder)), 1)
        self.assertEqual(self.serial(), before)

    def test_warnings(self) -> None:
        """What is wrong without being fatal is told, and the new certificate is in use."""
        before = self.serial()
        self.root.write(self.folder, "a.example", start=NOW - 2 * DAY, end=NOW - DAY)
        self.assertEqual([each.what for each in self.tls.reload(self.folder)], ["has expired"])
        self.assertNotEqual(self.serial(), before)

    def test_oldContextsGo(self) -> None:
        """What nobody uses any more is freed, and of what a connection uses only its own is kept."""
        client = Client(self.tls, "b.example").shake()
        old, other = ref(self.tls._contexts), ref(self.tls._contexts.forDomain("a.example"))
        own = ref(client.layer.connection.get_context())
        self.tls.reload(self.folder)
        gc.collect()
        self.assertEqual((old(), other()), (None, None))
        self.assertIsNotNone(own())
        del client
        gc.collect()
        self.assertIsNone(own())


@spec("mission", "T16")
class FactsTests(TLSCase):
    """What a handshake came to."""

    def exported(self, client: Client) -> bytes:
        """The client's own tls-exporter."""
        return client.connection.export_keying_material(b"EXPORTER-Channel-Binding", 32, b"")

    def certificate(self, client: Client) -> bytes:
        """The certificate that the client was shown."""
        certificate = client.connection.get_peer_certificate(as_cryptography=True)
        assert certificate is not None
        return der(certificate)

    @spec("RFC 9266", "2")
    @spec("RFC 5929", "4.1")
    def test_tls13(self) -> None:
        """Under TLS 1.3: exporter and end-point, equal on both sides, and no tls-unique."""
        client = self.stream(name="sni.example")
        facts = tlsFacts(client.layer.connection)
        self.assertEqual((facts.version, facts.cipher), ("TLSv1.3", "TLS_AES_128_GCM_SHA256"))
        self.assertEqual(
            facts.channelBindings,
            {
                "tls-exporter": self.exported(client),
                "tls-server-end-point": hashlib.sha256(self.certificate(client)).digest(),
            },
        )
        self.assertIsNone(facts.peerCertificate)
        self.assertFalse(facts.peerVerified)

    def test_serverName(self) -> None:
        """The name asked for is noted, on direct TLS and on STARTTLS."""
        self.assertEqual(tlsFacts(Client(self.tls, "b.example").shake().layer.connection).serverName, "b.example")
        self.assertIsNone(tlsFacts(self.stream().layer.connection).serverName)

    @spec("RFC 9266", "2", "4.2")
    @spec("RFC 5929", "3")
    def test_tls12(self) -> None:
        """Under TLS 1.2 with extended master secret: all three, and tls-unique is the client's Finished."""
        client = self.stream(context=tls12Context())
        bindings = tlsFacts(client.layer.connection).channelBindings
        self.assertEqual(set(bindings), {"tls-exporter", "tls-server-end-point", "tls-unique"})
        self.assertEqual(bindings["tls-exporter"], self.exported(client))
        self.assertEqual(bindings["tls-unique"], client.connection.get_finished())
        self.assertNotEqual(
            bindings["tls-exporter"],
            client.connection.export_keying_material(b"EXPORTER-Channel-Binding", 32, None),
        )

    @spec("RFC 5929", "3")
    def test_resumed(self) -> None:
        """When a session of TLS 1.2 is resumed tls-unique is the server's Finished, which then comes first."""
        context = tls12Context()
        first = self.stream(context=context)
        second = self.stream(context=context, session=first.connection.get_session())
        self.assertTrue(openssl.wasResumed(second.layer.connection))
        bindings = tlsFacts(second.layer.connection).channelBindings
        self.assertEqual(bindings["tls-unique"], second.connection.get_peer_finished())

    @spec("RFC 7627", "1")
    def test_noExtendedMasterSecret(self) -> None:
        """Without extended master secret neither exporter nor tls-unique is sound."""
        context = tls12Context()
        context.set_options(1 << 0)  # SSL_OP_NO_EXTENDED_MASTER_SECRET
        bindings = tlsFacts(self.stream(context=context).layer.connection).channelBindings
        self.assertEqual(set(bindings), {"tls-server-end-point"})

    @spec("RFC 5929", "4.1")
    def test_endPointHash(self) -> None:
        """The hash is the signature's, SHA-256 instead of SHA-1, and none for Ed25519."""
        key = curveKey()
        for algorithm, name in ((hashes.SHA384(), "sha384"), (hashes.SHA512(), "sha512"), (hashes.SHA256(), "sha256")):
            data = der(self.root.sign(key, algorithm=algorithm))
            self.assertEqual(serverEndPoint(data), hashlib.new(name, data).digest())
        edKey = ed25519.Ed25519PrivateKey.generate()
        data = der(self.root.sign(edKey))
        self.assertEqual(serverEndPoint(data), hashlib.sha256(data).digest(), "the signature counts, not the key")
        self.assertIsNone(serverEndPoint(der(selfSigned(edKey, None))))
        self.assertIsNone(serverEndPoint(b""))
        self.assertIsNone(serverEndPoint(b"nonsense"))

    @spec("RFC 5929", "4.1")
    def test_endPointSHA1(self) -> None:
        """A certificate signed with SHA-1 is hashed with SHA-256."""
        # Nobody signs with SHA-1 any more, so the algorithm's name is replaced; the signature isn't looked at.
        data = der(selfSigned(rsaKey(), hashes.SHA256()))
        withSHA1 = data.replace(bytes.fromhex("2a864886f70d01010b"), bytes.fromhex("2a864886f70d010105"))
        self.assertEqual(serverEndPoint(withSHA1), hashlib.sha256(withSHA1).digest())

    def test_aboutAnotherCertificate(self) -> None:
        """The certificate can be named by the caller."""
        data = der(self.root.certificate)
        facts = tlsFacts(self.stream().layer.connection, data)
        self.assertEqual(facts.channelBindings["tls-server-end-point"], hashlib.sha256(data).digest())

    def test_selector(self) -> None:
        """The server's order of protocols counts."""
        self.assertEqual(alpnSelector([b"a", b"b"])(None, [b"b", b"a"]), b"a")  # type: ignore[arg-type]


class ClientCertificateTests(TLSCase):
    """Client certificates: asked for, tolerated, noted."""

    def setUp(self) -> None:
        """Trust the root for client certificates."""
        authorities = Path(self.mktemp())
        authorities.write_bytes(pem(self.root.certificate))
        self.policy = TLSPolicy(clientAuthorities=authorities)
        super().setUp()

    def with_(
        self,
        authority: Authority,
        context: SSL.Context | None = None,
        creator: Any = None,
        name: str | None = None,
        **options: Any,
    ) -> Client:
        """A client that shows a certificate, if it is asked for one."""
        key = curveKey()
        context = context or clientContext()
        options = {"start": 0, "end": ALWAYS, **options}
        context.use_certificate(authority.sign(key, [x509.DNSName("c")], **options))
        context.use_privatekey(key)
        return Client(creator or self.tls.forStream("a.example"), name, context).shake()

    @spec("XEP-0178", "2")
    def test_verified(self) -> None:
        """A certificate of a trusted authority is verified, under both versions."""
        for context in (clientContext(), tls12Context()):
            client = self.with_(self.root, context)
            facts = tlsFacts(client.layer.connection)
            self.assertTrue(facts.peerVerified)
            self.assertEqual(facts.peerCertificate, der(client.connection.get_certificate(as_cryptography=True)))

    def test_none(self) -> None:
        """No certificate is no failure, and no verification."""
        facts = tlsFacts(self.stream().layer.connection)
        self.assertFalse(facts.peerVerified)
        self.assertIsNone(facts.peerCertificate)

    def test_unverified(self) -> None:
        """A certificate of somebody else, or an expired one, is noted as not verified; the handshake succeeds."""
        for client in (
            self.with_(Authority("root")),
            self.with_(Authority("other")),
            self.with_(self.root, start=0, end=DAY),
            self.with_(Authority("middle", Authority("root"))),
        ):
            facts = tlsFacts(client.layer.connection)
            self.assertTrue(client.layer.established)
            self.assertFalse(facts.peerVerified)
            self.assertIsNotNone(facts.peerCertificate)

    def test_purpose(self) -> None:
        """A certificate for servers is accepted from a client."""
        self.assertTrue(peerVerified(self.with_(self.root, usages=SERVER_ONLY).layer.connection))
        self.assertTrue(peerVerified(self.with_(self.root, usages=CLIENT_ONLY).layer.connection))

    def test_purposeIsNoExcuse(self) -> None:
        """The wrong purpose doesn't hide another failure."""
        client = self.with_(Authority("other"), usages=SERVER_ONLY)
        self.assertFalse(peerVerified(client.layer.connection))

    def test_authoritiesGone(self) -> None:
        """When contexts are due to be made anew and the file has gone, those that there are go on."""
        assert self.policy.clientAuthorities is not None
        self.policy.clientAuthorities.unlink()
        self.clock.advance(self.policy.contextLife)
        self.assertTrue(peerVerified(self.with_(self.root).layer.connection))
        self.assertRaises(CertificateError, self.tls.replace, self.tls.certificates)

    @spec("XEP-0178", "2")
    def test_direct(self) -> None:
        """Direct TLS for clients of XMPP asks, too, whatever name they ask for."""
        for name in (None, "a.example", "b.example"):
            client = self.with_(self.root, creator=self.tls.forDirect(CLIENT_PROTOCOL), name=name)
            self.assertTrue(tlsFacts(client.layer.connection).peerVerified)

    def test_browsers(self) -> None:
        """A listener for browsers doesn't ask, whatever name they ask for; their sessions are resumed."""
        web = self.tls.forDirect(b"http/1.1")
        for make in (clientContext, tls12Context):
            for name in (None, "a.example", "b.example"):
                context = make()
                client = self.with_(self.root, context, creator=web, name=name)
                self.assertEqual(client.connection.get_client_ca_list(), [])
                self.assertIsNone(tlsFacts(client.layer.connection).peerCertificate)
                client.read()
                again = Client(web, name, context, session=client.connection.get_session()).shake()
                self.assertTrue(openssl.wasResumed(again.layer.connection))

    def test_notResumed(self) -> None:
        """A session isn't resumed, since its certificate wouldn't be looked at again."""
        for context in (clientContext(), tls12Context()):
            first = self.with_(Authority("other"), context)
            first.read()
            second = self.stream(context=context, session=first.connection.get_session())
            self.assertFalse(openssl.wasResumed(second.layer.connection))
            self.assertFalse(peerVerified(second.layer.connection))


class LayerTests(TLSCase):
    """Octets in, octets out."""

    def test_bothWays(self) -> None:
        """Any amount passes, in any pieces."""
        client = self.stream()
        for size in (1, 100, 5000, 16384, 16385, 100_000, 3):
            data = bytes(range(256)) * (size // 256 + 1)
            data = data[:size]
            client.connection.bio_write(client.layer.sending(data))
            self.assertEqual(client.read(), data)
            sent = 0
            while sent < len(data):
                sent += client.connection.send(data[sent : sent + 16384])
            wire = client.takeSent()
            cut = len(wire) // 3
            plain = client.layer.received(wire[:cut]) + client.layer.received(wire[cut:])
            self.assertEqual(plain, data)
            self.assertEqual(client.layer.outgoing(), b"")

    def test_singleOctets(self) -> None:
        """A handshake and a stanza in single octets."""
        client = Client(self.tls.forStream("a.example"))
        plain = b""
        for _ in range(6):
            try:
                client.connection.do_handshake()
                if not plain:
                    client.connection.send(b"<a/>")
            except SSL.WantReadError:
                pass
            for octet in client.takeSent():
                plain += client.layer.received(bytes([octet]))
                answer = client.layer.outgoing()
                if answer:
                    client.connection.bio_write(answer)
        self.assertTrue(client.layer.established)
        self.assertEqual(plain, b"<a/>")

    def test_withFinished(self) -> None:
        """What comes in one piece with the end of the handshake isn't left behind."""
        client = Client(self.tls.forStream("a.example"))
        self.assertRaises(SSL.WantReadError, client.connection.do_handshake)
        client.turn()
        client.connection.do_handshake()
        client.connection.send(b"<stream>")
        client.turn()
        self.assertEqual(client.plain, b"<stream>")

    def test_empty(self) -> None:
        """Nothing in, nothing out."""
        layer = self.stream().layer
        self.assertEqual(layer.received(b""), b"")
        self.assertEqual(layer.sending(b""), b"")
        self.assertEqual(layer.outgoing(), b"")

    def test_peerEnds(self) -> None:
        """close_notify is noticed, after what came before it."""
        client = self.stream()
        client.connection.send(b"</stream>")
        client.connection.shutdown()
        client.turn()
        self.assertEqual(client.plain, b"</stream>")
        self.assertTrue(client.layer.ended)

    def test_close(self) -> None:
        """We end our side by close_notify."""
        client = self.stream()
        client.connection.bio_write(client.layer.close())
        self.assertRaises(SSL.ZeroReturnError, client.connection.recv, 10)

    def test_closeBefore(self) -> None:
        """Before the handshake there is nothing to end."""
        self.assertEqual(TLSLayer(self.tls.forStream("a.example")).close(), b"")

    def test_noise(self) -> None:
        """What isn't TLS raises, before and after the handshake, and leaves an alert; nothing else is harmed."""
        other = self.stream()
        fresh = TLSLayer(self.tls.forStream("a.example"))
        self.assertRaises(SSL.Error, fresh.received, b"GET / HTTP/1.1\r\n\r\n" * 9)
        client = self.stream()
        client.connection.send(b"x" * 50)
        wire = bytearray(client.takeSent())
        wire[-1] ^= 1
        self.assertRaises(SSL.Error, client.layer.received, bytes(wire))
        self.assertTrue(client.layer.outgoing())
        self.assertRaises(SSL.Error, client.layer.received, b"more")
        other.connection.send(b"fine")
        other.turn()
        self.assertEqual(other.plain, b"fine")

    def test_sendingTooSoon(self) -> None:
        """Nothing is sent before the handshake is complete."""
        self.assertRaises(SSL.Error, TLSLayer(self.tls.forStream("a.example")).sending, b"secret")

    def test_buffersRenewed(self) -> None:
        """After a lot of traffic a connection gives the memory between back, and goes on."""
        renewed: list[SSL.Connection] = []
        real = openssl.renewBuffers

        def renew(connection: SSL.Connection) -> None:
            renewed.append(connection)
            real(connection)

        self.patch(netTLS, "renewBuffers", renew)
        client = self.stream()
        del renewed[:]
        client.connection.bio_write(client.layer.sending(b"x" * 5000))
        self.assertEqual(len(renewed), 1)
        client.connection.send(b"y" * 5000)
        client.turn()
        self.assertEqual(len(renewed), 2)
        self.assertEqual((client.read(), client.plain), (b"x" * 5000, b"y" * 5000))
        client.connection.send(b"z")
        client.turn()
        self.assertEqual(len(renewed), 2)


@implementer(IHandshakeListener)
class Listener(Protocol):
    """Notes what happens."""

    def __init__(self) -> None:
        self.events: list[Any] = []

    def handshakeCompleted(self) -> None:
        """Note the facts."""
        self.events.append(tlsFacts(self.transport.getHandle()))  # type: ignore[union-attr]

    def dataReceived(self, data: bytes) -> None:
        """Note and answer."""
        self.events.append(data)
        assert self.transport is not None
        self.transport.write(b"echo")


class WrapDirectTests(TLSCase):
    """Direct TLS by Twisted's own layer."""

    def test_wrapped(self) -> None:
        """The protocol hears of the handshake, and then speaks plain text."""
        factory = Factory.forProtocol(Listener)
        wrapped = wrapDirect(factory, self.tls, self.clock)
        protocol = wrapped.buildProtocol(None)
        transport = StringTransport()
        protocol.makeConnection(transport)
        client = SSL.Connection(clientContext())
        client.set_tlsext_host_name(b"b.example")
        client.set_connect_state()
        self.assertRaises(SSL.WantReadError, client.do_handshake)
        protocol.dataReceived(client.bio_read(65536))
        client.bio_write(transport.value())
        transport.clear()
        client.do_handshake()
        protocol.dataReceived(client.bio_read(65536))
        client.send(b"hello")
        protocol.dataReceived(client.bio_read(65536))
        self.clock.advance(0)
        client.bio_write(transport.value())
        facts, data = protocol.wrappedProtocol.events
        self.assertEqual((facts.serverName, data, client.recv(100)), ("b.example", b"hello", b"echo"))

    def test_refused(self) -> None:
        """Refusals reach the client as alerts through Twisted too, without a traceback."""
        for name, alpn, code in (
            (b"c.example", CLIENT_PROTOCOL, UNRECOGNIZED_NAME),
            (b"a.example", b"h2", NO_APPLICATION_PROTOCOL),
        ):
            protocol = wrapDirect(Factory.forProtocol(Listener), self.tls, self.clock).buildProtocol(None)
            transport = StringTransport()
            protocol.makeConnection(transport)
            client = SSL.Connection(clientContext())
            client.set_tlsext_host_name(name)
            client.set_alpn_protos([alpn])
            client.set_connect_state()
            self.assertRaises(SSL.WantReadError, client.do_handshake)
            protocol.dataReceived(client.bio_read(65536))
            self.assertEqual(transport.value()[-1], code)
            self.assertTrue(transport.disconnecting)
        self.assertEqual(self.flushLoggedErrors(), [])
