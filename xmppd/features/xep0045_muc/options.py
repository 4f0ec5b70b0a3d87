"""
What an administrator can set for a service of rooms: the keys of its table.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from xmppd.features.xep0045_muc.affiliations import Role
from xmppd.features.xep0045_muc.config import RoomConfig
from xmppd.hooks import Option

HISTORY_MOST = 1000


def atLeast(least: int, most: int = 10**9) -> Callable[[Any], str | None]:
    """A check of numbers."""
    return lambda value: None if least <= value <= most else f"{value} is not from {least} to {most}"


def oneOf(*words: str) -> Callable[[Any], str | None]:
    """A check of words."""
    return lambda value: None if value in words else f"{value!r} is none of {', '.join(words)}"


OPTIONS: Mapping[str, Option] = {
    "name": Option("Chat rooms", "The name of the service, for people."),
    "create": Option(
        "accounts",
        'Who may make rooms: "everyone", "accounts" (users of this server who have an account), or "admins".',
        oneOf("everyone", "accounts", "admins"),
    ),
    "guests_create": Option(False, 'Whether guests may make rooms where "everyone" may.'),
    "guest_role": Option(
        "participant",
        'What guests are in a room that is not moderated: "participant", or "visitor", who only listens.',
        oneOf("participant", "visitor"),
    ),
    "registration": Option(
        "open",
        'Who may become a member by registering with a room: "open" (everybody, but a members-only room\'s admins'
        ' approve), "approval" (admins approve always), "closed" (nobody).',
        oneOf("open", "approval", "closed"),
    ),
    "guests_register": Option(
        False, "Whether guests may register with rooms; what they have registered goes when they go."
    ),
    "lock_nicks": Option(False, "Whether members have to use the nickname they have registered."),
    "rooms_max": Option(10000, "Most rooms of the service.", atLeast(1)),
    "rooms_per_user": Option(50, "Most rooms one user can have made, unless an administrator.", atLeast(1)),
    "occupants_max": Option(1000, "Most clients in one room.", atLeast(2)),
    "affiliations_max": Option(2000, "Most owners, admins, members and outcasts of one room.", atLeast(10)),
    "nick_octets": Option(128, "The longest nickname.", atLeast(1, 1023)),
    "message_octets": Option(65536, "The largest message.", atLeast(1000)),
    "presence_octets": Option(8192, "The largest presence.", atLeast(500)),
    "presence_per_minute": Option(
        60, "How often a user may enter a room, change nickname or presence in it in a minute; 0: no limit.", atLeast(0)
    ),
    "history_messages": Option(50, "Most messages of history a room keeps in memory.", atLeast(0, HISTORY_MOST)),
    "history_octets": Option(262144, "Most octets of it.", atLeast(0)),
    "configure_seconds": Option(600, "How long a new room waits for its configuration.", atLeast(10)),
    "public": Option(True, "Whether new rooms are listed, unless configured otherwise."),
    "persistent": Option(False, "Whether new rooms stay when the last occupant leaves."),
    "members_only": Option(False, "Whether new rooms are for members only."),
    "moderated": Option(False, "Whether new rooms are moderated."),
    "anonymous": Option(True, "Whether only moderators see real JIDs in new rooms."),
    "logging": Option(True, "Whether new rooms are archived, where there is an archive."),
}


@dataclass(frozen=True, slots=True)
class Options:
    """The values of L{OPTIONS}, and the configuration new rooms have."""

    name: str
    create: str
    guestsCreate: bool
    guestsRegister: bool
    guestRole: Role
    registration: str
    lockNicks: bool
    roomsMax: int
    roomsPerUser: int
    occupantsMax: int
    affiliationsMax: int
    nickOctets: int
    messageOctets: int
    presenceOctets: int
    presencePerMinute: int
    historyMessages: int
    historyOctets: int
    configureSeconds: int
    defaults: RoomConfig


def read(option: Callable[[str], Any]) -> Options:
    """
    The options of a host.

    @param option: the value of a key.
    """
    history = option("history_messages")
    return Options(
        name=option("name"),
        create=option("create"),
        guestsCreate=option("guests_create"),
        guestsRegister=option("guests_register"),
        guestRole=Role(option("guest_role")),
        registration=option("registration"),
        lockNicks=option("lock_nicks"),
        roomsMax=option("rooms_max"),
        roomsPerUser=option("rooms_per_user"),
        occupantsMax=option("occupants_max"),
        affiliationsMax=option("affiliations_max"),
        nickOctets=option("nick_octets"),
        messageOctets=option("message_octets"),
        presenceOctets=option("presence_octets"),
        presencePerMinute=option("presence_per_minute"),
        historyMessages=history,
        historyOctets=option("history_octets"),
        configureSeconds=option("configure_seconds"),
        defaults=RoomConfig(
            public=option("public"),
            persistent=option("persistent"),
            membersOnly=option("members_only"),
            moderated=option("moderated"),
            anonymous=option("anonymous"),
            logging=option("logging"),
            history=min(20, history),
        ),
    )
