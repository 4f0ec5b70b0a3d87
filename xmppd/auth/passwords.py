"""
Passwords to keys, and back to yes or no (RFC 5802, RFC 4616), in threads.

PBKDF2 takes milliseconds on purpose: on the reactor's thread a few hundred guesses a second would stop everybody. The
number of derivations under way is bounded; beyond it logins are refused for the moment.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NoReturn, TypeVar

from twisted.internet.defer import Deferred, fail
from zope.interface import implementer

from xmppd.auth.rounds import Census, Rounds
from xmppd.ixmppd import IAccountStore, IPasswords, StoredKeys
from xmppd.sasl.keys import UnusablePassword, checkPassword, deriveKeys, fakeKeys
from xmppd.wire.errors import SASLCondition, SASLError, StanzaCondition, StanzaError

HASHES = ("sha1", "sha256", "sha512")
"""Keys are kept for each of these, so that each SCRAM mechanism works for each account."""

CHECKED = "sha256"
"""The hash by which a plain password is checked."""

T = TypeVar("T")


@implementer(IPasswords)
class Passwords:
    """
    See L{IPasswords}.

    @ivar secret: at least 16 octets that outlive the process, from which the keys of unknown users are made up.
    """

    def __init__(
        self,
        accounts: IAccountStore,
        inThread: Callable[..., Deferred[Any]],
        secret: bytes,
        iterations: int,
        most: int = 200,
        census: Census | None = None,
    ) -> None:
        """
        @param inThread: calls a function in a thread and answers a Deferred, as C{deferToThread} does.
        @param iterations: PBKDF2 rounds of new keys.
        @param most: how many derivations may wait.
        @param census: knows how many rounds made-up accounts show; without it all show C{iterations}.
        """
        self._accounts = accounts
        self._inThread = inThread
        self._iterations = iterations
        self._most = most
        self._waiting = 0
        self._census = census
        self._only = Rounds.only(iterations)
        self.secret = secret

    def _run(self, function: Callable[..., T], *arguments: object) -> Deferred[T]:
        """Run a derivation, if there are not too many."""
        if self._waiting >= self._most:
            return fail(SASLError(SASLCondition.TEMPORARY_AUTH_FAILURE, "Too many logins at once."))
        self._waiting += 1
        return self._inThread(function, *arguments).addBoth(self._ran)

    def _ran(self, result: T) -> T:
        self._waiting -= 1
        return result

    def derive(self, password: str) -> Deferred[Sequence[StoredKeys]]:
        """See L{IPasswords}."""

        def keys() -> tuple[StoredKeys, ...]:
            return tuple(deriveKeys(password, hashName, None, self._iterations) for hashName in HASHES)

        def refused(failure: Any) -> NoReturn:
            if failure.check(UnusablePassword):
                raise StanzaError(StanzaCondition.NOT_ACCEPTABLE, "This password can't be used.")
            if failure.check(SASLError):
                raise StanzaError(StanzaCondition.RESOURCE_CONSTRAINT, "Too many logins at once.")
            failure.raiseException()
            raise AssertionError  # for the type checker

        return self._run(keys).addErrback(refused)

    @property
    def iterations(self) -> int:
        """PBKDF2 rounds of new keys."""
        return self._iterations

    def madeUp(self, username: str, hashName: str) -> StoredKeys:
        """
        Keys for a user who isn't there: as steady as anybody's, and never right. To be made for users who are there,
        too, so that it takes no less time for them.
        """
        rounds = self._only if self._census is None else self._census.rounds
        era = rounds.eraOf(self.secret, username)
        return fakeKeys(self.secret, username, hashName, era.rounds, era.number)

    def check(self, bare: str, password: str) -> Deferred[bool]:
        """See L{IPasswords}."""
        return Deferred.fromCoroutine(self.verdict(bare, password)).addCallback(lambda verdict: verdict[0])

    async def verdict(self, bare: str, password: str) -> tuple[bool, bool]:
        """
        Whether it is the account's password, and whether the account is disabled; as long for an unknown account.
        """
        found = await self._accounts.keys(bare, CHECKED)
        keys, madeUp = found[1] if found is not None else None, self.madeUp(bare, CHECKED)
        right = await self._run(checkPassword, keys or madeUp, password)
        return right and keys is not None, found is not None and found[0].disabled
