"""
Instant messaging and presence (RFC 6121): rosters, subscriptions and presence of a host.

 - L{states<xmppd.features.rfc6121_im.states>}: the subscription states of appendix A as a table;
 - L{rosters<xmppd.features.rfc6121_im.rosters>}: rosters in memory, and the queue of changes of each account;
 - L{queries<xmppd.features.rfc6121_im.queries>}: roster get, set and push;
 - L{subscriptions<xmppd.features.rfc6121_im.subscriptions>}: what subscription stanzas do;
 - L{fanout<xmppd.features.rfc6121_im.fanout>}: one presence for many;
 - L{presence<xmppd.features.rfc6121_im.presence>}: broadcasts, probes, directed presence.

The message delivery rules of section 8.5 are in L{xmppd.route.delivery}.
"""

from xmppd.features.rfc6121_im.joining import feature

__all__ = ["feature"]
