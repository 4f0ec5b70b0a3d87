"""
The order of messages in the store (RFC 6120 section 10.1): where it refuses for a while, and where sessions end.
"""

from __future__ import annotations

import random
import re
from typing import Any

from twisted.internet.defer import Deferred, fail

from tests.features.xep0198_sm import rigging
from tests.features.xep0198_sm.rigging import ManagementTestCase, body
from tests.marks import spec
from xmppd.config import Limits
from xmppd.features import xep0160_offline
from xmppd.ixmppd import StoreUnavailable
from xmppd.wire.stanza import fromBytes

ROMEO = "romeo@example.org/orchard"
JULIET = "juliet@example.org/balcony"
BARE = "juliet@example.org"

SEEDS = 25
"""How many courses are tried of what is left to chance."""


class OrderTestCase(ManagementTestCase):
    """Romeo writes to Juliet."""

    limits = Limits(managementSeconds=300)
    managed = True

    def setUp(self) -> None:
        super().setUp()
        self.romeo = self.client(ROMEO, available=False)
        self.juliet = self.client(JULIET, managed=self.managed)

    def stored(self) -> list[str]:
        """The bodies of all messages in the store, in its order."""
        messages = self.store._store.spool._messages.values()
        return [body(fromBytes(each.stanza)) for each in sorted(messages, key=lambda each: each.id)]

    def inject(self, text: str) -> None:
        """Somebody elsewhere writes, who was promised nothing."""
        self.rig.inject(
            f"<message from='x@example.net/y' to='{JULIET}' type='chat'><body>{text}</body></message>".encode()
        )

    def delayedAdds(self) -> list[Deferred[None]]:
        """Let what is added to the spool wait from now on, each for a Deferred."""
        waiting: list[Deferred[None]] = []
        add = self.store.spool.add

        def later(messages: Any) -> Deferred[Any]:
            waiting.append(Deferred())
            return waiting[-1].addCallback(lambda _: add(messages))

        self.store.spool.add = later
        return waiting


