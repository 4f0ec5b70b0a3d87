"""
Last activity (XEP-0012): how long the server has been up, and how long an account has been offline.

The latter is for the owner and for those who may see the account's presence; everybody else is forbidden to ask, in
the same words for accounts that don't exist. The moment, and the status of the last unavailable presence, are stored
when the last session of an account ends.

What is asked of a full JID is delivered to its client (section 4), but only from those who may see its presence;
everybody else is forbidden that, too, and in the same words for resources and accounts that don't exist.
"""

from __future__ import annotations

from twisted.logger import Logger
from twisted.python.failure import Failure

from xmppd.hooks import Feature, Spec
from xmppd.ixmppd import IHost, ISession, Request, StoreUnavailable
from xmppd.wire import ns
from xmppd.wire.element import Element
from xmppd.wire.errors import StanzaCondition, StanzaError
from xmppd.wire.stanza import Stanza

NAME = "xep0012_last"
QUERY = ns.LAST + " query"
STATUS = ns.CLIENT + " status"

LONGEST_STATUS = 1024
"""How many characters of a status are kept."""

log = Logger(namespace="xmppd.features.last")


class LastActivity:
    """Notes when accounts go, and tells."""

    def __init__(self, host: IHost) -> None:
        self._host = host
        self._began = host.clock.seconds()

    # --- noting

    def unavailable(self, session: ISession, stanza: Stanza) -> None:
        """Keep the status with which a client takes leave."""
        status = stanza.find(STATUS)
        session.slots[NAME] = status.text[:LONGEST_STATUS] if status is not None else ""

    def ended(self, session: ISession) -> None:
        """Store when the account's last session ended."""
        host = self._host
        if session.account.anonymous or session.bare in host.sessions:
            return
        status = session.slots.get(NAME, "")
        stored = host.accounts.setLastActivity(session.bare, host.clock.seconds(), status)
        stored.addErrback(self._notStored)

    def _notStored(self, failure: Failure) -> None:
        if failure.check(StoreUnavailable):
            log.warn("the last activity of an account could not be stored")
        else:
            log.failure("storing the last activity of an account failed", failure)

    # --- telling

    def uptime(self, request: Request) -> Element:
        """How long the server has been running (section 5)."""
        return _answer(self._host.clock.seconds() - self._began)

    async def account(self, request: Request) -> Element:
        """How long ago the user logged out, and with which words; 0 while online (section 3)."""
        bare = request.target.bare
        if not request.own:
            subscription = await self._host.presence.subscription(bare, request.sender.bare)
            if subscription not in ("from", "both"):
                raise StanzaError(StanzaCondition.FORBIDDEN)
        if bare in self._host.sessions:
            return _answer(0)
        record = await self._host.accounts.get(bare)
        if record is None or record.lastActivity is None:
            raise StanzaError(StanzaCondition.ITEM_NOT_FOUND, "Nobody has logged in yet.")
        return _answer(self._host.clock.seconds() - record.lastActivity, record.lastStatus)


def _answer(seconds: float, text: str = "") -> Element:
    attrs = {"seconds": str(max(0, int(seconds)))}
    return Element("query", ns.LAST, attrs, (text,) if text else ())


def join(host: IHost) -> None:
    """Answer, and note the ends of sessions."""
    last = LastActivity(host)
    host.respond("host", "get", QUERY, last.uptime)
    host.respond("account", "get", QUERY, last.account)
    host.private[QUERY] = StanzaCondition.FORBIDDEN
    host.hooks.unavailable.addObserver(last.unavailable)
    host.hooks.ended.addObserver(last.ended)


feature = Feature(
    name=NAME,
    specs=(Spec("XEP-0012", "2.0"),),
    namespaces=(ns.LAST,),
    accountNamespaces=(ns.LAST,),
    join=join,
)
