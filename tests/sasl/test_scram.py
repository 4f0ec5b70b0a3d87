"""
Tests for L{xmppd.sasl.scram}.
"""

from __future__ import annotations

import hashlib
import hmac
from base64 import b64decode, b64encode
from collections.abc import Mapping
from dataclasses import replace

import scramp
from hypothesis import example, given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from tests.marks import spec
from xmppd.sasl.credentials import IScramProof, ScramProof
from xmppd.sasl.scram import ScramKeys, ScramMechanism, deriveKeys, downgradeHash, fakeKeys, mechanismName
from xmppd.sasl.steps import MAX_MESSAGE, Challenge, Lookup, Verify
from xmppd.wire.errors import SASLCondition, SASLError

HASH_NAMES = ("sha1", "sha256", "sha512")
SALT = b64decode("QSXCR+Q6sek8bf92")
KEYS = {hashName: deriveKeys("pencil", hashName, SALT, 4096) for hashName in HASH_NAMES}
BINDINGS = {"tls-exporter": b"e" * 32, "tls-server-end-point": b"s" * 32, "tls-unique": b"u" * 12}
NOTHING: Mapping[str, bytes] = {}

text = st.text(st.characters(exclude_characters="\0", codec="utf-8"), min_size=1, max_size=12)


def attempt(plus: bool = False, plusOffered: bool = True, hashName: str = "sha1") -> ScramMechanism:
    """A mechanism with a known nonce."""
    return ScramMechanism(hashName, plus, BINDINGS, plusOffered, nonce=lambda: "SERVER")


def clientFinal(keys: ScramKeys, first: bytes, challenge: bytes, unproved: bytes, password: str = "pencil") -> bytes:
    """A client's final message with an honest proof for whatever it says."""
    name = keys.hashName
    salted = hashlib.pbkdf2_hmac(name, password.encode(), keys.salt, keys.iterations)
    clientKey = hmac.digest(salted, b"Client Key", name)
    signed = b",".join((first.split(b",", 2)[2], challenge, unproved))
    signature = hmac.digest(hashlib.new(name, clientKey).digest(), signed, name)
    return unproved + b",p=" + b64encode(bytes(a ^ b for a, b in zip(clientKey, signature, strict=True)))


CALM = settings(deadline=None, database=None, derandomize=True)
"""Property tests that come out the same on every run, however busy the machine."""


