"""
What people can do about guests (XEP-0175): not be reached by them, and ban them without learning from where they come.

Users say by IQ whether guests may reach them:

    <iq type='set' id='1'><guests xmlns='urn:xmppd:guests:0' reach='refused'/></iq>

and C{allowed} takes that back; a get answers with the same element. To a guest, a user who refuses is as one who
doesn't exist. What is refused is in L{xmppd.restrict}, which asks C{host.guestless}.

Administrators of a host ban by ad-hoc commands (XEP-0050) at the domain, moderators of a room at the room. Moderators
name a nickname; the ban is one from the server, but shorter, and needs an account: a guest who moderates may not.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from twisted.internet.defer import Deferred, DeferredLock

from xmppd.hooks import Command, CommandAnswer, CommandForm, CommandResult, Feature, Spec
from xmppd.ixmppd import Ban, IGuests, IHost, Request
from xmppd.wire import forms, ns
from xmppd.wire.element import Element, writable
from xmppd.wire.errors import StanzaCondition, StanzaError
from xmppd.wire.jid import parse

NAME: Final = "xep0175_guests"
NAMESPACE: Final = "urn:xmppd:guests:0"
GUESTS: Final = f"{NAMESPACE} guests"
KIND: Final = "guests"
REFUSED: Final = "refused"
ALLOWED: Final = "allowed"

HOUR: Final = 3600.0
MOST_HOURS: Final = 87_600

Values = Mapping[str, tuple[str, ...]]


class Choice:
    """Which users of one host don't want to be reached by guests."""

    def __init__(self, host: IHost) -> None:
        self._host = host
        self._lock = DeferredLock()

    def load(self) -> Deferred[None]:
        """Read who has said so. See C{hooks.starting}."""
        return self._host.facts.owners(KIND, self._host.domain).addCallback(self._host.guestless.update)

    def removed(self, bare: str) -> None:
        """An account is gone. See C{hooks.removed}."""
        self._host.guestless.discard(bare)

    def get(self, request: Request) -> Element:
        """What a user has chosen."""
        bare = self._owner(request)
        return Element("guests", NAMESPACE, {"reach": REFUSED if bare in self._host.guestless else ALLOWED})

    async def set(self, request: Request) -> None:
        """Choose. Holds before it is answered, and over a restart."""
        bare = self._owner(request)
        reach = request.payload.get("reach")
        if reach not in (REFUSED, ALLOWED):
            raise StanzaError(StanzaCondition.BAD_REQUEST, f"reach is {REFUSED} or {ALLOWED}.")
        await self._lock.acquire()
        try:
            if reach == REFUSED:
                await self._host.facts.put(bare, KIND, "", b"")
                self._host.guestless.add(bare)
            else:
                await self._host.facts.delete(bare, KIND, "")
                self._host.guestless.discard(bare)
        finally:
            self._lock.release()

    def _owner(self, request: Request) -> str:
        """The account that asks for itself; guests have no choice."""
        if not request.own or request.session is None or request.session.account.anonymous:
            raise StanzaError(StanzaCondition.FORBIDDEN)
        return request.target.bare


# --- commands


def _hours(values: Values, default: float | None) -> float | None:
    """Seconds from the field C{hours}."""
    text = forms.first(values, "hours")
    if text is None:
        return default
    if not (text.isascii() and text.isdigit()) or not 1 <= int(text[:9]) <= MOST_HOURS:
        raise StanzaError(StanzaCondition.BAD_REQUEST, f"The hours are a whole number from 1 to {MOST_HOURS}.")
    return int(text) * HOUR


def _reason(values: Values) -> str:
    return writable(forms.first(values, "reason") or "")


