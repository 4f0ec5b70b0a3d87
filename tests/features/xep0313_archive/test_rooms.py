"""Tests of L{xmppd.features.xep0313_archive.rooms}."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer
from zope.interface.verify import verifyObject

from tests.doubles import FailingStore, Rig
from tests.features.xep0313_archive.archiving import MAM, SID, bodyOf, field, messageIn, query
from tests.marks import spec
from xmppd.config import HostConfig
from xmppd.features import xep0045_muc
from xmppd.features.xep0313_archive import feature
from xmppd.features.xep0313_archive.retention import FIRST_SECONDS
from xmppd.hooks import Feature
from xmppd.ixmppd import ArchivedMessage, ArchiveQuery, IDestination, IHost, IRoomArchive, IRooms, StoreUnavailable
from xmppd.wire.archiveids import prefixOf
from xmppd.wire.element import Element
from xmppd.wire.errors import StanzaCondition, StanzaError
from xmppd.wire.jid import JID
from xmppd.wire.stanza import Stanza, fromBytes

DOMAIN = "chat.example.org"
ROOM = f"coven@{DOMAIN}"
WITCH = "crone@example.net"
HAG = "hag@example.net"
BANNED = "macbeth@example.net"
HECATE = "hecate@example.net"
USER = "http://jabber.org/protocol/muc#user"
RETRACTION = "urn:xmpp:message-retract:1"
OCCUPANT = "<occupant-id xmlns='urn:xmpp:occupant-id:0' id='o'/>"


@implementer(IRooms)
class FakeRooms:
    """One room, which Macbeth may not read, and where only Hecate knows who is who."""

    def __init__(self) -> None:
        self.archive: IRoomArchive | None = None
        self.logging = True
        self.banned = {BANNED}

    def names(self) -> Sequence[str]:
        """See L{IRooms}."""
        return (f"a@{DOMAIN}", ROOM)

    def info(self, room: str) -> Mapping[str, Any] | None:
        """See L{IRooms}."""
        return None

    def establish(self, room: str, owner: str, name: str) -> Deferred[None]:
        """See L{IRooms}."""
        return succeed(None)

    def destroy(self, room: str, venue: str | None = None, reason: str | None = None) -> Deferred[None]:
        """See L{IRooms}."""
        return succeed(None)

    def setAffiliation(self, room: str, jid: str, affiliation: str) -> Deferred[None]:
        """See L{IRooms}."""
        return succeed(None)

    def mayRead(self, room: str, jid: JID) -> StanzaError | None:
        """See L{IRooms}."""
        if room != ROOM:
            return StanzaError(StanzaCondition.ITEM_NOT_FOUND)
        return StanzaError(StanzaCondition.FORBIDDEN) if jid.bare in self.banned else None

    def seesJIDs(self, room: str, jid: JID, disclosed: bool) -> bool:
        """See L{IRooms}."""
        return disclosed or jid.bare == HECATE

    def guestsBehind(self, room: str, nick: str, moderator: JID) -> Sequence[str]:
        """See L{IRooms}."""
        return ()

    def isArchived(self, room: str) -> bool:
        """See L{IRooms}."""
        return self.logging


def message(owner: str, stamp: float) -> ArchivedMessage:
    """A message in somebody's archive."""
    return ArchivedMessage(f"{prefixOf(stamp)}-1", owner, owner, stamp, b"<message/>")


@implementer(IDestination)
class Elsewhere:
    """All other domains."""

    domain = ""

    def __init__(self) -> None:
        self.got: list[Stanza] = []

    def deliver(self, stanza: Stanza) -> None:
        """See L{IDestination}."""
        self.got.append(stanza)


