"""
Messages and presence for the service itself: approvals (XEP-0060 section 8.6), notifications that came back (12.4),
and subscribers who come online (the setting C{on_sub_and_presence}).

A service doesn't ask for anybody's presence. Whoever sends it to the service's address gets, for each subscription to
a node so configured, the last item; once until unavailable presence comes.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Coroutine
from typing import Any, Final

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from xmppd.ixmppd import IHost, StoreUnavailable
from xmppd.pubsub.options import fromText
from xmppd.pubsub.requests import PubSub
from xmppd.pubsub.shelf import bareOf
from xmppd.wire.errors import StanzaCondition, StanzaError
from xmppd.wire.stanza import Stanza

PRESENT: Final = 10_000
"""How many addresses are remembered as present; who is forgotten gets the last items again with the next presence."""

log = Logger(namespace="xmppd.pubsub")


class Correspondence:
    """Reads what is sent to the service."""

    def __init__(self, host: IHost, service: PubSub) -> None:
        self._host = host
        self._service = service
        self._present: OrderedDict[str, None] = OrderedDict()

    def received(self, stanza: Stanza) -> None:
        """See C{IHost.post}."""
        if stanza.kind == "message":
            self._run(stanza, self._message(stanza))
        elif stanza.type == "unavailable":
            self._present.pop(stanza.attrs["from"], None)
        elif stanza.type is None:
            self._run(stanza, self._available(stanza.attrs["from"]))

    def _run(self, stanza: Stanza, work: Coroutine[Any, Any, None]) -> None:
        done = Deferred.fromCoroutine(work)
        done.addErrback(self._failed, stanza)
        if stanza.promise is not None:
            stanza.promise.append(done)

    def _failed(self, failure: Failure, stanza: Stanza) -> None:
        if isinstance(failure.value, StanzaError):
            self._host.router.bounce(stanza, failure.value)
        elif failure.check(StoreUnavailable):
            self._host.router.bounce(stanza, StanzaError(StanzaCondition.RESOURCE_CONSTRAINT))
        else:
            log.failure("reading a message to the service failed", failure)
            self._host.router.bounce(stanza, StanzaError(StanzaCondition.INTERNAL_SERVER_ERROR))

    async def _message(self, stanza: Stanza) -> None:
        if stanza.type == "error":
            await self._service.notices.bounced(stanza)
        elif not await self._service.subscribing.answered(stanza):
            raise StanzaError(StanzaCondition.SERVICE_UNAVAILABLE)

    async def _available(self, jid: str) -> None:
        """Send the last items to somebody who wasn't there before."""
        if jid in self._present:
            return
        self._present[jid] = None
        if len(self._present) > PRESENT:
            self._present.popitem(last=False)
        shelf = self._service.shelf
        for name, subscription in await shelf.store.subscriptionsOf(self._host.domain, bareOf(jid)):
            if subscription.state != "subscribed" or subscription.jid not in (jid, bareOf(jid)):
                continue
            node = await shelf.find(self._host.domain, name)
            if node is None or node.config.sendLast != "on_sub_and_presence":
                continue
            options = fromText(subscription.options)
            if not options.deliver or not options.current(self._host.clock.seconds()):
                continue
            if await shelf.readRefusal(node, bareOf(jid), subscribing=True) is None:
                for item in await shelf.newest(node, 1):
                    self._service.notices.last(node, item, jid)
