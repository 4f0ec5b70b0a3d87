"""
What xmppctl can ask about rooms, and what people see of the answers.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from click.testing import CliRunner, Result

from tests.ctl.servers import CONFIGURATION
from tests.ctl.test_commands import CommandsCase
from tests.marks import spec
from xmppd.ctl import pages
from xmppd.ctl.exits import EX_DATAERR, EX_NOHOST, EX_NOUSER, EX_UNAVAILABLE, EX_USAGE
from xmppd.ctl.line import Target
from xmppd.ctl.main import xmppctlGroup
from xmppd.ctl.socket import CommandError
from xmppd.net.c2s import ClientConnection

CAVE = "cave@rooms.example.org"
MUC = "http://jabber.org/protocol/muc"
ENTER = f"<x xmlns='{MUC}'/>"
SERVICES = """
[rooms."rooms.example.org"]
[rooms."talks.example.net"]
[pubsub."pubsub.example.org"]
"""


class RoomsCase(CommandsCase):
    """A server with two services of rooms, and an administrator."""

    configuration = (
        CONFIGURATION.replace('c2s = ["tcp:0:interface=127.0.0.1"]', "").replace(
            '[host."example.net"]', 'admins = ["admin@example.org"]\n[host."example.net"]'
        )
        + SERVICES
    )

    def setUp(self) -> None:
        super().setUp()
        self.add("romeo", "juliet")
        self.romeo = self.login("romeo")

    def enter(self, connection: ClientConnection, room: str = CAVE) -> bytes:
        """Enter a room, which thereby is made."""
        return self.send(connection, f"<presence to='{room}/me'>{ENTER}</presence>".encode())

    def make(self, room: str = CAVE, fields: str = "") -> None:
        """Romeo makes a room."""
        self.enter(self.romeo, room)
        form = f"<x xmlns='jabber:x:data' type='submit'>{fields}</x>"
        answer = self.send(self.romeo, f"<iq type='set' id='m' to='{room}'><query xmlns='{MUC}#owner'>{form}</query></iq>".encode())
        self.assertIn(b"result", answer)

    def assertRefused(self, status: int, words: str, name: str, /, **arguments: Any) -> None:
        """A command is refused with these words, in one line with a remedy."""
        error = self.refusal(name, **arguments)
        self.assertEqual((error.status, words in str(error)), (status, True), error)
        self.assertNotIn("\n", str(error))


class RoomCommandsTests(RoomsCase):
    """L{xmppd.ctl.rooms.RoomCommands}."""

    def test_list(self) -> None:
        """The rooms of all services, or of one, in order and in pages."""
        self.patch(pages, "PAGE", 2)
        self.assertEqual(self.ask("room list"), {"items": [], "after": None})
        for each in ("b@rooms.example.org", "a@talks.example.net", CAVE):
            self.make(each)
        first = self.ask("room list")
        second = self.ask("room list", after=first["after"])
        found = [each["jid"] for each in (*first["items"], *second["items"])]
        self.assertEqual((found, second["after"]), (["a@talks.example.net", "b@rooms.example.org", CAVE], None))
        items = self.ask("room list", service="TALKS.example.net")["items"]
        self.assertEqual([each["jid"] for each in items], ["a@talks.example.net"])
        room = items[0]
        self.assertEqual((room["occupants"], room["locked"], room["persistent"]), (1, False, False))

    def test_unknownService(self) -> None:
        """What has no rooms is told apart from what is no address."""
        for domain in ("example.org", "pubsub.example.org", "elsewhere.example", "me@rooms.example.org"):
            self.assertRefused(EX_NOHOST, "rooms.example.org, talks.example.net", "room list", service=domain)
        self.assertRefused(EX_DATAERR, "write one like rooms.", "room list", service="@")

    def test_info(self) -> None:
        """All but the password, of which is said that there is one."""
        field = "<field var='{}'><value>{}</value></field>"
        names = ("FORM_TYPE", "muc#roomconfig_passwordprotectedroom", "muc#roomconfig_roomsecret", "muc#roomconfig_roomname")
        self.make(fields="".join(map(field.format, names, (f"{MUC}#roomconfig", "1", "s3cret", "The cave"))))
        answer = self.ask("room info", room=CAVE.upper())
        self.assertEqual((answer["jid"], answer["name"], answer["occupants"]), (CAVE, "The cave", 1))
        self.assertEqual(answer["affiliations"], {"romeo@example.org": "owner"})
        self.assertIs(answer["config"]["password"], True)
        self.assertNotIn("s3cret", json.dumps(answer))

    def test_noRoom(self) -> None:
        """What is no room of ours."""
        for name in ("room info", "room destroy", "room affiliation"):
            for room, status, words in (
                (CAVE, EX_NOUSER, "room list"),
                ("cave@elsewhere.example", EX_NOHOST, "rooms.example.org, talks.example.net"),
                ("cave@example.org", EX_NOHOST, "rooms.example.org"),
                ("rooms.example.org", EX_DATAERR, "write ROOM@rooms.example.org"),
                (f"{CAVE}/nick", EX_DATAERR, "write ROOM@rooms.example.org"),
                ("@", EX_DATAERR, "no address"),
            ):
                self.assertRefused(status, words, name, room=room, jid="romeo@example.org")
            self.assertEqual(self.refusal(name).status, EX_USAGE)

    @spec("XEP-0045", "10.9")
    def test_destroy(self) -> None:
        """The occupants hear why, and where to go."""
        self.make()
        self.romeo.transport.clear()
        answer = self.ask("room destroy", room=CAVE, reason="too \x1bdark", venue="HALL@rooms.example.org")
        self.assertEqual(answer, {"jid": CAVE, "occupants": 1, "venue": "hall@rooms.example.org"})
        heard = self.send(self.romeo, b" ")
        self.assertIn(b"<destroy jid='hall@rooms.example.org'><reason>too \xef\xbf\xbddark</reason>", heard)
        self.assertEqual(self.ask("room list")["items"], [])
        self.assertRefused(EX_NOUSER, "room list", "room destroy", room=CAVE)

    def test_venue(self) -> None:
        """Nobody is sent to what is no address, or to where he comes from; the room stays."""
        self.make()
        self.assertRefused(EX_DATAERR, "no address", "room destroy", room=CAVE, venue="@")
        self.assertRefused(EX_DATAERR, "another room", "room destroy", room=CAVE, venue=CAVE)
        self.assertEqual(self.ask("room info", room=CAVE)["occupants"], 1)

    def test_affiliation(self) -> None:
        """It is changed and shown; who is in the room hears of it."""
        self.make()
        juliet = self.login("juliet")
        self.send(juliet, f"<presence to='{CAVE}/juliet'>{ENTER}</presence>".encode())
        asked = {"room": CAVE, "jid": "JULIET@example.org"}
        self.assertEqual(self.ask("room affiliation", **asked)["affiliation"], "none")
        answer = self.ask("room affiliation", **asked, affiliation="member")
        self.assertEqual((answer["jid"], answer["affiliation"], answer["before"]), ("juliet@example.org", "member", "none"))
        self.assertEqual(self.ask("room affiliation", **asked)["affiliation"], "member")
        self.assertIn(b"affiliation='member'", self.send(juliet, b" "))
        self.ask("room affiliation", **asked, affiliation="outcast")
        self.assertIn(b"<status code='301'/>", self.send(juliet, b" "))
        self.assertEqual(self.ask("room info", room=CAVE)["occupants"], 1)

    @spec("XEP-0045", "9.2")
    def test_domain(self) -> None:
        """A whole domain can be banned; that shows with its users."""
        self.make()
        self.ask("room affiliation", room=CAVE, jid="bad.example", affiliation="outcast")
        self.assertEqual(self.ask("room affiliation", room=CAVE, jid="a@bad.example")["affiliation"], "outcast")

    def test_administrator(self) -> None:
        """Who administrates the service owns the room whatever the list says, and that is said."""
        self.make()
        answer = self.ask("room affiliation", room=CAVE, jid="admin@example.org")
        self.assertEqual((answer["affiliation"], answer["administrator"]), ("none", True))
        self.assertFalse(self.ask("room affiliation", room=CAVE, jid="romeo@example.org")["administrator"])

    @spec("XEP-0045", "10.4")
    def test_badAffiliation(self) -> None:
        """Words and addresses that are none; the last owner stays."""
        self.make()
        asked = {"room": CAVE}
        self.assertRefused(EX_DATAERR, "did you mean member?", "room affiliation", **asked, jid="a@example.org", affiliation="membr")
        self.assertRefused(EX_DATAERR, "outcast", "room affiliation", **asked, jid="a@example.org", affiliation="xyz")
        self.assertRefused(EX_DATAERR, "no address", "room affiliation", **asked, jid="@", affiliation="member")
        self.assertRefused(EX_DATAERR, "write a@example.org", "room affiliation", **asked, jid="a@example.org/r", affiliation="member")
        self.assertRefused(EX_DATAERR, "room destroy", "room affiliation", **asked, jid="romeo@example.org", affiliation="none")
        self.assertEqual(self.ask("room info", room=CAVE)["affiliations"], {"romeo@example.org": "owner"})

    def test_tooMany(self) -> None:
        """A room that is full of affiliations says what to do."""
        self.make()
        rooms: Any = self.server.serviceHosts["rooms.example.org"].rooms
        for number in range(rooms.options.affiliationsMax - 1):
            self.ask("room affiliation", room=CAVE, jid=f"{number}@example.org", affiliation="member")
        asked = {"room": CAVE, "jid": "a@example.org", "affiliation": "member"}
        self.assertRefused(EX_DATAERR, "affiliations_max", "room affiliation", **asked)

    def test_status(self) -> None:
        """The services are listed."""
        self.make()
        services = {each["domain"]: (each["kind"], each["rooms"]) for each in self.ask("status")["services"]}
        rooms = {"rooms.example.org": ("rooms", 1), "talks.example.net": ("rooms", 0)}
        self.assertEqual(services, {**rooms, "pubsub.example.org": ("pubsub", None)})


class NoRoomsTests(CommandsCase):
    """A server without rooms."""

    def test_refused(self) -> None:
        """Every command says how to have some."""
        for name in ("room list", "room info", "room destroy", "room affiliation"):
            error = self.refusal(name, room=CAVE, jid="romeo@example.org")
            self.assertEqual((error.status, '[rooms."rooms.example.org"]' in str(error)), (EX_UNAVAILABLE, True))
        self.assertEqual(self.ask("status")["services"], [])


class LineTests(RoomsCase):
    """The command line, on commands that run in this process."""

    def setUp(self) -> None:
        super().setUp()
        self.patch(Target, "client", self)

    def pages(self, command: str, **arguments: Any) -> Iterator[dict[str, Any]]:
        """In place of a client's."""
        yield from self.ask(command, **arguments)["items"]

    def ask(self, name: str, **arguments: Any) -> Any:
        """As a client does: what is None isn't sent; a refusal is raised."""
        given = {key: value for key, value in arguments.items() if value is not None}
        try:
            return super().ask(name, **given)
        except self.failureException:
            raise self.refusal(name, **given) from None

    def line(self, *words: str) -> Result:
        """Run xmppctl."""
        return CliRunner().invoke(xmppctlGroup, words, standalone_mode=False)

    def test_list(self) -> None:
        """A table, or JSON."""
        self.assertEqual(self.line("room", "list").output, "There are none.\n")
        self.make()
        headings, row = self.line("room", "list", "--service", "rooms.example.org").output.splitlines()
        self.assertTrue(headings.startswith("ROOM"))
        self.assertEqual(row.split()[0], CAVE)
        (found,) = json.loads(self.line("room", "list", "--json").output)
        self.assertEqual(found["jid"], CAVE)

    def test_info(self) -> None:
        """Two tables, with options named as in the file."""
        self.make()
        output = self.line("room", "info", CAVE).output
        self.assertRegex(output, r"members_only +no\n")
        self.assertRegex(output, r"broadcast +moderator, participant, visitor\n")
        self.assertRegex(output, r"JID +AFFILIATION\nromeo@example.org +owner\n")
        self.assertEqual(json.loads(self.line("room", "info", CAVE, "--json").output)["jid"], CAVE)

    def test_destroy(self) -> None:
        """With its options."""
        self.make()
        output = self.line("room", "destroy", CAVE, "--reason", "over", "--venue", "hall@rooms.example.org").output
        self.assertEqual(output, f"destroyed {CAVE}, with 1 occupants\n")
        error = self.line("room", "destroy", CAVE).exception
        assert isinstance(error, CommandError)
        self.assertEqual(error.status, EX_NOUSER)

    def test_affiliation(self) -> None:
        """With and without a new one."""
        self.make()
        words = ("room", "affiliation", CAVE, "juliet@example.org")
        self.assertEqual(self.line(*words).output, f"juliet@example.org is none in {CAVE}\n")
        self.assertEqual(self.line(*words, "admin").output, f"juliet@example.org is admin in {CAVE}, and was none\n")
        self.assertIn("owns every room", self.line("room", "affiliation", CAVE, "admin@example.org").output)
        self.assertEqual(json.loads(self.line(*words, "--json").output)["affiliation"], "admin")

    def test_status(self) -> None:
        """The services have a table."""
        self.assertRegex(self.line("status").output, r"\n\nSERVICE +KIND +ROOMS +FEATURES\nrooms.example.org +rooms +0 ")
