"""Tests for L{xmppd.trust.identities}."""

from __future__ import annotations

from cryptography import x509
from twisted.trial.unittest import SynchronousTestCase

from tests.marks import spec
from tests.trust.authority import Authority, curveKey, der
from xmppd.trust import identities
from xmppd.trust.identities import (
    CertificateNames,
    encodeText,
    namesFromDER,
    serviceName,
    serviceNameOID,
    xmppAddress,
    xmppAddressOID,
)


class IdentitiesTests(SynchronousTestCase):
    """Names read from certificates."""

    def names(self, *alternatives: x509.GeneralName) -> CertificateNames:
        """The names of a certificate made with these alternatives."""
        return namesFromDER(der(Authority("a").sign(curveKey(), alternatives)))

    @spec("RFC 6120", "13.7.1.4")
    @spec("XEP-0178", "2")
    def test_xmppAddresses(self) -> None:
        """One, several and long XMPP addresses are read in order, with their case."""
        long = "r" * 300 + "@example.org"
        names = self.names(xmppAddress("Juliet@example.org"), xmppAddress(long), xmppAddress("ñ@example.org"))
        self.assertEqual(names.xmppAddresses, ("Juliet@example.org", long, "ñ@example.org"))

    def test_otherKinds(self) -> None:
        """SRV names, DNS names and e-mail addresses don't mix."""
        names = self.names(
            x509.DNSName("*.Example.org"), serviceName("xmpp-client", "Example.org"), x509.RFC822Name("a@example.org")
        )
        self.assertEqual(
            names,
            CertificateNames((), ("_xmpp-client.example.org",), ("*.example.org",), ("a@example.org",)),
        )

    def test_none(self) -> None:
        """Without alternatives there are no names; the common name is none."""
        self.assertEqual(self.names(), CertificateNames())

    def test_malformed(self) -> None:
        """Values that aren't exactly one string are left out."""
        good = encodeText("a@b", 0x0C)
        bad = [
            b"",
            b"\x0c",
            good + b"\0",
            good[:-1],
            encodeText("a@b", 0x16),
            encodeText("a@b\0c", 0x0C),
            b"\x0c\x02\xc3\x28",
            b"\x0c\x81\x03a@b",
            b"\x0c\x80a@b\0\0",
            b"\x0c\x00",
        ]
        for value in bad:
            self.assertIsNone(identities._decodeText(value, 0x0C, "utf-8"), value)
        broken = x509.OtherName(xmppAddressOID, encodeText("a@b", 0x16))
        self.assertEqual(self.names(broken, xmppAddress("c@d")).xmppAddresses, ("c@d",))
        names = self.names(x509.OtherName(serviceNameOID, encodeText("_xmpp-client.ñ", 0x16)))
        self.assertEqual(names.serviceNames, ())

    def test_noCertificate(self) -> None:
        """Bytes that are no certificate raise ValueError."""
        self.assertRaises(ValueError, namesFromDER, b"nonsense")
        self.assertEqual(identities.certifiedAddresses(b"nonsense"), ())

    def test_tooLong(self) -> None:
        """A name over 65,535 octets isn't encoded."""
        self.assertRaises(ValueError, encodeText, "x" * 65536, 0x0C)
