"""The lines of C{xmppctl cert}, as somebody types them, and what stands behind them."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import time
from pathlib import Path
from typing import Any

from click.testing import CliRunner, Result
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from tests.ctl.servers import CONFIGURATION as PLAIN
from tests.ctl.servers import ServerCase, folderFor
from tests.marks import spec
from tests.trust.authority import ALWAYS, DAY, SERVER_ONLY, Authority, curveKey, keyPEM, pem
from xmppd.config import load
from xmppd.ctl import certcheck, certmake, client
from xmppd.ctl.certs import listingOfFolder
from xmppd.ctl.commands import Commands
from xmppd.ctl.exits import EX_CANTCREAT, EX_CONFIG, EX_DATAERR, EX_NOHOST, EX_UNAVAILABLE, EX_USAGE
from xmppd.ctl.main import xmppctlGroup
from xmppd.ctl.socket import CommandError
from xmppd.trust import inspection
from xmppd.trust.certificates import loadCertificate
from xmppd.trust.inspection import Authorities
from xmppd.trust.selfsigned import makeCertificate

CONFIGURATION = """
data = "data"
[listen]
c2s = ["tcp:5222"]
s2s = ["tcp:5269"]
[tls]
certificates = "certs"
[host."example.org"]
[host."example.net"]
[rooms."rooms.example.org"]
"""


class Stopped:
    """Stands in for L{client.Client}: nobody listens."""

    def __init__(self, path: Path) -> None:
        raise CommandError(EX_UNAVAILABLE, "nobody listens there; start the server")


class LineCase(SynchronousTestCase):
    """A configuration, and no server."""

    def setUp(self) -> None:
        self.patch(client, "Client", Stopped)
        self.folder = folderFor(self)
        self.certs = self.folder / "certs"
        (self.folder / "xmppd.toml").write_text(CONFIGURATION)

    def line(self, *words: str, config: str = "xmppd.toml") -> Result:
        """Run it."""
        arguments = ["-c", str(self.folder / config), "cert", *words]
        return CliRunner().invoke(xmppctlGroup, arguments, standalone_mode=False)

    def done(self, *words: str, **options: Any) -> Any:
        """Run it and answer what it says to programs."""
        result = self.line(*words, "--json", **options)
        self.assertIsNone(result.exception, result.output)
        return json.loads(result.output)

    def refused(self, *words: str, **options: Any) -> CommandError:
        """Run it, and answer how it was refused."""
        error = self.line(*words, **options).exception
        assert isinstance(error, CommandError), error
        return error


@spec("mission", "T12")
class MakeTests(LineCase):
    """C{xmppctl cert make}."""

    @spec("RFC 6120", "13.7.1.2")
    def test_certificate(self) -> None:
        """Where the server looks, with every kind of name for each domain, for its user alone."""
        answer = self.done("make", "example.org", "--also", "rooms.example.org", "--days", "30")
        path = self.certs / "example.org.pem"
        self.assertEqual(answer["files"], [str(path)])
        self.assertEqual(stat.S_IMODE(path.stat().st_mode), 0o600)
        certificate = loadCertificate(path, time.time())
        self.assertEqual(certificate.warnings, ())
        self.assertEqual(certificate.names.dnsNames, ("example.org", "rooms.example.org"))
        self.assertEqual(certificate.names.xmppAddresses, certificate.names.dnsNames)
        services = [f"_xmpp-{who}.{each}" for each in certificate.names.dnsNames for who in ("client", "server")]
        self.assertEqual(list(certificate.names.serviceNames), services)
        usages = certificate.chain[0].extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
        self.assertEqual(set(usages), {ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH})
        self.assertTrue(0 <= certificate.notAfter - time.time() - 30 * DAY + 60 < 120)
        self.assertEqual(answer["certificate"]["sha256"], certificate.sha256)
        self.assertEqual([each["command"] for each in answer["next"]], ["xmppctl reload", "xmppctl dna publish example.org"])

    def test_keys(self) -> None:
        """ECDSA on P-256, or RSA."""
        for kind, class_ in (("ec", ec.EllipticCurvePrivateKey), ("rsa", rsa.RSAPrivateKey)):
            self.done("make", f"{kind}.example", "--key", kind)
            key = loadCertificate(self.certs / f"{kind}.example.pem", time.time()).key
            self.assertIsInstance(key, class_)

    def test_request(self) -> None:
        """For an authority: key and request, and nothing that the server would take for a certificate."""
        result = self.line("make", "example.org", "--csr")
        self.assertIn("xmppctl cert check example.org", result.output)
        self.assertEqual(sorted(os.listdir(self.certs)), ["example.org.csr", "example.org.key"])
        self.assertEqual(stat.S_IMODE((self.certs / "example.org.key").stat().st_mode), 0o600)
        request = x509.load_pem_x509_csr((self.certs / "example.org.csr").read_bytes())
        self.assertTrue(request.is_signature_valid)
        names = request.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        self.assertEqual((len(names), names.get_values_for_type(x509.DNSName)), (4, ["example.org"]))

    def test_answered(self) -> None:
        """The command that is shown for the authority's answer makes what the server wants."""
        answer = self.done("make", "example.org", "--csr")
        request = x509.load_pem_x509_csr((self.certs / "example.org.csr").read_bytes())
        root = Authority("root")
        names = list(request.extensions.get_extension_for_class(x509.SubjectAlternativeName).value)
        key: Any = type("Key", (), {"public_key": request.public_key})
        (self.folder / "answer.pem").write_bytes(pem(root.sign(key, names, start=0, end=ALWAYS)))
        (command,) = (each["command"] for each in answer["next"] if "ANSWER.pem" in each["command"])
        subprocess.run(["sh", "-c", command.replace("ANSWER.pem", str(self.folder / "answer.pem"))], check=True)
        certificate = loadCertificate(self.certs / "example.org.pem", time.time())
        self.assertEqual(certificate.warnings, ())
        self.assertEqual(stat.S_IMODE(certificate.path.stat().st_mode), 0o600)

    def test_there(self) -> None:
        """Nothing is replaced unless that is said."""
        self.done("make", "example.org")
        before = (self.certs / "example.org.pem").read_bytes()
        error = self.refused("make", "example.org")
        self.assertEqual(error.status, EX_CANTCREAT)
        self.assertIn("--force", str(error))
        self.assertEqual((self.certs / "example.org.pem").read_bytes(), before)
        self.done("make", "example.org", "--force")
        self.assertNotEqual((self.certs / "example.org.pem").read_bytes(), before)
        (self.certs / "example.net.csr").symlink_to(self.folder / "elsewhere")
        self.assertEqual(self.refused("make", "example.net", "--csr").status, EX_CANTCREAT)
        self.assertEqual(sorted(os.listdir(self.certs)), ["example.net.csr", "example.org.pem"])

    def test_elsewhere(self) -> None:
        """With --out no configuration is needed."""
        answer = self.done("make", "bücher.example", "--out", str(self.folder / "new"), config="none.toml")
        self.assertEqual(answer["names"], ["xn--bcher-kva.example"])
        self.assertIn("move it", answer["next"][0]["what"])
        self.assertEqual(self.refused("make", "example.org", config="none.toml").status, EX_CONFIG)
        (self.folder / "plain.toml").write_text(PLAIN)
        self.assertEqual(self.refused("make", "example.org", config="plain.toml").status, EX_USAGE)

    def test_mistakes(self) -> None:
        """What is no domain, and a folder that can't be."""
        for words in (("make", "ex ample"), ("make", "../x"), ("make", "example.org", "--also", "")):
            self.assertEqual(self.refused(*words).status, EX_DATAERR, words)
        many = [word for number in range(101) for word in ("--also", f"a{number}.example")]
        self.assertEqual(self.refused("make", "example.org", *many).status, EX_DATAERR)
        (self.folder / "file").write_text("")
        error = self.refused("make", "example.org", "--out", str(self.folder / "file" / "below"))
        self.assertEqual(error.status, EX_CANTCREAT)

    def test_owner(self) -> None:
        """What root makes is the server's, whose user has the data folder."""
        owners: list[Any] = []
        self.patch(certmake.os, "geteuid", lambda: 0)
        self.patch(certmake.os, "chown", lambda path, *owner: owners.append(owner))
        self.patch(certmake.os, "fchown", lambda descriptor, *owner: owners.append(owner))
        (self.folder / "data").mkdir()
        found = (self.folder / "data").stat()
        self.done("make", "example.org")
        self.assertEqual(owners, [(found.st_uid, found.st_gid)] * 2)
        self.patch(certmake.os, "geteuid", lambda: 1)
        self.assertIsNone(certmake.ownerFor(self.folder, None))


