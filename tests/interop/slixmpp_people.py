"""
What people do with slixmpp, against a server somewhere: C{python -m tests.interop.slixmpp_people SCENE}.

A process of its own, since slixmpp wants asyncio. Where the server is comes as JSON on standard input; what was seen
goes out as JSON, for a test to judge, with what slixmpp has warned of under C{warnings}.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import ssl
import sys
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar
from xml.etree import ElementTree

from slixmpp import JID, ClientXMPP, Iq
from slixmpp.exceptions import IqError
from slixmpp.stanza.stream_error import StreamError

T = TypeVar("T")
Scene = Callable[["World"], Awaitable[dict[str, Any]]]

DOMAIN = "example.org"
GUESTS = "guests.example"

DEADLINE = 40.0
"""Seconds for anything that is waited for; below the deadline of the test, so that this side says what is missing."""

PLUGINS = (
    "xep_0004",
    "xep_0012",
    "xep_0030",
    "xep_0049",
    "xep_0048",
    "xep_0050",
    "xep_0054",
    "xep_0092",
    "xep_0133",
    "xep_0191",
    "xep_0199",
    "xep_0202",
    "xep_0203",
    "xep_0280",
    "xep_0352",
)


class Warnings(logging.Handler):
    """Keeps what slixmpp and asyncio warn of."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """See L{logging.Handler}."""
        self.lines.append(f"{record.name}: {record.getMessage()}")


class World:
    """Where the server is, and who is there."""

    def __init__(self, facts: dict[str, Any]) -> None:
        self.port: int = facts["port"]
        self.tlsPort: int = facts["tlsPort"]
        self.certificate: str = facts["certificate"]
        self.guestCertificate: str = facts["guestCertificate"]
        self.people: list[Person] = []

    async def login(self, name: str, **options: Any) -> Person:
        """Log somebody in, present unless told otherwise."""
        present = options.pop("present", True)
        person = Person(self, name, **options)
        self.people.append(person)
        await person.arrive()
        if present:
            person.send_presence()
            await person.until(lambda: person.presenceOf(person.boundjid.full) == "available", "own presence")
        return person


class Person(ClientXMPP):
    """
    Somebody with a client, who remembers everything.

    @ivar inbox: bodies with their senders' names, in order; errors as their conditions.
    @ivar presences: from whom, and which kind.
    @ivar events: names of what happened.
    @ivar mechanism: how the server let them in.
    """

    def __init__(
        self,
        world: World,
        name: str,
        password: str | None = None,
        *,
        jid: str | None = None,
        resource: str = "",
        management: bool = False,
        registering: bool = False,
        direct: bool = False,
        mechanism: str | None = None,
        tls: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3,
    ) -> None:
        address = jid or f"{name}@{DOMAIN}"
        super().__init__(f"{address}/{resource}" if resource else address, password or name, sasl_mech=mechanism)
        self.world = world
        self.direct = direct
        self.auto_authorize = None
        self.auto_subscribe = False
        self.whitespace_keepalive = False
        self.ca_certs = world.guestCertificate if jid else world.certificate
        self.ssl_context.minimum_version = self.ssl_context.maximum_version = tls
        self.inbox: list[tuple[str, str]] = []
        self.delays: list[bool] = []
        self.copies: list[tuple[str, str]] = []
        self.presences: list[tuple[str, str]] = []
        self.events: list[str] = []
        self.pushes: list[dict[str, Any]] = []
        self.mechanism = ""
        self._changed = asyncio.Event()
        for plugin in PLUGINS:
            self.register_plugin(plugin)
        if management:
            self.register_plugin("xep_0198")
        if registering:
            self.register_plugin("xep_0077")
            self.plugin["xep_0077"].force_registration = True
        self._observe()

    def _observe(self) -> None:
        self.add_event_handler("message", self._messageCame)
        self.add_event_handler("message_error", self._messageCame)
        self.add_event_handler("presence", self._presenceCame)
        self.add_event_handler("roster_update", self._rosterCame)
        self.add_event_handler("auth_success", self._letIn)
        self.add_event_handler("carbon_received", lambda copy: self._copyCame(copy["carbon_received"]))
        self.add_event_handler("carbon_sent", lambda copy: self._copyCame(copy["carbon_sent"]))
        for name in ("session_start", "session_resumed", "sm_enabled", "sm_failed", "disconnected", "failed_auth", "failed_all_auth", "stream_error"):
            self.add_event_handler(name, lambda event, name=name: self._note(name, event))

    def _note(self, name: str, event: Any = None) -> None:
        self.events.append(f"{name}: {event['condition']}" if isinstance(event, StreamError) else name)
        self._changed.set()

    def _letIn(self, event: Any) -> None:
        self.mechanism = self.plugin["feature_mechanisms"].mech.name

    def _messageCame(self, message: Any) -> None:
        error = message["type"] == "error"
        self.inbox.append((message["from"].user, message["error"]["condition"] if error else message["body"]))
        self.delays.append(bool(message["delay"]["stamp"]))
        self._changed.set()

    def _copyCame(self, copy: Any) -> None:
        self.copies.append((copy["from"].user, copy["body"]))
        self._changed.set()

    def _presenceCame(self, presence: Any) -> None:
        self.presences.append((presence["from"].full, presence["type"]))
        self._changed.set()

    def _rosterCame(self, iq: Any) -> None:
        if iq["type"] == "set":
            self.pushes.append({str(jid): item["subscription"] for jid, item in iq["roster"]["items"].items()})
        self._changed.set()

    # --- what people do

    async def arrive(self, event: str = "session_start") -> None:
        """
        Connect, and wait for the session or for what else is to happen.

        @raise TimeoutError: it doesn't happen.
        """
        before = self.events.count(event)
        self.enable_direct_tls, self.enable_starttls = self.direct, not self.direct
        self.connect("127.0.0.1", self.world.tlsPort if self.direct else self.world.port)
        await self.until(lambda: self.events.count(event) > before, event)

    async def until(self, condition: Callable[[], bool], what: str) -> None:
        """
        Wait until something is so.

        @param what: what is waited for, in words.
        @raise TimeoutError: it isn't so in time.
        """
        try:
            async with asyncio.timeout(DEADLINE):
                while not condition():
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            seen = (self.events, self.inbox, self.presences, self.pushes)
            raise TimeoutError(f"{self.boundjid} waited in vain for: {what}; saw {seen}") from None

    async def hears(self, body: str) -> None:
        """Wait for a message."""
        await self.until(lambda: any(each[1] == body for each in self.inbox), f"message {body!r}")

    async def sees(self, jid: str, kind: str) -> None:
        """Wait for a presence of a full or bare JID."""
        await self.until(lambda: self.presenceOf(jid) == kind, f"{kind} of {jid}")

    def presenceOf(self, jid: str) -> str | None:
        """The last presence of a full or bare JID."""
        for who, kind in reversed(self.presences):
            if jid in (who, who.partition("/")[0]):
                return kind
        return None

    def say(self, to: str, body: str) -> None:
        """Send a chat message."""
        self.send_message(mto=to, mbody=body, mtype="chat")

    async def rests(self) -> None:
        """Wait until the server has dealt with all we have sent, and we have all that it has sent."""
        await self.plugin["xep_0199"].send_ping(JID(DOMAIN), timeout=DEADLINE)

    async def promised(self) -> None:
        """Wait until the server has acknowledged all we have sent, by stream management."""
        management = self.plugin["xep_0198"]
        async with asyncio.timeout(DEADLINE):
            await asyncio.sleep(0)  # what was said is on its way
            management.request_ack()
            while management.unacked_queue:  # slixmpp tells nobody when that changes
                await asyncio.sleep(0.02)

    async def asks(self, payload: str, kind: str = "get", to: str | None = None) -> Iq:
        """
        Send an IQ with XML of our own, and answer the result.

        @raise IqError: the answer is an error.
        """
        iq = self.make_iq(ito=to, itype=kind)
        iq.append(ElementTree.fromstring(payload))
        return await self.wait(iq.send(timeout=DEADLINE))

    async def wait(self, awaitable: Awaitable[T]) -> T:
        """Wait, with a deadline."""
        return await asyncio.wait_for(awaitable, DEADLINE)

    async def cut(self) -> None:
        """Lose the connection without a word."""
        before = self.events.count("disconnected")
        assert self.transport is not None
        self.transport.abort()
        await self.until(lambda: self.events.count("disconnected") > before, "the end of the connection")

    async def leaves(self) -> None:
        """Close the stream as one should."""
        if self.transport is not None:
            before = self.events.count("disconnected")
            self.disconnect(DEADLINE)
            await self.until(lambda: self.events.count("disconnected") > before, "the end of the stream")

    @property
    def version(self) -> str:
        """The version of TLS."""
        return str(self.socket.version())  # type: ignore[union-attr]


async def refused(awaitable: Awaitable[Any]) -> str:
    """The condition with which the server refuses something; empty if it doesn't."""
    try:
        await awaitable
    except IqError as error:
        return str(error.condition)
    return ""


