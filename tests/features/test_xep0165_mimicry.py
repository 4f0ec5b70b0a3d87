"""Tests of L{xmppd.features.xep0165_mimicry}."""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from unittest import mock

from twisted.internet.defer import Deferred, fail
from twisted.logger import globalLogPublisher

from tests.doubles import FakeAccount, FakeStream, Rig
from tests.marks import spec
from tests.server import ServerCase, TestClient
from xmppd.config import HostConfig
from xmppd.features import rfc6121_im, xep0076_evil, xep0165_mimicry, xep0191_blocking
from xmppd.features.xep0165_mimicry import contacts, meeting, telling
from xmppd.features.xep0165_mimicry.languages import NODE
from xmppd.features.xep0165_mimicry.meeting import introduced
from xmppd.features.xep0165_mimicry.telling import WARNING, sentences, visible
from xmppd.ixmppd import Meeting, NameVerdict, RosterItem, StoreUnavailable
from xmppd.naming import NamesConfig
from xmppd.peering import S2SConfig
from xmppd.route.remote import Remote
from xmppd.wire import ns
from xmppd.wire.jid import parse
from xmppd.wire.stanza import Stanza, fromBytes

USER, SESSION = "maineboy@example.org", "maineboy@example.org/home"
PAYPAL, STPETER = "paypal@jabber.org", "stpeter@jabber.org"
CHEROKEE = parse("\u13da\u13a2\u13b5\u13ac\u13a2\u13ac\u13d2@\u13ab\u13aa\u13f4\u13f4\u13ac\u13d2.org").bare


class MeetingCase(ServerCase):
    """A user with contacts, and strangers elsewhere."""

    config: dict[str, Any] = {}
    options: dict[tuple[str, str], Any] = {}
    more: tuple[Any, ...] = ()

    def setUp(self) -> None:
        super().setUp()
        config = HostConfig("example.org", admins=("admin@example.org",), names=NamesConfig(**self.config))
        self.rig = Rig(rfc6121_im.feature, *self.more, xep0165_mimicry.feature, config=config, options=self.options)
        self.host = self.rig.host
        self.remote = Remote(self.rig.router, {"example.org": self.host}.get, self.rig.clock, S2SConfig(), lambda: 1.0)
        self.rig.router.remote = self.remote
        self.remote.dial = lambda local, remote: None
        self.host.hooks.starting.notify()
        for contact in (PAYPAL, STPETER, "nurse@example.org"):
            self.host.rosters.put(USER, RosterItem(contact, name="x", subscription="both"))
        self.session, self.stream = self.rig.bind(SESSION, available=True)
        self.events: list[Any] = []
        globalLogPublisher.addObserver(self.events.append)
        self.addCleanup(globalLogPublisher.removeObserver, self.events.append)

    def arrive(self, sender: str, to: str = USER, kind: str = "message", content: str = "<body>x</body>", attributes: str = "") -> list[Stanza]:
        """Something comes from elsewhere; answers what the client gets for it."""
        self.remote.arrived(fromBytes(f"<{kind} from='{sender}' to='{to}' id='s' {attributes}>{content}</{kind}>".encode()))
        return self.stream.take()

    def subscribe(self, sender: str, content: str = "") -> list[Stanza]:
        """Somebody asks to subscribe."""
        return self.arrive(sender, kind="presence", content=content, attributes="type='subscribe'")

    def warning(self, stanza: Stanza) -> dict[str, Any] | None:
        """What the mark of a stanza says."""
        found = stanza.find(WARNING)
        if found is None:
            return None
        said: dict[str, Any] = {name: [each.text for each in found.elements(name)] for name in ("reason", "like", "script")}
        return {"jid": found.get("jid"), **{key: value for key, value in said.items() if value}}

    def warnings(self, stanzas: list[Stanza]) -> list[dict[str, Any] | None]:
        """The marks of all that isn't a headline."""
        return [self.warning(each) for each in stanzas if each.sender != "example.org"]

    def headlines(self, stanzas: list[Stanza]) -> list[str]:
        """What the server itself says."""
        return [each.elements()[0].text for each in stanzas if each.sender == "example.org" and each.type == "headline"]

    def audited(self) -> list[str]:
        """The names that have come into the audit log."""
        return [each["name"] for each in self.events if each.get("log_namespace") == "xmppd.audit" and each.get("kind") == "met"]


