"""Tests of L{xmppd.route.remote}."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from tests.contracts import verifyObject
from tests.doubles import Rig
from tests.marks import spec
from tests.restrict.cases import GuestCase
from xmppd.hooks import Unanswered
from xmppd.ixmppd import IDestination
from xmppd.peering import S2SConfig
from xmppd.route import remote
from xmppd.route.remote import Remote
from xmppd.wire.errors import StanzaCondition, StanzaError
from xmppd.wire.stanza import Stanza, build, fromBytes

FAR = "juliet@montague.example"
PAIR = ("example.org", "montague.example")
TIMEOUT = StanzaError(StanzaCondition.REMOTE_SERVER_TIMEOUT, "It is far.")


class FakeCarrier:
    """A stream that keeps what it carries."""

    def __init__(self) -> None:
        self.carried: list[Stanza] = []

    def transmit(self, stanza: Stanza) -> None:
        """Keep it."""
        self.carried.append(stanza)


class RemoteTests(SynchronousTestCase):
    """The door to other domains."""

    def setUp(self) -> None:
        self.rig = Rig()
        hosts = {"example.org": self.rig.host}
        limits = S2SConfig(queueStanzas=3, queueBytes=65_536)
        self.remote = Remote(self.rig.router, hosts.get, self.rig.clock, limits, lambda: 1.0)
        self.dialled: list[tuple[str, str]] = []
        self.remote.dial = lambda local, remote: self.dialled.append((local, remote))
        self.rig.router.remote = self.remote
        self.romeo, self.stream = self.rig.bind("romeo@example.org/x")

    def send(self, to: str = FAR, kind: str = "message", type: str | None = "chat", id: str = "m") -> None:
        """Romeo sends something."""
        attrs = {"to": to, "id": id, **({"type": type} if type else {})}
        self.romeo.received(build(kind, attrs))

    def errors(self) -> list[str]:
        """With which conditions Romeo's stanzas have come back."""
        return [each.elements()[-1].children[0].name for each in self.stream.take() if each.type == "error"]  # type: ignore[union-attr]

    def test_interface(self) -> None:
        """It is a destination."""
        verifyObject(IDestination, self.remote)

    @spec("RFC 6120", "10.4")
    def test_waits(self) -> None:
        """Stanzas wait for one stream, in order, and then go through."""
        self.send(id="1")
        self.send(id="2")
        self.assertEqual(self.dialled, [PAIR])
        carrier = FakeCarrier()
        self.remote.connected(*PAIR, carrier)
        self.send(id="3")
        self.assertEqual([each.id for each in carrier.carried], ["1", "2", "3"])
        self.assertEqual((self.remote.sent, self.remote.waiting(), self.dialled), (3, {}, [PAIR]))

    @spec("RFC 6120", "8.3.3.17", "10.4")
    def test_fails(self) -> None:
        """If there is none they come back, and for a moment the next do at once."""
        self.send()
        self.remote.failed(*PAIR, TIMEOUT)
        self.assertEqual(self.errors(), ["remote-server-timeout"])
        self.send()
        self.assertEqual((self.errors(), len(self.dialled)), (["remote-server-timeout"], 1))
        self.rig.clock.advance(2.1)
        self.send()
        self.assertEqual((self.errors(), len(self.dialled)), ([], 2))
        self.remote.failed(*PAIR, TIMEOUT)
        self.rig.clock.advance(2.1)
        self.send()
        self.assertEqual(len(self.dialled), 2)
        self.rig.clock.advance(2)
        self.send()
        self.assertEqual(len(self.dialled), 3)

    def test_tooLate(self) -> None:
        """Nobody says anything: after a while they come back."""
        self.send()
        self.rig.clock.advance(91)
        self.assertEqual(self.errors(), ["remote-server-timeout"])
        self.remote.failed(*PAIR, TIMEOUT)
        self.assertEqual(self.errors(), [])

    def test_bounds(self) -> None:
        """Only so much waits for a pair, and for all."""
        for _ in range(4):
            self.send()
        self.assertEqual(self.errors(), ["resource-constraint"])
        self.romeo.received(fromBytes(b"<message to='x@b.example'><body>" + b"x" * 70_000 + b"</body></message>"))
        self.assertEqual(self.errors(), ["resource-constraint"])
        self.patch(remote, "OCTETS", 10)
        self.send("x@c.example")
        self.assertEqual(self.errors(), ["resource-constraint"])

    def test_links(self) -> None:
        """What is remembered of pairs has a bound; those in use stay."""
        self.patch(remote, "LINKS", 2)
        self.send("x@a.example")
        self.send("x@b.example")
        self.send("x@c.example")
        self.assertEqual(self.errors(), ["resource-constraint"])
        self.remote.failed("example.org", "a.example", TIMEOUT)
        self.rig.clock.advance(10)
        self.errors()
        self.send("x@c.example")
        self.assertEqual(self.errors(), [])
        self.assertEqual(list(self.remote.links), [("example.org", "b.example"), ("example.org", "c.example")])

    def test_linksFull(self) -> None:
        """Rather than nobody being served, it is forgotten that somebody couldn't be reached a moment ago."""
        self.patch(remote, "LINKS", 2)
        self.remote.connected(*PAIR, FakeCarrier())
        self.send("x@a.example")
        self.remote.failed("example.org", "a.example", TIMEOUT)
        self.errors()
        self.send("x@b.example")
        self.assertEqual(self.errors(), [])
        self.assertEqual(set(self.remote.links), {PAIR, ("example.org", "b.example")})

    def test_linksOfOthers(self) -> None:
        """Streams that nothing was to be sent on leave half of the room; and one counts once for a pair."""
        self.patch(remote, "LINKS", 4)
        carrier = FakeCarrier()
        for number in range(10):
            self.remote.connected("example.org", f"{number}.example", carrier)
        self.assertEqual(len(self.remote.links), 2)
        self.remote.connected("example.org", "0.example", carrier)
        self.remote.disconnected("example.org", "0.example", carrier)
        self.assertEqual(self.remote.links["example.org", "0.example"].carriers, [])

    def test_disconnected(self) -> None:
        """A stream ends: the next stanza takes another, or asks for one."""
        first, second = FakeCarrier(), FakeCarrier()
        self.remote.connected(*PAIR, first)
        self.remote.connected(*PAIR, second)
        self.send()
        self.remote.disconnected(*PAIR, first)
        self.send()
        self.remote.disconnected(*PAIR, second)
        self.send()
        self.assertEqual((len(first.carried), len(second.carried), self.dialled), (1, 1, [PAIR]))

    def test_promise(self) -> None:
        """Who waits to hear that a stanza is handled hears it when it has left, or come back."""
        for settle in (lambda: self.remote.connected(*PAIR, FakeCarrier()), lambda: self.remote.failed(*PAIR, TIMEOUT)):
            self.setUp()
            stanza = build("message", {"from": self.romeo.full, "to": FAR})
            stanza.promise = []
            self.remote.deliver(stanza)
            (promise,) = stanza.promise
            assert isinstance(promise, Deferred)
            self.assertNoResult(promise)
            settle()
            self.assertIsNone(self.successResultOf(promise))

    def test_quiet(self) -> None:
        """Nobody hears that a farewell didn't arrive."""
        for type, answered in (("unavailable", 0), ("probe", 0), ("subscribe", 1)):
            self.remote.deliver(build("presence", {"from": self.romeo.full, "to": FAR, "type": type}))
            self.remote.failed(*PAIR, TIMEOUT)
            self.assertEqual(len(self.errors()), answered, type)
            self.rig.clock.advance(500)

    def test_leaving(self) -> None:
        """Hooks refuse, and change."""
        refusals: list[StanzaError | None] = [StanzaError(StanzaCondition.FORBIDDEN), Unanswered(StanzaCondition.GONE)]
        self.rig.host.hooks.leaving.addRefusal(lambda stanza: refusals.pop(0) if refusals else None)
        self.rig.host.hooks.leaving.addChange(lambda stanza: stanza.addressed({"id": "changed"}))
        self.send()
        self.send()
        self.assertEqual((self.errors(), self.dialled), (["forbidden"], []))
        carrier = FakeCarrier()
        self.send()
        self.remote.connected(*PAIR, carrier)
        self.assertEqual([each.id for each in carrier.carried], ["changed"])

    # --- in

    def arrive(self, raw: bytes) -> None:
        """Something comes."""
        self.remote.arrived(fromBytes(raw))

    def test_arrives(self) -> None:
        """A message comes; its sender's address is made canonical."""
        self.arrive(b"<message from='JULIET@Montague.example/y' to='romeo@example.org/x'/>")
        self.assertEqual([each.sender for each in self.stream.take()], ["juliet@montague.example/y"])

    @spec("RFC 6120", "8.2.3")
    def test_badIQ(self) -> None:
        """An IQ that is none is answered."""
        carrier = FakeCarrier()
        self.remote.connected(*PAIR, carrier)
        self.arrive(b"<iq from='juliet@montague.example/y' to='romeo@example.org/x' type='what' id='1'/>")
        self.arrive(b"<iq from='juliet@montague.example/y' to='@example.org' type='get' id='2'><a xmlns='b'/></iq>")
        conditions = [each.elements()[-1].children[0].name for each in carrier.carried]  # type: ignore[union-attr]
        self.assertEqual(conditions, ["bad-request", "jid-malformed"])
        self.assertEqual(self.stream.take(), [])

    def test_badSender(self) -> None:
        """Who can't be answered isn't."""
        self.arrive(b"<message from='a@b@montague.example' to='romeo@example.org/x'/>")
        self.assertEqual((self.stream.take(), self.dialled), ([], []))

    def test_arriving(self) -> None:
        """Hooks refuse, and change."""
        refusals: list[StanzaError] = [StanzaError(StanzaCondition.FORBIDDEN), Unanswered(StanzaCondition.GONE)]
        self.rig.host.hooks.arriving.addRefusal(lambda stanza: refusals.pop(0) if refusals else None)
        self.rig.host.hooks.arriving.addChange(lambda stanza: stanza.addressed({"id": "changed"}))
        carrier = FakeCarrier()
        self.remote.connected(*PAIR, carrier)
        for _ in range(3):
            self.arrive(b"<message from='juliet@montague.example/y' to='romeo@example.org/x'/>")
        self.assertEqual([each.type for each in carrier.carried], ["error"])
        self.assertEqual([each.id for each in self.stream.take()], ["changed"])


