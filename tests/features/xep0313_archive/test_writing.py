"""Tests of L{xmppd.features.xep0313_archive.writing} and C{retention}."""

from __future__ import annotations

from collections.abc import Sequence

from twisted.internet.defer import Deferred, fail, succeed
from twisted.trial.unittest import SynchronousTestCase

from tests.doubles import Rig
from tests.features.asking import JULIET, ROMEO
from tests.features.xep0313_archive.archiving import BALCONY, ArchiveCase, fired
from tests.marks import spec
from xmppd.features.xep0313_archive import writing
from xmppd.features.xep0313_archive.joining import Tails
from xmppd.features.xep0313_archive.retention import BATCH, FIRST_SECONDS, ROUND_SECONDS
from xmppd.features.xep0313_archive.writing import RETRY_SECONDS, Writer
from xmppd.ixmppd import ArchivedMessage, StoreUnavailable
from xmppd.wire.archiveids import ArchiveIds


class FakeArchives:
    """Takes messages, and answers when it is told to."""

    def __init__(self) -> None:
        self.calls: list[tuple[Sequence[ArchivedMessage], Deferred[None]]] = []

    def add(self, messages: Sequence[ArchivedMessage]) -> Deferred[None]:
        """See L{IArchiveStore}."""
        if any(message.peer == "bad" for message in messages):
            raise ValueError("bad")
        done: Deferred[None] = Deferred()
        self.calls.append((list(messages), done))
        return done

    def sizes(self) -> list[int]:
        """How many messages the calls had."""
        return [len(messages) for messages, _ in self.calls]


class WriterTests(SynchronousTestCase):
    """L{Writer}."""

    def setUp(self) -> None:
        self.rig = Rig()
        self.store = self.rig.host.archives = FakeArchives()
        self.writer = Writer(self.rig.host)
        self.ids = ArchiveIds(Tails(self.rig.host.entropy.token))

    def add(self, count: int = 1, owner: str = JULIET, peer: str = ROMEO, octets: int = 10) -> Deferred[None]:
        """Archive some messages."""
        done: Deferred[None] = succeed(None)
        for _ in range(count):
            id, stamp = self.ids.take(self.rig.clock.seconds())
            done = self.writer.add(ArchivedMessage(id, owner, peer, stamp, b"x" * octets))
        return done

    def turn(self) -> None:
        """A turn of the reactor."""
        self.rig.clock.advance(0)

    def test_groups(self) -> None:
        """What comes in one turn is one write; what comes meanwhile is the next."""
        first = self.add(3)
        self.assertEqual(self.store.sizes(), [])
        self.turn()
        second = self.add(2)
        self.turn()
        self.assertEqual(self.store.sizes(), [3])
        self.store.calls[0][1].callback(None)
        self.assertEqual(self.store.sizes(), [3, 2])
        self.assertEqual((fired(first), fired(second)), (True, False))
        self.store.calls[1][1].callback(None)
        self.assertTrue(fired(second))

    def test_settled(self) -> None:
        """Who waits for all that was added waits for no more than that."""
        self.assertTrue(fired(self.writer.settled()))
        self.add()
        settled = self.writer.settled()
        self.assertEqual(self.store.sizes(), [1])
        self.add()
        self.store.calls[0][1].callback(None)
        self.assertTrue(fired(settled))

    def test_outage(self) -> None:
        """Nobody waits for a store that can't be written; order and number are kept until it can."""
        first = self.add()
        self.turn()
        second = self.add()
        self.store.calls[0][1].errback(StoreUnavailable())
        self.assertTrue(fired(first) and fired(second) and fired(self.writer.settled()))
        self.assertTrue(fired(self.add()))
        self.turn()
        self.assertEqual(self.store.sizes(), [1])
        self.rig.clock.advance(RETRY_SECONDS)
        self.assertEqual(self.store.sizes(), [1, 3])
        self.store.calls[1][1].errback(StoreUnavailable())
        self.rig.clock.advance(RETRY_SECONDS)
        self.assertEqual([each.id for each in self.store.calls[2][0]], [each.id for each in self.store.calls[1][0]])
        self.add()
        self.store.calls[2][1].callback(None)
        self.assertFalse(self.writer.failing)
        self.assertEqual(self.store.sizes(), [1, 3, 3, 1])

    def test_bounds(self) -> None:
        """What waits for a store that can't be written is bounded, by number and octets."""
        self.patch(writing, "MOST", 10)
        self.patch(writing, "MOST_OCTETS", 1000)
        self.add()
        self.turn()
        self.store.calls[0][1].errback(StoreUnavailable())
        self.add(20)
        self.assertEqual(self.writer.lost, 11)
        self.rig.clock.advance(RETRY_SECONDS)
        self.assertEqual(self.store.sizes()[-1], 10)
        self.add(1, octets=2000)
        self.assertEqual(self.writer.lost, 12)

    def test_crowded(self) -> None:
        """When the store is slow, senders are to wait; what comes all the same is bounded."""
        self.patch(writing, "CROWDED", 5)
        self.patch(writing, "MOST", 10)
        self.add()
        self.turn()
        self.add(5)
        self.assertTrue(self.writer.crowded)
        self.add(20)
        self.assertEqual(self.writer.lost, 15)
        self.store.calls[0][1].callback(None)
        self.assertEqual(self.store.sizes(), [1, 10])
        self.assertFalse(self.writer.crowded)

    def test_oneBad(self) -> None:
        """A message that the store doesn't take doesn't keep others from being archived."""
        self.add(2)
        self.add(1, peer="bad")
        done = self.add(1)
        self.turn()
        self.assertEqual(self.store.sizes(), [1, 1, 1, 3])
        self.store.calls[-1][1].callback(None)
        self.assertTrue(fired(done))

    def test_mistake(self) -> None:
        """A mistake is logged, and nothing stands still."""
        done = self.add()
        self.turn()
        self.store.calls[0][1].errback(ZeroDivisionError())
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.assertTrue(fired(done))
        self.add()
        self.turn()
        self.assertEqual(self.store.sizes(), [1, 1])

    def test_drop(self) -> None:
        """What waits for an archive that is gone is forgotten; who waits is told."""
        self.add(2)
        done = self.add(1, owner=ROMEO)
        self.writer.drop(JULIET)
        self.turn()
        self.assertEqual(self.store.sizes(), [1])
        self.store.calls[0][1].callback(None)
        self.assertTrue(fired(done))
        alone = self.add()
        self.writer.drop(JULIET)
        self.turn()
        self.assertTrue(fired(alone))


