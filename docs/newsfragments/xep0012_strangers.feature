What strangers ask of a full JID about last activity is refused with `forbidden` in the client's place, whether or not the resource is there (XEP-0012).
