"""
Microbenchmarks of what each stanza costs in C{xmppd.wire}: microseconds, the best of several runs.

    python benchmarks/microwire.py
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from xmppd.wire import jid, ns
from xmppd.wire.element import parse
from xmppd.wire.stanza import fromBytes, starts
from xmppd.wire.xmlstream import XMLStreamParser

HEADER = b"<stream:stream xmlns='%s' xmlns:stream='http://etherx.jabber.org/streams' to='example.com' version='1.0'>"
MESSAGE = b"<message to='juliet@example.com/balcony' type='chat' id='abc123'><body>" + b"x" * 100 + b"</body></message>"
RICH = MESSAGE.replace(
    b"</message>",
    b"<active xmlns='http://jabber.org/protocol/chatstates'/><request xmlns='urn:xmpp:receipts'/>"
    b"<origin-id xmlns='urn:xmpp:sid:0' id='abc123'/></message>",
)
PREFIXED = RICH.replace(b"message", b"c:message").replace(b" to=", b" xmlns:c='jabber:client' to=")
FULL = "romeo@example.com/orchard"


def best(call: Callable[[], object], times: int, divisor: int = 1, runs: int = 20) -> float:
    """Microseconds one call takes, or one of the C{divisor} things it does; in processor time."""
    shortest = float("inf")
    for _ in range(runs):
        begun = time.process_time()
        for _ in range(times):
            call()
        shortest = min(shortest, time.process_time() - begun)
    return shortest * 1e6 / times / divisor


def parsing(raw: bytes, content: str = ns.CLIENT, pieces: int = 0) -> float:
    """One stanza: a hundred in each chunk, stamped; or alone, in pieces of so many bytes."""
    parser = XMLStreamParser(contents=frozenset({content}))
    parser.feed(HEADER % content.encode())
    heads = starts(FULL)
    chunks = [raw[at : at + pieces] for at in range(0, len(raw), pieces)] if pieces else [raw * 100]

    def call() -> None:
        for chunk in chunks:
            for stanza in parser.feed(chunk):
                stanza.stamp(FULL, heads)  # type: ignore[union-attr]

    return best(call, 50, 1 if pieces else 100)


def jids(text: str) -> float:
    """One address, not from a cache."""
    numbers = iter(range(10**9))
    return best(lambda: jid.parse(f"{text}{next(numbers)}"), 500)


def main() -> None:
    """Measure and print."""
    stanza = fromBytes(MESSAGE)
    forged = fromBytes(MESSAGE.replace(b" to=", b" from='x@y' to="))
    changes = {"to": "nurse@example.com/chamber", "from": FULL}
    for name, took in (
        ("parse and stamp a message, 100 a chunk", parsing(MESSAGE)),
        ("the same with three more children", parsing(RICH)),
        (
            "the same with a prefix",
            parsing(RICH.replace(b"message", b"c:message").replace(b" to=", b" xmlns:c='jabber:client' to=")),
        ),
        ("the same from a server", parsing(RICH, ns.SERVER)),
        ("parse and stamp a message, one a chunk", parsing(MESSAGE, pieces=10**6)),
        ("parse and stamp a message, byte by byte", parsing(MESSAGE, pieces=1)),
        ("address a message to somebody else", best(lambda: stanza.addressed(changes), 1000)),
        ("replace a sender", best(lambda: forged.addressed({"from": FULL}), 1000)),
        ("extend a message", best(lambda: stanza.extended(b"<x xmlns='u'/>", ("u x",)), 1000)),
        ("take the body out", best(lambda: stanza.without(frozenset(stanza.childNames)), 1000)),
        ("bytes for another server", best(lambda: stanza.forNamespace(ns.SERVER), 1000)),
        ("parse a message into a tree", best(lambda: parse(RICH), 1000)),
        ("write it again", best(parse(RICH).toBytes, 1000)),
        ("parse a plain address", jids("romeo@example.com/orchard")),
        ("parse an address with other letters", jids("roméo@exämple.com/orchard")),
    ):
        print(f"{took:8.2f} µs  {name}")


if __name__ == "__main__":
    main()
