"""
Tombstones: what an archive keeps of messages that were taken back (XEP-0424 section 4).

Theory of operation: a retraction names a message by the C{id} that its sender gave it, which archives don't index.
Therefore the latest messages between the two are looked through, one retraction at a time, a bounded number of messages
for each; a retraction whose message is not among them changes nothing. It is archived itself in any case, and clients
who read it know what to do.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import Final

from twisted.internet.defer import Deferred
from twisted.logger import Logger

from xmppd.features.xep0313_archive.rules import RETRACT
from xmppd.features.xep0313_archive.writing import Writer
from xmppd.ixmppd import ArchivedMessage, ArchiveQuery, IHost, Missing, StoreUnavailable
from xmppd.wire import ns
from xmppd.wire.dates import dateTime
from xmppd.wire.element import escapeAttribute
from xmppd.wire.jid import JIDMalformed, parse
from xmppd.wire.stanza import Stanza, fromBytes, join

log = Logger(namespace="xmppd.archive")

RETRACTED: Final = f"{ns.RETRACTION} retracted"

DEPTH: Final = 500
"""How many of the latest messages between two are looked through."""

PAGE: Final = 100

WAITING: Final = 100
"""How many retractions may wait for their turn. What comes then leaves no tombstone."""

LONGEST_ID: Final = 1024


def tombstone(attrs: Mapping[str, str], stamp: float, id: str | None, mark: bytes = b"", beside: bytes = b"") -> bytes:
    """
    What stands in the place of a message.

    @param attrs: the message's attributes.
    @param stamp: when it was taken back, seconds since the epoch.
    @param id: C{id} of the message that took it back.
    @param mark: content of the C{<retracted/>}, that is who did it and why (XEP-0425 section 4).
    @param beside: what else is kept of the message.
    """
    given = f" id='{escapeAttribute(id)}'" if id is not None else ""
    start = f"<retracted xmlns='{ns.RETRACTION}'{given} stamp='{dateTime(stamp)}'".encode()
    inner = start + (b">" + mark + b"</retracted>" if mark else b"/>")
    return join("message", {key: value for key, value in attrs.items() if " " not in key}, beside + inner)


class Retractions:
    """The retractions in the archives of the accounts of one host."""

    def __init__(self, host: IHost, writer: Writer) -> None:
        self._host = host
        self._writer = writer
        self._waiting: deque[tuple[str, str, Stanza]] = deque()
        self._working = False

    def take(self, owner: str, peer: str, stanza: Stanza) -> None:
        """
        A retraction is being archived.

        @param peer: bare JID of the other side.
        """
        if len(self._waiting) >= WAITING:
            return
        self._waiting.append((owner, peer, stanza))
        if not self._working:
            self._working = True
            work = Deferred.fromCoroutine(self._work())
            work.addErrback(lambda failure: log.failure("a retraction could not be worked off", failure))

    async def _work(self) -> None:
        try:
            while self._waiting:
                owner, peer, stanza = self._waiting.popleft()
                retract = stanza.find(RETRACT)
                wanted = retract.get("id") if retract is not None else None
                own = stanza.attrs.get("id")
                if wanted and own and len(wanted) <= LONGEST_ID:
                    await self._retract(owner, peer, stanza.attrs["from"], wanted, own)
        finally:
            self._working = False

    async def _retract(self, owner: str, peer: str, sender: str, wanted: str, id: str) -> None:
        """Replace the message, if it is from the same account (section 5)."""
        stamp = self._host.clock.seconds()
        try:
            await self._writer.settled()
            found = await self._find(owner, peer, parse(sender).bare, wanted)
            if found is not None:
                message, original = found
                await self._host.archives.replace(owner, message.id, tombstone(original.attrs, stamp, id))
        except (StoreUnavailable, Missing, ValueError):
            log.info("a message in the archive of {owner} could not be retracted", owner=owner)

    async def _find(self, owner: str, peer: str, sender: str, wanted: str) -> tuple[ArchivedMessage, Stanza] | None:
        before = ""
        for _ in range(DEPTH // PAGE):
            query = ArchiveQuery(peer=peer, pageBefore=before, limit=PAGE, count=False)
            page = await self._host.archives.query(owner, query)
            for message in reversed(page.messages):
                original = _matching(message.stanza, sender, wanted)
                if original is not None:
                    return message, original
            if page.complete or not page.messages:
                return None
            before = page.messages[0].id
        return None


def _matching(raw: bytes, sender: str, wanted: str) -> Stanza | None:
    """The message in some bytes if it is from that account, has that id and is still whole."""
    if wanted.encode() not in raw and escapeAttribute(wanted).encode() not in raw:
        return None  # quicker than to parse them all
    try:
        stanza = fromBytes(raw)
        same = stanza.attrs.get("id") == wanted and parse(stanza.attrs["from"]).bare == sender
    except (ValueError, KeyError, JIDMalformed):
        return None
    return stanza if same and RETRACTED not in stanza.childNames else None
