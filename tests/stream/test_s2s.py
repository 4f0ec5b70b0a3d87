"""Tests of L{xmppd.stream.s2s}, L{xmppd.stream.incoming}, L{xmppd.stream.outgoing} and L{xmppd.stream.dialback}."""

from __future__ import annotations

from base64 import b64encode
from dataclasses import replace

from twisted.internet.defer import Deferred
from twisted.logger import capturedLogs
from twisted.trial.unittest import SynchronousTestCase

from tests.marks import spec
from tests.stream.peers import DIALBACK, FACTS, NOTHING, OURS, PKIX, THEIRS, End, FakePremises, Pair
from xmppd.stream.incoming import IncomingStream
from xmppd.stream.outgoing import NoTLS, OutgoingStream
from xmppd.wire import ns
from xmppd.wire.errors import StanzaCondition, StanzaError
from xmppd.wire.stanza import Stanza, build

HEADER = (
    f"<stream:stream xmlns='jabber:server' xmlns:stream='{ns.STREAMS}' xmlns:db='jabber:server:dialback'"
    f" from='{OURS}' to='{THEIRS}' version='1.0'>"
).encode()


def message(source: str = f"romeo@{OURS}/x", target: str = f"juliet@{THEIRS}") -> Stanza:
    """A message."""
    return build("message", {"from": source, "to": target, "type": "chat"})


