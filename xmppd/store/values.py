"""
What every provider of the stores accepts, checked before anything is queued.

The providers must refuse the same things: PostgreSQL's text can't hold NUL, and no UTF-8 holds a lone surrogate, so
nobody takes them. A refused value is a mistake of the caller and raises ValueError at once; it never becomes a failed
Deferred.
"""

from __future__ import annotations

from collections.abc import Iterable

from xmppd.ixmppd import RosterItem, SpooledMessage, StoredKeys

MAXIMUM_FACT = 1 << 20
"""How many octets one fact may have."""

MAXIMUM_REMOVALS = 500
"""
How many removed contacts a roster remembers, so that L{xmppd.ixmppd.IRosterStore.since} can tell a client about them.
Whoever saw the roster last before that many removals gets the complete roster.
"""


def checkText(*texts: str) -> None:
    """
    @raise ValueError: one of C{texts} holds NUL or can't be written as UTF-8.
    """
    for text in texts:
        if "\0" in text:
            raise ValueError("text with NUL can't be stored")
        if not text.isascii():
            text.encode("utf-8")  # UnicodeEncodeError is a ValueError


MAXIMUM_KIND = 255
"""How many octets the name of a kind of facts may have."""

MAXIMUM_OWNER = 2047
"""How many octets an owner may have: those of the longest bare JID (RFC 7622 section 3.1)."""


def checkFact(owner: str, kind: str, key: str, value: bytes) -> None:
    """
    @raise ValueError: a text that L{checkText} refuses or that is too long, or a value of more than L{MAXIMUM_FACT}
        octets. Owner and kind are bounded since they stand in an index; a key may have any length.
    """
    checkText(owner, kind, key)
    if len(owner.encode()) > MAXIMUM_OWNER or len(kind.encode()) > MAXIMUM_KIND:
        raise ValueError("the owner or the kind of a fact is too long")
    if len(value) > MAXIMUM_FACT:
        raise ValueError(f"a fact of {len(value)} octets is too large; {MAXIMUM_FACT} are allowed")


def checkItem(account: str, item: RosterItem) -> None:
    """
    @raise ValueError: a text that L{checkText} refuses, or an unknown subscription.
    """
    checkText(account, item.jid, item.name, *item.groups)
    if item.subscription not in ("none", "to", "from", "both"):
        raise ValueError(f"no such subscription: {item.subscription!r}")


def checkMessages(messages: Iterable[SpooledMessage]) -> None:
    """
    @raise ValueError: a text that L{checkText} refuses.
    """
    for message in messages:
        checkText(message.account)
        if message.holder is not None:
            checkText(message.holder)


def checkKeys(keys: Iterable[StoredKeys]) -> None:
    """
    @raise ValueError: a text that L{checkText} refuses, or two keys for one hash.
    """
    names = [each.hashName for each in keys]
    checkText(*names)
    if len(set(names)) != len(names):
        raise ValueError("two keys for one hash")


def bareOf(jid: str) -> str:
    """The bare JID of a canonical JID."""
    return jid.partition("/")[0]


def domainOf(jid: str) -> str:
    """The domain of a canonical JID."""
    return bareOf(jid).rpartition("@")[2]


def factSize(key: str, value: bytes) -> int:
    """How many octets a fact counts for: those of its key as UTF-8 and those of its value."""
    return len(key.encode("utf-8")) + len(value)
