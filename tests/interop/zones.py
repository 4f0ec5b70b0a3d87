"""
Real DNS with DNSSEC on loopback: NSD answers for a root of its own and all below, signed by ldns, and Unbound validates
what it says, with the key of that root as trust anchor.
"""

from __future__ import annotations

import re
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from tests.interop.daemon import ADDRESS, DEADLINE, DidNotStart

PLACES = "/usr/sbin:/usr/bin"

MISSING = [each for each in ("nsd", "unbound", "ldns-signzone", "dig") if shutil.which(each, path=PLACES) is None]
"""What can't be had here."""

NEEDED = "NSD, Unbound, ldns and dig are needed (Debian: nsd unbound ldnsutils bind9-dnsutils)"

TOP = "example"
"""The domain that all zones are in."""

NSD = """\
server:
  ip-address: {address}@{port}
  username: ""
  chroot: ""
  zonesdir: "{folder}"
  database: ""
  pidfile: "{folder}/nsd.pid"
  xfrdfile: "{folder}/xfrd.state"
  xfrdir: "{folder}"
  zonelistfile: "{folder}/zones.list"
  logfile: "{folder}/nsd.log"
  server-count: 1
remote-control:
  control-enable: no
{zones}
"""

UNBOUND = """\
server:
  interface: {address}
  port: {port}
  access-control: {address} allow
  do-not-query-localhost: no
  chroot: ""
  username: ""
  directory: "{folder}"
  pidfile: "{folder}/unbound.pid"
  logfile: "{folder}/unbound.log"
  use-syslog: no
  val-log-level: 2
  module-config: "validator iterator"
  trust-anchor-file: "{folder}/anchor"
  cache-max-ttl: 1
  cache-max-negative-ttl: 1
  val-bogus-ttl: 1
  qname-minimisation: no
  num-threads: 1
remote-control:
  control-enable: no
{zones}
"""

STUB = """\
stub-zone:
  name: "{zone}"
  stub-addr: {address}@{port}
"""

ZONE = """\
$TTL 1
@ SOA ns.{top}. root.{top}. {serial} 1 1 1000 1
@ NS ns.{top}.
"""


