"""
Push notifications (XEP-0357): services that wake a sleeping client are told that there is something for it.

Theory of operation. A client names nodes of push services, which are kept with the account; and its session remembers
that it was the one. Two things make a notification: a message that no session can take, which is told to all nodes of
the account; and a message for a session whose connection is gone, which is told to the nodes that this session named.
Only sessions that have named one are looked at. When a connection is found to be gone, messages given to it shortly
before may not have arrived: they count as if they came now.

Each node gets one notification at a time, and not more than one in some seconds; what comes meanwhile is told together
with the next. What is told is a number of messages; the sender and the text only if the administrator has said so
(section 9). A service that answers with errors several times in a row is dropped, sooner if they are no passing ones
(section 7.1).

Left out: removing a node when its service announces that in a message (section 8); the next errors do it.
"""

from __future__ import annotations

import hashlib
import json
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, Final

from twisted.internet.defer import Deferred, succeed
from twisted.logger import Logger
from twisted.python.failure import Failure

from xmppd.adapters import checkStorage, sendingRefusal
from xmppd.hooks import Feature, Option, Spec
from xmppd.ixmppd import IHost, ISession, Request, StoreUnavailable
from xmppd.wire import forms, ns
from xmppd.wire.element import Element, parse
from xmppd.wire.errors import ErrorType, StanzaCondition, StanzaError
from xmppd.wire.jid import parse as parseJID
from xmppd.wire.stanza import BODY, Stanza, build

log = Logger(namespace="xmppd.push")

NAME: Final = "xep0357_push"
KIND: Final = "push"
ENABLE: Final = f"{ns.PUSH} enable"
DISABLE: Final = f"{ns.PUSH} disable"
PUBSUB: Final = "http://jabber.org/protocol/pubsub"
PUBLISH_OPTIONS: Final = f"{PUBSUB}#publish-options"

ENCRYPTED: Final = frozenset({
    "eu.siacs.conversations.axolotl encrypted",
    "urn:xmpp:omemo:1 encrypted",
    "urn:xmpp:omemo:2 encrypted",
    "urn:xmpp:openpgp:0 openpgp",
})
"""What is a message although it may have no body."""

CALL: Final = "urn:xmpp:jingle-message:0 propose"

LONGEST_NODE: Final = 1023
"""Octets of the name of a node."""

LONGEST_OPTIONS: Final = 4096
"""Octets of publish options."""

KNOWN: Final = 10_000
"""For how many accounts the nodes are kept in memory."""

RECENT: Final = 120.0
"""Seconds: what was given to a connection for so long before it was found to be gone, may not have arrived."""

ERRORS: Final = 3
"""After so many errors in a row a node is dropped."""

PASSING_ERRORS: Final = 20
"""After so many that may pass, or missing answers."""

ANSWER_SECONDS: Final = 60.0


def matters(stanza: Stanza, rooms: bool) -> bool:
    """
    Whether somebody should be woken for a message.

    @param rooms: whether for those of rooms.
    """
    type = stanza.attrs.get("type", "normal")
    if stanza.kind != "message" or type in ("error", "headline") or (type == "groupchat" and not rooms):
        return False
    names = stanza.childNames
    return BODY in names or CALL in names or not ENCRYPTED.isdisjoint(names)


class _Node:
    """
    One node of a push service.

    @ivar jid: the service.
    @ivar options: the form of publish options as bytes, or empty.
    @ivar errors: how many errors there were in a row; those that pass, and others.
    @ivar busy: whether a notification is under way.
    @ivar again: whether there will be something to tell then.
    @ivar next: not before, in the clock's seconds.
    """

    __slots__ = ("again", "busy", "dropped", "errors", "jid", "next", "node", "options", "passing")

    def __init__(self, jid: str, node: str, options: bytes) -> None:
        self.jid = jid
        self.node = node
        self.options = options
        self.errors = self.passing = 0
        self.busy = self.again = self.dropped = False
        self.next = 0.0

    @property
    def key(self) -> str:
        """The key of its fact: both names together may be too long for one."""
        return hashlib.sha256(f"{self.jid} {self.node}".encode()).hexdigest()


