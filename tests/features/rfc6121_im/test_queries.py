"""
Tests of roster get, set and push (RFC 6121 section 2).
"""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred, fail

from tests.doubles import FakeStream
from tests.features.rfc6121_im.base import IMTestCase
from tests.marks import spec
from xmppd.config import Limits
from xmppd.features.rfc6121_im.rosters import UNBOUND_SECONDS, WAITING
from xmppd.ixmppd import RosterItem, StoreUnavailable
from xmppd.wire.element import Element
from xmppd.wire.stanza import Stanza

JULIET = "juliet@example.org"
NURSE = "nurse@example.net"


class RosterTestCase(IMTestCase):
    """Juliet and her roster."""

    def get(self, extra: str = "", to: str = "") -> bytes:
        """A roster get."""
        return f"<iq type='get' id='g'{to}><query xmlns='jabber:iq:roster'{extra}/></iq>".encode()

    def set(self, content: str, to: str = "") -> bytes:
        """A roster set."""
        return f"<iq type='set' id='s'{to}><query xmlns='jabber:iq:roster'>{content}</query></iq>".encode()

    def answer(self, stream: FakeStream) -> Stanza:
        """The one stanza that came and is not a push."""
        (answer,) = [each for each in stream.take() if each.type != "set"]
        return answer

    def query(self, stream: FakeStream) -> Element:
        """The roster in the answer."""
        answer = self.answer(stream)
        self.assertEqual(answer.type, "result")
        return answer.elements()[0]

    def refused(self, condition: str, raw: bytes) -> None:
        """Juliet's request is answered with an error, and nothing changes."""
        session, stream = self.interested(f"{JULIET}/{self.rig.host.entropy.token()}")
        before = self.stored(JULIET)
        self.rig.send(session, raw)
        answer = self.answer(stream)
        self.assertEqual(answer.type, "error")
        self.assertIn(f"<{condition} ".encode(), answer.raw)
        self.assertEqual(self.stored(JULIET), before)
        session.end()


class GetTests(RosterTestCase):
    """Sections 2.1.3, 2.1.4, 2.2."""

    @spec("RFC 6121", "2.1.4")
    def test_empty(self) -> None:
        """An empty roster is an empty query, not an empty result."""
        session, stream = self.bind(JULIET + "/balcony")
        self.rig.send(session, self.get())
        query = self.query(stream)
        self.assertEqual(query.children, ())
        self.assertIsNotNone(query.get("ver"))

    @spec("RFC 6121", "2.1.2", "2.1.4", "2.2")
    def test_items(self) -> None:
        """Everything a client may know of its contacts; nothing of strangers who asked."""
        self.put(
            JULIET,
            RosterItem("romeo@example.org", "Ro & <meo>", "both", groups=("Friends", "<3")),
            RosterItem(NURSE, ask=True, approved=True),
            RosterItem("paris@example.net", listed=False, pendingIn=b"<presence/>"),
        )
        session, stream = self.bind(JULIET + "/balcony")
        self.rig.send(session, self.get())
        query = self.query(stream)
        romeo, nurse = query.elements("item")
        self.assertEqual(romeo.attrs, {"jid": "romeo@example.org", "name": "Ro & <meo>", "subscription": "both"})
        self.assertEqual([group.text for group in romeo.elements("group")], ["Friends", "<3"])
        self.assertEqual(nurse.attrs, {"jid": NURSE, "subscription": "none", "ask": "subscribe", "approved": "true"})
        self.assertTrue(session.interested)

    @spec("RFC 6121", "2.1.3")
    def test_toOwnBareAddress(self) -> None:
        """A get may name the own account."""
        session, stream = self.bind(JULIET + "/balcony")
        self.rig.send(session, self.get(to=f" to='{JULIET}'"))
        self.query(stream)

    @spec("RFC 6121", "2.1.3")
    def test_getWithItems(self) -> None:
        """A get with items in it is a mistake."""
        self.refused("bad-request", b"<iq type='get' id='g'><query xmlns='jabber:iq:roster'><item jid='a@b'/></query></iq>")

    def test_ofSomebodyElse(self) -> None:
        """Nobody reads other people's rosters, and nobody learns whether there is such an account."""
        self.rig.account("romeo")
        for local in ("romeo", "nobody"):
            self.refused("service-unavailable", self.get(to=f" to='{local}@example.org'"))

    def test_fromElsewhere(self) -> None:
        """Nor does anybody from another server, whatever the sender's name."""
        self.rig.account("juliet")
        for type, condition in (("get", "service-unavailable"), ("set", "forbidden")):
            self.rig.inject(
                f"<iq type='{type}' id='1' from='juliet@example.net/x' to='{JULIET}'>"
                f"<query xmlns='jabber:iq:roster'><item jid='eve@example.net'/></query></iq>".encode()
            )
            (answer,) = self.elsewhere.take()
            self.assertIn(condition.encode(), answer.raw)
        self.assertEqual(self.stored(JULIET), {})

    def test_storeFails(self) -> None:
        """Without the database the client hears that it may try again."""
        session, stream = self.bind(JULIET + "/balcony")
        self.patch(self.host.rosters, "since", lambda account, version: fail(StoreUnavailable()))
        self.rig.send(session, self.get(" ver='3'"))
        self.assertIn(b"resource-constraint", self.answer(stream).raw)


