"""
Doubles: what stands in for the outside world in tests. Whoever provides an interface is checked against its contract.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, cast

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.task import Clock
from zope.interface import directlyProvides, implementer

from xmppd.config import HostConfig, Limits
from xmppd.ixmppd import (
    Departure,
    IAccount,
    IAccountStore,
    IAnonymousAccount,
    IArchiveStore,
    IClientStream,
    IClock,
    IEntropy,
    IFactStore,
    IHost,
    INameStore,
    INodeStore,
    IPasswords,
    IPresence,
    IReception,
    IRosterStore,
    ISession,
    ISpoolStore,
    IStore,
    IStreamTransport,
    StoredKeys,
    StoreUnavailable,
    TLSFacts,
    Veto,
    VetoPredicate,
)
from xmppd.restrict import names
from xmppd.route.absence import Absence
from xmppd.route.host import Host
from xmppd.route.router import Router
from xmppd.sasl.keys import UnusablePassword, checkPassword, deriveKeys
from xmppd.store.memory import MemoryStore
from xmppd.wire.errors import StanzaCondition, StanzaError, StreamError
from xmppd.wire.jid import JID, parse
from xmppd.wire.stanza import Stanza, fromBytes
from xmppd.wire.xmlstream import XMLStreamParser

STREAM_START = b"<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' version='1.0'>"


@implementer(IEntropy)
class CountingEntropy:
    """Tokens that can be foretold: "token1", "token2" …; of secrets the length is true."""

    def __init__(self) -> None:
        self.count = 0

    def token(self, octets: int = 16) -> str:
        """See L{IEntropy}."""
        self.count += 1
        return f"token{self.count}".ljust(octets if octets >= 32 else 0, "-")

    def uuid(self) -> str:
        """See L{IEntropy}."""
        self.count += 1
        return f"00000000-0000-4000-8000-{self.count:012d}"


@implementer(IAccount)
class FakeAccount:
    """An avatar that counts its logouts."""

    anonymous = False

    def __init__(self, jid: str) -> None:
        self.jid = parse(jid)
        self.logouts = 0

    def logout(self) -> None:
        """See L{IAccount}."""
        self.logouts += 1


@implementer(IAnonymousAccount)
class FakeGuest(FakeAccount):
    """A guest's avatar."""

    anonymous = True
    trace: str | None = None
    fresh = False


@implementer(IReception)
class FakeReception:
    """One host behind TLS; nobody comes too often."""

    def __init__(self, host: IHost, clock: IClock) -> None:
        self.clock = clock
        self.entropy = host.entropy
        self.limits = host.limits
        self.requireTLS = True
        self.counters = host.counters
        self.watched = tuple(sorted(host.watched))
        self._host = host

    def host(self, domain: str) -> IHost | None:
        """See L{IReception}."""
        return self._host if domain == self._host.domain else None

    def mayAuthenticate(self, address: str) -> bool:
        """See L{IReception}."""
        return True

    def authenticationFailed(self, address: str) -> None:
        """See L{IReception}."""


