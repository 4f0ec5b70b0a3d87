"""
Rooms with a real client: slixmpp, and a whole server as a process of its own, on SQLite.
"""

from __future__ import annotations

import importlib.util
import json
import shutil
import sys
import tempfile
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.interop.daemon import CONFIGURATION, Daemon, mistakes, run
from tests.marks import spec

SLOWER = "slixmpp.stringprep: "
"""slixmpp would like to be faster."""


class RoomsTests(SynchronousTestCase):
    """A service of rooms."""

    if importlib.util.find_spec("slixmpp") is None:
        skip = "slixmpp is not installed: pip install slixmpp"

    @spec("XEP-0045", "7.2", "7.4", "7.5", "8.1", "8.2", "9.1", "9.3", "10.1.3", "10.9")
    def test_meeting(self) -> None:
        """slixmpp's plug-in makes, configures and enters a room, speaks, kicks, bans and destroys."""
        folder = Path(tempfile.mkdtemp(prefix="xmppd-"))
        self.addCleanup(shutil.rmtree, folder, ignore_errors=True)
        daemon = Daemon(folder, CONFIGURATION + '\n[rooms."rooms.example.org"]\nlogging = false\n')
        self.addCleanup(daemon.kill)
        daemon.start()
        for name in ("romeo", "juliet", "admin"):
            daemon.addAccount(name)
        facts = {
            "port": daemon.port, "tlsPort": daemon.tlsPort, "certificate": str(daemon.certificate),
            "guestCertificate": str(daemon.certificate),
        }
        done = run([sys.executable, "-m", "tests.interop.slixmpp_rooms", "meeting"], json.dumps(facts) + "\n")
        self.assertEqual(done.returncode, 0, done.stderr[-4000:] + daemon.written()[-2000:])
        seen = json.loads(done.stdout)
        self.assertEqual([line for line in seen.pop("warnings") if not line.startswith(SLOWER)], [])
        self.assertEqual((daemon.stop(), mistakes(daemon.written())), (0, []))
        self.assertEqual(seen["created"], [110, 201])
        self.assertEqual((seen["name"], seen["occupants"], seen["history"]), (["A Dark Cave"], ["Juliet", "Romeo"], ["early"]))
        self.assertEqual(seen["ping"], "JOINED")
        self.assertEqual(seen["said"], ["Juliet", "Ay me!", True])
        self.assertEqual(seen["members"], ["juliet@example.org"])
        self.assertEqual((seen["banned"], seen["afterwards"]), ("forbidden", "item-not-found"))
