"""
xmppctl's end of the control socket. Plain blocking calls: there is nothing else to do meanwhile.
"""

from __future__ import annotations

import errno
import json
import os
import select
import socket
import struct
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from xmppd.ctl.exits import EX_CONFIG, EX_NOPERM, EX_SOFTWARE, EX_TEMPFAIL, EX_UNAVAILABLE
from xmppd.ctl.socket import CommandError

SECONDS = 60.0
"""How long a command may take."""

LONGEST_RESPONSE = 16 << 20
"""Octets of a response."""


def socketOf(config: Path) -> Path:
    """
    The control socket that a configuration means. Only what is needed for that is looked at, so that a server can be
    told to stop while its file is being edited.

    @raise CommandError: the file can't be read, or doesn't say.
    """
    try:
        document = tomllib.loads(config.read_text("utf-8"))
        folder = config.absolute().parent
        configured = document.get("control", {}).get("socket")
        return folder / str(document["data"]) / "xmppctl.sock" if configured is None else folder / str(configured)
    except PermissionError:
        line = f"{config}: permission denied; run it as root or as the server's user: sudo -u xmppd xmppctl …"
        raise CommandError(EX_NOPERM, line) from None
    except OSError as error:
        line = f"{config}: {error.strerror}; name the configuration with --config, or the socket with --socket"
        raise CommandError(EX_CONFIG, line) from None
    except (ValueError, KeyError, TypeError, AttributeError):
        line = f"{config}: it doesn't say where the control socket is; name that with --socket, or see xmppctl check"
        raise CommandError(EX_CONFIG, line) from None


class Client:
    """
    A connection to a server.

    @ivar pid: the server's process.
    """

    def __init__(self, path: Path) -> None:
        """
        @raise CommandError: nobody listens there, or we may not.
        """
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.settimeout(SECONDS)
        try:
            self._socket.connect(str(path))
        except OSError as error:
            self._socket.close()
            raise _unreachable(path, error) from None
        size = struct.calcsize("3i")
        self.pid: int = struct.unpack("3i", self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size))[0]
        self._file = self._socket.makefile("rb")

    def close(self) -> None:
        """Hang up."""
        self._file.close()
        self._socket.close()

    def ask(self, command: str, **arguments: Any) -> Any:
        """
        Have a command done, and answer its result.

        @raise CommandError: it can't be done.
        """
        request = {"command": command, "arguments": {k: v for k, v in arguments.items() if v is not None}}
        try:
            self._socket.sendall(json.dumps(request).encode() + b"\n")
            line = self._file.readline(LONGEST_RESPONSE)
        except TimeoutError:
            silence = f"the server (process {self.pid}) doesn't answer; look at its log"
            raise CommandError(EX_TEMPFAIL, silence) from None
        except OSError:
            line = b""
        if not line.endswith(b"\n"):
            raise CommandError(EX_UNAVAILABLE, "the server has hung up; is it shutting down?")
        response = json.loads(line)
        if "error" in response:
            raise CommandError(int(response.get("status", EX_SOFTWARE)), str(response["error"]))
        return response["result"]

    def pages(self, command: str, **arguments: Any) -> Iterator[dict[str, Any]]:
        """All items of a list."""
        after = None
        while True:
            answer = self.ask(command, after=after, **arguments)
            yield from answer["items"]
            after = answer["after"]
            if after is None:
                return

    def awaitEnd(self, seconds: float) -> bool:
        """Wait for the server's process to end; answers whether it did."""
        try:
            process = os.pidfd_open(self.pid)
        except OSError:
            return True
        try:
            return bool(select.select([process], [], [], seconds)[0])
        finally:
            os.close(process)


def _unreachable(path: Path, error: OSError) -> CommandError:
    """Why there is no server at a path, and what to do."""
    if error.errno in (errno.EACCES, errno.EPERM):
        line = f"{path}: permission denied; run it as root or as the server's user: sudo -u xmppd xmppctl …"
        return CommandError(EX_NOPERM, line)
    if error.errno in (errno.ENOENT, errno.ECONNREFUSED):
        line = f"nobody listens on {path}: is the server running? To start it: xmppd run --config FILE"
        return CommandError(EX_UNAVAILABLE, f"{line}, or systemctl start xmppd")
    return CommandError(EX_UNAVAILABLE, f"{path}: {error.strerror}; name the socket with --socket PATH")
