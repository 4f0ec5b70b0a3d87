"""
What service discovery tells of the service and its rooms (section 6, XEP-0059, XEP-0128).
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from typing import TYPE_CHECKING, Final

from xmppd.features.xep0045_muc.affiliations import Affiliation, Role
from xmppd.features.xep0045_muc.encoding import OCCUPANT_ID_NS
from xmppd.features.xep0045_muc.forms import INFO as ROOM_INFO
from xmppd.features.xep0045_muc.hats import COMMANDS as HAT_COMMANDS
from xmppd.features.xep0045_muc.hats import HASH, HATS_NS, hashOf
from xmppd.features.xep0045_muc.moderation import MODERATION_NS
from xmppd.features.xep0045_muc.rooms import Room
from xmppd.hooks import Command, DiscoInfo, DiscoItem
from xmppd.ixmppd import Request
from xmppd.wire import forms, ns
from xmppd.wire.element import Element
from xmppd.wire.errors import StanzaCondition, StanzaError
from xmppd.wire.jid import JID

if TYPE_CHECKING:
    from xmppd.features.xep0045_muc.requests import Query
    from xmppd.features.xep0045_muc.service import Service

INFO: Final = f"{ns.DISCO_INFO} query"
ITEMS: Final = f"{ns.DISCO_ITEMS} query"
STABLE_ID: Final = f"{ns.MUC}#stable_id"
SELF_PING: Final = f"{ns.MUC}#self-ping-optimization"
VOICE: Final = f"{ns.MUC}#request"

OWN_NICK: Final = "x-roomuser-item"
TRAFFIC: Final = f"{ns.MUC}#traffic"

PAGE: Final = 100
"""How many rooms a page has at most."""

SERVICE_FEATURES: Final = (
    ns.MUC,
    STABLE_ID,
    SELF_PING,
    OCCUPANT_ID_NS,
    ns.STANZA_ID,
    ns.VCARD,
    ns.RESULT_SET,
)
"""What holds for every room."""


def roomFeatures(room: Room) -> list[str]:
    """The features that say what kind of room it is (section 16.3)."""
    config = room.config
    pairs = (
        (bool(config.password), "muc_passwordprotected", "muc_unsecured"),
        (config.public, "muc_public", "muc_hidden"),
        (config.persistent, "muc_persistent", "muc_temporary"),
        (config.membersOnly, "muc_membersonly", "muc_open"),
        (config.moderated, "muc_moderated", "muc_unmoderated"),
        (config.anonymous, "muc_semianonymous", "muc_nonanonymous"),
    )
    return [yes if holds else no for holds, yes, no in pairs]


def roomInfo(room: Room) -> Element:
    """More about a room (section 6.4). The subject is told where anybody could enter and see it (section 14.4)."""
    config = room.config
    shown = [
        forms.field("muc#roominfo_description", config.description, type="text-single", label="Description"),
        forms.field(
            "muc#roominfo_occupants", str(len(room.occupants)), type="text-single", label="Number of occupants"
        ),
        forms.field("muc#maxhistoryfetch", str(config.history), type="text-single"),
        forms.field("muc#roominfo_subjectmod", "1" if config.changeSubject else "0", type="boolean"),
        forms.field("muc#roominfo_slow_mode_duration", str(config.slowMode), type="text-single"),
    ]
    if config.language:
        shown.append(forms.field("muc#roominfo_lang", config.language, type="text-single"))
    if config.pubsub:
        shown.append(forms.field("muc#roomconfig_pubsub", config.pubsub, type="text-single"))
    if config.public and not config.password and not config.membersOnly:
        shown.append(forms.field("muc#roominfo_subject", room.subjectText, type="text-single"))
    if room.hats:
        shown.append(forms.field(HASH, hashOf(room.hats), type="text-single", label="Hats hash"))
    if room.avatars:
        shown.append(forms.field("muc#roominfo_avatarhash", *room.avatars, type="text-multi"))
    return forms.form("result", *shown, formType=ROOM_INFO)


class Information:
    """Service discovery for a service and its rooms."""

    def __init__(self, service: Service) -> None:
        self._service = service

    def info(self, query: Query) -> Element:
        """Section 6.4, and the nodes of sections 7.12 and 18.1.1."""
        node, room = query.payload.get("node"), query.room
        if node == OWN_NICK:
            return self._ownNick(query)
        command = self._service.host.inboxCommands.get(node or "")
        if command is not None:
            identity = ("automation", "command-node", command.title)
            return DiscoInfo((identity,), (ns.COMMANDS, ns.DATA_FORMS)).toElement(node or "")
        if node == TRAFFIC:  # everything may pass
            raise StanzaError(StanzaCondition.SERVICE_UNAVAILABLE)
        if node:
            raise StanzaError(StanzaCondition.ITEM_NOT_FOUND)
        identity = ("conference", "text", room.config.name or room.local)
        features = {*SERVICE_FEATURES, *self._service.host.accountNamespaces, *roomFeatures(room)}
        features |= {ns.DISCO_INFO, ns.DISCO_ITEMS, ns.COMMANDS, MODERATION_NS, HATS_NS, VOICE}
        if self._service.archive is not None and room.config.logging:
            features.update(self._service.archive.namespaces)
        if self._service.options.registration != "closed":
            features.add(ns.REGISTER)
        return DiscoInfo((identity,), tuple(sorted(features)), (roomInfo(room),)).toElement(node)

    def _ownNick(self, query: Query) -> Element:
        """The nickname the sender has registered (section 7.12)."""
        nick = query.room.nicks.get(query.sender.bare)
        identities = (("conference", "text", nick),) if nick is not None else ()
        return DiscoInfo(identities, ()).toElement(OWN_NICK)

    def items(self, query: Query) -> Element:
        """Who is in a room isn't told (section 6.5); which commands there are, to those who may use them."""
        node, room = query.payload.get("node"), query.room
        if node == ns.COMMANDS:
            commands = self._offered(room, query.sender)
            items = (DiscoItem(room.jid, command.title, command.node).toElement() for command in commands)
            return Element("query", ns.DISCO_ITEMS, {"node": node}, tuple(items))
        return Element("query", ns.DISCO_ITEMS, {} if node is None else {"node": node})

    def _offered(self, room: Room, sender: JID) -> list[Command]:
        """The commands that somebody may use: those about hats are for owners, but for their list."""
        affiliation, role = room.standing(sender.bare, sender.full)
        reads = self._service.mayRead(room.jid, sender) is None
        offered = []
        for command in self._service.host.inboxCommands.values():
            if command.node == f"{HAT_COMMANDS}:list":
                may = reads or affiliation is Affiliation.OWNER
            elif command.node.startswith(f"{HAT_COMMANDS}:"):
                may = affiliation is Affiliation.OWNER
            else:
                may = role is Role.MODERATOR
            if may:
                offered.append(command)
        return offered

    def listing(self, request: Request) -> Element:
        """The public rooms, in pages (section 6.3, XEP-0059)."""
        rooms = self._service.rooms
        public = sorted(name for name, room in rooms.items() if room.config.public and not room.locked)
        wish = request.payload.find("set", ns.RESULT_SET)
        start, end = _page(public, wish, "@" + self._service.host.domain)
        page = public[start:end]
        items = [DiscoItem(rooms[name].jid, rooms[name].config.name or name).toElement() for name in page]
        if wish is not None or len(page) < len(public):
            items.append(self._set(page, start, len(public)))
        return Element("query", ns.DISCO_ITEMS, {}, tuple(items))

    def _set(self, page: list[str], start: int, count: int) -> Element:
        """Where a page stands in the whole (XEP-0059 section 2.1)."""

        def element(name: str, text: str, attrs: dict[str, str] | None = None) -> Element:
            return Element(name, ns.RESULT_SET, attrs or {}, (text,))

        children = [element("count", str(count))]
        if page:
            first, last = self._service.rooms[page[0]].jid, self._service.rooms[page[-1]].jid
            children = [element("first", first, {"index": str(start)}), element("last", last), *children]
        return Element("set", ns.RESULT_SET, {}, tuple(children))


