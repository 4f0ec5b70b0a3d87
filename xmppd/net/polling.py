"""
A shorter way from epoll to a connection (hop 1).

Twisted's epoll reactor calls each descriptor inside a logging context of its own: a dictionary, a logger's prefix and
six calls of functions, for every read. L{twisted.logger}, which is all that is used here, doesn't look at that context;
and when messages come one at a time, with caches cold, it is a tenth of what a message costs. So a running epoll
reactor is given another C{doIteration}, which calls C{doRead} itself when a descriptor is only readable. All else, and
any other reactor, is left as it is.
"""

from __future__ import annotations

from collections.abc import Callable
from errno import EINTR
from select import EPOLLIN
from typing import Any

from twisted.internet.epollreactor import EPollReactor
from twisted.logger import Logger

log = Logger(namespace="xmppd.net")


def readDirectly(reactor: Any) -> bool:
    """
    Shorten a reactor's way; more than once does no harm.

    @return: whether the reactor is one that can be shortened.
    """
    if type(reactor) is not EPollReactor:
        return False
    reactor.doIteration = iteration(reactor)  # type: ignore[method-assign]
    return True


def iteration(reactor: Any) -> Callable[[float | None], None]:
    """
    The C{doIteration} of an epoll reactor: wait for at most so many seconds, then act on what is ready. Behaves like
    L{EPollReactor.doPoll} but for the logging context of reads.
    """
    poll = reactor._poller.poll
    selectables = reactor._selectables
    get = selectables.get
    disconnect = reactor._disconnectSelectable
    readOrWrite = reactor._doReadOrWrite

    def doIteration(timeout: float | None) -> None:
        try:
            events = poll(-1 if timeout is None else timeout, len(selectables))
        except OSError as error:
            if error.errno == EINTR:
                return
            raise
        for fd, event in events:
            selectable = get(fd)
            if selectable is None:
                continue  # one that was called before it has removed it
            if event != EPOLLIN:
                readOrWrite(selectable, fd, event)
                continue
            try:
                why = selectable.doRead()
            except BaseException as error:
                log.failure("reading from {selectable!r} failed", selectable=selectable)
                why = error
            if why is not None:
                disconnect(selectable, why, True)

    return doIteration
