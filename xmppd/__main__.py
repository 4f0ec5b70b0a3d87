"""
C{python -m xmppd}: the command C{xmppd}.
"""

from xmppd.ctl.main import xmppd

xmppd()
