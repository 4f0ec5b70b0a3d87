"""
Two ends of a stream between servers in memory: premises that say what a test tells them to, and a wire that can be cut
into single bytes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.task import Clock

from tests.doubles import CountingEntropy
from xmppd.config import Limits
from xmppd.ixmppd import TLSFacts
from xmppd.stream.incoming import IncomingStream
from xmppd.stream.outgoing import OutgoingStream
from xmppd.stream.s2s import ServerStream
from xmppd.trust.dialback import isKey, makeKey
from xmppd.wire.errors import StanzaCondition, StanzaError
from xmppd.wire.stanza import Stanza

OURS = "capulet.example"
THEIRS = "montague.example"


@dataclass(frozen=True)
class FakeVerdict:
    """A verdict of a test's choice."""

    accepted: bool
    authenticated: bool
    prooftype: str
    notice: str = ""

    def summary(self) -> str:
        """In short."""
        return self.prooftype


PKIX = FakeVerdict(True, True, "PKIX")
DIALBACK = FakeVerdict(True, False, "dialback")
NOTHING = FakeVerdict(False, False, "none")


class FakePremises:
    """
    One server around its streams.

    @ivar verdicts: what the certificate of a peer is worth, by domain.
    @ivar mayAnswerThere: what L{mayAnswer} answers.
    @ivar answers: what L{verify} answers, by remote domain: True, False or a StanzaError; L{DIALBACK} by default.
    """

    def __init__(self, *domains: str, clock: Clock | None = None) -> None:
        self.clock: Any = clock or Clock()
        self.entropy: Any = CountingEntropy()
        self.limits: Any = Limits()
        self.bidi = False
        self.domains = set(domains)
        self.denied: dict[str, str] = {}
        self.plain = False
        self.dialsBack = True
        self.verdicts: dict[str, FakeVerdict] = {}
        self.otherwise = NOTHING
        self.answers: dict[str, Any] = {}
        self.asked: list[tuple[str, str, str, str]] = []
        self.mayAnswerThere = True
        self.proving: Deferred[Any] | None = None
        self.failures = 0
        self.heard: list[tuple[str, str]] = []
        self.spoken: list[tuple[str, str]] = []
        self.stanzas: list[Stanza] = []
        self.back: list[Stanza] = []
        self.over: list[ServerStream] = []
        self.gone: list[ServerStream] = []

    def isOurs(self, domain: str) -> bool:
        """See Premises."""
        return domain in self.domains

    def refusal(self, remote: str) -> str | None:
        """See Premises."""
        return self.denied.get(remote)

    def requiresTLS(self, remote: str) -> bool:
        """See Premises."""
        return not self.plain

    def mayDialBack(self, remote: str) -> bool:
        """See Premises."""
        return self.dialsBack

    def prove(self, stream: ServerStream, remote: str) -> Deferred[Any]:
        """See Premises."""
        if self.proving is not None:
            return self.proving
        return succeed(self.verdicts.get(remote, self.otherwise))

    def mayAnswer(self, stream: ServerStream, remote: str) -> Deferred[bool]:
        """See Premises."""
        return succeed(self.mayAnswerThere)

    def key(self, receiving: str, originating: str, id: str) -> str:
        """See Premises."""
        return makeKey(b"secret", receiving, originating, id)

    def isKey(self, receiving: str, originating: str, id: str, key: str) -> bool:
        """See Premises."""
        return isKey(b"secret", receiving, originating, id, key)

    def verify(self, stream: ServerStream, local: str, remote: str, id: str, key: str) -> Deferred[Any]:
        """See Premises."""
        self.asked.append((local, remote, id, key))
        answer = self.answers.get(remote, isKey(b"secret", local, remote, id, key))
        if isinstance(answer, Deferred):
            return answer
        if isinstance(answer, StanzaError):
            return fail(answer)
        return succeed(DIALBACK if answer else NOTHING)

    def mayAuthenticate(self, address: str) -> bool:
        """See Premises."""
        return self.failures < 30

    def authenticationFailed(self, address: str) -> None:
        """See Premises."""
        self.failures += 1

    def hears(self, stream: ServerStream, local: str, remote: str) -> None:
        """See Premises."""
        self.heard.append((local, remote))

    def speaks(self, stream: ServerStream, local: str, remote: str) -> None:
        """See Premises."""
        self.spoken.append((local, remote))

    def received(self, stream: ServerStream, stanza: Stanza) -> None:
        """See Premises."""
        self.stanzas.append(stanza)

    def returned(self, stanza: Stanza) -> None:
        """See Premises."""
        self.back.append(stanza)

    def resigned(self, stream: ServerStream) -> None:
        """See Premises."""
        self.gone.append(stream)

    def ended(self, stream: ServerStream) -> None:
        """See Premises."""
        self.over.append(stream)


