"""
The two tokens a client may have at a time (XEP-0484 section 5.1). No clock, no store.

Theory of operation: a token that is given out is I{new}. When it is used for the first time the client has it, and it
becomes the I{current} one in place of that before. Until then both are good, so that a client that never heard of the
new one still gets in with the other. Giving out another forgets a new one that was not used.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace


@dataclass(frozen=True, slots=True)
class Token:
    """
    One token.

    @ivar mechanism: the only mechanism it is good for.
    @ivar secret: of guests the token itself; of accounts what it is made from with a key (see
        L{xmppd.features.xep0484_fast.accounts}).
    @ivar issued: seconds since the epoch.
    @ivar expires: likewise.
    """

    mechanism: str
    secret: str = field(repr=False)
    issued: float
    expires: float


@dataclass(frozen=True, slots=True)
class Slots:
    """The tokens of one client."""

    new: Token | None = None
    current: Token | None = None

    def matching(self, mechanism: str, proves: Callable[[Token], bool]) -> Token | None:
        """The token that a proof is of, expired or not; the new one is looked at first."""
        found = None
        for token in (self.new, self.current):
            if token is not None and token.mechanism == mechanism and proves(token) and found is None:
                found = token
        return found

    def used(self, token: Token, until: float | None = None) -> Slots:
        """
        The slots after a token was used.

        @param until: when it expires from now on at the latest; None: as before.
        """
        kept = token if until is None else replace(token, expires=min(token.expires, until))
        return Slots(None, kept) if token is self.new else replace(self, current=kept)

    def given(self, token: Token) -> Slots:
        """The slots after another token was given out."""
        return replace(self, new=token)

    @property
    def expires(self) -> float:
        """When the last of them expires; 0 if there is none."""
        return max((token.expires for token in (self.new, self.current) if token is not None), default=0.0)


@dataclass(frozen=True, slots=True)
class Match:
    """
    A token that a client has shown (see L{xmppd.ixmppd.ITokens.verify}).

    @ivar guest: whether it is a guest's.
    @ivar slots: the client's tokens.
    @ivar token: the one it has shown.
    """

    guest: bool
    slots: Slots
    token: Token
