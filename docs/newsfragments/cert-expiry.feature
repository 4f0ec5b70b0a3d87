Administrators are warned by message and in the log before a certificate of the server ends (``tls.expiry_warning_days``).
