"""
The states of a presence subscription and what changes them: RFC 6121 appendix A, as a table.

A roster item is in one of nine states (A.1), seen from the account that owns the roster. A subscription stanza moves
it: outbound when the account's own client sends it (A.2), inbound when the contact's comes in (A.3). What the tables
call pre-approval is a flag beside the state (section 3.4) and has two steps of its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import Enum
from typing import Final

from xmppd.ixmppd import RosterItem

SUBSCRIPTION_TYPES: Final = frozenset({"subscribe", "subscribed", "unsubscribe", "unsubscribed"})
"""The types of presence that change subscriptions."""

AUTHORISED: Final = frozenset({"from", "both"})
"""The subscriptions of contacts that see the user's presence."""

SUBSCRIBED: Final = frozenset({"to", "both"})
"""The subscriptions of contacts whose presence the user sees."""


class State(Enum):
    """The nine states (A.1): subscription, whether our request is pending, whether theirs is."""

    NONE = ("none", False, False)
    NONE_OUT = ("none", True, False)
    NONE_IN = ("none", False, True)
    NONE_OUT_IN = ("none", True, True)
    TO = ("to", False, False)
    TO_IN = ("to", False, True)
    FROM = ("from", False, False)
    FROM_OUT = ("from", True, False)
    BOTH = ("both", False, False)

    @property
    def visible(self) -> bool:
        """Whether the contact sees the user's presence."""
        return self.value[0] in AUTHORISED


@dataclass(frozen=True, slots=True)
class Step:
    """
    What a subscription stanza does to an item.

    @ivar passes: whether the stanza goes on: outbound to the contact, inbound to the user.
    @ivar state: the new state.
    @ivar reply: the type of presence to answer the contact with on the user's behalf, or None.
    @ivar approves: whether the stanza is a pre-approval (True) or takes one back (False); None if neither.
    """

    passes: bool
    state: State
    reply: str | None = None
    approves: bool | None = None


def _table(text: str) -> dict[State, Step]:
    """
    Read a table: a line for each state with its new state (C{=} for no change) and, optionally, words.

    C{pass}: the stanza goes on. C{reply:TYPE}: answer so. C{approve}, C{revoke}: the flag of section 3.4.
    """
    steps = {}
    for line in text.split("\n"):
        if words := line.split():
            state, new, *rest = words
            old = State[state]
            replies = [word.removeprefix("reply:") for word in rest if word.startswith("reply:")]
            approves = True if "approve" in rest else False if "revoke" in rest else None
            steps[old] = Step(
                "pass" in rest, old if new == "=" else State[new], replies[0] if replies else None, approves
            )
    return steps


OUTBOUND: Final[Mapping[str, Mapping[State, Step]]] = {
    "subscribe": _table("""
        NONE         NONE_OUT     pass
        NONE_OUT     =            pass
        NONE_IN      NONE_OUT_IN  pass
        NONE_OUT_IN  =            pass
        TO           =            pass
        TO_IN        =            pass
        FROM         FROM_OUT     pass
        FROM_OUT     =            pass
        BOTH         =            pass
    """),
    "unsubscribe": _table("""
        NONE         =            pass
        NONE_OUT     NONE         pass
        NONE_IN      =            pass
        NONE_OUT_IN  NONE_IN      pass
        TO           NONE         pass
        TO_IN        NONE_IN      pass
        FROM         =            pass
        FROM_OUT     FROM         pass
        BOTH         FROM         pass
    """),
    "subscribed": _table("""
        NONE         =            approve
        NONE_OUT     =            approve
        NONE_IN      FROM         pass
        NONE_OUT_IN  FROM_OUT     pass
        TO           =            approve
        TO_IN        BOTH         pass
        FROM         =
        FROM_OUT     =
        BOTH         =
    """),
    "unsubscribed": _table("""
        NONE         =            revoke
        NONE_OUT     =            revoke
        NONE_IN      NONE         pass revoke
        NONE_OUT_IN  NONE_OUT     pass revoke
        TO           =            revoke
        TO_IN        TO           pass revoke
        FROM         NONE         pass revoke
        FROM_OUT     NONE_OUT     pass revoke
        BOTH         TO           pass revoke
    """),
}
"""What the user's own stanzas do (A.2)."""

INBOUND: Final[Mapping[str, Mapping[State, Step]]] = {
    "subscribe": _table("""
        NONE         NONE_IN      pass
        NONE_OUT     NONE_OUT_IN  pass
        NONE_IN      =
        NONE_OUT_IN  =
        TO           TO_IN        pass
        TO_IN        =
        FROM         =            reply:subscribed
        FROM_OUT     =            reply:subscribed
        BOTH         =            reply:subscribed
    """),
    "unsubscribe": _table("""
        NONE         =
        NONE_OUT     =
        NONE_IN      NONE         pass reply:unsubscribed
        NONE_OUT_IN  NONE_OUT     pass reply:unsubscribed
        TO           =
        TO_IN        TO           pass reply:unsubscribed
        FROM         NONE         pass reply:unsubscribed
        FROM_OUT     NONE_OUT     pass reply:unsubscribed
        BOTH         TO           pass reply:unsubscribed
    """),
    "subscribed": _table("""
        NONE         =
        NONE_OUT     TO           pass
        NONE_IN      =
        NONE_OUT_IN  TO_IN        pass
        TO           =
        TO_IN        =
        FROM         =
        FROM_OUT     BOTH         pass
        BOTH         =
    """),
    "unsubscribed": _table("""
        NONE         =
        NONE_OUT     NONE         pass
        NONE_IN      =
        NONE_OUT_IN  NONE_IN      pass
        TO           NONE         pass
        TO_IN        NONE_IN      pass
        FROM         =
        FROM_OUT     FROM         pass
        BOTH         FROM         pass
    """),
}
"""What the contact's stanzas do (A.3)."""

PRE_APPROVED: Final[Mapping[State, Step]] = _table("""
        NONE         FROM         reply:subscribed
        NONE_OUT     FROM_OUT     reply:subscribed
        TO           BOTH         reply:subscribed
""")
"""What an inbound C{subscribe} does in place of the table when the user has approved it before (section 3.4.2)."""


def stateOf(item: RosterItem) -> State:
    """The state an item is in. Contradictory items (a request pending where there is a subscription) are repaired."""
    pendingOut = item.ask and item.subscription not in SUBSCRIBED
    pendingIn = item.pendingIn is not None and item.subscription not in AUTHORISED
    return State((item.subscription, pendingOut, pendingIn))


def outbound(item: RosterItem, type: str) -> Step:
    """What the user's stanza does to the item."""
    return OUTBOUND[type][stateOf(item)]


def inbound(item: RosterItem, type: str) -> Step:
    """What the contact's stanza does to the item."""
    state = stateOf(item)
    if type == "subscribe" and item.approved and state in PRE_APPROVED:
        return PRE_APPROVED[state]
    return INBOUND[type][state]


def moved(item: RosterItem, step: Step, request: bytes | None = None) -> RosterItem:
    """
    The item after a step.

    @param request: the contact's request, to be kept while it is pending.
    """
    subscription, ask, pendingIn = step.state.value
    keep = (item.pendingIn or request or b"") if pendingIn else None
    approved = item.approved if step.approves is None else step.approves
    listed = item.listed or ask or approved or subscription != "none"
    return replace(item, subscription=subscription, ask=ask, pendingIn=keep, approved=approved, listed=listed)
