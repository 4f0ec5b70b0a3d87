Service discovery for the domain and for accounts, which tells strangers nothing (XEP-0030, XEP-0128).
