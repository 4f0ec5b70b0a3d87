"""Tests of L{xmppd.features.xep0165_mimicry.petnames}, and of what it remembers."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred

from tests.features.test_xep0165_mimicry import PAYPAL, STPETER, USER, MeetingCase
from tests.marks import spec
from xmppd.features.xep0165_mimicry import acquaintances, petnames
from xmppd.features.xep0165_mimicry.acquaintances import KIND, Acquaintance, Referral
from xmppd.features.xep0165_mimicry.keys import identities
from xmppd.ixmppd import NodeItem, Request, RosterItem
from xmppd.wire import ns
from xmppd.wire.element import Element, parse
from xmppd.wire.errors import StanzaError
from xmppd.wire.jid import parse as jid
from xmppd.wire.stanza import ERROR, Stanza

ROMEO = "romeo@montague.example"
KEY = "<KeyInfo xmlns='http://www.w3.org/2000/09/xmldsig#'><KeyName>{}</KeyName></KeyInfo>"
NICK = "<nick xmlns='http://jabber.org/protocol/nick'>{}</nick>"
REFERRAL = "<x xmlns='http://jabber.org/protocol/rosterx'><item jid='{}' name='{}'>{}</item></x>"


class PetnamesCase(MeetingCase):
    """A user who names contacts and is recommended some."""

    def setUp(self) -> None:
        super().setUp()
        self.rename(PAYPAL, "Money")
        self.rename(STPETER, "that protocol dude")
        self.stream.take()

    def request(self, content: str = "") -> list[Stanza]:
        """Romeo asks to subscribe, and is refused in the end."""
        got = self.subscribe(ROMEO, content)
        self.rig.send(self.session, f"<presence to='{ROMEO}' type='unsubscribed'/>".encode())
        self.stream.take()
        return got

    def rename(self, contact: str, name: str) -> Stanza:
        """Give a contact a handle; answers the answer."""
        item = f"<item jid='{contact}' name='{name}'/>"
        self.rig.send(self.session, f"<iq type='set' id='n'><query xmlns='jabber:iq:roster'>{item}</query></iq>".encode())
        self.got = self.stream.take()
        (answer,) = [each for each in self.got if each.id == "n"]
        return answer

    def known(self, contact: str) -> Acquaintance:
        """What is remembered."""
        data = self.successResultOf(self.host.facts.get(USER, KIND, contact))
        return Acquaintance.fromBytes(data) if data is not None else Acquaintance()

    def assertRefused(self, answer: Stanza, condition: str, *reasons: str) -> None:
        """An error, with these reasons."""
        error = answer.find(ERROR)
        assert error is not None
        first, *_ = error.elements()
        imitation = error.find("imitation", ns.NAMES)
        assert imitation is not None
        self.assertEqual((first.name, [each.text for each in imitation.elements("reason")]), (condition, list(reasons)))

    def refer(self, by: str, contact: str, name: str = "", inner: str = "", kind: str = "message") -> list[Stanza]:
        """Somebody elsewhere recommends a contact."""
        return self.arrive(by + "/x", kind=kind, content=REFERRAL.format(contact, name, inner), attributes="type='set'" if kind == "iq" else "")


@spec("XEP-0165", "2.2", "3")
@spec("mission", "M4")
class HandleTests(PetnamesCase):
    """Handles that are a user's own."""

    config = {"handles": "refuse"}
    options = {("xep0165_mimicry", "petnames"): True}

    def test_alike(self) -> None:
        """None is another's, or looks like it."""
        for name in ("Money", "M\u043eney", "Mon\u200dey"):
            self.assertRefused(self.rename(ROMEO, name), "conflict", *(["look-alike"] + ["invisible"] * ("\u200d" in name)))
        self.assertEqual(self.rename(PAYPAL, "money").type, "result")  # nobody mimics himself
        self.assertEqual(self.rename(ROMEO, "The other").type, "result")

    def test_odd(self) -> None:
        """None has what can't be seen."""
        self.assertRefused(self.rename(ROMEO, "Ro\u202eoem"), "not-acceptable", "bidi-control")

    def test_missing(self) -> None:
        """Everybody needs one."""
        self.assertRefused(self.rename(ROMEO, ""), "not-acceptable", "missing")

    def test_alleged(self) -> None:
        """Neither what somebody calls himself, nor how he was recommended."""
        self.request(NICK.format("Romeo"))
        self.refer(STPETER, ROMEO, "R. Montague", NICK.format("lover"))
        for name in ("Romeo", "R0meo", "R. Montague", "Lover"):
            self.assertRefused(self.rename(ROMEO, name), "not-acceptable", "alleged")
        self.assertEqual(self.rename(ROMEO, "that boy").type, "result")

    def test_unchanged(self) -> None:
        """Other changes of an item don't ask for its name again."""
        self.host.rosters.put(USER, RosterItem(ROMEO, name="Money", subscription="both"))
        self.session.end()
        self.session, self.stream = self.rig.bind(USER + "/home", available=True)
        item = f"<item jid='{ROMEO}' name='Money'><group>x</group></item>"
        self.rig.send(self.session, f"<iq type='set' id='n'><query xmlns='jabber:iq:roster'>{item}</query></iq>".encode())
        self.assertEqual([each.type for each in self.stream.take() if each.id == "n"], ["result"])

    def test_indexes(self) -> None:
        """Names that have gone can be given again; few rosters are kept ready."""
        self.rename(PAYPAL, "Bank")
        self.assertEqual(self.rename(ROMEO, "Money").type, "result")
        self.patch(petnames, "ROSTERS", 1)
        self.rename(ROMEO, "Love")
        kept = self.host.hooks.naming.refuse[0].__self__._handles
        self.assertEqual(list(kept), [USER])
        self.host.hooks.removed.notify(USER)
        self.assertEqual(list(kept), [])


