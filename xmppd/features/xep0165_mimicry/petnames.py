"""
The roster as a petname system (section 2.2): handles that are a user's own, keys that belong to contacts (2.3), what
others recommend (2.4), and requests to subscribe that are compared with all that (2.5).

The server doesn't decide whom to trust. It remembers what was said before, by whom, and says where it doesn't agree: a
handle that looks like another or was somebody else's idea, a name that is taken already, a key that isn't the one that
was known or recommended. What it compares are identities of keys; that somebody has the private key to it is for
clients to find out.
"""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Final

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from xmppd.features.xep0165_mimicry.acquaintances import LONGEST, Acquaintance, Acquaintances, Referral
from xmppd.features.xep0165_mimicry.contacts import Rosters
from xmppd.features.xep0165_mimicry.keys import PUBKEY, identities
from xmppd.features.xep0165_mimicry.meeting import REFERRALS
from xmppd.features.xep0165_mimicry.telling import NAME, TOLD, Headlines
from xmppd.ixmppd import IHost, ISession, Meeting, NameVerdict, NodeItem, Request, RosterItem, StoreUnavailable
from xmppd.naming import ALLOW, WARN, imitation
from xmppd.wire import ns
from xmppd.wire.element import Element, parseContent, writable
from xmppd.wire.errors import StanzaCondition, StanzaError
from xmppd.wire.jid import JIDMalformed, parse
from xmppd.wire.lookalikes import NameIndex, firstAlike, keysOf
from xmppd.wire.stanza import Stanza

log = Logger(namespace="xmppd.names")

NICK: Final = "http://jabber.org/protocol/nick nick"
EVENT: Final = "http://jabber.org/protocol/pubsub#event event"

MOST_ITEMS: Final = 20
"""How many recommendations of one stanza are remembered."""

LATER: Final = 100
"""Behind how much else of an account that waits for its turn what others send is remembered."""

MOST_TOLD: Final = 1000
"""How many contacts of this server hear of somebody's new keys at most."""

ROSTERS: Final = 200
"""Of how many rosters the handles are kept ready for comparison."""

_SAID: Final = {
    "look-alike": "it looks like what you call another contact",
    "alleged": "it is not your own: they call themselves that, or were recommended to you by that name",
    "missing": "every contact needs one",
}


