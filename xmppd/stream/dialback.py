"""
Server Dialback on one stream (XEP-0220), in its three roles.

    - As I{initiating} server we send a key for a pair of domains (L{Dialback.request}) and wait for the word that it
      holds.
    - As I{receiving} server we get one, and have the server that is responsible for the sender's domain asked, over
      another stream; unless the peer's certificate has told already who it is (XEP-0344 section 2.4).
    - As I{authoritative} server we are asked whether a key is ours. Keys are made of the pair, the id of the stream and
      a secret (XEP-0185), so nothing has to be remembered for that.

All may happen on one stream many times, for other pairs (piggybacking); each pair is proven for itself. Results are
told as dialback errors and not as stream errors wherever XEP-0220 section 2.5 has one for them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from xmppd.wire import ns
from xmppd.wire.element import escapeAttribute, escapeText
from xmppd.wire.errors import StanzaCondition, StanzaError, StreamCondition, StreamError
from xmppd.wire.jid import JIDMalformed, prepareDomain
from xmppd.wire.stanza import Stanza

if TYPE_CHECKING:
    from xmppd.stream.s2s import ServerStream, Verdict

log = Logger(namespace="xmppd.s2s")

RESULT: Final = ns.DIALBACK + " result"
VERIFY: Final = ns.DIALBACK + " verify"

PENDING: Final = 20
"""How many keys of one stream may wait to be verified."""

PAIRS: Final = 1000
"""For how many pairs of domains one stream may be used."""

LONGEST_KEY: Final = 1024
"""The longest key that is looked at, in characters."""

LONGEST_ID: Final = 1024
"""The longest id of a stream that is."""

REASONS: Final = {
    StanzaCondition.ITEM_NOT_FOUND: "the domain isn't served here",
    StanzaCondition.NOT_ALLOWED: "nothing is exchanged with that domain",
    StanzaCondition.POLICY_VIOLATION: "the stream isn't encrypted, and the policy asks for it",
    StanzaCondition.RESOURCE_CONSTRAINT: "too many proofs from that address have failed",
}
"""What is logged about keys that aren't looked at."""

OURS: Final = frozenset({StanzaCondition.INTERNAL_SERVER_ERROR, StanzaCondition.RESOURCE_CONSTRAINT})
"""Why a key couldn't be verified if that isn't its sender's fault."""

Pair = tuple[str, str]


def element(name: str, local: str, remote: str, id: str | None, type: str | None, inner: str) -> bytes:
    """A dialback element from C{local} to C{remote}, for a stream that binds the prefix C{db}."""
    attrs = [("from", local), ("to", remote), ("id", id), ("type", type)]
    written = "".join(f" {key}='{escapeAttribute(value)}'" for key, value in attrs if value is not None)
    return (f"<db:{name}{written}>{inner}</db:{name}>" if inner else f"<db:{name}{written}/>").encode()


