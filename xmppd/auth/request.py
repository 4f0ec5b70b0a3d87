"""
What a client asks for in an C{<authenticate/>} (XEP-0388 section 2.3), read and bounded.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final

from xmppd.ixmppd import UserAgent
from xmppd.sasl.encoding import decodeElement
from xmppd.sasl.steps import malformed
from xmppd.wire import ns
from xmppd.wire.element import Element

LONGEST_DESCRIPTION: Final = 200
"""How many characters of the descriptions of software and device are kept."""

MOST_UPGRADES: Final = 10
"""How many upgrades one login may ask for."""

_UUID = re.compile("[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")


@dataclass(frozen=True, slots=True)
class Request:
    """
    One C{<authenticate/>}.

    @ivar mechanism: the name of the mechanism.
    @ivar initial: the initial response, or None if there was none.
    @ivar agent: what the client says of itself.
    @ivar upgrades: the tasks it would like to do (XEP-0480 section 2.2), in order, each once.
    @ivar hasToken: whether it shows a token (XEP-0484 section 3.4).
    @ivar element: all of it.
    """

    mechanism: str
    initial: bytes | None = field(repr=False)
    agent: UserAgent
    upgrades: tuple[str, ...]
    hasToken: bool
    element: Element = field(repr=False)

    @classmethod
    def read(cls, element: Element) -> Request:
        """
        Take an element apart.

        @raise SASLError: C{malformed-request} or C{incorrect-encoding}.
        """
        initial = element.find("initial-response")
        return cls(
            element.get("mechanism") or "",
            None if initial is None else decodeElement(initial.text),
            readAgent(element.find("user-agent")),
            readUpgrades(element),
            element.find("fast", ns.FAST) is not None,
            element,
        )


def readAgent(element: Element | None) -> UserAgent:
    """
    What a client says of itself; long descriptions are cut.

    @raise SASLError: its C{id} is not a UUID.
    """
    if element is None:
        return UserAgent()
    id = element.get("id")
    if id is not None:
        id = id.lower()
        if _UUID.fullmatch(id) is None:
            raise malformed("The id of a client is a UUID.")
    software, device = (element.textOf(name) or "" for name in ("software", "device"))
    return UserAgent(id, software[:LONGEST_DESCRIPTION], device[:LONGEST_DESCRIPTION])


def readUpgrades(element: Element) -> tuple[str, ...]:
    """The tasks a client asks for. Raises L{SASLError} for too many."""
    names = dict.fromkeys(each.text.strip() for each in element.elements("upgrade", ns.SASL_UPGRADE))
    if len(names) > MOST_UPGRADES:
        raise malformed("Too many upgrades.")
    return tuple(names)
