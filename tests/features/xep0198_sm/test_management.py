"""Tests of L{xmppd.features.xep0198_sm.management}: counting, acknowledging, custody, hibernation."""

from __future__ import annotations

from twisted.internet.defer import Deferred
from zope.interface.verify import verifyObject

from tests.features.xep0198_sm.rigging import ManagementTestCase, body
from tests.marks import spec
from xmppd.config import Limits
from xmppd.features.xep0198_sm.management import ACK_AFTER, ASK_AFTER, BEAT
from xmppd.features.xep0198_sm.queue import ANSWERING_SECONDS, STRETCH
from xmppd.features.xep0198_sm.resumption import StreamManagement
from xmppd.ixmppd import IStreamFeature, StoreUnavailable
from xmppd.wire.errors import StreamCondition

ROMEO = "romeo@example.org/orchard"
JULIET = "juliet@example.org/balcony"


class EnableTests(ManagementTestCase):
    """Section 3."""

    @spec("XEP-0198", "2")
    def test_advertised(self) -> None:
        """Offered once the client is authenticated and has no resource."""
        feature = next(f for f in self.rig.host.streamFeatures if isinstance(f, StreamManagement))
        verifyObject(IStreamFeature, feature)
        self.assertEqual(feature.requires, {"authenticated"})
        self.assertEqual(feature.forbids, {"bound"})
        self.assertEqual(feature.advertise(self.stream(ROMEO)), b"<sm xmlns='urn:xmpp:sm:3'/>")

    @spec("XEP-0198", "3", "5")
    def test_enabled(self) -> None:
        """With C{resume} the answer says so and gives an id that is recorded."""
        for value in ("true", "1"):
            romeo = self.client(ROMEO, managed=False)
            answer = romeo.enable(f"resume='{value}'")
            self.assertIn(b" resume='true'", answer)
            self.assertIn(b" max='600'", answer)
            self.assertEqual([record.jid for record in self.records() if record.token == romeo.token], [ROMEO])

    @spec("XEP-0198", "3")
    def test_withoutResumption(self) -> None:
        """Without, or with any other value, there is no id."""
        for more in ("", "resume='false'", "resume='0'", "resume='yes'"):
            romeo = self.client(ROMEO, managed=False)
            self.assertEqual(romeo.enable(more), b"<enabled xmlns='urn:xmpp:sm:3'/>")
            self.assertEqual(self.records(), [])
            romeo.cut()
            self.assertTrue(romeo.session.over)

    @spec("XEP-0198", "3")
    def test_max(self) -> None:
        """The client's maximum counts if it is smaller; nonsense doesn't."""
        for asked, told in (("60", "60"), ("9999", "600"), ("0", "600"), ("-1", "600"), ("x", "600")):
            romeo = self.client(ROMEO, managed=False)
            self.assertIn(f"max='{told}'".encode(), romeo.enable(f"resume='true' max='{asked}'"))

    @spec("XEP-0198", "3", "6")
    def test_beforeBinding(self) -> None:
        """C41: the order is enforced."""
        stream = self.stream(ROMEO)
        self.negotiate(stream, b"<enable xmlns='urn:xmpp:sm:3' resume='true'/>")
        self.assertEqual(
            stream.written,
            [
                b"<failed xmlns='urn:xmpp:sm:3'>"
                b"<unexpected-request xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></failed>"
            ],
        )
        self.assertFalse(stream.closed)

    @spec("XEP-0198", "3")
    def test_twice(self) -> None:
        """C41: once is enough; the first one stays."""
        romeo = self.client(ROMEO)
        self.assertIn(b"<unexpected-request", romeo.enable())
        romeo.say(ROMEO, "still managed")
        romeo.ask()
        self.assertEqual(romeo.acked(), 2)

    def test_resumeAfterBinding(self) -> None:
        """Resuming has to come before."""
        romeo = self.client(ROMEO)
        romeo.send(f"<resume xmlns='urn:xmpp:sm:3' previd='{romeo.token}' h='0'/>".encode())
        self.assertIn(b"<unexpected-request", romeo.stream.written[-1])

    def test_storeUnavailable(self) -> None:
        """A session that can't be recorded is managed, but can't be resumed."""
        romeo = self.client(ROMEO, managed=False)
        self.store.failWrites = 1
        self.assertEqual(romeo.enable(), b"<enabled xmlns='urn:xmpp:sm:3'/>")
        romeo.cut()
        self.assertTrue(romeo.session.over)

    def test_slowStore(self) -> None:
        """The client hears that it can resume when that is true, and what it is sent until then doesn't count."""
        romeo, juliet = self.client(ROMEO, managed=False), self.client(JULIET, managed=False)
        self.store.holding = True
        romeo.enable()
        self.assertEqual(romeo.stream.written, [])
        self.assertEqual(len(romeo.stream.waits), 1)
        juliet.say(ROMEO, "too early")
        self.store.proceed()
        self.assertIn(b"<enabled", romeo.stream.written[-1])
        juliet.say(ROMEO, "counted")
        self.assertEqual(romeo.management.queue.sent, 1)

    def test_lostBeforeEnabled(self) -> None:
        """A client that is gone before it is told leaves no record."""
        romeo = self.client(ROMEO, managed=False)
        self.store.holding = True
        romeo.enable()
        romeo.cut()
        self.store.proceed()
        self.turns()
        self.assertEqual(self.records(), [])


