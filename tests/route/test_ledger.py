"""Tests of L{xmppd.route.ledger}."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from tests import contracts
from tests.doubles import FailingStore, Rig
from tests.marks import spec
from xmppd.ixmppd import (
    Departure,
    Exists,
    ILedger,
    IStore,
    ManagedSessionRecord,
    Missing,
    NameRecord,
    NodeItem,
    NodeRecord,
    NodeSubscription,
    RosterItem,
    SpooledMessage,
    StoreUnavailable,
)
from xmppd.route.effects import RULES, Free, Reads, Writes
from xmppd.route.ledger import GONE, KIND, Ledger
from xmppd.store.memory import MemoryStore
from xmppd.wire.errors import StanzaCondition, StanzaError

GUEST = "11111111-1111-4111-8111-111111111111@example.org"
JULIET = "juliet@example.org"
SERVICE = "pubsub.example.org"


class Counting:
    """Counts what is asked of a store."""

    def __init__(self, store: Any) -> None:
        self.asked: list[str] = []
        for name in RULES:
            setattr(self, name, _CountingPart(getattr(store, name), name, self.asked))
        self._store = store

    def forget(self, owner: str) -> Any:
        """See L{IStore}."""
        self.asked.append("forget")
        return self._store.forget(owner)

    def open(self) -> Any:
        """See L{IStore}."""
        return self._store.open()

    def close(self) -> Any:
        """See L{IStore}."""
        return self._store.close()


class _CountingPart:
    def __init__(self, part: Any, name: str, asked: list[str]) -> None:
        self._part, self._name, self._asked = part, name, asked

    def __getattr__(self, operation: str) -> Any:
        method = getattr(self._part, operation)

        def call(*arguments: Any, **named: Any) -> Any:
            self._asked.append(f"{self._name}.{operation}")
            return method(*arguments, **named)

        return call


@spec("mission", "A7", "A8")
class RulesTests(SynchronousTestCase):
    """Every operation of every store is in the table."""

    def test_complete(self) -> None:
        """No store and no operation is missing, and none is there that doesn't exist."""
        stores = {name for name in IStore.names() if name not in ("open", "close", "forget")}
        self.assertEqual(set(RULES), stores)
        for name, (interface, rules) in RULES.items():
            self.assertEqual(set(rules), set(interface.names()), name)

    def test_kinds(self) -> None:
        """Whatever adds something of somebody is a write; what is exempt says why."""
        adding = ("add", "put", "set", "save", "create", "publish", "configure", "replaceAll", "rename", "acknowledge")
        for name, (_, rules) in RULES.items():
            for operation, rule in rules.items():
                if operation.startswith(adding):
                    self.assertIsInstance(rule, Writes, f"{name}.{operation}")
                self.assertIsInstance(rule, Reads | Writes | Free)
                self.assertTrue(not isinstance(rule, Free) or rule.why)

    def test_missing(self) -> None:
        """An operation without a rule stops the start-up."""
        interface, rules = RULES["facts"]
        less = {operation: rule for operation, rule in rules.items() if operation != "put"}
        self.patch(__import__("xmppd.route.ledger", fromlist=["RULES"]), "RULES", {**RULES, "facts": (interface, less)})
        self.assertRaises(NotImplementedError, Ledger, MemoryStore(), Clock())

    def test_everyWriteIsUndone(self) -> None:
        """Whatever can be written for a guest is noted first, and no trace of the guest is left when it has gone."""
        examples = everyWrite()
        writes = {(name, key) for name in RULES for key, rule in RULES[name][1].items() if isinstance(rule, Writes)}
        self.assertEqual({(name, operation) for name, operation, _ in examples} | {("accounts", "create")}, writes)
        for name, operation, arguments in examples:
            rig = Rig()
            self.successResultOf(rig.store.accounts.create(JULIET, [], 1.0))
            self.successResultOf(rig.store.pubsub.create(NodeRecord(SERVICE, "n", "{}", "", 1.0)))
            session, _ = rig.bind(GUEST + "/web", guest=True)
            undoing = {"rosters": self.fromRosters, "archives": lambda rig: rig.store.archives.forget("room@r")}
            if name in undoing:
                rig.host.hooks.farewell.addObserver(lambda departure, undo=undoing[name], rig=rig: undo(rig))
            order: list[str] = []
            self.watch(rig, name, operation, order)
            getattr(getattr(rig.host, name), operation)(*arguments).addErrback(lambda failure: failure.trap(Missing))
            self.assertEqual(order[:2], ["ledger", "write"], f"{name}.{operation}")
            session.end()
            self.assertFalse(mentions(rig.store, GUEST), f"{name}.{operation}")

    def fromRosters(self, rig: Rig) -> None:
        """What the feature with the rosters does."""
        self.successResultOf(rig.store.rosters.expunge(JULIET, GUEST))

    def watch(self, rig: Rig, name: str, operation: str, order: list[str]) -> None:
        """Note the order of the ledger's row and of a write."""
        put = rig.store.facts.put

        def putting(owner: str, kind: str, *arguments: Any) -> Any:
            order.append("ledger" if kind == KIND else "write")
            return put(owner, kind, *arguments)

        self.patch(rig.store.facts, "put", putting)
        if (name, operation) != ("facts", "put"):
            write = getattr(getattr(rig.store, name), operation)

            def writing(*arguments: Any) -> Any:
                order.append("write")
                return write(*arguments)

            self.patch(getattr(rig.store, name), operation, writing)


