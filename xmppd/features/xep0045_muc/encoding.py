"""
One stanza for many: the bytes are made once, and for each receiver only the start of the start tag differs.

The elements a room adds are written here too (C{muc#user}, XEP-0421, XEP-0359), and those nobody but the room may say
are taken out of what clients send.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Final

from xmppd.wire import ns
from xmppd.wire.element import Element, escapeAttribute, escapeText
from xmppd.wire.jid import JIDMalformed, parse
from xmppd.wire.stanza import NAME_LENGTHS, Stanza, join

OCCUPANT_ID_NS: Final = "urn:xmpp:occupant-id:0"
X: Final = f"{ns.MUC_USER} x"
JOIN: Final = f"{ns.MUC} x"
OCCUPANT_ID: Final = f"{OCCUPANT_ID_NS} occupant-id"
STANZA_ID: Final = f"{ns.STANZA_ID} stanza-id"
DELAY: Final = f"{ns.DELAY} delay"
OLD_DELAY: Final = "jabber:x:delay x"
HATS: Final = "urn:xmpp:hats:0 hats"
ADDRESSES: Final = "http://jabber.org/protocol/address addresses"
FASTENING: Final = "urn:xmpp:fasten:0 apply-to"
MODERATION: Final = "urn:xmpp:message-moderate:"

MESSAGE_FORGERIES: Final = (
    frozenset({X, OCCUPANT_ID, HATS, ADDRESSES})
    | {f"urn:xmpp:message-{name}" for name in ("moderate:0 moderated", "moderate:1 moderated", "retract:0 retracted")}
    | {f"{ns.RETRACTION} retracted", f"{ns.NAMES} warning"}
)
"""
What is reflected without: how a room shows who is who, who really sent something (XEP-0033), and what has become of
messages (XEP-0424, XEP-0425).
"""

PRESENCE_FORGERIES: Final = MESSAGE_FORGERIES | {JOIN}
"""What presence from clients is reflected without (section 17.3, XEP-0421 section 4)."""

SUSPICIOUS: Final = MESSAGE_FORGERIES | {STANZA_ID, DELAY, OLD_DELAY, FASTENING}
"""Elements that make it necessary to look closer; some of them are only forgeries if they speak for the room."""

_SPEAKERS: Final = {STANZA_ID: "by", DELAY: "from", OLD_DELAY: "from"}
"""The attribute that says who put such an element there."""


class Fan:
    """
    A stanza ready to be given to anybody.

    @ivar stanza: the stanza without C{to}.
    @ivar tail: its bytes behind the name of the start tag.
    """

    __slots__ = ("attrs", "kind", "name", "names", "stanza", "tail")

    def __init__(self, stanza: Stanza) -> None:
        self.stanza = stanza
        self.kind = stanza.kind
        self.name = stanza.name
        self.attrs = stanza.attrs
        self.names = stanza.childNames
        self.tail = stanza.raw[NAME_LENGTHS[stanza.kind] :]

    def to(self, full: str, starts: Mapping[str, bytes]) -> Stanza:
        """
        The stanza for one receiver.

        @param starts: by kind, the bytes C{<kind to='full'}.
        """
        kind = self.kind
        return Stanza(kind, self.name, {**self.attrs, "to": full}, self.names, starts[kind] + self.tail)


def starts(full: str) -> dict[str, bytes]:
    """What L{Fan.to} wants, made once per receiver."""
    return {kind: f"<{kind} to='{escapeAttribute(full)}'".encode() for kind in NAME_LENGTHS}


def made(kind: str, attrs: Mapping[str, str | None], inner: bytes, names: tuple[str, ...]) -> Stanza:
    """A stanza of our own; attributes that are None are left out."""
    given = {key: value for key, value in attrs.items() if value is not None}
    return Stanza(kind, f"{ns.CLIENT} {kind}", given, names, join(kind, given, inner))


def item(
    affiliation: str,
    role: str,
    jid: str | None = None,
    nick: str | None = None,
    actor: str | None = None,
    reason: str | None = None,
) -> str:
    """
    The C{<item/>} inside C{muc#user}.

    @param actor: nickname of who did it.
    """
    attrs = f" affiliation='{affiliation}' role='{role}'"
    if jid is not None:
        attrs += f" jid='{escapeAttribute(jid)}'"
    if nick is not None:
        attrs += f" nick='{escapeAttribute(nick)}'"
    inner = f"<actor nick='{escapeAttribute(actor)}'/>" if actor is not None else ""
    if reason:
        inner += f"<reason>{escapeText(reason)}</reason>"
    return f"<item{attrs}>{inner}</item>" if inner else f"<item{attrs}/>"


def userX(content: str, codes: Iterable[int] = ()) -> bytes:
    """
    The C{<x/>} by which a room speaks.

    @param content: elements, the C{<item/>} for one.
    """
    inner = content + "".join(f"<status code='{code}'/>" for code in codes)
    return f"<x xmlns='{ns.MUC_USER}'>{inner}</x>".encode() if inner else f"<x xmlns='{ns.MUC_USER}'/>".encode()


def occupantId(id: str) -> bytes:
    """The element of XEP-0421."""
    return f"<occupant-id xmlns='{OCCUPANT_ID_NS}' id='{id}'/>".encode()


def stanzaId(room: str, id: str) -> bytes:
    """The element of XEP-0359."""
    return f"<stanza-id xmlns='{ns.STANZA_ID}' by='{escapeAttribute(room)}' id='{escapeAttribute(id)}'/>".encode()


def delay(room: str, stamp: str) -> bytes:
    """The element of XEP-0203, from the room."""
    return f"<delay xmlns='{ns.DELAY}' from='{escapeAttribute(room)}' stamp='{stamp}'/>".encode()


def honest(stanza: Stanza, room: str) -> Stanza:
    """
    A message without what only the room may say: C{muc#user} and occupant ids in any case, stanza ids and delays if
    they claim to be the room's or the service's (XEP-0359 section 3, rule 2), and what announces a moderator's deed as
    earlier versions of XEP-0425 did.
    """
    if SUSPICIOUS.isdisjoint(stanza.childNames):
        return stanza
    cleaned = stanza.without(MESSAGE_FORGERIES)
    service = room.partition("@")[2]
    for name, attribute in _SPEAKERS.items():
        cleaned = _sifted(cleaned, name, partial(_speaksOtherwise, attribute, service))
    return _sifted(cleaned, FASTENING, _fastensNoModeration)


def _sifted(stanza: Stanza, name: str, keeps: Callable[[Element], bool]) -> Stanza:
    """A stanza with only those of its children of one name that are to be kept."""
    if name not in stanza.childNames:
        return stanza
    found = [child for child in stanza.elements() if child.qname == name]
    kept = [child for child in found if keeps(child)]
    if len(kept) == len(found):
        return stanza
    rest = b"".join(child.toBytes() for child in kept)
    return stanza.without(frozenset({name})).extended(rest, (name,) * len(kept))


def _speaksOtherwise(attribute: str, service: str, child: Element) -> bool:
    return not _speaksFor(child.get(attribute), service)


def _fastensNoModeration(fastening: Element) -> bool:
    return not any((child.ns or "").startswith(MODERATION) for child in fastening.elements())


def _speaksFor(address: str | None, service: str) -> bool:
    """Whether an address is the service or one of its rooms."""
    try:
        return address is not None and parse(address).domain == service
    except JIDMalformed:
        return False


def textOf(parent: Element | None, name: str) -> str | None:
    """The text of a child element, or None where there is none or it is empty."""
    return (parent.textOf(name) or None) if parent is not None else None
