"""
What stream management costs: microseconds for one message from session to session, without a network.

Run as C{python -m benchmarks.management}. Each figure is the best of five runs. The first two rows are the floor: the
same messages between sessions that are not managed.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Iterator
from typing import Any

from tests.doubles import Rig
from xmppd.config import Limits
from xmppd.features.xep0198_sm import feature
from xmppd.wire.stanza import Stanza
from xmppd.wire.xmlstream import XMLStreamParser

MESSAGES = 20_000
BATCH = 10
START = b"<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' version='1.0'>"
MESSAGE = b"<message to='juliet@example.org/balcony' type='chat' id='x'><body>hello there, how are you</body></message>"


def parsed(raw: bytes) -> list[Any]:
    """The stanzas in some bytes."""
    return [event for event in XMLStreamParser().feed(START + raw) if isinstance(event, Stanza)]


class Sink(list[Any]):
    """Keeps nothing."""

    def append(self, item: object) -> None:
        """Forget it."""


def run(joined: bool, managed: bool, asking: bool = False, late: bool = False) -> float:
    """
    Microseconds for each message.

    @param joined: whether the host has the feature.
    @param managed: whether both sessions use it; then the recipient acknowledges every ten messages.
    @param asking: whether the sender asks every ten messages.
    @param late: whether the recipient acknowledges after that, so that the messages have to be stored.
    """
    rig = Rig(*([feature] if joined else []), limits=Limits(managementQueue=1_000_000))
    (romeo, one), (juliet, other) = rig.bind("romeo@example.org/orchard"), rig.bind("juliet@example.org/balcony")
    one.received, other.received = Sink(), Sink()
    if managed:
        for session in (romeo, juliet):
            rig.send(session, b"<enable xmlns='urn:xmpp:sm:3' resume='true'/>")
    (ack,), (request,) = parsed(b"<a xmlns='urn:xmpp:sm:3' h='0'/>"), parsed(b"<r xmlns='urn:xmpp:sm:3'/>")
    messages = parsed(MESSAGE * MESSAGES)
    gc.collect()
    gc.disable()
    started = time.perf_counter()
    for count, message in enumerate(messages, 1):
        romeo.received(message)
        if not managed or count % BATCH:
            continue
        ack.attrs["h"] = str(count)
        if not late:
            juliet.received(ack)
        if asking:
            romeo.received(request)
        if late:
            rig.clock.advance(0.001)
            rig.clock.advance(0.001)
            juliet.received(ack)
    seconds = time.perf_counter() - started
    gc.enable()
    return seconds / MESSAGES * 1e6


def rows() -> Iterator[tuple[str, float]]:
    """All figures."""
    for name, arguments in (
        ("plain, without the feature", (False, False)),
        ("plain", (True, False)),
        ("managed, recipient acknowledges", (True, True)),
        ("managed, and sender asks", (True, True, True)),
        ("managed, sender asks before that: stored in memory", (True, True, True, True)),
    ):
        yield name, min(run(*arguments) for _ in range(5))


if __name__ == "__main__":
    for name, figure in rows():
        print(f"{name:52} {figure:6.2f} µs")
