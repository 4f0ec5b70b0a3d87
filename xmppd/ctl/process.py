"""
The server as a process: signals, readiness, changed files, and the exit status.

The same whoever runs the reactor: C{xmppd run}, C{twistd} or C{python -m twisted}. SIGTERM and SIGINT drain and end
with status 0, SIGHUP reloads. What keeps the server from starting is told in a line each on standard error, and the
process ends with a status after sysexits.h.
"""

from __future__ import annotations

import atexit
import gc
import os
import signal
import sys
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from twisted.application.service import Service
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorCore
from twisted.logger import Logger
from twisted.python.failure import Failure

from xmppd.ctl.exits import EX_SOFTWARE, complain, explain, flush
from xmppd.ctl.logs import Log, printable
from xmppd.ctl.readiness import Readiness
from xmppd.ctl.watching import Watch
from xmppd.services import Stopped

if TYPE_CHECKING:
    from xmppd.ctl.changes import Reloaded
    from xmppd.tap import Server

log = Logger(namespace="xmppd")

SWITCH_SECONDS = 0.0005
"""How long the reactor may keep the interpreter when one of the store's threads wants it; by default ten times that."""

COLLECTIONS = (20_000, 50, 50)
"""
When the garbage collector looks at its generations. The stanza path leaves no cycles behind; with many sessions a look
at everything takes longer than any turn of the reactor may.
"""

SPARE_FILES = 100
"""How many open files the server needs besides one for each connection."""


class RunningServer(Service):
    """
    The server as a service of the process: if it can't start, the process ends with the reason.

    @ivar server: its parts.
    @ivar status: exit status of the process.
    @ivar restarting: whether the process is to be started again when it has ended.
    """

    def __init__(
        self, server: Server, ready: Callable[[], object] = lambda: None, logs: Log | None = None, quiet: bool = False
    ) -> None:
        """
        @param ready: called once it serves.
        @param logs: the log to reopen and to configure.
        @param quiet: whether why it can't start is in the log already when standard error has it.
        """
        self.server = server
        self.status = 0
        self.restarting = False
        self._ready = ready
        self._logs = logs
        self._quiet = quiet
        self._readiness = Readiness(server.clock)
        self._watch = Watch(server.clock, self._files, self.reload)
        server.reloading = self.reload
        server.leaving = self.leave

    def startService(self) -> None:
        """See L{IService}."""
        super().startService()  # type: ignore[no-untyped-call]
        raiseOpenFiles(self.server.config.limits.connections)
        sys.setswitchinterval(SWITCH_SECONDS)
        reactor: Any = self.server.reactor
        if IReactorCore.providedBy(reactor):
            # later, so that Twisted's own handlers are there already and get replaced
            reactor.callWhenRunning(self.server.clock.callLater, 0, self._installSignals)
        self.server.service.startService()
        self.server.service.started.addCallbacks(self._started, self._failed)

    def stopService(self) -> Deferred[None]:
        """See L{IService}."""
        super().stopService()  # type: ignore[no-untyped-call]
        if self.status == 0:
            log.info("stopping")
        self._watch.stop()
        if self.restarting:
            self._readiness.reloading()
        else:
            self._readiness.stopping()
        return self.server.service.stopService()

    def leave(self, how: str = "shutdown") -> None:
        """
        End the process, after clients were told and everything was written.

        @param how: "shutdown", or "restart" to start it again.
        """
        self.restarting = how == "restart"
        self._stopReactor()

    def reload(self) -> Reloaded:
        """Take over a changed configuration and changed certificates, reopen the log's file, log the outcome."""
        self._readiness.reloading()
        outcome = self.server.reload()
        for line in outcome.problems:
            log.error("reload: {line}", line=line)
        for line in outcome.remarks:
            log.warn("reload: {line}", line=line)
        self._renewLog()
        log.info("reloaded" if not outcome.problems else "reloaded in part: what is wrong stays as it was")
        self._watch.renew()
        self._readiness.ready()
        return outcome

    def _renewLog(self) -> None:
        if self._logs is None:
            return
        self._logs.configure(self.server.config.log)
        try:
            self._logs.reopen()
        except OSError as error:
            log.error("reload: can't open the log file: {reason}; the old one is still in use", reason=error.strerror)

    def _files(self) -> tuple[Any, ...]:
        """What is looked at for changes."""
        return self.server.config.file, self.server.config.tls.certificates

    # --- signals

    def _installSignals(self) -> None:
        """In place of Twisted's, after which the process would end by the signal and not with a status."""
        if threading.current_thread() is not threading.main_thread():
            return
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda number, frame: self._fromSignal(self.leave))
        signal.signal(signal.SIGHUP, lambda number, frame: self._fromSignal(self._hangUp))

    def _fromSignal(self, act: Callable[[], object]) -> None:
        """Act in the next turn of the reactor."""
        self.server.reactor.callFromThread(act)

    def _hangUp(self) -> None:
        """SIGHUP; while the server starts or stops there is nothing to reload."""
        if self.server.serving:
            self.reload()

    def _stopReactor(self) -> None:
        """Begin the shutdown, once."""
        if self.running and not getattr(self.server.reactor, "_stopped", False):
            self.server.reactor.stop()

    # --- the start's outcome

    def _started(self, result: None) -> None:
        self._watch.start()
        self._readiness.ready()
        tuneCollector()
        log.info("serving {hosts}", hosts=" ".join(self.server.hosts))
        self._ready()

    def _failed(self, failure: Failure) -> None:
        """Say why, a line for each problem, and end the process with the status that fits."""
        if failure.check(Stopped):
            return
        self.status, lines = explain(failure.value or AssertionError())
        if self.status == EX_SOFTWARE:
            log.failure("the server can't start", failure)
        elif not self._quiet:
            for line in lines:
                log.error("{line}", line=line)
        complain(*map(printable, lines))
        self.server.reactor.callLater(0, self._stopReactor)

    def finish(self) -> int:
        """
        After the reactor has ended: the exit status, unless the process starts again, as it was started before.
        """
        if self.restarting:
            flush()
            os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])  # noqa: S606
        return self.status

    def finishAtExit(self) -> None:
        """Have C{finish} decide about the end of a process whose main program, twistd, knows no exit status."""
        atexit.register(self._finishAtExit)

    def _finishAtExit(self) -> None:
        status = self.finish()
        if status:
            flush()
            os._exit(status)


def raiseOpenFiles(connections: int) -> int:
    """
    Raise the limit of open files as far as the system lets us, and answer it: each connection takes one.

    @param connections: how many are allowed; a limit that is too low for them is logged.
    """
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < hard or hard == resource.RLIM_INFINITY:
        wanted = hard if hard != resource.RLIM_INFINITY else 1 << 20
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
            soft = wanted
        except (ValueError, OSError):
            pass
    if soft < connections + SPARE_FILES:
        log.warn(
            "only {files} files can be open, which is too few for limits.connections = {connections};"
            " raise LimitNOFILE, or lower the limit",
            files=soft,
            connections=connections,
        )
    return soft


def tuneCollector() -> None:
    """Once everything is loaded: never look at that again, and look at the rest less often."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*COLLECTIONS)