class VectorTests(SynchronousTestCase):
    """Exchanges printed in specifications."""

    def exchange(self, mechanism: ScramMechanism, keys: ScramKeys, messages: list[bytes]) -> None:
        """C: S: C: S:"""
        first, challenge, final, success = messages
        self.assertEqual(mechanism.start(first), Lookup("user", keys.hashName))
        self.assertEqual(mechanism.found(keys), Challenge(challenge))
        step = mechanism.respond(final)
        assert isinstance(step, Verify) and isinstance(step.credentials, ScramProof)
        self.assertTrue(step.credentials.proves())
        self.assertEqual(mechanism.verified(), success)

    @spec("RFC 5802", "5")
    def test_sha1(self) -> None:
        """The example of RFC 5802."""
        mechanism = ScramMechanism("sha1", False, NOTHING, False, nonce=lambda: "3rfcNHYJY1ZVvWVs7j")
        messages = [
            b"n,,n=user,r=fyko+d2lbbFgONRv9qkxdawL",
            b"r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,s=QSXCR+Q6sek8bf92,i=4096",
            b"c=biws,r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,p=v0X8v3Bz2T0CJGbJQyF0X+HI4Ts=",
            b"v=rmF9pqV8S7suAoZWja4dJRkFsKQ=",
        ]
        self.exchange(mechanism, KEYS["sha1"], messages)

    @spec("RFC 7677", "3")
    def test_sha256(self) -> None:
        """The example of RFC 7677."""
        mechanism = ScramMechanism("sha256", False, NOTHING, False, nonce=lambda: "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0")
        keys = deriveKeys("pencil", "sha256", b64decode("W22ZaJ0SNY7soEsUEjb6gQ=="), 4096)
        nonce = b"rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"
        messages = [
            b"n,,n=user,r=rOprNGfwEbeRWgbNEkqO",
            b"r=" + nonce + b",s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096",
            b"c=biws,r=" + nonce + b",p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=",
            b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=",
        ]
        self.exchange(mechanism, keys, messages)

    @spec("XEP-0474", "6.3")
    def test_downgradeProtection(self) -> None:
        """The example of XEP-0474: channel binding, an extension of either side, and the hash."""
        value = downgradeHash(["SCRAM-SHA-1-PLUS", "SCRAM-SHA-1"], ["tls-server-end-point", "tls-exporter"], "sha1")
        mechanism = ScramMechanism(
            "sha1",
            True,
            {"tls-exporter": b"THIS IS FAKE CB DATA"},
            True,
            nonce=lambda: "a09117a6-ac50-4f2f-93f1-93799c2bddf6",
            downgradeHash=value,
        )
        nonce = b"12C4CD5C-E38E-4A98-8F6D-15C38F51CCC6a09117a6-ac50-4f2f-93f1-93799c2bddf6"
        messages = [
            b"p=tls-exporter,,n=user,r=12C4CD5C-E38E-4A98-8F6D-15C38F51CCC6",
            b"r=" + nonce + b",s=QSXCR+Q6sek8bf92,i=4096,h=G6k/rBLDqgOhRRaCuuatSDFkJ08=",
            b"c=cD10bHMtZXhwb3J0ZXIsLFRISVMgSVMgRkFLRSBDQiBEQVRB,r=" + nonce
            + b",x=19C6532F-1CF4-4A27-A18D-DC9CEA41BBB3,p=M/SIDjT+dfcxUh89jZEypRvFxB4=",
            b"v=MQrMPvv7yv4x4Cq4W4Ih25EqS2c=",
        ]  # fmt: skip
        self.exchange(mechanism, KEYS["sha1"], messages)

    @spec("XEP-0515", "4.3")
    def test_tlsVersion(self) -> None:
        """The example of XEP-0515: the version behind the hash."""
        mechanism = ScramMechanism(
            "sha1",
            True,
            {"tls-exporter": b"THIS IS FAKE CB DATA"},
            True,
            nonce=lambda: "a09117a6-ac50-4f2f-93f1-93799c2bddf6",
            downgradeHash=b"G6k/rBLDqgOhRRaCuuatSDFkJ08=",
            tlsVersion=b"0304",
        )
        nonce = b"12C4CD5C-E38E-4A98-8F6D-15C38F51CCC6a09117a6-ac50-4f2f-93f1-93799c2bddf6"
        messages = [
            b"p=tls-exporter,,n=user,r=12C4CD5C-E38E-4A98-8F6D-15C38F51CCC6",
            b"r=" + nonce + b",s=QSXCR+Q6sek8bf92,i=4096,h=G6k/rBLDqgOhRRaCuuatSDFkJ08=,t=0304",
            b"c=cD10bHMtZXhwb3J0ZXIsLFRISVMgSVMgRkFLRSBDQiBEQVRB,r=" + nonce + b",p=KHUfN8dSy1K95crT4D5y1ItLJfs=",
            b"v=3w34ZIMVRkx2f2Ozb3/ecRPVdv4=",
        ]
        self.exchange(mechanism, KEYS["sha1"], messages)

    @spec("XEP-0515", "4.2", "6")
    def test_tlsVersionProved(self) -> None:
        """A client that was told another version than the server has told proves something else, and isn't let in."""
        for told, proves in ((b"0304", True), (b"0303", False)):
            mechanism = ScramMechanism("sha256", False, NOTHING, False, downgradeHash=b"abcd", tlsVersion=b"0304")
            client = scramp.ScramClient(["SCRAM-SHA-256"], "user", "pencil")
            mechanism.start(client.get_client_first().encode())
            step = mechanism.found(KEYS["sha256"])
            assert isinstance(step, Challenge)
            client.set_server_first(step.data.replace(b",t=0304", b",t=" + told).decode())
            verdict = mechanism.respond(client.get_client_final().encode())
            assert isinstance(verdict, Verify) and isinstance(verdict.credentials, ScramProof)
            self.assertEqual(verdict.credentials.proves(), proves)


