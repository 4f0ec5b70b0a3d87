"""C21: SASL PLAIN before TLS."""

from __future__ import annotations

from tests.marks import spec
from tests.security.attack import AttackCase
from tests.server import TestClient, auth, split
from xmppd.wire import ns


@spec("RFC 6120", "6.5.4", "13.8.3", "13.9.4")
class PlainWithoutTLSTests(AttackCase):
    """Refused, whether or not the password is right, and not offered."""

    tls = True

    def test_refused(self) -> None:
        """The stream lives on, and works after TLS."""
        for password in (b"mallory", b"wrong"):
            def check(client: TestClient) -> None:
                self.assertFailure(client.one(), "encryption-required")
                client.startTLS()
                client.open()
                self.assertSuccess(client.plain("mallory"))

            self.eachWay("opened", auth("PLAIN", b"\0mallory\0" + password), check)

    def test_notOffered(self) -> None:
        """No mechanism is named before TLS."""
        client = self.attacker("opened")
        assert client.features is not None
        self.assertNotIn(f"{{{ns.SASL}}}mechanisms", [each.tag for each in client.features])

    def test_loginIsNotTried(self) -> None:
        """Nobody even looks at the password."""
        client = self.attacker("opened")
        before = len(self.server.threads.calls)
        client.ask(auth("PLAIN", b"\0mallory\0mallory"))
        self.assertEqual(len(self.server.threads.calls), before)


class PlainSwitchedOffTests(AttackCase):
    """The same where TLS is not required, but PLAIN without it is off."""

    host = "plain_without_tls = false\n"

    def setUp(self) -> None:
        self.server = self.serve(self.limits, self.host, accounts=("romeo", "juliet", "mallory"))
        self.romeo, self.juliet = (self.scrammed(name) for name in ("romeo", "juliet"))

    def scrammed(self, name: str) -> TestClient:
        """A client that has logged in by SCRAM."""
        client = self.server.connect()
        client.open()
        client.scram(name)
        client.open()
        client.bind()
        return client

    def test_refused(self) -> None:
        """PLAIN is refused, and not offered; SCRAM is."""
        client = self.attacker("opened")
        assert client.features is not None
        names = [each.text for each in client.features.iter(f"{{{ns.SASL}}}mechanism")]
        self.assertNotIn("PLAIN", names)
        answer = client.plain("mallory")
        self.assertEqual(split(answer.tag)[1], "failure")
        self.assertFailure(answer, "encryption-required")
