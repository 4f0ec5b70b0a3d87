"""C08: a header for a domain that isn't served, or for none."""

from __future__ import annotations

from tests.marks import spec
from tests.security.attack import AttackCase
from tests.server import streamHeader


@spec("RFC 6120", "4.7.2", "4.9.3.6", "4.9.3.7")
class WrongHostTests(AttackCase):
    """Refused, whatever the address looks like."""

    def test_unknown(self) -> None:
        """Unknown domains, and what is no domain."""
        for to in ("example.com", "localhost", "127.0.0.1", "[::1]", "sub.example.org", "mallory@example.org", "example.org/x",
                   "exa mple.org", "\N{COMBINING DIAERESIS}" * 50, "x" * 5000, "&lt;&amp;&#10;", "%00", ".", "@", "/", "@/"):
            self.eachWay("connected", streamHeader(to), self.killed("host-unknown"))

    def test_missing(self) -> None:
        """No C{to}, or an empty one."""
        for to in (None, ""):
            self.eachWay("connected", streamHeader(to), self.killed("improper-addressing", "host-unknown"))