class End:
    """
    One end of a wire, as a transport.

    @ivar written: what waits for the other end.
    @ivar all: everything that was ever written.
    """

    address = "192.0.2.9"
    port = 5269

    def __init__(self) -> None:
        self.written = b""
        self.all = b""
        self.secure = False
        self.closed = False
        self.certificate = True
        self.paused = 0

    def write(self, data: bytes) -> None:
        """Keep it."""
        self.written += data
        self.all += data

    def take(self) -> bytes:
        """What waits."""
        taken, self.written = self.written, b""
        return taken

    def startTLS(self, domain: str) -> None:
        """Note it."""
        self.secure = True

    def canStartTLS(self, domain: str) -> bool:
        """As told."""
        return self.certificate and not self.secure

    def loseConnection(self) -> None:
        """Note it."""
        self.closed = True

    abortConnection = loseConnection

    def pauseReading(self) -> None:
        """Count."""
        self.paused += 1

    def resumeReading(self) -> None:
        """Count."""
        self.paused -= 1

    def unsent(self) -> int:
        """Nothing."""
        return 0


FACTS = TLSFacts("TLSv1.3", "TLS_AES_128_GCM_SHA256")


class Pair:
    """
    An outgoing stream of ours and the incoming one of theirs.

    @ivar chunk: how many bytes go at a time; 0 for all.
    """

    def __init__(self, chunk: int = 0, direct: bool = False, tryTLS: bool = True) -> None:
        clock = Clock()
        self.clock = clock
        self.chunk = chunk
        self.us = FakePremises(OURS, "rooms." + OURS, clock=clock)
        self.them = FakePremises(THEIRS, "rooms." + THEIRS, clock=clock)
        self.us.otherwise = DIALBACK
        self.direct = direct
        self.tryTLS = tryTLS
        self.left, self.right = End(), End()
        self.failed: list[Any] = []

    def connect(self) -> Pair:
        """Make both streams and begin."""
        self.out = OutgoingStream(self.left, self.us, OURS, THEIRS, self.tryTLS)  # type: ignore[arg-type]
        self.into = IncomingStream(self.right, self.them)  # type: ignore[arg-type]
        self.out.opened.addErrback(lambda failure: self.failed.append(failure.value))
        if self.direct:
            self.left.secure = self.right.secure = True
            self.into.secured(FACTS)
            self.out.secured(FACTS)
        else:
            self.out.begin()
        return self.pump()

    def pump(self) -> Pair:
        """Let everything arrive."""
        for _ in range(100):
            one, other = self.left.take(), self.right.take()
            if not one and not other:
                break
            self._feed(self.into, one)
            self._feed(self.out, other)
            if self.left.secure and self.right.secure and self.out.tls is None:
                self.into.secured(FACTS)
                self.out.secured(FACTS)
        return self

    def _feed(self, stream: ServerStream, data: bytes) -> None:
        size = self.chunk or len(data) or 1
        for start in range(0, len(data), size):
            stream.dataReceived(data[start : start + size])

    def authorise(self, local: str = OURS) -> list[Any]:
        """Ask to be allowed to send; None or the error, if there is an answer."""
        answers: list[Any] = []
        self.out.authorise(local).addCallbacks(answers.append, lambda failure: answers.append(failure.value))
        self.pump()
        return answers


def refused(condition: StanzaCondition) -> StanzaError:
    """A reason."""
    return StanzaError(condition)
