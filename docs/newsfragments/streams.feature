``xmppctl streams`` fits a terminal, takes ``--peer``, ``--id``, ``--certificate`` and ``--pem``, and says which channel binding a login had; administrators have the same as ad-hoc commands.
