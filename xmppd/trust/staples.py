"""
The answers that we staple to our own certificates (RFC 6066 section 8): C{DOMAIN.ocsp} beside C{DOMAIN.pem}, an OCSP
response in DER that something else fetches, as C{openssl ocsp -respout} does.

A file is looked at again when it may have changed, and its response is only used while it is good: about this
certificate, signed by its issuer or by the issuer's responder, of now, and not saying that the certificate is revoked
or unknown. Clients are better off with no answer than with such.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.serialization import Encoding
from OpenSSL import SSL
from twisted.logger import Logger

from xmppd.trust.certificates import Certificate, Problem
from xmppd.trust.ocsp import MAX_RESPONSE, OCSPStatus, examine, mustStaple

log = Logger(namespace="xmppd.tls")

RECHECK: Final = 60.0
"""A file isn't looked at more often than after so many seconds."""

REMEDY: Final = "fetch a new one (openssl ocsp -respout), or remove it"


@dataclass(frozen=True, slots=True)
class Staple:
    """
    The response for one certificate.

    @ivar path: its file.
    @ivar response: DER; empty if it can't be used.
    @ivar until: until when it can be used, in seconds since the epoch.
    @ivar problem: why it can't be used.
    """

    path: Path
    response: bytes = b""
    until: float = 0.0
    problem: Problem | None = None


def stapleFile(certificate: Certificate) -> Path:
    """Where the response for a certificate is looked for."""
    return certificate.path.with_suffix(".ocsp")


def loadStaple(certificate: Certificate, now: float) -> Staple | None:
    """
    The response for a certificate; None if there is no file. Reads files.

    @param now: seconds since the epoch.
    """
    path = stapleFile(certificate)
    try:
        with path.open("rb") as file:
            response = file.read(MAX_RESPONSE + 1)
    except FileNotFoundError:
        return None
    except OSError as error:
        return Staple(path, problem=Problem(path, f"can't be read ({error.strerror})", "let the server's user read it"))
    if len(certificate.chain) < 2:
        remedy = f"append the issuer's certificate to {certificate.path.name}"
        return Staple(path, problem=Problem(path, "can't be checked without the certificate's issuer", remedy))
    found = examine(response, certificate.der, certificate.chain[1].public_bytes(Encoding.DER), now)
    if found.status is not OCSPStatus.GOOD:
        return Staple(path, problem=Problem(path, found.why, REMEDY))
    return Staple(path, response, found.until)


def stapleProblem(certificate: Certificate, now: float) -> Problem | None:
    """What is wrong with a certificate's response, or with there being none. Reads files."""
    staple = loadStaple(certificate, now)
    if staple is None:
        if not mustStaple(certificate.der):
            return None
        remedy = "fetch one (openssl ocsp -respout)"
        return Problem(stapleFile(certificate), "isn't there, and the certificate demands it (must-staple)", remedy)
    return staple.problem


class Staples:
    """
    The responses of a set of certificates, as fresh as their files.
    """

    def __init__(self, seconds: Callable[[], float]) -> None:
        """
        @param seconds: the time, in seconds since the epoch.
        """
        self._seconds = seconds
        self._known: dict[Path, tuple[float, tuple[int, ...] | None, Staple | None]] = {}

    def into(self, context: SSL.Context, certificate: Certificate) -> None:
        """Have connections of a server's context staple, to clients that ask for it."""

        def answer(connection: SSL.Connection, data: object) -> bytes:
            return self.responseFor(certificate)

        context.set_ocsp_server_callback(answer)

    def responseFor(self, certificate: Certificate) -> bytes:
        """What to staple now; empty for nothing. Never raises."""
        now = self._seconds()
        path = stapleFile(certificate)
        checked, state, staple = self._known.get(path, (None, None, None))
        if checked is None or not 0 <= now - checked < RECHECK:
            fresh = _stateOf(path)
            if checked is None or fresh != state:
                staple = loadStaple(certificate, now)
                if staple is not None and staple.problem is not None:
                    log.warn("nothing is stapled: {problem}", problem=str(staple.problem))
            self._known[path] = (now, fresh, staple)
        return staple.response if staple is not None and now <= staple.until else b""


def _stateOf(path: Path) -> tuple[int, ...] | None:
    """What changes when a file does; None if there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino
