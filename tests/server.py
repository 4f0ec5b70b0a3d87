"""
The whole server in memory: L{xmppd.tap.Server} on a virtual reactor, and clients that talk to it over wires made of
lists.

Theory of operation
===================

L{VirtualReactor} is a clock. Nothing happens behind the test's back: bytes a client sends are given to the server's
protocol at once, what the server schedules for the end of its turn runs in L{MemoryServer.pump}, and time passes in
L{MemoryServer.advance} only. Derivations of keys run at once too, unless a test holds them back (L{Threads}).

Each call into the server is a turn of the reactor, and is measured: one that takes more than L{LONGEST_TURN} seconds
of processor time fails the test when the server is stopped (L{MemoryServer.stop}, which L{ServerCase} does itself).
Time of this thread on the processor and not time on the wall, so that a busy machine makes no difference.

A L{TestClient} reads what it gets with ElementTree, element by element, and when the server is stopped the whole of
each stream is read again with lxml: two parsers that are not the server's agree that it was well-formed.
"""

from __future__ import annotations

import atexit
import gc
import hashlib
import hmac
import itertools
import secrets
import shutil
import tempfile
import time
import xml.etree.ElementTree as ET
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from lxml import etree
from OpenSSL import SSL
from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred, maybeDeferred, succeed
from twisted.internet.error import ConnectionAborted, ConnectionDone, ConnectionLost
from twisted.internet.testing import MemoryReactorClock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from xmppd.config import parse
from xmppd.ixmppd import StoredKeys
from xmppd.sasl.keys import deriveKeys
from xmppd.store.memory import MemoryStore
from xmppd.tap import Server
from xmppd.trust.selfsigned import makeCertificates
from xmppd.wire import ns

DOMAIN = "example.org"

START = 1_000_000_000.0
"""When virtual time begins, in seconds since the epoch: in 2001."""

LONGEST_TURN = 0.1
"""How many seconds of processor time one turn of the reactor may take."""

HIGH_WATER = 65536
"""From how many waiting bytes on a transport tells its producer to pause, as Twisted's do."""

STREAM_ERROR = f"{{{ns.STREAMS}}}error"


# --- made once per run --------------------------------------------------------------------------------------------


@cache
def folder() -> Path:
    """A folder for this run of the tests, removed at its end."""
    path = Path(tempfile.mkdtemp(prefix="xmppd-tests-"))
    atexit.register(shutil.rmtree, path, ignore_errors=True)
    return path


@cache
def certificates() -> Path:
    """The folder with the certificates of C{example.org} and C{example.net}; made once per run."""
    path = folder() / "certificates"
    makeCertificates([DOMAIN, "example.net"], path, START)
    return path


@cache
def keysFor(password: str, iterations: int = 4096) -> tuple[StoredKeys, ...]:
    """The keys of a password, with few rounds; derived once per run."""
    return tuple(deriveKeys(password, name, b"the salt of tests", iterations) for name in ("sha1", "sha256", "sha512"))


@cache
def saltedPassword(hashName: str, password: str, salt: bytes, iterations: int) -> bytes:
    """What a SCRAM client derives; once per run."""
    return hashlib.pbkdf2_hmac(hashName, password.encode(), salt, iterations)


_folders = itertools.count(1)


# --- time and threads ---------------------------------------------------------------------------------------------


class Watchdog:
    """
    Measures turns of the reactor.

    @ivar longest: seconds of processor time of the longest turn so far, and what it was.
    """

    def __init__(self) -> None:
        self.longest = (0.0, "nothing")

    def run(self, what: str, function: Callable[..., object], *arguments: object, **named: object) -> None:
        """
        Call a function as one turn. Collecting garbage waits: most of it belongs to the tests.
        """
        collecting = gc.isenabled()
        gc.disable()
        begun = time.thread_time()
        try:
            function(*arguments, **named)
        finally:
            self.longest = max(self.longest, (time.thread_time() - begun, what))
            if collecting:
                gc.enable()

    def check(self) -> None:
        """Raise AssertionError if a turn was too long."""
        seconds, what = self.longest
        if seconds > LONGEST_TURN:
            raise AssertionError(f"a turn of the reactor took {seconds * 1000:.0f} ms: {what}")


