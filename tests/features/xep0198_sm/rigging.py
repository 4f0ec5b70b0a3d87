"""
What the tests of stream management share: clients that count, and servers that die.
"""

from __future__ import annotations

import re
from typing import Any

from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from tests.doubles import FailingStore, FakeAccount, FakeGuest, FakeStream, Rig
from xmppd.config import Limits
from xmppd.features.rfc6121_im import feature as im
from xmppd.features.xep0198_sm import feature as sm
from xmppd.features.xep0280_carbons import feature as carbons
from xmppd.features.xep0352_csi import feature as csi
from xmppd.hooks import Feature
from xmppd.ixmppd import IDestination, SpooledMessage, StoreUnavailable
from xmppd.wire import ns
from xmppd.wire.stanza import Stanza
from xmppd.wire.xmlstream import XMLStreamParser


def keepOffline(host: Any) -> None:
    """Keep messages for accounts that are away, like XEP-0160 does; give them to who becomes available."""

    def take(stanza: Stanza, bare: str) -> Stanza | None:
        if stanza.attrs.get("type", "normal") not in ("chat", "normal"):
            return stanza
        added = host.spool.add([SpooledMessage(bare, stanza.raw, host.clock.seconds())])
        added.addErrback(lambda failure: failure.trap(StoreUnavailable))
        if stanza.promise is not None:
            stanza.promise.append(added)
        return None

    host.hooks.undeliverable.addChange(take)


offline = Feature(name="offline", join=keepOffline)


@implementer(IDestination)
class Elsewhere:
    """Another domain, which writes down what it is sent."""

    domain = "example.net"

    def __init__(self) -> None:
        self.received: list[Stanza] = []

    def deliver(self, stanza: Stanza) -> None:
        """See L{IDestination}."""
        self.received.append(stanza)


class WatchedStream(FakeStream):
    """A stream that notes the order of everything that is written, and can be cut."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.everything: list[bytes] = []

    def write(self, data: bytes) -> None:
        """See L{IClientStream}."""
        super().write(data)
        self.everything.append(data)

    def transmit(self, stanza: Stanza) -> None:
        """See L{IClientStream}."""
        super().transmit(stanza)
        self.everything.append(stanza.raw)

    def established(self, session: Any) -> None:
        """See L{IClientStream}."""
        super().established(session)
        self.facts.add("bound")

    def close(self, error: Any = None) -> None:
        """See L{IClientStream}; as the real one does, it ends its session."""
        if self.closed:
            return
        super().close(error)
        session, self.session = self.session, None
        if session is not None:
            session.end()

    def cut(self) -> None:
        """The connection is lost."""
        self.closed = True
        session, self.session = self.session, None
        if session is not None:
            session.detached()


class Client:
    """
    A client with stream management.

    @ivar token: what it can resume with.
    @ivar got: the stanzas it has got, over all its streams.
    """

    def __init__(self, test: ManagementTestCase, full: str, guest: bool = False) -> None:
        self.test = test
        self.full = full
        self.guest = guest
        self.token: str | None = None
        self.got: list[Stanza] = []
        self.session, self.stream = test.bind(full, guest)

    @property
    def management(self) -> Any:
        """The server's side."""
        return self.session.slots["xep0198_sm"]

    def enable(self, more: str = "resume='true'") -> bytes:
        """Enable stream management; answers what the server said."""
        self.send(f"<enable xmlns='urn:xmpp:sm:3' {more}/>".encode())
        answer = self.stream.written[-1] if self.stream.written else b""
        found = re.search(rb" id='([^']*)'", answer)
        self.token = found[1].decode() if found else None
        return answer

    def send(self, raw: bytes) -> None:
        """Send something."""
        self.test.rig.send(self.session, raw)

    def say(self, to: str, body: str, id: str | None = None) -> None:
        """Send a chat message."""
        self.send(f"<message type='chat' to='{to}' id='{id or body}'><body>{body}</body></message>".encode())

    def ask(self, seconds: float = 0.001) -> None:
        """Ask for an acknowledgement, and give the server a few turns."""
        self.send(b"<r xmlns='urn:xmpp:sm:3'/>")
        self.test.turns(seconds=seconds)

    def take(self) -> list[Stanza]:
        """What came since the last time; it counts as handled."""
        taken = self.stream.take()
        self.got += taken
        return taken

    def bodies(self) -> list[str]:
        """The bodies of what came since the last time."""
        return [body(stanza) for stanza in self.take() if stanza.kind == "message"]

    def ack(self, h: int | None = None) -> None:
        """Acknowledge everything, or something else."""
        self.take()
        self.send(f"<a xmlns='urn:xmpp:sm:3' h='{len(self.got) if h is None else h}'/>".encode())

    def acked(self) -> int | None:
        """The count of the last acknowledgement from the server on this stream, or None."""
        return lastCount(self.stream.written)

    def asked(self) -> int:
        """How often the server has asked on this stream."""
        return self.stream.written.count(b"<r xmlns='urn:xmpp:sm:3'/>")

    def cut(self) -> None:
        """Lose the connection."""
        self.stream.cut()

    def resume(self, h: int | None = None, token: str | None = None, full: str | None = None) -> bytes:
        """Come back by a new stream; answers what the server said."""
        self.stream = self.test.stream(full or self.full, self.guest)
        count = len(self.got) if h is None else h
        self.test.negotiate(
            self.stream, f"<resume xmlns='urn:xmpp:sm:3' previd='{token or self.token}' h='{count}'/>".encode()
        )
        self.test.turns()
        if self.stream.session is not None:
            self.session = self.stream.session
        return self.stream.written[0] if self.stream.written else b""


