"""
Tests of L{xmppd.stream.bosh} and L{xmppd.net.bosh}, with the whole server around them: XEP-0124 and XEP-0206 as a
client sees them.
"""

from __future__ import annotations

import hashlib
from typing import Any

from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from tests.marks import spec
from tests.server import DOMAIN, MemoryServer, ServerCase, split
from tests.web import TOLD, BoshClient, BoshRequest, webServer
from xmppd.ixmppd import IStreamTransport
from xmppd.net.bosh import Bosh
from xmppd.stream.bosh import ANSWER_BYTES, REPORT_SECONDS, RESENT, BoshSession
from xmppd.stream.boshterms import INACTIVITY, MAX_PAUSE, POLLING, POLLING_INACTIVITY, WAIT, Agreed, number
from xmppd.wire import ns

BODY = f"{{{ns.CLIENT}}}body"
MESSAGE = f"{{{ns.CLIENT}}}message"
FEATURES = f"{{{ns.STREAMS}}}features"


class BoshCase(ServerCase):
    """A server with C{listen.http}."""

    def serveWeb(self, **named: Any) -> MemoryServer:
        """Start it."""
        return self.serve(**webServer(**named))

    def romeo(self, server: MemoryServer | None = None, **attrs: str) -> BoshClient:
        """A client that has logged in."""
        client = BoshClient(server or self.serveWeb())
        client.login("romeo")
        return client

    def resource(self, server: MemoryServer) -> Bosh:
        """All sessions."""
        assert server.server.web is not None
        (bosh,) = server.server.web._mounts["/http-bind"]
        assert isinstance(bosh, Bosh)
        return bosh

    def assertTerminated(self, request: BoshRequest, condition: str | None) -> None:
        """The session has ended with a condition."""
        self.assertEqual(request.root.get("type"), "terminate", request.body)
        self.assertEqual(request.root.get("condition"), condition)

    def assertEmpty(self, request: BoshRequest) -> None:
        """An answer with nothing in it."""
        self.assertEqual((len(request.root), request.root.get("type")), (0, None), request.body)

    def message(self, client: BoshClient, text: str = "x", size: int = 0) -> None:
        """A message to the only client there is, from somebody else."""
        (session,) = client.server.host.sessions[f"romeo@{DOMAIN}"].values()
        body = text + "x" * size
        client.server.host.router.route(
            _message(f"<message from='juliet@{DOMAIN}/c' to='{session.full}'><body>{body}</body></message>")
        )
        client.server.pump()


def _message(text: str) -> Any:
    from xmppd.wire.stanza import fromBytes

    return fromBytes(text.encode())


