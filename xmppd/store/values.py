"""
What every provider of the stores accepts, checked before anything is queued.

The providers must refuse the same things: PostgreSQL's text can't hold NUL, and no UTF-8 holds a lone surrogate, so
nobody takes them. A refused value is a mistake of the caller and raises ValueError at once; it never becomes a failed
Deferred.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace

from xmppd.ixmppd import (
    ArchivedMessage,
    ArchiveQuery,
    NameRecord,
    NodeItem,
    NodeRecord,
    NodeSubscription,
    RosterItem,
    SpooledMessage,
    StoredKeys,
)
from xmppd.wire.archiveids import prefixBehind, prefixOf

MAXIMUM_FACT = 1 << 20
"""How many octets one fact may have."""

MAXIMUM_REMOVALS = 500
"""
How many removed contacts a roster remembers, so that L{xmppd.ixmppd.IRosterStore.since} can tell a client about them.
Whoever saw the roster last before that many removals gets the complete roster.
"""


MAXIMUM_STANZA = 1 << 20
"""How many octets an archived stanza may have."""

MAXIMUM_ARCHIVE_ID = 100
"""How many octets the id of an archived message may have."""

MAXIMUM_PAGE = 1000
"""How many messages, nodes or items are answered at a time, whatever is asked."""

MAXIMUM_PAGE_OCTETS = 4 << 20
"""A page of an archive has no further messages once its stanzas have so many octets."""

MAXIMUM_COUNT = 10_000
"""
How many messages of an archive are counted for a query. A count would otherwise read the index of a whole archive for
each page, and XEP-0313 section 4.3.2 lets us leave it out.
"""

MAXIMUM_PRUNED = 2000
"""How many messages are deleted in one transaction, so that others don't wait long for theirs."""

MAXIMUM_NODE = 512
"""How many octets the name of a node may have; it stands in indexes beside its owner."""

MAXIMUM_ITEMS = 10_000
"""How many items a node keeps, whatever is asked."""

MAXIMUM_PAYLOAD = 1 << 20
"""How many octets an item, a node's configuration or a subscription's options may have."""


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

MAXIMUM_NAME = 1023
"""How many octets a name in the index of look-alikes may have."""

ALIKE = 10
"""How many accounts are named, at most, that a new one looks like."""

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


def checkName(record: NameRecord) -> None:
    """
    @raise ValueError: a text that L{checkText} refuses, or one that is too long for the index.
    """
    checkText(record.kind, record.space, record.name, record.owner)
    lengths = (len(record.kind.encode()), len(record.space.encode()), len(record.owner.encode()))
    if lengths[0] > MAXIMUM_KIND or max(lengths) > MAXIMUM_OWNER or len(record.name.encode()) > MAXIMUM_NAME:
        raise ValueError("a name, its owner, its kind or where it is compared is too long")


def accountName(jid: str) -> NameRecord:
    """The name of an account, as the index of look-alikes has it."""
    local, _, domain = jid.rpartition("@")
    return NameRecord("account", domain, local, jid)


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


def checkArchived(messages: Iterable[ArchivedMessage]) -> None:
    """
    @raise ValueError: a text that L{checkText} refuses, something too long, or an id that isn't made from its stamp.
    """
    for message in messages:
        checkText(message.owner, message.id, message.peer, message.resource, message.sender)
        prefix = prefixOf(message.stamp)
        if len(message.id) <= len(prefix) or not message.id.startswith(prefix):
            raise ValueError(f"the id {message.id!r} isn't made from the stamp {message.stamp!r}")
        if len(message.owner.encode()) > MAXIMUM_OWNER or len(message.id.encode()) > MAXIMUM_ARCHIVE_ID:
            raise ValueError("the owner or the id of an archived message is too long")
        if len(message.stanza) > MAXIMUM_STANZA:
            raise ValueError(f"a stanza of {len(message.stanza)} octets is too large for an archive")


def checkQuery(owner: str, query: ArchiveQuery) -> ArchiveQuery:
    """
    The query with its limit bounded.

    @raise ValueError: a text that L{checkText} refuses, a resource without a peer, a negative limit or position, or a
        moment that is none.
    """
    texts = (owner, query.peer, query.resource, query.afterId, query.beforeId, query.pageAfter, query.pageBefore)
    checkText(*(text for text in texts if text is not None), *(query.ids or ()))
    if query.resource is not None and query.peer is None:
        raise ValueError("a resource without a peer")
    if query.limit < 0 or (query.pageIndex or 0) < 0:
        raise ValueError("a negative number of messages")
    boundsOf(query)  # refuses what is no moment
    return replace(query, limit=min(query.limit, MAXIMUM_PAGE))


