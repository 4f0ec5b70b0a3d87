"""
What the web site has for clients: WebSockets, BOSH, and the document that tells where they are.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any
from urllib.parse import urlsplit

from xmppd.config import WebConfig
from xmppd.ixmppd import IReception
from xmppd.net import bosh, hostmeta, websocket
from xmppd.net.admission import Admission
from xmppd.net.bosh import Bosh
from xmppd.net.c2s import ClientFactory
from xmppd.net.hostmeta import HostMeta
from xmppd.net.site import WebSite
from xmppd.net.turns import Turns
from xmppd.net.websocket import WebSockets
from xmppd.stream.framed import FramedStream
from xmppd.wire.origins import Origins


def originsOf(config: WebConfig, domains: Iterable[str]) -> Origins:
    """Whose web pages may connect."""
    own = [urlsplit(config.url).hostname or ""] if config.url is not None else []
    return Origins.of(config.origins, [*domains, *own])


def mountClients(
    site: WebSite,
    config: WebConfig,
    domains: Iterable[str],
    reception: IReception,
    admission: Admission,
    turns: Turns,
    connections: set[Any],
) -> None:
    """
    Let clients in.

    @param domains: those of the hosts.
    @param connections: where those of all clients are.
    """
    domains = tuple(domains)
    origins = originsOf(config, domains)

    def stream(transport: Any, reception: IReception) -> FramedStream:
        return FramedStream(transport, reception, config.seeOther)

    paths: dict[str, str] = {}
    if config.websocket:
        clients = ClientFactory(reception, admission, turns, None, None, connections, stream)
        site.mount(websocket.PATH, WebSockets(clients, origins))
        paths[hostmeta.WEBSOCKET] = websocket.PATH
    if config.bosh:
        site.mount(bosh.PATH, Bosh(reception, admission, turns, connections, origins))
        paths[hostmeta.XBOSH] = bosh.PATH
    meta = HostMeta(paths, config.url, domains, site.address)
    for path in (hostmeta.XRD_PATH, hostmeta.JRD_PATH):
        site.mount(path, meta)
