"""
Other servers on loopback, each as a process of its own: Debian's Prosody, Debian's ejabberd, and a second one of ours.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from tests.interop.daemon import ADDRESS, DEADLINE, Daemon, DidNotStart
from tests.interop.middle import Middle, withoutOffer

PEER = "montague.example"
"""The domain of the other server."""

XMPPD = """\
data = "data"
[listen]
c2s = ["tcp:{port}:interface=127.0.0.1"]
c2s_tls = ["tcp:{tlsPort}:interface=127.0.0.1"]
s2s = ["tcp:0:interface=127.0.0.1"]
s2s_tls = ["tcp:0:interface=127.0.0.1"]
[tls]
certificates = "certs"
[log]
file = "log"
[limits]
enabled = false
{limits}
[s2s]
authorities = "ca.pem"
resolver = "127.0.0.1:RESOLVER"
bidi = false
SECTION
[host."montague.example"]
"""

PROSODY = """\
run_as_root = true
pidfile = "FOLDER/prosody.pid"
data_path = "FOLDER/data"
plugin_paths = {{ "FOLDER/modules" }}
certificates = "FOLDER/certs"
log = {{ debug = "FOLDER/log" }}
interfaces = {{ "127.0.0.1" }}
use_ipv6 = false
c2s_ports = {{ }}
c2s_direct_tls_ports = {{ {tlsPort} }}
s2s_ports = {{ {port} }}
s2s_direct_tls_ports = {{ {directPort} }}
authentication = "internal_plain"
storage = "internal"
modules_enabled = {{ "roster"; "saslauth"; "tls"; "dialback"; "disco"; "ping"; "presence"; "posix"; {modules} }}
unbound = {{ resolvconf = false; hoststxt = false; forward = "127.0.0.1@{resolver}";
  options = {{ ["do-not-query-localhost:"] = "no" }} }}
s2s_secure_auth = {secure}
ssl = {{ cafile = "FOLDER/ca.pem" }}
{options}
VirtualHost "montague.example"
  ssl = {{ certificate = "FOLDER/certs/montague.example.pem"; key = "FOLDER/certs/montague.example.pem";
    cafile = "FOLDER/ca.pem"; }}
"""

HIDES_STARTTLS = """\
module:hook("s2s-stream-features", function (event)
    event.features:maptags(function (tag) return tag.name ~= "starttls" and tag or nil end);
end, -1000);
"""
"""A module of Prosody that takes the offer of STARTTLS away; whoever asks gets it nevertheless."""

PROSODY_WITHOUT_TLS = 'modules_disabled = { "tls" }; s2s_require_encryption = false;'

EJABBERD = """\
hosts: [montague.example]
loglevel: info
certfiles: ["FOLDER/certs/montague.example.pem"]
ca_file: "FOLDER/ca.pem"
s2s_cafile: "FOLDER/ca.pem"
acme: {{auto: false}}
s2s_use_starttls: {starttls}
listen:
  - {{port: {tlsPort}, ip: "127.0.0.1", module: ejabberd_c2s, tls: true}}
  - {{port: {port}, ip: "127.0.0.1", module: ejabberd_s2s_in}}
  - {{port: {directPort}, ip: "127.0.0.1", module: ejabberd_s2s_in, tls: true}}
auth_method: internal
modules: {{mod_disco: {{}}, mod_ping: {{}}, mod_roster: {{}}, {modules}}}
"""

INETRC = '{{resolv_conf, ""}}.\n{{hosts_file, ""}}.\n{{lookup, [dns]}}.\n{{nameserver, {{127,0,0,1}}, {resolver}}}.\n'
"""What the resolver of Erlang shall ask, and that it reads nothing else."""

JULIET = 'ejabberd_auth:try_register(<<"juliet">>, <<"montague.example">>, <<"juliet">>).'

QUIET = ("+S", "1:1", "+sbwt", "none", "+sbwtdcpu", "none", "+sbwtdio", "none")
"""Options that keep Erlang from burning the time of processors while it waits."""

ERLANG_LIBRARIES = "/usr/lib/{machine}-linux-gnu"
"""Where Debian has ejabberd's own modules."""


