"""
The named moments that features may join, and what a feature is.

Each L{Hook} has three phases, always in this order: I{refuse} (may say no, by answering a StanzaError), I{change} (may
answer something else in place of what came) and I{observe} (may look). An empty phase is an empty tuple, so a moment
nobody joined costs one truth test.

A feature is a module in C{xmppd.features} with a module-level L{Feature} called C{feature}.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from zope.interface import implementer

from xmppd.ixmppd import IFeature, IHost
from xmppd.wire import ns
from xmppd.wire.element import Element
from xmppd.wire.errors import StanzaError

if TYPE_CHECKING:
    from twisted.internet.defer import Deferred

    from xmppd.ixmppd import ILoginFeature, ISession, ITokens, Request


class Unanswered(StanzaError):
    """A refusal its sender isn't told of: the stanza just goes no further."""


class Hook:
    """
    One moment.

    @ivar refuse: callables that answer a StanzaError to refuse (L{Unanswered} to do so silently), or None.
    @ivar change: callables that answer what to go on with.
    @ivar observe: callables whose answer is ignored.
    """

    __slots__ = ("change", "name", "observe", "refuse")

    def __init__(self, name: str) -> None:
        self.name = name
        self.refuse: tuple[Callable[..., Any], ...] = ()
        self.change: tuple[Callable[..., Any], ...] = ()
        self.observe: tuple[Callable[..., Any], ...] = ()

    def addRefusal(self, callable: Callable[..., Any], *, first: bool = False) -> None:
        """Join the first phase; before those who are there already, if asked for."""
        self.refuse = (callable, *self.refuse) if first else (*self.refuse, callable)

    def addChange(self, callable: Callable[..., Any]) -> None:
        """Join the second phase."""
        self.change = (*self.change, callable)

    def addObserver(self, callable: Callable[..., Any]) -> None:
        """Join the third phase."""
        self.observe = (*self.observe, callable)

    def remove(self, callable: Callable[..., Any]) -> None:
        """Leave all phases; nothing happens if it isn't there."""
        self.refuse = tuple(each for each in self.refuse if each != callable)
        self.change = tuple(each for each in self.change if each != callable)
        self.observe = tuple(each for each in self.observe if each != callable)

    def notify(self, *arguments: Any) -> None:
        """Run the observers. What they raise is a mistake of ours and goes to the caller."""
        for observer in self.observe:
            observer(*arguments)

    async def settle(self, *arguments: Any) -> None:
        """Run the observers one after the other and wait for what they answer, if that can be waited for."""
        for observer in self.observe:
            answer = observer(*arguments)
            if inspect.isawaitable(answer):
                await answer


