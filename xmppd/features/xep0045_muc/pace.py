"""
How often somebody may do something: changes of presence (section 14.6), and messages in slow mode (XEP-0500).
"""

from __future__ import annotations

from xmppd.wire.errors import ErrorType, StanzaCondition, StanzaError

FORGOTTEN = 1000
"""How many users are kept in mind before those are forgotten that have been quiet for long enough."""


class Pace:
    """
    A number of things per minute for each user, some of them at once.

    @param perMinute: 0 for no limit.
    """

    __slots__ = ("_left", "_most", "_rate")

    def __init__(self, perMinute: int) -> None:
        self._most = float(perMinute)
        self._rate = perMinute / 60
        self._left: dict[str, tuple[float, float]] = {}

    def forget(self, bare: str) -> None:
        """Know nothing of a user any more."""
        self._left.pop(bare, None)

    def spend(self, bare: str, now: float) -> bool:
        """Whether a user may do it once more now."""
        if not self._most:
            return True
        left, stamp = self._left.get(bare, (self._most, now))
        left = min(self._most, left + (now - stamp) * self._rate)
        if left < 1:
            return False
        self._left[bare] = (left - 1, now)
        if len(self._left) > FORGOTTEN:
            self._left = {
                each: (left, stamp)
                for each, (left, stamp) in self._left.items()
                if left + (now - stamp) * self._rate < self._most
            }
        return True


class SlowMode:
    """When each user of a room last spoke; one count for all clients of a user (XEP-0500 section 8)."""

    __slots__ = ("_spoken",)

    def __init__(self) -> None:
        self._spoken: dict[str, float] = {}

    def forget(self, bare: str) -> None:
        """Know nothing of a user any more."""
        self._spoken.pop(bare, None)

    def check(self, bare: str, now: float, seconds: int) -> None:
        """
        Note that somebody speaks.

        @raise StanzaError: wait/policy-violation: too early (section 6).
        """
        last = self._spoken.get(bare)
        if last is not None and now - last < seconds:
            raise StanzaError(
                StanzaCondition.POLICY_VIOLATION,
                f"This room is in slow mode: wait {seconds} seconds between two messages.",
                ErrorType.WAIT,
            )
        self._spoken[bare] = now
        if len(self._spoken) > FORGOTTEN:
            self._spoken = {each: stamp for each, stamp in self._spoken.items() if now - stamp < seconds}