class VirtualReactor(MemoryReactorClock):
    """A reactor whose time passes when told, one call after the other in their order."""

    def __init__(self, watchdog: Watchdog) -> None:
        super().__init__()
        self.rightNow = START
        self._watchdog = watchdog

    def callFromThread(self, callable: Callable[..., object], *args: object, **kw: object) -> None:
        """A thread's word for the reactor: heard in the next turn."""
        self.callLater(0, callable, *args, **kw)

    def listenTCP(self, *arguments: Any, **named: Any) -> Any:
        """See L{IReactorTCP}; the port says in a Deferred that it is closed, as real ones do."""
        port = super().listenTCP(*arguments, **named)
        port.stopListening = lambda: succeed(None)  # type: ignore[method-assign]
        return port

    def advance(self, amount: float) -> None:
        """Let time pass; whatever is due runs at the moment when it is due."""
        end = self.rightNow + amount
        while self.calls:
            call = min(self.calls, key=lambda each: each.getTime())
            if call.getTime() > end:
                break
            self.rightNow = max(self.rightNow, call.getTime())
            self.calls.remove(call)
            call.called = 1
            self._watchdog.run(f"the call of {call.func}", call.func, *call.args, **call.kw)
        self.rightNow = end


class Threads:
    """
    Stands in for the pool of threads: runs what it is given at once, or later if held back.

    @ivar holding: whether calls wait for L{proceed}.
    @ivar calls: the functions that were called, in order.
    """

    def __init__(self) -> None:
        self.holding = False
        self.calls: list[Callable[..., Any]] = []
        self._waiting: list[tuple[Deferred[None], Deferred[Any]]] = []

    def __call__(self, function: Callable[..., Any], *arguments: Any) -> Deferred[Any]:
        """Call in a thread, as it were."""
        self.calls.append(function)
        if not self.holding:
            return maybeDeferred(function, *arguments)
        gate: Deferred[None] = Deferred()
        result = gate.addCallback(lambda _: function(*arguments))
        self._waiting.append((gate, result))
        return result

    def proceed(self) -> int:
        """Let those run that wait now; answers how many."""
        waiting, self._waiting = self._waiting, []
        for gate, _ in waiting:
            gate.callback(None)
        return len(waiting)


# --- the wire -----------------------------------------------------------------------------------------------------