@dataclass(slots=True, eq=False)
class Hooks:
    """
    All moments of one host, with the arguments their callables get.

    @ivar starting: (): the store is open and nothing listens yet; observers may answer a Deferred, and if it fails the
        server doesn't start.
    @ivar stopping: (): streams have ended, the store is still open; observers may answer a Deferred.
    @ivar advertising: (stream, features as bytes): before C{<stream:features/>} is sent; change.
    @ivar authenticated: (stream): an avatar was given; observe.
    @ivar binding: (stream, resource): refuse, change (answers the resource to use, or None for a server-made one).
    @ivar bound: (session): observe. The session has no stream if it was revived after a restart of the server.
    @ivar restored: (): the sessions of before a restart are back, hibernating, and messages whose holder is not are
        offline messages; observers may answer a Deferred, like those of C{starting}; observe.
    @ivar resumed: (session): a hibernating session has a stream again (XEP-0198 section 5); observe.
    @ivar spotted: (session): bytes that a feature looks out for (C{IHost.watched}) have come from the client for the
        first time on its stream, and are about to be acted on; observe.
    @ivar ended: (session): the session is over and not resumable; observe.
    @ivar available: (session, first): presence was broadcast as available; C{first} if it was not before; observe.
    @ivar unavailable: (session, stanza): the client broadcast unavailable presence, in whose status there may be a
        text; not called when a session just ends; observe.
    @ivar presenting: (session, stanza): presence of any type from a local client, after C{outgoing}; change.
    @ivar stored: (request, kind, elements): a user has replaced something the server keeps for the account, of that
        kind of fact; observers may answer a Deferred or a coroutine, which is awaited before the request is answered.
    @ivar shown: (bare JID, contact): a contact has begun to see the presence of an account that has sessions; observe.
    @ivar outgoing: (session, stanza): from a local client, sender stamped; refuse, change, observe.
    @ivar incoming: (session, stanza): to a local client; refuse, change, observe.
    @ivar door: (stanza): for the domain, or for one of its addresses without going to a session directly, from anybody;
        refuse, change.
    @ivar meeting: (L{xmppd.ixmppd.Meeting}): somebody asks to subscribe; observers append what speaks for caution, and
        may answer a Deferred or a coroutine, which is awaited before the request is delivered.
    @ivar naming: (bare JID, contact, name, roster): a user gives a contact a handle, or takes it into the roster, which
        is given as items by JID; refuse, whose callables may answer a Deferred.
    @ivar referred: (stanza): somebody sends contacts (XEP-0144) to a user of this host; observe.
    @ivar approached: (session): somebody of this server whose name may deceive is about to write to the full JID of a
        session; observe.
    @ivar suspected: (stanza): another feature thinks that the message, which it is about to let pass, isn't well meant;
        observe.
    @ivar loading: (bare JID): a session is about to be bound; observers may answer a Deferred, and the session is not
        visible before all have fired. If one fails, binding fails.
    @ivar undeliverable: (stanza, bare JID): a message for an account of this host that no session can take. Change:
        answers None when it took the message (adding to its C{promise} what is to be awaited), or the stanza for the
        next.
    @ivar asked: (request): somebody asks another's account, which the server is about to answer on its behalf; refuse,
        whose callables may answer a Deferred.
    @ivar leaving: (stanza): to a domain not on this server; refuse, change.
    @ivar arriving: (stanza): from a domain not on this server; refuse, change.
    @ivar registering: (request or None, username): an account is about to be made; refuse.
    @ivar registered: (bare JID): observe.
    @ivar farewell: (L{xmppd.ixmppd.Departure}): a guest has gone, or an account is being removed. On all domains of
        the server, while the store still has everything: undo what others see of it, and have them told, in a way that
        can be repeated; observers may answer a Deferred or a coroutine. If the store fails, all is tried again.
    @ivar removed: (bare JID): an account is gone with all it stored, or a guest that had stored something; observe.
    @ivar rekeyed: (bare JID): an account's password was changed; observe.
    """

    starting: Hook = field(default_factory=lambda: Hook("starting"))
    stopping: Hook = field(default_factory=lambda: Hook("stopping"))
    advertising: Hook = field(default_factory=lambda: Hook("advertising"))
    authenticated: Hook = field(default_factory=lambda: Hook("authenticated"))
    binding: Hook = field(default_factory=lambda: Hook("binding"))
    loading: Hook = field(default_factory=lambda: Hook("loading"))
    bound: Hook = field(default_factory=lambda: Hook("bound"))
    restored: Hook = field(default_factory=lambda: Hook("restored"))
    resumed: Hook = field(default_factory=lambda: Hook("resumed"))
    spotted: Hook = field(default_factory=lambda: Hook("spotted"))
    ended: Hook = field(default_factory=lambda: Hook("ended"))
    available: Hook = field(default_factory=lambda: Hook("available"))
    unavailable: Hook = field(default_factory=lambda: Hook("unavailable"))
    presenting: Hook = field(default_factory=lambda: Hook("presenting"))
    stored: Hook = field(default_factory=lambda: Hook("stored"))
    shown: Hook = field(default_factory=lambda: Hook("shown"))
    outgoing: Hook = field(default_factory=lambda: Hook("outgoing"))
    incoming: Hook = field(default_factory=lambda: Hook("incoming"))
    door: Hook = field(default_factory=lambda: Hook("door"))
    meeting: Hook = field(default_factory=lambda: Hook("meeting"))
    naming: Hook = field(default_factory=lambda: Hook("naming"))
    referred: Hook = field(default_factory=lambda: Hook("referred"))
    approached: Hook = field(default_factory=lambda: Hook("approached"))
    suspected: Hook = field(default_factory=lambda: Hook("suspected"))
    undeliverable: Hook = field(default_factory=lambda: Hook("undeliverable"))
    asked: Hook = field(default_factory=lambda: Hook("asked"))
    leaving: Hook = field(default_factory=lambda: Hook("leaving"))
    arriving: Hook = field(default_factory=lambda: Hook("arriving"))
    registering: Hook = field(default_factory=lambda: Hook("registering"))
    registered: Hook = field(default_factory=lambda: Hook("registered"))
    farewell: Hook = field(default_factory=lambda: Hook("farewell"))
    removed: Hook = field(default_factory=lambda: Hook("removed"))
    rekeyed: Hook = field(default_factory=lambda: Hook("rekeyed"))


