"""
DANE between two servers of ours, with real DNS: zones that are signed well, badly or not at all, and a resolver that
validates.

One server is Romeo's. The other has one domain for each case, with a certificate and a zone of its own; Juliet has an
account at each.
"""

from __future__ import annotations

import atexit
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any, ClassVar
from unittest import SkipTest, skipIf, skipUnless

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from twisted.internet import reactor
from twisted.internet.task import deferLater
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import SynchronousTestCase, TestCase

from tests.doubles import CountingEntropy
from tests.interop.daemon import ADDRESS, DEADLINE, ROOT, RUN, Daemon, mistakes
from tests.interop.peerservers import PEER, Prosody
from tests.interop.wire import Wire
from tests.interop.zones import MISSING, NEEDED, PLACES, Zones, otherTLSA
from tests.marks import spec
from tests.trust.authority import ALWAYS, Authority, curveKey, der, keyPEM, pem
from xmppd.config import parse
from xmppd.net import peers, renewal, rest
from xmppd.store.memory import MemoryStore
from xmppd.tap import Server
from xmppd.trust.posh import fingerprintsDocument
from xmppd.wire import ns
from xmppd.wire.element import Element
from xmppd.wire.stanza import build

HOME = "capulet.example"
"""Romeo's domain."""

XMPPCTL = (sys.executable, "-W", "ignore", "-c", "from xmppd.ctl.main import xmppctl; xmppctl()", "--config")

CONFIGURATION = """\
data = "data"
[listen]
c2s = ["tcp:{{port}}:interface={address}"]
c2s_tls = ["tcp:{{tlsPort}}:interface={address}"]
s2s = ["tcp:0:interface={address}"]
[tls]
certificates = "certs"
[log]
file = "log"
[limits]
enabled = false
{{limits}}
[s2s]
authorities = "ca.pem"
resolver = "{address}:{resolver}"
{section}
"""

LONG_AGO = 30 * 86_400.0
"""A resolver lets signatures pass that are a day too old, lest clocks differ."""


class Net:
    """
    Zones, and servers in them.

    @ivar authority: one that both trust.
    @ivar unknown: one that nobody has heard of.
    """

    def __init__(self, cleanUp: Callable[..., Any], address: str = ADDRESS, within: tuple[str, ...] = ()) -> None:
        """
        @param within: see L{Zones}.
        """
        self.folder = Path(tempfile.mkdtemp(prefix="xmppd-"))
        cleanUp(shutil.rmtree, self.folder, ignore_errors=True)
        (self.folder / "zones").mkdir()
        self.zones = Zones(self.folder / "zones", address, within)
        cleanUp(self.zones.close)
        self.authority = Authority("The Tests")
        self.unknown = Authority("Nobody Knows")
        self._cleanUp = cleanUp
        self._within = within
        self.address = address

    def configure(self, name: str, section: str, *domains: str) -> Path:
        """Write what a server wants, but for certificates; answers its folder."""
        folder = self.folder / name
        folder.mkdir()
        (folder / "ca.pem").write_bytes(pem(self.authority.certificate))
        text = CONFIGURATION.format(address=self.address, resolver=self.zones.port, section=section)
        text += "".join(f'[host."{each}"]\n' for each in domains)
        (folder / "template").write_text(text)
        return folder

    def serve(self, name: str) -> tuple[Daemon, int]:
        """Start it; answers also where servers connect."""
        folder = self.folder / name
        daemon = Daemon(folder, (folder / "template").read_text())
        for each in ("example.org", "guests.example"):
            (folder / "certs" / f"{each}.pem").unlink()
        self._cleanUp(daemon.kill)
        daemon.start((*self._within, *RUN))
        ports = {each["option"]: int(each["address"].rpartition(":")[2]) for each in daemon.ask("status")["ports"]}
        return daemon, ports["listen.s2s"]

    def certify(
        self, name: str, domain: str, *, by: Authority | None = None, names: str = "", key: Any = None
    ) -> x509.Certificate:
        """
        Give a server a certificate for a domain.

        @param by: who signs it, and is shown, too; None: itself, more or less.
        @param names: what it is for, if not for the domain.
        """
        key = key or curveKey()
        signer = by or Authority(domain)
        leaf = signer.sign(key, [x509.DNSName(names or domain)], start=0, end=ALWAYS)
        path = self.folder / name / "certs" / f"{domain}.pem"
        path.parent.mkdir(exist_ok=True)
        shown = () if by is None else (by.certificate,)
        path.write_bytes(keyPEM(key) + pem(leaf, *shown))
        path.chmod(0o600)
        return leaf


