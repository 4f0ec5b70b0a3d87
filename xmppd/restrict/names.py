"""
What a host makes of names that may deceive (XEP-0165): the policy behind L{INames}, and the index of its accounts.

Theory of operation: a verdict is a pure function of a name, of those that were found to look like it, and of the
configuration of the moment. What is graver than the policy allows has one action for a kind of name, whatever was
found; an ordinary name is always allowed. Of nicknames and handles nothing is expected but that they can be seen for
what they are; names of accounts and rooms, which others have to type, keep to few scripts besides.

The index in the database holds keys that depend on the data of Unicode. A fact of the domain says which edition it was
made from; if that is another one, or none, at the start, all accounts are indexed again, some hundred in a transaction,
and the fact is written last, so that a crash in between only means to begin again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Any, Final

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from zope.interface import implementer

from xmppd.ixmppd import IHost, INames, NameRecord, NameVerdict
from xmppd.naming import ALLOW, EDITIONS, LEVELS, LOOKS_ALIKE, NamesConfig, imitation
from xmppd.wire.confusable import CACHE_SIZE, CACHED_LENGTH, LONGEST, Findings, Level, Oddity, inspect, outside
from xmppd.wire.errors import StanzaError
from xmppd.wire.jid import JID
from xmppd.wire.lookalikes import EDITION, NameIndex

log = Logger(namespace="xmppd.names")
audit = Logger(namespace="xmppd.audit")

BATCH: Final = 500
"""How many accounts are indexed in one transaction."""

LINES: Final = 300
"""How many lines a host writes to the audit log in a minute."""

TOLD: Final = 5
"""How many look-alikes are named in the log and in errors."""

LABELS: Final = ("host", "kind", "action")
"""By what verdicts are counted."""

IS_PROTECTED: Final = "protected"
LIKE_OURS: Final = "domain"
FOREIGN: Final = "foreign"

_CONFIGURED: Final = {
    "account": "accounts", "room": "rooms", "nickname": "nicknames", "handle": "handles", "met": "met",
}
"""The key of each kind of name in the configuration."""

_HIDDEN: Final = (Oddity.INVISIBLE, Oddity.BLANK, Oddity.PADDED, Oddity.BIDI_CONTROL, Oddity.MARKS)
"""What no name has that wants to be seen for what it is."""

_TYPED: Final = (*_HIDDEN, Oddity.MIXED_NUMBERS)
"""And what others couldn't type either."""

_SAID: Final = {
    Oddity.MIXED_SCRIPTS.value: "it mixes scripts",
    Oddity.INVISIBLE.value: "it has characters that can't be seen",
    Oddity.BLANK.value: "nothing in it can be seen",
    Oddity.PADDED.value: "it has white space at an end, twice in a row, or of an uncommon kind",
    Oddity.BIDI_CONTROL.value: "it has characters that change the direction of what follows",
    Oddity.MIXED_NUMBERS.value: "it has digits of different systems",
    Oddity.MARKS.value: "it has too many marks on a letter",
    IS_PROTECTED: "it is reserved, or looks like a name that is",
    LIKE_OURS: "its domain looks like one of this server",
    FOREIGN: "it is written in scripts of other languages",
}
"""The reasons, for people."""


