"""
Names of rooms and nicknames that look like others (XEP-0165): asked when somebody makes a room, enters one, takes
another nickname or registers one, never for messages.

What is found is judged by the host's policy (L{xmppd.ixmppd.INames}). Rooms are compared with all rooms of the service,
nicknames with those of occupants and with registered ones of other users. Rooms that are back from the store and
nicknames that are in use already aren't asked for again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from xmppd.features.xep0045_muc.affiliations import RANK, Affiliation
from xmppd.features.xep0045_muc.occupants import nickKey
from xmppd.ixmppd import NameVerdict
from xmppd.naming import ALLOW
from xmppd.wire.jid import JID, parse
from xmppd.wire.lookalikes import NameIndex

if TYPE_CHECKING:
    from xmppd.features.xep0045_muc.rooms import Room
    from xmppd.features.xep0045_muc.service import Service

ROOM: Final = "room"
NICKNAME: Final = "nickname"


class Naming:
    """
    Asks about names, for the rooms of a service.

    @ivar rooms: the localparts of all rooms.
    """

    def __init__(self, service: Service) -> None:
        self._service = service
        self._names = service.host.names
        self.rooms = NameIndex()

    def room(self, local: str, creator: JID) -> None:
        """
        May a room have that name?

        @raise StanzaError: conflict: it looks like another; not-acceptable: it is protected, or odd.
        """
        if self._names.action(ROOM) == ALLOW:
            return
        verdict = self._names.judge(ROOM, local, self.rooms.alike(local), self._service.isAdmin(creator.bare))
        self._names.note(verdict, by=creator.bare, room=f"{local}@{self._service.host.domain}")
        if verdict.refused:
            raise self._names.error(verdict, self._isListed)

    def _isListed(self, local: str) -> bool:
        """Whether everybody may know of a room."""
        room = self._service.rooms.get(local)
        return room is not None and room.config.public and not room.locked

    def nickname(
        self, room: Room | None, nick: str, bare: str, affiliation: Affiliation, sees: bool = True
    ) -> None:
        """
        May somebody use, or register, a nickname?

        @param room: None for a room that isn't made yet.
        @param sees: whether it may be told who is in the room.
        @raise StanzaError: conflict: it looks like somebody else's; not-acceptable: it is protected, or can't be seen
            for what it is.
        """
        if self._names.action(NICKNAME) == ALLOW or (room is not None and self._has(room, nick, bare)):
            return
        verdict = self._judged(room, nick, bare, self._isTrusted(nick, bare, affiliation))
        self._names.note(verdict, by=bare, room=room.jid if room is not None else "")
        if verdict.refused:
            raise self._names.error(verdict, lambda name: sees and room is not None and name in room.occupants)

    def reserved(self, room: Room, nick: str, bare: str, others: NameIndex) -> None:
        """
        May a nickname be reserved for somebody, as the room's admins, or it itself, want?

        @param others: others that are to be reserved at the same time; this one is added.
        @raise StanzaError: see L{nickname}.
        """
        if self._names.action(NICKNAME) == ALLOW or room.nicks.get(bare) == nick:
            return
        verdict = self._judged(room, nick, bare, True, others)
        others.add(nick, bare)
        if verdict.refused:
            self._names.note(verdict, by=bare, room=room.jid)
            raise self._names.error(verdict, lambda name: name in room.occupants)

    def _judged(
        self, room: Room | None, nick: str, bare: str, trusted: bool, others: NameIndex | None = None
    ) -> NameVerdict:
        alike = room.likes.alike(nick, bare) if room is not None else []
        if others is not None:
            alike = [*alike, *others.alike(nick, bare)]
        return self._names.judge(NICKNAME, nick, alike, trusted)

    @staticmethod
    def _has(room: Room, nick: str, bare: str) -> bool:
        """Whether a nickname is one's own already."""
        occupant = room.occupants.get(nick)
        return room.nicks.get(bare) == nick or (occupant is not None and occupant.bare == bare)

    def _isTrusted(self, nick: str, bare: str, affiliation: Affiliation) -> bool:
        """Whether somebody may use protected nicknames: who administrates the room, and whose account has that name."""
        if RANK[affiliation] >= RANK[Affiliation.ADMIN]:
            return True
        local = self._service.host.router.sessionsOf(bare)
        return bool(local) and nickKey(parse(bare).local or "") == nickKey(nick)
