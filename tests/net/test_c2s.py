"""Tests of L{xmppd.net.c2s}: connections, with the whole server behind them and a client that misbehaves in front."""

from __future__ import annotations

from typing import Any

from OpenSSL import SSL
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from tests.marks import spec
from tests.server import DOMAIN, HIGH_WATER, STREAM_ERROR, MemoryServer, ServerCase, TestClient, split
from xmppd.config import Limits
from xmppd.ixmppd import IStreamTransport
from xmppd.net.c2s import CLOSING_BYTES, CLOSING_SECONDS, Pace, kernelQueue, reasonOf

PERSISTENT = " " * 1000


class PaceTests(SynchronousTestCase):
    """L{Pace}."""

    def test_bytes(self) -> None:
        """After a burst, so many bytes a second."""
        limits = Limits(bytesPerSecond=100, burstBytes=1000, stanzasPerSecond=0)
        pace = Pace(0)
        self.assertLessEqual(pace.spent(limits, 0, 1000, 0), 0)
        self.assertEqual(pace.spent(limits, 0, 50, 0), 0.5)
        self.assertLessEqual(pace.spent(limits, 0.5, 0, 0), 0)
        self.assertEqual(pace.spent(limits, 1.5, 200, 0), 1)

    def test_stanzas(self) -> None:
        """The same for stanzas; the longer pause counts."""
        limits = Limits(bytesPerSecond=1000, burstBytes=1000, stanzasPerSecond=10, burstStanzas=20)
        pace = Pace(0)
        self.assertLessEqual(pace.spent(limits, 0, 1000, 20), 0)
        self.assertEqual(pace.spent(limits, 0, 500, 10), 1)

    def test_silence(self) -> None:
        """Silence is not saved up beyond one burst."""
        limits = Limits(bytesPerSecond=100, burstBytes=1000, stanzasPerSecond=0)
        pace = Pace(0)
        self.assertLessEqual(pace.spent(limits, 1_000_000, 1000, 0), 0)
        self.assertEqual(pace.spent(limits, 1_000_000, 100, 0), 1)

    def test_off(self) -> None:
        """Zero means no limit."""
        pace = Pace(0)
        self.assertEqual(pace.spent(Limits(bytesPerSecond=0, stanzasPerSecond=0), 0, 1 << 40, 1 << 30), 0)


class AdmissionTests(ServerCase):
    """Who may stay connected."""

    def test_connections(self) -> None:
        """Too many in all, too many from one address: a stream error, and gone; others don't notice."""
        for limits in ("connections = 2", "connections_per_address = 2", "attempts_per_minute = 2"):
            server = self.serve(limits)
            there = [server.connect() for _ in range(2)]
            refused = server.connect()
            self.assertClosed(refused, "policy-violation")
            self.assertTrue(refused.closed)
            self.assertEqual(len(server.server.connections), 2)
            for client in there:
                self.assertIsNotNone(client.open())
                client.disconnect()
            self.assertEqual(server.server.admission.connections, 0)

    def test_refusedDirectTLS(self) -> None:
        """On a port for direct TLS a refused client just sees the end."""
        server = self.serve("connections = 1", tls=True)
        server.connect()
        refused = server.connect(5223)
        self.assertTrue(refused.closed)
        self.assertEqual(refused.raw, b"")

    def test_refusedClientsBytesDontAct(self) -> None:
        """Nothing that a refused client sends is looked at."""
        server = self.serve("connections = 1")
        server.connect()
        refused = server.connect()
        before = refused.raw
        refused.send("<a/>")
        self.assertEqual(refused.raw, before)

    def test_gone(self) -> None:
        """Each way to go is counted once."""
        server = self.serve()
        leave: list[Any] = [TestClient.disconnect, TestClient.cut, lambda c: c.send("</stream:stream>"), lambda c: c.send("<!-- -->")]
        for way in leave:
            client = server.login("romeo")
            way(client)
            self.assertTrue(client.closed)
            self.assertEqual((server.server.admission.connections, server.server.connections), (0, set()))

    def test_addressWithoutHost(self) -> None:
        """Peers on UNIX sockets have no address of their own."""
        server = self.serve()
        client = TestClient.__new__(TestClient)
        self.patch(TestClient, "_connect", lambda self: None)
        TestClient.__init__(client, server, server.factory())
        self.patch(client.transport, "_peer", object())
        client.protocol.makeConnection(client.transport)
        self.assertEqual((client.protocol.address, client.protocol.port), ("unix", 0))


