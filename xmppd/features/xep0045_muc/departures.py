"""
What rooms do when somebody goes for good: a guest whose session has ended, or an account that is removed.

Affiliations and registrations are taken back as an admin would do it, one room after the other, and the occupants are
told: by presence of whoever is still there, or else by a message from the room (XEP-0045 sections 9.4, 10.4 and 10.7).
Unlike an admin this may take a room's last owner.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from xmppd.features.xep0045_muc.affiliations import Affiliation, Role
from xmppd.features.xep0045_muc.encoding import Fan, X, item, made, userX
from xmppd.features.xep0045_muc.rooms import Room
from xmppd.ixmppd import Departure
from xmppd.wire import ns
from xmppd.wire.errors import StanzaError

if TYPE_CHECKING:
    from xmppd.features.xep0045_muc.service import Service


class Departures:
    """Takes leave for all rooms of a service."""

    def __init__(self, service: Service) -> None:
        self._service = service

    async def farewell(self, departure: Departure) -> None:
        """See C{hooks.farewell}."""
        for room in self._service.roomsWith(departure.bare):
            try:
                await self._leave(room, departure.bare)
            except StanzaError:
                continue  # the room is gone meanwhile
        self._service.forgetUser(departure.bare)

    async def _leave(self, room: Room, bare: str) -> None:
        """Nothing of somebody stays in a room."""
        service = self._service
        async with service.changing(room):
            before = room.affiliations.get(bare)
            if before is not None:
                await service.storage.saveAffiliations(room, {bare: Affiliation.NONE}, {})
                rest = service.admin.takeEffect(room, {bare: Affiliation.NONE}, {})
            if room.config.creator == bare:
                await service.disown(room)
            if room.forget(bare):
                service.storage.forgetUser(room, bare)
        if before is not None:
            rest()
            if not room.occupantsOf(bare) and before is not Affiliation.OUTCAST:
                self._tell(room, bare)
        service.vacated(room)

    def _tell(self, room: Room, bare: str) -> None:
        """Tell those who may know of the affiliations of who isn't there."""
        # No archive is to remember somebody by the news that nothing is left of him.
        inner = userX(item(Affiliation.NONE, Role.NONE, bare)) + f"<no-store xmlns='{ns.HINTS}'/>".encode()
        attrs = {"from": room.jid, "id": self._service.host.entropy.token()}
        fan = Fan(made("message", attrs, inner, (X, f"{ns.HINTS} no-store")))
        for seat in room.audience:
            if room.seesJIDs(seat.occupant):
                seat.give(fan)
