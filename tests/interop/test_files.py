"""
Files between real clients: slixmpp, Python's HTTP client, and a whole server as a process of its own.
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

FILES = CONFIGURATION.replace("[tls]", 'https = ["tcp:0:interface=127.0.0.1"]\n[tls]', 1) + """
[upload."upload.example.org"]
[proxy."proxy.example.org"]
listen = ["tcp:0:interface=127.0.0.1"]
host = "127.0.0.1"
"""

SLOWER = "slixmpp.stringprep: "
"""slixmpp would like to be faster."""


class FilesTests(SynchronousTestCase):
    """Uploads and bytestreams."""

    if importlib.util.find_spec("slixmpp") is None:
        skip = "slixmpp is not installed: pip install slixmpp"

    def setUp(self) -> None:
        """Start a server with an upload service and a proxy."""
        folder = Path(tempfile.mkdtemp(prefix="xmppd-"))
        self.addCleanup(shutil.rmtree, folder, ignore_errors=True)
        self.daemon = Daemon(folder, FILES)
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
        done = run([sys.executable, "-m", "tests.interop.slixmpp_files", scene], json.dumps(facts) + "\n")
        self.assertEqual(done.returncode, 0, done.stderr[-4000:] + daemon.written()[-2000:])
        seen: dict[str, Any] = json.loads(done.stdout)
        warnings = seen.pop("warnings")
        self.assertEqual([line for line in warnings if not line.startswith(SLOWER)], [])
        self.assertEqual((daemon.stop(), mistakes(daemon.written())), (0, []))
        return seen

    def stored(self) -> int:
        """How many whole files there are."""
        return sum(1 for path in (self.daemon.folder / "data" / "files" / "upload.example.org" / "upload" / "files").rglob("*") if path.is_file())

    @spec("XEP-0363", "3", "4", "7", "8", "9.1")
    def test_upload(self) -> None:
        """Found by discovery, put and got over TLS, in parts too; lies are refused and leave nothing."""
        seen = self.play("upload")
        self.assertEqual(seen["items"], ["proxy.example.org", "upload.example.org"])
        self.assertEqual((seen["identities"], seen["form"], seen["host"]), ([["store", "file"]], True, "example.org"))
        self.assertEqual((seen["put"], seen["get"]), (201, [200, True, "image/jpeg", "nosniff", None]))
        self.assertEqual((seen["part"], seen["again"]), ([206, True], 404))
        self.assertEqual((seen["longer"], seen["otherType"], seen["refused"], seen["nothing"]), (413, 415, "not-acceptable", 404))
        self.assertEqual(self.stored(), 1)
        self.assertNotIn(".jpg", self.daemon.written())

    @spec("XEP-0363", "4")
    def test_plugin(self) -> None:
        """slixmpp's own plug-in finds the service and gets a slot."""
        self.assertEqual(self.play("plugin"), {"found": "upload.example.org", "name": "x.png", "status": 201})

    if importlib.util.find_spec("aiohttp") is None:
        test_plugin.skip = "slixmpp's xep_0363 needs aiohttp: pip install aiohttp"  # type: ignore[attr-defined]

    @spec("XEP-0065", "4", "6.3.2", "6.3.4", "6.3.5")
    def test_bytestream(self) -> None:
        """A mebioctet through the proxy; what nobody is connected for isn't activated."""
        seen = self.play("bytestream")
        self.assertEqual(seen, {"equal": True, "proxies": ["proxy.example.org"], "refused": "item-not-found"})
