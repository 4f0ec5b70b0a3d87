"""Tests of L{xmppd.ctl.main}: what may stand where on the command line of xmppctl, and how it complains."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path
from typing import Any

import click
from click.testing import CliRunner, Result
from twisted.trial.unittest import SynchronousTestCase

from xmppd.ctl import client
from xmppd.ctl.exits import EX_CONFIG, EX_NOUSER, EX_UNAVAILABLE, EX_USAGE, KINDS, kindOf
from xmppd.ctl.line import CONFIG
from xmppd.ctl.main import xmppctl, xmppctlGroup
from xmppd.ctl.socket import CommandError


class Server:
    """Stands in for L{client.Client}: knows one account."""

    def __init__(self, path: Path) -> None:
        if path.name != "control":
            raise CommandError(EX_UNAVAILABLE, f"nobody listens on {path}")

    def ask(self, command: str, **arguments: Any) -> Any:
        """Remove the one account."""
        if arguments["jid"] != "romeo@example.org":
            raise CommandError(EX_NOUSER, f"there is no account \x1b{arguments['jid']}")
        return {"jid": arguments["jid"]}


class LineCase(SynchronousTestCase):
    """Runs xmppctl where there is a server behind the socket C{control}, and no configuration that can be read."""

    def setUp(self) -> None:
        self.patch(client, "Client", Server)
        self.config = Path(self.mktemp())
        self.config.write_text("this is [not TOML")


class PlaceTests(LineCase):
    """Options for all commands stand anywhere."""

    def line(self, *words: str) -> Result:
        """Run it."""
        return CliRunner().invoke(xmppctlGroup, words, standalone_mode=False)

    def test_socket(self) -> None:
        """With the socket alone; nothing else is looked at."""
        command = ("user", "del", "romeo@example.org")
        for at in range(3):
            words = (*command[:at], "--socket", "/run/control", *command[at:])
            self.assertEqual(self.line(*words).output, "removed romeo@example.org\n", words)

    def test_json(self) -> None:
        """JSON, wherever it was asked for."""
        command = ("--socket", "/run/control", "user", "del", "romeo@example.org")
        for at in (0, 2, 3, 4, 5):
            words = (*command[:at], "--json", *command[at:])
            self.assertEqual(json.loads(self.line(*words).output), {"jid": "romeo@example.org"}, words)

    def test_next(self) -> None:
        """One command's wish isn't the next one's."""
        self.line("--json", "--socket", "/run/control", "user", "del", "romeo@example.org")
        output = self.line("--socket", "/run/control", "user", "del", "romeo@example.org").output
        self.assertEqual(output, "removed romeo@example.org\n")

    def test_config(self) -> None:
        """A configuration that can't be read is a reason to name the socket."""
        for words in (("-c", str(self.config), "user", "del", "x"), ("user", "del", "x", "--config", str(self.config))):
            error = self.line(*words).exception
            self.assertIsInstance(error, CommandError)
            self.assertEqual(getattr(error, "status", 0), EX_CONFIG)
            self.assertIn("--socket", str(error))

    def test_both(self) -> None:
        """Both exclude each other, wherever they stand."""
        for words in (
            ("-c", "x", "--socket", "y", "status"),
            ("-c", "x", "status", "--socket", "y"),
            ("status", "--socket", "y", "-c", "x"),
        ):
            self.assertIsInstance(self.line(*words).exception, click.UsageError)

    def test_help(self) -> None:
        """Help says so at each command."""
        for words in ((), ("user",), ("user", "del"), ("status",)):
            output = self.line(*words, "--help").output
            for option in ("--json", "--socket", "--config", str(CONFIG)):
                self.assertIn(option, output)


class ComplaintTests(LineCase):
    """What goes wrong."""

    def complaint(self, *words: str) -> tuple[int, str]:
        """Exit status and standard error."""
        stderr = io.StringIO()
        self.patch(sys, "argv", ["xmppctl", *words])
        self.patch(sys, "__stderr__", stderr)
        error = self.assertRaises(SystemExit, xmppctl)
        return int(str(error.code)), stderr.getvalue()

    def test_text(self) -> None:
        """For people: a line; what a peer could have chosen is escaped."""
        status, said = self.complaint("--socket", "control", "user", "del", "nobody@example.org")
        self.assertEqual((status, said), (EX_NOUSER, "xmppctl: there is no account \\x1bnobody@example.org\n"))

    def test_json(self) -> None:
        """For programs: an object with a type, the status and the text, wherever JSON was asked for."""
        for words, status, kind in (
            (("--json", "--socket", "control", "user", "del", "x"), EX_NOUSER, "not-found"),
            (("--socket", "nowhere", "status", "--json"), EX_UNAVAILABLE, "unavailable"),
            (("-c", str(self.config), "status", "--json"), EX_CONFIG, "configuration"),
            (("--json", "sttus"), EX_USAGE, "usage"),
            (("status", "--json", "--unknown"), EX_USAGE, "usage"),
        ):
            got, said = self.complaint(*words)
            error = json.loads(said)["error"]
            self.assertEqual((got, error["status"], error["type"]), (status, status, kind), said)
            self.assertEqual(said.count("\n"), 1)
            self.assertTrue(error["text"])

    def test_kinds(self) -> None:
        """Each status has a kind of its own; an unknown one is a mistake."""
        self.assertEqual(len(set(KINDS.values())), len(KINDS))
        self.assertEqual(kindOf(1), "software")
