"""Tests of L{xmppd.features.xep0012_last}."""

from __future__ import annotations

from twisted.internet.defer import fail

from tests.features.asking import JULIET, ROMEO, AskingCase
from tests.features.rfc6121_im.base import IMTestCase
from tests.marks import spec
from xmppd.features.xep0012_last import LONGEST_STATUS, feature
from xmppd.ixmppd import ISession, StoreUnavailable

QUERY = "<query xmlns='jabber:iq:last'/>"


class LastTests(AskingCase):
    """How long the server is up, how long somebody is offline."""

    features = (feature,)

    @spec("XEP-0012", "5", "6")
    def test_uptime(self) -> None:
        """Seconds since the host was made; no text."""
        self.rig.clock.advance(77.5)
        query = self.result(self.juliet, "get", QUERY, "example.org")
        self.assertEqual((query.attrs, query.children), ({"seconds": "77"}, ()))
        self.assertIn("jabber:iq:last", self.rig.host.namespaces)

    @spec("XEP-0012", "3", "8")
    def test_strangers(self) -> None:
        """Without a subscription it is forbidden to ask, online or offline, there or not."""
        for state in ("none", "to"):
            self.subscribe(ROMEO, JULIET, state)
            for to in (ROMEO, "nobody@example.org"):
                self.assertEqual(self.error(self.juliet, "get", QUERY, to), "forbidden")
        self.romeo.end()
        self.assertEqual(self.error(self.juliet, "get", QUERY, ROMEO), "forbidden")

    @spec("XEP-0012", "3")
    def test_online(self) -> None:
        """With at least one resource connected it is 0 and nothing more."""
        self.subscribe(ROMEO, JULIET, "both")
        query = self.result(self.juliet, "get", QUERY, ROMEO)
        self.assertEqual((query.attrs, query.children), ({"seconds": "0"}, ()))
        self.assertEqual(self.result(self.juliet, "get", QUERY).attrs, {"seconds": "0"})

    @spec("XEP-0012", "3")
    def test_offline(self) -> None:
        """Seconds since the last session ended, and its last status."""
        self.subscribe(ROMEO, JULIET, "from")
        other = self.bind(ROMEO + "/other")
        self.rig.send(other, b"<presence type='unavailable'><status>Not this</status></presence>")
        other.end()
        self.rig.send(self.romeo, b"<presence type='unavailable'><status>Heading &lt;Home></status></presence>")
        self.romeo.end()
        self.rig.clock.advance(903)
        query = self.result(self.juliet, "get", QUERY, ROMEO)
        self.assertEqual((query.attrs, query.text), ({"seconds": "903"}, "Heading <Home>"))

    def test_noStatus(self) -> None:
        """A session that just ends leaves no status; an empty one clears the former."""
        self.subscribe(ROMEO, JULIET, "from")
        self.rig.send(self.romeo, b"<presence type='unavailable'><status>A</status></presence>")
        self.rig.send(self.romeo, b"<presence type='unavailable'/>")
        self.romeo.end()
        self.assertEqual(self.result(self.juliet, "get", QUERY, ROMEO).text, "")

    def test_longStatus(self) -> None:
        """Only so much of a status is kept."""
        self.subscribe(ROMEO, JULIET, "from")
        self.rig.send(self.romeo, b"<presence type='unavailable'><status>%s</status></presence>" % (b"x" * 5000))
        self.romeo.end()
        self.assertEqual(len(self.result(self.juliet, "get", QUERY, ROMEO).text), LONGEST_STATUS)

    def test_never(self) -> None:
        """There is nothing to tell of an account nobody has used."""
        self.rig.account("nurse")
        self.subscribe("nurse@example.org", JULIET, "from")
        self.assertEqual(self.error(self.juliet, "get", QUERY, "nurse@example.org"), "item-not-found")

    def test_guest(self) -> None:
        """Nothing is stored about guests."""
        stored = []
        self.rig.host.accounts.setLastActivity = lambda *arguments: stored.append(arguments)
        self.bind("g@example.org/x", guest=True).end()
        self.assertEqual(stored, [])

    def test_storeUnavailable(self) -> None:
        """If it can't be stored the session ends all the same."""
        self.rig.host.accounts.setLastActivity = lambda *arguments: fail(StoreUnavailable())
        self.romeo.end()
        self.assertTrue(self.romeo.over)