def freePort() -> int:
    """A port that nobody listens at, for a server that can't choose by itself."""
    with socket.socket() as probe:
        probe.bind((ADDRESS, 0))
        number: int = probe.getsockname()[1]
        return number


class PeerServer:
    """
    Another server, with an account C{juliet} whose password is her name.

    @cvar external: what it logs when it has believed a certificate, of whom calls and of whom it calls.
    @cvar weak: what it logs when it has believed dialback, in the same order.
    @cvar ourHost: what the DNS has to say to it as the name of the machine that our server is on; None for a name that
        is in the DNS only.
    @ivar folder: all that it has: C{ca.pem}, C{certs/montague.example.pem} with key and certificate, its log.
    @ivar tlsPort: where clients connect with TLS.
    @ivar port: where servers connect.
    @ivar directPort: where they connect with TLS.
    """

    external: ClassVar[Sequence[str]] = ()
    weak: ClassVar[Sequence[str]] = ()
    ourHost: ClassVar[str | None] = None
    tlsPort: int
    port: int
    directPort: int
    folder: Path

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port, self.tlsPort, self.directPort = freePort(), freePort(), freePort()
        self._process: subprocess.Popen[bytes] | None = None

    @staticmethod
    def missing() -> str | None:
        """What to install, if it can't be started."""
        raise NotImplementedError

    def start(self) -> None:
        """
        Start it, and wait until it serves.

        @raise DidNotStart: it doesn't.
        """
        raise NotImplementedError

    def _run(self, command: Sequence[str], **environment: str) -> None:
        """
        Start a process, and wait until it listens.

        @raise DidNotStart: it doesn't.
        """
        with (self.folder / "output").open("ab") as output:
            self._process = subprocess.Popen(
                command,
                stdout=output,
                stderr=output,
                stdin=subprocess.DEVNULL,
                cwd=self.folder,
                env={**os.environ, "HOME": str(self.folder), **environment},
            )
        until = time.monotonic() + DEADLINE
        while time.monotonic() < until and self._process.poll() is None:
            try:
                for port in (self.tlsPort, self.port):
                    socket.create_connection((ADDRESS, port), 1).close()
            except OSError:
                time.sleep(0.05)
            else:
                return
        raise DidNotStart(self.written()[-3000:])

    def written(self) -> str:
        """What it has logged and printed."""
        files = (self.folder / "log", self.folder / "output")
        return "".join(file.read_text("utf-8", "replace") for file in files if file.exists())

    def stop(self) -> None:
        """End it."""
        process, self._process = self._process, None
        if process is not None:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


class Prosody(PeerServer):
    """Debian's Prosody."""

    external = ("Accepting SASL EXTERNAL identity from example.org", "SASL EXTERNAL with example.org succeeded")
    weak = ("Incoming s2s connection example.org->montague.example complete", "now authenticated for example.org")

    def __init__(
        self,
        folder: Path,
        resolver: int,
        *,
        strict: bool = False,
        plain: bool = False,
        hides: bool = False,
        modules: str = "",
        options: str = "",
    ) -> None:
        """
        @param strict: whether it wants certificates that prove something.
        @param plain: whether it has no TLS for servers.
        @param hides: whether it doesn't say that it has.
        @param modules: more of them.
        @param options: lines for its configuration.
        """
        super().__init__(folder)
        accounts = folder / "data" / "montague%2eexample" / "accounts"
        accounts.mkdir(parents=True)
        (accounts / "juliet.dat").write_text('return { ["password"] = "juliet"; };\n')
        (folder / "modules").mkdir()
        (folder / "modules" / "mod_hides_starttls.lua").write_text(HIDES_STARTTLS)
        text = PROSODY.format(
            port=self.port,
            tlsPort=self.tlsPort,
            directPort=self.directPort,
            resolver=resolver,
            secure="true" if strict else "false",
            modules=modules + ('"hides_starttls";' if hides else ""),
            options=options + (PROSODY_WITHOUT_TLS if plain else ""),
        )
        (folder / "prosody.cfg.lua").write_text(text.replace("FOLDER", str(folder)))

    @staticmethod
    def missing() -> str | None:
        """See L{PeerServer}."""
        return None if shutil.which("prosody") else "Prosody is not installed (apt-get install prosody lua-unbound)"

    def start(self) -> None:
        """See L{PeerServer}."""
        self._run(["prosody", "--config", str(self.folder / "prosody.cfg.lua"), "-F"])


