"""
Other people's TLS scanners, testssl.sh and sslyze, and a server to be scanned on every port that it can have TLS on.

testssl.sh of Debian 12 knows STARTTLS of clients' streams and not of servers' ones; for those a L{Relay} on loopback does
STARTTLS and then passes octets on, so that it sees TLS at once. sslyze (AGPL) is neither a dependency nor an extra: it
is looked for as a program, by C{XMPPD_SSLYZE} or in the path.
"""

from __future__ import annotations

import datetime
import json
import os
import re
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509 import ocsp
from cryptography.x509.oid import AuthorityInformationAccessOID, ExtendedKeyUsageOID, NameOID

from tests.interop.daemon import ADDRESS, DOMAIN, Daemon

RSA_DOMAIN: Final = "rsa.example"
"""A domain whose certificate has an RSA key; that of L{DOMAIN} has one on P-256."""

CONFIGURATION: Final = """\
data = "data"
[listen]
c2s = ["tcp:{port}:interface=127.0.0.1"]
c2s_tls = ["tcp:{tlsPort}:interface=127.0.0.1"]
s2s = ["tcp:0:interface=127.0.0.1"]
s2s_tls = ["tcp:0:interface=127.0.0.1"]
https = ["tcp:0:interface=127.0.0.1"]
[tls]
certificates = "certs"
[web]
strict_transport_days = 365
[s2s]
authorities = "ca.pem"
[log]
file = "log"
[limits]
enabled = false
{limits}
[host."example.org"]
[host."rsa.example"]
"""

LISTENERS: Final = ("c2s", "c2s_tls", "s2s", "s2s_tls", "https")
"""What is scanned, by the keys of C{[listen]}."""


# --- a server to be scanned ---------------------------------------------------------------------------------------


class Issuer:
    """An authority with an intermediate, whose certificates look as a public one's do; and its OCSP responder."""

    def __init__(self) -> None:
        self._now = datetime.datetime.now(datetime.UTC).replace(microsecond=0)
        self._rootKey, self._key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
        self.root = self._authority("Example Root", self._rootKey, "Example Root", self._rootKey)
        self.certificate = self._authority("Example Issuer", self._key, "Example Root", self._rootKey)

    def _begin(self, name: str, key: Any, issuer: str, issuerKey: Any, days: int) -> x509.CertificateBuilder:
        """What all certificates have."""
        return (
            x509.CertificateBuilder(_named(issuer), _named(name), key.public_key(), x509.random_serial_number())
            .not_valid_before(self._now - datetime.timedelta(days=1))
            .not_valid_after(self._now + datetime.timedelta(days=days))
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuerKey.public_key()), critical=False)
        )

    def _authority(self, name: str, key: Any, issuer: str, issuerKey: Any) -> x509.Certificate:
        """A certificate of an authority."""
        builder = self._begin(name, key, issuer, issuerKey, 3000)
        builder = builder.add_extension(x509.BasicConstraints(True, None), critical=True)
        builder = builder.add_extension(_keyUsage(sign=False), critical=True)
        return builder.sign(issuerKey, hashes.SHA256())

    def issue(self, folder: Path, domain: str, key: Any) -> None:
        """Write C{DOMAIN.pem} and C{DOMAIN.ocsp}."""
        place = x509.UniformResourceIdentifier("http://ocsp.invalid/")
        responder = x509.AccessDescription(AuthorityInformationAccessOID.OCSP, place)
        builder = self._begin(domain, key, "Example Issuer", self._key, 80)
        for extension, critical in (
            (x509.BasicConstraints(False, None), True),
            (x509.SubjectAlternativeName([x509.DNSName(domain)]), False),
            (_keyUsage(sign=True), True),
            (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), False),
            (x509.AuthorityInformationAccess([responder]), False),
        ):
            builder = builder.add_extension(extension, critical=critical)
        leaf = builder.sign(self._key, hashes.SHA256())
        path = folder / f"{domain}.pem"
        private = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        chain = [each.public_bytes(serialization.Encoding.PEM) for each in (leaf, self.certificate)]
        path.write_bytes(b"".join([private, *chain]))
        path.chmod(0o600)
        path.with_suffix(".ocsp").write_bytes(self._response(leaf))

    def _response(self, leaf: x509.Certificate) -> bytes:
        """That a certificate is good, in DER."""
        builder = ocsp.OCSPResponseBuilder().add_response(
            cert=leaf,
            issuer=self.certificate,
            algorithm=hashes.SHA1(),
            cert_status=ocsp.OCSPCertStatus.GOOD,
            this_update=self._now - datetime.timedelta(hours=1),
            next_update=self._now + datetime.timedelta(days=3),
            revocation_time=None,
            revocation_reason=None,
        )
        builder = builder.responder_id(ocsp.OCSPResponderEncoding.HASH, self.certificate)
        return builder.sign(self._key, hashes.SHA256()).public_bytes(serialization.Encoding.DER)


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _keyUsage(sign: bool) -> x509.KeyUsage:
    """For handshakes, or for certificates."""
    return x509.KeyUsage(sign, False, False, False, False, not sign, not sign, False, False)


