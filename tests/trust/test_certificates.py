"""Tests for L{xmppd.trust.certificates}."""

from __future__ import annotations

import hashlib
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import dsa, ec
from twisted.trial.unittest import SynchronousTestCase

from tests.marks import spec
from tests.trust.authority import DAY, NOW, Authority, curveKey, der, keyPEM, pem, rsaKey
from xmppd.trust.certificates import (
    MAX_FILE,
    CertificateError,
    asciiDomain,
    findCertificate,
    loadCertificate,
    loadCertificates,
    wildcardFor,
)
from xmppd.trust.identities import serviceName, xmppAddress


class FolderCase(SynchronousTestCase):
    """Has a folder and authorities."""

    root = Authority("root")
    middle = Authority("middle", root)

    def setUp(self) -> None:
        """Make the folder."""
        self.folder = Path(self.mktemp())
        self.folder.mkdir()

    def problem(self, data: bytes, filename: str = "example.org.pem") -> str:
        """What is said about a file with this content."""
        path = self.folder / filename
        path.write_bytes(data)
        error = self.assertRaises(CertificateError, loadCertificate, path, NOW)
        self.assertEqual(len(error.problems), 1)
        self.assertEqual(error.problems[0].path, path)
        self.assertTrue(error.problems[0].remedy)
        self.assertIn(str(path), str(error))
        self.assertNotIn("PRIVATE KEY-", str(error))
        return error.problems[0].what


