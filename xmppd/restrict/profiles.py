"""
The profiles of restrictions on guests, and what is in force on a host (XEP-0175 section 2).

A profile is a L{GuestConfig} without gaps. What a host's configuration says takes its place value by value; with
C{[limits] enabled = false} the paces give way to 0. L{review} compares what is in force with the profile and says of
each difference whether it relaxes or tightens, and what a relaxation risks.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

from xmppd.config import SERVICES, Configuration, ConfigurationError, HostConfig
from xmppd.guesting import GUEST_PACES, GuestConfig
from xmppd.readers import Problem, snake, suggestion

PUBLIC: Final = GuestConfig(
    serverResource=True,
    remote=False,
    services=("*",),
    users=("*",),
    stanzasPerSecond=10,
    burstStanzas=60,
    bytesPerSecond=10_000,
    burstBytes=65_536,
    stanzaBytes=16_384,
    recipientsPerMinute=20,
    refusalsPerMinute=120,
    addressStanzasPerSecond=60,
    addressBytesPerSecond=60_000,
    addressRecipientsPerMinute=60,
    guestsPerAddress=20,
    guestsMax=2000,
    resources=2,
    rooms=5,
    bytestreams=0,
    lifetimeSeconds=43_200,
    warningSeconds=300,
    storage=("private", "vcard", "roster", "pubsub", "registration", "block"),
    storageBytes=131_072,
    waitingBytes=131_072,
    banHours=168,
    moderatorBanHours=24,
)
"""Anybody on the Internet may come: nothing is free of a bound, and nothing leaves the server."""

PRIVATE: Final = GuestConfig(
    serverResource=False,
    remote=False,
    services=("*",),
    users=("*",),
    stanzasPerSecond=30,
    burstStanzas=200,
    bytesPerSecond=100_000,
    burstBytes=262_144,
    stanzaBytes=65_536,
    recipientsPerMinute=60,
    refusalsPerMinute=300,
    addressStanzasPerSecond=600,
    addressBytesPerSecond=1_000_000,
    addressRecipientsPerMinute=600,
    guestsPerAddress=200,
    guestsMax=5000,
    resources=5,
    rooms=20,
    bytestreams=2,
    lifetimeSeconds=86_400,
    warningSeconds=300,
    storage=("private", "vcard", "roster", "pubsub", "registration", "block", "upload"),
    storageBytes=10_485_760,
    waitingBytes=1_048_576,
    banHours=168,
    moderatorBanHours=24,
)
"""A company's or a helpline's server: many guests share an address, and are mostly who they should be."""

SPECIALIZED: Final = GuestConfig(
    serverResource=False,
    remote=False,
    services=("*",),
    users=("*",),
    stanzasPerSecond=100,
    burstStanzas=500,
    bytesPerSecond=1_048_576,
    burstBytes=1_048_576,
    stanzaBytes=262_144,
    recipientsPerMinute=300,
    refusalsPerMinute=1000,
    addressStanzasPerSecond=0,
    addressBytesPerSecond=0,
    addressRecipientsPerMinute=0,
    guestsPerAddress=0,
    guestsMax=10_000,
    resources=10,
    rooms=100,
    bytestreams=10,
    lifetimeSeconds=0,
    warningSeconds=300,
    storage=("*",),
    storageBytes=104_857_600,
    waitingBytes=4_194_304,
    banHours=168,
    moderatorBanHours=0,
)
"""Games, web sites for members, programs: something else decides who gets here."""

PROFILES: Final[Mapping[str, GuestConfig]] = MappingProxyType(
    {"public": PUBLIC, "private": PRIVATE, "specialized": SPECIALIZED}
)
"""The profiles by the names that C{guests} has in the configuration."""

NAMES: Final = tuple(each.name for each in dataclasses.fields(GuestConfig))


@dataclass(frozen=True, slots=True)
class Restriction:
    """
    What there is to know of one value.

    @ivar about: what it bounds, for a list.
    @ivar risk: a sentence about what is risked by relaxing it.
    @ivar unbounded: a value that stands for no bound at all, or None.
    """

    about: str
    risk: str
    unbounded: int | None = None


_FLOOD = "One guest can take more of this server's time, and others wait longer."

RESTRICTIONS: Final[Mapping[str, Restriction]] = MappingProxyType({
    "serverResource": Restriction(
        "the server makes up resources",
        "A guest can choose a resource that looks like somebody else's, or carries a message by itself.",
    ),
    "remote": Restriction(
        "talk to other servers",
        "Strangers can send spam to other servers in your domain's name, which may get the domain blocked, and be "
        "reached by strangers themselves.",
    ),
    "services": Restriction(
        "services in reach", "Strangers can use, and misuse, rooms and services that were not meant for them."
    ),
    "users": Restriction("users in reach", "Users who did not ask for it can be addressed by strangers."),
    "stanzasPerSecond": Restriction("stanzas a second", _FLOOD, 0),
    "burstStanzas": Restriction("stanzas at once", _FLOOD),
    "bytesPerSecond": Restriction("octets a second", _FLOOD, 0),
    "burstBytes": Restriction("octets at once", _FLOOD),
    "stanzaBytes": Restriction(
        "octets of a stanza", "What a guest says to a room is multiplied by its occupants: large stanzas amplify."
    ),
    "recipientsPerMinute": Restriction(
        "recipients a minute", "A guest can send spam to more people before anybody notices.", 0
    ),
    "refusalsPerMinute": Restriction(
        "refusals a minute until the session ends", "A guest who floods stays connected and costs an answer each time.",
        0,
    ),
    "addressStanzasPerSecond": Restriction(
        "stanzas a second of one address", "Somebody can flood the server with many guests at once.", 0
    ),
    "addressBytesPerSecond": Restriction(
        "octets a second of one address", "Somebody can flood the server with many guests at once.", 0
    ),
    "addressRecipientsPerMinute": Restriction(
        "recipients a minute of one address", "Somebody can spread spam over many guests.", 0
    ),
    "guestsPerAddress": Restriction(
        "guests of one address", "Somebody can come as a crowd: fill rooms, outvote, use up the guests there may be.", 0
    ),
    "guestsMax": Restriction("guests at a time", "Guests can use up the memory that users with accounts need."),
    "resources": Restriction("sessions of a guest", "One guest can hold more memory and connections."),
    "rooms": Restriction("rooms at a time", "A guest can flood or watch many rooms at once."),
    "bytestreams": Restriction(
        "bytestreams at a time", "Strangers can pass files through your server, at the cost of your bandwidth."
    ),
    "lifetimeSeconds": Restriction(
        "seconds of a session", "Sessions that nobody uses any more stay, with all that they hold.", 0
    ),
    "warningSeconds": Restriction("seconds of warning", "Users of guests' sessions are told later, or not at all."),
    "storage": Restriction("what may be stored", "Strangers can keep things on your server."),
    "storageBytes": Restriction("octets stored by a guest", "Strangers can fill your disk for a while."),
    "waitingBytes": Restriction(
        "octets that wait for a client", "Guests who don't read, or are away, can hold more of your memory."
    ),
    "banHours": Restriction("hours of a ban", "Who was banned is back sooner."),
    "moderatorBanHours": Restriction(
        "hours of a moderator's ban", "Whoever moderates a room can shut guests out of the whole server for longer."
    ),
})
"""All of them, by field of L{GuestConfig}."""


def inForce(config: HostConfig, paces: bool = True) -> GuestConfig:
    """
    What is in force on a host whose C{guests} names a profile.

    @param paces: whether limits of pace hold at all.
    @raise ConfigurationError: two values contradict each other.
    """
    profile, said = PROFILES[config.guests], config.guest
    values: dict[str, Any] = {
        name: getattr(profile, name) if getattr(said, name) is None else getattr(said, name) for name in NAMES
    }
    if values["burstBytes"] < values["stanzaBytes"]:
        place = f'host."{config.domain}".guest.burst_bytes'
        wrong = f"it is less than stanza_bytes ({values['stanzaBytes']}): such a stanza could never pass"
        raise ConfigurationError([Problem("", place, wrong, "raise it, or lower stanza_bytes")])
    if not paces:
        values.update(dict.fromkeys(GUEST_PACES, 0))
    return GuestConfig(**values)


def check(configuration: Configuration) -> None:
    """
    Look at what all hosts say of their guests.

    @raise ConfigurationError: values contradict each other, or name services and users there can't be.
    """
    problems: list[Problem] = []
    file = str(configuration.file)
    services = [domain for table in SERVICES for domain in getattr(configuration, table)]
    services += configuration.components
    for domain, host in configuration.hosts.items():
        if host.guests == "off":
            continue
        place = f'host."{domain}".guest'
        try:
            inForce(host)
        except ConfigurationError as error:
            problems += [dataclasses.replace(each, file=file) for each in error.problems]
        for name in host.guest.services or ():
            if name not in (*services, "*"):
                wrong = f"there is no service {name}{suggestion(name, services)}"
                problems.append(Problem(file, f"{place}.services", wrong, "add its table, or remove it here"))
        for user in host.guest.users or ():
            there = user.rpartition("@")[2]
            if user != "*" and there not in configuration.hosts:
                wrong = f"{there} is no domain of users here{suggestion(there, configuration.hosts)}"
                problems.append(Problem(file, f"{place}.users", wrong, "name users of this server"))
    if problems:
        raise ConfigurationError(problems)


@dataclass(frozen=True, slots=True)
class Verdict:
    """
    One value in comparison with the profile's.

    @ivar key: as it is written in the configuration.
    @ivar about: what it bounds.
    @ivar value: what is in force.
    @ivar usual: what the profile has.
    @ivar change: "relaxed", "tightened", or empty if they are the same.
    @ivar risk: what a relaxation risks, or empty.
    """

    key: str
    about: str
    value: Any
    usual: Any
    change: str = ""
    risk: str = ""


def review(config: HostConfig, paces: bool = True) -> Iterator[Verdict]:
    """Everything that is in force on a host with guests, compared with its profile. Parameters as L{inForce}."""
    profile, values = PROFILES[config.guests], inForce(config, paces)
    for name in NAMES:
        value, usual, restriction = getattr(values, name), getattr(profile, name), RESTRICTIONS[name]
        change = ""
        if value != usual:
            change = "relaxed" if freer(name, value, usual) else "tightened"
        risk = restriction.risk if change == "relaxed" else ""
        yield Verdict(snake(name), restriction.about, value, usual, change, risk)


def freer(name: str, value: Any, usual: Any) -> bool:
    """Whether a value lets guests do something that another one doesn't."""
    return _FREER.get(name, _larger)(_measured(name, value), _measured(name, usual))


def _measured(name: str, value: Any) -> Any:
    """A value in which no bound is larger than every bound."""
    unbounded = RESTRICTIONS[name].unbounded
    return float("inf") if unbounded is not None and value == unbounded else value


def _larger(value: Any, usual: Any) -> bool:
    return bool(value > usual)


def _smaller(value: Any, usual: Any) -> bool:
    return bool(value < usual)


def _more(value: tuple[str, ...], usual: tuple[str, ...]) -> bool:
    """Whether a list has something that another one lacks."""
    return "*" not in usual and ("*" in value or not set(value) <= set(usual))


_FREER: Final[Mapping[str, Callable[[Any, Any], bool]]] = MappingProxyType({
    "serverResource": _smaller,
    "warningSeconds": _smaller,
    "banHours": _smaller,
    "services": _more,
    "users": _more,
    "storage": _more,
})
"""How to compare what is not freer the larger it is."""
