"""
Whom users know, ready to be compared with strangers.

A stranger is compared with all contacts of a user, and anybody can be a stranger to somebody with thousands of contacts
as often as he has addresses. So the rosters that were needed last stay here, by what their addresses look like; the
store is asked for what has changed since, which mostly is nothing.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from typing import Final

from twisted.internet.defer import DeferredLock
from twisted.internet.task import deferLater

from xmppd.ixmppd import IClock, IHost, RosterChanges, RosterItem
from xmppd.wire.confusable import LONGEST, inspect
from xmppd.wire.jid import JID, parse
from xmppd.wire.lookalikes import addressKeys

KEPT: Final = 20_000
"""How many contacts of all users are kept, about a kilobyte each; what was needed last in any case."""

EACH: Final = 10
"""As how many contacts a roster counts besides those in it."""

BATCH: Final = 500
"""How many contacts are learnt in one turn of the reactor."""


class Contacts:
    """
    Those of one user, as of the last time they were asked for.

    @ivar items: by JID, as it is in the roster.
    @ivar version: of the roster.
    @ivar scripts: how many of them are written in each script, or called so by the user; ASCII doesn't count.
    @ivar lock: held while they are learnt.
    """

    def __init__(self) -> None:
        self.items: dict[str, RosterItem] = {}
        self.version = 0
        self.scripts: Counter[str] = Counter()
        self.lock = DeferredLock()
        self._bares: Counter[str] = Counter()
        self._byKey: dict[tuple[str, str], dict[str, None]] = {}

    def __contains__(self, bare: object) -> bool:
        """Whether an address, or one with a resource of it, is in the roster."""
        return bare in self._bares

    def alike(self, jid: JID) -> list[str]:
        """The contacts that look like the bare JID of an address and aren't it, in order."""
        found = {contact for key in addressKeys(jid) for contact in self._byKey.get(key, ())}
        return sorted(contact for contact in found if parse(contact).bare != jid.bare)

    async def learn(self, changes: RosterChanges, clock: IClock) -> None:
        """What has changed in the roster, or all of it."""
        if changes.complete:
            self.items.clear()
            self._bares.clear()
            self.scripts.clear()
            self._byKey.clear()
        for jid in changes.removed:
            self._remove(jid)
        for number, item in enumerate(changes.items, 1):
            self._add(item)
            if number % BATCH == 0:
                await deferLater(clock, 0)  # type: ignore[arg-type]
        self.version = changes.version

    def _add(self, item: RosterItem) -> None:
        if item.jid not in self.items:
            jid = parse(item.jid)
            self._bares[jid.bare] += 1
            for key in addressKeys(jid):
                self._byKey.setdefault(key, {})[item.jid] = None
        else:
            self.scripts.subtract(scriptsOf(self.items[item.jid]))
        self.scripts.update(scriptsOf(item))
        self.items[item.jid] = item

    def _remove(self, contact: str) -> None:
        item = self.items.pop(contact, None)
        if item is None:
            return
        self.scripts.subtract(scriptsOf(item))
        jid = parse(contact)
        self._bares[jid.bare] -= 1
        if not self._bares[jid.bare]:
            del self._bares[jid.bare]
        for key in addressKeys(jid):
            found = self._byKey[key]
            del found[contact]
            if not found:
                del self._byKey[key]


def scriptsOf(item: RosterItem) -> frozenset[str]:
    """The scripts of a contact's address and name; whoever has such a contact can read them."""
    return scriptsIn(parse(item.jid).bare) | scriptsIn(item.name)


def scriptsIn(text: str) -> frozenset[str]:
    """The scripts of a text besides ASCII."""
    if text.isascii():
        return frozenset()
    return inspect("".join(each for each in text[:LONGEST] if each > "\x7f")).scripts


class Rosters:
    """Those of one host's users."""

    def __init__(self, host: IHost) -> None:
        self._host = host
        self._kept: OrderedDict[str, Contacts] = OrderedDict()
        self._counted: dict[str, int] = {}
        self._count = 0

    async def of(self, account: str) -> Contacts:
        """The contacts of an account, as they are now. Raises what the store fails with."""
        contacts = self._kept.setdefault(account, Contacts())
        self._kept.move_to_end(account)
        await contacts.lock.acquire()
        try:
            changes = await self._host.rosters.since(account, contacts.version)
            await contacts.learn(changes, self._host.clock)
        except BaseException:
            self.forget(account)  # half of it may have been learnt
            raise
        finally:
            contacts.lock.release()
        if self._kept.get(account) is contacts:
            self._weigh(account, len(contacts.items) + EACH)
        return contacts

    def forget(self, account: str) -> None:
        """An account is gone."""
        self._kept.pop(account, None)
        self._count -= self._counted.pop(account, 0)

    def _weigh(self, account: str, count: int) -> None:
        """Know how many there are; those that weren't needed for longest make room."""
        self._count += count - self._counted.get(account, 0)
        self._counted[account] = count
        while self._count > KEPT and len(self._counted) > 1:
            self.forget(next(each for each in self._kept if each in self._counted))
