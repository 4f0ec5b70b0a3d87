"""
Whether a name made up for a guest could be an account's.

Guests have to be let in quickly, and nearly nowhere has any account the name of a UUID. So it is found out once, in
pages and while logins go on, whether there is such an account. As long as that isn't known, and where there is one, the
store has to be asked for each name.
"""

from __future__ import annotations

import re

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from xmppd.ixmppd import IHost, StoreUnavailable

UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}@")
"""A bare JID such as guests have: a UUID of version 4 (RFC 4122 section 4.4)."""

PAGE = 500
"""How many accounts are looked at at a time."""

log = Logger(namespace="xmppd.auth")


class GuestNames:
    """
    What is known of the names of one host's accounts.

    @ivar apart: whether certainly no account has the name of a UUID.
    """

    def __init__(self, host: IHost) -> None:
        self._host = host
        self._alike = False
        self.apart = not host.config.accounts
        if host.config.accounts:
            host.hooks.registered.addObserver(self._registered)
            Deferred.fromCoroutine(self._look()).addErrback(self._unknown)

    async def _look(self) -> None:
        """Go through all accounts, up to the first with the name of a UUID."""
        after = ""
        while not self._alike:
            records = await self._host.accounts.list(self._host.domain, after, PAGE)
            self._alike = self._alike or any(UUID.match(record.jid) for record in records)
            if len(records) < PAGE:
                self.apart = not self._alike
                return
            after = records[-1].jid

    def _unknown(self, failure: Failure) -> None:
        """The store will be asked for each name."""
        if failure.check(StoreUnavailable) is None:
            log.failure("looking through the accounts failed", failure)

    def _registered(self, bare: str) -> None:
        """There is a new account."""
        if UUID.match(bare):
            self._alike, self.apart = True, False
