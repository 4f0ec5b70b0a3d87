"""
The few functions of OpenSSL that pyOpenSSL binds but doesn't wrap.

Everything here reaches behind pyOpenSSL's public interface, which is why it is all in one place. Each function says
what happens with a pyOpenSSL in which the binding is missing; none of them then makes a connection less safe.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from OpenSSL import SSL
from OpenSSL._util import ffi, lib

OP_PRIORITIZE_CHACHA = 1 << 21
"""SSL_OP_PRIORITIZE_CHACHA: a client that puts ChaCha20 first (no AES hardware) gets it. OpenSSL 1.1.1 and later."""


def setGroups(context: SSL.Context, groups: str) -> bool:
    """
    Choose the groups for key exchange.

    @param groups: names as OpenSSL has them, joined by ":". A "?" before a name: skip it where it is unknown.
    @return: whether they are set; if not, OpenSSL's own choice stays, which has no weak group either.
    """
    setList = getattr(lib, "SSL_CTX_set1_curves_list", None)
    if setList is None:
        return False
    for names in (groups, groups.replace("?", ""), _without("MLKEM", groups)):
        if setList(context._context, names.encode("ascii")) == 1:
            return True
        lib.ERR_clear_error()
    return False


def setSignatures(context: SSL.Context, signatures: str) -> bool:
    """
    Choose the signature algorithms for handshakes, ours and those of peers.

    @param signatures: names as OpenSSL has them, joined by ":". A "?" before a name: skip it where it is unknown.
    @return: whether they are set; if not, OpenSSL's own choice stays.
    """
    setList = getattr(lib, "SSL_CTX_set1_sigalgs_list", None)
    if setList is None:
        return False
    known = ":".join(name for name in signatures.split(":") if not name.startswith("?"))
    for names in (signatures, known):
        if setList(context._context, names.encode("ascii")) == 1:
            return True
        lib.ERR_clear_error()
    return False


def _without(part: str, groups: str) -> str:
    """C{groups} in the notation of older OpenSSLs, without those that have C{part} in their names."""
    return ":".join(name for name in groups.replace("?", "").split(":") if part not in name)


def setServerNameCallback(context: SSL.Context, accept: Callable[[SSL.Connection], bool]) -> None:
    """
    Ask C{accept} about the server name of each ClientHello; if it answers False the handshake ends with the fatal
    alert unrecognized_name(112) (RFC 6066 section 3).

    pyOpenSSL's own hook can only say so by an exception, which it prints. With a pyOpenSSL in which this can't be
    done otherwise the exception is what happens.
    """

    def refuseLoudly(connection: SSL.Connection) -> None:
        if not accept(connection):
            raise ValueError("unknown server name")

    def answer(ssl: object, alert: object, argument: object) -> int:
        try:
            accepted = accept(SSL.Connection._reverse_mapping[ssl])
        except Exception:
            # Nothing may pass through C; a bug here must refuse.
            accepted = False
        return lib.SSL_TLSEXT_ERR_OK if accepted else lib.SSL_TLSEXT_ERR_ALERT_FATAL  # type: ignore[no-any-return]

    context.set_tlsext_servername_callback(refuseLoudly)
    setCallback = getattr(lib, "SSL_CTX_set_tlsext_servername_callback", None)
    if setCallback is not None and hasattr(context, "_tlsext_servername_callback"):
        callback = ffi.callback("int (*)(SSL *, int *, void *)", answer)
        # The context keeps the callback alive, as it does with its own.
        context._tlsext_servername_callback = callback
        setCallback(context._context, callback)


def hasExtendedMasterSecret(connection: SSL.Connection) -> bool:
    """
    Whether a connection of TLS 1.2 has the extended master secret (RFC 7627). False if that can't be known.
    """
    support = getattr(lib, "SSL_get_extms_support", None)
    return support is not None and support(connection._ssl) == 1


def wasResumed(connection: SSL.Connection) -> bool | None:
    """Whether the handshake resumed an earlier session; None if that can't be known."""
    reused = getattr(lib, "SSL_session_reused", None)
    return None if reused is None else bool(reused(connection._ssl))


def maxEarlyData(connection: SSL.Connection) -> int | None:
    """How many octets of early data the session of a client's connection allows; None if that can't be known."""
    session, octets = connection.get_session(), getattr(lib, "SSL_SESSION_get_max_early_data", None)
    return None if session is None or octets is None else int(octets(session._session))


def ticketLife(connection: SSL.Connection) -> int | None:
    """
    For how many seconds a client may use the ticket of its connection's session; 0 if it has none, None if that can't
    be known.
    """
    session, encode = connection.get_session(), getattr(lib, "i2d_SSL_SESSION", None)
    if session is None or encode is None:
        return None
    length = encode(session._session, ffi.NULL)
    octets = ffi.new("unsigned char[]", max(length, 1))
    if encode(session._session, ffi.new("unsigned char **", octets)) != length:
        return None
    parts = dict(_parts(bytes(ffi.buffer(octets, length))))
    # SSL_SESSION_ASN1: [9] is the INTEGER ticket_lifetime_hint, [10] the OCTET STRING of the ticket.
    return int.from_bytes(parts.get(0xA9, b"")[2:], "big") if 0xAA in parts else 0


