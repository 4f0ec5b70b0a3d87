"""
C{xmppd demo}: a server to try things with, on this machine only, that needs nothing to be prepared.

It is an ordinary server: the configuration is written into the data folder, and read from there.
"""

from __future__ import annotations

import errno
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from twisted.logger import Logger

from xmppd.config import Configuration, load
from xmppd.ctl.check import tried
from xmppd.ctl.exits import EX_OSERR, CannotStart
from xmppd.ctl.folder import DataFolder
from xmppd.ixmppd import StoreUnavailable
from xmppd.trust.certificates import CertificateError, loadCertificate
from xmppd.trust.selfsigned import makeCertificate
from xmppd.wire.errors import StanzaCondition, StanzaError

if TYPE_CHECKING:
    from xmppd.tap import Server

log = Logger(namespace="xmppd.demo")

DOMAIN = "example.org"
ADDRESS = "127.0.0.1"
ACCOUNTS = ("romeo", "juliet", "admin", "paypal")
"""Accounts whose passwords are their names; one of them is there to be imitated."""

LOBBY = f"lobby@rooms.{DOMAIN}"
"""A room for everybody."""

PORT = 5222
WEB_PORT = 5280
TRIES = 100
"""How many ports are tried from the wished one on."""

CONFIGURATION = """\
# Written by `xmppd demo` at each start: changes are lost.
data = "."

[listen]
c2s = ["tcp:{c2s}:interface={address}"]
c2s_tls = ["tcp:{c2sTls}:interface={address}"]

http = ["tcp:{web}:interface={address}"]

[web]
chat = true
chat_room = "{lobby}"
origins = ["http://{address}:{web}", "http://localhost:{web}"]
# No reverse proxy on this machine speaks for others, so browsers on it may log in without TLS.
proxies = []

[tls]
certificates = "certs"

[log]
level = "warn"

[limits]
registrations_per_hour = 100

[host."{domain}"]
guests = "public"
registration = "open"
admins = ["admin@{domain}"]

# Names that look like others (XEP-0165) are refused, and here it is said which others; a public server keeps that to
# itself, since it tells who has an account.
[host."{domain}".names]
handles = "refuse"
disclose = true

[rooms."rooms.{domain}"]
name = "Chat rooms"

[features.xep0313_archive]
accounts = true
"""

WELCOME = """\
xmppd serves {domain} on {address}: port {c2s} (STARTTLS), port {c2sTls} (TLS from the start), port {web} (HTTP).
Accounts: {accounts}; each password is the name. admin is the administrator.
Guests: anybody on this machine is let in WITHOUT a password (SASL ANONYMOUS), restricted as on public servers: bounds
on pace, recipients, rooms, storage and time; other servers are out of reach. Whatever a guest leaves behind is removed
when it goes, also after a crash. The values in force: xmppctl --config {config} check guests
Certificate: made here, so clients have to be told to trust it: {certificate}
SHA-256 {fingerprint}
Data: {folder} ({fate})

Everybody on this machine can create an account, unless its name looks like another.
Try in a browser, as a guest or with an account:
  {page}
    "Create an account": paypa1 is refused, since there is paypal. "Names" takes any name apart.
  {page}widget-demo.html    (the same chat in somebody's own page)
Try, each in a terminal:
  profanity       /connect romeo@{domain} server {address} port {c2s} tls trust
  go-sendxmpp     echo hello | go-sendxmpp -n -u juliet@{domain} -p juliet -j {address}:{c2s} romeo@{domain}
  slixmpp         {python} {example} {address} {c2s} {certificate}{lacking}
  xmppctl         {xmppctl} --config {config} status

Ctrl-C ends it.
"""

LACKING = "\n                  (which needs {python} -m pip install slixmpp)"
"""Added where the example would not run: the demo itself needs no client."""

EXAMPLE = '''\
"""Juliet greets Romeo with slixmpp, and waits for a minute for an answer. Written by `xmppd demo`."""

import asyncio
import sys

import slixmpp

address, port, certificate = sys.argv[1], int(sys.argv[2]), sys.argv[3]
juliet = slixmpp.ClientXMPP("juliet@{domain}", "juliet")
juliet.ca_certs = certificate
juliet.add_event_handler("message", lambda message: print(message["from"], message["body"]))


async def greet(event):
    juliet.send_presence()
    await juliet.get_roster()
    juliet.send_message("romeo@{domain}", "Wherefore art thou?", mtype="chat")
    print("said hello; waiting for an answer")


juliet.add_event_handler("session_start", greet)
try:
    juliet.connect(host=address, port=port)
except TypeError:  # before slixmpp 1.9
    juliet.connect((address, port))
asyncio.get_event_loop().run_until_complete(asyncio.sleep(60))
'''


