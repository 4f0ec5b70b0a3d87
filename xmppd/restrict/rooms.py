"""
In how many rooms a guest may be at a time (XEP-0205 section 4.9: rooms amplify).

A room counts from the presence that enters it, until the guest has left it, was sent away, or was not let in: rooms say
that by presence, so once a guest is in one, presence to the guest is looked at, too. An error means that the guest was
not let in only before the room has shown who is there; later it is about a nickname, or something else.
"""

from __future__ import annotations

from typing import Final

from zope.interface import implementer

from xmppd.ixmppd import ISendRestriction, ISession
from xmppd.restrict.errors import exceeded
from xmppd.restrict.places import Kind, Places
from xmppd.restrict.visits import SLOT, Visit, Visits
from xmppd.wire import ns
from xmppd.wire.errors import StanzaError
from xmppd.wire.stanza import Stanza

X: Final = f"{ns.MUC_USER} x"
SELF: Final = "110"
RENAMED: Final = "303"


@implementer(ISendRestriction)
class Rooms:
    """One for all guests of a host."""

    def __init__(self, visits: Visits, places: Places) -> None:
        self._visits = visits
        self._places = places

    def refuses(self, session: ISession, stanza: Stanza) -> StanzaError | None:
        """See L{ISendRestriction}."""
        if stanza.kind != "presence":
            return None
        to = stanza.attrs.get("to")
        if to is None:
            return None
        place = self._places.get(to) or self._places.of(to)
        if place.kind is not Kind.SERVICE or place.full == place.bare:
            return None
        return self._presence(session, place.bare, stanza.attrs.get("type"))

    def _presence(self, session: ISession, room: str, type: str | None) -> StanzaError | None:
        """Presence to an occupant's address: whoever sends it is in the room, or enters, or leaves."""
        visit: Visit = session.slots[SLOT]
        rooms = visit.rooms
        if type == "unavailable" and rooms is not None:
            rooms.pop(room, None)
        if type is not None or (rooms is not None and room in rooms):
            return None
        if rooms is None:
            rooms = visit.rooms = {}
            session.addReceiveRefusal(self.watches)
        if len(rooms) >= self._visits.allowed.rooms:
            return exceeded("You are in too many rooms.")
        rooms[room] = False
        return None

    def watches(self, session: ISession, stanza: Stanza) -> None:
        """Presence to a guest: refuses nothing, but hears of rooms the guest is in, or not any more."""
        if stanza.kind != "presence":
            return
        type = stanza.attrs.get("type")
        if type is not None and type != "unavailable" and type != "error":
            return
        rooms: dict[str, bool] = session.slots[SLOT].rooms
        room = stanza.attrs.get("from", "").partition("/")[0]
        entered = rooms.get(room)
        if type is None:
            if entered is False or (entered is None and SELF in codesOf(stanza) and self._isService(room)):
                rooms[room] = True
        elif entered is not None and (not entered if type == "error" else hasLeft(stanza)):
            del rooms[room]

    def _isService(self, address: str) -> bool:
        """Whether an address is a service's: people say what they like in their presence."""
        return (self._places.get(address) or self._places.of(address)).kind is Kind.SERVICE


def codesOf(stanza: Stanza) -> set[str | None]:
    """What a room says of presence by codes."""
    x = stanza.find(X)
    return {status.get("code") for status in x.elements("status")} if x is not None else set()


def hasLeft(stanza: Stanza) -> bool:
    """Whether unavailable presence says that its receiver has left a room, and not just changed the nickname."""
    codes = codesOf(stanza)
    return SELF in codes and RENAMED not in codes