def moment(seconds: float) -> str:
    """A time for people."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M UTC")


HOURS: Final = forms.field("hours", type="text-single", label="For how many hours")
REASON: Final = forms.field("reason", type="text-single", label="Reason, for administrators")


class Administration:
    """The commands of a host's administrators."""

    def __init__(self, host: IHost) -> None:
        self._host = host

    def _guests(self) -> IGuests:
        guests = self._host.guests
        if guests is None:
            raise StanzaError(StanzaCondition.FEATURE_NOT_IMPLEMENTED, "There are no guests here.")
        return guests

    def commands(self) -> tuple[Command, ...]:
        """To be offered at the domain."""
        return (
            Command(f"{NAMESPACE}#ban", "Ban a guest", self.ban),
            Command(f"{NAMESPACE}#unban", "End a guest's ban", self.unban),
            Command(f"{NAMESPACE}#bans", "Show banned guests", self.list),
        )

    async def ban(self, request: Request, values: Values | None) -> CommandAnswer:
        """Ban a guest who is here, or an address."""
        guests = self._guests()
        if values is None:
            whom = forms.field("whom", type="text-single", label="The guest's JID, or an IP address", required=True)
            return CommandForm(forms.form("form", whom, HOURS, REASON, title="Ban a guest"))
        whom_ = forms.first(values, "whom") or ""
        ban = await guests.ban(whom_, request.sender.bare, _reason(values), _hours(values, None))
        return CommandResult(note=f"Banned until {moment(ban.expires)}. The ban's id is {ban.id}.")

    async def unban(self, request: Request, values: Values | None) -> CommandAnswer:
        """End a ban."""
        guests = self._guests()
        if values is None:
            id = forms.field("id", type="text-single", label="The ban's id, or the IP address", required=True)
            return CommandForm(forms.form("form", id, title="End a guest's ban"))
        if not await guests.unban(forms.first(values, "id") or ""):
            raise StanzaError(StanzaCondition.ITEM_NOT_FOUND, "There is no such ban.")
        return CommandResult(note="The ban is over.")

    def list(self, request: Request, values: Values | None) -> CommandAnswer:
        """All bans, as far as a stanza holds them: those that end first."""
        return CommandResult(_table(self._guests().bans()[:200]))


def _table(bans: Any) -> Element:
    """Bans as a form with a table (XEP-0004 section 3.4)."""
    columns = {"id": "Id", "expires": "Until", "by": "By", "guest": "Guest", "reason": "Reason"}
    reported = Element(
        "reported", ns.DATA_FORMS, {}, tuple(forms.field(var, label=label) for var, label in columns.items())
    )
    return forms.form("result", reported, *(_row(ban) for ban in bans), title="Banned guests")


def _row(ban: Ban) -> Element:
    values = {
        "id": ban.id, "expires": moment(ban.expires), "by": ban.by, "guest": ban.guest, "reason": ban.reason,
    }
    return Element("item", ns.DATA_FORMS, {}, tuple(forms.field(var, text) for var, text in values.items()))


class Moderation:
    """The command of a room's moderators."""

    def __init__(self, host: IHost) -> None:
        self._host = host

    async def ban(self, request: Request, values: Values | None) -> CommandAnswer:
        """Ban the guest behind a nickname from the server."""
        session = request.session
        if session is None or session.account.anonymous:
            raise StanzaError(StanzaCondition.FORBIDDEN, "That is for moderators with an account on this server.")
        if values is None:
            nick = forms.field("nick", type="text-single", label="Nickname", required=True)
            text = "The guest is banned from this server. You don't learn the address, nor does anybody else."
            return CommandForm(forms.form("form", nick, HOURS, REASON, title="Ban a guest", instructions=text))
        room = request.target.bare
        assert self._host.rooms is not None
        full = self._host.rooms.guestsBehind(room, forms.first(values, "nick") or "", request.sender)[0]
        guest = self._host.router.session(full)
        guests = guest.host.guests if guest is not None else None
        if guests is None:
            raise StanzaError(StanzaCondition.ITEM_NOT_FOUND, "The guest has gone.")
        most = guests.allowed.moderatorBanHours * HOUR
        if not most:
            raise StanzaError(StanzaCondition.NOT_ALLOWED, "Moderators may not ban guests here.")
        by = f"{request.sender.bare} in {room}"
        ban = await guests.ban(parse(full).bare, by, _reason(values), _hours(values, most), most)
        return CommandResult(note=f"Banned until {moment(ban.expires)}.")


def join(host: IHost) -> None:
    """Let users choose, administrators and moderators ban."""
    if host.config.table == "rooms":
        command = Command(f"{NAMESPACE}#ban", "Ban a guest", Moderation(host).ban, admin=False)
        host.inboxCommands[command.node] = command
        return
    for command in Administration(host).commands():
        host.addCommand(command)
    if host.config.accounts:
        choice = Choice(host)
        host.respond("account", "get", GUESTS, choice.get)
        host.respond("account", "set", GUESTS, choice.set)
        host.hooks.starting.addObserver(choice.load)
        host.hooks.removed.addObserver(choice.removed)
        host.namespaces.add(NAMESPACE)


feature = Feature(
    name=NAME, specs=(Spec("XEP-0175", "1.2"), Spec("XEP-0205", "1.0.2")), join=join, joins=("host", "rooms")
)
