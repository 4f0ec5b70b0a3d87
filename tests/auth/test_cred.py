"""Tests of L{xmppd.auth.cred}: the portal of a host, by itself."""

from __future__ import annotations

from typing import Any

from twisted.cred.checkers import ICredentialsChecker
from twisted.cred.credentials import UsernamePassword
from twisted.cred.error import LoginFailed, UnhandledCredentials
from twisted.cred.portal import IRealm
from twisted.internet.defer import Deferred, succeed
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from tests.doubles import FailingStore, Rig
from tests.marks import spec
from tests.server import keysFor
from xmppd.auth.cred import (
    Account,
    AnonymousChecker,
    ExternalChecker,
    Guest,
    PlainChecker,
    Realm,
    ScramChecker,
    checkAuthzid,
    localpart,
    makePortal,
)
from xmppd.auth.passwords import Passwords
from xmppd.config import HostConfig
from xmppd.ixmppd import IAccount, IAnonymousAccount, IPasswords, StoreUnavailable
from xmppd.sasl.credentials import AnonymousTrace, ExternalIdentity, PlainPassword
from xmppd.wire.errors import SASLError, StanzaError
from xmppd.wire.jid import parse


def at(function: Any, *arguments: Any) -> Deferred[Any]:
    """A function as if called in a thread: at once."""
    from twisted.internet.defer import maybeDeferred

    return maybeDeferred(function, *arguments)


