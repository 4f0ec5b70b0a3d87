"""Tests of L{xmppd.net.renewal}."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from tests.marks import spec
from xmppd.ixmppd import TLSFacts
from xmppd.net.renewal import AGAIN, AT_A_TIME, TRIES, Renewal
from xmppd.trust.verdict import ANY_PROOFTYPE, PeerPolicy, Proof, Prooftype, Verdict, absent, decide, failed, held

OURS, THEIRS = "example.org", "example.net"


def verdict(*proofs: Proof, domain: str = THEIRS) -> Verdict:
    """What proofs come to."""
    return decide(domain, proofs, PeerPolicy(prooftypes=ANY_PROOFTYPE), TLSFacts("TLSv1.3", "x"))


def dane(until: float) -> Verdict:
    """It was proved by the DNS."""
    return verdict(held(Prooftype.DANE_EE, "a", until=until))


class FakeStream:
    """A stream between servers."""

    def __init__(self, direction: str, found: Verdict) -> None:
        self.direction = direction
        self.remote = THEIRS
        self.verdict: Verdict | None = found
        self.heard: dict[tuple[str, str], Verdict] = {(THEIRS, OURS): found} if direction == "in" else {}
        self.closed = self.retiring = False
        self.id = "s"
        self.reason = ""

    def retire(self, reason: str) -> None:
        """See L{xmppd.stream.s2s.ServerStream}."""
        self.retiring = True
        self.reason = reason


@spec("RFC 7590", "3.3")
@spec("mission", "T8", "T11")
class RenewalTests(SynchronousTestCase):
    """Streams whose proofs run out."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.asked: list[tuple[Any, str]] = []
        self.answer: Any = None
        self.renewal = Renewal(self.judge)

    async def judge(self, stream: Any, remote: str) -> Verdict | None:
        """Everything is looked up again."""
        self.asked.append((stream, remote))
        answer = await self.answer if isinstance(self.answer, Deferred) else self.answer
        found: Verdict | None = answer
        return found

    def stream(self, found: Verdict, direction: str = "out") -> Any:
        """A stream that is just there."""
        made: Any = FakeStream(direction, found)
        self.renewal.look(made, 0.0)
        return made

    def look(self, stream: Any, *times: float) -> int:
        """Look at it at several times; answers how often it was judged again."""
        self.asked = []
        for at in times:
            self.renewal.look(stream, at)
        return len(self.asked)

    def test_stillGood(self) -> None:
        """The new proof takes the place of the old one, in both directions."""
        for direction in ("out", "in"):
            stream = self.stream(dane(AGAIN + 100), direction)
            self.answer = dane(9 * AGAIN)
            self.assertEqual(self.look(stream, AGAIN + 99), 0)
            self.assertEqual(self.look(stream, AGAIN + 100), 1)
            self.assertIs(stream.verdict, self.answer)
            self.assertTrue(all(each is self.answer for each in stream.heard.values()))
            self.assertFalse(stream.retiring)

    def test_notTooOften(self) -> None:
        """Records that may be kept for a minute only are asked for again after an hour."""
        stream = self.stream(dane(60))
        self.answer = dane(60)
        self.assertEqual(self.look(stream, 61, AGAIN - 1), 0)
        self.assertEqual(self.look(stream, AGAIN, AGAIN + 10, 2 * AGAIN - 1, 2 * AGAIN), 2)

    def test_forever(self) -> None:
        """What has no end isn't judged again: dialback, and nothing at all."""
        self.assertEqual(self.look(self.stream(verdict(held(Prooftype.DIALBACK, "a"))), 99 * AGAIN), 0)
        self.assertEqual(self.look(self.stream(verdict()), 99 * AGAIN), 0)

    def test_failed(self) -> None:
        """It holds no more: the stream makes way at once, even if something weaker would be accepted."""
        for answer in (
            verdict(failed(Prooftype.DANE_EE, "another key", vetoes=True)),
            verdict(failed(Prooftype.DANE_EE, "b"), held(Prooftype.PKIX, "c")),
            verdict(),
        ):
            stream = self.stream(dane(1))
            self.answer = answer
            self.look(stream, AGAIN)
            self.assertTrue(stream.retiring)
            self.assertIn("DANE-EE", stream.reason)
            self.assertEqual(self.look(stream, 3 * AGAIN), 0)

    def test_expired(self) -> None:
        """A certificate that has come to its end."""
        stream = self.stream(verdict(held(Prooftype.PKIX, "a", until=2 * AGAIN)), "in")
        self.answer = verdict(failed(Prooftype.PKIX, "it has expired"))
        self.assertEqual(self.look(stream, 2 * AGAIN - 1), 0)
        self.look(stream, 2 * AGAIN)
        self.assertTrue(stream.retiring)

    def test_silence(self) -> None:
        """Where nobody answers the stream isn't cut at once, but it is in the end."""
        for answer in (None, verdict(absent(Prooftype.DANE_EE, "the DNS is down"), held(Prooftype.DIALBACK, "x"))):
            stream = self.stream(verdict(held(Prooftype.DANE_TA, "a", until=1.0)))
            self.answer = answer
            self.look(stream, *(each * AGAIN for each in range(1, TRIES)))
            self.assertFalse(stream.retiring)
            self.look(stream, TRIES * AGAIN)
            self.assertTrue(stream.retiring)

    def test_silenceEnds(self) -> None:
        """Tries are counted anew after one that was good."""
        stream = self.stream(dane(1))
        for hour in range(1, 9):
            self.answer = dane(1) if hour % TRIES == 0 else None
            self.look(stream, hour * AGAIN)
        self.assertFalse(stream.retiring)

    def test_pairs(self) -> None:
        """Domains on one stream are judged for themselves; proofs by dialback stay."""
        stream = self.stream(dane(1), "in")
        weak = verdict(held(Prooftype.DIALBACK, "a"), domain="b.example")
        other = verdict(held(Prooftype.PKIX, "a", until=9e9), domain="c.example")
        stream.heard |= {("b.example", OURS): weak, ("c.example", OURS): other, (THEIRS, "rooms.example.org"): dane(2)}
        self.answer = dane(9e9)
        self.look(stream, AGAIN)
        self.assertEqual([remote for _, remote in self.asked], [THEIRS])
        self.assertEqual(
            [each is self.answer for each in stream.heard.values()], [True, False, False, True]
        )

    def test_closedMeanwhile(self) -> None:
        """The stream ends while things are looked up."""
        stream = self.stream(dane(1))
        self.answer = Deferred()
        self.look(stream, AGAIN, 3 * AGAIN)
        self.assertEqual(len(self.asked), 1)
        stream.closed = True
        self.answer.callback(verdict())
        self.assertFalse(stream.retiring)

    def test_many(self) -> None:
        """Only so many at a time."""
        self.answer = Deferred()
        streams = [self.stream(dane(1)) for _ in range(AT_A_TIME + 5)]
        for each in streams:
            self.renewal.look(each, AGAIN)
        self.assertEqual(len(self.asked), AT_A_TIME)
        self.answer.callback(dane(9e9))
        for each in streams:
            self.renewal.look(each, AGAIN + 10)
        self.assertEqual(len(self.asked), AT_A_TIME + 5)

    def test_mistake(self) -> None:
        """A mistake of ours leaves the stream as it is, and is logged."""
        stream = self.stream(dane(1))
        self.answer = Deferred()
        self.look(stream, AGAIN)
        self.answer.errback(RuntimeError("oops"))
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)
        self.assertEqual(self.look(stream, 2 * AGAIN - 1), 0)
