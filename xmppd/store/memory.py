"""
Stores that live in this process's memory: for tests and for servers embedded in other programs.

They obey the same contracts as the durable ones (L{tests.contracts}), except that "durable" means until the process
ends. Every Deferred has fired when it is returned.
"""

from __future__ import annotations

import builtins
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar

from twisted.internet.defer import Deferred, fail, succeed
from zope.interface import implementer

from xmppd.ixmppd import (
    ABOUT,
    AccountRecord,
    Exists,
    IAccountStore,
    IFactStore,
    IRosterStore,
    ISpoolStore,
    IStore,
    ManagedSessionRecord,
    Missing,
    Resembles,
    RosterChanges,
    RosterItem,
    SpooledMessage,
    StoredKeys,
)
from xmppd.store.memoryarchives import MemoryArchives
from xmppd.store.memorynames import MemoryNames
from xmppd.store.memorynodes import MemoryNodes
from xmppd.store.values import (
    ALIKE,
    MAXIMUM_REMOVALS,
    accountName,
    bareOf,
    checkFact,
    checkItem,
    checkKeys,
    checkMessages,
    checkText,
    domainOf,
    factSize,
)

T = TypeVar("T")


@dataclass(slots=True, eq=False)
class _Account:
    """An account and its keys by hash name."""

    record: AccountRecord
    keys: dict[str, StoredKeys]


@dataclass(slots=True, eq=False)
class _Roster:
    """
    One roster.

    @ivar version: that of the last change.
    @ivar forgotten: differences can be told to those who saw this version or a later one.
    @ivar removals: versions by removed JID, in the order of removal.
    """

    version: int
    forgotten: int
    items: dict[str, RosterItem] = field(default_factory=dict)
    removals: dict[str, int] = field(default_factory=dict)


@implementer(IAccountStore)
class MemoryAccounts:
    """Accounts in a dictionary. C{store} is asked to forget everything else of a removed account."""

    def __init__(self, store: MemoryStore) -> None:
        self._store = store
        self._accounts: dict[str, _Account] = {}

    def create(
        self, jid: str, keys: Sequence[StoredKeys], stamp: float, distinct: bool = False
    ) -> Deferred[None]:
        """Make an account. Fails with L{Exists}, and if it has to be distinct with L{Resembles}."""
        checkText(jid)
        checkKeys(keys)
        if jid in self._accounts:
            return fail(Exists(jid))
        name = accountName(jid)
        alike = self._store.nameIndex.find(name.kind, name.space, name.name, ALIKE) if distinct else ()
        if alike:
            return fail(Resembles(each.name for each in alike))
        self._store.nameIndex.put(name)
        self._store.spool.clear(jid)
        self._accounts[jid] = _Account(AccountRecord(jid, stamp), {each.hashName: each for each in keys})
        return succeed(None)

    def remove(self, jid: str) -> Deferred[None]:
        """Delete the account and everything of it. Fails with L{Missing}."""
        checkText(jid)
        if jid not in self._accounts:
            return fail(Missing(jid))
        return self._store.forget(jid)

    def get(self, jid: str) -> Deferred[AccountRecord | None]:
        """The account, or None."""
        checkText(jid)
        account = self._accounts.get(jid)
        return succeed(account.record if account else None)

    def keys(self, jid: str, hashName: str) -> Deferred[tuple[AccountRecord, StoredKeys | None] | None]:
        """Account and keys for one hash."""
        checkText(jid, hashName)
        account = self._accounts.get(jid)
        return succeed((account.record, account.keys.get(hashName)) if account else None)

    def setKeys(self, jid: str, keys: Sequence[StoredKeys]) -> Deferred[None]:
        """Replace all keys. Fails with L{Missing}."""
        checkText(jid)
        checkKeys(keys)
        account = self._accounts.get(jid)
        if account is None:
            return fail(Missing(jid))
        account.keys = {each.hashName: each for each in keys}
        return succeed(None)

    def addKeys(self, jid: str, keys: StoredKeys, beside: StoredKeys) -> Deferred[bool]:
        """Add keys for one more hash, if the others are still the account's."""
        checkText(jid)
        checkKeys([keys])
        account = self._accounts.get(jid)
        if account is None or account.keys.get(beside.hashName) != beside or keys.hashName in account.keys:
            return succeed(False)
        account.keys[keys.hashName] = keys
        return succeed(True)

    def setDisabled(self, jid: str, disabled: bool) -> Deferred[None]:
        """Refuse or allow login. Fails with L{Missing}."""
        checkText(jid)
        account = self._accounts.get(jid)
        if account is None:
            return fail(Missing(jid))
        account.record = replace(account.record, disabled=disabled)
        return succeed(None)

    def setLastActivity(self, jid: str, stamp: float, status: str) -> Deferred[None]:
        """Note when the last session ended."""
        checkText(jid, status)
        account = self._accounts.get(jid)
        if account is not None:
            account.record = replace(account.record, lastActivity=stamp, lastStatus=status)
        return succeed(None)

    def list(self, domain: str, after: str = "", limit: int = 100) -> Deferred[Sequence[AccountRecord]]:
        """Accounts of a domain in the order of their JIDs."""
        checkText(domain, after)
        jids = self._of(domain)
        first = bisect_right(jids, after)
        return succeed(tuple(self._accounts[jid].record for jid in jids[first : first + limit]))

    def count(self, domain: str) -> Deferred[int]:
        """How many accounts a domain has."""
        checkText(domain)
        return succeed(len(self._of(domain)))

    def rounds(self, domain: str, hashName: str) -> Deferred[Mapping[int, int]]:
        """How many accounts of a domain have keys for a hash, by their iterations."""
        checkText(domain, hashName)
        keys = (self._accounts[jid].keys.get(hashName) for jid in self._of(domain))
        return succeed(Counter(each.iterations for each in keys if each is not None))

    def forget(self, jid: str) -> None:
        """Forget the account itself."""
        self._accounts.pop(jid, None)

    def _of(self, domain: str) -> builtins.list[str]:
        return sorted(jid for jid in self._accounts if domainOf(jid) == domain)


