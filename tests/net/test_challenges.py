"""Tests for L{xmppd.net.challenges}."""

from __future__ import annotations

import os
from pathlib import Path

from zope.interface.verify import verifyObject

from tests.marks import spec
from tests.server import MemoryServer, ServerCase
from tests.web import WebSocketClient, connectWeb
from xmppd.ixmppd import IWebResource
from xmppd.net.challenges import MOST_OCTETS, PATH, Challenges

TOKEN = "evaGxfADs6pSRb2LAv9IZf17Dt3juxGJ-PCt92wr-oA"
ANSWER = f"{TOKEN}.9jg46WB3rR_AHD-EBXdN7cBkH1WOu0tA3M9fm21mqTI".encode()


@spec("RFC 8555", "8.3")
class ChallengesTests(ServerCase):
    """Answers by HTTP."""

    def setUp(self) -> None:
        self.folder = Path(self.mktemp()).absolute()
        self.folder.mkdir()
        (self.folder / TOKEN).write_bytes(ANSWER)

    def begin(self) -> MemoryServer:
        """A server that has them."""
        return self.serve(listen='http = ["tcp:80"]', more=f'[web]\nacme_challenge = "{self.folder}"')

    def get(self, server: MemoryServer, path: str, method: str = "GET") -> WebSocketClient:
        """Ask as an authority does, from anywhere and for any of our domains."""
        client = connectWeb(server, 80, "192.0.2.1")
        client.octets(f"{method} {path} HTTP/1.1\r\nHost: rooms.example.org\r\n\r\n".encode())
        return client

    def test_answered(self) -> None:
        """The file, as it is; nothing to run in a browser."""
        response = self.get(self.begin(), f"{PATH}/{TOKEN}")
        self.assertEqual((response.status, response.body), (200, ANSWER))
        self.assertEqual(response.headers["content-type"], "application/octet-stream")
        self.assertEqual(response.headers["x-content-type-options"], "nosniff")

    def test_requests(self) -> None:
        """Other methods, and tokens that aren't there."""
        server = self.begin()
        self.assertEqual(self.get(server, f"{PATH}/{TOKEN}", "HEAD").body, b"")
        self.assertEqual(self.get(server, f"{PATH}/{TOKEN}", "DELETE").status, 405)
        for path in (f"{PATH}/other", PATH, f"{PATH}/", f"{PATH}//{TOKEN}", f"{PATH}/{TOKEN}/"):
            self.assertEqual(self.get(server, path).status, 404, path)

    def test_off(self) -> None:
        """Without the option nothing is there."""
        server = self.serve(listen='http = ["tcp:80"]')
        self.assertEqual(self.get(server, f"{PATH}/{TOKEN}").status, 404)

    def test_elsewhere(self) -> None:
        """No way leads out of the folder, or to what is no answer."""
        secret = self.folder.parent / "secret"
        secret.write_text("secret")
        (self.folder / "below").mkdir()
        (self.folder / "a.pem").write_text("secret")
        (self.folder / "link").symlink_to(secret)
        (self.folder / "large").write_bytes(b"x" * (MOST_OCTETS + 1))
        os.mkfifo(self.folder / "pipe")
        server = self.begin()
        for name in ("../secret", "..%2fsecret", "%2e%2e/secret", "..", ".", "below", "a.pem", "link", "large", "pipe", f"{TOKEN}%00", "a" * 200):
            response = self.get(server, f"{PATH}/{name}")
            self.assertEqual(response.status, 404, name)
            self.assertNotIn(b"secret\n", response.body)

    def test_gone(self) -> None:
        """A folder that isn't there has no answers."""
        challenges = Challenges(self.folder / "nothing")
        self.assertTrue(verifyObject(IWebResource, challenges))
        self.assertIsNone(challenges.answer(TOKEN))