def _page(names: list[str], wish: Element | None, at: str) -> tuple[int, int]:
    """
    Where a page begins and ends. The order of names tells where one stood that is gone (XEP-0059 section 2.4).

    @param at: what follows a name in a JID.
    @raise StanzaError: bad-request.
    """
    if wish is None:
        return 0, PAGE
    most = min(_number(wish, "max", PAGE), PAGE)
    after, before, index = wish.find("after"), wish.find("before"), wish.find("index")
    if before is not None:
        end = bisect_left(names, before.text.removesuffix(at)) if before.text else len(names)
        return max(0, end - most), end
    if after is not None:
        start = bisect_right(names, after.text.removesuffix(at))
    else:
        start = _number(wish, "index", 0) if index is not None else 0
    return start, start + most


def _number(wish: Element, name: str, default: int) -> int:
    text = wish.textOf(name)
    if text is None:
        return default
    if not (text.isascii() and text.isdigit()) or len(text) > 9:
        raise StanzaError(StanzaCondition.BAD_REQUEST, f"{name} is a number.")
    return int(text)


def mayKnow(room: Room, bare: str) -> bool:
    """Whether somebody may know that there is a room: one that waits for its configuration is its owner's secret."""
    return not room.locked or room.affiliationOf(bare) is Affiliation.OWNER
