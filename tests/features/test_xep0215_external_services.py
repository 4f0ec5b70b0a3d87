"""Tests of L{xmppd.features.xep0215_external_services}."""

from __future__ import annotations

import hashlib
import hmac
from base64 import b64encode
from typing import Any

from tests.features.asking import AskingCase
from tests.marks import spec
from xmppd.features.xep0215_external_services import feature, mistake
from xmppd.wire.dates import dateTime
from xmppd.wire.element import Element

NS = "urn:xmpp:extdisco:2"
HOST = "example.org"
STUN = {"type": "stun", "host": "stun.example.org", "port": 3478, "transport": "udp"}
TURN = {"type": "turn", "host": "turn.example.org", "port": 3478, "transport": "udp", "secret": "north", "seconds": 600}
TURNS = {**TURN, "type": "turns", "port": 5349, "transport": "tcp"}
FTP = {"type": "ftp", "host": "ftp.example.org", "name": "Files & co", "username": "guest", "password": "guest"}


class ServicesCase(AskingCase):
    """A host with some services."""

    features = (feature,)
    settings: dict[str, Any] = {}

    def setUp(self) -> None:
        options = {(feature.name, "services"): (STUN, TURN, TURNS, FTP), **self.settings}
        self.options = {"options": options}
        super().setUp()

    def services(self, attributes: str = "") -> Element:
        """What Romeo is told."""
        answer = self.result(self.romeo, "get", f"<services xmlns='{NS}'{attributes}/>", HOST)
        assert answer is not None
        return answer


class ServicesTests(ServicesCase):
    """Requests."""

    @spec("XEP-0215", "2", "3.1", "5")
    def test_all(self) -> None:
        """All services, with what is known of them, and never a secret."""
        answer = self.services()
        self.assertEqual(answer.qname, f"{NS} services")
        self.assertEqual([each.attrs["type"] for each in answer.elements("service")], ["stun", "turn", "turns", "ftp"])
        stun, _, _, ftp = answer.elements("service")
        self.assertEqual(stun.attrs, {**STUN, "port": "3478"})
        self.assertEqual(ftp.attrs, FTP)
        self.assertNotIn(b"north", answer.toBytes())
        self.assertIn(NS, self.rig.host.namespaces)

    @spec("XEP-0215", "3.2")
    def test_selected(self) -> None:
        """Those of a type, which is mirrored."""
        answer = self.services(" type='turn'")
        self.assertEqual((answer.attrs, len(answer.children)), ({"type": "turn"}, 1))
        self.assertEqual(self.services(" type='x'").children, ())

    @spec("XEP-0215", "2", "3.3")
    def test_credentials(self) -> None:
        """Made of the secret as TURN servers check it; they expire, and don't say who it is."""
        payload = f"<credentials xmlns='{NS}'><service host='turn.example.org' type='turn'/></credentials>"
        answer = self.result(self.romeo, "get", payload, HOST)
        assert answer is not None
        (service,) = answer.elements("service")
        expires = int(self.rig.clock.seconds()) + 600
        stamp, _, user = service.attrs["username"].partition(":")
        self.assertEqual((int(stamp), service.attrs["expires"]), (expires, dateTime(expires)))
        digest = hmac.new(b"north", service.attrs["username"].encode(), hashlib.sha1).digest()
        self.assertEqual(service.attrs["password"], b64encode(digest).decode())
        self.assertNotIn("romeo", user)
        again = self.result(self.juliet, "get", payload, HOST)
        assert again is not None
        self.assertNotIn(user, next(again.elements()).attrs["username"])

    @spec("XEP-0215", "3.3")
    def test_which(self) -> None:
        """By host and type, and port if that is said; only where there are any."""
        for inner, condition in (
            ("", "bad-request"),
            ("<service host='turn.example.org'/>", "bad-request"),
            ("<service host='a' type='turn'/>", "item-not-found"),
            ("<service host='turn.example.org' type='turn' port='1'/>", "item-not-found"),
            ("<service host='stun.example.org' type='stun'/>", "item-not-found"),
        ):
            payload = f"<credentials xmlns='{NS}'>{inner}</credentials>"
            self.assertEqual(self.error(self.romeo, "get", payload, HOST), condition, inner)
        inner = "<service host='turn.example.org' type='turns' port='5349'/>"
        self.assertIsNotNone(self.result(self.romeo, "get", f"<credentials xmlns='{NS}'>{inner}</credentials>", HOST))

    @spec("XEP-0215", "2")
    def test_forbidden(self) -> None:
        """Guests are not told, unless that is set; nobody from elsewhere is."""
        guest = self.bind("guest@example.org/x", guest=True)
        self.assertEqual(self.error(guest, "get", f"<services xmlns='{NS}'/>", HOST), "forbidden")


class GuestsTests(ServicesCase):
    """Guests make calls, too."""

    settings = {(feature.name, "guests"): True}

    def test_told(self) -> None:
        """They are told."""
        guest = self.bind("guest@example.org/x", guest=True)
        self.assertIsNotNone(self.result(guest, "get", f"<services xmlns='{NS}'/>", HOST))


class OptionsTests(ServicesCase):
    """What may be configured."""

    def test_mistakes(self) -> None:
        """Each is told; secrets are not."""
        self.assertIsNone(mistake([STUN, TURN, FTP]))
        for service in (
            "turn", {"type": "turn"}, {"host": "x"}, {**STUN, "port": 0}, {**STUN, "port": 70000}, {**STUN, "port": "1"},
            {**STUN, "port": True}, {**STUN, "nmae": "x"}, {**TURN, "password": "x"}, {**TURN, "secret": ""}, {**TURN, "seconds": -1},
        ):
            wrong = mistake([STUN, service])
            assert wrong is not None, service
            self.assertTrue(wrong.startswith("service 2"))
            self.assertNotIn("north", wrong)
