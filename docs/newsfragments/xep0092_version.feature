The server tells its version, and its operating system only if ``show_os`` is set (XEP-0092).
