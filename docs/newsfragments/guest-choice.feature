Users can choose not to be reached by guests (``urn:xmppd:guests:0``).
