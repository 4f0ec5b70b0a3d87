"""Tests of L{xmppd.features.xep0352_csi}."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from tests.doubles import FakeStream, Rig
from tests.features.xep0198_sm.rigging import ManagementTestCase
from tests.marks import spec
from xmppd.features.xep0352_csi import ClientStates, feature
from xmppd.ixmppd import IStreamFeature
from xmppd.wire.stanza import fromBytes

JULIET = "juliet@example.org/balcony"
COMPOSING = "<composing xmlns='http://jabber.org/protocol/chatstates'/>"


class InactiveTests(SynchronousTestCase):
    """A client nobody looks at."""

    def setUp(self) -> None:
        self.rig = Rig(feature, options={("xep0352_csi", "most"): 20})
        self.juliet, self.stream = self.rig.bind(JULIET)

    def state(self, name: str) -> None:
        """The client says how it is."""
        self.rig.send(self.juliet, f"<{name} xmlns='urn:xmpp:csi:0'/>".encode())

    def presence(self, sender: str, inner: str = "", type: str = "") -> None:
        """Presence comes."""
        given = f" type='{type}'" if type else ""
        self.rig.inject(f"<presence from='{sender}' to='{JULIET}'{given}>{inner}</presence>".encode())

    def message(self, inner: str, sender: str = "romeo@example.org/orchard", type: str = "chat") -> None:
        """A message comes."""
        self.rig.inject(f"<message from='{sender}' to='{JULIET}' type='{type}'>{inner}</message>".encode())

    def senders(self) -> list[str | None]:
        """Who sent what has come since the last time."""
        return [stanza.sender for stanza in self.stream.take()]

    @spec("XEP-0352", "4.1")
    def test_advertised(self) -> None:
        """After authentication."""
        states = next(f for f in self.rig.host.streamFeatures if isinstance(f, ClientStates))
        verifyObject(IStreamFeature, states)
        self.assertEqual(states.requires, {"authenticated"})
        self.assertEqual(states.advertise(self.stream), b"<csi xmlns='urn:xmpp:csi:0'/>")

    @spec("XEP-0352", "4.2", "5")
    def test_activeAtFirst(self) -> None:
        """A stream begins as active, whatever the presence; nothing is held back."""
        self.presence("a@example.net/x")
        self.assertEqual(self.senders(), ["a@example.net/x"])
        self.assertEqual(self.juliet.outlet, self.juliet.plainly)  # type: ignore[attr-defined]

    @spec("XEP-0352", "3.2")
    def test_presenceWaits(self) -> None:
        """Only the latest presence of each sender is kept; it goes out when the client is active again."""
        self.state("inactive")
        self.presence("a@example.net/x", "<show>away</show>")
        self.presence("b@example.net/x")
        self.presence("a@example.net/x", "<show>dnd</show>")
        self.assertEqual(self.senders(), [])
        self.state("active")
        got = self.stream.take()
        self.assertEqual([stanza.sender for stanza in got], ["b@example.net/x", "a@example.net/x"])
        self.assertIn(b"dnd", got[1].raw)
        self.presence("a@example.net/x")
        self.assertEqual(self.senders(), ["a@example.net/x"])

    @spec("XEP-0352", "3.2")
    def test_chatStatesWait(self) -> None:
        """Messages with nothing but the state of a conversation wait, too."""
        self.state("inactive")
        self.message(COMPOSING)
        self.message(f"<thread>t</thread>{COMPOSING}<no-store xmlns='urn:xmpp:hints'/>")
        self.assertEqual(self.senders(), [])
        self.state("active")
        self.assertEqual(len(self.stream.take()), 1)

    def test_importantThingsDoNotWait(self) -> None:
        """They let everything else go first."""
        for send in (
            lambda: self.message("<body>hi</body>"),
            lambda: self.message(f"<body>hi</body>{COMPOSING}"),
            lambda: self.juliet.deliver(fromBytes(b"<presence from='c@example.net' type='subscribe'/>")),
            lambda: self.presence("room@example.net/me", type="error"),
            lambda: self.presence(
                "room@example.net/me", "<x xmlns='http://jabber.org/protocol/muc#user'><status code='110'/></x>"
            ),
            lambda: self.rig.inject(
                f"<iq type='get' id='1' from='c@example.net/x' to='{JULIET}'><x xmlns='y'/></iq>".encode()
            ),
        ):
            self.state("inactive")
            self.presence("a@example.net/x")
            self.message(COMPOSING, "b@example.net/x")
            send()
            got = self.senders()
            self.assertEqual(got[:2], ["a@example.net/x", "b@example.net/x"])
            self.assertEqual(len(got), 3)
            self.state("active")

    def test_roomPresenceWaits(self) -> None:
        """Presence of other occupants is like any other."""
        self.state("inactive")
        self.presence("room@example.net/other", "<x xmlns='http://jabber.org/protocol/muc#user'><item/></x>")
        self.assertEqual(self.senders(), [])

    def test_staysInactive(self) -> None:
        """A message doesn't make a client active."""
        self.state("inactive")
        self.message("<body>hi</body>")
        self.presence("a@example.net/x")
        self.assertEqual(len(self.stream.take()), 1)

    def test_bounded(self) -> None:
        """Too many, or too large: all of it goes out."""
        self.state("inactive")
        for index in range(20):
            self.presence(f"a@example.net/{index}")
        self.assertEqual(self.senders(), [])
        self.presence("a@example.net/20")
        self.assertEqual(len(self.stream.take()), 21)
        for index in range(3):
            self.presence(f"a@example.net/{index}", "<status>" + "x" * 100_000 + "</status>")
        self.assertEqual(len(self.stream.take()), 3)

    @spec("XEP-0352", "5.1")
    def test_inOrder(self) -> None:
        """What was held back is on the wire before the answer to what the client asks next."""
        self.state("inactive")
        self.presence("a@example.net/x")
        self.rig.send(
            self.juliet,
            b"<active xmlns='urn:xmpp:csi:0'/><iq type='get' id='p' to='example.org'><ping xmlns='urn:xmpp:ping'/></iq>",
        )
        self.assertEqual([stanza.kind for stanza in self.stream.take()], ["presence", "iq"])

    @spec("XEP-0352", "4.2")
    def test_noReply(self) -> None:
        """Neither element is answered, however often it comes."""
        for name in ("inactive", "inactive", "active", "active"):
            self.state(name)
        self.assertEqual((self.stream.take(), self.stream.written), ([], []))
        self.assertEqual(self.juliet.outlet, self.juliet.plainly)  # type: ignore[attr-defined]

    @spec("XEP-0352", "6")
    def test_notRevealed(self) -> None:
        """Nobody else notices."""
        _, other = self.rig.bind("juliet@example.org/chamber", available=True)
        self.state("inactive")
        self.assertEqual(other.take(), [])

    @spec("XEP-0352", "3.2")
    def test_configured(self) -> None:
        """The administrator decides what is held back."""
        rig = Rig(feature, options={("xep0352_csi", "presence"): False, ("xep0352_csi", "chat_states"): False})
        session, stream = rig.bind(JULIET)
        rig.send(session, b"<inactive xmlns='urn:xmpp:csi:0'/>")
        rig.inject(f"<presence from='a@example.net/x' to='{JULIET}'/>".encode())
        rig.inject(f"<message from='a@example.net/x' to='{JULIET}'>{COMPOSING}</message>".encode())
        self.assertEqual(len(stream.take()), 2)
        self.assertIsInstance(stream, FakeStream)


