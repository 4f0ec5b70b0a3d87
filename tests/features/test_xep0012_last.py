"""Tests of L{xmppd.features.xep0012_last}."""

from __future__ import annotations

from twisted.internet.defer import fail

from tests.features.asking import JULIET, ROMEO, AskingCase
from tests.marks import spec
from xmppd.features.xep0012_last import LONGEST_STATUS, feature
from xmppd.ixmppd import StoreUnavailable

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
