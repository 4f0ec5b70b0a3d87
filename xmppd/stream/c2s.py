"""
A client's stream, without I/O: header, features, restarts, and its end (RFC 6120 section 4).

Theory of operation
===================

Bytes go into L{ClientStream.dataReceived}; the parser turns them into events; each event goes to C{receive}, which is
always the one callable that is right for the state of the stream:

    - C{_awaitHeader}: a stream header is due. It is checked, answered, and the features are advertised.
    - C{_negotiate}: an element of some stream feature is due. Which features there are is data: each says which facts
      it requires and forbids, and which names it answers (house rule: "TLS before SASL" is a row, not an C{if}).
    - C{_backlog}: something is being waited for; events are kept.
    - the bound C{received} of a session: the stream is established and this module is out of the way.
    - C{_ignore}: the stream is closed, or TLS is about to begin: what came in the same chunk never acts.

A feature changes the facts ("tls", "authenticated", "bound") and the stream goes on from there.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from time import monotonic
from typing import TYPE_CHECKING, Any, Protocol

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from xmppd.ixmppd import (
    IAccount,
    IClientStream,
    IHost,
    IReception,
    ISession,
    IStreamFeature,
    IStreamTransport,
    TLSFacts,
)
from xmppd.stream.bounds import parserLimits
from xmppd.stream.stream import Stream
from xmppd.wire import ns
from xmppd.wire.cutting import Lookout
from xmppd.wire.element import escapeAttribute
from xmppd.wire.errors import PeerError, StanzaError, StreamCondition, StreamError
from xmppd.wire.jid import JIDMalformed, parse
from xmppd.wire.stanza import Stanza
from xmppd.wire.xmlstream import Event, StreamEnd, StreamHeader, XMLStreamParser

if TYPE_CHECKING:
    from twisted.internet.interfaces import IDelayedCall

log = Logger(namespace="xmppd.stream")

BACKLOG = 20_000
"""How many events may wait while the stream waits for something; reading is paused, so only one chunk's worth comes."""

SLICE = 32
"""After how many events it is looked at the time."""

SLICE_SECONDS = 0.01
"""How long one stream may act without a break."""

VERSION = (1, 0)
"""The version of XMPP that is spoken (RFC 6120 section 4.7.5)."""

HELD = 1_048_576
"""How many octets for a client may wait until its login is answered."""

LANGUAGE_LENGTH = 35
"""The longest language tag that is remembered (RFC 5646 section 4.4.1)."""


class StreamParser(Protocol):
    """
    What a stream wants of its parser: bytes in, events out. See L{XMLStreamParser}.
    """

    error: StreamError | None

    def feed(self, data: bytes) -> list[Event]:
        """Take bytes; answer what they complete."""

    def rest(self) -> None:
        """Hold less memory until more bytes come."""


def versionFor(header: StreamHeader | None) -> str:
    """
    The attribute C{version} of the answer to a header: the lower of both sides' versions, none to a header without
    (RFC 6120 section 4.7.5).
    """
    if header is not None and "version" not in header.attrs:
        return ""
    try:
        version = VERSION if header is None else min(VERSION, header.version)
    except StreamError:
        version = VERSION
    return f" version='{version[0]}.{version[1]}'"


def nothing(data: bytes) -> None:
    """Where the bytes go of those who write to a stream that has ended."""


