"""POSH documents are fetched over real HTTPS, on loopback. See L{xmppd.net.posh}."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from cryptography import x509
from twisted.internet import reactor, ssl
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint
from twisted.internet.interfaces import IReactorSSL
from twisted.trial.unittest import TestCase
from twisted.web.resource import Resource
from twisted.web.server import Site

from tests.marks import spec
from tests.trust.authority import ALWAYS, Authority, curveKey, der, keyPEM, pem
from xmppd.net.posh import Places, isPublic
from xmppd.net.resolver import Place, Target
from xmppd.trust.posh import MAX_DOCUMENT, fingerprintsDocument, referenceDocument

DOMAIN = "montague.example"


class FakeResolver:
    """Everybody is here."""

    address = "127.0.0.1"

    async def places(self, target: Target) -> list[Place]:
        """See L{xmppd.net.resolver.Resolver}."""
        return [Place(target, self.address)]


class Web(Resource):
    """Answers by path; counts."""

    isLeaf = True

    def __init__(self) -> None:
        super().__init__()
        self.pages: dict[bytes, tuple[int, bytes, bytes]] = {}
        self.asked: list[bytes] = []

    def render_GET(self, request: Any) -> bytes:
        """See L{Resource}."""
        self.asked.append(request.path)
        code, location, body = self.pages.get(request.path, (404, b"", b""))
        request.setResponseCode(code)
        if location:
            request.setHeader(b"location", location)
        return body


@spec("RFC 7711", "3.1", "3.2")
@spec("mission", "T8")
class PlacesTests(TestCase):
    """A web server that knows of certificates."""

    def setUp(self) -> None:
        authority = Authority("The Web")
        key = curveKey()
        names = [x509.DNSName(DOMAIN), x509.DNSName("hosting.example")]
        leaf = authority.sign(key, names, start=0, end=ALWAYS)
        folder = Path(self.mktemp())
        folder.mkdir()
        (folder / "web.pem").write_bytes(keyPEM(key) + pem(leaf))
        (folder / "ca.pem").write_bytes(pem(authority.certificate))
        self.web = Web()
        options = ssl.PrivateCertificate.loadPEM((folder / "web.pem").read_bytes()).options()
        listening: Any = IReactorSSL(reactor).listenSSL(0, Site(self.web), options, interface="127.0.0.1")
        self.addCleanup(listening.stopListening)
        self.resolver = FakeResolver()
        resolver: Any = self.resolver
        self.places = Places(reactor, resolver, folder / "ca.pem")
        port = listening.getHost().port
        self.places.connect = lambda address, _: TCP4ClientEndpoint(reactor, "127.0.0.1", port)
        self.places.isPublic = lambda address: True
        self.certificate = der(leaf)
        self.well = b"/.well-known/posh/xmpp-server.json"
        self.web.pages[self.well] = (200, b"", fingerprintsDocument([self.certificate]))

    def ask(self, domain: str = DOMAIN) -> Deferred[Any]:
        """What a domain says."""
        return Deferred.fromCoroutine(self.places.material(domain))

    async def test_document(self) -> None:
        """A document is fetched once, and kept."""
        for _ in range(2):
            material, why = await self.ask()
            self.assertEqual((material.fingerprints.match(self.certificate), why), ("sha-512", ""))
        self.assertEqual(len(self.web.asked), 1)

    async def test_reference(self) -> None:
        """A reference is followed, once; a redirect, too."""
        self.web.pages[self.well] = (200, b"", referenceDocument("https://hosting.example/posh.json"))
        self.web.pages[b"/posh.json"] = (302, b"/there.json", b"")
        self.web.pages[b"/there.json"] = (200, b"", fingerprintsDocument([self.certificate]))
        material, _ = await self.ask()
        self.assertEqual(material.source, "https://hosting.example/there.json")
        self.places._known.clear()
        self.web.pages[b"/there.json"] = self.web.pages[self.well]
        material, why = await self.ask()
        self.assertIsNone(material)
        self.assertIn("another reference", why)

    async def test_bad(self) -> None:
        """What proves nothing."""
        for page, reason in (
            ((404, b"", b""), "says 404"),
            ((200, b"", b"<html>"), "isn't JSON"),
            ((200, b"", b"x" * (MAX_DOCUMENT + 1)), "more than"),
            ((302, b"http://hosting.example/", b""), "HTTPS"),
            ((302, b"https://127.0.0.1/", b""), "Internet"),
            ((302, self.well, b""), "too often"),
        ):
            self.places._known.clear()
            self.web.pages[self.well] = page
            material, why = await self.ask()
            self.assertIsNone(material)
            self.assertIn(reason, why)

    async def test_wrongName(self) -> None:
        """A web server that isn't the domain's."""
        material, why = await self.ask("other.example")
        self.assertIsNone(material)
        self.assertIn("can't be fetched", why)
        self.assertEqual(self.web.asked, [])

    async def test_private(self) -> None:
        """Names that lead to addresses of our own network."""
        self.places.isPublic = isPublic
        for address in ("127.0.0.1", "10.0.0.1", "169.254.169.254", "::1", "fd00::1", "224.0.0.1"):
            self.places._known.clear()
            self.resolver.address = address
            material, why = await self.ask()
            self.assertIsNone(material)
            self.assertIn("public Internet", why)
        self.assertEqual(self.web.asked, [])