class RoomCase(SynchronousTestCase):
    """A room with an archive; who asks is on another server."""

    def setUp(self) -> None:
        self.rooms = FakeRooms()

        def join(host: IHost) -> None:
            host.rooms = self.rooms

        self.store = FailingStore()
        config = HostConfig(DOMAIN, table="rooms", accounts=False)
        rooms = Feature(name="rooms", join=join)
        options = {("xep0313_archive", "retention_days"): 1}
        self.rig = Rig(rooms, feature, domain=DOMAIN, config=config, store=self.store, options=options)
        self.elsewhere = self.rig.router.remote = Elsewhere()
        assert self.rooms.archive is not None
        self.kept = self.rooms.archive

    def turn(self, count: int = 3) -> None:
        """What was archived is written."""
        for _ in range(count):
            self.rig.clock.advance(0)

    def say(
        self, nick: str, sender: str, inner: str = "<body>hi</body>", id: str = "m", disclosed: bool = False
    ) -> str:
        """Something is said in the room; answers its stanza id, or an empty text if it gets none."""
        mine = self.allot(inner)
        if mine is None:
            return ""
        given = f"{OCCUPANT}<stanza-id xmlns='{SID}' by='{ROOM}' id='{mine}'/>"
        raw = f"<message from='{ROOM}/{nick}' type='groupchat' id='{id}'>{inner}{given}</message>"
        self.kept.archive(ROOM, mine, fromBytes(raw.encode()), sender, disclosed)
        self.turn()
        return mine

    def allot(self, inner: str = "<body>a</body>") -> str | None:
        """The id of a message."""
        return self.kept.allot(ROOM, fromBytes(f"<message type='groupchat'>{inner}</message>".encode()))

    def archive(self) -> list[ArchivedMessage]:
        """What is in the archive."""
        found: list[Any] = []
        self.rig.host.archives.query(ROOM, ArchiveQuery(limit=1000)).addCallback(found.append)
        return list(found[0].messages)

    def ask(self, sender: str, payload: str, type: str = "set", room: str = ROOM) -> list[Stanza]:
        """Somebody asks; answers all that comes."""
        self.elsewhere.got.clear()
        self.rig.inject(f"<iq from='{sender}/x' to='{room}' type='{type}' id='1'>{payload}</iq>".encode())
        self.turn()
        for each in self.elsewhere.got:
            self.assertEqual((each.sender, each.to), (room, f"{sender}/x"))
        return list(self.elsewhere.got)

    def results(self, sender: str, payload: str) -> list[Element]:
        """The messages in the results."""
        *results, fin = self.ask(sender, payload)
        self.assertEqual(fin.type, "result", fin.raw)
        return [messageIn(each.elements()[0]) for each in results]

    def error(self, sender: str, payload: str, type: str = "set", room: str = ROOM) -> bytes:
        """The bytes of an error."""
        (answer,) = self.ask(sender, payload, type, room)
        self.assertEqual(answer.type, "error")
        return answer.raw


