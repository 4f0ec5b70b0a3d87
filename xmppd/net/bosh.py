"""
BOSH on the web site (XEP-0124, XEP-0206): requests in, sessions of L{xmppd.stream.bosh} found or made, answers out.

Scripts of pages may talk to it from the origins that WebSockets may come from, and are told so in the headers of CORS.
A session's requests have to be encrypted if the first one was, and to come from pages of the same origin: whoever has
got hold of a session's name elsewhere doesn't get in, and can't end it either.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from zope.interface import implementer

from xmppd.ixmppd import IReception, IWebIntake, IWebResource, WebRequest, WebResponse
from xmppd.net.admission import Admission
from xmppd.net.c2s import Pace
from xmppd.net.site import Held, plain
from xmppd.net.turns import Turns
from xmppd.stream.bosh import BoshSession, terminal
from xmppd.stream.boshterms import CONTENT, LAST_RID, Agreed, number
from xmppd.stream.bounds import parserLimits
from xmppd.wire.bosh import BadBody, Body, readBody
from xmppd.wire.element import DEPTH
from xmppd.wire.jid import JIDMalformed, parse
from xmppd.wire.origins import Origins

log = Logger(namespace="xmppd.bosh")

PATH: Final = "/http-bind"

METHODS: Final = "POST, OPTIONS"


def corsHeaders(request: WebRequest) -> dict[str, str]:
    """What a browser wants to know to let a page see the answer (the CORS protocol of the Fetch standard)."""
    headers = {"Vary": "Origin"}
    origin = request.headers.get("origin")
    if origin is not None:
        headers["Access-Control-Allow-Origin"] = origin
    return headers


class _Pending:
    """
    A request that waits for its answer.
    """

    def __init__(self, headers: Mapping[str, str]) -> None:
        self.session: BoshSession | None = None
        self._headers = {"Content-Type": CONTENT, **headers}
        self.held = Held(self._gone)

    def agree(self, content: str) -> None:
        """Answer with another media type."""
        self._headers["Content-Type"] = content

    def answer(self, body: bytes, status: int = 200) -> None:
        """See L{xmppd.stream.bosh.Answerable}."""
        self.session = None
        if not self.held.called:
            self.held.callback(WebResponse(status, self._headers, body))

    def _gone(self, held: Deferred[Any]) -> None:
        """The connection is gone."""
        session, self.session = self.session, None
        if session is not None:
            session.dropped(self)


@implementer(IWebIntake)
class _Intake:
    """
    Takes the body of one request.
    """

    def __init__(self, bosh: Bosh, request: WebRequest, most: int) -> None:
        self._bosh = bosh
        self._request = request
        self._most = most
        self._data = bytearray()

    def received(self, data: bytes) -> WebResponse | None:
        """See L{IWebIntake}."""
        self._data += data
        if len(self._data) > self._most:
            return plain(413, corsHeaders(self._request))
        return None

    def finished(self) -> WebResponse | Deferred[WebResponse]:
        """See L{IWebIntake}."""
        return self._bosh.act(self._request, bytes(self._data))

    def aborted(self) -> None:
        """See L{IWebIntake}."""


@implementer(IWebResource)
class Bosh:
    """
    All sessions.

    @ivar sessions: those that last, by their names.
    """

    def __init__(
        self, reception: IReception, admission: Admission, turns: Turns, connections: set[Any], origins: Origins
    ) -> None:
        """
        @param connections: where those of all clients are; sessions are among them, and counted like them.
        """
        self.sessions: dict[str, BoshSession] = {}
        self._reception = reception
        self._admission = admission
        self._turns = turns
        self._connections = connections
        self._origins = origins
        self._pageOf: dict[str, str | None] = {}

    def respond(self, request: WebRequest) -> Any:
        """See L{IWebResource}."""
        if request.path != PATH:
            return None
        origin = request.headers.get("origin")
        if not self._origins.allow(origin):
            log.info("refused: address={address} origin={origin!r}", address=request.address, origin=origin)
            return plain(403)
        headers = corsHeaders(request)
        if request.method == "OPTIONS":
            allowed = {"Access-Control-Allow-Methods": METHODS, "Access-Control-Allow-Headers": "Content-Type"}
            return WebResponse(204, {**headers, **allowed, "Access-Control-Max-Age": "86400"})
        if request.method != "POST":
            return plain(405, {**headers, "Allow": METHODS})
        limits = self._reception.limits
        most = limits.stanzaBytes + limits.headBytes
        if request.length == 0:
            return self.act(request, b"")
        if request.length is not None and request.length > most:
            return plain(413, headers)
        return _Intake(self, request, most)

    # --- a body

    def act(self, request: WebRequest, data: bytes) -> WebResponse | Deferred[WebResponse]:
        """Act on a whole request."""
        headers = corsHeaders(request)
        try:
            body = readBody(data, parserLimits(self._reception.limits, DEPTH - 1))
        except BadBody as error:
            log.info("bad body: address={address} reason={reason}", address=request.address, reason=str(error))
            return self._ended(headers, "bad-request")
        rid = number(body.attrs.get("rid"))
        if rid is None or not 0 < rid < LAST_RID:
            return self._ended(headers, "bad-request")
        pending = _Pending(headers)
        sid = body.attrs.get("sid")
        if sid is None:
            return self._begin(request, rid, body, pending, headers)
        session = self.sessions.get(sid)
        if session is None or self._pageOf[sid] != request.headers.get("origin"):
            return self._ended(headers, "item-not-found")
        if session.secure and not request.secure:
            log.warn("refused: address={address} reason=not encrypted", address=request.address)
            return plain(403, {**headers, "Connection": "close"})
        pending.agree(session.agreed.content)
        pending.session = session
        self._turns.reading = True
        try:
            session.received(rid, body, pending, len(data))
        finally:
            self._turns.endOfRead()
        return pending.held

    def _ended(self, headers: Mapping[str, str], condition: str) -> WebResponse:
        """There is no session, or none any more."""
        return WebResponse(200, {"Content-Type": CONTENT, **headers}, terminal(condition))

    def _begin(
        self, request: WebRequest, rid: int, body: Body, pending: _Pending, headers: Mapping[str, str]
    ) -> WebResponse | Deferred[WebResponse]:
        """Begin a session (section 7)."""
        to = body.attrs.get("to")
        if not to:
            return self._ended(headers, "improper-addressing")
        if not self._isServed(to):
            return self._ended(headers, "host-unknown")
        agreed = Agreed.on(body.attrs)
        if agreed is None:
            return self._ended(headers, "bad-request")
        refusal = self._admission.connected(request.address)
        if refusal is not None:
            log.info("connection refused: address={address} reason={reason}", address=request.address, reason=refusal)
            return self._ended(headers, "policy-violation")
        sid = self._reception.entropy.token(24)
        session = BoshSession(
            sid,
            agreed,
            request.address,
            request.secure,
            self._reception,
            self._turns.mark,
            self._pace(),
            self._over,
        )
        self.sessions[sid] = session
        self._pageOf[sid] = request.headers.get("origin")
        self._connections.add(session)
        pending.agree(agreed.content)
        pending.session = session
        session.begin(rid, body, pending)
        return pending.held

    def _isServed(self, to: str) -> bool:
        try:
            address = parse(to)
        except JIDMalformed:
            return False
        return address.isDomain and self._reception.host(address.domain) is not None

    def _pace(self) -> Any:
        """Measures what comes in one session."""
        clock = self._reception.clock
        pace = Pace(clock.seconds())

        def spent(octets: int, payloads: int) -> float:
            return pace.spent(self._reception.limits, clock.seconds(), octets, payloads)

        return spent

    def _over(self, session: BoshSession) -> None:
        """A session has ended."""
        self.sessions.pop(session.sid, None)
        self._pageOf.pop(session.sid, None)
        self._connections.discard(session)
        self._admission.disconnected(session.address)
