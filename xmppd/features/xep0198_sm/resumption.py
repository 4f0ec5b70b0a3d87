"""
Stream management of one host: enabling it, resuming sessions, and bringing them back after a restart (XEP-0198
sections 3, 5 and 6).

Theory of operation: before a resource is bound this is a stream feature, which can resume and nothing else; afterwards
the session gives it the elements of the namespace. A session that can be resumed is found by its token, and only by
its own account. At start, before anything listens, all saved sessions come back as hibernating ones, with what their
features kept: their presence too, so that nothing has to be told to anybody. Those whose time is over end at once, like
others do. So contacts see nobody for longer than the time of resumption.
"""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Any, Final

from twisted.internet.defer import Deferred, gatherResults, succeed
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from xmppd.features.xep0198_sm.custody import SLOT as CUSTODY_SLOT
from xmppd.features.xep0198_sm.custody import Custodies
from xmppd.features.xep0198_sm.estate import delayed
from xmppd.features.xep0198_sm.management import Management
from xmppd.features.xep0198_sm.queue import Entry, HandledCountTooHigh, HandledCountTooLow, number
from xmppd.features.xep0198_sm.unread import Unread
from xmppd.ixmppd import (
    IAccount,
    IClientStream,
    IHost,
    ISession,
    IStreamFeature,
    ManagedSessionRecord,
    StoreUnavailable,
)
from xmppd.wire import ns
from xmppd.wire.element import Element, escapeAttribute
from xmppd.wire.errors import StanzaCondition, StanzaError, StreamCondition, StreamError
from xmppd.wire.jid import JID, JIDMalformed, parse
from xmppd.wire.stanza import Stanza, fromBytes

log = Logger(namespace="xmppd.sm")

NAME: Final = "xep0198_sm"
ENABLE: Final = f"{ns.STREAM_MANAGEMENT} enable"
RESUME: Final = f"{ns.STREAM_MANAGEMENT} resume"
ADVERTISEMENT: Final = f"<sm xmlns='{ns.STREAM_MANAGEMENT}'/>".encode()
REMEMBERED: Final = 10_000
"""How many sessions that can't be resumed any more are remembered, to tell their clients what was handled."""

TRUE: Final = ("true", "1")


def failed(condition: StanzaCondition, h: int | None = None) -> bytes:
    """A C{<failed/>} (section 6)."""
    count = "" if h is None else f" h='{h}'"
    return (
        f"<failed xmlns='{ns.STREAM_MANAGEMENT}'{count}><{condition} xmlns='{ns.STANZA_ERRORS}'/></failed>"
    ).encode()


@implementer(IAccount)
class RememberedAccount:
    """The avatar of a session that was there before the server was restarted, until its client comes back."""

    anonymous = False

    def __init__(self, jid: JID) -> None:
        self.jid = jid

    def logout(self) -> None:
        """See L{IAccount}: nobody is logged in."""


