"""
SASL EXTERNAL: the client's TLS certificate says who it is (RFC 4422 appendix A, XEP-0178).
"""

from __future__ import annotations

from xmppd.sasl.credentials import ExternalIdentity
from xmppd.sasl.steps import Mechanism, Verify, malformed, readText


class ExternalMechanism(Mechanism):
    """The server's side of EXTERNAL: one message, which is the authorization identity or empty."""

    name = "EXTERNAL"

    def first(self, data: bytes) -> Verify:
        """Read C{*( UTF8-char-no-nul )} (appendix A.1)."""
        authzid = readText(data)
        if "\0" in authzid:
            raise malformed("An authorization identity has no NUL.")
        return self.verify(ExternalIdentity(authzid or None))
