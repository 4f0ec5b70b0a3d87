"""
What xmppctl can ask of a server.
"""

from __future__ import annotations

import json
from typing import Any

from twisted.internet.defer import Deferred

from tests.ctl.servers import ServerCase
from tests.marks import spec
from xmppd.ctl import pages
from xmppd.ctl.changes import Reloaded
from xmppd.ctl.commands import Commands
from xmppd.ctl.exits import EX_DATAERR, EX_NOHOST, EX_NOUSER, EX_UNAVAILABLE, EX_USAGE
from xmppd.ctl.socket import CommandError
from xmppd.wire.errors import StanzaCondition, StanzaError


class CommandsCase(ServerCase):
    """A server and its commands."""

    def setUp(self) -> None:
        super().setUp()
        self.commands = Commands(self.server)

    def ask(self, name: str, /, **arguments: Any) -> Any:
        """The result of a command, after a journey through JSON."""
        running: Deferred[Any] = Deferred.fromCoroutine(self.commands(name, arguments))
        return json.loads(json.dumps(self.successResultOf(running)))

    def refusal(self, name: str, /, **arguments: Any) -> CommandError:
        """Why a command can't be done."""
        running: Deferred[Any] = Deferred.fromCoroutine(self.commands(name, arguments))
        error = self.failureResultOf(running, CommandError).value
        assert isinstance(error, CommandError)
        return error

    def add(self, *names: str) -> None:
        """Accounts whose passwords are their names."""
        for name in names:
            self.ask("user add", jid=f"{name}@example.org", password=name)


class ServerCommandsTests(CommandsCase):
    """Status, reload, stop."""

    def test_status(self) -> None:
        """The figures are those of the server."""
        self.add("romeo", "juliet")
        self.login("romeo")
        self.clock.advance(10)
        answer = self.ask("status")
        self.assertEqual(
            (answer["connections"], answer["sessions"], answer["hibernating"], answer["store_queue"]), (1, 1, 0, 0)
        )
        self.assertGreater(answer["uptime"], 9)
        org, net = answer["hosts"]
        self.assertEqual((org["domain"], org["accounts"], org["sessions"]), ("example.org", 2, 1))
        self.assertEqual((net["domain"], net["accounts"], net["registration"]), ("example.net", 0, "closed"))
        self.assertIn("xep0199_ping", org["features"])

    def test_unknown(self) -> None:
        """A command that isn't there."""
        self.assertEqual(self.refusal("dance").status, EX_USAGE)

    def test_reload(self) -> None:
        """What is wrong with a new configuration is told; so is what waits for a restart."""
        self.file.write_text(self.configuration + "[limits]\ndepth = 1\n")
        self.assertIn("limits.depth", self.ask("reload")["problems"][0])
        self.file.write_text(self.configuration.replace("registration = \"invite\"", "accounts = false\nguests = \"public\""))
        answer = self.ask("reload")
        self.assertEqual(answer["problems"], [])
        self.assertEqual(len([line for line in answer["remarks"] if "restart" in line]), 2)

    def test_reloadOfProcess(self) -> None:
        """Where a process surrounds the server, that is told to reload."""
        self.server.reloading = lambda: Reloaded(("bad",), ())
        self.assertEqual(self.ask("reload"), {"problems": ["bad"], "remarks": []})

    def test_stop(self) -> None:
        """The process is told to leave, after the answer."""
        self.assertEqual(self.refusal("stop").status, EX_UNAVAILABLE)
        left: list[str] = []
        self.server.leaving = left.append
        self.ask("stop")
        self.assertEqual(left, [])
        self.clock.advance(0)
        self.assertEqual(left, ["shutdown"])