class Scanned(Daemon):
    """
    The server.

    @ivar authority: file of the authority that vouches for it.
    @ivar ports: by the keys of C{[listen]}.
    """

    def __init__(self, folder: Path) -> None:
        Daemon.__init__(self, folder, CONFIGURATION)
        self.authority = folder / "ca.pem"
        issuer = Issuer()
        self.authority.write_bytes(issuer.root.public_bytes(serialization.Encoding.PEM))
        for file in (folder / "certs").iterdir():
            file.unlink()
        issuer.issue(folder / "certs", DOMAIN, ec.generate_private_key(ec.SECP256R1()))
        issuer.issue(folder / "certs", RSA_DOMAIN, rsa.generate_private_key(65537, 2048))
        self.ports: dict[str, int] = {}

    def start(self, *command: Any) -> None:
        """See L{Daemon.start}."""
        Daemon.start(self, *command)
        for each in self.ask("status")["ports"]:
            self.ports[each["option"].removeprefix("listen.")] = int(each["address"].rpartition(":")[2])


class Relay:
    """
    Does STARTTLS on streams between servers for a client that doesn't know it, and then passes octets on.

    @ivar port: where it listens, on loopback.
    """

    def __init__(self, port: int, domain: str = DOMAIN) -> None:
        self._target = (ADDRESS, port)
        self._header = (
            f"<?xml version='1.0'?><stream:stream to='{domain}' version='1.0' xmlns='jabber:server'"
            " xmlns:stream='http://etherx.jabber.org/streams'>"
        ).encode()
        self._listening = socket.create_server((ADDRESS, 0), backlog=100)
        self.port: int = self._listening.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self) -> None:
        """Take no more connections."""
        self._listening.close()

    def _serve(self) -> None:
        while True:
            try:
                client, _ = self._listening.accept()
            except OSError:
                return
            threading.Thread(target=self._relay, args=(client,), daemon=True).start()

    def _relay(self, client: socket.socket) -> None:
        """One connection."""
        with client, socket.create_connection(self._target, 10) as server:
            try:
                server.sendall(self._header)
                _until(server, b"</stream:features>")
                server.sendall(b"<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>")
                _until(server, b"/>")
            except OSError:
                return
            for sock in (client, server):
                sock.settimeout(60)
            back = threading.Thread(target=_pass, args=(server, client), daemon=True)
            back.start()
            _pass(client, server)
            back.join()


def _until(sock: socket.socket, end: bytes) -> None:
    """Read until some octets have come, and none behind them."""
    data = b""
    while not data.endswith(end):
        more = sock.recv(1 if end in data[-len(end) :] else 65536)
        if not more:
            raise ConnectionError
        data += more


def _pass(source: socket.socket, target: socket.socket) -> None:
    """Pass octets on to the end."""
    try:
        while data := source.recv(65536):
            target.sendall(data)
    except OSError:
        pass
    try:
        target.shutdown(socket.SHUT_WR)
    except OSError:
        pass