class VersioningTests(RosterTestCase):
    """Section 2.6."""

    @spec("RFC 6121", "2.6.1", "3.4")
    def test_features(self) -> None:
        """Both features are advertised after authentication, and want no answer."""
        _, stream = self.bind(JULIET + "/balcony")
        elements = [each.advertise(stream) for each in self.host.streamFeatures]
        self.assertIn(b"<ver xmlns='urn:xmpp:features:rosterver'/>", elements)
        self.assertIn(b"<sub xmlns='urn:xmpp:features:pre-approval'/>", elements)
        for each in self.host.streamFeatures:
            self.assertEqual((tuple(each.names), each.requires), ((), frozenset({"authenticated"})))

    def version(self, session: Any, stream: FakeStream) -> str:
        """The current version."""
        self.rig.send(session, self.get(" ver=''"))
        return self.query(stream).get("ver") or ""

    @spec("RFC 6121", "2.6.3")
    def test_nothingChanged(self) -> None:
        """Who is up to date gets an empty result and no pushes."""
        self.put(JULIET, RosterItem(NURSE))
        session, stream = self.bind(JULIET + "/balcony")
        version = self.version(session, stream)
        again, other = self.bind(JULIET + "/chamber")
        self.rig.send(again, self.get(f" ver='{version}'"))
        self.rig.clock.advance(1)
        (answer,) = other.take()
        self.assertEqual((answer.type, answer.inner), ("result", b""))
        self.assertTrue(again.interested)

    @spec("RFC 6121", "2.6.3")
    def test_interimPushes(self) -> None:
        """Who missed something gets an empty result, then a push for each change, in order, each with its version."""
        self.put(JULIET, RosterItem(NURSE), RosterItem("paris@example.net"), RosterItem("tybalt@example.net"))
        session, stream = self.bind(JULIET + "/balcony")
        version = self.version(session, stream)
        self.rig.send(session, self.set("<item jid='paris@example.net' name='Paris'/>"))
        self.rig.send(session, self.set("<item jid='romeo@example.net'/>"))
        self.rig.send(session, self.set("<item jid='tybalt@example.net' subscription='remove'/>"))
        latest = self.version(session, (stream.take(), stream)[1])
        again, other = self.bind(JULIET + "/chamber")
        self.rig.send(again, self.get(f" ver='{version}'"))
        self.assertFalse(again.interested)
        self.rig.clock.advance(1)
        answer, *pushes = other.take()
        self.assertEqual((answer.type, answer.inner), ("result", b""))
        items = [push.elements()[0].find("item") for push in pushes]
        self.assertEqual(
            [(item.get("jid"), item.get("subscription")) for item in items if item],
            [("tybalt@example.net", "remove"), ("paris@example.net", "none"), ("romeo@example.net", "none")],
        )
        versions = [push.elements()[0].get("ver") for push in pushes]
        self.assertEqual(len(set(versions)), 3)
        self.assertTrue(again.interested)
        # With the version of any of the pushes the client may come back; it misses nothing.
        for seen, expected in zip(versions, (3, 2, 1), strict=True):
            third, wire = self.bind(f"{JULIET}/{seen}")
            self.rig.send(third, self.get(f" ver='{seen}'"))
            self.rig.clock.advance(1)
            self.assertGreaterEqual(len(wire.take()) - 1, expected - 1)
        self.assertNotEqual(latest, version)

    @spec("RFC 6121", "2.6.3")
    def test_unknownVersion(self) -> None:
        """A version we never gave gets the whole roster."""
        self.put(JULIET, RosterItem(NURSE))
        for version in ("999999", "ver14", "-1", "9" * 50, "1.x"):
            session, stream = self.bind(f"{JULIET}/{version[:9]}")
            self.rig.send(session, self.get(f" ver='{version}'"))
            self.assertEqual(len(list(self.query(stream).elements("item"))), 1, version)


