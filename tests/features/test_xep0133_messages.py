"""Tests of L{xmppd.features.xep0133_messages}."""

from __future__ import annotations

from unittest import mock

from twisted.internet.defer import fail

from tests.doubles import Rig
from tests.features.administering import AdministeringCase
from tests.features.asking import JULIET
from tests.marks import spec
from xmppd.features import xep0050_commands, xep0133_messages
from xmppd.features.xep0133_messages import BATCH, KIND, LONGEST
from xmppd.ixmppd import ISession, StoreUnavailable


class MessagesTests(AdministeringCase):
    """Messages of the day, and welcome messages. Juliet and Romeo are bound, and not available."""

    features = (xep0050_commands.feature, xep0133_messages.feature)

    def setUp(self) -> None:
        super().setUp()
        self.come(self.juliet)

    def come(self, session: ISession) -> list[str]:
        """Send initial presence; answers the words of the host that this brings."""
        self.rig.send(session, b"<presence/>")
        self.rig.host.hooks.available.notify(session, True)
        return self.heard(session)

    def heard(self, session: ISession) -> list[str]:
        """The words of the host that came since the last time."""
        said = [each for each in self.streams[session].take() if each.kind == "message"]
        self.assertEqual({(each.type, each.sender, each.to) for each in said} - {("headline", "example.org", session.full)}, set())
        return [element.text for each in said for element in each.elements() if element.name == "body"]

    @spec("XEP-0133", "4.24")
    def test_set(self) -> None:
        """At once to who is available, to others when they come; to everybody once."""
        self.do("set-motd", motd=["Tea", "at five"])
        self.assertEqual((self.heard(self.juliet), self.heard(self.romeo)), (["Tea\nat five"], []))
        self.assertEqual(self.come(self.romeo), ["Tea\nat five"])
        for session in (self.bind(JULIET + "/chamber"), self.juliet, self.romeo):
            self.assertEqual(self.come(session), [])
        self.do("set-motd", motd=["Tea", "at five"])
        self.assertEqual((self.heard(self.juliet), self.heard(self.romeo)), (["Tea\nat five"],) * 2)

    @spec("XEP-0133", "4.25")
    def test_edit(self) -> None:
        """The form shows the words; better ones go to those who haven't had any."""
        self.do("set-motd", motd="Tea at fvie")
        self.heard(self.juliet)
        self.assertEqual(self.shown("edit-motd", "motd"), ("Tea at fvie",))
        self.do("edit-motd", motd="Tea at five")
        self.assertEqual((self.heard(self.juliet), self.come(self.romeo)), ([], ["Tea at five"]))

    def test_editNothing(self) -> None:
        """To edit what isn't there is to set it."""
        self.assertEqual(self.shown("edit-motd", "motd"), ())
        self.do("edit-motd", motd="Tea")
        self.assertEqual(self.heard(self.juliet), ["Tea"])

    @spec("XEP-0133", "4.26")
    def test_delete(self) -> None:
        """Nobody is told any more, and nothing is read."""
        self.do("set-motd", motd="Tea")
        self.assertIn("deleted", self.note("delete-motd"))
        self.assertIn("no such", self.note("delete-motd"))
        with mock.patch.object(self.rig.host.facts, "all", lambda *arguments: self.fail("read")):
            self.assertEqual(self.come(self.romeo), [])

    @spec("XEP-0133", "4.27", "4.28")
    def test_welcome(self) -> None:
        """Who has just got an account is welcomed once, until that is deleted."""
        self.do("set-welcome", welcome="Hail")
        self.assertEqual(self.shown("set-welcome", "welcome"), ("Hail",))
        self.assertEqual((self.heard(self.juliet), self.come(self.romeo)), ([], []))
        nurse = self.bind("nurse@example.org/kitchen")
        self.assertEqual((self.come(nurse), self.come(nurse)), (["Hail"], []))
        self.rig.account("peter")
        self.note("delete-welcome")
        self.assertEqual(self.come(self.bind("peter@example.org/gate")), [])

    def test_kept(self) -> None:
        """Over a restart: what is set, and who has had it."""
        self.do("set-motd", motd="Tea")
        self.rig = Rig(*self.features, store=self.rig.store)
        self.rig.host._known[JULIET] = True
        for observer in self.rig.host.hooks.starting.observe:
            self.successResultOf(observer())
        self.assertEqual(self.come(self.bind(JULIET + "/balcony")), [])
        self.assertEqual(self.come(self.bind("peter@example.org/gate")), ["Tea"])

    def test_guests(self) -> None:
        """Guests are told each time, and nothing is kept of them."""
        self.do("set-motd", motd="Tea")
        guest = self.bind("g@example.org/x", guest=True)
        self.assertEqual(self.come(guest), ["Tea"])
        self.assertEqual(self.successResultOf(self.rig.store.facts.all("g@example.org", KIND)), {})

    def test_refused(self) -> None:
        """No words, or too many."""
        for name, var in (("set-motd", "motd"), ("edit-motd", "motd"), ("set-welcome", "welcome")):
            for text in (" ", "x" * (LONGEST + 1)):
                self.assertEqual(self.failing(name, **{var: text}), "not-acceptable")

    def test_many(self) -> None:
        """Many are told in several turns."""
        sessions = [self.bind(f"u{number}@example.org/r") for number in range(BATCH + 5)]
        for session in sessions:
            self.come(session)
        self.do("set-motd", motd="Tea")
        before = [len(self.heard(each)) for each in sessions]
        self.rig.clock.advance(0)
        after = [len(self.heard(each)) for each in sessions]
        self.assertIn(0, before)
        self.assertEqual({one + other for one, other in zip(before, after, strict=True)}, {1})

    def test_storeUnavailable(self) -> None:
        """Who couldn't be told is told the next time."""
        self.do("set-motd", motd="Tea")
        with mock.patch.object(self.rig.host.facts, "all", lambda *arguments: fail(StoreUnavailable())):
            self.assertEqual(self.come(self.romeo), [])
        self.assertEqual(self.come(self.romeo), ["Tea"])
