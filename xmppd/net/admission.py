"""
Who may connect: connections in all, per address and per minute, and failed logins per address.

Addresses are counted by IPv4 address or IPv6 /64. The tables are bounded: an address that is not connected and has done
nothing for a minute is forgotten.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

from xmppd.ixmppd import IClock
from xmppd.wire.addresses import counted

MINUTE = 60.0

ADDRESSES = 100_000
"""How many addresses are counted per minute; beyond it new ones share one count."""


def place(counter: Counter[str], key: str) -> str:
    """Where an address is counted: by itself, or in a full table together with all others that have no place there."""
    return key if key in counter or len(counter) < ADDRESSES else ""


class Admission:
    """
    Counts connections, attempts and failures. A limit of 0 means none.

    @ivar limits: the limits of the moment; may be replaced.
    """

    def __init__(self, clock: IClock, limits: Any) -> None:
        self.limits = limits
        self._clock = clock
        self._connected: Counter[str] = Counter()
        self.connections = 0
        self._minute = 0.0
        self._attempts: Counter[str] = Counter()
        self._failures: Counter[str] = Counter()
        self._failuresBefore: Counter[str] = Counter()

    def _turnPage(self) -> None:
        """Start counting anew every minute; failures of the minute before still count, else they came double."""
        now = self._clock.seconds()
        if now - self._minute >= MINUTE:
            self._failuresBefore = self._failures if now - self._minute < 2 * MINUTE else Counter()
            self._failures = Counter()
            self._attempts = Counter()
            self._minute = now

    def _count(self, counter: Counter[str], key: str) -> int:
        key = place(counter, key)
        counter[key] += 1
        return counter[key]

    def connected(self, address: str) -> str | None:
        """A connection has come: why it may not stay, or None and it is counted until L{disconnected}."""
        self._turnPage()
        limits = self.limits
        key = counted(address)
        if self.connections >= limits.connections:
            return "too many connections"
        if limits.connectionsPerAddress and self._connected[key] >= limits.connectionsPerAddress:
            return "too many connections from this address"
        attempts = self._count(self._attempts, key)
        if limits.attemptsPerMinute and attempts > limits.attemptsPerMinute:
            return "too many connections from this address in a minute"
        self.connections += 1
        self._connected[key] += 1
        return None

    def disconnected(self, address: str) -> None:
        """A connection that was counted has gone."""
        key = counted(address)
        self.connections -= 1
        self._connected[key] -= 1
        if self._connected[key] <= 0:
            del self._connected[key]

    def mayAuthenticate(self, address: str) -> bool:
        """Whether there were few enough failed logins lately."""
        limit = self.limits.authFailuresPerMinute
        if not limit:
            return True
        self._turnPage()
        key = counted(address)
        failures = sum(counter[place(counter, key)] for counter in (self._failures, self._failuresBefore))
        return bool(failures < limit)

    def authenticationFailed(self, address: str) -> None:
        """Count a failed login."""
        self._turnPage()
        self._count(self._failures, counted(address))
