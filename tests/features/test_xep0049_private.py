"""Tests of L{xmppd.features.xep0049_private}."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred

from tests.features.asking import JULIET, ROMEO, AskingCase
from tests.marks import spec
from xmppd.config import Limits
from xmppd.features.xep0049_private import feature
from xmppd.ixmppd import ISession, IStorageRestriction
from xmppd.wire.errors import StanzaCondition, StanzaError


def query(content: str) -> str:
    """The payload with some content."""
    return f"<query xmlns='jabber:iq:private'>{content}</query>"


EXODUS = "<exodus xmlns='exodus:prefs'><defaultnick>Hamlet</defaultnick></exodus>"


class PrivateTests(AskingCase):
    """Storage for oneself."""

    features = (feature,)
    options = {"limits": Limits(privateBytes=200)}

    def get(self, element: str) -> bytes:
        """What is stored by that name."""
        return self.result(self.juliet, "get", query(element)).toBytes("")

    @spec("XEP-0049", "2.3")
    def test_roundTrip(self) -> None:
        """What was stored comes back, to every session of the account, with no address or one's own."""
        self.assertIsNone(self.result(self.juliet, "set", query(EXODUS)))
        other = self.bind(JULIET + "/other")
        for to in (None, JULIET):
            answer = self.result(other, "get", query("<exodus xmlns='exodus:prefs'/>"), to)
            self.assertEqual(answer.toBytes("").decode(), query(EXODUS))

    def test_nothing(self) -> None:
        """Where nothing is stored the empty element comes back."""
        self.assertEqual(self.get("<a xmlns='urn:a'/>").decode(), query("<a xmlns='urn:a'/>"))

    def test_namesAreApart(self) -> None:
        """Fragments are told apart by namespace and name; storing replaces."""
        self.result(self.juliet, "set", query("<a xmlns='urn:a'>1</a><b xmlns='urn:a'>2</b>"))
        self.result(self.juliet, "set", query("<a xmlns='urn:b'>3</a>"))
        self.result(self.juliet, "set", query("<b xmlns='urn:a'>4</b>"))
        for element, text in (("<a xmlns='urn:a'/>", b">1<"), ("<b xmlns='urn:a'/>", b">4<"), ("<a xmlns='urn:b'/>", b">3<")):
            self.assertIn(text, self.get(element))

    def test_empty(self) -> None:
        """An empty element deletes."""
        self.result(self.juliet, "set", query(EXODUS))
        self.result(self.juliet, "set", query("<exodus xmlns='exodus:prefs'/>"))
        self.assertEqual(self.successResultOf(self.rig.host.facts.all(JULIET, "private")), {})

    @spec("XEP-0049", "2.3", "4")
    def test_others(self) -> None:
        """Nobody else's data can be read or written, whether there is the account or not."""
        for to in (ROMEO, "nobody@example.org"):
            for type in ("get", "set"):
                self.assertEqual(self.error(self.juliet, type, query(EXODUS), to), "forbidden")

    @spec("XEP-0049", "2.3", "3")
    def test_mistakes(self) -> None:
        """Nothing, several questions at once, elements without a namespace of their own."""
        self.assertEqual(self.error(self.juliet, "get", query("")), "bad-request")
        self.assertEqual(self.error(self.juliet, "get", query("<a xmlns='urn:a'/><b xmlns='urn:a'/>")), "bad-request")
        for content in ("", "text", "<a/>", "<a xmlns=''/>", "<a xmlns='jabber:client'/>"):
            self.assertEqual(self.error(self.juliet, "set", query(content)), "not-acceptable")

    def test_limit(self) -> None:
        """All fragments together are bounded; what doesn't fit changes nothing."""
        self.result(self.juliet, "set", query("<a xmlns='urn:a'>%s</a>" % ("x" * 100)))
        self.assertEqual(self.error(self.juliet, "set", query("<b xmlns='urn:a'>%s</b>" % ("x" * 100))), "policy-violation")
        self.assertNotIn(b"xx", self.get("<b xmlns='urn:a'/>"))
        self.result(self.juliet, "set", query("<a xmlns='urn:a'>%s</a>" % ("y" * 120)))

    def test_limitHoldsForSimultaneousWrites(self) -> None:
        """Two writes at once are measured one after the other."""
        all, waiting = self.rig.host.facts.all, []

        def slowly(owner: str, kind: str) -> Deferred[Any]:
            later: Deferred[Any] = Deferred()
            waiting.append(later.addCallback(lambda _: all(owner, kind)))
            return later

        self.rig.host.facts.all = slowly
        for name in "ab":
            self.send(self.juliet, "set", query(f"<{name} xmlns='urn:a'>%s</{name}>" % ("x" * 100)))
        self.assertEqual(len(waiting), 1)
        waiting.pop().callback(None)
        waiting.pop().callback(None)
        self.assertEqual([s.type for s in self.streams[self.juliet].take()], ["result", "error"])

    def test_restrictions(self) -> None:
        """Who may not store is refused by the restriction."""
        error = StanzaError(StanzaCondition.NOT_ALLOWED)
        sizes: list[Any] = []

        class Refusal:
            def __init__(self, session: ISession) -> None:
                pass

            def refuses(self, kind: str, size: int) -> StanzaError:
                sizes.append((kind, size))
                return error

        self.rig.host.adapters.subscribe(ISession, IStorageRestriction, Refusal)
        self.assertEqual(self.error(self.juliet, "set", query(EXODUS)), "not-allowed")
        self.assertEqual(sizes, [("private", len(EXODUS))])
