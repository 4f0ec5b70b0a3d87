"""
From a configuration to a server: all or nothing; and what a reload changes.
"""

from __future__ import annotations

import io
import sys
import time
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred, fail, maybeDeferred
from twisted.internet.error import CannotListenError
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from tests.ctl.servers import ServerCase, folderFor
from tests.doubles import CountingEntropy
from tests.marks import spec
from xmppd import tap
from xmppd.config import ConfigurationError, load
from xmppd.ctl.exits import (
    EX_CANTCREAT,
    EX_CONFIG,
    EX_OSERR,
    EX_SOFTWARE,
    EX_UNAVAILABLE,
    EX_USAGE,
    CannotStart,
    cannotListen,
    explain,
)
from xmppd.ctl.process import RunningServer, raiseOpenFiles
from xmppd.ixmppd import StoreUnavailable
from xmppd.services import Part, PortsTaken
from xmppd.store.memory import MemoryStore
from xmppd.tap import Options, Server, makeServer, makeWebSite
from xmppd.trust.selfsigned import makeCertificate
from xmppd.wire.jid import parse as parseJID

CONFIGURATION = """
data = "data"
[listen]
[tls]
certificates = "certs"
[store]
url = "memory:"
[host."example.org"]
"""


class FakeReactor(Clock):
    """A clock that can be stopped."""

    def __init__(self) -> None:
        super().__init__()
        self.stops = 0

    def stop(self) -> None:
        """See C{IReactorCore}."""
        self.stops += 1

    def callFromThread(self, function: Any, *arguments: Any) -> None:
        """See C{IReactorFromThreads}."""
        self.callLater(0, function, *arguments)


class TapCase(SynchronousTestCase):
    """A configuration with a certificate."""

    def setUp(self) -> None:
        self.folder = folderFor(self)
        self.file = self.folder / "xmppd.toml"
        self.clock = FakeReactor()
        self.clock.advance(time.time())
        makeCertificate(["example.org"], self.folder / "certs", time.time())
        self.stderr = io.StringIO()
        self.patch(sys, "__stderr__", self.stderr)

    def make(self, old: str = "", new: str = "") -> Server:
        """A server of the configuration after a change."""
        self.file.write_text(CONFIGURATION.replace(old, new) if old else CONFIGURATION + new)
        return Server(load(self.file), self.clock, None, CountingEntropy(), maybeDeferred)

    def left(self, act: Any, *arguments: Any) -> tuple[int, list[str]]:
        """Exit status and lines of something that ends the process."""
        error = self.assertRaises(SystemExit, act, *arguments)
        return int(str(error.code)), self.stderr.getvalue().splitlines()