# --- scenes


async def login(world: World) -> dict[str, Any]:
    """By both ports, with each mechanism; and with a wrong password."""
    seen: dict[str, Any] = {"as": []}
    for direct in (False, True):
        person = await world.login("romeo", resource="balcony", direct=direct)
        seen["as"].append((str(person.boundjid), person.version, person.mechanism))
        await person.leaves()
    seen["mechanisms"] = []
    for mechanism in ("SCRAM-SHA-1", "SCRAM-SHA-256", "SCRAM-SHA-512", "PLAIN"):
        person = await world.login("romeo", mechanism=mechanism)
        seen["mechanisms"].append(person.mechanism)
        await person.leaves()
    bound = await world.login("romeo", tls=ssl.TLSVersion.TLSv1_2)
    seen["bound"] = (bound.version, bound.mechanism)
    await bound.leaves()
    stranger = Person(world, "romeo", "wrong")
    await stranger.arrive("failed_all_auth")
    seen["wrong"] = (stranger.events.count("failed_auth") > 0, stranger.bound)
    return seen


async def roster(world: World) -> dict[str, Any]:
    """Two resources of one account, and a contact put in, changed, taken out."""
    desk, phone = await world.login("romeo", resource="desk"), await world.login("romeo", resource="phone")
    first = await desk.wait(desk.get_roster())
    await phone.wait(phone.get_roster())
    await desk.wait(desk.update_roster("juliet@example.org", name="Julia & Co", groups=["Verona", "<b>"]))
    await phone.until(lambda: len(phone.pushes) == 1, "a roster push")
    seen: dict[str, Any] = {
        "first": len(first["roster"]["items"]),
        "name": phone.client_roster["juliet@example.org"]["name"],
        "groups": sorted(phone.client_roster["juliet@example.org"]["groups"]),
    }
    await phone.wait(phone.del_roster_item("juliet@example.org"))
    await desk.until(lambda: len(desk.pushes) == 2, "a second roster push")
    seen["pushes"] = [desk.pushes, phone.pushes]
    version = desk.client_roster.version
    again = await world.login("romeo", resource="tablet")
    result = await again.asks(f"<query xmlns='jabber:iq:roster' ver='{version}'/>")
    seen["unchanged"] = len(result.xml) == 0
    seen["two"] = await refused(desk.asks("<query xmlns='jabber:iq:roster'><item jid='a'/><item jid='b'/></query>", "set"))
    return seen


