"""Tests of L{xmppd.net.socks5}: greetings, waiting, and passing on."""

from __future__ import annotations

from typing import Any

from twisted.internet.error import ConnectionLost
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer
from zope.interface.verify import verifyObject

from tests.marks import spec
from tests.net.test_http import WebTransport
from xmppd.config import Limits
from xmppd.ixmppd import IBytestreams, IRelayed
from xmppd.net.admission import Admission
from xmppd.net.socks5 import GREETING_SECONDS, SILENCE_SECONDS, WAITING_SECONDS, Socks5Factory

NAME = "0123456789abcdef0123456789abcdef01234567"
REQUEST = b"\x05\x01\x00\x03\x28" + NAME.encode() + b"\0\0"


@implementer(IBytestreams)
class Deciding:
    """Grants everything to the names it likes."""

    endpoints = ()
    port = 0

    def __init__(self) -> None:
        self.there: list[Any] = []

    def arrived(self, connection: Any, name: str) -> bool:
        """See L{IBytestreams}."""
        if name != NAME:
            return False
        self.there.append(connection)
        return True

    def departed(self, connection: Any) -> None:
        """See L{IBytestreams}."""
        self.there.remove(connection)


class Transport(WebTransport):
    """Remembers whether it is read from."""

    reading = True

    def pauseProducing(self) -> None:
        """See L{IPushProducer}."""
        self.reading = False

    def resumeProducing(self) -> None:
        """See L{IPushProducer}."""
        self.reading = True


class SocksCase(SynchronousTestCase):
    """A port."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.deciding = Deciding()
        self.admission = Admission(self.clock, Limits())
        self.factory = Socks5Factory(self.deciding, self.clock, self.admission)

    def connect(self, *data: bytes) -> tuple[Any, Transport]:
        """One more connection, that sends something."""
        connection = self.factory.buildProtocol(None)
        transport = Transport()
        connection.makeConnection(transport)
        for each in data:
            connection.dataReceived(each)
        return connection, transport

    def granted(self) -> tuple[Any, Transport]:
        """One that waits."""
        connection, transport = self.connect(b"\x05\x01\x00", REQUEST)
        transport.clear()
        return connection, transport

    def lose(self, connection: Any) -> None:
        """The connection is gone."""
        connection.connectionLost(Failure(ConnectionLost()))


class GreetingTests(SocksCase):
    """What a connection says first."""

    def test_interface(self) -> None:
        """A connection is what it says."""
        verifyObject(IRelayed, self.connect()[0])

    @spec("XEP-0065", "5.3.2", "6.3.2", "10.2")
    def test_granted(self) -> None:
        """Address and port come back, however the input is cut."""
        data = b"\x05\x02\x02\x00" + REQUEST
        for cuts in ([data], [data[i : i + 1] for i in range(len(data))]):
            _, transport = self.connect(*cuts)
            self.assertEqual(transport.value(), b"\x05\x00" + b"\x05\x00\x00\x03\x28" + NAME.encode() + b"\0\0")
        self.assertEqual(len(self.deciding.there), 2)

    def test_refused(self) -> None:
        """Other commands, addresses, ports and names get SOCKS5's errors, and nothing is connected to."""
        for request, code in (
            (b"\x05\x02\x00\x03\x28" + NAME.encode() + b"\0\0", 7),
            (b"\x05\x03\x00\x03\x28" + NAME.encode() + b"\0\0", 7),
            (b"\x05\x01\x00\x01\x7f\x00\x00\x01\x00\x50", 8),
            (b"\x05\x01\x00\x04" + bytes(18), 8),
            (b"\x05\x01\x00\x03\x28" + NAME.encode() + b"\x00\x50", 2),
            (b"\x05\x01\x00\x03\x09localhost\0\0", 2),
        ):
            _, transport = self.connect(b"\x05\x01\x00", request)
            self.assertEqual((transport.value()[:4], transport.closed), (b"\x05\x00\x05" + bytes([code]), "lost"), request)
        self.assertEqual(self.deciding.there, [])

    def test_noMethod(self) -> None:
        """Who wants to authenticate can't."""
        _, transport = self.connect(b"\x05\x01\x02")
        self.assertEqual((transport.value(), transport.closed), (b"\x05\xff", "lost"))

    def test_notSocks(self) -> None:
        """Noise, and other versions."""
        for data in (b"GET / HTTP/1.1\r\n\r\n", b"\x04\x01\x00\x50\x7f\x00\x00\x01\0", b"\x16\x03\x01", b"x" * 100_000):
            _, transport = self.connect(data)
            self.assertEqual((transport.value(), transport.closed), (b"", "aborted"))

    def test_slow(self) -> None:
        """A greeting in drips, or none."""
        for data in (b"", b"\x05", b"\x05\x01\x00\x05\x01"):
            _, transport = self.connect(data)
            self.clock.advance(GREETING_SECONDS)
            self.assertEqual(transport.closed, "aborted")

    def test_tooMany(self) -> None:
        """Connections are counted with all others."""
        self.admission.limits = Limits(connectionsPerAddress=1)
        first, _ = self.connect()
        self.assertEqual(self.connect()[1].closed, "aborted")
        self.lose(first)
        self.assertIsNone(self.connect()[1].closed)


