"""C30: mechanisms that are unknown, off, or not for this client."""

from __future__ import annotations

from tests.marks import spec
from tests.security.attack import AttackCase
from tests.server import TestClient, auth
from xmppd.wire import ns


@spec("RFC 6120", "6.5.7")
class MechanismTests(AttackCase):
    """Each is refused; the stream lives on."""

    def test_refused(self) -> None:
        """Unknown, ANONYMOUS while guests are off, EXTERNAL without a certificate, other spellings, no name."""
        def check(client: TestClient) -> None:
            self.assertFailure(client.one(), "invalid-mechanism")
            self.assertSuccess(client.plain("mallory"))

        for name in ("UNKNOWN", "ANONYMOUS", "EXTERNAL", "plain", "Plain", "PLAIN\N{ZERO WIDTH SPACE}", " PLAIN", "DIGEST-MD5",
                     "SCRAM-SHA-256-PLUS", "SCRAM-MD5", "GSSAPI", "OAUTHBEARER", "", "x" * 10000):
            self.eachWay("opened", auth(name, b"\0mallory\0mallory"), check)
        self.eachWay("opened", f"<auth xmlns='{ns.SASL}'>AG1hbGxvcnkAbWFsbG9yeQ==</auth>", check)


class MechanismTLSTests(AttackCase):
    """Under TLS, without a certificate of the client."""

    tls = True

    def test_external(self) -> None:
        """EXTERNAL claims what nobody has shown."""
        client = self.attacker("opened")
        client.startTLS()
        client.open()
        for data in (None, b"", b"mallory@example.org", b"admin@example.org"):
            self.assertFailure(client.ask(auth("EXTERNAL", data)), "invalid-mechanism")
        self.assertSuccess(client.plain("mallory"))
