"""
The Extensible SASL Profile on a client's stream (XEP-0388): a login that negotiates more along with itself, without a
restart of the stream.

Theory of operation: a L{Login} is an L{Attempt} that is told in other words, and that goes on when the mechanism is
satisfied: first come the tasks that the client has asked for (XEP-0480), each a C{<continue/>}, a C{<next/>} and
C{<task-data/>} both ways; then the features of the host that are negotiated inline (L{ILoginFeature}) act one after the
other, each seeing what those before have done; then C{<success/>} says all of it at once, and the features of the
stream that now is follow. From C{<authenticate/>} to the answer the stream takes nothing but what belongs to the
exchange.

A login that fails after the client was authenticated, because what it wants along with it can't be had, ends the
stream: there would be no way back to an unauthenticated one.

Left out: TLS early data, which no listener takes (section 3).
"""

from __future__ import annotations

from collections.abc import Sequence

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from zope.interface import implementer

from xmppd.auth.negotiation import ATTEMPT, Attempt, SASLNegotiation, failed
from xmppd.auth.request import Request
from xmppd.auth.upgrade import UPGRADES, Upgrade, upgradesDue
from xmppd.ixmppd import (
    IAccount,
    IClientStream,
    IHost,
    ILogin,
    ISession,
    IStreamFeature,
    StoreUnavailable,
)
from xmppd.sasl.credentials import HashedToken
from xmppd.sasl.encoding import decodeElement, encodeElement
from xmppd.sasl.offer import Facts, create, createToken, offered, offeredTokens
from xmppd.sasl.steps import Mechanism, Step, Verify, malformed
from xmppd.wire import ns
from xmppd.wire.element import Element, escapeText
from xmppd.wire.errors import SASLCondition, SASLError, StreamCondition, StreamError
from xmppd.wire.jid import JID, JIDMalformed, parse
from xmppd.wire.stanza import Stanza

log = Logger(namespace="xmppd.auth")

AUTHENTICATE = ns.SASL2 + " authenticate"
RESPONSE = ns.SASL2 + " response"
ABORT = ns.SASL2 + " abort"
NEXT = ns.SASL2 + " next"
TASK_DATA = ns.SASL2 + " task-data"

EXCHANGE = frozenset({RESPONSE, ABORT})
"""What may come while a mechanism is at work (section 2.4)."""

TASK = frozenset({NEXT, TASK_DATA, ABORT})
"""What may come while tasks are to be done."""

LOOPBACK = frozenset({"127.0.0.1", "::1"})
"""Addresses of this machine."""


def failure(error: SASLError) -> bytes:
    """A C{<failure/>} (section 2.6.2)."""
    text = "" if error.text is None else f"<text>{escapeText(error.text)}</text>"
    return f"<failure xmlns='{ns.SASL2}'><{error.condition} xmlns='{ns.SASL}'/>{text}</failure>".encode()


def claimed(stream: IClientStream) -> JID | None:
    """Who the client says it is in its stream header, or None; a text that is no address is nobody's."""
    try:
        return parse(stream.sender).toBare() if stream.sender else None
    except JIDMalformed:
        return None


