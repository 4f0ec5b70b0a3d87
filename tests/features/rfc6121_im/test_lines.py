"""
Tests of the order between subscription stanzas and what their senders send behind them (RFC 6120 section 10.1).
"""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred

from tests.doubles import FailingStore, Rig
from tests.features.rfc6121_im.base import Elsewhere, IMTestCase
from tests.marks import spec
from xmppd.features.rfc6121_im import feature, lines
from xmppd.ixmppd import RosterItem, StoreUnavailable
from xmppd.wire import ns
from xmppd.wire.stanza import fromBytes

JULIET, ROMEO, NURSE = "juliet@example.org", "romeo@example.org", "nurse@example.net"
BALCONY = JULIET + "/balcony"


class LinesTestCase(IMTestCase):
    """Juliet is here, and the store dawdles when it is told."""

    def setUp(self) -> None:
        self.slow = FailingStore()
        self.rig = Rig(feature, store=self.slow)
        self.host = self.rig.host
        self.elsewhere = Elsewhere()
        self.rig.router.remote = self.elsewhere
        self.juliet, self.stream = self.interested(BALCONY)

    def send(self, kind: str, to: str, body: str = "", sender: str = NURSE, **attrs: str) -> None:
        """Something comes from another server."""
        given = "".join(f" {name}='{value}'" for name, value in attrs.items())
        self.rig.inject(f"<{kind} from='{sender}' to='{to}'{given}>{body}</{kind}>".encode())

    def subscribe(self, type: str = "subscribe", sender: str = NURSE) -> None:
        """A subscription stanza comes, and the store dawdles."""
        self.slow.holding = True
        self.send("presence", JULIET, type=type, sender=sender)

    def said(self, to: str, text: str, sender: str = NURSE) -> None:
        """A message comes."""
        self.send("message", to, f"<body>{text}</body>", sender, type="chat")

    def step(self) -> None:
        """The store gives the answers that wait, and dawdles with those that are asked for then."""
        held, self.slow._held = self.slow._held, []
        for gate in held:
            gate.callback(None)

    def proceed(self) -> None:
        """The store is done, with all of it."""
        while self.slow._held:
            self.slow.proceed()

    def came(self, stream: Any = None) -> list[str]:
        """What came, in a word each."""
        found = []
        for each in (stream or self.stream).take():
            body = each.find(f"{ns.CLIENT} body")
            found.append(body.text if body is not None else each.type or each.kind)
        return found

    def clean(self) -> None:
        """Nothing is left of any line."""
        self.assertIsNone(self.host.inbox)
        self.assertFalse(self.juliet.receiving)  # type: ignore[attr-defined]
        self.assertEqual(self.host.presence.subscriptions.lines._octets, 0)  # type: ignore[attr-defined]


