"""
Proofs that run out while their streams live: a certificate comes to its end, TLSA records or a POSH document may be
kept no longer. Then it is proved again who is at the other end, with what the DNS and the web say by now.

Theory of operation: L{Renewal.look} is called for each stream every few seconds. A stream whose proof has run out is
judged again, but not sooner than L{AGAIN} after it was last, since many domains let their records be kept for minutes
only. If the new verdict is as good as the one before, it takes its place. If not, the stream makes way for another,
which is judged for itself, with whatever certificate the other server has by then: it is retired
(L{xmppd.stream.s2s.ServerStream.retire}), so that nothing is lost over it. Where there is nothing to judge by, since
the DNS or the web server don't answer, it is tried again, L{TRIES} times in all, before the stream goes.

Dialback holds as long as its stream does, as it says nothing about when it would have to be repeated.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterable
from typing import Any, Final, cast
from weakref import WeakKeyDictionary

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from xmppd.stream.s2s import ServerStream
from xmppd.trust.certificatefacts import shown
from xmppd.trust.verdict import DANE_PROOFTYPES, Outcome, Prooftype, Verdict

log = Logger(namespace="xmppd.s2s")

AGAIN: Final = 3600.0
"""For how many seconds a stream that was judged isn't judged again."""

TRIES: Final = 3
"""How often it is tried to judge a stream when there is nothing to judge by."""

AT_A_TIME: Final = 20
"""How many streams are judged again at a time."""


class Renewal:
    """Judges streams again."""

    def __init__(self, judge: Callable[[ServerStream, str], Coroutine[Any, Any, Verdict | None]]) -> None:
        """
        @param judge: looks everything up again and answers what a stream and a domain come to now; None if the DNS
            doesn't say where the domain is.
        """
        self._judge = judge
        self._judged: WeakKeyDictionary[ServerStream, float] = WeakKeyDictionary()
        self._tries: WeakKeyDictionary[ServerStream, int] = WeakKeyDictionary()
        self._busy: set[ServerStream] = set()

    def look(self, stream: ServerStream, now: float) -> None:
        """
        Judge a stream again if that is due; nothing waits for it.

        @param now: seconds since the epoch.
        """
        if now < self._judged.setdefault(stream, now) + AGAIN or stream.retiring:
            return
        due = [remote for remote, verdict in standing(stream).items() if expiry(verdict) <= now]
        if not due or stream in self._busy or len(self._busy) >= AT_A_TIME:
            return
        self._judged[stream] = now
        self._busy.add(stream)

        def done(result: Failure | None) -> None:
            self._busy.discard(stream)
            if result is not None:
                log.failure("s2s: judging stream {id} again has failed", result, id=stream.id)

        Deferred.fromCoroutine(self._renew(stream, due)).addBoth(done)

    async def _renew(self, stream: ServerStream, due: Iterable[str]) -> None:
        for remote in due:
            before = standing(stream).get(remote)
            fresh = await self._judge(stream, remote)
            if stream.closed or before is None:
                return
            if fresh is not None and isAsGood(fresh, before):
                adopt(stream, remote, fresh)
                continue
            tries = self._tries[stream] = self._tries.get(stream, 0) + 1
            if tries < TRIES and (fresh is None or isMissing(fresh, before.prooftype)):
                log.info("s2s: nothing to judge {remote} by", remote=shown(remote), stream=stream.id)
                return
            stream.retire(f"{shown(remote)} is proved by {before.prooftype} no longer")
            return
        self._tries.pop(stream, None)


def standing(stream: ServerStream) -> dict[str, Verdict]:
    """For each domain at the other end the verdict that runs out first, of those that count on a stream."""
    found: dict[str, Verdict] = {}
    verdicts = [(remote, cast(Verdict, verdict)) for (remote, _), verdict in stream.heard.items()]
    if stream.direction == "out" and stream.verdict is not None:
        verdicts.append((stream.remote, cast(Verdict, stream.verdict)))
    for remote, verdict in verdicts:
        known = found.get(remote)
        if known is None or expiry(verdict) < expiry(known):
            found[remote] = verdict
    return found


def expiry(verdict: Verdict) -> float:
    """When a verdict runs out, in seconds since the epoch; infinity for never."""
    return float("inf") if verdict.until is None else verdict.until


def isAsGood(fresh: Verdict, before: Verdict) -> bool:
    """Whether a verdict can take the place of another one."""
    return fresh.accepted and fresh.prooftype.strength >= before.prooftype.strength


def isMissing(fresh: Verdict, prooftype: Prooftype) -> bool:
    """Whether a proof of the type that has held before can't be had, rather than that it fails."""
    return any(
        proof.outcome is Outcome.ABSENT
        and (proof.prooftype is prooftype or {proof.prooftype, prooftype} <= DANE_PROOFTYPES)
        for proof in fresh.proofs
    )


def adopt(stream: ServerStream, remote: str, fresh: Verdict) -> None:
    """Have a verdict take the place of those by certificate that a stream has for a domain."""
    if stream.remote == remote and stream.verdict is not None:
        stream.verdict = fresh
    for pair, verdict in stream.heard.items():
        if pair[0] == remote and verdict.authenticated:
            stream.heard[pair] = fresh
