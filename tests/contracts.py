"""
Contracts: what every provider of an interface must do, as tests to mix into a test case.

A test module makes one class per provider and says how to make it; the tests come from here. So a back end, its double
and whatever comes later can't drift apart.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred, gatherResults
from zope.interface.verify import verifyObject

from tests.marks import spec
from xmppd.ixmppd import (
    AccountRecord,
    Exists,
    IAccountStore,
    IFactStore,
    IRosterStore,
    ISpoolStore,
    IStore,
    ManagedSessionRecord,
    Missing,
    RosterChanges,
    RosterItem,
    SpooledMessage,
    StoredKeys,
)
from xmppd.store.values import MAXIMUM_FACT, MAXIMUM_KIND, MAXIMUM_REMOVALS

# --- stores -------------------------------------------------------------------------------------------------------

ROMEO = "romeo@example.org"
JULIET = "juliet@example.org"

AWKWARD = ("", "a\nb", "ß\u0301", "\U0001f339", "%s :x ? '\"; --", "\\", "x" * 5000)
"""Texts that a database may stumble on, in no order."""

REFUSED = ("a\0b", "\ud800")
"""Texts that no database takes."""


def someKeys(hashName: str = "sha256", iterations: int = 10000) -> StoredKeys:
    """Keys that fit no password."""
    return StoredKeys(hashName, b"s\0lt", iterations, b"\xffstored", b"server\0")


def aMessage(account: str = ROMEO, stanza: bytes = b"<message/>", **more: Any) -> SpooledMessage:
    """A message that waits for Romeo."""
    return SpooledMessage(account, stanza, more.pop("stamp", 1234.5), **more)


def aSession(token: str, jid: str = ROMEO + "/balcony", **more: Any) -> ManagedSessionRecord:
    """A session under stream management."""
    values = {"inbound": 0, "outbound": 0, "expires": 99.5, **more}
    return ManagedSessionRecord(token, jid, **values)


class _StoreCase:
    """Opens the store that C{makeStore} makes, and closes it in the end."""

    store: Any

    def makeStore(self) -> IStore:
        """An empty store that isn't open yet."""
        raise NotImplementedError

    def setUp(self) -> Deferred[None]:
        self.store = self.makeStore()
        self.addCleanup(self.store.close)  # type: ignore[attr-defined]
        opened: Deferred[None] = self.store.open()
        return opened

    async def fails(self, kind: type[Exception], deferred: Deferred[Any]) -> Exception:
        """Wait for a failure of that kind."""
        try:
            result = await deferred
        except kind as error:
            return error
        raise AssertionError(f"{kind.__name__} expected, not {result!r}")