@spec("RFC 6120", "10.1")
class RefusalTests(OrderTestCase):
    """The disk is full for a while; the recipient hibernates."""

    def test_beforeTheSenderTriesAgain(self) -> None:
        """What comes when the disk works again does not overtake what its sender still waits for."""
        self.juliet.cut()
        self.store.failWrites = True
        self.romeo.say(JULIET, "a")
        self.romeo.ask()
        self.store.failWrites = 0
        self.romeo.say(JULIET, "b")
        self.turns(20, 1.0)
        self.assertEqual(self.stored(), ["a", "b"])
        self.assertEqual(self.romeo.acked(), 2)

    def test_nobodyAsks(self) -> None:
        """Nor what a sender has sent who was promised nothing."""
        self.juliet.cut()
        self.store.failWrites = 1
        for text in "abc":
            self.inject(text)
        self.turns(20, 1.0)
        self.assertEqual(self.stored(), ["a", "b", "c"])

    def test_refused(self) -> None:
        """Of what was refused and is kept all the same, nothing comes behind a later message."""
        self.juliet.cut()
        self.store.failWrites = True
        self.romeo.say(JULIET, "a")
        self.romeo.ask()
        self.turns(11, 1.0)
        self.assertEqual([error.id for error in self.romeo.take()], ["a"])
        self.store.failWrites = 0
        self.romeo.say(JULIET, "b")
        self.romeo.ask()
        self.turns(20, 1.0)
        self.assertEqual(self.stored(), ["a", "b"])

    def test_refusedWhileConnected(self) -> None:
        """Also if the recipient loses its connection only after that."""
        self.store.failWrites = True
        self.romeo.say(JULIET, "a")
        self.romeo.ask()
        self.turns(11, 1.0)
        self.store.failWrites = 0
        self.romeo.say(JULIET, "b")
        self.romeo.ask()
        self.juliet.cut()
        self.turns(20, 1.0)
        self.assertEqual(self.stored(), ["a", "b"])

    def test_oneWriteAtATime(self) -> None:
        """A write that fails while a later message comes takes that along."""
        self.juliet.cut()
        add, first = self.store.spool.add, Deferred[None]()
        self.store.spool.add = lambda messages: first.addCallback(lambda _: fail(StoreUnavailable()))
        self.inject("a")
        self.store.spool.add = add
        self.inject("b")
        self.assertEqual(self.stored(), [])
        first.callback(None)
        self.turns(6, 1.0)
        self.assertEqual(self.stored(), ["a", "b"])

    def test_otherWrites(self) -> None:
        """What came during a write that succeeds is written at once; its sender is answered when that is done."""
        self.juliet.cut()
        writes = self.delayedAdds()
        for text in "abc":
            self.romeo.say(JULIET, text)
        self.romeo.ask()
        self.assertEqual(len(writes), 1)
        writes[0].callback(None)
        self.turns()
        self.assertEqual((self.stored(), self.romeo.acked()), (["a"], None))
        writes[1].callback(None)
        self.turns()
        self.assertEqual((self.stored(), self.romeo.acked(), len(writes)), (["a", "b", "c"], 3, 2))

    def test_acknowledgedMeanwhile(self) -> None:
        """What the client has got by then is not written any more."""
        self.juliet.cut()
        writes = self.delayedAdds()
        self.inject("a")
        self.inject("b")
        self.juliet.resume()
        self.juliet.ack()
        writes[0].callback(None)
        self.turns()
        self.assertEqual((self.stored(), len(writes)), ([], 1))

    def test_mistake(self) -> None:
        """A write that fails by a mistake of ours does not keep others from being written."""
        self.juliet.cut()
        add = self.store.spool.add
        self.store.spool.add = lambda messages: 1 / 0
        self.inject("a")
        self.store.spool.add = add
        self.inject("b")
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.assertEqual(self.stored(), ["b"])

    def test_withoutResumption(self) -> None:
        """Of a client that can't resume only what was promised is written, and that in order."""
        self.juliet.session.end()
        self.juliet = self.client(JULIET, available=False)
        self.juliet.session.end()
        self.turns()
        juliet = self.client(JULIET, managed=False)
        juliet.enable("")
        self.store.failWrites = True
        self.inject("0")
        self.romeo.say(JULIET, "a")
        self.romeo.ask()
        self.turns(11, 1.0)
        self.store.failWrites = 0
        self.romeo.say(JULIET, "b")
        self.romeo.ask()
        self.turns(10, 0.1)
        self.assertEqual(self.stored(), ["0", "a", "b"])
        juliet.ack(0)
        juliet.ack(3 + len([stanza for stanza in juliet.got if stanza.kind != "message"]))
        self.turns(20, 1.0)
        self.assertFalse(juliet.management.line())

    def test_any(self) -> None:
        """
        Connections that break, a disk that refuses now and then, and a crash at the end: what is left arrives in the
        order in which it was sent, and all that was acknowledged and not refused arrives.
        """
        for seed in range(2 * SEEDS):
            self.setUp()
            self._random(random.Random(seed))

    def _refused(self) -> set[str]:
        """What Romeo has got an error for; he acknowledges that."""
        taken = self.romeo.take()
        self.romeo.ack()
        return {str(stanza.id) for stanza in taken if stanza.type == "error"}

    def _random(self, dice: random.Random) -> None:
        said: list[str] = []
        refused: set[str] = set()
        for step in range(80):
            what = dice.random()
            if what < 0.4:
                said.append(f"m{step}")
                self.romeo.say(JULIET, said[-1])
            elif what < 0.55:
                self.romeo.ask()
            elif what < 0.7:
                self.store.failWrites = dice.choice((0, 0, 1, 2, True))
            elif what < 0.75 and self.juliet.stream.session is not None:
                self.juliet.cut()
            elif what < 0.8:
                self.store.failWrites = 0
                if self.juliet.stream.session is None:
                    self.juliet.resume()
                    self.turns(12, 1.0)
                    self.assertIn(b"<resumed", self.juliet.stream.written[0])
                    self.juliet.session = self.juliet.stream.session
                    self.juliet.ack()
            else:
                self.turns(dice.randint(1, 8), dice.choice((0.001, 0.5, 1.0)))
            refused |= self._refused()
        self.store.failWrites = 0
        self.turns(40, 0.5)
        self.romeo.ask()
        self.turns(40, 0.5)
        refused |= self._refused()
        self.assertEqual(self.romeo.acked(), len(said))
        self.juliet.stream.session = None
        self.kill()
        self.juliet.resume()
        self.juliet.take()
        arrived = [body(stanza) for stanza in self.juliet.got if stanza.kind == "message"]
        self.assertEqual(set(said) - refused - set(arrived), set())
        self.assertEqual(list(dict.fromkeys(arrived)), [text for text in said if text in arrived])


