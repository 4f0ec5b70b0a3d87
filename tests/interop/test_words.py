"""
Twisted's own client, C{twisted.words.protocols.jabber.client}, against a whole server.

It knows PLAIN and ANONYMOUS of what the server offers; SCRAM is lent to it from C{scramp}, with the channel binding
that it has (C{tls-server-end-point}), so that neither side of the exchange is ours twice.
"""

from __future__ import annotations

import hashlib
from typing import Any

from OpenSSL import crypto
from scramp import ScramClient
from twisted.internet import reactor, ssl
from twisted.internet.defer import Deferred, inlineCallbacks
from twisted.internet.endpoints import TCP4ClientEndpoint
from twisted.trial.unittest import TestCase
from twisted.words.protocols.jabber import sasl, sasl_mechanisms
from twisted.words.protocols.jabber.client import (
    BindInitializer,
    CheckVersionInitializer,
    SessionInitializer,
    XMPPAuthenticator,
)
from twisted.words.protocols.jabber.error import StanzaError
from twisted.words.protocols.jabber.jid import JID
from twisted.words.protocols.jabber.xmlstream import (
    INIT_FAILED_EVENT,
    IQ,
    STREAM_AUTHD_EVENT,
    STREAM_END_EVENT,
    TLSInitiatingInitializer,
    XmlStreamFactory,
)
from twisted.words.xish import domish
from zope.interface import implementer

from tests.interop.daemon import ADDRESS, DEADLINE, DOMAIN, GUESTS, startDaemon
from tests.marks import spec


@implementer(sasl_mechanisms.ISASLMechanism)
class Scram:
    """SCRAM for Twisted's client."""

    def __init__(self, name: str, user: str, password: str, certificate: bytes) -> None:
        self.name = name
        binding = ("tls-server-end-point", hashlib.sha256(certificate).digest()) if name.endswith("-PLUS") else None
        self._client = ScramClient([name], user, password, channel_binding=binding)

    def getInitialResponse(self) -> bytes:
        """See L{sasl_mechanisms.ISASLMechanism}."""
        return self._client.get_client_first().encode()

    def getResponse(self, challenge: bytes) -> bytes:
        """See L{sasl_mechanisms.ISASLMechanism}."""
        self._client.set_server_first(challenge.decode())
        return self._client.get_client_final().encode()

    def verify(self, final: bytes) -> None:
        """
        Check that the server knows the password, too.

        @raise scramp.ScramException: it doesn't.
        """
        self._client.set_server_final(final.decode())


class ScramInitializer(sasl.SASLInitiatingInitializer):
    """Logs in with a mechanism of SCRAM."""

    def setMechanism(self) -> None:
        """See L{sasl.SASLInitiatingInitializer}."""
        authenticator = self.xmlstream.authenticator
        if authenticator.mechanism not in sasl.get_mechanisms(self.xmlstream):
            raise sasl.SASLNoAcceptableMechanism
        shown = crypto.dump_certificate(crypto.FILETYPE_ASN1, self.xmlstream.transport.getPeerCertificate())
        self.mechanism = Scram(authenticator.mechanism, authenticator.jid.user, authenticator.password, shown)

    def onSuccess(self, success: Any) -> None:
        """See L{sasl.SASLInitiatingInitializer}."""
        self.mechanism.verify(sasl.fromBase64(str(success)))
        super().onSuccess(success)


class Authenticator(XMPPAuthenticator):
    """Twisted's, but with a choice of mechanisms."""

    def __init__(self, jid: JID, password: str, tls: Any, mechanism: str | None) -> None:
        super().__init__(jid, password, tls)
        self.mechanism = mechanism
        self._tls = tls

    def associateWithStream(self, xs: Any) -> None:
        """See L{XMPPAuthenticator}."""
        super().associateWithStream(xs)
        if self.mechanism is not None:
            xs.initializers = [
                CheckVersionInitializer(xs),
                TLSInitiatingInitializer(xs, required=True, configurationForTLS=self._tls),
                ScramInitializer(xs, required=True),
                BindInitializer(xs, required=True),
                SessionInitializer(xs, required=False),
            ]


