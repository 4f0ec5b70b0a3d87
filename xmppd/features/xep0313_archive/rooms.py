"""
The archives of rooms (XEP-0313 section 6.1.2): what the rooms of a service say, and who may read it later.

What was said is archived once, as all occupants got it. Who may know the occupants' real JIDs when he asks gets them
with each message; for others they are nowhere. The rooms say who may read and who may know (L{xmppd.ixmppd.IRooms}):
what was said while only moderators saw real JIDs is shown with them to nobody else, whatever the room has become.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from xmppd.features.xep0313_archive.answering import Turns, pageOf
from xmppd.features.xep0313_archive.queries import (
    METADATA,
    QUERY,
    Asked,
    asked,
    fin,
    metadata,
    queryForm,
    results,
)
from xmppd.features.xep0313_archive.retraction import RETRACTED, tombstone
from xmppd.features.xep0313_archive.rules import MEANINGFUL, MOST_OCTETS, NO_STORE, RETRACT
from xmppd.features.xep0313_archive.writing import Writer
from xmppd.ixmppd import (
    ArchivedMessage,
    ArchiveQuery,
    IHost,
    IRoomArchive,
    IRooms,
    Missing,
    Request,
    StoreUnavailable,
)
from xmppd.wire import ns
from xmppd.wire.archiveids import DIGITS, ArchiveIds
from xmppd.wire.element import Element, escapeAttribute
from xmppd.wire.errors import StanzaCondition, StanzaError
from xmppd.wire.jid import JID
from xmppd.wire.stanza import Stanza, fromBytes

log = Logger(namespace="xmppd.archive")

SUBJECT: Final = f"{ns.CLIENT} subject"
USER: Final = f"{ns.MUC_USER} x"
OCCUPANT_ID: Final = "urn:xmpp:occupant-id:0 occupant-id"
SAID: Final = MEANINGFUL | {SUBJECT}

OWNERS: Final = 200
"""How many archives are looked at together when the server starts."""


def isSaid(stanza: Stanza) -> bool:
    """Whether a room's archive keeps a message: it says something, or changes the subject."""
    names = stanza.childNames
    return not SAID.isdisjoint(names) and NO_STORE.isdisjoint(names) and len(stanza.raw) <= MOST_OCTETS


@implementer(IRoomArchive)
class RoomArchives:
    """See L{IRoomArchive}."""

    def __init__(self, host: IHost, writer: Writer, ids: ArchiveIds, namespaces: Sequence[str]) -> None:
        self.namespaces = tuple(namespaces)
        self._host = host
        self._writer = writer
        self._ids = ids

    def allot(self, room: str, stanza: Stanza) -> str | None:
        """See L{IRoomArchive}."""
        return self._ids.take(self._host.clock.seconds())[0] if isSaid(stanza) else None

    def archive(self, room: str, id: str, stanza: Stanza, sender: str, disclosed: bool) -> Deferred[None] | None:
        """See L{IRoomArchive}."""
        stamp = int(id[:DIGITS], 16) / 1e6  # what the id was made from
        message = ArchivedMessage(id, room, stanza.attrs.get("from", room), stamp, stanza.raw, "", sender, disclosed)
        done = self._writer.add(message)
        if RETRACT in stanza.childNames:
            self._retracted(room, stanza, sender)
        return None if done.called else done

    def _retracted(self, room: str, stanza: Stanza, sender: str) -> None:
        """Somebody takes back a message of his own (XEP-0424 section 5); what the room says, it does itself."""
        retract = stanza.find(RETRACT)
        wanted = retract.get("id") if retract is not None else None
        if wanted and stanza.attrs.get("from", room) != room:
            work = Deferred.fromCoroutine(self._bury(room, wanted, stanza.attrs.get("id"), b"", sender))
            work.addErrback(lambda failure: log.failure("a retraction in {room} failed", failure, room=room))

    def author(self, room: str, id: str) -> Deferred[str | None]:
        """See L{IRoomArchive}."""
        return Deferred.fromCoroutine(self._author(room, id))

    async def _author(self, room: str, id: str) -> str | None:
        await self._writer.settled()
        try:
            page = await self._host.archives.query(room, ArchiveQuery(ids=(id,), limit=1, count=False))
        except (Missing, ValueError):
            return None
        return page.messages[0].sender if page.messages else None

    def retract(self, room: str, id: str, mark: bytes) -> Deferred[bool]:
        """See L{IRoomArchive}."""
        return Deferred.fromCoroutine(self._bury(room, id, None, mark, None))

    async def _bury(self, room: str, id: str, by: str | None, mark: bytes, sender: str | None) -> bool:
        """
        Leave a tombstone in the place of a message.

        @param by: C{id} of the message that says so.
        @param sender: the real bare JID that it must be from, or None for any.
        """
        await self._writer.settled()
        stamp = self._host.clock.seconds()
        try:
            page = await self._host.archives.query(room, ArchiveQuery(ids=(id,), limit=1, count=False))
            if not page.messages or (sender is not None and page.messages[0].sender != sender):
                return False
            original = fromBytes(page.messages[0].stanza)
            if RETRACTED in original.childNames:
                return True
            occupant = original.find(OCCUPANT_ID)
            beside = occupant.toBytes() if occupant is not None else b""
            return await self._host.archives.replace(room, id, tombstone(original.attrs, stamp, by, mark, beside))
        except (Missing, ValueError):
            return False
        except StoreUnavailable:
            if sender is None:
                raise
            return False

    def removed(self, account: str) -> None:
        """An account is gone; what is written of it just now, or later, must not bear its name either."""

        async def disown() -> None:
            self._writer.disown(account)
            await self._writer.settled()
            await self._host.archives.disown(account)

        Deferred.fromCoroutine(disown()).addErrback(self._notDisowned)

    def _notDisowned(self, failure: Failure) -> None:
        failure.trap(StoreUnavailable)
        log.error("a message in the archive of a room may still name an account that is gone")

    def sweep(self) -> None:
        """See L{IRoomArchive}."""
        Deferred.fromCoroutine(self._sweep()).addErrback(
            lambda failure: log.failure("archives of former rooms could not be forgotten", failure)
        )

    async def _sweep(self) -> None:
        """
        Look at all archives there are, some at a time. Only what is older than this start goes: a new room may have
        taken the name of an old one meanwhile.
        """
        stamp, after = self._host.clock.seconds(), ""
        rooms = self._host.rooms
        assert rooms is not None
        try:
            while owners := await self._host.archives.owners(after, OWNERS):
                there = set(rooms.names())
                for owner in owners:
                    if owner.rpartition("@")[2] == self._host.domain and owner not in there:
                        while await self._host.archives.prune(stamp, owner):
                            pass
                after = owners[-1]
        except StoreUnavailable:
            log.warn("archives of former rooms can't be forgotten just now")

    def forget(self, room: str) -> Deferred[None]:
        """See L{IRoomArchive}."""

        async def forget() -> None:
            self._writer.drop(room)
            await self._writer.settled()
            await self._host.archives.forget(room)

        return Deferred.fromCoroutine(forget())