class ArchiveTests(RoomCase):
    """What is archived."""

    def test_interface(self) -> None:
        """What rooms are given is what they expect."""
        verifyObject(IRoomArchive, self.kept)
        verifyObject(IRooms, self.rooms)

    @spec("XEP-0313", "6.1.2")
    def test_said(self) -> None:
        """Messages with a body and changes of the subject are archived, once; states are not, nor what asks not to be."""
        self.say("witch", WITCH)
        self.say("witch", WITCH, "<subject>toil</subject>")
        composing = self.say("witch", WITCH, "<composing xmlns='http://jabber.org/protocol/chatstates'/>")
        unstored = self.say("witch", WITCH, "<body>a</body><no-store xmlns='urn:xmpp:hints'/>")
        self.assertEqual((composing, unstored), ("", ""))
        first, second = self.archive()
        self.assertEqual((first.peer, first.resource, first.sender), (f"{ROOM}/witch", "", WITCH))
        self.assertIn(b"<subject>", second.stanza)

    @spec("XEP-0359", "3")
    def test_ids(self) -> None:
        """The id that occupants are told is that in the archive."""
        id = self.say("witch", WITCH)
        self.assertEqual(self.archive()[0].id, id)

    def test_durable(self) -> None:
        """Who promises something waits for the archive."""
        self.store.holding = True
        id = self.allot()
        assert id is not None
        stanza = fromBytes(f"<message from='{ROOM}/w' type='groupchat'><body>a</body></message>".encode())
        done = self.kept.archive(ROOM, id, stanza, WITCH, False)
        assert done is not None
        self.turn()
        self.assertFalse(done.called)
        self.store.proceed()
        self.assertTrue(done.called)

    def test_forgotten(self) -> None:
        """With the room its archive is gone."""
        self.say("witch", WITCH)
        late = self.allot()
        assert late is not None
        self.kept.archive(ROOM, late, fromBytes(b"<message><body>late</body></message>"), WITCH, False)
        self.kept.forget(ROOM)
        self.turn()
        self.assertEqual(self.archive(), [])

    @spec("mission", "A7")
    def test_removed(self) -> None:
        """An account is gone: what it has said stays without its address, also what is being written just now."""
        self.say("witch", WITCH)
        self.store.holding = True
        for _ in range(2):
            late = self.allot()
            assert late is not None
            self.kept.archive(ROOM, late, fromBytes(b"<message><body>late</body></message>"), WITCH, False)
            self.turn()
        self.rig.host.hooks.removed.notify(WITCH)
        self.store.holding = False
        for _ in range(5):
            self.store.proceed()
            self.turn()
        self.assertEqual([each.sender for each in self.archive()], ["", "", ""])

    def test_author(self) -> None:
        """Who said something, as far as that is known."""
        id = self.say("witch", WITCH)
        self.assertEqual(self.successResultOf(self.kept.author(ROOM, id)), WITCH)
        self.rig.host.hooks.removed.notify(WITCH)
        self.assertEqual(self.successResultOf(self.kept.author(ROOM, id)), "")
        self.assertIsNone(self.successResultOf(self.kept.author(ROOM, "no")))

    def test_sweep(self) -> None:
        """What rooms that are no more have left goes; those that are, accounts, and what is new stay."""
        old, new = self.rig.clock.seconds() - 1, self.rig.clock.seconds() + 1
        owners = (ROOM, f"gone@{DOMAIN}", "romeo@example.org", f"x@y.{DOMAIN}")
        self.rig.host.archives.add([message(owner, old) for owner in owners])
        self.rig.host.archives.add([message(f"back@{DOMAIN}", stamp) for stamp in (old, new)])
        self.kept.sweep()
        self.turn()
        left = {owner: self.successResultOf(self.rig.host.archives.count(owner)) for owner in owners}
        self.assertEqual(left, {ROOM: 1, f"gone@{DOMAIN}": 0, "romeo@example.org": 1, f"x@y.{DOMAIN}": 1})
        self.assertEqual(self.successResultOf(self.rig.host.archives.count(f"back@{DOMAIN}")), 1)

    def test_retention(self) -> None:
        """Archives of rooms are visited as those of accounts."""
        for observer in self.rig.host.hooks.starting.observe:
            observer()
        self.say("witch", WITCH)
        self.rig.clock.pump([FIRST_SECONDS, 1, 1])
        self.assertEqual(len(self.archive()), 1)
        self.rig.clock.advance(86400)
        self.rig.clock.pump([1] * 5)
        self.assertEqual(self.archive(), [])