class MakingTests(TapCase):
    """What keeps a server from being made."""

    def assertRefused(self, lines: list[str], *words: str) -> None:
        """There is one line, with these words, a cause and a remedy."""
        self.assertEqual(len(lines), 1, lines)
        for word in (*words, ";"):
            self.assertIn(word, lines[0])

    def refusal(self, old: str = "", new: str = "") -> CannotStart:
        """Why it can't start."""
        error: CannotStart = self.assertRaises(CannotStart, self.make, old, new)  # type: ignore[assignment]
        self.assertEqual(error.status, EX_CONFIG)
        return error

    def test_noCertificates(self) -> None:
        """A folder without certificates; no folder."""
        (self.folder / "certs" / "example.org.pem").unlink()
        self.assertRefused([*self.refusal().lines], "DOMAIN.pem")
        (self.folder / "certs").rmdir()
        self.assertRefused([*self.refusal().lines], "certs")

    def test_noKey(self) -> None:
        """A certificate without its key."""
        path = self.folder / "certs" / "example.org.pem"
        path.write_text(path.read_text().partition("-----BEGIN CERTIFICATE")[1] + path.read_text().partition("-----BEGIN CERTIFICATE")[2])
        self.assertRefused([*self.refusal().lines], "no private key")

    def test_noClientAuthority(self) -> None:
        """A file of authorities for clients that isn't there, or has none; the server's certificate isn't blamed."""
        for text in (None, "", "nonsense"):
            if text is not None:
                (self.folder / "clients.pem").write_text(text)
            lines = [*self.refusal("[tls]", '[tls]\nclient_ca = "clients.pem"').lines]
            self.assertRefused(lines, "clients.pem", "has no certificates")

    def test_oneMissing(self) -> None:
        """Each host that nobody could log in to is told, if clients are listened for."""
        hosts = '[host."a.example"]\n[host."b.example"]\n'
        self.make(new=hosts)
        self.file.write_text((CONFIGURATION + hosts).replace("[tls]", 'c2s = ["tcp:0"]\n[tls]'))
        error = self.assertRaises(CannotStart, Server, load(self.file), self.clock)
        self.assertEqual([line.count(f"certificate for {d}.example") for line, d in zip(error.lines, "ab", strict=True)], [1, 1])

    def test_endpoint(self) -> None:
        """An endpoint that Twisted doesn't know."""
        self.assertRefused([*self.refusal("[tls]", 'c2s = ["tpc:5222"]\n[tls]').lines], "listen.c2s", "tpc:5222")

    def test_store(self) -> None:
        """A database that there is no driver for."""
        self.assertRefused([*self.refusal("memory:", "sqlite:///:memory:").lines], "store.url")

    def test_leaves(self) -> None:
        """The process ends with status 78 and the line."""
        self.file.write_text(CONFIGURATION.replace("memory:", "sqlite:///:memory:"))
        status, lines = self.left(makeServer, load(self.file), self.clock)
        self.assertEqual(status, EX_CONFIG)
        self.assertRefused(lines, "xmppd: ", "store.url")

    def test_feature(self) -> None:
        """A feature that isn't there."""
        self.file.write_text(CONFIGURATION + 'disabled = ["xep0199_pong"]')
        status, lines = self.left(makeServer, load(self.file), self.clock)
        self.assertEqual((status, len(lines)), (EX_CONFIG, 1))
        self.assertIn("did you mean `xep0199_ping`", lines[0])

    def test_mistake(self) -> None:
        """A mistake of ours is a line, too, and the log has the details."""

        def broken(config: object, clock: object) -> None:
            raise ZeroDivisionError("x")

        self.patch(tap, "makeTLS", broken)
        self.file.write_text(CONFIGURATION)
        status, lines = self.left(makeServer, load(self.file), self.clock)
        self.assertEqual(status, EX_SOFTWARE)
        self.assertRefused(lines, "ZeroDivisionError", "report")
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)


class OptionsTests(TapCase):
    """The command line of C{twistd xmppd}."""

    def test_good(self) -> None:
        """The configuration is read."""
        self.file.write_text(CONFIGURATION)
        options = Options()
        options.parseOptions(["--config", str(self.file)])
        assert options.configuration is not None
        self.assertEqual(options.configuration.file, self.file)

    def test_usage(self) -> None:
        """A wrong command line is a line, with what may have been meant."""
        for arguments, word in (([], "--config FILE"), (["--cofnig", "x"], "did you mean --config?"), (["x"], "--config")):
            self.stderr.truncate(0)
            status, lines = self.left(Options().parseOptions, arguments)
            self.assertEqual((status, len(lines)), (EX_USAGE, 1))
            self.assertIn(word, lines[0])

    def test_configuration(self) -> None:
        """Each mistake in the file is a line."""
        self.file.write_text(CONFIGURATION + 'guests = "x"\nregistration = "y"')
        status, lines = self.left(Options().parseOptions, ["-c", str(self.file)])
        self.assertEqual((status, len(lines)), (EX_CONFIG, 2))


