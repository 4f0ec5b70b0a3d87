"""Tests of L{xmppd.features.xep0092_version}."""

from __future__ import annotations

from tests.doubles import Rig
from tests.features.asking import AskingCase
from tests.marks import spec
from xmppd import __version__
from xmppd.features.xep0092_version import NAME, feature

QUERY = "<query xmlns='jabber:iq:version'/>"


class VersionTests(AskingCase):
    """Name and version are told."""

    features = (feature,)

    @spec("XEP-0092", "2", "4")
    def test_version(self) -> None:
        """The result has name and version; the feature is listed."""
        query = self.result(self.juliet, "get", QUERY, "example.org")
        self.assertEqual(query.textOf("name"), "xmppd")
        self.assertEqual(query.textOf("version"), __version__)
        self.assertIn("jabber:iq:version", self.rig.host.namespaces)

    @spec("XEP-0092", "5")
    def test_systemIsHidden(self) -> None:
        """The operating system is not told, unless an administrator wants that."""
        self.assertIsNone(self.result(self.juliet, "get", QUERY, "example.org").find("os"))
        self.rig = Rig(feature, options={(NAME, "show_os"): True})
        juliet = self.bind("juliet@example.org/balcony")
        self.assertTrue(self.result(juliet, "get", QUERY, "example.org").textOf("os"))

    def test_accounts(self) -> None:
        """Nobody answers for accounts."""
        self.assertEqual(self.error(self.juliet, "get", QUERY, "romeo@example.org"), "service-unavailable")
