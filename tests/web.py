"""
Clients that come by HTTP, for tests with the whole server in memory (L{tests.server}).

A L{WebSocketClient} is a L{TestClient} whose elements travel in messages of a WebSocket, by wsproto's client. Every
message from the server is read by itself, with ElementTree and with lxml: what needed a declaration from elsewhere
would fail.
"""

from __future__ import annotations

import os
import re
import xml.etree.ElementTree as ET
from base64 import b64encode
from typing import Any

from lxml import etree
from wsproto.connection import Connection, ConnectionType
from wsproto.events import BytesMessage, CloseConnection, Ping, Pong, TextMessage
from wsproto.frame_protocol import XorMaskerSimple

from tests.server import DOMAIN, MemoryServer, TestClient
from xmppd.wire import ns

KEY = "dGhlIHNhbXBsZSBub25jZQ=="
ACCEPT = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="  # RFC 6455 section 1.3

PROXY = "127.0.0.1"
TOLD = "198.51.100.1"
"""The client's address, as a reverse proxy tells it."""


def upgrade(path: str = "/xmpp-websocket", more: str = "", **changes: str | None) -> bytes:
    """
    The request that begins a WebSocket.

    @param more: further headers, each with its line's end.
    @param changes: headers by name, with underscores; None leaves one out.
    """
    headers: dict[str, str | None] = {
        "Host": DOMAIN,
        "Upgrade": "websocket",
        "Connection": "keep-alive, Upgrade",
        "Sec-WebSocket-Key": KEY,
        "Sec-WebSocket-Protocol": "xmpp",
        "Sec-WebSocket-Version": "13",
    }
    headers.update({name.replace("_", "-"): value for name, value in changes.items()})
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items() if value is not None)
    return f"GET {path} HTTP/1.1\r\n{lines}{more}\r\n".encode()


def masked(opcode: int, payload: bytes = b"", final: bool = True, bits: int = 0, mask: bool = True) -> bytes:
    """A frame as clients send it, or as none may."""
    length = len(payload)
    if length < 126:
        size = bytes([length | 0x80 * mask])
    elif length < 65536:
        size = bytes([126 | 0x80 * mask]) + length.to_bytes(2, "big")
    else:
        size = bytes([127 | 0x80 * mask]) + length.to_bytes(8, "big")
    head = bytes([opcode | 0x80 * final | bits]) + size
    if not mask:
        return head + payload
    key = os.urandom(4)
    return head + key + bytes(XorMaskerSimple(key).process(bytearray(payload)))


class WebSocketClient(TestClient):
    """
    A client with a WebSocket.

    @ivar status: of the response to its request; None before that.
    @ivar headers: of that response, by name in small letters.
    @ivar body: what follows a response that is no upgrade.
    @ivar messages: all messages that have come.
    @ivar code: with what the server has ended the WebSocket, or None.
    @ivar pings: how many the server has sent.
    @ivar polite: whether it answers pings and the end of the WebSocket.
    """

    def __init__(self, server: MemoryServer, factory: Any, address: str = PROXY) -> None:
        self.status: int | None = None
        self.headers: dict[str, str] = {}
        self.body = b""
        self.messages: list[bytes] = []
        self.code: int | None = None
        self.pings = 0
        self.pongs: list[bytes] = []
        self.polite = True
        self._head = b""
        self._part = b""
        self._wire = Connection(ConnectionType.CLIENT)
        super().__init__(server, factory, address)

    def upgrade(self, **changes: str | None) -> WebSocketClient:
        """Begin the WebSocket, by default behind a reverse proxy that has TLS."""
        told = {"X_Forwarded_For": TOLD, "X_Forwarded_Proto": "https"} if self.tls is None else {}
        self.octets(upgrade(**{**told, **changes}))
        return self

    def octets(self, data: bytes, chunk: int | None = None) -> None:
        """Send octets as they are."""
        super().send(data, chunk)

    def send(self, data: bytes | str, chunk: int | None = None) -> None:
        """Send elements, each a message."""
        if isinstance(data, str):
            data = data.encode()
        data = re.sub(rb"^<(message|presence|iq)(?=[ />])", rb"<\1 xmlns='jabber:client'", data)
        self.octets(masked(1, data), chunk)

    def _plain(self, data: bytes) -> None:
        self.raw += data
        if self.status is None:
            self._head += data
            head, end, data = self._head.partition(b"\r\n\r\n")
            if not end:
                return
            first, *lines = head.decode("latin-1").split("\r\n")
            self.status = int(first.split()[1])
            self.headers = {line.partition(":")[0].lower(): line.partition(":")[2].strip() for line in lines}
        if self.status != 101:
            self.body += data
            return
        self._wire.receive_data(data)
        for event in self._wire.events():
            self._event(event)

    def _event(self, event: Any) -> None:
        if isinstance(event, TextMessage):
            assert event.message_finished or not event.frame_finished, "the server sends fragments"
            self._part += event.data.encode()
            if event.message_finished:
                message, self._part = self._part, b""
                self._message(message)
        elif isinstance(event, BytesMessage):
            raise AssertionError("the server has sent a message that is no text")
        elif isinstance(event, CloseConnection):
            self.code = event.code
            self._later(event.response())
        elif isinstance(event, Ping):
            self.pings += 1
            self._later(event.response())
        elif isinstance(event, Pong):
            self.pongs.append(bytes(event.payload))

    def _later(self, event: Any) -> None:
        """Answer in another turn, as a client elsewhere would."""
        if self.polite:
            try:
                data = self._wire.send(event)
            except Exception:
                return  # it has ended the WebSocket itself
            self.server.reactor.callLater(0, self.octets, data)

    def _message(self, data: bytes) -> None:
        self.messages.append(data)
        etree.fromstring(data, etree.XMLParser(resolve_entities=False))
        element = ET.fromstring(data)
        if element.tag == f"{{{ns.FRAMING}}}open":
            self.header, self.streamClosed = dict(element.attrib), False
        elif element.tag == f"{{{ns.FRAMING}}}close":
            self.streamClosed = True
            self.closing = dict(element.attrib)
        else:
            self._elements.append(element)

    def open(self, to: str | None = DOMAIN, attributes: str = "", features: bool = True) -> ET.Element | None:
        """See L{TestClient.open}."""
        target = "" if to is None else f" to='{to}'"
        version = "" if "version=" in attributes else " version='1.0'"
        self.send(f"<open xmlns='{ns.FRAMING}'{target}{version} {attributes}/>")
        if not features:
            return None
        self.features = self.one()
        return self.features

    def end(self, code: int = 1000) -> None:
        """End the WebSocket, without ending the stream."""
        self.octets(self._wire.send(CloseConnection(code=code)))

    def wellFormed(self) -> None:
        """Each message was looked at when it came."""