class _Account:
    """
    The nodes of one account.

    @ivar nodes: by key.
    @ivar unread: messages since one of its clients was there.
    @ivar last: the last of them.
    """

    __slots__ = ("last", "nodes", "unread")

    def __init__(self, nodes: dict[str, _Node]) -> None:
        self.nodes = nodes
        self.unread = 0
        self.last: Stanza | None = None


class Push:
    """Push notifications for the accounts of one host."""

    def __init__(self, host: IHost) -> None:
        self._host = host
        self._accounts: OrderedDict[str, _Account] = OrderedDict()

    def _option(self, key: str) -> Any:
        return self._host.option(NAME, key)

    # --- what is kept

    def _account(self, bare: str) -> Deferred[_Account]:
        """The nodes of an account."""
        account = self._accounts.get(bare)
        if account is not None:
            self._accounts.move_to_end(bare)
            return succeed(account)
        return self._host.facts.all(bare, KIND).addCallback(self._read, bare)

    def _read(self, facts: Any, bare: str) -> _Account:
        known = self._accounts.get(bare)
        if known is not None:
            return known
        nodes = {}
        for fact in facts.values():
            kept = json.loads(fact)
            node = _Node(kept["jid"], kept["node"], kept["options"].encode())
            nodes[node.key] = node
        self._accounts[bare] = account = _Account(nodes)
        if len(self._accounts) > KNOWN:
            self._accounts.popitem(last=False)
        return account

    def forget(self, bare: str) -> None:
        """An account is gone."""
        account = self._accounts.pop(bare, None)
        for node in account.nodes.values() if account is not None else ():
            node.dropped = True

    # --- requests

    async def enable(self, request: Request) -> None:
        """Name a node (section 5)."""
        session = self._owner(request)
        wanted = self._wanted(request.payload)
        checkStorage(session, KIND, len(wanted.jid) + len(wanted.node) + len(wanted.options))
        _checkReach(session, wanted)
        account = await self._account(session.bare)
        if wanted.key not in account.nodes and len(account.nodes) >= self._option("most"):
            raise StanzaError(StanzaCondition.RESOURCE_CONSTRAINT, "There are too many already; disable some.")
        fact = json.dumps({"jid": wanted.jid, "node": wanted.node, "options": wanted.options.decode()})
        await self._host.facts.put(session.bare, KIND, wanted.key, fact.encode())
        account = await self._account(session.bare)
        old = account.nodes.get(wanted.key)
        if old is not None:
            old.dropped = True
        account.nodes[wanted.key] = wanted
        kept = session.slots.setdefault("kept", {})
        kept[NAME] = [*(key for key in kept.get(NAME, ()) if key != wanted.key and key in account.nodes), wanted.key]
        self._attach(session)

    def _owner(self, request: Request) -> ISession:
        if not request.own or request.session is None:
            raise StanzaError(StanzaCondition.FORBIDDEN)
        return request.session

    def _wanted(self, payload: Element) -> _Node:
        jid, node = payload.get("jid"), payload.get("node") or ""
        if not jid:
            raise StanzaError(StanzaCondition.BAD_REQUEST, "The push service's address is missing.")
        if len(node.encode()) > LONGEST_NODE:
            raise StanzaError(StanzaCondition.NOT_ACCEPTABLE, "The node's name is too long.")
        form = forms.formIn(payload)
        options = b""
        if form is not None:
            if forms.formTypeOf(form) != PUBLISH_OPTIONS:
                raise StanzaError(StanzaCondition.BAD_REQUEST, "The form holds no publish options.")
            options = form.toBytes()
            if len(options) > LONGEST_OPTIONS:
                raise StanzaError(StanzaCondition.NOT_ACCEPTABLE, "The publish options are too long.")
        return _Node(parseJID(jid).full, node, options)

    async def disable(self, request: Request) -> None:
        """Drop a node, or all of a service (section 6)."""
        session = self._owner(request)
        jid, node = request.payload.get("jid"), request.payload.get("node")
        if not jid:
            raise StanzaError(StanzaCondition.BAD_REQUEST, "The push service's address is missing.")
        service = parseJID(jid).full
        account = await self._account(session.bare)
        for each in tuple(account.nodes.values()):
            if each.jid == service and (node is None or each.node == node):
                await self._drop(session.bare, account, each)

    async def _drop(self, bare: str, account: _Account, node: _Node) -> None:
        await self._host.facts.delete(bare, KIND, node.key)
        node.dropped = True
        if account.nodes.get(node.key) is node:
            del account.nodes[node.key]

    # --- sessions

    def bound(self, session: ISession) -> None:
        """A session revived after a restart goes on to be told."""
        if session.slots.get("kept", {}).get(NAME):
            self._attach(session)

    def _attach(self, session: ISession) -> None:
        """Look at what comes for a session from now on."""
        if NAME not in session.slots:
            session.slots[NAME] = watch = _Watch(self, session)
            session.addReceiveRefusal(watch.passes)

    def here(self, session: ISession, *_: object) -> None:
        """A client is there, and sees what has come."""
        account = self._accounts.get(session.bare)
        if account is not None:
            account.unread = 0
            account.last = None
            for node in account.nodes.values():
                node.again = False

    # --- messages

    def undeliverable(self, stanza: Stanza, bare: str) -> Stanza:
        """No session can take a message: somebody else keeps it."""
        if matters(stanza, self._option("rooms")):
            self.tell(bare, stanza, None)
        return stanza

    def tell(self, bare: str, stanza: Stanza, keys: list[str] | None) -> None:
        """
        Tell nodes of an account of a message.

        @param keys: which; all if None.
        """

        def notify(account: _Account) -> None:
            if not account.nodes:
                return
            account.unread += 1
            account.last = stanza
            for key, node in tuple(account.nodes.items()):
                if keys is None or key in keys:
                    self._soon(bare, account, node)

        self._account(bare).addCallback(notify).addErrback(_notTold)

    def _soon(self, bare: str, account: _Account, node: _Node) -> None:
        """Notify now, or when the last notification is answered and long enough ago."""
        if node.busy:
            node.again = True
            return
        node.busy, node.again = True, False
        wait = max(0.0, node.next - self._host.clock.seconds())
        self._host.clock.callLater(wait, self._publish, bare, account, node)

    def _publish(self, bare: str, account: _Account, node: _Node) -> None:
        """Send a notification (section 7)."""
        if node.dropped or self._host.stopping or not account.unread:
            node.busy = False
            return
        node.next = self._host.clock.seconds() + self._option("seconds")
        node.again = False
        asked = self._host.ask(node.jid, "set", self._notification(account, node), ANSWER_SECONDS)
        asked.addCallbacks(self._published, self._failed, (node,), {}, (bare, account, node))
        asked.addBoth(self._free, bare, account, node)
        asked.addErrback(_notTold)

    def _notification(self, account: _Account, node: _Node) -> bytes:
        fields = [forms.field("message-count", str(account.unread))]
        last = account.last
        if last is not None and self._option("sender") and last.sender:
            fields.append(forms.field("last-message-sender", last.sender))
        if last is not None and self._option("body"):
            body = last.find(BODY)
            if body is not None:
                fields.append(forms.field("last-message-body", body.text[:200]))
        summary = forms.form("submit", *fields, formType=ns.PUSH_SUMMARY)
        item = Element("item", PUBSUB, {}, (Element("notification", ns.PUSH, {}, (summary,)),))
        children = [Element("publish", PUBSUB, {"node": node.node} if node.node else {}, (item,))]
        if node.options:
            children.append(Element("publish-options", PUBSUB, {}, (parse(node.options),)))
        return Element("pubsub", PUBSUB, {}, tuple(children)).toBytes()

    def _published(self, _: object, node: _Node) -> None:
        node.errors = node.passing = 0

    def _failed(self, failure: Failure, bare: str, account: _Account, node: _Node) -> Any:
        """Count an error; the last one drops the node (section 7.1)."""
        error = failure.value
        if not isinstance(error, StanzaError):
            return failure
        if error.type is ErrorType.WAIT:
            node.passing += 1
        else:
            node.errors += 1
        if node.errors < ERRORS and node.passing < PASSING_ERRORS:
            return None
        log.info("push service dropped: account={account} service={service}", account=bare, service=node.jid)
        node.dropped = True
        return Deferred.fromCoroutine(self._drop(bare, account, node))

    def _free(self, result: Any, bare: str, account: _Account, node: _Node) -> Any:
        """The next may go."""
        node.busy = False
        if node.again and not node.dropped:
            self._soon(bare, account, node)
        return result


