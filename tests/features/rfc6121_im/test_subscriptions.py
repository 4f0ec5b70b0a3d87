"""
Tests of presence subscriptions beyond the table (RFC 6121 section 3).
"""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred

from tests.features.rfc6121_im.base import IMTestCase, told
from tests.marks import spec
from xmppd.features.rfc6121_im import subscriptions
from xmppd.ixmppd import RosterItem
from xmppd.wire.stanza import fromBytes

JULIET, ROMEO, NURSE = "juliet@example.org", "romeo@example.org", "nurse@example.net"


class LocalTests(IMTestCase):
    """Romeo and Juliet, both of this host, become friends and part."""

    def setUp(self) -> None:
        super().setUp()
        self.romeo, self.romeoStream = self.interested(ROMEO + "/orchard")
        self.juliet, self.julietStream = self.interested(JULIET + "/balcony")

    def kinds(self, stream: Any) -> list[str]:
        """What came: the type of presence, or C{push}."""
        return ["push" if each.kind == "iq" else each.type or "available" for each in stream.take()]

    @spec("RFC 6121", "3.1.2", "3.1.3", "3.1.5", "3.1.6")
    def test_handshake(self) -> None:
        """A request, its approval, and then presence: each side in the order that the RFC gives."""
        self.rig.send(self.romeo, b"<presence id='1' to='juliet@example.org' type='subscribe'><status>hi</status></presence>")
        self.assertEqual(self.pushed(self.romeoStream), [{"jid": JULIET, "subscription": "none", "ask": "subscribe"}])
        (request,) = self.julietStream.take()
        self.assertEqual(told(request), ("subscribe", ROMEO, JULIET))
        self.assertIn(b"<status>hi</status>", request.raw)
        self.assertFalse(self.stored(JULIET)[ROMEO].listed)

        self.rig.send(self.juliet, b"<presence id='2' to='romeo@example.org' type='subscribed'/>")
        self.assertEqual(self.pushed(self.julietStream), [{"jid": ROMEO, "subscription": "from"}])
        self.assertEqual(
            [(each.kind, each.type, each.sender) for each in self.romeoStream.take()],
            [
                ("presence", "subscribed", JULIET),
                ("iq", "set", ROMEO),
                ("presence", None, JULIET + "/balcony"),
            ],
        )
        self.assertEqual(self.stored(ROMEO)[JULIET].subscription, "to")

    @spec("RFC 6121", "3.2.2", "3.2.3")
    def test_cancel(self) -> None:
        """Who cancels becomes unavailable first, then says so; and both rosters follow."""
        self.romeo.end()
        self.juliet.end()
        self.befriend(JULIET, ROMEO)
        juliet, julietStream = self.interested(JULIET + "/balcony")
        _, romeoStream = self.interested(ROMEO + "/orchard")
        julietStream.take()
        self.rig.send(juliet, b"<presence to='romeo@example.org' type='unsubscribed'/>")
        self.assertEqual(self.kinds(romeoStream), ["unavailable", "unsubscribed", "push"])
        self.assertEqual(self.pushed(julietStream), [{"jid": ROMEO, "subscription": "to"}])
        self.assertEqual(self.stored(ROMEO)[JULIET].subscription, "from")
        self.rig.send(juliet, b"<presence><status>secret</status></presence>")
        self.assertEqual(self.kinds(romeoStream), [])

    @spec("RFC 6120", "10.1")
    def test_suspends(self) -> None:
        """Nothing that comes behind a cancellation is processed, no presence either, before that is done."""
        put = self.host.rosters.put
        write: Deferred[None] = Deferred()
        self.patch(self.host.rosters, "put", lambda *args: write.addCallback(lambda _: put(*args)))
        self.julietStream.waits.clear()
        self.rig.send(self.juliet, b"<presence to='romeo@example.org' type='subscribe'/>")
        (wait,) = self.julietStream.waits
        self.assertNoResult(wait)
        write.callback(None)
        self.successResultOf(wait)

    @spec("RFC 6121", "3.3.2", "3.3.3")
    def test_unsubscribe(self) -> None:
        """Who unsubscribes gets no more presence; the other side is told before its roster changes."""
        self.romeo.end()
        self.juliet.end()
        self.befriend(JULIET, ROMEO)
        _juliet, julietStream = self.interested(JULIET + "/balcony")
        romeo, romeoStream = self.interested(ROMEO + "/orchard")
        julietStream.take()
        self.rig.send(romeo, b"<presence to='juliet@example.org' type='unsubscribe'/>")
        self.assertEqual(self.kinds(julietStream), ["unsubscribe", "push"])
        self.assertEqual(self.kinds(romeoStream), ["unavailable", "push"])
        self.assertEqual(self.stored(JULIET)[ROMEO].subscription, "to")
        self.assertEqual(self.stored(ROMEO)[JULIET].subscription, "from")

    @spec("RFC 6121", "3.1.2")
    def test_noSuchAccount(self) -> None:
        """A request to nobody on this host is answered."""
        self.rig.send(self.romeo, b"<presence id='1' to='nobody@example.org' type='subscribe'/>")
        answers = [each for each in self.romeoStream.take() if each.type == "error"]
        self.assertEqual(len(answers), 1)
        self.assertIn(b"item-not-found", answers[0].raw)

    def test_oneself(self) -> None:
        """There is nothing to subscribe to."""
        self.rig.send(self.romeo, b"<presence to='romeo@example.org' type='subscribe'/>")
        self.assertIn(b"not-allowed", self.romeoStream.takeBytes()[0])

    def test_addresses(self) -> None:
        """Without an address, or with a bad one, there is only an error."""
        self.rig.send(self.romeo, b"<presence type='subscribe'/>")
        self.rig.send(self.romeo, b"<presence type='subscribe' to='a@b@c'/>")
        first, second = self.romeoStream.takeBytes()
        self.assertIn(b"bad-request", first)
        self.assertIn(b"jid-malformed", second)

    @spec("RFC 6121", "3.1.2", "3.1.3")
    def test_fullAddress(self) -> None:
        """A request to a resource is one to the account."""
        self.rig.send(self.romeo, b"<presence id='1' to='juliet@example.org/balcony' type='subscribe'/>")
        self.assertEqual(told(self.julietStream.take()[0]), ("subscribe", ROMEO, JULIET))

    @spec("RFC 6121", "8.5.3.2.2")
    def test_otherTypesToNoResource(self) -> None:
        """But the other types, to a resource that is not there, are ignored."""
        for type in ("subscribed", "unsubscribe", "unsubscribed"):
            self.rig.inject(f"<presence from='{NURSE}' to='{JULIET}/nowhere' type='{type}'/>".encode())
        self.assertEqual(self.kinds(self.julietStream), [])


