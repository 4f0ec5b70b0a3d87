"""Tests of L{xmppd.sasl.token}."""

from __future__ import annotations

import hmac

from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from tests.marks import spec
from xmppd.ixmppd import ISASLMechanism
from xmppd.sasl.credentials import HashedToken, IHashedToken
from xmppd.sasl.offer import Facts, createToken, offered, offeredTokens
from xmppd.sasl.steps import Challenge, Verify
from xmppd.sasl.token import HashedTokenMechanism
from xmppd.wire.errors import SASLCondition, SASLError

TOKEN = b"secret-token:fast-1234"


def message(name: bytes, token: bytes, binding: bytes = b"") -> bytes:
    """A client's message."""
    return name + b"\0" + hmac.digest(token, b"Initiator" + binding, "sha256")


def facts(secured: bool = True, **bindings: bytes) -> Facts:
    """What is known of a stream."""
    return Facts(secured, {name.replace("_", "-"): data for name, data in bindings.items()}, True, True, False)


class HashedTokenTests(SynchronousTestCase):
    """The server's side."""

    def refused(self, data: bytes) -> None:
        """A message that can't be read."""
        error = self.assertRaises(SASLError, HashedTokenMechanism("HT-SHA-256-NONE", b"").start, data)
        self.assertEqual(error.condition, SASLCondition.MALFORMED_REQUEST)

    @spec("XEP-0484", "3.1")
    def test_proof(self) -> None:
        """One message, a proof of one token and no other, an answer that proves the server's knowledge."""
        for binding in (b"", b"\0exporter"):
            mechanism = HashedTokenMechanism("HT-SHA-256-NONE", binding)
            verifyObject(ISASLMechanism, mechanism)
            step = mechanism.start(message("rómeo".encode(), TOKEN, binding))
            assert isinstance(step, Verify)
            credentials = step.credentials
            assert isinstance(credentials, HashedToken)
            verifyObject(IHashedToken, credentials)
            self.assertEqual((credentials.username, credentials.mechanism), ("rómeo", "HT-SHA-256-NONE"))
            self.assertFalse(credentials.proves(b"other"))
            self.assertEqual(credentials.answer, b"")
            self.assertTrue(credentials.proves(TOKEN))
            self.assertEqual(mechanism.verified(), hmac.digest(TOKEN, b"Responder" + binding, "sha256"))

    def test_binding(self) -> None:
        """A proof for another connection is none."""
        step = HashedTokenMechanism("HT-SHA-256-EXPR", b"ours").start(message(b"romeo", TOKEN, b"theirs"))
        assert isinstance(step, Verify) and isinstance(step.credentials, HashedToken)
        self.assertFalse(step.credentials.proves(TOKEN))

    def test_secrets(self) -> None:
        """Nothing that is secret is in the text of credentials."""
        credentials = HashedToken("romeo", "HT-SHA-256-NONE", b"bound", b"p" * 32)
        credentials.answer = b"answered"
        for secret in ("bound", "ppp", "answered"):
            self.assertNotIn(secret, repr(credentials))

    def test_malformed(self) -> None:
        """Parts missing, too short, too long, not UTF-8."""
        proof = b"x" * 32
        for data in (b"", b"romeo", b"\0" + proof, b"romeo\0", b"romeo\0" + proof[1:], b"romeo\0" + proof + b"y",
                     b"\xff\0" + proof, b"r" * 2049 + b"\0" + proof, b"\0\0\0"):
            self.refused(data)

    def test_noInitialResponse(self) -> None:
        """An empty challenge, then the message."""
        mechanism = HashedTokenMechanism("HT-SHA-256-NONE", b"")
        self.assertEqual(mechanism.start(None), Challenge(b""))
        self.assertIsInstance(mechanism.respond(message(b"romeo", TOKEN)), Verify)

    @spec("XEP-0484", "3.1", "6")
    def test_offer(self) -> None:
        """What can be had is offered, best first; none of it to be had without a token."""
        self.assertEqual(offeredTokens(facts()), ["HT-SHA-256-NONE"])
        everything = facts(tls_exporter=b"a", tls_server_end_point=b"b", tls_unique=b"c")
        names = ["HT-SHA-256-EXPR", "HT-SHA-256-UNIQ", "HT-SHA-256-ENDP", "HT-SHA-256-NONE"]
        self.assertEqual(offeredTokens(everything), names)
        for name in names:
            self.assertEqual(createToken(name, everything).name, name)
            self.assertNotIn(name, offered(everything))
        for name in ("HT-SHA-256-UNIQ", "PLAIN", "ANONYMOUS", "ht-sha-256-none", ""):
            error = self.assertRaises(SASLError, createToken, name, facts())
            self.assertNotEqual(error.condition, SASLCondition.NOT_AUTHORIZED)
