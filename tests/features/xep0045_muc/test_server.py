"""
Rooms in the whole server: how they are configured, what guests leave behind, how they end.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET

from tests.marks import spec
from tests.server import MemoryServer, ServerCase, TestClient
from xmppd.config import ConfigurationError
from xmppd.ixmppd import ArchiveQuery

ROOMS = '[rooms."rooms.example.org"]\n'
USER = "{http://jabber.org/protocol/muc#user}"
OCCUPANT = "{urn:xmpp:occupant-id:0}occupant-id"
OPEN = "<query xmlns='http://jabber.org/protocol/muc#owner'><x xmlns='jabber:x:data' type='submit'/></query>"


def codes(element: ET.Element) -> set[str]:
    """The status codes."""
    return {each.attrib["code"] for each in element.iter(f"{USER}status")}


class WholeTests(ServerCase):
    """A server with a service of rooms."""

    def enter(self, client: TestClient, nick: str, room: str = "cave") -> list[ET.Element]:
        """Enter a room."""
        client.send(f"<presence to='{room}@rooms.example.org/{nick}'><x xmlns='http://jabber.org/protocol/muc'/></presence>")
        return client.take()

    def made(self, server: MemoryServer) -> TestClient:
        """Romeo has made a room."""
        romeo = server.login("romeo", "a")
        self.enter(romeo, "romeo")
        romeo.ask(f"<iq type='set' id='1' to='cave@rooms.example.org'>{OPEN}</iq>")
        return romeo

    def test_listed(self) -> None:
        """Its host lists it; administrators of the host are its own."""
        server = self.serve(more=ROOMS + 'name = "Talks"')
        romeo = server.login("romeo", "a")
        answer = romeo.ask("<iq type='get' id='1' to='example.org'><query xmlns='http://jabber.org/protocol/disco#items'/></iq>")
        (found,) = answer[0]
        self.assertEqual((found.get("jid"), found.get("name")), ("rooms.example.org", "Talks"))
        self.made(server)
        self.assertIn("owner", ET.tostring(self.enter(server.login("admin", "b"), "admin")[-2], "unicode"))

    @spec("XEP-0045", "11.2")
    def test_shutdown(self) -> None:
        """When the server stops, occupants hear 332 before their streams end, and nothing of each other's end."""
        server = self.serve(more=ROOMS)
        romeo = self.made(server)
        juliet = server.login("juliet", "a")
        self.enter(juliet, "juliet")
        romeo.take()
        server.stop()
        for client in (romeo, juliet):
            presences = [each for each in client.take() if each.tag.endswith("presence")]
            self.assertEqual([codes(each) for each in presences], [{"332", "110"}])

    def test_guest(self) -> None:
        """A guest's affiliations end with the guest."""
        server = self.serve(host='guests = "public"', more=ROOMS)
        romeo = self.made(server)
        guest = server.login(None)
        self.enter(guest, "guest")
        bare = guest.jid.partition("/")[0]
        romeo.take()
        item = f"<query xmlns='http://jabber.org/protocol/muc#admin'><item jid='{bare}' affiliation='member'/></query>"
        romeo.send(f"<iq type='set' id='2' to='cave@rooms.example.org'>{item}</iq>")
        rooms = server.server.serviceHosts["rooms.example.org"].rooms
        assert rooms is not None
        info = rooms.info("cave@rooms.example.org")
        assert info is not None
        self.assertIn(bare, info["affiliations"])
        guest.disconnect()
        info = rooms.info("cave@rooms.example.org")
        assert info is not None
        self.assertEqual((info["affiliations"], info["occupants"]), ({"romeo@example.org": "owner"}, 1))

    @spec("mission", "A7")
    @spec("XEP-0421", "4.1")
    def test_removed(self) -> None:
        """A later owner of a name has another occupant id, and what the earlier one said names nobody."""
        server = self.serve(more=ROOMS)
        romeo = self.made(server)

        def enter() -> tuple[TestClient, str]:
            juliet = server.login("juliet", "a")
            (own,) = (each for each in self.enter(juliet, "juliet") if "110" in codes(each))
            (id,) = (each.attrib["id"] for each in own.iter(OCCUPANT))
            return juliet, id

        juliet, first = enter()
        juliet.send("<message type='groupchat' id='m' to='cave@rooms.example.org'><body>secret</body></message>")
        juliet.disconnect()
        server.advance(60)
        juliet, again = enter()
        self.assertEqual(again, first)
        self.successResultOf(server.host.registrar.remove("juliet@example.org"))
        server.advance(60)
        self.successResultOf(server.host.registrar.create("juliet", "juliet"))
        self.assertNotEqual(enter()[1], first)
        page = self.successResultOf(server.store.archives.query("cave@rooms.example.org", ArchiveQuery()))
        self.assertEqual([each.sender for each in page.messages], [""])
        self.assertTrue(romeo.take())

    def test_stopReading(self) -> None:
        """Who doesn't read is taken out by the bound of the queue, and the others go on."""
        server = self.serve("send_queue_bytes = 100000", more=ROOMS)
        romeo = self.made(server)
        juliet = server.login("juliet", "a")
        self.enter(juliet, "juliet")
        romeo.take()
        juliet.transport.capacity = 0
        for number in range(40):
            romeo.send(f"<message type='groupchat' id='{number}' to='cave@rooms.example.org'><body>{'x' * 5000}</body></message>")
        got = romeo.take()
        self.assertEqual(len([each for each in got if each.tag.endswith("message")]), 40)
        self.assertEqual(len([each for each in got if each.tag.endswith("presence")]), 1)

    def test_options(self) -> None:
        """A mistake in the table keeps the server from starting."""
        for line in ("rooms_maximum = 1", 'create = "nobody"', "nick_octets = 0"):
            error = self.assertRaises(ConfigurationError, self.serve, more=ROOMS + line)
            self.assertIn('rooms."rooms.example.org"', str(error))
