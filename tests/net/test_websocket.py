"""Tests of L{xmppd.net.websocket}, with the whole server around it: RFC 7395 and RFC 6455 as a client sees them."""

from __future__ import annotations

from typing import Any

from tests.marks import spec
from tests.server import DOMAIN, MemoryServer, ServerCase, auth, split
from tests.web import ACCEPT, KEY, TOLD, WebSocketClient, connectWeb, masked, upgrade, webServer
from xmppd.net.c2s import CLOSING_SECONDS
from xmppd.net.websocket import PING_SECONDS, acceptance, tokens
from xmppd.wire import ns

MECHANISMS = f"{{{ns.SASL}}}mechanisms"
MORE = '[web]\norigins = ["https://chat.example.org"]\n'


class WebSocketCase(ServerCase):
    """A server with C{listen.http}, and clients that come through a reverse proxy with TLS."""

    def serveWeb(self, **named: Any) -> MemoryServer:
        """Start it."""
        return self.serve(**webServer(**named))

    def connected(self, server: MemoryServer | None = None, **changes: str | None) -> WebSocketClient:
        """A client with a WebSocket."""
        client = connectWeb(server or self.serveWeb()).upgrade(**changes)
        self.assertEqual(client.status, 101)
        return client

    def romeo(self, server: MemoryServer | None = None) -> WebSocketClient:
        """One that has logged in."""
        client = self.connected(server)
        client.login("romeo", "balcony")
        return client


class HandshakeTests(WebSocketCase):
    """The beginning."""

    def test_helpers(self) -> None:
        """RFC 6455's own example; keys that are none."""
        self.assertEqual(acceptance(KEY), ACCEPT)
        for key in ("", "x", "AAAA", KEY + "=", KEY + "," + KEY, "\u00e9" * 24):
            self.assertIsNone(acceptance(key))
        self.assertEqual(tokens("keep-alive, Upgrade"), {"keep-alive", "upgrade"})

    @spec("RFC 6455", "4.2.2")
    @spec("RFC 7395", "3.1")
    def test_upgrade(self) -> None:
        """A good request: the subprotocol is answered, compression isn't, nor anything a page would need."""
        client = self.connected(Sec_WebSocket_Extensions="permessage-deflate; client_max_window_bits")
        self.assertEqual(
            client.headers,
            {
                "upgrade": "websocket",
                "connection": "Upgrade",
                "sec-websocket-accept": ACCEPT,
                "sec-websocket-protocol": "xmpp",
            },
        )

    def test_single(self) -> None:
        """It may come one octet at a time."""
        client = connectWeb(self.serveWeb())
        client.octets(upgrade(X_Forwarded_Proto="https"), chunk=1)
        self.assertEqual(client.status, 101)

    @spec("RFC 6455", "4.2.1", "4.2.2", "4.4")
    @spec("RFC 7395", "3.1")
    def test_refused(self) -> None:
        """What is no request for a WebSocket that carries XMPP."""
        server = self.serveWeb()
        cases: tuple[tuple[int, dict[str, str | None]], ...] = (
            (426, {"Upgrade": None}),
            (426, {"Upgrade": "h2c"}),
            (426, {"Connection": "close"}),
            (426, {"Sec_WebSocket_Version": "8"}),
            (426, {"Sec_WebSocket_Version": None}),
            (400, {"Sec_WebSocket_Key": "AAAA"}),
            (400, {"Sec_WebSocket_Key": None}),
            (400, {"Sec_WebSocket_Protocol": None}),
            (400, {"Sec_WebSocket_Protocol": "xmpp2, chat"}),
            (400, {"Content_Length": "3"}),
            (403, {"Origin": "https://evil.example"}),
            (403, {"Origin": "null"}),
            (403, {"Origin": f"http://{DOMAIN}"}),
            (403, {"Origin": f"https://{DOMAIN}.evil.example"}),
        )
        for status, changes in cases:
            client = connectWeb(server)
            client.octets(upgrade(**changes))
            self.assertEqual(client.status, status, changes)
        version = connectWeb(server)
        version.octets(upgrade(Sec_WebSocket_Version="99"))
        self.assertEqual(version.headers["sec-websocket-version"], "13")
        self.assertEqual(version.body, b"426 Upgrade Required\n")
        for request, status in (
            (upgrade().replace(b"HTTP/1.1", b"HTTP/1.0"), 400),
            (upgrade().replace(b"GET", b"POST"), 405),
            (upgrade("/xmpp-websocket/x"), 404),
            (upgrade() + masked(1, b"<a/>"), 400),
        ):
            client = connectWeb(server)
            client.octets(request)
            self.assertEqual(client.status, status)

    def test_origins(self) -> None:
        """Pages of the served domains may connect, and what names none is no browser; a list takes their place."""
        server = self.serveWeb()
        self.connected(server, Origin=f"https://{DOMAIN}")
        self.connected(server, Origin=f"https://{DOMAIN}:8443")
        self.connected(server)
        listed = self.serveWeb(more=MORE)
        self.connected(listed, Origin="https://chat.example.org")
        client = connectWeb(listed).upgrade(Origin=f"https://{DOMAIN}")
        self.assertEqual(client.status, 403)

    def test_off(self) -> None:
        """It can be switched off."""
        client = connectWeb(self.serveWeb(more="[web]\nwebsocket = false\n")).upgrade()
        self.assertEqual(client.status, 404)

    def test_counted(self) -> None:
        """Connections count for the client's address, as the proxy tells it, as long as they last."""
        server = self.serveWeb(config="connections_per_address = 2")
        clients = [self.connected(server) for _ in range(2)]
        refused = connectWeb(server).upgrade()
        self.assertEqual(refused.status, 503)
        self.connected(server, X_Forwarded_For="198.51.100.2")
        clients[0].cut()
        self.connected(server)
        self.assertEqual(connectWeb(server).upgrade().status, 503)
        for client in server.clients:
            client.cut()
        self.assertEqual(server.server.admission.connections, 0)
        self.assertEqual(server.server.connections, set())
        self.assertEqual(server.server.others, set())


