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
from xmppd.wire import confusable, jid
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


def fresh(first: str) -> list[str]:
    """Ten thousand names that nobody has met, with this beginning."""
    fresh.seen += 1  # type: ignore[attr-defined]
    return [f"{first}{number}.{fresh.seen}" for number in range(10_000)]  # type: ignore[attr-defined]


fresh.seen = 0  # type: ignore[attr-defined]


def namesNew() -> int:
    """Skeleton and restriction level of ASCII names that are met for the first time."""
    names = fresh("romeo")
    for name in names:
        confusable.skeleton(name)
        confusable.level(name)
    return len(names)


def namesForeign() -> int:
    """The same of Cyrillic names."""
    names = fresh("ромео")
    for name in names:
        confusable.skeleton(name)
        confusable.level(name)
    return len(names)


def namesTurned() -> int:
    """The same of Hebrew names, which have to be put in the order of display."""
    names = fresh("רומיאו")[:1000]
    for name in names:
        confusable.skeleton(name)
        confusable.level(name)
    return len(names)


def namesKnown() -> int:
    """The same of a name that has been met before."""
    for _ in range(20_000):
        confusable.skeleton("ромео")
        confusable.level("ромео")
    return 20_000


def namesKeys() -> int:
    """The keys by which look-alikes of new ASCII names are found."""
    names = fresh("romeo")
    for name in names:
        confusable.keys(name)
    return len(names)


def namesInspected() -> int:
    """All that is odd about new Cyrillic names."""
    names = fresh("ромео")[:1000]
    for name in names:
        confusable.inspect(name)
    return len(names)


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
    "names-new": namesNew,
    "names-foreign": namesForeign,
    "names-turned": namesTurned,
    "names-known": namesKnown,
    "names-keys": namesKeys,
    "names-inspected": namesInspected,
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
        print(f"{name:16} {best:12,.0f} /s   {MEASUREMENTS[name].__doc__}")


if __name__ == "__main__":
    main(sys.argv[1:])
