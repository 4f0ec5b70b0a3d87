"""
Roster get, set and push (RFC 6121 section 2).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from xmppd.adapters import checkStorage
from xmppd.features.rfc6121_im.kept import beInterested
from xmppd.features.rfc6121_im.rosters import Roster, Rosters
from xmppd.ixmppd import IHost, ISession, Request, RosterItem, StoreUnavailable
from xmppd.wire import ns
from xmppd.wire.element import Element, escapeAttribute, escapeText
from xmppd.wire.errors import StanzaCondition, StanzaError, StreamCondition, StreamError
from xmppd.wire.jid import parse
from xmppd.wire.stanza import Stanza, join

if TYPE_CHECKING:
    from xmppd.features.rfc6121_im.subscriptions import Subscriptions

log = Logger(namespace="xmppd.roster")

QUERY: Final = f"{ns.ROSTER} query"
KIND: Final = "roster"
LONGEST_NAME: Final = 1023
"""Code points in the name of a contact or of a group (the RFC's "server-configured limit")."""

MOST_GROUPS: Final = 100
"""Groups of one contact."""

VERSION: Final = re.compile(r"([0-9]{1,18})(?:\.[0-9]+)?\Z")
"""A version as clients got it from us; what follows the full stop counts removals, see L{RosterQueries._catchUp}."""


def itemText(item: RosterItem) -> str:
    """An item as XML (section 2.1.2)."""
    parts = [f"<item jid='{escapeAttribute(item.jid)}' subscription='{item.subscription}'"]
    if item.name:
        parts.append(f" name='{escapeAttribute(item.name)}'")
    if item.ask:
        parts.append(" ask='subscribe'")
    if item.approved:
        parts.append(" approved='true'")
    if not item.groups:
        return "".join((*parts, "/>"))
    groups = (f"<group>{escapeText(group)}</group>" for group in item.groups)
    return "".join((*parts, ">", *groups, "</item>"))


def queryBytes(version: str, items: Iterable[str]) -> bytes:
    """A C{<query/>} with items."""
    content = "".join(items)
    start = f"<query xmlns='{ns.ROSTER}' ver='{version}'"
    return (f"{start}>{content}</query>" if content else f"{start}/>").encode()


class RosterQueries:
    """Answers roster requests and pushes changes to a host's interested resources."""

    def __init__(self, host: IHost, rosters: Rosters) -> None:
        self.host = host
        self.rosters = rosters
        self.subscriptions: Subscriptions | None = None

    # --- get

    def get(self, request: Request) -> Deferred[bytes | None]:
        """A roster get (sections 2.1.3, 2.2, 2.6). Nobody may read somebody else's roster."""
        session = request.session
        if session is None or not request.own:
            raise StanzaError(StanzaCondition.SERVICE_UNAVAILABLE)
        if any(request.payload.elements()):
            raise StanzaError(StanzaCondition.BAD_REQUEST, "A roster get holds no items.")
        found = VERSION.match(request.payload.get("ver") or "")
        version = int(found[1]) if found else None

        async def work(roster: Roster) -> bytes | None:
            if version is not None:
                changes = await self.host.rosters.since(roster.account, version)
                if not changes.complete:
                    if changes.items or changes.removed:
                        self.host.clock.callLater(0, self._catchUp, session, version)
                    else:
                        beInterested(session)
                    return None
            beInterested(session)
            listed = (itemText(item) for item in roster.items.values() if item.listed)
            return queryBytes(str(roster.version), listed)

        return self.rosters.run(session.bare, work)

    def _catchUp(self, session: ISession, version: int) -> None:
        """
        Tell a client what it missed, after the empty result: a push for each change (section 2.6.3). Only then it gets
        others, so that pushes come in the order of the changes.

        The store doesn't know when an item was removed. So removals come first, numbered below the version the client
        had: whoever loses the connection meanwhile comes back with that version, and is told everything again.
        """

        async def work(roster: Roster) -> None:
            changes = await self.host.rosters.since(roster.account, version)
            removals = ((f"{version}.{n}", removal(jid)) for n, jid in enumerate(changes.removed, 1))
            changed = sorted(changes.items, key=lambda each: each.version)
            items = ((str(each.version), itemText(each)) for each in changed)
            beInterested(session)
            for number, text in (*removals, *items):
                if not session.over:
                    self._pushTo(session, queryBytes(number, (text,)))

        self.rosters.run(session.bare, work).addErrback(self._notCaughtUp, session)

    def _notCaughtUp(self, failure: Failure, session: ISession) -> None:
        """The store failed: the client has an old roster and does not know, so let it come back."""
        if failure.check(StoreUnavailable, StanzaError) is None:
            log.failure("telling {session} what changed failed", failure, session=session.full)
        session.end(StreamError(StreamCondition.RESET, "The roster could not be synchronised."))

    # --- set

    def set(self, request: Request) -> Deferred[None]:
        """A roster set (sections 2.3 to 2.5)."""
        session = request.session
        if session is None or not request.own:
            raise StanzaError(StanzaCondition.FORBIDDEN)
        items = list(request.payload.elements("item"))
        if len(items) != 1:
            raise StanzaError(StanzaCondition.BAD_REQUEST, "A roster set holds exactly one item.")
        asked = items[0]
        jid = parse(asked.get("jid") or self._noAddress()).full
        if jid == session.bare:
            raise StanzaError(StanzaCondition.NOT_ALLOWED, "Nobody is a contact of oneself.")
        if asked.get("subscription") == "remove":
            return self.rosters.run(session.bare, lambda roster: self._remove(roster, jid))
        name, groups = self._checked(asked)
        checkStorage(session, KIND, len(request.stanza.raw))
        return self.rosters.run(session.bare, lambda roster: self._set(roster, jid, name, groups))

    def _noAddress(self) -> str:
        raise StanzaError(StanzaCondition.BAD_REQUEST, "An item needs a jid.")

    def _checked(self, asked: Element) -> tuple[str, tuple[str, ...]]:
        """Name and groups of an item, within the limits of section 2.3.3."""
        name = asked.get("name") or ""
        groups = tuple(group.text for group in asked.elements("group"))
        if len(name) > LONGEST_NAME or len(groups) > MOST_GROUPS:
            raise StanzaError(StanzaCondition.NOT_ACCEPTABLE, "The name is too long, or there are too many groups.")
        if any(not group or len(group) > LONGEST_NAME for group in groups):
            raise StanzaError(StanzaCondition.NOT_ACCEPTABLE, "The name of a group is empty or too long.")
        if len(set(groups)) != len(groups):
            raise StanzaError(StanzaCondition.BAD_REQUEST, "A group is named twice.")
        return name, groups

    async def _set(self, roster: Roster, jid: str, name: str, groups: tuple[str, ...]) -> None:
        old = roster.item(jid)
        if not old.listed:
            self.checkRoom(roster)
        if not old.listed or old.name != name:
            await self._checkName(roster, jid, name)
        item = await self.rosters.put(roster, replace(old, name=name, groups=groups, listed=True))
        self.push(roster, item)

    async def _checkName(self, roster: Roster, jid: str, name: str) -> None:
        """
        Ask whether a contact may be called so. See C{hooks.naming}.

        @raise StanzaError: it may not.
        """
        for refuse in self.host.hooks.naming.refuse:
            error = refuse(roster.account, jid, name, roster.items)
            if isinstance(error, Deferred):
                error = await error
            if error is not None:
                raise error

    def checkRoom(self, roster: Roster) -> None:
        """
        @raise StanzaError: the roster is full.
        """
        limit = self.host.limits.rosterItems
        if len(roster.items) >= limit and sum(item.listed for item in roster.items.values()) >= limit:
            raise StanzaError(StanzaCondition.RESOURCE_CONSTRAINT, "The roster is full.")

    async def _remove(self, roster: Roster, jid: str) -> None:
        """Remove an item and cancel what there was between the two (section 2.5.2)."""
        item = roster.items.get(jid)
        if item is None or not item.listed:
            raise StanzaError(StanzaCondition.ITEM_NOT_FOUND)
        await self.rosters.remove(roster, jid)
        assert self.subscriptions is not None
        self.subscriptions.cancel(roster.account, item)
        self.pushRemoval(roster, jid)

    # --- push

    def push(self, roster: Roster, item: RosterItem) -> None:
        """Tell all interested resources of a changed item (section 2.1.6)."""
        self._pushText(roster, itemText(item))

    def pushRemoval(self, roster: Roster, jid: str) -> None:
        """Tell them of an item that is gone (section 2.5.2)."""
        self._pushText(roster, removal(jid))

    def _pushText(self, roster: Roster, text: str) -> None:
        payload = queryBytes(str(roster.version), (text,))
        for session in tuple(self.host.sessions.get(roster.account, {}).values()):
            if session.interested:
                self._pushTo(session, payload)

    def _pushTo(self, session: ISession, payload: bytes) -> None:
        attrs = {"type": "set", "id": self.host.entropy.token(), "from": session.bare, "to": session.full}
        session.deliver(Stanza("iq", f"{ns.CLIENT} iq", attrs, (QUERY,), join("iq", attrs, payload)))


def removal(jid: str) -> str:
    """A removed item as XML (section 2.5.2)."""
    return f"<item jid='{escapeAttribute(jid)}' subscription='remove'/>"
