"""
Rosters: those of accounts with sessions are in memory, and every account's changes happen one after the other.

Theory of operation: presence is broadcast far more often than rosters change, and must not wait for a database. So a
roster is loaded before the account's first session is visible (the hook C{loading}) and dropped when the last one has
ended; in between it is read synchronously. Whatever I{changes} a roster, and whatever needs the roster of an account
that has no session, is a piece of work in the account's queue: it gets the roster, writes to the store, and only what
has been written changes the roster in memory. So two stanzas never overtake one another, and what a client is told has
happened.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import Any, Final, TypeVar

from twisted.internet.defer import Deferred, fail
from twisted.python.failure import Failure

from xmppd.features.rfc6121_im.states import AUTHORISED, SUBSCRIBED
from xmppd.ixmppd import IHost, ISession, Missing, RosterItem
from xmppd.wire.errors import StanzaCondition, StanzaError

T = TypeVar("T")

WAITING: Final = 1000
"""How many pieces of work may wait for one account."""

UNBOUND_SECONDS: Final = 120.0
"""How long a roster is kept that was loaded for a session which was then never bound."""


class Roster:
    """
    One account's roster.

    @ivar account: the bare JID of its owner.
    @ivar version: the version of the last change.
    @ivar items: items by JID, unlisted ones (pending requests of strangers) too.
    """

    __slots__ = ("_contacts", "_subscribers", "account", "items", "version")

    def __init__(self, account: str, version: int, items: dict[str, RosterItem]) -> None:
        self.account = account
        self.version = version
        self.items = items
        self._subscribers: tuple[str, ...] | None = None
        self._contacts: tuple[str, ...] | None = None

    @property
    def subscribers(self) -> tuple[str, ...]:
        """Who sees the account's presence."""
        if self._subscribers is None:
            self._subscribers = tuple(jid for jid, item in self.items.items() if item.subscription in AUTHORISED)
        return self._subscribers

    @property
    def contacts(self) -> tuple[str, ...]:
        """Whose presence the account sees."""
        if self._contacts is None:
            self._contacts = tuple(jid for jid, item in self.items.items() if item.subscription in SUBSCRIBED)
        return self._contacts

    def shows(self, contact: str) -> bool:
        """Whether a contact, by bare JID, sees the account's presence."""
        item = self.items.get(contact)
        return item is not None and item.subscription in AUTHORISED

    def item(self, contact: str) -> RosterItem:
        """The item of a contact; an unlisted empty one if there is none."""
        return self.items.get(contact) or RosterItem(contact, listed=False)

    def changed(self, version: int) -> None:
        """The items are others now."""
        self.version = version
        self._subscribers = self._contacts = None


Work = Callable[[Roster], Coroutine[Any, Any, T]]
"""Something that needs an account's roster for itself."""


class _Queue:
    """
    An account's work.

    @ivar waiting: what has not begun yet, with whom to tell.
    @ivar busy: whether something is under way.
    @ivar draining: whether the loop that begins things is running.
    """

    __slots__ = ("busy", "draining", "waiting")

    def __init__(self) -> None:
        self.waiting: deque[tuple[Work[Any], Deferred[Any]]] = deque()
        self.busy = False
        self.draining = False


