Users' clients can ask how the hops to a contact are secured (``urn:xmppd:hops:0``), and the web chat shows it as two padlocks.
