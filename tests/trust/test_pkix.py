"""Tests for L{xmppd.trust.pkix} and L{xmppd.trust.certificatefacts}."""

from __future__ import annotations

import gc
import hashlib
import ipaddress
from dataclasses import replace
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed25519
from cryptography.x509.oid import ExtendedKeyUsageOID
from hypothesis import given, settings
from hypothesis import strategies as st
from OpenSSL import SSL
from twisted.trial.unittest import SynchronousTestCase

from tests.marks import spec
from tests.trust.authority import ALWAYS, CLIENT_ONLY, DAY, NOW, SERVER_ONLY, Authority, curveKey, der, name, rsaKey
from tests.trust.handshakes import context, ownContext, shake
from xmppd.trust import certificatefacts
from xmppd.trust.certificatefacts import (
    chainFacts,
    factsOf,
    fullWeakness,
    load,
    publicKeyInfo,
    shown,
    shownNames,
    shownTime,
)
from xmppd.trust.identities import CertificateNames, namesFromDER, serviceName, xmppAddress
from xmppd.trust.ocsp import OCSPStatus
from xmppd.trust.pkix import (
    CLIENT,
    MAX_CHAIN,
    MAX_ERRORS,
    Fault,
    NameMatch,
    Verification,
    VerificationRecorder,
    faultsOf,
    isForOthers,
    matchNames,
    presentedChain,
    provePKIX,
    usableForTLS,
)
from xmppd.trust.tlspolicy import serverEndPoint
from xmppd.trust.verdict import Outcome, Prooftype

ROOT = Authority("root")
BETWEEN = Authority("between", ROOT)
KEY = curveKey()
DOMAIN = "example.org"


def leaf(*names: str, parent: Authority = BETWEEN, key: Any = KEY, **options: Any) -> x509.Certificate:
    """A certificate for some DNS names."""
    return parent.sign(key, [x509.DNSName(each) for each in names or (DOMAIN,)], **options)


def chain(certificate: x509.Certificate) -> tuple[bytes, ...]:
    """DER of a certificate and its issuers."""
    return der(certificate), der(BETWEEN.certificate), der(ROOT.certificate)


@spec("mission", "T7", "T9")
class OtherNamesTests(SynchronousTestCase):
    """Certificates that are good, but for others."""

    def forOthers(self, *dnsNames: str, domain: str = DOMAIN, known: tuple[str, ...] = ()) -> bool:
        """Whether it is."""
        return isForOthers(CertificateNames(dnsNames=dnsNames), domain, known)

    def test_others(self) -> None:
        """Names that have nothing to do with the domain, of whatever kind; if there are any."""
        self.assertTrue(self.forOthers("evil.example", "*.evil.example"))
        self.assertTrue(self.forOthers("xexample.org", "example.org.evil.example", "*.org", "org.example"))
        self.assertTrue(isForOthers(CertificateNames(xmppAddresses=("evil.example",)), DOMAIN))
        self.assertTrue(isForOthers(CertificateNames(serviceNames=("_xmpp-server.evil.example",)), DOMAIN))
        self.assertFalse(self.forOthers())
        self.assertFalse(self.forOthers("*", ".."))
        self.assertFalse(isForOthers(CertificateNames(emails=("a@evil.example",)), DOMAIN))

    def test_related(self) -> None:
        """Names above and below the domain have to do with it, top-level domains don't."""
        for names in (("xmpp.example.org",), ("*.xmpp.example.org",), ("evil.example", "a.b.example.org")):
            self.assertFalse(self.forOthers(*names), names)
        self.assertFalse(self.forOthers("example.org", domain="rooms.example.org"))
        self.assertTrue(self.forOthers("a.example.org", domain="b.example.org"))
        self.assertTrue(self.forOthers("org"))
        self.assertFalse(self.forOthers("xn--bcher-kva.example", domain="chat.bücher.example"))

    def test_known(self) -> None:
        """Names that somebody has vouched for; addresses are none."""
        self.assertFalse(self.forOthers("x.hosting.example", known=("x.hosting.example",)))
        self.assertTrue(self.forOthers("evil.example", known=("192.0.2.1", "::1", "")))

    def test_proof(self) -> None:
        """Only a chain without faults says something; and who fits isn't somebody else."""
        good = Verification(chain(leaf("evil.example")))
        self.assertTrue(provePKIX(DOMAIN, good, NOW).misdirects)
        self.assertFalse(provePKIX(DOMAIN, good, NOW, known=("evil.example",)).misdirects)
        self.assertFalse(provePKIX(DOMAIN, good, NOW + 10_000 * DAY).misdirects)
        self.assertFalse(provePKIX(DOMAIN, replace(good, errors=((20, 0),)), NOW).misdirects)
        self.assertFalse(provePKIX("evil.example", good, NOW).misdirects)


