"""
SASL PLAIN: name and password in the clear (RFC 4616). To be offered under TLS only.
"""

from __future__ import annotations

from xmppd.sasl.credentials import PlainPassword
from xmppd.sasl.steps import Mechanism, Verify, malformed, readText


class PlainMechanism(Mechanism):
    """The server's side of PLAIN: one message, three parts."""

    name = "PLAIN"

    def first(self, data: bytes) -> Verify:
        """Read C{[authzid] NUL authcid NUL passwd} (section 2)."""
        parts = readText(data).split("\0")
        if len(parts) != 3:
            raise malformed("PLAIN has three parts separated by NUL.")
        authzid, username, password = parts
        if not username or not password:
            raise malformed("PLAIN wants a name and a password.")
        return self.verify(PlainPassword(username, authzid or None, password))
