"""Tests of L{xmppd.features.xep0280_carbons}."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from tests.doubles import FakeStream, Rig
from tests.marks import spec
from xmppd.features.xep0280_carbons import REMEMBERED, feature
from xmppd.ixmppd import ISession
from xmppd.wire.stanza import Stanza

JULIET = "juliet@example.org/balcony"
CHAMBER = "juliet@example.org/chamber"
PHONE = "juliet@example.org/phone"
ROMEO = "romeo@example.org/orchard"
ENABLE = b"<iq type='set' id='c'><enable xmlns='urn:xmpp:carbons:2'/></iq>"
DISABLE = b"<iq type='set' id='c'><disable xmlns='urn:xmpp:carbons:2'/></iq>"
MUC_USER = "http://jabber.org/protocol/muc#user"


class CarbonsTestCase(SynchronousTestCase):
    """Juliet with two clients that want carbons and one that doesn't; Romeo with one."""

    def setUp(self) -> None:
        self.rig = Rig(feature)
        self.sessions: dict[str, ISession] = {}
        self.streams: dict[str, FakeStream] = {}
        for full in (JULIET, CHAMBER, PHONE, ROMEO):
            self.bind(full)
        for full in (CHAMBER, PHONE):
            self.want(full)

    def bind(self, full: str) -> None:
        """Another client."""
        self.sessions[full], self.streams[full] = self.rig.bind(full, available=True)

    def want(self, full: str, raw: bytes = ENABLE) -> None:
        """Ask for carbons, or for none."""
        self.send(full, raw)
        (answer,) = self.streams[full].takeBytes()
        self.assertIn(b"type='result'", answer)

    def send(self, full: str, raw: bytes) -> None:
        """A client sends something."""
        self.rig.send(self.sessions[full], raw)

    def say(self, full: str, to: str, inner: str = "<body>hi</body>", type: str | None = "chat", id: str = "m") -> None:
        """A client sends a message."""
        given = f" type='{type}'" if type else ""
        self.send(full, f"<message to='{to}' id='{id}'{given}>{inner}</message>".encode())

    def inject(self, to: str, inner: str = "<body>hi</body>", type: str = "chat", sender: str = "a@example.net/x") -> None:
        """A message comes from elsewhere."""
        self.rig.inject(f"<message from='{sender}' to='{to}' id='m' type='{type}'>{inner}</message>".encode())

    def got(self) -> dict[str, list[Stanza]]:
        """What Juliet's clients have got."""
        for full in (JULIET, CHAMBER, PHONE):
            self.assertEqual(self.streams[full].closed, False)
        return {full: self.streams[full].take() for full in (JULIET, CHAMBER, PHONE)}

    def summary(self) -> dict[str, str]:
        """What Juliet's clients have got: "o" for an original, "s" and "r" for copies."""
        return {full: "".join(self.kindOf(stanza) for stanza in got) for full, got in self.got().items()}

    def kindOf(self, stanza: Stanza) -> str:
        """Whether a message is a copy."""
        for name in ("sent", "received"):
            if stanza.childNames == (f"urn:xmpp:carbons:2 {name}",):
                return name[0]
        return "o"

    def assertCopied(self, to: str, **more: str) -> None:
        """A message to one client is copied to the others who want it."""
        self.inject(to, **more)
        self.assertEqual(self.summary(), {JULIET: "o", CHAMBER: "r", PHONE: "r"}, more)

    def assertNotCopied(self, to: str, **more: str) -> None:
        """A message to one client is not copied."""
        self.inject(to, **more)
        self.assertEqual(self.summary(), {JULIET: "o", CHAMBER: "", PHONE: ""}, more)


