"""
A stream between servers, without I/O: what both directions have in common (RFC 6120 section 4, XEP-0220, XEP-0288).

Theory of operation
===================

Bytes go into L{ServerStream.dataReceived}; the parser turns them into events; each goes to C{receive}, which is the
callable that is right for the state of the stream. L{xmppd.stream.incoming} and L{xmppd.stream.outgoing} say which
states there are in their direction. While something is waited for (who holds a certificate, say) events are kept and
reading is paused.

A stream carries stanzas between I{pairs} of domains, and each pair is proven for itself:

    - C{heard}: from which remote domain to which of ours stanzas are taken, and the verdict that allows it.
      Nothing that comes is believed but what stands here.
    - C{spoken}: from which of our domains to which remote domain stanzas may be sent.

An incoming stream hears and an outgoing one speaks, unless both servers have agreed to use it in both directions
(XEP-0288); then it does the other thing too.

What the streams want of the server around them is L{Premises}: policy, proofs, keys, and somebody to take the stanzas.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from time import monotonic
from typing import TYPE_CHECKING, Any, Final, Protocol

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from xmppd.ixmppd import IClock, IEntropy, IStreamTransport, TLSFacts
from xmppd.stream.acks import NAMES, Acknowledgements
from xmppd.stream.bounds import parserLimits
from xmppd.stream.dialback import RESULT, VERIFY, Dialback
from xmppd.stream.stream import Stream
from xmppd.wire import ns
from xmppd.wire.element import escapeAttribute
from xmppd.wire.errors import (
    PeerError,
    SASLError,
    StanzaCondition,
    StanzaError,
    StreamCondition,
    StreamError,
)
from xmppd.wire.jid import JIDMalformed, parse, prepareDomain
from xmppd.wire.stanza import Stanza
from xmppd.wire.xmlstream import Event, XMLStreamParser

if TYPE_CHECKING:
    from twisted.internet.interfaces import IDelayedCall

log = Logger(namespace="xmppd.s2s")

BACKLOG: Final = 20_000
"""How many events may wait while the stream waits for something; reading is paused, so only one chunk's worth comes."""

SLICE: Final = 32
"""After how many events it is looked at the time."""

SLICE_SECONDS: Final = 0.01
"""How long one stream may act without a break."""

BIDI: Final = ns.BIDI + " bidi"
ERROR: Final = ns.STREAMS + " error"


class Verdict(Protocol):
    """
    What is known about who is at the other end, see L{xmppd.trust.verdict.Verdict}.
    """

    @property
    def accepted(self) -> bool:
        """Whether stanzas may pass."""

    @property
    def authenticated(self) -> bool:
        """Whether the peer's certificate proves who it is."""

    @property
    def prooftype(self) -> str:
        """The proof that counts, by name."""

    @property
    def notice(self) -> str:
        """What senders are told of why weak identity isn't enough, as a sentence; empty if that isn't why."""

    def summary(self) -> str:
        """One line for logs."""


