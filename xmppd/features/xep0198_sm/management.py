"""
One session under stream management (XEP-0198): acknowledgements both ways, and hibernation.

Theory of operation
===================

I{Inbound.} L{Management.counted} sees each stanza of the client first, counts it, and gives those that carry a risk an
empty promise, which whoever takes the stanza fills. A settlement covers everything received so far: it makes good on
all promises (L{xmppd.features.xep0198_sm.settlement}), with the count in the same transaction if the session can be
resumed, and only then is C{<a/>} sent. There is one settlement at a time; what is asked meanwhile is answered by the
next. When nothing is at risk and the count is durable already, an answer costs no more than its bytes.

I{Outbound.} L{Management.transmit} is the session's outlet: it queues the stanza, adds the queue's entry to its
promise, and sends it. One C{<r/>} at a time is under way: behind a message somebody waits for, after a number of
stanzas, or with the next I{beat}, a slow timer that runs only while something is outstanding. It also notices when no
answer comes, acknowledges unasked, and tries again what the store refused.

I{Hibernation.} Without a connection the session stays where it is; every message in the queue, and every one that
comes, is written to the spool under the session's token with its number. When the time is over, or the session ends
for another reason, what is left in the queue is treated as if it were sent to a resource that is not there
(L{xmppd.features.xep0198_sm.estate}).

The saved record holds the count that was acknowledged durably and what the session needs to exist again after a crash.
All changes of it are written in the order in which they are true: the store keeps the order of writes, and a record is
not written while an acknowledgement is under way.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final

from twisted.internet.defer import Deferred, succeed
from twisted.logger import Logger
from twisted.python.failure import Failure

from xmppd.features.xep0198_sm.avatars import handOver
from xmppd.features.xep0198_sm.estate import Estate
from xmppd.features.xep0198_sm.farewell import Farewell, ackBytes
from xmppd.features.xep0198_sm.queue import (
    ANSWERING_SECONDS,
    MASK,
    STRETCH,
    Entry,
    HandledCountTooHigh,
    HandledCountTooLow,
    Queue,
    fleeting,
    mostOctets,
    outlasts,
)
from xmppd.features.xep0198_sm.settlement import Settlement, later, settled
from xmppd.features.xep0198_sm.spooling import Spooling
from xmppd.ixmppd import (
    IClientStream,
    ISession,
    ManagedSessionRecord,
    SpooledMessage,
    StoreUnavailable,
)
from xmppd.wire import ns
from xmppd.wire.errors import StreamCondition, StreamError
from xmppd.wire.stanza import Stanza

if TYPE_CHECKING:
    from twisted.internet.interfaces import IDelayedCall

    from xmppd.features.xep0198_sm.resumption import StreamManagement

log = Logger(namespace="xmppd.sm")

REQUEST: Final = f"<r xmlns='{ns.STREAM_MANAGEMENT}'/>".encode()
RISKY_TYPES: Final = frozenset({"set", "subscribe", "subscribed", "unsubscribe", "unsubscribed"})
"""Types of stanzas besides messages that change something that lasts."""

ASK_AFTER: Final = 10
"""How many stanzas may be unacknowledged before the client is asked."""

ACK_AFTER: Final = 50
"""How many of the client's stanzas may be unacknowledged before it is told unasked."""

BEAT: Final = 5.0
"""Seconds between looks at what is outstanding."""

AGAIN: Final = 5.0
"""Seconds until a count is written again that could not be."""

PARKING_SECONDS: Final = 10.0
"""How long the stop of the server waits for a store that doesn't write."""

PARKING_LOOKS: Final = 200
"""In how many steps."""


