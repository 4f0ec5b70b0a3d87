"""
Message carbons (XEP-0280): all clients of a user see both sides of all conversations.

Theory of operation: nothing is asked per stanza unless the account has a client that wants carbons. From the first
such client on, all sessions of the account are observed: what they send is copied to the other clients that want it,
what they are given is copied to those that were not given it by the delivery rules. Of several sessions that are given
one message (RFC 6121 section 8.5.2.1.1) only the first makes the copies. Copies are made after restrictions and hooks
have let the message pass, carry no promise, and are never copied themselves.

An error is copied if it answers a message that was eligible; the ids of those are remembered, a bounded number for each
account, since errors need not repeat what they are about (section 10.3).

C{<private/>} is not removed: section 9 has lifted that, since it let a sender decide unseen who gets a message.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Any, Final

from xmppd.hooks import Feature, Spec
from xmppd.ixmppd import IHost, ISession, Request
from xmppd.wire import ns
from xmppd.wire.element import Element
from xmppd.wire.errors import StanzaCondition, StanzaError
from xmppd.wire.jid import JIDMalformed, parse
from xmppd.wire.stanza import BODY, Stanza
from xmppd.wire.stanza import join as joinStanza

NAME: Final = "xep0280_carbons"
ENABLE: Final = f"{ns.CARBONS} enable"
DISABLE: Final = f"{ns.CARBONS} disable"
RULES: Final = "urn:xmpp:carbons:rules:0"
PRIVATE: Final = frozenset({f"{ns.CARBONS} private", f"{ns.HINTS} no-copy"})
COPIES: Final = frozenset({f"{ns.CARBONS} sent", f"{ns.CARBONS} received"})
MESSAGE: Final = f"{ns.CLIENT} message"
OCCUPANT: Final = f"{ns.MUC_USER} x"
INVITATION: Final = "jabber:x:conference x"
PAYLOADS: Final = frozenset(
    [f"{ns.RECEIPTS} {name}" for name in ("request", "received")]
    + [f"{ns.CHAT_STATES} {state}" for state in ("active", "composing", "paused", "inactive", "gone")]
    + [f"urn:xmpp:chat-markers:0 {name}" for name in ("markable", "received", "displayed", "acknowledged")]
)
"""Payloads of instant messaging (section 6.1)."""

REMEMBERED: Final = 200
"""Of how many messages of an account an error can still be told to belong to."""


def isMediatedInvitation(stanza: Stanza) -> bool:
    """Whether a room invites somebody on behalf of an occupant (XEP-0045 section 7.8.2)."""
    element = stanza.find(OCCUPANT)
    return element is not None and element.find("invite") is not None


def isEligible(stanza: Stanza, received: bool) -> bool:
    """
    The rules of section 6.1, but for errors.

    @param received: whether the message came to the account, rather than from it.
    """
    type = stanza.attrs.get("type", "normal")
    names = stanza.childNames
    if type == "groupchat" or not PRIVATE.isdisjoint(names):
        return False
    if INVITATION in names:
        return True
    if OCCUPANT in names:
        if isMediatedInvitation(stanza):
            return True
        if received:
            return False  # the room gives a private message to all clients that are in it
    if type == "chat" or not PAYLOADS.isdisjoint(names):
        return True
    return type != "headline" and BODY in names


class Account:
    """
    What is known of one account with a client that wants carbons.

    @ivar wanting: the sessions that want them, by resource.
    @ivar watched: all sessions of the account.
    """

    __slots__ = ("_host", "_remembered", "bare", "wanting", "watched")

    def __init__(self, host: IHost, bare: str) -> None:
        self._host = host
        self.bare = bare
        self.wanting: dict[str, ISession] = {}
        self.watched: list[ISession] = []
        self._remembered: OrderedDict[tuple[str, str], None] = OrderedDict()

    def watch(self, session: ISession) -> None:
        """Observe a session of the account."""
        self.watched.append(session)
        session.addObservers(self.sent, self.delivered)

    def unwatch(self) -> None:
        """Observe nobody any more."""
        for session in self.watched:
            session.removeObservers(self.sent, self.delivered)
        self.watched.clear()

    # --- which messages

    def _copied(self, stanza: Stanza, peer: str, received: bool) -> bool:
        """Whether a message is to be copied; remembers it, so that the error that answers it is too."""
        if stanza.attrs.get("type") == "error":
            return (stanza.attrs.get("id", ""), peer) in self._remembered
        if not isEligible(stanza, received):
            return False
        id = stanza.attrs.get("id")
        if id:
            self._remembered[id, peer] = None
            if len(self._remembered) > REMEMBERED:
                self._remembered.popitem(last=False)
        return True

    def _isCopy(self, stanza: Stanza) -> bool:
        return stanza.attrs.get("from") == self.bare and not COPIES.isdisjoint(stanza.childNames)

    # --- the two directions

    def sent(self, session: ISession, stanza: Stanza) -> None:
        """A client of the account has sent something (section 8). Per stanza."""
        if stanza.kind != "message":
            return
        to = stanza.attrs.get("to", self.bare)
        if not self._copied(stanza, to, False):
            return
        given = {session.full, *self._givenBy(to, stanza.attrs.get("type"))}
        archived = session.slots.get("archived")
        if archived is not None and archived[0] is stanza:  # for the user to know, not the recipient (XEP-0313 3.5)
            stanza = stanza.extended(archived[1], (f"{ns.STANZA_ID} stanza-id",))
        self._copy("sent", stanza, [each for each in self.wanting.values() if each.full not in given])

    def _givenBy(self, to: str, type: str | None) -> list[str]:
        """The clients of this account that get a message by its address and type."""
        try:
            jid = parse(to)
        except JIDMalformed:
            return []
        if jid.bare != self.bare:
            return []
        if jid.resource in self._host.sessions.get(self.bare, {}):
            return [jid.full]
        return [each.full for each in self._available(type == "headline")]

    def _available(self, all: bool) -> list[ISession]:
        """Who gets a message to the bare JID (RFC 6121 section 8.5.2.1.1): the most available ones, or all."""
        sessions = self._host.sessions.get(self.bare, {}).values()
        able = [each for each in sessions if each.presence is not None and each.priority >= 0]
        highest = max((each.priority for each in able), default=0)
        return [each for each in able if all or each.priority == highest]

    def delivered(self, session: ISession, stanza: Stanza) -> None:
        """A client of the account was given something (section 7). Per stanza."""
        if stanza.kind != "message" or self._isCopy(stanza):
            return
        sender = stanza.attrs.get("from", "")
        if sender.partition("/")[0] == self.bare:
            return  # the account's own words were copied when they were sent
        given = self._givenBy(stanza.attrs.get("to", session.full), stanza.attrs.get("type"))
        if session.full not in given:
            given = [session.full]
        if given[0] != session.full:
            return
        self.received(stanza, given)

    def received(self, stanza: Stanza, given: list[str]) -> None:
        """Copy a message to those who want it and were not given it."""
        others = [each for each in self.wanting.values() if each.full not in given]
        if others and self._copied(stanza, stanza.attrs.get("from", ""), True):
            self._copy("received", stanza, others)

    def _copy(self, direction: str, stanza: Stanza, sessions: list[ISession]) -> None:
        """Give each of the sessions a copy; the inner bytes are made once."""
        if not sessions:
            return
        inner = (
            f"<{direction} xmlns='{ns.CARBONS}'><forwarded xmlns='{ns.FORWARD}'>".encode()
            + stanza.declared()
            + f"</forwarded></{direction}>".encode()
        )
        names = (f"{ns.CARBONS} {direction}",)
        for session in sessions:
            attrs = {"from": self.bare, "to": session.full}
            if "type" in stanza.attrs:
                attrs["type"] = stanza.attrs["type"]
            session.deliver(Stanza("message", MESSAGE, attrs, names, joinStanza("message", attrs, inner)))


class Carbons:
    """The accounts of a host whose clients want carbons."""

    def __init__(self, host: IHost) -> None:
        self._host = host
        self._accounts: dict[str, Account] = {}

    def enable(self, request: Request) -> None:
        """A client wants carbons (section 4); asking again is no mistake (section 10.1)."""
        self._want(self._own(request))

    def enableInline(self, session: ISession, element: Element) -> bytes:
        """A client wants carbons from the beginning of its session (XEP-0386 section 3.2.1)."""
        self._want(session)
        return b""

    def disable(self, request: Request) -> None:
        """A client wants no more (section 5)."""
        self._unwant(self._own(request))

    def _own(self, request: Request) -> ISession:
        if request.session is None or not request.own:
            raise StanzaError(StanzaCondition.NOT_ALLOWED)
        return request.session

    def _want(self, session: ISession) -> None:
        account = self._accounts.get(session.bare)
        if account is None:
            account = self._accounts[session.bare] = Account(self._host, session.bare)
            for each in self._host.sessions.get(session.bare, {}).values():
                account.watch(each)
        account.wanting[session.full] = session
        session.slots.setdefault("kept", {})[NAME] = True

    def _unwant(self, session: ISession) -> None:
        session.slots.get("kept", {}).pop(NAME, None)
        account = self._accounts.get(session.bare)
        if account is None or account.wanting.pop(session.full, None) is None or account.wanting:
            return
        account.unwatch()
        del self._accounts[session.bare]

    # --- moments of the host

    def bound(self, session: ISession) -> None:
        """Another client of the account; or one that wanted carbons before the server was restarted."""
        account = self._accounts.get(session.bare)
        if account is not None:
            account.watch(session)
        if session.slots.get("kept", {}).get(NAME):
            self._want(session)

    def ended(self, session: ISession) -> None:
        """A client is gone."""
        account = self._accounts.get(session.bare)
        if account is not None:
            if session in account.watched:
                account.watched.remove(session)
            self._unwant(session)

    def undeliverable(self, stanza: Stanza, bare: str) -> Any:
        """No client can be given a message by the rules; but one of negative priority may want carbons."""
        account = self._accounts.get(bare)
        if account is not None and stanza.attrs.get("from", "").partition("/")[0] != bare:
            account.received(stanza, [])
        return stanza


def join(host: IHost) -> None:
    """Make copies for those who want them."""
    carbons = Carbons(host)
    host.respond("account", "set", ENABLE, carbons.enable)
    host.respond("account", "set", DISABLE, carbons.disable)
    host.inline.bindable[ENABLE] = (ns.CARBONS, carbons.enableInline)
    host.hooks.bound.addObserver(carbons.bound)
    host.hooks.ended.addObserver(carbons.ended)
    host.hooks.undeliverable.addChange(carbons.undeliverable)


feature = Feature(
    name=NAME,
    specs=(Spec("XEP-0280", "1.0.1"),),
    namespaces=(ns.CARBONS, RULES),
    accountNamespaces=(ns.CARBONS,),
    after=("xep0191_blocking", "xep0313_archive"),
    join=join,
)
