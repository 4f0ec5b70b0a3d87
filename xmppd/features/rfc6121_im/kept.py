"""
What a session's presence is to be remembered by, should the server be restarted while stream management keeps it.

It stands in the session's slot "kept" as values that JSON has: C{presence} (the last broadcast), C{interested}, and
C{directed}, an ordered set of the addresses that were sent directed presence, in the form of a dictionary.
"""

from __future__ import annotations

from typing import Any, Final

from xmppd.ixmppd import ISession

SLOT: Final = "rfc6121_im"


def kept(session: ISession) -> dict[str, Any]:
    """What is kept, to be changed."""
    state: dict[str, Any] = session.slots.setdefault("kept", {}).setdefault(SLOT, {})
    return state


def directed(session: ISession) -> dict[str, None]:
    """Whom the session sent directed presence to. Change it through L{kept} only."""
    found: dict[str, None] = session.slots.get("kept", {}).get(SLOT, {}).get("directed", {})
    return found


def beInterested(session: ISession) -> None:
    """The session asked for the roster, and gets its changes from now on (RFC 6121 section 2.2)."""
    session.interested = True
    kept(session)["interested"] = True