class SetTests(RosterTestCase):
    """Sections 2.3, 2.4, 2.5."""

    @spec("RFC 6121", "2.1.6", "2.2", "2.3.2")
    def test_add(self) -> None:
        """A new item: a result for the client, and one push for each interested resource, also the one that asked."""
        session, stream = self.interested(JULIET + "/balcony")
        _, chamber = self.interested(JULIET + "/chamber", available=False)
        _, garden = self.bind(JULIET + "/garden", available=True)
        stream.take()
        self.rig.send(session, self.set(f"<item jid='{NURSE}' name='Nurse'><group>Servants</group></item>"))
        self.assertEqual([each.type for each in stream.received], ["set", "result"])
        self.assertEqual(garden.take(), [])
        for wire in (stream, chamber):
            push = wire.take()[0]
            self.assertIn(push.sender, (None, JULIET))
            (item,) = push.elements()[0].elements("item")
            self.assertEqual(item.attrs, {"jid": NURSE, "name": "Nurse", "subscription": "none"})
            self.assertEqual(item.textOf("group"), "Servants")
            self.assertTrue(push.elements()[0].get("ver"))
        self.assertEqual(self.stored(JULIET)[NURSE].groups, ("Servants",))

    @spec("RFC 6121", "2.1.6")
    def test_answersToPushes(self) -> None:
        """Clients answer pushes, with results or errors; nobody minds."""
        session, stream = self.interested(JULIET + "/balcony")
        for type in ("result", "error"):
            self.rig.send(session, f"<iq type='{type}' id='token1' to='{JULIET}'/>".encode())
            self.rig.send(session, f"<iq type='{type}' id='token1'/>".encode())
        self.assertEqual(stream.take(), [])

    @spec("RFC 6121", "2.4.1", "2.4.2")
    def test_updateReplaces(self) -> None:
        """An update is taken exactly as it is: no name, no name; and the subscription is not its business."""
        self.put(JULIET, RosterItem(NURSE, "Nurse", "both", groups=("Servants",), approved=True))
        session, _stream = self.interested(JULIET + "/balcony")
        for extra in ("", " name=''"):
            self.rig.send(session, self.set(f"<item jid='{NURSE}'{extra}><group>Friends</group></item>"))
            item = self.stored(JULIET)[NURSE]
            self.assertEqual((item.name, item.groups, item.subscription, item.approved), ("", ("Friends",), "both", True))

    @spec("RFC 6121", "2.1.2.5", "2.1.5")
    def test_subscriptionIsIgnored(self) -> None:
        """Nobody subscribes by writing it into the roster."""
        session, stream = self.interested(JULIET + "/balcony")
        self.rig.send(session, self.set(f"<item jid='{NURSE}' subscription='both' ask='subscribe' approved='true'/>"))
        self.assertEqual(self.pushed(stream), [{"jid": NURSE, "subscription": "none"}])

    @spec("RFC 6121", "2.1.5", "2.3.3")
    def test_forSomebodyElse(self) -> None:
        """Other people's rosters are theirs."""
        self.rig.account("romeo")
        for local in ("romeo", "nobody"):
            self.refused("forbidden", self.set(f"<item jid='{NURSE}'/>", f" to='{local}@example.org'"))
        self.assertEqual(self.stored("romeo@example.org"), {})

    @spec("RFC 6121", "2.1.5", "2.3.3")
    def test_badRequests(self) -> None:
        """Several items or none, a group twice, no address."""
        for content in (
            "",
            "<item jid='a@b'/><item jid='c@d'/>",
            "<item jid='a@b'><group>A</group><group>A</group></item>",
            "<item name='a'/>",
        ):
            self.refused("bad-request", self.set(content))

    @spec("RFC 6121", "2.3.3", "2.4.3")
    def test_notAcceptable(self) -> None:
        """Names too long, groups empty or too long or too many."""
        for content in (
            f"<item jid='a@b' name='{'n' * 1024}'/>",
            "<item jid='a@b'><group/></item>",
            "<item jid='a@b'><group></group></item>",
            f"<item jid='a@b'><group>{'n' * 1024}</group></item>",
            "<item jid='a@b'>" + "".join(f"<group>{n}</group>" for n in range(101)) + "</item>",
        ):
            self.refused("not-acceptable", self.set(content))

    def test_malformedAddress(self) -> None:
        """No address, no contact."""
        self.refused("jid-malformed", self.set("<item jid='a@b@c'/>"))

    def test_oneself(self) -> None:
        """Nobody is a contact of oneself."""
        self.refused("not-allowed", self.set(f"<item jid='{JULIET}'/>"))

    @spec("RFC 6121", "2.5.3")
    def test_removeWhatIsNotThere(self) -> None:
        """Neither an unknown contact nor a stranger's request can be removed."""
        self.put(JULIET, RosterItem("paris@example.net", listed=False, pendingIn=b"<presence/>"))
        for jid in (NURSE, "paris@example.net"):
            self.refused("item-not-found", self.set(f"<item jid='{jid}' subscription='remove'/>"))

    @spec("RFC 6121", "2.5.2")
    def test_remove(self) -> None:
        """Removing a contact ends what there was, and nothing more is said of it."""
        for subscription, ask, pending, expected in (
            ("none", False, None, []),
            ("none", True, None, ["unsubscribe"]),
            ("none", False, b"<presence/>", ["unsubscribed"]),
            ("to", False, None, ["unsubscribe"]),
            ("from", False, None, ["unavailable", "unsubscribed"]),
            ("both", False, None, ["unsubscribe", "unavailable", "unsubscribed"]),
        ):
            self.put(JULIET, RosterItem(NURSE, subscription=subscription, ask=ask, pendingIn=pending))
            session, stream = self.interested(JULIET + "/balcony")
            self.rig.send(session, self.set(f"<item jid='{NURSE}' subscription='remove'/>"))
            self.assertEqual([each.type for each in self.elsewhere.received], expected)
            for each in self.elsewhere.take():
                self.assertEqual(each.sender, JULIET + ("/balcony" if each.type == "unavailable" else ""))
            self.assertEqual([each.type for each in stream.received], ["set", "result"])
            self.assertEqual(self.pushed(stream), [{"jid": NURSE, "subscription": "remove"}])
            self.assertEqual(self.stored(JULIET), {})
            session.end()
            self.elsewhere.take()

    @spec("RFC 6121", "2.5.2")
    def test_removeLocal(self) -> None:
        """A contact on this host is told just the same, and its roster follows."""
        self.befriend(JULIET, "romeo@example.org")
        session, stream = self.interested(JULIET + "/balcony")
        _, romeo = self.interested("romeo@example.org/orchard")
        stream.take()
        self.rig.send(session, self.set("<item jid='romeo@example.org' subscription='remove'/>"))
        self.assertEqual(self.stored("romeo@example.org")[JULIET].subscription, "none")
        pushes = [each for each in romeo.received if each.kind == "iq"]
        self.assertEqual([each[0] for each in self.told(romeo)], ["unsubscribe", "unavailable", "unsubscribed"])
        self.assertEqual(len(pushes), 2)


