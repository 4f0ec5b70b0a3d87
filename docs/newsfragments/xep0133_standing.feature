Administrators set, edit and delete a message of the day and a welcome message, and edit a blacklist and a whitelist of those a host communicates with, from their clients (XEP-0133).