async def subscription(world: World) -> dict[str, Any]:
    """The handshake both ways, presence with its status, and its end."""
    romeo = await world.login("romeo", resource="balcony")
    await romeo.wait(romeo.get_roster())
    romeo.send_presence_subscription("juliet@example.org")
    await romeo.until(lambda: {"juliet@example.org": "none"} in romeo.pushes, "push: pending")
    # she is away, and finds the request when she comes
    juliet = await world.login("juliet", resource="chamber")
    await juliet.wait(juliet.get_roster())
    await juliet.sees("romeo@example.org", "subscribe")
    juliet.send_presence(pto="romeo@example.org", ptype="subscribed")
    await romeo.sees("juliet@example.org/chamber", "available")
    order = [each for each in romeo.presences if each[0].startswith("juliet@")]
    juliet.send_presence_subscription("romeo@example.org")
    await romeo.until(lambda: ("juliet@example.org", "subscribe") in romeo.presences, "her request")
    romeo.send_presence(pto="juliet@example.org", ptype="subscribed")
    await juliet.sees("romeo@example.org/balcony", "available")
    romeo.send_presence(pshow="away", pstatus="in Mantua", ppriority=-1)
    await juliet.sees("romeo@example.org/balcony", "away")
    resource = juliet.client_roster.presence("romeo@example.org")["balcony"]
    seen: dict[str, Any] = {"status": (resource["show"], resource["status"], resource["priority"]), "order": order}
    both = {"romeo@example.org": "both"}
    await juliet.until(lambda: both in juliet.pushes, "push: both")
    seen["both"] = [{"juliet@example.org": "both"} in romeo.pushes, both in juliet.pushes]
    await romeo.cut()
    await juliet.sees("romeo@example.org/balcony", "unavailable")
    await romeo.arrive()
    await romeo.wait(romeo.get_roster())  # only who has asked for the roster gets pushes
    romeo.send_presence()
    await romeo.until(lambda: romeo.presences[-1] == ("juliet@example.org/chamber", "available"), "her presence again")
    juliet.send_presence(pto="romeo@example.org", ptype="unsubscribed")
    await romeo.sees("juliet@example.org/chamber", "unavailable")
    await romeo.until(lambda: romeo.pushes[-1] == {"juliet@example.org": "from"}, "push: from")
    return seen


