"""
Every interface of xmppd, without behaviour.

Each docstring says who calls it, how often, and whether it may answer a Deferred. Whatever is called once per stanza
is synchronous by contract, and raises nothing but L{xmppd.wire.errors.PeerError} for a peer's mistake.

Theory of operation
===================

Bytes become L{Stanza<xmppd.wire.stanza.Stanza>}s in C{wire}; a stream (L{IClientStream}) negotiates its features
(L{IStreamFeature}) and, once a resource is bound, hands every stanza to its L{ISession}. The session stamps the
sender, asks its restrictions and hooks, and gives the stanza to the L{IRouter}. The router finds a session by the raw
C{to}, or else an L{IDestination} by domain. An L{IHost} is what a feature joins: it holds hooks, responders, stream
features, stores and the clock. Durable facts live behind the C{I...Store} interfaces.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from zope.interface import Attribute, Interface

if TYPE_CHECKING:
    from pathlib import Path

    from twisted.internet.defer import Deferred
    from twisted.internet.interfaces import IDelayedCall

    from xmppd.counters import Counters
    from xmppd.wire.element import Element
    from xmppd.wire.errors import SASLError, StanzaCondition, StanzaError, StreamError
    from xmppd.wire.jid import JID
    from xmppd.wire.stanza import Stanza

# --- values that cross floors -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class TLSFacts:
    """
    What is known about the TLS of one connection; made once, after the handshake.

    @ivar version: "TLSv1.3".
    @ivar cipher: the suite's name as OpenSSL gives it.
    @ivar channelBindings: data by channel binding name ("tls-exporter", "tls-server-end-point", "tls-unique").
    @ivar peerCertificate: DER of the certificate the peer offered, or None. Offered does not mean verified.
    @ivar peerVerified: whether that certificate chained to a trusted anchor.
    @ivar serverName: the name asked for by SNI, or None.
    @ivar alpn: the protocol agreed on by ALPN, or None.
    """

    version: str
    cipher: str
    channelBindings: Mapping[str, bytes] = field(default_factory=dict)
    peerCertificate: bytes | None = None
    peerVerified: bool = False
    serverName: str | None = None
    alpn: str | None = None


@dataclass(frozen=True, slots=True)
class UserAgent:
    """
    What a client says of itself when it logs in (XEP-0388 section 2.3). Nobody but the user may be told.

    @ivar id: names the installation, a UUID in lower case; None if it doesn't say.
    @ivar software: for people, may be empty.
    @ivar device: for people, may be empty.
    """

    id: str | None = None
    software: str = ""
    device: str = ""


@dataclass(frozen=True, slots=True)
class AccountRecord:
    """
    An account as the store knows it.

    @ivar jid: bare JID as canonical string.
    @ivar created: seconds since the epoch.
    @ivar disabled: whether login is refused (C{account-disabled}).
    @ivar lastActivity: when the last session ended, seconds since the epoch, or None.
    @ivar lastStatus: the status text of the last unavailable presence, or empty.
    """

    jid: str
    created: float
    disabled: bool = False
    lastActivity: float | None = None
    lastStatus: str = ""


@dataclass(frozen=True, slots=True)
class StoredKeys:
    """
    SCRAM keys of one account for one hash (RFC 5802 section 3); the only form in which a password is kept.

    @ivar hashName: "sha1", "sha256" or "sha512".
    """

    hashName: str
    salt: bytes = field(repr=False)
    iterations: int
    storedKey: bytes = field(repr=False)
    serverKey: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class RosterItem:
    """
    One contact in an account's roster (RFC 6121 sections 2 and 3, appendix A).

    @ivar jid: bare JID of the contact (or any JID the user put there), canonical.
    @ivar subscription: "none", "to", "from", "both".
    @ivar ask: whether our subscription request is outstanding (Pending Out).
    @ivar pendingIn: the stanza of the contact's unanswered request, as bytes, or None.
    @ivar approved: whether the contact's next request is pre-approved (RFC 6121 section 3.4).
    @ivar listed: whether the item is in the roster proper; a bare Pending In is not (section 3.1.3).
    @ivar version: the roster version at which the item changed last.
    """

    jid: str
    name: str = ""
    subscription: str = "none"
    ask: bool = False
    approved: bool = False
    groups: tuple[str, ...] = ()
    pendingIn: bytes | None = None
    listed: bool = True
    version: int = 0


@dataclass(frozen=True, slots=True)
class RosterChanges:
    """
    What a roster query answers.

    @ivar version: current version of the roster.
    @ivar items: the items (all of them, or those changed since the version asked for).
    @ivar removed: JIDs removed since the version asked for.
    @ivar complete: whether C{items} is the whole roster rather than a difference.
    """

    version: int
    items: tuple[RosterItem, ...]
    removed: tuple[str, ...] = ()
    complete: bool = True


@dataclass(frozen=True, slots=True)
class SpooledMessage:
    """
    A message that is kept until its recipient has it.

    @ivar id: the row's number, None before it is stored; later messages have larger numbers.
    @ivar account: bare JID of the recipient.
    @ivar holder: token of the session in whose stream management queue it stands, or None for an offline message.
    @ivar sequence: its number in that queue (XEP-0198 C{h} modulo 2**32), 0 if there is none.
    @ivar stanza: the bytes of the whole stanza.
    @ivar stamp: when the server took it, seconds since the epoch.
    """

    account: str
    stanza: bytes
    stamp: float
    holder: str | None = None
    sequence: int = 0
    id: int | None = None


@dataclass(frozen=True, slots=True)
class ManagedSessionRecord:
    """
    What survives a crash of a session under stream management (XEP-0198 section 5).

    @ivar token: the resumption id given to the client, which only the client should know.
    @ivar jid: the full JID.
    @ivar inbound: how many of the client's stanzas have been acknowledged durably.
    @ivar outbound: the number of the last stanza that the client acknowledged.
    @ivar expires: when it can't be resumed any more if it isn't connected, seconds since the epoch.
    @ivar state: what features keep with it (priority, presence, carbons …), as JSON text.
    """

    token: str
    jid: str
    inbound: int
    outbound: int
    expires: float
    state: str = "{}"


@dataclass(frozen=True, slots=True)
class ArchivedMessage:
    """
    A message in an archive (XEP-0313).

    @ivar id: the archive's id, made from C{stamp} by L{xmppd.wire.archiveids}. Ids of one archive sort in the order in
        which the messages were archived.
    @ivar owner: whose archive: the bare JID of an account or a room.
    @ivar peer: what queries compare with C{with}: the bare JID of the other side; in a room's archive, the sender's
        full room JID.
    @ivar stamp: when it was archived, seconds since the epoch; counts in microseconds.
    @ivar stanza: the bytes of the whole stanza.
    @ivar resource: the resource of the other side, or empty; always empty in a room's archive.
    @ivar sender: in a room's archive the sender's real bare JID, or empty; empty too once that account is gone.
    @ivar disclosed: in a room's archive, whether everybody in the room saw the others' real JIDs when it was said.
    """

    id: str
    owner: str
    peer: str
    stamp: float
    stanza: bytes
    resource: str = ""
    sender: str = ""
    disclosed: bool = False


@dataclass(frozen=True, slots=True)
class ArchiveQuery:
    """
    What is wanted of an archive (XEP-0313 section 4, XEP-0059). All conditions hold together.

    @ivar peer: bare JID of the other side (in a room's archive a full room JID), or None.
    @ivar resource: its resource, or None for any. Needs C{peer}.
    @ivar start: not before, seconds since the epoch.
    @ivar end: not after.
    @ivar afterId: only ids behind this one in the archive (the filter C{after-id}).
    @ivar beforeId: only ids before this one (the filter C{before-id}).
    @ivar ids: only these ids, if not None; all must exist.
    @ivar pageAfter: paging: only what follows this id in the result.
    @ivar pageBefore: paging: only what precedes this id in the result; empty for the last page.
    @ivar pageIndex: paging: skip so many of the result (XEP-0059 section 2.6).
    @ivar limit: at most so many; with C{pageBefore} the last ones. A page may be shorter, for its size.
    @ivar count: whether to count how many there are in all, paging left aside.
    """

    peer: str | None = None
    resource: str | None = None
    start: float | None = None
    end: float | None = None
    afterId: str | None = None
    beforeId: str | None = None
    ids: tuple[str, ...] | None = None
    pageAfter: str | None = None
    pageBefore: str | None = None
    pageIndex: int | None = None
    limit: int = 50
    count: bool = True


@dataclass(frozen=True, slots=True)
class ArchivePage:
    """
    A page of an archive.

    @ivar messages: in the order of the archive.
    @ivar complete: whether nothing follows in the direction of paging.
    @ivar count: how many there are in all, or None if it was not asked or they are too many to be counted.
    @ivar index: the position of the first in the whole result, or None if it is not known.
    """

    messages: tuple[ArchivedMessage, ...]
    complete: bool
    count: int | None = None
    index: int | None = None


@dataclass(frozen=True, slots=True)
class NodeRecord:
    """
    A node of publish-subscribe (XEP-0060).

    @ivar owner: the service's domain, or the bare JID of an account (XEP-0163).
    @ivar config: its configuration as JSON text.
    @ivar creator: the bare JID of who made it.
    """

    owner: str
    node: str
    config: str
    creator: str
    created: float


@dataclass(frozen=True, slots=True)
class NodeItem:
    """
    An item of a node.

    @ivar payload: the bytes of the payload element, empty if there is none.
    @ivar publisher: bare JID.
    @ivar stamp: when it was published last, seconds since the epoch.
    """

    id: str
    payload: bytes
    publisher: str
    stamp: float


@dataclass(frozen=True, slots=True)
class NodeSubscription:
    """
    A subscription to a node.

    @ivar jid: the JID that is notified.
    @ivar state: "subscribed", "pending" or "unconfigured".
    @ivar options: as JSON text.
    """

    jid: str
    subid: str
    state: str
    options: str = "{}"


@dataclass(frozen=True, slots=True)
class Departure:
    """
    Somebody who goes for good: a guest whose last session has ended, or an account that is removed.

    @ivar bare: the bare JID.
    @ivar places: where others' keeping names it, in words; complete for guests, empty for accounts: C{("roster",
        account)}, C{("node", owner, node)}, C{("fact", owner)}, C{("archive", owner)}.
    @ivar guest: whether it is a guest.
    @ivar crashed: whether nobody could be told when its sessions ended: the server was killed.
    """

    bare: str
    places: frozenset[tuple[str, ...]] = frozenset()
    guest: bool = True
    crashed: bool = False

    def at(self, kind: str) -> list[tuple[str, ...]]:
        """The places of one kind, without the word that says so, in order."""
        return sorted(words[1:] for words in self.places if words[:1] == (kind,))


@dataclass(frozen=True, slots=True)
class NameRecord:
    """
    A name that lives, in the index of look-alikes (XEP-0165).

    @ivar kind: of name: "account", "room", or a feature's own.
    @ivar space: among which names it is compared: a domain for accounts and rooms.
    @ivar name: itself: a localpart for accounts and rooms.
    @ivar owner: the bare JID that it belongs to, and goes with.
    """

    kind: str
    space: str
    name: str
    owner: str


@dataclass(frozen=True, slots=True)
class NameVerdict:
    """
    What a host makes of a name (XEP-0165).

    @ivar kind: "account", "room", "nickname", "handle" or "met".
    @ivar name: the name, or the address that was met.
    @ivar action: "allow", "warn" or "refuse".
    @ivar reasons: what was found, in order, the gravest first; empty for an ordinary name: "look-alike" (of one that
        is there), "protected" (one, or like one, that only administrators give), "domain" (like one of ours), "foreign"
        (outside of the scripts of somebody's languages), and the values of L{xmppd.wire.confusable.Oddity}.
    @ivar alike: the names that it looks like, the protected one last. Not everybody may be told.
    @ivar scripts: the codes of the scripts that are foreign.
    @ivar protected: the protected name that it is or looks like, or None.
    """

    kind: str
    name: str
    action: str = "allow"
    reasons: tuple[str, ...] = ()
    alike: tuple[str, ...] = ()
    scripts: tuple[str, ...] = ()
    protected: str | None = None

    @property
    def refused(self) -> bool:
        """Whether the name must not be."""
        return self.action == "refuse"


@dataclass(slots=True, eq=False)
class Meeting:
    """
    A request to subscribe, on its way to an account, which features look at before it gets there (XEP-0165 section
    2.5).

    @ivar recipient: the bare JID of the account.
    @ivar sender: the bare JID of who asks.
    @ivar stanza: the request.
    @ivar roster: the recipient's roster by JID, unlisted items too.
    @ivar reasons: what features have found that speaks for caution, see L{NameVerdict}: they append theirs.
    @ivar alike: names and addresses that the sender is, or may be, taken for: they append what the recipient may know.
    """

    recipient: str
    sender: JID
    stanza: Stanza
    roster: Mapping[str, RosterItem]
    reasons: list[str]
    alike: list[str]


# --- HTTP ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class WebRequest:
    """
    The head of an HTTP request.

    @ivar method: in capital letters.
    @ivar path: of the target, percent-encoded as it came, without query; begins with a slash.
    @ivar query: what follows the question mark, or empty.
    @ivar headers: values by name in small letters; several of one name are joined by commas.
    @ivar length: octets of the body that follows; 0 for none, None if only its end will tell.
    @ivar address: the client's address.
    @ivar secure: whether the connection has TLS.
    @ivar tls: answers the facts of the client's own TLS connection; None if that ends elsewhere.
    """

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    length: int | None
    address: str
    secure: bool
    tls: Callable[[], TLSFacts | None] = lambda: None


@dataclass(frozen=True, slots=True)
class WebResponse:
    """
    An HTTP response. Headers that protect a browser, the date and the length are added to it.

    @ivar headers: by name; one of them replaces what would be added.
    @ivar body: the octets; or an iterator of them in portions, which is closed when nobody wants more.
    @ivar length: how many octets the iterator gives.
    """

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | Iterator[bytes] = b""
    length: int | None = None


# --- trust, login, accounts ---------------------------------------------------------------------------------------


class IPasswords(Interface):
    """
    Passwords to keys and back to yes or no; the work is done off the reactor's thread, a bounded number at a time.
    """

    def derive(password: str) -> Deferred[Sequence[StoredKeys]]:
        """The keys to store, one per hash. Fails with StanzaError not-acceptable for a password that can't be used."""

    def check(bare: str, password: str) -> Deferred[bool]:
        """Whether it is the account's password; takes as long for an account that isn't there."""


class IAccount(Interface):
    """The avatar of a registered user; asked for at the portal, once per session."""

    jid: JID = Attribute("The bare JID.")
    anonymous: bool = Attribute("Whether this is a guest: then it provides L{IAnonymousAccount} too.")

    def logout() -> None:
        """Called exactly once, when the last use by this session is over."""


class IAnonymousAccount(IAccount):
    """The avatar of a guest (XEP-0175)."""

    trace: str | None = Attribute("Trace data for the audit log only (RFC 4505), or None.")
    fresh: bool = Attribute("Whether nobody has been this guest before: then nothing can be stored of it.")


class IReturningGuest(IAnonymousAccount):
    """
    The avatar of somebody who has shown a token of a guest who is still there, to go on with that guest's session or
    to have another. A session that is resumed keeps the avatar it has.
    """


class IPeer(Interface):
    """The avatar of a remote server or an external component."""

    domain: str = Attribute("The authenticated domain.")


# --- streams ------------------------------------------------------------------------------------------------------


class IStreamTransport(Interface):
    """
    What a stream can do to its connection; provided by C{net} and by the tests' double. Never blocks.
    """

    address: str = Attribute("Address of the peer as text, without the port.")
    port: int = Attribute("The peer's port.")

    def write(data: bytes) -> None:
        """Queue bytes; they leave once per turn of the reactor."""

    def startTLS(domain: str) -> None:
        """
        Send what was written so far and begin the server's side of a TLS handshake with that domain's certificate.
        The stream's C{secured} is called with the facts when it is complete.
        """

    def canStartTLS(domain: str) -> bool:
        """Whether there is a certificate to show for that domain."""

    def loseConnection() -> None:
        """Close after everything queued was written."""

    def abortConnection() -> None:
        """Close now."""

    def pauseReading() -> None:
        """Stop reading; counted, so that several may want it."""

    def resumeReading() -> None:
        """Read again, when everybody who paused has resumed."""

    def unsent() -> int:
        """How many bytes wait in this process or in the kernel's send queue."""


class IReception(Interface):
    """
    What all streams of clients share: who is served, under which policy, and who comes too often. One per process.
    """

    clock: IClock = Attribute("The time.")
    entropy: IEntropy = Attribute("Randomness.")
    limits: Any = Attribute("L{xmppd.config.Limits} of the moment.")
    requireTLS: bool = Attribute("Whether clients have to use TLS before they log in.")
    counters: Counters = Attribute("What is counted.")

    watched: tuple[bytes, ...] = Attribute("What features of any host look out for, see L{IHost.watched}.")

    def host(domain: str) -> IHost | None:
        """The host of a domain, canonical, or None."""

    def mayAuthenticate(address: str) -> bool:
        """Whether there have been few enough failed logins from an address. Per attempt."""

    def authenticationFailed(address: str) -> None:
        """Count a failed login."""


class IClientStream(Interface):
    """
    One client's stream, as stream features and sessions see it. Facts are names of what has been negotiated: "tls",
    "authenticated", "bound", and whatever features add.
    """

    id: str = Attribute("The stream id; opaque, at least 128 bits, good for logs.")
    host: IHost | None = Attribute("The host the header addressed, or None before the header.")
    facts: set[str] = Attribute("Names of what has been negotiated.")
    tls: TLSFacts | None = Attribute("Facts of the TLS layer, or None.")
    address: str = Attribute("The peer's address.")
    account: IAccount | None = Attribute("The avatar once authenticated.")
    session: ISession | None = Attribute("The session once bound.")
    language: str | None = Attribute("xml:lang of the client's header, or None.")
    mechanism: str | None = Attribute("The SASL mechanism that succeeded, or None.")
    spotted: bool = Attribute("Whether the client has sent bytes that features look out for, see L{IHost.watched}.")
    channelBinding: str | None = Attribute("The type of the channel binding that the login had, or None.")
    clock: IClock = Attribute("The time, to schedule with.")
    reception: IReception = Attribute("What all streams of clients share.")
    transport: IStreamTransport = Attribute("The connection.")
    closed: bool = Attribute("Whether it has ended.")
    sender: str | None = Attribute("The C{from} of the client's header as it came, or None. A mere claim.")
    only: frozenset[str] | None = Attribute(
        "The names of the only elements that may come at present (XEP-0388 section 2.4), or None for no such rule."
    )
    slots: dict[str, Any] = Attribute("What features keep with this stream, by their own name.")

    def authenticationFailed(mechanism: str, name: str | None, reason: str, guess: bool = True) -> None:
        """
        Log and count a failed login; closes the stream after too many.

        @param guess: whether it counts against the peer's address: somebody may be guessing.
        """

    def write(data: bytes) -> None:
        """Send one complete element that is not a stanza, or a tag of the stream."""

    def transmit(stanza: Stanza) -> None:
        """Send a stanza. Per stanza."""

    def unsent() -> int:
        """How many bytes of this stream have not reached the peer's kernel yet."""

    def startTLS() -> None:
        """Send what is queued, drop the parser, begin the handshake; the client opens a new stream."""

    def authenticated(account: IAccount, mechanism: str, restart: bool = True) -> None:
        """
        Note the avatar.

        @param restart: whether the stream's next header starts a fresh negotiation (RFC 6120 section 6.4.6), or the
            stream just goes on (XEP-0388 section 2.6.1).
        """

    def features() -> bytes:
        """The C{<stream:features/>} of the moment."""

    def hold() -> None:
        """Keep what is written from now on, until L{release}."""

    def release(*first: bytes) -> None:
        """Write C{first}, element by element, then what was kept; from now on write at once."""

    def established(session: ISession) -> None:
        """From now on every event goes to C{session.received}."""

    def close(error: StreamError | None = None) -> None:
        """Send an error if there is one, end the stream, close the connection (RFC 6120 section 4.4)."""

    def waitFor(deferred: Deferred[Any]) -> None:
        """Take no further event from the client until C{deferred} has fired; its failures are answered."""


class IClock(Interface):
    """Time, as the reactor or a L{twisted.internet.task.Clock} provides it."""

    def seconds() -> float:
        """Seconds since some moment; since the epoch in production."""

    def callLater(delay: float, callable: Callable[..., object], *args: object, **kw: object) -> IDelayedCall:
        """Call later."""


class IStreamFeature(Interface):
    """
    A feature of a stream's negotiation (RFC 6120 section 4.3). Asked once per stream header; C{negotiate} once per
    element in one of its names.
    """

    names: Sequence[str] = Attribute('The names ("namespace local") of the elements it answers.')
    requires: frozenset[str] = Attribute("Facts that must hold for it to be offered and used.")
    forbids: frozenset[str] = Attribute("Facts that must not hold.")
    rank: int = Attribute("Where its advertisement stands; lower is earlier.")

    def advertise(stream: IClientStream) -> bytes:
        """Its element inside C{<stream:features/>}, or empty bytes when it has nothing to offer here."""

    def negotiate(stream: IClientStream, stanza: Stanza) -> None:
        """Act on an element of one of its names. May raise a L{PeerError}; may call C{stream.waitFor}."""


class ILogin(Interface):
    """
    A login in which the client has proved who it is, and what it wants along with it (XEP-0388 section 2.6.1).
    """

    stream: IClientStream = Attribute("The stream; its account is set.")
    account: IAccount = Attribute("The avatar.")
    agent: UserAgent = Attribute("What the client says of itself.")
    request: Element = Attribute("The C{<authenticate/>}.")
    token: Any = Attribute("What L{ITokens.verify} has answered if the client has shown a token, or else None.")
    tokenMechanisms: Sequence[str] = Attribute("The mechanisms for tokens that the stream offers.")
    session: ISession | None = Attribute("The session, once one of the features has found or made one.")

    def resumed(session: ISession, element: bytes) -> bytes:
        """
        The login has found its session: answers the C{<success/>} with C{element} in it, which the caller sends at
        once. Nothing is negotiated any more after that (XEP-0198 section 9.2).
        """


class ILoginFeature(Interface):
    """A feature that is negotiated along with a login (XEP-0388 section 2.1). Once per login."""

    rank: int = Attribute("Lower is earlier.")

    def offer() -> bytes:
        """Its element inside C{<inline/>}, or empty bytes; always the same. Asked once in a while."""

    def negotiate(login: ILogin) -> Awaitable[bytes]:
        """
        Do what the client has asked for, if it has; answers what to tell it in the C{<success/>}. May raise
        L{SASLError}: the login has failed after all, and the stream ends.
        """


class ITokens(Interface):
    """Tokens that stand in for passwords (XEP-0484)."""

    def advertise(mechanisms: Sequence[str]) -> bytes:
        """The element inside C{<inline/>} that offers some mechanisms."""

    def verify(bare: str, agent: str, mechanism: str, proves: Callable[[bytes], bool]) -> Deferred[Any]:
        """
        Find the token of an account's client that C{proves} says yes to; answers an object whose attribute C{guest}
        says whether it is a guest's. Fails with L{SASLError}.
        """


class ISASLMechanism(Interface):
    """One attempt at one mechanism. See L{xmppd.sasl.steps} for the steps that drive it."""

    name: str = Attribute("Its registered name.")

    def start(initial: bytes | None) -> Any:
        """Begin, with the initial response if there was one. Answers a step; raises L{SASLError}."""

    def respond(data: bytes) -> Any:
        """Go on with a response. Answers a step; raises L{SASLError}."""


# --- sessions and routing -----------------------------------------------------------------------------------------


class ISession(Interface):
    """
    A bound resource, connected or waiting for resumption. One object per full JID.

    Hooks of one session are tuples of callables, empty for most: C{addOutgoing}/C{addIncoming} extend them.
    """

    jid: JID = Attribute("The full JID.")
    full: str = Attribute("The full JID as string.")
    bare: str = Attribute("The bare JID as string.")
    account: IAccount = Attribute("The avatar.")
    host: IHost = Attribute("The host.")
    stream: IClientStream | None = Attribute("The stream, or None while hibernating.")
    priority: int = Attribute("Priority of the last available presence, -128..127.")
    presence: Stanza | None = Attribute("The last available presence broadcast, stamped; None while unavailable.")
    interested: bool = Attribute("Whether it asked for the roster (RFC 6121 section 2.2).")
    slots: dict[str, Any] = Attribute(
        'What features keep with this session, by their own name. The slot "kept" is a dict of JSON values by the name'
        " of the feature: with stream management it survives a restart of the server, and is there when C{bound} is"
        ' notified. The slot "archived" holds, while a message is on its way out, that message and the bytes of the'
        " stanza id that the user's own archive gives it."
    )
    created: float = Attribute("When it was bound, seconds since the epoch.")
    outlet: Callable[[Stanza], None] = Attribute(
        "Where stanzas to the client go. Whoever stands in front of another outlet is a bound method of an object that"
        " keeps the other in its attribute C{below}; stream management is always the lowest."
    )
    inbound: Callable[[Stanza], None] | None = Attribute("Told of each of the client's stanzas first, or None.")
    keep: Callable[[], bool] | None = Attribute("Asked whether to hibernate when the connection is gone, or None.")
    parting: Callable[[IClientStream, StreamError | None], None] | None = Attribute(
        "Closes the stream at the end of the session, perhaps after last words; None: it is just closed."
    )
    over: bool = Attribute("Whether it has ended.")

    def received(stanza: Stanza) -> None:
        """One event of the stream. Per stanza."""

    def deliver(stanza: Stanza) -> None:
        """
        Give a stanza to the client: receive restrictions, the C{incoming} hook, the queue, the connection. Per stanza.
        """

    def transmit(stanza: Stanza) -> None:
        """The end of C{deliver}: the queue and the connection, without restrictions and hooks."""

    def send(data: bytes) -> None:
        """Send bytes that are not a stanza (no counting, no hooks); dropped while hibernating."""

    def end(error: StreamError | None = None) -> None:
        """End the session and its stream. Ending twice is harmless."""

    def attach(stream: IClientStream) -> None:
        """Go on with another stream (XEP-0198 resumption)."""

    def detached() -> None:
        """The connection is gone: hibernate if C{keep} says so, or else end."""

    def addSendRefusal(refuses: Callable[[ISession, Stanza], StanzaError | None]) -> None:
        """Ask C{refuses} for each stanza the client sends from now on."""

    def addSendChange(change: Callable[[ISession, Stanza], Stanza]) -> None:
        """Have C{change} answer what goes on in place of each stanza that the client sends from now on."""

    def addReceiveRefusal(refuses: Callable[[ISession, Stanza], StanzaError | None]) -> None:
        """Ask C{refuses} for each stanza to the client from now on."""

    def removeRefusal(refuses: Callable[[ISession, Stanza], StanzaError | None]) -> None:
        """Ask it no more."""

    def addObservers(sent: Callable[[ISession, Stanza], None], delivered: Callable[[ISession, Stanza], None]) -> None:
        """
        Show C{sent} each stanza the client sends from now on, and C{delivered} each to the client; as they are after
        restrictions and hooks have let them pass.
        """

    def removeObservers(
        sent: Callable[[ISession, Stanza], None], delivered: Callable[[ISession, Stanza], None]
    ) -> None:
        """Show them no more."""


class IAnonymousSession(ISession):
    """The session of a guest: marks which restrictions apply."""


class IBindRestriction(Interface):
    """A subscription adapter of a session-to-be; asked once at bind."""

    def resourceFor(requested: str | None) -> str | None:
        """The resource to bind in place of the requested one (None: the server makes one). May raise StanzaError."""


class ISendRestriction(Interface):
    """A subscription adapter of a session; its bound method is called per stanza sent."""

    def refuses(session: ISession, stanza: Stanza) -> StanzaError | None:
        """Why the stanza may not go out, or None."""


class IReceiveRestriction(Interface):
    """A subscription adapter of a session; its bound method is called per stanza received."""

    def refuses(session: ISession, stanza: Stanza) -> StanzaError | None:
        """Why the stanza may not come in, or None."""


class IStorageRestriction(Interface):
    """A subscription adapter of a session; asked before each write to a store on the user's behalf."""

    def refuses(kind: str, size: int) -> StanzaError | None:
        """Why C{size} bytes of C{kind} may not be stored, or None."""


class ISessionEnd(Interface):
    """A subscription adapter of a session."""

    def ended() -> Deferred[None] | None:
        """The session is over for good (not resumable any more)."""


class IDestination(Interface):
    """One door for everything behind a domain: a host, a service, a component, a remote domain. Per stanza."""

    domain: str = Attribute("The domain.")

    def deliver(stanza: Stanza) -> None:
        """
        Take a stanza whose C{to} is at this domain and whose C{from} is stamped and true. If C{stanza.promise} is a
        list, add an L{ICustody} or a Deferred for what must be settled before its sender hears that it is handled.
        """


class ICustody(Interface):
    """
    The server's custody of one message for one recipient, in a stanza's C{promise}. It is settled when the recipient
    has the message or the store does.
    """

    def message() -> SpooledMessage | None:
        """What has to be stored, or None when it is settled already."""

    def stored(id: int) -> None:
        """The store has it in this row; the row is to be removed when the recipient has it."""

    def failed() -> None:
        """The store could not take it just now."""

    def line() -> Sequence[ICustody]:
        """
        What has to be stored together with it, in this order: where storing has failed, messages that wait stand in
        line, so that none is in the store before an earlier one. Nearly always empty.
        """


class IRouter(Interface):
    """Where does a stanza go. One per process."""

    destinations: Mapping[str, IDestination] = Attribute("The doors of this server by domain.")

    def route(stanza: Stanza) -> None:
        """Route a stanza with a stamped C{from}; see L{IDestination.deliver}."""

    def bounce(stanza: Stanza, error: StanzaError) -> None:
        """Answer a stanza with an error, unless it is one itself (RFC 6120 section 8.3.1)."""

    def addDestination(destination: IDestination) -> None:
        """Own a domain. Raises ValueError if somebody does already."""

    def removeDestination(destination: IDestination) -> None:
        """Give the domain up."""

    def session(full: str) -> ISession | None:
        """The session of a full JID, if it is local and bound."""

    def sessionsOf(bare: str) -> Sequence[ISession]:
        """All sessions of a bare JID, in the order of binding."""


@dataclass(slots=True, eq=False)
class Request:
    """
    An IQ get or set that a responder answers.

    @ivar stanza: the IQ; its C{from} is stamped.
    @ivar sender: who asks (a full JID for a client).
    @ivar target: who is asked: the host's domain, or an account's bare JID.
    @ivar session: the local session that asks, or None if the sender is elsewhere.
    @ivar own: whether a local session asks its own account or (without a C{to}) for its own account.
    """

    stanza: Stanza
    sender: JID
    target: JID
    session: ISession | None
    own: bool

    @property
    def type(self) -> str:
        """C{get} or C{set}."""
        return self.stanza.attrs["type"]

    @property
    def payload(self) -> Element:
        """The one child of the IQ."""
        return self.stanza.elements()[0]


class IResponder(Interface):
    """Answers one kind of IQ. A plain callable with this signature does."""

    def __call__(request: Request) -> Element | bytes | Deferred[Element | bytes | None] | None:
        """
        The payload of the result (None: an empty result), now or later. Raises or fails with StanzaError.
        """


class IHost(Interface):
    """
    One domain of users; what a feature's C{join} receives.
    """

    domain: str = Attribute("The domain, canonical.")
    config: Any = Attribute("L{xmppd.config.HostConfig} of this host.")
    limits: Any = Attribute("L{xmppd.config.Limits}.")
    router: IRouter = Attribute("The router.")
    hooks: Any = Attribute("L{xmppd.hooks.Hooks} of this host.")
    adapters: Any = Attribute("L{xmppd.adapters.Adapters} of this host.")
    clock: IClock = Attribute("The time.")
    entropy: IEntropy = Attribute("Randomness.")
    accounts: IAccountStore = Attribute("Accounts of all hosts, by bare JID.")
    rosters: IRosterStore = Attribute("Rosters.")
    spool: ISpoolStore = Attribute("Messages that wait.")
    facts: IFactStore = Attribute("Everything else that is stored per owner.")
    identities: list[tuple[str, str, str]] = Attribute("Disco identities (category, type, name) of the domain.")
    namespaces: set[str] = Attribute("Disco features of the domain.")
    features: set[str] = Attribute("The names of the features that have joined.")
    watched: set[bytes] = Attribute(
        "Bytes to look out for in what clients send, in whole reads, which costs much less than to look into each"
        " stanza; C{hooks.spotted} tells. Features add theirs while they join."
    )
    accountNamespaces: set[str] = Attribute("Disco features of a bare JID.")
    presence: IPresence = Attribute("Rosters and presence (RFC 6121), set by the feature that provides it.")
    custody: Callable[[ISession, Stanza], ICustody] | None = Attribute(
        "Makes custodies for sessions without stream management; set by XEP-0198."
    )
    socketOptions: list[tuple[int, int, int]] = Attribute(
        "Options (level, name, value) for all sockets of the server: features add theirs while they join."
    )
    unread: Callable[[ISession, bytes], Callable[[], None]] | None = Attribute(
        "Takes what a client without stream management hasn't read, when its connection is given up; answers what is"
        " to be called when its session has ended. Set by XEP-0198."
    )
    passwords: IPasswords = Attribute("Derives and checks keys; set before features join.")
    names: INames = Attribute("What is made of names that look like others; set before features join.")
    registrar: IRegistrar = Attribute("Makes, changes and removes accounts.")
    invitations: IInvitations | None = Attribute("Invitations to register, if a feature provides them.")
    disco: Any = Attribute("L{xmppd.hooks.Disco}: what features tell service discovery.")
    lifecycle: Callable[[str, float], None] | None = Attribute(
        'Ends the server: called with "restart" or "shutdown" and a delay in seconds. None: nobody can; set before'
        " features join."
    )
    counters: Counters = Attribute("What is counted, for this host and all others; set before features join.")
    inspection: IInspection | None = Attribute(
        "Looks at streams and certificates, for administrators; set before features join. None: nobody can."
    )
    inbox: Callable[[Stanza, JID], None] | None = Attribute(
        "Takes whatever is for an address with a localpart at a service; set by the feature that serves it."
    )
    rooms: IRooms | None = Attribute("The chat rooms, where the domain serves some.")
    post: Callable[[Stanza], None] | None = Attribute(
        "Takes messages and presence for the domain itself, and answers them; set by the feature that wants them."
    )
    ledger: ILedger = Attribute("The ledger of guests, in front of all stores.")
    archives: IArchiveStore = Attribute("Archives of messages.")
    pubsub: INodeStore = Attribute("Nodes of publish-subscribe.")
    nameIndex: INameStore = Attribute("Names and what they look like.")
    personal: IPersonalNodes | None = Attribute("Publish-subscribe nodes of accounts, if a feature provides them.")
    web: IWeb | None = Attribute("The web site; resources are mounted while features join. None where there is none.")
    folder: Path | None = Attribute(
        "The folder in which features of this domain may keep files; made by who needs it. None where there is none."
    )
    bytestreams: IBytestreams | None = Attribute("Decides about SOCKS5 connections; set by the feature that does.")
    hops: IHops | None = Attribute("What is known of the hops behind this server; set when all domains are there.")
    guests: IGuests | None = Attribute("What guests may do, and who is banned; None where there are no guests.")
    guestless: set[str] = Attribute("Bare JIDs of accounts whose users don't want to be reached by guests.")
    blank: set[str] = Attribute(
        "Bare JIDs of new guests while L{bind} waits for the hook C{loading}: nothing is stored of them, so nothing has"
        " to be read."
    )
    stopping: bool = Attribute("Whether the server is shutting down: new streams are refused.")
    services: dict[str, str] = Attribute("Domains of services listed in disco#items, with their names.")
    sessions: Mapping[str, Mapping[str, ISession]] = Attribute("Sessions by bare JID, then by resource.")
    inline: Any = Attribute("L{xmppd.hooks.Inline}: what is negotiated along with a login.")
    commands: Mapping[str, Any] = Attribute("Ad-hoc commands (L{xmppd.hooks.Command}) by node.")
    inboxCommands: dict[str, Any] = Attribute(
        "Ad-hoc commands by node that addresses with a localpart at a service have: each room."
    )
    private: dict[str, StanzaCondition] = Attribute(
        "By name of the payload: requests to a full JID that only those may make who see the user's presence, and with"
        " what all others are answered, whether or not there is such a resource or account."
    )
    streamFeatures: list[IStreamFeature] = Attribute("Stream features, kept sorted by rank.")
    elements: dict[str, Callable[[ISession, Stanza], None]] = Attribute(
        "What a session does with an element that is no stanza, by name (XEP-0198, XEP-0352)."
    )

    def respond(target: str, type: str, name: str, responder: Callable[[Request], Any]) -> None:
        """
        Answer IQs.

        @param target: "host" (C{to} is the domain), "account" (C{to} is a bare JID, or missing).
        @param type: "get" or "set".
        @param name: name of the payload, "namespace local".
        @raise ValueError: somebody answers that already.
        """

    def addStreamFeature(feature: IStreamFeature) -> None:
        """Offer a stream feature."""

    def addCommand(command: Any) -> None:
        """Offer an ad-hoc command (L{xmppd.hooks.Command})."""

    def exists(bare: str) -> Deferred[bool]:
        """Whether there is an account, or a guest's session, by that bare JID; remembers a bounded number."""

    def ask(to: str, type: str, payload: bytes, seconds: float = 30.0) -> Deferred[Stanza]:
        """
        Send an IQ from the domain; fires with the answer. Fails with StanzaError: C{remote-server-timeout} if none
        comes in time, C{undefined-condition} with the error's type for an error.
        """

    def isAdmin(jid: JID) -> bool:
        """Whether the bare JID administrates this host."""

    def bind(stream: IClientStream, resource: str | None) -> Deferred[ISession]:
        """
        Bind a resource for the stream's account (RFC 6120 section 7): conflict policy, limits, C{binding} hooks.

        Fails with StanzaError.
        """

    def revive(account: IAccount, resource: str, kept: Mapping[str, Any]) -> Deferred[ISession]:
        """
        Bind a resource without a stream: a session under stream management that a restart has interrupted. Fails
        with StanzaError C{conflict} if the resource is in use.

        @param kept: its slot "kept".
        """

    def unbind(session: ISession) -> None:
        """Take an ended session out of the tables."""

    def departed(session: ISession) -> None:
        """A session is over, and everybody has been told; if it was a guest's last, the guest has gone."""

    def admit(stanza: Stanza, to: JID) -> None:
        """Take a stanza for an account or one of its resources as if there were no C{inbox}."""

    def request(stanza: Stanza, to: JID) -> None:
        """Treat an IQ for an address of this domain as one for an account; for what C{inbox} has no answer to."""

    def option(feature: str, key: str) -> Any:
        """The value of a feature's option on this host."""


@dataclass(frozen=True, slots=True)
class Ban:
    """
    An address from which no guest may come for a while. Which address it is isn't known, only its hash.

    @ivar id: the hash.
    @ivar since: seconds since the epoch.
    @ivar expires: the same.
    @ivar by: who banned.
    @ivar guest: the bare JID of the guest who was banned, or empty.
    @ivar reason: for people, or empty.
    """

    id: str
    since: float
    expires: float
    by: str = ""
    guest: str = ""
    reason: str = ""


class IGuests(Interface):
    """The guests of one host: what they may do, and who is banned (XEP-0175)."""

    allowed: Any = Attribute("L{xmppd.config.GuestConfig} in force, without gaps.")

    def refusal(address: str) -> SASLError | None:
        """Why no guest may log in from an address, or None. To be asked before anything else, by every way of login."""

    def bans() -> Sequence[Ban]:
        """Those that hold, the one that ends first first."""

    def ban(
        whom: str, by: str, reason: str = "", seconds: float | None = None, most: float | None = None
    ) -> Deferred[Ban]:
        """
        Ban the address of a guest who is here, and end all sessions of guests from there. Fails with StanzaError:
        C{item-not-found} if there is no such guest; C{resource-constraint} if there are too many bans.

        @param whom: the JID of a guest, or an IP address.
        @param seconds: for how long; as configured if None.
        @param most: shorten it to that.
        """

    def unban(id: str) -> Deferred[bool]:
        """End a ban, by its id or by the address; answers whether there was one."""

    def reconfigure() -> None:
        """The host's configuration has changed."""


class IRegistrar(Interface):
    """
    Makes, changes and removes the accounts of one host, whoever asks: users in-band, administrators, xmppctl. Every
    method answers a Deferred, which fails with StanzaError for what can't be done, or with L{StoreUnavailable}.
    """

    def prepare(username: str) -> str:
        """The bare JID a user name stands for. Raises StanzaError not-acceptable."""

    def create(
        username: str, password: str, request: Request | None = None, by: str = "", anyway: bool = False
    ) -> Deferred[str]:
        """
        Make an account and answer its bare JID. C{conflict} if there is one, or one that it looks like where that is
        refused; C{not-acceptable} for a bad name or password; what the C{registering} hook refuses is refused.

        @param by: the administrator who makes it, for the audit log; empty if users do it themselves. Administrators
            may use protected names, but not what looks like them.
        @param anyway: an administrator has said that the name is meant, whatever it looks like.
        """

    def check(username: str, by: str = "", anyway: bool = False) -> Deferred[str]:
        """
        Whether an account of that name could be made, as far as the name goes: answers its localpart, or fails like
        L{create}. Nothing is reserved.
        """

    def setPassword(bare: str, password: str) -> Deferred[None]:
        """Replace an account's keys. C{item-not-found} if there is no account."""

    def setDisabled(bare: str, disabled: bool) -> Deferred[None]:
        """Refuse login from now on, and end the account's sessions; or allow it again. C{item-not-found}."""

    def remove(bare: str, last: ISession | None = None) -> Deferred[None]:
        """
        Remove an account with all it stored: its sessions end with C{not-authorized}, its subscriptions are
        cancelled (XEP-0077 section 3.2). C{item-not-found}.

        @param last: a session that has to hear the answer first; it ends a turn of the reactor later.
        """

    def endSessions(bare: str, resource: str | None = None) -> int:
        """End the sessions of an account, or one of them; answers how many there were."""


class INames(Interface):
    """
    What one domain makes of names that may deceive (XEP-0165): policy, pure and without I/O. Look-alikes are found by
    whoever asks, in L{INameStore} or a L{NameIndex<xmppd.wire.lookalikes.NameIndex>}. Per name that is made or met.

    The kinds are "account", "room", "nickname", "handle" and "met".
    """

    config: Any = Attribute("L{xmppd.naming.NamesConfig} of the moment.")

    def action(kind: str) -> str:
        """What is done about names of a kind that may deceive: "allow", "warn" or "refuse"."""

    def judge(
        kind: str, name: str, alike: Iterable[str] = (), trusted: bool = False, languages: Iterable[str] | None = None
    ) -> NameVerdict:
        """
        What to make of a name.

        @param alike: the names that it looks like, among those that count; never itself.
        @param trusted: whether who gives it may give protected names (but not what looks like them).
        @param languages: of who will read it, as tags; None: nothing is foreign.
        """

    def judgeAddress(jid: JID, alike: Iterable[str] = (), languages: Iterable[str] | None = None) -> NameVerdict:
        """
        What to make of the address of somebody who is met, as L{judge} does; and whether its domain looks like one of
        this server's, or all of it like the address of a protected name here.

        @param alike: addresses that it looks like, among those that who meets it knows.
        @param languages: of who meets it, as tags; those that are configured if None.
        """

    def note(verdict: NameVerdict, **facts: object) -> None:
        """
        Count a verdict and write it to the audit log, unless the name is ordinary.

        @param facts: who, where and for whom, for the log; C{overridden} if it was not heeded.
        """

    def error(verdict: NameVerdict, known: Callable[[str], bool] | None = None) -> StanzaError:
        """
        How a refusal is told: C{conflict} if the name looks like one that is there, else C{not-acceptable}; with an
        C{<imitation xmlns='urn:xmppd:names:0'/>} that has the reasons.

        @param known: says of a name that it looks like whether it is no secret from who asks, in any case.
        """


class ILedger(Interface):
    """
    What guests leave behind, noted before it happens and undone when they go (XEP-0175 section 3). One per process;
    the stores of all hosts write through it. Writes concerning guests wait for the note.
    """

    def arrived(bare: str, home: IHost) -> None:
        """A guest is about to be bound, and doesn't depart before it is L{settled}. Per session."""

    def settled(bare: str) -> None:
        """The guest has been bound, or couldn't be."""

    def departed(bare: str) -> None:
        """
        The last session of somebody is over; if it is a guest, undo what it did. Its name is taken until that is done.
        """

    def knows(bare: str) -> bool:
        """Whether a name is that of a guest who is here, or of one whose effects are being undone."""

    def isGone(bare: str) -> bool:
        """Whether a name was a guest's who has gone; remembers a bounded number."""

    def note(bare: str) -> Deferred[None]:
        """
        Something will be kept that is a guest's, in a form the ledger doesn't see: note it first. Does nothing for
        others. Fails with L{StoreUnavailable}.
        """

    def leaves(bare: str) -> Deferred[None]:
        """Note that an account is being removed, to be continued at the next start should there be a crash."""

    def farewell(departure: Departure) -> Deferred[None]:
        """Have the features of all domains take leave of somebody. Fails with L{StoreUnavailable}."""

    def undoLeft() -> Deferred[None]:
        """At start, before anything listens: undo what a server that was killed has left."""

    def stop() -> Deferred[None]:
        """The guests' sessions have ended: fires when what they did is undone, or can't be just now."""


@dataclass(frozen=True, slots=True)
class Invitation:
    """
    An invitation to register one account (XEP-0445). Its token is known only to who was given it.

    @ivar id: names it among administrators; can't be used to register.
    @ivar username: the localpart that it is for and that is reserved meanwhile, or None for any.
    @ivar expires: seconds since the epoch.
    @ivar creator: bare JID of who made it, or empty.
    @ivar anyway: whether the name is meant, whatever it looks like (XEP-0165).
    """

    id: str
    username: str | None
    expires: float
    creator: str = ""
    anyway: bool = False


class IInvitations(Interface):
    """Invitations to register at one host."""

    def create(
        username: str | None = None, seconds: float | None = None, creator: str = "", anyway: bool = False
    ) -> Deferred[tuple[Invitation, str, str]]:
        """
        Make one; answers it, its token, and the C{xmpp:} URI to hand out. Fails with StanzaError: C{not-acceptable}
        for a bad name, C{conflict} for one in use, or one that looks like that where it is refused (XEP-0165),
        C{resource-constraint} if too many are open.

        @param anyway: the name is meant, whatever it looks like.
        """

    def open() -> Deferred[Sequence[Invitation]]:
        """Those that can be used, the one that expires first first."""

    def revoke(id: str) -> Deferred[bool]:
        """Make it useless; answers whether there was one."""

    def of(stream: IClientStream) -> Invitation | None:
        """The invitation that a stream has shown, before its login."""

    def reservation(username: str) -> Deferred[Invitation | None]:
        """
        The open invitation that reserves a prepared localpart, or one that looks like it where such names are refused;
        or None.
        """

    def claim(invitation: Invitation) -> Deferred[bool]:
        """Begin to register with it; False if it was used or revoked meanwhile, or is being used."""

    def settle(invitation: Invitation, used: bool) -> Deferred[None]:
        """The registration has succeeded, or not: then it can be used again."""


VetoPredicate = Callable[[str], bool]
"""Whether no presence may pass between an account and an address."""

Veto = Callable[[str], "VetoPredicate | Deferred[VetoPredicate | None] | None"]
"""The predicate of an account; see L{IPresence.addVeto}."""


class IPresence(Interface):
    """Rosters, subscriptions and presence of one host (RFC 6121 sections 2 to 4). Per presence stanza."""

    def sent(session: ISession, stanza: Stanza) -> None:
        """A local client sent presence of any type; the sender is stamped."""

    def arrived(stanza: Stanza, to: JID) -> None:
        """Presence of any type for an account of this host (bare or full JID) has come."""

    def left(session: ISession) -> None:
        """The session is over: broadcast unavailable presence where it is due (sections 4.5, 4.6)."""

    def dissolve(departure: Departure) -> Deferred[None] | None:
        """
        Somebody goes for good: end all its subscriptions, of whatever domain it was, and take a guest out of others'
        rosters. The last of all farewells; can be repeated.
        """

    def subscription(owner: str, contact: str) -> Deferred[str]:
        """The state of the roster item ("none", "to", "from", "both") that C{owner} has for C{contact}."""

    def lists(owner: str, contact: str) -> bool | None:
        """Whether C{owner} has C{contact} in its roster; None if that roster is not in memory."""

    def passes(session: ISession, stanza: Stanza) -> bool:
        """
        Whether a stanza that is addressed to the full JID of a session may be delivered to it; else it is answered
        with C{service-unavailable} (section 8.5.3.1). Asked for each IQ get or set and for each unavailable presence.
        """

    def vetoOf(account: str) -> Awaitable[VetoPredicate | None]:
        """What says of an address that no presence may pass between it and an account, or None."""

    def addVeto(veto: Veto) -> None:
        """
        Let no presence pass between an account and the addresses a predicate names. C{veto} is called with the bare
        JID of an account and answers its predicate, None, or, for an account without sessions, a Deferred of either.
        """

    def conceal(owner: str, matches: Callable[[str], bool]) -> None:
        """Become unavailable for those who see C{owner} and whom C{matches} names."""

    def reveal(owner: str, matches: Callable[[str], bool]) -> None:
        """
        Send current presence to those with a subscription to C{owner} whom C{matches} names, and ask for theirs.
        """


@dataclass(frozen=True, slots=True)
class PeerHop:
    """
    How a stream with another server is secured, in one direction of stanzas, as far as a user is told.

    @ivar outgoing: whether stanzas go to the other server.
    @ivar version: of TLS, or None without.
    @ivar cipher: the suite, or None.
    @ivar prooftype: how it is known who the other server is, named as administrators see it.
    @ivar authenticated: whether its certificate proves it, which is more than weak identity.
    @ivar mechanism: how the server that has connected has said who it is: "EXTERNAL", "dialback", or None.
    @ivar bidi: whether the stream is used in both directions.
    @ivar until: when the proof has to be renewed, seconds since the epoch, or None.
    """

    outgoing: bool
    version: str | None
    cipher: str | None
    prooftype: str
    authenticated: bool
    mechanism: str | None = None
    bidi: bool = False
    until: float | None = None


@dataclass(frozen=True, slots=True)
class PeerSeen:
    """
    What another server has shown last, in one direction of connecting.

    @ivar outgoing: whether we had connected to it.
    @ivar prooftype: how it was known who it is.
    @ivar authenticated: whether its certificate proved it.
    @ivar sha256: of its certificate, hexadecimal; empty if there was none.
    @ivar authority: who has issued that; may be empty.
    @ivar last: when, seconds since the epoch.
    """

    outgoing: bool
    prooftype: str
    authenticated: bool
    sha256: str
    authority: str
    last: float


class IHops(Interface):
    """
    The hops that stanzas take behind this server. Only says what is: never connects to anybody. One per process; asked
    when users want to know.
    """

    def route(domain: str) -> str:
        """"same": a domain of this server; "component": behind a component of it; "remote": anywhere else."""

    def home(domain: str) -> IHost | None:
        """The host, if it is a domain of this server that has users."""

    def live(local: str, remote: str) -> Sequence[PeerHop]:
        """How the streams are secured that carry stanzas of a pair of domains now; the least secure first."""

    def seen(remote: str) -> Deferred[Sequence[PeerSeen]]:
        """What a domain has shown last, at most once for each direction. May fail with L{StoreUnavailable}."""


class IPersonalNodes(Interface):
    """
    The publish-subscribe nodes of one host's accounts (XEP-0163), for features that follow what users publish, or
    publish what follows from something else their users do.
    """

    def configure(node: str, values: Mapping[str, tuple[str, ...]]) -> None:
        """
        How nodes of a name are configured if their creator doesn't say otherwise.

        @param values: fields of the form C{pubsub#node_config}.
        """

    def follow(
        node: str,
        published: Callable[[Request, NodeItem], Any],
        retracted: Callable[[Request, Sequence[str]], Any] | None = None,
        emptied: Callable[[Request], Any] | None = None,
    ) -> None:
        """
        Call coroutine functions when something has happened to any account's node of that name: with the request that
        did it, whose target is the account, and an item, the ids of items, or nothing. They may raise StanzaError and
        L{StoreUnavailable}, which are logged; the request has succeeded nevertheless.
        """

    def publish(
        request: Request, node: str, item: Element, values: Mapping[str, tuple[str, ...]] | None = None
    ) -> Deferred[None]:
        """
        Publish an C{<item/>} in C{http://jabber.org/protocol/pubsub} for the account that a request of its owner is
        about. Those who follow the node aren't called.

        @param values: how the node is configured if it isn't there yet, as far as that isn't the default.
        """

    def retract(request: Request, node: str, ids: Sequence[str]) -> Deferred[None]:
        """Delete items likewise, and tell who is to be told."""

    def items(account: str, node: str) -> Deferred[Sequence[NodeItem]]:
        """The items of a node in the order of publication; none if there is no such node."""

    def item(account: str, node: str, id: str) -> Deferred[NodeItem | None]:
        """One item, or None."""

    def accessModel(account: str, node: str) -> Deferred[str | None]:
        """The access model of a node, or None if there is no such node."""


class IFeature(Interface):
    """A specification that can join a host. See L{xmppd.hooks.Feature}."""

    name: str = Attribute("Its module's name.")

    def join(host: IHost) -> None:
        """Register responders, hooks, stream features. Raises to stop the start-up."""


class IRoomArchive(Interface):
    """What keeps the messages of a service's rooms (XEP-0313). Set as L{IRooms.archive} when a host is made."""

    namespaces: Sequence[str] = Attribute("Disco features of a room that is archived.")

    def allot(room: str, stanza: Stanza) -> str | None:
        """
        The id of a message that is about to be archived; it is told to everybody as its stanza id (XEP-0359). None for
        one that the archive doesn't keep: that must have no stanza id (XEP-0313 section 3.5). Per message.

        @param room: the room's bare JID.
        @param stanza: the message without what the room adds to it.
        """

    def archive(room: str, id: str, stanza: Stanza, sender: str, disclosed: bool) -> Deferred[None] | None:
        """
        Keep a message. Per message.

        @param id: from L{allot}.
        @param stanza: as all occupants get it, without C{to}; its C{from} is an occupant JID or the room.
        @param sender: the real bare JID of who sent it.
        @param disclosed: whether all occupants see each other's real JIDs.
        @return: None, or what fires when it is durable.
        """

    def author(room: str, id: str) -> Deferred[str | None]:
        """
        The real bare JID of who sent a message that is archived, empty if that is not known any more; None if there
        is no such message. Fails with L{StoreUnavailable}.
        """

    def retract(room: str, id: str, mark: bytes) -> Deferred[bool]:
        """
        A moderator retracts a message: leave nothing of it but a tombstone (XEP-0425 section 4). Answers whether it
        was there.

        @param mark: the elements for the inside of C{<retracted/>}.
        """

    def forget(room: str) -> Deferred[None]:
        """The room is destroyed."""

    def sweep() -> None:
        """All rooms that outlived the last run are known: forget what others, that went with it, have left."""


class IRooms(Interface):
    """The chat rooms of one service (XEP-0045), for administrators and for other features of the same domain."""

    archive: IRoomArchive | None = Attribute("Keeps what is said in rooms that are archived, if anything does.")

    def names() -> Sequence[str]:
        """The bare JIDs of all rooms, in order."""

    def info(room: str) -> Mapping[str, Any] | None:
        """
        A room for people to look at, or None: C{jid}, C{name}, C{subject}, C{occupants} (how many clients), C{locked},
        C{config} (a mapping) and C{affiliations} (by bare JID).
        """

    def establish(room: str, owner: str, name: str) -> Deferred[None]:
        """
        Make a room that stays, with a name for people, unless it is there. Fails with StanzaError: not-allowed where
        the owner may not make rooms; jid-malformed; resource-constraint.
        """

    def destroy(room: str, venue: str | None = None, reason: str | None = None) -> Deferred[None]:
        """Destroy a room. Fails with StanzaError item-not-found."""

    def setAffiliation(room: str, jid: str, affiliation: str) -> Deferred[None]:
        """
        Change an affiliation with the power of an owner. Fails with StanzaError: item-not-found; bad-request for a
        word that is no affiliation; jid-malformed; conflict for the last owner.
        """

    def mayRead(room: str, jid: JID) -> StanzaError | None:
        """
        Why somebody may not read what was said in a room, or None: whoever may enter may read, with a password only
        who is in, or is a member (XEP-0313 section 5.1.2).
        """

    def seesJIDs(room: str, jid: JID, disclosed: bool) -> bool:
        """
        Whether somebody may know who said something in a room.

        @param disclosed: whether occupants saw each other's real JIDs when it was said.
        """

    def guestsBehind(room: str, nick: str, moderator: JID) -> Sequence[str]:
        """
        The full JIDs of the clients behind an occupant who is a guest of this server, for a moderator of the room.
        Raises StanzaError: forbidden for anybody else; item-not-found; not-acceptable for an occupant who is no guest.
        """

    def isArchived(room: str) -> bool:
        """Whether there is such a room, and it is archived."""


# --- what administrators look at ----------------------------------------------------------------------------------


class IInspection(Interface):
    """
    The streams of the server and the certificates of those at the other ends (RFC 7590 section 3.6), as mappings of
    values that JSON can hold, documented in C{docs/metrics.rst}. For administrators, not for stanzas.
    """

    def streams(host: str, peer: str | None = None, servers: bool | None = None) -> Iterator[Mapping[str, Any]]:
        """
        The streams of a domain of ours, in the order of their names; each is looked at when its turn comes.

        @param peer: only those with that domain or address at the other end.
        @param servers: only those with other servers and components, or only those of clients.
        """

    def stream(host: str, id: str) -> Mapping[str, Any] | None:
        """One stream of a domain of ours, with all certificates that the peer has shown (C{chain}); or None."""

    def domains() -> Deferred[Sequence[str]]:
        """The other domains that there is a history of."""

    def history(domain: str) -> Deferred[Mapping[str, Any] | None]:
        """
        What another domain has shown: C{sightings}, the latest first, each with its C{chain} as far as it is kept, and
        C{warnings}. None if it was never seen.
        """

    def acknowledge(domain: str, by: str) -> Deferred[int]:
        """
        Note that somebody has looked at the warnings about a domain, which are kept but no longer shown with its
        streams. Answers how many there were.

        @param by: who has; for the others to see.
        """


# --- other ways in ------------------------------------------------------------------------------------------------


class IWebIntake(Interface):
    """Takes the body of one HTTP request, portion by portion."""

    def received(data: bytes) -> WebResponse | None:
        """A portion has come. A response ends the matter: nothing more is called, the connection is closed."""

    def finished() -> WebResponse | Deferred[WebResponse]:
        """The body is complete."""

    def aborted() -> None:
        """The rest won't come, or came too slowly."""


class IWebResource(Interface):
    """What answers HTTP requests below a path."""

    def respond(request: WebRequest) -> WebResponse | IWebIntake | Deferred[WebResponse | None] | None:
        """
        Answer a request; None: there is nothing by that name here. A request with a body is answered at once, by what
        takes the body or by a refusal. May fail with L{StoreUnavailable}.
        """


class IWeb(Interface):
    """The one web site of a server, on all its HTTP listeners."""

    def mount(path: str, resource: IWebResource) -> None:
        """
        Have a resource asked about everything at and below a path ("/upload"), or about "/" alone. Several resources
        of one path are asked in order, until one has an answer.
        """

    def address(domain: str) -> str | None:
        """
        The URL of the site for clients of a domain, without a slash at the end; None if there is none that they could
        trust: no listener with TLS, or no certificate for the domain or one above it.
        """


class IRelayed(Interface):
    """One connection to a SOCKS5 port whose request has been granted (XEP-0065)."""

    address: str = Attribute("The peer's address.")

    def join(other: IRelayed, paces: Sequence[Any], left: Callable[[], None]) -> None:
        """
        Pass octets on between the two from now on, until one ends. Called on one of the two.

        @param paces: objects whose C{spend(octets)} answers for how many seconds to pause.
        @param left: called when both are gone.
        """

    def abort() -> None:
        """Close it."""


class IBytestreams(Interface):
    """Decides about the connections of a SOCKS5 port (XEP-0065)."""

    endpoints: Sequence[str] = Attribute("Where to listen, as Twisted's endpoint strings.")
    port: int = Attribute("The port that clients are told; set to the real one when it listens, unless configured.")

    def arrived(connection: IRelayed, name: str) -> bool:
        """A connection asks for a stream by the name (DST.ADDR) that both sides give; whether it is granted."""

    def departed(connection: IRelayed) -> None:
        """A connection that was granted is gone, without having been joined."""


# --- stores -------------------------------------------------------------------------------------------------------
#
# Every Deferred of a write fires when the write is durable; it fails with L{StoreUnavailable} when the disk or the
# database refused, and then nothing was written. Every read sees all writes whose Deferreds have fired.


class StoreUnavailable(Exception):
    """The database can't be written or read just now (full disk, lost connection). Nothing was changed."""


class Exists(Exception):
    """There is one by that name already."""


class Resembles(Exists):
    """
    There are ones whose names look like that name.

    @ivar names: some of them, in order.
    """

    def __init__(self, names: Iterable[str]) -> None:
        self.names = tuple(names)
        super().__init__(", ".join(self.names))


class Missing(Exception):
    """There is none by that name."""


class IAccountStore(Interface):
    """Accounts and their SCRAM keys. Called per login and by administrators."""

    def create(jid: str, keys: Sequence[StoredKeys], stamp: float, distinct: bool = False) -> Deferred[None]:
        """
        Make an account. Fails with L{Exists}. Messages that were spooled for the name while no account had it are
        deleted: they were on their way to somebody who is gone. Its localpart goes into the index of names (see
        L{INameStore}) in the same transaction.

        @param distinct: fail with L{Resembles} if the localpart looks like that of another account of the domain.
        """

    def remove(jid: str) -> Deferred[None]:
        """Delete the account and everything of it, like L{IStore.forget}. Fails with L{Missing}."""

    def get(jid: str) -> Deferred[AccountRecord | None]:
        """The account, or None."""

    def keys(jid: str, hashName: str) -> Deferred[tuple[AccountRecord, StoredKeys | None] | None]:
        """Account and keys for one hash, or None if there is no account; the keys are None for a missing hash."""

    def setKeys(jid: str, keys: Sequence[StoredKeys]) -> Deferred[None]:
        """Replace all keys. Fails with L{Missing}."""

    def addKeys(jid: str, keys: StoredKeys, beside: StoredKeys) -> Deferred[bool]:
        """
        Add keys for one more hash, if C{beside} are still the account's for theirs, and there are none for that hash
        yet; answers whether that was so. So keys of a password that has been changed meanwhile are never added.
        """

    def setDisabled(jid: str, disabled: bool) -> Deferred[None]:
        """Refuse or allow login. Fails with L{Missing}."""

    def setLastActivity(jid: str, stamp: float, status: str) -> Deferred[None]:
        """Note when the last session ended. An unknown account is ignored."""

    def list(domain: str, after: str = "", limit: int = 100) -> Deferred[Sequence[AccountRecord]]:
        """Accounts of a domain in the order of their JIDs, those after C{after}."""

    def count(domain: str) -> Deferred[int]:
        """How many accounts a domain has."""

    def rounds(domain: str, hashName: str) -> Deferred[Mapping[int, int]]:
        """How many accounts of a domain have keys for a hash, by their iterations. Looks at all of them."""


class IRosterStore(Interface):
    """Rosters with versions. Called per roster query and per subscription change."""

    def get(account: str) -> Deferred[RosterChanges]:
        """All items, unlisted ones too (C{complete} is True)."""

    def since(account: str, version: int) -> Deferred[RosterChanges]:
        """
        What changed after C{version}; the complete roster if the version is unknown, in the future, or so old that
        removals have been forgotten. Unlisted items are left out.
        """

    def put(account: str, item: RosterItem) -> Deferred[int]:
        """Add or replace an item and answer the new version of the roster, which is also the item's."""

    def delete(account: str, jid: str) -> Deferred[int]:
        """Remove an item and answer the new version. Fails with L{Missing}."""

    def putMany(account: str, items: Sequence[RosterItem]) -> Deferred[int]:
        """Add or replace several items in one transaction and answer the last version."""

    def expunge(account: str, bare: str) -> Deferred[int]:
        """
        Remove the items of an address and of its resources, and every memory of their removal: whoever asks what has
        changed since gets the complete roster. Answers the version of the roster, which stays if there was nothing.
        """


class ISpoolStore(Interface):
    """
    Messages that must not be lost, and the sessions that will take them (XEP-0160, XEP-0198).
    """

    def add(messages: Sequence[SpooledMessage]) -> Deferred[Sequence[int]]:
        """Keep messages; answers their ids, in order."""

    def offline(account: str, limit: int = 1000) -> Deferred[Sequence[SpooledMessage]]:
        """Messages without holder, oldest first."""

    def count(account: str) -> Deferred[int]:
        """How many messages without holder there are."""

    def held(holder: str) -> Deferred[Sequence[SpooledMessage]]:
        """Messages of a holder in the order of their ids."""

    def remove(ids: Iterable[int]) -> Deferred[None]:
        """The recipient has them. Unknown ids are ignored."""

    def release(holder: str) -> Deferred[int]:
        """The holder is gone: its messages have no holder any more. Answers how many."""

    def hold(ids: Iterable[int], holder: str, sequences: Iterable[int]) -> Deferred[None]:
        """Messages now stand in the queue of C{holder} with these sequence numbers."""

    def saveSession(record: ManagedSessionRecord) -> Deferred[None]:
        """Add or replace a session under stream management, by its token."""

    def acknowledge(token: str, inbound: int, messages: Sequence[SpooledMessage]) -> Deferred[Sequence[int]]:
        """
        In one transaction: note that C{inbound} stanzas of the session with C{token} are handled, and keep the
        messages that this promise covers. Answers the messages' ids.
        """

    def removeSession(token: str) -> Deferred[None]:
        """Forget a session; unknown tokens are ignored. Its held messages stay held."""

    def renameSession(old: str, record: ManagedSessionRecord) -> Deferred[None]:
        """Replace a session by another token in one transaction; messages held by the old are held by the new."""

    def sessions() -> Deferred[Sequence[ManagedSessionRecord]]:
        """All of them; asked once at start."""

    def releaseUnheld() -> Deferred[int]:
        """At start: messages whose holder is no saved session lose their holder. Answers how many."""


ABOUT: Final = ("room-affiliation", "room-hats", "room-registration")
"""Kinds of facts that aren't of whom they are about: their key is that one's bare JID."""


class IFactStore(Interface):
    """
    Small facts: bytes by owner, kind and key. An owner is a bare JID or a domain. Features keep private XML, vCards,
    block lists, invitations here, so that forgetting an owner can't miss a kind.
    """

    def get(owner: str, kind: str, key: str) -> Deferred[bytes | None]:
        """One fact, or None."""

    def put(owner: str, kind: str, key: str, value: bytes) -> Deferred[None]:
        """Add or replace."""

    def putNew(owner: str, kind: str, key: str, value: bytes) -> Deferred[bool]:
        """Add; answers False and changes nothing if there is one."""

    def delete(owner: str, kind: str, key: str) -> Deferred[bool]:
        """Remove; answers whether there was one."""

    def all(owner: str, kind: str) -> Deferred[Mapping[str, bytes]]:
        """All facts of a kind, by key in order."""

    def replaceAll(owner: str, kind: str, facts: Mapping[str, bytes]) -> Deferred[None]:
        """Make these all there are of that kind, in one transaction."""

    def size(owner: str) -> Deferred[int]:
        """How many bytes the owner's facts take, keys included."""

    def forget(owner: str) -> Deferred[None]:
        """Remove everything of an owner."""

    def kinds(owner: str) -> Deferred[Mapping[str, int]]:
        """How many facts of each kind an owner has."""

    def owners(kind: str, domain: str) -> Deferred[Sequence[str]]:
        """Those whose domain part is C{domain} and who have facts of that kind, in order. For starts, not stanzas."""


class IArchiveStore(Interface):
    """Archives of accounts and rooms (XEP-0313). Written once per archived message, in groups."""

    def add(messages: Sequence[ArchivedMessage]) -> Deferred[None]:
        """
        Archive messages. One whose id is in the archive already is ignored, so that a failed call can be repeated.

        @raise ValueError: an id isn't made from its stamp, or something is too long.
        """

    def query(owner: str, query: ArchiveQuery) -> Deferred[ArchivePage]:
        """
        A page. Fails with L{Missing} if an id the query names is not in the archive, or if C{pageIndex} points
        further into a large result than can be counted.
        """

    def ends(owner: str) -> Deferred[tuple[ArchivedMessage, ArchivedMessage] | None]:
        """The first and the last message, or None if there are none."""

    def replace(owner: str, id: str, stanza: bytes) -> Deferred[bool]:
        """Put other bytes in a message's place (a tombstone, XEP-0424); answers whether it was there."""

    def remove(owner: str, ids: Iterable[str]) -> Deferred[None]:
        """Delete messages; unknown ids are ignored."""

    def prune(before: float, owner: str | None = None, most: int = 10000) -> Deferred[int]:
        """
        Delete messages older than C{before} (of one owner, or of all), the oldest first, at most so many or fewer;
        answers how many. To be repeated until that is 0.
        """

    def forget(owner: str) -> Deferred[None]:
        """Delete an archive; a large one in several transactions, the oldest messages first."""

    def count(owner: str) -> Deferred[int]:
        """How many messages an archive has."""

    def disown(sender: str) -> Deferred[None]:
        """
        Take an address out of everything whose C{sender} it is; many messages in several transactions. What they say
        stays.
        """

    def owners(after: str = "", limit: int = 1000) -> Deferred[Sequence[str]]:
        """The owners of archives behind C{after} in order, at most so many. For starts: there may be many."""


class INodeStore(Interface):
    """
    Nodes of publish-subscribe with items, affiliations and subscriptions (XEP-0060, XEP-0163).

    Everything raises ValueError for the name of a node of more than 512 octets, and for an item, a configuration or
    options of more than a mebioctet.
    """

    def create(record: NodeRecord) -> Deferred[None]:
        """Make a node. Fails with L{Exists}."""

    def get(owner: str, node: str) -> Deferred[NodeRecord | None]:
        """A node, or None."""

    def configure(owner: str, node: str, config: str) -> Deferred[None]:
        """Replace the configuration. Fails with L{Missing}."""

    def delete(owner: str, node: str) -> Deferred[None]:
        """Delete a node with everything in it. Fails with L{Missing}."""

    def nodes(owner: str, after: str = "", limit: int = 1000) -> Deferred[Sequence[NodeRecord]]:
        """Nodes of an owner by name."""

    def publish(owner: str, node: str, items: Sequence[NodeItem], most: int) -> Deferred[Sequence[str]]:
        """
        Add or replace items, which become the newest, and delete the oldest beyond C{most} (at most 10,000 are ever
        kept), in one transaction. Answers the ids deleted, the oldest first. Fails with L{Missing} if there is no such
        node.
        """

    def items(owner: str, node: str, limit: int = 1000, before: str | None = None) -> Deferred[Sequence[NodeItem]]:
        """The newest items, newest first; with C{before} those published before that item (Missing if unknown)."""

    def itemsById(owner: str, node: str, ids: Sequence[str]) -> Deferred[Sequence[NodeItem]]:
        """The items there are of these ids."""

    def countItems(owner: str, node: str) -> Deferred[int]:
        """How many items a node has."""

    def retract(owner: str, node: str, ids: Sequence[str]) -> Deferred[Sequence[str]]:
        """Delete items; answers the ids that were there."""

    def purge(owner: str, node: str) -> Deferred[None]:
        """Delete all items."""

    def affiliations(owner: str, node: str) -> Deferred[Mapping[str, str]]:
        """Affiliations by bare JID."""

    def setAffiliations(owner: str, node: str, changes: Mapping[str, str]) -> Deferred[None]:
        """Change affiliations; "none" removes. Fails with L{Missing}."""

    def affiliationsOf(owner: str, entity: str) -> Deferred[Mapping[str, str]]:
        """The affiliations of an entity by node, over all nodes of the owner."""

    def subscriptions(owner: str, node: str) -> Deferred[Sequence[NodeSubscription]]:
        """All subscriptions of a node."""

    def setSubscription(owner: str, node: str, subscription: NodeSubscription) -> Deferred[None]:
        """Add or replace by (jid, subid); state "none" removes. Fails with L{Missing}."""

    def subscriptionsOf(owner: str, bare: str) -> Deferred[Sequence[tuple[str, NodeSubscription]]]:
        """(node, subscription) of an entity's bare JID or its resources, over all nodes of the owner."""

    def size(owner: str) -> Deferred[int]:
        """How many bytes the owner's nodes and items take."""

    def forget(owner: str) -> Deferred[None]:
        """Delete all nodes of an owner."""

    def forgetEntity(bare: str) -> Deferred[None]:
        """
        Delete affiliations and subscriptions of an entity at all owners, and its name as creator of nodes and publisher
        of items.
        """

    def ownerless(owner: str) -> Deferred[Sequence[str]]:
        """The names of nodes that have lost their creator and have no affiliation "owner", at most 1000."""


class INameStore(Interface):
    """
    The index of look-alikes (XEP-0165): each name that lives has rows of its own, one for each of its
    L{keys<xmppd.wire.confusable.keys>}; so when one of two look-alikes goes, the other is as well protected as before.

    Accounts are in it by themselves, with kind "account", from L{IAccountStore.create} until they are forgotten. Other
    names are brought by who makes them, and go with their owner (L{IStore.forget}) if not before. Keys depend on the
    version of Unicode's data: L{add} everything again when that has changed.
    """

    def add(records: Sequence[NameRecord]) -> Deferred[None]:
        """Add names, or their new keys and owners if they are there already; in one transaction."""

    def claim(record: NameRecord) -> Deferred[Sequence[NameRecord]]:
        """
        Add a name if none of another owner in its kind and space looks like it or is it; answers those that do: none
        means that it was added. Of several who claim look-alikes at a time one gets it.
        """

    def remove(kind: str, space: str, name: str) -> Deferred[None]:
        """Take a name away; one that isn't there is ignored."""

    def alike(kind: str, space: str, name: str, limit: int = 10) -> Deferred[Sequence[NameRecord]]:
        """Names of that kind and space that look like C{name}, without itself, by name; at most so many."""

    def list(kind: str, space: str, after: str = "", limit: int = 1000) -> Deferred[Sequence[NameRecord]]:
        """Names behind C{after} in their order, at most so many. Looks at all in that space: not for accounts."""

    def groups(
        kind: str, space: str, after: str = "", limit: int = 100, before: str = ""
    ) -> Deferred[Sequence[tuple[str, Sequence[NameRecord]]]]:
        """
        What exists of look-alikes: several names with a key in common, by the hash of that key (hexadecimal digits),
        those behind C{after}; at most so many groups. The same names may come in several groups. For audits: a page
        looks at all names from there to its end, or to C{before}, which need not be all of a hash.
        """


class IStore(Interface):
    """A back end: opens, migrates, closes; provides the small stores."""

    accounts: IAccountStore = Attribute("Accounts.")
    rosters: IRosterStore = Attribute("Rosters.")
    spool: ISpoolStore = Attribute("Waiting messages.")
    facts: IFactStore = Attribute("Facts.")
    archives: IArchiveStore = Attribute("Archives.")
    pubsub: INodeStore = Attribute("Nodes of publish-subscribe.")
    nameIndex: INameStore = Attribute("Names and what they look like.")

    def open() -> Deferred[None]:
        """Connect and migrate. Fails with L{StoreUnavailable} whose text says what to do."""

    def close() -> Deferred[None]:
        """Write everything accepted so far, then let go."""

    def forget(owner: str) -> Deferred[None]:
        """
        Delete everything of an account, a guest or a room: the account itself, keys, roster, messages and sessions,
        facts, archive, nodes, its affiliations and subscriptions at others' nodes, what rooms keep of it (facts of the
        kinds in L{ABOUT} with it as key), and its address as the sender of what rooms have archived.
        What others keep of it (their rosters, archives, its items in their nodes, what it said in rooms) is theirs, but
        the items don't name it any more. One transaction, before which a large archive is deleted in several.
        """


# --- what the outside world provides ------------------------------------------------------------------------------


class IEntropy(Interface):
    """Randomness, replaceable in tests."""

    def token(octets: int = 16) -> str:
        """A URL-safe text with that many random octets; at least 16 wherever somebody could gain by guessing."""

    def uuid() -> str:
        """A random UUID (version 4)."""
