"""
The restrictions of a host's guests, put together.

Each is registered in the host's own adapters for what only guests' sessions and accounts provide: a session of a user
with an account never meets any of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from zope.interface import implementer

from xmppd.ixmppd import (
    Ban,
    IAnonymousAccount,
    IAnonymousSession,
    IBindRestriction,
    IClientStream,
    IGuests,
    IHost,
    IReceiveRestriction,
    ISendRestriction,
    ISession,
    IStorageRestriction,
    StoreUnavailable,
)
from xmppd.restrict.bans import Bans
from xmppd.restrict.lifetime import Lifetime
from xmppd.restrict.nobody import Nobody
from xmppd.restrict.pace import Pace
from xmppd.restrict.places import Places
from xmppd.restrict.profiles import inForce
from xmppd.restrict.reach import Reach
from xmppd.restrict.recipients import Recipients
from xmppd.restrict.remote import Journal, RemoteIn, RemoteOut
from xmppd.restrict.resource import resources
from xmppd.restrict.rooms import Rooms
from xmppd.restrict.storage import storages
from xmppd.restrict.visits import Crowd, Visits, visitOf
from xmppd.wire.addresses import isAddress
from xmppd.wire.errors import SASLCondition, SASLError, StanzaCondition, StanzaError, StreamCondition, StreamError

log = Logger(namespace="xmppd.guests")

HOUR = 3600.0


@implementer(IGuests)
class Guests:
    """See L{IGuests}."""

    def __init__(self, host: IHost) -> None:
        """
        @raise ConfigurationError: the configuration of the guests contradicts itself.
        """
        self._host = host
        self.visits = Visits(host, inForce(host.config, host.limits.enabled))
        self._bans = Bans(host)
        self._lifetime = Lifetime(host, self.visits)

    @property
    def allowed(self) -> Any:
        """See L{IGuests}."""
        return self.visits.allowed

    def join(self) -> None:
        """Register every restriction; after all features have joined."""
        host, visits = self._host, self.visits
        places, seconds = Places(host), host.clock.seconds
        journal, nobody = Journal(host), Nobody()
        incoming = RemoteIn(host, visits, places, journal, nobody)
        sending = (
            Pace(visits, seconds),
            RemoteOut(visits, places, journal),
            Reach(visits, places, nobody),
            Recipients(visits, places, seconds),
            Rooms(visits, places),
        )
        host.adapters.subscribe(IAnonymousAccount, IBindRestriction, resources(host, visits))
        for restriction in sending:
            host.adapters.subscribe(IAnonymousSession, ISendRestriction, _shared(restriction))
        host.adapters.subscribe(IAnonymousSession, IReceiveRestriction, _shared(incoming))
        host.adapters.subscribe(IAnonymousSession, IStorageRestriction, storages(visits))
        incoming.join()
        hooks = host.hooks
        hooks.starting.addObserver(self._load)
        hooks.binding.addRefusal(self._refusesBinding)
        hooks.bound.addObserver(self._bound)
        hooks.resumed.addObserver(self._resumed)
        hooks.ended.addObserver(self._ended)
        hooks.stopping.addObserver(self._lifetime.stop)
        host.guests = self

    def reconfigure(self) -> None:
        """See L{IGuests}. A host whose door was shut keeps what its last guests may do."""
        if self._host.config.guests != "off":
            self.visits.restrict(inForce(self._host.config, self._host.limits.enabled))
            self._lifetime.reconfigure()

    # --- coming and going

    def refusal(self, address: str) -> SASLError | None:
        """See L{IGuests}."""
        ban = self._bans.holding(address)
        if ban is None:
            return None
        until = datetime.fromtimestamp(ban.expires, UTC).strftime("%Y-%m-%d %H:%M")
        return SASLError(SASLCondition.NOT_AUTHORIZED, f"Guests from your address are banned until {until} UTC.")

    def _load(self) -> Deferred[None]:
        return Deferred.fromCoroutine(self._bans.load())

    def _refusesBinding(self, stream: IClientStream, resource: str | None) -> StanzaError | None:
        """See C{hooks.binding}. Bans are asked for again: one may be younger than the login."""
        account = stream.account
        if account is None or not account.anonymous:
            return None
        if self._bans.holding(stream.address) is not None:
            return StanzaError(StanzaCondition.NOT_ALLOWED, "Guests from your address are banned.")
        return self.visits.refusesBinding(stream)

    def _bound(self, session: ISession) -> None:
        if session.account.anonymous and not session.over:
            self.visits.bound(session)
            self._lifetime.bound()

    def _resumed(self, session: ISession) -> None:
        if session.account.anonymous:
            self.visits.resumed(session)
            if session.stream is not None and self._bans.holding(session.stream.address) is not None:
                session.end(banned())

    def _ended(self, session: ISession) -> None:
        if session.account.anonymous:
            self.visits.ended(session)

    # --- bans

    def bans(self) -> Sequence[Ban]:
        """See L{IGuests}."""
        return self._bans.all()

    def ban(
        self, whom: str, by: str, reason: str = "", seconds: float | None = None, most: float | None = None
    ) -> Deferred[Ban]:
        """See L{IGuests}."""
        return Deferred.fromCoroutine(self._ban(whom, by, reason, seconds, most))

    async def _ban(self, whom: str, by: str, reason: str, seconds: float | None, most: float | None) -> Ban:
        crowd, guest = self._crowdOf(whom)
        if seconds is None:
            seconds = self.allowed.banHours * HOUR
        if most is not None:
            seconds = min(seconds, most)
        try:
            ban = await self._bans.add(crowd.key, seconds, by, guest, reason, moderating=most is not None)
        except StoreUnavailable:
            self._expel(crowd)
            raise
        log.info("guests banned: id={id} guest={guest} by={by!r} until={until}", id=ban.id, guest=guest, by=by,
                 until=int(ban.expires))
        self._expel(crowd)
        return ban

    def _crowdOf(self, whom: str) -> tuple[Crowd, str]:
        """The guests of an address, or of the address of a guest; and that guest's bare JID."""
        if isAddress(whom):
            return self.visits.crowd(whom), ""
        bare = whom.partition("/")[0]
        sessions = self._host.sessions.get(bare, {})
        for session in sessions.values():
            if session.account.anonymous:
                return visitOf(session).crowd, bare
        raise StanzaError(StanzaCondition.ITEM_NOT_FOUND, "There is no such guest.")

    def _expel(self, crowd: Crowd) -> None:
        """End all sessions of guests from an address."""
        for session in tuple(crowd.sessions):
            session.end(banned())

    def unban(self, id: str) -> Deferred[bool]:
        """See L{IGuests}."""
        return Deferred.fromCoroutine(self._bans.remove(id))


def banned() -> StreamError:
    """How the sessions of a banned guest end."""
    return StreamError(StreamCondition.POLICY_VIOLATION, "You are banned.")


def _shared(restriction: Any) -> Any:
    """A factory of adapters that answers the same one for every session."""
    return lambda session: restriction


def join(host: IHost) -> None:
    """
    Restrict the guests of a host, if it has any.

    @raise ConfigurationError: its configuration contradicts itself.
    """
    if host.config.guests != "off":
        Guests(host).join()
