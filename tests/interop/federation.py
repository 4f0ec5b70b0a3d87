"""
Two servers on loopback, ours and another, with an authority that vouches for both and a name server that both ask; and
what has to hold whoever the other one is.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

from twisted.names import dns

from tests.interop.daemon import ADDRESS, DEADLINE, DOMAIN, ROOT, Daemon, mistakes
from tests.interop.peerservers import PEER, PeerServer, Prosody
from tests.interop.wire import Element, Wire
from tests.marks import spec
from tests.trust.authority import ALWAYS, Authority, curveKey, keyPEM, pem
from xmppd.wire import ns

CONFIGURATION = """\
data = "data"
[listen]
c2s = ["tcp:{port}:interface=127.0.0.1"]
c2s_tls = ["tcp:{tlsPort}:interface=127.0.0.1"]
s2s = ["tcp:0:interface=127.0.0.1"]
s2s_tls = ["tcp:0:interface=127.0.0.1"]
[tls]
certificates = "certs"
REQUIRE
[log]
file = "log"

[limits]
enabled = false
{limits}
[s2s]
authorities = "ca.pem"
resolver = "127.0.0.1:RESOLVER"
SECTION
[host."example.org"]
admins = ["romeo@example.org"]
[rooms."rooms.example.org"]
"""

ONCE = 1_000_000_000.0
"""When what is expired was valid last, in seconds since the epoch."""

CIPHERS = ("TLS_AES_256_GCM_SHA384", "TLS_AES_128_GCM_SHA256", "TLS_CHACHA20_POLY1305_SHA256")
"""All there are in TLS 1.3 but for those that are made for small devices."""

EXPLAIN = ("-W", "ignore", "-c", "from xmppd.ctl.main import xmppctl; xmppctl()", "--config")


class Names(threading.Thread):
    """
    A name server.

    @ivar records: by name and type; what isn't there doesn't exist.
    @ivar port: where it listens.
    @ivar secure: whether its answers have the AD bit, as those of a resolver that validates DNSSEC.
    """

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.records: dict[tuple[str, int], list[Any]] = {}
        self.secure = False
        self._open = True
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind((ADDRESS, 0))
        self.port: int = self._socket.getsockname()[1]

    def run(self) -> None:
        """Answer until it is closed."""
        while self._open:
            data, address = self._socket.recvfrom(4096)
            if data:
                self._socket.sendto(self._answer(data), address)

    def _answer(self, data: bytes) -> bytes:
        asked: Any = dns.Message()
        asked.fromStr(data)
        answer: Any = dns.Message(asked.id, answer=1, recAv=1, recDes=asked.recDes)
        answer.queries = asked.queries
        answer.authenticData = self.secure
        for query in asked.queries:
            name = query.name.name.decode().lower()
            payloads = self.records.get((name, query.type), [])
            answer.answers += [dns.RRHeader(name.encode(), query.type, ttl=1, payload=each) for each in payloads]
            if not any(known == name for known, _ in self.records):
                answer.rCode = dns.ENAME
        encoded: bytes = answer.toStr()
        return encoded

    def close(self) -> None:
        """Answer no more."""
        self._open = False
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
            other.sendto(b"", (ADDRESS, self.port))
        self.join(5)
        self._socket.close()

    def server(self, domain: str, port: int | None, directPort: int | None = None, host: str | None = None) -> None:
        """Say where a domain's server is."""
        host = host or f"host.{domain}"
        self.records[host, dns.A] = [dns.Record_A(ADDRESS)]
        for service, number in (("xmpp-server", port), ("xmpps-server", directPort)):
            name = f"_{service}._tcp.{domain}"
            self.records.pop((name, dns.SRV), None)
            if number is not None:
                self.records[name, dns.SRV] = [dns.Record_SRV(0, 0, number, host)]


