"""
A client over TCP with TLS that waits for what it expects: somebody for the people in web pages to talk to.
"""

from __future__ import annotations

import socket
import ssl
import time
import xml.etree.ElementTree as ET
from base64 import b64encode
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from tests.interop.daemon import DEADLINE, DOMAIN
from xmppd.wire import ns

Element = ET.Element


class Wire:
    """
    One client with an account whose password is its name.

    @ivar jid: its full JID.
    @ivar heard: all stanzas that have come.
    """

    def __init__(self, daemon: Any, name: str, domain: str = DOMAIN) -> None:
        """
        Log in, bind, and be available.

        @param daemon: the server: has C{certificate}, the file of what to trust or None for anything, and C{tlsPort}.
        """
        self._domain = domain
        context = ssl.create_default_context(cafile=daemon.certificate)
        if daemon.certificate is None:
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        plain = socket.create_connection(("127.0.0.1", daemon.tlsPort), DEADLINE)
        self._socket = context.wrap_socket(plain, server_hostname=domain)
        self._parser = ET.XMLPullParser(["start", "end"])
        self._depth = 0
        self._taken = 0
        self.heard: list[Element] = []
        self._open()
        message = b64encode(f"\0{name}\0{name}".encode()).decode()
        self.say(f"<auth xmlns='{ns.SASL}' mechanism='PLAIN'>{message}</auth>")
        self.expect(lambda element: element.tag == f"{{{ns.SASL}}}success")
        self._open()
        self.say(f"<iq type='set' id='b'><bind xmlns='{ns.BIND}'><resource>wire</resource></bind></iq><presence/>")
        bound = self.expect(lambda element: element.get("id") == "b")
        self.jid = str(bound.findtext(f"{{{ns.BIND}}}bind/{{{ns.BIND}}}jid"))

    def _open(self) -> None:
        self._parser = ET.XMLPullParser(["start", "end"])
        self._depth = 0
        self.say(f"<stream:stream xmlns='{ns.CLIENT}' xmlns:stream='{ns.STREAMS}' to='{self._domain}' version='1.0'>")
        self.expect(lambda element: element.tag == f"{{{ns.STREAMS}}}features")

    def say(self, text: str) -> None:
        """Send something."""
        self._socket.sendall(text.encode())

    def listen(self, seconds: float) -> None:
        """Take what comes within some time, and return after the first of it."""
        self._socket.settimeout(max(seconds, 0.001))
        try:
            data = self._socket.recv(65536)
        except TimeoutError:
            return
        self._parser.feed(data)
        for event, element in self._parser.read_events():
            self._depth += 1 if event == "start" else -1
            if event == "end" and self._depth == 1:
                self.heard.append(element)

    def expect(self, wanted: Callable[[Element], object]) -> Element:
        """The next element that is wanted; those before it are passed over."""
        until = time.monotonic() + DEADLINE / 2
        while True:
            while self._taken < len(self.heard):
                element = self.heard[self._taken]
                self._taken += 1
                if wanted(element):
                    return element
            if time.monotonic() > until:
                told = [ET.tostring(each).decode() for each in self.heard[-10:]]
                raise AssertionError("what was expected has not come; the last that has:\n" + "\n".join(told))
            self.listen(0.5)

    def body(self, text: str) -> Element:
        """The next message that says something."""
        return self.expect(lambda element: element.findtext(f"{{{ns.CLIENT}}}body") == text)

    def presence(self, address: str, type: str | None = None) -> Element:
        """The next presence of somebody."""
        tag = f"{{{ns.CLIENT}}}presence"
        return self.expect(lambda e: e.tag == tag and e.get("from") == address and e.get("type") == type)

    def close(self) -> None:
        """Go."""
        with suppress(OSError):
            self.say("</stream:stream>")
        self._socket.close()
