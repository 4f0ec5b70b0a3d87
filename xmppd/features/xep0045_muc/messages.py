"""
What is said: to everybody, privately, and the subject (sections 7.4, 7.5, 8.1).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from xmppd.features.xep0045_muc.affiliations import RANK, Affiliation, Role
from xmppd.features.xep0045_muc.encoding import DELAY, OCCUPANT_ID, STANZA_ID, Fan, X, delay, honest, made, userX
from xmppd.features.xep0045_muc.history import Entry, isKept
from xmppd.features.xep0045_muc.moderation import RETRACT, checkRetraction, forgetRetracted
from xmppd.features.xep0045_muc.occupants import Occupant, Seat
from xmppd.features.xep0045_muc.presence import isGhost
from xmppd.features.xep0045_muc.relay import impersonal
from xmppd.features.xep0045_muc.rooms import Room
from xmppd.wire import ns
from xmppd.wire.dates import dateTime
from xmppd.wire.errors import StanzaCondition, StanzaError
from xmppd.wire.jid import JID
from xmppd.wire.stanza import BODY, ERROR, Stanza

if TYPE_CHECKING:
    from xmppd.features.xep0045_muc.service import Service

SUBJECT: Final = f"{ns.CLIENT} subject"
THREAD: Final = f"{ns.CLIENT} thread"

SPEAKING: Final = frozenset({Role.PARTICIPANT, Role.MODERATOR})
"""Who has a voice."""

PRIVATELY: Final[dict[str, frozenset[Role]]] = {
    "anyone": frozenset({Role.VISITOR, Role.PARTICIPANT, Role.MODERATOR}),
    "participants": SPEAKING,
    "moderators": frozenset({Role.MODERATOR}),
    "none": frozenset(),
}
"""Who may send private messages, by the configuration."""


def isSubject(stanza: Stanza) -> bool:
    """Whether a message changes the subject: it has one, and neither a body nor a thread (section 8.1)."""
    names = stanza.childNames
    return SUBJECT in names and BODY not in names and THREAD not in names


class Messages:
    """All messages to the rooms of a service."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._options = service.options
        self._router = service.host.router

    def received(self, stanza: Stanza, to: JID) -> None:
        """A message for a room or an occupant."""
        room = self._service.rooms.get(to.local or "")
        type = stanza.attrs.get("type")
        try:
            if type == "error":
                if room is not None:
                    self._failed(room, stanza, to)
            elif room is None or room.locked:
                raise StanzaError(StanzaCondition.ITEM_NOT_FOUND, "There is no such room.")
            elif len(stanza.raw) > self._options.messageOctets:
                raise StanzaError(StanzaCondition.POLICY_VIOLATION, f"At most {self._options.messageOctets} octets.")
            elif to.resource is not None:
                self._private(room, stanza, to.resource)
            elif type == "groupchat":
                self._public(room, stanza)
            else:
                self._service.asked(room, stanza)
        except StanzaError as error:
            self._router.bounce(stanza, error)

    # --- to everybody

    def _public(self, room: Room, stanza: Stanza) -> None:
        """Section 7.4."""
        seat = room.seats.get(stanza.attrs["from"]) or room.seatOf(stanza)
        if seat is None:
            raise StanzaError(StanzaCondition.NOT_ACCEPTABLE, "You are not in the room.")
        occupant = seat.occupant
        names = stanza.childNames
        if SUBJECT in names and isSubject(stanza):
            self._changeSubject(room, occupant, stanza)
            return
        if occupant.role not in SPEAKING:
            raise StanzaError(StanzaCondition.FORBIDDEN, "You have no voice in this room.")
        if RETRACT in names:
            checkRetraction(stanza)
        slow = room.config.slowMode
        if slow and BODY in names and RANK[occupant.affiliation] < RANK[Affiliation.ADMIN]:
            room.slow.check(occupant.bare, self._service.now(), slow)
        said, id = self._encoded(room, occupant, stanza)
        self._keep(room, occupant, stanza, said, id)
        room.say(said, occupant)

    def _encoded(self, room: Room, occupant: Occupant, stanza: Stanza) -> tuple[Fan, str | None]:
        """What everybody gets; with a stanza id if it can be found again by it (XEP-0313 section 3.5)."""
        clean = honest(stanza, room.jid).addressed(occupant.messageAttrs)
        id = self._service.stanzaId(room, clean)
        if id is None:
            return Fan(clean.extended(occupant.addition.encode(), (OCCUPANT_ID,))), None
        addition = f"{occupant.addition}{room.stanzaIdStart}{id}'/>".encode()
        return Fan(clean.extended(addition, (OCCUPANT_ID, STANZA_ID))), id

    def _keep(self, room: Room, occupant: Occupant, stanza: Stanza, said: Fan, id: str | None) -> None:
        """History and archive."""
        if RETRACT in stanza.childNames:
            forgetRetracted(room, occupant, stanza)
        if isKept(said.stanza):
            room.history.add(Entry(room.jid, id or "", occupant.bare, self._service.now(), said))
        self._archive(room, occupant, stanza, said, id)

    def _archive(self, room: Room, occupant: Occupant, stanza: Stanza, said: Fan, id: str | None) -> None:
        """Where there is an archive, the message is not handled before it has it."""
        archive = self._service.archive
        if archive is not None and room.config.logging and id is not None:
            settled = archive.archive(room.jid, id, said.stanza, occupant.bare, not room.config.anonymous)
            if settled is not None and stanza.promise is not None:
                stanza.promise.append(settled)

    # --- the subject

    def _changeSubject(self, room: Room, occupant: Occupant, stanza: Stanza) -> None:
        """Section 8.1."""
        may = occupant.role is Role.MODERATOR or (occupant.role is Role.PARTICIPANT and room.config.changeSubject)
        if not may:
            raise StanzaError(StanzaCondition.FORBIDDEN, "You may not change the subject.")
        said, id = self._encoded(room, occupant, stanza)
        subject = stanza.find(SUBJECT)
        room.subjectText = subject.text if subject is not None else ""
        room.subject = Fan(said.stanza.extended(delay(room.jid, dateTime(self._service.now())), (DELAY,)))
        self._service.storage.saveSubject(room)
        self._archive(room, occupant, stanza, said, id)
        room.say(said, occupant)

    # --- to one

    def _private(self, room: Room, stanza: Stanza, nick: str) -> None:
        """Section 7.5."""
        seat = room.seatOf(stanza)
        if seat is None:
            raise StanzaError(StanzaCondition.NOT_ACCEPTABLE, "You are not in the room.")
        if stanza.attrs.get("type") == "groupchat":
            raise StanzaError(StanzaCondition.BAD_REQUEST, "What is for one occupant is not for all.")
        target = room.occupants.get(nick)
        if target is None:
            raise StanzaError(StanzaCondition.ITEM_NOT_FOUND, "Nobody has that nickname.")
        sender = seat.occupant
        if sender.role not in PRIVATELY[room.config.privateMessages]:
            raise StanzaError(StanzaCondition.FORBIDDEN, "You may not send private messages in this room.")
        addition = userX("") + sender.addition.encode()
        said = Fan(honest(stanza, room.jid).addressed(sender.messageAttrs).extended(addition, (X, OCCUPANT_ID)))
        for each in tuple(target.seats.values()):
            copy = said.to(each.full, each.starts)
            copy.promise = stanza.promise
            each.told.append((sender.nick, stanza.id))
            each.giveOnly(copy)

    # --- what came back

    def _failed(self, room: Room, stanza: Stanza, to: JID) -> None:
        """An error from an occupant, or from somebody who was invited (section 18.1.2)."""
        seat = room.seatOf(stanza)
        if seat is None:
            if to.resource is None:
                self._service.invitations.failed(room, stanza)
            return
        private = to.resource is not None and (to.resource, stanza.id) in seat.told
        target = room.occupants.get(to.resource or "")
        if private and target is not None:
            self._tellFailed(room, seat, target, stanza)
        if isGhost(seat, stanza, private):
            self._service.presence.vanish(room, seat)

    def _tellFailed(self, room: Room, seat: Seat, target: Occupant, stanza: Stanza) -> None:
        """Somebody's private message came back: pass the error on, and nothing that tells who answered."""
        error = stanza.find(ERROR)
        if error is not None:
            attrs = {"from": seat.occupant.jid, "type": "error", "id": stanza.id}
            fan = Fan(made("message", attrs, impersonal(error, room).toBytes(), (ERROR,)))
            for each in tuple(target.seats.values()):
                each.give(fan)
