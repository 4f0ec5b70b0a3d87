"""Tests of L{xmppd.features.xep0065_proxy}: who may, and which two."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any, cast

from twisted.internet.task import Clock
from zope.interface import implementer
from zope.interface.verify import verifyObject

from tests.features.serving import ServingCase, serve
from tests.marks import spec
from xmppd.features.xep0065_proxy import Pace, feature
from xmppd.ixmppd import IBytestreams, IRelayed

PROXY = "proxy.example.org"
NS = "http://jabber.org/protocol/bytestreams"
ROMEO = "romeo@example.org/orchard"
JULIET = "juliet@example.org/balcony"


def name(sid: str = "s", requester: str = ROMEO, target: str = JULIET) -> str:
    """What both sides connect with."""
    return hashlib.sha1(f"{sid}{requester}{target}".encode()).hexdigest()


def activation(sid: str = "s", target: str = JULIET, attributes: str = "") -> str:
    """The request."""
    return f"<query xmlns='{NS}' sid='{sid}'{attributes}><activate>{target}</activate></query>"


@implementer(IRelayed)
class Connection:
    """A connection that only remembers."""

    address = "192.0.2.1"

    def __init__(self) -> None:
        self.joined: tuple[Any, Sequence[Any], Callable[[], None]] | None = None
        self.aborted = False

    def join(self, other: Any, paces: Sequence[Any], left: Callable[[], None]) -> None:
        """See L{IRelayed}."""
        self.joined = (other, paces, left)

    def abort(self) -> None:
        """See L{IRelayed}."""
        self.aborted = True


class ProxyCase(ServingCase):
    """A proxy."""

    domain = PROXY
    settings: dict[str, Any] = {}

    def setUp(self) -> None:
        super().setUp()
        self.host = serve(self.rig, feature, PROXY, **self.settings)
        assert self.host.bytestreams is not None
        self.proxy: Any = self.host.bytestreams
        self.proxy.port = 7777

    def connect(self, by: str | None = None, count: int = 1) -> list[Connection]:
        """Connections that are granted."""
        connections = [Connection() for _ in range(count)]
        for each in connections:
            self.assertTrue(self.proxy.arrived(each, name() if by is None else by))
        return connections

    def activate(self, payload: str, session: Any = None) -> None:
        """It works."""
        self.assertIsNone(self.result(session or self.romeo, "set", payload, PROXY))


class AddressTests(ProxyCase):
    """Section 4."""

    @spec("XEP-0065", "3", "4")
    def test_discovered(self) -> None:
        """Identity and feature."""
        verifyObject(IBytestreams, self.proxy)
        self.assertEqual([each[:2] for each in self.host.identities], [("proxy", "bytestreams")])
        self.assertEqual(self.host.namespaces, {NS})

    @spec("XEP-0065", "4")
    def test_address(self) -> None:
        """Where it is."""
        query = self.result(self.romeo, "get", f"<query xmlns='{NS}'/>", PROXY)
        assert query is not None
        (streamhost,) = query.elements()
        self.assertEqual(streamhost.attrs, {"jid": PROXY, "host": PROXY, "port": "7777"})

    @spec("XEP-0065", "4")
    def test_forbidden(self) -> None:
        """Not for guests, nor for users of other servers."""
        guest = self.bind("guest@example.org/x", guest=True)
        for type, payload in (("get", f"<query xmlns='{NS}'/>"), ("set", activation())):
            self.assertEqual(self.condition(type, payload, guest), ("auth", "forbidden"))

    @spec("XEP-0065", "4")
    def test_notListening(self) -> None:
        """Without a port there is none to tell."""
        self.proxy.port = 0
        self.assertEqual(self.condition("get", f"<query xmlns='{NS}'/>"), ("cancel", "not-allowed"))


class ActivationTests(ProxyCase):
    """Section 6.3.5."""

    @spec("XEP-0065", "6.3.5", "10.1")
    def test_activated(self) -> None:
        """Both are there: they are joined, and nobody else gets into the stream until it ends."""
        one, other = self.connect(count=2)
        self.assertFalse(self.proxy.arrived(Connection(), name()))
        self.activate(activation())
        assert one.joined is not None
        self.assertIs(one.joined[0], other)
        self.assertEqual(len(one.joined[1]), 2)
        self.assertFalse(self.proxy.arrived(Connection(), name()))
        self.assertEqual(self.condition("set", activation()), ("cancel", "item-not-found"))
        one.joined[2]()
        self.connect()

    @spec("XEP-0065", "6.3.5")
    def test_onlyOne(self) -> None:
        """One side, or none; one that has gone isn't there."""
        self.assertEqual(self.condition("set", activation()), ("cancel", "item-not-found"))
        (one,) = self.connect()
        self.assertEqual(self.condition("set", activation()), ("cancel", "not-allowed"))
        self.connect()
        self.proxy.departed(one)
        self.assertEqual(self.condition("set", activation()), ("cancel", "not-allowed"))

    @spec("XEP-0065", "6.3.5", "11.2")
    def test_others(self) -> None:
        """Nobody but the requester activates a stream: not the target, not a third, not another resource."""
        one, _ = self.connect(count=2)
        for session, target in ((self.juliet, ROMEO), (self.juliet, JULIET), (self.bind("romeo@example.org/x"), JULIET)):
            self.assertEqual(self.condition("set", activation(target=target), session), ("cancel", "item-not-found"))
        self.assertIsNone(one.joined)

    @spec("XEP-0065", "6.3.2")
    def test_addresses(self) -> None:
        """The target's address counts as prepared, and as it was written."""
        self.connect(count=2)
        self.activate(activation(target="Juliet@EXAMPLE.org/balcony"))
        self.connect(name("s", ROMEO, "Juliet@Example.org/balcony"), 2)
        self.activate(activation(target="Juliet@Example.org/balcony"))

    def test_malformed(self) -> None:
        """Requests that say too little, or too much."""
        for payload, condition in (
            (f"<query xmlns='{NS}'/>", "bad-request"),
            (f"<query xmlns='{NS}' sid='x'/>", "bad-request"),
            (f"<query xmlns='{NS}'><activate>a@b</activate></query>", "bad-request"),
            (activation("x" * 2000), "bad-request"),
            (activation(target="@"), "jid-malformed"),
            (activation(attributes=" mode='udp'"), "feature-not-implemented"),
        ):
            self.assertEqual(self.condition("set", payload)[1], condition, payload[:100])

    def test_names(self) -> None:
        """Only hashes are names, and only so many wait."""
        for bad in ("", "x", "localhost", "A" * 40, name()[:39], name() + "0"):
            self.assertFalse(self.proxy.arrived(Connection(), bad))
        for number in range(1000):
            self.connect(name(str(number)))
        self.assertFalse(self.proxy.arrived(Connection(), name("x")))
        self.connect(name("1"))

    def test_removed(self) -> None:
        """A removed account's streams end."""
        one, other = self.connect(count=2)
        self.activate(activation())
        self.successResultOf(self.rig.host.registrar.remove("romeo@example.org"))
        self.assertEqual((one.aborted, other.aborted), (True, True))