def mentions(thing: Any, text: str) -> bool:
    """Whether a text is anywhere in what an object holds."""
    seen: set[int] = set()
    waiting = [thing]
    while waiting:
        each = waiting.pop()
        if isinstance(each, str | bytes):
            if (text if isinstance(each, str) else text.encode()) in each:
                return True
        elif id(each) not in seen and not callable(each):
            seen.add(id(each))
            slots = [name for kind in type(each).__mro__ for name in getattr(kind, "__slots__", ())]
            waiting += [getattr(each, name, None) for name in slots] + list(getattr(each, "__dict__", {}).values())
            if isinstance(each, dict):
                waiting += [*each.keys(), *each.values()]
            elif isinstance(each, list | tuple | set | frozenset):
                waiting += list(each)
    return False


def everyWrite() -> list[tuple[str, str, tuple[Any, ...]]]:
    """An example of each operation that is a write, with something of the guest."""
    message = SpooledMessage(GUEST, b"<message/>", 1.0)
    session = ManagedSessionRecord("token", GUEST + "/web", 0, 0, 1.0)
    archived = contracts.archived(1, "room@r", "room@r/n", sender=GUEST)
    subscription = NodeSubscription(GUEST, "1", "subscribed")
    return [
        ("nameIndex", "add", ([NameRecord("nickname", "room@r", "n", GUEST)],)),
        ("nameIndex", "claim", (NameRecord("nickname", "room@r", "n", GUEST),)),
        ("accounts", "setKeys", (GUEST, [])),
        ("accounts", "addKeys", (GUEST, contracts.someKeys("sha1"), contracts.someKeys())),
        ("accounts", "setDisabled", (GUEST, True)),
        ("accounts", "setLastActivity", (GUEST, 1.0, "")),
        ("rosters", "put", (GUEST, RosterItem(JULIET))),
        ("rosters", "put", (JULIET, RosterItem(GUEST))),
        ("rosters", "putMany", (GUEST, [RosterItem(JULIET)])),
        ("spool", "add", ([message],)),
        ("spool", "saveSession", (session,)),
        ("spool", "acknowledge", ("token", 1, [message])),
        ("spool", "renameSession", ("old", session)),
        ("facts", "put", (GUEST, "private", "", b"x")),
        ("facts", "put", ("room@rooms.example.org", "room-affiliation", GUEST, b"x")),
        ("facts", "putNew", (GUEST, "private", "", b"x")),
        ("facts", "replaceAll", (GUEST, "private", {"": b"x"})),
        ("archives", "add", ([archived],)),
        ("pubsub", "create", (NodeRecord(GUEST, "new", "{}", GUEST, 1.0),)),
        ("pubsub", "configure", (GUEST, "own", "{}")),
        ("pubsub", "publish", (SERVICE, "n", [NodeItem("1", b"", GUEST, 1.0)], 10)),
        ("pubsub", "setAffiliations", (SERVICE, "n", {GUEST: "publisher"})),
        ("pubsub", "setSubscription", (SERVICE, "n", subscription)),
    ]