@spec("XEP-0165", "1", "2.1", "2.2")
@spec("mission", "M2", "M3")
class StrangerTests(MeetingCase):
    """Whoever writes for the first time is compared with contacts, accounts and protected names."""

    def test_examples(self) -> None:
        """Those of the specification: the digit, the Cherokee letters; and a Cyrillic one."""
        for sender, alike in ((CHEROKEE, STPETER), ("paypa1@jabber.org", PAYPAL), ("p\u0430ypal@jabber.org", PAYPAL)):
            for got in (self.arrive(sender + "/x"), self.subscribe(sender)):
                (warned,) = self.warnings(got)
                assert warned is not None
                self.assertEqual((warned["jid"], warned["like"], warned["reason"][0]), (sender, [alike], "look-alike"))
                (line,) = self.headlines(got)
                self.assertIn(f"It is not {alike}.", line)
            self.assertEqual(self.audited()[-1], ascii(sender))

    def test_once(self) -> None:
        """Each message is marked, but the person told once; and nothing is read again."""
        self.arrive("paypa1@jabber.org/x")
        self.patch(self.host.rosters, "since", lambda account, version: fail(AssertionError("asked again")))
        for to in (USER, SESSION, USER + "/gone"):
            got = self.arrive("paypa1@jabber.org/y", to, attributes="type='chat'")
            self.assertEqual((len(self.warnings(got)), self.headlines(got)), (1, []), to)
            self.assertIsNotNone(self.warning(got[0]), to)

    def test_ordinary(self) -> None:
        """Others aren't bothered, and what they send isn't touched."""
        for sender in ("romeo@montague.example", "\u0438\u0432\u0430\u043d@jabber.org", "paypal@example.net", PAYPAL, "nurse@example.org"):
            got = self.arrive(sender + "/x", content="<body>hi</body>")
            self.assertEqual([(each.sender, each.childNames) for each in got], [(sender + "/x", ["jabber:client body"])], sender)
        self.assertEqual(self.audited(), [])

    def test_settled(self) -> None:
        """Whoever is taken into the roster is a stranger no more."""
        self.assertIsNotNone(self.warnings(self.arrive("paypa1@jabber.org/x"))[0])
        self.rig.send(self.session, b"<iq type='set' id='r'><query xmlns='jabber:iq:roster'><item jid='paypa1@jabber.org' name='The other'/></query></iq>")
        self.stream.take()
        self.assertEqual(self.warnings(self.arrive("paypa1@jabber.org/x")), [None])

    def test_domain(self) -> None:
        """A domain that looks like ours, and addresses that sound as if they spoke for us."""
        self.assertEqual(self.warnings(self.arrive("admin@example.org/x")), [None])
        for sender, reasons in (("juliet@examp1e.org", ["domain"]), ("admin@examp1e.org", ["domain", "protected"]), ("\u0430dmin@example.org", ["protected"]), ("paypal@\u0435xample.org", ["domain"])):
            (warned,) = self.warnings(self.arrive(sender + "/x"))
            assert warned is not None
            self.assertEqual(warned["reason"][: len(reasons)], reasons)

    def test_accounts(self) -> None:
        """An account that looks like another of the host; which one isn't disclosed unless the user knows it."""
        for local in ("bank", "b\u0430nk", "nur\u0455e"):
            self.rig.account(local)
        (warned,) = self.warnings(self.arrive("b\u0430nk@example.org/x"))
        assert warned is not None
        self.assertEqual((warned["reason"][0], warned.get("like", [])), ("look-alike", []))
        (warned,) = self.warnings(self.arrive("nur\u0455e@example.org/x"))
        assert warned is not None
        self.assertEqual(warned["like"], ["nurse@example.org"])

    def test_introduced(self) -> None:
        """Invitations and recommendations name others, who are looked at as well, each time."""
        room, inviter = "r\u043e\u043em@rooms.example.net", "paypa1@jabber.org"
        self.host.rosters.put(USER, RosterItem("room@rooms.example.net"))
        contents = (
            f"<x xmlns='{ns.MUC_USER}'><invite from='{inviter}/x'/></x>",
            f"<x xmlns='jabber:x:conference' jid='{room}'/>",
            f"<x xmlns='http://jabber.org/protocol/rosterx'><item jid='{inviter}'/><item jid='{inviter}' action='delete'/><item jid='{STPETER}'/></x>",
        )
        for _ in range(2):
            for content, expected in zip(contents, (inviter, room, inviter), strict=True):
                found = self.warnings(self.arrive("romeo@montague.example/x", content=content))
                self.assertEqual([each["jid"] for each in found if each], [expected], content)
        self.assertEqual(self.warnings(self.arrive("romeo@montague.example/x")), [None])

    def test_crowd(self) -> None:
        """Nobody hides a name behind many others."""
        bounced: list[str] = []
        self.patch(type(self.rig.router), "bounce", lambda router, stanza, error: bounced.append(error.condition.value))
        for count, refused in ((meeting.INTRODUCED - 1, 0), (meeting.INTRODUCED, 1)):
            items = "".join(f"<item jid='x{number}@example.net'/>" for number in range(count))
            content = f"<x xmlns='http://jabber.org/protocol/rosterx'>{items}<item jid='paypa1@jabber.org'/></x>"
            found = self.warnings(self.arrive("romeo@montague.example/x", content=content))
            self.assertEqual(([each["jid"] for each in found if each], len(bounced)), ([] if refused else ["paypa1@jabber.org"], refused))
            self.arrive(STPETER + "/x", content=content)
        self.assertEqual((bounced, self.warnings(self.arrive("romeo@montague.example/x"))), (["policy-violation"], [None]))

    def test_contactsIntroduce(self) -> None:
        """What contacts recommend is left to the user."""
        content = "<x xmlns='http://jabber.org/protocol/rosterx'><item jid='paypa1@jabber.org'/></x>"
        self.assertEqual(self.warnings(self.arrive(STPETER + "/x", content=content)), [None])

    def test_malformed(self) -> None:
        """Addresses that can't be are nobody's."""
        stanza = fromBytes(b"<message><x xmlns='jabber:x:conference' jid='a@@b'/><x xmlns='jabber:x:conference'/></message>")
        self.assertEqual(introduced(stanza), [])

    def test_forged(self) -> None:
        """Nobody but the server marks anything: not other servers, not clients."""
        forged = f"<body>x</body><warning xmlns='{ns.NAMES}' jid='{PAYPAL}'><reason>look-alike</reason></warning>"
        self.assertEqual(self.warnings(self.arrive("romeo@montague.example/x", content=forged)), [None])
        self.assertEqual(self.warnings(self.arrive(PAYPAL + "/x", content=forged)), [None])
        (warned,) = self.warnings(self.arrive("paypa1@jabber.org/x", content=forged))
        assert warned is not None
        self.assertEqual(warned["jid"], "paypa1@jabber.org")
        server = self.serve(accounts=("romeo", "juliet"))
        juliet, romeo = server.login("juliet", "x"), server.login("romeo", "x")
        romeo.send(f"<message to='juliet@example.org/x'>{forged}</message>")
        self.assertEqual([each.tag for each in juliet.one()], ["{jabber:client}body"])

    def test_notSpeech(self) -> None:
        """Errors, what comes from rooms, other presence and requests are no meetings."""
        for kind, attributes in (("message", "type='error'"), ("message", "type='groupchat'"), ("presence", ""), ("presence", "type='unsubscribed'"), ("iq", "type='result'")):
            got = self.arrive("paypa1@jabber.org/x", SESSION, kind, "<error/>" if "error" in attributes else "", attributes)
            self.assertFalse([each for each in got if self.warning(each)], (kind, attributes))
        self.assertEqual(self.headlines(self.stream.take()), [])

    def test_offline(self) -> None:
        """Who isn't there finds a message; a request keeps its mark until it is seen."""
        sent: list[Stanza] = []
        self.host.hooks.undeliverable.addChange(lambda stanza, bare: sent.append(stanza))
        self.session.end()
        self.arrive("paypa1@jabber.org/x")
        self.assertEqual([(each.sender, each.type) for each in sent], [("example.org", "normal"), ("paypa1@jabber.org/x", None)])
        self.assertIsNotNone(self.warning(sent[1]))
        self.subscribe("st\u0440eter@jabber.org")
        session, stream = self.rig.bind(SESSION)
        self.rig.send(session, b"<presence/>")
        (request,) = [each for each in stream.take() if each.type == "subscribe"]
        self.assertIsNotNone(self.warning(request))

    def test_nobody(self) -> None:
        """Accounts that aren't there are told nothing."""
        self.arrive("paypa1@jabber.org/x", "ghost@example.org")
        self.assertEqual(self.audited(), [])

    def test_enabled(self) -> None:
        """Clients that know the mark get no headlines, others of the account do."""
        _, other = self.rig.bind(USER + "/old", available=True)
        self.stream.take()
        self.rig.send(self.session, f"<iq type='set' id='e'><enable xmlns='{ns.NAMES}'/></iq>".encode())
        (answer,) = self.stream.take()
        self.assertEqual(answer.type, "result")
        self.assertEqual(self.headlines(self.arrive("paypa1@jabber.org/x", SESSION)), [])
        self.assertEqual(len(self.headlines(other.take())), 1)

    def test_headlinesAreBounded(self) -> None:
        """However many look-alikes somebody makes, the person isn't flooded; marks go on, and so does the next hour."""
        lines: list[str] = []
        for number in range(telling.PER_HOUR + 5):
            got = self.arrive(f"x@p\u0430ypal{number}.examp1e.org", content="<x xmlns='jabber:x:conference' jid='admin@examp1e.org'/>")
            lines += self.headlines(got)
        self.assertEqual([telling.MORE in each for each in lines], [False] * (telling.PER_HOUR - 1) + [True])
        self.rig.clock.advance(3600)
        self.assertEqual(len(self.headlines(self.arrive("paypa1@jabber.org/x"))), 1)

    def test_suspected(self) -> None:
        """Other features hear of it, to mark it in their own way."""
        seen: list[Stanza] = []
        self.host.hooks.suspected.addObserver(seen.append)
        self.arrive("romeo@montague.example/x")
        self.arrive("paypa1@jabber.org/x")
        self.assertEqual([each.sender for each in seen], ["paypa1@jabber.org/x"])

    def test_removed(self) -> None:
        """The next owner of a name meets everybody anew."""
        self.arrive("romeo@montague.example/x")
        meetings = self.host.hooks.door.refuse[0].__self__
        self.assertEqual(len(meetings._known), 1)
        self.host.hooks.removed.notify(USER)
        self.assertEqual((len(meetings._known), len(meetings._parties)), (0, 0))

    def test_contactsLater(self) -> None:
        """Who has written before there was anybody to be mistaken for is looked at again when there is."""
        for _ in range(2):
            self.assertEqual(self.warnings(self.arrive("1isa@jabber.org/x")), [None])
        self.rig.send(self.session, b"<iq type='set' id='r'><query xmlns='jabber:iq:roster'><item jid='lisa@jabber.org' name='Lisa'/></query></iq>")
        self.stream.take()
        got = self.arrive("1isa@jabber.org/x")
        self.assertEqual((len(self.headlines(got)), [each["like"] for each in self.warnings(got) if each]), (1, [["lisa@jabber.org"]]))

    def test_notForEver(self) -> None:
        """What was found holds for an hour, and as long as the configuration; nobody is told twice."""
        self.arrive("paypa1@jabber.org/x")
        asked, since = [], self.host.rosters.since
        self.patch(self.host.rosters, "since", lambda *arguments: asked.append(arguments) or since(*arguments))
        self.arrive("paypa1@jabber.org/x")
        self.assertEqual(asked, [])
        self.rig.clock.advance(meeting.FRESH)
        got = self.arrive("paypa1@jabber.org/x")
        self.assertEqual((len(asked), len([each for each in got if self.warning(each)]), self.headlines(got)), (1, 1, []))
        self.host.reconfigure(replace(self.host.config, names=NamesConfig(met="refuse")), self.host.limits)
        self.patch(type(self.rig.router), "bounce", lambda router, stanza, error: None)
        self.assertEqual((self.arrive("paypa1@jabber.org/x"), len(asked)), ([], 2))

    def test_resources(self) -> None:
        """Somebody in the roster with a resource, as gateways are, isn't mistaken for another."""
        self.host.rosters.put(USER, RosterItem("gateway.example.net/registered"))
        self.assertEqual(self.warnings(self.arrive("gateway.example.net")), [None])
        self.assertEqual(self.warnings(self.arrive("gateway.example.net/x")), [None])

    def test_occupants(self) -> None:
        """Private messages in rooms elsewhere introduce nobody, and aren't looked at each time."""
        content = f"<body>x</body><x xmlns='{ns.MUC_USER}'/>"
        self.arrive("room@rooms.example.net/nick", content=content, attributes="type='chat'")
        self.patch(self.host.rosters, "since", lambda account, version: fail(AssertionError("asked again")))
        self.assertEqual(len(self.arrive("room@rooms.example.net/nick", content=content, attributes="type='chat'")), 1)

    def test_bounds(self) -> None:
        """What is remembered has an end."""
        self.patch(meeting, "KNOWN", 3)
        for number in range(5):
            self.arrive(f"x{number}@montague.example/x")
        meetings = self.host.hooks.door.refuse[0].__self__
        self.assertEqual((len(meetings._known), sum(map(len, meetings._parties.values()))), (3, 6))


