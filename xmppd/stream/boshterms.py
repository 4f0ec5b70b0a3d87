"""
What a client and the server agree on when a session of BOSH begins (XEP-0124 section 7).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

HOLD: Final = 2
"""How many requests are held at most."""

WAIT: Final = 60
"""For how many seconds a request is held at most."""

INACTIVITY: Final = 30
"""How many seconds a client may be without a held request, unless it polls."""

POLLING_INACTIVITY: Final = 90
"""The same of a client that polls."""

POLLING: Final = 2
"""How many seconds there have to be between empty requests."""

MAX_PAUSE: Final = 120
"""How long a client may pause."""

LAST_RID: Final = (1 << 53) - 1

_VERSION: Final = (1, 11)
_NUMBER: Final = re.compile(r"[0-9]{1,16}")
_CONTENT: Final = re.compile(r"(?:text/(?:xml|html|plain)|application/xml)(?:; ?charset=utf-8)?", re.IGNORECASE)

CONTENT: Final = "text/xml; charset=utf-8"


def number(text: str | None) -> int | None:
    """A natural number, or None: C{rid}, C{wait} and so on are never longer than what fits into 53 bits."""
    return int(text) if text is not None and _NUMBER.fullmatch(text) else None


@dataclass(frozen=True, slots=True)
class Agreed:
    """
    What both sides keep to (section 7).

    @ivar wait: for how long a request is held, in seconds.
    @ivar hold: how many are held; 0 for a client that polls.
    @ivar requests: how many a client may have open.
    @ivar inactivity: for how long it may have none, in seconds.
    @ivar version: the version of the protocol; empty if the client has told none.
    @ivar acks: whether the client acknowledges answers.
    @ivar content: the media type of answers.
    """

    wait: int
    hold: int
    requests: int
    inactivity: int
    version: str
    acks: bool
    content: str

    @classmethod
    def on(cls, attrs: Mapping[str, str]) -> Agreed | None:
        """What is agreed on with a client that asks for a session; None: with that request on nothing."""
        wait, hold = number(attrs.get("wait", str(WAIT))), number(attrs.get("hold", "1"))
        content = attrs.get("content", CONTENT)
        if wait is None or hold is None or not _CONTENT.fullmatch(content):
            return None
        wait, hold = min(wait, WAIT), min(hold, HOLD)
        if not wait or not hold:
            wait = hold = 0
        inactivity = INACTIVITY if hold else POLLING_INACTIVITY
        return cls(wait, hold, hold + 1, inactivity, _version(attrs.get("ver")), attrs.get("ack") == "1", content)


def _version(told: str | None) -> str:
    """The lower of both sides' versions, as numbers and not as a fraction."""
    if told is None:
        return ""
    major, _, minor = told.partition(".")
    numbers = number(major), number(minor)
    if None in numbers:
        return "1.0"
    return "{}.{}".format(*min(_VERSION, numbers))
