"""Tests of L{xmppd.features.xep0076_evil}."""

from __future__ import annotations

import socket
from typing import Any

from twisted.logger import globalLogPublisher
from zope.interface import implementer

from tests.doubles import Rig
from tests.marks import spec
from tests.server import MemoryServer, ServerCase, VirtualReactor
from tests.web import BoshClient, webServer
from tests.wire.test_cutting import EVIL, HELD, NOT_HELD
from xmppd.config import ConfigurationError
from xmppd.features import rfc6121_im, xep0030_disco, xep0076_evil
from xmppd.features.xep0076_evil import POLICIES
from xmppd.ixmppd import IDestination, RosterItem
from xmppd.peering import S2SConfig
from xmppd.route.remote import Remote
from xmppd.wire import ns
from xmppd.wire.stanza import ERROR, Stanza, fromBytes, starts

IAGO, EMILIA, FAR = "iago@example.org/pda", "emilia@example.org/mobile", "othello@cyprus.example/hall"

MARK = "<evil xmlns='http://jabber.org/protocol/evil'/>"

MESSAGE = f"""<message to='{{to}}' id='evil1'>
  <body>
      I told him what I thought, and told no more
      Than what he found himself was apt and true.
  </body>
  {MARK}
</message>"""

PRESENCE = f"""<presence to='{{to}}' id='evil1'>
  <show>dnd</show>
  <status>Fomenting dissension</status>
  {MARK}
</presence>"""

RESULT = f"""<iq id='evil1' type='result' to='{{to}}'>
  <query xmlns='jabber:iq:version'>
    <name>Stabber</name>
    <version>666</version>
    <os>FiendOS</os>
    {MARK}
  </query>
</iq>"""

REQUEST = f"<iq id='evil1' type='get' to='{{to}}'><query xmlns='jabber:iq:version'>{MARK}</query></iq>"

NESTED = f"<message to='{{to}}' id='evil1' type='chat'><a xmlns='a'><b><c d='>'>{MARK}</c></b></a></message>"

STANZAS = {"message": MESSAGE, "presence": PRESENCE, "result": RESULT, "request": REQUEST, "nested": NESTED}
"""Examples 1 to 3, a request, and a payload that hides it."""

REFUSED = {
    "ignore": {"message": None, "presence": None, "nested": None, "request": "service-unavailable", "result": "service-unavailable"},
    "bounce": dict.fromkeys(STANZAS, "policy-violation"),
}
"""With what the sender is answered; of a result the recipient, who has asked."""


def sent(text: str) -> Stanza:
    """What Iago's session makes of what he sends."""
    stanza = fromBytes(text.encode())
    stanza.stamp(IAGO, starts(IAGO))
    return stanza


def conditionOf(stanza: Stanza) -> str:
    """The condition of an error."""
    error = stanza.find(ERROR)
    assert error is not None
    return next(iter(error.elements())).name


class Carrier:
    """A stream to another server."""

    def __init__(self) -> None:
        self.carried: list[Stanza] = []

    def transmit(self, stanza: Stanza) -> None:
        """Keep it."""
        self.carried.append(stanza)


@implementer(IDestination)
class Component:
    """Another domain of the server."""

    domain = "bot.example.org"

    def __init__(self) -> None:
        self.answers: list[Stanza] = []

    def deliver(self, stanza: Stanza) -> None:
        """See L{IDestination}."""
        self.answers.append(stanza)


class World:
    """A host with a policy: Iago and Emilia are there, Othello is at another server, which has none."""

    def __init__(self, policy: str, lax: bool = False, **options: Any) -> None:
        values = {("xep0076_evil", key): value for key, value in {"policy": policy, **options}.items()}
        self.rig = Rig(rfc6121_im.feature, xep0030_disco.feature, xep0076_evil.feature, options=values)
        self.remote = Remote(self.rig.router, {"example.org": self.rig.host}.get, self.rig.clock, S2SConfig(), lambda: 1.0)
        self.rig.router.remote = self.remote
        self.component = Component()
        if lax:
            self.rig.router.addDestination(self.component)
        self.rig.host.hooks.starting.notify()
        for account, contact in ((IAGO, EMILIA), (EMILIA, IAGO)):
            item = RosterItem(contact.partition("/")[0], subscription="both")
            self.rig.host.rosters.put(account.partition("/")[0], item)
        self.iago, self.iagos = self.rig.bind(IAGO)
        self.emilia, self.emilias = self.rig.bind(EMILIA)
        self.rig.host.hooks.spotted.notify(self.iago)
        self.carrier = Carrier()
        self.remote.connected("example.org", "cyprus.example", self.carrier)

    def told(self, stream: Any) -> list[Stanza]:
        """What a client was sent since the last time, but for what the server says by itself."""
        return [each for each in stream.take() if each.id == "evil1"]

    def counted(self) -> dict[tuple[str, ...], int]:
        """How many evil stanzas were met."""
        return dict(next(each for each in self.rig.host.counters if each.name == "evil_stanzas").values)

    def send(self, text: str) -> None:
        """Iago does."""
        self.rig.send(self.iago, text.encode())

    def arrive(self, text: str, to: str) -> None:
        """Othello does."""
        stanza = fromBytes(text.format(to=to).encode()).addressed({"from": FAR})
        self.remote.arrived(stanza)


