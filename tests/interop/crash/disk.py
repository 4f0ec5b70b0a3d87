"""
The daemon's disk fails while it works: C{python -m tests.interop.crash.disk FOLDER HOW}.

HOW is C{full}: FOLDER is a small file system, and a ballast file fills it; or C{sync}: C{fsync} and C{fdatasync} fail
while the file FOLDER/broken is there, by a preloaded library that whoever starts this has named in the environment as
C{LD_PRELOAD} for the daemon.

The course: letters go to recipients of all states, the disk breaks, more letters are sent, which are refused or not
acknowledged, the disk is mended, everything goes on without a restart; then the daemon is killed, started again, and
everybody comes home. With C{--kill-broken} it is killed while the disk is broken, too.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.interop.crash.account import Letter, State, settle, table
from tests.interop.crash.daemon import Daemon
from tests.interop.crash.people import Person
from tests.interop.crash.run import People
from tests.interop.crash.wire import Wire

STATES = (State.ACKING, State.PLAIN, State.HIBERNATING, State.OFFLINE)
FIRST, BROKEN_TIME, LAST = 200, 400, 200
"""How many letters are sent before, while, and after the disk is broken."""

ANSWER_SECONDS = 10.0
"""How long the disk stays broken, if not everybody has an answer before."""

MEND_SECONDS = 30.0
"""How long it may take until everything works after the disk was mended."""


def full(folder: Path) -> tuple[Callable[[], object], Callable[[], object]]:
    """Fill the file system, and make room again."""
    ballast = folder / "ballast"

    def breaks() -> None:
        with ballast.open("wb", buffering=0) as file:
            try:
                while file.write(bytes(4096)):
                    pass
            except OSError:
                pass

    return breaks, ballast.unlink


def sync(folder: Path) -> tuple[Callable[[], object], Callable[[], object]]:
    """Let nothing reach the disk, and let it again."""
    flag = folder / "broken"
    return flag.touch, flag.unlink


class Trial:
    """
    One daemon on one disk.

    @ivar report: what came of it.
    """

    def __init__(self, folder: Path, how: str, preload: str | None, killBroken: bool) -> None:
        environment = {"LD_PRELOAD": preload, "XMPPD_TEST_NO_SYNC": str(folder / "broken")} if preload else {}
        self._daemon = Daemon(folder, environment=environment)
        self._breaks, self._mends = {"full": full, "sync": sync}[how](folder)
        self._people = People(self._daemon, random.Random(1), FIRST, STATES)
        self._killBroken = killBroken
        self.report: dict[str, Any] = {"how": how}

    async def run(self) -> None:
        """Do it."""
        people = self._people
        await self._daemon.start()
        try:
            await people.register()
            await people.come()
            people.send()
            await people.until(FIRST)
            await self._broken()
            self._mends()
            await self._mended()
            await self._end()
        finally:
            self._daemon.kill()
        self._judge()

    def _more(self, count: int) -> list[Letter]:
        written = []
        for sender in self._people.senders:
            letters = self._people.write(sender.name, count // len(self._people.senders))
            sender.add(letters)
            written += letters
        self._people.send()
        return written

    async def _broken(self) -> None:
        """What happens while the disk is broken."""
        self._breaks()
        letters = self._more(BROKEN_TIME)
        began = time.monotonic()
        while time.monotonic() - began < ANSWER_SECONDS and not all(_answered(each) for each in letters):
            self._people.check()
            await asyncio.sleep(0.1)
        refusals = Counter(each.refused for each in letters if each.refused is not None)
        self.report["refused"] = dict(refusals)
        self.report["acknowledged while broken"] = sum(each.acknowledged and each.refused is None for each in letters)
        self.report["unanswered while broken"] = sum(not _answered(each) for each in letters)
        self.report["alive"] = await self._alive()
        if self._killBroken:
            self._daemon.kill()

    async def _alive(self) -> bool:
        """Whether somebody new can log in and is answered, which needs no writing."""
        person = Person(self._daemon, "offline0", random.Random(1))
        person.managed = False
        wire: Wire = await person.connect()
        try:
            await wire.ask("ping", "get", "<ping xmlns='urn:xmpp:ping'/>")
        finally:
            wire.cut()
        return True

    async def _mended(self) -> None:
        """The disk works again: so does everything, without a restart."""
        if self._killBroken:
            await self._daemon.start()
        began, starts = time.monotonic(), self._daemon.starts
        letters = self._more(LAST)
        while time.monotonic() - began < MEND_SECONDS and not all(each.acknowledged for each in self._people.letters):
            self._people.check()
            await asyncio.sleep(0.1)
        self.report["seconds to mend"] = round(time.monotonic() - began, 1)
        self.report["unacknowledged"] = sum(not each.acknowledged for each in self._people.letters)
        self.report["refused afterwards"] = sum(each.refused is not None for each in letters)
        self.report["restarts"] = self._daemon.starts - starts

    async def _end(self) -> None:
        self._daemon.kill()
        self.report["integrity"] = self._daemon.integrity()
        await self._daemon.start()
        self._people.callHome()
        await self._people.settled()
        await self._people.leave()
        await self._daemon.stop()

    def _judge(self) -> None:
        rows = settle(self._people.letters, self._people.boxes)
        self.report["states"] = {row.state: dict(row.figures) for row in rows}
        self.report["left"] = self._daemon.left()
        self.report["mistakes"] = self._daemon.mistakes()
        self.report["sendersNotResumed"] = sum(len(each.notResumed) for each in self._people.senders)
        self.report["table"] = table(rows)


def _answered(letter: Letter) -> bool:
    return letter.acknowledged or letter.refused is not None


def main() -> None:
    """Run what the command line says."""
    parser = argparse.ArgumentParser(prog="python -m tests.interop.crash.disk", description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("how", choices=("full", "sync"))
    parser.add_argument("--preload", help="the library whose fsync fails")
    parser.add_argument("--kill-broken", action="store_true")
    parser.add_argument("--json", action="store_true", help="print JSON alone")
    options = parser.parse_args()
    trial = Trial(options.folder.absolute(), options.how, options.preload, options.kill_broken)
    asyncio.run(trial.run())
    shown = trial.report.pop("table")
    if not options.json:
        print(shown)
    print(json.dumps(trial.report))


__all__ = ["Trial"]

if __name__ == "__main__":
    sys.exit(main())