class Zones:
    """
    Zones, who answers for them, and who validates.

    @ivar port: where the resolver listens.
    @ivar address: the address where both are.
    """

    def __init__(self, folder: Path, address: str = ADDRESS, within: Sequence[str] = ()) -> None:
        """
        @param within: what is put before commands, to have them run in a network namespace.
        """
        self.address = address
        self.port = freePort(address if not within else ADDRESS)
        self._authority = freePort(address if not within else ADDRESS)
        self._folder = folder
        self._within = tuple(within)
        self._zones: dict[str, list[str]] = {}
        self._unsigned: set[str] = set()
        self._keys: dict[str, str] = {}
        self._serial = 0
        self._processes: list[subprocess.Popen[bytes]] = []

    # --- what is in them

    def zone(
        self,
        name: str,
        *records: str,
        signed: bool = True,
        until: float | None = None,
        spoiled: Callable[[str], str] | None = None,
    ) -> None:
        """
        Make a zone of L{TOP}, or change one.

        @param records: lines of its file, with names that are relative to it.
        @param signed: whether it is signed, and its parent says so.
        @param until: until when the signatures are valid, in seconds since the epoch; None: for long.
        @param spoiled: what somebody makes of the file once it is signed.
        """
        known = name in self._zones
        if known and signed is (name in self._unsigned):
            raise ValueError("what the parent says doesn't change")
        self._zones[name] = list(records)
        if not signed:
            self._unsigned.add(name)
        self._write(name, until, spoiled)
        if known and self._processes:
            self._reload(name)

    def _write(self, name: str, until: float | None = None, spoiled: Callable[[str], str] | None = None) -> None:
        self._serial += 1
        text = ZONE.format(top=TOP, serial=self._serial) + "".join(f"{each}\n" for each in self._zones.get(name, ()))
        plain, finished = self._folder / f"{name or 'root'}.plain", self._folder / f"{name or 'root'}.zone"
        plain.write_text(f"$ORIGIN {name}.\n{text}")
        if name in self._unsigned:
            shutil.copy(plain, finished)
            return
        expires = time.time() + 86_400 if until is None else until
        stamps = [time.strftime("%Y%m%d%H%M%S", time.gmtime(each)) for each in (expires - 10 * 86_400, expires)]
        valid = ("-i", stamps[0], "-e", stamps[1])
        run("ldns-signzone", *valid, "-o", f"{name}.", "-f", str(finished), str(plain), self._key(name))
        if spoiled is not None:
            text = finished.read_text()
            changed = spoiled(text)
            if changed == text:
                raise ValueError("nothing was spoiled")
            finished.write_text(changed)

    def _key(self, name: str) -> str:
        """The path of a zone's key, without its suffix."""
        if name not in self._keys:
            made = run("ldns-keygen", "-a", "ECDSAP256SHA256", "-k", f"{name}.", folder=self._folder)
            self._keys[name] = str(self._folder / made.strip())
        return self._keys[name]

    def _record(self, name: str) -> str:
        """What the parent says about a zone's key."""
        return run("ldns-key2ds", "-n", "-2", self._key(name) + ".key").strip()

    @property
    def anchor(self) -> str:
        """The root's key as a record, for others who validate."""
        return " ".join(self._record("").partition(";")[0].split())

    # --- those who serve

    def start(self) -> None:
        """
        Answer from now on, for the zones that there are.

        @raise DidNotStart: somebody doesn't.
        """
        children = list(self._zones)
        self._zones[TOP] = [f"ns A {self.address}", *(f"{each}. NS ns.{TOP}." for each in children)]
        self._zones[TOP] += [self._record(each) for each in children if each not in self._unsigned]
        self._write(TOP)
        self._zones[""] = [f"{TOP}. NS ns.{TOP}.", f"ns.{TOP}. A {self.address}", self._record(TOP)]
        self._write("")
        shutil.copy(self._key("") + ".key", self._folder / "anchor")
        every = ["", TOP, *children]
        served = "".join(f'zone:\n  name: "{each}."\n  zonefile: "{each or "root"}.zone"\n' for each in every)
        stubs = "".join(STUB.format(zone=f"{each}.", address=self.address, port=self._authority) for each in every)
        self._serve("nsd", "-d", "-c", text=NSD.format(**self._values(self._authority, served)))
        self._serve("unbound", "-d", "-c", text=UNBOUND.format(**self._values(self.port, stubs)))
        self._until(lambda: "NOERROR" in self.ask(self.port, f"ns.{TOP}", "A"))

    def _values(self, port: int, zones: str) -> dict[str, object]:
        return {"address": self.address, "port": port, "folder": self._folder, "zones": zones}

    def _serve(self, name: str, *arguments: str, text: str) -> None:
        path = self._folder / f"{name}.conf"
        path.write_text(text)
        with (self._folder / f"{name}.log").open("ab") as output:
            command = [*self._within, shutil.which(name, path=PLACES) or name, *arguments, str(path)]
            self._processes.append(subprocess.Popen(command, stdout=output, stderr=output))

    def _until(self, question: Callable[[], bool]) -> None:
        until = time.monotonic() + DEADLINE
        while time.monotonic() < until and all(each.poll() is None for each in self._processes):
            if question():
                return
            time.sleep(0.05)
        raise DidNotStart(self.written()[-3000:])

    def _reload(self, name: str) -> None:
        """Have a changed zone answered, and what was known of it forgotten."""
        self._processes[0].send_signal(1)
        serial = f" {self._serial} "
        self._until(lambda: serial in self.ask(self._authority, name, "SOA"))
        self._until(lambda: serial in self.ask(self.port, name, "SOA", "+cd"))
        time.sleep(1.1)

    def ask(self, port: int, name: str, type: str, *options: str) -> str:
        """What somebody answers, as dig shows it."""
        command = [*self._within, "dig", f"@{self.address}", "-p", str(port), "+time=1", "+tries=1", *options, name, type]
        return subprocess.run(command, capture_output=True, text=True).stdout

    def written(self) -> str:
        """What both have logged."""
        return "".join(each.read_text("utf-8", "replace") for each in sorted(self._folder.glob("*.log")))

    def close(self) -> None:
        """Answer no more."""
        for process in self._processes:
            process.terminate()
        for process in self._processes:
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self._processes.clear()


def run(*command: str, folder: Path | None = None) -> str:
    """What a command prints."""
    return subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True).stdout


def freePort(address: str) -> int:
    """A port at which nobody listens, neither by TCP nor by UDP."""
    while True:
        with socket.socket() as stream, socket.socket(type=socket.SOCK_DGRAM) as datagram:
            stream.bind((address, 0))
            number: int = stream.getsockname()[1]
            try:
                datagram.bind((address, number))
            except OSError:
                continue
            return number


def otherTLSA(text: str) -> str:
    """A signed zone in which somebody has put another digest into the TLSA records."""
    return re.sub(r"(\tTLSA\t\d \d \d )([0-9a-f]{8})", lambda found: found[1] + found[2][::-1].replace("0", "f"), text)
