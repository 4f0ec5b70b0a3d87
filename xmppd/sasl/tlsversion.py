"""
What SCRAM tells the client about the version of TLS, so that a difference between the client's side and ours is seen:
XEP-0515 version 0.1.0. It goes with the hash of XEP-0474 (section 5), which L{xmppd.sasl.scram.downgradeHash} makes.

Somebody in the middle who speaks TLS 1.3 with one side and TLS 1.2 with the other leaves both with no channel binding
type in common but C{tls-server-end-point}. The attribute C{t} is part of what the password proves, so it can't be
changed on the way, and a client whose own version is another one breaks off. To break off is the client's part
(section 4.2); a server has to say what it sees, truthfully.
"""

from __future__ import annotations

from typing import Final

WIRE_VERSIONS: Final = {"TLSv1.2": b"0303", "TLSv1.3": b"0304"}
"""The numbers of the versions that we speak, as four hexadecimal digits in lower case (section 4.1)."""


def versionDigits(version: str) -> bytes | None:
    """
    The value of the attribute C{t}, or None to leave it out: there is no TLS, or none that ends here.

    @param version: as in L{xmppd.ixmppd.TLSFacts}, by OpenSSL's name; empty for none.
    """
    return WIRE_VERSIONS.get(version)