class FullAddressTests(IMTestCase):
    """What is asked of a full JID: Juliet sees Romeo's presence, Tybalt and the nurse elsewhere don't."""

    extras = (feature,)

    def setUp(self) -> None:
        super().setUp()
        self.befriend(JULIET, ROMEO)
        self.rig.account("tybalt")
        (_, self.client) = self.interested(ROMEO + "/orchard")
        (self.juliet, self.friend) = self.interested(JULIET + "/balcony")
        (self.tybalt, self.stranger) = self.interested("tybalt@example.org/street")
        self.client.take(), self.friend.take()

    def ask(self, to: str, session: ISession | None = None, payload: str = QUERY) -> str:
        """The condition of the error that a stranger gets, or another; empty if the client was asked."""
        self.rig.send(session or self.tybalt, f"<iq type='get' id='1' to='{to}'>{payload}</iq>".encode())
        asked = self.client.take()
        if asked:
            self.assertEqual([(each.kind, each.to) for each in asked], [("iq", to)])
            return ""
        (answer,) = (self.friend if session is self.juliet else self.stranger).take()
        self.assertEqual((answer.type, answer.sender), ("error", to))
        return next(answer.elements()[-1].elements()).name

    @spec("XEP-0012", "4", "8")
    def test_stranger(self) -> None:
        """Forbidden in the same words, whether the resource is there, or the account; the client isn't asked."""
        for to in (ROMEO + "/orchard", "romeo@EXAMPLE.org/orchard", ROMEO + "/nowhere", "nobody@example.org/x"):
            self.assertEqual(self.ask(to), "forbidden")
        self.rig.inject(f"<iq type='get' id='1' from='nurse@example.net/x' to='{ROMEO}/orchard'>{QUERY}</iq>".encode())
        self.assertEqual([next(each.elements()[-1].elements()).name for each in self.elsewhere.take()], ["forbidden"])
        self.assertEqual(self.client.take(), [])

    @spec("XEP-0012", "4")
    def test_contact(self) -> None:
        """Who sees the presence asks the client itself; of a resource that isn't there the server says so."""
        self.assertEqual(self.ask(ROMEO + "/orchard", self.juliet), "")
        self.assertEqual(self.ask(ROMEO + "/nowhere", self.juliet), "service-unavailable")
        self.assertEqual(self.ask("tybalt@example.org/nowhere"), "service-unavailable")

    def test_directedPresence(self) -> None:
        """Who was shown presence may ask."""
        (romeo,) = self.host.sessions[ROMEO].values()
        self.rig.send(romeo, b"<presence to='tybalt@example.org/street'/>")
        self.stranger.take()
        self.assertEqual(self.ask(ROMEO + "/orchard"), "")

    def test_strangersMayAsk(self) -> None:
        """That strangers may ask clients other things changes nothing."""
        self.host.presence.strangersMayAsk = True  # type: ignore[attr-defined]
        self.assertEqual(self.ask(ROMEO + "/orchard"), "forbidden")
        self.assertEqual(self.ask(ROMEO + "/orchard", payload="<ping xmlns='urn:xmpp:ping'/>"), "")

    def test_others(self) -> None:
        """Other requests are answered as ever; answers pass."""
        for to in (ROMEO + "/orchard", ROMEO + "/nowhere"):
            self.assertEqual(self.ask(to, payload="<ping xmlns='urn:xmpp:ping'/>"), "service-unavailable")
        self.rig.send(self.tybalt, f"<iq type='result' id='1' to='{ROMEO}/orchard'>{QUERY}</iq>".encode())
        self.assertEqual([each.type for each in self.client.take()], ["result"])

    def test_storeUnavailable(self) -> None:
        """Without the roster nobody knows who may ask."""
        self.host.presence.subscription = lambda *arguments: fail(StoreUnavailable())  # type: ignore[method-assign]
        self.assertEqual(self.ask(ROMEO + "/nowhere"), "resource-constraint")