class RunningTests(TapCase):
    """L{RunningServer}: what keeps a server from starting ends the process, with nothing left running."""

    def setUp(self) -> None:
        super().setUp()
        self.ready = 0

    def run_(self, server: Server) -> RunningServer:
        """A running server, if it runs."""

        def count() -> None:
            self.ready += 1

        running = RunningServer(server, count, quiet=True)
        running.startService()
        self.clock.advance(0)
        return running

    def replaced(self, name: str, start: Any) -> Server:
        """A server one of whose parts starts otherwise."""
        server = self.make()
        parts = [Part(name, start, lambda: None) if part.name == name else part for part in server.parts]
        server.service.parts = tuple(parts)
        return server

    def assertFailed(self, server: Server, status: int, *words: str) -> None:
        """It told why in one line, and runs no more."""
        running = self.run_(server)
        self.assertEqual((running.status, running.finish(), self.clock.stops, self.ready), (status, status, 1, 0))
        lines = self.stderr.getvalue().splitlines()
        self.assertEqual(len(lines), 1, lines)
        for word in ("xmppd: ", *words):
            self.assertIn(word, lines[0])
        self.successResultOf(running.stopService())
        self.assertEqual((server.service._running, server.serving), ([], False))
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_runs(self) -> None:
        """A server that can start tells once."""
        running = self.run_(self.make())
        self.assertEqual((self.ready, running.server.serving, self.stderr.getvalue()), (1, True, ""))
        stopped = running.stopService()
        self.clock.advance(1)
        self.successResultOf(stopped)
        self.assertEqual((running.finish(), self.clock.getDelayedCalls()), (0, []))

    def test_port(self) -> None:
        """A busy port."""
        busy = CannotListenError("127.0.0.1", 5222, OSError(98, "Address already in use"))
        ports = [("listen.c2s", "tcp:5222:interface=127.0.0.1", busy)]
        self.assertFailed(
            self.replaced("listeners", lambda: fail(PortsTaken(ports))), EX_OSERR, "listen.c2s", "5222", "already in use; stop"
        )

    def test_store(self) -> None:
        """A database that can't be opened."""
        broken = StoreUnavailable("can't use the database")
        self.assertFailed(self.replaced("store", lambda: fail(broken)), EX_UNAVAILABLE, "database; see")

    def test_data(self) -> None:
        """A data folder that can't be made."""
        (self.folder / "data").write_text("")
        self.assertFailed(self.make(), EX_CANTCREAT, "data", "; ")

    def test_twoServers(self) -> None:
        """Two servers with one data folder: the first goes on."""
        first = self.run_(self.make())
        self.assertEqual(self.ready, 1)
        self.ready = 0
        second = RunningServer(self.make(), quiet=True)
        second.startService()
        self.clock.advance(0)
        self.assertEqual(second.finish(), EX_UNAVAILABLE)
        self.assertIn("in use by another xmppd", self.stderr.getvalue())
        self.assertTrue(first.server.serving)
        self.successResultOf(second.stopService())
        stopped = first.stopService()
        self.clock.advance(1)
        self.successResultOf(stopped)

    def test_stoppedWhileStarting(self) -> None:
        """Told to end while it starts, it ends without complaint."""
        slow: Deferred[None] = Deferred()
        running = self.run_(self.replaced("store", lambda: slow))
        stopped = running.stopService()
        slow.callback(None)
        self.successResultOf(stopped)
        self.assertEqual((running.finish(), self.ready, self.stderr.getvalue()), (0, 0, ""))

    def test_leave(self) -> None:
        """The reactor is stopped, whoever asks: a command, an administrator's client."""
        running = self.run_(self.make())
        server = running.server
        assert server.leaving is not None
        server.leaving("shutdown")
        self.assertEqual((self.clock.stops, running.restarting), (1, False))
        server._lifecycle("restart", 3.0)
        self.clock.advance(2)
        self.assertEqual(self.clock.stops, 1)
        self.clock.advance(1)
        self.assertEqual((self.clock.stops, running.restarting), (2, True))
        running.restarting = False
        stopped = running.stopService()
        self.clock.advance(1)
        self.successResultOf(stopped)

    def test_changedFile(self) -> None:
        """A changed configuration is noticed and taken over; a bad one isn't."""
        running = self.run_(self.make())
        for text, wanted in (("depth = 30", 30), ("depth = 1", 30), ("depth = 40", 40)):
            self.file.write_text(f"{CONFIGURATION}[limits]\n{text}\n# {time.time_ns()}")
            self.clock.pump([2, 2])
            self.assertEqual(running.server.reception.limits.depth, wanted)
        stopped = running.stopService()
        self.clock.advance(1)
        self.successResultOf(stopped)

    def test_openFiles(self) -> None:
        """The limit of open files is raised; it is at least what it was."""
        import resource

        before = resource.getrlimit(resource.RLIMIT_NOFILE)
        self.addCleanup(resource.setrlimit, resource.RLIMIT_NOFILE, before)
        self.assertGreaterEqual(raiseOpenFiles(10), before[0])


