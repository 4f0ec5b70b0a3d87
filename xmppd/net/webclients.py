"""
What the web site has for clients: WebSockets, BOSH, the document that tells where they are, and a chat in web pages;
and for authorities that ask whether a domain is ours.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

from xmppd.config import WebConfig
from xmppd.ixmppd import IHost, IReception
from xmppd.net import bosh, challenges, hostmeta, webchat, websocket
from xmppd.net.admission import Admission
from xmppd.net.bosh import Bosh
from xmppd.net.c2s import ClientFactory
from xmppd.net.challenges import Challenges
from xmppd.net.hostmeta import HostMeta
from xmppd.net.site import WebSite
from xmppd.net.turns import Turns
from xmppd.net.webchat import WebChat
from xmppd.net.websocket import WebSockets
from xmppd.stream.framed import FramedStream
from xmppd.wire.origins import Origins


def originsOf(config: WebConfig, domains: Iterable[str]) -> Origins:
    """Whose web pages may connect; those of a chat of our own in any case."""
    own = [urlsplit(config.url).hostname or ""] if config.url is not None else []
    names = [*domains, *own]
    origins = Origins.of(config.origins, names)
    return replace(origins, hosts=Origins.of((), names).hosts) if config.chat else origins


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
    if config.acmeChallenge is not None:
        site.mount(challenges.PATH, Challenges(config.acmeChallenge))


def mountChat(site: WebSite, config: WebConfig, hosts: Mapping[str, IHost]) -> None:
    """Have the chat in web pages, if it is wanted."""
    if config.chat:
        chat = WebChat(hosts, config.chatRoom, config.origins)
        for place in webchat.PLACES:
            site.mount(place, chat)
