"""
Notices changed files: the configuration and the certificates.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from xmppd.ixmppd import IClock

SECONDS = 2.0
"""How often the files are looked at."""

FILES = 10_000
"""How many files of a folder are looked at."""

Signature = tuple[tuple[str, int, int, int], ...]


class Watch:
    """
    Looks at files every few seconds, and tells when some have changed and then stood still for one look: whoever
    replaces several files one after the other is not caught in the middle.
    """

    def __init__(
        self, clock: IClock, paths: Callable[[], Iterable[Path | None]], changed: Callable[[], object]
    ) -> None:
        """
        @param paths: answers the files and folders; of a folder the C{.pem} files count.
        @param changed: called when something has changed.
        """
        self._clock = clock
        self._paths = paths
        self._changed = changed
        self._known: Signature = ()
        self._seen: Signature = ()
        self._call: Any = None

    def start(self) -> None:
        """Begin, with the files as they are now."""
        self.renew()
        self._call = self._clock.callLater(SECONDS, self._look)

    def stop(self) -> None:
        """Look no more."""
        if self._call is not None and self._call.active():
            self._call.cancel()
        self._call = None

    def renew(self) -> None:
        """The files as they are now are known: somebody has just read them."""
        self._known = self._seen = self._signature()

    def _look(self) -> None:
        self._call = self._clock.callLater(SECONDS, self._look)
        before, self._seen = self._seen, self._signature()
        if self._seen != self._known and self._seen == before:
            self._known = self._seen
            self._changed()

    def _signature(self) -> Signature:
        """What tells these files from others."""
        return tuple(sorted(entry for path in self._paths() if path is not None for entry in _entries(path)))


def _entries(path: Path) -> Iterable[tuple[str, int, int, int]]:
    """A file, or the certificates of a folder. What isn't there has no entry."""
    try:
        status = path.stat()
        yield str(path), status.st_mtime_ns, status.st_size, status.st_ino
        if not path.is_dir():
            return
        with os.scandir(path) as found:
            for count, each in enumerate(found):
                if count >= FILES:
                    return
                if each.name.endswith(".pem"):
                    inner = each.stat()
                    yield each.path, inner.st_mtime_ns, inner.st_size, inner.st_ino
    except OSError:
        return
