"""
Contracts: what every provider of an interface must do, as tests to mix into a test case.

A test module makes one class per provider and says how to make it; the tests come from here. So a back end, its double
and whatever comes later can't drift apart.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from twisted.internet.defer import Deferred, gatherResults
from zope.interface.verify import verifyObject

from tests.marks import spec
from xmppd.ixmppd import (
    ABOUT,
    AccountRecord,
    ArchivedMessage,
    ArchivePage,
    ArchiveQuery,
    Exists,
    IAccountStore,
    IArchiveStore,
    IFactStore,
    INameStore,
    INodeStore,
    IRosterStore,
    ISpoolStore,
    IStore,
    ManagedSessionRecord,
    Missing,
    NameRecord,
    NodeItem,
    NodeRecord,
    NodeSubscription,
    Resembles,
    RosterChanges,
    RosterItem,
    SpooledMessage,
    StoredKeys,
)
from xmppd.store.values import (
    MAXIMUM_ARCHIVE_ID,
    MAXIMUM_COUNT,
    MAXIMUM_FACT,
    MAXIMUM_ITEMS,
    MAXIMUM_KIND,
    MAXIMUM_NAME,
    MAXIMUM_NODE,
    MAXIMUM_PAGE,
    MAXIMUM_PAGE_OCTETS,
    MAXIMUM_PAYLOAD,
    MAXIMUM_PRUNED,
    MAXIMUM_REMOVALS,
    MAXIMUM_STANZA,
)
from xmppd.wire.archiveids import prefixOf

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


SERVICE = "pubsub.example.org"
ROOM = "cave@rooms.example.org"

NOON = 1_700_000_000.0
"""When the first message was archived."""


def archived(n: int, owner: str = ROMEO, peer: str = JULIET, **more: Any) -> ArchivedMessage:
    """The message that was archived C{n} seconds after noon."""
    stamp = more.pop("stamp", NOON + n)
    values = {"stanza": b"<message>%d</message>" % n, **more}
    return ArchivedMessage(f"{prefixOf(stamp)}-{n:06d}", owner, peer, stamp, **values)


def idOf(n: int) -> str:
    """The id of that message."""
    return archived(n).id


def aNode(node: str = "princely_musings", owner: str = SERVICE, **more: Any) -> NodeRecord:
    """A node of the service."""
    values = {"config": "{}", "creator": JULIET, "created": 1.5, **more}
    return NodeRecord(owner, node, **values)


def anItem(id: str, payload: bytes = b"<entry/>", **more: Any) -> NodeItem:
    """Something that Juliet published."""
    values = {"publisher": JULIET, "stamp": 2.5, **more}
    return NodeItem(id, payload, **values)


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
        verifyObject(IArchiveStore, self.store.archives)
        verifyObject(INodeStore, self.store.pubsub)

    async def test_closesTwice(self):
        """Closing what is closed does no harm."""
        await self.store.close()
        await self.store.close()

    async def test_removeForgetsEverything(self):
        """With an account goes everything it has, and nobody else's."""
        await self.removes(self.store.accounts.remove)

    async def test_forget(self):
        """Forgetting does as much."""
        await self.removes(self.store.forget)

    async def test_forgetWithoutAccount(self):
        """Who has no account can be forgotten too, twice."""
        await self.fill(ROMEO)
        await self.store.accounts.remove(ROMEO)
        await self.store.facts.put(ROMEO, "room", "", b"")
        await self.store.archives.add([archived(1)])
        for _ in range(2):
            await self.store.forget(ROMEO)
            self.assertEqual(await self.store.facts.kinds(ROMEO), {})
            self.assertIsNone(await self.store.archives.ends(ROMEO))

    async def test_removeWithoutAccount(self):
        """Where there is no account to remove, nothing is deleted."""
        await self.store.archives.add([archived(1)])
        await self.fails(Missing, self.store.accounts.remove(ROMEO))
        self.assertEqual(await self.store.archives.count(ROMEO), 1)

    async def test_forgetMuch(self):
        """An archive and items of which not all can be deleted at once go as well, and so does all else."""
        await self.fill(ROMEO)
        many = MAXIMUM_PRUNED + 10
        await self.store.archives.add([archived(n) for n in range(2, many)])
        await self.store.pubsub.publish(ROMEO, "mine", [anItem(str(n)) for n in range(many)], many)
        await self.store.accounts.remove(ROMEO)
        self.assertEqual(await self.store.archives.count(ROMEO), 0)
        self.assertEqual(await self.store.pubsub.size(ROMEO), 0)
        self.assertIsNone(await self.store.accounts.get(ROMEO))

    @spec("mission", "A7")
    async def test_forgetInRooms(self):
        """What rooms keep of somebody goes; what he said there stays, without his address. Others stay."""
        facts, archives = self.store.facts, self.store.archives
        many = MAXIMUM_PRUNED + 10
        said = [archived(n, ROOM, ROOM + "/r", sender=ROMEO) for n in range(many)]
        await archives.add([*said, archived(many, ROOM, ROOM + "/j", sender=JULIET)])
        for kind in (*ABOUT, "other"):
            for jid in (ROMEO, JULIET):
                await facts.put(ROOM, kind, jid, b"1")
        for _ in range(2):
            await self.store.forget(ROMEO)
        for kind in ABOUT:
            self.assertEqual(list(await facts.all(ROOM, kind)), [JULIET])
        self.assertEqual(sorted(await facts.all(ROOM, "other")), [JULIET, ROMEO])
        self.assertEqual(await archives.count(ROOM), many + 1)
        for n, sender in ((0, ""), (many - 1, ""), (many, JULIET)):
            (found,) = (await archives.query(ROOM, ArchiveQuery(ids=(idOf(n),)))).messages
            self.assertEqual(found.sender, sender)

    async def removes(self, remove: Callable[[str], Deferred[None]]) -> None:
        """Romeo goes, Juliet stays."""
        await self.store.pubsub.create(aNode())
        for jid in (ROMEO, JULIET):
            await self.fill(jid)
        await remove(ROMEO)
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
        self.assertEqual([await self.store.archives.count(jid) for jid in (ROMEO, JULIET)], [0, 1])
        self.assertEqual([await self.store.pubsub.size(jid) > 0 for jid in (ROMEO, JULIET)], [False, True])
        for jid, node in ((ROMEO, None), (JULIET, aNode("mine", JULIET))):
            self.assertEqual(await self.store.pubsub.get(jid, "mine"), node)
        for node in ("princely_musings", "of " + JULIET):
            affiliations = await self.store.pubsub.affiliations(SERVICE, node)
            self.assertEqual(affiliations, {JULIET: "member"} if node == "princely_musings" else {})
            subscriptions = await self.store.pubsub.subscriptions(SERVICE, node)
            self.assertEqual({each.jid for each in subscriptions} & {ROMEO, ROMEO + "/r"}, set())
        self.assertEqual(len(await self.store.pubsub.subscriptions(SERVICE, "princely_musings")), 2)
        self.assertEqual((await self.store.pubsub.get(SERVICE, "of " + ROMEO)).creator, "")
        self.assertEqual((await self.store.pubsub.get(SERVICE, "of " + JULIET)).creator, JULIET)
        publishers = [each.publisher for each in await self.store.pubsub.items(SERVICE, "of " + JULIET)]
        self.assertEqual(publishers, ["", JULIET])

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
        await self.store.archives.add([archived(1, jid, "other@example.net")])
        await self.store.pubsub.create(aNode("mine", jid))
        await self.store.pubsub.create(aNode("of " + jid, creator=jid))
        await self.store.pubsub.publish(jid, "mine", [anItem("1")], 1)
        items = [anItem("1", publisher=JULIET), anItem("2", publisher=ROMEO)]
        await self.store.pubsub.publish(SERVICE, "of " + jid, items, 2)
        for owner, node in ((jid, "mine"), (SERVICE, "princely_musings")):
            if await self.store.pubsub.get(owner, node):
                await self.store.pubsub.setAffiliations(owner, node, {jid: "member"})
                for full in (jid, jid + "/r"):
                    await self.store.pubsub.setSubscription(owner, node, NodeSubscription(full, "1", "subscribed"))

    @spec("mission", "M2")
    async def test_forgetsNames(self):
        """What belongs to somebody who is forgotten looks like nothing any more, in whatever kind and space."""
        await self.fill(ROMEO)
        record = NameRecord("nickname", ROOM, "Romeo", ROMEO)
        await self.store.nameIndex.add([record, NameRecord("nickname", ROOM, "Juliet", JULIET)])
        await self.store.forget(ROMEO)
        self.assertEqual(await self.store.nameIndex.list("account", "example.org"), ())
        self.assertEqual([each.name for each in await self.store.nameIndex.list("nickname", ROOM)], ["Juliet"])
        self.assertEqual(await self.store.nameIndex.claim(record), ())

    async def test_refusesWhatNoDatabaseTakes(self):
        """NUL and lone surrogates raise ValueError at once, in whatever argument."""
        for bad in REFUSED:
            for call in self._callsWith(bad):
                self.assertRaises(ValueError, call)
        self.assertEqual(await self.store.facts.kinds(ROMEO), {})
        self.assertIsNone(await self.store.accounts.get(ROMEO))

    def _callsWith(self, bad: str) -> tuple[Callable[[], object], ...]:
        accounts, rosters, spool, facts, archives, pubsub = (
            self.store.accounts,
            self.store.rosters,
            self.store.spool,
            self.store.facts,
            self.store.archives,
            self.store.pubsub,
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
            lambda: rosters.expunge(ROMEO, bad),
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
            lambda: facts.owners(bad, "example.org"),
            lambda: facts.owners("room", bad),
            lambda: self.store.forget(bad),
            lambda: archives.add([archived(1, bad)]),
            lambda: archives.add([archived(1, peer=bad)]),
            lambda: archives.add([archived(1, resource=bad)]),
            lambda: archives.add([archived(1, sender=bad)]),
            lambda: archives.add([replace(archived(1), id=idOf(1) + bad)]),
            lambda: archives.query(bad, ArchiveQuery()),
            lambda: archives.query(ROMEO, ArchiveQuery(peer=bad)),
            lambda: archives.query(ROMEO, ArchiveQuery(peer=JULIET, resource=bad)),
            lambda: archives.query(ROMEO, ArchiveQuery(afterId=bad)),
            lambda: archives.query(ROMEO, ArchiveQuery(beforeId=bad)),
            lambda: archives.query(ROMEO, ArchiveQuery(pageAfter=bad)),
            lambda: archives.query(ROMEO, ArchiveQuery(pageBefore=bad)),
            lambda: archives.query(ROMEO, ArchiveQuery(ids=(bad,))),
            lambda: archives.ends(bad),
            lambda: archives.replace(ROMEO, bad, b""),
            lambda: archives.remove(ROMEO, [bad]),
            lambda: archives.prune(1.0, bad),
            lambda: archives.forget(bad),
            lambda: archives.disown(bad),
            lambda: archives.owners(bad),
            lambda: archives.count(bad),
            lambda: pubsub.create(aNode(bad)),
            lambda: pubsub.create(aNode(owner=bad)),
            lambda: pubsub.create(aNode(config=bad)),
            lambda: pubsub.create(aNode(creator=bad)),
            lambda: pubsub.get(SERVICE, bad),
            lambda: pubsub.configure(SERVICE, bad, ""),
            lambda: pubsub.configure(SERVICE, "node", bad),
            lambda: pubsub.delete(SERVICE, bad),
            lambda: pubsub.nodes(bad),
            lambda: pubsub.nodes(SERVICE, bad),
            lambda: pubsub.publish(SERVICE, bad, [], 1),
            lambda: pubsub.publish(SERVICE, "node", [anItem(bad)], 1),
            lambda: pubsub.publish(SERVICE, "node", [anItem("1", publisher=bad)], 1),
            lambda: pubsub.items(SERVICE, bad),
            lambda: pubsub.items(SERVICE, "node", before=bad),
            lambda: pubsub.itemsById(SERVICE, "node", [bad]),
            lambda: pubsub.countItems(SERVICE, bad),
            lambda: pubsub.retract(SERVICE, "node", [bad]),
            lambda: pubsub.purge(SERVICE, bad),
            lambda: pubsub.affiliations(SERVICE, bad),
            lambda: pubsub.setAffiliations(SERVICE, "node", {bad: "owner"}),
            lambda: pubsub.setAffiliations(SERVICE, "node", {JULIET: bad}),
            lambda: pubsub.affiliationsOf(SERVICE, bad),
            lambda: pubsub.subscriptions(SERVICE, bad),
            lambda: pubsub.setSubscription(SERVICE, "node", NodeSubscription(bad, "", "subscribed")),
            lambda: pubsub.setSubscription(SERVICE, "node", NodeSubscription(JULIET, bad, "subscribed")),
            lambda: pubsub.setSubscription(SERVICE, "node", NodeSubscription(JULIET, "", bad)),
            lambda: pubsub.setSubscription(SERVICE, "node", NodeSubscription(JULIET, "", "pending", bad)),
            lambda: pubsub.subscriptionsOf(SERVICE, bad),
            lambda: pubsub.size(bad),
            lambda: pubsub.forget(bad),
            lambda: pubsub.forgetEntity(bad),
            lambda: pubsub.ownerless(bad),
        )


