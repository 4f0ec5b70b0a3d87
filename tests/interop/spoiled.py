"""
What L{tests.interop.crowd} tells: guests on the public profile at a real server, alone and beside a hostile one.
"""

from __future__ import annotations

import itertools
import json
import subprocess
from typing import Any

from tests.interop.crowd import commandLine
from tests.interop.daemon import ROOT

CONFIGURATION = """\
data = "data"
[listen]
c2s = ["tcp:{port}:interface=127.0.0.1"]
c2s_tls = ["tcp:{tlsPort}:interface=127.0.0.1"]
[tls]
certificates = "certs"
[log]
file = "log"
[limits]
{limits}
[host."guests.example"]
accounts = false
guests = "public"
"""
"""A server as it is by default, for guests only."""

LEAD = 0.7
"""Seconds until the hostile one's process has begun: its onset is measured, too."""


class Crowd:
    """
    The process of those who talk.

    @ivar guests: their addresses.
    """

    def __init__(self, port: int, guests: int, interval: float) -> None:
        """
        @param interval: after how many seconds each of them writes.
        """
        self._port = port
        self._hostile = itertools.count(1)
        self._process = subprocess.Popen(
            commandLine("talk", port, guests, interval), cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.guests: list[str] = self._told()["guests"]

    def _told(self) -> Any:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError("the guests have failed")
        return json.loads(line)

    def measure(self, seconds: float) -> Any:
        """Have them talk; answers times in milliseconds, see L{tests.interop.crowd}."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"measure {seconds}\n")
        self._process.stdin.flush()
        return self._told()

    def spoiled(self, seconds: float) -> tuple[Any, Any]:
        """The same beside a hostile one from a new address; answers what that was told, too."""
        command = commandLine("spoil", self._port, seconds, f"127.0.200.{next(self._hostile)}")
        hostile = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        try:
            assert hostile.stdin is not None and hostile.stdout is not None
            hostile.stdin.write("\n".join(self.guests))
            hostile.stdin.close()
            measured = self.measure(seconds + LEAD)
            return measured, json.loads(hostile.stdout.readline())
        finally:
            hostile.kill()
            hostile.wait()
            if hostile.stdout is not None:
                hostile.stdout.close()

    def close(self) -> None:
        """Have them go."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()
