"""
Tests of L{xmppd.features.xep0191_blocking}.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred, fail

from tests.features.rfc6121_im.base import IMTestCase, told
from tests.marks import spec
from xmppd.config import Limits
from xmppd.features import xep0160_offline, xep0191_blocking
from xmppd.features.xep0191_blocking import BlockList
from xmppd.ixmppd import RosterItem, StoreUnavailable
from xmppd.wire.element import Element

JULIET, ROMEO, NURSE = "juliet@example.org", "romeo@example.org", "nurse@example.net"
BALCONY, ORCHARD = JULIET + "/balcony", ROMEO + "/orchard"


class BlockingTestCase(IMTestCase):
    """Juliet and her block list."""

    extras = (xep0191_blocking.feature, xep0160_offline.feature)

    def command(self, session: Any, stream: Any, name: str, *jids: str, type: str = "set", to: str = "") -> Any:
        """Send a command; its answer. Other stanzas are left in the stream."""
        items = "".join(f"<item jid='{jid}'/>" for jid in jids)
        stream.take()
        self.rig.send(session, f"<iq type='{type}' id='c'{to}><{name} xmlns='urn:xmpp:blocking'>{items}</{name}></iq>".encode())
        (answer,) = [each for each in stream.received if each.kind == "iq" and each.id == "c"]
        stream.received.remove(answer)
        return answer

    def list(self, session: Any, stream: Any) -> list[str | None]:
        """The block list."""
        answer = self.command(session, stream, "blocklist", type="get")
        self.assertEqual(answer.type, "result")
        return [item.get("jid") for item in answer.elements()[0].elements("item")]

    def blocked(self, *jids: str) -> None:
        """Store a list, before Juliet comes."""
        for jid in jids:
            self.successResultOf(self.host.facts.put(JULIET, "block", jid, b""))

    def pushes(self, stream: Any) -> list[Element]:
        """The pushes of this specification."""
        return [each.elements()[0] for each in stream.take() if each.kind == "iq" and each.type == "set"]


class CommandTests(BlockingTestCase):
    """Section 3."""

    def setUp(self) -> None:
        super().setUp()
        self.session, self.stream = self.bind(BALCONY, available=True)

    @spec("XEP-0191", "3.1")
    def test_disco(self) -> None:
        """The domain says that it can."""
        self.assertIn("urn:xmpp:blocking", self.host.namespaces)

    @spec("XEP-0191", "3.2", "3.3", "3.4")
    def test_blockAndUnblock(self) -> None:
        """The list is empty, fills, and is emptied again; it lasts."""
        self.assertEqual(self.list(self.session, self.stream), [])
        self.assertEqual(self.command(self.session, self.stream, "block", "Romeo@example.org", NURSE).inner, b"")
        self.assertEqual(self.list(self.session, self.stream), [NURSE, ROMEO])
        self.session.end()
        session, stream = self.bind(BALCONY)
        self.assertEqual(self.list(session, stream), [NURSE, ROMEO])
        self.assertEqual(self.command(session, stream, "unblock", NURSE).type, "result")
        self.assertEqual(self.list(session, stream), [ROMEO])

    @spec("XEP-0191", "3.5")
    def test_unblockAll(self) -> None:
        """An empty command takes all off."""
        self.command(self.session, self.stream, "block", ROMEO, NURSE)
        self.command(self.session, self.stream, "unblock")
        self.assertEqual(self.list(self.session, self.stream), [])
        self.assertEqual(self.successResultOf(self.host.facts.all(JULIET, "block")), {})

    @spec("XEP-0191", "3.3", "3.4", "3.5")
    def test_pushes(self) -> None:
        """Resources that have asked for the list are told what changes, also the one that changed it."""
        chamber, other = self.bind(JULIET + "/chamber")
        _, uninterested = self.bind(JULIET + "/garden")
        self.list(self.session, self.stream)
        self.list(chamber, other)
        for name, jids in (("block", [NURSE, ROMEO]), ("unblock", [NURSE]), ("unblock", [])):
            self.command(self.session, self.stream, name, *jids)
            for stream in (self.stream, other):
                (push,) = self.pushes(stream)
                self.assertEqual((push.qname, [item.get("jid") for item in push.elements()]), (f"urn:xmpp:blocking {name}", jids))
        self.assertEqual(uninterested.take(), [])

    @spec("XEP-0191", "3.3")
    def test_mistakes(self) -> None:
        """Nothing to block, no address, a bad one; and other people's lists."""
        self.rig.account("romeo")
        self.assertIn(b"bad-request", self.command(self.session, self.stream, "block").raw)
        self.assertIn(b"jid-malformed", self.command(self.session, self.stream, "block", "a@b@c").raw)
        self.rig.send(self.session, b"<iq type='set' id='x'><block xmlns='urn:xmpp:blocking'><item/></block></iq>")
        self.assertIn(b"bad-request", self.stream.takeBytes()[0])
        for name, type in (("blocklist", "get"), ("block", "set"), ("unblock", "set")):
            answer = self.command(self.session, self.stream, name, NURSE, type=type, to=f" to='{ROMEO}'")
            self.assertIn(b"service-unavailable", answer.raw)
        self.assertEqual(self.successResultOf(self.host.facts.all(ROMEO, "block")), {})

    def test_storeFails(self) -> None:
        """What can't be written does not take effect."""
        self.patch(self.host.facts, "replaceAll", lambda *args: fail(StoreUnavailable()))
        self.assertIn(b"resource-constraint", self.command(self.session, self.stream, "block", ROMEO).raw)
        self.assertEqual(self.list(self.session, self.stream), [])

    def test_oneAfterTheOther(self) -> None:
        """Two changes at a time don't undo one another."""
        real, writes = self.host.facts.replaceAll, []

        def slowly(*args: Any) -> Deferred[Any]:
            writes.append(Deferred())
            return writes[-1].addCallback(lambda _: real(*args))

        self.patch(self.host.facts, "replaceAll", slowly)
        for jid in (ROMEO, NURSE):
            self.rig.send(self.session, f"<iq type='set' id='1'><block xmlns='urn:xmpp:blocking'><item jid='{jid}'/></block></iq>".encode())
        for write in writes:
            write.callback(None)
        self.assertEqual(self.list(self.session, self.stream), [NURSE, ROMEO])


