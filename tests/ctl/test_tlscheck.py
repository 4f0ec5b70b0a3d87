"""
C{xmppctl check tls}: a real server of ours, asked through real sockets; and bad servers of OpenSSL's.
"""

from __future__ import annotations

import datetime
import json
import shutil
import socket
import subprocess
import threading
import time
from pathlib import Path
from typing import Any
from unittest import SkipTest

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from OpenSSL import SSL
from twisted.internet import reactor
from twisted.internet.task import deferLater
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import SynchronousTestCase, TestCase

from tests.ctl.servers import folderFor
from tests.doubles import CountingEntropy
from tests.marks import spec
from tests.trust.authority import keyPEM, pem
from xmppd.config import parse
from xmppd.ctl.exits import EX_CONFIG, EX_TEMPFAIL
from xmppd.ctl.tlscheck import checkTLS
from xmppd.ctl.tlsprobe import Door, doorsOf, probe
from xmppd.net import rest
from xmppd.store.memory import MemoryStore
from xmppd.tap import Server
from xmppd.trust.audit import Grade, ListenerFacts
from xmppd.trust.selfsigned import makeCertificate

CONFIGURATION = """
data = "data"
[listen]
c2s = ["tcp:0:interface=127.0.0.1"]
c2s_tls = ["tcp:0:interface=127.0.0.1"]
s2s = ["tcp:0:interface=127.0.0.1"]
s2s_tls = ["tcp:0:interface=127.0.0.1"]
https = ["tcp:0:interface=127.0.0.1"]
[tls]
certificates = "certs"
[web]
strict_transport_days = 180
[store]
url = "memory:"
[host."example.org"]
"""


def portsOf(server: Any) -> list[dict[str, str]]:
    """What C{status} says of the ports."""
    return [
        {"option": option, "address": f"127.0.0.1:{port.getHost().port}"} for option, _, port in server.listeners.ports
    ]


@spec("mission", "T1")
@spec("RFC 7590", "3.1")
class LiveTests(TestCase):
    """Our own server, on real ports."""

    async def setUp(self) -> None:
        self.patch(rest, "REST_SECONDS", 0.01)
        folder = folderFor(self)
        makeCertificate(["example.org"], folder / "certs", time.time())
        self.config = parse(CONFIGURATION, str(folder / "xmppd.toml"))
        self.server = Server(self.config, reactor, MemoryStore(), CountingEntropy())
        self.server.service.startService()
        await self.server.service.started
        self.addCleanup(deferLater, reactor, 0.05)
        self.addCleanup(self.server.service.stopService)

    async def test_nothing(self) -> None:
        """There is nothing to be found on any of the five kinds of listeners, and everything was tried."""
        report = await deferToThread(checkTLS, self.config, portsOf(self.server))
        self.assertEqual(report.problems, ())
        bad = [str(each) for each in report.findings if each.grade in (Grade.VIOLATION, Grade.WARNING)]
        self.assertEqual(bad, [])
        untried = [str(each) for each in report.findings if each.grade is Grade.UNKNOWN]
        self.assertEqual(untried, [])
        self.assertEqual(report.status, 0)
        self.assertEqual(len({each.subject for each in report.findings if "listener listen" in each.subject}), 10)
        self.assertEqual(report.text(False).splitlines()[-1].split(":")[0], "RFC 9325")
        self.assertEqual(report.facts()["problems"], [])


class Bad:
    """
    A server that accepts what it shouldn't.

    @ivar door: where it is.
    """

    def __init__(self, case: Any, folder: Path) -> None:
        certificate = makeCertificate(["example.org"], folder, time.time())
        context = SSL.Context(SSL.TLS_SERVER_METHOD)
        context.set_cipher_list(b"ALL:@SECLEVEL=0")
        context.use_certificate_file(str(certificate))
        context.use_privatekey_file(str(certificate))
        context.set_max_proto_version(SSL.TLS1_2_VERSION)
        self._context = context
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()
        self.door = Door("listen.c2s_tls", "127.0.0.1", self._listening.getsockname()[1], "example.org")
        case.addCleanup(self._listening.close)

    def _serve(self) -> None:
        while True:
            try:
                sock, _ = self._listening.accept()
            except OSError:
                return
            sock.settimeout(5)
            connection = SSL.Connection(self._context, None)
            connection.set_accept_state()
            try:
                self._talk(connection, sock)
            except (SSL.Error, OSError):
                pass
            sock.close()

    def _talk(self, connection: SSL.Connection, sock: socket.socket) -> None:
        while data := sock.recv(65536):
            connection.bio_write(data)
            try:
                connection.do_handshake()
                connection.recv(65536)
            except SSL.WantReadError:
                pass
            finally:
                try:
                    sock.sendall(connection.bio_read(65536))
                except SSL.WantReadError:
                    pass


