"""
Tests of L{xmppd.wire.errors}.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from tests.marks import spec
from tests.wire.documents import received
from xmppd.wire import ns
from xmppd.wire.element import parse
from xmppd.wire.errors import (
    DEFAULT_TYPES,
    ErrorType,
    PeerError,
    SASLCondition,
    SASLError,
    StanzaCondition,
    StanzaError,
    StreamCondition,
    StreamError,
)

NASTY = "a<b>&'\"\x00\ud800\r]]>"
READ = "a<b>&'\"\ufffd\ufffd\r]]>"


class StreamErrorTests(SynchronousTestCase):
    """Mistakes that end a stream."""

    @spec("RFC 6120", "4.9.2", "4.9.3")
    def test_everyCondition(self) -> None:
        """Each defined condition has its element, with or without a text."""
        self.assertEqual(len(StreamCondition), 25)
        for condition in StreamCondition:
            tree = parse(StreamError(condition).toBytes())
            self.assertEqual(
                (tree.qname, [child.qname for child in tree.elements()]),
                (f"{ns.STREAMS} error", [f"{ns.STREAM_ERRORS} {condition}"]),
            )
            tree = parse(StreamError(condition, "Why.").toBytes())
            self.assertEqual(tree.textOf("text", ns.STREAM_ERRORS), "Why.")

    @spec("RFC 6120", "4.9.3.19")
    def test_otherHost(self) -> None:
        """See-other-host names the host."""
        tree = parse(StreamError(StreamCondition.SEE_OTHER_HOST, content="[::1]:5222").toBytes())
        self.assertEqual(tree.textOf("see-other-host", ns.STREAM_ERRORS), "[::1]:5222")

    @spec("RFC 6120", "4.9.4")
    def test_application(self) -> None:
        """A condition of an application comes last."""
        error = StreamError(StreamCondition.POLICY_VIOLATION, "x", application=b"<too-bad xmlns='urn:x'/>")
        self.assertEqual(
            [child.name for child in parse(error.toBytes()).elements()], ["policy-violation", "text", "too-bad"]
        )

    def test_anyText(self) -> None:
        """Whatever a text holds, the bytes are XML."""
        for error in (
            StreamError(StreamCondition.RESET, NASTY, NASTY),
            StanzaError(StanzaCondition.GONE, NASTY, content=NASTY, by=NASTY),
            SASLError(SASLCondition.ABORTED, NASTY),
        ):
            texts = [child[2] for child in received(error.toBytes())[2] if child[0].endswith("}text")]
            self.assertEqual(texts, [[READ]])

    def test_unknown(self) -> None:
        """There are no other conditions."""
        self.assertRaises(ValueError, StreamError, "nonsense")
        self.assertRaises(ValueError, StanzaError, "nonsense")
        self.assertRaises(ValueError, SASLError, "nonsense")


class StanzaErrorTests(SynchronousTestCase):
    """Mistakes that answer one stanza."""

    @spec("RFC 6120", "8.3.2", "8.3.3")
    def test_everyCondition(self) -> None:
        """Each defined condition has its element and a type."""
        self.assertEqual(len(StanzaCondition), 22)
        self.assertEqual(set(DEFAULT_TYPES), set(StanzaCondition))
        for condition in StanzaCondition:
            tree = parse(StanzaError(condition, "Why.").toBytes())
            self.assertEqual((tree.qname, tree.get("type")), (f"{ns.CLIENT} error", DEFAULT_TYPES[condition]))
            self.assertEqual(
                [child.qname for child in tree.elements()],
                [f"{ns.STANZA_ERRORS} {condition}", f"{ns.STANZA_ERRORS} text"],
            )

    @spec("RFC 6120", "8.3.2")
    def test_type(self) -> None:
        """The type may be another than the usual one."""
        error = StanzaError(StanzaCondition.POLICY_VIOLATION, type=ErrorType.WAIT)
        self.assertEqual(parse(error.toBytes()).get("type"), "wait")
        self.assertEqual(len(ErrorType), 5)

    @spec("RFC 6120", "8.3.3.5", "8.3.3.14")
    def test_address(self) -> None:
        """Gone and redirect carry an address; an error may say who refused."""
        error = StanzaError(StanzaCondition.GONE, content="xmpp:a@example.com?x&y", by="o'neil")
        tree = parse(error.toBytes())
        self.assertEqual((tree.get("by"), tree.textOf("gone", ns.STANZA_ERRORS)), ("o'neil", "xmpp:a@example.com?x&y"))

    @spec("RFC 6120", "8.3.4")
    def test_application(self) -> None:
        """A condition of an application comes last."""
        error = StanzaError(StanzaCondition.BAD_REQUEST, "x", application=b"<y xmlns='urn:x'/>")
        self.assertEqual([child.name for child in parse(error.toBytes()).elements()], ["bad-request", "text", "y"])


class SASLErrorTests(SynchronousTestCase):
    """Attempts at authentication that failed."""

    @spec("RFC 6120", "6.4.5", "6.5")
    def test_everyCondition(self) -> None:
        """Each defined condition has its element."""
        self.assertEqual(len(SASLCondition), 11)
        for condition in SASLCondition:
            tree = parse(SASLError(condition, "Why.").toBytes())
            self.assertEqual(
                (tree.qname, [child.qname for child in tree.elements()]),
                (f"{ns.SASL} failure", [f"{ns.SASL} {condition}", f"{ns.SASL} text"]),
            )


class PeerErrorTests(SynchronousTestCase):
    """What the three have in common."""

    def test_string(self) -> None:
        """They read well in a log."""
        self.assertEqual(str(StreamError(StreamCondition.RESET)), "reset")
        self.assertEqual(str(SASLError(SASLCondition.ABORTED, "Why.")), "aborted: Why.")
        self.assertIsInstance(StanzaError(StanzaCondition.GONE), PeerError)
