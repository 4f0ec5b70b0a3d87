"""
Acknowledgements between servers (XEP-0198, without resumption).

Who receives counts stanzas once they have been routed, and says how many when asked. Who sends keeps what has not been
acknowledged, and asks a moment later while there is anything. When a stream breaks, what was not acknowledged goes
back to its senders: they hear of a failure that may be none, and never believe that something arrived which did not.
What is kept has bounds; what doesn't fit is not kept, as if there were no acknowledgements.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any, Final

from xmppd.wire import ns
from xmppd.wire.errors import StanzaCondition, StanzaError, StreamCondition, StreamError
from xmppd.wire.stanza import Stanza

if TYPE_CHECKING:
    from xmppd.stream.s2s import ServerStream

FEATURE: Final = ns.STREAM_MANAGEMENT + " sm"
ENABLE, ENABLED, RESUME, FAILED, REQUEST, ANSWER = (
    f"{ns.STREAM_MANAGEMENT} {name}" for name in ("enable", "enabled", "resume", "failed", "r", "a")
)
NAMES: Final = frozenset({ENABLE, ENABLED, RESUME, FAILED, REQUEST, ANSWER})

ASK_SECONDS: Final = 0.25
"""How long after something was sent it is asked about."""

PATIENCE: Final = 2
"""After how many times C{answerSeconds} without an answer the peer is taken to be gone."""

WRAP: Final = 1 << 32
"""Counts begin anew there (XEP-0198 section 4)."""


class Acknowledgements:
    """
    Those of one stream.

    @ivar inbound: how many stanzas have been taken; None while the peer doesn't count on it.
    @ivar kept: what was sent and not acknowledged; None while nothing is kept.
    @ivar wanted: whether C{<enable/>} was sent.
    """

    def __init__(self, stream: ServerStream) -> None:
        self.inbound: int | None = None
        self.kept: deque[Stanza] | None = None
        self.wanted = False
        self._stream = stream
        self._octets = 0
        self._acknowledged = 0
        self._asking: Any = None
        self._due: Any = None

    def enable(self) -> None:
        """Ask the peer to acknowledge from now on."""
        self.wanted = True
        self.kept = deque()
        self._stream.write(f"<enable xmlns='{ns.STREAM_MANAGEMENT}'/>".encode())

    def sent(self, stanza: Stanza) -> None:
        """A stanza was sent. Per stanza, while something is kept."""
        kept, limits = self.kept, self._stream.premises.limits
        assert kept is not None
        kept.append(stanza)
        self._octets += len(stanza.raw)
        while len(kept) > limits.managementQueue or self._octets > limits.managementBytes:
            self._forget()
        if self._asking is None:
            self._asking = self._stream.clock.callLater(ASK_SECONDS, self._ask)

    def _forget(self) -> None:
        """Keep the oldest no longer."""
        assert self.kept is not None
        self._octets -= len(self.kept.popleft().raw)
        self._acknowledged = (self._acknowledged + 1) % WRAP

    def _ask(self) -> None:
        self._asking = None
        if self.kept:
            stream = self._stream
            stream.write(f"<r xmlns='{ns.STREAM_MANAGEMENT}'/>".encode())
            if self._due is None:
                self._due = stream.clock.callLater(PATIENCE * stream.premises.limits.answerSeconds, self._silence)

    def _silence(self) -> None:
        """The peer has said nothing for too long: whoever has written should hear of that while they remember."""
        self._due = None
        reason = StanzaError(StanzaCondition.REMOTE_SERVER_TIMEOUT, "The other server acknowledges nothing any more.")
        self._stream.fail(reason, StreamError(StreamCondition.CONNECTION_TIMEOUT))

    def received(self, stanza: Stanza) -> None:
        """
        An element of the peer's.

        @raise StreamError: it makes no sense.
        """
        name = stanza.name
        if name == REQUEST:
            self.answer()
        elif name == ANSWER:
            self._answered(stanza.attrs.get("h", ""))
        elif name == ENABLED and self.wanted:
            self.inbound = 0
        elif name == FAILED:
            self.wanted, self.kept, self._octets = False, None, 0
            self._answerIsHere()
        elif name == ENABLE and self.inbound is None and self._stream.heard and not self.wanted:
            self.inbound = 0
            self._stream.write(f"<enabled xmlns='{ns.STREAM_MANAGEMENT}'/>".encode())
            if self._stream.spoken:
                self.kept = deque()
        elif name in (ENABLE, RESUME):
            condition = "item-not-found" if name == RESUME else "unexpected-request"
            reason = f"<{condition} xmlns='{ns.STANZA_ERRORS}'/>"
            self._stream.write(f"<failed xmlns='{ns.STREAM_MANAGEMENT}'>{reason}</failed>".encode())
        else:
            raise StreamError(StreamCondition.UNSUPPORTED_STANZA_TYPE)

    def answer(self) -> None:
        """Say how many stanzas have been taken, if the peer counts on it."""
        if self.inbound is not None:
            self._stream.write(f"<a xmlns='{ns.STREAM_MANAGEMENT}' h='{self.inbound % WRAP}'/>".encode())

    def _answered(self, count: str) -> None:
        """
        The peer has taken so many.

        @raise StreamError: more than were sent, or no number (XEP-0198 section 4).
        """
        if not (count.isascii() and count.isdecimal() and len(count) <= 10):
            raise StreamError(StreamCondition.UNDEFINED_CONDITION, "That is no count.")
        self._answerIsHere()
        if self.kept is None:
            return
        taken = (int(count) - self._acknowledged) % WRAP
        if taken > WRAP // 2:
            return  # of stanzas that are kept no longer
        if taken > len(self.kept):
            raise StreamError(StreamCondition.UNDEFINED_CONDITION, "So much was never sent.")
        for _ in range(taken):
            self._forget()
        if not self.kept:
            self._stream.settled()
        if self.kept and self._asking is None:
            self._asking = self._stream.clock.callLater(ASK_SECONDS, self._ask)

    def _answerIsHere(self) -> None:
        due, self._due = self._due, None
        if due is not None and due.active():
            due.cancel()

    def ended(self) -> deque[Stanza]:
        """The stream is over: what was not acknowledged."""
        self._answerIsHere()
        if self._asking is not None and self._asking.active():
            self._asking.cancel()
        kept, self.kept = self.kept, None
        return kept or deque()