class PairTests(SynchronousTestCase):
    """Both of our streams against each other."""

    chunk = 0

    def pair(self, **options: bool) -> Pair:
        """A pair that is not connected yet."""
        return Pair(self.chunk, **options)

    @spec("RFC 6120", "4.3", "5.4")
    @spec("mission", "T2")
    def test_opens(self) -> None:
        """Header, features, TLS, header, features: open, and nothing is authorised."""
        pair = self.pair().connect()
        self.assertTrue(pair.out.opened.called)
        self.assertEqual((pair.failed, pair.them.heard, pair.us.spoken), ([], [], []))
        self.assertIn(b"<required/>", pair.right.all)
        self.assertNotIn(b"EXTERNAL", pair.right.all)

    @spec("XEP-0178", "3")
    @spec("mission", "T7")
    def test_external(self) -> None:
        """A certificate that proves the domain: SASL EXTERNAL, with the domain as identity."""
        pair = self.pair()
        pair.them.verdicts[OURS] = PKIX
        pair.connect()
        self.assertEqual(pair.authorise(), [None])
        self.assertEqual((pair.them.heard, pair.us.spoken), ([(THEIRS, OURS)], [(OURS, THEIRS)]))
        self.assertEqual((pair.out.mechanism, pair.into.mechanism), ("EXTERNAL", "EXTERNAL"))
        self.assertIn(b64encode(OURS.encode()), pair.left.all)
        pair.out.transmit(message())
        pair.pump()
        self.assertEqual([each.to for each in pair.them.stanzas], [f"juliet@{THEIRS}"])

    @spec("XEP-0220", "2.1.1", "2.2.1")
    @spec("mission", "T9")
    def test_dialback(self) -> None:
        """Without one: a key for the id of the stream behind TLS, verified elsewhere."""
        pair = self.pair().connect()
        self.assertEqual(pair.authorise(), [None])
        self.assertEqual(pair.them.asked[0][:3], (THEIRS, OURS, pair.into.id))
        self.assertEqual(pair.into.heard, {(OURS, THEIRS): DIALBACK})
        pair.out.transmit(message())
        pair.pump()
        self.assertEqual(len(pair.them.stanzas), 1)

    @spec("XEP-0344", "2.4")
    def test_dialbackWithoutDialback(self) -> None:
        """A key from a peer whose certificate has proved it: nobody is asked."""
        pair = self.pair()
        pair.them.verdicts["rooms." + OURS] = PKIX
        pair.connect()
        self.assertEqual(pair.authorise("rooms." + OURS), [None])
        self.assertEqual(pair.them.asked, [])
        self.assertEqual(pair.into.heard, {("rooms." + OURS, THEIRS): PKIX})

    @spec("XEP-0220", "2.1.1")
    def test_piggyback(self) -> None:
        """More pairs on one stream, each with its own proof."""
        pair = self.pair()
        pair.them.verdicts[OURS] = PKIX
        pair.connect()
        pair.authorise()
        self.assertTrue(pair.out.piggybacks)
        self.assertEqual(pair.authorise("rooms." + OURS), [None])
        self.assertEqual(pair.into.heard, {(OURS, THEIRS): PKIX, ("rooms." + OURS, THEIRS): DIALBACK})
        self.assertEqual(len(pair.them.asked), 1)

    @spec("XEP-0220", "2.1.1", "2.2.1")
    def test_invalid(self) -> None:
        """A key that isn't ours: C{invalid}, and as there is no other pair the stream ends."""
        pair = self.pair()
        pair.them.answers[OURS] = False
        pair.connect()
        (error,) = pair.authorise()
        self.assertEqual(error.condition, StanzaCondition.INTERNAL_SERVER_ERROR)
        self.assertEqual((pair.them.heard, pair.into.closed, pair.them.failures), ([], True, 1))

    @spec("XEP-0220", "2.2.1", "2.5")
    def test_invalidBesideOthers(self) -> None:
        """The same beside a good pair: an error, and the stream goes on."""
        pair = self.pair().connect()
        pair.authorise()
        pair.them.answers["rooms." + OURS] = False
        (error,) = pair.authorise("rooms." + OURS)
        self.assertEqual(error.condition, StanzaCondition.REMOTE_SERVER_TIMEOUT)
        self.assertIn("forbidden", error.text)
        self.assertEqual((pair.them.heard, pair.into.closed), ([(THEIRS, OURS)], False))

    @spec("XEP-0220", "2.5")
    def test_cannotVerify(self) -> None:
        """The authoritative server can't be reached: an error, the stream goes on."""
        pair = self.pair()
        pair.them.answers[OURS] = StanzaError(StanzaCondition.REMOTE_SERVER_NOT_FOUND)
        pair.connect()
        (error,) = pair.authorise()
        self.assertIn("remote-server-not-found", error.text)
        self.assertFalse(pair.into.closed)

    @spec("XEP-0220", "2.5")
    def test_policyAgainstDialback(self) -> None:
        """A policy that wants certificates answers keys with C{not-authorized}."""
        pair = self.pair()
        pair.them.dialsBack = False
        pair.connect()
        (error,) = pair.authorise()
        self.assertIn("not-authorized", error.text)
        self.assertEqual(pair.them.asked, [])

    @spec("XEP-0220", "2.2.2")
    def test_authoritative(self) -> None:
        """Keys of ours are confirmed, others aren't; unknown domains are told."""
        pair = self.pair().connect()
        key = pair.them.key(OURS, THEIRS, "id1")
        answers: list[object] = []
        for given in (key, "0" * 64):
            pair.out.dialback.ask(OURS, THEIRS, "id1", given).addCallback(answers.append)
            pair.pump()
        self.assertEqual(answers, [True, False])
        asked = pair.out.dialback.ask(OURS, "elsewhere.example", "id1", key)
        pair.pump()
        error = self.failureResultOf(asked, StanzaError).value
        self.assertIn("item-not-found", error.text)

    @spec("XEP-0220", "2.1.1")
    def test_unanswered(self) -> None:
        """A key nobody says anything about is given up."""
        pair = self.pair()
        pair.them.answers[OURS] = Deferred()
        pair.connect()
        answers = pair.authorise()
        self.assertEqual(answers, [])
        pair.clock.advance(31)
        self.assertEqual([each.condition for each in answers], [StanzaCondition.REMOTE_SERVER_TIMEOUT])
        self.assertEqual(pair.us.spoken, [])

    @spec("XEP-0288", "2.1", "2.2")
    def test_bidi(self) -> None:
        """Both agree to use the stream both ways; each hears and speaks."""
        pair = self.pair()
        pair.us.bidi = pair.them.bidi = True
        pair.them.verdicts[OURS] = PKIX
        pair.connect()
        self.assertEqual(pair.authorise(), [None])
        self.assertEqual((pair.them.spoken, pair.us.heard), ([(THEIRS, OURS)], [(OURS, THEIRS)]))
        pair.into.transmit(message(f"juliet@{THEIRS}/y", f"romeo@{OURS}"))
        pair.pump()
        self.assertEqual([each.to for each in pair.us.stanzas], [f"romeo@{OURS}"])

    @spec("XEP-0288", "2.2", "4")
    def test_bidiElsewhere(self) -> None:
        """Who has proved itself is heard; what is for it goes another way if it mustn't go there."""
        for external in (True, False):
            pair = self.pair()
            pair.us.bidi = pair.them.bidi = True
            pair.them.mayAnswerThere = False
            if external:
                pair.them.verdicts[OURS] = PKIX
            else:
                pair.them.answers[OURS] = True
            pair.connect()
            self.assertEqual(pair.authorise(), [None])
            self.assertEqual((pair.them.heard, pair.them.spoken), ([(THEIRS, OURS)], []))
            self.assertEqual(pair.us.spoken, [(OURS, THEIRS)])

    @spec("XEP-0288", "2.2")
    def test_bidiPiggyback(self) -> None:
        """The receiving server has another of its domains proved on the same stream."""
        pair = self.pair()
        pair.us.bidi = pair.them.bidi = True
        pair.connect()
        pair.authorise()
        done = pair.into.dialback.request("rooms." + THEIRS, OURS)
        pair.us.otherwise = NOTHING
        pair.us.answers["rooms." + THEIRS] = True
        pair.pump()
        self.assertIsNone(self.successResultOf(done))
        self.assertIn(("rooms." + THEIRS, OURS), pair.out.heard)

    @spec("XEP-0288", "4")
    def test_oneWay(self) -> None:
        """Without that agreement the receiving server may send no stanzas."""
        pair = self.pair().connect()
        pair.authorise()
        pair.into.transport.write(b"<message from='juliet@montague.example' to='romeo@capulet.example'/>")
        pair.pump()
        self.assertEqual((pair.us.stanzas, pair.out.closed), ([], True))
        self.assertIn(b"not-authorized", pair.left.all)

    @spec("XEP-0368", "3")
    @spec("mission", "T4")
    def test_direct(self) -> None:
        """TLS from the first byte; STARTTLS isn't offered then."""
        pair = self.pair(direct=True)
        pair.them.verdicts[OURS] = PKIX
        pair.connect()
        self.assertEqual(pair.authorise(), [None])
        self.assertNotIn(b"starttls", pair.right.all + pair.left.all)

    @spec("RFC 6120", "4.4")
    def test_end(self) -> None:
        """One side ends its stream, so does the other."""
        pair = self.pair().connect()
        pair.authorise()
        pair.out.close()
        pair.pump()
        self.assertTrue(pair.into.closed and pair.right.closed and pair.left.closed)
        self.assertEqual((len(pair.us.over), len(pair.them.over)), (1, 1))
        self.assertTrue(pair.right.all.endswith(b"</stream:stream>"))

    def test_unacceptable(self) -> None:
        """A peer that policy doesn't accept: the stream ends, with a reason for senders."""
        pair = self.pair()
        pair.us.otherwise = NOTHING
        pair.connect()
        self.assertEqual([each.condition for each in pair.failed], [StanzaCondition.REMOTE_SERVER_NOT_FOUND])
        self.assertTrue(pair.out.closed)

    @spec("RFC 6120", "4.9.3.6")
    def test_unknownHost(self) -> None:
        """They don't serve the domain any more."""
        pair = self.pair()
        pair.them.domains.clear()
        pair.connect()
        self.assertEqual([each.condition for each in pair.failed], [StanzaCondition.REMOTE_SERVER_NOT_FOUND])
        self.assertIn(b"host-unknown", pair.right.all)

    def test_slowProof(self) -> None:
        """While it is found out who the peer is nothing else acts, and reading pauses."""
        pair = self.pair()
        pair.them.proving = Deferred()
        pair.connect()
        self.assertEqual((pair.right.paused, pair.out.opened.called), (1, False))
        proving, pair.them.proving = pair.them.proving, None
        proving.callback(PKIX)
        pair.pump()
        self.assertEqual((pair.right.paused, pair.out.opened.called), (0, True))

    def acknowledging(self) -> Pair:
        """A pair that is authorised by SASL and acknowledges."""
        pair = self.pair()
        pair.them.verdicts[OURS] = PKIX
        pair.connect()
        pair.authorise()
        self.assertIn(b"<enabled", pair.right.all)
        return pair

    @spec("XEP-0198", "3", "4")
    def test_acknowledged(self) -> None:
        """What was acknowledged doesn't come back."""
        pair = self.acknowledging()
        for _ in range(3):
            pair.out.transmit(message())
        pair.pump()
        pair.clock.advance(1)
        pair.pump()
        self.assertIn(b"h='3'", pair.right.all)
        pair.out.transmit(message())
        pair.out.connectionLost()
        self.assertEqual((len(pair.them.stanzas), len(pair.us.back)), (3, 1))

    @spec("XEP-0198", "4")
    def test_silence(self) -> None:
        """A peer that acknowledges nothing any more is gone, and senders hear of it; one that is only slow isn't."""
        for slow in (True, False):
            pair = self.acknowledging()
            pair.out.transmit(message())
            pair.clock.advance(1)
            pair.clock.advance(49)
            if slow:
                pair.right.write(b"<a xmlns='urn:xmpp:sm:3' h='0'/>")
                pair.pump()
            pair.clock.advance(50)
            self.assertEqual((pair.out.closed, len(pair.us.back)), (not slow, 0 if slow else 1))
            pair.out.connectionLost()
            self.assertEqual(pair.clock.getDelayedCalls(), [])

    @spec("XEP-0198", "4")
    def test_lastWord(self) -> None:
        """Whoever ends a stream says before how much has come."""
        pair = self.acknowledging()
        pair.out.transmit(message())
        pair.pump()
        pair.into.close()
        pair.pump()
        self.assertEqual(pair.us.back, [])

    @spec("RFC 6120", "4.4")
    @spec("XEP-0198", "4")
    def test_retired(self) -> None:
        """A stream that makes way for another ends when all that was sent is acknowledged, and is used no more."""
        pair = self.acknowledging()
        pair.out.transmit(message())
        pair.out.retire("a test")
        self.assertEqual((pair.us.gone, pair.left.closed), ([pair.out], False))
        pair.out.retire("again")
        pair.pump()
        self.assertNotIn(b"</stream:stream>", pair.left.all)
        pair.clock.advance(1)
        pair.pump()
        self.assertEqual(pair.left.all.count(b"</stream:stream>"), 1)
        self.assertTrue(pair.left.closed and pair.right.closed)
        self.assertEqual((len(pair.them.stanzas), pair.us.back, len(pair.us.gone)), (1, [], 1))
        self.assertEqual(pair.clock.getDelayedCalls(), [])

    @spec("RFC 6120", "4.4")
    def test_retiredByReceiver(self) -> None:
        """What the other server has sent before it hears of the end is still taken."""
        pair = self.acknowledging()
        pair.into.retire("a test")
        pair.out.transmit(message())
        pair.into.write(b"nothing")
        self.assertFalse(pair.right.closed)
        pair.pump()
        self.assertEqual(len(pair.them.stanzas), 1)
        self.assertTrue(pair.right.closed)
        self.assertTrue(pair.right.all.endswith(b"</stream:stream>"))

    def test_retiredInTheEnd(self) -> None:
        """A peer that neither acknowledges nor ends its stream isn't waited for."""
        pair = self.acknowledging()
        pair.out.transmit(message())
        pair.out.retire("a test")
        pair.left.take()
        pair.clock.advance(pair.us.limits.answerSeconds)
        self.assertTrue(pair.left.closed)
        self.assertEqual((pair.left.all.count(b"</stream:stream>"), len(pair.us.back)), (1, 1))

    def test_lost(self) -> None:
        """Only so much is kept; what is acknowledged of the rest counts for nothing."""
        pair = self.pair()
        pair.us.limits = replace(pair.us.limits, managementQueue=2)
        pair.them.verdicts[OURS] = PKIX
        pair.connect()
        pair.authorise()
        for _ in range(5):
            pair.out.transmit(message())
        pair.pump()
        pair.clock.advance(1)
        pair.pump()
        pair.out.connectionLost()
        self.assertEqual(pair.us.back, [])

    @spec("XEP-0198", "4")
    def test_badCounts(self) -> None:
        """More than was sent, and no number."""
        for count in ("2", "-1", "x", ""):
            pair = self.acknowledging()
            pair.out.transmit(message())
            pair.pump()
            pair.right.write(f"<a xmlns='urn:xmpp:sm:3' h='{count}'/>".encode())
            pair.pump()
            self.assertTrue(pair.out.closed, count)
            self.assertEqual(len(pair.us.back), 1)

    @spec("XEP-0198", "3", "5")
    def test_managementOutOfTurn(self) -> None:
        """C{<enable/>} twice, C{<resume/>}: C{<failed/>}; before anything is proved likewise."""
        pair = self.acknowledging()
        pair.right.all = b""
        for element in ("<enable xmlns='urn:xmpp:sm:3'/>", "<resume xmlns='urn:xmpp:sm:3' h='0' previd='x'/>"):
            pair.left.write(element.encode())
            pair.pump()
        self.assertEqual(pair.right.all.count(b"<failed"), 2)
        self.assertFalse(pair.out.closed)

    def test_languageAndForeignNamespaces(self) -> None:
        """What names the content namespace of clients arrives as the same."""
        pair = self.pair().connect()
        pair.authorise()
        inner = build("message", {"to": "a@b.example"}).element()
        stanza = build("message", {"from": f"romeo@{OURS}", "to": f"juliet@{THEIRS}"}, inner)
        pair.out.transmit(stanza)
        pair.pump()
        self.assertEqual(pair.them.stanzas[0].elements(), (inner,))