class ExplainTests(SynchronousTestCase):
    """L{explain}: statuses and lines."""

    def test_listen(self) -> None:
        """The remedy depends on the reason."""
        for number, word in ((98, "stop what uses it"), (13, "CAP_NET_BIND_SERVICE"), (99, "this machine has"), (1, "another")):
            line = cannotListen("tcp:1", CannotListenError("", 1, OSError(number, "reason")))
            self.assertIn(word, line)
            self.assertIn("reason; ", line)

    def test_anything(self) -> None:
        """What nobody foresaw is a mistake in xmppd, in one line."""
        status, lines = explain(ValueError("a\nb"))
        self.assertEqual((status, len(lines), "\n" in lines[0]), (EX_SOFTWARE, 1, False))


class ReloadTests(ServerCase):
    """L{Server.reload}."""

    configuration = CONFIGURATION + '[rooms."rooms.example.org"]\n' + "[limits]\nenabled = true\n"

    def setUp(self) -> None:
        folder = Path(folderFor(self))
        self.certificates = folder / "certs"
        makeCertificate(["example.org"], self.certificates, 1_700_000_000)
        self.configuration = self.configuration.replace('"certs"', f'"{self.certificates}"')
        super().setUp()

    def change(self, old: str, new: str) -> Any:
        """The outcome of a reload after the file was changed."""
        self.assertIn(old, self.configuration)
        self.file.write_text(self.configuration.replace(old, new))
        return self.server.reload()

    def test_nothing(self) -> None:
        """Nothing to say."""
        outcome = self.server.reload()
        self.assertEqual((outcome.problems, outcome.remarks), ((), ()))

    def test_limits(self) -> None:
        """Limits and administrators change at once."""
        outcome = self.change("enabled = true", "depth = 30")
        self.assertEqual((outcome.problems, outcome.remarks), ((), ()))
        server = self.server
        depths = (server.reception.limits.depth, server.admission.limits.depth, server.hosts["example.org"].limits.depth)
        self.assertEqual(depths, (30, 30, 30))
        self.change('[host."example.org"]', '[host."example.org"]\nadmins = ["a@example.org"]')
        self.assertEqual(server.hosts["example.org"].config.admins, ("a@example.org",))

    @spec("mission", "M2")
    def test_names(self) -> None:
        """What is done about names changes at once, also in the rooms below the host."""
        hosts = (self.server.hosts["example.org"], self.server.serviceHosts["rooms.example.org"])
        self.assertEqual([host.names.action("room") for host in hosts], ["refuse", "refuse"])
        self.assertTrue(hosts[1].names.judge("nickname", "roorns.example.org").refused)
        outcome = self.change("[limits]", '[host."example.org".names]\nrooms = "warn"\n[limits]')
        self.assertEqual((outcome.problems, outcome.remarks), ((), ()))
        self.assertEqual([host.names.action("room") for host in hosts], ["warn", "warn"])
        outcome = self.change("[limits]", '[host."example.org".names]\nrooms = "warm"\n[limits]')
        self.assertEqual(len(outcome.problems), 1)
        self.assertEqual([host.names.action("room") for host in hosts], ["warn", "warn"])

    def test_bad(self) -> None:
        """A bad configuration changes nothing, not even in part."""
        before = self.server.config
        outcome = self.change("enabled = true", "depth = 30\nstanza_bytes = 1")
        self.assertEqual(len(outcome.problems), 1)
        self.assertIs(self.server.config, before)
        outcome = self.change('[host."example.org"]', '[host."example.org"]\ndisabled = ["xep0199_pong"]')
        self.assertIn("xep0199_ping", outcome.problems[0])
        self.assertIs(self.server.config, before)

    def test_restart(self) -> None:
        """What can't change is told each time, until it is undone; the server goes on as it was."""
        for old, new, key in (
            ('"data"', '"other"', "data"),
            ("[listen]", '[listen]\nc2s = ["tcp:0"]', "listen"),
            ("[tls]", "[tls]\nrequire_c2s = false", "tls.require_c2s"),
            ('[host."example.org"]', '[host."example.org"]\nscram_iterations = 20000', 'host."example.org".scram_iterations'),
            ('[host."example.org"]', '[host."example.org"]\n[host."example.net"]', "host"),
            ("[limits]", '[log]\nformat = "json"\n[limits]', "log"),
        ):
            for _ in range(2):
                outcome = self.change(old, new)
                self.assertEqual((outcome.problems, len(outcome.remarks)), ((), 1), outcome)
                self.assertIn(f"{self.file}: {key}: ", outcome.remarks[0])
                self.assertIn("restart", outcome.remarks[0])
        self.assertTrue(self.server.config.tls.requireC2s)
        self.assertEqual(self.change("[limits]", "[limits]").remarks, ())

    def test_services(self) -> None:
        """Administrators of a host change for its services, too, which keep everything else; so do limits."""
        service = self.server.serviceHosts["rooms.example.org"]
        before = service.config
        hosts = '[host."example.org"]'
        new = f'[features.xep0045_muc]\nrooms_max = 7\n{hosts}\nadmins = ["a@example.org"]'
        outcome = self.change(hosts, new)
        self.assertEqual(outcome.problems, ())
        self.assertTrue(service.isAdmin(parseJID("a@example.org")))
        self.assertEqual((service.config.admins, service.config.features), (("a@example.org",), before.features))
        self.change("enabled = true", "depth = 30")
        self.assertEqual((service.config.admins, service.limits.depth), ((), 30))

    def test_badService(self) -> None:
        """A mistake in a service's table, or in what all its features are told, changes nothing."""
        before = self.server.config
        for old, new in (
            ("[limits]", '[rooms."talks.example.org"]\nrooms_max = 0\n[limits]'),
            ("[limits]", "[features.xep0045_muc]\nrooms_max = 0\n[limits]"),
        ):
            outcome = self.change(old, new)
            self.assertIn("rooms_max", " ".join(outcome.problems))
            self.assertIs(self.server.config, before)

    def test_removedService(self) -> None:
        """A service that was taken out of the file runs on until a restart, with administrators of the moment."""
        self.change('[host."example.org"]', '[host."example.org"]\nadmins = ["a@example.org"]')
        outcome = self.change('[rooms."rooms.example.org"]\n', "")
        self.assertEqual((outcome.problems, len(outcome.remarks)), ((), 1))
        self.assertEqual(self.server.serviceHosts["rooms.example.org"].config.admins, ())

    def test_guests(self) -> None:
        """A reload doesn't open the door to guests, whose restrictions aren't in place; it can shut it."""
        host = self.server.hosts["example.org"]
        outcome = self.change('[host."example.org"]', '[host."example.org"]\nguests = "public"')
        self.assertEqual((host.config.guests, len(outcome.remarks)), ("off", 1))

    def test_certificate(self) -> None:
        """A renewed certificate is taken up."""
        assert self.server.tls is not None
        before = self.server.tls.certificates["example.org"].sha256
        makeCertificate(["example.org"], self.certificates, 1_700_000_000)
        self.assertEqual(self.server.reload().problems, ())
        self.assertNotEqual(self.server.tls.certificates["example.org"].sha256, before)

    @spec("mission", "T12")
    def test_expiry(self) -> None:
        """Administrators are told before a certificate ends, with as many days left as the file says at the moment."""
        told: list[Any] = []
        self.patch(type(self.server.router), "route", lambda router, stanza: told.append(stanza))
        self.configuration = self.configuration.replace('[host."example.org"]', '[host."example.org"]\nadmins = ["a@example.org"]')
        self.change("[tls]", "[tls]")
        for _ in range(66):
            self.clock.advance(86_400)
        self.assertEqual(told, [])
        self.assertEqual(self.change("[tls]", "[tls]\nexpiry_warning_days = [23]").remarks, ())
        self.clock.advance(86_400)
        self.assertEqual([each.attrs["to"] for each in told], ["a@example.org"])

    def test_badCertificate(self) -> None:
        """A bad or a missing certificate keeps the old; other changes are taken over."""
        assert self.server.tls is not None
        before = self.server.tls.certificates["example.org"].sha256
        path = self.certificates / "example.org.pem"
        path.write_text("nonsense")
        outcome = self.change("enabled = true", "depth = 30")
        self.assertEqual((len(outcome.problems), self.server.reception.limits.depth), (1, 30))
        path.unlink()
        self.assertEqual(len(self.server.reload().problems), 1)
        self.assertEqual(self.server.tls.certificates["example.org"].sha256, before)


