"""
Tests of presence (RFC 6121 section 4, and what section 8.5 says of it).
"""

from __future__ import annotations

from typing import Any

from zope.interface.verify import verifyObject

from tests.features.rfc6121_im.base import IMTestCase, told
from tests.marks import spec
from xmppd.features.rfc6121_im import presence
from xmppd.features.rfc6121_im.fanout import Fanout
from xmppd.ixmppd import IPresence, RosterItem
from xmppd.wire.stanza import fromBytes

JULIET, ROMEO, NURSE, TYBALT = "juliet@example.org", "romeo@example.org", "nurse@example.net", "tybalt@example.net"
BALCONY, CHAMBER, ORCHARD = JULIET + "/balcony", JULIET + "/chamber", ROMEO + "/orchard"


class BroadcastTests(IMTestCase):
    """Sections 4.2, 4.4, 4.5."""

    def setUp(self) -> None:
        super().setUp()
        self.put(
            JULIET,
            RosterItem(NURSE, subscription="from"),
            RosterItem(TYBALT, subscription="to"),
            RosterItem("paris@example.net"),
            RosterItem("peter@example.net", subscription="both"),
            RosterItem(ROMEO, subscription="both"),
        )
        self.put(ROMEO, RosterItem(JULIET, subscription="both"))

    def test_provides(self) -> None:
        """The presence of a host is what it has to be."""
        self.assertTrue(verifyObject(IPresence, self.host.presence))

    @spec("RFC 6121", "4.2.2", "4.3.1")
    def test_initial(self) -> None:
        """Initial presence: to subscribers, to own resources, and probes for those whose presence is wanted."""
        _, romeo = self.bind(ORCHARD, available=True)
        _, chamber = self.bind(CHAMBER, available=True)
        self.elsewhere.take(), romeo.take()
        session, stream = self.bind(BALCONY)
        self.rig.send(session, b"<presence id='p'><show>chat</show></presence>")
        self.assertEqual(
            self.told(self.elsewhere),
            [
                (None, BALCONY, NURSE),
                (None, BALCONY, "peter@example.net"),
                ("probe", JULIET, TYBALT),
                ("probe", JULIET, "peter@example.net"),
            ],
        )
        self.assertEqual([told(each) for each in romeo.received], [(None, BALCONY, JULIET.replace(JULIET, ROMEO))])
        self.assertEqual(romeo.takeBytes()[0].count(b"<show>chat</show>"), 1)
        self.assertEqual(self.told(chamber), [(None, BALCONY, JULIET)])
        self.assertEqual(
            self.told(stream), [(None, BALCONY, JULIET), (None, CHAMBER, JULIET), (None, ORCHARD, JULIET)]
        )

    @spec("RFC 6121", "4.4.2")
    def test_subsequent(self) -> None:
        """Later broadcasts go the same ways, whole; but nobody is probed again."""
        _, romeo = self.bind(ORCHARD, available=True)
        session, stream = self.bind(BALCONY, available=True)
        romeo.take(), self.elsewhere.take()
        seen: list[bool] = []
        self.host.hooks.available.addObserver(lambda session, first: seen.append(first))
        self.rig.send(session, b"<presence xml:lang='it' id='2'><show>away</show><c xmlns='urn:example'/></presence>")
        self.assertEqual(self.told(self.elsewhere), [(None, BALCONY, NURSE), (None, BALCONY, "peter@example.net")])
        (got,) = romeo.take()
        self.assertEqual((got.id, got.inner), ("2", b"<show>away</show><c xmlns='urn:example'/>"))
        self.assertIn(b"xml:lang='it'", got.raw)
        self.assertEqual(self.told(stream), [(None, BALCONY, JULIET)])
        self.assertEqual(seen, [False])

    @spec("RFC 6121", "4.5.2")
    def test_unavailable(self) -> None:
        """Leave is taken in the client's own words, and from oneself as well."""
        _, romeo = self.bind(ORCHARD, available=True)
        _, chamber = self.bind(CHAMBER, available=True)
        session, stream = self.bind(BALCONY, available=True)
        romeo.take(), chamber.take(), self.elsewhere.take()
        self.rig.send(session, b"<presence type='unavailable'><status>gone home</status></presence>")
        for wire in (romeo, chamber, stream):
            (got,) = wire.take()
            self.assertEqual((got.type, got.sender, got.inner), ("unavailable", BALCONY, b"<status>gone home</status>"))
        self.assertEqual(
            self.told(self.elsewhere),
            [("unavailable", BALCONY, NURSE), ("unavailable", BALCONY, "peter@example.net")],
        )
        self.assertIsNone(session.presence)
        session.end()
        self.assertEqual((self.elsewhere.take(), romeo.take()), ([], []))

    @spec("RFC 6121", "4.5.2")
    def test_again(self) -> None:
        """After that, presence is initial presence again."""
        session, _stream = self.bind(BALCONY, available=True)
        self.rig.send(session, b"<presence type='unavailable'/>")
        self.elsewhere.take()
        self.rig.send(session, b"<presence/>")
        self.assertIn(("probe", JULIET, TYBALT), self.told(self.elsewhere))

    @spec("RFC 6121", "4.5.2")
    def test_everyEnd(self) -> None:
        """However a session ends, its contacts and its other resources hear of it."""
        _, romeo = self.bind(ORCHARD, available=True)
        _, chamber = self.bind(CHAMBER, available=True)
        for end in ("end", "detached"):
            session, _ = self.bind(BALCONY, available=True)
            romeo.take(), chamber.take(), self.elsewhere.take()
            getattr(session, end)()
            self.assertEqual(self.told(romeo), [("unavailable", BALCONY, ROMEO)])
            self.assertEqual(self.told(chamber), [("unavailable", BALCONY, JULIET)])
            self.assertEqual(len(self.elsewhere.take()), 2)

    @spec("RFC 6121", "4.5.2")
    def test_replaced(self) -> None:
        """So do they when a new connection takes the resource."""
        _, romeo = self.bind(ORCHARD, available=True)
        self.bind(BALCONY, available=True)
        romeo.take()
        self.bind(BALCONY)
        self.assertEqual(self.told(romeo), [("unavailable", BALCONY, ROMEO)])

    def test_neverAvailable(self) -> None:
        """Who never was available leaves without a word."""
        _, romeo = self.bind(ORCHARD, available=True)
        session, _ = self.bind(BALCONY)
        session.end()
        self.assertEqual((romeo.take(), self.elsewhere.take()), ([], []))

    @spec("RFC 6121", "4.7.2.3")
    def test_priority(self) -> None:
        """Priorities from -128 to 127, 0 if there is none."""
        session, _stream = self.bind(BALCONY)
        for text, expected in (("5", 5), ("-128", -128), ("127", 127), (" +1 ", 1)):
            self.rig.send(session, f"<presence><priority>{text}</priority></presence>".encode())
            self.assertEqual(session.priority, expected)
        self.rig.send(session, b"<presence/>")
        self.assertEqual(session.priority, 0)

    @spec("RFC 6121", "4.7.2.3")
    def test_badPriority(self) -> None:
        """Anything else is a mistake, and is not broadcast."""
        session, stream = self.bind(BALCONY)
        for bad in ("<priority>128</priority>", "<priority>-129</priority>", "<priority/>", "<priority>high</priority>",
                    "<priority>1</priority><priority>1</priority>", "<priority><a xmlns='b'/></priority>",
                    "<priority>१</priority>"):  # fmt: skip
            self.rig.send(session, f"<presence>{bad}</presence>".encode())
            self.assertIn(b"bad-request", stream.takeBytes()[0], bad)
            self.assertIsNone(session.presence)
        self.assertEqual(self.elsewhere.take(), [])

    @spec("RFC 6121", "4.7.1")
    def test_unknownType(self) -> None:
        """There is no other type, not even C{available}."""
        session, stream = self.bind(BALCONY)
        for type in ("available", "bogus", ""):
            self.rig.send(session, f"<presence type='{type}'/>".encode())
            self.rig.send(session, f"<presence type='{type}' to='{NURSE}'/>".encode())
            self.assertEqual([b"bad-request" in each for each in stream.takeBytes()], [True, True])
        self.rig.account("romeo")
        self.rig.inject(f"<presence type='bogus' from='{NURSE}' to='{ROMEO}'/>".encode())
        self.assertIn(b"bad-request", self.elsewhere.take()[0].raw)

    def test_mismatchIsHealed(self) -> None:
        """If the rosters of two accounts disagree, the wrong one is put right."""
        self.put(ROMEO, RosterItem(JULIET, subscription="none"))
        self.bind(ORCHARD, available=True)
        self.bind(BALCONY, available=True)
        self.assertEqual(self.stored(JULIET)[ROMEO].subscription, "from")

    def test_revived(self) -> None:
        """A session that a restart interrupted is as available as it was."""
        session, _ = self.interested(BALCONY)
        self.rig.send(session, b"<presence><priority>3</priority></presence>")
        self.rig.send(session, b"<presence to='room@rooms.example.net/j'/>")
        state = session.slots["kept"]
        fresh = IMTestCase()
        fresh.setUp()
        again = self.successResultOf(fresh.host.revive(session.account, "balcony", state))
        self.assertEqual((again.priority, again.interested), (3, True))
        self.assertEqual(told(again.presence), (None, BALCONY, None))
        again.end()
        self.assertEqual(fresh.told(fresh.elsewhere), [("unavailable", BALCONY, "room@rooms.example.net/j")])


