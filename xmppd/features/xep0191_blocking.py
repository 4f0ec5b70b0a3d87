"""
Blocking (XEP-0191): nothing passes between an account and those on its list, except among its own resources.

Theory of operation. The lists of accounts with sessions are in memory before the sessions are visible; those of others
are asked for when something comes for them, and a number of them is remembered. Sessions of accounts with an empty list
are not touched. The others get two refusals; presence, which the server sends on its own, is held back by a veto; and
the hooks C{undeliverable} and C{asked} cover what comes while nobody is there.

Blocking is polite (section 4): subscriptions stay, the blocked see the user as offline. A user's own server can't be
blocked, since its answers would be lost.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable
from typing import Any, Final

from twisted.internet.defer import Deferred, DeferredLock, succeed
from twisted.logger import Logger
from twisted.python.failure import Failure

from xmppd.adapters import checkStorage
from xmppd.hooks import Feature, Spec, Unanswered
from xmppd.ixmppd import IHost, ISession, Request, StoreUnavailable, VetoPredicate
from xmppd.wire import ns
from xmppd.wire.element import Element
from xmppd.wire.errors import ErrorType, StanzaCondition, StanzaError, StreamCondition, StreamError
from xmppd.wire.jid import JIDMalformed, parse
from xmppd.wire.stanza import Stanza
from xmppd.wire.stanza import join as joined

log = Logger(namespace="xmppd.blocking")

NAME: Final = "xep0191_blocking"
KIND: Final = "block"
BLOCK: Final = f"{ns.BLOCKING} block"
UNBLOCK: Final = f"{ns.BLOCKING} unblock"
BLOCKLIST: Final = f"{ns.BLOCKING} blocklist"

REMEMBERED: Final = 10000
"""How many lists of accounts without sessions are remembered."""

WAITING: Final = 1000
"""How many messages for an account may wait for its list."""

BLOCKED: Final = f"<blocked xmlns='{ns.BLOCKING_ERRORS}'/>".encode()

Jids = frozenset[str]


class BlockList:
    """
    Whom an account has blocked.

    @ivar jids: canonical addresses.
    @ivar lock: held while the list is being changed.
    """

    __slots__ = ("_host", "_own", "jids", "lock")

    def __init__(self, host: str, own: str, jids: Jids) -> None:
        self._host = host
        self._own = own
        self.jids = jids
        self.lock = DeferredLock()

    def matches(self, address: str) -> bool:
        """Whether an address is blocked: by itself, or as part of an account or a domain (section 6)."""
        jids = self.jids
        if not jids:
            return False
        try:
            jid = parse(address)
        except JIDMalformed:
            return False
        if jid.bare == self._own or jid.bare == self._host:
            return False
        return jid.full in jids or jid.bare in jids or jid.domain in jids


class Blocking:
    """The block lists of one host."""

    def __init__(self, host: IHost) -> None:
        self.host = host
        self._lists: dict[str, BlockList] = {}
        self._remembered: OrderedDict[str, Jids] = OrderedDict()
        self._waiting: dict[str, list[tuple[Stanza, Deferred[None] | None]]] = {}
        self._refused: Stanza | None = None

    # --- which lists are known

    def load(self, account: str) -> Deferred[Any] | None:
        """A session is about to be bound. See C{hooks.loading}."""
        if account in self.host.blank:
            self._remember(account, frozenset())
            return None
        return None if account in self._lists else self._fetch(account)

    def _fetch(self, account: str) -> Deferred[Jids]:
        return self.host.facts.all(account, KIND).addCallback(lambda facts: self._remember(account, frozenset(facts)))

    def _remember(self, account: str, jids: Jids) -> Jids:
        self._remembered[account] = jids
        self._remembered.move_to_end(account)
        if len(self._remembered) > REMEMBERED:
            self._remembered.popitem(last=False)
        return jids

    def _known(self, account: str) -> BlockList | None:
        """The list of an account, if it is known."""
        found = self._lists.get(account)
        if found is None and account in self._remembered:
            found = BlockList(self.host.domain, account, self._remembered[account])
        return found

    def bound(self, session: ISession) -> None:
        """A session is there: restrict it if its account has a list."""
        found = self._known(session.bare)
        if found is None:
            session.end(StreamError(StreamCondition.INTERNAL_SERVER_ERROR))  # fail closed
            return
        self._lists[session.bare] = found
        if found.jids:
            self._restrict(session)

    def ended(self, session: ISession) -> None:
        """With the last session, the list leaves."""
        if session.bare not in self.host.sessions:
            found = self._lists.pop(session.bare, None)
            if found is not None:
                self._remember(session.bare, found.jids)

    def removed(self, account: str) -> None:
        """An account is gone with its list; a session that may live on for a moment must not hand it on."""
        self._remembered.pop(account, None)
        if account in self._lists:
            self._lists[account].jids = frozenset()

    # --- what is held back

    def _restrict(self, session: ISession) -> None:
        session.addSendRefusal(self.refusesOut)
        session.addReceiveRefusal(self.refusesIn)

    def _unrestrict(self, session: ISession) -> None:
        session.removeRefusal(self.refusesOut)
        session.removeRefusal(self.refusesIn)

    def refusesOut(self, session: ISession, stanza: Stanza) -> StanzaError | None:
        """What the user sends to somebody blocked (section 3.3)."""
        to = stanza.attrs.get("to")
        found = self._lists.get(session.bare)
        if to is None or found is None or not found.matches(to):
            return None
        return StanzaError(StanzaCondition.NOT_ACCEPTABLE, None, ErrorType.CANCEL, BLOCKED)

    def refusesIn(self, session: ISession, stanza: Stanza) -> StanzaError | None:
        """What somebody blocked sends: messages and requests are answered, once; all else is dropped (section 3.3)."""
        sender = stanza.attrs.get("from")
        found = self._lists.get(session.bare)
        if sender is None or found is None or not found.matches(sender):
            return None
        if stanza.kind == "presence" or stanza is self._refused:
            return Unanswered(StanzaCondition.SERVICE_UNAVAILABLE)
        self._refused = stanza  # it may be on its way to several resources
        return StanzaError(StanzaCondition.SERVICE_UNAVAILABLE)

    def veto(self, account: str) -> VetoPredicate | Deferred[VetoPredicate | None] | None:
        """Between whom no presence may pass. See L{xmppd.ixmppd.IPresence.addVeto}."""
        known = self._known(account)
        if known is not None:
            return known.matches if known.jids else None
        return self._fetch(account).addCallback(lambda _: self._predicate(account))

    def _predicate(self, account: str) -> VetoPredicate | None:
        known = self._known(account)
        return known.matches if known is not None and known.jids else None

    def asked(self, request: Request) -> Deferred[StanzaError | None]:
        """Whether somebody may ask an account. See C{hooks.asked}."""
        sender = request.sender.full
        account = request.target.bare
        known = succeed(None) if self._known(account) is not None else self._fetch(account)

        def decide(_: Any) -> StanzaError | None:
            predicate = self._predicate(account)
            blocked = predicate is not None and predicate(sender)
            return StanzaError(StanzaCondition.SERVICE_UNAVAILABLE) if blocked else None

        return known.addCallback(decide)

    def undeliverable(self, stanza: Stanza, account: str) -> Stanza | None:
        """Whether a message may be kept for an account. See C{hooks.undeliverable}."""
        known = self._known(account)
        if known is not None:
            if not known.matches(stanza.attrs.get("from", "")):
                return stanza
            self.host.router.bounce(stanza, StanzaError(StanzaCondition.SERVICE_UNAVAILABLE))
            return None
        self._wait(stanza, account)
        return None

    def _wait(self, stanza: Stanza, account: str) -> None:
        """Let a message wait until the list is known; then it takes its way again, in order."""
        done: Deferred[None] | None = None
        if stanza.promise is not None:
            done = Deferred()
            stanza.promise.append(done)
        waiting = self._waiting.get(account)
        if waiting is None:
            self._waiting[account] = [(stanza, done)]
            self._fetch(account).addCallbacks(
                self._goOn, self._failed, callbackArgs=(account,), errbackArgs=(account,)
            )
        elif len(waiting) < WAITING:
            waiting.append((stanza, done))
        else:
            self._refuse(stanza, done)

    def _goOn(self, _: Jids, account: str) -> None:
        for stanza, done in self._waiting.pop(account):
            self.host.router.route(stanza)
            if done is not None:
                done.callback(None)

    def _failed(self, failure: Failure, account: str) -> None:
        if failure.check(StoreUnavailable) is None:
            log.failure("loading the block list of {account} failed", failure, account=account)
        for stanza, done in self._waiting.pop(account):
            self._refuse(stanza, done)

    def _refuse(self, stanza: Stanza, done: Deferred[None] | None) -> None:
        self.host.router.bounce(stanza, StanzaError(StanzaCondition.RESOURCE_CONSTRAINT))
        if done is not None:
            done.callback(None)

    # --- the commands

    def get(self, request: Request) -> Element:
        """The list (section 3.2); from now on the resource hears of changes."""
        session = self._own(request)
        session.slots.setdefault("kept", {})[NAME] = True
        return Element("blocklist", ns.BLOCKING, {}, _items(sorted(self._lists[session.bare].jids)))

    async def block(self, request: Request) -> None:
        """Put addresses on the list (section 3.3)."""
        session = self._own(request)
        jids = self._asked(request)
        if not jids:
            raise StanzaError(StanzaCondition.BAD_REQUEST, "Who is to be blocked?")
        checkStorage(session, KIND, sum(map(len, jids)))
        await self._change(session, lambda old: self._checked(old | frozenset(jids)))
        self._push(session.bare, Element("block", ns.BLOCKING, {}, _items(jids)))

    async def unblock(self, request: Request) -> None:
        """Take addresses off the list, or all (sections 3.4, 3.5)."""
        session = self._own(request)
        jids = self._asked(request)
        await self._change(session, lambda old: old - frozenset(jids) if jids else frozenset())
        self._push(session.bare, Element("unblock", ns.BLOCKING, {}, _items(jids)))

    def _own(self, request: Request) -> ISession:
        """
        The session that asks for its own account.

        @raise StanzaError: somebody else does.
        """
        if request.session is None or not request.own:
            raise StanzaError(StanzaCondition.SERVICE_UNAVAILABLE)
        return request.session

    def _asked(self, request: Request) -> list[str]:
        """The addresses in a command, each once, canonical."""
        jids: dict[str, None] = {}
        for item in request.payload.elements("item"):
            address = item.get("jid")
            if address is None:
                raise StanzaError(StanzaCondition.BAD_REQUEST, "An item needs a jid.")
            jids[parse(address).full] = None
        return list(jids)

    def _checked(self, jids: Jids) -> Jids:
        if len(jids) > self.host.limits.blockListItems:
            raise StanzaError(StanzaCondition.RESOURCE_CONSTRAINT, "The block list is full.")
        return jids

    async def _change(self, session: ISession, change: Callable[[Jids], Jids]) -> None:
        """Write the changed list, then let it take effect: nobody is told before it is durable."""
        account = session.bare
        found = self._lists[account]
        await found.lock.acquire()
        try:
            new = change(found.jids)
            if new != found.jids:
                await self.host.facts.replaceAll(account, KIND, dict.fromkeys(sorted(new), b""))
                self._apply(account, found.jids, new)
        finally:
            found.lock.release()

    def _apply(self, account: str, old: Jids, new: Jids) -> None:
        """Become unavailable for the newly blocked while presence still passes, available for the others after it."""
        domain, presence = self.host.domain, self.host.presence
        before, after = BlockList(domain, account, old), BlockList(domain, account, new)
        presence.conceal(account, lambda jid: after.matches(jid) and not before.matches(jid))
        if account in self._remembered:
            self._remembered[account] = new
        if account in self._lists:
            self._lists[account].jids = new
        if bool(old) != bool(new):
            for session in tuple(self.host.sessions.get(account, {}).values()):
                (self._restrict if new else self._unrestrict)(session)
        presence.reveal(account, lambda jid: before.matches(jid) and not after.matches(jid))

    def _push(self, account: str, element: Element) -> None:
        """Tell the resources that have asked for the list."""
        payload = element.toBytes()
        for session in tuple(self.host.sessions.get(account, {}).values()):
            if session.slots.get("kept", {}).get(NAME):
                attrs = {"type": "set", "id": self.host.entropy.token(), "from": account, "to": session.full}
                session.deliver(Stanza("iq", f"{ns.CLIENT} iq", attrs, (element.qname,), joined("iq", attrs, payload)))


def _items(jids: Iterable[str]) -> tuple[Element, ...]:
    return tuple(Element("item", ns.BLOCKING, {"jid": jid}) for jid in jids)


def join(host: IHost) -> None:
    """Let the users of a host block."""
    blocking = Blocking(host)
    host.respond("account", "get", BLOCKLIST, blocking.get)
    host.respond("account", "set", BLOCK, blocking.block)
    host.respond("account", "set", UNBLOCK, blocking.unblock)
    host.hooks.loading.addObserver(blocking.load)
    host.hooks.bound.addObserver(blocking.bound)
    host.hooks.ended.addObserver(blocking.ended)
    host.hooks.removed.addObserver(blocking.removed)
    host.hooks.undeliverable.addChange(blocking.undeliverable)
    host.hooks.asked.addRefusal(blocking.asked)
    host.presence.addVeto(blocking.veto)


feature = Feature(
    name=NAME,
    specs=(Spec("XEP-0191", "1.3"),),
    namespaces=(ns.BLOCKING,),
    after=("rfc6121_im",),
    join=join,
)