@spec("mission", "T7")
class NameTests(SynchronousTestCase):
    """Which names of a certificate are a domain's."""

    def match(self, domain: str, targets: tuple[str, ...] = (), **names: tuple[str, ...]) -> NameMatch | None:
        """The name that fits."""
        return matchNames(CertificateNames(**names), domain, targets=targets)

    @spec("RFC 6120", "13.7.1.2")
    @spec("RFC 9525", "6.3")
    def test_dns(self) -> None:
        """A DNS-ID fits the same name, whatever its case."""
        self.assertEqual(self.match("Example.ORG", dnsNames=("example.org",)), NameMatch("DNS-ID", DOMAIN, DOMAIN))
        for other in ("example.com", "a.example.org", "org", "xample.org", "example.org.evil.example"):
            self.assertIsNone(self.match(other, dnsNames=("example.org",)), other)

    @spec("RFC 9525", "6.3")
    def test_wildcard(self) -> None:
        """A wildcard is the whole left-most label and stands for exactly one."""
        names = ("*.example.org",)
        self.assertIsNotNone(self.match("chat.example.org", dnsNames=names))
        for other in ("example.org", "a.chat.example.org", ".example.org", "*.example.org"):
            self.assertIsNone(self.match(other, dnsNames=names), other)

    @spec("RFC 9525", "6.3")
    def test_oddWildcards(self) -> None:
        """Parts of labels, other labels, several, and all below a top-level domain are no wildcards."""
        for odd in ("c*.example.org", "*t.example.org", "chat.*.org", "*.*.org", "*", "*.org"):
            self.assertIsNone(self.match("chat.example.org", dnsNames=(odd,)), odd)
        self.assertIsNone(self.match("example.org", dnsNames=("*.org",)))

    @spec("RFC 6120", "13.7.1.2")
    def test_service(self) -> None:
        """An SRV-ID fits for its service only, and has no wildcards."""
        names = ("_xmpp-server.example.org",)
        found = self.match(DOMAIN, serviceNames=names)
        self.assertEqual(found, NameMatch("SRV-ID", "_xmpp-server.example.org", DOMAIN))
        self.assertIsNone(matchNames(CertificateNames(serviceNames=names), DOMAIN, CLIENT))
        self.assertIsNone(self.match("chat.example.org", serviceNames=("_xmpp-server.*.example.org",)))
        self.assertIsNone(self.match("chat.example.org", serviceNames=names))

    @spec("RFC 6120", "13.7.1.4", "13.7.2.1")
    def test_address(self) -> None:
        """An xmppAddr fits if it is a domain and nothing else."""
        self.assertEqual(
            self.match(DOMAIN, xmppAddresses=("Example.org",)), NameMatch("xmppAddr", "Example.org", DOMAIN)
        )
        for other in ("juliet@example.org", "example.org/server", "a.example.org", "", "@", "*.example.org", "\x00"):
            self.assertIsNone(self.match(DOMAIN, xmppAddresses=(other,)), other)

    @spec("RFC 6120", "13.7.2.1")
    @spec("RFC 9525", "6.3")
    def test_internationalized(self) -> None:
        """Domains are compared as A-labels; an xmppAddr has U-labels."""
        for domain in ("bücher.example", "xn--bcher-kva.example", "BÜCHER.example"):
            self.assertIsNotNone(self.match(domain, dnsNames=("xn--bcher-kva.example",)))
            self.assertIsNotNone(self.match(domain, xmppAddresses=("bücher.example",)))
            self.assertIsNotNone(self.match(domain, serviceNames=("_xmpp-server.xn--bcher-kva.example",)))
        self.assertIsNone(self.match("bucher.example", dnsNames=("xn--bcher-kva.example",)))
        self.assertIsNotNone(self.match("a.bücher.example", dnsNames=("*.xn--bcher-kva.example",)))

    @spec("RFC 7673", "4.1")
    def test_targets(self) -> None:
        """A target counts if it is given, as DNS-ID and SRV-ID, but not as an address of XMPP."""
        host = "xmpp23.hosting.example.net"
        self.assertIsNone(self.match(DOMAIN, dnsNames=(host,)))
        self.assertEqual(self.match(DOMAIN, (host,), dnsNames=(host,)), NameMatch("DNS-ID", host, host))
        self.assertIsNotNone(self.match(DOMAIN, (host,), serviceNames=(f"_xmpp-server.{host}",)))
        self.assertIsNone(self.match(DOMAIN, (host,), xmppAddresses=(host,)))
        self.assertIsNotNone(self.match(DOMAIN, ("..", host), dnsNames=(DOMAIN,)))

    @spec("RFC 9525", "2")
    def test_noCommonName(self) -> None:
        """The common name isn't a name, with and without others."""
        for names in ([], [x509.DNSName("other.example")]):
            certificate = BETWEEN.sign(KEY, names, subject=name(DOMAIN))
            proof = provePKIX(DOMAIN, Verification(chain(certificate)), NOW)
            self.assertIs(proof.outcome, Outcome.FAILED)

    def test_noDomains(self) -> None:
        """Addresses and nonsense fit nothing, not even themselves."""
        for nonsense in (
            "",
            ".",
            "192.0.2.1",
            "2001:db8::1",
            "[2001:db8::1]",
            "a b",
            "*.example.org",
            "a" * 300,
            "\ud800",
        ):
            self.assertIsNone(self.match(nonsense, dnsNames=(nonsense.lower(),), xmppAddresses=(nonsense,)), nonsense)
        certificate = BETWEEN.sign(KEY, [x509.IPAddress(ipaddress.ip_address("192.0.2.1"))])
        self.assertFalse(provePKIX("192.0.2.1", Verification(chain(certificate)), NOW).held)

    @given(st.text(max_size=40), st.text(max_size=40))
    @settings(max_examples=200, deadline=None)
    def test_anything(self, domain: str, presented: str) -> None:
        """No name whatsoever makes it raise, and no other name fits."""
        names = CertificateNames((presented,), (f"_xmpp-server.{presented}",), (presented,))
        matchNames(names, domain, targets=[presented])
        self.assertIsNone(matchNames(names, "is.not.there.example"))


