"""Tests of L{xmppd.features.xep0313_archive.accounts} and C{rules}."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from tests.doubles import FailingStore, Rig
from tests.features.asking import JULIET, ROMEO
from tests.features.xep0313_archive.archiving import (
    BALCONY,
    ORCHARD,
    SID,
    ArchiveCase,
    feature,
    fired,
    idsOf,
)
from tests.marks import spec
from xmppd.features import xep0160_offline, xep0191_blocking, xep0280_carbons, xep0313_archive
from xmppd.features.xep0313_archive.rules import Purge, isArchivable
from xmppd.wire.stanza import Stanza, fromBytes


def message(inner: str, attrs: str = "type='chat'") -> Stanza:
    """A message."""
    return fromBytes(f"<message from='a@example.net/x' {attrs}>{inner}</message>".encode())


class RulesTests(SynchronousTestCase):
    """L{isArchivable}."""

    def assertArchived(self, expected: bool, inner: str, attrs: str = "type='chat'") -> None:
        """Whether such a message is archived."""
        self.assertIs(isArchivable(message(inner, attrs)), expected, (inner, attrs))

    @spec("XEP-0313", "6.1.1")
    def test_types(self) -> None:
        """Messages with a body of type chat and normal are archived; what rooms say, errors and headlines are not."""
        for type in ("type='chat'", "type='normal'", "", "type='strange'"):
            self.assertArchived(True, "<body>a</body>", type)
        for type in ("groupchat", "error", "headline"):
            self.assertArchived(False, "<body>a</body>", f"type='{type}'")

    @spec("XEP-0313", "3", "6.1.1")
    def test_meaning(self) -> None:
        """What merely changes a state is not archived; receipts, markers, ciphertext and retractions are."""
        self.assertArchived(False, "<composing xmlns='http://jabber.org/protocol/chatstates'/>")
        self.assertArchived(False, "")
        self.assertArchived(False, "<received xmlns='urn:xmpp:carbons:2'/>")
        self.assertArchived(True, "<received xmlns='urn:xmpp:receipts' id='1'/>")
        self.assertArchived(True, "<displayed xmlns='urn:xmpp:chat-markers:0' id='1'/>")
        self.assertArchived(True, "<encrypted xmlns='urn:xmpp:omemo:2'/>")
        self.assertArchived(True, "<retract xmlns='urn:xmpp:message-retract:1' id='1'/>")

    @spec("XEP-0334", "4.1", "4.2", "4.4", "5")
    def test_hints(self) -> None:
        """Hints are taken, but those of errors."""
        hint = "<{} xmlns='urn:xmpp:hints'/>".format
        for name in ("no-store", "no-permanent-store"):
            self.assertArchived(False, "<body>a</body>" + hint(name))
        self.assertArchived(True, "<a xmlns='b'/>" + hint("store"))
        self.assertArchived(True, "<a xmlns='b'/>" + hint("store"), "type='headline'")
        self.assertArchived(False, "<body>a</body>" + hint("store"), "type='error'")
        self.assertArchived(False, "<body>a</body>" + hint("store") + hint("no-store"))

    def test_size(self) -> None:
        """What no archive takes isn't offered to one."""
        self.assertArchived(False, f"<body>{'a' * 1_000_000}</body>")


