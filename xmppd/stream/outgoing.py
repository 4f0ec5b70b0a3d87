"""
A stream that we have begun to another server, without I/O (RFC 6120 sections 4 to 6, XEP-0178, XEP-0220, XEP-0288).

Theory of operation: header, features, TLS, header, features; then the stream is I{open}. TLS is tried whether it is
offered or not (RFC 7590 section 3.1: somebody between the servers could have taken the offer out); if it can't be had,
policy decides whether to begin again without. An open stream can be asked to verify keys. To be allowed to send stanzas
it is to be authorised for a pair of domains (L{OutgoingStream.authorise}): by SASL EXTERNAL where that is offered for
the first pair, else by dialback. A certificate that isn't accepted doesn't end the handshake: the verdict is asked for
afterwards and may be that dialback is good enough.
"""

from __future__ import annotations

from base64 import b64encode
from typing import TYPE_CHECKING, Final

from twisted.internet.defer import Deferred, succeed
from twisted.python.failure import Failure

from xmppd.stream.acks import FEATURE, NAMES
from xmppd.stream.dialback import RESULT, VERIFY
from xmppd.stream.s2s import ERROR, Premises, ServerStream, Verdict
from xmppd.wire import ns
from xmppd.wire.element import Element
from xmppd.wire.errors import StanzaCondition, StanzaError, StreamCondition, StreamError
from xmppd.wire.jid import JIDMalformed, prepareDomain
from xmppd.wire.stanza import Stanza
from xmppd.wire.xmlstream import Event, StreamEnd, StreamHeader

if TYPE_CHECKING:
    from xmppd.ixmppd import IStreamTransport, TLSFacts

FEATURES: Final = ns.STREAMS + " features"
PROCEED: Final = ns.TLS + " proceed"
SUCCESS: Final = ns.SASL + " success"
FAILURE: Final = ns.SASL + " failure"
DIALBACK: Final = ns.DIALBACK_FEATURE + " dialback"


class NoTLS(StanzaError):
    """The peer doesn't do TLS, or somebody has kept it from us."""

    def __init__(self, text: str) -> None:
        super().__init__(StanzaCondition.REMOTE_SERVER_TIMEOUT, text)


