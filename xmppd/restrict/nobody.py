"""
How a stanza is treated as if the user it is for didn't exist: by giving it to the host as one for somebody who really
doesn't. Whatever the host would do and answer, now or in a later version, is what the sender gets; the answer bears the
address that was written.
"""

from __future__ import annotations

from typing import Final

from xmppd.hooks import Unanswered
from xmppd.ixmppd import IHost
from xmppd.wire.errors import StanzaCondition
from xmppd.wire.jid import JID, parse
from xmppd.wire.stanza import Stanza, build

SILENT: Final = Unanswered(StanzaCondition.SERVICE_UNAVAILABLE)
"""What a restriction answers when the sender has its answer, or gets none."""


class Nobody:
    """Somebody who doesn't exist, at each host: the name is a random UUID that nobody is told."""

    def __init__(self) -> None:
        self._jids: dict[str, JID] = {}

    def take(self, host: IHost, stanza: Stanza) -> Unanswered:
        """
        Take a stanza for a user of a host; answers what a restriction has to answer.
        """
        to = parse(stanza.attrs["to"])
        if stanza.kind == "presence" and stanza.attrs.get("type") == "probe":
            self._unsubscribed(host, stanza, to)
        else:
            nobody = self._jids.get(host.domain)
            if nobody is None:
                nobody = self._jids[host.domain] = parse(f"{host.entropy.uuid()}@{host.domain}")
            host.admit(stanza, nobody if to.resource is None else nobody.withResource(to.resource))
        return SILENT

    def _unsubscribed(self, host: IHost, stanza: Stanza, to: JID) -> None:
        """Nobody sees the presence of who doesn't exist (RFC 6121 section 4.3.2)."""
        sender = parse(stanza.attrs["from"]).bare
        attrs = {"from": to.bare, "to": sender, "type": "unsubscribed", "id": stanza.id or host.entropy.token()}
        host.router.route(build("presence", attrs))
