"""
Tests of L{xmppd.features.xep0160_offline}.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred, fail
from twisted.trial.unittest import SynchronousTestCase

from tests.doubles import Rig
from tests.marks import spec
from xmppd.config import Limits
from xmppd.features import rfc6121_im, xep0160_offline
from xmppd.ixmppd import ICustody, SpooledMessage, StoreUnavailable
from xmppd.wire.stanza import fromBytes

JULIET, BALCONY, CHAMBER = "juliet@example.org", "juliet@example.org/balcony", "juliet@example.org/chamber"
BODY = "<body>hi</body>"
STATE = "<composing xmlns='http://jabber.org/protocol/chatstates'/>"
HINT = "<{} xmlns='urn:xmpp:hints'/>"


class Custody:
    """A custody that writes down which row it was told."""

    def __init__(self, message: SpooledMessage | None) -> None:
        self._message = message
        self.rows: list[int] = []

    def message(self) -> SpooledMessage | None:
        """See L{ICustody}."""
        return self._message

    def stored(self, id: int) -> None:
        """See L{ICustody}."""
        self.rows.append(id)


def body(stanza: Any) -> str:
    """The text of a message."""
    found = stanza.find("jabber:client body")
    return str(found.text) if found is not None else ""


class OfflineTestCase(SynchronousTestCase):
    """A host with offline messages."""

    limits: Limits | None = None

    def setUp(self) -> None:
        self.rig = Rig(rfc6121_im.feature, xep0160_offline.feature, limits=self.limits)
        self.spool: Any = self.rig.host.spool
        self.rig.account("juliet")
        self.romeo, self.stream = self.rig.bind("romeo@example.org/orchard")

    def say(self, content: str = BODY, attrs: str = "", to: str = JULIET) -> None:
        """Romeo writes."""
        self.rig.send(self.romeo, f"<message to='{to}' {attrs}>{content}</message>".encode())

    def kept(self) -> int:
        """How many messages wait."""
        return int(self.successResultOf(self.spool.count(JULIET)))

    def messages(self, stream: Any) -> list[Any]:
        """The messages that came."""
        return [each for each in stream.take() if each.kind == "message"]

    def come(self, full: str = BALCONY, presence: bytes = b"<presence/>") -> tuple[Any, Any]:
        """Juliet becomes available."""
        session, stream = self.rig.bind(full)
        self.rig.send(session, presence)
        return session, stream


class KeepingTests(OfflineTestCase):
    """What is kept."""

    @spec("XEP-0160", "3")
    @spec("XEP-0334", "4.2", "4.4")
    def test_types(self) -> None:
        """Normal and chat with something to say; the hints decide otherwise."""
        for content, attrs, expected in (
            (BODY, "", True),
            (BODY, "type='normal'", True),
            (BODY, "type='chat'", True),
            (BODY + STATE, "type='chat'", True),
            (STATE, "type='chat'", False),
            (STATE + "<thread>t</thread>", "type='chat'", False),
            ("", "", False),
            ("<x xmlns='urn:example'/>", "", True),
            (BODY, "type='headline'", False),
            (BODY, "type='groupchat'", False),
            (BODY, "type='error'", False),
            (BODY + HINT.format("no-store"), "type='chat'", False),
            (BODY + HINT.format("no-permanent-store"), "type='chat'", True),
            (STATE + HINT.format("store"), "type='chat'", True),
        ):
            before = self.kept()
            self.say(content, attrs)
            self.assertEqual(self.kept() - before, int(expected), (content, attrs))
            answers = self.stream.take()
            if expected or "headline" in attrs or "'error'" in attrs:
                self.assertEqual(answers, [])
            else:
                self.assertIn(b"service-unavailable", answers[0].raw)

    @spec("XEP-0160", "2")
    def test_nobodyToKeepItFor(self) -> None:
        """Not for accounts that don't exist, nor for guests."""
        self.say(to="nobody@example.org")
        self.assertIn(b"service-unavailable", self.stream.takeBytes()[0])
        self.rig.bind("guest@example.org/web", guest=True)
        self.say(to="guest@example.org")
        self.assertIn(b"service-unavailable", self.stream.takeBytes()[0])
        self.assertEqual(self.successResultOf(self.spool.count("guest@example.org")), 0)

    @spec("XEP-0160", "2")
    def test_negativePriority(self) -> None:
        """A resource with negative priority gets nothing of it."""
        _, stream = self.come(presence=b"<presence><priority>-1</priority></presence>")
        self.say()
        self.assertEqual((self.kept(), self.messages(stream)), (1, []))

    def promised(self) -> list[Any]:
        """Send a message with a promise."""
        stanza = fromBytes(f"<message to='{JULIET}'>{BODY}</message>".encode())
        stanza.promise = promise = []
        self.romeo.received(stanza)
        return promise

    def test_promise(self) -> None:
        """Who made a promise has to wait until the message is written."""
        add = self.spool.add
        write: Deferred[None] = Deferred()
        self.patch(self.spool, "add", lambda messages: write.addCallback(lambda _: add(messages)))
        (wait,) = self.promised()
        self.assertNoResult(wait)
        write.callback(None)
        self.successResultOf(wait)
        self.assertEqual(self.kept(), 1)

    def test_storeFails(self) -> None:
        """If it can't be written, or counted, the sender hears that, and the promise is settled."""
        for name in ("add", "count"):
            real = getattr(self.spool, name)
            setattr(self.spool, name, lambda *args: fail(StoreUnavailable()))
            for promise in (self.promised(), []):
                for each in promise:
                    self.successResultOf(each)
            (answer,) = self.stream.takeBytes()
            self.assertIn(b"type='wait'", answer)
            self.assertIn(b"resource-constraint", answer)
            self.say()
            self.assertIn(b"resource-constraint", self.stream.takeBytes()[0])
            setattr(self.spool, name, real)
        self.say()
        self.assertEqual((self.kept(), self.stream.take()), (1, []))

    def test_order(self) -> None:
        """What comes while the messages are being counted stays in order."""
        count: Deferred[int] = Deferred()
        self.patch(self.spool, "count", lambda bare: count)
        for n in range(3):
            self.say(f"<body>{n}</body>")
        count.callback(0)
        self.say("<body>3</body>")
        rows = self.successResultOf(self.spool.offline(JULIET))
        self.assertEqual([b"<body>%d</body>" % n in row.stanza for n, row in enumerate(rows)], [True] * 4)

    def test_waitingIsBounded(self) -> None:
        """Only so many wait."""
        self.patch(self.spool, "count", lambda bare: Deferred())
        self.patch(xep0160_offline, "WAITING", 2)
        for _ in range(3):
            self.say()
        self.assertIn(b"resource-constraint", self.stream.takeBytes()[0])


