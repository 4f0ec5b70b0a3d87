"""The tests of xmppd: run them with C{python -m twisted.trial tests}."""