async def messages(world: World) -> dict[str, Any]:
    """To somebody there, to somebody away, to nobody."""
    romeo = await world.login("romeo")
    said = [f"while you were away {number} & <>\"'" for number in range(20)]
    for body in said:
        romeo.say("juliet@example.org", body)
    romeo.say("juliet@example.org/nowhere", "to a resource that isn't there")
    romeo.say("nobody@example.org", "hello?")
    await romeo.rests()
    await romeo.until(lambda: bool(romeo.inbox), "an error for nobody")
    juliet = await world.login("juliet", present=False)
    await juliet.rests()
    seen: dict[str, Any] = {"unasked": juliet.inbox[:], "error": romeo.inbox[:]}
    juliet.send_presence()
    await juliet.hears("to a resource that isn't there")
    juliet.say(romeo.boundjid.full, "Who is't that calls?\u00a0\U0001f339")
    await romeo.hears("Who is't that calls?\u00a0\U0001f339")
    romeo.say("juliet@example.org", "now")
    await juliet.hears("now")
    seen["inOrder"] = [body for _, body in juliet.inbox[:20]] == said
    seen["delayed"] = [sum(juliet.delays), juliet.delays[-1]]
    await juliet.leaves()
    again = await world.login("juliet")
    await again.rests()
    seen["again"] = again.inbox
    return seen


async def resumption(world: World) -> dict[str, Any]:
    """A connection is cut while messages pass in both directions, and resumed; three times."""
    romeo = await world.login("romeo", management=True)
    juliet = await world.login("juliet", management=True)
    first = str(romeo.boundjid)
    toRomeo, toJuliet = [], []
    for turn in range(3):
        for number in range(30):
            toRomeo.append(f"{turn}.{number} to romeo")
            juliet.say(first if number % 2 else "romeo@example.org", toRomeo[-1])
            if number < 15:
                toJuliet.append(f"{turn}.{number} to juliet")
                romeo.say("juliet@example.org", toJuliet[-1])
            if number == 15:
                # slixmpp forgets what it has not got round to sending; what it has sent may arrive, or not
                await romeo.wait(romeo.waiting_queue.join())
                await romeo.cut()
        await juliet.rests()
        await romeo.arrive("session_resumed")
    await romeo.hears(toRomeo[-1])
    await juliet.hears(toJuliet[-1])
    for person in (romeo, juliet):
        await person.rests()
    return {
        "romeo": [body for _, body in romeo.inbox] == toRomeo,
        "juliet": [body for _, body in juliet.inbox] == toJuliet,
        "delivered": [len(romeo.inbox), len(juliet.inbox)],
        "sameSession": str(romeo.boundjid) == first,
        "events": [romeo.events.count("session_start"), romeo.events.count("session_resumed"), romeo.events.count("sm_failed")],
        "goneInBetween": [each for each in juliet.presences if each[0] == first],
    }


async def expiry(world: World) -> dict[str, Any]:
    """A connection is cut, nobody resumes in time; what was said meanwhile waits for the next session."""
    romeo = await world.login("romeo", management=True, resource="balcony")
    juliet = await world.login("juliet")
    juliet.send_presence(pto=romeo.boundjid.full)
    await romeo.sees(juliet.boundjid.full, "available")
    romeo.send_presence(pto=juliet.boundjid.full)
    await juliet.sees(romeo.boundjid.full, "available")
    await romeo.cut()
    said = [f"{number} while hibernating" for number in range(10)]
    for body in said:
        juliet.say("romeo@example.org", body)
    await juliet.sees("romeo@example.org/balcony", "unavailable")
    await romeo.arrive("session_start")
    romeo.send_presence()
    await romeo.hears(said[-1])
    await romeo.rests()
    return {"inbox": [body for _, body in romeo.inbox] == said, "delayed": all(romeo.delays), "failed": romeo.events.count("sm_failed")}