class BytewisePairTests(PairTests):
    """The same, one byte at a time."""

    chunk = 1


class NoTLSTests(SynchronousTestCase):
    """Peers without TLS, or behind somebody who hides it."""

    @spec("RFC 7590", "3.1")
    @spec("mission", "T3")
    def test_notOffered(self) -> None:
        """TLS is tried though it isn't offered."""
        pair = Pair()
        pair.right.certificate = False
        pair.connect()
        self.assertIn(b"<starttls", pair.left.all)
        self.assertIsInstance(pair.failed[0], NoTLS)

    @spec("RFC 7590", "3.1")
    @spec("mission", "T3")
    def test_stripped(self) -> None:
        """Somebody takes the offer out of the features: TLS all the same."""
        stripping = Stripping()
        stripping.connect()
        self.assertTrue(stripping.out.opened.called)
        self.assertIsNotNone(stripping.out.tls)

    def test_hangsUp(self) -> None:
        """A peer that just hangs up when it is asked for TLS."""
        pair = Pair()
        pair.connect()
        OutgoingTests().setUpOut(pair, HEADER.replace(f"from='{OURS}'".encode(), f"from='{THEIRS}' id='1'".encode()))
        pair.out.dataReceived(b"<stream:features/>")
        pair.out.connectionLost()
        self.assertIsInstance(pair.failed[0], NoTLS)

    def test_allowed(self) -> None:
        """Where policy allows it: dialback without TLS."""
        pair = Pair(tryTLS=False)
        pair.us.plain = pair.them.plain = True
        pair.connect()
        self.assertEqual(pair.authorise(), [None])

    @spec("XEP-0220", "2.5")
    @spec("mission", "T2")
    def test_incomingPlain(self) -> None:
        """Dialback, SASL and stanzas before TLS: C{policy-violation}, C{encryption-required}, C{not-authorized}."""
        pair = Pair(tryTLS=False)
        pair.us.plain = True
        pair.connect()
        (error,) = pair.authorise()
        self.assertIn("policy-violation", error.text)
        self.assertEqual(pair.them.asked, [])
        pair.out.write(f"<auth xmlns='{ns.SASL}' mechanism='EXTERNAL'>=</auth>".encode())
        pair.into.dataReceived(pair.left.take())
        self.assertIn(b"<encryption-required/>", pair.right.take())
        pair.into.dataReceived(b"<message from='romeo@capulet.example' to='juliet@montague.example'/>")
        self.assertIn(b"not-authorized", pair.right.take())
        self.assertTrue(pair.into.closed)