class World:
    """
    Both servers, the authority and the name server.

    @ivar daemon: ours.
    @ivar peer: the other.
    @ivar port: where servers connect to ours.
    @ivar directPort: where they connect with TLS.
    """

    def __init__(
        self,
        test: Any,
        *,
        server: type[PeerServer] = Prosody,
        section: str = "",
        require: str = "",
        ours: str | None = DOMAIN,
        theirs: str | None = PEER,
        oursUntil: float = ALWAYS,
        theirsUntil: float = ALWAYS,
        expected: tuple[str, ...] = (),
        **peer: Any,
    ) -> None:
        """
        @param server: what the other one is.
        @param section: lines for C{[s2s]}.
        @param require: lines for C{[tls]}.
        @param ours: the name in our certificate; None: it is signed by itself.
        @param theirs: the name in the other's.
        @param oursUntil: how long ours is valid, in seconds since the epoch.
        @param theirsUntil: how long the other's is.
        @param expected: what may appear in lines of our log that would be mistakes otherwise.
        @param peer: what else there is to be said about the other one.
        """
        self.test = test
        self.folder = Path(tempfile.mkdtemp(prefix="xmppd-"))
        test.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        self.names = Names()
        self.names.start()
        test.addCleanup(self.names.close)
        self.authority = Authority("The Tests")
        text = CONFIGURATION.replace("RESOLVER", str(self.names.port)).replace("SECTION", section)
        for each in ("xmppd", "peer"):
            (self.folder / each / "certs").mkdir(parents=True)
            (self.folder / each / "ca.pem").write_bytes(pem(self.authority.certificate))
        self.daemon = Daemon(self.folder / "xmppd", text.replace("REQUIRE", require))
        self.peer = server(self.folder / "peer", self.names.port, **peer)
        self.certify("xmppd", DOMAIN, ours, oursUntil)
        self.peerCertificate = self.certify("peer", PEER, theirs, theirsUntil)
        self._ours = self.folder / "xmppd" / "ca.pem" if (ours, oursUntil) == (DOMAIN, ALWAYS) else None
        self._theirs = self.folder / "peer" / "ca.pem" if (theirs, theirsUntil) == (PEER, ALWAYS) else None
        test.addCleanup(self.daemon.kill)
        test.addCleanup(self.peer.stop)
        self.serve()
        self.peer.start()
        self.names.server(PEER, self.peer.port)
        test.addCleanup(self._end, expected)

    def serve(self) -> None:
        """Start ours, and have the DNS say where it is."""
        self.daemon.start()
        ports = {each["option"]: int(each["address"].rpartition(":")[2]) for each in self.daemon.ask("status")["ports"]}
        self.port, self.directPort = ports["listen.s2s"], ports["listen.s2s_tls"]
        for each in (DOMAIN, f"rooms.{DOMAIN}"):
            self.names.server(each, self.port, host=self.peer.ourHost)

    def certify(self, who: str, domain: str, name: str | None, until: float = ALWAYS) -> bytes:
        """
        Give a server a certificate, and answer that as PEM.

        @param who: C{"xmppd"} or C{"peer"}.
        @param name: whose it is; None: that of the domain, but nobody known has signed it.
        """
        text, key = self.certificate(name or domain, until, self.authority if name is not None else None)
        (self.folder / who / "certs" / f"{domain}.pem").write_bytes(text + key)
        return text

    def certificate(self, name: str, until: float = ALWAYS, authority: Authority | None = None) -> tuple[bytes, bytes]:
        """A certificate and its key as PEM; without an authority it is signed by one that nobody knows."""
        from cryptography import x509

        key = curveKey()
        names = [x509.DNSName(name), x509.DNSName(f"*.{name}")]
        leaf = (authority or Authority("Nobody Knows")).sign(key, names, start=0, end=until)
        return pem(leaf), keyPEM(key)

    def _end(self, expected: tuple[str, ...]) -> None:
        status = self.daemon.stop() if self.daemon.alive else self.daemon.status
        self.test.assertEqual((status, mistakes(self.daemon.written(), expected)), (0, []))

    def people(self) -> tuple[Wire, Wire]:
        """Romeo at our server and Juliet at the other."""
        self.daemon.addAccount("romeo")
        return self.romeo(), self.juliet()

    def romeo(self) -> Wire:
        """A client of ours."""
        romeo = Wire(Trusting(self._ours, self.daemon.tlsPort), "romeo")
        self.test.addCleanup(romeo.close)
        return romeo

    def juliet(self) -> Wire:
        """A client of the other server."""
        juliet = Wire(Trusting(self._theirs, self.peer.tlsPort), "juliet", PEER)
        self.test.addCleanup(juliet.close)
        return juliet

    def streams(self) -> list[dict[str, Any]]:
        """Our streams with the other server."""
        return [each for each in self.daemon.streams() if each["kind"] == "s2s"]

    def explain(self) -> tuple[int, str]:
        """Exit status and words of C{xmppctl dna explain} about the other's domain."""
        command = [sys.executable, *EXPLAIN, str(self.daemon.folder / "xmppd.toml"), "dna", "explain", PEER]
        done = subprocess.run(
            command, cwd=ROOT, capture_output=True, text=True, timeout=DEADLINE, env=dict(os.environ), check=False
        )
        return done.returncode, done.stdout + done.stderr

    def told(self) -> str:
        """Both logs, for when a test fails."""
        ours = "\n".join(line for line in self.daemon.written().splitlines() if "s2s: " in line)
        return f"--- xmppd\n{ours}\n--- the other\n{self.peer.written()[-3000:]}"


