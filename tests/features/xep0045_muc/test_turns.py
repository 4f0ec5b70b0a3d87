"""Tests of L{xmppd.features.xep0045_muc.turns}: who enters a large room is welcomed in several turns."""

from __future__ import annotations

from tests.features.xep0045_muc.base import JOIN, ROOM, Person, RoomCase, codes, nick
from tests.marks import spec
from xmppd.features.xep0045_muc import presence, turns


class LargeTests(RoomCase):
    """A room of twenty, where ten are many and three a turn."""

    options = {"presence_per_minute": 0}

    def setUp(self) -> None:
        super().setUp()
        self.found()
        self.people = [self.person(f"p{number}") for number in range(20)]
        for number, each in enumerate(self.people):
            self.enter(each, f"n{number}")
        for patched in (turns, presence):
            self.patch(patched, "LARGE", 10)
        self.patch(turns, "AT_ONCE", 3)
        for each in (self.first, *self.people):
            each.take()

    def join(self, who: Person, name: str) -> None:
        """Enter, and take nothing."""
        who.send(f"<presence to='{ROOM}/{name}'>{JOIN}</presence>")

    def turn(self) -> None:
        """One turn of the reactor."""
        (call,) = (each for each in self.rig.clock.calls if each.getTime() <= self.rig.clock.seconds())
        self.rig.clock.calls.remove(call)
        call.called = 1
        call.func(*call.args, **call.kw)

    @spec("XEP-0045", "7.1")
    def test_order(self) -> None:
        """Each turn has its share; all comes in the order in which it happened, also what is said meanwhile."""
        self.join(self.third, "thirdwitch")
        self.assertEqual(self.third.take(), [])
        self.assertEqual([nick(each) for each in self.people[0].take()], ["thirdwitch"])
        self.turn()
        got = self.third.take()
        self.assertEqual(len(got), 3)
        self.say(self.people[3], "meanwhile")
        self.people[4].send(f"<presence to='{ROOM}/n4' type='unavailable'/>")
        self.third.send(f"<message type='chat' to='{ROOM}/thirdwitch' id='own'><body>to myself</body></message>")
        for _ in range(20):
            if not self.service.turns.count:
                break
            self.turn()
            more = self.third.take()
            self.assertLessEqual(len(more), 3)
            got += more
        shown = [nick(each) for each in got[:21]]
        self.assertEqual(shown, ["firstwitch", *(f"n{number}" for number in range(20))])
        own, subject, said, left, private = got[21:]
        self.assertEqual((nick(own), codes(own)), ("thirdwitch", {110}))
        self.assertEqual(list(subject.childNames), ["jabber:client subject"])
        self.assertEqual((nick(said), said.kind), ("n3", "message"))
        self.assertEqual((nick(left), left.type), ("n4", "unavailable"))
        self.assertEqual(private.id, "own")
        self.say(self.third, "directly")
        self.assertEqual(len(self.third.take()), 1)
        self.assertEqual(self.service.turns.count, 0)

    def test_leaving(self) -> None:
        """Who leaves meanwhile gets the end, too, in order; who is gone gets nothing."""
        other = self.person("other")
        self.join(self.third, "thirdwitch")
        self.join(other, "other")
        self.third.send(f"<presence to='{ROOM}/thirdwitch' type='unavailable'/>")
        other.session.end()
        for _ in range(30):
            self.rig.clock.advance(0)
        self.assertEqual((self.third.take()[-1].type, other.take(), self.service.turns.count), ("unavailable", [], 0))
        self.assertEqual(len(self.room.seats), 21)

    def test_again(self) -> None:
        """Who asks for everything again while he is being welcomed gets it behind the first."""
        for _ in range(2):
            self.join(self.third, "thirdwitch")
        for _ in range(30):
            self.rig.clock.advance(0)
        self.assertEqual([nick(each) for each in self.third.take()].count("n7"), 2)

    def test_elsewhere(self) -> None:
        """Those of other servers are welcomed in turns, too."""
        self.rig.inject(f"<presence from='x@example.net/y' to='{ROOM}/x'>{JOIN}</presence>".encode())
        self.assertEqual(self.elsewhere.take(), [])
        for _ in range(20):
            self.rig.clock.advance(0)
        self.assertEqual(len(self.elsewhere.take()), 23)

    def test_bound(self) -> None:
        """When too much waits, all of it is delivered."""
        self.patch(turns, "MOST", 30)
        self.join(self.third, "thirdwitch")
        self.assertEqual(self.third.take(), [])
        self.join(self.person("other"), "other")
        self.assertEqual(len(self.third.take()), 24)
        self.assertEqual(self.service.turns.count, 0)

    def test_stop(self) -> None:
        """When the service stops, nothing waits any more."""
        self.join(self.third, "thirdwitch")
        self.host.hooks.stopping.notify()
        self.assertEqual(codes(self.third.take()[-1]), {110, 332})
