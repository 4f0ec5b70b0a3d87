"""
What a server-side SASL mechanism asks of the stream that drives it.

Theory of operation
===================

A mechanism does no input or output. The stream calls L{Mechanism.start} once and then does what the answered step
says, until a L{Verify} has been settled:

  - L{Challenge}: send the data, and give the client's answer to L{Mechanism.respond};
  - L{Lookup}: fetch the keys of that user, real or made up, and give them to L{Mechanism.found};
  - L{Verify}: log in with the credentials. If that succeeds, send what L{Mechanism.verified} answers with the
    success; if not, answer C{not-authorized} and forget the mechanism.

Each call is allowed in one L{Stage} only and leaves it at once, so that a mechanism that has raised is over: nobody
gets a second guess against the same challenge.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto

from zope.interface import implementer

from xmppd.ixmppd import ISASLMechanism, StoredKeys
from xmppd.wire.errors import SASLCondition, SASLError

MAX_MESSAGE = 4096
"""The most octets a mechanism reads in one message of the client, after base64."""


@dataclass(frozen=True, slots=True)
class Challenge:
    """Send C{data} to the client in a C{<challenge/>}."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Lookup:
    """
    Fetch the keys of a user and call L{Mechanism.found} with them.

    If there is no such user, or no keys for that hash, give L{xmppd.sasl.keys.fakeKeys} instead, after the same amount
    of work: the client must not see a difference.

    @ivar username: as the client sent it, decoded but not prepared; the caller makes a localpart of it.
    @ivar hashName: "sha1", "sha256" or "sha512".
    """

    username: str
    hashName: str


@dataclass(frozen=True, slots=True)
class Verify:
    """
    Log in with these credentials; on success call L{Mechanism.verified}.

    @ivar credentials: provides one of the interfaces of L{xmppd.sasl.credentials}.
    """

    credentials: object


Step = Challenge | Lookup | Verify


class Stage(Enum):
    """Which call a mechanism waits for."""

    NEW = auto()
    FIRST = auto()
    KEYS = auto()
    FINAL = auto()
    VERDICT = auto()
    OVER = auto()


def malformed(text: str) -> SASLError:
    """A C{malformed-request} (RFC 6120 section 6.5.8), to be raised."""
    return SASLError(SASLCondition.MALFORMED_REQUEST, text)


def readText(data: bytes, most: int = MAX_MESSAGE) -> str:
    """
    The UTF-8 text of a client's message.

    @param most: how many octets it may have.
    @raise SASLError: C{malformed-request} if it is longer, or is not UTF-8.
    """
    if len(data) > most:
        raise malformed("The message is too long.")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        raise malformed("The message is not UTF-8.") from None


@implementer(ISASLMechanism)
class Mechanism:
    """
    One attempt at one mechanism in which the client speaks first (RFC 4422 section 5, item 2a); all of ours are.

    A subclass implements L{first}, which reads the client's first message, and sets C{stage} to what it waits for next.

    @ivar name: the registered name.
    @ivar stage: which call is due.
    @ivar binding: the type of the channel binding that the client uses, or None.
    """

    name: str
    binding: str | None = None

    def __init__(self) -> None:
        self.stage = Stage.NEW

    def start(self, initial: bytes | None) -> Step:
        """
        Begin.

        @param initial: the initial response; None if there was none, which is not the same as an empty one
            (RFC 6120 section 6.4.2).
        @raise SASLError: if it is not what the mechanism expects.
        """
        self.leave(Stage.NEW)
        if initial is None:
            return self.absent()
        return self.first(initial)

    def respond(self, data: bytes) -> Step:
        """
        Go on with the client's answer to a challenge.

        @raise SASLError: if it is not what the mechanism expects, or no answer was due (the client spoke out of turn).
        """
        stage, self.stage = self.stage, Stage.OVER
        if stage is Stage.FIRST:
            return self.first(data)
        if stage is Stage.FINAL:
            return self.final(data)
        raise malformed("There was no challenge to respond to.")

    def found(self, keys: StoredKeys) -> Step:
        """
        Go on with the keys that a L{Lookup} asked for.

        @raise RuntimeError: if none were asked for, or the mechanism has failed in the meantime.
        """
        raise RuntimeError(f"{self.name} asked for no keys")

    def verified(self) -> bytes | None:
        """
        The login succeeded.

        @return: additional data for the success, or None.
        @raise RuntimeError: if there was nothing to verify, or the mechanism has failed in the meantime.
        """
        self.leave(Stage.VERDICT)
        return None

    def absent(self) -> Step:
        """There was no initial response: ask for it by an empty challenge (RFC 4422 section 3)."""
        self.stage = Stage.FIRST
        return Challenge(b"")

    def first(self, data: bytes) -> Step:
        """Read the client's first message. Raises L{SASLError}."""
        raise NotImplementedError(self.name)

    def final(self, data: bytes) -> Step:
        """Read the client's second message, in mechanisms that have one. Raises L{SASLError}."""
        raise NotImplementedError(self.name)

    def leave(self, stage: Stage) -> None:
        """Go from C{stage} to L{Stage.OVER}; a call at any other stage is the caller's mistake."""
        if self.stage is not stage:
            raise RuntimeError(f"{self.name} is at {self.stage.name}, not at {stage.name}")
        self.stage = Stage.OVER

    def verify(self, credentials: object) -> Verify:
        """Wait for the verdict on these credentials."""
        self.stage = Stage.VERDICT
        return Verify(credentials)