@spec("mission", "T12")
class ListTests(LineCase):
    """C{xmppctl cert list}."""

    def test_folder(self) -> None:
        """Without a server: every file of the folder, whom it serves, and who has none."""
        makeCertificate(["example.org", "*.example.org"], self.certs, time.time(), 50)
        (self.certs / "broken.example.pem").write_text("nothing")
        answer = self.done("list")
        (each,) = answer["certificates"]
        certificate = loadCertificate(self.certs / "example.org.pem", time.time())
        self.assertEqual(answer["source"], "folder")
        self.assertEqual((each["sha256"], each["public_key_sha256"]), (certificate.sha256, certificate.publicKeySHA256))
        self.assertEqual((each["serves"], each["days_left"]), (["example.org", "rooms.example.org"], 49))
        self.assertEqual((each["chain"], each["key"], each["issuer"]), ("self-signed", "ECDSA secp256r1", "CN=example.org"))
        self.assertEqual(each["names"]["dns"], ["example.org", "*.example.org"])
        self.assertEqual({d["domain"]: bool(d["file"]) for d in answer["domains"]}, {"example.org": True, "example.net": False, "rooms.example.org": True})
        self.assertIn("broken.example.pem", answer["problems"][0])
        output = self.line("list").output
        self.assertIn("no certificate for the host example.net", output)
        self.assertRegex(output, r"example.org +DNS example.org and 1 more; SRV .* self-signed +example.org, rooms.example.org")
        self.assertIn(certificate.publicKeySHA256, output)
        self.assertIn("error: ", output)

    def test_empty(self) -> None:
        """No folder is told; an empty one is empty."""
        self.assertEqual(self.refused("list").status, EX_CONFIG)
        self.certs.mkdir()
        self.assertIn("There are none.", self.line("list").output)
        (self.folder / "plain.toml").write_text(PLAIN)
        self.assertEqual(listingOfFolder(load(self.folder / "plain.toml"), 0.0)["certificates"], [])