@spec("mission", "M2")
class WaitingTests(MeetingCase):
    """While a stranger is looked at, what he sends waits, in order, and nothing is lost."""

    def setUp(self) -> None:
        super().setUp()
        self.asked: list[Deferred[Any]] = []
        self.real = self.host.rosters.since
        self.patch(self.host.rosters, "since", self.ask)

    def ask(self, account: str, version: int) -> Deferred[Any]:
        """The database is slow."""
        self.asked.append(Deferred())
        return self.asked[-1]

    def proceed(self) -> list[Stanza]:
        """The database answers."""
        while self.asked:
            self.real(USER, 0).addCallback(self.asked.pop(0).callback)
        return self.stream.take()

    def test_order(self) -> None:
        """All that comes behind, of any kind."""
        for number in range(3):
            self.assertEqual(self.arrive("romeo@montague.example/x", content=f"<body>{number}</body>"), [])
        self.assertEqual(self.arrive("romeo@montague.example/x", SESSION, "presence", ""), [])
        self.assertEqual(len(self.arrive("mercutio@montague.example/x", kind="presence", to=SESSION, content="")), 1)
        self.assertEqual([each.elements()[0].text if each.kind == "message" else "presence" for each in self.proceed()], ["0", "1", "2", "presence"])

    def test_contacts(self) -> None:
        """Contacts of users who are there don't wait."""
        self.assertEqual(len(self.arrive(STPETER + "/x")), 1)

    def test_promises(self) -> None:
        """A sender isn't told that it is done before it is."""
        stanza = fromBytes(f"<message from='romeo@montague.example/x' to='{USER}'><body>x</body></message>".encode())
        stanza.promise = []
        self.rig.router.route(stanza)
        (promised,) = stanza.promise
        self.assertNoResult(promised)
        self.proceed()
        self.successResultOf(promised)

    def test_full(self) -> None:
        """There is a bound, and who exceeds it is told."""
        self.patch(meeting, "WAITING", 2)
        self.patch(meeting, "PAIRS_OF_DOMAIN", 1)
        bounced: list[Stanza] = []
        self.patch(type(self.rig.router), "bounce", lambda router, stanza, error: bounced.append((stanza.sender, error.condition.value)))
        for sender in ("a@b.example", "a@b.example", "a@b.example", "c@b.example", "a@d.example"):
            self.arrive(sender)
        self.patch(meeting, "PAIRS", 2)
        self.arrive("a@e.example")
        self.patch(meeting, "PAIRS", 9)
        self.patch(meeting, "WAITING_OCTETS", 1000)
        self.arrive("a@f.example", content=f"<body>{'x' * 1000}</body>")
        senders = ["a@b.example", "c@b.example", "a@e.example", "a@f.example"]
        self.assertEqual(bounced, [(sender, "resource-constraint") for sender in senders])
        self.assertEqual(len(self.proceed()), 3)
        meetings = self.host.hooks.door.refuse[0].__self__
        self.assertEqual((meetings._octets, dict(meetings._domains), meetings._waiting), (0, {}, {}))

    def test_fullDomain(self) -> None:
        """No domain has all the room, unless it is the host's own."""
        self.patch(meeting, "OCTETS_OF_DOMAIN", 1000)
        self.patch(meeting, "PAIRS_OF_DOMAIN", 1)
        bounced: list[str] = []
        self.patch(type(self.rig.router), "bounce", lambda router, stanza, error: bounced.append(stanza.sender))
        content = f"<body>{'x' * 800}</body>"
        for sender in ("a@b.example", "a@b.example", "a@c.example"):
            self.arrive(sender, content=content)
        for sender in ("romeo@example.org/x", "tybalt@example.org/x"):
            session, _ = self.rig.bind(sender)
            self.rig.send(session, f"<message to='{USER}'>{content}</message>".encode())
        self.assertEqual((bounced, len(self.asked)), (["a@b.example"], 1))
        self.assertEqual(len(self.proceed()), 4)
        meetings = self.host.hooks.door.refuse[0].__self__
        self.assertEqual((meetings._octets, dict(meetings._load)), (0, {}))

    def test_clientsAreNotRead(self) -> None:
        """What a client of the host sends next, to whatever address, doesn't come before what waits."""
        romeo, stream = self.rig.bind("romeo@example.org/x")
        self.rig.send(romeo, f"<message to='{USER}'/>".encode())
        (waits,) = stream.waits
        self.assertNoResult(waits)
        self.assertEqual(len(self.proceed()), 1)
        self.successResultOf(waits)
        self.rig.send(romeo, f"<message to='{USER}'/>".encode())
        self.assertEqual((len(self.stream.take()), len(stream.waits)), (1, 1))

    def test_mistake(self) -> None:
        """If something goes wrong on its way, nobody waits for it for ever, and what comes behind is answered."""
        bounced: list[Any] = []
        self.patch(type(self.rig.router), "bounce", lambda router, stanza, error: bounced.append(stanza.sender))
        stanza = fromBytes(f"<message from='romeo@montague.example/x' to='{USER}'><body>x</body></message>".encode())
        stanza.promise = []
        self.rig.router.route(stanza)
        (promised,) = stanza.promise
        self.arrive("romeo@montague.example/x")
        with mock.patch.object(self.rig.router, "table", None):
            self.proceed()
        self.successResultOf(promised)
        self.assertEqual((len(self.flushLoggedErrors(AttributeError)), bounced), (1, ["romeo@montague.example/x"]))
        meetings = self.host.hooks.door.refuse[0].__self__
        self.assertEqual((meetings._waiting, meetings._octets, meetings._looking), ({}, 0, set()))

    def test_stopping(self) -> None:
        """The server goes on with what waits before it closes the database."""
        self.arrive("romeo@montague.example/x")
        (stopping,) = [each() for each in self.host.hooks.stopping.observe if "Meetings" in repr(each)]
        self.assertNoResult(stopping)
        self.assertEqual(len(self.proceed()), 1)
        self.successResultOf(stopping)

    def test_unavailable(self) -> None:
        """Without the database nobody gets through unseen."""
        bounced: list[Any] = []
        self.patch(type(self.rig.router), "bounce", lambda router, stanza, error: bounced.append(error.condition.value))
        self.arrive("paypa1@jabber.org")
        self.arrive("paypa1@jabber.org")
        self.asked.pop().errback(StoreUnavailable("x"))
        self.assertEqual((bounced, self.stream.take()), (["resource-constraint"] * 2, []))
        self.arrive("paypa1@jabber.org")
        self.assertEqual(len(self.warnings(self.proceed())), 1)

    def test_manyContacts(self) -> None:
        """A long roster is compared in several turns."""
        for number in range(contacts.BATCH + 1):
            self.host.rosters.put(USER, RosterItem(f"x{number}@example.net"))
        self.arrive("paypa1@jabber.org")
        self.assertEqual(self.proceed(), [])
        self.rig.clock.advance(0)
        self.assertEqual(len(self.warnings(self.stream.take())), 1)