@spec("mission", "T7")
class ProofTests(SynchronousTestCase):
    """The prooftype PKIX."""

    def assertFails(self, faults: list[Fault], verification: Verification, *words: str, **options: Any) -> None:
        """A chain has faults, and the proof says so."""
        found = [each.fault for each in faultsOf(verification, NOW, options.get("ocsp"))]
        self.assertEqual(found, faults)
        proof = provePKIX(DOMAIN, verification, NOW, **options)
        self.assertIs(proof.outcome, Outcome.FAILED)
        self.assertIs(proof.vetoes, Fault.REVOKED in faults)
        for word in words:
            self.assertIn(word, "; ".join(proof.reasons))

    @spec("RFC 6120", "13.7.2")
    def test_held(self) -> None:
        """A chain without faults and a name that fits are proof, for as long as the certificate is valid."""
        proof = provePKIX(DOMAIN, Verification(chain(leaf())), NOW)
        self.assertTrue(proof.held)
        self.assertIs(proof.prooftype, Prooftype.PKIX)
        self.assertEqual(
            proof.reasons,
            ("the certificate names example.org (DNS-ID)", "it is issued by the trusted authority CN=root"),
        )
        self.assertEqual(proof.until, NOW + DAY)

    def test_otherKinds(self) -> None:
        """The other kinds of names are as good."""
        for alternative in (xmppAddress(DOMAIN), serviceName("xmpp-server", DOMAIN)):
            certificate = BETWEEN.sign(KEY, [alternative])
            self.assertTrue(provePKIX(DOMAIN, Verification(chain(certificate)), NOW).held)

    def test_wrongName(self) -> None:
        """A valid certificate for somebody else proves nothing, and the reason names whom it is for."""
        verification = Verification(chain(leaf("example.com", "*.example.net")))
        self.assertFails([], verification, "is for example.com, *.example.net, not for example.org")

    def test_nothing(self) -> None:
        """Without a certificate nothing is proved."""
        self.assertFails([Fault.NO_CERTIFICATE], Verification(), "no certificate was shown")

    def test_unreadable(self) -> None:
        """Bytes that are no certificate prove nothing."""
        for bad in (b"", b"\x30\x00", b"x" * 100, der(leaf())[:-1], b"\x30" * (certificatefacts.MAX_CERTIFICATE + 1)):
            self.assertFails([Fault.UNREADABLE], Verification((bad,)), "can't be read")

    def test_version(self) -> None:
        """A certificate of version 2, which OpenSSL takes and cryptography doesn't, proves nothing either."""
        second = GOOD.replace(b"\xa0\x03\x02\x01\x02", b"\xa0\x03\x02\x01\x01", 1)
        self.assertNotEqual(second, GOOD)
        self.assertFails([Fault.UNREADABLE], Verification((second,)), "can't be read")
        self.assertRaises(ValueError, namesFromDER, second)
        self.assertIsNone(serverEndPoint(second))

    def test_untrusted(self) -> None:
        """An unknown issuer and a signature of its own are told apart."""
        missing = Verification(chain(leaf())[:1], ((20, 0), (21, 0)))
        self.assertFails([Fault.UNKNOWN_ISSUER], missing, "issued by CN=between, which isn't trusted here")
        key = curveKey()
        alone = Authority(DOMAIN)
        own = alone.sign(key, [x509.DNSName(DOMAIN)], subject=alone.name)
        self.assertFails([Fault.SELF_SIGNED], Verification((der(own),), ((18, 0), (21, 0))), "is signed by itself")
        root = Verification(chain(leaf()), ((19, 2),))
        self.assertFails([Fault.UNKNOWN_ISSUER], root, "which isn't trusted here")

    def test_time(self) -> None:
        """Time is ours and concerns the whole chain."""
        late = leaf(start=NOW - 2 * DAY, end=NOW - 1)
        self.assertFails([Fault.EXPIRED], Verification(chain(late), ((10, 0),)), "has expired on 2030-03-17")
        self.assertFails([Fault.EXPIRED], Verification(chain(late)))
        early = leaf(start=NOW + 1)
        self.assertFails([Fault.NOT_YET_VALID], Verification(chain(early), ((9, 0),)), "isn't valid before")
        key = curveKey()
        issuer = ROOT.sign(key, subject=name("old"), ca=True, end=NOW - 1)
        middle = Verification((der(leaf()), der(issuer), der(ROOT.certificate)))
        self.assertFails([Fault.EXPIRED], middle, "the issuer's certificate (CN=old) has expired")

    @spec("RFC 9325", "4.5")
    @spec("mission", "T1")
    def test_weakKeys(self) -> None:
        """RSA below 2048 bits, small curves and DSA are too weak, wherever in the chain."""
        small = leaf(key=rsaKey(1024))
        self.assertFails([Fault.WEAK_KEY], Verification(chain(small), ((66, 0),)), "an RSA key of 1024 bits")
        curve = leaf(key=curveKey(ec.SECP224R1()))
        self.assertFails([Fault.WEAK_KEY], Verification(chain(curve)), "secp224r1")
        old = leaf(key=dsa.generate_private_key(2048))
        self.assertFails([Fault.WEAK_KEY], Verification(chain(old)), "a DSA key")
        issuer = ROOT.sign(rsaKey(1024), subject=name("small"), ca=True)
        self.assertFails(
            [Fault.WEAK_KEY], Verification((der(leaf()), der(issuer), der(ROOT.certificate))), "(CN=small)"
        )
        for good in (rsaKey(2048), curveKey(ec.SECP384R1()), ed25519.Ed25519PrivateKey.generate()):
            self.assertIsNone(fullWeakness(leaf(key=good)))

    @spec("RFC 9325", "4.5")
    def test_weakSignatures(self) -> None:
        """SHA-1 is too weak, but nobody looks at the signature of a root."""
        weak = SHA1Certificate(leaf())
        self.assertEqual(certificatefacts.signatureWeakness(weak), "a signature with SHA1")  # type: ignore[arg-type]
        verification = Verification(chain(leaf()), ((68, 0),))
        self.assertFails([Fault.WEAK_SIGNATURE], verification, "has a signature that is too weak")

    def test_purpose(self) -> None:
        """Certificates and intermediates without clientAuth are normal; other usages aren't for TLS."""
        for usages in ((), SERVER_ONLY, CLIENT_ONLY, (ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE,)):
            certificate = leaf(usages=usages)
            self.assertTrue(provePKIX(DOMAIN, Verification(chain(certificate), ((26, 0), (26, 1))), NOW).held, usages)
        for usages in ((ExtendedKeyUsageOID.CODE_SIGNING,), (ExtendedKeyUsageOID.OCSP_SIGNING,)):
            verification = Verification(chain(leaf(usages=usages)), ((26, 0),))
            self.assertFails([Fault.WRONG_USAGE], verification, "the certificate isn't for TLS")
        self.assertFails([Fault.WRONG_USAGE], Verification(chain(leaf()), ((26, 9),)))

    def test_keyUsage(self) -> None:
        """A certificate that may not sign can't do our handshakes."""
        self.assertFalse(usableForTLS(withKeyUsage(signing=False)))
        self.assertTrue(usableForTLS(withKeyUsage(signing=False), leaf=False))
        self.assertTrue(usableForTLS(withKeyUsage(signing=True)))

    def test_otherErrors(self) -> None:
        """Whatever else OpenSSL says is a fault too, even if it has no name here."""
        self.assertFails([Fault.BAD_SIGNATURE], Verification(chain(leaf()), ((7, 0),)), "signature that doesn't fit")
        self.assertFails([Fault.BAD_CHAIN], Verification(chain(leaf()), ((24, 1),)), "fails by OpenSSL's error 24")
        self.assertFails([Fault.BAD_CHAIN], Verification(chain(leaf()), ((47, 50),)), "error 47")

    @spec("RFC 9325", "7.5")
    @spec("RFC 7633", "4.3.3")
    def test_revoked(self) -> None:
        """
        A stapled answer that the certificate is revoked fails it, and nothing makes up for that; that there is none
        fails it if there has to be one; any other doesn't.
        """
        verification = Verification(chain(leaf()))
        self.assertFails([Fault.NOT_STAPLED], verification, "demands a stapled answer", ocsp=OCSPStatus.MISSING)
        self.assertFails([Fault.REVOKED], verification, "is revoked", ocsp=OCSPStatus.REVOKED)
        self.assertTrue(provePKIX(DOMAIN, verification, NOW, ocsp=OCSPStatus.UNKNOWN).held)
        good = provePKIX(DOMAIN, verification, NOW, ocsp=OCSPStatus.GOOD)
        self.assertIn("stapled", good.reasons[-1])

    def test_severalFaults(self) -> None:
        """All faults are told at once, with the name first."""
        late = leaf("example.com", end=NOW - 1, start=NOW - 2 * DAY)
        proof = provePKIX(DOMAIN, Verification(chain(late)[:1], ((20, 0), (10, 0))), NOW)
        self.assertEqual([each.split()[2] for each in proof.reasons], ["is", "has", "is"])
        self.assertIn("not for example.org", proof.reasons[0])

    @spec("RFC 6120", "13.7.2")
    def test_constrained(self) -> None:
        """An authority for some names only can't get round that by other kinds of names."""
        key = curveKey()
        limits = x509.NameConstraints([x509.DNSName("other.example")], None)
        limited = issuerWith(key, limits)
        signer = Authority.__new__(Authority)
        signer.name, signer.key = limited.subject, key
        for alternative in (xmppAddress(DOMAIN), serviceName("xmpp-server", DOMAIN)):
            certificate = signer.sign(KEY, [x509.DNSName("other.example"), alternative])
            verification = Verification((der(certificate), der(limited), der(ROOT.certificate)))
            self.assertFails([], verification, "is for other.example, not for example.org")
            self.assertTrue(provePKIX("other.example", verification, NOW).held)

    def test_manyNames(self) -> None:
        """Thousands of names take no time that anybody notices, and those of the DNS all count."""
        many = tuple(f"bücher{index}.example" for index in range(4000))
        names = CertificateNames(xmppAddresses=many, serviceNames=tuple(f"_xmpp-server.{each}" for each in many))
        self.assertIsNone(matchNames(names, DOMAIN))
        self.assertIsNone(matchNames(names, many[-1]))
        every = tuple(f"d{index}.example" for index in range(4000))
        self.assertIsNotNone(matchNames(CertificateNames(dnsNames=every), every[-1]))

    @spec("RFC 7673", "4.1")
    def test_target(self) -> None:
        """With a secure SRV record the host's name is as good."""
        verification = Verification(chain(leaf("hosting.example.net")))
        self.assertFalse(provePKIX(DOMAIN, verification, NOW).held)
        self.assertTrue(provePKIX(DOMAIN, verification, NOW, targets=["hosting.example.net"]).held)

    @given(st.data())
    @settings(max_examples=150, deadline=None)
    def test_damaged(self, data: st.DataObject) -> None:
        """A certificate with changed bytes never makes it raise."""
        octets = bytearray(GOOD)
        for _ in range(data.draw(st.integers(1, 4))):
            octets[data.draw(st.integers(0, len(octets) - 1))] = data.draw(st.integers(0, 255))
        verification = Verification((bytes(octets), *chain(leaf())[1:]), ((7, 0),))
        self.assertFalse(provePKIX(DOMAIN, verification, NOW).held)
        try:
            facts = factsOf(bytes(octets))
        except ValueError:
            return
        self.assertEqual(len(facts.sha256), 64)


