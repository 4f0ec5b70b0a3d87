"""
Who may change which role and affiliation: a test for each cell of the tables, by the functions and through the room.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from tests.features.xep0045_muc.base import RoomCase, conditionOf
from tests.marks import spec
from xmppd.features.xep0045_muc.affiliations import (
    RANK,
    Affiliation,
    Role,
    affiliationRefusal,
    initialRole,
    roleRefusal,
)

OUTCAST, NONE, MEMBER, ADMIN, OWNER = Affiliation
MODERATOR, PARTICIPANT, VISITOR, NOBODY = Role.MODERATOR, Role.PARTICIPANT, Role.VISITOR, Role.NONE

ADMINS_MAY = {(before, after) for before in (OUTCAST, NONE, MEMBER) for after in (OUTCAST, NONE, MEMBER)}
"""The cells of section 5.2.2 that say "admin or owner"."""


def expectedAffiliation(actor: Affiliation, before: Affiliation, after: Affiliation) -> str | None:
    """What sections 9.1, 9.5, 10.3 to 10.8 say."""
    if actor in (OUTCAST, NONE, MEMBER):
        return "forbidden"
    if actor is OWNER or (before, after) in ADMINS_MAY:
        return None
    return "not-allowed" if after is OUTCAST else "forbidden"


@spec("XEP-0045", "5.2.2", "9.1", "9.3", "9.4", "10.3", "10.4", "10.6", "10.7")
class AffiliationTests(SynchronousTestCase):
    """The table of affiliations, for each actor."""

    def test_ownBan(self) -> None:
        """Nobody bans himself."""
        for actor in (ADMIN, OWNER):
            self.assertEqual(affiliationRefusal(actor, actor, OUTCAST, True), "conflict")


@spec("XEP-0045", "5.1.2")
class InitialRoleTests(SynchronousTestCase):
    """The table of initial roles."""

    def test_table(self) -> None:
        """Each cell."""
        table = {
            (OUTCAST, False): NOBODY,
            (OUTCAST, True): NOBODY,
            (NONE, True): VISITOR,
            (NONE, False): PARTICIPANT,
            (MEMBER, True): PARTICIPANT,
            (MEMBER, False): PARTICIPANT,
            (ADMIN, True): MODERATOR,
            (ADMIN, False): MODERATOR,
            (OWNER, True): MODERATOR,
            (OWNER, False): MODERATOR,
        }
        for (affiliation, moderated), role in table.items():
            self.assertIs(initialRole(affiliation, moderated), role)


def expectedRole(mine: Affiliation, role: Role, theirs: Affiliation, before: Role, after: Role) -> str | None:
    """What sections 8.2 to 8.5, 9.6 to 9.8 say, in their words."""
    if role is not MODERATOR:
        return "forbidden"
    powerful = mine in (ADMIN, OWNER)
    if after is NOBODY:
        if RANK[theirs] > RANK[mine]:
            return "not-allowed"  # 8.2: by a moderator with a lower affiliation
        return "not-allowed" if before is MODERATOR and not powerful else None
    if after is before:
        return None
    if MODERATOR in (before, after) and not powerful:
        return "forbidden"  # 9: none of the admins
    if before is MODERATOR or after is VISITOR:
        if theirs in (ADMIN, OWNER):
            return "not-allowed"  # 8.4, 9.7
    if after is VISITOR and before is PARTICIPANT and theirs is MEMBER and RANK[mine] <= RANK[MEMBER]:
        return "not-allowed"  # 8.4: at or above
    return None


@spec("XEP-0045", "5.1.3", "8.2", "8.3", "8.4", "9.6", "9.7")
class RoleTests(SynchronousTestCase):
    """The table of roles, for each actor and each affiliation of the occupant."""

    def test_own(self) -> None:
        """Who kicks himself meets a conflict."""
        for affiliation in (NONE, ADMIN, OWNER):
            mine = (affiliation, MODERATOR)
            self.assertEqual(roleRefusal(mine, mine, NOBODY, True), "conflict")


def _cell(case: type, name: str, test: Callable[[Any], None], doc: str) -> None:
    test.__doc__ = doc
    test.__name__ = f"test_{name}"
    setattr(case, test.__name__, test)


for _actor, _before, _after in product(Affiliation, Affiliation, Affiliation):

    def _affiliation(self: Any, a: Affiliation = _actor, b: Affiliation = _before, c: Affiliation = _after) -> None:
        self.assertEqual(affiliationRefusal(a, b, c), expectedAffiliation(a, b, c))

    _cell(AffiliationTests, f"{_actor}_{_before}_{_after}", _affiliation, f"{_actor} makes {_before} {_after}.")

for _mine, _role, _theirs, _was, _new in product(
    (NONE, MEMBER, ADMIN, OWNER),
    (VISITOR, PARTICIPANT, MODERATOR),
    (NONE, MEMBER, ADMIN, OWNER),
    (VISITOR, PARTICIPANT, MODERATOR),
    Role,
):

    def _roles(
        self: Any, a: Affiliation = _mine, r: Role = _role, t: Affiliation = _theirs, b: Role = _was, n: Role = _new
    ) -> None:
        self.assertEqual(roleRefusal((a, r), (t, b), n), expectedRole(a, r, t, b, n))

    _cell(
        RoleTests,
        f"{_mine}_{_role}_{_theirs}_{_was}_{_new}",
        _roles,
        f"A {_role} ({_mine}) makes a {_was} ({_theirs}) {_new}.",
    )


@spec("XEP-0045", "5.2.2")
class AffiliationsInRoomTests(RoomCase):
    """The same through the room, with stored affiliations: an admin and an owner change a third's."""

    def change(self, by: str, before: Affiliation, after: Affiliation) -> None:
        """One cell."""
        self.found()
        self.room.affiliations["x@example.net"] = before
        if before is NONE:
            del self.room.affiliations["x@example.net"]
        actor = self.first if by == "owner" else self.second
        answer = self.setAffiliation(actor, "x@example.net", after)
        expected = expectedAffiliation(Affiliation(by), before, after)
        if expected is None:
            self.assertEqual(answer.type, "result")
            self.assertIs(self.room.affiliationOf("x@example.net"), after)
        else:
            self.assertEqual(conditionOf(answer), expected)
            self.assertIs(self.room.affiliationOf("x@example.net"), before)


for _by, _before, _after in product(("admin", "owner"), Affiliation, Affiliation):

    def _through(self: Any, by: str = _by, b: Affiliation = _before, c: Affiliation = _after) -> None:
        self.change(by, b, c)

    _cell(AffiliationsInRoomTests, f"{_by}_{_before}_{_after}", _through, f"{_by} makes {_before} {_after}.")