class Client:
    """
    Somebody with Twisted's client.

    @ivar received: the messages and presences that came.
    """

    def __init__(self, stream: Any) -> None:
        self.stream = stream
        self.received: list[Any] = []
        self._waiting: list[tuple[Any, Deferred[Any]]] = []
        for name in ("/message", "/presence", "/iq[@type='set']"):
            stream.addObserver(name, self._came)

    @property
    def jid(self) -> JID:
        """Its address."""
        return self.stream.authenticator.jid

    @property
    def version(self) -> str:
        """The version of TLS."""
        return str(self.stream.transport.getHandle().get_protocol_version_name())

    def _came(self, stanza: Any) -> None:
        self.received.append(stanza)
        for pair in tuple(self._waiting):
            if pair[0](stanza):
                self._waiting.remove(pair)
                pair[1].callback(stanza)

    def sees(self, what: Any) -> Deferred[Any]:
        """A Deferred of the first stanza that fits, of those that came or will come."""
        for stanza in self.received:
            if what(stanza):
                found: Deferred[Any] = Deferred()
                found.callback(stanza)
                return found
        waiting: Deferred[Any] = Deferred()
        self._waiting.append((what, waiting))
        return waiting

    def hears(self, body: str) -> Deferred[Any]:
        """A Deferred of the message with that body."""
        return self.sees(lambda stanza: stanza.name == "message" and str(stanza.body) == body)

    def sends(self, name: str, to: str | None = None, **attributes: str) -> Any:
        """Send a presence."""
        stanza = domish.Element(("jabber:client", name))
        if to is not None:
            stanza["to"] = to
        stanza.attributes.update(attributes)
        self.stream.send(stanza)

    def says(self, to: str, body: str) -> None:
        """Send a chat message."""
        message = domish.Element(("jabber:client", "message"))
        message["to"], message["type"] = to, "chat"
        message.addElement("body", content=body)
        self.stream.send(message)

    def asks(self, namespace: str, name: str = "query", kind: str = "get", to: str | None = None) -> tuple[Any, Any]:
        """An IQ to be completed, and its payload."""
        iq = IQ(self.stream, kind)
        if to is not None:
            iq["to"] = to
        return iq, iq.addElement((namespace, name))

    def leaves(self) -> Deferred[None] | None:
        """Close the stream; see L{leave}."""
        return leave(self.stream)


def leave(stream: Any) -> Deferred[None] | None:
    """Close a stream; fires when it is closed, and answers None if it is already."""
    if not stream.transport.connected:
        return None
    ended: Deferred[None] = Deferred()
    stream.addOnetimeObserver(STREAM_END_EVENT, lambda reason: ended.callback(None))
    stream.sendFooter()
    return ended


