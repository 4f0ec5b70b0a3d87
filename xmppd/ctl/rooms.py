"""
What xmppctl can ask about the chat rooms of a running server, and do to them.

Rooms belong to services, domains without users. What is done here is done with the power of an owner.
"""

from __future__ import annotations

import difflib
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from twisted.logger import Logger

from xmppd.ctl.arguments import Arguments, jidOf, textOf
from xmppd.ctl.exits import EX_DATAERR, EX_NOHOST, EX_NOUSER, EX_UNAVAILABLE
from xmppd.ctl.pages import page
from xmppd.ctl.socket import CommandError
from xmppd.ixmppd import IRooms
from xmppd.wire.element import writable
from xmppd.wire.errors import StanzaCondition, StanzaError
from xmppd.wire.jid import JID

if TYPE_CHECKING:
    from xmppd.tap import Server

log = Logger(namespace="xmppd.control")

AFFILIATIONS = ("owner", "admin", "member", "none", "outcast")
"""The affiliations there are (XEP-0045 section 5.2)."""

ROOM = "cave@rooms.example.org"
"""The address of a room, for an example."""


class RoomCommands:
    """
    The commands about rooms.

    @ivar commands: them, by name.
    """

    def __init__(self, server: Server) -> None:
        self._server = server
        self.commands: Mapping[str, Callable[[Arguments], Awaitable[Any]]] = {
            "room list": self.list,
            "room info": self.info,
            "room destroy": self.destroy,
            "room affiliation": self.affiliation,
        }

    def _services(self) -> dict[str, IRooms]:
        """
        The rooms of all services that have any, by domain.

        @raise CommandError: no service has.
        """
        hosts = self._server.serviceHosts.values()
        found = {host.domain: host.rooms for host in hosts if host.rooms is not None}
        if not found:
            first = next(iter(self._server.hosts), "example.org")
            remedy = f'add a table [rooms."rooms.{first}"] to {self._server.config.file} and restart'
            raise CommandError(EX_UNAVAILABLE, f"no chat rooms are configured; {remedy}")
        return found

    def _service(self, domain: str) -> IRooms:
        """
        The rooms of a service.

        @raise CommandError: it has none.
        """
        services = self._services()
        if domain not in services:
            raise CommandError(EX_NOHOST, f"{domain} has no chat rooms; these have: {', '.join(services)}")
        return services[domain]

    def _room(self, arguments: Arguments) -> tuple[IRooms, Mapping[str, Any]]:
        """
        The service and the room that the argument C{room} means.

        @raise CommandError: there is none.
        """
        jid = jidOf(arguments, "room", ROOM)
        rooms = self._service(jid.domain)
        if jid.local is None or jid.resource is not None:
            raise CommandError(EX_DATAERR, f"{jid.full} is no room; write ROOM@{jid.domain}")
        found = rooms.info(jid.bare)
        if found is None:
            raise noRoom(jid.bare)
        return rooms, found

    async def list(self, arguments: Arguments) -> dict[str, Any]:
        """A page of the rooms of the service C{service}, or of all services."""
        if "service" in arguments:
            services: Iterable[IRooms] = [self._service(jidOf(arguments, "service", ROOM.partition("@")[2]).full)]
        else:
            services = self._services().values()
        found = [(name, rooms) for rooms in services for name in rooms.names()]
        return page(found, textOf(arguments, "after", ""), lambda name, rooms: summary(rooms.info(name) or {}))

    async def info(self, arguments: Arguments) -> dict[str, Any]:
        """All there is to know about the room C{room}, but its password."""
        return dict(self._room(arguments)[1])

    async def destroy(self, arguments: Arguments) -> dict[str, Any]:
        """End the room C{room} for good; its occupants are told the C{reason}, and to go to the C{venue}."""
        rooms, found = self._room(arguments)
        jid = found["jid"]
        venue = jidOf(arguments, "venue", ROOM).bare if "venue" in arguments else None
        if venue == jid:
            raise CommandError(EX_DATAERR, f"{jid} can't be the venue in place of itself; name another room")
        reason = writable(textOf(arguments, "reason")) if "reason" in arguments else None
        await inRoom(rooms.destroy(jid, venue, reason), jid)
        log.info("xmppctl destroyed the room {room}", room=jid)
        return {"jid": jid, "occupants": found["occupants"], "venue": venue}

    async def affiliation(self, arguments: Arguments) -> dict[str, Any]:
        """The affiliation of C{jid} with the room C{room}; set first, if C{affiliation} says so."""
        rooms, found = self._room(arguments)
        room, jid = found["jid"], jidOf(arguments)
        if jid.resource is not None:
            raise CommandError(EX_DATAERR, f"affiliations are not for one resource; write {jid.bare}")
        before = standing(found["affiliations"], jid)
        now = affiliationOf(arguments) if "affiliation" in arguments else before
        if "affiliation" in arguments:
            await inRoom(rooms.setAffiliation(room, jid.bare, now), room)
            log.info("xmppctl made {jid} {affiliation} in {room}", jid=jid.bare, affiliation=now, room=room)
        owner = self._server.serviceHosts[found["jid"].rpartition("@")[2]].isAdmin(jid)
        return {"room": room, "jid": jid.bare, "affiliation": now, "before": before, "administrator": owner}


def summary(info: Mapping[str, Any]) -> dict[str, Any]:
    """A room in the list."""
    config = info["config"]
    return {
        **{key: info[key] for key in ("jid", "name", "occupants", "locked")},
        "persistent": config["persistent"],
        "public": config["public"],
        "members_only": config["membersOnly"],
        "password": config["password"],
    }


def affiliationOf(arguments: Arguments) -> str:
    """
    The argument C{affiliation}.

    @raise CommandError: it is none.
    """
    word = textOf(arguments, "affiliation")
    if word not in AFFILIATIONS:
        close = difflib.get_close_matches(word, AFFILIATIONS, 1)
        hint = f"did you mean {close[0]}?" if close else f"there are: {', '.join(AFFILIATIONS)}"
        raise CommandError(EX_DATAERR, f"{word!r} is no affiliation; {hint}")
    return word


def standing(affiliations: Mapping[str, str], jid: JID) -> str:
    """Somebody's affiliation; the ban of a domain counts for its users (XEP-0045 section 9.2)."""
    banned = affiliations.get(jid.domain) == "outcast"
    return affiliations.get(jid.bare, "outcast" if banned else "none")


def noRoom(jid: str) -> CommandError:
    """What to say of a room that isn't there."""
    return CommandError(EX_NOUSER, f"there is no room {jid}; see: xmppctl room list")


async def inRoom(acting: Awaitable[Any], room: str) -> None:
    """Act on a room, with a clear word for one that is gone meanwhile, or that can't be changed so."""
    try:
        await acting
    except StanzaError as error:
        if error.condition == StanzaCondition.ITEM_NOT_FOUND:
            raise noRoom(room) from None
        if error.condition == StanzaCondition.CONFLICT:
            line = f"{room} would have no owner; make somebody else owner first, or: xmppctl room destroy {room}"
            raise CommandError(EX_DATAERR, line) from None
        if error.condition == StanzaCondition.RESOURCE_CONSTRAINT:
            line = f"{room} has as many affiliations as it may; take some away, or raise affiliations_max and restart"
            raise CommandError(EX_DATAERR, line) from None
        raise
