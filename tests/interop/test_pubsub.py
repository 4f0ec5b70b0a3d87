"""
Publishing with a real client: slixmpp, and a whole server as a process of its own, on SQLite.
"""

from __future__ import annotations

import importlib.util
import json
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from tests.interop.daemon import CONFIGURATION, Daemon, mistakes, run
from tests.marks import spec

SLOWER = "slixmpp.stringprep: "
"""slixmpp would like to be faster."""


class PubSubTests(SynchronousTestCase):
    """A service, and accounts."""

    if importlib.util.find_spec("slixmpp") is None:
        skip = "slixmpp is not installed: pip install slixmpp"

    def setUp(self) -> None:
        """Start a server with a publish-subscribe service."""
        folder = Path(tempfile.mkdtemp(prefix="xmppd-"))
        self.addCleanup(shutil.rmtree, folder, ignore_errors=True)
        self.daemon = Daemon(folder, CONFIGURATION + '\n[pubsub."pubsub.example.org"]\n')
        self.addCleanup(self.daemon.kill)
        self.daemon.start()
        for name in ("romeo", "juliet"):
            self.daemon.addAccount(name)

    def play(self, scene: str) -> dict[str, Any]:
        """Play a scene; the server has nothing to complain of, and stops."""
        daemon = self.daemon
        facts = {
            "port": daemon.port, "tlsPort": daemon.tlsPort, "certificate": str(daemon.certificate),
            "guestCertificate": str(daemon.certificate),
        }
        done = run([sys.executable, "-m", "tests.interop.slixmpp_pubsub", scene], json.dumps(facts) + "\n")
        self.assertEqual(done.returncode, 0, done.stderr[-4000:] + daemon.written()[-2000:])
        seen: dict[str, Any] = json.loads(done.stdout)
        self.assertEqual([line for line in seen.pop("warnings") if not line.startswith(SLOWER)], [])
        self.assertEqual((daemon.stop(), mistakes(daemon.written())), (0, []))
        return seen

    @spec("XEP-0060", "5", "6", "7", "8")
    def test_service(self) -> None:
        """slixmpp's plug-in creates, subscribes, publishes, retrieves, retracts, affiliates and deletes."""
        seen = self.play("service")
        self.assertEqual(seen["identities"], [["pubsub", "service"]])
        self.assertEqual((seen["nodes"], seen["subscribed"], seen["title"]), ([["news", "News"]], "subscribed", "News"))
        self.assertEqual(seen["published"], [["pubsub.example.org", "news", "item", f"i{index}"] for index in range(3)])
        self.assertEqual(seen["items"], [["i1", "text 1"], ["i2", "text 2"]])
        self.assertEqual(seen["retracted"], [["pubsub.example.org", "news", "retract", "i1"]])
        self.assertEqual((seen["affiliation"], seen["afterwards"]), (["publisher"], "item-not-found"))

    @spec("XEP-0163", "3", "4", "6.1")
    @spec("XEP-0115", "5.4", "6.2")
    def test_personal(self) -> None:
        """What a contact wants to hear of comes, at once and at the next login; nothing else does."""
        seen = self.play("personal")
        tune = [["juliet@example.org", "http://jabber.org/protocol/tune", "item", "current"]]
        self.assertEqual((seen["live"], seen["last"]), (tune, tune))
        self.assertEqual(seen["identities"], [["account", "registered"], ["pubsub", "pep"]])

    @spec("XEP-0402", "5.3")
    def test_bookmarks(self) -> None:
        """Old and new bookmarks are the same."""
        seen = self.play("bookmarks")
        self.assertEqual(seen["told"], [["juliet@example.org", "urn:xmpp:bookmarks:1", "item", "play@rooms.example.org"]])
        both = ["orchard@rooms.example.org", "play@rooms.example.org"]
        self.assertEqual((seen["private"], seen["node"]), (both, both))

    @spec("XEP-0398", "3.1")
    def test_avatar(self) -> None:
        """An avatar published by XEP-0084 is there by XEP-0153."""
        self.assertEqual(self.play("avatar"), {"same": True})
