"""
The web site of a server: what there is, and what an answer is made of.

L{WebSite} knows the resources, which features mount while they join; L{xmppd.net.http} asks it for each request.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import idna
from twisted.internet.defer import Deferred
from twisted.web.http import RESPONSES
from zope.interface import implementer

from xmppd.ixmppd import IWeb, IWebResource, WebRequest, WebResponse

NO_BODY: Final = frozenset({204, 304})

REASONS: Final[Mapping[int, bytes]] = {426: b"Upgrade Required", **RESPONSES}
"""What statuses are called; Twisted has no word for RFC 9110 section 15.5.22."""

PROTECTION: Final[Mapping[str, str]] = {
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'; sandbox",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
"""The headers of every response that doesn't bring its own."""


def plain(status: int, headers: Mapping[str, str] | None = None) -> WebResponse:
    """A response that says its status in words."""
    text = f"{status} {REASONS.get(status, b'').decode()}\n".encode()
    body = b"" if status in NO_BODY else text
    return WebResponse(status, {"Content-Type": "text/plain; charset=utf-8", **(headers or {})}, body)


@dataclass(frozen=True, slots=True)
class Upgrade:
    """
    The answer that makes a connection speak something else from now on (RFC 9110 section 7.8).

    @ivar headers: of the response with status 101.
    @ivar protocol: makes, of the request and the channel, what takes the connection over; until its C{connectionLost}
        it is counted for the client.
    """

    headers: Mapping[str, str]
    protocol: Callable[[WebRequest, Any], Any]


class Held(Deferred[WebResponse]):
    """The Deferred of an answer that is held back; it is cancelled if the client goes before it fires."""


@implementer(IWeb)
class WebSite:
    """
    What there is to be had by HTTP. See L{IWeb}.

    @ivar port: where HTTPS is served, or None if it isn't.
    """

    def __init__(self, port: int | None = None, certified: Callable[[str], object | None] = lambda name: None) -> None:
        """
        @param certified: answers the certificate for a domain, or None.
        """
        self.port = port
        self._certified = certified
        self._mounts: dict[str, list[IWebResource]] = {}

    def mount(self, path: str, resource: IWebResource) -> None:
        """See L{IWeb}."""
        if not path.startswith("/") or (path.endswith("/") and path != "/"):
            raise ValueError(f"{path!r} is no path to mount something at")
        self._mounts.setdefault(path, []).append(resource)

    def address(self, domain: str) -> str | None:
        """See L{IWeb}."""
        if self.port is None:
            return None
        name = domain
        while name and self._certified(name) is None:
            name = name.partition(".")[2]
        if not name:
            return None
        return f"https://{idna.encode(name).decode()}" + ("" if self.port == 443 else f":{self.port}")

    def place(self, path: str) -> str | None:
        """The longest path at or above this one where something is mounted, or None."""
        while path not in self._mounts:
            path = path.rpartition("/")[0]
            if not path:
                return None
        return path

    def ask(self, request: WebRequest) -> Any:
        """The first answer of the resources there: a response, an intake, a Deferred of a response, or None."""
        place = self.place(request.path)
        resources = [] if place is None else self._mounts[place]
        if request.length != 0:
            answers = (resource.respond(request) for resource in resources)
            return next((answer for answer in answers if answer is not None), None)
        return Deferred.fromCoroutine(self._askInTurn(resources, request))

    async def _askInTurn(self, resources: list[IWebResource], request: WebRequest) -> Any:
        for resource in tuple(resources):
            answer: Any = resource.respond(request)
            if isinstance(answer, Deferred):
                answer = await answer
            if answer is not None:
                return answer
        return None
