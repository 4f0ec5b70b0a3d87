"""What C{xmppctl streams} and C{xmppctl dna history} show to people."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from tests.marks import spec
from xmppd.ctl.streamsgroup import WIDTH, historyText, shortened, streamsText

CERTIFICATE = {
    "subject": "CN=\x1b[31mexample.net", "issuer": "CN=Encrypt Us,O=Encrypt Us", "serial": "aa" * 20, "not_before": 0.0,
    "not_after": 1e9, "dns_names": [f"host{number}.example.net" for number in range(20)], "service_names": [],
    "xmpp_addresses": ["example.net"], "key": "RSA", "key_bits": 2048, "signature_hash": "", "sha256": "ab" * 32,
    "public_key_sha256": "cd" * 32, "self_issued": False,
}


def stream(**facts: Any) -> dict[str, Any]:
    """A stream as the server tells it."""
    return {
        "id": "0123456789abcdef", "kind": "s2s", "direction": "out", "address": "[2001:db8::1]:5269",
        "jid": "example.org > example.net", "state": "server", "tls": "TLSv1.3", "cipher": "TLS_AES_256_GCM_SHA384",
        "alpn": None, "server_name": None, "mechanism": "EXTERNAL", "channel_binding": None, "proof": "PKIX",
        "certificate": None, "change": None, "in": 1234, "out": None, "age": 61.0, "idle": None, **facts,
    }


@spec("mission", "T10", "T11", "T12")
class StreamsTextTests(SynchronousTestCase):
    """L{streamsText}."""

    def test_all(self) -> None:
        """Who, TLS, suite, mechanism, proof: all of it is there."""
        text = streamsText([stream()])
        for word in ("0123456789", "s2s", "example.org > example.net", "TLSv1.3", "EXTERNAL", "PKIX", "server",
                     "[2001:db8::1]:5269", "TLS_AES_256_GCM_SHA384", "in 1.2k, out -", "for 1m 1s"):
            self.assertIn(word, text)

    def test_width(self) -> None:
        """Nothing is wider than a terminal, however long addresses, mechanisms and proofs are."""
        change = {"changes": ["early", "new-issuer"], "text": "the one before would have been valid " * 5}
        pair = {"local": "example.org", "remote": "x" * 40 + ".example", "in": True, "out": True, "proof": "dialback"}
        text = streamsText([
            stream(
                jid="a" * 300, proof="dialback+DNSSEC", mechanism="SCRAM-SHA-512-PLUS", kind="component", state="hibernating",
                change=change, pairs=[pair] * 5, channel_binding="tls-server-end-point",
                cipher="ECDHE-ECDSA-CHACHA20-POLY1305", address="[2001:db8:aaaa:bbbb:cccc:dddd:eeee:ffff]:50269",
            ),
            stream(id=None, kind=None, tls=None, mechanism=None, proof=None, state="login", jid=None),
        ])
        self.assertLessEqual(max(map(len, text.splitlines())), WIDTH)
        self.assertIn("CHANGED: early new-issuer", text)
        self.assertIn("tls-server-end-point", text)

    def test_certificates(self) -> None:
        """The chain, and PEM as it is; nothing that a terminal would take for a command."""
        text = streamsText([stream(chain=[{**CERTIFICATE, "pem": "-----BEGIN CERTIFICATE-----\nx\n"}, {"unreadable": True}])])
        for word in ("host19.example.net", "ab" * 32, "cd" * 32, "-----BEGIN CERTIFICATE-----\nx", "can't be read"):
            self.assertIn(word, text)
        self.assertNotIn("\x1b", text)
        self.assertLessEqual(max(map(len, text.splitlines())), WIDTH)

    def test_none(self) -> None:
        """Where there is nothing there is no heading, either."""
        self.assertEqual(streamsText([]), "")

    def test_shortened(self) -> None:
        """Both ends of a long name stay."""
        self.assertEqual(shortened("abcdefghij", 10), "abcdefghij")
        self.assertEqual(shortened("abcdefghijk", 10), "abcd…ghijk")
        self.assertEqual(shortened("abcdefghijk", 9), "abcd…hijk")


@spec("mission", "T12", "T13")
class HistoryTextTests(SynchronousTestCase):
    """L{historyText}."""

    def sighting(self, **facts: Any) -> dict[str, Any]:
        """Something that was shown."""
        return {
            "incoming": False, "sha256": "ab" * 32, "public_key_sha256": "cd" * 32, "authority": "An authority " * 9,
            "not_before": 0.0, "not_after": 1e9, "prooftype": "PKIX", "first_seen": 1e8, "last_seen": 2e8, **facts,
        }

    def test_history(self) -> None:
        """Certificates as far as they are kept, else their hashes; warnings, and who has looked at them."""
        warning = {"at": 2e8, "incoming": True, "changes": ["early"], "text": "x " * 90, "acknowledged": 3e8, "by": "me@x"}
        text = historyText({
            "domain": "example.net",
            "sightings": [self.sighting(chain=[CERTIFICATE]), self.sighting(incoming=True, chain=[]), self.sighting(sha256="")],
            "warnings": [warning],
        })
        for word in ("we to it", "it to us", "host0.example.net", "no certificate", "early: x x", "(looked at by me@x)"):
            self.assertIn(word, text)
        self.assertEqual(text.count("ab" * 32), 2)
        self.assertLessEqual(max(map(len, text.splitlines())), WIDTH)