@implementer(INames)
class Names:
    """See L{INames}."""

    def __init__(self, host: IHost, ours: Callable[[], Iterable[str]] | None = None) -> None:
        """
        @param ours: answers the domains of this server, which are protected, too; that of the host alone if None.
        """
        self._host = host
        self._tally = host.counters.tally("names", "Names that may deceive, by what became of them.", *LABELS)
        self._ours = ours or (lambda: (host.domain,))
        self._known: NamesConfig | None = None
        self._faults = lru_cache(CACHE_SIZE)(self._faultsOf)
        self._protected = NameIndex()
        self._domains = NameIndex()
        self._minute = 0
        self._lines = 0

    @property
    def config(self) -> NamesConfig:
        """See L{INames}."""
        names: NamesConfig = self._host.config.names
        return names

    def action(self, kind: str) -> str:
        """See L{INames}."""
        action: str = getattr(self.config, _CONFIGURED[kind])
        return action

    # --- verdicts

    def judge(
        self,
        kind: str,
        name: str,
        alike: Iterable[str] = (),
        trusted: bool = False,
        languages: Iterable[str] | None = None,
    ) -> NameVerdict:
        """See L{INames}."""
        if self.action(kind) == ALLOW:
            return NameVerdict(kind, name)
        found = tuple(dict.fromkeys(alike))
        self._learn()
        faults = self._faults if len(name) <= CACHED_LENGTH else self._faultsOf
        own, protected = faults(kind, name, trusted)
        reasons = [LOOKS_ALIKE, *own] if found else list(own)
        scripts = outside(name[:LONGEST], tuple(languages)) if languages is not None else frozenset[str]()
        return self._verdict(kind, name, reasons, found, scripts, protected)

    def _faultsOf(self, kind: str, name: str, trusted: bool) -> tuple[tuple[str, ...], str | None]:
        """What is wrong with a name by itself, as reasons, and the protected name that it is or looks like."""
        protected = self._protectedBy(name, trusted) if kind != "handle" else None
        reasons = [IS_PROTECTED] if protected is not None else []
        return (*reasons, *self._oddities(kind, name)), protected

    def judgeAddress(
        self, jid: JID, alike: Iterable[str] = (), languages: Iterable[str] | None = None
    ) -> NameVerdict:
        """See L{INames}."""
        if self.action("met") == ALLOW:
            return NameVerdict("met", jid.bare)
        found = tuple(dict.fromkeys(alike))
        self._learn()
        ours = self._domains.alike(jid.domain)
        local = jid.local or ""
        own = jid.domain in self._domains  # where only administrators can have given a protected name
        protected = self._protectedBy(local, own) if local and (ours or own) else None
        reasons = [LOOKS_ALIKE] if found else []
        reasons += [LIKE_OURS] if ours else []
        reasons += [IS_PROTECTED] if protected is not None else []
        for part in (local, *jid.domain.split(".")):
            reasons += self._oddities("met", part) if part else []
        spoken = self.config.languages if languages is None else tuple(languages)
        scripts = outside(jid.bare[:LONGEST], spoken)
        alikes = (*found, *(f"{local}@{domain}" if local else domain for domain in ours))
        return self._verdict("met", jid.bare, list(dict.fromkeys(reasons)), alikes, scripts, protected)

    def _verdict(
        self,
        kind: str,
        name: str,
        reasons: list[str],
        alike: tuple[str, ...],
        scripts: frozenset[str],
        protected: str | None,
    ) -> NameVerdict:
        """What follows from what was found. To be foreign is no fault of a name: one is warned of it at most."""
        action = self.action(kind) if reasons else "warn" if scripts else ALLOW
        if scripts:
            reasons = [*reasons, FOREIGN]
        if protected is not None and protected != name:
            alike = (*(each for each in alike if each != protected), protected)
        return NameVerdict(kind, name, action, tuple(reasons), alike, tuple(sorted(scripts)), protected)

    def _learn(self) -> None:
        """Know what is protected just now: administrators may have changed it. Domains stay until a restart."""
        config = self.config
        if config is self._known:
            return
        self._known = config
        self._faults.cache_clear()
        self._protected.clear()
        self._domains.clear()
        for domain in self._ours():
            self._domains.add(domain)
            self._protected.add(domain)
        for name in config.protected:
            self._protected.add(name.lower())

    def _protectedBy(self, name: str, trusted: bool) -> str | None:
        """The protected name that a name is, or looks like."""
        plain = " ".join(name.lower().split())
        if plain == name.lower() and plain in self._protected:
            return None if trusted else plain
        found = self._protected.alike(name)
        return found[0] if found else None

    def _oddities(self, kind: str, name: str) -> list[str]:
        """What is odd about a name and should not be, as reasons."""
        found = inspect(name[:LONGEST])
        checked = _HIDDEN if kind in ("nickname", "handle") else _TYPED
        reasons = [oddity.value for oddity in checked if oddity in found.oddities]
        return ([Oddity.MIXED_SCRIPTS.value] if self._mixes(kind, found) else []) + reasons

    def _mixes(self, kind: str, found: Findings) -> bool:
        """Whether a name mixes more scripts than it may."""
        config = self.config
        allowed = config.nicknameLevel if kind in ("nickname", "handle") else config.level
        return found.mixing > Level(LEVELS.index(allowed) + 1)

    # --- what becomes of them

    def note(self, verdict: NameVerdict, **facts: object) -> None:
        """See L{INames}."""
        if not verdict.reasons:
            return
        self._tally.add(self._host.domain, verdict.kind, verdict.action)
        if not self._mayWrite():
            return
        about = " ".join(f"{key}={value!r}" for key, value in sorted(facts.items()))
        audit.info(
            "name: host={host} kind={kind} name={name} action={action} reasons={reasons} alike={alike} {about}",
            host=self._host.domain,
            kind=verdict.kind,
            name=ascii(verdict.name),
            action=verdict.action,
            reasons=",".join(verdict.reasons),
            alike=ascii(verdict.alike[:TOLD]),
            about=about,
        )

    def _mayWrite(self) -> bool:
        """Whether another line fits into this minute: nobody fills the disk by trying names."""
        minute = int(self._host.clock.seconds() // 60)
        if minute != self._minute:
            if self._lines > LINES:
                more = self._lines - LINES
                audit.info("name: host={host} not written: {count} more", host=self._host.domain, count=more)
            self._minute, self._lines = minute, 0
        self._lines += 1
        return self._lines <= LINES

    def error(self, verdict: NameVerdict, known: Callable[[str], bool] | None = None) -> StanzaError:
        """See L{INames}."""
        told = [name for name in verdict.alike if self._mayBeTold(verdict, name, known)][:TOLD]
        if LOOKS_ALIKE in verdict.reasons:
            text = "The name looks like one that is taken" + (f": {', '.join(told)}." if told else ".")
        else:
            text = "The name is refused: " + "; ".join(_SAID[each] for each in verdict.reasons) + "."
        return imitation(text, verdict.reasons, told)

    def _mayBeTold(self, verdict: NameVerdict, name: str, known: Callable[[str], bool] | None) -> bool:
        """Whether somebody who is refused may hear of a name."""
        return name == verdict.protected or self.config.disclose or (known is not None and known(name))

    # --- the index of accounts

    def refresh(self) -> Deferred[None]:
        """See C{hooks.starting}: index all accounts, if the index was made from other data, or never."""
        return Deferred.fromCoroutine(self._refresh())

    async def _refresh(self) -> None:
        host = self._host
        edition = await host.facts.get(host.domain, EDITIONS, "account")
        if edition == EDITION.encode():
            return
        after, count = "", 0
        while records := await host.accounts.list(host.domain, after, BATCH):
            if not count:
                log.info("indexing what the names of the accounts of {host} look like", host=host.domain)
            names = [NameRecord("account", host.domain, each.jid.rpartition("@")[0], each.jid) for each in records]
            await host.nameIndex.add(names)
            after = records[-1].jid
            count += len(records)
        await host.facts.put(host.domain, EDITIONS, "account", EDITION.encode())
        if count:
            log.info("indexed what the names of {count} accounts of {host} look like", count=count, host=host.domain)


def join(host: Any, ours: Callable[[], Iterable[str]] | None = None) -> None:
    """
    Let a host judge names; before its features join.

    @param ours: see L{Names}.
    """
    names = Names(host, ours)
    host.names = names
    if host.config.table == "host":
        host.hooks.starting.addObserver(names.refresh)
