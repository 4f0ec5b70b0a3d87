"""
Another server shows other certificates every time ours is started: administrators are told of what they should look at,
by message, log and command line, and of nothing else.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from cryptography import x509
from twisted.trial.unittest import SynchronousTestCase

from tests.interop.daemon import ADDRESS, DEADLINE, ROOT, RUN, Daemon, mistakes
from tests.interop.test_dnssec import XMPPCTL, Trusting
from tests.interop.wire import Wire
from tests.interop.zones import freePort
from tests.marks import spec
from tests.trust.authority import ALWAYS, DAY, Authority, curveKey, der, keyPEM, pem
from xmppd.ctl.socket import CommandError
from xmppd.wire import ns

OURS, THEIRS = "capulet.example", "montague.example"

CONFIGURATION = """\
data = "data"
[listen]
c2s = ["tcp:{{port}}:interface=127.0.0.1"]
c2s_tls = ["tcp:{{tlsPort}}:interface=127.0.0.1"]
s2s = ["tcp:{port}:interface=127.0.0.1"]
[tls]
certificates = "certs"
[log]
file = "log"
[limits]
enabled = false
{{limits}}
[s2s]
authorities = "ca.pem"
resolver = "127.0.0.1:53"
prooftypes = ["pkix", "dialback"]
downgrades = "warn"
[s2s.connect]
"{other}" = "{address}:{otherPort}"
[host."{own}"]
admins = ["romeo@{own}"]
"""


@spec("RFC 7590", "3.6")
@spec("mission", "T12", "T13")
class ChangesTests(SynchronousTestCase):
    """Romeo, an administrator of ours, writes to Juliet."""

    def setUp(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="xmppd-"))
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        self.authorities = [Authority("Encrypt Us"), Authority("Somebody Else")]
        self.now = time.time()
        ports = {OURS: freePort(ADDRESS), THEIRS: freePort(ADDRESS)}
        self.daemons: dict[str, Daemon] = {}
        for own, other in ((OURS, THEIRS), (THEIRS, OURS)):
            (self.folder / own).mkdir()
            (self.folder / own / "ca.pem").write_bytes(pem(*(each.certificate for each in self.authorities)))
            text = CONFIGURATION.format(
                port=ports[own], other=other, otherPort=ports[other], own=own, address=ADDRESS
            )
            daemon = self.daemons[own] = Daemon(self.folder / own, text)
            self.addCleanup(daemon.kill)
            for each in ("example.org", "guests.example"):
                (daemon.folder / "certs" / f"{each}.pem").unlink()
        self.ours, self.theirs = self.daemons[OURS], self.daemons[THEIRS]
        self.certify(OURS, curveKey(), self.authorities[0], 0, ALWAYS)

    def certify(self, domain: str, key: Any, by: Authority, start: float, end: float) -> str:
        """Put a certificate where a domain's server looks; answers its SHA-256."""
        leaf = by.sign(key, [x509.DNSName(domain)], start=start, end=end)
        path = self.daemons[domain].folder / "certs" / f"{domain}.pem"
        path.write_bytes(keyPEM(key) + pem(leaf))
        path.chmod(0o600)
        return hashlib.sha256(der(leaf)).hexdigest()

    def meet(self, key: Any, by: Authority, start: float, end: float) -> tuple[str | None, dict[str, Any]]:
        """
        The other server shows a certificate, valid for some days from and until now, and we meet; see L{again}.
        """
        self.certificate = self.certify(THEIRS, key, by, self.now + start * DAY, self.now + end * DAY)
        return self.again()

    def again(self) -> tuple[str | None, dict[str, Any]]:
        """
        Our server is started again, and a message goes there. Answers what its administrator is told by message, and
        its last stream.
        """
        if self.theirs.alive:
            self.theirs.ask("reload")
        else:
            self.theirs.start(RUN)
            self.theirs.ask("user add", jid=f"juliet@{THEIRS}", password="juliet")
        if self.ours.alive:
            self.assertEqual(self.ours.stop(), 0)
        before = len(self.changes())
        self.ours.start(RUN)
        if not before and not self.ours.ask("dna history")["items"]:
            self.ours.ask("user add", jid=f"romeo@{OURS}", password="romeo")
        romeo, juliet = Wire(Trusting(self.ours), "romeo", OURS), Wire(Trusting(self.theirs), "juliet", THEIRS)
        self.addCleanup(romeo.close)
        self.addCleanup(juliet.close)
        romeo.say(f"<message to='juliet@{THEIRS}' type='chat'><body>Juliet?</body></message>")
        juliet.body("Juliet?")
        juliet.say(f"<message to='romeo@{OURS}' type='chat'><body>Romeo!</body></message>")
        romeo.body("Romeo!")
        self.until(lambda: self.shown() and self.shown()[0]["sha256"] == self.certificate)
        streams = [each for each in self.ours.streams() if each.get("direction") == "out"]
        told = None
        if len(self.changes()) > before:
            told = self.warning(romeo)
        else:
            self.assertIsNone(self.heard(romeo))
        juliet.close()
        romeo.close()
        return told, streams[0]

    def heard(self, romeo: Wire) -> str | None:
        """What the server has told Romeo, if it has told him something."""
        bodies = [each.findtext(f"{{{ns.CLIENT}}}body") for each in romeo.heard if each.get("from") == OURS]
        return next((each for each in bodies if each), None)

    def warning(self, romeo: Wire) -> str:
        """The same, waited for."""

        def listened() -> str | None:
            romeo.listen(0.1)
            return self.heard(romeo)

        return str(self.until(listened))

    def until(self, question: Callable[[], Any]) -> Any:
        """The first answer that is true."""
        until = time.monotonic() + DEADLINE / 2
        while time.monotonic() < until:
            answer = question()
            if answer:
                return answer
            time.sleep(0.02)
        raise AssertionError("it has not come to pass")

    def changes(self) -> list[str]:
        """The lines of our log about changes."""
        return [line for line in self.ours.written().splitlines() if " warn xmppd.s2s: s2s changed: remote=" in line]

    def history(self) -> dict[str, Any]:
        """What C{xmppctl} knows of the other server."""
        try:
            found: dict[str, Any] = self.ours.ask("dna history", domain=THEIRS)
        except CommandError:  # it was never seen
            return {"sightings": [], "warnings": []}
        return found

    def shown(self) -> list[dict[str, Any]]:
        """The sightings of it when we call, the latest first."""
        return [each for each in self.history()["sightings"] if not each["incoming"]]

    def test_restarts(self) -> None:
        """Every class of change, each over a restart."""
        first, second, third = curveKey(), curveKey(), curveKey()
        us, them = self.authorities

        told, stream = self.meet(first, us, -80, 10)
        self.assertEqual((told, stream["proof"], stream["change"]), (None, "PKIX", None))
        told, _ = self.again()
        self.assertEqual((told, len(self.shown())), (None, 1), "it is the same")

        told, _ = self.meet(first, us, -70, 20)
        latest, before = self.shown()
        self.assertIsNone(told, "the same key was renewed")
        self.assertEqual(latest["public_key_sha256"], before["public_key_sha256"])
        self.assertNotEqual(latest["sha256"], before["sha256"])

        told, stream = self.meet(second, us, -1, 89)
        self.assertEqual((told, stream["change"]), (None, None), "a new key was due")
        self.assertEqual((len(self.shown()), self.history()["warnings"], self.changes()), (3, [], []))

        told, stream = self.meet(third, them, -1, 89)
        assert told is not None
        self.assertIn(f"The server of {THEIRS} has changed", told)
        self.assertIn("issued by CN=Somebody Else, the one before was by CN=Encrypt Us", told)
        self.assertIn("new-issuer", stream["change"]["changes"])
        self.assertIn("new-issuer", self.changes()[-1])

        told, stream = self.meet(curveKey(), Authority("Nobody Knows"), -1, 89)
        assert told is not None
        self.assertIn("it was proved by PKIX until", told)
        self.assertIn("is proved by dialback, where it was by PKIX", told)
        self.assertEqual(stream["proof"], "dialback")
        self.assertIn("changes=downgrade", self.changes()[-1])
        self.assertIn("weaker-proof", self.changes()[-1])

        told, stream = self.meet(third, them, -90, -1)
        assert told is not None
        self.assertIn("the certificate has expired", told)
        self.assertIn("expired", self.changes()[-1])
        count = len(self.changes())
        told, _ = self.again()
        self.assertEqual((told, len(self.changes())), (None, count), "that was told already")

        warned = self.history()["warnings"]
        self.assertEqual((len(warned), len(self.changes())), (3, 3))
        command = [*XMPPCTL, str(self.ours.folder / "xmppd.toml"), "dna", "history", THEIRS]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=DEADLINE)
        self.assertEqual(done.returncode, 0, done.stderr)
        for word in ("new-issuer", "weaker-proof", "expired", "Encrypt Us", "Somebody Else", "PKIX", "dialback"):
            self.assertIn(word, done.stdout)
        self.assertEqual(self.ours.stop(), 0)
        self.assertEqual(mistakes(self.ours.written(), ("s2s changed",)), [])
