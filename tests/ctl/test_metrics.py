"""What Prometheus is told."""

from __future__ import annotations

import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from prometheus_client import REGISTRY
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openMetrics
from prometheus_client.parser import text_string_to_metric_families as families
from twisted.internet.defer import Deferred
from zope.interface.verify import verifyObject

from tests.ctl.servers import ServerCase
from tests.marks import spec
from xmppd.ctl import metrics
from xmppd.ctl.metrics import Metrics
from xmppd.features import xep0076_evil
from xmppd.ixmppd import IWebResource, WebRequest, WebResponse
from xmppd.route.remote import Remote
from xmppd.wire.stanza import build

ROOT = Path(__file__).parent.parent.parent


def request(path: str = "/metrics", method: str = "GET", **headers: str) -> WebRequest:
    """The head of a request."""
    return WebRequest(method, path, "", {"host": "127.0.0.1:9090", **headers}, 0, "127.0.0.1", False)


@spec("mission", "T10", "T11")
class MetricsTests(ServerCase):
    """L{Metrics}."""

    def setUp(self) -> None:
        super().setUp()
        self.metrics = Metrics(self.server)

    def scrape(self, accept: str = "") -> WebResponse:
        """The response."""
        answer: Any = self.metrics.respond(request(accept=accept))
        assert isinstance(answer, Deferred)
        for _ in range(10):
            self.clock.advance(0)
        response: WebResponse = self.successResultOf(answer)
        return response

    def samples(self) -> dict[str, dict[tuple[str, ...], float]]:
        """Values by name and by the values of the labels, in the order of their names."""
        body = self.scrape().body
        assert isinstance(body, bytes)
        found: dict[str, dict[tuple[str, ...], float]] = {}
        for family in families(body.decode()):
            for sample in family.samples:
                labels = tuple(value for _, value in sorted(sample.labels.items()))
                self.assertNotIn(labels, found.setdefault(sample.name, {}))
                found[sample.name][labels] = sample.value
        return found

    def test_interface(self) -> None:
        """It is a web resource."""
        verifyObject(IWebResource, self.metrics)

    def test_streams(self) -> None:
        """Streams and sessions are counted by what secures them, when somebody asks."""
        for name in ("romeo", "juliet"):
            self.addUser(name)
        self.connect()
        self.login("romeo")
        session = self.login("juliet").stream.session
        assert session is not None
        before = self.samples()
        self.assertEqual(
            before["xmppd_streams"],
            {("none", "in", "c2s", "PLAIN", "none", "none"): 2, ("none", "in", "c2s", "none", "none", "none"): 1},
        )
        self.assertEqual(before["xmppd_sessions"], {("example.org", "connected", "user"): 2})
        self.assertEqual(before["xmppd_logins_total"], {("PLAIN",): 2})
        stream, session.stream = session.stream, None
        self.assertEqual(self.samples()["xmppd_sessions"][("example.org", "hibernating", "user")], 1)
        session.stream = stream

    def addUser(self, name: str) -> None:
        """An account whose password is its name."""
        self.successResultOf(self.server.hosts["example.org"].registrar.create(name, name))

    def test_failures(self) -> None:
        """Failed logins, by reason."""
        connection = self.connect()
        self.send(connection, b"<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' to='example.org' version='1.0'>")
        for mechanism, text in (("PLAIN", "AGEAYg=="), ("NONSENSE", "="), ("PLAIN", "!")):
            self.send(connection, f"<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='{mechanism}'>{text}</auth>".encode())
        self.assertEqual(
            self.samples()["xmppd_login_failures_total"],
            {("PLAIN", "not-authorized"): 1, ("", "invalid-mechanism"): 1, ("PLAIN", "incorrect-encoding"): 1},
        )

    def test_routing(self) -> None:
        """What was routed and returned."""
        self.server.router.route(build("iq", {"from": "a@example.org", "to": "b@x.invalid", "type": "get", "id": "1"}))
        found = self.samples()
        self.assertEqual(found["xmppd_stanzas_bounced_total"], {(): 1})
        self.assertEqual(found["xmppd_stanzas_routed_total"], {(): 2})

    def test_counters(self) -> None:
        """What a feature counts is told, with labels that have to be escaped."""
        tally = self.server.hosts["example.org"].counters.tally("evil_stanzas", "Evil\n\\ones.", "host")
        tally.add('a"b\\c\nd')
        self.assertEqual(self.samples()["xmppd_evil_stanzas_total"], {('a"b\\c\nd',): 1})

    def test_process(self) -> None:
        """Process, garbage collection, platform, version."""
        found = self.samples()
        for name in ("process_cpu_seconds_total", "process_resident_memory_bytes", "python_gc_collections_total",
                     "python_info", "xmppd_build_info", "xmppd_store_queue"):
            self.assertIn(name, found)

    def test_own(self) -> None:
        """Nothing is in the library's global registry, and each server has its own."""
        self.assertFalse([each.name for each in REGISTRY.collect() if each.name.startswith("xmppd")])
        other = Metrics(self.server)
        self.connect()
        self.assertEqual(sum(self.samples()["xmppd_streams"].values()), 1)
        self.assertEqual(other._collector.survey.streams, {})

    def test_openMetrics(self) -> None:
        """Who asks for OpenMetrics gets that."""
        response = self.scrape("application/openmetrics-text; version=1.0.0; q=0.8, text/plain; q=0.1")
        self.assertTrue(response.headers["Content-Type"].startswith("application/openmetrics-text"))
        assert isinstance(response.body, bytes)
        self.assertTrue(response.body.endswith(b"# EOF\n"))
        self.assertTrue(list(openMetrics(response.body.decode())))

    def test_slices(self) -> None:
        """However many streams there are, other things have their turn meanwhile."""
        self.patch(metrics, "SLICE", 2)
        for _ in range(7):
            self.connect()
        answer: Any = self.metrics.respond(request())
        turns: list[object] = []
        callLater = self.clock.callLater
        self.patch(self.clock, "callLater", lambda *given: turns.append(given[0]) or callLater(*given))
        self.clock.advance(0)
        self.successResultOf(answer)
        self.assertEqual(turns, [0, 0])  # after the one that it began with
        self.assertIn("xmppd_streams", self.samples())

    def test_refused(self) -> None:
        """Nothing can be written, and nothing else is there."""
        answer: Any = self.metrics.respond(request(method="POST"))
        self.assertEqual(answer.status, 405)
        self.assertIsNone(self.metrics.respond(request("/metrics/x")))

    def test_documented(self) -> None:
        """The page about metrics has all of ours, and none that there isn't."""
        limits = self.server.config.s2s
        self.server.remote = Remote(self.server.router, lambda domain: None, self.clock, limits, lambda: 0.5)
        self.addCleanup(setattr, self.server, "peers", None)
        xep0076_evil.EvilPolicy(self.server.hosts["example.org"], "pass")  # which no host has by default
        self.server.peers = SimpleNamespace(histories=SimpleNamespace(warned={}))  # type: ignore[assignment]
        body = self.scrape().body
        assert isinstance(body, bytes)
        there = set(re.findall(r"^# TYPE (xmppd_\w+)", body.decode(), re.MULTILINE))
        documented = set(re.findall(r"^``(xmppd_\w+)``", (ROOT / "docs" / "metrics.rst").read_text("utf-8"), re.MULTILINE))
        self.assertEqual(there, documented)
