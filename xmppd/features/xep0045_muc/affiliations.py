"""
Roles and affiliations, and who may change them (XEP-0045 section 5).

The tables follow the state charts of sections 5.1.3 and 5.2.2; what they leave open is decided by the use cases of
sections 8 to 10. Where those use the words "at or above the moderator's level" (8.4), a moderator without affiliation
may take the voice of somebody without affiliation, since neither has a level; otherwise such a moderator could do
nothing.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from xmppd.wire.errors import StanzaCondition


class Affiliation(StrEnum):
    """A long-lived association with a room (section 5.2)."""

    OUTCAST = "outcast"
    NONE = "none"
    MEMBER = "member"
    ADMIN = "admin"
    OWNER = "owner"


class Role(StrEnum):
    """A position for the time of a visit (section 5.1)."""

    NONE = "none"
    VISITOR = "visitor"
    PARTICIPANT = "participant"
    MODERATOR = "moderator"


RANK: Final[dict[Affiliation, int]] = {affiliation: rank for rank, affiliation in enumerate(Affiliation)}
"""Affiliations by power."""


class Step(StrEnum):
    """What a change of role is, by the action that makes it."""

    NOTHING = "nothing"
    GRANT_VOICE = "grant voice"
    REVOKE_VOICE = "revoke voice"
    PROMOTE = "grant moderator status"
    DEMOTE = "revoke moderator status"
    KICK = "kick"
    DISMISS = "kick a moderator"


ROLE_STEPS: Final[dict[Role, dict[Role, Step]]] = {
    Role.VISITOR: {
        Role.NONE: Step.KICK,
        Role.VISITOR: Step.NOTHING,
        Role.PARTICIPANT: Step.GRANT_VOICE,
        Role.MODERATOR: Step.PROMOTE,
    },
    Role.PARTICIPANT: {
        Role.NONE: Step.KICK,
        Role.VISITOR: Step.REVOKE_VOICE,
        Role.PARTICIPANT: Step.NOTHING,
        Role.MODERATOR: Step.PROMOTE,
    },
    Role.MODERATOR: {
        Role.NONE: Step.DISMISS,
        Role.VISITOR: Step.DEMOTE,
        Role.PARTICIPANT: Step.DEMOTE,
        Role.MODERATOR: Step.NOTHING,
    },
}
"""The step from an occupant's role (row) to the new one (column); table 5 of section 5.1.3."""

_NONE, _ADMIN, _OWNER = Affiliation.NONE, Affiliation.ADMIN, Affiliation.OWNER

CHANGED_BY: Final[dict[Affiliation, dict[Affiliation, Affiliation]]] = {
    Affiliation.OUTCAST: {
        Affiliation.OUTCAST: _ADMIN,
        Affiliation.NONE: _ADMIN,
        Affiliation.MEMBER: _ADMIN,
        Affiliation.ADMIN: _OWNER,
        Affiliation.OWNER: _OWNER,
    },
    Affiliation.NONE: {
        Affiliation.OUTCAST: _ADMIN,
        Affiliation.NONE: _ADMIN,
        Affiliation.MEMBER: _ADMIN,
        Affiliation.ADMIN: _OWNER,
        Affiliation.OWNER: _OWNER,
    },
    Affiliation.MEMBER: {
        Affiliation.OUTCAST: _ADMIN,
        Affiliation.NONE: _ADMIN,
        Affiliation.MEMBER: _ADMIN,
        Affiliation.ADMIN: _OWNER,
        Affiliation.OWNER: _OWNER,
    },
    Affiliation.ADMIN: dict.fromkeys(Affiliation, _OWNER),
    Affiliation.OWNER: dict.fromkeys(Affiliation, _OWNER),
}
"""Who has to be at least what to change an affiliation (row) into another (column); the table of section 5.2.2."""


def initialRole(affiliation: Affiliation, moderated: bool) -> Role:
    """The role on entering (section 5.1.2); L{Role.NONE} for who may not."""
    if affiliation is Affiliation.OUTCAST:
        return Role.NONE
    if RANK[affiliation] >= RANK[_ADMIN]:
        return Role.MODERATOR
    return Role.VISITOR if moderated and affiliation is _NONE else Role.PARTICIPANT


def affiliationRefusal(
    actor: Affiliation, current: Affiliation, new: Affiliation, own: bool = False
) -> StanzaCondition | None:
    """
    Why an affiliation may not be changed so, or None. Whether an owner would be left is for the caller to see.

    @param own: whether it is the actor's own.
    """
    if RANK[actor] < RANK[_ADMIN]:
        return StanzaCondition.FORBIDDEN
    if own and new is Affiliation.OUTCAST:
        return StanzaCondition.CONFLICT
    if RANK[actor] < RANK[CHANGED_BY[current][new]]:
        return StanzaCondition.NOT_ALLOWED if new is Affiliation.OUTCAST else StanzaCondition.FORBIDDEN
    return None


def roleRefusal(
    actor: tuple[Affiliation, Role], target: tuple[Affiliation, Role], new: Role, own: bool = False
) -> StanzaCondition | None:
    """
    Why a role may not be changed so, or None.

    @param actor: affiliation and role of who wants it; admins and owners count as moderators where they are not in.
    @param target: affiliation and role of the occupant.
    @param own: whether they are the same.
    """
    affiliation, role = actor
    if role is not Role.MODERATOR:
        return StanzaCondition.FORBIDDEN
    step = ROLE_STEPS[target[1]][new]
    theirs, mine = RANK[target[0]], RANK[affiliation]
    admin = RANK[_ADMIN]
    if step in (Step.KICK, Step.DISMISS):
        if own:
            return StanzaCondition.CONFLICT
        weak = theirs > mine or (step is Step.DISMISS and mine < admin)
        return StanzaCondition.NOT_ALLOWED if weak else None
    if step in (Step.PROMOTE, Step.DEMOTE) and mine < admin:
        return StanzaCondition.FORBIDDEN
    if step in (Step.DEMOTE, Step.REVOKE_VOICE) and theirs >= admin:
        return StanzaCondition.NOT_ALLOWED
    if step is Step.REVOKE_VOICE and target[0] is not _NONE and theirs >= mine:
        return StanzaCondition.NOT_ALLOWED
    return None
