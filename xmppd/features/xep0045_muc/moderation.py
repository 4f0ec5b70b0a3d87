"""
Taking back what was said: moderators by XEP-0425, authors by XEP-0424.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from xmppd.features.xep0045_muc.affiliations import RANK, Role
from xmppd.features.xep0045_muc.encoding import STANZA_ID, Fan, made, occupantId
from xmppd.features.xep0045_muc.occupants import Occupant
from xmppd.features.xep0045_muc.rooms import Room
from xmppd.wire.element import escapeAttribute, escapeText
from xmppd.wire.errors import StanzaCondition, StanzaError
from xmppd.wire.stanza import Stanza

if TYPE_CHECKING:
    from xmppd.features.xep0045_muc.requests import Query
    from xmppd.features.xep0045_muc.service import Service

RETRACTION_NS: Final = "urn:xmpp:message-retract:1"
MODERATION_NS: Final = "urn:xmpp:message-moderate:1"
RETRACT: Final = f"{RETRACTION_NS} retract"
MODERATE: Final = f"{MODERATION_NS} moderate"
LONGEST_REASON: Final = 1000


def checkRetraction(stanza: Stanza) -> None:
    """
    Refuse what only looks as if a moderator had acted (XEP-0425 section 5).

    @raise StanzaError: forbidden.
    """
    retracts = (each for each in stanza.elements() if each.qname == RETRACT)
    if any(child.name == "moderated" for each in retracts for child in each.elements()):
        raise StanzaError(StanzaCondition.FORBIDDEN, "Only the room announces what moderators do.")


def forgetRetracted(room: Room, occupant: Occupant, stanza: Stanza) -> None:
    """Somebody takes back a message of its own: tell it to nobody any more (XEP-0424 section 5)."""
    retract = stanza.find(RETRACT)
    entry = room.history.find(retract.get("id") or "") if retract is not None else None
    if entry is not None and entry.bare == occupant.bare:
        room.history.remove(entry)


class Moderation:
    """Retraction by moderators."""

    def __init__(self, service: Service) -> None:
        self._service = service

    async def moderate(self, query: Query) -> None:
        """Section 3: forget a message and tell everybody."""
        room, payload = query.room, query.payload
        actor, role = room.standing(query.sender.bare, query.sender.full)
        if role is not Role.MODERATOR:
            raise StanzaError(StanzaCondition.FORBIDDEN, "Only moderators may retract others' messages.")
        id = payload.get("id")
        if not id or payload.find("retract", RETRACTION_NS) is None:
            raise StanzaError(StanzaCondition.BAD_REQUEST, "Say which message is to be retracted.")
        reason = (payload.textOf("reason") or "")[:LONGEST_REASON]
        entry = room.history.find(id)
        archive = self._service.archive
        author = entry.bare if entry is not None else None
        if author is None and archive is not None and room.config.logging:
            author = await archive.author(room.jid, id)
            room.goOn()
        if author and RANK[room.affiliationOf(author)] > RANK[actor]:
            raise StanzaError(StanzaCondition.NOT_ALLOWED, "Its author stands above you.")
        seat = room.seats.get(query.sender.full)
        by = seat.occupant.jid if seat is not None else room.jid
        mark = _moderated(by, seat.occupant.id if seat is not None else None, reason)
        archived = False
        if archive is not None and room.config.logging:
            archived = await archive.retract(room.jid, id, mark)
            room.goOn()
        if entry is None and not archived:
            raise StanzaError(StanzaCondition.ITEM_NOT_FOUND, "There is no such message.")
        if entry is not None and room.history.find(id) is entry:
            room.history.remove(entry)
        self._announce(room, id, mark, query.sender.bare)

    def _announce(self, room: Room, id: str, mark: bytes, bare: str) -> None:
        """Tell everybody (section 3.1)."""
        inner = f"<retract xmlns='{RETRACTION_NS}' id='{escapeAttribute(id)}'>".encode() + mark + b"</retract>"
        attrs = {"from": room.jid, "type": "groupchat", "id": self._service.host.entropy.token()}
        said = made("message", attrs, inner, (RETRACT,))
        own = self._service.stanzaId(room, said)
        if own is not None:
            said = said.extended(f"{room.stanzaIdStart}{own}'/>".encode(), (STANZA_ID,))
        archive = self._service.archive
        if archive is not None and room.config.logging and own is not None:
            archive.archive(room.jid, own, said, bare, not room.config.anonymous)
        room.say(Fan(said))


def _moderated(by: str, id: str | None, reason: str) -> bytes:
    """What says who did it and why; stands in C{<retract/>} and in an archive's C{<retracted/>}."""
    inner = occupantId(id).decode() if id else ""
    element = f"<moderated xmlns='{MODERATION_NS}' by='{escapeAttribute(by)}'>{inner}</moderated>"
    return (element + (f"<reason>{escapeText(reason)}</reason>" if reason else "")).encode()
