"""Tests for L{xmppd.trust.expiry}."""

from __future__ import annotations

from pathlib import Path

from cryptography import x509
from twisted.trial.unittest import SynchronousTestCase

from tests.marks import spec
from tests.trust.authority import DAY, NOW, Authority, curveKey, keyPEM, pem
from xmppd.trust.certificates import Certificate, loadCertificate
from xmppd.trust.expiry import OVER, endOf, isNews, stage, warning

END = NOW + 90 * DAY


@spec("mission", "T12")
class StageTests(SynchronousTestCase):
    """Which threshold a certificate has reached."""

    def test_year(self) -> None:
        """One that lives for a year reaches all, one after the other."""
        start = END - 365 * DAY
        for left, reached in ((40, None), (30.1, None), (30, 30), (20, 30), (14, 14), (6.5, 7), (3, 3), (0.5, 1)):
            self.assertEqual(stage(start, END, END - left * DAY), reached, left)
        self.assertEqual((stage(start, END, END), stage(start, END, END + DAY)), (OVER, OVER))

    def test_months(self) -> None:
        """One that is renewed by itself with a third of its life left isn't warned of before that has failed."""
        start = END - 90 * DAY
        self.assertIsNone(stage(start, END, END - 29 * DAY))
        self.assertEqual(stage(start, END, END - 14 * DAY), 14)

    def test_days(self) -> None:
        """One that lives for six days is warned of on its last; one of a day when it is over."""
        self.assertIsNone(stage(END - 6 * DAY, END, END - 3 * DAY))
        self.assertEqual(stage(END - 6 * DAY, END, END - DAY / 2), 1)
        self.assertIsNone(stage(END - DAY, END, END - 1))
        self.assertEqual(stage(END - DAY, END, END), OVER)

    def test_configured(self) -> None:
        """Other thresholds, and none: then there is the end alone."""
        start = END - 365 * DAY
        self.assertEqual(stage(start, END, END - 59 * DAY, (60, 5)), 60)
        self.assertIsNone(stage(start, END, END - 1, ()))
        self.assertEqual(stage(start, END, END, ()), OVER)

    def test_news(self) -> None:
        """Each threshold is worth telling once, and a later one again."""
        for reached, told, news in ((None, None, False), (14, None, True), (14, 14, False), (7, 14, True), (OVER, 1, True), (OVER, OVER, False), (30, 14, False)):
            self.assertEqual(isNews(reached, told), news, (reached, told))


@spec("mission", "T12")
class WarningTests(SynchronousTestCase):
    """What is told."""

    def certificate(self, end: float, issuerEnd: float) -> Certificate:
        """One with an issuer."""
        root = Authority("root")
        between = Authority("between", root)
        between.certificate = root.sign(between.key, subject=between.name, ca=True, start=0, end=issuerEnd)
        folder = Path(self.mktemp())
        folder.mkdir()
        key = curveKey()
        leaf = between.sign(key, [x509.DNSName("a.example")], end=end)
        path = folder / "a.example.pem"
        path.write_bytes(keyPEM(key) + pem(leaf, between.certificate))
        return loadCertificate(path, NOW)

    def test_own(self) -> None:
        """Its own end, in days, and when it is over."""
        certificate = self.certificate(NOW + 3.5 * DAY, NOW + 30 * DAY)
        self.assertEqual(endOf(certificate), NOW + 3.5 * DAY)
        self.assertIn("for a.example (a.example.pem) expires in 3 days, on 2030-", warning(certificate, NOW))
        self.assertIn("expires in 1 day,", warning(certificate, NOW + 2 * DAY))
        self.assertIn("has expired on 2030-", warning(certificate, NOW + 4 * DAY))

    def test_issuer(self) -> None:
        """A chain ends with the first of its certificates."""
        certificate = self.certificate(NOW + 30 * DAY, NOW + 2 * DAY)
        self.assertEqual(endOf(certificate), NOW + 2 * DAY)
        self.assertIn("an issuer's certificate in the chain of a.example.pem expires in 2 days", warning(certificate, NOW))