class StreamsTests(CommandsCase):
    """Connections and sessions."""

    def test_streams(self) -> None:
        """A connection is listed from the start, and with all it has come to."""
        self.add("romeo")
        self.connect()
        self.login("romeo")
        self.clock.advance(7)
        new, bound = sorted(self.ask("streams")["items"], key=lambda each: each["state"] == "bound")
        self.assertEqual((new["state"], new["jid"], new["mechanism"]), ("login", None, None))
        self.assertEqual((bound["jid"], bound["mechanism"], bound["tls"]), ("romeo@example.org/r", "PLAIN", None))
        self.assertGreaterEqual(bound["age"], 7)
        self.assertGreater(bound["in"], 0)

    def test_hibernating(self) -> None:
        """A session without a connection is listed, too."""
        self.add("romeo")
        connection = self.login("romeo")
        session = connection.stream.session
        assert session is not None
        session.stream = None
        items = self.ask("streams")["items"]
        self.assertEqual([each["jid"] for each in items if each["state"] == "hibernating"], ["romeo@example.org/r"])
        self.assertEqual(self.ask("status")["hibernating"], 1)
        self.assertEqual(self.ask("session list")["items"][0]["state"], "hibernating")
        session.stream = connection.stream

    def test_pages(self) -> None:
        """Lists come in pages, in order, with nothing lost or doubled."""
        self.patch(pages, "PAGE", 2)
        self.add("romeo")
        for resource in "edcba":
            self.login("romeo", resource)
        found: list[str] = []
        after: str | None = ""
        while after is not None:
            answer = self.ask("session list", after=after)
            self.assertLessEqual(len(answer["items"]), 2)
            found += [each["jid"][-1] for each in answer["items"]]
            after = answer["after"]
        self.assertEqual(found, list("abcde"))

    def test_ofAccount(self) -> None:
        """The sessions of one account."""
        self.add("romeo", "juliet")
        self.login("romeo")
        self.login("juliet")
        items = self.ask("session list", jid="juliet@example.org")["items"]
        self.assertEqual([each["jid"] for each in items], ["juliet@example.org/r"])

    def test_end(self) -> None:
        """One session ends, or all of an account."""
        self.add("romeo")
        one, two, three = (self.login("romeo", resource) for resource in ("1", "2", "3"))
        self.assertEqual(self.ask("session end", jid="romeo@example.org/2"), {"ended": 1})
        self.assertEqual([each.stream.closed for each in (one, two, three)], [False, True, False])
        self.assertEqual(self.ask("session end", jid="romeo@example.org"), {"ended": 2})
        self.assertEqual(self.refusal("session end", jid="romeo@example.org").status, EX_NOUSER)
        self.assertEqual(self.refusal("session end", jid="romeo@elsewhere.example").status, EX_NOHOST)


