"""
The data folder: made at start, for nobody else's eyes, and used by one server at a time.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from typing import IO

from twisted.logger import Logger

from xmppd.ctl.exits import EX_CANTCREAT, EX_UNAVAILABLE, CannotStart

log = Logger(namespace="xmppd")

LOCK = "xmppd.lock"
"""The file in the folder that a running server keeps locked; holds its process id."""


class DataFolder:
    """
    Makes and locks the folder. With the lock, whatever another server has left there is certainly not in use.
    """

    def __init__(self, file: Path, folder: Path) -> None:
        """
        @param file: the configuration that names it, for messages.
        """
        self._file = file
        self._folder = folder
        self._lock: IO[str] | None = None

    def acquire(self) -> None:
        """
        Make and lock it.

        @raise CannotStart: it can't be made or written, or another server is there.
        """
        folder = self._folder
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            mode = folder.stat().st_mode
            lock = open(os.open(folder / LOCK, os.O_CREAT | os.O_RDWR, 0o600), "r+", encoding="ascii")
        except OSError as error:
            line = f"{self._file}: data: can't use {folder}: {error.strerror}"
            raise CannotStart(EX_CANTCREAT, f"{line}; give it to the server's user, or name another folder") from None
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            holder = lock.read(20).strip()
            lock.close()
            who = f"another xmppd (process {holder})" if holder.isdigit() else "another xmppd"
            line = f"{self._file}: data: {folder} is in use by {who}"
            raise CannotStart(EX_UNAVAILABLE, f"{line}; stop that one, or name another folder") from None
        lock.seek(0)
        lock.truncate()
        lock.write(f"{os.getpid()}\n")
        lock.flush()
        self._lock = lock
        if mode & 0o022:
            log.warn("others than the server may write to {folder}; chmod go-w {folder}", folder=str(folder))

    def release(self) -> None:
        """Let others in."""
        lock, self._lock = self._lock, None
        if lock is not None:
            lock.close()
