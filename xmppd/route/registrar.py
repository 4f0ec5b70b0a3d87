"""
Makes, changes and removes the accounts of a host, the same way whoever asks (XEP-0077, XEP-0133, xmppctl).

Theory of operation: the store is asked first, and only what it has done is told to others. An account that is removed
is in the ledger first, so that a crash can't leave half of it; then all features take leave of it, and in the end the
store forgets it. A login that was under way
while its account was removed or disabled would bind afterwards; a bounded list of such accounts ends these sessions at
the moment they are bound.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, cast

from twisted.internet.defer import Deferred
from zope.interface import implementer

from xmppd.ixmppd import (
    Departure,
    Exists,
    IHost,
    IRegistrar,
    ISession,
    Missing,
    NameRecord,
    NameVerdict,
    Request,
    Resembles,
)
from xmppd.naming import ALLOW, REFUSE
from xmppd.wire.errors import StanzaCondition, StanzaError, StreamCondition, StreamError
from xmppd.wire.jid import JIDMalformed, fromParts, prepareLocal
from xmppd.wire.stanza import Stanza

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Sequence
    from typing import Any

    from xmppd.route.host import Host

BARRED = 10_000
"""How many removed or disabled accounts are remembered until their last logins must have come to an end."""


@implementer(IRegistrar)
class Registrar:
    """See L{IRegistrar}."""

    def __init__(self, host: IHost) -> None:
        self._host = host
        self._barred: OrderedDict[str, None] = OrderedDict()
        host.hooks.bound.addObserver(self._bound)
        host.hooks.registered.addObserver(self._admit)

    # --- logins that come too late

    def _bar(self, bare: str) -> None:
        self._barred[bare] = None
        if len(self._barred) > BARRED:
            self._barred.popitem(last=False)

    def _admit(self, bare: str) -> None:
        self._barred.pop(bare, None)

    def _bound(self, session: ISession) -> None:
        """A login that had begun before its account was removed or disabled ends here."""
        if session.bare in self._barred:
            session.end(StreamError(StreamCondition.NOT_AUTHORIZED))

    # --- accounts

    def prepare(self, username: str) -> str:
        """See L{IRegistrar}."""
        try:
            return fromParts(prepareLocal(username), self._host.domain, None).bare
        except JIDMalformed as error:
            raise StanzaError(StanzaCondition.NOT_ACCEPTABLE, error.text) from error

    def create(
        self, username: str, password: str, request: Request | None = None, by: str = "", anyway: bool = False
    ) -> Deferred[str]:
        """See L{IRegistrar}."""
        return Deferred.fromCoroutine(self._create(username, password, request, by, anyway))

    async def _create(self, username: str, password: str, request: Request | None, by: str, anyway: bool) -> str:
        host = self._host
        bare = self.prepare(username)
        local = bare.rpartition("@")[0]
        for refuse in host.hooks.registering.refuse:
            error = refuse(request, local)
            if error is not None:
                raise error
        verdict = await self._judged(local, by, anyway)
        keys = await host.passwords.derive(password)
        distinct = not anyway and host.names.action("account") == REFUSE
        try:
            await host.accounts.create(bare, keys, host.clock.seconds(), distinct)
        except Resembles as error:  # it has come while the keys were made
            raise self._refusal(host.names.judge("account", local, error.names, bool(by)), by) from None
        except Exists:
            raise StanzaError(StanzaCondition.CONFLICT, "There is an account by that name.") from None
        host.names.note(verdict, by=by, overridden=anyway and verdict.refused, account=bare)
        host.hooks.registered.notify(bare)
        return bare

    def check(self, username: str, by: str = "", anyway: bool = False) -> Deferred[str]:
        """See L{IRegistrar}."""
        return Deferred.fromCoroutine(self._check(username, by, anyway))

    async def _check(self, username: str, by: str, anyway: bool) -> str:
        local = self.prepare(username).rpartition("@")[0]
        await self._judged(local, by, anyway)
        return local

    async def _judged(self, local: str, by: str, anyway: bool) -> NameVerdict:
        """What is to be said about a name for an account (XEP-0165); raises what refuses it."""
        host = self._host
        if await host.accounts.get(f"{local}@{host.domain}") is not None:
            raise StanzaError(StanzaCondition.CONFLICT, "There is an account by that name.")
        alike: Sequence[NameRecord] = ()
        if host.names.action("account") != ALLOW:
            alike = await host.nameIndex.alike("account", host.domain, local)
        verdict = host.names.judge("account", local, [each.name for each in alike], bool(by))
        if verdict.refused and not anyway:
            raise self._refusal(verdict, by)
        return verdict

    def _refusal(self, verdict: NameVerdict, by: str) -> StanzaError:
        """An account isn't made because of its name; administrators are told which others it looks like."""
        self._host.names.note(verdict, by=by)
        return self._host.names.error(verdict, (lambda name: True) if by else None)

    def setPassword(self, bare: str, password: str) -> Deferred[None]:
        """See L{IRegistrar}."""
        return self._known(self._setPassword, bare, password)

    async def _setPassword(self, bare: str, password: str) -> None:
        keys = await self._host.passwords.derive(password)
        await self._host.accounts.setKeys(bare, keys)
        self._host.hooks.rekeyed.notify(bare)

    def setDisabled(self, bare: str, disabled: bool) -> Deferred[None]:
        """See L{IRegistrar}."""
        return self._known(self._setDisabled, bare, disabled)

    async def _setDisabled(self, bare: str, disabled: bool) -> None:
        await self._host.accounts.setDisabled(bare, disabled)
        if disabled:
            self._bar(bare)
            self.endSessions(bare)
        else:
            self._admit(bare)

    def _known(
        self, act: Callable[..., Coroutine[Deferred[Any], Any, None]], bare: str, *arguments: object
    ) -> Deferred[None]:
        """Act on an account of this host; whoever isn't there is not found."""

        async def acting() -> None:
            try:
                if bare.rpartition("@")[2] != self._host.domain:
                    raise Missing(bare)
                await act(bare, *arguments)
            except Missing:
                raise StanzaError(StanzaCondition.ITEM_NOT_FOUND, "There is no such account.") from None

        return Deferred.fromCoroutine(acting())

    def remove(self, bare: str, last: ISession | None = None) -> Deferred[None]:
        """See L{IRegistrar}."""
        return self._known(self._remove, bare, last)

    async def _remove(self, bare: str, last: ISession | None) -> None:
        host = self._host
        if await host.accounts.get(bare) is None:
            raise Missing(bare)
        await host.ledger.leaves(bare)  # from now on the next start would do it
        cast("Host", host).vanished(bare)  # before its sessions leave messages: they would be for the name's next owner
        self._bar(bare)
        self.endSessions(bare, spare=last)
        await host.ledger.farewell(Departure(bare, guest=False))
        await host.accounts.remove(bare)
        host.hooks.removed.notify(bare)
        if last is not None:
            last.addSendRefusal(_gone)
            host.clock.callLater(0, self.endSessions, bare)

    def endSessions(self, bare: str, resource: str | None = None, spare: ISession | None = None) -> int:
        """See L{IRegistrar}; C{spare} goes on."""
        there = self._host.sessions.get(bare, {})
        ending = [
            session
            for name, session in list(there.items())
            if session is not spare and (resource is None or name == resource)
        ]
        for session in ending:
            session.end(StreamError(StreamCondition.NOT_AUTHORIZED))
        return len(ending)


def _gone(session: ISession, stanza: Stanza) -> StanzaError:
    """What the last session of a removed account asks for would be kept for the name's next owner."""
    return StanzaError(StanzaCondition.NOT_AUTHORIZED, "The account is gone.")
