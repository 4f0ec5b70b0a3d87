"""
A guest that leaves everything, at a real server with a real database: nothing is left when it has gone politely, when
its cable was cut and nobody resumes, and when the server was killed with it (XEP-0175 section 3).

The whole database is compared, table by table, and the files, and Juliet's roster. What she and Romeo were told is
theirs: a message that waits for Romeo, words in the archive of a room, which name nobody any more.
"""

from __future__ import annotations

import base64
import http.client
import shutil
import socket
import ssl
import tempfile
import time
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

from sqlalchemy import create_engine
from twisted.trial.unittest import SynchronousTestCase

from tests.interop.daemon import ADDRESS, DOMAIN, Daemon
from tests.leaving import SERVICES, live, prepare, settled
from tests.marks import spec
from tests.store import cluster
from xmppd.store.sql.schema import metadata

PATIENCE = 30.0
"""Seconds after which waiting is given up."""

CONFIGURATION = """\
data = "data"
[listen]
c2s = ["tcp:{{port}}:interface=127.0.0.1"]
c2s_tls = ["tcp:{{tlsPort}}:interface=127.0.0.1"]
http = ["tcp:{http}:interface=127.0.0.1"]
[tls]
certificates = "certs"
[log]
file = "log"
[store]
{store}
[limits]
enabled = false
management_seconds = 1
{{limits}}
[host."example.org"]
guests = "specialized"
[host."example.org".features.xep0313_archive]
accounts = true
{services}
url = "http://127.0.0.1:{http}"
"""

COUNTING = {"version", "forgotten", "position", "last_activity", "last_status"}
"""Columns that only count, or say when Juliet was here last."""

COUNTERS = {"counters", "rosters"}
"""Tables of such numbers."""

HEADER = (
    f"<stream:stream to='{DOMAIN}' version='1.0' xmlns='jabber:client' "
    "xmlns:stream='http://etherx.jabber.org/streams'>"
)
STANZA = "{jabber:client}"


class Wire:
    """A client on a socket with TLS, as L{tests.leaving.Client} wants it."""

    def __init__(self, port: int, name: str | None) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        plain = socket.create_connection((ADDRESS, port), PATIENCE)
        self._socket = context.wrap_socket(plain, server_hostname=DOMAIN)
        self.heard: list[ET.Element] = []
        self._open()
        given = "" if name is None else base64.b64encode(f"\0{name}\0{name}".encode()).decode()
        mechanism = "ANONYMOUS" if name is None else "PLAIN"
        self.send(f"<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='{mechanism}'>{given}</auth>")
        self.until(lambda each: each.tag.endswith("success"))
        self._open()
        bound = self.ask("<iq type='set' id='i'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>")
        self.jid = next(each.text or "" for each in bound.iter() if each.tag.endswith("}jid"))

    def _open(self) -> None:
        self._parser = ET.XMLPullParser(("start", "end"))
        self._depth = 0
        self.send(HEADER)
        self.until(lambda each: each.tag.endswith("features"))

    def send(self, data: str) -> None:
        """Send."""
        self._socket.sendall(data.encode())

    def until(self, wanted: Any) -> ET.Element:
        """Read until an element comes."""
        while True:
            for event, element in self._parser.read_events():
                self._depth += 1 if event == "start" else -1
                if event == "end" and self._depth == 1:
                    self.heard.append(element)
                    if wanted(element):
                        return element
            data = self._socket.recv(65536)
            if not data:
                raise ConnectionError("the server has ended the stream")
            self._parser.feed(data)

    def ask(self, data: str) -> ET.Element:
        """See L{tests.leaving.Client}."""
        self.send(data)
        return self.until(lambda each: each.tag == STANZA + "iq" and each.get("id") == "i" and each.get("type") != "set")

    def say(self, data: str) -> None:
        """See L{tests.leaving.Client}; what follows at others' rosters has time until the second answer."""
        self.send(data)
        for _ in range(2):
            settled(self, "get", "<ping xmlns='urn:xmpp:ping'/>", DOMAIN)
            time.sleep(0.1)

    def cut(self) -> None:
        """End the connection without a word."""
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()


def freePort() -> int:
    """A port that nobody uses just now."""
    with socket.socket() as free:
        free.bind((ADDRESS, 0))
        return int(free.getsockname()[1])


