"""
Service administration (XEP-0133): accounts, sessions, statistics, announcements and the end of the server, as ad-hoc
commands for the administrators of a host.

Messages of the day and welcome messages are in L{xmppd.features.xep0133_messages}, blacklists and whitelists in
L{xmppd.features.xep0133_lists}. Left out: active, idle and disabled users (they would have to be looked for among all);
the list of administrators, which is configuration. Lists have one field more than the specification, C{after}, to get
the next page.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from heapq import nsmallest

from xmppd.hooks import Command, CommandAnswer, CommandForm, CommandResult, Feature, Spec
from xmppd.ixmppd import IHost, Request
from xmppd.wire import forms, ns
from xmppd.wire.dates import dateTime
from xmppd.wire.element import Element
from xmppd.wire.errors import StanzaCondition, StanzaError
from xmppd.wire.jid import JID, JIDMalformed, parse
from xmppd.wire.stanza import build

Values = Mapping[str, tuple[str, ...]]

MOST_JIDS = 100
"""How many accounts one command may name."""

PAGES = (25, 50, 75, 100, 150, 200)
"""How many items a list may have."""

DELAYS = (30, 60, 90, 120, 180, 240, 300)
"""After how many seconds the server may be told to end."""

BATCH = 200
"""How many sessions hear an announcement in one turn of the reactor."""

ACCOUNT = forms.field("accountjid", type="jid-single", label="The address of the account", required=True)
ACCOUNTS = forms.field("accountjids", type="jid-multi", label="The addresses of the accounts", required=True)
ANYWAY = forms.field("anyway", type="boolean", label="Whatever other names it looks like")
PASSWORD = forms.field("password", type="text-private", label="The password for this account", required=True)


def _options(numbers: tuple[int, ...], unit: str = "") -> list[tuple[str, str]]:
    return [(f"{number}{unit}", str(number)) for number in numbers]


PAGE = (
    forms.field("max_items", "100", type="list-single", label="The most to show", options=_options(PAGES)),
    forms.field("after", type="jid-single", label="Show those that follow this address"),
)


class Administration:
    """What the commands of one host do."""

    def __init__(self, host: IHost) -> None:
        self._host = host

    # --- reading what was filled in

    def _local(self, text: str | None) -> JID:
        """An account or resource of this host."""
        try:
            jid = parse(text or "")
        except JIDMalformed as error:
            raise StanzaError(StanzaCondition.BAD_REQUEST, error.text) from error
        if jid.local is None or jid.domain != self._host.domain:
            raise StanzaError(StanzaCondition.ITEM_NOT_FOUND, f"{jid} is no account of {self._host.domain}.")
        return jid

    def _account(self, values: Values) -> JID:
        return self._local(forms.first(values, "accountjid")).toBare()

    def _several(self, values: Values) -> list[JID]:
        texts = [text for text in values.get("accountjids", ()) if text]
        if len(texts) > MOST_JIDS:
            raise StanzaError(StanzaCondition.BAD_REQUEST, f"At most {MOST_JIDS} at a time.")
        return [self._local(text) for text in texts]

    def _notSelf(self, request: Request, jids: list[JID]) -> None:
        """An administrator who locks himself out wants something else."""
        if request.sender.bare in [jid.bare for jid in jids]:
            raise StanzaError(StanzaCondition.NOT_ALLOWED, "This is your own account.")

    async def _each(self, jids: list[JID], act: Callable[[str], Awaitable[None]]) -> CommandResult:
        """Act on several accounts; those that aren't there are named in the end."""
        missing = []
        for jid in jids:
            try:
                await act(jid.bare)
            except StanzaError as error:
                if error.condition != StanzaCondition.ITEM_NOT_FOUND:
                    raise
                missing.append(jid.bare)
        if missing:
            return CommandResult(note="There is no account " + ", ".join(missing), noteType="error")
        return CommandResult(note="Done.")

    # --- accounts

    async def addUser(self, request: Request, values: Values) -> CommandResult:
        """Section 4.1."""
        jid = self._account(values)
        password = forms.first(values, "password") or ""
        if values.get("password-verify", (password,)) != (password,):
            raise StanzaError(StanzaCondition.NOT_ACCEPTABLE, "The passwords differ.")
        anyway = forms.truth(forms.first(values, "anyway"))
        await self._host.registrar.create(jid.local or "", password, request, request.sender.bare, anyway)
        return CommandResult(note="The account was made.")

    async def deleteUser(self, request: Request, values: Values) -> CommandResult:
        """Section 4.2."""
        jids = self._several(values)
        self._notSelf(request, jids)
        return await self._each(jids, self._host.registrar.remove)

    async def disableUser(self, request: Request, values: Values) -> CommandResult:
        """Section 4.3."""
        jids = self._several(values)
        self._notSelf(request, jids)
        return await self._each(jids, lambda bare: self._host.registrar.setDisabled(bare, True))

    async def reenableUser(self, request: Request, values: Values) -> CommandResult:
        """Section 4.4."""
        return await self._each(
            self._several(values), lambda bare: self._host.registrar.setDisabled(bare, False)
        )

    async def endUserSession(self, request: Request, values: Values) -> CommandResult:
        """Section 4.5: all sessions of a bare JID, one of a full JID."""
        ended = sum(self._host.registrar.endSessions(jid.bare, jid.resource) for jid in self._several(values))
        return CommandResult(note=f"Sessions ended: {ended}.")

    async def changeUserPassword(self, request: Request, values: Values) -> CommandResult:
        """Section 4.7."""
        password = forms.first(values, "password") or ""
        await self._host.registrar.setPassword(self._account(values).bare, password)
        return CommandResult(note="The password was changed.")

    # --- looking at one account

    async def _existing(self, values: Values, var: str) -> str:
        """The one account asked about, which has to be there."""
        jid = self._local(forms.first(values, var)).toBare()
        if not await self._host.exists(jid.bare):
            raise StanzaError(StanzaCondition.ITEM_NOT_FOUND, "There is no such account.")
        return jid.bare

    async def getUserRoster(self, request: Request, values: Values) -> CommandResult:
        """Section 4.8, of one account."""
        bare = await self._existing(values, "accountjids")
        roster = await self._host.rosters.get(bare)
        items = []
        for item in roster.items:
            if not item.listed:
                continue
            attrs = {"jid": item.jid, **({"name": item.name} if item.name else {}), "subscription": item.subscription}
            groups = tuple(Element("group", ns.ROSTER, {}, (group,)) for group in item.groups)
            items.append(Element("item", ns.ROSTER, attrs, groups))
        query = Element("query", ns.ROSTER, {}, tuple(items))
        return _result(forms.field("accountjids", bare), query)

    async def getUserLastLogin(self, request: Request, values: Values) -> CommandResult:
        """Section 4.9: when the newest session began, or when the last one ended."""
        bare = await self._existing(values, "accountjids")
        sessions = self._host.router.sessionsOf(bare)
        record = await self._host.accounts.get(bare)
        moment = max((each.created for each in sessions), default=record.lastActivity if record else None)
        last = () if moment is None else (forms.field("lastlogin", dateTime(moment)),)
        return _result(forms.field("accountjids", bare), *last)

    async def userStats(self, request: Request, values: Values) -> CommandResult:
        """Section 4.10."""
        bare = await self._existing(values, "accountjid")
        sessions = self._host.router.sessionsOf(bare)
        roster = await self._host.rosters.get(bare)
        addresses = sorted({each.stream.address for each in sessions if each.stream is not None})
        return _result(
            forms.field("ipaddresses", *addresses, type="text-multi"),
            forms.field("rostersize", str(sum(item.listed for item in roster.items))),
            forms.field("onlineresources", *(each.jid.resource or "" for each in sessions), type="text-multi"),
        )

    # --- counting and listing

    async def getRegisteredUsersNum(self, request: Request, values: Values | None) -> CommandResult:
        """Section 4.13."""
        return _result(forms.field("registeredusersnum", str(await self._host.accounts.count(self._host.domain))))

    async def getOnlineUsersNum(self, request: Request, values: Values | None) -> CommandResult:
        """Section 4.15."""
        return _result(forms.field("onlineusersnum", str(len(self._host.sessions))))

    async def getRegisteredUsersList(self, request: Request, values: Values) -> CommandResult:
        """Section 4.18."""
        most, after = _page(values)
        records = await self._host.accounts.list(self._host.domain, after, most)
        return _result(forms.field("registereduserjids", *(record.jid for record in records), type="jid-multi"))

    async def getOnlineUsersList(self, request: Request, values: Values) -> CommandResult:
        """Section 4.20."""
        most, after = _page(values)
        online = nsmallest(most, (bare for bare in self._host.sessions if bare > after))
        return _result(forms.field("onlineuserjids", *online, type="jid-multi"))

    # --- the service

    async def announce(self, request: Request, values: Values) -> CommandResult:
        """Section 4.23."""
        return CommandResult(note=f"Sessions that will hear it: {self._announce(values)}.")

    def _announce(self, values: Values) -> int:
        """Send the announcement, if there is one, to every session; answers to how many."""
        text = "\n".join(values.get("announcement", ()))
        if not text.strip():
            return 0
        listeners = [session.full for there in self._host.sessions.values() for session in there.values()]
        self._tell(listeners, Element("body", ns.CLIENT, {}, (text,)))
        return len(listeners)

    def _tell(self, listeners: list[str], body: Element) -> None:
        """Send to some of them now, to the others in later turns of the reactor."""
        for full in listeners[:BATCH]:
            if self._host.router.session(full) is not None:
                attrs = {"type": "headline", "from": self._host.domain, "to": full}
                self._host.router.route(build("message", attrs, body))
        if len(listeners) > BATCH:
            self._host.clock.callLater(0, self._tell, listeners[BATCH:], body)

    def lifecycle(self, verb: str) -> Callable[[Request, Values], Awaitable[CommandResult]]:
        """Sections 4.30 and 4.31: "restart" or "shutdown"."""

        async def end(request: Request, values: Values) -> CommandResult:
            delay = forms.first(values, "delay") or ""
            if delay not in map(str, DELAYS):
                raise StanzaError(StanzaCondition.NOT_ACCEPTABLE, "Choose one of the delays.")
            if self._host.lifecycle is None:
                raise StanzaError(StanzaCondition.FEATURE_NOT_IMPLEMENTED)
            self._announce(values)
            self._host.lifecycle(verb, float(delay))
            return CommandResult(note=f"In {delay} seconds.")

        return end