class FanoutTests(IMTestCase):
    """One presence for many."""

    def test_sameAsSerialised(self) -> None:
        """What it makes is what one would make one by one, also of odd start tags and addresses."""
        for raw in (
            b"<presence/>",
            b"<presence to='x@y' id='&lt;&apos;1'><status>a > b</status></presence>",
            b"<presence xmlns:q='urn:q' q:a='1'><q:x/></presence>",
        ):
            stanza = fromBytes(raw)
            made = Fanout(stanza).to("o'neil@example.org")
            expected = stanza.addressed({"to": "o'neil@example.org"})
            self.assertEqual(made.element(), expected.element())
            self.assertEqual(fromBytes(made.raw).attrs, expected.attrs)


class ArrivalTests(IMTestCase):
    """Presence from elsewhere (sections 4.2.3, 4.4.3, 4.5.3, 8.5)."""

    def setUp(self) -> None:
        super().setUp()
        self.balcony, self.balconyStream = self.bind(BALCONY, available=True)
        self.chamber, self.chamberStream = self.bind(CHAMBER, available=True)
        self.garden, self.gardenStream = self.bind(JULIET + "/garden")
        self.balconyStream.take()

    def counts(self) -> list[int]:
        """How many stanzas each resource got."""
        return [len(each.take()) for each in (self.balconyStream, self.chamberStream, self.gardenStream)]

    @spec("RFC 6121", "4.2.3", "4.4.3", "4.5.3", "8.5.2.1.2")
    def test_bareAddress(self) -> None:
        """To the account: to all available resources, C{to} untouched, negative priorities too."""
        self.rig.send(self.chamber, b"<presence><priority>-1</priority></presence>")
        self.counts()
        for type in ("", " type='unavailable'", " type='error'"):
            self.rig.inject(f"<presence from='{NURSE}/x' to='{JULIET}'{type}/>".encode())
            self.assertEqual(self.balconyStream.received[0].to, JULIET)
            self.assertEqual(self.counts(), [1, 1, 0])

    @spec("RFC 6121", "8.5.3.1", "8.5.3.2.2")
    def test_fullAddress(self) -> None:
        """To a resource: to it alone, even if only connected; nowhere if it isn't there."""
        for type in ("", " type='unavailable'"):
            self.rig.inject(f"<presence from='{NURSE}/x' to='{JULIET}/garden'{type}/>".encode())
            self.assertEqual(self.counts(), [0, 0, 1])
            self.rig.inject(f"<presence from='{NURSE}/x' to='{JULIET}/nowhere'{type}/>".encode())
            self.rig.inject(f"<presence from='{NURSE}/x' to='JULIET@example.org/garden'{type}/>".encode())
            self.assertEqual(self.counts(), [0, 0, 1])
        self.assertEqual(self.elsewhere.take(), [])

    @spec("RFC 6121", "8.5.1", "8.5.2.2.2")
    def test_nobodyThere(self) -> None:
        """To nobody, or to somebody who is away: silence."""
        self.rig.account("romeo")
        for to in (ROMEO, "nobody@example.org", ROMEO + "/x"):
            for type in ("", " type='unavailable'", " type='error'"):
                self.rig.inject(f"<presence from='{NURSE}/x' to='{to}'{type}/>".encode())
        self.assertEqual(self.elsewhere.take(), [])


