"""
Tests for C{etc/acme-hook.sh}, called as each ACME client calls it, with a real C{xmppctl} where that matters.
"""

from __future__ import annotations

import os
import pwd
import shlex
import stat
import subprocess
import sys
import time
from pathlib import Path

from cryptography import x509
from twisted.trial.unittest import SynchronousTestCase

from tests.ctl.servers import folderFor
from tests.marks import spec
from tests.trust.authority import ALWAYS, DAY, Authority, curveKey, keyPEM, pem
from xmppd.trust.certificates import loadCertificate

ROOT = Path(__file__).parent.parent
HOOK = ROOT / "etc" / "acme-hook.sh"

CONFIGURATION = """
data = "data"
[listen]
c2s = ["tcp:0:interface=127.0.0.1"]
[tls]
certificates = "certs"
[host."example.org"]
"""


@spec("mission", "T12")
class HookTests(SynchronousTestCase):
    """What is installed, and what isn't."""

    def setUp(self) -> None:
        self.folder = folderFor(self)
        self.certs = self.folder / "certs"
        self.certs.mkdir()
        (self.folder / "xmppd.toml").write_text(CONFIGURATION)
        command = self.folder / "xmppctl"
        python = f"{shlex.quote(sys.executable)} -c 'from xmppd.ctl.main import xmppctl; xmppctl()'"
        command.write_text(f'#!/bin/sh\necho "$@" >> {self.folder}/called\ncd {shlex.quote(str(ROOT))}\nexec {python} "$@"\n')
        command.chmod(0o755)
        self.authority = Authority("Encrypt Us")
        self.issue()

    def issue(self, *names: str, end: float = ALWAYS) -> None:
        """A new certificate, as ACME clients leave it: key, certificate, and with its issuers."""
        key = curveKey()
        leaf = self.authority.sign(key, [x509.DNSName(name) for name in names or ("example.org",)], start=0, end=end)
        for name in ("privkey.pem", "example.org.key"):
            (self.folder / name).write_bytes(keyPEM(key).rstrip())
        (self.folder / "cert.pem").write_bytes(pem(leaf))
        (self.folder / "fullchain.pem").write_bytes(pem(leaf, self.authority.certificate))
        self.leaf = leaf

    def call(self, *arguments: str, status: int = 0, **variables: str) -> str:
        """Run the hook, and answer what it says."""
        environment = {
            "PATH": os.environ["PATH"],
            "XMPPD_CERTIFICATES": str(self.certs),
            "XMPPD_CONFIG": str(self.folder / "xmppd.toml"),
            "XMPPD_USER": pwd.getpwuid(os.getuid()).pw_name,
            "XMPPCTL": str(self.folder / "xmppctl"),
            **variables,
        }
        done = subprocess.run([HOOK, *arguments], env=environment, capture_output=True, text=True, timeout=120)
        self.assertEqual((done.returncode, done.stdout), (status, ""), done.stderr)
        return done.stderr

    def installed(self, name: str = "example.org.pem") -> None:
        """The certificate is there, usable, private, and alone; forget it."""
        self.assertEqual(os.listdir(self.certs), [name])
        path = self.certs / name
        certificate = loadCertificate(path, time.time())
        self.assertEqual((certificate.chain[0], certificate.warnings), (self.leaf, ()))
        self.assertEqual(stat.S_IMODE(path.stat().st_mode), 0o600)
        path.unlink()

    def simplify(self) -> None:
        """Have an xmppctl that likes every certificate, and no server."""
        (self.folder / "xmppctl").write_text('#!/bin/sh\nif [ "$3" = reload ]; then exit 69; fi\n')

    def test_clients(self) -> None:
        """Certbot, both kinds of lego, acme.sh, and dehydrated."""
        self.simplify()
        file = {name: str(self.folder / name) for name in ("privkey.pem", "example.org.key", "cert.pem", "fullchain.pem")}
        key, chain = file["privkey.pem"], file["fullchain.pem"]
        for variables in (
            {"RENEWED_LINEAGE": str(self.folder), "RENEWED_DOMAINS": "example.org rooms.example.org"},
            {"LEGO_HOOK_CERT_NAME": "example.org", "LEGO_HOOK_CERT_KEY_PATH": key, "LEGO_HOOK_CERT_PATH": chain},
            {"LEGO_CERT_DOMAIN": "example.org", "LEGO_CERT_KEY_PATH": key, "LEGO_CERT_PATH": chain},
            {"Le_Domain": "example.org", "CERT_KEY_PATH": key, "CERT_FULLCHAIN_PATH": chain},
            {"CERT_KEY_PATH": file["example.org.key"], "CERT_FULLCHAIN_PATH": chain},
        ):
            said = self.call(**variables)
            self.assertIn("the server doesn't run", said)
            self.installed()
        self.call("deploy_cert", "example.org", key, file["cert.pem"], chain, file["cert.pem"], "1700000000")
        self.installed()
        self.call("install", "example.org", key, chain)
        self.installed()

    def test_others(self) -> None:
        """What else dehydrated tells means nothing; nobody at all is a mistake."""
        self.call("startup_hook")
        self.call("deploy_challenge", "example.org", "token", "answer")
        self.assertIn("called by none", self.call(status=1))
        self.assertIn("usage", self.call("install", "example.org", status=1))
        self.assertEqual(os.listdir(self.certs), [])

    def test_wildcard(self) -> None:
        """A star is a name of a file and nothing more."""
        self.simplify()
        self.issue("*.example.org")
        self.call(RENEWED_LINEAGE=str(self.folder), RENEWED_DOMAINS="*.example.org example.org")
        self.installed("*.example.org.pem")

    def test_called(self) -> None:
        """It is looked at before it is installed, and the server is told afterwards."""
        self.call("install", "example.org", str(self.folder / "privkey.pem"), str(self.folder / "fullchain.pem"))
        lines = (self.folder / "called").read_text().splitlines()
        self.assertEqual([line.split()[2:4] for line in lines], [["cert", "check"], ["reload"]])

    def test_refused(self) -> None:
        """What clients would refuse isn't installed; what was there stays, and nothing else."""
        before = self.authority.write(self.certs, "example.org", start=0, end=ALWAYS).read_bytes()
        arguments = ["install", "example.org", str(self.folder / "privkey.pem"), str(self.folder / "fullchain.pem")]
        self.issue("example.net")
        self.assertIn("not for example.org", self.call(*arguments, status=1))
        self.issue(end=time.time() - DAY)
        self.assertIn("has expired", self.call(*arguments, status=1))
        self.issue()
        (self.folder / "privkey.pem").write_bytes(keyPEM(curveKey()))
        said = self.call(*arguments, status=1)
        self.assertIn("what was there stays", said)
        self.assertNotIn("PRIVATE", said)
        self.assertEqual((os.listdir(self.certs), (self.certs / "example.org.pem").read_bytes()), (["example.org.pem"], before))

    def test_mistakes(self) -> None:
        """Names that lead elsewhere, files and folders that aren't there."""
        key, chain = str(self.folder / "privkey.pem"), str(self.folder / "fullchain.pem")
        for domain in ("../example.org", "", ".example.org", "a b", "example.org;x"):
            self.assertIn("is no domain", self.call("install", domain, key, chain, status=1))
        self.assertIn("no key", self.call("install", "example.org", f"{key}x", chain, status=1))
        self.assertIn("no chain", self.call("install", "example.org", key, f"{chain}x", status=1))
        self.assertIn("no folder", self.call("install", "example.org", key, chain, status=1, XMPPD_CERTIFICATES=f"{key}x"))
        self.assertEqual(os.listdir(self.certs), [])

    def test_named(self) -> None:
        """The file may be called otherwise; a configuration with mistakes keeps nothing from being installed."""
        (self.folder / "xmppd.toml").write_text(CONFIGURATION + "\nnonsense = 1\n")
        arguments = ("install", "7", str(self.folder / "privkey.pem"), str(self.folder / "fullchain.pem"))
        self.assertIn("without the configuration", self.call(*arguments, XMPPD_DOMAIN="example.org"))
        self.installed()
