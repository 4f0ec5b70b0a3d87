"""
What other domains have shown, remembered over restarts; and administrators told of changes that they should look at
(RFC 7590 section 3.6). What a change is decides L{xmppd.trust.history}; here it is kept and told.

There is one fact for each domain, with its sightings, its last warnings, and what it was proved by. Which domains there
are is learnt from the store once. Their number is bounded: of too many, the one goes that was known for the shortest
time, so whoever makes up domains, with certificates for all of them, drives out others of that kind, and none that has
been known for long. Messages to administrators are bounded, too; the log has every warning.

What a domain was proved by can be asked for (L{Histories.past}), in turn with what is being written: it decides whether
less is enough.

The certificates themselves are kept as well, with those that were shown along with them, for the latest few of each
domain: a fact for each, in PEM, so that they can be looked at when they are long gone.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from twisted.internet.defer import Deferred, DeferredLock
from twisted.logger import Logger

from xmppd.counters import Counters
from xmppd.ixmppd import IClock, IHost, IStore, StoreUnavailable
from xmppd.trust.certificatefacts import fromPEM, shown, toPEM
from xmppd.trust.history import (
    WARNED,
    Change,
    Proved,
    Sighting,
    alarmsOf,
    isMemorable,
    isRestored,
    observe,
    pastOf,
    provedBy,
    remembered,
    sightingOf,
    withProof,
)
from xmppd.trust.verdict import Past, Prooftype, Verdict
from xmppd.wire import ns
from xmppd.wire.element import Element
from xmppd.wire.stanza import build

log = Logger(namespace="xmppd.s2s")

OWNER: Final = "peers.invalid"
"""Whose facts these are; no domain can have that name (RFC 2606 section 2)."""

KIND: Final = "peer-history"

CERTIFICATES: Final = "peer-certificates"

MOST_CERTIFICATES: Final = 8
"""How many certificates of one domain are kept; of older ones, only what a sighting says."""

MOST_OCTETS: Final = 12_288
"""How many octets of DER are kept of a certificate and those that came with it: what doesn't fit is left out."""

MOST_DOMAINS: Final = 5000
"""Of how many domains there is a history."""

MOST_WAITING: Final = 1000
"""How many sightings wait for the store."""

MOST_WARNINGS: Final = 8
"""How many warnings of one domain are kept."""

REFRESH: Final = 3600.0
"""After how many seconds it is written that nothing has changed."""

TELLING: Final = 3600.0
MOST_TOLD: Final = 20
"""How many messages administrators get in L{TELLING} seconds; of one domain, one."""

MOST_OF_NEWCOMERS: Final = 10
"""After how many of them none is about a newcomer: who has many domains could leave no room for what matters."""

NEWCOMER: Final = 7 * 86_400.0
"""For how many seconds a domain has to be known to be none."""


@dataclass(frozen=True, slots=True)
class Warned:
    """
    A warning that was given.

    @ivar at: when, seconds since the epoch.
    @ivar incoming: whether the domain had connected to us.
    @ivar changes: what has changed, the gravest first.
    @ivar text: in words.
    @ivar acknowledged: when an administrator has said that it was looked at, seconds since the epoch, or None.
    @ivar by: who has.
    """

    at: float
    incoming: bool
    changes: tuple[Change, ...]
    text: str
    acknowledged: float | None = None
    by: str = ""

    def facts(self) -> dict[str, Any]:
        """For programs, and for the store."""
        return {
            "at": self.at,
            "incoming": self.incoming,
            "changes": list(map(str, self.changes)),
            "text": self.text,
            "acknowledged": self.acknowledged,
            "by": self.by,
        }