@spec("RFC 6120", "10.1")
class EndTests(OrderTestCase):
    """What is on the way when a session without stream management ends, before what comes for the account then."""

    managed = False

    def test_lost(self) -> None:
        """It is written at once."""
        self.juliet.stream.queued = 100
        self.romeo.say(JULIET, "a")
        self.juliet.cut()
        self.romeo.say(BARE, "b")
        self.assertEqual(self.stored(), ["a", "b"])
        self.romeo.ask()
        self.assertEqual(self.romeo.acked(), 2)
        self.assertEqual(self.offlineBodies(BARE), ["a", "b"])

    def test_crash(self) -> None:
        """So that no later message is there after a crash, and this one is not."""
        self.juliet.stream.queued = 100
        self.romeo.say(JULIET, "a")
        self.juliet.cut()
        self.romeo.say(BARE, "b")
        self.kill()
        self.assertEqual(self.offlineBodies(BARE), ["a", "b"])

    def test_someAreStored(self) -> None:
        """Behind what is written already."""
        self.juliet.stream.queued = 100
        self.romeo.say(JULIET, "a")
        self.romeo.ask()
        self.romeo.say(JULIET, "b")
        self.juliet.cut()
        self.romeo.say(BARE, "c")
        self.romeo.ask()
        self.assertEqual(self.offlineBodies(BARE), ["a", "b", "c"])

    def test_beingStored(self) -> None:
        """Once, if it was being written for its sender just then."""
        self.juliet.stream.queued = 100
        self.romeo.say(JULIET, "a")
        self.store.holding = True
        self.romeo.ask()
        self.juliet.cut()
        self.romeo.say(BARE, "b")
        self.store.proceed()
        self.turns()
        self.assertEqual(self.offlineBodies(BARE), ["a", "b"])

    def test_loginWaits(self) -> None:
        """Who logs in next waits for the write."""
        self.juliet.stream.queued = 100
        self.romeo.say(JULIET, "a")
        writes = self.delayedAdds()
        self.juliet.cut()
        bound = self.rig.host.bind(self.stream(JULIET), "balcony")
        self.turns()
        self.assertNoResult(bound)
        writes[0].callback(None)
        self.turns()
        self.successResultOf(bound)
        self.assertEqual(self.offlineBodies(BARE), ["a"])

    def test_refused(self) -> None:
        """If it can't be written its sender is told, like of everything for somebody who is away."""
        self.juliet.stream.queued = 100
        self.romeo.say(JULIET, "a")
        self.store.failWrites = True
        self.juliet.cut()
        self.store.failWrites = 0
        self.romeo.say(BARE, "b")
        self.romeo.ask()
        (error,) = self.romeo.take()
        self.assertEqual((error.id, error.type), ("a", "error"))
        self.assertIn(b"<error type='wait'><resource-constraint", error.raw)
        self.assertEqual((self.romeo.acked(), self.offlineBodies(BARE)), (2, ["b"]))

    def test_refusedBefore(self) -> None:
        """What was refused to its sender while it was on the way does not come behind later messages."""
        self.juliet.stream.queued = 100
        self.store.failWrites = True
        self.romeo.say(JULIET, "a")
        self.romeo.ask()
        self.turns(11, 1.0)
        self.store.failWrites = 0
        self.romeo.say(JULIET, "b")
        self.romeo.ask()
        self.juliet.cut()
        self.romeo.say(BARE, "c")
        self.assertEqual(self.offlineBodies(BARE), ["a", "b", "c"])

    def test_mistake(self) -> None:
        """A mistake of ours is logged, and its sender is told; nobody waits for ever."""
        self.juliet.stream.queued = 100
        self.romeo.say(JULIET, "a")
        add = self.store.spool.add
        self.store.spool.add = lambda messages: 1 / 0
        self.juliet.cut()
        self.store.spool.add = add
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.romeo.ask()
        self.assertEqual(self.romeo.acked(), 1)
        self.assertEqual([stanza.type for stanza in self.romeo.take()], ["error"])
        self.client(JULIET, managed=False)

    def test_notAvailable(self) -> None:
        """A session that takes no messages for the account has what is on its way stored before such a one."""
        self.juliet.send(b"<presence type='unavailable'/>")
        self.juliet.stream.queued = 100
        self.inject("x")
        self.romeo.say(JULIET, "a")
        self.romeo.say(BARE, "b")
        self.assertEqual(self.stored(), ["a", "b"])
        self.romeo.ask()
        self.assertEqual(self.stored(), ["a", "b"])
        self.juliet.stream.queued = 0
        self.advance(6)
        self.assertEqual(self.stored(), ["b"])