class Dialback:
    """What is being negotiated by dialback on one stream."""

    def __init__(self, stream: ServerStream) -> None:
        self._stream = stream
        self._requests: dict[Pair, Deferred[None]] = {}
        self._questions: dict[tuple[str, str, str], Deferred[bool]] = {}
        self._verifying: set[Pair] = set()

    # --- what we ask

    def request(self, local: str, remote: str) -> Deferred[None]:
        """
        Ask to be allowed to send stanzas from one of our domains to a remote one.

        Fails with StanzaError: it was refused, or took too long.
        """
        if (local, remote) in self._requests:
            return askedAlready()
        stream = self._stream
        answer = self._requests[local, remote] = self._limited(self._requests, (local, remote))
        key = stream.premises.key(remote, local, stream.id)
        stream.write(element("result", local, remote, None, None, key))
        return answer

    def ask(self, local: str, remote: str, id: str, key: str) -> Deferred[bool]:
        """
        Ask whether a key for a stream from C{remote} to C{local} is good.

        Fails with StanzaError: the peer can't tell, or took too long.
        """
        question = (local, remote, id)
        if question in self._questions:
            return askedAlready()
        answer = self._questions[question] = self._limited(self._questions, question)
        self._stream.write(element("verify", local, remote, id, None, escapeText(key)))
        return answer

    def _limited(self, table: dict[Any, Deferred[Any]], key: Any) -> Deferred[Any]:
        """A Deferred that fails if nothing is heard for too long; then, as when it fires, it leaves its table."""
        stream = self._stream
        answer: Deferred[Any] = Deferred()
        stream.used = stream.clock.seconds()
        late = StanzaError(StanzaCondition.REMOTE_SERVER_TIMEOUT, "Dialback was not answered.")
        call = stream.clock.callLater(stream.premises.limits.answerSeconds, answer.errback, late)

        def settled(result: Any) -> Any:
            table.pop(key, None)
            if call.active():
                call.cancel()
            return result

        return answer.addBoth(settled)

    def ended(self, error: StanzaError) -> None:
        """The stream is over: what was asked won't be answered."""
        waiting: list[Deferred[Any]] = [*self._requests.values(), *self._questions.values()]
        for answer in waiting:
            answer.errback(error)

    # --- what comes

    def received(self, stanza: Stanza) -> None:
        """
        A C{<db:result/>} or C{<db:verify/>}.

        @raise StreamError: it is not addressed as it has to be.
        """
        try:
            remote, local = (prepareDomain(stanza.attrs.get(each, "")) for each in ("from", "to"))
        except JIDMalformed:
            raise StreamError(StreamCondition.IMPROPER_ADDRESSING, "Dialback needs two domains.") from None
        type = stanza.attrs.get("type")
        if stanza.name == RESULT:
            if type is None:
                self._claimed(stanza, local, remote)
            else:
                self._allowed(stanza, local, remote, type)
        elif type is None:
            self._asked(stanza, local, remote)
        else:
            self._told(stanza, local, remote, type)

    # --- as receiving server

    def _claimed(self, stanza: Stanza, local: str, remote: str) -> None:
        """The peer wants to send stanzas for a pair (XEP-0220 section 2.2.1)."""
        stream = self._stream
        if not stream.mayHear():
            return
        condition = self._refusal(local, remote)
        if condition is not None:
            log.info(
                "s2s not heard: local={local} remote={remote} reason={reason} address={address} stream={id}",
                local=local,
                remote=remote,
                reason=REASONS[condition],
                address=stream.address,
                id=stream.id,
            )
            self._refuse(local, remote, condition)
        elif (remote, local) in stream.heard:
            self._result(local, remote, "valid")
        elif (remote, local) in self._verifying:
            pass  # it will be answered
        elif len(self._verifying) >= PENDING:
            self._refuse(local, remote, StanzaCondition.RESOURCE_CONSTRAINT)
        else:
            self._verifying.add((remote, local))
            key = stanza.element().text.strip()
            judged = stream.premises.prove(stream, remote)
            judged.addCallback(self._judged, local, remote, stream.id, key)
            judged.addErrback(self._unsettled, local, remote)

    def _refusal(self, local: str, remote: str) -> StanzaCondition | None:
        """Why a pair can't be had, whatever the key (XEP-0220 section 2.5)."""
        premises = self._stream.premises
        if not premises.isOurs(local):
            return StanzaCondition.ITEM_NOT_FOUND
        if premises.isOurs(remote) or premises.refusal(remote) is not None:
            return StanzaCondition.NOT_ALLOWED
        if self._stream.tls is None and premises.requiresTLS(remote):
            return StanzaCondition.POLICY_VIOLATION
        if not premises.mayAuthenticate(self._stream.address):
            return StanzaCondition.RESOURCE_CONSTRAINT
        return None

    def _judged(self, verdict: Verdict, local: str, remote: str, id: str, key: str) -> Deferred[Any] | None:
        """It is known what the certificate proves; if that is nothing, the key has to."""
        stream = self._stream
        if stream.closed:
            return None
        if verdict.authenticated:
            return self._hear(local, remote, verdict)
        if not stream.premises.mayDialBack(remote):
            self._verifying.discard((remote, local))
            log.info("s2s not heard: {verdict}", verdict=verdict.summary(), stream=stream.id)
            self._refuse(local, remote, StanzaCondition.NOT_AUTHORIZED)
        elif not key or len(key) > LONGEST_KEY:
            self._invalid(local, remote)
        else:
            asked = stream.premises.verify(stream, local, remote, id, key)
            return asked.addCallback(self._verified, local, remote)
        return None

    def _verified(self, verdict: Verdict, local: str, remote: str) -> Deferred[None] | None:
        """The authoritative server has spoken."""
        if self._stream.closed:
            return None
        if verdict.accepted:
            return self._hear(local, remote, verdict)
        if verdict.notice:
            self._verifying.discard((remote, local))
            log.info("s2s not heard: {verdict}", verdict=verdict.summary(), stream=self._stream.id)
            self._refuse(local, remote, StanzaCondition.NOT_AUTHORIZED, verdict.notice)
        else:
            self._invalid(local, remote)
        return None

    def _invalid(self, local: str, remote: str) -> None:
        """The key is wrong: somebody else's, or its sender is set up wrongly (section 2.2.1)."""
        stream = self._stream
        self._verifying.discard((remote, local))
        stream.premises.authenticationFailed(stream.address)
        log.warn(
            "authentication failed: address={address} domain={domain} mechanism=dialback user={remote!r}"
            " reason=the key is not of that domain",
            address=stream.address,
            domain=local,
            remote=remote,
            stream=stream.id,
        )
        if stream.heard or stream.spoken:
            self._refuse(local, remote, StanzaCondition.FORBIDDEN)
        else:
            self._result(local, remote, "invalid")
            stream.close()

    def _hear(self, local: str, remote: str, verdict: Verdict) -> Deferred[None] | None:
        """A pair is proved; what is for that domain goes the same way if both sides want that, and it may."""
        stream = self._stream
        if len(stream.heard) >= PAIRS:
            self._verifying.discard((remote, local))
            self._refuse(local, remote, StanzaCondition.RESOURCE_CONSTRAINT)
            return None
        if stream.bidi and (local, remote) not in stream.spoken:
            asked = stream.premises.mayAnswer(stream, remote)
            return asked.addCallback(self._answers, local, remote, verdict)
        self._answers(False, local, remote, verdict)
        return None

    def _answers(self, speaks: bool, local: str, remote: str, verdict: Verdict) -> None:
        stream = self._stream
        self._verifying.discard((remote, local))
        if stream.closed:
            return
        stream.mechanism = stream.mechanism or "dialback"
        stream.verdict = stream.verdict if stream.verdict is not None and stream.verdict.accepted else verdict
        self._result(local, remote, "valid")
        stream.nowHears(local, remote, verdict)
        if speaks and (local, remote) not in stream.spoken:
            stream.nowSpeaks(local, remote)

    def _unsettled(self, failure: Failure, local: str, remote: str) -> None:
        """
        The authoritative server could not be asked. That counts as a proof that failed: who sends keys of servers that
        aren't there has us call wherever it likes.
        """
        stream = self._stream
        self._verifying.discard((remote, local))
        error = failure.value
        if not isinstance(error, StanzaError):
            log.failure("stream {id}: dialback failed", failure, id=stream.id)
            error = StanzaError(StanzaCondition.INTERNAL_SERVER_ERROR)
        if error.condition not in OURS:
            stream.premises.authenticationFailed(stream.address)
        if not stream.closed:
            log.info(
                "s2s not heard: local={local} remote={remote} reason={reason} address={address} stream={id}",
                local=local,
                remote=remote,
                reason=str(error),
                address=stream.address,
                id=stream.id,
            )
            condition = StanzaCondition(error.condition)
            self._refuse(
                local,
                remote,
                condition
                if condition in OURS or condition is StanzaCondition.REMOTE_SERVER_TIMEOUT
                else StanzaCondition.REMOTE_SERVER_NOT_FOUND,
            )

    def _result(self, local: str, remote: str, type: str, inner: str = "") -> None:
        self._stream.write(element("result", local, remote, None, type, inner))

    def _refuse(self, local: str, remote: str, condition: StanzaCondition, reason: str | None = None) -> None:
        self._result(local, remote, "error", StanzaError(condition, reason).toBytes().decode())

    # --- as initiating server

    def _allowed(self, stanza: Stanza, local: str, remote: str, type: str) -> None:
        """The answer to a key of ours. One nobody has asked for is nothing (XEP-0220 section 3.1)."""
        answer = self._requests.get((local, remote))
        if answer is None:
            return
        if type == "valid":
            answer.callback(None)
        elif type == "invalid":
            reason = "The other server takes us for somebody else (dialback: invalid)."
            answer.errback(StanzaError(StanzaCondition.INTERNAL_SERVER_ERROR, reason))
        else:
            reason = f"The other server could not verify who we are (dialback: {conditionOf(stanza)})."
            answer.errback(StanzaError(StanzaCondition.REMOTE_SERVER_TIMEOUT, reason))

    # --- as authoritative server

    def _asked(self, stanza: Stanza, local: str, remote: str) -> None:
        """Whether a key is ours (XEP-0220 section 2.2.2)."""
        stream = self._stream
        id = stanza.attrs.get("id", "")
        if not id or len(id) > LONGEST_ID:
            raise StreamError(StreamCondition.BAD_FORMAT, "Which stream is that key for?")
        if not stream.premises.isOurs(local):
            error = StanzaError(StanzaCondition.ITEM_NOT_FOUND)
        elif stream.tls is None and stream.premises.requiresTLS(remote):
            error = StanzaError(StanzaCondition.POLICY_VIOLATION)
        else:
            good = stream.premises.isKey(remote, local, id, stanza.element().text)
            stream.write(element("verify", local, remote, id, "valid" if good else "invalid", ""))
            return
        stream.write(element("verify", local, remote, id, "error", error.toBytes().decode()))

    def _told(self, stanza: Stanza, local: str, remote: str, type: str) -> None:
        """The answer to a question of ours; any other is dropped."""
        answer = self._questions.get((local, remote, stanza.attrs.get("id", "")))
        if answer is None:
            return
        if type in ("valid", "invalid"):
            answer.callback(type == "valid")
        else:
            reason = f"The server of {remote} can't verify a key (dialback: {conditionOf(stanza)})."
            answer.errback(StanzaError(StanzaCondition.REMOTE_SERVER_NOT_FOUND, reason))


def askedAlready() -> Deferred[Any]:
    """What somebody hears who asks for what is being asked for."""
    answer: Deferred[Any] = Deferred()
    answer.errback(StanzaError(StanzaCondition.REMOTE_SERVER_TIMEOUT, "The other server hasn't answered yet."))
    return answer


def conditionOf(stanza: Stanza) -> str:
    """The condition in a dialback error."""
    for error in stanza.elements():
        for child in error.children:
            if not isinstance(child, str) and child.ns == ns.STANZA_ERRORS and child.name != "text":
                return child.name[:50]
    return "error"
