"""
Tests for L{xmppd.sasl.keys}.
"""

from __future__ import annotations

import traceback
from base64 import b64decode, b64encode
from dataclasses import replace

from twisted.trial.unittest import SynchronousTestCase

from tests.marks import spec
from xmppd.sasl.keys import (
    HASH_NAMES,
    MAX_PASSWORD,
    SALT_OCTETS,
    UnusablePassword,
    checkPassword,
    deriveKeys,
    fakeKeys,
    preparePassword,
)

SECRET = b"only this server knows"


class PreparePasswordTests(SynchronousTestCase):
    """What of a password counts."""

    @spec("RFC 8265", "4.2")
    def test_opaqueString(self) -> None:
        """Other spaces become spaces, text is composed, letters keep their case."""
        self.assertEqual(
            preparePassword(" correct Horse\u00a0battery e\u0301 \u1680"), " correct Horse battery é  ".encode()
        )

    @spec("RFC 8265", "4.2.2")
    def test_unusable(self) -> None:
        """Empty passwords, control characters, unassigned or ignorable code points and surrogates are refused."""
        for password in ("", "tab\t", "nul\0", "\x7f", "soft\u00adhyphen", "\u0378", "\ud800", "zero\u200bwidth"):
            self.assertRaises(UnusablePassword, preparePassword, password)

    def test_length(self) -> None:
        """The limit counts octets, and spares normalisation of anything longer."""
        self.assertEqual(len(preparePassword("x" * MAX_PASSWORD)), MAX_PASSWORD)
        self.assertEqual(len(preparePassword("é" * (MAX_PASSWORD // 2))), MAX_PASSWORD)
        for password in ("x" * (MAX_PASSWORD + 1), "é" * (MAX_PASSWORD // 2 + 1), "\u0301" * 1000000):
            self.assertRaises(UnusablePassword, preparePassword, password)

    def test_errorHidesPassword(self) -> None:
        """The traceback of an unusable password doesn't show it."""
        error = self.assertRaises(UnusablePassword, preparePassword, "secretive\x01word")
        self.assertNotIn("secretive", str(error) + repr(error.__cause__))
        self.assertTrue(error.__suppress_context__)
        self.assertNotIn("secretive", "".join(traceback.format_exception_only(error)))


class DeriveKeysTests(SynchronousTestCase):
    """From password to keys."""

    @spec("RFC 5802", "3", "5")
    def test_vector(self) -> None:
        """Known keys for "pencil" with the salt of RFC 5802."""
        keys = deriveKeys("pencil", "sha1", b64decode("QSXCR+Q6sek8bf92"), 4096)
        self.assertEqual(keys.storedKey.hex(), "e9d94660c39d65c38fbad91c358f14da0eef2bd6")
        self.assertEqual(keys.serverKey.hex(), "0fe09258b3ac852ba502cc62ba903eaacdbf7d31")

    def test_salt(self) -> None:
        """Without a given salt each derivation has its own."""
        one, other = deriveKeys("pencil", "sha256"), deriveKeys("pencil", "sha256")
        self.assertEqual((len(one.salt), one.iterations), (SALT_OCTETS, 10000))
        self.assertNotEqual(one.salt, other.salt)
        self.assertNotEqual(one.storedKey, other.storedKey)

    @spec("RFC 5802", "5.1")
    @spec("RFC 7677", "4")
    def test_refusals(self) -> None:
        """Too few iterations, an empty salt and unknown hashes are the caller's mistake."""
        self.assertRaises(ValueError, deriveKeys, "pencil", "sha1", None, 4095)
        self.assertRaises(ValueError, deriveKeys, "pencil", "sha1", b"", 4096)
        self.assertRaises(ValueError, deriveKeys, "pencil", "md5")
        self.assertRaises(ValueError, deriveKeys, "pencil", "SHA-1")

    def test_repr(self) -> None:
        """Keys don't show themselves in a log."""
        self.assertEqual(repr(deriveKeys("pencil", "sha1")), "StoredKeys(hashName='sha1', iterations=10000)")

    def test_checkPassword(self) -> None:
        """The right password passes, in all its spellings; others don't, nor do those that can't be prepared."""
        for hashName in HASH_NAMES:
            keys = deriveKeys("pe\u0301ncil x", hashName, iterations=4096)
            self.assertTrue(checkPassword(keys, "p\u00e9ncil\u00a0x"))
            for wrong in ("pencil x", "Péncil x", "", "\0", "péncil x" * 1000):
                self.assertFalse(checkPassword(keys, wrong))


@spec("RFC 6120", "13.11")
class FakeKeysTests(SynchronousTestCase):
    """Keys for nobody."""

    def test_stable(self) -> None:
        """The same user gets the same keys, as a real one would; users, hashes and secrets don't share any."""
        keys = fakeKeys(SECRET, "nobody", "sha256")
        self.assertEqual(keys, fakeKeys(SECRET, "nobody", "sha256"))
        for other in (
            fakeKeys(SECRET, "nobodY", "sha256"),
            fakeKeys(SECRET, "nobody", "sha512"),
            fakeKeys(SECRET + b"!", "nobody", "sha256"),
        ):
            self.assertFalse(
                {keys.salt, keys.storedKey, keys.serverKey} & {other.salt, other.storedKey, other.serverKey}
            )

    def test_likeReal(self) -> None:
        """What the client gets to see looks as it does for real users."""
        for hashName in HASH_NAMES:
            real, fake = deriveKeys("pencil", hashName), fakeKeys(SECRET, "nobody", hashName)
            self.assertEqual(len(b64encode(fake.salt)), len(b64encode(real.salt)))
            self.assertEqual(fake.iterations, real.iterations)
            self.assertEqual(len(fake.serverKey), len(real.serverKey))

    def test_neverVerify(self) -> None:
        """The stored key can't be a digest, so that nothing hashes to it."""
        for hashName in HASH_NAMES:
            real, fake = deriveKeys("pencil", hashName), fakeKeys(SECRET, "nobody", hashName)
            self.assertNotEqual(len(fake.storedKey), len(real.storedKey))
            self.assertFalse(checkPassword(fake, "pencil"))
            self.assertNotEqual(replace(real, salt=fake.salt), fake)

    def test_anyName(self) -> None:
        """Any name that a client can send has keys."""
        for name in ("", "\0", "é", "\ud800", "x" * 5000):
            fakeKeys(SECRET, name, "sha1")

    def test_secret(self) -> None:
        """A short secret, or an unknown hash, is the caller's mistake."""
        self.assertRaises(ValueError, fakeKeys, b"short", "nobody", "sha1")
        self.assertRaises(ValueError, fakeKeys, SECRET, "nobody", "md5")
