"""
Client state indication (XEP-0352): while nobody looks at a client, what can wait waits.

Held back are presence, of which only the latest of each sender is kept, and messages that hold nothing but a chat
state. Whatever else comes lets everything go first, in order, and then itself: the client's radio is awake anyway.
Subscription requests, presence errors and a room's word about the client's own occupancy are never held back.

With stream management this stands in front of its queue: what is held back has no number yet and gets one when it
goes. So a client never has to acknowledge what it didn't get, presence that is overtaken never fills the queue, and a
crash of the server loses nothing but presence of somebody nobody looked at. A session that hibernates goes on holding
back; resumption makes it active again, as section 5.2 says.

Left out: the choice of a user what is held back; it is the administrator's.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from zope.interface import implementer

from xmppd.hooks import Feature, Option, Spec
from xmppd.ixmppd import IClientStream, IHost, ISession, IStreamFeature
from xmppd.wire import ns
from xmppd.wire.element import Element
from xmppd.wire.errors import StanzaCondition, StanzaError
from xmppd.wire.stanza import Stanza

NAME: Final = "xep0352_csi"
ACTIVE: Final = f"{ns.CSI} active"
INACTIVE: Final = f"{ns.CSI} inactive"
ADVERTISEMENT: Final = f"<csi xmlns='{ns.CSI}'/>".encode()

STATES: Final = frozenset(
    f"{ns.CHAT_STATES} {state}" for state in ("active", "composing", "paused", "inactive", "gone")
)
ACCOMPANYING: Final = frozenset(
    [f"{ns.CLIENT} thread", *(f"{ns.HINTS} {hint}" for hint in ("no-store", "no-permanent-store", "no-copy"))]
)
"""What may stand beside a chat state without making a message more than that."""

OCCUPANT: Final = f"{ns.MUC_USER} x"
SELF: Final = (b"'110'", b'"110"')
"""What marks a room's presence about the client itself (XEP-0045 section 7.2.2)."""

MOST_OCTETS: Final = 262_144
"""How much is held back for one client."""


def isChatState(stanza: Stanza) -> bool:
    """Whether a message holds nothing but a chat state (XEP-0085)."""
    names = stanza.childNames
    return not STATES.isdisjoint(names) and all(name in STATES or name in ACCOMPANYING for name in names)


def isOverheard(stanza: Stanza) -> bool:
    """Whether a presence stanza merely says how somebody else is."""
    if stanza.attrs.get("type") not in (None, "unavailable"):
        return False
    return OCCUPANT not in stanza.childNames or not any(mark in stanza.raw for mark in SELF)


class Lull:
    """
    The outlet of a client nobody looks at.

    @ivar below: where stanzas go in the end (see L{ISession.outlet}).
    @ivar held: what is held back, by kind and sender, the latest last.
    """

    __slots__ = ("_most", "_octets", "_presence", "_states", "below", "held")

    def __init__(self, below: Callable[[Stanza], None], presence: bool, states: bool, most: int) -> None:
        self.below = below
        self.held: dict[tuple[str, str | None], Stanza] = {}
        self._presence = presence
        self._states = states
        self._most = most
        self._octets = 0

    def transmit(self, stanza: Stanza) -> None:
        """Hold a stanza back, or let everything go. Per stanza."""
        if not self._canWait(stanza):
            self.flush()
            self.below(stanza)
            return
        key = (stanza.kind, stanza.attrs.get("from"))
        overtaken = self.held.pop(key, None)
        if overtaken is not None:
            self._octets -= len(overtaken.raw)
        self.held[key] = stanza
        self._octets += len(stanza.raw)
        if len(self.held) > self._most or self._octets > MOST_OCTETS:
            self.flush()

    def _canWait(self, stanza: Stanza) -> bool:
        if stanza.kind == "presence":
            return self._presence and isOverheard(stanza)
        return self._states and stanza.kind == "message" and isChatState(stanza)

    def flush(self) -> None:
        """Let everything go, in order."""
        held, self.held = self.held, {}
        self._octets = 0
        for stanza in held.values():
            self.below(stanza)


@implementer(IStreamFeature)
class ClientStates:
    """The states of a host's clients; a session begins as active (section 4.2)."""

    names: tuple[str, ...] = ()
    requires = frozenset({"authenticated"})
    forbids: frozenset[str] = frozenset()
    rank = 60

    def __init__(self, host: IHost) -> None:
        self._host = host

    def advertise(self, stream: IClientStream) -> bytes:
        """See L{IStreamFeature} (section 4.1)."""
        return ADVERTISEMENT

    def negotiate(self, stream: IClientStream, stanza: Stanza) -> None:
        """See L{IStreamFeature}: there is nothing to negotiate."""
        raise StanzaError(StanzaCondition.FEATURE_NOT_IMPLEMENTED)

    def inactive(self, session: ISession, element: Stanza) -> None:
        """Nobody looks at the client (section 4.2)."""
        self._hush(session)

    def _hush(self, session: ISession) -> None:
        """Hold back from now on."""
        if NAME in session.slots:
            return
        option = self._host.option
        lull = Lull(session.outlet, option(NAME, "presence"), option(NAME, "chat_states"), option(NAME, "most"))
        session.slots[NAME] = lull
        session.outlet = lull.transmit

    def beginsInactive(self, session: ISession, element: Element) -> bytes:
        """Nobody looks at a client whose session is just beginning (XEP-0386 section 3.2.1)."""
        self._hush(session)
        return b""

    def beginsActive(self, session: ISession, element: Element) -> bytes:
        """Sessions begin as active."""
        return b""

    def active(self, session: ISession, element: Stanza) -> None:
        """Somebody looks: everything goes out before anything else is done for the client (section 5.1)."""
        self.resumed(session)

    def resumed(self, session: ISession) -> None:
        """A resumed session is active (section 5.2)."""
        lull: Lull | None = session.slots.pop(NAME, None)
        if lull is not None:
            session.outlet = lull.below
            lull.flush()


def join(host: IHost) -> None:
    """Listen to what clients say of themselves."""
    states = ClientStates(host)
    host.addStreamFeature(states)
    host.elements[ACTIVE] = states.active
    host.elements[INACTIVE] = states.inactive
    host.inline.bindable[ACTIVE] = (ns.CSI, states.beginsActive)
    host.inline.bindable[INACTIVE] = (ns.CSI, states.beginsInactive)
    host.hooks.resumed.addObserver(states.resumed)


def _positive(value: int) -> str | None:
    return None if 1 <= value <= 10_000 else "it has to be between 1 and 10000"


feature = Feature(
    name=NAME,
    specs=(Spec("XEP-0352", "1.0.0"),),
    options={
        "presence": Option(True, "Whether presence is held back from inactive clients."),
        "chat_states": Option(True, "Whether chat states are held back from inactive clients."),
        "most": Option(500, "How many stanzas are held back for one client.", _positive),
    },
    join=join,
)