async def restart(world: World) -> dict[str, Any]:
    """The server dies and comes back; says C{ready} when it may, and goes on at a line on standard input."""
    romeo = await world.login("romeo", management=True)
    juliet = await world.login("juliet", management=True)
    juliet.say(romeo.boundjid.full, "before")
    await romeo.hears("before")
    await romeo.cut()
    for number in range(10):
        juliet.say("romeo@example.org", f"{number} meanwhile")
    await juliet.promised()
    await juliet.leaves()
    print("ready", flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline)
    await romeo.arrive("session_resumed")
    await romeo.hears("9 meanwhile")
    await romeo.rests()
    return {"inbox": [body for _, body in romeo.inbox], "resumed": romeo.events.count("session_resumed")}


async def stopped(world: World) -> dict[str, Any]:
    """The server is told to stop while somebody is there; says C{ready} when it may."""
    romeo = await world.login("romeo")
    print("ready", flush=True)
    await romeo.until(lambda: "disconnected" in romeo.events, "the end")
    return {"events": romeo.events}


async def carbons(world: World) -> dict[str, Any]:
    """Two resources see each other's conversation."""
    desk, phone = await world.login("romeo", resource="desk"), await world.login("romeo", resource="phone")
    for person in (desk, phone):
        await person.wait(person.plugin["xep_0280"].enable())
    juliet = await world.login("juliet", resource="chamber")
    desk.say("juliet@example.org/chamber", "Good morrow")
    await juliet.hears("Good morrow")
    await phone.until(lambda: len(phone.copies) == 1, "a copy of what was sent")
    juliet.say("romeo@example.org/desk", "What light")
    await desk.hears("What light")
    await phone.until(lambda: len(phone.copies) == 2, "a copy of what was received")
    message = desk.make_message("juliet@example.org/chamber", "secretly", mtype="chat")
    message.append(ElementTree.fromstring("<private xmlns='urn:xmpp:carbons:2'/>"))
    message.send()
    await juliet.hears("secretly")
    await phone.wait(phone.plugin["xep_0280"].disable())
    desk.say("juliet@example.org/chamber", "farewell")
    await juliet.hears("farewell")
    for person in (desk, phone):
        await person.rests()
    return {"phone": phone.copies, "desk": desk.copies, "inbox": [desk.inbox, phone.inbox], "juliet": [body for _, body in juliet.inbox]}


async def archive(world: World) -> dict[str, Any]:
    """Two talk; later another client of one of them reads it all in its archive, in pages, and says what to keep."""
    romeo, juliet = await world.login("romeo"), await world.login("juliet", resource="chamber")
    for number in range(25):
        romeo.say("juliet@example.org/chamber", f"line {number}")
    await juliet.hears("line 24")
    juliet.say(romeo.boundjid.full, "line 25")
    await romeo.hears("line 25")
    phone = await world.login("juliet", resource="phone")
    phone.register_plugin("xep_0313")
    phone.register_plugin("xep_0441")
    archive = phone.plugin["xep_0313"]

    async def read(**conditions: Any) -> list[str]:
        found = archive.iterate(**conditions)
        return [message["mam_result"]["forwarded"]["stanza"]["body"] async for message in found]

    seen: dict[str, Any] = {"all": await phone.wait(read(rsm={"max": 10}))}
    seen["with"] = len(await phone.wait(read(with_jid=JID("romeo@example.org"))))
    seen["others"] = await phone.wait(read(with_jid=JID("tybalt@example.org")))
    seen["last"] = await phone.wait(read(reverse=True, rsm={"max": 5}, total=5))
    metadata = await phone.wait(archive.get_archive_metadata())
    seen["ends"] = [bool(metadata["mam_metadata"][name]["id"]) for name in ("start", "end")]
    form = await phone.wait(archive.get_fields())
    seen["fields"] = sorted(form.get_fields())
    await phone.wait(phone.plugin["xep_0441"].set_preferences(default="never"))
    preferences = await phone.wait(phone.plugin["xep_0441"].get_preferences())
    seen["default"] = preferences[0]
    romeo.say("juliet@example.org/chamber", "line 26")
    await juliet.hears("line 26")
    seen["kept"] = len(await phone.wait(read()))
    return seen