@spec("mission", "A7", "A8")
@spec("XEP-0175", "3")
class SQLiteTests(SynchronousTestCase):
    """With SQLite."""

    def setUp(self) -> None:
        folder = Path(tempfile.mkdtemp(prefix="xmppd-"))
        self.addCleanup(shutil.rmtree, folder, ignore_errors=True)
        self.port = freePort()
        self.url = f"sqlite:///{folder / 'data' / 'xmppd.sqlite'}"
        text = CONFIGURATION.format(http=self.port, store=self.store(), services=SERVICES)
        self.daemon = Daemon(folder, text)
        self.addCleanup(self.daemon.kill)
        self.daemon.start()
        for name in ("juliet", "romeo"):
            self.daemon.addAccount(name)
        self.juliet = Wire(self.daemon.tlsPort, "juliet")
        prepare(self.juliet)
        self.before = self.kept(), self.files(), self.roster()
        self.guest = Wire(self.daemon.tlsPort, None)
        self.bare = self.guest.jid.partition("/")[0]
        live(self.guest, self.juliet)
        self.upload()
        self.assertNotEqual(self.files(), self.before[1])
        self.assertGreater(sum(map(len, self.kept().values())), sum(map(len, self.before[0].values())) + 10)

    def store(self) -> str:
        """The section of the store."""
        return ""

    def upload(self) -> None:
        """A file."""
        request = "<request xmlns='urn:xmpp:http:upload:0' filename='b.txt' size='5'/>"
        answer = settled(self.guest, "get", request, "upload.example.org")
        url = next(each.get("url", "") for each in answer.iter() if each.tag.endswith("}put"))
        connection = http.client.HTTPConnection(ADDRESS, self.port, timeout=PATIENCE)
        connection.request("PUT", url.partition(str(self.port))[2], b"12345")
        self.assertEqual(connection.getresponse().status, 201)
        connection.close()

    def kept(self) -> dict[str, set[str]]:
        """The database by tables, but what others were told."""
        engine = create_engine(self.url.replace("postgresql://", "postgresql+psycopg://"))
        found: dict[str, set[str]] = {}
        with engine.connect() as connection:
            for table in metadata.sorted_tables:
                if table.name in COUNTERS:
                    continue
                rows = [dict(row._mapping) for row in connection.execute(table.select())]
                found[table.name] = {
                    repr({key: each for key, each in row.items() if key not in COUNTING})
                    for row in rows
                    if not self._others(table.name, row)
                }
        engine.dispose()
        return found

    def _others(self, table: str, row: dict[str, Any]) -> bool:
        """Whether a row is what others were told: it is theirs."""
        if table == "archive" and row["owner"].startswith("cave@"):
            return row["sender"] in ("", self.__dict__.get("bare"))
        return table in ("spool", "archive") and row.get("account", row.get("owner")) in (
            f"romeo@{DOMAIN}",
            f"juliet@{DOMAIN}",
        )

    def nameless(self) -> bool:
        """Whether nothing in the room's archive says who the guest was."""
        engine = create_engine(self.url.replace("postgresql://", "postgresql+psycopg://"))
        with engine.connect() as connection:
            table = metadata.tables["archive"]
            senders = {row.sender for row in connection.execute(table.select())}
        engine.dispose()
        return self.bare not in senders

    def files(self) -> list[str]:
        """The files that were uploaded."""
        root = self.daemon.folder / "data" / "files"
        return sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file())

    def roster(self) -> list[str]:
        """Juliet's contacts."""
        answer = settled(self.juliet, "get", "<query xmlns='jabber:iq:roster'/>")
        return sorted(ET.tostring(each, "unicode") for each in answer[0])

    def assertNothingLeft(self) -> None:
        """All is as it was before the guest came; it may take a moment."""
        until = time.monotonic() + PATIENCE
        while (self.kept(), self.files()) != self.before[:2] and time.monotonic() < until:
            time.sleep(0.1)
        kept = self.kept()
        for name, rows in self.before[0].items():
            self.assertEqual((kept[name] - rows, rows - kept[name]), (set(), set()), name)
        self.assertEqual((self.files(), self.roster()), self.before[1:])
        self.assertTrue(self.nameless())
        self.assertEqual(self.daemon.stop(), 0)
        self.assertNotIn("Traceback", self.daemon.written())

    def test_politely(self) -> None:
        """It closes its stream."""
        self.guest.send("<presence type='unavailable'/></stream:stream>")
        self.assertNothingLeft()

    def test_cut(self) -> None:
        """Its cable is cut, and the time to resume its session passes."""
        self.guest.send("<enable xmlns='urn:xmpp:sm:3' resume='true' max='1'/>")
        self.guest.until(lambda each: each.tag.endswith("enabled"))
        self.guest.cut()
        self.assertNothingLeft()

    def test_killed(self) -> None:
        """The server is killed; when it listens again, nothing is left."""
        self.daemon.kill()
        self.daemon.start()
        kept = self.kept()
        self.assertEqual({name: kept[name] - rows for name, rows in self.before[0].items() if kept[name] - rows}, {})
        self.juliet = Wire(self.daemon.tlsPort, "juliet")
        self.assertNothingLeft()


class PostgreSQLTests(SQLiteTests):
    """With PostgreSQL."""

    skip = cluster.whySkip()

    def store(self) -> str:
        """The section of the store; a new database for each test."""
        self.url = cluster.emptyDatabase()
        return f'url = "{self.url}"'