@implementer(IStreamFeature)
class ExtensibleSASL:
    """The stream feature of one host."""

    names = (AUTHENTICATE, RESPONSE, ABORT, NEXT, TASK_DATA)
    requires: frozenset[str] = frozenset()
    forbids = frozenset({"authenticated"})
    rank = 19

    def __init__(self, common: SASLNegotiation) -> None:
        """
        @param common: the feature of the older profile, which knows what can be offered.
        """
        self.common = common
        self.host = common.host
        self._offers: dict[object, bytes] = {}

    # --- offering

    def allowed(self, stream: IClientStream) -> bool:
        """
        Whether the stream is protected (section 3). Where TLS isn't required a connection that doesn't leave this
        machine is.
        """
        return "tls" in stream.facts or (self.common.allowed(stream) and stream.address in LOOPBACK)

    def tokenMechanisms(self, stream: IClientStream) -> list[str]:
        """The mechanisms for tokens that a stream offers."""
        return offeredTokens(self.common.factsOf(stream)) if self.host.inline.tokens is not None else []

    def advertise(self, stream: IClientStream) -> bytes:
        """See L{IStreamFeature} (section 2.1)."""
        if not self.allowed(stream):
            return b""
        facts, inline = self.common.factsOf(stream), self.host.inline
        key = (
            facts.accounts,
            facts.guests,
            facts.secured,
            facts.plainWithoutTLS,
            facts.clientCertificate,
            tuple(facts.channelBindings),
            len(inline.features),
        )
        offer = self._offers.get(key)
        if offer is None:
            offer = self._offers[key] = self._offer(facts)
        return offer

    def _offer(self, facts: Facts) -> bytes:
        """What is advertised where these facts hold; they are few different ones."""
        names = offered(facts)
        if not names:
            return b""
        inline = self.host.inline
        parts = [b"" if inline.tokens is None else inline.tokens.advertise(offeredTokens(facts))]
        parts += [feature.offer() for feature in inline.features]
        mechanisms = "".join(f"<mechanism>{name}</mechanism>" for name in names)
        tasks = UPGRADES if facts.accounts else ()
        upgrades = "".join(f"<upgrade xmlns='{ns.SASL_UPGRADE}'>{name}</upgrade>" for name in tasks)
        inner = b"".join(parts)
        return (
            f"<authentication xmlns='{ns.SASL2}'>{mechanisms}".encode()
            + (b"<inline>" + inner + b"</inline>" if inner else b"")
            + f"{upgrades}</authentication>".encode()
        )

    # --- driving

    def negotiate(self, stream: IClientStream, stanza: Stanza) -> None:
        """See L{IStreamFeature}."""
        attempt = stream.slots.get(ATTEMPT)
        try:
            if stanza.name == AUTHENTICATE:
                if attempt is not None:
                    raise malformed("Another login is under way; abort it first.")
                self._begin(stream, stanza)
            elif not isinstance(attempt, Login):
                raise malformed("No mechanism was chosen.")
            elif stanza.name == ABORT:
                raise SASLError(SASLCondition.ABORTED)
            else:
                attempt.received(stanza)
        except SASLError as error:
            attempt = stream.slots.get(ATTEMPT)
            if isinstance(attempt, Login):
                attempt.failed(error)
            else:
                failed(stream, attempt, error, failure(error))

    def _begin(self, stream: IClientStream, stanza: Stanza) -> None:
        """A mechanism was chosen (section 2.3)."""
        if not self.allowed(stream):
            raise SASLError(SASLCondition.ENCRYPTION_REQUIRED)
        self.common.check(stream)
        sender = claimed(stream)
        if sender is not None and sender.domain != self.host.domain:
            raise StreamError(StreamCondition.INVALID_FROM)
        request = Request.read(stanza.element())
        login = stream.slots[ATTEMPT] = Login(self, stream, self._create(stream, request), request)
        stream.only = EXCHANGE
        login.step(login.mechanism.start(request.initial))

    def _create(self, stream: IClientStream, request: Request) -> Mechanism:
        facts = self.common.factsOf(stream)
        if not request.hasToken:
            return create(request.mechanism, facts)
        if self.host.inline.tokens is None:
            raise SASLError(SASLCondition.INVALID_MECHANISM, "Tokens are not taken here.")
        if request.agent.id is None:
            raise malformed("A client that shows a token has to say which client it is.")
        return createToken(request.mechanism, facts)