class PurgeTests(SynchronousTestCase):
    """L{Purge}."""

    @spec("XEP-0359", "3", "6")
    def test_forged(self) -> None:
        """However it is written, a stanza id in the name of the owner goes; all else stays."""
        by = JULIET
        for forged in (
            f"<stanza-id xmlns='{SID}' id='1' by='{by}'/>",
            f"<stanza-id xmlns='{SID}' by='{by}' id='1'/>",
            f'<stanza-id xmlns="{SID}" by="{by}" id="1"/>',
            f"<stanza-id xmlns='{SID}' by='{by}/x' id='1'/>",
            f"<stanza-id xmlns='{SID}' by='{by}/\"x' id='1'/>",
            f"<stanza-id xmlns='{SID}' by='{by.upper()}' id='1'/>",
            f"<stanza-id xmlns='{SID}' by='&#x6a;{by[1:]}' id='1'/>",
            f"<stanza-id\n by='{by}' xmlns='{SID}' id='1'/>",
            f"<stanza-id xmlns='{SID}' id=\" by='b@c'\" by='{by}'/>",
            f"<s:stanza-id xmlns:s='{SID}' by='{by}' id='1'/>",
            f"<stanza-id xmlns='urn:xmpp:sid&#58;0' by='{by}' id='1'/>",
            f"<stanza-id xmlns='{SID}' by='{by}' id='1'></stanza-id>",
            f"<stanza-id xmlns='{SID}' by='b@c' id='1'/><stanza-id xmlns='{SID}' by='{by}' id='1'/>",
            f"<a xmlns='b'><stanza-id xmlns='{SID}' by='b@c' id='1'/></a><s:stanza-id xmlns:s='{SID}' by='{by}' id='1'/>",
        ):
            stanza = message(f"<body>a</body>{forged}<c xmlns='d'/>")
            Purge()(stanza, by)
            clean = fromBytes(stanza.raw)
            self.assertEqual([each for each, _ in idsOf(clean) if each != "b@c"], [], forged)
            self.assertEqual(list(stanza.childNames), clean.childNames)
            self.assertIn("d c", clean.childNames)

    @spec("XEP-0359", "3")
    def test_others(self) -> None:
        """Those of others, and whatever else there is in the namespace, stay."""
        for other in (
            f"<stanza-id xmlns='{SID}' id='1' by='room@example.net'/>",
            f"<stanza-id xmlns='{SID}' id='1' by='{ROMEO}'/>",
            f"<stanza-id xmlns='{SID}' id='1' by='@'/>",
            f"<stanza-id xmlns='{SID}' id='1'/>",
            f"<origin-id xmlns='{SID}' id='1'/>",
        ):
            stanza = message(other)
            Purge()(stanza, JULIET)
            self.assertEqual(stanza.raw, message(other).raw)

    def test_onceForMany(self) -> None:
        """The copies of one message for many share the look; each is still cleaned for its own receiver."""
        purge = Purge()
        one = message(f"<stanza-id xmlns='{SID}' id='1' by='{JULIET}'/>")
        other = one.addressed({"to": ROMEO})
        purge(other, ROMEO)
        self.assertEqual(len(idsOf(other)), 1)
        purge(one, JULIET)
        self.assertEqual(idsOf(one), [])


