vCards (XEP-0054), bounded by ``vcard_bytes``.
