"""
Writing the queue of one session to the spool, so that the spool has messages in the order of the queue.

That order is the one in which they come after a crash, and as offline messages. So there is one write at a time: what
comes meanwhile is in the next one, since a write might fail while a later one does not. And when something could not be
written the session is I{late}: from then on everything that is not written is written together, in its order, by
whoever writes first: the session itself with its next beat, or the settlement of a sender (C{ICustody.line}).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from twisted.internet.defer import Deferred, maybeDeferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from xmppd.features.xep0198_sm.queue import Entry
from xmppd.ixmppd import IHost, SpooledMessage, StoreUnavailable

log = Logger(namespace="xmppd.sm")


class Spooling:
    """
    What one session writes.

    @ivar late: whether something could not be written.
    @ivar underWay: fire when what is being written, or is to be written next, is; or can't be for now.
    """

    __slots__ = ("_fresh", "_host", "_next", "_unwritten", "late", "underWay")

    def __init__(self, host: IHost, unwritten: Callable[[], list[Entry]]) -> None:
        """
        @param unwritten: answers the messages of the queue that are to be written and are not, in order.
        """
        self._host = host
        self._unwritten = unwritten
        self._fresh: list[Entry] = []
        self._next: Deferred[None] | None = None
        self.late = False
        self.underWay: list[Deferred[None]] = []

    def write(self, entries: Sequence[Entry]) -> None:
        """Write messages after what is being written; who has promised something for them waits until that is done."""
        entries = [entry for entry in entries if entry.message() is not None]
        if not entries:
            return
        done = self._next
        if done is None:
            done = self._next = Deferred()
            self.underWay.append(done)
        self._fresh += entries
        for entry in entries:
            if entry.stanza.promise is not None:
                entry.stanza.promise.append(done)
        self._writeFresh()

    def arrived(self, entry: Entry) -> None:
        """A message for a client that is not connected. Behind others that could not be written it waits like them."""
        if not self.late:
            self.write([entry])

    def writeAll(self) -> None:
        """Write everything that is not written."""
        unwritten = self._unwritten()
        self.late = self.late and bool(unwritten)
        self.write(unwritten)

    def precede(self, sender: str) -> None:
        """
        Something of this sender is about to be stored for the account: write first what was promised and what the
        client may not have. After a crash it would come behind it otherwise.
        """
        promised = [entry for entry in self._unwritten() if entry.stanza.promise is not None]
        entries = [entry for entry in promised if entry.stanza.attrs.get("from") == sender]
        if entries:
            done: Deferred[None] = Deferred()
            self.underWay.append(done)
            self._write(entries, done)

    def line(self) -> Sequence[Entry]:
        """What has to be written together, in order, since something could not be written."""
        if not self.late:
            return ()
        unwritten = self._unwritten()
        self.late = bool(unwritten)
        return unwritten

    def _writeFresh(self) -> None:
        done = self._next
        if done is None or len(self.underWay) > 1:
            return
        self._next = None
        fresh, self._fresh = self._fresh, []
        self._write(self._unwritten() if self.late else fresh, done)

    def _write(self, entries: Sequence[Entry], done: Deferred[None]) -> None:
        pairs = [(entry, message) for entry in entries if (message := entry.message()) is not None]
        if pairs:
            maybeDeferred(self._host.spool.add, [message for _, message in pairs]).addBoth(self._wrote, pairs, done)
        else:
            self._wrote((), (), done)

    def _wrote(self, rows: Any, pairs: Sequence[tuple[Entry, SpooledMessage]], done: Deferred[None]) -> None:
        refused = isinstance(rows, Failure) and rows.check(StoreUnavailable) is not None
        if refused:
            for entry, _ in pairs:
                entry.failed()
        elif isinstance(rows, Failure):
            log.failure("storing messages failed", rows)
        else:
            for (entry, _), row in zip(pairs, rows, strict=True):
                entry.stored(row)
            self.late = self.late and bool(self._unwritten())
        self.underWay.remove(done)
        done.callback(None)
        if refused:
            self._desist()
        else:
            self._writeFresh()

    def _desist(self) -> None:
        """The store does not write: what has come meanwhile waits for the next beat, and its promises for nothing."""
        done, self._next = self._next, None
        self._fresh = []
        if done is not None:
            self.underWay.remove(done)
            done.callback(None)
