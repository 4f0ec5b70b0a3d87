"""
A hostile guest among others, at a real server with the public profile: the others' messages are as fast as before, and
the hostile one is told which limits it breaks (XEP-0205).
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SkipTest, SynchronousTestCase

from tests.interop.daemon import Daemon, mistakes
from tests.interop.spoiled import CONFIGURATION, Crowd
from tests.marks import spec

GUESTS = 60
INTERVAL = 0.4
"""Seconds between two messages of a guest: 150 messages a second in all."""

SECONDS = 3.0

FLOOR = 2.0
"""Milliseconds that a median may have in any case: twice as much as next to nothing is next to nothing."""

QUIET = 20.0
"""Milliseconds of a median without the hostile guest, over which the machine is too busy to tell anything."""

CHANCES = 3
"""How often the hostile guest is let in until the others are fast: somebody else may have made them slow."""


@spec("mission", "A9")
@spec("XEP-0205", "4.2", "4.4", "4.5")
class SpoiledTests(SynchronousTestCase):
    """Sixty guests and the hostile one."""

    def setUp(self) -> None:
        """The server, and the sixty."""
        folder = Path(tempfile.mkdtemp(prefix="xmppd-"))
        self.addCleanup(shutil.rmtree, folder, ignore_errors=True)
        self.daemon = Daemon(folder, CONFIGURATION)
        self.addCleanup(self.daemon.kill)
        self.daemon.start()
        self.crowd = Crowd(self.daemon.tlsPort, GUESTS, INTERVAL)
        self.addCleanup(self.crowd.close)

    def test_latency(self) -> None:
        """The median doesn't double, no message is lost, nobody but the hostile one goes."""
        self.assertEqual(len(set(self.crowd.guests)), GUESTS)
        ratios = []
        for _ in range(CHANCES):
            alone = self.crowd.measure(SECONDS)
            if alone["median"] > QUIET:
                raise SkipTest(f"the machine is too busy: {alone['median']:.0f} ms without anybody hostile")
            spoiled, counts = self.crowd.spoiled(SECONDS)
            self.assertEqual((alone["lost"], spoiled["lost"], spoiled["gone"]), (0, 0, 0))
            self.assertTyped(counts)
            ratios.append(spoiled["median"] / max(alone["median"], FLOOR / 2))
            if ratios[-1] < 2:
                break
        self.assertLess(min(ratios), 2, ratios)
        self.assertEqual((self.daemon.stop(), mistakes(self.daemon.written())), (0, []))

    def assertTyped(self, counts: dict[str, Any]) -> None:
        """The hostile one was as hostile as could be, was told about each limit, and was sent away again and again."""
        for condition in ("too-many-stanzas", "stanza-too-big", "resource-limit-exceeded", "policy-violation"):
            self.assertGreater(counts.get(condition, 0), 0, counts)
        self.assertGreater(counts["sent"], 1000)
        self.assertGreater(counts["sessions"], 19)
        self.assertGreater(counts["refused"], 0)
