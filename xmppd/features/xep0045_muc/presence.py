"""
Entering and leaving rooms, nicknames and availability (sections 7.1, 7.2, 7.6, 7.7, 7.14, 17.3).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from xmppd.features.xep0045_muc.affiliations import RANK, Affiliation, Role
from xmppd.features.xep0045_muc.encoding import (
    JOIN,
    PRESENCE_FORGERIES,
    Fan,
    X,
    honest,
    item,
    made,
    userX,
)
from xmppd.features.xep0045_muc.history import Wanted, wanted
from xmppd.features.xep0045_muc.occupants import Occupant, Seat, checkNick, nickKey
from xmppd.features.xep0045_muc.rooms import SELF, Room
from xmppd.features.xep0045_muc.turns import LARGE
from xmppd.wire import ns
from xmppd.wire.element import Element
from xmppd.wire.errors import ErrorType, StanzaCondition, StanzaError
from xmppd.wire.jid import JID, parse
from xmppd.wire.stanza import ERROR, Stanza

if TYPE_CHECKING:
    from xmppd.features.xep0045_muc.service import Service

MARK: Final = f"<x xmlns='{ns.MUC}'/>".encode()
"""What marks an error as one from a room (as in all examples of section 7.2): some clients wait for it."""

CREATED: Final = 201
RENAMED: Final = 210
NICK_CHANGED: Final = 303
KICKED: Final = 307
UNREACHABLE: Final = 333

RESERVE: Final = 20
"""How many admins and owners may enter a full room (section 7.2.9)."""

SEATS: Final = 20
"""How many clients may share a nickname."""

GHOSTLY: Final = frozenset(
    {
        StanzaCondition.GONE,
        StanzaCondition.ITEM_NOT_FOUND,
        StanzaCondition.RECIPIENT_UNAVAILABLE,
        StanzaCondition.REDIRECT,
        StanzaCondition.REMOTE_SERVER_NOT_FOUND,
        StanzaCondition.REMOTE_SERVER_TIMEOUT,
    }
)
"""Errors by which it is known that an occupant isn't there any more (section 18.1.2)."""


def conditionOf(stanza: Stanza) -> str:
    """The condition of an error stanza; empty if it has none."""
    error = stanza.find(ERROR)
    if error is None:
        return ""
    return next((each.name for each in error.elements() if each.ns == ns.STANZA_ERRORS and each.name != "text"), "")


def isGhost(seat: Seat, stanza: Stanza, private: bool = False) -> bool:
    """
    Whether an error shows that a client isn't there any more. Other servers may say so by C{service-unavailable} (RFC
    6121 section 8.5.3.2.2); of this server's sessions the end is known, and that they refuse something means nothing.

    @param private: whether it answers a private message.
    """
    condition = conditionOf(stanza)
    if condition == StanzaCondition.SERVICE_UNAVAILABLE:
        return not seat.local and not private
    return condition in GHOSTLY


