"""
SASL ANONYMOUS: a guest who may leave a trace (RFC 4505, XEP-0175).
"""

from __future__ import annotations

from typing import Final

from xmppd.sasl.credentials import AnonymousTrace
from xmppd.sasl.steps import Mechanism, Verify, malformed, readText

MAX_TRACE: Final = 255
"""The most code points of a trace (RFC 4505 section 2); each takes up to four octets."""


class AnonymousMechanism(Mechanism):
    """The server's side of ANONYMOUS: one message, which is the trace or empty."""

    name = "ANONYMOUS"

    def absent(self) -> Verify:
        """An empty C{<auth/>} is answered with success at once, as XEP-0175 section 4 shows; there is no trace."""
        return self.verify(AnonymousTrace(None))

    def first(self, data: bytes) -> Verify:
        """Read C{[ email / token ]} (section 2). The two aren't told apart: neither means anything to us."""
        trace = readText(data, MAX_TRACE * 4)
        if len(trace) > MAX_TRACE:
            raise malformed(f"A trace has at most {MAX_TRACE} characters.")
        return self.verify(AnonymousTrace(trace or None))
