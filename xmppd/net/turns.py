"""
Writes that leave once per turn of the reactor (hop 8).

A busy turn writes many stanzas to one connection; joined, they cost one TLS record and one system call. What a single
read has caused to be written to few connections leaves at the end of that read: there is nothing to be joined with,
and waiting for the end of the turn would only cost time.
"""

from __future__ import annotations

from typing import Any, Final, Protocol

from twisted.logger import Logger

from xmppd.ixmppd import IClock

log = Logger(namespace="xmppd.net")

FEW: Final = 4
"""Up to so many connections are written to at the end of a read; a fan-out to more waits for the end of the turn."""


class Flushable(Protocol):
    """Something that holds writes back."""

    def flush(self) -> None:
        """Let them go."""


class Turns:
    """
    Calls C{flush} of everything that was marked, once. One per process.

    @ivar reading: whether a read is being acted on, whose end will call L{endOfRead}.
    """

    __slots__ = ("_call", "_clock", "_marked", "reading")

    def __init__(self, clock: IClock) -> None:
        self._clock = clock
        self._marked: list[Flushable] = []
        self._call: Any = None
        self.reading = False

    def mark(self, connection: Flushable) -> None:
        """Flush it at the end of this read or turn; to be called once per connection."""
        self._marked.append(connection)
        if self._call is None and not self.reading:
            self._call = self._clock.callLater(0, self.run)

    def endOfRead(self) -> None:
        """What one read has caused is done."""
        self.reading = False
        marked = self._marked
        if not marked or self._call is not None:
            return
        if len(marked) <= FEW:
            self._marked = []
            self._flush(marked)
        else:
            self._call = self._clock.callLater(0, self.run)

    def run(self) -> None:
        """The end of the turn."""
        self._call = None
        marked, self._marked = self._marked, []
        self._flush(marked)

    def _flush(self, marked: list[Flushable]) -> None:
        for connection in marked:
            try:
                connection.flush()
            except Exception:
                log.failure("writing to a connection failed")
