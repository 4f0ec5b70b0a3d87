"""Tests for L{xmppd.net.frames}: whatever comes, and however it is cut, it is what wsproto alone would have told."""

from __future__ import annotations

from random import Random
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase
from wsproto.connection import Connection, ConnectionState, ConnectionType
from wsproto.events import BytesMessage, CloseConnection, Ping, Pong, TextMessage
from wsproto.frame_protocol import CloseReason

from tests.marks import spec
from tests.web import masked
from xmppd.net.frames import Frames, unmasked

PAYLOADS = (b"", b"<message/>", b"x" * 125, b"x" * 126, "é😀".encode() * 40, b"y" * 65535, b"z" * 65536, b"\xc3", b"\xff")


def told(events: list[Any]) -> list[Any]:
    """What events say, with the parts of a message joined."""
    said: list[Any] = []
    part = b""
    for event in events:
        if isinstance(event, bytes):
            event = TextMessage(data=event.decode())
        if isinstance(event, (TextMessage, BytesMessage)):
            data = event.data.encode() if isinstance(event, TextMessage) else bytes(event.data)
            part += data
            if event.message_finished:
                said.append((type(event), part))
                part = b""
        elif isinstance(event, CloseConnection):
            reason = None if event.code == CloseReason.INVALID_FRAME_PAYLOAD_DATA else event.reason
            said.append((CloseConnection, event.code, reason))  # without the place, which depends on the cuts
            part = b""
        else:
            assert isinstance(event, (Ping, Pong))
            said.append((type(event), bytes(event.payload)))
    return [*said, part]


def byFrames(chunks: list[bytes]) -> tuple[list[Any], ConnectionState]:
    """What L{Frames} tells."""
    frames, events = Frames(), []
    for chunk in chunks:
        frames.received(chunk)
        while (event := frames.take()) is not None:
            events.append(event)
    return told(events), frames.state


def byConnection(data: bytes) -> tuple[list[Any], ConnectionState]:
    """What wsproto alone tells."""
    connection = Connection(ConnectionType.SERVER)
    connection.receive_data(data)
    return told(list(connection.events())), connection.state


def frame(random: Random) -> bytes:
    """A frame as clients send it, or nearly."""
    choice = random.random()
    payload = random.choice(PAYLOADS[:5]) if random.random() < 0.9 else random.choice(PAYLOADS)
    if choice < 0.5:
        return masked(1, payload)
    if choice < 0.65:
        return masked(random.choice((9, 10)), payload[:125])
    if choice < 0.75:
        return masked(1, b"<mess", False) + masked(9, b"?") * random.randrange(2) + masked(0, b"age/>")
    if choice < 0.8:
        return masked(random.choice((0, 1, 2)), payload, random.random() < 0.5)
    if choice < 0.85:
        return masked(8, random.choice((b"", b"\x03\xe8", b"\x03\xe8bye", b"\x03", b"\x03\xed", b"\x03\xe8\xff")))
    if choice < 0.9:
        bits = random.choice((0, 0, 0x40))
        return masked(random.randrange(16), payload, random.random() < 0.7, bits, random.random() < 0.9)
    if choice < 0.95:
        width = random.choice((2, 8))
        length = random.choice((0, 1, 125, 126, 65535, 65536, 1 << 63)) & ((1 << 8 * width) - 1)
        return bytes([0x81, 0x80 | (126 if width == 2 else 127)]) + length.to_bytes(width, "big") + b"mask" + b"x" * 200
    return masked(1, payload)[: random.randrange(20)]


@spec("RFC 6455", "5")
class FramesTests(SynchronousTestCase):
    """L{Frames} against wsproto."""

    @settings(max_examples=600, derandomize=True, deadline=None, database=None)
    @given(st.integers(0, 2**32))
    def test_same(self, seed: int) -> None:
        """Frames of all kinds, good and bad, at once, in pieces, and by single octets."""
        random = Random(seed)
        data = b"".join(frame(random) for _ in range(random.randrange(1, 8)))
        expected = byConnection(data)
        self.assertEqual(byFrames([data]), expected)
        places = sorted(random.randrange(len(data) + 1) for _ in range(random.randrange(1, 9)))
        pieces = [data[start:end] for start, end in zip([0, *places], [*places, len(data)], strict=True)]
        self.assertEqual(byFrames(pieces), expected)
        if len(data) < 3000:
            self.assertEqual(byFrames([bytes([octet]) for octet in data]), expected)

    def test_lengths(self) -> None:
        """Each way to write a length, also where it is the shortest that is."""
        for length in (0, 1, 125, 126, 127, 65535, 65536, 70000):
            frames = Frames()
            frames.received(masked(1, b"x" * length) * 2)
            self.assertEqual([frames.take(), frames.take(), frames.take()], [b"x" * length, b"x" * length, None])

    def test_early(self) -> None:
        """What is wrong is told as soon as wsproto tells it; parts of a message too."""
        for data in (
            b"\x83\x80",
            b"\x81\x05",
            b"\xc1\x85aaaa",
            b"\x09\x80",
            b"\x89\xfe\x00\x7e",
            b"\x81\xfe\x00\x01",
            masked(1, b"half a message")[:12],
        ):
            connection, frames = Connection(ConnectionType.SERVER), Frames()
            for octet in data:
                connection.receive_data(bytes([octet]))
                frames.received(bytes([octet]))
                event = frames.take()
                self.assertEqual(told([event] if event else []), told(list(connection.events())), data)

    def test_left(self) -> None:
        """Who stops in the midst of it finds the rest in order, with what has come meanwhile."""
        frames = Frames()
        frames.received(masked(1, b"a") + masked(9) + masked(1, b"b"))
        self.assertEqual(frames.take(), b"a")
        frames.received(masked(1, b"c", False) + masked(0, b"d") + masked(1, b"e"))
        rest = []
        while (event := frames.take()) is not None:
            rest.append(event)
        self.assertEqual(told(rest), [(Ping, b""), *((TextMessage, each) for each in (b"b", b"cd", b"e")), b""])

    def test_over(self) -> None:
        """Nothing acts behind the end."""
        for end in (masked(8), b"\x83\x80"):
            frames = Frames()
            frames.received(end + masked(1, b"x"))
            self.assertIsInstance(frames.take(), CloseConnection)
            frames.received(masked(1, b"y"))
            self.assertIsNone(frames.take())

    @settings(max_examples=200, derandomize=True, deadline=None, database=None)
    @given(st.binary(max_size=300), st.binary(min_size=4, max_size=4))
    def test_unmasked(self, payload: bytes, key: bytes) -> None:
        """Octet by octet."""
        self.assertEqual(unmasked(payload, key), bytes(each ^ key[at % 4] for at, each in enumerate(payload)))
