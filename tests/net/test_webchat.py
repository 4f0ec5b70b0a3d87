"""Tests of L{xmppd.net.webchat}, and of how L{xmppd.net.webclients} mounts it."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from tests.marks import spec
from tests.server import DOMAIN, MemoryServer, ServerCase
from tests.web import WebSocketClient, connectWeb, upgrade
from xmppd.config import WebConfig
from xmppd.ctl.exits import CannotStart
from xmppd.ixmppd import IWebResource, WebRequest, WebResponse
from xmppd.net.webchat import DEMO, FRAME, PAGE, SCRIPT, SETTINGS, WebChat, ancestorsOf, readFiles
from xmppd.net.webclients import originsOf

WEB = '[web]\nchat = true\nchat_room = "lobby@rooms.example.org"\n'
GUESTS = 'guests = "public"'
SITE = "https://www.example.com"


def request(path: str, method: str = "GET", **headers: str) -> WebRequest:
    """A request's head."""
    named = {"host": DOMAIN, **{name.replace("_", "-"): value for name, value in headers.items()}}
    return WebRequest(method, path, "", named, 0, "192.0.2.1", True)


class FileTests(SynchronousTestCase):
    """The files by themselves, which are part of the package."""

    def setUp(self) -> None:
        self.files = {name: file.body.decode() for name, file in readFiles().items()}

    def test_all(self) -> None:
        """Every file of the folder is served, and everything that one of them names is there."""
        import xmppd

        folder = Path(xmppd.__file__).parent / "web"
        self.assertEqual(set(self.files), {each.name for each in folder.iterdir()})
        for name, text in self.files.items():
            for other in re.findall(r'from "\./([^"]+)"|(?:src|href)="(?:chat/)?([a-z-]+\.[a-z]+)"', text):
                self.assertIn(other[0] or other[1], self.files, name)

    def test_inline(self) -> None:
        """No script or style is inline, nothing comes from elsewhere, and nothing is taken for HTML."""
        for name, text in self.files.items():
            if name.endswith(".html"):
                self.assertEqual(re.findall(r"<style|\bstyle=|\bon[a-z]+=|<script(?![^>]*\bsrc=)|javascript:", text), [], name)
                self.assertEqual(re.findall(r'(?:src|href)="(?:https?:)?//', text), [], name)
            if name.endswith(".js"):
                self.assertEqual(re.findall(r"innerHTML|outerHTML|insertAdjacent|document\.write|eval\(|Function\(", text), [], name)

    def test_labels(self) -> None:
        """Every field has a label, every form and part of the page a name."""
        text = self.files["index.html"]
        for field in re.findall(r'<(?:input|textarea) id="([^"]+)"', text):
            self.assertIn(f'<label for="{field}"', text)
        for reference in re.findall(r'aria-(?:labelledby|controls|describedby)="([^"]+)"', text):
            self.assertIn(f'id="{reference}"', text)


