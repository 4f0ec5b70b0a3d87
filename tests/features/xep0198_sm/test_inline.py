"""Tests of L{xmppd.features.xep0198_sm.inline}, as clients see it (XEP-0198 section 9.2)."""

from __future__ import annotations

from typing import Any

from tests.auth.later import BIND, MANAGED, LaterCase, authenticate, find, identity, plain, resume, resumptionId
from tests.marks import spec
from tests.server import TestClient, split
from xmppd.wire import ns

SM = ns.STREAM_MANAGEMENT


class InlineResumptionTests(LaterCase):
    """Sessions that are resumed along with a login."""

    def setUp(self) -> None:
        super().setUp()
        self.client, success = self.login(plain("romeo"), MANAGED)
        self.token = resumptionId(success)
        self.client.take()
        self.juliet = self.server.connect().login("juliet")

    def write(self, *ids: str) -> None:
        """Messages to the session."""
        for id in ids:
            self.juliet.send(f"<message to='{self.client.jid}' id='{id}' type='chat'><body>x</body></message>")

    def again(self, previd: str, h: int = 0, inner: str = "", name: str = "romeo") -> tuple[TestClient, list[Any]]:
        """Somebody logs in and wants to resume; the client, and what it gets."""
        client = self.opened()
        client.send(authenticate("PLAIN", plain(name), resume(previd, h) + inner))
        return client, client.take()

    @spec("XEP-0198", "9.2")
    @spec("XEP-0388", "2.6.1")
    def test_resumed(self) -> None:
        """The success names the full JID and says so; no features follow, but what was missed."""
        self.client.cut()
        self.write("m1", "m2")
        client, (success, *rest) = self.again(self.token)
        self.assertEqual(identity(success), self.client.jid)
        resumed = success.find(f"{{{SM}}}resumed")
        assert resumed is not None
        self.assertEqual(resumed.attrib, {"h": "0", "previd": self.token})
        self.assertEqual([(split(each.tag)[1], each.get("id")) for each in rest],
                         [("message", "m1"), ("message", "m2"), ("r", None)])
        client.send(f"<message to='{self.juliet.jid}' id='m3'/>")
        self.assertEqual(self.juliet.take()[-1].get("from"), self.client.jid)

    @spec("XEP-0198", "9.2")
    def test_counts(self) -> None:
        """The client is told what was handled, and what it has isn't sent again."""
        self.client.send(f"<message to='{self.juliet.jid}' id='a'/>")
        self.write("m1", "m2")
        self.client.cut()
        _, (success, *rest) = self.again(self.token, 1)
        resumed = success.find(f"{{{SM}}}resumed")
        assert resumed is not None
        self.assertEqual(resumed.get("h"), "1")
        self.assertEqual([each.get("id") for each in rest if split(each.tag)[1] == "message"], ["m2"])

    @spec("XEP-0198", "9.2")
    @spec("XEP-0386", "3.2")
    def test_bindIgnored(self) -> None:
        """A resumed session has its resource: a request for another is ignored."""
        self.client.cut()
        _, (success, *_rest) = self.again(self.token, 0, BIND)
        self.assertEqual(identity(success), self.client.jid)
        self.assertIsNone(find(success, ns.BIND2, "bound"))
        self.assertEqual(len(self.server.host.sessions["romeo@example.org"]), 1)

    @spec("XEP-0198", "9.2.1")
    def test_failed(self) -> None:
        """What can't be resumed is told in the success; the request for a new session is met."""
        _client, (success, _features) = self.again("nonsense", 0, BIND)
        failed = success.find(f"{{{SM}}}failed")
        assert failed is not None
        self.assertEqual(split(failed[0].tag), (ns.STANZA_ERRORS, "item-not-found"))
        self.assertIsNotNone(success.find(f"{{{ns.BIND2}}}bound"))
        self.assertIn("/Tests/", identity(success))

    @spec("XEP-0198", "9.2.1")
    def test_failedWithoutBind(self) -> None:
        """Without such a request the client is logged in and can bind as it likes."""
        client, (success, _) = self.again("nonsense")
        self.assertEqual(identity(success), "romeo@example.org")
        client.bind("again")

    def test_failedCount(self) -> None:
        """Of a session that is over the client learns what was handled."""
        self.client.send(f"<message to='{self.juliet.jid}'/>")
        self.client.send("</stream:stream>")
        _, (success, *_rest) = self.again(self.token, 0, BIND)
        failed = success.find(f"{{{SM}}}failed")
        assert failed is not None
        self.assertEqual(failed.get("h"), "1")

    def test_malformed(self) -> None:
        """A request that lacks something."""
        client = self.opened()
        client.send(authenticate("PLAIN", plain("romeo"), f"<resume xmlns='{SM}' h='-1'/>" + BIND))
        failed = self.succeeds(client.take()).find(f"{{{SM}}}failed")
        assert failed is not None
        self.assertEqual(split(failed[0].tag)[1], "bad-request")

    @spec("XEP-0198", "10")
    def test_others(self) -> None:
        """Nobody resumes somebody else's session, also not with the right password of his own."""
        self.client.cut()
        _, (success, *_rest) = self.again(self.token, 0, "", "juliet")
        self.assertIsNotNone(success.find(f"{{{SM}}}failed"))
        _, (success, *_rest) = self.again(self.token)
        self.assertIsNotNone(success.find(f"{{{SM}}}resumed"))

    @spec("XEP-0388", "2.6.2")
    def test_wrongPassword(self) -> None:
        """A login that fails touches no session."""
        client = self.opened()
        sent = authenticate("PLAIN", plain("romeo", "wrong"), resume(self.token))
        self.fails(client, sent, "not-authorized")
        self.assertFalse(self.client.eof)

    def test_tooHigh(self) -> None:
        """A client that has more than it was sent is told so, and the session stays."""
        self.client.cut()
        client, _ = self.again(self.token, 5)
        self.assertTrue(client.streamClosed)
        self.assertIn("handled-count-too-high", client.raw.decode())
        _, (success, *_rest) = self.again(self.token)
        self.assertIsNotNone(success.find(f"{{{SM}}}resumed"))

    def test_connected(self) -> None:
        """A session whose connection is still there is taken from it."""
        client, (success, *_rest) = self.again(self.token)
        self.assertIsNotNone(success.find(f"{{{SM}}}resumed"))
        self.client.take()
        self.assertTrue(self.client.eof)
        self.assertFalse(client.eof)
        self.write("m1")
        self.assertIn("m1", [each.get("id") for each in client.take()])

    def test_byteByByte(self) -> None:
        """However the bytes come."""
        self.client.cut()
        self.write("m1")
        client = self.opened()
        client.send(authenticate("PLAIN", plain("romeo"), resume(self.token)), 1)
        self.assertEqual([split(each.tag)[1] for each in client.take()], ["success", "message", "r"])
