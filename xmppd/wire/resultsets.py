"""
Result set management (XEP-0059): which page somebody wants, and what page it was.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from xmppd.wire import ns
from xmppd.wire.element import Element
from xmppd.wire.errors import StanzaCondition, StanzaError

LONGEST_NUMBER: Final = 10


@dataclass(frozen=True, slots=True)
class PageWanted:
    """
    What a C{<set/>} in a request says; None: no word about it.

    @ivar most: how many items at most (section 2.1); 0 asks for the count alone (section 2.7).
    @ivar after: only items behind that one (section 2.2).
    @ivar before: the last items before that one (section 2.3); empty for the last of all (section 2.5).
    @ivar index: skip so many (section 2.6).
    """

    most: int | None = None
    after: str | None = None
    before: str | None = None
    index: int | None = None


def pageWanted(parent: Element) -> PageWanted:
    """
    What the C{<set/>} inside an element asks for.

    @raise StanzaError: bad-request for what is no number, and for what can't be meant together.
    """
    element = parent.find("set", ns.RESULT_SET)
    if element is None:
        return PageWanted()
    after, before = element.textOf("after"), element.textOf("before")
    index = _number(element, "index")
    if sum(each is not None for each in (after, before, index)) > 1:
        raise StanzaError(StanzaCondition.BAD_REQUEST, "A page begins after, or ends before, or has an index.")
    return PageWanted(_number(element, "max"), after, before, index)


def _number(element: Element, name: str) -> int | None:
    text = element.textOf(name)
    if text is None:
        return None
    text = text.strip()
    if not (text.isascii() and text.isdigit() and len(text) <= LONGEST_NUMBER):
        raise StanzaError(StanzaCondition.BAD_REQUEST, f"<{name}/> is a number.")
    return int(text)


def resultSet(first: str | None, last: str | None, index: int | None = None, count: int | None = None) -> Element:
    """
    The C{<set/>} of an answer.

    @param first: names the first item of the page, or None for an empty page.
    @param index: its position in the whole result, or None if it is not known.
    @param count: how many items there are in all, or None if it is not known.
    """
    children: list[Element] = []
    if first is not None and last is not None:
        attrs = {} if index is None else {"index": str(index)}
        children.append(Element("first", ns.RESULT_SET, attrs, (first,)))
        children.append(Element("last", ns.RESULT_SET, {}, (last,)))
    if count is not None:
        children.append(Element("count", ns.RESULT_SET, {}, (str(count),)))
    return Element("set", ns.RESULT_SET, {}, tuple(children))
