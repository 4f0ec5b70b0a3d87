"""
Senders, and recipients in several states.

Both do what XEP-0198 asks of clients: they count, ask and answer, resume after every loss of the connection, and send
again what was not acknowledged, with the same id.
"""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import Sequence
from xml.etree.ElementTree import Element

from tests.interop.crash.account import Box, Letter, State
from tests.interop.crash.daemon import DOMAIN, Daemon
from tests.interop.crash.wire import CLIENT, SM, STANZAS, STREAMS, Gone, Refused, Wire, condition

PASSWORD = "a password"
MASK = 0xFFFFFFFF
RESOURCE = "phone"

AWAKE = 5
"""How many messages a hibernating recipient takes before it is cut."""


class Person:
    """
    Somebody with an account, whose session is resumed over many connections.

    @ivar wire: the connection, or None.
    @ivar token: what the session can be resumed with, or None.
    @ivar handled: how many stanzas of the server were handled.
    @ivar resumed: how many times C{<resume/>} was accepted.
    @ivar notResumed: conditions with which it was not.
    @ivar start: to the server of which start it is connected.
    @ivar leaving: whether it does not come again when the connection is gone.
    """

    managed = True
    resumable = True
    receiveBuffer = 0

    def __init__(self, daemon: Daemon, name: str, dice: random.Random) -> None:
        self.name = name
        self.wire: Wire | None = None
        self.token: str | None = None
        self.handled = 0
        self.resumed = 0
        self.notResumed: list[str] = []
        self.leaving = False
        self.start = 0
        self._daemon = daemon
        self._dice = dice

    async def connect(self) -> Wire:
        """
        Connect and log in; resume if there is a session to resume, else begin a new one.

        @raise Gone: the connection was lost before that was done.
        """
        start = self._daemon.starts
        wire = self.wire = await Wire.connect(self._daemon.port, self.receiveBuffer)
        self.start = start
        try:
            features = await wire.login(self.name, PASSWORD)
            if self.token is None or not await self._resume(wire):
                await wire.bind(RESOURCE)
                await self._begin(wire, features)
        except Refused as error:
            wire.cut()
            raise Gone(str(error)) from None
        return wire

    async def _resume(self, wire: Wire) -> bool:
        wire.send(f"<resume xmlns='urn:xmpp:sm:3' h='{self.handled}' previd='{self.token}'/>")
        answer = await wire.expect(SM + "resumed", SM + "failed", STREAMS + "error")
        if answer.tag == SM + "resumed":
            self.resumed += 1
            self.acknowledged(int(answer.get("h") or 0))
            self.goOn(wire)
            return True
        self.notResumed.append(answer[0].tag.rpartition("}")[2] if len(answer) else "?")
        self.token = None
        h = answer.get("h")
        if h is not None:
            self.acknowledged(int(h))
        if answer.tag == STREAMS + "error":
            raise Gone("the stream ended in place of a resumption")
        return False

    async def _begin(self, wire: Wire, features: Element) -> None:
        self.handled = 0
        if self.managed:
            resume = "resume='true'" if self.resumable else ""
            wire.send(f"<enable xmlns='urn:xmpp:sm:3' {resume}/>")
            answer = await wire.expect(SM + "enabled", SM + "failed")
            self.token = answer.get("id") if self.resumable else None
            if answer.tag == SM + "failed" or (self.resumable and self.token is None):
                raise Refused("stream management is not to be had")
            for element in wire.skipped:  # came before counting began
                if element.tag == CLIENT + "message":
                    self.message(element)
        self.begin(wire)

    async def listen(self, wire: Wire, seconds: float | None = None) -> bool:
        """Take one element, if there is one in time. Answers whether there was."""
        element = await wire.next(seconds)
        if element is None:
            return False
        if element.tag in STANZAS:
            self.handled = (self.handled + 1) & MASK
        if element.tag == CLIENT + "message":
            self.message(element)
        elif element.tag == SM + "r":
            self.asked(wire)
        elif element.tag == SM + "a":
            self.acknowledged(int(element.get("h") or 0))
        elif element.tag == CLIENT + "iq" and element.get("type") == "get":
            wire.send(f"<iq type='result' id='{element.get('id')}'/>")
            self.sent()
        return True

    async def pause(self, least: float = 0.02, most: float = 0.2) -> None:
        """Do nothing for a moment."""
        await asyncio.sleep(self._dice.uniform(least, most))

    # --- what others do

    def begin(self, wire: Wire) -> None:
        """A new session has begun."""

    def goOn(self, wire: Wire) -> None:
        """The session was resumed."""

    def message(self, element: Element) -> None:
        """A message has come."""

    def sent(self) -> None:
        """A stanza was sent that is none of the letters."""

    def asked(self, wire: Wire) -> None:
        """The server wants to know what was handled."""
        wire.send(f"<a xmlns='urn:xmpp:sm:3' h='{self.handled}'/>")

    def acknowledged(self, h: int) -> None:
        """The server has handled stanzas."""