@spec("mission", "M4")
class LenientTests(PetnamesCase):
    """By default users are told, and may do what they like."""

    def test_warned(self) -> None:
        """Of a handle like another."""
        self.assertEqual(self.rename(ROMEO, "M0ney").type, "result")
        (line,) = self.headlines(self.got)
        self.assertIn("looks like what you call another contact (Money)", line)

    def test_others(self) -> None:
        """Names that others have thought of are nobody's business."""
        self.request(NICK.format("Romeo"))
        for name in ("Romeo", ""):
            self.assertEqual((self.rename(ROMEO, name).type, self.headlines(self.got)), ("result", []))


class AllowedTests(PetnamesCase):
    """A host that doesn't look at handles."""

    config = {"handles": "allow"}

    @spec("mission", "M4")
    def test_allowed(self) -> None:
        """Anything goes."""
        self.assertEqual((self.rename(ROMEO, "M0ney").type, self.headlines(self.got)), ("result", []))


@spec("XEP-0165", "2.4")
@spec("mission", "M6")
class ReferralTests(PetnamesCase):
    """Contacts recommend others."""

    def test_example(self) -> None:
        """The second example: alleged name, nickname and keys."""
        keys = KEY.format("stpeterRSAkey1") + KEY.format("stpeterX509cert1")
        for kind in ("message", "iq"):
            self.refer(STPETER, ROMEO, "Peter Saint-Andre", NICK.format("psa") + keys, kind)
            known = self.known(ROMEO)
            now = self.rig.clock.seconds()
            expected = Referral(STPETER, "Peter Saint-Andre", "psa", ("name:stpeterRSAkey1", "name:stpeterX509cert1"), now)
            self.assertEqual(known.referrals, (expected,), kind)

    def test_strangers(self) -> None:
        """What strangers recommend isn't remembered, nor what somebody says of himself, the user, or contacts."""
        self.refer("mallory@jabber.org", ROMEO, "x")
        for contact in (STPETER, USER, PAYPAL, "a@@b"):
            self.refer(STPETER, contact, "x")
        self.assertEqual(self.successResultOf(self.host.facts.all(USER, KIND)), {})

    def test_deletions(self) -> None:
        """Only what is to be added is a recommendation."""
        for type, action in (("", "delete"), ("type='error'", "add")):
            content = f"<x xmlns='http://jabber.org/protocol/rosterx'><item jid='{ROMEO}' action='{action}'/></x>"
            self.arrive(STPETER + "/x", content=content, attributes=type)
        self.assertEqual(self.known(ROMEO), Acquaintance())

    def test_used(self) -> None:
        """When the user takes somebody into the roster, only the keys are left."""
        self.refer(STPETER, ROMEO, "Peter", KEY.format("k"))
        self.rename(ROMEO, "that boy")
        known = self.known(ROMEO)
        self.assertEqual((known.referrals, list(known.keys), known.source), ((), ["name:k"], "referral"))

    def test_bounds(self) -> None:
        """Of many recommendations few are kept, contacts before strangers."""
        self.patch(acquaintances, "MOST", 3)
        self.patch(acquaintances, "MOST_REFERRALS", 2)
        for number in range(5):
            self.refer(STPETER, f"x{number}@example.net", "x" * 500)
        self.assertEqual(len(self.successResultOf(self.host.facts.all(USER, KIND))), 3)
        self.assertEqual(len(self.known("x0@example.net").referrals[0].name), acquaintances.LONGEST)
        many = Acquaintance()
        for number in range(5):
            many = many.withReferral(Referral(f"x{number}@example.net"))
        self.assertEqual([each.by for each in many.withReferral(Referral("x4@example.net", "y")).referrals], ["x3@example.net", "x4@example.net"])
        self.assertEqual(self.subscribe(PAYPAL, KEY.format("k"))[:0], [])
        self.assertEqual(list(self.known(PAYPAL).keys), ["name:k"])

    def test_crowd(self) -> None:
        """However many strangers ask with nicknames and keys, those who were recommended and contacts find room."""
        self.patch(acquaintances, "MOST", 3)
        for number in range(5):
            self.subscribe(f"x{number}@example.net", NICK.format("x") + KEY.format(number))
        self.refer(STPETER, ROMEO, "Romeo", KEY.format("r"))
        self.assertEqual(self.known(ROMEO).recommended, {"name:r"})
        self.subscribe(PAYPAL, KEY.format("p"))
        self.subscribe("x5@example.net", KEY.format("5"))
        self.assertEqual((list(self.known(PAYPAL).keys), self.known(ROMEO).recommended), (["name:p"], {"name:r"}))
        self.assertEqual(len(self.successResultOf(self.host.facts.all(USER, KIND))), 3)

    def test_local(self) -> None:
        """Contacts on the same server, who write to a full JID."""
        nurse, _ = self.rig.bind("nurse@example.org/x")
        self.rig.host.hooks.spotted.notify(nurse)
        self.rig.send(nurse, f"<message to='{USER}/home'>{REFERRAL.format(ROMEO, 'x', '')}</message>".encode())
        self.assertEqual([each.by for each in self.known(ROMEO).referrals], ["nurse@example.org"])
        self.rig.send(nurse, f"<message to='x@elsewhere.example'>{REFERRAL.format(ROMEO, 'x', '')}</message>".encode())

    def test_removed(self) -> None:
        """Nothing of it survives the account."""
        self.refer(STPETER, ROMEO, "x")
        self.successResultOf(self.rig.store.forget(USER))
        self.assertEqual(self.known(ROMEO), Acquaintance())