@dataclass(frozen=True, slots=True)
class History:
    """
    What is remembered of one domain.

    @ivar sightings: the latest first.
    @ivar warnings: the latest first.
    @ivar proved: by what it was proved, the latest first.
    @ivar excused: for which directions (incoming or not) an administrator has said that less is enough.
    """

    sightings: tuple[Sighting, ...] = ()
    warnings: tuple[Warned, ...] = ()
    proved: tuple[Proved, ...] = ()
    excused: frozenset[bool] = frozenset()

    def facts(self) -> dict[str, Any]:
        """For programs, and for the store."""
        return {
            "sightings": [sightingFacts(each) for each in self.sightings],
            "warnings": [each.facts() for each in self.warnings],
            "proved": [provedFacts(each) for each in self.proved],
            "excused": sorted(self.excused),
        }

    def past(self, incoming: bool, since: float, confirmed: bool = False) -> Past:
        """What speaks against weaker proofs; see L{pastOf}."""
        return pastOf(self.proved, self.excused, incoming, since, confirmed)

    def after(self, sighting: Sighting) -> History:
        """The history once an accepted stream was seen, sightings left out."""
        excused = self.excused
        if isRestored(self.proved, sighting):
            excused -= {sighting.incoming}
        return replace(self, proved=withProof(self.proved, sighting), excused=excused)

    def protectsLike(self, other: History) -> bool:
        """Whether weaker proofs are worth the same after both, but for the time."""
        kinds = ({(each.incoming, each.prooftype) for each in history.proved} for history in (self, other))
        return self.excused == other.excused and next(kinds) == next(kinds)

    @property
    def pending(self) -> Warned | None:
        """The last warning that nobody has acknowledged, or None."""
        return next((each for each in self.warnings if each.acknowledged is None), None)

    @property
    def kept(self) -> tuple[str, ...]:
        """The hashes of the certificates that are kept, the latest first."""
        return tuple(dict.fromkeys(each.sha256 for each in self.sightings if each.sha256))[:MOST_CERTIFICATES]

    @property
    def known(self) -> tuple[float, float]:
        """For how long the domain is known, in seconds, and when it was last seen."""
        if not self.sightings:
            return 0.0, 0.0
        last = max(each.lastSeen for each in self.sightings)
        return last - min(each.firstSeen for each in self.sightings), last


def sightingFacts(sighting: Sighting) -> dict[str, Any]:
    """A sighting as values that JSON can hold."""
    return {
        "incoming": sighting.incoming,
        "sha256": sighting.sha256,
        "public_key_sha256": sighting.publicKeySHA256,
        "authority": sighting.authority,
        "not_before": sighting.notBefore,
        "not_after": sighting.notAfter,
        "prooftype": str(sighting.prooftype),
        "first_seen": sighting.firstSeen,
        "last_seen": sighting.lastSeen,
        "alternating": sighting.alternating,
    }


def provedFacts(proved: Proved) -> dict[str, Any]:
    """What a domain was proved by as values that JSON can hold."""
    return {"incoming": proved.incoming, "prooftype": str(proved.prooftype), "last_seen": proved.lastSeen}


def historyOf(value: bytes) -> History:
    """A history from the store; empty if it can't be read, so that a damaged fact is one that is forgotten."""
    try:
        return historyFrom(json.loads(value))
    except (ValueError, KeyError, TypeError):
        return History()


def historyFrom(facts: Mapping[str, Any]) -> History:
    """
    A history from its facts.

    @raise Exception: ValueError, KeyError, TypeError, if they are none.
    """
    sightings = tuple(map(_sighting, facts["sightings"]))
    proved = tuple(map(_proved, facts["proved"])) if "proved" in facts else provedBy(sightings)
    excused = frozenset(map(bool, facts.get("excused", ())))
    return History(sightings, tuple(map(_warned, facts["warnings"])), proved, excused)


def _proved(facts: Mapping[str, Any]) -> Proved:
    return Proved(bool(facts["incoming"]), Prooftype(facts["prooftype"]), float(facts["last_seen"]))


def _sighting(facts: Mapping[str, Any]) -> Sighting:
    return Sighting(
        bool(facts["incoming"]),
        str(facts["sha256"]),
        str(facts["public_key_sha256"]),
        str(facts["authority"]),
        float(facts["not_before"]),
        float(facts["not_after"]),
        Prooftype(facts["prooftype"]),
        float(facts["first_seen"]),
        float(facts["last_seen"]),
        bool(facts.get("alternating", False)),
    )


