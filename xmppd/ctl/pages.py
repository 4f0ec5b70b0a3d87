"""
Lists in pages, so that no answer to xmppctl is too long to send.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable
from typing import Any

PAGE = 500
"""Items of a page."""


def page(
    found: Iterable[tuple[str, Any]],
    after: str,
    entry: Callable[[str, Any], dict[str, Any]],
    most: int | None = None,
) -> dict[str, Any]:
    """
    The things whose keys come first after C{after}. Only these are looked at closely: there may be very many.

    @param found: keys, all different, and things.
    @param entry: what is told of a thing.
    @param most: how many, if that is fewer than usual.
    """
    size = PAGE if most is None else min(most, PAGE)
    first = heapq.nsmallest(size + 1, (pair for pair in found if pair[0] > after), key=lambda pair: pair[0])
    more = first[size - 1][0] if len(first) > size else None
    return {"items": [entry(*pair) for pair in first[:size]], "after": more}