def issuerWith(key: Any, limits: x509.NameConstraints) -> x509.Certificate:
    """An authority with constraints."""
    template = ROOT.certificate
    builder = x509.CertificateBuilder(
        issuer_name=ROOT.name,
        subject_name=name("limited"),
        public_key=key.public_key(),
        serial_number=2,
        not_valid_before=template.not_valid_before_utc,
        not_valid_after=template.not_valid_after_utc,
    )
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    return builder.add_extension(limits, critical=True).sign(ROOT.key, hashes.SHA256())


class SHA1Certificate:
    """What looks like a certificate signed with SHA-1, which no library makes any more."""

    def __init__(self, certificate: x509.Certificate) -> None:
        self.signature_hash_algorithm = hashes.SHA1()


def withKeyUsage(signing: bool) -> x509.Certificate:
    """A certificate with the keyUsage extension."""
    builder = x509.CertificateBuilder(
        issuer_name=ROOT.name,
        subject_name=name("usage"),
        public_key=KEY.public_key(),
        serial_number=1,
        not_valid_before=leaf().not_valid_before_utc,
        not_valid_after=leaf().not_valid_after_utc,
    )
    flags = [signing, False, True, False, False, False, False, False, False]
    return builder.add_extension(x509.KeyUsage(*flags), critical=True).sign(ROOT.key, hashes.SHA256())