class DowngradeHashTests(SynchronousTestCase):
    """The hash alone."""

    @spec("XEP-0474", "6.1")
    def test_hash(self) -> None:
        """Sorted by octets and joined; bindings only where they are advertised; the hash is the mechanism's."""
        expected = hashlib.sha256(b"PLAIN\x1eSCRAM-SHA-1\x1eSCRAM-SHA-256").digest()
        value = downgradeHash(iter(["SCRAM-SHA-256", "PLAIN", "SCRAM-SHA-1"]), [], "sha256")
        self.assertEqual(b64decode(value), expected)
        bound = hashlib.sha512(b"A\x1fx\x1ey".replace(b"x", b"tls-exporter").replace(b"y", b"tls-unique")).digest()
        self.assertEqual(b64decode(downgradeHash(["A"], ["tls-unique", "tls-exporter"], "sha512")), bound)

    @spec("XEP-0474", "6.1")
    def test_callable(self) -> None:
        """The mechanism can have the hash made for it, or go without."""
        made = ScramMechanism("sha256", False, NOTHING, False, downgradeHash=lambda name: name.encode())
        made.start(b"n,,n=user,r=abc")
        step = made.found(KEYS["sha256"])
        assert isinstance(step, Challenge)
        self.assertTrue(step.data.endswith(b",i=4096,h=sha256"))


class OracleTests(SynchronousTestCase):
    """Exchanges with an independent client."""

    def exchange(self, client: scramp.ScramClient, mechanism: ScramMechanism, keys: ScramKeys) -> bool:
        """Let the client log in; it raises if our signature is wrong."""
        self.assertEqual(
            mechanism.start(client.get_client_first().encode()), Lookup(client.username.username, keys.hashName)
        )
        step = mechanism.found(keys)
        assert isinstance(step, Challenge)
        client.set_server_first(step.data.decode())
        verdict = mechanism.respond(client.get_client_final().encode())
        assert isinstance(verdict, Verify) and isinstance(verdict.credentials, ScramProof)
        if not verdict.credentials.proves():
            return False
        client.set_server_final(mechanism.verified().decode())
        return True

    @spec("RFC 5802", "3")
    def test_allHashes(self) -> None:
        """Right passwords are let in and wrong ones aren't, with each hash and with the downgrade hash."""
        for hashName in HASH_NAMES:
            for password in ("pencil", "Pencil"):
                client = scramp.ScramClient([mechanismName(hashName, False)], "user", password)
                mechanism = ScramMechanism(hashName, False, NOTHING, False, downgradeHash=b"abcd")
                self.assertEqual(self.exchange(client, mechanism, KEYS[hashName]), password == "pencil")

    @spec("RFC 5802", "6")
    def test_channelBinding(self) -> None:
        """
        With each hash and binding type, the same channel is let in and another isn't.

        The independent client doesn't speak tls-exporter; the example of XEP-0474 covers that.
        """
        for hashName in HASH_NAMES:
            for binding in ("tls-server-end-point", "tls-unique"):
                data = BINDINGS[binding]
                name = mechanismName(hashName, True)
                client = scramp.ScramClient([name], "user", "pencil", channel_binding=(binding, data))
                mechanism = ScramMechanism(hashName, True, BINDINGS, True)
                self.assertEqual(mechanism.name, name)
                self.assertTrue(self.exchange(client, mechanism, KEYS[hashName]))
                client = scramp.ScramClient([name], "user", "pencil", channel_binding=(binding, data + b"!"))
                mechanism = ScramMechanism(hashName, True, BINDINGS, True)
                error = self.assertRaises(SASLError, self.exchange, client, mechanism, KEYS[hashName])
                self.assertEqual(error.condition, SASLCondition.NOT_AUTHORIZED)

    @spec("RFC 5802", "5.1")
    def test_names(self) -> None:
        """Names with commas, equals signs and letters from anywhere arrive as they left."""
        for name in ("a,b", "=", ",", "=2C", "==,,=3D", "jülia", "用户"):
            client = scramp.ScramClient(["SCRAM-SHA-1"], name, "pencil")
            self.assertTrue(self.exchange(client, ScramMechanism("sha1", False, NOTHING, False), KEYS["sha1"]))

    @spec("RFC 8265", "4.2")
    def test_passwords(self) -> None:
        """A client that prepares passwords by SASLprep is understood where both preparations agree."""
        for password in ("pässwörd", "pa\u0308ss", "no-break\u00a0space", "пароль", "密码"):
            client = scramp.ScramClient(["SCRAM-SHA-256"], "user", password)
            keys = deriveKeys(password, "sha256", iterations=4096)
            self.assertTrue(self.exchange(client, ScramMechanism("sha256", False, NOTHING, False), keys))

    @spec("RFC 6120", "13.11")
    def test_unknownUser(self) -> None:
        """Somebody who doesn't exist gets through the same exchange, and never in."""
        for hashName in HASH_NAMES:
            keys = fakeKeys(b"s" * 16, "user", hashName)
            client = scramp.ScramClient([mechanismName(hashName, False)], "user", "pencil")
            self.assertFalse(self.exchange(client, ScramMechanism(hashName, False, NOTHING, False), keys))