def _page(values: Values) -> tuple[int, str]:
    """How many to list, and after which."""
    most = forms.first(values, "max_items") or "100"
    if most not in map(str, PAGES):
        raise StanzaError(StanzaCondition.NOT_ACCEPTABLE, "Choose one of the numbers.")
    return int(most), forms.first(values, "after") or ""


def _result(*fields: Element) -> CommandResult:
    return CommandResult(forms.form("result", *fields, formType=ns.ADMIN))


Act = Callable[[Request, Values], Awaitable[CommandResult]]


def _command(name: str, title: str, act: Act, *fields: Element) -> Command:
    """A command that asks for fields, if there are any, and then acts."""
    asked = forms.form("form", *fields, formType=ns.ADMIN, title=title)

    async def execute(request: Request, values: Values | None) -> CommandAnswer:
        if values is None and fields:
            return CommandForm(asked)
        return await act(request, values or {})

    return Command(f"{ns.ADMIN}#{name}", title, execute)


def join(host: IHost) -> None:
    """Offer the commands; what ends the server, only if somebody can."""
    admin = Administration(host)
    again = forms.field("password-verify", type="text-private", label="The password again")
    words = forms.field("announcement", type="text-multi", label="Announcement")
    delay = forms.field(
        "delay", "60", type="list-single", label="After how long", required=True, options=_options(DELAYS, " seconds")
    )
    said = forms.field("announcement", type="text-multi", label="Announcement", required=True)
    commands = [
        _command("add-user", "Add a user", admin.addUser, ACCOUNT, PASSWORD, again, ANYWAY),
        _command("change-user-password", "Change a user's password", admin.changeUserPassword, ACCOUNT, PASSWORD),
        _command("delete-user", "Delete users", admin.deleteUser, ACCOUNTS),
        _command("disable-user", "Disable users", admin.disableUser, ACCOUNTS),
        _command("reenable-user", "Enable users again", admin.reenableUser, ACCOUNTS),
        _command("end-user-session", "End sessions", admin.endUserSession, ACCOUNTS),
        _command("get-user-roster", "Show a user's roster", admin.getUserRoster, ACCOUNTS),
        _command("get-user-lastlogin", "Show a user's last login", admin.getUserLastLogin, ACCOUNTS),
        _command("user-stats", "Show what a user is doing", admin.userStats, ACCOUNT),
        _command("get-registered-users-num", "Count registered users", admin.getRegisteredUsersNum),
        _command("get-online-users-num", "Count users online", admin.getOnlineUsersNum),
        _command("get-registered-users-list", "List registered users", admin.getRegisteredUsersList, *PAGE),
        _command("get-online-users-list", "List users online", admin.getOnlineUsersList, *PAGE),
        _command("announce", "Tell everybody online", admin.announce, said),
    ]
    if host.lifecycle is not None:
        commands += [
            _command("restart", "Restart the server", admin.lifecycle("restart"), delay, words),
            _command("shutdown", "Shut the server down", admin.lifecycle("shutdown"), delay, words),
        ]
    for command in commands:
        host.addCommand(command)


feature = Feature(
    name="xep0133_admin",
    specs=(Spec("XEP-0133", "1.3.1"),),
    join=join,
)
