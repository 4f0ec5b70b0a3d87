"""
A name taken apart for whoever asks: its characters, scripts, restriction level and skeleton, what is odd about it, and
what it looks like. An IQ to the domain (docs/names.rst), which guests may send, too; it is what the page of the web
chat asks while somebody types.

It says what the asker could find out alone: what follows from the name itself, from the names that this server protects
and the domains that it serves, which are no secret, and from the asker's own contacts. Other accounts are looked at by
nobody here, so that it can't be used to find out who has one; whether a name is free is what registration says.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from twisted.internet.task import deferLater

from xmppd.features.xep0165_mimicry.languages import Languages
from xmppd.features.xep0165_mimicry.telling import NAME
from xmppd.ixmppd import IHost, ISession, NameVerdict, Request, RosterItem
from xmppd.wire import ns, ucd
from xmppd.wire.confusable import Character, counterparts, describe, inspect, skeleton
from xmppd.wire.element import Element, writable
from xmppd.wire.errors import StanzaCondition, StanzaError
from xmppd.wire.jid import JID, JIDMalformed, parse
from xmppd.wire.lookalikes import addressKeys, keysOf

CHECK: Final = f"{ns.NAMES} check"

KINDS: Final = ("account", "nickname", "address")

LONGEST: Final = 128
"""How many code points a name may have: each is described in some 100 octets."""

BURST: Final = 40
"""How many checks a session may ask for at once; somebody who types needs one for each letter or two."""

PER_SECOND: Final = 2.0
"""How many more each second."""

BATCH: Final = 500
"""How many contacts are compared in one turn of the reactor."""

SLOT: Final = f"{NAME} checks"
"""The slot of a session that has what it may still ask for: (time, number)."""

TOLD: Final = 10
"""How many contacts are named."""


class Checks:
    """Answers one host's users and guests."""

    def __init__(self, host: IHost, languages: Languages) -> None:
        self._host = host
        self._languages = languages

    async def asked(self, request: Request) -> Element:
        """
        Take a name apart.

        @raise StanzaError: C{forbidden} to others than clients of this server, C{bad-request} without a name or with a
            kind that doesn't exist, C{not-acceptable} for a name that is too long, C{resource-constraint} for too many.
        """
        session, name = request.session, request.payload.get("name")
        kind = request.payload.get("kind") or ("address" if "@" in (name or "") else "account")
        if session is None:
            raise StanzaError(StanzaCondition.FORBIDDEN, "Only clients of this server can have names checked.")
        if not name or kind not in KINDS:
            raise StanzaError(StanzaCondition.BAD_REQUEST, f"Give a name, and a kind of {', '.join(KINDS)}.")
        if len(name) > LONGEST:
            raise StanzaError(StanzaCondition.NOT_ACCEPTABLE, f"Names of at most {LONGEST} characters are looked at.")
        self._pay(session)
        return await self._answer(session, name, kind)

    def _pay(self, session: ISession) -> None:
        """Bound how often one session asks."""
        now = self._host.clock.seconds()
        since, left = session.slots.get(SLOT, (now, float(BURST)))
        left = min(BURST, left + max(now - since, 0.0) * PER_SECOND)
        if left < 1:
            raise StanzaError(StanzaCondition.RESOURCE_CONSTRAINT, "That were many names. Wait for a few seconds.")
        session.slots[SLOT] = (now, left - 1)

    async def _answer(self, session: ISession, name: str, kind: str) -> Element:
        attrs = {"name": writable(name), "kind": kind}
        parts = _split(name) if kind == "address" else {"name": name}
        children = [_part(role, text) for role, text in parts.items()]
        jid: JID | None = None
        if kind != "nickname":
            jid = self._prepared(name, kind)
            if jid is None:
                children.append(Element("invalid", ns.NAMES))
            else:
                attrs["jid"] = writable(jid.bare)
        contacts = await self._contacts(session)
        alike = await self._alike(contacts, name, jid)
        verdict = await self._verdict(session, name, kind, jid, tuple(alike))
        attrs["action"] = verdict.action
        children += [Element("reason", ns.NAMES, {}, (each,)) for each in verdict.reasons]
        children += _likes(verdict, alike, contacts, jid)
        return Element("check", ns.NAMES, attrs, tuple(children))

    def _prepared(self, name: str, kind: str) -> JID | None:
        """The bare JID that somebody of that name has; None if nobody can have it."""
        try:
            jid = parse(f"{name}@{self._host.domain}" if kind == "account" else name).toBare()
        except JIDMalformed:
            return None
        return None if kind == "account" and jid.domain != self._host.domain else jid

    async def _verdict(
        self, session: ISession, name: str, kind: str, jid: JID | None, alike: tuple[str, ...]
    ) -> NameVerdict:
        """
        What would be made of it: of an address when it is met, of another name when it is given. Who gives it isn't
        told by whose contacts it looks like, so they don't count there.
        """
        names = self._host.names
        if kind == "address" and jid is not None:
            return names.judgeAddress(jid, alike, await self._read(session))
        given = jid.local if jid is not None and jid.local else name
        verdict = names.judge("nickname" if kind == "nickname" else "account", given)
        return replace(verdict, reasons=("look-alike", *verdict.reasons)) if alike else verdict

    async def _read(self, session: ISession) -> tuple[str, ...] | None:
        """The languages of who asks."""
        if not session.account.anonymous:
            return await self._languages.of(session.bare)
        language = session.stream.language if session.stream is not None else None
        return (language,) if language else None

    # --- contacts

    async def _contacts(self, session: ISession) -> dict[str, RosterItem]:
        """Those of who asks; guests and users of other hosts of this server have none here."""
        if session.account.anonymous or session.host is not self._host:
            return {}
        roster = await self._host.rosters.get(session.bare)
        return {item.jid: item for item in roster.items if item.listed}

    async def _alike(self, contacts: dict[str, RosterItem], name: str, jid: JID | None) -> list[str]:
        """The contacts that may be meant: by address, or if it is no address by handle and localpart."""
        mine = addressKeys(jid) if jid is not None else frozenset[tuple[str, str]]()
        plain = frozenset[str]() if jid is not None and "@" in name else keysOf(name)
        found: list[str] = []
        for number, (bare, item) in enumerate(contacts.items(), 1):
            if number % BATCH == 0:
                await deferLater(self._host.clock, 0)  # type: ignore[arg-type]
            if (jid is None or bare != jid.bare) and _resembles(item, mine, plain):
                found.append(bare)
        return sorted(found)[:TOLD]


