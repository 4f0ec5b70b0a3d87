"""
A chat in web pages: the page at C{/}, the same in a frame at C{/widget}, and the script that puts that frame into
somebody else's page.

The files are those of the folder C{xmppd/web}, read once. They load nothing from elsewhere and have no script or
style inline, and the policy that goes with them (Content Security Policy) holds the browser to that; only the frame may
be in pages of other origins, and only of those that are configured. Browsers ask each time whether a file has changed,
and are told by its hash that it hasn't.
"""

from __future__ import annotations

import json
import re
from base64 import urlsafe_b64encode
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from importlib.resources import files
from typing import Final

from zope.interface import implementer

from xmppd.ixmppd import IHost, IWebResource, WebRequest, WebResponse
from xmppd.net.site import plain
from xmppd.wire.origins import asciiName

PAGE: Final = "/"
FRAME: Final = "/widget"
SCRIPT: Final = "/widget.js"
DEMO: Final = "/widget-demo.html"
ASSETS: Final = "/chat"
SETTINGS: Final = f"{ASSETS}/settings.json"
PLACES: Final = (PAGE, FRAME, SCRIPT, DEMO, ASSETS)
"""Where this wants to be mounted."""

TYPES: Final = {
    "html": "text/html; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "svg": "image/svg+xml",
}

_HOST: Final = re.compile(r"(?:[a-z0-9](?:[a-z0-9.-]{0,252})|\[[0-9a-f:.]{2,45}\])(?::[0-9]{1,5})?", re.IGNORECASE)

_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src {connect};"
    " frame-src {frames}; frame-ancestors {ancestors}; base-uri 'none'; form-action 'none';"
    " require-trusted-types-for 'script'; trusted-types stanzas"
)

_PROTECTED: Final[Mapping[str, str]] = {
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}

_ANYWHERE: Final[Mapping[str, str]] = {"Cross-Origin-Resource-Policy": "cross-origin"}


@dataclass(frozen=True, slots=True)
class File:
    """
    A file to be served.

    @ivar kind: its media type.
    @ivar tag: what tells one version from another (RFC 9110 section 8.8.3).
    """

    body: bytes
    kind: str
    tag: str

    @classmethod
    def of(cls, name: str, body: bytes) -> File:
        """A file by name."""
        digest = urlsafe_b64encode(sha256(body).digest()[:18]).decode()
        return cls(body, TYPES[name.rpartition(".")[2]], f'"{digest}"')


def readFiles() -> dict[str, File]:
    """The files of the chat, by name."""
    folder = files("xmppd").joinpath("web")
    names = (each.name for each in folder.iterdir() if each.name.rpartition(".")[2] in TYPES)
    return {name: File.of(name, folder.joinpath(name).read_bytes()) for name in names}


def ancestorsOf(origins: Iterable[str]) -> str:
    """The pages that may have the frame: those of the site itself, and of the configured origins."""
    return " ".join(["'self'", *(each for each in origins if each != "null")])


def policy(request: WebRequest, frames: str, ancestors: str) -> str:
    """
    The policy of a page.

    @param frames: what may be framed by it.
    @param ancestors: what may frame it.
    """
    host = request.headers.get("host", "")
    connect = f"'self' ws://{host} wss://{host}" if _HOST.fullmatch(host) else "'self'"
    return _POLICY.format(connect=connect, frames=frames, ancestors=ancestors)


def isFresh(request: WebRequest, tag: str) -> bool:
    """Whether the client has this version already (RFC 9110 section 13.1.2)."""
    known = request.headers.get("if-none-match", "")
    return known == "*" or tag in {each.strip().removeprefix("W/") for each in known.split(",")}


@implementer(IWebResource)
class WebChat:
    """
    All of it.
    """

    def __init__(self, hosts: Mapping[str, IHost], room: str | None = None, origins: Iterable[str] = ()) -> None:
        """
        @param hosts: the domains whose users and guests can chat.
        @param room: the room that is suggested, by its bare JID.
        @param origins: whose pages may have the frame, or C{*} for all.
        """
        self._hosts = hosts
        self._room = room
        self._ancestors = ancestorsOf(origins)
        self._files = readFiles()

    def respond(self, request: WebRequest) -> WebResponse | None:
        """See L{IWebResource}."""
        path = request.path
        if path == SETTINGS:
            found: WebResponse | None = self._settings(request)
        elif path == SCRIPT:
            found = self._file(request, "widget.js", {"Access-Control-Allow-Origin": "*", **_ANYWHERE})
        elif path in (PAGE, FRAME, DEMO):
            found = self._page(request)
        elif path.startswith(f"{ASSETS}/") and not path.endswith(".html"):
            found = self._file(request, path.removeprefix(f"{ASSETS}/"), {})
        else:
            found = None
        if found is not None and (request.method not in ("GET", "HEAD") or request.length != 0):
            return plain(405, {"Allow": "GET, HEAD"})
        return found

    def _page(self, request: WebRequest) -> WebResponse | None:
        """A document, with its policy."""
        demo = request.path == DEMO
        ancestors = self._ancestors if request.path == FRAME else "'none'"
        rules = policy(request, "'self'" if demo else "'none'", ancestors)
        headers = {"Content-Security-Policy": rules, "Vary": "Host"}
        headers.update(_ANYWHERE if request.path == FRAME else {"Cross-Origin-Opener-Policy": "same-origin"})
        return self._file(request, "widget-demo.html" if demo else "index.html", headers)

    def _file(self, request: WebRequest, name: str, headers: Mapping[str, str]) -> WebResponse | None:
        """A file, or that it hasn't changed."""
        file = self._files.get(name)
        if file is None:
            return None
        given = {**_PROTECTED, "Cache-Control": "no-cache", "ETag": file.tag, **headers}
        if isFresh(request, file.tag):
            return WebResponse(304, given)
        return WebResponse(200, {"Content-Type": file.kind, **given}, file.body)

    def _settings(self, request: WebRequest) -> WebResponse:
        """What the page has to know before it connects, and how it came."""
        host = self._hostFor(request.headers.get("host", ""))
        facts = request.tls()
        settings = {
            "domain": host.domain,
            "guests": host.config.guests != "off",
            "accounts": host.config.accounts,
            "registration": host.config.accounts and host.config.registration == "open",
            "room": self._room,
            "secure": request.secure,
            "tls": None if facts is None else {"version": facts.version, "cipher": facts.cipher},
        }
        headers = {**_PROTECTED, "Content-Type": "application/json", "Cache-Control": "no-store"}
        return WebResponse(200, headers, json.dumps(settings).encode())

    def _hostFor(self, asked: str) -> IHost:
        """The domain for a name that was asked for: that one, or the one above it, or the first."""
        name = re.sub(r":[0-9]+$", "", asked).lower()
        domains = {asciiName(domain): host for domain, host in self._hosts.items()}
        while name:
            if name in domains:
                return domains[name]
            name = name.partition(".")[2]
        return next(iter(self._hosts.values()))
