"""
How long a guest stays, whatever sessions it has one after the other. Its user is told before, by a message from the
server.

Guests go in the order in which they came, so that one timer is enough for all.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import takewhile
from typing import TYPE_CHECKING, Final

from twisted.logger import Logger

from xmppd.ixmppd import IHost, ISession
from xmppd.restrict.errors import condition
from xmppd.restrict.visits import Stay, Visits
from xmppd.wire import ns
from xmppd.wire.element import Element
from xmppd.wire.errors import StreamCondition, StreamError
from xmppd.wire.stanza import build

if TYPE_CHECKING:
    from twisted.internet.interfaces import IDelayedCall

log = Logger(namespace="xmppd.guests")

STEP: Final = 1.0
"""How many seconds lie between two looks at least."""


class Lifetime:
    """
    One for all guests of a host.
    """

    def __init__(self, host: IHost, visits: Visits) -> None:
        self._host = host
        self._visits = visits
        self._timer: IDelayedCall | None = None

    def bound(self) -> None:
        """A guest has come."""
        if self._timer is None and self._visits.allowed.lifetimeSeconds:
            self._wait()

    def reconfigure(self) -> None:
        """The lifetime has changed."""
        self.stop()
        self._wait()

    def stop(self) -> None:
        """Look after nobody any more."""
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        self._timer = None

    def _wait(self) -> None:
        """Wake when the next guest is to be warned or to go."""
        life, warning = self._visits.allowed.lifetimeSeconds, self._visits.allowed.warningSeconds
        here = [stay for stay in (next(self._here(), None), next(self._unwarned(), None)) if stay is not None]
        due = [stay.since + life - (0.0 if stay.warned else warning) for stay in here]
        self._timer = None
        if life and due:
            later = max(STEP, min(due) - self._host.clock.seconds())
            self._timer = self._host.clock.callLater(later, self._look)

    def _here(self) -> Iterator[Stay]:
        """The guests who are here, the one who came first first."""
        return (stay for stay in self._visits.stays.values() if stay.sessions)

    def _unwarned(self) -> Iterator[Stay]:
        return (stay for stay in self._here() if not stay.warned)

    def _look(self) -> None:
        """Warn and end whose time has come."""
        now = self._host.clock.seconds()
        life, warning = self._visits.allowed.lifetimeSeconds, self._visits.allowed.warningSeconds
        for stay in tuple(_first(self._unwarned(), now - life + warning)):
            stay.warned = True
            for session in tuple(stay.sessions) if warning else ():
                self._warn(session, stay.since + life - now)
        for stay in tuple(_first(self._here(), now - life)):
            for session in tuple(stay.sessions):
                self._end(session)
        self._wait()

    def _end(self, session: ISession) -> None:
        log.info("guest disconnected: jid={jid} reason=lifetime", jid=session.full)
        application = condition("resource-limit-exceeded")
        text = "The time of this guest's session is over."
        session.end(StreamError(StreamCondition.POLICY_VIOLATION, text, application=application))

    def _warn(self, session: ISession, seconds: float) -> None:
        minutes = max(1, round(seconds / 60))
        text = f"Your session as a guest ends in {minutes} minute{'s' if minutes > 1 else ''}."
        attrs = {"type": "headline", "from": self._host.domain, "to": session.full, "id": self._host.entropy.token()}
        session.deliver(build("message", attrs, Element("body", ns.CLIENT, {}, (text,))))


def _first(stays: Iterable[Stay], until: float) -> Iterator[Stay]:
    """Those who came until a moment."""
    return takewhile(lambda stay: stay.since <= until, stays)
