"""
What subscription stanzas do (RFC 6121 section 3, appendix A): the tables of
L{xmppd.features.rfc6121_im.states} applied to rosters, with everything that has to be sent because of it.

If both sides are accounts of this server a stanza is processed twice, outbound for its sender and then inbound for its
receiver, each in the queue of its own roster.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from xmppd.adapters import checkStorage
from xmppd.features.rfc6121_im.fanout import presence
from xmppd.features.rfc6121_im.lines import Lines, after
from xmppd.features.rfc6121_im.queries import KIND, RosterQueries, itemText
from xmppd.features.rfc6121_im.rosters import Roster, Rosters, Work
from xmppd.features.rfc6121_im.states import SUBSCRIBED, State, inbound, moved, outbound, stateOf
from xmppd.ixmppd import Departure, IHost, ISession, RosterItem, StoreUnavailable
from xmppd.wire.errors import StanzaCondition, StanzaError
from xmppd.wire.jid import JID, parse
from xmppd.wire.stanza import Stanza, fromBytes

if TYPE_CHECKING:
    from xmppd.features.rfc6121_im.presence import Presence

log = Logger(namespace="xmppd.subscription")

PENDING: Final = 500
"""How many strangers' requests are kept for an account (section 3.1.3, last security warning)."""

LARGEST_REQUEST: Final = 16384
"""How many octets a request may have that is to be kept."""


