The server tells its uptime, and contacts for how long an account has been offline (XEP-0012).
