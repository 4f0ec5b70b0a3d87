"""
The session establishment of RFC 3921 section 3, which RFC 6121 dropped and older clients still send.

It does nothing. It is advertised as optional, so that clients that know this can leave it out.
"""

from __future__ import annotations

from zope.interface import implementer

from xmppd.hooks import Feature, Spec
from xmppd.ixmppd import IClientStream, IHost, IStreamFeature, Request
from xmppd.wire import ns
from xmppd.wire.errors import StanzaCondition, StanzaError
from xmppd.wire.stanza import Stanza

SESSION = ns.SESSION + " session"


@implementer(IStreamFeature)
class SessionEstablishment:
    """Advertised beside resource binding; the request itself comes on the established stream."""

    names: tuple[str, ...] = ()
    requires = frozenset({"authenticated"})
    forbids = frozenset({"bound"})
    rank = 31

    def advertise(self, stream: IClientStream) -> bytes:
        """See L{IStreamFeature}."""
        return f"<session xmlns='{ns.SESSION}'><optional/></session>".encode()

    def negotiate(self, stream: IClientStream, stanza: Stanza) -> None:
        """See L{IStreamFeature}: it is not negotiated before binding."""
        raise StanzaError(StanzaCondition.UNEXPECTED_REQUEST)


def establish(request: Request) -> None:
    """An empty result to a client of this server."""
    if request.session is None or not (request.own or request.target.isDomain):
        raise StanzaError(StanzaCondition.SERVICE_UNAVAILABLE)


def join(host: IHost) -> None:
    """Advertise, and answer with or without C{to}."""
    host.addStreamFeature(SessionEstablishment())
    host.respond("host", "set", SESSION, establish)
    host.respond("account", "set", SESSION, establish)


feature = Feature(name="rfc3921_session", specs=(Spec("RFC 3921"),), join=join)
