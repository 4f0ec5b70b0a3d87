"""Tests of L{xmppd.restrict.remote}."""

from __future__ import annotations

from typing import Any

from twisted.logger import formatEvent, globalLogPublisher
from zope.interface import implementer

from tests.marks import spec
from tests.restrict.cases import GuestCase
from xmppd.hooks import Unanswered
from xmppd.ixmppd import IDestination, IReceiveRestriction, ISendRestriction, Request
from xmppd.restrict.remote import LINES_PER_SECOND
from xmppd.wire.errors import StanzaError
from xmppd.wire.jid import parse
from xmppd.wire.stanza import Stanza, fromBytes

FAR = "mallory@far.example"
WORD = "knavery"


@implementer(IDestination)
class FarAway:
    """The door to all other servers; keeps what leaves."""

    domain = ""

    def __init__(self) -> None:
        self.left: list[Stanza] = []

    def deliver(self, stanza: Stanza) -> None:
        """See L{IDestination}."""
        self.left.append(stanza)


@spec("mission", "A6")
@spec("XEP-0175", "3")
class RemoteTests(GuestCase):
    """Guests and other servers."""

    def setUp(self) -> None:
        self.events: list[dict[str, Any]] = []
        globalLogPublisher.addObserver(self.events.append)
        self.addCleanup(globalLogPublisher.removeObserver, self.events.append)

    def begin(self, guest: str = "") -> None:
        """A guest, and another server."""
        self.guests(guest)
        self.far = FarAway()
        self.server.server.router.remote = self.far
        self.client = self.guest(available=True)
        self.bare = self.client.jid.partition("/")[0]

    def lines(self) -> list[str]:
        """What was logged of refusals."""
        found = [formatEvent(event) for event in self.events if event.get("log_namespace") == "xmppd.guests"]
        return [line for line in found if "reason=remote" in line]

    def inject(self, kind: str, to: str, type: str | None = None, content: str = "", sender: str = FAR) -> None:
        """A stanza from another server comes through the door for those."""
        typed = f" type='{type}'" if type else ""
        stanza = fromBytes(f"<{kind} from='{sender}' to='{to}' id='f'{typed}>{content}</{kind}>".encode())
        router = self.server.server.router
        for refuse in self.server.host.hooks.arriving.refuse:
            error = refuse(stanza)
            if error is not None:
                if not isinstance(error, Unanswered):
                    router.bounce(stanza, error)
                self.server.pump()
                return
        router.route(stanza)
        self.server.pump()

    def test_behindTheDoor(self) -> None:
        """What came past the door reaches no guest either, and is answered by an error or not at all."""
        self.begin()
        for to in (self.bare, self.client.jid):
            for kind, type in (
                ("message", "chat"), ("message", "headline"), ("iq", "get"), ("iq", "set"), ("iq", "result"),
                ("presence", ""), ("presence", "subscribe"), ("presence", "unavailable"), ("presence", "probe"),
            ):
                typed = f" type='{type}'" if type else ""
                inner = "<query xmlns='http://jabber.org/protocol/disco#info'/>" if type in ("get", "set") else ""
                raw = f"<{kind} from='{FAR}/x' to='{to}' id='f'{typed}>{inner}</{kind}>"
                self.server.server.router.route(fromBytes(raw.encode()))
                self.server.pump()
                self.assertEqual(self.client.take(), [], raw)
                self.assertLessEqual({each.type for each in self.answers()}, {"error", "unsubscribed"}, raw)

    def answers(self) -> list[Stanza]:
        """What other servers got."""
        taken, self.far.left = self.far.left, []
        return taken

    def test_out(self) -> None:
        """Whatever a guest sends to another server is refused, with a typed error, and logged without what it said."""
        self.begin()
        for stanza in (
            f"<message to='{FAR}' type='chat' id='1'><body>{WORD}</body></message>",
            f"<message to='{FAR}/x' id='1'><body>{WORD}</body></message>",
            "<iq to='far.example' type='get' id='1'><query xmlns='jabber:iq:version'/></iq>",
            f"<presence to='{FAR}' type='subscribe' id='1'/>",
            f"<presence to='{FAR}' id='1'/>",
        ):
            self.client.send(stanza)
            (error,) = self.client.take()
            self.assertError(error, "policy-violation")
            self.assertEqual(error.get("id"), "1")
        self.assertEqual(self.answers(), [])
        self.assertEqual(len(self.lines()), 5)
        self.assertIn(f"direction=out kind=message from='{self.client.jid}' to='{FAR}'", self.lines()[0])
        self.assertNotIn(WORD, repr(self.events))

    def test_perSession(self) -> None:
        """A user with an account on the same domain is not kept from it."""
        self.begin()
        romeo = self.server.login("romeo")
        romeo.send(f"<message to='{FAR}'><body>hi</body></message>")
        self.assertEqual([each.to for each in self.answers()], [FAR])

    def test_in(self) -> None:
        """What comes from another server is answered exactly as if there were no such user."""
        self.begin()
        nobody = "11111111-2222-4333-8444-555555555555@example.org"
        resource = self.client.jid.partition("/")[2]
        cases = [
            ("message", "chat", "<body>knavery</body>"),
            ("message", None, "<body>knavery</body>"),
            ("message", "headline", "<body>knavery</body>"),
            ("message", "groupchat", "<body>knavery</body>"),
            ("message", "error", "<error type='cancel'/>"),
            ("iq", "get", "<query xmlns='jabber:iq:version'/>"),
            ("iq", "get", "<query xmlns='http://jabber.org/protocol/disco#info'/>"),
            ("iq", "get", "<vCard xmlns='vcard-temp'/>"),
            ("iq", "get", "<query xmlns='jabber:iq:last'/>"),
            ("iq", "set", "<query xmlns='jabber:iq:roster'/>"),
            ("iq", "result", ""),
            ("presence", None, ""),
            ("presence", "subscribe", ""),
            ("presence", "subscribed", ""),
            ("presence", "unavailable", ""),
            ("presence", "probe", ""),
        ]
        for kind, type, content in cases:
            for suffix in ("", f"/{resource}"):
                self.inject(kind, self.bare + suffix, type, content)
                found = [each.raw.replace(self.bare.encode(), b"X") for each in self.answers()]
                self.inject(kind, nobody + suffix, type, content)
                expected = [each.raw.replace(nobody.encode(), b"X") for each in self.answers()]
                self.assertEqual(found, expected, (kind, type, content, suffix))
        self.assertEqual(self.client.take(), [])
        self.assertTrue(self.lines())
        self.assertNotIn(WORD, repr(self.events))

    def test_arriving(self) -> None:
        """The door for other servers refuses before anything else is done."""
        self.begin()
        refuse, *_ = self.server.host.hooks.arriving.refuse
        message = fromBytes(f"<message from='{FAR}' to='{self.bare}'/>".encode())
        self.assertIsInstance(refuse(message), StanzaError)
        self.assertIsNone(refuse(fromBytes(f"<message from='{FAR}' to='romeo@example.org'/>".encode())))
        self.assertIsNone(refuse(fromBytes(f"<message from='{FAR}' to='@'/>".encode())))
        self.assertIsNone(refuse(fromBytes(f"<message from='{FAR}'/>".encode())))

    def test_asked(self) -> None:
        """The server doesn't speak for a guest either; local users may ask."""
        self.begin()
        query = fromBytes(f"<iq type='get' id='1' from='{FAR}/x' to='{self.bare}'><vCard xmlns='vcard-temp'/></iq>".encode())
        request = Request(query, parse(f"{FAR}/x"), parse(self.bare), None, False)
        answers = [refuse(request) for refuse in self.server.host.hooks.asked.refuse]
        self.assertIn("service-unavailable", {str(each.condition) for each in answers if isinstance(each, StanzaError)})

    def test_relaxed(self) -> None:
        """Where the administrator wants it they may talk."""
        self.begin("remote = true")
        self.client.send(f"<message to='{FAR}' type='chat'><body>hi</body></message>")
        self.assertEqual([each.to for each in self.answers()], [FAR])
        self.inject("message", self.client.jid, "chat", "<body>hi</body>")
        self.assertEqual([each.get("from") for each in self.client.take()], [FAR])
        self.assertEqual(self.lines(), [])

    def test_logIsBounded(self) -> None:
        """Who sends much doesn't fill the log; what wasn't written is counted."""
        self.begin()
        for _ in range(LINES_PER_SECOND + 7):
            self.inject("message", self.client.jid, "chat", "<body>x</body>")
        self.assertEqual(len(self.lines()), LINES_PER_SECOND)
        self.server.advance(2)
        self.inject("message", self.client.jid, "chat", "<body>x</body>")
        self.assertTrue(any("7 more stanzas" in formatEvent(event) for event in self.events))

    def test_localIsLocal(self) -> None:
        """Users, services and the domain itself are not remote."""
        self.begin()
        romeo = self.server.login("romeo", available=True)
        self.client.send(f"<message to='{romeo.jid}' type='chat'><body>hi</body></message>")
        self.assertEqual(len(romeo.take()), 1)
        romeo.send(f"<message to='{self.client.jid}' type='chat'><body>ho</body></message>")
        self.assertEqual(len(self.client.take()), 1)

    def test_interfaces(self) -> None:
        """They are restrictions as the interfaces have it."""
        self.begin()
        session = self.server.server.router.session(self.client.jid)
        adapters = self.server.host.adapters
        for interface in (ISendRestriction, IReceiveRestriction):
            for restriction in adapters.subscribers(session, interface):
                self.assertTrue(interface.providedBy(restriction))
