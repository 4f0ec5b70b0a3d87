"""
Configuration and destruction (section 10).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Final

from twisted.internet.defer import Deferred

from xmppd.features.xep0045_muc.affiliations import RANK, Affiliation, Role
from xmppd.features.xep0045_muc.config import RoomConfig
from xmppd.features.xep0045_muc.encoding import textOf
from xmppd.features.xep0045_muc.forms import Field, configForm, fields, readConfig, readPeople
from xmppd.features.xep0045_muc.occupants import Occupant
from xmppd.features.xep0045_muc.rooms import Room
from xmppd.wire import forms, ns
from xmppd.wire.element import Element
from xmppd.wire.errors import StanzaCondition, StanzaError
from xmppd.wire.jid import JID, parse

if TYPE_CHECKING:
    from xmppd.features.xep0045_muc.requests import After, Query
    from xmppd.features.xep0045_muc.service import Service

OWNER_NS: Final = f"{ns.MUC}#owner"
QUERY: Final = f"{OWNER_NS} query"

CONFIGURED: Final = 104
LOGGED: Final = 170
NOT_LOGGED: Final = 171
OPEN: Final = 172
ANONYMOUS: Final = 173
MEMBERS_ONLY: Final = 322

LONGEST_REASON: Final = 1000


def codes(before: RoomConfig, after: RoomConfig) -> list[int]:
    """What occupants are told of a change (section 10.2.1)."""
    found = []
    if before.logging != after.logging:
        found.append(LOGGED if after.logging else NOT_LOGGED)
    if before.anonymous != after.anonymous:
        found.append(ANONYMOUS if after.anonymous else OPEN)
    return found or ([CONFIGURED] if before != after else [])


class Owner:
    """C{muc#owner} for all rooms of a service."""

    def __init__(self, service: Service) -> None:
        self._service = service

    def _fields(self) -> tuple[Field, ...]:
        options = self._service.options
        return fields(options.occupantsMax, options.historyMessages, self._service.archive is not None)

    def _authorize(self, query: Query) -> None:
        if query.room.affiliationOf(query.sender.bare) is not Affiliation.OWNER:
            raise StanzaError(StanzaCondition.FORBIDDEN, "Only owners may do that.")

    def get(self, query: Query) -> Element:
        """The form to configure a room (sections 10.1.3, 10.2)."""
        self._authorize(query)
        room = query.room
        owners, admins = room.of(Affiliation.OWNER), room.of(Affiliation.ADMIN)
        form = configForm(room.jid, room.config, self._fields(), owners, admins)
        return Element("query", OWNER_NS, {}, (form,))

    async def set(self, query: Query) -> After | None:
        """Configure, cancel, or destroy a room."""
        self._authorize(query)
        destroy, form = query.payload.find("destroy"), forms.formIn(query.payload)
        if destroy is not None:
            await self._destroy(query.room, destroy)
            return None
        type = form.get("type") if form is not None else None
        if form is not None and type == "submit":
            return await self._configure(query, form)
        if type == "cancel":
            if query.room.locked:  # section 10.1.3
                await self._service.remove(query.room)
            return None
        raise StanzaError(StanzaCondition.BAD_REQUEST, "Submit a form, cancel it, or destroy the room.")

    def establish(self, room: str, owner: str, name: str) -> Deferred[None]:
        """See L{IRooms}."""
        return Deferred.fromCoroutine(self._establish(parse(room), parse(owner), name))

    async def _establish(self, room: JID, owner: JID, name: str) -> None:
        service = self._service
        if room.local is None or room.full != f"{room.local}@{service.host.domain}":
            raise StanzaError(StanzaCondition.JID_MALFORMED)
        if room.local in service.rooms:
            return
        made = service.create(room.local, owner)
        async with service.changing(made):
            config = replace(made.config, name=name, persistent=True)
            await service.forgotten(made)
            await service.storage.saveConfig(made, config, {})
            made.goOn()
            made.config, made.locked = config, False
        if made.timeout is not None and made.timeout.active():
            made.timeout.cancel()

    async def _destroy(self, room: Room, element: Element) -> None:
        """Section 10.9."""
        jid = element.get("jid")
        venue = parse(jid).full if jid else None
        reason = (textOf(element, "reason") or "")[:LONGEST_REASON]
        await self._service.remove(room, venue, reason, textOf(element, "password"))

    async def _configure(self, query: Query, form: Element) -> After:
        """Everything is checked, then stored, then takes effect (sections 10.1, 10.2)."""
        room, service = query.room, self._service
        async with service.changing(room):
            config = readConfig(form, room.config, self._fields())
            people = readPeople(form, room.affiliations)
            service.admin.checkChanges(room, people, {})
            service.checkPersistence(room, config, query.sender)
            if room.locked:
                await service.forgotten(room)
            await service.storage.saveConfig(room, config, people)
            room.goOn()
            before, room.config = room.config, config
            room.locked = False
            rest = service.admin.takeEffect(room, people, {}, invite=not service.isGuest(query.sender))
        if room.timeout is not None and room.timeout.active():
            room.timeout.cancel()
        return service.after(None, rest, lambda: self._takeEffect(room, before))

    def _takeEffect(self, room: Room, before: RoomConfig) -> None:
        """Tell what changed, and let it change what it changes. Who may not stay is out at once."""
        config = room.config
        telling: list[Callable[[], None]] = []
        if config.membersOnly and not before.membersOnly:
            telling += [
                self._service.admin.expel(room, occupant, MEMBERS_ONLY, None, None)
                for occupant in tuple(room.occupants.values())
                if RANK[occupant.affiliation] < RANK[Affiliation.MEMBER]
            ]
        if before.moderated and not config.moderated:
            telling += self._givingVoices(room)
        if before.broadcast != config.broadcast:
            telling += [partial(self._reshow, room, occupant) for occupant in tuple(room.occupants.values())]
        told = codes(before, config)
        if told:
            telling.append(lambda: room.notice(told))
        telling.append(lambda: self._service.vacated(room))
        self._service.tellInTurns(room, telling)

    def _reshow(self, room: Room, occupant: Occupant) -> None:
        """Show an occupant, or show it no more, if other roles are shown now."""
        if room.isIn(occupant) and (occupant.role in room.config.broadcast) != occupant.shown:
            room.showOthers(occupant)

    def _givingVoices(self, room: Room) -> list[Callable[[], None]]:
        """
        A room is no longer moderated: who is a visitor for that reason alone, isn't any more. Answers what tells that.
        """
        for bare in tuple(room.voices):
            room.unvoice(bare)
        telling: list[Callable[[], None]] = []
        for occupant in tuple(room.occupants.values()):
            role = room.roleOnEntering(occupant.bare, occupant.affiliation, occupant.guest)
            if occupant.role is Role.VISITOR and role is Role.PARTICIPANT:
                occupant.role = role
                telling.append(partial(self._announce, room, occupant))
        return telling

    def _announce(self, room: Room, occupant: Occupant) -> None:
        """Tell everybody of an occupant's new role."""
        if room.isIn(occupant):
            room.announce(occupant)
