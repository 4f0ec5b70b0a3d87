"""The lines of C{xmppctl check tls} and C{xmppctl dna}, as somebody types them."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from click.testing import CliRunner, Result
from twisted.trial.unittest import SynchronousTestCase

from tests.ctl.servers import folderFor
from tests.marks import spec
from xmppd.ctl import client, tlscheck
from xmppd.ctl.exits import EX_CONFIG, EX_TEMPFAIL, EX_UNAVAILABLE
from xmppd.ctl.main import xmppctlGroup
from xmppd.ctl.socket import CommandError
from xmppd.ctl.tlsprobe import Door
from xmppd.trust.audit import ListenerFacts
from xmppd.trust.selfsigned import makeCertificate

CONFIGURATION = """
data = "data"
[listen]
c2s = ["tcp:5222"]
s2s = ["tcp:5269"]
[tls]
certificates = "certs"
[host."example.org"]
"""

SIGHTING = {
    "incoming": False, "sha256": "aa" * 32, "public_key_sha256": "bb" * 32, "authority": "Encrypt\x1b Us",
    "not_before": 0.0, "not_after": 1e9, "prooftype": "PKIX", "first_seen": 1e8, "last_seen": 2e8,
}
WARNING = {"at": 2e8, "incoming": False, "changes": ["early", "new-key"], "text": "the key is new"}


class Server:
    """Stands in for L{client.Client}."""

    def __init__(self, path: Path) -> None:
        if path.name == "nobody":
            raise CommandError(EX_UNAVAILABLE, "nobody listens there; start the server")

    def ask(self, command: str, **arguments: Any) -> Any:
        """Ports, or a history."""
        if command == "dna acknowledge":
            return {"domain": arguments["domain"], "acknowledged": 2}
        if command == "status":
            return {"ports": [{"option": "listen.c2s", "address": "0.0.0.0:5222"}]}
        return {"domain": arguments["domain"], "sightings": [SIGHTING], "warnings": [WARNING]}

    def pages(self, command: str, **arguments: Any) -> Iterator[Any]:
        """Domains."""
        yield {"domain": "example.net", "change": None}
        yield {"domain": "example.com", "change": WARNING}


class LineTests(SynchronousTestCase):
    """What comes out, and with which status."""

    def setUp(self) -> None:
        self.patch(client, "Client", Server)
        self.patch(client, "socketOf", lambda config: Path("nobody" if "stopped" in config.name else "control"))
        self.folder = folderFor(self)
        makeCertificate(["example.org"], self.folder / "certs", time.time())
        for name in ("xmppd.toml", "stopped.toml"):
            (self.folder / name).write_text(CONFIGURATION)

    def line(self, *words: str, config: str = "xmppd.toml") -> Result:
        """Run it."""
        arguments = ["-c", str(self.folder / config), *words]
        return CliRunner().invoke(xmppctlGroup, arguments, standalone_mode=False)

    @spec("mission", "T1")
    def test_check(self) -> None:
        """The audit, for people and for programs; a violation has a status."""

        def ask(door: Door) -> tuple[ListenerFacts, str | None]:
            return ListenerFacts(door.name, plaintext=True), None

        self.patch(tlscheck.checkTLS, "__defaults__", (ask,))
        result = self.line("check", "tls")
        self.assertEqual(result.return_value, EX_CONFIG, result.output)
        self.assertIn("violation: listener listen.c2s 127.0.0.1:5222: one can go on without TLS", result.output)
        self.assertNotIn("ok:", result.output)
        self.assertIn("ok:", self.line("check", "tls", "--all").output)
        findings = json.loads(self.line("check", "tls", "--json").output)["findings"]
        self.assertEqual((findings[0]["grade"], findings[0]["section"]), ("violation", "3.2"))

    def test_checkStopped(self) -> None:
        """Without a server the listeners can't be asked, which is told."""
        result = self.line("check", "tls", config="stopped.toml")
        self.assertEqual(result.return_value, EX_TEMPFAIL, result.output)
        self.assertIn("not reached: no server runs", result.output)

    def test_damaged(self) -> None:
        """Mistakes in configuration and certificates are complaints."""
        (self.folder / "certs" / "example.org.pem").write_text("nonsense")
        for words in (("check", "tls"), ("dna", "publish")):
            error = self.line(*words).exception
            self.assertIsInstance(error, CommandError)
            self.assertEqual(getattr(error, "status", None), EX_CONFIG)
        (self.folder / "xmppd.toml").write_text("[")
        self.assertEqual(getattr(self.line("dna", "publish").exception, "status", None), EX_CONFIG)

    @spec("mission", "T8")
    def test_publish(self) -> None:
        """Zone file lines and documents."""
        self.assertIn("_5269._tcp.example.org. 3600 IN TLSA 3 1 1", self.line("dna", "publish").output)
        (domain,) = json.loads(self.line("dna", "publish", "example.org", "--json").output)["domains"]
        self.assertEqual(domain["host"], "example.org")

    @spec("mission", "T12", "T13")
    def test_history(self) -> None:
        """The domains; one domain, with nothing in it that a terminal would take for a command."""
        domains = self.line("dna", "history").output
        self.assertEqual(domains, "example.net\nexample.com  CHANGED: early new-key\n")
        self.assertEqual(self.line("dna", "acknowledge", "example.com").output, "acknowledged 2 of example.com\n")
        output = self.line("dna", "history", "example.net").output
        for words in ("we to it", "PKIX", "aa" * 32, "early new-key: the key is new"):
            self.assertIn(words, output)
        self.assertNotIn("\x1b", output)
