"""Tests of L{xmppd.net.peers} and L{xmppd.net.peerpolicy}; L{tests.interop.test_prosody} tries the whole."""

from __future__ import annotations

import dataclasses
from dataclasses import replace
from typing import Any

from cryptography import x509
from twisted.internet.defer import Deferred, succeed
from twisted.internet.error import ConnectionRefusedError
from twisted.logger import globalLogPublisher
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from tests.marks import spec
from tests.server import ServerCase
from tests.stream.peers import End
from tests.trust.authority import Authority, curveKey, der
from xmppd.config import parse
from xmppd.ixmppd import TLSFacts
from xmppd.net import peers
from xmppd.net.hops import peerFacts
from xmppd.net.peerpolicy import lasting, limitsOfServers, policiesOf
from xmppd.net.resolver import NoService, Place, Target, Withheld
from xmppd.stream.incoming import IncomingStream
from xmppd.stream.outgoing import OutgoingStream
from xmppd.trust.dane import Endpoint, Security, TLSARecord
from xmppd.trust.history import Change, Proved
from xmppd.trust.verdict import PeerPolicy, Prooftype, Verdict, decide, held
from xmppd.wire.errors import StanzaCondition

SMALLEST = 'data = "d"\n[host."example.org"]\n'


class PolicyTests(SynchronousTestCase):
    """From the configuration to policies."""

    def parsed(self, text: str) -> Any:
        """A configuration."""
        return parse(SMALLEST + text, "x.toml")

    @spec("mission", "T2", "T9")
    def test_defaults(self) -> None:
        """TLS is a must; any proof but none is good."""
        policy = policiesOf(self.parsed("")).of("example.net")
        self.assertTrue(policy.requireEncryption and policy.mayDialBack)
        self.assertIsNone(policy.unwanted)
        self.assertEqual(set(Prooftype) - policy.prooftypes, {Prooftype.NONE})

    def test_lists(self) -> None:
        """Who is wanted."""
        policies = policiesOf(self.parsed('[s2s]\nallow = ["*.münchen.example", "a.example"]\ndeny = ["a.example"]'))
        self.assertIsNone(policies.of("chat.xn--mnchen-3ya.example").unwanted)
        self.assertIsNotNone(policies.of("a.example").unwanted)
        self.assertIsNotNone(policies.of("b.example").unwanted)

    def test_single(self) -> None:
        """What is otherwise for one."""
        text = '[tls]\nrequire_s2s = false\n[s2s]\nprooftypes = ["pkix"]\n[s2s.peer."a.example"]\nrequire = true'
        policies = policiesOf(self.parsed(text))
        self.assertEqual(policies.of("a.example").requireEncryption, True)
        self.assertEqual(policies.of("b.example").requireEncryption, False)
        self.assertEqual(policies.of("a.example").prooftypes, {Prooftype.PKIX})

    def test_limits(self) -> None:
        """Paces are those of servers, and can be switched off as all others."""
        self.assertEqual(limitsOfServers(self.parsed("")).stanzasPerSecond, 2000)
        off = limitsOfServers(self.parsed("[limits]\nenabled = false"))
        self.assertEqual((off.stanzasPerSecond, off.bytesPerSecond), (0, 0))

    def test_lasting(self) -> None:
        """What can't change while the server runs."""
        one, other = self.parsed("").s2s, self.parsed('[s2s]\nbidi = false\nallow = ["a.example"]').s2s
        self.assertEqual(lasting(other, one), ["bidi"])