class LimitTests(BlockingTestCase):
    """How long a list may be."""

    limits = Limits(blockListItems=2)

    def test_full(self) -> None:
        """Not longer than that."""
        session, stream = self.bind(BALCONY)
        self.assertIn(b"resource-constraint", self.command(session, stream, "block", "a@b", "c@d", "e@f").raw)
        self.assertEqual(self.list(session, stream), [])


class MatchingTests(IMTestCase):
    """Section 6."""

    @spec("XEP-0191", "6")
    def test_order(self) -> None:
        """A resource, an account, a resource of a domain, a domain with all in it."""
        for listed, matching, others in (
            ("a@b.example/c", ["a@b.example/c"], ["a@b.example", "a@b.example/d"]),
            ("a@b.example", ["a@b.example", "a@b.example/c", "A@B.example"], ["b.example", "x@b.example"]),
            ("b.example/c", ["b.example/c"], ["b.example", "a@b.example/c", "b.example/d"]),
            ("b.example", ["b.example", "b.example/c", "a@b.example", "a@b.example/c"], ["c.b.example", "b.exampl"]),
        ):
            found = BlockList("example.org", JULIET, frozenset({listed}))
            self.assertEqual([jid for jid in (*matching, *others) if found.matches(jid)], matching, listed)

    @spec("XEP-0191", "5")
    def test_oneself(self) -> None:
        """Neither one's own resources nor one's own server can be blocked."""
        found = BlockList("example.org", JULIET, frozenset({JULIET, BALCONY, "example.org"}))
        self.assertEqual([found.matches(each) for each in (JULIET, BALCONY, "example.org", ROMEO, "a@b@c")],
                         [False, False, False, True, False])  # fmt: skip


