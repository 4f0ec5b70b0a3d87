"""
The ledger of guests: whatever lasts of a guest is noted in the database before it happens, and undone when the guest
goes (XEP-0175 section 3).

Theory of operation: all features of all domains write through the ledger's stores. These know by name the guests who
are here. The first write that belongs to a guest commits a row of the ledger first: a fact of kind L{KIND} whose owner
is the guest. A write into somebody else's keeping that names a guest (a contact's roster, a node of a service) commits
a row that says where. So a guest of whom there is no row has left nothing in the database: reads on its behalf are
answered without asking the store, and its going costs nothing.

When the last session of a guest has ended, what it caused is undone: the features of all domains take leave of it
(the hook C{farewell}) as others expect it to be done, by what they find in the store; then presence is dissolved, and
in the end L{IStore.forget} deletes all that is the guest's, and the ledger's rows with it, in one transaction. Until
then the name stays taken. A crash at any point leaves the rows, and the next start begins again: taking leave twice
is harmless. Removing an account goes the same way.

Which operation of which store writes what is a table, C{RULES} in L{xmppd.route.effects}. An operation that isn't in
there stops the start-up.
"""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, Final, cast

from twisted.internet.defer import Deferred, FirstError, fail, gatherResults, succeed
from twisted.logger import Logger
from zope.interface import Interface, directlyProvides, implementer

from xmppd.ixmppd import (
    ArchivedMessage,
    Departure,
    Exists,
    IAccountStore,
    IArchiveStore,
    IClock,
    IFactStore,
    IHost,
    ILedger,
    INameStore,
    INodeStore,
    IRosterStore,
    ISpoolStore,
    IStore,
    StoreUnavailable,
)
from xmppd.route.effects import OWN, RULES, Free, Notes, Reads, Row, Writes

if TYPE_CHECKING:
    from twisted.internet.interfaces import IDelayedCall

log = Logger(namespace="xmppd.ledger")

KIND: Final = "ledger"
"""The kind of fact that a row of the ledger is."""

GONE: Final = 10_000
"""How many guests are remembered to have gone, so that nothing that comes late is kept for them."""

PAUSES: Final = (1.0, 2.0, 5.0, 15.0, 60.0)
"""After how many seconds it is tried again to undo what the store refused; the last ones repeat."""


class _Part:
    """One of the small stores, as seen through the ledger: its methods are set when it is made."""

    def __init__(self, ledger: Ledger, name: str, interface: type[Interface], rules: Mapping[str, Any]) -> None:
        below = getattr(ledger.store, name)
        missing = set(interface.names()) - set(rules)
        if missing:
            lacking = ", ".join(sorted(missing))
            raise NotImplementedError(f"the RULES of effects don't say what {lacking} of {name} does for guests")
        for operation, rule in rules.items():
            setattr(self, operation, ledger.through(below, operation, rule))
        directlyProvides(self, interface)


# --- guests -------------------------------------------------------------------------------------------------------


class _Guest:
    """
    A guest who is here, or whose effects are being undone.

    @ivar home: the guest's domain.
    @ivar rows: the ledger's rows, each with those who wait for it; None if it is in the database.
    @ivar free: whether no account has the name.
    @ivar arriving: how many of its sessions are being bound.
    @ivar leaving: whether the last session is over.
    @ivar closing: whether everything is being deleted, and nothing may be kept any more.
    """

    __slots__ = ("arriving", "bare", "closing", "free", "home", "leaving", "rows")

    def __init__(self, bare: str, home: IHost) -> None:
        self.bare = bare
        self.home = home
        self.rows: dict[Row, list[Deferred[None]] | None] = {}
        self.free = False
        self.arriving = 0
        self.leaving = False
        self.closing = False


