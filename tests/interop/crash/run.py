"""
The course of events: people come, senders send, the server dies and comes back, everybody comes home.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.interop.crash.account import ANEW, Box, Letter, Row, State, missing, settle
from tests.interop.crash.daemon import Daemon
from tests.interop.crash.people import PASSWORD, Person, Recipient, Sender
from tests.interop.crash.wire import Gone, Refused, register

EACH = 2
"""How many recipients there are of each state."""

SENDERS = 4
"""Half of them can resume."""

HOMECOMING = 2
"""How many of the kills happen while everybody comes home."""

QUIET = 8.0
"""Seconds in which nothing arrives, after which what is missing is lost."""


@dataclass(slots=True)
class Report:
    """
    What one run came to.

    @ivar kills: how often the server was killed.
    @ivar early: how many of these before it listened again.
    @ivar left: messages in the database after everybody had everything.
    @ivar mistakes: tracebacks in the server's log.
    @ivar lost: the first ids of lost messages.
    @ivar misplaced: of misplaced and overtaken ones.
    """

    seed: int
    messages: int
    rows: list[Row]
    kills: int = 0
    early: int = 0
    again: int = 0
    sendersResumed: int = 0
    sendersNotResumed: int = 0
    left: int = 0
    integrity: str = ""
    mistakes: int = 0
    seconds: float = 0.0
    lost: list[str] = field(default_factory=list)
    misplaced: list[str] = field(default_factory=list)

    @property
    def good(self) -> bool:
        """Whether every promise was kept."""
        sound = self.integrity == "ok" and not self.mistakes and not self.sendersNotResumed and not self.left
        return sound and all(row.good for row in self.rows)

    def asDict(self) -> dict[str, Any]:
        """For JSON."""
        plain = {name: getattr(self, name) for name in self.__dataclass_fields__ if name != "rows"}
        states = {row.state: dict(row.figures) for row in self.rows}
        return {"good": self.good, **plain, "seconds": round(self.seconds, 1), "states": states}


class People:
    """
    Everybody who takes part.

    @ivar letters: everything that is to be sent.
    """

    def __init__(self, daemon: Daemon, dice: random.Random, messages: int, states: Sequence[State], pace: float = 0.0) -> None:
        self._daemon = daemon
        self._dice = dice
        self.recipients = [
            Recipient(daemon, f"{state.name.lower()}{n}", dice, state) for state in states for n in range(EACH)
        ]
        self.letters: list[Letter] = []
        self._places: dict[tuple[str, str], int] = {}
        self.senders = [
            Sender(daemon, name, dice, self.write(name, count), resumable, pace)
            for name, count, resumable in _shares(messages)
        ]
        self._tasks: list[asyncio.Task[None]] = []

    def write(self, sender: str, count: int) -> list[Letter]:
        """
        Letters of one sender to recipients at random.

        Some are for the full JID; not for those whose sessions begin anew, since what is for a session that was bound a
        moment ago and is not available yet overtakes what was stored for the account before (RFC 6121 section 8.5.3.1).
        """
        written = []
        for _ in range(count):
            recipient = self._dice.choice(self.recipients)
            key = sender, recipient.name
            place = self._places[key] = self._places.get(key, -1) + 1
            octets = 6000 if self._dice.random() < 0.02 else self._dice.randint(40, 800)
            full = recipient.box.state not in ANEW | {State.OFFLINE} and self._dice.random() < 0.25
            written.append(Letter(f"{sender}-{recipient.name}-{place}", *key, place, octets, full))
        self.letters += written
        return written

    @property
    def boxes(self) -> list[Box]:
        """What has arrived where."""
        return [recipient.box for recipient in self.recipients]

    @property
    def done(self) -> int:
        """How many letters are acknowledged."""
        return sum(sender.done for sender in self.senders)

    async def register(self) -> None:
        """Everybody gets an account."""
        everybody: Iterable[Person] = (*self.recipients, *self.senders)
        await asyncio.gather(*(register(self._daemon.port, each.name, PASSWORD) for each in everybody))

    async def come(self) -> None:
        """Recipients come online, if they do, and are waited for."""
        self._tasks += [asyncio.create_task(each.run()) for each in self.recipients]
        online = [each for each in self.recipients if each.box.state is not State.OFFLINE]
        await asyncio.gather(*(self.unless(each.present.wait()) for each in online))

    def send(self) -> None:
        """Senders begin, or go on with more."""
        idle = [each for each in self.senders if not each.running]
        self._tasks += [asyncio.create_task(each.run()) for each in idle]

    def knock(self) -> None:
        """
        Everybody who is connected to the server of the moment sends a space, which it has no time to read. Who writes to
        one that died before loses what his kernel has received and he has not read.
        """
        for each in (*self.recipients, *self.senders):
            if each.wire is not None and each.start == self._daemon.starts:
                each.wire.send(" ")

    def callHome(self) -> None:
        """Everybody is to be online and to behave."""
        for each in self.recipients:
            each.home.set()

    async def unless(self, awaited: Awaitable[Any]) -> None:
        """Wait for something, unless somebody fails meanwhile: then that is raised."""
        waiting = asyncio.ensure_future(awaited)
        await asyncio.wait([waiting, *self._tasks], return_when=asyncio.FIRST_EXCEPTION, timeout=0)
        while not waiting.done():
            self.check()
            await asyncio.wait([waiting], timeout=0.2)
        waiting.result()

    def check(self) -> None:
        """Raise what made somebody fail."""
        for task in self._tasks:
            if task.done() and not task.cancelled():
                task.result()

    async def until(self, count: int) -> None:
        """Wait until that many letters are acknowledged."""
        while self.done < count:
            self.check()
            await asyncio.sleep(0.005)

    async def settled(self) -> None:
        """Wait until nothing is missing, or nothing comes any more."""
        before, since = -1, time.monotonic()
        while missing(self.letters, self.boxes):
            self.check()
            arrived = sum(sum(box.arrivals.values()) for box in self.boxes)
            if arrived != before:
                before, since = arrived, time.monotonic()
            elif time.monotonic() - since > QUIET:
                return
            await asyncio.sleep(0.2)

    async def leave(self) -> None:
        """Everybody acknowledges what there is and goes."""
        await asyncio.sleep(0.5)  # somebody may be given something twice
        for each in (*self.recipients, *self.senders):
            each.leaving = True
            if each.wire is not None and not each.wire.lost:
                if each.managed:
                    each.wire.send(f"<a xmlns='urn:xmpp:sm:3' h='{each.handled}'/>")
                each.wire.close()
        await asyncio.sleep(0.5)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


def _shares(messages: int) -> list[tuple[str, int, bool]]:
    """Of each sender the name, the number of letters, and whether it can resume."""
    return [(f"sender{n}", messages // SENDERS + (n < messages % SENDERS), n % 2 == 0) for n in range(SENDERS)]


class Course:
    """One run."""

    def __init__(
        self,
        folder: Path,
        messages: int,
        kills: int,
        seed: int,
        database: str | None = None,
        states: Sequence[State] = tuple(State),
        pace: float = 0.0,
    ) -> None:
        """
        @param pace: seconds between bursts of a sender, at most.
        """
        self._dice = random.Random(seed)
        self._daemon = Daemon(folder, database)
        self._people = People(self._daemon, self._dice, messages, states, pace)
        self._kills = kills
        self.report = Report(seed, messages, [])

    async def run(self) -> Report:
        """Do it, and answer the account."""
        began = time.monotonic()
        try:
            await self._daemon.start()
            await self._people.register()
            await self._people.come()
            self._people.send()
            atHome = min(HOMECOMING, self._kills // 2)
            await self._work(self._kills - atHome)
            self._people.callHome()
            await self._homecoming(atHome)
            await self._people.settled()
            await self._people.leave()
            await self._daemon.stop()
            self._judge()
        finally:
            self._daemon.kill()
        self.report.seconds = time.monotonic() - began
        return self.report

    async def _work(self, kills: int) -> None:
        """Senders send; the server is killed at random points of that."""
        total = self.report.messages
        for n in range(kills):
            await self._people.until(int(total * (n + self._dice.random() * 0.9) / (kills + 0.5)))
            await asyncio.sleep(self._dice.uniform(0, 0.05))
            await self._kill()
        await self._people.until(total)

    async def _homecoming(self, kills: int) -> None:
        """The server is killed while everybody is given what was kept for him."""
        for _ in range(kills):
            await asyncio.sleep(self._dice.uniform(0.05, 0.8))
            await self._kill()

    async def _kill(self) -> None:
        """
        Kill the server and start it again; sometimes it doesn't even come to listen before it is killed again.

        What a dead process has written is still sent by its kernel, as long as it has read everything it was sent. So
        half of the time it hasn't: then what is on the way is lost, as in a power cut.
        """
        report, daemon = self.report, self._daemon
        if self._dice.random() < 0.5:
            daemon.freeze()
            self._people.knock()
            await asyncio.sleep(0.01)
        daemon.kill()
        report.kills += 1
        if self._dice.random() < 0.15:
            await daemon.start(wait=False)
            await asyncio.sleep(self._dice.uniform(0.4, 1.2))
            daemon.kill()
            report.early += 1
        await daemon.start()

    def _judge(self) -> None:
        report, people = self.report, self._people
        report.rows = settle(people.letters, people.boxes)
        report.again = sum(letter.sendings > 1 for letter in people.letters)
        report.sendersResumed = sum(each.resumed for each in people.senders)
        report.sendersNotResumed = sum(len(each.notResumed) for each in people.senders)
        report.left = self._daemon.left()
        report.integrity = self._daemon.integrity()
        report.mistakes = self._daemon.mistakes()
        report.lost = [letter.id for letter in missing(people.letters, people.boxes)][:50]
        report.misplaced = [each for box in people.boxes for each in box.misplaced()][:50]


__all__ = ["Course", "Gone", "People", "Refused", "Report"]