class AckTests(ManagementTestCase):
    """Section 4: what the server says of the client's stanzas."""

    def setUp(self) -> None:
        super().setUp()
        self.romeo = self.client(ROMEO, available=False)
        self.juliet = self.client(JULIET)

    @spec("XEP-0198", "4")
    def test_counts(self) -> None:
        """Every stanza counts, whatever becomes of it; elements of stream management don't."""
        self.romeo.send(
            b"<presence/><iq type='get' id='1'><ping xmlns='urn:xmpp:ping'/></iq><message to='@'/>"
            b"<iq type='bogus' id='2'/>"
        )
        self.romeo.ask()
        self.romeo.ask()
        self.assertEqual(self.romeo.acked(), 4)

    @spec("XEP-0198", "4")
    def test_zero(self) -> None:
        """Nothing has come."""
        self.romeo.ask()
        self.assertEqual(self.romeo.acked(), 0)

    @spec("XEP-0198", "4")
    def test_everyRequestIsAnswered(self) -> None:
        """With the same number if nothing has come."""
        for _ in range(3):
            self.romeo.ask()
        self.assertEqual(sum(b"<a " in data for data in self.romeo.stream.written), 3)

    def test_floodCostsNoWrites(self) -> None:
        """Asking again and again costs the bytes of the answers."""
        self.romeo.say(JULIET, "a")
        self.romeo.ask()
        self.store.failWrites = True
        for _ in range(1000):
            self.romeo.ask(0)
        self.assertEqual(self.romeo.acked(), 1)

    @spec("XEP-0198", "4")
    def test_wrap(self) -> None:
        """After 2**32 - 1 comes zero."""
        self.romeo.management.received = self.romeo.management.secured = 2**32 - 1
        self.romeo.say(JULIET, "one")
        self.romeo.ask()
        self.assertEqual(self.romeo.acked(), 0)
        self.romeo.say(JULIET, "two")
        self.romeo.ask()
        self.assertEqual(self.romeo.acked(), 1)

    def test_recipientHasIt(self) -> None:
        """A recipient that acknowledges in time costs no row."""
        self.romeo.say(JULIET, "a")
        self.juliet.ack()
        self.romeo.ask()
        self.assertEqual(self.romeo.acked(), 1)
        self.assertEqual(self.held(self.juliet), [])

    def test_recipientHasItNotYet(self) -> None:
        """Otherwise the message is stored before the acknowledgement, in the recipient's queue."""
        self.romeo.say(JULIET, "a")
        self.store.holding = True
        self.romeo.ask()
        self.assertIsNone(self.romeo.acked())
        self.store.proceed()
        self.assertEqual(self.romeo.acked(), 1)
        (row,) = self.held(self.juliet)
        self.assertEqual((row.account, row.sequence), ("juliet@example.org", self.juliet.management.queue.sent))
        self.juliet.ack()
        self.assertEqual(self.held(self.juliet), [])

    def test_oneTransaction(self) -> None:
        """All messages and the count are one write."""
        nurse = self.client("nurse@example.org/kitchen")
        calls = []
        original = self.store._store.spool.acknowledge
        self.patch(
            self.store._store.spool,
            "acknowledge",
            lambda *arguments: (calls.append((arguments[1], len(arguments[2]))), original(*arguments))[1],
        )
        for index in range(5):
            self.romeo.say(JULIET, f"j{index}")
            self.romeo.say(nurse.full, f"n{index}")
        self.romeo.ask()
        self.assertEqual(calls, [(10, 10)])

    def test_requestsInFlight(self) -> None:
        """What is asked during a write is answered once, later, for everything."""
        self.store.holding = True
        self.romeo.say(JULIET, "a")
        self.romeo.ask()
        for text in "bcd":
            self.romeo.say(JULIET, text)
            self.romeo.ask()
        self.store.proceed()
        self.turns()
        counts = [data for data in self.romeo.stream.written if data.startswith(b"<a ")]
        self.assertEqual(counts, [b"<a xmlns='urn:xmpp:sm:3' h='1'/>", b"<a xmlns='urn:xmpp:sm:3' h='4'/>"])
        self.assertEqual([body_(row.stanza) for row in self.held(self.juliet)], list("abcd"))

    def test_countIsDurable(self) -> None:
        """Even without anything at risk the count is stored first."""
        self.romeo.send(b"<presence/>")
        self.romeo.ask()
        self.assertEqual({record.jid: record.inbound for record in self.records()}[ROMEO], 1)

    def test_countNeedNotBeDurable(self) -> None:
        """Without resumption nothing is written for a count."""
        nurse = self.client("nurse@example.org/kitchen", available=False, managed=False)
        nurse.enable("")
        self.store.failWrites = True
        nurse.send(b"<presence to='romeo@example.org'/>")
        nurse.ask()
        self.assertEqual(nurse.acked(), 1)

    def test_waitsForDeferreds(self) -> None:
        """What somebody still has to do for a message is waited for, and what that adds, too."""
        first: Deferred[None] = Deferred()
        second: Deferred[None] = Deferred()
        self.romeo.session.addObservers(lambda s, stanza: stanza.promise.append(first), lambda s, stanza: None)
        self.romeo.say(JULIET, "a")
        promise = self.romeo.management._pending[0].promise
        self.juliet.ack()
        self.romeo.ask()
        self.assertIsNone(self.romeo.acked())
        promise.append(second)
        first.callback(None)
        self.turns()
        self.assertIsNone(self.romeo.acked())
        second.callback(None)
        self.turns()
        self.assertEqual(self.romeo.acked(), 1)

    def test_brokenPromise(self) -> None:
        """If what a message waits for fails, its sender is told and goes on."""
        failing: Deferred[None] = Deferred()
        self.romeo.session.addObservers(lambda s, stanza: stanza.promise.append(failing), lambda s, stanza: None)
        self.romeo.say(JULIET, "a")
        self.romeo.ask()
        failing.errback(StoreUnavailable())
        self.turns()
        self.assertEqual(self.romeo.acked(), 1)
        (error,) = self.romeo.take()
        self.assertIn(b"<error type='wait'><resource-constraint", error.raw)

    def test_fullDisk(self) -> None:
        """Nothing is acknowledged that can't be stored; the sender is told; it heals by itself."""
        self.romeo.say(JULIET, "a", "m1")
        self.store.failWrites = True
        self.romeo.ask()
        self.turns(3, 1.0)
        self.assertIsNone(self.romeo.acked())
        self.turns(10, 1.0)
        (error,) = self.romeo.take()
        self.assertEqual((error.type, error.id, error.sender), ("error", "m1", JULIET))
        self.assertIn(b"<resource-constraint", error.raw)
        self.assertIsNone(self.romeo.acked())
        self.store.failWrites = 0
        self.turns(10, 1.0)
        self.assertEqual(self.romeo.acked(), 1)
        self.romeo.say(JULIET, "b")
        self.romeo.ask()
        self.assertEqual(self.romeo.acked(), 2)
        self.assertEqual(self.records()[0].inbound, 2)

    def test_longOutage(self) -> None:
        """While the disk stays full, every sender is told, and what waits to be acknowledged does not keep it from sending."""
        self.store.failWrites = True
        for text in "ab":
            self.romeo.say(JULIET, text)
            self.romeo.ask()
            self.turns(20, 1.0)
            self.romeo.ack()
        self.assertEqual([error.id for error in self.romeo.got if error.type == "error"], ["a", "b"])
        self.assertIsNone(self.romeo.acked())
        self.store.failWrites = 0
        self.turns(20, 1.0)
        self.assertEqual(self.romeo.acked(), 2)

    def test_resumedDuringOutage(self) -> None:
        """Who comes back meanwhile is told the count that will hold, and what he sends again is counted once."""
        self.store.failWrites = True
        self.romeo.say(JULIET, "a")
        self.romeo.ask()
        self.romeo.cut()
        self.romeo.resume(h=0)
        self.turns(10, 1.0)
        self.assertIn(b" h='0'", self.romeo.stream.written[0])
        self.romeo.say(JULIET, "a")
        self.store.failWrites = 0
        self.romeo.ask()
        self.turns(10, 1.0)
        self.assertEqual(self.romeo.acked(), 1)
        self.assertEqual(self.records()[0].inbound, 1)

    def test_shortOutage(self) -> None:
        """A store that comes back in time is not noticed."""
        self.romeo.say(JULIET, "a")
        self.store.failWrites = 2
        self.romeo.ask()
        self.turns(4, 1.0)
        self.assertEqual(self.romeo.acked(), 1)
        self.assertEqual(self.romeo.take(), [])
        self.assertEqual(len(self.held(self.juliet)), 1)

    @spec("XEP-0198", "4")
    def test_unaskedByCount(self) -> None:
        """A client that never asks is told now and then."""
        for index in range(ACK_AFTER):
            self.romeo.say(JULIET, str(index))
        self.juliet.ack()
        self.turns()
        self.assertEqual(self.romeo.acked(), ACK_AFTER)

    @spec("XEP-0198", "4")
    def test_unaskedByTime(self) -> None:
        """Also if it says little."""
        self.romeo.send(b"<presence/>")
        self.turns(1, BEAT + 0.1)
        self.turns()
        self.assertEqual(self.romeo.acked(), 1)

    def test_beforeClosing(self) -> None:
        """The last words of a stream say what was handled."""
        self.romeo.say(JULIET, "a")
        self.romeo.session.end()
        self.assertFalse(self.romeo.stream.closed)
        self.turns()
        self.assertEqual(self.romeo.acked(), 1)
        self.assertTrue(self.romeo.stream.closed)
        self.assertEqual(len(self.held(self.juliet)), 1)

    def test_closingDoesNotWaitForever(self) -> None:
        """A store that doesn't answer keeps no stream open."""
        self.romeo.say(JULIET, "a")
        self.store.holding = True
        self.romeo.session.end()
        self.advance(31)
        self.assertTrue(self.romeo.stream.closed)
        self.assertIsNone(self.romeo.acked())

    def test_backpressure(self) -> None:
        """While a store is slow, a client that sends on and on is read no further."""
        self.store.holding = True
        self.romeo.say(JULIET, "first")
        self.romeo.ask()
        for index in range(1000):
            self.romeo.say(JULIET, str(index))
            if index % 100 == 0:
                self.juliet.ack()
        self.assertEqual(len([d for d in self.romeo.stream.waits if not d.called]), 1)
        self.store.proceed()
        self.turns()
        self.assertTrue(all(d.called for d in self.romeo.stream.waits))


