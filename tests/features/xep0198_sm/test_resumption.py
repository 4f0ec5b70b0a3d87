"""Tests of L{xmppd.features.xep0198_sm.resumption} and L{xmppd.features.xep0198_sm.estate}."""

from __future__ import annotations

import random

from twisted.internet.defer import Deferred

from tests.features.xep0198_sm.rigging import Client, ManagementTestCase, body
from tests.marks import spec
from xmppd.config import Limits
from xmppd.wire.errors import StreamCondition
from xmppd.wire.stanza import fromBytes

ROMEO = "romeo@example.org/orchard"
JULIET = "juliet@example.org/balcony"
CHAMBER = "juliet@example.org/chamber"


class ResumeTests(ManagementTestCase):
    """Section 5."""

    def setUp(self) -> None:
        super().setUp()
        self.romeo = self.client(ROMEO)
        self.juliet = self.client(JULIET)

    @spec("XEP-0198", "5")
    def test_resumed(self) -> None:
        """The answer names the session and counts what was handled; the session goes on as it was."""
        self.juliet.send(b"<presence/>")
        self.juliet.ack()
        session = self.juliet.session
        self.juliet.cut()
        self.assertEqual(
            self.juliet.resume(),
            f"<resumed xmlns='urn:xmpp:sm:3' h='2' previd='{self.juliet.token}'/>".encode(),
        )
        self.assertIs(self.juliet.session, session)
        self.assertIs(session.stream, self.juliet.stream)
        self.assertIn("bound", self.juliet.stream.facts)
        self.assertIs(session.account, self.juliet.stream.account)
        self.romeo.say(JULIET, "a")
        self.assertEqual(self.juliet.bodies(), ["a"])

    @spec("XEP-0198", "5")
    def test_resent(self) -> None:
        """What the client does not have is sent again in order, and nothing else."""
        for text in "abcd":
            self.romeo.say(JULIET, text)
        self.juliet.got += self.juliet.stream.take()[:2]
        self.juliet.cut()
        self.romeo.say(JULIET, "e")
        self.juliet.resume()
        self.assertEqual(self.juliet.stream.everything[0][:8], b"<resumed")
        self.assertEqual(self.juliet.bodies(), ["c", "d", "e"])
        self.juliet.ack()
        self.assertEqual(len(self.juliet.management.queue.entries), 0)

    @spec("XEP-0198", "5")
    def test_countsGoOn(self) -> None:
        """Numbers are carried over."""
        self.romeo.say(JULIET, "a")
        self.juliet.take()
        self.juliet.cut()
        self.juliet.resume()
        self.romeo.say(JULIET, "b")
        self.juliet.ack()
        self.assertFalse(self.juliet.stream.closed)
        self.juliet.say(ROMEO, "c")
        self.juliet.ask()
        self.assertEqual(self.juliet.acked(), 2)

    @spec("XEP-0203", "4")
    def test_delay(self) -> None:
        """What is sent again says when it came."""
        self.juliet.cut()
        self.romeo.say(JULIET, "a")
        self.advance(60)
        self.juliet.resume()
        (message,) = [stanza for stanza in self.juliet.take() if stanza.kind == "message"]
        self.assertIn(b"<delay xmlns='urn:xmpp:delay' from='example.org' stamp='2001-09-09T01:46:40Z'/>", message.raw)

    @spec("XEP-0198", "5")
    def test_stillConnected(self) -> None:
        """An old stream that is still open is closed with C{conflict}; the session goes on."""
        old = self.juliet.stream
        self.romeo.say(JULIET, "a")
        self.assertIn(b"<resumed", self.juliet.resume())
        assert old.closedWith is not None
        self.assertEqual(old.closedWith.condition, StreamCondition.CONFLICT)
        self.assertFalse(self.juliet.session.over)
        self.assertEqual(self.juliet.bodies(), ["a"])
        old.cut()
        self.assertIs(self.juliet.session.stream, self.juliet.stream)

    @spec("XEP-0198", "5")
    def test_unknown(self) -> None:
        """C41: an id nobody has."""
        answer = self.juliet.resume(token="no such")
        self.assertEqual(
            answer,
            b"<failed xmlns='urn:xmpp:sm:3'><item-not-found xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></failed>",
        )
        self.assertFalse(self.juliet.stream.closed)
        self.assertNotIn("bound", self.juliet.stream.facts)

    @spec("XEP-0198", "5", "10")
    def test_somebodyElses(self) -> None:
        """C41: another account's session is not found, and not touched."""
        stream, session = self.juliet.stream, self.juliet.session
        answer = self.romeo.resume(token=self.juliet.token, h=1)
        self.assertIn(b"<item-not-found", answer)
        self.assertNotIn(b" h=", answer)
        self.assertIs(session.stream, stream)
        self.assertFalse(stream.closed)
        self.juliet.cut()
        self.assertIn(b"<item-not-found", self.romeo.resume(token=self.juliet.token, h=1))
        self.assertIn(b"<resumed", self.juliet.resume())

    def test_malformed(self) -> None:
        """Without number or id."""
        for raw in (
            b"<resume xmlns='urn:xmpp:sm:3' previd='x'/>",
            b"<resume xmlns='urn:xmpp:sm:3' h='1'/>",
            b"<resume xmlns='urn:xmpp:sm:3' h='x' previd='x'/>",
        ):
            stream = self.stream(JULIET)
            self.negotiate(stream, raw)
            self.assertIn(b"<bad-request", stream.written[0])

    @spec("XEP-0198", "6")
    def test_tooHigh(self) -> None:
        """A number that can't be ends the new stream, and leaves the session."""
        self.juliet.cut()
        session = self.juliet.session
        self.juliet.resume(h=1000)
        assert self.juliet.stream.closedWith is not None
        self.assertIn(b"handled-count-too-high", self.juliet.stream.closedWith.application)
        self.assertFalse(session.over)
        self.assertIn(b"<resumed", self.juliet.resume())

    def test_backwards(self) -> None:
        """A client that forgot what it acknowledged has to begin anew; its messages are kept."""
        self.juliet.cut()
        self.romeo.say(JULIET, "a")
        session = self.juliet.session
        self.assertIn(b"<item-not-found", self.juliet.resume(h=0))
        self.assertTrue(session.over)
        self.assertEqual(self.offlineBodies("juliet@example.org"), ["a"])

    @spec("XEP-0198", "4", "5")
    def test_resumedTellsWhatIsSettled(self) -> None:
        """The count in C{<resumed/>} is a promise like any other."""
        self.juliet.say(ROMEO, "a")
        self.juliet.cut()
        self.store.holding = True
        self.assertEqual(self.juliet.resume(), b"")
        self.assertEqual(len(self.juliet.stream.waits), 1)
        self.store.proceed()
        self.turns()
        self.assertIn(b"h='2'", self.juliet.stream.written[0])
        self.assertEqual(len(self.held(self.romeo)), 1)

    def test_twoAtOnce(self) -> None:
        """Of two attempts the later one wins."""
        self.juliet.say(ROMEO, "a")
        self.juliet.cut()
        self.store.holding = True
        self.juliet.resume()
        first = self.juliet.stream
        self.juliet.resume()
        self.store.proceed()
        self.turns()
        self.assertIn(b"<failed", first.written[0])
        self.assertIn(b"<resumed", self.juliet.stream.written[0])
        self.assertIs(self.juliet.management.session.stream, self.juliet.stream)

    def test_bindTakesOver(self) -> None:
        """Binding the same resource anew ends the hibernating session; what it left is offline before that is done."""
        self.juliet.cut()
        self.romeo.say(JULIET, "a")
        old = self.juliet.session
        session, _ = self.bind(JULIET)
        self.assertTrue(old.over)
        self.assertIsNot(session, old)
        self.assertEqual(self.offlineBodies("juliet@example.org"), ["a"])

    def test_carbonsAndPresenceGoOn(self) -> None:
        """The session is what it was."""
        self.juliet.send(b"<iq type='set' id='c'><enable xmlns='urn:xmpp:carbons:2'/></iq>")
        self.juliet.ack()
        self.juliet.cut()
        self.juliet.resume()
        self.assertIsNotNone(self.juliet.session.presence)
        other = self.client(CHAMBER)
        self.romeo.say(CHAMBER, "a")
        self.assertIn(b"<received xmlns='urn:xmpp:carbons:2'>", self.juliet.take()[-1].raw)
        self.assertEqual(other.bodies()[-1:], ["a"])

    def test_again(self) -> None:
        """As often as needed."""
        for text in "abc":
            self.juliet.cut()
            self.romeo.say(JULIET, text)
            self.assertIn(b"<resumed", self.juliet.resume())
            self.assertEqual(self.juliet.bodies(), [text])

    def test_guest(self) -> None:
        """A guest's session can be resumed, but is never stored."""
        guest = self.client("guest@example.org/x", guest=True)
        guest.cut()
        self.romeo.say(guest.full, "a")
        self.assertEqual(self.held(guest), [])
        self.assertNotIn(guest.full, [record.jid for record in self.records()])
        self.assertIn(b"<resumed", guest.resume())
        self.assertEqual(guest.bodies(), ["a"])


