``xmppctl cert make``, ``cert list`` and ``cert check`` make certificates and requests, show what the server has, and say what clients and other servers would not like about it.