def body_(raw: bytes) -> str:
    """The text of a stored message."""
    from xmppd.wire.stanza import fromBytes

    return body(fromBytes(raw))


class QueueTests(ManagementTestCase):
    """Section 4: what the client says of the server's stanzas."""

    limits = Limits(managementQueue=100, managementBytes=100_000)

    def setUp(self) -> None:
        super().setUp()
        self.romeo = self.client(ROMEO, available=False)
        self.juliet = self.client(JULIET)

    def test_asksWhenSomebodyWaits(self) -> None:
        """Behind a message whose sender will want to know; once until the answer comes."""
        before = self.juliet.asked()
        self.romeo.say(JULIET, "a")
        self.romeo.say(JULIET, "b")
        self.assertEqual(self.juliet.asked(), before + 1)
        self.juliet.ack()
        self.romeo.say(JULIET, "c")
        self.assertEqual(self.juliet.asked(), before + 2)

    def test_asksAfterAWhile(self) -> None:
        """When nobody waits: after some stanzas, or some seconds."""
        before = self.juliet.asked()
        for _ in range(ASK_AFTER - 1):
            self.rig.inject(f"<message from='a@example.net' to='{JULIET}'><body>x</body></message>".encode())
        self.assertEqual(self.juliet.asked(), before)
        self.rig.inject(f"<message from='a@example.net' to='{JULIET}'><body>x</body></message>".encode())
        self.assertEqual(self.juliet.asked(), before + 1)
        self.juliet.ack()
        self.rig.inject(f"<message from='a@example.net' to='{JULIET}'><body>x</body></message>".encode())
        self.turns(1, BEAT * 2)
        self.assertEqual(self.juliet.asked(), before + 2)

    def test_noTimerWhenIdle(self) -> None:
        """A session of which nothing is outstanding costs no time."""
        self.romeo.ask()
        self.juliet.ask()
        self.turns(3, BEAT)
        self.assertEqual(
            [call.func.__name__ for call in self.rig.clock.getDelayedCalls() if call.func.__name__ == "_onBeat"], []
        )

    @spec("XEP-0198", "6")
    def test_tooHigh(self) -> None:
        """More than was sent ends the stream."""
        sent = self.juliet.management.queue.sent
        self.juliet.ack(sent + 1)
        error = self.juliet.stream.closedWith
        assert error is not None
        self.assertEqual(error.condition, StreamCondition.UNDEFINED_CONDITION)
        self.assertEqual(
            error.application,
            f"<handled-count-too-high xmlns='urn:xmpp:sm:3' h='{sent + 1}' send-count='{sent}'/>".encode(),
        )

    def test_backwards(self) -> None:
        """Less than before changes nothing."""
        self.juliet.ack(0)
        self.assertFalse(self.juliet.stream.closed)

    @spec("XEP-0198", "4")
    def test_noNumber(self) -> None:
        """An acknowledgement has to have a number."""
        for raw in (b"<a xmlns='urn:xmpp:sm:3'/>", b"<a xmlns='urn:xmpp:sm:3' h='-1'/>"):
            client = self.client("nurse@example.org/a")
            client.send(raw)
            assert client.stream.closedWith is not None
            self.assertEqual(client.stream.closedWith.condition, StreamCondition.BAD_FORMAT)

    def test_notEnabled(self) -> None:
        """Acknowledgements without stream management are a mistake."""
        for raw in (b"<a xmlns='urn:xmpp:sm:3' h='0'/>", b"<r xmlns='urn:xmpp:sm:3'/>"):
            client = self.client("nurse@example.org/a", managed=False)
            client.send(raw)
            assert client.stream.closedWith is not None
            self.assertEqual(client.stream.closedWith.condition, StreamCondition.UNSUPPORTED_STANZA_TYPE)

    def test_neverAcknowledges(self) -> None:
        """
        Too many: the stream ends by policy, and the session waits to be resumed. It can be sent more, up to a bound;
        then it ends, too, and every message becomes an offline message.
        """
        stream = self.juliet.stream
        for index in range(101):
            if index == 100:
                self.turns(1, ANSWERING_SECONDS)
            self.romeo.say(JULIET, str(index))
            self.romeo.ask()
        assert stream.closedWith is not None
        self.assertEqual(stream.closedWith.condition, StreamCondition.POLICY_VIOLATION)
        self.assertFalse(self.juliet.session.over)
        self.assertIsNone(self.juliet.session.stream)
        self.turns()
        self.assertEqual(self.offlineBodies("juliet@example.org"), [])
        for index in range(101, 100 * STRETCH + 1):
            self.assertFalse(self.juliet.session.over)
            self.romeo.say(JULIET, str(index))
            self.romeo.ask()
        self.assertTrue(self.juliet.session.over)
        self.turns()
        expected = [str(index) for index in range(100 * STRETCH + 1)]
        self.assertEqual(self.offlineBodies("juliet@example.org"), expected)
        self.assertEqual([record.jid for record in self.records()], [ROMEO])

    @spec("XEP-0198", "5")
    def test_resumesAfterTooMany(self) -> None:
        """Who was too slow resumes, and gets everything in order."""
        self.juliet.take()
        before = len(self.juliet.got)
        for index in range(150):
            if index == 100:
                self.turns(1, ANSWERING_SECONDS)
            self.romeo.say(JULIET, str(index))
        self.assertIn(b"<resumed", self.juliet.resume(before))
        self.assertEqual(self.juliet.bodies(), [str(index) for index in range(150)])

    def test_tooManyWithoutResumption(self) -> None:
        """Without resumption the session ends, and every message becomes an offline message."""
        nurse = self.client("nurse@example.org/kitchen", managed=False)
        nurse.enable("")
        for index in range(101):
            if index == 100:
                self.turns(1, ANSWERING_SECONDS)
            self.romeo.say(nurse.full, str(index))
            self.romeo.ask()
        assert nurse.stream.closedWith is not None
        self.assertEqual(nurse.stream.closedWith.condition, StreamCondition.POLICY_VIOLATION)
        self.turns()
        self.assertEqual(self.offlineBodies("nurse@example.org"), [str(index) for index in range(101)])

    def test_tooManyOctets(self) -> None:
        """Too much is bounded as well."""
        for index in range(11):
            if index == 10:
                self.turns(1, ANSWERING_SECONDS)
            self.romeo.say(JULIET, f"{index}" + "x" * 10_000)
        self.assertIsNone(self.juliet.session.stream)
        while not self.juliet.session.over:
            index += 1
            self.romeo.say(JULIET, f"{index}" + "x" * 10_000)
        self.turns()
        self.assertEqual(len(self.offlineBodies("juliet@example.org")), index + 1)
        self.assertLess(index, 10 * STRETCH)

    def test_flood(self) -> None:
        """Who answers when it can is not thrown out by who sends much at once; but there is an end to that as well."""
        for _ in range(3):
            for index in range(100 * STRETCH):
                self.rig.inject(f"<presence from='a{index}@example.net' to='{JULIET}'/>".encode())
            self.assertFalse(self.juliet.session.over)
            self.juliet.ack()
        for _ in range(100 * STRETCH + 1):
            self.rig.inject(f"<presence from='a@example.net' to='{JULIET}'/>".encode())
        assert self.juliet.stream.closedWith is not None
        self.assertEqual(self.juliet.stream.closedWith.condition, StreamCondition.POLICY_VIOLATION)

    @spec("mission", "A9")
    def test_noAnswer(self) -> None:
        """A client that was asked and does not answer hibernates: its connection is as good as gone."""
        self.romeo.say(JULIET, "a")
        stream = self.juliet.stream
        self.advance(40)
        assert stream.closedWith is not None
        self.assertEqual(stream.closedWith.condition, StreamCondition.CONNECTION_TIMEOUT)
        self.assertFalse(self.juliet.session.over)
        self.assertIsNone(self.juliet.session.stream)
        self.juliet.take()
        self.juliet.got.pop()
        self.assertIn(b"<resumed", self.juliet.resume())
        self.assertEqual(self.juliet.bodies(), ["a"])

    def test_noAnswerWithoutResumption(self) -> None:
        """Without resumption the session ends, and the message is kept."""
        nurse = self.client("nurse@example.org/kitchen", managed=False)
        nurse.enable("")
        self.romeo.say(nurse.full, "a")
        self.advance(40)
        self.assertTrue(nurse.session.over)
        self.assertEqual(self.offlineBodies("nurse@example.org"), ["a"])

    def test_rowsThatCannotBeRemoved(self) -> None:
        """They are removed when the store is back."""
        self.romeo.say(JULIET, "a")
        self.romeo.ask()
        self.store.failWrites = 1
        self.juliet.ack()
        self.assertEqual(len(self.held(self.juliet)), 1)
        self.turns(2, BEAT)
        self.assertEqual(self.held(self.juliet), [])


