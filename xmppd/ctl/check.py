"""
C{xmppctl check}: would the server start, and what should its administrator know?

It reads the configuration and the certificates, looks at the database without changing it, and tries the ports. What
would keep the server from starting is an error; what somebody may regret is a warning. If a server runs with this
configuration, its own ports and database are not held against it.
"""

from __future__ import annotations

import os
import pyexpat
import queue
import re
import socket
import sqlite3
import stat
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

from twisted.python.failure import Failure

from xmppd.config import Configuration, ConfigurationError, HostConfig, load
from xmppd.ctl.exits import CannotStart, cannotListen, explain
from xmppd.ctl.guests import plain, shown
from xmppd.restrict.profiles import review
from xmppd.trust.expiry import DAY, endOf, stage

EXPAT = (2, 7, 2)
"""The oldest expat without known trouble."""

_TCP = re.compile(r"(tcp6?):(?:port=)?(\d+)(?::(.*))?$")


@dataclass(slots=True)
class Findings:
    """
    What was found.

    @ivar errors: what keeps the server from starting.
    @ivar warnings: what somebody may regret.
    """

    errors: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


def check(file: Path, running: bool = False) -> Findings:
    """
    Look at everything.

    @param running: whether a server runs with this configuration.
    """
    found = Findings()
    try:
        config = load(file)
    except ConfigurationError as error:
        found.errors += [str(problem) for problem in error.problems]
        return found
    server = _server(config, found)
    found.warnings += configurationWarnings(config)
    if server is not None:
        found.warnings += certificateWarnings(server)
    if not running:
        found.errors += portProblems(config, server)
        found.errors += storeProblems(config)
    found.errors += folderProblems(config.data)
    return found


def _server(config: Configuration, found: Findings) -> Any:
    """The server, made and not started: it reads certificates, and checks features, their options and endpoints."""
    from twisted.internet import reactor

    from xmppd.tap import Server

    try:
        return Server(config, reactor)
    except (ConfigurationError, CannotStart) as error:
        found.errors += explain(error)[1]
        return None


# --- warnings


def configurationWarnings(config: Configuration) -> Iterator[str]:
    """What a configuration allows that somebody may regret."""
    file = config.file
    if tuple(map(int, pyexpat.EXPAT_VERSION.removeprefix("expat_").split("."))) < EXPAT:
        wanted = ".".join(map(str, EXPAT))
        yield f"{pyexpat.EXPAT_VERSION} is older than {wanted}: known attacks make it use much memory; update expat"
    listen, limits = config.listen, config.limits
    byWeb = (listen.http or listen.https) and (config.web.websocket or config.web.bosh)
    if not (listen.c2s or listen.c2sTls or byWeb):
        yield f"{file}: listen: no client can connect; set listen.c2s"
    if listen.c2s and not config.tls.requireC2s:
        yield f"{file}: tls.require_c2s: clients may log in and talk in plain text"
    if not limits.enabled:
        yield f"{file}: limits.enabled: nothing limits the pace of anybody; this is for benchmarks"
    for option, why in (("component", "components have no TLS"), ("metrics", "whoever gets there may read")):
        for endpoint in getattr(listen, option):
            if not endpoint.startswith("unix:") and re.search(r"interface=(127\.|\\:\\:1)", endpoint) is None:
                yield f"{file}: listen.{option}: {endpoint} is no loopback address, and {why}"
    yield from webWarnings(config)
    yield from peerWarnings(config)
    yield from hostWarnings(config)
    secrets = bool(config.components) or re.search(r"//[^/@]*:[^/@]+@", config.store.url) is not None
    if secrets and file.stat().st_mode & stat.S_IROTH:
        yield f"{file}: everybody can read the secrets in it; chmod o-r {file}"
    if config.data.exists() and config.data.stat().st_mode & 0o022:
        yield f"{config.data}: others than the server may write to it; chmod go-w {config.data}"


def peerWarnings(config: Configuration) -> Iterator[str]:
    """The same of other servers."""
    file, listen, s2s = config.file, config.listen, config.s2s
    if not (listen.s2s or listen.s2sTls):
        if s2s.enabled:
            yield f"{file}: listen.s2s: no server can connect, so few will take what ours sends"
        else:
            return
    policies = {"": (config.tls.requireS2s, s2s.prooftypes)}
    for name, each in s2s.peer.items():
        policies[name] = (config.tls.requireS2s if each.require is None else each.require, each.prooftypes or ())
    for name, (require, prooftypes) in policies.items():
        key = f's2s.peer."{name}"' if name else "s2s"
        if not require:
            yield f"{file}: {key if name else 'tls'}.require{'' if name else '_s2s'}: stanzas may pass in plain text"
        if "none" in prooftypes:
            yield f"{file}: {key}.prooftypes: whoever says that it is another server is believed"


def webWarnings(config: Configuration) -> Iterator[str]:
    """The same of clients that come by HTTP."""
    file, listen, web = config.file, config.listen, config.web
    if web.acmeChallenge is not None and not listen.http:
        yield f"{file}: web.acme_challenge: authorities ask on port 80 without TLS; set listen.http"
    if not (listen.http or listen.https) or not (web.websocket or web.bosh):
        return
    if "*" in web.origins:
        yield f"{file}: web.origins: every page in a user's browser may connect, and try passwords from there"
    if web.url is None and not listen.https:
        yield f"{file}: web.url: clients aren't told where they can connect by HTTP; say where the reverse proxy is"
    if listen.http and not config.tls.requireC2s:
        yield f"{file}: listen.http: clients may log in by HTTP in plain text, since tls.require_c2s is false"
    if listen.http and not web.proxies:
        yield f"{file}: web.proxies: a reverse proxy on this machine would make all its clients look like local ones"