@spec("XEP-0165", "2.3", "2.5")
@spec("mission", "M5", "M7")
class KeyTests(PetnamesCase):
    """Keys belong to contacts, and are compared."""

    def reasons(self, stanzas: list[Stanza]) -> list[str]:
        """Of the one marked request."""
        (found,) = self.warnings([each for each in stanzas if each.type == "subscribe"])
        return found["reason"] if found else []

    def test_example(self) -> None:
        """The request with nickname and keys: both are remembered."""
        self.assertEqual(self.reasons(self.request(NICK.format("psa") + KEY.format("a") + KEY.format("b"))), [])
        known = self.known(ROMEO)
        self.assertEqual((known.nick, list(known.keys), known.source), ("psa", ["name:a", "name:b"], "request"))

    def test_referred(self) -> None:
        """The key of a request has to be one of those that were recommended."""
        self.refer(STPETER, ROMEO, "Peter", KEY.format("a"))
        self.assertEqual(self.reasons(self.request(KEY.format("b"))), ["referral"])
        self.assertEqual(self.reasons(self.request()), ["referral"])
        self.assertEqual(self.reasons(self.request(KEY.format("b") + KEY.format("a"))), [])

    def test_changed(self) -> None:
        """Another key than before is told, and doesn't replace the one that is known."""
        self.request(KEY.format("a"))
        got = self.request(KEY.format("b"))
        self.assertEqual(self.reasons(got), ["key"])
        self.assertIn("its key isn't the one that was known for it", self.headlines(got)[0])
        self.assertEqual(list(self.known(ROMEO).keys), ["name:a"])
        self.assertIn(ascii(ROMEO), self.audited())

    def test_nickname(self) -> None:
        """Who goes by what the user calls another is told of, with that other's address."""
        got = self.request(NICK.format("M\u043eney"))
        (found,) = self.warnings([each for each in got if each.type == "subscribe"])
        self.assertEqual(found, {"jid": ROMEO, "reason": ["nickname"], "like": [PAYPAL]})

    def event(self, sender: str, keys: str, node: str = "urn:xmpp:pubkey:2") -> list[Stanza]:
        """A contact elsewhere publishes keys."""
        content = f"<event xmlns='http://jabber.org/protocol/pubsub#event'><items node='{node}'><item id='current'>{keys}</item></items></event>"
        return self.arrive(sender, content=content, attributes="type='headline'")

    def test_published(self) -> None:
        """Keys that contacts publish; a change is an alarm for all clients."""
        key = "<pubkey xmlns='urn:xmpp:pubkey:2'><rsakey><modulus>{}</modulus><publicExponent>65537</publicExponent></rsakey></pubkey>"
        self.event(PAYPAL, key.format(1), "urn:xmpp:other")
        self.assertEqual(self.known(PAYPAL).keys, {})
        self.assertEqual(self.headlines(self.event(PAYPAL, key.format(123))), [])
        first = list(self.known(PAYPAL).keys)
        self.assertEqual(self.headlines(self.event(PAYPAL, key.format("0 123\n"))), [])
        got = self.event(PAYPAL, key.format(456))
        (alarm,) = [each for each in got if each.sender == "example.org"]
        self.assertEqual(self.warning(alarm), {"jid": PAYPAL, "reason": ["key"]})
        self.assertNotEqual(list(self.known(PAYPAL).keys), first)
        self.event("stranger@jabber.org", key.format(1))
        self.assertEqual(self.known("stranger@jabber.org"), Acquaintance())

    def test_addresses(self) -> None:
        """However the recipient's address is written."""
        for number in (1, 2):
            item = f"<item id='current'><pubkey xmlns='urn:xmpp:pubkey:2'><print>{number}</print></pubkey></item>"
            content = f"<event xmlns='http://jabber.org/protocol/pubsub#event'><items node='urn:xmpp:pubkey:2'>{item}</items></event>"
            got = self.arrive(PAYPAL, "MaineBoy@EXAMPLE.org/x", content=content)
        self.assertEqual([self.warning(each) for each in got if each.sender == "example.org"], [{"jid": PAYPAL, "reason": ["key"]}])
        content = f"<x xmlns='http://jabber.org/protocol/rosterx'><item jid='{ROMEO}' name='Romeo'/></x>"
        self.arrive(STPETER, "MaineBoy@EXAMPLE.org", content=content)
        self.assertEqual(self.known(ROMEO).alleged, ("Romeo",))

    def test_alarmOffline(self) -> None:
        """Who isn't there finds it later."""
        sent: list[Stanza] = []
        self.host.hooks.undeliverable.addChange(lambda stanza, bare: sent.append(stanza))
        for number in (1, 2):
            self.event(PAYPAL, f"<pubkey xmlns='urn:xmpp:pubkey:2'><print>{number}</print></pubkey>")
            self.session.end()
        self.assertIn("normal", [each.type for each in sent if each.sender == "example.org"])

    def test_local(self) -> None:
        """Keys of contacts on the same server."""
        self.host.rosters.put("nurse@example.org", RosterItem(USER, subscription="both"))
        self.host.rosters.put("nurse@example.org", RosterItem("x@example.net", subscription="both"))
        names = self.host.hooks.naming.refuse[0].__self__
        for number, alarms in ((1, 0), (1, 0), (2, 1)):
            payload = f"<pubkey xmlns='urn:xmpp:pubkey:2'><print>{number}</print></pubkey>".encode()
            request = Request(Stanza("iq", "", {}, (), b""), jid("nurse@example.org/x"), jid("nurse@example.org"), None, True)
            self.successResultOf(self.deferred(names.published(request, NodeItem("current", payload, "nurse@example.org", 0.0))))
            self.assertEqual(len(self.headlines(self.stream.take())), alarms, number)

    def deferred(self, coroutine: Any) -> Any:
        """A coroutine as a Deferred."""
        return Deferred.fromCoroutine(coroutine)

    def test_asked(self) -> None:
        """Clients can ask what is known."""
        self.refer(STPETER, ROMEO, "Peter", NICK.format("psa") + KEY.format("a"))
        self.request(NICK.format("p") + KEY.format("a"))
        answer = self.ask(f"jid='{ROMEO}/x'")
        known = answer.elements()[0]
        self.assertEqual(
            known.toBytes(""),
            f"<acquaintance xmlns='{ns.NAMES}' jid='{ROMEO}'><nick>p</nick>"
            "<key id='name:a' since='2001-09-09T01:46:40Z' source='request'/>"
            f"<referral by='{STPETER}' at='2001-09-09T01:46:40Z' name='Peter' nick='psa'><key id='name:a'/></referral></acquaintance>".encode(),
        )
        for attributes, condition in (("jid='nobody@example.net'", "item-not-found"), ("", "bad-request"), ("jid='@'", "jid-malformed")):
            error = self.ask(attributes).find(ERROR)
            assert error is not None
            self.assertEqual(next(error.elements()).name, condition)

    def ask(self, attributes: str) -> Stanza:
        """Ask the own account."""
        self.stream.take()
        self.rig.send(self.session, f"<iq type='get' id='a'><acquaintance xmlns='{ns.NAMES}' {attributes}/></iq>".encode())
        (answer,) = self.stream.take()
        return answer


