`xmppctl` takes `--json`, `--socket` and `--config` before and behind a command, and with `--json` says as JSON what went wrong.
