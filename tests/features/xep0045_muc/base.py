"""
What the tests of rooms share: a host with users, a service of rooms, and the witches of the specification.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from tests.doubles import FakeStream, Rig
from tests.features.rfc6121_im.base import Elsewhere
from xmppd.features.rfc6121_im import feature as im
from xmppd.features.xep0030_disco import feature as disco
from xmppd.features.xep0045_muc import feature as muc
from xmppd.features.xep0045_muc.service import Service
from xmppd.features.xep0199_ping import feature as ping
from xmppd.ixmppd import ISession
from xmppd.wire import ns
from xmppd.wire.element import Element
from xmppd.wire.stanza import Stanza

SERVICE = "rooms.example.org"
ROOM = f"cave@{SERVICE}"
STANZAS = "urn:ietf:params:xml:ns:xmpp-stanzas"
USER = "http://jabber.org/protocol/muc#user"
ADMIN = "http://jabber.org/protocol/muc#admin"
OWNER = "http://jabber.org/protocol/muc#owner"
JOIN = "<x xmlns='http://jabber.org/protocol/muc'/>"
CONFIG = "http://jabber.org/protocol/muc#roomconfig"


class Person:
    """A client, and what it has got."""

    def __init__(self, rig: Rig, session: ISession, stream: FakeStream) -> None:
        self.rig = rig
        self.session = session
        self.stream = stream
        self.full = session.full
        self.bare = session.bare

    def send(self, raw: str) -> None:
        """Send a stanza."""
        self.rig.send(self.session, raw.encode())

    def take(self) -> list[Stanza]:
        """What came since the last time; it is what a client's parser accepts."""
        taken = self.stream.received[:]
        self.stream.takeBytes()
        return taken

    def ask(self, type: str, payload: str, to: str = ROOM, id: str = "q") -> Stanza:
        """Send an IQ and take everything up to its answer; what else came is kept for L{take}."""
        self.send(f"<iq type='{type}' id='{id}' to='{to}'>{payload}</iq>")
        (answer,) = (each for each in self.stream.received if each.kind == "iq" and each.id == id)
        self.stream.received.remove(answer)
        return answer

    def result(self, type: str, payload: str, to: str = ROOM) -> Element | None:
        """The payload of a result, or None."""
        answer = self.ask(type, payload, to)
        assert answer.type == "result", answer.raw
        return answer.elements()[0] if answer.elements() else None

    def error(self, type: str, payload: str, to: str = ROOM) -> str:
        """The condition of an error."""
        return conditionOf(self.ask(type, payload, to))


def conditionOf(stanza: Stanza) -> str:
    """The condition of an error stanza."""
    assert stanza.type == "error", stanza.raw
    (condition,) = (e.name for e in stanza.elements()[-1].elements() if e.ns == STANZAS and e.name != "text")
    return condition


def errorTypeOf(stanza: Stanza) -> str | None:
    """The type of an error."""
    return stanza.elements()[-1].get("type")


def userX(stanza: Stanza) -> Element:
    """The one C{muc#user} element."""
    (x,) = (each for each in stanza.elements() if each.ns == USER)
    return x


def codes(stanza: Stanza) -> set[int]:
    """The status codes."""
    return {int(each.attrs["code"]) for each in userX(stanza).elements("status")}


def item(stanza: Stanza) -> dict[str, str]:
    """The attributes of the item."""
    (found,) = userX(stanza).elements("item")
    return dict(found.attrs)


def nick(stanza: Stanza) -> str:
    """The resource a stanza is from."""
    return (stanza.sender or "").partition("/")[2]


def kinds(stanzas: Sequence[Stanza]) -> list[tuple[str, str | None, str]]:
    """Kind, type and nickname of each."""
    return [(each.kind, each.type, nick(each)) for each in stanzas]


