"""
Somebody between two servers, who may change what they say to each other, add to it, or answer with a certificate.
"""

from __future__ import annotations

import re
import select
import socket
import ssl
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from tests.interop.daemon import ADDRESS
from xmppd.wire import ns

Change = Callable[[bool, bytes], bytes]
"""Whether something goes to the server, and what; answers what it becomes."""

OFFER = re.compile(rb"<starttls[^>]*?(/>|>.*?</starttls>)")
ASKS = re.compile(rb"<starttls[^>]*/>|<starttls[^>]*></starttls>")
ANSWERS = re.compile(rb"<proceed[^>]*/>|<proceed[^>]*></proceed>")
REFUSAL = f"<failure xmlns='{ns.TLS}'/></stream:stream>".encode()


def unchanged(toServer: bool, data: bytes) -> bytes:
    """Everything passes."""
    return data


def withoutOffer(toServer: bool, data: bytes) -> bytes:
    """Take the offer of STARTTLS out of what a server says."""
    return data if toServer else OFFER.sub(b"", data)


class Middle:
    """
    Listens where the DNS says that a server is, and connects to that server.

    @ivar port: where it listens.
    @ivar heard: what it could read, of both sides.
    @ivar calls: how often it was called.
    """

    def __init__(self, target: int, change: Change = unchanged, certificate: Path | None = None) -> None:
        """
        @param target: the port of the server.
        @param change: what it does to what it can read.
        @param certificate: what it shows (PEM, with the key), to take part in TLS on both sides; None: it only passes
            TLS on.
        """
        self.heard = b""
        self.calls = 0
        self._target = target
        self._change = change
        self._certificate = certificate
        self._listening = socket.create_server((ADDRESS, 0))
        self.port: int = self._listening.getsockname()[1]
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def _accept(self) -> None:
        while True:
            try:
                caller, _ = self._listening.accept()
            except OSError:
                return
            self.calls += 1
            threading.Thread(target=self._between, args=(caller,), daemon=True).start()

    def _between(self, caller: socket.socket) -> None:
        """Pass on what is said, until one of both goes."""
        with suppress(OSError), caller, socket.create_connection((ADDRESS, self._target)) as server:
            sides = (caller, server)
            while True:
                for each in self._ready(sides):
                    toServer = each is sides[0]
                    data = self._read(each)
                    if data is None:
                        continue
                    if not data:
                        return
                    self.heard += data
                    if toServer and self._certificate is not None and ASKS.search(data):
                        sides = self._takePart(sides[0], sides[1], data)
                        break
                    changed = self._change(toServer, data)
                    sides[1 if toServer else 0].sendall(changed)

    @staticmethod
    def _read(side: socket.socket) -> bytes | None:
        """What a side has said; None if it was nothing but TLS's own affairs, a session ticket, say."""
        side.settimeout(0.05)
        try:
            return side.recv(65536)
        except TimeoutError:
            return None
        finally:
            side.settimeout(None)

    @staticmethod
    def _ready(sides: tuple[socket.socket, socket.socket]) -> list[socket.socket]:
        waiting = [each for each in sides if isinstance(each, ssl.SSLSocket) and each.pending()]
        return waiting or select.select(sides, (), ())[0]

    def _takePart(
        self, caller: socket.socket, server: socket.socket, asked: bytes
    ) -> tuple[socket.socket, socket.socket]:
        """The caller wants TLS: have it with both."""
        server.sendall(asked)
        answer = b""
        while not ANSWERS.search(answer):
            answer += server.recv(65536)
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        theirs = context.wrap_socket(server)
        caller.sendall(answer)
        own = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        assert self._certificate is not None
        own.load_cert_chain(self._certificate)
        return own.wrap_socket(caller, server_side=True), theirs

    def close(self) -> None:
        """Take no more calls."""
        with suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        self._thread.join(5)
