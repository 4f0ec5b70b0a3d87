"""
Attacks on BOSH: sessions that belong to somebody else, requests out of all order, bodies that cost much.
"""

from __future__ import annotations

from tests.marks import spec
from tests.security.attack import AttackCase
from tests.server import DOMAIN
from tests.web import BoshClient, BoshRequest
from xmppd.stream.boshterms import INACTIVITY
from xmppd.wire import ns


class BoshAttack(AttackCase):
    """A server with C{listen.http}, Romeo's session, and attackers."""

    limits = "stanzas_per_second = 0\nbytes_per_second = 0\nstanza_bytes = 50000"

    def setUp(self) -> None:
        self.server = self.serve(self.limits, accounts=("romeo", "juliet", "mallory"), listen='http = ["tcp:5280"]')
        self.romeo = self.server.login("romeo", "orchard")
        self.juliet = self.server.login("juliet", "balcony")
        self.addCleanup(self.untouched)
        self.victim = BoshClient(self.server)
        self.victim.login("romeo", "web")

    def assertGone(self, request: BoshRequest, condition: str) -> None:
        """The answer is the end."""
        self.assertEqual((request.root.get("type"), request.root.get("condition")), ("terminate", condition))

    def assertAlive(self) -> None:
        """The victim's session goes on."""
        answer = self.victim.post("<iq type='get' id='a' to='example.org'><ping xmlns='urn:xmpp:ping'/></iq>")
        self.assertEqual([each.get("id") for each in answer.root], ["a"])


@spec("XEP-0124", "19.1", "19.3")
class HijackTests(BoshAttack):
    """Other people's sessions."""

    def test_names(self) -> None:
        """Names can't be guessed, and a guess costs the victim nothing."""
        names = set()
        for _ in range(20):
            client = BoshClient(self.server)
            client.begin()
            assert client.sid is not None
            self.assertGreaterEqual(len(client.sid), 32)
            names.add(client.sid)
        self.assertEqual(len(names), 20)
        assert self.victim.sid is not None
        stranger = BoshClient(self.server)
        stranger.rid = self.victim.rid
        for sid in ("", "1", self.victim.sid.swapcase(), self.victim.sid[:-1], self.victim.sid + "A", "\u00e9"):
            stranger.sid = sid
            self.assertGone(stranger.post("<presence/>", type="terminate"), "item-not-found")
        self.assertAlive()

    def test_otherPage(self) -> None:
        """Who knows the name, but is on another page, in the clear or both, neither acts nor ends the session."""
        for headers in (f"Origin: https://{DOMAIN}\r\n{self.victim.headers}", "X-Forwarded-Proto: http\r\n", ""):
            stranger = BoshClient(self.server)
            stranger.sid, stranger.rid, stranger.headers = self.victim.sid, self.victim.rid, headers
            request = stranger.post(f"<message to='{self.juliet.jid}'/>")
            if request.status != 403:
                self.assertGone(request, "item-not-found")
        self.assertAlive()

    def test_rid(self) -> None:
        """Who knows the name and guesses a rid reads nothing: a wrong guess ends the session, and can be noticed."""
        stranger = BoshClient(self.server)
        stranger.sid = self.victim.sid
        self.assertGone(stranger.post(rid=self.victim.rid + 50), "item-not-found")
        self.assertGone(self.victim.post(), "item-not-found")

    def test_answers(self) -> None:
        """Too large and too small are told by the same words."""
        answers = set()
        for rid in (1, 1_000, (1 << 53) - 2):
            client = BoshClient(self.server)
            client.begin()
            answers.add(client.post(rid=rid).body)
        self.assertEqual(len(answers), 1)


class CostTests(BoshAttack):
    """Much for little."""

    def test_bodies(self) -> None:
        """No body is long to read, none does harm, and no session comes of it."""
        start = f"<body xmlns='{ns.HTTP_BIND}' rid='1' to='{DOMAIN}'".encode()
        before = len(self.server.server.connections)
        for data in (
            b"<!DOCTYPE body [<!ENTITY a 'aaaaaaaaaa'>]>" + start + b">&a;</body>",
            start + b">" + b"<a>" * 12_000,
            start + b">" + b"<a/>" * 12_000 + b"</body>",
            start + b">" + b"<iq>" + b"<a/>" * 12_000 + b"</iq></body>",
            start + b" ".join(b" a%d='x'" % i for i in range(3000)) + b"/>",
            start + b" x='" + b"x" * 40_000 + b"'/>",
            start + b">" + b"x" * 40_000 + b"</body>",
            b"x" * 50_000,
            b"<" * 50_000,
            b"\0" * 100,
            start,
        ):
            self.assertGone(BoshClient(self.server).send(data), "bad-request")
        self.assertEqual(len(self.server.server.connections), before)
        self.assertAlive()

    def test_stanzas(self) -> None:
        """What would end a stream ends this one."""
        for payload, condition in (
            ("<a xmlns='u'/>", "unsupported-stanza-type"),
            (f"<stream:stream xmlns:stream='{ns.STREAMS}'/>", None),
        ):
            client = BoshClient(self.server)
            client.login("mallory")
            answer = client.post(payload)
            self.assertGone(answer, "remote-stream-error" if condition else "bad-request")

    def test_queries(self) -> None:
        """Many requests that cost much, in one body, are answered bit by bit."""
        client = BoshClient(self.server)
        client.login("mallory")
        query = f"<iq type='get' id='d' to='{DOMAIN}'><query xmlns='http://jabber.org/protocol/disco#info'/></iq>"
        answers = [client.post(query * 250)]
        for _ in range(10):
            self.server.advance(2)
            answers.append(client.post())
        self.server.advance(60)
        self.assertEqual(sum(len(each.root) for each in answers if each.answered), 250)

    def test_sessions(self) -> None:
        """Sessions are bounded by address, and go by themselves."""
        server = self.serve("connections_per_address = 5", listen='http = ["tcp:5280"]')
        conditions = [BoshClient(server).begin().root.get("condition") for _ in range(10)]
        self.assertEqual(conditions, [None] * 5 + ["policy-violation"] * 5)
        server.advance(INACTIVITY + 1)
        self.assertEqual(server.server.connections, set())

    def test_brokenRequests(self) -> None:
        """Requests whose connections break don't pile up."""
        client = BoshClient(self.server)
        client.begin()
        self.server.threads.holding = True
        client.post(f"<auth xmlns='{ns.SASL}' mechanism='PLAIN'>AG1hbGxvcnkAbWFsbG9yeQ==</auth>").cut()
        client.post("<a xmlns='u'/>").cut()
        self.assertGone(client.post("<a xmlns='u'/>"), "policy-violation")
        self.server.threads.holding = False
        self.server.threads.proceed()

    def test_slowBody(self) -> None:
        """A body that doesn't come is given up, and a session isn't kept by it."""
        request = BoshRequest(self.server, self.server.factory(5280))
        request.octets(b"POST /http-bind HTTP/1.1\r\nHost: a\r\nContent-Length: 4000\r\n\r\n<body")
        self.server.advance(60)
        self.assertTrue(request.closed)
