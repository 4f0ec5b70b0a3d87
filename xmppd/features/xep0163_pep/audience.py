"""
Who hears of an account's nodes without having subscribed (XEP-0163 sections 2.3 and 4, XEP-0060 section 9).

Theory of operation. A client's interests, the nodes it wants to hear of, are kept with its session while it is
available; those of clients elsewhere, with the account they sent their presence to. What is published goes to those
with an interest in the node who may read it: the account's own clients and the contacts who see its presence. Whoever
becomes available, or newly interested, gets the last item of each node of interest: of the own account's and of those
of contacts on this host. Other hosts do the same for us when our presence reaches them.

To do that for every presence, the names of an account's nodes that send their last item are remembered.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Coroutine, Sequence
from typing import Any, Final

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from xmppd.features.xep0163_pep.capabilities import NOTHING, Capabilities, Interests, capsOf
from xmppd.ixmppd import IHost, ISession, RosterItem, StoreUnavailable
from xmppd.pubsub.notices import Notices
from xmppd.pubsub.profile import SHOWN, Watcher
from xmppd.pubsub.shelf import READERS, Node, Shelf, bareOf
from xmppd.wire.errors import StanzaError
from xmppd.wire.jid import JIDMalformed, parse
from xmppd.wire.stanza import Stanza

log = Logger(namespace="xmppd.pep")

SLOT: Final = "xep0163_pep"

REMEMBERED: Final = 5000
"""Of how many accounts the names of nodes are remembered."""

ELSEWHERE: Final = 50_000
"""How many clients of other servers are known to have sent presence to accounts; for each account they count anew."""

SEEN: Final = ("to", "both")
"""The states of a roster item whose owner sees the contact's presence."""


