"""Tests for L{xmppd.trust.selfsigned}."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.trust.authority import DAY, NOW
from xmppd.trust import selfsigned
from xmppd.trust.certificates import loadCertificate, loadCertificates
from xmppd.trust.selfsigned import makeCertificate, makeCertificates, namesFor, writePrivately


class SelfSignedTests(SynchronousTestCase):
    """Certificates made on the spot."""

    def setUp(self) -> None:
        """A folder that isn't there yet."""
        self.folder = Path(self.mktemp())

    def test_usable(self) -> None:
        """What is made loads without a warning and names all domains in every way."""
        path = makeCertificate(["example.org", "*.example.org", "bücher.example"], self.folder, NOW, days=3)
        certificate = loadCertificate(path, NOW)
        self.assertEqual(path, self.folder / "example.org.pem")
        self.assertEqual(certificate.warnings, ())
        self.assertEqual(certificate.names.dnsNames, ("example.org", "*.example.org", "xn--bcher-kva.example"))
        self.assertIn("_xmpp-client.example.org", certificate.names.serviceNames)
        self.assertIn("_xmpp-server.example.org", certificate.names.serviceNames)
        self.assertEqual(certificate.names.xmppAddresses, ("example.org", "xn--bcher-kva.example"))
        self.assertEqual(certificate.notAfter, NOW + 3 * DAY)

    def test_private(self) -> None:
        """Only the owner can read the key, and nothing else is left in the folder."""
        path = makeCertificate(["example.org"], self.folder, NOW)
        self.assertEqual(stat.S_IMODE(path.stat().st_mode), 0o600)
        self.assertEqual(stat.S_IMODE(self.folder.stat().st_mode), 0o700)
        self.assertEqual(os.listdir(self.folder), ["example.org.pem"])

    def test_replaces(self) -> None:
        """An older one is replaced."""
        first = makeCertificate(["example.org"], self.folder, NOW).read_bytes()
        self.assertNotEqual(makeCertificate(["example.org"], self.folder, NOW).read_bytes(), first)

    def test_atomic(self) -> None:
        """When writing fails the older one stays and nothing is left behind."""
        path = makeCertificate(["example.org"], self.folder, NOW)
        before = path.read_bytes()

        def fail(descriptor: int) -> None:
            raise OSError("full")

        self.patch(selfsigned.os, "fsync", fail)
        self.assertRaises(OSError, makeCertificate, ["example.org"], self.folder, NOW)
        self.assertEqual(path.read_bytes(), before)
        self.assertEqual(os.listdir(self.folder), ["example.org.pem"])

    def test_notReplaced(self) -> None:
        """What is there stays unless it may be replaced; nothing is left behind."""
        self.folder.mkdir()
        path = self.folder / "a.pem"
        writePrivately(path, b"first", replace=False, owner=(os.getuid(), os.getgid()))
        self.assertRaises(FileExistsError, writePrivately, path, b"second", replace=False)
        self.assertEqual((path.read_bytes(), os.listdir(self.folder)), (b"first", ["a.pem"]))
        writePrivately(path, b"third", replace=True, mode=0o640)
        self.assertEqual((path.read_bytes(), stat.S_IMODE(path.stat().st_mode)), (b"third", 0o640))
        self.assertEqual(os.listdir(self.folder), ["a.pem"])

    def test_names(self) -> None:
        """Names are made ASCII, and each is there once."""
        self.assertEqual(namesFor(["Bücher.example", "xn--bcher-kva.example", "*.a.example"]), ("xn--bcher-kva.example", "*.a.example"))

    def test_many(self) -> None:
        """One file for each domain."""
        paths = makeCertificates(["a.example", "b.example"], self.folder, NOW)
        self.assertEqual([path.name for path in paths], ["a.example.pem", "b.example.pem"])
        self.assertEqual(list(loadCertificates(self.folder, NOW)), ["a.example", "b.example"])

    def test_none(self) -> None:
        """A certificate needs a domain."""
        self.assertRaises(ValueError, makeCertificate, [], self.folder, NOW)
        self.assertRaises(ValueError, makeCertificate, ["../evil"], self.folder, NOW)