class BackPressureTests(ArchiveCase):
    """The store is slower than the clients."""

    def test_slowedDown(self) -> None:
        """A client isn't read from while too much waits to be written."""
        self.patch(writing, "CROWDED", 5)
        archives = self.rig.host.archives = FakeArchives()
        text = f"<message to='{BALCONY}' type='chat'><body>x</body></message>".encode()
        self.rig.send(self.romeo, text)
        self.turn()
        self.assertEqual(self.streams[self.romeo].waits, [])
        self.rig.send(self.romeo, text * 3)
        (wait, *_) = self.streams[self.romeo].waits
        self.assertFalse(fired(wait))
        archives.calls[0][1].callback(None)
        archives.calls[1][1].callback(None)
        self.assertTrue(fired(wait))

    def test_stopping(self) -> None:
        """The server doesn't stop before everything is written."""
        archives = self.rig.host.archives = FakeArchives()
        self.rig.send(self.romeo, f"<message to='{BALCONY}' type='chat'><body>x</body></message>".encode())
        waits = [observer() for observer in self.rig.host.hooks.stopping.observe]
        self.assertFalse(all(fired(each) for each in waits))
        archives.calls[0][1].callback(None)
        self.assertTrue(all(fired(each) for each in waits))


class RetentionTests(ArchiveCase):
    """L{xmppd.features.xep0313_archive.retention}."""

    options = {"options": {("xep0313_archive", "retention_days"): 1}}

    def start(self) -> None:
        """The server starts."""
        for observer in self.rig.host.hooks.starting.observe:
            observer()

    @spec("XEP-0313", "3.2")
    def test_oldest(self) -> None:
        """What is too old goes, in batches and again and again; what isn't stays."""
        for _ in range(BATCH + 10):
            self.rig.send(self.romeo, f"<message to='{BALCONY}' type='chat'><body>old</body></message>".encode())
        self.turn()
        self.rig.clock.advance(50_000)
        self.say(self.romeo, BALCONY, "<body>new</body>")
        self.start()
        self.rig.clock.pump([FIRST_SECONDS] + [0.1] * 20)
        self.assertEqual(len(self.archive(JULIET)), BATCH + 11 if BATCH + 11 <= 1000 else 1000)
        self.rig.clock.advance(40_000)
        self.rig.clock.pump([0.1] * 50)
        self.assertEqual([self.bodies(owner) for owner in (JULIET, ROMEO)], [["new"], ["new"]])
        self.rig.clock.advance(50_000)
        self.rig.clock.pump([0.1] * 50)
        self.assertEqual(self.archive(JULIET), [])

    def test_outage(self) -> None:
        """When the store can't be written the next round does it."""
        self.say(self.romeo, BALCONY)
        self.rig.clock.advance(100_000)
        self.start()
        prune = self.rig.host.archives.prune
        self.patch(self.rig.host.archives, "prune", lambda *_: fail(StoreUnavailable()))
        self.rig.clock.advance(FIRST_SECONDS)
        self.rig.host.archives.prune = prune
        self.assertEqual(len(self.archive(JULIET)), 1)
        self.rig.clock.advance(ROUND_SECONDS)
        self.assertEqual(self.archive(JULIET), [])

    def test_stop(self) -> None:
        """A server that stops visits no archive any more."""
        self.start()
        for observer in self.rig.host.hooks.stopping.observe:
            observer()
        self.assertEqual(self.rig.clock.getDelayedCalls(), [])


class TailsTests(SynchronousTestCase):
    """L{Tails}."""

    @spec("XEP-0313", "3")
    @spec("XEP-0359", "3")
    def test_cut(self) -> None:
        """Each tail is another part of what entropy gives, and long enough not to be guessed."""
        drawn: list[int] = []

        def token(octets: int) -> str:
            drawn.append(octets)
            return f"{len(drawn)}" * 20 + "abcdefgh" * 2

        tails = Tails(token)
        cut = [tails() for _ in range(4)]
        self.assertEqual(sorted(cut), ["1" * 16, "1" * 4 + "abcdefghabcd", "2" * 16, "2" * 4 + "abcdefghabcd"])
        self.assertTrue(all(octets >= 12 for octets in drawn))
        self.assertEqual(len(Tails(lambda octets: "short")()), 16)
