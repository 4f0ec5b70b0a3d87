A chat in web pages (``[web] chat``) for guests and accounts, with a widget for other sites; ``xmppd demo`` has it, with a lobby. A guest is the same occupant after a reload of the page.
