"""Tests of L{xmppd.features.xep0133_admin}."""

from __future__ import annotations

from typing import Any

from tests.doubles import Rig
from tests.features.asking import ADMIN, JULIET, ROMEO, AskingCase
from tests.marks import spec
from xmppd.features import xep0030_disco, xep0050_commands, xep0133_admin
from xmppd.features.xep0133_admin import BATCH
from xmppd.ixmppd import RosterItem
from xmppd.wire import forms
from xmppd.wire.element import Element
from xmppd.wire.errors import StreamCondition

NS = "http://jabber.org/protocol/commands"
NODE = "http://jabber.org/protocol/admin#"


class AdminTests(AskingCase):
    """An administrator at work."""

    features = (xep0030_disco.feature, xep0050_commands.feature)

    def prepare(self) -> None:
        """Whoever can end the server is known before the feature joins."""
        self.ended: list[tuple[str, float]] = []
        self.rig.host.lifecycle = lambda verb, seconds: self.ended.append((verb, seconds))
        xep0133_admin.feature.join(self.rig.host)

    def setUp(self) -> None:
        super().setUp()
        self.admin = self.bind(ADMIN + "/desk")

    def command(self, name: str, content: str = "", id: str | None = None) -> str:
        """A request."""
        session = "" if id is None else f" sessionid='{id}'"
        return f"<command xmlns='{NS}' node='{NODE}{name}'{session}>{content}</command>"

    def submission(self, name: str, values: dict[str, Any]) -> str:
        """Ask for the form of a command and fill it in."""
        first = self.result(self.admin, "set", self.command(name), "example.org")
        self.assertEqual(first.get("status"), "executing")
        form = forms.formIn(first)
        self.assertEqual(forms.formTypeOf(form), "http://jabber.org/protocol/admin")
        self.assertLessEqual(set(values), set(forms.values(form)))
        fields = []
        for var, given in values.items():
            texts = [given] if isinstance(given, str) else given
            fields.append(f"<field var='{var}'>{''.join(f'<value>{text}</value>' for text in texts)}</field>")
        return self.command(name, f"<x xmlns='jabber:x:data' type='submit'>{''.join(fields)}</x>", first.get("sessionid"))

    def do(self, name: str, **values: Any) -> Element:
        """Run a command of one form; answers the completed command."""
        done = self.result(self.admin, "set", self.submission(name, values), "example.org")
        self.assertEqual(done.get("status"), "completed")
        return done

    def failing(self, name: str, **values: Any) -> str:
        """Run a command of one form that fails."""
        return self.error(self.admin, "set", self.submission(name, values), "example.org")

    def values(self, done: Element) -> dict[str, tuple[str, ...]]:
        """The fields of a result."""
        return {var: texts for var, texts in forms.values(forms.formIn(done)).items() if var != "FORM_TYPE"}

    # --- who and what

    @spec("XEP-0133", "3", "6")
    def test_onlyAdministrators(self) -> None:
        """Every command is listed for administrators, and forbidden to others."""
        query = f"<query xmlns='http://jabber.org/protocol/disco#items' node='{NS}'/>"
        listed = [item.get("node") for item in self.result(self.admin, "get", query, "example.org").elements()]
        self.assertEqual(len(listed), 16)
        self.assertEqual(self.result(self.juliet, "get", query, "example.org").children, ())
        for node in listed:
            name = node.removeprefix(NODE)
            self.assertEqual(self.error(self.juliet, "set", self.command(name), "example.org"), "forbidden")

    # --- accounts

    @spec("XEP-0133", "4.1", "5")
    def test_addUser(self) -> None:
        """An account is made; a name that is taken is a conflict, passwords that differ are not accepted."""
        self.do("add-user", **{"accountjid": "nurse@example.org", "password": "a", "password-verify": "a"})
        self.assertTrue(self.successResultOf(self.rig.host.passwords.check("nurse@example.org", "a")))
        self.assertEqual(self.failing("add-user", accountjid="nurse@example.org", password="b"), "conflict")
        wrong = {"accountjid": "n@example.org", "password": "a", "password-verify": "b"}
        self.assertEqual(self.failing("add-user", **wrong), "not-acceptable")
        self.assertEqual(self.failing("add-user", accountjid="n@example.com", password="a"), "item-not-found")
        self.assertEqual(self.failing("add-user", accountjid="@", password="a"), "bad-request")

    @spec("XEP-0133", "4.1")
    @spec("mission", "M2")
    def test_addUserAlike(self) -> None:
        """What looks like another account is made only if it is meant; a protected name is an administrator's to give."""
        self.assertEqual(self.failing("add-user", accountjid="ju1iet@example.org", password="a"), "conflict")
        self.assertEqual(self.failing("add-user", accountjid="supp0rt@example.org", password="a"), "not-acceptable")
        self.do("add-user", accountjid="ju1iet@example.org", password="a", anyway="1")
        self.do("add-user", accountjid="support@example.org", password="a")
        self.assertTrue(self.successResultOf(self.rig.host.exists("ju1iet@example.org")))
        tally = self.rig.host.counters.tally("names", "", "host", "kind", "action")
        self.assertEqual(tally.values, {("example.org", "account", "refuse"): 3})

    @spec("XEP-0133", "4.2")
    def test_deleteUser(self) -> None:
        """Accounts go with their sessions; those that aren't there are named."""
        done = self.do("delete-user", accountjids=[JULIET, "nobody@example.org"])
        self.assertTrue(self.juliet.over)
        self.assertFalse(self.successResultOf(self.rig.host.exists(JULIET)))
        self.assertEqual(done.find("note").attrs["type"], "error")
        self.assertIn("nobody@example.org", done.textOf("note"))

    @spec("XEP-0133", "4.3", "4.4")
    def test_disableUser(self) -> None:
        """An account can't be used until it is enabled again."""
        self.do("disable-user", accountjids=JULIET)
        self.assertTrue(self.juliet.over)
        self.assertTrue(self.successResultOf(self.rig.host.accounts.get(JULIET)).disabled)
        self.do("reenable-user", accountjids=JULIET)
        self.assertFalse(self.successResultOf(self.rig.host.accounts.get(JULIET)).disabled)

    def test_notOneself(self) -> None:
        """Administrators don't lock themselves out by a slip."""
        self.assertEqual(self.failing("delete-user", accountjids=[JULIET, ADMIN]), "not-allowed")
        self.assertEqual(self.failing("disable-user", accountjids=ADMIN), "not-allowed")
        self.assertFalse(self.juliet.over)

    @spec("XEP-0133", "4.5")
    def test_endUserSession(self) -> None:
        """One session by its full JID, all by the bare one; the user may come back."""
        other = self.bind(JULIET + "/other")
        self.do("end-user-session", accountjids=JULIET + "/other")
        self.assertTrue(other.over)
        self.assertFalse(self.juliet.over)
        self.do("end-user-session", accountjids=JULIET)
        self.assertTrue(self.juliet.over)
        self.assertEqual(self.streams[self.juliet].closedWith.condition, StreamCondition.NOT_AUTHORIZED)
        self.assertFalse(self.bind(JULIET + "/again").over)

    @spec("XEP-0133", "4.7")
    def test_changeUserPassword(self) -> None:
        """The new password holds."""
        self.do("change-user-password", accountjid=JULIET, password="new")
        self.assertTrue(self.successResultOf(self.rig.host.passwords.check(JULIET, "new")))
        self.assertEqual(self.failing("change-user-password", accountjid="n@example.org", password="x"), "item-not-found")

    def test_manyAccounts(self) -> None:
        """A command names only so many accounts."""
        many = [f"u{number}@example.org" for number in range(101)]
        self.assertEqual(self.failing("delete-user", accountjids=many), "bad-request")

    # --- looking

    @spec("XEP-0133", "4.8")
    def test_getUserRoster(self) -> None:
        """The roster as the user has it."""
        self.rig.host.rosters.putMany(
            JULIET,
            [
                RosterItem(ROMEO, name="R", subscription="both", groups=("Friends",)),
                RosterItem("paris@example.org", pendingIn=b"<presence/>", listed=False),
            ],
        )
        done = self.do("get-user-roster", accountjids=JULIET)
        query = forms.formIn(done).find("query", "jabber:iq:roster")
        self.assertEqual(
            query.toBytes("jabber:iq:roster"),
            b"<query><item jid='romeo@example.org' name='R' subscription='both'><group>Friends</group></item></query>",
        )

    @spec("XEP-0133", "4.9")
    def test_getUserLastLogin(self) -> None:
        """Who is online logged in then; who is offline was here until then; nobody, never."""
        self.assertEqual(self.values(self.do("get-user-lastlogin", accountjids=JULIET))["lastlogin"], ("2001-09-09T01:46:40Z",))
        self.juliet.end()
        self.rig.host.accounts.setLastActivity(JULIET, 1_000_000_060, "")
        self.assertEqual(self.values(self.do("get-user-lastlogin", accountjids=JULIET))["lastlogin"], ("2001-09-09T01:47:40Z",))
        self.rig.account("nurse")
        self.assertNotIn("lastlogin", self.values(self.do("get-user-lastlogin", accountjids="nurse@example.org")))
        self.assertEqual(self.failing("get-user-lastlogin", accountjids="nobody@example.org"), "item-not-found")

    @spec("XEP-0133", "4.10")
    def test_userStats(self) -> None:
        """Addresses, roster size, resources."""
        self.rig.host.rosters.put(JULIET, RosterItem(ROMEO))
        self.bind(JULIET + "/other")
        self.assertEqual(
            self.values(self.do("user-stats", accountjid=JULIET)),
            {"ipaddresses": ("192.0.2.1",), "rostersize": ("1",), "onlineresources": ("balcony", "other")},
        )

    @spec("XEP-0133", "4.13", "4.15")
    def test_numbers(self) -> None:
        """Numbers come at once."""
        self.rig.account("nurse")
        for name, var, number in (("registered", "registeredusersnum", "4"), ("online", "onlineusersnum", "3")):
            done = self.result(self.admin, "set", self.command(f"get-{name}-users-num"), "example.org")
            self.assertEqual(done.get("status"), "completed")
            self.assertEqual(self.values(done), {var: (number,)})

    @spec("XEP-0133", "4.18", "4.20")
    def test_lists(self) -> None:
        """Lists are bounded and go on behind an address."""
        self.rig.account(*(f"u{number:02}" for number in range(30)))
        registered = self.values(self.do("get-registered-users-list", max_items="25"))["registereduserjids"]
        self.assertEqual(registered[:3], (ADMIN, JULIET, ROMEO))
        self.assertEqual(len(registered), 25)
        rest = self.values(self.do("get-registered-users-list", max_items="25", after=registered[-1]))["registereduserjids"]
        self.assertEqual(len(rest), 8)
        self.assertEqual(self.values(self.do("get-online-users-list"))["onlineuserjids"], (ADMIN, JULIET, ROMEO))
        self.assertEqual(self.values(self.do("get-online-users-list", after=JULIET))["onlineuserjids"], (ROMEO,))
        for wrong in ("none", "-1", "1000000", "x"):
            self.assertEqual(self.failing("get-online-users-list", max_items=wrong), "not-acceptable")

    # --- the service

    @spec("XEP-0133", "4.23")
    def test_announce(self) -> None:
        """Every session hears it from the domain."""
        self.streams[self.juliet].take()
        self.do("announce", announcement=["One", "Two"])
        (message,) = self.streams[self.juliet].take()
        self.assertEqual((message.sender, message.to), ("example.org", JULIET + "/balcony"))
        self.assertEqual(message.elements()[0].text, "One\nTwo")

    def test_announceInBatches(self) -> None:
        """Many sessions are told in several turns; those that have gone meanwhile are passed over."""
        sessions = [self.bind(f"u{number}@example.org/x") for number in range(BATCH + 5)]
        self.do("announce", announcement="One")
        heard = [session for session in sessions if self.streams[session].take()]
        self.assertLess(len(heard), len(sessions))
        sessions[-1].end()
        self.rig.clock.advance(0)
        heard += [session for session in sessions if self.streams[session].take()]
        self.assertEqual(len(heard), len(sessions) - 1)

    @spec("XEP-0133", "4.30", "4.31")
    def test_lifecycle(self) -> None:
        """Everybody is told, then whoever ends the server is called with the delay."""
        self.streams[self.juliet].take()
        self.do("restart", delay="120", announcement="Back soon")
        self.do("shutdown", delay="30")
        self.assertEqual(self.ended, [("restart", 120.0), ("shutdown", 30.0)])
        self.assertEqual(len(self.streams[self.juliet].take()), 1)
        self.assertEqual(self.failing("shutdown", delay="1e9"), "not-acceptable")

    def test_noLifecycle(self) -> None:
        """Where nobody can end the server it isn't offered."""
        rig = Rig(xep0133_admin.feature)
        self.assertNotIn(NODE + "shutdown", rig.host.commands)

    def test_namesake(self) -> None:
        """A name alone makes no administrator: the domain has to be right, too."""
        sent: list[Any] = []
        self.rig.router.remote = type("Remote", (), {"deliver": lambda self, stanza: sent.append(stanza)})()
        request = self.command("get-online-users-num")
        self.rig.inject(f"<iq type='set' id='1' from='admin@example.com/x' to='example.org'>{request}</iq>".encode())
        self.assertIn(b"forbidden", sent[0].raw)