# --- scanners -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Found:
    """
    One thing that a scanner says.

    @ivar id: the scanner's name for it.
    @ivar severity: in the scanner's words; "OK" and "INFO" are no findings.
    @ivar text: in words.
    """

    id: str
    severity: str
    text: str


@dataclass(frozen=True, slots=True)
class Scan:
    """
    What came of scanning one listener.

    @ivar found: all that was said.
    @ivar output: what the scanner has printed, without paths and ports of this machine.
    """

    found: tuple[Found, ...]
    output: str

    def against(self, explained: dict[str, str]) -> list[Found]:
        """What speaks against the server and isn't explained."""
        return [each for each in self.found if each.severity not in ("OK", "INFO") and each.id not in explained]


TESTSSL: Final = shutil.which("testssl") or shutil.which("testssl.sh")
SSLYZE: Final = os.environ.get("XMPPD_SSLYZE") or shutil.which("sslyze")

EXPLAINED: Final = {
    "engine_problem": "about the scanner's own OpenSSL, which has no GOST",
    "service": "it doesn't know XMPP as a service behind direct TLS, and so leaves out what is about HTTP",
    "sessionresumption_ticket": "its OpenSSL closes before tickets of TLS 1.3 come; sslyze and our own tests try them",
}
"""What testssl.sh may say, by its ids, and why that is no finding against the server."""


def testssl(server: Scanned, listener: str, checks: Sequence[str] = (), domain: str = DOMAIN) -> Scan:
    """
    Scan by testssl.sh.

    @param checks: its options for single checks; all if empty. All take almost a minute.
    """
    relay = Relay(server.ports[listener], domain) if listener == "s2s" else None
    port = relay.port if relay is not None else server.ports[listener]
    target = f"https://{domain}:{port}" if listener == "https" else f"{domain}:{port}"
    file = server.folder / f"testssl-{listener}-{domain}-{time.monotonic_ns()}.json"
    command = [
        TESTSSL or "testssl", "--quiet", "--warnings", "off", "--color", "0", "--ip", ADDRESS, "--nodns", "none",
        "--openssl-timeout", "10", "--add-ca", str(server.authority), "--jsonfile", str(file), *checks,
    ]  # fmt: skip
    if listener == "c2s":
        command += ["--starttls", "xmpp", "--xmpphost", domain]
    try:
        done = subprocess.run(
            [*command, target],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=300,
            cwd=server.folder,
            env={**os.environ, "TERM": "dumb"},
        )
    finally:
        if relay is not None:
            relay.close()
    said = json.loads(file.read_text("utf-8"))
    found = tuple(Found(each["id"], each["severity"], each["finding"]) for each in said)
    return Scan(found, tidy(done.stdout))


def sslyze(server: Scanned, listener: str, domain: str = DOMAIN) -> Scan:
    """Scan by sslyze, everything; that takes two seconds."""
    file = server.folder / f"sslyze-{listener}-{domain}.json"
    command = [
        SSLYZE or "sslyze", "--mozilla_config", "disable", "--certinfo", "--certinfo_ca_file", str(server.authority),
        "--sslv2", "--sslv3", "--tlsv1", "--tlsv1_1", "--tlsv1_2", "--tlsv1_3", "--robot", "--reneg", "--compression",
        "--heartbleed", "--fallback", "--elliptic_curves", "--early_data", "--resum", "--openssl_ccs", "--ems",
        "--sni", domain, "--json_out", str(file),
    ]  # fmt: skip
    if listener in ("c2s", "s2s"):
        command += ["--starttls", "xmpp" if listener == "c2s" else "xmpp_server", "--xmpp_to", domain]
    if listener == "https":
        command.append("--http_headers")
    done = subprocess.run(
        [*command, f"{ADDRESS}:{server.ports[listener]}"],
        capture_output=True,
        text=True,
        timeout=120,
        cwd=server.folder,
    )
    (result,) = json.loads(file.read_text("utf-8"))["server_scan_results"]
    output = done.stdout[done.stdout.index(" SCAN RESULTS") : done.stdout.index(" COMPLIANCE AGAINST")]
    return Scan(tuple(judged(result["scan_result"] or {}, listener)), tidy(output))