@spec("XEP-0124", "7.1", "7.2")
@spec("XEP-0206", "3", "4")
class BeginningTests(BoshCase):
    """Sessions begin."""

    def test_terms(self) -> None:
        """The first answer has what both sides keep to, and the features."""
        client = BoshClient(self.serveWeb())
        request = client.begin(ack="1", lang="de", **{"from": f"romeo@{DOMAIN}"})
        self.assertEqual(request.headers["content-type"], "text/xml; charset=utf-8")
        terms = {
            "wait": "60",
            "hold": "1",
            "requests": "2",
            "inactivity": str(INACTIVITY),
            "polling": str(POLLING),
            "maxpause": str(MAX_PAUSE),
            "ver": "1.6",
            "ack": str(client.rid),
            "from": DOMAIN,
            f"{{{ns.XBOSH}}}version": "1.0",
            f"{{{ns.XBOSH}}}restartlogic": "true",
        }
        self.assertEqual({key: value for key, value in client.terms.items() if key not in ("sid", "authid")}, terms)
        self.assertGreaterEqual(len(client.terms["sid"]), 22)
        (features,) = request.root
        self.assertEqual(features.tag, FEATURES)
        self.assertIsNone(features.find(f"{{{ns.TLS}}}starttls"))
        self.assertIsNotNone(features.find(f"{{{ns.SASL}}}mechanisms"))

    def test_bounds(self) -> None:
        """The server grants no more than it wants, and no more than the client wants."""
        client = BoshClient(self.serveWeb())
        client.begin(wait="3600", hold="9", ver="2.0")
        self.assertEqual([client.terms[key] for key in ("wait", "hold", "requests", "ver")], ["60", "2", "3", "1.11"])
        client = BoshClient(client.server)
        client.begin(wait="5", hold="1", ver="1.10")
        self.assertEqual([client.terms[key] for key in ("wait", "hold", "ver")], ["5", "1", "1.10"])

    def test_content(self) -> None:
        """The media type is what the client can take, of those that are harmless."""
        client = BoshClient(self.serveWeb())
        request = client.begin(content="text/html; charset=utf-8")
        self.assertEqual(request.headers["content-type"], "text/html; charset=utf-8")
        self.assertIn("sandbox", request.headers["content-security-policy"])
        other = BoshClient(client.server).begin(content="application/javascript")
        self.assertTerminated(other, "bad-request")

    def test_refused(self) -> None:
        """No session for whom there is none."""
        server = self.serveWeb()
        for attrs, condition in (
            ({"to": ""}, "improper-addressing"),
            ({"to": "elsewhere.example"}, "host-unknown"),
            ({"to": "@"}, "host-unknown"),
            ({"to": f"romeo@{DOMAIN}"}, "host-unknown"),
            ({"wait": "-1"}, "bad-request"),
            ({"hold": "x"}, "bad-request"),
        ):
            self.assertTerminated(BoshClient(server).begin(**attrs), condition)
        for rid in ("0", "x", "-5", str(1 << 53), "9" * 30):
            self.assertTerminated(BoshClient(server).begin(rid=rid), "bad-request")
        self.assertTerminated(BoshClient(server).begin(xmpp_version="0.9"), "remote-stream-error")
        self.assertEqual(self.resource(server).sessions, {})
        self.assertEqual(server.server.admission.connections, len([each for each in server.clients if not each.closed]))

    def test_notBodies(self) -> None:
        """What is no body."""
        client = BoshClient(self.serveWeb())
        for data in (b"", b"x", b"<body/>", b"<!DOCTYPE a>", b"<body rid='1' xmlns='%b'>" % ns.HTTP_BIND.encode()):
            self.assertTerminated(client.send(data), "bad-request")

    def test_single(self) -> None:
        """Requests may come one octet at a time."""
        client = BoshClient(self.serveWeb())
        request = client.post(to=DOMAIN, chunk=1)
        self.assertEqual(request.root[0].tag, FEATURES)

    def test_counted(self) -> None:
        """Sessions count for the client's address, as the proxy tells it, as long as they last."""
        server = self.serveWeb(config="connections_per_address = 2")
        clients = [BoshClient(server) for _ in range(3)]
        conditions = [client.begin().root.get("condition") for client in clients]
        self.assertEqual(conditions, [None, None, "policy-violation"])
        self.assertEqual({each.address for each in server.server.connections}, {TOLD})
        server.advance(INACTIVITY + 1)
        self.assertEqual(server.server.connections, set())
        self.assertIsNone(clients[2].begin().root.get("condition"))