GOOD = der(BETWEEN.sign(KEY, [x509.DNSName(DOMAIN), xmppAddress(DOMAIN), serviceName("xmpp-server", DOMAIN)]))


@spec("mission", "T7")
class RecorderTests(SynchronousTestCase):
    """What OpenSSL finds in real handshakes, both ways round."""

    def verify(
        self, certificates: list[x509.Certificate], key: Any, trusted: list[x509.Certificate], byClient: bool
    ) -> Any:
        """Handshake with a peer that shows a chain; the recorder and our end."""
        recorder = VerificationRecorder()
        methods = (SSL.TLS_CLIENT_METHOD, SSL.TLS_SERVER_METHOD)
        peer = context(methods[byClient], key, certificates, [], lambda *_: True)
        ours = ownContext(methods[not byClient], recorder.note)
        for each in trusted:
            ours.get_cert_store().add_cert(SSL.X509.from_cryptography(each))
        ends = shake(ours, peer) if byClient else shake(peer, ours)
        return recorder, ends[not byClient]

    def test_good(self) -> None:
        """A chain to a trusted root, from a server and from a client, also without clientAuth."""
        for byClient in (True, False):
            for usages in ((), SERVER_ONLY):
                certificate = leaf(usages=usages, start=0, end=ALWAYS)
                trusted = [ROOT.certificate]
                recorder, end = self.verify([certificate, BETWEEN.certificate], KEY, trusted, byClient)
                verification = recorder.of(end)
                self.assertEqual(verification.chain, chain(certificate))
                self.assertTrue(provePKIX(DOMAIN, verification, NOW).held)
                self.assertEqual(presentedChain(end), chain(certificate)[:2])

    def test_bad(self) -> None:
        """Each kind of bad chain is known for what it is, and doesn't end the handshake."""
        own = Authority(DOMAIN)
        past = leaf(start=0, end=1000)
        cases: list[tuple[list[x509.Certificate], Any, list[x509.Certificate], Fault]] = [
            ([leaf(start=0, end=ALWAYS)], KEY, [ROOT.certificate], Fault.UNKNOWN_ISSUER),
            ([leaf(start=0, end=ALWAYS), BETWEEN.certificate], KEY, [], Fault.UNKNOWN_ISSUER),
            ([leaf(start=0, end=ALWAYS), BETWEEN.certificate, ROOT.certificate], KEY, [], Fault.UNKNOWN_ISSUER),
            ([own.certificate], own.key, [ROOT.certificate], Fault.SELF_SIGNED),
            ([past, BETWEEN.certificate], KEY, [ROOT.certificate], Fault.EXPIRED),
        ]
        for certificates, key, trusted, fault in cases:
            for byClient in (True, False):
                recorder, end = self.verify(certificates, key, trusted, byClient)
                self.assertEqual([each.fault for each in faultsOf(recorder.of(end), NOW)], [fault])
                self.assertIsNotNone(end.get_cipher_name())

    def test_notAnAuthority(self) -> None:
        """Whoever has a good certificate can't issue others with it, even with the usages that are tolerated."""
        for usages in ((), SERVER_ONLY, CLIENT_ONLY):
            nobody = Authority("nobody")
            nobody.certificate = BETWEEN.sign(
                nobody.key, [x509.DNSName("evil.example")], subject=nobody.name, usages=usages, start=0, end=ALWAYS
            )
            evil = leaf(parent=nobody, usages=usages, start=0, end=ALWAYS)
            for byClient in (True, False):
                shown = [evil, nobody.certificate, BETWEEN.certificate]
                recorder, end = self.verify(shown, KEY, [ROOT.certificate], byClient)
                proof = provePKIX(DOMAIN, recorder.of(end), NOW)
                self.assertFalse(proof.held, (usages, byClient))

    def test_limitedIntermediate(self) -> None:
        """An authority that is for servers only issues certificates for servers that connect, too."""
        between = Authority("servers")
        between.certificate = ROOT.sign(
            between.key, subject=between.name, ca=True, usages=SERVER_ONLY, start=0, end=ALWAYS
        )
        certificate = leaf(parent=between, usages=SERVER_ONLY, start=0, end=ALWAYS)
        recorder, end = self.verify([certificate, between.certificate], KEY, [ROOT.certificate], False)
        self.assertIn((26, 1), recorder.of(end).errors)
        self.assertTrue(provePKIX(DOMAIN, recorder.of(end), NOW).held)

    def test_noCertificate(self) -> None:
        """A client without a certificate has no verification and no chain."""
        recorder = VerificationRecorder()
        _, server = shake(SSL.Context(SSL.TLS_CLIENT_METHOD), ownContext(SSL.TLS_SERVER_METHOD, recorder.note))
        self.assertEqual(recorder.of(server), Verification())
        self.assertEqual(presentedChain(server), ())

    def test_forgets(self) -> None:
        """Connections that are gone are forgotten."""
        recorder, end = self.verify([leaf(start=0, end=ALWAYS)], KEY, [], True)
        self.assertEqual(len(recorder._notes), 1)
        del end
        gc.collect()
        self.assertEqual(len(recorder._notes), 0)

    def test_bounds(self) -> None:
        """However much OpenSSL finds, little is kept; a chain with a gap is no chain."""
        recorder, connection = VerificationRecorder(), SSL.Connection(SSL.Context(SSL.TLS_CLIENT_METHOD))
        certificate = SSL.X509.from_cryptography(leaf())
        for error in range(1000):
            self.assertTrue(recorder.note(connection, certificate, error, error % 50, 0))
        verification = recorder.of(connection)
        self.assertEqual(len(verification.chain), MAX_CHAIN)
        self.assertEqual(len(verification.errors), MAX_ERRORS)
        other = SSL.Connection(SSL.Context(SSL.TLS_CLIENT_METHOD))
        recorder.note(other, certificate, 0, 0, 1)
        recorder.note(other, certificate, 0, 2, 1)
        self.assertEqual(recorder.of(other), Verification())


