"""
Hats (XEP-0317): titles that the owners of a room make and give to users, which everybody sees in their presence.

Theory of operation: a room has a list of hats by URI, and knows by bare JID who wears which. What that means for
presence is encoded when it changes, once for each wearer. Owners change both by ad-hoc commands: first it is stored,
then those who wear a changed hat are shown again, as many in a turn of the reactor as isn't too much for it. The
numbers of hats, of wearers, and of hats of one wearer, and the length of everything in them have bounds, since all of
it stands in each presence.

Left out: C{xml:lang} of titles, and elements inside of hats, for which the commands have no fields.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from typing import TYPE_CHECKING, Final

from xmppd.features.xep0045_muc.affiliations import Affiliation
from xmppd.hooks import Command, CommandAnswer, CommandForm, CommandResult
from xmppd.ixmppd import Request
from xmppd.wire import forms, ns
from xmppd.wire.element import Element, escapeAttribute
from xmppd.wire.errors import StanzaCondition, StanzaError
from xmppd.wire.jid import parse

if TYPE_CHECKING:
    from xmppd.features.xep0045_muc.occupants import Occupant
    from xmppd.features.xep0045_muc.rooms import Room
    from xmppd.features.xep0045_muc.service import Service

HATS_NS: Final = "urn:xmpp:hats:0"
COMMANDS: Final = "urn:xmpp:hats:commands"
"""The FORM_TYPE of all forms, and what the nodes of the commands begin with (section 3.8)."""

URI: Final = "hats#uri"
TITLE: Final = "hats#title"
HUE: Final = "hats#hue"
USER: Final = "hats#jid"
HASH: Final = "hats#hash"

MOST: Final = 50
"""How many hats a room has."""

MOST_EACH: Final = 8
"""How many hats one user wears."""

WEARERS: Final = 500
"""How many users of a room wear hats."""

JOINER: Final = "\u200d"
"""What makes one picture of several emoji; the only character in titles that isn't printed."""

LONGEST_URI: Final = 512
LONGEST_TITLE: Final = 128
"""Octets."""

CHANGED: Final = 104

_URI: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:[^\s<>\"\\^`{|}\x00-\x20\x7f-\x9f]+")
_HUE: Final = re.compile(r"[0-9]{1,3}(\.[0-9]{1,12})?")

Wearers = Mapping[str, tuple[str, ...]]
"""URIs of hats by the bare JID of who wears them."""


@dataclass(frozen=True, slots=True)
class Hat:
    """
    One hat.

    @ivar uri: what it is known by.
    @ivar title: for people.
    @ivar hue: the angle of its colour in degrees, as text; or empty.
    """

    uri: str
    title: str
    hue: str = ""


def badge(hats: Iterable[Hat]) -> bytes:
    """What presence of a wearer has (section 3.1)."""
    inner = "".join(
        f"<hat title='{escapeAttribute(hat.title)}' uri='{escapeAttribute(hat.uri)}'"
        + (f" hue='{hat.hue}'/>" if hat.hue else "/>")
        for hat in hats
    )
    return f"<hats xmlns='{HATS_NS}'>{inner}</hats>".encode()


def hashOf(hats: Iterable[str]) -> str:
    """What tells whether a client's list of hats is the current one (section 2)."""
    return sha256("\n".join(sorted(hats)).encode()).hexdigest()[:40]


def toBytes(hats: Iterable[Hat]) -> bytes:
    """A list of hats for the store."""
    return json.dumps([[hat.uri, hat.title, hat.hue] for hat in hats]).encode()


def fromBytes(data: bytes) -> dict[str, Hat]:
    """
    What L{toBytes} wrote.

    @raise ValueError: it is nothing of the kind.
    """
    found = json.loads(data)
    if not isinstance(found, list):
        raise ValueError("a list of hats is a JSON array")
    hats = [_checked(*each) if isinstance(each, list) and len(each) == 3 else None for each in found]
    if None in hats or len(hats) > MOST:
        raise ValueError("these are no hats")
    return {hat.uri: hat for hat in hats if hat is not None}


def _checked(uri: object, title: object, hue: object) -> Hat | None:
    """A hat, unless it can't be one."""
    if not (isinstance(uri, str) and isinstance(title, str) and isinstance(hue, str)):
        return None
    if not _URI.fullmatch(uri) or len(uri.encode()) > LONGEST_URI:
        return None
    shown = title.replace(JOINER, "")
    if not shown.strip() or not shown.isprintable() or len(title.encode()) > LONGEST_TITLE:
        return None
    if hue and (not _HUE.fullmatch(hue) or float(hue) > 360):
        return None
    return Hat(uri, title, hue)


def _refuse(condition: StanzaCondition, text: str) -> StanzaError:
    return StanzaError(condition, text)


