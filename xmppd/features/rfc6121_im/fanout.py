"""
One presence for many: the bytes are made once, each receiver gets its own start of a start tag.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from xmppd.wire import ns
from xmppd.wire.element import escapeAttribute
from xmppd.wire.stanza import Stanza, join

NAME: Final = f"{ns.CLIENT} presence"
START: Final = len("<presence")


class Fanout:
    """
    A presence stanza ready to be addressed to anybody.

    @ivar stanza: the stanza without C{to}.
    """

    __slots__ = ("_tail", "stanza")

    def __init__(self, stanza: Stanza) -> None:
        self.stanza = stanza.addressed({"to": None})
        self.stanza.promise = None
        self._tail = self.stanza.raw[START:]

    def to(self, jid: str) -> Stanza:
        """The stanza for one receiver."""
        raw = b"<presence to='" + escapeAttribute(jid).encode() + b"'" + self._tail
        return Stanza("presence", NAME, {**self.stanza.attrs, "to": jid}, self.stanza.childNames, raw)


def presence(attrs: Mapping[str, str | None], inner: bytes = b"", names: tuple[str, ...] = ()) -> Stanza:
    """A presence stanza of our own making; attributes that are None are left out."""
    given = {key: value for key, value in attrs.items() if value is not None}
    return Stanza("presence", NAME, given, names, join("presence", given, inner))