@spec("mission", "A7", "A8")
class LedgerTests(SynchronousTestCase):
    """Guests come, write, and go."""

    def setUp(self) -> None:
        self.store = FailingStore()
        self.rig = Rig(store=self.store)
        self.host = self.rig.host
        self.ledger = self.host.ledger
        self.heard: list[Departure] = []
        self.removed: list[str] = []
        self.host.hooks.farewell.addObserver(self.heard.append)
        self.host.hooks.removed.addObserver(self.removed.append)

    def rows(self) -> dict[str, bytes]:
        """The ledger of the guest."""
        return dict(self.successResultOf(self.store.facts.all(GUEST, KIND)))

    def put(self, owner: str = GUEST, key: str = "") -> Deferred[Any]:
        """Write a fact."""
        return self.host.facts.put(owner, "private", key, b"x")

    def test_provides(self) -> None:
        """It provides its interfaces."""
        verifyObject(ILedger, self.ledger)
        verifyObject(IStore, self.ledger)

    def test_first(self) -> None:
        """The row is committed before the first write begins, and stands for all that follow."""
        self.rig.bind(GUEST + "/web", guest=True)
        self.store.holding = True
        done = self.put()
        self.assertNoResult(done)
        self.store.proceed()
        self.successResultOf(done)
        self.assertEqual(self.rows(), {"": b"1000000000"})
        self.successResultOf(self.put(key="2"))
        self.assertEqual(len(self.rows()), 1)

    def test_refused(self) -> None:
        """If the row can't be written, neither is anything else; the next write tries again."""
        self.rig.bind(GUEST + "/web", guest=True)
        self.store.failWrites = 1
        self.failureResultOf(self.put(), StoreUnavailable)
        self.assertEqual(self.successResultOf(self.store.facts.kinds(GUEST)), {})
        self.successResultOf(self.put())
        self.assertEqual(self.successResultOf(self.store.facts.kinds(GUEST)), {KIND: 1, "private": 1})

    def test_severalWait(self) -> None:
        """Writes that wait for one row go on in their order, or fail together."""
        self.rig.bind(GUEST + "/web", guest=True)
        self.store.holding = True
        order: list[int] = []
        for number in range(3):
            self.put(key=str(number)).addCallback(lambda _, number=number: order.append(number))
        self.store.proceed()
        self.assertEqual(order, [0, 1, 2])

    def test_nothing(self) -> None:
        """A guest that leaves nothing costs no access to the store, neither coming nor going."""
        counting = Counting(MemoryStore())
        rig = Rig(store=counting)  # type: ignore[arg-type]
        session, _ = rig.bind(GUEST + "/web", guest=True)
        self.assertEqual(self.successResultOf(rig.host.facts.all(GUEST, "private")), {})
        self.assertEqual(self.successResultOf(rig.host.rosters.get(GUEST)).items, ())
        session.end()
        self.assertEqual(counting.asked, [])
        self.assertFalse(rig.host.ledger.knows(GUEST))

    def test_undone(self) -> None:
        """Features take leave while everything is still there; then all of it goes, and those who cache hear of it."""
        session, _ = self.rig.bind(GUEST + "/web", guest=True)
        self.put()
        self.host.rosters.put(JULIET, RosterItem(GUEST))
        kinds: list[Any] = []
        self.host.hooks.farewell.addObserver(
            lambda departure: kinds.append(self.successResultOf(self.host.facts.kinds(GUEST)))
        )
        session.end()
        self.assertEqual(self.heard, [Departure(GUEST, frozenset({("roster", JULIET)}))])
        self.assertEqual(self.heard[0].at("roster"), [(JULIET,)])
        self.assertEqual(self.host.presence.dissolved, self.heard)  # type: ignore[attr-defined]
        self.assertEqual(kinds, [{KIND: 2, "private": 1}])
        self.assertEqual(self.successResultOf(self.store.facts.kinds(GUEST)), {})
        self.assertEqual(self.removed, [GUEST])

    def test_lastSession(self) -> None:
        """A guest has gone when the last of its sessions has."""
        one, _ = self.rig.bind(GUEST + "/1", guest=True)
        other, _ = self.rig.bind(GUEST + "/2", guest=True)
        self.put()
        one.end()
        self.assertEqual(self.heard, [])
        other.end()
        self.assertEqual(len(self.heard), 1)

    def test_replaced(self) -> None:
        """A guest that comes back and replaces its only session hasn't gone meanwhile."""
        one, _ = self.rig.bind(GUEST + "/web", guest=True)
        self.put()
        other, _ = self.rig.bind(GUEST + "/web", guest=True)
        self.assertTrue(one.over)
        self.assertEqual((self.heard, self.ledger.isGone(GUEST)), ([], False))
        self.successResultOf(self.put())
        other.end()
        self.assertEqual(len(self.heard), 1)

    def test_notBound(self) -> None:
        """Who can't be bound leaves nothing in memory either."""
        self.host.hooks.binding.addRefusal(lambda stream, resource: StanzaError(StanzaCondition.NOT_ALLOWED))
        self.assertRaises(StanzaError, self.rig.bind, GUEST + "/web", guest=True)
        self.assertFalse(self.ledger.knows(GUEST))

    def test_endedAtOnce(self) -> None:
        """A session that is ended while it is bound is a departure."""
        self.host.hooks.bound.addObserver(lambda session: session.end())
        self.rig.bind(GUEST + "/web", guest=True)
        self.assertFalse(self.ledger.knows(GUEST))

    def test_taken(self) -> None:
        """While a guest is being undone nobody gets its name, and for a while after."""
        session, _ = self.rig.bind(GUEST + "/web", guest=True)
        self.put()
        self.store.failWrites = True
        session.end()
        self.assertTrue(self.ledger.knows(GUEST) and self.ledger.isGone(GUEST))
        self.failureResultOf(self.host.accounts.create(GUEST, [], 1.0), Exists)
        self.assertRaises(StanzaError, self.rig.bind, GUEST + "/web", guest=True)
        self.assertFalse(self.successResultOf(self.host.exists(GUEST)))
        self.store.failWrites = False
        self.rig.clock.advance(1)
        self.assertFalse(self.ledger.knows(GUEST))
        self.assertTrue(self.ledger.isGone(GUEST))
        self.assertEqual(self.successResultOf(self.store.facts.kinds(GUEST)), {})

    def test_again(self) -> None:
        """What the store refuses is tried again; leave is taken twice."""
        session, _ = self.rig.bind(GUEST + "/web", guest=True)
        self.put()
        self.store.failWrites = 2
        session.end()
        self.rig.clock.pump([1, 2])
        self.assertEqual(len(self.heard), 3)
        self.assertEqual(self.successResultOf(self.store.facts.kinds(GUEST)), {})

    def test_late(self) -> None:
        """What comes too late for a guest is not kept; what others say of it is theirs."""
        session, _ = self.rig.bind(GUEST + "/web", guest=True)
        self.put()
        session.end()
        self.failureResultOf(self.put(), StoreUnavailable)
        self.successResultOf(self.host.rosters.put(JULIET, RosterItem(GUEST)))
        self.assertEqual(self.successResultOf(self.store.facts.kinds(GUEST)), {})

    def test_lateWords(self) -> None:
        """What a guest said in a room is archived without its name if it has gone before."""
        session, _ = self.rig.bind(GUEST + "/web", guest=True)
        session.end()
        self.successResultOf(self.host.archives.add([contracts.archived(1, "room@r", sender=GUEST)]))
        first, _ = self.successResultOf(self.store.archives.ends("room@r"))
        self.assertEqual(first.sender, "")

    def test_notedMeanwhile(self) -> None:
        """Somebody who names the guest while leave is taken is visited too."""
        session, _ = self.rig.bind(GUEST + "/web", guest=True)
        self.put()

        def adding(departure: Departure) -> None:
            if not departure.places:
                self.host.rosters.put(JULIET, RosterItem(GUEST))

        self.host.hooks.farewell.addObserver(adding)
        session.end()
        self.assertEqual([each.places for each in self.heard], [frozenset(), frozenset({("roster", JULIET)})])

    def test_mistake(self) -> None:
        """A mistake of one feature keeps nobody else from taking leave."""
        session, _ = self.rig.bind(GUEST + "/web", guest=True)
        self.put()
        self.host.hooks.farewell.observe = (lambda departure: 1 // 0, *self.host.hooks.farewell.observe)
        session.end()
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.assertEqual((len(self.heard), self.removed), (1, [GUEST]))

    def test_ourMistake(self) -> None:
        """If deleting fails for another reason than the store's, that is logged, and the server can stop."""
        session, _ = self.rig.bind(GUEST + "/web", guest=True)
        self.put()
        self.patch(self.store, "forget", lambda owner: 1 // 0)
        session.end()
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.successResultOf(self.ledger.stop())
        self.assertTrue(self.ledger.knows(GUEST))

    def test_accountOfTheName(self) -> None:
        """Nothing is kept for a guest whose name an account has; what is undone would be that account's."""
        self.successResultOf(self.store.accounts.create(GUEST, [], 1.0))
        self.rig.bind(GUEST + "/web", guest=True)
        self.failureResultOf(self.put(), StoreUnavailable)

    def test_note(self) -> None:
        """What the ledger doesn't see can be noted, and costs others nothing."""
        self.successResultOf(self.ledger.note(JULIET))
        session, _ = self.rig.bind(GUEST + "/web", guest=True)
        self.successResultOf(self.ledger.note(GUEST))
        self.assertEqual(list(self.rows()), [""])
        session.end()
        self.failureResultOf(self.ledger.note(GUEST), StoreUnavailable)

    def test_bounded(self) -> None:
        """Of those who have gone so many are remembered."""
        for number in range(GONE + 1):
            bare = f"{number}@example.org"
            self.ledger.arrived(bare, self.host)
            self.ledger.settled(bare)
            self.ledger.departed(bare)
        self.assertEqual([self.ledger.isGone(f"{number}@example.org") for number in (0, 1)], [False, True])


@spec("mission", "A7", "A8")
class StartTests(SynchronousTestCase):
    """After a crash."""

    def setUp(self) -> None:
        self.store = FailingStore()
        first = Rig(store=self.store)
        first.bind(GUEST + "/web", guest=True)
        first.host.facts.put(GUEST, "private", "", b"x")
        first.host.rosters.put(JULIET, RosterItem(GUEST))
        self.rig = Rig(store=self.store)
        self.heard: list[Departure] = []
        self.rig.host.hooks.farewell.addObserver(self.heard.append)

    def test_undone(self) -> None:
        """What a server that was killed has left is undone at the next start."""
        self.successResultOf(self.rig.host.ledger.undoLeft())
        self.assertEqual(self.heard, [Departure(GUEST, frozenset({("roster", JULIET)}), True, True)])
        self.assertEqual(self.successResultOf(self.store.facts.kinds(GUEST)), {})
        self.successResultOf(self.rig.host.ledger.undoLeft())
        self.assertEqual(len(self.heard), 1)

    def test_midway(self) -> None:
        """A crash while something is undone leaves the ledger, and the next start goes on."""
        self.store.failWrites = True
        self.failureResultOf(self.rig.host.ledger.undoLeft(), StoreUnavailable)
        self.store.failWrites = False
        third = Rig(store=self.store)
        self.successResultOf(third.host.ledger.undoLeft())
        self.assertEqual(self.successResultOf(self.store.facts.kinds(GUEST)), {})

    def test_account(self) -> None:
        """An account that was being removed is removed, and is no guest."""
        self.successResultOf(self.store.accounts.create(JULIET, [], 1.0))
        self.successResultOf(self.rig.host.ledger.leaves(JULIET))
        self.successResultOf(self.rig.host.ledger.undoLeft())
        self.assertEqual({each.bare: each.guest for each in self.heard}, {GUEST: True, JULIET: False})
        self.assertIsNone(self.successResultOf(self.store.accounts.get(JULIET)))

    def test_stop(self) -> None:
        """A server that stops tries once more, and leaves to the next start what the store refuses."""
        other = "22222222-2222-4222-8222-222222222222@example.org"
        session, _ = self.rig.bind(other + "/web", guest=True)
        self.rig.host.facts.put(other, "private", "", b"x")
        self.store.failWrites = True
        session.end()
        stopped = self.rig.host.ledger.stop()
        self.successResultOf(stopped)
        self.assertEqual(self.rig.clock.getDelayedCalls(), [])
        self.assertEqual(len([each for each in self.heard if each.bare == other]), 2)
        self.store.failWrites = False
        third = Rig(store=self.store)
        self.successResultOf(third.host.ledger.undoLeft())
        self.assertEqual(self.successResultOf(self.store.facts.kinds(other)), {})
