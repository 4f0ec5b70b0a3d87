"""
One attack in a loop: C{python -m tests.interop.hostile PORT TLSPORT NAME SECONDS}. Prints how often it was made.

What is sent is what C{tests/security/} sends one by one; here only the pressure counts. The attacker comes from another
loopback address than honest clients, and opens a new connection for each attack.
"""

from __future__ import annotations

import random
import socket
import ssl
import sys
import time
from base64 import b64encode
from dataclasses import dataclass

ADDRESS = "127.0.0.66"
"""The attacker's own address; all of 127.0.0.0/8 is this machine."""

SASL = "urn:ietf:params:xml:ns:xmpp-sasl"

HEADER = (
    b"<?xml version='1.0'?><stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'"
    b" version='1.0' to='example.org'>"
)


@dataclass(frozen=True)
class Attack:
    """
    What is sent.

    @ivar state: in which state of the stream: "connected", "opened" (in the clear), "secured" (opened under TLS),
        "authenticated" or "bound" (both under TLS).
    """

    state: str
    data: bytes


def auth(mechanism: str, data: bytes) -> bytes:
    """An C{<auth/>}."""
    return f"<auth xmlns='{SASL}' mechanism='{mechanism}'>{b64encode(data).decode()}</auth>".encode()


def bind(resource: str = "") -> bytes:
    """A request for a resource."""
    wish = f"<resource>{resource}</resource>" if resource else ""
    return f"<iq type='set' id='b'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'>{wish}</bind></iq>".encode()


ENTITIES = b"".join(b'<!ENTITY e%d "%s">' % (n + 1, b"&e%d;" % n * 10) for n in range(12))
ENABLE = b"<enable xmlns='urn:xmpp:sm:3' resume='true'/>"
MARKS = "\N{COMBINING DIAERESIS}\N{COMBINING CEDILLA}".encode() * 20_000

ATTACKS = {
    "c01 entities": Attack("connected", b'<!DOCTYPE s [<!ENTITY e0 "lol">%s]><stream:stream to="&e12;">' % ENTITIES),
    "c03 comment": Attack("bound", b"<message><!-- " + b"x" * 60_000 + b" --></message>"),
    "c06 namespace": Attack("connected", b"<stream:stream xmlns='jabber:server' xmlns:stream='urn:x' to='example.org'>"),
    "c08 wrong host": Attack("connected", HEADER.replace(b"example.org", MARKS[:8000])),
    "c13 noise": Attack("connected", random.Random(13).randbytes(65536)),
    "c13 brackets": Attack("connected", b"<" * 65536),
    "c16 brackets in an attribute": Attack("bound", (b"<message><x xmlns='urn:x' a='" + b">" * 15_000 + b"'/></message>") * 10),
    "c20 before login": Attack("opened", b"<message to='romeo@example.org'/>" * 1000),
    "c21 PLAIN without TLS": Attack("opened", auth("PLAIN", b"\0mallory\0mallory") * 5),
    "c22 injection": Attack("opened", b"<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>" + auth("PLAIN", b"\0a\0b") * 100),
    "c29 out of turn": Attack("secured", f"<response xmlns='{SASL}'>eA==</response><abort xmlns='{SASL}'/>".encode() * 100),
    "c30 mechanisms": Attack("secured", auth("x" * 1000, b"") * 10),
    "c33 data": Attack("secured", auth("PLAIN", b"\0" + "\N{COMBINING DIAERESIS}\N{COMBINING CEDILLA}".encode() * 900 + b"\0x") * 5),
    "c37 before binding": Attack("authenticated", b"<message to='romeo@example.org'/>" * 1000),
    "c38 resources": Attack("authenticated", bind("\N{COMBINING DIAERESIS}\N{COMBINING CEDILLA}" * 4000) * 2),
    "c41 stream management": Attack("bound", ENABLE * 3 + b"<resume xmlns='urn:xmpp:sm:3' previd='x' h='0'/><r xmlns='urn:xmpp:sm:3'/>" * 100),
    "c43 addresses": Attack("bound", (b"<message to='%s@example.org'/><message to='a@b@c'/>" % MARKS) * 2),
    "c44 forged senders": Attack("bound", b"<message from='romeo@example.org' to='nobody@example.org'/>" * 500),
    "c48 bad requests": Attack("bound", b"<iq/><iq type='get' id='1'/><presence type='bogus'/>" * 200),
    "c50 unknown elements": Attack("bound", b"<unknown/>" * 1000),
    "c51 depth": Attack("bound", b"<message>" + b"<a>" * 10_000),
    "c51 children": Attack("bound", b"<message>" + b"<a/>" * 30_000 + b"</message>"),
    "c51 attributes": Attack("bound", b"<message " + b" ".join(b"a%d=''" % n for n in range(10_000)) + b"/>"),
    "c51 declarations": Attack("bound", b"<message " + b" ".join(b"xmlns:n%d='urn:%d'" % (n, n) for n in range(5000)) + b"/>"),
    "guessing": Attack("secured", auth("PLAIN", b"\0romeo\0guess") * 5),
    "requests": Attack("bound", b"<iq type='get' id='1'><query xmlns='jabber:iq:roster'/></iq>" * 500),
}


class Attacker:
    """One connection."""

    def __init__(self, port: int, tlsPort: int, attack: Attack) -> None:
        self._attack = attack
        secured = attack.state in ("secured", "authenticated", "bound")
        target = ("127.0.0.1", tlsPort if secured else port)
        self._socket: socket.socket = socket.create_connection(target, 5, (ADDRESS, 0))
        if secured:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
            self._socket = context.wrap_socket(self._socket, server_hostname="example.org")

    def run(self) -> None:
        """Reach the state, send what is to be sent, see what comes for a moment, and go."""
        with self._socket:
            if self._attack.state != "connected":
                self._until(HEADER, b"</stream:features>")
            if self._attack.state in ("authenticated", "bound"):
                self._until(auth("PLAIN", b"\0mallory\0mallory"), b"<success")
                self._until(HEADER, b"</stream:features>")
            if self._attack.state == "bound":
                self._until(bind(), b"</iq>")
            self._socket.settimeout(0.5)
            self._socket.sendall(self._attack.data)
            self._socket.settimeout(0.02)
            while self._socket.recv(65536):
                pass

    def _until(self, data: bytes, expected: bytes) -> None:
        self._socket.sendall(data)
        got = b""
        while expected not in got:
            more = self._socket.recv(65536)
            if not more:
                raise ConnectionError("the server has closed the connection")
            got += more


def main(port: int, tlsPort: int, name: str, seconds: float) -> int:
    """Attack for a time; answers how often."""
    until = time.monotonic() + seconds
    count = 0
    while time.monotonic() < until:
        try:
            Attacker(port, tlsPort, ATTACKS[name]).run()
        except OSError:
            pass  # closed, reset, or slow: what an attacker has to expect
        count += 1
    return count


if __name__ == "__main__":
    print(main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], float(sys.argv[4])))