@implementer(IRosterStore)
class MemoryRosters:
    """Rosters in dictionaries."""

    def __init__(self) -> None:
        self._rosters: dict[str, _Roster] = {}
        self._floor = 0  # the highest version of any roster that was forgotten

    def get(self, account: str) -> Deferred[RosterChanges]:
        """All items."""
        checkText(account)
        roster = self._rosters.get(account)
        if roster is None:
            return succeed(RosterChanges(0, ()))
        return succeed(RosterChanges(roster.version, tuple(roster.items.values())))

    def since(self, account: str, version: int) -> Deferred[RosterChanges]:
        """What changed after C{version}."""
        checkText(account)
        roster = self._rosters.get(account) or _Roster(0, 0)
        listed = tuple(item for item in roster.items.values() if item.listed)
        if version == roster.version:
            return succeed(RosterChanges(version, (), complete=False))
        if not max(1, roster.forgotten) <= version < roster.version:
            return succeed(RosterChanges(roster.version, listed))
        return succeed(
            RosterChanges(
                roster.version,
                tuple(item for item in listed if item.version > version),
                tuple(jid for jid, at in roster.removals.items() if at > version),
                complete=False,
            )
        )

    def put(self, account: str, item: RosterItem) -> Deferred[int]:
        """Add or replace an item."""
        checkItem(account, item)
        return succeed(self._put(account, item))

    def putMany(self, account: str, items: Sequence[RosterItem]) -> Deferred[int]:
        """Add or replace several items."""
        checkText(account)
        for item in items:
            checkItem(account, item)
        versions = [self._put(account, item) for item in items]
        return succeed(versions[-1] if versions else self._version(account))

    def delete(self, account: str, jid: str) -> Deferred[int]:
        """Remove an item. Fails with L{Missing}."""
        checkText(account, jid)
        roster = self._rosters.get(account)
        if roster is None or jid not in roster.items:
            return fail(Missing(jid))
        roster.version += 1
        if roster.items.pop(jid).listed:
            self._noteRemoval(roster, jid)
        return succeed(roster.version)

    def expunge(self, account: str, bare: str) -> Deferred[int]:
        """Remove an address without a trace."""
        checkText(account, bare)
        roster = self._rosters.get(account)
        if roster is None:
            return succeed(0)
        found = [jid for jid in (*roster.items, *roster.removals) if jid == bare or jid.startswith(bare + "/")]
        if found:
            for jid in found:
                roster.items.pop(jid, None)
            roster.removals.clear()
            roster.version += 1
            roster.forgotten = roster.version
        return succeed(roster.version)

    def forget(self, account: str) -> None:
        """Forget a roster; later ones start with a version that this one never had."""
        self._floor = max(self._floor, self._version(account))
        self._rosters.pop(account, None)

    def _version(self, account: str) -> int:
        roster = self._rosters.get(account)
        return roster.version if roster else 0

    def _put(self, account: str, item: RosterItem) -> int:
        roster = self._rosters.get(account)
        if roster is None:
            # Whoever saw an earlier roster of this name must get the new one whole.
            forgotten = self._floor + 1 if self._floor else 0
            roster = self._rosters[account] = _Roster(self._floor, forgotten)
        roster.version += 1
        before = roster.items.pop(item.jid, None)
        if item.listed:
            roster.removals.pop(item.jid, None)
        elif before is not None and before.listed:
            self._noteRemoval(roster, item.jid)
        roster.items[item.jid] = replace(item, version=roster.version)
        return roster.version

    def _noteRemoval(self, roster: _Roster, jid: str) -> None:
        roster.removals.pop(jid, None)
        roster.removals[jid] = roster.version
        if len(roster.removals) > MAXIMUM_REMOVALS:
            oldest = next(iter(roster.removals))
            roster.forgotten = roster.removals.pop(oldest)


