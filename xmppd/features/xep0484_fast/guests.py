"""
The tokens of guests: what lets the page of a browser that is loaded again go on as the same guest (XEP-0175).

Theory of operation: a guest has no password, so its token is all that makes it the same guest, and the token is worth
something as long as the guest is there. It is kept with the guest's sessions, in memory and nowhere else, and is gone
with the last of them. It is good for one use: each use gives out another, and what was used is good for a short while
more, but only until the other is used; for a page that was loaded again before it had heard the answer.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from xmppd.features.xep0484_fast.slots import Match, Slots
from xmppd.ixmppd import IClientStream, IHost, ISession
from xmppd.wire.errors import SASLCondition, SASLError

SLOT: Final = "xep0484_fast"
"""Where sessions, and streams until they have one, keep what a guest has."""

GRACE: Final = 60.0
"""Seconds for which a token is good after its use, at most."""


class Belongings:
    """
    The tokens of one guest, who has one client.

    @ivar agent: the client.
    """

    __slots__ = ("agent", "slots")

    def __init__(self, agent: str) -> None:
        self.agent = agent
        self.slots = Slots()


class GuestTokens:
    """The tokens of one host's guests."""

    def __init__(self, host: IHost) -> None:
        self._host = host

    def of(self, bare: str) -> Belongings | None:
        """What a guest who is there has, or None if there is no such guest or it has no token."""
        for session in self._host.sessions.get(bare, {}).values():
            found: Belongings | None = session.slots.get(SLOT)
            if found is not None:
                return found
        return None

    def isHere(self, bare: str) -> bool:
        """Whether somebody of that name is a guest who is there."""
        return any(session.account.anonymous for session in self._host.sessions.get(bare, {}).values())

    def verify(self, bare: str, agent: str, mechanism: str, proves: Callable[[bytes], bool]) -> Match:
        """The token a client has shown. Raises L{SASLError}."""
        belongings = self.of(bare)
        found = None
        if belongings is not None and belongings.agent == agent:
            found = belongings.slots.matching(mechanism, lambda token: proves(token.secret.encode()))
        if belongings is None or found is None:
            raise SASLError(SASLCondition.NOT_AUTHORIZED)
        if found.expires <= self._host.clock.seconds():
            raise SASLError(SASLCondition.CREDENTIALS_EXPIRED)
        return Match(True, belongings.slots, found)

    def keep(self, stream: IClientStream, bare: str, agent: str, slots: Slots) -> None:
        """Keep the tokens of a guest, with its session or, until it has one, with the stream."""
        belongings: Any = self.of(bare)
        if belongings is None or belongings.agent != agent:
            belongings = stream.slots[SLOT] = Belongings(agent)
        belongings.slots = slots

    def bound(self, session: ISession) -> None:
        """A guest has a session, or another one."""
        if not session.account.anonymous or session.stream is None:
            return
        belongings = session.stream.slots.pop(SLOT, None) or self.of(session.bare)
        if belongings is not None:
            session.slots[SLOT] = belongings