class PortalTests(SynchronousTestCase):
    """L{makePortal}."""

    def portal(self, **config: Any) -> Any:
        """A host's portal; romeo has an account."""
        self.rig = Rig(config=HostConfig("example.org", **config))
        self.rig.store.accounts.create("romeo@example.org", keysFor("secret"), 0)
        self.passwords = Passwords(self.rig.store.accounts, at, b"s" * 16, 10_000)
        return makePortal(self.rig.host, self.passwords)

    def login(self, portal: Any, credentials: Any, *interfaces: Any, mind: Any = None) -> Any:
        """The avatar; raises what the login fails with."""
        return self.successResultOf(portal.login(credentials, mind, *(interfaces or (IAccount,))))

    def condition(self, portal: Any, credentials: Any) -> str:
        """The condition with which a login fails."""
        return str(self.failureResultOf(portal.login(credentials, None, IAccount), SASLError).value.condition)

    def test_interfaces(self) -> None:
        """Realm, checkers and avatars are what cred expects."""
        portal = self.portal()
        host = self.rig.host
        verifyObject(IRealm, portal.realm)
        for checker in (ScramChecker(host), PlainChecker(host, self.passwords), AnonymousChecker(host), ExternalChecker(host)):
            verifyObject(ICredentialsChecker, checker)
        verifyObject(IAccount, Account(parse("a@b")))
        verifyObject(IAnonymousAccount, Guest(parse("a@b")))
        verifyObject(IPasswords, self.passwords)

    def test_account(self) -> None:
        """The right password gives an avatar with the bare JID, that can be logged out once."""
        interface, account, logout = self.login(self.portal(), PlainPassword("Romeo", None, "secret"))
        self.assertIs(interface, IAccount)
        self.assertEqual((account.jid.full, account.anonymous), ("romeo@example.org", False))
        logout()
        logout()

    def test_logoutOnce(self) -> None:
        """What is to be undone at the end of a session is undone exactly once."""
        calls: list[str] = []
        jid = parse("a@b")
        for avatar in (Account(jid, lambda: calls.append("account")), Guest(jid, None, lambda: calls.append("guest"))):
            avatar.logout()
            avatar.logout()
        self.assertEqual(calls, ["account", "guest"])

    def test_wrongPassword(self) -> None:
        """Wrong, empty-handed, unknown: the same failure."""
        portal = self.portal()
        for name, password in (("romeo", "wrong"), ("juliet", "secret"), ("a b", "secret"), ("romeo@example.com", "secret")):
            self.assertEqual(self.condition(portal, PlainPassword(name, None, password)), "not-authorized")

    def test_otherCredentials(self) -> None:
        """Credentials nobody checks."""
        portal = self.portal()
        for credentials in (AnonymousTrace(None), UsernamePassword(b"romeo", b"secret")):
            failure = self.failureResultOf(portal.login(credentials, None, IAccount))
            self.assertIsInstance(failure.value, UnhandledCredentials)
            self.assertIsInstance(failure.value, LoginFailed)

    def test_otherAvatars(self) -> None:
        """There are avatars of accounts only."""
        portal = self.portal()
        from zope.interface import Interface

        failure = self.failureResultOf(portal.login(PlainPassword("romeo", None, "secret"), None, Interface))
        self.assertIsInstance(failure.value, NotImplementedError)
        self.assertRaises(NotImplementedError, Realm(self.rig.host).requestAvatar, (), None, IAccount)

    @spec("mission", "A2")
    def test_guest(self) -> None:
        """A guest's avatar says that it is one, and carries the trace."""
        portal = self.portal(guests="public")
        interface, guest, _ = self.login(portal, AnonymousTrace("sirhc"), IAnonymousAccount, mind="sirhc")
        self.assertIs(interface, IAnonymousAccount)
        self.assertTrue(guest.anonymous)
        self.assertEqual(guest.trace, "sirhc")
        self.assertNotIn("sirhc", repr(guest))

    def test_accountsOff(self) -> None:
        """A host without accounts checks no passwords."""
        portal = self.portal(accounts=False, guests="public")
        failure = self.failureResultOf(portal.login(PlainPassword("romeo", None, "secret"), None, IAccount))
        self.assertIsInstance(failure.value, UnhandledCredentials)

    @spec("XEP-0178", "2")
    def test_certificate(self) -> None:
        """The identity of a verified certificate: the only one it names on this domain, or the one that is asked for."""
        portal = self.portal()
        own, other = "romeo@example.org", "juliet@example.org"
        self.rig.store.accounts.create(other, keysFor("secret"), 0)
        for authzid, certified, expected in (
            (None, (own,), own),
            (None, (own, "romeo@example.com", "example.org", "@"), own),
            (own, (own, other), own),
            (other, (own, other), other),
            ("ROMEO@example.org/x", (own,), own),
        ):
            avatar = self.login(portal, ExternalIdentity(authzid, certified))[1]
            self.assertEqual(avatar.jid.full, expected)
        for authzid, certified, condition in (
            (None, (), "not-authorized"),
            (None, ("romeo@example.com",), "not-authorized"),
            (None, (own, other), "invalid-authzid"),
            (other, (own,), "invalid-authzid"),
            ("@", (own,), "invalid-authzid"),
            ("example.org", ("example.org",), "invalid-authzid"),
            (None, ("nobody@example.org",), "not-authorized"),
        ):
            self.assertEqual(self.condition(portal, ExternalIdentity(authzid, certified)), condition)
        self.rig.store.accounts.setDisabled(own, True)
        self.assertEqual(self.condition(portal, ExternalIdentity(None, (own,))), "account-disabled")

    def test_storeFails(self) -> None:
        """A store that doesn't answer is no wrong password."""
        portal = self.portal()
        store = FailingStore(self.rig.store)
        self.rig.host.accounts = store.accounts
        portal = makePortal(self.rig.host, Passwords(store.accounts, at, b"s" * 16, 10_000))
        store.failReads = True
        self.failureResultOf(portal.login(PlainPassword("romeo", None, "secret"), None, IAccount), StoreUnavailable)


