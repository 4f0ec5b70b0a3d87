"""
The log: one line an event, as text for people or as JSON for machines.

Whatever a peer can choose (a resource, a user name) may get into an event; so characters that aren't printable leave
as escapes, and one event is always one line, except for the traceback of a mistake of ours, whose lines are indented.
Bodies and secrets don't get here: nobody logs them.

Twisted's own chatter below a warning is left out.
"""

from __future__ import annotations

import json
import os
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO, cast

from twisted.logger import ILogObserver, LogEvent, LogLevel, formatEvent, globalLogBeginner, globalLogPublisher
from zope.interface import implementer

if TYPE_CHECKING:
    from xmppd.config import LogConfig

LONGEST = 8192
"""How many characters of one value, or of a message, are written."""

TRACEBACK = 65_536
"""How many characters of a traceback are written."""

_TWISTED = ("-", "twisted", "log_legacy")
"""How the namespaces of Twisted's own events begin."""

_NOISE = frozenset({"format", "message", "time", "system", "isError", "failure", "why", "log_text"})
"""What Twisted adds to an event for its own older log."""


def printable(text: str, most: int = LONGEST) -> str:
    """A text as it may go to a log or a terminal: without control characters, and not endless."""
    if len(text) > most:
        text = text[:most] + "…"
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)


def messageOf(event: LogEvent) -> str:
    """The sentence of an event, in one line."""
    return printable(formatEvent(event) or str(event.get("log_text", "")))


def tracebackOf(event: LogEvent) -> str:
    """The traceback of the failure in an event, or an empty text."""
    failure = event.get("log_failure")
    if failure is None:
        return ""
    try:
        return str(failure.getTraceback())[:TRACEBACK]
    except Exception as error:  # some objects' representations fail, too
        return f"(no traceback: {type(error).__name__})"


def stampOf(event: LogEvent) -> str:
    """When it was, in UTC, by ISO 8601."""
    moment = datetime.fromtimestamp(event.get("log_time", 0.0), UTC)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z"


def levelOf(event: LogEvent) -> str:
    """The level's name."""
    level = event.get("log_level")
    return level.name if level is not None else "info"


def asText(event: LogEvent) -> str:
    """An event as text: time, level, where it comes from, the sentence."""
    namespace = printable(str(event.get("log_namespace", "-")))
    line = f"{stampOf(event)} {levelOf(event)} {namespace}: {messageOf(event)}\n"
    for each in tracebackOf(event).splitlines():
        line += f"    {printable(each)}\n"
    return line


def asJSON(event: LogEvent) -> str:
    """An event as a JSON object in one line: C{time}, C{level}, C{logger}, C{message}, and the event's own fields."""
    record: dict[str, Any] = {
        "time": stampOf(event),
        "level": levelOf(event),
        "logger": str(event.get("log_namespace", "-")),
        "message": messageOf(event),
    }
    for key, value in event.items():
        if not key.startswith(("log_", "_")) and key not in _NOISE and key not in record and key.isidentifier():
            record[key] = _plain(value)
    traceback = tracebackOf(event)
    if traceback:
        record["traceback"] = traceback
    # ensure_ascii escapes everything that could disturb a terminal or forge a line
    return json.dumps(record) + "\n"


def _plain(value: object) -> Any:
    """A value as JSON has it; what JSON doesn't know, as text."""
    if value is None or isinstance(value, bool | int | float):
        return value
    try:
        text = value if isinstance(value, str) else str(value)
    except Exception:
        return f"<{type(value).__name__}>"
    return text if len(text) <= LONGEST else text[:LONGEST] + "…"


@implementer(ILogObserver)
class Log:
    """
    Writes events that are important enough. A full disk loses lines, and nothing else.

    @ivar level: the least important level to be written; may be changed.
    @ivar path: the file, or None for standard error.
    """

    def __init__(self, config: LogConfig) -> None:
        """
        @raise OSError: the file can't be opened.
        """
        self.path: Path | None = config.file
        self._format = asJSON if config.format == "json" else asText
        self._stream: TextIO | None = None
        self.configure(config)
        self.reopen()

    def configure(self, config: LogConfig) -> None:
        """Take over the level of a new configuration; format and file stay until a restart."""
        self.level: Any = LogLevel.levelWithName(config.level)

    def reopen(self) -> None:
        """
        Open the file again, after something has moved it away.

        @raise OSError: the file can't be opened; then the old one is still in use.
        """
        if self.path is None:
            return
        descriptor = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o640)
        old, self._stream = self._stream, open(descriptor, "w", encoding="utf-8", errors="backslashreplace")
        if old is not None:
            _close(old)

    def close(self) -> None:
        """Close the file."""
        stream, self._stream = self._stream, None
        if stream is not None:
            _close(stream)

    def __call__(self, event: LogEvent) -> None:
        """See L{ILogObserver}."""
        level = event.get("log_level", LogLevel.info)
        if level < self.level:
            return
        if level < LogLevel.warn and str(event.get("log_namespace", "-")).startswith(_TWISTED):
            return
        stream = self._stream if self.path is not None else (sys.__stderr__ or sys.stderr)
        if stream is None:
            return
        try:
            stream.write(self._format(event))
            stream.flush()
        except (OSError, ValueError):
            # There is nowhere left to tell it. The next line is tried again.
            pass


def _close(stream: TextIO) -> None:
    """Close a file that may not be able to write its last lines."""
    try:
        stream.close()
    except OSError:
        pass


def begin(config: LogConfig) -> Log:
    """
    Make this the log of the process.

    @raise OSError: the file can't be opened.
    """
    log = Log(config)
    globalLogBeginner.beginLoggingTo([cast(ILogObserver, log)], redirectStandardIO=False)
    return log


def join(config: LogConfig) -> Log | None:
    """
    Under C{twistd}, which has a log of its own: write the configured file too, if there is one.

    @raise OSError: the file can't be opened.
    """
    if config.file is None:
        return None
    log = Log(config)
    globalLogPublisher.addObserver(cast(ILogObserver, log))
    return log