class Rosters:
    """
    The rosters of one host.

    @ivar cached: rosters of accounts with sessions, by bare JID.
    """

    def __init__(self, host: IHost) -> None:
        self.host = host
        self.cached: dict[str, Roster] = {}
        self._queues: dict[str, _Queue] = {}
        self._unbound: OrderedDict[str, float] = OrderedDict()

    # --- which are in memory

    def load(self, account: str) -> Deferred[None] | None:
        """A session is about to be bound: have the roster in memory."""
        self._forgetUnbound()
        if account in self.cached:
            return None
        self._unbound[account] = self.host.clock.seconds()
        if account in self.host.blank:
            self.cached[account] = Roster(account, 0, {})
            return None
        return self.run(account, self._keep)

    async def _keep(self, roster: Roster) -> None:
        self.cached[roster.account] = roster

    def _forgetUnbound(self) -> None:
        """Let rosters go that were loaded in vain: binding was refused or the client has gone."""
        now = self.host.clock.seconds()
        while self._unbound:
            account, since = next(iter(self._unbound.items()))
            if account not in self.host.sessions and now - since < UNBOUND_SECONDS:
                return
            del self._unbound[account]
            self.release(account)

    def bound(self, session: ISession) -> None:
        """The session for which a roster was loaded is there."""
        self._unbound.pop(session.bare, None)

    def release(self, account: str) -> None:
        """Let a roster go if its account has no session; after the work that is queued."""
        if account not in self.host.sessions and account in self.cached:
            self.run(account, self._letGo)

    async def _letGo(self, roster: Roster) -> None:
        if roster.account not in self.host.sessions and roster.account not in self._unbound:
            self.cached.pop(roster.account, None)

    # --- one after the other

    def run(self, account: str, work: Work[T]) -> Deferred[T]:
        """
        Do a piece of work with the roster of an account, after everything that was begun before.

        Fails with what C{work} raises, with L{xmppd.ixmppd.StoreUnavailable}, or with a StanzaError if too much waits.
        """
        done: Deferred[T] = Deferred()
        queue = self._queues.get(account)
        if queue is None:
            queue = self._queues[account] = _Queue()
        elif len(queue.waiting) >= WAITING:
            return fail(StanzaError(StanzaCondition.RESOURCE_CONSTRAINT, "Too many changes are waiting."))
        queue.waiting.append((work, done))
        self._drain(account, queue)
        return done

    def _drain(self, account: str, queue: _Queue) -> None:
        """Work until something has to be waited for; a loop, since much of it is done as soon as it is begun."""
        if queue.draining:
            return
        queue.draining = True
        while queue.waiting and not queue.busy:
            work, done = queue.waiting.popleft()
            queue.busy = True
            Deferred.fromCoroutine(self._work(account, work)).addBoth(self._finished, account, queue, done)
        queue.draining = False
        if not queue.busy:
            self._queues.pop(account, None)

    def _finished(self, result: Any, account: str, queue: _Queue, done: Deferred[Any]) -> None:
        queue.busy = False
        if isinstance(result, Failure):
            done.errback(result)
        else:
            done.callback(result)
        self._drain(account, queue)

    async def _work(self, account: str, work: Work[T]) -> T:
        return await work(self.cached.get(account) or await self._read(account))

    async def _read(self, account: str) -> Roster:
        changes = await self.host.rosters.get(account)
        return Roster(account, changes.version, {item.jid: item for item in changes.items})

    # --- changes, inside a piece of work

    async def put(self, roster: Roster, item: RosterItem) -> RosterItem:
        """
        Add or replace an item, in the store and in memory; drop it if there is nothing left to say about an unlisted
        contact. Answers the item with its version.
        """
        if not item.listed and item.pendingIn is None:
            await self.remove(roster, item.jid)
            return item
        version = await self.host.rosters.put(roster.account, item)
        stored = replace(item, version=version)
        roster.items[item.jid] = stored
        roster.changed(version)
        return stored

    async def expunge(self, roster: Roster, bare: str) -> tuple[RosterItem, ...]:
        """Remove an address, and that it ever was there; answers the items that were."""
        version = await self.host.rosters.expunge(roster.account, bare)
        gone = tuple(item for jid, item in roster.items.items() if jid.partition("/")[0] == bare)
        for item in gone:
            del roster.items[item.jid]
        roster.changed(version)
        return gone

    async def remove(self, roster: Roster, jid: str) -> int:
        """Remove an item; answers the new version."""
        try:
            version = await self.host.rosters.delete(roster.account, jid)
        except Missing:
            version = roster.version
        roster.items.pop(jid, None)
        roster.changed(version)
        return version
