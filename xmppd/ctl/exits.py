"""
What keeps the server from starting, in lines for people, and the exit status that goes with it (sysexits.h).
"""

from __future__ import annotations

import errno
import sys
from typing import NoReturn

from twisted.internet.error import CannotListenError

from xmppd.config import ConfigurationError
from xmppd.ixmppd import StoreUnavailable
from xmppd.services import PortsTaken

EX_OK = 0
EX_USAGE = 64
EX_DATAERR = 65
EX_NOUSER = 67
EX_NOHOST = 68
EX_UNAVAILABLE = 69
EX_SOFTWARE = 70
EX_OSERR = 71
EX_CANTCREAT = 73
EX_TEMPFAIL = 75
EX_NOPERM = 77
EX_CONFIG = 78

KINDS = {
    EX_USAGE: "usage",
    EX_DATAERR: "data",
    EX_NOUSER: "not-found",
    EX_NOHOST: "not-served",
    EX_UNAVAILABLE: "unavailable",
    EX_SOFTWARE: "software",
    EX_OSERR: "system",
    EX_CANTCREAT: "cannot-create",
    EX_TEMPFAIL: "try-later",
    EX_NOPERM: "not-permitted",
    EX_CONFIG: "configuration",
}
"""What goes wrong, by exit status."""

_REMEDIES = {
    errno.EADDRINUSE: "stop what uses it, or configure another",
    errno.EACCES: "it takes privileges: configure a port from 1024 up, or grant CAP_NET_BIND_SERVICE",
    errno.EADDRNOTAVAIL: "configure an address that this machine has",
}


class CannotStart(Exception):
    """
    Why the server can't start, in lines for people.

    @ivar status: exit status after sysexits.h.
    @ivar lines: a line for each problem, with cause and remedy.
    """

    def __init__(self, status: int, *lines: str) -> None:
        super().__init__("\n".join(lines))
        self.status = status
        self.lines = lines


def explain(error: BaseException) -> tuple[int, tuple[str, ...]]:
    """Exit status and a line for each problem that kept the server from starting."""
    if isinstance(error, CannotStart):
        return error.status, error.lines
    if isinstance(error, ConfigurationError):
        return EX_CONFIG, tuple(str(problem) for problem in error.problems)
    if isinstance(error, PortsTaken):
        return EX_OSERR, tuple(f"{name}: {cannotListen(text, reason)}" for name, text, reason in error.ports)
    if isinstance(error, CannotListenError):
        return EX_OSERR, (cannotListen(f"{error.interface or '*'}:{error.port}", error),)
    if isinstance(error, StoreUnavailable):
        line = " ".join(str(error).split())
        return EX_UNAVAILABLE, (line if ";" in line else f"{line}; see that the database is there and can be written",)
    text = " ".join(str(error).split())
    return EX_SOFTWARE, (f"{type(error).__name__}: {text}; this is a mistake in xmppd: please report it",)


def cannotListen(where: str, error: BaseException) -> str:
    """Why an endpoint can't be opened, and what to do."""
    cause = getattr(error, "socketError", error)
    reason = getattr(cause, "strerror", None) or str(cause) or type(cause).__name__
    remedy = _REMEDIES.get(getattr(cause, "errno", 0) or 0, "configure another endpoint")
    return f"can't listen on {where}: {reason}; {remedy}"


def kindOf(status: int) -> str:
    """What an exit status means, in a word for programs."""
    return KINDS.get(status, "software")


def complain(*lines: str, program: str | None = "xmppd") -> None:
    """
    Write lines to standard error, even where Twisted's log has taken it.

    @param program: who complains; None if that isn't to be said.
    """
    stderr = sys.__stderr__ or sys.stderr
    for line in lines:
        stderr.write(f"{line}\n" if program is None else f"{program}: {line}\n")
    stderr.flush()


def leave(status: int, *lines: str) -> NoReturn:
    """
    End the process before anything was started.

    @raise SystemExit: always.
    """
    complain(*lines)
    raise SystemExit(status)


def flush() -> None:
    """What was printed is not lost when the process ends at once."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            pass
