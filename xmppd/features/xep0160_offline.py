"""
Offline messages (XEP-0160), with the time they came (XEP-0203), as hints have it (XEP-0334).

Theory of operation. A message that no session can take is written to the spool; whoever has promised something for it
waits for that. When a resource becomes available with a priority that isn't negative, it gets what is there in
portions: a portion is marked in the spool as held by a token of this delivery, so that nobody else gets it and a crash
makes it offline messages again; it is delivered; and each row is removed when the client has the message. Who knows
when that is, is the custody that the session adds to the message's promise: it is told the row and takes care of it.
Where there is none (XEP-0198 is switched off), a row goes once nothing is unsent any more. What is left when the
session ends loses its holder. The next portion follows when the connection has swallowed this one.

While a session is given what has waited, live messages for it wait behind that, so that everybody's messages arrive in
the order in which they were sent (RFC 6120 section 10.1); and the work is not over before everything that is being
written to the spool for the account has been seen. Who has promised something for a message that waits can have it
written to the spool, so that a recipient who reads slowly keeps nobody from being answered.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any, Final

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from xmppd.hooks import Feature, Spec, Unanswered
from xmppd.ixmppd import ArchiveQuery, ICustody, IHost, ISession, Missing, SpooledMessage, StoreUnavailable
from xmppd.wire import ns
from xmppd.wire.dates import dateTime, fromDateTime
from xmppd.wire.element import Element
from xmppd.wire.errors import StanzaCondition, StanzaError
from xmppd.wire.stanza import Stanza, build, fromBytes

log = Logger(namespace="xmppd.offline")

NAME: Final = "xep0160_offline"
DELAY: Final = f"{ns.DELAY} delay"
STANZA_ID: Final = f"{ns.STANZA_ID} stanza-id"
STORE: Final = f"{ns.HINTS} store"
NO_STORE: Final = frozenset({f"{ns.HINTS} no-store", f"{ns.HINTS} no-storage"})

EMPTY: Final = frozenset(
    [f"{ns.CHAT_STATES} {state}" for state in ("active", "composing", "paused", "inactive", "gone")]
    + [f"{ns.HINTS} {hint}" for hint in ("no-permanent-store", "no-copy")]
    + [f"{ns.CLIENT} thread", DELAY]
)
"""What is worth nothing later, if there is nothing else in a message."""

PORTION: Final = 50
"""How many messages are delivered before the connection has to have swallowed them."""

KNOWN: Final = 10000
"""For how many accounts it is remembered how many messages they have."""

MOST_CLEARED: Final = 1000
"""How many messages are looked at when a client says that it reads the archive."""

WAITING: Final = 1000
"""How many messages may wait until it is known how many an account has already."""

BEHIND: Final = 1000
"""How many live messages may wait behind offline ones; then they do so no longer."""

BEHIND_OCTETS: Final = 1_048_576

LONGEST_DELAY: Final = 86400.0
"""A message may say of itself that it has been here for at most so many seconds."""

PAUSES: Final = (0.02, 0.1, 0.5, 2.0)
"""Seconds between looks whether the connection has swallowed a portion; the last repeats."""

RETRY_SECONDS: Final = 5.0


def storable(stanza: Stanza) -> bool:
    """Whether a message is worth keeping (XEP-0160 section 3, XEP-0334 section 4)."""
    if stanza.attrs.get("type") in ("groupchat", "headline", "error"):
        return False
    names = stanza.childNames
    if not NO_STORE.isdisjoint(names):
        return False
    return STORE in names or not EMPTY.issuperset(names)


def archived(bare: str, rows: Sequence[SpooledMessage]) -> list[tuple[int, str]]:
    """The rows that say that they are in the account's archive, with their ids there (XEP-0359)."""
    found = []
    for row in rows:
        try:
            stanza = fromBytes(row.stanza)
        except ValueError:
            continue
        if STANZA_ID not in stanza.childNames or row.id is None:
            continue
        ids = [each.get("id") for each in stanza.elements() if each.qname == STANZA_ID and each.get("by") == bare]
        if len(ids) == 1 and ids[0]:
            found.append((row.id, ids[0]))
    return found