class LimitTests(OfflineTestCase):
    """How many are kept."""

    limits = Limits(offlineMessages=3)

    @spec("XEP-0160", "2")
    def test_full(self) -> None:
        """When the mailbox is full, the sender hears that the service is unavailable; later there is room again."""
        for _ in range(5):
            self.say()
        self.assertEqual(self.kept(), 3)
        self.assertEqual([b"service-unavailable" in each for each in self.stream.takeBytes()], [True, True])
        self.come()[0].end()
        for _ in range(4):
            self.say()
        self.assertEqual(self.kept(), 3)

    @spec("mission", "A9")
    def test_guests(self) -> None:
        """Guests fill no mailbox: half of it is for others."""
        guest, stream = self.rig.bind("guest@example.org/g", guest=True)
        for _ in range(2):
            self.rig.send(guest, f"<message to='{JULIET}'>{BODY}</message>".encode())
        self.assertEqual(self.kept(), 1)
        self.assertEqual([b"service-unavailable" in each for each in stream.takeBytes()], [True])
        for _ in range(3):
            self.say()
        self.assertEqual((self.kept(), len(self.stream.take())), (3, 1))

    def test_removed(self) -> None:
        """The messages of a removed account, gone with it, don't count against who gets the name next."""
        for _ in range(3):
            self.say()
        self.successResultOf(self.spool.remove([row.id for row in self.successResultOf(self.spool.offline(JULIET))]))
        self.rig.host.hooks.removed.notify(JULIET)
        self.rig.host.hooks.registered.notify(JULIET)
        self.say()
        self.assertEqual((self.kept(), self.stream.take()), (1, []))


