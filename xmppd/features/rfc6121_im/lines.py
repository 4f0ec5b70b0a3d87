"""
What waits behind subscription stanzas (RFC 6120 section 10.1).

Theory of operation: nearly everything that comes in is delivered at once, but a subscription stanza has to wait for its
receiver's roster, and what its sender sends to the same account after it must not overtake it: not the presence that it
allows, nor a message. So as long as such a stanza is being worked on there is a I{line} for the pair of sender and
account, and whatever else comes from the one to the other stands in it. Then the line is routed, in order; another
subscription stanza in it stops it again.

Nobody pays for this while nothing is being worked on: only then the host has an C{inbox} and the account's sessions
have a receive refusal.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Any, Final

from twisted.internet.defer import Deferred
from twisted.logger import Logger

from xmppd.features.rfc6121_im.states import SUBSCRIPTION_TYPES
from xmppd.hooks import Unanswered
from xmppd.ixmppd import IHost, ISession
from xmppd.wire.errors import StanzaCondition, StanzaError
from xmppd.wire.jid import JID, JIDMalformed, parse
from xmppd.wire.stanza import Stanza

log = Logger(namespace="xmppd.subscription")

WAITING: Final = 1000
"""How many stanzas may wait in one line; more are refused."""

OCTETS: Final = 16 << 20
"""How many octets may wait in all lines of a host."""


def after(works: Sequence[Deferred[Any]]) -> Deferred[None]:
    """A Deferred of its own that fires when all others have, however they end; they keep their results."""
    left = [each for each in works if not each.called or each.paused]
    fired: Deferred[None] = Deferred()

    def passing(result: object, each: Deferred[Any]) -> object:
        left.remove(each)
        if not left:
            fired.callback(None)
        return result

    if not left:
        fired.callback(None)
    for each in tuple(left):
        each.addBoth(passing, each)
    return fired


class Line:
    """
    What one sender sends to one account.

    @ivar sender: the bare JID of the one.
    @ivar account: the bare JID of the other.
    @ivar busy: how many subscription stanzas are being worked on.
    @ivar passing: whether a stanza is being routed whose turn it is.
    @ivar waiting: the others, each with what its promise waits for, if it has one.
    """

    __slots__ = ("_lines", "account", "busy", "passing", "sender", "waiting")

    def __init__(self, lines: Lines, sender: str, account: str) -> None:
        self._lines = lines
        self.sender = sender
        self.account = account
        self.busy = 0
        self.passing = False
        self.waiting: deque[tuple[Stanza, Deferred[None] | None]] = deque()

    def refuses(self, session: ISession, stanza: Stanza) -> StanzaError | None:
        """A receive refusal: what is addressed to the session waits. What is for the account has waited already."""
        if self.passing or stanza.attrs.get("to") != session.full or bareSender(stanza) != self.sender:
            return None
        self._lines.wait(self, stanza)
        return Unanswered(StanzaCondition.UNDEFINED_CONDITION)

    def overtakes(self, stanza: Stanza) -> bool:
        """Whether a stanza would, if it did not wait. Subscription stanzas have a queue of their own."""
        if self.passing:
            return False
        alone = not self.waiting and stanza.kind == "presence" and stanza.attrs.get("type") in SUBSCRIPTION_TYPES
        return not alone


class Lines:
    """The lines of one host."""

    def __init__(self, host: IHost) -> None:
        self._host = host
        self._lines: dict[str, dict[str, Line]] = {}
        self._octets = 0

    def behind(self, sender: str, account: str, work: Deferred[None]) -> None:
        """What comes from a sender for an account waits for the work on a subscription stanza."""
        if work.called and not work.paused:
            return
        line = self._lines.get(account, {}).get(sender) or self._open(sender, account)
        line.busy += 1
        work.addBoth(self._done, line)

    def _open(self, sender: str, account: str) -> Line:
        line = Line(self, sender, account)
        self._lines.setdefault(account, {})[sender] = line
        self._host.inbox = self.admit
        for session in self._host.sessions.get(account, {}).values():
            session.addReceiveRefusal(line.refuses)
        return line

    def _close(self, line: Line) -> None:
        there = self._lines[line.account]
        del there[line.sender]
        if not there:
            del self._lines[line.account]
        if not self._lines:
            self._host.inbox = None
        for session in self._host.sessions.get(line.account, {}).values():
            session.removeRefusal(line.refuses)

    def bound(self, session: ISession) -> None:
        """A session that comes while something waits for its account."""
        for line in self._lines.get(session.bare, {}).values():
            session.addReceiveRefusal(line.refuses)

    # --- in

    def admit(self, stanza: Stanza, to: JID) -> None:
        """The host's C{inbox}, while there are lines."""
        there = self._lines.get(to.bare)
        line = there.get(bareSender(stanza)) if there is not None else None
        if line is None or not line.overtakes(stanza):
            self._host.admit(stanza, to)
        else:
            self.wait(line, stanza)

    def wait(self, line: Line, stanza: Stanza) -> None:
        """Have a stanza wait; if it carries a promise, that has to wait too."""
        if len(line.waiting) >= WAITING or self._octets + len(stanza.raw) > OCTETS:
            self._host.router.bounce(stanza, StanzaError(StanzaCondition.RESOURCE_CONSTRAINT))
            return
        done: Deferred[None] | None = None
        if stanza.promise is not None:
            done = Deferred()
            stanza.promise.append(done)
        self._octets += len(stanza.raw)
        line.waiting.append((stanza, done))

    # --- out

    def _done(self, result: object, line: Line) -> object:
        line.busy -= 1
        while line.waiting and not line.busy:
            stanza, done = line.waiting.popleft()
            self._octets -= len(stanza.raw)
            self._pass(line, stanza)
            if done is not None:
                self._fulfil(stanza, done)
        if not line.busy:
            self._close(line)
        return result

    def _pass(self, line: Line, stanza: Stanza) -> None:
        line.passing = True
        try:
            self._host.router.route(stanza)
        except Exception:
            log.failure("routing what has waited for a subscription stanza failed")
        finally:
            line.passing = False

    def _fulfil(self, stanza: Stanza, done: Deferred[None]) -> None:
        """Who waits for a stanza that has waited waits for what it waits for now."""
        works = [each for each in stanza.promise or () if isinstance(each, Deferred) and each is not done]
        after(works).chainDeferred(done)


def bareSender(stanza: Stanza) -> str:
    """The bare JID of who has sent a stanza; empty for what an account answers itself, which needs no C{from}."""
    try:
        return parse(stanza.attrs.get("from", "")).bare
    except JIDMalformed:
        return ""