@spec("RFC 6120", "10.1")
class NotAvailableTests(OrderTestCase):
    """A session with stream management that takes no messages for the account."""

    def test_stored(self) -> None:
        """What it has not acknowledged of a sender is stored before what comes from him for the account."""
        self.juliet.send(b"<presence type='unavailable'/>")
        self.inject("x")
        self.romeo.say(JULIET, "a")
        self.romeo.say(BARE, "b")
        self.assertEqual(self.stored(), ["a", "b"])
        self.juliet.ack()
        self.assertEqual(self.stored(), ["b"])

    def test_acknowledged(self) -> None:
        """Nothing is, if it has."""
        self.juliet.send(b"<presence type='unavailable'/>")
        self.romeo.say(JULIET, "a")
        self.juliet.ack()
        self.romeo.say(BARE, "b")
        self.assertEqual(self.stored(), ["b"])


class Writer:
    """
    The spool of a store whose disk is slow: what is to be written is written when it is its turn, or never.

    @ivar lagging: whether writes wait.
    """

    WRITES = frozenset(
        "add remove release hold saveSession acknowledge removeSession renameSession releaseUnheld".split()
    )

    def __init__(self, spool: Any) -> None:
        self.lagging = False
        self._spool = spool
        self._jobs: list[tuple[Any, tuple[Any, ...], Deferred[Any]]] = []

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._spool, name)
        return (lambda *arguments: self._submit(method, arguments)) if name in self.WRITES else method

    def _submit(self, method: Any, arguments: tuple[Any, ...]) -> Deferred[Any]:
        done: Deferred[Any] = Deferred()
        self._jobs.append((method, tuple(list(each) if isinstance(each, map) else each for each in arguments), done))
        if not self.lagging:
            self.write()
        return done

    def write(self, most: int | None = None) -> None:
        """Write the next ones, all of them by default."""
        while self._jobs and most != 0:
            method, arguments, done = self._jobs.pop(0)
            method(*arguments).chainDeferred(done)
            most = None if most is None else most - 1