class BadTests(SynchronousTestCase):
    """Listeners that aren't what they should be."""

    def test_lax(self) -> None:
        """Bad suites, names and protocols that nobody serves, no TLS 1.3: all of it is found."""
        facts, problem = probe(Bad(self, folderFor(self)).door)
        self.assertIsNone(problem)
        assert facts.suites is not None and facts.versions is not None
        self.assertIn("ECDHE-ECDSA-AES128-SHA", facts.suites)
        self.assertNotIn("TLSv1.3", facts.versions)
        self.assertIn("TLSv1.2", facts.versions)
        self.assertEqual((facts.refusesUnknownName, facts.refusesUnknownALPN), (False, False))
        self.assertIs(facts.renegotiationInfo, True)

    def test_silence(self) -> None:
        """Somebody who says nothing is left within bounds, and nothing is believed."""
        with socket.create_server(("127.0.0.1", 0)) as mute:
            times = iter(range(0, 1000, 29))
            door = Door("listen.c2s", "127.0.0.1", mute.getsockname()[1], "example.org")
            facts, problem = probe(door, lambda: next(times))
        self.assertIn("nothing is known", problem or "")
        self.assertIsNone(facts.versions)

    def test_nobody(self) -> None:
        """Nobody is there."""
        with socket.create_server(("127.0.0.1", 0)) as gone:
            port = gone.getsockname()[1]
        facts, problem = probe(Door("listen.s2s", "127.0.0.1", port, "example.org"))
        self.assertIn("listen.s2s", problem or "")
        self.assertIsNone(facts.plaintext)


WEAK = ("-cipher", "ALL:@SECLEVEL=0", "-min_protocol", "TLSv1", "-max_protocol", "TLSv1.2", "-client_renegotiation",
        "-sigalgs", "ECDSA+SHA256:ECDSA+SHA1:RSA+SHA256:RSA+SHA1", "-groups", "P-521:P-256:P-224:P-192")  # fmt: skip


