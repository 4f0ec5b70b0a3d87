"""
Who is here: guests, and the addresses they have come from.

Theory of operation. The restrictions are shared by all guests of a host; what has to be counted for one session is in
its L{Visit}, what has to be counted for all guests of an address (IPv4 address, or /64 of IPv6) in their L{Crowd}, and
what has to be counted for one guest, who can come back with another session, in its L{Stay}. A crowd outlasts its last
guest by a minute, lest paces begin anew with every login, and a stay its last session. L{Guests} knows them, lets
guests in as long as there are few enough, and sees them off.

Paces are buckets that drain: a bucket is the moment at which it will be empty, so that counting is one addition and
one comparison.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from math import inf
from typing import Any, Final

from xmppd.guesting import GuestConfig
from xmppd.ixmppd import IClientStream, IHost, ISession
from xmppd.restrict.errors import exceeded
from xmppd.wire.addresses import counted
from xmppd.wire.errors import ErrorType, StanzaError

SLOT: Final = "guest"
"""The slot of a session with its L{Visit}."""

MINUTE: Final = 60.0

REMEMBERED: Final = 100_000
"""How many addresses are remembered for a minute after their last guest has gone; and how many guests."""

FLOODS: Final = 10
"""How many guests may be disconnected for flooding before nobody else is let in from their address in that minute."""


ROUNDING: Final = 0.5
"""Added to the room of a bucket: moments are rounded, and the last stanza that fits has to."""


@dataclass(frozen=True, slots=True)
class Paces:
    """
    Limits of pace in the form in which they are reckoned with: C{seconds...} that a stanza or an octet fills a bucket
    by, and the C{...Room} of the bucket in seconds. 0 and infinity where there is no limit.
    """

    secondsPerStanza: float
    stanzaRoom: float
    secondsPerByte: float
    byteRoom: float

    @classmethod
    def of(cls, stanzas: float, burstStanzas: float, octets: float, burstBytes: float) -> Paces:
        """From so many a second in the long run, and so many at once."""
        return cls(
            1.0 / stanzas if stanzas else 0.0,
            (burstStanzas + ROUNDING) / stanzas if stanzas else inf,
            1.0 / octets if octets else 0.0,
            (burstBytes + ROUNDING) / octets if octets else inf,
        )


class Crowd:
    """
    All guests from one address.

    @ivar key: the address as it is counted.
    @ivar sessions: theirs, in the order in which they came.
    @ivar stanzas: when the bucket of stanzas will be empty.
    @ivar octets: when the bucket of octets will be empty.
    @ivar recipients: when an address was first written to in the last minute.
    @ivar refused: how often they were refused for their pace in the current minute.
    @ivar refusedSince: when that minute began.
    """

    __slots__ = ("key", "octets", "recipients", "refused", "refusedSince", "sessions", "stanzas")

    def __init__(self, key: str) -> None:
        self.key = key
        self.sessions: dict[ISession, None] = {}
        self.stanzas = 0.0
        self.octets = 0.0
        self.recipients: dict[str, float] | None = None
        self.refused = 0
        self.refusedSince = 0.0

    def countRefusal(self, now: float) -> None:
        """A guest was refused for its pace."""
        if now - self.refusedSince >= MINUTE:
            self.refusedSince, self.refused = now, 0
        self.refused += 1


class Stay:
    """
    All sessions of one guest.

    @ivar since: when the guest came first.
    @ivar sessions: those it has now.
    @ivar stored: how many octets it has stored.
    @ivar warned: whether its user knows that the time is nearly over.
    """

    __slots__ = ("sessions", "since", "stored", "warned")

    def __init__(self, since: float) -> None:
        self.since = since
        self.sessions: dict[ISession, None] = {}
        self.stored = 0
        self.warned = False


class Visit:
    """
    What is counted for one session; C{stanzas}, C{octets} and C{recipients} as in L{Crowd}.

    @ivar crowd: the guests from the same address.
    @ivar stay: the sessions of the same guest.
    @ivar refused: how often it was refused for its pace in the current minute.
    @ivar refusedSince: when that minute began.
    @ivar rooms: the rooms it is in (True) or enters (False).
    """

    __slots__ = ("crowd", "octets", "recipients", "refused", "refusedSince", "rooms", "stanzas", "stay")

    def __init__(self, crowd: Crowd, stay: Stay) -> None:
        self.crowd = crowd
        self.stay = stay
        self.stanzas = 0.0
        self.octets = 0.0
        self.recipients: dict[str, float] | None = None
        self.refused = 0
        self.refusedSince = 0.0
        self.rooms: dict[str, bool] | None = None


def visitOf(session: ISession) -> Visit:
    """The visit of a guest's session."""
    visit: Visit = session.slots[SLOT]
    return visit