class Trusting:
    """What a L{Wire} wants of a server: where it is, and whom to trust."""

    def __init__(self, certificate: Path | None, tlsPort: int) -> None:
        self.certificate = certificate
        self.tlsPort = tlsPort


def waitFor(question: Any) -> Any:
    """The first answer that is true."""
    until = time.monotonic() + DEADLINE / 2
    while time.monotonic() < until:
        answer = question()
        if answer:
            return answer
        time.sleep(0.05)
    raise AssertionError("it has not come to pass")


class Federation:
    """
    What is done in a world and what is looked at. Romeo is at our server, Juliet at the other.

    @cvar server: what the other one is.
    """

    server: type[PeerServer]
    assertEqual: Any
    assertIn: Any
    assertNotIn: Any
    addCleanup: Any

    def world(self, **options: Any) -> World:
        """Start both."""
        self.there = World(self, server=self.server, **options)
        return self.there

    # --- what people do

    def say(self, romeo: Wire, juliet: Wire) -> None:
        """A message from Romeo."""
        romeo.say(f"<message to='juliet@{PEER}' type='chat' id='m1'><body>Juliet &lt;3</body></message>")
        self.assertEqual(juliet.body("Juliet <3").get("from"), romeo.jid)

    def answer(self, romeo: Wire, juliet: Wire) -> None:
        """A message from Juliet."""
        juliet.say(f"<message to='romeo@{DOMAIN}' type='chat' id='m2'><body>Romeo!</body></message>")
        self.assertEqual(romeo.body("Romeo!").get("from"), juliet.jid)

    def talk(self, romeo: Wire, juliet: Wire) -> None:
        """A message each way."""
        self.say(romeo, juliet)
        self.answer(romeo, juliet)

    def bounced(self, romeo: Wire, condition: str, reason: str = "", to: str = f"juliet@{PEER}") -> None:
        """What Romeo says comes back, with that error and that reason in its text."""
        romeo.say(f"<message to='{to}' type='chat' id='m9'><body>lost</body></message>")
        error = romeo.expect(lambda each: each.get("type") == "error" and each.get("id") == "m9")
        self.assertIn(f"{{{ns.STANZA_ERRORS}}}{condition}", conditions(error), self.there.told())
        text = error.findtext(f"{{{ns.CLIENT}}}error/{{{ns.STANZA_ERRORS}}}text") or ""
        self.assertIn(reason, text, self.there.told())

    def refused(self, juliet: Wire) -> None:
        """What Juliet says comes back, with an error of her own server."""
        juliet.say(f"<message to='romeo@{DOMAIN}' type='chat' id='m8'><body>lost</body></message>")
        error = juliet.expect(lambda each: each.get("type") == "error" and each.get("id") == "m8")
        self.assertEqual(error.get("from"), f"romeo@{DOMAIN}")
        self.assertEqual(len([each for each in conditions(error) if not each.endswith("}text")]), 1)

    def nothingHeard(self, *wires: Wire) -> None:
        """Nobody has got what was to be lost."""
        for wire in wires:
            wire.listen(0.2)
            bodies = [each.findtext(f"{{{ns.CLIENT}}}body") for each in wire.heard if each.get("type") != "error"]
            self.assertNotIn("lost", bodies)

    # --- what is known of it

    def facts(self, *keys: str) -> list[tuple[Any, ...]]:
        """Facts of our streams that carry stanzas, in order."""
        found = [tuple(each[key] for key in keys) for each in self.there.streams() if each["state"] == "server"]
        return sorted(found, key=str)

    def expectFacts(self, mechanism: str | None, proof: str, *directions: str, tls: str | None = "TLSv1.3") -> None:
        """Our streams are these, and all of them are encrypted and proved like that."""
        expected = [(each, mechanism, proof, tls) for each in directions]
        self.assertEqual(self.facts("direction", "mechanism", "proof", "tls"), expected, self.there.told())

    def logged(self, *texts: str) -> None:
        """Our log says all that, soon."""
        until = time.monotonic() + 10
        while missing := [each for each in texts if each not in self.there.daemon.written()]:
            if time.monotonic() > until:
                raise AssertionError(f"our log doesn't say {missing}\n{self.there.told()}")
            time.sleep(0.05)

    def theyLogged(self, text: str) -> None:
        """The other server's log says that."""
        self.assertIn(text, self.there.peer.written(), self.there.told())

    def explained(self, accepted: bool, *texts: str) -> None:
        """C{xmppctl dna explain} says whether stanzas get there, and all that."""
        status, words = self.there.explain()
        self.assertEqual(status, 0 if accepted else 69, words)
        for text in texts:
            self.assertIn(text, words)