class MemoryTransport:
    """
    The server's end of a connection; behaves as Twisted's transport for TCP does.

    @ivar dataBuffer: what waits for the client to read.
    @ivar reading: whether the server wants to read.
    @ivar capacity: how many bytes the client's side takes before it takes no more; None: no end.
    """

    def __init__(self, client: TestClient, address: str, port: int) -> None:
        self.connected = 1
        self.disconnecting = False
        self.dataBuffer = b""
        self.offset = 0
        self.reading = True
        self.capacity: int | None = None
        self.noDelay = False
        self._client = client
        self._peer = IPv4Address("TCP", address, port)
        self._producer: Any = None
        self._producerPaused = False
        self._halfClosing = False
        self._halfClosed = False

    def getPeer(self) -> IPv4Address:
        """See L{ITransport}."""
        return self._peer

    def getHost(self) -> IPv4Address:
        """See L{ITransport}."""
        return IPv4Address("TCP", "127.0.0.1", 5222)

    def setTcpNoDelay(self, enabled: bool) -> None:
        """See L{ITCPTransport}."""
        self.noDelay = enabled

    def setTcpKeepAlive(self, enabled: bool) -> None:
        """See L{ITCPTransport}."""

    def writeSomeData(self, data: bytes) -> int:
        """Write what the socket takes; answers how much."""
        taken = len(data) if self.capacity is None else min(len(data), self.capacity)
        if self.capacity is not None:
            self.capacity -= taken
        if taken:
            self._client.arrived(bytes(data[:taken]))
        return taken

    def write(self, data: bytes) -> None:
        """See L{ITransport}."""
        if not self.connected or self._halfClosed or not data:
            return
        self.dataBuffer += data
        self._drain()
        if self._producer is not None and len(self.dataBuffer) > HIGH_WATER and not self._producerPaused:
            self._producerPaused = True
            self._producer.pauseProducing()

    def writeSequence(self, data: Iterable[bytes]) -> None:
        """See L{ITransport}."""
        self.write(b"".join(data))

    def _drain(self) -> None:
        """Write what waits, as far as it goes, and close if that was asked for."""
        if self.dataBuffer:
            sent = self.writeSomeData(self.dataBuffer)
            self.dataBuffer = self.dataBuffer[sent:]
        if self.dataBuffer or not self.connected:
            return
        if self._producer is not None and self._producerPaused:
            self._producerPaused = False
            self._producer.resumeProducing()
        elif self.disconnecting:
            self._client.lost(ConnectionDone())
        elif self._halfClosing:
            self._halfClosing, self._halfClosed = False, True
            self._client.ended()

    def readAgain(self, capacity: int | None = None) -> None:
        """The client reads (that much)."""
        self.capacity = capacity
        self._drain()

    def loseConnection(self) -> None:
        """See L{ITransport}."""
        if self.connected and not self.disconnecting:
            self.disconnecting = True
            self.reading = False
            if not self.dataBuffer:
                self._client.lost(ConnectionDone())

    def loseWriteConnection(self) -> None:
        """See L{IHalfCloseableDescriptor}."""
        if self.connected and not self._halfClosed:
            self._halfClosing = True
            self._drain()

    def abortConnection(self) -> None:
        """See L{ITCPTransport}."""
        if self.connected:
            self.disconnecting = True
            self._client.lost(ConnectionAborted())

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        """See L{IConsumer}."""
        if self._producer is not None:
            raise RuntimeError("there is a producer already")
        self._producer = producer

    def unregisterProducer(self) -> None:
        """See L{IConsumer}."""
        self._producer = None

    def pauseProducing(self) -> None:
        """See L{IPushProducer}."""
        self.reading = False

    def resumeProducing(self) -> None:
        """See L{IPushProducer}."""
        if self.connected and not self.disconnecting:
            self.reading = True
            self._client.pushed()

    def stopProducing(self) -> None:
        """See L{IPushProducer}."""
        self.loseConnection()


class ScramClient:
    """The client's side of one SCRAM exchange (RFC 5802), without mercy: the server has to prove itself."""

    def __init__(
        self,
        mechanism: str,
        username: str,
        password: str,
        binding: tuple[str, bytes] | None = None,
        authzid: str = "",
        flag: str = "n",
    ) -> None:
        self.hashName = mechanism.removeprefix("SCRAM-").removesuffix("-PLUS").replace("-", "").lower()
        self._password = password
        gs2 = f"p={binding[0]}" if binding else flag
        self._header = f"{gs2},{'a=' + authzid if authzid else ''},".encode()
        self._data = binding[1] if binding else b""
        name = username.replace("=", "=3D").replace(",", "=2C")
        self._bare = f"n={name},r={secrets.token_hex(12)}".encode()
        self._signature = b""

    def first(self) -> bytes:
        """The client-first-message."""
        return self._header + self._bare

    def final(self, serverFirst: bytes) -> bytes:
        """The client-final-message."""
        fields = dict(part.split("=", 1) for part in serverFirst.decode().split(","))
        salted = saltedPassword(self.hashName, self._password, b64decode(fields["s"]), int(fields["i"]))
        clientKey = hmac.digest(salted, b"Client Key", self.hashName)
        stored = hashlib.new(self.hashName, clientKey).digest()
        unproved = b"c=" + b64encode(self._header + self._data) + b",r=" + fields["r"].encode()
        message = b",".join((self._bare, serverFirst, unproved))
        signature = hmac.digest(stored, message, self.hashName)
        proof = bytes(a ^ b for a, b in zip(clientKey, signature, strict=True))
        serverKey = hmac.digest(salted, b"Server Key", self.hashName)
        self._signature = hmac.digest(serverKey, message, self.hashName)
        return unproved + b",p=" + b64encode(proof)

    def check(self, serverFinal: bytes) -> None:
        """Raise AssertionError unless the server knows the keys."""
        if serverFinal != b"v=" + b64encode(self._signature):
            raise AssertionError("the server has not proved that it knows the keys")


