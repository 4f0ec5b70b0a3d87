"""Tests of L{xmppd.features.hops}: what users are told of the hops to a contact, and of which contacts."""

from __future__ import annotations

import re
import textwrap
import xml.etree.ElementTree as ET
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

from lxml import etree
from twisted.internet.defer import Deferred, fail, succeed
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from tests.marks import spec
from tests.restrict.cases import GuestCase
from tests.server import DOMAIN, TestClient, split
from xmppd.ixmppd import IHops, IHost, PeerHop, PeerSeen, RosterItem, StoreUnavailable
from xmppd.wire.stanza import build, fromBytes

NS = "urn:xmppd:hops:0"
PEER = "montague.example"
ROMEO = f"romeo@{PEER}"

OUT = PeerHop(True, "TLSv1.3", "TLS_AES_256_GCM_SHA384", "PKIX", True, "EXTERNAL", True)
BACK = PeerHop(False, None, None, "dialback", False, "dialback", False, 1_000_000_000.0)


PAGE = Path(__file__).parent.parent.parent / "docs" / "hops.rst"


@cache
def schema() -> Any:
    """The schema in the documentation."""
    found = re.search(r"\nSchema\n-+\n\n::\n\n((?:    .*\n|\n)+)", PAGE.read_text())
    assert found is not None
    return etree.XMLSchema(etree.fromstring(textwrap.dedent(found[1]).strip().encode()))


@implementer(IHops)
class FakeHops:
    """
    Streams and histories that are said to be there.

    @ivar asked: about whose streams.
    """

    def __init__(self, host: IHost) -> None:
        self._host = host
        self.asked: list[tuple[str, str]] = []
        self.streams: Sequence[PeerHop] = (OUT,)
        self.history: Sequence[PeerSeen] = ()
        self.broken = False

    def route(self, domain: str) -> str:
        """See L{IHops}."""
        return {DOMAIN: "same", f"rooms.{DOMAIN}": "same", f"gate.{DOMAIN}": "component"}.get(domain, "remote")

    def home(self, domain: str) -> IHost | None:
        """See L{IHops}."""
        return self._host if domain == DOMAIN else None

    def live(self, local: str, remote: str) -> Sequence[PeerHop]:
        """See L{IHops}."""
        self.asked.append((local, remote))
        return self.streams

    def seen(self, remote: str) -> Deferred[Sequence[PeerSeen]]:
        """See L{IHops}."""
        return fail(StoreUnavailable("no disk")) if self.broken else succeed(self.history)


@spec("mission", "T14")
class HopsCase(GuestCase):
    """A server, and streams that are made up."""

    hops: FakeHops

    def start(self, host: str = "", **named: Any) -> None:
        """Serve."""
        self.guests(**named) if not host else self.serveHost(host, **named)
        self.hops = FakeHops(self.server.host)
        self.server.host.hops = self.hops

    def serveHost(self, host: str, **named: Any) -> None:
        """Without guests."""
        self.server = self.serve(host=host, **named)

    def ask(self, client: TestClient, to: str | None = None, at: str | None = DOMAIN) -> ET.Element:
        """The answer to a question."""
        target = "" if at is None else f" to='{at}'"
        about = "" if to is None else f" to='{to}'"
        client.send(f"<iq type='get' id='h'{target}><hops xmlns='{NS}'{about}/></iq>")
        self.server.pump()
        return next(each for each in client.take() if each.get("id") == "h")

    def told(self, client: TestClient, to: str | None = None, at: str | None = DOMAIN) -> ET.Element:
        """What is answered, which is as the documented schema has it."""
        answer = self.ask(client, to, at)
        self.assertEqual(answer.get("type"), "result", ET.tostring(answer))
        schema().assertValid(etree.fromstring(ET.tostring(answer[0])))
        return answer[0]

    def children(self, told: ET.Element) -> list[tuple[str, dict[str, str]]]:
        """Names and attributes."""
        return [(split(each.tag)[1], dict(each.attrib)) for each in told]

    def refusals(self, client: TestClient, *others: str) -> set[bytes]:
        """How questions about some addresses are refused; one answer if all are refused alike."""
        answers = [self.ask(client, other) for other in others]
        for answer in answers:
            self.assertError(answer, "item-not-found", "cancel")
        return {ET.tostring(answer.find("{jabber:client}error")) for answer in answers}  # type: ignore[arg-type]


