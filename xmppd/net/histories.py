"""
What other domains have shown, remembered over restarts; and administrators told of changes that they should look at
(RFC 7590 section 3.6). What a change is decides L{xmppd.trust.history}; here it is kept and told.

There is one fact for each domain, with its sightings and its last warnings. Which domains there are is learnt from the
store once. Their number is bounded: of too many, the one goes that was known for the shortest time, so whoever makes up
domains, with certificates for all of them, drives out others of that kind, and none that has been known for long.
Messages to administrators are bounded, too; the log has every warning.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from twisted.internet.defer import Deferred, DeferredLock
from twisted.logger import Logger

from xmppd.ixmppd import IClock, IHost, IStore, StoreUnavailable
from xmppd.trust.certificatefacts import shown
from xmppd.trust.history import Change, Sighting, isMemorable, observe, remembered, sightingOf
from xmppd.trust.verdict import Prooftype, Verdict
from xmppd.wire import ns
from xmppd.wire.element import Element
from xmppd.wire.stanza import build

log = Logger(namespace="xmppd.s2s")

OWNER: Final = "peers.invalid"
"""Whose facts these are; no domain can have that name (RFC 2606 section 2)."""

KIND: Final = "peer-history"

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


@dataclass(frozen=True, slots=True)
class Warned:
    """
    A warning that was given.

    @ivar at: when, seconds since the epoch.
    @ivar incoming: whether the domain had connected to us.
    @ivar changes: what has changed, the gravest first.
    @ivar text: in words.
    """

    at: float
    incoming: bool
    changes: tuple[Change, ...]
    text: str

    def facts(self) -> dict[str, Any]:
        """For programs, and for the store."""
        return {"at": self.at, "incoming": self.incoming, "changes": list(map(str, self.changes)), "text": self.text}


@dataclass(frozen=True, slots=True)
class History:
    """
    What is remembered of one domain.

    @ivar sightings: the latest first.
    @ivar warnings: the latest first.
    """

    sightings: tuple[Sighting, ...] = ()
    warnings: tuple[Warned, ...] = ()

    def facts(self) -> dict[str, Any]:
        """For programs, and for the store."""
        return {
            "sightings": [sightingFacts(each) for each in self.sightings],
            "warnings": [each.facts() for each in self.warnings],
        }

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
    }


def historyOf(value: bytes) -> History:
    """A history from the store; empty if it can't be read, so that a damaged fact is one that is forgotten."""
    try:
        facts = json.loads(value)
        return History(tuple(map(_sighting, facts["sightings"])), tuple(map(_warned, facts["warnings"])))
    except (ValueError, KeyError, TypeError):
        return History()


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
    )


def _warned(facts: Mapping[str, Any]) -> Warned:
    changes = tuple(map(Change, facts["changes"]))
    return Warned(float(facts["at"]), bool(facts["incoming"]), changes, str(facts["text"]))


