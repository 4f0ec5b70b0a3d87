Guests can be banned by administrators (``xmppctl guest``, ad-hoc commands) and by moderators of rooms, by a hash of their address that nobody learns; bans end by themselves and hold over restarts.
