"""The page for administrators."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from html.parser import HTMLParser
from typing import Any

from twisted.internet.defer import Deferred
from zope.interface.verify import verifyObject

from tests.ctl.servers import ServerCase
from tests.ctl.test_metrics import request
from tests.marks import spec
from tests.net.test_http import WebTransport
from xmppd.config import parse
from xmppd.ctl.statuspage import Status, monitoringEndpoints, overview, page
from xmppd.ixmppd import IWebResource, WebResponse
from xmppd.net.histories import Warned
from xmppd.trust.history import Change

HOSTILE = "<script>alert('&\"')</script>"


class Tags(HTMLParser):
    """The names of the elements of a page, which has to be well-formed."""

    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        """See L{HTMLParser}."""
        self.names.add(tag)
        if tag not in ("meta", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        """See L{HTMLParser}."""
        assert self.open.pop() == tag, tag


@spec("mission", "T10", "T11", "T12")
class StatusTests(ServerCase):
    """L{Status}."""

    def setUp(self) -> None:
        super().setUp()
        self.status = Status(self.server)

    def get(self, path: str, **headers: str) -> WebResponse:
        """What is answered."""
        answer: Any = self.status.respond(request(path, **headers))
        response: WebResponse = self.successResultOf(answer) if isinstance(answer, Deferred) else answer
        return response

    def test_interface(self) -> None:
        """It is a web resource."""
        verifyObject(IWebResource, self.status)

    def test_page(self) -> None:
        """The page has numbers of clients and neither addresses nor names, and a style that its policy names."""
        self.successResultOf(self.server.hosts["example.org"].registrar.create("romeo", "romeo"))
        self.login("romeo")
        response = self.get("/status")
        assert isinstance(response.body, bytes)
        text = response.body.decode()
        tags = Tags()
        tags.feed(text)
        self.assertEqual(tags.open, [])
        self.assertIn("PLAIN", text)
        self.assertNotIn("romeo", text)
        style = re.search("<style>(.*?)</style>", text, re.DOTALL)
        assert style is not None
        digest = base64.b64encode(hashlib.sha256(style[1].encode()).digest()).decode()
        self.assertIn(f"'sha256-{digest}'", response.headers["Content-Security-Policy"])
        self.assertIn("default-src 'none'", response.headers["Content-Security-Policy"])

    def test_hostile(self) -> None:
        """Nothing that others have chosen is taken for markup."""
        view = self.successResultOf(Deferred.fromCoroutine(overview(self.server)))
        certificate = {"not_after": 1e9, "issuer": HOSTILE, "self_issued": False, "sha256": "ab"}
        stream = {
            "kind": "s2s", "jid": HOSTILE, "tls": None, "cipher": HOSTILE, "mechanism": HOSTILE, "proof": "none",
            "certificate": certificate, "change": {"changes": [HOSTILE]}, "state": HOSTILE, "in": 1, "out": 2, "age": 3,
        }
        warning = Warned(1e9, True, (Change.EARLY,), HOSTILE).facts()
        queue = {"local": "example.org", "remote": HOSTILE, "stanzas": 3}
        own = {"domain": HOSTILE, "expires": 0.0, "sha256": "ab"}
        text = page({**view, "servers": [stream], "warnings": [{"domain": HOSTILE, **warning}], "queues": [queue], "certificates": [own]}).decode()
        tags = Tags()
        tags.feed(text)
        self.assertEqual(tags.open, [])
        self.assertNotIn("script", tags.names)
        self.assertEqual(text.count("&lt;script&gt;alert(&#x27;&amp;&quot;&#x27;)&lt;/script&gt;"), 10)
        self.assertIn("expired", text)

    def test_json(self) -> None:
        """The same for programs."""
        response = self.get("/status.json")
        assert isinstance(response.body, bytes)
        self.assertEqual(json.loads(response.body)["hosts"], ["example.net", "example.org"])

    def test_names(self) -> None:
        """A page of somebody else's can't reach it by a name that leads to this machine."""
        for name in ("localhost", "localhost:9090", "127.0.0.1:9090", "[::1]:9090", "Example.ORG.", "192.0.2.1"):
            self.assertEqual(self.get("/status", host=name).status, 200, name)
        for name in ("", "attacker.example:9090", "sub.example.org", "["):
            self.assertEqual(self.get("/status", host=name).status, 421, name)

    def test_refused(self) -> None:
        """It only shows."""
        answer: Any = self.status.respond(request("/status", "POST"))
        self.assertEqual(answer.status, 405)
        self.assertEqual(self.get("/").headers["Location"], "/status")
        self.assertIsNone(self.status.respond(request("/status/x")))

    def test_listeners(self) -> None:
        """There is nothing unless it is asked for; then both are on that listener, and nothing of it on the public one."""
        self.assertEqual(monitoringEndpoints(self.server), [])
        text = self.configuration.replace("[listen]", '[listen]\nmetrics = ["tcp:9090:interface=127.0.0.1"]')
        self.server.config = parse(text, str(self.file))
        ((option, endpoint, factory),) = monitoringEndpoints(self.server)
        self.assertEqual((option, endpoint), ("listen.metrics", "tcp:9090:interface=127.0.0.1"))
        for path, part in (("/metrics", b"xmppd_streams"), ("/status", b"<!DOCTYPE html>"), ("/x", b"404")):
            channel = factory.buildProtocol(None)
            transport = WebTransport()
            channel.makeConnection(transport)
            channel.dataReceived(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
            self.assertIn(part, transport.value())
            channel.dataReceived(b"GET / HTTP/1.1\r\n")
            self.clock.advance(120)