def _hatFrom(given: forms.Values) -> Hat:
    """
    The hat that is to be made.

    @raise StanzaError: bad-request: it can't be one.
    """
    uri, title = (forms.first(given, URI) or "").strip(), (forms.first(given, TITLE) or "").strip()
    hat = _checked(uri, title, (forms.first(given, HUE) or "").strip())
    if hat is None:
        text = (
            f"A hat has a URI ({LONGEST_URI} octets), a title ({LONGEST_TITLE} octets), and perhaps a hue (0 to 360)."
        )
        raise _refuse(StanzaCondition.BAD_REQUEST, text)
    return hat


def _uriFrom(given: forms.Values, room: Room) -> str:
    """
    The hat that is meant; a form of the specification calls the field C{hat}.

    @raise StanzaError: item-not-found.
    """
    uri = (forms.first(given, URI) or forms.first(given, "hat") or "").strip()
    if uri not in room.hats:
        raise _refuse(StanzaCondition.ITEM_NOT_FOUND, "There is no such hat.")
    return uri


def _userFrom(given: forms.Values) -> str:
    text = forms.first(given, USER)
    if text is None:
        raise _refuse(StanzaCondition.BAD_REQUEST, "Say who it is about.")
    jid = parse(text.strip())
    if jid.local is None:
        raise _refuse(StanzaCondition.BAD_REQUEST, "Only users wear hats.")
    return jid.bare


def _choice(room: Room) -> Element:
    options = [(hat.title, hat.uri) for hat in room.hats.values()]
    return forms.field(URI, type="list-single", label="The hat", required=True, options=options)


def _creating(room: Room) -> Element:
    return forms.form(
        "form",
        forms.field(TITLE, type="text-single", label="Hat Title", required=True),
        forms.field(URI, type="text-single", label="Hat URI", required=True),
        forms.field(HUE, type="text-single", label="Hat Hue"),
        formType=COMMANDS,
        title="Creating a Hat",
        instructions="Fill out this form to create a hat, or to change the one that has this URI.",
    )


def _destroying(room: Room) -> Element:
    text = "Fill out this form to destroy a hat. Nobody will wear it any more."
    return forms.form("form", _choice(room), formType=COMMANDS, title="Destroying a Hat", instructions=text)


def _giving(title: str, room: Room) -> Element:
    user = forms.field(USER, type="jid-single", label="User Address", required=True)
    return forms.form("form", user, _choice(room), formType=COMMANDS, title=title)