def _warned(facts: Mapping[str, Any]) -> Warned:
    changes = tuple(map(Change, facts["changes"]))
    acknowledged = facts.get("acknowledged")
    return Warned(
        float(facts["at"]),
        bool(facts["incoming"]),
        changes,
        str(facts["text"]),
        None if acknowledged is None else float(acknowledged),
        str(facts.get("by", "")),
    )


class Histories:
    """
    The histories of all domains.

    @ivar warned: for each domain that was warned of, its last warning that nobody has acknowledged; complete once the
        store was read, with the first sighting.
    """

    def __init__(
        self, store: IStore, clock: IClock, hosts: Mapping[str, IHost], counters: Counters | None = None
    ) -> None:
        """
        @param hosts: whose administrators are told.
        @param counters: where changes are counted.
        """
        self.warned: dict[str, Warned] = {}
        self._changes = (counters or Counters()).certificateChanges
        self._store = store
        self._clock = clock
        self._hosts = hosts
        self._lock = DeferredLock()
        self._waiting = 0
        self._known: dict[str, tuple[float, float]] | None = None
        self._told: deque[tuple[float, str]] = deque()
        self._toldOfMore = -TELLING

    def saw(
        self, verdict: Verdict, incoming: bool, chain: Sequence[bytes] = (), known: bool = False
    ) -> Deferred[None] | None:
        """
        A handshake has ended. Nothing waits for what this answers.

        @param incoming: whether the domain has connected to us.
        @param chain: DER of the certificates that it has shown, its own first.
        @param known: whether it was the domain that has shown them, even if the verdict doesn't say so.
        """
        memorable = known or isMemorable(verdict, incoming)
        if not memorable and not verdict.objections:
            return None
        if self._waiting >= MOST_WAITING:
            log.warn("s2s history: too much to remember, {domain} isn't", domain=shown(verdict.domain))
            return None
        self._waiting += 1
        now = self._clock.seconds()

        def work() -> Deferred[None]:
            return Deferred.fromCoroutine(self._saw(verdict, sightingOf(verdict, incoming, now), memorable, chain))

        return self._lock.run(work).addErrback(self._failed).addCallback(self._done)

    def past(self, domain: str, incoming: bool, since: float, confirmed: bool = False) -> Deferred[Past]:
        """
        What a domain was proved by before, once all that was seen so far is remembered; see L{pastOf}. Doesn't fail: a
        store that can't be read is a problem in the answer.
        """

        async def ask() -> Past:
            return (await self.of(domain)).past(incoming, since, confirmed)

        def unknown(failure: Any) -> Past:
            self._failed(failure)
            return Past(problem="the database can't be read")

        return self._lock.run(lambda: Deferred.fromCoroutine(ask())).addErrback(unknown)

    async def settled(self) -> None:
        """Wait until all that was seen so far is remembered, or can't be."""
        await self._lock.run(lambda: None)

    def _failed(self, failure: Any) -> None:
        if failure.check(StoreUnavailable):
            log.warn("s2s history: {reason}", reason=failure.getErrorMessage())
        else:
            log.failure("s2s history", failure)

    def _done(self, result: None) -> None:
        self._waiting -= 1

    async def _saw(self, verdict: Verdict, sighting: Sighting, memorable: bool, chain: Sequence[bytes]) -> None:
        """Compare, tell, remember."""
        domain = verdict.domain
        known = await self._domains()
        history = before = await self.of(domain)
        news = [each for each in alarmsOf(verdict) if isNews(each, history.warnings)]
        if memorable:
            observation = observe(history.sightings, sighting, sighting.lastSeen)
            news += zip(observation.changes, observation.texts, strict=True)
            history = replace(history, sightings=remembered(history.sightings, sighting))
        if verdict.accepted:
            history = history.after(sighting)
        changes = tuple(change for change, _ in news if change not in (Change.SAME, Change.ALTERNATED))
        if not changes and history.protectsLike(before) and wasSeen(before.sightings, sighting):
            return
        for change in changes:
            self._changes.add(str(change))
        text = "; ".join(text for _, text in news)
        if not WARNED.isdisjoint(changes):
            warning = Warned(sighting.lastSeen, sighting.incoming, changes, text)
            history = replace(history, warnings=(warning, *history.warnings)[:MOST_WARNINGS])
            self._warn(domain, warning, verdict.accepted, before.known[0] < NEWCOMER)
        elif changes:
            log.info("s2s history: {domain}: {text}", domain=shown(domain), text=text)
        await self._keepCertificates(domain, before.kept, history.kept, sighting.sha256, chain)
        await self._keep(domain, history, known)

    async def _keepCertificates(
        self, domain: str, before: Sequence[str], after: Sequence[str], sha256: str, chain: Sequence[bytes]
    ) -> None:
        """
        Write the certificates that were shown unless they are there, and delete those that nobody could ask for.

        @param before: the hashes of those that were kept.
        @param after: the hashes of those that are to be kept.
        """
        facts = self._store.facts
        if sha256 in after and chain and await facts.get(OWNER, CERTIFICATES, f"{domain} {sha256}") is None:
            await facts.put(OWNER, CERTIFICATES, f"{domain} {sha256}", toPEM(fitting(chain)))
        for each in set(before) - set(after):
            await facts.delete(OWNER, CERTIFICATES, f"{domain} {each}")

    async def _keep(self, domain: str, history: History, known: dict[str, tuple[float, float]]) -> None:
        """Write a history, and forget that of another domain if there are too many."""
        facts = self._store.facts
        if domain not in known and len(known) >= MOST_DOMAINS:
            shortest = min(known, key=known.__getitem__)
            del known[shortest]
            self.warned.pop(shortest, None)
            await self._keepCertificates(shortest, (await self.of(shortest)).kept, (), "", ())
            await facts.delete(OWNER, KIND, shortest)
        known[domain] = history.known
        await facts.put(OWNER, KIND, domain, json.dumps(history.facts()).encode())

    async def _domains(self) -> dict[str, tuple[float, float]]:
        """The domains with a history, and how long each is known."""
        if self._known is None:
            every = await self._store.facts.all(OWNER, KIND)
            self._known = {}
            for domain, value in every.items():
                history = historyOf(value)
                self._known[domain] = history.known
                if history.pending is not None:
                    self.warned[domain] = history.pending
        return self._known

    # --- views

    async def of(self, domain: str) -> History:
        """The history of a domain; empty if there is none."""
        value = await self._store.facts.get(OWNER, KIND, domain)
        return History() if value is None else historyOf(value)

    async def chain(self, domain: str, sha256: str) -> tuple[bytes, ...]:
        """DER of a certificate that a domain has shown, and of those that came with it; empty if it isn't kept."""
        value = await self._store.facts.get(OWNER, CERTIFICATES, f"{domain} {sha256}")
        return () if value is None else fromPEM(value)

    async def domains(self) -> Iterable[str]:
        """The domains with a history."""
        return tuple(await self._domains())

    # --- acknowledging

    def acknowledge(self, domain: str, by: str) -> Deferred[int]:
        """
        Somebody has looked at the warnings about a domain. Answers how many there were that nobody had looked at. If
        one of them was that the domain was proved by more before, less is enough from now on. May fail with
        L{StoreUnavailable}.

        @param by: who.
        """

        def work() -> Deferred[int]:
            return Deferred.fromCoroutine(self._acknowledge(domain, by))

        return self._lock.run(work)

    async def _acknowledge(self, domain: str, by: str) -> int:
        known = await self._domains()
        history = await self.of(domain)
        pending = sum(each.acknowledged is None for each in history.warnings)
        if pending:
            now = self._clock.seconds()
            warnings = (
                each if each.acknowledged is not None else replace(each, acknowledged=now, by=by)
                for each in history.warnings
            )
            excused = history.excused
            if any(Change.DOWNGRADE in each.changes for each in history.warnings if each.acknowledged is None):
                excused = frozenset({True, False})
            await self._keep(domain, replace(history, warnings=tuple(warnings), excused=excused), known)
            self.warned.pop(domain, None)
            log.info("s2s history: {by} has looked at the changes of {domain}", by=shown(by), domain=shown(domain))
        return pending

    # --- telling

    def _warn(self, domain: str, warning: Warned, accepted: bool, newcomer: bool) -> None:
        """
        Tell the log, and administrators unless they were told too much.

        @param accepted: whether stanzas pass nevertheless.
        @param newcomer: whether the domain isn't known for long.
        """
        self.warned[domain] = warning
        name, way = shown(domain), "it has connected" if warning.incoming else "we have connected"
        changes = " ".join(warning.changes)
        log.warn(
            "s2s changed: remote={domain} changes={changes} ({way}): {text}",
            domain=name, changes=changes, way=way, text=warning.text,
        )
        if self._mayTell(domain, warning.at, newcomer):
            first = Change.FIRST_SEEN in warning.changes
            about = f"Look at the server of {name}" if first else f"The server of {name} has changed"
            self._tell(
                f"{about} ({way}): {warning.text}. If nobody there knows of that, somebody may"
                f" be listening in. See: xmppctl dna history {name}{_advice(name, warning.changes, accepted)}"
            )

    def _mayTell(self, domain: str, now: float, newcomer: bool) -> bool:
        """Whether administrators haven't been told too much; if they have, they are told that once."""
        while self._told and self._told[0][0] <= now - TELLING:
            self._told.popleft()
        if any(told == domain for _, told in self._told):
            return False
        if len(self._told) < (MOST_OF_NEWCOMERS if newcomer else MOST_TOLD):
            self._told.append((now, domain))
            return True
        if now - self._toldOfMore >= TELLING:
            self._toldOfMore = now
            self._tell(
                "The servers of more domains have changed than you are told of one by one. The log has them all, and"
                " so has: xmppctl dna history"
            )
        return False

    def _tell(self, text: str) -> None:
        """Send a message to the administrators of all hosts."""
        for host in self._hosts.values():
            for admin in host.config.admins:
                attrs = {"from": host.domain, "to": admin}
                host.router.route(build("message", attrs, Element("body", ns.CLIENT, {}, (text,))))


