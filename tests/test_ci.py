"""
Tests for C{.ci/count.py}, which counts what trial reports.
"""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

SCRIPT = Path(__file__).parent.parent / ".ci" / "count.py"
_spec = importlib.util.spec_from_file_location("xmppd_ci_count", SCRIPT)
assert _spec is not None and _spec.loader is not None
counting = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(counting)


class CountTests(SynchronousTestCase):
    """Tests for C{count}."""

    def test_passed(self) -> None:
        """Successes and expected failures passed."""
        self.assertEqual(counting.count("Ran 4\n\nPASSED (skips=1, expectedFailures=1, successes=2)\n"), (3, 0, 1))

    def test_failed(self) -> None:
        """Failures and errors failed."""
        self.assertEqual(counting.count("FAILED (skips=1, failures=2, errors=3, successes=4)\n"), (4, 5, 1))

    def test_onlyTheLast(self) -> None:
        """A trial inside a test does not count."""
        self.assertEqual(counting.count("PASSED (successes=1)\n…\nFAILED (failures=1)\n"), (0, 1, 0))

    def test_noSummary(self) -> None:
        """A run that died is a failure."""
        self.assertEqual(counting.count("Traceback\n"), (0, 1, 0))

    def test_nothingRan(self) -> None:
        """So is one that ran nothing, and one that failed without saying how."""
        self.assertEqual(counting.count("Ran 0 tests\n\nPASSED\n"), (0, 1, 0))
        self.assertEqual(counting.count("FAILED (successes=3)\n"), (3, 1, 0))

    def test_script(self) -> None:
        """The script prints one line, and its exit code tells."""
        path = Path(self.mktemp())
        for output, line, code in (("PASSED (successes=2)\n", "2 passed, 0 failed, 0 skipped\n", 0), ("", "0 passed, 1 failed, 0 skipped\n", 1)):
            path.write_text(output)
            done = subprocess.run([sys.executable, SCRIPT, path], capture_output=True, text=True)
            self.assertEqual((done.stdout, done.returncode), (line, code))
