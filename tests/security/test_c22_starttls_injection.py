"""C22: plaintext behind C{<starttls/>} in the same segment."""

from __future__ import annotations

from tests.marks import spec
from tests.security.attack import AttackCase
from tests.server import auth, split, streamHeader
from xmppd.wire import ns

STARTTLS = f"<starttls xmlns='{ns.TLS}'/>"
INJECTED = (
    "<message to='romeo@example.org/orchard'><body>injected</body></message>",
    auth("PLAIN", b"\0mallory\0mallory"),
    streamHeader().decode(),
    STARTTLS,
    "</stream:stream>",
    "<!-- -->",
    " ",
    "<message to='romeo@example.org/orch",
)


@spec("RFC 6120", "5.3.3", "5.4.3.3")
class InjectionTests(AttackCase):
    """What was sent before TLS doesn't act after it."""

    tls = True

    def test_injected(self) -> None:
        """After TLS the stream is as new: nothing is authenticated, nothing was delivered, no byte is left over."""
        for injected in (*INJECTED, "".join(INJECTED[:2])):
            client = self.attacker("opened")
            client.send(STARTTLS + injected)
            self.assertEqual([split(each.tag)[1] for each in client.take()], ["proceed"])
            client.shakeHands()
            self.assertEqual(client.take(), [])
            features = client.open()
            assert features is not None
            self.assertIn(f"{{{ns.SASL}}}mechanisms", [each.tag for each in features])
            self.assertSuccess(client.plain("mallory"))
            self.assertEqual(self.romeo.take(), [])

    def test_betweenProceedAndHandshake(self) -> None:
        """Plaintext in place of a ClientHello ends the connection."""
        for injected in INJECTED:
            client = self.attacker("opened")
            client.send(STARTTLS)
            client.take()
            client.send(injected * 10)
            self.assertEqual(client.take(), [])
            self.server.advance(self.server.host.limits.unauthenticatedSeconds + 1)
            self.assertTrue(client.eof)
