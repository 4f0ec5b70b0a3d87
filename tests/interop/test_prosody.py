"""
Our server and Debian's Prosody exchange stanzas, over loopback and with real DNS.
"""

from __future__ import annotations

import hashlib
import shutil
import time
from typing import Any
from unittest import skipUnless

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from twisted.names import dns
from twisted.trial.unittest import SynchronousTestCase

from tests.interop.daemon import DEADLINE, DOMAIN
from tests.interop.federation import PEER, World
from tests.interop.wire import Element, Wire
from tests.marks import spec
from xmppd.wire import ns

BODY = f"{{{ns.CLIENT}}}body"


def waitFor(test: Any, question: Any) -> Any:
    """The first answer that is true."""
    until = time.monotonic() + DEADLINE / 2
    while time.monotonic() < until:
        answer = question()
        if answer:
            return answer
        time.sleep(0.05)
    raise AssertionError("it has not come to pass")


@skipUnless(shutil.which("prosody"), "Prosody is not installed")
class ProsodyTests(SynchronousTestCase):
    """Romeo is at our server, Juliet at Prosody."""

    def world(self, **options: Any) -> World:
        """Start both."""
        self.there = World(self, **options)
        return self.there

    def talk(self, romeo: Wire, juliet: Wire) -> None:
        """A message each way."""
        romeo.say(f"<message to='juliet@{PEER}' type='chat' id='m1'><body>Juliet &lt;3</body></message>")
        self.assertEqual(juliet.body("Juliet <3").get("from"), romeo.jid)
        juliet.say(f"<message to='romeo@{DOMAIN}' type='chat' id='m2'><body>Romeo!</body></message>")
        self.assertEqual(romeo.body("Romeo!").get("from"), juliet.jid)

    def facts(self, *keys: str) -> list[tuple[Any, ...]]:
        """Facts of our streams, in order."""
        found = [tuple(each[key] for key in keys) for each in self.there.streams() if each["state"] == "server"]
        return sorted(found, key=str)

    def bounced(self, romeo: Wire, condition: str, to: str = f"juliet@{PEER}") -> Element:
        """What Romeo says comes back, for that reason."""
        romeo.say(f"<message to='{to}' type='chat' id='m9'><body>lost</body></message>")
        error = romeo.expect(lambda each: each.get("type") == "error" and each.get("id") == "m9")
        conditions = [child.tag for each in error.iter(f"{{{ns.CLIENT}}}error") for child in each]
        self.assertIn(f"{{{ns.STANZA_ERRORS}}}{condition}", conditions)
        return error

    @spec("RFC 6120", "5.4", "6.3.4", "13.7.2")
    @spec("XEP-0178", "3")
    @spec("mission", "T7", "T11")
    def test_external(self) -> None:
        """Both have certificates of an authority that both trust: SASL EXTERNAL, each way."""
        self.talk(*self.world().people())
        facts = self.facts("direction", "mechanism", "proof", "tls")
        self.assertEqual(
            facts, [("in", "EXTERNAL", "PKIX", "TLSv1.3"), ("out", "EXTERNAL", "PKIX", "TLSv1.3")]
        )

    @spec("XEP-0220", "2.1.1", "2.2.1", "2.2.2")
    @spec("XEP-0344", "2.3")
    @spec("mission", "T9")
    def test_dialback(self) -> None:
        """Neither trusts the other's certificate: dialback over TLS, each way."""
        self.talk(*self.world(ours=None, theirs=None).people())
        facts = self.facts("direction", "mechanism", "proof", "tls")
        self.assertEqual(
            facts, [("in", "dialback", "dialback", "TLSv1.3"), ("out", "dialback", "dialback", "TLSv1.3")]
        )

    @spec("XEP-0288", "2.2")
    def test_bothDirections(self) -> None:
        """One stream serves both ways."""
        self.talk(*self.world(modules='"s2s_bidi";').people())
        self.assertEqual(self.facts("direction", "bidi", "mechanism"), [("out", True, "EXTERNAL")])

    @spec("XEP-0288", "2.2")
    @spec("XEP-0220", "2.1.1")
    def test_bothDirectionsByDialback(self) -> None:
        """The same with dialback."""
        self.talk(*self.world(modules='"s2s_bidi";', ours=None, theirs=None).people())
        waitFor(self, lambda: self.facts("bidi", "mechanism") == [(True, "dialback")])

    @spec("XEP-0368", "3")
    @spec("mission", "T4")
    def test_direct(self) -> None:
        """Both listen for TLS only."""
        world = self.world()
        world.names.server(DOMAIN, None, world.directPort)
        world.names.server(PEER, None, world.prosody.directPort)
        self.talk(*world.people())
        found = self.facts("direction", "mechanism", "proof")
        self.assertEqual(found, [("in", "EXTERNAL", "PKIX"), ("out", "EXTERNAL", "PKIX")], world.told())

    @spec("RFC 6121", "3.1", "4.3", "4.5.2")
    def test_presence(self) -> None:
        """Subscriptions both ways, presence because of them, and a last word at the end."""
        romeo, juliet = self.world().people()
        juliet.say(f"<iq type='get' id='roster'><query xmlns='{ns.ROSTER}'/></iq>")
        romeo.say(f"<presence type='subscribe' to='juliet@{PEER}' id='s1'/>")
        juliet.presence(f"romeo@{DOMAIN}", "subscribe")
        juliet.say(f"<presence type='subscribed' to='romeo@{DOMAIN}' id='s2'/>")
        romeo.presence(f"juliet@{PEER}", "subscribed")
        romeo.presence(juliet.jid)
        juliet.say(f"<presence type='subscribe' to='romeo@{DOMAIN}' id='s3'/>")
        romeo.presence(f"juliet@{PEER}", "subscribe")
        romeo.say(f"<presence type='subscribed' to='juliet@{PEER}' id='s4'/>")
        juliet.presence(f"romeo@{DOMAIN}", "subscribed")
        juliet.presence(romeo.jid)
        juliet.say("<presence><show>away</show></presence>")
        away = romeo.presence(juliet.jid)
        self.assertEqual(away.findtext(f"{{{ns.CLIENT}}}show"), "away")
        romeo.close()
        juliet.presence(romeo.jid, "unavailable")

    @spec("RFC 6121", "4.3.2")
    def test_probe(self) -> None:
        """Who comes online learns who is there on the other server."""
        world = self.world()
        romeo, juliet = world.people()
        romeo.say(f"<presence type='subscribe' to='juliet@{PEER}' id='s1'/>")
        juliet.presence(f"romeo@{DOMAIN}", "subscribe")
        juliet.say(f"<presence type='subscribed' to='romeo@{DOMAIN}' id='s2'/>")
        romeo.presence(juliet.jid)
        romeo.say("<presence type='unavailable'/>")
        romeo.say("<presence/>")
        romeo.presence(juliet.jid)

    def test_offline(self) -> None:
        """A message for somebody who isn't there waits on the other server, and on ours."""
        world = self.world()
        romeo, juliet = world.people()
        romeo.close()
        waitFor(self, lambda: world.daemon.ask("status")["sessions"] == 0)
        juliet.say(f"<message to='romeo@{DOMAIN}' type='chat' id='m1'><body>for later</body></message>")
        juliet.say(f"<iq to='{DOMAIN}' type='get' id='p1'><ping xmlns='{ns.PING}'/></iq>")
        juliet.expect(lambda each: each.get("id") == "p1" and each.get("type") == "result")
        world.daemon.ask("status")
        romeo = Wire(self.trusting(), "romeo")
        self.addCleanup(romeo.close)
        romeo.body("for later")

    def trusting(self) -> Any:
        """Where our clients connect."""
        from tests.interop.federation import Trusting

        return Trusting(self.there, self.there.daemon.tlsPort)

    @spec("XEP-0220", "2.1.1")
    @spec("XEP-0045", "7.2.2")
    def test_room(self) -> None:
        """Juliet is in a room of ours, whose domain has no server of its own in front of it."""
        romeo, juliet = self.world().people()
        room = f"hall@rooms.{DOMAIN}"
        romeo.say(f"<presence to='{room}/romeo' id='r'><x xmlns='{ns.MUC}'/></presence>")
        romeo.presence(f"{room}/romeo")
        form = f"<query xmlns='{ns.MUC}#owner'><x xmlns='jabber:x:data' type='submit'/></query>"
        romeo.say(f"<iq to='{room}' type='set' id='c'>{form}</iq>")
        romeo.expect(lambda each: each.get("id") == "c" and each.get("type") == "result")
        juliet.say(f"<presence to='{room}/juliet' id='j'><x xmlns='{ns.MUC}'/></presence>")
        juliet.presence(f"{room}/juliet")
        romeo.say(f"<message to='{room}' type='groupchat' id='g'><body>to all</body></message>")
        self.assertEqual(juliet.body("to all").get("from"), f"{room}/romeo")

    @spec("RFC 6120", "8.3.3.16")
    def test_nobody(self) -> None:
        """A domain that doesn't exist."""
        romeo, _ = self.world().people()
        self.bounced(romeo, "remote-server-not-found", "x@nowhere.example")

    @spec("RFC 6120", "8.3.3.17")
    def test_down(self) -> None:
        """A server that isn't there any more: what is sent comes back; and it goes on when it is back."""
        world = self.world()
        romeo, juliet = world.people()
        self.talk(romeo, juliet)
        world.prosody.stop()
        waitFor(self, lambda: not world.streams())
        self.bounced(romeo, "remote-server-timeout")
        world.prosody.start()
        juliet = Wire(type(self.trusting())(world, world.prosody.tlsPort), "juliet", PEER)
        self.addCleanup(juliet.close)
        time.sleep(2)  # nothing is tried again at once
        self.talk(romeo, juliet)

    @spec("RFC 7590", "3.1")
    @spec("mission", "T2", "T3")
    def test_noTLS(self) -> None:
        """Prosody has no TLS: nothing goes there, and it may send nothing."""
        world = self.world(options='modules_disabled = { "tls" }; s2s_require_encryption = false;')
        romeo, juliet = world.people()
        error = self.bounced(romeo, "remote-server-timeout")
        self.assertIn("no TLS", "".join(error.itertext()))
        juliet.say(f"<message to='romeo@{DOMAIN}' type='chat' id='m2'><body>in the clear</body></message>")
        refused = juliet.expect(lambda each: each.get("id") == "m2" and each.get("type") == "error")
        self.assertIsNotNone(refused)
        self.assertEqual(self.facts("direction"), [])

    def test_noTLSAllowed(self) -> None:
        """The same, and our policy lets that pass for this domain."""
        world = self.world(
            options='modules_disabled = { "tls" }; s2s_require_encryption = false;',
            section=f'[s2s.peer."{PEER}"]\nrequire = false',
        )
        self.talk(*world.people())
        self.assertEqual(self.facts("direction", "tls", "proof"), [("in", None, "dialback"), ("out", None, "dialback")])

    @spec("RFC 6120", "13.7.2.1")
    @spec("mission", "T7")
    def test_wrongName(self) -> None:
        """A good certificate for another name, and a policy that wants a good one for this name."""
        world = self.world(theirs="other.example", section='prooftypes = ["pkix"]')
        romeo, juliet = world.people()
        self.bounced(romeo, "remote-server-not-found")
        juliet.say(f"<message to='romeo@{DOMAIN}' type='chat' id='m2'><body>it's me</body></message>")
        juliet.expect(lambda each: each.get("id") == "m2" and each.get("type") == "error")
        self.assertEqual(self.facts("direction"), [])

    @spec("RFC 6120", "13.7.2")
    @spec("mission", "T7")
    def test_expired(self) -> None:
        """A certificate that was good once: refused where one is wanted, and no better than dialback elsewhere."""
        options: dict[str, Any] = {"until": 1_000_000_000.0, "expected": ("s2s changed",)}
        romeo, _ = self.world(section='prooftypes = ["pkix"]', **options).people()
        self.bounced(romeo, "remote-server-not-found")
        self.talk(*self.world(**options).people())
        self.assertEqual(self.facts("direction", "proof"), [("in", "dialback"), ("out", "dialback")])

    @spec("RFC 6120", "5.4.3.3", "13.7.2")
    def test_selfSigned(self) -> None:
        """Certificates nobody vouches for, where one is wanted."""
        romeo, _ = self.world(theirs=None, section='prooftypes = ["pkix"]').people()
        self.bounced(romeo, "remote-server-not-found")

    @spec("mission", "T9")
    def test_wrongNameWeakly(self) -> None:
        """The same, and a policy that dialback is good enough for."""
        self.talk(*self.world(theirs="other.example").people())
        self.assertEqual(self.facts("direction", "proof"), [("in", "dialback"), ("out", "dialback")])

    def dane(self, world: World, digest: bytes) -> None:
        """Publish a TLSA record of Prosody, as if DNSSEC made it secure."""
        world.names.secure = True
        for port in (world.prosody.port, world.prosody.directPort):
            world.names.records[f"_{port}._tcp.host.{PEER}", 52] = [dns.UnknownRecord(bytes((3, 1, 1)) + digest)]

    @spec("RFC 7673", "4.1")
    @spec("mission", "T8", "T11")
    def test_dane(self) -> None:
        """Nobody vouches for Prosody's certificate but the DNS."""
        world = self.world(theirs=None, section='prooftypes = ["dane"]')
        certificate = x509.load_pem_x509_certificate(world.peerCertificate.encode())
        key = certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        self.dane(world, hashlib.sha256(key).digest())
        self.talk(*world.people())
        found = self.facts("direction", "mechanism", "proof")
        self.assertEqual(found, [("in", "EXTERNAL", "DANE-EE"), ("out", "EXTERNAL", "DANE-EE")])

    @spec("RFC 7673", "4.2")
    @spec("mission", "T8")
    def test_daneMismatch(self) -> None:
        """A good certificate, which isn't the one the DNS names: nothing goes there."""
        world = self.world()
        self.dane(world, b"x" * 32)
        romeo, _ = world.people()
        self.bounced(romeo, "remote-server-not-found")

    @spec("XEP-0198", "3", "4")
    def test_acknowledgements(self) -> None:
        """Both acknowledge what has come."""
        world = self.world(modules='"smacks";')
        romeo, juliet = world.people()
        self.talk(romeo, juliet)
        time.sleep(1.5)
        self.talk(romeo, juliet)
        time.sleep(1.5)
        world.prosody.stop()
        waitFor(self, lambda: not world.streams())
        self.bounced(romeo, "remote-server-timeout")
        self.assertEqual([each.get("type") for each in romeo.heard if each.get("id") == "m1"], [])

    def test_theyAreStrict(self) -> None:
        """Prosody wants certificates and gets ours."""
        self.talk(*self.world(secure="true").people())

    def test_denied(self) -> None:
        """Nothing is exchanged with a denied domain, either way."""
        romeo, juliet = self.world(section=f'deny = ["{PEER}"]').people()
        self.bounced(romeo, "not-allowed")
        juliet.say(f"<message to='romeo@{DOMAIN}' type='chat' id='m2'><body>please</body></message>")
        juliet.expect(lambda each: each.get("id") == "m2" and each.get("type") == "error")

    def test_route(self) -> None:
        """Where the DNS knows nothing, the configuration may."""
        world = self.world(section=f'[s2s.connect]\n"{PEER}" = "127.0.0.1:1"')
        romeo, juliet = world.people()
        self.bounced(romeo, "remote-server-timeout")
        self.assertIsNotNone(juliet)
