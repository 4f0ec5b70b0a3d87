Pings are answered (XEP-0199).