async def blocking(world: World) -> dict[str, Any]:
    """Somebody is blocked, is told so when they write, and is unblocked."""
    desk, phone = await world.login("romeo", resource="desk"), await world.login("romeo", resource="phone")
    tybalt = await world.login("tybalt")
    blocked = desk.plugin["xep_0191"]
    pushes: list[str] = []
    phone.add_event_handler("blocked", lambda iq: (pushes.append("blocked"), phone._note("blocked")))
    phone.add_event_handler("unblocked", lambda iq: (pushes.append("unblocked"), phone._note("unblocked")))
    await phone.wait(phone.plugin["xep_0191"].get_blocked())
    await desk.wait(blocked.block(JID("tybalt@example.org")))
    seen: dict[str, Any] = {"list": [str(jid) for jid in await desk.wait(blocked.get_blocked_jids())]}
    tybalt.say("romeo@example.org", "thou art a villain")
    await tybalt.until(lambda: bool(tybalt.inbox), "an error")
    desk.say("tybalt@example.org", "peace")
    await desk.until(lambda: bool(desk.inbox), "an error")
    seen["errors"] = [tybalt.inbox[0][1], desk.inbox[0][1]]
    await phone.until(lambda: "blocked" in pushes, "a push")
    await desk.wait(blocked.unblock(JID("tybalt@example.org")))
    await phone.until(lambda: "unblocked" in pushes, "a push")
    tybalt.say("romeo@example.org/desk", "again")
    await desk.hears("again")
    seen["heard"] = [body for _, body in phone.inbox + desk.inbox]
    seen["after"] = len(await desk.wait(blocked.get_blocked_jids()))
    return seen


async def queries(world: World) -> dict[str, Any]:
    """Private XML, vCards, and the small questions to the server."""
    romeo, juliet = await world.login("romeo"), await world.login("juliet")
    seen: dict[str, Any] = {}
    await romeo.asks("<query xmlns='jabber:iq:private'><storage xmlns='storage:bookmarks'><conference jid='a@b' name='x &amp; y'/></storage></query>", "set")
    kept = await romeo.asks("<query xmlns='jabber:iq:private'><storage xmlns='storage:bookmarks'/></query>")
    seen["private"] = kept.xml.find(".//{storage:bookmarks}conference").get("name")
    vcard = romeo.plugin["xep_0054"].make_vcard()
    vcard["FN"] = "Romeo Montague"
    await romeo.wait(romeo.plugin["xep_0054"].publish_vcard(vcard))
    shown = await juliet.wait(juliet.plugin["xep_0054"].get_vcard("romeo@example.org", local=False, timeout=DEADLINE))
    seen["vcard"] = shown["vcard_temp"]["FN"]
    seen["noVcard"] = await refused(juliet.plugin["xep_0054"].get_vcard("tybalt@example.org", local=False, timeout=DEADLINE))
    seen["ping"] = (await juliet.wait(juliet.plugin["xep_0199"].ping(JID(DOMAIN)))) >= 0
    version = await romeo.wait(romeo.plugin["xep_0092"].get_version(JID(DOMAIN), timeout=DEADLINE))
    seen["version"] = [version["software_version"]["name"], bool(version["software_version"]["version"])]
    time = await romeo.wait(romeo.plugin["xep_0202"].get_entity_time(JID(DOMAIN), timeout=DEADLINE))
    seen["time"] = time.xml.findtext(".//{urn:xmpp:time}utc")  # slixmpp appends a second Z before it parses this
    last = await romeo.wait(romeo.plugin["xep_0012"].get_last_activity(JID(DOMAIN), timeout=DEADLINE))
    seen["last"] = last["last_activity"]["seconds"] >= 0
    seen["lastOfStranger"] = await refused(romeo.plugin["xep_0012"].get_last_activity(JID("juliet@example.org"), timeout=DEADLINE))
    info = await romeo.wait(romeo.plugin["xep_0030"].get_info(JID(DOMAIN), timeout=DEADLINE))
    seen["features"] = sorted(info["disco_info"]["features"])
    seen["identities"] = sorted(list(each[:2]) for each in info["disco_info"]["identities"])
    seen["abuse"] = "mailto:abuse@example.org" in str(info)
    mine = await romeo.wait(romeo.plugin["xep_0030"].get_info(JID("romeo@example.org"), timeout=DEADLINE))
    seen["account"] = sorted(list(each[:2]) for each in mine["disco_info"]["identities"])
    seen["strangersAccount"] = await refused(romeo.plugin["xep_0030"].get_info(JID("tybalt@example.org"), timeout=DEADLINE))
    seen["unknown"] = await refused(romeo.asks("<query xmlns='nobody:knows'/>", to=DOMAIN))
    other = await refused(romeo.asks("<ping xmlns='urn:xmpp:ping'/>", to="elsewhere.invalid"))
    seen["elsewhere"] = other
    return seen