class DirectedTests(IMTestCase):
    """Section 4.6."""

    def setUp(self) -> None:
        super().setUp()
        self.put(JULIET, RosterItem(NURSE, subscription="both"))
        self.session, self.stream = self.bind(BALCONY, available=True)
        self.elsewhere.take()

    def direct(self, to: str, type: str = "", content: str = "") -> None:
        """Juliet sends directed presence."""
        self.rig.send(self.session, f"<presence to='{to}'{type}>{content}</presence>".encode())

    @spec("RFC 6121", "4.6.3")
    def test_strangersHearTheEnd(self) -> None:
        """It is passed on whole; no broadcast follows; but the end is told."""
        self.direct(TYBALT, content="<show>dnd</show>")
        (got,) = self.elsewhere.take()
        self.assertEqual((*told(got), got.inner), (None, BALCONY, TYBALT, b"<show>dnd</show>"))
        self.rig.send(self.session, b"<presence><show>away</show></presence>")
        self.assertEqual(self.told(self.elsewhere), [(None, BALCONY, NURSE)])
        self.rig.send(self.session, b"<presence type='unavailable'><status>bye</status></presence>")
        self.assertEqual(self.told(self.elsewhere), [("unavailable", BALCONY, NURSE), ("unavailable", BALCONY, TYBALT)])
        self.session.end()
        self.assertEqual(self.elsewhere.take(), [])

    @spec("RFC 6121", "4.6.1", "4.6.3")
    def test_saidAlready(self) -> None:
        """Who was told directly isn't told twice."""
        self.direct(TYBALT)
        self.direct(TYBALT, " type='unavailable'")
        self.elsewhere.take()
        self.session.end()
        self.assertEqual(self.told(self.elsewhere), [("unavailable", BALCONY, NURSE)])

    @spec("RFC 6121", "4.6.3")
    def test_subscribers(self) -> None:
        """A subscriber gets it like everybody, and the broadcasts as ever."""
        self.direct(NURSE, " type='unavailable'")
        self.direct(NURSE)
        self.rig.send(self.session, b"<presence/>")
        self.assertEqual([each[0] for each in self.told(self.elsewhere)], ["unavailable", None, None])
        self.session.end()
        self.assertEqual(self.told(self.elsewhere), [("unavailable", BALCONY, NURSE)])

    @spec("RFC 6121", "4.6.3")
    def test_withoutBroadcast(self) -> None:
        """Without initial presence, even subscribers have to be told."""
        session, _ = self.bind(CHAMBER)
        self.rig.send(session, f"<presence to='{NURSE}'/>".encode())
        session.end()
        self.assertEqual([each[0] for each in self.told(self.elsewhere)], [None, "unavailable"])

    @spec("RFC 6121", "4.6.1")
    def test_theOtherLeft(self) -> None:
        """Who has left needs no farewell; but an occupant who changes names has not left."""
        self.direct(TYBALT + "/sword")
        self.rig.inject(f"<presence from='{TYBALT}/sword' to='{BALCONY}' type='unavailable'/>".encode())
        self.direct("hall@rooms.example.net/juliet")
        self.rig.inject(
            f"<presence from='hall@rooms.example.net/juliet' to='{BALCONY}' type='unavailable'>"
            f"<x xmlns='http://jabber.org/protocol/muc#user'/></presence>".encode()
        )
        self.elsewhere.take()
        self.session.end()
        self.assertEqual([each[2] for each in self.told(self.elsewhere)], [NURSE, "hall@rooms.example.net/juliet"])

    def test_bound(self) -> None:
        """There are only so many."""
        self.patch(presence, "DIRECTED", 2)
        for n in range(4):
            self.direct(f"t{n}@example.net")
        self.assertEqual(len(self.elsewhere.take()), 2)
        self.assertEqual([b"resource-constraint" in each for each in self.stream.takeBytes()], [True, True])

    def test_address(self) -> None:
        """An address that is none."""
        self.direct("a@b@c")
        self.assertIn(b"jid-malformed", self.stream.takeBytes()[0])

    def test_local(self) -> None:
        """To somebody on this host."""
        _, romeo = self.bind(ORCHARD, available=True)
        self.direct(ROMEO)
        self.direct(ORCHARD)
        self.assertEqual(self.told(romeo), [(None, BALCONY, ROMEO), (None, BALCONY, ORCHARD)])
        self.session.end()
        self.assertEqual(self.told(romeo), [("unavailable", BALCONY, ROMEO), ("unavailable", BALCONY, ORCHARD)])


