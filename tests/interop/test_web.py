"""
Web clients against a whole server, over real sockets: the library C{websockets}, and with Node.js Strophe.js and xmpp.js.

The last two need packages of npm. Where C{XMPPD_NODE} names a folder in which C{npm install strophe.js @xmldom/xmldom ws
@xmpp/client} was run, their scenes are played.
"""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import socket
import ssl
import tempfile
import urllib.request
import xml.etree.ElementTree as ET
from base64 import b64encode
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from tests.interop.daemon import CONFIGURATION, DEADLINE, DOMAIN, ROOT, Daemon, mistakes, run
from tests.marks import spec
from tests.web import upgrade
from xmppd.wire import ns

LISTEN = """\
c2s_tls = ["tcp:{tlsPort}:interface=127.0.0.1"]
http = ["tcp:0:interface=127.0.0.1"]
https = ["tcp:0:interface=127.0.0.1"]
[web]
proxies = []
"""

NODE = os.environ.get("XMPPD_NODE", "")


class WebTestCase(SynchronousTestCase):
    """
    A server of its own with HTTP, with TLS and without.

    @ivar ports: of its listeners, by option.
    @ivar expected: what may appear in lines of the log that would be mistakes otherwise.
    @ivar listen: lines of C{[listen]}, and what follows.
    """

    expected: tuple[str, ...] = ()
    listen = LISTEN

    def setUp(self) -> None:
        """Start it, with two accounts."""
        folder = Path(tempfile.mkdtemp(prefix="xmppd-"))
        self.addCleanup(shutil.rmtree, folder, ignore_errors=True)
        configuration = CONFIGURATION.replace('c2s_tls = ["tcp:{tlsPort}:interface=127.0.0.1"]\n', self.listen)
        self.daemon = Daemon(folder, configuration)
        self.addCleanup(self.daemon.kill)
        self.daemon.start()
        self.addCleanup(self.end)
        self.ports = {
            each["option"]: int(each["address"].rpartition(":")[2]) for each in self.daemon.ask("status")["ports"]
        }
        for name in ("romeo", "juliet"):
            self.daemon.addAccount(name)

    def end(self) -> None:
        """It ends well, and has made no mistake."""
        status = self.daemon.stop() if self.daemon.alive else self.daemon.status
        self.assertEqual((status, mistakes(self.daemon.written(), self.expected)), (0, []))

    def trusting(self) -> ssl.SSLContext:
        """A context that trusts its certificate."""
        return ssl.create_default_context(cafile=str(self.daemon.certificate))


class Page:
    """A client with the library C{websockets}, as a page would have it."""

    def __init__(self, port: int, context: ssl.SSLContext) -> None:
        from websockets.sync.client import connect
        from websockets.typing import Origin, Subprotocol

        self.socket = connect(
            f"wss://{DOMAIN}:{port}/xmpp-websocket",
            sock=socket.create_connection(("127.0.0.1", port), DEADLINE),
            ssl=context,
            server_hostname=DOMAIN,
            subprotocols=[Subprotocol("xmpp")],
            origin=Origin(f"https://{DOMAIN}"),
            open_timeout=DEADLINE,
        )

    def say(self, text: str) -> None:
        """Send a message."""
        self.socket.send(text)

    def hear(self) -> ET.Element:
        """The next message."""
        data = self.socket.recv(timeout=DEADLINE)
        assert isinstance(data, str)
        return ET.fromstring(data)

    def open(self) -> ET.Element:
        """Open a stream, and answer the features."""
        self.say(f"<open xmlns='{ns.FRAMING}' to='{DOMAIN}' version='1.0'/>")
        assert self.hear().tag == f"{{{ns.FRAMING}}}open"
        return self.hear()

    def login(self, name: str) -> str:
        """Log in and bind; answers the full JID."""
        self.open()
        message = b64encode(f"\0{name}\0{name}".encode()).decode()
        self.say(f"<auth xmlns='{ns.SASL}' mechanism='PLAIN'>{message}</auth>")
        assert self.hear().tag == f"{{{ns.SASL}}}success"
        self.open()
        self.say(f"<iq xmlns='jabber:client' type='set' id='b'><bind xmlns='{ns.BIND}'/></iq>")
        jid = self.hear().findtext(f"{{{ns.BIND}}}bind/{{{ns.BIND}}}jid")
        assert jid is not None
        return jid


@spec("RFC 7395", "3.1", "3.4", "3.6")
class WebsocketsTests(WebTestCase):
    """With the library C{websockets}."""

    if importlib.util.find_spec("websockets") is None:
        skip = "websockets is not installed: pip install websockets"

    def test_chat(self) -> None:
        """Two pages talk, big and small, and leave."""
        context = self.trusting()
        romeo, juliet = (Page(self.ports["listen.https"], context) for _ in range(2))
        self.assertEqual(romeo.socket.subprotocol, "xmpp")
        self.assertEqual(romeo.socket.protocol.extensions, [])
        romeo.login("romeo")
        jid = juliet.login("juliet")
        for size in (1, 125, 126, 65_535, 70_000, 200_000):
            romeo.say(f"<message xmlns='jabber:client' to='{jid}'><body>{'x' * size}</body></message>")
            self.assertEqual(len(juliet.hear().findtext(f"{{{ns.CLIENT}}}body") or ""), size)
        romeo.socket.send(["<message xmlns='jabber:client' ", f"to='{jid}'><body>in ", "pieces</body></message>"])
        self.assertEqual(juliet.hear().findtext(f"{{{ns.CLIENT}}}body"), "in pieces")
        self.assertTrue(romeo.socket.ping().wait(DEADLINE))
        self.assertEqual({each["tls"] for each in self.daemon.streams()}, {"TLSv1.3"})
        romeo.say(f"<close xmlns='{ns.FRAMING}'/>")
        self.assertEqual(romeo.hear().tag, f"{{{ns.FRAMING}}}close")
        self.assertEqual(list(romeo.socket), [])
        self.assertEqual(romeo.socket.close_code, 1000)
        juliet.socket.close()
        self.assertEqual(juliet.socket.close_code, 1000)

    def test_shutdown(self) -> None:
        """The server's end reaches a page."""
        page = Page(self.ports["listen.https"], self.trusting())
        page.login("romeo")
        self.daemon.stop()
        self.assertEqual(page.hear().tag, f"{{{ns.STREAMS}}}error")
        self.assertEqual(page.hear().tag, f"{{{ns.FRAMING}}}close")


