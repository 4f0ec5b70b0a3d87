"""
The daemon as a process: exit statuses, signals, xmppctl; the same whoever runs it.

Real processes and real ports, all of them picked by the system.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from tests.ctl.servers import folderFor
from xmppd.ctl.demo import TRIES
from xmppd.ctl.exits import EX_CONFIG, EX_DATAERR, EX_NOUSER, EX_OSERR, EX_UNAVAILABLE, EX_USAGE
from xmppd.trust.selfsigned import makeCertificate

ROOT = Path(__file__).parent.parent.parent

CONFIGURATION = """
data = "data"
[listen]
c2s = ["tcp:0:interface=127.0.0.1"]
[tls]
certificates = "certs"
[host."example.org"]
admins = ["admin@example.org"]
"""

RUNNERS = {
    "xmppd run": ("-m", "xmppd", "run"),
    "twist": ("-m", "twisted", "xmppd"),
    "twistd": ("-c", "from twisted.scripts.twistd import run; run()", "-n", "--pidfile=twistd.pid", "xmppd"),
}
"""The ways to run the server."""

XMPPCTL = ("-c", "from xmppd.ctl.main import xmppctl; xmppctl()")

PATIENCE = 30.0
"""Seconds that a loaded machine may take for anything."""

STREAM = b"<stream:stream to='example.org' xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' version='1.0'>"


class DaemonCase(SynchronousTestCase):
    """A folder with a configuration."""

    def setUp(self) -> None:
        self.folder = folderFor(self)
        self.file = self.folder / "xmppd.toml"
        self.file.write_text(CONFIGURATION)
        makeCertificate(["example.org"], self.folder / "certs", time.time())
        self.environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "ignore"}

    def start(self, *arguments: str, **more: Any) -> subprocess.Popen[str]:
        """A Python of ours; it doesn't outlive the test."""
        process = subprocess.Popen(
            [sys.executable, *arguments],
            cwd=self.folder,
            env={**self.environment, **more},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.addCleanup(process.communicate)
        self.addCleanup(process.kill)
        return process

    def run_(self, *arguments: str) -> tuple[int, str, list[str]]:
        """Exit status, output, and lines of errors of something that ends."""
        process = self.start(*arguments)
        out, err = process.communicate(timeout=PATIENCE)
        return process.returncode, out, err.splitlines()

    def ctl(self, *arguments: str, stdin: str = "") -> tuple[int, Any]:
        """Exit status of xmppctl, and what it printed as JSON (or on standard error, if it failed)."""
        done = subprocess.run(
            [sys.executable, *XMPPCTL, "--config", str(self.file), *arguments],
            env=self.environment, input=stdin, capture_output=True, text=True, timeout=PATIENCE, check=False,
        )
        if done.returncode and not done.stdout:
            return done.returncode, done.stderr
        return done.returncode, json.loads(done.stdout) if "--json" in arguments else done.stdout

    def serve(self, runner: str = "xmppd run") -> subprocess.Popen[str]:
        """A server that serves."""
        process = self.start(*RUNNERS[runner], "--config", str(self.file))
        deadline = time.monotonic() + PATIENCE
        while self.ctl("status")[0]:
            self.assertIsNone(process.poll(), runner)
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.1)
        return process

    def end(self, process: subprocess.Popen[str]) -> int:
        """The exit status of a process that is about to end."""
        return process.wait(PATIENCE)

    def port(self) -> int:
        """The port for clients."""
        status, answer = self.ctl("status", "--json")
        self.assertEqual(status, 0)
        return int(answer["ports"][0]["address"].rpartition(":")[2])