class PacingTests(ServerCase):
    """Reading pauses for those who send too much."""

    def test_bytes(self) -> None:
        """Over the burst nothing is read until it fits again; nothing is lost."""
        server = self.serve("bytes_per_second = 1000\nburst_bytes = 5000")
        romeo, juliet = server.login("romeo"), server.login("juliet")
        message = f"<message to='{juliet.jid}'><body>{'x' * 900}</body></message>"
        for _ in range(20):
            romeo.send(message)
        first = len(juliet.take())
        self.assertLess(first, 8)
        self.assertFalse(romeo.transport.reading)
        server.advance(5)
        self.assertGreater(len(juliet.take()), 2)
        server.advance(30)
        juliet.take()
        self.assertTrue(romeo.transport.reading)
        romeo.send("<message to='romeo@example.org/nowhere' type='error' id='last'/>")
        self.assertFalse(romeo.eof)

    def test_stanzas(self) -> None:
        """The same for small stanzas."""
        server = self.serve("stanzas_per_second = 10\nburst_stanzas = 20")
        romeo, juliet = server.login("romeo"), server.login("juliet")
        for number in range(60):
            romeo.send(f"<message to='{juliet.jid}' id='{number}'/>")
        self.assertLess(len(juliet.take()), 40)
        server.advance(10)
        got = juliet.take()
        self.assertEqual(got[-1].get("id"), "59")

    def test_tlsIsCounted(self) -> None:
        """What TLS takes counts, whether or not it carries anything."""
        server = self.serve("bytes_per_second = 1000\nburst_bytes = 3000", tls=True)
        client = server.connect()
        client.open()
        client.startTLS()
        for _ in range(100):
            client.send(" ")
        self.assertFalse(client.transport.reading)
        server.advance(10)
        self.assertTrue(client.transport.reading)

    def test_limitsOff(self) -> None:
        """Without limits of pace nothing pauses."""
        server = self.serve("enabled = false\nbytes_per_second = 1\nburst_bytes = 1")
        romeo, juliet = server.login("romeo"), server.login("juliet")
        for _ in range(100):
            romeo.send(f"<message to='{juliet.jid}'><body>{'x' * 1000}</body></message>")
        self.assertEqual(len(juliet.take()), 100)

    def test_changedLimits(self) -> None:
        """New limits count from now on for streams that are there."""
        server = self.serve()
        romeo = server.login("romeo")
        server.server.reception.limits = Limits(bytesPerSecond=1, burstBytes=1)
        romeo.send("<presence/>")
        self.assertFalse(romeo.transport.reading)

    def test_goneWhilePaused(self) -> None:
        """A client that goes while it is not read leaves no timer."""
        server = self.serve("bytes_per_second = 100\nburst_bytes = 2000\nidle_seconds = 0")
        romeo = server.login("romeo")
        romeo.send(" " * 3000)
        self.assertFalse(romeo.transport.reading)
        romeo.cut()
        self.assertEqual(server.server.connections, set())
        server.advance(100)

    def test_closedWhilePaused(self) -> None:
        """A connection that the server closes while it doesn't read it ends nevertheless."""
        server = self.serve("bytes_per_second = 100\nburst_bytes = 2000")
        romeo = server.login("romeo")
        romeo.send(" " * 3000)
        self.assertFalse(romeo.transport.reading)
        server.host.registrar.endSessions("romeo@example.org")
        server.pump()
        self.assertTrue(romeo.closed)
        self.assertEqual(server.server.connections, set())