def digest(certificate: x509.Certificate, key: bool = True) -> str:
    """What a TLSA record says of a certificate, or of its key, by SHA-256."""
    info = certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return hashlib.sha256(info if key else der(certificate)).hexdigest()


def lines(port: int, *tlsa: str, target: str = "xmpp", address: str = ADDRESS) -> list[str]:
    """A domain's zone: its server, and what is said of that one's certificate."""
    host = [] if "." in target else [f"{target} A {address}"]
    host += [f"_{port}._tcp.{target} TLSA {each}" for each in tlsa]
    return [f"_xmpp-server._tcp SRV 0 0 {port} {target}", *host]


def verified(daemon: Daemon, remote: str) -> list[tuple[str, str, str]]:
    """Direction, proof and mechanism of a server's streams with a domain."""
    return [
        (each["direction"], pair["proof"], each["mechanism"])
        for each in daemon.streams()
        for pair in each.get("pairs", ())
        if pair["remote"] == remote
    ]


CASES = (
    "ee", "ta", "stranger", "caller", "mismatch", "bogus", "late", "plain", "strict", "hosted", "loose", "outside", "weak",
    "weakcaller", "hosting", "rollover", "living",
)
"""Juliet's domains, below that of all."""

STRICT = ("ee", "ta", "stranger", "caller", "strict", "rollover", "living")
"""Those of which Romeo's server wants DANE."""


class Everything:
    """
    Both servers with all cases.

    @ivar romeos: Romeo's server.
    @ivar juliets: Juliet's.
    @ivar port: where other servers connect to that.
    """

    shared: ClassVar[Everything | None] = None

    def __init__(self) -> None:
        ends = ExitStack()
        atexit.register(ends.close)
        self.net = Net(ends.callback)
        self._start()

    @classmethod
    def get(cls) -> Everything:
        """The one that all tests share; it is started once, and stopped when the process ends."""
        if cls.shared is None:
            cls.shared = cls()
        return cls.shared

    def _start(self) -> None:
        """Certificates, zones and servers."""
        net, zones = self.net, self.net.zones
        strict = "".join(f'[s2s.peer."{each}.example"]\nprooftypes = ["dane"]\n' for each in STRICT)
        net.configure("romeo", strict, HOME)
        net.configure("juliet", "", *(f"{each}.example" for each in CASES))
        own = net.certify("romeo", HOME)
        ta = {"ta", "stranger"}
        shown = {
            each: net.certify("juliet", f"{each}.example", by=net.unknown if each in ta else None)
            for each in CASES
            if each not in ("mismatch", "hosted", "loose", "outside")
        }
        net.certify("juliet", "mismatch.example", by=net.authority)
        self.romeos, port = net.serve("romeo")
        hosting = (net.folder / "juliet" / "certs" / "hosting.example.pem").read_bytes()
        for each in ("hosted", "loose", "outside"):
            (net.folder / "juliet" / "certs" / f"{each}.example.pem").write_bytes(hosting)
            (net.folder / "juliet" / "certs" / f"{each}.example.pem").chmod(0o600)
        self.juliets, self.port = net.serve("juliet")
        zones.zone(HOME, *lines(port, f"3 1 1 {digest(own)}"))
        by = f"2 0 1 {digest(net.unknown.certificate, False)}"

        def zone(name: str, *tlsa: str, target: str = "xmpp", **options: Any) -> None:
            zones.zone(f"{name}.example", *lines(self.port, *tlsa, target=target), **options)

        def key(name: str) -> str:
            return f"3 1 1 {digest(shown[name])}"

        for name in ("ee", "caller", "rollover", "living"):
            zone(name, key(name))
        zone("ta", by)
        zone("stranger", f"2 0 1 {digest(net.authority.certificate, False)}")
        zone("mismatch", f"3 1 1 {'ab' * 32}")
        zone("bogus", key("bogus"), spoiled=otherTLSA)
        zone("late", key("late"), until=time.time() - LONG_AGO)
        for name in ("plain", "strict"):
            zone(name, key(name), signed=False)
        zone("weak")
        zone("weakcaller")
        zone("hosting", key("hosting"))
        zones.zone("hosted.example", f"_xmpp-server._tcp SRV 0 0 {self.port} xmpp.hosting.example.")
        zones.zone("loose.example", f"_xmpp-server._tcp SRV 0 0 {self.port} xmpp.hosting.example.", signed=False)
        zones.zone("outside.example", f"_xmpp-server._tcp SRV 0 0 {self.port} xmpp.plain.example.")
        zones.start()
        self.romeos.ask("user add", jid=f"romeo@{HOME}", password="romeo")
        for each in CASES:
            self.juliets.ask("user add", jid=f"juliet@{each}.example", password="juliet")