@spec("RFC 6120", "10.1")
class AnewTests(ManagementTestCase):
    """Sessions of the recipient end and begin anew, and the server is killed."""

    limits = Limits(managementSeconds=300)

    def setUp(self) -> None:
        self.patch(rigging, "offline", xep0160_offline.feature)
        super().setUp()

    def start(self, seconds: float = 0.0) -> None:
        """See L{ManagementTestCase}."""
        self.writer = self.store.spool = Writer(self.store._store.spool)
        super().start(seconds)

    def test_plain(self) -> None:
        """Of a client without stream management."""
        self._seeds("")

    def test_unresumable(self) -> None:
        """Of a client that acknowledges and never resumes."""
        self._seeds("<enable xmlns='urn:xmpp:sm:3'/>")

    def test_forgetful(self) -> None:
        """Of a client that resumes half of the time, and begins a new session otherwise."""
        self._seeds("<enable xmlns='urn:xmpp:sm:3' resume='true'/>")

    def test_forgetfulInPortions(self) -> None:
        """And gets its offline messages a few at a time."""
        self.patch(xep0160_offline, "PORTION", 2)
        self._seeds("<enable xmlns='urn:xmpp:sm:3' resume='true'/>")

    def _seeds(self, enable: str) -> None:
        for seed in range(SEEDS):
            self.setUp()
            self._random(random.Random(seed), enable.encode())

    def _login(self, enable: bytes, resume: bool) -> None:
        """Juliet comes back, one way or the other."""
        stream = self.stream(JULIET)
        token, self.token = self.token, None
        if token and resume:
            self.negotiate(stream, f"<resume xmlns='urn:xmpp:sm:3' previd='{token}' h='{self.count}'/>".encode())
            self.turns(20, 0.3)
            if stream.session is not None:
                self.here, self.token = stream, token
                self.rig.send(stream.session, b"<presence/>")
                return
            stream = self.stream(JULIET)
        bound = self.rig.host.bind(stream, "balcony")
        self.turns(20, 0.3)
        session = self.successResultOf(bound)
        stream.established(session)
        self.here, self.count = stream, 0
        stream.queued = self.dice.choice((0, 0, 100))
        if enable:
            self.rig.send(session, enable)
            self.turns()
            found = re.search(rb" id='([^']*)'", stream.written[-1])
            self.token = found[1].decode() if found else None
        self.writer.lagging = self.dice.random() < 0.3
        self.rig.send(session, b"<presence/>")
        self.turns()

    def _write(self) -> None:
        self.writer.lagging = False
        self.writer.write()

    def _listen(self, most: int | None = None) -> None:
        """Juliet reads some of what has come."""
        stream = self.here
        taken, stream.received = stream.received[:most], [] if most is None else stream.received[most:]
        self.count += len(taken)
        self.arrived += [body(stanza) for stanza in taken if stanza.kind == "message"]

    def _lose(self, dice: random.Random) -> None:
        """The connection is lost, with some of what was on the way, if anything was."""
        if self.here.queued and self.here.received:
            self._listen(dice.randrange(len(self.here.received)))
        elif not self.here.queued:
            self._listen()
        self.here.take()

    def _random(self, dice: random.Random, enable: bytes) -> None:
        self.dice = dice
        self.arrived: list[str] = []
        self.here: Any = None
        self.count = 0
        self.token: str | None = None
        self.romeo = self.client(ROMEO, available=False)
        self.account(JULIET)
        said: list[str] = []
        outstanding: list[str] = []
        base = 0
        for step in range(70):
            what = dice.random()
            here = self.here
            if what < 0.45:
                said.append(f"m{step}")
                outstanding.append(said[-1])
                self.romeo.say(BARE, said[-1])
            elif what < 0.55:
                self.romeo.ask()
            elif what < 0.62:
                self.writer.lagging = True
            elif what < 0.7:
                self.writer.write(dice.choice((1, 2, 5, None)))
                self.turns()
            elif what < 0.78 and here is not None:
                if not here.queued:  # what was sent so far has arrived
                    self._listen()
                here.queued = dice.choice((0, 100))
                if not here.queued:
                    self._listen()
                    if enable and dice.random() < 0.5:
                        self.rig.send(here.session, f"<a xmlns='urn:xmpp:sm:3' h='{self.count}'/>".encode())
                    self.turns(3, 0.1)
            elif what < 0.86 and here is not None:
                self._lose(dice)
                here.cut()
                self.here = None
            elif what < 0.93 and here is None:
                self._write()
                self.turns(20, 0.3)
                self._login(enable, dice.random() < 0.5)
            elif what > 0.95:
                if here is not None:
                    self._lose(dice)
                self.here = None
                self.kill()
                answer = self.romeo.resume()
                handled = int(answer.split(b" h='")[1].split(b"'")[0])
                outstanding, base = outstanding[handled - base :], handled
                if dice.random() < 0.5:
                    self._login(enable, dice.random() < 0.5)
                for text in outstanding:
                    self.romeo.say(BARE, text)
            else:
                self.turns(dice.randint(1, 5), dice.choice((0.001, 0.5)))
            acked = self.romeo.acked() or 0
            if acked > base:
                outstanding, base = outstanding[acked - base :], acked
        self._write()
        self.turns(20, 0.3)
        self.romeo.ask()
        self.turns(20, 0.3)
        self.assertEqual(self.romeo.acked(), len(said))
        if self.here is not None:
            self._lose(dice)
            self.here.cut()
        self.turns(20, 0.3)
        self._login(enable, dice.random() < 0.5)
        self.here.queued = 0
        self._write()
        self.turns(20, 0.3)
        self._listen()
        self.assertEqual(list(dict.fromkeys(self.arrived)), said)