class LoadCertificateTests(FolderCase):
    """One file."""

    def test_facts(self) -> None:
        """All that is said about a certificate is right."""
        key = curveKey()
        leaf = self.root.sign(key, [x509.DNSName("example.org")])
        path = self.folder / "Example.ORG.pem"
        path.write_bytes(keyPEM(key) + pem(leaf))
        path.chmod(0o600)
        certificate = loadCertificate(path, NOW)
        self.assertEqual(certificate.domain, "example.org")
        self.assertEqual(certificate.path, path)
        self.assertEqual((certificate.notBefore, certificate.notAfter), (NOW - DAY, NOW + DAY))
        self.assertEqual(certificate.sha256, hashlib.sha256(der(leaf)).hexdigest())
        self.assertEqual(certificate.der, der(leaf))
        self.assertEqual(len(certificate.publicKeySHA256), 64)
        self.assertEqual(certificate.names.dnsNames, ("example.org",))
        self.assertEqual(certificate.warnings, ())
        self.assertNotIn("PrivateKey", repr(certificate))

    def test_publicKeyOutlastsRenewal(self) -> None:
        """The fingerprint of the public key is the same for two certificates of one key."""
        key = curveKey()
        first = loadCertificate(self.root.write(self.folder, "a.example", key=key), NOW)
        second = loadCertificate(self.root.write(self.folder, "b.example", key=key), NOW)
        self.assertEqual(first.publicKeySHA256, second.publicKeySHA256)
        self.assertNotEqual(first.sha256, second.sha256)

    def test_anyOrder(self) -> None:
        """Key, leaf, intermediates and root may stand in any order; the chain comes out ordered."""
        key = curveKey()
        last = Authority("last", self.middle)
        leaf = last.sign(key, [x509.DNSName("example.org")])
        stray = Authority("stray").certificate
        parts = [
            keyPEM(key),
            pem(leaf),
            pem(last.certificate),
            pem(self.middle.certificate),
            pem(self.root.certificate),
        ]
        for order in (parts, parts[::-1], [*parts[2:], pem(stray), *parts[:2]]):
            path = self.folder / "example.org.pem"
            path.write_bytes(b"# comment\n".join(order))
            chain = loadCertificate(path, NOW).chain
            authorities = (last.certificate, self.middle.certificate, self.root.certificate)
            self.assertEqual(chain, (leaf, *authorities))

    def test_selfSigned(self) -> None:
        """A certificate that signed itself is its own chain."""
        authority = Authority("example.org")
        path = self.folder / "example.org.pem"
        path.write_bytes(keyPEM(authority.key) + pem(authority.certificate))
        self.assertEqual(loadCertificate(path, NOW).chain, (authority.certificate,))

    def test_renewedWithSameKey(self) -> None:
        """Of two certificates for the key the one that lasts longer is used."""
        key = curveKey()
        old = self.root.sign(key, [x509.DNSName("example.org")])
        new = self.root.sign(key, [x509.DNSName("example.org")], end=NOW + 9 * DAY)
        path = self.folder / "example.org.pem"
        path.write_bytes(keyPEM(key) + pem(old, new))
        self.assertEqual(loadCertificate(path, NOW).chain, (new,))

    def test_rsa(self) -> None:
        """RSA with 2048 bits will do."""
        self.assertEqual(loadCertificate(self.root.write(self.folder, "e.example", key=rsaKey()), NOW).warnings, ())

    def test_noKey(self) -> None:
        """A file without a key is refused."""
        self.assertEqual(self.problem(pem(self.root.certificate)), "has no private key")

    def test_empty(self) -> None:
        """So is an empty one."""
        self.assertEqual(self.problem(b""), "has no private key")

    def test_noCertificate(self) -> None:
        """A file with a key only is refused."""
        self.assertEqual(self.problem(keyPEM(curveKey())), "has no certificate")

    def test_twoKeys(self) -> None:
        """Two keys are refused."""
        self.assertEqual(self.problem(keyPEM(curveKey()) + keyPEM(curveKey())), "has more than one private key")

    def test_keyMismatch(self) -> None:
        """A key that belongs to another certificate is refused."""
        other = self.root.sign(curveKey(), [x509.DNSName("example.org")])
        self.assertIn("belongs to none", self.problem(keyPEM(curveKey()) + pem(other)))

    def test_encryptedKey(self) -> None:
        """Nobody is there to type a password."""
        self.assertEqual(self.problem(keyPEM(curveKey(), b"secret")), "has an encrypted private key")

    @spec("RFC 9325", "4.5")
    @spec("mission", "T1")
    def test_weakRSA(self) -> None:
        """RSA under 2048 bits is refused."""
        key = rsaKey(1024)
        leaf = self.root.sign(key, [x509.DNSName("example.org")])
        self.assertIn("1024 bits", self.problem(keyPEM(key) + pem(leaf)))

    @spec("RFC 9325", "4.5")
    @spec("mission", "T1")
    def test_weakCurve(self) -> None:
        """A curve under 256 bits is refused."""
        key = curveKey(ec.SECP224R1())
        leaf = self.root.sign(key, [x509.DNSName("example.org")])
        self.assertIn("secp224r1", self.problem(keyPEM(key) + pem(leaf)))

    def test_otherKind(self) -> None:
        """DSA is no key for TLS."""
        self.assertIn("a kind", self.problem(keyPEM(dsa.generate_private_key(1024))))

    def test_damagedKey(self) -> None:
        """A key with a broken body is refused, and isn't quoted."""
        data = keyPEM(curveKey()).replace(b"M", b"A", 5)
        self.assertEqual(self.problem(data), "has a damaged private key")

    def test_damagedCertificate(self) -> None:
        """A certificate with a broken body is refused."""
        key = curveKey()
        good = pem(self.root.sign(key, [x509.DNSName("example.org")]))
        self.assertIn("damaged certificate", self.problem(keyPEM(key) + good[:40] + b"AAAA" + good[60:]))

    def test_anyCorruption(self) -> None:
        """Wherever a file is cut off it's either refused with one problem or still whole."""
        data = self.root.write(self.folder, "example.org").read_bytes()
        for length in range(0, len(data) - 2, 37):
            self.assertTrue(self.problem(data[:length]))

    def test_tooLarge(self) -> None:
        """A file larger than any certificate isn't read."""
        self.assertIn("too large", self.problem(b"x" * (MAX_FILE + 1)))

    def test_unreadable(self) -> None:
        """A file that can't be opened is told with the reason."""
        (self.folder / "example.org.pem").mkdir()
        error = self.assertRaises(CertificateError, loadCertificate, self.folder / "example.org.pem", NOW)
        self.assertIn("can't be read (Is a directory)", str(error))

    def test_badName(self) -> None:
        """A file that isn't named after a domain is refused."""
        self.assertIn("isn't named after a domain", self.problem(b"", "a b.pem"))