class RequestTests(CarbonsTestCase):
    """Sections 3 to 5 and 10.1."""

    @spec("XEP-0280", "3", "6.2")
    def test_discovery(self) -> None:
        """Both features are told."""
        self.assertLessEqual({"urn:xmpp:carbons:2", "urn:xmpp:carbons:rules:0"}, self.rig.host.namespaces)

    @spec("XEP-0280", "4", "5", "10.1")
    def test_again(self) -> None:
        """Both requests may come any number of times, in any order."""
        for raw in (ENABLE, ENABLE, DISABLE, DISABLE, ENABLE):
            self.want(JULIET, raw)
        self.inject(CHAMBER)
        self.assertEqual(self.summary(), {JULIET: "r", CHAMBER: "o", PHONE: "r"})
        self.want(JULIET, DISABLE)
        self.inject(CHAMBER)
        self.assertEqual(self.summary(), {JULIET: "", CHAMBER: "o", PHONE: "r"})

    @spec("XEP-0280", "4.1", "5.1")
    def test_notOnesOwn(self) -> None:
        """Nobody switches somebody else's."""
        for name in ("enable", "disable"):
            self.send(
                ROMEO, f"<iq type='set' id='1' to='juliet@example.org'><{name} xmlns='urn:xmpp:carbons:2'/></iq>".encode()
            )
            self.assertIn(b"<not-allowed", self.streams[ROMEO].takeBytes()[0])

    def test_costsNothingOtherwise(self) -> None:
        """Sessions of accounts without such a client are not observed; nor those whose last such client is gone."""
        self.assertFalse(self.sessions[ROMEO].sending)  # type: ignore[attr-defined]
        self.assertTrue(self.sessions[JULIET].sending)  # type: ignore[attr-defined]
        self.want(CHAMBER, DISABLE)
        self.sessions[PHONE].end()
        session = self.sessions[JULIET]
        self.assertFalse(session.sending or session.receiving)  # type: ignore[attr-defined]
        self.bind(PHONE)
        self.want(PHONE)
        self.assertTrue(session.sending and session.receiving)  # type: ignore[attr-defined]

    def test_boundLater(self) -> None:
        """A client that comes later is part of it."""
        self.bind("juliet@example.org/new")
        self.say("juliet@example.org/new", ROMEO)
        self.assertEqual(self.summary(), {JULIET: "", CHAMBER: "s", PHONE: "s"})


class ReceivedTests(CarbonsTestCase):
    """Section 7."""

    @spec("XEP-0280", "7")
    def test_form(self) -> None:
        """The copy comes from the account, to the full JID, with the type, and holds the original."""
        self.say(ROMEO, JULIET, "<body>a &amp; b</body><thread>t</thread>")
        got = self.got()
        self.assertEqual(
            got[PHONE][0].raw,
            b"<message from='juliet@example.org' to='juliet@example.org/phone' type='chat'>"
            b"<received xmlns='urn:xmpp:carbons:2'><forwarded xmlns='urn:xmpp:forward:0'>"
            b"<message xmlns='jabber:client' from='romeo@example.org/orchard' to='juliet@example.org/balcony' id='m'"
            b" type='chat'><body>a &amp; b</body><thread>t</thread></message></forwarded></received></message>",
        )
        self.assertEqual(got[JULIET][0].raw[:8], b"<message")
        self.assertEqual(got[PHONE][0].element().find("received", "urn:xmpp:carbons:2") is None, False)

    @spec("XEP-0280", "7")
    def test_fullJID(self) -> None:
        """Who was addressed gets the original only, whether or not it wants carbons."""
        self.inject(JULIET)
        self.assertEqual(self.summary(), {JULIET: "o", CHAMBER: "r", PHONE: "r"})
        self.inject(PHONE)
        self.assertEqual(self.summary(), {JULIET: "", CHAMBER: "r", PHONE: "o"})

    @spec("XEP-0280", "7")
    def test_unusualAddress(self) -> None:
        """However the address is written."""
        self.inject("JULIET@example.org/phone")
        self.assertEqual(self.summary(), {JULIET: "", CHAMBER: "r", PHONE: "o"})

    @spec("XEP-0280", "7")
    def test_bareJID(self) -> None:
        """Who gets it by the delivery rules gets no copy; the others get one each."""
        self.inject("juliet@example.org")
        self.assertEqual(self.summary(), {JULIET: "o", CHAMBER: "o", PHONE: "o"})
        self.sessions[PHONE].priority = -1
        self.inject("juliet@example.org")
        self.assertEqual(self.summary(), {JULIET: "o", CHAMBER: "o", PHONE: "r"})
        self.sessions[JULIET].priority = 5
        self.inject("juliet@example.org")
        self.assertEqual(self.summary(), {JULIET: "o", CHAMBER: "r", PHONE: "r"})

    @spec("XEP-0280", "7")
    def test_resourceThatIsNotThere(self) -> None:
        """A message for a resource that is gone goes by the rules, and to the rest as copies."""
        self.sessions[JULIET].priority = 5
        self.inject("juliet@example.org/tomb")
        self.assertEqual(self.summary(), {JULIET: "o", CHAMBER: "r", PHONE: "r"})

    @spec("XEP-0280", "7")
    def test_nobodyIsGivenIt(self) -> None:
        """Clients with negative priority get copies of what is kept for the account."""
        for full in (JULIET, CHAMBER, PHONE):
            self.sessions[full].priority = -1
        kept: list[Stanza] = []
        self.rig.host.hooks.undeliverable.addChange(lambda stanza, bare: kept.append(stanza))
        self.inject("juliet@example.org")
        self.assertEqual(len(kept), 1)
        self.assertEqual(self.summary(), {JULIET: "", CHAMBER: "r", PHONE: "r"})

    @spec("XEP-0280", "7", "11")
    def test_forged(self) -> None:
        """What looks like a copy from somebody else stays what it is, and is wrapped like anything else."""
        self.inject(JULIET, "<received xmlns='urn:xmpp:carbons:2'><forwarded xmlns='urn:xmpp:forward:0'/></received>")
        got = self.got()
        self.assertEqual(got[JULIET][0].sender, "a@example.net/x")
        self.assertEqual(got[PHONE][0].sender, "juliet@example.org")
        self.assertIn(b"from='a@example.net/x'", got[PHONE][0].raw)

    def test_restricted(self) -> None:
        """What a client is not given is not copied to the others."""
        from xmppd.wire.errors import StanzaCondition, StanzaError

        self.sessions[JULIET].addReceiveRefusal(lambda session, stanza: StanzaError(StanzaCondition.FORBIDDEN))
        self.inject(JULIET)
        self.assertEqual(self.summary(), {JULIET: "", CHAMBER: "", PHONE: ""})

    def test_noPromise(self) -> None:
        """A copy holds up nobody's acknowledgement."""
        self.say(ROMEO, JULIET)
        self.assertIsNone(self.got()[PHONE][0].promise)


