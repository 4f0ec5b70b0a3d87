"""
The archives of accounts: what their users send and what comes for them (XEP-0313 sections 3.5 and 6.1.1).

Theory of operation: a message is archived for its sender when restrictions have let it out, and for its recipient when
it is about to be given to the first of the recipient's clients, or when no client can take it, after those who refuse
messages have had their say. Then its bytes get the recipient's stanza id, in place, so that all clients and whoever
keeps the message see the same; and it is marked, so that it is archived once however often it is given to somebody
(L{Stanza.archived<xmppd.wire.stanza.Stanza>}). A message to oneself is archived when it is sent, with one id for both.

Other clients of the sender are told the id in the sender's archive by carbons; see the slot "archived" of
L{ISession<xmppd.ixmppd.ISession>}.

Nothing of that touches stanzas that are no messages, nor the accounts of guests, who have no archive.
"""

from __future__ import annotations

from typing import Final

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from xmppd.features.xep0313_archive.preferences import AllPreferences
from xmppd.features.xep0313_archive.retraction import Retractions
from xmppd.features.xep0313_archive.rules import RETRACT, STANZA_ID, Purge, isArchivable, stanzaId
from xmppd.features.xep0313_archive.writing import Writer, watch
from xmppd.ixmppd import ArchivedMessage, IHost, ISession, StoreUnavailable
from xmppd.wire.archiveids import ArchiveIds
from xmppd.wire.jid import JID, JIDMalformed, parse
from xmppd.wire.stanza import Stanza

log = Logger(namespace="xmppd.archive")

NAMES: Final = (STANZA_ID,)
SLOT: Final = "archived"

WAITING: Final = 1000
"""How many messages for one account may wait for its preferences."""


