"""
Tests for L{xmppd.sasl.offer}.
"""

from __future__ import annotations

from base64 import b64decode
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.marks import spec
from xmppd.sasl.keys import fakeKeys
from xmppd.sasl.offer import Facts, create, offered, offeredBindings
from xmppd.sasl.scram import downgradeHash
from xmppd.sasl.steps import Challenge
from xmppd.wire.errors import SASLCondition, SASLError

BINDINGS = {"tls-server-end-point": b"e" * 32, "tls-exporter": b"x" * 32}
TLS = Facts(secured=True, channelBindings=BINDINGS, accounts=True, guests=False, clientCertificate=False)
SCRAM = ["SCRAM-SHA-512", "SCRAM-SHA-256", "SCRAM-SHA-1"]
PLUS = [name + "-PLUS" for name in SCRAM]
ALL = ["EXTERNAL", *PLUS, *SCRAM, "PLAIN", "ANONYMOUS"]

CALM = settings(deadline=None, database=None, derandomize=True)
"""Property tests that come out the same on every run, however busy the machine."""

facts = st.builds(
    Facts,
    secured=st.booleans(),
    channelBindings=st.dictionaries(
        st.sampled_from(["tls-exporter", "tls-server-end-point", "tls-unique", "tls-odd"]), st.binary(max_size=4)
    ),
    accounts=st.booleans(),
    guests=st.booleans(),
    clientCertificate=st.booleans(),
    plainWithoutTLS=st.booleans(),
)


class OfferedTests(SynchronousTestCase):
    """What is advertised."""

    @spec("RFC 6120", "6.3.3")
    def test_everything(self) -> None:
        """All that there is, in the order of our preference."""
        self.assertEqual(offered(replace(TLS, guests=True, clientCertificate=True)), ALL)

    @spec("RFC 5802", "6")
    def test_accounts(self) -> None:
        """A host with accounts offers SCRAM with and without channel binding, and PLAIN."""
        self.assertEqual(offered(TLS), [*PLUS, *SCRAM, "PLAIN"])

    @spec("RFC 5802", "6")
    def test_noBindingData(self) -> None:
        """Without binding data, or with data of unknown types or no length, there is no -PLUS form."""
        for bindings in ({}, {"tls-odd": b"x"}, {"tls-exporter": b""}):
            self.assertEqual(offered(replace(TLS, channelBindings=bindings)), [*SCRAM, "PLAIN"])

    @spec("RFC 4616", "5")
    @spec("RFC 6120", "13.8.3")
    def test_noTLS(self) -> None:
        """Without TLS there is no PLAIN (unless that is asked for), no EXTERNAL, and nothing to bind to."""
        bare = replace(TLS, secured=False, clientCertificate=True)
        self.assertEqual(offered(bare), SCRAM)
        self.assertEqual(offered(replace(bare, plainWithoutTLS=True)), [*SCRAM, "PLAIN"])

    @spec("mission", "A11")
    def test_guestsOnly(self) -> None:
        """A host for guests alone offers ANONYMOUS alone."""
        alone = replace(TLS, accounts=False, guests=True, clientCertificate=True, plainWithoutTLS=True)
        self.assertEqual(offered(alone), ["ANONYMOUS"])
        self.assertEqual(offeredBindings(alone), [])

    @spec("XEP-0175", "3")
    def test_noGuests(self) -> None:
        """ANONYMOUS is offered only where guests are let in; a host for nobody offers nothing."""
        self.assertNotIn("ANONYMOUS", offered(TLS))
        self.assertEqual(offered(replace(TLS, accounts=False)), [])

    @spec("XEP-0440", "2")
    def test_bindings(self) -> None:
        """The binding types with data are advertised where a -PLUS form is."""
        self.assertEqual(offeredBindings(TLS), ["tls-exporter", "tls-server-end-point"])
        self.assertEqual(offeredBindings(replace(TLS, secured=False)), [])

    @CALM
    @given(facts)
    def test_consistent(self, some: Facts) -> None:
        """Whatever the facts, what is offered can be created, nothing else can, and PLUS goes with bindings."""
        names = offered(some)
        self.assertEqual(any(name.endswith("-PLUS") for name in names), bool(offeredBindings(some)))
        for name in ALL:
            if name in names:
                self.assertEqual(create(name, some).name, name)
            else:
                self.assertRaises(SASLError, create, name, some)


