"""
What of a new configuration a running server can take over, and what waits for a restart.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from xmppd.config import Configuration, HostConfig
from xmppd.net.peerpolicy import lasting
from xmppd.readers import snake

STARTING_ONLY = ("data", "listen", "web", "store", "control", "components", "rooms", "pubsub", "upload", "proxy")
"""The sections that a running server can't take over."""

HOST_STARTING_ONLY = ("accounts", "guests", "scramIterations", "contacts", "features", "disabled")
"""What of a host a running server can't take over, but that guests are no longer let in."""


@dataclass(frozen=True, slots=True)
class Reloaded:
    """
    The outcome of a reload, in lines for people.

    @ivar problems: what is wrong; it stays as it was.
    @ivar remarks: what else to know: changes that take a restart, certificates that clients won't like.
    """

    problems: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()


def running(config: Configuration, first: Configuration) -> Configuration:
    """
    A new configuration, with the old values of what can't change without a restart.

    @param first: what the server started with.
    """
    kept: dict[str, Any] = {name: getattr(first, name) for name in STARTING_ONLY}
    hosts = {domain: _runningHost(config, each) for domain, each in first.hosts.items()}
    hadTLS = first.tls.certificates is not None
    folder, days = config.tls.certificates if hadTLS else None, config.tls.expiryWarningDays
    tls = dataclasses.replace(first.tls, certificates=folder, expiryWarningDays=days)
    return dataclasses.replace(config, **kept, hosts=hosts, tls=tls)


def _runningHost(config: Configuration, first: HostConfig) -> HostConfig:
    """The same for one host."""
    wanted = config.hosts.get(first.domain, first)
    kept: dict[str, Any] = {name: getattr(first, name) for name in HOST_STARTING_ONLY}
    if wanted.guests == "off":
        kept["guests"] = "off"  # to shut a door is always possible
    return dataclasses.replace(wanted, **kept)


def waiting(wanted: Configuration, first: Configuration, hosts: Mapping[str, HostConfig]) -> list[str]:
    """
    What the file says and the server doesn't do yet, in lines for people.

    @param first: what the server started with.
    @param hosts: how its hosts are configured at the moment.
    """
    remedy = "a restart is needed for this change"
    lines = [
        f"{wanted.file}: {'component' if name == 'components' else name}: {remedy}"
        for name in STARTING_ONLY
        if getattr(wanted, name) != getattr(first, name)
        and (wanted.data == first.data or name not in ("store", "control"))  # whose defaults are in there
    ]
    for name, key in (("requireC2s", "require_c2s"), ("requireS2s", "require_s2s"), ("clientCa", "client_ca")):
        if getattr(wanted.tls, name) != getattr(first.tls, name):
            lines.append(f"{wanted.file}: tls.{key}: {remedy}")
    lines += [f"{wanted.file}: s2s.{key}: {remedy}" for key in lasting(wanted.s2s, first.s2s)]
    if (wanted.tls.certificates is None) != (first.tls.certificates is None):
        lines.append(f"{wanted.file}: tls.certificates: {remedy}")
    if (wanted.log.format, wanted.log.file) != (first.log.format, first.log.file):
        lines.append(f"{wanted.file}: log: {remedy}")
    if set(wanted.hosts) != set(first.hosts):
        lines.append(f"{wanted.file}: host: a restart is needed to add or remove a host")
    for domain in wanted.hosts.keys() & first.hosts.keys():
        lines += [
            f'{wanted.file}: host."{domain}".{snake(name)}: {remedy}'
            for name in HOST_STARTING_ONLY
            if getattr(wanted.hosts[domain], name) != getattr(hosts[domain], name)
        ]
    return lines