class SentTests(CarbonsTestCase):
    """Section 8."""

    @spec("XEP-0280", "8")
    def test_form(self) -> None:
        """The others get a copy with the original inside; the sender gets none, whether or not it wants carbons."""
        self.say(JULIET, ROMEO)
        got = self.got()
        self.assertEqual(got[JULIET], [])
        self.assertEqual(
            got[CHAMBER][0].raw,
            b"<message from='juliet@example.org' to='juliet@example.org/chamber' type='chat'>"
            b"<sent xmlns='urn:xmpp:carbons:2'><forwarded xmlns='urn:xmpp:forward:0'>"
            b"<message xmlns='jabber:client' from='juliet@example.org/balcony' to='romeo@example.org/orchard' id='m'"
            b" type='chat'><body>hi</body></message></forwarded></sent></message>",
        )
        self.say(CHAMBER, ROMEO)
        self.assertEqual(self.summary(), {JULIET: "", CHAMBER: "", PHONE: "s"})

    @spec("XEP-0280", "7", "8")
    def test_toOneself(self) -> None:
        """Between one's own clients: who gets the original gets no copy, the rest one."""
        self.say(JULIET, CHAMBER)
        self.assertEqual(self.summary(), {JULIET: "", CHAMBER: "o", PHONE: "s"})
        self.say(JULIET, "juliet@example.org")
        self.assertEqual(self.summary(), {JULIET: "o", CHAMBER: "o", PHONE: "o"})

    @spec("XEP-0280", "10.3")
    def test_bouncesStayHere(self) -> None:
        """The error that answers a copy goes to nobody."""
        self.say(ROMEO, JULIET)
        copy = self.got()[PHONE][0]
        self.streams[ROMEO].take()
        error = f"<message type='error' to='{copy.sender}' id='m'><error type='cancel'/></message>"
        self.send(PHONE, error.encode())
        self.assertEqual(self.streams[ROMEO].take(), [])
        self.assertEqual(self.summary(), {JULIET: "", CHAMBER: "", PHONE: ""})