class PlainRecipientTests(ManagementTestCase):
    """Custody of messages for clients without stream management."""

    def setUp(self) -> None:
        super().setUp()
        self.romeo = self.client(ROMEO, available=False)
        self.juliet = self.client(JULIET, managed=False)

    def all(self) -> list[object]:
        """Everything in the spool."""
        return list(self.store._store.spool._messages.values())

    def test_sent(self) -> None:
        """What has left for good is settled."""
        self.romeo.say(JULIET, "a")
        self.romeo.ask()
        self.assertEqual(self.romeo.acked(), 1)
        self.assertEqual(self.all(), [])

    def test_sentInAMoment(self) -> None:
        """A turn of the reactor later is soon enough to write nothing."""
        self.juliet.stream.queued = 100
        self.romeo.say(JULIET, "a")
        self.romeo.send(b"<r xmlns='urn:xmpp:sm:3'/>")
        self.juliet.stream.queued = 0
        self.turns()
        self.assertEqual(self.romeo.acked(), 1)
        self.assertEqual(self.all(), [])

    def test_unsent(self) -> None:
        """What hasn't left is stored, and removed when it has."""
        self.juliet.stream.queued = 100
        self.romeo.say(JULIET, "a")
        self.romeo.ask()
        self.assertEqual(self.romeo.acked(), 1)
        self.assertEqual(len(self.all()), 1)
        self.assertEqual(self.offlineBodies("juliet@example.org"), [])
        self.juliet.stream.queued = 0
        self.advance(6)
        self.assertEqual(self.all(), [])

    def test_lost(self) -> None:
        """A connection that breaks before that leaves an offline message."""
        self.juliet.stream.queued = 100
        self.romeo.say(JULIET, "a")
        self.romeo.ask()
        self.juliet.cut()
        self.turns()
        self.assertEqual(self.offlineBodies("juliet@example.org"), ["a"])

    def test_closed(self) -> None:
        """Who closes the stream has acknowledged what came before, and doesn't get it again."""
        self.juliet.stream.queued = 100
        self.romeo.say(JULIET, "a")
        self.romeo.ask()
        self.assertEqual(len(self.all()), 1)
        self.juliet.stream.queued = 0
        self.juliet.session.end()
        self.turns()
        self.assertEqual(self.all(), [])

    def test_lostBeforeAsked(self) -> None:
        """Also if nobody had asked by then."""
        self.juliet.stream.queued = 100
        self.romeo.say(JULIET, "a")
        self.juliet.cut()
        self.romeo.ask()
        self.assertEqual(self.romeo.acked(), 1)
        self.assertEqual(self.offlineBodies("juliet@example.org"), ["a"])

    def test_lostDuringTheWrite(self) -> None:
        """And if it breaks while the message is being stored."""
        self.juliet.stream.queued = 100
        self.romeo.say(JULIET, "a")
        self.store.holding = True
        self.romeo.ask()
        self.juliet.cut()
        self.store.proceed()
        self.turns()
        self.assertEqual(self.offlineBodies("juliet@example.org"), ["a"])

    def test_sentDuringTheWrite(self) -> None:
        """A row that turns out needless is removed."""
        self.juliet.stream.queued = 100
        self.romeo.say(JULIET, "a")
        self.store.holding = True
        self.romeo.ask()
        self.juliet.stream.queued = 0
        self.turns(3, 1.0)
        self.store.proceed()
        self.turns()
        self.assertEqual(self.all(), [])

    def test_crash(self) -> None:
        """After a crash it is an offline message."""
        self.juliet.stream.queued = 100
        self.romeo.say(JULIET, "a")
        self.romeo.ask()
        self.kill()
        self.assertEqual(self.offlineBodies("juliet@example.org"), ["a"])

    def test_nextLoginFindsIt(self) -> None:
        """Who binds right after the end of a session finds what it left."""
        self.juliet.stream.queued = 100
        self.romeo.say(JULIET, "a")
        self.romeo.ask()
        gate: Deferred[int] = Deferred()
        release = self.store._store.spool.release
        self.patch(self.store._store.spool, "release", lambda token: gate.addCallback(lambda _: release(token)))
        self.juliet.cut()
        stream = self.stream(JULIET)
        bound = self.rig.host.bind(stream, "balcony")
        self.turns()
        self.assertNoResult(bound)
        gate.callback(0)
        self.turns()
        self.successResultOf(bound)
        self.assertEqual(self.offlineBodies("juliet@example.org"), ["a"])

    def test_nothingForGuests(self) -> None:
        """Nobody will ever ask for a guest's messages."""
        guest = self.client("guest@example.org/x", managed=False, guest=True)
        guest.stream.queued = 100
        self.romeo.say(guest.full, "a")
        self.romeo.ask()
        self.assertEqual(self.romeo.acked(), 1)
        self.assertEqual(self.all(), [])

    def test_nothingButMessages(self) -> None:
        """Requests, states of conversations and messages of types that nobody keeps are not stored."""
        self.juliet.stream.queued = 100
        self.romeo.send(
            f"<iq type='set' id='1' to='{JULIET}'><x xmlns='y'/></iq><message type='headline' to='{JULIET}'/>"
            f"<message type='chat' to='{JULIET}'>"
            "<composing xmlns='http://jabber.org/protocol/chatstates'/></message>".encode()
        )
        self.romeo.ask()
        self.assertEqual(self.romeo.acked(), 3)
        self.assertEqual(self.all(), [])
