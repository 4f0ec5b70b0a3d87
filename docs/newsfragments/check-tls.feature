``xmppctl check tls`` audits configuration, certificates and the running server's listeners against RFC 9325, with the paragraph of each finding.