@spec("mission", "T12")
class FactsTests(SynchronousTestCase):
    """What can be read in a certificate."""

    def test_facts(self) -> None:
        """Names, validity, key, fingerprints."""
        certificate = leaf()
        facts = factsOf(der(certificate))
        self.assertEqual((facts.subject, facts.issuer, facts.selfIssued), ("CN=leaf", "CN=between", False))
        self.assertEqual((facts.notBefore, facts.notAfter), (NOW - DAY, NOW + DAY))
        self.assertEqual((facts.key, facts.keyBits, facts.signatureHash), ("ECDSA secp256r1", 256, "sha256"))
        self.assertEqual(facts.sha256, hashlib.sha256(der(certificate)).hexdigest())
        spki = KEY.public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        self.assertEqual(facts.publicKeySHA256, hashlib.sha256(spki).hexdigest())
        self.assertEqual(facts.names.dnsNames, (DOMAIN,))
        self.assertTrue(factsOf(der(ROOT.certificate)).selfIssued)

    def test_chain(self) -> None:
        """The facts of a chain, without what can't be read."""
        facts = chainFacts([*chain(leaf()), b"junk"])
        self.assertEqual([each.subject for each in facts], ["CN=leaf", "CN=between", "CN=root"])

    def test_publicKeyInBytes(self) -> None:
        """The key's bytes are found in the certificate without understanding the key."""
        for key in (KEY, rsaKey(2048), ed25519.Ed25519PrivateKey.generate()):
            certificate = leaf(key=key)
            self.assertEqual(
                certificatefacts._publicKeyInfoBytes(certificate.tbs_certificate_bytes), publicKeyInfo(certificate)
            )

    def test_kindsOfKeys(self) -> None:
        """Each kind has its name."""
        self.assertEqual(certificatefacts.keyOf(leaf(key=ed25519.Ed25519PrivateKey.generate())), ("Ed25519", 256))
        self.assertEqual(certificatefacts.keyOf(leaf(key=rsaKey(2048))), ("RSA", 2048))

    def test_shown(self) -> None:
        """What a peer has written becomes one harmless line."""
        self.assertEqual(shown("a\x1b[31m\nb\u202e"), "a\\u{1b}[31m\\u{a}b\\u{202e}")
        self.assertEqual(len(shown("x" * 1000)), 200)
        self.assertEqual(shownNames(CertificateNames()), "nobody")
        many = CertificateNames(dnsNames=tuple(f"{index}.example" for index in range(20)))
        self.assertTrue(shownNames(many).endswith("7.example and 12 more"))
        self.assertEqual(shownTime(0), "1970-01-01 00:00 UTC")
        self.assertEqual(shownTime(1e30), "never")

    @given(st.binary(max_size=200))
    @settings(max_examples=100, deadline=None)
    def test_anything(self, octets: bytes) -> None:
        """Anything else is a ValueError."""
        self.assertRaises(ValueError, load, octets)
        self.assertRaises(ValueError, factsOf, octets)

    @given(st.binary(max_size=60))
    @settings(max_examples=200, deadline=None)
    def test_anyElement(self, octets: bytes) -> None:
        """Looking for a key in anything finds something inside it, or nothing."""
        try:
            self.assertIn(certificatefacts._publicKeyInfoBytes(octets), octets)
        except (ValueError, IndexError) as error:
            self.assertIsInstance(error, ValueError)
