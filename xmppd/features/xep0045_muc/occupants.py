"""
Who is in a room. An occupant is a nickname; each client of one user that uses it has a seat (section 7.2.8).
"""

from __future__ import annotations

import unicodedata
from collections import deque
from typing import Any, Final

from xmppd.features.xep0045_muc.affiliations import Affiliation, Role
from xmppd.features.xep0045_muc.encoding import Fan, occupantId, starts
from xmppd.ixmppd import IRouter, ISession
from xmppd.wire.errors import StanzaCondition, StanzaError
from xmppd.wire.stanza import Stanza

TOLD: Final = 50
"""How many private messages a client is remembered to have been given."""

BLANK: Final = frozenset("\u115f\u1160\u2800\u3164\uffa0")
"""Characters that count as letters or symbols and show nothing."""


def nickKey(nick: str) -> str:
    """What nicknames are compared by: two that only differ in case or width are the same."""
    return unicodedata.normalize("NFKC", nick).casefold()


def checkNick(nick: str, most: int) -> None:
    """
    Refuse what shows nothing (section 17.1) or is too long (section 14.6).

    @param most: octets.
    @raise StanzaError: not-acceptable.
    """
    if len(nick.encode()) > most:
        raise StanzaError(StanzaCondition.NOT_ACCEPTABLE, f"A nickname may have {most} octets.")
    if not any(char not in BLANK and unicodedata.category(char)[0] not in "CZM" for char in nick):
        raise StanzaError(StanzaCondition.NOT_ACCEPTABLE, "Such a nickname can't be seen.")


class Seat:
    """
    One client in a room.

    @ivar full: its full JID.
    @ivar session: its session if it is one of this server's, else None; or what stands in for it while what the client
        is given waits (L{xmppd.features.xep0045_muc.turns}).
    @ivar local: whether the client is one of this server's.
    @ivar starts: the start of a start tag to it, by kind of stanza.
    @ivar presence: its last presence, without what only rooms may say, or to and from.
    @ivar asked: tokens of the queries it has been asked and hasn't answered.
    @ivar told: nickname and id of private messages it was given lately, to tell which an error answers.
    """

    __slots__ = ("asked", "full", "local", "messageStart", "occupant", "presence", "route", "session", "starts", "told")

    def __init__(self, full: str, router: IRouter, occupant: Occupant, presence: Stanza) -> None:
        self.full = full
        self.route = router.route
        self.session: ISession | Any = router.session(full)
        self.local = self.session is not None
        self.starts = starts(full)
        self.messageStart = self.starts["message"]
        self.occupant = occupant
        self.presence = presence
        self.asked: set[str] = set()
        self.told: deque[tuple[str, str | None]] = deque(maxlen=TOLD)

    def give(self, fan: Fan) -> None:
        """Deliver. A session that is over gets nothing: it has left, or is just leaving."""
        session = self.session
        if session is None:
            self.route(fan.to(self.full, self.starts))
        elif not session.over:
            session.deliver(fan.to(self.full, self.starts))

    def giveOnly(self, stanza: Stanza) -> None:
        """Deliver a stanza that is addressed already."""
        session = self.session
        if session is None:
            self.route(stanza)
        elif not session.over:
            session.deliver(stanza)


class Occupant:
    """
    A nickname in use.

    @ivar jid: the occupant JID.
    @ivar bare: the real bare JID.
    @ivar guest: whether the user has no account.
    @ivar id: the occupant id (XEP-0421).
    @ivar seats: the clients, by full JID; the last is the one whose presence is shown.
    @ivar shown: whether others see its presence.
    @ivar cache: presence as encoded for those who see real JIDs (True) and those who don't.
    @ivar asked: when it last asked for a voice, or None.
    @ivar messageAttrs: what its messages are readdressed with.
    @ivar addition: the element its messages get.
    """

    __slots__ = (
        "addition",
        "affiliation",
        "asked",
        "bare",
        "cache",
        "guest",
        "id",
        "jid",
        "messageAttrs",
        "nick",
        "role",
        "seats",
        "shown",
    )

    def __init__(
        self, room: str, nick: str, bare: str, id: str, affiliation: Affiliation, role: Role, guest: bool
    ) -> None:
        self.bare = bare
        self.id = id
        self.affiliation = affiliation
        self.role = role
        self.guest = guest
        self.seats: dict[str, Seat] = {}
        self.shown = False
        self.cache: dict[Any, Fan] = {}
        self.asked: float | None = None
        self.addition = occupantId(id).decode()
        self.rename(room, nick)

    def rename(self, room: str, nick: str) -> None:
        """Take another nickname."""
        self.nick = nick
        self.jid = f"{room}/{nick}"
        self.messageAttrs: dict[str, str | None] = {"from": self.jid, "to": None}
        self.cache.clear()

    @property
    def front(self) -> Seat:
        """The seat whose presence is shown."""
        return next(reversed(self.seats.values()))