class StreamTests(WebSocketCase):
    """The stream in it."""

    @spec("RFC 7395", "3.4", "3.3.2", "3.9")
    def test_open(self) -> None:
        """A header is answered by one, and features that offer no TLS."""
        client = self.connected()
        features = client.open(attributes="xml:lang='de'")
        assert features is not None and client.header is not None
        self.assertEqual((client.header["from"], client.header["version"]), (DOMAIN, "1.0"))
        self.assertGreaterEqual(len(client.header["id"]), 22)
        self.assertIsNone(features.find(f"{{{ns.TLS}}}starttls"))
        self.assertIsNotNone(features.find(MECHANISMS))
        self.assertIn(b" xmlns:stream='http://etherx.jabber.org/streams'>", client.messages[1])

    @spec("RFC 7395", "3.7")
    def test_login(self) -> None:
        """Login, a new header without an end before it, binding."""
        client = self.romeo()
        self.assertEqual(client.jid, f"romeo@{DOMAIN}/balcony")
        self.assertEqual(len([each for each in client.messages if each.startswith(b"<open ")]), 2)
        self.assertEqual([each for each in client.messages if each.startswith(b"<close ")], [])

    def test_pipelined(self) -> None:
        """The new header may come together with the last step of the login: it isn't read before its time."""
        server = self.serveWeb()
        client = self.connected(server)
        client.open()
        server.threads.holding = True
        opened = f"<open xmlns='{ns.FRAMING}' to='{DOMAIN}' version='1.0'/>".encode()
        client.octets(masked(1, auth("PLAIN", b"\0romeo\0romeo").encode()) + masked(1, opened))
        self.assertEqual(client.take(), [])
        server.threads.holding = False
        server.threads.proceed()
        success, features = client.take()
        self.assertSuccess(success)
        self.assertIsNotNone(features.find(f"{{{ns.BIND}}}bind"))

    def test_startTLS(self) -> None:
        """TLS can't be begun inside."""
        client = self.connected()
        client.open()
        client.send(f"<starttls xmlns='{ns.TLS}'/>")
        self.assertClosed(client, "not-authorized")

    @spec("RFC 7395", "3.3.3")
    def test_messages(self) -> None:
        """Stanzas from TCP have their namespace declared, those to TCP arrive there."""
        server = self.serveWeb(requireTLS=False)
        romeo = self.romeo(server).available()
        juliet = server.login("juliet", "chamber", available=True)
        juliet.send(f"<message to='{romeo.jid}' id='1'><body>Hail to &gt; thee</body></message>")
        message = romeo.one()
        self.assertEqual(split(message.tag), (ns.CLIENT, "message"))
        self.assertTrue(romeo.messages[-1].startswith(b"<message xmlns='jabber:client' "))
        romeo.send(f"<message to='{juliet.jid}'><body>A</body></message>")
        self.assertEqual(juliet.one().get("from"), romeo.jid)

    @spec("RFC 7395", "3.6")
    def test_close(self) -> None:
        """The end of the stream is answered, and the WebSocket ends after it."""
        client = self.romeo()
        client.send(f"<close xmlns='{ns.FRAMING}'/>")
        client.server.pump()
        self.assertTrue(client.streamClosed)
        self.assertEqual((client.code, client.closed), (1000, True))

    @spec("RFC 7395", "3.5")
    def test_errors(self) -> None:
        """An error is a message of its own, after the header, and before the end."""
        for to, condition in (("elsewhere.example", "host-unknown"), (None, "improper-addressing")):
            client = self.connected()
            client.open(to, features=False)
            self.assertEqual([each[:5] for each in client.messages], [b"<open", b"<stre", b"<clos"])
            self.assertClosed(client, condition)
            self.assertTrue(client.closed)

    @spec("RFC 7395", "3.3.2")
    def test_namespaces(self) -> None:
        """A header in another namespace."""
        for header in ("<open to='example.org'/>", f"<stream:stream xmlns:stream='{ns.STREAMS}' to='{DOMAIN}'>"):
            client = self.connected()
            client.send(header)
            self.assertClosed(client, "invalid-namespace")

    @spec("RFC 7395", "3.4")
    def test_first(self) -> None:
        """Something else than a header comes first."""
        client = self.connected()
        client.send("<message/>")
        self.assertClosed(client, "bad-format")

    @spec("RFC 7395", "3.6.1")
    def test_seeOther(self) -> None:
        """Clients can be sent elsewhere."""
        client = self.connected(self.serveWeb(more='[web]\nsee_other = "wss://b.example/x"'))
        client.open(features=False)
        self.assertEqual(client.closing, {"see-other-uri": "wss://b.example/x"})
        self.assertEqual(len(client.messages), 1)
        self.assertEqual(client.code, 1000)

    def test_shutdown(self) -> None:
        """The server's end is told."""
        server = self.serveWeb()
        client = self.romeo(server)
        server.stop()
        self.assertEqual(client.streamError(), "system-shutdown")
        self.assertTrue(client.streamClosed and client.closed)

    def test_split(self) -> None:
        """Everything may come one octet at a time, fragmented, with pings in between."""
        client = self.connected()
        client.send(f"<open xmlns='{ns.FRAMING}' to='{DOMAIN}' version='1.0'/>", chunk=1)
        self.assertEqual(len(client.take()), 1)
        login = auth("PLAIN", b"\0romeo\0romeo").encode()
        pieces = [masked(1, login[:5], False), masked(9, b"are you there?"), masked(0, b"", False)]
        for piece in (*pieces, masked(0, login[5:9], False), masked(0, login[9:])):
            client.octets(piece, chunk=1)
        self.assertSuccess(client.one())
        self.assertEqual(client.pongs, [b"are you there?"])


