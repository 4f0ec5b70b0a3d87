"""
Many guests who talk to one another over TLS, and one who wants to spoil it: each a process of its own.

    python -m tests.interop.crowd talk PORT GUESTS INTERVAL
    python -m tests.interop.crowd spoil PORT SECONDS ADDRESS

C{talk} logs guests in, as many of an address of loopback as the public profile lets in, and has each write to another
every INTERVAL seconds. It takes commands on its standard input: C{measure SECONDS} is answered with a line of JSON, the
median and the 99th percentile of the messages' times in milliseconds, how many there were, and how many got lost. An
empty line ends it.

C{spoil} reads addresses from its standard input, a line each, and works on them from an ADDRESS of its own, all at
once: it opens sessions as fast as it can and keeps them, floods from each, and writes to everybody. It reads what it is
told, as it wouldn't, to count the conditions. It prints counts as JSON when its time is up. It is polite in one thing:
its priority is low, so that the others don't wait for the processor that it takes to be hostile.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import ssl
import statistics
import sys
import time
from collections import Counter

DOMAIN = "guests.example"
PER_ADDRESS = 20
PATIENCE = 60.0
TOGETHER = 16
"""How many log in at a time."""

HEADER = (
    f"<stream:stream to='{DOMAIN}' version='1.0' xmlns='jabber:client' "
    "xmlns:stream='http://etherx.jabber.org/streams'>"
)
AUTH = "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='ANONYMOUS'/>"
BIND = "<iq type='set' id='bind'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>"

SESSIONS = 40
"""How many sessions the hostile one tries to have at a time: twice as many as it may."""

BURST = 50
"""How many messages it sends before it looks for answers."""

CONDITIONS = re.compile(rb"<(too-many-stanzas|resource-limit-exceeded|stanza-too-big|policy-violation)[ /]")
STAMPED = re.compile(rb"<body>at (\d+)</body>")


def context() -> ssl.SSLContext:
    """A client that takes any certificate."""
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    made.check_hostname, made.verify_mode = False, ssl.CERT_NONE
    return made


class Refused(Exception):
    """The server has ended the stream, or a login failed."""


class Guest:
    """
    A guest's stream.

    @ivar jid: its address.
    @ivar told: all that is to be looked at of what has come: the last few octets.
    """

    def __init__(self, port: int, address: str, secured: ssl.SSLContext) -> None:
        self._where = (port, address, secured)
        self.jid = ""
        self.told = b""

    async def login(self) -> None:
        """
        Connect, log in, bind.

        @raise Refused: the server doesn't want that.
        """
        port, address, secured = self._where
        try:
            self._reader, self._writer = await asyncio.open_connection(
                "127.0.0.1", port, ssl=secured, server_hostname=DOMAIN, local_addr=(address, 0)
            )
            await self._ask(HEADER, b"</stream:features>")
            await self._ask(AUTH, b"<success[^>]*>")
            await self._ask(HEADER, b"</stream:features>")
            bound = re.search(rb"<jid>([^<]+)<", await self._ask(BIND, rb"</iq>"))
        except (OSError, EOFError) as error:
            raise Refused(str(error)) from None
        if bound is None:
            raise Refused("no resource")
        self.jid = bound[1].decode()

    async def _ask(self, data: str, expected: bytes) -> bytes:
        self.send(data)
        got = b""
        while re.search(expected, got) is None:
            more = await self._reader.read(65536)
            self.told += more
            got += more
            if not more or b"<stream:error" in got or b"<failure" in got:
                raise Refused(got.decode())
        return got

    def send(self, data: str) -> None:
        """Send something short."""
        self._writer.write(data.encode())

    async def sent(self) -> None:
        """Wait until the server has taken most of it."""
        await self._writer.drain()

    async def read(self) -> bytes:
        """What has come; empty at the end."""
        try:
            return await self._reader.read(65536)
        except OSError:
            return b""

    def close(self) -> None:
        """Cut the connection."""
        writer = getattr(self, "_writer", None)
        if writer is not None:
            writer.transport.abort()


# --- those who talk


class Talk:
    """All of the guests who talk."""

    def __init__(self, port: int, count: int, interval: float) -> None:
        secured = context()
        self.guests = [
            Guest(port, f"127.0.{100 + number // PER_ADDRESS // 200}.{1 + number // PER_ADDRESS % 200}", secured)
            for number in range(count)
        ]
        self._interval = interval
        self._times: list[float] = []
        self._sent = self._lost = 0
        self._tasks: list[asyncio.Task[None]] = []

    async def begin(self) -> None:
        """Log all in, and have them listen."""
        gate = asyncio.Semaphore(TOGETHER)

        async def one(guest: Guest) -> None:
            async with gate:
                await guest.login()

        await asyncio.gather(*map(one, self.guests))
        self._tasks = [asyncio.create_task(self._listen(guest)) for guest in self.guests]

    async def _listen(self, guest: Guest) -> None:
        tail = b""
        while data := await guest.read():
            now = time.monotonic_ns()
            tail += data
            end = 0
            for found in STAMPED.finditer(tail):
                end = found.end()
                self._times.append((now - int(found[1])) / 1e6)
            tail = tail[max(end, len(tail) - 60) :]
        self._lost += 1

    async def measure(self, seconds: float) -> dict[str, float]:
        """Have them talk for some seconds, evenly, and tell how long their messages took."""
        self._times.clear()
        self._sent, count = 0, len(self.guests)
        begun = time.monotonic()
        due = 0
        while time.monotonic() - begun < seconds:
            while due * self._interval / count <= time.monotonic() - begun:
                guest, other = self.guests[due % count], self.guests[(due % count) ^ 1]
                guest.send(
                    f"<message to='{other.jid}' type='chat'><body>at {time.monotonic_ns()}</body></message>"
                )
                self._sent += 1
                due += 1
            await asyncio.sleep(max(0.0, due * self._interval / count - (time.monotonic() - begun)))
        until = time.monotonic() + 10
        while len(self._times) < self._sent and time.monotonic() < until:
            await asyncio.sleep(0.05)
        times = sorted(self._times) or [float("inf")]
        return {
            "median": statistics.median(times),
            "p99": times[len(times) * 99 // 100],
            "messages": self._sent,
            "lost": self._sent - len(self._times),
            "gone": self._lost,
        }

    async def obey(self) -> None:
        """Do what standard input says."""
        await self.begin()
        say({"guests": [guest.jid for guest in self.guests]})
        loop = asyncio.get_running_loop()
        while line := (await loop.run_in_executor(None, sys.stdin.readline)).strip():
            say(await self.measure(float(line.split()[1])))
        for guest in self.guests:
            guest.close()


def say(facts: object) -> None:
    """A line for whoever has started this."""
    print(json.dumps(facts), flush=True)


# --- the one who spoils it


class Spoiler:
    """The hostile guest."""

    def __init__(self, port: int, victims: list[str], seconds: float, address: str) -> None:
        self._port = port
        self._address = address
        self._victims = victims
        self._until = time.monotonic() + seconds
        self._secured = context()
        self.counts: Counter[str] = Counter()

    def _over(self) -> bool:
        return time.monotonic() >= self._until

    async def run(self) -> None:
        """All at once, until the time is up."""
        await asyncio.gather(*(self._again(number) for number in range(SESSIONS)))

    async def _again(self, number: int) -> None:
        """One session after another."""
        while not self._over():
            guest = Guest(self._port, self._address, self._secured)
            self.counts["tried"] += 1
            try:
                await asyncio.wait_for(guest.login(), 10)
                self.counts["sessions"] += 1
                await self._flood(guest, number)
            except (Refused, TimeoutError, OSError):
                self.counts["refused"] += 1
            self._count(guest.told)
            guest.close()
            await asyncio.sleep(0.2)

    async def _flood(self, guest: Guest, number: int) -> None:
        """Some write to one guest as fast as they can, some to everybody, some large stanzas."""
        listening = asyncio.create_task(self._listen(guest))
        turn = number * 17
        large = "x" * (17_000 if number % 5 == 4 else 40)
        try:
            while not (self._over() or listening.done()):
                for _ in range(BURST if number % 5 < 4 else 2):
                    turn += number % 2
                    victim = self._victims[turn % len(self._victims)]
                    guest.send(f"<message to='{victim}' type='chat'><body>{large}</body></message>")
                    self.counts["sent"] += 1
                await guest.sent()
                await asyncio.sleep(0.01)
        finally:
            listening.cancel()

    async def _listen(self, guest: Guest) -> None:
        tail = b""
        while data := await guest.read():
            self._count(tail + data)
            cut = max(data.rfind(b">") + 1, len(data) - 60)
            tail = data[cut:]

    def _count(self, data: bytes) -> None:
        for condition in CONDITIONS.findall(data):
            self.counts[condition.decode()] += 1


async def main(command: str, port: int, *rest: str) -> None:
    """See the module."""
    if command == "talk":
        await Talk(port, int(rest[0]), float(rest[1])).obey()
    else:
        os.nice(15)
        spoiler = Spoiler(port, sys.stdin.read().split(), float(rest[0]), rest[1])
        await spoiler.run()
        say(spoiler.counts)


def commandLine(*arguments: object) -> list[str]:
    """The command line of one of the two."""
    return [sys.executable, "-m", "tests.interop.crowd", *map(str, arguments)]


if __name__ == "__main__":
    asyncio.run(asyncio.wait_for(main(sys.argv[1], int(sys.argv[2]), *sys.argv[3:]), 600))
