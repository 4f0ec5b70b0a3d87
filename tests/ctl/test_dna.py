"""C{xmppctl dna}: what is to be published, and arguments that can't be used."""

from __future__ import annotations

import json
import time
from typing import Any

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from tests.ctl.servers import folderFor
from tests.marks import spec
from xmppd.config import parse
from xmppd.ctl.dna import exploration, publications
from xmppd.ctl.exits import EX_CONFIG, EX_DATAERR, EX_NOHOST
from xmppd.ctl.socket import CommandError
from xmppd.trust.selfsigned import makeCertificate

CONFIGURATION = """
data = "data"
[listen]
c2s = ["tcp:5222", "tcp:0:interface=127.0.0.1"]
c2s_tls = ["tcp:5223:interface=127.0.0.1"]
s2s = ["tcp6:port=5269"]
s2s_tls = ["tcp:5270"]
[tls]
certificates = "certs"
[host."example.org"]
[host."other.example"]
"""


@spec("mission", "T8")
class PublishTests(SynchronousTestCase):
    """L{publications}."""

    def setUp(self) -> None:
        self.folder = folderFor(self)
        makeCertificate(["example.org", "other.example"], self.folder / "certs", time.time())
        self.config = self.parsed()

    def parsed(self, old: str = "", new: str = "") -> Any:
        """The configuration, changed."""
        return parse(CONFIGURATION.replace(old, new), str(self.folder / "xmppd.toml"))

    def test_all(self) -> None:
        """Records and documents for every port of every domain, as text and for programs."""
        found = publications(self.config, None, "Chat.example.org")
        self.assertEqual([each.domain for each in found], ["example.org", "other.example"])
        facts = found[0].facts()
        json.dumps(facts)
        self.assertEqual(len(facts["srv"]), 4)
        self.assertIn("_xmpps-server._tcp.example.org. 3600 IN SRV 5 0 5270 chat.example.org.", facts["srv"])
        self.assertEqual(len(facts["tlsa"]), 4)
        self.assertEqual(len(facts["posh"]), 2)
        for line in (*facts["srv"], *facts["tlsa"], *facts["posh"]):
            self.assertIn(line, found[0].text())

    def test_next(self) -> None:
        """The certificate that comes next is published before it is shown."""
        path = makeCertificate(["example.org"], self.folder / "new", time.time())
        (found,) = publications(self.config, "example.org", None, [path])
        self.assertEqual((found.host, len(found.certificates), len(found.facts()["tlsa"])), ("example.org", 2, 8))

    def refusal(self, *arguments: Any) -> int:
        """The status of a refusal that has a remedy."""
        error: Any = self.assertRaises(CommandError, publications, *arguments)
        self.assertRegex(str(error), "; ")
        return int(error.status)

    def test_refused(self) -> None:
        """Domains that aren't ours, hosts and files that are none, no ports, no certificates."""
        self.assertEqual(self.refusal(self.config, "example.net", None), EX_NOHOST)
        self.assertEqual(self.refusal(self.config, None, "no host"), EX_DATAERR)
        for name in ("missing.pem", "xmppd.toml"):
            (self.folder / "xmppd.toml").write_text("x")
            self.assertEqual(self.refusal(self.config, None, None, [self.folder / name]), EX_DATAERR)
        none = parse('data = "data"\n[host."example.org"]\n', self.config.file.name)
        self.assertEqual(self.refusal(none, None, None), EX_CONFIG)
        bare = self.parsed('other.example"]', 'third.example"]')
        self.assertEqual(self.refusal(bare, "third.example", None), EX_CONFIG)


class ExplainTests(SynchronousTestCase):
    """Arguments of C{dna explain}; what it finds is in L{tests.net.test_explain}."""

    def test_refused(self) -> None:
        """A domain that is none, and a caller that isn't ours."""
        config = parse('data = "data"\n[host."example.org"]\n', "xmppd.toml")
        for arguments, status in ((("a b@c", None), EX_DATAERR), (("example.net", "example.com"), EX_NOHOST)):
            error: Any = self.assertRaises(CommandError, exploration, Clock(), config, *arguments)
            self.assertEqual(error.status, status)
            self.assertIn("; ", str(error))