class LimitTests(RosterTestCase):
    """What others can make grow."""

    limits = Limits(rosterItems=3)

    def test_full(self) -> None:
        """A full roster takes no more, but what is there can be changed."""
        self.put(JULIET, *(RosterItem(f"{n}@example.net") for n in range(3)))
        self.refused("resource-constraint", self.set(f"<item jid='{NURSE}'/>"))
        session, stream = self.interested(JULIET + "/balcony")
        self.rig.send(session, self.set("<item jid='1@example.net' name='One'/>"))
        self.assertEqual(self.answer(stream).type, "result")
        for type in (b"subscribe", b"subscribed"):
            self.rig.send(session, b"<presence to='nurse@example.net' type='" + type + b"'/>")
            self.assertIn(b"resource-constraint", self.answer(stream).raw)
        self.assertEqual(self.elsewhere.take(), [])

    def test_queue(self) -> None:
        """Only so much waits while the store is slow."""
        self.patch(self.host.rosters, "put", lambda account, item: Deferred())
        session, stream = self.interested(JULIET + "/balcony")
        for n in range(WAITING + 5):
            self.rig.send(session, self.set(f"<item jid='{NURSE}' name='{n}'/>"))
        errors = stream.take()
        self.assertEqual(len(errors), 4)
        self.assertIn(b"resource-constraint", errors[0].raw)