class TestClient:
    """
    A client in memory. What it sends acts at once; what the server answers is there after C{pump}, which every method
    that sends does.

    @ivar header: the attributes of the server's last stream header, or None.
    @ivar features: the last C{<stream:features/>}.
    @ivar eof: whether the server has ended its side of the connection.
    @ivar closed: whether the connection is gone.
    @ivar streamClosed: whether the server's C{</stream:stream>} has come.
    @ivar stubborn: whether it keeps its side open when the server has ended its own.
    @ivar tls: its side of TLS, or None.
    @ivar tlsError: with what TLS has failed, or None.
    @ivar jid: the full JID it has bound.
    """

    __test__ = False

    _ports = itertools.count(40000)

    def __init__(self, server: MemoryServer, factory: Any, address: str = "192.0.2.1") -> None:
        self.server = server
        self.header: dict[str, str] | None = None
        self.features: ET.Element | None = None
        self.eof = False
        self.closed = False
        self.streamClosed = False
        self.stubborn = False
        self.tls: SSL.Connection | None = None
        self.tlsError: SSL.Error | None = None
        self.jid: str = ""
        self.raw = b""
        self._streams: list[bytes] = [b""]
        self._held: list[bytes] = []
        self._elements: list[ET.Element] = []
        self._parser = self._newParser()
        self._depth = 0
        self.transport = MemoryTransport(self, address, next(self._ports))
        self.protocol = factory.buildProtocol(self.transport.getPeer())
        self._turn("a connection", self._connect)
        server.pump()

    def _connect(self) -> None:
        self.protocol.makeConnection(self.transport)

    def _turn(self, what: str, function: Callable[..., object], *arguments: object) -> None:
        self.server.watchdog.run(what, function, *arguments)

    # --- bytes

    def send(self, data: bytes | str, chunk: int | None = None) -> None:
        """
        Send bytes, and give the server time to answer.

        @param chunk: cut them into pieces of that many bytes, each read by the server in a turn of its own.
        """
        if isinstance(data, str):
            data = data.encode()
        for piece in [data] if chunk is None else [data[at : at + chunk] for at in range(0, len(data), chunk)]:
            if self.tls is not None:
                self._encrypt(piece)
            else:
                self.deliver(piece)
        self.server.pump()

    def _encrypt(self, data: bytes) -> None:
        assert self.tls is not None
        for at in range(0, len(data), 16384):
            self.tls.send(data[at : at + 16384])
            self._flushTLS()

    def _flushTLS(self) -> None:
        """Send what TLS wants to say."""
        assert self.tls is not None
        try:
            while True:
                self.deliver(self.tls.bio_read(65536))
        except SSL.WantReadError:
            return

    def deliver(self, data: bytes) -> None:
        """Bytes on the wire. A server that has paused reading gets them when it goes on."""
        if self.closed:
            return
        if self._held or not self.transport.reading:
            if self.transport.connected and not self.transport.disconnecting:
                self._held.append(data)
            return
        for at in range(0, len(data), 65536):
            if self.closed or self.transport.disconnecting:
                return
            piece = data[at : at + 65536]
            if not self.transport.reading:
                self._held.append(data[at:])
                return
            self._turn(f"{len(piece)} bytes that begin with {piece[:60]!r}", self.protocol.dataReceived, piece)

    def pushed(self) -> None:
        """The server reads again."""
        if self._held:
            self.server.reactor.callLater(0, self._release)

    def _release(self) -> None:
        held, self._held = self._held, []
        for piece in held:
            self.deliver(piece)

    def arrived(self, data: bytes) -> None:
        """Bytes from the server."""
        if self.tls is None:
            self._plain(data)
            return
        self.tls.bio_write(data)
        try:
            while True:
                self._plain(self.tls.recv(65536))
        except (SSL.WantReadError, SSL.ZeroReturnError):
            pass
        except SSL.Error as error:
            self.tlsError = error

    def _newParser(self) -> ET.XMLPullParser:
        return ET.XMLPullParser(["start", "end"])

    def _plain(self, data: bytes) -> None:
        self.raw += data
        first, *others = data.split(b"<?xml ")  # which nothing but a new stream can begin with
        self._feed(first)
        for other in others:
            self._parser, self._depth, self.header, self.streamClosed = self._newParser(), 0, None, False
            self._streams.append(b"")
            self._feed(b"<?xml " + other)

    def _feed(self, data: bytes) -> None:
        """Bytes of one stream."""
        self._streams[-1] += data
        self._parser.feed(data)
        for kind, element in self._parser.read_events():
            if kind == "start":
                self._depth += 1
                if self._depth == 1:
                    self.header = dict(element.attrib)
                    self._root = element
            else:
                self._depth -= 1
                if self._depth == 0:
                    self.streamClosed = True
                elif self._depth == 1:
                    self._root.remove(element)
                    self._elements.append(element)

    # --- the end

    def ended(self) -> None:
        """The server has ended its side."""
        self.eof = True
        if not self.stubborn:
            self.server.reactor.callLater(0, self.disconnect)

    def lost(self, reason: Exception) -> None:
        """The connection is gone, by the server."""
        self.eof = True
        self.server.reactor.callLater(0, self._gone, reason)

    def _gone(self, reason: Exception) -> None:
        if not self.closed:
            self.closed = self.eof = True
            self.transport.connected = 0
            self._turn("the end of a connection", self.protocol.connectionLost, Failure(reason))

    def disconnect(self) -> None:
        """End the connection."""
        self._gone(ConnectionDone())
        self.server.pump()

    def cut(self) -> None:
        """Lose the connection without a word."""
        self._gone(ConnectionLost())
        self.server.pump()

    # --- elements

    def take(self) -> list[ET.Element]:
        """The elements that have come since the last time."""
        self.server.pump()
        taken, self._elements = self._elements, []
        return taken

    def one(self) -> ET.Element:
        """The one element that has come."""
        taken = self.take()
        if len(taken) != 1:
            raise AssertionError(f"{len(taken)} elements in place of one: {[show(each) for each in taken]}")
        return taken[0]

    def ask(self, data: bytes | str) -> ET.Element:
        """Send, and take the one answer."""
        self.send(data)
        return self.one()

    def streamError(self) -> str | None:
        """The condition of the stream error among what has come, or None; takes everything."""
        for element in self.take():
            if element.tag == STREAM_ERROR:
                return split(element[0].tag)[1]
        return None

    def wellFormed(self) -> None:
        """Raise AssertionError if lxml can't read what came."""
        for stream in self._streams:
            if not stream.strip():
                continue
            whole = stream if b"</stream:stream>" in stream else stream + b"</stream:stream>"
            try:
                etree.fromstring(whole, etree.XMLParser(resolve_entities=False, huge_tree=True))
            except etree.XMLSyntaxError as error:
                if self.transport.capacity is None:
                    raise AssertionError(f"the server sent what lxml can't read: {error}\n{stream[-2000:]!r}") from None

    # --- the negotiation

    def open(self, to: str | None = DOMAIN, attributes: str = "", features: bool = True) -> ET.Element | None:
        """Open a stream, or open it again; answers the features if they are to be waited for."""
        self.send(streamHeader(to, attributes))
        if not features:
            return None
        self.features = self.one()
        return self.features

    def startTLS(self, name: bytes = DOMAIN.encode(), context: SSL.Context | None = None) -> None:
        """STARTTLS, as far as the end of the handshake."""
        answer = self.ask(f"<starttls xmlns='{ns.TLS}'/>")
        if split(answer.tag) != (ns.TLS, "proceed"):
            raise AssertionError(f"no TLS: {show(answer)}")
        self.shakeHands(name, context)

    def shakeHands(
        self, name: bytes | None = DOMAIN.encode(), context: SSL.Context | None = None, alpn: Sequence[bytes] = ()
    ) -> None:
        """The handshake of TLS, as client."""
        self.tls = SSL.Connection(context or SSL.Context(SSL.TLS_CLIENT_METHOD))
        if name is not None:
            self.tls.set_tlsext_host_name(name)
        if alpn:
            self.tls.set_alpn_protos(list(alpn))
        self.tls.set_connect_state()
        for _ in range(10):
            try:
                self.tls.do_handshake()
            except SSL.WantReadError:
                self._flushTLS()
                self.server.pump()
            else:
                self._flushTLS()
                self.server.pump()
                return
        raise AssertionError("the handshake doesn't come to an end")

    def plain(self, username: str, password: str | None = None, authzid: str = "") -> ET.Element:
        """SASL PLAIN; answers what the server answers."""
        message = f"{authzid}\0{username}\0{username if password is None else password}".encode()
        return self.ask(auth("PLAIN", message))

    def scram(
        self,
        username: str,
        password: str | None = None,
        mechanism: str = "SCRAM-SHA-256",
        binding: tuple[str, bytes] | None = None,
        authzid: str = "",
        flag: str = "n",
    ) -> ET.Element:
        """SASL SCRAM; answers what the server answers in the end."""
        exchange = ScramClient(mechanism, username, username if password is None else password, binding, authzid, flag)
        challenge = self.ask(auth(mechanism, exchange.first()))
        if split(challenge.tag)[1] != "challenge":
            return challenge
        answer = self.ask(response(exchange.final(b64decode(challenge.text or ""))))
        if split(answer.tag)[1] == "success":
            exchange.check(b64decode(answer.text or ""))
        return answer

    def anonymous(self, trace: str | None = None) -> ET.Element:
        """SASL ANONYMOUS; answers what the server answers."""
        return self.ask(auth("ANONYMOUS", None if trace is None else trace.encode()))

    def bind(self, resource: str | None = None) -> str:
        """Bind a resource; answers the full JID."""
        wanted = "" if resource is None else f"<resource>{resource}</resource>"
        answer = self.ask(f"<iq type='set' id='bind'><bind xmlns='{ns.BIND}'>{wanted}</bind></iq>")
        jid = answer.findtext(f"{{{ns.BIND}}}bind/{{{ns.BIND}}}jid")
        if answer.get("type") != "result" or not jid:
            raise AssertionError(f"nothing bound: {show(answer)}")
        self.jid = jid
        return jid

    def login(
        self, username: str | None, resource: str | None = None, password: str | None = None, to: str = DOMAIN
    ) -> TestClient:
        """All of it: header, TLS if the server wants it, login (C{None}: as a guest), header, binding."""
        features = self.open(to)
        assert features is not None
        if self.tls is None and features.find(f"{{{ns.TLS}}}starttls") is not None and self.server.requireTLS:
            self.startTLS(to.encode())
            self.open(to)
        answer = self.anonymous() if username is None else self.plain(username, password)
        if split(answer.tag)[1] != "success":
            raise AssertionError(f"no login: {show(answer)}")
        self.open(to)
        self.bind(resource)
        return self

    def available(self, priority: int | None = None) -> TestClient:
        """Send initial presence, and forget what comes of it."""
        self.send("<presence/>" if priority is None else f"<presence><priority>{priority}</priority></presence>")
        self.take()
        return self