@implementer(IClientStream)
class FakeStream:
    """
    A client's stream that keeps what it is sent.

    @ivar received: the stanzas, in order; L{take} empties it.
    @ivar written: what was written that is no stanza.
    @ivar closedWith: the stream error it was closed with; C{closed} says whether it was closed at all.
    """

    def __init__(self, host: IHost, account: IAccount, clock: Clock) -> None:
        self.id = "stream"
        self.host = host
        self.facts = {"tls", "authenticated", "bound"}
        self.tls: TLSFacts | None = TLSFacts("TLSv1.3", "TLS_AES_128_GCM_SHA256")
        self.address = "192.0.2.1"
        self.account = account
        self.session: ISession | None = None
        self.language: str | None = None
        self.mechanism: str | None = "SCRAM-SHA-256"
        self.channelBinding: str | None = None
        self.spotted = False
        self.clock = clock
        self.received: list[Stanza] = []
        self.written: list[bytes] = []
        self.closed = False
        self.closedWith: StreamError | None = None
        self.waits: list[Deferred[Any]] = []
        self.queued = 0
        self.slots: dict[str, Any] = {}
        self.sender: str | None = None
        self.only: frozenset[str] | None = None
        self.reception: IReception = FakeReception(host, clock)
        self.transport = cast(IStreamTransport, None)

    def authenticationFailed(self, mechanism: str, name: str | None, reason: str) -> None:
        """See L{IClientStream}."""

    def write(self, data: bytes) -> None:
        """See L{IClientStream}."""
        self.written.append(data)

    def transmit(self, stanza: Stanza) -> None:
        """See L{IClientStream}."""
        self.received.append(stanza)

    def unsent(self) -> int:
        """See L{IClientStream}."""
        return self.queued

    def startTLS(self) -> None:
        """See L{IClientStream}."""

    def authenticated(self, account: IAccount, mechanism: str, restart: bool = True) -> None:
        """See L{IClientStream}."""
        self.account, self.mechanism = account, mechanism

    def features(self) -> bytes:
        """See L{IClientStream}."""
        return b"<stream:features/>"

    def hold(self) -> None:
        """See L{IClientStream}."""

    def release(self, *first: bytes) -> None:
        """See L{IClientStream}."""
        self.written += first

    def established(self, session: ISession) -> None:
        """See L{IClientStream}."""
        self.session = session

    def close(self, error: StreamError | None = None) -> None:
        """See L{IClientStream}."""
        self.closed = True
        self.closedWith = error

    def waitFor(self, deferred: Deferred[Any]) -> None:
        """See L{IClientStream}."""
        self.waits.append(deferred)

    def take(self) -> list[Stanza]:
        """What came since the last time."""
        taken, self.received = self.received, []
        return taken

    def takeBytes(self) -> list[bytes]:
        """What came since the last time, as bytes; checks that they are what a client's parser accepts."""
        taken = [stanza.raw for stanza in self.take()]
        parser = XMLStreamParser()
        parser.feed(STREAM_START + b"".join(taken))
        if parser.error is not None:
            raise AssertionError(f"the client could not parse this: {parser.error}")
        return taken


@implementer(IPresence)
class FakePresence:
    """Presence that is only written down."""

    def __init__(self) -> None:
        self.sentStanzas: list[tuple[ISession, Stanza]] = []
        self.arrivedStanzas: list[tuple[Stanza, JID]] = []
        self.leftSessions: list[ISession] = []
        self.vetoes: list[Veto] = []
        self.rosters: dict[str, set[str]] = {}
        self.dissolved: list[Departure] = []

    def sent(self, session: ISession, stanza: Stanza) -> None:
        """See L{IPresence}; available and unavailable presence takes effect on the session."""
        self.sentStanzas.append((session, stanza))
        if stanza.to is None:
            session.presence = stanza if stanza.type is None else None
            if stanza.type == "unavailable":
                session.host.hooks.unavailable.notify(session, stanza)

    def arrived(self, stanza: Stanza, to: JID) -> None:
        """See L{IPresence}."""
        self.arrivedStanzas.append((stanza, to))

    def left(self, session: ISession) -> None:
        """See L{IPresence}."""
        self.leftSessions.append(session)

    def dissolve(self, departure: Departure) -> None:
        """See L{IPresence}."""
        self.dissolved.append(departure)

    def subscription(self, owner: str, contact: str) -> Deferred[str]:
        """See L{IPresence}."""
        answer: Deferred[str] = Deferred()
        answer.callback("none")
        return answer

    def lists(self, owner: str, contact: str) -> bool | None:
        """See L{IPresence}; C{rosters} says it."""
        return contact in self.rosters[owner] if owner in self.rosters else None

    def passes(self, session: ISession, stanza: Stanza) -> bool:
        """See L{IPresence}."""
        return True

    async def vetoOf(self, account: str) -> VetoPredicate | None:
        """See L{IPresence}; the last veto decides, if there is one."""
        found = self.vetoes[-1](account) if self.vetoes else None
        return await found if isinstance(found, Deferred) else found

    def addVeto(self, veto: Veto) -> None:
        """See L{IPresence}."""
        self.vetoes.append(veto)

    def conceal(self, owner: str, matches: Callable[[str], bool]) -> None:
        """See L{IPresence}."""

    def reveal(self, owner: str, matches: Callable[[str], bool]) -> None:
        """See L{IPresence}."""