class OwnHopTests(HopsCase):
    """From the client to this server."""

    def test_tls(self) -> None:
        """Version, suite, mechanism, channel binding; at the domain and at the own account alike."""
        self.start(tls=True)
        romeo = self.server.login("romeo")
        for at in (DOMAIN, None, f"romeo@{DOMAIN}"):
            ((name, facts),) = self.children(self.told(romeo, at=at))
            self.assertEqual((name, facts["security"], facts["version"]), ("client", "tls", "TLSv1.3"))
            self.assertEqual((facts["mechanism"], facts["binding"]), ("PLAIN", "none"))
            self.assertTrue(facts["cipher"].startswith("TLS_"))

    def test_channelBinding(self) -> None:
        """What the login was bound to."""
        self.start(tls=True)
        romeo = self.server.login("romeo")
        stream: Any = self.server.host.router.session(romeo.jid).stream  # type: ignore[union-attr]
        stream.mechanism, stream.channelBinding = "SCRAM-SHA-256-PLUS", "tls-exporter"
        ((_, facts),) = self.children(self.told(romeo))
        self.assertEqual((facts["mechanism"], facts["binding"]), ("SCRAM-SHA-256-PLUS", "tls-exporter"))

    def test_unencrypted(self) -> None:
        """Plaintext is called that, except on this machine."""
        self.start()
        for address, security in (("192.0.2.1", "none"), ("127.0.0.1", "local"), ("::1", "local")):
            client = self.server.connect(address=address).login("romeo", address.replace(":", "-"))
            ((_, facts),) = self.children(self.told(client))
            self.assertEqual(facts, {"security": security, "mechanism": "PLAIN", "binding": "none"})

    def test_proxy(self) -> None:
        """What a reverse proxy vouches for isn't claimed to be known."""
        self.start()
        romeo = self.server.login("romeo")
        self.server.host.router.session(romeo.jid).stream.facts.add("tls")  # type: ignore[union-attr]
        ((_, facts),) = self.children(self.told(romeo))
        self.assertEqual(facts["security"], "proxy")

    def test_discovered(self) -> None:
        """The domain says that it can be asked; unless that is switched off."""
        for disabled in (False, True):
            self.serveHost('disabled = ["hops"]' if disabled else "")
            romeo = self.server.login("romeo")
            info = "<query xmlns='http://jabber.org/protocol/disco#info'/>"
            romeo.send(f"<iq type='get' id='1' to='{DOMAIN}'>{info}</iq>")
            self.assertEqual(NS in {each.get("var") for each in romeo.one()[0]}, not disabled)
        self.assertError(self.ask(romeo), "service-unavailable")


