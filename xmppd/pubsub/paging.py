"""
Pages of a result that is a list in memory (XEP-0059).
"""

from __future__ import annotations

from collections.abc import Sequence

from xmppd.pubsub.errors import notFound
from xmppd.wire.resultsets import PageWanted


def bounds(ids: Sequence[str], wanted: PageWanted, most: int) -> tuple[int, int]:
    """
    Where a page begins and where it ends in the whole list.

    @param most: what is answered at a time, whatever is asked.
    @raise StanzaError: C{item-not-found} if the list has no such id (section 2.4).
    """
    size = most if wanted.most is None else min(most, wanted.most)
    first, end = 0, len(ids)
    if wanted.after:
        first = _position(ids, wanted.after) + 1
    if wanted.before:
        end = _position(ids, wanted.before)
    if wanted.index is not None:
        first = max(first, min(wanted.index, end))
    if wanted.before is not None:
        return max(first, end - size), end
    return first, min(end, first + size)


def _position(ids: Sequence[str], id: str) -> int:
    try:
        return ids.index(id)
    except ValueError:
        raise notFound("There is no such item to page from.") from None
