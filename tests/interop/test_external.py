"""
Login with a client's certificate (SASL EXTERNAL, XEP-0178): a whole server as a process of its own, real sockets, TLS
1.3, Python's C{ssl} module as the client, and slixmpp.
"""

from __future__ import annotations

import importlib.util
import json
import re
import shutil
import socket
import ssl
import sys
import tempfile
import time
from base64 import b64encode
from pathlib import Path

from cryptography import x509
from OpenSSL import SSL
from twisted.trial.unittest import SynchronousTestCase

from tests.interop.daemon import CONFIGURATION, DOMAIN, Daemon, mistakes, run
from tests.marks import spec
from tests.trust.authority import CLIENT_ONLY, DAY, SERVER_ONLY, Authority, curveKey, keyPEM, pem
from xmppd.trust.identities import xmppAddress

TIMEOUT = 20.0

WITH_AUTHORITY = CONFIGURATION.replace("[tls]", '[tls]\nclient_ca = "clients.pem"', 1).replace(
    "[listen]", '[listen]\nhttps = ["tcp:0:interface=127.0.0.1"]', 1
)

FAILED = "authentication failed"
"""The server's warning, which belongs in its log if a login was refused."""

HEADER = (
    b"<?xml version='1.0'?><stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'"
    b" version='1.0' to='example.org'>"
)
STARTTLS = b"<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"
BIND = b"<iq type='set' id='b'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>"


class Certified:
    """
    A client that may have a certificate.

    @ivar mechanisms: what the server offers it.
    """

    def __init__(self, daemon: Daemon, certificate: Path | None, direct: bool = False) -> None:
        context = ssl.create_default_context(cafile=str(daemon.certificate))
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        if certificate is not None:
            context.load_cert_chain(certificate)
        port = daemon.tlsPort if direct else daemon.port
        self._socket: socket.socket = socket.create_connection(("127.0.0.1", port), TIMEOUT)
        if not direct:
            self.ask(HEADER, "</stream:features>")
            self.ask(STARTTLS, "<proceed[^>]*>")
        self._socket = context.wrap_socket(self._socket, server_hostname=DOMAIN)
        features = self.ask(HEADER, "</stream:features>")
        self.mechanisms = re.findall("<mechanism>([^<]+)<", features)

    def ask(self, data: bytes, expected: str) -> str:
        """Send, and read until something has come."""
        self._socket.sendall(data)
        got = b""
        while re.search(expected, got.decode()) is None:
            more = self._socket.recv(65536)
            if not more:
                raise ConnectionError(got.decode())
            got += more
        return got.decode()

    def login(self, authzid: str = "") -> str:
        """Log in by EXTERNAL; answers the bound address, or the condition of the failure."""
        data = b64encode(authzid.encode()) or b"="
        auth = b"<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='EXTERNAL'>%s</auth>" % data
        answer = self.ask(auth, "<success[^>]*>|</failure>")
        failure = re.search("<failure[^>]*><([a-z-]+)", answer)
        if failure is not None:
            return failure[1]
        self.ask(HEADER, "</stream:features>")
        bound = re.search("<jid>([^<]+)<", self.ask(BIND, "</iq>"))
        assert bound is not None
        return bound[1].partition("/")[0]

    def close(self) -> None:
        """Hang up."""
        self._socket.close()


def authoritiesWanted(port: int, version: int) -> list[str]:
    """Whose certificates a server with TLS asks for; nobody's if it doesn't ask."""
    context = SSL.Context(SSL.TLS_CLIENT_METHOD)
    context.set_min_proto_version(version)
    context.set_max_proto_version(version)
    with socket.create_connection(("127.0.0.1", port), TIMEOUT) as plain:
        plain.settimeout(None)  # pyOpenSSL wants a blocking socket
        client = SSL.Connection(context, plain)
        client.set_tlsext_host_name(DOMAIN.encode())
        client.set_connect_state()
        client.do_handshake()
        return [each.commonName for each in client.get_client_ca_list()]


