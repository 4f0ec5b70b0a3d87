"""
A session of BOSH, without I/O (XEP-0124 version 1.11.2, XEP-0206 version 1.4).

Theory of operation
===================

To its L{FramedStream} a L{BoshSession} is the transport. What the client posts is put in the order of C{rid}, and each
payload goes to the stream as a frame; so do the beginning of the session, a restart and the end, as C{<open/>} and
C{<close/>}. What the stream writes waits in a queue until a request can be answered with it.

Of each C{rid} in order there is one L{_Exchange}, which goes this way:

    - I{early}: it came before one that precedes it, and waits for that (section 14.2);
    - I{held}: its payloads have been taken; it waits for something to be answered with, for at most C{wait} seconds,
      and only C{hold} of them wait at a time (section 8). Answers keep the order;
    - I{answered}: the answer is kept, should the client not have got it (section 14.3), until it can't ask again: it
      has acknowledged it, or has sent a request that it may send only having it.

A held request whose connection breaks isn't answered with anything but stays in its place: the client will ask again
with the same C{rid}, or go on with the next.

With no request held the client has C{inactivity} seconds to come back (section 10). Then, and after every violation of
the rules, the session is over and the stream is told that its connection is gone: with stream management it can be
resumed, over any transport.

Everything a client can make grow has a bound: requests by the window of C{rid}, payloads that wait for the stream and
stanzas that wait for the client by octets, answers by L{ANSWER_BYTES} and by the window.
"""

from __future__ import annotations

import hashlib
import hmac
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from time import monotonic
from typing import TYPE_CHECKING, Final, Protocol

from twisted.logger import Logger
from zope.interface import implementer

from xmppd.ixmppd import IReception, IStreamTransport
from xmppd.stream.boshterms import MAX_PAUSE, POLLING, Agreed, number
from xmppd.stream.c2s import SLICE, SLICE_SECONDS
from xmppd.stream.framed import CLOSE, FramedStream
from xmppd.wire import ns
from xmppd.wire.bosh import RESTART, VERSION, Body, writeBody
from xmppd.wire.element import LANG, escapeAttribute
from xmppd.wire.framing import textFrame

if TYPE_CHECKING:
    from twisted.internet.interfaces import IDelayedCall

log = Logger(namespace="xmppd.bosh")

RESENT: Final = 10
"""How often a client may repeat a request."""

REPORT_SECONDS: Final = 5.0
"""After how long an answer that hasn't been acknowledged is reported to be missing (section 9.2)."""

ANSWER_BYTES: Final = 262_144
"""How many octets an answer has at most, unless it has only one payload."""

_OLD_STATUS: Final[Mapping[str, int]] = {"bad-request": 400, "policy-violation": 403, "item-not-found": 404}


def terminal(condition: str | None, payloads: tuple[bytes, ...] = ()) -> bytes:
    """The body that ends a session (section 17.2)."""
    attrs = {"type": "terminate"} if condition is None else {"type": "terminate", "condition": condition}
    return writeBody(attrs, payloads)


class Answerable(Protocol):
    """One HTTP request that waits for its answer."""

    def answer(self, body: bytes, status: int = 200) -> None:
        """Answer it; once."""


@dataclass(slots=True)
class _Exchange:
    """
    One C{rid}.

    @ivar request: who waits for the answer; None if its connection is gone.
    @ivar arrived: when it came.
    @ivar key: its key of the key sequence (section 15), or None.
    @ivar answer: the answer, once there is one.
    @ivar octets: how much of that is payloads.
    @ivar answered: when.
    """

    rid: int
    body: Body
    request: Answerable | None
    arrived: float
    key: str | None
    answer: bytes = b""
    octets: int = 0
    answered: float = 0.0