def webServer(**named: Any) -> dict[str, Any]:
    """Keywords for a L{MemoryServer} with C{listen.http}, for a reverse proxy; by default encryption is wanted."""
    return {"listen": 'http = ["tcp:5280"]', "tls": True, **named}


def connectWeb(server: MemoryServer, port: int = 5280, address: str = PROXY) -> WebSocketClient:
    """A client that has connected to a port for HTTP."""
    client = WebSocketClient(server, server.factory(port), address)
    server.clients.append(client)
    return client


class BoshRequest(WebSocketClient):
    """
    One request of a BOSH client, on a connection of its own.

    @ivar answered: whether the whole answer is there.
    """

    @property
    def answered(self) -> bool:
        """Whether the answer is there."""
        return self.status is not None and len(self.body) >= int(self.headers.get("content-length", "0"))

    @property
    def root(self) -> ET.Element:
        """The body of the answer."""
        if not self.answered:
            raise AssertionError("there is no answer")
        etree.fromstring(self.body, etree.XMLParser(resolve_entities=False))
        root = ET.fromstring(self.body)
        if root.tag != f"{{{ns.HTTP_BIND}}}body":
            raise AssertionError(f"no body: {self.body!r}")
        return root


class BoshClient:
    """
    A client that comes by BOSH, through a reverse proxy with TLS.

    @ivar rid: of the last request.
    @ivar sid: the session's name.
    @ivar terms: the attributes of the first answer.
    """

    def __init__(self, server: MemoryServer, port: int = 5280, address: str = PROXY) -> None:
        self.server = server
        self.rid = 1_573_741_820
        self.sid: str | None = None
        self.terms: dict[str, str] = {}
        self.headers = f"X-Forwarded-For: {TOLD}\r\nX-Forwarded-Proto: https\r\n"
        self._port = port
        self._address = address

    def send(self, data: bytes, headers: str | None = None, method: str = "POST", chunk: int | None = None) -> BoshRequest:
        """Send a request of which the body is given."""
        request = BoshRequest(self.server, self.server.factory(self._port), self._address)
        self.server.clients.append(request)
        if self._port == 5443:
            request.shakeHands(alpn=[b"http/1.1"])
        lines = self.headers if headers is None else headers
        head = f"{method} /http-bind HTTP/1.1\r\nHost: {DOMAIN}\r\n{lines}Content-Length: {len(data)}\r\n\r\n"
        request.octets(head.encode() + data, chunk)
        return request

    def post(self, payload: str = "", rid: int | None = None, chunk: int | None = None, **attrs: str) -> BoshRequest:
        """
        The next request, or one again.

        @param attrs: attributes; C{xmpp_} becomes a prefix.
        """
        if rid is None:
            rid = self.rid = self.rid + 1
        values = {"rid": str(rid), **({"sid": self.sid} if self.sid is not None else {}), **attrs}
        written = "".join(f" {name.replace('xmpp_', 'xmpp:').replace('lang', 'xml:lang')}='{value}'" for name, value in values.items())
        data = f"<body{written} xmlns='{ns.HTTP_BIND}' xmlns:xmpp='{ns.XBOSH}'>{payload}</body>"
        return self.send(data.encode(), chunk=chunk)

    def begin(self, **attrs: str) -> BoshRequest:
        """Ask for a session."""
        wanted = {"to": DOMAIN, "wait": "60", "hold": "1", "ver": "1.6", "xmpp_version": "1.0", **attrs}
        request = self.post(**{name: value for name, value in wanted.items() if value})
        if request.status == 200:
            self.terms = dict(request.root.attrib)
            self.sid = self.terms.get("sid")
        return request

    def login(self, username: str, resource: str = "web") -> str:
        """Begin a session, log in and bind; answers the full JID."""
        self.begin()
        message = b64encode(f"\0{username}\0{username}".encode()).decode()
        answer = self.post(f"<auth xmlns='{ns.SASL}' mechanism='PLAIN'>{message}</auth>").root
        if not answer.findall(f"{{{ns.SASL}}}success"):
            raise AssertionError(f"no login: {ET.tostring(answer)!r}")
        self.post(xmpp_restart="true", to=DOMAIN)
        bind = f"<iq type='set' id='1' xmlns='jabber:client'><bind xmlns='{ns.BIND}'><resource>{resource}</resource></bind></iq>"
        jid = self.post(bind).root.findtext(f"{{{ns.CLIENT}}}iq/{{{ns.BIND}}}bind/{{{ns.BIND}}}jid")
        assert jid is not None
        return jid