class MemoryTests(RosterTestCase):
    """Which rosters are in memory."""

    def cached(self) -> set[str]:
        """Whose."""
        presence: Any = self.host.presence
        return set(presence.rosters.cached)

    def test_whileThereAreSessions(self) -> None:
        """From the first session to the last."""
        first, _ = self.bind(JULIET + "/balcony")
        second, _ = self.bind(JULIET + "/chamber")
        self.assertEqual(self.cached(), {JULIET})
        first.end()
        self.assertEqual(self.cached(), {JULIET})
        second.end()
        self.assertEqual(self.cached(), set())

    def test_loadedInVain(self) -> None:
        """What was loaded for a session that never came goes after a while."""
        presence: Any = self.host.presence
        presence.rosters.load("paris@example.org")
        self.assertEqual(self.cached(), {"paris@example.org"})
        self.rig.clock.advance(UNBOUND_SECONDS + 1)
        self.bind(JULIET + "/balcony")
        self.assertEqual(self.cached(), {JULIET})

    def test_slowStore(self) -> None:
        """Changes are made one after the other, and nobody is told before they are written."""
        session, stream = self.interested(JULIET + "/balcony")
        writes: list[tuple[RosterItem, Deferred[int]]] = []

        def put(account: str, item: RosterItem) -> Deferred[int]:
            writes.append((item, Deferred()))
            return writes[-1][1]

        self.patch(self.host.rosters, "put", put)
        self.rig.send(session, self.set(f"<item jid='{NURSE}' name='Nurse'/>"))
        self.rig.send(session, b"<presence to='nurse@example.net' type='subscribe'/>")
        self.assertEqual((stream.take(), self.elsewhere.take(), len(writes)), ([], [], 1))
        writes[0][1].callback(7)
        self.assertEqual(len(writes), 2)
        self.assertEqual((writes[1][0].name, writes[1][0].ask), ("Nurse", True))
        self.assertEqual(self.elsewhere.take(), [])
        writes[1][1].callback(8)
        self.assertEqual([each.type for each in self.elsewhere.take()], ["subscribe"])

    @spec("RFC 6121", "2.3.3")
    def test_storeFails(self) -> None:
        """A write that fails changes nothing, and the sender hears of it."""
        session, stream = self.interested(JULIET + "/balcony")
        self.patch(self.host.rosters, "put", lambda account, item: fail(StoreUnavailable()))
        self.rig.send(session, self.set(f"<item jid='{NURSE}'/>"))
        self.assertIn(b"resource-constraint", self.answer(stream).raw)
        self.rig.send(session, b"<presence to='nurse@example.net' type='subscribe' id='1'/>")
        self.assertIn(b"resource-constraint", self.answer(stream).raw)
        self.assertEqual(self.elsewhere.take(), [])
