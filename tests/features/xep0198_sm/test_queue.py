"""Tests of L{xmppd.features.xep0198_sm.queue}."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from tests.marks import spec
from xmppd.features.xep0198_sm.queue import (
    MASK,
    Entry,
    HandledCountTooHigh,
    HandledCountTooLow,
    Queue,
    ahead,
    fleeting,
    number,
    outlasts,
)
from xmppd.ixmppd import ICustody
from xmppd.wire.stanza import Stanza, fromBytes


class Keeper:
    """Whose queue it is."""

    bare = "juliet@example.org"
    token = "token"

    def __init__(self) -> None:
        self.discarded: list[int] = []
        self.strays: list[int] = []

    def discard(self, row: int) -> None:
        """Note it."""
        self.discarded.append(row)

    def strayed(self, row: int) -> None:
        """Note it."""
        self.strays.append(row)


def message(inner: str = "<body>hi</body>", type: str = "chat") -> Stanza:
    """A message."""
    return fromBytes(f"<message from='romeo@example.org/orchard' type='{type}'>{inner}</message>".encode())


def filled(count: int, acked: int = 0) -> tuple[Queue, Keeper]:
    """A queue with some entries."""
    queue, keeper = Queue(acked), Keeper()
    for _ in range(count):
        queue.add(keeper, message(), 1.0)
    return queue, keeper


class QueueTests(SynchronousTestCase):
    """Counting and settling."""

    @spec("XEP-0198", "4")
    def test_numbers(self) -> None:
        """The first stanza is number one, each further one more."""
        queue, _ = filled(3)
        self.assertEqual([entry.number for entry in queue.entries], [1, 2, 3])

    @spec("XEP-0198", "4")
    def test_wraps(self) -> None:
        """After 2**32 - 1 comes zero."""
        queue, _ = filled(4, MASK - 1)
        self.assertEqual([entry.number for entry in queue.entries], [MASK, 0, 1, 2])
        self.assertEqual(len(queue.ack(0)), 2)
        self.assertEqual([entry.number for entry in queue.entries], [1, 2])
        self.assertRaises(HandledCountTooLow, queue.ack, MASK)
        self.assertRaises(HandledCountTooHigh, queue.ack, 3)
        self.assertEqual(len(queue.ack(2)), 2)

    def test_settles(self) -> None:
        """An acknowledgement settles everything up to it, and once."""
        queue, _ = filled(5)
        self.assertEqual([entry.number for entry in queue.ack(3)], [1, 2, 3])
        self.assertEqual(queue.ack(3), [])
        self.assertEqual(len(queue.entries), 2)
        self.assertEqual(queue.octets, 2 * len(message().raw))

    @spec("XEP-0198", "6")
    def test_tooHigh(self) -> None:
        """More than was sent is refused, and changes nothing."""
        queue, _ = filled(8)
        with self.assertRaises(HandledCountTooHigh) as caught:
            queue.ack(10)
        self.assertEqual(len(queue.entries), 8)
        self.assertEqual(
            caught.exception.toStreamError().toBytes(),
            b"<stream:error><undefined-condition xmlns='urn:ietf:params:xml:ns:xmpp-streams'/>"
            b"<text xmlns='urn:ietf:params:xml:ns:xmpp-streams' xml:lang='en'>"
            b"You acknowledged 10 stanzas, but I only sent you 8 so far.</text>"
            b"<handled-count-too-high xmlns='urn:xmpp:sm:3' h='10' send-count='8'/></stream:error>",
        )

    def test_backwards(self) -> None:
        """Less than before is told apart from too much."""
        queue, _ = filled(8)
        queue.ack(5)
        self.assertRaises(HandledCountTooLow, queue.ack, 4)
        self.assertEqual(len(queue.entries), 3)

    @given(st.integers(0, MASK), st.lists(st.integers(0, 20), max_size=20))
    def test_invariant(self, start: int, steps: list[int]) -> None:
        """However it goes: an entry for every number between what is acknowledged and what is sent."""
        queue, keeper = Queue(start), Keeper()
        for step in steps:
            for _ in range(step):
                queue.add(keeper, message(), 1.0)
            queue.ack((queue.acked + step // 2) & MASK)
            self.assertEqual(len(queue.entries), ahead(queue.sent, queue.acked))
            self.assertEqual(queue.octets, sum(len(entry.stanza.raw) for entry in queue.entries))
            for offset, entry in enumerate(queue.entries, 1):
                self.assertEqual(entry.number, (queue.acked + offset) & MASK)

    def test_number(self) -> None:
        """Only an unsigned integer of 32 bits is a count."""
        self.assertEqual([number(text) for text in ("0", "7", "0012", str(MASK))], [0, 7, 12, MASK])
        for text in (None, "", "-1", "+1", "1.0", "x", " 1", "4294967296", "٣", "9" * 11):
            self.assertIsNone(number(text), text)


class AdriftTests(SynchronousTestCase):
    """After a crash."""

    def test_anchor(self) -> None:
        """What the client got before the crash is settled; the rest, and what came after it, is numbered from there."""
        queue, keeper = Queue(10), Keeper()
        queue.adrift = True
        queue.entries.extend(Entry(keeper, message(), n, 1.0, n) for n in (12, 15, 19))
        late = queue.add(keeper, message(), 2.0)
        self.assertEqual(late.number, 0)
        self.assertEqual([entry.number for entry in queue.anchor(15)], [12, 15])
        self.assertEqual([entry.number for entry in queue.entries], [16, 17])
        self.assertEqual((queue.acked, queue.sent, queue.adrift), (15, 17, False))
        self.assertEqual(queue.octets, 2 * len(message().raw))
        self.assertEqual(len(queue.ack(17)), 2)

    def test_anyCountAhead(self) -> None:
        """Nobody knows how many stanzas were sent before the crash, but less than acknowledged is still wrong."""
        queue, _ = Queue(10), Keeper()
        queue.adrift = True
        self.assertEqual(queue.check(500), 490)
        self.assertRaises(HandledCountTooLow, queue.check, 9)


class EntryTests(SynchronousTestCase):
    """The custody of a message."""

    def setUp(self) -> None:
        self.queue, self.keeper = filled(1)
        self.entry = self.queue.entries[0]

    def test_interface(self) -> None:
        """It is a custody."""
        verifyObject(ICustody, self.entry)

    def test_life(self) -> None:
        """It has to be stored until it is, or the client has it."""
        stored = self.entry.message()
        assert stored is not None
        self.assertEqual((stored.account, stored.holder, stored.sequence), ("juliet@example.org", "token", 1))
        self.entry.stored(7)
        self.assertIsNone(self.entry.message())
        self.assertEqual(self.entry.row, 7)

    def test_acknowledgedMeanwhile(self) -> None:
        """A row that is written when the client has the message already is not needed."""
        self.queue.ack(1)
        self.assertIsNone(self.entry.message())
        self.entry.stored(7)
        self.assertEqual(self.keeper.discarded, [7])

    def test_storedTwice(self) -> None:
        """Of two rows one is too many."""
        self.entry.stored(7)
        self.entry.stored(8)
        self.assertEqual((self.entry.row, self.keeper.discarded), (7, [8]))

    def test_strayed(self) -> None:
        """A row that is written after the end of the session is told."""
        self.entry.moved = True
        self.entry.stored(7)
        self.assertEqual(self.keeper.strays, [7])


class ContentTests(SynchronousTestCase):
    """Which messages somebody answers for."""

    def test_outlasts(self) -> None:
        """Chat and normal messages with content."""
        for stanza in (
            message(),
            message("<body>a</body><active xmlns='http://jabber.org/protocol/chatstates'/>"),
            message("<received xmlns='urn:xmpp:receipts' id='1'/>"),
            message(type="normal"),
            message(type="bogus"),
        ):
            self.assertTrue(outlasts(stanza), stanza.raw)

    def test_doesNotOutlast(self) -> None:
        """States of a conversation, copies, what asks not to be stored, and types that are never kept."""
        for stanza in (
            message("<composing xmlns='http://jabber.org/protocol/chatstates'/>"),
            message("<thread>t</thread><gone xmlns='http://jabber.org/protocol/chatstates'/>"),
            message("<body>a</body><no-store xmlns='urn:xmpp:hints'/>"),
            message("<received xmlns='urn:xmpp:carbons:2'/>"),
            message(type="groupchat"),
            message(type="headline"),
            message(type="error"),
        ):
            self.assertFalse(outlasts(stanza), stanza.raw)

    def test_fleeting(self) -> None:
        """A state beside content is more than a state."""
        self.assertTrue(fleeting(message("<composing xmlns='http://jabber.org/protocol/chatstates'/>")))
        self.assertFalse(fleeting(message("<body>a</body><active xmlns='http://jabber.org/protocol/chatstates'/>")))
