"""
What users want archived (XEP-0441).

Theory of operation: few users ever say anything about it. The bare JIDs of those who have are in memory from the start;
what they said is loaded before a session of theirs is visible, and dropped behind the last. For an account without
sessions it is asked for when a message comes.

Where an address stands in both lists, the more precise entry counts; if they are the same, C{never} does.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Final

from twisted.internet.defer import Deferred

from xmppd.ixmppd import IHost, ISession, Request
from xmppd.wire import ns
from xmppd.wire.element import Element
from xmppd.wire.errors import StanzaCondition, StanzaError
from xmppd.wire.jid import JID, parse

KIND: Final = "archive-preferences"
PREFS: Final = f"{ns.ARCHIVE} prefs"
DEFAULTS: Final = ("always", "never", "roster")

MOST: Final = 500
"""How many addresses the lists of one account may have."""

MOST_OCTETS: Final = 65_536


@dataclass(frozen=True, slots=True)
class Preferences:
    """
    What one user wants.

    @ivar default: for everybody else: "always", "never" or "roster".
    @ivar always: canonical addresses.
    @ivar never: canonical addresses.
    """

    default: str
    always: frozenset[str] = frozenset()
    never: frozenset[str] = frozenset()

    def wants(self, peer: JID) -> bool | None:
        """Whether messages from or to somebody are archived; None: if the roster has him (section 2.3)."""
        for address in (peer.full, peer.bare):
            if address in self.never:
                return False
            if address in self.always:
                return True
        return None if self.default == "roster" else self.default == "always"

    def toElement(self) -> Element:
        """The C{<prefs/>} (section 2.1)."""
        lists = tuple(
            Element(name, ns.ARCHIVE, {}, tuple(Element("jid", ns.ARCHIVE, {}, (jid,)) for jid in sorted(jids)))
            for name, jids in (("always", self.always), ("never", self.never))
        )
        return Element("prefs", ns.ARCHIVE, {"default": self.default}, lists)

    def toBytes(self) -> bytes:
        """For the store."""
        kept = {"default": self.default, "always": sorted(self.always), "never": sorted(self.never)}
        return json.dumps(kept).encode()


def fromBytes(data: bytes) -> Preferences:
    """
    What L{Preferences.toBytes} wrote.

    @raise ValueError: it is nothing of the kind.
    """
    kept = json.loads(data)
    try:
        if kept["default"] not in DEFAULTS:
            raise ValueError("no such default")
        return Preferences(kept["default"], frozenset(kept["always"]), frozenset(kept["never"]))
    except (KeyError, TypeError) as error:
        raise ValueError("no preferences") from error


def fromElement(element: Element) -> Preferences:
    """
    What a client asks for.

    @raise StanzaError: bad-request, jid-malformed, or resource-constraint if the lists are too long.
    """
    default = element.get("default")
    if default not in DEFAULTS:
        raise StanzaError(StanzaCondition.BAD_REQUEST, "The default is always, never or roster.")
    assert default is not None
    lists: dict[str, frozenset[str]] = {}
    for name in ("always", "never"):
        found = element.find(name)
        texts = [jid.text for jid in found.elements("jid")] if found is not None else []
        if len(texts) > MOST:
            raise StanzaError(StanzaCondition.RESOURCE_CONSTRAINT, f"A list may have {MOST} addresses.")
        lists[name] = frozenset(parse(text).full for text in texts)
    preferences = Preferences(default, lists["always"], lists["never"])
    if len(preferences.toBytes()) > MOST_OCTETS:
        raise StanzaError(StanzaCondition.RESOURCE_CONSTRAINT, "These lists are too long.")
    return preferences


class AllPreferences:
    """The preferences of the accounts of a host."""

    def __init__(self, host: IHost, default: str) -> None:
        self._host = host
        self._default = Preferences(default)
        self._having: set[str] = set()
        self._loaded: dict[str, Preferences] = {}
        self.plain = default == "always"

    # --- which are in memory

    async def start(self) -> None:
        """Learn who has any."""
        self._having.update(await self._host.facts.owners(KIND, self._host.domain))

    def loading(self, account: str) -> Deferred[Any] | None:
        """A session is about to be bound. See C{hooks.loading}."""
        if account not in self._having or account in self._loaded:
            return None
        return Deferred.fromCoroutine(self._keep(account))

    async def _keep(self, account: str) -> None:
        self._loaded[account] = await self._read(account)

    def ended(self, session: ISession) -> None:
        """A session is over."""
        if session.bare in self._loaded and session.bare not in self._host.sessions:
            del self._loaded[session.bare]

    def removed(self, account: str) -> None:
        """An account is gone."""
        self._having.discard(account)
        self._loaded.pop(account, None)

    async def _read(self, account: str) -> Preferences:
        if account in self._loaded:
            return self._loaded[account]
        if account not in self._having:
            return self._default
        data = await self._host.facts.get(account, KIND, "")
        if data is None:
            return self._default
        try:
            return fromBytes(data)
        except ValueError:
            return Preferences("never")  # somebody has said something, and it can't be read: archive nothing

    # --- what they say

    def wants(self, account: str, peer: JID) -> bool | None:
        """Whether a message from or to C{peer} is archived; None if that has to be looked up. Per message."""
        preferences = self._loaded.get(account)
        if preferences is None:
            if account in self._having:
                return None
            if self.plain:
                return True
            preferences = self._default
        wanted = preferences.wants(peer)
        return self._host.presence.lists(account, peer.bare) if wanted is None else wanted

    async def look(self, account: str, peer: JID) -> bool:
        """The same, for an account without sessions. Fails with L{StoreUnavailable<xmppd.ixmppd.StoreUnavailable>}."""
        wanted = (await self._read(account)).wants(peer)
        if wanted is None:
            roster = await self._host.rosters.get(account)
            wanted = any(item.listed and item.jid == peer.bare for item in roster.items)
        return wanted

    # --- asking and saying

    async def get(self, request: Request) -> Element:
        """Section 2.1."""
        self._check(request)
        return (await self._read(request.target.bare)).toElement()

    async def set(self, request: Request) -> Element:
        """Section 2.1: answers what holds from now on."""
        self._check(request)
        account = request.target.bare
        preferences = fromElement(request.payload)
        await self._host.facts.put(account, KIND, "", preferences.toBytes())
        self._having.add(account)
        if account in self._host.sessions:
            self._loaded[account] = preferences
        return preferences.toElement()

    def _check(self, request: Request) -> None:
        if not request.own or request.session is None or request.session.account.anonymous:
            raise StanzaError(StanzaCondition.FORBIDDEN)