class FailureTests(DaemonCase):
    """What keeps the server from starting: the same lines and statuses, whoever runs it."""

    def assertFails(self, status: int, *words: str, lines: int = 1) -> None:
        """Each runner ends with that status and that many lines, and leaves nothing running or lying about."""
        for name, runner in RUNNERS.items():
            ended, _, errors = self.run_(*runner, "--config", str(self.file))
            errors = [line for line in errors if line.startswith("xmppd: ")] if name == "xmppd run" else errors
            self.assertEqual((ended, len(errors)), (status, lines), (name, errors))
            for word in words:
                self.assertIn(word, "\n".join(errors))
            self.assertFalse((self.folder / "twistd.pid").exists())
            self.assertFalse((self.folder / "data" / "xmppctl.sock").exists())

    def test_configuration(self) -> None:
        """Each mistake is a line."""
        self.file.write_text(CONFIGURATION.replace("[listen]", "[lisen]") + 'guests = "some"')
        self.assertFails(EX_CONFIG, "did you mean `listen`", "guests", lines=2)

    def test_noFile(self) -> None:
        """No configuration."""
        self.file.unlink()
        self.assertFails(EX_CONFIG, "No such file")

    def test_noKey(self) -> None:
        """A certificate without key."""
        (self.folder / "certs" / "example.org.pem").write_text("nonsense")
        self.assertFails(EX_CONFIG, "no private key")

    def test_busyPort(self) -> None:
        """A port that is taken."""
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            self.file.write_text(CONFIGURATION.replace("tcp:0", f"tcp:{port}"))
            self.assertFails(EX_OSERR, "listen.c2s", str(port), "in use")

    def test_data(self) -> None:
        """A data folder that can't be."""
        self.file.write_text(CONFIGURATION.replace('"data"', '"xmppd.toml/data"'))
        for runner in RUNNERS.values():
            status, _, errors = self.run_(*runner, "--config", str(self.file))
            self.assertEqual((status, sum("data: can't use" in line for line in errors)), (73, 1), errors)

    def test_usage(self) -> None:
        """A wrong command line."""
        for runner in RUNNERS.values():
            status, _, errors = self.run_(*runner, "--cofnig", "x")
            self.assertEqual((status, len(errors)), (EX_USAGE, 1), errors)
            self.assertIn("--config", errors[0])

    def test_second(self) -> None:
        """A second server with the same data is refused, and the first goes on."""
        self.serve()
        for runner in RUNNERS.values():
            status, _, errors = self.run_(*runner, "--config", str(self.file))
            self.assertEqual((status, sum("in use by another xmppd" in line for line in errors)), (EX_UNAVAILABLE, 1))
        self.assertEqual(self.ctl("status")[0], 0)