class HibernationTests(ManagementTestCase):
    """Sections 4 and 7: without a connection."""

    limits = Limits(managementSeconds=300)

    def setUp(self) -> None:
        super().setUp()
        self.romeo = self.client(ROMEO)
        self.juliet = self.client(JULIET)

    def away(self) -> None:
        """Juliet loses her connection and never comes back."""
        self.juliet.cut()
        self.advance(301)
        self.turns()

    @spec("XEP-0198", "7")
    def test_notCleanlyClosed(self) -> None:
        """A lost connection leaves the session as it is, for a limited time."""
        self.juliet.cut()
        self.assertIs(self.rig.router.session(JULIET), self.juliet.session)
        self.assertIsNotNone(self.juliet.session.presence)
        self.advance(299)
        self.assertFalse(self.juliet.session.over)
        self.advance(2)
        self.assertTrue(self.juliet.session.over)
        self.assertIsNone(self.rig.router.session(JULIET))

    @spec("XEP-0198", "7")
    def test_cleanlyClosed(self) -> None:
        """The end of the stream is the end of the session."""
        self.juliet.session.end()
        self.turns()
        self.assertNotIn(JULIET, [record.jid for record in self.records()])

    def test_messagesAreStored(self) -> None:
        """What stood in the queue, and what comes, is in the spool at once, with its number."""
        self.romeo.say(JULIET, "a")
        self.assertEqual(self.held(self.juliet), [])
        self.juliet.cut()
        self.romeo.say(JULIET, "b")
        sent = self.juliet.management.queue.sent
        self.assertEqual([(m.sequence, body(fromBytes(m.stanza))) for m in self.held(self.juliet)], [(sent - 1, "a"), (sent, "b")])

    def test_acknowledgedWhenStored(self) -> None:
        """The sender's acknowledgement waits for the store."""
        self.juliet.cut()
        self.store.holding = True
        self.romeo.say(JULIET, "a")
        self.romeo.ask()
        self.assertIsNone(self.romeo.acked())
        self.store.proceed()
        self.turns()
        self.assertEqual(self.romeo.acked(), 2)
        self.assertEqual(len(self.held(self.juliet)), 1)

    def test_storedOnce(self) -> None:
        """A message that is being stored for its sender when the connection breaks ends up in one row."""
        self.romeo.say(JULIET, "a")
        self.store.holding = True
        self.romeo.ask()
        self.juliet.cut()
        self.store.proceed()
        self.turns()
        self.assertEqual(len(self.held(self.juliet)), 1)

    def test_fullDisk(self) -> None:
        """The sender is told if it can't be stored; when the store is back, the queue is."""
        self.juliet.cut()
        self.store.failWrites = True
        self.romeo.say(JULIET, "a")
        self.romeo.ask()
        self.turns(10, 1.0)
        (error,) = [stanza for stanza in self.romeo.take() if stanza.type == "error"]
        self.assertIn(b"resource-constraint", error.raw)
        self.store.failWrites = 0
        self.turns(2, 5.0)
        self.assertEqual(len(self.held(self.juliet)), 1)

    def test_statesAreNotStored(self) -> None:
        """States of conversations stay in memory."""
        self.juliet.cut()
        self.romeo.send(
            f"<message type='chat' to='{JULIET}'>"
            "<composing xmlns='http://jabber.org/protocol/chatstates'/></message>".encode()
        )
        self.assertEqual(self.held(self.juliet), [])
        self.juliet.resume()
        self.assertEqual(len([s for s in self.juliet.take() if s.kind == "message"]), 1)

    @spec("XEP-0198", "4")
    def test_expiryOffline(self) -> None:
        """In the end messages become offline messages, in order."""
        for text in "ab":
            self.romeo.say(JULIET, text)
        self.romeo.ask()
        self.juliet.cut()
        self.romeo.say(JULIET, "c")
        self.advance(301)
        self.turns()
        self.assertEqual(self.offlineBodies("juliet@example.org"), ["a", "b", "c"])
        self.assertEqual(self.held(self.juliet), [])
        self.assertEqual([record.jid for record in self.records()], [ROMEO])

    def test_orderWhenSomeAreStored(self) -> None:
        """Also if only some were stored, and those later ones."""
        stored: list[str] = []
        self.rig.inject(f"<message from='a@example.net' to='{JULIET}' type='chat'><body>a</body></message>".encode())
        self.romeo.say(JULIET, "b")
        self.romeo.ask()
        self.rig.inject(f"<message from='a@example.net' to='{JULIET}' type='chat'><body>c</body></message>".encode())
        self.juliet.session.end()
        self.turns()
        stored = self.offlineBodies("juliet@example.org")
        self.assertEqual(stored, ["a", "b", "c"])

    @spec("XEP-0198", "4")
    def test_expiryOtherResource(self) -> None:
        """Or they go to another resource, with the time they came."""
        other = self.client(CHAMBER)
        self.juliet.cut()
        self.romeo.say(JULIET, "a")
        self.romeo.ask()
        self.advance(10)
        self.juliet.session.end()
        self.turns()
        (message,) = [stanza for stanza in other.take() if stanza.kind == "message"]
        self.assertEqual(body(message), "a")
        self.assertIn(b"<delay ", message.raw)
        self.assertEqual(self.offlineBodies("juliet@example.org"), [])
        self.assertEqual(len(self.held(other)), 1)
        self.assertEqual(self.held(self.juliet), [])

    def forked(self, other: Client) -> None:
        """Juliet loses a connection, and her other client is given what is said to her."""
        self.juliet.cut()
        self.romeo.say("juliet@example.org", "a")
        self.romeo.ask()
        self.advance(6)
        self.assertEqual(other.bodies(), ["a"])

    @spec("XEP-0198", "4")
    def test_expiryForked(self) -> None:
        """What another client was given when it came, and has or answers for, isn't given to it again."""
        for number, managed in enumerate((True, False)):
            other = self.client(f"juliet@example.org/other{number}", managed=managed)
            self.forked(other)
            self.juliet.session.end()
            self.turns()
            self.assertEqual((other.bodies(), self.offlineBodies("juliet@example.org")), ([], []))
            if managed:
                other.ack()
            other.session.end()
            self.turns()
            self.assertEqual(self.offlineBodies("juliet@example.org"), [])
            self.juliet = self.client(JULIET)

    @spec("XEP-0198", "4")
    def test_expiryForkedLater(self) -> None:
        """Also if the other client has gone since. The last who answers for a message finds another place for it."""
        other = self.client(CHAMBER)
        self.forked(other)
        other.ack()
        other.session.end()
        self.juliet.session.end()
        self.turns()
        self.assertEqual(self.offlineBodies("juliet@example.org"), [])
        self.juliet, other = self.client(JULIET), self.client(CHAMBER)
        self.forked(other)
        other.cut()
        self.juliet.session.end()
        self.turns()
        self.assertEqual(self.offlineBodies("juliet@example.org"), [])
        other.session.end()
        self.turns()
        self.assertEqual(self.offlineBodies("juliet@example.org"), ["a"])
        self.assertEqual([each.jid for each in self.records()], [self.romeo.full])

    @spec("XEP-0198", "4")
    def test_expiryRequests(self) -> None:
        """Requests are answered with an error, as for a resource that is not there."""
        self.juliet.cut()
        self.romeo.send(f"<iq type='get' id='q' to='{JULIET}'><query xmlns='jabber:iq:version'/></iq>".encode())
        self.advance(301)
        (error,) = [stanza for stanza in self.romeo.take() if stanza.kind == "iq"]
        self.assertEqual((error.id, error.type), ("q", "error"))
        self.assertIn(b"<service-unavailable", error.raw)

    def test_expiryOtherTypes(self) -> None:
        """A room hears that its occupant is gone; headlines and copies end here."""
        self.juliet.cut()
        for raw in (
            f"<message type='groupchat' from='room@example.net/x' to='{JULIET}'><body>g</body></message>",
            f"<message type='headline' from='news@example.net' to='{JULIET}'><body>h</body></message>",
            f"<message type='chat' from='juliet@example.org' to='{JULIET}'>"
            "<sent xmlns='urn:xmpp:carbons:2'/></message>",
        ):
            self.rig.inject(raw.encode())
        self.assertEqual(len(self.held(self.juliet)), 3)
        self.elsewhere.received.clear()
        self.advance(301)
        self.turns()
        self.assertEqual(self.held(self.juliet), [])
        self.assertEqual(self.offlineBodies("juliet@example.org"), [])
        errors = [stanza for stanza in self.elsewhere.received if stanza.kind == "message"]
        self.assertEqual([(stanza.to, stanza.type) for stanza in errors], [("room@example.net/x", "error")])

    @spec("XEP-0198", "5")
    def test_failedTellsCount(self) -> None:
        """Who comes too late hears how much was handled."""
        self.juliet.say(ROMEO, "x")
        self.away()
        self.assertEqual(
            self.juliet.resume(),
            b"<failed xmlns='urn:xmpp:sm:3' h='2'>"
            b"<item-not-found xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></failed>",
        )

    def test_guestExpires(self) -> None:
        """A guest's messages are refused in the end; nothing is stored."""
        guest = self.client("guest@example.org/x", guest=True)
        guest.cut()
        self.romeo.say(guest.full, "a")
        self.advance(301)
        self.turns()
        self.assertEqual([s.type for s in self.romeo.take() if s.kind == "message"], ["error"])
        self.assertEqual(self.successResultOf(self.store._store.spool.offline("guest@example.org")), ())

    def test_storeFailsAtTheEnd(self) -> None:
        """A store that is away when a session ends gets to know later."""
        self.romeo.say(JULIET, "a")
        self.romeo.ask()
        self.juliet.cut()
        self.store.failWrites = 3
        self.juliet.session.end()
        self.turns(10, 1.0)
        self.assertEqual(self.offlineBodies("juliet@example.org"), ["a"])
        self.assertEqual([record.jid for record in self.records()], [ROMEO])

    def test_onlineButWithoutPresence(self) -> None:
        """A resource that is about to become available waits until the messages are where it will look."""
        chamber = self.client(CHAMBER, available=False)
        self.juliet.cut()
        self.romeo.say(JULIET, "a")
        gate: Deferred[int] = Deferred()
        release = self.store._store.spool.release
        self.patch(self.store._store.spool, "release", lambda token: gate.addCallback(lambda _: release(token)))
        before = len(chamber.stream.waits)
        self.juliet.session.end()
        self.turns()
        waits = chamber.stream.waits[before:]
        self.assertEqual([deferred.called for deferred in waits], [False])
        gate.callback(0)
        self.assertEqual([deferred.called for deferred in waits], [True])


