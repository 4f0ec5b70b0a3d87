"""
The end of a stream whose client is still to hear what has been handled (XEP-0198 section 4).
"""

from __future__ import annotations

from twisted.internet.defer import Deferred

from xmppd.ixmppd import IClientStream, IHost


def ackBytes(h: int) -> bytes:
    """An C{<a/>}."""
    return b"<a xmlns='urn:xmpp:sm:3' h='%d'/>" % h


class Farewell:
    """
    Keeps a stream open, without reading from it, until the last acknowledgement can be said; but not for ever.
    """

    __slots__ = ("_deadline", "_stream")

    def __init__(self, host: IHost, stream: IClientStream) -> None:
        self._stream = stream
        stream.waitFor(Deferred())  # it is closed before that fires, and reads nothing until then
        self._deadline = host.clock.callLater(host.limits.answerSeconds, stream.close)

    def say(self, h: int) -> None:
        """Acknowledge C{h} stanzas and close the stream."""
        if self._deadline.active():
            self._deadline.cancel()
        if not self._stream.closed:
            self._stream.write(ackBytes(h))
            self._stream.close()
