"""
Message displayed synchronization (XEP-0490): clients tell each other what has been read, by a node of their account.

A server has nothing to do but to keep the node; it is created private and with room for all chats even if a client
forgets to say so (section 7). Left out: server assist (section 4.5), which would look into every message.
"""

from __future__ import annotations

from typing import Final

from xmppd.hooks import Feature, Spec
from xmppd.ixmppd import IHost

NODE: Final = "urn:xmpp:mds:displayed:0"


def join(host: IHost) -> None:
    """Let the node be private."""
    if host.personal is not None:
        host.personal.configure(
            NODE,
            {
                "pubsub#access_model": ("whitelist",),
                "pubsub#persist_items": ("1",),
                "pubsub#max_items": ("max",),
                "pubsub#send_last_published_item": ("never",),
            },
        )


feature = Feature(name="xep0490_mds", specs=(Spec("XEP-0490", "1.0.1"),), join=join, after=("xep0163_pep",))