class _Delivery:
    """
    What one session is being given.

    @ivar holder: by what the spool holds it.
    @ivar used: whether the spool holds anything by it.
    @ivar unconfirmed: rows that nobody else removes.
    @ivar done: whether the session has got what there was when its priority became non-negative.
    @ivar gate: where live messages wait meanwhile, or None.
    @ivar working: whether it is being given something just now. There is a gate without that while its connection is
        lost, or if there was more to give when the server died: it goes on when its client resumes it.
    @ivar complete: whether it has been given all there was.
    """

    __slots__ = ("complete", "done", "gate", "holder", "unconfirmed", "used", "working")

    def __init__(self, holder: str) -> None:
        self.holder = holder
        self.gate: Gate | None = None
        self.used = False
        self.unconfirmed: list[int] = []
        self.done = False
        self.working = False
        self.complete = False


@implementer(ICustody)
class Held:
    """
    A live message behind offline ones, and its custody until it is delivered; then somebody else has that.

    @ivar stanza: the message.
    @ivar row: where the spool has it, or None.
    """

    __slots__ = ("_gate", "_passed", "_stamp", "row", "stanza")

    def __init__(self, gate: Gate, stanza: Stanza, stamp: float) -> None:
        self.stanza = stanza
        self.row: int | None = None
        self._gate = gate
        self._stamp = stamp
        self._passed = False

    def message(self) -> SpooledMessage | None:
        """See L{ICustody}."""
        if self._passed or self.row is not None or not storable(self.stanza):
            return None
        delivery = self._gate.delivery
        delivery.used = True
        return SpooledMessage(self._gate.session.bare, self.stanza.raw, self._stamp, delivery.holder)

    def stored(self, id: int) -> None:
        """See L{ICustody}."""
        self.row = id
        if self._passed:
            self._handOver()

    def failed(self) -> None:
        """See L{ICustody}: it waits here all the same."""

    def line(self) -> Sequence[ICustody]:
        """See L{ICustody}."""
        return ()

    def _handOver(self) -> None:
        """The row is the next custody's, or of no use any more: then the client has the message."""
        assert self.row is not None
        if handOver(self.stanza, self.row) is None:
            self._gate.discard(self.row)

    def go(self) -> None:
        """Deliver it now, or have it delivered elsewhere if the session is over."""
        self._passed = True
        session = self._gate.session
        if session.over:
            if self.row is None:
                session.host.router.route(self.stanza)
            return
        if self.row is not None:
            self.stanza.promise = []  # who had promised something for it has been answered
        session.deliver(self.stanza)
        if self.row is not None:
            self._handOver()


def handOver(stanza: Stanza, row: int) -> SpooledMessage | None:
    """
    Tell whoever has custody of a message where the spool has it, so that he removes it in time.

    @return: how he would have stored it, or None if there is nobody.
    """
    for custody in stanza.promise or ():
        if isinstance(custody, Deferred):
            continue
        message: SpooledMessage | None = custody.message()
        if message is not None:
            custody.stored(row)
            return message
    return None