class Audience:
    """The clients that listen to the accounts of one host."""

    def __init__(self, host: IHost, capabilities: Capabilities) -> None:
        self._host = host
        self._capabilities = capabilities
        self._at = "@" + host.domain
        self._names: OrderedDict[str, frozenset[str]] = OrderedDict()
        self._version = 0
        self._elsewhere: OrderedDict[tuple[str, str], Interests] = OrderedDict()
        self._bySender: dict[str, dict[str, Interests]] = {}
        self.shelf: Shelf
        self.notices: Notices

    # --- clients of this host

    def available(self, session: ISession, first: bool) -> None:
        """A client has broadcast presence. See C{hooks.available}."""
        self._look(session, self._interested)

    def bound(self, session: ISession) -> None:
        """A client that was available before a restart has heard everything already. See C{hooks.bound}."""
        if session.presence is not None:
            self._look(session, self._noted)

    def unavailable(self, session: ISession, stanza: Stanza) -> None:
        """See C{hooks.unavailable}."""
        session.slots.pop(SLOT, None)

    def _look(self, session: ISession, then: Any) -> None:
        """Find out what a client is interested in."""
        assert session.presence is not None
        caps = capsOf(session.presence)
        if caps is None:
            session.slots.pop(SLOT, None)
            return

        def found(interests: Interests) -> None:
            # It may be gone by now, or have become another.
            if not session.over and session.presence is not None and capsOf(session.presence) == caps:
                then(session, interests)

        self._capabilities.learn(caps, session.full, found)

    def _noted(self, session: ISession, interests: Interests) -> Interests:
        """Keep a client's interests; answers the new ones."""
        old: Interests = session.slots.get(SLOT, NOTHING)
        session.slots[SLOT] = interests
        return interests - old

    def _interested(self, session: ISession, interests: Interests) -> None:
        new = self._noted(session, interests)
        if new:
            self._run(self._lasts(session, new))

    async def _lasts(self, session: ISession, interests: Interests) -> None:
        """The last items of the own account and of the contacts on this host (XEP-0163 section 4.3.4)."""
        await self._send(session.bare, session.full, interests)
        for item in (await self._host.rosters.get(session.bare)).items:
            if item.subscription in SEEN and item.jid.endswith(self._at):
                if session.presence is None:
                    return
                await self._send(item.jid, session.full, interests)

    async def _send(self, account: str, jid: str, interests: Interests) -> None:
        """The last items of an account's nodes to one client, as far as it is interested and may read them."""
        for name in sorted(interests & await self._namesOf(account)):
            node = await self.shelf.find(account, name)
            if node is None or await self.shelf.readRefusal(node, bareOf(jid)) is not None:
                continue
            if not await self.shelf.profile.hears(account, jid):
                return
            for item in await self.shelf.newest(node, 1):
                self.notices.last(node, item, jid)

    async def _namesOf(self, account: str) -> frozenset[str]:
        """The nodes of an account that send their last item to who becomes available."""
        known = self._names.get(account)
        if known is not None:
            self._names.move_to_end(account)
            return known
        version = self._version
        records = [(each.node, self.shelf.configOf(each)) for each in await self.shelf.records(account)]
        names = frozenset(
            name
            for name, config in records
            if config.sendLast == "on_sub_and_presence" and config.deliverNotifications and config.persistItems
        )
        if version == self._version:
            self._names[account] = names
            if len(self._names) > REMEMBERED:
                self._names.popitem(last=False)
        return names

    def retold(self, account: str) -> None:
        """An account's nodes are others now."""
        self._version += 1
        self._names.pop(account, None)

    def shown(self, account: str, contact: str) -> None:
        """A contact has begun to see an account's presence. See C{hooks.shown}."""
        for jid, interests in self._clientsOf(account, contact):
            if interests:
                self._run(self._send(account, jid, interests))

    def _clientsOf(self, account: str, contact: str) -> list[tuple[str, Interests]]:
        """The clients of a contact of an account, with their interests."""
        if contact.endswith(self._at):
            return [(each.full, each.slots.get(SLOT, NOTHING)) for each in self._host.router.sessionsOf(contact)]
        found = self._bySender.get(account, {})
        return [(jid, interests) for jid, interests in found.items() if bareOf(jid) == contact]

    # --- clients elsewhere

    def arriving(self, stanza: Stanza) -> Stanza:
        """Presence from another server. See C{hooks.arriving}."""
        if stanza.kind == "presence" and stanza.type in (None, "unavailable"):
            try:
                account, sender = parse(stanza.attrs["to"]).bare, parse(stanza.attrs["from"]).full
            except (JIDMalformed, KeyError):
                return stanza
            if account.endswith(self._at):
                self._arrived(stanza, account, sender)
        return stanza

    def _arrived(self, stanza: Stanza, account: str, sender: str) -> None:
        caps = capsOf(stanza) if stanza.type is None else None
        if caps is None:
            self._forget(account, sender)
            return

        def found(interests: Interests) -> None:
            new = interests - self._bySender.get(account, {}).get(sender, NOTHING)
            self._elsewhere[account, sender] = interests
            self._elsewhere.move_to_end((account, sender))
            self._bySender.setdefault(account, {})[sender] = interests
            if len(self._elsewhere) > ELSEWHERE:
                self._forget(*next(iter(self._elsewhere)))
            if new:
                self._run(self._send(account, sender, new))

        self._capabilities.learn(caps, sender, found)

    def _forget(self, account: str, sender: str) -> None:
        self._elsewhere.pop((account, sender), None)
        there = self._bySender.get(account, {})
        there.pop(sender, None)
        if not there:
            self._bySender.pop(account, None)

    def removed(self, account: str) -> None:
        """An account is gone."""
        self.retold(account)
        for sender in list(self._bySender.get(account, {})):
            self._forget(account, sender)

    # --- who hears of a change

    async def watchers(self, node: Node) -> Sequence[Watcher]:
        """Who is to be told of a change of a node (XEP-0163 section 4.1)."""
        account = node.owner
        found = [
            Watcher(each.full, True)
            for each in self._host.router.sessionsOf(account)
            if node.name in each.slots.get(SLOT, NOTHING)
        ]
        contacts = await self._contacts(node)
        for bare, seesPresence in contacts.items():
            if bare.endswith(self._at):
                for each in self._host.router.sessionsOf(bare):
                    if node.name in each.slots.get(SLOT, NOTHING):
                        found.append(Watcher(each.full, seesPresence))
        for jid, interests in self._bySender.get(account, {}).items():
            bare = bareOf(jid)
            if node.name in interests and self._mayWatch(node, bare, contacts):
                found.append(Watcher(jid, contacts.get(bare, False)))
        return await self._unvetoed(account, found)

    async def _contacts(self, node: Node) -> dict[str, bool]:
        """The contacts who may read a node, and whether they see the account's presence."""
        model = node.config.accessModel
        items = [each for each in (await self._host.rosters.get(node.owner)).items if each.subscription in SHOWN]
        seeing = {each.jid for each in items}
        if model in ("open", "presence", "roster"):
            groups = set(node.config.rosterGroups)
            items = [each for each in items if model != "roster" or _within(each, groups)]
            found = {each.jid: True for each in items if self.shelf.affiliation(node, each.jid) in (*READERS, "none")}
        else:
            found = {}
        for bare in node.affiliations:
            if self.shelf.affiliation(node, bare) in READERS:
                found[bare] = bare in seeing
        found.pop(node.owner, None)
        return found

    def _mayWatch(self, node: Node, bare: str, contacts: dict[str, bool]) -> bool:
        """Whether somebody elsewhere who sent presence may hear of a node (XEP-0060 section 9.1.3)."""
        if bare in contacts:
            return True
        return node.config.accessModel == "open" and self.shelf.affiliation(node, bare) in (*READERS, "none")

    async def _unvetoed(self, account: str, watchers: list[Watcher]) -> list[Watcher]:
        """Those whom the account has not blocked."""
        vetoed = await self._host.presence.vetoOf(account)
        return watchers if vetoed is None else [each for each in watchers if not vetoed(each.jid)]

    # --- work on the side

    def _run(self, work: Coroutine[Any, Any, None]) -> None:
        Deferred.fromCoroutine(work).addErrback(self._failed)

    def _failed(self, failure: Failure) -> None:
        if failure.check(StoreUnavailable, StanzaError) is None:
            log.failure("sending last items failed", failure)


def _within(item: RosterItem, groups: set[str]) -> bool:
    return bool(set(item.groups) & groups)