class RoomAnswers:
    """Answers queries about the archives of a service's rooms."""

    def __init__(self, host: IHost, rooms: IRooms, writer: Writer, usual: int, most: int) -> None:
        """
        @param usual: how many messages a page has.
        @param most: how many it has at most.
        """
        self._host = host
        self._rooms = rooms
        self._writer = writer
        self._usual = usual
        self._most = most
        self._turns = Turns(host)

    def join(self) -> None:
        """Respond."""
        respond = self._host.respond
        respond("account", "get", QUERY, self.form)
        respond("account", "set", QUERY, self.query)
        respond("account", "get", METADATA, self.metadata)

    def _room(self, request: Request) -> str:
        """The room, if who asks may read its archive at this time."""
        room = request.target.bare
        error = self._rooms.mayRead(room, request.sender)
        if error is not None:
            raise error
        if not self._rooms.isArchived(room):
            raise StanzaError(StanzaCondition.SERVICE_UNAVAILABLE, "This room keeps no archive.")
        return room

    def form(self, request: Request) -> Element:
        """The fields of queries (section 4.1.5)."""
        self._room(request)
        return queryForm()

    async def metadata(self, request: Request) -> Element:
        """Section 5."""
        room = self._room(request)

        async def work() -> Element:
            await self._writer.settled()
            return metadata(await self._host.archives.ends(room))

        return await self._turns.take(request, work)

    async def query(self, request: Request) -> Element:
        """Section 4."""
        self._room(request)
        wanted = asked(request.payload, self._usual, self._most)

        async def work() -> Element:
            room = self._room(request)
            page = await pageOf(self._host, self._writer, room, _within(wanted, room))
            shown = {each: self._rooms.seesJIDs(room, request.sender, each) for each in (False, True)}
            found = [(message, _shown(message, shown[message.disclosed])) for message in page.messages]
            if wanted.flipped:
                found.reverse()
            self._send(request, results(room, request.sender.full, wanted.id, found))
            return fin(page)

        return await self._turns.take(request, work)

    def _send(self, request: Request, found: Sequence[Stanza]) -> None:
        """To one of this server's clients without what might hold messages back."""
        session = request.session
        send = self._host.router.route if session is None else session.transmit
        if session is None or not session.over:
            for each in found:
                send(each)


def _within(wanted: Asked, room: str) -> Asked:
    """
    A query about a room: C{with} names an occupant. The room's own address matches everything that was said in it;
    real addresses match nothing, so that nobody learns who is who.
    """
    peer: JID | None = wanted.peer
    if peer is None:
        return wanted
    name = None if peer.full == room else peer.full
    return replace(wanted, query=replace(wanted.query, peer=name, resource=None))


def _shown(message: ArchivedMessage, shown: bool) -> bytes:
    """What was said, without claims of its sender about who he is; with his address for those who may know it."""
    if USER.encode().split()[0] in message.stanza:
        stanza = fromBytes(message.stanza).without(frozenset({USER}))
    else:
        stanza = Stanza("message", "", {}, (), message.stanza)
    if shown and message.sender:
        item = f"<x xmlns='{ns.MUC_USER}'><item jid='{escapeAttribute(message.sender)}'/></x>"
        stanza = stanza.extended(item.encode(), (USER,))
    return stanza.raw