class SlowReaderTests(ServerCase):
    """Clients that don't read."""

    def flooded(self, server: MemoryServer, capacity: int = 0) -> tuple[TestClient, TestClient]:
        """Juliet, who doesn't read any more, and Romeo, who sends her more and more."""
        romeo, juliet = server.login("romeo"), server.login("juliet")
        juliet.transport.capacity = capacity
        return romeo, juliet

    def say(self, romeo: TestClient, juliet: TestClient, octets: int) -> None:
        """One message of that size."""
        romeo.send(f"<message to='{juliet.jid}'><body>{'x' * octets}</body></message>")

    def test_queueIsBounded(self) -> None:
        """What waits for a client is counted, and over the limit it is given up; its neighbours don't notice."""
        server = self.serve("send_queue_bytes = 200000")
        romeo, juliet = self.flooded(server)
        count = 0
        while "juliet@example.org" in server.host.sessions and count < 40:
            count += 1
            self.say(romeo, juliet, 10_000)
        self.assertFalse(juliet.closed)
        server.advance(CLOSING_SECONDS)
        self.assertTrue(juliet.closed)
        self.assertGreater(count * 10_000, 200_000)
        self.assertLess(count * 10_000, 200_000 + HIGH_WATER + 20_000)
        self.assertNotIn("juliet@example.org", server.host.sessions)
        self.assertFalse(romeo.eof)

    def test_slowReader(self) -> None:
        """Who reads slowly gets everything, in order."""
        server = self.serve()
        romeo, juliet = self.flooded(server)
        for number in range(50):
            romeo.send(f"<message to='{juliet.jid}' id='{number}'><body>{'x' * 10_000}</body></message>")
        self.assertEqual(juliet.take(), [])
        unsent = juliet.protocol.unsent()
        self.assertGreater(unsent, 500_000)
        got = []
        for _ in range(200):
            juliet.transport.readAgain(7000)
            got += [each.get("id") for each in juliet.take()]
        juliet.transport.readAgain()
        got += [each.get("id") for each in juliet.take()]
        self.assertEqual(got, [str(number) for number in range(50)])
        self.assertEqual(juliet.protocol.unsent(), 0)

    def test_slowReaderWithTLS(self) -> None:
        """The same under TLS."""
        server = self.serve(tls=True)
        romeo, juliet = self.flooded(server)
        for number in range(20):
            romeo.send(f"<message to='{juliet.jid}' id='{number}'><body>{'x' * 10_000}</body></message>")
        self.assertEqual(juliet.take(), [])
        juliet.transport.readAgain()
        self.assertEqual([each.get("id") for each in juliet.take()], [str(number) for number in range(20)])

    def test_partOfAWrite(self) -> None:
        """A socket that takes a part of what is written gets the rest when it has room."""
        server = self.serve()
        romeo, juliet = self.flooded(server, capacity=10)
        self.say(romeo, juliet, 100)
        self.assertEqual(juliet.take(), [])
        self.say(romeo, juliet, 100)
        juliet.transport.readAgain()
        self.assertEqual(len(juliet.take()), 2)

    @spec("RFC 6120", "4.4")
    def test_lastWordsDontWaitForever(self) -> None:
        """A client that doesn't read the end of its stream is cut off after a while."""
        server = self.serve()
        romeo, juliet = self.flooded(server)
        self.say(romeo, juliet, 100)
        juliet.send("<unknown/>")
        self.assertFalse(juliet.closed)
        server.advance(4.9)
        self.assertFalse(juliet.closed)
        server.advance(0.1)
        self.assertTrue(juliet.closed)

    def test_lastWordsBehindTheQueue(self) -> None:
        """What waited is written before the end of the stream, if the client reads again in time."""
        server = self.serve()
        romeo, juliet = self.flooded(server)
        for _ in range(20):
            self.say(romeo, juliet, 10_000)
        juliet.send("<unknown/>")
        juliet.transport.readAgain()
        self.assertEqual(len(juliet.take()), 21)
        self.assertTrue(juliet.streamClosed and juliet.closed)

    def test_startTLSWithoutReading(self) -> None:
        """A client that doesn't read before STARTTLS gets the answer in the clear, and TLS after it."""
        server = self.serve(tls=True)
        client = server.connect()
        client.open()
        client.transport.capacity = 0
        client.protocol.pauseProducing()
        client.send("<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>")
        client.transport.readAgain()
        self.assertIn(b"<proceed", client.raw)
        client.take()
        client.shakeHands()
        self.assertIsNotNone(client.open())