@spec("mission", "M5")
class IdentityTests(PetnamesCase):
    """What identifies a key."""

    def identity(self, text: str) -> tuple[str, ...]:
        """Of one element."""
        return identities([parse(text.encode(), "")])

    def test_forms(self) -> None:
        """Every form has its own; white space and leading zeros don't count; the key counts more than its name."""
        signature = "<KeyInfo xmlns='http://www.w3.org/2000/09/xmldsig#'>{}</KeyInfo>"
        pubkey = "<pubkey xmlns='urn:xmpp:pubkey:2'>{}</pubkey>"
        same = [
            (signature.format("<X509Data><X509Certificate>QUJD</X509Certificate></X509Data>"), signature.format("<KeyName>x</KeyName><X509Data><X509Certificate>QU\nJD </X509Certificate></X509Data>")),
            (signature.format("<KeyValue><RSAKeyValue><Modulus>QUI=</Modulus><Exponent>AQAB</Exponent></RSAKeyValue></KeyValue>"), signature.format("<KeyValue><RSAKeyValue><Modulus>AEFC</Modulus><Exponent>AQAB</Exponent></RSAKeyValue></KeyValue>")),
            (signature.format("<PGPData><PGPKeyID>QUI=</PGPKeyID></PGPData>"), signature.format("<PGPData><PGPKeyID> QUI=</PGPKeyID></PGPData><KeyName>y</KeyName>")),
            (signature.format("<KeyName> a  b</KeyName>"), signature.format("<KeyName>a b</KeyName>")),
            (pubkey.format("<key>QUI=</key><print>x</print>"), pubkey.format("<key>QUI=</key>")),
            (pubkey.format("<print>not base64!</print>"), pubkey.format("<jid>x</jid><print>not base64!</print>")),
        ]
        seen = set()
        for one, other in same:
            self.assertEqual(self.identity(one), self.identity(other), one)
            seen.add(self.identity(one))
        self.assertEqual(len(seen), len(same))
        for none in (signature.format(""), signature.format("<KeyName> </KeyName>"), pubkey.format("<key> </key>"), "<x/>"):
            self.assertEqual(self.identity(none), (), none)

    def test_many(self) -> None:
        """Few are looked at."""
        self.assertEqual(len(identities(Element("pubkey", "urn:xmpp:pubkey:2", {}, (Element("print", "urn:xmpp:pubkey:2", {}, (str(number),)),)) for number in range(50))), 10)


