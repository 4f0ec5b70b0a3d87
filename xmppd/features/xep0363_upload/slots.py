"""
Slots: who may put which file, how much of it, and until when it is kept.

Theory of operation. A slot is asked for by IQ. Before it is answered the account has a fact of the kind C{upload}
whose key is the slot's token, so that whoever forgets an account forgets its files: one whose fact is gone isn't given
out any more, and is removed when somebody asks for it or with the next sweep. Slots that wait for their file are in
memory only. A fact without file or slot counts for nothing and goes when its account asks for the next slot.

An account's quota is what its facts say together with slots whose fact isn't written yet, so that many requests at once
can't get more than one after the other could.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from xmppd.adapters import checkStorage
from xmppd.features.xep0363_upload.shelf import Arriving, Entry, Shelf
from xmppd.ixmppd import Departure, IHost, Request, StoreUnavailable
from xmppd.wire import ns
from xmppd.wire.dates import dateTime, fromDateTime
from xmppd.wire.element import Element, escapeAttribute
from xmppd.wire.errors import ErrorType, StanzaCondition, StanzaError

log = Logger(namespace="xmppd.upload")

NAME: Final = "xep0363_upload"
KIND: Final = "upload"
PATH: Final = "/upload"

WAITING: Final = 20
"""How many slots of an account may wait for their files at a time."""

WAITING_IN_ALL: Final = 10_000

LONGEST_NAME: Final = 200
"""Octets of a file's name that are kept."""

SWEEP_SECONDS: Final = 3600.0
PORTION: Final = 20
"""How many files are looked at in one turn of the reactor."""

DAY: Final = 86400.0

MEDIA_TYPE: Final = re.compile(r"[A-Za-z0-9!#$&^_.+-]{1,100}/[A-Za-z0-9!#$&^_.+-]{1,100}\Z")
UNTYPED: Final = "application/octet-stream"

_UNWANTED = re.compile(r"[\x00-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ufffe\uffff]")


def nameOf(given: str) -> str:
    """A file's name without folders, control characters and excess; its ending stays."""
    name = _UNWANTED.sub("", given.replace("\\", "/").rpartition("/")[2]).strip()
    if not name.strip("."):
        return "file"
    if len(name.encode()) <= LONGEST_NAME:
        return name
    stem, dot, ending = name.rpartition(".")
    if not stem or len(ending.encode()) > 20:
        stem, dot, ending = name, "", ""
    return stem.encode()[: LONGEST_NAME - len((dot + ending).encode())].decode("utf-8", "ignore") + dot + ending


def mediaType(text: str) -> str | None:
    """A media type in small letters without its parameters, or None if it is none."""
    bare = text.partition(";")[0].strip().lower()
    return bare if MEDIA_TYPE.match(bare) else None


