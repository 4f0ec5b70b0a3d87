"""
Writing to archives, many messages at a time.

Theory of operation: what is archived during one turn of the reactor is one write, and while a write is under way, what
comes next is gathered for the following one; the store then commits each write once. Whoever has promised something for
a message waits for its write.

If the store can't be written, messages go on to their recipients all the same: promises are let go, the messages are
kept in memory, a bounded number, and written when the store takes them again. What has no room is not archived, and the
log says so. If the store is only slow, it is the senders who are slowed down: see L{Writer.crowded}.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from twisted.internet.defer import Deferred, succeed
from twisted.logger import Logger
from twisted.python.failure import Failure

from xmppd.ixmppd import ArchivedMessage, IHost, StoreUnavailable

log = Logger(namespace="xmppd.archive")

CROWDED: Final = 4096
"""From how many waiting messages on senders are to be slowed down."""

CROWDED_OCTETS: Final = 8 << 20

MOST: Final = 20_000
"""How many messages wait at most."""

MOST_OCTETS: Final = 32 << 20

RETRY_SECONDS: Final = 5.0


def watch(waiting: Deferred[None]) -> Deferred[None]:
    """A Deferred of one's own that fires when another one does."""
    fired: Deferred[None] = Deferred()

    def passing(result: None) -> None:
        fired.callback(None)
        return result

    waiting.addCallback(passing)
    return fired


class Writer:
    """
    Writes what one domain archives.

    @ivar crowded: whether so much waits that senders should wait, too.
    @ivar failing: whether the last write has failed.
    @ivar lost: how many messages had no room.
    """

    def __init__(self, host: IHost) -> None:
        self._host = host
        self._waiting: list[ArchivedMessage] = []
        self._octets = 0
        self._done: Deferred[None] | None = None
        self._written: Deferred[None] | None = None
        self._retrying = False
        self.crowded = False
        self.failing = False
        self.lost = 0

    def add(self, message: ArchivedMessage) -> Deferred[None]:
        """
        Archive a message soon. Fires when it is durable, or when that can't be waited for; never fails.
        """
        waiting = self._waiting
        if self.failing:
            self._addFailing(message)
            return succeed(None)
        waiting.append(message)
        self._octets += len(message.stanza)
        if len(waiting) >= CROWDED or self._octets >= CROWDED_OCTETS:
            self._crowd(message)
        if self._done is None:
            self._done = Deferred()
            if self._written is None:
                self._host.clock.callLater(0, self._write)
        return self._done

    def _crowd(self, message: ArchivedMessage) -> None:
        """There is much to write; those who can't be slowed down are not archived, when there is too much."""
        self.crowded = True
        if len(self._waiting) > MOST or self._octets > MOST_OCTETS:
            self._waiting.pop()
            self._octets -= len(message.stanza)
            self._lose()

    def _addFailing(self, message: ArchivedMessage) -> None:
        if len(self._waiting) >= MOST or self._octets + len(message.stanza) > MOST_OCTETS:
            self._lose()
            return
        self._waiting.append(message)
        self._octets += len(message.stanza)

    def _lose(self) -> None:
        self.lost += 1
        if self.lost % 1000 == 1:
            log.error("{count} messages could not be archived", count=self.lost)

    # --- writing

    def _write(self) -> None:
        """Write what waits."""
        if self._written is not None:
            return
        batch, self._waiting = self._waiting, []
        written, self._done = self._done, None
        if not batch:
            if written is not None:
                written.callback(None)
            return
        self._written = written if written is not None else Deferred()
        self._octets = 0
        self.crowded = False
        try:
            answer = self._host.archives.add(batch)
        except ValueError:
            answer = self._addSingly(batch)
        answer.addCallbacks(self._succeeded, self._failed, errbackArgs=(batch,))

    def _addSingly(self, batch: Sequence[ArchivedMessage]) -> Deferred[None]:
        """There is one among them that no archive takes: leave it out."""
        good = []
        for message in batch:
            try:
                self._host.archives.add([message]).addErrback(lambda failure: failure.trap(StoreUnavailable) and None)
                good.append(message)
            except ValueError as error:
                log.error("a message of {owner} can't be archived: {error}", owner=message.owner, error=error)
        return self._host.archives.add(good) if good else succeed(None)

    def _succeeded(self, _: None) -> None:
        if self.failing:
            self.failing = False
            log.info("messages are archived again")
        self._settle()

    def _failed(self, failure: Failure, batch: list[ArchivedMessage]) -> None:
        """Keep it and try again later; nobody waits for that."""
        if failure.check(StoreUnavailable) is None:
            log.failure("archiving failed", failure)
        elif not self.failing:
            log.error("messages can't be archived just now: {reason}", reason=failure.getErrorMessage())
        if failure.check(StoreUnavailable):
            self.failing = True
            self._waiting = batch + self._waiting
            self._octets = sum(len(message.stanza) for message in self._waiting)
            self._retrying = True
            self._host.clock.callLater(RETRY_SECONDS, self._retry)
        self._settle()

    def _retry(self) -> None:
        self._retrying = False
        self._write()

    def _settle(self) -> None:
        """A write is over."""
        written, self._written = self._written, None
        assert written is not None
        if self.failing:
            done, self._done = self._done, None
            if done is not None:
                done.callback(None)
        elif not self._retrying:
            self._write()
        written.callback(None)

    # --- waiting for it

    def settled(self) -> Deferred[None]:
        """Fires when everything added so far is written, or can't be just now."""
        last = self._done if self._done is not None else self._written
        if last is None or self.failing:
            return succeed(None)
        self._write()
        return watch(last)

    def disown(self, sender: str) -> None:
        """What waits to be written is no longer by somebody."""
        self._waiting = [
            replace(message, sender="") if message.sender == sender else message for message in self._waiting
        ]

    def drop(self, owner: str) -> None:
        """Forget what waits for an archive."""
        self._waiting = [message for message in self._waiting if message.owner != owner]
        self._octets = sum(len(message.stanza) for message in self._waiting)
