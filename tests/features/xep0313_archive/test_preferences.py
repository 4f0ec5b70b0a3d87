"""Tests of L{xmppd.features.xep0313_archive.preferences}."""

from __future__ import annotations

from tests.doubles import FailingStore, Rig
from tests.features.asking import JULIET, ROMEO
from tests.features.xep0313_archive.archiving import BALCONY, MAM, ORCHARD, ArchiveCase, feature, idsOf
from tests.marks import spec
from xmppd.features import xep0160_offline
from xmppd.features.xep0313_archive.preferences import KIND, Preferences, fromBytes
from xmppd.ixmppd import RosterItem
from xmppd.wire.element import Element
from xmppd.wire.jid import parse
from xmppd.wire.stanza import fromBytes as stanzaFrom

GET = f"<prefs xmlns='{MAM}'/>"
NURSE = "nurse@example.org"


def prefs(default: str, always: str = "", never: str = "") -> str:
    """A C{<prefs/>} with one address at most in each list."""
    lists = "".join(
        f"<{name}>{f'<jid>{jid}</jid>' if jid else ''}</{name}>" for name, jid in (("always", always), ("never", never))
    )
    return f"<prefs xmlns='{MAM}' default='{default}'>{lists}</prefs>"


class PreferencesTests(ArchiveCase):
    """XEP-0441."""

    features = (feature, xep0160_offline.feature)

    def prepare(self) -> None:
        self.rig.account("nurse")

    def want(self, *arguments: str) -> None:
        """Juliet says what she wants."""
        self.result(self.juliet, "set", prefs(*arguments))

    def assertKept(self, expected: bool, sender: str = ORCHARD) -> None:
        """Whether Juliet's archive keeps what passes between her and somebody; and the ids say the same."""
        before = len(self.archive(JULIET))
        self.got(self.juliet)
        self.inject(BALCONY, sender=sender)
        self.assertEqual(bool(idsOf(self.got(self.juliet)[0])), expected)
        self.say(self.juliet, sender)
        self.assertEqual(len(self.archive(JULIET)) - before, 2 * expected)

    def start(self) -> None:
        """The server has been started again."""
        for account in (JULIET, ROMEO, NURSE):
            self.rig.host.hooks.registered.notify(account)
        for observer in self.rig.host.hooks.starting.observe:
            observer()

    @spec("XEP-0441", "2.1")
    def test_getAndSet(self) -> None:
        """Both lists are there, also if they are empty; what is set is answered."""
        lists = (Element("always", MAM), Element("never", MAM))
        self.assertEqual(self.result(self.juliet, "get", GET), Element("prefs", MAM, {"default": "always"}, lists))
        answer = self.result(self.juliet, "set", prefs("roster", "A@example.NET", "b@example.net/x"))
        assert answer is not None
        self.assertEqual(answer.get("default"), "roster")
        self.assertEqual(answer.toBytes(), (self.result(self.juliet, "get", GET) or answer).toBytes())
        self.assertIn(b"<always><jid>a@example.net</jid></always>", answer.toBytes())

    @spec("XEP-0441", "2.1", "2.1.1")
    def test_mistakes(self) -> None:
        """A default there isn't, addresses that are none, too many of them; and others' preferences."""
        self.assertEqual(self.error(self.juliet, "set", prefs("sometimes")), "bad-request")
        self.assertEqual(self.error(self.juliet, "set", f"<prefs xmlns='{MAM}'/>"), "bad-request")
        self.assertEqual(self.error(self.juliet, "set", prefs("always", "@")), "jid-malformed")
        many = f"<prefs xmlns='{MAM}' default='never'><always>{'<jid>a@b</jid>' * 501}</always></prefs>"
        self.assertEqual(self.error(self.juliet, "set", many), "resource-constraint")
        long = "".join(f"<jid>{number}{'a' * 900}@b</jid>" for number in range(100))
        many = f"<prefs xmlns='{MAM}' default='never'><always>{long}</always></prefs>"
        self.assertEqual(self.error(self.juliet, "set", many), "resource-constraint")
        self.assertEqual(self.error(self.romeo, "get", GET, JULIET), "forbidden")
        self.assertEqual(self.error(self.romeo, "set", prefs("never"), JULIET), "forbidden")
        guest = self.bind("guest@example.org/x", guest=True)
        self.assertEqual(self.error(guest, "set", prefs("never")), "forbidden")

    @spec("XEP-0441", "2.1.2", "2.1.3", "2.3.1", "2.3.2", "2.3.3")
    def test_lists(self) -> None:
        """Lists come before the default; a bare address stands for all its resources, a full one for itself."""
        self.want("always", "", ROMEO)
        self.assertKept(False)
        self.assertKept(True, "a@example.net/x")
        self.want("never", ORCHARD)
        self.assertKept(True)
        self.assertKept(False, f"{ROMEO}/phone")

    def test_precision(self) -> None:
        """The more precise entry counts, and of equal ones that which keeps less."""
        both = Preferences("always", frozenset({ROMEO, ORCHARD}), frozenset({ROMEO}))
        self.assertEqual(both.wants(parse(ORCHARD)), True)
        self.assertEqual(both.wants(parse(ROMEO)), False)

    @spec("XEP-0441", "2.1.1", "2.3.1")
    def test_roster(self) -> None:
        """By default only contacts, compared by their bare addresses."""
        self.rig.host.presence.rosters[JULIET] = {ROMEO}  # type: ignore[attr-defined]
        self.want("roster")
        self.assertKept(True)
        self.assertKept(False, "a@example.net/x")

    def test_never(self) -> None:
        """The other side keeps its own copy, whatever one wants."""
        self.want("never")
        self.say(self.romeo, BALCONY)
        self.say(self.juliet, BALCONY)
        self.assertEqual(self.archive(JULIET), [])
        self.assertEqual(len(self.archive(ROMEO)), 1)

    def test_hostDefault(self) -> None:
        """The administrator says what holds for those who say nothing."""
        self.rig = Rig(feature, options={(feature.name, "default"): "never"})
        self.juliet = self.bind(BALCONY)
        self.assertKept(False)
        self.want("always")
        self.assertKept(True)

    def test_restart(self) -> None:
        """What was said holds after a restart, for those who log in and for those who are away."""
        self.want("never")
        for account in (JULIET, NURSE):
            self.rig.host.facts.put(account, KIND, "", Preferences("roster", frozenset({ROMEO})).toBytes())
        self.rig = Rig(*self.features, store=self.rig.store)
        self.start()
        self.juliet = self.bind(BALCONY)
        self.assertKept(True)
        self.rig.host.rosters.put(NURSE, RosterItem("a@example.net"))
        for sender in (ORCHARD, "a@example.net/x", "b@example.net/x"):
            self.inject(NURSE, sender=sender)
        self.assertEqual([each.peer for each in self.archive(NURSE)], [ROMEO, "a@example.net"])
        spooled: list[object] = []
        self.rig.host.spool.offline(NURSE).addCallback(lambda rows: spooled.extend(rows))
        told = [bool(idsOf(stanzaFrom(row.stanza))) for row in spooled]  # type: ignore[attr-defined]
        self.assertEqual(told, [True, True, False])

    def test_lookingUp(self) -> None:
        """While it is looked up what somebody wants who is away, messages wait in order; a promise waits with them."""
        store = FailingStore(self.rig.store)
        self.rig.host.facts.put(NURSE, KIND, "", Preferences("never", frozenset({ROMEO})).toBytes())
        self.rig = Rig(*self.features, store=store)
        self.start()
        store.holding = True
        promised = stanzaFrom(f"<message from='{ORCHARD}' to='{NURSE}' type='chat'><body>a</body></message>".encode())
        promised.promise = []
        self.rig.router.route(promised)
        self.inject(NURSE, "<body>b</body>")
        self.assertFalse(promised.promise[0].called)
        store.proceed()
        self.turn(3)
        self.assertTrue(promised.promise[0].called)
        self.assertEqual(self.bodies(NURSE), ["a"])
        rows: list[object] = []
        self.rig.host.spool.offline(NURSE).addCallback(rows.extend)
        self.assertEqual([b"<body>a" in row.stanza for row in rows], [True, False])  # type: ignore[attr-defined]
        store.failReads = True
        self.inject(NURSE, "<body>c</body>", sender=ORCHARD)
        store.failReads = 0
        self.assertEqual(self.bodies(NURSE), ["a"])

    def test_unreadable(self) -> None:
        """What can't be read counts as a wish for less."""
        for data in (b"{}", b"[]", b'{"default": "x"}', b'{"default": "never", "always": 1}'):
            self.assertRaises(ValueError, fromBytes, data)
        self.rig.host.facts.put(JULIET, KIND, "", b"{}")
        self.rig = Rig(feature, store=self.rig.store)
        self.start()
        self.juliet = self.bind(BALCONY)
        self.assertKept(False)

    def test_forgotten(self) -> None:
        """Who takes the name of a removed account has said nothing."""
        self.want("never")
        self.rig.host.registrar.remove(JULIET)
        self.rig.account("juliet")
        self.juliet = self.bind(BALCONY)
        self.assertKept(True)