class BusyTests(PetnamesCase):
    """When too much is under way."""

    def test_turns(self) -> None:
        """What others send leaves room for what the user wants."""
        asked: list[Any] = []
        real = self.host.rosters.since
        self.patch(self.host.rosters, "since", lambda *arguments: asked.append(Deferred()) or asked[-1])
        self.patch(petnames, "LATER", 2)
        self.patch(acquaintances, "TURNS", 3)
        for number in range(5):
            self.refer(STPETER, f"x{number}@example.net", "x")
        names = self.host.hooks.naming.refuse[0].__self__
        roster = {PAYPAL: RosterItem(PAYPAL)}
        named = names.naming(USER, PAYPAL, "Money", roster)
        self.assertRaises(StanzaError, names.naming, USER, PAYPAL, "Money", roster)
        while asked:
            real(USER, 0).addCallback(asked.pop(0).callback)
        self.assertIsNone(self.successResultOf(named))
        self.assertEqual([bool(self.known(f"x{number}@example.net").referrals) for number in range(5)], [True] * 2 + [False] * 3)

    @spec("mission", "M6")
    def test_overflow(self) -> None:
        """Recommendations are lost with a line in the log, requests are refused with an error."""
        self.patch(acquaintances, "ACCOUNTS", 0)
        self.refer(STPETER, ROMEO, "x")
        self.assertTrue([each for each in self.events if "too much is under way" in each.get("log_format", "")])
        self.assertEqual(self.rename(ROMEO, "x").type, "error")
        self.assertEqual(self.known(ROMEO), Acquaintance())


