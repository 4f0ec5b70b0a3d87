"""TLS handshakes in memory, between two connections of OpenSSL."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from cryptography import x509
from OpenSSL import SSL, crypto

from tests.trust.authority import ALWAYS, Authority, curveKey

ROUNDS = 12


def context(
    method: int, key: Any, chain: Sequence[x509.Certificate], trusted: Sequence[x509.Certificate], note: Any
) -> SSL.Context:
    """One end's context, which shows a chain, trusts authorities, and has each step of verification noted."""
    made = SSL.Context(method)
    made.use_certificate(chain[0])
    made.use_privatekey(key)
    for each in chain[1:]:
        made.add_extra_chain_cert(each)
    for each in trusted:
        made.get_cert_store().add_cert(crypto.X509.from_cryptography(each))
    made.set_verify(SSL.VERIFY_PEER, note)
    return made


def shake(client: SSL.Context, server: SSL.Context) -> tuple[SSL.Connection, SSL.Connection]:
    """Both ends of a finished handshake."""
    ends = SSL.Connection(client, None), SSL.Connection(server, None)
    ends[0].set_connect_state()
    ends[1].set_accept_state()
    for _ in range(ROUNDS):
        for here, there in (ends, ends[::-1]):
            try:
                here.do_handshake()
            except SSL.WantReadError:
                pass
            try:
                there.bio_write(here.bio_read(1 << 16))
            except SSL.WantReadError:
                pass
    return ends


def ownContext(method: int, note: Any) -> SSL.Context:
    """The context of an end whose certificate doesn't matter."""
    key = curveKey()
    certificate = Authority("own").sign(key, [x509.DNSName("own.example")], start=0, end=ALWAYS)
    return context(method, key, [certificate], [], note)