class NameTests(SynchronousTestCase):
    """L{localpart} and L{checkAuthzid}."""

    @spec("RFC 6120", "6.3.7")
    def test_localpart(self) -> None:
        """A localpart or a bare JID of the domain, prepared."""
        for name in ("romeo", "Romeo", "romeo@example.org", "ROMEO@EXAMPLE.ORG"):
            self.assertEqual(localpart(name, "example.org").full, "romeo@example.org")

    def test_others(self) -> None:
        """Other domains, full JIDs, and what is no name."""
        for name in ("", "a b", "a@", "@example.org", "romeo@example.com", "romeo@example.org/x", "a/b", "\ud800", "x" * 2000):
            self.assertEqual(self.assertRaises(SASLError, localpart, name, "example.org").condition, "not-authorized")

    @spec("RFC 6120", "6.3.8")
    def test_authzid(self) -> None:
        """None, or the own bare JID."""
        own = parse("romeo@example.org")
        for good in (None, "", "romeo@example.org", "Romeo@Example.org"):
            checkAuthzid(good, own)
        for bad in ("juliet@example.org", "romeo", "romeo@example.org/x", "@", "\ud800", "x" * 5000):
            self.assertEqual(self.assertRaises(SASLError, checkAuthzid, bad, own).condition, "invalid-authzid")


class PasswordsTests(SynchronousTestCase):
    """L{Passwords}."""

    def setUp(self) -> None:
        self.rig = Rig()
        self.waiting: list[tuple[Deferred[Any], Any, Any]] = []

    def later(self, function: Any, *arguments: Any) -> Deferred[Any]:
        """A function as if called in a thread that is slow."""
        answer: Deferred[Any] = Deferred()
        self.waiting.append((answer, function, arguments))
        return answer

    def passwords(self, inThread: Any = at, most: int = 2) -> Passwords:
        """Two may wait."""
        return Passwords(self.rig.store.accounts, inThread, b"s" * 16, 10_000, most)

    def test_derive(self) -> None:
        """Keys for each hash, with the configured rounds and salts of their own."""
        keys = self.successResultOf(self.passwords().derive("secret"))
        self.assertEqual([(each.hashName, each.iterations) for each in keys], [(n, 10_000) for n in ("sha1", "sha256", "sha512")])
        self.assertEqual(len({each.salt for each in keys}), 3)

    def test_check(self) -> None:
        """Right, wrong, unknown."""
        self.rig.store.accounts.create("romeo@example.org", keysFor("secret"), 0)
        passwords = self.passwords()
        for bare, password, right in (
            ("romeo@example.org", "secret", True), ("romeo@example.org", "Secret", False), ("romeo@example.org", "", False),
            ("juliet@example.org", "secret", False),
        ):
            self.assertEqual(self.successResultOf(passwords.check(bare, password)), right)

    def test_unusable(self) -> None:
        """A password that can't be used is not-acceptable."""
        for password in ("", "a\x00b", "x" * 2000):
            error = self.failureResultOf(self.passwords().derive(password), StanzaError).value
            self.assertEqual(error.condition, "not-acceptable")
            self.assertNotIn(password or "?", str(error))

    def test_bounded(self) -> None:
        """More than so many at a time are refused, and the place is free again afterwards, failed or not."""
        passwords = self.passwords(self.later)
        checks = [passwords.check("romeo@example.org", "x") for _ in range(2)]
        self.assertEqual(self.failureResultOf(passwords.check("a@b", "x"), SASLError).value.condition, "temporary-auth-failure")
        self.assertEqual(self.failureResultOf(passwords.derive("x"), StanzaError).value.condition, "resource-constraint")
        self.waiting[0][0].callback(False)
        self.waiting[1][0].errback(RuntimeError())
        self.assertFalse(self.successResultOf(checks[0]))
        self.failureResultOf(checks[1], RuntimeError)
        self.assertNoResult(passwords.check("a@b", "x"))

    @spec("RFC 5802", "9")
    def test_madeUp(self) -> None:
        """Made-up keys are the same each time, other for others, and never right."""
        passwords = self.passwords()
        keys = passwords.madeUp("a@b", "sha256")
        self.assertEqual(keys, passwords.madeUp("a@b", "sha256"))
        self.assertNotEqual(keys.salt, passwords.madeUp("c@b", "sha256").salt)
        self.assertEqual(keys.iterations, 10_000)
        self.assertEqual(self.successResultOf(succeed(passwords.secret)), b"s" * 16)