class _Watch:
    """
    Looks at the messages for one session that has named nodes.
    """

    __slots__ = ("_keep", "_last", "_push", "_session", "_since")

    def __init__(self, push: Push, session: ISession) -> None:
        self._push = push
        self._session = session
        self._last: Stanza | None = None
        self._since = 0.0
        self._keep: Callable[[], bool] | None = None

    def passes(self, session: ISession, stanza: Stanza) -> None:
        """A receive refusal that never refuses."""
        if stanza.kind != "message" or not matters(stanza, self._push._option("rooms")):
            return
        if session.stream is None:
            self._tell(stanza)
        else:
            self._last = stanza
            self._since = session.host.clock.seconds()
            if session.keep is not None and session.keep != self.keep:
                self._keep = session.keep
                session.keep = self.keep

    def keep(self) -> bool:
        """In front of the session's C{keep}: its connection is gone."""
        assert self._keep is not None
        kept = self._keep()
        last, self._last = self._last, None
        if kept and last is not None and self._session.host.clock.seconds() - self._since <= RECENT:
            self._tell(last)
        return kept

    def _tell(self, stanza: Stanza) -> None:
        keys = self._session.slots.get("kept", {}).get(NAME, [])
        self._push.tell(self._session.bare, stanza, keys)


def _checkReach(session: ISession, node: _Node) -> None:
    """
    Whether somebody may have the server write to a push service, as if it were a request of the client's.

    @raise StanzaError: no.
    """
    attrs = {"type": "set", "from": session.full, "to": node.jid, "id": session.host.entropy.token()}
    refused = sendingRefusal(session, build("iq", attrs, Element("pubsub", PUBSUB)))
    if refused is not None:
        raise StanzaError(StanzaCondition(refused.condition), refused.text, refused.type, refused.application)


