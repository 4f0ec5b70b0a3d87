"""
The port of a SOCKS5 bytestreams proxy: the adapter between the reactor and L{IBytestreams} (RFC 1928, XEP-0065).

Theory of operation. A connection says hello, then names the stream it wants to be an end of; who decides whether it may
is L{IBytestreams}. Granted connections wait until two of them are joined; until then what they send is thrown away
(XEP-0065 section 10.1), within bounds. Joined, each passes what it reads to the other. Nothing is kept in between but
what the other's transport has buffered: when that is full, reading stops until it has drained; and reading stops for as
long as a pace says. A greeting, a wait for the other side, and silence in a stream each have their time.

Only CONNECT is understood, only with a domain name that is a hash, only without authentication: no connection is ever
made to anywhere.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

from twisted.internet.interfaces import IAddress, IPushProducer
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from xmppd.ixmppd import IBytestreams, IClock, IRelayed
from xmppd.net.admission import Admission

log = Logger(namespace="xmppd.socks5")

GREETING_SECONDS: Final = 20.0
"""How long a connection may take until it has said what it wants."""

WAITING_SECONDS: Final = 120.0
"""How long it may then wait for the other side and for the activation."""

SILENCE_SECONDS: Final = 300.0
"""How long a stream may be without any octet in either direction."""

CLOSING_SECONDS: Final = 30.0
"""How long the other side may take to read the last octets."""

EARLY_BYTES: Final = 65536
"""How much may be sent before the activation; it is thrown away."""

VERSION: Final = 5
SUCCEEDED, NOT_ALLOWED, NO_SUCH_COMMAND, NO_SUCH_ADDRESS_TYPE = 0, 2, 7, 8
CONNECT: Final = 1
DOMAIN_NAME: Final = 3


@implementer(IRelayed, IPushProducer)
class Socks5Connection(Protocol):
    """
    One connection. See L{IRelayed}.
    """

    transport: Any

    def __init__(self, shared: Socks5Factory) -> None:
        self._shared = shared
        self._state: Callable[[], bool] = self._greeted
        self._buffer = b""
        self._other: Socks5Connection | None = None
        self._paces: Sequence[Any] = ()
        self._left: Callable[[], None] | None = None
        self._deadline: Any = None
        self._slowed: Any = None
        self._full = False
        self._granted = self._counted = self._gone = False
        self._early = 0
        self.address = ""

    # --- from the reactor

    def connectionMade(self) -> None:
        """See L{Protocol}."""
        self.address = getattr(self.transport.getPeer(), "host", None) or "unix"
        refusal = self._shared.admission.connected(self.address)
        if refusal is not None:
            log.info("connection refused: address={address} reason={reason}", address=self.address, reason=refusal)
            self.transport.abortConnection()
            return
        self._counted = True
        self._shared.connections.add(self)
        self._expect(GREETING_SECONDS)

    def dataReceived(self, data: bytes) -> None:
        """See L{Protocol}."""
        if self._other is not None:
            self._relay(data)
        elif self._granted:
            self._tooEarly(data)
        elif not self._gone:
            self._buffer += data
            while self._state():
                pass

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """See L{Protocol}."""
        self._gone = True
        self._cancel()
        if self._counted:
            self._counted = False
            self._shared.connections.discard(self)
            self._shared.admission.disconnected(self.address)
        other, self._other = self._other, None
        if other is not None:
            other._farewell()
        elif self._granted and self._left is None:
            self._shared.bytestreams.departed(self)
        left, self._left = self._left, None
        if left is not None:
            left()

    # --- the greeting

    def _greeted(self) -> bool:
        """Version and methods (RFC 1928 section 3)."""
        buffer = self._buffer
        if buffer[:1] not in (b"", b"\x05"):
            self.abort()
            return False
        if len(buffer) < 2 or len(buffer) < 2 + buffer[1]:
            return False
        methods = buffer[2 : 2 + buffer[1]]
        self._buffer = buffer[2 + buffer[1] :]
        if 0 not in methods:
            self._end(b"\x05\xff")
            return False
        self.transport.write(b"\x05\x00")
        self._state = self._asked
        return True

    def _asked(self) -> bool:
        """The request (section 4, XEP-0065 section 10.2)."""
        buffer = self._buffer
        if len(buffer) < 5:
            return False
        version, command, _, type, length = buffer[:5]
        if version != VERSION or type != DOMAIN_NAME or command != CONNECT:
            code = NO_SUCH_COMMAND if type == DOMAIN_NAME else NO_SUCH_ADDRESS_TYPE
            self._end(bytes([VERSION, code, 0, 1, 0, 0, 0, 0, 0, 0]))
            return False
        if len(buffer) < 5 + length + 2:
            return False
        name, port = buffer[5 : 5 + length], buffer[5 + length : 7 + length]
        early, self._buffer = buffer[7 + length :], b""
        echo = bytes([DOMAIN_NAME, length]) + name + port
        if port != b"\0\0" or not self._shared.bytestreams.arrived(self, name.decode("latin-1").lower()):
            self._end(bytes([VERSION, NOT_ALLOWED, 0]) + echo)
            return False
        self._granted = True
        self._expect(WAITING_SECONDS)
        self.transport.write(bytes([VERSION, SUCCEEDED, 0]) + echo)
        if early:
            self._tooEarly(early)
        return False

    def _tooEarly(self, data: bytes) -> None:
        self._early += len(data)
        if self._early > EARLY_BYTES:
            self.abort()

    def _end(self, last: bytes) -> None:
        """Say the last, and close."""
        self._gone = True
        self.transport.write(last)
        self.transport.loseConnection()
        self._expect(CLOSING_SECONDS)

    # --- the stream

    def join(self, other: IRelayed, paces: Sequence[Any], left: Callable[[], None]) -> None:
        """See L{IRelayed}."""
        assert isinstance(other, Socks5Connection)
        open = [self, other]

        def oneLeft() -> None:
            open.pop()
            if not open:
                left()

        for one, another in ((self, other), (other, self)):
            one._other, one._paces, one._left = another, paces, oneLeft
            another.transport.registerProducer(one, True)
            one._expect(SILENCE_SECONDS)

    def _relay(self, data: bytes) -> None:
        other = self._other
        assert other is not None
        self._expect(SILENCE_SECONDS)
        other._expect(SILENCE_SECONDS)
        other.transport.write(data)
        pause = max((pace.spend(len(data)) for pace in self._paces), default=0.0)
        if pause > 0 and self._slowed is None and not self._gone:
            self._slowed = self._shared.clock.callLater(pause, self._goOn)
            self.transport.pauseProducing()

    def _goOn(self) -> None:
        self._slowed = None
        if not self._full and not self._gone:
            self.transport.resumeProducing()

    def pauseProducing(self) -> None:
        """See L{IPushProducer}: the other side doesn't read."""
        self._full = True
        if not self._gone:
            self.transport.pauseProducing()

    def resumeProducing(self) -> None:
        """See L{IPushProducer}: it reads again."""
        self._full = False
        if self._slowed is None and not self._gone:
            self.transport.resumeProducing()

    def stopProducing(self) -> None:
        """See L{IPushProducer}: it is gone, which it tells itself."""

    def _farewell(self) -> None:
        """The other side has gone: what it has sent is still written, then this one goes, too."""
        self._other = None
        self._gone = True
        self.transport.unregisterProducer()
        self._cancel()
        self._deadline = self._shared.clock.callLater(CLOSING_SECONDS, self.abort)
        self.transport.loseConnection()

    def abort(self) -> None:
        """See L{IRelayed}."""
        self._gone = True
        self.transport.abortConnection()

    hangUp = abort

    # --- time

    def _expect(self, seconds: float) -> None:
        """Something has to happen until then."""
        deadline = self._deadline
        if deadline is not None and deadline.active():
            deadline.reset(seconds)
        else:
            self._deadline = self._shared.clock.callLater(seconds, self.abort)

    def _cancel(self) -> None:
        for call in (self._deadline, self._slowed):
            if call is not None and call.active():
                call.cancel()
        self._deadline = self._slowed = None


class Socks5Factory(Factory):
    """
    What the connections of one proxy share.

    @ivar connections: those that are open.
    """

    noisy = False

    def __init__(
        self,
        bytestreams: IBytestreams,
        clock: IClock,
        admission: Admission,
        connections: set[Any] | None = None,
    ) -> None:
        self.bytestreams = bytestreams
        self.clock = clock
        self.admission = admission
        self.connections: set[Any] = set() if connections is None else connections

    def buildProtocol(self, addr: IAddress | None) -> Socks5Connection:
        """See L{Factory}."""
        return Socks5Connection(self)
