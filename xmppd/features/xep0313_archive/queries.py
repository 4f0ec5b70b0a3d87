"""
What is asked of an archive, and how it is answered (XEP-0313 sections 4 and 5, XEP-0059). No store and no session.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from xmppd.ixmppd import ArchivedMessage, ArchivePage, ArchiveQuery
from xmppd.wire import ns
from xmppd.wire.dates import dateTime, fromDateTime
from xmppd.wire.element import Element, escapeAttribute, startTag
from xmppd.wire.errors import StanzaCondition, StanzaError
from xmppd.wire.forms import FORM_TYPE, Values, field, form, formIn, values
from xmppd.wire.jid import JID, parse
from xmppd.wire.resultsets import pageWanted, resultSet
from xmppd.wire.stanza import Stanza

QUERY: Final = f"{ns.ARCHIVE} query"
METADATA: Final = f"{ns.ARCHIVE} metadata"
RESULT: Final = f"{ns.ARCHIVE} result"
MESSAGE: Final = f"{ns.CLIENT} message"
VALIDATION: Final = "http://jabber.org/protocol/xdata-validate"

MOST_IDS: Final = 200
"""How many messages can be asked for by their ids."""

LONGEST_ID: Final = 512
"""Octets of a C{queryid} and of any id."""

LONGEST_DATE: Final = 64

PAGE_OCTETS: Final = 1 << 20
"""A page has no further messages once they have so many octets: no client is sent more than it may leave unread."""

MILLISECOND: Final = 0.001
MICROSECOND: Final = 0.000001

FIELDS: Final = frozenset({FORM_TYPE, "with", "start", "end", "before-id", "after-id", "ids", "include-groupchat"})


@dataclass(frozen=True, slots=True)
class Asked:
    """
    A query.

    @ivar query: what is wanted of the store.
    @ivar peer: what C{with} says, or None.
    @ivar id: C{queryid}, or None.
    @ivar flipped: whether the page is to be sent in reverse order (section 4.3.4).
    """

    query: ArchiveQuery
    peer: JID | None
    id: str | None
    flipped: bool


def bad(text: str) -> StanzaError:
    """A query that can't be understood."""
    return StanzaError(StanzaCondition.BAD_REQUEST, text)


def asked(element: Element, usual: int, most: int) -> Asked:
    """
    What a C{<query/>} asks for.

    @param usual: how many messages a page has if nothing is said.
    @param most: how many it has at most.
    @raise StanzaError: bad-request, jid-malformed, feature-not-implemented for unknown fields, item-not-found for what
        can't be an id, resource-constraint for too many.
    """
    if element.get("node"):
        raise StanzaError(StanzaCondition.FEATURE_NOT_IMPLEMENTED, "There are no nodes here.")
    id = element.get("queryid")
    if id is not None and len(id.encode()) > LONGEST_ID:
        raise bad(f"A queryid may have {LONGEST_ID} octets.")
    given = _given(element)
    peer = _peer(given)
    page = pageWanted(element)
    query = ArchiveQuery(
        peer=peer.bare if peer is not None else None,
        resource=peer.resource if peer is not None else None,
        start=_moment(given, "start"),
        end=_end(_moment(given, "end")),
        afterId=_id(_one(given, "after-id")),
        beforeId=_id(_one(given, "before-id")),
        ids=_ids(given),
        pageAfter=_id(page.after),
        pageBefore=_id(page.before) if page.before else page.before,
        pageIndex=page.index,
        limit=usual if page.most is None else min(page.most, most),
    )
    return Asked(query, peer, id, element.find("flip-page") is not None)


def _given(element: Element) -> Values:
    """The fields of the form (section 4.1)."""
    submitted = formIn(element)
    if submitted is None:
        return {}
    given = values(submitted)
    if submitted.get("type") != "submit" or given.get(FORM_TYPE) != (ns.ARCHIVE,):
        raise bad("That is no form for archives.")
    unknown = given.keys() - FIELDS
    if unknown:
        raise StanzaError(StanzaCondition.FEATURE_NOT_IMPLEMENTED, "There is a field that is unknown here.")
    return given


def _one(given: Values, name: str) -> str | None:
    texts = given.get(name)
    if texts is None:
        return None
    if len(texts) != 1:
        raise bad(f"The field {name} has one value.")
    return texts[0]


def _peer(given: Values) -> JID | None:
    text = _one(given, "with")
    return parse(text) if text is not None else None