@skipIf(MISSING, NEEDED)
class DNSSECTests(SynchronousTestCase):
    """Each of the cases."""

    def setUp(self) -> None:
        everything = Everything.get()
        self.net, self.port = everything.net, everything.port
        self.romeos, self.juliets = everything.romeos, everything.juliets
        self.addCleanup(self.checkLogs)

    def checkLogs(self) -> None:
        """Neither server tells of a mistake."""
        for each in (self.romeos, self.juliets):
            self.assertEqual(mistakes(each.written(), ("s2s changed", "doesn't name")), [])

    # --- people

    def romeo(self) -> Wire:
        """A client of ours."""
        made = Wire(Trusting(self.romeos), "romeo", HOME)
        self.addCleanup(made.close)
        return made

    def juliet(self, name: str) -> Wire:
        """A client at one of the domains of the other server."""
        made = Wire(Trusting(self.juliets), "juliet", f"{name}.example")
        self.addCleanup(made.close)
        return made

    def arrives(self, name: str) -> list[tuple[str, str, str]]:
        """Romeo writes to Juliet, who hears it; answers Romeo's server's streams."""
        juliet = self.juliet(name)
        self.romeo().say(f"<message to='juliet@{name}.example' type='chat' id='m'><body>to {name}</body></message>")
        juliet.body(f"to {name}")
        return verified(self.romeos, f"{name}.example")

    def bounces(self, name: str, condition: str = "remote-server-not-found") -> str:
        """Romeo writes to Juliet, and it comes back; answers the reason in words."""
        romeo = self.romeo()
        romeo.say(f"<message to='juliet@{name}.example' type='chat' id='m'><body>lost</body></message>")
        stanza = romeo.expect(lambda each: each.get("id") == "m" and each.get("type") == "error")
        error = stanza.find(f"{{{ns.CLIENT}}}error")
        assert error is not None
        self.assertIn(f"{{{ns.STANZA_ERRORS}}}{condition}", [each.tag for each in error])
        self.assertEqual(verified(self.romeos, f"{name}.example"), [])
        return "".join(error.itertext())

    def explained(self, name: str) -> tuple[int, str]:
        """What C{xmppctl dna explain} ends with and says."""
        command = [*XMPPCTL, str(self.net.folder / "romeo" / "xmppd.toml"), "dna", "explain", f"{name}.example"]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=DEADLINE)
        return done.returncode, done.stdout + done.stderr

    # --- what is believed

    @spec("RFC 7671", "5.1")
    @spec("RFC 7673", "3.1", "3.2", "3.3", "4.2")
    @spec("RFC 7712", "5.1")
    @spec("mission", "T8", "T11", "T15")
    def test_endEntity(self) -> None:
        """Nobody vouches for the certificate but the zone: DANE-EE, and a policy that takes nothing less."""
        self.assertEqual(self.arrives("ee"), [("out", "DANE-EE", "EXTERNAL")])
        self.assertEqual(verified(self.juliets, HOME)[0][:2], ("in", "DANE-EE"))
        status, text = self.explained("ee")
        self.assertEqual(status, 0, text)
        self.assertIn("what the resolver says about DNSSEC counts", text)
        self.assertIn("the place is secure, its address is secure", text)
        self.assertIn("accepted by DANE-EE", text)

    @spec("RFC 7671", "5.2")
    @spec("mission", "T8", "T11")
    def test_authority(self) -> None:
        """The zone names an authority that nobody else knows, and that is in the chain: DANE-TA."""
        self.assertEqual(self.arrives("ta"), [("out", "DANE-TA", "EXTERNAL")])

    @spec("RFC 7671", "5.2")
    def test_otherAuthority(self) -> None:
        """The zone names another authority than that which has signed the certificate."""
        self.bounces("stranger")
        _, text = self.explained("stranger")
        self.assertIn("no authority in the chain matches", text)

    @spec("RFC 7712", "5.1")
    @spec("mission", "T8", "T11")
    def test_incoming(self) -> None:
        """
        The other server begins: what its zone says counts for what it shows as client. On a stream of another domain's
        it can't show that, so it has to open one of its own.
        """
        romeo = self.romeo()
        self.juliet("caller").say(f"<message to='romeo@{HOME}' type='chat'><body>from caller</body></message>")
        romeo.body("from caller")
        self.assertEqual(verified(self.romeos, "caller.example"), [("in", "DANE-EE", "EXTERNAL")])

    @spec("RFC 7671", "8.1")
    @spec("mission", "T8")
    def test_rollover(self) -> None:
        """Both keys are published while the key changes; in the end the new one only."""
        domain, folder = "rollover.example", self.net.folder / "juliet" / "certs"
        old = x509.load_pem_x509_certificate((folder / f"{domain}.pem").read_bytes())
        key = curveKey()
        new = Authority("next").sign(key, [x509.DNSName(domain)], start=0, end=ALWAYS)
        both = (f"3 1 1 {digest(old)}", f"3 1 1 {digest(new)}")
        self.net.zones.zone(domain, *lines(self.port, *both))
        self.assertIn("accepted by DANE-EE", self.explained("rollover")[1])
        (folder / f"{domain}.pem").write_bytes(keyPEM(key) + pem(new))
        self.juliets.ask("reload")
        self.assertIn("accepted by DANE-EE", self.explained("rollover")[1])
        self.net.zones.zone(domain, *lines(self.port, both[1]))
        self.assertEqual(self.arrives("rollover"), [("out", "DANE-EE", "EXTERNAL")])
        self.net.zones.zone(domain, *lines(self.port, both[0]))
        status, text = self.explained("rollover")
        self.assertNotEqual(status, 0)
        self.assertIn("no DANE-EE record of xmpp.rollover.example", text)

    @spec("RFC 7673", "4.2")
    def test_mismatch(self) -> None:
        """A certificate by a trusted authority, but the zone says something else: nothing makes good for that."""
        self.assertIn("not proved", self.bounces("mismatch"))
        status, text = self.explained("mismatch")
        self.assertNotEqual(status, 0)
        self.assertIn("PKIX: held", text)
        self.assertIn("which nothing else makes good", text)

    @spec("RFC 7673", "3.3")
    @spec("mission", "T15")
    def test_bogus(self) -> None:
        """TLSA records that were forged: nothing goes there, and it is said why."""
        self.assertIn("doesn't stand up to DNSSEC", self.bounces("bogus"))
        status, text = self.explained("bogus")
        self.assertNotEqual(status, 0)
        self.assertIn(f"_{self.port}._tcp.xmpp.bogus.example doesn't stand up to DNSSEC", text)

    @spec("RFC 7673", "3.1")
    @spec("mission", "T15")
    def test_lateSignatures(self) -> None:
        """A zone that nobody has signed again."""
        self.assertIn("doesn't stand up to DNSSEC", self.bounces("late"))
        status, text = self.explained("late")
        self.assertNotEqual(status, 0)
        self.assertIn("_xmpp-server._tcp.late.example doesn't stand up to DNSSEC", text)

    @spec("RFC 7673", "3.2")
    @spec("mission", "T9", "T11")
    def test_unsigned(self) -> None:
        """The right TLSA records in a zone that isn't signed are as good as none: dialback, if that is good enough."""
        self.assertEqual(self.arrives("plain")[0][:2], ("out", "dialback"))
        self.bounces("strict")
        _, text = self.explained("strict")
        self.assertIn("the SRV record that names xmpp.strict.example port", text)
        self.assertIn("isn't secure by DNSSEC", text)

    @spec("RFC 7673", "3.1", "4.2")
    @spec("mission", "T8")
    def test_hosted(self) -> None:
        """A secure SRV record leads to another zone, whose word counts for its host."""
        self.assertEqual(self.arrives("hosted")[0][:2], ("out", "DANE-EE"))

    @spec("RFC 7673", "3.1", "9.1")
    def test_unsignedDelegation(self) -> None:
        """What an SRV record says that isn't secure makes no host's TLSA records the domain's."""
        self.assertEqual(self.arrives("loose")[0][:2], ("out", "dialback"))
        self.assertIn("the SRV record that names xmpp.hosting.example", self.explained("loose")[1])

    @spec("RFC 7673", "3.2", "9.1")
    def test_unsignedHost(self) -> None:
        """A secure SRV record leads to a host whose zone isn't: its TLSA records aren't believed."""
        self.assertEqual(self.arrives("outside")[0][:2], ("out", "dialback"))
        self.assertIn("the address of xmpp.plain.example", self.explained("outside")[1])

    @spec("XEP-0344", "3.3")
    @spec("mission", "T9", "T11")
    def test_secureDialback(self) -> None:
        """Without TLSA records the DNS has still led there securely; each way, and with TLS."""
        self.assertEqual(self.arrives("weak")[0][:2], ("out", "dialback+DNSSEC"))
        romeo = self.romeo()
        self.juliet("weakcaller").say(f"<message to='romeo@{HOME}' type='chat'><body>from weak</body></message>")
        romeo.body("from weak")
        self.assertEqual([each[:2] for each in verified(self.romeos, "weakcaller.example")], [("in", "dialback+DNSSEC")])


