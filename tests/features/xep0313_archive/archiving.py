"""
What tests of archives have in common: people who talk, and look into their archives.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from twisted.internet.defer import Deferred

from tests.features.asking import JULIET, ROMEO, AskingCase
from xmppd.features import xep0313_archive
from xmppd.hooks import Option
from xmppd.ixmppd import ArchivedMessage, ArchiveQuery, ISession
from xmppd.wire.element import Element, parse
from xmppd.wire.stanza import Stanza

feature = replace(
    xep0313_archive.feature,
    options={**xep0313_archive.feature.options, "accounts": Option(True, "Here accounts have archives.")},
)
"""The feature, with archives for accounts switched on."""

MAM = "urn:xmpp:mam:2"
SID = "urn:xmpp:sid:0"
RSM = "http://jabber.org/protocol/rsm"
FORWARD = "urn:xmpp:forward:0"
CLIENT = "jabber:client"
BALCONY = f"{JULIET}/balcony"
ORCHARD = f"{ROMEO}/orchard"


def field(var: str, *values: str) -> str:
    """A filled in field."""
    return f"<field var='{var}'>{''.join(f'<value>{value}</value>' for value in values)}</field>"


def query(*fields: str, more: str = "", attrs: str = "", set: str | None = None) -> str:
    """A C{<query/>}."""
    form = ""
    if fields:
        form = f"<x xmlns='jabber:x:data' type='submit'>{field('FORM_TYPE', MAM)}{''.join(fields)}</x>"
    paging = f"<set xmlns='{RSM}'>{set}</set>" if set is not None else ""
    return f"<query xmlns='{MAM}'{attrs}>{form}{paging}{more}</query>"


class ArchiveCase(AskingCase):
    """Juliet and Romeo are online, with archives."""

    features: Any = (feature,)

    def turn(self, count: int = 1) -> None:
        """What was archived is written."""
        for _ in range(count):
            self.rig.clock.advance(0)

    def say(self, session: ISession, to: str, inner: str = "<body>hi</body>", attrs: str = "type='chat' id='m'") -> None:
        """A client sends a message, and a turn of the reactor passes."""
        self.rig.send(session, f"<message to='{to}' {attrs}>{inner}</message>".encode())
        self.turn()

    def inject(self, to: str, inner: str = "<body>hi</body>", attrs: str = "type='chat'", sender: str = "a@example.net/x") -> None:
        """A message comes from elsewhere."""
        self.rig.inject(f"<message from='{sender}' to='{to}' {attrs}>{inner}</message>".encode())
        self.turn()

    def archive(self, owner: str, **conditions: Any) -> list[ArchivedMessage]:
        """What is in an archive."""
        found: list[Any] = []
        self.rig.host.archives.query(owner, ArchiveQuery(limit=1000, **conditions)).addCallback(found.append)
        return list(found[0].messages)

    def bodies(self, owner: str) -> list[str]:
        """What is in an archive."""
        return [bodyOf(message.stanza) for message in self.archive(owner)]

    def got(self, session: ISession) -> list[Stanza]:
        """What a client has got since the last time."""
        return self.streams[session].take()

    def page(self, session: ISession, payload: str, to: str | None = None) -> tuple[list[Element], Element]:
        """Ask an archive: the C{<result/>}s, which all come before it, and the C{<fin/>}."""
        stream = self.streams[session]
        stream.take()
        self.send(session, "set", payload, to)
        self.turn(3)
        *results, answer = stream.take()
        self.assertEqual((answer.kind, answer.type), ("iq", "result"), answer.raw)
        for each in results:
            self.assertEqual((each.sender, each.to), (to or session.bare, session.full))
        return [each.elements()[0] for each in results], answer.elements()[0]

    def said(self, session: ISession, payload: str, to: str | None = None) -> list[str]:
        """The bodies of a page."""
        return [messageIn(result).textOf("body") or "" for result in self.page(session, payload, to)[0]]


def bodyOf(raw: bytes) -> str:
    """The body of a stanza's bytes."""
    return parse(raw).textOf("body") or ""


def messageIn(result: Element) -> Element:
    """What is forwarded in a result."""
    forwarded = result.find("forwarded", FORWARD)
    assert forwarded is not None
    message = forwarded.find("message", CLIENT)
    assert message is not None
    return message


def idsOf(stanza: Stanza) -> list[tuple[str | None, str | None]]:
    """The stanza ids of a stanza: who says so, and what."""
    return [(each.get("by"), each.get("id")) for each in stanza.elements() if each.qname == f"{SID} stanza-id"]


def fired(deferred: Deferred[Any]) -> bool:
    """Whether it has fired."""
    return bool(deferred.called) and not deferred.paused
