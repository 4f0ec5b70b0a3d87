Sleeping clients are woken through push services (XEP-0357), which are told a number of messages and nothing else unless the administrator wants it.
