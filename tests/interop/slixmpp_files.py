"""
How people send each other files with slixmpp: C{python -m tests.interop.slixmpp_files SCENE}.

See L{tests.interop.slixmpp_people}, whose people these are. Files go up and down by Python's own HTTP client, whose
TLS checks the server's certificate.
"""

from __future__ import annotations

import asyncio
import http.client
import os
import socket
import ssl
import sys
from typing import Any
from urllib.parse import urlsplit

from slixmpp import JID
from slixmpp.exceptions import IqError

from tests.interop import slixmpp_people
from tests.interop.slixmpp_people import DEADLINE, SCENES, World

UPLOAD = "upload.example.org"
PROXY = "proxy.example.org"
NS = "urn:xmpp:http:upload:0"


class _Connection(http.client.HTTPSConnection):
    """To a name that no DNS knows."""

    def __init__(self, host: str, port: int, certificate: str) -> None:
        self._context = ssl.create_default_context(cafile=certificate)
        self._context.set_alpn_protocols(["h2", "http/1.1"])
        super().__init__(host, port, timeout=DEADLINE, context=self._context)

    def connect(self) -> None:
        """Connect to loopback, and check the certificate for the name."""
        plain = socket.create_connection(("127.0.0.1", self.port), DEADLINE)
        self.sock = self._context.wrap_socket(plain, server_hostname=self.host)


def transfer(world: World, method: str, url: str, body: bytes | None = None, headers: dict[str, str] | None = None) -> tuple[int, dict[str, str], bytes]:
    """One request by HTTP."""
    parts = urlsplit(url)
    connection = _Connection(parts.hostname or "", parts.port or 443, world.certificate)
    try:
        connection.request(method, parts.path, body, headers or {})
        response = connection.getresponse()
        return response.status, {name.lower(): value for name, value in response.getheaders()}, response.read()
    finally:
        connection.close()


async def upload(world: World) -> dict[str, Any]:
    """A file goes up and comes down; the service is found; lies are refused."""
    romeo = await world.login("romeo")
    loop = asyncio.get_running_loop()

    async def ask(*arguments: Any) -> tuple[int, dict[str, str], bytes]:
        return await loop.run_in_executor(None, transfer, world, *arguments)

    async def slot(size: int, name: str = "a picture.jpg") -> str:
        answer = await romeo.asks(f"<request xmlns='{NS}' filename='{name}' size='{size}' content-type='image/jpeg'/>", to=UPLOAD)
        put, get = answer.xml.find(f"{{{NS}}}slot")
        assert put.get("url") == get.get("url")
        return str(put.get("url"))

    items = await romeo.wait(romeo.plugin["xep_0030"].get_items(JID("example.org"), timeout=DEADLINE))
    info = await romeo.wait(romeo.plugin["xep_0030"].get_info(JID(UPLOAD), timeout=DEADLINE))
    seen: dict[str, Any] = {
        "items": sorted(str(item[0]) for item in items["disco_items"]["items"]),
        "identities": [list(each[:2]) for each in info["disco_info"]["identities"]],
        "form": "max-file-size" in str(info),
    }
    data = os.urandom(3_000_000)
    url = await slot(len(data))
    seen["host"] = urlsplit(url).hostname
    seen["put"] = (await ask("PUT", url, data, {"Content-Type": "image/jpeg"}))[0]
    status, headers, body = await ask("GET", url)
    seen["get"] = [status, body == data, headers["content-type"], headers["x-content-type-options"], headers.get("server")]
    part = await ask("GET", url, None, {"Range": "bytes=1000000-1999999"})
    seen["part"] = [part[0], part[2] == data[1_000_000:2_000_000]]
    seen["again"] = (await ask("PUT", url, data, {"Content-Type": "image/jpeg"}))[0]
    seen["longer"] = (await ask("PUT", await slot(10), b"x" * 11, {"Content-Type": "image/jpeg"}))[0]
    seen["otherType"] = (await ask("PUT", await slot(10), b"x" * 10, {"Content-Type": "text/html"}))[0]
    seen["refused"] = await slixmpp_people.refused(slot(10**12))
    seen["nothing"] = (await ask("GET", url.rpartition("/")[0] + "/"))[0]
    return seen


async def plugin(world: World) -> dict[str, Any]:
    """slixmpp's own plug-in uploads."""
    romeo = await world.login("romeo")
    romeo.register_plugin("xep_0363")
    upload = romeo.plugin["xep_0363"]
    found = await romeo.wait(upload.find_upload_service())
    slot = await romeo.wait(upload.request_slot(JID(UPLOAD), "x.png", 3, "image/png", timeout=DEADLINE))
    url = slot["http_upload_slot"]["put"]["url"]
    status, *_ = await asyncio.get_running_loop().run_in_executor(None, transfer, world, "PUT", url, b"abc", {"Content-Type": "image/png"})
    return {"found": str(found["from"]), "name": url.rpartition("/")[2], "status": status}


async def bytestream(world: World) -> dict[str, Any]:
    """Two people behind a proxy."""
    romeo, juliet = await world.login("romeo"), await world.login("juliet")
    for person, other in ((romeo, juliet), (juliet, romeo)):
        person.send_presence(pto=other.boundjid.full)  # strangers may not ask
        await other.sees(person.boundjid.full, "available")
    heard = bytearray()
    for person in (romeo, juliet):
        person.register_plugin("xep_0065", {"auto_accept": True})
    done = asyncio.Event()

    def data(octets: bytes) -> None:
        heard.extend(octets)
        if len(heard) >= 1_000_000:
            done.set()

    juliet.add_event_handler("socks5_data", data)
    sent = os.urandom(1_000_000)
    stream = await romeo.wait(romeo.plugin["xep_0065"].handshake(juliet.boundjid))
    for start in range(0, len(sent), 50_000):
        await stream.write(sent[start : start + 50_000])
    await romeo.wait(done.wait())
    seen: dict[str, Any] = {"equal": bytes(heard) == sent, "proxies": [str(jid) for jid in romeo.plugin["xep_0065"]._proxies]}
    try:
        await romeo.wait(romeo.plugin["xep_0065"].activate(JID(PROXY), "nobody's", juliet.boundjid, timeout=DEADLINE))
    except IqError as error:
        seen["refused"] = error.condition
    stream.transport.close()
    return seen


SCENES.update({scene.__name__: scene for scene in (upload, plugin, bytestream)})

if __name__ == "__main__":
    sys.exit(slixmpp_people.main())