class ArchivingTests(ArchiveCase):
    """What is archived, and how clients hear of it."""

    @spec("XEP-0313", "3", "3.3.1", "6.1.1")
    def test_bothSides(self) -> None:
        """A message between two accounts is in both archives, once in each, with all that belongs to it."""
        self.say(self.romeo, BALCONY)
        (sent,), (received,) = self.archive(ROMEO), self.archive(JULIET)
        self.assertEqual((sent.peer, sent.resource), (JULIET, "balcony"))
        self.assertEqual((received.peer, received.resource), (ROMEO, "orchard"))
        self.assertNotEqual(sent.id, received.id)
        for each in (sent, received):
            stanza = fromBytes(each.stanza)
            self.assertEqual((stanza.sender, stanza.to, stanza.type, stanza.id), (ORCHARD, BALCONY, "chat", "m"))
            self.assertIn(b"<body>hi</body>", each.stanza)
            self.assertAlmostEqual(each.stamp, 1_000_000_000, places=5)

    @spec("XEP-0313", "3.5")
    @spec("XEP-0359", "3")
    def test_stanzaId(self) -> None:
        """The recipient is told the id in its own archive, and nothing of the sender's."""
        self.say(self.romeo, BALCONY)
        (stanza,) = self.got(self.juliet)
        self.assertEqual(idsOf(stanza), [(JULIET, self.archive(JULIET)[0].id)])
        self.assertIn(f"{SID} stanza-id", stanza.childNames)

    @spec("XEP-0359", "3", "6")
    def test_forged(self) -> None:
        """A forged id doesn't reach the client, archived or not; nor does it leave in one's own name."""
        forged = f"<stanza-id xmlns='{SID}' id='1' by='{JULIET}'/>"
        self.say(self.romeo, BALCONY, f"<body>a</body>{forged}")
        self.say(self.romeo, BALCONY, f"<x xmlns='y'/>{forged}")
        self.say(self.romeo, BALCONY, f"<x xmlns='y'/>{forged.replace(JULIET, ROMEO)}")
        first, second, third = self.got(self.juliet)
        self.assertEqual(idsOf(first), [(JULIET, self.archive(JULIET)[0].id)])
        self.assertEqual(idsOf(second), [])
        self.assertEqual(idsOf(third), [])

    @spec("XEP-0313", "6.1.1")
    def test_onceForManyClients(self) -> None:
        """A message that several clients get is archived once, with the same id for all."""
        clients = [self.bind(f"{JULIET}/{name}", available=True) for name in "ab"]
        self.say(self.romeo, JULIET)
        ids = [idsOf(stanza) for client in clients for stanza in self.got(client)]
        self.assertEqual(ids, [[(JULIET, self.archive(JULIET)[0].id)]] * 2)
        self.assertEqual(len(self.archive(JULIET)), 1)

    @spec("XEP-0313", "4.1.1")
    def test_oneself(self) -> None:
        """What one says to oneself is archived once; the client knows the id."""
        other = self.bind(f"{ROMEO}/phone")
        self.say(self.romeo, f"{ROMEO}/phone")
        (stanza,) = self.got(other)
        (archived,) = self.archive(ROMEO, peer=ROMEO)
        self.assertEqual(idsOf(stanza), [(ROMEO, archived.id)])

    @spec("XEP-0313", "3.1")
    def test_order(self) -> None:
        """The order in the archive is that in which things happened, whatever the clock says."""
        for text in "abc":
            self.say(self.romeo, BALCONY, f"<body>{text}</body>")
        self.say(self.juliet, ORCHARD, "<body>d</body>")
        self.inject(BALCONY, "<body>e</body>")
        self.assertEqual(self.bodies(JULIET), list("abcde"))
        self.assertEqual(self.bodies(ROMEO), list("abcd"))

    def test_elsewhere(self) -> None:
        """What comes from and goes to other domains is archived here."""
        self.inject(BALCONY)
        self.say(self.juliet, "b@example.net", "<body>answer</body>")
        self.assertEqual([each.peer for each in self.archive(JULIET)], ["a@example.net", "b@example.net"])

    def test_guests(self) -> None:
        """Guests have no archive; those they talk to do."""
        guest = self.bind("guest@example.org/x", guest=True)
        self.say(guest, BALCONY)
        self.say(self.juliet, "guest@example.org/x")
        self.assertEqual(self.archive("guest@example.org"), [])
        self.assertEqual(len(self.archive(JULIET)), 2)
        self.assertEqual(idsOf(self.got(guest)[-1]), [])

    def test_otherStanzas(self) -> None:
        """Presence and IQs pass untouched, and so do messages that are not archived."""
        raw = b"<message from='a@example.net/x' to='%s' type='groupchat'><body>a</body></message>" % BALCONY.encode()
        self.rig.inject(raw)
        self.rig.inject(b"<iq from='a@example.net/x' to='%s' type='result' id='1'/>" % BALCONY.encode())
        self.assertEqual(self.got(self.juliet)[0].raw, raw)
        self.assertEqual(self.archive(JULIET), [])

    def test_malformedAddress(self) -> None:
        """What can't be sent isn't archived; its sender hears of it."""
        self.say(self.romeo, "@@")
        self.assertEqual(self.archive(ROMEO), [])
        self.assertEqual(self.got(self.romeo)[-1].type, "error")

    def test_switchedOff(self) -> None:
        """Accounts have no archives unless it is said: nothing is asked per stanza, and nothing is advertised."""
        rig = Rig(xep0313_archive.feature)
        session, _ = rig.bind(BALCONY)
        self.assertFalse(session.sending or session.receiving)  # type: ignore[attr-defined]
        self.assertEqual(rig.host.accountNamespaces, set())

    @spec("XEP-0313", "7")
    @spec("XEP-0359", "5")
    @spec("XEP-0424", "2", "4")
    def test_advertised(self) -> None:
        """Accounts tell what their archives can do."""
        wanted = {"urn:xmpp:mam:2", "urn:xmpp:mam:2#extended", SID, "urn:xmpp:message-retract:1"}
        wanted |= {"urn:xmpp:mam:2#groupchat-field", "urn:xmpp:message-retract:1#tombstone"}
        self.assertEqual(self.rig.host.accountNamespaces, wanted)

    def test_removed(self) -> None:
        """With an account its archive goes, and also what was about to be written; others keep theirs."""
        self.say(self.romeo, BALCONY)
        self.rig.send(self.romeo, f"<message to='{BALCONY}' type='chat'><body>b</body></message>".encode())
        self.rig.host.registrar.remove(JULIET)
        self.turn(3)
        self.assertEqual(self.archive(JULIET), [])
        self.assertEqual(len(self.archive(ROMEO)), 2)


