"""
SASL HT: a token that the server has given out stands in for the password, in one round trip
(draft-schmaus-kitten-sasl-ht-09, as XEP-0484 section 3.1 wants it; HT-SHA-256-NONE is the form without channel
binding that clients know).
"""

from __future__ import annotations

from typing import Final

from xmppd.sasl.credentials import HashedToken
from xmppd.sasl.steps import Mechanism, Verify, malformed, readText

DIGEST: Final = 32
"""Octets of a SHA-256."""

LONGEST_NAME: Final = 2048
"""The most octets of an authentication identity: more than the longest bare JID has."""

TOKEN_MECHANISMS: Final[dict[str, str]] = {
    "HT-SHA-256-EXPR": "tls-exporter",
    "HT-SHA-256-UNIQ": "tls-unique",
    "HT-SHA-256-ENDP": "tls-server-end-point",
    "HT-SHA-256-NONE": "",
}
"""The types of channel binding by mechanism, best first; empty for none (section 2)."""


class HashedTokenMechanism(Mechanism):
    """The server's side of HT: one message, whose proof says nothing before the token is found."""

    def __init__(self, name: str, binding: bytes) -> None:
        """
        @param binding: the channel binding data of this connection; empty for the form without.
        """
        super().__init__()
        self.name = name
        self.binding = TOKEN_MECHANISMS.get(name) or None
        self._binding = binding

    def first(self, data: bytes) -> Verify:
        """Read C{authcid NUL initiator-hashed-token} (section 3.1)."""
        name, separator, proof = data.partition(b"\0")
        if not name or not separator or len(proof) != DIGEST:
            raise malformed("HT wants a name, NUL, and 32 octets.")
        self._credentials = HashedToken(readText(name, LONGEST_NAME), self.name, self._binding, proof)
        return self.verify(self._credentials)

    def verified(self) -> bytes:
        """The responder's message (section 3.3)."""
        super().verified()
        return self._credentials.answer