class SameServerTests(HopsCase):
    """Contacts on this server."""

    def test_required(self) -> None:
        """Where all have to be encrypted, all are, and nobody's sessions are looked at: also if there is no account."""
        self.start(tls=True, requireTLS=True)
        romeo = self.server.login("romeo")
        for contact in (f"juliet@{DOMAIN}", f"nobody@{DOMAIN}"):
            told = self.told(romeo, contact)
            self.assertEqual(told.get("to"), contact)
            self.assertEqual(self.children(told)[1:], [
                ("server", {"route": "same"}), ("contact", {"security": "encrypted"}),
            ])

    def test_sessions(self) -> None:
        """Where plaintext is allowed, those who see a contact's presence are told whether it is used."""
        self.start(tls=True, requireTLS=False)
        romeo, juliet = self.server.login("romeo", available=True), self.server.login("juliet", available=True)
        contact = f"juliet@{DOMAIN}"
        self.assertEqual(self.children(self.told(romeo, contact))[2], ("contact", {"security": "unknown"}))
        romeo.send(f"<presence type='subscribe' to='{contact}'/>")
        juliet.send(f"<presence type='subscribed' to='romeo@{DOMAIN}'/>")
        self.server.pump()
        self.assertEqual(self.children(self.told(romeo, contact))[2], ("contact", {"security": "not-encrypted"}))
        secret = self.server.connect()
        secret.open()
        secret.startTLS()
        secret.login("juliet", "secret").available()
        self.assertEqual(self.children(self.told(romeo, contact))[2], ("contact", {"security": "not-encrypted"}))
        juliet.send("<presence type='unavailable'/>")
        self.assertEqual(self.children(self.told(romeo, contact))[2], ("contact", {"security": "encrypted"}))
        secret.send("<presence type='unavailable'/>")
        self.assertEqual(self.children(self.told(romeo, contact))[2], ("contact", {"security": "unknown"}))

    def test_blocked(self) -> None:
        """Who is blocked learns nothing."""
        self.start(tls=True, requireTLS=False)
        romeo, juliet = self.server.login("romeo", available=True), self.server.login("juliet", available=True)
        contact = f"juliet@{DOMAIN}"
        romeo.send(f"<presence type='subscribe' to='{contact}'/>")
        juliet.send(f"<presence type='subscribed' to='romeo@{DOMAIN}'/>")
        block = f"<block xmlns='urn:xmpp:blocking'><item jid='romeo@{DOMAIN}'/></block>"
        juliet.send(f"<iq type='set' id='b'>{block}</iq>")
        self.server.pump()
        self.assertEqual(self.children(self.told(romeo, contact))[2], ("contact", {"security": "unknown"}))

    def test_own(self) -> None:
        """One's own other sessions are contacts, too."""
        self.start(tls=True, requireTLS=False)
        romeo = self.server.login("romeo", available=True)
        told = self.children(self.told(romeo, f"romeo@{DOMAIN}"))
        self.assertEqual(told[2], ("contact", {"security": "not-encrypted"}))

    def test_services(self) -> None:
        """Rooms and components are here; who is behind them isn't known."""
        self.start()
        romeo = self.server.login("romeo")
        for contact, route in ((f"lobby@rooms.{DOMAIN}", "same"), (f"x@gate.{DOMAIN}", "component"), (DOMAIN, "same")):
            self.assertEqual(self.children(self.told(romeo, contact))[1:], [
                ("server", {"route": route}), ("contact", {"security": "unknown"}),
            ])

    def test_guest(self) -> None:
        """Guests are told the same, of this server."""
        self.start(tls=True, requireTLS=True)
        guest = self.guest()
        told = self.children(self.told(guest, f"juliet@{DOMAIN}"))
        self.assertEqual([name for name, _ in told], ["client", "server", "contact"])
        self.assertEqual(told[0][1]["mechanism"], "ANONYMOUS")
        self.refusals(guest, ROMEO)


