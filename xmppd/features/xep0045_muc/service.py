"""
The chat rooms of one domain: which there are, who may make more, and where what comes for them goes.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable, Coroutine, Iterable, Mapping
from dataclasses import asdict, replace
from hashlib import sha256
from itertools import islice
from typing import Any, Final

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from xmppd.features.xep0045_muc import admin, information, moderation, owner, registration
from xmppd.features.xep0045_muc.admin import Admin
from xmppd.features.xep0045_muc.affiliations import RANK, Affiliation, Role
from xmppd.features.xep0045_muc.avatars import VCARD, Avatars
from xmppd.features.xep0045_muc.config import RoomConfig
from xmppd.features.xep0045_muc.encoding import X
from xmppd.features.xep0045_muc.forms import REGISTER, REQUEST
from xmppd.features.xep0045_muc.hats import Hats
from xmppd.features.xep0045_muc.history import isKept
from xmppd.features.xep0045_muc.information import Information, mayKnow
from xmppd.features.xep0045_muc.invitations import Invitations
from xmppd.features.xep0045_muc.messages import Messages
from xmppd.features.xep0045_muc.moderation import Moderation
from xmppd.features.xep0045_muc.naming import Naming
from xmppd.features.xep0045_muc.occupants import Occupant, Seat
from xmppd.features.xep0045_muc.options import Options
from xmppd.features.xep0045_muc.owner import Owner
from xmppd.features.xep0045_muc.presence import RoomPresence
from xmppd.features.xep0045_muc.registration import Registration
from xmppd.features.xep0045_muc.relay import PING, Relay
from xmppd.features.xep0045_muc.requests import After, Changing, Query
from xmppd.features.xep0045_muc.rooms import Room, destroyed
from xmppd.features.xep0045_muc.storage import Storage
from xmppd.features.xep0045_muc.turns import Turns
from xmppd.features.xep0045_muc.voice import Voices
from xmppd.ixmppd import IHost, IRoomArchive, IRooms, ISession, StoreUnavailable
from xmppd.wire import forms
from xmppd.wire.element import Element
from xmppd.wire.errors import StanzaCondition, StanzaError
from xmppd.wire.jid import JID, JIDMalformed, parse
from xmppd.wire.stanza import Stanza

log = Logger(namespace="xmppd.rooms")

LONGEST_NAME: Final = 255
"""Octets of a room's localpart."""

SHUTDOWN: Final = 332

TOLD_AT_ONCE: Final = 5000
"""How many stanzas a change of many occupants sends in one turn of the reactor."""


def watch(waiting: Deferred[None]) -> Deferred[None]:
    """A Deferred of one's own that fires when another one does."""
    fired: Deferred[None] = Deferred()

    def passing(result: None) -> None:
        fired.callback(None)
        return result

    waiting.addCallback(passing)
    return fired


