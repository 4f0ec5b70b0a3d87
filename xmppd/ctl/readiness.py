"""
What systemd is told by way of C{NOTIFY_SOCKET} (sd_notify(3)): ready, reloading, stopping, alive.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Mapping
from typing import Any

from xmppd.ixmppd import IClock


class Readiness:
    """
    Tells the service manager; tells nobody where there is none.

    The watchdog is fed by the clock, so that a reactor that is stuck stops feeding it.
    """

    def __init__(self, clock: IClock, environment: Mapping[str, str] | None = None) -> None:
        """
        @param environment: the process's, if None.
        """
        values = os.environ if environment is None else environment
        self._clock = clock
        self._address = values.get("NOTIFY_SOCKET", "")
        self._pause = 0.0
        self._call: Any = None
        if values.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid()):
            microseconds = values.get("WATCHDOG_USEC", "")
            self._pause = int(microseconds) / 2e6 if microseconds.isdigit() else 0.0

    def ready(self) -> None:
        """The server serves."""
        self._tell("READY=1\nSTATUS=Serving")
        if self._pause and self._address and self._call is None:
            self._feed()

    def reloading(self) -> None:
        """The configuration is being read again, or the process starts itself again; L{ready} ends it."""
        self._tell(f"RELOADING=1\nMONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def stopping(self) -> None:
        """The server shuts down."""
        if self._call is not None and self._call.active():
            self._call.cancel()
        self._call = None
        self._tell("STOPPING=1\nSTATUS=Shutting down")

    def _feed(self) -> None:
        """Be alive."""
        self._tell("WATCHDOG=1")
        self._call = self._clock.callLater(self._pause, self._feed)

    def _tell(self, state: str) -> None:
        """Send one datagram; whoever doesn't listen misses it."""
        if not self._address:
            return
        address = "\0" + self._address[1:] if self._address.startswith("@") else self._address
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
                sender.setblocking(False)
                sender.sendto(state.encode(), address)
        except OSError:
            pass
