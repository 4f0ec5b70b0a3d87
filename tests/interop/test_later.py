"""
Later logins (XEP-0388, 0386, 0484, 0198) with a client on Python's own sockets and C{ssl}, against a server in a
process of its own: what a client library does that knows these documents, and nothing of this server.
"""

from __future__ import annotations

import hmac
import re
import socket
import ssl
import uuid
from base64 import b64decode, b64encode

from tests.interop.daemon import GUESTS, DaemonTestCase
from tests.marks import spec

SASL2 = "urn:xmpp:sasl:2"
NONE = "HT-SHA-256-NONE"
FAST = "urn:xmpp:fast:0"
SM = "urn:xmpp:sm:3"


class Page:
    """
    A client that keeps what it needs to come back: what a page in a browser keeps in its session storage.

    @ivar jid: the full JID.
    @ivar got: everything that came on the present connection.
    """

    def __init__(self, port: int, domain: str) -> None:
        self._port = port
        self._domain = domain
        self._agent = str(uuid.uuid4())
        self._token = self._previd = ""
        self._h = 0
        self.jid = ""
        self.got = ""

    def connect(self) -> None:
        """Connect, with TLS from the first octet, and see what is offered."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        raw = socket.create_connection(("127.0.0.1", self._port), 20)
        self._socket = context.wrap_socket(raw, server_hostname=self._domain)
        self._socket.settimeout(20)
        self.got = ""
        self.send(
            f"<?xml version='1.0'?><stream:stream xmlns='jabber:client' to='{self._domain}' version='1.0'"
            " xmlns:stream='http://etherx.jabber.org/streams'>"
        )
        self.until("</stream:features>")

    def send(self, text: str) -> None:
        """Send."""
        self._socket.sendall(text.encode())

    def until(self, text: str) -> str:
        """Read until something has come; answers what has come since the last time."""
        begun = len(self.got)
        while text not in self.got[begun:]:
            data = self._socket.recv(65536)
            if not data:
                raise AssertionError(f"closed after {self.got[-500:]}")
            self.got += data.decode()
        return self.got[begun:]

    def cut(self) -> None:
        """Lose the connection: the page is loaded again."""
        self._socket.close()

    def _authenticate(self, mechanism: str, data: bytes | None, inner: str) -> str:
        initial = "" if data is None else f"<initial-response>{b64encode(data).decode()}</initial-response>"
        self.send(
            f"<authenticate xmlns='{SASL2}' mechanism='{mechanism}'>{initial}<user-agent id='{self._agent}'/>"
            f"{inner}</authenticate>"
        )
        return self.until("</success>")

    def _note(self, success: str) -> None:
        """Keep what is needed to come back."""
        for name, pattern in (("_token", r"token='([^']+)'"), ("_previd", r"<enabled [^>]*id='([^']+)'")):
            found = re.search(pattern, success)
            if found:
                setattr(self, name, found[1])
        self.jid = re.search("<authorization-identifier>([^<]+)<", success)[1]  # type: ignore[index]

    def login(self, mechanism: str, data: bytes | None) -> str:
        """Come for the first time: all in one round trip."""
        self.connect()
        success = self._authenticate(
            mechanism, data,
            f"<bind xmlns='urn:xmpp:bind:0'><tag>page</tag><enable xmlns='{SM}' resume='true'/></bind>"
            f"<request-token xmlns='{FAST}' mechanism='{NONE}'/>",
        )
        self._note(success)
        return success

    def again(self) -> str:
        """Come back: all in one round trip, and the server has to prove that it knows the token."""
        self.connect()
        token = self._token.encode()
        data = self.jid.partition("@")[0].encode() + b"\0" + hmac.digest(token, b"Initiator", "sha256")
        success = self._authenticate(
            NONE, data, f"<fast xmlns='{FAST}'/><resume xmlns='{SM}' previd='{self._previd}' h='{self._h}'/>"
        )
        answer = re.search("<additional-data>([^<]+)<", success)
        if answer is None or b64decode(answer[1]) != hmac.digest(token, b"Responder", "sha256"):
            raise AssertionError("the server doesn't know the token")
        self._note(success)
        return success


class LaterLoginTests(DaemonTestCase):
    """A user, and a guest whose page is loaded again."""

    def page(self, domain: str) -> Page:
        """A client."""
        page = Page(self.daemon.tlsPort, domain)
        self.addCleanup(lambda: page.cut())
        return page

    @spec("XEP-0388", "2.6.1")
    @spec("XEP-0484", "3.4")
    @spec("XEP-0198", "9.2")
    def test_user(self) -> None:
        """Password once, then a token; also after a restart of the server, where the session comes back too."""
        self.daemon.addAccount("romeo")
        page = self.page("example.org")
        page.login("PLAIN", b"\0romeo\0romeo")
        jid = page.jid
        self.assertIn("romeo@example.org/page/", jid)
        page.cut()
        self.assertIn("<resumed ", page.again())
        self.assertEqual(page.jid, jid)
        self.daemon.stop()
        self.daemon.start()
        self.assertIn("<resumed ", page.again())
        self.assertEqual(page.jid, jid)

    @spec("mission", "A12")
    def test_guest(self) -> None:
        """The same occupant, several times; when it has left, somebody else."""
        page = self.page(GUESTS)
        page.login("ANONYMOUS", None)
        jid = page.jid
        page.send("<presence/>")
        page.until("<presence")
        for _ in range(3):
            page.cut()
            self.assertIn("<resumed ", page.again())
            self.assertEqual(page.jid, jid)
        page.send("</stream:stream>")
        page.until("</stream:stream>")
        page.cut()
        page.connect()
        page.send(f"<authenticate xmlns='{SASL2}' mechanism='ANONYMOUS'><bind xmlns='urn:xmpp:bind:0'/></authenticate>")
        self.assertNotIn(jid.partition("@")[0], page.until("</success>"))