class StoreContract(_StoreCase):
    """What holds for the whole of a back end."""

    def test_providesInterfaces(self):
        """The store and its parts have every method, with the right signature."""
        verifyObject(IStore, self.store)
        verifyObject(IAccountStore, self.store.accounts)
        verifyObject(IRosterStore, self.store.rosters)
        verifyObject(ISpoolStore, self.store.spool)
        verifyObject(IFactStore, self.store.facts)

    async def test_closesTwice(self):
        """Closing what is closed does no harm."""
        await self.store.close()
        await self.store.close()

    async def test_removeForgetsEverything(self):
        """With an account go its keys, roster, messages, sessions and facts, and nobody else's."""
        for jid in (ROMEO, JULIET):
            await self.fill(jid)
        await self.store.accounts.remove(ROMEO)
        self.assertIsNone(await self.store.accounts.get(ROMEO))
        self.assertEqual(await self.store.rosters.get(ROMEO), RosterChanges(0, ()))
        self.assertEqual(await self.store.spool.count(ROMEO), 0)
        self.assertEqual(await self.store.spool.held("holder of " + ROMEO), ())
        self.assertEqual([each.jid for each in await self.store.spool.sessions()], [JULIET + "/balcony"])
        self.assertEqual(await self.store.facts.kinds(ROMEO), {})
        self.assertEqual(len((await self.store.rosters.get(JULIET)).items), 1)
        self.assertEqual(await self.store.spool.count(JULIET), 1)
        self.assertEqual(len(await self.store.spool.held("holder of " + JULIET)), 1)
        self.assertEqual(await self.store.facts.kinds(JULIET), {"private": 1})
        self.assertEqual((await self.store.accounts.keys(JULIET, "sha256"))[1], someKeys())

    async def test_recreatedAccountIsEmpty(self):
        """Whoever takes a name that was free again finds nothing of the former user."""
        await self.fill(ROMEO)
        await self.store.accounts.remove(ROMEO)
        await self.store.accounts.create(ROMEO, [], 2.0)
        self.assertEqual(await self.store.accounts.keys(ROMEO, "sha256"), (AccountRecord(ROMEO, 2.0), None))
        self.assertEqual((await self.store.rosters.get(ROMEO)).items, ())
        self.assertEqual(await self.store.facts.size(ROMEO), 0)

    async def fill(self, jid: str) -> None:
        """Store one of each kind for an account."""
        await self.store.accounts.create(jid, [someKeys()], 1.0)
        await self.store.rosters.putMany(jid, [RosterItem("a@example.net"), RosterItem("b@example.net")])
        await self.store.rosters.delete(jid, "a@example.net")
        await self.store.spool.saveSession(aSession("holder of " + jid, jid + "/balcony"))
        await self.store.spool.add([aMessage(jid), aMessage(jid, holder="holder of " + jid, sequence=1)])
        await self.store.facts.put(jid, "private", "key", b"value")

    async def test_refusesWhatNoDatabaseTakes(self):
        """NUL and lone surrogates raise ValueError at once, in whatever argument."""
        for bad in REFUSED:
            for call in self._callsWith(bad):
                self.assertRaises(ValueError, call)
        self.assertEqual(await self.store.facts.kinds(ROMEO), {})
        self.assertIsNone(await self.store.accounts.get(ROMEO))

    def _callsWith(self, bad: str) -> tuple[Callable[[], object], ...]:
        accounts, rosters, spool, facts = (
            self.store.accounts,
            self.store.rosters,
            self.store.spool,
            self.store.facts,
        )
        return (
            lambda: accounts.create(bad, [], 1.0),
            lambda: accounts.create(ROMEO, [someKeys(bad)], 1.0),
            lambda: accounts.remove(bad),
            lambda: accounts.get(bad),
            lambda: accounts.keys(bad, "sha1"),
            lambda: accounts.keys(ROMEO, bad),
            lambda: accounts.setKeys(bad, []),
            lambda: accounts.setDisabled(bad, True),
            lambda: accounts.setLastActivity(ROMEO, 1.0, bad),
            lambda: accounts.list(bad),
            lambda: accounts.list("example.org", bad),
            lambda: accounts.count(bad),
            lambda: rosters.get(bad),
            lambda: rosters.since(bad, 1),
            lambda: rosters.put(bad, RosterItem("a@b")),
            lambda: rosters.put(ROMEO, RosterItem(bad)),
            lambda: rosters.put(ROMEO, RosterItem("a@b", name=bad)),
            lambda: rosters.putMany(ROMEO, [RosterItem("a@b", groups=(bad,))]),
            lambda: rosters.delete(ROMEO, bad),
            lambda: spool.add([aMessage(bad)]),
            lambda: spool.add([aMessage(holder=bad)]),
            lambda: spool.offline(bad),
            lambda: spool.count(bad),
            lambda: spool.held(bad),
            lambda: spool.release(bad),
            lambda: spool.hold([1], bad, [1]),
            lambda: spool.saveSession(aSession(bad)),
            lambda: spool.saveSession(aSession("t", state=bad)),
            lambda: spool.acknowledge(bad, 1, []),
            lambda: spool.acknowledge("t", 1, [aMessage(bad)]),
            lambda: spool.removeSession(bad),
            lambda: spool.renameSession(bad, aSession("t")),
            lambda: facts.get(bad, "k", "k"),
            lambda: facts.put(ROMEO, bad, "k", b""),
            lambda: facts.put(ROMEO, "k", bad, b""),
            lambda: facts.putNew(bad, "k", "k", b""),
            lambda: facts.delete(ROMEO, "k", bad),
            lambda: facts.all(ROMEO, bad),
            lambda: facts.replaceAll(ROMEO, "k", {bad: b""}),
            lambda: facts.size(bad),
            lambda: facts.forget(bad),
            lambda: facts.kinds(bad),
        )