class ProbeTests(IMTestCase):
    """Sections 4.3.2 and 4.6.6."""

    def probe(self, to: str, sender: str = NURSE) -> list[Any]:
        """Another server asks; what it is answered."""
        self.rig.inject(f"<presence from='{sender}' to='{to}' type='probe' id='probe1'/>".encode())
        return self.elsewhere.take()

    @spec("RFC 6121", "4.3.2", "8.5.1")
    def test_unauthorised(self) -> None:
        """Without a subscription, or an account, the answer is C{unsubscribed}, from the bare address."""
        for subscription in ("none", "to"):
            self.put(JULIET, RosterItem(NURSE, subscription=subscription, approved=True))
            self.bind(BALCONY, available=True)[0]
            self.elsewhere.take()
            for to in (JULIET, BALCONY, "nobody@example.org"):
                (answer,) = self.probe(to)
                self.assertEqual((*told(answer), answer.id), ("unsubscribed", to.split("/")[0], NURSE, "probe1"))
            self.assertTrue(self.stored(JULIET)[NURSE].approved)
            for session in tuple(self.host.sessions[JULIET].values()):
                session.end()
            self.elsewhere.take()

    @spec("RFC 6121", "4.3.2", "4.3.2.1")
    def test_available(self) -> None:
        """The last broadcast of every available resource, whole, with its own id."""
        self.put(JULIET, RosterItem(NURSE, subscription="from"))
        _balcony, _ = self.bind(BALCONY, available=True)
        chamber, _ = self.bind(CHAMBER, available=True)
        self.bind(JULIET + "/garden")
        self.rig.send(chamber, b"<presence id='pres1'><show>dnd</show></presence>")
        self.elsewhere.take()
        first, second = self.probe(JULIET, NURSE + "/kitchen")
        self.assertEqual(told(first), (None, BALCONY, NURSE + "/kitchen"))
        self.assertEqual((*told(second), second.id), (None, CHAMBER, NURSE + "/kitchen", "pres1"))
        self.assertEqual(second.inner, b"<show>dnd</show>")

    @spec("RFC 6121", "4.3.2", "4.3.2.1")
    def test_unavailable(self) -> None:
        """Nobody there: unavailable, from the bare address, with the id of the probe and the time if it is known."""
        self.put(JULIET, RosterItem(NURSE, subscription="both"))
        self.rig.account("juliet")
        (answer,) = self.probe(JULIET)
        self.assertEqual((*told(answer), answer.id, answer.inner), ("unavailable", JULIET, NURSE, "probe1", b""))
        self.host.accounts.setLastActivity(JULIET, 1_000_000_000.0, "secret")
        (answer,) = self.probe(JULIET)
        self.assertEqual(answer.inner, b"<delay xmlns='urn:xmpp:delay' stamp='2001-09-09T01:46:40Z'/>")

    @spec("RFC 6121", "4.3.2")
    def test_fullAddress(self) -> None:
        """Of one resource only that it is there, and of no other anything."""
        self.put(JULIET, RosterItem(NURSE, subscription="both"))
        session, _ = self.bind(BALCONY, available=True)
        self.rig.send(session, b"<presence id='x'><show>dnd</show></presence>")
        self.elsewhere.take()
        (answer,) = self.probe(BALCONY)
        self.assertEqual((*told(answer), answer.inner), (None, BALCONY, NURSE, b""))
        (answer,) = self.probe(CHAMBER)
        self.assertEqual((*told(answer), answer.id), ("unavailable", CHAMBER, NURSE, "probe1"))

    @spec("RFC 6121", "4.6.6")
    def test_directed(self) -> None:
        """Who got directed presence may ask that resource, and hears merely that it is there."""
        session, _ = self.bind(BALCONY, available=True)
        self.bind(CHAMBER, available=True)
        self.rig.send(session, b"<presence to='hall@rooms.example.net/j'><show>dnd</show></presence>")
        self.elsewhere.take()
        (answer,) = self.probe(BALCONY, "hall@rooms.example.net/j")
        self.assertEqual((*told(answer), answer.inner), (None, BALCONY, "hall@rooms.example.net/j", b""))
        for to in (JULIET, CHAMBER):
            self.assertEqual([each.type for each in self.probe(to, "hall@rooms.example.net/j")], ["unsubscribed"])

    @spec("RFC 6121", "4.3")
    def test_fromClients(self) -> None:
        """A client that probes is served, and not scolded."""
        self.put(JULIET, RosterItem(ROMEO, subscription="from"))
        self.bind(BALCONY, available=True)
        romeo, stream = self.bind(ORCHARD)
        self.rig.send(romeo, b"<presence type='probe' to='juliet@example.org'/><presence type='probe'/>")
        self.assertEqual(self.told(stream), [(None, BALCONY, ORCHARD)])
        self.rig.send(romeo, b"<presence type='probe' to='nurse@example.net'/>")
        self.assertEqual(self.told(self.elsewhere), [("probe", ORCHARD, NURSE)])


