"""
Our server and Debian's Prosody exchange stanzas, over loopback and with real DNS.
"""

from __future__ import annotations

import hashlib
import time
from unittest import skipIf

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from twisted.names import dns
from twisted.trial.unittest import SynchronousTestCase

from tests.interop.daemon import DOMAIN
from tests.interop.federation import FederationCases, World, waitFor
from tests.interop.peerservers import PEER, Prosody
from tests.marks import spec
from xmppd.wire import ns


@skipIf(Prosody.missing(), Prosody.missing())
class ProsodyTests(FederationCases, SynchronousTestCase):
    """Romeo is at our server, Juliet at Prosody."""

    server = Prosody

    @spec("XEP-0288", "2.2")
    def test_bothDirections(self) -> None:
        """One stream serves both ways."""
        self.talk(*self.world(modules='"s2s_bidi";').people())
        self.assertEqual(self.facts("direction", "bidi", "mechanism"), [("out", True, "EXTERNAL")])

    @spec("XEP-0288", "2.2")
    @spec("XEP-0220", "2.1.1")
    def test_bothDirectionsByDialback(self) -> None:
        """The same with dialback; a stream that they open to verify our key may become another such stream."""
        self.talk(*self.world(modules='"s2s_bidi";', ours=None, theirs=None).people())
        self.assertEqual(set(self.facts("bidi", "mechanism")), {(True, "dialback")})

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
        waitFor(lambda: world.daemon.ask("status")["sessions"] == 0)
        juliet.say(f"<message to='romeo@{DOMAIN}' type='chat' id='m1'><body>for later</body></message>")
        juliet.say(f"<iq to='{DOMAIN}' type='get' id='p1'><ping xmlns='{ns.PING}'/></iq>")
        juliet.expect(lambda each: each.get("id") == "p1" and each.get("type") == "result")
        world.daemon.ask("status")
        world.romeo().body("for later")

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
        self.bounced(romeo, "remote-server-not-found", to="x@nowhere.example")

    @spec("RFC 6120", "8.3.3.17")
    def test_down(self) -> None:
        """A server that isn't there any more: what is sent comes back; and it goes on when it is back."""
        world = self.world()
        romeo, juliet = world.people()
        self.talk(romeo, juliet)
        world.peer.stop()
        waitFor(lambda: not world.streams())
        self.bounced(romeo, "remote-server-timeout")
        world.peer.start()
        juliet = world.juliet()
        time.sleep(2)  # nothing is tried again at once
        self.talk(romeo, juliet)

    def dane(self, world: World, digest: bytes) -> None:
        """Publish a TLSA record of Prosody, as if DNSSEC made it secure."""
        world.names.secure = True
        for port in (world.peer.port, world.peer.directPort):
            world.names.records[f"_{port}._tcp.host.{PEER}", 52] = [dns.UnknownRecord(bytes((3, 1, 1)) + digest)]

    @spec("RFC 7673", "4.1")
    @spec("mission", "T8", "T11")
    def test_dane(self) -> None:
        """Nobody vouches for Prosody's certificate but the DNS."""
        world = self.world(theirs=None, section='prooftypes = ["dane"]')
        certificate = x509.load_pem_x509_certificate(world.peerCertificate)
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
        world.peer.stop()
        waitFor(lambda: not world.streams())
        self.bounced(romeo, "remote-server-timeout")
        self.assertEqual([each.get("type") for each in romeo.heard if each.get("id") == "m1"], [])

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
