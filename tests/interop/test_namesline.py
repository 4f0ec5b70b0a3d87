"""
Names by command line, on a server of its own (XEP-0165): what C{xmppctl names} says, with which exit status, before and
after a crash.
"""

from __future__ import annotations

import json
import sys
from typing import Any

from tests.interop.daemon import DOMAIN, DaemonTestCase, run
from tests.marks import spec
from xmppd.ctl.exits import EX_DATAERR

XMPPCTL = (sys.executable, "-c", "from xmppd.ctl.main import xmppctl; xmppctl()")
MIXED = "p\u0430ypal"
"""With a Cyrillic letter."""


class NamesTests(DaemonTestCase):
    """C{xmppctl names}, and what becomes of accounts."""

    def line(self, *words: str, given: str = "") -> tuple[int, Any]:
        """Run xmppctl; answers its exit status, and what it printed as JSON (or on standard error, if that is all)."""
        done = run((*XMPPCTL, "--json", "--config", str(self.daemon.folder / "xmppd.toml"), *words), given)
        return done.returncode, json.loads(done.stdout or done.stderr)

    def add(self, name: str, *words: str) -> int:
        """Make an account; answers the exit status."""
        return self.line("user", "add", f"{name}@{DOMAIN}", "--stdin", *words, given="secret\n")[0]

    def audit(self) -> tuple[int, list[tuple[str, list[str]]]]:
        """Exit status and findings."""
        status, found = self.line("names", "audit")
        return status, [(each["what"], each["names"]) for each in found["findings"]]

    @spec("mission", "M2")
    @spec("mission", "M8")
    def test_names(self) -> None:
        """A look-alike is told of, refused, made by who insists, and found; a crash or its original's end changes nothing."""
        self.assertEqual(self.add("paypal"), 0)
        self.assertEqual(self.audit(), (0, []))
        for name, reasons in (("paypa1", ["look-alike"]), (MIXED, ["look-alike", "mixed-scripts"])):
            status, found = self.line("names", "check", name, "--host", DOMAIN)
            self.assertEqual((status, found["hosts"][0]["reasons"], found["hosts"][0]["alike"]), (EX_DATAERR, reasons, ["paypal"]))
            self.assertEqual(self.add(name), EX_DATAERR)
        self.assertEqual(self.line("names", "check", "mercutio")[0], 0)
        self.assertEqual(self.add("paypa1", "--anyway"), 0)
        both = ("accounts", ["paypa1", "paypal"])
        self.assertEqual(self.audit(), (EX_DATAERR, [both]))
        self.daemon.kill()
        self.daemon.start()
        self.assertEqual(self.audit(), (EX_DATAERR, [both]))
        self.assertEqual(self.line("user", "del", f"paypal@{DOMAIN}")[0], 0)
        self.assertEqual(self.audit(), (0, []))
        self.assertEqual(self.add("paypal"), EX_DATAERR)
        self.assertEqual(self.line("names", "policy", "--host", DOMAIN)[1][0]["values"]["accounts"]["value"], "refuse")

    def test_stopped(self) -> None:
        """Where no server runs, a name is still taken apart."""
        self.daemon.stop()
        status, found = self.line("names", "check", MIXED)
        self.assertEqual((status, found["hosts"], found["oddities"]), (EX_DATAERR, None, ["mixed-scripts"]))
        self.assertIn("nobody listens", found["unasked"])