class UserTests(CommandsCase):
    """Accounts."""

    def test_add(self) -> None:
        """An account can log in; its password isn't stored."""
        self.assertEqual(self.ask("user add", jid="ROMEO@Example.org", password="romeo"), {"jid": "romeo@example.org"})
        self.login("romeo")

    def test_addTwice(self) -> None:
        """The second time says how to change the password."""
        self.add("romeo")
        error = self.refusal("user add", jid="romeo@example.org", password="x")
        self.assertEqual(error.status, EX_DATAERR)
        self.assertIn("user passwd", str(error))

    @spec("mission", "M2")
    def test_addAlike(self) -> None:
        """A name that looks like another says like which, and how to have it all the same; so does an invitation."""
        self.add("romeo")
        error = self.refusal("user add", jid="rorneo@example.org", password="x")
        self.assertEqual(error.status, EX_DATAERR)
        self.assertIn("rorneo@example.org: The name looks like one that is taken: romeo; if it is meant", str(error))
        self.assertIn("--anyway", str(self.refusal("user add", jid="adrnin@example.org", password="x")))
        added = self.ask("user add", jid="rorneo@example.org", password="x", anyway=True)
        self.assertEqual(added, {"jid": "rorneo@example.org"})
        self.assertEqual(self.ask("user add", jid="support@example.org", password="x"), {"jid": "support@example.org"})

    def test_noAccount(self) -> None:
        """What is no account of ours."""
        for jid, status in (
            ("romeo@elsewhere.example", EX_NOHOST), ("example.org", EX_DATAERR), ("romeo@example.org/r", EX_DATAERR),
            ("@", EX_DATAERR),
        ):
            self.assertEqual(self.refusal("user add", jid=jid, password="x").status, status)
        self.assertEqual(self.refusal("user add", password="x").status, EX_USAGE)
        self.assertEqual(self.refusal("user add", jid="romeo@example.org").status, EX_USAGE)

    def test_badPassword(self) -> None:
        """A password that can't be used is refused, and not repeated."""
        running = Deferred.fromCoroutine(self.commands("user add", {"jid": "romeo@example.org", "password": "\0"}))
        error = self.failureResultOf(running, StanzaError).value
        self.assertEqual(error.condition, StanzaCondition.NOT_ACCEPTABLE)

    def test_unknownAccount(self) -> None:
        """What needs an account says if there is none."""
        for name in ("user passwd", "user del", "user disable", "user enable"):
            error = self.refusal(name, jid="romeo@example.org", password="x")
            self.assertEqual((error.status, "user list" in str(error)), (EX_NOUSER, True), name)

    def test_passwd(self) -> None:
        """The new password is the one."""
        self.ask("user add", jid="romeo@example.org", password="old")
        self.ask("user passwd", jid="romeo@example.org", password="romeo")
        self.login("romeo")

    def test_disable(self) -> None:
        """The sessions end."""
        self.add("romeo")
        connection = self.login("romeo")
        self.ask("user disable", jid="romeo@example.org")
        self.assertTrue(connection.stream.closed)
        self.assertTrue(self.ask("user list", domain="example.org")["items"][0]["disabled"])
        self.ask("user enable", jid="romeo@example.org")
        self.login("romeo")

    def test_delete(self) -> None:
        """The sessions end, and nothing is left."""
        self.add("romeo")
        connection = self.login("romeo")
        self.ask("user del", jid="romeo@example.org")
        self.assertTrue(connection.stream.closed)
        self.assertEqual(self.ask("user list")["items"], [])

    def test_list(self) -> None:
        """Domain after domain, page after page."""
        self.patch(pages, "PAGE", 2)
        for jid in ("c@example.org", "a@example.org", "b@example.org", "z@example.net"):
            self.ask("user add", jid=jid, password="x")
        found: list[str] = []
        after: str | None = ""
        while after is not None:
            answer = self.ask("user list", after=after)
            found += [each["jid"] for each in answer["items"]]
            after = answer["after"]
        self.assertEqual(found, ["a@example.org", "b@example.org", "c@example.org", "z@example.net"])
        self.assertEqual(self.refusal("user list", domain="elsewhere.example").status, EX_NOHOST)


class InviteTests(CommandsCase):
    """Invitations."""

    def test_life(self) -> None:
        """One is made, listed without its token, and revoked."""
        made = self.ask("invite create", username="romeo", seconds=60)
        self.assertTrue(made["uri"].startswith("xmpp:"))
        (listed,) = self.ask("invite list")["items"]
        self.assertEqual((listed["id"], listed["username"], listed["domain"]), (made["id"], "romeo", "example.org"))
        self.assertNotIn(made["token"], json.dumps(listed))
        self.ask("invite revoke", id=made["id"])
        self.assertEqual(self.ask("invite list")["items"], [])
        self.assertEqual(self.refusal("invite revoke", id=made["id"]).status, EX_DATAERR)

    @spec("mission", "M2")
    def test_alike(self) -> None:
        """To a name that looks like another nobody is invited, unless it is meant."""
        self.ask("user add", jid="romeo@example.org", password="x")
        self.assertIn("romeo; if it is meant", str(self.refusal("invite create", username="rorneo")))
        self.assertEqual(self.ask("invite create", username="rorneo", anyway=True)["username"], "rorneo")

    def test_closed(self) -> None:
        """Where nobody is invited, it says what to do."""
        error = self.refusal("invite create", domain="example.net")
        self.assertEqual((error.status, "registration" in str(error)), (EX_UNAVAILABLE, True))

    def test_nonsense(self) -> None:
        """Arguments of the wrong kind."""
        self.assertEqual(self.refusal("invite create", seconds="x").status, EX_DATAERR)
        self.assertEqual(self.refusal("invite create", seconds=-1).status, EX_DATAERR)
        self.assertEqual(self.refusal("invite create", username=7).status, EX_USAGE)
