"""
What the tests of RFC 6121 share: a host with rosters, and another server that writes down what it gets.
"""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from tests.doubles import FakeStream, Rig
from xmppd.features.rfc6121_im import feature
from xmppd.ixmppd import IDestination, ISession, RosterItem
from xmppd.wire.stanza import Stanza, fromBytes


@implementer(IDestination)
class Elsewhere:
    """All other servers."""

    domain = "example.net"

    def __init__(self) -> None:
        self.received: list[Stanza] = []

    def deliver(self, stanza: Stanza) -> None:
        """See L{IDestination}."""
        fromBytes(stanza.raw)  # it is well-formed
        self.received.append(stanza)

    def take(self) -> list[Stanza]:
        """What came since the last time."""
        taken, self.received = self.received, []
        return taken


def told(stanza: Stanza) -> tuple[str | None, str | None, str | None]:
    """Type, sender and receiver of a presence stanza, for comparison; an available one has the type C{None}."""
    return stanza.type, stanza.sender, stanza.to


class IMTestCase(SynchronousTestCase):
    """
    A test with a host that has RFC 6121.

    @ivar extras: further features.
    """

    extras: tuple[Any, ...] = ()
    limits: Any = None
    options: dict[tuple[str, str], Any] = {}

    def setUp(self) -> None:
        self.rig = Rig(feature, *self.extras, limits=self.limits, options=self.options)
        self.host = self.rig.host
        self.elsewhere = Elsewhere()
        self.rig.router.remote = self.elsewhere

    def put(self, account: str, *items: RosterItem) -> None:
        """Put items into a stored roster; before the account has a session."""
        self.assertNotIn(account, self.host.sessions)
        self.successResultOf(self.host.rosters.putMany(account, items))

    def stored(self, account: str) -> dict[str, RosterItem]:
        """What the store has."""
        return {item.jid: item for item in self.successResultOf(self.host.rosters.get(account)).items}

    def befriend(self, one: str, other: str) -> None:
        """Let two accounts of this host see each other's presence."""
        self.put(one, RosterItem(other, subscription="both"))
        self.put(other, RosterItem(one, subscription="both"))

    def bind(self, full: str, **kw: Any) -> tuple[ISession, FakeStream]:
        """See L{Rig.bind}."""
        return self.rig.bind(full, **kw)

    def interested(self, full: str, available: bool = True) -> tuple[ISession, FakeStream]:
        """Bind a resource that asks for the roster, and is available."""
        session, stream = self.rig.bind(full)
        self.rig.send(session, b"<iq type='get' id='r'><query xmlns='jabber:iq:roster'/></iq>")
        if available:
            self.rig.send(session, b"<presence/>")
        stream.take()
        self.elsewhere.take()
        return session, stream

    def told(self, stream: FakeStream | Elsewhere) -> list[tuple[str | None, str | None, str | None]]:
        """The presence that came."""
        return [told(stanza) for stanza in stream.take() if stanza.kind == "presence"]

    def pushed(self, stream: FakeStream) -> list[dict[str, str]]:
        """The items of the roster pushes that came."""
        return [
            dict(item.attrs)
            for stanza in stream.take()
            if stanza.kind == "iq" and stanza.type == "set"
            for item in stanza.elements()[0].elements("item")
        ]