class TrafficTests(BlockingTestCase):
    """What passes and what doesn't (section 3.3)."""

    def setUp(self) -> None:
        super().setUp()
        self.rig.account("juliet")
        self.blocked(ROMEO, NURSE)
        self.session, self.stream = self.bind(BALCONY, available=True)
        self.romeo, self.romeoStream = self.bind(ORCHARD, available=True)

    @spec("XEP-0191", "3.3")
    def test_out(self) -> None:
        """What the user sends is not routed, but answered with the error of this specification."""
        for raw in (
            b"<message to='romeo@example.org'><body>hi</body></message>",
            b"<message to='romeo@example.org/orchard'/>",
            b"<presence to='romeo@example.org'/>",
            b"<presence to='romeo@example.org' type='subscribe'/>",
            b"<iq to='romeo@example.org/orchard' type='get' id='1'><q xmlns='urn:q'/></iq>",
            b"<iq to='romeo@example.org' type='set' id='1'><q xmlns='urn:q'/></iq>",
        ):
            self.rig.send(self.session, raw)
            (answer,) = self.stream.take()
            self.assertEqual(answer.type, "error")
            self.assertIn(b"<error type='cancel'", answer.raw)
            self.assertIn(b"<not-acceptable xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/>", answer.raw)
            self.assertIn(b"<blocked xmlns='urn:xmpp:blocking:errors'/>", answer.raw)
        self.assertEqual(self.romeoStream.take(), [])

    @spec("XEP-0191", "3.3")
    def test_in(self) -> None:
        """Messages and requests are answered with service-unavailable, once; presence and answers are dropped."""
        self.bind(JULIET + "/chamber", available=True)
        for to in (JULIET, BALCONY):
            self.stream.take()
            self.rig.send(self.romeo, f"<message to='{to}' type='chat'><body>hi</body></message>".encode())
            self.rig.send(self.romeo, f"<iq to='{to}' type='get' id='1'><q xmlns='urn:q'/></iq>".encode())
            answers = self.romeoStream.takeBytes()
            self.assertEqual([b"service-unavailable" in each for each in answers], [True, True])
            for raw in (
                "<presence to='{}'/>",
                "<presence to='{}' type='unavailable'/>",
                "<presence to='{}' type='subscribe'/>",
                "<presence to='{}' type='unsubscribed'/>",
                "<presence to='{}' type='probe'/>",
                "<iq to='{}' type='result' id='1'/>",
                "<iq to='{}' type='error' id='1'/>",
                "<message to='{}' type='error'/>",
            ):
                self.rig.send(self.romeo, raw.format(to).encode())
            answers = [each for each in self.romeoStream.take() if each.kind != "iq"]
            self.assertEqual([each.raw for each in answers], [])
            self.assertEqual(self.stream.take(), [])
        self.assertEqual(self.stored(JULIET), {})

    @spec("XEP-0191", "3.3")
    def test_accountIsNotAsked(self) -> None:
        """What the server would answer for the account, it doesn't answer to the blocked."""
        self.host.respond("account", "get", "urn:q q", lambda request: b"<a xmlns='urn:q'/>")
        mercutio, stream = self.bind("mercutio@example.org/x")
        ask = f"<iq to='{JULIET}' type='get' id='1'><q xmlns='urn:q'/></iq>".encode()
        for online in (True, False):
            self.rig.send(self.romeo, ask)
            self.assertIn(b"service-unavailable", self.romeoStream.takeBytes()[0])
            self.rig.send(mercutio, ask)
            self.assertEqual(stream.take()[0].type, "result")
            if online:
                self.session.end()

    @spec("XEP-0191", "3.4")
    def test_unblocked(self) -> None:
        """After unblocking everything passes, and nothing has to be asked any more."""
        self.command(self.session, self.stream, "unblock")
        self.rig.send(self.romeo, f"<message to='{JULIET}'><body>hi</body></message>".encode())
        self.assertEqual(len(self.stream.take()), 1)
        self.assertFalse(self.session.sending or self.session.receiving)  # type: ignore[attr-defined]

    def test_othersAreUntouched(self) -> None:
        """Who blocks nobody has no restrictions."""
        self.assertFalse(self.romeo.sending or self.romeo.receiving)  # type: ignore[attr-defined]


class PresenceTests(BlockingTestCase):
    """Presence when somebody is blocked (sections 3.3, 3.4)."""

    def setUp(self) -> None:
        super().setUp()
        self.put(JULIET, RosterItem(NURSE, subscription="both"), RosterItem(ROMEO, subscription="both"))
        self.put(ROMEO, RosterItem(JULIET, subscription="both"))
        self.session, self.stream = self.bind(BALCONY, available=True)
        self.romeo, self.romeoStream = self.bind(ORCHARD, available=True)
        self.elsewhere.take()

    @spec("XEP-0191", "3.3", "4")
    def test_block(self) -> None:
        """The blocked see the user leave, and then nothing, not even a return; the subscription stays."""
        self.rig.send(self.session, b"<presence to='nurse@example.net/kitchen'/>")
        self.rig.send(self.session, b"<presence to='paris@example.net'/>")
        self.elsewhere.take()
        self.command(self.session, self.stream, "block", ROMEO, NURSE, "paris@example.net", "stranger@example.net")
        self.assertEqual(self.told(self.romeoStream), [("unavailable", BALCONY, ROMEO)])
        self.assertEqual(
            self.told(self.elsewhere), [("unavailable", BALCONY, NURSE), ("unavailable", BALCONY, "paris@example.net")]
        )
        self.rig.send(self.session, b"<presence><show>away</show></presence>")
        self.session.end()
        session, _ = self.bind(BALCONY, available=True)
        self.rig.send(self.romeo, b"<presence type='unavailable'/><presence/>")
        self.assertEqual([each for each in self.told(self.romeoStream) if each[1] == BALCONY], [])
        self.assertEqual(self.elsewhere.take(), [])
        self.assertEqual(self.stored(JULIET)[ROMEO].subscription, "both")
        self.assertIsNotNone(session.presence)

    @spec("XEP-0191", "3.4")
    def test_unblock(self) -> None:
        """Afterwards they see the user again, and the user them."""
        self.command(self.session, self.stream, "block", ROMEO, NURSE)
        self.told(self.romeoStream), self.elsewhere.take()
        self.command(self.session, self.stream, "unblock", ROMEO, NURSE)
        self.assertEqual(self.told(self.romeoStream), [(None, BALCONY, ROMEO)])
        self.assertEqual(self.told(self.stream), [(None, ORCHARD, JULIET)])
        self.assertEqual(self.told(self.elsewhere), [(None, BALCONY, NURSE), ("probe", JULIET, NURSE)])

    @spec("XEP-0191", "3.3")
    def test_domain(self) -> None:
        """A domain takes all its accounts with it."""
        self.command(self.session, self.stream, "block", "example.net")
        self.assertEqual(self.told(self.elsewhere), [("unavailable", BALCONY, NURSE)])
        self.assertEqual(self.told(self.romeoStream), [])

    @spec("XEP-0191", "3.3")
    def test_probes(self) -> None:
        """Probes are not answered, whether the user is there or not."""
        self.command(self.session, self.stream, "block", NURSE)
        self.elsewhere.take()
        for end in (lambda: None, self.session.end):
            end()
            self.rig.inject(f"<presence from='{NURSE}' to='{JULIET}' type='probe'/>".encode())
            self.assertEqual(self.elsewhere.take(), [])


