``xmppd.wire.confusable`` finds names that look like other names, mix scripts, hide characters or leave the scripts of a user's languages; clients can use it as a library: ``docs/names.rst``.
