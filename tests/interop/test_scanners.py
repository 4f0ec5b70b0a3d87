"""
testssl.sh and sslyze have nothing against any port of the server, by RFC 9325. What they print is kept in docs/tls.
"""

from __future__ import annotations

import shutil
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from unittest import SkipTest

from twisted.trial.unittest import SynchronousTestCase

from tests.interop.daemon import DOMAIN, mistakes
from tests.interop.scanners import (
    EXPLAINED,
    LISTENERS,
    RSA_DOMAIN,
    SSLYZE,
    TESTSSL,
    Scan,
    Scanned,
    judged,
    sslyze,
    testssl,
    tidy,
)
from tests.marks import spec

CHECKS = ("--protocols", "--vulnerable")
"""What testssl.sh looks at here; all that it can do is in C{tools/scan_tls.py}."""


class ScannerCase(SynchronousTestCase):
    """Has a server with every port."""

    def setUp(self) -> None:
        """Start it."""
        folder = Path(tempfile.mkdtemp(prefix="xmppd-"))
        self.addCleanup(shutil.rmtree, folder, ignore_errors=True)
        self.server = Scanned(folder)
        self.addCleanup(self.server.kill)
        self.server.start()
        self.addCleanup(self.end)

    def end(self) -> None:
        """It has neither failed nor complained."""
        status = self.server.stop()
        self.assertEqual((status, mistakes(self.server.written())), (0, []))


class JudgementTests(SynchronousTestCase):
    """What is made of what scanners say."""

    def test_nothingKnown(self) -> None:
        """What a scanner hasn't tried is no success."""
        for listener in LISTENERS:
            found = list(judged({}, listener))
            empty = {
                "ssl_2_0 suites",
                "ssl_3_0 suites",
                "tls_1_0 suites",
                "tls_1_1 suites",
                "tls_1_2 suites",
                "tls_1_3 suites",
            }
            self.assertEqual({each.id for each in found if each.severity == "OK"}, empty)

    def test_weak(self) -> None:
        """What RFC 9325 has something against is a finding."""
        suites = [{"cipher_suite": {"name": "TLS_RSA_WITH_AES_128_CBC_SHA"}}]
        results = {
            "tls_1_0_cipher_suites": {"result": {"is_tls_version_supported": True, "accepted_cipher_suites": suites}},
            "tls_compression": {"result": {"supports_compression": True}},
        }
        found = {each.id: each for each in Scan(tuple(judged(results, "c2s")), "").against({})}
        self.assertGreaterEqual(set(found), {"tls_1_0", "tls_1_0 suites", "supports_compression"})
        self.assertIn("TLS_RSA_WITH_AES_128_CBC_SHA", found["tls_1_0 suites"].text)

    def test_tidy(self) -> None:
        """What is kept names no path and no port of this machine."""
        said = "\x1b[1m127.0.0.1:43210\x1b[m from /tmp/xmppd-x/ca.pem, port 43210   \n\n\n\nend\n"
        self.assertEqual(tidy(said), "127.0.0.1:PORT from FILE port PORT\n\nend\n")


@spec("mission", "T1", "T4", "T5", "T6")
@spec("RFC 9325", "3.1.1", "3.2", "3.3", "3.4", "3.5", "3.10", "4.1", "4.2", "4.3", "4.5", "7.5")
class SslyzeTests(ScannerCase):
    """sslyze."""

    if SSLYZE is None:
        skip = "there is no sslyze; pip install it into an environment of its own, and name it in XMPPD_SSLYZE"

    def test_nothing(self) -> None:
        """Every listener, with a key on P-256 and with an RSA key: nothing."""
        for listener in LISTENERS:
            for domain in (DOMAIN, RSA_DOMAIN):
                scan = sslyze(self.server, listener, domain)
                self.assertGreater(len(scan.found), 20)
                self.assertEqual(scan.against({}), [], (listener, domain))


@spec("mission", "T1", "T4", "T5")
@spec("RFC 9325", "3.1.1", "3.2", "3.3", "3.5", "4.1", "4.2", "4.5")
class TestsslTests(ScannerCase):
    """testssl.sh."""

    def test_nothing(self) -> None:
        """Every listener: no finding of any severity that isn't explained."""
        if TESTSSL is None:
            raise SkipTest("there is no testssl; on Debian: apt-get install testssl.sh")
        with ThreadPoolExecutor(len(LISTENERS)) as pool:
            scans = list(pool.map(lambda listener: testssl(self.server, listener, CHECKS), LISTENERS))
        for listener, scan in zip(LISTENERS, scans, strict=True):
            ids = {each.id for each in scan.found}
            self.assertGreaterEqual(
                ids, {"TLS1_2", "TLS1_3", "secure_renego", "heartbleed", "ROBOT", "CRIME_TLS"}, listener
            )
            self.assertEqual(scan.against(EXPLAINED), [], listener)