class WarningTests(FolderCase):
    """What is wrong without being fatal."""

    def warnings(self, path: Path) -> list[str]:
        """What is said about a file."""
        return [problem.what for problem in loadCertificate(path, NOW).warnings]

    def test_expired(self) -> None:
        """A certificate that has expired is served with a warning."""
        path = self.root.write(self.folder, "example.org", start=NOW - 2 * DAY, end=NOW - DAY)
        self.assertEqual(self.warnings(path), ["has expired"])

    def test_notYet(self) -> None:
        """So is one that isn't valid yet."""
        self.assertEqual(
            self.warnings(self.root.write(self.folder, "example.org", start=NOW + DAY / 2)), ["isn't valid yet"]
        )

    def test_otherName(self) -> None:
        """And one that names somebody else."""
        self.assertEqual(
            self.warnings(self.root.write(self.folder, "example.org", "example.com")), ["doesn't name example.org"]
        )

    def test_worldReadable(self) -> None:
        """A key that everybody can read is worth a warning with the command to type."""
        path = self.root.write(self.folder, "example.org")
        path.chmod(0o644)
        (problem,) = loadCertificate(path, NOW).warnings
        self.assertEqual(problem.what, "can be read by everybody")
        self.assertEqual(problem.remedy, f"chmod o-rwx {path}")

    @spec("RFC 6120", "13.7.1.2")
    def test_namedOtherwise(self) -> None:
        """A wildcard, an SRV name or an XMPP address name a domain as well."""
        for alternative in (
            x509.DNSName("*.example.org"),
            serviceName("xmpp-client", "chat.example.org"),
            xmppAddress("chat.example.org"),
        ):
            key = curveKey()
            path = self.folder / "chat.example.org.pem"
            path.write_bytes(keyPEM(key) + pem(self.root.sign(key, [alternative])))
            path.chmod(0o600)
            self.assertEqual(self.warnings(path), [])

    def test_wildcardFile(self) -> None:
        """A wildcard file wants a certificate with that wildcard."""
        self.assertEqual(self.warnings(self.root.write(self.folder, "*.example.org")), [])
        self.assertEqual(
            self.warnings(self.root.write(self.folder, "*.example.org", "example.org")),
            ["doesn't name *.example.org"],
        )


class LoadCertificatesTests(FolderCase):
    """A folder."""

    def test_folder(self) -> None:
        """All DOMAIN.pem files are loaded, in order; others are ignored."""
        self.root.write(self.folder, "b.example")
        self.root.write(self.folder, "a.example")
        (self.folder / ".hidden.pem").write_bytes(b"x")
        (self.folder / "README").write_bytes(b"x")
        self.assertEqual(list(loadCertificates(self.folder, NOW)), ["a.example", "b.example"])

    def test_allProblems(self) -> None:
        """Everything that is wrong is told at once."""
        self.root.write(self.folder, "good.example")
        (self.folder / "bad.example.pem").write_bytes(b"")
        (self.folder / "worse.example.pem").write_bytes(keyPEM(curveKey()))
        error = self.assertRaises(CertificateError, loadCertificates, self.folder, NOW)
        self.assertEqual([each.path.name for each in error.problems], ["bad.example.pem", "worse.example.pem"])
        self.assertEqual(len(str(error).splitlines()), 2)

    def test_noFolder(self) -> None:
        """A folder that isn't there is told."""
        error = self.assertRaises(CertificateError, loadCertificates, self.folder / "none", NOW)
        self.assertIn("No such file", str(error))

    def test_find(self) -> None:
        """Own file, then a name, then a wildcard file, then a wildcard name; nonsense finds nothing."""
        self.root.write(self.folder, "example.org", "example.org", "rooms.example.org", "*.deep.example.org")
        self.root.write(self.folder, "*.example.org")
        self.root.write(self.folder, "chat.example.org")
        loaded = loadCertificates(self.folder, NOW)

        def found(domain: str) -> str | None:
            certificate = findCertificate(loaded, domain)
            return certificate and certificate.domain

        self.assertEqual(found("example.org"), "example.org")
        self.assertEqual(found("EXAMPLE.org."), "example.org")
        self.assertEqual(found("chat.example.org"), "chat.example.org")
        self.assertEqual(found("rooms.example.org"), "example.org")
        self.assertEqual(found("other.example.org"), "*.example.org")
        self.assertEqual(found("a.deep.example.org"), "example.org")
        self.assertIsNone(found("a.other.example.org"))
        self.assertIsNone(found("example.com"))
        self.assertIsNone(found("org"))
        self.assertIsNone(found(""))
        self.assertIsNone(found("a b"))
        self.assertIsNone(found("\ufffd"))

    def test_international(self) -> None:
        """U-labels and A-labels are the same domain."""
        self.root.write(self.folder, "bücher.example", "xn--bcher-kva.example")
        loaded = loadCertificates(self.folder, NOW)
        self.assertEqual(list(loaded), ["xn--bcher-kva.example"])
        self.assertEqual(loaded["xn--bcher-kva.example"].warnings, ())
        self.assertIsNotNone(findCertificate(loaded, "BÜCHER.example"))
        self.assertIsNotNone(findCertificate(loaded, "xn--bcher-kva.example"))

    def test_domains(self) -> None:
        """What is no domain raises ValueError."""
        for nonsense in (
            "", ".", "..", "*.", "*..a", ".a", "a..b", "a..", "a/b", "a\0b", "x" * 254, "x" * 64 + ".a", "\u2488"
        ):
            self.assertRaises(ValueError, asciiDomain, nonsense)
        self.assertEqual(wildcardFor("a.b.c"), "*.b.c")