@spec("mission", "A6")
@spec("XEP-0175", "3")
class GuestTests(GuestCase):
    """Guests and the door itself."""

    def test_both(self) -> None:
        """Neither does anything of a guest leave by it, nor does anything come in for one."""
        self.guests("")
        server = self.server.server
        hosts: Any = server.hosts
        door = Remote(server.router, hosts.get, server.clock, S2SConfig(), lambda: 1.0)
        dialled: list[tuple[str, str]] = []
        door.dial = lambda local, remote: dialled.append((local, remote))
        server.router.remote = door
        guest = self.guest(available=True)
        guest.take()
        guest.send(f"<message to='{FAR}'><body>hi</body></message><presence to='{FAR}'/>")
        guest.send(f"<iq type='get' id='1' to='{FAR}'><query xmlns='jabber:iq:version'/></iq>")
        self.server.pump()
        self.assertEqual((dialled, door.sent), ([], 0))
        self.assertEqual({each.get("type") for each in guest.take()}, {"error"})
        bare = guest.jid.partition("/")[0]
        for to in (bare, guest.jid):
            for kind, type in (("message", "chat"), ("presence", "subscribe"), ("iq", "get")):
                content = "<query xmlns='jabber:iq:version'/>" if kind == "iq" else ""
                door.arrived(
                    fromBytes(f"<{kind} from='{FAR}/y' to='{to}' type='{type}' id='i'>{content}</{kind}>".encode())
                )
        self.server.pump()
        self.assertEqual(guest.take(), [])
