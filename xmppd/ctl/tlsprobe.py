"""
Looking at a live listener from outside: connections that should succeed, and many that should not, each a question of
L{xmppd.trust.audit}.

What a TLS library would still offer is asked by whole handshakes; what none does, by a hello alone
(L{xmppd.trust.hello}). Whether a listener refuses something or isn't reached any more looks alike, so at the end it
has to accept a proper handshake once more; otherwise nothing of what it seemed to refuse counts. A listener is asked
by about twenty connections, fewer than the server takes from one address in a minute.
"""

from __future__ import annotations

import ipaddress
import re
import socket
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final
from xml.sax.saxutils import quoteattr

from OpenSSL import SSL

from xmppd.trust.audit import ListenerFacts
from xmppd.trust.certificates import asciiDomain
from xmppd.trust.hello import (
    BAD_SUITES,
    EXTENDED_MASTER_SECRET,
    GROUPS,
    RENEGOTIATION_INFO,
    SHA1_SIGNATURES,
    SMALL_GROUPS,
    SUITES,
    TRUNCATED_HMAC,
    VERSIONS,
    Answer,
    clientHello,
    isOldAnswer,
    oldHello,
    readAnswer,
)
from xmppd.trust.ocsp import StapleRecorder
from xmppd.trust.openssl import maxEarlyData, setGroups, ticketLife
from xmppd.trust.pkix import presentedChain

STEP: Final = 4.0
"""How many seconds one connection may take."""

BUDGET: Final = 30.0
"""How many seconds all connections to one listener may take."""

MOST: Final = 1 << 16
"""How many octets are read of any answer."""

UNKNOWN_NAME: Final = "unknown.invalid"
UNKNOWN_PROTOCOL: Final = b"spdy/1"

SERVICES: Final = {
    "listen.c2s": ("xmpp-client", False, b"xmpp-client"),
    "listen.c2s_tls": ("xmpp-client", True, b"xmpp-client"),
    "listen.s2s": ("xmpp-server", False, b"xmpp-server"),
    "listen.s2s_tls": ("xmpp-server", True, b"xmpp-server"),
    "listen.https": ("https", True, b"http/1.1"),
}
"""By option: the service, whether TLS begins at once, and its name for ALPN."""


class NotReached(Exception):
    """A listener doesn't answer as it should; says why."""


@dataclass(frozen=True, slots=True)
class Door:
    """
    A listener, and where to knock.

    @ivar option: which one, a key of L{SERVICES}.
    @ivar host: the address.
    @ivar domain: the domain to ask for.
    """

    option: str
    host: str
    port: int
    domain: str

    @property
    def name(self) -> str:
        """For people."""
        return f"{self.option} {self.host}:{self.port}"

    @property
    def direct(self) -> bool:
        """Whether TLS begins at once."""
        return SERVICES[self.option][1]


def doorsOf(ports: Iterable[Mapping[str, Any]], domain: str) -> list[Door]:
    """
    The listeners with TLS among the ports that a running server tells of.

    @param ports: C{option} and C{address} of each.
    """
    doors = []
    for each in ports:
        host, _, port = str(each["address"]).rpartition(":")
        if each["option"] in SERVICES and port.isdigit():
            doors.append(Door(each["option"], _reachable(host.strip("[]")), int(port), domain))
    return doors


def _source(door: Door) -> tuple[str, int] | None:
    """
    Where to come from. On Linux, loopback has many addresses: by one for each port, connections don't count for other
    programs on this machine, nor for each other.
    """
    if not sys.platform.startswith("linux") or not door.host.startswith("127."):
        return None
    return f"127.53.{door.port >> 8}.{door.port & 255}", 0


def _reachable(host: str) -> str:
    """An address to connect to, for one to listen on."""
    return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104


def probe(door: Door, seconds: Callable[[], float] = time.monotonic) -> tuple[ListenerFacts, str | None]:
    """
    The facts of a listener; and why there are none, if there aren't.

    @param seconds: a clock for the bounds.
    """
    service, direct, _ = SERVICES[door.option]
    nothing = ListenerFacts(door.name, service, direct, domain=door.domain)
    try:
        return Probe(door, seconds).facts(nothing), None
    except (NotReached, OSError) as error:
        return nothing, f"{door.name}: {error}; nothing is known about it"