class PeersTests(ServerCase):
    """Streams of a whole server in memory, without a network."""

    def setUp(self) -> None:
        more = '[s2s]\nresolver = "127.0.0.1:53"\n[s2s.connect]\n"montague.example" = "192.0.2.5:5269"'
        self.server = self.serve(tls=True, requireTLS=False, more=more, listen='s2s = ["tcp:5269"]')
        self.peers: Any = self.server.server.peers
        self.romeo = self.server.login("romeo", "orchard")

    def dialled(self) -> list[tuple[str, int]]:
        """Where it has connected to."""
        return [(each[0], each[1]) for each in self.server.reactor.tcpClients]

    def test_dials(self) -> None:
        """A stanza makes it connect; that the connection fails comes back to its sender."""
        self.romeo.send("<message to='juliet@montague.example' id='1'><body>hi</body></message>")
        self.server.pump()
        self.assertEqual(self.dialled(), [("192.0.2.5", 5269)])
        factory = self.server.reactor.tcpClients[0][2]
        factory.clientConnectionFailed(None, Failure(ConnectionRefusedError()))
        self.server.pump()
        self.assertError(self.romeo.one(), "remote-server-timeout", "wait")

    def test_notFound(self) -> None:
        """Nobody knows where that is."""
        self.romeo.send("<message to='juliet@nowhere.example' id='1'><body>hi</body></message>")
        self.server.pump()
        self.assertError(self.romeo.one(), "remote-server-not-found", "cancel")

    def test_reload(self) -> None:
        """Policies change with a reload; what can't is told."""
        config = self.server.server.config
        s2s = dataclasses.replace(config.s2s, deny=("montague.example",), bidi=False)
        outcome = self.server.server.reload(dataclasses.replace(config, s2s=s2s))
        self.assertEqual(self.peers.refusal("montague.example"), "the list of denied domains has montague.example")
        self.assertTrue(any("s2s.bidi" in line for line in outcome.remarks), outcome)
        self.romeo.send("<message to='juliet@montague.example' id='1'><body>hi</body></message>")
        self.server.pump()
        self.assertError(self.romeo.one(), "not-allowed")

    def test_facts(self) -> None:
        """What is told of a stream that has proved nothing yet."""
        end: Any = End()
        end.tlsConnection = None
        stream = IncomingStream(end, self.peers)
        facts = peerFacts(stream)
        self.assertEqual((facts["state"], facts["proof"], facts["pairs"]), ("login", None, []))
        stream.connectionLost()
        self.assertEqual(stream.failure.condition, StanzaCondition.REMOTE_SERVER_TIMEOUT)


class FakeAuthoritative:
    """A stream to the server that the DNS names for a domain."""

    def __init__(self, certificate: bytes, security: Security) -> None:
        self.tls = TLSFacts("TLSv1.3", "x", peerCertificate=certificate)
        self.transport = self
        self.verdict: Any = None
        self.place = Place(Target("h.montague.example", 5269, False, security), "192.0.2.5", security)
        self.dialback = self
        self.asked = 0

    def ready(self) -> Deferred[None]:
        """See L{xmppd.stream.outgoing.OutgoingStream}."""
        return succeed(None)

    def ask(self, *question: str) -> Deferred[bool]:
        """See L{xmppd.stream.dialback.Dialback}."""
        self.asked += 1
        return succeed(True)


class VerifyTests(ServerCase):
    """Dialback, where we are the receiving server."""

    def setUp(self) -> None:
        more = '[s2s]\nresolver = "127.0.0.1:53"\nprooftypes = ["dialback"]'
        self.peers: Any = self.serve(tls=True, more=more, listen='s2s = ["tcp:5269"]').server.peers
        self.certificates = [
            der(Authority("a").sign(curveKey(), [x509.DNSName(each)])) for each in ("montague.example", "a.example")
        ]

    def verify(self, shown: bytes, asked: FakeAuthoritative) -> Verdict:
        """A key has come on a stream on which a certificate was shown."""
        end: Any = End()
        end.tlsConnection = None
        stream = IncomingStream(end, self.peers)
        self.addCleanup(stream.connectionLost)
        stream.tls = TLSFacts("TLSv1.3", "x", peerCertificate=shown)

        async def verifier(*arguments: Any) -> Any:
            return asked

        self.peers._verifier = verifier
        verifying = self.peers.verify(stream, "example.org", "montague.example", "id", "key")
        found: Verdict = self.successResultOf(verifying)
        return found

    @spec("XEP-0344", "2.6")
    @spec("mission", "T9")
    def test_sameCertificate(self) -> None:
        """A certificate for the domain that both have shown spares the question; any other doesn't."""
        good, other = self.certificates
        for shown, theirs, questions in ((good, good, 0), (other, other, 1), (good, other, 1)):
            asked = FakeAuthoritative(theirs, Security.INSECURE)
            verdict = self.verify(shown, asked)
            self.assertEqual((asked.asked, verdict.prooftype), (questions, Prooftype.DIALBACK))

    @spec("XEP-0344", "3.3")
    @spec("mission", "T9", "T11")
    def test_secure(self) -> None:
        """Where the DNS has led to the authoritative server securely, the proof says so."""
        good, _ = self.certificates
        for shortcut in (True, False):
            asked = FakeAuthoritative(good if shortcut else b"", Security.SECURE)
            self.assertIs(self.verify(good, asked).prooftype, Prooftype.DIALBACK_DNSSEC)