class Stripping(Pair):
    """Somebody in the middle takes C{<starttls/>} out of what the receiving server offers."""

    def _feed(self, stream: object, data: bytes) -> None:
        start = data.find(b"<starttls")
        end = data.find(b"</starttls>")
        if stream is self.out and start >= 0 and end > start:
            data = data[:start] + data[end + len(b"</starttls>") :]
        super()._feed(stream, data)  # type: ignore[arg-type]


class IncomingTests(SynchronousTestCase):
    """What a stranger may send."""

    def setUp(self) -> None:
        self.premises = FakePremises(THEIRS)
        self.end = End()
        self.stream = IncomingStream(self.end, self.premises)  # type: ignore[arg-type]

    def secured(self, verdict: object = PKIX) -> None:
        """A stream with TLS and a header."""
        self.premises.verdicts[OURS] = verdict  # type: ignore[assignment]
        self.stream.secured(FACTS)
        self.stream.dataReceived(HEADER)
        self.end.take()

    def auth(self, identity: str = OURS) -> bytes:
        """What comes back for SASL EXTERNAL."""
        text = b64encode(identity.encode()).decode() or "="
        self.stream.dataReceived(f"<auth xmlns='{ns.SASL}' mechanism='EXTERNAL'>{text}</auth>".encode())
        return self.end.take()

    @spec("RFC 6120", "5.4.3.3")
    @spec("mission", "T1")
    def test_injection(self) -> None:
        """What comes in the clear behind C{<starttls/>} never acts, and ends the stream."""
        message = f"<message from='romeo@{OURS}' to='juliet@{THEIRS}'/>"
        for behind in (message.encode(), b"<message", HEADER, b"\x16\x03\x01"):
            self.setUp()
            self.stream.dataReceived(HEADER)
            self.stream.dataReceived(f"<starttls xmlns='{ns.TLS}'/>".encode() + behind)
            self.assertEqual((self.end.secure, self.stream.closed, self.premises.stanzas), (False, True, []), behind)
            assert self.stream.failure is not None
            self.assertIn("in the clear", str(self.stream.failure))

    @spec("RFC 6120", "6.4.4", "6.4.5")
    def test_failuresAtOnce(self) -> None:
        """A failed login ends nothing but itself: what has come in the same chunk counts, and so do further failures."""
        abort = f"<abort xmlns='{ns.SASL}'/>"
        key = f"<db:result from='{OURS}' to='{THEIRS}'>key</db:result>"
        self.secured(NOTHING)
        self.premises.answers[OURS] = True
        self.stream.dataReceived((abort + abort + key).encode())
        written = self.end.take()
        self.assertEqual((written.count(b"<aborted/>"), written.count(b"type='valid'")), (2, 1))
        self.setUp()
        self.secured(NOTHING)
        self.stream.dataReceived(f"<auth xmlns='{ns.SASL}' mechanism='EXTERNAL'>=</auth>".encode() * 9)
        written = self.end.take()
        self.assertEqual((written.count(b"<invalid-mechanism/>"), written.count(b"policy-violation")), (4, 1))

    @spec("XEP-0205", "3.2")
    def test_elsewhere(self) -> None:
        """Who has us call servers that aren't there is stopped; that there is no room here is nobody's fault."""
        for condition, failures in (("remote-server-timeout", 1), ("resource-constraint", 0)):
            self.setUp()
            self.secured(NOTHING)
            self.premises.answers[OURS] = StanzaError(StanzaCondition(condition))
            self.stream.dataReceived(f"<db:result from='{OURS}' to='{THEIRS}'>key</db:result>".encode())
            self.assertIn(f"<{condition} ".encode(), self.end.take())
            self.assertEqual(self.premises.failures, failures)

    @spec("mission", "T2")
    def test_leavesWithoutTLS(self) -> None:
        """Who goes when it hears that TLS is asked for, or is refused without, is in the log; who is nobody isn't."""
        claim = f"<db:result from='{OURS}' to='{THEIRS}'>key</db:result></stream:stream>".encode()
        for sent, said in ((HEADER, ["left"]), (HEADER + claim, ["not heard", "left"]), (b"GET / HTTP/1.1\r\n", [])):
            self.setUp()
            with capturedLogs() as events:
                self.stream.dataReceived(sent)
                self.stream.connectionLost()
            formats = [event["log_format"] for event in events]
            found = [word for word in ("not heard", "left") for each in formats if each.startswith(f"s2s {word}: ")]
            self.assertEqual(found, said)

    @spec("RFC 6120", "4.7.1", "4.7.2", "4.8.2")
    def test_headers(self) -> None:
        """What headers may not be like."""
        for old, new, condition in (
            (f"to='{THEIRS}'", "", b"improper-addressing"),
            (f"to='{THEIRS}'", "to='other.example'", b"host-unknown"),
            (f"from='{OURS}'", "from='@@'", b"invalid-from"),
            (f"from='{OURS}'", f"from='{THEIRS}'", b"invalid-from"),
            ("version='1.0'", "", b"unsupported-version"),
            ("'jabber:server'", "'jabber:client'", b"invalid-namespace"),
        ):
            self.setUp()
            self.stream.dataReceived(HEADER.replace(old.encode(), new.encode(), 1))
            self.assertIn(condition, self.end.all)
            self.assertTrue(self.stream.closed, condition)

    def test_denied(self) -> None:
        """A domain on the list."""
        self.premises.denied[OURS] = "no"
        self.stream.dataReceived(HEADER)
        self.assertIn(b"policy-violation", self.end.all)

    @spec("XEP-0178", "3")
    def test_emptyIdentity(self) -> None:
        """An empty identity stands for the header's C{from}; without one at once there is a challenge."""
        self.secured()
        self.assertIn(b"<success", self.auth(""))
        self.setUp()
        self.secured()
        self.stream.dataReceived(f"<auth xmlns='{ns.SASL}' mechanism='EXTERNAL'/>".encode())
        self.assertIn(b"<challenge", self.end.take())
        self.stream.dataReceived(f"<response xmlns='{ns.SASL}'/>".encode())
        self.assertIn(b"<success", self.end.take())

    @spec("RFC 6120", "6.5.6")
    def test_otherIdentity(self) -> None:
        """An identity that the certificate doesn't prove."""
        self.secured()
        self.assertIn(b"<invalid-authzid/>", self.auth("other.example"))
        self.assertEqual((self.premises.heard, self.premises.failures), ([], 1))

    @spec("RFC 6120", "6.4.5")
    def test_tries(self) -> None:
        """Five attempts, then the stream ends."""
        self.secured()
        for _ in range(5):
            self.auth("other.example")
        self.assertTrue(self.stream.closed)

    @spec("XEP-0178", "3")
    def test_notOffered(self) -> None:
        """EXTERNAL without a certificate that proves anything; another mechanism."""
        self.secured(NOTHING)
        self.assertIn(b"<invalid-mechanism/>", self.auth())
        self.stream.dataReceived(f"<auth xmlns='{ns.SASL}' mechanism='PLAIN'>AGEAYg==</auth>".encode())
        self.assertIn(b"<invalid-mechanism/>", self.end.take())

    @spec("RFC 6120", "6.5.5")
    def test_encoding(self) -> None:
        """An identity that isn't base64."""
        self.secured()
        self.stream.dataReceived(f"<auth xmlns='{ns.SASL}' mechanism='EXTERNAL'>!!</auth>".encode())
        self.assertIn(b"<incorrect-encoding/>", self.end.take())

    def test_otherHeaderAfterSASL(self) -> None:
        """The stream after SASL is for the same domains."""
        self.secured()
        self.auth()
        self.stream.dataReceived(HEADER.replace(OURS.encode(), b"other.example"))
        self.assertIn(b"not-authorized", self.end.take())
        self.assertTrue(self.stream.closed)

    def established(self) -> None:
        """A stream that is proved by a certificate."""
        self.secured()
        self.auth()
        self.stream.dataReceived(HEADER)
        self.end.take()

    @spec("RFC 6120", "8.1.1.2", "8.1.2.2")
    def test_addresses(self) -> None:
        """What stanzas may not be like."""
        for attributes, condition in (
            (f"to='juliet@{THEIRS}'", b"improper-addressing"),
            (f"from='romeo@{OURS}'", b"improper-addressing"),
            (f"from='romeo@other.example' to='juliet@{THEIRS}'", b"invalid-from"),
            (f"from='juliet@{THEIRS}' to='juliet@{THEIRS}'", b"invalid-from"),
            (f"from='romeo@{OURS}' to='juliet@other.example'", b"host-unknown"),
        ):
            self.setUp()
            self.established()
            self.stream.dataReceived(f"<message {attributes}/>".encode())
            self.assertIn(condition, self.end.take())
            self.assertEqual((self.premises.stanzas, self.stream.closed), ([], True))

    def test_otherTarget(self) -> None:
        """What a certificate proves holds for all of our domains; what dialback does for one."""
        self.premises.domains.add("rooms.montague.example")
        self.established()
        self.stream.dataReceived(b"<message from='romeo@capulet.example' to='hall@rooms.montague.example'/>")
        self.assertEqual(len(self.premises.stanzas), 1)
        self.setUp()
        self.premises.domains.add("rooms.montague.example")
        self.secured(NOTHING)
        self.premises.answers[OURS] = True
        self.stream.dataReceived(f"<db:result from='{OURS}' to='{THEIRS}'>key</db:result>".encode())
        self.assertIn(b"type='valid'", self.end.take())
        self.stream.dataReceived(b"<message from='romeo@capulet.example' to='hall@rooms.montague.example'/>")
        self.assertIn(b"not-authorized", self.end.take())
        self.assertEqual(self.premises.stanzas, [])

    @spec("XEP-0220", "3.1")
    def test_unasked(self) -> None:
        """Answers nobody has asked for change nothing."""
        self.secured(NOTHING)
        for element in (
            f"<db:result from='{OURS}' to='{THEIRS}' type='valid'/>",
            f"<db:verify from='{OURS}' to='{THEIRS}' id='x' type='valid'/>",
        ):
            self.stream.dataReceived(element.encode())
        self.assertEqual((self.premises.heard, self.premises.spoken, self.stream.closed), ([], [], False))

    @spec("XEP-0220", "2.4.2", "2.5")
    def test_unknownTarget(self) -> None:
        """A key for a domain that isn't ours: an error, not the end."""
        self.secured(NOTHING)
        self.stream.dataReceived(f"<db:result from='{OURS}' to='other.example'>key</db:result>".encode())
        answer = self.end.take()
        self.assertIn(b"<item-not-found", answer)
        self.assertIn(b"from='other.example'", answer)
        self.assertFalse(self.stream.closed)

    def test_tooManyKeys(self) -> None:
        """Only so many keys are verified at a time."""
        self.secured(NOTHING)
        for number in range(25):
            domain = f"d{number}.example"
            self.premises.answers[domain] = Deferred()
            self.stream.dataReceived(f"<db:result from='{domain}' to='{THEIRS}'>key</db:result>".encode())
        self.assertEqual(len(self.premises.asked), 20)
        self.assertIn(b"resource-constraint", self.end.take())

    def test_tooManyFailures(self) -> None:
        """An address from which too many proofs have failed is heard no more for a while."""
        self.secured()
        self.premises.failures = 30
        self.stream.dataReceived(f"<db:result from='{OURS}' to='{THEIRS}'>key</db:result>".encode())
        self.assertIn(b"resource-constraint", self.end.take())
        self.assertIn(b"temporary-auth-failure", self.auth())
        self.assertEqual(self.premises.heard, [])

    def test_tooMuchBefore(self) -> None:
        """Too many bytes before anything is proved."""
        self.premises.limits = replace(self.premises.limits, unauthenticatedBytes=4096)
        self.stream.dataReceived(HEADER + b" " * 5000)
        self.assertIn(b"policy-violation", self.end.take())

    def test_tooLong(self) -> None:
        """Too much time before anything is proved."""
        self.stream.dataReceived(HEADER)
        self.premises.clock.advance(61)
        self.assertIn(b"connection-timeout", self.end.take())
        self.assertTrue(self.stream.closed)

    @spec("RFC 6120", "4.9.3.24")
    def test_unknownElement(self) -> None:
        """Something that doesn't exist."""
        self.established()
        self.stream.dataReceived(b"<what xmlns='urn:what'/>")
        self.assertIn(b"unsupported-stanza-type", self.end.take())

    def test_otherKeyOtherStream(self) -> None:
        """A key that was made for another stream isn't one for this."""
        self.secured(NOTHING)
        key = self.premises.key(THEIRS, OURS, "another id")
        self.stream.dataReceived(f"<db:result from='{OURS}' to='{THEIRS}'>{key}</db:result>".encode())
        self.assertIn(b"type='invalid'", self.end.take())
        self.assertTrue(self.stream.closed)