class LifeTests(DaemonCase):
    """Signals and commands."""

    def test_terminates(self) -> None:
        """SIGTERM and SIGINT drain: a client is told, and the exit status is 0, whoever runs it."""
        for runner, number in (("xmppd run", signal.SIGTERM), ("twist", signal.SIGINT), ("twistd", signal.SIGTERM)):
            process = self.serve(runner)
            with socket.create_connection(("127.0.0.1", self.port()), PATIENCE) as client:
                client.sendall(STREAM)
                heard = b""
                while b"</stream:features>" not in heard:
                    heard += client.recv(4096)
                process.send_signal(number)
                rest = b""
                while data := client.recv(4096):
                    rest += data
            self.assertIn(b"<system-shutdown", rest)
            self.assertTrue(rest.endswith(b"</stream:stream>"))
            self.assertEqual(self.end(process), 0, runner)
            self.assertEqual(list(self.folder.glob("**/*.sock")), [])
            self.assertFalse((self.folder / "twistd.pid").exists())

    def test_killed(self) -> None:
        """What a killed server leaves behind doesn't keep the next from starting."""
        process = self.serve()
        process.kill()
        process.wait()
        self.assertTrue((self.folder / "data" / "xmppctl.sock").exists())
        self.assertEqual(self.ctl("status")[0], EX_UNAVAILABLE)
        self.serve()

    def fingerprint(self) -> str:
        """The certificate's, as the server has it."""
        return str(self.ctl("status", "--json")[1]["certificates"][0]["sha256"])

    def test_hangsUp(self) -> None:
        """SIGHUP takes up a renewed certificate; one that is broken keeps the old, and a broken configuration, too."""
        process = self.serve()
        first = self.fingerprint()
        makeCertificate(["example.org"], self.folder / "certs", time.time())
        process.send_signal(signal.SIGHUP)
        second = self.fingerprint()
        self.assertNotEqual(first, second)
        self.file.write_text(CONFIGURATION + "nonsense = 1")
        (self.folder / "certs" / "example.org.pem").write_text("nonsense")
        process.send_signal(signal.SIGHUP)
        self.assertEqual(self.fingerprint(), second)
        status, answer = self.ctl("reload", "--json")
        self.assertEqual((status, len(answer["problems"])), (EX_CONFIG, 2))
        process.send_signal(signal.SIGTERM)
        self.assertEqual(self.end(process), 0)
        assert process.stderr is not None
        self.assertIn("unknown key `nonsense`", process.stderr.read())

    def test_stops(self) -> None:
        """C{xmppctl stop} returns when the process has ended."""
        process = self.serve()
        self.assertEqual(self.ctl("stop"), (0, "stopped\n"))
        self.assertEqual(process.poll() if process.poll() is not None else self.end(process), 0)

    def test_socketAlone(self) -> None:
        """With the socket's path nothing else is needed, and the configuration isn't looked at."""
        process = self.serve()
        self.file.write_text("this is [not TOML")
        status, error = self.ctl("status")
        self.assertEqual((status, "--socket" in error), (EX_CONFIG, True))
        path = str(self.folder / "data" / "xmppctl.sock")

        def alone(*words: str) -> Any:
            line = [sys.executable, *XMPPCTL, *words]
            done = subprocess.run(line, env=self.environment, capture_output=True, text=True, timeout=PATIENCE, check=True)
            return json.loads(done.stdout)

        self.assertEqual(alone("--json", "--socket", path, "status")["pid"], process.pid)
        self.assertEqual(alone("user", "list", "--socket", path, "--json"), [])
        self.assertEqual(alone("--json", "stop", "--socket", path)["pid"], process.pid)
        self.assertEqual(self.end(process), 0)

    def test_readiness(self) -> None:
        """systemd is told when it serves and when it stops."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
            systemd.bind(str(self.folder / "notify"))
            systemd.settimeout(PATIENCE)
            process = self.start(
                *RUNNERS["xmppd run"], "--config", str(self.file), NOTIFY_SOCKET=str(self.folder / "notify")
            )
            self.assertIn(b"READY=1", systemd.recv(4096))
            self.port()
            process.send_signal(signal.SIGTERM)
            self.assertIn(b"STOPPING=1", systemd.recv(4096))
            self.assertEqual(self.end(process), 0)

    def test_users(self) -> None:
        """Accounts by xmppctl; a password comes by standard input and is nowhere to be read."""
        process = self.serve()
        self.assertEqual(self.ctl("user", "add", "romeo@example.org", "--stdin", stdin="wherefore\n")[0], 0)
        status, error = self.ctl("user", "add", "juliet@example.org")
        self.assertEqual((status, "--stdin" in error), (EX_USAGE, True))
        self.assertEqual(self.ctl("user", "add", "romeo@example.org", "--stdin", stdin="x\n")[0], EX_DATAERR)
        self.assertEqual(self.ctl("user", "passwd", "nobody@example.org", "--stdin", stdin="x\n")[0], EX_NOUSER)
        self.assertEqual([each["jid"] for each in self.ctl("user", "list", "--json")[1]], ["romeo@example.org"])
        self.assertEqual(self.ctl("user", "disable", "romeo@example.org")[0], 0)
        self.assertEqual(self.ctl("user", "del", "romeo@example.org")[0], 0)
        self.assertEqual(self.ctl("user", "list", "--json")[1], [])
        process.send_signal(signal.SIGTERM)
        self.end(process)
        for path in (self.folder / "data").rglob("*"):
            self.assertNotIn(b"wherefore", path.read_bytes() if path.is_file() else b"")
        assert process.stderr is not None
        self.assertNotIn("wherefore", process.stderr.read())

    def test_restarts(self) -> None:
        """The server can start itself again, as the same process."""
        program = (
            "import sys; sys.argv = ['xmppd', *sys.argv[1:]]\n"
            "import xmppd.tap as tap; made = tap.Server._serve\n"
            "import os\n"
            "def serve(self):\n"
            "    made(self)\n"
            "    if not os.path.exists('again'):\n"
            "        open('again', 'w').close(); self._lifecycle('restart', 0.0)\n"
            "tap.Server._serve = serve\n"
            "from xmppd.ctl.main import xmppd; xmppd()\n"
        )
        process = self.start("-c", program, "run", "--config", str(self.file))
        deadline = time.monotonic() + PATIENCE
        while not (self.folder / "again").exists() or self.ctl("status")[0]:
            self.assertIsNone(process.poll())
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.1)
        self.assertEqual(self.ctl("status", "--json")[1]["pid"], process.pid)
        process.send_signal(signal.SIGTERM)
        self.assertEqual(self.end(process), 0)


class DemoTests(DaemonCase):
    """C{xmppd demo}."""

    def demo(self, *arguments: str) -> tuple[subprocess.Popen[str], str]:
        """A demo that serves, and what it said."""
        process = self.start("-m", "xmppd", "demo", *arguments, PYTHONUNBUFFERED="1")
        assert process.stdout is not None
        said = ""
        while "Ctrl-C" not in said:
            line = process.stdout.readline()
            self.assertTrue(line, said)
            said += line
        return process, said

    def test_demo(self) -> None:
        """It says what there is, moves from a busy port to free ones, and leaves nothing behind."""
        with socket.create_server(("127.0.0.1", 0)) as taken:
            first = taken.getsockname()[1]
            process, said = self.demo("--port", str(first))
        for words in ("romeo@example.org, juliet@example.org, admin@example.org", "WITHOUT a password", "SHA-256"):
            self.assertIn(words, said)
        folder = Path(said.partition("\nData: ")[2].partition(" ")[0])
        self.file = folder / "demo.toml"
        status, answer = self.ctl("status", "--json")
        self.assertEqual((status, answer["hosts"][0]["accounts"], answer["hosts"][0]["guests"]), (0, 4, "public"))
        ports = sorted(int(each["address"].rpartition(":")[2]) for each in answer["ports"])
        self.assertEqual(len(set(ports) - {first}), 3)
        # HTTP has a wish of its own, below all that the system gives away.
        self.assertTrue(all(first < port <= first + TRIES for port in ports[1:]), (first, ports))
        process.send_signal(signal.SIGINT)
        self.assertEqual(self.end(process), 0)
        self.assertFalse(folder.exists())
        assert process.stderr is not None
        self.assertEqual(process.stderr.read(), "")

    def test_kept(self) -> None:
        """With a folder it finds everything again, the certificate too, and direct TLS works with it."""
        prints = []
        for _ in range(2):
            process, said = self.demo("--data", str(self.folder / "kept"), "--port", "0")
            prints.append(said.partition("SHA-256 ")[2].partition("\n")[0])
            self.file = self.folder / "kept" / "demo.toml"
            ports = [each["address"] for each in self.ctl("status", "--json")[1]["ports"]]
            context = ssl.create_default_context(cafile=str(self.folder / "kept" / "certs" / "example.org.pem"))
            address = ("127.0.0.1", int(ports[1].rpartition(":")[2]))
            with socket.create_connection(address, PATIENCE) as plain:
                with context.wrap_socket(plain, server_hostname="example.org") as secure:
                    secure.sendall(STREAM)
                    self.assertIn(b"<stream:stream", secure.recv(4096))
            process.send_signal(signal.SIGINT)
            self.assertEqual(self.end(process), 0)
        self.assertEqual(prints[0], prints[1])


class CommandLineTests(DaemonCase):
    """Usage."""

    def test_version(self) -> None:
        """C{--version}."""
        self.assertRegex(self.run_("-m", "xmppd", "--version")[1], r"^xmppd \d")

    def test_mistyped(self) -> None:
        """What may have been meant."""
        for arguments, word in (
            (("-m", "xmppd", "rnu"), "did you mean run"), ((*XMPPCTL, "staus"), "did you mean status"),
            ((*XMPPCTL, "user", "ad"), "did you mean add"), ((*XMPPCTL, "--confg", "x", "status"), "--config"),
            ((*XMPPCTL, "--config", "a", "--socket", "b", "status"), "exclude each other"),
        ):
            status, _, errors = self.run_(*arguments)
            self.assertEqual((status, len(errors)), (EX_USAGE, 1), errors)
            self.assertIn(word, errors[0])

    def test_noServer(self) -> None:
        """Without a server: is it running, and how to start it; one line."""
        status, error = self.ctl("user", "list")
        self.assertEqual((status, error.count("\n")), (EX_UNAVAILABLE, 1))
        self.assertIn("is the server running?", error)

    def test_check(self) -> None:
        """C{check} works without a server, and beside one."""
        self.assertEqual(self.ctl("check", "--json")[1]["errors"], [])
        self.serve()
        self.assertEqual(self.ctl("check", "--json")[1]["errors"], [])
        self.file.write_text(CONFIGURATION + "nonsense = 1")
        status, answer = self.ctl("check", "--json")
        self.assertEqual((status, len(answer["errors"])), (EX_CONFIG, 1))
