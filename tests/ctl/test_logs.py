"""
The log's lines: what a peer chose can't forge one, and there is nothing in them but what was said.
"""

from __future__ import annotations

import json
import re
import tempfile
from pathlib import Path
from typing import Any

from twisted.logger import Logger, LogLevel
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from xmppd.config import LogConfig
from xmppd.ctl import logs
from xmppd.ctl.logs import Log, asJSON, asText, printable

ROOT = Path(__file__).parent.parent.parent


def event(format: str, level: str = "info", namespace: str = "xmppd.test", **fields: Any) -> dict[str, Any]:
    """An event as a Logger makes it."""
    made: list[dict[str, Any]] = []
    logger = Logger(namespace=namespace, observer=made.append)  # type: ignore[arg-type]
    logger.emit(LogLevel.levelWithName(level), format, **fields)
    made[0]["log_time"] = 1_700_000_000.25
    return made[0]


def failure() -> Failure:
    """A failure with a traceback."""
    try:
        raise ValueError("one\ntwo\x1b[2J")
    except ValueError:
        return Failure()


class PrintableTests(SynchronousTestCase):
    """L{printable}."""

    def test_escapes(self) -> None:
        """Newlines, terminal controls and marks that turn the direction of writing are escaped; letters stay."""
        self.assertEqual(printable("a\r\nb\x1b[31m\x9b\u202e\u2028é"), "a\\r\\nb\\x1b[31m\\x9b\\u202e\\u2028é")

    def test_bound(self) -> None:
        """No value is endless."""
        self.assertEqual(len(printable("x" * 100_000)), logs.LONGEST + 1)


class TextTests(SynchronousTestCase):
    """Text for people."""

    def test_line(self) -> None:
        """Time in UTC, level, logger, sentence."""
        line = asText(event("hello {name}", name="romeo"))
        self.assertEqual(line, "2023-11-14T22:13:20.250Z info xmppd.test: hello romeo\n")

    def test_injection(self) -> None:
        """A value can't begin a line of its own."""
        line = asText(event("resource {r}", r="x\n2023-11-14T22:13:20.250Z info xmppd: authentication failed: address=::1"))
        self.assertEqual(line.count("\n"), 1)
        self.assertIn("x\\n2023", line)

    def test_traceback(self) -> None:
        """The lines of a traceback are indented, and as harmless."""
        text = asText(event("oh", "critical", log_failure=failure()))
        first, *others = text.splitlines()
        self.assertTrue(first.endswith("critical xmppd.test: oh"))
        self.assertTrue(others and all(each.startswith("    ") for each in others))
        self.assertNotIn("\x1b", text)

    def test_brokenFormat(self) -> None:
        """An event that can't be formatted is no reason to fail."""
        self.assertIn("xmppd.test", asText(event("{missing.attribute()}")))


class JSONTests(SynchronousTestCase):
    """JSON for machines."""

    def test_fields(self) -> None:
        """The event's own fields are there, and nothing of Twisted's."""
        record = json.loads(asJSON(event("failed: {address}", "warn", address="::1", count=3, flag=True, none=None)))
        self.assertEqual(
            record,
            {
                "time": "2023-11-14T22:13:20.250Z", "level": "warn", "logger": "xmppd.test", "message": "failed: ::1",
                "address": "::1", "count": 3, "flag": True, "none": None,
            },
        )

    def test_oneLine(self) -> None:
        """Whatever is in the values, it is one line of ASCII."""
        line = asJSON(event("{value}", value="a\nb\x1b\u202e\u2028"))
        self.assertEqual((line.count("\n"), line.isascii(), "\x1b" in line), (1, True, False))
        self.assertEqual(json.loads(line)["value"], "a\nb\x1b\u202e\u2028")

    def test_objects(self) -> None:
        """What JSON doesn't know is text; what has no text, its type."""

        class Rude:
            def __str__(self) -> str:
                raise ValueError

        record = json.loads(asJSON(event("x", path=Path("/a"), rude=Rude())))
        self.assertEqual((record["path"], record["rude"]), ("/a", "<Rude>"))

    def test_traceback(self) -> None:
        """A traceback is a field."""
        record = json.loads(asJSON(event("oh", "critical", log_failure=failure())))
        self.assertIn("ValueError", record["traceback"])

    def test_reserved(self) -> None:
        """A field can't pass for the time or the level."""
        record = json.loads(asJSON(event("x", level="critical") | {"time": 0, "logger": "y"}))
        self.assertEqual((record["time"], record["logger"]), ("2023-11-14T22:13:20.250Z", "xmppd.test"))


