"""
A page for administrators to look at, at C{/status} of the listeners C{listen.metrics}, and the same as JSON at
C{/status.json}: streams with other servers and by what each was proved, changed certificates, our own certificates,
what waits. It only shows; of clients it has numbers and neither addresses nor names.

Whoever reaches the listener may read, so it belongs on loopback. A page of somebody else's in a browser on the same
machine could reach it too, by a name of its own that leads there; so the name that is asked for has to be an address,
C{localhost}, or one of our domains.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from heapq import nlargest, nsmallest
from html import escape
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any, Final

from twisted.internet.defer import Deferred
from zope.interface import implementer

from xmppd import __version__
from xmppd.config import Limits
from xmppd.ctl.metrics import LINK_STATES, STREAM_LABELS, Metrics, survey
from xmppd.ctl.tables import cell, day, octets, span
from xmppd.ixmppd import IWebResource, WebRequest, WebResponse
from xmppd.net.admission import Admission
from xmppd.net.http import WebFactory
from xmppd.net.site import WebSite, plain
from xmppd.trust.verdict import CERTIFICATE_PROOFTYPES
from xmppd.wire.origins import asciiName
from xmppd.wire.proxies import Networks

if TYPE_CHECKING:
    from xmppd.tap import Server

MOST: Final = 500
"""How many streams with other servers, warnings and queues are shown."""

DAY: Final = 86_400

SOON: Final = 21 * DAY
"""Certificates that expire within so many seconds are marked."""

CERTIFIED: Final = frozenset(map(str, CERTIFICATE_PROOFTYPES))
"""Proofs that are more than weak identity."""

LIMITS: Final = Limits(connections=32, connectionsPerAddress=0, attemptsPerMinute=0)
"""Connections to these listeners are counted by themselves: when clients are too many, it is time to look."""

STYLE: Final = """
:root { color-scheme: light dark; font: 15px/1.45 system-ui, sans-serif; }
body { margin: 1.5rem auto; padding: 0 1.25rem; max-width: 78rem; }
h1 { font-size: 1.5rem; margin: 0; }
h2 { font-size: 1.1rem; margin: 2rem 0 .5rem; }
p { margin: .3rem 0; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; }
th, td { padding: .3rem 1rem .3rem 0; text-align: left; vertical-align: top; border-bottom: 1px solid #8884; }
th { font-weight: 600; white-space: nowrap; }
td { font-variant-numeric: tabular-nums; }
code { font: .85em ui-monospace, monospace; overflow-wrap: anywhere; }
.bad { color: #b3261e; font-weight: 600; }
.good { color: #1b6e3a; }
.quiet { opacity: .72; }
@media (prefers-color-scheme: dark) { .bad { color: #ff9a90; } .good { color: #7fd6a0; } }
"""

POLICY: Final = (
    "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'; style-src 'sha256-"
    + base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
    + "'"
)


async def overview(server: Server) -> dict[str, Any]:
    """What the page shows, as values that JSON can hold; times are in seconds since the epoch."""
    found = await survey(server)
    now = server.clock.seconds()
    inspection = server.inspection
    servers = nsmallest(MOST, inspection.found(servers=True), key=lambda pair: pair[0])
    histories = server.peers.histories if server.peers is not None else None
    warned = {} if histories is None else histories.warned
    latest = nlargest(MOST, warned.items(), key=lambda pair: pair[1].at)
    waiting = {} if server.remote is None else server.remote.waiting()
    own = {} if server.tls is None else server.tls.certificates
    return {
        "version": __version__,
        "time": now,
        "uptime": now - server.started,
        "hosts": sorted(server.hosts),
        "stanzas": {"routed": server.router.routed, "bounced": server.router.bounced},
        "streams": [
            {**dict(zip(STREAM_LABELS, labels, strict=True)), "count": count}
            for labels, count in sorted(found.streams.items())
        ],
        "sessions": [
            {"host": host, "who": who, "state": state, "count": count}
            for (host, who, state), count in sorted(found.sessions.items())
        ],
        "servers": sorted((inspection.entry(*each) for each in servers), key=lambda each: str(each["jid"])),
        "warnings": [{"domain": domain, **warning.facts()} for domain, warning in latest],
        "certificates": [
            {"domain": domain, "expires": each.notAfter, "sha256": each.sha256} for domain, each in sorted(own.items())
        ],
        "links": {state: found.links[state] for state in LINK_STATES},
        "queues": [
            {"local": local, "remote": remote, "stanzas": count}
            for (local, remote), count in nlargest(MOST, waiting.items(), key=lambda pair: pair[1])
        ],
        "queued": {"stanzas": found.queuedStanzas, "octets": found.queuedOctets},
    }


# --- the page -----------------------------------------------------------------------------------------------------


def page(view: Mapping[str, Any]) -> bytes:
    """The page; everything in it that anybody could have chosen is escaped."""
    clients = [each for each in view["streams"] if each["kind"] != "s2s"]
    routed, bounced = (view["stanzas"][key] for key in ("routed", "bounced"))
    sections = [
        section(
            "Changed certificates", ("Domain", "When (UTC)", "Who called", "What"), map(warningRow, view["warnings"])
        ),
        section(
            "Streams with other servers",
            ("Domains", "TLS", "Cipher", "Mechanism", "Proof", "Certificate", "In / out", "Age"),
            map(serverRow, view["servers"]),
        ),
        section("Waiting for other servers", ("Pair", "Stanzas"), map(queueRow, view["queues"])),
        section(
            "Our certificates",
            ("Domain", "Expires (UTC)", "SHA-256"),
            (certificateRow(each, view["time"]) for each in view["certificates"]),
        ),
        section(
            "Streams of clients and components",
            ("Kind", "TLS", "Cipher", "Mechanism", "How many"),
            ([show(each[key]) for key in ("kind", "tls", "cipher", "mechanism", "count")] for each in clients),
        ),
        section(
            "Sessions",
            ("Host", "Whose", "State", "How many"),
            ([show(each[key]) for key in ("host", "who", "state", "count")] for each in view["sessions"]),
        ),
    ]
    hosts = show(", ".join(view["hosts"]))
    return (
        "<!DOCTYPE html>\n<html lang='en'>\n<head>\n<meta charset='utf-8'>\n"
        "<meta name='viewport' content='width=device-width, initial-scale=1'>\n"
        f"<title>xmppd: {hosts}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n"
        f"<h1>{hosts}</h1>\n"
        f"<p class='quiet'>xmppd {show(view['version'])}, up {show(span(view['uptime']))};"
        f" {show(day(view['time']))} UTC;"
        f" {routed} stanzas routed, {bounced} returned. As <a href='/status.json'>JSON</a>, as"
        " <a href='/metrics'>metrics</a>.</p>\n" + "".join(sections) + "</body>\n</html>\n"
    ).encode()


def section(title: str, headings: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table under a heading. Cells are HTML."""
    body = "".join(f"<tr>{''.join(f'<td>{each}</td>' for each in row)}</tr>\n" for row in rows)
    if not body:
        return f"<h2>{escape(title)}</h2>\n<p class='quiet'>None.</p>\n"
    head = "".join(f"<th scope='col'>{escape(each)}</th>" for each in headings)
    table = f"<table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{body}</tbody>\n</table>"
    return f"<h2>{escape(title)}</h2>\n<div class='wide'>{table}</div>\n"


def show(value: Any) -> str:
    """A value as HTML; nothing is a dash."""
    return escape(cell(value))


def warningRow(warning: Mapping[str, Any]) -> list[str]:
    """A change that nobody has acknowledged."""
    way = "it to us" if warning["incoming"] else "we to it"
    what = f"<span class='bad'>{show(' '.join(warning['changes']))}</span>: {show(warning['text'])}"
    return [show(warning["domain"]), show(day(warning["at"])), way, what]


def serverRow(stream: Mapping[str, Any]) -> list[str]:
    """A stream with another server, or a component's."""
    certificate = stream["certificate"]
    facts = "-"
    if certificate is not None and not certificate.get("unreadable"):
        issuer = "itself" if certificate["self_issued"] else certificate["issuer"]
        hash = f"<code>{show(certificate['sha256'])}</code>"
        facts = f"until {show(day(certificate['not_after']))}, by {show(issuer)}<br>{hash}"
    proof, tls = show(stream["proof"]), show(stream["tls"])
    if stream["kind"] == "s2s":
        style = "good" if stream["proof"] in CERTIFIED else "bad" if stream["proof"] == "none" else "weak"
        proof = f"<span class='{style}'>{proof}</span>"
        tls = tls if stream["tls"] else "<span class='bad'>none</span>"
    name = show(stream["jid"])
    if stream["change"]:
        name += f"<br><span class='bad'>changed: {show(' '.join(stream['change']['changes']))}</span>"
    if stream["state"] not in ("server", "component"):
        name += f"<br><span class='quiet'>{show(stream['state'])}</span>"
    traffic = f"{show(octets(stream['in']))}\N{NO-BREAK SPACE}/ {show(octets(stream['out']))}"
    cipher, mechanism, age = show(stream["cipher"]), show(stream["mechanism"]), show(span(stream["age"]))
    return [name, tls, cipher, mechanism, proof, facts, traffic, age]


def queueRow(queue: Mapping[str, Any]) -> list[str]:
    """What waits for a pair of domains."""
    return [f"{show(queue['local'])} → {show(queue['remote'])}", show(queue["stanzas"])]


def certificateRow(certificate: Mapping[str, Any], now: float) -> list[str]:
    """A certificate of ours."""
    left = certificate["expires"] - now
    days = f"{int(left // DAY)} days left" if left > 0 else "expired"
    style = "bad" if left < SOON else "quiet"
    when = f"{show(day(certificate['expires']))} <span class='{style}'>({days})</span>"
    return [show(certificate["domain"]), when, f"<code>{show(certificate['sha256'])}</code>"]


# --- the web site -------------------------------------------------------------------------------------------------


@implementer(IWebResource)
class Status:
    """The page and its JSON."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._names = {"localhost", *map(asciiName, server.hosts)}

    def respond(self, request: WebRequest) -> WebResponse | Deferred[WebResponse | None] | None:
        """See L{IWebResource}."""
        if request.path not in ("/", "/status", "/status.json"):
            return None
        if request.method not in ("GET", "HEAD") or request.length != 0:
            return plain(405, {"Allow": "GET, HEAD"})
        if not self._isOurs(request.headers.get("host", "")):
            return plain(421)
        if request.path == "/":
            return plain(302, {"Location": "/status"})
        return Deferred.fromCoroutine(self._respond(request.path.endswith(".json")))

    def _isOurs(self, host: str) -> bool:
        """Whether somebody who can't make up names for this machine has asked for that one."""
        name = host[1:].partition("]")[0] if host.startswith("[") else host.partition(":")[0]
        try:
            return bool(ip_address(name))
        except ValueError:
            return name.lower().removesuffix(".") in self._names

    async def _respond(self, asJSON: bool) -> WebResponse:
        view = await overview(self._server)
        if asJSON:
            return WebResponse(200, {"Content-Type": "application/json"}, json.dumps(view, indent=1).encode() + b"\n")
        headers = {"Content-Type": "text/html; charset=utf-8", "Content-Security-Policy": POLICY}
        return WebResponse(200, headers, page(view))


def monitoringEndpoints(server: Server) -> list[tuple[str, str, WebFactory]]:
    """For each endpoint of C{listen.metrics} the option, its text, and what makes its connections."""
    site = WebSite()
    site.mount("/metrics", Metrics(server))
    status = Status(server)
    for path in ("/", "/status", "/status.json"):
        site.mount(path, status)
    admission = Admission(server.clock, LIMITS)
    factory = WebFactory(site, server.clock, admission, server.others, Networks())
    return [("listen.metrics", text, factory) for text in server.config.listen.metrics]