class AwayTests(BlockingTestCase):
    """What comes while the user is away."""

    def setUp(self) -> None:
        super().setUp()
        self.rig.account("juliet")
        self.blocked(ROMEO)
        self.romeo, self.romeoStream = self.bind(ORCHARD)
        self.paris, self.parisStream = self.bind("paris@example.org/x")

    def kept(self) -> int:
        """How many messages wait."""
        return int(self.successResultOf(self.host.spool.count(JULIET)))

    @spec("XEP-0191", "3.3")
    def test_messages(self) -> None:
        """Those of the blocked are not kept but answered, those of others are kept."""
        for _ in range(2):
            self.rig.send(self.romeo, f"<message to='{JULIET}'><body>hi</body></message>".encode())
            self.assertIn(b"service-unavailable", self.romeoStream.takeBytes()[0])
            self.rig.send(self.paris, f"<message to='{JULIET}'><body>hi</body></message>".encode())
        self.assertEqual((self.kept(), self.parisStream.take()), (2, []))

    def test_order(self) -> None:
        """Messages that wait for the list keep their order, and promises wait with them."""
        real, reads = self.host.facts.all, []

        def slowly(*args: Any) -> Deferred[Any]:
            reads.append(Deferred())
            return reads[-1].addCallback(lambda _: real(*args))

        self.patch(self.host.facts, "all", slowly)
        for n in range(3):
            self.rig.send(self.paris, f"<message to='{JULIET}'><body>{n}</body></message>".encode())
        self.assertEqual((self.kept(), len(reads)), (0, 1))
        reads[0].callback(None)
        rows = self.successResultOf(self.host.spool.offline(JULIET))
        self.assertEqual([b"<body>%d</body>" % n in row.stanza for n, row in enumerate(rows)], [True] * 3)

    def test_storeFails(self) -> None:
        """Without the list nothing is kept; the sender may try again."""
        self.patch(self.host.facts, "all", lambda *args: fail(StoreUnavailable()))
        self.rig.send(self.paris, f"<message to='{JULIET}'><body>hi</body></message>".encode())
        self.assertIn(b"resource-constraint", self.parisStream.takeBytes()[0])

    @spec("XEP-0191", "3.3")
    def test_requests(self) -> None:
        """A request of the blocked leaves no trace."""
        for sender in (self.romeo, self.paris):
            self.rig.send(sender, f"<presence to='{JULIET}' type='subscribe'/>".encode())
        self.assertEqual(list(self.stored(JULIET)), ["paris@example.org"])
        self.assertEqual([told(each) for each in self.romeoStream.take()], [])

    def test_pendingRequests(self) -> None:
        """Nor is one that was kept before shown again."""
        self.rig.send(self.paris, f"<presence to='{JULIET}' type='subscribe'/>".encode())
        self.blocked("paris@example.org")
        self.host.hooks.removed.notify(JULIET)  # the list is not remembered any more
        self.host.hooks.registered.notify(JULIET)
        session, stream = self.bind(BALCONY)
        self.rig.send(session, b"<presence/>")
        self.assertEqual([each.type for each in stream.take()], [None])

    def test_removed(self) -> None:
        """Who gets the name of a removed account doesn't get its list, though its last session outlived it a moment."""
        last, _ = self.bind(BALCONY)
        self.successResultOf(self.host.facts.replaceAll(JULIET, "block", {}))
        self.host.hooks.removed.notify(JULIET)
        last.end()
        self.host.hooks.registered.notify(JULIET)
        self.rig.send(self.romeo, f"<message to='{JULIET}'><body>hi</body></message>".encode())
        self.assertEqual((self.kept(), self.romeoStream.take()), (1, []))
