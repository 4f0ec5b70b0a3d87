"""What xmppctl says of guests, and does about them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from click.testing import CliRunner, Result
from twisted.trial.unittest import SynchronousTestCase

from tests.ctl.servers import CONFIGURATION, folderFor
from tests.ctl.test_commands import CommandsCase
from tests.marks import spec
from xmppd.ctl import pages
from xmppd.ctl.exits import EX_CONFIG, EX_DATAERR, EX_NOHOST, EX_NOUSER, EX_UNAVAILABLE, EX_USAGE
from xmppd.ctl.line import Target
from xmppd.ctl.main import xmppctlGroup
from xmppd.ctl.socket import CommandError

LISTEN = 'c2s = ["tcp:0:interface=127.0.0.1"]'
GUESTS = CONFIGURATION.replace('[host."example.org"]', '[host."example.org"]\nguests = "public"')


@spec("mission", "A14")
class GuestCommandsTests(CommandsCase):
    """L{xmppd.ctl.guests.GuestCommands}."""

    configuration = GUESTS.replace(LISTEN, "")

    def guests(self) -> Any:
        """The guests of the host."""
        return self.server.hosts["example.org"].guests

    def test_bans(self) -> None:
        """Ban an address, list, end the ban."""
        made = self.ask("guest ban", whom="192.0.2.1", hours=2, reason="spam")
        self.assertEqual(made["expires"] - made["since"], 7200)
        self.assertEqual((made["domain"], made["by"], made["reason"], made["guest"]), ("example.org", "xmppctl", "spam", ""))
        self.assertNotIn("192.0.2", json.dumps(made))
        self.assertEqual(self.ask("guest list"), {"items": [made], "after": None})
        self.assertIsNotNone(self.guests().refusal("192.0.2.1"))
        self.assertEqual(self.ask("guest unban", id=made["id"]), {"id": made["id"], "domains": ["example.org"]})
        self.assertEqual(self.ask("guest list")["items"], [])
        self.ask("guest ban", whom="192.0.2.1")
        self.ask("guest unban", id="192.0.2.1")
        self.assertIsNone(self.guests().refusal("192.0.2.1"))

    def test_pages(self) -> None:
        """Long lists come in pages."""
        self.patch(pages, "PAGE", 2)
        for n in range(5):
            self.ask("guest ban", whom=f"192.0.2.{n}")
        found, after = [], ""
        while after is not None:
            answer = self.ask("guest list", after=after)
            found += [each["id"] for each in answer["items"]]
            after = answer["after"]
        self.assertEqual(len(set(found)), 5)

    def test_refused(self) -> None:
        """Mistakes are told in a line."""
        for status, name, arguments in (
            (EX_NOUSER, "guest ban", {"whom": "nobody@example.org"}),
            (EX_DATAERR, "guest ban", {"whom": "a@b@c"}),
            (EX_DATAERR, "guest ban", {"whom": "192.0.2.1", "hours": 0}),
            (EX_NOHOST, "guest ban", {"whom": "nobody@elsewhere.example"}),
            (EX_UNAVAILABLE, "guest ban", {"whom": "nobody@example.net"}),
            (EX_UNAVAILABLE, "guest list", {"domain": "example.net"}),
            (EX_USAGE, "guest ban", {}),
            (EX_DATAERR, "guest unban", {"id": "0"}),
        ):
            error = self.refusal(name, **arguments)
            self.assertEqual(error.status, status, f"{name} {arguments}: {error}")
            self.assertNotIn("\n", str(error))


class TwoHostsTests(CommandsCase):
    """Where more than one domain has guests."""

    configuration = GUESTS.replace(LISTEN, "").replace('[host."example.net"]', '[host."example.net"]\nguests = "private"')

    def test_which(self) -> None:
        """An address is banned from one; a guest's JID says which."""
        self.assertEqual(self.refusal("guest ban", whom="192.0.2.1").status, EX_USAGE)
        self.assertEqual(self.ask("guest ban", whom="192.0.2.1", domain="example.net")["domain"], "example.net")
        self.assertEqual(len(self.ask("guest list")["items"]), 1)
        self.assertEqual(self.ask("guest list", domain="example.org")["items"], [])


@spec("mission", "A4")
class CheckTests(SynchronousTestCase):
    """C{xmppctl check guests}."""

    def run_(self, text: str, *words: str) -> Result:
        """Run it with a configuration."""
        file = folderFor(self) / "xmppd.toml"
        file.write_text(text)
        target = Target(file, None)
        return CliRunner().invoke(xmppctlGroup, ["check", "guests", *words], obj=target, standalone_mode=False)

    def test_text(self) -> None:
        """What is in force, what was relaxed and tightened, and what that risks, in plain sentences."""
        relaxed = '[host."example.org".guest]\nremote = true\nrooms = 2\n'
        result = self.run_(GUESTS + relaxed)
        self.assertEqual(result.return_value, 0, result.output)
        self.assertIn("example.org: guests of the profile public, 1 relaxed, 1 tightened", result.output)
        self.assertRegex(result.output, r"(?m)^rooms +2 +5 +tightened ")
        self.assertRegex(result.output, r"(?m)^stanzas_per_second +10 +10 +-? ")
        self.assertRegex(result.output, r"(?m)^relaxed: remote = true: Strangers can send spam .*\.$")
        self.assertIn("example.net: no guests.", result.output)

    def test_json(self) -> None:
        """The same for programs."""
        result = self.run_(GUESTS + '[host."example.org".guest]\nusers = []\n', "--json")
        one, other = json.loads(result.output)["hosts"]
        self.assertEqual((one["domain"], one["profile"], other["profile"]), ("example.org", "public", "off"))
        values = {each["key"]: each for each in one["values"]}
        self.assertEqual(values["users"]["value"], [])
        self.assertEqual((values["users"]["change"], values["users"]["risk"]), ("tightened", ""))
        self.assertEqual(other["values"], [])

    def test_paces(self) -> None:
        """Switching off the limits of pace relaxes, and is said to."""
        result = self.run_(GUESTS + "[limits]\nenabled = false\n", "--json")
        values = {each["key"]: each for each in json.loads(result.output)["hosts"][0]["values"]}
        self.assertEqual((values["stanzas_per_second"]["value"], values["stanzas_per_second"]["change"]), (0, "relaxed"))
        self.assertTrue(values["stanzas_per_second"]["risk"])

    def test_wrong(self) -> None:
        """Mistakes are told, with what was probably meant."""
        for lines, words in (
            ("rooom = 1", "did you mean `rooms`?"),
            ('services = ["roms.example.org"]', "did you mean `rooms.example.org`?"),
            ('users = ["a@example.com"]', "example.com is no domain of users here"),
            ("stanza_bytes = 100000", "burst_bytes"),
        ):
            text = GUESTS + f'[host."example.org".guest]\n{lines}\n[rooms."rooms.example.org"]\n'
            error = self.run_(text).exception
            assert isinstance(error, CommandError), lines
            self.assertEqual(error.status, EX_CONFIG, lines)
            self.assertIn(words, str(error))

    def test_start(self) -> None:
        """Such mistakes keep the server from starting, too."""
        from twisted.internet.task import Clock

        from xmppd.config import ConfigurationError, parse
        from xmppd.tap import Server

        text = GUESTS.replace(LISTEN, "")
        text += '[host."example.org".guest]\nservices = ["roms.example.org"]\n'
        config = parse(text, str(Path(folderFor(self)) / "xmppd.toml"))
        error = self.assertRaises(ConfigurationError, Server, config, Clock())
        self.assertIn("there is no service roms.example.org", str(error))