@implementer(IPasswords)
class QuickPasswords:
    """Passwords with few rounds, at once and without a thread."""

    def __init__(self, accounts: IAccountStore) -> None:
        self._accounts = accounts

    def derive(self, password: str) -> Deferred[Sequence[StoredKeys]]:
        """See L{IPasswords}."""
        try:
            return succeed([deriveKeys(password, "sha256", b"salt", 4096)])
        except UnusablePassword as error:
            return fail(StanzaError(StanzaCondition.NOT_ACCEPTABLE, str(error)))

    def check(self, bare: str, password: str) -> Deferred[bool]:
        """See L{IPasswords}."""
        found = self._accounts.keys(bare, "sha256")
        return found.addCallback(lambda pair: bool(pair and pair[1] and checkPassword(pair[1], password)))


class Rig:
    """
    One host in memory without streams: for unit tests of features and routing.

    @ivar clock: the virtual time, beginning at 1,000,000,000 (2001).
    """

    def __init__(
        self,
        *features: Any,
        domain: str = "example.org",
        limits: Limits | None = None,
        config: HostConfig | None = None,
        store: IStore | None = None,
        options: dict[tuple[str, str], Any] | None = None,
    ) -> None:
        self.clock = Clock()
        self.clock.advance(1_000_000_000)
        self.router = Router()
        self.store = store if store is not None else MemoryStore()
        defaults = {(f.name, key): option.default for f in features for key, option in f.options.items()}
        defaults.update(options or {})
        self.host = Host(
            domain,
            config or HostConfig(domain, admins=(f"admin@{domain}",)),
            limits or Limits(),
            self.router,
            self.store,
            self.clock,
            CountingEntropy(),
            lambda feature, key: defaults[feature, key],
        )
        self.host.presence = FakePresence()
        self.host.passwords = QuickPasswords(self.store.accounts)
        names.join(self.host)
        self.router.addDestination(self.host)
        for feature in features:
            self.host.features.add(feature.name)
            self.host.namespaces.update(feature.namespaces)
            self.host.accountNamespaces.update(feature.accountNamespaces)
            feature.join(self.host)

    def service(
        self, *features: Any, table: str = "rooms", domain: str = "rooms.example.org", **options: Any
    ) -> Host:
        """
        A domain without users on the same router, started.

        @param features: what joins it; one of them serves C{table}.
        @param options: of that one.
        """
        values = {(f.name, key): option.default for f in features for key, option in f.options.items()}
        serving = next(f.name for f in features if f.serves == table)
        values.update({(serving, key): value for key, value in options.items()})
        host = Host(
            domain,
            HostConfig(domain, table=table, accounts=False, admins=self.host.config.admins),
            self.host.limits,
            self.router,
            self.host.ledger,
            self.clock,
            self.host.entropy,
            lambda feature, key: values[feature, key],
        )
        host.presence = Absence()
        names.join(host)
        self.router.addDestination(host)
        self.host.services[domain] = ""
        for feature in features:
            host.identities.extend(feature.identities)
            host.namespaces.update(feature.namespaces)
            host.accountNamespaces.update(feature.accountNamespaces)
            feature.join(host)
        self.host.hooks.removed.addObserver(host.hooks.removed.notify)
        for observer in host.hooks.loading.observe:
            self.host.hooks.loading.addObserver(observer)
        for observer in host.hooks.ended.observe:
            self.host.hooks.ended.addObserver(observer)
        for observer in host.hooks.starting.observe:
            failures: list[Any] = []
            started = observer()
            if isinstance(started, Deferred):
                started.addErrback(failures.append)
            if failures:
                failures[0].raiseException()
        return host

    def account(self, *locals: str) -> None:
        """Make accounts of the host."""
        for local in locals:
            bare = f"{local}@{self.host.domain}"
            self.host.accounts.create(bare, [], self.clock.seconds())
            self.host.hooks.registered.notify(bare)

    def bind(self, full: str, guest: bool = False, available: bool = False) -> tuple[ISession, FakeStream]:
        """Bind a resource over a fake stream; optionally send initial presence."""
        jid = parse(full)
        account = (FakeGuest if guest else FakeAccount)(jid.bare)
        if not guest and jid.bare not in self.host._known:
            self.account(jid.local or "")
        stream = FakeStream(self.host, account, self.clock)
        results: list[ISession] = []
        failures: list[Any] = []
        self.host.bind(stream, jid.resource).addCallbacks(results.append, failures.append)
        if failures:
            failures[0].raiseException()
        session = results[0]
        stream.session = session
        if available:
            self.send(session, b"<presence/>")
            stream.take()
        return session, stream

    def send(self, session: ISession, raw: bytes) -> None:
        """The client sends a stanza, or several."""
        parser = XMLStreamParser()
        for event in parser.feed(STREAM_START + raw):
            if event.kind != "header":
                session.received(event)  # type: ignore[arg-type]
        if parser.error is not None:
            raise parser.error

    def inject(self, raw: bytes) -> None:
        """A stanza with from and to arrives at the router from elsewhere."""
        self.router.route(fromBytes(raw))


