"""
Which messages are archived, and what the archive does to their bytes (XEP-0313 section 6.1.1, XEP-0334, XEP-0359).
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

from xmppd.wire import ns
from xmppd.wire.element import escapeAttribute
from xmppd.wire.jid import JIDMalformed, parse
from xmppd.wire.stanza import BODY, Stanza

STANZA_ID: Final = f"{ns.STANZA_ID} stanza-id"
RETRACT: Final = f"{ns.RETRACTION} retract"
STORE: Final = f"{ns.HINTS} store"
NO_STORE: Final = frozenset(f"{ns.HINTS} {hint}" for hint in ("no-store", "no-permanent-store", "no-storage"))

FLEETING_TYPES: Final = frozenset({"error", "groupchat", "headline"})
"""Types that are no conversation of the account's: errors, what rooms archive themselves, news."""

MEANINGFUL: Final = frozenset(
    [BODY, STORE, RETRACT, f"{ns.RECEIPTS} received", f"{ns.MUC_USER} x", "jabber:x:conference x"]
    + [f"urn:xmpp:chat-markers:0 {name}" for name in ("received", "displayed", "acknowledged")]
    + ["eu.siacs.conversations.axolotl encrypted", "urn:xmpp:omemo:2 encrypted", "urn:xmpp:openpgp:0 openpgp"]
    + ["urn:xmpp:reactions:0 reactions"]
)
"""Content that makes a message part of a conversation: any one of these suffices."""

_ALONE = re.compile(
    rb"""<stanza-id xmlns=['"]urn:xmpp:sid:0['"](?: id=(?:'[^'<>]*'|"[^"<>]*"))?"""
    rb""" by=(?:'([!#-%(-;=?-~]*)'|"([!#-%(-;=?-~]*)")"""
)
"""The element as nearly everybody writes it, with an address in which there is no reference."""

MOST_OCTETS: Final = 1_000_000
"""A stanza of more octets is in no archive."""


def isArchivable(stanza: Stanza) -> bool:
    """
    Whether an account's archive keeps a message, if the user wants it. A message of type C{error} is never kept, and
    its hints don't count (XEP-0334 section 5); a headline is, if it asks for it (section 4.4).
    """
    names = stanza.childNames
    if len(names) == 1 and names[0] == BODY and "type" in stanza.attrs and stanza.attrs["type"] == "chat":
        return len(stanza.raw) <= MOST_OCTETS  # what most messages are
    type = stanza.attrs.get("type")
    if type in FLEETING_TYPES and not (type == "headline" and STORE in names):
        return False
    if MEANINGFUL.isdisjoint(names) or not NO_STORE.isdisjoint(names):
        return False
    return len(stanza.raw) <= MOST_OCTETS


@lru_cache(4096)
def stanzaIdStart(by: str) -> str:
    """The element of XEP-0359 up to the id."""
    return f"<stanza-id xmlns='{ns.STANZA_ID}' by='{escapeAttribute(by)}' id='"


def stanzaId(by: str, id: str) -> bytes:
    """The element of XEP-0359."""
    return f"{stanzaIdStart(by)}{id}'/>".encode()


class Purge:
    """
    Takes out stanza ids that pretend to be of an account's archive (XEP-0359 section 3, rule 2).

    What a room says comes for many accounts, with the same list of names on the same bytes: then it is looked at once.
    """

    __slots__ = ("_names", "_speakers")

    def __init__(self) -> None:
        self._names: object = None
        self._speakers: frozenset[str] = frozenset()

    def __call__(self, stanza: Stanza, owner: str) -> None:
        """Clean a message in place; it has stanza ids."""
        names = stanza.childNames
        if names is not self._names or not isinstance(names, list):
            self._speakers = speakersOf(stanza)
            self._names = names
        if owner in self._speakers:
            _remove(stanza, owner)


def speakersOf(stanza: Stanza) -> frozenset[str]:
    """The bare JIDs of those whose stanza ids a message claims to have."""
    raw = stanza.raw
    if raw.count(b"stanza-id") == 1:  # that is the element, since its name can't be written otherwise
        found = _ALONE.search(raw)
        if found is not None:
            return frozenset(_bare((found[1] or found[2] or b"").decode()))
    ids = (child for child in stanza.elements() if child.qname == STANZA_ID)
    return frozenset(bare for each in ids for bare in _bare(each.get("by") or ""))


def _bare(by: str) -> tuple[str, ...]:
    """However the address is written, and with whatever resource; nothing if it is none."""
    try:
        return (parse(by).bare,)
    except JIDMalformed:
        return ()


def _remove(stanza: Stanza, owner: str) -> None:
    kept = [each for each in stanza.elements() if each.qname == STANZA_ID and owner not in _bare(each.get("by") or "")]
    clean = stanza.without(frozenset({STANZA_ID}))
    stanza.raw, stanza.childNames = clean.raw, clean.childNames
    stanza.append(b"".join(child.toBytes() for child in kept), (STANZA_ID,) * len(kept))