class RostersTests(MeetingCase):
    """Rosters are read once, and what has changed since."""

    def setUp(self) -> None:
        super().setUp()
        self.rosters = contacts.Rosters(self.host)

    def alike(self, jid: str) -> list[str]:
        """Whom an address looks like just now."""
        return self.successResultOf(Deferred.fromCoroutine(self.rosters.of(USER))).alike(parse(jid))

    def test_changes(self) -> None:
        """Whoever comes, goes, or comes back."""
        asked, since = [], self.host.rosters.since
        self.patch(self.host.rosters, "since", lambda *arguments: asked.append(arguments[1]) or since(*arguments))
        self.assertEqual(self.alike("paypa1@jabber.org"), [PAYPAL])
        self.host.rosters.put(USER, RosterItem("paypa1@jabber.org/x", name="y"))
        self.host.rosters.put(USER, RosterItem("p\u0430ypal@jabber.org"))
        self.assertEqual(self.alike("paypa1@jabber.org"), [PAYPAL, "p\u0430ypal@jabber.org"])
        self.host.rosters.delete(USER, PAYPAL)
        self.host.rosters.delete(USER, STPETER)
        self.assertEqual(self.alike("paypa1@jabber.org"), ["p\u0430ypal@jabber.org"])
        self.assertEqual(self.alike(CHEROKEE), [])
        self.host.rosters.put(USER, RosterItem(PAYPAL))
        self.assertEqual(self.alike("paypa1@jabber.org"), [PAYPAL, "p\u0430ypal@jabber.org"])
        self.assertEqual((asked[0], all(asked[1:])), (0, True))

    def test_bounds(self) -> None:
        """Those that weren't needed for longest are forgotten; none is kept of which half is known."""
        self.patch(contacts, "KEPT", 30)
        for number in range(5):
            self.successResultOf(Deferred.fromCoroutine(self.rosters.of(f"x{number}@example.org")))
        self.assertEqual((list(self.rosters._kept), self.rosters._count), (["x2@example.org", "x3@example.org", "x4@example.org"], 30))
        self.patch(self.host.rosters, "since", lambda account, version: fail(StoreUnavailable("x")))
        self.failureResultOf(Deferred.fromCoroutine(self.rosters.of("x2@example.org")), StoreUnavailable)
        self.assertEqual((list(self.rosters._kept), self.rosters._count), (["x3@example.org", "x4@example.org"], 20))