class OpenSSLTests(SynchronousTestCase):
    """A server that isn't ours, of OpenSSL's command line tool, with what is wrong with it switched on."""

    def serve(self, *options: str) -> Door:
        """Start one, and answer where it is."""
        tool = shutil.which("openssl")
        if tool is None:
            raise SkipTest("there is no openssl; on Debian: apt-get install openssl")
        folder = folderFor(self)
        key = rsa.generate_private_key(65537, 2048)
        now = datetime.datetime.now(datetime.UTC)
        name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "example.org")])
        day = datetime.timedelta(1)
        builder = x509.CertificateBuilder(name, name, key.public_key(), 1, now - day, now + 60 * day)
        names = x509.SubjectAlternativeName([x509.DNSName("example.org")])
        leaf = builder.add_extension(names, critical=False).sign(key, hashes.SHA256())
        (folder / "bad.pem").write_bytes(keyPEM(key) + pem(leaf))
        command = [tool, "s_server", "-accept", "127.0.0.1:0", "-cert", str(folder / "bad.pem"), *options]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        assert process.stdin is not None and process.stdout is not None
        for clean in (process.stdout.close, process.stdin.close, process.wait, process.kill):
            self.addCleanup(clean)
        for line in process.stdout:
            if line.startswith(b"ACCEPT"):
                return Door("listen.c2s_tls", "127.0.0.1", int(line.rpartition(b":")[2]), "example.org")
        raise SkipTest("this openssl doesn't serve like that")

    @spec("RFC 9325", "3.1.1", "3.5", "3.7", "3.8", "4.1", "4.2", "4.5")
    def test_weak(self) -> None:
        """Everything that is wrong with it is found, each with its paragraph, and the exit status says so."""
        door = self.serve(*WEAK)
        folder = folderFor(self)
        makeCertificate(["example.org"], folder / "certs", time.time())
        config = parse(CONFIGURATION, str(folder / "xmppd.toml"))
        report = checkTLS(config, [{"option": door.option, "address": f"{door.host}:{door.port}"}])
        self.assertEqual((report.problems, report.status), ((), EX_CONFIG))
        bad = {
            (str(each.grade), each.section, each.text)
            for each in report.findings
            if each.subject == f"listener {door.name}" and each.grade in (Grade.VIOLATION, Grade.WARNING)
        }
        sections = {section for _, section, _ in bad}
        self.assertGreaterEqual(sections, {"3.1.1", "3.5", "3.7", "3.8", "4.1", "4.2"})
        text = report.text(False)
        for words in (
            "TLSv1 is accepted (RFC 9325 section 3.1.1, MUST NOT)",
            "TLSv1.1 is accepted (RFC 9325 section 3.1.1, MUST NOT)",
            "TLSv1.3 isn't there (RFC 9325 section 3.1.1, SHOULD)",
            "the suite AES128-SHA has no forward secrecy (RFC 9325 section 4.1, SHOULD NOT)",
            "the suite ECDHE-RSA-AES128-SHA is in CBC mode (RFC 9325 section 4.2, SHOULD NOT)",
            "doesn't authenticate the server by its certificate (RFC 9325 section 5.1, MUST NOT)",
            "clients can renegotiate (RFC 9325 section 3.5, advice)",
            "a server name that isn't served is accepted (RFC 9325 section 3.7, SHOULD)",
            "is accepted (RFC 9325 section 3.8, SHALL)",
            "it signs handshakes with SHA-1 (RFC 9325 section 4.5, MUST NOT)",
        ):
            self.assertIn(words, text)
        found = json.loads(json.dumps(report.facts()))["findings"]
        self.assertEqual(found[0]["grade"], "violation")
        self.assertEqual(set(found[0]), {"grade", "section", "level", "subject", "text"})

    def test_old(self) -> None:
        """Versions that are over, which OpenSSL still has if it is told so twice."""
        facts, problem = probe(self.serve("-tls1", "-cipher", "ALL:@SECLEVEL=0"))
        # No proper handshake succeeds, so nothing is believed: that's a problem and no success.
        self.assertIsNone(facts.versions)
        self.assertIn("no handshake succeeds", problem or "")


class ReportTests(SynchronousTestCase):
    """L{checkTLS}."""

    def setUp(self) -> None:
        folder = folderFor(self)
        makeCertificate(["example.org"], folder / "certs", time.time())
        self.text = CONFIGURATION
        self.file = str(folder / "xmppd.toml")

    def test_notRunning(self) -> None:
        """Without a server the listeners count as not asked, which isn't success."""
        report = checkTLS(parse(self.text, self.file), None)
        self.assertEqual(report.status, EX_TEMPFAIL)
        self.assertIn("no server runs", report.text(False))

    def test_plaintext(self) -> None:
        """Plaintext that the configuration allows, and what a listener does, are violations with their paragraph."""
        config = parse(self.text.replace("[tls]", "[tls]\nrequire_s2s = false"), self.file)
        ports = [{"option": "listen.c2s", "address": "[::]:5222"}, {"option": "listen.http", "address": "0.0.0.0:80"}]

        def ask(door: Door) -> tuple[ListenerFacts, str | None]:
            self.assertEqual((door.host, door.port, door.domain), ("::1", 5222, "example.org"))
            return ListenerFacts(door.name, plaintext=True), None

        report = checkTLS(config, ports, ask)
        self.assertEqual(report.status, EX_CONFIG)
        bad = [each for each in report.findings if each.grade is Grade.VIOLATION]
        self.assertEqual({(each.section, each.subject) for each in bad}, {
            ("3.2", "configuration"), ("3.2", "listeners"), ("3.2", "listener listen.c2s ::1:5222"),
        })

    def test_doors(self) -> None:
        """Sockets without addresses aren't knocked at."""
        self.assertEqual(doorsOf([{"option": "listen.c2s", "address": "/run/socket"}], "example.org"), [])