def _advice(name: str, changes: Sequence[Change], accepted: bool) -> str:
    """What to do if what isn't accepted is meant to be."""
    if accepted:
        return ""
    if Change.OTHER_NAMES in changes:
        return f'. Where that is meant to be, let it pass: [s2s.peer."{name}"] prooftypes'
    if Change.DOWNGRADE in changes:
        return f". It is believed again when it is proved as before, or if you say: xmppctl dna acknowledge {name}"
    return ""


def isNews(alarm: tuple[Change, str], warnings: Iterable[Warned]) -> bool:
    """Whether something isn't among warnings: neither in the same words nor among what nobody has looked at yet."""
    change, text = alarm
    return not any(
        change in each.changes and (each.acknowledged is None or text in each.text) for each in warnings
    )


def wasSeen(sightings: Iterable[Sighting], new: Sighting) -> bool:
    """Whether a certificate was seen so lately that it needn't be written again."""
    which = (new.incoming, new.sha256)
    before = next((each for each in sightings if (each.incoming, each.sha256) == which), None)
    return before is not None and new.lastSeen - before.lastSeen < REFRESH


def fitting(chain: Sequence[bytes]) -> list[bytes]:
    """The certificates of a chain that fit into L{MOST_OCTETS}, in order."""
    left = MOST_OCTETS
    found = []
    for der in chain:
        if len(der) > left:
            break
        left -= len(der)
        found.append(der)
    return found