class AccountStoreContract(_StoreCase):
    """L{IAccountStore}."""

    async def test_createAndGet(self):
        """A new account is enabled and was never active."""
        await self.store.accounts.create(ROMEO, [someKeys()], 12.25)
        self.assertEqual(await self.store.accounts.get(ROMEO), AccountRecord(ROMEO, 12.25, False, None, ""))
        self.assertIsNone(await self.store.accounts.get(JULIET))

    async def test_createTwice(self):
        """A name that is taken is refused, and the account stays as it is."""
        await self.store.accounts.create(ROMEO, [someKeys()], 1.0)
        await self.fails(Exists, self.store.accounts.create(ROMEO, [someKeys("sha1")], 2.0))
        self.assertEqual(await self.store.accounts.keys(ROMEO, "sha256"), (AccountRecord(ROMEO, 1.0), someKeys()))
        self.assertEqual(await self.store.accounts.keys(ROMEO, "sha1"), (AccountRecord(ROMEO, 1.0), None))

    async def test_createAtOnce(self):
        """Of several who want a name at the same time, one gets it."""
        attempts = [self.store.accounts.create(ROMEO, [], float(n)) for n in range(5)]
        failures = 0
        for attempt in attempts:
            try:
                await attempt
            except Exists:
                failures += 1
        self.assertEqual(failures, 4)

    async def test_keys(self):
        """Keys are kept per hash."""
        keys = [someKeys("sha1", 4096), someKeys("sha256"), someKeys("sha512", 20000)]
        await self.store.accounts.create(ROMEO, keys, 1.0)
        for each in keys:
            self.assertEqual(await self.store.accounts.keys(ROMEO, each.hashName), (AccountRecord(ROMEO, 1.0), each))
        self.assertIsNone(await self.store.accounts.keys(JULIET, "sha1"))

    async def test_setKeys(self):
        """New keys replace all old ones."""
        await self.store.accounts.create(ROMEO, [someKeys("sha1"), someKeys("sha256")], 1.0)
        await self.store.accounts.setKeys(ROMEO, [someKeys("sha256", 30000)])
        self.assertIsNone((await self.store.accounts.keys(ROMEO, "sha1"))[1])
        self.assertEqual((await self.store.accounts.keys(ROMEO, "sha256"))[1].iterations, 30000)

    async def test_twoKeysForOneHash(self):
        """Two keys for one hash are a mistake."""
        self.assertRaises(ValueError, self.store.accounts.create, ROMEO, [someKeys(), someKeys()], 1.0)

    async def test_missing(self):
        """What changes an account needs one."""
        await self.fails(Missing, self.store.accounts.remove(ROMEO))
        await self.fails(Missing, self.store.accounts.setKeys(ROMEO, [someKeys()]))
        await self.fails(Missing, self.store.accounts.setDisabled(ROMEO, True))
        self.assertIsNone(await self.store.accounts.get(ROMEO))

    async def test_setDisabled(self):
        """Login can be refused and allowed."""
        await self.store.accounts.create(ROMEO, [], 1.0)
        for disabled in (True, True, False):
            await self.store.accounts.setDisabled(ROMEO, disabled)
            self.assertIs((await self.store.accounts.get(ROMEO)).disabled, disabled)

    async def test_setLastActivity(self):
        """The end of the last session is kept; that of an unknown account is ignored."""
        await self.store.accounts.create(ROMEO, [], 1.0)
        await self.store.accounts.setLastActivity(ROMEO, 55.5, "gone \U0001f339")
        await self.store.accounts.setLastActivity(JULIET, 55.5, "gone")
        self.assertEqual(
            await self.store.accounts.get(ROMEO), AccountRecord(ROMEO, 1.0, False, 55.5, "gone \U0001f339")
        )
        self.assertIsNone(await self.store.accounts.get(JULIET))

    async def test_list(self):
        """Accounts come by domain, in the order of code points, page by page."""
        names = ["a", "a!b", "Z", "é", "z", "a.b", "ß", "\uffee", "\U0001f339"]
        for name in names:
            await self.store.accounts.create(f"{name}@example.org", [], 1.0)
        await self.store.accounts.create("a@example.net", [], 1.0)
        await self.store.accounts.create("a@sub.example.org", [], 1.0)
        expected = sorted(f"{name}@example.org" for name in names)
        listed = [each.jid for each in await self.store.accounts.list("example.org")]
        self.assertEqual(listed, expected)
        paged, after = [], ""
        while page := await self.store.accounts.list("example.org", after, 2):
            paged += [each.jid for each in page]
            after = paged[-1]
        self.assertEqual(paged, expected)

    async def test_count(self):
        """Accounts are counted by domain."""
        for jid in (ROMEO, JULIET, "a@example.net"):
            await self.store.accounts.create(jid, [], 1.0)
        self.assertEqual(await self.store.accounts.count("example.org"), 2)
        self.assertEqual(await self.store.accounts.count("example.com"), 0)