class Subscriptions:
    """The subscription stanzas of one host."""

    def __init__(self, host: IHost, rosters: Rosters, queries: RosterQueries, presence: Presence) -> None:
        self.host = host
        self.rosters = rosters
        self.queries = queries
        self.presence = presence
        self.lines = Lines(host)
        queries.subscriptions = self

    # --- from the account's own clients

    def outbound(self, session: ISession, stanza: Stanza) -> None:
        """
        The user asks for, grants or ends a subscription.

        @raise StanzaError: it has no proper address.
        """
        if stanza.to is None:
            raise StanzaError(StanzaCondition.BAD_REQUEST, "Whom does this concern?")
        contact = parse(stanza.to).bare
        if contact == session.bare:
            raise StanzaError(StanzaCondition.NOT_ALLOWED, "Everybody sees one's own presence anyway.")
        if stanza.type in ("subscribe", "subscribed"):
            checkStorage(session, KIND, len(stanza.raw))
        stamped = stanza.addressed({"from": session.bare, "to": contact})
        stamped.promise = None
        told: list[Deferred[Any]] = []
        done = self._begin(session.bare, stanza, lambda roster: self._outbound(roster, stamped, contact, told))
        done.addCallback(lambda _: after(told))
        # What comes behind it must not overtake it, and a presence not go to whom it shuts out (RFC 6120 section 10.1).
        if session.stream is not None:
            session.stream.waitFor(done)

    async def _outbound(self, roster: Roster, stanza: Stanza, contact: str, passed: list[Deferred[Any]]) -> None:
        """Appendix A.2, and the order of section 3.1.2, 3.1.5, 3.2.2, 3.3.2; notes what goes on on the other side."""
        old = roster.item(contact)
        step = outbound(old, stanza.attrs["type"])
        new = moved(old, step)
        if new.listed and not old.listed:
            self.queries.checkRoom(roster)
        if new != old:
            new = await self.rosters.put(roster, new)
        before, after = stateOf(old), step.state
        if before.visible and not after.visible:
            self.presence.hideFrom(roster.account, contact)
        told = self._route(stanza) if step.passes else None
        passed += [told] if told is not None else []
        self._pushChange(roster, old, new)
        if after.visible and not before.visible:
            self._showAfter(told, roster.account, contact)

    def _route(self, stanza: Stanza) -> Deferred[Any] | None:
        """Send a subscription stanza. If its receiver's roster is here and takes a moment, answers when it is done."""
        stanza.promise = []
        self.host.router.route(stanza)
        return next((each for each in stanza.promise if isinstance(each, Deferred)), None)

    def _showAfter(self, told: Deferred[Any] | None, account: str, contact: str) -> None:
        """Presence comes after the word that it will (section 3.1.5): clients drop that of whom they don't expect."""
        if told is None:
            self.presence.showTo(account, contact)
        else:
            told.addCallback(self._show, account, contact)

    def _show(self, result: object, account: str, contact: str) -> None:
        """Send presence, unless all has changed meanwhile."""
        roster = self.rosters.cached.get(account)
        if roster is not None and roster.shows(contact):
            self.presence.showTo(account, contact)

    # --- from contacts

    def inbound(self, stanza: Stanza, to: JID) -> None:
        """A contact asks for, grants or ends a subscription."""
        contact = parse(stanza.attrs["from"]).bare
        if contact == to.bare:
            return
        stamped = stanza.addressed({"from": contact, "to": to.bare})
        stamped.promise = None
        self.lines.behind(
            contact, to.bare, self._begin(to.bare, stanza, lambda roster: self._inbound(roster, stamped, contact))
        )

    async def _inbound(self, roster: Roster, stanza: Stanza, contact: str) -> None:
        """Appendix A.3, and the order of section 3.1.3, 3.1.6, 3.2.3, 3.3.3."""
        type = stanza.attrs["type"]
        if not await self.host.exists(roster.account) or self._hides(roster.account, contact, type):
            self._nobody(stanza, contact)
            return
        vetoed = await self.presence.vetoOf(roster.account)
        if vetoed is not None and vetoed(contact):
            return
        old = roster.item(contact)
        step = inbound(old, type)
        if step.state.value[2] and old.pendingIn is None:
            self._checkRequest(roster, stanza)
        new = moved(old, step, stanza.raw)
        if new != old:
            new = await self.rosters.put(roster, new)
        before, after = stateOf(old), step.state
        if step.passes:
            self._tell(roster.account, stanza)
        self._pushChange(roster, old, new)
        if before.visible and not after.visible:
            self.presence.hideFrom(roster.account, contact)
        told = self._send(roster.account, contact, step.reply, stanza.id) if step.reply is not None else None
        if step.reply == "subscribed":
            self._showAfter(told, roster.account, contact)

    def _hides(self, account: str, contact: str, type: str) -> bool:
        """Whether to a guest it has to look as if there were no such account: its user doesn't want to be reached."""
        if account not in self.host.guestless or type not in ("subscribe", "subscribed"):
            return False
        return any(session.account.anonymous for session in self.host.router.sessionsOf(contact))

    def _nobody(self, stanza: Stanza, contact: str) -> None:
        """
        There is no such account. That is not told to other servers (section 8.5.1), but to our own users, who would
        wait for ever (section 3.1.2).
        """
        if stanza.type == "subscribe" and contact.endswith("@" + self.host.domain):
            raise StanzaError(StanzaCondition.ITEM_NOT_FOUND)

    def _checkRequest(self, roster: Roster, stanza: Stanza) -> None:
        """
        Requests are kept as they are, so there must not be too many of them.

        @raise StanzaError: this is one too many, or too large.
        """
        if len(stanza.raw) > LARGEST_REQUEST:
            raise StanzaError(StanzaCondition.POLICY_VIOLATION, "A request this large is not kept.")
        if sum(not item.listed for item in roster.items.values()) >= PENDING:
            raise StanzaError(StanzaCondition.RESOURCE_CONSTRAINT)

    def _tell(self, account: str, stanza: Stanza) -> None:
        """Requests go to the available resources, all else to the interested ones as well."""
        request = stanza.type == "subscribe"
        for session in tuple(self.host.sessions.get(account, {}).values()):
            if session.presence is not None or (session.interested and not request):
                session.deliver(stanza)

    # --- both

    def _begin(self, account: str, stanza: Stanza, work: Work[None]) -> Deferred[None]:
        """Queue the work of a stanza; its sender hears of failures. Answers its end, which its promise waits for."""
        done = self.rosters.run(account, work).addErrback(self._failed, stanza)
        if stanza.promise is not None:
            stanza.promise.append(done)
        return done

    def _failed(self, failure: Failure, stanza: Stanza) -> None:
        if isinstance(failure.value, StanzaError):
            error = failure.value
        elif failure.check(StoreUnavailable):
            error = StanzaError(StanzaCondition.RESOURCE_CONSTRAINT, "The database is not available.")
        else:
            log.failure("a subscription stanza failed", failure)
            error = StanzaError(StanzaCondition.INTERNAL_SERVER_ERROR)
        self.host.router.bounce(stanza, error)

    def _pushChange(self, roster: Roster, old: RosterItem, new: RosterItem) -> None:
        """Push an item if clients can see that it changed."""
        if new.listed and (not old.listed or itemText(old) != itemText(new)):
            self.queries.push(roster, new)

    def _send(self, account: str, contact: str, type: str, id: str | None = None) -> Deferred[Any] | None:
        attrs = {"from": account, "to": contact, "type": type, "id": id or self.host.entropy.token()}
        return self._route(presence(attrs))

    def cancel(self, account: str, item: RosterItem) -> None:
        """
        End everything there is between an account and a contact that is not in its roster any more (section 2.5.2).
        Requests that are pending are withdrawn or denied.
        """
        state = stateOf(item)
        subscription, ask, pendingIn = state.value
        if subscription in SUBSCRIBED or ask:
            self._send(account, item.jid, "unsubscribe")
        if state.visible:
            self.presence.hideFrom(account, item.jid)
        if state.visible or pendingIn:
            self._send(account, item.jid, "unsubscribed")

    # --- who goes for good

    def dissolve(self, departure: Departure) -> Deferred[None] | None:
        """See L{xmppd.ixmppd.IPresence.dissolve}. Of what there is nothing, nothing is asked."""
        own = departure.bare.endswith("@" + self.host.domain)
        holders = [account for (account,) in departure.at("roster") if account.endswith("@" + self.host.domain)]
        if not own and not holders:
            return None
        return Deferred.fromCoroutine(self._dissolve(departure, own, holders))

    async def _dissolve(self, departure: Departure, own: bool, holders: Sequence[str]) -> None:
        """Say what there is to say to contacts, then take a guest out of the rosters of this host."""
        if own:
            await self.rosters.run(departure.bare, lambda roster: self._takeLeave(roster, departure))
        if departure.guest:
            for account in holders:
                await self.rosters.run(account, lambda roster: self._remove(roster, departure.bare))

    async def _takeLeave(self, roster: Roster, departure: Departure) -> None:
        for item in tuple(roster.items.values()):
            if departure.crashed and stateOf(item).visible:
                gone = {"from": departure.bare, "to": item.jid, "type": "unavailable"}
                self.host.router.route(presence(gone))
            self.cancel(departure.bare, item)
        roster.items.clear()
        roster.changed(roster.version)

    async def _remove(self, roster: Roster, guest: str) -> None:
        """Take a guest out of somebody's roster, after what it has said itself."""
        for item in await self.rosters.expunge(roster, guest):
            if item.listed:
                self.queries.pushRemoval(roster, item.jid)

    def forget(self, account: str) -> None:
        """
        An account is gone with its roster. Whoever removed it has told the contacts; a session that may live on for a
        moment takes leave now, while it is known of whom.
        """

        async def work(roster: Roster) -> None:
            for contact in roster.subscribers:
                self.presence.hideFrom(account, contact)
            roster.items.clear()
            roster.changed(roster.version)

        self.rosters.run(account, work).addErrback(
            lambda failure: log.failure("the roster of {account} could not be forgotten", failure, account=account)
        )

    # --- when a resource becomes available

    def remind(self, session: ISession, roster: Roster) -> None:
        """
        Deliver the requests that wait for an answer (section 3.1.3), and repeat our own to other servers, which may
        have been lost (section 3.1.2).
        """
        vetoed = self.presence.vetoNow(session.bare)
        at = "@" + self.host.domain
        for item in tuple(roster.items.values()):
            state = stateOf(item)
            if state.value[2] and item.pendingIn and (vetoed is None or not vetoed(item.jid)):
                self._deliverRequest(session, item.pendingIn)
            if state in (State.NONE_OUT, State.NONE_OUT_IN, State.FROM_OUT) and not item.jid.endswith(at):
                self._send(session.bare, item.jid, "subscribe")

    def _deliverRequest(self, session: ISession, raw: bytes) -> None:
        try:
            request = fromBytes(raw)
        except ValueError:
            log.error("a kept subscription request can't be read", account=session.bare)
            return
        session.deliver(request)