class Trusting:
    """What a L{Wire} wants of a server, but for trust: where it is."""

    certificate = None

    def __init__(self, daemon: Daemon | Prosody) -> None:
        self.tlsPort = daemon.tlsPort


PROSODY = """
use_dane = true
unbound = {{ resolvconf = false; hoststxt = false; forward = "127.0.0.1@{resolver}"; trusted = "{anchor}";
  options = {{ ["do-not-query-localhost:"] = "no" }} }}
"""


@skipIf(MISSING, NEEDED)
@skipIf(Prosody.missing(), Prosody.missing())
class ProsodyDANETests(SynchronousTestCase):
    """Debian's Prosody, which believes the DNS where it calls, and validates by itself."""

    @spec("RFC 7671", "5.1")
    @spec("RFC 7712", "5.1")
    @spec("mission", "T8", "T11")
    def test_both(self) -> None:
        """Neither has a certificate that anybody else vouches for; ours takes nothing but DANE, in both directions."""
        net = Net(self.addCleanup)
        net.configure("romeo", f'[s2s.peer."{PEER}"]\nprooftypes = ["dane"]', HOME)
        own = net.certify("romeo", HOME)
        romeos, port = net.serve("romeo")
        options = PROSODY.format(resolver=net.zones.port, anchor=net.zones.anchor)
        theirs = Prosody(net.folder / "prosody", net.zones.port, options=options)
        (theirs.folder / "ca.pem").write_bytes(pem(net.authority.certificate))
        shown = net.certify("prosody", PEER)
        net.zones.zone(HOME, *lines(port, f"3 1 1 {digest(own)}"))
        net.zones.zone(PEER, *lines(theirs.port, f"3 1 1 {digest(shown)}"))
        net.zones.start()
        self.addCleanup(theirs.stop)
        theirs.start()
        romeos.ask("user add", jid=f"romeo@{HOME}", password="romeo")
        romeo, juliet = Wire(Trusting(romeos), "romeo", HOME), Wire(Trusting(theirs), "juliet", PEER)
        self.addCleanup(romeo.close)
        self.addCleanup(juliet.close)
        romeo.say(f"<message to='juliet@{PEER}' type='chat'><body>there</body></message>")
        juliet.body("there")
        juliet.say(f"<message to='romeo@{HOME}' type='chat'><body>back</body></message>")
        romeo.body("back")
        found = sorted(each[:2] for each in verified(romeos, PEER))
        self.assertEqual(found, [("in", "DANE-EE"), ("out", "DANE-EE")])
        self.assertIn("Enabling DANE with 1 TLSA records", theirs.written())
        self.assertIn("certificate chain validation result: valid", theirs.written())


