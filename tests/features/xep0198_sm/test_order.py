"""
The order of messages in the store (RFC 6120 section 10.1): where it refuses for a while, and where sessions end.
"""

from __future__ import annotations

import random
from typing import Any

from twisted.internet.defer import Deferred, fail

from tests.features.xep0198_sm.rigging import ManagementTestCase, body
from tests.marks import spec
from xmppd.config import Limits
from xmppd.ixmppd import StoreUnavailable
from xmppd.wire.stanza import fromBytes

ROMEO = "romeo@example.org/orchard"
JULIET = "juliet@example.org/balcony"
BARE = "juliet@example.org"


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
        self.rig.inject(f"<message from='x@example.net/y' to='{JULIET}' type='chat'><body>{text}</body></message>".encode())

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
        for seed in range(60):
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
