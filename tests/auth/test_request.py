"""Tests of L{xmppd.auth.request}."""

from __future__ import annotations

from base64 import b64encode

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.marks import spec
from xmppd.auth.request import LONGEST_DESCRIPTION, Request, readAgent
from xmppd.ixmppd import UserAgent
from xmppd.sasl.encoding import decodeElement, encodeElement
from xmppd.wire import ns
from xmppd.wire.element import Element
from xmppd.wire.errors import SASLCondition, SASLError

UUID = "d4565fa7-4d72-4749-b3d3-740edbf87770"

texts = st.text(max_size=60)
attributes = st.dictionaries(st.sampled_from(["mechanism", "id", "task", "invalidate"]), texts, max_size=3)
names = st.sampled_from(["initial-response", "user-agent", "software", "device", "upgrade", "fast", "bind", "text"])
spaces = st.sampled_from([ns.SASL2, ns.SASL_UPGRADE, ns.FAST, ns.BIND2, ""])
elements = st.recursive(
    st.builds(Element, names, spaces, attributes, st.lists(texts, max_size=2).map(tuple)),
    lambda inner: st.builds(Element, names, spaces, attributes, st.lists(inner | texts, max_size=6).map(tuple)),
    max_leaves=20,
)


def child(name: str, text: str = "", namespace: str = ns.SASL2) -> Element:
    """A child with text."""
    return Element(name, namespace, {}, (text,) if text else ())


def request(*children: Element, mechanism: str = "PLAIN") -> Element:
    """An C{<authenticate/>}."""
    return Element("authenticate", ns.SASL2, {"mechanism": mechanism}, children)


class RequestTests(SynchronousTestCase):
    """Section 2.3."""

    @spec("XEP-0388", "2.2", "2.3")
    def test_initial(self) -> None:
        """No element is no response, an empty one an empty response; white space around is put up with."""
        self.assertIsNone(Request.read(request()).initial)
        self.assertEqual(Request.read(request(child("initial-response"))).initial, b"")
        self.assertEqual(Request.read(request(child("initial-response", "\n  AGE=\n"))).initial, b"\0a")
        for bad in ("=", "AGE", "A GE=", "ä", "A" * 9000):
            self.assertRaises(SASLError, Request.read, request(child("initial-response", bad)))

    @spec("XEP-0388", "2.3")
    def test_agent(self) -> None:
        """The id is a UUID, in small letters from now on; descriptions are cut."""
        self.assertEqual(Request.read(request()).agent, UserAgent())
        element = Element(
            "user-agent", ns.SASL2, {"id": UUID.upper()}, (child("software", "S" * 500), child("device", "D"))
        )
        agent = Request.read(request(element)).agent
        self.assertEqual(agent, UserAgent(UUID, "S" * LONGEST_DESCRIPTION, "D"))
        for bad in ("", "x", UUID + "0", UUID.replace("-", ""), " " + UUID, "../../../../etc/passwd"):
            error = self.assertRaises(SASLError, readAgent, Element("user-agent", ns.SASL2, {"id": bad}))
            self.assertEqual(error.condition, SASLCondition.MALFORMED_REQUEST)

    @spec("XEP-0480", "2.2")
    def test_upgrades(self) -> None:
        """Tasks in order, each once; not without end."""
        wanted = [child("upgrade", name, ns.SASL_UPGRADE) for name in ("b", "a", "b")]
        self.assertEqual(Request.read(request(*wanted)).upgrades, ("b", "a"))
        many = [child("upgrade", str(number), ns.SASL_UPGRADE) for number in range(11)]
        self.assertRaises(SASLError, Request.read, request(*many))

    @given(elements)
    @settings(max_examples=300, deadline=None)
    def test_anything(self, element: Element) -> None:
        """Whatever comes is read or refused."""
        try:
            found = Request.read(element)
        except SASLError as error:
            self.assertIn(error.condition, (SASLCondition.MALFORMED_REQUEST, SASLCondition.INCORRECT_ENCODING))
        else:
            self.assertLessEqual(len(found.agent.software), LONGEST_DESCRIPTION)
            self.assertLessEqual(len(found.upgrades), 10)

    @given(st.binary(max_size=300))
    def test_encoding(self, data: bytes) -> None:
        """What is encoded is decoded."""
        self.assertEqual(decodeElement(encodeElement(data)), data)
        self.assertEqual(encodeElement(data), b64encode(data).decode())