class QueryTests(RoomCase):
    """Who may read what."""

    @spec("XEP-0313", "6.1.2")
    def test_results(self) -> None:
        """What was said, from occupant JIDs, without C{to}; nothing tells who it was."""
        self.say("witch", WITCH, "<body>Thrice</body>")
        self.say("hag", HAG, f"<body>and once</body><x xmlns='{USER}'><item jid='{WITCH}'/></x>")
        messages = self.results(HAG, query())
        self.assertEqual([each.get("from") for each in messages], [f"{ROOM}/witch", f"{ROOM}/hag"])
        for message in messages:
            self.assertIsNone(message.get("to"))
            self.assertNotIn(WITCH.encode(), message.toBytes())
            self.assertNotIn(HAG.encode(), message.toBytes())

    @spec("XEP-0313", "6.1.2", "8.4")
    def test_realAddresses(self) -> None:
        """Who may know them when he asks is told the real addresses, and not what others claim."""
        self.say("hag", HAG, f"<body>and once</body><x xmlns='{USER}'><item jid='{WITCH}'/></x>")
        (message,) = self.results(HECATE, query())
        (x,) = message.elements("x", USER)
        item = x.find("item")
        assert item is not None
        self.assertEqual(item.get("jid"), HAG)

    @spec("XEP-0313", "8.4")
    def test_disclosed(self) -> None:
        """Of what was said while only moderators saw real addresses, only they are told them later."""
        self.say("witch", WITCH)
        self.say("witch", WITCH, disclosed=True)
        self.assertEqual([WITCH.encode() in each.toBytes() for each in self.results(HAG, query())], [False, True])
        self.assertEqual([WITCH.encode() in each.toBytes() for each in self.results(HECATE, query())], [True, True])

    @spec("XEP-0313", "6.1.2", "8.1")
    def test_access(self) -> None:
        """Who may not enter may not read, whatever he asks, and also if that is found out late."""
        self.say("witch", WITCH)
        asking = (("set", query()), ("get", f"<query xmlns='{MAM}'/>"), ("get", f"<metadata xmlns='{MAM}'/>"))
        for type, payload in asking:
            self.assertIn(b"<forbidden", self.error(BANNED, payload, type))
            self.assertIn(b"<item-not-found", self.error(HAG, payload, type, f"other@{DOMAIN}"))
        self.rooms.logging = False
        self.assertIn(b"<service-unavailable", self.error(HAG, query()))
        self.rooms.logging = True
        self.assertEqual(self.ask(HAG, f"<query xmlns='{MAM}'/>", "get")[0].type, "result")
        metadata = self.ask(HAG, f"<metadata xmlns='{MAM}'/>", "get")[0].elements()[0]
        self.assertIsNotNone(metadata.find("end"))

    @spec("XEP-0313", "4.1.1")
    def test_with(self) -> None:
        """By occupant; real addresses tell nothing."""
        self.say("witch", WITCH)
        self.say("hag", HAG)
        self.assertEqual(len(self.results(HAG, query(field("with", f"{ROOM}/witch")))), 1)
        self.assertEqual(len(self.results(HAG, query(field("with", ROOM)))), 2)
        self.assertEqual(self.results(HAG, query(field("with", WITCH))), [])
        self.assertEqual(self.results(HECATE, query(field("with", WITCH))), [])

    def test_flipped(self) -> None:
        """Pages are flipped as in accounts' archives."""
        for text in "abc":
            self.say("witch", WITCH, f"<body>{text}</body>")
        said = [each.textOf("body") for each in self.results(HAG, query(set="<max>2</max>", more="<flip-page/>"))]
        self.assertEqual(said, ["b", "a"])


class RetractionTests(RoomCase):
    """XEP-0424 and XEP-0425 in rooms."""

    def stone(self) -> Stanza:
        """What stands in the place of the first message."""
        return fromBytes(self.archive()[0].stanza)

    def retract(self, id: str, sender: str) -> None:
        """An occupant takes something back."""
        self.say("witch", sender, f"<retract xmlns='{RETRACTION}' id='{id}'/><body>x</body>", "r")

    @spec("XEP-0424", "4", "5")
    def test_own(self) -> None:
        """An occupant takes back what he has said, and only that."""
        id = self.say("witch", WITCH, "<body>secret</body>")
        self.retract(id, HAG)
        self.assertIn(b"secret", self.stone().raw)
        self.retract(id, WITCH)
        stone = self.stone()
        self.assertNotIn(b"secret", stone.raw)
        self.assertEqual(stone.attrs, {"from": f"{ROOM}/witch", "type": "groupchat", "id": "m"})
        occupant, mark = stone.elements()
        self.assertEqual((occupant.get("id"), mark.get("id")), ("o", "r"))
        self.assertEqual(len(self.archive()), 3)
        self.retract("unknown", WITCH)

    @spec("XEP-0425", "4")
    def test_moderated(self) -> None:
        """A moderator's retraction leaves a tombstone with his mark; twice is no mistake."""
        id = self.say("witch", WITCH, "<body>secret</body>")
        mark = b"<moderated xmlns='urn:xmpp:message-moderate:1' by='x@y/z'/>"
        self.assertTrue(self.successResultOf(self.kept.retract(ROOM, id, mark)))
        self.assertTrue(self.successResultOf(self.kept.retract(ROOM, id, b"")))
        self.assertFalse(self.successResultOf(self.kept.retract(ROOM, "no", mark)))
        _, retracted = self.stone().elements()
        self.assertEqual(retracted.qname, f"{RETRACTION} retracted")
        self.assertEqual([each.name for each in retracted.elements("moderated", "urn:xmpp:message-moderate:1")], ["moderated"])
        self.assertEqual(bodyOf(self.stone().raw), "")

    def test_outage(self) -> None:
        """If the archive can't be read the moderator is told; an occupant's retraction stays as it is."""
        id = self.say("witch", WITCH, "<body>secret</body>")
        self.store.failReads = True
        self.failureResultOf(self.kept.retract(ROOM, id, b""), StoreUnavailable)
        self.retract(id, WITCH)
        self.store.failReads = 0
        self.assertIn(b"secret", self.stone().raw)