@skipIf(MISSING, NEEDED)
class LivingStreamTests(TestCase):
    """What becomes of a stream while what has proved it changes. Romeo's server is in this process, with little patience."""

    async def setUp(self) -> None:
        self.everything = everything = Everything.get()
        self.patch(rest, "REST_SECONDS", 0.01)
        self.patch(renewal, "AGAIN", 0.5)
        self.patch(peers, "SWEEP_SECONDS", 0.1)
        folder = everything.net.folder / "romeo"
        text = (folder / "template").read_text().replace('data = "data"', 'data = "living"').format(port=0, tlsPort=0, limits="")
        config = parse(text, str(folder / "xmppd.toml"))
        self.server = Server(config, reactor, MemoryStore(), CountingEntropy())
        self.server.service.startService()
        await self.server.service.started
        self.addCleanup(deferLater, reactor, 0.1)
        self.addCleanup(self.server.service.stopService)
        assert self.server.peers is not None
        self.peers: Any = self.server.peers

    def say(self, text: str) -> None:
        """Write to Juliet."""
        body = Element("body", ns.CLIENT, {}, (text,))
        attrs = {"from": f"romeo@{HOME}/x", "to": "juliet@living.example", "type": "chat"}
        self.server.router.route(build("message", attrs, body))

    async def until(self, question: Callable[[], Any]) -> Any:
        """The first answer that is true."""
        until = time.monotonic() + DEADLINE / 2
        while time.monotonic() < until:
            answer = question()
            if answer:
                return answer
            await deferLater(reactor, 0.02)
        raise AssertionError("it has not come to pass")

    def streams(self) -> list[Any]:
        """Those that carry Romeo's words."""
        return [each for each in self.peers.streams if (HOME, "living.example") in each.spoken and not each.retiring]

    @spec("RFC 7590", "3.3")
    @spec("mission", "T8", "T11")
    async def test_changes(self) -> None:
        """
        As long as the zone says the same, the stream stays and its proof is renewed. Then the zone names another key:
        the stream goes, all that was said has arrived, and nothing more gets there.
        """
        zones, port = self.everything.net.zones, self.everything.port
        self.say("first")
        (stream,) = await self.until(self.streams)
        first = stream.verdict
        self.assertEqual(str(first.prooftype), "DANE-EE")
        await self.until(lambda: stream.verdict is not first)
        self.assertEqual((self.streams(), str(stream.verdict.prooftype)), ([stream], "DANE-EE"))
        changing = deferToThread(zones.zone, "living.example", *lines(port, f"3 1 1 {'cd' * 32}"))
        said = 0
        while not stream.retiring and said < 3000:
            self.say(f"n{said}")
            said += 1
            await deferLater(reactor, 0.02)
        await changing
        await self.until(lambda: stream.closed)
        self.assertEqual(self.streams(), [])

        def heard() -> None:
            juliet = Wire(Trusting(self.everything.juliets), "juliet", "living.example")
            try:
                for text in ("first", *(f"n{number}" for number in range(said))):
                    juliet.body(text)
            finally:
                juliet.close()

        await deferToThread(heard)
        self.say("never")
        await self.until(lambda: self.server.remote.links[HOME, "living.example"].failures)
        self.assertIn("not proved", str(self.server.remote.links[HOME, "living.example"].reason))


