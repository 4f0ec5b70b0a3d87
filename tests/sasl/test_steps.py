"""
Tests for L{xmppd.sasl.steps}: who may speak when.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from tests.marks import spec
from xmppd.ixmppd import ISASLMechanism
from xmppd.sasl.external import ExternalMechanism
from xmppd.sasl.keys import fakeKeys
from xmppd.sasl.offer import Facts, create, offered
from xmppd.sasl.plain import PlainMechanism
from xmppd.sasl.steps import Challenge, Verify
from xmppd.wire.errors import SASLCondition, SASLError

EVERYTHING = Facts(
    secured=True, channelBindings={"tls-exporter": b"x" * 32}, accounts=True, guests=True, clientCertificate=True
)


class MechanismTests(SynchronousTestCase):
    """What all mechanisms have in common."""

    def test_interface(self) -> None:
        """Each mechanism provides L{ISASLMechanism} and is called what it is offered as."""
        for name in offered(EVERYTHING):
            mechanism = create(name, EVERYTHING)
            verifyObject(ISASLMechanism, mechanism)
            self.assertEqual(mechanism.name, name)

    @spec("RFC 6120", "6.4.2")
    @spec("RFC 4422", "3")
    def test_noInitialResponse(self) -> None:
        """A mechanism in which the client speaks first asks by an empty challenge if it has not spoken."""
        for name in offered(EVERYTHING):
            if name != "ANONYMOUS":
                self.assertEqual(create(name, EVERYTHING).start(None), Challenge(b""), name)

    def test_noInitialResponseThenResponse(self) -> None:
        """The answer to the empty challenge counts as the first message."""
        mechanism = PlainMechanism()
        mechanism.start(None)
        self.assertEqual(mechanism.respond(b"\0u\0p"), PlainMechanism().start(b"\0u\0p"))

    @spec("RFC 6120", "6.4.2")
    def test_emptyInitialResponse(self) -> None:
        """An empty initial response is one: it is read, not asked for again."""
        self.assertIsInstance(ExternalMechanism().start(b""), Verify)

    def test_respondWithoutChallenge(self) -> None:
        """A response that nobody asked for is refused, before and after the message that counts."""
        fresh, settled = PlainMechanism(), PlainMechanism()
        settled.start(b"\0u\0p")
        for mechanism in (fresh, settled):
            error = self.assertRaises(SASLError, mechanism.respond, b"\0u\0p")
            self.assertEqual(error.condition, SASLCondition.MALFORMED_REQUEST)

    def test_overAfterError(self) -> None:
        """After an error nothing more can be had from a mechanism."""
        mechanism = PlainMechanism()
        self.assertRaises(SASLError, mechanism.start, b"nonsense")
        self.assertRaises(SASLError, mechanism.respond, b"\0u\0p")
        self.assertRaises(RuntimeError, mechanism.start, b"\0u\0p")
        self.assertRaises(RuntimeError, mechanism.verified)

    def test_verifiedOnce(self) -> None:
        """C{verified} is for a mechanism that waits for a verdict, once; plain mechanisms add no data."""
        mechanism = PlainMechanism()
        self.assertRaises(RuntimeError, mechanism.verified)
        mechanism.start(b"\0u\0p")
        self.assertIsNone(mechanism.verified())
        self.assertRaises(RuntimeError, mechanism.verified)

    def test_foundUnasked(self) -> None:
        """Keys are for mechanisms that asked for them."""
        keys = fakeKeys(b"s" * 16, "user", "sha1")
        for name in offered(EVERYTHING):
            self.assertRaises(RuntimeError, create(name, EVERYTHING).found, keys)
