"""
Asking for a voice, and granting it (sections 7.13, 8.6).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from xmppd.features.xep0045_muc.affiliations import Role, roleRefusal
from xmppd.features.xep0045_muc.encoding import made
from xmppd.features.xep0045_muc.forms import voiceForm
from xmppd.features.xep0045_muc.occupants import Seat
from xmppd.features.xep0045_muc.rooms import Room
from xmppd.wire import forms
from xmppd.wire.errors import ErrorType, StanzaCondition, StanzaError

if TYPE_CHECKING:
    from xmppd.features.xep0045_muc.service import Service

BETWEEN: Final = 60.0
"""Seconds between two requests of one occupant."""


class Voices:
    """Requests for a voice."""

    def __init__(self, service: Service) -> None:
        self._service = service

    def received(self, room: Room, seat: Seat, given: forms.Values) -> None:
        """A submitted form of type C{muc#request}."""
        if "muc#request_allow" in given:
            self._decided(room, seat, given)
        else:
            self._asked(room, seat, given)

    def _asked(self, room: Room, seat: Seat, given: forms.Values) -> None:
        occupant, now = seat.occupant, self._service.now()
        if forms.first(given, "muc#role") != Role.PARTICIPANT:
            raise StanzaError(StanzaCondition.BAD_REQUEST, "Only a voice can be asked for.")
        if occupant.role is not Role.VISITOR:
            raise StanzaError(StanzaCondition.UNEXPECTED_REQUEST, "You have a voice.", ErrorType.CANCEL)
        if occupant.asked is not None and now - occupant.asked < BETWEEN:
            raise StanzaError(StanzaCondition.RESOURCE_CONSTRAINT, "You have asked already.")
        occupant.asked = now
        form = voiceForm(seat.full, occupant.nick)
        for moderator in room.moderators():
            for each in tuple(moderator.seats.values()):
                attrs = {"from": room.jid, "to": each.full, "id": self._service.host.entropy.token()}
                each.giveOnly(made("message", attrs, form.toBytes(), (form.qname,)))

    def _decided(self, room: Room, seat: Seat, given: forms.Values) -> None:
        if seat.occupant.role is not Role.MODERATOR:
            raise StanzaError(StanzaCondition.FORBIDDEN, "Only moderators may grant a voice.")
        nick = forms.first(given, "muc#roomnick")
        target = room.occupants.get(nick or "")
        if target is None:
            raise StanzaError(StanzaCondition.ITEM_NOT_FOUND, "Nobody has that nickname.")
        if not forms.truth(forms.first(given, "muc#request_allow")) or target.role is not Role.VISITOR:
            return
        actor = (seat.occupant.affiliation, seat.occupant.role)
        refusal = roleRefusal(actor, (target.affiliation, target.role), Role.PARTICIPANT)
        if refusal is not None:
            raise StanzaError(refusal)
        target.role = Role.PARTICIPANT
        room.remember(target)
        room.announce(target)