@implementer(IClientStream)
class ClientStream(Stream):
    """
    One client's stream over its whole life, restarts included. See L{IClientStream}.

    @ivar receive: what the next event goes to.
    @ivar closed: whether our end tag has been sent.
    """

    __slots__ = (
        "__provides__",
        "__weakref__",
        "_backlog",
        "_headerSent",
        "_held",
        "_heldOctets",
        "_left",
        "_lookout",
        "_parser",
        "_resume",
        "_tries",
        "account",
        "address",
        "bytesIn",
        "channelBinding",
        "clock",
        "closed",
        "facts",
        "host",
        "language",
        "mechanism",
        "only",
        "receive",
        "reception",
        "sender",
        "session",
        "slots",
        "spotted",
        "stanzasIn",
        "tls",
        "transport",
        "write",
    )

    def __init__(self, transport: IStreamTransport, reception: IReception) -> None:
        self.transport = transport
        self.reception = reception
        self.clock = reception.clock
        self.address = transport.address
        self.id = ""
        self.host: IHost | None = None
        self.facts: set[str] = set()
        self.tls: TLSFacts | None = None
        self.account: IAccount | None = None
        self.session: ISession | None = None
        self.language: str | None = None
        self.mechanism: str | None = None
        self.channelBinding: str | None = None
        self.sender: str | None = None
        self.only: frozenset[str] | None = None
        self.slots: dict[str, Any] = {}
        self.closed = False
        self.bytesIn = 0
        self.stanzasIn = 0
        self.spotted = False
        self.write: Callable[[bytes], None] = transport.write
        self._lookout = Lookout(reception.watched) if reception.watched else None
        self._headerSent = False
        self._held: list[bytes] | None = None
        self._heldOctets = 0
        self._left = 1
        self._tries = 0
        self._waits = 0
        self._resume: Callable[[Any], None] | None = None
        self._backlog: list[Event] = []
        self._backlogError: StreamError | None = None
        self._parser: StreamParser | None = self._newParser()
        self.receive: Callable[[Any], None] = self._awaitHeader
        self._deadline: IDelayedCall | None = self.clock.callLater(
            reception.limits.unauthenticatedSeconds, self._tooSlow
        )

    def __repr__(self) -> str:
        return f"<ClientStream {self.id or '(new)'} from {self.address}>"

    # --- how the stream is framed; other framings than that of RFC 6120 replace these, and transmit

    def _newParser(self) -> StreamParser:
        """What turns the client's bytes into events, for one stream until its restart."""
        return XMLStreamParser(parserLimits(self.reception.limits))

    def _opening(self, attributes: str) -> bytes:
        """Our stream header."""
        namespaces = f" xmlns='{ns.CLIENT}' xmlns:stream='{ns.STREAMS}'"
        return f"<?xml version='1.0'?><stream:stream{namespaces}{attributes}>".encode()

    def _closing(self) -> bytes:
        """The end of our stream."""
        return b"</stream:stream>"

    # --- bytes and events

    def dataReceived(self, data: bytes) -> None:
        """Bytes from the client, decrypted."""
        parser = self._parser
        if parser is None:
            return
        self.bytesIn += len(data)
        if self._lookout is not None and self._lookout.sees(data):
            self._spot()
        try:
            events = parser.feed(data)
            self.stanzasIn += len(events)
            if len(events) > SLICE and not self._waits:
                self._bySlices(parser, events)
            else:
                for event in events:
                    self.receive(event)
                    if self._parser is not parser:
                        return  # the stream was restarted or closed: what came with the event never acts
        except PeerError as error:
            self._answer(error)
        except Exception:
            self._mistake(Failure())
        else:
            if parser.error is not None and self._parser is parser:
                self._wrong(parser.error)
            elif self._deadline is not None and self.bytesIn > self.reception.limits.unauthenticatedBytes:
                self.close(StreamError(StreamCondition.POLICY_VIOLATION, "Too much was sent before the login."))

    def _bySlices(self, parser: StreamParser | None, events: Sequence[Event]) -> None:
        """
        Act on many events; when that takes long the rest waits for another turn of the reactor, so that one peer's
        chunk never holds up everybody. Stops if the stream was restarted or closed.

        @raise PeerError: see L{dataReceived}.
        """
        begun = monotonic()
        for end in range(SLICE, len(events) + SLICE, SLICE):
            for event in events[end - SLICE : end]:
                self.receive(event)
                if self._parser is not parser:
                    return
            if end < len(events) and not self._waits and monotonic() - begun > SLICE_SECONDS:
                turn: Deferred[None] = Deferred()
                self.waitFor(turn)
                self._backlog = list(events[end:])
                self.clock.callLater(0, turn.callback, None)
                return

    def _spot(self) -> None:
        """What features look out for has come: in the bytes that are acted on next, or was there before a session."""
        self._lookout = None
        self.spotted = True
        if self.session is not None:
            self.session.host.hooks.spotted.notify(self.session)

    def _ignore(self, event: object) -> None:
        """Nothing acts any more."""

    # --- header and features

    def _awaitHeader(self, event: Event) -> None:
        if not isinstance(event, StreamHeader):
            raise StreamError(StreamCondition.BAD_FORMAT, "A stream header was due.")
        self.id = self.reception.entropy.token()
        language = event.language
        self.language = language if language is not None and len(language) <= LANGUAGE_LENGTH else None
        self.sender = event.sender
        try:
            host = self._hostFor(event)
        except StreamError as error:
            self._sendHeader(event, "")
            raise error
        self.host = host
        self._sendHeader(event, host.domain)
        if event.version < VERSION:
            raise StreamError(StreamCondition.UNSUPPORTED_VERSION, "XMPP 1.0 is spoken here.")
        self.receive = self._negotiate
        self._advertise(host)

    def _hostFor(self, header: StreamHeader) -> IHost:
        """The host a header addresses (RFC 6120 sections 4.7.2 and 4.9.3.6)."""
        if not header.to:
            raise StreamError(StreamCondition.IMPROPER_ADDRESSING, "The stream header has to say to which domain.")
        try:
            to = parse(header.to)
        except JIDMalformed:
            raise StreamError(StreamCondition.HOST_UNKNOWN) from None
        host = self.reception.host(to.domain) if to.isDomain else None
        if host is None:
            raise StreamError(StreamCondition.HOST_UNKNOWN)
        if self.host is not None and self.host is not host and "authenticated" in self.facts:
            raise StreamError(StreamCondition.NOT_AUTHORIZED, "The login was for another domain.")
        if host.stopping:
            raise StreamError(StreamCondition.SYSTEM_SHUTDOWN)
        return host

    def _sendHeader(self, header: StreamHeader | None, domain: str) -> None:
        """
        Our stream header (RFC 6120 section 4.7).

        @param header: the client's, or None if none has come.
        @param domain: the domain that was addressed; empty if it is not ours (section 4.9.1.3).
        """
        self._headerSent = True
        target = f" to='{escapeAttribute(header.sender)}'" if header is not None and header.sender else ""
        self.write(
            self._opening(
                f"{versionFor(header)} xml:lang='en' id='{self.id}' from='{escapeAttribute(domain)}'{target}"
            )
        )

    def _usable(self, host: IHost) -> list[IStreamFeature]:
        """The features whose conditions hold now."""
        facts = self.facts
        return [
            feature
            for feature in host.streamFeatures
            if feature.requires <= facts and feature.forbids.isdisjoint(facts)
        ]

    def _advertise(self, host: IHost) -> None:
        """Send what can be negotiated now (RFC 6120 section 4.3.2)."""
        self.write(self._features(host))

    def _features(self, host: IHost) -> bytes:
        """What can be negotiated now."""
        features = b"".join(feature.advertise(self) for feature in self._usable(host))
        for change in host.hooks.advertising.change:
            features = change(self, features)
        return b"<stream:features>" + features + b"</stream:features>" if features else b"<stream:features/>"

    def features(self) -> bytes:
        """See L{IClientStream}."""
        assert self.host is not None
        return self._features(self.host)

    def _negotiate(self, event: Event) -> None:
        """An element before the stream is established."""
        if isinstance(event, StreamEnd):
            self.close()
            return
        if not isinstance(event, Stanza):
            raise StreamError(StreamCondition.BAD_FORMAT)
        host = self.host
        assert host is not None
        name = event.name
        if event.kind == "iq" and len(event.childNames) == 1:
            name = event.childNames[0]
        if self.only is not None and name not in self.only:
            raise StreamError(StreamCondition.POLICY_VIOLATION, "The login is to be completed or aborted first.")
        known = False
        for feature in host.streamFeatures:
            if name not in feature.names:
                continue
            known = True
            if feature.requires <= self.facts and feature.forbids.isdisjoint(self.facts):
                self._run(feature, event)
                return
        if event.kind or known:
            raise StreamError(StreamCondition.NOT_AUTHORIZED, "That has to wait for its turn in the negotiation.")
        raise StreamError(StreamCondition.UNSUPPORTED_STANZA_TYPE)

    def _run(self, feature: IStreamFeature, stanza: Stanza) -> None:
        """Let a feature act; a stanza error answers the IQ it was about."""
        try:
            feature.negotiate(self, stanza)
        except StanzaError as error:
            if stanza.kind != "iq":
                raise
            if stanza.type not in ("result", "error"):  # nobody has asked
                self.transmit(stanza.error(error))

    # --- what features do to the stream

    def startTLS(self) -> None:
        """See L{IClientStream}."""
        assert self.host is not None
        self._restart()
        self.slots.clear()  # nothing that was learnt before TLS counts (RFC 6120 section 5.4.3.3)
        self.receive = self._ignore
        self._parser = None
        self.transport.startTLS(self.host.domain)

    def secured(self, tls: TLSFacts) -> None:
        """The TLS handshake is complete: a new stream is due (RFC 6120 section 5.4.3.3)."""
        self.tls = tls
        self.facts.add("tls")
        self._restart()

    def authenticated(self, account: IAccount, mechanism: str, restart: bool = True) -> None:
        """See L{IClientStream}."""
        self.account = account
        self.mechanism = mechanism
        self.reception.counters.logins.add(mechanism)
        self.facts.add("authenticated")
        self._tries = 0
        if restart:
            self._restart()
        assert self.host is not None
        self.host.hooks.authenticated.notify(self)

    def authenticationFailed(self, mechanism: str, name: str | None, reason: str, guess: bool = True) -> None:
        """See L{IClientStream}."""
        self._tries += 1
        if guess:
            self.reception.authenticationFailed(self.address)
        log.warn(
            "authentication failed: address={address} domain={domain} mechanism={mechanism} user={name!r}"
            " reason={reason}",
            address=self.address,
            domain=self.host.domain if self.host is not None else "",
            mechanism=mechanism,
            name=(name or "")[:255],
            reason=reason,
            stream=self.id,
        )
        if self._tries >= self.reception.limits.saslTries:
            self.close(StreamError(StreamCondition.POLICY_VIOLATION, "Too many failed logins."))

    def _restart(self) -> None:
        """A new stream header is due."""
        if self.closed:
            return
        self._headerSent = False
        self._backlogError = None
        self._parser = self._newParser()
        self.receive = self._awaitHeader

    def established(self, session: ISession) -> None:
        """See L{IClientStream}."""
        self.session = session
        self.facts.add("bound")
        self._cancelDeadline()
        self.receive = session.received
        if self.spotted:  # perhaps between the moment when the session was there and this one
            session.host.hooks.spotted.notify(session)

    def waitFor(self, deferred: Deferred[Any]) -> None:
        """See L{IClientStream}."""
        if deferred.called and not deferred.paused and not isinstance(deferred.result, Deferred):
            deferred.addErrback(self._waitFailed)
            return
        self._waits += 1
        if self._waits == 1:
            self.transport.pauseReading()
            self._resume = self.receive
            self.receive = self._keepForLater
        deferred.addErrback(self._waitFailed)
        deferred.addBoth(self._waited)

    def _keepForLater(self, event: Event) -> None:
        if len(self._backlog) >= BACKLOG:
            raise StreamError(StreamCondition.POLICY_VIOLATION, "Too much was sent at once.")
        self._backlog.append(event)

    def _waited(self, result: object) -> None:
        """Go on."""
        self._waits -= 1
        if self._waits:
            return
        if not self.closed:
            self._catchUp()
        self.transport.resumeReading()

    def _catchUp(self) -> None:
        """Act on what came while something was waited for."""
        before, self._resume = self._resume, None
        if self.receive == self._keepForLater and before is not None:
            self.receive = before
        backlog, self._backlog = self._backlog, []
        parser = self._parser
        if self.receive == self._awaitHeader:
            backlog = []  # sent for the stream before the restart
        try:
            self._bySlices(parser, backlog)
            error, self._backlogError = self._backlogError, None
            if error is not None and self._parser is parser:
                self._wrong(error)
        except PeerError as error:
            self._answer(error)
        except Exception:
            self._mistake(Failure())

    # --- to the client

    def transmit(self, stanza: Stanza) -> None:
        """See L{IClientStream}."""
        self.write(stanza.raw)

    def hold(self) -> None:
        """See L{IClientStream}."""
        if not self.closed:
            self._held, self._heldOctets = [], 0
            self.write = self._keep

    def _keep(self, data: bytes) -> None:
        """What C{write} is while it is held back."""
        assert self._held is not None
        self._heldOctets += len(data)
        if self._heldOctets > HELD:
            self.close(StreamError(StreamCondition.RESOURCE_CONSTRAINT, "Too much waits for the login to complete."))
        else:
            self._held.append(data)

    def release(self, *first: bytes) -> None:
        """See L{IClientStream}."""
        held, self._held = self._held or [], None
        if self.closed:
            return
        self.write = self.transport.write
        for data in (*first, *held):
            self.write(data)

    def unsent(self) -> int:
        """See L{IClientStream}. Of a stream that was closed: what was unsent just before the end tag."""
        return self._left if self.closed else self.transport.unsent()

    # --- time and end

    def rest(self) -> None:
        """Nothing has come for a while: hold less memory until something does."""
        if self._parser is not None:
            self._parser.rest()

    def _tooSlow(self) -> None:
        self._deadline = None
        self.close(StreamError(StreamCondition.CONNECTION_TIMEOUT, "The login took too long."))

    def close(self, error: StreamError | None = None) -> None:
        """See L{IClientStream}."""
        if self.closed:
            return
        if self.session is not None:
            self._left = self.transport.unsent()
        self.closed = True
        self._cancelDeadline()
        self.receive = self._ignore
        if self._held is not None:
            self._held = None
            self.write = self.transport.write
        if self._parser is not None:
            self._parser = None
            if not self._headerSent:
                self.id = self.reception.entropy.token()
                self._sendHeader(None, self.host.domain if self.host is not None else "")
            if error is not None:
                self.write(error.toBytes())
            self.write(self._closing())
        self.write = nothing  # whoever comes late has nothing to say behind the end of the stream
        session, self.session = self.session, None
        if session is not None:
            if error is not None and error.condition == StreamCondition.SYSTEM_SHUTDOWN:
                session.detached()  # can be resumed when the server is back
            else:
                session.end()
        elif self.account is not None:
            self.account.logout()
        self.transport.loseConnection()

    def unread(self, waiting: bytes) -> None:
        """
        The client doesn't read, and too much waits for it. A session that can be resumed waits for that: the
        connection just breaks, so that the client knows it may come back. Any other ends with its stream, and what has
        waited goes where things go that are for somebody who isn't there.

        @param waiting: whole elements that have not been sent.
        """
        session, self.session = self.session, None
        if session is None:
            self.transport.abortConnection()
            return
        settle = session.host.unread(session, waiting) if session.host.unread is not None else None
        session.detached()
        self.account = None
        if not session.over:
            self.transport.abortConnection()
            return
        self.close(StreamError(StreamCondition.POLICY_VIOLATION, "Too much waits for you to be read."))
        if settle is not None:
            settle()

    def connectionLost(self) -> None:
        """The connection is gone, by whichever end."""
        if self.closed:
            return
        self.closed = True
        self.write = nothing
        self._cancelDeadline()
        self._parser = None
        self.receive = self._ignore
        session, self.session = self.session, None
        if session is not None:
            session.detached()
        elif self.account is not None:
            self.account.logout()