@spec("XEP-0076", "3.1", "3.2", "3.3", "5")
@spec("mission", "E1", "E3", "E4", "E5", "E7")
class PolicyTests(ServerCase):
    """Each policy on each kind of stanza, over streams of clients and of servers."""

    def worlds(self, *policies: str) -> Any:
        """A new world for each policy and stanza: policy, name, stanza, world."""
        for policy in policies:
            for name, text in STANZAS.items():
                yield policy, name, text, World(policy)

    def assertCounted(self, world: World, policy: str, text: str, times: int = 1) -> None:
        """It was met once, however often it was looked at."""
        self.assertEqual(world.counted(), {("example.org", policy, fromBytes(text.encode()).kind): times})

    def test_passed(self) -> None:
        """Unmodified, but for the sender's address."""
        for policy, name, text, world in self.worlds("pass"):
            world.send(text.format(to=EMILIA))
            (got,) = world.told(world.emilias)
            self.assertEqual(got.raw, sent(text.format(to=EMILIA)).raw, name)
            self.assertCounted(world, policy, text)

    def test_stripped(self) -> None:
        """Every other byte is the same."""
        for policy, name, text, world in self.worlds("strip"):
            world.send(text.format(to=EMILIA))
            (got,) = world.told(world.emilias)
            clean = sent(text.replace(MARK, "").format(to=EMILIA))
            self.assertEqual((got.raw, got.childNames), (clean.raw, clean.childNames), name)
            self.assertCounted(world, policy, text)

    def test_refused(self) -> None:
        """Ignored or bounced; nobody who has asked waits in vain."""
        for policy, name, text, world in self.worlds("ignore", "bounce"):
            world.send(text.format(to=EMILIA))
            condition = REFUSED[policy][name]
            toIago, toEmilia = world.told(world.iagos), world.told(world.emilias)
            asker, other = (toEmilia, toIago) if name == "result" else (toIago, toEmilia)
            self.assertEqual([(each.type, conditionOf(each)) for each in asker], [("error", condition)] * (condition is not None), (policy, name))
            self.assertEqual(other, [], (policy, name))
            self.assertTrue(all(b"evil'" not in each.raw for each in asker))
            if name == "result":
                self.assertEqual((toEmilia[0].sender, toEmilia[0].to), (IAGO, EMILIA))
            self.assertCounted(world, policy, text)

    def test_broadcast(self) -> None:
        """What is said to everybody."""
        for policy in POLICIES:
            world = World(policy)
            world.send(PRESENCE.replace(" to='{to}'", ""))
            shown = world.iago.presence
            if policy in ("ignore", "bounce"):
                self.assertIsNone(shown, policy)
            else:
                assert shown is not None
                self.assertEqual(MARK.encode() in shown.raw, policy == "pass")

    def test_leaving(self) -> None:
        """To another server, which may think otherwise."""
        for policy, name, text, world in self.worlds(*POLICIES):
            world.send(text.format(to=FAR))
            carried = [(each.type == "error", MARK.encode() in each.raw) for each in world.carrier.carried if each.id == "evil1"]
            expected = {"pass": [(False, True)], "strip": [(False, False)]}.get(policy, [(True, False)] if name == "result" else [])
            self.assertEqual(carried, expected, (policy, name))

    def test_arriving(self) -> None:
        """From another server, to a client, an account and the host itself."""
        for policy, name, text, world in self.worlds(*POLICIES):
            for to in (EMILIA, "emilia@example.org", "example.org"):
                if name in ("request", "presence") and policy in ("pass", "strip"):
                    continue  # requests of strangers are refused, and their presence isn't shown
                world.carrier.carried.clear()
                world.arrive(text, to)
                condition = REFUSED.get(policy, {}).get(name)
                got = world.told(world.emilias)
                if name == "result" and policy in REFUSED:
                    self.assertEqual([conditionOf(each) for each in got], [condition] * (to == EMILIA))
                elif policy in REFUSED:
                    self.assertEqual(got, [], (policy, name, to))
                    self.assertEqual([conditionOf(each) for each in world.carrier.carried], [condition] * (condition is not None))
                elif to == EMILIA:
                    clean = text if policy == "pass" else text.replace(MARK, "")
                    self.assertEqual([each.raw for each in got], [fromBytes(clean.format(to=to).encode()).addressed({"from": FAR}).raw])

    def test_laxerNeighbours(self) -> None:
        """Stanzas of a component or another domain of the server, which has no policy, meet that of the recipient."""
        for policy, name, text, _ in self.worlds("ignore", "bounce", "strip"):
            world = World(policy, lax=True)
            raw = text.format(to=EMILIA).replace(" id=", " from='bot.example.org' id=", 1)
            if name == "request":
                continue  # which strangers can't make
            world.rig.inject(raw.encode())
            got = world.told(world.emilias)
            self.assertFalse(any(MARK.encode() in each.raw for each in got))
            self.assertEqual(len(got), (policy == "strip") or name == "result", (policy, name))
            self.assertCounted(world, policy, text)

    def test_nobodyLaxer(self) -> None:
        """Where everything has met the policy, what comes to clients isn't looked at again."""
        for policy in POLICIES:
            world, lax = World(policy), World(policy, lax=True)
            self.assertEqual((world.emilia.sending, world.emilia.receiving), (False, False))
            self.assertEqual((lax.emilia.sending, lax.emilia.receiving), (False, policy != "pass"))

    def test_neighbours(self) -> None:
        """Another host of the server counts as laxer if it passes on what this one doesn't."""
        for mine, other, asked in (("ignore", "bounce", False), ("ignore", "pass", True), ("bounce", "strip", True), ("strip", "ignore", False)):
            tables = [f'[host."example.net"]\nplain_without_tls = true\n[host."example.net".features.xep0076_evil]\npolicy = "{other}"']
            server = self.serve(accounts=("iago",), host=f'[host."example.org".features.xep0076_evil]\npolicy = "{mine}"', more=tables[0])
            self.assertEqual(bool(server.host.hooks.incoming.refuse), asked, (mine, other))

    def test_errors(self) -> None:
        """Errors are answered by nobody."""
        for policy in ("ignore", "bounce"):
            world = World(policy)
            world.send(MESSAGE.format(to=EMILIA).replace("<message", "<message type='error'"))
            self.assertEqual((world.told(world.iagos), world.told(world.emilias)), ([], []))
            world.arrive(MESSAGE.replace("<message", "<message type='error'"), EMILIA)
            self.assertEqual((world.carrier.carried, world.told(world.emilias)), ([], []))

    def test_hollow(self) -> None:
        """A request that has no other payload would be none without it."""
        world = World("strip")
        request = f"<iq id='evil1' type='set' to='{{to}}'>{MARK}</iq>"
        world.send(request.format(to=EMILIA))
        (answer,) = world.told(world.iagos)
        self.assertEqual((conditionOf(answer), world.told(world.emilias)), ("bad-request", []))
        world.arrive(request, "example.org")
        self.assertEqual([conditionOf(each) for each in world.carrier.carried], ["bad-request"])

    def test_disguises(self) -> None:
        """However it is written, and nothing that only looks like it."""
        for policy in ("bounce", "strip"):
            world = World(policy)
            for name, parts in HELD.items():
                world.send(f"<message to='{EMILIA}' id='evil1'>" + b"".join(parts).decode().removeprefix("<message>") if parts[0].startswith(b"<message>") else MESSAGE.format(to=EMILIA))
                got = world.told(world.emilias)
                self.assertEqual(len(got), policy == "strip", name)
                self.assertNotIn(b"evil", b"".join(each.raw.replace(b"'evil1'", b"") for each in got).replace(ns.EVIL.encode(), b""))
            before = world.counted()
            for name, raw in NOT_HELD.items():
                text = raw.decode().replace("<message", f"<message to='{EMILIA}' id='evil1'")
                world.send(text)
                (one,) = world.told(world.emilias)
                self.assertEqual(one.raw, sent(text).raw, name)
            self.assertEqual(world.counted(), before)

    def test_interleaved(self) -> None:
        """What is said before and after goes its way."""
        world = World("ignore")
        for text in (f"<message to='{EMILIA}' id='evil1'><body>a</body></message>", MESSAGE.format(to=EMILIA), f"<message to='{EMILIA}' id='evil1'><body>b</body></message>"):
            world.send(text)
        self.assertEqual([each.elements()[0].text for each in world.told(world.emilias)], ["a", "b"])


