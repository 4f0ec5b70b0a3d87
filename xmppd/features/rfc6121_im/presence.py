"""
Presence: broadcasts, probes, directed presence, and presence that comes in (RFC 6121 section 4).

Theory of operation: a resource is available while C{session.presence} holds the last presence it broadcast. Presence
goes to those with a subscription (C{from} or C{both}) and to the account's own available resources, both found in
memory. A contact of this host is looked up in the host's sessions and is given the stanza directly; others are
addressed through the router. Beyond that, a session keeps the addresses it sent directed presence to, so that they
hear of its end too; they also count as sharing presence.

Vetoes (XEP-0191) are asked for a predicate per account, which says of an address that no presence may pass.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final, cast

from twisted.internet.defer import Deferred, succeed
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from xmppd.features.rfc6121_im.fanout import Fanout, presence
from xmppd.features.rfc6121_im.kept import SLOT, directed, kept
from xmppd.features.rfc6121_im.queries import RosterQueries
from xmppd.features.rfc6121_im.rosters import Roster, Rosters
from xmppd.features.rfc6121_im.states import SUBSCRIPTION_TYPES
from xmppd.features.rfc6121_im.subscriptions import Subscriptions
from xmppd.ixmppd import Departure, IHost, IPresence, ISession, StoreUnavailable, Veto, VetoPredicate
from xmppd.wire import ns
from xmppd.wire.element import Element
from xmppd.wire.errors import StanzaCondition, StanzaError
from xmppd.wire.jid import JID, JIDMalformed, parse
from xmppd.wire.stanza import Stanza, fromBytes

log = Logger(namespace="xmppd.presence")

DIRECTED: Final = 1000
"""To how many addresses a session may send directed presence."""

PRIORITY: Final = f"{ns.CLIENT} priority"
INTEGER: Final = re.compile(r"\s*[+-]?[0-9]{1,3}\s*\Z")
MUC_OCCUPANT: Final = f"{ns.MUC_USER} x"


def priorityOf(stanza: Stanza) -> int:
    """
    The priority in available presence (section 4.7.2.3).

    @raise StanzaError: there are several, or it is no integer from -128 to 127.
    """
    count = list(stanza.childNames).count(PRIORITY)
    if count == 0:
        return 0
    element = stanza.find(PRIORITY)
    if count == 1 and element is not None and INTEGER.match(element.text):
        priority = int(element.text)
        if -128 <= priority <= 127:
            return priority
    raise StanzaError(StanzaCondition.BAD_REQUEST, "The priority is one integer from -128 to 127.")


def bareOf(jid: str) -> str:
    """The bare JID of a canonical address."""
    return jid.partition("/")[0]


@implementer(IPresence)
class Presence:
    """
    See L{IPresence}.

    @ivar strangersMayAsk: whether requests to full JIDs are delivered without shared presence.
    """

    def __init__(self, host: IHost, rosters: Rosters, queries: RosterQueries, strangersMayAsk: bool = False) -> None:
        self.host = host
        self.rosters = rosters
        self.subscriptions = Subscriptions(host, rosters, queries, self)
        self.strangersMayAsk = strangersMayAsk
        self._at = "@" + host.domain
        self._vetoes: tuple[Veto, ...] = ()

    def bound(self, session: ISession) -> None:
        """A session that was revived after a restart is as available as it was; its contacts know."""
        if SLOT not in session.slots.get("kept", {}):
            return
        state = kept(session)
        session.interested = bool(state.get("interested"))
        try:
            stanza = fromBytes(state["presence"].encode()) if "presence" in state else None
            session.priority = priorityOf(stanza) if stanza is not None else 0
            session.presence = stanza
        except (ValueError, StanzaError):
            log.error("the presence of {session} can't be read any more", session=session.full)

    # --- from the account's own clients

    def sent(self, session: ISession, stanza: Stanza) -> None:
        """See L{IPresence}."""
        type = stanza.attrs.get("type")
        try:
            if type in SUBSCRIPTION_TYPES:
                self.subscriptions.outbound(session, stanza)
                return
            stanza.promise = None  # presence is never kept for anybody
            if type is None or type == "unavailable":
                self._notified(session, stanza, type)
            elif type not in ("probe", "error"):
                raise StanzaError(StanzaCondition.BAD_REQUEST, "There is no such type of presence.")
            elif stanza.to is not None:
                self.host.router.route(stanza)
        except StanzaError as error:
            self.host.router.bounce(stanza, error)

    def _notified(self, session: ISession, stanza: Stanza, type: str | None) -> None:
        """Presence without a type, or unavailable presence."""
        if stanza.to is not None:
            self._direct(session, stanza, parse(stanza.to), type)
        elif type is None:
            self._available(session, stanza)
        else:
            self._unavailable(session, stanza)

    def _rosterOf(self, account: str) -> Roster:
        """The roster of an account that has sessions."""
        return self.rosters.cached.get(account) or Roster(account, 0, {})

    def _resources(self, account: str) -> tuple[ISession, ...]:
        """The available resources of an account."""
        return tuple(each for each in self.host.sessions.get(account, {}).values() if each.presence is not None)

    def _available(self, session: ISession, stanza: Stanza) -> None:
        """Initial presence and subsequent broadcasts (sections 4.2.2, 4.4.2)."""
        session.priority = priorityOf(stanza)
        first = session.presence is None
        fanout = Fanout(stanza)
        session.presence = fanout.stanza
        kept(session)["presence"] = fanout.stanza.raw.decode()
        roster = self._rosterOf(session.bare)
        self._broadcast(session, roster, fanout)
        if first and not session.over:
            self._learn(session, roster)
            self.subscriptions.remind(session, roster)
        if session.presence is not None:
            self.host.hooks.available.notify(session, first)

    def _unavailable(self, session: ISession, stanza: Stanza) -> None:
        """The client leaves politely; its words are passed on (section 4.5.2)."""
        fanout = Fanout(stanza)
        self._leave(session, fanout)
        if not session.over:
            session.deliver(fanout.to(session.bare))
        self.host.hooks.unavailable.notify(session, stanza)

    def left(self, session: ISession) -> None:
        """See L{IPresence}. Who did not take leave gets it done (section 4.5.2)."""
        if session.presence is not None or directed(session):
            self._leave(session, Fanout(presence({"from": session.full, "type": "unavailable"})))

    def _leave(self, session: ISession, fanout: Fanout) -> None:
        available = session.presence is not None
        session.presence, session.priority = None, 0
        kept(session).pop("presence", None)
        roster = self._rosterOf(session.bare)
        if available:
            self._broadcast(session, roster, fanout)
        for jid in kept(session).pop("directed", {}):
            if not (available and roster.shows(bareOf(jid))):
                self.host.router.route(fanout.to(jid))

    def _broadcast(self, session: ISession, roster: Roster, fanout: Fanout) -> None:
        """To the account's own available resources and to everybody with a subscription."""
        own = fanout.to(session.bare)
        for each in self._resources(session.bare):
            each.deliver(own)
        vetoed = self.vetoNow(session.bare)
        for contact in roster.subscribers:
            if vetoed is None or not vetoed(contact):
                self._give(fanout, contact)

    def _give(self, fanout: Fanout, contact: str) -> None:
        """To one contact: directly to available resources on this host, else by the router."""
        if contact.endswith(self._at):
            available = self._resources(contact)
            if available:
                stanza = fanout.to(contact)
                for each in available:
                    each.deliver(stanza)
        else:
            self.host.router.route(fanout.to(contact))

    def _direct(self, session: ISession, stanza: Stanza, to: JID, type: str | None) -> None:
        """
        Directed presence (section 4.6.3). Who gets the broadcasts anyway need not be remembered.

        @raise StanzaError: it went to too many already.
        """
        if to.bare != session.bare:
            if type is not None:
                directed(session).pop(to.full, None)
            elif session.presence is None or not self._rosterOf(session.bare).shows(to.bare):
                if to.full not in directed(session) and len(directed(session)) >= DIRECTED:
                    raise StanzaError(StanzaCondition.RESOURCE_CONSTRAINT, "Directed presence to too many.")
                kept(session).setdefault("directed", {})[to.full] = None
        self.host.router.route(stanza)

    # --- what a resource learns when it becomes available

    def _learn(self, session: ISession, roster: Roster) -> None:
        """Presence of the account's other resources and of its contacts (sections 4.2.2, 4.3.1)."""
        for other in self._resources(session.bare):
            if other is not session and other.presence is not None:
                session.deliver(Fanout(other.presence).to(session.bare))
        vetoed = self.vetoNow(session.bare)
        for contact in roster.contacts:
            if vetoed is None or not vetoed(contact):
                self._inquire(session, contact)

    def _inquire(self, session: ISession, contact: str) -> None:
        """Presence of one contact: by a probe, or, if it is on this host, directly."""
        if not contact.endswith(self._at):
            attrs = {"from": session.bare, "to": contact, "type": "probe", "id": self.host.entropy.token()}
            self.host.router.route(presence(attrs))
            return
        theirs = self.rosters.cached.get(contact)
        if theirs is None:
            return
        vetoed = self.vetoNow(contact)
        if vetoed is not None and vetoed(session.bare):
            return
        if not theirs.shows(session.bare):
            self._unsubscribed(contact, session.bare)
            return
        for each in self._resources(contact):
            if each.presence is not None:
                session.deliver(Fanout(each.presence).to(session.bare))

    def _unsubscribed(self, account: str, contact: str, id: str | None = None) -> None:
        """Tell a contact that it has no subscription, contrary to what it thinks."""
        attrs = {"from": account, "to": contact, "type": "unsubscribed", "id": id or self.host.entropy.token()}
        self.host.router.route(presence(attrs))

    # --- what comes in

    def arrived(self, stanza: Stanza, to: JID) -> None:
        """See L{IPresence}."""
        type = stanza.attrs.get("type")
        if type in SUBSCRIPTION_TYPES:
            if to.resource is None or type == "subscribe" or self.host.router.session(to.full) is not None:
                self.subscriptions.inbound(stanza, to)
        elif type == "probe":
            self._probed(stanza, to)
        elif type is not None and type not in ("unavailable", "error"):
            self.host.router.bounce(stanza, StanzaError(StanzaCondition.BAD_REQUEST))
        elif to.resource is None:
            for each in self._resources(to.bare):
                self.passes(each, stanza)
                each.deliver(stanza)
        else:
            session = self.host.router.session(to.full)
            if session is not None:
                self.passes(session, stanza)
                session.deliver(stanza)

    def passes(self, session: ISession, stanza: Stanza) -> bool:
        """See L{IPresence}."""
        sender = stanza.attrs.get("from", "")
        if stanza.kind == "iq":
            mayAsk = self.strangersMayAsk and self.host.private.keys().isdisjoint(stanza.childNames)
            return mayAsk or self._sharesPresence(session, sender)
        if stanza.attrs.get("type") == "unavailable" and MUC_OCCUPANT not in stanza.childNames:
            # Who says good-bye needs no farewell (section 4.6.1). Rooms are the exception: an occupant's old nickname
            # leaves while the occupant stays (XEP-0045 section 7.6).
            directed(session).pop(sender, None)
        return True

    def _sharesPresence(self, session: ISession, sender: str) -> bool:
        """
        Whether the user shows presence to a sender: an own resource, this server and its services, a contact with a
        subscription, or who got directed presence (section 8.5.3.1).
        """
        bare = bareOf(sender)
        if bare == session.bare or self._rosterOf(session.bare).shows(bare):
            return True
        if "@" not in bare and self._isOurs(bare):
            return True
        return self._directedTo(session, bare)

    def _isOurs(self, domain: str) -> bool:
        """Whether a domain is served here: a host, a service, a component."""
        return domain in cast(Any, self.host.router).destinations or domain in self.host.services

    def _directedTo(self, session: ISession | None, bare: str) -> bool:
        """Whether a session sent directed presence to an address or one of its resources."""
        return session is not None and any(bareOf(each) == bare for each in directed(session))

    # --- probes

    def _probed(self, stanza: Stanza, to: JID) -> None:
        try:
            sender = parse(stanza.attrs["from"])
        except JIDMalformed:
            return
        self.rosters.run(to.bare, lambda roster: self._answerProbe(roster, stanza.id, sender, to)).addErrback(
            self._probeFailed
        )

    def _probeFailed(self, failure: Failure) -> None:
        """Nobody waits for the answer to a probe."""
        if failure.check(StoreUnavailable, StanzaError) is None:
            log.failure("answering a probe failed", failure)

    async def _answerProbe(self, roster: Roster, id: str | None, sender: JID, to: JID) -> None:
        """Section 4.3.2, and 4.6.6 for directed presence."""
        exists = await self.host.exists(to.bare)
        if exists:
            vetoed = await self.vetoOf(to.bare)
            if vetoed is not None and vetoed(sender.full):
                return
        if exists and (sender.bare == to.bare or roster.shows(sender.bare)):
            if to.resource is None:
                await self._tellAll(to.bare, sender, id)
            else:
                session = self.host.router.session(to.full)
                self._tellMerely(session is not None and session.presence is not None, to, sender, id)
        elif to.resource is not None and self._directedTo(self.host.router.session(to.full), sender.bare):
            self._tellMerely(True, to, sender, id)
        else:
            self._unsubscribed(to.bare, sender.bare, id)

    def _tellMerely(self, available: bool, to: JID, sender: JID, id: str | None) -> None:
        """Whether one resource is available, and nothing else about it."""
        attrs = {"from": to.full, "to": sender.full}
        self.host.router.route(presence(attrs if available else {**attrs, "type": "unavailable", "id": id}))

    async def _tellAll(self, account: str, sender: JID, id: str | None) -> None:
        """The last presence of every available resource, or that there is none and since when."""
        for each in self._resources(account):
            if each.presence is not None:
                self.host.router.route(Fanout(each.presence).to(sender.full))
        if self._resources(account):
            return
        record = await self.host.accounts.get(account)
        attrs = {"from": account, "to": sender.full, "type": "unavailable", "id": id}
        if record is None or record.lastActivity is None:
            self.host.router.route(presence(attrs))
        else:
            stamp = datetime.fromtimestamp(record.lastActivity, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
            delay = Element("delay", ns.DELAY, {"stamp": stamp})
            self.host.router.route(presence(attrs, delay.toBytes(), (delay.qname,)))

    def dissolve(self, departure: Departure) -> Deferred[None] | None:
        """See L{IPresence}."""
        return self.subscriptions.dissolve(departure)

    def subscription(self, owner: str, contact: str) -> Deferred[str]:
        """See L{IPresence}."""
        roster = self.rosters.cached.get(owner)
        if roster is not None:
            return succeed(roster.item(contact).subscription)

        async def work(roster: Roster) -> str:
            return roster.item(contact).subscription

        return self.rosters.run(owner, work)

    def lists(self, owner: str, contact: str) -> bool | None:
        """See L{IPresence}."""
        roster = self.rosters.cached.get(owner)
        return None if roster is None else roster.item(contact).listed

    # --- single contacts begin or cease to see the account

    def showTo(self, account: str, contact: str) -> None:
        """A contact has got a subscription: send it the current presence of every available resource."""
        vetoed = self.vetoNow(account)
        if vetoed is None or not vetoed(contact):
            for each in self._resources(account):
                if each.presence is not None:
                    self._give(Fanout(each.presence), contact)
            self.host.hooks.shown.notify(account, contact)

    def hideFrom(self, account: str, contact: str) -> None:
        """A contact is about to lose its subscription: every available resource becomes unavailable for it."""
        vetoed = self.vetoNow(account)
        if vetoed is None or not vetoed(contact):
            for each in self._resources(account):
                self._give(Fanout(presence({"from": each.full, "type": "unavailable"})), contact)

    # --- vetoes

    def addVeto(self, veto: Veto) -> None:
        """See L{IPresence}."""
        self._vetoes = (*self._vetoes, veto)

    def vetoNow(self, account: str) -> VetoPredicate | None:
        """
        What says whether no presence may pass between an account that has sessions and an address; None if nothing
        says so.
        """
        found = [veto(account) for veto in self._vetoes]
        return _joined([(_everybody if isinstance(each, Deferred) else each) for each in found])

    async def vetoOf(self, account: str) -> VetoPredicate | None:
        """The same for any account."""
        found = [veto(account) for veto in self._vetoes]
        return _joined([(await each if isinstance(each, Deferred) else each) for each in found])

    def conceal(self, owner: str, matches: Callable[[str], bool]) -> None:
        """See L{IPresence}."""
        subscribers = [jid for jid in self._rosterOf(owner).subscribers if matches(jid)]
        for session in tuple(self.host.sessions.get(owner, {}).values()):
            fanout = Fanout(presence({"from": session.full, "type": "unavailable"}))
            if session.presence is not None:
                for contact in subscribers:
                    self._give(fanout, contact)
            for jid in [each for each in directed(session) if matches(each)]:
                del directed(session)[jid]
                self.host.router.route(fanout.to(jid))

    def reveal(self, owner: str, matches: Callable[[str], bool]) -> None:
        """See L{IPresence}."""
        roster = self._rosterOf(owner)
        for contact in roster.subscribers:
            if matches(contact):
                self.showTo(owner, contact)
        for contact in roster.contacts:
            if matches(contact):
                for session in self._resources(owner):
                    self._inquire(session, contact)


def _everybody(jid: str) -> bool:
    """The veto of an account whose list is not in memory though it should be: fail closed."""
    return True


def _joined(predicates: list[VetoPredicate | None]) -> VetoPredicate | None:
    """One predicate out of several."""
    given = [each for each in predicates if each is not None]
    if len(given) > 1:
        return lambda jid: any(each(jid) for each in given)
    return given[0] if given else None