@implementer(IStreamTransport)
class BoshSession:
    """
    One session.

    @ivar sid: its name, which is a secret.
    @ivar stream: its stream.
    @ivar agreed: what both sides keep to.
    @ivar secure: whether its requests have to be encrypted, since the first one was.
    @ivar silent: for how many seconds nothing has come, as far as the sweep over all connections has counted.
    @ivar asked: whether the client is being asked if it is there.
    @ivar since: when it was made.
    @ivar transport: nothing; there is no one connection.
    @ivar over: whether it has ended.
    """

    transport = None

    def __init__(
        self,
        sid: str,
        agreed: Agreed,
        address: str,
        secure: bool,
        reception: IReception,
        mark: Callable[[BoshSession], None],
        spent: Callable[[int, int], float],
        ended: Callable[[BoshSession], None],
    ) -> None:
        """
        @param mark: has L{flush} called at the end of the turn.
        @param spent: is told octets and payloads that have come; answers for how long nothing more should be read.
        @param ended: is called once, at the end.
        """
        self.sid = sid
        self.agreed = agreed
        self.address = address
        self.port = 0
        self.secure = secure
        self.silent = 0.0
        self.asked = False
        self.over = False
        self._reception = reception
        self._clock = reception.clock
        self.since = self._clock.seconds()
        self._mark = mark
        self._spent = spent
        self._ended = ended
        self._marked = False
        self._givenUp = False
        self._closing = False
        self._condition: str | None = None
        self._pauses = 0
        self._working = False
        self._inbox: deque[bytes] = deque()
        self._inboxBytes = 0
        self._queue: deque[bytes] = deque()
        self._queueBytes = 0
        self._rid = 0  # the last one in order
        self._key: str | None = None
        self._resent = 0
        self._early: dict[int, _Exchange] = {}
        self._held: deque[_Exchange] = deque()
        self._answered: dict[int, _Exchange] = {}
        self._lastEmpty = False
        self._lastArrival = 0.0
        self._report: tuple[int, int] | None = None
        self._absence: float | None = None
        self._patience: IDelayedCall | None = None
        self._slowed: IDelayedCall | None = None
        self._sooner: IDelayedCall | None = None
        self.stream = FramedStream(self, reception)
        if secure:
            self.stream.encrypted()

    # --- from the client

    def begin(self, rid: int, body: Body, request: Answerable) -> None:
        """The request that asks for the session; is answered at once."""
        attrs = body.attrs
        self._rid = rid
        self._key = attrs.get("newkey")
        exchange = _Exchange(rid, body, request, self._clock.seconds(), None)
        self._held.append(exchange)
        self._take(self._header(attrs))
        self._work()
        if self.over or self._closing:
            return
        payloads = self._payloads()
        self._answer(self._held.popleft(), writeBody(self._terms(), payloads), sum(map(len, payloads)))
        self._wait()

    def _terms(self) -> dict[str, str]:
        """The attributes of the first answer (section 7.2; XEP-0206 section 4)."""
        agreed, host = self.agreed, self.stream.host
        terms = {
            "sid": self.sid,
            "wait": str(agreed.wait),
            "requests": str(agreed.requests),
            "inactivity": str(agreed.inactivity),
            "polling": str(POLLING),
            "hold": str(agreed.hold),
            "maxpause": str(MAX_PAUSE),
            "ack": str(self._rid),
            "from": host.domain if host is not None else "",
            "authid": self.stream.id,
            "xmpp:version": "1.0",
            "xmpp:restartlogic": "true",
        }
        if agreed.version:
            terms["ver"] = agreed.version
        return terms

    def _header(self, attrs: Mapping[str, str]) -> bytes:
        """The header of the framed stream that attributes of a body stand for."""
        host = self.stream.host
        values = {
            "to": attrs.get("to") or (host.domain if host is not None else None),
            "from": attrs.get("from"),
            "version": attrs.get(VERSION, "1.0"),
            "xml:lang": attrs.get(LANG) or self.stream.language,
        }
        written = "".join(f" {name}='{escapeAttribute(value)}'" for name, value in values.items() if value)
        return f"<open xmlns='{ns.FRAMING}'{written}/>".encode()

    def received(self, rid: int, body: Body, request: Answerable, octets: int) -> None:
        """
        A later request.

        @param octets: how long it was.
        """
        self.silent = 0.0
        self._absence = None
        if self._closing:
            self._finish(request)
            return
        exchange = _Exchange(rid, body, request, self._clock.seconds(), body.attrs.get("key"))
        if rid <= self._rid or rid in self._early:
            self._again(exchange)
            return
        if rid > self._rid + self.agreed.requests + self._isLast(body):
            self._break("item-not-found", request)
            return
        if self._isTooMuch(exchange):
            self._break("policy-violation", request)
            return
        self._lastArrival = exchange.arrived
        self._early[rid] = exchange
        self._inOrder()
        if not self.over:
            self._slowDown(octets, len(body.payloads))
            self._wait()

    def dropped(self, request: Answerable) -> None:
        """The connection of a request that waits is gone."""
        for exchange in (*self._held, *self._early.values()):
            if exchange.request is request:
                exchange.request = None
        self._wait()

    def _isLast(self, body: Body) -> bool:
        """Whether it pauses or ends the session, for which one more request is allowed (section 11)."""
        return "pause" in body.attrs or body.attrs.get("type") == "terminate"

    def _isTooMuch(self, exchange: _Exchange) -> bool:
        """Whether a new request breaks the rules against overactivity (sections 11 and 12)."""
        body, agreed = exchange.body, self.agreed
        last = self._isLast(body)
        unanswered = len(self._held) + len(self._early) + 1
        if unanswered > agreed.requests + last:
            return True
        if last or body.payloads or body.isTrue(RESTART):
            return False
        soon = exchange.arrived - self._lastArrival < POLLING
        if not agreed.hold:
            return soon and self._lastEmpty
        waiting = sum(each.request is not None for each in (*self._held, *self._early.values()))
        return soon and waiting + 1 >= agreed.requests

    def _again(self, exchange: _Exchange) -> None:
        """A request that has come before (section 14.3)."""
        self._resent += 1
        request = exchange.request
        assert request is not None
        if self._resent > RESENT:
            self._break("policy-violation", request)
            return
        known = self._answered.get(exchange.rid)
        if known is not None and known.key == exchange.key:
            request.answer(known.answer)
            return
        waiting = [each for each in (*self._held, *self._early.values()) if each.rid == exchange.rid]
        if not waiting or waiting[0].key != exchange.key:
            self._break("item-not-found", request)
            return
        former, waiting[0].request = waiting[0].request, request
        if former is not None:
            former.answer(writeBody({"type": "error"}))
        self._release()
        self._wait()

    def _inOrder(self) -> None:
        """Take those requests whose turn it is."""
        while not self.over and not self._closing and self._rid + 1 in self._early:
            exchange = self._early.pop(self._rid + 1)
            self._rid = exchange.rid
            self._resent = 0
            self._held.append(exchange)
            if not self._keyFits(exchange):
                self._break("item-not-found", None)
                return
            self._confirm(exchange)
            self._act(exchange.body)
        if not self.over:
            self._release()

    def _keyFits(self, exchange: _Exchange) -> bool:
        """Whether a request goes on with the key sequence, if there is one (section 15.4)."""
        if self._key is None:
            return True
        key = exchange.key
        if key is None:
            return False
        digest = hashlib.sha1(key.encode("utf-8", "surrogatepass"), usedforsecurity=False).hexdigest()
        if not hmac.compare_digest(digest, self._key.lower().encode("ascii", "replace").decode()):
            return False
        self._key = exchange.body.attrs.get("newkey") or key
        return True

    def _confirm(self, exchange: _Exchange) -> None:
        """Forget the answers that have arrived for sure, and see whether one seems to have been lost."""
        told = number(exchange.body.attrs.get("ack")) if self.agreed.acks else None
        arrived = exchange.rid - self.agreed.requests
        if self.agreed.acks:
            arrived = max(arrived, exchange.rid - 1 if told is None else told)
        self._answered = {rid: each for rid, each in self._answered.items() if rid > arrived}
        missing = self._answered.get(told + 1) if told is not None else None
        if missing is not None and exchange.arrived - missing.answered > REPORT_SECONDS:
            self._report = missing.rid, round((exchange.arrived - missing.answered) * 1000)

    def _act(self, body: Body) -> None:
        """Take what is in a request whose turn it is."""
        attrs = body.attrs
        pause = number(attrs.get("pause")) if "pause" in attrs else 0
        self._lastEmpty = not body.payloads and not self._isLast(body) and not body.isTrue(RESTART)
        if pause is None or pause > MAX_PAUSE:
            self._break("policy-violation", None)
            return
        if body.isTrue(RESTART):
            self._take(self._header(attrs))
        else:
            for payload in body.payloads:
                self._take(payload)
        if attrs.get("type") == "terminate":
            self._take(CLOSE)
        self._work()
        if "pause" in attrs and not self.over and not self._closing:
            self._pause(pause)

    def _pause(self, seconds: int) -> None:
        """Answer everything, with nothing, and wait for longer than usual (section 10)."""
        while self._held:
            exchange = self._held.popleft()
            if exchange.request is not None:
                exchange.request.answer(writeBody({}))
        self._wait(seconds)

    def _take(self, frame: bytes) -> None:
        self._inbox.append(frame)
        self._inboxBytes += len(frame)
        if self._inboxBytes > 2 * self.agreed.requests * self._reception.limits.stanzaBytes:
            self._break("policy-violation", None)

    def _work(self) -> None:
        """Give the stream what has come, as long as it wants to read."""
        if self._working:
            return
        self._working = True
        begun, acted = monotonic(), 0
        try:
            while self._inbox and not self._pauses and not self.stream.closed:
                frame = self._inbox.popleft()
                self._inboxBytes -= len(frame)
                self.stream.dataReceived(frame)  # catches whatever goes wrong
                acted += 1
                if acted % SLICE == 0 and monotonic() - begun > SLICE_SECONDS:
                    self._pauseForOthers()
        finally:
            self._working = False

    def _pauseForOthers(self) -> None:
        """Go on in another turn of the reactor."""
        if self._sooner is None:
            self.pauseReading()
            self._sooner = self._clock.callLater(0, self._goOnSooner)

    def _goOnSooner(self) -> None:
        self._sooner = None
        self.resumeReading()

    def _slowDown(self, octets: int, payloads: int) -> None:
        """Don't read for a while if more has come than the pace allows."""
        pause = self._spent(octets, payloads)
        if pause > 0 and self._slowed is None:
            self.pauseReading()
            self._slowed = self._clock.callLater(pause, self._goOn)

    def _goOn(self) -> None:
        self._slowed = None
        self.resumeReading()

    # --- to the client

    def _payloads(self) -> tuple[bytes, ...]:
        """What an answer may hold of what waits."""
        taken: list[bytes] = []
        room = ANSWER_BYTES
        while self._queue and (not taken or len(self._queue[0]) <= room):
            payload = self._queue.popleft()
            room -= len(payload)
            taken.append(payload)
            self._queueBytes -= len(payload)
        return tuple(taken)

    def _release(self) -> None:
        """Answer what can be answered, and what may not be held any longer."""
        while self._queue and self._isWaitedFor():
            self._answerOldest(self._payloads())
        while self._isWaitedFor() and (
            self._report is not None or (len(self._held) > self.agreed.hold and not self._pauses)
        ):
            self._answerOldest(())

    def _isWaitedFor(self) -> bool:
        """Whether somebody is there to be answered."""
        return any(exchange.request is not None for exchange in self._held)

    def _answerOldest(self, payloads: tuple[bytes, ...]) -> None:
        """Answer the oldest request that somebody waits for; those before it have an answer, if they are repeated."""
        while self._held[0].request is None:
            self._answer(self._held.popleft(), writeBody({}), 0)
        exchange = self._held.popleft()
        attrs = {} if exchange.rid == self._rid else {"ack": str(self._rid)}
        if self._report is not None:
            attrs["report"], attrs["time"] = map(str, self._report)
            self._report = None
        if payloads:
            self._lastEmpty = False
        self._answer(exchange, writeBody(attrs, payloads), sum(map(len, payloads)))

    def _answer(self, exchange: _Exchange, answer: bytes, octets: int) -> None:
        exchange.answer, exchange.octets, exchange.answered = answer, octets, self._clock.seconds()
        self._answered[exchange.rid] = exchange
        request, exchange.request = exchange.request, None
        if request is not None:
            request.answer(answer)

    def flush(self) -> None:
        """The end of the turn in which something was written."""
        self._marked = False
        if not self.over and not self._closing:
            self._release()
            self._wait()

    # --- time

    def _wait(self, pause: int | None = None) -> None:
        """
        Set the one alarm: for the oldest request that is held, or for the client to come back.

        @param pause: for how many seconds the client stays away with a right.
        """
        if self._patience is not None and self._patience.active():
            self._patience.cancel()
        self._patience = None
        if self.over:
            return
        now = self._clock.seconds()
        waiting = [exchange for exchange in self._held if exchange.request is not None]
        if waiting and not self._closing:
            self._absence = None
            due = waiting[0].arrived + (self.agreed.wait or POLLING)
            self._patience = self._clock.callLater(max(0.0, due - now), self._waitedLong)
            return
        if self._absence is None or pause is not None:
            self._absence = now + (self.agreed.inactivity if pause is None else pause)
        self._patience = self._clock.callLater(max(0.0, self._absence - now), self._end)

    def _waitedLong(self) -> None:
        self._answerOldest(self._payloads())
        self._wait()

    # --- the end

    def _finish(self, request: Answerable) -> None:
        """Answer the last request of a session whose stream has ended."""
        self._held.append(_Exchange(self._rid + 1, Body({}), request, 0.0, None))
        self._terminate()

    def _terminate(self) -> None:
        """Tell the end and what was left to say on the oldest request, and nothing on the others (section 13)."""
        last = terminal(self._condition, tuple(self._queue))
        self._queue.clear()
        for exchange in (*self._held, *self._early.values()):
            if exchange.request is not None:
                request, exchange.request = exchange.request, None
                request.answer(last)
                last = writeBody({})
        self._end()

    def _break(self, condition: str, request: Answerable | None) -> None:
        """The client has broken the rules: every request that waits hears of it, and the session is over."""
        if self.over:
            return
        log.info(
            "session ended: address={address} condition={condition}", address=self.address, condition=condition
        )
        answer, status = terminal(condition), 200 if self.agreed.version else _OLD_STATUS[condition]
        waiting = [exchange.request for exchange in (*self._held, *self._early.values())]
        self._end()
        for each in (*waiting, request):
            if each is not None:
                each.answer(answer, status)

    def _end(self) -> None:
        """It is over: for the stream, the connection is gone."""
        if self.over:
            return
        self.over = True
        for call in (self._patience, self._slowed, self._sooner):
            if call is not None and call.active():
                call.cancel()
        self._patience = self._slowed = self._sooner = None
        self._held.clear()
        self._early.clear()
        self._answered.clear()
        self._inbox.clear()
        self._queue.clear()
        self._ended(self)
        self.stream.connectionLost()

    # --- IStreamTransport

    def write(self, data: bytes) -> None:
        """See L{IStreamTransport}."""
        if self.over or data.startswith((b"<open ", b"<close ")):
            return  # bodies say that
        if data.startswith(b"<stream:error"):
            self._condition = "remote-stream-error"
        self._queue.append(data)
        self._queueBytes += len(data)
        if self._queueBytes > self._reception.limits.sendQueueBytes:
            self._giveUp()
        elif not self._marked:
            self._marked = True
            self._mark(self)

    def _giveUp(self) -> None:
        """Too much waits for a client that doesn't fetch it; end it in another turn, the stream is busy in this one."""
        if not self._givenUp:
            self._givenUp = True
            log.info("connection given up: address={address} reason=does not read", address=self.address)
            self._clock.callLater(0, self._unread)

    def _unread(self) -> None:
        waiting = b"".join(map(textFrame, self._queue))
        self._queue.clear()
        self._queueBytes = 0
        if not self.over:
            self.stream.unread(waiting)

    def loseConnection(self) -> None:
        """See L{IStreamTransport}."""
        if self.over or self._closing:
            return
        self._closing = True
        if self._isWaitedFor():
            self._terminate()
        else:
            self._wait()

    def abortConnection(self) -> None:
        """See L{IStreamTransport}; those who wait hear of the end without its reason."""
        if not self.over:
            self._terminate()

    def startTLS(self, domain: str) -> None:
        """Never called: L{canStartTLS} says no."""
        raise NotImplementedError

    def canStartTLS(self, domain: str) -> bool:
        """See L{IStreamTransport}."""
        return False

    def pauseReading(self) -> None:
        """See L{IStreamTransport}."""
        self._pauses += 1

    def resumeReading(self) -> None:
        """See L{IStreamTransport}."""
        self._pauses -= 1
        if not self._pauses and not self.over:
            self._work()
            if not self.over and not self._closing:
                self._release()
                self._wait()

    def unsent(self) -> int:
        """See L{IStreamTransport}: what waits, and what has been answered without a sign that it has arrived."""
        if self.over:
            return 1
        return self._queueBytes + sum(exchange.octets for exchange in self._answered.values())
