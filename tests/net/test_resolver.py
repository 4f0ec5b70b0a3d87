"""Tests of L{xmppd.net.resolver}."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.task import Clock
from twisted.names import dns
from twisted.trial.unittest import SynchronousTestCase

from tests.marks import spec
from xmppd.net.resolver import MOST_RECORDS, NoService, Place, Resolver, Target, ordered
from xmppd.trust.dane import Security


class FakeClient:
    """
    A resolver's client.

    @ivar records: payloads by name and type.
    @ivar broken: names nobody answers about.
    @ivar secure: names whose answers have the AD bit.
    """

    def __init__(self) -> None:
        self.records: dict[tuple[str, int], list[Any]] = {}
        self.broken: set[str] = set()
        self.failing: set[str] = set()
        self.secure: set[str] = set()
        self.ttls: dict[str, int] = {}
        self.servers = [("127.0.0.1", 53)]
        self.dynServers: list[tuple[str, int]] = []
        self.asked: list[tuple[str, int]] = []

    def _lookup(self, name: bytes, cls: int, type: int, timeout: Any) -> Deferred[Any]:
        text = name.decode()
        self.asked.append((text, type))
        if text in self.broken:
            return fail(TimeoutError())
        message: Any = dns.Message(1, answer=1)
        payloads = self.records.get((text, type), [])
        message.answers = [dns.RRHeader(name, type, ttl=self.ttls.get(text, 3600), payload=each) for each in payloads]
        message.authenticData = text in self.secure
        if text in self.failing:
            message.rCode = dns.ESERVER
        elif not any(known == text for known, _ in self.records):
            message.rCode = dns.ENAME
        return succeed(message)

    def stop(self) -> None:
        """Nothing to be done."""


def srv(priority: int, weight: int, port: int, host: str) -> Any:
    """An SRV record."""
    return dns.Record_SRV(priority, weight, port, b"" if host == "." else host)


class ResolverTests(SynchronousTestCase):
    """Where a domain is."""

    def setUp(self) -> None:
        self.client = FakeClient()
        self.clock = Clock()
        self.resolver = Resolver(self.clock, None, draw=lambda most: most - 1)
        self.resolver._client = self.client
        self.unchecked = self.resolver._unchecked = FakeClient()
        self.unchecked.failing = self.client.failing

    def services(self, plain: list[Any] | None = None, direct: list[Any] | None = None) -> None:
        """SRV records of example.net."""
        for name, records in (("xmpp-server", plain), ("xmpps-server", direct)):
            if records is not None:
                self.client.records[f"_{name}._tcp.example.net", dns.SRV] = records

    def targets(self, domain: str = "example.net") -> list[tuple[str, int, bool]]:
        """Host, port, and whether it is direct TLS."""
        found = self.successResultOf(Deferred.fromCoroutine(self.resolver.targets(domain)))
        return [(each.host, each.port, each.direct) for each in found]

    def noService(self) -> str:
        """Why there is none."""
        failure = self.failureResultOf(Deferred.fromCoroutine(self.resolver.targets("example.net")), NoService)
        return str(failure.value)

    @spec("XEP-0368", "3")
    @spec("mission", "T4")
    def test_mixed(self) -> None:
        """Both services in one order of priority."""
        self.services([srv(10, 0, 5269, "b.example.net"), srv(30, 0, 5269, "d.example.net")], [srv(20, 0, 443, "c.example.net")])
        self.assertEqual(
            self.targets(),
            [("b.example.net", 5269, False), ("c.example.net", 443, True), ("d.example.net", 5269, False)],
        )

    @spec("RFC 6120", "3.2.1")
    def test_fallback(self) -> None:
        """No records at all: the domain itself."""
        self.assertEqual(self.targets(), [("example.net", 5269, False)])
        self.assertEqual(self.targets("münchen.example"), [("xn--mnchen-3ya.example", 5269, False)])

    @spec("RFC 6120", "3.2.1")
    def test_noFallback(self) -> None:
        """Where there are records there is no other way."""
        self.services(None, [srv(0, 0, 5270, "a.example.net")])
        self.assertEqual(self.targets(), [("a.example.net", 5270, True)])

    @spec("XEP-0368", "5")
    def test_dot(self) -> None:
        """A dot: not by this service, and by none if the other has nothing."""
        self.services([srv(0, 0, 5269, "a.example.net")], [srv(0, 0, 0, ".")])
        self.assertEqual(self.targets(), [("a.example.net", 5269, False)])
        self.services([srv(0, 0, 0, ".")])
        self.assertIn("no server for XMPP", self.noService())
        del self.client.records["_xmpp-server._tcp.example.net", dns.SRV]
        self.assertIn("no server for XMPP", self.noService())

    @spec("RFC 7673", "3.1")
    def test_silence(self) -> None:
        """A resolver that validates and doesn't answer may keep something from us; of others it means nothing."""
        self.client.failing = {"_xmpp-server._tcp.example.net"}
        self.assertIn("doesn't say", self.noService())
        self.client.servers = [("192.0.2.1", 53)]
        self.assertEqual(self.targets(), [("example.net", 5269, False)])
        self.client.failing, self.client.broken = set(), {"_xmpp-server._tcp.example.net"}
        self.assertEqual(self.targets(), [("example.net", 5269, False)])

    @spec("RFC 4035", "3.2.2", "5.5")
    @spec("mission", "T15")
    def test_bogus(self) -> None:
        """It is told from other failures that an answer doesn't stand up to DNSSEC; only a resolver we believe knows."""
        self.client.failing.add("_xmpp-server._tcp.example.net")
        self.unchecked.failing = set()
        self.assertIn("doesn't stand up to DNSSEC", self.noService())
        self.unchecked.failing = self.client.failing
        self.assertIn("server failure", self.noService())
        self.client.servers = [("192.0.2.1", 53)]
        self.unchecked.asked = []
        self.targets()
        self.assertEqual(self.unchecked.asked, [])

    @spec("RFC 7673", "3.2", "3.3")
    def test_withheld(self) -> None:
        """An address or TLSA records that can't be had forbid to connect."""
        name = "_5269._tcp.a.example.net"
        self.services([srv(0, 0, 5269, "a.example.net")])
        self.client.records["a.example.net", dns.A] = [dns.Record_A("192.0.2.1")]
        self.client.secure = {"_xmpp-server._tcp.example.net", "a.example.net"}
        self.client.failing.add(name)
        (endpoint,) = self.successResultOf(Deferred.fromCoroutine(self.resolver.endpoints("example.net")))
        self.assertFalse(endpoint.mayConnect)
        self.assertIn("server failure", endpoint.problem)
        self.client.failing.add("a.example.net")
        failure = self.failureResultOf(Deferred.fromCoroutine(self.resolver.places(Target("a.example.net", 1))), NoService)
        self.assertIn("a.example.net", str(failure.value))

    def test_until(self) -> None:
        """What is known of an endpoint is known until the first of the records expires."""
        self.clock.advance(1000)
        self.services([srv(0, 0, 5269, "a.example.net")])
        self.client.records["a.example.net", dns.A] = [dns.Record_A("192.0.2.1")]
        self.client.records["_5269._tcp.a.example.net", 52] = [dns.UnknownRecord(b"\3\1\1" + b"x" * 32)]
        self.client.secure = {"_xmpp-server._tcp.example.net", "a.example.net", "_5269._tcp.a.example.net"}
        self.client.ttls = {"_5269._tcp.a.example.net": 300, "a.example.net": 600}
        (endpoint,) = self.successResultOf(Deferred.fromCoroutine(self.resolver.endpoints("example.net")))
        self.assertEqual(endpoint.until, 1300)

    def test_nonsense(self) -> None:
        """What names no host is left out; where that is all, there is no server."""
        nonsense = [srv(0, 0, 5269, name) for name in ("a\x1b[2J.example", "a b.example", "*.example", "a\x00")]
        nonsense.append(srv(0, 0, 0, "h.example.net"))
        self.services([*nonsense, srv(1, 0, 5269, "_H.example.net")])
        self.assertEqual(self.targets(), [("_h.example.net", 5269, False)])
        self.services(nonsense)
        self.assertIn("no server", self.noService())

    def test_literal(self) -> None:
        """An address needs no DNS."""
        self.assertEqual(self.targets("[::1]"), [("::1", 5269, False)])
        self.assertEqual(self.client.asked, [])

    def test_many(self) -> None:
        """Only so many are tried."""
        self.services([srv(0, 0, 5269, f"h{number}.example.net") for number in range(100)])
        self.assertEqual(len(self.targets()), 12)

    @spec("XEP-0205", "3.2")
    def test_tooMany(self) -> None:
        """Nor are more looked at, though thousands have room in an answer."""
        self.services([srv(0, 1, 5269, f"h{number}.example.net") for number in range(3000)])
        answer = self.successResultOf(
            Deferred.fromCoroutine(self.resolver.lookup("_xmpp-server._tcp.example.net", dns.SRV))
        )
        self.assertEqual(len(answer.records), MOST_RECORDS)
        self.assertEqual(len(self.targets()), 12)

    def places(self, target: Target) -> list[Place]:
        """Its addresses."""
        return self.successResultOf(Deferred.fromCoroutine(self.resolver.places(target)))

    @spec("RFC 6120", "3.2.1")
    def test_addresses(self) -> None:
        """IPv6 and IPv4 in turn; none is no service."""
        self.client.records["a.example.net", dns.A] = [dns.Record_A("192.0.2.1"), dns.Record_A("192.0.2.2")]
        self.client.records["a.example.net", dns.AAAA] = [dns.Record_AAAA("2001:db8::1")]
        found = [each.address for each in self.places(Target("a.example.net", 5269))]
        self.assertEqual(found, ["2001:db8::1", "192.0.2.1", "192.0.2.2"])
        self.failureResultOf(Deferred.fromCoroutine(self.resolver.places(Target("b.example.net", 1))), NoService)

    @spec("RFC 6698", "4.1")
    @spec("mission", "T8")
    def test_security(self) -> None:
        """The AD bit counts on loopback, or where the configuration says so, and nowhere else."""
        self.services([srv(0, 0, 5269, "a.example.net")])
        self.client.records["a.example.net", dns.A] = [dns.Record_A("192.0.2.1")]
        self.client.records["_5269._tcp.a.example.net", 52] = [dns.UnknownRecord(b"\3\1\1" + b"x" * 32)]
        self.client.secure = {"_xmpp-server._tcp.example.net", "a.example.net", "_5269._tcp.a.example.net"}
        for server, trusted, expected in (
            ("127.0.0.1", False, Security.SECURE),
            ("192.0.2.53", False, Security.INSECURE),
            ("192.0.2.53", True, Security.SECURE),
        ):
            self.client.servers = [(server, 53)]
            self.resolver._trusted = trusted
            (endpoint,) = self.successResultOf(Deferred.fromCoroutine(self.resolver.endpoints("example.net")))
            self.assertEqual((endpoint.srv, endpoint.address), (expected, expected))
            self.assertEqual(len(endpoint.records), 1 if expected is Security.SECURE else 0)
            self.assertEqual(bool(endpoint.usable("example.net")), expected is Security.SECURE)


class OrderTests(SynchronousTestCase):
    """L{ordered}."""

    @spec("RFC 2782", "")
    def test_weights(self) -> None:
        """Who has more weight is first more often; nobody is left out."""
        records = [(srv(0, weight, 1, f"h{weight}.example"), False) for weight in (0, 10, 90)]
        first = {0: 0, 10: 0, 90: 0}
        for number in range(101):
            found = ordered(records, lambda most, number=number: min(number, most - 1))  # type: ignore[misc]
            self.assertEqual(len(found), 3)
            first[found[0][0].weight] += 1
        self.assertEqual(first, {0: 1, 10: 10, 90: 90})