class RemoteTests(HopsCase):
    """Contacts elsewhere."""

    def setUp(self) -> None:
        self.start(more='[s2s]\nenabled = true\nresolver = "127.0.0.1:53"')
        self.juliet = self.server.login("juliet", available=True)

    def befriend(self) -> TestClient:
        """Somebody who sees Romeo's presence; a session that reads the roster as it is in the store."""
        item = RosterItem(ROMEO, subscription="to")
        self.successResultOf(self.server.store.rosters.put(f"admin@{DOMAIN}", item))
        return self.server.login("admin")

    @spec("mission", "T11")
    def test_contact(self) -> None:
        """Both directions, with proof, and honestly nothing of the contact's side."""
        admin = self.befriend()
        self.hops.streams = (BACK, OUT)
        told = self.told(admin, f"{ROMEO}/orchard")
        self.assertEqual(told.get("to"), ROMEO)
        self.assertEqual(self.children(told)[1:], [
            ("server", {"route": "remote", "state": "connected"}), ("contact", {"security": "unknown"}),
        ])
        self.assertEqual(self.children(told[1]), [
            ("stream", {
                "direction": "in", "security": "none", "proof": "dialback", "authenticated": "false", "bidi": "false",
                "mechanism": "dialback", "until": "2001-09-09T01:46:40Z",
            }),
            ("stream", {
                "direction": "out", "security": "tls", "version": "TLSv1.3", "cipher": "TLS_AES_256_GCM_SHA384",
                "proof": "PKIX", "authenticated": "true", "bidi": "true", "mechanism": "EXTERNAL",
            }),
        ])
        self.assertEqual(self.hops.asked, [(DOMAIN, PEER)])

    def test_notConnected(self) -> None:
        """Without a stream, what was seen last is told, by the day; and nobody is connected to for it."""
        admin = self.befriend()
        self.hops.streams = ()
        self.hops.history = (PeerSeen(True, "PKIX", True, "ab" * 32, "Encrypt Us", 1_000_000_000.0),)
        dials = len(self.server.reactor.tcpClients)
        server = self.told(admin, ROMEO)[1]
        self.assertEqual(server.attrib, {"route": "remote", "state": "not-connected"})
        self.assertEqual(self.children(server), [("seen", {
            "direction": "out", "proof": "PKIX", "authenticated": "true", "on": "2001-09-09", "sha-256": "ab" * 32,
            "authority": "Encrypt Us",
        })])
        self.hops.history = (PeerSeen(False, "dialback", False, "", "", 0.0),)
        self.assertEqual(self.children(self.told(admin, ROMEO)[1]), [("seen", {
            "direction": "in", "proof": "dialback", "authenticated": "false", "on": "1970-01-01",
        })])
        self.assertEqual(len(self.server.reactor.tcpClients), dials)

    def test_storeFails(self) -> None:
        """Without the store there is no history."""
        admin = self.befriend()
        self.hops.streams, self.hops.broken = (), True
        self.assertError(self.ask(admin, ROMEO), "resource-constraint", "wait")

    def test_strangers(self) -> None:
        """Of domains with which the user has nothing to do nothing is told, whether there is a stream or not."""
        connected = self.refusals(self.juliet, ROMEO, PEER, "x@other.example")
        self.hops.streams = ()
        alone = self.refusals(self.juliet, ROMEO, "y@another.example")
        self.assertEqual(len(connected | alone), 1)
        self.assertEqual(self.hops.asked, [])

    def test_rosterItem(self) -> None:
        """To put somebody on one's own list makes nobody a contact: the other side hasn't been asked."""
        item = f"<query xmlns='jabber:iq:roster'><item jid='{ROMEO}'/></query>"
        self.juliet.send(f"<iq type='set' id='r'>{item}</iq>")
        self.server.pump()
        self.refusals(self.juliet, ROMEO)

    def test_sent(self) -> None:
        """Whom one has written to since the first question one may ask about, and nobody else; only in that session."""
        other = self.server.login("juliet", "other")
        self.refusals(self.juliet, ROMEO)
        self.juliet.send(f"<message to='{ROMEO}' id='m'><body>hi</body></message>")
        self.server.pump()
        self.juliet.take()
        self.assertEqual(self.told(self.juliet, f"mercutio@{PEER}")[1].get("state"), "connected")
        self.refusals(self.juliet, "x@other.example")
        self.refusals(other, ROMEO)

    def test_received(self) -> None:
        """Likewise who has written; an error, which this server makes itself, isn't that."""
        self.told(self.juliet)
        session: Any = self.server.host.router.session(self.juliet.jid)
        session.deliver(build("message", {"from": ROMEO, "to": self.juliet.jid, "type": "error"}))
        self.juliet.take()
        self.refusals(self.juliet, ROMEO)
        session.deliver(build("message", {"from": f"{ROMEO}/orchard", "to": self.juliet.jid}))
        self.juliet.take()
        self.assertEqual(self.told(self.juliet, ROMEO)[1].get("route"), "remote")

    def test_forgotten(self) -> None:
        """Only so many domains are remembered, the latest."""
        self.told(self.juliet)
        session: Any = self.server.host.router.session(self.juliet.jid)
        known = session.slots["hops"]
        for index in range(200):
            known.sent(session, build("message", {"to": f"a@d{index}.example"}))
        known.sent(session, build("message", {"to": "@"}))
        known.sent(session, build("message", {}))
        self.assertEqual((len(known.domains), "d100.example" in known.domains), (100, True))
        self.assertNotIn("d99.example", known.domains)

    def test_paced(self) -> None:
        """So many questions in a minute."""
        self.juliet.take()
        for _ in range(60):
            self.told(self.juliet)
        self.assertError(self.ask(self.juliet), "resource-constraint", "wait")
        self.server.advance(60)
        self.told(self.juliet)

    def test_others(self) -> None:
        """Nobody asks for somebody else, nor from elsewhere."""
        self.assertError(self.ask(self.juliet, ROMEO, f"admin@{DOMAIN}"), "service-unavailable")
        self.assertError(self.ask(self.juliet, ROMEO, f"nobody@{DOMAIN}"), "service-unavailable")
        host: Any = self.server.host
        question = fromBytes(
            f"<iq xmlns='jabber:client' type='get' id='1' from='{ROMEO}/x' to='{DOMAIN}'><hops xmlns='{NS}'/></iq>".encode()
        )
        bounced: list[Any] = []
        self.patch(self.server.server.router, "remote", _Keeping(bounced))
        host.deliver(question)
        self.assertIn(b"forbidden", bounced[0].raw)

    def test_malformed(self) -> None:
        """What is no address."""
        for to in ("@", "a@b@c", "x@"):
            self.assertError(self.ask(self.juliet, to), "jid-malformed")


