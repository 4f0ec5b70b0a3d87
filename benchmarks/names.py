"""
What names that may deceive (XEP-0165) cost where stanzas pass: microseconds of CPU time for one message, in this
process and without a network.

Run as C{python -m benchmarks.names}. Each figure is the best of five runs. How fast names themselves are looked at is
measured by C{benchmarks/run.py names-new …}.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from benchmarks.management import Sink, parsed
from tests.doubles import Rig
from xmppd.features import rfc6121_im, xep0165_mimicry
from xmppd.ixmppd import RosterItem
from xmppd.wire.stanza import Stanza

MESSAGES = 20_000
MEETINGS = 500
CONTACTS = 100

HERE = b"<message to='juliet@example.org/balcony' type='chat' id='x'><body>hello there, how are you</body></message>"


def rigged(joined: bool) -> tuple[Rig, Any]:
    """A host with Romeo, who writes, and Juliet, who knows some people elsewhere; answers Romeo's session."""
    rig = Rig(*([rfc6121_im.feature, xep0165_mimicry.feature] if joined else [rfc6121_im.feature]))
    contacts = [RosterItem(f"friend{number}@example.com", subscription="both") for number in range(CONTACTS)]
    rig.host.rosters.putMany("juliet@example.org", contacts)
    (romeo, one), (_, other) = rig.bind("romeo@example.org/orchard"), rig.bind("juliet@example.org/balcony")
    one.received, other.received = Sink(), Sink()
    return rig, romeo


def elsewhere(number: int) -> Stanza:
    """A message to Juliet from somebody at another server."""
    (stanza,) = parsed(HERE)
    stanza.attrs["from"] = f"friend{number}@example.com/r"
    found: Stanza = stanza
    return found


def clients(joined: bool) -> float:
    """From client to client."""
    _, romeo = rigged(joined)
    return each(romeo.received, parsed(HERE * MESSAGES))


def known(joined: bool) -> float:
    """What is asked of a message that arrives from somebody who was met before; the routing isn't counted."""
    rig, _ = rigged(joined)
    stanza = elsewhere(0)
    refusals = tuple(rig.host.hooks.arriving.refuse)

    def arrives(stanza: Stanza) -> None:
        for refuses in refusals:
            refuses(stanza)

    arrives(stanza)
    rig.clock.advance(1)
    for refuses in refusals:
        assert refuses(stanza) is None, "they haven't met"
    return each(arrives, [stanza] * MESSAGES)


def strangers() -> float:
    """The same of somebody who writes for the first time, with the look into the roster, which is in memory."""
    rig, _ = rigged(True)
    stanzas = [elsewhere(number + CONTACTS) for number in range(MEETINGS)]

    def arrives(stanza: Stanza) -> None:
        for refuses in rig.host.hooks.arriving.refuse:
            refuses(stanza)
        rig.clock.advance(0.001)

    return each(arrives, stanzas)


def each(call: Callable[[Any], object], stanzas: Sequence[Any]) -> float:
    """Microseconds for each."""
    gc.collect()
    gc.disable()
    started = time.process_time()
    for stanza in stanzas:
        call(stanza)
    seconds = time.process_time() - started
    gc.enable()
    return seconds / len(stanzas) * 1e6


def rows() -> Iterator[tuple[str, float]]:
    """All figures."""
    for name, run in (
        ("client to client, without the feature", lambda: clients(False)),
        ("client to client", lambda: clients(True)),
        ("from another server, an empty loop to compare with", lambda: known(False)),
        ("from another server, they have met: the check alone", lambda: known(True)),
        (f"from another server, a stranger; {CONTACTS} contacts", strangers),
    ):
        yield name, min(run() for _ in range(5))


if __name__ == "__main__":
    for name, figure in rows():
        print(f"{name:52} {figure:8.2f} µs")
