"""
How people publish with slixmpp: C{python -m tests.interop.slixmpp_pubsub SCENE}.

See L{tests.interop.slixmpp_people}, whose people these are.
"""

from __future__ import annotations

import sys
from typing import Any
from xml.etree import ElementTree

from slixmpp import JID
from slixmpp.exceptions import IqError

from tests.interop import slixmpp_people
from tests.interop.slixmpp_people import DEADLINE, SCENES, Person, World

SERVICE = JID("pubsub.example.org")
BOOKMARKS = "urn:xmpp:bookmarks:1"
TUNE = "http://jabber.org/protocol/tune"


async def publisher(world: World, name: str, *interests: str) -> Person:
    """Somebody who publishes, and wants to hear of some nodes."""
    person = await world.login(name, present=False)
    for plugin in ("xep_0060", "xep_0115", "xep_0163", "xep_0084"):
        person.register_plugin(plugin)
    person.heard = []
    person.add_event_handler("pubsub_publish", lambda message: hear(person, message, "item"))
    person.add_event_handler("pubsub_retract", lambda message: hear(person, message, "retract"))
    for node in interests:
        person.plugin["xep_0163"].add_interest(node)
    await person.plugin["xep_0115"].update_caps()
    person.send_presence()
    await person.until(lambda: person.presenceOf(person.boundjid.full) == "available", "own presence")
    for _ in range(3):  # the server asks what we are interested in, and needs the answer
        await person.rests()
    return person


def hear(person: Person, message: Any, kind: str) -> None:
    """Somebody hears of an item."""
    items = message["pubsub_event"]["items"]
    for each in items.xml:
        person.heard.append([message["from"].bare, items["node"], kind, each.get("id")])
    person._changed.set()


async def hears(person: Person, count: int) -> list[Any]:
    """Wait until somebody has heard of so many items, and answer and forget them."""
    await person.until(lambda: len(person.heard) >= count, f"{count} items, not {person.heard}")
    heard, person.heard = person.heard, []
    return list(heard)


def entry(text: str) -> Any:
    """A payload."""
    element = ElementTree.Element("{urn:entry}entry")
    element.text = text
    return element


async def service(world: World) -> dict[str, Any]:
    """A node from its creation to its end."""
    juliet, romeo = await publisher(world, "juliet"), await publisher(world, "romeo")
    hers, his = juliet.plugin["xep_0060"], romeo.plugin["xep_0060"]
    form = juliet.plugin["xep_0004"].make_form(ftype="submit")
    form.add_field(var="FORM_TYPE", ftype="hidden", value="http://jabber.org/protocol/pubsub#node_config")
    form.add_field(var="pubsub#title", value="News")
    form.add_field(var="pubsub#notify_retract", value="1")
    await juliet.wait(hers.create_node(SERVICE, "news", config=form))
    info = await romeo.wait(romeo.plugin["xep_0030"].get_info(SERVICE, timeout=DEADLINE))
    nodes = await romeo.wait(his.get_nodes(SERVICE, timeout=DEADLINE))
    subscribed = await romeo.wait(his.subscribe(SERVICE, "news"))
    for index in range(3):
        await juliet.wait(hers.publish(SERVICE, "news", id=f"i{index}", payload=entry(f"text {index}")))
    seen: dict[str, Any] = {
        "identities": [list(each[:2]) for each in info["disco_info"]["identities"]],
        "nodes": [list(each)[1:] for each in nodes["disco_items"]["items"]],
        "subscribed": subscribed["pubsub"]["subscription"]["subscription"],
        "published": await hears(romeo, 3),
    }
    items = await romeo.wait(his.get_items(SERVICE, "news", max_items=2))
    seen["items"] = [[item["id"], item["payload"].text] for item in items["pubsub"]["items"]]
    await juliet.wait(hers.retract(SERVICE, "news", "i1"))
    seen["retracted"] = await hears(romeo, 1)
    config = await juliet.wait(hers.get_node_config(SERVICE, "news"))
    seen["title"] = config["pubsub_owner"]["configure"]["form"]["values"]["pubsub#title"]
    await juliet.wait(hers.modify_affiliations(SERVICE, "news", [(JID("romeo@example.org"), "publisher")]))
    await romeo.wait(his.publish(SERVICE, "news", id="mine", payload=entry("x")))
    affiliations = await romeo.wait(his.get_affiliations(SERVICE))
    seen["affiliation"] = [each["affiliation"] for each in affiliations["pubsub"]["affiliations"]]
    await romeo.wait(his.unsubscribe(SERVICE, "news"))
    await juliet.wait(hers.delete_node(SERVICE, "news"))
    try:
        await romeo.wait(his.get_items(SERVICE, "news"))
    except IqError as error:
        seen["afterwards"] = error.condition
    return seen