class RequestTests(IMTestCase):
    """Requests from strangers (section 3.1.3)."""

    REQUEST = (
        b"<presence from='nurse@example.net' to='juliet@example.org' type='subscribe' id='7'>"
        b"<status>Let me in</status><x xmlns='urn:example:x'/></presence>"
    )

    @spec("RFC 6121", "3.1.3", "A.1")
    def test_keptWhole(self) -> None:
        """A request is kept with all it holds and delivered at each initial presence until it is answered."""
        self.rig.account("juliet")
        self.rig.inject(self.REQUEST)
        self.rig.inject(self.REQUEST.replace(b"Let me in", b"again"))
        self.assertEqual(self.elsewhere.take(), [])
        for resource in ("balcony", "chamber"):
            session, stream = self.bind(f"{JULIET}/{resource}")
            self.rig.send(session, b"<iq type='get' id='r'><query xmlns='jabber:iq:roster'/></iq>")
            self.assertNotIn(b"nurse", stream.take()[0].raw)
            self.rig.send(session, b"<presence/>")
            requests = [each for each in stream.take() if each.type == "subscribe"]
            self.assertEqual(len(requests), 1)
            self.assertIn(b"<status>Let me in</status><x xmlns='urn:example:x'/>", requests[0].raw)
            self.rig.send(session, b"<presence><show>away</show></presence>")
            self.assertEqual([each for each in stream.take() if each.type == "subscribe"], [])
        self.rig.send(session, b"<presence to='nurse@example.net' type='unsubscribed'/>")
        self.assertEqual(self.stored(JULIET), {})
        self.assertEqual([told(each) for each in self.elsewhere.take()], [("unsubscribed", JULIET, NURSE)])
        third, stream = self.bind(JULIET + "/garden", available=False)
        self.rig.send(third, b"<presence/>")
        self.assertEqual([each for each in stream.take() if each.type == "subscribe"], [])

    @spec("RFC 6121", "3.1.3")
    def test_allAvailableResources(self) -> None:
        """All available resources get it, and no others; nothing is approved on its own."""
        _, balcony = self.bind(JULIET + "/balcony", available=True)
        _, chamber = self.bind(JULIET + "/chamber", available=True)
        _, garden = self.interested(JULIET + "/garden", available=False)
        balcony.take()
        self.rig.inject(self.REQUEST)
        self.assertEqual([len(each.take()) for each in (balcony, chamber, garden)], [1, 1, 0])
        self.assertEqual(self.elsewhere.take(), [])
        self.assertEqual(self.stored(JULIET)[NURSE].listed, False)

    @spec("RFC 6121", "3.1.3")
    def test_alreadySubscribed(self) -> None:
        """Who has a subscription is told so at once, with the id of the request."""
        self.rig.account("juliet")
        self.put(JULIET, RosterItem(NURSE, subscription="from"))
        self.rig.inject(self.REQUEST)
        (answer,) = self.elsewhere.take()
        self.assertEqual((*told(answer), answer.id), ("subscribed", JULIET, NURSE, "7"))

    @spec("RFC 6121", "8.5.1")
    def test_noSuchAccount(self) -> None:
        """Another server isn't told who lives here."""
        for type in ("subscribe", "subscribed", "unsubscribe", "unsubscribed"):
            self.rig.inject(f"<presence from='{NURSE}' to='nobody@example.org' type='{type}'/>".encode())
        self.assertEqual(self.elsewhere.take(), [])

    def test_fromFullAddress(self) -> None:
        """A server that stamps the resource is understood, but the resource is not passed on."""
        _, stream = self.bind(JULIET + "/balcony", available=True)
        self.rig.inject(self.REQUEST.replace(b"nurse@example.net'", b"nurse@example.net/kitchen'"))
        self.assertEqual(told(stream.take()[0]), ("subscribe", NURSE, JULIET))
        self.assertEqual(list(self.stored(JULIET)), [NURSE])

    @spec("RFC 6121", "3.1.3")
    def test_bounds(self) -> None:
        """Neither size nor number of what is kept is for strangers to choose."""
        self.rig.account("juliet")
        self.patch(subscriptions, "PENDING", 3)
        self.rig.inject(self.REQUEST.replace(b"Let me in", b"x" * subscriptions.LARGEST_REQUEST))
        self.assertIn(b"policy-violation", self.elsewhere.take()[0].raw)
        for n in range(5):
            self.rig.inject(self.REQUEST.replace(b"nurse", b"nurse%d" % n))
        self.assertEqual(len(self.stored(JULIET)), 3)
        self.assertEqual([b"resource-constraint" in each.raw for each in self.elsewhere.take()], [True, True])

    @spec("RFC 6121", "3.3.3")
    def test_withdrawn(self) -> None:
        """A request that is taken back leaves nothing."""
        self.rig.account("juliet")
        self.rig.inject(self.REQUEST)
        self.rig.inject(self.REQUEST.replace(b"subscribe", b"unsubscribe"))
        self.assertEqual(self.stored(JULIET), {})

    @spec("RFC 6121", "3.1.2")
    def test_repeated(self) -> None:
        """Our own unanswered requests to other servers are repeated when a resource becomes available."""
        self.put(JULIET, RosterItem(NURSE, ask=True), RosterItem(ROMEO, ask=True))
        self.bind(JULIET + "/balcony", available=True)
        self.assertEqual([told(each) for each in self.elsewhere.take()], [("subscribe", JULIET, NURSE)])