def _moment(given: Values, name: str) -> float | None:
    """Seconds since the epoch (XEP-0082)."""
    text = _one(given, name)
    if text is None:
        return None
    try:
        if len(text) > LONGEST_DATE:
            raise ValueError("too long")
        return fromDateTime(text.strip())
    except (ValueError, OverflowError) as error:
        raise bad(f"The field {name} is a date and time in UTC or with a zone.") from error


def _end(moment: float | None) -> float | None:
    """
    The end of the millisecond: that is all that clients are told of a message's time, and whoever says when the last
    message he wants was archived is to get it.
    """
    if moment is None:
        return None
    return (moment * 1000 // 1) * MILLISECOND + MILLISECOND - MICROSECOND


def _id(text: str | None) -> str | None:
    """An id; there is none that is empty or long (section 4.1.3)."""
    if text is not None and not 0 < len(text.encode()) <= LONGEST_ID:
        raise StanzaError(StanzaCondition.ITEM_NOT_FOUND)
    return text


def _ids(given: Values) -> tuple[str, ...] | None:
    texts = given.get("ids")
    if texts is None:
        return None
    if len(texts) > MOST_IDS:
        raise StanzaError(StanzaCondition.RESOURCE_CONSTRAINT, f"Ask for {MOST_IDS} messages at a time.")
    return tuple(id for text in dict.fromkeys(texts) if (id := _id(text)) is not None)


def queryForm() -> Element:
    """The fields there are (section 4.1.5)."""
    anything = Element("validate", VALIDATION, {"datatype": "xs:string"}, (Element("open", VALIDATION),))
    ids = field("ids", type="list-multi")
    fields = (
        field("with", type="jid-single"),
        *(field(name, type="text-single") for name in ("start", "end", "before-id", "after-id")),
        replace(ids, children=(anything,)),
        field("include-groupchat", type="boolean"),
    )
    return Element("query", ns.ARCHIVE, {}, (form("form", *fields, formType=ns.ARCHIVE),))


def trimmed(page: ArchivePage, backwards: bool) -> ArchivePage:
    """
    A page that isn't too large: messages at the end towards which it is paged are left for the next one.
    """
    messages = page.messages[::-1] if backwards else page.messages
    octets = 0
    for count, message in enumerate(messages):
        octets += len(message.stanza)
        if octets > PAGE_OCTETS and count:
            kept = messages[:count]
            if backwards:
                cut = len(messages) - count
                index = page.index + cut if page.index is not None else None
                return ArchivePage(kept[::-1], False, page.count, index)
            return ArchivePage(kept, False, page.count, page.index)
    return page


def fin(page: ArchivePage) -> Element:
    """The end of the results (section 4.3)."""
    messages = page.messages
    first, last = (messages[0].id, messages[-1].id) if messages else (None, None)
    attrs = {"complete": "true"} if page.complete else {}
    return Element("fin", ns.ARCHIVE, attrs, (resultSet(first, last, page.index, page.count),))


def metadata(ends: tuple[ArchivedMessage, ArchivedMessage] | None) -> Element:
    """Where an archive begins and ends (section 5)."""
    children = tuple(
        Element(name, ns.ARCHIVE, {"id": message.id, "timestamp": dateTime(message.stamp, True)})
        for name, message in zip(("start", "end"), ends or (), strict=False)
    )
    return Element("metadata", ns.ARCHIVE, {}, children)


def results(archive: str, to: str, id: str | None, messages: Sequence[tuple[ArchivedMessage, bytes]]) -> list[Stanza]:
    """
    The messages that carry archived ones (section 4.2).

    @param archive: the address of the archive.
    @param messages: with the bytes of what was archived, as L{Stanza.raw}.
    """
    attrs = {"from": archive, "to": to}
    begin = startTag("message", attrs) + f"><result xmlns='{ns.ARCHIVE}'"
    if id is not None:
        begin += f" queryid='{escapeAttribute(id)}'"
    found = []
    for message, raw in messages:
        head = (
            f"{begin} id='{escapeAttribute(message.id)}'><forwarded xmlns='{ns.FORWARD}'>"
            f"<delay xmlns='{ns.DELAY}' stamp='{dateTime(message.stamp, True)}'/>"
        )
        inner = Stanza("message", MESSAGE, {}, (), raw).declared()
        whole = head.encode() + inner + b"</forwarded></result></message>"
        found.append(Stanza("message", MESSAGE, dict(attrs), (RESULT,), whole))
    return found