class Gate:
    """
    Holds live messages for one session back.

    @ivar session: the session.
    @ivar delivery: what it is being given.
    @ivar discard: removes a row that is not needed any more.
    """

    def __init__(self, session: ISession, delivery: _Delivery, discard: Callable[[int], None]) -> None:
        self.session = session
        self.delivery = delivery
        self.discard = discard
        self._held: list[Held] = []
        self._octets = 0
        self._passing = False
        session.addReceiveRefusal(self.refuses)

    def refuses(self, session: ISession, stanza: Stanza) -> StanzaError | None:
        """A receive refusal: a message waits."""
        if stanza.kind != "message" or self._passing:
            return None
        self._octets += len(stanza.raw)
        if len(self._held) >= BEHIND or self._octets > BEHIND_OCTETS:
            self.open()
            return None
        held = Held(self, stanza, session.host.clock.seconds())
        if stanza.promise is not None:
            stanza.promise.append(held)
        self._held.append(held)
        return Unanswered(StanzaCondition.UNDEFINED_CONDITION)

    def deliver(self, stanza: Stanza) -> None:
        """Deliver a message that others wait behind."""
        self._passing = True
        try:
            self.session.deliver(stanza)
        finally:
            self._passing = False

    def open(self) -> None:
        """Let everything go, in order."""
        self.session.removeRefusal(self.refuses)
        held, self._held = self._held, []
        for each in held:
            each.go()


Waiting = list[tuple[Stanza, "Deferred[None] | None"]]


