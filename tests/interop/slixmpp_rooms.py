"""
How people meet in rooms with slixmpp: C{python -m tests.interop.slixmpp_rooms SCENE}.

See L{tests.interop.slixmpp_people}, whose people these are.
"""

from __future__ import annotations

import sys
from typing import Any

from slixmpp import JID
from slixmpp.exceptions import IqError, PresenceError

from tests.interop import slixmpp_people
from tests.interop.slixmpp_people import DEADLINE, SCENES, Person, World

ROOM = JID("cave@rooms.example.org")


async def visitor(world: World, name: str) -> Person:
    """Somebody who goes to rooms."""
    person = await world.login(name)
    for plugin in ("xep_0045", "xep_0249", "xep_0410", "xep_0421"):
        person.register_plugin(plugin)
    person.said = []
    person.told = []
    person.add_event_handler("groupchat_message", lambda message: hear(person, message))
    person.add_event_handler("groupchat_subject", lambda message: note(person, ["subject", message["subject"]]))
    person.add_event_handler("groupchat_invite", lambda message: note(person, ["invited", str(message["from"].bare)]))
    for event in ("got_online", "got_offline"):
        person.add_event_handler(
            f"muc::{ROOM}::{event}",
            lambda presence, event=event: note(person, [event, presence["from"].resource, presence["muc"]["role"]]),
        )
    return person


def hear(person: Person, message: Any) -> None:
    """Something is said."""
    person.said.append([message["from"].resource, message["body"], bool(message["occupant-id"]["id"])])
    person._changed.set()


def note(person: Person, what: list[Any]) -> None:
    """Something happens."""
    person.told.append(what)
    person._changed.set()


async def enter(person: Person, nick: str, **options: Any) -> Any:
    """Enter the room and wait for its subject, which comes last."""
    return await person.wait(person.plugin["xep_0045"].join_muc_wait(ROOM, nick, timeout=DEADLINE, **options))


async def meeting(world: World) -> dict[str, Any]:
    """A room from its creation to its end."""
    romeo, juliet = await visitor(world, "romeo"), await visitor(world, "juliet")
    his = romeo.plugin["xep_0045"]
    own, _, _, _ = await enter(romeo, "Romeo")
    seen: dict[str, Any] = {"created": sorted(own["muc"]["status_codes"])}
    form = await romeo.wait(his.get_room_config(ROOM))
    form["values"] = {
        "FORM_TYPE": "http://jabber.org/protocol/muc#roomconfig",
        "muc#roomconfig_roomname": "A Dark Cave",
        "muc#roomconfig_persistentroom": True,
    }
    form["type"] = "submit"
    await romeo.wait(his.set_room_config(ROOM, form))
    info = await juliet.wait(juliet.plugin["xep_0030"].get_info(ROOM, timeout=DEADLINE))
    seen["name"] = [each[3] for each in info["disco_info"]["identities"]]
    romeo.send_message(mto=ROOM, mbody="early", mtype="groupchat")
    await romeo.until(lambda: romeo.said, "own message")
    _, _, occupants, history = await enter(juliet, "Juliet", maxstanzas=5)
    seen["occupants"] = sorted(each["from"].resource for each in occupants)
    seen["history"] = [each["body"] for each in history]
    juliet.send_message(mto=ROOM, mbody="Ay me!", mtype="groupchat")
    await romeo.until(lambda: len(romeo.said) == 2, "what Juliet says")
    seen["said"] = romeo.said[1]
    romeo.send_message(mto=JID(f"{ROOM}/Juliet"), mbody="psst", mtype="chat")
    await juliet.until(lambda: any("psst" in each for each in juliet.inbox), "a private message")
    status = await juliet.wait(juliet.plugin["xep_0410"].send_self_ping(JID(f"{ROOM}/Juliet")))
    seen["ping"] = status.name
    his.set_subject(ROOM, "Names")
    await juliet.until(lambda: ["subject", "Names"] in juliet.told, "the subject")
    his.invite(ROOM, JID("admin@example.org"), reason="come")
    await romeo.wait(his.set_affiliation(ROOM, "member", jid=JID("juliet@example.org")))
    seen["members"] = [str(each) for each in await romeo.wait(his.get_affiliation_list(ROOM, "member"))]
    await romeo.wait(his.set_role(ROOM, "Juliet", "none", reason="late"))
    await romeo.until(lambda: any(each[:2] == ["got_offline", "Juliet"] for each in romeo.told), "that Juliet is out")
    await romeo.wait(his.set_affiliation(ROOM, "outcast", jid=JID("juliet@example.org")))
    try:
        await enter(juliet, "Juliet")
    except PresenceError as error:
        seen["banned"] = error.condition
    await romeo.wait(his.destroy(ROOM, reason="over"))
    try:
        await romeo.wait(romeo.plugin["xep_0030"].get_info(ROOM, timeout=DEADLINE))
    except IqError as error:
        seen["afterwards"] = error.condition
    return seen


SCENES.update({"meeting": meeting})

if __name__ == "__main__":
    sys.exit(slixmpp_people.main())
