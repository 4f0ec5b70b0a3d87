"""
What becomes of stanzas that a client never acknowledged, when its session is over (XEP-0198 section 4).

They are treated as if they were sent to a resource that is not there: requests are answered with an error, messages
are routed again, to the account: that is to another resource, or to those who keep messages for users who are away.
What stands in the spool already in the right order just loses its holder and is an offline message from then on. What
another client of the account was given when it came, and has acknowledged or answers for, needs no other place; that is
known only of messages whose senders count.
Nothing is taken out of the spool before its new place is secured.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred, gatherResults, succeed
from twisted.logger import Logger
from twisted.python.failure import Failure

from xmppd.features.xep0198_sm.custody import PlainCustody
from xmppd.features.xep0198_sm.queue import COPIES, Entry, outlasts
from xmppd.features.xep0198_sm.settlement import Settlement, tidy
from xmppd.ixmppd import IHost
from xmppd.wire import ns
from xmppd.wire.dates import dateTime
from xmppd.wire.element import Element
from xmppd.wire.errors import StanzaCondition, StanzaError
from xmppd.wire.stanza import Stanza

if TYPE_CHECKING:
    from xmppd.features.xep0198_sm.management import Management

log = Logger(namespace="xmppd.sm")

DELAY = f"{ns.DELAY} delay"


def delayed(stanza: Stanza, domain: str, stamp: float) -> Stanza:
    """A message with the time the server took it (XEP-0203), unless it says one already."""
    if stanza.kind != "message" or DELAY in stanza.childNames:
        return stanza
    element = Element("delay", ns.DELAY, {"from": domain, "stamp": dateTime(stamp)})
    return stanza.extended(element.toBytes(), (DELAY,))


def _isElsewhere(entry: Entry) -> bool:
    """Whether another client of the account was given the same message, and the account has it or will by that."""
    for each in entry.stanza.promise or ():
        if isinstance(each, (Entry, PlainCustody)) and each is not entry and each.stanza is entry.stanza and each.kept:
            return True
    return False


class Estate:
    """What one session leaves."""

    def __init__(self, host: IHost, management: Management, leftovers: Sequence[int]) -> None:
        """
        @param leftovers: rows of the spool that are not needed any more.
        """
        self._host = host
        self._bare = management.bare
        self._token = management.token
        self._durable = management.durable
        self._guest = management.session.account.anonymous
        self._leftovers = list(leftovers)

    def settle(self, entries: Sequence[Entry]) -> Deferred[None]:
        """
        Find a new place for everything.

        @return: fires when who binds next will find what is meant for it.
        """
        for entry in entries:
            entry.moved = True
            self._refuseRequest(entry.stanza)
        messages = [entry for entry in entries if entry.stanza.kind == "message"]
        staying = self._staying(messages)
        going = [entry for entry in messages if entry not in staying]
        done: list[Deferred[None]] = []
        copies = [copy for entry in going if (copy := self._copy(entry, done)) is not None]
        for copy in copies:
            self._host.router.route(copy)
        rows = [entry.row for entry in going if entry.row is not None] + self._leftovers
        if not copies and not rows and not staying and not self._durable:
            return succeed(None)
        settled: Deferred[None] = Deferred()
        work = Deferred.fromCoroutine(self._work(copies, done, rows, bool(staying), settled))
        work.addErrback(self._failed, settled)
        return settled

    def _refuseRequest(self, stanza: Stanza) -> None:
        """A request for a resource that isn't there (RFC 6121 section 8.5.3.2.3)."""
        if stanza.kind == "iq" and stanza.attrs.get("type") in ("get", "set"):
            self._host.router.bounce(stanza, StanzaError(StanzaCondition.SERVICE_UNAVAILABLE))

    def _staying(self, messages: Sequence[Entry]) -> set[Entry]:
        """What just becomes offline messages: those at the front that are stored, in the order of their rows."""
        staying: set[Entry] = set()
        if self._guest or self._othersAvailable():
            return staying
        last = 0
        for entry in messages:
            if not outlasts(entry.stanza) or _isElsewhere(entry):
                continue
            if entry.row is None or entry.row < last:
                break
            staying.add(entry)
            last = entry.row
        return staying

    def _othersAvailable(self) -> bool:
        sessions = self._host.sessions.get(self._bare, {}).values()
        return any(session.presence is not None and session.priority >= 0 for session in sessions)

    def _copy(self, entry: Entry, done: list[Deferred[None]]) -> Stanza | None:
        """The message to be routed again, or None for what others have; who promised it has to wait."""
        stanza = entry.stanza
        if stanza.attrs.get("from") == self._bare and not COPIES.isdisjoint(stanza.childNames):
            return None
        if _isElsewhere(entry):
            return None
        copy = delayed(stanza, self._host.domain, entry.stamp)
        # What is kept for users who are away is for the account now; the rest is for a resource that isn't there.
        copy = copy.addressed({"to": self._bare} if outlasts(stanza) else {})
        copy.archived = stanza.archived or False
        copy.promise = []
        if stanza.promise is not None:
            waiting: Deferred[None] = Deferred()
            stanza.promise.append(waiting)
            done.append(waiting)
        return copy

    async def _work(
        self,
        copies: Sequence[Stanza],
        done: Sequence[Deferred[None]],
        rows: Sequence[int],
        kept: bool,
        settled: Deferred[None],
    ) -> None:
        await Settlement(self._host, copies, self._host.spool.add).secure()
        for each in done:
            each.callback(None)
        spool = self._host.spool
        acts: list[Callable[[], Deferred[Any]]] = []
        if rows:
            acts.append(lambda: spool.remove(rows))
        if kept:
            acts.append(lambda: spool.release(self._token))
        if self._durable:
            acts.append(lambda: spool.removeSession(self._token))
        # All at once: the store keeps their order, and a stop of the server waits for what it was given.
        first = [Deferred[None]() for _ in acts]
        works = [
            Deferred.fromCoroutine(tidy(self._host.clock, act, tried)) for act, tried in zip(acts, first, strict=True)
        ]
        await gatherResults(first)
        settled.callback(None)
        await gatherResults(works, consumeErrors=True)

    def _failed(self, failure: Failure, settled: Deferred[None]) -> None:
        log.failure("what {bare} did not acknowledge could not be settled", failure, bare=self._bare)
        if not settled.called:
            settled.callback(None)

    def release(self) -> None:
        """A message was stored for the session after its end."""
        work = Deferred.fromCoroutine(tidy(self._host.clock, lambda: self._host.spool.release(self._token)))
        work.addErrback(lambda failure: log.failure("releasing messages failed", failure))