class AccountStoreContract(_StoreCase):
    """L{IAccountStore}."""

    async def test_createAndGet(self):
        """A new account is enabled and was never active."""
        await self.store.accounts.create(ROMEO, [someKeys()], 12.25)
        self.assertEqual(await self.store.accounts.get(ROMEO), AccountRecord(ROMEO, 12.25, False, None, ""))
        self.assertIsNone(await self.store.accounts.get(JULIET))

    async def test_createClearsTheSpool(self):
        """What was on its way to an earlier account of the name is not for the new one."""
        await self.store.spool.add([aMessage(), aMessage(holder="token", sequence=1), aMessage(JULIET)])
        await self.store.accounts.create(ROMEO, [someKeys()], 1.0)
        self.assertEqual(await self.store.spool.offline(ROMEO), ())
        self.assertEqual(await self.store.spool.held("token"), ())
        self.assertEqual(await self.store.spool.count(JULIET), 1)

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

    async def localparts(self) -> list[str]:
        """The names in the index of look-alikes."""
        return [each.name for each in await self.store.nameIndex.list("account", "example.org")]

    @spec("XEP-0165", "1")
    @spec("mission", "M2")
    async def test_createDistinct(self):
        """Where names have to be distinct, one that looks like another's of the domain is refused."""
        await self.store.accounts.create("paypal@example.org", [], 1.0, distinct=True)
        for name in ("paypa1", "p\u0430ypal", "\u0440\u0430\u0443\u0440\u0430l"):
            created = self.store.accounts.create(f"{name}@example.org", [], 1.0, distinct=True)
            error = await self.fails(Resembles, created)
            self.assertEqual(error.names, ("paypal",))
            self.assertIsInstance(error, Exists)
            self.assertIsNone(await self.store.accounts.get(f"{name}@example.org"))
        await self.store.accounts.create("paypa1@example.net", [], 1.0, distinct=True)
        self.assertEqual(await self.localparts(), ["paypal"])

    @spec("mission", "M2")
    async def test_createTheSameIsNoLookAlike(self):
        """A name that is taken is just that."""
        await self.store.accounts.create(ROMEO, [], 1.0, distinct=True)
        error = await self.fails(Exists, self.store.accounts.create(ROMEO, [], 1.0, distinct=True))
        self.assertNotIsInstance(error, Resembles)

    @spec("mission", "M2")
    async def test_deletingOneOfTwoFreesNothing(self):
        """While one of several look-alikes is left, no other comes; when the last has gone, they may."""
        await self.store.accounts.create("paypal@example.org", [], 1.0)
        await self.store.accounts.create("paypa1@example.org", [], 1.0)
        for gone, left in (("paypal", "paypa1"), ("paypa1", None)):
            await self.store.accounts.remove(f"{gone}@example.org")
            if left is not None:
                created = self.store.accounts.create("payp\u0430l@example.org", [], 1.0, distinct=True)
                self.assertEqual((await self.fails(Resembles, created)).names, (left,))
        await self.store.accounts.create("payp\u0430l@example.org", [], 1.0, distinct=True)
        self.assertEqual(await self.localparts(), ["payp\u0430l"])

    @spec("mission", "M2")
    async def test_createDistinctAtOnce(self):
        """Of several who want look-alikes at the same time, one gets its name."""
        names = ("paypal", "paypa1", "payp\u0430l", "\u0440\u0430\u0443\u0440\u0430l", "p\u0430ypal")
        failures = 0
        for attempt in [self.store.accounts.create(f"{name}@example.org", [], 1.0, distinct=True) for name in names]:
            try:
                await attempt
            except Resembles:
                failures += 1
        there = await self.localparts()
        self.assertEqual((there, failures), (["paypal"], 4))

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

    async def test_addKeys(self):
        """Keys for one more hash are added beside those that are there; never twice, nor beside others or none."""
        accounts = self.store.accounts
        await accounts.create(ROMEO, [someKeys("sha1")], 1.0)
        self.assertIs(await accounts.addKeys(ROMEO, someKeys("sha256"), someKeys("sha1", 20000)), False)
        self.assertIs(await accounts.addKeys(ROMEO, someKeys("sha256"), someKeys("sha512")), False)
        self.assertIs(await accounts.addKeys(JULIET, someKeys("sha256"), someKeys("sha1")), False)
        self.assertIsNone((await accounts.keys(ROMEO, "sha256"))[1])
        self.assertIs(await accounts.addKeys(ROMEO, someKeys("sha256"), someKeys("sha1")), True)
        self.assertIs(await accounts.addKeys(ROMEO, someKeys("sha256", 30000), someKeys("sha1")), False)
        self.assertEqual((await accounts.keys(ROMEO, "sha256"))[1], someKeys("sha256"))
        self.assertEqual((await accounts.keys(ROMEO, "sha1"))[1], someKeys("sha1"))

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

    async def test_rounds(self):
        """Accounts are counted by the iterations of their keys for one hash, for each domain."""
        for number, iterations in enumerate((10000, 20000, 10000)):
            await self.store.accounts.create(f"{number}@example.org", [someKeys("sha256", iterations)], 1.0)
        await self.store.accounts.create("x@example.org", [someKeys("sha1", 4096)], 1.0)
        await self.store.accounts.create("none@example.org", [], 1.0)
        await self.store.accounts.create("a@example.net", [someKeys("sha256", 30000)], 1.0)
        self.assertEqual(await self.store.accounts.rounds("example.org", "sha256"), {10000: 2, 20000: 1})
        self.assertEqual(await self.store.accounts.rounds("example.com", "sha256"), {})
        await self.store.accounts.setKeys("0@example.org", [someKeys("sha256", 20000)])
        self.assertEqual(await self.store.accounts.rounds("example.org", "sha256"), {10000: 1, 20000: 2})


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

    @spec("mission", "A7")
    async def test_expunge(self):
        """An address goes with its resources, and that it was there; who saw it gets the complete roster."""
        there, other = "there@example.net", RosterItem("there@example.net0", version=4)
        for jid in (there, there + "/a", there + "/\U0010ffff", other.jid):
            await self.store.rosters.put(ROMEO, RosterItem(jid))
            await self.store.rosters.put(JULIET, RosterItem(jid))
        await self.store.rosters.delete(ROMEO, there + "/a")
        self.assertEqual(await self.store.rosters.expunge(ROMEO, there), 6)
        self.assertEqual(await self.store.rosters.get(ROMEO), RosterChanges(6, (other,)))
        for known in range(6):
            self.assertEqual(await self.store.rosters.since(ROMEO, known), RosterChanges(6, (other,)))
        self.assertEqual(len((await self.store.rosters.get(JULIET)).items), 4)
        for account in (ROMEO, "nurse@example.org"):
            version = (await self.store.rosters.get(account)).version
            self.assertEqual(await self.store.rosters.expunge(account, there), version)
        await self.store.rosters.delete(ROMEO, other.jid)
        self.assertEqual((await self.store.rosters.since(ROMEO, 6)).removed, (other.jid,))

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

    async def test_owners(self):
        """Those of a domain who have facts of a kind come in order, each once."""
        rooms = [
            "b@conference.example.org",
            "conference.example.org",
            "a_@conference.example.org",
            "ß@conference.example.org",
        ]
        others = [
            "c@conferencexexample.org",
            "d@example.org",
            "e@sub.conference.example.org",
            "f@CONFERENCE.example.org",
        ]
        for owner in rooms + others:
            for key in "xy":
                await self.store.facts.put(owner, "room", key, b"")
        await self.store.facts.put("g@conference.example.org", "vcard", "", b"")
        await self.store.facts.put("h@conference.example.org", "room", "", b"")
        await self.store.facts.delete("h@conference.example.org", "room", "")
        self.assertEqual(await self.store.facts.owners("room", "conference.example.org"), tuple(sorted(rooms)))
        self.assertEqual(await self.store.facts.owners("room", "conference_example.org"), ())
        self.assertEqual(
            await self.store.facts.owners("vcard", "conference.example.org"), ("g@conference.example.org",)
        )


