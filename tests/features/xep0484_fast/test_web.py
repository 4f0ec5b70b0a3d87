"""A page in a browser that is loaded again, over WebSocket (RFC 7395): the same guest (mission A12)."""

from __future__ import annotations

from tests.auth.later import (
    FAST,
    MANAGED,
    REQUEST,
    LaterCase,
    authenticate,
    hashed,
    identity,
    plain,
    resume,
    resumptionId,
    tokenIn,
)
from tests.marks import spec
from tests.server import split
from tests.web import WebSocketClient, connectWeb, webServer
from xmppd.ixmppd import IClientStream
from xmppd.wire import ns


class PageTests(LaterCase):
    """Pages behind a reverse proxy."""

    def setUp(self) -> None:
        self.server = self.serve(**webServer(host=self.host))

    def page(self) -> WebSocketClient:
        """A page with its stream open."""
        client = connectWeb(self.server).upgrade()
        client.open()
        return client

    @spec("mission", "A12")
    @spec("RFC 7395", "3.7")
    def test_reloaded(self) -> None:
        """All in one round trip, without another C{<open/>}; what was missed comes in frames of its own."""
        page = self.page()
        page.send(authenticate("ANONYMOUS", None, MANAGED + REQUEST))
        success, features = page.take()
        jid = identity(self.succeeds([success]))
        self.assertEqual(split(features.tag), (ns.STREAMS, "features"))
        self.assertEqual(len([each for each in page.messages if each.startswith(b"<open ")]), 1)
        previd = resumptionId(success)
        juliet = self.server.login("juliet", "chamber")
        for round in range(3):
            page.cut()
            juliet.send(f"<message to='{jid}' id='m{round}' type='chat'><body>still there?</body></message>")
            page = self.page()
            data = hashed(jid.partition("@")[0], tokenIn(success))
            page.send(authenticate("HT-SHA-256-NONE", data, FAST + resume(previd, round)))
            success, message = page.take()[:2]
            self.assertEqual(identity(self.succeeds([success])), jid)
            self.assertEqual(message.get("id"), f"m{round}")
            self.assertTrue(page.messages[-2].startswith(b"<message "))

    def test_user(self) -> None:
        """A user as well; what comes while the login is at work comes behind it."""
        page = self.page()

        async def meanwhile(session: object) -> bytes:
            juliet = self.server.login("juliet", "chamber")
            juliet.send(f"<message to='{session.full}' id='m' type='chat'><body>x</body></message>")  # type: ignore[attr-defined]
            return b""

        self.server.host.inline.bound.append(meanwhile)
        page.send(authenticate("PLAIN", plain("romeo"), MANAGED))
        self.assertEqual([split(each.tag)[1] for each in page.take()][:3], ["success", "features", "message"])

    def test_interface(self) -> None:
        """The stream has what logins want of it."""
        self.page()
        (connection,) = self.server.server.connections
        self.assertTrue(IClientStream.providedBy(connection.stream))
        connection.stream.hold()
        connection.stream.write(b"<b xmlns='urn:x'/>")
        connection.stream.release(b"<a xmlns='urn:x'/>")
        self.server.pump()
