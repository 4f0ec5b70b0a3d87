"""
C{[host."DOMAIN".guest]}: what the configuration says about guests (XEP-0175). Read by L{xmppd.config}.
"""

from __future__ import annotations

from dataclasses import dataclass

from xmppd import readers
from xmppd.readers import option

_count = readers.number(1)
_pace = readers.number(1, zero="no limit")

GUEST_PACES = (
    "stanzasPerSecond",
    "bytesPerSecond",
    "recipientsPerMinute",
    "refusalsPerMinute",
    "addressStanzasPerSecond",
    "addressBytesPerSecond",
    "addressRecipientsPerMinute",
    "guestsPerAddress",
)
"""The fields of L{GuestConfig} that C{enabled = false} in C{[limits]} sets to 0."""

STORED = ("private", "vcard", "roster", "pubsub", "registration", "block", "upload", "push")
"""The kinds of data that guests can be kept from storing."""


PROFILES = ("public", "private", "specialized")
"""The profiles of restrictions on guests (XEP-0175 section 2); L{xmppd.restrict.profiles} says what is in them."""


@dataclass(frozen=True, slots=True)
class GuestConfig:
    """
    C{[host."DOMAIN".guest]}: what guests may do. None: as the profile has it. 0 means no limit for paces (the fields
    in L{GUEST_PACES}) and for C{lifetimeSeconds}, else it means none at all.

    @ivar serverResource: whether the server makes up the resource, whatever the client asks for.
    @ivar remote: whether guests may exchange stanzas with users of other servers.
    @ivar services: domains of services and components that guests may reach; C{*} for all.
    @ivar users: bare JIDs of this server's users whom guests may reach; C{*} for all.
    @ivar stanzasPerSecond: stanzas a guest may send a second in the long run.
    @ivar burstStanzas: stanzas a guest may send at once after a silence.
    @ivar bytesPerSecond: octets a guest may send a second in the long run.
    @ivar burstBytes: octets a guest may send at once after a silence; no less than C{stanzaBytes}.
    @ivar stanzaBytes: octets of one stanza.
    @ivar recipientsPerMinute: how many different addresses a guest may write to in a minute.
    @ivar refusalsPerMinute: how often in a minute the paces may be exceeded before the session ends.
    @ivar addressStanzasPerSecond: stanzas all guests of one address (IPv6: one /64) may send a second.
    @ivar addressBytesPerSecond: octets they may send a second.
    @ivar addressRecipientsPerMinute: how many different addresses they may write to in a minute.
    @ivar guestsPerAddress: guests from one address at a time.
    @ivar guestsMax: guests at a time.
    @ivar resources: sessions of one guest at a time.
    @ivar rooms: rooms a guest may be in at a time.
    @ivar bytestreams: SOCKS5 bytestreams a guest may have through this server's proxy at a time.
    @ivar lifetimeSeconds: after how long a session ends.
    @ivar warningSeconds: how long before that its user is told.
    @ivar storage: kinds of data a guest may store; C{*} for all.
    @ivar storageBytes: octets a guest may write in a session.
    @ivar waitingBytes: octets that may wait for a client that doesn't acknowledge, or is away and may come back.
    @ivar banHours: how long a ban lasts if nobody says otherwise.
    @ivar moderatorBanHours: for how long moderators of rooms may ban at most.
    """

    serverResource: bool | None = option(readers.flag, None)
    remote: bool | None = option(readers.flag, None)
    services: tuple[str, ...] | None = option(readers.starOr(readers.domain), None)
    users: tuple[str, ...] | None = option(readers.starOr(readers.bareJID), None)
    stanzasPerSecond: int | None = option(_pace, None)
    burstStanzas: int | None = option(_count, None)
    bytesPerSecond: int | None = option(_pace, None)
    burstBytes: int | None = option(readers.number(10_000), None)
    stanzaBytes: int | None = option(readers.number(10_000, 64 << 20), None)
    recipientsPerMinute: int | None = option(_pace, None)
    refusalsPerMinute: int | None = option(_pace, None)
    addressStanzasPerSecond: int | None = option(_pace, None)
    addressBytesPerSecond: int | None = option(_pace, None)
    addressRecipientsPerMinute: int | None = option(_pace, None)
    guestsPerAddress: int | None = option(_pace, None)
    guestsMax: int | None = option(_count, None)
    resources: int | None = option(_count, None)
    rooms: int | None = option(readers.number(0), None)
    bytestreams: int | None = option(readers.number(0), None)
    lifetimeSeconds: int | None = option(readers.number(60, zero="no end"), None)
    warningSeconds: int | None = option(readers.number(0), None)
    storage: tuple[str, ...] | None = option(readers.starOr(readers.choice(*STORED)), None)
    storageBytes: int | None = option(readers.number(0), None)
    waitingBytes: int | None = option(readers.number(10_000), None)
    banHours: int | None = option(readers.number(1, 87_600), None)
    moderatorBanHours: int | None = option(readers.number(0, 87_600), None)
