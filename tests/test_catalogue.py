"""Tests of L{xmppd.catalogue}."""

from __future__ import annotations

import re
import tomllib
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any, cast

from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

import xmppd.features
from tests.doubles import Rig
from xmppd import catalogue
from xmppd.config import ConfigurationError, HostConfig, parse
from xmppd.hooks import Feature, Option
from xmppd.ixmppd import IFeature

joined: list[str] = []


def made(name: str, **keywords: Any) -> Feature:
    """A feature that notes that it has joined."""
    return Feature(name=name, join=lambda host: joined.append(name), **keywords)


external = made("external_feature")
misnamed = made("another_name")
taken = made("xep0199_ping")


def entryPoint(name: str, attribute: str) -> EntryPoint:
    """An installed entry point that names something in this module."""
    return EntryPoint(name, f"tests.test_catalogue:{attribute}", catalogue.GROUP)


class DiscoverTests(SynchronousTestCase):
    """What there is."""

    def assertRefused(self, *installed: EntryPoint) -> str:
        """Discovery fails; answers with which words."""
        return str(self.assertRaises(ConfigurationError, catalogue.discover, installed))

    def test_builtIn(self) -> None:
        """Every module and package of the folder is found, and is a feature of that name."""
        names = {
            path.stem if path.is_file() else path.name
            for path in Path(xmppd.features.__file__).parent.iterdir()
            if not path.name.startswith("_") and (path.suffix == ".py" or (path / "__init__.py").exists())
        }
        features = catalogue.discover([])
        self.assertEqual(set(features), names)
        for feature in features.values():
            verifyObject(IFeature, feature)
            self.assertTrue(feature.specs, f"{feature.name} names no specification")

    def test_reference(self) -> None:
        """Every option of every feature is described in C{etc/xmppd.toml}, at its default."""
        text = (Path(xmppd.features.__file__).parent.parent.parent / "etc" / "xmppd.toml").read_text("utf-8")
        described = tomllib.loads(re.sub(r"(?m)^#(?=[\[\w])", "", text))
        for name, feature in catalogue.discover([]).items():
            defaults = {key: option.default for key, option in feature.options.items()}
            if feature.serves:  # whose options are the keys of its table
                (given,) = described.get(feature.serves, {"": {}}).values()
            else:
                given = described["features"].get(name, {})
            self.assertEqual(given, defaults, name)

    def test_installed(self) -> None:
        """Entry points bring more."""
        self.assertIs(catalogue.discover([entryPoint("external_feature", "external")])["external_feature"], external)

    def test_failsClosed(self) -> None:
        """Whatever doesn't load, or is not what it says, stops the start; all of it is named at once."""
        said = self.assertRefused(
            entryPoint("a", "missing"), entryPoint("b", "made"), entryPoint("c", "misnamed"), entryPoint("xep0199_ping", "taken")
        )
        self.assertEqual(len(said.splitlines()), 4)
        for words in ("AttributeError", "is no Feature", "calls itself another_name", "there is a feature xep0199_ping"):
            self.assertIn(words, said)

    def test_order(self) -> None:
        """Features come by name, but behind those they wait for; unknown ones are not waited for."""
        found = {name: made(name, after=after) for name, after in (("a", ("c", "x")), ("b", ()), ("c", ("d",)), ("d", ()))}
        self.assertEqual(catalogue._ordered(found), ["b", "d", "c", "a"])

    def test_circle(self) -> None:
        """Features that wait for each other are refused."""
        found = {"a": made("a", after=("b",)), "b": made("b", after=("a",))}
        self.assertIn("wait for each other", str(self.assertRaises(ConfigurationError, catalogue._ordered, found)))


