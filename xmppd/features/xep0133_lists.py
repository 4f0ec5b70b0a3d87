"""
With whom a host communicates (XEP-0133 sections 4.11 and 4.12): a blacklist of those that nothing is taken from and
nothing is sent to, and a whitelist, beside which nobody else is left once there is somebody on it.

An entry is a JID of any form: a domain stands for everybody there, an account for all of its resources. Lists hold in
both directions. The host's own users, the host itself and the services it lists needn't be on the whitelist; users may
be on the blacklist, and then have nobody to talk to but themselves. No administrator can be shut out, nor the host.

What is refused is answered with C{not-allowed}; presence is dropped silently. While both lists are empty no session is
asked anything, and the door of the host isn't watched.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from twisted.internet.defer import Deferred

from xmppd.hooks import Command, CommandAnswer, CommandForm, CommandResult, Feature, Spec, Unanswered
from xmppd.ixmppd import IHost, ISession, Request, VetoPredicate
from xmppd.wire import forms, ns
from xmppd.wire.errors import StanzaCondition, StanzaError
from xmppd.wire.jid import JID, JIDMalformed, parse
from xmppd.wire.stanza import Stanza

Values = Mapping[str, tuple[str, ...]]

BLACK = "blacklist"
WHITE = "whitelist"

MOST = 1000
"""How many entries a list may have."""

BATCH = 100
"""For how many accounts presence is brought up to date in one turn of the reactor."""


class Lists:
    """The lists of one host."""

    def __init__(self, host: IHost) -> None:
        self._host = host
        self.entries: dict[str, frozenset[str]] = {BLACK: frozenset(), WHITE: frozenset()}

    @property
    def empty(self) -> bool:
        """Whether everybody may communicate with everybody."""
        return not any(self.entries.values())

    def load(self) -> Deferred[None]:
        """Read the lists, at the start. See C{hooks.starting}."""
        return Deferred.fromCoroutine(self._load())

    async def _load(self) -> None:
        for name in self.entries:
            self.entries[name] = frozenset(await self._host.facts.all(self._host.domain, name))
        self._watch()

    async def replace(self, name: str, jids: frozenset[str]) -> None:
        """Use another list from now on, and make presence follow."""
        await self._host.facts.replaceAll(self._host.domain, name, dict.fromkeys(sorted(jids), b"1"))
        before = self._predicate()
        accounts = tuple(self._host.sessions)
        after = self._predicate({**self.entries, name: jids})
        self._follow(accounts, self._host.presence.conceal, after, before, lambda address: True)
        self.entries[name] = jids
        self._watch()
        # A user who was listed and the others of the host hear of each other when it is the others' turn.
        self._follow(accounts, self._host.presence.reveal, before, after, self._isElsewhere)

    def _follow(
        self,
        accounts: tuple[str, ...],
        act: Callable[[str, VetoPredicate], None],
        out: VetoPredicate,
        otherwise: VetoPredicate,
        own: VetoPredicate,
    ) -> None:
        """
        Become unavailable, or visible, for those who are shut out by one pair of lists and not by the other; some
        accounts now, others in later turns.

        @param own: for whom an account does that is shut out itself.
        """

        def matches(address: str) -> bool:
            return out(address) and not otherwise(address)

        for bare in accounts[:BATCH]:
            if bare in self._host.sessions:
                act(bare, own if matches(bare) else matches)
        if len(accounts) > BATCH:
            self._host.clock.callLater(0, self._follow, accounts[BATCH:], act, out, otherwise, own)

    def _isElsewhere(self, address: str) -> bool:
        """Whether an address is not a user's of the host."""
        return not address.partition("/")[0].endswith("@" + self._host.domain)

    def _predicate(self, entries: Mapping[str, frozenset[str]] | None = None) -> VetoPredicate:
        """What says of an address that it is shut out by these lists."""
        lists = dict(self.entries if entries is None else entries)

        def matches(address: str) -> bool:
            try:
                return self._isOut(parse(address), lists)
            except JIDMalformed:
                return False

        return matches

    def _isOut(self, jid: JID, entries: Mapping[str, frozenset[str]]) -> bool:
        """Whether an address is shut out: it is on the blacklist, or not on a whitelist that there is."""
        if jid.full == self._host.domain or self._host.isAdmin(jid):
            return False
        if _matches(jid, entries[BLACK]):
            return True
        white = entries[WHITE]
        if not white or jid.domain == self._host.domain or jid.domain in self._host.services:
            return False
        return not _matches(jid, white)

    # --- watching

    def _watch(self) -> None:
        """Have sessions and the door ask us, or not."""
        host = self._host
        host.hooks.door.remove(self.arriving)
        if not self.empty:
            host.hooks.door.addRefusal(self.arriving)
        for there in tuple(host.sessions.values()):
            for session in tuple(there.values()):
                self.bound(session)

    def bound(self, session: ISession) -> None:
        """A session is there, and asks us if there is something to ask. See C{hooks.bound}."""
        for refuses in (self.sending, self.receiving):
            session.removeRefusal(refuses)
        if not self.empty:
            session.addSendRefusal(self.sending)
            session.addReceiveRefusal(self.receiving)

    def sending(self, session: ISession, stanza: Stanza) -> StanzaError | None:
        """Per stanza from a client."""
        return self._between(session.jid, stanza.attrs.get("to"), stanza)

    def receiving(self, session: ISession, stanza: Stanza) -> StanzaError | None:
        """
        Per stanza for a client. That a user of the host has gone is passed on: it is how presence ends when a list has
        changed, and what users say themselves was asked about when they sent it.
        """
        if stanza.type == "unavailable" and stanza.kind == "presence":
            if not self._isElsewhere(stanza.attrs.get("from", "")):
                return None
        return self._between(session.jid, stanza.attrs.get("from"), stanza)

    def arriving(self, stanza: Stanza) -> StanzaError | None:
        """Per stanza that isn't for a client, at the door of the host."""
        try:
            return self._between(parse(stanza.attrs.get("from", "")), stanza.attrs.get("to"), stanza)
        except JIDMalformed:
            return None

    def _between(self, one: JID, other: str | None, stanza: Stanza) -> StanzaError | None:
        """Whether two may communicate. Everybody may with himself, and a host with its users."""
        if other is None or (other == self._host.domain and self._isHosts(stanza)):
            return None
        try:
            jid = parse(other)
        except JIDMalformed:
            return None  # whoever routes it says so
        if jid.bare == one.bare or not (self._isOut(one, self.entries) or self._isOut(jid, self.entries)):
            return None
        if stanza.kind == "presence":
            return Unanswered(StanzaCondition.NOT_ALLOWED)
        return StanzaError(StanzaCondition.NOT_ALLOWED, "Nothing passes between these two here.")

    def _isHosts(self, stanza: Stanza) -> bool:
        """Whether a stanza is the host's own, or answers it: who is shut out is still asked whether he is there."""
        return stanza.attrs.get("from") == self._host.domain or stanza.attrs.get("type") in ("result", "error")

    def veto(self, account: str) -> VetoPredicate | None:
        """Between whom no presence passes. See L{xmppd.ixmppd.IPresence.addVeto}."""
        if self.empty:
            return None
        if self._predicate()(account):
            return lambda address: True
        return self._predicate()

    # --- commands

    def editing(self, name: str) -> Callable[..., Any]:
        """The command that shows a list and replaces it."""
        var = f"{name}jids"

        async def execute(request: Request, values: Values | None) -> CommandAnswer:
            if values is None:
                shown = forms.field(var, *sorted(self.entries[name]), type="jid-multi", label=f"The {name}")
                return CommandForm(forms.form("form", shown, formType=ns.ADMIN, title=f"Editing the {name}"))
            texts = [text for text in values.get(var, ()) if text.strip()]
            if len(texts) > MOST:
                raise StanzaError(StanzaCondition.NOT_ACCEPTABLE, f"At most {MOST} entries.")
            await self.replace(name, frozenset(self._entry(name, text) for text in texts))
            return CommandResult(note=f"Entries of the {name}: {len(self.entries[name])}.")

        return execute

    def _entry(self, name: str, text: str) -> str:
        """An entry in canonical form."""
        try:
            jid = parse(text.strip())
        except JIDMalformed as error:
            raise StanzaError(StanzaCondition.NOT_ACCEPTABLE, f"{text!r} is no address.") from error
        if name == BLACK and any(_matches(parse(each), {jid.full, jid.bare}) for each in self._indispensable(jid)):
            raise StanzaError(StanzaCondition.NOT_ACCEPTABLE, f"{jid} would shut out the host or an administrator.")
        return jid.full

    def _indispensable(self, jid: JID) -> tuple[str, ...]:
        """Who can't be shut out."""
        host = self._host
        own = (jid.bare,) if host.isAdmin(jid) else ()
        return (host.domain, *host.config.admins, *own)


def _matches(jid: JID, entries: frozenset[str] | set[str]) -> bool:
    """Whether an address is on a list: by itself, or as a part of an account or a domain (XEP-0016 section 2.1)."""
    return jid.full in entries or jid.bare in entries or jid.domain in entries


def join(host: IHost) -> None:
    """Offer the commands, and have the lists observed."""
    lists = Lists(host)
    host.hooks.starting.addObserver(lists.load)
    host.hooks.bound.addObserver(lists.bound)
    host.presence.addVeto(lists.veto)
    for name in (BLACK, WHITE):
        host.addCommand(Command(f"{ns.ADMIN}#edit-{name}", f"Edit the {name}", lists.editing(name)))


feature = Feature(
    name="xep0133_lists", specs=(Spec("XEP-0133", "1.3.1"),), after=("rfc6121_im",), join=join
)