class ClosingTests(ServerCase):
    """How connections end."""

    def test_floodAfterTheEnd(self) -> None:
        """A client that goes on sending after the end of its stream is read for a while, and then cut off."""
        server = self.serve()
        client = server.connect()
        client.stubborn = True
        client.send("nonsense")
        self.assertClosed(client, "not-well-formed")
        self.assertFalse(client.closed)
        for _ in range(CLOSING_BYTES // 65536 + 1):
            client.send(b"x" * 65536)
        self.assertTrue(client.closed)

    def test_resetInTheError(self) -> None:
        """A client that is gone when the error is written leaves nothing behind."""
        server = self.serve()
        client = server.connect()

        def reset(data: bytes) -> int:
            client.cut()
            return 0

        self.patch(client.transport, "writeSomeData", reset)
        client.send("nonsense")
        server.pump()
        self.assertTrue(client.closed)
        self.assertEqual(server.server.connections, set())

    def test_transportWithoutHalfClose(self) -> None:
        """A transport that can't close one side closes both."""
        server = self.serve()
        client = server.connect()
        self.patch(client.transport, "loseWriteConnection", None)
        client.send("nonsense")
        self.assertTrue(client.closed)

    def test_failedTLS(self) -> None:
        """After TLS has failed the client gets the alert, and is cut off if it stays."""
        server = self.serve(tls=True)
        client = server.connect(5223)
        client.stubborn = True
        client.transport.capacity = 0
        client.send(b"\x16\x03\x01\x00\x05hello")
        self.assertFalse(client.closed)
        client.send(b"<stream:stream>")
        server.advance(5)
        self.assertTrue(client.closed)
        self.assertEqual(server.server.connections, set())

    def test_alertsFromTheClient(self) -> None:
        """A client that refuses the certificate by an alert."""
        server = self.serve(tls=True)
        client = server.connect(5223)
        client.shakeHands()
        client.deliver(b"\x15\x03\x03\x00\x02\x02\x30")
        server.pump()
        self.assertTrue(client.eof)


class SmallTests(SynchronousTestCase):
    """What has no state."""

    def test_reasonOf(self) -> None:
        """OpenSSL's errors come in several shapes."""
        self.assertEqual(reasonOf(SSL.Error([("SSL routines", "", "wrong version number")])), "wrong version number")
        for error in (SSL.Error(), SSL.Error([]), SSL.SysCallError(-1, "Unexpected EOF"), SSL.ZeroReturnError()):
            self.assertEqual(reasonOf(error), "the connection ended")

    def test_kernelQueue(self) -> None:
        """Where the kernel can't be asked nothing waits there."""
        self.assertEqual(kernelQueue(object()), 0)


class InterfaceTests(ServerCase):
    """Interfaces."""

    def test_provides(self) -> None:
        """A connection is an L{IStreamTransport}."""
        client = self.serve().connect()
        verifyObject(IStreamTransport, client.protocol)
        self.assertTrue(client.transport.noDelay)

    def test_unsent(self) -> None:
        """Nothing is certain about a connection that is gone."""
        client = self.serve().login("romeo")
        self.assertEqual(client.protocol.unsent(), 0)
        client.cut()
        self.assertEqual(client.protocol.unsent(), 1)
        self.assertEqual(DOMAIN, "example.org")


class UnreadTests(ServerCase):
    """What becomes of clients that don't read, and of what waits for them."""

    def flood(self, server: MemoryServer, juliet: TestClient, romeo: TestClient, octets: int = 10_000) -> int:
        """Let Juliet read no more, and send her messages until her connection is given up; answers how many."""
        juliet.transport.capacity = 0
        for number in range(60):
            if juliet.jid not in server.server.router.table or server.server.router.table[juliet.jid].stream is None:
                return number
            romeo.send(f"<message type='chat' id='m{number}' to='{juliet.jid}'><body>{'x' * octets}</body></message>")
        raise AssertionError("nothing was given up")

    def got(self, client: TestClient) -> list[str | None]:
        """Ids of the messages that came."""
        return [each.get("id") for each in client.take() if each.tag.endswith("message")]

    def next(self, server: MemoryServer) -> list[str | None]:
        """What the next session gets."""
        client = server.login("juliet")
        client.send("<presence/>")
        return self.got(client)

    def rest(self, juliet: TestClient) -> list[str | None]:
        """What Juliet finds when she reads on: messages, and a stream error."""
        juliet.transport.readAgain()
        *messages, error = juliet.take()
        self.assertEqual((error.tag, split(error[0].tag)[1]), (STREAM_ERROR, "policy-violation"))
        self.assertTrue(juliet.streamClosed)
        return [each.get("id") for each in messages]

    @spec("RFC 6120", "4.9.3.14")
    @spec("RFC 6121", "8.5.3.2.1")
    def test_plain(self) -> None:
        """Without stream management: a stream error, and what has waited is kept for the next session, in order."""
        for tls in (False, True):
            server = self.serve("send_queue_bytes = 200000", tls=tls)
            romeo, juliet = server.login("romeo"), server.login("juliet")
            count = self.flood(server, juliet, romeo)
            self.assertNotIn("juliet@example.org", server.host.sessions)
            early, late = self.rest(juliet), self.next(server)
            self.assertGreater(len(late), 15)
            self.assertEqual([*early, *late], [f"m{number}" for number in range(count)])
            self.assertEqual((self.got(romeo), romeo.eof), ([], False))

    def test_otherResource(self) -> None:
        """If the user is available elsewhere, that resource gets what has waited."""
        server = self.serve("send_queue_bytes = 200000")
        romeo, juliet, other = server.login("romeo"), server.login("juliet"), server.login("juliet", available=True)
        other.take()
        count = self.flood(server, juliet, romeo)
        early = self.rest(juliet)
        self.assertEqual([*early, *self.got(other)], [f"m{number}" for number in range(count)])

    def test_requests(self) -> None:
        """Who asked the client something is told; what is of no use any more is dropped."""
        server = self.serve("send_queue_bytes = 200000")
        romeo, juliet = server.login("romeo"), server.login("juliet", available=True)
        juliet.send(f"<presence to='{romeo.jid}'/>")
        romeo.take()
        juliet.transport.capacity = 0
        for _ in range(10):
            romeo.send(f"<message type='headline' to='{juliet.jid}'><body>{'x' * 10_000}</body></message>")
        romeo.send(f"<iq type='get' id='asked' to='{juliet.jid}'><ping xmlns='urn:xmpp:ping'/></iq>")
        romeo.send(f"<iq type='result' id='told' to='{juliet.jid}'/>")
        self.flood(server, juliet, romeo)
        answers = [each for each in romeo.take() if each.tag.endswith("iq")]
        self.assertEqual([each.get("id") for each in answers], ["asked"])
        self.assertError(answers[0], "service-unavailable")

    @spec("XEP-0198", "5")
    def test_resumable(self) -> None:
        """With stream management the session waits to be resumed, and nothing is lost or doubled."""
        server = self.serve("send_queue_bytes = 200000")
        romeo, juliet = server.login("romeo"), server.login("juliet", available=True)
        (enabled,) = [juliet.ask("<enable xmlns='urn:xmpp:sm:3' resume='true'/>")]
        count = self.flood(server, juliet, romeo)
        self.assertTrue(juliet.closed)
        self.assertIsNone(server.server.router.table[juliet.jid].stream)
        again = server.connect()
        again.open()
        again.plain("juliet")
        again.open()
        again.send(f"<resume xmlns='urn:xmpp:sm:3' previd='{enabled.get('id')}' h='0'/>")
        self.assertEqual(self.got(again), [f"m{number}" for number in range(count)])

    def test_notResumable(self) -> None:
        """Under stream management that can't be resumed: the error, and the messages for the next session, once."""
        server = self.serve("send_queue_bytes = 200000")
        romeo, juliet = server.login("romeo"), server.login("juliet", available=True)
        juliet.ask("<enable xmlns='urn:xmpp:sm:3'/>")
        count = self.flood(server, juliet, romeo)
        self.rest(juliet)
        self.assertEqual(self.next(server), [f"m{number}" for number in range(count)])

    def test_managedSender(self) -> None:
        """What a sender was promised is in somebody's custody, and isn't kept twice."""
        server = self.serve("send_queue_bytes = 200000")
        romeo, juliet = server.login("romeo"), server.login("juliet")
        romeo.ask("<enable xmlns='urn:xmpp:sm:3' resume='true'/>")
        count = self.flood(server, juliet, romeo)
        got = self.next(server)
        self.assertEqual(len(got), len(set(got)))
        self.assertEqual(got[-15:], [f"m{number}" for number in range(count)][-15:])

    def test_many(self) -> None:
        """Very many small ones take several turns; as many are kept as are kept for anybody, the others refused."""
        server = self.serve("send_queue_bytes = 2000000\nenabled = false\noffline_messages = 50")
        romeo, juliet = server.login("romeo"), server.login("juliet")
        juliet.transport.capacity = 0
        number = 0
        while juliet.jid in server.server.router.table:
            romeo.send("".join(
                f"<message type='chat' id='m{number + n}' to='{juliet.jid}'><body>x</body></message>" for n in range(500)
            ))
            number += 500
        server.advance(1)
        refused = self.got(romeo)
        self.assertGreater(len(refused), 10_000)
        self.assertEqual(len(self.next(server)), 50)
