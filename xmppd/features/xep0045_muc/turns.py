"""
Welcoming in several turns of the reactor, so that others needn't wait while somebody enters a large room.

Theory of operation: whoever enters a room of N occupants causes 2 N stanzas, half of them for himself. Where that is
much, the new seat is held: what it is given waits behind what it was given before, and so its client gets everything
that a room says in the order in which it happened, only some milliseconds later. A L{Hold} takes the place of the
session in the seat meanwhile; so nothing is asked of those who aren't held. When too much waits in all, it is delivered
at once.
"""

from __future__ import annotations

from collections import deque
from typing import Final

from xmppd.features.xep0045_muc.encoding import Fan
from xmppd.features.xep0045_muc.occupants import Seat
from xmppd.ixmppd import IClock, ISession
from xmppd.wire.stanza import Stanza

LARGE: Final = 300
"""From how many clients on a room welcomes in several turns."""

AT_ONCE: Final = 500
"""How many stanzas are delivered in one turn."""

MOST: Final = 100_000
"""How many may wait."""


class Hold:
    """Stands in a seat for a session (or, with None, for the way to another server) and keeps what is delivered."""

    __slots__ = ("_turns", "seat", "session", "waiting")

    def __init__(self, turns: Turns, seat: Seat) -> None:
        self._turns = turns
        self.seat = seat
        self.session = seat.session
        self.waiting: deque[Stanza | Fan] = deque()

    @property
    def over(self) -> bool:
        """Whether nothing can be delivered any more."""
        return self.session is not None and self.session.over

    def deliver(self, stanza: Stanza | Fan) -> None:
        """Keep a stanza until its turn comes; one that isn't addressed yet takes less room."""
        self.waiting.append(stanza)
        self._turns.count += 1

    def release(self, most: int) -> int:
        """Deliver what waits, at most so much; answers how much that was."""
        session: ISession | None = self.session
        seat, waiting = self.seat, self.waiting
        deliver = seat.route if session is None else session.deliver
        released = 0
        while waiting and released < most:
            each = waiting.popleft()
            released += 1
            if session is None or not session.over:
                deliver(each.to(seat.full, seat.starts) if isinstance(each, Fan) else each)
        return released


class Turns:
    """
    All held seats of a service.

    @ivar count: how many stanzas wait.
    """

    def __init__(self, clock: IClock) -> None:
        self._clock = clock
        self._held: deque[Hold] = deque()
        self._due = False
        self.count = 0

    def hold(self, seat: Seat) -> Hold:
        """Let what a seat is given from now on wait for its turn."""
        if isinstance(seat.session, Hold):
            return seat.session
        held = Hold(self, seat)
        seat.session = held
        self._held.append(held)
        if not self._due:
            self._due = True
            self._clock.callLater(0, self._turn)
        return held

    def settle(self) -> None:
        """To be called when stanzas were added: there may be too many."""
        if self.count > MOST:
            self.flush()

    def flush(self) -> None:
        """Deliver everything now."""
        while self._held:
            self._deliver(self.count + 1)

    def _turn(self) -> None:
        self._due = False
        self._deliver(AT_ONCE)
        if self._held:
            self._due = True
            self._clock.callLater(0, self._turn)

    def _deliver(self, most: int) -> None:
        while self._held and most > 0:
            held = self._held[0]
            released = held.release(most)
            self.count -= released
            most -= max(1, released)
            if not held.waiting:
                self._held.popleft()
                held.seat.session = held.session
