"""
How long a guest's session lasts. Its user is told before, by a message from the server.

Sessions end in the order in which they came, so that one timer is enough for all.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Any, Final

from twisted.logger import Logger

from xmppd.ixmppd import IHost, ISession
from xmppd.restrict.errors import condition
from xmppd.restrict.visits import Visits
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
        self._unwarned: OrderedDict[ISession, None] = OrderedDict()
        self._warned: OrderedDict[ISession, None] = OrderedDict()
        self._timer: IDelayedCall | None = None

    def bound(self, session: ISession) -> None:
        """A guest has come."""
        self._unwarned[session] = None
        if self._timer is None and self._visits.allowed.lifetimeSeconds:
            self._wait()

    def ended(self, session: ISession) -> None:
        """A guest has gone."""
        self._unwarned.pop(session, None)
        self._warned.pop(session, None)

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
        """Wake when the next session is to be warned or ended."""
        life, warning = self._visits.allowed.lifetimeSeconds, self._visits.allowed.warningSeconds
        due = [next(iter(table)).created + life - before for table, before in self._tables(warning) if table]
        self._timer = None
        if life and due:
            later = max(STEP, min(due) - self._host.clock.seconds())
            self._timer = self._host.clock.callLater(later, self._look)

    def _tables(self, warning: float) -> tuple[tuple[Any, float], tuple[Any, float]]:
        """Who waits for a warning, and who for the end; and how long before the end that is due."""
        return (self._unwarned, warning), (self._warned, 0.0)

    def _look(self) -> None:
        """Warn and end whose time has come."""
        now = self._host.clock.seconds()
        life, warning = self._visits.allowed.lifetimeSeconds, self._visits.allowed.warningSeconds
        for session in tuple(_first(self._unwarned, now - life + warning)):
            del self._unwarned[session]
            self._warned[session] = None
            if warning:
                self._warn(session, session.created + life - now)
        for session in tuple(_first(self._warned, now - life)):
            log.info("guest disconnected: jid={jid} reason=lifetime", jid=session.full)
            text = "The time of this guest's session is over."
            application = condition("resource-limit-exceeded")
            session.end(StreamError(StreamCondition.POLICY_VIOLATION, text, application=application))
        self._wait()

    def _warn(self, session: ISession, seconds: float) -> None:
        minutes = max(1, round(seconds / 60))
        text = f"Your session as a guest ends in {minutes} minute{'s' if minutes > 1 else ''}."
        attrs = {"type": "headline", "from": self._host.domain, "to": session.full, "id": self._host.entropy.token()}
        session.deliver(build("message", attrs, Element("body", ns.CLIENT, {}, (text,))))


def _first(sessions: OrderedDict[ISession, None], until: float) -> Any:
    """The sessions that came until a moment."""
    for session in sessions:
        if session.created > until:
            return
        yield session
