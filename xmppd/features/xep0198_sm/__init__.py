"""
Stream management (XEP-0198): acknowledgements that are kept, and streams that can be resumed.

What the server has acknowledged to a client survives the server's sudden death at any moment, or was delivered:

 - L{queue<xmppd.features.xep0198_sm.queue>}: what a client was sent and has not acknowledged;
 - L{settlement<xmppd.features.xep0198_sm.settlement>}: making good on promises before something is acknowledged;
 - L{management<xmppd.features.xep0198_sm.management>}: one session, connected or hibernating;
 - L{custody<xmppd.features.xep0198_sm.custody>}: messages for clients without stream management;
 - L{estate<xmppd.features.xep0198_sm.estate>}: what becomes of what was never acknowledged;
 - L{resumption<xmppd.features.xep0198_sm.resumption>}: enabling, resuming, restarts;
 - L{inline<xmppd.features.xep0198_sm.inline>}: enabling and resuming along with a login.

Left out: the C{location} attribute, and stream management between servers.
"""

from xmppd.features.xep0198_sm.joining import feature

__all__ = ["feature"]