class ManagedTests(ManagementTestCase):
    """With stream management below."""

    def setUp(self) -> None:
        super().setUp()
        self.juliet = self.client(JULIET)
        self.sent = self.juliet.management.queue.sent

    def presence(self) -> None:
        """Presence comes."""
        self.rig.inject(f"<presence from='a@example.net/x' to='{JULIET}'/>".encode())

    def test_notCountedBeforeItGoes(self) -> None:
        """What is held back has no number."""
        self.juliet.send(b"<inactive xmlns='urn:xmpp:csi:0'/>")
        for _ in range(50):
            self.presence()
        self.assertEqual(self.juliet.management.queue.sent, self.sent)
        self.juliet.send(b"<active xmlns='urn:xmpp:csi:0'/>")
        self.assertEqual(self.juliet.management.queue.sent, self.sent + 1)

    @spec("XEP-0352", "5.2")
    def test_resumedIsActive(self) -> None:
        """A hibernating session goes on holding back; a resumed one is active."""
        self.juliet.send(b"<inactive xmlns='urn:xmpp:csi:0'/>")
        self.juliet.cut()
        for _ in range(50):
            self.presence()
        self.rig.inject(f"<message type='chat' from='b@example.net/x' to='{JULIET}'><body>x</body></message>".encode())
        self.presence()
        self.juliet.resume()
        self.assertEqual([stanza.kind for stanza in self.juliet.take()], ["presence", "message", "presence"])
        self.presence()
        self.assertEqual(len(self.juliet.take()), 1)
        self.juliet.ack()
        self.assertEqual(len(self.juliet.management.queue.entries), 0)

    def test_enabledWhileInactive(self) -> None:
        """Stream management goes below what holds back."""
        romeo = self.client("romeo@example.org/orchard", managed=False)
        romeo.send(b"<inactive xmlns='urn:xmpp:csi:0'/>")
        romeo.enable()
        self.rig.inject(b"<presence from='a@example.net/x' to='romeo@example.org/orchard'/>")
        self.assertEqual(romeo.take(), [])
        romeo.send(b"<active xmlns='urn:xmpp:csi:0'/>")
        self.assertEqual(romeo.management.queue.sent, 1)
        self.assertEqual(romeo.session.outlet, romeo.management.transmit)