@implementer(ILedger, IStore)
class Ledger:
    """
    See L{ILedger}; and a store in front of another.

    @ivar store: the other.
    @ivar domains: all hosts of the server, services too.
    """

    accounts: IAccountStore
    rosters: IRosterStore
    spool: ISpoolStore
    facts: IFactStore
    archives: IArchiveStore
    pubsub: INodeStore
    nameIndex: INameStore

    def __init__(self, store: IStore, clock: IClock) -> None:
        self.store = store
        self.domains: list[IHost] = []
        self._clock = clock
        self._guests: dict[str, _Guest] = {}
        self._gone: OrderedDict[str, None] = OrderedDict()
        self._undoing: dict[str, Deferred[None]] = {}
        self._pauses: dict[Deferred[None], IDelayedCall] = {}
        self._stopping = False
        for name, (interface, rules) in RULES.items():
            setattr(self, name, _Part(self, name, interface, rules))
        cast(Any, self.accounts).create = self._create
        cast(Any, self.archives).add = partial(self._archive, cast(Any, self.archives).add)

    # --- the store

    def open(self) -> Deferred[None]:
        """See L{IStore}."""
        return self.store.open()

    def close(self) -> Deferred[None]:
        """See L{IStore}."""
        return self.store.close()

    def forget(self, owner: str) -> Deferred[None]:
        """See L{IStore}."""
        return self.store.forget(owner)

    def through(self, below: Any, operation: str, rule: Reads | Writes | Free) -> Callable[..., Deferred[Any]]:
        """An operation of a store, as the rule has it."""
        guests = self._guests

        def free(*arguments: Any, **named: Any) -> Deferred[Any]:
            return cast("Deferred[Any]", getattr(below, operation)(*arguments, **named))

        def reads(owner: str, *arguments: Any, **named: Any) -> Deferred[Any]:
            guest = guests.get(owner)
            if guest is not None and not guest.rows:
                return succeed(blank)
            return cast("Deferred[Any]", getattr(below, operation)(owner, *arguments, **named))

        def writes(*arguments: Any, **named: Any) -> Deferred[Any]:
            if not guests and not self._gone:
                return cast("Deferred[Any]", getattr(below, operation)(*arguments, **named))
            return self._noting(notes(*arguments, **named), partial(getattr(below, operation), *arguments, **named))

        if isinstance(rule, Writes):
            notes = rule.notes
            return writes
        if isinstance(rule, Reads):
            blank = rule.blank
            return reads
        return free

    def _create(self, jid: str, *arguments: Any, **named: Any) -> Deferred[None]:
        """Nobody registers the name of a guest who is here."""
        if jid in self._guests:
            return fail(Exists(jid))
        self._gone.pop(jid, None)
        return self.store.accounts.create(jid, *arguments, **named)

    def _archive(self, add: Callable[..., Deferred[None]], messages: Sequence[ArchivedMessage]) -> Deferred[None]:
        """What a guest said who has gone meanwhile is archived for others without its name."""
        if self._gone or self._guests:
            messages = [replace(each, sender="") if self._closed(each.sender) else each for each in messages]
        return add(messages)

    # --- rows

    def _noting(self, notes: Notes, write: Callable[[], Deferred[Any]]) -> Deferred[Any]:
        """Write when everything it concerns is in the ledger."""
        waits: list[Deferred[None]] = []
        guests: list[_Guest] = []
        for bare, row in notes:
            guest = self._guests.get(bare)
            if row == OWN and self._closed(bare):
                return fail(StoreUnavailable("the guest has gone"))
            if guest is None or guest.closing:
                continue
            wait = self._note(guest, row)
            if row == OWN:
                guests.append(guest)
            if wait is not None:
                waits.append(wait)
        if not waits:
            return write()
        return Deferred.fromCoroutine(self._after(waits, guests, write))

    async def _after(
        self, waits: Sequence[Deferred[None]], owners: Sequence[_Guest], write: Callable[[], Deferred[Any]]
    ) -> Any:
        try:
            await gatherResults(waits, consumeErrors=True)
        except FirstError as error:
            error.subFailure.raiseException()
        if any(guest.closing for guest in owners):
            raise StoreUnavailable("the guest has gone")
        return await write()

    def _closed(self, bare: str) -> bool:
        """Whether nothing may be kept for somebody any more."""
        guest = self._guests.get(bare)
        return guest.closing if guest is not None else bare in self._gone

    def _note(self, guest: _Guest, row: Row) -> Deferred[None] | None:
        """Have a row in the database; answers what to wait for, or None if it is there."""
        if row not in guest.rows:
            guest.rows[row] = []
            Deferred.fromCoroutine(self._record(guest, row)).addBoth(self._noted, guest, row)
        if row not in guest.rows:
            return fail(StoreUnavailable("the ledger can't be written"))
        waiting = guest.rows[row]
        if waiting is None:
            return None
        wait: Deferred[None] = Deferred()
        waiting.append(wait)
        return wait

    async def _record(self, guest: _Guest, row: Row) -> None:
        if not guest.free:
            if await self.store.accounts.get(guest.bare) is not None:
                raise StoreUnavailable("there is an account by the name of this guest")
            guest.free = True
        await self.store.facts.put(guest.bare, KIND, _text(row), self._since())

    def _since(self) -> bytes:
        return str(int(self._clock.seconds())).encode()

    def _noted(self, result: Any, guest: _Guest, row: Row) -> None:
        """A row is in the database, or it isn't: then the next write tries again."""
        waiting = guest.rows[row] or []
        if result is None:
            guest.rows[row] = None
            for wait in waiting:
                wait.callback(None)
            return
        del guest.rows[row]
        if result.check(StoreUnavailable) is None:
            log.failure("the ledger of {bare} can't be written", result, bare=guest.bare)
        for wait in waiting:
            wait.errback(StoreUnavailable("the ledger can't be written"))

    # --- coming and going

    def note(self, bare: str) -> Deferred[None]:
        """See L{ILedger}."""
        guest = self._guests.get(bare)
        if self._closed(bare):
            return fail(StoreUnavailable("the guest has gone"))
        return succeed(None) if guest is None else self._note(guest, OWN) or succeed(None)

    def arrived(self, bare: str, home: IHost) -> None:
        """See L{ILedger}."""
        if bare not in self._guests:
            self._guests[bare] = _Guest(bare, home)
        self._guests[bare].arriving += 1

    def settled(self, bare: str) -> None:
        """See L{ILedger}."""
        self._guests[bare].arriving -= 1

    def knows(self, bare: str) -> bool:
        """See L{ILedger}."""
        return bare in self._guests

    def isGone(self, bare: str) -> bool:
        """See L{ILedger}."""
        guest = self._guests.get(bare)
        return guest.leaving if guest is not None else bare in self._gone

    def departed(self, bare: str) -> None:
        """See L{ILedger}."""
        guest = self._guests.get(bare)
        if guest is None or guest.leaving or guest.arriving:
            return
        guest.leaving = True
        if guest.rows and self._stopping:
            return  # the next start undoes it
        done = Deferred.fromCoroutine(self._undoAtLast(guest))
        if not done.called:
            self._undoing[bare] = done
        done.addErrback(lambda failure: log.failure("undoing what {bare} did failed", failure, bare=bare))

    async def _undoAtLast(self, guest: _Guest) -> None:
        """Undo what a guest has done, again and again until the store has taken it or the server stops."""
        attempt = 0
        try:
            while not await self._undone(guest) and not self._stopping:
                await self._pause(PAUSES[min(attempt, len(PAUSES) - 1)])
                attempt += 1
        finally:
            self._undoing.pop(guest.bare, None)

    async def _undone(self, guest: _Guest) -> bool:
        """Try once; whether the store has taken it. Otherwise the next start may do it."""
        try:
            await self._undo(guest, False)
        except StoreUnavailable:
            log.warn("what {bare} leaves can't be undone just now", bare=guest.bare)
            return False
        return True

    def _pause(self, seconds: float) -> Deferred[None]:
        """Wait, but not when the server stops."""
        paused: Deferred[None] = Deferred()
        call = self._clock.callLater(seconds, paused.callback, None)
        self._pauses[paused] = call

        def over(_: object) -> None:
            del self._pauses[paused]
            if call.active():
                call.cancel()

        return paused.addCallback(over)

    async def _undo(self, guest: _Guest, crashed: bool) -> None:
        told: frozenset[Row] | None = None
        while told is None or not told.issuperset(guest.rows):  # while leave is taken, others may note something
            told = frozenset(guest.rows)
            departure = Departure(guest.bare, told - {OWN}, guest.free or not crashed, crashed)
            await self._farewell(departure, bool(told))
        if guest.rows:
            guest.closing = True
            await self.store.forget(guest.bare)
        self._drop(guest)
        if told:
            guest.home.hooks.removed.notify(guest.bare)

    def _drop(self, guest: _Guest) -> None:
        self._guests.pop(guest.bare, None)
        self._gone[guest.bare] = None
        if len(self._gone) > GONE:
            self._gone.popitem(last=False)

    def farewell(self, departure: Departure) -> Deferred[None]:
        """See L{ILedger}."""
        return Deferred.fromCoroutine(self._farewell(departure, True))

    async def _farewell(self, departure: Departure, stored: bool) -> None:
        """Everybody takes leave; contacts only of whom there is anything stored, since without that nobody is one."""
        home = departure.bare.rpartition("@")[2]
        domains = sorted(self.domains, key=lambda host: host.domain != home)  # contacts hear of it before they forget
        for host in domains:
            for observer in host.hooks.farewell.observe:
                await _settled(observer, departure)
        for host in domains if stored else ():
            if host.presence is not None:
                await _settled(host.presence.dissolve, departure)

    # --- accounts

    def leaves(self, bare: str) -> Deferred[None]:
        """See L{ILedger}."""
        return self.store.facts.put(bare, KIND, _text(OWN), self._since())

    # --- beginning and end

    def undoLeft(self) -> Deferred[None]:
        """See L{ILedger}."""
        return Deferred.fromCoroutine(self._undoLeft())

    async def _undoLeft(self) -> None:
        for host in tuple(self.domains):
            for bare in await self.store.facts.owners(KIND, host.domain):
                await self._undoOne(host, bare)

    async def _undoOne(self, host: IHost, bare: str) -> None:
        """What was left by a server that has been killed."""
        guest = self._guests[bare] = _Guest(bare, host)
        guest.leaving = True
        guest.free = await self.store.accounts.get(bare) is None
        guest.rows = dict.fromkeys(map(_row, await self.store.facts.all(bare, KIND)))
        log.info("undoing what {bare} left", bare=bare)
        await self._undo(guest, True)

    def stop(self) -> Deferred[None]:
        """See L{ILedger}."""
        return Deferred.fromCoroutine(self._stop())

    async def _stop(self) -> None:
        self._stopping = True
        for paused in tuple(self._pauses):
            paused.callback(None)
        while self._undoing:
            done: Deferred[None] = Deferred()
            next(iter(self._undoing.values())).addBoth(_passOn, done)
            await done


def _passOn(result: Any, done: Deferred[None]) -> Any:
    done.callback(None)
    return result


async def _settled(observer: Callable[[Departure], Any], departure: Departure) -> None:
    """Let somebody take leave. What the store refuses is tried again; a mistake of ours must not keep the rest."""
    try:
        answer = observer(departure)
        if answer is not None:
            await answer
    except StoreUnavailable:
        raise
    except Exception:
        log.failure("taking leave of {bare} failed", bare=departure.bare)


def _text(row: Row) -> str:
    """A row as the key of a fact."""
    return json.dumps(row) if row else ""


def _row(text: str) -> Row:
    """The row that a key stands for."""
    return tuple(str(word) for word in json.loads(text)) if text else OWN
