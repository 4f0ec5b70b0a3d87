"""
The command line of C{twistd xmppd}.
"""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from pathlib import Path

from twisted.python import usage

from xmppd.config import Configuration, ConfigurationError, load
from xmppd.ctl.exits import EX_CONFIG, EX_USAGE, leave


class Options(usage.Options):
    """What C{twistd xmppd} takes."""

    optParameters = [["config", "c", None, "The configuration file. Required."]]

    configuration: Configuration | None = None

    def parseOptions(self, options: Sequence[str] | None = None) -> None:
        """As C{xmppd run} does: a mistake is one line and the exit status of sysexits.h."""
        try:
            super().parseOptions(options)  # type: ignore[no-untyped-call]
        except usage.UsageError as error:
            leave(EX_USAGE, f"{error}{_similarOption(options or ())}; the only option is --config FILE")

    def postOptions(self) -> None:
        """Read the configuration; everything that is wrong with it is told at once."""
        if self["config"] is None:
            raise usage.UsageError("which configuration to run with has not been said")
        try:
            self.configuration = load(Path(self["config"]))
        except ConfigurationError as error:
            leave(EX_CONFIG, *(str(problem) for problem in error.problems))


def _similarOption(arguments: Sequence[str]) -> str:
    """A suggestion for an option that is none."""
    known = ("--config", "--help", "--version")
    for argument in arguments:
        name = argument.partition("=")[0]
        if name.startswith("--") and name not in known:
            close = difflib.get_close_matches(name, known, 1)
            return f" (did you mean {close[0]}?)" if close else ""
    return ""