class Premises(Protocol):
    """
    The server around its streams to other servers. One per process.

    @ivar limits: L{xmppd.config.Limits}, with the paces of servers.
    @ivar bidi: whether streams may be used in both directions.
    """

    clock: IClock
    entropy: IEntropy
    limits: Any
    bidi: bool

    def isOurs(self, domain: str) -> bool:
        """Whether a domain is served here."""

    def refusal(self, remote: str) -> str | None:
        """Why there is nothing to be exchanged with a domain, or None."""

    def requiresTLS(self, remote: str) -> bool:
        """Whether nothing may pass between a domain and us without TLS. The empty domain: one nobody has named."""

    def mayDialBack(self, remote: str) -> bool:
        """Whether dialback is good enough for a domain."""

    def prove(self, stream: ServerStream, remote: str) -> Deferred[Verdict]:
        """
        What can be said about the peer of a stream being a domain, before any dialback: mostly by its certificate, and
        on an outgoing stream by where DNS has led. Doesn't fail.
        """

    def key(self, receiving: str, originating: str, id: str) -> str:
        """The dialback key for a stream that begins here (XEP-0185)."""

    def isKey(self, receiving: str, originating: str, id: str, key: str) -> bool:
        """Whether a dialback key is one of ours."""

    def verify(self, stream: ServerStream, local: str, remote: str, id: str, key: str) -> Deferred[Verdict]:
        """
        Ask the server that is responsible for C{remote} whether a key is its own; never over C{stream} itself. What it
        says makes a new verdict on the stream.

        Fails with StanzaError: it could not be asked, or did not say.
        """

    def mayAnswer(self, stream: ServerStream, remote: str) -> Deferred[bool]:
        """
        Whether what is for a domain may go over a stream on which we weren't led to it, but on which it has proved
        itself (XEP-0288). Doesn't fail.
        """

    def mayAuthenticate(self, address: str) -> bool:
        """Whether there were few enough failed proofs from an address lately."""

    def authenticationFailed(self, address: str) -> None:
        """Count a proof that failed."""

    def hears(self, stream: ServerStream, local: str, remote: str) -> None:
        """From now on stanzas for C{local} are taken from C{remote} on this stream."""

    def speaks(self, stream: ServerStream, local: str, remote: str) -> None:
        """From now on stanzas from C{local} for C{remote} may be sent on this stream."""

    def received(self, stream: ServerStream, stanza: Stanza) -> None:
        """A stanza of a pair that is heard. Per stanza."""

    def returned(self, stanza: Stanza) -> None:
        """A stanza that was sent and has perhaps not arrived, when its stream has ended."""

    def resigned(self, stream: ServerStream) -> None:
        """The stream is going to end: nothing new is to be sent on it."""

    def ended(self, stream: ServerStream) -> None:
        """The stream is over; C{stream.failure} says why, if there is a reason."""


def domainOf(address: str) -> str:
    """
    The canonical domain of an address, whatever the rest of it is like.

    @raise JIDMalformed: it is no domain.
    """
    try:
        return parse(address).domain
    except JIDMalformed:
        bare = address.partition("/")[0]
        return prepareDomain(bare.rpartition("@")[2])