@spec("mission", "M2")
class LocalTests(MeetingCase):
    """What clients of the host send one another directly is looked at only if their addresses can deceive."""

    def test_ordinary(self) -> None:
        """Nobody is asked anything."""
        romeo, _ = self.rig.bind("romeo@example.org/x")
        self.assertEqual((romeo.sending, self.session.receiving), (False, False))
        self.rig.send(romeo, f"<message to='{SESSION}'><body>x</body></message>".encode())
        self.assertEqual((self.warnings(self.stream.take()), self.session.receiving), ([None], False))

    def test_letters(self) -> None:
        """Who has other letters is watched, and whom he writes to looks at what comes."""
        self.rig.account("nurse")
        fake, _ = self.rig.bind("nur\u0455e@example.org/x")
        self.assertTrue(fake.sending)
        for to in (SESSION, USER):
            self.rig.send(fake, f"<message to='{to}'><body>x</body></message>".encode())
            (warned,) = self.warnings(self.stream.take())
            assert warned is not None
            self.assertEqual(warned["like"], ["nurse@example.org"])
        self.assertTrue(self.session.receiving)

    def test_doubles(self) -> None:
        """So is who looks like another account, wherever it was made, and whenever it came."""
        self.rig.account("paypal")
        self.host.rosters.put(USER, RosterItem("paypal@example.org", subscription="both"))
        fake, _ = self.rig.bind("paypa1@example.org/x")
        self.assertTrue(fake.sending)  # known when it was registered
        rig = Rig(rfc6121_im.feature, xep0165_mimicry.feature, store=self.rig.store)
        rig.host.hooks.starting.notify()
        rig.host._known["paypa1@example.org"] = True
        session, _ = rig.bind("paypa1@example.org/x")
        self.assertFalse(session.sending)
        rig.clock.advance(meeting.SEARCH_SECONDS)
        self.assertTrue(session.sending)

    def test_storeUnavailable(self) -> None:
        """That they can't be looked for is no reason not to start."""
        self.patch(self.host.nameIndex, "groups", lambda *arguments: fail(StoreUnavailable("x")))
        self.rig.clock.advance(meeting.SEARCH_SECONDS)
        self.assertTrue([each for each in self.events if "look-alikes among accounts" in each.get("log_format", "")])


