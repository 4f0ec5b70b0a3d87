"""
Software version (XEP-0092): name and version of the server, and its operating system only if the option says so.
"""

from __future__ import annotations

import platform

from xmppd import __version__
from xmppd.hooks import EVERYWHERE, Feature, Option, Spec
from xmppd.ixmppd import IHost, Request
from xmppd.wire import ns
from xmppd.wire.element import Element

NAME = "xep0092_version"


class Version:
    """Tells what software this is."""

    def __init__(self, host: IHost, system: str) -> None:
        """
        @param system: what to say if the operating system may be told.
        """
        self._host = host
        self._system = system

    def respond(self, request: Request) -> Element:
        """Name and version (section 2); the system too, if an administrator wants that (section 5)."""
        told = {"name": "xmppd", "version": __version__}
        if self._host.option(NAME, "show_os"):
            told["os"] = self._system
        children = tuple(Element(name, ns.VERSION, {}, (text,)) for name, text in told.items())
        return Element("query", ns.VERSION, {}, children)


def join(host: IHost) -> None:
    """Answer for the domain."""
    version = Version(host, f"{platform.system()} {platform.release()}".strip() or "unknown")
    host.respond("host", "get", ns.VERSION + " query", version.respond)


feature = Feature(
    name=NAME,
    specs=(Spec("XEP-0092", "1.1"),),
    namespaces=(ns.VERSION,),
    options={"show_os": Option(False, "Whether the operating system and its version are told.")},
    join=join,
    joins=EVERYWHERE,
)