LAST_ID = "~"
"""Sorts after all ids of archived messages."""


def boundsOf(query: ArchiveQuery) -> tuple[str, str]:
    """The ids between which a query's messages lie, both excluded, paging left aside."""
    lower = max(query.afterId or "", "" if query.start is None else prefixOf(query.start))
    behind = LAST_ID if query.end is None else prefixBehind(query.end)
    return lower, min(LAST_ID if query.beforeId is None else query.beforeId, behind)


def pageBoundsOf(query: ArchiveQuery) -> tuple[str, str]:
    """The ids between which the messages of a query's page lie, both excluded."""
    lower, upper = boundsOf(query)
    return max(lower, query.pageAfter or ""), min(upper, query.pageBefore or LAST_ID)


def indexOf(
    query: ArchiveQuery, messages: Sequence[ArchivedMessage], count: int | None, before: Callable[[str], int]
) -> int | None:
    """
    The position of a page's first message in the whole result, if it can be told without counting too many.

    @param count: how many there are in all, if that is known.
    @param before: answers how many messages of the result precede an id.
    """
    if not messages:
        return None
    if query.pageBefore is None and query.pageAfter is None:
        return query.pageIndex or 0
    return None if count is None else before(messages[0].id)


def namedBy(query: ArchiveQuery) -> frozenset[str]:
    """All ids that must be in the archive for a query to succeed."""
    named = {query.afterId, query.beforeId, query.pageAfter, query.pageBefore or None, *(query.ids or ())}
    return frozenset(each for each in named if each is not None)


def checkNode(owner: str, node: str) -> None:
    """
    @raise ValueError: a text that L{checkText} refuses, or one that is too long.
    """
    checkText(owner, node)
    if len(owner.encode()) > MAXIMUM_OWNER or len(node.encode()) > MAXIMUM_NODE:
        raise ValueError("the owner or the name of a node is too long")


def checkSettings(text: str) -> None:
    """
    @raise ValueError: a text that L{checkText} refuses, or of more than L{MAXIMUM_PAYLOAD} octets.
    """
    checkText(text)
    if len(text.encode()) > MAXIMUM_PAYLOAD:
        raise ValueError("a configuration is too large")


def checkRecord(record: NodeRecord) -> None:
    """
    @raise ValueError: as L{checkNode} and L{checkSettings}; or a creator that is too long.
    """
    checkNode(record.owner, record.node)
    checkSettings(record.config)
    checkText(record.creator)
    if len(record.creator.encode()) > MAXIMUM_OWNER:
        raise ValueError("the creator of a node is too long")


def checkItems(items: Iterable[NodeItem]) -> None:
    """
    @raise ValueError: a text that L{checkText} refuses, a publisher longer than any bare JID, or a payload of more than
        L{MAXIMUM_PAYLOAD} octets.
    """
    for item in items:
        checkText(item.id, item.publisher)
        if len(item.publisher.encode()) > MAXIMUM_OWNER:
            raise ValueError("the publisher of an item is longer than any bare JID")
        if len(item.payload) > MAXIMUM_PAYLOAD:
            raise ValueError(f"an item of {len(item.payload)} octets is too large; {MAXIMUM_PAYLOAD} are allowed")


def checkAffiliations(changes: Mapping[str, str]) -> None:
    """
    @raise ValueError: a text that L{checkText} refuses.
    """
    checkText(*changes, *changes.values())


def checkSubscription(subscription: NodeSubscription) -> None:
    """
    @raise ValueError: as L{checkText} and L{checkSettings}.
    """
    checkText(subscription.jid, subscription.subid, subscription.state)
    checkSettings(subscription.options)


def itemSize(item: NodeItem) -> int:
    """How many octets an item counts for: those of its id as UTF-8 and those of its payload."""
    return len(item.id.encode("utf-8")) + len(item.payload)


def nodeSize(node: str, config: str) -> int:
    """How many octets a node without items counts for: those of its name and those of its configuration."""
    return len(node.encode("utf-8")) + len(config.encode("utf-8"))


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
