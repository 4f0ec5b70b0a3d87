"""
Resource binding (RFC 6120 section 7).
"""

from __future__ import annotations

from twisted.python.failure import Failure
from zope.interface import implementer

from xmppd.ixmppd import IClientStream, ISession, IStreamFeature, StoreUnavailable
from xmppd.wire import ns
from xmppd.wire.element import Element
from xmppd.wire.errors import StanzaCondition, StanzaError
from xmppd.wire.stanza import Stanza

BIND = ns.BIND + " bind"


@implementer(IStreamFeature)
class Binding:
    """Offered after authentication; establishes the stream."""

    names = (BIND,)
    requires = frozenset({"authenticated"})
    forbids = frozenset({"bound"})
    rank = 30

    def advertise(self, stream: IClientStream) -> bytes:
        """See L{IStreamFeature}."""
        return f"<bind xmlns='{ns.BIND}'/>".encode()

    def negotiate(self, stream: IClientStream, stanza: Stanza) -> None:
        """See L{IStreamFeature}."""
        if stanza.type != "set" or not stanza.id:
            raise StanzaError(StanzaCondition.BAD_REQUEST, "Binding is an IQ of type set with an id.")
        resource = self._requested(stanza)
        assert stream.host is not None
        bound = stream.host.bind(stream, resource)
        bound.addCallbacks(self._bound, self._refused, callbackArgs=(stream, stanza), errbackArgs=(stream, stanza))
        stream.waitFor(bound)

    def _requested(self, stanza: Stanza) -> str | None:
        """The resource the client would like, or None."""
        bind = stanza.elements()[0]
        return bind.textOf("resource") or None

    def _bound(self, session: ISession, stream: IClientStream, stanza: Stanza) -> None:
        if stream.closed:
            session.end()
            return
        stream.established(session)
        jid = Element("jid", ns.BIND, {}, (session.full,))
        payload = Element("bind", ns.BIND, {}, (jid,))
        stream.transmit(stanza.result(payload))

    def _refused(self, failure: Failure, stream: IClientStream, stanza: Stanza) -> None:
        error = failure.value
        if isinstance(error, StoreUnavailable):
            error = StanzaError(StanzaCondition.RESOURCE_CONSTRAINT, "The database is not available.")
        if not isinstance(error, StanzaError):
            failure.raiseException()
        stream.transmit(stanza.error(error))


def refuseSecondBinding(request: object) -> None:
    """
    Answers a bind on an established stream, whatever it is addressed to: one resource per stream here (RFC 6120
    sections 7.3.1 and 7.6.2.2).
    """
    raise StanzaError(StanzaCondition.NOT_ALLOWED, "The stream has a resource already.")