class SharingTests(IMTestCase):
    """Requests to full addresses (section 8.5.3.1)."""

    def ask(self, sender: str, type: str = "get") -> bool:
        """Whether a request from C{sender} reaches Juliet."""
        self.stream.take()
        self.rig.inject(f"<iq type='{type}' id='1' from='{sender}' to='{BALCONY}'><q xmlns='urn:q'/></iq>".encode())
        reached = bool(self.stream.take())
        answers = self.elsewhere.take()
        self.assertEqual([b"service-unavailable" in each.raw for each in answers], [] if reached else [True])
        return reached

    def setUp(self) -> None:
        super().setUp()
        self.put(JULIET, RosterItem(NURSE, subscription="from"), RosterItem(TYBALT, subscription="to"))
        self.session, self.stream = self.bind(BALCONY, available=True)
        self.elsewhere.take()

    @spec("RFC 6121", "8.5.3.1")
    def test_requests(self) -> None:
        """From those who see the user's presence, and no others."""
        self.assertTrue(self.ask(NURSE + "/x"))
        self.assertTrue(self.ask(NURSE + "/x", "set"))
        self.assertFalse(self.ask(TYBALT + "/x"))
        self.assertFalse(self.ask("paris@example.net/x", "set"))

    @spec("RFC 6121", "8.5.3.1")
    def test_directed(self) -> None:
        """Or who got directed presence; in a room that holds for its occupants."""
        self.rig.send(self.session, b"<presence to='tybalt@example.net'/>")
        self.rig.send(self.session, b"<presence to='hall@rooms.example.net/j'/>")
        self.elsewhere.take()
        self.assertTrue(self.ask(TYBALT + "/x"))
        self.assertTrue(self.ask("hall@rooms.example.net/other"))

    def test_ourselves(self) -> None:
        """The server, its services and the user's own devices may ask."""
        self.host.services["rooms.example.org"] = "Rooms"
        other, stream = self.bind(CHAMBER)
        self.rig.send(other, f"<iq type='get' id='1' to='{BALCONY}'><q xmlns='urn:q'/></iq>".encode())
        self.assertEqual(stream.take(), [])
        for sender in ("example.org", "rooms.example.org", JULIET):
            self.stream.take()
            self.rig.inject(f"<iq type='get' id='1' from='{sender}' to='{BALCONY}'><q xmlns='urn:q'/></iq>".encode())
            self.assertEqual(len(self.stream.take()), 1, sender)

    @spec("RFC 6121", "8.5.3.1")
    def test_answers(self) -> None:
        """Results and errors always arrive, and so do messages."""
        for type in ("result", "error"):
            self.rig.inject(f"<iq type='{type}' id='1' from='{TYBALT}/x' to='{BALCONY}'/>".encode())
        self.rig.inject(f"<message from='{TYBALT}/x' to='{BALCONY}'/>".encode())
        self.assertEqual(len(self.stream.take()), 3)

    def test_subscription(self) -> None:
        """Others can ask for the state of a subscription."""
        self.assertEqual(self.successResultOf(self.host.presence.subscription(JULIET, NURSE)), "from")
        self.assertEqual(self.successResultOf(self.host.presence.subscription(ROMEO, NURSE)), "none")


class OptionTests(IMTestCase):
    """The option."""

    options = {("rfc6121_im", "strangers_may_ask"): True}

    def test_strangersMayAsk(self) -> None:
        """If the administrator likes, everybody may ask."""
        _, stream = self.bind(BALCONY)
        self.rig.inject(f"<iq type='get' id='1' from='{NURSE}/x' to='{BALCONY}'><q xmlns='urn:q'/></iq>".encode())
        self.assertEqual(len(stream.take()), 1)
