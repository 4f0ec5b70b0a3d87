"""Tests for L{xmppd.trust.inspection}."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import AuthorityInformationAccessOID
from OpenSSL import SSL
from twisted.trial.unittest import SynchronousTestCase

from tests.marks import spec
from tests.trust.authority import ALWAYS, CLIENT_ONLY, DAY, NOW, SERVER_ONLY, Authority, curveKey, name, pem, rsaKey
from xmppd.trust import certificatefacts
from xmppd.trust.identities import serviceName, xmppAddress
from xmppd.trust.inspection import Authorities, Completeness, Grade, arrangement, inspect, issuersPlaces, permissions
from xmppd.trust.selfsigned import KeyKind, newKey, signedByItself

FULL = [x509.DNSName("a.example"), serviceName("xmpp-client", "a.example"), serviceName("xmpp-server", "a.example"), xmppAddress("a.example")]
PLACE = "http://ca.example/between.crt"


def extended(parent: Authority, *extensions: tuple[Any, bool], names: Sequence[x509.GeneralName] = FULL) -> x509.Certificate:
    """A certificate with more extensions than usual."""
    own = parent.sign(curveKey(), start=0, end=ALWAYS)
    builder = (
        x509.CertificateBuilder()
        .subject_name(name("a.example"))
        .issuer_name(parent.name)
        .public_key(curveKey().public_key())
        .serial_number(1)
        .not_valid_before(own.not_valid_before_utc)
        .not_valid_after(own.not_valid_after_utc)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
    )
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical=critical)
    return builder.sign(parent.key, hashes.SHA256())


def access() -> x509.AuthorityInformationAccess:
    """Where the issuer's certificate is to be had."""
    url = x509.UniformResourceIdentifier(PLACE)
    return x509.AuthorityInformationAccess([x509.AccessDescription(AuthorityInformationAccessOID.CA_ISSUERS, url)])


class InspectionCase(SynchronousTestCase):
    """A root that is trusted, and an authority below it."""

    def setUp(self) -> None:
        self.root = Authority("root")
        self.between = Authority("between", self.root)
        file = Path(self.mktemp())
        file.write_bytes(pem(self.root.certificate))
        self.authorities = Authorities(file)

    def kinds(self, chain: Sequence[x509.Certificate], *domains: str) -> dict[str, Grade]:
        """What is found, with how bad it is."""
        found = inspect(chain, domains, NOW, self.authorities)
        self.assertEqual([each.grade for each in found], sorted((each.grade for each in found), key=tuple(Grade).index))
        for each in found:
            self.assertIn(each.text, str(each))
        return {each.kind: each.grade for each in found}

    def leaf(self, key: Any = None, names: Sequence[x509.GeneralName] = FULL, **options: Any) -> list[x509.Certificate]:
        """A certificate with its issuer."""
        options = {"start": 0, "end": ALWAYS, **options}
        return [self.between.sign(key or curveKey(), names, **options), self.between.certificate]