@spec("mission", "T2")
class SecurityOfTransportTests(WebSocketCase):
    """Who may log in."""

    def offered(self, client: WebSocketClient) -> bool:
        """Whether there is a way to log in."""
        features = client.open()
        assert features is not None
        return features.find(MECHANISMS) is not None

    def test_clear(self) -> None:
        """Without encryption on the client's side nobody logs in."""
        server = self.serveWeb()
        for changes in ({"X_Forwarded_Proto": None}, {"X_Forwarded_Proto": "http"}, {"X_Forwarded_Proto": "https, http"}):
            client = self.connected(server, **changes)  # type: ignore[arg-type]
            self.assertFalse(self.offered(client), changes)
            self.assertFailure(client.plain("romeo"), "encryption-required")

    def test_stranger(self) -> None:
        """Who isn't listed can claim what it likes."""
        client = connectWeb(self.serveWeb(), address="192.0.2.66").upgrade()
        self.assertEqual(client.status, 101)
        self.assertFalse(self.offered(client))
        (connection,) = client.server.server.connections
        self.assertEqual(connection.address, "192.0.2.66")

    def test_proxy(self) -> None:
        """A listed proxy is believed, and the address it tells is the client's."""
        client = self.connected()
        self.assertTrue(self.offered(client))
        (connection,) = client.server.server.connections
        self.assertEqual(connection.address, TOLD)

    def test_loopback(self) -> None:
        """With no proxy on this machine what comes from it has not left it."""
        server = self.serveWeb(more='[web]\nproxies = ["10.0.0.1"]')
        client = connectWeb(server).upgrade(X_Forwarded_For="192.0.2.1", X_Forwarded_Proto="http")
        self.assertTrue(self.offered(client))
        (connection,) = server.server.connections
        self.assertEqual(connection.address, "127.0.0.1")

    def test_allowed(self) -> None:
        """An administrator may allow it."""
        server = self.serveWeb(requireTLS=False)
        client = connectWeb(server, address="192.0.2.66").upgrade()
        self.assertTrue(self.offered(client))