class Histories:
    """
    The histories of all domains.

    @ivar warned: for each domain that was warned of since the start, or has been there since, its last warning.
    """

    def __init__(self, store: IStore, clock: IClock, hosts: Mapping[str, IHost]) -> None:
        """
        @param hosts: whose administrators are told.
        """
        self.warned: dict[str, Warned] = {}
        self._store = store
        self._clock = clock
        self._hosts = hosts
        self._lock = DeferredLock()
        self._waiting = 0
        self._known: dict[str, tuple[float, float]] | None = None
        self._told: deque[tuple[float, str]] = deque()

    def saw(self, verdict: Verdict, incoming: bool) -> Deferred[None] | None:
        """
        A handshake has ended. Nothing waits for what this answers.

        @param incoming: whether the domain has connected to us.
        """
        if not isMemorable(verdict, incoming):
            return None
        if self._waiting >= MOST_WAITING:
            log.warn("s2s history: too much to remember, {domain} isn't", domain=shown(verdict.domain))
            return None
        self._waiting += 1
        sighting = sightingOf(verdict, incoming, self._clock.seconds())

        def work() -> Deferred[None]:
            return Deferred.fromCoroutine(self._saw(verdict.domain, sighting))

        return self._lock.run(work).addErrback(self._failed).addCallback(self._done)

    def _failed(self, failure: Any) -> None:
        if failure.check(StoreUnavailable):
            log.warn("s2s history: {reason}", reason=failure.getErrorMessage())
        else:
            log.failure("s2s history", failure)

    def _done(self, result: None) -> None:
        self._waiting -= 1

    async def _saw(self, domain: str, sighting: Sighting) -> None:
        """Compare, tell, remember."""
        known = await self._domains()
        history = await self.of(domain)
        observation = observe(history.sightings, sighting, sighting.lastSeen)
        which = (sighting.incoming, sighting.sha256)
        before = next((each for each in history.sightings if (each.incoming, each.sha256) == which), None)
        isSame = observation.changes == (Change.SAME,)
        if history.warnings:
            self.warned.setdefault(domain, history.warnings[0])
        if isSame and before is not None and sighting.lastSeen - before.lastSeen < REFRESH:
            return
        history = replace(history, sightings=remembered(history.sightings, sighting))
        if observation.warns:
            warning = Warned(sighting.lastSeen, sighting.incoming, observation.changes, observation.text)
            history = replace(history, warnings=(warning, *history.warnings)[:MOST_WARNINGS])
            self._warn(domain, warning)
        elif not isSame:
            log.info("s2s history: {domain}: {text}", domain=shown(domain), text=observation.text)
        await self._keep(domain, history, known)

    async def _keep(self, domain: str, history: History, known: dict[str, tuple[float, float]]) -> None:
        """Write a history, and forget that of another domain if there are too many."""
        facts = self._store.facts
        if domain not in known and len(known) >= MOST_DOMAINS:
            shortest = min(known, key=known.__getitem__)
            del known[shortest]
            self.warned.pop(shortest, None)
            await facts.delete(OWNER, KIND, shortest)
        known[domain] = history.known
        await facts.put(OWNER, KIND, domain, json.dumps(history.facts()).encode())

    async def _domains(self) -> dict[str, tuple[float, float]]:
        """The domains with a history, and how long each is known."""
        if self._known is None:
            every = await self._store.facts.all(OWNER, KIND)
            self._known = {domain: historyOf(value).known for domain, value in every.items()}
        return self._known

    # --- views

    async def of(self, domain: str) -> History:
        """The history of a domain; empty if there is none."""
        value = await self._store.facts.get(OWNER, KIND, domain)
        return History() if value is None else historyOf(value)

    async def domains(self) -> Iterable[str]:
        """The domains with a history."""
        return tuple(await self._domains())

    # --- telling

    def _warn(self, domain: str, warning: Warned) -> None:
        """Tell the log, and administrators unless they were told too much."""
        self.warned[domain] = warning
        name, way = shown(domain), "it has connected" if warning.incoming else "we have connected"
        changes = " ".join(warning.changes)
        log.warn(
            "s2s changed: remote={domain} changes={changes} ({way}): {text}",
            domain=name, changes=changes, way=way, text=warning.text,
        )
        while self._told and self._told[0][0] <= warning.at - TELLING:
            self._told.popleft()
        if len(self._told) >= MOST_TOLD or any(told == domain for _, told in self._told):
            return
        self._told.append((warning.at, domain))
        text = (
            f"The server of {name} has changed ({way}): {warning.text}. If nobody there knows of that, somebody may be"
            f" listening in. See: xmppctl dna history {name}"
        )
        for host in self._hosts.values():
            for admin in host.config.admins:
                attrs = {"from": host.domain, "to": admin}
                host.router.route(build("message", attrs, Element("body", ns.CLIENT, {}, (text,))))