@spec("RFC 6121", "2.6")
class RosterStoreContract(_StoreCase):
    """L{IRosterStore}."""

    async def test_empty(self):
        """A roster that was never changed has no items and version 0."""
        self.assertEqual(await self.store.rosters.get(ROMEO), RosterChanges(0, (), (), True))

    async def test_putAndGet(self):
        """Whatever an item says comes back, with its version."""
        items = [
            RosterItem("a@example.net"),
            RosterItem("b@example.net", "B \U0001f339", "both", False, True, ("Friends", "a\nb", "")),
            RosterItem("c@example.net/res", "", "from", True, False, (), b"<presence\xff/>", False),
        ]
        versions = [await self.store.rosters.put(ROMEO, item) for item in items]
        self.assertEqual(versions, [1, 2, 3])
        roster = await self.store.rosters.get(ROMEO)
        expected = tuple(
            RosterItem(i.jid, i.name, i.subscription, i.ask, i.approved, i.groups, i.pendingIn, i.listed, version)
            for version, i in enumerate(items, 1)
        )
        self.assertEqual(roster, RosterChanges(3, expected, (), True))
        self.assertEqual(await self.store.rosters.get(JULIET), RosterChanges(0, ()))

    async def test_putReplaces(self):
        """An item that is put again is replaced."""
        await self.store.rosters.put(ROMEO, RosterItem("a@example.net", "old", groups=("x",)))
        self.assertEqual(await self.store.rosters.put(ROMEO, RosterItem("a@example.net", "new")), 2)
        roster = await self.store.rosters.get(ROMEO)
        self.assertEqual(roster.items, (RosterItem("a@example.net", "new", version=2),))

    async def test_putMany(self):
        """Several items get versions one after the other; none changes nothing."""
        items = [RosterItem(f"{n}@example.net") for n in range(5)]
        self.assertEqual(await self.store.rosters.putMany(ROMEO, []), 0)
        self.assertEqual(await self.store.rosters.putMany(ROMEO, items), 5)
        self.assertEqual(await self.store.rosters.putMany(ROMEO, []), 5)
        self.assertEqual([item.version for item in (await self.store.rosters.get(ROMEO)).items], [1, 2, 3, 4, 5])

    async def test_longJIDs(self):
        """Contacts as long as RFC 7622 lets them be are kept apart."""
        jids = [f"{'ü' * 511}@{'d' * 1023}/{letter * 1023}" for letter in "ab"]
        for jid in jids:
            await self.store.rosters.put(ROMEO, RosterItem(jid))
        await self.store.rosters.delete(ROMEO, jids[0])
        self.assertEqual([item.jid for item in (await self.store.rosters.get(ROMEO)).items], jids[1:])

    async def test_unknownSubscription(self):
        """There are four subscriptions."""
        self.assertRaises(ValueError, self.store.rosters.put, ROMEO, RosterItem("a@b", subscription="remove"))

    async def test_delete(self):
        """An item that is removed is gone, and can be removed once."""
        await self.store.rosters.put(ROMEO, RosterItem("a@example.net"))
        self.assertEqual(await self.store.rosters.delete(ROMEO, "a@example.net"), 2)
        await self.fails(Missing, self.store.rosters.delete(ROMEO, "a@example.net"))
        await self.fails(Missing, self.store.rosters.delete(JULIET, "a@example.net"))
        self.assertEqual(await self.store.rosters.get(ROMEO), RosterChanges(2, ()))

    async def test_since(self):
        """Who knows a version is told what changed after it."""
        for name in "abcd":
            await self.store.rosters.put(ROMEO, RosterItem(f"{name}@example.net"))
        await self.store.rosters.delete(ROMEO, "b@example.net")
        await self.store.rosters.put(ROMEO, RosterItem("a@example.net", "again"))
        changes = await self.store.rosters.since(ROMEO, 3)
        self.assertEqual(
            changes,
            RosterChanges(
                6,
                (RosterItem("d@example.net", version=4), RosterItem("a@example.net", "again", version=6)),
                ("b@example.net",),
                False,
            ),
        )

    async def test_sinceNow(self):
        """Who is up to date is told nothing."""
        await self.store.rosters.put(ROMEO, RosterItem("a@example.net"))
        self.assertEqual(await self.store.rosters.since(ROMEO, 1), RosterChanges(1, (), (), False))
        self.assertEqual(await self.store.rosters.since(JULIET, 0), RosterChanges(0, (), (), False))

    async def test_sinceUnknown(self):
        """Who never knew a version, or claims one that never was, gets everything that is listed."""
        await self.store.rosters.put(ROMEO, RosterItem("a@example.net"))
        await self.store.rosters.put(ROMEO, RosterItem("b@example.net", listed=False))
        for version in (0, -1, 3, 1 << 62):
            self.assertEqual(
                await self.store.rosters.since(ROMEO, version),
                RosterChanges(2, (RosterItem("a@example.net", version=1),), (), True),
            )
        self.assertEqual(await self.store.rosters.since(JULIET, 7), RosterChanges(0, ()))

    async def test_sinceUnlisted(self):
        """An item that was listed and isn't any more counts as removed; one that never was isn't mentioned."""
        await self.store.rosters.put(ROMEO, RosterItem("a@example.net"))
        await self.store.rosters.put(ROMEO, RosterItem("a@example.net", listed=False))
        await self.store.rosters.put(ROMEO, RosterItem("b@example.net", listed=False))
        await self.store.rosters.delete(ROMEO, "b@example.net")
        self.assertEqual(await self.store.rosters.since(ROMEO, 1), RosterChanges(4, (), ("a@example.net",), False))

    async def test_sinceReturned(self):
        """An item that was removed and is back isn't mentioned as removed."""
        await self.store.rosters.put(ROMEO, RosterItem("a@example.net"))
        await self.store.rosters.delete(ROMEO, "a@example.net")
        await self.store.rosters.put(ROMEO, RosterItem("a@example.net"))
        changes = await self.store.rosters.since(ROMEO, 1)
        self.assertEqual(changes, RosterChanges(3, (RosterItem("a@example.net", version=3),), (), False))

    async def test_removalsAreBounded(self):
        """Removals beyond the bound are forgotten, and who would need them gets the complete roster."""
        count = MAXIMUM_REMOVALS + 2
        await self.store.rosters.putMany(ROMEO, [RosterItem(f"{n}@example.net") for n in range(count)])
        await gatherResults([self.store.rosters.delete(ROMEO, f"{n}@example.net") for n in range(count)])
        last = 2 * count
        oldest = last - MAXIMUM_REMOVALS
        self.assertTrue((await self.store.rosters.since(ROMEO, oldest - 1)).complete)
        changes = await self.store.rosters.since(ROMEO, oldest)
        self.assertFalse(changes.complete)
        self.assertEqual(changes.removed, tuple(f"{n}@example.net" for n in range(2, count)))

    async def test_versionsNeverGoBack(self):
        """The roster of an account that was removed and made again has versions that the old one never had."""
        await self.store.accounts.create(ROMEO, [], 1.0)
        for name in "abc":
            await self.store.rosters.put(ROMEO, RosterItem(f"{name}@example.net"))
        await self.store.accounts.remove(ROMEO)
        await self.store.accounts.create(ROMEO, [], 2.0)
        for known in (1, 3):
            self.assertEqual(await self.store.rosters.since(ROMEO, known), RosterChanges(0, ()))
        first = await self.store.rosters.put(ROMEO, RosterItem("d@example.net"))
        self.assertGreater(first, 3)
        for known in (1, 3):
            self.assertTrue((await self.store.rosters.since(ROMEO, known)).complete)
        await self.store.rosters.put(ROMEO, RosterItem("e@example.net"))
        self.assertEqual(
            await self.store.rosters.since(ROMEO, first),
            RosterChanges(first + 1, (RosterItem("e@example.net", version=first + 1),), (), False),
        )


