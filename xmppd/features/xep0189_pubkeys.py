"""
Public keys, revocations and attestations (XEP-0189), published on nodes of the account (section 6).

A server has nothing to do but to keep them as public data (XEP-0222): all of them, sent when they are published and not
with every presence. Who may read them is left to the account's default, the contacts; a client that wants others to
read them says so. Left out, since it is between clients: asking a client for its key (section 7).
"""

from __future__ import annotations

from typing import Final

from xmppd.hooks import Feature, Spec
from xmppd.ixmppd import IHost

NODES: Final = ("urn:xmpp:pubkey:2", "urn:xmpp:revoke:2", "urn:xmpp:attest:2")


def join(host: IHost) -> None:
    """Keep keys."""
    if host.personal is not None:
        for node in NODES:
            host.personal.configure(
                node,
                {
                    "pubsub#persist_items": ("1",),
                    "pubsub#max_items": ("max",),
                    "pubsub#send_last_published_item": ("never",),
                },
            )


feature = Feature(name="xep0189_pubkeys", specs=(Spec("XEP-0189", "0.14"),), join=join, after=("xep0163_pep",))
