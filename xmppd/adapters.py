"""
A registry of adapters per host, with types.

Restrictions are subscription adapters: registered for a marker (L{xmppd.ixmppd.IAnonymousSession}), found once when a
session is bound, and kept as bound methods. Nothing is registered process-wide.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from zope.interface import Interface, providedBy
from zope.interface.adapter import AdapterRegistry

from xmppd.ixmppd import ISendRestriction, ISession, IStorageRestriction
from xmppd.wire.errors import StanzaError
from xmppd.wire.stanza import Stanza


class Adapters:
    """The adapters of one host."""

    def __init__(self) -> None:
        self._registry: Any = AdapterRegistry()

    def register(self, required: type[Interface], provided: type[Interface], factory: Callable[[Any], Any]) -> None:
        """
        Adapt objects that provide C{required} to C{provided}.

        @raise ValueError: there is an adapter for exactly this already.
        """
        if self._registry.registered([required], provided) is not None:
            raise ValueError(f"{required.__name__} is adapted to {provided.__name__} already")
        self._registry.register([required], provided, "", factory)

    def adapt(self, adapted: object, provided: type[Interface]) -> Any | None:
        """The adapter of an object, or None."""
        factory = self._registry.lookup1(providedBy(adapted), provided)
        return None if factory is None else factory(adapted)

    def subscribe(self, required: type[Interface], provided: type[Interface], factory: Callable[[Any], Any]) -> None:
        """Add one more subscription adapter for objects that provide C{required}."""
        self._registry.subscribe([required], provided, factory)

    def subscribers(self, adapted: object, provided: type[Interface]) -> list[Any]:
        """Make all subscription adapters of an object, those for general markers first."""
        factories = self._registry.subscriptions([providedBy(adapted)], provided)
        made = [factory(adapted) for factory in factories]
        return [adapter for adapter in made if adapter is not None]


def checkStorage(session: ISession | None, kind: str, size: int) -> None:
    """
    Ask what restricts a session before something is stored on its user's behalf, wherever that is.

    @param session: None for users of other servers, whom others restrict.
    @param kind: one of L{xmppd.guesting.STORED}.
    @param size: in octets.
    @raise StanzaError: it may not be stored.
    """
    if session is not None:
        for restriction in session.host.adapters.subscribers(session, IStorageRestriction):
            error = restriction.refuses(kind, size)
            if error is not None:
                raise error


def sendingRefusal(session: ISession | None, stanza: Stanza) -> StanzaError | None:
    """
    Ask what restricts a session before a service sends something to somebody because the session's user wants it to,
    with words of the user's: an invitation. It counts like a stanza that the user sends there.

    @param session: None for users of other servers, whom others restrict.
    @param stanza: what is to be sent.
    @return: why it may not be; L{Unanswered<xmppd.hooks.Unanswered>} if the answer comes by another way.
    """
    if session is not None:
        for restriction in session.host.adapters.subscribers(session, ISendRestriction):
            error: StanzaError | None = restriction.refuses(session, stanza)
            if error is not None:
                return error
    return None
