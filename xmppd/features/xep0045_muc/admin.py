"""
Lists of roles and affiliations, and changes to them (sections 8.2 to 8.5, 9, 10.3 to 10.8, 17.4).

A request with several changes is checked as a whole before anything happens; then affiliations are stored, and only
then do they take effect.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from xmppd.features.xep0045_muc.affiliations import RANK, Affiliation, Role, affiliationRefusal, roleRefusal
from xmppd.features.xep0045_muc.encoding import textOf
from xmppd.features.xep0045_muc.occupants import Occupant, checkNick, nickKey
from xmppd.features.xep0045_muc.rooms import Room
from xmppd.wire import ns
from xmppd.wire.element import Element
from xmppd.wire.errors import StanzaCondition, StanzaError
from xmppd.wire.jid import parse, prepareResource
from xmppd.wire.lookalikes import NameIndex

if TYPE_CHECKING:
    from xmppd.features.xep0045_muc.requests import After, Query
    from xmppd.features.xep0045_muc.service import Service

ADMIN_NS: Final = f"{ns.MUC}#admin"
QUERY: Final = f"{ADMIN_NS} query"

BANNED: Final = 301
KICKED: Final = 307
NO_MEMBER: Final = 321

LONGEST_REASON: Final = 1000

Telling = Callable[[], None]


@dataclass(slots=True)
class Wish:
    """
    What one request wants.

    @ivar affiliations: by bare JID.
    @ivar nicks: nicknames to reserve by bare JID, empty for none.
    @ivar roles: by occupant.
    @ivar reasons: by bare JID or nickname.
    """

    affiliations: dict[str, Affiliation] = field(default_factory=dict)
    nicks: dict[str, str | None] = field(default_factory=dict)
    roles: dict[Occupant, Role] = field(default_factory=dict)
    reasons: dict[str, str] = field(default_factory=dict)


def _named(kind: type[Role] | type[Affiliation], text: str) -> Role | Affiliation:
    try:
        return kind(text)
    except ValueError:
        raise StanzaError(StanzaCondition.BAD_REQUEST, "There is no such role or affiliation.") from None


class Admin:
    """C{muc#admin} for all rooms of a service."""

    def __init__(self, service: Service) -> None:
        self._service = service

    # --- lists

    def get(self, query: Query) -> Element:
        """One list."""
        items = list(query.payload.elements("item"))
        if len(items) != 1:
            raise StanzaError(StanzaCondition.BAD_REQUEST, "Ask for one list.")
        role, affiliation = items[0].get("role"), items[0].get("affiliation")
        if (role is None) == (affiliation is None):
            raise StanzaError(StanzaCondition.BAD_REQUEST, "Ask for a role or for an affiliation.")
        if role is not None:
            found = self._byRole(query, Role(_named(Role, role)))
        else:
            found = self._byAffiliation(query, Affiliation(_named(Affiliation, affiliation or "")))
        return Element("query", ADMIN_NS, {}, tuple(found))

    def _byRole(self, query: Query, role: Role) -> list[Element]:
        """Occupants (sections 8.5, 9.8)."""
        affiliation, mine = query.room.standing(query.sender.bare, query.sender.full)
        if role is Role.NONE:
            raise StanzaError(StanzaCondition.BAD_REQUEST, "Nobody in the room has that role.")
        admin = RANK[affiliation] >= RANK[Affiliation.ADMIN]
        if mine is not Role.MODERATOR or (role is Role.MODERATOR and not admin):
            raise StanzaError(StanzaCondition.FORBIDDEN)
        return [
            Element(
                "item",
                ADMIN_NS,
                {
                    "affiliation": each.affiliation,
                    "role": each.role,
                    "nick": each.nick,
                    "jid": each.front.full,
                },
            )
            for each in query.room.occupants.values()
            if each.role is role
        ]

    def _byAffiliation(self, query: Query, affiliation: Affiliation) -> list[Element]:
        """Users (sections 9.2, 9.5, 10.5, 10.8)."""
        room = query.room
        if affiliation is Affiliation.NONE:
            raise StanzaError(StanzaCondition.BAD_REQUEST, "There is no such list.")
        if not self._maySee(query, affiliation):
            raise StanzaError(StanzaCondition.FORBIDDEN)
        found = []
        for bare in room.of(affiliation):
            attrs = {"affiliation": affiliation.value, "jid": bare}
            if bare in room.nicks:
                attrs["nick"] = room.nicks[bare]
            found.append(Element("item", ADMIN_NS, attrs))
        return found

    def _maySee(self, query: Query, list: Affiliation) -> bool:
        """Admins see bans and members, owners everything; where JIDs are no secret, those the configuration names."""
        room = query.room
        affiliation, role = room.standing(query.sender.bare, query.sender.full)
        least = Affiliation.ADMIN if list in (Affiliation.OUTCAST, Affiliation.MEMBER) else Affiliation.OWNER
        if RANK[affiliation] >= RANK[least]:
            return True
        if room.config.anonymous or list is Affiliation.OUTCAST:
            return False
        return role in room.config.memberList or RANK[affiliation] >= RANK[Affiliation.MEMBER]

    # --- changes

    async def set(self, query: Query) -> After:
        """Change roles or affiliations."""
        room = query.room
        async with self._service.changing(room):
            wish = self._read(query)
            self._check(query, wish)
            seat = query.seat
            nick = seat.occupant.nick if seat is not None else None
            rest = [self._setRole(room, occupant, role, nick, wish) for occupant, role in wish.roles.items()]
            if wish.affiliations:
                invite = not self._service.isGuest(query.sender)
                rest.append(await self.change(room, wish.affiliations, wish.nicks, nick, wish.reasons, invite))
        return self._service.after(None, lambda: self._service.tellInTurns(room, rest))

    def _read(self, query: Query) -> Wish:
        wish = Wish()
        items = list(query.payload.elements("item"))
        if not items:
            raise StanzaError(StanzaCondition.BAD_REQUEST, "There is nothing to change.")
        for item in items:
            role, affiliation = item.get("role"), item.get("affiliation")
            if (role is None) == (affiliation is None):  # section 17.4
                raise StanzaError(StanzaCondition.BAD_REQUEST, "Change either a role or an affiliation.")
            reason = (textOf(item, "reason") or "")[:LONGEST_REASON]
            if role is not None:
                self._readRole(query.room, item, Role(_named(Role, role)), reason, wish)
            else:
                each = Affiliation(_named(Affiliation, affiliation or ""))
                self._readAffiliation(query.room, item, each, reason, wish)
        return wish

    def _readRole(self, room: Room, item: Element, role: Role, reason: str, wish: Wish) -> None:
        nick = item.get("nick")
        if not nick:
            raise StanzaError(StanzaCondition.BAD_REQUEST, "Roles are given to nicknames.")
        occupant = room.occupants.get(prepareResource(nick))
        if occupant is None:
            raise StanzaError(StanzaCondition.ITEM_NOT_FOUND, "Nobody has that nickname.")
        wish.roles[occupant] = role
        wish.reasons[occupant.nick] = reason

    def _readAffiliation(self, room: Room, item: Element, affiliation: Affiliation, reason: str, wish: Wish) -> None:
        jid, nick = item.get("jid"), item.get("nick")
        if jid:
            bare = parse(jid).bare
            if nick is not None and affiliation not in (Affiliation.OUTCAST, Affiliation.NONE):
                wish.nicks[bare] = prepareResource(nick) if nick else ""
        elif nick:
            occupant = room.occupants.get(prepareResource(nick))
            if occupant is None:
                raise StanzaError(StanzaCondition.ITEM_NOT_FOUND, "Nobody has that nickname.")
            bare = occupant.bare
        else:
            raise StanzaError(StanzaCondition.BAD_REQUEST, "Affiliations are given to JIDs.")
        wish.affiliations[bare] = affiliation
        wish.reasons[bare] = reason

    def _check(self, query: Query, wish: Wish) -> None:
        """
        May the sender want all that?

        @raise StanzaError: no.
        """
        room, sender = query.room, query.sender
        affiliation, role = room.standing(sender.bare, sender.full)
        mine = query.seat.occupant if query.seat is not None else None
        for occupant, new in wish.roles.items():
            target = (occupant.affiliation, occupant.role)
            refusal = roleRefusal((affiliation, role), target, new, occupant is mine)
            if refusal is not None:
                raise StanzaError(refusal)
        for bare, each in wish.affiliations.items():
            refusal = affiliationRefusal(affiliation, room.affiliationOf(bare), each, bare == sender.bare)
            if refusal is None and each is Affiliation.OUTCAST and bare == sender.domain:
                refusal = StanzaCondition.CONFLICT
            if refusal is not None:
                raise StanzaError(refusal)
        self.checkChanges(room, wish.affiliations, wish.nicks)

    def checkChanges(self, room: Room, changes: Mapping[str, Affiliation], nicks: Mapping[str, str | None]) -> None:
        """
        Is the room still one afterwards?

        @raise StanzaError: conflict: no owner would be left, or a nickname is somebody else's; resource-constraint:
            too many.
        """
        after = {**room.affiliations, **changes}
        if Affiliation.OWNER in room.affiliations.values() and Affiliation.OWNER not in after.values():
            raise StanzaError(StanzaCondition.CONFLICT, "A room has at least one owner.")
        most = self._service.options.affiliationsMax
        count = sum(each is not Affiliation.NONE for each in after.values())
        if count > most and count > len(room.affiliations):
            raise StanzaError(StanzaCondition.RESOURCE_CONSTRAINT, f"At most {most} affiliations.")
        keys: dict[str, str] = {}
        given = NameIndex()
        for bare, nick in nicks.items():
            if nick:
                checkNick(nick, self._service.options.nickOctets)
                if room.holds(nickKey(nick), bare) or keys.setdefault(nickKey(nick), bare) != bare:
                    raise StanzaError(StanzaCondition.CONFLICT, "The nickname is in use or reserved.")
                self._service.naming.reserved(room, nick, bare, given)

    def _setRole(self, room: Room, occupant: Occupant, role: Role, actor: str | None, wish: Wish) -> Telling:
        """A role changes now; answers what tells the others."""
        reason = wish.reasons.get(occupant.nick)
        if role is Role.NONE:
            return self.expel(room, occupant, KICKED, actor, reason)
        if occupant.role is role:
            return lambda: None
        before, occupant.role = occupant.role, role
        if role is not Role.MODERATOR:
            room.remember(occupant)
        else:
            room.unvoice(occupant.bare)
        return lambda: self._announce(room, occupant, before, reason)

    def _announce(self, room: Room, occupant: Occupant, before: Role, reason: str | None) -> None:
        """Tell everybody of a new standing; a new moderator learns who the others are."""
        if occupant.nick not in room.occupants:
            return
        room.announce(occupant, why=reason)
        if occupant.role is Role.MODERATOR and before is not Role.MODERATOR and room.config.anonymous:
            for other in tuple(room.occupants.values()):
                if other is not occupant and other.role in room.config.broadcast:
                    for seat in tuple(occupant.seats.values()):
                        seat.give(room.presenceOf(other, True))

    def expel(self, room: Room, occupant: Occupant, code: int, actor: str | None, reason: str | None) -> Telling:
        """Take somebody out; answers what tells the others."""
        others = room.dismiss(occupant, (code,), actor=actor, reason=reason)
        for seat in tuple(occupant.seats.values()):
            self._service.relay.left(seat)

        def rest() -> None:
            others()
            self._service.vacated(room)

        return rest

    async def change(
        self,
        room: Room,
        changes: Mapping[str, Affiliation],
        nicks: Mapping[str, str | None],
        actor: str | None,
        reasons: Mapping[str, str],
        invite: bool = True,
    ) -> Telling:
        """
        Store affiliations and let them take effect; whoever is not allowed any more is taken out now. Answers what
        tells everybody else. To be called while the room is held for changes, after L{checkChanges}.

        @param invite: whether new members of a members-only room are invited.
        """
        self.checkChanges(room, changes, nicks)
        await self._service.storage.saveAffiliations(room, changes, nicks)
        room.goOn()
        return self.takeEffect(room, changes, nicks, actor, reasons, invite)

    def takeEffect(
        self,
        room: Room,
        changes: Mapping[str, Affiliation],
        nicks: Mapping[str, str | None],
        actor: str | None = None,
        reasons: Mapping[str, str] | None = None,
        invite: bool = True,
    ) -> Telling:
        """The part of L{change} behind the store."""
        rest: list[Telling] = []
        for bare, new in changes.items():
            before = room.affiliationOf(bare)
            room.affiliate(bare, new)
            if bare in nicks and new not in (Affiliation.OUTCAST, Affiliation.NONE):
                room.setNick(bare, nicks[bare])
            if before is not new:
                room.unvoice(bare)
            there = room.occupantsOf(bare)
            for occupant in there:
                rest.append(self._restanding(room, occupant, actor, (reasons or {}).get(bare)))
            joined = new is Affiliation.MEMBER and before is Affiliation.NONE
            if invite and joined and not there and room.config.membersOnly and not room.locked:
                rest.append(self._inviting(room, bare))

        return lambda: self._service.tellInTurns(room, rest)

    def _inviting(self, room: Room, bare: str) -> Telling:
        """Who was made a member of a members-only room is invited (section 9.5)."""
        invitation = self._service.invitations.stanza(room, bare, room.jid, self._service.host.entropy.token())
        return lambda: self._service.host.router.route(invitation)

    def _restanding(self, room: Room, occupant: Occupant, actor: str | None, reason: str | None) -> Telling:
        """What another affiliation means for somebody who is in the room."""
        before, role = occupant.affiliation, occupant.role
        now = occupant.affiliation = room.affiliationOf(occupant.bare)
        if now is Affiliation.OUTCAST:
            return self.expel(room, occupant, BANNED, actor, reason)
        if now is Affiliation.NONE and room.config.membersOnly:
            return self.expel(room, occupant, NO_MEMBER, actor, reason)
        if before is now:
            return lambda: None
        powerful = RANK[Affiliation.ADMIN]
        if RANK[now] >= powerful:
            occupant.role = Role.MODERATOR
        elif RANK[before] >= powerful:
            occupant.role = room.roleOnEntering(occupant.bare, now, occupant.guest)
        elif now is Affiliation.MEMBER and role is Role.VISITOR and room.config.moderated:
            occupant.role = Role.PARTICIPANT
        return lambda: self._announce(room, occupant, role, reason)