@spec("XEP-0165", "2.1")
@spec("mission", "M1")
class LanguageTests(MeetingCase):
    """Strangers whose address is written as in no language of the user's."""

    more = ()

    def test_heard(self) -> None:
        """What a client says of its stream is kept, and counts when nobody is there."""
        got = self.arrive("\u0438\u0432\u0430\u043d@jabber.org")
        self.assertEqual(self.warnings(got), [None])
        self.session.end()
        session, stream = self.bindWith("de")
        self.assertEqual(self.successResultOf(self.host.facts.get(USER, "languages", "heard")), b"de")
        self.rig.send(session, b"<presence/>")
        stream.take()
        self.arrive("\u043f\u0451\u0442\u0440@jabber.org")
        got = stream.take()
        (warned,) = self.warnings(got)
        self.assertEqual(warned, {"jid": "\u043f\u0451\u0442\u0440@jabber.org", "reason": ["foreign"], "script": ["Cyrl"]})
        self.assertIn("CYRILLIC SMALL LETTER IO", self.headlines(got)[0])
        session.end()
        self.arrive("\u043c\u0430\u0440\u0438\u044f@jabber.org")
        self.assertIn(ascii("\u043c\u0430\u0440\u0438\u044f@jabber.org"), self.audited())

    def bindWith(self, language: str) -> tuple[Any, Any]:
        """A client that speaks a language."""
        stream = FakeStream(self.host, FakeAccount(USER), self.rig.clock)
        stream.language = language
        session = self.successResultOf(self.host.bind(stream, "home"))
        stream.session = session
        return session, stream

    def test_spoken(self) -> None:
        """Those who read it aren't warned; ASCII is read by everybody."""
        self.session.end()
        session, stream = self.bindWith("ru")
        self.rig.send(session, b"<presence/>")
        stream.take()
        for sender in ("\u043c\u0430\u0440\u0438\u044f@jabber.org", "romeo@jabber.org"):
            self.arrive(sender)
            self.assertEqual(self.warnings(stream.take()), [None])

    def test_own(self) -> None:
        """Clients say that everybody speaks English; whose address or contacts have other letters reads those."""
        self.session.end()
        russian = FakeStream(self.host, FakeAccount("\u0438\u0432\u0430\u043d@example.org"), self.rig.clock)
        for session, stream in ((self.successResultOf(self.host.bind(russian, "x")), russian), self.bindWith("en")):
            stream.session, stream.language = session, "en"
            self.rig.send(session, b"<presence/>")
            stream.take()
            for sender, foreign in (("\u043c\u0430\u0440\u0438\u044f@jabber.org", session.bare == USER), ("\u05e9\u05dc\u05d5\u05dd@jabber.org", True)):
                self.arrive(sender, session.bare)
                (got,) = self.warnings(stream.take())
                self.assertEqual(got["reason"] if got else [], ["foreign"] * foreign, sender)
        self.host.rosters.put(USER, RosterItem("petr@jabber.org", name="\u041f\u0451\u0442\u0440"))
        self.arrive("\u0430\u043d\u043d\u0430@jabber.org")
        self.assertEqual(self.warnings(stream.take()), [None])
        self.host.rosters.put(USER, RosterItem("petr@jabber.org", name="Peter"))
        self.arrive("\u043e\u043b\u044f@jabber.org")
        self.assertIsNotNone(self.warnings(stream.take())[0])
        self.host.rosters.put(USER, RosterItem("petr@jabber.org", name="\u041f\u0451\u0442\u0440"))
        self.host.facts.put(USER, "languages", "chosen", b'["en"]')
        self.arrive("\u043a\u0430\u0442\u044f@jabber.org")
        self.assertIsNotNone(self.warnings(stream.take())[0])

    def test_stored(self) -> None:
        """Only what is new is written, and nothing of it is anybody's else."""
        writes: list[Any] = []
        put = self.host.facts.put
        self.patch(self.host.facts, "put", lambda *arguments: writes.append(arguments[:3]) or put(*arguments))
        for language in ("de", "de", "en", "no tag!", "x" * 50, "en"):
            self.session.end()
            self.session, _ = self.bindWith(language)
        self.assertEqual(len(writes), 2)

    def test_command(self) -> None:
        """A user can choose, change the mind, and be wrong."""
        server = self.serve(accounts=("romeo",), host='guests = "public"')
        romeo = server.login("romeo")

        def run(client: TestClient, *values: str) -> Any:
            first = client.ask(f"<iq type='set' id='1' to='example.org'><command xmlns='http://jabber.org/protocol/commands' node='{NODE}'/></iq>")
            if first.get("type") == "error":
                return first
            session = first[0].get("sessionid")
            texts = "".join(f"<value>{value}</value>" for value in values)
            return client.ask(
                f"<iq type='set' id='2' to='example.org'><command xmlns='http://jabber.org/protocol/commands' node='{NODE}' sessionid='{session}'>"
                f"<x xmlns='jabber:x:data' type='submit'><field var='languages'>{texts}</field></x></command></iq>"
            )

        self.assertEqual(run(romeo, "de", "zh-Hant de").get("type"), "result")
        known = server.store.facts.all("romeo@example.org", "languages")
        self.assertEqual(self.successResultOf(known), {"chosen": b'["de", "zh-Hant"]'})
        self.assertError(run(romeo, "not a tag, I fear"), "bad-request")
        self.assertError(run(romeo, *(f"a{number}" for number in range(21))), "bad-request")
        self.assertEqual(run(romeo).get("type"), "result")
        self.assertEqual(self.successResultOf(server.store.facts.all("romeo@example.org", "languages")), {})
        self.assertError(run(server.login(None)), "not-allowed")