class ChatTests(SynchronousTestCase):
    """L{WebChat} without a server."""

    def setUp(self) -> None:
        self.chat = WebChat({}, None, (SITE,))

    def ask(self, path: str, method: str = "GET", **headers: str) -> WebResponse:
        """What is answered."""
        answer = self.chat.respond(request(path, method, **headers))
        assert answer is not None
        return answer

    def test_interface(self) -> None:
        """It is a resource."""
        verifyObject(IWebResource, self.chat)

    def test_types(self) -> None:
        """What things are."""
        for path, kind in (
            (PAGE, "text/html; charset=utf-8"),
            (FRAME, "text/html; charset=utf-8"),
            (DEMO, "text/html; charset=utf-8"),
            (SCRIPT, "text/javascript; charset=utf-8"),
            ("/chat/main.js", "text/javascript; charset=utf-8"),
            ("/chat/style.css", "text/css; charset=utf-8"),
            ("/chat/icon.svg", "image/svg+xml"),
        ):
            self.assertEqual(self.ask(path).headers["Content-Type"], kind, path)

    def test_nothing(self) -> None:
        """What isn't there, or is there under another name only."""
        for path in ("/chat", "/chat/", "/chat/nothing.js", "/chat/index.html", "/chat/../setup.cfg", "/widget/x", "/x"):
            self.assertIsNone(self.chat.respond(request(path)), path)

    def test_methods(self) -> None:
        """Nothing can be changed."""
        for path in (PAGE, SCRIPT, "/chat/main.js"):
            self.assertEqual(self.ask(path, "POST").status, 405)
            self.assertEqual(self.ask(path, "HEAD").status, 200)

    @spec("RFC 9110", "8.8.3", "13.1.2")
    def test_caching(self) -> None:
        """Asked each time, and told by a tag that nothing has changed."""
        for path in (PAGE, FRAME, SCRIPT, "/chat/style.css"):
            first = self.ask(path)
            self.assertEqual(first.headers["Cache-Control"], "no-cache")
            tag = first.headers["ETag"]
            self.assertRegex(tag, '^"[A-Za-z0-9_-]{24}"$')
            for known in (tag, f'"other", W/{tag}', "*"):
                again = self.ask(path, if_none_match=known)
                self.assertEqual((again.status, again.body, again.headers["ETag"]), (304, b"", tag))
            self.assertEqual(self.ask(path, if_none_match='"other"').status, 200)
        self.assertNotEqual(self.ask("/chat/main.js").headers["ETag"], self.ask("/chat/view.js").headers["ETag"])

    def policy(self, path: str, **headers: str) -> dict[str, str]:
        """The policy of a page, by directive."""
        text = self.ask(path, **headers).headers["Content-Security-Policy"]
        return {part.split()[0]: " ".join(part.split()[1:]) for part in text.split(";")}

    def test_policy(self) -> None:
        """Nothing but what is its own."""
        policy = self.policy(PAGE)
        self.assertEqual(policy["default-src"], "'none'")
        self.assertEqual(policy["script-src"], "'self'")
        self.assertEqual(policy["style-src"], "'self'")
        self.assertEqual(policy["connect-src"], f"'self' ws://{DOMAIN} wss://{DOMAIN}")
        self.assertEqual(policy["base-uri"], "'none'")
        self.assertEqual(policy["form-action"], "'none'")
        self.assertEqual(policy["require-trusted-types-for"], "'script'")
        self.assertNotIn("unsafe", str(policy))

    def test_hosts(self) -> None:
        """Only what is the name of a host gets into the policy."""
        self.assertIn("wss://[::1]:5280", self.policy(PAGE, host="[::1]:5280")["connect-src"])
        for host in ("", "a; script-src *", "a b", "*", "a/b", "-", "é"):
            self.assertEqual(self.policy(PAGE, host=host)["connect-src"], "'self'", host)

    def test_framing(self) -> None:
        """Only the frame may be in other pages, and only in those that are configured."""
        self.assertEqual(self.policy(PAGE)["frame-ancestors"], "'none'")
        self.assertEqual(self.policy(DEMO)["frame-ancestors"], "'none'")
        self.assertEqual(self.policy(FRAME)["frame-ancestors"], f"'self' {SITE}")
        self.assertEqual(ancestorsOf(()), "'self'")
        self.assertEqual(ancestorsOf(("*",)), "'self' *")
        self.assertEqual(ancestorsOf(("null", SITE)), f"'self' {SITE}")
        self.assertEqual(self.policy(DEMO)["frame-src"], "'self'")
        self.assertEqual(self.policy(PAGE)["frame-src"], "'none'")

    def test_elsewhere(self) -> None:
        """Other sites may load the widget's script, and nothing else."""
        self.assertEqual(self.ask(SCRIPT).headers["Access-Control-Allow-Origin"], "*")
        self.assertEqual(self.ask(SCRIPT).headers["Cross-Origin-Resource-Policy"], "cross-origin")
        for path in (PAGE, "/chat/main.js", "/chat/style.css"):
            self.assertNotIn("Access-Control-Allow-Origin", self.ask(path).headers)
            self.assertEqual(self.ask(path).headers["Cross-Origin-Resource-Policy"], "same-origin")