class RoomPresence:
    """All presence to the rooms of a service."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._options = service.options
        self._router = service.host.router

    def received(self, stanza: Stanza, to: JID) -> None:
        """Presence for a room or an occupant."""
        type = stanza.attrs.get("type")
        try:
            if type is None:
                self._available(stanza, to)
                return
        except StanzaError as error:
            error.by = error.by or to.bare
            self._router.route(stanza.reply("error", MARK + error.toBytes(), (JOIN, ERROR), to.full))
            return
        room = self._service.rooms.get(to.local or "")
        seat = room.seatOf(stanza) if room is not None else None
        if room is None or seat is None:
            return  # unavailable presence of who isn't there is ignored (section 17.3)
        if type == "unavailable":
            self._leave(room, seat, stanza)
        elif type == "error":
            if isGhost(seat, stanza):
                self.vanish(room, seat)
        elif type == "probe" and to.resource in room.occupants:
            seat.give(room.presenceOf(room.occupants[to.resource], room.seesJIDs(seat.occupant)))

    # --- available

    def _available(self, stanza: Stanza, to: JID) -> None:
        nick = to.resource
        if nick is None:
            raise StanzaError(StanzaCondition.JID_MALFORMED, "Name a nickname behind the room.")
        if len(stanza.raw) > self._options.presenceOctets:
            raise StanzaError(StanzaCondition.POLICY_VIOLATION, f"At most {self._options.presenceOctets} octets.")
        room = self._service.rooms.get(to.local or "")
        seat = room.seatOf(stanza) if room is not None else None
        if room is None or seat is None:
            if JOIN in stanza.childNames:
                self._enter(room, stanza, to, nick)
            else:
                self._refuseOldProtocol(stanza, to)
        elif not room.pace.spend(seat.occupant.bare, self._service.now()):
            raise StanzaError(StanzaCondition.RESOURCE_CONSTRAINT, "Your presence changes too often.")
        elif nick != seat.occupant.nick:
            self._rename(room, seat, stanza, nick)
        elif JOIN in stanza.childNames:
            self._resync(room, seat, stanza)
        else:
            self._update(room, seat, stanza)

    def _cleaned(self, stanza: Stanza) -> Stanza:
        """Presence as it is kept: without addresses, and without what only a room may say."""
        clean = honest(stanza.without(PRESENCE_FORGERIES), f"@{self._service.host.domain}")
        return clean.addressed(dict.fromkeys(("to", "from", "type", "id")))

    def _refuseOldProtocol(self, stanza: Stanza, to: JID) -> None:
        """Somebody believes to be in a room, or speaks groupchat 1.0 (section 7.2.18)."""
        content = userX(item(Affiliation.NONE, Role.NONE), (SELF, KICKED, UNREACHABLE))
        attrs = {"from": to.full, "to": stanza.attrs["from"], "type": "unavailable", "id": stanza.id}
        self._router.route(made("presence", attrs, content, (X,)))

    def _enter(self, room: Room | None, stanza: Stanza, to: JID, nick: str) -> None:
        """Section 7.2. Everything is checked before anything changes."""
        service, sender = self._service, parse(stanza.attrs["from"])
        checkNick(nick, self._options.nickOctets)
        wish = stanza.find(JOIN)
        created = room is None
        if room is None:
            service.naming.nickname(None, nick, sender.bare, Affiliation.OWNER)
            room = service.create(to.local or "", sender)
        elif room.locked:
            raise StanzaError(StanzaCondition.ITEM_NOT_FOUND, "The room is not configured yet.")
        affiliation = room.affiliationOf(sender.bare)
        codes: tuple[int, ...] = (CREATED,) if created else ()
        if not created:
            self._admit(room, sender, affiliation, wish)
            own = room.nicks.get(sender.bare)
            if self._options.lockNicks and own is not None and own != nick:
                nick, codes = own, (RENAMED,)
            service.naming.nickname(room, nick, sender.bare, affiliation)
        occupant = self._occupantFor(room, sender, affiliation, nick)
        seat = Seat(sender.full, self._router, occupant, self._cleaned(stanza))
        first = not occupant.seats
        before = None if first else occupant.front.presence.raw
        room.seat(seat)
        self._welcome(room, seat, wish, codes, stanza.id, first or before != seat.presence.raw)

    def _admit(self, room: Room, sender: JID, affiliation: Affiliation, wish: Element | None) -> None:
        """
        May somebody enter?

        @raise StanzaError: no; the conditions are those of the table in section 7.2.17.
        """
        if affiliation is Affiliation.OUTCAST:
            raise StanzaError(StanzaCondition.FORBIDDEN, "You are banned from this room.")
        if room.config.membersOnly and affiliation is Affiliation.NONE:
            raise StanzaError(StanzaCondition.REGISTRATION_REQUIRED, "This room is for members only.")
        if room.config.password and not self._service.same(
            wish.textOf("password") if wish is not None else None, room.config.password
        ):
            raise StanzaError(StanzaCondition.NOT_AUTHORIZED, "This room has a password.")
        most = min(room.config.maxUsers or self._options.occupantsMax, self._options.occupantsMax)
        if RANK[affiliation] >= RANK[Affiliation.ADMIN]:
            most += RESERVE
        if len(room.seats) >= most:
            raise StanzaError(StanzaCondition.SERVICE_UNAVAILABLE, "The room is full.", ErrorType.WAIT)
        if not room.pace.spend(sender.bare, self._service.now()):
            raise StanzaError(StanzaCondition.RESOURCE_CONSTRAINT, "You enter too often.")

    def _occupantFor(self, room: Room, sender: JID, affiliation: Affiliation, nick: str) -> Occupant:
        """The occupant a new seat belongs to: the user's own with that nickname, or a new one (section 7.2.8)."""
        key = nickKey(nick)
        if room.holds(key, sender.bare):
            raise StanzaError(StanzaCondition.CONFLICT, "The nickname is in use or reserved.")
        occupant = room.keys.get(key)
        if occupant is not None:
            if len(occupant.seats) >= SEATS:
                raise StanzaError(StanzaCondition.SERVICE_UNAVAILABLE, "Too many clients use this nickname.")
            occupant.cache.clear()
            return occupant
        guest = self._service.isGuest(sender)
        role = room.roleOnEntering(sender.bare, affiliation, guest)
        return self._service.newOccupant(room, nick, sender.bare, affiliation, role, guest)

    def _welcome(
        self, room: Room, seat: Seat, wish: Element | None, codes: tuple[int, ...], id: str | None, news: bool
    ) -> None:
        """
        Everything who enters is sent, in the order of section 7.1.

        @param news: whether the others have to be told, too.
        """
        occupant = seat.occupant
        real = room.seesJIDs(occupant)
        turns = self._service.turns
        give = seat.give if len(room.seats) <= LARGE else turns.hold(seat).deliver
        for other in tuple(room.occupants.values()):
            if other is not occupant and other.role in room.config.broadcast and other.seats:
                give(room.presenceOf(other, real))
        if news:
            room.showOthers(occupant)
        seat.give(room.presenceOf(occupant, real, (*room.entryCodes(), *codes, SELF), id=id))
        self._tellPast(room, seat, wanted(wish.find("history") if wish is not None else None))
        turns.settle()

    def _tellPast(self, room: Room, seat: Seat, wish: Wanted) -> None:
        """History, then the subject (sections 7.2.13 to 7.2.15)."""
        start = len(seat.starts["message"])
        for fan in room.history.pick(wish, room.config.history, start, self._service.now()):
            seat.give(fan)
        if room.subject is not None:
            seat.give(room.subject)
        else:
            attrs = {"from": room.jid, "type": "groupchat"}
            seat.give(Fan(made("message", attrs, b"<subject/>", (f"{ns.CLIENT} subject",))))

    def _resync(self, room: Room, seat: Seat, stanza: Stanza) -> None:
        """A client that is in has lost track: it gets everything again (sections 7.2.1, 17.3)."""
        changed = self._refresh(seat, stanza)
        self._welcome(room, seat, stanza.find(JOIN), (), stanza.id, changed)

    def _refresh(self, seat: Seat, stanza: Stanza) -> bool:
        """Keep new presence, to be shown from now on; answers whether it differs from what was shown."""
        occupant = seat.occupant
        before = occupant.front.presence.raw
        seat.presence = self._cleaned(stanza)
        occupant.seats[seat.full] = occupant.seats.pop(seat.full)
        occupant.cache.clear()
        return before != seat.presence.raw

    def _update(self, room: Room, seat: Seat, stanza: Stanza) -> None:
        """Changed availability (section 7.7); what didn't change isn't told to others."""
        if self._refresh(seat, stanza):
            room.showOthers(seat.occupant)
        room.showSelf(seat.occupant, id=stanza.id)

    # --- nicknames

    def _rename(self, room: Room, seat: Seat, stanza: Stanza, nick: str) -> None:
        """Section 7.6."""
        occupant = seat.occupant
        checkNick(nick, self._options.nickOctets)
        key = nickKey(nick)
        if self._options.lockNicks and occupant.bare in room.nicks and nick != room.nicks[occupant.bare]:
            raise StanzaError(StanzaCondition.NOT_ACCEPTABLE, "Use the nickname that you have registered.")
        taken = room.keys.get(key)
        if (taken is not None and taken is not occupant) or room.holds(key, occupant.bare):
            raise StanzaError(StanzaCondition.CONFLICT, "The nickname is in use or reserved.")
        if len(occupant.seats) > 1 and taken is occupant:
            raise StanzaError(StanzaCondition.CONFLICT, "Another of your clients uses this nickname.")
        self._service.naming.nickname(room, nick, occupant.bare, occupant.affiliation)
        if len(occupant.seats) > 1:
            self._split(room, seat, nick, stanza)
        else:
            self._refresh(seat, stanza)
            self.rename(room, occupant, nick, id=stanza.id)

    def rename(
        self, room: Room, occupant: Occupant, nick: str, codes: tuple[int, ...] = (), id: str | None = None
    ) -> None:
        """Give an occupant another nickname and tell everybody."""
        role = occupant.role
        if occupant.shown:
            room.toOthers(occupant, lambda real: room.absenceOf(occupant, real, (NICK_CHANGED,), role=role, nick=nick))
        own = room.absenceOf(occupant, room.seesJIDs(occupant), (NICK_CHANGED, SELF), role=role, nick=nick)
        for seat in tuple(occupant.seats.values()):
            seat.give(own)
        if occupant.nick not in room.occupants:
            return  # it has left while it was told
        room.rename(occupant, nick)
        room.showOthers(occupant)
        room.showSelf(occupant, codes, id=id)

    def _split(self, room: Room, seat: Seat, nick: str, stanza: Stanza) -> None:
        """One of several clients of an occupant goes on under another nickname; the others keep the old one."""
        old = seat.occupant
        seat.give(room.absenceOf(old, room.seesJIDs(old), (NICK_CHANGED, SELF), role=old.role, nick=nick))
        if seat.full not in room.seats:
            return
        self._unseat(room, seat)
        seat.presence = self._cleaned(stanza)
        seat.occupant = self._service.newOccupant(room, nick, old.bare, old.affiliation, old.role, old.guest)
        room.seat(seat)
        room.showOthers(seat.occupant)
        room.showSelf(seat.occupant, id=stanza.id)

    # --- leaving

    def _leave(self, room: Room, seat: Seat, stanza: Stanza) -> None:
        """Section 7.14."""
        base: Stanza | None = None
        if len(stanza.raw) <= self._options.presenceOctets:
            base = self._cleaned(stanza)
        if room.locked:
            self._service.end(room)
        elif len(seat.occupant.seats) > 1:
            occupant = seat.occupant
            own = room.absenceOf(occupant, room.seesJIDs(occupant), (SELF,), base=base)
            self._unseat(room, seat)
            seat.give(own)
        else:
            room.dismiss(seat.occupant, base=base)()
            self._service.vacated(room)
        self._service.relay.left(seat)

    def _unseat(self, room: Room, seat: Seat) -> None:
        """One of several clients goes; if its presence was shown, another's is from now on."""
        occupant = seat.occupant
        shown = occupant.front
        room.unseat(seat)
        if shown is seat and occupant.front.presence.raw != seat.presence.raw:
            room.announce(occupant)

    def vanish(self, room: Room, seat: Seat) -> None:
        """A client can't be reached any more (sections 11.1, 18.1.2)."""
        if len(seat.occupant.seats) > 1:
            self._unseat(room, seat)
        elif room.locked:
            self._service.end(room)
        else:
            room.dismiss(seat.occupant, (UNREACHABLE,))()
            self._service.vacated(room)
        self._service.relay.left(seat)