@spec("XEP-0178", "2")
class ExternalTests(SynchronousTestCase):
    """Who is let in by a certificate."""

    def setUp(self) -> None:
        """Start a server that trusts an authority for its clients; Romeo and Juliet have accounts."""
        self.folder = Path(tempfile.mkdtemp(prefix="xmppd-"))
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        self.authority = Authority("clients")
        (self.folder / "clients.pem").write_bytes(pem(self.authority.certificate))
        self.daemon = Daemon(self.folder, WITH_AUTHORITY)
        self.addCleanup(self.daemon.kill)
        self.daemon.start()
        self.addCleanup(self.end)
        for name in ("romeo", "juliet"):
            self.daemon.addAccount(name)

    def end(self) -> None:
        """Whatever came, the server has no mistake of its own to tell."""
        self.assertEqual((self.daemon.stop(), mistakes(self.daemon.written(), (FAILED,))), (0, []))

    def certificate(
        self,
        *jids: str,
        authority: Authority | None = None,
        chain: tuple[x509.Certificate, ...] = (),
        days: tuple[float, float] = (-1, 1),
        usages: tuple[x509.ObjectIdentifier, ...] = CLIENT_ONLY,
    ) -> Path:
        """A file with a key and a certificate for some addresses."""
        key, now = curveKey(), time.time()
        start, end = (now + each * DAY for each in days)
        names: list[x509.GeneralName] = [xmppAddress(jid) for jid in jids]
        leaf = (authority or self.authority).sign(key, names, start=start, end=end, usages=usages)
        path = self.folder / f"client{len(list(self.folder.iterdir()))}.pem"
        path.write_bytes(keyPEM(key) + pem(leaf, *chain))
        return path

    def client(self, certificate: Path | None, direct: bool = False) -> Certified:
        """Connect, as far as authentication."""
        client = Certified(self.daemon, certificate, direct)
        self.addCleanup(client.close)
        return client

    def test_accepted(self) -> None:
        """The certificate's address is logged in, after STARTTLS and with direct TLS, with and without saying so."""
        certificate = self.certificate("romeo@example.org")
        for direct in (False, True):
            for authzid in ("", "romeo@example.org"):
                client = self.client(certificate, direct)
                self.assertEqual(client.mechanisms[0], "EXTERNAL")
                self.assertEqual(client.login(authzid), "romeo@example.org")
        self.assertEqual({each["mechanism"] for each in self.daemon.streams()}, {"EXTERNAL"})

    def test_intermediate(self) -> None:
        """A chain that leads to the authority is as good, also for a certificate without usage for clients."""
        below = Authority("below", self.authority)
        for usages in ((), SERVER_ONLY):
            path = self.certificate("romeo@example.org", authority=below, chain=(below.certificate,), usages=usages)
            self.assertEqual(self.client(path).login(), "romeo@example.org")

    def test_otherAddress(self) -> None:
        """Nobody becomes somebody else; who has tried can still log in as himself."""
        client = self.client(self.certificate("juliet@example.org"))
        self.assertEqual(client.login("romeo@example.org"), "invalid-authzid")
        self.assertEqual(client.login(), "juliet@example.org")

    def test_severalAddresses(self) -> None:
        """Who has several addresses of the domain has to choose; one of another domain doesn't count."""
        client = self.client(self.certificate("juliet@example.org", "romeo@example.org"))
        self.assertEqual(client.login(), "invalid-authzid")
        self.assertEqual(client.login("juliet@example.org"), "juliet@example.org")
        other = self.client(self.certificate("juliet@example.org", "juliet@guests.example"))
        self.assertEqual(other.login(), "juliet@example.org")

    def test_noAccount(self) -> None:
        """A certificate doesn't make an account."""
        self.assertEqual(self.client(self.certificate("tybalt@example.org")).login(), "not-authorized")

    def test_disabled(self) -> None:
        """A disabled account stays shut."""
        self.daemon.ask("user disable", jid="romeo@example.org")
        self.assertEqual(self.client(self.certificate("romeo@example.org")).login(), "account-disabled")

    @spec("RFC 6120", "6.3.4")
    def test_notOffered(self) -> None:
        """
        Without a certificate, with one that is expired, not valid yet, of an unknown authority, of somebody who is no
        authority, or without an address of the domain, EXTERNAL isn't offered, nor taken; passwords still are.
        """
        leaf = self.certificate("juliet@example.org")
        impostor = Authority("impostor")
        impostor.certificate = self.authority.sign(impostor.key, subject=impostor.name, start=time.time() - DAY, end=time.time() + DAY)
        for path in (
            None,
            self.certificate("romeo@example.org", days=(-2, -1)),
            self.certificate("romeo@example.org", days=(1, 2)),
            self.certificate("romeo@example.org", authority=Authority("clients")),
            self.certificate("romeo@example.org", authority=impostor, chain=(impostor.certificate,)),
            self.certificate(),
            self.certificate("romeo@elsewhere.example"),
            self.certificate("example.org"),
        ):
            for direct in (False, True):
                client = self.client(path, direct)
                self.assertNotIn("EXTERNAL", client.mechanisms)
                self.assertIn("SCRAM-SHA-256-PLUS", client.mechanisms)
                self.assertEqual(client.login("romeo@example.org"), "invalid-mechanism")
        self.assertEqual(self.client(leaf).login(), "juliet@example.org")

    def test_browser(self) -> None:
        """Who comes by HTTP isn't asked for a certificate: browsers would have their users choose one."""
        ports = {each["option"]: int(each["address"].rpartition(":")[2]) for each in self.daemon.ask("status")["ports"]}
        for option, asked in (("listen.c2s_tls", ["clients"]), ("listen.https", [])):
            for version in (SSL.TLS1_2_VERSION, SSL.TLS1_3_VERSION):
                self.assertEqual(authoritiesWanted(ports[option], version), asked)

    def test_slixmpp(self) -> None:
        """slixmpp prefers its certificate to any password, and needs none."""
        facts = {"port": self.daemon.port, "certificate": str(self.daemon.certificate)}
        facts["client"] = str(self.certificate("romeo@example.org"))
        done = run([sys.executable, "-m", "tests.interop.slixmpp_certified"], json.dumps(facts))
        self.assertEqual(done.returncode, 0, done.stderr[-4000:])
        self.assertEqual(json.loads(done.stdout), {"jid": "romeo@example.org", "mechanism": "EXTERNAL"})

    if importlib.util.find_spec("slixmpp") is None:
        test_slixmpp.skip = "slixmpp is not installed: pip install slixmpp"  # type: ignore[attr-defined]