def _notTold(failure: Failure) -> None:
    """A notification is worth no more than a try."""
    if failure.check(StoreUnavailable) is None:
        log.failure("a push notification failed", failure)


def join(host: IHost) -> None:
    """Take requests, and look for messages that reach nobody."""
    push = Push(host)
    host.respond("account", "set", ENABLE, push.enable)
    host.respond("account", "set", DISABLE, push.disable)
    host.hooks.undeliverable.addChange(push.undeliverable)
    host.hooks.bound.addObserver(push.bound)
    host.hooks.resumed.addObserver(push.here)
    host.hooks.available.addObserver(push.here)
    host.hooks.removed.addObserver(push.forget)


def _atLeast(value: Any) -> str | None:
    return None if value >= 1 else "it is less than 1"


feature = Feature(
    name=NAME,
    specs=(Spec("XEP-0357", "0.4.1"),),
    accountNamespaces=(ns.PUSH,),
    options={
        "seconds": Option(5, "How many seconds lie between two notifications of one client, at least.", _atLeast),
        "most": Option(20, "How many clients of an account can be notified.", _atLeast),
        "rooms": Option(True, "Whether messages of rooms count."),
        "sender": Option(False, "Whether the push service is told who has written."),
        "body": Option(False, "Whether it is told what was written."),
    },
    join=join,
    after=("xep0191_blocking", "xep0280_carbons", "xep0313_archive"),
    needs="accounts",
)
