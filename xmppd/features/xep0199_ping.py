"""
XMPP ping (XEP-0199): the server answers pings to its domain and those of a client to its own account.

Left out: pings to other accounts, which would tell who has one (they get the answer of accounts that don't exist);
and the server's own pings to silent clients, which belong to the idle check of the connection.
"""

from __future__ import annotations

from xmppd.hooks import EVERYWHERE, Feature, Spec
from xmppd.ixmppd import IHost, Request
from xmppd.wire import ns
from xmppd.wire.errors import StanzaCondition, StanzaError

PING = ns.PING + " ping"


def pong(request: Request) -> None:
    """An empty result (section 4.2)."""


def ownPong(request: Request) -> None:
    """An empty result to a client that left out C{to} or named its own account (section 4.2)."""
    if not request.own:
        raise StanzaError(StanzaCondition.SERVICE_UNAVAILABLE)


def join(host: IHost) -> None:
    """Answer for the domain and for one's own account."""
    host.respond("host", "get", PING, pong)
    host.respond("account", "get", PING, ownPong)


feature = Feature(
    name="xep0199_ping",
    specs=(Spec("XEP-0199", "2.0.1"),),
    namespaces=(ns.PING,),
    accountNamespaces=(ns.PING,),
    join=join,
    joins=EVERYWHERE,
)
