Users can block others (XEP-0191).
