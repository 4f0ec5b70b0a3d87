"""
What tests of later logins share: a client of XEP-0388 in memory, and what it says.
"""

from __future__ import annotations

import hmac
import xml.etree.ElementTree as ET
from base64 import b64decode, b64encode
from typing import Any

from tests.server import DOMAIN, MemoryServer, ScramClient, ServerCase, TestClient, show, split
from xmppd.wire import ns

AGENT = "d4565fa7-4d72-4749-b3d3-740edbf87770"
OTHER = "e4565fa7-4d72-4749-b3d3-740edbf87771"
GUESTS = "guests = 'public'\n"
REQUEST = f"<request-token xmlns='{ns.FAST}' mechanism='HT-SHA-256-NONE'/>"
FAST = f"<fast xmlns='{ns.FAST}'/>"
BIND = f"<bind xmlns='{ns.BIND2}'><tag>Tests</tag></bind>"
MANAGED = f"<bind xmlns='{ns.BIND2}'><enable xmlns='{ns.STREAM_MANAGEMENT}' resume='true'/></bind>"


def authenticate(mechanism: str, data: bytes | None = None, inner: str = "", agent: str | None = AGENT) -> str:
    """An C{<authenticate/>}."""
    initial = "" if data is None else f"<initial-response>{b64encode(data).decode()}</initial-response>"
    user = "" if agent is None else f"<user-agent id='{agent}'><software>Tests</software></user-agent>"
    return f"<authenticate xmlns='{ns.SASL2}' mechanism='{mechanism}'>{initial}{user}{inner}</authenticate>"


def response(data: bytes) -> str:
    """A C{<response/>}."""
    return f"<response xmlns='{ns.SASL2}'>{b64encode(data).decode()}</response>"


def plain(name: str, password: str | None = None, authzid: str = "") -> bytes:
    """The message of PLAIN."""
    return f"{authzid}\0{name}\0{name if password is None else password}".encode()


def hashed(name: str, token: str, binding: bytes = b"") -> bytes:
    """The message of HT."""
    return name.encode() + b"\0" + hmac.digest(token.encode(), b"Initiator" + binding, "sha256")


def resume(previd: str, h: int = 0) -> str:
    """A C{<resume/>}."""
    return f"<resume xmlns='{ns.STREAM_MANAGEMENT}' previd='{previd}' h='{h}'/>"


def find(element: ET.Element, namespace: str, name: str) -> ET.Element | None:
    """The first descendant of that name."""
    return next(element.iter(f"{{{namespace}}}{name}"), None)


def identity(success: ET.Element) -> str:
    """Who a login has made of the client."""
    return success.findtext(f"{{{ns.SASL2}}}authorization-identifier") or ""


def tokenIn(success: ET.Element) -> str:
    """The token that a login has given out, or nothing."""
    found = find(success, ns.FAST, "token")
    return "" if found is None else found.get("token", "")


def resumptionId(success: ET.Element) -> str:
    """What the session can be resumed by."""
    found = find(success, ns.STREAM_MANAGEMENT, "enabled")
    assert found is not None, show(success)
    return found.get("id", "")


class LaterCase(ServerCase):
    """A server with TLS and guests."""

    host = GUESTS
    more: dict[str, Any] = {}

    def setUp(self) -> None:
        self.server: MemoryServer = self.serve(tls=True, host=self.host, **self.more)

    def opened(self, attributes: str = "", address: str = "192.0.2.1") -> TestClient:
        """A client whose stream is open and under TLS."""
        client = self.server.connect(address=address)
        client.open()
        client.startTLS()
        client.open(DOMAIN, attributes)
        return client

    def succeeds(self, answers: list[ET.Element]) -> ET.Element:
        """The success that comes first."""
        self.assertTrue(answers, "there was no answer")
        self.assertEqual(split(answers[0].tag), (ns.SASL2, "success"), show(answers[0]))
        return answers[0]

    def login(self, data: bytes | None, inner: str = "", mechanism: str = "PLAIN", **named: Any) -> Any:
        """A client that has logged in, and the success."""
        client = self.opened()
        client.send(authenticate(mechanism, data, inner, **named))
        success = self.succeeds(client.take())
        client.jid = identity(success)
        return client, success

    def guest(self, inner: str = MANAGED + REQUEST, **named: Any) -> Any:
        """The same as a guest."""
        return self.login(None, inner, "ANONYMOUS", **named)

    def fails(self, client: TestClient, sent: str, condition: str) -> None:
        """What is sent is answered with a failure, and nothing else."""
        answer = client.ask(sent)
        self.assertEqual(split(answer.tag), (ns.SASL2, "failure"), show(answer))
        self.assertEqual(split(answer[0].tag), (ns.SASL, condition), show(answer))

    def scram(
        self, client: TestClient, name: str, mechanism: str = "SCRAM-SHA-256", inner: str = "", **named: Any
    ) -> list[ET.Element]:
        """SCRAM, with the server's proof checked; answers what comes in the end."""
        exchange = ScramClient(mechanism, name, named.pop("password", name), **named)
        challenge = client.ask(authenticate(mechanism, exchange.first(), inner))
        self.assertEqual(split(challenge.tag), (ns.SASL2, "challenge"), show(challenge))
        client.send(response(exchange.final(b64decode(challenge.text or ""))))
        answers = client.take()
        additional = answers[0].findtext(f"{{{ns.SASL2}}}additional-data")
        if additional is not None:
            exchange.check(b64decode(additional))
        return answers