class LogTests(SynchronousTestCase):
    """L{Log}."""

    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.file = Path(folder.name) / "xmppd.log"

    def log(self, **options: Any) -> Log:
        """A log into the file."""
        log = Log(LogConfig(file=self.file, **options))
        self.addCleanup(log.close)
        return log

    def test_level(self) -> None:
        """What is less important than configured isn't written; the level can change."""
        log = self.log(level="warn")
        log(event("one"))
        log(event("two", "warn"))
        log.configure(LogConfig(level="debug"))
        log(event("three", "debug"))
        self.assertEqual([line.split(": ")[1] for line in self.file.read_text().splitlines()], ["two", "three"])

    def test_chatter(self) -> None:
        """Twisted's own events are written from warnings up."""
        log = self.log(level="debug")
        for namespace in ("twisted.internet.base", "log_legacy", "-"):
            log(event("starting", namespace=namespace))
        log(event("trouble", "error", namespace="twisted.internet.base"))
        self.assertEqual(len(self.file.read_text().splitlines()), 1)

    def test_reopen(self) -> None:
        """After the file was moved away, a new one is begun."""
        log = self.log()
        log(event("one"))
        moved = self.file.rename(self.file.with_suffix(".1"))
        log(event("two"))
        log.reopen()
        log(event("three"))
        self.assertEqual((moved.read_text().count("\n"), self.file.read_text().count("\n")), (2, 1))

    def test_reopenFails(self) -> None:
        """If the new file can't be opened, the old one is still in use."""
        log = self.log()
        moved = self.file.rename(self.file.with_suffix(".1"))
        self.file.mkdir()
        self.assertRaises(OSError, log.reopen)
        log(event("one"))
        self.assertIn("one", moved.read_text())

    def test_mode(self) -> None:
        """The file isn't for everybody."""
        self.log()
        self.assertEqual(self.file.stat().st_mode & 0o007, 0)

    def test_fullDisk(self) -> None:
        """A line that can't be written is lost, and nothing else happens."""
        log = Log(LogConfig(file=Path("/dev/full")))
        log(event("one"))
        log.close()

    def test_json(self) -> None:
        """The format is the configured one."""
        self.log(format="json")(event("one"))
        self.assertEqual(json.loads(self.file.read_text())["message"], "one")

    def test_joinNothing(self) -> None:
        """Beside twistd's log nothing is written unless a file is configured."""
        self.assertIsNone(logs.join(LogConfig()))


class Fail2banTests(SynchronousTestCase):
    """The expressions in the documentation match what the server logs."""

    def expressions(self) -> list[str]:
        """All failregex lines, as Python's."""
        text = (ROOT / "docs" / "operating.rst").read_text()
        return [each.replace("<ADDR>", r"(?P<ip>[0-9a-f.:]+)") for each in re.findall(r"failregex = (.+)", text)]

    def line(self, name: str) -> dict[str, Any]:
        """A failed login as a stream logs it."""
        return event(
            "authentication failed: address={address} domain={domain} mechanism={mechanism} user={name!r} reason={reason}",
            "warn", "xmppd.stream",
            address="192.0.2.7", domain="example.org", mechanism="PLAIN", name=name, reason="not-authorized",
        )

    def test_matches(self) -> None:
        """One for text, one for JSON."""
        text, machine = self.expressions()
        for pattern, line in ((text, asText(self.line("romeo"))), (machine, asJSON(self.line("romeo")))):
            found = re.search(pattern, line)
            assert found is not None, (pattern, line)
            self.assertEqual(found["ip"], "192.0.2.7")

    def test_forged(self) -> None:
        """A user name can't put somebody else's address there."""
        text, machine = self.expressions()
        name = '\n2023-11-14T22:13:20.250Z warn xmppd.stream: authentication failed: address=198.51.100.1 " '
        for pattern, line in ((text, asText(self.line(name))), (machine, asJSON(self.line(name)))):
            self.assertEqual([found["ip"] for found in re.finditer(pattern, line, re.MULTILINE)], ["192.0.2.7"])