class ClientFirstTests(SynchronousTestCase):
    """What a client begins with."""

    def refused(self, data: bytes, plus: bool = False, plusOffered: bool = True) -> SASLError:
        """The error that a first message gets."""
        return self.assertRaises(SASLError, attempt(plus, plusOffered).start, data)

    @spec("RFC 5802", "5", "5.1", "7")
    def test_malformed(self) -> None:
        """What the grammar doesn't know is C{malformed-request}."""
        wrong = [
            b"", b"n", b"n,", b"n,,", b",,n=u,r=x", b"N,,n=u,r=x", b"x,,n=u,r=x", b"F,n,,n=u,r=x", b"n,n=u,r=x",
            b"nn,,n=u,r=x", b"n=,,n=u,r=x", b"n,b=u,n=u,r=x", b"n,a=,n=u,r=x", b"n,a=x,y,n=u,r=x", b"n,,n=,r=x",
            b"n,,n=u", b"n,,n=u,", b"n,,n=u,r=", b"n,,r=x,n=u", b"n,,n=u,x=1,r=x", b"n,,n=u,n=u,r=x", b"n,,u,r=x",
            b"n,,n=u,r=x,", b"n,,n=u,r=x,,", b"n,,n=u,r=x,y", b"n,,n=u,r=x,y=", b"n,,n=u,r=x,1=y", b"n,,n=u,r=x,yy=z",
            b"n,,n=u,r=x y", b"n,,n=u,r=x\n", b"n,,n=u,r=\xc3\xa9", b"n,,n=u\0,r=x", b"n,,n=u,r=x,y=\0", b"n,a=\0,n=u,r=x",
            b"n,,n=\xff,r=x", b"n,,n=\xc0\xaf,r=x", b"n,,n=\xed\xa0\x80,r=x", b" n,,n=u,r=x", b"n,,n=u,r=x,\xc3\xa9=y",
            b"y", b"p", b"p=,,n=u,r=x", b"p=tls exporter,,n=u,r=x", b"\0", b"\xff" * 10,
        ]  # fmt: skip
        for data in wrong:
            self.assertEqual(self.refused(data).condition, SASLCondition.MALFORMED_REQUEST, repr(data))

    @spec("RFC 5802", "5.1")
    def test_escapes(self) -> None:
        """An equals sign in a name must start C{=2C} or C{=3D}."""
        for name in (b"=", b"a=", b"=2", b"=2c", b"=3d", b"=41", b"==2C", b"=2C=", b"a=b", b"=3 D"):
            self.refused(b"n,,n=" + name + b",r=x")
            self.refused(b"n,a=" + name + b",n=u,r=x")
        self.assertEqual(attempt().start(b"n,,n=a=2Cb=3D=2C2C,r=x"), Lookup("a,b=,2C", "sha1"))

    @spec("RFC 5802", "5.1")
    def test_mandatoryExtension(self) -> None:
        """An C{m} anywhere causes failure."""
        for data in (b"n,,m=1,n=u,r=x", b"n,,n=u,r=x,m=1", b"n,,n=u,r=x,y=1,m=1"):
            error = self.refused(data)
            self.assertEqual(error.condition, SASLCondition.MALFORMED_REQUEST)
            self.assertIn("extension", str(error))

    @spec("RFC 5802", "5.1", "7")
    def test_optionalExtensions(self) -> None:
        """Unknown attributes at the end are ignored, known ones have no business there."""
        self.assertEqual(attempt().start(b"n,,n=u,r=x,y=1,Z==,y=\xc3\xa9"), Lookup("u", "sha1"))
        for letter in "anrcsipve":
            self.refused(b"n,,n=u,r=x," + letter.encode() + b"=1")

    def test_length(self) -> None:
        """A message is read up to its limit, and refused over it."""
        message = b"n,,n=u,r="
        attempt().start(message + b"x" * (MAX_MESSAGE - len(message)))
        self.refused(message + b"x" * (MAX_MESSAGE - len(message) + 1))

    @spec("RFC 5802", "6")
    def test_downgrade(self) -> None:
        """A client that believes we don't bind, though we do, has been lied to."""
        error = self.refused(b"y,,n=u,r=x", plusOffered=True)
        self.assertEqual(error.condition, SASLCondition.NOT_AUTHORIZED)
        self.assertEqual(attempt(plusOffered=False).start(b"y,,n=u,r=x"), Lookup("u", "sha1"))
        self.assertEqual(attempt(plusOffered=True).start(b"n,,n=u,r=x"), Lookup("u", "sha1"))

    @spec("RFC 5802", "6")
    def test_unsupportedBinding(self) -> None:
        """A binding type that this connection can't have is refused, in any case of letters but its own."""
        for name in (b"tls-unknown", b"TLS-EXPORTER", b"tls-exporter.", b"x"):
            error = self.refused(b"p=" + name + b",,n=u,r=x", plus=True)
            self.assertEqual(error.condition, SASLCondition.MALFORMED_REQUEST)
        empty = ScramMechanism("sha1", True, {"tls-exporter": b""}, True)
        self.assertRaises(SASLError, empty.start, b"p=tls-exporter,,n=u,r=x")

    @spec("RFC 5802", "6")
    @spec("RFC 5801", "5")
    def test_flagAndName(self) -> None:
        """The -PLUS forms insist on binding, and the others don't bind."""
        self.refused(b"n,,n=u,r=x", plus=True)
        self.refused(b"y,,n=u,r=x", plus=True)
        self.refused(b"p=tls-exporter,,n=u,r=x", plus=False)

    @CALM
    @given(st.binary(max_size=60), st.booleans())
    @example(b"n,,n=user,r=x,x=", False)
    def test_anything(self, data: bytes, plus: bool) -> None:
        """Any octets are a question for keys or a L{SASLError}."""
        for message in (data, b"n,," + data, b"n,,n=" + data + b",r=x", b"p=tls-unique,,n=u,r=x," + data):
            try:
                self.assertIsInstance(attempt(plus).start(message), Lookup)
            except SASLError:
                pass

    @CALM
    @given(text, text, st.booleans())
    def test_names(self, username: str, authzid: str, plus: bool) -> None:
        """Any names arrive as they left."""

        def escape(name: str) -> str:
            return name.replace("=", "=3D").replace(",", "=2C")

        flag = "p=tls-unique" if plus else "n"
        mechanism = attempt(plus)
        step = mechanism.start(f"{flag},a={escape(authzid)},n={escape(username)},r=x".encode())
        self.assertEqual(step, Lookup(username, "sha1"))
        mechanism.found(KEYS["sha1"])
        header = f"{flag},a={escape(authzid)},".encode() + (BINDINGS["tls-unique"] if plus else b"")
        verdict = mechanism.respond(b"c=" + b64encode(header) + b",r=xSERVER,p=" + b64encode(b"x" * 20))
        assert isinstance(verdict, Verify) and isinstance(verdict.credentials, ScramProof)
        self.assertEqual((verdict.credentials.username, verdict.credentials.authzid), (username, authzid))


