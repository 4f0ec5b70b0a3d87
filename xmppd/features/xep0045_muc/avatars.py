"""
A room's vCard and avatar (XEP-0486).
"""

from __future__ import annotations

import binascii
from base64 import b64decode
from hashlib import sha1
from typing import TYPE_CHECKING, Final

from xmppd.features.xep0045_muc.affiliations import Affiliation
from xmppd.features.xep0045_muc.rooms import Room
from xmppd.wire import ns
from xmppd.wire.element import Element, parse
from xmppd.wire.errors import StanzaCondition, StanzaError

if TYPE_CHECKING:
    from xmppd.features.xep0045_muc.requests import Query
    from xmppd.features.xep0045_muc.service import Service

VCARD: Final = f"{ns.VCARD} vCard"
CHANGED: Final = 104
PICTURES: Final = 8
"""How many pictures a card may have."""


def hashes(card: Element) -> tuple[str, ...]:
    """
    SHA-1 of each picture (section 5.1).

    @raise StanzaError: one isn't base64, or there are too many.
    """
    found = []
    for photo in card.elements("PHOTO"):
        binary = photo.textOf("BINVAL")
        if binary is not None:
            try:
                data = b64decode("".join(binary.split()), validate=True)
            except (binascii.Error, ValueError):
                raise StanzaError(StanzaCondition.BAD_REQUEST, "The picture is not base64.") from None
            found.append(sha1(data, usedforsecurity=False).hexdigest())
    if len(found) > PICTURES:
        raise StanzaError(StanzaCondition.POLICY_VIOLATION, f"A card may have {PICTURES} pictures.")
    return tuple(found)


class Avatars:
    """Keeps and gives out rooms' vCards. Those of temporary rooms are in memory, and go with the room."""

    def __init__(self, service: Service) -> None:
        self._service = service

    async def get(self, query: Query) -> bytes:
        """Anybody may see it (section 3.4)."""
        card = await self._service.storage.card(query.room)
        return card if card is not None else f"<vCard xmlns='{ns.VCARD}'/>".encode()

    async def set(self, query: Query) -> None:
        """Owners may replace it (section 3.2); an empty one takes it away."""
        room, most = query.room, self._service.host.limits.vcardBytes
        if room.affiliationOf(query.sender.bare) is not Affiliation.OWNER:
            raise StanzaError(StanzaCondition.FORBIDDEN, "Only owners may set the avatar.")
        card = query.payload.toBytes()
        if len(card) > most:
            raise StanzaError(StanzaCondition.POLICY_VIOLATION, f"A vCard may have {most} octets.")
        avatars = hashes(query.payload)
        async with self._service.changing(room):
            await self._service.storage.saveCard(room, card if query.payload.children else None)
            room.goOn()
            room.avatars = avatars
        room.notice([CHANGED])

    def loaded(self, room: Room, card: bytes) -> None:
        """A room came from the store."""
        try:
            room.avatars = hashes(parse(card))
        except (ValueError, StanzaError):
            room.avatars = ()
