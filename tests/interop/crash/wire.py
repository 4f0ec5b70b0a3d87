"""
A raw client's connection: TLS from the first byte, PLAIN, and elements one by one.

Elements are cut out as they come and kept until somebody asks, so that what has arrived before a connection is lost
has arrived.
"""

from __future__ import annotations

import asyncio
import base64
import socket
import ssl
from collections import deque
from xml.etree.ElementTree import Element, ParseError, XMLPullParser

from tests.interop.crash.daemon import DOMAIN

CLIENT = "{jabber:client}"
SM = "{urn:xmpp:sm:3}"
STREAMS = "{http://etherx.jabber.org/streams}"
HEADER = (
    f"<?xml version='1.0'?><stream:stream to='{DOMAIN}' version='1.0' xmlns='jabber:client' "
    "xmlns:stream='http://etherx.jabber.org/streams'>"
)
STANZAS = frozenset(CLIENT + kind for kind in ("message", "presence", "iq"))

PATIENCE = 60.0
"""How many seconds a step of the negotiation may take."""


class Gone(Exception):
    """The connection is gone, or the stream has ended."""


class Refused(Exception):
    """The server has refused a step of the negotiation."""


def clientContext() -> ssl.SSLContext:
    """TLS for a client that takes any certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


CONTEXT = clientContext()


class Wire(asyncio.Protocol):
    """
    One connection. TLS is done here and not by C{asyncio}, which would lose what it has not passed on when a connection
    breaks, and reads on when it is told to pause.

    @ivar lost: whether nothing more will come.
    @ivar skipped: what came while something else was expected.
    """

    def __init__(self) -> None:
        self.lost = False
        self.skipped: list[Element] = []
        self._transport: asyncio.Transport | None = None
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._tls = CONTEXT.wrap_bio(self._incoming, self._outgoing, server_hostname=DOMAIN)
        self._secured = asyncio.Event()
        self._arrived: deque[Element] = deque()
        self._news = asyncio.Event()
        self._reset()

    @classmethod
    async def connect(cls, port: int, receiveBuffer: int = 0) -> Wire:
        """
        A new connection, with TLS.

        @param receiveBuffer: octets the kernel keeps for it; 0 for what is usual.
        @raise Gone: there can't be one.
        """
        plain = socket.socket()
        plain.setblocking(False)
        if receiveBuffer:
            plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receiveBuffer)
        try:
            return await asyncio.wait_for(cls._secure(plain, port), PATIENCE)
        except (OSError, TimeoutError) as error:
            plain.close()
            raise Gone(str(error)) from None

    @classmethod
    async def _secure(cls, plain: socket.socket, port: int) -> Wire:
        loop = asyncio.get_running_loop()
        await loop.sock_connect(plain, ("127.0.0.1", port))
        _, wire = await loop.create_connection(cls, sock=plain)
        await wire._secured.wait()
        if wire.lost:
            raise Gone("the connection was lost before there was TLS")
        return wire

    # --- asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See L{asyncio.Protocol}."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._handshake()

    def data_received(self, data: bytes) -> None:
        """See L{asyncio.Protocol}."""
        self._incoming.write(data)
        if not self._secured.is_set():
            self._handshake()
        if self._secured.is_set():
            self._decrypt()
            self._flush()

    def connection_lost(self, error: Exception | None) -> None:
        """See L{asyncio.Protocol}."""
        self.lost = True
        self._secured.set()
        self._news.set()

    # --- TLS

    def _handshake(self) -> None:
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            pass
        else:
            self._secured.set()
        self._flush()

    def _decrypt(self) -> None:
        while True:
            try:
                data = self._tls.read(65536)
            except ssl.SSLWantReadError:
                return
            except ssl.SSLError:
                data = b""
            if not data:
                self.lost = True
                self._news.set()
                return
            self._parse(data)

    def _flush(self) -> None:
        data = self._outgoing.read()
        if data and self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)

    def _parse(self, data: bytes) -> None:
        """
        Cut out elements. A server that ends the stream between its C{<success/>} and the client's next header says that
        in a header of its own (RFC 6120 section 4.9.1.2), which may come before this parser is another.
        """
        try:
            self._parser.feed(data)
            events = list(self._parser.read_events())
        except ParseError:
            self.lost = True
            self._news.set()
            return
        for event, element in events:
            if event == "start":
                self._depth += 1
                if self._root is None:
                    self._root = element
                continue
            self._depth -= 1
            if self._depth == 1 and self._root is not None:
                self._root.clear()
                self._arrived.append(element)
            elif self._depth == 0:
                self.lost = True
        self._news.set()

    # --- what clients use

    def _reset(self) -> None:
        self._parser = XMLPullParser(("start", "end"))
        self._depth = 0
        self._root: Element | None = None

    def open(self) -> None:
        """Open a stream, or restart it."""
        self._reset()
        self.send(HEADER)

    def send(self, text: str) -> None:
        """Send. If the connection is gone that is known soon enough."""
        if not self.lost:
            self._tls.write(text.encode())
            self._flush()

    async def next(self, seconds: float | None = None) -> Element | None:
        """
        The next element, or None if there is none in time.

        @raise Gone: there will be none.
        """
        while not self._arrived:
            if self.lost:
                raise Gone
            self._news.clear()
            try:
                await asyncio.wait_for(self._news.wait(), seconds)
            except TimeoutError:
                return None
        return self._arrived.popleft()

    async def expect(self, *names: str) -> Element:
        """
        The next element with one of these names; others are C{skipped}.

        @raise Gone: there will be none, or it takes too long.
        """
        while True:
            element = await self.next(PATIENCE)
            if element is None:
                self.cut()
                raise Gone("nothing came")
            if element.tag in names:
                return element
            self.skipped.append(element)

    async def ask(self, id: str, type: str, payload: str) -> Element:
        """
        Ask the server, and take its answer.

        @raise Refused: an error.
        """
        self.send(f"<iq type='{type}' id='{id}'>{payload}</iq>")
        while True:
            answer = await self.expect(CLIENT + "iq")
            if answer.get("id") == id:
                break
        if answer.get("type") != "result":
            raise Refused(condition(answer))
        return answer

    async def login(self, user: str, password: str) -> Element:
        """
        Log in up to the second stream header.

        @return: the features.
        """
        self.open()
        await self.expect(STREAMS + "features")
        token = base64.b64encode(f"\0{user}\0{password}".encode()).decode()
        self.send(f"<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>{token}</auth>")
        sasl = "{urn:ietf:params:xml:ns:xmpp-sasl}"
        answer = await self.expect(sasl + "success", sasl + "failure")
        if answer.tag.endswith("failure"):
            raise Refused(f"login: {answer[0].tag}")
        self.open()
        return await self.expect(STREAMS + "features")

    async def bind(self, resource: str) -> None:
        """Bind a resource."""
        wanted = f"<bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><resource>{resource}</resource></bind>"
        await self.ask("bind", "set", wanted)

    def stopReading(self) -> None:
        """Let the kernel keep what comes, as far as it can."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.pause_reading()

    def goOnReading(self) -> None:
        """Read again."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.resume_reading()

    def cut(self) -> None:
        """Drop the connection without a word."""
        self.lost = True
        if self._transport is not None:
            self._transport.abort()

    def close(self) -> None:
        """End the stream properly."""
        self.send("</stream:stream>")


def condition(stanza: Element) -> str:
    """The condition of an error stanza."""
    for error in stanza.iter(CLIENT + "error"):
        for child in error:
            if child.tag.startswith("{urn:ietf:params:xml:ns:xmpp-stanzas}"):
                return f"{error.get('type')}/{child.tag.partition('}')[2]}"
    return "?"


async def register(port: int, user: str, password: str) -> None:
    """Make an account (XEP-0077)."""
    wire = await Wire.connect(port)
    wire.open()
    await wire.expect(STREAMS + "features")
    fields = f"<username>{user}</username><password>{password}</password>"
    try:
        await wire.ask("register", "set", f"<query xmlns='jabber:iq:register'>{fields}</query>")
    finally:
        wire.cut()
