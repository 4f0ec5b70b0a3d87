"""
Uploaded files on the disk.

Theory of operation. Below one folder there are three: C{arriving} has files that are being put, C{files} has whole ones
in a folder for each account (named by a hash, so that no address becomes a path), and C{index} has for each token a
small JSON file that says what it is. A file is there if its index entry is, and if it has the length that stands there;
so a crash leaves nothing half visible: first the file is moved into place, then the entry is written and moved.

Tokens are the only part of a path that somebody else could choose, and what isn't of the tokens' alphabet is no token.

Portions are written to the kernel's cache and not forced to the disk: after a power cut a file that was just put may be
missing, which a client sees and can mend.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

TOKEN: Final = re.compile(r"[A-Za-z0-9_-]{1,64}\Z")

PORTION: Final = 65536
"""Octets read from the disk at once."""


@dataclass(frozen=True, slots=True)
class Entry:
    """
    What is known of one file.

    @ivar owner: the bare JID of who put it.
    @ivar name: its name, for people.
    @ivar size: octets.
    @ivar type: its media type, without parameters.
    @ivar expires: when it goes, seconds since the epoch.
    """

    token: str
    owner: str
    name: str
    size: int
    type: str
    expires: float


class Shelf:
    """
    Keeps files. Every method works on the disk at once, on a few names only.

    @ivar octets: what all whole files take.
    """

    def __init__(self, folder: Path) -> None:
        """
        @param folder: where; made by L{open}.
        """
        self._arriving = folder / "arriving"
        self._files = folder / "files"
        self._index = folder / "index"
        self.octets = 0

    def open(self) -> None:
        """Make the folders, and remove what had not arrived when the server was stopped. Raises OSError."""
        for folder in (self._arriving, self._files, self._index):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for left in self._arriving.iterdir():
            left.unlink()

    # --- paths

    def _folderOf(self, owner: str) -> Path:
        return self._files / hashlib.sha256(owner.encode()).hexdigest()[:40]

    def _fileOf(self, entry: Entry) -> Path:
        return self._folderOf(entry.owner) / entry.token

    def _entryOf(self, token: str) -> Path:
        return self._index / token[:2] / token

    # --- arriving

    def begin(self, entry: Entry) -> Arriving:
        """Begin a file. Raises OSError."""
        return Arriving(self, entry, self._arriving / entry.token)

    def keep(self, entry: Entry, arrived: Path) -> None:
        """A file is complete. Raises OSError."""
        path = self._fileOf(entry)
        path.parent.mkdir(mode=0o700, exist_ok=True)
        index = self._entryOf(entry.token)
        index.parent.mkdir(mode=0o700, exist_ok=True)
        os.replace(arrived, path)
        try:
            arrived.write_text(json.dumps(asdict(entry)), "utf-8")
            os.replace(arrived, index)
        except OSError:
            path.unlink()  # nothing would say whose it is
            raise
        self.octets += entry.size

    # --- there

    def find(self, token: str) -> Entry | None:
        """What is there by a token, expired or not."""
        entry = self._read(token)
        try:
            return entry if entry is not None and self._fileOf(entry).stat().st_size == entry.size else None
        except OSError:
            return None

    def _read(self, token: str) -> Entry | None:
        """What the index says, whether or not the file is there."""
        if not TOKEN.match(token):
            return None
        try:
            entry = Entry(**json.loads(self._entryOf(token).read_text("utf-8")))
        except (OSError, ValueError, TypeError):
            return None
        return entry if entry.token == token else None

    def has(self, token: str) -> bool:
        """Whether there is an entry for a token."""
        return self._entryOf(token).exists()

    def portions(self, entry: Entry, start: int, length: int) -> Iterator[bytes]:
        """
        A part of a file, read as it is asked for. Raises OSError at once if the file is gone.
        """
        file = self._fileOf(entry).open("rb", buffering=0)

        def read() -> Iterator[bytes]:
            with file:
                yield b""
                file.seek(start)
                left = length
                while left > 0:
                    data = file.read(min(PORTION, left))
                    if not data:
                        raise OSError("the file is shorter than it was")
                    left -= len(data)
                    yield data

        portions = read()
        next(portions)  # from here on the file is closed when the iterator is
        return portions

    def all(self) -> Iterator[tuple[str, Entry | None]]:
        """All tokens, with what is there by them; None for an entry that is worth nothing."""
        for folder in sorted(self._index.iterdir()):
            for name in sorted(os.listdir(folder)):
                yield name, self.find(name)

    def of(self, owner: str) -> list[str]:
        """The tokens of an account's files."""
        try:
            return [name for name in os.listdir(self._folderOf(owner)) if TOKEN.match(name)]
        except OSError:
            return []

    def strays(self) -> Iterator[Path]:
        """Files that the index doesn't know: a crash came in between."""
        for folder in sorted(self._files.iterdir()):
            for name in sorted(os.listdir(folder)):
                if not self.has(name):
                    yield folder / name

    # --- gone

    def remove(self, token: str) -> None:
        """Remove a file; nothing happens if there is none."""
        entry = self._read(token)
        with suppress(OSError):
            self._entryOf(token).unlink()
        if entry is not None:
            self.removeOf(entry.owner, token)

    def removeOf(self, owner: str, token: str) -> None:
        """Remove an account's file, whatever its entry says."""
        path = self._folderOf(owner) / token
        with suppress(OSError):
            size = path.stat().st_size
            path.unlink()
            self.octets = max(0, self.octets - size)
        with suppress(OSError):
            self._entryOf(token).unlink()
        with suppress(OSError):
            path.parent.rmdir()  # if it was the last


class Arriving:
    """
    A file that is being put.

    @ivar entry: what it will be.
    @ivar octets: how much has come.
    """

    def __init__(self, shelf: Shelf, entry: Entry, path: Path) -> None:
        self.entry = entry
        self.octets = 0
        self._shelf = shelf
        self._path = path
        self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)

    def write(self, data: bytes) -> None:
        """Append. Raises OSError."""
        view = memoryview(data)
        while view:
            view = view[os.write(self._descriptor, view) :]
        self.octets += len(data)

    def _close(self) -> None:
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)

    def keep(self) -> None:
        """It is complete. Raises OSError."""
        self._close()
        self._shelf.keep(self.entry, self._path)

    def drop(self) -> None:
        """It will never be."""
        self._close()
        with suppress(OSError):
            self._path.unlink()