@spec("XEP-0313", "4")
class ArchiveStoreContract(_StoreCase):
    """L{IArchiveStore}."""

    async def page(self, owner: str = ROMEO, **conditions: Any) -> ArchivePage:
        """What a query answers."""
        result: ArchivePage = await self.store.archives.query(owner, ArchiveQuery(**conditions))
        return result

    async def found(self, **conditions: Any) -> list[int]:
        """The numbers of the messages that a query answers."""
        return [int(each.id[-6:]) for each in (await self.page(**conditions)).messages]

    async def fill(self, count: int = 10) -> None:
        """Every third message is with the nurse, every second with a resource."""
        await self.store.archives.add(
            [
                archived(n, peer=(JULIET, JULIET, "nurse@example.org")[n % 3], resource=("balcony", "")[n % 2])
                for n in range(count)
            ]
        )
        await self.store.archives.add([archived(n, JULIET, ROMEO) for n in range(3)])

    async def test_comesBack(self):
        """A message comes back as it was."""
        message = archived(
            1, "room@muc.example.org", "room@muc.example.org/🌹", stanza=b"\0\xff", resource="ß", sender=ROMEO
        )
        await self.store.archives.add([message])
        page = await self.page("room@muc.example.org")
        self.assertEqual(page, ArchivePage((message,), True, 1, 0))

    async def test_empty(self):
        """An archive without messages answers an empty page."""
        self.assertEqual(await self.page(), ArchivePage((), True, 0, None))
        self.assertIsNone(await self.store.archives.ends(ROMEO))
        self.assertEqual(await self.store.archives.count(ROMEO), 0)
        await self.store.archives.add([])

    @spec("XEP-0313", "3.1")
    async def test_order(self):
        """Messages come in the order of their ids, whatever the order in which they were written."""
        for n in (3, 1, 2):
            await self.store.archives.add([archived(n)])
        same = [replace(archived(4), id=prefixOf(NOON + 4) + tail) for tail in ("b", "~", "B", "é")]
        await self.store.archives.add(same)
        page = await self.page()
        self.assertEqual([each.id for each in page.messages[:3]], [idOf(n) for n in (1, 2, 3)])
        self.assertEqual([each.id[15:] for each in page.messages[3:]], sorted(("b", "~", "B", "é")))
        self.assertEqual(await self.page(start=NOON + 4, end=NOON + 4), ArchivePage(page.messages[3:], True, 4, 0))

    async def test_addAgain(self):
        """A message that is there already stays, alone or among others."""
        await self.store.archives.add([archived(1, stanza=b"<first/>")])
        await self.store.archives.add([archived(1, stanza=b"<second/>")])
        await self.store.archives.add([archived(0), archived(1), archived(2)])
        self.assertEqual(await self.found(), [0, 1, 2])
        self.assertEqual((await self.page()).messages[1].stanza, b"<first/>")

    async def test_addAtOnce(self):
        """However calls are joined, all messages are there."""
        sizes = [1, 0, 3, 70, 1, 9, 200, 1]
        numbers = iter(range(sum(sizes)))
        await gatherResults([self.store.archives.add([archived(next(numbers)) for _ in range(size)]) for size in sizes])
        self.assertEqual(await self.found(limit=1000), list(range(sum(sizes))))

    @spec("XEP-0313", "4.1.1")
    async def test_peer(self):
        """A query may ask for one peer, and for one resource of it."""
        await self.fill()
        self.assertEqual(await self.found(peer=JULIET), [0, 1, 3, 4, 6, 7, 9])
        self.assertEqual(await self.found(peer="nurse@example.org"), [2, 5, 8])
        self.assertEqual(await self.found(peer=JULIET, resource="balcony"), [0, 4, 6])
        self.assertEqual(await self.found(peer=JULIET, resource=""), [1, 3, 7, 9])
        self.assertEqual(await self.found(peer=JULIET, resource="Balcony"), [])
        self.assertEqual(await self.found(peer="nobody@example.org"), [])
        page = await self.page(peer=JULIET, resource="balcony", pageAfter=idOf(0), limit=1)
        self.assertEqual((len(page.messages), page.complete, page.count, page.index), (1, False, 3, 1))

    async def test_resourceWithoutPeer(self):
        """A resource means nothing alone."""
        self.assertRaises(ValueError, self.store.archives.query, ROMEO, ArchiveQuery(resource="balcony"))

    @spec("XEP-0313", "4.1.2")
    async def test_time(self):
        """Both ends of a time belong to it; times outside of the archive, and outside of all time, are all right."""
        await self.fill()
        self.assertEqual(await self.found(start=NOON + 8), [8, 9])
        self.assertEqual(await self.found(start=NOON + 7.000001), [8, 9])
        self.assertEqual(await self.found(end=NOON + 1), [0, 1])
        self.assertEqual(await self.found(end=NOON + 0.999999), [0])
        self.assertEqual(await self.found(start=NOON + 2, end=NOON + 4), [2, 3, 4])
        self.assertEqual(await self.found(start=NOON + 4, end=NOON + 2), [])
        self.assertEqual(await self.found(start=-1e10, end=1e10), list(range(10)))
        self.assertEqual(await self.found(start=1e20), [])
        self.assertEqual(await self.found(end=-1.0), [])
        self.assertEqual(await self.found(start=NOON + 2, peer="nurse@example.org", pageAfter=idOf(2)), [5, 8])

    @spec("XEP-0313", "4.1.3")
    async def test_ids(self):
        """A query may be bounded by messages that are known, or ask for some of them; they needn't match otherwise."""
        await self.fill()
        self.assertEqual(await self.found(afterId=idOf(7)), [8, 9])
        self.assertEqual(await self.found(beforeId=idOf(2)), [0, 1])
        self.assertEqual(await self.found(afterId=idOf(2), beforeId=idOf(5)), [3, 4])
        self.assertEqual(await self.found(afterId=idOf(5), beforeId=idOf(2)), [])
        self.assertEqual(await self.found(peer=JULIET, afterId=idOf(2), limit=2), [3, 4])
        self.assertEqual(await self.found(ids=(idOf(7), idOf(2), idOf(2))), [2, 7])
        self.assertEqual(await self.found(ids=(idOf(7), idOf(2)), peer=JULIET), [7])
        self.assertEqual(await self.found(ids=(idOf(7), idOf(2)), start=NOON + 3), [7])
        self.assertEqual(await self.found(ids=()), [])
        page = await self.page(ids=(idOf(7), idOf(2), idOf(5)), limit=1, pageAfter=idOf(2))
        self.assertEqual((page.messages[0].id, page.complete, page.count, page.index), (idOf(5), False, 3, 1))

    @spec("XEP-0313", "4.1.3")
    @spec("XEP-0313", "4.3.2")
    async def test_missing(self):
        """Each id that a query names must be in that archive."""
        await self.fill()
        await self.store.archives.add([archived(99, JULIET, ROMEO)])
        for unknown in (idOf(99), idOf(77), "nonsense", ""):
            for condition in ("afterId", "beforeId", "pageAfter", "pageBefore"):
                if (condition, unknown) != ("pageBefore", ""):
                    await self.fails(Missing, self.store.archives.query(ROMEO, ArchiveQuery(**{condition: unknown})))
            await self.fails(Missing, self.store.archives.query(ROMEO, ArchiveQuery(ids=(idOf(1), unknown))))

    @spec("XEP-0059", "2.2")
    async def test_pagesForwards(self):
        """Page by page one gets every message once, in order, with its place among all."""
        await self.fill(11)
        for conditions, expected in (({}, list(range(11))), ({"peer": JULIET}, [0, 1, 3, 4, 6, 7, 9, 10])):
            for limit in (1, 3, 4, 11):
                got: list[int] = []
                last = None
                while True:
                    page = await self.page(**conditions, limit=limit, pageAfter=last)
                    self.assertEqual((page.index, page.count), (len(got), len(expected)))
                    got += [int(each.id[-6:]) for each in page.messages]
                    last = page.messages[-1].id
                    if page.complete:
                        break
                self.assertEqual(got, expected)
        self.assertEqual(await self.page(pageAfter=idOf(10)), ArchivePage((), True, 11, None))

    @spec("XEP-0059", "2.3")
    @spec("XEP-0059", "2.5")
    @spec("XEP-0313", "4.3.3")
    async def test_pagesBackwards(self):
        """So does one backwards, from the last page; each page is in the order of the archive."""
        await self.fill(11)
        for conditions, expected in (({}, list(range(11))), ({"peer": JULIET}, [0, 1, 3, 4, 6, 7, 9, 10])):
            for limit in (1, 3, 4, 11):
                got: list[int] = []
                first = ""
                while True:
                    page = await self.page(**conditions, limit=limit, pageBefore=first)
                    got = [int(each.id[-6:]) for each in page.messages] + got
                    self.assertEqual((page.index, page.count), (len(expected) - len(got), len(expected)))
                    first = page.messages[0].id
                    if page.complete:
                        break
                self.assertEqual(got, expected)
        self.assertEqual(await self.page(pageBefore=idOf(0)), ArchivePage((), True, 11, None))

    async def test_pageBetween(self):
        """Both ends of a page may be given; then the last ones between them are meant."""
        await self.fill()
        self.assertEqual(await self.found(pageAfter=idOf(1), pageBefore=idOf(7), limit=3), [4, 5, 6])
        self.assertFalse((await self.page(pageAfter=idOf(1), pageBefore=idOf(7), limit=3)).complete)
        self.assertTrue((await self.page(pageAfter=idOf(1), pageBefore=idOf(7), limit=5)).complete)

    @spec("XEP-0059", "2.6")
    async def test_pageByIndex(self):
        """A page may begin at a position; behind the last one it is empty."""
        await self.fill()
        page = await self.page(pageIndex=4, limit=3, peer=JULIET)
        self.assertEqual([int(each.id[-6:]) for each in page.messages], [6, 7, 9])
        self.assertEqual((page.complete, page.count, page.index), (True, 7, 4))
        for beyond in (10, 11, MAXIMUM_COUNT + 1):
            self.assertEqual(await self.page(pageIndex=beyond), ArchivePage((), True, 10, None))

    @spec("XEP-0059", "2.7")
    async def test_countAlone(self):
        """A page of nothing tells how many there are."""
        await self.fill()
        self.assertEqual(await self.page(limit=0), ArchivePage((), False, 10, None))
        self.assertEqual(await self.page(limit=0, start=NOON + 3, peer=JULIET, resource=""), ArchivePage((), False, 3))
        self.assertEqual(await self.page(limit=0, ids=()), ArchivePage((), True, 0, None))

    async def test_noCount(self):
        """What isn't asked isn't counted; the position of a first page is known all the same."""
        await self.fill()
        page = await self.page(limit=2, count=False)
        self.assertEqual((page.count, page.index), (None, 0))
        page = await self.page(limit=2, count=False, pageAfter=idOf(1))
        self.assertEqual((page.count, page.index), (None, None))

    async def test_countIsBounded(self):
        """Too many are not counted, and a position among them isn't looked for; everything else works."""
        for module in self.counting():
            self.patch(module, "MAXIMUM_COUNT", 6)
        await self.fill()
        self.assertEqual([(await self.page()).count, (await self.page(start=NOON + 4)).count], [None, 6])
        page = await self.page(limit=2, pageAfter=idOf(7))
        self.assertEqual((len(page.messages), page.complete, page.count, page.index), (2, True, None, None))
        self.assertEqual((await self.page(pageIndex=6)).index, 6)
        await self.fails(Missing, self.store.archives.query(ROMEO, ArchiveQuery(pageIndex=7)))
        self.assertEqual((await self.page(pageIndex=7, start=NOON + 4)).messages, ())

    def counting(self) -> Sequence[Any]:
        """The modules whose bounds the store obeys."""
        from xmppd.store import memoryarchives
        from xmppd.store.sql import archives

        return memoryarchives, archives

    async def test_limits(self):
        """No page has more messages than allowed, and none is much larger than allowed."""
        await self.store.archives.add([archived(n) for n in range(MAXIMUM_PAGE + 1)])
        page = await self.page(limit=1 << 40)
        self.assertEqual((len(page.messages), page.complete), (MAXIMUM_PAGE, False))
        self.assertRaises(ValueError, self.store.archives.query, ROMEO, ArchiveQuery(limit=-1))
        self.assertRaises(ValueError, self.store.archives.query, ROMEO, ArchiveQuery(pageIndex=-1))
        self.assertRaises(ValueError, self.store.archives.query, ROMEO, ArchiveQuery(start=float("nan")))
        large = MAXIMUM_PAGE_OCTETS // 4
        await self.store.archives.add([archived(n, JULIET, stanza=bytes(large)) for n in range(9)])
        page = await self.page(JULIET)
        self.assertEqual(([each.id for each in page.messages], page.complete), ([idOf(n) for n in range(4)], False))
        page = await self.page(JULIET, pageBefore="")
        self.assertEqual(([each.id for each in page.messages], page.complete), ([idOf(n) for n in range(5, 9)], False))
        self.assertEqual(page.index, 5)

    async def test_refused(self):
        """What is too large, and an id that doesn't fit its stamp, is a mistake, and nothing of the call is kept."""
        for bad in (
            archived(1, "x" * 2100),
            archived(1, stanza=bytes(MAXIMUM_STANZA + 1)),
            replace(archived(1), id=idOf(1) + "x" * MAXIMUM_ARCHIVE_ID),
            replace(archived(1), id="1"),
            replace(archived(1), id=idOf(2)),
            replace(archived(1), id=prefixOf(NOON + 1)),
            replace(archived(1), stamp=float("nan")),
        ):
            self.assertRaises(ValueError, self.store.archives.add, [archived(0), bad])
        self.assertRaises(ValueError, self.store.archives.replace, ROMEO, idOf(1), bytes(MAXIMUM_STANZA + 1))
        self.assertEqual(await self.store.archives.count(ROMEO), 0)

    async def test_longNames(self):
        """Owner, peer, resource and id may be the longest there are."""
        longest = "ü" * 511 + "l@" + "d" * 1023
        message = archived(1, longest, longest + "/" + "r" * 1023, resource="ß" * 511, sender=longest)
        message = replace(message, id=message.id + "x" * (MAXIMUM_ARCHIVE_ID - len(message.id)))
        await self.store.archives.add([message])
        page = await self.page(longest, peer=message.peer, resource=message.resource, ids=(message.id,))
        self.assertEqual(page.messages, (message,))

    @spec("XEP-0313", "5")
    async def test_ends(self):
        """The first and the last message are known at once."""
        await self.fill(5)
        first, last = await self.store.archives.ends(ROMEO)
        self.assertEqual((first.id, last.id), (idOf(0), idOf(4)))
        await self.store.archives.remove(ROMEO, [idOf(n) for n in range(4)])
        first, last = await self.store.archives.ends(ROMEO)
        self.assertEqual(first, last)

    async def test_replace(self):
        """Other bytes take a message's place, and nothing else changes."""
        await self.fill(3)
        self.assertIs(await self.store.archives.replace(ROMEO, idOf(1), b"<tombstone/>"), True)
        self.assertIs(await self.store.archives.replace(ROMEO, idOf(9), b"<tombstone/>"), False)
        page = await self.page()
        expected = archived(1, resource="", stanza=b"<tombstone/>")
        self.assertEqual((page.messages[1], page.count), (expected, 3))
        self.assertEqual((await self.page(JULIET)).messages[1], archived(1, JULIET, ROMEO))

    async def test_remove(self):
        """Messages are deleted by id, from one archive."""
        await self.fill(4)
        await self.store.archives.remove(ROMEO, iter([idOf(1), idOf(3), idOf(77), "nonsense"]))
        await self.store.archives.remove(ROMEO, [])
        await self.store.archives.remove("nobody@example.org", [idOf(0)])
        self.assertEqual(await self.found(), [0, 2])
        self.assertEqual(await self.found(peer=JULIET), [0])
        self.assertEqual(await self.store.archives.count(JULIET), 3)

    @spec("XEP-0313", "3.2")
    async def test_prune(self):
        """Old messages go, the oldest first, so many at a time, of one archive or of all."""
        await self.fill()
        self.assertEqual(await self.store.archives.prune(NOON + 5, ROMEO, 3), 3)
        self.assertEqual(await self.found(), list(range(3, 10)))
        self.assertEqual(await self.store.archives.prune(NOON + 5, ROMEO), 2)
        self.assertEqual(await self.store.archives.prune(NOON + 5, ROMEO), 0)
        self.assertEqual(await self.store.archives.count(JULIET), 3)
        self.assertEqual(await self.store.archives.prune(NOON + 7, most=4), 4)
        self.assertEqual((await self.store.archives.count(JULIET), await self.found()), (0, [6, 7, 8, 9]))
        self.assertEqual(await self.store.archives.prune(NOON + 7), 1)
        self.assertEqual(await self.store.archives.prune(NOON + 7), 0)

    async def test_disclosed(self):
        """Whether real addresses were visible when something was said comes back."""
        await self.store.archives.add([archived(1, disclosed=True), archived(2)])
        page = await self.page()
        self.assertEqual([each.disclosed for each in page.messages], [True, False])

    async def test_disown(self):
        """An address is taken out of all archives, and nothing else changes."""
        mine = [archived(1, ROOM, sender=JULIET), archived(2, "other@example.org", sender=JULIET)]
        others = [archived(3, ROOM, sender=ROMEO), archived(4, ROOM)]
        await self.store.archives.add([*mine, *others])
        for who in (JULIET, "", "nobody@example.org"):
            await self.store.archives.disown(who)
        page = await self.store.archives.query(ROOM, ArchiveQuery())
        self.assertEqual(page.messages, (replace(mine[0], sender=""), *others))
        page = await self.store.archives.query("other@example.org", ArchiveQuery())
        self.assertEqual(page.messages, (replace(mine[1], sender=""),))

    async def test_owners(self):
        """The owners of archives come in order, some at a time; who has nothing isn't one."""
        owners = self.store.archives.owners
        self.assertEqual(await owners(), ())
        await self.store.archives.add([archived(n, owner) for n in range(3) for owner in (ROMEO, JULIET, ROOM)])
        self.assertEqual(await owners(), (ROOM, JULIET, ROMEO))
        self.assertEqual(await owners(limit=2), (ROOM, JULIET))
        self.assertEqual(await owners(JULIET), (ROMEO,))
        await self.store.archives.forget(ROMEO)
        self.assertEqual(await owners(JULIET), ())

    async def test_forget(self):
        """An archive goes, a large one too; others stay."""
        await self.fill(MAXIMUM_PRUNED + 1)
        await self.store.archives.forget(ROMEO)
        self.assertEqual(await self.store.archives.count(ROMEO), 0)
        self.assertEqual(await self.store.archives.count(JULIET), 3)
        await self.store.archives.forget(ROMEO)