class Visits:
    """
    The guests of one host.

    @ivar allowed: what they may do.
    @ivar paces: what one guest may send.
    @ivar crowdPaces: what all guests of an address may send.
    @ivar count: how many sessions there are.
    @ivar stays: by bare JID, in the order in which the guests came; also of some who have gone.
    """

    def __init__(self, host: IHost, allowed: GuestConfig) -> None:
        self._host = host
        self._crowds: dict[str, Crowd] = {}
        self._empty: OrderedDict[str, float] = OrderedDict()
        self.stays: dict[str, Stay] = {}
        self._left: OrderedDict[str, float] = OrderedDict()
        self.count = 0
        self.restrict(allowed)

    def restrict(self, allowed: GuestConfig) -> None:
        """Let what guests may do be this from now on. All guests of an address get as many bursts as seconds."""
        values: Any = allowed
        self.allowed: Any = values
        stanzas, octets = values.stanzasPerSecond, values.bytesPerSecond
        self.paces = Paces.of(stanzas, values.burstStanzas, octets, values.burstBytes)
        together, octetsTogether = values.addressStanzasPerSecond, values.addressBytesPerSecond
        self.crowdPaces = Paces.of(
            together,
            max(values.burstStanzas, 10 * together),
            octetsTogether,
            max(values.burstBytes, 10 * octetsTogether),
        )

    # --- coming and going

    def crowd(self, address: str) -> Crowd:
        """The guests from an address, also if there are none."""
        return self._crowds.get(counted(address)) or Crowd(counted(address))

    def refusesBinding(self, stream: IClientStream) -> StanzaError | None:
        """Why a guest gets no session, or None (XEP-0205 section 4.4)."""
        crowd = self.crowd(stream.address)
        most = self.allowed.guestsPerAddress
        if most and len(crowd.sessions) >= most and not endWaiting(crowd.sessions):
            return exceeded("Too many guests have come from your address.")
        refusals = self.allowed.refusalsPerMinute
        if refusals and crowd.refused > FLOODS * refusals and self._host.clock.seconds() - crowd.refusedSince < MINUTE:
            return exceeded("Guests from your address have sent too much too fast, again and again.", ErrorType.WAIT)
        if self.count >= self.allowed.guestsMax:
            return exceeded("There are too many guests.")
        return None

    def bound(self, session: ISession) -> None:
        """A guest has come."""
        address = session.stream.address if session.stream is not None else ""
        self._forget()
        session.slots[SLOT] = Visit(self._enter(session, address), self._stay(session))
        self.count += 1

    def resumed(self, session: ISession) -> None:
        """A guest is back, perhaps from another address."""
        visit, stream = visitOf(session), session.stream
        if stream is not None and counted(stream.address) != visit.crowd.key:
            self._leave(session, visit.crowd)
            visit.crowd = self._enter(session, stream.address)

    def ended(self, session: ISession) -> None:
        """A guest has gone."""
        visit: Visit | None = session.slots.get(SLOT)
        if visit is not None and session in visit.crowd.sessions:
            self._leave(session, visit.crowd)
            self.count -= 1
            del visit.stay.sessions[session]
            if not visit.stay.sessions:
                self._left[session.bare] = self._host.clock.seconds()

    def _stay(self, session: ISession) -> Stay:
        """What is counted for a guest, who now has this session, too."""
        stay = self.stays.get(session.bare)
        if stay is None:
            stay = self.stays[session.bare] = Stay(session.created)
        elif not stay.sessions:
            del self._left[session.bare]
        stay.sessions[session] = None
        return stay

    def _enter(self, session: ISession, address: str) -> Crowd:
        key = counted(address)
        crowd = self._crowds.get(key)
        if crowd is None:
            crowd = self._crowds[key] = Crowd(key)
        elif not crowd.sessions:
            del self._empty[key]
        crowd.sessions[session] = None
        return crowd

    def _leave(self, session: ISession, crowd: Crowd) -> None:
        del crowd.sessions[session]
        if not crowd.sessions:
            self._empty[crowd.key] = self._host.clock.seconds()

    def _forget(self) -> None:
        """Forget addresses whose last guest has gone long enough ago, and guests who have."""
        for key in self._over(self._empty):
            del self._crowds[key]
        for bare in self._over(self._left):
            del self.stays[bare]

    def _over(self, gone: OrderedDict[str, float]) -> Iterator[str]:
        """Take out who has gone long enough ago; they went in this order."""
        now = self._host.clock.seconds()
        while gone:
            key, since = next(iter(gone.items()))
            if now - since < MINUTE and len(gone) < REMEMBERED:
                return
            del gone[key]
            yield key


def endWaiting(sessions: Iterable[ISession]) -> bool:
    """End the first session that has no stream; answers whether there is one."""
    for session in sessions:
        if session.stream is None:
            session.end()
            return True
    return False
