"""
vcard-temp (XEP-0054): everybody may read a vCard, its owner may replace it.

The card is kept as it came, as the fact C{vcard} of the account, at most C{limits.vcard_bytes} octets. An account
without a card and one that doesn't exist get the same answer.

Left out: a card of the server itself (XEP-0157 serves that purpose), and searching.
"""

from __future__ import annotations

from xmppd.adapters import checkStorage
from xmppd.hooks import Feature, Spec
from xmppd.ixmppd import IHost, Request
from xmppd.wire import ns
from xmppd.wire.errors import StanzaCondition, StanzaError

VCARD = ns.VCARD + " vCard"
KIND = "vcard"


class VCards:
    """Keeps and gives out vCards."""

    def __init__(self, host: IHost) -> None:
        self._host = host

    async def get(self, request: Request) -> bytes:
        """Anybody's card (sections 3.1 and 3.3)."""
        card = await self._host.facts.get(request.target.bare, KIND, "")
        if card is None:
            own = request.own
            raise StanzaError(StanzaCondition.ITEM_NOT_FOUND if own else StanzaCondition.SERVICE_UNAVAILABLE)
        return card

    async def set(self, request: Request) -> None:
        """Replace one's own card (section 3.2)."""
        if not request.own or request.session is None:
            raise StanzaError(StanzaCondition.FORBIDDEN)
        card = request.payload.toBytes()
        if len(card) > self._host.limits.vcardBytes:
            most = self._host.limits.vcardBytes
            raise StanzaError(StanzaCondition.POLICY_VIOLATION, f"A vCard may have {most} octets.")
        checkStorage(request.session, KIND, len(card))
        await self._host.facts.put(request.target.bare, KIND, "", card)
        await self._host.hooks.stored.settle(request, KIND, (request.payload,))


def join(host: IHost) -> None:
    """Answer for accounts."""
    cards = VCards(host)
    host.respond("account", "get", VCARD, cards.get)
    host.respond("account", "set", VCARD, cards.set)


feature = Feature(
    name="xep0054_vcard",
    specs=(Spec("XEP-0054", "1.3.0"),),
    namespaces=(ns.VCARD,),
    accountNamespaces=(ns.VCARD,),
    join=join,
    needs="accounts",
)