@spec("XEP-0160", "2")
class SpoolStoreContract(_StoreCase):
    """L{ISpoolStore}."""

    async def test_addAndOffline(self):
        """Messages come back as they were, in their order, with rising ids."""
        first = await self.store.spool.add([aMessage(stanza=b"<message>\0\xff</message>"), aMessage(stamp=1.5)])
        second = await self.store.spool.add([aMessage(), aMessage(JULIET)])
        ids = [*first, *second]
        self.assertEqual(ids, sorted(set(ids)))
        self.assertEqual(
            tuple(await self.store.spool.offline(ROMEO)),
            (
                aMessage(stanza=b"<message>\0\xff</message>", id=ids[0]),
                aMessage(stamp=1.5, id=ids[1]),
                aMessage(id=ids[2]),
            ),
        )
        self.assertEqual(await self.store.spool.count(ROMEO), 3)
        self.assertEqual([each.id for each in await self.store.spool.offline(ROMEO, 2)], ids[:2])

    async def test_addNone(self):
        """Nothing can be kept too."""
        self.assertEqual(tuple(await self.store.spool.add([])), ())

    async def test_addManyAtOnce(self):
        """However calls are joined, each gets the ids of its own messages, in the order of the calls."""
        sizes = [1, 0, 3, 70, 1, 1, 9, 200, 1]
        batches = [[aMessage(stanza=b"%d.%d" % (n, m)) for m in range(size)] for n, size in enumerate(sizes)]
        answers = await gatherResults([self.store.spool.add(batch) for batch in batches])
        self.assertEqual([len(each) for each in answers], sizes)
        expected = [
            aMessage(stanza=each.stanza, id=id)
            for batch, ids in zip(batches, answers, strict=True)
            for each, id in zip(batch, ids, strict=True)
        ]
        self.assertEqual(list(await self.store.spool.offline(ROMEO)), expected)

    async def test_remove(self):
        """What the recipient has is forgotten; unknown ids do no harm; ids aren't used again."""
        ids = await self.store.spool.add([aMessage() for _ in range(5)])
        await gatherResults([self.store.spool.remove([ids[1], 1 << 40]), self.store.spool.remove(iter(ids[3:]))])
        await self.store.spool.remove([])
        self.assertEqual([each.id for each in await self.store.spool.offline(ROMEO)], [ids[0], ids[2]])
        await self.store.spool.remove(ids)
        self.assertGreater((await self.store.spool.add([aMessage()]))[0], ids[-1])

    async def test_holdAndRelease(self):
        """A message stands in one queue at a time, with its number, and returns when the queue's owner is gone."""
        ids = await self.store.spool.add([aMessage() for _ in range(3)])
        await self.store.spool.hold(ids[:2], "token", [7, 0xFFFFFFFF])
        await self.store.spool.hold([1 << 40], "token", [9])
        self.assertEqual(
            tuple(await self.store.spool.held("token")),
            (
                aMessage(holder="token", sequence=7, id=ids[0]),
                aMessage(holder="token", sequence=0xFFFFFFFF, id=ids[1]),
            ),
        )
        self.assertEqual(await self.store.spool.count(ROMEO), 1)
        self.assertEqual(await self.store.spool.release("token"), 2)
        self.assertEqual(await self.store.spool.release("token"), 0)
        self.assertEqual(tuple(await self.store.spool.offline(ROMEO)), tuple(aMessage(id=id) for id in ids))

    async def test_holdNeedsNumbers(self):
        """Each id needs a number."""
        self.assertRaises(ValueError, self.store.spool.hold, [1, 2], "token", [1])

    @spec("XEP-0198", "5")
    async def test_sessions(self):
        """Sessions are kept by token."""
        one = aSession("one", inbound=0xFFFFFFFF, outbound=7, state='{"a": 1}')
        await self.store.spool.saveSession(one)
        await self.store.spool.saveSession(aSession("two", JULIET + "/chamber"))
        self.assertEqual(set(await self.store.spool.sessions()), {one, aSession("two", JULIET + "/chamber")})
        changed = aSession("one", outbound=8, expires=5.0)
        await self.store.spool.saveSession(changed)
        await self.store.spool.removeSession("two")
        await self.store.spool.removeSession("three")
        self.assertEqual(tuple(await self.store.spool.sessions()), (changed,))

    async def test_acknowledge(self):
        """What is promised is kept together with the promise."""
        await self.store.spool.saveSession(aSession("token"))
        messages = [aMessage(JULIET), aMessage(JULIET, holder="other", sequence=3)]
        ids = await self.store.spool.acknowledge("token", 2, messages)
        self.assertEqual(tuple(await self.store.spool.sessions()), (aSession("token", inbound=2),))
        self.assertEqual([each.id for each in await self.store.spool.offline(JULIET)], [ids[0]])
        self.assertEqual([each.id for each in await self.store.spool.held("other")], [ids[1]])
        self.assertEqual(tuple(await self.store.spool.acknowledge("token", 5, [])), ())
        self.assertEqual(tuple(await self.store.spool.sessions()), (aSession("token", inbound=5),))

    async def test_acknowledgeAtOnce(self):
        """Promises made in a row leave the last one's number, per session."""
        for token in "ab":
            await self.store.spool.saveSession(aSession(token))
        answers = await gatherResults(
            [self.store.spool.acknowledge("ab"[n % 2], n, [aMessage()] * (n % 3)) for n in range(1, 21)]
        )
        self.assertEqual([len(each) for each in answers], [n % 3 for n in range(1, 21)])
        self.assertEqual(
            {(each.token, each.inbound) for each in await self.store.spool.sessions()}, {("a", 20), ("b", 19)}
        )

    async def test_acknowledgeUnknown(self):
        """The messages of a session that isn't saved are kept, and no session appears."""
        self.assertEqual(len(await self.store.spool.acknowledge("token", 1, [aMessage()])), 1)
        self.assertEqual(await self.store.spool.count(ROMEO), 1)
        self.assertEqual(tuple(await self.store.spool.sessions()), ())

    async def test_removeSessionKeepsMessages(self):
        """The messages that a session holds outlive it."""
        await self.store.spool.saveSession(aSession("token"))
        await self.store.spool.add([aMessage(holder="token", sequence=1)])
        await self.store.spool.removeSession("token")
        self.assertEqual(len(await self.store.spool.held("token")), 1)

    async def test_renameSession(self):
        """A session goes on by another token and keeps its queue."""
        await self.store.spool.saveSession(aSession("old"))
        (id,) = await self.store.spool.add([aMessage(holder="old", sequence=4)])
        heir = aSession("new", inbound=9)
        await self.store.spool.renameSession("old", heir)
        self.assertEqual(tuple(await self.store.spool.sessions()), (heir,))
        self.assertEqual(tuple(await self.store.spool.held("old")), ())
        self.assertEqual(tuple(await self.store.spool.held("new")), (aMessage(holder="new", sequence=4, id=id),))
        await self.store.spool.renameSession("new", aSession("new", inbound=10))
        self.assertEqual(len(await self.store.spool.held("new")), 1)

    async def test_releaseUnheld(self):
        """At start, the queues of sessions that weren't saved are undone."""
        await self.store.spool.saveSession(aSession("known"))
        await self.store.spool.add(
            [aMessage(holder="known", sequence=1), aMessage(holder="lost", sequence=1), aMessage()]
        )
        self.assertEqual(await self.store.spool.releaseUnheld(), 1)
        self.assertEqual(
            [(each.holder, each.sequence) for each in await self.store.spool.offline(ROMEO)], [(None, 0)] * 2
        )
        self.assertEqual(len(await self.store.spool.held("known")), 1)