@spec("XEP-0060", "4")
class NodeStoreContract(_StoreCase):
    """L{INodeStore}."""

    async def publish(self, *ids: str, most: int = 100, owner: str = SERVICE, node: str = "princely_musings") -> Any:
        """Publish items with these ids."""
        return await self.store.pubsub.publish(owner, node, [anItem(id) for id in ids], most)

    async def ids(self, **more: Any) -> list[str]:
        """The ids of a node's items, newest first."""
        return [each.id for each in await self.store.pubsub.items(SERVICE, "princely_musings", **more)]

    async def test_createAndGet(self):
        """A node comes back as it was; its name is taken."""
        record = aNode("ß\n%_", config='{"a": "🌹"}')
        await self.store.pubsub.create(record)
        self.assertEqual(await self.store.pubsub.get(SERVICE, "ß\n%_"), record)
        self.assertIsNone(await self.store.pubsub.get(SERVICE, "other"))
        self.assertIsNone(await self.store.pubsub.get(JULIET, "ß\n%_"))
        await self.fails(Exists, self.store.pubsub.create(replace(record, creator=ROMEO)))
        self.assertEqual(await self.store.pubsub.get(SERVICE, "ß\n%_"), record)

    async def test_createAtOnce(self):
        """Of several who make a node at the same time, one succeeds."""
        attempts = [self.store.pubsub.create(aNode(creator=f"{n}@example.org")) for n in range(5)]
        failures = 0
        for attempt in attempts:
            try:
                await attempt
            except Exists:
                failures += 1
        self.assertEqual(failures, 4)

    async def test_configure(self):
        """The configuration can be replaced."""
        await self.store.pubsub.create(aNode())
        await self.store.pubsub.configure(SERVICE, "princely_musings", '{"new": 1}')
        self.assertEqual(await self.store.pubsub.get(SERVICE, "princely_musings"), aNode(config='{"new": 1}'))

    async def test_missing(self):
        """What changes a node needs one; what reads it finds nothing."""
        pubsub = self.store.pubsub
        for attempt in (
            pubsub.configure(SERVICE, "node", "{}"),
            pubsub.delete(SERVICE, "node"),
            pubsub.publish(SERVICE, "node", [anItem("1")], 1),
            pubsub.setAffiliations(SERVICE, "node", {JULIET: "owner"}),
            pubsub.setSubscription(SERVICE, "node", NodeSubscription(JULIET, "1", "subscribed")),
        ):
            await self.fails(Missing, attempt)
        self.assertEqual(tuple(await pubsub.items(SERVICE, "node")), ())
        self.assertEqual(tuple(await pubsub.itemsById(SERVICE, "node", ["1"])), ())
        self.assertEqual(await pubsub.countItems(SERVICE, "node"), 0)
        self.assertEqual(tuple(await pubsub.retract(SERVICE, "node", ["1"])), ())
        self.assertIsNone(await pubsub.purge(SERVICE, "node"))
        self.assertEqual(await pubsub.affiliations(SERVICE, "node"), {})
        self.assertEqual(tuple(await pubsub.subscriptions(SERVICE, "node")), ())
        self.assertEqual(await pubsub.size(SERVICE), 0)

    async def test_nodes(self):
        """Nodes come by name, in the order of code points, page by page."""
        names = ["b", "B", "", "a", "é", "🌹", "￮"]
        for name in names:
            await self.store.pubsub.create(aNode(name))
        await self.store.pubsub.create(aNode("x", JULIET))
        self.assertEqual([each.node for each in await self.store.pubsub.nodes(SERVICE)], sorted(set(names) - {""}))
        await self.store.pubsub.delete(SERVICE, "")
        paged: list[str] = []
        after = ""
        while page := await self.store.pubsub.nodes(SERVICE, after, 2):
            paged += [each.node for each in page]
            after = paged[-1]
        self.assertEqual(paged, sorted(set(names) - {""}))

    async def test_delete(self):
        """With a node goes everything in it, and nothing of another; a new one by its name is empty."""
        for node in ("princely_musings", "other"):
            await self.store.pubsub.create(aNode(node))
            await self.publish("1", "2", node=node)
            await self.store.pubsub.setAffiliations(SERVICE, node, {JULIET: "owner"})
            await self.store.pubsub.setSubscription(SERVICE, node, NodeSubscription(JULIET, "1", "subscribed"))
        await self.store.pubsub.delete(SERVICE, "princely_musings")
        await self.store.pubsub.create(aNode())
        for node, amount in (("princely_musings", 0), ("other", 1)):
            self.assertEqual(await self.store.pubsub.countItems(SERVICE, node), 2 * amount)
            self.assertEqual(len(await self.store.pubsub.affiliations(SERVICE, node)), amount)
            self.assertEqual(len(await self.store.pubsub.subscriptions(SERVICE, node)), amount)

    @spec("XEP-0060", "7.1")
    async def test_publish(self):
        """Items come back as they were, the newest first."""
        await self.store.pubsub.create(aNode())
        items = [anItem(id, b"\0\xff%d" % n, publisher=ROMEO, stamp=float(n)) for n, id in enumerate(AWKWARD)]
        self.assertEqual(tuple(await self.store.pubsub.publish(SERVICE, "princely_musings", items, 100)), ())
        self.assertEqual(tuple(await self.store.pubsub.items(SERVICE, "princely_musings")), tuple(items[::-1]))
        self.assertEqual(await self.store.pubsub.countItems(SERVICE, "princely_musings"), len(items))

    @spec("XEP-0060", "7.1.2")
    async def test_publishAgain(self):
        """An item that is published again is replaced and becomes the newest."""
        await self.store.pubsub.create(aNode())
        await self.publish("a", "b", "c")
        new = anItem("a", b"<new/>", stamp=9.5)
        await self.store.pubsub.publish(SERVICE, "princely_musings", [anItem("d"), anItem("a"), new], 100)
        self.assertEqual(await self.ids(), ["a", "d", "c", "b"])
        self.assertEqual(tuple(await self.store.pubsub.itemsById(SERVICE, "princely_musings", ["a"])), (new,))

    async def test_publishMost(self):
        """The oldest beyond so many go, be they just published, and are named, oldest first."""
        await self.store.pubsub.create(aNode())
        self.assertEqual(tuple(await self.publish("a", "b", "c", most=2)), ("a",))
        self.assertEqual(tuple(await self.publish("b", most=2)), ())
        self.assertEqual(tuple(await self.publish("d", "e", most=2)), ("c", "b"))
        self.assertEqual(tuple(await self.publish(most=1)), ("d",))
        self.assertEqual(await self.ids(), ["e"])
        self.assertEqual(tuple(await self.publish("f", most=0)), ("e", "f"))
        self.assertEqual(await self.ids(), [])

    async def test_publishMostOfAll(self):
        """There is a bound that nobody gets beyond."""
        await self.store.pubsub.create(aNode())
        await self.publish(*map(str, range(MAXIMUM_ITEMS)), most=1 << 40)
        self.assertEqual(tuple(await self.publish("new", most=1 << 40)), ("0",))
        self.assertEqual(len(await self.ids(limit=1 << 40)), MAXIMUM_PAGE)

    async def test_items(self):
        """Items can be had so many at a time, and those before another."""
        await self.store.pubsub.create(aNode())
        await self.publish("a", "b", "c", "d")
        self.assertEqual(await self.ids(limit=2), ["d", "c"])
        self.assertEqual(await self.ids(limit=2, before="c"), ["b", "a"])
        self.assertEqual(await self.ids(before="a"), [])
        self.assertEqual(await self.ids(limit=0), [])
        for node in ("princely_musings", "other"):
            await self.fails(Missing, self.store.pubsub.items(SERVICE, node, before="x"))

    async def test_itemsById(self):
        """Those there are come in the order in which they were asked for, each once."""
        await self.store.pubsub.create(aNode())
        await self.publish("a", "b", "c")
        items = await self.store.pubsub.itemsById(SERVICE, "princely_musings", ["c", "x", "a", "c"])
        self.assertEqual([each.id for each in items], ["c", "a"])

    @spec("XEP-0060", "7.2")
    async def test_retract(self):
        """Items are deleted once."""
        await self.store.pubsub.create(aNode())
        await self.publish("a", "b", "c")
        retract = self.store.pubsub.retract
        self.assertEqual(tuple(await retract(SERVICE, "princely_musings", ["c", "x", "a", "c"])), ("c", "a"))
        self.assertEqual(tuple(await retract(SERVICE, "princely_musings", ["c"])), ())
        self.assertEqual(await self.ids(), ["b"])

    @spec("XEP-0060", "8.5")
    async def test_purge(self):
        """All items of one node go; the node stays."""
        for node in ("princely_musings", "other"):
            await self.store.pubsub.create(aNode(node))
            await self.publish("a", "b", node=node)
        await self.store.pubsub.purge(SERVICE, "princely_musings")
        self.assertEqual(await self.ids(), [])
        self.assertEqual(await self.store.pubsub.countItems(SERVICE, "other"), 2)
        await self.publish("c")
        self.assertEqual(await self.ids(), ["c"])

    @spec("XEP-0060", "8.9")
    async def test_affiliations(self):
        """Affiliations are changed one by one, and can be listed by node and by entity."""
        for node in ("b", "a"):
            await self.store.pubsub.create(aNode(node))
        set_ = self.store.pubsub.setAffiliations
        await set_(SERVICE, "a", {ROMEO: "member", JULIET: "owner"})
        await set_(SERVICE, "a", {ROMEO: "publisher", "x@example.org": "none"})
        await set_(SERVICE, "b", {JULIET: "outcast"})
        self.assertEqual(await self.store.pubsub.affiliations(SERVICE, "a"), {ROMEO: "publisher", JULIET: "owner"})
        of = await self.store.pubsub.affiliationsOf(SERVICE, JULIET)
        self.assertEqual(list(of.items()), [("a", "owner"), ("b", "outcast")])
        self.assertEqual(await self.store.pubsub.affiliationsOf(ROMEO, JULIET), {})
        await set_(SERVICE, "a", {JULIET: "none"})
        self.assertEqual(await self.store.pubsub.affiliationsOf(SERVICE, JULIET), {"b": "outcast"})

    @spec("XEP-0060", "6")
    async def test_subscriptions(self):
        """Subscriptions are kept by JID and id, and can be listed by node and by entity with all its resources."""
        for node in ("b", "a"):
            await self.store.pubsub.create(aNode(node))
        mine = NodeSubscription(JULIET, "1", "subscribed", '{"a": 1}')
        there = NodeSubscription(JULIET + "/balcony", "1", "pending")
        twice = NodeSubscription(JULIET, "2", "unconfigured")
        other = NodeSubscription(ROMEO, "1", "subscribed")
        set_ = self.store.pubsub.setSubscription
        for each in (mine, there, twice, other):
            await set_(SERVICE, "a", each)
        await set_(SERVICE, "b", mine)
        self.assertEqual(set(await self.store.pubsub.subscriptions(SERVICE, "a")), {mine, there, twice, other})
        of = await self.store.pubsub.subscriptionsOf(SERVICE, JULIET)
        self.assertEqual(set(of), {("a", mine), ("a", there), ("a", twice), ("b", mine)})
        self.assertEqual(tuple(await self.store.pubsub.subscriptionsOf(ROMEO, JULIET)), ())
        changed = replace(mine, state="pending", options="{}")
        await set_(SERVICE, "a", changed)
        await set_(SERVICE, "a", replace(twice, state="none"))
        await set_(SERVICE, "a", NodeSubscription("x@example.org", "", "none"))
        self.assertEqual(set(await self.store.pubsub.subscriptions(SERVICE, "a")), {changed, there, other})

    async def test_size(self):
        """Nodes count with name and configuration, items with id and payload, in octets."""
        await self.store.pubsub.create(aNode("ß", config="é1"))
        self.assertEqual(await self.store.pubsub.size(SERVICE), 2 + 3)
        await self.store.pubsub.publish(SERVICE, "ß", [anItem("é", b"12345"), anItem("k", b"")], 10)
        await self.store.pubsub.publish(SERVICE, "ß", [anItem("é", b"123")], 10)
        await self.store.pubsub.configure(SERVICE, "ß", "")
        self.assertEqual(await self.store.pubsub.size(SERVICE), 2 + 0 + 2 + 3 + 1)
        self.assertEqual(await self.store.pubsub.size(JULIET), 0)

    async def test_forget(self):
        """All nodes of an owner go, and nobody else's."""
        for owner in (SERVICE, JULIET):
            await self.store.pubsub.create(aNode(owner=owner))
            await self.publish(*map(str, range(MAXIMUM_PRUNED + 1)), owner=owner, most=MAXIMUM_ITEMS)
            await self.store.pubsub.setAffiliations(owner, "princely_musings", {ROMEO: "owner"})
        await self.store.pubsub.forget(SERVICE)
        self.assertEqual(await self.store.pubsub.size(SERVICE), 0)
        self.assertEqual(await self.store.pubsub.affiliationsOf(SERVICE, ROMEO), {})
        self.assertEqual(await self.store.pubsub.countItems(JULIET, "princely_musings"), MAXIMUM_PRUNED + 1)
        self.assertEqual(await self.store.pubsub.affiliationsOf(JULIET, ROMEO), {"princely_musings": "owner"})

    async def test_forgetEntity(self):
        """Somebody's affiliations and subscriptions go everywhere, and his name; what he published stays."""
        for owner in (SERVICE, JULIET):
            await self.store.pubsub.create(aNode(owner=owner, creator=ROMEO))
            items = [anItem("1", publisher=ROMEO), anItem("2", publisher=JULIET)]
            await self.store.pubsub.publish(owner, "princely_musings", items, 2)
            await self.store.pubsub.setAffiliations(owner, "princely_musings", {ROMEO: "owner", JULIET: "member"})
            for jid in (ROMEO, ROMEO + "/r", JULIET):
                subscription = NodeSubscription(jid, "1", "subscribed")
                await self.store.pubsub.setSubscription(owner, "princely_musings", subscription)
        await self.store.pubsub.forgetEntity(ROMEO)
        for owner in (SERVICE, JULIET):
            self.assertEqual(await self.store.pubsub.get(owner, "princely_musings"), aNode(owner=owner, creator=""))
            self.assertEqual(await self.store.pubsub.affiliations(owner, "princely_musings"), {JULIET: "member"})
            subscriptions = await self.store.pubsub.subscriptions(owner, "princely_musings")
            self.assertEqual([each.jid for each in subscriptions], [JULIET])
            items = await self.store.pubsub.items(owner, "princely_musings")
            self.assertEqual([(each.id, each.publisher) for each in items], [("2", JULIET), ("1", "")])

    async def test_forgetPublisherOfMany(self):
        """Many items are told in several transactions; what is in them stays."""
        await self.store.pubsub.create(aNode(creator=JULIET))
        items = [anItem(str(n), publisher=ROMEO) for n in range(MAXIMUM_PRUNED + 1)]
        await self.store.pubsub.publish(SERVICE, "princely_musings", items, MAXIMUM_ITEMS)
        await self.store.pubsub.forgetEntity(ROMEO)
        for before in (None, str(MAXIMUM_PRUNED // 2)):
            found = await self.store.pubsub.items(SERVICE, "princely_musings", before=before)
            self.assertEqual({(each.publisher, each.payload) for each in found}, {("", b"<entry/>")})
        self.assertEqual(await self.store.pubsub.countItems(SERVICE, "princely_musings"), MAXIMUM_PRUNED + 1)

    async def test_ownerless(self):
        """Nodes without creator and owner, by name; not those of others."""
        pubsub = self.store.pubsub
        for name, creator in (("b", ROMEO), ("a", ROMEO), ("kept", JULIET), ("shared", ROMEO)):
            await pubsub.create(aNode(name, creator=creator))
            await pubsub.setAffiliations(SERVICE, name, {creator: "owner", "nurse@example.org": "member"})
        await pubsub.create(aNode("b", JULIET, creator=ROMEO))
        await pubsub.setAffiliations(SERVICE, "shared", {JULIET: "owner"})
        self.assertEqual(await pubsub.ownerless(SERVICE), ())
        await pubsub.forgetEntity(ROMEO)
        self.assertEqual(await pubsub.ownerless(SERVICE), ("a", "b"))
        self.assertEqual(await pubsub.ownerless(ROMEO), ())

    async def test_refused(self):
        """What is too long or too large is a mistake."""
        pubsub = self.store.pubsub
        large = MAXIMUM_PAYLOAD + 1
        self.assertRaises(ValueError, pubsub.create, aNode("x" * (MAXIMUM_NODE + 1)))
        self.assertRaises(ValueError, pubsub.create, aNode(owner="x" * 2100))
        self.assertRaises(ValueError, pubsub.create, aNode(creator="x" * 2100))
        self.assertRaises(ValueError, pubsub.create, aNode(config="x" * large))
        self.assertRaises(ValueError, pubsub.configure, SERVICE, "node", "x" * large)
        self.assertRaises(ValueError, pubsub.publish, SERVICE, "node", [anItem("1", bytes(large))], 1)
        options = NodeSubscription(JULIET, "", "subscribed", "x" * large)
        self.assertRaises(ValueError, pubsub.setSubscription, SERVICE, "node", options)

    async def test_longNames(self):
        """Owner, node, entity and item may have the longest names there are."""
        longest = "ü" * 511 + "l@" + "d" * 1023
        node = "n" * MAXIMUM_NODE
        await self.store.pubsub.create(aNode(node, longest, creator=longest))
        await self.store.pubsub.publish(longest, node, [anItem("i" * 10000, publisher=longest)], 1)
        await self.store.pubsub.setAffiliations(longest, node, {longest: "owner"})
        subscription = NodeSubscription(longest + "/" + "r" * 1023, "s" * 5000, "subscribed")
        await self.store.pubsub.setSubscription(longest, node, subscription)
        self.assertEqual(await self.store.pubsub.affiliationsOf(longest, longest), {node: "owner"})
        self.assertEqual(tuple(await self.store.pubsub.subscriptionsOf(longest, longest)), ((node, subscription),))
        self.assertEqual(await self.store.pubsub.countItems(longest, node), 1)


class NameStoreContract(_StoreCase):
    """L{INameStore}."""

    def record(self, name: str, owner: str = "", kind: str = "room", space: str = "rooms.example.org") -> NameRecord:
        """A name, of its own if nobody's."""
        return NameRecord(kind, space, name, owner or f"{name}@{space}")

    async def names(self, **more: Any) -> list[str]:
        """All names of rooms."""
        return [each.name for each in await self.store.nameIndex.list("room", "rooms.example.org", **more)]

    async def alike(self, name: str, **more: Any) -> list[str]:
        """Rooms that look like one."""
        return [each.name for each in await self.store.nameIndex.alike("room", "rooms.example.org", name, **more)]

    def test_interface(self):
        """It provides the interface."""
        verifyObject(INameStore, self.store.nameIndex)

    async def test_addAndFind(self):
        """Names are found by what looks like them, not by themselves, not in other kinds and spaces."""
        index = self.store.nameIndex
        records = [self.record("paypal"), self.record("paypa1"), self.record("juliet")]
        others = [self.record("PAYPAL", kind="other"), self.record("paypaI", space="rooms.example.net")]
        await index.add(records + others)
        self.assertEqual(await index.alike("room", "rooms.example.org", "раура1"), (records[1], records[0]))
        self.assertEqual(await self.alike("paypal"), ["paypa1"])
        self.assertEqual(await self.alike("раура1", limit=1), ["paypa1"])
        self.assertEqual(await self.alike("romeo"), [])

    async def test_addAgain(self):
        """A name that is added again has the new owner."""
        await self.store.nameIndex.add([self.record("cave")])
        await self.store.nameIndex.add([self.record("cave", ROMEO)])
        self.assertEqual((await self.store.nameIndex.alike("room", "rooms.example.org", "CAVE"))[0].owner, ROMEO)
        self.assertEqual(await self.names(), ["cave"])
        await self.store.nameIndex.add([])

    async def test_remove(self):
        """A name that is taken away is found no more, the others are."""
        await self.store.nameIndex.add([self.record("paypal"), self.record("paypa1")])
        for _ in range(2):
            await self.store.nameIndex.remove("room", "rooms.example.org", "paypal")
            self.assertEqual(await self.alike("раура1"), ["paypa1"])

    @spec("mission", "M2")
    async def test_claim(self):
        """A name is claimed if nobody else's looks like it or is it; who has it may claim it again."""
        index = self.store.nameIndex
        self.assertEqual(await index.claim(self.record("paypal")), ())
        self.assertEqual(await index.claim(self.record("paypal")), ())
        self.assertEqual(await index.claim(self.record("paypa1")), (self.record("paypal"),))
        self.assertEqual(await index.claim(self.record("paypal", ROMEO)), (self.record("paypal"),))
        self.assertEqual(await index.claim(self.record("paypa1", "paypal@rooms.example.org")), ())
        self.assertEqual(await self.names(), ["paypa1", "paypal"])

    @spec("mission", "M2")
    async def test_claimAtOnce(self):
        """Of several who claim look-alikes at the same time, one gets its name."""
        claims = [self.store.nameIndex.claim(self.record(name)) for name in ("paypa1", "paypal", "раура1")]
        self.assertEqual([not await claim for claim in claims], [True, False, False])
        self.assertEqual(await self.names(), ["paypa1"])

    async def test_list(self):
        """Names come in order, and in pages."""
        order = sorted(name for name in AWKWARD if len(name.encode()) <= MAXIMUM_NAME)
        await self.store.nameIndex.add([self.record(name, ROMEO) for name in reversed(order)])
        self.assertEqual(await self.names(), [name for name in order if name])
        self.assertEqual(await self.names(limit=2), order[1:3])
        self.assertEqual(await self.names(after=order[2]), order[3:])

    @spec("mission", "M8")
    async def test_groups(self):
        """What exists of look-alikes is found, group by group."""
        index = self.store.nameIndex
        await index.add([self.record(name) for name in ("paypal", "paypa1", "juliet", "burn", "bum", "romeo")])
        await index.add([self.record("Romeo", kind="other")])
        groups = await index.groups("room", "rooms.example.org")
        found = {tuple(each.name for each in names) for _, names in groups}
        self.assertEqual(found, {("paypa1", "paypal"), ("bum", "burn")})
        keys = [key for key, _ in groups]
        self.assertEqual(keys, sorted(keys))
        paged: list[Any] = []
        while page := await index.groups("room", "rooms.example.org", paged[-1][0] if paged else "", 1):
            paged += page
        self.assertEqual(tuple(paged), tuple(groups))
        parts: list[Any] = []
        for after, before in (("", "40"), ("40", "80"), ("80", "c0"), ("c0", "")):
            part = await index.groups("room", "rooms.example.org", after, 100, before)
            self.assertTrue(all(after < key < (before or "g") for key, _ in part))
            parts += part
        self.assertEqual(tuple(parts), tuple(groups))

    async def test_longNames(self):
        """Names, spaces and owners may be as long as any address."""
        longest = "ü" * 511 + "l@" + "d" * 1023
        record = NameRecord("k" * MAXIMUM_KIND, longest, "ü" * 511 + "l", longest)
        self.assertEqual(await self.store.nameIndex.claim(record), ())
        found = await self.store.nameIndex.alike(record.kind, longest, "ü" * 511 + "1")
        self.assertEqual(found, (record,))

    async def test_refused(self):
        """What is too long, or no database takes, is a mistake."""
        index = self.store.nameIndex
        bad = [self.record("x" * (MAXIMUM_NAME + 1)), self.record("x", "x" * 2100), self.record("x", space="x" * 2100)]
        for record in (*bad, *(self.record(name, ROMEO) for name in REFUSED), self.record("x", kind="x" * 300)):
            self.assertRaises(ValueError, index.add, [record])
            self.assertRaises(ValueError, index.claim, record)
        self.assertRaises(ValueError, index.alike, "room", "rooms.example.org", "a\0b")
