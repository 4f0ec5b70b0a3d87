"""C01: a document type with nested entities before the header."""

from __future__ import annotations

import tracemalloc

from tests.marks import spec
from tests.security.attack import AttackCase
from tests.server import streamHeader

ENTITIES = "".join(f'<!ENTITY e{n + 1} "{f"&e{n};" * 10}">' for n in range(12))
BOMB = f'<?xml version="1.0"?><!DOCTYPE s [<!ENTITY e0 "lol">{ENTITIES}]>'
EXTERNAL = '<?xml version="1.0"?><!DOCTYPE s SYSTEM "file:///etc/passwd"><stream:stream>&s;'
QUADRATIC = f'<?xml version="1.0"?><!DOCTYPE s [<!ENTITY e "{"x" * 5000}">]>'


@spec("RFC 6120", "11.1")
class EntityBombTests(AttackCase):
    """Nothing is expanded, nothing fetched, nothing grows."""

    def test_bombs(self) -> None:
        """Closed before anything is read of it."""
        check = self.killed("restricted-xml", "not-well-formed")
        for bomb in (BOMB, EXTERNAL, QUADRATIC, BOMB + streamHeader(attributes="x='&e12;'").decode()):
            self.eachWay("connected", bomb, check)

    def test_afterTheHeader(self) -> None:
        """A document type inside the stream, before the login and after."""
        for state in ("opened", "bound"):
            self.eachWay(state, BOMB.partition("?>")[2], self.killed("restricted-xml"))
            self.eachWay(state, "<message><body>&e12;</body></message>", self.killed("restricted-xml"))

    def test_memory(self) -> None:
        """Memory doesn't grow by more than the attack's own size, so to speak."""
        tracemalloc.start()
        try:
            before = tracemalloc.get_traced_memory()[0]
            tracemalloc.reset_peak()
            for _ in range(20):
                self.attacker("connected").send(BOMB)
            self.assertLess(tracemalloc.get_traced_memory()[1] - before, 2_000_000)
        finally:
            tracemalloc.stop()