@spec("XEP-0156", "2")
class HostMetaTests(WebTestCase):
    """With Python's own library for HTTP."""

    def test_hostMeta(self) -> None:
        """The document leads to the WebSocket."""
        port = self.ports["listen.http"]
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/.well-known/host-meta.json", timeout=DEADLINE) as answer:
            links = {each["rel"]: each["href"] for each in json.load(answer)["links"]}
        url = f"://{DOMAIN}:{self.ports['listen.https']}/"
        self.assertEqual(links["urn:xmpp:alt-connections:websocket"], f"wss{url}xmpp-websocket")
        self.assertEqual(links["urn:xmpp:alt-connections:xbosh"], f"https{url}http-bind")


class LoadBalancerTests(WebTestCase):
    """This machine is a load balancer that speaks the PROXY protocol."""

    listen = 'proxy_protocol = ["127.0.0.1"]\n' + LISTEN

    def balanced(self, port: int) -> socket.socket:
        """A connection that was passed on."""
        connection = socket.create_connection(("127.0.0.1", port), DEADLINE)
        self.addCleanup(connection.close)
        connection.sendall(b"PROXY TCP4 198.51.100.1 127.0.0.1 40000 5222\r\n")
        return connection

    def test_told(self) -> None:
        """The client's address is the told one: over TCP, with TLS from the start, and over HTTPS."""
        header = f"<stream:stream xmlns='{ns.CLIENT}' xmlns:stream='{ns.STREAMS}' to='{DOMAIN}' version='1.0'>".encode()
        clear = self.balanced(self.daemon.port)
        direct = self.trusting().wrap_socket(self.balanced(self.daemon.tlsPort), server_hostname=DOMAIN)
        self.addCleanup(direct.close)
        for connection in (clear, direct):
            connection.sendall(header)
            self.assertIn(b"<stream:stream ", connection.recv(65536))
        web = self.trusting().wrap_socket(self.balanced(self.ports["listen.https"]), server_hostname=DOMAIN)
        self.addCleanup(web.close)
        web.sendall(upgrade())
        self.assertTrue(web.recv(65536).startswith(b"HTTP/1.1 101 "))
        addresses = [each["address"] for each in self.daemon.streams()]
        self.assertEqual(addresses, ["198.51.100.1:40000"] * 3)


class NodeTests(WebTestCase):
    """With Node.js. It is on this machine and no proxy is, so that it may do without TLS."""

    if not NODE or shutil.which("node") is None:
        skip = "XMPPD_NODE names no folder with packages of npm, or there is no Node.js"

    def play(self, script: str, url: str, messages: int = 5, password: str = "romeo") -> dict[str, Any]:
        """Play a scene, and answer what was seen."""
        facts = {
            "url": url.format(port=self.ports["listen.http"]),
            "jid": f"romeo@{DOMAIN}",
            "password": password,
            "messages": messages,
            "seconds": DEADLINE / 2,
        }
        done = run(["node", str(ROOT / "tests" / "interop" / script), NODE, json.dumps(facts)])
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        seen: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        return seen

    @spec("XEP-0206", "5")
    def test_stropheBOSH(self) -> None:
        """Strophe.js by BOSH."""
        seen = self.play("strophe.mjs", "http://127.0.0.1:{port}/http-bind")
        self.assertIn("CONNECTED", seen["statuses"])
        self.assertEqual(seen["bodies"], [f"{number} <&> \U0001f60a" for number in range(1, 6)])

    def test_stropheWebSocket(self) -> None:
        """Strophe.js by WebSocket."""
        seen = self.play("strophe.mjs", "ws://127.0.0.1:{port}/xmpp-websocket")
        self.assertIn("CONNECTED", seen["statuses"])
        self.assertEqual(len(seen["bodies"]), 5)

    def test_wrongPassword(self) -> None:
        """A wrong password is told, both ways."""
        self.expected = ("authentication failed",)
        for url in ("http://127.0.0.1:{port}/http-bind", "ws://127.0.0.1:{port}/xmpp-websocket"):
            self.assertIn("AUTHFAIL", self.play("strophe.mjs", url, password="wrong")["statuses"])

    @spec("RFC 7395", "3.10")
    def test_xmppjs(self) -> None:
        """xmpp.js resumes its stream in another WebSocket."""
        seen = self.play("xmppjs.mjs", "ws://127.0.0.1:{port}/xmpp-websocket")
        self.assertEqual((seen["online"], seen["resumed"], len(seen["bodies"])), (1, 1, 5), seen)