class FederationCases(Federation):
    """What has to hold whoever the other server is: who calls first, and what is wrong with whom."""

    # --- STARTTLS and certificates

    @spec("RFC 6120", "5.4", "6.3.4", "13.7.2")
    @spec("XEP-0178", "3")
    @spec("mission", "T1", "T2", "T7", "T10", "T11")
    def test_external(self) -> None:
        """We call, and both have certificates of an authority that both trust: SASL EXTERNAL; then they call."""
        romeo, juliet = self.world().people()
        self.say(romeo, juliet)
        self.expectFacts("EXTERNAL", "PKIX", "out")
        self.theyLogged(self.server.external[0])
        self.logged("s2s judged: montague.example accepted by PKIX, TLSv1.3", "s2s spoken: local=example.org")
        self.answer(romeo, juliet)
        self.expectFacts("EXTERNAL", "PKIX", "in", "out")
        self.theyLogged(self.server.external[1])
        self.logged("s2s heard: local=example.org remote=montague.example proof=PKIX")
        self.assertEqual({cipher for (cipher,) in self.facts("cipher")} - set(CIPHERS), set())
        self.explained(True, "which is proved by PKIX", "TLSv1.3")

    @spec("RFC 6120", "5.4", "6.3.4", "13.7.2")
    @spec("XEP-0178", "3")
    @spec("mission", "T2", "T7", "T11")
    def test_externalTheyCall(self) -> None:
        """They call first; nothing has to be asked of them for that."""
        romeo, juliet = self.world().people()
        self.answer(romeo, juliet)
        self.expectFacts("EXTERNAL", "PKIX", "in")
        self.theyLogged(self.server.external[1])
        self.say(romeo, juliet)
        self.expectFacts("EXTERNAL", "PKIX", "in", "out")

    @spec("XEP-0178", "3")
    @spec("mission", "T7")
    def test_theyAreStrict(self) -> None:
        """They accept nothing but certificates, and so do we."""
        self.talk(*self.world(strict=True, section='prooftypes = ["pkix"]').people())
        self.expectFacts("EXTERNAL", "PKIX", "in", "out")

    # --- dialback

    @spec("XEP-0220", "2.1.1", "2.2.1", "2.2.2")
    @spec("XEP-0344", "2.3")
    @spec("mission", "T9", "T11")
    def test_dialback(self) -> None:
        """We call, and neither trusts the other's certificate: dialback over TLS; then they call."""
        romeo, juliet = self.world(ours=None, theirs=None).people()
        self.say(romeo, juliet)
        self.assertIn(("out", "dialback", "dialback", "TLSv1.3"), self.facts("direction", "mechanism", "proof", "tls"))
        self.theyLogged(self.server.weak[0])
        self.answer(romeo, juliet)
        self.expectFacts("dialback", "dialback", "in", "out")
        self.theyLogged(self.server.weak[1])
        self.explained(True, "which is proved by dialback", "PKIX: failed")

    @spec("XEP-0220", "2.1.1", "2.2.1", "2.2.2")
    @spec("mission", "T9", "T11")
    def test_dialbackTheyCall(self) -> None:
        """They call first: we have to call them to verify their key."""
        romeo, juliet = self.world(ours=None, theirs=None).people()
        self.answer(romeo, juliet)
        self.assertIn(("in", "dialback", "dialback", "TLSv1.3"), self.facts("direction", "mechanism", "proof", "tls"))
        self.theyLogged(self.server.weak[1])
        self.logged("s2s heard: local=example.org remote=montague.example proof=dialback")
        self.say(romeo, juliet)
        self.expectFacts("dialback", "dialback", "in", "out")

    # --- TLS from the first byte

    def direct(self) -> tuple[Wire, Wire]:
        """A world in which nobody can be reached but with TLS from the first byte."""
        world = self.world()
        world.names.server(DOMAIN, None, world.directPort, world.peer.ourHost)
        world.names.server(PEER, None, world.peer.directPort)
        return world.people()

    @spec("XEP-0368", "3")
    @spec("mission", "T4")
    def test_direct(self) -> None:
        """We call by direct TLS; then they do."""
        romeo, juliet = self.direct()
        self.say(romeo, juliet)
        self.expectFacts("EXTERNAL", "PKIX", "out")
        self.answer(romeo, juliet)
        self.expectFacts("EXTERNAL", "PKIX", "in", "out")
        self.explained(True, f"port {self.there.peer.directPort} (TLS at once)")

    @spec("XEP-0368", "3")
    @spec("mission", "T4")
    def test_directTheyCall(self) -> None:
        """They call first."""
        romeo, juliet = self.direct()
        self.answer(romeo, juliet)
        self.expectFacts("EXTERNAL", "PKIX", "in")
        self.say(romeo, juliet)

    # --- no TLS

    @spec("RFC 7590", "3.1")
    @spec("mission", "T2", "T3")
    def test_noTLS(self) -> None:
        """They have no TLS: nothing goes there, and they may send nothing."""
        romeo, juliet = self.world(plain=True).people()
        self.bounced(romeo, "remote-server-timeout", "The other server has no TLS.")
        self.logged("s2s: no stream: local=example.org", "The other server has no TLS.")
        self.refused(juliet)
        self.logged("s2s left: local=example.org remote=montague.example: it has gone without TLS, which is asked for")
        self.assertEqual(self.facts("direction"), [])
        self.nothingHeard(romeo, juliet)
        self.explained(False, "no stream: The other server has no TLS.")

    @spec("mission", "T2")
    def test_noTLSAllowed(self) -> None:
        """The same, and our policy lets that pass for this domain."""
        self.talk(*self.world(plain=True, section=f'[s2s.peer."{PEER}"]\nrequire = false').people())
        facts = self.facts("direction", "tls", "proof", "mechanism")
        self.assertEqual(facts, [("in", None, "dialback", "dialback"), ("out", None, "dialback", "dialback")])

    @spec("RFC 7590", "3.1")
    @spec("mission", "T3")
    def test_hidden(self) -> None:
        """They don't offer STARTTLS, but have it: we ask for it nevertheless, and get it."""
        romeo, juliet = self.world(hides=True).people()
        self.talk(romeo, juliet)
        self.expectFacts("EXTERNAL", "PKIX", "in", "out")
        self.explained(True, "(STARTTLS)", "which is proved by PKIX", "TLSv1.3")

    # --- certificates that prove nothing

    def theirsIsBad(self, reason: str, **certificate: Any) -> None:
        """Their certificate proves nothing, and we want one that does: nothing passes, whoever calls."""
        romeo, juliet = self.world(section='prooftypes = ["pkix"]', **certificate).people()
        self.bounced(romeo, "remote-server-not-found", "The other server has not proved that it is the right one.")
        self.logged("s2s judged: montague.example refused, TLSv1.3")
        self.refused(juliet)
        self.logged("s2s not heard: montague.example refused, TLSv1.3")
        self.assertEqual(self.facts("direction"), [])
        self.nothingHeard(romeo, juliet)
        self.explained(False, "montague.example: refused", "PKIX: failed", reason)

    def oursIsBad(self, **certificate: Any) -> None:
        """Our certificate proves nothing, and they want one that does: nothing passes, whoever calls."""
        romeo, juliet = self.world(strict=True, **certificate).people()
        self.bounced(romeo, "remote-server-timeout", "The other server has ended the stream: not-authorized.")
        self.refused(juliet)
        self.assertEqual(self.facts("direction"), [])
        self.nothingHeard(romeo, juliet)

    @spec("RFC 6120", "13.7.2.1")
    @spec("mission", "T7")
    def test_wrongName(self) -> None:
        """Their certificate is good, but for another name."""
        self.theirsIsBad("other.example", theirs="other.example")

    @spec("RFC 6120", "13.7.2.1")
    @spec("mission", "T7")
    def test_wrongNameOfOurs(self) -> None:
        """Ours is."""
        self.oursIsBad(ours="other.example", expected=("doesn't name example.org",))

    @spec("RFC 6120", "13.7.2")
    @spec("mission", "T7")
    def test_expired(self) -> None:
        """Their certificate was good once."""
        self.theirsIsBad("expired", theirsUntil=ONCE, expected=("s2s changed",))

    @spec("RFC 6120", "13.7.2")
    @spec("mission", "T7")
    def test_expiredOfOurs(self) -> None:
        """Ours was."""
        self.oursIsBad(oursUntil=ONCE, expected=("expired",))

    @spec("RFC 6120", "5.4.3.3", "13.7.2")
    @spec("mission", "T7")
    def test_selfSigned(self) -> None:
        """Nobody known has signed their certificate."""
        self.theirsIsBad("issued by CN=Nobody Knows, which isn't trusted here", theirs=None)

    @spec("RFC 6120", "5.4.3.3", "13.7.2")
    @spec("mission", "T7")
    def test_selfSignedOfOurs(self) -> None:
        """Nobody known has signed ours."""
        self.oursIsBad(ours=None)

    @spec("mission", "T9", "T11")
    def test_badButDialback(self) -> None:
        """A certificate that is expired and for another name is no better than none, where dialback is good enough."""
        expired: dict[str, Any] = {"theirsUntil": ONCE, "expected": ("s2s changed",)}
        romeo, juliet = self.world(theirs="other.example", **expired).people()
        self.talk(romeo, juliet)
        self.assertEqual(self.facts("direction", "proof"), [("in", "dialback"), ("out", "dialback")])


def conditions(error: Element) -> list[str]:
    """What is in the errors of a stanza."""
    return [child.tag for each in error.iter(f"{{{ns.CLIENT}}}error") for child in each]