class MountTests(ServerCase):
    """In a whole server."""

    def get(self, server: MemoryServer, path: str, host: str = DOMAIN, port: int = 5280) -> WebSocketClient:
        """Ask for something."""
        client = connectWeb(server, port, "192.0.2.1")
        if port == 5443:
            client.shakeHands(alpn=[b"http/1.1"])
        client.octets(f"GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
        return client

    def settings(self, server: MemoryServer, **named: Any) -> Any:
        """What the page is told."""
        return json.loads(self.get(server, SETTINGS, **named).body)

    def test_off(self) -> None:
        """It isn't there unless it is wanted."""
        server = self.serve(listen='http = ["tcp:5280"]')
        for path in (PAGE, FRAME, SCRIPT, "/chat/main.js", SETTINGS):
            self.assertEqual(self.get(server, path).status, 404)

    def test_on(self) -> None:
        """All of it, and the rest of the site as before."""
        server = self.serve(listen='http = ["tcp:5280"]', more=WEB)
        for path in (PAGE, FRAME, SCRIPT, DEMO, "/chat/main.js", SETTINGS):
            answer = self.get(server, path)
            self.assertEqual(answer.status, 200, path)
            self.assertEqual(answer.headers["x-content-type-options"], "nosniff")
        self.assertEqual(self.get(server, "/elsewhere").status, 404)
        self.assertEqual(self.get(server, "/chat/none.js").status, 404)
        self.assertIn("script-src 'self'", self.get(server, PAGE).headers["content-security-policy"])

    def test_settings(self) -> None:
        """What the page has to know."""
        more = WEB + f'[host."guests.example"]\naccounts = false\n{GUESTS}\n'
        server = self.serve(listen='http = ["tcp:5280"]', more=more)
        expected = {"domain": DOMAIN, "guests": False, "accounts": True, "registration": False, "room": "lobby@rooms.example.org", "secure": False, "tls": None}
        self.assertEqual(self.settings(server), expected)
        for host in ("guests.example", "chat.guests.example:5280", "CHAT.Guests.Example"):
            found = self.settings(server, host=host)
            self.assertEqual((found["domain"], found["guests"], found["accounts"]), ("guests.example", True, False))
        self.assertEqual(self.settings(server, host="elsewhere.example")["domain"], DOMAIN)

    def test_encrypted(self) -> None:
        """The facts of the page's own connection, where the server knows them."""
        server = self.serve(tls=True, listen='https = ["tcp:5443"]', more=WEB, host=GUESTS)
        found = self.settings(server, port=5443)
        self.assertEqual((found["secure"], found["tls"]["version"], found["guests"]), (True, "TLSv1.3", True))

    def test_needs(self) -> None:
        """Without WebSockets it can't be had."""
        error = self.assertRaises(CannotStart, self.serve, listen='http = ["tcp:5280"]', more=WEB + "websocket = false")
        self.assertIn("web.websocket = true", error.lines[0])

    def test_origins(self) -> None:
        """Other sites that are configured don't take the chat's own place."""
        listed = WebConfig(origins=(SITE,), url="https://chat.example.org")
        self.assertFalse(originsOf(listed, [DOMAIN]).allow("https://chat.example.org"))
        both = originsOf(WebConfig(origins=(SITE,), url="https://chat.example.org", chat=True), [DOMAIN])
        for origin in (SITE, "https://chat.example.org", f"https://{DOMAIN}:5443"):
            self.assertTrue(both.allow(origin))
        for origin in (f"http://{DOMAIN}", "https://elsewhere.example", "null"):
            self.assertFalse(both.allow(origin))

    def test_connects(self) -> None:
        """The page's WebSocket is let in."""
        server = self.serve(tls=True, listen='https = ["tcp:5443"]', more=WEB + f'origins = ["{SITE}"]\n')
        client = connectWeb(server, 5443)
        client.shakeHands(alpn=[b"http/1.1"])
        client.octets(upgrade(Origin=f"https://{DOMAIN}:5443"))
        self.assertEqual(client.status, 101)
