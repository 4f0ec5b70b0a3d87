"""
Fast Authentication Streamlining Tokens (XEP-0484): a client that has logged in gets a token, with which it logs in the
next time in one round trip, without the password.

 - L{slots<xmppd.features.xep0484_fast.slots>}: the two tokens a client may have at a time, and what they go through;
 - L{accounts<xmppd.features.xep0484_fast.accounts>}: tokens of accounts, made from a key that isn't in the database;
 - L{guests<xmppd.features.xep0484_fast.guests>}: tokens of guests, which live and die with their sessions;
 - L{joining<xmppd.features.xep0484_fast.joining>}: giving tokens out along with logins.

Left out: TLS early data (section 3.4). Behind it a counter of tries would have to be kept in a way that no crash and no
second process can set back, and no listener takes early data.
"""

from xmppd.features.xep0484_fast.joining import feature

__all__ = ["feature"]
