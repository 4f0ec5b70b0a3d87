"""
What a room can be (XEP-0045 section 4.2), as values, and how that is written into the store.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from xmppd.features.xep0045_muc.affiliations import Role

ROLES: tuple[str, ...] = (Role.MODERATOR, Role.PARTICIPANT, Role.VISITOR)
"""The roles of occupants."""


@dataclass(frozen=True, slots=True)
class RoomConfig:
    """
    The configuration of a room.

    @ivar name: for people.
    @ivar description: for people.
    @ivar language: a language tag, or empty.
    @ivar pubsub: URI of an associated node, or empty.
    @ivar public: whether it is listed.
    @ivar persistent: whether it stays when nobody is in it.
    @ivar moderated: whether who has no affiliation needs to be given a voice.
    @ivar membersOnly: whether only members may enter.
    @ivar password: what has to be known to enter, or empty.
    @ivar anonymous: whether only moderators see real JIDs.
    @ivar maxUsers: most occupants; 0 for as many as the service allows.
    @ivar changeSubject: whether participants may change the subject.
    @ivar memberInvites: whether members may invite into a members-only room.
    @ivar privateMessages: who may send them: "anyone", "participants", "moderators", "none".
    @ivar broadcast: roles whose presence others see.
    @ivar memberList: roles that may retrieve the member list, where real JIDs are no secret.
    @ivar logging: whether what is said is archived.
    @ivar history: most messages of history that who enters gets.
    @ivar slowMode: seconds between two messages of one user (XEP-0500); 0: off.
    @ivar guestVisitors: whether guests without affiliation may only listen until they are given a voice.
    @ivar creator: bare JID of who made it.
    """

    name: str = ""
    description: str = ""
    language: str = ""
    pubsub: str = ""
    public: bool = True
    persistent: bool = False
    moderated: bool = False
    membersOnly: bool = False
    password: str = ""
    anonymous: bool = True
    maxUsers: int = 0
    changeSubject: bool = False
    memberInvites: bool = False
    privateMessages: str = "anyone"
    broadcast: tuple[str, ...] = ROLES
    memberList: tuple[str, ...] = ROLES
    logging: bool = False
    history: int = 20
    slowMode: int = 0
    guestVisitors: bool = False
    creator: str = ""

    def toBytes(self) -> bytes:
        """For the store."""
        return json.dumps(asdict(self)).encode()


def configFrom(data: bytes, defaults: RoomConfig) -> RoomConfig:
    """
    What L{RoomConfig.toBytes} wrote; what a later version doesn't know is ignored, what an earlier one didn't know has
    its default.

    @raise ValueError: it is nothing of the kind.
    """
    found = json.loads(data)
    if not isinstance(found, Mapping):
        raise ValueError("a room's configuration is a JSON object")
    values: dict[str, Any] = {}
    for field in fields(RoomConfig):
        default = getattr(defaults, field.name)
        value = found.get(field.name, default)
        if isinstance(default, tuple):
            value = tuple(value)
        if type(value) is not type(default):
            raise ValueError(f"{field.name} is no {type(default).__name__}")
        values[field.name] = value
    return RoomConfig(**values)
