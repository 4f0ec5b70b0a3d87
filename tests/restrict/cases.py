"""What tests of guests' restrictions share: a server in memory that lets guests in, and clients from several addresses."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from typing import Any

from tests.server import MemoryServer, ServerCase, TestClient, show

LIMITS = "{urn:xmpp:errors}"


class GuestCase(ServerCase):
    """A server with guests."""

    def guests(self, guest: str = "", profile: str = "public", **named: Any) -> MemoryServer:
        """
        A server whose C{example.org} lets guests in.

        @param guest: lines of C{[host."example.org".guest]}.
        """
        host = f'guests = "{profile}"\n[host."example.org".guest]\n{guest}'
        self.server = self.serve(host=host, **named)
        return self.server

    def guest(self, address: str = "192.0.2.1", available: bool = False) -> TestClient:
        """A guest from an address."""
        client = self.server.connect(address=address).login(None)
        return client.available() if available else client

    def errors(self, client: TestClient) -> list[ET.Element]:
        """The error stanzas that have come."""
        return [each for each in client.take() if each.get("type") == "error"]

    def assertLimit(self, element: ET.Element, condition: str, application: str, type: str | None = None) -> None:
        """It is an error with that condition and that condition of XEP-0205."""
        self.assertError(element, condition, type)
        self.assertIsNotNone(element.find(f".//{LIMITS}{application}"), show(element))
        self.assertEqual([child.tag for child in element], ["{jabber:client}error"], "nothing of the stanza comes back")