class ApprovalTests(IMTestCase):
    """Pre-approval (section 3.4)."""

    @spec("RFC 6121", "3.4.2")
    def test_approve(self) -> None:
        """An approval before the request is noted and pushed, and not sent."""
        session, stream = self.interested(JULIET + "/balcony")
        self.rig.send(session, b"<presence to='nurse@example.net' type='subscribed'/>")
        item = {"jid": NURSE, "subscription": "none", "approved": "true"}
        self.assertEqual((self.pushed(stream), self.elsewhere.take()), ([item], []))
        self.rig.send(session, b"<presence to='nurse@example.net' type='subscribed'/>")
        self.assertEqual(self.pushed(stream), [])

    @spec("RFC 6121", "3.1.3", "3.4.2")
    def test_request(self) -> None:
        """The request is then answered at once, the client isn't asked, and presence follows."""
        for before, after in (("none", "from"), ("to", "both")):
            self.put(JULIET, RosterItem(NURSE, subscription=before, approved=True))
            session, stream = self.interested(JULIET + "/balcony")
            self.rig.inject(RequestTests.REQUEST)
            self.assertEqual(
                [told(each) for each in self.elsewhere.take()],
                [("subscribed", JULIET, NURSE), (None, JULIET + "/balcony", NURSE)],
            )
            self.assertEqual(self.pushed(stream), [{"jid": NURSE, "subscription": after, "approved": "true"}])
            session.end()

    @spec("RFC 6121", "3.2.2", "3.4.2")
    def test_revoke(self) -> None:
        """It can be taken back, which is not sent either."""
        self.put(JULIET, RosterItem(NURSE, approved=True))
        session, stream = self.interested(JULIET + "/balcony")
        self.rig.send(session, b"<presence to='nurse@example.net' type='unsubscribed'/>")
        self.assertEqual(
            (self.pushed(stream), self.elsewhere.take()), ([{"jid": NURSE, "subscription": "none"}], [])
        )