class EvilHostTests(ServerCase):
    """What a host says about itself, and what it does with those who play rooms on it."""

    def features(self, server: MemoryServer, to: str) -> list[str]:
        """What service discovery lists."""
        client = server.login("emilia")
        answer = client.ask(f"<iq type='get' id='d' to='{to}'><query xmlns='{ns.DISCO_INFO}'/></iq>")
        return [each.get("var", "") for each in answer.iter(f"{{{ns.DISCO_INFO}}}feature")]

    def with_(self, lines: str, more: str = "") -> MemoryServer:
        """A server with those lines in the feature's table."""
        text = f"[features.xep0076_evil]\n{lines}\n{more}"
        return self.serve(accounts=("iago", "emilia"), more=text)

    @spec("XEP-0076", "4")
    @spec("mission", "E2")
    def test_advertised(self) -> None:
        """By evil hosts, in disco and therefore in caps, and by no others."""
        rooms = '[rooms."rooms.example.org"]'
        for policy in POLICIES:
            server = self.with_(f'policy = "{policy}"', rooms)
            for domain in ("example.org", "rooms.example.org"):
                self.assertEqual(ns.EVIL in self.features(server, domain), policy in ("pass", "strip"), policy)
        self.assertNotIn(ns.EVIL, self.features(self.serve(accounts=("emilia",)), "example.org"))

    @spec("XEP-0076", "4")
    @spec("mission", "E2")
    def test_capabilities(self) -> None:
        """The hash that a host shows its clients changes with what it is (XEP-0115)."""
        seen = set()
        for policy in ("ignore", "bounce", "pass"):
            client = self.with_(f'policy = "{policy}"').login("iago")
            seen.add(client.features.find("{http://jabber.org/protocol/caps}c").get("ver"))
        self.assertEqual(len(seen), 2)

    @spec("XEP-0076", "5")
    @spec("mission", "E3", "E4", "E5")
    def test_rooms(self) -> None:
        """The policy of the room's service, whoever is evil there: messages, presence, private messages and requests."""
        room = "den@rooms.example.org"
        for policy in POLICIES:
            server = self.serve(
                accounts=("iago", "emilia"),
                more=f'[features.xep0076_evil]\npolicy = "{policy}"\n[rooms."rooms.example.org"]',
                host='disabled = ["xep0076_evil"]',
            )
            iago, emilia = server.login("iago"), server.login("emilia")
            for client in (iago, emilia):
                client.send(f"<presence to='{room}/{client.jid[:4]}'><x xmlns='http://jabber.org/protocol/muc'/></presence>")
                client.send(f"<iq type='set' id='c' to='{room}'><query xmlns='{ns.MUC}#owner'><x xmlns='jabber:x:data' type='submit'/></query></iq>")
            for client in (iago, emilia):
                client.take()
            for name, text in STANZAS.items():
                to = room + "/emil" if name in ("request", "result", "nested") else room + "/iago" if name == "presence" else room
                raw = text.format(to=to)
                if name == "message":
                    raw = raw.replace("<message", "<message type='groupchat'")
                if name == "result":
                    emilia.send(f"<iq type='get' id='q' to='{room}/iago'><query xmlns='jabber:iq:version'/></iq>")
                    raw = raw.replace("id='evil1'", f"id='{iago.one().get('id')}'")
                iago.send(raw)
                seen = emilia.raw
                got = [each for each in emilia.take() if each.get("type") != "error"]
                found = [next(each.iter(f"{{{ns.EVIL}}}evil"), None) is not None for each in got]
                expected = {"pass": [True], "strip": [False]}.get(policy, [])
                self.assertEqual(found, expected, (policy, name, seen[-300:]))
                iago.take()

    @spec("mission", "E1")
    def test_watched(self) -> None:
        """Clients that have never spelled it aren't looked at, however what they send is cut; the others are."""
        evil = f"<message to='emilia@example.org/x' id='evil1'>{MARK}</message>"
        for chunk in (None, 1, 7, 40):
            server = self.with_('policy = "bounce"')
            emilia = server.login("emilia", "x")
            iago = server.login("iago", "x")
            session = server.server.router.table["iago@example.org/x"]
            iago.send("<message to='emilia@example.org/x'><body>http://jabber.org/protocol/ev</body></message>", chunk)
            self.assertFalse(session.sending)
            emilia.take()
            iago.send(evil, chunk)
            self.assertTrue(session.sending)
            self.assertError(iago.one(), "policy-violation", "modify")
            self.assertEqual(emilia.take(), [])
            iago.send("<message to='emilia@example.org/x'><body>x</body></message>")
            self.assertEqual(len(emilia.take()), 1)

    @spec("mission", "E1")
    def test_beforeTheSession(self) -> None:
        """What is spelled in the stream header, or together with the request to bind, counts as well."""
        server = self.with_('policy = "bounce"')
        emilia = server.login("emilia", "x")
        for attributes, behind in ((f"xmlns:e='{ns.EVIL}'", "<e:evil/>"), ("", MARK)):
            iago = server.connect()
            iago.open()
            iago.plain("iago")
            iago.open(attributes=attributes)
            bind = "<iq type='set' id='b'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><resource>x</resource></bind></iq>"
            iago.send(f"{bind}<message to='emilia@example.org/x' id='evil1'>{behind}</message>")
            self.assertError(iago.take()[-1], "policy-violation", "modify")
            self.assertEqual(emilia.take(), [])

    @spec("mission", "E1")
    def test_web(self) -> None:
        """Clients in browsers, who may bind the prefix outside of their stanzas as well."""
        more = '[features.xep0076_evil]\npolicy = "bounce"'
        server = self.serve(**webServer(accounts=("romeo", "emilia"), more=more))
        emilia = server.login("emilia", "x")
        bosh = BoshClient(server)
        bosh.login("romeo")
        for text, attributes in (
            ("<message xmlns='jabber:client' to='emilia@example.org/x' id='evil1'><e:evil/></message>", {"xmlns:e": ns.EVIL}),
            (f"<message to='emilia@example.org/x' id='evil1'>{MARK}</message>", {}),
        ):
            answer = bosh.post(text, **attributes).root
            self.assertError(answer[0], "policy-violation", "modify")
            self.assertEqual(emilia.take(), [])

    @spec("mission", "E6")
    def test_core(self) -> None:
        """A platform that can't be evil to the core is told at the start, and the rest works."""
        events: list[Any] = []
        globalLogPublisher.addObserver(events.append)
        self.addCleanup(globalLogPublisher.removeObserver, events.append)
        self.patch(xep0076_evil, "BIT", None)
        server = self.with_("core = true")
        said = [each for each in events if each.get("log_namespace") == "xmppd.evil"]
        self.assertEqual([each["host"] for each in said], ["example.org"])
        self.assertIn("RFC 3514", said[0]["log_format"])
        self.assertEqual(server.host.socketOptions, [])

    @spec("mission", "E6")
    def test_toTheCore(self) -> None:
        """Where there is an option, every listening socket gets it, and connections to other servers would."""
        chosen: list[tuple[int, int, int]] = []

        class Socket:
            def setsockopt(self, *option: int) -> None:
                chosen.append(option)  # type: ignore[arg-type]

        class Port:
            socket = Socket()

            def getHost(self) -> Any:
                return None

            def stopListening(self) -> None:
                """It was never open."""

        self.patch(xep0076_evil, "BIT", 3514)
        self.patch(VirtualReactor, "listenTCP", lambda reactor, *arguments, **named: Port())
        self.with_("core = true")
        self.assertEqual(chosen, [(socket.IPPROTO_IP, 3514, 1)])

    @spec("mission", "E7")
    def test_marked(self) -> None:
        """What another feature suspects says so, once."""
        server = self.with_("mark = true")
        for raw in (b"<message><body>x</body></message>", b"<message/>", f"<message>{MARK}</message>".encode()):
            stanza = fromBytes(raw)
            server.host.hooks.suspected.notify(stanza)
            self.assertEqual((stanza.raw.count(MARK.encode()), stanza.childNames.count(EVIL)), (1, 1))
            self.assertEqual(fromBytes(stanza.raw).childNames, list(stanza.childNames))
        self.assertEqual(self.with_("").host.hooks.suspected.observe, ())

    def test_mistakes(self) -> None:
        """What can't be meant keeps the server from starting."""
        for lines, wrong in (
            ('policy = "worse"', "pass, ignore, bounce, strip"),
            ('policy = "strip"\nmark = true', "mark wants pass"),
            ("core = 1", "core"),
            ("evil = true", "evil"),
        ):
            error = self.assertRaises(ConfigurationError, self.with_, lines)
            self.assertIn(wrong, str(error))