class ClientFinalTests(SynchronousTestCase):
    """What a client ends with."""

    FIRST = b"n,,n=user,r=x"

    def challenged(self) -> tuple[ScramMechanism, bytes]:
        """A mechanism that waits for the final message, and its challenge."""
        mechanism = attempt()
        mechanism.start(self.FIRST)
        step = mechanism.found(KEYS["sha1"])
        assert isinstance(step, Challenge)
        return mechanism, step.data

    def proves(self, unproved: bytes, password: str = "pencil") -> bool:
        """Whether an honest client that says this is let in."""
        mechanism, challenge = self.challenged()
        step = mechanism.respond(clientFinal(KEYS["sha1"], self.FIRST, challenge, unproved, password))
        assert isinstance(step, Verify)
        assert isinstance(step.credentials, ScramProof)
        verifyObject(IScramProof, step.credentials)
        return step.credentials.proves()

    def refused(self, data: bytes) -> object:
        """The condition with which a final message is refused."""
        return self.assertRaises(SASLError, self.challenged()[0].respond, data).condition

    @spec("RFC 5802", "3", "7")
    def test_proof(self) -> None:
        """The right proof is accepted, with unknown attributes or none; they are covered by it."""
        self.assertTrue(self.proves(b"c=biws,r=xSERVER"))
        self.assertTrue(self.proves(b"c=biws,r=xSERVER,y=1,Z==\xc3\xa9=,y=2"))
        self.assertFalse(self.proves(b"c=biws,r=xSERVER", "Pencil"))
        mechanism, challenge = self.challenged()
        final = clientFinal(KEYS["sha1"], self.FIRST, challenge, b"c=biws,r=xSERVER,y=1")
        step = mechanism.respond(final.replace(b"y=1", b"y=2"))
        assert isinstance(step, Verify) and isinstance(step.credentials, ScramProof)
        self.assertFalse(step.credentials.proves())

    @spec("RFC 5802", "5.1", "7")
    def test_malformed(self) -> None:
        """What the grammar doesn't know is C{malformed-request}."""
        proof = b",p=" + b64encode(b"x" * 20)
        wrong = [
            b"", b"c=biws,r=xSERVER", proof, b"c=biws" + proof, b"r=xSERVER" + proof, b"r=xSERVER,c=biws" + proof,
            b"c=,r=xSERVER" + proof, b"c=biws,r=" + proof, b"x=1,c=biws,r=xSERVER" + proof, b"c=biws,x=1,r=xSERVER" + proof,
            b"c=biws,r=xSERVER" + proof + b",x=1", b"c=biws,r=xSERVER" + proof + proof, b"c=biws,r=xSERVER,p=",
            b"c=biws,r=xSERVER" + proof + b",", b"c=biws,r=xSERVER," + proof, b"c=biws,r=xSERVER,m=1" + proof,
            b"c=biws,r=xSERVER,y" + proof, b"c=biws,r=xSERVER,n=u" + proof, b"c=biws,r=xSERVER" + proof + b"\n",
            b"c=biws,r=xSERVER,y=\xff" + proof, b"c=biws,r=xSERVER,y=\0" + proof, b"c=biws\n,r=xSERVER" + proof,
            b"c=bi ws,r=xSERVER" + proof, b"c=biw,r=xSERVER" + proof, b"c=bix=,r=xSERVER" + proof,
            b"c=\xef\xbc\xa1AAA,r=xSERVER" + proof, b"c=biws,r=xSERVER,p=*", b"c=biws,r=xSERVER,p==",
            b"c=biws,r=xSERVER,p=AAAA", b"c=biws,r=xSERVER,p=" + b64encode(b"x" * 21), b"c=biws,r=xSERVER,p=AB==",
            b"c=biws,r=xSERVER,y=" + b"1" * MAX_MESSAGE + proof,
        ]  # fmt: skip
        for data in wrong:
            self.assertEqual(self.refused(data), SASLCondition.MALFORMED_REQUEST, repr(data))

    @spec("RFC 5802", "5.1")
    def test_nonce(self) -> None:
        """The nonce must be the whole of ours: not the client's part, not another's, in no other case."""
        for nonce in (b"x", b"SERVER", b"xSERVE", b"xSERVERx", b"xserver", b"XSERVER", b"x\xc3\xa9"):
            data = b"c=biws,r=" + nonce + b",p=" + b64encode(b"x" * 20)
            self.assertEqual(self.refused(data), SASLCondition.MALFORMED_REQUEST)

    @spec("RFC 5802", "6")
    def test_binding(self) -> None:
        """C{c} must repeat the GS2 header, with the binding data that the flag calls for and no more."""
        for header in (b"y,,", b"n,a=u,", b"n,", b"n,,x", b"p=tls-exporter,," + b"e" * 32):
            data = b"c=" + b64encode(header) + b",r=xSERVER,p=" + b64encode(b"x" * 20)
            self.assertEqual(self.refused(data), SASLCondition.NOT_AUTHORIZED)

    @spec("RFC 5802", "6")
    def test_bindingOfAnotherType(self) -> None:
        """The data is that of the type in the header, not of another that we have too."""
        mechanism = attempt(plus=True)
        mechanism.start(b"p=tls-unique,,n=user,r=x")
        mechanism.found(KEYS["sha1"])
        binding = b64encode(b"p=tls-unique,," + BINDINGS["tls-exporter"])
        error = self.assertRaises(
            SASLError, mechanism.respond, b"c=" + binding + b",r=xSERVER,p=" + b64encode(b"x" * 20)
        )
        self.assertEqual(error.condition, SASLCondition.NOT_AUTHORIZED)

    def test_oneGuess(self) -> None:
        """A challenge is answered once: neither a second proof nor a repaired message is looked at."""
        final = b"c=biws,r=xSERVER,p=" + b64encode(b"x" * 20)
        mechanism, _ = self.challenged()
        mechanism.respond(final)
        self.assertRaises(SASLError, mechanism.respond, final)
        self.assertRaises(RuntimeError, mechanism.verified)
        mechanism, _ = self.challenged()
        self.assertRaises(SASLError, mechanism.respond, b"")
        self.assertRaises(SASLError, mechanism.respond, final)

    def test_responseDuringLookup(self) -> None:
        """A response sent before our challenge is refused, and the keys come too late."""
        mechanism = attempt()
        mechanism.start(self.FIRST)
        self.assertRaises(SASLError, mechanism.respond, b"c=biws,r=xSERVER,p=AAAA")
        self.assertRaises(RuntimeError, mechanism.found, KEYS["sha1"])

    def test_keysOfAnotherHash(self) -> None:
        """Keys for another hash are the caller's mistake."""
        mechanism = attempt()
        mechanism.start(self.FIRST)
        self.assertRaises(ValueError, mechanism.found, KEYS["sha256"])

    @CALM
    @given(st.binary(max_size=60))
    def test_anything(self, data: bytes) -> None:
        """Any octets are a proof that doesn't hold, or a L{SASLError}."""
        proof = b",p=" + b64encode(data)
        for message in (data, b"c=" + data, b"c=biws,r=xSERVER," + data + proof, b"c=biws,r=xSERVER" + proof):
            try:
                step = self.challenged()[0].respond(message)
            except SASLError:
                continue
            assert isinstance(step, Verify) and isinstance(step.credentials, ScramProof)
            self.assertFalse(step.credentials.proves())


