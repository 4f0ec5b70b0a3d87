"""
Standing messages of a service (XEP-0133 sections 4.24 to 4.28): the message of the day, which every user is sent once,
and the welcome message, which somebody is sent who has just got an account. Both stay until they are deleted.

A message of the day goes at once to who is online, and to everybody else with the first presence of a session. Who has
had it is a fact of the account; there are none, and nothing is read, while no message is set. To correct a message
doesn't mean to send it again: only those get the new words who haven't had the old ones. Guests get it each time, since
they are somebody else each time.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from xmppd.hooks import Command, CommandAnswer, CommandForm, CommandResult, Feature, Spec
from xmppd.ixmppd import IHost, ISession, Request, StoreUnavailable
from xmppd.wire import forms, ns
from xmppd.wire.element import Element
from xmppd.wire.errors import StanzaCondition, StanzaError
from xmppd.wire.stanza import build

Values = Mapping[str, tuple[str, ...]]

KIND = "standing message"
"""The kind of fact: the host's messages by name, and of accounts what they have had or are due."""

MOTD = "motd"
WELCOME = "welcome"

LONGEST = 10_000
"""How many characters a message may have."""

BATCH = 100
"""How many accounts are told in one turn of the reactor."""

TITLES = {MOTD: "Message of the day", WELCOME: "Welcome message"}

log = Logger(namespace="xmppd.features.admin")


class StandingMessages:
    """
    The standing messages of one host.

    @ivar texts: those that are set: a token that names the message, and its words.
    """

    def __init__(self, host: IHost) -> None:
        self._host = host
        self._telling: set[str] = set()
        self.texts: dict[str, tuple[str, str]] = {}

    def load(self) -> Deferred[None]:
        """Read what is set, at the start. See C{hooks.starting}."""
        return Deferred.fromCoroutine(self._load())

    async def _load(self) -> None:
        for name, value in (await self._host.facts.all(self._host.domain, KIND)).items():
            token, text = json.loads(value)
            self.texts[name] = (token, text)

    # --- setting

    async def set(self, name: str, text: str, again: bool = True) -> None:
        """
        Set a message.

        @param again: whether it is another one, and not the same in better words.
        """
        there = self.texts.get(name)
        token = there[0] if there is not None and not again else self._host.entropy.token()
        await self._host.facts.put(self._host.domain, KIND, name, json.dumps([token, text]).encode())
        self.texts[name] = (token, text)
        if name == MOTD and (again or there is None):
            self._tellAll(list(self._host.sessions))

    async def delete(self, name: str) -> bool:
        """Delete a message; answers whether there was one."""
        there = await self._host.facts.delete(self._host.domain, KIND, name)
        self.texts.pop(name, None)
        return there

    # --- telling

    def _tellAll(self, accounts: list[str]) -> None:
        """Tell those who are online, some of them now and the others in later turns of the reactor."""
        for bare in accounts[:BATCH]:
            for session in self._host.router.sessionsOf(bare):
                if _present(session):
                    self._tell(session)
                    break
        if len(accounts) > BATCH:
            self._host.clock.callLater(0, self._tellAll, accounts[BATCH:])

    def registered(self, bare: str) -> None:
        """An account is new. See C{hooks.registered}."""
        if WELCOME in self.texts:
            self._host.facts.put(bare, KIND, WELCOME, b"due").addErrback(self._failed)

    def available(self, session: ISession, first: bool) -> None:
        """A client has sent its first presence. See C{hooks.available}."""
        if first and self.texts:
            self._tell(session)

    def _tell(self, session: ISession) -> None:
        """Send what the user hasn't had; once, whichever session asks first."""
        if session.account.anonymous:
            if MOTD in self.texts:
                self._send(session, MOTD)
        elif session.bare not in self._telling:
            self._telling.add(session.bare)
            told = Deferred.fromCoroutine(self._tellAccount(session))
            told.addErrback(self._failed).addBoth(lambda _: self._telling.discard(session.bare))

    async def _tellAccount(self, session: ISession) -> None:
        facts, bare = self._host.facts, session.bare
        had = await facts.all(bare, KIND)
        if WELCOME in self.texts and had.get(WELCOME) == b"due":
            await facts.delete(bare, KIND, WELCOME)
            self._send(session, WELCOME)
        current = self.texts.get(MOTD)
        if current is not None and had.get(MOTD) != current[0].encode():
            await facts.put(bare, KIND, MOTD, current[0].encode())
            self._send(session, MOTD)

    def _send(self, session: ISession, name: str) -> None:
        """Route a message to a session, if both are still there."""
        if name in self.texts and not session.over:
            subject = Element("subject", ns.CLIENT, {}, (TITLES[name],))
            body = Element("body", ns.CLIENT, {}, (self.texts[name][1],))
            attrs = {"type": "headline", "from": self._host.domain, "to": session.full}
            self._host.router.route(build("message", attrs, subject, body))

    def _failed(self, failure: Failure) -> None:
        """Who couldn't be told will be the next time."""
        if failure.check(StoreUnavailable) is None:
            log.failure("a standing message could not be sent", failure)

    # --- commands

    def setting(self, name: str, again: bool, filled: bool) -> Callable[..., Any]:
        """
        A command that asks for a message and sets it.

        @param filled: whether the form shows what is set now.
        """

        async def execute(request: Request, values: Values | None) -> CommandAnswer:
            if values is None:
                return CommandForm(self._form(name, filled))
            text = "\n".join(values.get(name, ()))
            if not text.strip():
                raise StanzaError(StanzaCondition.NOT_ACCEPTABLE, "There are no words in it.")
            if len(text) > LONGEST:
                raise StanzaError(StanzaCondition.NOT_ACCEPTABLE, f"At most {LONGEST} characters.")
            await self.set(name, text, again)
            return CommandResult(note="The message was set.")

        return execute

    def _form(self, name: str, filled: bool) -> Element:
        lines = self.texts[name][1].split("\n") if filled and name in self.texts else ()
        asked = forms.field(name, *lines, type="text-multi", label=TITLES[name], required=True)
        return forms.form("form", asked, formType=ns.ADMIN, title=TITLES[name])

    def deleting(self, name: str) -> Callable[..., Any]:
        """A command that deletes a message."""

        async def execute(request: Request, values: Values | None) -> CommandAnswer:
            there = await self.delete(name)
            return CommandResult(note="The message was deleted." if there else "There was no such message.")

        return execute


def _present(session: ISession) -> bool:
    """Whether a session is available."""
    return session.presence is not None


def join(host: IHost) -> None:
    """Offer the commands, and tell who comes."""
    messages = StandingMessages(host)
    host.hooks.starting.addObserver(messages.load)
    host.hooks.available.addObserver(messages.available)
    host.hooks.registered.addObserver(messages.registered)
    for node, title, execute in (
        ("set-motd", "Set the message of the day", messages.setting(MOTD, True, False)),
        ("edit-motd", "Edit the message of the day", messages.setting(MOTD, False, True)),
        ("delete-motd", "Delete the message of the day", messages.deleting(MOTD)),
        ("set-welcome", "Set the welcome message", messages.setting(WELCOME, False, True)),
        ("delete-welcome", "Delete the welcome message", messages.deleting(WELCOME)),
    ):
        host.addCommand(Command(f"{ns.ADMIN}#{node}", title, execute))


feature = Feature(name="xep0133_messages", specs=(Spec("XEP-0133", "1.3.1"),), join=join)