class FactStoreContract(_StoreCase):
    """L{IFactStore}."""

    async def test_putAndGet(self):
        """A fact comes back octet by octet, by owner, kind and key."""
        await self.store.facts.put(ROMEO, "kind", "key", b"\0\xff value")
        self.assertEqual(await self.store.facts.get(ROMEO, "kind", "key"), b"\0\xff value")
        await self.store.facts.put(ROMEO, "kind", "key", b"")
        self.assertEqual(await self.store.facts.get(ROMEO, "kind", "key"), b"")
        for owner, kind, key in ((JULIET, "kind", "key"), (ROMEO, "other", "key"), (ROMEO, "kind", "other")):
            self.assertIsNone(await self.store.facts.get(owner, kind, key))

    async def test_awkwardTexts(self):
        """Keys may be any text that UTF-8 can hold, and come back in the order of their code points."""
        for n, key in enumerate(AWKWARD):
            await self.store.facts.put(ROMEO, "kind", key, b"%d" % n)
            await self.store.facts.put(ROMEO, key[: MAXIMUM_KIND // 4], "key", b"%d" % n)
        for n, key in enumerate(AWKWARD):
            self.assertEqual(await self.store.facts.get(ROMEO, "kind", key), b"%d" % n)
            self.assertEqual(await self.store.facts.get(ROMEO, key[: MAXIMUM_KIND // 4], "key"), b"%d" % n)
        self.assertEqual(list(await self.store.facts.all(ROMEO, "kind")), sorted(AWKWARD))

    async def test_all(self):
        """All facts of a kind come by key in order."""
        values = {"b": b"2", "B": b"0", "a": b"1", "é": b"3", "\U0001f339": b"5", "\uffee": b"4"}
        for key, value in values.items():
            await self.store.facts.put(ROMEO, "kind", key, value)
        await self.store.facts.put(ROMEO, "other", "x", b"")
        facts = await self.store.facts.all(ROMEO, "kind")
        self.assertEqual(list(facts.items()), sorted(values.items()))
        self.assertEqual(dict(await self.store.facts.all(JULIET, "kind")), {})

    async def test_putNew(self):
        """What is there isn't replaced."""
        self.assertIs(await self.store.facts.putNew(ROMEO, "kind", "key", b"1"), True)
        self.assertIs(await self.store.facts.putNew(ROMEO, "kind", "key", b"2"), False)
        self.assertEqual(await self.store.facts.get(ROMEO, "kind", "key"), b"1")

    async def test_putNewAtOnce(self):
        """Of several who add at the same time, one succeeds."""
        answers = await gatherResults([self.store.facts.putNew(ROMEO, "kind", "key", b"%d" % n) for n in range(5)])
        self.assertEqual(sorted(answers), [False] * 4 + [True])

    async def test_delete(self):
        """A fact is removed once."""
        await self.store.facts.put(ROMEO, "kind", "key", b"1")
        self.assertIs(await self.store.facts.delete(ROMEO, "kind", "key"), True)
        self.assertIs(await self.store.facts.delete(ROMEO, "kind", "key"), False)
        self.assertIsNone(await self.store.facts.get(ROMEO, "kind", "key"))

    async def test_replaceAll(self):
        """The new facts are all there are."""
        await self.store.facts.put(ROMEO, "kind", "old", b"1")
        await self.store.facts.put(ROMEO, "other", "old", b"1")
        await self.store.facts.replaceAll(ROMEO, "kind", {"b": b"2", "a": b"1"})
        self.assertEqual(dict(await self.store.facts.all(ROMEO, "kind")), {"a": b"1", "b": b"2"})
        await self.store.facts.replaceAll(ROMEO, "kind", {})
        self.assertEqual(await self.store.facts.kinds(ROMEO), {"other": 1})

    async def test_sizeAndKinds(self):
        """An owner's facts are measured in octets, keys included, and counted by kind."""
        self.assertEqual(await self.store.facts.size(ROMEO), 0)
        await self.store.facts.put(ROMEO, "kind", "é", b"12345")
        await self.store.facts.put(ROMEO, "kind", "k", b"123")
        await self.store.facts.put(ROMEO, "kind", "k", b"12")
        await self.store.facts.put(ROMEO, "other", "", b"1")
        await self.store.facts.put(JULIET, "kind", "k", b"1")
        self.assertEqual(await self.store.facts.size(ROMEO), 2 + 5 + 1 + 2 + 1)
        self.assertEqual(list((await self.store.facts.kinds(ROMEO)).items()), [("kind", 2), ("other", 1)])

    async def test_forget(self):
        """Everything of one owner goes."""
        for owner in (ROMEO, JULIET):
            for kind in ("a", "b"):
                await self.store.facts.put(owner, kind, "key", b"1")
        await self.store.facts.forget(ROMEO)
        self.assertEqual(await self.store.facts.kinds(ROMEO), {})
        self.assertEqual(await self.store.facts.kinds(JULIET), {"a": 1, "b": 1})

    async def test_limits(self):
        """A fact of a mebioctet is kept, a larger one is a mistake, and so is a kind that is too long."""
        large = bytes(range(256)) * (MAXIMUM_FACT // 256)
        await self.store.facts.put(ROMEO, "kind", "key", large)
        self.assertEqual(await self.store.facts.get(ROMEO, "kind", "key"), large)
        self.assertRaises(ValueError, self.store.facts.put, ROMEO, "kind", "key", large + b"1")
        self.assertRaises(ValueError, self.store.facts.putNew, ROMEO, "kind", "new", large + b"1")
        self.assertRaises(ValueError, self.store.facts.replaceAll, ROMEO, "kind", {"new": large + b"1"})
        self.assertRaises(ValueError, self.store.facts.put, ROMEO, "k" * (MAXIMUM_KIND + 1), "key", b"")

    async def test_longestOwner(self):
        """An owner may be the longest bare JID there is, with the longest kind."""
        owner, kind = "ü" * 511 + "l@" + "d" * 1023, "k" * MAXIMUM_KIND
        await self.store.facts.put(owner, kind, "k" * 10000, b"1")
        self.assertEqual(await self.store.facts.get(owner, kind, "k" * 10000), b"1")