class AccountArchives:
    """
    The archives of the accounts of one host.

    @ivar preferences: what users want archived.
    """

    def __init__(
        self, host: IHost, writer: Writer, ids: ArchiveIds, preferences: AllPreferences, retractions: Retractions
    ) -> None:
        self._host = host
        self._writer = writer
        self._take = ids.take
        self._now = host.clock.seconds
        self._retractions = retractions
        self._purge = Purge()
        self._noted: list[ISession] = []
        self._waiting: dict[str, list[tuple[Stanza, Deferred[None] | None]]] = {}
        self.preferences = preferences

    # --- the moments of a message

    def outgoing(self, session: ISession, stanza: Stanza) -> Stanza:
        """A client sends something. See C{hooks.outgoing}. Per stanza."""
        if stanza.kind != "message":
            return stanza
        if STANZA_ID in stanza.childNames:
            self._purge(stanza, session.bare)
        if not isArchivable(stanza) or session.account.anonymous:
            return stanza
        bare = session.bare
        try:
            peer = parse(stanza.attrs.get("to", bare))
        except JIDMalformed:
            return stanza
        if self.preferences.wants(bare, peer):
            if peer.bare == bare:
                self._archive(stanza, bare, peer)
            else:
                addition = self._file(stanza, bare, peer)
                if len(self._host.sessions.get(bare, ())) > 1:
                    self._note(session, stanza, addition)
            if self._writer.crowded:
                self._slowDown(session)
        elif peer.bare == bare:
            stanza.archived = False
        return stanza

    def incoming(self, session: ISession, stanza: Stanza) -> Stanza:
        """A client is given something. See C{hooks.incoming}. Per stanza."""
        if stanza.kind == "message" and stanza.archived is None:
            if STANZA_ID in stanza.childNames:
                self._purge(stanza, session.bare)
            if stanza.attrs.get("type") != "groupchat":  # which comes to many, and is archived by its room
                self._arrived(stanza, session)
        return stanza

    def _arrived(self, stanza: Stanza, session: ISession) -> None:
        """A message is for an account, whose clients haven't seen it yet."""
        stanza.archived = False
        if isArchivable(stanza) and not session.account.anonymous:
            bare, peer = session.bare, self._sender(stanza)
            if self.preferences.wants(bare, peer):
                self._archive(stanza, bare, peer)

    def _sender(self, stanza: Stanza) -> JID:
        return parse(stanza.attrs.get("from", self._host.domain))

    def undeliverable(self, stanza: Stanza, bare: str) -> Stanza | None:
        """No client can take a message. See C{hooks.undeliverable}."""
        if stanza.archived is not None:
            return stanza
        if STANZA_ID in stanza.childNames:
            self._purge(stanza, bare)
        if not isArchivable(stanza) or self._isGuest(bare):
            stanza.archived = False
            return stanza
        peer = self._sender(stanza)
        wanted = None if bare in self._waiting else self.preferences.wants(bare, peer)
        if wanted is None:
            self._wait(stanza, bare, peer)
            return None
        stanza.archived = False
        if wanted:
            self._archive(stanza, bare, peer)
        return stanza

    def _isGuest(self, bare: str) -> bool:
        return any(session.account.anonymous for session in self._host.sessions.get(bare, {}).values())

    # --- archiving

    def _file(self, stanza: Stanza, owner: str, peer: JID) -> bytes:
        """Archive a message as it is now, and answer its stanza id."""
        id, stamp = self._take(self._now())
        writer = self._writer
        message = ArchivedMessage(id, owner, peer.bare, stamp, stanza.raw, peer.resource or "")
        done = writer.add(message)
        promise = stanza.promise
        if promise is not None and not done.called and (not promise or promise[-1] is not done):
            promise.append(done)
        if RETRACT in stanza.childNames:
            self._retractions.take(owner, peer.bare, stanza)
        return stanzaId(owner, id)

    def _archive(self, stanza: Stanza, owner: str, peer: JID) -> None:
        """Archive a message, and let all of its owner's clients know the id."""
        addition = self._file(stanza, owner, peer)
        stanza.append(addition, NAMES)
        stanza.archived = not self._writer.failing

    def _slowDown(self, session: ISession) -> None:
        if session.stream is not None:
            session.stream.waitFor(watch(self._writer.settled()))

    def _note(self, session: ISession, stanza: Stanza, addition: bytes) -> None:
        """Let carbons know, as long as this message is on its way."""
        if not self._noted:
            self._host.clock.callLater(0, self._forgetNoted)
        self._noted.append(session)
        session.slots[SLOT] = (stanza, addition)

    def _forgetNoted(self) -> None:
        noted, self._noted = self._noted, []
        for session in noted:
            session.slots.pop(SLOT, None)

    # --- accounts without sessions, of whom it has to be asked what they want

    def _wait(self, stanza: Stanza, bare: str, peer: JID) -> None:
        """Let a message wait; then it takes its way again, in order. If too many do, it isn't archived."""
        done: Deferred[None] | None = None
        waiting = self._waiting.setdefault(bare, [])
        if len(waiting) >= WAITING:
            stanza.archived = False
            self._host.router.route(stanza)
            return
        if stanza.promise is not None:
            done = Deferred()
            stanza.promise.append(done)
        waiting.append((stanza, done))
        if len(waiting) == 1:
            work = Deferred.fromCoroutine(self._look(bare))
            work.addErrback(self._mistake, bare).addBoth(lambda _: self._goOn(bare))

    async def _look(self, bare: str) -> None:
        """Ask for each that waits, also those who come meanwhile."""
        waiting = self._waiting[bare]
        looked = 0
        while looked < len(waiting):
            stanza, _ = waiting[looked]
            looked += 1
            peer = self._sender(stanza)
            stanza.archived = False
            try:
                wanted = await self.preferences.look(bare, peer)
            except StoreUnavailable:
                wanted = False  # rather none of what the user wants than what the user doesn't want
            if wanted:
                self._archive(stanza, bare, peer)

    def _goOn(self, bare: str) -> None:
        for stanza, done in self._waiting.pop(bare, []):
            stanza.archived = stanza.archived or False
            self._host.router.route(stanza)
            if done is not None:
                done.callback(None)

    def _mistake(self, failure: Failure, bare: str) -> None:
        log.failure("looking up what {account} wants archived failed", failure, account=bare)

    # --- the account is gone

    def removed(self, account: str) -> None:
        """Let nothing be written for an account that has been forgotten."""
        self._writer.drop(account)
        self.preferences.removed(account)
        self._host.archives.forget(account).addErrback(self._notForgotten, account)

    def _notForgotten(self, failure: Failure, account: str) -> None:
        failure.trap(StoreUnavailable)
        log.error("a message may be left in the archive of the former {account}", account=account)