# --- the server ---------------------------------------------------------------------------------------------------


class MemoryServer:
    """
    A running server.

    @ivar server: its parts.
    @ivar reactor: its time.
    @ivar threads: what stands in for its threads.
    @ivar clients: all clients that have connected.
    """

    def __init__(
        self,
        config: str = "",
        host: str = "",
        tls: bool = False,
        requireTLS: bool | None = None,
        accounts: Sequence[str] = ("romeo", "juliet", "admin"),
        store: Any = None,
        more: str = "",
        iterations: int = 4096,
        listen: str = "",
    ) -> None:
        """
        @param config: lines of C{[limits]}.
        @param host: lines of C{[host."example.org"]}.
        @param tls: whether it has certificates and a listener for direct TLS.
        @param requireTLS: whether clients must use TLS; by default if it has any.
        @param accounts: localparts, with passwords of the same names, at C{example.org}.
        @param store: in place of a new one in memory.
        @param more: further tables.
        @param iterations: PBKDF2 rounds of these accounts; fewer than the server would allow, for speed.
        @param listen: further lines of C{[listen]}.
        """
        self.requireTLS = tls if requireTLS is None else requireTLS
        self.watchdog = Watchdog()
        self.reactor = VirtualReactor(self.watchdog)
        self.threads = Threads()
        self.clients: list[TestClient] = []
        self.store = MemoryStore() if store is None else store
        text = self._configuration(config, host, tls, more, listen)
        self.server = Server(parse(text, str(folder() / "xmppd.toml")), self.reactor, self.store, None, self.threads)
        for name in accounts:
            self.account(name, iterations=iterations)
        self.server.service.startService()
        self.pump()
        failures: list[Failure] = []
        self.server.service.started.addErrback(failures.append)
        if failures:
            failures[0].raiseException()
        if not self.server.service.started.called:
            raise AssertionError("the server has not started")
        self.host = self.server.hosts[DOMAIN]
        self._running = True

    def _configuration(self, limits: str, host: str, tls: bool, more: str, others: str) -> str:
        """The configuration as TOML."""
        listen = [others, 'c2s = ["tcp:5222"]', *(['c2s_tls = ["tcp:5223"]'] if tls else [])]
        section = [f"require_c2s = {str(self.requireTLS).lower()}"]
        if tls:
            section.append(f'certificates = "{certificates()}"')
        plain = "" if "plain_without_tls" in host else "plain_without_tls = true\n"
        admins = "" if "admins" in host else f'admins = ["admin@{DOMAIN}"]\n'
        return "\n".join([
            f'data = "{folder() / f"data{next(_folders)}"}"',
            "[store]", 'url = "memory:"',
            "[listen]", *listen,
            "[tls]", *section,
            "[limits]", limits,
            f'[host."{DOMAIN}"]', plain + admins + host,
            more,
        ])

    def account(self, local: str, password: str | None = None, domain: str = DOMAIN, iterations: int = 4096) -> None:
        """Make an account in the store; its password is its name unless it is given."""
        keys = keysFor(local if password is None else password, iterations)
        self.store.accounts.create(f"{local}@{domain}", keys, self.reactor.seconds())

    def factory(self, port: int = 5222) -> Any:
        """What makes the protocols of a port."""
        return next(each[1] for each in self.reactor.tcpServers if each[0] == port)

    def connect(self, port: int = 5222, address: str = "192.0.2.1") -> TestClient:
        """A client that has only connected."""
        client = TestClient(self, self.factory(port), address)
        self.clients.append(client)
        return client

    def login(self, username: str | None, resource: str | None = None, available: bool = False) -> TestClient:
        """A client that has logged in (C{None}: as a guest) and bound a resource."""
        client = self.connect().login(username, resource)
        return client.available() if available else client

    def pump(self) -> None:
        """Run what is due now: the end of the reactor's turn, and whatever follows from it without time passing."""
        self.reactor.advance(0)

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self.reactor.advance(seconds)

    def stop(self) -> None:
        """Stop it, and check what it has done: no turn was too long, and all it sent was XML."""
        if self._running:
            self._running = False
            stopped = self.server.service.stopService()
            self.advance(30)
            if not stopped.called:
                raise AssertionError("the server has not stopped")
        self.watchdog.check()
        for client in self.clients:
            client.wellFormed()


