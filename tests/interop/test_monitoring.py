"""The listener for administrators of a real server: as Prometheus reads it, and as a browser shows it."""

from __future__ import annotations

import http.client
from unittest import skipIf

from prometheus_client.parser import text_string_to_metric_families as families
from twisted.trial.unittest import SynchronousTestCase

from tests.interop import chromium
from tests.interop.daemon import CONFIGURATION, startDaemon
from tests.marks import spec

LISTENERS = '[listen]\nmetrics = ["tcp:0:interface=127.0.0.1"]\nhttp = ["tcp:0:interface=127.0.0.1"]\n'


@spec("mission", "T10")
@spec("RFC 7590", "3.6")
class MonitoringTests(SynchronousTestCase):
    """What is to be had where."""

    def setUp(self) -> None:
        """Start a server with both a listener for administrators and one for everybody."""
        self.daemon = startDaemon(self, configuration=CONFIGURATION.replace("[listen]\n", LISTENERS))
        ports = {each["option"]: int(each["address"].rpartition(":")[2]) for each in self.daemon.ask("status")["ports"]}
        self.port, self.public = ports["listen.metrics"], ports["listen.http"]

    def get(self, port: int, path: str, **headers: str) -> tuple[int, str, str]:
        """Status, type and body of an answer."""
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
        try:
            connection.request("GET", path, headers=headers)
            response = connection.getresponse()
            return response.status, response.headers.get("Content-Type", ""), response.read().decode()
        finally:
            connection.close()

    def test_prometheus(self) -> None:
        """Samples that the library's own parser takes; not on the listener for everybody."""
        status, kind, text = self.get(self.port, "/metrics")
        self.assertEqual((status, kind.partition(";")[0]), (200, "text/plain"))
        found = {family.name: family.samples for family in families(text)}
        self.assertEqual(found["xmppd_build_info"][0].value, 1)
        domains = {sample.labels["domain"] for sample in found["xmppd_certificate_expiry_timestamp_seconds"]}
        self.assertEqual(domains, {"example.org", "guests.example"})
        self.assertGreater(found["process_resident_memory_bytes"][0].value, 1 << 20)
        for path in ("/metrics", "/status", "/status.json"):
            self.assertEqual(self.get(self.public, path)[0], 404)
        self.assertEqual(self.get(self.port, "/status", Host="attacker.example")[0], 421)

    @skipIf(chromium.missing() is not None, str(chromium.missing()))
    def test_browser(self) -> None:
        """The page has its tables and its style, and the browser has nothing to complain about, in the dark as well."""
        browser = chromium.Browser()
        self.addCleanup(browser.close)
        for dark in (False, True):
            tab = browser.open(f"http://127.0.0.1:{self.port}/", dark=dark)
            self.assertEqual(tab.run("document.title"), "xmppd: example.org, guests.example")
            self.assertEqual(tab.run("getComputedStyle(document.querySelector('table')).borderCollapse"), "collapse")
            self.assertEqual(tab.run("document.documentElement.scrollWidth <= innerWidth"), True)
            self.assertEqual(tab.complaints, [])
