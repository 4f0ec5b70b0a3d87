"""
What the parser of a peer's stream lets through, from what is configured.
"""

from __future__ import annotations

from typing import Any

from xmppd.wire.element import DEPTH
from xmppd.wire.xmlstream import ParserLimits


def parserLimits(limits: Any, deepest: int = DEPTH) -> ParserLimits:
    """
    The limits of a parser.

    @param limits: L{xmppd.config.Limits}.
    @param deepest: how deep elements may be nested, whatever is configured.
    """
    return ParserLimits(
        stanzaBytes=limits.stanzaBytes,
        headBytes=limits.headBytes,
        depth=min(limits.depth, deepest),
        children=limits.children,
        elements=limits.elements,
        attributes=limits.attributes,
        namespaces=limits.namespaces,
    )