class RefusingTests(MeetingCase):
    """A host that lets nobody through who may deceive."""

    config = {"met": "refuse"}

    def test_refused(self) -> None:
        """The sender hears that it can't be, but not why; a request is just dropped; the log has both."""
        bounced: list[Any] = []
        self.patch(type(self.rig.router), "bounce", lambda router, stanza, error: bounced.append((error.condition.value, error.application)))
        for _ in range(2):
            self.assertEqual(self.arrive("paypa1@jabber.org/x"), [])
        self.assertEqual(bounced, [("policy-violation", b"")] * 2 if bounced[0][1] == b"" else [("policy-violation", None)] * 2)
        self.assertEqual(self.subscribe("paypa1@jabber.org"), [])
        self.assertEqual((len(bounced), len(self.audited())), (2, 2))
        self.assertEqual(self.warnings(self.arrive("romeo@montague.example")), [None])


class AllowingTests(MeetingCase):
    """A host that doesn't look."""

    config = {"met": "allow"}

    def test_allowed(self) -> None:
        """Nobody waits, nothing is marked."""
        self.assertEqual(self.warnings(self.arrive("paypa1@jabber.org/x")), [None])
        self.assertEqual(self.audited(), [])


class BlockingTests(MeetingCase):
    """Together with XEP-0191."""

    more = (xep0191_blocking.feature,)

    def test_blocked(self) -> None:
        """Nobody is bothered by whom he has blocked, be he there or not; nor is anything remembered."""
        self.rig.send(self.session, b"<iq type='set' id='b'><block xmlns='urn:xmpp:blocking'><item jid='jabber.org'/></block></iq>")
        self.stream.take()
        sent: list[Stanza] = []
        self.host.hooks.undeliverable.addChange(lambda stanza, bare: sent.append(stanza))
        for _ in range(2):
            self.assertEqual((self.arrive("paypa1@jabber.org/x"), self.subscribe("paypa1@jabber.org")), ([], []))
            self.session.end()
        self.assertEqual((sent, self.audited()), ([], []))
        self.session, self.stream = self.rig.bind(SESSION, available=True)
        self.rig.send(self.session, b"<iq type='set' id='u'><unblock xmlns='urn:xmpp:blocking'/></iq>")
        self.stream.take()
        self.assertEqual(len(self.headlines(self.arrive("paypa1@jabber.org/x"))), 1)


