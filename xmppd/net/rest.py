"""
When streams rest: soon after the last of what has come.

A stream that waits holds a parser, 10 kB of expat's, which it can do without at the price of a few microseconds for the
next stanza (L{xmppd.wire.xmlstream.XMLStreamParser.rest}). Nearly all streams wait at nearly any moment; and when many
log in one after another, as they do after a restart, the first are to have given theirs back before the last come,
since memory that was needed at once isn't given back to the system.

Only streams that something has come for lately are looked at.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from xmppd.ixmppd import IClock
    from xmppd.net.c2s import ClientConnection

REST_SECONDS: Final = 0.1
"""A stream rests when nothing has come for so long, at the latest after twice the time."""

RESTING: Final = 0
QUIET: Final = 1
STIRRED: Final = 2


class Rests:
    """
    Who is awake. One for the connections of a listener, whose C{awake} it keeps: RESTING, QUIET (nothing has come since
    the last look) or STIRRED.
    """

    __slots__ = ("_awake", "_call", "_clock")

    def __init__(self, clock: IClock) -> None:
        self._clock = clock
        self._awake: set[ClientConnection] = set()
        self._call: Any = None

    def stirred(self, connection: ClientConnection) -> None:
        """Something has come; to be called when C{connection.awake} isn't STIRRED."""
        if connection.awake == RESTING:
            self._awake.add(connection)
            if self._call is None:
                self._call = self._clock.callLater(REST_SECONDS, self._look)
        connection.awake = STIRRED

    def gone(self, connection: ClientConnection) -> None:
        """The connection is lost."""
        self._awake.discard(connection)

    def _look(self) -> None:
        """Let those rest for whom nothing has come since the last look."""
        self._call = None
        for connection in tuple(self._awake):
            if connection.awake == STIRRED:
                connection.awake = QUIET
            else:
                connection.awake = RESTING
                self._awake.discard(connection)
                connection.stream.rest()
        if self._awake:
            self._call = self._clock.callLater(REST_SECONDS, self._look)
