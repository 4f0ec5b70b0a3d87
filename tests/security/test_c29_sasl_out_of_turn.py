"""C29: SASL elements that belong to nothing; two logins in one segment."""

from __future__ import annotations

from tests.marks import spec
from tests.security.attack import AttackCase
from tests.server import TestClient, auth, response, split
from xmppd.wire import ns

ABORT = f"<abort xmlns='{ns.SASL}'/>"


@spec("RFC 6120", "6.4.3", "6.4.4", "6.4.5")
class OutOfTurnTests(AttackCase):
    """A failure, and the stream lives on."""

    def alive(self, client: TestClient) -> None:
        """There was a failure among what came; a login works."""
        self.assertIn("failure", [split(each.tag)[1] for each in client.take()])
        self.assertSuccess(client.plain("mallory"))

    def test_beforeAuth(self) -> None:
        """A response, an abort, before anything was begun."""
        for data in (response(b"\0mallory\0mallory"), ABORT, f"<response xmlns='{ns.SASL}'/>", response(b"x") + ABORT):
            self.eachWay("opened", data, self.alive)

    def test_twoAtOnce(self) -> None:
        """Two logins in one segment: neither interferes with the other."""
        scram = auth("SCRAM-SHA-256", b"n,,n=mallory,r=abc")
        wrong = auth("PLAIN", b"\0mallory\0wrong")
        for data in (scram + scram, wrong + wrong, scram + wrong, wrong + scram + ABORT, auth("PLAIN") + auth("PLAIN")):
            self.eachWay("opened", data, self.alive)

    def test_rightThenOther(self) -> None:
        """Behind a login that succeeds nothing acts for another user."""
        client = self.attacker("opened")
        client.send(auth("PLAIN", b"\0mallory\0mallory") + auth("PLAIN", b"\0romeo\0romeo"))
        self.assertEqual([split(each.tag)[1] for each in client.take()], ["success"])
        client.open()
        self.assertTrue(client.bind().startswith("mallory@"))

    def test_responseAfterFailure(self) -> None:
        """A challenge that has failed can't be answered a second time."""
        client = self.attacker("opened")
        client.ask(auth("SCRAM-SHA-256", b"n,,n=mallory,r=abc"))
        final = response(b"c=biws,r=abc,p=" + b"A" * 43 + b"=")
        self.assertEqual(split(client.ask(final).tag)[1], "failure")
        self.assertFailure(client.ask(final), "malformed-request")