class Petnames:
    """Those of one host's users."""

    def __init__(self, host: IHost, rosters: Rosters) -> None:
        self._host = host
        self._rosters = rosters
        self._known = Acquaintances(host)
        self._headlines = Headlines(host)
        self._own: bool = host.option(NAME, "petnames")
        self._handles: OrderedDict[str, tuple[dict[str, str], NameIndex]] = OrderedDict()

    # --- handles

    def naming(
        self, account: str, contact: str, name: str, roster: Mapping[str, RosterItem]
    ) -> Deferred[StanzaError | None]:
        """A user gives a contact a handle. See C{hooks.naming}."""
        return self._inTurn(account, lambda: self._name(account, contact, name, roster))

    async def _name(
        self, account: str, contact: str, name: str, roster: Mapping[str, RosterItem]
    ) -> StanzaError | None:
        """Why a handle is refused, if it is; what was recommended has been used if it isn't."""
        known = await self._known.get(account, contact)
        verdict = self._judge(account, contact, name, roster, known)
        self._host.names.note(verdict, account=account, contact=contact)
        if verdict.refused:
            return self._refusal(verdict)
        if verdict.reasons:
            self._headlines.say(account, f"Think of another name for {contact}: {self._why(verdict)}.")
        if known.referrals:
            await self._known.put(account, contact, known.used(self._host.clock.seconds()), {contact, *roster})
        return None

    def _judge(
        self, account: str, contact: str, name: str, roster: Mapping[str, RosterItem], known: Acquaintance
    ) -> NameVerdict:
        """Compare a handle with others, and with what others call the contact."""
        action = self._host.names.action("handle")
        if action == ALLOW and not self._own:
            return NameVerdict("handle", name)
        index = self._indexOf(account, roster)
        alike = index.alike(name, contact) if name else []
        same = [item.name for jid, item in roster.items() if item.listed and jid != contact and item.name == name != ""]
        verdict = self._host.names.judge("handle", name, (*same, *alike)) if name else NameVerdict("handle", name)
        reasons = []
        if self._own and not name:
            reasons.append("missing")
        elif self._own and firstAlike(name, known.alleged) is not None:
            reasons.append("alleged")
        if reasons:
            action = WARN if action == ALLOW else action
            verdict = replace(verdict, action=action, reasons=(*verdict.reasons, *reasons))
        return verdict

    def _indexOf(self, account: str, roster: Mapping[str, RosterItem]) -> NameIndex:
        """The handles of a roster, ready for comparison."""
        names, index = self._handles.pop(account, ({}, NameIndex()))
        now = {jid: item.name for jid, item in roster.items() if item.listed and item.name}
        for jid, name in names.items() - now.items():
            index.discard(name, jid)
        for jid, name in now.items() - names.items():
            index.add(name, jid)
        self._handles[account] = (now, index)
        if len(self._handles) > ROSTERS:
            self._handles.popitem(last=False)
        return index

    def _why(self, verdict: NameVerdict) -> str:
        """Reasons in words."""
        words = dict.fromkeys(_SAID.get(each, "it can't be told from other names") for each in verdict.reasons)
        alike = ", ".join(verdict.alike[:TOLD])
        return "; ".join(words) + (f" ({alike})" if alike else "")

    def _refusal(self, verdict: NameVerdict) -> StanzaError:
        """How a client is told; all it is told is the user's own."""
        return imitation(f"The name can't be used: {self._why(verdict)}.", verdict.reasons, verdict.alike[:TOLD])

    # --- requests to subscribe

    async def meeting(self, meeting: Meeting) -> None:
        """Somebody asks to subscribe, with a nickname and keys. See C{hooks.meeting}."""
        await self._inTurn(meeting.recipient, lambda: self._compare(meeting))

    async def _compare(self, meeting: Meeting) -> None:
        account, bare = meeting.recipient, meeting.sender.bare
        nicks = [each.text for each in meeting.stanza.elements() if each.qname == NICK]
        nick = " ".join(nicks[0].split())[:LONGEST] if nicks else ""
        offered = identities(meeting.stanza.elements())
        known = await self._known.get(account, bare)
        self._compareName(meeting, nick)
        if known.changes(offered):
            meeting.reasons.append("key")
        if known.recommended and known.recommended.isdisjoint(offered):
            meeting.reasons.append("referral")
        contacts = {jid for jid, item in meeting.roster.items() if item.listed}
        if offered and not known.keys and not meeting.reasons:
            known = known.withKeys(offered, "request", self._host.clock.seconds())
        if nick:
            known = replace(known, nick=nick)
        await self._known.put(account, bare, known, contacts)

    def _compareName(self, meeting: Meeting, nick: str) -> None:
        """Somebody who goes by the name that the user has given to another."""
        if not nick:
            return
        mine = keysOf(nick)
        for jid, item in meeting.roster.items():
            if item.listed and item.name and jid != meeting.sender.bare and not mine.isdisjoint(keysOf(item.name)):
                meeting.reasons.append("nickname")
                meeting.alike.append(jid)
                return

    # --- recommendations

    def arriving(self, stanza: Stanza) -> None:
        """From another server; refuses nothing. See C{hooks.arriving}."""
        if REFERRALS in stanza.childNames and stanza.attrs.get("type") != "error":
            self.referred(stanza)
        elif EVENT in stanza.childNames and stanza.kind == "message":
            self._notified(stanza)

    def bound(self, session: ISession) -> None:
        """See C{hooks.bound} and C{hooks.resumed}."""
        if session.stream is not None and session.stream.spotted:
            self.spotted(session)

    def spotted(self, session: ISession) -> None:
        """A client that has spelled the namespace of recommendations may send some. See C{hooks.spotted}."""
        slot = f"{NAME} recommends"
        if slot not in session.slots:
            session.slots[slot] = True
            session.addSendRefusal(self.sends)

    def sends(self, session: ISession, stanza: Stanza) -> StanzaError | None:
        """From such a client; refuses nothing. See L{ISession.addSendRefusal}."""
        if REFERRALS in stanza.childNames and stanza.attrs.get("type") != "error":
            to = _recipient(stanza)
            host: Any = self._host.router.destinations.get(to.rpartition("@")[2])
            if hasattr(host, "hooks"):
                host.hooks.referred.notify(stanza)
        return None

    def referred(self, stanza: Stanza) -> None:
        """Somebody recommends contacts to a user of ours. See C{hooks.referred}."""
        account, by = _recipient(stanza), stanza.attrs["from"].partition("/")[0]
        items = [
            item
            for child in stanza.elements()
            if child.qname == REFERRALS
            for item in child.elements("item")
            if item.get("action", "add") == "add"
        ]
        if items and "@" in account and account != by:
            self._later(account, lambda: self._remember(account, by, items[:MOST_ITEMS]))

    async def _remember(self, account: str, by: str, items: list[Element]) -> None:
        """Who recommends has to be a contact (section 3: no more trust than in who sends it)."""
        if not await self._host.exists(account):
            return
        contacts = await self._rosters.of(account)
        if by not in contacts:
            return
        for item in items:
            try:
                bare = parse(item.get("jid") or "").bare
            except JIDMalformed:
                continue
            if bare in (account, by) or bare in contacts:
                continue
            nick = next((each.text for each in item.elements() if each.qname == NICK), "")
            name, keys = item.get("name") or "", identities(item.elements())
            referral = Referral(by, name[:LONGEST], nick[:LONGEST], keys, self._host.clock.seconds())
            known = await self._known.get(account, bare)
            await self._known.put(account, bare, known.withReferral(referral), contacts)

    # --- keys that contacts publish

    def _notified(self, stanza: Stanza) -> None:
        """A contact elsewhere has published keys (XEP-0189 section 6)."""
        account, bare = _recipient(stanza), stanza.attrs["from"].partition("/")[0]
        event = stanza.find(EVENT)
        for items in event.elements("items") if event is not None else ():
            if items.get("node") == PUBKEY:
                payloads = [each for item in items.elements("item") for each in item.elements()]
                keys = identities(payloads)
                if keys:
                    self._later(account, lambda: self._learn(account, bare, keys))  # noqa: B023

    async def published(self, request: Request, item: NodeItem) -> None:
        """One of our users has published a key: the contacts on this host get to know. See L{IPersonalNodes.follow}."""
        publisher = request.target.bare
        keys = identities(each for each in parseContent(item.payload) if isinstance(each, Element))
        roster = (await self._host.rosters.get(publisher)).items if keys else ()
        contacts = [each.jid for each in roster if each.subscription in ("from", "both")]
        ours = [jid for jid in contacts if jid.endswith("@" + self._host.domain)]
        for account in ours[:MOST_TOLD]:
            await self._inTurn(account, lambda: self._learn(account, publisher, keys))  # noqa: B023

    async def _learn(self, account: str, bare: str, keys: tuple[str, ...]) -> None:
        """Keys of a contact's: associate them with it, or say that they are others than before (section 2.3)."""
        contacts = await self._rosters.of(account)
        if bare not in contacts:
            return
        known = await self._known.get(account, bare)
        expected = tuple(known.keys) or tuple(known.recommended)
        if expected and set(expected).isdisjoint(keys):
            verdict = NameVerdict("met", bare, WARN, ("key",))
            self._host.names.note(verdict, recipient=account)
            self._headlines.alarm(account, verdict)
        merged = tuple(dict.fromkeys((*keys, *(() if known.changes(keys) else known.keys))))
        known = known.withKeys(merged, "publication", self._host.clock.seconds())
        await self._known.put(account, bare, known, contacts)

    # --- asking

    def asked(self, request: Request) -> Deferred[Element]:
        """What is known of an address, for the user: an IQ of the own account."""
        if request.session is None or not request.own:
            raise StanzaError(StanzaCondition.FORBIDDEN)
        jid = request.payload.get("jid")
        if not jid:
            raise StanzaError(StanzaCondition.BAD_REQUEST, "Say of whom, with jid.")
        account, bare = request.session.bare, parse(jid).bare
        return self._inTurn(account, lambda: self._tell(account, bare))

    async def _tell(self, account: str, bare: str) -> Element:
        known = await self._known.get(account, bare)
        if known == Acquaintance():
            raise StanzaError(StanzaCondition.ITEM_NOT_FOUND)
        children = [Element("nick", ns.NAMES, {}, (writable(known.nick),))] if known.nick else []
        for identity, since in known.keys.items():
            attrs = {"id": writable(identity), "since": _time(since), "source": known.source}
            children.append(Element("key", ns.NAMES, attrs))
        for each in known.referrals:
            attrs = {"by": each.by, "at": _time(each.at), "name": writable(each.name), "nick": writable(each.nick)}
            keys = tuple(Element("key", ns.NAMES, {"id": writable(key)}) for key in each.keys)
            children.append(Element("referral", ns.NAMES, {key: text for key, text in attrs.items() if text}, keys))
        return Element("acquaintance", ns.NAMES, {"jid": bare}, tuple(children))

    # --- in turn

    def _inTurn(self, account: str, work: Any) -> Deferred[Any]:
        try:
            return self._known.inTurn(account, work)
        except OverflowError:
            raise StanzaError(StanzaCondition.RESOURCE_CONSTRAINT) from None

    def _later(self, account: str, work: Any) -> None:
        """What nobody waits for."""
        try:
            self._known.inTurn(account, work, LATER).addErrback(self._failed)
        except OverflowError:
            log.debug("too much is under way to remember who was recommended to {account}", account=account)

    def _failed(self, failure: Failure) -> None:
        if failure.check(StoreUnavailable, json.JSONDecodeError) is None:
            log.failure("remembering an acquaintance failed", failure)
        else:
            log.warn("who was recommended can't be remembered: the database is not available")

    def removed(self, bare: str) -> None:
        """An account is gone. See C{hooks.removed}."""
        self._handles.pop(bare, None)


def _recipient(stanza: Stanza) -> str:
    """The bare JID that a stanza is for, however it is written; empty if it isn't for anybody else."""
    try:
        return parse(stanza.attrs.get("to", "")).bare
    except JIDMalformed:
        return ""


def _time(seconds: float) -> str:
    """As XEP-0082 writes it."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