class OfflineMessages:
    """The offline messages of one host."""

    def __init__(self, host: IHost) -> None:
        self.host = host
        self._counts: OrderedDict[str, int] = OrderedDict()
        self._waiting: dict[str, Waiting] = {}
        self._serving: dict[str, ISession] = {}
        self._adding: dict[str, int] = {}
        self._watchers: dict[str, Deferred[None]] = {}

    # --- in

    def take(self, stanza: Stanza, bare: str) -> Stanza | None:
        """Keep a message that no session can take; answers it if it is not to be kept. See C{hooks.undeliverable}."""
        sessions = self.host.sessions.get(bare, {})
        if not storable(stanza) or any(each.account.anonymous for each in sessions.values()):
            return stanza
        done: Deferred[None] | None = None
        if stanza.promise is not None:
            done = Deferred()
            stanza.promise.append(done)
        waiting = self._waiting.get(bare)
        if waiting is not None:
            if len(waiting) < WAITING:
                waiting.append((stanza, done))
            else:
                self._refuse(stanza, done, StanzaCondition.RESOURCE_CONSTRAINT)
        elif bare in self._counts:
            self._keep(stanza, done, bare)
        else:
            self._waiting[bare] = [(stanza, done)]
            self.host.spool.count(bare).addCallbacks(
                self._counted, self._notCounted, callbackArgs=(bare,), errbackArgs=(bare,)
            )
        return None

    def _counted(self, count: int, bare: str) -> None:
        self._counts[bare] = count
        if len(self._counts) > KNOWN:
            self._counts.popitem(last=False)
        for stanza, done in self._waiting.pop(bare):
            self._keep(stanza, done, bare)
        self._written(bare)

    def _notCounted(self, failure: Failure, bare: str) -> None:
        for stanza, done in self._waiting.pop(bare):
            self._notKept(failure, stanza, done, bare)
        self._written(bare)

    def _keep(self, stanza: Stanza, done: Deferred[None] | None, bare: str) -> None:
        count = self._counts.get(bare, 0)
        if count >= self._most(stanza):
            if stanza.archived:  # where its recipient will find it
                self._settle(done)
                return
            self._refuse(stanza, done, StanzaCondition.SERVICE_UNAVAILABLE)
            return
        self._counts[bare] = count + 1
        kept, stamp = self._stamped(stanza)
        self._adding[bare] = self._adding.get(bare, 0) + 1
        self.host.spool.add([SpooledMessage(bare, kept.raw, stamp)]).addCallbacks(
            lambda _: self._settle(done), self._notKept, errbackArgs=(stanza, done, bare)
        ).addBoth(lambda _: self._added(bare))

    def _most(self, stanza: Stanza) -> int:
        """How many messages may wait before this one is refused: guests leave half of the room to others."""
        most: int = self.host.limits.offlineMessages
        sender = self.host.router.session(stanza.attrs.get("from", ""))
        return most // 2 if sender is not None and sender.account.anonymous else most

    def _added(self, bare: str) -> None:
        self._adding[bare] -= 1
        if not self._adding[bare]:
            del self._adding[bare]
        self._written(bare)

    def _isWriting(self, bare: str) -> bool:
        return bare in self._adding or bare in self._waiting

    def _written(self, bare: str) -> None:
        """Tell who waits for it that nothing is being written for an account."""
        if not self._isWriting(bare) and bare in self._watchers:
            self._watchers.pop(bare).callback(None)

    def _stamped(self, stanza: Stanza) -> tuple[Stanza, float]:
        """
        The message and when the server took it. Delays in our own name are taken out (XEP-0203 section 5); a recent
        one is believed, since it may stand there because the message has been held for a lost connection.
        """
        now = self.host.clock.seconds()
        ours = [each for each in stanza.elements() if self._isOurs(each)] if DELAY in stanza.childNames else []
        if not ours:
            return stanza, now
        rest = [each for each in stanza.elements() if not self._isOurs(each)]
        try:
            stamp = fromDateTime(ours[0].get("stamp") or "")
        except (ValueError, OverflowError):
            stamp = now
        believed = now - LONGEST_DELAY <= stamp <= now
        return build(stanza.kind, dict(stanza.attrs), *rest), stamp if believed else now

    def _isOurs(self, element: Element) -> bool:
        return element.qname == DELAY and element.get("from") == self.host.domain

    def _notKept(self, failure: Failure, stanza: Stanza, done: Deferred[None] | None, bare: str) -> None:
        """The store failed: the sender may try again."""
        self._counts.pop(bare, None)
        if failure.check(StoreUnavailable):
            self._refuse(stanza, done, StanzaCondition.RESOURCE_CONSTRAINT)
        else:
            log.failure("keeping a message for {account} failed", failure, account=bare)
            self._refuse(stanza, done, StanzaCondition.INTERNAL_SERVER_ERROR)

    def _refuse(self, stanza: Stanza, done: Deferred[None] | None, condition: StanzaCondition) -> None:
        self.host.router.bounce(stanza, StanzaError(condition))
        self._settle(done)

    def _settle(self, done: Deferred[None] | None) -> None:
        if done is not None:
            done.callback(None)

    # --- out

    def available(self, session: ISession, first: bool) -> None:
        """A client that takes messages gets what has waited; once, until its priority has been negative."""
        delivery = self._deliveryOf(session)
        if session.priority < 0:
            delivery.done = False
        elif (first or not delivery.done) and not session.account.anonymous:
            delivery.done = True
            self._deliver(session, delivery)

    def resumed(self, session: ISession) -> None:
        """A client is connected again (XEP-0198): go on, also with what a crash has left."""
        if session.presence is not None and session.priority >= 0 and not session.account.anonymous:
            self._deliver(session, self._deliveryOf(session))
        else:
            self._open(session)

    def restored(self) -> Deferred[None]:
        """Sessions of before a restart are back: what comes for them waits behind what they have to get."""
        return Deferred.fromCoroutine(self._restored())

    async def _restored(self) -> None:
        for bare, sessions in tuple(self.host.sessions.items()):
            for session in sessions.values():
                if session.presence is not None and session.priority >= 0 and await self.host.spool.count(bare):
                    delivery = self._deliveryOf(session)
                    delivery.gate = Gate(session, delivery, self._discard)

    def _deliveryOf(self, session: ISession) -> _Delivery:
        delivery: _Delivery | None = session.slots.get(NAME)
        if delivery is None:
            delivery = session.slots[NAME] = _Delivery(self.host.entropy.token())
        return delivery

    def ended(self, session: ISession) -> None:
        """What the client did not get waits for the next one."""
        delivery: _Delivery | None = session.slots.get(NAME)
        if delivery is None:
            return
        if delivery.gate is not None:
            delivery.gate.open()
        if delivery.used:
            self._counts.pop(session.bare, None)
            self._release(session.bare, delivery.holder)

    def _release(self, bare: str, holder: str) -> None:
        """What was held are offline messages again. Who comes meanwhile waits for the first attempt."""
        self._adding[bare] = self._adding.get(bare, 0) + 1
        attempting = [bare]

        def attempted(result: Any) -> Any:
            if attempting:
                self._added(attempting.pop())
            return result

        self._insist(
            lambda: self.host.spool.release(holder).addBoth(attempted).addCallback(lambda _: self._another(bare))
        )

    async def cleared(self, session: ISession) -> bytes:
        """
        A client has begun in a way that says that it reads the archive (XEP-0386 section 3.2): what is there, and only
        that, it doesn't get a second time.
        """
        host, bare = self.host, session.bare
        if session.account.anonymous or ns.ARCHIVE not in host.accountNamespaces:
            return b""
        try:
            there = archived(bare, await host.spool.offline(bare, MOST_CLEARED))
            for begin in range(0, len(there), PORTION):
                portion = there[begin : begin + PORTION]
                ids = tuple(archiveId for _, archiveId in portion)
                await host.archives.query(bare, ArchiveQuery(ids=ids, limit=1, count=False))
                await host.spool.remove([row for row, _ in portion])
        except (StoreUnavailable, Missing, ValueError):
            pass  # the client gets what is left as soon as it is available
        self._counts.pop(bare, None)
        return b""

    def removed(self, bare: str) -> None:
        """An account is gone with its messages: they don't count against who gets the name next."""
        self._counts.pop(bare, None)

    def _another(self, bare: str) -> None:
        """Another resource may take over what the first did not get."""
        for session in tuple(self.host.sessions.get(bare, {}).values()):
            if self._wants(session):
                self.resumed(session)
                return

    def _deliver(self, session: ISession, delivery: _Delivery) -> None:
        other = self._serving.get(session.bare)
        if delivery.working:
            return
        if other is not None and self._wants(other):
            self._open(session)
            return
        self._serving[session.bare] = session
        delivery.working, delivery.complete = True, False
        if delivery.gate is None:
            delivery.gate = Gate(session, delivery, self._discard)
        Deferred.fromCoroutine(self._work(session, delivery)).addErrback(self._failed, session).addBoth(
            lambda _: self._served(session)
        )

    def _served(self, session: ISession) -> None:
        if self._serving.get(session.bare) is session:
            del self._serving[session.bare]
        delivery: _Delivery = session.slots[NAME]
        delivery.working = False
        if delivery.complete or session.over or session.stream is not None:
            self._open(session)
        if session.over:
            self._another(session.bare)

    def _open(self, session: ISession) -> None:
        """Nothing more has to come before live messages."""
        delivery = self._deliveryOf(session)
        gate, delivery.gate = delivery.gate, None
        if gate is not None:
            gate.open()

    def _failed(self, failure: Failure, session: ISession) -> None:
        """Nothing is lost; the next presence or the next session tries again."""
        session.slots[NAME].done = False
        if failure.check(StoreUnavailable) is None:
            log.failure("delivering offline messages to {session} failed", failure, session=session.full)

    def _wants(self, session: ISession) -> bool:
        """Whether a session is there to take messages."""
        if session.over or session.stream is None:
            return False
        return session.presence is not None and session.priority >= 0

    async def _work(self, session: ISession, delivery: _Delivery) -> None:
        spool, bare = self.host.spool, session.bare
        while self._wants(session):
            while self._isWriting(bare):
                await self._watchers.setdefault(bare, Deferred())
            rows = await spool.offline(bare, PORTION)
            if not rows and not self._isWriting(bare):
                delivery.complete = True
                return
            if rows and self._wants(session):
                await self._givePortion(session, delivery, rows)

    async def _givePortion(self, session: ISession, delivery: _Delivery, rows: Sequence[SpooledMessage]) -> None:
        self._counts.pop(session.bare, None)
        delivery.used = True
        ids = [row.id for row in rows if row.id is not None]
        await self.host.spool.hold(ids, delivery.holder, [0] * len(ids))
        if not self._wants(session):
            await self.host.spool.release(delivery.holder)
            return
        placed: dict[str, list[tuple[int, int]]] = {}
        for row in rows:
            message = self._give(delivery, row)
            if message is not None and message.holder is not None and message.sequence:
                placed.setdefault(message.holder, []).append((row.id or 0, message.sequence))
        for holder, pairs in placed.items():
            self._place(holder, pairs)
        await self._swallowed(session, delivery)

    def _place(self, holder: str, pairs: Sequence[tuple[int, int]]) -> None:
        """
        Note where messages stand in a queue of stream management, so that after a crash its client is not given again
        what it says it has. If that fails, a crash makes doubles.
        """
        ids, sequences = zip(*pairs, strict=True)
        self.host.spool.hold(ids, holder, sequences).addErrback(lambda failure: failure.trap(StoreUnavailable) and None)

    def _discard(self, row: int) -> None:
        self._insist(lambda: self.host.spool.remove([row]))

    def _give(self, delivery: _Delivery, row: SpooledMessage) -> SpooledMessage | None:
        """Deliver one message, and find somebody who removes its row; answers how he would have stored it."""
        assert row.id is not None and delivery.gate is not None
        try:
            stanza = fromBytes(row.stanza)
        except ValueError:
            log.error("message {id} in the spool can't be read", id=row.id)
            delivery.unconfirmed.append(row.id)
            return None
        delay = Element(
            "delay", ns.DELAY, {"from": self.host.domain, "stamp": dateTime(row.stamp, True)}, ("Offline Storage",)
        )
        stanza = stanza.extended(delay.toBytes(), (DELAY,))
        stanza.promise = []
        stanza.archived = False  # or it was archived when it came
        delivery.gate.deliver(stanza)
        message = handOver(stanza, row.id)
        if message is None:
            delivery.unconfirmed.append(row.id)
        return message

    async def _swallowed(self, session: ISession, delivery: _Delivery) -> None:
        """Wait until the connection has taken what was written; then what nobody else answers for is delivered."""
        looks = 0
        while not session.over and session.stream is not None:
            if not session.stream.unsent():
                confirmed, delivery.unconfirmed = delivery.unconfirmed, []
                if confirmed:
                    await self.host.spool.remove(confirmed)
                return
            pause: Deferred[None] = Deferred()
            self.host.clock.callLater(PAUSES[min(looks, len(PAUSES) - 1)], pause.callback, None)
            looks += 1
            await pause

    def _insist(self, act: Callable[[], Deferred[Any]]) -> None:
        """Do something with the spool, however often it takes."""

        def again(failure: Failure) -> None:
            failure.trap(StoreUnavailable)
            self.host.clock.callLater(RETRY_SECONDS, self._insist, act)

        act().addErrback(again).addErrback(lambda failure: log.failure("tidying the spool up failed", failure))


def join(host: IHost) -> None:
    """Keep messages for the accounts of a host."""
    offline = OfflineMessages(host)
    host.hooks.undeliverable.addChange(offline.take)
    host.hooks.available.addObserver(offline.available)
    host.hooks.resumed.addObserver(offline.resumed)
    host.hooks.restored.addObserver(offline.restored)
    host.hooks.ended.addObserver(offline.ended)
    host.hooks.removed.addObserver(offline.removed)
    host.inline.bound.append(offline.cleared)


feature = Feature(
    name=NAME,
    specs=(Spec("XEP-0160", "1.0.1"), Spec("XEP-0203", "2.0"), Spec("XEP-0334", "1.0.0")),
    namespaces=(ns.OFFLINE,),
    after=("xep0191_blocking", "xep0280_carbons", "xep0313_archive", "xep0357_push", "xep0198_sm"),
    join=join,
)
