"""
Answering queries: for accounts here, for rooms in L{xmppd.features.xep0313_archive.rooms}.

Theory of operation: results and the end of them have to come in one order, so they are given to the client without what
might hold a message back. One query of a client is worked off at a time, and the next one only when the connection has
swallowed most of what the former one was answered with: so nobody makes the server hold more than a page for him. What
was archived before the query is written before it is read, so that an id that a client has seen is one that it can ask
for.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, Final, TypeVar

from twisted.internet.defer import Deferred, DeferredLock

from xmppd.features.xep0313_archive.queries import (
    METADATA,
    QUERY,
    Asked,
    asked,
    fin,
    metadata,
    queryForm,
    results,
    trimmed,
)
from xmppd.features.xep0313_archive.writing import Writer
from xmppd.ixmppd import ArchivePage, IHost, ISession, Missing, Request, StoreUnavailable
from xmppd.wire.element import Element
from xmppd.wire.errors import StanzaCondition, StanzaError

T = TypeVar("T")

SWALLOWED: Final = 262_144
"""How many octets may be unsent when the next query of a client is worked off."""

PAUSES: Final = (0.02, 0.1, 0.5, 1.0)
"""Seconds between looks whether that is so; the last repeats."""

LOOKS: Final = 30
"""After how many looks the client is told to ask again later."""

WAITING: Final = 20
"""How many queries of one account may wait for their turn."""


class _Turn:
    """
    Who is being answered.

    @ivar lock: held while a query is being worked off.
    @ivar count: how many queries there are.
    """

    __slots__ = ("count", "lock")

    def __init__(self) -> None:
        self.lock = DeferredLock()
        self.count = 0


class Turns:
    """Has those who ask wait for their turn; by account, also if it is on another server."""

    def __init__(self, host: IHost) -> None:
        self._host = host
        self._turns: dict[str, _Turn] = {}

    async def take(self, request: Request, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """
        Do something for who asks when it is his turn.

        @raise StanzaError: resource-constraint, if too much waits or nothing gets through to him.
        """
        account = request.sender.bare
        turn = self._turns.setdefault(account, _Turn())
        if turn.count >= WAITING:
            raise StanzaError(StanzaCondition.RESOURCE_CONSTRAINT, "Too many queries are waiting.")
        turn.count += 1
        try:
            await turn.lock.acquire()
            try:
                if request.session is not None:
                    await self._swallowed(request.session)
                return await work()
            finally:
                turn.lock.release()
        finally:
            turn.count -= 1
            if not turn.count:
                del self._turns[account]

    async def _swallowed(self, session: ISession) -> None:
        for look in range(LOOKS):
            if session.stream is None or session.stream.unsent() <= SWALLOWED:
                return
            pause: Deferred[None] = Deferred()
            self._host.clock.callLater(PAUSES[min(look, len(PAUSES) - 1)], pause.callback, None)
            await pause
        raise StanzaError(StanzaCondition.RESOURCE_CONSTRAINT, "Take what you have been sent first.")


async def pageOf(host: IHost, writer: Writer, owner: str, wanted: Asked) -> ArchivePage:
    """
    What a query is answered with.

    @raise StanzaError: item-not-found for an id that isn't there.
    """
    await writer.settled()
    try:
        page = await host.archives.query(owner, wanted.query)
    except Missing as error:
        raise StanzaError(StanzaCondition.ITEM_NOT_FOUND) from error
    except ValueError as error:  # what can't be in any archive
        raise StanzaError(StanzaCondition.ITEM_NOT_FOUND) from error
    return trimmed(page, wanted.query.pageBefore is not None)


class Answers:
    """Answers the queries of a host's accounts, about their own archives."""

    def __init__(self, host: IHost, writer: Writer, usual: int, most: int) -> None:
        """
        @param usual: how many messages a page has.
        @param most: how many it has at most.
        """
        self._host = host
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
        self._host.inline.bound.append(self.state)

    def _session(self, request: Request) -> ISession:
        """Only the owner may know anything (section 8.1)."""
        session = request.session
        if session is None or not request.own or session.account.anonymous:
            raise StanzaError(StanzaCondition.FORBIDDEN)
        return session

    def form(self, request: Request) -> Element:
        """The fields of queries (section 4.1.5)."""
        self._session(request)
        return queryForm()

    async def query(self, request: Request) -> Element:
        """Section 4."""
        session = self._session(request)
        wanted = asked(request.payload, self._usual, self._most)

        async def work() -> Element:
            page = await pageOf(self._host, self._writer, session.bare, wanted)
            found = [(message, message.stanza) for message in page.messages]
            if wanted.flipped:
                found.reverse()
            if not session.over:
                for result in results(session.bare, session.full, wanted.id, found):
                    session.transmit(result)
            return fin(page)

        return await self._turns.take(request, work)

    async def metadata(self, request: Request) -> Element:
        """Section 5."""
        owner = self._session(request).bare

        async def work() -> Element:
            await self._writer.settled()
            return metadata(await self._host.archives.ends(owner))

        return await self._turns.take(request, work)

    async def state(self, session: ISession) -> bytes:
        """The same for a client whose session has just begun (XEP-0386 section 3.2.1); nothing if it can't be read."""
        if session.account.anonymous:
            return b""
        try:
            await self._writer.settled()
            return metadata(await self._host.archives.ends(session.bare)).toBytes()
        except StoreUnavailable:
            return b""
