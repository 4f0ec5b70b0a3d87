Administrators manage accounts, sessions, announcements and the end of the server from their clients (XEP-0133).
