"""
C{xmppctl check}: errors are what keeps the server from starting, warnings what somebody may regret.
"""

from __future__ import annotations

import pyexpat
import socket
import sqlite3
import time

from twisted.trial.unittest import SynchronousTestCase

from tests.ctl.servers import folderFor
from tests.marks import spec
from xmppd.ctl.check import Findings, check
from xmppd.trust.selfsigned import makeCertificate

CONFIGURATION = """
data = "data"
[listen]
c2s = ["tcp:0:interface=127.0.0.1"]
[tls]
certificates = "certs"
[host."example.org"]
"""


class CheckTests(SynchronousTestCase):
    """L{check}."""

    def setUp(self) -> None:
        self.patch(pyexpat, "EXPAT_VERSION", "expat_2.7.2")
        self.folder = folderFor(self)
        self.file = self.folder / "xmppd.toml"
        makeCertificate(["example.org"], self.folder / "certs", time.time())

    def found(self, old: str = "", new: str = "", running: bool = False) -> Findings:
        """What is found after the configuration was changed."""
        self.assertIn(old, CONFIGURATION)
        self.file.write_text(CONFIGURATION.replace(old, new) if old else CONFIGURATION + new)
        self.file.chmod(0o644)
        return check(self.file, running)

    def assertError(self, found: Findings, *words: str) -> None:
        """There is one error, with these words and a remedy."""
        self.assertEqual(len(found.errors), 1, found)
        for word in words:
            self.assertIn(word, found.errors[0])
        self.assertRegex(found.errors[0], r"[;?] \w")

    def assertWarning(self, found: Findings, *words: str) -> None:
        """There is no error and one warning, with these words."""
        self.assertEqual((found.errors, len(found.warnings)), ([], 1), found)
        for word in words:
            self.assertIn(word, found.warnings[0])

    def test_good(self) -> None:
        """Nothing to say, and nothing is written."""
        self.assertEqual(self.found(), Findings())
        self.assertFalse((self.folder / "data").exists())

    def test_configuration(self) -> None:
        """A mistake in the file."""
        self.assertError(self.found("[listen]", "[lisen]"), "did you mean `listen`")

    def test_noFile(self) -> None:
        """No file at all."""
        self.assertError(check(self.file), "No such file")

    def test_feature(self) -> None:
        """An option of a feature."""
        self.assertError(self.found(new='disabled = ["xep0199_pong"]'), "xep0199_ping")

    def test_endpoint(self) -> None:
        """An endpoint that is none."""
        self.assertError(self.found("tcp:0:interface=127.0.0.1", "tpc:0"), "listen.c2s", "tpc:0")

    def test_certificate(self) -> None:
        """A certificate that is missing, and one that is damaged."""
        path = self.folder / "certs" / "example.org.pem"
        path.unlink()
        makeCertificate(["example.net"], self.folder / "certs", time.time())
        self.assertError(self.found(), "no certificate for example.org")
        path.write_text("nonsense")
        self.assertError(self.found(), "no private key")

    def test_port(self) -> None:
        """A port that is taken; not by the server that runs."""
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            self.assertError(self.found("tcp:0", f"tcp:{port}"), "listen.c2s", "in use")
            self.assertEqual(self.found("tcp:0", f"tcp:{port}", running=True).errors, [])

    def test_proxyPort(self) -> None:
        """The same of a port of the SOCKS5 proxy."""
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            proxy = f'[proxy."proxy.example.org"]\nlisten = ["tcp:{port}:interface=127.0.0.1"]\n'
            self.assertError(self.found(new=proxy), 'proxy."proxy.example.org".listen', "in use")
            self.assertEqual(self.found(new=proxy, running=True).errors, [])

    def test_database(self) -> None:
        """A database that is none is told; a good one stays as it is."""
        path = self.folder / "data" / "xmppd.sqlite"
        path.parent.mkdir(mode=0o700)
        connection = sqlite3.connect(path)
        connection.execute("CREATE TABLE t (c)")
        connection.close()
        self.assertEqual(self.found(), Findings())
        self.assertEqual([each.name for each in path.parent.iterdir()], ["xmppd.sqlite"])
        path.write_bytes(b"nonsense" * 1000)
        self.assertError(self.found(), str(path))

    def test_folder(self) -> None:
        """A data folder that can't be."""
        (self.folder / "data").write_text("")
        self.assertError(self.found(), "no folder")

    def test_openFolder(self) -> None:
        """A data folder that others may write to."""
        (self.folder / "data").mkdir()
        (self.folder / "data").chmod(0o777)
        self.assertWarning(self.found(), "chmod go-w")

    def test_warnings(self) -> None:
        """What is allowed and may be regretted."""
        self.assertWarning(self.found(new="plain_without_tls = true"), "in the clear")
        self.assertWarning(self.found(new='guests = "public"'), "without a password")
        guests = 'guests = "public"\n[host."example.org".guest]\nremote = true\nrooms = 1'
        _, relaxed = self.found(new=guests).warnings
        self.assertIn("guest.remote: true is more than the profile allows: Strangers can", relaxed)
        self.assertWarning(self.found(new='registration = "open"'), "spammers")
        self.assertWarning(self.found("[tls]", "[tls]\nrequire_c2s = false"), "plain text")

    @spec("mission", "T2")
    def test_servers(self) -> None:
        """What may go to other servers in the clear, or unproved."""
        listen = 's2s = ["tcp:0:interface=127.0.0.1"]\n[tls]'
        self.assertWarning(self.found("[tls]", f"{listen}\nrequire_s2s = false"), "tls.require_s2s")
        for line, warning in (
            ('[s2s]\nprooftypes = ["none"]', "s2s.prooftypes"),
            ('[s2s.peer."lab.example"]\nrequire = false', 's2s.peer."lab.example".require'),
        ):
            found = self.found('[tls]\ncertificates = "certs"', f'{listen}\ncertificates = "certs"\n{line}')
            self.assertWarning(found, warning)
        self.assertWarning(self.found(new="[limits]\nenabled = false"), "benchmarks")
        self.assertWarning(self.found('c2s = ["tcp:0:interface=127.0.0.1"]', ""), "no client")
        for option in ("component", "metrics"):
            self.assertWarning(self.found("[tls]", f'{option} = ["tcp:0"]\n[tls]'), "loopback")
            self.assertEqual(self.found("[tls]", f'{option} = ["tcp:0:interface=127.0.0.1"]\n[tls]').warnings, [])

    def test_web(self) -> None:
        """What is doubtful about clients that come by HTTP."""
        http = 'http = ["tcp:0:interface=127.0.0.1"]\n'
        web = '[web]\nurl = "https://chat.example.org"\n'
        self.assertEqual(self.found("[tls]", f"{http}{web}[tls]").warnings, [])
        self.assertWarning(self.found("[tls]", f"{http}[tls]"), "web.url")
        self.assertEqual(self.found("[tls]", f"{http}[web]\nwebsocket = false\nbosh = false\n[tls]").warnings, [])
        self.assertWarning(self.found("[tls]", f'{http}{web}origins = "*"\n[tls]'), "every page")
        self.assertWarning(self.found("[tls]", '[web]\nacme_challenge = "acme"\n[tls]'), "web.acme_challenge", "port 80")
        self.assertEqual(self.found("[tls]", f'{http}{web}acme_challenge = "acme"\n[tls]').warnings, [])
        self.assertWarning(self.found("[tls]", f"{http}{web}proxies = []\n[tls]"), "web.proxies")
        self.assertIn("by HTTP in plain text", "".join(self.found("[tls]", f"{http}{web}[tls]\nrequire_c2s = false").warnings))
        only = self.found('c2s = ["tcp:0:interface=127.0.0.1"]', f"{http}{web}")
        self.assertEqual(only.warnings, [])

    def test_secrets(self) -> None:
        """Secrets in a file that everybody can read."""
        found = self.found(new='[component."bot.example.org"]\nsecret = "x"')
        self.assertWarning(found, "chmod o-r")
        self.file.chmod(0o600)
        self.assertEqual(check(self.file).warnings, [])

    def test_expiry(self) -> None:
        """A certificate that ends soon, and one that has ended."""
        makeCertificate(["example.org"], self.folder / "certs", time.time() - 85 * 86_400, 90)
        self.assertWarning(self.found(), "expires in 4 days")
        self.assertEqual(self.found("[tls]", "[tls]\nexpiry_warning_days = [3]").warnings, [])
        makeCertificate(["example.org"], self.folder / "certs", time.time(), 6)
        self.assertEqual(self.found().warnings, [])
        makeCertificate(["example.org"], self.folder / "certs", time.time() - 10 * 86_400, 5)
        self.assertWarning(self.found(), "has expired")

    def test_expat(self) -> None:
        """An old expat."""
        self.patch(pyexpat, "EXPAT_VERSION", "expat_2.5.0")
        self.assertWarning(self.found(), "expat_2.5.0 is older than 2.7.2")