class LimitTests(ProxyCase):
    """Limits."""

    settings = {"sessions": 3, "sessions_per_account": 2, "host": "198.51.100.1", "total_bytes_per_second": 0}

    def test_sessions(self) -> None:
        """So many of an account, and of all; those that end make room."""
        pairs = []
        for sid in "ab":
            pairs.append(self.connect(name(sid), 2))
            self.activate(activation(sid))
        self.connect(name("c"), 2)
        self.assertEqual(self.condition("set", activation("c")), ("wait", "resource-constraint"))
        self.connect(name("d", JULIET, ROMEO), 2)
        self.activate(activation("d", ROMEO), self.juliet)
        self.connect(name("e", JULIET, ROMEO), 2)
        self.assertEqual(self.condition("set", activation("e", ROMEO), self.juliet), ("wait", "resource-constraint"))
        joined = pairs[0][0].joined
        assert joined is not None
        joined[2]()
        self.activate(activation("c"))

    def test_shared(self) -> None:
        """All streams of an account share its pace."""
        paces = []
        for sid in "ab":
            one, _ = self.connect(name(sid), 2)
            self.activate(activation(sid))
            assert one.joined is not None
            paces.append(one.joined[1])
        self.assertEqual(len(paces[0]), 1)
        self.assertIs(paces[0][0], paces[1][0])

    def test_host(self) -> None:
        """Another address may be told."""
        query = self.result(self.romeo, "get", f"<query xmlns='{NS}'/>", PROXY)
        assert query is not None
        self.assertEqual(next(query.elements()).attrs["host"], "198.51.100.1")

    def test_pace(self) -> None:
        """A second's octets at once, then as many a second."""
        clock = Clock()
        pace = Pace(clock, 100)
        self.assertEqual((pace.spend(100), pace.spend(50)), (0.0, 0.5))
        clock.advance(10)
        self.assertEqual((pace.spend(100), pace.spend(300)), (0.0, 3.0))


class GuestTests(ProxyCase):
    """How many streams a guest may have."""

    settings = {"guests": True}

    @spec("mission", "A9")
    @spec("XEP-0205", "4.4")
    def test_streams(self) -> None:
        """No more than the restrictions of the guest's own host allow."""
        guest = self.bind("guest@example.org/x", guest=True)
        self.rig.host.guests = cast(Any, SimpleNamespace(allowed=SimpleNamespace(bytestreams=1)))
        for sid in "ab":
            self.connect(name(sid, "guest@example.org/x"), 2)
        self.activate(activation("a"), guest)
        answer = self.ask(guest, "set", activation("b"), PROXY)
        self.assertIn(b"<error type='cancel'><resource-constraint ", answer.raw)
        self.assertIn(b"<resource-limit-exceeded xmlns='urn:xmpp:errors'/>", answer.raw)
        self.connect(name("c"), 2)
        self.activate(activation("c"))
