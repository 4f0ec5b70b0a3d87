The web chat creates accounts where everybody may register, says why a name is refused, takes names apart, and has contacts with the user's own names, the server's warnings and colours by XEP-0392.
