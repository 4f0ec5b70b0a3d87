"""
A bound resource: what it may send and receive, and where that goes (hops 4 and 6 of a stanza's route).

Theory of operation: once a stream is established it calls L{Session.received} for each event. A message is stamped,
checked by restrictions and hooks if there are any, and given to the router. On the other side L{Session.deliver} runs
the receiving checks, if there are any, and passes the stanza to C{outlet}: the stream, or stream management in front
of it. Restrictions and hooks are tuples of callables found when the session was bound; for most sessions they are
empty and cost one truth test.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from twisted.logger import Logger
from zope.interface import implementer

from xmppd.hooks import Unanswered
from xmppd.ixmppd import IAccount, IClientStream, IHost, ISession, ISessionEnd
from xmppd.wire.errors import StanzaError, StreamCondition, StreamError
from xmppd.wire.jid import JID
from xmppd.wire.stanza import Stanza, iqMistake, starts

if TYPE_CHECKING:
    Refusal = Callable[[ISession, Stanza], StanzaError | None]
    Change = Callable[[ISession, Stanza], Stanza]
    Observer = Callable[[ISession, Stanza], None]

log = Logger(namespace="xmppd.session")


@implementer(ISession)
class Session:
    """
    One full JID, connected or hibernating. See L{ISession}.
    """

    __slots__ = (
        "__provides__",
        "__weakref__",
        "_deliveredTo",
        "_inRefusals",
        "_incoming",
        "_language",
        "_outChanges",
        "_outRefusals",
        "_outgoing",
        "_receiveRefusals",
        "_route",
        "_sendChanges",
        "_sendRefusals",
        "_sentTo",
        "_starts",
        "account",
        "bare",
        "created",
        "full",
        "host",
        "inbound",
        "interested",
        "jid",
        "keep",
        "outlet",
        "over",
        "parting",
        "presence",
        "priority",
        "receiving",
        "sending",
        "slots",
        "stream",
    )

    def __init__(self, host: IHost, account: IAccount, jid: JID, stream: IClientStream | None) -> None:
        self.host = host
        self.account = account
        self.jid = jid
        self.full = jid.full
        self.bare = jid.bare
        self.stream: IClientStream | None = stream
        self.priority = 0
        self.presence: Stanza | None = None
        self.interested = False
        self.slots: dict[str, Any] = {}
        self.created = host.clock.seconds()
        self.inbound: Callable[[Stanza], None] | None = None
        self.keep: Callable[[], bool] | None = None
        self.parting: Callable[[IClientStream, StreamError | None], None] | None = None
        self.outlet: Callable[[Stanza], None] = self.plainly
        self.over = False
        self._starts = starts(self.full)
        self._language: str | None = getattr(stream, "language", None)
        self._route = host.router.route
        self._outgoing = host.hooks.outgoing
        self._incoming = host.hooks.incoming
        self._sendRefusals: tuple[Refusal, ...] = ()
        self._sendChanges: tuple[Change, ...] = ()
        self._receiveRefusals: tuple[Refusal, ...] = ()
        self._sentTo: tuple[Observer, ...] = ()
        self._deliveredTo: tuple[Observer, ...] = ()
        self.refresh()

    def __repr__(self) -> str:
        return f"<Session {self.full}>"

    # --- restrictions and hooks

    def refresh(self) -> None:
        """Work out whether anything has to be asked per stanza; after hooks or restrictions changed."""
        out, into = self._outgoing, self._incoming
        self._outRefusals = self._sendRefusals + out.refuse
        self._outChanges = self._sendChanges + out.change
        self._inRefusals = self._receiveRefusals + into.refuse
        self.sending = bool(self._outRefusals or self._outChanges or self._sentTo or out.observe)
        self.receiving = bool(self._inRefusals or self._deliveredTo or into.change or into.observe)

    def addSendRefusal(self, refuses: Refusal) -> None:
        """See L{ISession}."""
        self._sendRefusals = (*self._sendRefusals, refuses)
        self.refresh()

    def addSendChange(self, change: Change) -> None:
        """See L{ISession}."""
        self._sendChanges = (*self._sendChanges, change)
        self.refresh()

    def addReceiveRefusal(self, refuses: Refusal) -> None:
        """See L{ISession}."""
        self._receiveRefusals = (*self._receiveRefusals, refuses)
        self.refresh()

    def removeRefusal(self, refuses: Refusal) -> None:
        """See L{ISession}."""
        self._sendRefusals = tuple(each for each in self._sendRefusals if each != refuses)
        self._receiveRefusals = tuple(each for each in self._receiveRefusals if each != refuses)
        self.refresh()

    def addObservers(self, sent: Observer, delivered: Observer) -> None:
        """See L{ISession}."""
        self._sentTo = (*self._sentTo, sent)
        self._deliveredTo = (*self._deliveredTo, delivered)
        self.refresh()

    def removeObservers(self, sent: Observer, delivered: Observer) -> None:
        """See L{ISession}."""
        self._sentTo = tuple(each for each in self._sentTo if each != sent)
        self._deliveredTo = tuple(each for each in self._deliveredTo if each != delivered)
        self.refresh()

    def _checkedOut(self, stanza: Stanza) -> Stanza | None:
        """Run what joined the way out; None if it was refused (and answered) or taken."""
        hook = self._outgoing
        for refuses in self._outRefusals:
            error = refuses(self, stanza)
            if error is not None:
                self._refused(stanza, error)
                return None
        checked: Stanza | None = stanza
        for change in self._outChanges:
            checked = change(self, checked)
            if checked is None:
                return None
        if hook.observe:
            hook.notify(self, checked)
        for observer in self._sentTo:
            observer(self, checked)  # type: ignore[arg-type]
        return checked

    def _refused(self, stanza: Stanza, error: StanzaError) -> None:
        """Answer what the client may not send. The answer bears the address of another, but is no stanza of theirs."""
        if isinstance(error, Unanswered) or stanza.attrs.get("type") in ("error", "result"):
            return
        self.outlet(stanza.error(error))

    def _checkedIn(self, stanza: Stanza) -> Stanza | None:
        """Run what joined the way in; None if it was refused (and answered) or taken."""
        hook = self._incoming
        for refuses in self._inRefusals:
            error = refuses(self, stanza)
            if error is not None:
                if not isinstance(error, Unanswered):
                    self.host.router.bounce(stanza, error)
                return None
        checked: Stanza | None = stanza
        for change in hook.change:
            checked = change(self, checked)
            if checked is None:
                return None
        if hook.observe:
            hook.notify(self, checked)
        for observer in self._deliveredTo:
            observer(self, checked)  # type: ignore[arg-type]
        return checked

    # --- from the client

    def received(self, stanza: Stanza) -> None:
        """See L{ISession}."""
        kind = stanza.kind
        if kind == "message":
            if self.inbound is not None:
                self.inbound(stanza)
            stanza.stamp(self.full, self._starts, self._language)
            if self.sending:
                checked = self._checkedOut(stanza)
                if checked is None:
                    return
                stanza = checked
            self._route(stanza)
        elif kind == "iq":
            self._receivedIQ(stanza)
        elif kind == "presence":
            self._receivedPresence(stanza)
        else:
            self._receivedOther(stanza)

    def _receivedIQ(self, stanza: Stanza) -> None:
        if self.inbound is not None:
            self.inbound(stanza)
        stanza.stamp(self.full, self._starts, self._language)
        mistake = iqMistake(stanza)
        if mistake is not None:
            if stanza.attrs.get("type") != "error":
                self.deliver(stanza.error(mistake))
            return
        if self.sending:
            checked = self._checkedOut(stanza)
            if checked is None:
                return
            stanza = checked
        self._route(stanza)

    def _receivedPresence(self, stanza: Stanza) -> None:
        if self.inbound is not None:
            self.inbound(stanza)
        stanza.stamp(self.full, self._starts, self._language)
        if self.sending:
            checked = self._checkedOut(stanza)
            if checked is None:
                return
            stanza = checked
        for change in self.host.hooks.presenting.change:
            stanza = change(self, stanza)
        self.host.presence.sent(self, stanza)

    def _receivedOther(self, stanza: Stanza) -> None:
        """What is no stanza: the end of the stream, an element some feature knows, or a mistake."""
        stream = self.stream
        if stanza.kind == "end":
            self.end()
        elif stanza.kind == "header":
            if stream is not None:
                stream.close(StreamError(StreamCondition.UNSUPPORTED_STANZA_TYPE, "The stream is open already."))
        else:
            element = self.host.elements.get(stanza.name)
            if element is not None:
                element(self, stanza)
            elif stream is not None:
                stream.close(StreamError(StreamCondition.UNSUPPORTED_STANZA_TYPE))

    # --- to the client

    def deliver(self, stanza: Stanza) -> None:
        """See L{ISession}."""
        if self.receiving:
            checked = self._checkedIn(stanza)
            if checked is None:
                return
            stanza = checked
        self.outlet(stanza)

    def transmit(self, stanza: Stanza) -> None:
        """See L{ISession}."""
        self.outlet(stanza)

    def plainly(self, stanza: Stanza) -> None:
        """The outlet of a session without stream management."""
        if stanza.promise is not None and self.host.custody is not None:
            stanza.promise.append(self.host.custody(self, stanza))
        if self.stream is not None:
            self.stream.transmit(stanza)

    def send(self, data: bytes) -> None:
        """See L{ISession}."""
        if self.stream is not None:
            self.stream.write(data)

    # --- beginning and end

    def attach(self, stream: IClientStream) -> None:
        """See L{ISession}."""
        self.stream = stream
        self._language = stream.language

    def detached(self) -> None:
        """See L{ISession}."""
        self.stream = None
        if self.over:
            return
        if self.keep is None or not self.keep():
            self.end()

    def end(self, error: StreamError | None = None) -> None:
        """See L{ISession}."""
        if self.over:
            return
        self.over = True
        host = self.host
        stream, self.stream = self.stream, None
        host.unbind(self)
        if stream is not None:
            if self.parting is None:
                stream.close(error)
            else:
                self.parting(stream, error)
        host.presence.left(self)
        host.hooks.ended.notify(self)
        for restriction in host.adapters.subscribers(self, ISessionEnd):
            restriction.ended()
        self.account.logout()
        host.departed(self)
