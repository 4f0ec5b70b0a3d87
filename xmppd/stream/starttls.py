"""
STARTTLS for client streams (RFC 6120 section 5).
"""

from __future__ import annotations

from zope.interface import implementer

from xmppd.ixmppd import IClientStream, IStreamFeature
from xmppd.wire import ns
from xmppd.wire.stanza import Stanza


@implementer(IStreamFeature)
class StartTLS:
    """Offered while there is no TLS and there is a certificate for the domain."""

    names = (ns.TLS + " starttls",)
    requires: frozenset[str] = frozenset()
    forbids = frozenset({"tls", "authenticated"})
    rank = 10

    def advertise(self, stream: IClientStream) -> bytes:
        """See L{IStreamFeature}."""
        if not self._possible(stream):
            return b""
        required = b"<required/>" if stream.reception.requireTLS else b""
        return f"<starttls xmlns='{ns.TLS}'>".encode() + required + b"</starttls>"

    def negotiate(self, stream: IClientStream, stanza: Stanza) -> None:
        """See L{IStreamFeature}."""
        if not self._possible(stream):
            stream.write(f"<failure xmlns='{ns.TLS}'/>".encode())
            stream.close()
            return
        stream.write(f"<proceed xmlns='{ns.TLS}'/>".encode())
        stream.startTLS()

    def _possible(self, stream: IClientStream) -> bool:
        host = stream.host
        return host is not None and stream.transport.canStartTLS(host.domain)
