With SCRAM the server says which version of TLS it sees (XEP-0515), besides the hash of what it offers (XEP-0474): a client notices somebody in the middle who speaks another version to it.
