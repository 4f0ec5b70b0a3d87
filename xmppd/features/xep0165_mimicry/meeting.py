"""
Strangers are met: who writes for the first time, asks to subscribe, or invites somebody.

Theory of operation. What a stanza says of whom is compared with what its recipient knows, which is in the database.
So the first stanza of each pair of recipient and sender waits, and what comes after it waits behind; when all is read
they go on, marked if there is something to be said. The outcome is remembered for a while, so that the next stanza
of the pair costs one look into a dictionary. A client of this server is simply not read while what it has sent waits.
Requests to subscribe are looked at each time, since they are rare and carry keys and
nicknames that are looked at with them (C{hooks.meeting}).

Stanzas pass here at the door of the host (what is for accounts) and when they arrive from other servers. What one
client of this server sends to the full JID of another goes a shorter way, on which nobody is asked anything. Only the
names of this server's own accounts can come that way, and of these only two kinds can deceive: those that aren't ASCII,
and those of which there is a look-alike here. Sessions of such accounts are watched, and whomever they write to looks
at what comes from then on.
"""

from __future__ import annotations

import inspect
from collections import Counter, OrderedDict
from collections.abc import Iterable
from dataclasses import replace
from typing import Final

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger
from twisted.python.failure import Failure

from xmppd.features.xep0165_mimicry.contacts import Contacts, Rosters, scriptsIn
from xmppd.features.xep0165_mimicry.languages import Languages
from xmppd.features.xep0165_mimicry.telling import NAME, WARNING, WARNINGS, Headlines, attach
from xmppd.hooks import Unanswered
from xmppd.ixmppd import IHost, ISession, Meeting, NameVerdict, StoreUnavailable
from xmppd.naming import ALLOW, REFUSE, WARN, NamesConfig
from xmppd.wire import ns
from xmppd.wire.errors import StanzaCondition, StanzaError
from xmppd.wire.jid import JID, JIDMalformed, parse
from xmppd.wire.lookalikes import keysOf
from xmppd.wire.stanza import Stanza

log = Logger(namespace="xmppd.names")

KNOWN: Final = 20_000
"""Of how many pairs the outcome is remembered."""

FRESH: Final = 3600.0
"""How long it holds, in seconds: whom the recipient knows and can read changes."""

WAITING: Final = 2000
"""How many stanzas of a pair may wait: as many as come while a database answers, from somebody who doesn't pause."""

WAITING_OCTETS: Final = 16 << 20
"""How much may wait in all."""

OCTETS_OF_DOMAIN: Final = 4 << 20
"""How much of it from one other domain."""

PAIRS: Final = 1000
"""How many pairs may be looked at at a time."""

PAIRS_OF_DOMAIN: Final = 250
"""How many of them with senders of one other domain, so that there is room for others."""

INTRODUCED: Final = 100
"""How many addresses a stranger's stanza may name; one with more is refused, since none goes by unseen."""

DOUBLES: Final = 100_000
"""How many accounts with look-alikes are remembered."""

SEARCH_SECONDS: Final = 10.0
"""How long after the start accounts with look-alikes are looked for."""

OCCUPANT: Final = f"{ns.MUC_USER} x"
INVITATION: Final = "jabber:x:conference x"
REFERRALS: Final = "http://jabber.org/protocol/rosterx x"
INTRODUCING: Final = frozenset({OCCUPANT, INVITATION, REFERRALS})
"""Children of a message that name somebody else than its sender."""

CROWD: Final = "crowd"
"""The reason, in the audit log, why somebody is refused who names too many others."""

SPEAKING: Final = frozenset({None, "normal", "chat", "headline"})
"""The types of messages in which a stranger may speak to somebody."""

HELD: Final = Unanswered(StanzaCondition.UNDEFINED_CONDITION)
"""What is answered for a stanza that waits: it comes again."""

FULL: Final = StanzaError(StanzaCondition.RESOURCE_CONSTRAINT)

REFUSED: Final = StanzaError(StanzaCondition.POLICY_VIOLATION, "This address can't write to that user.")

Pair = tuple[str, str]
Outcome = tuple[NameVerdict, ...]
"""What to say of a stanza; empty if nothing."""

Held = tuple[Stanza, Deferred[None] | None]
"""What waits, and what fires when it has gone on."""