class Probe:
    """All the connections to one listener."""

    def __init__(self, door: Door, seconds: Callable[[], float]) -> None:
        self._door = door
        self._seconds = seconds
        self._until = seconds() + BUDGET
        self._plaintext: bool | None = False if door.direct else None
        self._alpn = SERVICES[door.option][2]
        self._staples = StapleRecorder()
        self._ticketLife: int | None = None

    def facts(self, nothing: ListenerFacts) -> ListenerFacts:
        """
        Everything.

        @raise NotReached: it doesn't shake hands properly, at first or in the end.
        """
        chain, stapled = self._certificate()
        versions, answers = self._versions()
        modern = answers.get("TLSv1.2")
        found = replace(
            nothing,
            plaintext=self._plaintext,
            versions=versions,
            suites=self._suites() if modern else (),
            groups=self._groups(modern),
            compression=any(answer.compresses for answer in answers.values()),
            renegotiation=self._renegotiates() if modern else False,
            renegotiationInfo=RENEGOTIATION_INFO in modern.extensions if modern else None,
            extendedMasterSecret=EXTENDED_MASTER_SECRET in modern.extensions if modern else None,
            earlyData=self._earlyData() if "TLSv1.3" in versions else False,
            sha1=self._hello(VERSIONS["TLSv1.2"], signatures=SHA1_SIGNATURES) is not None if modern else False,
            truncatedHMAC=any(TRUNCATED_HMAC in answer.extensions for answer in answers.values()),
            ticketLife=self._ticketLife,
            certificate=chain[0],
            issuer=chain[1] if len(chain) > 1 else b"",
            stapled=stapled,
        )
        if self._door.option == "listen.https":
            found = replace(found, strictTransport=self._strictTransport())
        if self._door.direct:
            found = replace(
                found,
                refusesUnknownName=not self._accepts(name=UNKNOWN_NAME),
                refusesUnknownALPN=not self._accepts(protocols=[UNKNOWN_PROTOCOL]),
            )
        self._certificate()  # Else it may have been something other than TLS that refused.
        return found

    # --- questions

    def _certificate(self) -> tuple[tuple[bytes, ...], bytes]:
        """What it shows in a proper handshake, and the OCSP response that comes with it."""
        try:
            connection, sock = self._shake()
        except SSL.Error as error:
            raise NotReached(f"no handshake succeeds ({_reason(error)})") from None
        sock.close()
        chain = presentedChain(connection)
        if not chain:
            raise NotReached("it shows no certificate")
        return chain, self._staples.of(connection)

    def _versions(self) -> tuple[frozenset[str], dict[str, Answer]]:
        """The versions that it accepts, and for those before 1.3 what it has answered."""
        answers = {}
        for name, number in VERSIONS.items():
            answer = self._hello(number)
            if answer is not None and answer.version == number:
                answers[name] = answer
        newest = {"TLSv1.3"} if self._accepts(version=SSL.TLS1_3_VERSION) else set()
        oldest = {"SSLv2"} if self._acceptsOldest() else set()
        return frozenset({*oldest, *answers, *newest}), answers

    def _acceptsOldest(self) -> bool:
        """Whether it accepts SSL 2.0."""
        with self._connect() as sock:
            data = b""
            try:
                sock.sendall(oldHello())
                while len(data) < 3:
                    more = sock.recv(MOST)
                    if not more:
                        return False
                    data += more
            except ConnectionError:
                return False
            return isOldAnswer(data)

    def _suites(self) -> tuple[str, ...]:
        """One good suite of TLS 1.2, and all bad ones."""
        good = [number for number in SUITES if number not in BAD_SUITES]
        chosen = self._hello(VERSIONS["TLSv1.2"], good)
        found = [chosen.suite] if chosen is not None else []
        left = list(BAD_SUITES)
        while left:
            answer = self._hello(VERSIONS["TLSv1.2"], left)
            if answer is None or answer.suite not in left:
                break
            found.append(answer.suite)
            left.remove(answer.suite)
        return tuple(SUITES[number] for number in found)

    def _groups(self, modern: Answer | None) -> tuple[str, ...]:
        """
        The groups that a good client or a bad one would find. In TLS 1.2 the curve of the certificate has to be among
        the client's, so a small group is offered beside a good one.
        """
        found = [name for name in ("X25519", "P-256", "P-384") if self._accepts(group=name)]
        if modern is not None:
            if modern.group in GROUPS:
                found.append(GROUPS[modern.group])
            answer = self._hello(VERSIONS["TLSv1.2"], groups=(*SMALL_GROUPS, 23))
            if answer is not None and answer.group in GROUPS:
                found.append(GROUPS[answer.group])
        return tuple(dict.fromkeys(found))

    def _renegotiates(self) -> bool | None:
        """Whether it lets a client of TLS 1.2 shake hands again."""
        connection, sock = self._shake(SSL.TLS1_2_VERSION)
        with sock:
            self._noteTicket(connection)
            before = connection.total_renegotiations()
            try:
                connection.renegotiate()
                self._drive(connection, sock, connection.do_handshake)
            except (SSL.Error, NotReached, OSError):
                return False
            return connection.total_renegotiations() > before and not connection.renegotiate_pending()

    def _earlyData(self) -> bool | None:
        """Whether its tickets of TLS 1.3 allow early data; None if there is no ticket to look at."""
        connection, sock = self._shake(SSL.TLS1_3_VERSION)
        with sock:
            try:
                sock.settimeout(min(0.5, self._left()))
                connection.bio_write(sock.recv(MOST))
                connection.recv(1)
            except (SSL.Error, OSError):
                pass
            self._noteTicket(connection)
            octets = maxEarlyData(connection)
            return None if octets is None else octets > 0

    def _noteTicket(self, connection: SSL.Connection) -> None:
        """Keep the longest life of a ticket that was seen."""
        life = ticketLife(connection)
        if life is not None:
            self._ticketLife = max(life, self._ticketLife or 0)

    def _strictTransport(self) -> bool:
        """Whether an answer by HTTP says that there is to be nothing but HTTPS (RFC 6797 section 6.1)."""
        connection, sock = self._shake()
        with sock:
            connection.sendall(f"GET / HTTP/1.1\r\nHost: {asciiDomain(self._door.domain)}\r\n\r\n".encode())
            head = bytearray()

            def receive() -> None:
                while b"\r\n\r\n" not in head and len(head) < MOST:
                    head.extend(connection.recv(MOST))

            try:
                self._drive(connection, sock, receive)
            except (SSL.Error, OSError):
                pass
            lines = bytes(head).partition(b"\r\n\r\n")[0].lower().split(b"\r\n")
            return any(re.match(rb"strict-transport-security:.*max-age=\"?0*[1-9]", line) for line in lines)

    def _accepts(self, **how: Any) -> bool:
        """Whether a handshake succeeds."""
        try:
            self._shake(**how)[1].close()
        except (SSL.Error, ConnectionError):
            return False
        return True

    # --- connections

    def _left(self) -> float:
        """Seconds for what comes next."""
        left = min(STEP, self._until - self._seconds())
        if left <= 0:
            raise NotReached("it takes too long")
        return left

    def _connect(self) -> socket.socket:
        """A connection on which TLS can begin."""
        door = self._door
        sock = socket.create_connection((door.host, door.port), self._left(), _source(door))
        try:
            if not self._door.direct:
                self._startTLS(sock)
        except BaseException:
            sock.close()
            raise
        return sock

    def _startTLS(self, sock: socket.socket) -> None:
        """Ask for TLS, and note whether one could do without (RFC 6120 section 5.4.2)."""
        namespace = "jabber:client" if self._door.option.startswith("listen.c2s") else "jabber:server"
        header = (
            f"<?xml version='1.0'?><stream:stream to={quoteattr(self._door.domain)} version='1.0' xmlns='{namespace}'"
            " xmlns:stream='http://etherx.jabber.org/streams'>"
        )
        sock.sendall(header.encode())
        features = _until(sock, (b"</stream:features>", b"<stream:features/>", b"</stream:stream>"))
        if b"urn:ietf:params:xml:ns:xmpp-tls" not in features:
            raise NotReached("it doesn't offer STARTTLS")
        self._plaintext = b"<required" not in features or b"<mechanism>" in features
        sock.sendall(b"<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>")
        if b"<proceed" not in _until(sock, (b">",)):
            raise NotReached("it offers STARTTLS and doesn't do it")

    def _hello(self, version: int, suites: Iterable[int] = tuple(SUITES), **how: Any) -> Answer | None:
        """What it answers to a hello (C{how}: see L{clientHello}); None if it refuses."""
        name = "" if _isAddress(self._door.domain) else asciiDomain(self._door.domain)
        with self._connect() as sock:
            sock.sendall(clientHello(version, name, suites, protocols=[self._alpn], **how))
            data = b""
            while len(data) < MOST:
                try:
                    more = sock.recv(MOST)
                except ConnectionError:
                    return None
                data += more
                try:
                    answer = readAnswer(data)
                except ValueError:
                    raise NotReached("it doesn't speak TLS") from None
                if answer is not None:
                    return answer if answer.alert is None else None
                if not more:
                    return None
        raise NotReached("it doesn't stop talking")

    def _shake(
        self, version: int | None = None, name: str = "", protocols: Iterable[bytes] | None = None, group: str = ""
    ) -> tuple[SSL.Connection, socket.socket]:
        """
        A whole handshake. Certificates aren't judged here.

        @raise OpenSSL.SSL.Error: it is refused.
        """
        context = SSL.Context(SSL.TLS_CLIENT_METHOD)
        context.set_min_proto_version(version or SSL.TLS1_2_VERSION)
        context.set_max_proto_version(version or 0)
        if group and not setGroups(context, group):
            raise SSL.Error([("", "", "this machine doesn't have the group")])
        context.set_ocsp_client_callback(self._staples.note)
        connection = SSL.Connection(context, None)
        connection.request_ocsp()
        if name or not _isAddress(self._door.domain):
            connection.set_tlsext_host_name(asciiDomain(name or self._door.domain).encode("ascii"))
        connection.set_alpn_protos(list(protocols or [self._alpn]))
        connection.set_connect_state()
        sock = self._connect()
        try:
            self._drive(connection, sock, connection.do_handshake)
        except BaseException:
            sock.close()
            raise
        return connection, sock

    def _drive(self, connection: SSL.Connection, sock: socket.socket, step: Callable[[], object]) -> None:
        """Repeat a step of TLS until it doesn't want to read any more."""
        while True:
            try:
                step()
                return
            except SSL.WantReadError:
                pass
            finally:
                _flush(connection, sock)
            sock.settimeout(self._left())
            data = sock.recv(MOST)
            if not data:
                raise ConnectionResetError("it closes the connection")
            connection.bio_write(data)


def _flush(connection: SSL.Connection, sock: socket.socket) -> None:
    """Send what TLS has to say."""
    try:
        while True:
            sock.sendall(connection.bio_read(MOST))
    except (SSL.WantReadError, OSError):
        pass


def _until(sock: socket.socket, ends: Iterable[bytes]) -> bytes:
    """Read until there is one of several marks."""
    data = b""
    while not any(end in data for end in ends):
        more = sock.recv(MOST)
        data += more
        if not more or len(data) > MOST:
            raise NotReached("it doesn't speak XMPP")
    return data


def _isAddress(domain: str) -> bool:
    """Whether a domain is an IP address, which no server name can be (RFC 6066 section 3)."""
    try:
        ipaddress.ip_address(domain.strip("[]"))
    except ValueError:
        return False
    return True


def _reason(error: SSL.Error) -> str:
    """What OpenSSL says."""
    try:
        return str(error.args[0][-1][2])
    except (IndexError, TypeError):
        return "for no stated reason"
