"""L{xmppd.trust.hello}: hellos that OpenSSL understands, and answers in whatever pieces they come."""

from __future__ import annotations

from OpenSSL import SSL
from twisted.trial.unittest import SynchronousTestCase

from tests.trust.handshakes import ownContext
from xmppd.trust.hello import (
    BAD_SUITES,
    EXTENDED_MASTER_SECRET,
    SUITES,
    VERSIONS,
    clientHello,
    isOldAnswer,
    oldHello,
    readAnswer,
)


def answerTo(hello: bytes) -> bytes:
    """What OpenSSL's server says."""
    server = SSL.Connection(ownContext(SSL.TLS_SERVER_METHOD, lambda *arguments: True), None)
    server.set_accept_state()
    server.bio_write(hello)
    try:
        server.do_handshake()
    except SSL.Error:
        pass
    try:
        return server.bio_read(1 << 16)
    except SSL.WantReadError:
        return b""


class HelloTests(SynchronousTestCase):
    """L{clientHello} and L{readAnswer}."""

    def test_accepted(self) -> None:
        """A good hello has a whole answer, however it is cut."""
        data = answerTo(clientHello(VERSIONS["TLSv1.2"], "own.example"))
        answer = readAnswer(data)
        assert answer is not None
        self.assertEqual((answer.alert, answer.version, answer.compresses), (None, 0x0303, False))
        self.assertIn("ECDHE-ECDSA", SUITES[answer.suite])
        self.assertIn(EXTENDED_MASTER_SECRET, answer.extensions)
        self.assertIn(answer.group, (29, 23, 24))
        found = [readAnswer(data[:end]) for end in range(len(data) + 1)]
        self.assertEqual({each for each in found if each is not None}, {answer})

    def test_refused(self) -> None:
        """Suites that nobody has any more, and old versions, are refused by an alert."""
        for hello in (
            clientHello(VERSIONS["TLSv1.2"], "", [0x0005, 0x0001]),
            clientHello(VERSIONS["SSLv3"], ""),
        ):
            answer = readAnswer(answerTo(hello))
            assert answer is not None
            self.assertIsNotNone(answer.alert)

    def test_warning(self) -> None:
        """A warning is no answer."""
        self.assertIsNone(readAnswer(b"\x15\x03\x01\x00\x02\x01\x70"))

    def test_nonsense(self) -> None:
        """What isn't TLS is told, whatever it is."""
        for data in (b"HTTP/1.1 400 Bad Request", b"\x15\x03\x01\x00\x01\x02", b"\x16\x03\x03\x00\x08\x02\0\0\x04\x03\x03\0\0"):
            self.assertRaises(ValueError, readAnswer, data)

    def test_oldest(self) -> None:
        """SSL 2.0 isn't understood any more; what would be an answer in it is told from alerts."""
        self.assertFalse(isOldAnswer(answerTo(oldHello())))
        self.assertTrue(isOldAnswer(bytes.fromhex("800b0400010002")))
        self.assertFalse(isOldAnswer(b"\x15\x03\x01\x00\x02\x02\x46"))
        length = int.from_bytes(oldHello()[:2], "big") & 0x7FFF
        self.assertEqual(len(oldHello()), length + 2)

    def test_bad(self) -> None:
        """What RFC 9325 recommends isn't bad."""
        self.assertNotIn(0xC02B, BAD_SUITES)
        self.assertIn(0x009C, BAD_SUITES)