class Demo:
    """
    One demo.

    @ivar config: its configuration.
    """

    def __init__(self, folder: Path, kept: bool, port: int = PORT) -> None:
        """
        Prepare the folder. Blocks on the disk.

        @param kept: whether the folder outlives the demo.
        @param port: the wished port; the next free one is taken. 0: any.
        @raise CannotStart: there is no free port, or the folder can't be used.
        """
        self._folder = folder
        self._kept = kept
        self._ports = freePorts(port)
        file = folder / "demo.toml"
        lock = DataFolder(file, folder)
        lock.acquire()  # lest the files of a demo that runs are changed
        try:
            self._certificate = certificateIn(folder / "certs")
            c2s, c2sTls, web = self._ports
            values = {"c2s": c2s, "c2sTls": c2sTls, "web": web, "address": ADDRESS, "domain": DOMAIN, "lobby": LOBBY}
            file.write_text(CONFIGURATION.format(**values), "utf-8")
            (folder / "juliet.py").write_text(EXAMPLE.format(domain=DOMAIN), "utf-8")
        except OSError as error:
            line = f"{folder}: {error.strerror}; name a folder that can be written: --data DIR"
            raise CannotStart(EX_OSERR, line) from None
        finally:
            lock.release()
        self.config: Configuration = load(file)

    async def populate(self, server: Server) -> None:
        """Make the accounts that aren't there yet."""
        registrar = server.hosts[DOMAIN].registrar
        for name in ACCOUNTS:
            try:
                await registrar.create(name, name, by="demo")
            except StanzaError as error:
                if error.condition != StanzaCondition.CONFLICT:
                    raise

    async def furnish(self, server: Server) -> None:
        """Make the room that isn't there yet; once the server runs."""
        rooms = server.serviceHosts[f"rooms.{DOMAIN}"].rooms
        assert rooms is not None
        try:
            await rooms.establish(LOBBY, f"admin@{DOMAIN}", "Lobby")
        except (StanzaError, StoreUnavailable) as error:
            log.warn("there is no {room}: {error}", room=LOBBY, error=error)

    def welcome(self, programs: Path, python: str) -> str:
        """
        What to tell the user.

        @param programs: the folder of the commands.
        """
        c2s, c2sTls, web = self._ports
        return WELCOME.format(
            domain=DOMAIN,
            address=ADDRESS,
            c2s=c2s,
            c2sTls=c2sTls,
            web=web,
            page=f"http://{ADDRESS}:{web}/",
            accounts=", ".join(f"{name}@{DOMAIN}" for name in ACCOUNTS),
            certificate=self._certificate,
            fingerprint=fingerprint(self._certificate),
            folder=self._folder,
            fate="kept" if self._kept else "removed at the end; --data DIR keeps it",
            python=python,
            example=self._folder / "juliet.py",
            lacking=LACKING.format(python=python) if find_spec("slixmpp") is None else "",
            xmppctl=programs / "xmppctl" if (programs / "xmppctl").exists() else "xmppctl",
            config=self.config.file,
        )


def certificateIn(folder: Path) -> Path:
    """The demo's certificate: one that is there and still good for a day, or a new one."""
    path = folder / f"{DOMAIN}.pem"
    try:
        if loadCertificate(path, time.time()).notAfter > time.time() + 86_400:
            return path
    except CertificateError:
        pass
    return makeCertificate([DOMAIN], folder, time.time())


def fingerprint(path: Path) -> str:
    """The SHA-256 of a certificate as clients show it."""
    digest = loadCertificate(path, time.time()).sha256.upper()
    return ":".join(digest[i : i + 2] for i in range(0, len(digest), 2))


def freePorts(first: int) -> tuple[int, int, int]:
    """
    Two free ports, from the wished one on, and one for HTTP.

    @raise CannotStart: there are none.
    """
    free = candidates(first)
    try:
        taken = next(free), next(free)
        return *taken, next(port for port in (candidates(WEB_PORT) if first else free) if port not in taken)
    except StopIteration:
        line = f"no two free ports on {ADDRESS} from {first} on; name another with --port"
        raise CannotStart(EX_OSERR, line) from None


def candidates(first: int) -> Iterator[int]:
    """Free ports."""
    if first == 0:
        yield from anyPorts()
        return
    for port in range(first, min(first + TRIES, 65_536)):
        error = tried("tcp", f"interface={ADDRESS}", port)
        if error is None:
            yield port
        elif error.errno != errno.EADDRINUSE:
            raise CannotStart(EX_OSERR, f"port {port}: {error.strerror}; name another with --port")


def anyPorts() -> tuple[int, ...]:
    """Three ports that the system picks."""
    import socket
    from contextlib import ExitStack

    with ExitStack() as stack:
        return tuple(stack.enter_context(socket.create_server((ADDRESS, 0))).getsockname()[1] for _ in range(3))