class ServerCase(SynchronousTestCase):
    """A test case with servers in memory, which are stopped and checked at the end of each test."""

    def serve(self, *arguments: Any, **named: Any) -> MemoryServer:
        """Start a L{MemoryServer}."""
        server = MemoryServer(*arguments, **named)
        self.addCleanup(server.stop)
        return server

    def assertError(self, element: ET.Element, condition: str, type: str | None = None) -> None:
        """It is an error stanza with that condition."""
        self.assertEqual(element.get("type"), "error", show(element))
        error = element.find(f"{{{ns.CLIENT}}}error")
        assert error is not None
        self.assertIn(f"{{{ns.STANZA_ERRORS}}}{condition}", [child.tag for child in error], show(element))
        if type is not None:
            self.assertEqual(error.get("type"), type)

    def assertFailure(self, element: ET.Element, condition: str) -> None:
        """It is a SASL failure with that condition."""
        self.assertEqual(element.tag, f"{{{ns.SASL}}}failure", show(element))
        self.assertEqual(element[0].tag, f"{{{ns.SASL}}}{condition}", show(element))

    def assertSuccess(self, element: ET.Element) -> None:
        """It is a SASL success."""
        self.assertEqual(element.tag, f"{{{ns.SASL}}}success", show(element))

    def assertClosed(self, client: TestClient, *conditions: str) -> None:
        """
        The server has closed the stream with a stream error of one of these conditions (none: without an error) and
        the connection with it.
        """
        found = client.streamError()
        if conditions:
            self.assertIn(found, conditions)
        else:
            self.assertIsNone(found)
        self.assertTrue(client.streamClosed, f"no end of the stream: {client.raw[-300:]!r}")
        self.assertTrue(client.eof, "the connection is still open")


# --- texts --------------------------------------------------------------------------------------------------------


def streamHeader(to: str | None = DOMAIN, attributes: str = "") -> bytes:
    """A client's stream header."""
    target = "" if to is None else f" to='{to}'"
    version = "" if "version=" in attributes else " version='1.0'"
    return (
        f"<?xml version='1.0'?><stream:stream xmlns='{ns.CLIENT}' xmlns:stream='{ns.STREAMS}'{version}{target}"
        f" {attributes}>"
    ).encode()


def auth(mechanism: str, data: bytes | None = None) -> str:
    """An C{<auth/>}; None: without an initial response."""
    text = "" if data is None else b64encode(data).decode() or "="
    return f"<auth xmlns='{ns.SASL}' mechanism='{mechanism}'>{text}</auth>"


def response(data: bytes) -> str:
    """A C{<response/>}."""
    return f"<response xmlns='{ns.SASL}'>{b64encode(data).decode()}</response>"


def split(tag: str) -> tuple[str, str]:
    """Namespace and local name of a tag in ElementTree's notation."""
    namespace, _, local = tag.rpartition("}")
    return namespace.lstrip("{"), local


def show(element: ET.Element) -> str:
    """An element as text, for messages."""
    return ET.tostring(element, encoding="unicode")