@spec("mission", "T12")
class RunningTests(ServerCase):
    """What a running server answers."""

    configuration = ServerCase.configuration.replace("[tls]", '[tls]\ncertificates = "certs"')

    def setUp(self) -> None:
        folder = folderFor(self)
        makeCertificate(["example.org"], folder / "certs", 1_700_000_000, 20)
        self.configuration = self.configuration.replace('"certs"', f'"{folder / "certs"}"')
        super().setUp()

    def test_list(self) -> None:
        """What it has in use."""
        answer = self.successResultOf(Deferred.fromCoroutine(Commands(self.server)("cert list", {})))
        (each,) = answer["certificates"]
        self.assertEqual((each["domain"], each["serves"], each["days_left"]), ("example.org", ["example.org"], 20))
        self.assertEqual([d["domain"] for d in answer["domains"] if d["file"] is None], ["example.net"])


@spec("mission", "T1", "T12")
class CheckTests(LineCase):
    """C{xmppctl cert check}."""

    def setUp(self) -> None:
        super().setUp()
        self.root = Authority("root")
        file = self.folder / "root.pem"
        file.write_bytes(pem(self.root.certificate))
        self.patch(certcheck, "Authorities", lambda: Authorities(file))
        self.certs.mkdir()

    def issue(self, *names: str, mode: int = 0o600, **options: Any) -> Path:
        """A certificate that is good, unless something else is said."""
        path = self.root.write(self.certs, names[0], *names, **{"start": 0, "end": ALWAYS, **options})
        path.chmod(mode)
        return path

    def check(self, *words: str, status: int = 0, **options: Any) -> dict[str, dict[str, str]]:
        """By what was checked, the kinds of what was found, with their grades."""
        result = self.line("check", *words, "--json", **options)
        self.assertIsNone(result.exception, result.output)
        self.assertEqual(result.return_value, status, result.output)
        checked = json.loads(result.output)["checked"]
        return {Path(each["what"]).name: {remark["kind"]: remark["grade"] for remark in each["remarks"]} for each in checked}

    def test_good(self) -> None:
        """Domains with good certificates, and one without."""
        self.issue("example.org", "rooms.example.org")
        self.issue("example.net", usages=SERVER_ONLY)
        info = {"no-service-names": "info"}
        self.assertEqual(self.check(), {"example.org.pem": info, "example.net.pem": {**info, "no-client-usage": "info"}})
        self.assertIn("example.org.pem, shown for example.org, rooms.example.org:", self.line("check").output)

    def test_missing(self) -> None:
        """A host without one is an error, a service a warning."""
        self.issue("example.org")
        found = self.check(status=EX_CONFIG)
        self.assertEqual(found["example.net"], {"no-certificate": "error"})
        self.assertEqual(found["rooms.example.org"], {"no-certificate": "warning"})

    def test_domain(self) -> None:
        """One domain: its certificate, or that it has none; or it isn't ours."""
        self.issue("example.org", "rooms.example.org")
        self.issue("example.net", end=time.time() - DAY)
        self.assertEqual(list(self.check("rooms.example.org")), ["example.org.pem"])
        self.assertEqual(self.check("Example.NET", status=EX_CONFIG)["example.net.pem"]["expired"], "error")
        self.assertEqual(self.refused("check", "example.com").status, EX_NOHOST)
        self.assertEqual(self.refused("check", "a b").status, EX_DATAERR)

    def test_international(self) -> None:
        """A domain beyond ASCII is found however it is written."""
        text = CONFIGURATION.replace("example.net", "bücher.example")
        (self.folder / "xmppd.toml").write_text(text)
        self.issue("xn--bcher-kva.example")
        for written in ("bücher.example", "xn--bcher-kva.example", "BÜCHER.example"):
            self.assertEqual(self.check(written), {"xn--bcher-kva.example.pem": {"no-service-names": "info"}})

    def test_wrongName(self) -> None:
        """A file named after a domain that its certificate doesn't name."""
        self.issue("example.org")
        (self.certs / "example.org.pem").rename(self.certs / "example.net.pem")
        self.assertEqual(self.check("example.net", status=EX_CONFIG)["example.net.pem"]["no-matching-name"], "error")

    def test_unusable(self) -> None:
        """A key that doesn't fit; what else is wrong is told all the same."""
        path = self.issue("example.org", end=time.time() - DAY)
        certificate = path.read_bytes().partition(b"-----BEGIN CERT")
        path.write_bytes(keyPEM(curveKey()) + b"".join(certificate[1:]))
        found = self.check(status=EX_CONFIG)
        self.assertEqual((found["example.org.pem"]["unusable"], found["example.org.pem"]["expired"]), ("error", "error"))

    @spec("RFC 7633", "4")
    def test_staple(self) -> None:
        """A response that is demanded and not there, and one that isn't good."""
        path = self.issue("example.org")
        response = path.with_suffix(".ocsp")
        response.write_bytes(b"nonsense")
        self.assertEqual(self.check("example.org")["example.org.pem"]["no-staple"], "warning")
        response.unlink()
        key = curveKey()
        leaf = self.root.sign(key, [x509.DNSName("example.org")], start=0, end=ALWAYS)
        feature = x509.TLSFeature([x509.TLSFeatureType.status_request])
        builder = x509.CertificateBuilder(leaf.issuer, leaf.subject, key.public_key(), 7, leaf.not_valid_before_utc, leaf.not_valid_after_utc, list(leaf.extensions))
        path.write_bytes(keyPEM(key) + pem(builder.add_extension(feature, critical=False).sign(self.root.key, hashes.SHA256())))
        found = self.check("example.org", status=EX_CONFIG)["example.org.pem"]
        self.assertEqual((found["no-staple"], found["must-staple"]), ("error", "info"))

    def test_readable(self) -> None:
        """A key that everybody can read."""
        self.issue("example.org", mode=0o644)
        self.assertEqual(self.check("example.org")["example.org.pem"]["readable"], "warning")

    def test_soon(self) -> None:
        """The thresholds are those of the configuration."""
        self.issue("example.org", end=time.time() + 40 * DAY)
        self.assertNotIn("expires-soon", self.check("example.org")["example.org.pem"])
        (self.folder / "xmppd.toml").write_text(CONFIGURATION.replace("[tls]", "[tls]\nexpiry_warning_days = [50]"))
        self.assertEqual(self.check("example.org")["example.org.pem"]["expires-soon"], "warning")

    def test_file(self) -> None:
        """Any file, also one without a key, and without a configuration."""
        path = self.issue("example.org")
        _, begin, rest = path.read_bytes().partition(b"-----BEGIN CERT")
        chain = self.folder / "fullchain.pem"
        chain.write_bytes(begin + rest + pem(self.root.certificate))
        for config in ("xmppd.toml", "none.toml"):
            found = self.check(str(chain), config=config)["fullchain.pem"]
            self.assertEqual(found, {"no-key": "info", "no-service-names": "info", "root-included": "info"})
        self.assertEqual(self.check(str(path), config="none.toml"), {"example.org.pem": {"no-service-names": "info"}})
        self.assertEqual(self.refused("check", str(self.folder / "nothing.pem")).status, EX_CONFIG)
        (self.folder / "empty.pem").write_text("")
        self.assertEqual(self.check(str(self.folder / "empty.pem"), status=EX_CONFIG)["empty.pem"]["no-key"], "error")

    def test_notInUse(self) -> None:
        """A running server that still shows another."""
        path = self.issue("example.org", "example.net", "rooms.example.org")
        shown = {"file": str(path), "sha256": "00" * 32}

        class Running:
            """Stands in for L{client.Client}."""

            def __init__(self, socket: Path) -> None:
                pass

            def ask(self, command: str) -> Any:
                """What the server has."""
                return {"certificates": [shown]}

        self.patch(client, "Client", Running)
        self.assertEqual(self.check()["example.org.pem"]["not-in-use"], "warning")
        self.assertEqual(self.check("rooms.example.org")["example.org.pem"]["not-in-use"], "warning")
        shown["sha256"] = loadCertificate(path, time.time()).sha256
        self.assertNotIn("not-in-use", self.check()["example.org.pem"])

    def test_kinds(self) -> None:
        """Every grade has its word in text."""
        self.issue("example.org", end=time.time() - DAY, mode=0o644)
        output = self.line("check", "example.org").output
        for grade in inspection.Grade:
            self.assertIn(f"  {grade}: ", output)