@implementer(IRooms)
class Service:
    """
    See L{IRooms}.

    @ivar rooms: by localpart.
    """

    def __init__(self, host: IHost, options: Options) -> None:
        self.host = host
        self.options = options
        self.rooms: dict[str, Room] = {}
        self.archive: IRoomArchive | None = None
        self.now: Callable[[], float] = host.clock.seconds
        self._secret = b""
        self._created: dict[str, int] = {}
        self._mentioned: dict[str, set[str]] = {}
        self._born: dict[str, float] = {}
        self._leaving: dict[str, Deferred[None]] = {}
        self.naming = Naming(self)
        self.turns = Turns(host.clock)
        self.storage = Storage(self)
        self.relay = Relay(self)
        self.presence = RoomPresence(self)
        self.messages = Messages(self)
        self.invitations = Invitations(self)
        self.voices = Voices(self)
        self.admin = Admin(self)
        self.avatars = Avatars(self)
        self.registration = Registration(self)
        owning, informing, moderating = Owner(self), Information(self), Moderation(self)
        for command in Hats(self).commands():
            host.inboxCommands[command.node] = command
        self.listing = informing.listing
        self.establish = owning.establish
        self._responders: dict[tuple[str, str], Callable[[Query], Any]] = {
            ("get", information.INFO): informing.info,
            ("get", information.ITEMS): informing.items,
            ("get", admin.QUERY): self.admin.get,
            ("set", admin.QUERY): self.admin.set,
            ("get", owner.QUERY): owning.get,
            ("set", owner.QUERY): owning.set,
            ("get", registration.QUERY): self.registration.get,
            ("set", registration.QUERY): self.registration.set,
            ("get", VCARD): self.avatars.get,
            ("set", VCARD): self.avatars.set,
            ("set", moderation.MODERATE): moderating.moderate,
            ("get", PING): lambda query: None,
        }

    # --- beginning and end

    async def start(self) -> None:
        """Read the secret and the rooms; of rooms that went with the last run nothing stays."""
        self._secret = await self.storage.secret()
        await self.storage.load()
        for room in tuple(self.rooms.values()):
            self.vacated(room)
        if self.archive is not None:
            self.archive.sweep()

    def stop(self) -> None:
        """The service shuts down: tell every occupant once (section 11.2)."""
        for room in tuple(self.rooms.values()):
            room.close("", (SHUTDOWN,))
        self.rooms.clear()
        self.naming.rooms.clear()
        self.turns.flush()

    # --- what comes in

    def inbox(self, stanza: Stanza, to: JID) -> None:
        """See L{IHost.inbox}."""
        kind = stanza.kind
        if kind == "message":
            self.messages.received(stanza, to)
        elif kind == "presence":
            self.presence.received(stanza, to)
        elif to.resource is not None:
            self.relay.received(self.rooms.get(to.local or ""), stanza, to)
        else:
            self._query(stanza, to)

    def _query(self, stanza: Stanza, to: JID) -> None:
        """An IQ for a room; what rooms don't answer, other features may."""
        sender = parse(stanza.attrs["from"])
        room = self.rooms.get(to.local or "")
        type, names = stanza.attrs.get("type", ""), stanza.childNames
        if type in ("get", "set") and (room is None or not mayKnow(room, sender.bare)):
            error = StanzaError(StanzaCondition.ITEM_NOT_FOUND, "There is no such room.")
            self.host.router.bounce(stanza, error)
            return
        responder = self._responders.get((type, names[0])) if len(names) == 1 else None
        if responder is None or room is None:
            self.host.request(stanza, to)
            return
        self.run(self._respond(Query(room, stanza, sender), responder), stanza)

    async def _respond(self, query: Query, responder: Callable[[Query], Any]) -> None:
        answer = responder(query)
        if isinstance(answer, Coroutine):
            answer = await answer
        if isinstance(answer, After):
            self.host.router.route(query.stanza.result(answer.payload))
            answer.then()
        else:
            self.host.router.route(query.stanza.result(answer))

    def run(self, work: Coroutine[Deferred[Any], Any, None], stanza: Stanza) -> None:
        """Do what a stanza asks for, now or later; what goes wrong answers it."""
        done = Deferred.fromCoroutine(self._answering(work, stanza))
        if stanza.promise is not None:
            stanza.promise.append(done)

    async def _answering(self, work: Coroutine[Deferred[Any], Any, None], stanza: Stanza) -> None:
        try:
            await work
        except StanzaError as error:
            self.host.router.bounce(stanza, error)
        except StoreUnavailable:
            away = StanzaError(StanzaCondition.RESOURCE_CONSTRAINT, "The database is not available.")
            self.host.router.bounce(stanza, away)
        except Exception:
            log.failure("a room could not answer {name}", name=stanza.name)
            self.host.router.bounce(stanza, StanzaError(StanzaCondition.INTERNAL_SERVER_ERROR))

    def asked(self, room: Room, stanza: Stanza) -> None:
        """
        A message to a room that is not for everybody: an invitation or its refusal, a filled in form.

        @raise StanzaError: it is nothing of the kind.
        """
        seat = room.seatOf(stanza)
        x = stanza.find(X)
        invites = list(x.elements("invite")) if x is not None else []
        decline = x.find("decline") if x is not None else None
        form = stanza.find(forms.FORM)
        if decline is not None:
            self.invitations.decline(room, stanza, decline)
        elif form is not None and form.get("type") == "submit":
            self._formFrom(room, seat, stanza, form)
        elif form is not None and form.get("type") == "cancel":
            return
        elif seat is None:
            raise StanzaError(StanzaCondition.NOT_ACCEPTABLE, "You are not in the room.")
        elif invites:
            self.run(self.invitations.invite(room, seat, stanza, invites), stanza)
        else:
            raise StanzaError(StanzaCondition.BAD_REQUEST, "Messages to a room are of type groupchat.")

    def _formFrom(self, room: Room, seat: Seat | None, stanza: Stanza, form: Element) -> None:
        given = forms.values(form)
        type = forms.first(given, forms.FORM_TYPE)
        if type == REGISTER:
            sender = parse(stanza.attrs["from"])
            self.run(self.registration.decided(room, sender.bare, given), stanza)
        elif seat is None:
            raise StanzaError(StanzaCondition.NOT_ACCEPTABLE, "You are not in the room.")
        elif type == REQUEST:
            self.voices.received(room, seat, given)
        else:
            raise StanzaError(StanzaCondition.BAD_REQUEST, "Rooms don't know this form.")

    # --- rooms

    def make(self, local: str, config: RoomConfig) -> Room:
        """A room, new or from the store."""
        room = Room(
            f"{local}@{self.host.domain}",
            config,
            self.isAdmin,
            self.options,
            lambda bare, there: self._mentions(local, bare, there),
        )
        self.rooms[local] = room
        self.naming.rooms.add(local)
        self._count(config.creator)
        room.mention(config.creator)
        return room

    def _count(self, creator: str) -> None:
        """One room more of a user."""
        self._created[creator] = self._created.get(creator, 0) + 1

    def unmade(self, room: Room) -> None:
        """Who made a room isn't known any more."""
        self._uncount(room.config.creator)
        creator, room.config = room.config.creator, replace(room.config, creator="")
        self._count("")
        room.mention(creator)

    def _uncount(self, creator: str) -> None:
        """One room less of a user."""
        left = self._created.get(creator, 1) - 1
        if left > 0:
            self._created[creator] = left
        else:
            self._created.pop(creator, None)

    def create(self, local: str, creator: JID) -> Room:
        """
        A new room, locked, whose owner is C{creator} (section 10.1.1).

        @raise StanzaError: not-allowed: that user may not; resource-constraint: there are too many; conflict,
            not-acceptable: the name may deceive.
        """
        if not self._mayCreate(creator) or len(local.encode()) > LONGEST_NAME:
            raise StanzaError(StanzaCondition.NOT_ALLOWED, "You may not make rooms here.")
        admin = self.isAdmin(creator.bare)
        if len(self.rooms) >= self.options.roomsMax:
            raise StanzaError(StanzaCondition.RESOURCE_CONSTRAINT, "There are too many rooms.")
        if not admin and self._created.get(creator.bare, 0) >= self.options.roomsPerUser:
            raise StanzaError(StanzaCondition.RESOURCE_CONSTRAINT, "You have made too many rooms.")
        self.naming.room(local, creator)
        defaults = asdict(self.options.defaults)
        room = self.make(local, RoomConfig(**{**defaults, "creator": creator.bare}))
        if self.archive is None:
            room.config = RoomConfig(**{**asdict(room.config), "logging": False})
        room.locked = True
        room.affiliate(creator.bare, Affiliation.OWNER)
        room.timeout = self.host.clock.callLater(self.options.configureSeconds, self._neverConfigured, room)
        return room

    def _mayCreate(self, creator: JID) -> bool:
        if self.isAdmin(creator.bare):
            return True
        session = self.host.router.session(creator.full)
        if session is not None and session.account.anonymous:
            return self.options.create == "everyone" and self.options.guestsCreate
        return self.options.create == "everyone" or (self.options.create == "accounts" and session is not None)

    def _neverConfigured(self, room: Room) -> None:
        if room.locked and not room.over:
            self.end(room)

    def checkPersistence(self, room: Room, config: RoomConfig, sender: JID) -> None:
        """
        May a room be configured so? Whoever else a guest calls an owner need not want to be one, nor exist.

        @raise StanzaError: not-acceptable: guests leave nothing behind, and so do their rooms.
        """
        if not config.persistent or (room.config.persistent and not room.locked):
            return
        owners = [self.host.router.sessionsOf(bare) for bare in room.of(Affiliation.OWNER)]
        if self.isGuest(sender) or all(sessions and sessions[0].account.anonymous for sessions in owners):
            raise StanzaError(StanzaCondition.NOT_ACCEPTABLE, "A room that stays is made by somebody with an account.")

    def vacated(self, room: Room) -> None:
        """
        Somebody left: a temporary room goes with the last one, and so does a room that stays if nobody has anything to
        do with it any more (L{Room.abandoned}).
        """
        if room.over or room.occupants:
            return
        if room.config.persistent and room.abandoned:
            log.info("{room} is deleted: nobody owns, administrates or uses it any more", room=room.jid)
            self.end(room)
        elif not room.config.persistent:
            self.end(room)

    def end(
        self,
        room: Room,
        venue: str | None = None,
        reason: str | None = None,
        password: str | None = None,
    ) -> None:
        """A room ends now; what is stored of it is deleted, and nobody waits for that."""
        if room.over:
            return
        seats = room.audience
        room.close(destroyed(venue, reason, password))
        self.rooms.pop(room.local, None)
        self.naming.rooms.discard(room.local)
        for bare in room.known():
            self._mentions(room.local, bare, False)
        self._uncount(room.config.creator)
        for seat in seats:
            self.relay.left(seat)
        self._forget(room)

    def _forget(self, room: Room) -> None:
        """
        Delete what is kept of a room, once whatever is being stored of it has been; nobody waits but a later room of
        the same name.
        """
        before = self._leaving.get(room.local)
        done = self._leaving[room.local] = Deferred()

        async def forget() -> None:
            if before is not None:
                await watch(before)
            await room.lock.acquire()
            room.lock.release()
            await self.storage.forget(room)
            if self.archive is not None:
                await self.archive.forget(room.jid)

        def over(_: object) -> None:
            if self._leaving.get(room.local) is done:
                del self._leaving[room.local]
            done.callback(None)

        forgetting = Deferred.fromCoroutine(forget())
        forgetting.addErrback(lambda failure: log.failure("{room} could not be forgotten", failure, room=room.jid))
        forgetting.addBoth(over)

    async def forgotten(self, room: Room) -> None:
        """
        Wait until nothing is left of earlier rooms of that name, be it that they were destroyed, or that the server's
        end took them with it.
        """
        before = self._leaving.get(room.local)
        if before is not None:
            await watch(before)
        if self.archive is not None:
            await self.archive.forget(room.jid)
        room.goOn()

    async def remove(
        self, room: Room, venue: str | None = None, reason: str | None = None, password: str | None = None
    ) -> None:
        """Destroy a room, persistent or not; what is stored goes first (section 10.9)."""
        async with self.changing(room):
            await self.storage.forget(room)
            self.end(room, venue, reason, password)

    def changing(self, room: Room) -> Changing:
        """Hold a room for changes, in C{async with}. Raises StanzaError item-not-found if it is gone meanwhile."""
        return Changing(room)

    def tellInTurns(self, room: Room, telling: Iterable[Callable[[], None]]) -> None:
        """
        Tell a room many things, in their order: as much in one turn of the reactor as isn't too much for it.

        @param telling: what tells one thing to everybody.
        """
        left = iter(telling)

        def some() -> None:
            for each in islice(left, max(1, TOLD_AT_ONCE // max(1, len(room.seats)))):
                each()
            more = next(left, None)
            if more is not None:
                self.host.clock.callLater(0, goOn, more)

        def goOn(more: Callable[[], None]) -> None:
            more()
            some()

        some()

    # --- people

    def isAdmin(self, bare: str) -> bool:
        """Whether a bare JID administrates the service: its owner everywhere."""
        return self.host.isAdmin(parse(bare))

    def isGuest(self, jid: JID) -> bool:
        """Whether somebody is one of this server's guests."""
        session = self.host.router.session(jid.full)
        return session is not None and session.account.anonymous

    def stanzaId(self, room: Room, stanza: Stanza) -> str | None:
        """
        The stanza id of what is about to be said (XEP-0359): the archive's, where there is one, else one by which
        moderators can name what is in the history. None for what is in neither.
        """
        if self.archive is not None and room.config.logging:
            return self.archive.allot(room.jid, stanza)
        return self.host.entropy.token() if isKept(stanza) else None

    def same(self, given: str | None, password: str) -> bool:
        """Whether a password is right, in a time that doesn't tell how much of it."""
        return given is not None and hmac.compare_digest(given.encode(), password.encode())

    def newOccupant(
        self, room: Room, nick: str, bare: str, affiliation: Affiliation, role: Role, guest: bool
    ) -> Occupant:
        """
        An occupant with its id, which is the same whenever that user enters that room (XEP-0421 section 4.1), and
        another one for a later account of the same name: of an account of this server it depends on when it was made.
        """
        born = self._born.get(bare)
        user = bare if born is None else f"{bare}\0{born!r}"
        id = hmac.new(self._secret, f"{room.jid}\0{user}".encode(), sha256).hexdigest()
        return Occupant(room.jid, nick, bare, id, affiliation, role, guest)

    def loading(self, bare: str) -> Deferred[None] | None:
        """An account of this server is about to have a session. See C{hooks.loading}."""
        return None if bare in self._born else Deferred.fromCoroutine(self._load(bare))

    async def _load(self, bare: str) -> None:
        record = await self.host.accounts.get(bare)
        if record is not None:
            self._born[bare] = record.created

    def ended(self, session: ISession) -> None:
        """A session of this server is over. See C{hooks.ended}."""
        if session.bare not in session.host.sessions:
            self._born.pop(session.bare, None)

    def roomsWith(self, bare: str) -> list[Room]:
        """The rooms that know something of a user, in order."""
        return [self.rooms[local] for local in sorted(self._mentioned.get(bare, ())) if local in self.rooms]

    def forgetUser(self, bare: str) -> None:
        """
        An account, or a guest, is gone for good: no room knows it any more. A room that nobody else has anything to do
        with goes, too; one without an owner is administrated by those who administrate the service.
        """
        self._born.pop(bare, None)
        for local in tuple(self._mentioned.get(bare, ())):
            room = self.rooms.get(local)
            if room is not None:
                self._forgetUser(room, bare)
        for room in tuple(self.rooms.values()):
            if room.lock.locked:
                self._forgetAgain(room, bare)

    def _forgetAgain(self, room: Room, bare: str) -> None:
        """A room is being changed just now, perhaps for a user who is gone: forget him once more behind that."""

        async def work() -> None:
            async with self.changing(room):
                self._forgetUser(room, bare)

        Deferred.fromCoroutine(work()).addErrback(lambda failure: failure.trap(StanzaError) and None)

    def _forgetUser(self, room: Room, bare: str) -> None:
        """A room knows nothing of a user any more."""
        if room.forget(bare):
            self.storage.forgetUser(room, bare)
        if room.config.creator == bare:
            self._disown(room, bare)
        self.vacated(room)

    def _disown(self, room: Room, bare: str) -> None:
        """Who made a room is gone; it doesn't count as a room of the next account of that name."""

        async def work() -> None:
            async with self.changing(room):
                if room.config.creator == bare:
                    await self.disown(room)

        def failed(failure: Failure) -> None:
            if failure.check(StoreUnavailable):
                log.warn("{room} could not be written", room=room.jid)
            elif not failure.check(StanzaError):  # the room is gone
                log.failure("{room} could not be written", failure, room=room.jid)

        Deferred.fromCoroutine(work()).addErrback(failed)

    async def disown(self, room: Room) -> None:
        """Nobody has made a room that is held for changes."""
        bare = room.config.creator
        self._uncount(bare)
        room.config = replace(room.config, creator="")
        self._count("")
        room.mention(bare)
        if room.config.persistent and not room.locked:
            await self.storage.saveConfig(room, room.config, {})

    def _mentions(self, local: str, bare: str, there: bool) -> None:
        """Keep in mind which rooms know something of a user."""
        rooms = self._mentioned.get(bare)
        if there:
            self._mentioned.setdefault(bare, set()).add(local)
        elif rooms is not None:
            rooms.discard(local)
            if not rooms:
                del self._mentioned[bare]

    def after(self, payload: Element | bytes | None, *steps: Callable[[], None]) -> After:
        """A result, and what follows it."""

        def then() -> None:
            for step in steps:
                step()

        return After(payload, then)

    # --- for administrators and other features

    def roomOf(self, jid: str) -> Room:
        """
        The room with a bare JID.

        @raise StanzaError: item-not-found.
        """
        try:
            address = parse(jid)
        except JIDMalformed:
            address = None
        room = self.rooms.get(address.local or "") if address is not None else None
        if room is None or address is None or address.domain != self.host.domain:
            raise StanzaError(StanzaCondition.ITEM_NOT_FOUND, "There is no such room.")
        return room

    def names(self) -> list[str]:
        """See L{IRooms}."""
        return sorted(room.jid for room in self.rooms.values())

    def info(self, room: str) -> Mapping[str, Any] | None:
        """See L{IRooms}."""
        try:
            found = self.roomOf(room)
        except StanzaError:
            return None
        config = asdict(found.config)
        config["password"] = bool(config["password"])
        return {
            "jid": found.jid,
            "name": found.config.name,
            "subject": found.subjectText,
            "occupants": len(found.seats),
            "locked": found.locked,
            "config": config,
            "affiliations": {bare: each.value for bare, each in sorted(found.affiliations.items())},
        }

    def destroy(self, room: str, venue: str | None = None, reason: str | None = None) -> Deferred[None]:
        """See L{IRooms}."""

        async def work() -> None:
            await self.remove(self.roomOf(room), venue, reason)

        return Deferred.fromCoroutine(work())

    def setAffiliation(self, room: str, jid: str, affiliation: str) -> Deferred[None]:
        """See L{IRooms}."""

        async def work() -> None:
            found = self.roomOf(room)
            if affiliation not in list(Affiliation):
                raise StanzaError(StanzaCondition.BAD_REQUEST, "There is no such affiliation.")
            async with self.changing(found):
                change = {parse(jid).bare: Affiliation(affiliation)}
                rest = await self.admin.change(found, change, {}, None, {})
            rest()

        return Deferred.fromCoroutine(work())

    def mayRead(self, room: str, jid: JID) -> StanzaError | None:
        """See L{IRooms}."""
        try:
            found = self.roomOf(room)
        except StanzaError as error:
            return error
        if found.locked:  # what is in its archive was said in an earlier room of this name
            return StanzaError(StanzaCondition.FORBIDDEN, "The room is not configured yet.")
        affiliation = found.affiliationOf(jid.bare)
        if affiliation is Affiliation.OUTCAST:
            return StanzaError(StanzaCondition.FORBIDDEN, "You are banned from this room.")
        known = jid.full in found.seats or RANK[affiliation] >= RANK[Affiliation.MEMBER]
        if not known and (found.config.membersOnly or found.config.password):
            return StanzaError(StanzaCondition.FORBIDDEN, "You may not read what is said in this room.")
        return None

    def seesJIDs(self, room: str, jid: JID, disclosed: bool) -> bool:
        """See L{IRooms}."""
        found = self.roomOf(room)
        public = disclosed and not found.config.anonymous
        return public or found.standing(jid.bare, jid.full)[1] is Role.MODERATOR

    def guestsBehind(self, room: str, nick: str, moderator: JID) -> list[str]:
        """See L{IRooms}."""
        found = self.roomOf(room)
        if found.standing(moderator.bare, moderator.full)[1] is not Role.MODERATOR:
            raise StanzaError(StanzaCondition.FORBIDDEN, "That is for moderators of the room.")
        occupant = found.occupants.get(nick)
        if occupant is None:
            raise StanzaError(StanzaCondition.ITEM_NOT_FOUND, "There is nobody of that nickname.")
        guests = [full for full in occupant.seats if self.isGuest(parse(full))]
        if not guests:
            raise StanzaError(StanzaCondition.NOT_ACCEPTABLE, "That is no guest of this server.")
        return guests

    def isArchived(self, room: str) -> bool:
        """See L{IRooms}."""
        try:
            return self.archive is not None and self.roomOf(room).config.logging
        except StanzaError:
            return False
