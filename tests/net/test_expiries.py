"""L{xmppd.net.expiries}: what is told of certificates that end, with a store that outlives the server."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from twisted.internet.task import Clock
from twisted.logger import globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase

from tests.marks import spec
from tests.trust.authority import DAY, NOW, Authority
from xmppd.ixmppd import StoreUnavailable
from xmppd.net.expiries import EVERY, KIND, OWNER, Expiries
from xmppd.store.memory import MemoryStore
from xmppd.trust.certificates import Certificate, loadCertificate


@spec("mission", "T12")
class ExpiriesTests(SynchronousTestCase):
    """What is told of our own."""

    def setUp(self) -> None:
        self.folder = Path(self.mktemp())
        self.folder.mkdir()
        self.root = Authority("root")
        self.store = MemoryStore()
        self.clock = Clock()
        self.clock.advance(NOW)
        self.told: list[Any] = []
        self.logged: list[str] = []
        self.certificates: list[Certificate] = []
        self.hosts: Any = {
            domain: SimpleNamespace(
                domain=domain,
                config=SimpleNamespace(admins=("admin@example.org", f"other@{domain}")),
                router=SimpleNamespace(route=self.told.append),
            )
            for domain in ("example.org", "example.net")
        }

        def observe(event: Any) -> None:
            if event["log_namespace"] == "xmppd.tls" and event["log_level"].name == "warn":
                self.logged.append(event["log_format"].format(**event))

        globalLogPublisher.addObserver(observe)
        self.addCleanup(globalLogPublisher.removeObserver, observe)

    def begin(self, days: Sequence[int] = (30, 14, 7, 3, 1)) -> Expiries:
        """Start a server's watch."""
        watch = Expiries(self.store, self.clock, self.hosts, lambda: self.certificates, days)
        watch.start()
        self.addCleanup(watch.stop)
        return watch

    def issue(self, domain: str, end: float, start: float = NOW - 300 * DAY) -> None:
        """A certificate more."""
        path = self.root.write(self.folder, domain, start=start, end=end)
        self.certificates.append(loadCertificate(path, NOW))

    def facts(self) -> set[str]:
        """Of which certificates something was told."""
        return set(self.successResultOf(self.store.facts.all(OWNER, KIND)))


    def test_told(self) -> None:
        """Every administrator gets one message, the log a line; each threshold counts once."""
        self.issue("example.org", NOW + 6 * DAY)
        self.issue("example.net", NOW + 200 * DAY)
        self.begin()
        self.assertEqual([each.attrs["to"] for each in self.told], ["admin@example.org", "other@example.org", "other@example.net"])
        text = self.told[0].element().children[0].text
        self.assertIn("The certificate for example.org (example.org.pem) expires in 6 days, on 2030-", text)
        self.assertNotIn("example.net.pem", text)
        self.assertEqual(len(self.logged), 1)
        self.assertIn("renew it: ", self.logged[0])
        told = len(self.told)
        for _ in range(2):
            self.clock.advance(EVERY)
        self.assertEqual(len(self.told), told)
        self.clock.advance(EVERY)  # three days left
        self.assertEqual(len(self.told), 2 * told)
        for _ in range(4):
            self.clock.advance(EVERY)  # the last day, and the end
        self.assertEqual(len(self.told), 4 * told)
        self.assertIn("has expired", self.logged[-1])
        for _ in range(3):
            self.clock.advance(EVERY)
        self.assertEqual(len(self.told), 4 * told)

    def test_restarted(self) -> None:
        """What was told stays told over a restart; of the one that was renewed nothing is kept."""
        self.issue("example.org", NOW + 6 * DAY)
        self.begin().stop()
        told = len(self.told)
        self.begin().stop()
        self.assertEqual((len(self.told), len(self.facts())), (told, 1))
        self.certificates.clear()
        self.issue("example.org", NOW + 300 * DAY)
        self.begin().stop()
        self.assertEqual((len(self.told), self.facts()), (told, set()))

    def test_stopped(self) -> None:
        """Nothing is left to be called."""
        self.begin().stop()
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_days(self) -> None:
        """The thresholds are those of the configuration of the moment."""
        self.issue("example.org", NOW + 40 * DAY)
        watch = self.begin(())
        self.assertEqual(self.told, [])
        watch.days = (50,)
        self.clock.advance(EVERY)
        self.assertEqual(len(self.logged), 1)

    def test_many(self) -> None:
        """One message for all, of no more than twenty lines; the log has every one."""
        for number in range(25):
            self.issue(f"a{number}.example", NOW + DAY)
        self.begin()
        self.assertEqual((len(self.told), len(self.logged)), (3, 25))
        self.assertIn("The same of 5 more.", self.told[0].element().children[0].text)

    def test_disk(self) -> None:
        """A store that refuses is logged, and it is tried again the next day."""
        def refuse(*arguments: Any) -> Any:
            raise StoreUnavailable("the disk is full")

        self.issue("example.org", NOW + DAY)
        self.patch(self.store.facts, "all", refuse)
        self.begin()
        self.assertEqual(self.told, [])
        self.assertIn("the disk is full", self.logged[0])
        del self.store.facts.all  # type: ignore[method-assign]
        self.clock.advance(EVERY / 2)
        self.clock.advance(EVERY / 2)
        self.assertEqual(len(self.told), 3)

    def test_damaged(self) -> None:
        """A fact that can't be read is one that was not told."""
        self.issue("example.org", NOW + DAY)
        self.successResultOf(self.store.facts.put(OWNER, KIND, self.certificates[0].sha256, b"{"))
        self.begin()
        self.assertEqual(len(self.told), 3)
