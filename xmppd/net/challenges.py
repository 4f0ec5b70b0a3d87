"""
Answers for a certificate authority that asks by HTTP whether a domain is ours (RFC 8555 section 8.3, http-01).

An ACME client writes each answer into a folder, as a small file named after the authority's token; here it is served,
at C{/.well-known/acme-challenge/TOKEN}, to whoever asks, with TLS or without. Nothing else in the folder can be had: a
token is of the alphabet of base64url, and links, folders and large files don't count.
"""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path
from typing import Final

from zope.interface import implementer

from xmppd.ixmppd import IWebResource, WebRequest, WebResponse
from xmppd.net.site import plain

PATH: Final = "/.well-known/acme-challenge"

MOST_OCTETS: Final = 1024
"""How long an answer may be: a token, a dot and the hash of a key take less than 200."""

_TOKEN: Final = re.compile(r"[A-Za-z0-9_-]{1,128}")


@implementer(IWebResource)
class Challenges:
    """The answers in a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def respond(self, request: WebRequest) -> WebResponse | None:
        """See L{IWebResource}."""
        token = request.path.removeprefix(PATH + "/")
        if token == request.path or _TOKEN.fullmatch(token) is None:
            return None
        if request.method not in ("GET", "HEAD") or request.length != 0:
            return plain(405, {"Allow": "GET, HEAD"})
        answer = self.answer(token)
        if answer is None:
            return None
        return WebResponse(200, {"Content-Type": "application/octet-stream"}, answer)

    def answer(self, token: str) -> bytes | None:
        """The answer for a token; None if there is none that is a file. Reads a file of no more than L{MOST_OCTETS}."""
        try:
            # Neither a link nor a pipe that nobody writes to leads anywhere.
            descriptor = os.open(self._folder / token, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError:
            return None
        try:
            isFile = stat.S_ISREG(os.fstat(descriptor).st_mode)
            data = os.read(descriptor, MOST_OCTETS + 1) if isFile else b""
        except OSError:
            return None
        finally:
            os.close(descriptor)
        return data if 0 < len(data) <= MOST_OCTETS else None