WINDOW = 100
"""How many letters of a sender may be unacknowledged."""


class Miscounted(AssertionError):
    """The server has acknowledged less than before, or more than was sent."""


class Sender(Person):
    """
    Sends its letters, so many at a time, until all are acknowledged. Without resumption it sends what was not
    acknowledged in its next session.

    @ivar done: how many letters are acknowledged.
    @ivar running: whether it is sending.
    """

    def __init__(
        self,
        daemon: Daemon,
        name: str,
        dice: random.Random,
        letters: Sequence[Letter],
        resumable: bool = True,
        pace: float = 0.0,
    ) -> None:
        super().__init__(daemon, name, dice)
        self.resumable = resumable
        self._pace = pace
        self.letters = letters
        self.done = 0
        self.running = False
        self._waiting = deque(letters)
        self._unacknowledged: deque[Letter | None] = deque()
        self._base = 0
        self._byId = {each.id: each for each in letters}

    async def run(self) -> None:
        """Send everything."""
        self.running = True
        try:
            await self._run()
        finally:
            self.running = False

    async def _run(self) -> None:
        while self._waiting or self._unacknowledged:
            try:
                wire = self.wire if self.wire is not None and not self.wire.lost else await self.connect()
                while self._waiting or self._unacknowledged:
                    await self._burst(wire)
                    if not await self.listen(wire, 0.5):
                        wire.send("<r xmlns='urn:xmpp:sm:3'/>")
            except Gone:
                await self.pause()

    def add(self, letters: Sequence[Letter]) -> None:
        """More to send."""
        self.letters = [*self.letters, *letters]
        self._waiting.extend(letters)
        self._byId.update((each.id, each) for each in letters)

    async def _burst(self, wire: Wire) -> None:
        """Send some letters if there is room for them."""
        room = min(WINDOW - len(self._unacknowledged), len(self._waiting), self._dice.randint(1, 20))
        if room <= 0 or len(self._unacknowledged) > WINDOW // 2:
            return
        if self._pace:
            await self.pause(0.0, self._pace)
        for _ in range(room):
            letter = self._waiting.popleft()
            self._unacknowledged.append(letter)
            self._send(wire, letter)
        wire.send("<r xmlns='urn:xmpp:sm:3'/>")

    def _send(self, wire: Wire, letter: Letter) -> None:
        letter.sendings += 1
        full = f"/{RESOURCE}" if letter.full else ""
        wire.send(
            f"<message to='{letter.recipient}@{DOMAIN}{full}' type='chat' id='{letter.id}'>"
            f"<body>{letter.text}</body></message>"
        )

    def begin(self, wire: Wire) -> None:
        """See L{Person}."""
        self._base = 0
        self._unacknowledged = deque(letter for letter in self._unacknowledged if letter is not None)
        self._again(wire)

    def goOn(self, wire: Wire) -> None:
        """See L{Person}."""
        self._again(wire)

    def _again(self, wire: Wire) -> None:
        for letter in self._unacknowledged:
            if letter is not None:
                self._send(wire, letter)
            else:
                wire.send("<iq type='result' id='again'/>")
        if self._unacknowledged:
            wire.send("<r xmlns='urn:xmpp:sm:3'/>")

    def sent(self) -> None:
        """See L{Person}."""
        self._unacknowledged.append(None)

    def acknowledged(self, h: int) -> None:
        """See L{Person}."""
        count = (h - self._base) & MASK
        if count > len(self._unacknowledged):
            raise Miscounted(f"{self.name}: h={h} after {self._base}, {len(self._unacknowledged)} unacknowledged")
        self._base = h
        for _ in range(count):
            letter = self._unacknowledged.popleft()
            if letter is not None:
                letter.acknowledged = True
                self.done += 1

    def message(self, element: Element) -> None:
        """See L{Person}: an error."""
        letter = self._byId.get(element.get("id") or "")
        if letter is not None and element.get("type") == "error":
            letter.refused = condition(element)