class DowngradeTests(ServerCase):
    """What is believed of a domain that was proved by more before, where it has called."""

    def setUp(self) -> None:
        more = '[s2s]\nresolver = "127.0.0.1:53"\nprooftypes = ["pkix", "dialback"]'
        self.peers: Any = self.serve(tls=True, more=more, listen='s2s = ["tcp:5269"]').server.peers
        self.certificate = der(Authority("a").sign(curveKey(), [x509.DNSName("montague.example")]))
        self.tls = TLSFacts("TLSv1.3", "x", peerCertificate=self.certificate)
        self.good = decide("montague.example", [held(Prooftype.PKIX, "a")], PeerPolicy(), self.tls)
        self.weak = decide("montague.example", [held(Prooftype.DIALBACK, "a")], PeerPolicy(), self.tls)
        self.lines: list[str] = []

    def stream(self) -> IncomingStream:
        """It has called, and shown what nobody knows."""
        end: Any = End()
        end.tlsConnection = None
        stream = IncomingStream(end, self.peers)
        self.addCleanup(stream.connectionLost)
        stream.tls = self.tls
        return stream

    def verify(self, theirs: Verdict) -> Verdict:
        """
        Its key is good.

        @param theirs: who has said so.
        """
        asked = FakeAuthoritative(b"", Security.INSECURE)
        asked.verdict = theirs

        async def verifier(*arguments: Any) -> Any:
            return asked

        self.peers._verifier = verifier
        verifying = self.peers.verify(self.stream(), "example.org", "montague.example", "id", "key")
        found: Verdict = self.successResultOf(verifying)
        return found

    def seen(self, incoming: bool) -> None:
        """It was proved by its certificate."""
        self.successResultOf(self.peers.histories.saw(self.good, incoming))

    def warnings(self) -> list[Any]:
        """What was warned of."""
        history = self.successResultOf(Deferred.fromCoroutine(self.peers.histories.of("montague.example")))
        return [each.changes for each in history.warnings]

    @spec("mission", "T9")
    def test_first(self) -> None:
        """It was never seen: dialback is enough, whoever says that the key is good."""
        for theirs in (self.good, self.weak):
            self.assertIs(self.verify(theirs).prooftype, Prooftype.DIALBACK)
        self.assertEqual(self.warnings(), [])

    @spec("mission", "T9", "T13")
    def test_called(self) -> None:
        """It has called with a certificate before: dialback isn't enough, whoever says so, and that is told."""
        self.seen(True)
        for theirs in (self.good, self.weak):
            verdict = self.verify(theirs)
            self.assertIn("it was proved by PKIX until", verdict.refusals[0])
        self.assertEqual(self.warnings(), [(Change.DOWNGRADE,)])

    @spec("mission", "T9", "T13")
    def test_wasCalled(self) -> None:
        """It only has a certificate where it is called: dialback is enough if that is what is asked."""
        self.seen(False)
        self.assertTrue(self.verify(self.good).accepted)
        self.assertFalse(self.verify(self.weak).accepted)

    @spec("XEP-0288", "4")
    def test_wayBack(self) -> None:
        """What is for it goes elsewhere if it was proved by more before."""
        self.assertTrue(self.successResultOf(self.peers.mayAnswer(self.stream(), "montague.example")))
        self.seen(False)
        self.assertFalse(self.successResultOf(self.peers.mayAnswer(self.stream(), "montague.example")))
        stream = self.stream()
        stream.verdict, stream.remote = self.good, "montague.example"
        self.assertTrue(self.successResultOf(self.peers.mayAnswer(stream, "montague.example")))

    def test_policy(self) -> None:
        """Who has said that dialback is enough for that domain is believed; and it may be known for too long."""
        self.seen(True)
        config = self.configured('[s2s.peer."montague.example"]\nprooftypes = ["pkix", "dialback"]')
        self.peers.reconfigure(config)
        self.assertTrue(self.verify(self.good).accepted)
        self.peers.reconfigure(self.configured('[s2s]\ndowngrades = "warn"'))
        self.assertTrue(self.verify(self.good).accepted)
        self.peers.reconfigure(self.configured("[s2s]\ndowngrade_days = 3"))
        self.assertFalse(self.verify(self.good).accepted)
        self.peers.downgradeSeconds = -1
        self.assertTrue(self.verify(self.good).accepted)

    def configured(self, text: str) -> Any:
        """Another configuration."""
        return parse(SMALLEST + text, "x.toml")

    def test_logged(self) -> None:
        """The log doesn't say that it is refused while its key is still to come."""

        def note(event: Any) -> None:
            if event.get("log_namespace") == "xmppd.s2s":
                self.lines.append(event["log_format"].format(**event))

        globalLogPublisher.addObserver(note)
        self.addCleanup(globalLogPublisher.removeObserver, note)
        self.successResultOf(self.peers.prove(self.stream(), "montague.example"))
        self.assertIn("montague.example has dialback left to prove itself by", self.lines[0])
        self.assertNotIn("refused", self.lines[0])
        self.peers.reconfigure(self.configured('[s2s]\nprooftypes = ["pkix"]'))
        self.successResultOf(self.peers.prove(self.stream(), "montague.example"))
        self.assertIn("montague.example refused", self.lines[1])

    @spec("mission", "T9", "T13")
    def test_long(self) -> None:
        """What a domain was proved by counts from the end of a stream that has lived for long."""
        self.seen(True)
        for age in (60, 3 * 86_400):
            stream = self.stream()
            stream.transport.since = self.peers.clock.seconds()  # type: ignore[attr-defined]
            stream.heard["montague.example", "example.org"] = self.good
            self.peers.clock.rightNow += age
            stream.close()
            history = self.successResultOf(Deferred.fromCoroutine(self.peers.histories.of("montague.example")))
            ended = self.peers.clock.seconds() if age > 60 else self.peers.clock.seconds() - age
            self.assertEqual(history.proved, (Proved(True, Prooftype.PKIX, ended),))

    @spec("mission", "T13")
    def test_ended(self) -> None:
        """A certificate that ends while its stream lives is remembered as one; where nothing can be found out, nothing."""
        self.seen(True)
        assert self.good.certificate is not None
        for after in (0, self.good.certificate.notAfter):
            self.peers.clock.rightNow += after  # nothing that is due meanwhile is to happen
            again = Deferred.fromCoroutine(self.peers.proveAgain(self.stream(), "montague.example"))
            self.successResultOf(again)
            self.assertEqual(bool(self.warnings()), bool(after))
        self.assertIn(Change.EXPIRED, self.warnings()[0])