class DeliveryTests(OfflineTestCase):
    """How they come back."""

    @spec("XEP-0160", "2")
    @spec("XEP-0203", "4")
    def test_delivered(self) -> None:
        """With initial presence, in order, with the time they came; and then they are gone."""
        for n in range(120):
            self.say(f"<body>{n}</body>")
        self.rig.clock.advance(60)
        _, stream = self.come()
        got = self.messages(stream)
        self.assertEqual(len(got), 120)
        for n, message in enumerate(got):
            self.assertIn(f"<body>{n}</body>".encode(), message.raw)
            self.assertEqual(message.to, JULIET)
        (delay,) = [each for each in got[0].elements() if each.name == "delay"]
        self.assertEqual(delay.attrs, {"from": "example.org", "stamp": "2001-09-09T01:46:40.000Z"})
        self.assertEqual(self.kept(), 0)
        self.assertEqual(self.messages(self.come(CHAMBER)[1]), [])

    @spec("XEP-0160", "2")
    def test_updatedPresence(self) -> None:
        """Negative priority gets nothing until it is negative no more."""
        self.say()
        session, stream = self.come(presence=b"<presence><priority>-1</priority></presence>")
        self.assertEqual(self.messages(stream), [])
        self.rig.send(session, b"<presence/>")
        self.assertEqual(len(self.messages(stream)), 1)

    def test_slowConnection(self) -> None:
        """A row is removed when nothing is unsent any more, and the next portion waits for that."""
        self.patch(xep0160_offline, "PORTION", 2)
        for _ in range(3):
            self.say()
        session, stream = self.rig.bind(BALCONY)
        stream.queued = 100
        self.rig.send(session, b"<presence/>")
        self.rig.clock.advance(1)
        self.assertEqual(len(self.messages(stream)), 2)
        self.assertEqual(len(self.rig.store.spool._messages), 3)
        stream.queued = 0
        self.rig.clock.advance(5)
        self.assertEqual(len(self.messages(stream)), 1)
        self.assertEqual(len(self.rig.store.spool._messages), 0)

    def test_lostConnection(self) -> None:
        """What a client may not have got is offline again."""
        self.say("<body>1</body>")
        self.say("<body>2</body>")
        session, stream = self.rig.bind(BALCONY)
        stream.queued = 100
        self.rig.send(session, b"<presence/>")
        self.assertEqual((len(self.messages(stream)), self.kept()), (2, 0))
        session.end()
        self.assertEqual(self.kept(), 2)
        self.rig.clock.advance(10)
        got = self.messages(self.come(CHAMBER)[1])
        self.assertEqual([b"<body>1</body>" in got[0].raw, b"<body>2</body>" in got[1].raw], [True, True])

    def test_anotherTakesOver(self) -> None:
        """If another resource is there, it gets them at once."""
        self.say()
        session, stream = self.rig.bind(BALCONY)
        stream.queued = 100
        self.rig.send(session, b"<presence/>")
        _, other = self.come(CHAMBER)
        self.assertEqual(self.messages(other), [])
        session.end()
        self.rig.clock.advance(1)
        self.assertEqual(len(self.messages(other)), 1)

    def test_custody(self) -> None:
        """Custodies are told the row, and then it is theirs; one that is settled already leaves it to us."""
        for settled in (False, True):
            custodies: list[Custody] = []

            def custody(
                session: Any, stanza: Any, settled: bool = settled, made: list[Custody] = custodies
            ) -> ICustody:
                made.append(Custody(None if settled else SpooledMessage(JULIET, stanza.raw, 0.0)))
                return made[-1]  # type: ignore[return-value]

            self.rig.host.custody = custody
            self.say()
            session, _ = self.come()
            (made,) = custodies
            self.assertEqual(made.rows, [] if settled else list(self.rig.store.spool._messages))
            self.assertEqual(len(self.rig.store.spool._messages), 0 if settled else 1)
            self.successResultOf(self.spool.remove(list(self.rig.store.spool._messages)))
            self.rig.host.custody = None
            session.end()

    def test_storeFails(self) -> None:
        """If the store can't answer, the next presence tries again; releasing is tried until it works."""
        self.say()
        real = self.spool.offline
        self.spool.offline = lambda *args: fail(StoreUnavailable())
        session, stream = self.come()
        self.spool.offline = real
        stream.queued = 100
        self.rig.send(session, b"<presence/>")
        self.assertEqual(len(self.messages(stream)), 1)
        release = self.spool.release
        self.spool.release = lambda holder: fail(StoreUnavailable())
        session.end()
        self.rig.clock.advance(1)
        self.assertEqual(self.kept(), 0)
        self.spool.release = release
        self.rig.clock.advance(10)
        self.assertEqual(self.kept(), 1)

    def test_unreadable(self) -> None:
        """A row that is no message does not keep the others back."""
        self.successResultOf(self.spool.add([SpooledMessage(JULIET, b"<mess", 0.0)]))
        self.say()
        _, stream = self.come()
        self.assertEqual(len(self.messages(stream)), 1)
        self.assertEqual(len(self.rig.store.spool._messages), 0)

    def test_resumed(self) -> None:
        """A session that was revived gets what the crash has left once it is connected again."""
        account = self.come()[0].account
        for session in tuple(self.rig.host.sessions[JULIET].values()):
            session.end()
        kept = {"rfc6121_im": {"presence": f"<presence from='{BALCONY}'/>"}}
        session = self.successResultOf(self.rig.host.revive(account, "balcony", kept))
        self.successResultOf(self.spool.add([SpooledMessage(JULIET, b"<message><body>1</body></message>", 0.0)]))
        _, stream = self.rig.bind("other@example.org/x")
        session.attach(stream)
        self.rig.host.hooks.resumed.notify(session)
        self.assertEqual(len(self.messages(stream)), 1)

    @spec("RFC 6120", "10.1")
    def test_lostAndResumed(self) -> None:
        """What comes while a client is gone that has not got everything yet waits behind that."""
        self.patch(xep0160_offline, "PORTION", 2)
        for n in range(3):
            self.say(f"<body>{n}</body>")
        session, stream = self.rig.bind(BALCONY)
        stream.queued = 100
        self.rig.send(session, b"<presence/>")
        self.assertEqual(len(self.messages(stream)), 2)
        session.keep = lambda: True
        session.detached()
        self.rig.clock.advance(1)
        self.say("<body>3</body>")
        session.attach(stream)
        stream.queued = 0
        self.rig.host.hooks.resumed.notify(session)
        self.rig.clock.advance(1)
        self.assertEqual([body(each) for each in self.messages(stream)], ["2", "3"])
        self.say("<body>4</body>")
        self.assertEqual([body(each) for each in self.messages(stream)], ["4"])
        self.assertFalse(session.receiving)  # type: ignore[attr-defined]

    @spec("RFC 6120", "10.1")
    def test_restored(self) -> None:
        """So does what comes after a restart, until the client is back."""
        account = self.come()[0].account
        for session in tuple(self.rig.host.sessions[JULIET].values()):
            session.end()
        kept = {"rfc6121_im": {"presence": f"<presence from='{BALCONY}'/>"}}
        session = self.successResultOf(self.rig.host.revive(account, "balcony", kept))
        self.successResultOf(self.spool.add([SpooledMessage(JULIET, b"<message><body>0</body></message>", 0.0)]))
        self.successResultOf(Deferred.fromCoroutine(self.rig.host.hooks.restored.settle()))
        self.say("<body>1</body>")
        _, stream = self.rig.bind("other@example.org/x")
        session.attach(stream)
        self.rig.host.hooks.resumed.notify(session)
        self.assertEqual([body(each) for each in self.messages(stream)], ["0", "1"])

    def test_restoredWithNothing(self) -> None:
        """Where there is nothing to get, nothing waits."""
        account = self.come()[0].account
        for session in tuple(self.rig.host.sessions[JULIET].values()):
            session.end()
        kept = {"rfc6121_im": {"presence": f"<presence from='{BALCONY}'/>"}}
        session = self.successResultOf(self.rig.host.revive(account, "balcony", kept))
        self.successResultOf(Deferred.fromCoroutine(self.rig.host.hooks.restored.settle()))
        self.assertFalse(session.receiving)  # type: ignore[attr-defined]

    @spec("RFC 6120", "10.1")
    def test_resumedWithoutPresence(self) -> None:
        """Who has taken leave meanwhile gets what waited, and nothing waits for him any more."""
        self.test_lostAndResumed()
        (session,) = self.rig.host.sessions[JULIET].values()
        stream = session.stream
        self.patch(xep0160_offline, "PORTION", 1)
        self.rig.send(session, b"<presence type='unavailable'/>")
        self.say("<body>5</body>")
        self.say("<body>6</body>")
        stream.queued = 100
        self.rig.send(session, b"<presence/>")
        session.detached()
        self.rig.clock.advance(1)
        session.presence = None
        session.attach(stream)
        self.rig.host.hooks.resumed.notify(session)
        self.assertFalse(session.receiving)  # type: ignore[attr-defined]

    @spec("XEP-0203", "5")
    def test_forgedDelay(self) -> None:
        """Nobody can say in our name that a message is old, unless it is a little."""
        delay = "<delay xmlns='urn:xmpp:delay' from='{}' stamp='{}'/>"
        self.say(BODY + delay.format("example.org", "1999-01-01T00:00:00Z"))
        self.say(BODY + delay.format("example.org", "2001-09-09T01:41:40Z"))
        self.say(BODY + delay.format("example.org", "nonsense"))
        self.say(BODY + delay.format("rooms.example.net", "1999-01-01T00:00:00Z"))
        _, stream = self.come()
        delays = [
            [(d.get("from"), d.get("stamp")) for d in m.elements() if d.name == "delay"] for m in self.messages(stream)
        ]
        now = ("example.org", "2001-09-09T01:46:40.000Z")
        self.assertEqual(
            delays,
            [[now], [("example.org", "2001-09-09T01:41:40.000Z")], [now],
             [("rooms.example.net", "1999-01-01T00:00:00Z"), now]],
        )  # fmt: skip

    @spec("XEP-0160", "4")
    def test_disco(self) -> None:
        """The domain says that it does this."""
        self.assertIn("msgoffline", self.rig.host.namespaces)


