"""
The languages a user reads (section 2.1): what a client says of its stream (C{xml:lang}), kept with the account, or what
the user has said to a command, which counts alone then.
"""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Mapping
from typing import Final

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from xmppd.hooks import Command, CommandAnswer, CommandForm, CommandResult
from xmppd.ixmppd import IHost, ISession, Request, StoreUnavailable
from xmppd.wire import forms, ns
from xmppd.wire.element import Element
from xmppd.wire.errors import StanzaCondition, StanzaError

log = Logger(namespace="xmppd.names")

KIND: Final = "languages"
"""The kind of fact of an account: one name for each way in which languages were learnt."""

CHOSEN: Final = "chosen"
HEARD: Final = "heard"

NODE: Final = f"{ns.NAMES}#languages"

MOST: Final = 20
"""How many languages a user can choose."""

TAG_LENGTH: Final = 35
"""How long a tag may be (RFC 5646 section 4.4.1)."""

REMEMBERED: Final = 10_000
"""Of how many accounts the last C{xml:lang} is remembered, so as not to store it again."""


def isTag(tag: str) -> bool:
    """Whether a text may be a tag of a language."""
    return 0 < len(tag) <= TAG_LENGTH and tag.isascii() and tag.replace("-", "").isalnum()


class Languages:
    """Those of one host's users."""

    def __init__(self, host: IHost) -> None:
        self._host = host
        self._last: OrderedDict[str, str] = OrderedDict()

    def command(self) -> Command:
        """The ad-hoc command by which users choose."""
        return Command(NODE, "Languages you read", self._execute, admin=False)

    # --- hearing

    def bound(self, session: ISession) -> None:
        """A client has said which language its user speaks. See C{hooks.bound}."""
        tag = session.stream.language if session.stream is not None else None
        if not tag or session.account.anonymous or not isTag(tag) or self._last.get(session.bare) == tag:
            return
        self._last[session.bare] = tag
        self._last.move_to_end(session.bare)
        if len(self._last) > REMEMBERED:
            self._last.popitem(last=False)
        Deferred.fromCoroutine(self._hear(session.bare, tag)).addErrback(self._failed, session.bare)

    async def _hear(self, bare: str, tag: str) -> None:
        facts = self._host.facts
        if await facts.get(bare, KIND, HEARD) != tag.encode():
            await facts.put(bare, KIND, HEARD, tag.encode())

    def _failed(self, failure: Failure, bare: str) -> None:
        self._last.pop(bare, None)
        if failure.check(StoreUnavailable) is None:
            log.failure("keeping a user's language failed", failure)

    def removed(self, bare: str) -> None:
        """The account is gone; another may get its name. See C{hooks.removed}."""
        self._last.pop(bare, None)

    # --- asking

    async def of(self, bare: str) -> tuple[str, ...] | None:
        """The tags of an account's languages; None if nothing is known, and the configuration has to do."""
        return (await self.known(bare))[0]

    async def known(self, bare: str) -> tuple[tuple[str, ...] | None, bool]:
        """What L{of} answers, and whether it is the user's own choice."""
        known = await self._host.facts.all(bare, KIND)
        if CHOSEN in known:
            return tuple(json.loads(known[CHOSEN])), True
        live = [session.stream.language for session in self._host.router.sessionsOf(bare) if session.stream is not None]
        heard = [tag for tag in (*live, known.get(HEARD, b"").decode()) if tag]
        return tuple(dict.fromkeys((*heard, *self._host.names.config.languages))) if heard else None, False

    # --- choosing

    async def _execute(self, request: Request, values: Mapping[str, tuple[str, ...]] | None) -> CommandAnswer:
        """See L{Command}."""
        session = request.session
        if session is None or session.host is not self._host or session.account.anonymous:
            raise StanzaError(StanzaCondition.NOT_ALLOWED, "Only those who have an account can choose their languages.")
        if values is None:
            known = await self._host.facts.all(session.bare, KIND)
            return CommandForm(self._form(tuple(json.loads(known.get(CHOSEN, b"[]")))))
        tags = tuple(dict.fromkeys(tag.strip() for text in values.get("languages", ()) for tag in text.split() if tag))
        wrong = [tag for tag in tags if not isTag(tag)]
        if wrong or len(tags) > MOST:
            text = f"At most {MOST} tags like en, ru or zh-Hant can be chosen, one on a line."
            raise StanzaError(StanzaCondition.BAD_REQUEST, text)
        if tags:
            await self._host.facts.put(session.bare, KIND, CHOSEN, json.dumps(tags).encode())
            return CommandResult(note=f"You will be warned of addresses that aren't written as in: {', '.join(tags)}.")
        await self._host.facts.delete(session.bare, KIND, CHOSEN)
        return CommandResult(note="What your clients say counts from now on.")

    def _form(self, chosen: tuple[str, ...]) -> Element:
        about = (
            "You are warned when somebody you don't know has an address in letters that none of your languages is"
            " written with. Write a tag on each line (en, ru, zh-Hant); nothing, to have your clients say it."
        )
        field = forms.field("languages", *chosen, type="text-multi", label="Languages you read")
        return forms.form("form", field, formType=NODE, title="Languages", instructions=about)
