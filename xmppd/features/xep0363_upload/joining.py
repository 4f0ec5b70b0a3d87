"""
The feature: an upload service at a domain of its own, C{[upload."upload.example.org"]}.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from twisted.internet.defer import Deferred

from xmppd.features.xep0363_upload.resource import Uploads
from xmppd.features.xep0363_upload.slots import NAME, PATH, Slots
from xmppd.hooks import Feature, Option, Spec
from xmppd.ixmppd import IHost
from xmppd.wire import forms, ns

REQUEST = ns.HTTP_UPLOAD + " request"


def _atLeast(least: int) -> Callable[[Any], str | None]:
    return lambda value: None if value >= least else f"it is less than {least}"


def _url(value: Any) -> str | None:
    if not value:
        return None
    parts = urlsplit(value)
    if parts.scheme not in ("https", "http") or not parts.netloc or parts.query or parts.fragment:
        return "it is no URL like https://upload.example.org"
    return None


def _patterns(value: Any) -> str | None:
    good = all(isinstance(each, str) and "/" in each for each in value)
    return None if good else 'it holds what is not like "image/*"'


OPTIONS = {
    "url": Option("", "Where clients reach the web server, if not at this domain and the port of listen.https.", _url),
    "max_size": Option(104_857_600, "Octets of one file.", _atLeast(1)),
    "quota": Option(1_073_741_824, "Octets of all files of an account.", _atLeast(1)),
    "files": Option(1000, "Files of an account.", _atLeast(1)),
    "total": Option(21_474_836_480, "Octets of all files.", _atLeast(1)),
    "days": Option(30, "For how many days a file is kept.", _atLeast(1)),
    "slot_seconds": Option(300, "How long a slot waits for its file.", _atLeast(10)),
    "types": Option([], 'Media types that are taken, like "image/*"; none for all.'),
    "guests": Option(False, "Whether guests may upload."),
}


def join(host: IHost) -> None:
    """Answer requests for slots, and take files."""
    if host.folder is None or host.web is None:
        raise ValueError("there is no folder for files, or no web server")
    if not host.option(NAME, "url") and host.web.address(host.domain) is None:
        raise ValueError(
            f"no client could reach it: set listen.https and provide a certificate for {host.domain}, or set url"
        )
    slots = Slots(host, host.folder / "upload")
    host.web.mount(PATH, Uploads(slots))
    host.respond("host", "get", REQUEST, slots.request)
    host.hooks.starting.addObserver(lambda: Deferred.fromCoroutine(slots.start()))
    host.hooks.stopping.addObserver(slots.stop)
    host.hooks.farewell.addObserver(slots.farewell)
    host.hooks.removed.addObserver(slots.forget)
    most = forms.field("max-file-size", str(host.option(NAME, "max_size")))
    host.disco.forms.append(forms.form("result", most, formType=ns.HTTP_UPLOAD))


feature = Feature(
    name=NAME,
    specs=(Spec("XEP-0363", "1.2.0"),),
    namespaces=(
        ns.HTTP_UPLOAD,
        f"{ns.HTTP_UPLOAD_PURPOSE}#message",
        f"{ns.HTTP_UPLOAD_PURPOSE}#ephemeral",
    ),
    identities=(("store", "file", "HTTP File Upload"),),
    options=OPTIONS,
    join=join,
    joins=(),
    serves="upload",
)