class WordsTests(TestCase):
    """Twisted's client against a whole server."""

    timeout = DEADLINE

    def setUp(self) -> None:
        """Start a server with two accounts."""
        self.daemon = startDaemon(self, expected=("authentication failed",))
        for name in ("romeo", "juliet"):
            self.daemon.addAccount(name)

    def connect(self, jid: str, password: str, mechanism: str | None = None) -> Deferred[Client]:
        """Log in."""
        address = JID(jid)
        certificate = (self.daemon.folder / "certs" / f"{address.host}.pem").read_bytes()
        trust = ssl.trustRootFromCertificates([ssl.Certificate.loadPEM(certificate)])
        tls = ssl.optionsForClientTLS(address.host, trustRoot=trust)
        factory = XmlStreamFactory(Authenticator(address, password, tls, mechanism))
        done: Deferred[Client] = Deferred()
        factory.addBootstrap(STREAM_AUTHD_EVENT, lambda stream: done.callback(Client(stream)))
        factory.addBootstrap(INIT_FAILED_EVENT, done.errback)
        connecting = TCP4ClientEndpoint(reactor, ADDRESS, self.daemon.port).connect(factory)
        connecting.addCallback(lambda stream: self.addCleanup(leave, stream))
        connecting.addErrback(done.errback)
        return done

    @spec("RFC 6120", "6.4", "7.6", "7.7")
    @spec("XEP-0440", "3")
    @inlineCallbacks
    def test_login(self) -> Any:
        """PLAIN, and each SCRAM with and without channel binding, over TLS 1.3 with a verified certificate."""
        names = [f"SCRAM-SHA-{hash}{plus}" for hash in (1, 256, 512) for plus in ("", "-PLUS")]
        for mechanism in (None, *names):
            client = yield self.connect("romeo@example.org/words", "romeo", mechanism)
            self.assertEqual((client.jid.full(), client.version), ("romeo@example.org/words", "TLSv1.3"))
            streams = [each["mechanism"] for each in self.daemon.streams() if each["jid"] == "romeo@example.org/words"]
            self.assertIn(mechanism or "PLAIN", streams)

    @inlineCallbacks
    def test_wrongPassword(self) -> Any:
        """Nobody with a wrong password, whichever the mechanism."""
        for mechanism in (None, "SCRAM-SHA-256", "SCRAM-SHA-512-PLUS"):
            error = yield self.assertFailure(self.connect("romeo@example.org", "wrong", mechanism), sasl.SASLAuthError)
            self.assertEqual(error.condition, "not-authorized")

    @spec("RFC 6121", "2.1.5", "3.1", "5.2", "8.5.2.1.1")
    @inlineCallbacks
    def test_conversation(self) -> Any:
        """A roster, a subscription, presence and messages, one of them offline."""
        romeo = yield self.connect("romeo@example.org/words", "romeo", "SCRAM-SHA-256")
        romeo.sends("presence")
        iq, query = romeo.asks("jabber:iq:roster")
        result = yield iq.send()
        self.assertEqual(list(result.query.elements()), [])
        iq, query = romeo.asks("jabber:iq:roster", kind="set")
        item = query.addElement("item")
        item["jid"], item["name"] = "juliet@example.org", "Julia"
        yield iq.send()
        push = yield romeo.sees(lambda stanza: stanza.name == "iq" and stanza.query.item["name"] == "Julia")
        self.assertEqual(push.query.item["subscription"], "none")
        romeo.sends("presence", "juliet@example.org", type="subscribe")
        romeo.says("juliet@example.org", "You're away & I am <here>")
        iq, query = romeo.asks("jabber:iq:roster")
        yield iq.send()  # answered when what came before has been dealt with: she is still away
        juliet = yield self.connect("juliet@example.org/words", "juliet")
        juliet.sends("presence")
        offline = yield juliet.hears("You're away & I am <here>")
        self.assertEqual((offline["from"], offline.delay.uri), ("romeo@example.org/words", "urn:xmpp:delay"))
        yield juliet.sees(lambda stanza: stanza.name == "presence" and stanza.getAttribute("type") == "subscribe")
        juliet.sends("presence", "romeo@example.org", type="subscribed")
        yield romeo.sees(lambda stanza: stanza.name == "presence" and stanza["from"] == "juliet@example.org/words")
        juliet.says("romeo@example.org/words", "So you are ☺")
        yield romeo.hears("So you are ☺")
        yield juliet.leaves()
        gone = yield romeo.sees(lambda stanza: stanza.getAttribute("type") == "unavailable")
        self.assertEqual(gone["from"], "juliet@example.org/words")

    @spec("RFC 6120", "8.2.3", "8.3.3.19")
    @inlineCallbacks
    def test_errors(self) -> Any:
        """What the server doesn't know, it says so."""
        romeo = yield self.connect("romeo@example.org/words", "romeo")
        for to in (None, DOMAIN, "romeo@example.org/nowhere", "juliet@example.org/words"):
            iq, _ = romeo.asks("nobody:knows", to=to)
            error = yield self.assertFailure(iq.send(), StanzaError)
            self.assertEqual((error.condition, error.type), ("service-unavailable", "cancel"))

    @spec("XEP-0175", "2")
    @inlineCallbacks
    def test_guests(self) -> Any:
        """Two guests talk; a host for accounts takes none."""
        one = yield self.connect(GUESTS, "")
        two = yield self.connect(GUESTS, "")
        self.assertNotEqual(one.jid.user, two.jid.user)
        one.says(two.jid.full(), "psst")
        heard = yield two.hears("psst")
        self.assertEqual(heard["from"], one.jid.full())
        yield self.assertFailure(self.connect(DOMAIN, ""), sasl.SASLNoAcceptableMechanism)