class CrashTests(ManagementTestCase):
    """The server is killed and starts again on what it had stored."""

    limits = Limits(managementSeconds=300)

    def setUp(self) -> None:
        super().setUp()
        self.romeo = self.client(ROMEO)
        self.juliet = self.client(JULIET)

    def test_hibernating(self) -> None:
        """Messages for somebody without a connection survive, and the session too."""
        self.juliet.cut()
        self.romeo.say(JULIET, "a")
        self.romeo.ask()
        self.assertEqual(self.romeo.acked(), 2)
        self.kill()
        self.assertIsNotNone(self.rig.router.session(JULIET))
        self.assertIn(b"<resumed", self.juliet.resume())
        self.assertEqual(self.juliet.bodies(), ["a"])
        self.juliet.ack()
        self.assertEqual(self.held(self.juliet), [])

    def test_connected(self) -> None:
        """What was acknowledged to the sender and not by the recipient is sent again."""
        self.romeo.say(JULIET, "has it")
        self.juliet.ack()
        self.romeo.say(JULIET, "has it, unsaid")
        self.romeo.say(JULIET, "has it not")
        self.romeo.ask()
        self.juliet.got += self.juliet.stream.take()[:1]
        self.kill()
        self.juliet.resume()
        self.assertEqual(self.juliet.bodies(), ["has it not"])

    @spec("XEP-0198", "5")
    def test_countsDuringOutage(self) -> None:
        """It never counts less than a client was told, also if the disk was full when the server died."""
        self.romeo.say(JULIET, "a")
        self.romeo.ask()
        acked = self.romeo.acked()
        self.store.failWrites = True
        self.romeo.say(JULIET, "b")
        self.romeo.ask()
        self.turns(20, 1.0)
        self.assertEqual(self.romeo.acked(), acked)
        self.kill()
        self.assertIn(f" h='{acked}'".encode(), self.romeo.resume())

    @spec("RFC 6120", "10.1")
    def test_orderOfMixedNumbers(self) -> None:
        """Messages come in the order in which they came, whatever numbers several crashes have left."""
        self.juliet.cut()
        for text in "abcd":
            self.romeo.say(JULIET, text)
        self.romeo.ask()
        rows = [message.id for message in self.held(self.juliet)]
        token, base = self.juliet.token, len(self.juliet.got)
        numbers = [0, base + 3, base + 1, 0]
        self.successResultOf(self.store._store.spool.hold(rows, token, numbers))  # type: ignore[arg-type]
        self.kill()
        self.juliet.resume()
        self.assertEqual(self.juliet.bodies(), ["a", "b", "c", "d"])

    def test_numberedWhenWritten(self) -> None:
        """A message that is being written while the client comes back has its number in the spool afterwards."""
        self.juliet.cut()
        self.kill()
        self.romeo = self.client("romeo@example.org/balcony")
        add, written = self.store.spool.add, Deferred()
        self.store.spool.add = lambda messages: written.addCallback(lambda _: add(messages))
        self.romeo.say(JULIET, "a")
        self.store.spool.add = add
        self.juliet.resume()
        self.assertEqual(self.juliet.take(), [])
        written.callback(None)
        self.turns()
        self.assertEqual([message.sequence for message in self.held(self.juliet)], [len(self.juliet.got) + 1])

    def test_countsOfTheClient(self) -> None:
        """C{<resumed/>} counts at least what was acknowledged."""
        self.romeo.say(JULIET, "a")
        self.romeo.ask()
        acked = self.romeo.acked()
        self.kill()
        self.assertIn(f"h='{acked}'".encode(), self.romeo.resume())

    def test_arrivedAfterTheCrash(self) -> None:
        """What comes before the client is back is sent, whatever number the client tells."""
        for _ in range(20):
            self.rig.inject(f"<presence from='x@example.net/{_}' to='{JULIET}'/>".encode())
        self.romeo.say(JULIET, "before")
        self.romeo.ask()
        self.juliet.take()
        self.kill()
        self.romeo.resume()
        self.romeo.say(JULIET, "after")
        self.romeo.ask()
        self.juliet.resume()
        self.assertEqual(self.juliet.bodies(), ["after"])
        self.juliet.ack()
        self.assertEqual(self.juliet.management.queue.entries.__len__(), 0)

    def test_twice(self) -> None:
        """Two crashes, one before and one after the resumption."""
        self.juliet.cut()
        for text in "ab":
            self.romeo.say(JULIET, text)
            self.romeo.ask()
        self.kill()
        self.romeo.resume()
        self.romeo.say(JULIET, "c")
        self.romeo.ask()
        self.kill()
        self.juliet.resume()
        self.assertEqual([body(stanza) for stanza in self.juliet.stream.received if stanza.kind == "message"], list("abc"))
        self.juliet.got += self.juliet.stream.take()[:1]
        self.kill()
        self.juliet.resume()
        self.assertEqual(self.juliet.bodies(), ["b", "c"])

    def test_presence(self) -> None:
        """Presence is what it was, and nobody was told otherwise; after the time is over everybody is."""
        self.kill()
        session = self.rig.router.session(JULIET)
        assert session is not None
        self.assertIsNotNone(session.presence)
        self.advance(301)
        self.assertEqual(dict(self.rig.host.sessions), {})
        self.assertEqual(self.records(), [])

    def test_carbons(self) -> None:
        """What features keep with a session is kept."""
        self.juliet.send(b"<iq type='set' id='c'><enable xmlns='urn:xmpp:carbons:2'/></iq>")
        self.turns(1, 6.0)
        self.juliet.ack()
        self.kill()
        self.juliet.resume()
        self.client(CHAMBER)
        self.rig.inject(f"<message type='chat' from='a@example.net' to='{CHAMBER}'><body>x</body></message>".encode())
        self.assertIn(b"<received xmlns='urn:xmpp:carbons:2'>", self.juliet.take()[-1].raw)

    def test_tooLate(self) -> None:
        """Who was away before the crash is not given more time; the messages are offline messages."""
        self.juliet.cut()
        self.romeo.say(JULIET, "a")
        self.romeo.ask()
        self.kill(seconds=301)
        self.assertIsNone(self.rig.router.session(JULIET))
        self.assertEqual(self.offlineBodies("juliet@example.org"), ["a"])
        self.assertEqual([record.jid for record in self.records()], [ROMEO])

    def test_repeatedCrashesDontProlong(self) -> None:
        """The time runs from the first start after the loss of the connection."""
        self.kill()
        self.kill(seconds=200)
        self.kill(seconds=101)
        self.assertEqual(self.records(), [])

    def test_removedAccount(self) -> None:
        """An account that is gone, or may not log in, has no sessions."""
        self.successResultOf(self.store.accounts.setDisabled("juliet@example.org", True))
        self.kill()
        self.assertEqual([record.jid for record in self.records()], [ROMEO])

    def test_unreadable(self) -> None:
        """A record or a message that makes no sense doesn't keep the server from starting."""
        from dataclasses import replace

        record = next(record for record in self.records() if record.jid == JULIET)
        self.romeo.say(JULIET, "a")
        self.romeo.ask()
        for state in ("", "[]", "{}", '{"seconds": "x", "kept": {}}'):
            self.store.spool.saveSession(replace(record, token=f"token{state}", state=state))
        self.kill()
        self.assertEqual({each.jid for each in self.records()}, {ROMEO, JULIET})
        self.flushLoggedErrors()

    def test_sequencesWrap(self) -> None:
        """Numbers around 2**32 keep their order."""
        queue = self.juliet.management.queue
        queue.sent = queue.acked = 2**32 - 3
        self.juliet.management.save()
        for text in "abcd":
            self.romeo.say(JULIET, text)
        self.romeo.ask()
        self.juliet.cut()
        self.kill()
        self.juliet.resume(h=2**32 - 2)
        self.assertEqual([body(stanza) for stanza in self.juliet.stream.received], ["b", "c", "d"])

    def test_anyMoment(self) -> None:
        """
        Random traffic, connections that break, and crashes: every message that was acknowledged to its sender arrives;
        what arrives comes in the order in which it was said; a client that comes back in time finds its session.
        """
        for seed in range(60):
            self.setUp()
            self._randomTraffic(random.Random(seed))

    def _randomTraffic(self, dice: random.Random) -> None:
        said: list[str] = []
        promised: set[str] = set()
        outstanding: list[str] = []

        def listen() -> None:
            self.juliet.take()

        def note(count: int | None, base: int) -> None:
            if count is not None:
                for text in outstanding[: count - base]:
                    promised.add(text)

        self.romeo.ask()
        base = 1
        for step in range(60):
            what = dice.random()
            if what < 0.5:
                text = f"m{step}"
                self.romeo.say(JULIET, text)
                said.append(text)
                outstanding.append(text)
            elif what < 0.65:
                self.store.holding = dice.random() < 0.3
                self.romeo.ask()
                if not self.store.holding:
                    self.store.proceed()
                    self.turns()
            elif what < 0.75 and self.juliet.stream.session is not None:
                if dice.random() < 0.6:
                    listen()
                if dice.random() < 0.6:
                    self.juliet.ack()
            elif what < 0.85 and self.juliet.stream.session is not None:
                listen() if dice.random() < 0.5 else None
                self.juliet.cut()
            elif what < 0.92 and self.juliet.stream.session is None:
                self.store.proceed()
                self.assertIn(b"<resumed", self.juliet.resume())
            else:
                note(self.romeo.acked(), base)
                if dice.random() < 0.5 and self.juliet.stream.session is not None:
                    listen()
                self.kill()
                answer = self.romeo.resume()
                self.assertIn(b"<resumed", answer)
                handled = int(answer.split(b" h='")[1].split(b"'")[0])
                for text in outstanding[: handled - base]:
                    promised.add(text)
                lost = outstanding[handled - base :]
                outstanding, base = [], handled
                for text in lost:  # the client sends again what was not handled
                    self.romeo.say(JULIET, text)
                    outstanding.append(text)
                if self.juliet.stream.session is not None:
                    self.juliet.stream.session = None
        self.store.proceed()
        self.turns(10, 0.5)
        note(self.romeo.acked(), base)
        self.juliet.stream.session = None
        self.assertIn(b"<resumed", self.juliet.resume())
        listen()
        arrived = [body(stanza) for stanza in self.juliet.got if stanza.kind == "message"]
        self.assertEqual(promised - set(arrived), set())
        self.assertEqual(list(dict.fromkeys(arrived)), [text for text in said if text in arrived])