class PromiseTests(ArchiveCase):
    """What is acknowledged is archived."""

    def setUp(self) -> None:
        self.store = FailingStore()
        self.options = {"store": self.store}
        super().setUp()

    def promised(self) -> list[Any]:
        """Juliet is sent something by somebody who has to promise it; what must be settled first."""
        stanza = fromBytes(f"<message from='{ORCHARD}' to='{BALCONY}' type='chat'><body>a</body></message>".encode())
        stanza.promise = []
        self.rig.router.route(stanza)
        return [each for each in stanza.promise if isinstance(each, Deferred)]

    def test_durable(self) -> None:
        """A promise waits for the archive."""
        self.store.holding = True
        (done,) = self.promised()
        self.turn()
        self.assertFalse(fired(done))
        self.store.proceed()
        self.assertTrue(fired(done))

    def test_failing(self) -> None:
        """If the store can't be written, messages go their way; they are archived when it can."""
        self.store.failWrites = True
        (done,) = self.promised()
        self.turn()
        self.assertTrue(fired(done))
        self.assertEqual(self.promised(), [])
        self.assertEqual(len(self.got(self.juliet)), 2)
        self.rig.clock.advance(5)
        self.store.failWrites = 0
        self.assertEqual(self.archive(JULIET), [])
        self.rig.clock.advance(5)
        self.turn()
        self.assertEqual(len(self.archive(JULIET)), 2)
        self.assertEqual(len(self.promised()), 1)


class AwayTests(ArchiveCase):
    """Messages for those who are away."""

    features = (xep0191_blocking.feature, feature, xep0280_carbons.feature, xep0160_offline.feature)

    def prepare(self) -> None:
        self.rig.account("nurse")

    def test_archivedOnce(self) -> None:
        """A message is archived when it comes; when it is delivered later, it bears the same id, and isn't again."""
        self.say(self.romeo, "nurse@example.org")
        (archived,) = self.archive("nurse@example.org")
        nurse = self.bind("nurse@example.org/x", available=False)
        self.rig.send(nurse, b"<presence/>")
        self.rig.host.hooks.available.notify(nurse, True)
        self.turn(3)
        (stanza,) = (each for each in self.got(nurse) if each.kind == "message")
        self.assertEqual(idsOf(stanza), [("nurse@example.org", archived.id)])
        self.assertEqual(len(self.archive("nurse@example.org")), 1)

    @spec("XEP-0313", "6.1")
    def test_blocked(self) -> None:
        """What the account doesn't want to get is not archived, whether it is there or not."""
        block = f"<block xmlns='urn:xmpp:blocking'><item jid='{ROMEO}'/></block>"
        nurse = self.bind("nurse@example.org/x", available=True)
        self.result(nurse, "set", block)
        self.say(self.romeo, "nurse@example.org/x")
        nurse.end()
        self.say(self.romeo, "nurse@example.org")
        self.turn(3)
        self.assertEqual(self.archive("nurse@example.org"), [])

    def test_nobody(self) -> None:
        """There are no archives of accounts that don't exist."""
        self.say(self.romeo, "nobody@example.org")
        self.assertEqual(self.archive("nobody@example.org"), [])
        self.assertEqual(self.got(self.romeo)[-1].type, "error")

    @spec("XEP-0313", "3.5")
    def test_carbons(self) -> None:
        """Copies tell the user's other clients the ids in the user's archive, of what was sent and what was received."""
        other = self.bind(f"{ROMEO}/phone")
        self.result(other, "set", "<enable xmlns='urn:xmpp:carbons:2'/>")
        self.streams[other].take()
        self.say(self.romeo, BALCONY)
        self.say(self.juliet, ORCHARD)
        copies = self.got(other)
        ids = [each.id for each in self.archive(ROMEO)]
        self.assertEqual(len(copies), 2)
        for copy, id in zip(copies, ids, strict=True):
            self.assertIn(f"by='{ROMEO}' id='{id}'".encode(), copy.raw)
        self.assertEqual(len(ids), 2)
        self.assertEqual([by for each in self.got(self.juliet) for by, _ in idsOf(each)], [JULIET])
        self.assertNotIn("archived", self.romeo.slots)

    def test_fullSpool(self) -> None:
        """What the spool has no room for is no error if it is in the archive."""
        self.rig.host.limits = self.rig.host.limits.__class__(offlineMessages=0)
        self.say(self.romeo, "nurse@example.org")
        self.assertEqual(self.got(self.romeo), [])
        self.assertEqual(len(self.archive("nurse@example.org")), 1)
        self.say(self.romeo, "nurse@example.org", "<body>a</body><no-permanent-store xmlns='urn:xmpp:hints'/>")
        self.assertEqual(self.got(self.romeo)[-1].type, "error")
