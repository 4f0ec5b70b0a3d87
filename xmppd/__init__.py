"""xmppd: the XMPP server an operator dares to open to guests."""

__version__ = "0.1.0.dev0"