class EligibilityTests(CarbonsTestCase):
    """Section 6, in both directions, and section 9."""

    @spec("XEP-0280", "6.1")
    def test_eligible(self) -> None:
        """Chat; normal with a body; payloads of instant messaging; invitations."""
        for inner, type in (
            ("", "chat"),
            ("<body>x</body>", "normal"),
            ("<body>x</body>", "bogus"),
            ("<received xmlns='urn:xmpp:receipts' id='1'/>", "normal"),
            ("<request xmlns='urn:xmpp:receipts'/>", "normal"),
            ("<composing xmlns='http://jabber.org/protocol/chatstates'/>", "normal"),
            ("<displayed xmlns='urn:xmpp:chat-markers:0' id='1'/>", "normal"),
            ("<x xmlns='jabber:x:conference' jid='room@example.net'/>", "normal"),
            (f"<x xmlns='{MUC_USER}'><invite from='b@example.net'/></x>", "normal"),
        ):
            self.assertCopied(JULIET, inner=inner, type=type)

    @spec("XEP-0280", "6.1")
    def test_notEligible(self) -> None:
        """Normal without a body; headlines; rooms; a room's private messages, which it gives to all by itself."""
        for inner, type in (
            ("<x xmlns='y'/>", "normal"),
            ("<body>x</body>", "headline"),
            ("<body>x</body>", "groupchat"),
            (f"<body>x</body><x xmlns='{MUC_USER}'/>", "chat"),
        ):
            self.assertNotCopied(JULIET, inner=inner, type=type)

    @spec("XEP-0280", "6.1")
    def test_privateToOccupant(self) -> None:
        """A private message to an occupant of a room is copied."""
        self.say(JULIET, "room@example.net/romeo", f"<body>x</body><x xmlns='{MUC_USER}'/>")
        self.assertEqual(self.kindOf(self.got()[PHONE][0]), "s")

    @spec("XEP-0280", "6.1")
    def test_groupchatSent(self) -> None:
        """What is said in a room is not."""
        self.say(JULIET, "room@example.net", type="groupchat")
        self.assertEqual(self.summary()[PHONE], "")

    @spec("XEP-0280", "9")
    def test_private(self) -> None:
        """Marked as private: not copied, in neither direction, and passed on as it is."""
        inner = "<body>x</body><private xmlns='urn:xmpp:carbons:2'/><no-copy xmlns='urn:xmpp:hints'/>"
        self.say(ROMEO, JULIET, inner)
        got = self.got()
        self.assertIn(b"<private xmlns='urn:xmpp:carbons:2'/>", got[JULIET][0].raw)
        self.assertEqual((got[CHAMBER], got[PHONE]), ([], []))
        self.say(JULIET, ROMEO, inner)
        self.assertEqual(self.summary(), {JULIET: "", CHAMBER: "", PHONE: ""})
        self.assertIn(b"<private", self.streams[ROMEO].takeBytes()[0])

    @spec("XEP-0280", "6.1")
    def test_errors(self) -> None:
        """An error is copied if it answers a message that was eligible, and else not."""
        self.say(JULIET, "a@example.net/x", id="m1")
        self.say(JULIET, "a@example.net/x", "<x xmlns='y'/>", None, id="m2")
        self.got()
        for id, sender, copied in (
            ("m1", "a@example.net/x", True),
            ("m2", "a@example.net/x", False),
            ("m3", "a@example.net/x", False),
            ("m1", "b@example.net/x", False),
        ):
            self.rig.inject(
                f"<message type='error' id='{id}' from='{sender}' to='{JULIET}'><error type='cancel'/></message>".encode()
            )
            self.assertEqual(self.summary(), {JULIET: "o", CHAMBER: "r" * copied, PHONE: "r" * copied}, (id, sender))

    def test_errorsAreRememberedForAWhile(self) -> None:
        """A bounded number of messages is remembered."""
        for index in range(REMEMBERED + 1):
            self.say(JULIET, "a@example.net/x", id=f"m{index}")
        self.got()
        error = f"<message type='error' id='m0' from='a@example.net/x' to='{JULIET}'><error type='cancel'/></message>"
        self.rig.inject(error.encode())
        self.assertEqual(self.summary(), {JULIET: "o", CHAMBER: "", PHONE: ""})

    def test_otherKinds(self) -> None:
        """Presence and requests are nobody else's business."""
        self.rig.inject(f"<presence from='a@example.net/x' to='{JULIET}'/>".encode())
        self.rig.inject(f"<iq type='get' id='1' from='a@example.net/x' to='{JULIET}'><x xmlns='y'/></iq>".encode())
        self.assertEqual(self.summary(), {JULIET: "oo", CHAMBER: "", PHONE: ""})