class WayBackTests(ServerCase):
    """Whether what is for a domain may go over a stream that it has opened, with TLSA records that say who it is."""

    def setUp(self) -> None:
        more = '[s2s]\nresolver = "127.0.0.1:53"\n[s2s.connect]\n"here.example" = "192.0.2.7:5269"'
        self.peers: Any = self.serve(tls=True, more=more, listen='s2s = ["tcp:5269"]').server.peers
        self.peers._resolver = self
        self.trusted = True
        self.withheld = False
        leaf = Authority("Encrypt Us").sign(curveKey(), [x509.DNSName("montague.example")])
        self.certificate = der(leaf)
        self.patch(peers, "shownOn", lambda stream: (self.certificate,))
        self.record = TLSARecord.parse(b"\x03\x00\x00" + self.certificate)
        self.tlsa = Security.SECURE

    async def endpoints(self, domain: str) -> list[Endpoint]:
        """See L{xmppd.net.resolver.Resolver}."""
        if self.withheld:
            raise Withheld("nobody answers")
        place = (Security.SECURE, Security.SECURE, self.tlsa)
        return [Endpoint("h.montague.example", 5269, *place, (self.record,) if self.record else ())]

    def stop(self) -> None:
        """See L{xmppd.net.resolver.Resolver}."""

    def may(self, domain: str = "montague.example") -> bool:
        """What is answered."""
        end: Any = End()
        end.tlsConnection = None
        stream = IncomingStream(end, self.peers)
        self.addCleanup(stream.connectionLost)
        answer: bool = self.successResultOf(self.peers.mayAnswer(stream, domain))
        return answer

    @spec("RFC 7673", "3.4")
    @spec("XEP-0288", "4")
    @spec("mission", "T8")
    def test_records(self) -> None:
        """A certificate that fits, none that fits, and no records."""
        self.assertTrue(self.may())
        self.certificate = b"another"
        self.assertFalse(self.may())
        self.assertTrue(self.may("here.example"))
        self.trusted = False
        self.assertTrue(self.may())
        self.trusted, self.record = True, None
        self.assertTrue(self.may())

    @spec("RFC 7673", "3.3")
    def test_withheld(self) -> None:
        """Where somebody may keep the records from us nothing goes there."""
        self.tlsa, self.record = Security.FAILED, None
        self.assertFalse(self.may())
        self.withheld = True
        self.assertFalse(self.may())


