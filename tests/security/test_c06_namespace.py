"""C06: a header in a wrong namespace; a root that is no stream."""

from __future__ import annotations

from tests.marks import spec
from tests.security.attack import AttackCase
from xmppd.wire import ns


@spec("RFC 6120", "4.8.1", "4.8.2", "4.9.3.10")
class NamespaceTests(AttackCase):
    """The stream is refused before it is one."""

    def test_wrong(self) -> None:
        """Wrong namespaces, wrong roots."""
        for header, conditions in (
            ("<stream:stream xmlns='jabber:client' xmlns:stream='urn:wrong' to='example.org' version='1.0'>", ("invalid-namespace",)),
            ("<stream xmlns='jabber:client' to='example.org' version='1.0'>", ("invalid-namespace",)),
            (f"<stream:stream xmlns='jabber:server' xmlns:stream='{ns.STREAMS}' to='example.org' version='1.0'>", ("invalid-namespace",)),
            (f"<stream:stream xmlns='' xmlns:stream='urn:x' xmlns:s='{ns.STREAMS}' to='example.org'>", ("invalid-namespace",)),
            (f"<stream:flow xmlns='jabber:client' xmlns:stream='{ns.STREAMS}' to='example.org' version='1.0'>", ("invalid-namespace", "bad-format")),
            ("<html>", ("invalid-namespace", "bad-format")),
            ("<message xmlns='jabber:client' to='romeo@example.org/orchard'/>", ("invalid-namespace", "bad-format")),
            ("<stream:stream to='example.org'>", ("not-well-formed", "bad-namespace-prefix")),
        ):
            self.eachWay("connected", header, self.killed(*conditions))
