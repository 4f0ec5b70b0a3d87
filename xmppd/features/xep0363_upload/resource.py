"""
Putting and getting files by HTTP (XEP-0363 sections 7 and 8).

A file is put once, with exactly the length and the type that its slot was asked for. It is given out to everybody who
knows its URL, as something to be saved and never as a page: a browser is told to believe the type, to run nothing, and
to show only what the few types of L{SHOWN} are. Answers for files that were never there and for those that are gone are
the same.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final
from urllib.parse import quote, unquote

from twisted.internet.defer import Deferred
from zope.interface import implementer

from xmppd.features.xep0363_upload.shelf import TOKEN, Arriving, Entry
from xmppd.features.xep0363_upload.slots import PATH, UNTYPED, Slots, mediaType
from xmppd.ixmppd import IWebIntake, IWebResource, WebRequest, WebResponse

SHOWN: Final = frozenset(
    [f"image/{name}" for name in ("avif", "gif", "jpeg", "png", "webp")]
    + [f"video/{name}" for name in ("mp4", "ogg", "webm")]
    + [f"audio/{name}" for name in ("aac", "flac", "mp4", "mpeg", "ogg", "opus", "wav", "webm")]
)
"""Types that a browser may show by itself; none of them can hold a script."""

CORS: Final[Mapping[str, str]] = {
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Allow-Methods": "OPTIONS, HEAD, GET, PUT",
    "Access-Control-Allow-Headers": "Authorization, Content-Type, Range",
    "Access-Control-Expose-Headers": "Content-Length, Content-Range",
    "Access-Control-Max-Age": "7200",
    "Cross-Origin-Resource-Policy": "cross-origin",
}
"""Web clients are pages of other sites (section 8)."""

POLICY: Final = "sandbox; default-src 'none'; frame-ancestors 'none'"

_RANGE = re.compile(r"bytes=(\d{0,15})-(\d{0,15})\Z")


def answer(status: int, sentence: str = "", headers: Mapping[str, str] | None = None) -> WebResponse:
    """A response without a file."""
    body = f"{sentence}\n".encode() if sentence else b""
    return WebResponse(status, {"Content-Type": "text/plain; charset=utf-8", **CORS, **(headers or {})}, body)


def partOf(header: str | None, size: int) -> tuple[int, int] | None:
    """
    First octet and length of the part that is asked for; all of it if there is no single range (RFC 9110 section 14).

    @return: None if there is no such part.
    """
    found = _RANGE.match(header or "")
    if found is None or found[0] == "bytes=-":
        return 0, size
    first, last = found[1], found[2]
    if not first:  # so many at the end
        length = min(int(last), size)
        return (size - length, length) if length else None
    start, end = int(first), min(int(last), size - 1) if last else size - 1
    if last and int(last) < start:
        return 0, size
    return (start, end - start + 1) if start < size else None


@implementer(IWebResource)
class Uploads:
    """The files of one upload service."""

    def __init__(self, slots: Slots) -> None:
        self._slots = slots

    def respond(self, request: WebRequest) -> WebResponse | IWebIntake | Deferred[WebResponse | None] | None:
        """See L{IWebResource}."""
        if request.method == "OPTIONS":
            return answer(204)
        parts = request.path[len(PATH) :].split("/")
        if len(parts) != 3 or not TOKEN.match(parts[1]):
            return None
        name = unquote(parts[2])
        if request.method == "PUT":
            return self._put(request, parts[1], name)
        if request.method in ("GET", "HEAD") and request.length == 0:
            return Deferred.fromCoroutine(self._get(request, parts[1], name))
        return answer(405, "Files are put and got.", {"Allow": "OPTIONS, HEAD, GET, PUT"})

    # --- putting

    def _put(self, request: WebRequest, token: str, name: str) -> WebResponse | IWebIntake | None:
        found = self._slots.waiting.get(token)
        if found is None or found[0].name != name:
            return None
        entry = found[0]
        if request.length is None:
            return answer(411, "How long it is has to be said first.")
        if request.length != entry.size:
            status = 413 if request.length > entry.size else 400
            return answer(status, f"The slot is for {entry.size} octets.")
        declared = request.headers.get("content-type", "")
        if entry.type and declared and mediaType(declared) != entry.type:
            return answer(415, "The slot is for another type.")
        try:
            return Intake(self._slots, self._slots.begin(token))
        except OSError:
            return answer(507, "The file can't be stored.")

    # --- getting

    async def _get(self, request: WebRequest, token: str, name: str) -> WebResponse | None:
        entry = await self._slots.find(token)
        if entry is None or entry.name != name:
            return None
        headers = self._headersOf(entry)
        if headers["ETag"] in request.headers.get("if-none-match", ""):
            return WebResponse(304, headers)
        asked = None if "if-range" in request.headers else request.headers.get("range")
        part = partOf(asked, entry.size)
        if part is None:
            return answer(416, "There is no such part.", {"Content-Range": f"bytes */{entry.size}"})
        start, length = part
        status = 200
        if length != entry.size:
            status = 206
            headers["Content-Range"] = f"bytes {start}-{start + length - 1}/{entry.size}"
        try:
            return WebResponse(status, headers, self._slots.shelf.portions(entry, start, length), length)
        except OSError:
            return None

    def _headersOf(self, entry: Entry) -> dict[str, str]:
        type = entry.type or UNTYPED
        disposition = "inline" if type in SHOWN else "attachment"
        return {
            **CORS,
            "Content-Type": type,
            "Content-Disposition": f"{disposition}; filename*=UTF-8''{quote(entry.name, safe='')}",
            "Content-Security-Policy": POLICY,
            "Cache-Control": "private, max-age=86400, immutable",
            "Accept-Ranges": "bytes",
            "ETag": f'"{entry.token[:16]}"',
        }


@implementer(IWebIntake)
class Intake:
    """A file that is being put."""

    def __init__(self, slots: Slots, arriving: Arriving) -> None:
        self._slots = slots
        self._arriving = arriving

    def received(self, data: bytes) -> WebResponse | None:
        """See L{IWebIntake}."""
        if self._arriving.octets + len(data) > self._arriving.entry.size:
            self.aborted()
            return answer(413, "That is more than was said.")
        try:
            self._arriving.write(data)
        except OSError:
            self.aborted()
            return answer(507, "The file can't be stored.")
        return None

    def finished(self) -> WebResponse | Deferred[WebResponse]:
        """See L{IWebIntake}."""
        if self._arriving.octets != self._arriving.entry.size:
            self.aborted()
            return answer(400, "That is less than was said.")
        return Deferred.fromCoroutine(self._finished())

    async def _finished(self) -> WebResponse:
        try:
            kept = await self._slots.arrived(self._arriving)
        except OSError:
            return answer(507, "The file can't be stored.")
        return answer(201) if kept else answer(403, "The account is gone.")

    def aborted(self) -> None:
        """See L{IWebIntake}."""
        self._slots.gaveUp(self._arriving)