@spec("mission", "T1", "T12")
class InspectTests(InspectionCase):
    """One certificate with its chain."""

    def test_good(self) -> None:
        """There is nothing to say about one that has everything."""
        self.assertEqual(self.kinds(self.leaf(), "a.example"), {})

    def test_times(self) -> None:
        """Over, soon over, not yet begun; the same of an issuer's."""
        self.assertEqual(self.kinds(self.leaf(end=NOW - 1)), {"expired": Grade.ERROR})
        self.assertEqual(self.kinds(self.leaf(start=NOW + 60)), {"not-yet-valid": Grade.ERROR})
        self.assertEqual(self.kinds(self.leaf(end=NOW + 5 * DAY)), {"expires-soon": Grade.WARNING})
        between = self.root.sign(self.between.key, subject=self.between.name, ca=True, start=0, end=NOW - 1)
        self.assertEqual(self.kinds([self.leaf()[0], between]), {"expired": Grade.ERROR})

    def test_chain(self) -> None:
        """Signed by itself, by somebody unknown, or with an issuer that is missing."""
        own = signedByItself(["a.example"], newKey(KeyKind.EC), NOW, 300)
        self.assertEqual(self.kinds([own]), {"self-signed": Grade.WARNING})
        self.assertEqual(self.kinds(self.leaf()[:1]), {"unknown-authority": Grade.WARNING})
        self.assertEqual(self.kinds([extended(self.between, (access(), False))]), {"chain-incomplete": Grade.ERROR})
        stranger = Authority("stranger").sign(curveKey(), FULL, start=0, end=ALWAYS)
        self.assertEqual(self.authorities.completeness([stranger]), Completeness.UNKNOWN_AUTHORITY)
        self.assertEqual(self.authorities.completeness(self.leaf(end=NOW - 1)), Completeness.COMPLETE)

    def test_places(self) -> None:
        """Where an issuer's certificate is to be had is told."""
        certificate = extended(self.between, (access(), False))
        self.assertEqual(issuersPlaces(certificate), [PLACE])
        (remark,) = inspect([certificate], (), NOW, self.authorities)
        self.assertIn(PLACE, remark.remedy)

    @spec("RFC 9325", "4.5")
    def test_strength(self) -> None:
        """Keys and signatures that are too weak."""
        self.assertEqual(self.kinds(self.leaf(rsaKey(1024))), {"weak-key": Grade.ERROR})
        self.assertEqual(self.kinds(self.leaf(curveKey(ec.SECP224R1()))), {"weak-key": Grade.ERROR})
        # Nothing signs with SHA-1 any more, so take another for it.
        self.patch(certificatefacts, "WEAK_HASHES", ("sha384",))
        self.assertEqual(self.kinds(self.leaf(algorithm=hashes.SHA384())), {"weak-signature": Grade.ERROR})

    @spec("RFC 6120", "13.7.1.2")
    def test_names(self) -> None:
        """Another domain, one service only, a common name, wildcards."""
        self.assertEqual(self.kinds(self.leaf(), "a.example", "b.example"), {"no-matching-name": Grade.ERROR})
        half = self.leaf(names=[serviceName("xmpp-client", "a.example")])
        found = inspect(half, ["a.example"], NOW, self.authorities)
        self.assertEqual([each.kind for each in found], ["no-matching-name"])
        self.assertIn("for xmpp-server", found[0].text)
        self.assertEqual(self.kinds(self.leaf(names=[]), "a.example"), {"common-name-only": Grade.ERROR})
        plain = self.leaf(names=[x509.DNSName("a.example"), x509.DNSName("*.a.example")])
        self.assertEqual(self.kinds(plain, "a.example", "b.a.example", "*.a.example"), {"no-service-names": Grade.INFO})
        self.assertEqual(self.kinds(plain, "c.b.a.example")["no-matching-name"], Grade.ERROR)

    def test_usages(self) -> None:
        """Not for servers, not for clients (which is normal), not for signatures, an authority's own."""
        self.assertEqual(self.kinds(self.leaf(usages=SERVER_ONLY)), {"no-client-usage": Grade.INFO})
        self.assertEqual(self.kinds(self.leaf(usages=CLIENT_ONLY)), {"no-server-usage": Grade.ERROR})
        flags = ["digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement"]
        flags += ["key_cert_sign", "crl_sign", "encipher_only", "decipher_only"]
        usage = x509.KeyUsage(**{**dict.fromkeys(flags, False), "key_encipherment": True})
        chain = [extended(self.between, (usage, True)), self.between.certificate]
        self.assertEqual(self.kinds(chain), {"no-digital-signature": Grade.ERROR})
        self.assertEqual(self.kinds(self.leaf(ca=True)), {"authority": Grade.WARNING})

    def test_mustStaple(self) -> None:
        """One that demands an OCSP response is said to."""
        feature = x509.TLSFeature([x509.TLSFeatureType.status_request])
        chain = [extended(self.between, (feature, False)), self.between.certificate]
        self.assertEqual(self.kinds(chain), {"must-staple": Grade.INFO})

    def test_system(self) -> None:
        """Without a file there are the system's authorities, who don't know ours."""
        self.assertEqual(Authorities().completeness(self.leaf()), Completeness.UNKNOWN_AUTHORITY)
        self.assertRaises(SSL.Error, Authorities, Path("/dev/null"))


class FileTests(InspectionCase):
    """How certificates lie in their file, and who can get at it."""

    def arranged(self, *listed: x509.Certificate, chain: Sequence[x509.Certificate]) -> set[str]:
        """What is found."""
        found = list(arrangement(listed, chain))
        self.assertEqual({each.grade for each in found} - {Grade.INFO}, set())
        return {each.kind for each in found}

    def test_order(self) -> None:
        """Order, doubles, roots, strangers."""
        leaf, issuer = chain = self.leaf()
        root, other = self.root.certificate, self.leaf()[0]
        self.assertEqual(self.arranged(leaf, issuer, chain=chain), set())
        self.assertEqual(self.arranged(issuer, leaf, chain=chain), {"chain-order"})
        self.assertEqual(self.arranged(leaf, issuer, root, chain=chain), {"root-included"})
        self.assertEqual(self.arranged(leaf, other, issuer, issuer, chain=chain), {"unrelated", "double"})

    def test_permissions(self) -> None:
        """A key for everybody to read or to replace."""
        for mode, folder, kinds in (
            (0o100600, 0o40700, []),
            (0o100640, 0o40755, []),
            (0o100644, 0o40755, ["readable"]),
            (0o100660, 0o40755, ["writable"]),
            (0o100600, 0o40777, ["folder-writable"]),
            (0o100600, 0o41777, []),
        ):
            found = [each.kind for each in permissions(Path("a.example.pem"), mode, folder)]
            self.assertEqual(found, kinds, oct(mode))
