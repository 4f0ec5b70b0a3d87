"""Rooms that the server's own administration makes: L{IRooms.establish}."""

from __future__ import annotations

from tests.server import ServerCase
from xmppd.ixmppd import IRooms
from xmppd.wire.errors import StanzaError

SERVICE = "rooms.example.org"
LOBBY = f"lobby@{SERVICE}"
OWNER = "admin@example.org"


class EstablishTests(ServerCase):
    """A room that is there without anybody having entered it."""

    def rooms(self) -> IRooms:
        """The service of a server with one."""
        self.server = self.serve(host='admins = ["admin@example.org"]', more=f'[rooms."{SERVICE}"]\n')
        rooms = self.server.server.serviceHosts[SERVICE].rooms
        assert rooms is not None
        return rooms

    def test_made(self) -> None:
        """It stays, is unlocked, and everybody may enter; making it again changes nothing."""
        rooms = self.rooms()
        self.successResultOf(rooms.establish(LOBBY, OWNER, "Lobby"))
        self.successResultOf(rooms.establish(LOBBY, OWNER, "Another name"))
        info = rooms.info(LOBBY)
        assert info is not None
        self.assertEqual((info["name"], info["locked"], info["config"]["persistent"]), ("Lobby", False, True))
        self.assertEqual(info["affiliations"], {OWNER: "owner"})
        romeo = self.server.login("romeo", "orchard")
        romeo.send(f"<presence to='{LOBBY}/Romeo'><x xmlns='http://jabber.org/protocol/muc'/></presence>")
        self.assertIn(f"{LOBBY}/Romeo", [each.get("from") for each in romeo.take()])
        romeo.send("</stream:stream>")
        self.server.advance(1000)
        self.assertEqual(list(rooms.names()), [LOBBY])

    def test_refused(self) -> None:
        """Not at another domain, and not for whoever may not make rooms."""
        rooms = self.rooms()
        for room, owner in (("lobby@example.org", OWNER), (f"{LOBBY}/x", OWNER), (SERVICE, OWNER), (LOBBY, "nobody@example.net")):
            self.failureResultOf(rooms.establish(room, owner, ""), StanzaError)
        self.assertEqual(list(rooms.names()), [])