class RoomCase(SynchronousTestCase):
    """
    The first witch owns the cave, the second is its admin, the third has no affiliation.

    @cvar options: of the service.
    """

    options: dict[str, Any] = {}

    def setUp(self) -> None:
        self.rig = Rig(im, disco)
        self.elsewhere = Elsewhere()
        self.rig.router.remote = self.elsewhere
        self.host = self.rig.service(disco, ping, muc, domain=SERVICE, **self.options)
        assert isinstance(self.host.rooms, Service)
        self.service = self.host.rooms
        self.first = self.person("crone1", "desktop")
        self.second = self.person("wiccarocks", "laptop")
        self.third = self.person("hag66", "pda")

    def person(self, local: str, resource: str = "r", **kw: Any) -> Person:
        """One more client."""
        return Person(self.rig, *self.rig.bind(f"{local}@example.org/{resource}", **kw))

    @property
    def room(self) -> Any:
        """The cave."""
        return self.service.rooms["cave"]

    def enter(self, who: Person, nick: str, inside: str = "", room: str = ROOM, id: str = "j") -> list[Stanza]:
        """Enter and take what comes."""
        who.take()
        who.send(f"<presence to='{room}/{nick}' id='{id}'><x xmlns='{ns.MUC}'>{inside}</x></presence>")
        return who.take()

    def refused(self, who: Person, nick: str, inside: str = "", room: str = ROOM) -> str:
        """Try to enter; the condition of the refusal."""
        (answer,) = self.enter(who, nick, inside, room)
        self.assertEqual((answer.kind, answer.sender), ("presence", f"{room}/{nick}"))
        return conditionOf(answer)

    def form(self, **fields: Any) -> str:
        """A submitted configuration; C{name} stands for C{muc#roomconfig_name}."""
        parts = [f"<field var='FORM_TYPE'><value>{CONFIG}</value></field>"] if fields else []
        for key, value in fields.items():
            var = key if "#" in key or key.startswith("x-") else f"muc#roomconfig_{key}"
            values = value if isinstance(value, list | tuple) else [value]
            parts.append(f"<field var='{var}'>{''.join(f'<value>{each}</value>' for each in values)}</field>")
        return f"<query xmlns='{OWNER}'><x xmlns='jabber:x:data' type='submit'>{''.join(parts)}</x></query>"

    def configure(self, **fields: Any) -> None:
        """The first witch configures the cave."""
        self.first.result("set", self.form(**fields))

    def found(self, **fields: Any) -> None:
        """The cave exists: the first witch is in, and has configured it; the second is its admin, and not in."""
        self.enter(self.first, "firstwitch")
        self.configure(**fields)
        self.affiliate(self.second, "admin")
        self.first.take()

    def affiliate(self, who: Person | str, affiliation: str, by: Person | None = None) -> None:
        """Set an affiliation."""
        jid = who if isinstance(who, str) else who.bare
        payload = f"<query xmlns='{ADMIN}'><item affiliation='{affiliation}' jid='{jid}'/></query>"
        (by or self.first).result("set", payload)

    def all(self, **fields: Any) -> None:
        """All three are in, and have read everything."""
        self.found(**fields)
        self.enter(self.second, "secondwitch")
        self.enter(self.third, "thirdwitch")
        self.quiet()

    def quiet(self) -> None:
        """Everybody has read everything."""
        for each in (self.first, self.second, self.third):
            each.take()
        self.elsewhere.take()

    def setRole(self, by: Person, nick: str, role: str, reason: str = "") -> Stanza:
        """Ask for a role."""
        inner = f"<reason>{reason}</reason>" if reason else ""
        payload = f"<query xmlns='{ADMIN}'><item nick='{nick}' role='{role}'>{inner}</item></query>"
        return by.ask("set", payload)

    def setAffiliation(self, by: Person, jid: str, affiliation: str, reason: str = "") -> Stanza:
        """Ask for an affiliation."""
        inner = f"<reason>{reason}</reason>" if reason else ""
        payload = f"<query xmlns='{ADMIN}'><item jid='{jid}' affiliation='{affiliation}'>{inner}</item></query>"
        return by.ask("set", payload)

    def say(self, who: Person, body: str, id: str = "m", extra: str = "") -> None:
        """Speak to all."""
        who.send(f"<message type='groupchat' to='{ROOM}' id='{id}'><body>{body}</body>{extra}</message>")
