"""Tests of L{xmppd.restrict.profiles}."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.marks import spec
from xmppd.config import ConfigurationError, HostConfig, parse
from xmppd.guesting import GUEST_PACES, GuestConfig
from xmppd.readers import snake
from xmppd.restrict.profiles import NAMES, PROFILES, PUBLIC, RESTRICTIONS, inForce, review

ETC = Path(__file__).parent.parent.parent / "etc"


def host(profile: str = "public", guest: str = "") -> HostConfig:
    """The configuration of a host with guests."""
    text = f'data = "var"\n[host."example.org"]\nguests = "{profile}"\n[host."example.org".guest]\n{guest}'
    return parse(text, "/etc/xmppd/xmppd.toml").hosts["example.org"]


@spec("mission", "A4")
class ProfileTests(SynchronousTestCase):
    """The three named sets, and what a host makes of them."""

    def test_complete(self) -> None:
        """No profile leaves anything open, and every value is explained."""
        for profile in PROFILES.values():
            self.assertNotIn(None, [getattr(profile, name) for name in NAMES])
        self.assertEqual(set(RESTRICTIONS), set(NAMES))
        self.assertTrue(all(each.risk.endswith(".") for each in RESTRICTIONS.values()))
        self.assertEqual(list(PROFILES), ["public", "private", "specialized"])

    def test_publicIsTightest(self) -> None:
        """In no other profile is anything tighter than in the public one, but for bans."""
        for name in ("private", "specialized"):
            profile = PROFILES[name]
            said = {key: getattr(profile, key) for key in NAMES if not key.endswith("anHours")}
            changes = {v.change for v in review(HostConfig("example.org", guests="public", guest=GuestConfig(**said)))}
            self.assertEqual(changes, {"", "relaxed"}, name)

    def test_asIs(self) -> None:
        """A host that says nothing has the profile."""
        self.assertEqual(inForce(host()), PUBLIC)
        self.assertEqual({each.change for each in review(host("private"))}, {""})

    def test_each(self) -> None:
        """Every value can be set for itself."""
        values = inForce(host(guest='rooms = 1\nusers = ["Help@example.org"]\nremote = true'))
        self.assertEqual(values.rooms, 1)
        self.assertEqual(values.users, ("help@example.org",))
        self.assertEqual(dataclasses.replace(values, rooms=5, users=("*",), remote=False), PUBLIC)

    def test_documented(self) -> None:
        """The operators' page shows every value of every profile."""
        text = (ETC.parent / "docs" / "guests.rst").read_text("utf-8")
        for name in NAMES:
            if name == "storage":
                continue
            (row,) = re.findall(rf"(?m)^``{snake(name)}`` +(.*)$", text)
            cells = re.split(r"  +", row)
            for profile, cell in zip(PROFILES.values(), cells, strict=False):
                value = getattr(profile, name)
                if value == 0 and RESTRICTIONS[name].unbounded == 0 and not isinstance(value, bool):
                    self.assertEqual(cell, "no limit", name)
                elif isinstance(value, bool):
                    self.assertEqual(cell, str(value).lower(), name)
                elif isinstance(value, int):
                    self.assertEqual(cell, f"{value:,}", name)
                else:
                    self.assertEqual((cell, value), ("all", ("*",)), name)
            self.assertEqual(cells[3], RESTRICTIONS[name].about)

    def test_reviewed(self) -> None:
        """What was relaxed is told with its risk, what was tightened without one."""
        found = {
            each.key: (each.change, bool(each.risk))
            for each in review(host(guest="""
                server_resource = false
                remote = true
                users = ["help@example.org"]
                stanzas_per_second = 0
                burst_stanzas = 10
                rooms = 6
                lifetime_seconds = 0
                warning_seconds = 600
                storage = ["vcard", "upload"]
                ban_hours = 1
                moderator_ban_hours = 0
            """))
            if each.change
        }
        self.assertEqual(found, {
            "server_resource": ("relaxed", True),
            "remote": ("relaxed", True),
            "users": ("tightened", False),
            "stanzas_per_second": ("relaxed", True),
            "burst_stanzas": ("tightened", False),
            "rooms": ("relaxed", True),
            "lifetime_seconds": ("relaxed", True),
            "warning_seconds": ("tightened", False),
            "storage": ("relaxed", True),
            "ban_hours": ("relaxed", True),
            "moderator_ban_hours": ("tightened", False),
        })

    def test_finiteIsTighterThanNone(self) -> None:
        """Where a profile has no bound, any bound is tighter."""
        found = [each for each in review(host("specialized", "lifetime_seconds = 999999\nguests_per_address = 9"))]
        self.assertEqual(
            {each.key: each.change for each in found if each.change},
            {"lifetime_seconds": "tightened", "guests_per_address": "tightened"},
        )

    def test_pacesOff(self) -> None:
        """Without limits of pace only these are off."""
        values = inForce(host(guest="stanzas_per_second = 3"), paces=False)
        self.assertEqual({getattr(values, name) for name in GUEST_PACES}, {0})
        kept = {name: getattr(values, name) for name in NAMES if name not in GUEST_PACES}
        self.assertEqual(kept, {name: getattr(PUBLIC, name) for name in kept})

    def test_contradiction(self) -> None:
        """A stanza that may be sent must fit into what may be sent at once."""
        error = self.assertRaises(ConfigurationError, inForce, host(guest="stanza_bytes = 200000"))
        self.assertIn("burst_bytes", str(error))


@spec("mission", "A4")
class ReadingTests(SynchronousTestCase):
    """C{[host."DOMAIN".guest]}."""

    def wrong(self, guest: str) -> str:
        """What is said about a bad table."""
        return str(self.assertRaises(ConfigurationError, host, guest=guest))

    def test_unknown(self) -> None:
        """A key that isn't there is named, with the one that was probably meant."""
        self.assertIn("did you mean `rooms`?", self.wrong("roms = 3"))
        self.assertIn('host."example.org".guest.roms', self.wrong("roms = 3"))

    def test_badValues(self) -> None:
        """Values are checked."""
        for line, key in (
            ("rooms = -1", "rooms"), ('remote = "no"', "remote"), ("stanza_bytes = 100", "stanza_bytes"),
            ('users = ["*", "a@b"]', "users"), ('users = ["example.org"]', "users"), ('services = ["@"]', "services"),
            ('storage = ["vcards"]', "storage"), ("lifetime_seconds = 3", "lifetime_seconds"), ("ban_hours = 0", "ban_hours"),
        ):
            self.assertIn(f".guest.{key}", self.wrong(line))
        self.assertIn("did you mean `vcard`?", self.wrong('storage = ["vcards"]'))

    def test_canonical(self) -> None:
        """Addresses are made canonical; a star stands alone."""
        guest = host(guest='services = ["Rooms.Example.ORG"]\nusers = ["*"]').guest
        self.assertEqual((guest.services, guest.users), (("rooms.example.org",), ("*",)))

    def test_reference(self) -> None:
        """The reference shows every key with a comment above, and the values of the public profile."""
        text = (ETC / "xmppd.toml").read_text("utf-8")
        found = re.search(r'(?ms)^\[host\."example\.org"\.guest\]$(.*?)^\[', re.sub(r"(?m)^# ---", "[", text))
        assert found is not None
        for name in NAMES:
            self.assertRegex(found[1], rf"(?m)^#{snake(name)} = ")
        values = re.sub(r"(?m)^#(?=[a-z])", "", found[1])
        self.assertEqual(inForce(host(guest=values)), PUBLIC)