async def personal(world: World) -> dict[str, Any]:
    """Juliet publishes at home; Romeo, who sees her presence, hears of what he wants to hear of."""
    juliet, romeo = await publisher(world, "juliet"), await publisher(world, "romeo", TUNE)
    for one, other in ((juliet, romeo), (romeo, juliet)):
        one.auto_authorize = True
        one.send_presence_subscription(pto=other.boundjid.bare)
    await romeo.until(lambda: romeo.presenceOf("juliet@example.org") == "available", "Juliet's presence")
    await juliet.until(lambda: juliet.presenceOf("romeo@example.org") == "available", "Romeo's presence")
    tune = ElementTree.fromstring(f"<tune xmlns='{TUNE}'><title>x</title></tune>")
    mood = ElementTree.fromstring("<mood xmlns='http://jabber.org/protocol/mood'><happy/></mood>")
    await juliet.wait(juliet.plugin["xep_0060"].publish(None, "http://jabber.org/protocol/mood", payload=mood))
    await juliet.wait(juliet.plugin["xep_0060"].publish(None, TUNE, id="current", payload=tune))
    seen: dict[str, Any] = {"live": await hears(romeo, 1)}
    later = await publisher(world, "romeo", TUNE)
    seen["last"] = await hears(later, 1)
    info = await juliet.wait(juliet.plugin["xep_0030"].get_info(JID("juliet@example.org"), timeout=DEADLINE))
    seen["identities"] = sorted(list(each[:2]) for each in info["disco_info"]["identities"])
    return seen


async def bookmarks(world: World) -> dict[str, Any]:
    """What a client saves in the old way is there in the new one, and the other way round."""
    juliet = await publisher(world, "juliet", BOOKMARKS)
    old = juliet.plugin["xep_0048"]
    saved = old.stanza.Bookmarks()
    saved.add_conference("play@rooms.example.org", "JC", autojoin=True)
    await juliet.wait(old.set_bookmarks(saved, method="xep_0049"))
    seen: dict[str, Any] = {"told": await hears(juliet, 1)}
    payload = ElementTree.fromstring(f"<conference xmlns='{BOOKMARKS}' name='Orchard'><nick>J</nick></conference>")
    await juliet.wait(juliet.plugin["xep_0060"].publish(None, BOOKMARKS, id="orchard@rooms.example.org", payload=payload))
    answer = await juliet.wait(old.get_bookmarks(method="xep_0049"))
    seen["private"] = sorted(str(each["jid"]) for each in answer["private"]["bookmarks"]["conferences"])
    answer = await juliet.wait(old.get_bookmarks(method="xep_0223"))
    item = answer["pubsub"]["items"]["item"]
    seen["node"] = sorted(str(each["jid"]) for each in item["bookmarks"]["conferences"])
    return seen


async def avatar(world: World) -> dict[str, Any]:
    """A picture published on the node is in the vCard."""
    juliet = await publisher(world, "juliet")
    picture = b"\x89PNG picture"
    options = juliet.plugin["xep_0004"].make_form(ftype="submit")
    options.add_field(var="FORM_TYPE", ftype="hidden", value="http://jabber.org/protocol/pubsub#publish-options")
    options.add_field(var="pubsub#access_model", value="open")
    await juliet.wait(juliet.plugin["xep_0084"].publish_avatar(picture, options=options))
    info = {"id": juliet.plugin["xep_0084"].generate_id(picture), "type": "image/png", "bytes": len(picture)}
    await juliet.wait(juliet.plugin["xep_0084"].publish_avatar_metadata([info], options=options))
    romeo = await world.login("romeo")
    card = await romeo.wait(romeo.plugin["xep_0054"].get_vcard(JID("juliet@example.org"), timeout=DEADLINE))
    return {"same": card["vcard_temp"]["PHOTO"]["BINVAL"] == picture}


SCENES.update({scene.__name__: scene for scene in (service, personal, bookmarks, avatar)})

if __name__ == "__main__":
    sys.exit(slixmpp_people.main())
