"""
What each operation of each store leaves of a guest, for the ledger (XEP-0175 section 3): a table, L{RULES}.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from zope.interface import Interface

from xmppd.ixmppd import (
    ArchivedMessage,
    IAccountStore,
    IArchiveStore,
    IFactStore,
    INameStore,
    INodeStore,
    IRosterStore,
    ISpoolStore,
    ManagedSessionRecord,
    NameRecord,
    NodeItem,
    NodeRecord,
    NodeSubscription,
    RosterChanges,
    RosterItem,
    SpooledMessage,
)

Row = tuple[str, ...]
"""Where something of a guest is, in words: C{("roster", account)}. Empty: it belongs to the guest itself."""

OWN: Final[Row] = ()

Notes = Iterable[tuple[str, Row]]
"""Names that a write concerns, each with the row that is to say so."""


def bareOf(jid: str) -> str:
    """The bare JID of a canonical address."""
    return jid.partition("/")[0]


@dataclass(frozen=True, slots=True)
class Reads:
    """
    An operation on what belongs to its first argument, that can be answered for who has nothing.

    @ivar blank: the answer.
    """

    blank: Any = None


@dataclass(frozen=True, slots=True)
class Writes:
    """
    An operation that keeps something.

    @ivar notes: called with the operation's arguments.
    """

    notes: Callable[..., Notes]


@dataclass(frozen=True, slots=True)
class Free:
    """
    An operation that neither keeps anything new of anybody nor is worth being answered here.

    @ivar why: in a few words.
    """

    why: str


def _owner(owner: str, *_: object) -> Notes:
    return ((owner, OWN),)


def _item(account: str, item: RosterItem) -> Notes:
    return ((account, OWN), (bareOf(item.jid), ("roster", account)))


def _items(account: str, items: Sequence[RosterItem]) -> Notes:
    return [note for item in items for note in _item(account, item)]


def _messages(messages: Sequence[SpooledMessage]) -> Notes:
    return [(each.account, OWN) for each in messages]


def _acknowledged(token: str, inbound: int, messages: Sequence[SpooledMessage]) -> Notes:
    return _messages(messages)


def _session(record: ManagedSessionRecord) -> Notes:
    return ((bareOf(record.jid), OWN),)


def _renamed(old: str, record: ManagedSessionRecord) -> Notes:
    return _session(record)


def _fact(owner: str, kind: str, key: str, value: bytes) -> Notes:
    """A fact may be about who is its key, as affiliations with rooms are."""
    return ((owner, OWN), (key, ("fact", owner)))


def _facts(owner: str, kind: str, facts: Mapping[str, bytes]) -> Notes:
    row = ("fact", owner)
    return [(owner, OWN), *((key, row) for key in facts)]


def _archived(messages: Sequence[ArchivedMessage]) -> Notes:
    return [note for each in messages for note in ((each.owner, OWN), (each.sender, ("archive", each.owner)))]


def _atNode(owner: str, node: str, names: Iterable[str]) -> Notes:
    """Names that a node has."""
    row = ("node", owner, node)
    return [(owner, OWN), *((name, row) for name in names if name != owner)]


def _node(record: NodeRecord) -> Notes:
    return _atNode(record.owner, record.node, (record.creator,))


def _published(owner: str, node: str, items: Sequence[NodeItem], most: int) -> Notes:
    return _atNode(owner, node, [each.publisher for each in items])


def _affiliated(owner: str, node: str, changes: Mapping[str, str]) -> Notes:
    return _atNode(owner, node, [jid for jid, affiliation in changes.items() if affiliation != "none"])


def _subscribed(owner: str, node: str, subscription: NodeSubscription) -> Notes:
    return _atNode(owner, node, (bareOf(subscription.jid),)) if subscription.state != "none" else ()


def _name(record: NameRecord) -> Notes:
    return ((record.owner, OWN),)


def _names(records: Sequence[NameRecord]) -> Notes:
    return [note for record in records for note in _name(record)]


_TAKES = Free("it only deletes")
_NOBODYS = Free("it doesn't concern one owner")

RULES: Final[Mapping[str, tuple[type[Interface], Mapping[str, Reads | Writes | Free]]]] = {
    "accounts": (
        IAccountStore,
        {
            "create": Writes(lambda jid, keys, stamp, distinct=False: ()),  # see L{Ledger._create}
            "remove": _TAKES,
            "get": Reads(None),
            "keys": Reads(None),
            "setKeys": Writes(_owner),
            "addKeys": Writes(_owner),
            "setDisabled": Writes(_owner),
            "setLastActivity": Writes(_owner),
            "list": _NOBODYS,
            "count": _NOBODYS,
            "rounds": _NOBODYS,
        },
    ),
    "rosters": (
        IRosterStore,
        {
            "get": Reads(RosterChanges(0, ())),
            "since": Reads(RosterChanges(0, ())),
            "put": Writes(_item),
            "putMany": Writes(_items),
            "delete": _TAKES,
            "expunge": _TAKES,
        },
    ),
    "spool": (
        ISpoolStore,
        {
            "add": Writes(_messages),
            "offline": Reads(()),
            "count": Reads(0),
            "held": _NOBODYS,
            "remove": _TAKES,
            "release": _NOBODYS,
            "hold": _NOBODYS,
            "saveSession": Writes(_session),
            "acknowledge": Writes(_acknowledged),
            "removeSession": _TAKES,
            "renameSession": Writes(_renamed),
            "sessions": _NOBODYS,
            "releaseUnheld": _NOBODYS,
        },
    ),
    "facts": (
        IFactStore,
        {
            "get": Reads(None),
            "put": Writes(_fact),
            "putNew": Writes(_fact),
            "delete": Reads(False),
            "all": Reads({}),
            "replaceAll": Writes(_facts),
            "size": Reads(0),
            "forget": Reads(None),
            "kinds": Reads({}),
            "owners": _NOBODYS,
        },
    ),
    "archives": (
        IArchiveStore,
        {
            "add": Writes(_archived),
            "query": Free("it may have to say that an id is missing"),
            "ends": Reads(None),
            "replace": Free("it changes what is there already"),
            "remove": _TAKES,
            "prune": _TAKES,
            "forget": Reads(None),
            "count": Reads(0),
            "disown": Reads(None),
            "owners": _NOBODYS,
        },
    ),
    "pubsub": (
        INodeStore,
        {
            "create": Writes(_node),
            "get": Reads(None),
            "configure": Writes(_owner),
            "delete": _TAKES,
            "nodes": Reads(()),
            "publish": Writes(_published),
            "items": Free("it may have to say that an item is missing"),
            "itemsById": Reads(()),
            "countItems": Reads(0),
            "retract": Reads(()),
            "purge": Reads(None),
            "affiliations": Reads({}),
            "setAffiliations": Writes(_affiliated),
            "affiliationsOf": Reads({}),
            "subscriptions": Reads(()),
            "setSubscription": Writes(_subscribed),
            "subscriptionsOf": Reads(()),
            "size": Reads(0),
            "forget": Reads(None),
            "forgetEntity": Reads(None),
            "ownerless": Reads(()),
        },
    ),
    "nameIndex": (
        INameStore,
        {
            "add": Writes(_names),
            "claim": Writes(_name),
            "remove": _TAKES,
            "alike": _NOBODYS,
            "list": _NOBODYS,
            "groups": _NOBODYS,
        },
    ),
}
"""What each operation of each store does to the ledger."""
