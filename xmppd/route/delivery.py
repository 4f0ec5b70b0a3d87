"""
What happens to a message for a local account, as a table (RFC 6121 section 8.5, summary in 8.5.4).

The row says what is known of the addressee, the column is the type of the message. L{deliverMessage} looks up the cell
and does what it says.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from enum import Enum, auto
from typing import Final

from xmppd.ixmppd import IHost, ISession
from xmppd.wire.errors import StanzaCondition, StanzaError
from xmppd.wire.stanza import Stanza


class Addressee(Enum):
    """What is known of the account and resource a message is for."""

    NO_ACCOUNT = auto()
    """There is no such account (8.5.1)."""
    BARE_AVAILABLE = auto()
    """Bare JID; a resource with non-negative priority is available (8.5.2.1)."""
    BARE_NONE = auto()
    """Bare JID; no resource is available, or only some with negative priority (8.5.2.1 and 8.5.2.2)."""
    FULL_AVAILABLE = auto()
    """Full JID without such a resource; another with non-negative priority is available (8.5.3.2)."""
    FULL_NONE = auto()
    """Full JID without such a resource; none is available (8.5.3.2)."""


class Action(Enum):
    """What to do."""

    MOST = auto()
    """Deliver to the most available resources."""
    ALL = auto()
    """Deliver to all available resources with non-negative priority."""
    STORE = auto()
    """Store it, or answer service-unavailable if it can't be."""
    BOUNCE = auto()
    """Answer service-unavailable."""
    IGNORE = auto()
    """Ignore it silently."""


RULES: Final[dict[Addressee, dict[str, Action]]] = {
    Addressee.NO_ACCOUNT: {
        "normal": Action.BOUNCE,
        "chat": Action.BOUNCE,
        "groupchat": Action.BOUNCE,
        "headline": Action.IGNORE,
        "error": Action.IGNORE,
    },
    Addressee.BARE_AVAILABLE: {
        "normal": Action.MOST,
        "chat": Action.MOST,
        "groupchat": Action.BOUNCE,
        "headline": Action.ALL,
        "error": Action.IGNORE,
    },
    Addressee.BARE_NONE: {
        "normal": Action.STORE,
        "chat": Action.STORE,
        "groupchat": Action.BOUNCE,
        "headline": Action.IGNORE,
        "error": Action.IGNORE,
    },
    Addressee.FULL_AVAILABLE: {
        "normal": Action.BOUNCE,
        "chat": Action.MOST,
        "groupchat": Action.BOUNCE,
        "headline": Action.IGNORE,
        "error": Action.IGNORE,
    },
    Addressee.FULL_NONE: {
        "normal": Action.BOUNCE,
        "chat": Action.STORE,
        "groupchat": Action.BOUNCE,
        "headline": Action.IGNORE,
        "error": Action.IGNORE,
    },
}
"""
The cell of row and column. A message of an unknown type counts as normal (section 5.2.2). Where the table of section
8.5.4 leaves a choice: what could be kept is stored, else the sender is told; only headlines are dropped.
"""

TYPES: Final = frozenset({"normal", "chat", "groupchat", "headline", "error"})


def messageType(stanza: Stanza) -> str:
    """The type of a message; unknown ones are normal (RFC 6121 section 5.2.2)."""
    type = stanza.attrs.get("type", "normal")
    return type if type in TYPES else "normal"


def mostAvailable(sessions: Iterable[ISession]) -> list[ISession]:
    """The available sessions with the highest priority, if that is not negative (RFC 6121 section 8.5.2.1.1)."""
    available = [session for session in sessions if session.presence is not None and session.priority >= 0]
    if not available:
        return []
    highest = max(session.priority for session in available)
    return [session for session in available if session.priority == highest]


def deliverMessage(
    host: IHost, stanza: Stanza, bare: str, resource: str | None, sessions: Sequence[ISession], exists: bool
) -> None:
    """
    Apply the table. The full JID of a session that exists is not its business: the router delivered that already.

    @param bare: the account.
    @param resource: the resource addressed, or None.
    @param sessions: what the account has bound.
    @param exists: whether there is such an account.
    """
    most = mostAvailable(sessions)
    if not exists:
        row = Addressee.NO_ACCOUNT
    elif resource is None:
        row = Addressee.BARE_AVAILABLE if most else Addressee.BARE_NONE
    else:
        row = Addressee.FULL_AVAILABLE if most else Addressee.FULL_NONE
    action = RULES[row][messageType(stanza)]
    if action is Action.MOST:
        for session in most:
            session.deliver(stanza)
    elif action is Action.ALL:
        for session in sessions:
            if session.presence is not None and session.priority >= 0:
                session.deliver(stanza)
    elif action is Action.STORE:
        store(host, stanza, bare)
    elif action is Action.BOUNCE:
        host.router.bounce(stanza, StanzaError(StanzaCondition.SERVICE_UNAVAILABLE))


def store(host: IHost, stanza: Stanza, bare: str) -> None:
    """
    Offer a message to whoever keeps those that can't be delivered; bounce it if nobody took it, and if it isn't in the
    account's archive either.
    """
    left: Stanza | None = stanza
    for take in host.hooks.undeliverable.change:
        left = take(left, bare)
        if left is None:
            return
    if left is not None and not left.archived:
        host.router.bounce(left, StanzaError(StanzaCondition.SERVICE_UNAVAILABLE))
