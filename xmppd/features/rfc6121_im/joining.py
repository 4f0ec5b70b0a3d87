"""
How RFC 6121 joins a host.
"""

from __future__ import annotations

from typing import Final

from zope.interface import implementer

from xmppd.features.rfc6121_im.presence import Presence
from xmppd.features.rfc6121_im.queries import QUERY, RosterQueries
from xmppd.features.rfc6121_im.rosters import Rosters
from xmppd.hooks import Feature, Option, Spec
from xmppd.ixmppd import IClientStream, IHost, ISession, IStreamFeature
from xmppd.wire import ns
from xmppd.wire.stanza import Stanza

NAME: Final = "rfc6121_im"


@implementer(IStreamFeature)
class Announcement:
    """A stream feature that only says that there is something (sections 2.6.1, 3.4)."""

    names = ()
    requires = frozenset({"authenticated"})
    forbids = frozenset({"bound"})
    rank = 900

    def __init__(self, element: bytes) -> None:
        self._element = element

    def advertise(self, stream: IClientStream) -> bytes:
        """See L{IStreamFeature}."""
        return self._element

    def negotiate(self, stream: IClientStream, stanza: Stanza) -> None:
        """Nothing to negotiate: it has no names."""


def join(host: IHost) -> None:
    """Give a host rosters and presence."""
    rosters = Rosters(host)
    queries = RosterQueries(host, rosters)
    presence = Presence(host, rosters, queries, host.option(NAME, "strangers_may_ask"))
    host.presence = presence

    def ended(session: ISession) -> None:
        rosters.release(session.bare)

    host.respond("account", "get", QUERY, queries.get)
    host.respond("account", "set", QUERY, queries.set)
    host.hooks.loading.addObserver(rosters.load)
    host.hooks.bound.addObserver(rosters.bound)
    host.hooks.bound.addObserver(presence.bound)
    host.hooks.bound.addObserver(presence.subscriptions.lines.bound)
    host.hooks.ended.addObserver(ended)
    host.hooks.removed.addObserver(presence.subscriptions.forget)
    host.addStreamFeature(Announcement(f"<ver xmlns='{ns.ROSTER_VERSIONING}'/>".encode()))
    host.addStreamFeature(Announcement(f"<sub xmlns='{ns.PRE_APPROVAL}'/>".encode()))


feature = Feature(
    name=NAME,
    specs=(Spec("RFC 6121"),),
    namespaces=(ns.ROSTER,),
    options={
        "strangers_may_ask": Option(
            False,
            "Whether requests (IQs) to a client are delivered though its user shows no presence to who asks; RFC 6121 "
            "section 8.5.3.1 advises against it.",
        )
    },
    join=join,
)
