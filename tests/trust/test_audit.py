"""Tests for L{xmppd.trust.audit}."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import fields, replace
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given
from hypothesis import strategies as st
from OpenSSL import SSL
from twisted.trial.unittest import SynchronousTestCase

from tests.marks import spec
from tests.trust.authority import DAY, NOW, Authority, curveKey, der, rsaKey
from tests.trust.test_ocsp import ISSUER, LEAF, REVOKED, SAMPLE, demandingLeaf, response
from xmppd.trust.audit import (
    VERSIONS,
    Finding,
    Grade,
    ListenerFacts,
    audit,
    auditCertificate,
    auditListener,
    auditPolicy,
    report,
    suiteProblem,
)
from xmppd.trust.tlspolicy import TLSPolicy

DOMAIN = "example.org"
CERTIFICATE = der(Authority("a").sign(curveKey(), [x509.DNSName(DOMAIN)], end=NOW + 60 * DAY))
GOOD = ListenerFacts(
    "tcp:5222",
    plaintext=False,
    versions=frozenset({"TLSv1.2", "TLSv1.3"}),
    suites=tuple(TLSPolicy().suites12),
    groups=("X25519MLKEM768", "X25519", "P-256", "P-384"),
    compression=False,
    renegotiation=False,
    renegotiationInfo=True,
    extendedMasterSecret=True,
    earlyData=False,
    refusesUnknownName=True,
    refusesUnknownALPN=True,
    sha1=False,
    truncatedHMAC=False,
    ticketLife=7200,
    stapled=b"",
    certificate=CERTIFICATE,
    domain=DOMAIN,
)


def bad(findings: Iterable[Finding]) -> list[tuple[Grade, str]]:
    """Grade and section of what isn't well."""
    return [(finding.grade, finding.section) for finding in findings if finding.grade is not Grade.OK]


@spec("mission", "T1")
class SuiteTests(SynchronousTestCase):
    """Cipher suites."""

    @spec("RFC 9325", "4.1", "4.2")
    def test_bad(self) -> None:
        """Each kind of bad suite, by both kinds of names."""
        table = {
            "NULL-SHA256": ("4.1", "MUST NOT"),
            "TLS_RSA_WITH_NULL_SHA": ("4.1", "MUST NOT"),
            "ECDHE-RSA-RC4-SHA": ("4.1", "MUST NOT"),
            "EXP-DES-CBC-SHA": ("4.1", "MUST NOT"),
            "TLS_RSA_EXPORT_WITH_DES40_CBC_SHA": ("4.1", "MUST NOT"),
            "DES-CBC-SHA": ("4.1", "MUST NOT"),
            "ADH-AES128-GCM-SHA256": ("5.1", "MUST NOT"),
            "TLS_DH_anon_WITH_AES_128_GCM_SHA256": ("5.1", "MUST NOT"),
            "DES-CBC3-SHA": ("4.1", "SHOULD NOT"),
            "ECDHE-RSA-DES-CBC3-SHA": ("4.1", "SHOULD NOT"),
            "TLS_ECDHE_RSA_WITH_3DES_EDE_CBC_SHA": ("4.1", "SHOULD NOT"),
            "AES128-GCM-SHA256": ("4.1", "SHOULD NOT"),
            "TLS_RSA_WITH_AES_128_GCM_SHA256": ("4.1", "SHOULD NOT"),
            "ECDH-RSA-AES128-GCM-SHA256": ("4.1", "SHOULD NOT"),
            "DHE-RSA-AES128-GCM-SHA256": ("4.1", "SHOULD NOT"),
            "ECDHE-RSA-AES128-SHA256": ("4.2", "SHOULD NOT"),
            "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA256": ("4.2", "SHOULD NOT"),
            "PSK-AES128-GCM-SHA256": ("5.1", "MUST NOT"),
            "SRP-RSA-AES-128-CBC-SHA": ("5.1", "MUST NOT"),
        }
        for suite, expected in table.items():
            problem = suiteProblem(suite)
            assert problem is not None, suite
            self.assertEqual((problem.section, problem.level), expected, suite)

    def test_good(self) -> None:
        """Ours, those of TLS 1.3, and the recommended ones by their other names."""
        names = [*TLSPolicy().suites12, *TLSPolicy().suites13, "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256"]
        for suite in names:
            self.assertIsNone(suiteProblem(suite), suite)

    def test_openSSL(self) -> None:
        """Of all that OpenSSL has, only those with forward secrecy and authenticated encryption pass."""
        context = SSL.Context(SSL.TLS_METHOD)
        context.set_cipher_list(b"ALL:COMPLEMENTOFALL:@SECLEVEL=0")
        names = SSL.Connection(context, None).get_cipher_list()
        self.assertGreater(len(names), 50)
        for suite in names:
            sound = suite.startswith(("TLS_", "ECDHE-")) and any(mark in suite for mark in ("GCM", "CHACHA20", "CCM"))
            self.assertEqual(suiteProblem(suite) is None, sound and "PSK" not in suite, suite)

    @given(st.text(max_size=60))
    def test_anything(self, name: str) -> None:
        """Any name is judged, and an unknown one isn't good."""
        problem = suiteProblem(name)
        self.assertTrue(problem is not None or name.upper().startswith(("TLS_", "ECDHE", "EECDH")))