def _resembles(item: RosterItem, address: frozenset[tuple[str, str]], name: frozenset[str]) -> bool:
    """Whether a contact's address, or one of its names, has one of these keys."""
    other = parse(item.jid)
    if address and not address.isdisjoint(addressKeys(other)):
        return True
    names = (item.name, other.local or "") if name else ()
    return any(each and not name.isdisjoint(keysOf(each)) for each in names)


def _split(name: str) -> dict[str, str]:
    """The parts of an address as it was written (RFC 7622 section 3.2)."""
    bare, slash, resource = name.partition("/")
    local, at, domain = bare.partition("@")
    parts = {"localpart": local, "domain": domain} if at else {"domain": bare}
    if slash:
        parts["resource"] = resource
    return {role: text for role, text in parts.items() if text}


def _part(role: str, text: str) -> Element:
    """What a name, or a part of an address, is made of."""
    found = inspect(text)
    attrs = {
        "role": role,
        "text": writable(text),
        "level": _level(found.level.name),
        "mixing": _level(found.mixing.name),
        "skeleton": writable(skeleton(text)),
    }
    children = [_character(each) for each in describe(text)]
    children += [_script("script", code) for code in sorted(found.scripts)]
    children += [_script("counterpart", code) for code in sorted(counterparts(text))]
    oddities = sorted(each.value for each in found.oddities)
    children += [Element("oddity", ns.NAMES, {}, (each,)) for each in oddities]
    return Element("part", ns.NAMES, attrs, tuple(children))


def _level(name: str) -> str:
    """A restriction level as the configuration writes it."""
    return name.lower().replace("_", "-")


def _character(each: Character) -> Element:
    attrs = {
        "text": writable(each.character),
        "code": each.code,
        "name": each.name,
        "script": each.script,
        "allowed": "true" if each.allowed else "false",
    }
    if not each.allowed:
        attrs["types"] = " ".join(sorted(each.types))
    if each.like is not None:
        attrs["like"] = writable(each.like)
    return Element("character", ns.NAMES, attrs)


def _script(element: str, code: str) -> Element:
    return Element(element, ns.NAMES, {"code": code, "name": ucd.characters().names.get(code, code)})


def _likes(verdict: NameVerdict, alike: list[str], contacts: dict[str, RosterItem], jid: JID | None) -> list[Element]:
    """What it looks like, or is."""
    found: list[Element] = []
    if jid is not None and jid.bare in contacts:
        found.append(_contact("is", contacts[jid.bare]))
    found += [_contact("like", contacts[each]) for each in alike]
    for each in verdict.alike:
        if each not in alike:
            about = "protected" if each == verdict.protected else "domain"
            found.append(Element("like", ns.NAMES, {"about": about}, (writable(each),)))
    if verdict.protected is not None and verdict.protected not in verdict.alike:
        found.append(Element("is", ns.NAMES, {"about": "protected"}, (writable(verdict.protected),)))
    return found


def _contact(element: str, item: RosterItem) -> Element:
    attrs = {"about": "contact", "handle": writable(item.name)}
    return Element(element, ns.NAMES, attrs, (item.jid,))