@dataclass(frozen=True, slots=True)
class Spec:
    """
    A specification a feature implements.

    @ivar document: "RFC 6121" or "XEP-0199".
    @ivar version: the version built, empty for an RFC.
    """

    document: str
    version: str = ""


@dataclass(frozen=True, slots=True)
class Option:
    """
    A value an administrator can set for a feature on a host.

    @ivar default: used when it is not set; its type is the type the option has to have.
    @ivar about: one sentence for the reference.
    @ivar check: answers why a value is not good, or None.
    """

    default: Any
    about: str
    check: Callable[[Any], str | None] | None = None


EVERYWHERE = ("host", "rooms", "pubsub", "upload", "proxy")
"""All kinds of domain."""


@implementer(IFeature)
@dataclass(frozen=True, slots=True)
class Feature:
    """
    A specification, ready to join hosts.

    @ivar name: the module's name.
    @ivar specs: what it implements.
    @ivar namespaces: disco features it adds to the domain.
    @ivar accountNamespaces: disco features it adds to accounts' bare JIDs.
    @ivar options: what can be configured, by key.
    @ivar after: names of features that have to join earlier if they are there at all.
    @ivar needs: whether the host needs registered accounts for it to make sense ("accounts"), or empty.
    @ivar optional: whether it joins only where the configuration names it.
    @ivar joins: which kinds of domain it joins: "host" (users), or the tables of services ("rooms", "pubsub",
        "upload", "proxy"); L{EVERYWHERE} for all.
    @ivar serves: the table of services whose domains this feature makes work, or empty; the keys of such a table are
        its options.
    @ivar identities: disco identities (category, type, name) it adds to the domain.
    """

    name: str
    join: Callable[[IHost], None]
    specs: tuple[Spec, ...] = ()
    namespaces: tuple[str, ...] = ()
    accountNamespaces: tuple[str, ...] = ()
    options: Mapping[str, Option] = field(default_factory=dict)
    after: tuple[str, ...] = ()
    needs: str = ""
    optional: bool = False
    joins: tuple[str, ...] = ("host",)
    serves: str = ""
    identities: tuple[tuple[str, str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Command:
    """
    An ad-hoc command (XEP-0050) of a host.

    @ivar node: its node.
    @ivar title: its name for people.
    @ivar execute: called with (request, form values by field or None at the first stage; values of later stages are
        added to those of earlier ones); answers a L{CommandForm}, a
        L{CommandResult} or a Deferred or coroutine of one; raises StanzaError.
    @ivar admin: whether only administrators may.
    """

    node: str
    title: str
    execute: Callable[[Request, Mapping[str, tuple[str, ...]] | None], CommandAnswer | Awaitable[CommandAnswer]]
    admin: bool = True


@dataclass(frozen=True, slots=True)
class CommandForm:
    """
    A form to fill in.

    @ivar form: the C{<x xmlns='jabber:x:data' type='form'/>}.
    @ivar last: whether the command completes when this form is submitted; otherwise another form will follow.
    """

    form: Element
    last: bool = True


@dataclass(frozen=True, slots=True)
class CommandResult:
    """
    The end of a command.

    @ivar form: a form of type C{result}, or None.
    @ivar note: a sentence for people, or None.
    @ivar noteType: "info", "warn" or "error".
    """

    form: Element | None = None
    note: str | None = None
    noteType: str = "info"


CommandAnswer = CommandForm | CommandResult


# --- service discovery --------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class DiscoInfo:
    """
    What an entity or one of its nodes is and can do (XEP-0030 section 3).

    @ivar identities: (category, type, name); the name may be empty.
    @ivar features: namespaces and other features.
    @ivar forms: extended information (XEP-0128).
    """

    identities: tuple[tuple[str, str, str], ...]
    features: tuple[str, ...]
    forms: tuple[Element, ...] = ()

    def toElement(self, node: str | None = None) -> Element:
        """The C{<query/>} of a disco#info result; the node is mirrored."""
        children: list[Element] = []
        for category, type, name in self.identities:
            attrs = {"category": category, "type": type, **({"name": name} if name else {})}
            children.append(Element("identity", ns.DISCO_INFO, attrs))
        children += [Element("feature", ns.DISCO_INFO, {"var": var}) for var in self.features]
        return Element("query", ns.DISCO_INFO, {} if node is None else {"node": node}, (*children, *self.forms))


@dataclass(frozen=True, slots=True)
class DiscoItem:
    """
    One item associated with an entity (XEP-0030 section 4).

    @ivar name: for people, may be empty.
    @ivar node: None if the item is addressed by its JID alone.
    """

    jid: str
    name: str = ""
    node: str | None = None

    def toElement(self) -> Element:
        """The C{<item/>}."""
        attrs = {"jid": self.jid, **({"name": self.name} if self.name else {})}
        return Element("item", ns.DISCO_ITEMS, attrs if self.node is None else {**attrs, "node": self.node})


# --- login --------------------------------------------------------------------------------------------------------

Enabling = Callable[["ISession", Element], "Awaitable[bytes] | bytes"]
"""Called with a new session and what the client asks for; answers what to tell it in C{<bound/>}."""


@dataclass(slots=True, eq=False)
class Inline:
    """
    What one host negotiates along with a login (XEP-0388) and along with a resource (XEP-0386).

    @ivar features: with a login, in the order in which they act.
    @ivar bindable: with a resource: the names under which they are offered, and what they do, by the name of the
        element that asks for it.
    @ivar bound: called with each session that was made along with a login; answers what C{<bound/>} says in any case.
    @ivar tokens: what knows tokens, or None.
    """

    features: list[ILoginFeature] = field(default_factory=list)
    bindable: dict[str, tuple[str, Enabling]] = field(default_factory=dict)
    bound: list[Callable[[ISession], Awaitable[bytes]]] = field(default_factory=list)
    tokens: ITokens | None = None

    def add(self, feature: ILoginFeature) -> None:
        """Negotiate something along with logins."""
        self.features.append(feature)
        self.features.sort(key=lambda each: each.rank)


InfoSource = Callable[["Request", str], "DiscoInfo | Deferred[DiscoInfo | None] | None"]
"""Called with (request, node): what the node is, or None if it is not one of the source's. May raise StanzaError."""

ItemSource = Callable[["Request", str], "Sequence[DiscoItem] | Deferred[Sequence[DiscoItem] | None] | None"]
"""Called with (request, node): the node's items, or None if it is not one of the source's. May raise StanzaError."""


@dataclass(slots=True, eq=False)
class Disco:
    """
    What features tell service discovery on one host, besides identities and namespaces. Sources are asked in order
    until one answers; those of accounts are asked only on behalf of somebody who may know of the account.

    @ivar forms: extended information about the domain (XEP-0128); also part of its entity capabilities.
    @ivar info: nodes of the domain.
    @ivar items: items of the domain's nodes; the empty node stands for none: then all sources' items are listed.
    @ivar listing: answers disco#items of the domain itself in place of all that, for lists that come in pages
        (XEP-0059); or None.
    @ivar accountInfo: nodes of accounts.
    @ivar accountItems: items of accounts' nodes, and of accounts with the empty node.
    @ivar accountIdentities: identities (category, type, name) of every account, besides its being one.
    """

    forms: list[Element] = field(default_factory=list)
    info: list[InfoSource] = field(default_factory=list)
    items: list[ItemSource] = field(default_factory=list)
    listing: Callable[[Request], Element] | None = None
    accountInfo: list[InfoSource] = field(default_factory=list)
    accountItems: list[ItemSource] = field(default_factory=list)
    accountIdentities: list[tuple[str, str, str]] = field(default_factory=list)


def domainInfo(host: Any) -> DiscoInfo:
    """What the domain of a host is and can do, in the canonical order of XEP-0115 section 5.1."""
    return DiscoInfo(
        tuple(sorted(host.identities)), tuple(sorted(host.namespaces, key=str.encode)), tuple(host.disco.forms)
    )
