"""
A room: who is in it, who is associated with it, and how all of them hear of something.

Theory of operation: a room is a plain object in memory. What all occupants get is encoded once for each audience (those
who see real JIDs, those who don't, the one it is about); per seat only the start of the start tag is put in front.
L{Room.audience} is an immutable tuple that is replaced when seats change, so that whoever leaves while something is
being told disturbs nobody.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from twisted.internet.defer import DeferredLock
from twisted.internet.interfaces import IDelayedCall

from xmppd.features.xep0045_muc.affiliations import RANK, Affiliation, Role, initialRole
from xmppd.features.xep0045_muc.config import RoomConfig
from xmppd.features.xep0045_muc.encoding import HATS, OCCUPANT_ID, Fan, X, item, made, occupantId, userX
from xmppd.features.xep0045_muc.hats import Hat, badge
from xmppd.features.xep0045_muc.history import History
from xmppd.features.xep0045_muc.occupants import Occupant, Seat, nickKey
from xmppd.features.xep0045_muc.pace import Pace, SlowMode
from xmppd.wire.element import escapeAttribute, escapeText
from xmppd.wire.errors import StanzaCondition, StanzaError
from xmppd.wire.jid import parse
from xmppd.wire.lookalikes import NameIndex
from xmppd.wire.stanza import Stanza

VOICES: Final = 1000
"""How many users' roles a room remembers."""

SELF: Final = 110
OPEN: Final = 100
LOGGED: Final = 170