class DirectTests(WebSocketCase):
    """C{listen.https}, with TLS of our own."""

    def secure(self, address: str = "192.0.2.1", more: str = "", **changes: str | None) -> WebSocketClient:
        """A client with TLS and a WebSocket."""
        server = self.serve(tls=True, listen='https = ["tcp:5443"]', more=more)
        client = connectWeb(server, 5443, address)
        client.shakeHands(alpn=[b"http/1.1"])
        client.upgrade(**changes)
        self.assertEqual(client.status, 101)
        return client

    def mechanisms(self, client: WebSocketClient) -> list[str | None]:
        """What is offered."""
        features = client.open()
        assert features is not None
        return [each.text for each in features.iterfind(f"{MECHANISMS}/{{{ns.SASL}}}mechanism")]

    @spec("mission", "T16")
    def test_binding(self) -> None:
        """A client that is no browser can bind its login to the TLS connection."""
        client = self.secure()
        self.assertIn("SCRAM-SHA-256-PLUS", self.mechanisms(client))
        assert client.tls is not None
        data = client.tls.export_keying_material(b"EXPORTER-Channel-Binding", 32, b"")
        self.assertSuccess(client.scram("romeo", mechanism="SCRAM-SHA-256-PLUS", binding=("tls-exporter", data)))
        client.open()
        client.bind("x")

    def test_browser(self) -> None:
        """A browser lets no page see it, and a proxy has another connection than the client."""
        self.assertNotIn("SCRAM-SHA-256-PLUS", self.mechanisms(self.secure(Origin=f"https://{DOMAIN}")))
        proxied = self.mechanisms(self.secure(address="127.0.0.1"))
        self.assertIn("SCRAM-SHA-256", proxied)
        self.assertNotIn("SCRAM-SHA-256-PLUS", proxied)

    def test_end(self) -> None:
        """The end over TLS."""
        client = self.secure()
        client.login("romeo", "x")
        client.send(f"<close xmlns='{ns.FRAMING}'/>")
        client.server.pump()
        self.assertEqual((client.streamClosed, client.code), (True, 1000))
        client.server.advance(CLOSING_SECONDS)
        self.assertTrue(client.closed)

    def test_much(self) -> None:
        """Much goes both ways."""
        client = self.secure()
        client.login("romeo", "x")
        body = "x" * 100_000
        client.send(f"<message to='{client.jid}'><body>{body}</body></message>")
        self.assertEqual(client.one().findtext(f"{{{ns.CLIENT}}}body"), body)
        (connection,) = client.server.server.connections
        self.assertEqual(connection.unsent(), 0)