class StopTests(ManagementTestCase):
    """An orderly stop."""

    def test_everythingIsKept(self) -> None:
        """Sessions can be resumed afterwards, and nothing was lost, asked for or not."""
        romeo, juliet = self.client(ROMEO), self.client(JULIET)
        romeo.say(JULIET, "a")
        self.rig.inject(f"<message type='chat' from='a@example.net' to='{JULIET}'><body>b</body></message>".encode())
        juliet.stream.take()
        self.stop()
        for client in (romeo, juliet):
            assert client.stream.closedWith is not None
            self.assertEqual(client.stream.closedWith.condition, StreamCondition.SYSTEM_SHUTDOWN)
        self.assertIn(b"h='2'", romeo.resume())
        juliet.resume()
        self.assertEqual(juliet.bodies(), ["a", "b"])

    def test_notResumable(self) -> None:
        """What can't be resumed ends, and its messages are kept."""
        romeo, juliet = self.client(ROMEO), self.client(JULIET, managed=False)
        juliet.enable("")
        romeo.say(JULIET, "a")
        self.stop()
        self.assertEqual(self.offlineBodies("juliet@example.org"), ["a"])

    def test_afterStreamsAreClosed(self) -> None:
        """Streams that were closed for the shutdown already have left their sessions."""
        romeo, juliet = self.client(ROMEO), self.client(JULIET)
        romeo.say(JULIET, "a")
        juliet.stream.take()
        for client in (romeo, juliet):
            client.cut()
        self.stop()
        juliet.resume()
        self.assertEqual(juliet.bodies(), ["a"])
        self.assertIsInstance(romeo, Client)


class CrowdTests(ManagementTestCase):
    """Many sessions of one account."""

    limits = Limits(resourcesPerAccount=3)

    def test_hibernatingGivesWay(self) -> None:
        """A client that comes by a new resource each time is not locked out by what it left behind."""
        romeo = self.client(ROMEO)
        clients = [self.client(f"juliet@example.org/{index}") for index in range(3)]
        for client in clients:
            client.cut()
        romeo.say(clients[0].full, "a")
        self.client("juliet@example.org/new")
        self.assertEqual([client.session.over for client in clients], [True, False, False])
        self.turns()
        self.assertEqual([len(self.held(client)) for client in clients[1:]], [1, 1])