@implementer(ISpoolStore)
class MemorySpool:
    """Messages by id, and sessions by token."""

    def __init__(self) -> None:
        self._messages: dict[int, SpooledMessage] = {}
        self._sessions: dict[str, ManagedSessionRecord] = {}
        self._last = 0

    def add(self, messages: Sequence[SpooledMessage]) -> Deferred[Sequence[int]]:
        """Keep messages."""
        checkMessages(messages)
        return succeed(self._add(messages))

    def offline(self, account: str, limit: int = 1000) -> Deferred[Sequence[SpooledMessage]]:
        """Messages without holder, oldest first."""
        checkText(account)
        return succeed(self._offline(account)[:limit])

    def count(self, account: str) -> Deferred[int]:
        """How many messages without holder there are."""
        checkText(account)
        return succeed(len(self._offline(account)))

    def held(self, holder: str) -> Deferred[Sequence[SpooledMessage]]:
        """Messages of a holder."""
        checkText(holder)
        return succeed(tuple(each for each in self._messages.values() if each.holder == holder))

    def remove(self, ids: Iterable[int]) -> Deferred[None]:
        """The recipient has them."""
        for id in ids:
            self._messages.pop(id, None)
        return succeed(None)

    def release(self, holder: str) -> Deferred[int]:
        """The holder is gone."""
        checkText(holder)
        return succeed(self._release({holder}))

    def hold(self, ids: Iterable[int], holder: str, sequences: Iterable[int]) -> Deferred[None]:
        """Messages now stand in a queue."""
        checkText(holder)
        for id, sequence in list(zip(ids, sequences, strict=True)):
            if id in self._messages:
                self._messages[id] = replace(self._messages[id], holder=holder, sequence=sequence)
        return succeed(None)

    def saveSession(self, record: ManagedSessionRecord) -> Deferred[None]:
        """Add or replace a session."""
        checkText(record.token, record.jid, record.state)
        self._sessions[record.token] = record
        return succeed(None)

    def acknowledge(self, token: str, inbound: int, messages: Sequence[SpooledMessage]) -> Deferred[Sequence[int]]:
        """Note what is handled, and keep the messages. Those of an unknown session are kept as well."""
        checkText(token)
        checkMessages(messages)
        if token in self._sessions:
            self._sessions[token] = replace(self._sessions[token], inbound=inbound)
        return succeed(self._add(messages))

    def removeSession(self, token: str) -> Deferred[None]:
        """Forget a session."""
        checkText(token)
        self._sessions.pop(token, None)
        return succeed(None)

    def renameSession(self, old: str, record: ManagedSessionRecord) -> Deferred[None]:
        """Replace a session by another token."""
        checkText(old, record.token, record.jid, record.state)
        self._sessions.pop(old, None)
        self._sessions[record.token] = record
        for id, message in self._messages.items():
            if message.holder == old:
                self._messages[id] = replace(message, holder=record.token)
        return succeed(None)

    def sessions(self) -> Deferred[Sequence[ManagedSessionRecord]]:
        """All of them."""
        return succeed(tuple(self._sessions.values()))

    def releaseUnheld(self) -> Deferred[int]:
        """Messages whose holder is no saved session lose their holder."""
        holders = {each.holder for each in self._messages.values() if each.holder is not None}
        return succeed(self._release(holders - self._sessions.keys()))

    def forget(self, account: str) -> None:
        """Forget messages and sessions of an account."""
        self.clear(account)
        self._sessions = {token: each for token, each in self._sessions.items() if bareOf(each.jid) != account}

    def clear(self, account: str) -> None:
        """Forget the messages of an account."""
        self._messages = {id: each for id, each in self._messages.items() if each.account != account}

    def _add(self, messages: Sequence[SpooledMessage]) -> Sequence[int]:
        ids = []
        for message in messages:
            self._last += 1
            self._messages[self._last] = replace(message, id=self._last)
            ids.append(self._last)
        return tuple(ids)

    def _offline(self, account: str) -> Sequence[SpooledMessage]:
        return tuple(each for each in self._messages.values() if each.account == account and each.holder is None)

    def _release(self, holders: set[str]) -> int:
        ids = [id for id, each in self._messages.items() if each.holder in holders]
        for id in ids:
            self._messages[id] = replace(self._messages[id], holder=None, sequence=0)
        return len(ids)


