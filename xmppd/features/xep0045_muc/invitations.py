"""
Invitations through a room, and what becomes of them (section 7.8.2).

Theory of operation: who invited whom is remembered, a bounded number, so that only who was invited can decline, and so
that who invited hears if there was nobody to invite. Guests invite nobody whom they may not write to, and each
invitation counts like a message to the invitee.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Final

from xmppd.adapters import sendingRefusal
from xmppd.features.xep0045_muc.affiliations import RANK, Affiliation
from xmppd.features.xep0045_muc.encoding import X, made, textOf
from xmppd.features.xep0045_muc.occupants import Seat
from xmppd.features.xep0045_muc.pace import Pace
from xmppd.features.xep0045_muc.rooms import Room
from xmppd.hooks import Unanswered
from xmppd.wire import ns
from xmppd.wire.element import Element, escapeAttribute, escapeText
from xmppd.wire.errors import StanzaCondition, StanzaError
from xmppd.wire.jid import JID, JIDMalformed, parse
from xmppd.wire.stanza import ERROR, Stanza

if TYPE_CHECKING:
    from xmppd.features.xep0045_muc.service import Service

REMEMBERED: Final = 5000
AT_ONCE: Final = 10
PER_MINUTE: Final = 30
LONGEST_REASON: Final = 2000


class Invitations:
    """Invitations into the rooms of a service."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._router = service.host.router
        self._sent: OrderedDict[tuple[str, str], tuple[str, str]] = OrderedDict()
        self._pace = Pace(PER_MINUTE)

    async def invite(self, room: Room, seat: Seat, stanza: Stanza, invites: list[Element]) -> None:
        """An occupant invites somebody, or several."""
        if len(invites) > AT_ONCE:
            raise StanzaError(StanzaCondition.POLICY_VIOLATION, f"At most {AT_ONCE} at a time.")
        targets = [self._invitee(invite) for invite in invites]
        if room.config.membersOnly:
            await self._enlist(room, seat, targets)
        occupant = seat.occupant
        by = occupant.jid if room.config.anonymous else occupant.bare
        for to, invite in zip(targets, invites, strict=True):
            if not self._pace.spend(occupant.bare, self._service.now()):
                raise StanzaError(StanzaCondition.RESOURCE_CONSTRAINT, "You invite too many.")
            id = stanza.id or self._service.host.entropy.token()
            self._remember(room, to, seat.full, id)
            invitation = self.stanza(room, to.full, by, id, textOf(invite, "reason"), invite.find("continue"))
            error = sendingRefusal(self._router.session(seat.full), invitation)
            if error is None:
                self._router.route(invitation)
            elif not isinstance(error, Unanswered):
                self._router.bounce(stanza, error)
                return

    def _invitee(self, invite: Element) -> JID:
        to = invite.get("to")
        if not to:
            raise StanzaError(StanzaCondition.BAD_REQUEST, "Say who is invited.")
        if len(textOf(invite, "reason") or "") > LONGEST_REASON:
            raise StanzaError(StanzaCondition.POLICY_VIOLATION, "The reason is too long.")
        return parse(to)

    async def _enlist(self, room: Room, seat: Seat, targets: list[JID]) -> None:
        """Who is invited into a members-only room becomes a member, if the inviter may decide that (section 9.5)."""
        least = Affiliation.MEMBER if room.config.memberInvites else Affiliation.ADMIN
        if RANK[seat.occupant.affiliation] < RANK[least]:
            raise StanzaError(StanzaCondition.FORBIDDEN, "You may not invite into this room.")
        affiliations = {jid.bare: room.affiliationOf(jid.bare) for jid in targets}
        if Affiliation.OUTCAST in affiliations.values():
            raise StanzaError(StanzaCondition.FORBIDDEN, "Who is banned can't be invited.")
        new = {bare: Affiliation.MEMBER for bare, each in affiliations.items() if each is Affiliation.NONE}
        if new:
            async with self._service.changing(room):
                rest = await self._service.admin.change(room, new, {}, seat.occupant.nick, {}, invite=False)
            rest()

    def _remember(self, room: Room, to: JID, inviter: str, id: str) -> None:
        key = (room.jid, to.bare)
        self._sent[key] = (inviter, id)
        self._sent.move_to_end(key)
        if len(self._sent) > REMEMBERED:
            self._sent.popitem(last=False)

    def stanza(
        self, room: Room, to: str, by: str, id: str, reason: str | None = None, going: Element | None = None
    ) -> Stanza:
        """
        The invitation as the invitee gets it, with the password if the room has one.

        @param going: the C{<continue/>} element of a conversation that goes on in the room.
        """
        inner = f"<reason>{escapeText(reason)}</reason>" if reason else ""
        if going is not None:
            thread = going.get("thread")
            inner += f"<continue thread='{escapeAttribute(thread)}'/>" if thread else "<continue/>"
        content = f"<invite from='{escapeAttribute(by)}'>{inner}</invite>"
        if room.config.password:
            content += f"<password>{escapeText(room.config.password)}</password>"
        x = f"<x xmlns='{ns.MUC_USER}'>{content}</x>".encode()
        return made("message", {"from": room.jid, "to": to, "id": id}, x, (X,))

    def decline(self, room: Room, stanza: Stanza, decline: Element) -> None:
        """Somebody who was invited says no: tell who invited."""
        sender = parse(stanza.attrs["from"])
        sent = self._sent.pop((room.jid, sender.bare), None)
        if sent is None:
            raise StanzaError(StanzaCondition.ITEM_NOT_FOUND, "You were not invited.")
        reason = (textOf(decline, "reason") or "")[:LONGEST_REASON]
        inner = f"<reason>{escapeText(reason)}</reason>" if reason else ""
        x = f"<x xmlns='{ns.MUC_USER}'><decline from='{escapeAttribute(sender.bare)}'>{inner}</decline></x>"
        self._router.route(made("message", {"from": room.jid, "to": sent[0], "id": stanza.id}, x.encode(), (X,)))

    def failed(self, room: Room, stanza: Stanza) -> None:
        """An invitation came back: there is nobody by that address."""
        try:
            key = (room.jid, parse(stanza.attrs["from"]).bare)
        except JIDMalformed:
            return
        sent = self._sent.get(key)
        if sent is None or sent[1] != stanza.id:
            return
        del self._sent[key]
        error = StanzaError(StanzaCondition.ITEM_NOT_FOUND, "The invitation could not be delivered.")
        attrs = {"from": room.jid, "to": sent[0], "id": sent[1], "type": "error"}
        self._router.route(made("message", attrs, error.toBytes(), (ERROR,)))