class _FailingPart:
    """One of the small stores, asked through L{FailingStore}."""

    _READS = frozenset(
        "get keys list count since offline held sessions all size kinds owners query ends nodes items itemsById "
        "countItems rounds alike groups affiliations affiliationsOf subscriptions subscriptionsOf".split()
    )

    def __init__(self, store: FailingStore, part: Any, interface: Any) -> None:
        self._store = store
        self._part = part
        self._methods = frozenset(interface.names())

    def __getattr__(self, name: str) -> Any:
        if name not in self._methods:
            raise AttributeError(name)
        method = getattr(self._part, name)

        def call(*arguments: Any, **named: Any) -> Deferred[Any]:
            if self._store.refuses(name in self._READS):
                return fail(StoreUnavailable("no space left on device"))
            return self._store.waiting(method(*arguments, **named))

        return call


@implementer(IStore)
class FailingStore:
    """
    A store around another one that fails or dawdles when told.

    @ivar failWrites: how many of the next writes fail with L{StoreUnavailable}; True means all.
    @ivar failReads: how many of the next reads fail.
    @ivar holding: whether answers wait until L{proceed}, as if the disk were slow.
    """

    def __init__(self, store: Any = None) -> None:
        store = MemoryStore() if store is None else store
        self.failWrites: int | bool = 0
        self.failReads: int | bool = 0
        self.holding = False
        self._held: list[Deferred[None]] = []
        self._store = store
        self.accounts: Any = directlyProviding(_FailingPart(self, store.accounts, IAccountStore), IAccountStore)
        self.rosters: Any = directlyProviding(_FailingPart(self, store.rosters, IRosterStore), IRosterStore)
        self.spool: Any = directlyProviding(_FailingPart(self, store.spool, ISpoolStore), ISpoolStore)
        self.facts: Any = directlyProviding(_FailingPart(self, store.facts, IFactStore), IFactStore)
        self.archives: Any = directlyProviding(_FailingPart(self, store.archives, IArchiveStore), IArchiveStore)
        self.pubsub: Any = directlyProviding(_FailingPart(self, store.pubsub, INodeStore), INodeStore)
        self.nameIndex: Any = directlyProviding(_FailingPart(self, store.nameIndex, INameStore), INameStore)

    def open(self) -> Deferred[None]:
        """See L{IStore}."""
        return self._store.open()

    def close(self) -> Deferred[None]:
        """See L{IStore}."""
        return self._store.close()

    def forget(self, owner: str) -> Deferred[None]:
        """See L{IStore}. A write."""
        if self.refuses(False):
            return fail(StoreUnavailable("no space left on device"))
        return self.waiting(self._store.forget(owner))

    def refuses(self, reading: bool) -> bool:
        """Whether the call at hand fails; counts down."""
        name = "failReads" if reading else "failWrites"
        left = getattr(self, name)
        if left and left is not True:
            setattr(self, name, left - 1)
        return bool(left)

    def waiting(self, answer: Deferred[Any]) -> Deferred[Any]:
        """The answer, later if answers are held back."""
        if self.holding:
            gate: Deferred[None] = Deferred()
            self._held.append(gate)
            answer.addBoth(lambda result: gate.addCallback(lambda _: result))
        return answer

    def proceed(self) -> None:
        """Give the answers that were held back, in order, and hold no more."""
        self.holding = False
        held, self._held = self._held, []
        for gate in held:
            gate.callback(None)


def directlyProviding(thing: Any, interface: Any) -> Any:
    """The thing, which from now on says that it provides the interface."""
    directlyProvides(thing, interface)
    return thing