class OrderTests(IMTestCase):
    """What overtakes what."""

    def test_offlineAccount(self) -> None:
        """Stanzas for somebody who is away wait for the store in their order."""
        self.rig.account("juliet")
        reads: list[Deferred[Any]] = []
        get = self.host.rosters.get

        def slowly(account: str) -> Deferred[Any]:
            reads.append(Deferred())
            return reads[-1].addCallback(lambda _: get(account))

        self.patch(self.host.rosters, "get", slowly)
        self.rig.inject(RequestTests.REQUEST)
        self.rig.inject(RequestTests.REQUEST.replace(b"subscribe", b"unsubscribe"))
        self.rig.inject(RequestTests.REQUEST.replace(b"Let me in", b"again"))
        while reads:
            reads.pop(0).callback(None)
        self.assertIn(b"again", self.stored_(JULIET, get))

    def stored_(self, account: str, get: Any) -> bytes:
        """The pending request in the store."""
        (item,) = self.successResultOf(get(account)).items
        return item.pendingIn or b""

    @spec("RFC 6121", "3.1.5")
    def test_presenceFollows(self) -> None:
        """Presence comes after the word that it was granted, however long the roster takes to be written."""
        romeo, romeoStream = self.interested(ROMEO + "/orchard")
        juliet, _ = self.interested(JULIET + "/balcony")
        self.rig.send(romeo, b"<presence to='juliet@example.org' type='subscribe'/>")
        romeoStream.take()
        writes: list[Deferred[Any]] = []
        put = self.host.rosters.put

        def slowly(account: str, item: RosterItem) -> Deferred[Any]:
            writes.append(Deferred())
            return writes[-1].addCallback(lambda _: put(account, item))

        self.patch(self.host.rosters, "put", slowly)
        self.rig.send(juliet, b"<presence to='romeo@example.org' type='subscribed'/>")
        while writes:
            self.assertEqual(romeoStream.take(), [])
            writes.pop(0).callback(None)
        kinds = [(each.kind, each.type) for each in romeoStream.take()]
        self.assertEqual(kinds, [("presence", "subscribed"), ("iq", "set"), ("presence", None)])

    def test_promise(self) -> None:
        """A subscription stanza is not acknowledged before it is written."""
        session, _ = self.interested(JULIET + "/balcony")
        write: Deferred[int] = Deferred()
        self.patch(self.host.rosters, "put", lambda account, item: write)
        stanza = fromBytes(b"<presence to='nurse@example.net' type='subscribe'/>")
        stanza.promise = promise = []
        session.received(stanza)
        self.assertEqual(len(promise), 1)
        self.assertNoResult(promise[0])
        write.callback(1)
        self.successResultOf(promise[0])


