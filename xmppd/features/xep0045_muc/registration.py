"""
Registering with a room (sections 7.10, 7.12, 9.9).

Whether it is done at once or approved by an admin is the service's option C{registration}; into a room that only
members may enter nobody comes without approval.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from xmppd.adapters import checkStorage
from xmppd.features.xep0045_muc.affiliations import RANK, Affiliation
from xmppd.features.xep0045_muc.encoding import made
from xmppd.features.xep0045_muc.forms import approvalForm, readRegistration, registrationForm
from xmppd.features.xep0045_muc.occupants import checkNick, nickKey
from xmppd.features.xep0045_muc.rooms import Room
from xmppd.wire import forms, ns
from xmppd.wire.element import Element
from xmppd.wire.errors import ErrorType, StanzaCondition, StanzaError
from xmppd.wire.jid import JIDMalformed, parse, prepareResource

if TYPE_CHECKING:
    from xmppd.features.xep0045_muc.requests import After, Query
    from xmppd.features.xep0045_muc.service import Service

QUERY: Final = f"{ns.REGISTER} query"
KIND: Final = "registration"
PENDING: Final = 100
"""How many requests of a room may wait for approval."""

RENAMED: Final = 210

Answers = Mapping[str, tuple[str, ...]]


class Registration:
    """C{jabber:iq:register} for all rooms of a service."""

    def __init__(self, service: Service) -> None:
        self._service = service

    def _authorize(self, query: Query) -> Affiliation:
        """
        May the sender register with the room?

        @raise StanzaError: service-unavailable: nobody may; not-allowed: not this one.
        """
        if self._service.options.registration == "closed":
            raise StanzaError(StanzaCondition.SERVICE_UNAVAILABLE, "This service has no registration.")
        affiliation = query.room.affiliationOf(query.sender.bare)
        guest = self._service.isGuest(query.sender)
        if affiliation is Affiliation.OUTCAST or (guest and not self._service.options.guestsRegister):
            raise StanzaError(StanzaCondition.NOT_ALLOWED, "You may not register with this room.")
        return affiliation

    def get(self, query: Query) -> Element:
        """The form, or that one is registered."""
        self._authorize(query)
        nick = query.room.nicks.get(query.sender.bare)
        if nick is not None:
            name = Element("username", ns.REGISTER, {}, (nick,))
            return Element("query", ns.REGISTER, {}, (Element("registered", ns.REGISTER), name))
        text = Element("instructions", ns.REGISTER, {}, ("Choose a nickname that is kept for you in this room.",))
        return Element("query", ns.REGISTER, {}, (text, registrationForm(query.room.jid)))

    async def set(self, query: Query) -> After | None:
        """Register, or take the registration back (XEP-0077 section 3.2)."""
        room = query.room
        affiliation = self._authorize(query)
        if query.payload.find("remove") is not None:
            return await self._cancel(query)
        form = forms.formIn(query.payload)
        if form is None or form.get("type") != "submit":
            raise StanzaError(StanzaCondition.BAD_REQUEST, "Submit the registration form.")
        answers = readRegistration(form)
        checkStorage(self._service.host.router.session(query.sender.full), KIND, len(query.stanza.raw))
        nick = self._nick(room, query.sender.bare, answers)
        strict = self._service.options.registration == "approval" or room.config.membersOnly
        if strict and affiliation is Affiliation.NONE:
            self._ask(room, query.sender.bare, answers)
            return None
        return await self._register(room, query.sender.bare, nick, answers)

    def _nick(self, room: Room, bare: str, answers: Answers) -> str:
        try:
            nick = prepareResource(answers["muc#register_roomnick"][0])
        except JIDMalformed as error:
            raise StanzaError(StanzaCondition.NOT_ACCEPTABLE, error.text) from None
        checkNick(nick, self._service.options.nickOctets)
        if room.holds(nickKey(nick), bare):
            raise StanzaError(StanzaCondition.CONFLICT, "The nickname is in use or reserved.")
        sees = any(each.bare == bare for each in room.occupants.values())
        self._service.naming.nickname(room, nick, bare, room.affiliationOf(bare), sees)
        return nick

    async def _register(self, room: Room, bare: str, nick: str, answers: Answers) -> After:
        service = self._service
        async with service.changing(room):
            affiliation = room.affiliationOf(bare)
            stored = room.affiliations.get(bare, Affiliation.NONE)
            new = stored if RANK[stored] >= RANK[Affiliation.MEMBER] else Affiliation.MEMBER
            if affiliation is Affiliation.OUTCAST:
                raise StanzaError(StanzaCondition.NOT_ALLOWED, "You may not register with this room.")
            rest = await service.admin.change(room, {bare: new}, {bare: nick}, None, {}, invite=False)
            await service.storage.saveRegistration(room, bare, answers)
        return service.after(None, rest, lambda: self._applyNick(room, bare, nick))

    def _applyNick(self, room: Room, bare: str, nick: str) -> None:
        """Where nicknames are locked, who is in the room gets the registered one now."""
        if self._service.options.lockNicks:
            for occupant in room.occupantsOf(bare)[:1]:
                if occupant.nick != nick:
                    self._service.presence.rename(room, occupant, nick, (RENAMED,))

    async def _cancel(self, query: Query) -> After:
        room, bare, service = query.room, query.sender.bare, self._service
        if room.affiliations.get(bare) is None or bare not in room.nicks:
            raise StanzaError(StanzaCondition.REGISTRATION_REQUIRED, "You are not registered.")
        async with service.changing(room):
            current = room.affiliations.get(bare, Affiliation.NONE)
            new = Affiliation.NONE if current is Affiliation.MEMBER else current
            rest = await service.admin.change(room, {bare: new}, {bare: ""}, None, {})
        return service.after(None, rest)

    # --- approval

    def _ask(self, room: Room, bare: str, answers: Answers) -> None:
        """Ask those who may decide: the admins in the room, or, if there are none, all of them where they are."""
        if bare not in room.pending and len(room.pending) >= PENDING:
            raise StanzaError(StanzaCondition.RESOURCE_CONSTRAINT, "Too many registrations wait for approval.")
        if bare in room.pending:
            text = "Your registration waits for approval."
            raise StanzaError(StanzaCondition.UNEXPECTED_REQUEST, text, ErrorType.WAIT)
        room.wait(bare, answers)
        form = approvalForm(bare, answers)
        powerful = RANK[Affiliation.ADMIN]
        present = [seat.full for seat in room.audience if RANK[seat.occupant.affiliation] >= powerful]
        away = [*room.of(Affiliation.OWNER), *room.of(Affiliation.ADMIN)]
        for to in present or away:
            attrs = {"from": room.jid, "to": to, "id": self._service.host.entropy.token()}
            self._service.host.router.route(made("message", attrs, form.toBytes(), (form.qname,)))

    async def decided(self, room: Room, bare: str, given: forms.Values) -> None:
        """
        An admin has filled in the form of L{_ask}.

        @param bare: the sender.
        @param given: what it holds.
        """
        if RANK[room.affiliationOf(bare)] < RANK[Affiliation.ADMIN]:
            raise StanzaError(StanzaCondition.FORBIDDEN, "Only admins may approve registrations.")
        user = parse(forms.first(given, "muc#jid") or "").bare
        answers = room.unwait(user)
        if answers is None:
            raise StanzaError(StanzaCondition.ITEM_NOT_FOUND, "No such registration waits.")
        if forms.truth(forms.first(given, "muc#register_allow")):
            done = await self._register(room, user, self._nick(room, user, answers), answers)
            done.then()
