"""Tests of L{xmppd.net.hostmeta} and L{xmppd.net.webclients}."""

from __future__ import annotations

import json

from lxml import etree
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from tests.marks import spec
from tests.server import DOMAIN, MemoryServer, ServerCase
from tests.web import WebSocketClient, connectWeb
from xmppd.config import WebConfig
from xmppd.ixmppd import IWebResource
from xmppd.net.hostmeta import JRD_PATH, WEBSOCKET, XBOSH, XRD_PATH, HostMeta
from xmppd.net.webclients import originsOf

XRD = "{http://docs.oasis-open.org/ns/xri/xrd-1.0}"


@spec("XEP-0156", "2", "3")
class HostMetaTests(ServerCase):
    """Where the ways in are."""

    def get(self, server: MemoryServer, path: str, host: str = DOMAIN, method: str = "GET") -> WebSocketClient:
        """Ask for a document."""
        port = 5280 if "tcp:5280" in str(server.server.config.listen.http) else 5443
        client = connectWeb(server, port, "192.0.2.1")
        if port == 5443:
            client.shakeHands(alpn=[b"http/1.1"])
        client.octets(f"{method} {path} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
        return client

    def links(self, server: MemoryServer, host: str = DOMAIN) -> dict[str, str]:
        """The links; both documents have the same."""
        xrd = self.get(server, XRD_PATH, host)
        self.assertEqual(xrd.status, 200)
        self.assertEqual(xrd.headers["content-type"], "application/xrd+xml; charset=utf-8")
        self.assertEqual(xrd.headers["access-control-allow-origin"], "*")
        root = etree.fromstring(xrd.body)
        self.assertEqual(root.tag, f"{XRD}XRD")
        found = {link.get("rel"): link.get("href") for link in root.iter(f"{XRD}Link")}
        jrd = self.get(server, JRD_PATH, host)
        self.assertEqual(jrd.headers["content-type"], "application/json")
        self.assertEqual(jrd.headers["access-control-allow-origin"], "*")
        self.assertEqual({link["rel"]: link["href"] for link in json.loads(jrd.body)["links"]}, found)
        return found

    def test_derived(self) -> None:
        """With TLS of our own: the host's domain, and the port."""
        server = self.serve(tls=True, listen='https = ["tcp:5443"]', more='[host."example.net"]')
        for host, domain in ((DOMAIN, DOMAIN), ("example.net:5443", "example.net"), ("EXAMPLE.net", "example.net")):
            links = self.links(server, host)
            self.assertEqual(links[WEBSOCKET], f"wss://{domain}:5443/xmpp-websocket")
            self.assertEqual(links[XBOSH], f"https://{domain}:5443/http-bind")
        self.assertEqual(self.links(server, "elsewhere.example")[WEBSOCKET], f"wss://{DOMAIN}:5443/xmpp-websocket")

    def test_configured(self) -> None:
        """Behind a reverse proxy: what was configured."""
        server = self.serve(listen='http = ["tcp:5280"]', more='[web]\nurl = "https://chat.example.com/x/"\nbosh = false')
        self.assertEqual(self.links(server), {WEBSOCKET: "wss://chat.example.com/x/xmpp-websocket"})

    def test_insecure(self) -> None:
        """Nothing without TLS is ever named."""
        server = self.serve(listen='http = ["tcp:5280"]')
        for path in (XRD_PATH, JRD_PATH):
            self.assertEqual(self.get(server, path).status, 404)

    def test_requests(self) -> None:
        """Other requests."""
        server = self.serve(listen='http = ["tcp:5280"]', more='[web]\nurl = "https://chat.example.com"')
        self.assertEqual(self.get(server, XRD_PATH, method="POST").status, 405)
        preflight = self.get(server, JRD_PATH, method="OPTIONS")
        self.assertEqual((preflight.status, preflight.headers["access-control-allow-origin"]), (204, "*"))
        self.assertEqual(self.get(server, XRD_PATH, method="HEAD").body, b"")
        self.assertEqual(self.get(server, XRD_PATH + "/x").status, 404)


class PartTests(SynchronousTestCase):
    """By itself."""

    def test_interface(self) -> None:
        """It is a resource."""
        verifyObject(IWebResource, HostMeta({}, None, (), lambda domain: None))

    def test_origins(self) -> None:
        """Pages of the configured URL may connect too."""
        origins = originsOf(WebConfig(url="https://chat.example.com/x"), ["example.org"])
        self.assertTrue(origins.allow("https://chat.example.com"))
        self.assertTrue(origins.allow("https://example.org"))
        self.assertFalse(origins.allow("https://example.com"))