class Slots:
    """
    The upload service of one domain.

    @ivar shelf: the files.
    @ivar waiting: slots that wait for their file, by token: what it will be, and until when it may be put.
    """

    def __init__(self, host: IHost, folder: Path) -> None:
        self._host = host
        self.shelf = Shelf(folder)
        self.waiting: dict[str, tuple[Entry, float]] = {}
        self._arriving: dict[str, Arriving] = {}
        self._sweep: Any = None
        self._stopped = False

    def _option(self, key: str) -> Any:
        return self._host.option(NAME, key)

    # --- beginning and end

    async def start(self) -> None:
        """The store is open: see what is there."""
        self.shelf.open()
        await self._lookThrough(False)
        self._sweep = self._host.clock.callLater(SWEEP_SECONDS, self._startSweep)

    def stop(self) -> None:
        """The server stops."""
        self._stopped = True
        if self._sweep is not None and self._sweep.active():
            self._sweep.cancel()
        for arriving in list(self._arriving.values()):
            self.gaveUp(arriving)

    # --- asking for a slot

    async def request(self, request: Request) -> bytes:
        """Answer a request for a slot (section 4)."""
        size, name, type = self._wanted(request)
        owner = self._asker(request, size)
        now = self._host.clock.seconds()
        entry = Entry(self._host.entropy.token(24), owner, name, size, type, self._expiry(request.payload, now))
        self._makeRoom(owner, now)
        until = now + self._option("slot_seconds")
        self.waiting[entry.token] = (entry, until)
        try:
            await self._checkQuota(entry, now)
            fact = json.dumps({"size": size, "expires": entry.expires}).encode()
            await self._host.facts.put(owner, KIND, entry.token, fact)
        except BaseException:
            self.waiting.pop(entry.token, None)
            raise
        if entry.token not in self.waiting:  # the account was removed meanwhile
            self._forgetFact(entry)
            raise StanzaError(StanzaCondition.FORBIDDEN)
        self._host.clock.callLater(until - now, self._lapse, entry.token)
        url = escapeAttribute(self._urlOf(entry))
        return f"<slot xmlns='{ns.HTTP_UPLOAD}'><put url='{url}'/><get url='{url}'/></slot>".encode()

    def _urlOf(self, entry: Entry) -> str:
        """Where the file is put and got (RFC 3986)."""
        base = self._option("url").rstrip("/") or (self._host.web and self._host.web.address(self._host.domain))
        if not base:
            raise StanzaError(StanzaCondition.SERVICE_UNAVAILABLE, "There is no web server just now.")
        return f"{base}{PATH}/{entry.token}/{quote(entry.name, safe='')}"

    def _wanted(self, request: Request) -> tuple[int, str, str]:
        """Size, name and media type that are asked for."""
        payload = request.payload
        given, text = payload.get("filename"), payload.get("size") or ""
        if not given or not re.fullmatch(r"[0-9]{1,15}", text) or int(text) == 0:
            raise StanzaError(StanzaCondition.BAD_REQUEST, "A slot needs the name and the size of a file.")
        declared = payload.get("content-type")
        type = mediaType(declared) if declared else ""
        if type is None:
            raise StanzaError(StanzaCondition.BAD_REQUEST, "That is no media type.")
        allowed = self._option("types")
        if allowed and not any(fnmatchcase(type or UNTYPED, pattern) for pattern in allowed):
            raise StanzaError(StanzaCondition.NOT_ACCEPTABLE, "Files of this type are not taken.")
        most = self._option("max_size")
        if int(text) > most:
            detail = f"<file-too-large xmlns='{ns.HTTP_UPLOAD}'><max-file-size>{most}</max-file-size></file-too-large>"
            sentence = f"A file may have {most} octets."
            raise StanzaError(StanzaCondition.NOT_ACCEPTABLE, sentence, application=detail.encode())
        return int(text), nameOf(given), type

    def _asker(self, request: Request, size: int) -> str:
        """The account that asks, if it may."""
        session = request.session
        if session is None or (session.account.anonymous and not self._option("guests")):
            raise StanzaError(StanzaCondition.FORBIDDEN, "Files are taken from users of this server only.")
        checkStorage(session, KIND, size)
        return session.bare

    def _expiry(self, payload: Element, now: float) -> float:
        """When the file goes: as the service has it, or earlier if the client wants that (section 5.3)."""
        expires = float(now + self._option("days") * DAY)
        ephemeral = payload.find("ephemeral", ns.HTTP_UPLOAD_PURPOSE)
        if ephemeral is None:
            return expires
        try:
            wanted = fromDateTime(ephemeral.get("expire-before") or "")
        except ValueError:
            raise StanzaError(StanzaCondition.BAD_REQUEST, "expire-before is no date and time.") from None
        if wanted <= now:
            raise StanzaError(StanzaCondition.NOT_ACCEPTABLE, "The file would have expired already.")
        return min(expires, wanted)

    def _makeRoom(self, owner: str, now: float) -> None:
        """Refuse if too many slots wait."""
        own = [until for entry, until in self.waiting.values() if entry.owner == owner]
        if len(own) >= WAITING or len(self.waiting) >= WAITING_IN_ALL:
            raise _later("Too many slots are waiting for their files.", min(own, default=now + 60))

    async def _checkQuota(self, wanted: Entry, now: float) -> None:
        """Refuse what is more than the account may have, or the service has room for."""
        facts = await self._host.facts.all(wanted.owner, KIND)
        kept = await self._kept(wanted.owner, facts, now)
        open = {token: entry for token, (entry, _) in self.waiting.items() if entry.owner == wanted.owner}
        open |= {token: each.entry for token, each in self._arriving.items() if each.entry.owner == wanted.owner}
        sizes = {**kept, **{token: (entry.size, entry.expires) for token, entry in open.items()}}
        octets = sum(size for size, _ in sizes.values())
        if octets > self._option("quota") or len(sizes) > self._option("files"):
            expiries = [expires for token, (_, expires) in sizes.items() if token != wanted.token]
            raise _later("You have stored as much as you may.", min(expiries, default=now + DAY))
        coming = sum(entry.size for entry, _ in self.waiting.values())
        coming += sum(arriving.entry.size for arriving in self._arriving.values())
        if self.shelf.octets + coming > self._option("total"):
            raise _later("There is no room just now.", now + SWEEP_SECONDS)

    async def _kept(self, owner: str, facts: Mapping[str, bytes], now: float) -> dict[str, tuple[int, float]]:
        """Size and expiry of an account's files; facts that have none go."""
        kept: dict[str, tuple[int, float]] = {}
        for token, fact in facts.items():
            known = json.loads(fact)
            if token in self.waiting or token in self._arriving:
                continue
            if known["expires"] > now and self.shelf.has(token):
                kept[token] = (known["size"], known["expires"])
            else:
                self.shelf.removeOf(owner, token)
                await self._host.facts.delete(owner, KIND, token)
        return kept

    def _lapse(self, token: str) -> None:
        """A slot has waited long enough."""
        found = self.waiting.pop(token, None)
        if found is not None:
            self._forgetFact(found[0])

    def _forgetFact(self, entry: Entry) -> None:
        self._host.facts.delete(entry.owner, KIND, entry.token).addErrback(_unimportant)

    # --- putting

    def begin(self, token: str) -> Arriving:
        """The file of a slot comes. Raises OSError; the slot is used up."""
        entry, _ = self.waiting.pop(token)
        try:
            arriving = self._arriving[token] = self.shelf.begin(entry)
        except OSError:
            self._forgetFact(entry)
            raise
        return arriving

    async def arrived(self, arriving: Arriving) -> bool:
        """
        The file of a slot is complete; answers whether it is still wanted. Raises OSError.
        """
        entry = arriving.entry
        try:
            if await self._host.facts.get(entry.owner, KIND, entry.token) is None or entry.token not in self._arriving:
                arriving.drop()
                return False
            arriving.keep()
        except BaseException:
            self.gaveUp(arriving)
            raise
        finally:
            self._arriving.pop(entry.token, None)
        log.info("upload: account={account} octets={octets}", account=entry.owner, octets=entry.size)
        return True

    def gaveUp(self, arriving: Arriving) -> None:
        """The file of a slot won't come, or isn't what it should be."""
        arriving.drop()
        if self._arriving.pop(arriving.entry.token, None) is not None:
            self._forgetFact(arriving.entry)

    # --- getting

    async def find(self, token: str) -> Entry | None:
        """The file of a token, if it is to be given out. Fails with L{StoreUnavailable}."""
        entry = self.shelf.find(token)
        if entry is None:
            return None
        if entry.expires <= self._host.clock.seconds():
            return None
        if await self._host.facts.get(entry.owner, KIND, token) is None:
            self.shelf.remove(token)
            return None
        return entry

    # --- forgetting

    async def farewell(self, departure: Departure) -> None:
        """See C{hooks.farewell}. Files go first: what says whose they are goes with everything else in the store."""
        owner = departure.bare
        if await self._host.facts.all(owner, KIND):
            self._abandon(owner)
            await self._forget(owner, self.shelf.of(owner))

    def forget(self, owner: str) -> None:
        """An account is gone: its files go, and what is on its way."""
        self._abandon(owner)
        # Both begin at once: what a later owner of the name stores is neither among these facts nor these files.
        self._host.facts.replaceAll(owner, KIND, {}).addErrback(_unimportant)
        Deferred.fromCoroutine(self._forget(owner, self.shelf.of(owner))).addErrback(_unimportant)

    def _abandon(self, owner: str) -> None:
        """Take no more of what is on its way."""
        for token in [token for token, (entry, _) in self.waiting.items() if entry.owner == owner]:
            del self.waiting[token]
        for arriving in [each for each in self._arriving.values() if each.entry.owner == owner]:
            self.gaveUp(arriving)

    async def _forget(self, owner: str, tokens: Sequence[str]) -> None:
        for number, token in enumerate(tokens):
            self.shelf.removeOf(owner, token)
            if number % PORTION == PORTION - 1:
                await self._nextTurn()

    def _startSweep(self) -> None:
        done = Deferred.fromCoroutine(self._lookThrough(True)).addErrback(_unimportant)
        done.addCallback(self._sweptOnce)

    def _sweptOnce(self, _: object) -> None:
        if not self._stopped:
            self._sweep = self._host.clock.callLater(SWEEP_SECONDS, self._startSweep)

    async def _lookThrough(self, asking: bool) -> None:
        """
        Remove what has expired, or belongs to nobody any more; and count what is left.

        @param asking: whether to ask the store about each file.
        """
        now = self._host.clock.seconds()
        octets = 0
        for number, (token, entry) in enumerate(self.shelf.all()):
            if entry is None:
                self.shelf.remove(token)
            elif entry.expires <= now:
                self.shelf.remove(token)
                await self._host.facts.delete(entry.owner, KIND, token)
            elif asking and await self._host.facts.get(entry.owner, KIND, token) is None:
                self.shelf.remove(token)
            else:
                octets += entry.size
            if number % PORTION == PORTION - 1:
                await self._nextTurn()
        if not asking:
            for number, path in enumerate(self.shelf.strays()):
                path.unlink()
                if number % PORTION == PORTION - 1:
                    await self._nextTurn()
            self.shelf.octets = octets

    def _nextTurn(self) -> Deferred[None]:
        turn: Deferred[None] = Deferred()
        self._host.clock.callLater(0, turn.callback, None)
        return turn


def _later(sentence: str, when: float) -> StanzaError:
    """An error that says when to try again (section 6)."""
    retry = f"<retry xmlns='{ns.HTTP_UPLOAD}' stamp='{dateTime(when)}'/>".encode()
    return StanzaError(StanzaCondition.RESOURCE_CONSTRAINT, sentence, ErrorType.WAIT, retry)


def _unimportant(failure: Failure) -> None:
    """What the store refuses is done by the next sweep."""
    if failure.check(StoreUnavailable, OSError) is None:
        log.failure("looking after uploads failed", failure)
