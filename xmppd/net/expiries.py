"""
Certificates that end while the server runs.

Our own: administrators are warned, by message and in the log, when little is left (L{xmppd.trust.expiry} says when).
They are looked at once a day, and of each certificate every threshold is told once: which were is kept in the store,
over restarts, until the server doesn't have the certificate any more.

Those of other servers: streams live long, and a certificate may end while its stream is open. RFC 6120 section 13.7.2.3
wants such a stream closed, with C{reset}, so that the other side proves itself anew. That is looked at every quarter of
an hour, and what has happened goes into the domain's history, which tells administrators as it tells other changes.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from xmppd.ixmppd import IClock, IHost, IStore, StoreUnavailable
from xmppd.net.hops import verdictsOf
from xmppd.net.peers import Peers
from xmppd.trust.certificates import Certificate
from xmppd.trust.expiry import endOf, isNews, stage, warning
from xmppd.trust.verdict import Prooftype, Verdict
from xmppd.wire import ns
from xmppd.wire.element import Element
from xmppd.wire.errors import StreamCondition, StreamError
from xmppd.wire.stanza import build

log = Logger(namespace="xmppd.tls")

OWNER: Final = "certificates.invalid"
"""Whose facts these are; no domain can have that name (RFC 2606 section 2)."""

KIND: Final = "expiry-told"

EVERY: Final = 86_400.0
"""After how many seconds our own certificates are looked at again."""

STREAMS_EVERY: Final = 900.0
"""After how many seconds those of other servers are looked at again."""

MOST_LINES: Final = 20
"""How many certificates one message names."""

ENDING: Final = frozenset({Prooftype.PKIX, Prooftype.DANE_TA, Prooftype.POSH})
"""The proofs that hold no longer than the certificate. By DANE-EE it has no end (RFC 7671 section 5.1)."""


class Expiries:
    """
    Watches what ends.

    @ivar days: the thresholds of the moment.
    """

    def __init__(
        self,
        store: IStore,
        clock: IClock,
        hosts: Mapping[str, IHost],
        certificates: Callable[[], Iterable[Certificate]],
        days: Sequence[int],
        peers: Peers | None = None,
    ) -> None:
        """
        @param hosts: whose administrators are told.
        @param certificates: answers those that the server has at the moment.
        @param peers: has the streams with other servers; None if there are none.
        """
        self.days = days
        self._store = store
        self._clock = clock
        self._hosts = hosts
        self._certificates = certificates
        self._peers = peers
        self._checking: Any = None
        self._sweeping: Any = None

    def start(self) -> None:
        """Look now, and from now on."""
        self._daily()
        self._sweep()

    def stop(self) -> None:
        """No more."""
        for call in (self._checking, self._sweeping):
            if call is not None and call.active():
                call.cancel()

    # --- ours

    def _daily(self) -> None:
        self._checking = self._clock.callLater(EVERY, self._daily)
        self.check()

    def check(self) -> Deferred[None]:
        """Look at our own certificates, and tell what is new."""
        return Deferred.fromCoroutine(self._check()).addErrback(self._failed)

    def _failed(self, failure: Failure) -> None:
        if failure.check(StoreUnavailable):
            log.warn("who was told of certificates isn't known: {reason}", reason=failure.getErrorMessage())
        else:
            log.failure("looking at certificates has failed", failure)

    async def _check(self) -> None:
        now = self._clock.seconds()
        certificates = {each.sha256: each for each in self._certificates()}
        told = {key: _toldOf(value) for key, value in (await self._store.facts.all(OWNER, KIND)).items()}
        lines = []
        for sha256, each in certificates.items():
            reached = stage(each.notBefore, endOf(each), now, self.days)
            if isNews(reached, told.get(sha256)):
                line = warning(each, now)
                log.warn("{line}; renew it: {path}", line=line, path=str(each.path))
                lines.append(line)
                # Before the message: if the store refuses, nobody is told the same every day.
                await self._store.facts.put(OWNER, KIND, sha256, json.dumps({"days": reached}).encode())
        if lines:
            self._tell(lines)
        for sha256 in told.keys() - certificates.keys():
            await self._store.facts.delete(OWNER, KIND, sha256)

    def _tell(self, lines: Sequence[str]) -> None:
        """Write to every administrator, once."""
        listed = [f"{line[0].upper()}{line[1:]}." for line in lines[:MOST_LINES]]
        if len(lines) > MOST_LINES:
            listed.append(f"The same of {len(lines) - MOST_LINES} more.")
        text = "\n".join([*listed, "Renew what is to stay in use. See: xmppctl cert list"])
        written = set()
        for host in self._hosts.values():
            for admin in host.config.admins:
                if admin not in written:
                    written.add(admin)
                    attrs = {"from": host.domain, "to": admin}
                    host.router.route(build("message", attrs, Element("body", ns.CLIENT, {}, (text,))))

    # --- theirs

    def _sweep(self) -> None:
        self._sweeping = self._clock.callLater(STREAMS_EVERY, self._sweep)
        peers = self._peers
        for stream in tuple(peers.streams) if peers is not None else ():
            over = [each for each in _verdicts(stream) if self._isOver(each)]
            for verdict in over:
                if peers is not None and peers.histories is not None:
                    peers.histories.saw(verdict, stream.direction == "in")
            if over and not stream.closed:
                domains = ", ".join(dict.fromkeys(each.domain for each in over))
                log.info("s2s: the certificate of {domains} has ended; its stream is reset", domains=domains)
                stream.close(StreamError(StreamCondition.RESET, "Your certificate has expired."))

    def _isOver(self, verdict: Verdict) -> bool:
        """Whether what proved a domain has ended."""
        facts = verdict.certificate
        ends = verdict.accepted and verdict.prooftype in ENDING
        return ends and facts is not None and facts.notAfter <= self._clock.seconds()


def _verdicts(stream: Any) -> list[Verdict]:
    """The verdicts on whom a stream comes from or leads to, each once."""
    found: list[Verdict] = []
    for verdict in (*verdictsOf(stream).values(), stream.verdict):
        if verdict is not None and all(verdict is not each for each in found):
            found.append(verdict)
    return found


def _toldOf(value: bytes) -> int | None:
    """The last threshold that was told of; None for a fact that can't be read."""
    try:
        return int(json.loads(value)["days"])
    except (ValueError, KeyError, TypeError):
        return None
