"""Tests of L{xmppd.wire.origins}."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from xmppd.wire.origins import Origins, normalised


class OriginTests(SynchronousTestCase):
    """Origins of web pages."""

    def test_normalised(self) -> None:
        """Origins are compared as browsers write them."""
        for text, expected in (
            ("https://Example.org", "https://example.org"),
            ("https://example.org:443", "https://example.org"),
            ("http://example.org:443", "http://example.org:443"),
            ("https://b\u00fccher.example", "https://xn--bcher-kva.example"),
            ("http://[::1]:8080", "http://[::1]:8080"),
            ("capacitor://localhost", "capacitor://localhost"),
            ("null", "null"),
        ):
            self.assertEqual(normalised(text), expected)

    def test_none(self) -> None:
        """What is none."""
        for text in (
            "",
            "*",
            "example.org",
            "https://",
            "https://a/",
            "https://a/b",
            "https://u@a",
            "https://a b",
            "https://a:b",
            "https://a:443x",
            "https://a\\b",
            "https://a,https://b",
            "https://\u0378",
        ):
            self.assertRaises(ValueError, normalised, text)
            self.assertFalse(Origins(hosts=frozenset({"a"})).allow(text))

    def test_default(self) -> None:
        """By default the server's own names, over HTTPS, whatever the port."""
        origins = Origins.of((), ("example.org", "b\u00fccher.example"))
        for origin in ("https://example.org", "https://example.org:8443", "https://xn--bcher-kva.example", None):
            self.assertTrue(origins.allow(origin), origin)
        for origin in (
            "http://example.org",
            "https://evil.example",
            "https://example.org.evil.example",
            "https://www.example.org",
            "https://evilexample.org",
            "null",
            "file://",
            "wss://example.org",
        ):
            self.assertFalse(origins.allow(origin), origin)

    def test_listed(self) -> None:
        """A list takes the place of the default; ports count."""
        origins = Origins.of(("https://a.example", "http://localhost:8080"), ("example.org",))
        for origin in ("https://a.example", "https://A.example:443", "http://localhost:8080"):
            self.assertTrue(origins.allow(origin), origin)
        for origin in ("https://example.org", "https://a.example:444", "http://localhost", "null"):
            self.assertFalse(origins.allow(origin), origin)

    def test_everybody(self) -> None:
        """All, if that is what the administrator wants."""
        origins = Origins.of(("*",), ())
        for origin in ("https://a", "null", "nonsense"):
            self.assertTrue(origins.allow(origin), origin)