def introduced(stanza: Stanza) -> list[JID]:
    """
    The addresses that a message names besides its sender: of rooms, of who invites, of those who are recommended; of
    more than L{INTRODUCED} that many and one.
    """
    if INTRODUCING.isdisjoint(stanza.childNames):
        return []
    texts: list[str | None] = []
    for child in stanza.elements():
        if child.qname == OCCUPANT:
            texts += [each.get("from") for each in child.elements("invite")]
        elif child.qname == INVITATION:
            texts.append(child.get("jid"))
        elif child.qname == REFERRALS:
            texts += [each.get("jid") for each in child.elements("item") if each.get("action", "add") == "add"]
    found: dict[str, JID] = {}
    for text in texts:
        try:
            jid = parse(text or "").toBare()
        except JIDMalformed:
            continue
        found.setdefault(jid.bare, jid)
        if len(found) > INTRODUCED:
            break
    return list(found.values())


class Meetings:
    """Those of one host's users."""

    def __init__(self, host: IHost, languages: Languages, rosters: Rosters) -> None:
        self._host = host
        self._languages = languages
        self._rosters = rosters
        self._headlines = Headlines(host)
        self._known: OrderedDict[Pair, tuple[Outcome, float, NamesConfig]] = OrderedDict()
        self._parties: dict[str, set[Pair]] = {}
        self._domains: Counter[str] = Counter()
        self._load: Counter[str] = Counter()
        self._octets = 0
        self._waiting: dict[Pair, list[Held]] = {}
        self._looking: set[Deferred[None]] = set()
        self._doubles: set[str] = set()
        self._passing: Stanza | None = None
        self._due: IDelayedCall | None = None

    # --- where stanzas pass

    def arrives(self, stanza: Stanza) -> StanzaError | None:
        """From another server. See C{hooks.arriving}."""
        stanza.strip(WARNINGS)
        return self.meets(stanza)

    def meets(self, stanza: Stanza) -> StanzaError | None:
        """At the door of the host. See C{hooks.door}."""
        attrs = stanza.attrs
        to, sender = attrs.get("to"), attrs["from"].partition("/")[0]
        if to is None or stanza is self._passing:
            return None
        recipient = parse(to).bare
        pair = (recipient, sender)
        if pair in self._waiting:
            return self._hold(pair, stanza)
        kind, type = stanza.kind, attrs.get("type")
        if kind == "message":
            if type not in SPEAKING:
                return None
            outcome = self._recall(pair)
            if outcome is not None and not introduced(stanza):
                return self._settle(stanza, pair, outcome) if outcome else None
        elif kind != "presence" or type != "subscribe":
            return None
        if WARNING in stanza.childNames or not self._isMeeting(recipient, sender):
            return None
        if kind == "message" and self._host.presence.lists(recipient, sender):
            self._remember(pair, ())
            return None
        return self._hold(pair, stanza)

    def _isMeeting(self, recipient: str, sender: str) -> bool:
        """Whether there is anybody to meet anybody: not the server itself, nor its services, nor a user himself."""
        if "@" not in recipient or recipient == sender or self._host.names.action("met") == ALLOW:
            return False
        return "@" in sender or sender not in self._host.router.destinations

    def receives(self, session: ISession, stanza: Stanza) -> StanzaError | None:
        """To a client that somebody is watched for. See L{ISession.addReceiveRefusal}."""
        return self.meets(stanza) if stanza.attrs.get("to") == session.full else None

    # --- whom to watch

    def bound(self, session: ISession) -> None:
        """A client is there: watch it if its address can deceive. See C{hooks.bound}."""
        if not session.bare.isascii() or session.bare in self._doubles:
            session.addSendRefusal(self.sends)
        self.resumed(session)

    def resumed(self, session: ISession) -> None:
        """Clients that have spelled the namespace may try to mark what they send. See C{hooks.resumed}."""
        if session.stream is not None and session.stream.spotted:
            self.spotted(session)

    def spotted(self, session: ISession) -> None:
        """See C{hooks.spotted}."""
        if f"{NAME} spotted" not in session.slots:
            session.slots[f"{NAME} spotted"] = True
            session.addSendChange(self.cleans)

    def cleans(self, session: ISession, stanza: Stanza) -> Stanza:
        """Nobody but the server marks stanzas."""
        stanza.strip(WARNINGS)
        return stanza

    def sends(self, session: ISession, stanza: Stanza) -> StanzaError | None:
        """From a client that is watched; refuses nothing. See L{ISession.addSendRefusal}."""
        target = self._host.router.session(stanza.attrs.get("to", ""))
        if target is not None:
            target.host.hooks.approached.notify(target)
        return None

    def approached(self, session: ISession) -> None:
        """See C{hooks.approached}."""
        if NAME not in session.slots:
            session.slots[NAME] = True
            session.addReceiveRefusal(self.receives)

    def started(self) -> None:
        """Find the accounts that look alike, when the index of names is complete. See C{hooks.starting}."""
        self._due = self._host.clock.callLater(SEARCH_SECONDS, self._search)

    def stopping(self) -> Deferred[None]:
        """What waits goes on while the store is there. See C{hooks.stopping}."""
        if self._due is not None and self._due.active():
            self._due.cancel()
        return Deferred.fromCoroutine(self._finish())

    async def _finish(self) -> None:
        while self._looking:
            over: Deferred[None] = Deferred()
            next(iter(self._looking)).addBoth(lambda _: over.callback(None))  # noqa: B023
            await over

    def _search(self) -> None:
        Deferred.fromCoroutine(self._findDoubles()).addErrback(self._failed)

    async def _findDoubles(self) -> None:
        after = ""
        while groups := await self._host.nameIndex.groups("account", self._host.domain, after):
            for _, records in groups:
                self._watch(record.owner for record in records)
            after = groups[-1][0]

    def registered(self, bare: str) -> None:
        """An account is new, which may look like another. See C{hooks.registered}."""
        Deferred.fromCoroutine(self._findDoublesOf(bare)).addErrback(self._failed)

    async def _findDoublesOf(self, bare: str) -> None:
        local = bare.rpartition("@")[0]
        alike = await self._host.nameIndex.alike("account", self._host.domain, local)
        if alike:
            self._watch((bare, *(record.owner for record in alike)))

    def _watch(self, accounts: Iterable[str]) -> None:
        for bare in accounts:
            if bare in self._doubles or len(self._doubles) >= DOUBLES:
                continue
            self._doubles.add(bare)
            for session in self._host.router.sessionsOf(bare):
                session.addSendRefusal(self.sends)

    def removed(self, bare: str) -> None:
        """An account is gone; what was known of it doesn't hold for the next of that name. See C{hooks.removed}."""
        self._doubles.discard(bare)
        self._rosters.forget(bare)
        for pair in tuple(self._parties.get(bare, ())):
            self._forget(pair)

    def naming(self, account: str, *about: object) -> None:
        """Whoever gets another contact may have to be warned of those who look like it. See C{hooks.naming}."""
        for pair in self._parties.get(account, ()):
            if pair[0] == account:
                outcome, _, config = self._known[pair]
                self._known[pair] = outcome, 0.0, config

    def _failed(self, failure: Failure) -> None:
        if failure.check(StoreUnavailable) is None:
            log.failure("looking for look-alikes among accounts failed", failure)
        else:
            log.warn("look-alikes among accounts can't be found: the database is not available")

    # --- waiting

    def _hold(self, pair: Pair, stanza: Stanza) -> StanzaError:
        """Have a stanza wait until its pair has been looked at."""
        if self._isFull(pair, len(stanza.raw)):
            return FULL
        waiting = self._waiting.get(pair)
        if waiting is not None:
            self._keep(pair, waiting, stanza)
            return HELD
        self._domains[_domain(pair)] += 1
        waiting = self._waiting[pair] = []
        self._keep(pair, waiting, stanza)
        looking = Deferred.fromCoroutine(self._look(pair)).addErrback(self._lost, pair)
        if not looking.called:
            self._looking.add(looking)
            looking.addBoth(lambda _: self._looking.discard(looking))
        return HELD

    def _isFull(self, pair: Pair, octets: int) -> bool:
        """Whether there is no room for a stanza of a pair. Clients of the host are few and aren't read meanwhile."""
        domain, waiting = _domain(pair), self._waiting.get(pair)
        ours = domain == self._host.domain
        if self._octets + octets > WAITING_OCTETS or (self._load[domain] + octets > OCTETS_OF_DOMAIN and not ours):
            return True
        if waiting is not None:
            return len(waiting) >= WAITING
        return len(self._waiting) >= PAIRS or (self._domains[domain] >= PAIRS_OF_DOMAIN and not ours)

    def _keep(self, pair: Pair, waiting: list[Held], stanza: Stanza) -> None:
        """Let it wait; and if it was a client's, let that wait with whatever comes next, wherever it goes."""
        session = self._host.router.session(stanza.attrs["from"])
        stream = session.stream if session is not None else None
        done: Deferred[None] | None = None
        if stanza.promise is not None or stream is not None:
            done = Deferred()
            if stanza.promise is not None:
                stanza.promise.append(done)
            if stream is not None:
                stream.waitFor(done)
        waiting.append((stanza, done))
        self._weigh(pair, len(stanza.raw))

    def _weigh(self, pair: Pair, octets: int) -> None:
        """So much more waits, or less."""
        domain = _domain(pair)
        self._octets += octets
        self._load[domain] += octets
        if not self._load[domain]:
            del self._load[domain]

    def _over(self, pair: Pair) -> list[Held]:
        """Nothing of a pair waits any more; answers what did."""
        domain = _domain(pair)
        self._domains[domain] -= 1
        if not self._domains[domain]:
            del self._domains[domain]
        left = self._waiting.pop(pair)
        self._weigh(pair, -sum(len(stanza.raw) for stanza, _ in left))
        return left

    async def _look(self, pair: Pair) -> None:
        """Look at what waits, one stanza after the other; what comes meanwhile waits behind."""
        waiting = self._waiting[pair]
        while waiting:
            stanza, done = waiting[0]
            outcome = await self._outcome(pair, stanza)
            del waiting[0]
            self._weigh(pair, -len(stanza.raw))
            if not waiting:
                self._over(pair)
            self._pass(pair, stanza, done, outcome)

    async def _outcome(self, pair: Pair, stanza: Stanza) -> Outcome:
        """What to say of one stanza."""
        known = self._recall(pair)
        meets = stanza.kind == "message" and stanza.attrs.get("type") in SPEAKING
        if meets and known is not None and not introduced(stanza):
            return known
        if not meets and stanza.attrs.get("type") != "subscribe":
            return ()  # waits only to keep its place
        if not await self._host.exists(pair[0]):
            return ()
        return await self._judge(pair, stanza)

    def _pass(self, pair: Pair, stanza: Stanza, done: Deferred[None] | None, outcome: Outcome) -> None:
        """It goes on, or back."""
        try:
            error = self._settle(stanza, pair, outcome) if outcome else None
            if error is None:
                self._forward(stanza)
            elif not isinstance(error, Unanswered):
                self._host.router.bounce(stanza, error)
        finally:
            if done is not None:
                done.callback(None)

    def _forward(self, stanza: Stanza) -> None:
        """Route it, past those who ask here."""
        before, self._passing = self._passing, stanza
        try:
            self._host.router.route(stanza)
        finally:
            self._passing = before

    def _settle(self, stanza: Stanza, pair: Pair, outcome: Outcome) -> StanzaError | None:
        """Mark a stanza of which there is something to be said, or refuse it."""
        if self._host.presence.lists(*pair):  # the recipient has made up his mind
            self._remember(pair, ())
            return None
        if any(verdict.refused for verdict in outcome):
            return HELD if stanza.kind == "presence" else REFUSED
        if WARNING not in stanza.childNames:
            self._host.hooks.suspected.notify(stanza)
            attach(stanza, outcome)
        return None

    def _lost(self, failure: Failure, pair: Pair) -> None:
        """The database isn't there, or we have made a mistake: nothing gets through unseen, and senders are told."""
        if failure.check(StoreUnavailable) is None:
            log.failure("looking at a stranger failed", failure)
        for stanza, done in self._over(pair) if pair in self._waiting else ():
            self._host.router.bounce(stanza, StanzaError(StanzaCondition.RESOURCE_CONSTRAINT))
            if done is not None:
                done.callback(None)

    # --- judging

    async def _judge(self, pair: Pair, stanza: Stanza) -> Outcome:
        """Compare all that a stanza names with what its recipient knows."""
        recipient, bare = pair
        sender = parse(bare)
        contacts = await self._rosters.of(recipient)
        verdicts: list[NameVerdict] = []
        if bare not in contacts:
            others = introduced(stanza)
            if len(others) > INTRODUCED:
                crowd = NameVerdict("met", bare, REFUSE, (CROWD,))
                self._report(recipient, crowd)
                return (crowd,)
            read = await self._languages.known(recipient)
            for jid in (sender, *others):
                if jid.bare not in contacts and jid.bare != recipient:
                    verdicts.append(await self._judgeAddress(jid, contacts, recipient, *read))
        said = tuple(each for each in verdicts if each.reasons)
        if (said or stanza.kind == "presence") and await self._isBlocked(recipient, stanza.attrs["from"]):
            return ()
        if stanza.kind == "presence":
            return await self._judgeRequest(Meeting(recipient, sender, stanza, contacts.items, [], []), said)
        before = self._known[pair][0] if pair in self._known else ()
        self._remember(pair, tuple(each for each in said if each.name == bare))
        for verdict in said:
            if verdict not in before:
                self._report(recipient, verdict)
        return said

    async def _isBlocked(self, recipient: str, sender: str) -> bool:
        """Whether nothing of a sender gets through anyway: then nobody is told anything either."""
        veto = await self._host.presence.vetoOf(recipient)
        return veto is not None and veto(sender)

    async def _judgeRequest(self, meeting: Meeting, said: Outcome) -> Outcome:
        """A request to subscribe, at which others look, too."""
        for observer in self._host.hooks.meeting.observe:
            answer = observer(meeting)
            if inspect.isawaitable(answer):
                await answer
        if meeting.reasons:
            found = said[0] if said else NameVerdict("met", meeting.sender.bare, WARN)
            reasons = tuple(dict.fromkeys((*meeting.reasons, *found.reasons)))
            alike = tuple(dict.fromkeys((*meeting.alike, *found.alike)))
            said = (replace(found, reasons=reasons, alike=alike),)
        for verdict in said:
            self._report(meeting.recipient, verdict)
        return said

    async def _judgeAddress(
        self, jid: JID, contacts: Contacts, recipient: str, languages: tuple[str, ...] | None, chosen: bool
    ) -> NameVerdict:
        """
        Compare one address with contacts, accounts and protected names, and with what the recipient can read.

        @param chosen: whether the recipient has said which languages he reads.
        """
        host, names = self._host, self._host.names
        alike = contacts.alike(jid)
        doubles: list[str] = []
        if jid.local is not None and not keysOf(jid.domain).isdisjoint(keysOf(host.domain)):
            found = await host.nameIndex.alike("account", host.domain, jid.local, 5)
            doubles = [record.owner for record in found if record.owner != recipient]
        if not chosen and _reads(recipient, contacts, jid):
            languages = ()
        verdict = names.judgeAddress(jid, (*alike, *doubles), languages)
        if doubles and not names.config.disclose:  # who has an account here is nobody's business
            hidden = set(doubles) - set(alike)
            verdict = replace(verdict, alike=tuple(each for each in verdict.alike if each not in hidden))
        return verdict

    # --- what is known

    def _recall(self, pair: Pair) -> Outcome | None:
        """What was found out about a pair, if that still holds."""
        known = self._known.get(pair)
        if known is None:
            return None
        outcome, until, config = known
        return outcome if self._host.clock.seconds() < until and config is self._host.names.config else None

    def _remember(self, pair: Pair, outcome: Outcome) -> None:
        for bare in pair:
            self._parties.setdefault(bare, set()).add(pair)
        self._known[pair] = outcome, self._host.clock.seconds() + FRESH, self._host.names.config
        self._known.move_to_end(pair)
        if len(self._known) > KNOWN:
            self._forget(next(iter(self._known)))

    def _forget(self, pair: Pair) -> None:
        del self._known[pair]
        for bare in pair:
            pairs = self._parties[bare]
            pairs.discard(pair)
            if not pairs:
                del self._parties[bare]

    def _report(self, recipient: str, verdict: NameVerdict) -> None:
        """To the audit log, and to the person."""
        self._host.names.note(verdict, recipient=recipient)
        if not verdict.refused:
            self._headlines.tell(recipient, verdict)


def _reads(recipient: str, contacts: Contacts, jid: JID) -> bool:
    """
    Whether somebody reads an address, whatever languages are known: his own is written like it, or contacts are. Many
    clients say that they speak English to whoever hasn't told them otherwise.
    """
    scripts = scriptsIn(jid.bare)
    return scripts <= scriptsIn(recipient) | {script for script, count in contacts.scripts.items() if count}


def _domain(pair: Pair) -> str:
    """Of the sender of a pair."""
    return pair[1].rpartition("@")[2]