class Ejabberd(PeerServer):
    """
    Debian's ejabberd, as a node of Erlang that knows no others. It asks the DNS where the servers of a domain are, but
    the system for the addresses of those names.
    """

    ourHost = "localhost"

    external = ("Accepted inbound s2s EXTERNAL authentication", "Accepted outbound s2s EXTERNAL authentication")
    weak = ("Accepted inbound s2s dialback authentication", "Accepted outbound s2s dialback authentication")

    def __init__(
        self, folder: Path, resolver: int, *, strict: bool = False, plain: bool = False, hides: bool = False
    ) -> None:
        """
        See L{Prosody}. Nothing of ejabberd hides its offer of STARTTLS, so that somebody in front of it does.
        """
        super().__init__(folder)
        (folder / "spool").mkdir()
        text = EJABBERD.format(
            port=self.port,
            tlsPort=self.tlsPort,
            directPort=self.directPort,
            starttls="false" if plain else "required" if strict else "optional",
            modules="" if strict else "mod_s2s_dialback: {}",
        )
        (folder / "ejabberd.yml").write_text(text.replace("FOLDER", str(folder)))
        (folder / "inetrc").write_text(INETRC.format(resolver=resolver))
        self._own = self.port
        self._middle = Middle(self.port, withoutOffer) if hides else None
        if self._middle is not None:
            self.port = self._middle.port

    @staticmethod
    def libraries() -> Path:
        """Where Debian has it."""
        return Path(ERLANG_LIBRARIES.format(machine=os.uname().machine))

    @staticmethod
    def missing() -> str | None:
        """See L{PeerServer}."""
        found = shutil.which("erl") and any(Ejabberd.libraries().glob("ejabberd-*"))
        return None if found else "ejabberd is not installed (apt-get install ejabberd)"

    def start(self) -> None:
        """See L{PeerServer}."""
        self._run(
            ["erl", *QUIET, "-noinput", "-mnesia", "dir", f'"{self.folder}/spool"', "-s", "ejabberd", "-eval", JULIET],
            ERL_LIBS=str(self.libraries()),
            ERL_INETRC=str(self.folder / "inetrc"),
            ERL_CRASH_DUMP_BYTES="0",
            EJABBERD_CONFIG_PATH=str(self.folder / "ejabberd.yml"),
            EJABBERD_LOG_PATH=str(self.folder / "log"),
        )

    def stop(self) -> None:
        """See L{PeerServer}."""
        super().stop()
        if self._middle is not None:
            self._middle.close()


class Xmppd(PeerServer):
    """
    A second server of ours.

    @ivar daemon: its process.
    """

    external = ("s2s heard: local=montague.example remote=example.org proof=PKIX", "s2s spoken: local=montague.example")
    weak = ("s2s heard: local=montague.example remote=example.org proof=dialback", "s2s spoken: local=montague.example")

    def __init__(self, folder: Path, resolver: int, *, section: str = "", lax: bool = False) -> None:
        """
        @param section: lines for C{[s2s]}.
        @param lax: whether it believes by dialback whom it has believed by more.
        """
        super().__init__(folder)
        section += '\ndowngrades = "warn"' if lax else ""
        self._populated = False
        self.daemon = Daemon(folder, XMPPD.replace("RESOLVER", str(resolver)).replace("SECTION", section))

    @staticmethod
    def missing() -> str | None:
        """See L{PeerServer}: nothing."""
        return None

    def start(self) -> None:
        """See L{PeerServer}."""
        self.daemon.start()
        ports = {each["option"]: int(each["address"].rpartition(":")[2]) for each in self.daemon.ask("status")["ports"]}
        self.port, self.directPort = ports["listen.s2s"], ports["listen.s2s_tls"]
        self.tlsPort = ports["listen.c2s_tls"]
        if not self._populated:
            self.daemon.ask("user add", jid=f"juliet@{PEER}", password="juliet")
            self._populated = True

    def stop(self) -> None:
        """See L{PeerServer}."""
        if self.daemon.alive:
            self.daemon.stop()
