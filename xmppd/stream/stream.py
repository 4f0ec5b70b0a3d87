"""
What streams of clients and those between servers have in common, but for what happens to every stanza: that each has
for itself, so that nothing stands between it and the bytes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from twisted.logger import Logger

from xmppd.wire.errors import PeerError, SASLError, StreamCondition, StreamError

if TYPE_CHECKING:
    from collections.abc import Callable

    from twisted.internet.interfaces import IDelayedCall
    from twisted.python.failure import Failure

log = Logger(namespace="xmppd.stream")


class Stream:
    """
    A stream in which peers make mistakes, and we do.

    @ivar id: the id of the stream.
    """

    __slots__ = ("_backlogError", "_deadline", "_waits", "id")

    id: str
    _waits: int
    _backlogError: StreamError | None
    _deadline: IDelayedCall | None

    if TYPE_CHECKING:

        @property
        def write(self) -> Callable[[bytes], None]:
            """Sends bytes."""

    def close(self, error: StreamError | None = None) -> None:
        """Send an error if there is one, and end the stream."""
        raise NotImplementedError

    def _wrong(self, error: StreamError) -> None:
        """The input can't be parsed any further; what came before is still to be acted on."""
        if self._waits:
            self._backlogError = error
        else:
            self.close(error)

    def _answer(self, error: PeerError) -> None:
        """A peer's mistake."""
        if isinstance(error, SASLError):
            self.write(error.toBytes())
        elif isinstance(error, StreamError):
            self.close(error)
        else:
            self.close(StreamError(StreamCondition.UNDEFINED_CONDITION, str(error)))

    def _mistake(self, failure: Failure) -> None:
        """A mistake of ours: log it with the stream's id, tell no details, close."""
        log.failure("stream {id}: a mistake of the server", failure, id=self.id)
        self.close(StreamError(StreamCondition.INTERNAL_SERVER_ERROR))

    def _waitFailed(self, failure: Failure) -> None:
        """What was waited for has failed: a peer's mistake is answered, one of ours is logged."""
        if isinstance(failure.value, PeerError):
            self._answer(failure.value)
        else:
            self._mistake(failure)

    def _cancelDeadline(self) -> None:
        """The stream has come far enough in time."""
        deadline, self._deadline = self._deadline, None
        if deadline is not None and deadline.active():
            deadline.cancel()