class Management:
    """
    The state of stream management of one session.

    @ivar bare: the account (see L{xmppd.features.xep0198_sm.queue.Keeper}).
    @ivar token: names the session (the C{id} a client resumes with), and what holds its messages in the spool.
    @ivar resumable: whether the client can resume.
    @ivar durable: whether the session is recorded, so that it survives a crash.
    @ivar seconds: how long it can be resumed.
    @ivar queue: what the client has not acknowledged.
    @ivar received: how many stanzas the client has sent.
    @ivar settled: up to which number those are settled.
    @ivar told: which number the client was told last.
    @ivar secured: which number the store has.
    """

    __slots__ = (
        "_asked",
        "_beat",
        "_estate",
        "_expiry",
        "_farewell",
        "_host",
        "_leftovers",
        "_mostEntries",
        "_mostOctets",
        "_now",
        "_owed",
        "_owner",
        "_pending",
        "_record",
        "_settling",
        "_spooling",
        "_stalled",
        "_unsaved",
        "_waiting",
        "_writing",
        "bare",
        "durable",
        "expires",
        "queue",
        "received",
        "resumable",
        "resuming",
        "seconds",
        "secured",
        "session",
        "settled",
        "token",
        "told",
    )

    def __init__(
        self, owner: StreamManagement, session: ISession, token: str, resumable: bool, durable: bool, seconds: int
    ) -> None:
        host = session.host
        self.session = session
        self.bare = session.bare
        self.token = token
        self.resumable = resumable
        self.durable = durable
        self.seconds = seconds
        self.queue = Queue()
        self.received = self.settled = self.told = self.secured = 0
        self.expires = 0.0
        self.resuming: IClientStream | None = None
        self._owner = owner
        self._host = host
        self._now = host.clock.seconds
        self._mostEntries: int = host.limits.managementQueue
        self._mostOctets = mostOctets(session)
        self._pending: list[Stanza] = []
        self._settling = False
        self._owed = False
        self._waiting: list[Deferred[None]] = []
        self._stalled: Deferred[None] | None = None
        self._farewell: Farewell | None = None
        self._asked: float | None = None
        self._beat: IDelayedCall | None = None
        self._expiry: IDelayedCall | None = None
        self._leftovers: list[int] = []
        self._spooling = Spooling(host, self._unwritten)
        self._writing = False
        self._unsaved = False
        self._record: ManagedSessionRecord | None = None
        self._estate: Estate | None = None

    # --- from the client: counting

    def counted(self, stanza: Stanza) -> None:
        """The session's C{inbound}: a stanza has come. Per stanza."""
        self.received = (self.received + 1) & MASK
        if stanza.kind == "message" or stanza.attrs.get("type") in RISKY_TYPES:
            stanza.promise = []
            pending = self._pending
            pending.append(stanza)
            if len(pending) % ACK_AFTER == 0:
                self._manyPending(len(pending))
        if self._beat is None:
            self._startBeat()

    def _manyPending(self, count: int) -> None:
        """Settle unasked, when the stanza at hand has been taken; if the store is slow, read no further meanwhile."""
        if count >= self._mostEntries and self._stalled is None and self.session.stream is not None:
            self._stalled = Deferred()
            self.session.stream.waitFor(self._stalled)
        if not self._settling:
            self._host.clock.callLater(0, self._settleUnasked)

    def _settleUnasked(self) -> None:
        self._owed = True
        self.settle()

    def request(self) -> None:
        """The client asks (C{<r/>})."""
        self._owed = True
        self.settle()

    # --- from the client: settling

    def settle(self) -> None:
        """Make good on everything received so far, unless that is under way."""
        if self._settling:
            return
        batch, self._pending = self._pending, []
        n = self.received
        counting = self.durable and not self.session.over  # nobody will resume what is over
        if (self.secured == n or not counting) and all(map(settled, batch)):
            self._settled(n)
            return
        self._settling = True
        settlement = Settlement(self._host, batch, lambda messages: self._acknowledge(n, messages), counting)
        done = Deferred.fromCoroutine(settlement.secure())
        done.addCallback(self._batchDone, n).addErrback(self._batchFailed)

    def _acknowledge(self, n: int, messages: Sequence[SpooledMessage]) -> Deferred[Sequence[int]]:
        """One transaction: the count, and the messages the promise covers."""
        self._writing = True
        written = self._host.spool.acknowledge(self.token, n, messages)

        def wrote(result: Any) -> Any:
            self._writing = False
            if not isinstance(result, Failure):
                self.secured = n
            if self._unsaved:
                self.save()
            return result

        return written.addBoth(wrote)

    def _batchDone(self, _: object, n: int) -> None:
        self._settling = False
        if self.durable and self.secured != n:
            self._notSecured()
            return
        self._settled(n)
        if self._owed or self._waiting or self._farewell is not None:
            # A stanza may be on its way through the server just now: what it promises is known in the next turn.
            self._host.clock.callLater(0, self.settle)

    def _notSecured(self) -> None:
        """
        The store could not even note the count, and the senders of what it could not keep have been told so. Nothing is
        acknowledged, since after a crash a smaller count would be what holds; it is tried again. Nobody has to wait for
        that to go on.
        """
        self._owed = True
        self._goOn()
        self._sayWaiting()
        self._host.clock.callLater(AGAIN, self._secureAgain)

    def _secureAgain(self) -> None:
        if not self.session.over:
            self.settle()

    def _batchFailed(self, failure: Failure) -> None:
        """A mistake of ours. Nothing of the batch is ever acknowledged; the client will send it again elsewhere."""
        log.failure("acknowledging stanzas of {session} failed", failure, session=self.session.full)
        self.resumable = False
        self.session.end(StreamError(StreamCondition.INTERNAL_SERVER_ERROR))

    def _settled(self, n: int) -> None:
        """Everything up to C{n} is settled: tell who waits for it."""
        self.settled = n
        self._goOn()
        if self._owed:
            self._owed = n != self.received
            self.told = n
            self.session.send(ackBytes(n))
        if n == self.received:
            self._sayWaiting()
            if self._farewell is not None:
                self._farewell.say(self.settled)

    def _goOn(self) -> None:
        """Read on, if that had to wait."""
        stalled, self._stalled = self._stalled, None
        if stalled is not None:
            stalled.callback(None)

    def _sayWaiting(self) -> None:
        """Tell who waits for a settlement."""
        waiting, self._waiting = self._waiting, []
        for each in waiting:
            each.callback(None)

    def quiet(self) -> Deferred[None]:
        """Fires when everything received so far is settled, or can't be for now."""
        waiting: Deferred[None] = Deferred()
        self._waiting.append(waiting)
        self.settle()
        return waiting

    # --- to the client

    def transmit(self, stanza: Stanza) -> None:
        """The session's outlet. Per stanza."""
        queue = self.queue
        entry = queue.add(self, stanza, self._now())
        promised = stanza.promise
        if promised is not None and stanza.kind == "message" and self.answersFor(stanza):
            promised.append(entry)
        stream = self.session.stream
        if stream is None:
            if self.durable and self._isKept(entry):
                self._spooling.arrived(entry)
        else:
            stream.transmit(stanza)
            if self._asked is None and (promised is not None or len(queue.entries) >= ASK_AFTER):
                self.ask(stream)
            elif self._beat is None:
                self._startBeat()
        if len(queue.entries) > self._mostEntries or queue.octets > self._mostOctets:
            self._overflow()

    def answersFor(self, stanza: Stanza) -> bool:
        """Whether a message that the client doesn't get has to go somewhere else. Nobody takes a guest's messages."""
        return outlasts(stanza) and not self.session.account.anonymous

    def ask(self, stream: IClientStream) -> None:
        """Ask the client what it has."""
        self._asked = self._now()
        stream.write(REQUEST)
        if self._beat is None:
            self._startBeat()

    def acknowledged(self, h: int) -> None:
        """
        The client has everything up to C{h} (C{<a/>}). Less than before is an answer that was overtaken: it is ignored.
        """
        try:
            entries = self.queue.ack(h)
        except HandledCountTooHigh as error:
            self.session.end(error.toStreamError())
            return
        except HandledCountTooLow:
            return
        self._asked = None
        self._forget([entry.row for entry in entries if entry.row is not None])

    def _overflow(self) -> None:
        """
        Too much waits. Whoever sends fastest must not be able to end the session of a client that answers: before it
        had time for that, what waits may grow further. A client that still hasn't answered then loses its connection,
        and, if it can resume, nothing else: its session may be sent as much as one that has time to answer. That is the
        end; beyond it the session ends, too.
        """
        stream, asked = self.session.stream, self._asked
        error = StreamError(StreamCondition.POLICY_VIOLATION, "Too many stanzas are not acknowledged.")
        if not self.queue.exceeds(self._mostEntries * STRETCH, self._mostOctets * STRETCH):
            if stream is None or (asked is not None and self._now() - asked < ANSWERING_SECONDS):
                return
            if self.resumable:
                self._giveUp(stream, error)
                return
        log.info("{session} acknowledges too little", session=self.session.full)
        self.session.end(error)

    # --- rows of the spool

    def discard(self, row: int) -> None:
        """See L{xmppd.features.xep0198_sm.queue.Keeper}."""
        self._forget([row])

    def strayed(self, row: int) -> None:
        """See L{xmppd.features.xep0198_sm.queue.Keeper}: it becomes an offline message."""
        if self._estate is not None:
            self._estate.release()

    def _forget(self, rows: list[int]) -> None:
        """Remove rows, and those that could not be removed before."""
        rows += self._leftovers
        if not rows:
            return
        self._leftovers = []
        self._host.spool.remove(rows).addErrback(self._notForgotten, rows)

    def _notForgotten(self, failure: Failure, rows: list[int]) -> None:
        failure.trap(StoreUnavailable)
        self._leftovers += rows
        self._startBeat()

    def _isKept(self, entry: Entry) -> bool:
        """Whether an entry is written. Of a client that can't be resumed only promises are."""
        stanza = entry.stanza
        return stanza.kind == "message" and (not fleeting(stanza) if self.durable else outlasts(stanza))

    def _unwritten(self) -> list[Entry]:
        """The messages of the queue that are to be written and are not, in order."""
        return self.queue.where(lambda entry: entry.row is None and self._isKept(entry))

    def _catchUp(self) -> None:
        """Write every message of the queue that isn't written, if the client can come back for it."""
        if self.durable:
            self._spooling.writeAll()
        else:
            self._spooling.line()

    def fallBehind(self) -> None:
        """See L{xmppd.features.xep0198_sm.queue.Keeper}."""
        self._spooling.late = True
        self._startBeat()

    def line(self) -> Sequence[Entry]:
        """See L{xmppd.features.xep0198_sm.queue.Keeper}."""
        return self._spooling.line()

    def precede(self, sender: str) -> None:
        """Something of this sender is about to be stored for the account (L{Spooling.precede})."""
        self._spooling.precede(sender)

    # --- the record

    def state(self) -> str:
        """What the session needs to exist again, besides its queue."""
        return json.dumps({"seconds": self.seconds, "kept": self.session.slots.get("kept", {})})

    def record(self) -> ManagedSessionRecord:
        """The session as it is to be saved. While it is connected nobody knows when it will expire: then 0."""
        return ManagedSessionRecord(
            self.token, self.session.full, self.secured, self.queue.acked, self.expires, self.state()
        )

    def save(self) -> Deferred[None] | None:
        """Save the record if it has changed; not while an acknowledgement is being written, but then."""
        if not self.durable or self.session.over:
            return None
        if self._writing:
            self._unsaved = True
            return None
        self._unsaved = False
        record = self.record()
        self._record = record
        return self._host.spool.saveSession(record).addErrback(self._notSaved)

    def _notSaved(self, failure: Failure) -> None:
        failure.trap(StoreUnavailable)
        self._record = None
        self._startBeat()

    @property
    def recorded(self) -> bool:
        """Whether the session is in the store, if it has to be."""
        return not self.durable or self._record is not None

    def _changed(self) -> bool:
        """Whether what was saved is not what is true any more; the counts are saved in other ways."""
        saved = self._record
        return self.durable and (saved is None or saved.expires != self.expires or saved.state != self.state())

    # --- time

    def _startBeat(self) -> None:
        if self._beat is None and not self.session.over:
            self._beat = self._host.clock.callLater(BEAT, self._onBeat)

    def _onBeat(self) -> None:
        """Look after what is outstanding; go on while something is."""
        self._beat = None
        stream = self.session.stream
        if self.session.over:
            return
        if stream is not None:
            if self._asked is not None and self._now() - self._asked >= self._host.limits.answerSeconds:
                self._silent(stream)
                return
            if self.queue.entries and self._asked is None:
                self.ask(stream)
            if self.told != self.received:
                self._settleUnasked()
        if self._spooling.late:
            self._catchUp()
        if self._changed():
            self.save()
        self._forget([])
        if self._outstanding():
            self._startBeat()

    def _outstanding(self) -> bool:
        connected = self.session.stream is not None and (bool(self.queue.entries) or self.told != self.received)
        return connected or self._spooling.late or bool(self._leftovers)

    def _silent(self, stream: IClientStream) -> None:
        """No answer has come: the connection is as good as gone."""
        error = StreamError(StreamCondition.CONNECTION_TIMEOUT, "Acknowledgements were asked for and did not come.")
        if self.resumable:
            self._giveUp(stream, error)
        else:
            self.session.end(error)

    def _giveUp(self, stream: IClientStream, error: StreamError) -> None:
        """Close the stream; the session waits to be resumed."""
        self.letGo(stream, error)
        self.session.detached()

    def letGo(self, stream: IClientStream, error: StreamError) -> None:
        """Close the stream without ending the session."""
        self.session.stream = None
        stream.session = None
        stream.account = None
        stream.close(error)

    # --- hibernation

    def keep(self) -> bool:
        """The session's C{keep}: the connection is gone."""
        if not self.resumable:
            return False
        self._hibernate()
        return True

    def _hibernate(self) -> None:
        self._asked = None
        self._owed = False
        self.expires = self._now() + self.seconds
        self._setExpiry(self.seconds)
        self._catchUp()
        self.settle()
        self.save()

    def _setExpiry(self, seconds: float) -> None:
        self._cancelExpiry()
        self._expiry = self._host.clock.callLater(seconds, self._expire)

    def _cancelExpiry(self) -> None:
        expiry, self._expiry = self._expiry, None
        if expiry is not None and expiry.active():
            expiry.cancel()

    def _expire(self) -> None:
        self._expiry = None
        log.info("{session} was not resumed in time", session=self.session.full)
        self.session.end()

    def reviveFrom(self, record: ManagedSessionRecord, expires: float, entries: Sequence[Entry]) -> None:
        """Go on from a record and its messages, after a restart of the server."""
        self.received = self.settled = self.told = self.secured = record.inbound
        self.queue = Queue(record.outbound)
        self.queue.adrift = True
        self.queue.entries.extend(entries)
        self.queue.octets = sum(len(entry.stanza.raw) for entry in entries)
        self.expires = expires
        self._setExpiry(max(0.0, expires - self._now()))
        self.save()

    # --- resumption

    async def resume(self, stream: IClientStream, h: int, answer: Callable[[int], bytes]) -> bool:
        """
        Go on with another stream (section 5).

        @param answer: makes what tells the client, of the count; called when nothing can come between any more.
        @return: False if the session has ended, or the client has come by still another stream meanwhile.
        """
        self.resuming = stream
        await self.quiet()
        self._fallBack()
        queue = self.queue
        if queue.adrift:
            self._forget([entry.row for entry in queue.anchor(h) if entry.row is not None])
            await self._renumber()
        if self.session.over or self.resuming is not stream or stream.closed:
            return False
        self.resuming = None
        self._attach(stream, answer)
        self.acknowledged(h)
        self._resend(stream)
        self.save()
        return True

    def _fallBack(self) -> None:
        """What can't be settled for now counts as never received: the client sends it again."""
        if self.received != self.settled:
            self.received = self.settled
            self._pending = []

    async def _renumber(self) -> None:
        """
        After a crash: note the new numbers in the spool, so that another crash finds them. What is being written just
        now is being written without a number.
        """
        for written in tuple(self._spooling.underWay):
            await written
        entries = self.queue.where(lambda entry: entry.row is not None)
        rows = [entry.row for entry in entries if entry.row is not None]
        try:
            await self._host.spool.hold(rows, self.token, [entry.number for entry in entries])
        except StoreUnavailable:
            log.warn("messages of {session} keep their old numbers", session=self.session.full)

    def _attach(self, stream: IClientStream, answer: Callable[[int], bytes]) -> None:
        """The new stream is the session's from now on, and its avatar too."""
        session = self.session
        self._cancelExpiry()
        self.expires = 0.0
        handOver(session, stream)
        self.told = self.settled
        session.attach(stream)
        stream.write(answer(self.settled))
        stream.established(session)

    def _resend(self, stream: IClientStream) -> None:
        """Send what the client has not got, in order, with the time it came."""
        for entry in self.queue.entries:
            stream.transmit(self._owner.delayed(entry))
        if self.queue.entries:
            self.ask(stream)
        self._host.hooks.resumed.notify(self.session)

    # --- end

    def part(self, stream: IClientStream, error: StreamError | None) -> None:
        """The session's C{parting}: tell the client what has been handled, then close its stream."""
        if error is not None or stream.closed or self.told == self.received:
            stream.close(error)
            return
        self._farewell = Farewell(self._host, stream)
        self.settle()

    def ended(self) -> Deferred[None]:
        """The session is over. Fires when its messages are where others find them."""
        self._cancelExpiry()
        if self._beat is not None and self._beat.active():
            self._beat.cancel()
        self._beat = None
        self._estate = Estate(self._host, self, self._leftovers)
        return self._estate.settle(self.queue.clear())

    async def park(self) -> None:
        """The server stops: what can be resumed later is written down, the rest ends."""
        stream = self.session.stream
        if stream is not None:
            error = StreamError(StreamCondition.SYSTEM_SHUTDOWN)
            if not self.resumable:
                self.session.end(error)
                return
            self.letGo(stream, error)
            self.session.detached()
        if self._spooling.late:
            self._catchUp()
        for _ in range(PARKING_LOOKS):
            if not self._settling and not self._spooling.underWay:
                break
            await later(self._host.clock, PARKING_SECONDS / PARKING_LOOKS)
        await (self.save() or succeed(None))
