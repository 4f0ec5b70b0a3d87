"""
How archives join a host, and what an administrator can set.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Sequence
from typing import Final

from twisted.internet.defer import Deferred

from xmppd.features.xep0313_archive.accounts import AccountArchives
from xmppd.features.xep0313_archive.answering import Answers
from xmppd.features.xep0313_archive.preferences import DEFAULTS, PREFS, AllPreferences
from xmppd.features.xep0313_archive.retention import Owners, Retention
from xmppd.features.xep0313_archive.retraction import Retractions
from xmppd.features.xep0313_archive.rooms import RoomAnswers, RoomArchives
from xmppd.features.xep0313_archive.writing import Writer
from xmppd.hooks import Feature, Option, Spec
from xmppd.ixmppd import IHost, IRooms
from xmppd.wire import ns
from xmppd.wire.archiveids import ArchiveIds

NAME: Final = "xep0313_archive"
NAMESPACES: Final = (ns.ARCHIVE, f"{ns.ARCHIVE}#extended", f"{ns.ARCHIVE}#groupchat-field", ns.STANZA_ID)
RETRACTIONS: Final = (ns.RETRACTION, f"{ns.RETRACTION}#tombstone")

TAIL: Final = 16
"""Characters at the end of an id that nobody can guess: 96 random bits."""

AT_ONCE: Final = 768
"""Random octets that are drawn at once."""


class Tails:
    """The ends of ids, cut from long random texts: to draw each by itself would cost more than all the rest."""

    def __init__(self, token: Callable[[int], str]) -> None:
        self._token = token
        self._cut: list[str] = []

    def __call__(self) -> str:
        """Another one."""
        if not self._cut:
            self._draw()
        return self._cut.pop()

    def _draw(self) -> None:
        text = ""
        while len(text) < TAIL:
            text += self._token(AT_ONCE)
        self._cut = [text[at : at + TAIL] for at in range(0, len(text) - TAIL + 1, TAIL)]


def join(host: IHost) -> None:
    """Keep archives for the accounts of a host, or for the rooms of a service."""
    if host.rooms is not None:
        if host.option(NAME, "rooms"):
            _joinRooms(host, host.rooms)
    elif host.config.table == "host" and host.config.accounts and host.option(NAME, "accounts"):
        _joinAccounts(host)


def _joinRooms(host: IHost, rooms: IRooms) -> None:
    writer = Writer(host)
    archives = RoomArchives(host, writer, ArchiveIds(Tails(host.entropy.token)), (*NAMESPACES, *RETRACTIONS))
    rooms.archive = archives
    host.hooks.removed.addObserver(archives.removed)
    RoomAnswers(host, rooms, writer, host.option(NAME, "page"), host.option(NAME, "most")).join()

    async def names(after: str, limit: int) -> Sequence[str]:
        names = rooms.names()
        start = bisect_right(names, after)
        return names[start : start + limit]

    _keepUp(host, writer, names)


def _joinAccounts(host: IHost) -> None:
    writer = Writer(host)
    preferences = AllPreferences(host, host.option(NAME, "default"))
    ids = ArchiveIds(Tails(host.entropy.token))
    archives = AccountArchives(host, writer, ids, preferences, Retractions(host, writer))
    hooks = host.hooks
    hooks.outgoing.addChange(archives.outgoing)
    hooks.incoming.addChange(archives.incoming)
    hooks.undeliverable.addChange(archives.undeliverable)
    hooks.loading.addObserver(preferences.loading)
    hooks.ended.addObserver(preferences.ended)
    hooks.removed.addObserver(archives.removed)
    host.accountNamespaces.update((*NAMESPACES, *RETRACTIONS))
    Answers(host, writer, host.option(NAME, "page"), host.option(NAME, "most")).join()
    host.respond("account", "get", PREFS, preferences.get)
    host.respond("account", "set", PREFS, preferences.set)
    hooks.starting.addObserver(lambda: Deferred.fromCoroutine(preferences.start()))

    async def accounts(after: str, limit: int) -> Sequence[str]:
        return [record.jid for record in await host.accounts.list(host.domain, after, limit)]

    _keepUp(host, writer, accounts)


def _keepUp(host: IHost, writer: Writer, owners: Owners) -> None:
    """What has to be done from time to time, and at the end."""
    retention = Retention(host, host.option(NAME, "retention_days"), owners)

    def stopping() -> Deferred[None]:
        retention.stop()
        return writer.settled()

    host.hooks.starting.addObserver(retention.start)
    host.hooks.stopping.addObserver(stopping)


def _default(value: str) -> str | None:
    return None if value in DEFAULTS else f"it is one of {', '.join(DEFAULTS)}"


def _page(value: int) -> str | None:
    return None if 1 <= value <= 1000 else "it has to be between 1 and 1000"


def _days(value: int) -> str | None:
    return None if 0 <= value <= 36500 else "it has to be between 0 and 36500"


feature = Feature(
    name=NAME,
    specs=(
        Spec("XEP-0313", "1.1.3"),
        Spec("XEP-0059", "1.0"),
        Spec("XEP-0334", "1.0.0"),
        Spec("XEP-0359", "0.7.0"),
        Spec("XEP-0424", "0.4.2"),
        Spec("XEP-0441", "0.2.0"),
    ),
    options={
        "accounts": Option(
            False,
            "Whether accounts have archives. Each message is then written to the database for both sides, which costs "
            "several times what routing it does.",
        ),
        "rooms": Option(True, "Whether rooms have archives, those that say so in their configuration."),
        "default": Option(
            "always", 'What is archived for users who say nothing: "always", "never", "roster".', _default
        ),
        "retention_days": Option(365, "For how many days messages are kept; 0 for ever.", _days),
        "page": Option(50, "How many messages a page has if a client says nothing.", _page),
        "most": Option(250, "How many messages a page has at most.", _page),
    },
    after=("xep0045_muc", "xep0191_blocking"),
    joins=("host", "rooms"),
    join=join,
)