class OrderTests(OfflineTestCase):
    """Live messages wait behind offline ones."""

    def busy(self) -> tuple[Any, Any]:
        """Juliet is being given a first message, and her connection is slow."""
        self.say("<body>1</body>")
        session, stream = self.rig.bind(BALCONY)
        stream.queued = 100
        self.rig.send(session, b"<presence/>")
        self.assertEqual(self.bodies(stream), ["1"])
        return session, stream

    def bodies(self, stream: Any) -> list[str]:
        """What the messages that came say."""
        return [body.text for each in self.messages(stream) for body in each.elements() if body.name == "body"]

    def live(self, session: Any, body: str = "2") -> list[Any]:
        """A message somebody has promised something for; answers the promise."""
        stanza = fromBytes(
            f"<message from='romeo@example.org/orchard' to='{JULIET}'><body>{body}</body></message>".encode()
        )
        stanza.promise = []
        session.deliver(stanza)
        return stanza.promise

    def ready(self, stream: Any) -> None:
        """The connection has swallowed everything."""
        stream.queued = 0
        self.rig.clock.advance(5)

    @spec("RFC 6120", "10.1")
    def test_wait(self) -> None:
        """They come in order, whichever address they are for; presence need not wait."""
        session, stream = self.busy()
        self.say("<body>2</body>")
        self.say("<body>3</body>", to=BALCONY)
        session.deliver(fromBytes(f"<presence from='romeo@example.org/orchard' to='{BALCONY}'/>".encode()))
        self.assertEqual([each.kind for each in stream.take()], ["presence"])
        self.ready(stream)
        self.assertEqual(self.bodies(stream), ["2", "3"])
        self.say("<body>4</body>")
        self.assertEqual(self.bodies(stream), ["4"])
        self.assertFalse(session.receiving)

    def test_beingWritten(self) -> None:
        """What is still being written when the client comes is waited for."""
        add, written = self.spool.add, Deferred()
        self.spool.add = lambda messages: written.addCallback(lambda _: add(messages))
        self.say("<body>1</body>")
        self.spool.add = add
        session, stream = self.come()
        self.say("<body>2</body>")
        self.assertEqual(self.bodies(stream), [])
        written.callback(None)
        self.rig.clock.advance(1)
        self.assertEqual(self.bodies(stream), ["1", "2"])
        self.assertFalse(session.receiving)

    def test_nextSession(self) -> None:
        """Who takes the place of a session that was being given messages waits until those are there again."""
        session, _ = self.busy()
        release, released = self.spool.release, Deferred()
        self.spool.release = lambda holder: released.addCallback(lambda _: release(holder))
        session.end()
        self.spool.release = release
        _, stream = self.come(CHAMBER)
        self.say("<body>2</body>")
        self.rig.clock.advance(5)
        self.assertEqual(self.bodies(stream), [])
        released.callback(None)
        self.rig.clock.advance(5)
        self.assertEqual(self.bodies(stream), ["1", "2"])

    def test_otherResource(self) -> None:
        """A second client does not wait because the first one is slow."""
        self.busy()
        other, stream = self.come(CHAMBER)
        self.live(other)
        self.assertEqual(self.bodies(stream), ["2"])

    def test_bounded(self) -> None:
        """When too much waits, it waits no longer."""
        session, stream = self.busy()
        self.patch(xep0160_offline, "BEHIND", 2)
        for body in "234":
            self.live(session, body)
        self.assertEqual(self.bodies(stream), ["2", "3", "4"])
        session.deliver(fromBytes(b"<message><body>5</body></message>"))
        self.assertEqual(self.bodies(stream), ["5"])

    def test_promise(self) -> None:
        """What waits can be written to the spool; then the next custody is told where it is."""
        custodies: list[Custody] = []

        def custody(session: Any, stanza: Any) -> ICustody:
            custodies.append(Custody(SpooledMessage(JULIET, stanza.raw, 0.0)))
            return custodies[-1]  # type: ignore[return-value]

        session, stream = self.busy()
        (held,) = self.live(session)
        (row,) = self.successResultOf(self.spool.add([held.message()]))
        held.stored(row)
        self.assertIsNone(held.message())
        self.rig.host.custody = custody
        self.ready(stream)
        self.assertEqual(self.bodies(stream), ["2"])
        self.assertEqual([each.rows for each in custodies], [[row]])
        self.assertEqual(list(self.rig.store.spool._messages), [row])

    def test_storedInVain(self) -> None:
        """A row that nobody needs any more is removed, also if it is written when the message has gone."""
        session, stream = self.busy()
        (first,) = self.live(session)
        (second,) = self.live(session, "3")
        rows = self.successResultOf(self.spool.add([first.message(), second.message()]))
        first.stored(rows[0])
        self.ready(stream)
        self.assertIsNone(second.message())
        second.stored(rows[1])
        self.assertEqual(self.bodies(stream), ["2", "3"])
        self.assertEqual(list(self.rig.store.spool._messages), [])

    def test_sessionEnds(self) -> None:
        """Then what waited is kept like the rest, once and in order, whether it was written or not."""
        session, _ = self.busy()
        (held,) = self.live(session)
        (row,) = self.successResultOf(self.spool.add([held.message()]))
        held.stored(row)
        self.live(session, "3")
        session.end()
        self.rig.clock.advance(10)
        self.assertEqual(self.kept(), 3)
        self.assertEqual(self.bodies(self.come(CHAMBER)[1]), ["1", "2", "3"])

    @spec("XEP-0198", "5")
    def test_placed(self) -> None:
        """What stands in a queue of stream management is noted with its number, for the case of a crash."""
        self.rig.host.custody = lambda session, stanza: Custody(  # type: ignore[assignment]
            SpooledMessage(JULIET, stanza.raw, 0.0, "token", 7)
        )
        self.say()
        self.come()
        (message,) = self.successResultOf(self.spool.held("token"))
        self.assertEqual(message.sequence, 7)
