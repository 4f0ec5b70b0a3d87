"""Tests of L{xmppd.features.xep0202_time}."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, cast

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from tests.features.asking import AskingCase
from tests.marks import spec
from xmppd.features.xep0202_time import Time, feature, localOffset


class TimeTests(AskingCase):
    """The server tells the time."""

    features = (feature,)

    @spec("XEP-0202", "2", "4")
    def test_time(self) -> None:
        """UTC and zone; the feature is listed."""
        time = self.result(self.juliet, "get", "<time xmlns='urn:xmpp:time'/>", "example.org")
        self.assertEqual(time.textOf("utc"), "2001-09-09T01:46:40Z")
        self.assertRegex(time.textOf("tzo"), r"^(Z|[+-]\d\d:\d\d)$")
        self.assertIn("urn:xmpp:time", self.rig.host.namespaces)


class ZoneTests(SynchronousTestCase):
    """The zone of the machine."""

    @spec("XEP-0202", "2")
    def test_offset(self) -> None:
        """The offset is that of the moment."""
        time = Time(Clock(), lambda seconds: timedelta(hours=2))
        self.assertEqual(time.respond(cast(Any, None)).textOf("tzo"), "+02:00")
        self.assertIsInstance(localOffset(0), timedelta)