class EvilTests(MeetingCase):
    """Together with XEP-0076."""

    more = (xep0076_evil.feature,)
    options = {("xep0076_evil", "mark"): True}

    @spec("mission", "E7")
    def test_marked(self) -> None:
        """What is suspected says that it is evil."""
        (got,) = [each for each in self.arrive("paypa1@jabber.org/x") if each.sender != "example.org"]
        self.assertEqual(got.childNames, ["jabber:client body", f"{ns.EVIL} evil", WARNING])


class MeetingHookTests(MeetingCase):
    """Other features look at requests to subscribe."""

    def test_reasons(self) -> None:
        """What they find is said with the rest, or alone."""

        async def look(met: Meeting) -> None:
            self.assertEqual((met.recipient, met.roster[PAYPAL].name), (USER, "x"))
            met.reasons.append("key")
            met.alike.append("Mum")

        self.host.hooks.meeting.addObserver(look)
        (warned,) = self.warnings(self.subscribe("romeo@montague.example"))
        self.assertEqual(warned, {"jid": "romeo@montague.example", "reason": ["key"], "like": ["Mum"]})
        (warned,) = self.warnings(self.subscribe("paypa1@jabber.org"))
        assert warned is not None
        self.assertEqual((warned["reason"], warned["like"]), (["key", "look-alike"], ["Mum", PAYPAL]))


@spec("mission", "M3")
class SentenceTests(ServerCase):
    """What people read."""

    def test_visible(self) -> None:
        """Nothing in it can hide or turn anything."""
        self.assertEqual(visible("a\u202eb\u200b\u00a0c d\n\x00"), "a<U+202E>b<U+200B><U+00A0>c d<U+000A>\ufffd")

    def test_sentences(self) -> None:
        """Whom, why, whom not, and with which letters."""
        verdict = NameVerdict("met", "p\u0430ypal@x", "warn", ("look-alike", "mixed-scripts", "invisible", "marks"), ("paypal@x",))
        self.assertEqual(
            sentences(verdict),
            "Careful with p\u0430ypal@x: it looks like another address; it mixes letters of several scripts; it has"
            " characters that can't be seen or are easily mistaken. It is not paypal@x. It is written with U+0430 CYRILLIC"
            " SMALL LETTER A.",
        )
        many = NameVerdict("met", CHEROKEE, "warn", ("foreign",))
        self.assertIn("; and 5 more.", sentences(many))
