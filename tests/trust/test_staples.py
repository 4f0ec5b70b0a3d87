"""Tests for L{xmppd.trust.staples}, with real handshakes; no sockets."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from OpenSSL import SSL
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from tests.marks import spec
from tests.net.test_tls import Client, clientContext, tls12Context
from tests.trust.authority import DAY, NOW, Authority, curveKey, keyPEM, pem
from tests.trust.test_ocsp import REVOKED, demandingLeaf, response
from xmppd.net.tls import ServerTLS
from xmppd.trust.certificates import loadCertificate, loadCertificates
from xmppd.trust.staples import RECHECK, loadStaple, stapleProblem

ROOT = Authority("root")
MIDDLE = Authority("middle", ROOT)


class StapleCase(SynchronousTestCase):
    """Has certificates for two domains."""

    def setUp(self) -> None:
        """Write them, and make a server."""
        self.folder = Path(self.mktemp())
        self.folder.mkdir()
        for domain in ("a.example", "b.example"):
            path = MIDDLE.write(self.folder, domain)
            path.write_bytes(path.read_bytes() + pem(MIDDLE.certificate))
        self.clock = Clock()
        self.clock.advance(NOW)
        self.tls = ServerTLS(loadCertificates(self.folder, NOW), self.clock)
        self.stamp = 1

    def responseFor(self, domain: str, status: Any = None, **options: Any) -> bytes:
        """A response about a domain's certificate."""
        leaf = loadCertificate(self.folder / f"{domain}.pem", NOW).chain[0]
        options = {"issuer": MIDDLE.certificate, "signer": MIDDLE.certificate, "key": MIDDLE.key, **options}
        return response(leaf=leaf, **options) if status is None else response(status, leaf=leaf, **options)

    def put(self, domain: str, content: bytes) -> Path:
        """Write a response."""
        path = self.folder / f"{domain}.ocsp"
        path.write_bytes(content)
        self.stamp += 1
        os.utime(path, (self.stamp, self.stamp))
        return path


class LoadingTests(StapleCase):
    """What is taken for a response."""

    def problem(self, domain: str = "a.example", now: float = NOW) -> str:
        """What is wrong; empty if nothing."""
        return str(stapleProblem(loadCertificate(self.folder / f"{domain}.pem", now), now) or "")

    @spec("RFC 6960", "3.2")
    def test_checked(self) -> None:
        """A file is used if it is good; else it is told why not."""
        self.assertEqual(self.problem(), "")
        stranger = Authority("middle", ROOT)
        for content, words in (
            (self.responseFor("a.example"), ""),
            (self.responseFor("b.example"), "another certificate"),
            (self.responseFor("a.example", REVOKED), "revoked"),
            (self.responseFor("a.example", signer=stranger.certificate, key=stranger.key), "isn't signed"),
            (self.responseFor("a.example", end=NOW - DAY, start=NOW - 2 * DAY), "too old"),
            (b"", "size"),
            (b"-----BEGIN", "can't be used"),
            (b"x" * 70_000, "size"),
        ):
            self.put("a.example", content)
            problem = self.problem()
            self.assertIn(words, problem)
            self.assertEqual(bool(problem), bool(words))

    def test_issuer(self) -> None:
        """Without the issuer's certificate in the file, be it a root, nothing can be checked."""
        path = ROOT.write(self.folder, "a.example")
        leaf = loadCertificate(path, NOW).chain[0]
        self.put("a.example", response(leaf=leaf, issuer=ROOT.certificate, signer=ROOT.certificate, key=ROOT.key))
        self.assertIn("append the issuer's certificate to a.example.pem", self.problem())
        path.write_bytes(path.read_bytes() + pem(ROOT.certificate))
        self.assertEqual(self.problem(), "")

    def test_unreadable(self) -> None:
        """A file that can't be read is told too."""
        (self.folder / "a.example.ocsp").mkdir()
        self.assertIn("can't be read", self.problem())

    @spec("RFC 7633", "4.2.2")
    def test_demanded(self) -> None:
        """That there is none is told if the certificate demands one."""
        key = curveKey()
        path = self.folder / "a.example.pem"
        leaf = demandingLeaf(key, MIDDLE, "a.example")
        path.write_bytes(keyPEM(key) + pem(leaf) + pem(MIDDLE.certificate))
        self.assertIn("must-staple", self.problem())
        self.put("a.example", self.responseFor("a.example"))
        self.assertEqual(self.problem(), "")

    def test_reload(self) -> None:
        """A reload tells what is wrong."""
        self.put("a.example", b"junk")
        self.assertEqual([each.path.name for each in self.tls.reload(self.folder)], ["a.example.ocsp"])


class HandshakeTests(StapleCase):
    """What clients get."""

    def stapled(self, creator: Any, name: str | None, context: SSL.Context, ask: bool = True) -> bytes:
        """The response that a handshake brings."""
        seen: list[bytes] = []

        def note(connection: SSL.Connection, data: bytes, _: object) -> bool:
            seen.append(data)
            return True

        context.set_ocsp_client_callback(note)
        client = Client(creator, name, context)
        if ask:
            client.connection.request_ocsp()
        client.shake()
        self.assertTrue(client.layer.established)
        return seen[0] if seen else b""

    @spec("RFC 6066", "8")
    @spec("RFC 9325", "7.5")
    @spec("mission", "T1")
    def test_stapled(self) -> None:
        """With TLS 1.2 and 1.3, on direct TLS and after STARTTLS: who asks gets the one for the certificate shown."""
        given = {domain: self.responseFor(domain) for domain in ("a.example", "b.example")}
        for domain, content in given.items():
            self.put(domain, content)
        for make in (clientContext, tls12Context):
            for domain, content in given.items():
                self.assertEqual(self.stapled(self.tls, domain, make()), content)
                self.assertEqual(self.stapled(self.tls.forStream(domain), None, make()), content)
                self.assertEqual(self.stapled(self.tls, domain, make(), ask=False), b"")
            self.assertEqual(self.stapled(self.tls, None, make()), given["a.example"])

    def test_none(self) -> None:
        """Without a file, or with a bad one, handshakes succeed with nothing stapled."""
        self.assertEqual(self.stapled(self.tls, "a.example", clientContext()), b"")
        self.put("b.example", self.responseFor("b.example", REVOKED))
        for _ in range(2):
            self.assertEqual(self.stapled(self.tls, "b.example", clientContext()), b"")

    def test_refreshed(self) -> None:
        """A file that is replaced is used without a reload, soon; one that has become too old isn't used any more."""
        first, second = self.responseFor("a.example"), self.responseFor("a.example", start=NOW - 30, end=NOW + 2 * DAY)
        path = self.put("a.example", first)
        self.assertEqual(self.stapled(self.tls, "a.example", clientContext()), first)
        self.put("a.example", second)
        self.assertEqual(self.stapled(self.tls, "a.example", clientContext()), first)
        self.clock.advance(RECHECK)
        self.assertEqual(self.stapled(self.tls, "a.example", clientContext()), second)
        self.clock.advance(2 * DAY)
        self.assertEqual(self.stapled(self.tls, "a.example", clientContext()), b"")
        path.unlink()
        self.clock.advance(RECHECK)
        self.assertEqual(self.stapled(self.tls, "a.example", clientContext()), b"")

    def test_loaded(self) -> None:
        """What is known of a response that can be used."""
        self.put("a.example", self.responseFor("a.example"))
        staple = loadStaple(loadCertificate(self.folder / "a.example.pem", NOW), NOW)
        assert staple is not None
        self.assertEqual((staple.until, staple.problem), (NOW + DAY, None))
