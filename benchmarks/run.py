"""
Small measurements of what is on the way of every stanza, in this process and without a network.

    python benchmarks/run.py [NAME ...]

Each measurement says how many it does in a second of CPU time, the best of five rounds.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from xmppd.net.frames import Frames, unmasked
from xmppd.wire import jid
from xmppd.wire.xmlstream import XMLStreamParser

ROUNDS = 5


def jidKnown() -> int:
    """Parsing an address that has been met before."""
    for _ in range(20_000):
        jid.parse("romeo@example.org/orchard")
    return 20_000


def jidNew() -> int:
    """Parsing plain addresses that are met for the first time."""
    jidNew.seen += 1  # type: ignore[attr-defined]
    for number in range(20_000):
        jid.parse(f"u{number}.{jidNew.seen}@example.org/r")  # type: ignore[attr-defined]
    return 20_000


jidNew.seen = 0  # type: ignore[attr-defined]


def jidForeign() -> int:
    """Preparing localparts that are not ASCII."""
    for number in range(1000):
        jid.prepareLocal(f"ромео{number}")
    return 1000


HEADER = (
    b"<stream:stream to='example.org' version='1.0' xmlns='jabber:client' "
    b"xmlns:stream='http://etherx.jabber.org/streams'>"
)
MESSAGE = (
    b"<message to='juliet@example.org/balcony' type='chat' id='m1'><body>Art thou not Romeo, and a Montague?</body>"
    b"<active xmlns='http://jabber.org/protocol/chatstates'/></message>"
)


def parsePipelined() -> int:
    """Parsing chat messages of which many come in one read."""
    parser = XMLStreamParser()
    parser.feed(HEADER)
    return sum(len(parser.feed(MESSAGE * 100)) for _ in range(100))


def parseSingle() -> int:
    """Parsing chat messages of which each comes in a read of its own."""
    parser = XMLStreamParser()
    parser.feed(HEADER)
    return sum(len(parser.feed(MESSAGE)) for _ in range(10_000))


KEY = b"\x1f\x2e\x3d\x4c"
FRAME = b"\x81\xfe" + len(MESSAGE).to_bytes(2, "big") + KEY + unmasked(MESSAGE, KEY)


def frames() -> int:
    """Taking messages out of the frames of a WebSocket, each of which comes in a read of its own."""
    wire = Frames()
    for _ in range(10_000):
        wire.received(FRAME)
        wire.take()
        wire.take()
    return 10_000


MEASUREMENTS: dict[str, Callable[[], int]] = {
    "jid-known": jidKnown,
    "jid-new": jidNew,
    "jid-foreign": jidForeign,
    "parse-many": parsePipelined,
    "parse-one": parseSingle,
    "frame": frames,
}


def main(names: list[str]) -> None:
    """Run the measurements with these names, or all."""
    for name in names or MEASUREMENTS:
        best = 0.0
        for _ in range(ROUNDS):
            begin = time.process_time()
            done = MEASUREMENTS[name]()
            best = max(best, done / (time.process_time() - begin))
        print(f"{name:14} {best:12,.0f} /s   {MEASUREMENTS[name].__doc__}")


if __name__ == "__main__":
    main(sys.argv[1:])