GOOD_SUITES: Final = frozenset(
    {
        "TLS_AES_128_GCM_SHA256",
        "TLS_AES_256_GCM_SHA384",
        "TLS_CHACHA20_POLY1305_SHA256",
        "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
        "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",
        "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256",
        "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
        "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384",
        "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256",
    }
)
"""RFC 9325 sections 4.2 and 4.3, and RFC 7905."""

GOOD_GROUPS: Final = frozenset({"X25519", "secp256r1", "secp384r1"})


def judged(results: dict[str, Any], listener: str) -> Iterator[Found]:
    """What sslyze has found, judged by RFC 9325; it doesn't judge by itself but by other people's lists."""

    def value(command: str, *path: str) -> Any:
        found = (results.get(command) or {}).get("result")
        for key in path:
            found = None if found is None else found.get(key)
        return found

    for version, wanted in (("ssl_2_0", False), ("ssl_3_0", False), ("tls_1_0", False), ("tls_1_1", False),
                            ("tls_1_2", True), ("tls_1_3", True)):  # fmt: skip
        command = f"{version}_cipher_suites"
        yield _expected(version, value(command, "is_tls_version_supported"), wanted)
        suites = [each["cipher_suite"]["name"] for each in value(command, "accepted_cipher_suites") or ()]
        yield _expected(f"{version} suites", sorted(set(suites) - GOOD_SUITES), [])
    groups = {each["name"] for each in value("elliptic_curves", "supported_curves") or ()}
    yield _expected("groups", sorted(groups), sorted(GOOD_GROUPS))
    ticket = "FULLY_SUPPORTED" if listener in ("c2s", "c2s_tls", "https") else "NOT_SUPPORTED"
    for command, key, wanted in (
        ("tls_compression", "supports_compression", False),
        ("tls_1_3_early_data", "supports_early_data", False),
        ("openssl_ccs_injection", "is_vulnerable_to_ccs_injection", False),
        ("heartbleed", "is_vulnerable_to_heartbleed", False),
        ("robot", "robot_result", "NOT_VULNERABLE_RSA_NOT_SUPPORTED"),
        ("session_renegotiation", "supports_secure_renegotiation", True),
        ("session_renegotiation", "is_vulnerable_to_client_renegotiation_dos", False),
        ("session_resumption", "session_id_resumption_result", "NOT_SUPPORTED"),
        ("session_resumption", "tls_ticket_resumption_result", ticket),
        ("tls_extended_master_secret", "supports_ems_extension", True),
    ):  # fmt: skip
        yield _expected(key, value(command, key), wanted)
    if listener == "https":
        yield _expected("hsts", value("http_headers", "strict_transport_security_header", "max_age"), 365 * 86_400)
    for deployment in value("certificate_info", "certificate_deployments") or [{}]:
        validated = [
            each for each in deployment.get("path_validation_results", ()) if each["trust_store"]["version"] == "N/A"
        ]
        yield _expected("chain", [each["was_validation_successful"] for each in validated], [True])
        yield _expected("order", deployment.get("received_chain_has_valid_order"), True)
        stapled = deployment.get("ocsp_response") or {}
        yield _expected("stapled", stapled.get("certificate_status"), "GOOD")


def _expected(id: str, value: Any, wanted: Any) -> Found:
    """A finding from whether a value is as it should be; one that isn't there never is."""
    return Found(id, "OK" if value == wanted else "HIGH", f"{value!r}, wanted {wanted!r}")


def tidy(output: str) -> str:
    """What a scanner has printed, without what belongs to this machine: paths, ports, the ends of lines."""
    text = re.sub(r"\x1b\[[0-9;]*m", "", output)
    text = re.sub(r"/(?:tmp|work|home|usr|root)/\S*", "FILE", text)
    text = re.sub(r"(127\.0\.0\.1|port|example\.org|rsa\.example)([: ])\d{4,5}\b", r"\1\2PORT", text)
    lines = [line.rstrip() for line in text.splitlines()]
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip("\n") + "\n"