@spec("RFC 6120", "10.1")
class InboundTests(LinesTestCase):
    """What comes from components and other servers."""

    def test_waits(self) -> None:
        """Presence, messages and requests for the account or a resource come behind the request, in order."""
        self.subscribe()
        self.send("presence", JULIET)
        self.said(BALCONY, "a")
        self.said(JULIET, "b")
        self.send("presence", BALCONY, type="unavailable")
        self.send("iq", BALCONY, type="result", id="1")
        self.assertEqual(self.came(), [])
        self.proceed()
        self.assertEqual(self.came(), ["subscribe", "presence", "a", "b", "unavailable", "result"])
        self.clean()

    def test_others(self) -> None:
        """Nobody else waits, and nobody else is waited for."""
        romeo, stream = self.bind(ROMEO + "/orchard")
        self.subscribe()
        self.said(BALCONY, "a", sender="x@example.net/y")
        self.said(JULIET, "b", sender="x@example.net/y")
        self.said(romeo.full, "c")
        self.assertEqual((self.came(), self.came(stream)), (["a", "b"], ["c"]))
        self.proceed()
        self.assertEqual(self.came(), ["subscribe"])
        self.clean()

    def test_nobody(self) -> None:
        """What the account answers itself, without saying who it is, doesn't wait."""
        self.subscribe()
        self.juliet.deliver(fromBytes(f"<iq type='result' id='own' to='{BALCONY}'/>".encode()))
        self.assertEqual(self.came(), ["result"])
        self.proceed()
        self.assertEqual(self.came(), ["subscribe"])
        self.clean()

    def test_resources(self) -> None:
        """The sender's resource makes no difference."""
        self.subscribe(sender=NURSE + "/one")
        self.said(BALCONY, "a", sender=NURSE + "/two")
        self.assertEqual(self.came(), [])
        self.proceed()
        self.assertEqual(self.came(), ["subscribe", "a"])

    def test_subscriptionsInLine(self) -> None:
        """Another subscription stanza stops the line again: each stanza comes in its place."""
        self.subscribe()
        self.said(BALCONY, "a")
        self.send("presence", JULIET, type="unsubscribe")
        self.said(BALCONY, "b")
        self.proceed()
        self.assertEqual(self.came(), ["subscribe", "a", "unsubscribe", "b"])
        self.clean()

    def test_failure(self) -> None:
        """If the subscription stanza fails, the rest comes all the same."""
        put: Deferred[int] = Deferred()
        self.slow.rosters.put = lambda account, item: put
        self.subscribe()
        self.said(BALCONY, "a")
        put.errback(StoreUnavailable())
        self.assertEqual(self.came(), ["a"])
        self.assertEqual([stanza.type for stanza in self.elsewhere.take()], ["error"])
        self.clean()

    def test_sessionEnds(self) -> None:
        """What waited for a session that is gone is treated as if it came now."""
        self.subscribe()
        self.said(BALCONY, "a")
        self.juliet.end()
        self.elsewhere.take()
        self.proceed()
        self.assertEqual([(stanza.kind, stanza.type) for stanza in self.elsewhere.take()], [("message", "error")])
        self.assertIsNone(self.host.inbox)

    def test_newSession(self) -> None:
        """A resource that comes meanwhile gets nothing too early."""
        self.subscribe()
        session, stream = self.bind(JULIET + "/chamber")
        self.rig.send(session, b"<presence/>")
        stream.take()
        self.said(session.full, "a")
        self.assertEqual(self.came(stream), [])
        self.proceed()
        self.assertEqual(self.came(stream), ["subscribe", "a"])
        self.assertFalse(session.receiving)  # type: ignore[attr-defined]

    def test_promise(self) -> None:
        """Who was promised something for a stanza that waits is answered when that is settled."""
        self.subscribe()
        stanza = fromBytes(f"<message from='{NURSE}' to='{BALCONY}'><body>a</body></message>".encode())
        stanza.promise = []
        self.rig.router.route(stanza)
        (waiting,) = stanza.promise
        self.assertFalse(waiting.called)
        settled: Deferred[None] = Deferred()
        self.juliet.addObservers(lambda s, each: None, lambda s, each: each.promise and each.promise.append(settled))
        self.proceed()
        self.assertEqual(self.came(), ["subscribe", "a"])
        self.assertFalse(waiting.called)
        settled.callback(None)
        self.successResultOf(waiting)

    def test_mistake(self) -> None:
        """A mistake of ours with one stanza does not keep the others."""
        self.subscribe()
        self.said(BALCONY, "a")
        self.said(BALCONY, "b")

        def observer(session: object, stanza: Any) -> None:
            if b"<body>a" in stanza.raw:
                raise ZeroDivisionError

        self.juliet.addObservers(lambda s, each: None, observer)
        self.proceed()
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.assertEqual(self.came(), ["subscribe", "b"])
        self.assertIsNone(self.host.inbox)

    def test_bounded(self) -> None:
        """Not without end."""
        self.patch(lines, "WAITING", 2)
        self.subscribe()
        for text in "abc":
            self.said(BALCONY, text)
        (error,) = self.elsewhere.take()
        self.assertIn(b"resource-constraint", error.raw)
        self.proceed()
        self.assertEqual(self.came(), ["subscribe", "a", "b"])
        self.patch(lines, "OCTETS", 150)
        self.subscribe("unsubscribe")
        self.said(BALCONY, "a")
        self.said(BALCONY, "b")
        self.assertEqual(len([stanza for stanza in self.elsewhere.take() if stanza.kind == "message"]), 1)
        self.proceed()
        self.assertEqual(self.came(), ["unsubscribe", "a"])
        self.clean()

    def test_quickStore(self) -> None:
        """Where nothing has to be waited for there is no line."""
        self.send("presence", JULIET, type="subscribe")
        self.clean()
        self.assertEqual(self.came(), ["subscribe"])

    def test_badSender(self) -> None:
        """Who has no address in order has no line either."""
        self.subscribe()
        self.rig.router.route(
            fromBytes(f"<message from='@' to='{JULIET}' type='chat'><body>x</body></message>".encode())
        )
        self.assertEqual(self.came(), ["x"])