class JoinTests(SynchronousTestCase):
    """Joining a host."""

    def setUp(self) -> None:
        joined.clear()
        self.rig = Rig()
        features = (
            made("plain", namespaces=("urn:a",), accountNamespaces=("urn:b",)),
            made("needy", needs="accounts", namespaces=("urn:c",)),
            made("rare", optional=True, options={"n": Option(1, "A number.")}),
        )
        self.features = {feature.name: feature for feature in features}

    def join(self, **config: Any) -> tuple[str, ...]:
        """Join a host with that configuration."""
        names = catalogue.join(self.features, self.rig.host, HostConfig("example.org", **config))
        self.assertEqual(list(names), joined)
        return names

    def test_join(self) -> None:
        """Features join in order, and their namespaces are told."""
        self.assertEqual(self.join(), ("plain", "needy"))
        self.assertLessEqual({"urn:a", "urn:c"}, self.rig.host.namespaces)
        self.assertIn("urn:b", self.rig.host.accountNamespaces)

    def test_withoutAccounts(self) -> None:
        """What needs accounts doesn't join a host that has none."""
        self.assertEqual(self.join(accounts=False, guests="public"), ("plain",))
        self.assertNotIn("urn:c", self.rig.host.namespaces)

    def test_optional(self) -> None:
        """What is optional joins where it is named."""
        self.assertEqual(self.join(features={"rare": {}}), ("plain", "needy", "rare"))

    def test_disabled(self) -> None:
        """What is disabled doesn't join."""
        self.assertEqual(self.join(disabled=("plain",)), ("needy",))
        self.assertNotIn("urn:a", self.rig.host.namespaces)

    def test_unknown(self) -> None:
        """A name that is no feature's stops the start, before anything joins."""
        config = HostConfig("example.org", disabled=("plian",), features={"raer": {}})
        said = str(self.assertRaises(ConfigurationError, catalogue.join, self.features, self.rig.host, config))
        self.assertIn("did you mean `plain`?", said)
        self.assertIn("did you mean `rare`?", said)
        self.assertEqual(joined, [])

    def test_failure(self) -> None:
        """A feature that can't join stops the start, and is named."""

        def fails(host: Any) -> None:
            raise ValueError("no room")

        config = HostConfig("example.org")
        features = {"bad": Feature("bad", fails)}
        said = str(self.assertRaises(ConfigurationError, catalogue.join, features, self.rig.host, config))
        self.assertIn("bad can't join: ValueError: no room", said)

    def test_options(self) -> None:
        """Values are what the host says, else the default; undeclared ones raise."""
        default = catalogue.options(self.features, HostConfig("example.org"))
        self.assertEqual(default("rare", "n"), 1)
        given = catalogue.options(self.features, HostConfig("example.org", features={"rare": {"n": 2}}))
        self.assertEqual(given("rare", "n"), 2)
        self.assertRaises(KeyError, given, "rare", "m")

    def test_everything(self) -> None:
        """All built-in features join one host together."""
        features = catalogue.discover([])
        config = HostConfig("example.org", features={name: {} for name in features})
        host = cast(Any, self.rig.host)
        host._options = catalogue.options(features, config)
        expected = {name for name, feature in features.items() if "host" in feature.joins}
        self.assertEqual(set(catalogue.join(features, host, config)), expected)


class ServicesTests(SynchronousTestCase):
    """The configurations of services."""

    TEXT = """
data = "data"
[host."example.org"]
admins = ["admin@example.org"]
[host."example.net"]
admins = ["root@example.net"]
{more}
"""

    def services(self, more: str) -> tuple[HostConfig, ...]:
        """What a configuration makes of them."""
        text = self.TEXT.format(more=more)
        return catalogue.services(
            {
                "rooms": made("rooms", serves="rooms", joins=(), options={"limit": Option(5, "A limit.")}),
                "archive": made("archive", joins=("host", "rooms"), options={"days": Option(1, "Days.")}),
                "roster": made("roster", options={"size": Option(1, "A size.")}),
            },
            parse(text, "xmppd.toml"),
        )

    def test_ownTable(self) -> None:
        """A service's table is what its feature is told; its administrators are those of the host it is below."""
        (service,) = self.services('[rooms."chat.example.org"]\nlimit = 7')
        self.assertEqual((service.domain, service.table, service.accounts), ("chat.example.org", "rooms", False))
        self.assertEqual(service.features, {"rooms": {"limit": 7}})
        self.assertEqual(service.admins, ("admin@example.org",))

    def test_everybodysAdministrators(self) -> None:
        """A service below no host belongs to all."""
        (service,) = self.services('[rooms."chat.example.com"]')
        self.assertEqual(set(service.admins), {"admin@example.org", "root@example.net"})

    def test_sharedFeatures(self) -> None:
        """What all features are told holds for services too, for those that join them; their own table goes first."""
        more = '[features.archive]\ndays = 3\n[features.roster]\nsize = 2\n[features.rooms]\nlimit = 6'
        (service,) = self.services(more + '\n[rooms."chat.example.org"]')
        self.assertEqual(service.features, {"archive": {"days": 3}, "rooms": {"limit": 6}})
        (service,) = self.services(more + '\n[rooms."chat.example.org"]\nlimit = 7')
        self.assertEqual(service.features["rooms"], {"limit": 7})

    def test_unknown(self) -> None:
        """A service nobody serves, and an option nobody has, stop the start."""
        error = self.assertRaises(ConfigurationError, self.services, '[upload."files.example.org"]')
        self.assertIn("no such service", str(error))
        error = self.assertRaises(ConfigurationError, self.services, '[rooms."chat.example.org"]\nlimits = 7')
        self.assertIn("limit", str(error))