def _parts(der: bytes) -> Iterator[tuple[int, bytes]]:
    """Tags and contents of the parts of a SEQUENCE that OpenSSL has made."""
    _, position, end = _head(der, 0)
    while position < end:
        tag, start, position = _head(der, position)
        yield tag, der[start:position]


def _head(der: bytes, position: int) -> tuple[int, int, int]:
    """Tag, start and end of the content of what is at a position."""
    length, start = der[position + 1], position + 2
    if length & 0x80:
        start += length & 0x7F
        length = int.from_bytes(der[position + 2 : start], "big")
    return der[position], start, start + length


def renewBuffers(connection: SSL.Connection) -> None:
    """
    Replace the memory that a connection's ciphertext passes through, which otherwise stays as large as it ever was.

    Only to be called when everything received has been read and everything to send has been taken. Does nothing where
    it can't be done.
    """
    if connection._into_ssl is None or not hasattr(lib, "SSL_set_bio"):
        return
    incoming, outgoing = lib.BIO_new(lib.BIO_s_mem()), lib.BIO_new(lib.BIO_s_mem())
    if incoming == ffi.NULL or outgoing == ffi.NULL:
        # Out of memory; what was made meanwhile is freed with nothing lost.
        for each in (incoming, outgoing):
            if each != ffi.NULL:
                lib.BIO_free(each)
        return
    # SSL_set_bio frees the old ones and owns the new ones.
    lib.SSL_set_bio(connection._ssl, incoming, outgoing)
    connection._into_ssl, connection._from_ssl = incoming, outgoing


_CHUNK = 1 << 14
_plain = ffi.new("unsigned char[]", _CHUNK)
_cipher = ffi.new("unsigned char[]", 1 << 16)
_plainView = ffi.buffer(_plain)
_cipherView = ffi.buffer(_cipher)
_unread = ffi.new("char **")
# These two buffers serve all connections, since each is emptied before the call that filled it returns; that holds in
# one thread only, which is where all connections live.


def decrypt(connection: SSL.Connection, data: bytes) -> tuple[bytes, bool]:
    """
    Give received octets to a connection whose handshake is complete, and take what they decrypt to. The same as
    C{bio_write} and C{recv} until WantReadError, at half the price: no exception, no buffer made for each call.

    @return: the plaintext, and whether the peer has ended its side with close_notify.
    @raise OpenSSL.SSL.Error: the octets are no TLS, or were changed under way. What came before them is lost.
    """
    ssl = connection._ssl
    parts: list[bytes] = []
    # No more than a record's worth at a time, since the memory between never shrinks. Without any data there may still
    # be something that came together with the end of the handshake.
    for start in range(0, len(data) or 1, _CHUNK):
        piece = data[start : start + _CHUNK] if len(data) > _CHUNK else data
        if piece and lib.BIO_write(connection._into_ssl, piece, len(piece)) != len(piece):
            raise SSL.Error([("BIO routines", "", "out of memory")])
        while True:
            lib.ERR_clear_error()  # another connection's error would be taken for this one's
            count = lib.SSL_read(ssl, _plain, _CHUNK)
            if count > 0:
                parts.append(_plainView[:count])
                # A record is taken whole, since it has no more than _CHUNK octets: with nothing behind it that was all.
                if lib.BIO_get_mem_data(connection._into_ssl, _unread) == 0:
                    break
                continue
            error = lib.SSL_get_error(ssl, count)
            if error == lib.SSL_ERROR_WANT_READ:
                break
            if error == lib.SSL_ERROR_ZERO_RETURN:
                return b"".join(parts), True
            connection._raise_ssl_error(ssl, count)
            raise SSL.Error([("SSL routines", "", "unexpected condition")])
    return parts[0] if len(parts) == 1 else b"".join(parts), False


def encrypt(connection: SSL.Connection, data: bytes) -> bytes:
    """
    Encrypt octets on a connection whose handshake is complete. The same as C{send} and C{bio_read}, cheaper.

    @return: all that there is to send now.
    @raise OpenSSL.SSL.Error: the connection has ended.
    """
    ssl = connection._ssl
    parts: list[bytes] = []
    for start in range(0, len(data), _CHUNK):
        piece = data[start : start + _CHUNK] if len(data) > _CHUNK else data
        written = lib.SSL_write(ssl, piece, len(piece))
        if written != len(piece):
            connection._raise_ssl_error(ssl, written)
            raise SSL.Error([("SSL routines", "", "a record was not taken")])
        parts.append(takeOutgoing(connection))
    return parts[0] if len(parts) == 1 else b"".join(parts)


def takeOutgoing(connection: SSL.Connection) -> bytes:
    """Whatever the connection has to send; empty if nothing."""
    count = lib.BIO_read(connection._from_ssl, _cipher, 1 << 16)
    if count <= 0:
        return b""
    taken: bytes = _cipherView[:count]
    if count == 1 << 16:
        return taken + takeOutgoing(connection)
    return taken