class ServerStream(Stream):
    """
    One stream to or from another server, restarts included.

    @ivar direction: "in" or "out": who began it.
    @ivar id: the id that the receiving server gave the stream.
    @ivar local: which of our domains the header names.
    @ivar remote: which remote domain it names; empty if it names none.
    @ivar verdict: what is known about the peer being C{remote}, or None before that is known.
    @ivar mechanism: how the first pair was authorised: "EXTERNAL", "dialback", or None.
    @ivar bidi: whether it is agreed that the stream is used in both directions.
    @ivar failure: why it has ended, if there is a reason that senders may be told.
    @ivar retiring: whether it makes way for another stream; see L{retire}.
    @ivar session: always None; servers have no sessions.
    """

    direction = ""
    session = None

    def __init__(self, transport: IStreamTransport, premises: Premises) -> None:
        self.transport = transport
        self.premises = premises
        self.clock = premises.clock
        self.address = transport.address
        self.id = ""
        self.local = ""
        self.remote = ""
        self.tls: TLSFacts | None = None
        self.verdict: Verdict | None = None
        self.mechanism: str | None = None
        self.bidi = False
        self.heard: dict[tuple[str, str], Verdict] = {}
        self.spoken: set[tuple[str, str]] = set()
        self.failure: StanzaError | None = None
        self.closed = False
        self.retiring = False
        self.bytesIn = 0
        self.stanzasIn = 0
        self.stanzasOut = 0
        self.used = premises.clock.seconds()
        self.dialback = Dialback(self)
        self.acks = Acknowledgements(self)
        self._headerSent = False
        self._tlsDue = False
        self._ending = False
        self._patience: IDelayedCall | None = None
        self._waits = 0
        self._backlog: list[Event] = []
        self._backlogError: StreamError | None = None
        self._parser: XMLStreamParser | None = self._newParser()
        self.receive: Callable[[Event], None] = self._ignore
        self._deadline: IDelayedCall | None = self.clock.callLater(
            premises.limits.unauthenticatedSeconds, self._tooSlow
        )

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.id or '(new)'} {self.local}/{self.remote} at {self.address}>"

    def _newParser(self) -> XMLStreamParser:
        """What turns the peer's bytes into events, for one stream until its restart."""
        return XMLStreamParser(parserLimits(self.premises.limits), frozenset({ns.SERVER}))

    # --- bytes and events

    def dataReceived(self, data: bytes) -> None:
        """Bytes from the peer, decrypted."""
        parser = self._parser
        if parser is None:
            return
        self.bytesIn += len(data)
        try:
            events = parser.feed(data)
            self.stanzasIn += len(events)
            self._act(parser, events)
        except PeerError as error:
            self._answer(error)
        except Exception:
            self._mistake(Failure())
        else:
            if parser.error is not None and self._parser is parser:
                self._wrong(parser.error)
            elif self._deadline is not None and self.bytesIn > self.premises.limits.unauthenticatedBytes:
                self.close(StreamError(StreamCondition.POLICY_VIOLATION, "Too much was sent before it was allowed."))

    def _act(self, parser: XMLStreamParser | None, events: Sequence[Event]) -> None:
        """
        Act on events, as long as nothing is waited for; when that takes long the rest waits for another turn of the
        reactor. Stops if the stream was restarted or closed: what came in the same chunk never acts.

        @raise PeerError: a mistake of the peer.
        """
        begun = monotonic()
        for index, event in enumerate(events):
            if self._waits:
                self._keep(events[index:])
                return
            try:
                self.receive(event)
            except SASLError as error:  # the stream goes on, and so does what has come in the same chunk
                self._answer(error)
            if self._parser is not parser:
                if self._tlsDue:
                    self._startDueTLS(index + 1 == len(events) and parser is not None and not parser.unfinished)
                return
            if index % SLICE == SLICE - 1 and index + 1 < len(events) and monotonic() - begun > SLICE_SECONDS:
                turn: Deferred[None] = Deferred()
                self.waitFor(turn)
                self.clock.callLater(0, turn.callback, None)

    def _keep(self, events: Sequence[Event]) -> None:
        if len(self._backlog) + len(events) > BACKLOG:
            raise StreamError(StreamCondition.POLICY_VIOLATION, "Too much was sent at once.")
        self._backlog += events

    def waitFor(self, deferred: Deferred[Any]) -> None:
        """Take no further event from the peer until C{deferred} has fired; its failures are answered."""
        self._waits += 1
        if self._waits == 1:
            self.transport.pauseReading()
        deferred.addErrback(self._waitFailed)
        deferred.addBoth(self._waited)

    def _waited(self, result: object) -> None:
        self._waits -= 1
        if self._waits:
            return
        self.transport.resumeReading()
        if self.closed:
            return
        events, self._backlog = self._backlog, []
        parser = self._parser
        try:
            self._act(parser, events)
        except PeerError as error:
            self._answer(error)
        except Exception:
            self._mistake(Failure())
        if self._backlogError is not None and not self._waits and self._parser is parser:
            self._wrong(self._backlogError)

    def _ignore(self, event: Event) -> None:
        """Nothing acts any more, or not yet."""

    # --- headers

    def _sendHeader(self) -> None:
        """Our stream header (RFC 6120 section 4.7). It always says that dialback is spoken here (XEP-0220 2.4.1)."""
        self._headerSent = True
        attributes = "".join(
            f" {key}='{escapeAttribute(value)}'"
            for key, value in (("from", self.local), ("to", self.remote), ("id", self._givenId()))
            if value
        )
        self.write(
            f"<?xml version='1.0'?><stream:stream xmlns='{ns.SERVER}' xmlns:stream='{ns.STREAMS}'"
            f" xmlns:db='{ns.DIALBACK}' version='1.0' xml:lang='en'{attributes}>".encode()
        )

    def _givenId(self) -> str:
        """The id we give the stream, if it is on us to give one."""
        return ""

    def _restart(self) -> None:
        """A new stream header is due."""
        self._headerSent = False
        self._backlog = []
        self._backlogError = None
        self._parser = self._newParser()

    # --- pairs

    def nowHears(self, local: str, remote: str, verdict: Verdict) -> None:
        """Stanzas of a pair are taken from now on."""
        self._cancelDeadline()
        self.heard[remote, local] = verdict
        log.info(
            "s2s heard: local={local} remote={remote} proof={proof} address={address} stream={id}",
            local=local,
            remote=remote,
            proof=verdict.prooftype,
            address=self.address,
            id=self.id,
        )
        self.premises.hears(self, local, remote)

    def nowSpeaks(self, local: str, remote: str) -> None:
        """Stanzas of a pair may be sent from now on."""
        if (local, remote) in self.spoken:
            return
        self._cancelDeadline()
        self.spoken.add((local, remote))
        log.info(
            "s2s spoken: local={local} remote={remote} address={address} stream={id}",
            local=local,
            remote=remote,
            address=self.address,
            id=self.id,
        )
        self.premises.speaks(self, local, remote)

    def mayHear(self) -> bool:
        """Whether the peer may ask for pairs of its own on this stream."""
        return self.bidi

    # --- stanzas

    def _stanza(self, stanza: Stanza) -> None:
        """
        A stanza: it has to be of a pair that is heard (RFC 6120 sections 8.1.1.2 and 8.1.2.2).

        @raise StreamError: it isn't.
        """
        attrs = stanza.attrs
        sender, to = attrs.get("from"), attrs.get("to")
        if not self.heard:
            raise StreamError(StreamCondition.NOT_AUTHORIZED, "Stanzas have to wait until you have proved who you are.")
        if not sender or not to:
            raise StreamError(StreamCondition.IMPROPER_ADDRESSING, "A stanza here needs both from and to.")
        try:
            source = domainOf(sender)
        except JIDMalformed:
            raise StreamError(StreamCondition.INVALID_FROM) from None
        try:
            target = domainOf(to)
        except JIDMalformed:
            raise StreamError(StreamCondition.HOST_UNKNOWN) from None
        if (source, target) not in self.heard:
            self._unheard(source, target)
        self.used = self.clock.seconds()
        self.premises.received(self, stanza)
        if self.acks.inbound is not None:
            self.acks.inbound += 1

    def _unheard(self, source: str, target: str) -> None:
        """
        A pair that isn't there. What a certificate proves holds for all of our domains, what dialback does for one.

        @raise StreamError: it may not be used.
        """
        verdict = next((each for (remote, _), each in self.heard.items() if remote == source), None)
        if verdict is None:
            raise StreamError(StreamCondition.INVALID_FROM)
        if not self.premises.isOurs(target):
            raise StreamError(StreamCondition.HOST_UNKNOWN)
        if self.direction == "out" or not verdict.authenticated:
            raise StreamError(StreamCondition.NOT_AUTHORIZED, "Prove that for this domain, too.")
        self.heard[source, target] = verdict

    def _element(self, stanza: Stanza) -> None:
        """Something that is no stanza."""
        if stanza.name in (RESULT, VERIFY):
            self.dialback.received(stanza)
        elif stanza.name in NAMES:
            self.acks.received(stanza)
        else:
            raise StreamError(StreamCondition.UNSUPPORTED_STANZA_TYPE)

    def _peerError(self, stanza: Stanza) -> None:
        """The peer has ended the stream with an error; that is the reason why it ends here."""
        condition = next((each.name for each in stanza.elements() if each.ns == ns.STREAM_ERRORS), "")
        kind = (
            StanzaCondition.REMOTE_SERVER_NOT_FOUND
            if condition in ("host-unknown", "host-gone")
            else StanzaCondition.REMOTE_SERVER_TIMEOUT
        )
        self.fail(StanzaError(kind, f"The other server has ended the stream: {condition[:50] or 'no reason given'}."))

    def write(self, data: bytes) -> None:
        """Send bytes; behind the end of our stream nothing may follow (RFC 6120 section 4.4)."""
        if not self.closed and not self._ending:
            self.transport.write(data)

    def transmit(self, stanza: Stanza) -> None:
        """Send a stanza of a pair that is spoken. Per stanza."""
        self.stanzasOut += 1
        self.used = self.clock.seconds()
        self.transport.write(stanza.forNamespace(ns.SERVER))
        if self.acks.kept is not None:
            self.acks.sent(stanza)

    # --- TLS

    def _agreedOnTLS(self) -> None:
        """Both want TLS: nothing that comes before it counts any more."""
        self.receive = self._ignore
        self._parser = None
        self._tlsDue = True

    def _startDueTLS(self, clean: bool) -> None:
        """
        Begin the handshake.

        @param clean: whether nothing came behind the agreement. If something did, neither server has sent it, unless
            it is broken: who waits for TLS is silent (RFC 6120 section 5.4.3.3).
        """
        self._tlsDue = False
        if clean:
            self.transport.startTLS(self.local)
            return
        log.warn(
            "s2s injection: something came in the clear where TLS was due, perhaps from somebody between the servers:"
            " local={local} remote={remote} address={address} stream={id}",
            local=self.local,
            remote=self.remote,
            address=self.address,
            id=self.id,
        )
        reason = "Something came in the clear where TLS was due."
        failure = StanzaError(StanzaCondition.REMOTE_SERVER_TIMEOUT, f"{reason} Somebody may be between the servers.")
        self.fail(failure, StreamError(StreamCondition.POLICY_VIOLATION, reason))

    def secured(self, tls: TLSFacts) -> None:
        """The TLS handshake is complete: a new stream is due, and nothing said before counts (RFC 6120 5.4.3.3)."""
        self.tls = tls
        self.bidi = False
        self._restart()

    def rest(self) -> None:
        """Nothing has come for a while: hold less memory until something does."""
        if self._parser is not None:
            self._parser.rest()

    # --- time and end

    def _tooSlow(self) -> None:
        self._deadline = None
        self.failure = self.failure or StanzaError(
            StanzaCondition.REMOTE_SERVER_TIMEOUT, "The other server took too long to agree on a stream."
        )
        self.close(StreamError(StreamCondition.CONNECTION_TIMEOUT))

    def fail(self, failure: StanzaError, error: StreamError | None = None) -> None:
        """End the stream for a reason that senders may be told."""
        self.failure = self.failure or failure
        self.close(error)

    def retire(self, reason: str) -> None:
        """
        End the stream without losing anything: other streams carry its pairs from now on; what was sent is given time
        to be acknowledged; and what the peer has sent before it hears of the end is still taken (RFC 6120 section 4.4).

        @param reason: in words, for the log.
        """
        if self.closed or self.retiring:
            return
        self.retiring = True
        log.info(
            "s2s retired: local={local} remote={remote} reason={reason} address={address} stream={id}",
            local=self.local,
            remote=self.remote,
            reason=reason,
            address=self.address,
            id=self.id,
        )
        self._patience = self.clock.callLater(self.premises.limits.answerSeconds, self.close)
        self.premises.resigned(self)
        self.settled()

    def settled(self) -> None:
        """Nothing that was sent waits to be acknowledged; if the stream makes way for another, it ends now."""
        if self.retiring and not self.acks.kept and not self._ending:
            self.acks.answer()
            self.write(b"</stream:stream>")
            self._ending = True

    def close(self, error: StreamError | None = None) -> None:
        """Send an error if there is one, end the stream, close the connection (RFC 6120 section 4.4)."""
        if self.closed:
            return
        if error is not None:
            log.info(
                "s2s closed: local={local} remote={remote} reason={reason} address={address} stream={id}",
                local=self.local,
                remote=self.remote,
                reason=str(error),
                address=self.address,
                id=self.id,
            )
            self.failure = self.failure or StanzaError(StanzaCondition.REMOTE_SERVER_TIMEOUT, str(error))
        if self._parser is not None and not self._ending:
            if not self._headerSent:
                self._sendHeader()
            self.acks.answer()
            self.write((b"" if error is None else error.toBytes()) + b"</stream:stream>")
        self._over()
        self.transport.loseConnection()

    def unread(self, waiting: bytes) -> None:
        """The peer doesn't read, and too much waits for it."""
        self.failure = StanzaError(StanzaCondition.REMOTE_SERVER_TIMEOUT, "The other server doesn't read.")
        self.transport.abortConnection()

    def connectionLost(self) -> None:
        """The connection is gone."""
        if not self.closed:
            self._over()

    def _over(self) -> None:
        """It has ended, by whichever end."""
        self.closed = True
        self._parser = None
        self._backlog = []
        self.receive = self._ignore
        self._cancelDeadline()
        if self._patience is not None and self._patience.active():
            self._patience.cancel()
        if self.failure is None:
            self.failure = StanzaError(StanzaCondition.REMOTE_SERVER_TIMEOUT, "The stream has ended.")
        self.dialback.ended(self.failure)
        unacknowledged = self.acks.ended()
        self.premises.ended(self)
        for stanza in unacknowledged:
            self.premises.returned(stanza)
