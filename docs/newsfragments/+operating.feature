`xmppd run`, `xmppd demo` and `xmppctl`; reload by SIGHUP, by command or by saving the file; logs as text or JSON.
