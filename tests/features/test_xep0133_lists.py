"""Tests of L{xmppd.features.xep0133_lists}."""

from __future__ import annotations

from zope.interface import implementer

from tests.doubles import Rig
from tests.features.administering import AdministeringCase
from tests.features.asking import JULIET, ROMEO
from tests.marks import spec
from xmppd.features import rfc6121_im, xep0050_commands, xep0133_lists
from xmppd.features.xep0133_lists import BATCH, MOST
from xmppd.ixmppd import IDestination, ISession, RosterItem
from xmppd.wire.stanza import Stanza

BALCONY, ORCHARD = JULIET + "/balcony", ROMEO + "/orchard"
NURSE = "nurse@verona.example/kitchen"


@implementer(IDestination)
class Elsewhere:
    """All other domains."""

    domain = "verona.example"

    def __init__(self) -> None:
        self.received: list[Stanza] = []

    def deliver(self, stanza: Stanza) -> None:
        """See L{IDestination}."""
        self.received.append(stanza)

    def take(self) -> list[tuple[str, str | None, str | None]]:
        """Kind, type and receiver of what came since the last time."""
        taken, self.received = self.received, []
        return [(each.kind, each.type, each.to) for each in taken]


class ListsTests(AdministeringCase):
    """Juliet and the nurse, who is elsewhere, see each other's presence."""

    features = (rfc6121_im.feature, xep0050_commands.feature, xep0133_lists.feature)

    def prepare(self) -> None:
        self.elsewhere = Elsewhere()
        self.rig.router.remote = self.elsewhere
        for account, contact in ((JULIET, "nurse@verona.example"), (JULIET, ROMEO), (ROMEO, JULIET)):
            self.successResultOf(self.rig.host.rosters.put(account, RosterItem(contact, subscription="both")))

    def setUp(self) -> None:
        super().setUp()
        for session in (self.juliet, self.romeo):
            self.rig.send(session, b"<presence/>")
        self.forget()

    def forget(self) -> None:
        """Whatever came is of no interest."""
        for stream in self.streams.values():
            stream.take()
        self.elsewhere.take()

    def say(self, session: ISession, to: str) -> list[str]:
        """Send a message; answers the condition of the error that came, if one did."""
        self.streams[session].take()
        self.rig.send(session, f"<message to='{to}'><body>x</body></message>".encode())
        errors = [each for each in self.streams[session].take() if each.type == "error"]
        return [self.condition(each) for each in errors]

    def condition(self, stanza: Stanza) -> str:
        """The condition of an error."""
        *_, error = stanza.elements()
        return next(iter(error.elements())).name

    def hear(self, sender: str, to: str) -> int:
        """A message comes from elsewhere; answers how many sessions get it."""
        self.forget()
        self.rig.inject(f"<message from='{sender}' to='{to}' type='chat'><body>x</body></message>".encode())
        return sum(each.kind == "message" for stream in self.streams.values() for each in stream.take())

    def assertFree(self) -> None:
        """Nobody is asked anything."""
        self.assertEqual(self.rig.host.hooks.door.refuse, ())
        self.assertFalse(any(each.sending or each.receiving for each in self.streams))

    @spec("XEP-0133", "4.11")
    def test_blacklist(self) -> None:
        """In both directions, for every form of address; others aren't concerned."""
        self.assertFree()
        for entry in ("verona.example", "VERONA.example", "nurse@verona.example", NURSE):
            self.do("edit-blacklist", blacklistjids=entry)
            self.assertEqual(self.shown("edit-blacklist", "blacklistjids"), (entry.lower(),))
            self.forget()
            self.assertEqual(self.say(self.juliet, NURSE), ["not-allowed"])
            self.assertEqual(self.elsewhere.take(), [])
            for to in (BALCONY, JULIET, JULIET + "/nowhere"):
                self.assertEqual(self.hear(NURSE, to), 0)
                self.assertEqual(self.elsewhere.take(), [("message", "error", NURSE)])
            self.assertEqual(self.hear("peter@gate.example/x", BALCONY), 1)
            self.assertEqual(self.say(self.juliet, ORCHARD), [])
        self.do("edit-blacklist", blacklistjids="nurse@verona.example/hall")
        self.assertEqual((self.say(self.juliet, NURSE), self.hear(NURSE, BALCONY)), ([], 1))
        self.do("edit-blacklist", blacklistjids=[])
        self.assertEqual((self.say(self.juliet, NURSE), self.hear(NURSE, BALCONY)), ([], 1))
        self.assertFree()

    def test_requests(self) -> None:
        """Requests from the listed are refused, whoever would answer; answers are dropped."""
        self.do("edit-blacklist", blacklistjids="verona.example")
        self.forget()
        query = "<query xmlns='jabber:iq:last'/>"
        for to in ("example.org", JULIET, BALCONY):
            self.rig.inject(f"<iq type='get' id='1' from='{NURSE}' to='{to}'>{query}</iq>".encode())
            self.assertEqual([self.condition(each) for each in self.elsewhere.received], ["not-allowed"])
            self.elsewhere.take()
        self.rig.inject(f"<iq type='result' id='1' from='{NURSE}' to='{BALCONY}'/>".encode())
        self.assertEqual((self.streams[self.juliet].take(), self.elsewhere.take()), ([], []))

    @spec("XEP-0016", "2.1")
    def test_presence(self) -> None:
        """Who is listed sees contacts go, and come back; in between presence is dropped without a word."""
        self.do("edit-blacklist", blacklistjids="verona.example")
        self.assertEqual([each[:2] for each in self.elsewhere.take()], [("presence", "unavailable")])
        self.rig.send(self.juliet, b"<presence><show>away</show></presence>")
        self.rig.send(self.juliet, b"<presence to='nurse@verona.example' type='subscribe'/>")
        self.rig.inject(f"<presence from='{NURSE}' to='{JULIET}'/>".encode())
        self.rig.inject(f"<presence from='nurse@verona.example' to='{JULIET}' type='probe'/>".encode())
        self.assertEqual(self.elsewhere.take(), [])
        self.assertEqual([each.sender for each in self.streams[self.juliet].take() if each.sender == NURSE], [])
        self.do("edit-blacklist", blacklistjids=[])
        self.assertIn(("presence", None, "nurse@verona.example"), self.elsewhere.take())

    def test_ownUser(self) -> None:
        """A user who is listed keeps the session, the own roster, and the host's questions, and has nobody else."""
        self.do("edit-blacklist", blacklistjids=ROMEO)
        self.forget()
        self.assertEqual((self.say(self.romeo, BALCONY), self.say(self.juliet, ORCHARD)), (["not-allowed"],) * 2)
        self.assertEqual(self.say(self.romeo, NURSE), ["not-allowed"])
        self.result(self.romeo, "get", "<query xmlns='jabber:iq:roster'/>")
        answers = []
        self.rig.host.ask(ORCHARD, "get", b"<ping xmlns='urn:xmpp:ping'/>").addCallback(answers.append)
        (asked,) = self.streams[self.romeo].take()
        self.rig.send(self.romeo, f"<iq type='result' id='{asked.id}' to='example.org'/>".encode())
        self.assertEqual(len(answers), 1)

    def test_ownUsersPresence(self) -> None:
        """Contacts see a user who is listed go, also contacts elsewhere, and come back once."""
        self.successResultOf(self.rig.host.rosters.put(ROMEO, RosterItem("nurse@verona.example", subscription="both")))
        self.rig.send(self.romeo, f"<presence to='{NURSE}'/>".encode())
        self.forget()
        self.do("edit-blacklist", blacklistjids=ROMEO)
        self.assertEqual(self.gone(self.juliet), [ORCHARD])
        self.assertEqual(self.gone(self.romeo), [BALCONY])
        self.assertIn(("presence", "unavailable", NURSE), self.elsewhere.take())
        self.rig.send(self.romeo, f"<presence to='{BALCONY}' type='unavailable'><status>psst</status></presence>".encode())
        self.assertEqual(self.gone(self.juliet), [])
        self.do("edit-blacklist", blacklistjids=[])
        seen = [each.sender for each in self.streams[self.juliet].take() if each.kind == "presence"]
        self.assertEqual(seen, [ORCHARD])

    def gone(self, session: ISession) -> list[str | None]:
        """Who has become unavailable to somebody."""
        return [each.sender for each in self.streams[session].take() if each.type == "unavailable"]

    @spec("XEP-0133", "4.12")
    def test_whitelist(self) -> None:
        """Beside the host's own users and services only the listed are left."""
        self.rig.host.services["rooms.example.org"] = ""
        self.do("edit-whitelist", whitelistjids=["verona.example", "peter@gate.example"])
        self.assertEqual((self.say(self.juliet, NURSE), self.hear(NURSE, BALCONY)), ([], 1))
        self.assertEqual((self.hear("peter@gate.example/x", BALCONY), self.hear("sampson@gate.example/x", BALCONY)), (1, 0))
        self.assertEqual(self.say(self.juliet, "sampson@gate.example"), ["not-allowed"])
        self.assertEqual((self.say(self.juliet, ORCHARD), self.hear("cave@rooms.example.org/x", BALCONY)), ([], 1))
        self.do("edit-blacklist", blacklistjids=NURSE)
        self.assertEqual(self.say(self.juliet, NURSE), ["not-allowed"])

    def test_newSession(self) -> None:
        """Who comes later is asked, too; who comes when the lists are empty isn't."""
        self.do("edit-blacklist", blacklistjids="verona.example")
        chamber = self.bind(JULIET + "/chamber")
        self.assertEqual(self.say(chamber, NURSE), ["not-allowed"])
        self.do("edit-blacklist", blacklistjids=[])
        self.bind(JULIET + "/garden")
        self.assertFree()

    def test_kept(self) -> None:
        """Over a restart."""
        self.do("edit-blacklist", blacklistjids="verona.example")
        self.rig = Rig(*self.features, store=self.rig.store)
        for observer in self.rig.host.hooks.starting.observe:
            answer = observer()
            if answer is not None:
                self.successResultOf(answer)
        self.rig.host._known[JULIET] = True
        self.assertEqual(self.say(self.bind(BALCONY), NURSE), ["not-allowed"])

    def test_indispensable(self) -> None:
        """Neither the host nor an administrator can be shut out, nor is what isn't an address an entry."""
        for entry in ("example.org", "admin@example.org", "admin@example.org/desk", "example.org/x", "a@b@c", "x/"):
            self.assertEqual(self.failing("edit-blacklist", blacklistjids=entry), "not-acceptable")
        self.assertEqual(self.failing("edit-blacklist", blacklistjids=[f"d{n}.example" for n in range(MOST + 1)]), "not-acceptable")
        self.assertFree()
        self.do("edit-whitelist", whitelistjids="example.org")
        self.begun("edit-blacklist")

    def test_oddAddresses(self) -> None:
        """What is no address is for the router to refuse."""
        self.do("edit-blacklist", blacklistjids="verona.example")
        self.assertEqual(self.say(self.juliet, "a@b@c"), ["jid-malformed"])

    def test_many(self) -> None:
        """Presence of many follows in several turns."""
        for number in range(BATCH + 5):
            bare = f"u{number}@example.org"
            self.successResultOf(self.rig.host.rosters.put(bare, RosterItem("nurse@verona.example", subscription="both")))
            self.rig.send(self.bind(bare + "/r"), b"<presence/>")
        self.forget()
        self.do("edit-blacklist", blacklistjids="verona.example")
        first = len(self.elsewhere.take())
        self.rig.clock.advance(0)
        self.assertEqual(first + len(self.elsewhere.take()), BATCH + 6)
        self.assertLessEqual(first, BATCH)

    def test_manyOwn(self) -> None:
        """A user who is listed sees all of many contacts go, and they see it: also those whose turn comes later."""
        sessions, paris, rosters = [], "paris@example.org", self.rig.host.rosters
        bares = [f"u{number}@example.org" for number in range(BATCH + 5)]
        for bare in bares:
            self.successResultOf(rosters.put(bare, RosterItem(paris, subscription="both")))
            self.successResultOf(rosters.put(paris, RosterItem(bare, subscription="both")))
        for bare in (*bares, paris):
            sessions.append(self.bind(bare + "/r"))
            self.rig.send(sessions[-1], b"<presence/>")
        self.forget()
        self.do("edit-blacklist", blacklistjids=paris)
        self.rig.clock.advance(0)
        self.assertEqual(set(self.gone(sessions.pop())), {bare + "/r" for bare in bares})
        self.assertEqual({tuple(self.gone(each)) for each in sessions}, {(paris + "/r",)})

    def test_adminElsewhere(self) -> None:
        """An administrator with an account elsewhere needn't be on the whitelist."""
        self.rig.host._admins = frozenset({"admin@example.org", "nurse@verona.example"})
        self.do("edit-whitelist", whitelistjids="peter@gate.example")
        self.assertEqual((self.say(self.juliet, NURSE), self.hear(NURSE, BALCONY)), ([], 1))
        self.assertEqual(self.say(self.juliet, "other@verona.example"), ["not-allowed"])
