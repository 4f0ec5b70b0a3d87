"""
A query to a room, and how it is answered.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from xmppd.features.xep0045_muc.occupants import Seat
from xmppd.features.xep0045_muc.rooms import Room
from xmppd.wire.element import Element
from xmppd.wire.errors import StanzaError
from xmppd.wire.jid import JID
from xmppd.wire.stanza import Stanza


@dataclass(slots=True, eq=False)
class Query:
    """
    An IQ get or set for a room.

    @ivar sender: who asks.
    """

    room: Room
    stanza: Stanza
    sender: JID

    @property
    def payload(self) -> Element:
        """The one child of the IQ."""
        return self.stanza.elements()[0]

    @property
    def seat(self) -> Seat | None:
        """Where the sender sits, if it is in the room."""
        return self.room.seats.get(self.sender.full)


@dataclass(frozen=True, slots=True)
class After:
    """
    A result, and what is done once it is sent.
    """

    payload: Element | bytes | None
    then: Callable[[], None]


class Changing:
    """
    Holds a room while something is stored, so that changes come one after the other.
    """

    def __init__(self, room: Room) -> None:
        self._room = room

    async def __aenter__(self) -> None:
        await self._room.lock.acquire()
        try:
            self._room.goOn()
        except StanzaError:
            self._room.lock.release()
            raise

    async def __aexit__(self, *error: object) -> None:
        self._room.lock.release()
