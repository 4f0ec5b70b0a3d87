"""
Stream management along with a login (XEP-0198 section 9): resuming in the C{<authenticate/>} of XEP-0388, enabling in
the C{<bind/>} of XEP-0386.
"""

from __future__ import annotations

from zope.interface import implementer

from xmppd.features.xep0198_sm.resumption import ADVERTISEMENT, ENABLE, StreamManagement
from xmppd.ixmppd import IHost, ILogin, ILoginFeature
from xmppd.wire import ns


@implementer(ILoginFeature)
class InlineResumption:
    """Acts before anything makes a session: a resumed one has a resource (section 9.2)."""

    rank = 20

    def __init__(self, management: StreamManagement) -> None:
        self._management = management

    def offer(self) -> bytes:
        """See L{ILoginFeature}."""
        return ADVERTISEMENT

    async def negotiate(self, login: ILogin) -> bytes:
        """See L{ILoginFeature}. What can't be resumed is told, and the client gets a new session if it wants one."""
        element = login.request.find("resume", ns.STREAM_MANAGEMENT)
        if element is None:
            return b""
        return await self._management.resumption(login.stream, element.attrs, login.resumed)


def joinInline(host: IHost, management: StreamManagement) -> None:
    """Offer stream management along with logins."""
    host.inline.add(InlineResumption(management))
    host.inline.bindable[ENABLE] = (ns.STREAM_MANAGEMENT, management.enableInline)
