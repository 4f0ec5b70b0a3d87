"""
One domain of users: its sessions, its responders, its door.

L{Host} is the L{IDestination} of its domain and what every feature joins. It knows who is bound, answers IQs for the
domain and for accounts (RFC 6120 section 10.5, RFC 6121 section 8.5), and binds resources (RFC 6120 section 7).
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Coroutine, Mapping
from pathlib import Path
from typing import Any, cast

from twisted.internet.defer import Deferred, FirstError, gatherResults, succeed
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import directlyProvides, implementedBy, implementer

from xmppd.adapters import Adapters
from xmppd.counters import Counters
from xmppd.hooks import Command, Disco, Hooks, Inline, Unanswered
from xmppd.ixmppd import (
    IAccount,
    IAnonymousSession,
    IBindRestriction,
    IBytestreams,
    IClientStream,
    IClock,
    ICustody,
    IDestination,
    IEntropy,
    IGuests,
    IHops,
    IHost,
    IInspection,
    IInvitations,
    INames,
    IPasswords,
    IPersonalNodes,
    IPresence,
    IReceiveRestriction,
    IRooms,
    IRouter,
    ISendRestriction,
    ISession,
    IStore,
    IStreamFeature,
    IWeb,
    Request,
    StoreUnavailable,
)
from xmppd.route.delivery import deliverMessage
from xmppd.route.ledger import Ledger
from xmppd.route.registrar import Registrar
from xmppd.route.router import privateRequest
from xmppd.route.sessions import Session
from xmppd.wire.element import Element
from xmppd.wire.errors import ErrorType, StanzaCondition, StanzaError, StreamCondition, StreamError
from xmppd.wire.jid import JID, JIDMalformed, parse, prepareResource
from xmppd.wire.stanza import ERROR, Stanza, fromBytes, join

log = Logger(namespace="xmppd.host")

KNOWN_ACCOUNTS = 10000
"""How many answers to "is there such an account" are remembered."""

WAITING = 1000
"""How many messages may wait for the answer about one account."""

Responder = Callable[[Request], Any]
Waiting = tuple[Stanza, JID, Deferred[None] | None]


@implementer(IHost, IDestination)
class Host:
    """See L{IHost} and L{IDestination}."""

    def __init__(
        self,
        domain: str,
        config: Any,
        limits: Any,
        router: IRouter,
        store: IStore,
        clock: IClock,
        entropy: IEntropy,
        options: Callable[[str, str], Any] = lambda feature, key: None,
    ) -> None:
        self.domain = domain
        self.config = config
        self.limits = limits
        self.router = router
        self.clock = clock
        self.entropy = entropy
        self.ledger = store if isinstance(store, Ledger) else Ledger(store, clock)
        self.ledger.domains.append(self)
        self.accounts = self.ledger.accounts
        self.rosters = self.ledger.rosters
        self.spool = self.ledger.spool
        self.facts = self.ledger.facts
        self.archives = self.ledger.archives
        self.pubsub = self.ledger.pubsub
        self.nameIndex = self.ledger.nameIndex
        self.hooks = Hooks()
        self.adapters = Adapters()
        self.identities: list[tuple[str, str, str]] = [("server", "im", "xmppd")] if config.table == "host" else []
        self.namespaces: set[str] = set()
        self.features: set[str] = set()
        self.watched: set[bytes] = set()
        self.accountNamespaces: set[str] = set()
        self.services: dict[str, str] = {}
        self.sessions: dict[str, dict[str, ISession]] = {}
        self.streamFeatures: list[IStreamFeature] = []
        self.elements: dict[str, Callable[[ISession, Stanza], None]] = {}
        self.commands: dict[str, Command] = {}
        self.inboxCommands: dict[str, Command] = {}
        self.private: dict[str, StanzaCondition] = {}
        self.presence = cast(IPresence, None)
        self.custody: Callable[[ISession, Stanza], ICustody] | None = None
        self.socketOptions: list[tuple[int, int, int]] = []
        self.unread: Callable[[ISession, bytes], Callable[[], None]] | None = None
        self._options = options
        self._responders: dict[tuple[str, str, str], Responder] = {}
        self._known: OrderedDict[str, bool] = OrderedDict()
        self._waiting: dict[str, list[Waiting]] = {}
        self._asked: dict[str, tuple[str, Deferred[Stanza]]] = {}
        self._admins = frozenset(config.admins)
        self.stopping = False
        self.inbox: Callable[[Stanza, JID], None] | None = None
        self.post: Callable[[Stanza], None] | None = None
        self.personal: IPersonalNodes | None = None
        self.rooms: IRooms | None = None
        self.disco = Disco()
        self.inline = Inline()
        self.passwords = cast(IPasswords, None)
        self.names = cast(INames, None)
        self.invitations: IInvitations | None = None
        self.lifecycle: Callable[[str, float], None] | None = None
        self.web: IWeb | None = None
        self.folder: Path | None = None
        self.counters = Counters()
        self.inspection: IInspection | None = None
        self.bytestreams: IBytestreams | None = None
        self.hops: IHops | None = None
        self.guests: IGuests | None = None
        self.guestless: set[str] = set()
        self.blank: set[str] = set()
        self.registrar = Registrar(self)
        self.hooks.registered.addObserver(lambda bare: self._remember(bare, True))
        self.hooks.removed.addObserver(self.vanished)

    # --- what features use

    def respond(self, target: str, type: str, name: str, responder: Responder) -> None:
        """See L{IHost}."""
        key = (target, type, name)
        if target not in ("host", "account") or type not in ("get", "set"):
            raise ValueError(f"nobody could ask {target} to {type}")
        if key in self._responders:
            raise ValueError(f"{target} {type} {name} is answered already")
        self._responders[key] = responder

    def addStreamFeature(self, feature: IStreamFeature) -> None:
        """See L{IHost}."""
        self.streamFeatures.append(feature)
        self.streamFeatures.sort(key=lambda each: each.rank)

    def addCommand(self, command: Command) -> None:
        """See L{IHost}."""
        if command.node in self.commands:
            raise ValueError(f"there is a command {command.node} already")
        self.commands[command.node] = command

    def reconfigure(self, config: Any, limits: Any) -> None:
        """Use another configuration from now on; features that keep values from theirs keep the old ones."""
        self.config = config
        self.limits = limits
        self._admins = frozenset(config.admins)

    def isAdmin(self, jid: JID) -> bool:
        """See L{IHost}."""
        return jid.bare in self._admins

    def option(self, feature: str, key: str) -> Any:
        """See L{IHost}."""
        return self._options(feature, key)

    def exists(self, bare: str) -> Deferred[bool]:
        """See L{IHost}."""
        if bare in self.sessions:
            return succeed(True)
        known = self._known.get(bare)
        if known is not None:
            return succeed(known)
        if self.ledger.isGone(bare):
            return succeed(False)
        asked = self.accounts.get(bare)
        return asked.addCallback(lambda record: self._learnt(bare, record is not None))

    def vanished(self, bare: str) -> None:
        """An account is gone: from now on nothing is kept for it, not even what its last sessions leave."""
        self._remember(bare, False)

    def _learnt(self, bare: str, exists: bool) -> bool:
        """The store's answer, unless the account has come or gone meanwhile."""
        known = self._known.get(bare)
        return self._remember(bare, exists) if known is None else known

    def _remember(self, bare: str, exists: bool) -> bool:
        self._known[bare] = exists
        self._known.move_to_end(bare)
        if len(self._known) > KNOWN_ACCOUNTS:
            self._known.popitem(last=False)
        return exists

    # --- the door

    def deliver(self, stanza: Stanza) -> None:
        """See L{IDestination}."""
        raw = stanza.attrs.get("to")
        to = parse(raw if raw is not None else stanza.attrs["from"])
        if raw is None:
            to = to.toBare()
        door = self.hooks.door
        if door.refuse and self._turnedAway(stanza):
            return
        for change in door.change:
            stanza = change(stanza)
        if to.local is None:
            self._forDomain(stanza, to)
        elif self.inbox is not None:
            self.inbox(stanza, to)
        elif stanza.kind == "presence":
            self.presence.arrived(stanza, to)
        else:
            self._forAccount(stanza, to)

    def _turnedAway(self, stanza: Stanza) -> bool:
        """Whether somebody at the door refuses a stanza; then it has been answered."""
        for refuses in self.hooks.door.refuse:
            error = refuses(stanza)
            if error is not None:
                if not isinstance(error, Unanswered):
                    self.router.bounce(stanza, error)
                return True
        return False

    def admit(self, stanza: Stanza, to: JID) -> None:
        """See L{IHost}."""
        if stanza.kind == "presence":
            self.presence.arrived(stanza, to)
        else:
            self._forAccount(stanza, to)

    def _forDomain(self, stanza: Stanza, to: JID) -> None:
        """For the server itself; a resource of the domain makes no difference (RFC 6120 section 10.5.1)."""
        if stanza.kind == "iq":
            self._request("host", stanza, to)
        elif self.post is not None:
            self.post(stanza)
        elif stanza.kind == "message" and stanza.attrs.get("type") != "error":
            self.router.bounce(stanza, StanzaError(StanzaCondition.SERVICE_UNAVAILABLE))

    def _forAccount(self, stanza: Stanza, to: JID) -> None:
        """For an account or one of its resources, addressed in a way the session table doesn't know."""
        session = self.router.session(to.full) if to.resource is not None else None
        if session is not None:
            cast(Any, self.router).routeTo(session, stanza)
        elif stanza.kind == "message":
            self._message(stanza, to)
        elif to.resource is None:
            self._request("account", stanza, to)
        elif self.private and privateRequest(self, stanza) is not None:
            self._answer(stanza, lambda: self._refuseAbsent(stanza, to.bare))
        else:
            self.router.bounce(stanza, StanzaError(StanzaCondition.SERVICE_UNAVAILABLE))

    async def _refuseAbsent(self, stanza: Stanza, bare: str) -> None:
        """Answer a private request for a resource that isn't there, to strangers as if it were."""
        sender = parse(stanza.attrs["from"]).bare
        state = await self.presence.subscription(bare, sender)
        known = sender == bare or state in ("from", "both")
        raise StanzaError((None if known else privateRequest(self, stanza)) or StanzaCondition.SERVICE_UNAVAILABLE)

    def _message(self, stanza: Stanza, to: JID) -> None:
        """
        Apply the delivery rules, in the order of arrival: while it is being looked up whether there is the account,
        what comes later waits behind (RFC 6120 section 10.1).
        """
        bare = to.bare
        waiting = self._waiting.get(bare)
        if waiting is not None:
            self._wait(waiting, stanza, to)
            return
        sessions = self.sessions.get(bare)
        known = True if sessions else self._known.get(bare)
        if known is not None:
            deliverMessage(self, stanza, bare, to.resource, tuple((sessions or {}).values()), known)
            return
        self._waiting[bare] = waiting = []
        self._wait(waiting, stanza, to)
        self.exists(bare).addCallbacks(self._answered, self._unanswered, callbackArgs=(bare,), errbackArgs=(bare,))

    def _wait(self, waiting: list[Waiting], stanza: Stanza, to: JID) -> None:
        """Queue a message; if it carries a promise, that has to wait too."""
        if len(waiting) >= WAITING:
            self.router.bounce(stanza, StanzaError(StanzaCondition.RESOURCE_CONSTRAINT))
            return
        done: Deferred[None] | None = None
        if stanza.promise is not None:
            done = Deferred()
            stanza.promise.append(done)
        waiting.append((stanza, to, done))

    def _answered(self, exists: bool, bare: str) -> None:
        """It is known whether there is the account: deliver what waited."""
        for stanza, to, done in self._waiting.pop(bare, []):
            sessions = tuple(self.sessions.get(bare, {}).values())
            deliverMessage(self, stanza, bare, to.resource, sessions, exists)
            if done is not None:
                done.callback(None)

    def _unanswered(self, failure: Failure, bare: str) -> None:
        """The store failed: what waited is answered with wait/resource-constraint and not lost silently."""
        if failure.check(StoreUnavailable) is None:
            log.failure("looking up an account failed", failure)
        for stanza, _, done in self._waiting.pop(bare, []):
            self.router.bounce(stanza, StanzaError(StanzaCondition.RESOURCE_CONSTRAINT))
            if done is not None:
                done.callback(None)

    # --- IQs

    def request(self, stanza: Stanza, to: JID) -> None:
        """See L{IHost}."""
        self._request("account", stanza, to)

    def _request(self, target: str, stanza: Stanza, to: JID) -> None:
        """Answer a request, or take the answer to one of ours."""
        type = stanza.attrs.get("type")
        if type in ("result", "error"):
            self._takeAnswer(stanza)
            return
        if type not in ("get", "set") or len(stanza.childNames) != 1:
            self.router.bounce(stanza, StanzaError(StanzaCondition.BAD_REQUEST))
            return
        responder = self._responders.get((target, type, stanza.childNames[0]))
        if responder is None:
            other = (target, "set" if type == "get" else "get", stanza.childNames[0])
            condition = (
                StanzaCondition.BAD_REQUEST if other in self._responders else StanzaCondition.SERVICE_UNAVAILABLE
            )
            self.router.bounce(stanza, StanzaError(condition))
            return
        sender = parse(stanza.attrs["from"])
        session = self.router.session(sender.full)
        own = session is not None and session.bare == to.bare
        request = Request(stanza, sender, to, session, own)
        if target == "account" and not own and self.hooks.asked.refuse:
            self._answer(stanza, lambda: self._answerOthers(request, responder))
        else:
            self._answer(stanza, lambda: responder(request))

    async def _answerOthers(self, request: Request, responder: Responder) -> Any:
        """Answer for an account if it may be asked."""
        for refuse in self.hooks.asked.refuse:
            error = refuse(request)
            if isinstance(error, Deferred):
                error = await error
            if error is not None:
                raise error
        answer = responder(request)
        return await answer if isinstance(answer, Deferred | Coroutine) else answer

    def _answer(self, stanza: Stanza, respond: Callable[[], Any]) -> None:
        """Answer a request, now or later."""
        try:
            answer = respond()
        except StanzaError as error:
            self.router.bounce(stanza, error)
        except Exception:
            self._mistake(Failure(), stanza)
        else:
            if isinstance(answer, Coroutine):
                answer = Deferred.fromCoroutine(answer)
            if isinstance(answer, Deferred):
                settled = answer.addCallbacks(
                    self._result, self._refused, callbackArgs=(stanza,), errbackArgs=(stanza,)
                )
                if stanza.promise is not None:
                    stanza.promise.append(settled)
                self._suspend(stanza, settled)
            else:
                self._result(answer, stanza)

    def _suspend(self, stanza: Stanza, settled: Deferred[None]) -> None:
        """
        What a client sends behind a request may depend on that (a presence on whom it has just blocked), and waits for
        the answer (RFC 6120 section 10.1).
        """
        session = self.router.session(stanza.attrs["from"])
        if session is not None and session.stream is not None:
            session.stream.waitFor(settled)

    def _result(self, payload: Element | bytes | None, stanza: Stanza) -> None:
        self.router.route(stanza.result(payload))

    def _refused(self, failure: Failure, stanza: Stanza) -> None:
        if isinstance(failure.value, StanzaError):
            self.router.bounce(stanza, failure.value)
        elif failure.check(StoreUnavailable):
            self.router.bounce(
                stanza, StanzaError(StanzaCondition.RESOURCE_CONSTRAINT, "The database is not available.")
            )
        else:
            self._mistake(failure, stanza)

    def _mistake(self, failure: Failure, stanza: Stanza) -> None:
        log.failure("answering {name} failed", failure, name=stanza.childNames[0])
        self.router.bounce(stanza, StanzaError(StanzaCondition.INTERNAL_SERVER_ERROR))

    def ask(self, to: str, type: str, payload: bytes, seconds: float = 30.0) -> Deferred[Stanza]:
        """See L{IHost}."""
        id = self.entropy.token()
        answer: Deferred[Stanza] = Deferred(lambda _: None)
        attrs = {"type": type, "id": id, "from": self.domain, "to": to}
        self._asked[id] = (to, answer)
        timeout = self.clock.callLater(seconds, self._noAnswer, id)

        def answered(result: Any) -> Any:
            self._asked.pop(id, None)
            if timeout.active():
                timeout.cancel()
            return result

        answer.addBoth(answered)
        self.router.route(fromBytes(join("iq", attrs, payload)))  # to another host of ours, too, which wants its name
        return answer

    def _noAnswer(self, id: str) -> None:
        waiting = self._asked.pop(id, None)
        if waiting is not None:
            waiting[1].errback(StanzaError(StanzaCondition.REMOTE_SERVER_TIMEOUT))

    def _takeAnswer(self, stanza: Stanza) -> None:
        """A result or an error: ours if id and sender match, and nobody's else."""
        waiting = self._asked.get(stanza.attrs.get("id", ""))
        if waiting is None or waiting[0] != stanza.attrs.get("from"):
            return
        if stanza.attrs["type"] == "result":
            waiting[1].callback(stanza)
        else:
            waiting[1].errback(
                StanzaError(StanzaCondition.UNDEFINED_CONDITION, "The answer was an error.", errorTypeOf(stanza))
            )

    # --- binding

    def bind(self, stream: IClientStream, resource: str | None) -> Deferred[ISession]:
        """See L{IHost}."""
        return Deferred.fromCoroutine(self._bind(stream, resource))

    async def _bind(self, stream: IClientStream, resource: str | None) -> ISession:
        account = stream.account
        assert account is not None
        if not account.anonymous:
            return await self._bindFor(stream, account, resource)
        bare = account.jid.bare
        if self.ledger.isGone(bare):
            raise StanzaError(StanzaCondition.NOT_ALLOWED, "This guest has gone.")
        self.ledger.arrived(bare, self)
        try:
            return await self._bindFor(stream, account, resource)
        finally:  # until now a guest whose session was replaced hadn't gone
            self.ledger.settled(bare)
            if bare not in self.sessions:
                self.ledger.departed(bare)

    async def _bindFor(self, stream: IClientStream, account: IAccount, resource: str | None) -> ISession:
        resource = self._allowedResource(stream, resource)
        bare = account.jid.bare
        full = self._freeResource(bare, resource)
        if account.anonymous and getattr(account, "fresh", False) and bare not in self.sessions:
            self.blank.add(bare)
        try:
            await self._load(bare)
        finally:
            self.blank.discard(bare)
        while self._lost(full):
            full = self._freeResource(bare, resource)
            await self._load(bare)
        return self._seat(Session(self, account, full, stream))

    def _lost(self, full: JID) -> bool:
        """Whether somebody else has bound the resource, or the last there was, while the account was loaded."""
        there = self.sessions.get(full.bare, {})
        return full.resource in there or len(there) >= self.limits.resourcesPerAccount

    async def _load(self, bare: str) -> None:
        """Wait for what features have to read before a session of the account is visible."""
        if self.hooks.loading.observe:
            loads = [load(bare) for load in self.hooks.loading.observe]
            waits = [each for each in loads if isinstance(each, Deferred) and not each.called]
            failed = [each for each in loads if isinstance(each, Deferred) and each.called]
            try:
                await gatherResults([*waits, *failed], consumeErrors=True)
            except FirstError as error:
                error.subFailure.raiseException()

    def revive(self, account: IAccount, resource: str, kept: Mapping[str, Any]) -> Deferred[ISession]:
        """See L{IHost}."""
        return Deferred.fromCoroutine(self._revive(account, resource, kept))

    async def _revive(self, account: IAccount, resource: str, kept: Mapping[str, Any]) -> ISession:
        bare = account.jid.bare
        await self._load(bare)
        if resource in self.sessions.get(bare, {}):
            raise StanzaError(StanzaCondition.CONFLICT, "The resource is in use.")
        session = Session(self, account, account.jid.withResource(resource), None)
        session.slots["kept"] = dict(kept)
        return self._seat(session)

    def _seat(self, session: Session) -> Session:
        """Make a new session known to everybody."""
        if session.account.anonymous:
            directlyProvides(session, IAnonymousSession, implementedBy(Session))
        self._restrict(session)
        self.sessions.setdefault(session.bare, {})[session.jid.resource or ""] = session
        cast(Any, self.router).table[session.full] = session
        self.hooks.bound.notify(session)
        session.refresh()
        return session

    def _allowedResource(self, stream: IClientStream, resource: str | None) -> str | None:
        """The resource to use as hooks and the account's restrictions have it; None for a server-made one."""
        hook = self.hooks.binding
        for refuse in hook.refuse:
            error = refuse(stream, resource)
            if error is not None:
                raise error
        for change in hook.change:
            resource = change(stream, resource)
        for restriction in self.adapters.subscribers(stream.account, IBindRestriction):
            resource = restriction.resourceFor(resource)
        if resource is None:
            return None
        try:
            return prepareResource(resource)
        except JIDMalformed as error:
            raise StanzaError(StanzaCondition.BAD_REQUEST, error.text) from error

    def _freeResource(self, bare: str, resource: str | None) -> JID:
        """The full JID to bind, after the conflict policy has been applied (RFC 6120 section 7.7.2.2)."""
        there = self.sessions.get(bare, {})
        old = there.get(resource) if resource is not None else None
        if old is None and len(there) >= self.limits.resourcesPerAccount and not self._endHibernating(there):
            raise StanzaError(StanzaCondition.RESOURCE_CONSTRAINT, "Too many resources of this account are connected.")
        if old is not None:
            if self.config.resourceConflict == "refuse":
                raise StanzaError(StanzaCondition.CONFLICT, "The resource is in use.")
            if self.config.resourceConflict == "rename":
                resource = None
            else:
                old.end(StreamError(StreamCondition.CONFLICT, "Replaced by a new connection."))
        if resource is None:
            resource = self.entropy.token()
        return parse(bare).withResource(resource)

    def _endHibernating(self, there: Mapping[str, ISession]) -> bool:
        """End the session that has waited longest among those without a stream; answers whether there is one."""
        for session in there.values():
            if session.stream is None:
                session.end()
                return True
        return False

    def _restrict(self, session: Session) -> None:
        """Look up what restricts this session, once."""
        for restriction in self.adapters.subscribers(session, ISendRestriction):
            session.addSendRefusal(restriction.refuses)
        for restriction in self.adapters.subscribers(session, IReceiveRestriction):
            session.addReceiveRefusal(restriction.refuses)

    def unbind(self, session: ISession) -> None:
        """Take an ended session out of the tables."""
        table = cast(Any, self.router).table
        if table.get(session.full) is session:
            del table[session.full]
        there = self.sessions.get(session.bare, {})
        if there.get(session.jid.resource or "") is session:
            del there[session.jid.resource or ""]
            if not there:
                del self.sessions[session.bare]

    def departed(self, session: ISession) -> None:
        """A session is over, and everybody has been told."""
        if session.account.anonymous and session.bare not in self.sessions:
            self.ledger.departed(session.bare)


def errorTypeOf(stanza: Stanza) -> ErrorType:
    """What an error's sender says may be done about it; by default nothing (RFC 6120 section 8.3.2)."""
    error = stanza.find(ERROR)
    type = error.get("type") if error is not None else None
    return ErrorType(type) if type in set(ErrorType) else ErrorType.CANCEL