def _table(title: str, columns: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> Element:
    """A result with rows (XEP-0004 section 3.4)."""
    reported = Element("reported", ns.DATA_FORMS, {}, tuple(forms.field(var) for var in columns))
    items = [
        Element("item", ns.DATA_FORMS, {}, tuple(forms.field(*pair) for pair in zip(columns, row, strict=True)))
        for row in rows
    ]
    return forms.form("result", reported, *items, formType=COMMANDS, title=title)


Edit = Callable[["dict[str, Hat]", "dict[str, tuple[str, ...]]"], None]
"""Changes hats and wearers in place; raises StanzaError."""


class Hats:
    """The commands about hats for all rooms of a service."""

    def __init__(self, service: Service) -> None:
        self._service = service

    def commands(self) -> list[Command]:
        """All of them (sections 3.2 to 3.7)."""
        execute = {
            "create": ("Create or change a hat", self.create),
            "destroy": ("Destroy a hat", self.destroy),
            "list": ("List hats", self.list),
            "assign": ("Assign a hat", self.assign),
            "unassign": ("Remove a hat", self.unassign),
            "list-assigned": ("List assigned hats", self.listAssigned),
        }
        return [Command(f"{COMMANDS}:{name}", title, each, admin=False) for name, (title, each) in execute.items()]

    # --- who may, and what is asked

    def _room(self, request: Request) -> Room:
        return self._service.roomOf(request.target.bare)

    def _owned(self, request: Request) -> Room:
        """The room, for one of its owners."""
        room = self._room(request)
        if room.affiliationOf(request.sender.bare) is not Affiliation.OWNER:
            raise _refuse(StanzaCondition.FORBIDDEN, "Only owners may do that.")
        return room

    def _given(self, request: Request, values: forms.Values | None) -> forms.Values | None:
        """What is submitted, be it with the first request (section 3.3); None: the form is asked for."""
        form = forms.formIn(request.payload) if values is None else None
        given = forms.values(form) if form is not None and form.get("type") == "submit" else values
        if given is not None and forms.first(given, forms.FORM_TYPE) not in (None, COMMANDS):
            raise _refuse(StanzaCondition.BAD_REQUEST, "That form is not about hats.")
        return given

    # --- what owners do

    async def create(self, request: Request, values: forms.Values | None) -> CommandAnswer:
        """Make a hat, or change it (section 3.2)."""
        room, given = self._owned(request), self._given(request, values)
        if given is None:
            return CommandForm(_creating(room))
        hat = _hatFrom(given)

        def edit(hats: dict[str, Hat], wearers: dict[str, tuple[str, ...]]) -> None:
            hats[hat.uri] = hat
            if len(hats) > MOST:
                raise _refuse(StanzaCondition.RESOURCE_CONSTRAINT, f"A room has at most {MOST} hats.")

        await self._change(room, edit)
        return CommandResult()

    async def destroy(self, request: Request, values: forms.Values | None) -> CommandAnswer:
        """Take a hat away from everybody (section 3.3)."""
        room, given = self._owned(request), self._given(request, values)
        if given is None:
            return CommandForm(_destroying(room))
        uri = _uriFrom(given, room)

        def edit(hats: dict[str, Hat], wearers: dict[str, tuple[str, ...]]) -> None:
            hats.pop(uri, None)
            for bare in [bare for bare, worn in wearers.items() if uri in worn]:
                _doff(wearers, bare, uri)

        await self._change(room, edit)
        return CommandResult()

    async def assign(self, request: Request, values: forms.Values | None) -> CommandAnswer:
        """Give somebody a hat (section 3.5)."""
        room, given = self._owned(request), self._given(request, values)
        if given is None:
            return CommandForm(_giving("Assigning a Hat", room))
        bare, uri = _userFrom(given), _uriFrom(given, room)

        def edit(hats: dict[str, Hat], wearers: dict[str, tuple[str, ...]]) -> None:
            if uri not in hats:
                raise _refuse(StanzaCondition.ITEM_NOT_FOUND, "There is no such hat.")
            worn = wearers.get(bare, ())
            wearers[bare] = worn if uri in worn else (*worn, uri)
            if len(wearers[bare]) > MOST_EACH or len(wearers) > WEARERS:
                text = f"A user wears at most {MOST_EACH} hats, and {WEARERS} users of a room."
                raise _refuse(StanzaCondition.RESOURCE_CONSTRAINT, text)

        await self._change(room, edit)
        return CommandResult()

    async def unassign(self, request: Request, values: forms.Values | None) -> CommandAnswer:
        """Take a hat from somebody (section 3.6)."""
        room, given = self._owned(request), self._given(request, values)
        if given is None:
            return CommandForm(_giving("Removing a Hat", room))
        bare, uri = _userFrom(given), _uriFrom(given, room)

        def edit(hats: dict[str, Hat], wearers: dict[str, tuple[str, ...]]) -> None:
            if uri not in wearers.get(bare, ()):
                raise _refuse(StanzaCondition.ITEM_NOT_FOUND, "That user doesn't wear that hat.")
            _doff(wearers, bare, uri)

        await self._change(room, edit)
        return CommandResult()

    async def _change(self, room: Room, edit: Edit) -> None:
        """Check, store, let it take effect, and tell everybody."""
        service = self._service
        async with service.changing(room):
            hats, wearers = dict(room.hats), dict(room.wearers)
            edit(hats, wearers)
            await service.storage.saveHats(room, hats, wearers)
            room.goOn()
            listed = hats != room.hats
            telling: list[Callable[[], None]] = [
                partial(self._announce, room, occupant) for occupant in room.dress(hats, wearers)
            ]
        if listed:
            telling.append(partial(room.notice, (CHANGED,)))
        service.tellInTurns(room, telling)

    def _announce(self, room: Room, occupant: Occupant) -> None:
        if room.isIn(occupant):
            room.announce(occupant)

    # --- what others may ask

    def list(self, request: Request, values: forms.Values | None) -> CommandAnswer:
        """
        All hats (section 3.4), for those who may read what is said in the room.

        @raise StanzaError: forbidden.
        """
        room = self._room(request)
        refusal = self._service.mayRead(room.jid, request.sender)
        if refusal is not None and room.affiliationOf(request.sender.bare) is not Affiliation.OWNER:
            raise refusal
        rows = ((hat.title, hat.uri, hat.hue) for hat in room.hats.values())
        return CommandResult(_table("Hats List", (TITLE, URI, HUE), rows))

    def listAssigned(self, request: Request, values: forms.Values | None) -> CommandAnswer:
        """Who wears what (section 3.7); that names users, so it is for owners."""
        room = self._owned(request)
        worn = ((bare, room.hats[uri]) for bare, uris in room.wearers.items() for uri in uris)
        rows = ((bare, hat.uri, hat.title, hat.hue) for bare, hat in worn)
        return CommandResult(_table("Assigned Hats List", (USER, URI, TITLE, HUE), rows))


def _doff(wearers: dict[str, tuple[str, ...]], bare: str, uri: str) -> None:
    """Somebody doesn't wear a hat any more."""
    left = tuple(each for each in wearers.get(bare, ()) if each != uri)
    if left:
        wearers[bare] = left
    else:
        wearers.pop(bare, None)
