"""
What makes C{twistd xmppd} and C{python -m twisted xmppd} known to Twisted.

The folder has no C{__init__.py}, and must not: it is one of many that make up C{twisted.plugins}.
"""

from twisted.application.service import ServiceMaker

xmppd = ServiceMaker("xmppd", "xmppd.tap", "An XMPP server", "xmppd")