@spec("RFC 6120", "10.1")
class OutboundTests(LinesTestCase):
    """What clients of this server send."""

    def setUp(self) -> None:
        super().setUp()
        self.romeo, self.romeoStream = self.interested(ROMEO + "/orchard")
        self.romeoStream.waits.clear()

    def test_waits(self) -> None:
        """A client's stream is read on when its subscription stanza has been worked on by both sides."""
        self.slow.holding = True
        self.rig.send(self.romeo, f"<presence to='{JULIET}' type='subscribe'/>".encode())
        seen: list[list[str]] = []
        self.romeoStream.waits[0].addCallback(lambda _: seen.append(self.came()))
        while self.slow._held:
            self.step()
        self.assertEqual(seen, [["subscribe"]])
        self.proceed()
        self.clean()

    def test_otherResource(self) -> None:
        """Another client of the same user waits as well, for this account alone."""
        other, _ = self.bind(ROMEO + "/street")
        self.slow.holding = True
        self.rig.send(self.romeo, f"<presence to='{JULIET}' type='subscribe'/>".encode())
        self.step()
        self.rig.send(other, f"<message to='{BALCONY}'><body>a</body></message>".encode())
        self.proceed()
        self.assertEqual(self.came(), ["subscribe", "a"])

    def test_elsewhere(self) -> None:
        """What another server has to work on is not waited for."""
        self.rig.send(self.romeo, f"<presence to='{NURSE}' type='subscribe'/>".encode())
        (wait,) = self.romeoStream.waits
        self.successResultOf(wait)

    def test_eachOther(self) -> None:
        """Two who ask each other at once don't wait for each other for ever."""
        self.slow.holding = True
        self.rig.send(self.romeo, f"<presence to='{JULIET}' type='subscribe'/>".encode())
        self.rig.send(self.juliet, f"<presence to='{ROMEO}' type='subscribe'/>".encode())
        self.proceed()
        self.assertEqual([wait.called and not wait.paused for wait in self.romeoStream.waits], [True])
        self.clean()

    def test_presenceBehindApproval(self) -> None:
        """Presence comes after the word that it will, and a message after both."""
        self.host.presence.rosters.cached[JULIET].items[ROMEO] = RosterItem(ROMEO, ask=True)  # type: ignore[attr-defined]
        self.host.presence.rosters.cached[ROMEO].items[JULIET] = RosterItem(  # type: ignore[attr-defined]
            JULIET, listed=False, pendingIn=b"<presence/>"
        )
        self.slow.holding = True
        self.rig.send(self.romeo, f"<presence to='{JULIET}' type='subscribed'/>".encode())
        self.proceed()
        self.rig.send(self.romeo, f"<message to='{BALCONY}'><body>a</body></message>".encode())
        came = [word for word in self.came() if word != "set"]
        self.assertEqual(came, ["subscribed", "presence", "a"])