class KeepAliveTests(WebSocketCase):
    """Whether the client is there."""

    @spec("RFC 7395", "3.8")
    def test_ping(self) -> None:
        """A silent client is pinged, and stays if it answers."""
        client = self.romeo()
        client.server.advance(PING_SECONDS * 10 + 1)
        self.assertGreaterEqual(client.pings, 9)
        self.assertFalse(client.closed)

    def test_gone(self) -> None:
        """One that doesn't answer is given up."""
        client = self.romeo()
        client.polite = False
        client.server.advance(PING_SECONDS * 2 + 1)
        self.assertTrue(client.closed)


class FeatureTests(WebSocketCase):
    """What is there over TCP is there."""

    def test_carbons(self) -> None:
        """Carbons of what another client gets and sends (XEP-0280); what is forwarded can be read by itself."""
        server = self.serveWeb(requireTLS=False)
        web = self.romeo(server).available()
        web.ask("<iq type='set' id='c'><enable xmlns='urn:xmpp:carbons:2'/></iq>")
        tcp = server.login("romeo", "tower", available=True)
        web.take()
        juliet = server.login("juliet", "chamber", available=True)
        juliet.send(f"<message to='{tcp.jid}' type='chat'><body>A</body></message>")
        tcp.send(f"<message to='{juliet.jid}' type='chat'><body>B</body></message>")
        kinds = [split(each[0].tag)[1] for each in web.take()]
        self.assertEqual(kinds, ["received", "sent"])
        self.assertIn(b"<message xmlns='jabber:client'", web.messages[-1])

    def test_inactive(self) -> None:
        """A client that says it is inactive is spared what can wait (XEP-0352)."""
        server = self.serveWeb(requireTLS=False)
        web = self.romeo(server).available()
        juliet = server.login("juliet", "chamber")
        web.send("<inactive xmlns='urn:xmpp:csi:0'/>")
        state = "<composing xmlns='http://jabber.org/protocol/chatstates'/>"
        juliet.send(f"<message to='{web.jid}' type='chat'>{state}</message>")
        self.assertEqual(web.take(), [])
        juliet.send(f"<message to='{web.jid}' type='chat'><body>A</body></message>")
        self.assertIn("A", [each.findtext(f"{{{ns.CLIENT}}}body") for each in web.take()])

    def test_together(self) -> None:
        """What is written in one turn leaves together."""
        server = self.serveWeb(requireTLS=False)
        web = self.romeo(server).available()
        writes: list[int] = []
        arrived = web.arrived
        web.arrived = lambda data: (writes.append(len(data)), arrived(data))[1]  # type: ignore[method-assign]
        juliet = server.login("juliet", "chamber")
        juliet.send(f"<message to='{web.jid}'/>" * 50)
        self.assertEqual((len(web.take()), len(writes)), (50, 1))

    def test_streams(self) -> None:
        """The administrator sees it among the others, by the client's address."""
        client = self.romeo()
        (connection,) = client.server.server.connections
        self.assertEqual((connection.address, connection.stream.session.full), (TOLD, client.jid))