@implementer(ILogin)
class Login(Attempt):
    """
    One attempt at this profile. See L{ILogin}.

    @ivar over: whether the client has had its answer.
    """

    def __init__(self, feature: ExtensibleSASL, stream: IClientStream, mechanism: Mechanism, request: Request) -> None:
        super().__init__(feature.common, stream, mechanism)
        self.agent = request.agent
        self.request: Element = request.element
        self.tokenMechanisms: Sequence[str] = feature.tokenMechanisms(stream)
        self.session: ISession | None = None
        self.over = False
        self._host: IHost = feature.host
        self._iterations: int = feature.common.passwords.iterations
        self._wanted = request.upgrades
        self._upgrades: list[Upgrade] = []
        self._asked = False
        self._data: bytes | None = None
        self._results: list[bytes] = []

    @property
    def token(self) -> object:
        """See L{ILogin}."""
        return getattr(self.credentials, "match", None)

    # --- the exchange

    def step(self, step: Step) -> None:
        """See L{Attempt}; a token is one client's."""
        if isinstance(step, Verify) and isinstance(step.credentials, HashedToken):
            step.credentials.agent = self.agent.id or ""
        super().step(step)

    def received(self, stanza: Stanza) -> None:
        """An element of the exchange. Raises L{SASLError}."""
        if stanza.name == RESPONSE:
            if self._upgrades:
                raise malformed("There was no challenge to respond to.")
            self.step(self.mechanism.respond(decodeElement(stanza.element().text)))
        elif not self._upgrades:
            raise malformed("There is no task to be done.")
        elif stanza.name == NEXT:
            self._chosen(stanza)
        else:
            self._answered(stanza.element())

    def challenge(self, data: bytes) -> None:
        """See L{Attempt} (section 2.5)."""
        self.stream.write(f"<challenge xmlns='{ns.SASL2}'>{encodeElement(data)}</challenge>".encode())

    def failed(self, error: SASLError) -> None:
        """See L{Attempt} (section 2.6.2)."""
        stream = self.stream
        stream.only = None
        if "authenticated" in stream.facts:
            self._undone(error)
            return
        account, stream.account = stream.account, None
        if account is not None:
            account.logout()
        failed(stream, self, error, failure(error))

    def broken(self) -> None:
        """See L{Attempt}: a session that nobody has heard of ends."""
        session, self.session = self.session, None
        if session is not None and not self.over:
            session.end(StreamError(StreamCondition.INTERNAL_SERVER_ERROR))

    def _undone(self, error: SASLError) -> None:
        """What the client wants along with its login can't be had."""
        log.info("login failed: jid={jid} reason={reason}", jid=self.account.jid.bare, reason=str(error))
        session, self.session = self.session, None
        self.stream.release(failure(error))
        if session is not None:
            session.end()
        self.stream.close()

    # --- tasks

    async def succeeded(self, account: IAccount, data: bytes | None) -> None:
        """See L{Attempt}."""
        stream = self.stream
        self.account = stream.account = account
        self._data = data
        self._checkClaim()
        if self._wanted:
            self._upgrades = await upgradesDue(
                self._host, self._wanted, account.jid.bare, self.credentials, self._iterations
            )
        await self._goOn()

    def _checkClaim(self) -> None:
        """Who asks for an identity is who the stream header says (section 2.3). Raises L{SASLError}."""
        if getattr(self.credentials, "authzid", None) and self.stream.sender:
            if claimed(self.stream) != self.account.jid:
                raise SASLError(SASLCondition.INVALID_AUTHZID)

    async def _goOn(self) -> None:
        """The next task, or the end."""
        if self.stream.closed:
            return
        if not self._upgrades:
            await self._finish()
            return
        data = self._additional()
        self._data, self._asked = None, False
        self.stream.only = TASK
        task = f"<tasks><task>{self._upgrades[0].name}</task></tasks>"
        self.stream.write(f"<continue xmlns='{ns.SASL2}'>{data}{task}</continue>".encode())

    def _chosen(self, stanza: Stanza) -> None:
        """The client begins a task (section 2.6.3). Raises L{SASLError}."""
        task = self._upgrades[0]
        if self._asked or stanza.attrs.get("task") != task.name:
            raise malformed("This is not the task.")
        self._asked = True
        self.stream.write(f"<task-data xmlns='{ns.SASL2}'>".encode() + task.question() + b"</task-data>")

    def _answered(self, element: Element) -> None:
        """The client's part of a task. Raises L{SASLError}."""
        if not self._asked:
            raise malformed("The task has to be chosen first.")
        self.wait(Deferred.fromCoroutine(self._upgrade(element)))

    async def _upgrade(self, element: Element) -> None:
        task = self._upgrades[0]
        keys = task.answer(element)
        try:
            await task.settle(self._host, keys)
        except StoreUnavailable:
            log.warn("keys of {jid} could not be added", jid=self.account.jid.bare)
        del self._upgrades[0]
        await self._goOn()

    # --- the end

    async def _finish(self) -> None:
        """Negotiate what comes along with the login, and say so."""
        stream = self.stream
        stream.slots.pop(ATTEMPT, None)
        stream.only = None
        stream.authenticated(self.account, self.mechanism.name, restart=False)
        self.tell(self.account)
        if not await self._negotiated():
            return
        self.over = True
        session = self.session
        success = self._success(self.account.jid.bare if session is None else session.full)
        if session is not None:
            stream.established(session)
        stream.release(success, stream.features())

    async def _negotiated(self) -> bool:
        """Negotiate; answers whether the client is still to be told. A session nobody has heard of ends."""
        stream = self.stream
        try:
            for feature in self._host.inline.features:
                self._results.append(await feature.negotiate(self))
                if stream.closed or self.over:
                    break
        finally:
            if stream.closed and not self.over and self.session is not None:
                self.session.end()
        return not stream.closed and not self.over

    def resumed(self, session: ISession, element: bytes) -> bytes:
        """See L{ILogin}."""
        self.over = True
        self.session = session
        self._results.append(element)
        return self._success(session.full)

    def _success(self, identity: str) -> bytes:
        """A C{<success/>} (section 2.6.1)."""
        named = f"<authorization-identifier>{escapeText(identity)}</authorization-identifier>"
        return b"".join(
            (f"<success xmlns='{ns.SASL2}'>{self._additional()}{named}".encode(), *self._results, b"</success>")
        )

    def _additional(self) -> str:
        """What the mechanism wants the client to be told."""
        return "" if self._data is None else f"<additional-data>{encodeElement(self._data)}</additional-data>"
