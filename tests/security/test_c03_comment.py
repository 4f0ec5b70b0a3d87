"""C03: a comment or a processing instruction, before the login and inside a stanza."""

from __future__ import annotations

from tests.marks import spec
from tests.security.attack import AttackCase


@spec("RFC 6120", "11.1", "4.9.3.18")
class CommentTests(AttackCase):
    """Whatever a comment hides, nobody looks behind it."""

    def test_everywhere(self) -> None:
        """Between stanzas, inside a stanza, inside a child, around other markup."""
        for thing in ("<!-- x -->", "<!---->", "<!-- <message/> -->", "<?php x?>", "<?xml-stylesheet href='x'?>"):
            for state in ("opened", "authenticated", "bound"):
                for data in (thing, f"<message to='romeo@example.org/orchard'>{thing}</message>", f"<a><b>{thing}</b></a>"):
                    self.eachWay(state, data, self.killed("restricted-xml"))

    def test_beforeTheHeader(self) -> None:
        """Before the header too."""
        self.eachWay("connected", "<!-- x -->", self.killed("restricted-xml"))

    def test_unfinished(self) -> None:
        """A comment that never ends is refused at its beginning."""
        self.eachWay("bound", "<!-- " + "x" * 1000, self.killed("restricted-xml"))