class Room:
    """
    One room.

    @ivar jid: its bare JID.
    @ivar locked: whether its creator has still to configure it (section 10.1.1).
    @ivar over: whether it is destroyed.
    @ivar damaged: whether not everything that the store has of it could be read.
    @ivar written: whether anything of it may be in the store.
    @ivar occupants: by nickname.
    @ivar keys: by what nicknames are compared by.
    @ivar likes: nicknames, used and reserved, with whose they are, by what they look like (XEP-0165).
    @ivar seats: clients by full JID.
    @ivar affiliations: by bare JID (or domain, for bans); those that are C{none} are left out.
    @ivar nicks: reserved nicknames by bare JID.
    @ivar reserved: bare JIDs by what nicknames are compared by.
    @ivar voices: roles given by moderators, by bare JID; kept across visits (section 5.1).
    @ivar subject: the last change of the subject with its delay, or None.
    @ivar subjectText: the subject.
    @ivar avatars: SHA-1 of the pictures in the room's vCard (XEP-0486).
    @ivar hats: the hats there are (XEP-0317), by URI.
    @ivar wearers: URIs of their hats by bare JID.
    @ivar badges: what their presence has for that, encoded.
    @ivar lock: held while something is being stored, so that changes come one after the other.
    """

    def __init__(
        self,
        jid: str,
        config: RoomConfig,
        isAdmin: Callable[[str], bool],
        options: Any,
        mentions: Callable[[str, bool], None] = lambda bare, there: None,
    ) -> None:
        """
        @param isAdmin: whether a bare JID administrates the service: owner of every room.
        @param mentions: told whenever the room begins (True) or ceases to know something of a user who is away.
        @param options: L{xmppd.features.xep0045_muc.options.Options} of the service.
        """
        self.jid = jid
        self.local, _, self.domain = jid.partition("@")
        self.config = config
        self.options = options
        self.locked = False
        self.over = False
        self.damaged = False
        self.written = False
        self.timeout: IDelayedCall | None = None
        self.occupants: dict[str, Occupant] = {}
        self.keys: dict[str, Occupant] = {}
        self.likes = NameIndex()
        self.seats: dict[str, Seat] = {}
        self.audience: tuple[Seat, ...] = ()
        self.affiliations: dict[str, Affiliation] = {}
        self.nicks: dict[str, str] = {}
        self.reserved: dict[str, str] = {}
        self.pending: OrderedDict[str, Any] = OrderedDict()
        self.voices: OrderedDict[str, Role] = OrderedDict()
        self.history = History(options.historyMessages, options.historyOctets, self.mention)
        self.subject: Fan | None = None
        self.subjectText = ""
        self.avatars: tuple[str, ...] = ()
        self.hats: dict[str, Hat] = {}
        self.wearers: dict[str, tuple[str, ...]] = {}
        self.badges: dict[str, bytes] = {}
        self.pace = Pace(options.presencePerMinute)
        self.slow = SlowMode()
        self.lock = DeferredLock()
        self.stanzaIdStart = f"<stanza-id xmlns='urn:xmpp:sid:0' by='{escapeAttribute(jid)}' id='"
        self._isAdmin = isAdmin
        self._mentions = mentions

    def __repr__(self) -> str:
        return f"<Room {self.jid} with {len(self.seats)}>"

    # --- who is who

    def affiliationOf(self, bare: str) -> Affiliation:
        """A user's affiliation; bans of a domain count for its users (section 9.2)."""
        if self._isAdmin(bare):
            return Affiliation.OWNER
        found = self.affiliations.get(bare)
        if found is None and self.affiliations.get(bare.rpartition("@")[2]) is Affiliation.OUTCAST:
            return Affiliation.OUTCAST
        return found or Affiliation.NONE

    def seatOf(self, stanza: Stanza) -> Seat | None:
        """Where the sender of a stanza sits, if anywhere."""
        sender = stanza.attrs["from"]
        return self.seats.get(sender) or self.seats.get(parse(sender).full)

    def of(self, affiliation: Affiliation) -> list[str]:
        """Bare JIDs with an affiliation."""
        return [bare for bare, each in self.affiliations.items() if each is affiliation]

    def standing(self, bare: str, full: str) -> tuple[Affiliation, Role]:
        """Affiliation and role of somebody; owners and admins act as moderators when they are away, too."""
        affiliation = self.affiliationOf(bare)
        seat = self.seats.get(full)
        if seat is not None:
            return affiliation, seat.occupant.role
        if affiliation in (Affiliation.OWNER, Affiliation.ADMIN):
            return affiliation, Role.MODERATOR
        return affiliation, Role.NONE

    def occupantsOf(self, bare: str) -> list[Occupant]:
        """The nicknames that a user (or, for a domain, its users) has in the room."""
        if "@" not in bare:
            return [each for each in self.occupants.values() if each.bare.rpartition("@")[2] == bare]
        return [each for each in self.occupants.values() if each.bare == bare]

    def moderators(self) -> list[Occupant]:
        """Those who moderate."""
        return [each for each in self.occupants.values() if each.role is Role.MODERATOR]

    def roleOnEntering(self, bare: str, affiliation: Affiliation, guest: bool) -> Role:
        """Section 5.1.2; a role that a moderator gave is kept."""
        role = initialRole(affiliation, self.config.moderated)
        if role is Role.MODERATOR or role is Role.NONE:
            return role
        if guest and affiliation is Affiliation.NONE and role is Role.PARTICIPANT:
            role = Role.VISITOR if self.config.guestVisitors else self.options.guestRole
        return self.voices.get(bare, role)

    def known(self) -> set[str]:
        """The bare JIDs of all whom the room knows something of, be they in or not."""
        known = {*self.affiliations, *self.voices, *self.pending, *self.history.authors, *self.wearers}
        return known | {self.config.creator}

    def mention(self, bare: str) -> None:
        """Tell whether the room knows something of a user who may be away."""
        known = bare in self.affiliations or bare in self.voices or bare in self.pending
        known = known or bare in self.history.authors or bare in self.wearers or bare == self.config.creator
        self._mentions(bare, bool(bare) and known and not self.over)

    def affiliate(self, bare: str, affiliation: Affiliation) -> None:
        """Note an affiliation; who has none has no reserved nickname either."""
        if affiliation is Affiliation.NONE:
            self.affiliations.pop(bare, None)
        else:
            self.affiliations[bare] = affiliation
        if affiliation in (Affiliation.NONE, Affiliation.OUTCAST):
            self.setNick(bare, None)
        self.mention(bare)

    def remember(self, occupant: Occupant) -> None:
        """Keep a role that a moderator gave."""
        self.voices[occupant.bare] = occupant.role
        self.voices.move_to_end(occupant.bare)
        self.mention(occupant.bare)
        if len(self.voices) > VOICES:
            self.unvoice(next(iter(self.voices)))

    def unvoice(self, bare: str) -> None:
        """Keep it no more."""
        self.voices.pop(bare, None)
        self.mention(bare)

    def wait(self, bare: str, answers: Any) -> None:
        """Keep what a user who wants to register has filled in."""
        self.pending[bare] = answers
        self.mention(bare)

    def unwait(self, bare: str) -> Any:
        """What a user has filled in, which is kept no more; None if nothing is."""
        answers = self.pending.pop(bare, None)
        self.mention(bare)
        return answers

    def forget(self, bare: str) -> bool:
        """Know nothing of a user any more; answers whether anything of it may be stored."""
        affiliated = bare in self.affiliations or bare in self.wearers
        self.wearers.pop(bare, None)
        self.badges.pop(bare, None)
        self.voices.pop(bare, None)
        self.pending.pop(bare, None)
        self.history.disown(bare)
        self.pace.forget(bare)
        self.slow.forget(bare)
        self.affiliate(bare, Affiliation.NONE)
        return affiliated

    @property
    def abandoned(self) -> bool:
        """Whether nobody is in it or has anything to do with it any more but those who are banned."""
        there = any(RANK[each] >= RANK[Affiliation.MEMBER] for each in self.affiliations.values())
        return not there and not self.occupants and not self.locked and not self.damaged

    def goOn(self) -> None:
        """
        To be asked after waiting for the store.

        @raise StanzaError: item-not-found: the room is gone meanwhile.
        """
        if self.over:
            raise StanzaError(StanzaCondition.ITEM_NOT_FOUND, "The room is gone.")

    def setNick(self, bare: str, nick: str | None) -> None:
        """Reserve a nickname, or none."""
        old = self.nicks.pop(bare, None)
        if old is not None:
            self.reserved.pop(nickKey(old), None)
            self.likes.discard(old, bare)
        if nick:
            self.likes.add(nick, bare)
            self.nicks[bare] = nick
            self.reserved[nickKey(nick)] = bare

    def holds(self, key: str, bare: str) -> bool:
        """Whether somebody else than C{bare} uses or has reserved a nickname."""
        used, reserved = self.keys.get(key), self.reserved.get(key)
        return (used is not None and used.bare != bare) or (reserved is not None and reserved != bare)

    def dress(self, hats: Mapping[str, Hat], wearers: Mapping[str, tuple[str, ...]]) -> list[Occupant]:
        """There are other hats, or others wear them; answers the occupants of whom that is to be seen."""
        badges = {bare: badge(hats[uri] for uri in uris) for bare, uris in wearers.items()}
        changed = {bare for bare in {*badges, *self.badges} if badges.get(bare) != self.badges.get(bare)}
        self.hats, self.wearers, self.badges = dict(hats), dict(wearers), badges
        for bare in changed:
            self.mention(bare)
        affected = [each for each in self.occupants.values() if each.bare in changed]
        for occupant in affected:
            occupant.cache.clear()
        return affected

    # --- seats

    def isIn(self, occupant: Occupant) -> bool:
        """Whether an occupant is still in the room."""
        return self.occupants.get(occupant.nick) is occupant

    def seat(self, seat: Seat) -> None:
        """Somebody sits down; the occupant may be new."""
        occupant = seat.occupant
        if occupant.nick not in self.occupants:
            self.likes.add(occupant.nick, occupant.bare)
        self.occupants[occupant.nick] = occupant
        self.keys[nickKey(occupant.nick)] = occupant
        occupant.seats[seat.full] = seat
        self.seats[seat.full] = seat
        self.audience = tuple(self.seats.values())

    def unseat(self, seat: Seat) -> None:
        """One of several clients of an occupant leaves."""
        del self.seats[seat.full]
        del seat.occupant.seats[seat.full]
        seat.occupant.cache.clear()
        self.audience = tuple(self.seats.values())

    def remove(self, occupant: Occupant) -> None:
        """An occupant leaves with all clients, which it keeps, so that they can still be told."""
        self._unname(occupant)
        self.keys.pop(nickKey(occupant.nick), None)
        for full in occupant.seats:
            self.seats.pop(full, None)
        self.audience = tuple(self.seats.values())

    def rename(self, occupant: Occupant, nick: str) -> None:
        """An occupant takes another nickname."""
        self._unname(occupant)
        self.keys.pop(nickKey(occupant.nick), None)
        occupant.rename(self.jid, nick)
        self.likes.add(nick, occupant.bare)
        self.occupants[nick] = occupant
        self.keys[nickKey(nick)] = occupant

    def _unname(self, occupant: Occupant) -> None:
        """Nobody has that nickname any more."""
        if self.occupants.pop(occupant.nick, None) is not None:
            self.likes.discard(occupant.nick, occupant.bare)

    # --- presence, encoded

    def seesJIDs(self, occupant: Occupant) -> bool:
        """Whether an occupant may know who the others are (sections 7.2.3, 7.2.4)."""
        return not self.config.anonymous or occupant.role is Role.MODERATOR

    def presenceOf(
        self, occupant: Occupant, real: bool, codes: tuple[int, ...] = (), why: str | None = None, id: str | None = None
    ) -> Fan:
        """
        An occupant's presence.

        @param real: with the real JID.
        @param why: a reason that was given for a change of role or affiliation.
        @param id: of the stanza it answers.
        """
        plain = not codes and not why and id is None
        fan = occupant.cache.get(real) if plain else None
        if fan is None:
            front = occupant.front
            inner = item(occupant.affiliation, occupant.role, front.full if real else None, None, None, why)
            worn = self.badges.get(occupant.bare)
            addition = userX(inner, codes) + occupantId(occupant.id) + (worn or b"")
            names = (X, OCCUPANT_ID) if worn is None else (X, OCCUPANT_ID, HATS)
            attrs = {"from": occupant.jid} if id is None else {"from": occupant.jid, "id": id}
            fan = Fan(front.presence.addressed(attrs).extended(addition, names))
            if plain:
                occupant.cache[real] = fan
        return fan

    def absenceOf(
        self,
        occupant: Occupant,
        real: bool,
        codes: tuple[int, ...] = (),
        role: str = Role.NONE,
        base: Stanza | None = None,
        nick: str | None = None,
        actor: str | None = None,
        reason: str | None = None,
    ) -> Fan:
        """
        Unavailable presence of an occupant.

        @param base: the client's own, cleaned; a new one if None.
        @param nick: the next nickname.
        @param actor: nickname of who did it.
        """
        inner = item(occupant.affiliation, role, occupant.front.full if real else None, nick, actor, reason)
        addition = userX(inner, codes) + occupantId(occupant.id)
        attrs = {"from": occupant.jid, "type": "unavailable"}
        stanza = made("presence", attrs, b"", ()) if base is None else base.addressed(attrs)
        return Fan(stanza.extended(addition, (X, OCCUPANT_ID)))

    # --- telling

    def say(self, fan: Fan, sender: Occupant | None = None) -> None:
        """
        Give a message to everybody. The one loop that has to be quick.

        @param sender: who hears itself last: when its client sees the message, it is on its way to all others.
        """
        name, attrs, names, tail = fan.name, fan.attrs, fan.names, fan.tail
        for seat in self.audience:
            if seat.occupant is sender:
                continue
            full = seat.full
            stanza = Stanza("message", name, {**attrs, "to": full}, names, seat.messageStart + tail)
            session = seat.session
            if session is None:
                seat.route(stanza)
            elif not session.over:
                session.deliver(stanza)
        if sender is not None:
            for seat in tuple(sender.seats.values()):
                seat.give(fan)

    def toOthers(self, occupant: Occupant, encode: Callable[[bool], Fan]) -> None:
        """Give everybody but one occupant what C{encode} makes for those who see real JIDs (True) and who don't."""
        fans: dict[bool, Fan] = {}
        everybody = not self.config.anonymous
        for seat in self.audience:
            viewer = seat.occupant
            if viewer is occupant:
                continue
            real = everybody or viewer.role is Role.MODERATOR
            fan = fans.get(real)
            if fan is None:
                fan = fans[real] = encode(real)
            seat.give(fan)

    def announce(self, occupant: Occupant, codes: tuple[int, ...] = (), why: str | None = None) -> None:
        """An occupant's presence has changed: tell the others as far as they see it, and itself."""
        self.showOthers(occupant, codes, why)
        self.showSelf(occupant, codes, why)

    def showOthers(self, occupant: Occupant, codes: tuple[int, ...] = (), why: str | None = None) -> None:
        """Tell the others, if presence of that role is broadcast; else, if they saw it, that it isn't any more."""
        occupant.cache.clear()
        visible = occupant.role in self.config.broadcast
        if visible:
            self.toOthers(occupant, lambda real: self.presenceOf(occupant, real, codes, why))
        elif occupant.shown:
            self.toOthers(occupant, lambda real: self.absenceOf(occupant, real, role=occupant.role))
        occupant.shown = visible

    def showSelf(
        self, occupant: Occupant, codes: tuple[int, ...] = (), why: str | None = None, id: str | None = None
    ) -> None:
        """Tell an occupant's clients about itself."""
        own = self.presenceOf(occupant, self.seesJIDs(occupant), (*codes, SELF), why, id)
        for seat in tuple(occupant.seats.values()):
            seat.give(own)

    def dismiss(
        self,
        occupant: Occupant,
        codes: tuple[int, ...] = (),
        base: Stanza | None = None,
        actor: str | None = None,
        reason: str | None = None,
    ) -> Callable[[], None]:
        """
        Take an occupant out and tell it so. Answers what tells the others.

        @param codes: why, for everybody.
        @param base: the client's own unavailable presence, if it left by itself.
        """

        def encode(real: bool, codes: tuple[int, ...]) -> Fan:
            return self.absenceOf(occupant, real, codes, base=base, actor=actor, reason=reason)

        own = encode(self.seesJIDs(occupant), (*codes, SELF))
        seats = tuple(occupant.seats.values())
        self.remove(occupant)
        for seat in seats:
            seat.give(own)

        def others() -> None:
            if occupant.shown:
                self.toOthers(occupant, lambda real: encode(real, codes))

        return others

    def entryCodes(self) -> tuple[int, ...]:
        """What who enters has to be warned of (sections 7.2.3, 7.2.12)."""
        return (*(() if self.config.anonymous else (OPEN,)), *((LOGGED,) if self.config.logging else ()))

    def notice(self, codes: Iterable[int]) -> None:
        """Tell everybody a status (section 10.2.1)."""
        attrs = {"from": self.jid, "type": "groupchat"}
        self.say(Fan(made("message", attrs, userX("", codes), (X,))))

    def close(self, content: str, codes: tuple[int, ...] = ()) -> None:
        """
        Take everybody out with one presence each, and be over (sections 10.9, 11.2).

        @param content: elements behind the item.
        """
        self.over = True
        if self.timeout is not None and self.timeout.active():
            self.timeout.cancel()
        audience = self.audience
        self.occupants, self.keys, self.seats, self.audience = {}, {}, {}, ()
        self.likes.clear()
        addition = userX(item(Affiliation.NONE, Role.NONE) + content, (*codes, SELF))
        for seat in audience:
            attrs = {"from": seat.occupant.jid, "type": "unavailable"}
            seat.give(Fan(made("presence", attrs, addition + occupantId(seat.occupant.id), (X, OCCUPANT_ID))))


def destroyed(venue: str | None, reason: str | None, password: str | None) -> str:
    """The C{<destroy/>} element (section 10.9)."""
    jid = f" jid='{escapeAttribute(venue)}'" if venue else ""
    inner = f"<password>{escapeText(password)}</password>" if password else ""
    inner += f"<reason>{escapeText(reason)}</reason>" if reason else ""
    return f"<destroy{jid}>{inner}</destroy>" if inner else f"<destroy{jid}/>"
