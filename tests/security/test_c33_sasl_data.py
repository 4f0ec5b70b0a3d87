"""C33: SASL data that is no base64, or not what the mechanism reads."""

from __future__ import annotations

from tests.marks import spec
from tests.security.attack import AttackCase
from tests.server import TestClient, auth
from xmppd.wire import ns


@spec("RFC 6120", "6.5.5", "6.5.8", "13.9.1")
class DataTests(AttackCase):
    """A failure that says which; the stream lives on."""

    def failing(self, *conditions: str) -> object:
        """Checks for one of these failures."""
        def check(client: TestClient) -> None:
            failure = client.one()
            self.assertEqual(failure.tag, f"{{{ns.SASL}}}failure")
            self.assertIn(failure[0].tag, [f"{{{ns.SASL}}}{condition}" for condition in conditions])
            self.assertSuccess(client.plain("mallory"))

        return check

    def test_encoding(self) -> None:
        """What is no base64."""
        for text in ("!", "AG1hbGxvcnk", "AG1hbGxvcnkAbWFsbG9yeQ", "AG1hbGxvcnkAbWFsbG9yeQ===", "AG1h bGxvcnkAbWFsbG9yeQ==",
                     "\N{SNOWMAN}", "====", "A===", "=AAA", "AG1hbGxvcnkAbWFsbG9yeR=="):
            data = f"<auth xmlns='{ns.SASL}' mechanism='PLAIN'>{text}</auth>"
            self.eachWay("opened", data, self.failing("incorrect-encoding"))  # type: ignore[arg-type]

    def test_plain(self) -> None:
        """PLAIN with 0, 1, 3 separators, an empty user or password, no text at all, far too much of it."""
        for data in (b"", b"mallory", b"mallory\0mallory", b"\0a\0b\0c", b"\0\0mallory", b"\0mallory\0", b"\0\0", b"\0\0\0",
                     b"\xff\0\xfe\0\xfd", b"\0mallory\0\xed\xa0\x80", b"\0" + b"a" * 4096 + b"\0b"):
            self.eachWay("opened", auth("PLAIN", data), self.failing("malformed-request"))  # type: ignore[arg-type]

    def test_longNames(self) -> None:
        """Names whose preparation would take long if anybody tried."""
        for name in ("\N{COMBINING DIAERESIS}\N{COMBINING CEDILLA}" * 900, "a" * 4000, "\N{ARABIC LIGATURE SALLALLAHOU ALAYHE WASALLAM}" * 1000):
            data = auth("PLAIN", b"\0" + name.encode() + b"\0x")
            self.eachWay("opened", data, self.failing("not-authorized"), chunks=(None,))  # type: ignore[arg-type]

    def test_scram(self) -> None:
        """SCRAM's messages, mutilated."""
        for data in (b"", b"n", b"n,", b"n,,", b"n,,n=,r=x", b"n,,n=a=b,r=x", b"y,a=,n=a,r=x", b"q,,n=a,r=x", b"n,,r=x,n=a", b"n,,n=a,r=",
                     b"n,,n=a,r=\x80", b"n,,n=a,r=a,b", b"n,,m=1,n=a,r=x", b"p=tls-unique,,n=a,r=x", b"n,,n=" + b"a" * 5000 + b",r=x"):
            self.eachWay("opened", auth("SCRAM-SHA-256", data), self.failing("malformed-request"))  # type: ignore[arg-type]
