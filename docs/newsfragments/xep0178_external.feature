EXTERNAL is offered only to clients whose certificate names a user of the domain, and a `tls.client_ca` that can't be read is named as what keeps the server from starting (XEP-0178).
