"""
Writes that leave once per turn of the reactor (hop 8).

A busy turn writes many stanzas to one connection; joined, they cost one TLS record and one system call.
"""

from __future__ import annotations

from typing import Any, Protocol

from twisted.logger import Logger

from xmppd.ixmppd import IClock

log = Logger(namespace="xmppd.net")


class Flushable(Protocol):
    """Something that holds writes back."""

    def flush(self) -> None:
        """Let them go."""


class Turns:
    """
    Calls C{flush} of everything that was marked, once, at the end of the turn. One per process.
    """

    __slots__ = ("_call", "_clock", "_marked")

    def __init__(self, clock: IClock) -> None:
        self._clock = clock
        self._marked: list[Flushable] = []
        self._call: Any = None

    def mark(self, connection: Flushable) -> None:
        """Flush it at the end of this turn; to be called once per turn and connection."""
        if self._call is None:
            self._call = self._clock.callLater(0, self.run)
        self._marked.append(connection)

    def run(self) -> None:
        """The end of the turn."""
        self._call = None
        marked, self._marked = self._marked, []
        for connection in marked:
            try:
                connection.flush()
            except Exception:
                log.failure("writing to a connection failed")