WEB = """\
import http.server, ssl, sys
server = http.server.HTTPServer((sys.argv[1], 443), http.server.SimpleHTTPRequestHandler)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(sys.argv[2])
server.socket = context.wrap_socket(server.socket, server_side=True)
print("ready", flush=True)
server.serve_forever()
"""
"""A web server that has the files of the folder that it is started in."""

NAMESPACE = f"xmppd-{os.getpid()}"


@skipIf(MISSING, NEEDED)
@skipUnless(shutil.which("ip", path=PLACES), "ip is needed (Debian: iproute2)")
class FarResolverTests(SynchronousTestCase):
    """The resolver isn't on loopback: it has an address of its own, in a network of its own."""

    FAR = "10.53.53.53"

    def setUp(self) -> None:
        made = subprocess.run(["ip", "netns", "add", NAMESPACE], capture_output=True, text=True)
        if made.returncode:
            raise SkipTest(f"there can be no network namespaces here: {made.stderr.strip()}")
        self.addCleanup(subprocess.run, ["ip", "netns", "del", NAMESPACE], capture_output=True)
        for command in (
            ("-n", NAMESPACE, "link", "set", "lo", "up"),
            ("-n", NAMESPACE, "addr", "add", f"{self.FAR}/32", "dev", "lo"),
        ):
            subprocess.run(["ip", *command], check=True, capture_output=True)
        self.within = ("ip", "netns", "exec", NAMESPACE)
        self.net = Net(self.addCleanup, self.FAR, self.within)
        for name, section in (("wary", ""), ("trusting", "trust_resolver = true"), ("private", "posh_private = true")):
            self.net.configure(name, section, HOME)
            self.net.certify(name, HOME)
        self.net.configure("juliet", "", "ee.example", "posh.example")
        certificate = self.net.certify("juliet", "ee.example")
        self.certificate = self.net.certify("juliet", "posh.example")
        _, port = self.net.serve("juliet")
        tlsa = f"3 1 1 {digest(certificate)}"
        self.net.zones.zone("ee.example", *lines(port, tlsa, address=self.FAR))
        self.net.zones.zone("posh.example", f"@ A {self.FAR}", *lines(port, address=self.FAR))
        self.net.zones.start()

    def publish(self, certificate: x509.Certificate) -> None:
        """Have the web server of posh.example name a certificate."""
        web = self.net.folder / "web"
        (web / ".well-known" / "posh").mkdir(parents=True)
        document = fingerprintsDocument([der(certificate)])
        (web / ".well-known" / "posh" / "xmpp-server.json").write_bytes(document)
        key = curveKey()
        leaf = self.net.authority.sign(key, [x509.DNSName("posh.example")], start=0, end=ALWAYS)
        (self.net.folder / "web.pem").write_bytes(keyPEM(key) + pem(leaf))
        command = [*self.within, sys.executable, "-c", WEB, self.FAR, str(self.net.folder / "web.pem")]
        serving = subprocess.Popen(command, cwd=web, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        self.addCleanup(serving.wait)
        self.addCleanup(serving.kill)
        assert serving.stdout is not None
        self.addCleanup(serving.stdout.close)
        self.assertEqual(serving.stdout.readline(), b"ready\n")

    def explained(self, name: str, domain: str = "ee.example") -> dict[str, Any]:
        """What C{xmppctl dna explain} says there."""
        folder = self.net.folder / name
        (folder / "xmppd.toml").write_text((folder / "template").read_text().format(port=0, tlsPort=0, limits=""))
        command = [*self.within, *XMPPCTL, str(folder / "xmppd.toml"), "--json", "dna", "explain", domain]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=DEADLINE)
        try:
            found: dict[str, Any] = json.loads(done.stdout)
        except ValueError:
            raise AssertionError(done.stdout + done.stderr) from None
        return found

    @spec("RFC 6698", "4.1")
    @spec("mission", "T8", "T15")
    def test_notBelieved(self) -> None:
        """Its word about DNSSEC counts only where the configuration says that nobody can meddle on the way to it."""
        answer = self.net.zones.ask(self.net.zones.port, "xmpp.ee.example", "A", "+adflag")
        self.assertIn(" ad;", answer)
        for name, believed, proof in (("wary", False, "dialback"), ("trusting", True, "DANE-EE")):
            found = self.explained(name)
            (place,) = found["places"]
            self.assertEqual((found["resolver_believed"], place["verdict"]["prooftype"]), (believed, proof), found)
            self.assertEqual(place["dnssec"]["address"], "secure" if believed else "insecure")

    @spec("RFC 7711", "3.1")
    @spec("RFC 7712", "5.2")
    @spec("mission", "T8", "T11", "T15")
    def test_posh(self) -> None:
        """
        The web server of a domain names its server's certificate, which nobody else vouches for: POSH, though only where
        the configuration lets web servers be asked that aren't on the public Internet.
        """
        self.publish(self.certificate)
        for name, proof in (("wary", "dialback"), ("private", "POSH")):
            found = self.explained(name, "posh.example")
            (place,) = found["places"]
            self.assertEqual(place["verdict"]["prooftype"], proof, found)
            (posh,) = [each for each in place["verdict"]["proofs"] if each["prooftype"] == "POSH"]
            said = "by its sha-512 fingerprint" if name == "private" else "isn't on the public Internet"
            self.assertIn(said, " ".join(posh["reasons"]))