class Recipient(Person):
    """
    Receives, in its own way, until it is called home.

    @ivar box: what has arrived.
    @ivar home: set when everybody has to be online and well-behaved.
    """

    def __init__(self, daemon: Daemon, name: str, dice: random.Random, state: State) -> None:
        super().__init__(daemon, name, dice)
        self.box = Box(name, state)
        self.notResumed = self.box.notResumed
        self.managed = state not in (State.PLAIN, State.SLUGGISH)
        self.resumable = state is not State.UNRESUMABLE
        self.receiveBuffer = 4096 if state in (State.SLUGGISH, State.SLOW, State.UNRESUMABLE) else 0
        self.home = asyncio.Event()
        self.present = asyncio.Event()
        self._known = False
        self._late: asyncio.Task[None] | None = None
        self._dozing: asyncio.Task[None] | None = None

    async def run(self) -> None:
        """Live until it is time to leave."""
        state = self.box.state
        if state is State.OFFLINE:
            await self.home.wait()
        if state is State.HIBERNATING:
            await self._fallAsleep()
        while not self.leaving:
            try:
                wire = await self.connect()
                await self._online(wire)
            except Gone:
                await self.pause()

    async def _fallAsleep(self) -> None:
        """Take a few messages, acknowledge not all, and be cut."""
        while len(self.box.arrivals) < AWAKE:
            try:
                wire = await self.connect()
                while len(self.box.arrivals) < AWAKE:
                    await self.listen(wire)
            except Gone:
                await self.pause()
        if self.wire is not None:
            self.wire.cut()
        await self.home.wait()

    async def _doze(self, wire: Wire) -> None:
        """Read now and then, so that much is on the way when the server dies."""
        while not self.home.is_set() and not wire.lost:
            await self.pause(0.01, 0.1)
            wire.stopReading()
            await self.pause(0.2, 1.5)
            wire.goOnReading()

    async def _online(self, wire: Wire) -> None:
        if self.receiveBuffer:
            self._dozing = asyncio.create_task(self._doze(wire))
        flapping = self.box.state in (State.FLAPPING, State.FORGETFUL)
        until = asyncio.get_running_loop().time() + self._dice.uniform(0.02, 0.8)
        while True:
            left = until - asyncio.get_running_loop().time()
            if flapping and left <= 0 and not self.home.is_set():
                wire.cut()
                if self.box.state is State.FORGETFUL and self._dice.random() < 0.5:
                    self.token = None
                await self.pause(0.0, 0.4)
                raise Gone
            await self.listen(wire, max(left, 0.05) if flapping and not self.home.is_set() else 1.0)

    def begin(self, wire: Wire) -> None:
        """See L{Person}."""
        self._known = False
        self._appear(wire)
        if self.box.state is State.INACTIVE:
            wire.send("<inactive xmlns='urn:xmpp:csi:0'/>")
        self.present.set()

    def goOn(self, wire: Wire) -> None:
        """See L{Person}."""
        self.box.resumed += 1
        if not self._known:
            self._appear(wire)
        if self.box.state is State.INACTIVE:
            wire.send("<inactive xmlns='urn:xmpp:csi:0'/>")

    def _appear(self, wire: Wire) -> None:
        """Send presence, the first stanza of a session."""
        wire.send("<presence/>")
        if self.managed and self._dice.random() < 0.5:
            wire.send("<r xmlns='urn:xmpp:sm:3'/>")

    def acknowledged(self, h: int) -> None:
        """See L{Person}: the server knows that we are here, or it is told again."""
        self._known = h > 0

    def message(self, element: Element) -> None:
        """See L{Person}."""
        body = element.findtext(CLIENT + "body")
        if body is not None and element.get("type") != "error":
            self.box.arrived(body, element.get("id"))

    def asked(self, wire: Wire) -> None:
        """See L{Person}."""
        state = self.box.state
        if self.home.is_set():
            super().asked(wire)
        elif state in (State.SLOW, State.UNRESUMABLE):
            if self._late is None or self._late.done():
                self._late = asyncio.create_task(self._answerLate(wire))
        elif state is not State.HIBERNATING or self._dice.random() < 0.5:
            super().asked(wire)

    async def _answerLate(self, wire: Wire) -> None:
        await self.pause(0.3, 2.0)
        if not wire.lost:
            super().asked(wire)
