"""
Personal eventing (XEP-0163): every account is a publish-subscribe service.

Nodes, items and people are L{xmppd.pubsub}; here is what is personal about it:

 - L{capabilities<xmppd.features.xep0163_pep.capabilities>}: which nodes a client wants to hear of (XEP-0115);
 - L{audience<xmppd.features.xep0163_pep.audience>}: who hears of what, without having subscribed;
 - L{profile<xmppd.features.xep0163_pep.profile>}: the rules of an account;
 - L{personal<xmppd.features.xep0163_pep.personal>}: what other features may do with accounts' nodes.

Left out: the account as a collection node, the access model C{authorize}, which XEP-0163 doesn't ask for, and implicit
subscriptions by directed presence among users of one host.
"""

from xmppd.features.xep0163_pep.joining import feature

__all__ = ["feature"]