class CreateTests(SynchronousTestCase):
    """What a client picks."""

    def condition(self, name: str, some: Facts) -> object:
        """The condition with which a mechanism is refused."""
        return self.assertRaises(SASLError, create, name, some).condition

    @spec("RFC 6120", "6.5.7")
    def test_invalid(self) -> None:
        """Unknown names, names not offered, and names in other letters are C{invalid-mechanism}."""
        for name in ("", "X", "DIGEST-MD5", "ANONYMOUS", "EXTERNAL", "plain", "Plain", "scram-sha-1", "PLAIN "):
            self.assertEqual(self.condition(name, TLS), SASLCondition.INVALID_MECHANISM, name)
        self.assertEqual(
            self.condition("SCRAM-SHA-1-PLUS", replace(TLS, channelBindings={})), SASLCondition.INVALID_MECHANISM
        )

    @spec("RFC 6120", "6.5.4")
    def test_plainWithoutTLS(self) -> None:
        """PLAIN without TLS is C{encryption-required}, where there are accounts to be used with it."""
        bare = replace(TLS, secured=False)
        self.assertEqual(self.condition("PLAIN", bare), SASLCondition.ENCRYPTION_REQUIRED)
        guests = replace(bare, accounts=False, guests=True)
        self.assertEqual(self.condition("PLAIN", guests), SASLCondition.INVALID_MECHANISM)
        self.assertEqual(create("PLAIN", replace(bare, plainWithoutTLS=True)).name, "PLAIN")

    @spec("XEP-0474", "6.1")
    def test_downgradeProtection(self) -> None:
        """SCRAM announces the hash of what is offered on this stream, unless told not to."""
        for protect in (True, False):
            mechanism = create("SCRAM-SHA-256", TLS, downgradeProtection=protect)
            mechanism.start(b"n,,n=user,r=abc")
            step = mechanism.found(fakeKeys(b"s" * 16, "user", "sha256"))
            assert isinstance(step, Challenge)
            value = downgradeHash(offered(TLS), BINDINGS, "sha256")
            self.assertEqual(len(b64decode(value)), 32)
            self.assertEqual(step.data.endswith(b",h=" + value), protect)

    @spec("XEP-0515", "4.1", "5")
    @spec("mission", "T16")
    def test_tlsVersion(self) -> None:
        """Behind the hash comes the version of TLS, where TLS ends here and neither is to be left out."""
        for version, digits in (("TLSv1.2", b"0303"), ("TLSv1.3", b"0304"), ("", None), ("TLSv1", None)):
            for secured, protect in ((True, True), (False, True), (True, False)):
                some = replace(TLS, tlsVersion=version, secured=secured)
                mechanism = create("SCRAM-SHA-256", some, downgradeProtection=protect)
                mechanism.start(b"n,,n=user,r=abc")
                step = mechanism.found(fakeKeys(b"s" * 16, "user", "sha256"))
                assert isinstance(step, Challenge)
                attributes = dict(part.split(b"=", 1) for part in step.data.split(b","))
                expected = digits if secured and protect else None
                self.assertEqual((attributes.get(b"t"), b"h" in attributes), (expected, protect))

    @spec("RFC 5802", "6")
    def test_downgradeSeen(self) -> None:
        """The C{y} of a client fails if a -PLUS form was offered on this stream, and only then."""
        error = self.assertRaises(SASLError, create("SCRAM-SHA-1", TLS).start, b"y,,n=user,r=abc")
        self.assertEqual(error.condition, SASLCondition.NOT_AUTHORIZED)
        create("SCRAM-SHA-1", replace(TLS, channelBindings={})).start(b"y,,n=user,r=abc")

    def test_reprHidesBindings(self) -> None:
        """The facts can be logged without the binding data."""
        self.assertNotIn("xxxx", repr(TLS))