class WaitingTests(SocksCase):
    """Between the grant and the activation."""

    def test_notForEver(self) -> None:
        """A while, then it is cut off; and whoever goes is told of."""
        connection, transport = self.granted()
        self.clock.advance(WAITING_SECONDS - 1)
        self.assertIsNone(transport.closed)
        self.clock.advance(1)
        self.assertEqual(transport.closed, "aborted")
        self.lose(connection)
        self.assertEqual((self.deciding.there, self.clock.getDelayedCalls()), ([], []))

    @spec("XEP-0065", "10.1")
    def test_early(self) -> None:
        """What is sent too early is thrown away, but not without end."""
        one, early = self.granted()
        other, receiving = self.granted()
        one.dataReceived(b"x" * 65536)
        one.join(other, (), lambda: None)
        one.dataReceived(b"real")
        self.assertEqual((receiving.value(), early.closed), (b"real", None))
        more, transport = self.connect(b"\x05\x01\x00", REQUEST + b"x")
        more.dataReceived(b"x" * 65536)
        self.assertEqual(transport.closed, "aborted")


class SlowPace:
    """A second for each ten octets."""

    def spend(self, octets: int) -> float:
        """Count."""
        return octets / 10


class StreamTests(SocksCase):
    """Two joined connections."""

    def setUp(self) -> None:
        super().setUp()
        self.one, self.first = self.granted()
        self.other, self.second = self.granted()
        self.gone: list[int] = []

    def join(self, *paces: Any) -> None:
        """Activate."""
        self.one.join(self.other, paces, lambda: self.gone.append(1))

    @spec("XEP-0065", "6.3.5", "10.1")
    def test_bothWays(self) -> None:
        """Octets go both ways."""
        self.join()
        self.one.dataReceived(b"ping")
        self.other.dataReceived(b"pong")
        self.assertEqual((self.second.value(), self.first.value()), (b"ping", b"pong"))

    def test_backPressure(self) -> None:
        """A side that doesn't read stops the other, in each direction for itself."""
        self.join()
        assert self.second.producer is not None
        self.second.producer.pauseProducing()
        self.assertEqual((self.first.reading, self.second.reading), (False, True))
        self.second.producer.resumeProducing()
        self.assertTrue(self.first.reading)

    def test_pace(self) -> None:
        """Whoever is too fast is read later; being full and being fast don't get into each other's way."""
        self.join(SlowPace())
        self.one.dataReceived(b"x" * 50)
        self.assertEqual((self.first.reading, self.second.reading), (False, True))
        assert self.second.producer is not None
        self.second.producer.pauseProducing()
        self.second.producer.resumeProducing()
        self.assertFalse(self.first.reading)
        self.clock.advance(4)
        self.second.producer.pauseProducing()
        self.clock.advance(1)
        self.assertFalse(self.first.reading)
        self.second.producer.resumeProducing()
        self.assertTrue(self.first.reading)

    def test_silence(self) -> None:
        """A stream without octets ends; one with some in one direction doesn't."""
        self.join()
        for _ in range(3):
            self.clock.advance(SILENCE_SECONDS - 1)
            self.one.dataReceived(b"x")
        self.assertEqual((self.first.closed, self.second.closed), (None, None))
        self.clock.advance(SILENCE_SECONDS)
        self.assertEqual((self.first.closed, self.second.closed), ("aborted", "aborted"))

    def test_end(self) -> None:
        """When one side goes the other gets the rest, and goes too; if it doesn't read, by force."""
        self.join()
        self.one.dataReceived(b"last")
        self.lose(self.one)
        self.assertEqual((self.second.value(), self.second.closed, self.gone), (b"last", "lost", []))
        self.assertIsNone(self.second.producer)
        self.clock.advance(30)
        self.assertEqual(self.second.closed, "aborted")
        self.lose(self.other)
        self.assertEqual((self.gone, len(self.deciding.there)), ([1], 2))
        self.assertEqual((self.clock.getDelayedCalls(), self.factory.connections), ([], set()))