@implementer(IFactStore)
class MemoryFacts:
    """Facts by owner, kind and key."""

    def __init__(self) -> None:
        self._owners: dict[str, dict[str, dict[str, bytes]]] = {}

    def get(self, owner: str, kind: str, key: str) -> Deferred[bytes | None]:
        """One fact, or None."""
        checkText(owner, kind, key)
        return succeed(self._kind(owner, kind).get(key))

    def put(self, owner: str, kind: str, key: str, value: bytes) -> Deferred[None]:
        """Add or replace."""
        checkFact(owner, kind, key, value)
        self._owners.setdefault(owner, {}).setdefault(kind, {})[key] = bytes(value)
        return succeed(None)

    def putNew(self, owner: str, kind: str, key: str, value: bytes) -> Deferred[bool]:
        """Add; answers False and changes nothing if there is one."""
        checkFact(owner, kind, key, value)
        if key in self._kind(owner, kind):
            return succeed(False)
        return self.put(owner, kind, key, value).addCallback(lambda _: True)

    def delete(self, owner: str, kind: str, key: str) -> Deferred[bool]:
        """Remove; answers whether there was one."""
        checkText(owner, kind, key)
        return succeed(self._kind(owner, kind).pop(key, None) is not None)

    def all(self, owner: str, kind: str) -> Deferred[Mapping[str, bytes]]:
        """All facts of a kind, by key in order."""
        checkText(owner, kind)
        return succeed(dict(sorted(self._kind(owner, kind).items())))

    def replaceAll(self, owner: str, kind: str, facts: Mapping[str, bytes]) -> Deferred[None]:
        """Make these all there are of that kind."""
        checkText(owner, kind)
        for key, value in facts.items():
            checkFact(owner, kind, key, value)
        self._owners.setdefault(owner, {})[kind] = dict(facts)
        return succeed(None)

    def size(self, owner: str) -> Deferred[int]:
        """How many octets the owner's facts take, keys included."""
        checkText(owner)
        kinds = self._owners.get(owner, {}).values()
        return succeed(sum(factSize(key, value) for facts in kinds for key, value in facts.items()))

    def forget(self, owner: str) -> Deferred[None]:
        """Remove everything of an owner."""
        checkText(owner)
        self._owners.pop(owner, None)
        return succeed(None)

    def forgetAbout(self, entity: str) -> None:
        """Remove what others' facts of the kinds in L{ABOUT} say of an entity."""
        for kinds in self._owners.values():
            for kind in ABOUT:
                kinds.get(kind, {}).pop(entity, None)

    def kinds(self, owner: str) -> Deferred[Mapping[str, int]]:
        """How many facts of each kind an owner has."""
        checkText(owner)
        kinds = sorted(self._owners.get(owner, {}).items())
        return succeed({kind: len(facts) for kind, facts in kinds if facts})

    def owners(self, kind: str, domain: str) -> Deferred[Sequence[str]]:
        """Those of a domain who have facts of a kind, in order."""
        checkText(kind, domain)
        there = (owner for owner in self._owners if domainOf(owner) == domain and self._kind(owner, kind))
        return succeed(tuple(sorted(there)))

    def _kind(self, owner: str, kind: str) -> dict[str, bytes]:
        return self._owners.get(owner, {}).get(kind, {})


@implementer(IStore)
class MemoryStore:
    """All stores in memory. Usable before L{open} and after L{close} as well."""

    def __init__(self) -> None:
        self.accounts = MemoryAccounts(self)
        self.rosters = MemoryRosters()
        self.spool = MemorySpool()
        self.facts = MemoryFacts()
        self.archives = MemoryArchives()
        self.pubsub = MemoryNodes()
        self.nameIndex = MemoryNames()

    def open(self) -> Deferred[None]:
        """Nothing to open."""
        return succeed(None)

    def close(self) -> Deferred[None]:
        """Nothing to close."""
        return succeed(None)

    def forget(self, owner: str) -> Deferred[None]:
        """Delete everything of an owner, also if there is no such account."""
        checkText(owner)
        self.accounts.forget(owner)
        self.rosters.forget(owner)
        self.spool.forget(owner)
        self.facts.forget(owner)
        self.archives.forget(owner)
        self.pubsub.forget(owner)
        self.pubsub.forgetEntity(owner)
        self.nameIndex.forget(owner)
        self.facts.forgetAbout(owner)
        self.archives.disown(owner)
        return succeed(None)