@spec("mission", "T1")
class AuditTests(SynchronousTestCase):
    """Policy, certificates, listeners."""

    def test_ours(self) -> None:
        """The default policy has no finding against it."""
        findings = list(auditPolicy(TLSPolicy()))
        self.assertEqual(bad(findings), [])
        self.assertGreaterEqual({finding.section for finding in findings}, {"3.4", "4.1", "4.2", "4.2.1", "4.5"})

    @spec("RFC 9325", "3.4", "4.2.1", "4.5")
    def test_policy(self) -> None:
        """Each part of the policy has its finding."""
        cases: list[tuple[dict[str, Any], list[tuple[Grade, str]]]] = [
            ({"suites12": (*TLSPolicy().suites12, "AES128-SHA")}, [(Grade.WARNING, "4.1")]),
            ({"suites12": ("ECDHE-RSA-AES256-GCM-SHA384",)}, [(Grade.WARNING, "4.2")]),
            ({"groups": ("P-192", "X25519", "prime256v1")}, [(Grade.VIOLATION, "4.5")]),
            ({"groups": ("X25519", "P-256", "ffdhe1024")}, [(Grade.VIOLATION, "4.5")]),
            ({"groups": ("X25519MLKEM1024", "P-384")}, [(Grade.WARNING, "4.2.1")]),
            ({"contextLife": 8 * DAY}, [(Grade.VIOLATION, "3.4")]),
            ({"ticketLife": 10 * 3600}, [(Grade.WARNING, "3.4")]),
            ({"signatures": ("ecdsa_secp256r1_sha256", "RSA+SHA1")}, [(Grade.VIOLATION, "4.5")]),
        ]
        for changes, expected in cases:
            self.assertEqual(bad(auditPolicy(replace(TLSPolicy(), **changes))), expected, changes)

    @spec("RFC 9325", "4.5")
    def test_certificates(self) -> None:
        """Keys, names and validity."""
        sign = Authority("a").sign
        names = [x509.DNSName(DOMAIN)]
        later = {"end": NOW + 60 * DAY}
        cases = [
            (sign(rsaKey(1024), names, **later), [(Grade.VIOLATION, "4.5")]),
            (sign(curveKey(ec.SECP224R1()), names, **later), [(Grade.WARNING, "4.1")]),
            (sign(curveKey(), [x509.DNSName("other.example")], **later), [(Grade.VIOLATION, "7.1")]),
            (sign(curveKey(), names, start=NOW - 2 * DAY, end=NOW - DAY), [(Grade.VIOLATION, "7.1")]),
            (sign(curveKey(), names, start=NOW - 40 * DAY, end=NOW + DAY), [(Grade.WARNING, "7.1")]),
            (sign(curveKey(), names, **later), []),
            (sign(curveKey(), [x509.DNSName("*.example.org"), *names], **later), []),
        ]
        for certificate, expected in cases:
            self.assertEqual(bad(auditCertificate(der(certificate), DOMAIN, NOW)), expected)
        wildcard = der(sign(curveKey(), [x509.DNSName("*.example.org")], **later))
        self.assertEqual(bad(auditCertificate(wildcard, "*.example.org", NOW)), [])
        self.assertEqual(bad(auditCertificate(b"junk", DOMAIN, NOW)), [(Grade.VIOLATION, "7.1")])

    @spec("RFC 9325", "3.1.1")
    def test_versions(self) -> None:
        """Old versions have to be refused, 1.2 has to be there, 1.3 should be."""
        for version, (level, wanted) in VERSIONS.items():
            versions = GOOD.versions ^ {version} if GOOD.versions is not None else None
            grade = Grade.WARNING if level == "SHOULD" else Grade.VIOLATION
            findings = list(auditListener(replace(GOOD, versions=versions), NOW))
            self.assertEqual(bad(findings), [(grade, "3.1.1")])
            self.assertIn(f"{version} {'isn’t'.replace('’', chr(39)) if wanted else 'is'}", report(findings))

    @spec("RFC 9325", "3.2", "3.3", "3.5", "3.7", "3.8", "3.10")
    def test_listeners(self) -> None:
        """Each fact of a listener has its paragraph."""
        direct = replace(GOOD, direct=True)
        self.assertEqual(bad(auditListener(GOOD, NOW)), [])
        self.assertEqual(bad(auditListener(direct, NOW)), [])
        cases = {
            "plaintext": (True, Grade.VIOLATION, "3.2"),
            "compression": (True, Grade.WARNING, "3.3"),
            "renegotiation": (True, Grade.WARNING, "3.5"),
            "renegotiationInfo": (False, Grade.VIOLATION, "3.5"),
            "extendedMasterSecret": (False, Grade.VIOLATION, "3.5"),
            "refusesUnknownName": (False, Grade.WARNING, "3.7"),
            "refusesUnknownALPN": (False, Grade.VIOLATION, "3.8"),
            "earlyData": (True, Grade.VIOLATION, "3.10"),
            "sha1": (True, Grade.VIOLATION, "4.5"),
            "truncatedHMAC": (True, Grade.VIOLATION, "4.6"),
            "ticketLife": (8 * 86_400, Grade.VIOLATION, "3.4"),
        }
        for fact, (value, grade, section) in cases.items():
            self.assertEqual(bad(auditListener(replace(direct, **{fact: value}), NOW)), [(grade, section)], fact)
        web = replace(direct, service="https", strictTransport=False)
        self.assertEqual(bad(auditListener(web, NOW)), [(Grade.WARNING, "3.2")])
        # With STARTTLS it is the stream's "to" that decides, not SNI and ALPN.
        self.assertEqual(bad(auditListener(replace(GOOD, refusesUnknownName=False, refusesUnknownALPN=False), NOW)), [])
        self.assertEqual(bad(auditListener(replace(GOOD, suites=("DES-CBC3-SHA",)), NOW)), [(Grade.WARNING, "4.1")])

    @spec("RFC 9325", "7.5")
    def test_staples(self) -> None:
        """What is stapled is judged; that nothing is, is bad where there could be something."""
        own, demanding = der(LEAF), der(demandingLeaf())
        root = der(ISSUER.certificate)
        cases = [
            (own, root, b"", []),
            (own, root, SAMPLE, []),
            (own, b"", SAMPLE, [Grade.UNKNOWN]),
            (own, root, b"junk", [Grade.WARNING]),
            (own, root, response(REVOKED), [Grade.VIOLATION]),
            (demanding, root, b"", [Grade.VIOLATION]),
            (demanding, root, SAMPLE, [Grade.VIOLATION]),
            (demanding, root, response(leaf=demandingLeaf()), []),
        ]
        for leaf, issuer, stapled, expected in cases:
            facts = replace(GOOD, certificate=leaf, issuer=issuer, stapled=stapled)
            found = [each.grade for each in auditListener(facts, NOW) if each.section == "7.5"]
            self.assertEqual([grade for grade in found if grade is not Grade.OK], expected)

    def test_untried(self) -> None:
        """Nothing passes that wasn't tried."""
        findings = list(auditListener(ListenerFacts("x", direct=True), NOW))
        self.assertEqual({finding.grade for finding in findings}, {Grade.UNKNOWN})
        tried = {
            finding.text
            for finding in auditListener(replace(GOOD, untried=frozenset({"SSLv3"})), NOW)
            if finding.grade is Grade.UNKNOWN
        }
        self.assertEqual(tried, {"not tried: SSLv3 is refused"})
        for each in fields(ListenerFacts):
            if each.default is None and each.name != "versions":
                service = "https" if each.name == "strictTransport" else GOOD.service
                changes: dict[str, Any] = {"service": service, "strictTransport": True, each.name: None}
                found = bad(auditListener(replace(GOOD, direct=True, **changes), NOW))
                self.assertEqual({grade for grade, _ in found}, {Grade.UNKNOWN}, each.name)

    @spec("RFC 9325", "3.2")
    def test_direct(self) -> None:
        """Each service needs a port for direct TLS."""
        listeners = [GOOD, replace(GOOD, direct=True), replace(GOOD, service="xmpp-server")]
        findings = audit(TLSPolicy(), {DOMAIN: CERTIFICATE}, listeners, NOW)
        self.assertEqual(bad(findings), [(Grade.VIOLATION, "3.2")])
        self.assertIn("xmpp-server has no port for direct TLS", report(findings))

    def test_report(self) -> None:
        """The gravest first, each with its paragraph, and a count at the end."""
        findings = audit(TLSPolicy(contextLife=30 * DAY), {DOMAIN: b"junk"}, [], NOW)
        text = report(findings)
        lines = text.splitlines()
        self.assertEqual(
            lines[0],
            "violation: policy: keys of session tickets change every 720 hours, more than a week (RFC 9325 section 3.4, MUST)",
        )
        self.assertEqual(
            lines[-2], "not tried: listeners: not tried: no listener was asked (RFC 9325 section 3.2, MUST)"
        )
        self.assertRegex(lines[-1], r"^RFC 9325: \d+ ok, 1 not tried, 0 warning, 2 violation$")
        self.assertGreater(len(report(findings, everything=True).splitlines()), len(lines))
