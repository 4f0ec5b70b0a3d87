"""
User nicknames (XEP-0172), published on a node of the account (section 4.3).

A server has nothing to do but to keep the node and tell contacts: one item that contacts may read, sent to whoever
becomes available, from the publishing client's account with the client's own address beside it. What is in presence
and messages is the clients' business.
"""

from __future__ import annotations

from typing import Final

from xmppd.hooks import Feature, Spec
from xmppd.ixmppd import IHost

NODE: Final = "http://jabber.org/protocol/nick"


def join(host: IHost) -> None:
    """Keep one nickname."""
    if host.personal is not None:
        host.personal.configure(
            NODE,
            {
                "pubsub#access_model": ("presence",),
                "pubsub#max_items": ("1",),
                "pubsub#type": (NODE,),
            },
        )


feature = Feature(name="xep0172_nick", specs=(Spec("XEP-0172", "1.1"),), join=join, after=("xep0163_pep",))
