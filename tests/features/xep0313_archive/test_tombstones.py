"""Tests of L{xmppd.features.xep0313_archive.retraction}."""

from __future__ import annotations

from tests.doubles import FailingStore
from tests.features.asking import JULIET, ROMEO
from tests.features.xep0313_archive.archiving import BALCONY, ORCHARD, ArchiveCase, bodyOf
from tests.marks import spec
from xmppd.features.xep0313_archive.retraction import DEPTH, WAITING
from xmppd.wire.stanza import fromBytes

RETRACTION = "urn:xmpp:message-retract:1"


def retraction(id: str) -> str:
    """The content of a retraction."""
    return f"<retract xmlns='{RETRACTION}' id='{id}'/><body>/me took it back</body>"


class RetractionTests(ArchiveCase):
    """XEP-0424 section 4 and 5."""

    def retract(self, id: str = "m1", attrs: str = "type='chat' id='r1'") -> None:
        """Romeo takes something back."""
        self.say(self.romeo, BALCONY, retraction(id), attrs)
        self.turn(5)

    @spec("XEP-0424", "4", "5")
    def test_tombstone(self) -> None:
        """In both archives nothing is left of the message but its attributes; the retraction is archived, too."""
        self.say(self.romeo, BALCONY, "<body>secret</body><x xmlns='y'>secret</x>", "type='chat' id='m1'")
        ids = [message.id for message in self.archive(JULIET)]
        self.retract()
        for owner in (JULIET, ROMEO):
            first, second = self.archive(owner)
            self.assertNotIn(b"secret", first.stanza)
            stone = fromBytes(first.stanza)
            self.assertEqual((stone.sender, stone.to, stone.id, stone.type), (ORCHARD, BALCONY, "m1", "chat"))
            (mark,) = stone.elements()
            self.assertEqual((mark.qname, mark.get("id")), (f"{RETRACTION} retracted", "r1"))
            self.assertEqual(mark.get("stamp"), "2001-09-09T01:46:40Z")
            self.assertIn(b"<retract ", second.stanza)
        self.assertEqual(self.archive(JULIET)[0].id, ids[0])
        self.retract(attrs="type='chat' id='r2'")
        self.assertIn(b"id='r1'", self.archive(JULIET)[0].stanza)

    @spec("XEP-0424", "5", "6")
    def test_others(self) -> None:
        """Nobody takes back what somebody else has said, nor what was said to somebody else."""
        self.say(self.juliet, ORCHARD, "<body>mine</body>", "type='chat' id='m1'")
        self.inject(BALCONY, "<body>theirs</body>", "type='chat' id='m1'")
        self.retract()
        self.assertEqual(self.bodies(JULIET)[:2], ["mine", "theirs"])

    @spec("XEP-0424", "4")
    def test_withoutId(self) -> None:
        """A tombstone names the retraction; there is none for one without id, or which names nothing."""
        self.say(self.romeo, BALCONY, "<body>a</body>", "type='chat' id='m1'")
        self.retract(attrs="type='chat'")
        self.retract(id="")
        self.retract(id="x" * 2000)
        self.assertEqual(self.bodies(JULIET)[0], "a")

    def test_strangeId(self) -> None:
        """Ids may hold anything."""
        self.say(self.romeo, BALCONY, "<body>a</body>", "type='chat' id='&amp;&apos;&lt;'")
        self.retract(id="&amp;&apos;&lt;")
        self.assertEqual(self.bodies(JULIET)[0], "")

    def test_far(self) -> None:
        """The latest messages are looked through, and not those further back."""
        self.say(self.romeo, BALCONY, "<body>far</body>", "type='chat' id='m0'")
        self.say(self.romeo, BALCONY, "<body>near</body>", "type='chat' id='m1'")
        for _ in range(DEPTH - 2):
            self.rig.send(self.romeo, f"<message to='{BALCONY}' type='chat'><body>x</body></message>".encode())
        self.turn()
        self.retract()
        self.retract(id="m0")
        self.assertEqual(self.bodies(JULIET)[:2], ["far", ""])

    def test_flood(self) -> None:
        """What is too much leaves no tombstone, and nothing waits for ever."""
        store = FailingStore(self.rig.store)
        self.rig.host.archives = store.archives
        store.holding = True
        for number in range(WAITING * 2):
            self.say(self.romeo, "a@example.net", retraction(str(number)), "type='chat' id='r'")
        store.proceed()
        self.turn(10)
        self.say(self.romeo, BALCONY, "<body>a</body>", "type='chat' id='m1'")
        self.retract()
        self.assertEqual(bodyOf(self.archive(ROMEO)[-2].stanza), "")

    def test_outage(self) -> None:
        """If the archive can't be read or written the message stays, and the next retraction finds its own."""
        store = FailingStore(self.rig.store)
        self.rig.host.archives = store.archives
        self.say(self.romeo, BALCONY, "<body>a</body>", "type='chat' id='m1'")
        store.failReads = True
        self.retract()
        store.failReads = 0
        self.assertEqual(self.bodies(JULIET)[0], "a")
        self.retract()
        self.assertEqual(self.bodies(JULIET)[0], "")
