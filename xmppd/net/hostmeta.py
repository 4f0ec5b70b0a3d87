"""
Where the ways into the server are that a browser can take (XEP-0156 version 1.4.0, RFC 6415).

C{/.well-known/host-meta} (XRD) and C{/.well-known/host-meta.json} (JRD) name the WebSocket and BOSH, by URLs with TLS
only; where there is nothing with TLS to name there is no such document. Any page may read it, so that a web client
hosted elsewhere finds the server; whether it may connect is another matter (L{xmppd.wire.origins}).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Final

from zope.interface import implementer

from xmppd.ixmppd import IWebResource, WebRequest, WebResponse
from xmppd.net.site import plain
from xmppd.wire.element import escapeAttribute
from xmppd.wire.origins import asciiName

XRD_PATH: Final = "/.well-known/host-meta"
JRD_PATH: Final = "/.well-known/host-meta.json"

WEBSOCKET: Final = "urn:xmpp:alt-connections:websocket"
XBOSH: Final = "urn:xmpp:alt-connections:xbosh"

CORS: Final[Mapping[str, str]] = {
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Allow-Methods": "GET, HEAD, OPTIONS",
    "Access-Control-Max-Age": "86400",
}
"""Everybody may read these documents, and nothing else (XEP-0156 section 3)."""

CACHED: Final = {"Cache-Control": "public, max-age=3600", **CORS}


@implementer(IWebResource)
class HostMeta:
    """
    Both documents.
    """

    def __init__(
        self, paths: Mapping[str, str], url: str | None, domains: Iterable[str], address: Callable[[str], str | None]
    ) -> None:
        """
        @param paths: where on the web site each way is, by its relation.
        @param url: where clients reach the web site, if that has been configured.
        @param domains: the domains of the hosts.
        @param address: the URL of the site for the clients of a domain, or None (L{IWeb.address}).
        """
        self._paths = dict(paths)
        self._url = url
        self._domains = {asciiName(domain): domain for domain in domains}
        self._address = address

    def respond(self, request: WebRequest) -> WebResponse | None:
        """See L{IWebResource}."""
        if request.path not in (XRD_PATH, JRD_PATH):
            return None
        if request.method == "OPTIONS":
            return WebResponse(204, CORS)
        if request.method not in ("GET", "HEAD") or request.length != 0:
            return plain(405, {"Allow": "GET, HEAD, OPTIONS", **CORS})
        links = self._links(request.headers.get("host", ""))
        if not links:
            return plain(404, CORS)
        if request.path == JRD_PATH:
            return WebResponse(200, {"Content-Type": "application/json", **CACHED}, jrd(links))
        return WebResponse(200, {"Content-Type": "application/xrd+xml; charset=utf-8", **CACHED}, xrd(links))

    def _links(self, host: str) -> list[tuple[str, str]]:
        """Relations and URLs."""
        base = self._base(host)
        if base is None:
            return []
        _, _, rest = base.partition("://")
        return [
            (relation, f"{'wss' if relation == WEBSOCKET else 'https'}://{rest}{path}")
            for relation, path in self._paths.items()
        ]

    def _base(self, host: str) -> str | None:
        """The site's URL for whoever asked for this host; the document is the same for all that we can't tell apart."""
        if self._url is not None:
            return self._url
        asked = self._domains.get(host.partition(":")[0].lower())
        domains = self._domains.values() if asked is None else [asked]
        return next((found for found in map(self._address, domains) if found is not None), None)


def xrd(links: Iterable[tuple[str, str]]) -> bytes:
    """The document in XML."""
    lines = "".join(f"  <Link rel='{rel}' href='{escapeAttribute(href)}'/>\n" for rel, href in links)
    start = "<?xml version='1.0' encoding='utf-8'?>\n<XRD xmlns='http://docs.oasis-open.org/ns/xri/xrd-1.0'>\n"
    return f"{start}{lines}</XRD>\n".encode()


def jrd(links: Iterable[tuple[str, str]]) -> bytes:
    """The document in JSON."""
    return json.dumps({"links": [{"rel": rel, "href": href} for rel, href in links]}, indent=1).encode() + b"\n"