class OutgoingStream(ServerStream):
    """
    One stream to another server.

    @ivar opened: fires with the stream when it is open; fails with StanzaError if that never comes to pass, with
        L{NoTLS} if it might without TLS.
    @ivar piggybacks: whether it may be tried to have other pairs authorised (XEP-0220 section 2.4.2).
    """

    direction = "out"

    def __init__(
        self, transport: IStreamTransport, premises: Premises, local: str, remote: str, tryTLS: bool = True
    ) -> None:
        """
        @param tryTLS: whether STARTTLS is tried; False only where policy has allowed plaintext.
        """
        super().__init__(transport, premises)
        self.local, self.remote = local, remote
        self.opened: Deferred[OutgoingStream] = Deferred()
        self.piggybacks = False
        self._tryTLS = tryTLS
        self._dialsBack = False
        self._external = False
        self._offersBidi = False
        self._isOpen = False
        self._judging: Deferred[Verdict] | None = None
        self._authorising: Deferred[None] | None = None
        self._ready: list[Deferred[None]] = []

    # --- header and features

    def begin(self) -> None:
        """The connection is there, or there is TLS: open the stream."""
        self._sendHeader()
        self.receive = self._awaitHeader

    def _awaitHeader(self, event: Event) -> None:
        if not isinstance(event, StreamHeader):
            raise StreamError(StreamCondition.BAD_FORMAT, "A stream header was due.")
        self.id = event.attrs.get("id", "")
        if not self.id:
            raise StreamError(StreamCondition.BAD_FORMAT, "The stream needs an id.")
        self._checkSender(event.sender)
        self._dialsBack = any(uri == ns.DIALBACK for _, uri in event.prefixes)
        self.receive = self._awaitFeatures
        if event.version < (1, 0):  # there will be no features
            self._featured(())

    def _checkSender(self, sender: str | None) -> None:
        """
        Whoever answers has to be who we wanted, if it says who it is.

        @raise StreamError: it is somebody else.
        """
        try:
            if sender and prepareDomain(sender) != self.remote:
                raise StreamError(StreamCondition.INVALID_FROM, "That is another domain than the stream is for.")
        except JIDMalformed:
            raise StreamError(StreamCondition.INVALID_FROM) from None

    def _awaitFeatures(self, event: Event) -> None:
        stanza = self._due(event, FEATURES)
        if stanza is not None:
            self._featured(stanza.elements())

    def _due(self, event: Event, *names: str) -> Stanza | None:
        """
        The event if it is what is due; None if the stream has ended over it.

        @raise StreamError: it is something else.
        """
        if isinstance(event, StreamEnd):
            self.fail(self._ended())
            return None
        if not isinstance(event, Stanza):
            raise StreamError(StreamCondition.BAD_FORMAT)
        if event.name == ERROR:
            self._peerError(event)
            return None
        if event.name not in names:
            raise StreamError(StreamCondition.NOT_AUTHORIZED, "That is not what was due.")
        return event

    def _ended(self) -> StanzaError:
        """Why the peer may have ended the stream."""
        if self.receive == self._awaitTLS:
            return NoTLS("The other server has no TLS.")
        return StanzaError(StanzaCondition.REMOTE_SERVER_TIMEOUT, "The other server has ended the stream.")

    def _featured(self, features: tuple[Element, ...]) -> None:
        """It is known what can be negotiated."""
        if self.tls is None and self._tryTLS:
            self.write(f"<starttls xmlns='{ns.TLS}'/>".encode())
            self.receive = self._awaitTLS
            return
        names = {feature.qname for feature in features}
        mechanisms = [child.text.strip() for child in within(features, ns.SASL + " mechanisms")]
        self._dialsBack = self._dialsBack or DIALBACK in names
        self.piggybacks = self._dialsBack and any(child.name == "errors" for child in within(features, DIALBACK))
        if self._authorising is not None:  # this is the stream after SASL
            self._authorised(FEATURE in names)
            return
        self._external = "EXTERNAL" in mechanisms and self.tls is not None
        self._offersBidi = f"{ns.BIDI_FEATURE} bidi" in names and self.premises.bidi
        self.receive = self._ignore
        judging = self._judging or self.premises.prove(self, self.remote)
        self.waitFor(judging.addCallback(self._judged))

    # --- TLS

    def _awaitTLS(self, event: Event) -> None:
        """What the peer says to C{<starttls/>}. What it has sent behind that never acts (RFC 6120 section 5.4.3.3)."""
        if isinstance(event, StreamEnd) or (isinstance(event, Stanza) and event.name in (ns.TLS + " failure", ERROR)):
            self.fail(NoTLS("The other server has no TLS."))
            return
        if self._due(event, PROCEED) is None:
            return
        self._agreedOnTLS()

    def secured(self, tls: TLSFacts) -> None:
        """See L{ServerStream}."""
        super().secured(tls)
        self._judging = self.premises.prove(self, self.remote)
        self.begin()

    def _judged(self, verdict: Verdict) -> None:
        """It is known who is at the other end, as far as it can be known."""
        if self.closed:
            return
        self.verdict = verdict
        if not verdict.accepted:
            reason = f"The other server has not proved that it is the right one. {verdict.notice}".rstrip()
            self.fail(
                StanzaError(StanzaCondition.REMOTE_SERVER_NOT_FOUND, reason),
                StreamError(StreamCondition.POLICY_VIOLATION, "You have not proved who you are."),
            )
            return
        self._isOpen = True
        self._cancelDeadline()
        self.receive = self._negotiate
        self.opened.callback(self)

    # --- authorisation

    def ready(self) -> Deferred[None]:
        """Fires as soon as dialback elements may be sent; fails with StanzaError if the stream ends before."""
        if self.closed:
            assert self.failure is not None
            waiting: Deferred[None] = Deferred()
            waiting.errback(self.failure)
            return waiting
        if self.receive == self._negotiate:
            return succeed(None)
        waiting = Deferred()
        self._ready.append(waiting)
        return waiting

    def authorise(self, local: str) -> Deferred[None]:
        """
        Be allowed to send stanzas from one of our domains. The stream has to be ready, and not to be authorised for
        that domain, nor asked to be.

        Fails with StanzaError.
        """
        if self._offersBidi and not self.bidi:
            self.bidi = True
            self.write(f"<bidi xmlns='{ns.BIDI}'/>".encode())
        if self._external and local == self.local:
            self._external = False
            identity = b64encode(local.encode()).decode()
            self.write(f"<auth xmlns='{ns.SASL}' mechanism='EXTERNAL'>{identity}</auth>".encode())
            self.receive = self._awaitSASL
            self._authorising = Deferred()
            self._deadline = self.clock.callLater(self.premises.limits.answerSeconds, self._tooSlow)
            return self._authorising
        return self._dialBack(local)

    def _dialBack(self, local: str) -> Deferred[None]:
        if not self._dialsBack:
            refused: Deferred[None] = Deferred()
            reason = "The other server accepts no proof that we could give."
            refused.errback(StanzaError(StanzaCondition.REMOTE_SERVER_NOT_FOUND, reason))
            return refused
        return self.dialback.request(local, self.remote).addCallback(self._dialled, local)

    def _dialled(self, result: None, local: str) -> None:
        self.mechanism = self.mechanism or "dialback"
        self._useFor(local)

    def _useFor(self, local: str) -> None:
        """A pair is authorised: use it, in both directions if that is agreed."""
        if self.bidi:
            assert self.verdict is not None
            self.nowHears(local, self.remote, self.verdict)
        self.nowSpeaks(local, self.remote)

    def _awaitSASL(self, event: Event) -> None:
        stanza = self._due(event, SUCCESS, FAILURE)
        if stanza is None:
            return
        if stanza.name == SUCCESS:
            self.mechanism = "EXTERNAL"
            self._restart()
            self.begin()
            return
        authorising, self._authorising = self._authorising, None
        assert authorising is not None
        self._cancelDeadline()
        self._nowReady()
        self._dialBack(self.local).chainDeferred(authorising)

    def _authorised(self, acknowledges: bool) -> None:
        """SASL has succeeded, and the stream was begun anew; perhaps by a peer that acknowledges what it takes."""
        authorising, self._authorising = self._authorising, None
        assert authorising is not None
        self._nowReady()
        if acknowledges:
            self.acks.enable()
        self._useFor(self.local)
        authorising.callback(None)

    def _nowReady(self) -> None:
        self.receive = self._negotiate
        waiting, self._ready = self._ready, []
        for each in waiting:
            each.callback(None)

    # --- what comes on an open stream

    def _negotiate(self, event: Event) -> None:
        if isinstance(event, Stanza) and event.kind:
            self._stanza(event)
            return
        stanza = self._due(event, RESULT, VERIFY, *NAMES)
        if stanza is not None:
            self._element(stanza)

    def _over(self) -> None:
        super()._over()
        failure = Failure(self.failure)
        waiting, self._ready = self._ready, []
        if self._authorising is not None:
            waiting.append(self._authorising)
            self._authorising = None
        for each in waiting:
            each.errback(failure)
        if not self.opened.called:
            self.opened.errback(failure)

    def connectionLost(self) -> None:
        """See L{ServerStream}. Somebody who just hangs up when TLS is asked for has none."""
        if not self.closed and self.failure is None:
            self.failure = self._ended()
        super().connectionLost()


def within(features: tuple[Element, ...], name: str) -> list[Element]:
    """The child elements of the features of a name."""
    return [
        child
        for feature in features
        if feature.qname == name
        for child in feature.children
        if isinstance(child, Element)
    ]