class EndTests(WebSocketCase):
    """Ends of WebSockets."""

    @spec("RFC 6455", "5.5.1", "7.1.1")
    def test_closeFrame(self) -> None:
        """The client ends the WebSocket: that is answered, and the session is over."""
        client = self.romeo()
        client.end(1001)
        self.assertEqual((client.code, client.closed), (1001, True))
        self.assertEqual(client.server.host.sessions, {})

    @spec("RFC 7395", "3.6", "3.10")
    def test_resumed(self) -> None:
        """With stream management it can be resumed, and over TCP too; nothing is lost."""
        server = self.serveWeb(requireTLS=False)
        romeo = self.romeo(server).available()
        enabled = romeo.ask("<enable xmlns='urn:xmpp:sm:3' resume='true'/>")
        romeo.end()
        juliet = server.login("juliet", "chamber")
        juliet.send(f"<message to='{romeo.jid}'><body>lost?</body></message>")
        resume = f"<resume xmlns='urn:xmpp:sm:3' h='0' previd='{enabled.get('id')}'/>"
        tcp = server.connect()
        tcp.open()
        tcp.plain("romeo")
        tcp.open()
        tcp.send(resume)
        names = [split(each.tag)[1] for each in tcp.take()]
        self.assertEqual(names[0], "resumed")
        self.assertIn("message", names)
        tcp.send("<presence/>")
        tcp.cut()
        web = self.connected(server)
        web.open()
        web.plain("romeo")
        web.open()
        web.send(resume)
        self.assertEqual(split(web.take()[0].tag)[1], "resumed")

    def test_silentEnd(self) -> None:
        """A client that doesn't agree to the end is cut off."""
        client = self.romeo()
        client.polite = False
        client.send(f"<close xmlns='{ns.FRAMING}'/>")
        client.server.pump()
        self.assertFalse(client.closed)
        client.octets(masked(1, b"<message/>"))
        client.server.advance(CLOSING_SECONDS + 1)
        self.assertTrue(client.closed)

    def test_unread(self) -> None:
        """A client that doesn't read is given up, and what it has not read is kept for the next."""
        server = self.serveWeb(config="send_queue_bytes = 65536", requireTLS=False)
        client = self.romeo(server)
        client.transport.capacity = 0
        juliet = server.login("juliet", "chamber")
        for number in range(6):
            juliet.send(f"<message to='{client.jid}'><body>{number} {'x' * 30_000}</body></message>")
        self.assertEqual(list(server.host.sessions), [f"juliet@{DOMAIN}"])
        client.cut()
        again = server.login("romeo", "again")
        again.send("<presence/>")
        bodies = [each.findtext(f"{{{ns.CLIENT}}}body") for each in again.take() if split(each.tag)[1] == "message"]
        self.assertEqual([each[:2] for each in bodies if each], ["3 ", "4 ", "5 "])  # the others were with the system

    @spec("RFC 6121", "8.5.3.2.1")
    def test_later(self) -> None:
        """What comes for a client that was given up is treated as for anybody who isn't there: chats are kept."""
        for web in (True, False):
            server = self.serveWeb(config="send_queue_bytes = 65536", requireTLS=False)
            romeo = self.romeo(server) if web else server.login("romeo", "balcony")
            romeo.transport.capacity = 0
            juliet = server.login("juliet", "chamber")
            for number in range(9):
                body = f"<body>{number} {'x' * 30_000}</body>"
                juliet.send(f"<message type='chat' to='{romeo.jid}'>{body}</message>")
            self.assertEqual(list(server.host.sessions), [f"juliet@{DOMAIN}"])
            self.assertEqual(juliet.take(), [])
            for type in ("normal", "chat", "groupchat", "headline"):
                juliet.send(f"<message type='{type}' id='{type}' to='{romeo.jid}'><body>9 {type}</body></message>")
            refused = juliet.take()
            self.assertEqual([each.get("id") for each in refused], ["normal", "groupchat"])
            self.assertError(refused[0], "service-unavailable")
            again = server.login("romeo", "again")
            again.send("<presence/>")
            bodies = [each.findtext(f"{{{ns.CLIENT}}}body") for each in again.take() if split(each.tag)[1] == "message"]
            self.assertEqual([each[:2] for each in bodies if each], [f"{number} " for number in range(3, 10)])

    def test_cut(self) -> None:
        """A connection that breaks."""
        client = self.romeo()
        client.cut()
        self.assertEqual(client.server.host.sessions, {})
