"""
What a guest can do that lasts, played by clients of whatever kind: in memory or on real sockets.

The people: Juliet, who is here and owns a room and a node; Romeo, who is away; the guest. L{prepare} is played before
the guest comes. L{live} has the guest do everything there is: afterwards many places in the database name it.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from typing import Protocol

SERVICES = """
[rooms."rooms.example.org"]
guests_register = true
[pubsub."pubsub.example.org"]
[upload."upload.example.org"]
guests = true
"""
"""The services it takes; the host has to let guests use them."""

ROOM = "cave@rooms.example.org"
NODES = "pubsub.example.org"
TUNE = "http://jabber.org/protocol/tune"
FORM = "<x xmlns='jabber:x:data' type='submit'>{}</x>"
PRIVATE = "<query xmlns='jabber:iq:private'><notes xmlns='urn:example:notes'>secret</notes></query>"


class Client(Protocol):
    """Somebody who has logged in."""

    jid: str

    def ask(self, data: str) -> ET.Element:
        """Send a request and take its answer."""

    def say(self, data: str) -> None:
        """Send something, and wait until the server has done what follows from it."""


def field(var: str, value: str, kind: str = "") -> str:
    """A field of a form."""
    return f"<field var='{var}'{kind}><value>{value}</value></field>"


def settled(client: Client, type: str, payload: str, to: str = "") -> ET.Element:
    """Ask, and expect a result."""
    address = f" to='{to}'" if to else ""
    answer = client.ask(f"<iq type='{type}' id='i'{address}>{payload}</iq>")
    if answer.get("type") != "result":
        raise AssertionError(f"{payload}: {ET.tostring(answer, 'unicode')}")
    return answer


def pubsub(action: str, owner: str = "") -> str:
    """A request of publish-subscribe."""
    return f"<pubsub xmlns='http://jabber.org/protocol/pubsub{owner}'>{action}</pubsub>"


def published(node: str, id: str, payload: str = "<x xmlns='urn:example:x'/>") -> str:
    """A request to publish."""
    return pubsub(f"<publish node='{node}'><item id='{id}'>{payload}</item></publish>")


def prepare(juliet: Client) -> None:
    """Juliet has a roster, a room that stays, and a node for everybody."""
    settled(juliet, "get", "<query xmlns='jabber:iq:roster'/>")
    juliet.say("<presence/>")
    settled(juliet, "set", "<query xmlns='jabber:iq:roster'><item jid='romeo@example.org'/></query>")
    juliet.say(f"<presence to='{ROOM}/juliet'><x xmlns='http://jabber.org/protocol/muc'/></presence>")
    stays = field("FORM_TYPE", "http://jabber.org/protocol/muc#roomconfig") + field("muc#roomconfig_persistentroom", "1")
    query = f"<query xmlns='http://jabber.org/protocol/muc#owner'>{FORM.format(stays)}</query>"
    settled(juliet, "set", query, ROOM)
    kind = field("FORM_TYPE", "http://jabber.org/protocol/pubsub#node_config")
    kind += field("pubsub#publish_model", "open") + field("pubsub#notify_retract", "1")
    settled(juliet, "set", pubsub(f"<create node='board'/><configure>{FORM.format(kind)}</configure>"), NODES)
    settled(juliet, "set", published("board", "hers"), NODES)
    settled(juliet, "set", published("urn:example:hers", "1"))


def live(guest: Client, juliet: Client) -> None:
    """The guest does what lasts."""
    bare = guest.jid.partition("/")[0]
    befriend(guest, juliet, bare)
    visit(guest, juliet, bare)
    publish(guest, juliet, bare)
    settled(guest, "set", PRIVATE)
    settled(guest, "set", "<vCard xmlns='vcard-temp'><FN>Nobody</FN></vCard>")
    storage = "<storage xmlns='storage:bookmarks'><conference jid='cave@rooms.example.org'/></storage>"
    settled(guest, "set", f"<query xmlns='jabber:iq:private'>{storage}</query>")
    settled(guest, "set", "<enable xmlns='urn:xmpp:push:0' jid='pubsub.example.org' node='n'/>")
    settled(guest, "set", "<block xmlns='urn:xmpp:blocking'><item jid='tybalt@example.org'/></block>")
    guest.say("<message to='romeo@example.org' type='chat'><body>Romeo, Romeo!</body></message>")
    guest.say("<message to='juliet@example.org' type='chat'><body>Juliet!</body></message>")


def befriend(guest: Client, juliet: Client, bare: str) -> None:
    """Both see each other; and what remains open, or is only written down."""
    settled(guest, "get", "<query xmlns='jabber:iq:roster'/>")
    guest.say("<presence/>")
    guest.say("<presence to='juliet@example.org' type='subscribe'/>")
    juliet.say(f"<presence to='{bare}' type='subscribed'/><presence to='{bare}' type='subscribe'/>")
    guest.say("<presence to='juliet@example.org' type='subscribed'/>")
    guest.say("<presence to='romeo@example.org' type='subscribe'/>")
    settled(guest, "set", "<query xmlns='jabber:iq:roster'><item jid='nurse@example.org' name='Nurse'/></query>")
    settled(juliet, "set", f"<query xmlns='jabber:iq:roster'><item jid='{bare}' name='A guest'/></query>")


def visit(guest: Client, juliet: Client, bare: str) -> None:
    """The guest comes to Juliet's room, registers and is made an admin."""
    guest.say(f"<presence to='{ROOM}/guest'><x xmlns='http://jabber.org/protocol/muc'/></presence>")
    form = field("FORM_TYPE", "http://jabber.org/protocol/muc#register") + field("muc#register_roomnick", "guest")
    settled(guest, "set", f"<query xmlns='jabber:iq:register'>{FORM.format(form)}</query>", ROOM)
    item = f"<item jid='{bare}' affiliation='admin'/>"
    settled(juliet, "set", f"<query xmlns='http://jabber.org/protocol/muc#admin'>{item}</query>", ROOM)
    guest.say(f"<message to='{ROOM}' type='groupchat'><body>Is anybody here?</body></message>")


def publish(guest: Client, juliet: Client, bare: str) -> None:
    """The guest subscribes, publishes, owns."""
    settled(guest, "set", pubsub(f"<subscribe node='board' jid='{bare}'/>"), NODES)
    settled(guest, "set", published("board", "his"), NODES)
    given = f"<affiliations node='board'><affiliation jid='{bare}' affiliation='publisher'/></affiliations>"
    settled(juliet, "set", pubsub(given, "#owner"), NODES)
    settled(guest, "set", published(TUNE, "current", f"<tune xmlns='{TUNE}'/>"))
    settled(guest, "set", pubsub(f"<subscribe node='urn:example:hers' jid='{bare}'/>"), "juliet@example.org")
    upload = "<request xmlns='urn:xmpp:http:upload:0' filename='a.txt' size='5'/>"
    settled(guest, "get", upload, "upload.example.org")
