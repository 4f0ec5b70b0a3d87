"""
What of a room outlives the server, and the secret of its service.

Theory of operation: all persistent rooms are read when the server starts, so that nothing at a room ever waits for a
read. The domain of the service owns one fact of kind C{room} for each persistent room, its configuration; it is written
last and deleted first, so that half a room never comes back. Everything else belongs to the room's own bare JID; what
is there of a room that didn't come back is deleted at the start. Temporary rooms are written nowhere.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any, Final

from twisted.internet.defer import Deferred, succeed
from twisted.logger import Logger
from twisted.python.failure import Failure

from xmppd.features.xep0045_muc import hats
from xmppd.features.xep0045_muc.affiliations import Affiliation
from xmppd.features.xep0045_muc.config import RoomConfig, configFrom
from xmppd.features.xep0045_muc.encoding import Fan
from xmppd.features.xep0045_muc.hats import Hat
from xmppd.features.xep0045_muc.rooms import Room
from xmppd.ixmppd import NameRecord, StoreUnavailable
from xmppd.naming import EDITIONS
from xmppd.wire.errors import StanzaCondition, StanzaError
from xmppd.wire.lookalikes import EDITION
from xmppd.wire.stanza import fromBytes

if TYPE_CHECKING:
    from xmppd.features.xep0045_muc.service import Service

ROOMS: Final = "room"
AFFILIATIONS: Final = "room-affiliation"
REGISTRATIONS: Final = "room-registration"
HATS: Final = "room-hats"
HAT_LIST: Final = "room-hat-list"
SUBJECT: Final = "room-subject"
CARD: Final = "room-vcard"
SECRET: Final = "room-secret"  # noqa: S105

NAME: Final = "room"
"""The kind of name in the index of look-alikes (XEP-0165)."""

INDEXED: Final = 500
"""How many names are indexed in one transaction."""

CARDS_OCTETS: Final = 16 * 1024 * 1024
"""What the vCards of all temporary rooms may take."""

log = Logger(namespace="xmppd.rooms")


class Storage:
    """Writes rooms, and reads them at the start."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._facts = service.host.facts
        self._domain = service.host.domain
        self._cards: dict[str, bytes] = {}

    # --- at the start

    async def secret(self) -> bytes:
        """The secret behind occupant ids, made at the first start (XEP-0421 section 4.1)."""
        found = await self._facts.get(self._domain, SECRET, "")
        if found is None:
            await self._facts.putNew(self._domain, SECRET, "", self._service.host.entropy.token(32).encode())
            found = await self._facts.get(self._domain, SECRET, "")
        assert found is not None
        return found

    async def load(self) -> None:
        """All rooms. One that can't be read is left alone and complained of."""
        known = await self._facts.all(self._domain, ROOMS)
        for local, data in known.items():
            try:
                room = self._service.make(local, configFrom(data, self._service.options.defaults))
            except ValueError:
                log.error("the room {room} can't be read", room=f"{local}@{self._domain}")
                continue
            room.written = True
            await self._fill(room)
            if room.config.creator not in room.affiliations:
                self._service.unmade(room)  # the account may have been removed while the server was killed
        await self._sweep(known)
        await self._index(known)

    async def _sweep(self, known: Collection[str]) -> None:
        """
        Delete what is left of rooms that nobody knows, since the server was killed while one was being made or deleted.

        @param known: localparts of those that somebody knows.
        """
        there = {f"{local}@{self._domain}" for local in known}
        for kind in (AFFILIATIONS, REGISTRATIONS, HATS, HAT_LIST, SUBJECT, CARD):
            for owner in await self._facts.owners(kind, self._domain):
                if owner not in there and owner != self._domain:
                    await self._facts.forget(owner)

    def _name(self, local: str) -> NameRecord:
        return NameRecord(NAME, self._domain, local, f"{local}@{self._domain}")

    async def _index(self, known: Collection[str]) -> None:
        """Have the rooms that there are in the index of look-alikes, and no others; all again if it has other keys."""
        index = self._service.host.nameIndex
        there: set[str] = set()
        while page := await index.list(NAME, self._domain, max(there, default="")):
            there.update(each.name for each in page)
        for local in sorted(there.difference(known)):
            await index.remove(NAME, self._domain, local)
        edition = await self._facts.get(self._domain, EDITIONS, NAME)
        same = edition == EDITION.encode()
        missing = [self._name(local) for local in sorted(known) if not (same and local in there)]
        for start in range(0, len(missing), INDEXED):
            await index.add(missing[start : start + INDEXED])
        if not same:
            await self._facts.put(self._domain, EDITIONS, NAME, EDITION.encode())

    async def _fill(self, room: Room) -> None:
        for bare, value in (await self._facts.all(room.jid, AFFILIATIONS)).items():
            try:
                kept = json.loads(value)
                room.affiliate(bare, Affiliation(kept["affiliation"]))
                room.setNick(bare, kept.get("nick"))
            except (ValueError, KeyError, TypeError):
                room.damaged = True
                log.error("an affiliation of {room} can't be read", room=room.jid)
        await self._fillHats(room)
        subject = await self._facts.get(room.jid, SUBJECT, "")
        if subject is not None:
            try:
                kept = json.loads(subject)
                room.subjectText = str(kept["text"])
                room.subject = Fan(fromBytes(kept["stanza"].encode()))
            except (ValueError, KeyError, TypeError, AttributeError):
                log.error("the subject of {room} can't be read", room=room.jid)
        card = await self._facts.get(room.jid, CARD, "")
        if card is not None:
            self._service.avatars.loaded(room, card)

    async def _fillHats(self, room: Room) -> None:
        data = await self._facts.get(room.jid, HAT_LIST, "")
        if data is None:
            return
        wearers: dict[str, tuple[str, ...]] = {}
        try:
            known = hats.fromBytes(data)
            for bare, value in (await self._facts.all(room.jid, HATS)).items():
                worn = tuple(uri for uri in json.loads(value) if uri in known)
                if worn:
                    wearers[bare] = worn
        except (ValueError, TypeError):
            log.error("the hats of {room} can't be read", room=room.jid)
            return
        room.dress(known, wearers)

    # --- writing

    async def saveHats(self, room: Room, known: Mapping[str, Hat], wearers: hats.Wearers) -> None:
        """Write the hats that a room is to have, and who is to wear them, as far as that is new."""
        if not room.config.persistent or room.locked:
            return
        if known != room.hats:
            await self._facts.put(room.jid, HAT_LIST, "", hats.toBytes(known.values()))
        there = room.wearers
        changed = [bare for bare in {*wearers, *there} if wearers.get(bare) != there.get(bare)]
        if len(changed) > 1:
            await self._replaceWearers(room, wearers)
        for bare in changed if len(changed) == 1 else ():
            if bare in wearers:
                await self._facts.put(room.jid, HATS, bare, json.dumps(wearers[bare]).encode())
            else:
                await self._facts.delete(room.jid, HATS, bare)

    async def _replaceWearers(self, room: Room, wearers: hats.Wearers) -> None:
        facts = {bare: json.dumps(uris).encode() for bare, uris in wearers.items()}
        await self._facts.replaceAll(room.jid, HATS, facts)

    def _changed(
        self, room: Room, changes: Mapping[str, Affiliation], nicks: Mapping[str, str | None]
    ) -> dict[str, bytes]:
        """All affiliations as they will be."""
        return {
            bare: self._affiliation(room, bare, each, nicks.get(bare))
            for bare, each in {**room.affiliations, **changes}.items()
            if each is not Affiliation.NONE
        }

    @staticmethod
    def _affiliation(room: Room, bare: str, affiliation: Affiliation, nick: str | None = None) -> bytes:
        kept: dict[str, Any] = {"affiliation": affiliation}
        nick = nick if nick is not None else room.nicks.get(bare)
        if nick:
            kept["nick"] = nick
        return json.dumps(kept).encode()

    async def saveConfig(self, room: Room, config: RoomConfig, changes: Mapping[str, Affiliation]) -> None:
        """
        Write a room that is to have that configuration and those changed affiliations; all of it if it was temporary,
        and nothing any more if it becomes so.
        """
        new = config.persistent and (room.locked or not room.config.persistent)
        if config.persistent:
            room.written = True
        if new:
            await self._service.host.ledger.note(config.creator)
        if config.persistent and (new or changes):
            await self._facts.replaceAll(room.jid, AFFILIATIONS, self._changed(room, changes, {}))
        if new:
            if room.hats:
                await self._facts.put(room.jid, HAT_LIST, "", hats.toBytes(room.hats.values()))
                await self._replaceWearers(room, room.wearers)
            if room.subject is not None:
                await self._facts.put(room.jid, SUBJECT, "", self._subject(room))
            card = self._cards.pop(room.jid, None)
            if card is not None:
                await self._facts.put(room.jid, CARD, "", card)
        if config.persistent:
            if new:
                await self._service.host.nameIndex.add([self._name(room.local)])
            await self._facts.put(self._domain, ROOMS, room.local, config.toBytes())
        elif room.config.persistent and not room.locked:
            card = await self.card(room)
            await self._forget(room)
            if card is not None:
                self._cards[room.jid] = card

    async def saveAffiliations(
        self, room: Room, changes: Mapping[str, Affiliation], nicks: Mapping[str, str | None]
    ) -> None:
        """
        Write changed affiliations.

        @param nicks: reserved nicknames that change, empty for none; of the others the old ones stay.
        """
        if not room.config.persistent or room.locked:
            return
        if len(changes) > 1:
            await self._facts.replaceAll(room.jid, AFFILIATIONS, self._changed(room, changes, nicks))
            return
        for bare, affiliation in changes.items():
            if affiliation is Affiliation.NONE:
                await self._facts.delete(room.jid, AFFILIATIONS, bare)
                await self._facts.delete(room.jid, REGISTRATIONS, bare)
            else:
                value = self._affiliation(room, bare, affiliation, nicks.get(bare))
                await self._facts.put(room.jid, AFFILIATIONS, bare, value)

    async def saveRegistration(self, room: Room, bare: str, answers: Mapping[str, Any]) -> None:
        """Keep what somebody has said of itself when it registered."""
        if room.config.persistent and not room.locked:
            await self._facts.put(room.jid, REGISTRATIONS, bare, json.dumps(dict(answers)).encode())

    def _subject(self, room: Room) -> bytes:
        assert room.subject is not None
        return json.dumps({"text": room.subjectText, "stanza": room.subject.stanza.raw.decode()}).encode()

    def saveSubject(self, room: Room) -> None:
        """Write the subject; nobody waits for that."""
        if room.config.persistent and room.subject is not None:
            self._inBackground(self._facts.put(room.jid, SUBJECT, "", self._subject(room)), room)

    def forgetUser(self, room: Room, bare: str) -> None:
        """An account is gone; nobody waits."""
        if room.config.persistent:
            self._inBackground(self._facts.delete(room.jid, AFFILIATIONS, bare), room)
            self._inBackground(self._facts.delete(room.jid, REGISTRATIONS, bare), room)
            self._inBackground(self._facts.delete(room.jid, HATS, bare), room)

    def _inBackground(self, write: Deferred[Any], room: Room) -> None:
        def failed(failure: Failure) -> None:
            if failure.check(StoreUnavailable):
                log.warn("{room} could not be written", room=room.jid)
            else:
                log.failure("writing {room} failed", failure, room=room.jid)

        write.addErrback(failed)

    async def _forget(self, room: Room) -> None:
        await self._facts.delete(self._domain, ROOMS, room.local)
        await self._service.host.nameIndex.remove(NAME, self._domain, room.local)
        await self._facts.forget(room.jid)

    async def forget(self, room: Room) -> None:
        """A room is gone."""
        self._cards.pop(room.jid, None)
        if room.written:
            await self._forget(room)

    # --- vCards

    def card(self, room: Room) -> Deferred[bytes | None]:
        """The room's vCard, or None."""
        if room.config.persistent and not room.locked:
            return self._facts.get(room.jid, CARD, "")
        return succeed(self._cards.get(room.jid))

    async def saveCard(self, room: Room, card: bytes | None) -> None:
        """Replace the room's vCard; None takes it away."""
        if not room.config.persistent or room.locked:
            others = sum(len(each) for jid, each in self._cards.items() if jid != room.jid)
            if card is not None and others + len(card) > CARDS_OCTETS:
                raise StanzaError(StanzaCondition.RESOURCE_CONSTRAINT, "Temporary rooms have too many avatars.")
            self._cards.pop(room.jid, None)
            if card is not None:
                self._cards[room.jid] = card
        elif card is None:
            await self._facts.delete(room.jid, CARD, "")
        else:
            await self._facts.put(room.jid, CARD, "", card)
