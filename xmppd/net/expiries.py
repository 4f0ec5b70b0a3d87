"""
Certificates of our own that end while the server runs.

Administrators are warned, by message and in the log, when little is left (L{xmppd.trust.expiry} says when). It is
looked at once a day, and of each certificate every threshold is told once: which were is kept in the store, over
restarts, until the server doesn't have the certificate any more. Those of other servers are the business of
L{xmppd.net.renewal}.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from xmppd.ixmppd import IClock, IHost, IStore, StoreUnavailable
from xmppd.trust.certificates import Certificate
from xmppd.trust.expiry import endOf, isNews, stage, warning
from xmppd.wire import ns
from xmppd.wire.element import Element
from xmppd.wire.stanza import build

log = Logger(namespace="xmppd.tls")

OWNER: Final = "certificates.invalid"
"""Whose facts these are; no domain can have that name (RFC 2606 section 2)."""

KIND: Final = "expiry-told"

EVERY: Final = 86_400.0
"""After how many seconds our own certificates are looked at again."""

MOST_LINES: Final = 20
"""How many certificates one message names."""


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
    ) -> None:
        """
        @param hosts: whose administrators are told.
        @param certificates: answers those that the server has at the moment.
        """
        self.days = days
        self._store = store
        self._clock = clock
        self._hosts = hosts
        self._certificates = certificates
        self._next: Any = None

    def start(self) -> None:
        """Look now, and from now on."""
        self._next = self._clock.callLater(EVERY, self.start)
        self.check()

    def stop(self) -> None:
        """No more."""
        if self._next is not None and self._next.active():
            self._next.cancel()

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


def _toldOf(value: bytes) -> int | None:
    """The last threshold that was told of; None for a fact that can't be read."""
    try:
        return int(json.loads(value)["days"])
    except (ValueError, KeyError, TypeError):
        return None