class OptionTests(HopsCase):
    """What administrators can choose."""

    def test_options(self) -> None:
        """No history, and no limit."""
        self.start(host=f'[host."{DOMAIN}".features.hops]\nhistory = false\nquestions_per_minute = 0')
        juliet = self.server.login("juliet")
        self.told(juliet)
        session: Any = self.server.host.router.session(juliet.jid)
        session.slots["hops"].domains[PEER] = None
        self.hops.streams, self.hops.history = (), (PeerSeen(True, "PKIX", True, "", "", 0.0),)
        for _ in range(70):
            self.assertEqual(len(self.told(juliet, ROMEO)[1]), 0)

    def test_alone(self) -> None:
        """Without anything known of hops only one's own is told."""
        self.start()
        self.server.host.hops = None
        juliet = self.server.login("juliet")
        self.told(juliet)
        self.refusals(juliet, f"romeo@{DOMAIN}")


class _Keeping:
    """A door to other servers behind which everything is kept."""

    domain = ""

    def __init__(self, kept: list[Any]) -> None:
        self._kept = kept

    def deliver(self, stanza: Any) -> None:
        """Keep it."""
        self._kept.append(stanza)


class PageTests(SynchronousTestCase):
    """The page of the protocol."""

    def test_examples(self) -> None:
        """Its examples are as its schema has it."""
        found = re.findall(r"^ +(<hops xmlns=[^>]*[^/]>.*?</hops>|<hops xmlns=[^>]*/>)", PAGE.read_text(), re.S | re.M)
        self.assertEqual(len(found), 2)
        for each in found:
            schema().assertValid(etree.fromstring(each.encode()))