class EndTests(IMTestCase):
    """When an account is no more."""

    def test_guest(self) -> None:
        """A guest's friends are told when the guest has gone, and nothing is kept."""
        self.rig.account("juliet")
        guest, _ = self.bind("g1@example.org/web", guest=True)
        self.rig.send(guest, b"<presence/><presence to='juliet@example.org' type='subscribe'/>")
        self.rig.send(guest, b"<presence to='nurse@example.net' type='subscribed'/>")
        juliet, stream = self.interested(JULIET + "/balcony")
        self.rig.send(juliet, b"<presence to='g1@example.org' type='subscribed'/>")
        self.rig.send(juliet, b"<presence to='g1@example.org' type='subscribe'/>")
        self.rig.send(guest, b"<presence to='juliet@example.org' type='subscribed'/>")
        stream.take()
        guest.end()
        self.assertEqual([each[0] for each in self.told(stream)], ["unavailable", "unsubscribe", "unsubscribed"])
        self.assertEqual((self.stored("g1@example.org"), self.stored(JULIET)), ({}, {}))

    @spec("XEP-0077", "3.2")
    def test_removal(self) -> None:
        """Whoever removes an account ends its subscriptions in both directions; contacts keep their items."""
        self.befriend(JULIET, ROMEO)
        session, _ = self.bind(JULIET + "/balcony", available=True)
        _, stream = self.interested(ROMEO + "/orchard")
        self.rig.send(session, b"<presence to='nurse@example.net' type='subscribe'/>")
        self.successResultOf(self.host.registrar.remove(JULIET, session))
        self.rig.clock.advance(0)
        told = [each[0] for each in self.told(stream)]
        self.assertEqual(told, ["unsubscribe", "unavailable", "unsubscribed"])
        self.assertEqual((self.stored(JULIET), self.stored(ROMEO)[JULIET].subscription), ({}, "none"))

    def test_removedAccount(self) -> None:
        """An account that is removed while it is connected takes leave once, and has no contacts then."""
        self.befriend(JULIET, ROMEO)
        session, _ = self.bind(JULIET + "/balcony", available=True)
        _, stream = self.interested(ROMEO + "/orchard")
        self.successResultOf(self.host.accounts.remove(JULIET))
        self.host.hooks.removed.notify(JULIET)
        self.assertEqual(self.told(stream), [("unavailable", JULIET + "/balcony", ROMEO)])
        self.rig.send(session, b"<presence/>")
        session.end()
        self.assertEqual(self.told(stream), [])
