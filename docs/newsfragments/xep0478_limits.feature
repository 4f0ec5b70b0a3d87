Clients are told how large a stanza may be and how long a silence (XEP-0478).