class AgainTests(ServerCase):
    """What is looked up again when a proof has run out."""

    def setUp(self) -> None:
        more = '[s2s]\nresolver = "127.0.0.1:53"\nprooftypes = ["dialback"]'
        self.peers: Any = self.serve(tls=True, more=more, listen='s2s = ["tcp:5269"]').server.peers
        self.peers._resolver = self
        self.target = Target("h.montague.example", 5269)
        self.named = [replace(self.target, security=Security.SECURE)]
        self.found = [Place(self.named[0], "192.0.2.5", Security.SECURE)]
        self.down = False

    async def targets(self, domain: str) -> list[Target]:
        """See L{xmppd.net.resolver.Resolver}."""
        if self.down:
            raise NoService("nobody answers")
        return self.named

    async def places(self, target: Target) -> list[Place]:
        """See L{xmppd.net.resolver.Resolver}."""
        return self.found

    def stop(self) -> None:
        """See L{xmppd.net.resolver.Resolver}."""

    def again(self) -> Verdict | None:
        """What a stream that we have opened comes to now."""
        end: Any = End()
        end.tlsConnection = end.endpoint = None
        end.place = self.place = Place(self.target, "192.0.2.5")
        stream = OutgoingStream(end, self.peers, "example.org", "montague.example", False)
        stream.opened.addErrback(lambda failure: None)
        self.addCleanup(stream.connectionLost)
        found: Verdict | None = self.successResultOf(
            Deferred.fromCoroutine(self.peers.proveAgain(stream, "montague.example"))
        )
        self.place = end.place
        return found

    def test_stillThere(self) -> None:
        """The same place, of which the DNS may say more or less than before."""
        verdict = self.again()
        assert verdict is not None
        self.assertTrue(any(proof.held for proof in verdict.proofs))
        self.assertIs(self.place.security, Security.SECURE)

    def test_elsewhere(self) -> None:
        """The DNS names another host, or another address: nothing proves what is here."""
        self.found = [replace(self.found[0], address="192.0.2.6")]
        for _ in range(2):
            verdict = self.again()
            assert verdict is not None
            self.assertEqual((verdict.accepted, verdict.proofs), (False, ()))
            self.named = [Target("other.montague.example", 5269)]

    def test_silence(self) -> None:
        """Where the DNS says nothing there is nothing to judge by."""
        self.down = True
        self.assertIsNone(self.again())
