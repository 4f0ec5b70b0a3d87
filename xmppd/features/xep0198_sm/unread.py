"""
What a client without stream management has left unread when its connection is given up.

Such a client is sent whatever comes, and nobody keeps it: when too much waits for it, what waits is all there is. Its
session ends, and what waits is read again out of the bytes that were meant for the client. Then it is treated like
anything for a resource that isn't there (RFC 6121 section 8.5.3.2): requests are answered with an error, messages are
routed again, to the account: that is to another resource, or to those who keep messages for users who are away. What
is in somebody's custody already is left to that.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from time import monotonic
from typing import Final

from xmppd.features.xep0198_sm.custody import unsettled
from xmppd.features.xep0198_sm.queue import COPIES, outlasts
from xmppd.ixmppd import IHost, ISession
from xmppd.wire import ns
from xmppd.wire.element import DEPTH, Element
from xmppd.wire.errors import StanzaCondition, StanzaError
from xmppd.wire.stanza import Stanza
from xmppd.wire.xmlstream import ParserLimits, XMLStreamParser

HEADER: Final = f"<stream:stream xmlns='{ns.CLIENT}' xmlns:stream='{ns.STREAMS}'>".encode()

PORTION: Final = 32_768
"""How many octets are read again at once."""

SLICE_SECONDS: Final = 0.05
"""How long that may go on in one turn of the reactor."""

STANZA_ID: Final = f"{ns.STANZA_ID} stanza-id"


class Unread:
    """Finds another place for what clients don't read; what C{IHost.unread} is."""

    def __init__(self, host: IHost, slot: str) -> None:
        """
        @param slot: where sessions have their stream management, which answers for what they haven't read.
        """
        self._host = host
        self._slot = slot

    def __call__(self, session: ISession, data: bytes) -> Callable[[], None]:
        """
        Take what a client hasn't read, while its session is still there.

        @param data: whole elements, as they would have been sent.
        @return: to be called when the session has ended.
        """
        settled, bare, managed = unsettled(session), session.bare, session.slots.get(self._slot) is not None

        def settle() -> None:
            if not managed:
                self._settle(self._stanzas(data, session.account.anonymous), bare, settled)

        return settle

    def _stanzas(self, data: bytes, guest: bool) -> Iterator[Stanza]:
        """The stanzas in the data that somebody has to hear of."""
        most = len(data) + 1  # it was let through when it came
        limits = ParserLimits(most, most, DEPTH, most, most, most, most, most, most)
        parser = XMLStreamParser(limits)
        parser.feed(HEADER)
        for start in range(0, len(data), PORTION):
            for event in parser.feed(data[start : start + PORTION]):
                if not isinstance(event, Stanza):
                    continue
                if event.kind == "iq" or (event.kind == "message" and not guest):
                    yield event

    def _settle(self, stanzas: Iterator[Stanza], bare: str, settled: frozenset[bytes]) -> None:
        """Route as many as there is time for, the others in another turn."""
        until = monotonic() + SLICE_SECONDS
        for stanza in stanzas:
            if stanza.raw not in settled:
                self._route(stanza, bare)
            if monotonic() > until:
                self._host.clock.callLater(0, self._settle, stanzas, bare, settled)
                return

    def _route(self, stanza: Stanza, bare: str) -> None:
        router, sender = self._host.router, stanza.attrs.get("from")
        if sender is None:
            return  # an answer of the server itself
        if stanza.kind == "iq":
            if stanza.attrs.get("type") in ("get", "set"):
                router.bounce(stanza, StanzaError(StanzaCondition.SERVICE_UNAVAILABLE))
        elif COPIES.isdisjoint(stanza.childNames):
            copy = stanza.addressed({"to": bare} if outlasts(stanza) else {})
            copy.archived = any(each.get("by") == bare for each in _ids(stanza))
            router.route(copy)


def _ids(stanza: Stanza) -> list[Element]:
    """Where the message says that it was archived (XEP-0359)."""
    if STANZA_ID not in stanza.childNames:
        return []
    return [each for each in stanza.elements() if each.qname == STANZA_ID]