@spec("XEP-0124", "8")
class ExchangeTests(BoshCase):
    """Payloads go both ways."""

    @spec("XEP-0206", "5")
    def test_login(self) -> None:
        """Login, restart, binding."""
        client = BoshClient(self.serveWeb())
        self.assertEqual(client.login("romeo"), f"romeo@{DOMAIN}/web")

    def test_messages(self) -> None:
        """A message waits for a request, or the request for the message."""
        server = self.serveWeb(requireTLS=False)
        client = self.romeo(server)
        juliet = server.login("juliet", "chamber", available=True)
        held = client.post("<presence xmlns='jabber:client'/>")
        self.assertEqual(held.root[0].tag, f"{{{ns.CLIENT}}}presence")
        held = client.post()
        self.assertFalse(held.answered)
        juliet.send(f"<message to='romeo@{DOMAIN}/web'><body>A</body></message>")
        self.assertEqual(held.root.findtext(f"{MESSAGE}/{BODY}"), "A")
        juliet.send(f"<message to='romeo@{DOMAIN}/web'><body>B</body></message>")
        juliet.send(f"<message to='romeo@{DOMAIN}/web'><body>C</body></message>")
        answer = client.post(f"<message to='{juliet.jid}'><body>D</body></message>").root
        self.assertEqual([each.findtext(BODY) for each in answer], ["B", "C"])
        self.assertEqual(juliet.one().findtext(BODY), "D")

    def test_wait(self) -> None:
        """A request is held for as long as was agreed."""
        client = self.romeo()
        held = client.post()
        client.server.advance(WAIT - 1)
        self.assertFalse(held.answered)
        client.server.advance(1)
        self.assertEmpty(held)

    def test_hold(self) -> None:
        """No more requests are held than was agreed; the oldest is answered."""
        client = self.romeo()
        first = client.post()
        client.server.advance(POLLING)
        second = client.post()
        self.assertEmpty(first)
        self.assertFalse(second.answered)

    def test_much(self) -> None:
        """What doesn't fit into one answer goes into the next."""
        client = self.romeo()
        for _ in range(3):
            self.message(client, size=ANSWER_BYTES // 3)
        self.assertEqual(len(client.post().root), 2)
        self.assertEqual(len(client.post().root), 1)

    def test_notFetched(self) -> None:
        """A client that fetches nothing is given up, and what it has not fetched is kept for the next."""
        client = self.romeo(self.serveWeb(config="send_queue_bytes = 65536", requireTLS=False))
        for count in range(3):
            self.message(client, f"{count} ", size=30_000)
        self.assertEqual(client.server.host.sessions, {})
        self.assertTerminated(client.post(), "remote-stream-error")
        again = client.server.login("romeo", "again", available=False)
        again.send("<presence/>")
        bodies = [(each.findtext(BODY) or "")[:2] for each in again.take() if each.tag == MESSAGE]
        self.assertEqual(bodies, ["0 ", "1 ", "2 "])

    def test_waiting(self) -> None:
        """What needs time is waited for, and what is sent meanwhile waits too."""
        client = BoshClient(self.serveWeb())
        client.begin()
        client.server.threads.holding = True
        login = client.post(f"<auth xmlns='{ns.SASL}' mechanism='PLAIN'>AHJvbWVvAHJvbWVv</auth>")
        restart = client.post(xmpp_restart="1", to=DOMAIN)
        self.assertFalse(login.answered or restart.answered)
        client.server.threads.holding = False
        client.server.threads.proceed()
        client.server.pump()
        self.assertEqual([each.tag for each in login.root], [f"{{{ns.SASL}}}success", FEATURES])
        self.assertIsNotNone(login.root[1].find(f"{{{ns.BIND}}}bind"))
        self.assertFalse(restart.answered)

    @spec("XEP-0206", "2", "6")
    def test_streamError(self) -> None:
        """An error of the stream ends the session, after what was left to say."""
        client = self.romeo()
        self.message(client, "last")
        answer = client.post("<unknown xmlns='u'/>")
        self.assertTerminated(answer, "remote-stream-error")
        self.assertEqual([split(each.tag)[1] for each in answer.root], ["message", "error"])
        self.assertEqual(split(answer.root[1][0].tag)[1], "unsupported-stanza-type")
        self.assertTerminated(client.post(), "item-not-found")

    def test_errorWaits(self) -> None:
        """An error that comes while nobody asks is told to the next request."""
        client = self.romeo()
        for session in tuple(client.server.host.sessions[f"romeo@{DOMAIN}"].values()):
            session.end()
        client.server.pump()
        self.assertEqual(len(self.resource(client.server).sessions), 1)
        self.assertTerminated(client.post(), None)
        self.assertEqual(self.resource(client.server).sessions, {})

    def test_shutdown(self) -> None:
        """So is the server's end."""
        client = self.romeo()
        held = client.post()
        client.server.stop()
        self.assertTerminated(held, "remote-stream-error")
        self.assertEqual(split(held.root[0][0].tag)[1], "system-shutdown")

    @spec("XEP-0124", "13")
    def test_terminate(self) -> None:
        """The client ends it: its last payloads are taken, and the oldest request hears of the end."""
        client = self.romeo()
        held = client.post()
        last = client.post("<presence type='unavailable' xmlns='jabber:client'/>", type="terminate")
        self.assertTerminated(held, None)
        self.assertEmpty(last)
        self.assertEqual(client.server.host.sessions, {})
        self.assertEqual(self.resource(client.server).sessions, {})

    def test_resumed(self) -> None:
        """With stream management a lost session is resumed in another."""
        server = self.serveWeb()
        client = self.romeo(server)
        enabled = client.post("<enable xmlns='urn:xmpp:sm:3' resume='true'/>").root[0]
        server.advance(INACTIVITY + 1)
        self.assertEqual(self.resource(server).sessions, {})
        self.message(client, "not lost")
        other = BoshClient(server)
        other.begin()
        other.post(f"<auth xmlns='{ns.SASL}' mechanism='PLAIN'>AHJvbWVvAHJvbWVv</auth>")
        other.post(xmpp_restart="true")
        answer = other.post(f"<resume xmlns='urn:xmpp:sm:3' h='0' previd='{enabled.get('id')}'/>").root
        self.assertEqual([split(each.tag)[1] for each in answer][:2], ["resumed", "message"])


@spec("XEP-0124", "14.2", "14.3")
class OrderTests(BoshCase):
    """Requests that come out of order, twice, or not at all."""

    def test_order(self) -> None:
        """Payloads are taken, and requests answered, in the order of rid."""
        client = self.romeo()
        ping = "<iq id='{}' type='get' to='example.org' xmlns='jabber:client'><ping xmlns='urn:xmpp:ping'/></iq>"
        second = client.post(ping.format("b"), rid=client.rid + 2)
        self.assertFalse(second.answered)
        first = client.post(ping.format("a"))
        self.assertEqual([each.get("id") for each in first.root], ["a", "b"])
        self.assertFalse(second.answered)
        client.rid += 1
        third = client.post(ping.format("c"))
        self.assertEqual([each.get("id") for each in second.root], ["c"])
        self.assertFalse(third.answered)

    def test_window(self) -> None:
        """A rid beyond the window ends the session; as one that is too old, and one that was never sent."""
        for difference in (3, 100, -100, -(1 << 30)):
            client = self.romeo()
            held = client.post()
            request = client.post(rid=client.rid + difference)
            self.assertTerminated(request, "item-not-found")
            self.assertTerminated(held, "item-not-found")
            self.assertEqual(client.server.host.sessions, {})

    def test_answeredAgain(self) -> None:
        """A request that is repeated gets the same answer, and acts only once."""
        server = self.serveWeb(requireTLS=False)
        client = self.romeo(server)
        juliet = server.login("juliet", "chamber", available=True)
        self.message(client, "once")
        payload = f"<message to='{juliet.jid}'><body>only</body></message>"
        first = client.post(payload)
        self.assertEqual(first.root.findtext(f"{MESSAGE}/{BODY}"), "once")
        self.assertEqual(client.post(payload, rid=client.rid).body, first.body)
        self.assertEqual(len(juliet.take()), 1)

    def test_heldAgain(self) -> None:
        """One that is held goes on with the new request; the old one is told."""
        client = self.romeo()
        former = client.post()
        latter = client.post(rid=client.rid)
        self.assertEqual(former.root.get("type"), "error")
        self.assertFalse(latter.answered)
        self.message(client)
        self.assertEqual(latter.root[0].tag, MESSAGE)

    def test_broken(self) -> None:
        """An answer isn't wasted on a connection that is gone."""
        client = self.romeo()
        client.post().cut()
        self.message(client, "kept")
        self.assertEqual(client.post(rid=client.rid).root.findtext(f"{MESSAGE}/{BODY}"), "kept")
        client.post().cut()
        self.message(client, "kept too")
        self.assertEqual(client.post().root.findtext(f"{MESSAGE}/{BODY}"), "kept too")
        self.assertEmpty(client.post(rid=client.rid - 1))

    def test_oftenAgain(self) -> None:
        """Repetitions are bounded."""
        client = self.romeo()
        client.post()
        for _ in range(RESENT):
            self.assertFalse(client.post(rid=client.rid).answered)
        self.assertTerminated(client.post(rid=client.rid), "policy-violation")

    def test_forgotten(self) -> None:
        """No more answers are kept than the client may ask for."""
        client = self.romeo()
        (session,) = self.resource(client.server).sessions.values()
        for _ in range(20):
            self.message(client)
            client.post()
            self.assertLessEqual(len(session._answered), 2)
        self.assertTerminated(client.post(rid=client.rid - 2), "item-not-found")

    @spec("XEP-0124", "9.1")
    def test_acks(self) -> None:
        """An answer tells of later requests that have come already."""
        client = self.romeo()
        first = client.post()
        client.server.advance(POLLING)
        client.post()
        self.assertEqual(first.root.get("ack"), str(client.rid))

    @spec("XEP-0124", "9.2")
    def test_report(self) -> None:
        """A client that acknowledges is told what it seems to have missed, and what has arrived is forgotten."""
        client = BoshClient(self.serveWeb())
        client.begin(ack="1")
        rid = client.rid
        client.post(f"<auth xmlns='{ns.SASL}' mechanism='PLAIN'>AHJvbWVvAHJvbWVv</auth>", ack=str(rid))
        (session,) = self.resource(client.server).sessions.values()
        self.assertEqual(list(session._answered), [rid + 1])
        self.assertGreater(session.unsent(), 0)
        client.server.advance(REPORT_SECONDS + 1)
        late = client.post(ack=str(rid)).root
        self.assertEqual((late.get("report"), late.get("time")), (str(rid + 1), "6000"))
        client.server.advance(POLLING)
        client.post()
        self.assertEqual(session.unsent(), 0)


class TimeTests(BoshCase):
    """Clients that are away, or here too often."""

    @spec("XEP-0124", "10")
    def test_inactivity(self) -> None:
        """Without a request the session ends; a held one keeps it."""
        client = self.romeo()
        client.server.advance(INACTIVITY - 1)
        held = client.post()
        client.server.advance(INACTIVITY + 1)
        self.assertFalse(held.answered)
        held.cut()
        client.server.advance(INACTIVITY + 1)
        self.assertEqual(client.server.host.sessions, {})
        self.assertTerminated(client.post(), "item-not-found")

    @spec("XEP-0124", "10")
    def test_pause(self) -> None:
        """A pause is answered at once, without payloads, and makes patient until the next request."""
        client = self.romeo()
        held = client.post()
        pause = client.post(pause="100")
        self.assertEmpty(held)
        self.assertEmpty(pause)
        self.message(client, "later")
        client.server.advance(99)
        self.assertEqual(client.post().root.findtext(f"{MESSAGE}/{BODY}"), "later")
        client.server.advance(INACTIVITY + 1)
        self.assertTerminated(client.post(), "item-not-found")

    @spec("XEP-0124", "10")
    def test_longPause(self) -> None:
        """No pause is longer than was offered."""
        for pause in (str(MAX_PAUSE + 1), "x", "-1"):
            self.assertTerminated(self.romeo().post(pause=pause), "policy-violation")

    @spec("XEP-0124", "12")
    def test_polling(self) -> None:
        """A client that polls is answered at once, may stay away for longer, and may not ask too often for nothing."""
        for attrs in ({"hold": "0"}, {"wait": "0"}):
            client = BoshClient(self.serveWeb())
            client.begin(**attrs)
            self.assertEqual(client.terms["inactivity"], str(POLLING_INACTIVITY))
            self.assertEqual((client.terms["hold"], client.terms["requests"]), ("0", "1"))
            client.server.advance(POLLING)
            self.assertEmpty(client.post())
            client.server.advance(POLLING)
            self.assertEmpty(client.post())
            client.server.advance(POLLING - 1)
            self.assertTerminated(client.post(), "policy-violation")

    @spec("XEP-0124", "11")
    def test_tooMany(self) -> None:
        """More requests at a time than were agreed."""
        client = BoshClient(self.serveWeb())
        client.begin()
        client.server.threads.holding = True
        client.post(f"<auth xmlns='{ns.SASL}' mechanism='PLAIN'>AHJvbWVvAHJvbWVv</auth>")
        client.post("<a xmlns='u'/>")
        self.assertTerminated(client.post("<a xmlns='u'/>"), "policy-violation")

    @spec("XEP-0124", "11")
    def test_tooFast(self) -> None:
        """Empty requests one after the other."""
        client = self.romeo()
        client.post()
        self.assertTerminated(client.post(), "policy-violation")

    @spec("XEP-0124", "17.1")
    def test_legacy(self) -> None:
        """A client of old hears of it by HTTP."""
        client = BoshClient(self.serveWeb())
        client.begin(ver="")
        self.assertNotIn("ver", client.terms)
        self.assertEqual(client.post(rid=5).status, 404)
        client = BoshClient(client.server)
        client.begin(ver="")
        client.post()
        self.assertEqual(client.post().status, 403)

    def test_slowLogin(self) -> None:
        """A login has its time, as over TCP."""
        client = BoshClient(self.serveWeb(config="unauthenticated_seconds = 40"))
        client.begin()
        client.server.advance(25)
        held = client.post()
        client.server.advance(16)
        self.assertTerminated(held, "remote-stream-error")

    def test_pace(self) -> None:
        """Who sends too much is read more slowly."""
        server = self.serveWeb(config="stanzas_per_second = 10\nburst_stanzas = 20", requireTLS=False)
        client = self.romeo(server)
        juliet = server.login("juliet", "chamber", available=True)
        payload = f"<message to='{juliet.jid}'/>"
        client.post(payload * 50)
        client.post(payload * 50)
        self.assertEqual(len(juliet.take()), 50)
        server.advance(20)
        self.assertEqual(len(juliet.take()), 50)


@spec("XEP-0124", "15")
class KeyTests(BoshCase):
    """Key sequences."""

    def keys(self, seed: str, count: int = 5) -> list[str]:
        """Keys, the first one first."""
        found = [seed]
        for _ in range(count):
            found.append(hashlib.sha1(found[-1].encode()).hexdigest())
        return found[:0:-1]

    def test_sequence(self) -> None:
        """A session goes on with its keys, and with those of another sequence."""
        first, second = self.keys("a"), self.keys("b")
        client = BoshClient(self.serveWeb())
        client.begin(newkey=first[0].upper())
        client.post(key=first[1])
        client.server.advance(POLLING)
        client.post(key=first[2], newkey=second[0])
        client.server.advance(POLLING)
        held = client.post(key=second[1])
        self.assertFalse(held.answered)
        client.server.advance(POLLING)
        self.assertTerminated(client.post(key=first[3]), "item-not-found")

    def test_without(self) -> None:
        """Without the right key nothing acts, nor is anything repeated."""
        for key in (None, "", "x", "\u00e9"):
            client = BoshClient(self.serveWeb())
            client.begin(newkey=self.keys("a")[0])
            attrs = {} if key is None else {"key": key}
            self.assertTerminated(client.post(**attrs), "item-not-found")
        keys = self.keys("a")
        client = BoshClient(self.serveWeb())
        client.begin(newkey=keys[0])
        client.post(key=keys[1])
        self.assertTerminated(client.post(rid=client.rid, key=keys[2]), "item-not-found")


class WebTests(BoshCase):
    """What browsers and strangers are told."""

    def test_cors(self) -> None:
        """Pages that may are told so, and others nothing."""
        client = BoshClient(self.serveWeb())
        own = f"Origin: https://{DOMAIN}\r\n"
        preflight = client.send(b"", own, "OPTIONS")
        self.assertEqual(preflight.status, 204)
        self.assertEqual(preflight.headers["access-control-allow-origin"], f"https://{DOMAIN}")
        self.assertEqual(preflight.headers["access-control-allow-methods"], "POST, OPTIONS")
        self.assertEqual(preflight.headers["access-control-allow-headers"], "Content-Type")
        client.headers += own
        answer = client.begin()
        self.assertEqual(answer.headers["access-control-allow-origin"], f"https://{DOMAIN}")
        self.assertEqual(answer.headers["vary"], "Origin")
        for method in ("OPTIONS", "POST"):
            evil = client.send(b"<x/>", "Origin: https://evil.example\r\n", method)
            self.assertEqual(evil.status, 403)
            self.assertNotIn("access-control-allow-origin", evil.headers)
        self.assertEqual(client.send(b"", "", "GET").status, 405)

    def test_off(self) -> None:
        """It can be switched off."""
        client = BoshClient(self.serveWeb(more="[web]\nbosh = false"))
        self.assertEqual(client.begin().status, 404)

    def test_big(self) -> None:
        """Bodies are bounded, announced or not."""
        server = self.serveWeb(config="stanza_bytes = 10000\nhead_bytes = 1024")
        client = BoshClient(server)
        self.assertEqual(client.send(b"x" * 11_025).status, 413)
        request = BoshRequest(server, server.factory(5280))
        request.octets(b"POST /http-bind HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2b11\r\n" + b"x" * 0x2B11)
        self.assertEqual(request.status, 413)

    def test_chunked(self) -> None:
        """One need not be announced."""
        server = self.serveWeb()
        data = f"<body rid='1' to='{DOMAIN}' xmlns='{ns.HTTP_BIND}'/>".encode()
        request = BoshRequest(server, server.factory(5280))
        head = b"POST /http-bind HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
        request.octets(head + b"%x\r\n%b\r\n0\r\n\r\n" % (len(data), data), chunk=1)
        self.assertEqual(request.root[0].tag, FEATURES)

    def test_keepAlive(self) -> None:
        """Many requests come on one connection."""
        client = BoshClient(self.serveWeb())
        request = client.begin()
        self.assertFalse(request.closed)
        self.assertNotIn("connection", request.headers)

    def test_security(self) -> None:
        """Without encryption nobody logs in; what began encrypted goes on so, and only from the same page."""
        server = self.serveWeb()
        clear = BoshClient(server)
        clear.headers = ""
        features = clear.begin().root[0]
        self.assertIsNone(features.find(f"{{{ns.SASL}}}mechanisms"))
        client = self.romeo(server)
        told, client.headers = client.headers, ""
        self.assertEqual(client.post().status, 403)
        client.headers = told + f"Origin: https://{DOMAIN}\r\n"
        self.assertTerminated(client.post(rid=client.rid), "item-not-found")
        client.headers = told
        self.assertFalse(client.post(rid=client.rid).answered)

    def test_strangers(self) -> None:
        """Nobody gets in without the name of a session."""
        client = self.romeo()
        held = client.post()
        stranger = BoshClient(client.server)
        stranger.rid = client.rid
        for sid in ("", "x", client.sid[:-1] if client.sid else "", f"{client.sid}x"):
            stranger.sid = sid
            self.assertTerminated(stranger.post(), "item-not-found")
        self.assertFalse(held.answered)

    def test_https(self) -> None:
        """With TLS of our own."""
        server = self.serve(tls=True, listen='https = ["tcp:5443"]')
        client = BoshClient(server, 5443, "192.0.2.1")
        client.headers = ""
        self.assertEqual(client.login("romeo"), f"romeo@{DOMAIN}/web")


class PartTests(SynchronousTestCase):
    """By itself."""

    def test_interface(self) -> None:
        """A session is its stream's transport."""
        from tests.stream.test_c2s import FakeReception

        agreed = Agreed.on({})
        assert agreed is not None
        ended: list[Any] = []
        session = BoshSession(
            "sid", agreed, "192.0.2.1", False, FakeReception(), lambda each: None, lambda *each: 0.0, ended.append  # type: ignore[arg-type]
        )
        verifyObject(IStreamTransport, session)
        self.assertRaises(NotImplementedError, session.startTLS, "a")
        self.assertEqual(session.unsent(), 0)
        session.abortConnection()
        self.assertEqual((ended, session.unsent()), ([session], 1))
        session.abortConnection()

    def test_number(self) -> None:
        """Numbers have only digits, and not too many."""
        for text, value in (("0", 0), ("12", 12), ("", None), ("-1", None), ("1.0", None), ("\u0661", None), ("1" * 17, None)):
            self.assertEqual(number(text), value)