async def inspection(world: World) -> dict[str, Any]:
    """The administrator looks, from a client, at the streams of clients and at what secures them."""
    admin, romeo = await world.login("admin"), await world.login("romeo")
    namespace = "urn:xmppd:streams:0"
    listed = await admin.wait(admin.plugin["xep_0050"].get_commands(DOMAIN, timeout=DEADLINE))
    nodes = [item[1] for item in listed["disco_items"]["items"]]
    seen: dict[str, Any] = {"nodes": sorted(node.partition("#")[2] for node in nodes if node.startswith(namespace))}
    node = f"{namespace}#list"
    seen["refused"] = await refused(romeo.asks(f"<command xmlns='http://jabber.org/protocol/commands' node='{node}'/>", "set", DOMAIN))

    async def run(name: str, **values: str) -> Any:
        done: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

        def fillIn(iq: Any, session: Any) -> None:
            answer = admin.plugin["xep_0004"].make_form(ftype="submit")
            answer.add_field(var="FORM_TYPE", ftype="hidden", value=namespace)
            for var, value in values.items():
                answer.add_field(var=var, value=value)
            session["payload"] = answer
            session["next"] = lambda iq, session: done.set_result(iq["command"]["form"])
            admin.plugin["xep_0050"].complete_command(session)

        session = {"next": fillIn, "error": lambda iq, session: done.set_exception(RuntimeError(str(iq)))}
        admin.plugin["xep_0050"].start_command(jid=DOMAIN, node=f"{namespace}#{name}", session=session)
        return await admin.wait(done)

    form = await run("list", which="clients")
    rows = {row["jid"]: row for row in form.get_items()}
    seen["reported"] = sorted(form.get_reported())
    seen["streams"] = sorted([jid, row["kind"], row["tls"], row["mechanism"]] for jid, row in rows.items())
    one = (await run("show", id=rows[str(romeo.boundjid)]["id"])).get_values()
    seen["one"] = [one["jid"], one["cipher"].startswith("TLS_")]
    return seen


async def commands(world: World) -> dict[str, Any]:
    """The administrator adds an account from a client; somebody else may not."""
    admin, romeo = await world.login("admin"), await world.login("romeo")
    node = "http://jabber.org/protocol/admin#add-user"
    listed = await admin.wait(admin.plugin["xep_0050"].get_commands(DOMAIN, timeout=DEADLINE))
    seen: dict[str, Any] = {"listed": node in [item[1] for item in listed["disco_items"]["items"]]}
    theirs = await romeo.wait(romeo.plugin["xep_0050"].get_commands(DOMAIN, timeout=DEADLINE))
    seen["theirs"] = [item[1] for item in theirs["disco_items"]["items"] if item[1].startswith("http://jabber.org/protocol/admin")]
    seen["refused"] = await refused(romeo.asks(f"<command xmlns='http://jabber.org/protocol/commands' node='{node}'/>", "set", DOMAIN))
    done: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

    def fillIn(iq: Any, session: Any) -> None:
        form = iq["command"]["form"]
        seen["form"] = sorted(form.get_fields())
        answer = admin.plugin["xep_0004"].make_form(ftype="submit")
        answer.add_field(var="FORM_TYPE", ftype="hidden", value="http://jabber.org/protocol/admin")
        answer.add_field(var="accountjid", value="benvolio@example.org")
        answer.add_field(var="password", value="benvolio")
        answer.add_field(var="password-verify", value="benvolio")
        session["payload"] = answer
        session["next"] = lambda iq, session: done.set_result(iq["command"]["status"])
        admin.plugin["xep_0050"].complete_command(session)

    session = {"next": fillIn, "error": lambda iq, session: done.set_exception(RuntimeError(str(iq)))}
    admin.plugin["xep_0050"].start_command(jid=DOMAIN, node=node, session=session)
    seen["status"] = await admin.wait(done)
    benvolio = await world.login("benvolio")
    seen["added"] = str(benvolio.boundjid.bare)
    return seen


