"""
What there is of names that may deceive (XEP-0165): among the accounts of a host, in its users' rosters, and among the
rooms of services.

Theory of operation. An audit goes through parts, one page at a time: where it stands is in the text that comes with
each page, so nothing is kept while nobody asks, and an audit that is broken off costs nothing. A page looks at a
bounded number of names and contacts, and lets go of the reactor between. Look-alikes among accounts and rooms are found
by the index in the database; each address of a roster is compared with the other addresses there, with the accounts,
and with what is protected.

Everything is told whatever the policy says: names that are let through, or were there before there was a policy, are
what an audit is for.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final

from twisted.internet.task import deferLater

from xmppd.ctl.exits import EX_USAGE
from xmppd.ctl.socket import CommandError
from xmppd.ixmppd import IHost, NameRecord, NameVerdict
from xmppd.naming import LOOKS_ALIKE, WARN
from xmppd.restrict.names import Names
from xmppd.wire.jid import JID, JIDMalformed, parse
from xmppd.wire.lookalikes import addressKeys, keyDigests, keysOf

if TYPE_CHECKING:
    from xmppd.tap import Server

GROUPS: Final = 50
"""How many groups of look-alikes are asked for at a time."""

SLICE: Final = 4
"""How much of the index the database looks at in one go, in parts of 256."""

NAMES: Final = 100
"""How many accounts, or rooms, a page looks at."""

CONTACTS: Final = 5000
"""A page ends with the roster that brings it to so many contacts."""

TURN: Final = 200
"""How many contacts are compared in one turn of the reactor."""

FINDINGS: Final = 100
"""How many findings of one roster are told; a page ends with the roster that brings it to so many."""

TOLD: Final = 20
"""How many names of a group are told."""

KNOWN: Final = 20_000
"""Of how many addresses is remembered which accounts they look like, while an audit goes on."""


INDEXED: Final = ("accounts", "rooms")
"""The parts that go by keys of the index; the others go by names."""


@dataclass(frozen=True, slots=True)
class Finding:
    """
    Names that may deceive.

    @ivar what: "accounts", "rooms" (several that look alike), "account", "room" (one that is odd, or like what is
        protected), or "roster" (a contact, or several that look alike).
    @ivar where: the domain, or the account whose roster it is.
    @ivar names: localparts, or the addresses of contacts.
    @ivar reasons: as in L{NameVerdict}.
    @ivar like: what one name looks like.
    @ivar more: how many names are left out.
    """

    what: str
    where: str
    names: tuple[str, ...]
    reasons: tuple[str, ...]
    like: tuple[str, ...] = ()
    more: int = 0


@dataclass(frozen=True, slots=True)
class Step:
    """
    What a page comes to.

    @ivar found: what was found.
    @ivar after: what to go on behind in this part; None at its end.
    @ivar looked: how many names or contacts were looked at.
    """

    found: Sequence[Finding]
    after: str | None
    looked: int


class Watchful(Names):
    """A host's view of names if nothing were let through."""

    def action(self, kind: str) -> str:
        """See L{Names}."""
        return WARN


