"""
Private XML storage (XEP-0049): a client's own XML fragments, by the name of their root element.

All fragments of an account together are bounded by C{limits.private_bytes}. Writes of one account happen one after
the other, since each has to measure what the former left. An empty element deletes its fragment.
"""

from __future__ import annotations

from twisted.internet.defer import DeferredLock

from xmppd.adapters import checkStorage
from xmppd.hooks import Feature, Spec
from xmppd.ixmppd import IHost, Request
from xmppd.wire import ns
from xmppd.wire.element import Element
from xmppd.wire.errors import StanzaCondition, StanzaError

QUERY = ns.PRIVATE + " query"
KIND = "private"


class PrivateStorage:
    """Keeps and gives back private XML."""

    def __init__(self, host: IHost) -> None:
        self._host = host
        self._locks: dict[str, DeferredLock] = {}

    async def get(self, request: Request) -> bytes:
        """The fragment by that name, or the empty element itself (section 2.3)."""
        bare = _owner(request)
        asked = tuple(request.payload.elements())
        if len(asked) != 1:
            raise StanzaError(StanzaCondition.BAD_REQUEST, "Ask for one element.")
        _checkNamespaces(asked)
        stored = await self._host.facts.get(bare, KIND, asked[0].qname)
        return _wrapped(stored if stored is not None else Element(asked[0].name, asked[0].ns).toBytes(ns.PRIVATE))

    async def set(self, request: Request) -> None:
        """Store fragments in place of those by the same names (section 2.3)."""
        bare = _owner(request)
        fragments = _byName(request.payload)
        size = sum(map(len, fragments.values()))
        checkStorage(request.session, KIND, size)
        lock = self._locks.setdefault(bare, DeferredLock())
        await lock.acquire()
        try:
            await self._store(bare, fragments)
        finally:
            lock.release()
            if not lock.locked and self._locks.get(bare) is lock:
                del self._locks[bare]
        await self._host.hooks.stored.settle(request, KIND, tuple(request.payload.elements()))

    async def _store(self, bare: str, fragments: dict[str, bytes]) -> None:
        facts = dict(await self._host.facts.all(bare, KIND))
        facts.update(fragments)
        facts = {name: fragment for name, fragment in facts.items() if fragment}
        if sum(len(name.encode()) + len(fragment) for name, fragment in facts.items()) > self._host.limits.privateBytes:
            most = self._host.limits.privateBytes
            raise StanzaError(StanzaCondition.POLICY_VIOLATION, f"An account may keep {most} octets of private XML.")
        for name, fragment in fragments.items():
            if fragment:
                await self._host.facts.put(bare, KIND, name, fragment)
            else:
                await self._host.facts.delete(bare, KIND, name)


def _owner(request: Request) -> str:
    """The bare JID whose storage it is: nobody else's (section 4)."""
    if not request.own:
        raise StanzaError(StanzaCondition.FORBIDDEN)
    return request.target.bare


def _checkNamespaces(elements: tuple[Element, ...]) -> None:
    """Each fragment has to have a namespace of its own (section 2.3)."""
    if any(element.ns in ("", ns.PRIVATE, ns.CLIENT) for element in elements):
        raise StanzaError(StanzaCondition.NOT_ACCEPTABLE, "The element needs a namespace of its own.")


def _byName(query: Element) -> dict[str, bytes]:
    """The fragments to store by name; no bytes for what is to be deleted."""
    elements = tuple(query.elements())
    if not any(isinstance(child, Element) for child in query.children):
        raise StanzaError(StanzaCondition.NOT_ACCEPTABLE, "There is nothing to store.")
    _checkNamespaces(elements)
    found: dict[str, bytes] = {}
    for element in elements:
        data = element.toBytes(ns.PRIVATE) if element.children or element.attrs else b""
        found[element.qname] = found.get(element.qname, b"") + data
    return found


def _wrapped(fragment: bytes) -> bytes:
    return f"<query xmlns='{ns.PRIVATE}'>".encode() + fragment + b"</query>"


def join(host: IHost) -> None:
    """Answer clients about their own accounts."""
    storage = PrivateStorage(host)
    host.respond("account", "get", QUERY, storage.get)
    host.respond("account", "set", QUERY, storage.set)


feature = Feature(
    name="xep0049_private",
    specs=(Spec("XEP-0049", "1.2"),),
    namespaces=(ns.PRIVATE,),
    accountNamespaces=(ns.PRIVATE,),
    join=join,
    needs="accounts",
)