async def registration(world: World) -> dict[str, Any]:
    """An account is registered, gets another password, and is removed."""
    registered = Person(world, "mercutio", "queen mab", registering=True)
    world.people.append(registered)
    outcome: dict[str, Any] = {}

    async def register(form: Any) -> None:
        fields = form["register"]["fields"]
        outcome["fields"] = sorted(fields)
        answer = registered.make_iq_set()
        answer["register"]["username"] = "mercutio"
        answer["register"]["password"] = "queen mab"
        outcome["registered"] = (await answer.send(timeout=DEADLINE))["type"]

    registered.add_event_handler("register", register)
    await registered.arrive()
    registered.send_presence()
    await registered.rests()
    await registered.wait(registered.plugin["xep_0077"].change_password("a plague", timeout=DEADLINE))
    await registered.leaves()
    old = Person(world, "mercutio", "queen mab")
    await old.arrive("failed_all_auth")
    outcome["old"] = old.bound
    new = await world.login("mercutio", password="a plague")
    outcome["new"] = str(new.boundjid.bare)
    removal = new.plugin["feature_mechanisms"]
    outcome["mechanism"] = removal.mech.name
    try:
        await new.asks("<query xmlns='jabber:iq:register'><remove/></query>", "set")
        outcome["removed"] = "result"
    except (IqError, Exception) as error:
        outcome["removed"] = type(error).__name__
    await new.until(lambda: "disconnected" in new.events, "the end of the session")
    gone = Person(world, "mercutio", "a plague")
    await gone.arrive("failed_all_auth")
    outcome["gone"] = gone.bound
    outcome["events"] = new.events
    return outcome


async def clientStates(world: World) -> dict[str, Any]:
    """Presence waits while the client is inactive; messages don't."""
    romeo, juliet = await world.login("romeo"), await world.login("juliet")
    romeo.plugin["xep_0352"].send_inactive()
    await romeo.rests()
    before = len(romeo.presences)
    for number in range(20):
        juliet.send_presence(pto=romeo.boundjid.full, pstatus=str(number))
    await juliet.rests()
    juliet.say(romeo.boundjid.full, "wake up")
    await romeo.hears("wake up")
    held = romeo.client_roster.presence("juliet@example.org")[juliet.boundjid.resource]
    seen: dict[str, Any] = {"presences": len(romeo.presences) - before, "last": held["status"]}
    juliet.send_presence(pto=romeo.boundjid.full, pstatus="look")
    await juliet.rests()
    romeo.plugin["xep_0352"].send_active()
    await romeo.until(lambda: len(romeo.presences) == before + 2, "presence once active")
    return seen


async def guests(world: World) -> dict[str, Any]:
    """Two guests without accounts talk; on a host for accounts there are none."""
    one = await world.login("", jid=GUESTS)
    two = await world.login("", jid=GUESTS)
    one.say(two.boundjid.full, "psst")
    await two.hears("psst")
    seen: dict[str, Any] = {"mechanism": one.mechanism, "version": one.version, "different": one.boundjid.bare != two.boundjid.bare}
    seen["user"] = one.boundjid.user
    refusedGuest = Person(world, "", jid=DOMAIN)
    refusedGuest.ca_certs = world.certificate
    await refusedGuest.arrive("failed_all_auth")
    seen["refused"] = refusedGuest.bound
    return seen


SCENES: dict[str, Scene] = {
    scene.__name__: scene
    for scene in (login, roster, subscription, messages, resumption, expiry, restart, stopped, carbons, archive, blocking, queries, commands, inspection, registration, clientStates, guests)
}


async def play(name: str, facts: dict[str, Any]) -> dict[str, Any]:
    """Play a scene, and have everybody leave."""
    world = World(facts)
    try:
        return await SCENES[name](world)
    finally:
        for person in world.people:
            await person.leaves()
        # slixmpp leaves tasks behind
        rest = asyncio.all_tasks() - {asyncio.current_task()}
        for task in rest:
            task.cancel()
        await asyncio.gather(*rest, return_exceptions=True)


def main() -> None:
    """
    Play the scene that is named on the command line, and be gone: what slixmpp and asyncio leave behind isn't taken
    apart, which some releases of Python 3.12 don't survive.
    """
    warnings = Warnings()
    logging.basicConfig(level=logging.DEBUG if "-d" in sys.argv else logging.WARNING)
    logging.getLogger().addHandler(warnings)
    facts = json.loads(sys.stdin.readline())
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    seen = loop.run_until_complete(play(sys.argv[1], facts))
    print(json.dumps({**seen, "warnings": warnings.lines}), flush=True)
    os._exit(0)


if __name__ == "__main__":
    main()