class Audit:
    """The audits of one server."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._likenesses: OrderedDict[tuple[str, str], Sequence[str]] = OrderedDict()

    async def page(self, domains: Sequence[str], after: str) -> dict[str, Any]:
        """
        A page of what there is in some domains.

        @param after: what came with the page before; empty for the first.
        @return: C{items}, C{after}, and what was looked at: C{domain}, C{part}, C{looked}.
        @raise CommandError: C{after} belongs to nothing that is there.
        """
        parts = [(domain, part) for domain in domains for part in self._parts(domain)]
        if not parts:
            return {"items": [], "after": None, "domain": None, "part": None, "looked": 0}
        if not after:
            self._likenesses.clear()
        domain, part, key = standing(after) if after else (*parts[0], "")
        if (domain, part) not in parts or (part in INDEXED and not isKey(key)):
            raise CommandError(EX_USAGE, f"{after} is not on any page")
        step = await self._parts(domain)[part](key)
        following = parts[parts.index((domain, part)) + 1 :]
        more = f"{domain}/{part}/{step.after}" if step.after is not None else None
        if more is None and following:
            more = "/".join((*following[0], ""))
        items = [asdict(each) for each in step.found]
        return {"items": items, "after": more, "domain": domain, "part": part, "looked": step.looked}

    def _parts(self, domain: str) -> Mapping[str, Callable[[str], Coroutine[Any, Any, Step]]]:
        """What there is to look at in a domain, in order."""
        host: Any = self._server.hosts.get(domain)
        if host is not None and host.config.accounts:
            return {
                "accounts": lambda after: groups(host, "account", after),
                "rosters": lambda after: self._rosters(host, after),
            }
        service: Any = self._server.serviceHosts.get(domain)
        if service is not None and service.rooms is not None:
            return {
                "rooms": lambda after: groups(service, "room", after),
                "names": lambda after: self._rooms(service, after),
            }
        return {}

    def watchful(self, host: IHost) -> Watchful:
        """What a host would make of names if nothing were let through."""
        server = self._server
        return Watchful(host, lambda: (*server.hosts, *server.serviceHosts, *server.config.components))

    # --- names by themselves

    async def _rooms(self, service: Any, after: str) -> Step:
        """The names of rooms that stay."""
        names = self.watchful(service)
        records = await service.nameIndex.list("room", service.domain, after, NAMES)
        found: list[Finding] = []
        for record in records:
            trusted = ownedByAdmin(service, f"{record.name}@{service.domain}")
            found += odd("room", service.domain, names.judge("room", record.name, (), trusted))
        return Step(found, records[-1].name if len(records) == NAMES else None, len(records))

    async def _rosters(self, host: Any, after: str) -> Step:
        """The names of accounts, and what is in their rosters."""
        names = self.watchful(host)
        records = await host.accounts.list(host.domain, after, NAMES)
        found: list[Finding] = []
        contacts = 0
        for record in records:
            local = record.jid.rpartition("@")[0]
            found += odd("account", host.domain, names.judge("account", local, (), host.isAdmin(parse(record.jid))))
            addresses = [item.jid for item in (await host.rosters.get(record.jid)).items if item.listed]
            found += await self._roster(host, names, record.jid, addresses)
            contacts += len(addresses)
            if record is not records[-1] and (contacts >= CONTACTS or len(found) >= FINDINGS):
                return Step(found, record.jid, contacts)
        return Step(found, records[-1].jid if len(records) == NAMES else None, contacts)

    # --- rosters

    async def _roster(self, host: Any, names: Watchful, owner: str, addresses: Iterable[str]) -> list[Finding]:
        """One roster, compared within itself, with the accounts, and with what is protected."""
        byKey: dict[tuple[str, str], list[str]] = {}
        found: list[Finding] = []
        for count, jid in enumerate(contacts(addresses)):
            if count and count % TURN == 0:
                await deferLater(host.clock, 0)
            for key in addressKeys(jid):
                byKey.setdefault(key, []).append(jid.bare)
            alike = await self._accountsLike(host, jid)
            verdict = names.judgeAddress(jid, alike, ())
            if verdict.reasons and not await self._isAccount(jid):
                found += odd("roster", owner, verdict)
        alikes = widest(frozenset(each) for each in byKey.values() if len(each) > 1)
        return [*(group("roster", owner, sorted(each)) for each in alikes), *found][:FINDINGS]

    async def _isAccount(self, jid: JID) -> bool:
        """Whether a contact has an account here, so that it is told of as that, once."""
        home = self._server.hosts.get(jid.domain)
        return home is not None and await home.accounts.get(jid.bare) is not None

    async def _accountsLike(self, host: Any, jid: JID) -> Sequence[str]:
        """The accounts that a contact looks like, without itself."""
        if jid.local is None or keysOf(jid.domain).isdisjoint(keysOf(host.domain)):
            return ()
        known = self._likenesses.get((host.domain, jid.bare))
        if known is None:
            records = await host.nameIndex.alike("account", host.domain, jid.local, TOLD)
            known = tuple(record.owner for record in records)
            if jid.domain != host.domain:
                same = await host.accounts.get(f"{jid.local}@{host.domain}")
                known = known if same is None else (same.jid, *known)
            self._likenesses[host.domain, jid.bare] = known
            if len(self._likenesses) > KNOWN:
                self._likenesses.popitem(last=False)
        return known


async def groups(host: Any, kind: str, after: str) -> Step:
    """Look-alikes among the names of a domain, by the index."""
    found: list[tuple[str, Sequence[NameRecord]]] = []
    behind: str | None = after
    while behind is not None and len(found) < GROUPS:
        edge = edgeBehind(behind)
        some = await host.nameIndex.groups(kind, host.domain, behind, GROUPS, edge)
        found += some
        behind = some[-1][0] if len(some) == GROUPS else edge or None
    new = [records for key, records in found if len(records) > TOLD or first(key, records)]
    told = [group(f"{kind}s", host.domain, [each.name for each in records]) for records in new]
    return Step(told, behind, sum(len(records) for _, records in found))


def isKey(text: str) -> bool:
    """Whether a text stands for a place in the index: an even number of hexadecimal digits."""
    return len(text) % 2 == 0 and all(each in "0123456789abcdef" for each in text)


def edgeBehind(key: str) -> str:
    """
    Where the part of the index ends in which a key is: so the database, which looks at all of what it is asked about,
    gets to do something else every now and then. Empty for the last.
    """
    edge = (int(key[:2] or "0", 16) // SLICE + 1) * SLICE
    return f"{edge:02x}" if edge < 256 else ""


def first(key: str, records: Sequence[NameRecord]) -> bool:
    """
    Whether a key of the index is the first that these names have in common: so those who have several are told of once.

    @param key: as the index says it, in hexadecimal digits.
    """
    common = frozenset[bytes].intersection(*(keyDigests(record.name) for record in records))
    return min(common, default=b"").hex() in (key, "")  # no key in common: they are of another edition of the data


def widest(groups: Iterable[frozenset[str]]) -> list[frozenset[str]]:
    """Groups without those that are parts of others."""
    kept: dict[str, list[frozenset[str]]] = {}
    found = []
    for each in sorted(set(groups), key=lambda each: (-len(each), sorted(each))):
        if not any(each <= other for other in kept.get(min(each), ())):
            found.append(each)
            for name in each:
                kept.setdefault(name, []).append(each)
    return found


def group(what: str, where: str, names: Sequence[str]) -> Finding:
    """Names that look alike."""
    return Finding(what, where, tuple(names[:TOLD]), (LOOKS_ALIKE,), (), max(len(names) - TOLD, 0))


def odd(what: str, where: str, verdict: NameVerdict) -> list[Finding]:
    """What there is to say of one name."""
    if not verdict.reasons:
        return []
    return [Finding(what, where, (verdict.name,), verdict.reasons, tuple(dict.fromkeys(verdict.alike))[:TOLD])]


def contacts(addresses: Iterable[str]) -> list[JID]:
    """The contacts of a roster, each once: resources are left out, and so is what is no address any more."""
    found: dict[str, JID] = {}
    for each in addresses:
        try:
            jid = parse(each).toBare()
        except JIDMalformed:
            continue
        found.setdefault(jid.bare, jid)
    return list(found.values())


def ownedByAdmin(service: Any, room: str) -> bool:
    """Whether a room belongs to somebody who administrates its service, who may give protected names."""
    info = service.rooms.info(room) or {"affiliations": {}}
    owners = (jid for jid, affiliation in info["affiliations"].items() if affiliation == "owner")
    return any(service.isAdmin(parse(owner)) for owner in owners)


def standing(after: str) -> tuple[str, str, str]:
    """Where an audit stands: domain, part, and what the part goes on behind."""
    domain, _, rest = after.partition("/")
    part, _, key = rest.partition("/")
    return domain, part, key