class NonceTests(SynchronousTestCase):
    """The server's part of the nonce."""

    @spec("RFC 5802", "5.1")
    def test_fresh(self) -> None:
        """It is printable, without comma, long enough, and never the same."""
        seen = set()
        for _ in range(50):
            mechanism = ScramMechanism("sha1", False, NOTHING, False)
            mechanism.start(b"n,,n=u,r=x")
            step = mechanism.found(KEYS["sha1"])
            assert isinstance(step, Challenge)
            nonce = step.data.decode().split(",")[0][3:]
            self.assertTrue(len(nonce) >= 22 and nonce.isascii() and nonce.isprintable() and " " not in nonce)
            seen.add(nonce)
        self.assertEqual(len(seen), 50)


class ScramProofTests(SynchronousTestCase):
    """The credentials alone."""

    def test_repr(self) -> None:
        """Only who it claims to be is shown."""
        keys = KEYS["sha1"]
        proof = ScramProof("user", "other@host", keys, b"AUTHMESSAGE", b"PROOF")
        self.assertEqual(repr(proof), "ScramProof(username='user', authzid='other@host')")

    def test_wrongLength(self) -> None:
        """A proof of another length than the digest's doesn't hold, nor does any against keys of nobody."""
        for size in (0, 19, 20, 21, 64):
            self.assertFalse(ScramProof("user", None, KEYS["sha1"], b"", b"x" * size).proves())
            self.assertFalse(ScramProof("user", None, fakeKeys(b"s" * 16, "u", "sha1"), b"", b"x" * size).proves())

    def test_frozen(self) -> None:
        """Credentials can't be changed on their way to the checker."""
        proof = ScramProof("user", None, KEYS["sha1"], b"", b"")
        self.assertRaises(AttributeError, setattr, proof, "username", "admin")
        self.assertEqual(replace(proof, username="admin").username, "admin")