class OutgoingTests(SynchronousTestCase):
    """What a hostile receiving server may say."""

    def test_wrongSender(self) -> None:
        """Somebody else answers."""
        pair = Pair()
        pair.connect()
        self.setUpOut(pair, HEADER.replace(f"from='{OURS}'".encode(), b"from='evil.example' id='1'"))
        self.assertTrue(pair.out.closed)
        self.assertIn(b"invalid-from", pair.left.all)

    def setUpOut(self, pair: Pair, header: bytes) -> None:
        """A fresh outgoing stream that gets a header."""
        pair.left = End()
        pair.out = OutgoingStream(pair.left, pair.us, OURS, THEIRS)  # type: ignore[arg-type]
        pair.out.opened.addErrback(lambda failure: pair.failed.append(failure.value))
        pair.out.begin()
        pair.out.dataReceived(header)

    @spec("RFC 6120", "5.4.3.3")
    @spec("mission", "T1")
    def test_injection(self) -> None:
        """What comes in the clear behind C{<proceed/>} never acts."""
        pair = Pair()
        pair.us.bidi = True
        features = f"<stream:features><starttls xmlns='{ns.TLS}'/></stream:features>"
        injected = f"<db:result from='{THEIRS}' to='{OURS}' type='valid'/><message from='a@{THEIRS}' to='b@{OURS}'/>"
        for behind in (injected.encode() + HEADER, b"<message from=", b"x", b"<message><body>", b"</stream:stream>", b"<<"):
            self.setUpOut(pair, HEADER.replace(f"from='{OURS}'".encode(), f"from='{THEIRS}' id='1'".encode()))
            pair.out.dataReceived(features.encode())
            pair.out.dataReceived(f"<proceed xmlns='{ns.TLS}'/>".encode() + behind)
            self.assertEqual((pair.left.secure, pair.out.closed), (False, True), behind)
            self.assertEqual((pair.us.stanzas, pair.us.spoken, pair.out.id), ([], [], "1"))
            self.assertNotIsInstance(pair.failed[-1], NoTLS)
            self.assertIn("in the clear", str(pair.failed[-1]))

    @spec("RFC 6120", "5.4.3.3")
    def test_whitespace(self) -> None:
        """Whitespace behind C{<proceed/>} says nothing, and harms nobody."""
        pair = Pair()
        self.setUpOut(pair, HEADER.replace(f"from='{OURS}'".encode(), f"from='{THEIRS}' id='1'".encode()))
        pair.out.dataReceived(b"<stream:features/>")
        pair.out.dataReceived(f"<proceed xmlns='{ns.TLS}'/>\n".encode())
        self.assertTrue(pair.left.secure)
        pair.out.secured(FACTS)
        pair.out.dataReceived(HEADER.replace(f"from='{OURS}'".encode(), f"from='{THEIRS}' id='2'".encode()))
        self.assertEqual(pair.out.id, "2")

    def test_hugeFeatures(self) -> None:
        """Features without end."""
        pair = Pair()
        self.setUpOut(pair, HEADER.replace(f"from='{OURS}'".encode(), f"from='{THEIRS}' id='1'".encode()))
        pair.out.dataReceived(b"<stream:features>" + b"<a xmlns='urn:a'/>" * 20_000)
        self.assertTrue(pair.out.closed)
        self.assertIn(b"policy-violation", pair.left.all)

    def test_unaskedSuccess(self) -> None:
        """C{<success/>} that nobody has asked for."""
        pair = Pair().connect()
        pair.out.dataReceived(f"<success xmlns='{ns.SASL}'/>".encode())
        self.assertTrue(pair.out.closed)
        self.assertEqual(pair.us.spoken, [])

    @spec("XEP-0178", "3")
    def test_fallsBack(self) -> None:
        """EXTERNAL was offered and then refused: dialback."""
        pair = Pair()
        pair.them.verdicts[OURS] = PKIX
        pair.connect()
        pair.them.verdicts[OURS] = NOTHING
        pair.into.verdict = NOTHING
        self.assertEqual(pair.authorise(), [None])
        self.assertEqual(pair.out.mechanism, "dialback")
