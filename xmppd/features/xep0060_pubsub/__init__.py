"""
A publish-subscribe service at a domain of its own (XEP-0060): the table C{[pubsub."DOMAIN"]}.

Nodes, items and people are L{xmppd.pubsub}; here is what such a service adds: who may create nodes, approval of
subscriptions by message, and the last item for subscribers who send their presence to the service.
"""

from xmppd.features.xep0060_pubsub.joining import feature

__all__ = ["feature"]
