"""Tests for L{xmppd.trust.publish}."""

from __future__ import annotations

import hashlib
import json

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from twisted.trial.unittest import SynchronousTestCase

from tests.marks import spec
from tests.trust.authority import NOW, Authority, curveKey, der
from xmppd.trust.dane import Endpoint, Security, TLSARecord
from xmppd.trust.dane import proveDANE as prove
from xmppd.trust.publish import publication, srvLines, tlsaLines, tlsaRecord

KEY = curveKey()
CERTIFICATE = der(Authority("a").sign(KEY, [x509.DNSName("example.org")]))
RENEWED = der(Authority("b").sign(KEY, [x509.DNSName("example.org")]))
OTHER = der(Authority("a").sign(curveKey(), [x509.DNSName("example.org")]))
SPKI = KEY.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
DIGEST = hashlib.sha256(SPKI).hexdigest()


@spec("mission", "T8")
class PublishTests(SynchronousTestCase):
    """What is to be published."""

    @spec("RFC 7671", "5.1")
    def test_record(self) -> None:
        """The hash of the key, the same for every certificate of the key."""
        self.assertEqual(str(tlsaRecord(CERTIFICATE)), f"3 1 1 {DIGEST}")
        self.assertEqual(tlsaRecord(CERTIFICATE), tlsaRecord(RENEWED))
        self.assertRaises(ValueError, tlsaRecord, b"junk")

    @spec("RFC 7673", "3.3")
    @spec("RFC 7671", "8.1")
    def test_lines(self) -> None:
        """A line for each port and key, at the host's name."""
        lines = tlsaLines("xmpp.Example.org", (5269, 5270), [CERTIFICATE, RENEWED, OTHER])
        self.assertEqual(len(lines), 4)
        self.assertEqual(lines[0], f"_5269._tcp.xmpp.example.org. 3600 IN TLSA 3 1 1 {DIGEST}")
        self.assertTrue(lines[3].startswith("_5270._tcp."))
        self.assertRaises(ValueError, tlsaLines, "not a host", (1,), [CERTIFICATE])

    def test_services(self) -> None:
        """SRV records, as A-labels."""
        lines = srvLines("bücher.example", "xmpp.example.org", [("xmpps-server", 5270)])
        self.assertEqual(lines, ["_xmpps-server._tcp.xn--bcher-kva.example. 3600 IN SRV 5 0 5270 xmpp.example.org."])

    @spec("RFC 9325", "3.2")
    @spec("XEP-0368", "3")
    @spec("mission", "T4")
    def test_directPreferred(self) -> None:
        """Direct TLS is to be tried before STARTTLS: its records have the lower priority."""
        direct, upgraded = (srvLines("a.example", "a.example", [(name, 1)])[0].split() for name in ("xmpps-client", "xmpp-client"))
        self.assertLess(int(direct[4]), int(upgraded[4]))

    def test_everything(self) -> None:
        """All in one text, in which the documents are JSON."""
        services = [("xmpp-server", 5269), ("xmpps-server", 5270), ("xmpp-client", 5222)]
        text = publication("example.org", "xmpp.example.org", services, [CERTIFICATE])
        self.assertEqual(text.count(" IN SRV "), 3)
        self.assertEqual(text.count(" IN TLSA "), 3)
        self.assertIn("https://example.org/.well-known/posh/xmpp-server.json", text)
        self.assertIn("https://example.org/.well-known/posh/xmpp-client.json", text)
        self.assertEqual(text.count("/.well-known/"), 2)
        document = text[text.index("{") : text.index("\n}\n") + 2]
        self.assertEqual(list(json.loads(document)), ["fingerprints", "expires"])

    def test_proves(self) -> None:
        """What we publish, we would believe."""
        rdata = tlsaRecord(CERTIFICATE).encode()
        secure = Security.SECURE
        endpoint = Endpoint("xmpp.example.org", 5269, secure, secure, secure, (TLSARecord.parse(rdata),))
        self.assertTrue(prove("example.org", [endpoint], [RENEWED], NOW, outgoing=True).held)
        self.assertFalse(prove("example.org", [endpoint], [OTHER], NOW, outgoing=True).held)