def hostWarnings(config: Configuration) -> Iterator[str]:
    """The same of the hosts."""
    for domain, host in config.hosts.items():
        place = f'{config.file}: host."{domain}"'
        if host.plainWithoutTls:
            yield f"{place}.plain_without_tls: passwords may cross the network in the clear"
        if host.guests != "off":
            yield f'{place}.guests: whoever comes is let in without a password, as a guest of the kind "{host.guests}"'
            yield from relaxed(host, f"{place}.guest")
        if host.registration == "open":
            yield f"{place}.registration: everybody may make accounts, spammers too"


def relaxed(host: HostConfig, place: str) -> Iterator[str]:
    """What guests may do beyond their profile; C{check guests} shows all they may. Paces switched off are told once."""
    try:
        verdicts = tuple(review(host))
    except ConfigurationError:
        return  # which is an error, told elsewhere
    for verdict in verdicts:
        if verdict.change == "relaxed":
            value = shown(plain(verdict.value))
            yield f"{place}.{verdict.key}: {value} is more than the profile allows: {verdict.risk}"


def certificateWarnings(server: Any) -> Iterator[str]:
    """Certificates that clients don't like, or soon won't."""
    certificates = server.tls.certificates.values() if server.tls is not None else ()
    now = time.time()
    for certificate in certificates:
        yield from map(str, certificate.warnings)
        end = endOf(certificate)
        if stage(certificate.notBefore, end, now, server.config.tls.expiryWarningDays) and now < end:
            yield f"{certificate.path}: it expires in {int((end - now) // DAY)} days; renew it"


# --- what keeps the server from starting


def portProblems(config: Configuration, server: Any) -> Iterator[str]:
    """
    Ports that are taken.

    @param server: the server, which knows where its proxies listen; None if it can't be made.
    """
    for name, endpoint in (*listenEndpoints(config), *proxyEndpoints(server)):
        match = _TCP.match(endpoint)
        if match is not None and int(match[2]):
            error = tried(match[1], match[3] or "", int(match[2]))
            if error is not None:
                yield f"{name}: {cannotListen(endpoint, error)}"


def listenEndpoints(config: Configuration) -> Iterator[tuple[str, str]]:
    """The endpoints in C{[listen]}, each with its option."""
    for option in ("c2s", "c2sTls", "s2s", "s2sTls", "http", "https", "component", "metrics"):
        for endpoint in getattr(config.listen, option):
            yield f"listen.{option.replace('Tls', '_tls')}", endpoint


def proxyEndpoints(server: Any) -> Iterator[tuple[str, str]]:
    """The same of the SOCKS5 proxies."""
    for domain, host in server.serviceHosts.items() if server is not None else ():
        for endpoint in host.bytestreams.endpoints if host.bytestreams is not None else ():
            yield f'proxy."{domain}".listen', endpoint


def tried(kind: str, options: str, port: int) -> OSError | None:
    """Why a TCP port can't be opened, or None."""
    match = re.search(r"interface=((?:[^:\\]|\\.)*)", options)
    interface = match[1].replace("\\", "") if match else ""
    family = socket.AF_INET6 if kind == "tcp6" or ":" in interface else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((interface, port))
            probe.listen(1)
    except OSError as error:
        return error
    return None


def folderProblems(folder: Path) -> Iterator[str]:
    """A data folder that can't be made or written."""
    existing = folder
    while not existing.exists() and existing != existing.parent:
        existing = existing.parent
    if not existing.is_dir():
        yield f"{existing}: it is no folder, and the data folder is to be {folder}; move it away, or name another"
    elif not os.access(existing, os.W_OK | os.X_OK):
        yield f"{existing}: this user can't write there; check as the server's user, or give it the folder"


def storeProblems(config: Configuration) -> Iterator[str]:
    """
    A database that can't be used. SQLite's file is read and not written: who checks may be another user than the one
    who will own it. PostgreSQL's is opened, which also migrates it.
    """
    url = config.store.url
    if url == "memory:":
        return
    if url.startswith("sqlite:///"):
        yield from sqliteProblems(Path(url.removeprefix("sqlite:///")))
        return
    error = opened(config)
    if error is not None:
        yield from explain(error)[1]


def sqliteProblems(path: Path) -> Iterator[str]:
    """What is wrong with a file of SQLite's, if there is one."""
    if not path.exists():
        return
    try:
        connection = sqlite3.connect(f"file:{quote(str(path))}?mode=ro&immutable=1", uri=True)
        try:
            connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
        finally:
            connection.close()
    except sqlite3.Error as error:
        yield f"{path}: {error}; restore it from a backup, or move it away"


def opened(config: Configuration) -> BaseException | None:
    """Why the store can't be opened, or None. Runs what its threads hand over, as a reactor would."""
    from xmppd.tap import makeStore

    calls: queue.SimpleQueue[Callable[[], object]] = queue.SimpleQueue()

    class Caller:
        """All that a store needs of a reactor."""

        @staticmethod
        def callFromThread(function: Callable[..., object], *arguments: Any) -> None:
            """Run it in the loop below."""
            calls.put(lambda: function(*arguments))

    try:
        store = makeStore(config, Caller)
    except CannotStart as error:
        return error
    outcome: list[object] = []
    store.open().addBoth(outcome.append)
    while not outcome:
        calls.get(timeout=60)()
    if isinstance(outcome[0], Failure):
        return outcome[0].value
    closed: list[object] = []
    store.close().addBoth(closed.append)
    while not closed:
        calls.get(timeout=60)()
    return None