class WholeTests(SynchronousTestCase):
    """Rooms as they are (XEP-0045), with archives."""

    def setUp(self) -> None:
        config = HostConfig(DOMAIN, table="rooms", accounts=False, admins=(HECATE,))
        self.rig = Rig(xep0045_muc.feature, feature, domain=DOMAIN, config=config)
        self.elsewhere = self.rig.router.remote = Elsewhere()
        for observer in self.rig.host.hooks.starting.observe:
            observer()

    def send(self, sender: str, kind: str, attrs: str, inner: str = "") -> list[Stanza]:
        """Somebody sends something; answers what everybody gets."""
        self.elsewhere.got.clear()
        self.rig.inject(f"<{kind} from='{sender}/x' {attrs}>{inner}</{kind}>".encode())
        for _ in range(3):
            self.rig.clock.advance(0)
        return list(self.elsewhere.got)

    def enter(self, sender: str, nick: str) -> None:
        """Somebody enters the room."""
        self.send(sender, "presence", f"to='{ROOM}/{nick}'", "<x xmlns='http://jabber.org/protocol/muc'/>")

    def ask(self, sender: str, payload: str, type: str = "set") -> list[Stanza]:
        """Somebody asks the room."""
        return self.send(sender, "iq", f"to='{ROOM}' type='{type}' id='q'", payload)

    @spec("XEP-0313", "3.3.2", "3.5", "6.1.2", "7")
    def test_conversation(self) -> None:
        """What is said in a room is found under the stanza id that occupants saw; who is banned finds nothing."""
        self.enter(HECATE, "hecate")
        self.ask(
            HECATE, "<query xmlns='http://jabber.org/protocol/muc#owner'><x xmlns='jabber:x:data' type='submit'/></query>"
        )
        self.enter(WITCH, "witch")
        said = f"to='{ROOM}' type='groupchat' id='m'"
        (heard, *_) = self.send(WITCH, "message", said, "<body>Thrice the brinded cat</body>")
        told = next(each.get("id") for each in heard.elements() if each.qname == f"{SID} stanza-id")
        private = f"to='{ROOM}/hecate' type='chat'"
        self.send(WITCH, "message", private, "<body>privately</body>")
        result, fin = self.ask(HAG, query())
        self.assertEqual(result.elements()[0].get("id"), told)
        message = messageIn(result.elements()[0])
        self.assertEqual((message.get("from"), message.get("to")), (f"{ROOM}/witch", None))
        self.assertNotIn(WITCH.encode(), result.raw)
        self.assertIn(b"complete='true'", fin.raw)
        self.assertIn(WITCH.encode(), self.ask(HECATE, query())[0].raw)
        (info,) = self.ask(HAG, "<query xmlns='http://jabber.org/protocol/disco#info'/>", "get")
        self.assertIn(b"urn:xmpp:mam:2#extended", info.raw)
        ban = f"<item jid='{BANNED}' affiliation='outcast'/>"
        self.ask(HECATE, f"<query xmlns='http://jabber.org/protocol/muc#admin'>{ban}</query>")
        (refused,) = self.ask(BANNED, query())
        self.assertEqual(refused.type, "error")
        retract = f"<retract xmlns='{RETRACTION}'/>"
        moderate = f"<moderate xmlns='urn:xmpp:message-moderate:1' id='{told}'>{retract}</moderate>"
        self.ask(HECATE, moderate)
        first, *_ = self.ask(HAG, query())
        self.assertNotIn(b"brinded", first.raw)
        self.assertIn(b"<retracted ", first.raw)
