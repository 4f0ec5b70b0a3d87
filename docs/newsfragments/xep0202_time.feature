The server tells the time (XEP-0202).