class DrainTests(ServerCase):
    """The end."""

    def test_systemShutdown(self) -> None:
        """Every stream hears why, and then the store is closed."""
        connection = self.connect()
        server = self.server
        stopped = server.service.stopService()
        self.assertIn(b"<system-shutdown", connection.transport.value() + b"".join(connection._out))
        self.clock.pump([0.1] * 3)
        self.successResultOf(stopped)
        self.assertIsInstance(server.store, MemoryStore)
        self.assertFalse(server.serving)


class WebTests(TapCase):
    """The web site and the services behind it."""

    def test_unreachable(self) -> None:
        """An upload service that no client could reach stops the start, with what to do."""
        upload = '[upload."upload.example.org"]\n'
        error = self.assertRaises(ConfigurationError, self.make, "", upload)
        self.assertIn("upload", str(error))
        self.file.write_text(CONFIGURATION.replace("[tls]", 'http = ["tcp:0"]\n[tls]') + upload)
        error = self.assertRaises(ConfigurationError, Server, load(self.file), self.clock)
        self.assertIn("set listen.https", str(error))
        self.file.write_text(CONFIGURATION.replace("[tls]", 'http = ["tcp:0"]\n[tls]') + upload + 'url = "ftp://x"')
        self.assertRaises(ConfigurationError, Server, load(self.file), self.clock)

    def test_address(self) -> None:
        """URLs have the port of the first listener with TLS, and a name that there is a certificate for."""
        for endpoint, port in (("tcp:5443", ":5443"), ("tcp:443:interface=127.0.0.1", ""), ("tcp6:port=8443", ":8443"), ("systemd:domain=INET:index=0", ":0")):
            text = CONFIGURATION.replace("[tls]", f'https = ["{endpoint}"]\n[tls]') + '[upload."upload.example.org"]'
            self.file.write_text(text)
            web = makeWebSite(load(self.file), self.make().tls)
            assert web is not None
            self.assertEqual(web.address("upload.example.org"), f"https://example.org{port}")
            self.assertIsNone(web.address("example.com"))
        self.file.write_text(CONFIGURATION)
        self.assertIsNone(makeWebSite(load(self.file), None))

    def test_services(self) -> None:
        """Services join, are listed at their host, and listen."""
        tables = '[upload."upload.example.org"]\n[proxy."proxy.example.org"]\nlisten = ["tcp:0", "tcp:1"]\n'
        self.file.write_text(CONFIGURATION.replace("[tls]", 'http = ["tcp:0"]\nhttps = ["tcp:5443"]\n[tls]') + tables)
        server = Server(load(self.file), self.clock, None, CountingEntropy(), maybeDeferred)
        self.assertEqual(set(server.hosts["example.org"].services), {"upload.example.org", "proxy.example.org"})
        names = [(name, text) for name, text, _, _ in server.listeners._endpoints]
        proxy = 'proxy."proxy.example.org".listen'
        self.assertEqual(names, [("listen.http", "tcp:0"), ("listen.https", "tcp:5443"), (proxy, "tcp:0"), (proxy, "tcp:1")])
        folder = server.serviceHosts["upload.example.org"].folder
        self.assertEqual(folder, self.folder / "data" / "files" / "upload.example.org")
