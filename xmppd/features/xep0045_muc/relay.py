"""
Queries between occupants, who need not know each other (section 17.4), and to oneself (XEP-0410).

Theory of operation: a query is passed on under an id of our own, which is remembered, a bounded number and for a while,
with who asked and who was asked; only an answer from there counts. Both sides see occupant JIDs only.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from xmppd.features.xep0045_muc.encoding import made
from xmppd.features.xep0045_muc.occupants import Occupant, Seat
from xmppd.features.xep0045_muc.rooms import Room
from xmppd.wire import ns
from xmppd.wire.element import Element
from xmppd.wire.errors import ErrorType, StanzaCondition, StanzaError
from xmppd.wire.jid import JID
from xmppd.wire.stanza import ERROR, Stanza

if TYPE_CHECKING:
    from xmppd.features.xep0045_muc.service import Service

PING: Final = f"{ns.PING} ping"
VCARD: Final = f"{ns.VCARD} vCard"
TEXT: Final = f"{ns.STANZA_ERRORS} text"
DISCO: Final = frozenset({f"{ns.DISCO_INFO} query", f"{ns.DISCO_ITEMS} query"})

WAITING: Final = 2000
"""How many queries may be open in all."""

WAITING_EACH: Final = 30
"""How many one client may be asked at a time."""

SECONDS: Final = 120.0
"""How long an answer is awaited."""


@dataclass(frozen=True, slots=True)
class Question:
    """
    A query that was passed on.

    @ivar id: the id its sender gave it.
    @ivar asker: full JID of its sender.
    @ivar address: the occupant JID it was for.
    @ivar answerer: the JID it was passed on to.
    @ivar seat: the client that was asked.
    @ivar room: where.
    @ivar until: when it is forgotten.
    """

    id: str
    asker: str
    address: str
    answerer: str
    seat: Seat
    room: Room
    until: float


def impersonal(error: Element, room: Room) -> Element:
    """
    An error without the address of who found it. Where real JIDs are not for everybody, nothing stays that could hold
    one: texts, the new addresses in C{<gone/>} and C{<redirect/>}, what is inside of an application's own condition.
    """
    attrs = {key: value for key, value in error.attrs.items() if key != "by"}
    if not room.config.anonymous:
        return Element(error.name, error.ns, attrs, error.children)
    conditions = tuple(Element(each.name, each.ns) for each in error.elements() if each.qname != TEXT)
    return Element(error.name, error.ns, {key: attrs[key] for key in ("type",) if key in attrs}, conditions)


class Relay:
    """All queries to occupants of a service's rooms."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._router = service.host.router
        self._open: OrderedDict[str, Question] = OrderedDict()

    def received(self, room: Room | None, stanza: Stanza, to: JID) -> None:
        """An IQ for an occupant JID."""
        type = stanza.attrs.get("type")
        if type in ("result", "error"):
            self._answered(stanza)
            return
        try:
            self._asked(room, stanza, to, type)
        except StanzaError as error:
            self._router.bounce(stanza, error)

    def _asked(self, room: Room | None, stanza: Stanza, to: JID, type: str | None) -> None:
        names = stanza.childNames
        if type not in ("get", "set") or len(names) != 1 or not stanza.id:
            raise StanzaError(StanzaCondition.BAD_REQUEST)
        name = names[0]
        seat = room.seatOf(stanza) if room is not None else None
        if room is None or seat is None:
            if name in DISCO:  # section 6.6
                raise StanzaError(StanzaCondition.BAD_REQUEST, "Only occupants may ask occupants.", by=to.bare)
            text = "You are not in the room."
            raise StanzaError(StanzaCondition.NOT_ACCEPTABLE, text, ErrorType.CANCEL, by=to.bare)
        target = room.occupants.get(to.resource or "")
        if target is None:
            raise StanzaError(StanzaCondition.ITEM_NOT_FOUND, "Nobody has that nickname.")
        if name == PING and target is seat.occupant:  # XEP-0410 section 3.3
            self._router.route(stanza.result())
            return
        card = name == VCARD and type == "get"
        self._forward(room, seat, target, stanza, to, target.bare if card else target.front.full)

    def _forward(self, room: Room, seat: Seat, target: Occupant, stanza: Stanza, to: JID, answerer: str) -> None:
        now = self._service.now()
        self._expire(now)
        asked = target.front
        if len(self._open) >= WAITING or len(asked.asked) >= WAITING_EACH:
            raise StanzaError(StanzaCondition.RESOURCE_CONSTRAINT, "Too many queries are open.")
        token = self._service.host.entropy.token()
        self._open[token] = Question(stanza.attrs["id"], seat.full, to.full, answerer, asked, room, now + SECONDS)
        asked.asked.add(token)
        self._router.route(stanza.addressed({"from": seat.occupant.jid, "to": answerer, "id": token}))

    def _expire(self, now: float) -> None:
        """Forget what was never answered; its sender stopped waiting long ago."""
        while self._open:
            token, question = next(iter(self._open.items()))
            if question.until > now:
                return
            self._close(token)

    def _close(self, token: str) -> Question:
        question = self._open.pop(token)
        question.seat.asked.discard(token)
        return question

    def _answered(self, stanza: Stanza) -> None:
        """The answer, if it is one: nobody else can give it."""
        token = stanza.attrs.get("id", "")
        question = self._open.get(token)
        if question is None or question.answerer != stanza.attrs["from"]:
            return
        self._close(token)
        attrs = {"id": question.id, "from": question.address, "to": question.asker}
        error = stanza.find(ERROR) if stanza.attrs["type"] == "error" else None
        if error is not None:
            stanza = stanza.reply("error", impersonal(error, question.room).toBytes(), (ERROR,), None)
        self._router.route(stanza.addressed(attrs))

    def left(self, seat: Seat) -> None:
        """A client has left: nobody need wait for its answers."""
        for token in tuple(seat.asked):
            question = self._close(token)
            attrs = {"type": "error", "id": question.id, "from": question.address, "to": question.asker}
            error = StanzaError(StanzaCondition.RECIPIENT_UNAVAILABLE)
            self._router.route(made("iq", attrs, error.toBytes(), (ERROR,)))