def body(stanza: Stanza) -> str:
    """The text of a message."""
    found = stanza.find(f"{ns.CLIENT} body")
    return found.text if found is not None else ""


def lastCount(written: list[bytes]) -> int | None:
    """The count of the last C{<a/>}."""
    for data in reversed(written):
        found = re.fullmatch(rb"<a xmlns='urn:xmpp:sm:3' h='(\d+)'/>", data)
        if found:
            return int(found[1])
    return None


class ManagementTestCase(SynchronousTestCase):
    """
    A test with a host that has rosters, offline messages, stream management and its neighbours.

    @ivar store: survives the server.
    """

    limits: Limits | None = None

    def setUp(self) -> None:
        self.store = FailingStore()
        self.start()

    def start(self, seconds: float = 0.0) -> None:
        """Start a server on the store, some time after the last one."""
        now = self.rig.clock.seconds() if hasattr(self, "rig") else 0
        count = self.rig.host.entropy.count if hasattr(self, "rig") else 0
        self.rig = Rig(im, sm, offline, carbons, csi, limits=self.limits, store=self.store)
        self.rig.host.entropy.count = count
        if now:
            self.rig.clock.advance(now + seconds - self.rig.clock.seconds())
        self.elsewhere = Elsewhere()
        self.rig.router.addDestination(self.elsewhere)
        for observer in self.rig.host.hooks.starting.observe:
            self.successResultOf(observer())
        self.turns()

    def kill(self, seconds: float = 0.0) -> None:
        """Kill the server at once; what it did not store is gone. Another one is started."""
        old = self.store
        self.store = FailingStore(old._store)
        old.failWrites = old.failReads = True
        self.start(seconds)

    def stop(self) -> None:
        """Stop the server in an orderly way, and start another one."""
        for observer in self.rig.host.hooks.stopping.observe:
            stopped = observer()
            self.turns(100, 0.1)
            self.successResultOf(stopped)
        self.kill()

    def turns(self, count: int = 6, seconds: float = 0.001) -> None:
        """Let the reactor turn."""
        for _ in range(count):
            self.rig.clock.advance(seconds)

    def advance(self, seconds: float) -> None:
        """Let time pass, in steps."""
        for _ in range(int(seconds)):
            self.rig.clock.advance(1)

    def account(self, full: str, guest: bool = False) -> FakeAccount:
        """An avatar; the account is made if need be."""
        bare = full.partition("/")[0]
        if not guest and self.successResultOf(self.store._store.accounts.get(bare)) is None:
            self.rig.account(bare.partition("@")[0])
        return (FakeGuest if guest else FakeAccount)(bare)

    def stream(self, full: str, guest: bool = False) -> WatchedStream:
        """A stream of an authenticated client."""
        stream = WatchedStream(self.rig.host, self.account(full, guest), self.rig.clock)
        stream.facts = {"tls", "authenticated"}
        return stream

    def bind(self, full: str, guest: bool = False) -> tuple[Any, WatchedStream]:
        """Bind a resource."""
        stream = self.stream(full, guest)
        bound = self.rig.host.bind(stream, full.partition("/")[2])
        self.turns()
        session = self.successResultOf(bound)
        stream.established(session)
        return session, stream

    def negotiate(self, stream: WatchedStream, raw: bytes) -> None:
        """A client sends something before it has a resource."""
        (element,) = [each for each in events(raw) if isinstance(each, Stanza)]
        for feature in self.rig.host.streamFeatures:
            if element.name in feature.names and feature.requires <= stream.facts:
                self.assertTrue(feature.forbids.isdisjoint(stream.facts))
                feature.negotiate(stream, element)
                return
        self.fail(f"nobody negotiates {element.name}")

    def client(self, full: str, available: bool = True, managed: bool = True, guest: bool = False) -> Client:
        """A client; its own presence is handled already."""
        client = Client(self, full, guest)
        if managed:
            client.enable()
        if available:
            client.send(b"<presence/>")
            self.turns()
            client.ack() if managed else client.take()
        return client

    def offlineBodies(self, bare: str) -> list[str]:
        """The bodies of an account's offline messages."""
        rows = self.successResultOf(self.store._store.spool.offline(bare))
        return [re.search(rb"<body>(.*?)</body>", row.stanza)[1].decode() for row in rows]  # type: ignore[index]

    def held(self, client: Client) -> list[SpooledMessage]:
        """What the spool holds for a session."""
        return list(self.successResultOf(self.store._store.spool.held(client.management.token)))

    def records(self) -> list[Any]:
        """The saved sessions."""
        return list(self.successResultOf(self.store._store.spool.sessions()))


def events(raw: bytes) -> list[Any]:
    """What a parser makes of bytes on a stream."""
    start = b"<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' version='1.0'>"
    return list(XMLStreamParser().feed(start + raw))
