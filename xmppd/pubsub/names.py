"""
Namespaces, features and limits of publish-subscribe.
"""

from __future__ import annotations

from typing import Final

PUBSUB: Final = "http://jabber.org/protocol/pubsub"
OWNER: Final = PUBSUB + "#owner"
EVENT: Final = PUBSUB + "#event"
ERRORS: Final = PUBSUB + "#errors"
NODE_CONFIG: Final = PUBSUB + "#node_config"
PUBLISH_OPTIONS: Final = PUBSUB + "#publish-options"
SUBSCRIBE_OPTIONS: Final = PUBSUB + "#subscribe_options"
SUBSCRIBE_AUTHORIZATION: Final = PUBSUB + "#subscribe_authorization"
META_DATA: Final = PUBSUB + "#meta-data"
SHIM: Final = "http://jabber.org/protocol/shim"
ADDRESS: Final = "http://jabber.org/protocol/address"

LONGEST_NODE: Final = 512
"""How many octets the name of a node may have."""

LONGEST_ITEM: Final = 1023
"""How many octets the id of an item may have."""

SHARED: Final = (
    "config-node",
    "config-node-max",
    "create-and-configure",
    "create-nodes",
    "delete-items",
    "delete-nodes",
    "instant-nodes",
    "item-ids",
    "leased-subscription",
    "manage-subscriptions",
    "member-affiliation",
    "meta-data",
    "modify-affiliations",
    "multi-items",
    "multi-subscribe",
    "outcast-affiliation",
    "persistent-items",
    "publish",
    "publish-node-full",
    "publish-only-affiliation",
    "publish-options",
    "publisher-affiliation",
    "purge-nodes",
    "retract-items",
    "retrieve-affiliations",
    "retrieve-default",
    "retrieve-default-sub",
    "retrieve-items",
    "retrieve-subscriptions",
    "rsm",
    "subscribe",
    "subscription-notifications",
    "subscription-options",
)
"""The features (XEP-0060 section 10) that a service and an account have in common."""


def features(*others: str) -> tuple[str, ...]:
    """What disco says: the namespace itself, the shared features and others, as URIs."""
    return (PUBSUB, *(f"{PUBSUB}#{name}" for name in (*SHARED, *others)))