@implementer(IStreamFeature)
class StreamManagement:
    """
    Stream management of one host.

    @ivar managements: sessions that can be resumed, by token.
    """

    names = (ENABLE, RESUME)
    requires = frozenset({"authenticated"})
    forbids = frozenset({"bound"})
    rank = 40

    def __init__(self, host: IHost) -> None:
        self._host = host
        self.managements: dict[str, Management] = {}
        self._past: OrderedDict[str, tuple[str, int]] = OrderedDict()
        self._departing: dict[str, list[Deferred[None]]] = {}

    def join(self) -> None:
        """Join the host."""
        host = self._host
        host.addStreamFeature(self)
        host.elements.update(
            {
                ENABLE: self.enable,
                RESUME: self.tooLate,
                f"{ns.STREAM_MANAGEMENT} r": self.asked,
                f"{ns.STREAM_MANAGEMENT} a": self.answered,
            }
        )
        host.custody = Custodies(host)
        host.unread = Unread(host, NAME)
        host.hooks.ended.addObserver(self.ended)
        host.hooks.loading.addObserver(self.departed)
        host.hooks.available.addObserver(self.available)
        host.hooks.undeliverable.addChange(self.preceded)
        host.hooks.starting.addObserver(self.restore)
        host.hooks.stopping.addObserver(self.stop)

    # --- before binding

    def advertise(self, stream: IClientStream) -> bytes:
        """See L{IStreamFeature} (section 2)."""
        return ADVERTISEMENT

    def negotiate(self, stream: IClientStream, stanza: Stanza) -> None:
        """See L{IStreamFeature}."""
        if stanza.name == RESUME:
            self.resume(stream, stanza)
        else:
            stream.write(failed(StanzaCondition.UNEXPECTED_REQUEST))

    def resume(self, stream: IClientStream, stanza: Stanza) -> None:
        """A client wants its session back (section 5)."""
        resumed = self.resumption(stream, stanza.attrs, lambda session, element: element)
        stream.waitFor(Deferred.fromCoroutine(resumed).addCallback(self._answer, stream))

    def _answer(self, refusal: bytes, stream: IClientStream) -> None:
        if refusal and not stream.closed:
            stream.write(refusal)

    async def resumption(
        self, stream: IClientStream, attrs: Mapping[str, str], tell: Callable[[ISession, bytes], bytes]
    ) -> bytes:
        """
        Give a client its session back.

        @param attrs: of the C{<resume/>}.
        @param tell: makes what the client is sent, of the session and the C{<resumed/>}.
        @return: a C{<failed/>}, or nothing if that went well, or the stream had to be closed.
        """
        h, token = number(attrs.get("h")), attrs.get("previd")
        if h is None or token is None:
            return failed(StanzaCondition.BAD_REQUEST)
        management = self.managements.get(token)
        account = stream.account
        if management is None or account is None or account.jid.bare != management.bare:
            return failed(StanzaCondition.ITEM_NOT_FOUND, self._handledOf(token, account))
        try:
            management.queue.check(h)
        except HandledCountTooHigh as error:
            stream.close(error.toStreamError())
            return b""
        except HandledCountTooLow:
            # What the client lacks is gone from the queue; only a new session is right again.
            management.session.end(StreamError(StreamCondition.CONFLICT))
            return failed(StanzaCondition.ITEM_NOT_FOUND, self._handledOf(token, account))
        old = management.session.stream
        if old is not None:
            management.letGo(old, StreamError(StreamCondition.CONFLICT, "The session was resumed elsewhere."))
            management.session.detached()

        def answer(h: int) -> bytes:
            attributes = f"h='{h}' previd='{escapeAttribute(management.token)}'"
            return tell(management.session, f"<resumed xmlns='{ns.STREAM_MANAGEMENT}' {attributes}/>".encode())

        if await management.resume(stream, h, answer):
            return b""
        return failed(StanzaCondition.ITEM_NOT_FOUND, self._handledOf(token, account))

    def _handledOf(self, token: str, account: IAccount | None) -> int | None:
        """How many stanzas of a session of the past were handled, if it was this account's."""
        bare, h = self._past.get(token, ("", 0))
        return h if account is not None and account.jid.bare == bare else None

    def delayed(self, entry: Entry) -> Stanza:
        """A stanza that is sent again, with the time it came."""
        return delayed(entry.stanza, self._host.domain, entry.stamp)

    # --- after binding

    def enable(self, session: ISession, stanza: Stanza) -> None:
        """A client wants stream management (section 3)."""
        stream = session.stream
        if stream is None:
            return
        if NAME in session.slots:
            stream.write(failed(StanzaCondition.UNEXPECTED_REQUEST))
            return
        management = self._manage(session, stanza.attrs)
        saved = management.save()
        if saved is None:
            self._enabled(session, management)
        else:
            saved.addCallback(lambda _: self._enabled(session, management))
            stream.waitFor(saved)

    async def enableInline(self, session: ISession, element: Element) -> bytes:
        """
        A client wants stream management for a session of which it has not heard yet (section 9.1): whatever it is sent
        counts. Answers the C{<enabled/>}.
        """
        management = self._manage(session, element.attrs)
        self._stand(session, management)
        await (management.save() or succeed(None))
        return self._begin(session, management)

    def _manage(self, session: ISession, attrs: Mapping[str, str]) -> Management:
        """The stream management of a session, as the client wants it."""
        resumable = attrs.get("resume") in TRUE
        seconds = self._host.limits.managementSeconds
        asked = number(attrs.get("max"))
        if asked:
            seconds = min(seconds, asked)
        durable = resumable and not session.account.anonymous
        management = Management(self, session, self._token(), resumable, durable, seconds)
        session.slots[NAME] = management
        session.inbound = management.counted
        return management

    def _token(self) -> str:
        """A token that nobody has."""
        while True:
            token = self._host.entropy.token()
            if token not in self.managements and token not in self._past:
                return token

    def _enabled(self, session: ISession, management: Management) -> None:
        """The session is recorded: from now on what the client is sent counts."""
        stream = session.stream
        if session.over or stream is None:
            return
        self._stand(session, management)
        stream.write(self._begin(session, management))

    def _stand(self, session: ISession, management: Management) -> None:
        """From now on what the client is sent counts."""
        below = getattr(session.outlet, "__self__", None)
        if below is session:
            session.outlet = management.transmit
        else:
            below.below = management.transmit  # type: ignore[union-attr]
        session.parting = management.part

    def _begin(self, session: ISession, management: Management) -> bytes:
        """The session is recorded, or can't be: answers the C{<enabled/>}."""
        if not management.recorded:
            management.resumable = management.durable = False
        answer = f"<enabled xmlns='{ns.STREAM_MANAGEMENT}'"
        if management.resumable:
            self.managements[management.token] = management
            session.keep = management.keep
            token = escapeAttribute(management.token)
            answer += f" id='{token}' resume='true' max='{management.seconds}'"
        return f"{answer}/>".encode()

    def tooLate(self, session: ISession, stanza: Stanza) -> None:
        """Resuming after binding (section 3)."""
        session.send(failed(StanzaCondition.UNEXPECTED_REQUEST))

    def asked(self, session: ISession, stanza: Stanza) -> None:
        """C{<r/>} (section 4)."""
        management: Management | None = session.slots.get(NAME)
        if management is None:
            session.end(_notEnabled())
        else:
            management.request()

    def answered(self, session: ISession, stanza: Stanza) -> None:
        """C{<a/>} (section 4)."""
        management: Management | None = session.slots.get(NAME)
        if management is None:
            session.end(_notEnabled())
            return
        h = number(stanza.attrs.get("h"))
        if h is None:
            session.end(StreamError(StreamCondition.BAD_FORMAT, "An acknowledgement needs a number."))
        else:
            management.acknowledged(h)

    # --- moments of the host

    def preceded(self, stanza: Stanza, bare: str) -> Stanza:
        """
        The hook C{undeliverable}: a message is about to be stored though the account has sessions, none of which takes
        it. What they have not acknowledged of its sender is stored first.
        """
        if stanza.promise is not None:
            for session in self._host.sessions.get(bare, {}).values():
                for what in (session.slots.get(NAME), session.slots.get(CUSTODY_SLOT)):
                    if what is not None:
                        what.precede(stanza.attrs.get("from", ""))
        return stanza

    def available(self, session: ISession, first: bool) -> None:
        """The presence has changed, which is part of what is saved."""
        management: Management | None = session.slots.get(NAME)
        if management is not None and session.keep is not None:
            management.save()

    def ended(self, session: ISession) -> None:
        """A session is over."""
        management: Management | None = session.slots.get(NAME)
        leaving = []
        if management is not None:
            self.managements.pop(management.token, None)
            self._remember(management)
            leaving.append(management.ended())
        ledger = session.slots.get(CUSTODY_SLOT)
        released = ledger.ended() if ledger is not None else None
        if released is not None:
            leaving.append(released)
        for each in leaving:
            if not each.called:
                self._depart(session.bare, each)

    def _remember(self, management: Management) -> None:
        self._past[management.token] = (management.bare, management.settled)
        if len(self._past) > REMEMBERED:
            self._past.popitem(last=False)

    def _depart(self, bare: str, leaving: Deferred[None]) -> None:
        """Until what a session has left is in its place, nobody of the account asks what has come meanwhile."""
        waiting = self._departing.setdefault(bare, [])
        waiting.append(leaving)

        def gone(_: object) -> None:
            waiting.remove(leaving)
            if not waiting:
                del self._departing[bare]

        leaving.addCallback(gone)
        for session in self._host.sessions.get(bare, {}).values():
            if session.presence is None and session.stream is not None:
                session.stream.waitFor(_after(leaving))

    def departed(self, bare: str) -> Deferred[Any] | None:
        """The hook C{loading}."""
        waiting = self._departing.get(bare)
        return gatherResults([_after(each) for each in waiting]) if waiting else None

    async def _stop(self) -> None:
        for management in tuple(self.managements.values()):
            await management.park()
        for sessions in tuple(self._host.sessions.values()):
            for session in tuple(sessions.values()):
                if NAME in session.slots and session.stream is not None:
                    session.end(StreamError(StreamCondition.SYSTEM_SHUTDOWN))
        for waiting in tuple(self._departing.values()):
            await gatherResults([_after(each) for each in waiting])

    def stop(self) -> Deferred[None]:
        """The hook C{stopping}: write down what the next start finds."""
        return Deferred.fromCoroutine(self._stop())

    # --- after a restart

    def restore(self) -> Deferred[None]:
        """The hook C{starting}: bring the saved sessions of the domain back."""
        return Deferred.fromCoroutine(self._restore())

    async def _restore(self) -> None:
        host = self._host
        late = []
        for record in await host.spool.sessions():
            if record.jid.partition("/")[0].rpartition("@")[2] != host.domain:
                continue
            session = await self._revive(record)
            if session is None:
                await self._drop(record)
            elif session.slots[NAME].expires <= host.clock.seconds():
                late.append(session)
        await host.spool.releaseUnheld()
        await host.hooks.restored.settle()
        for session in late:
            session.end()

    async def _drop(self, record: ManagedSessionRecord) -> None:
        """A session that can't come back; what it holds is released with everything that has no holder."""
        await self._host.spool.removeSession(record.token)

    async def _revive(self, record: ManagedSessionRecord) -> ISession | None:
        """One session, hibernating as if its connection had just been lost; None if there is no sense in it."""
        host = self._host
        try:
            jid = parse(record.jid)
            state = json.loads(record.state)
            seconds, kept = int(state["seconds"]), dict(state["kept"])
        except (JIDMalformed, ValueError, KeyError, TypeError):
            log.error("the saved session of {jid} is not readable", jid=record.jid)
            return None
        account = await host.accounts.get(jid.bare)
        if account is None or account.disabled or jid.resource is None:
            return None
        held = await host.spool.held(record.token)
        try:
            session = await host.revive(RememberedAccount(jid.toBare()), jid.resource, kept)
        except (StanzaError, StoreUnavailable):
            log.failure("the session of {jid} can't be revived", Failure(), jid=record.jid)
            return None
        management = Management(self, session, record.token, True, True, seconds)
        expires = record.expires or host.clock.seconds() + seconds
        management.reviveFrom(record, expires, self._entries(management, held))
        session.slots[NAME] = management
        session.inbound = management.counted
        session.outlet = management.transmit
        session.keep = management.keep
        session.parting = management.part
        self.managements[record.token] = management
        return session

    def _entries(self, management: Management, held: Any) -> list[Entry]:
        """
        What a session held, in the order in which it was stored, which is the order in which each sender sent. Numbers
        would not do: what came between a crash and the client's return had none, and a second crash may find new
        numbers beside such as the first one left.
        """
        entries = []
        for message in held:
            try:
                stanza = fromBytes(message.stanza)
            except ValueError:
                log.error("message {id} of the spool is not readable", id=message.id)
                continue
            stanza.archived = False  # or it was archived when it came
            entries.append(Entry(management, stanza, message.sequence, message.stamp, message.id))
        return entries


def _notEnabled() -> StreamError:
    return StreamError(StreamCondition.UNSUPPORTED_STANZA_TYPE, "Stream management is not enabled.")


def _after(leaving: Deferred[None]) -> Deferred[None]:
    """A Deferred of its own that fires when another one does, which never fails."""
    after: Deferred[None] = Deferred()

    def passing(result: None) -> None:
        after.callback(None)
        return result

    leaving.addCallback(passing)
    return after
