"""Tests of L{xmppd.features.xep0386_bind2}, and of what features do along with a resource, as clients see it."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from zope.interface.verify import verifyObject

from tests.auth.later import AGENT, BIND, MANAGED, OTHER, LaterCase, authenticate, find, identity, plain
from tests.doubles import FailingStore
from tests.marks import spec
from tests.server import TestClient, show, split
from xmppd.features.xep0386_bind2 import Bind2
from xmppd.ixmppd import ILoginFeature
from xmppd.wire import ns

CARBONS = f"<enable xmlns='{ns.CARBONS}'/>"
INACTIVE = f"<inactive xmlns='{ns.CSI}'/>"
ACTIVE = f"<active xmlns='{ns.CSI}'/>"
ARCHIVED = f"{{{ns.ARCHIVE}}}"


def bind(inner: str = "", tag: str | None = None) -> str:
    """A C{<bind/>}."""
    tagged = "" if tag is None else f"<tag>{tag}</tag>"
    return f"<bind xmlns='{ns.BIND2}'>{tagged}{inner}</bind>"


class BindTests(LaterCase):
    """Section 3.2."""

    def resource(self, tag: str | None) -> str:
        """The resource that a tag leads to."""
        _, success = self.login(plain("romeo"), bind(tag=tag))
        return identity(success).partition("/")[2]

    @spec("XEP-0386", "3.1")
    def test_offer(self) -> None:
        """What can be enabled is listed by name, each once."""
        features = self.opened().features
        assert features is not None
        offered = find(features, ns.BIND2, "bind")
        assert offered is not None
        names = [each.get("var") for each in offered.iter(f"{{{ns.BIND2}}}feature")]
        self.assertEqual(sorted(names), sorted([ns.STREAM_MANAGEMENT, ns.CARBONS, ns.CSI]))
        verifyObject(ILoginFeature, Bind2(self.server.host))

    @spec("XEP-0386", "3.2", "3.2.1")
    @spec("XEP-0388", "2.6.1")
    def test_bound(self) -> None:
        """The full JID, with tag and something nobody can guess; the session is there, its features follow."""
        client = self.opened()
        client.send(authenticate("PLAIN", plain("romeo"), BIND))
        success, features = client.take()
        jid = identity(self.succeeds([success]))
        self.assertRegex(jid, "^romeo@example.org/Tests/[A-Za-z0-9_-]{22}$")
        self.assertIsNotNone(success.find(f"{{{ns.BIND2}}}bound"))
        self.assertIsNone(find(features, ns.BIND, "bind"))
        self.assertIsNotNone(find(features, ns.CSI, "csi"))
        self.assertIn(jid.partition("/")[2], self.server.host.sessions["romeo@example.org"])
        client.send("<presence/>")
        self.assertEqual(client.take()[0].get("from"), jid)

    @spec("XEP-0386", "3.2.1")
    def test_tags(self) -> None:
        """A tag that is no resource, or too long, is left out; the client's id is never in it."""
        self.assertRegex(self.resource(None), "^[A-Za-z0-9_-]{22}$")
        self.assertRegex(self.resource(""), "^[A-Za-z0-9_-]{22}$")
        self.assertRegex(self.resource("x" * 65), "^[A-Za-z0-9_-]{22}$")
        self.assertRegex(self.resource("a\nb"), "^[A-Za-z0-9_-]{22}$")
        self.assertRegex(self.resource("Ünïcode &lt;3"), "^Ünïcode <3/[A-Za-z0-9_-]{22}$")
        self.assertNotIn(AGENT, self.resource("x"))

    @spec("mission", "A5")
    def test_guests(self) -> None:
        """A guest of a public host gets the server's resource, whatever it says."""
        _, success = self.login(None, BIND, "ANONYMOUS")
        self.assertNotIn("Tests", identity(success))

    @spec("XEP-0386", "3.2")
    def test_sameClient(self) -> None:
        """An earlier session of the same client ends; another client's doesn't."""
        first, _ = self.login(plain("romeo"), BIND)
        other, _ = self.login(plain("romeo"), BIND, agent=OTHER)
        nameless, _ = self.login(plain("romeo"), BIND, agent=None)
        foreign, _ = self.login(plain("juliet"), BIND)
        self.login(plain("romeo"), BIND)
        first.take()
        self.assertTrue(first.eof)
        self.assertIn("<conflict", first.raw.decode())
        for each in (other, nameless, foreign):
            self.assertFalse(each.eof)
        self.assertEqual(len(self.server.host.sessions["romeo@example.org"]), 3)

    def test_sameClientHibernates(self) -> None:
        """Also one that waits to be resumed."""
        first, _ = self.login(plain("romeo"), MANAGED)
        first.cut()
        self.assertEqual(len(self.server.host.sessions["romeo@example.org"]), 1)
        second, _ = self.login(plain("romeo"), MANAGED)
        self.assertEqual(list(self.server.host.sessions["romeo@example.org"]), [second.jid.partition("/")[2]])

    def test_nothingLost(self) -> None:
        """What the earlier session didn't acknowledge comes to the new one when that is available."""
        first, _ = self.login(plain("romeo"), MANAGED)
        first.cut()
        juliet = self.server.connect().login("juliet")
        juliet.send(f"<message to='{first.jid}' id='m1' type='chat'><body>x</body></message>")
        second, _ = self.login(plain("romeo"), MANAGED)
        second.take()
        second.send("<presence/>")
        self.assertIn("m1", [each.get("id") for each in second.take()])

    def test_refused(self) -> None:
        """A host that wants no more sessions: the login fails, and says why."""
        self.server = self.serve(tls=True, config="resources_per_account = 1\n")
        self.login(plain("romeo"), BIND, agent=OTHER)
        client = self.opened()
        client.send(authenticate("PLAIN", plain("romeo"), BIND))
        failure = client.take()[0]
        self.assertEqual(split(failure[0].tag), (ns.SASL, "temporary-auth-failure"))
        self.assertIn("Too many", failure.findtext(f"{{{ns.SASL2}}}text") or "")
        self.assertTrue(client.streamClosed)

    def test_storeFails(self) -> None:
        """So it does if what a session needs can't be read."""

        def loading(bare: str) -> Any:
            return self.server.host.accounts.get(bare)

        store = FailingStore()
        self.server = self.serve(tls=True, store=store)
        self.server.host.hooks.loading.addObserver(loading)
        client = self.opened()
        self.server.host.hooks.authenticated.addObserver(lambda stream: setattr(store, "failReads", True))
        client.send(authenticate("PLAIN", plain("romeo"), BIND))
        self.assertEqual(split(client.take()[0][0].tag), (ns.SASL, "temporary-auth-failure"))
        self.assertEqual(self.server.host.sessions, {})

    def test_repeated(self) -> None:
        """Each feature is enabled once, unknown ones are ignored."""
        enable = f"<enable xmlns='{ns.STREAM_MANAGEMENT}' resume='true'/>"
        _, success = self.login(plain("romeo"), bind(enable + enable + "<x xmlns='urn:unknown'/>"))
        bound = success.find(f"{{{ns.BIND2}}}bound")
        assert bound is not None
        self.assertEqual([split(each.tag) for each in bound], [(ns.STREAM_MANAGEMENT, "enabled")])


class OrderTests(LaterCase):
    """What comes for a session before its client has heard of it."""

    more = {"config": "enabled = false\n"}

    def setUp(self) -> None:
        super().setUp()
        self.gate: Deferred[bytes] = Deferred()

        async def later(session: Any) -> bytes:
            return await self.gate

        self.server.host.inline.bound.append(later)

    def begin(self, inner: str) -> tuple[TestClient, str]:
        """A client whose login takes a while; and its full JID."""
        client = self.opened()
        client.send(authenticate("PLAIN", plain("romeo"), inner))
        (resource,) = self.server.host.sessions["romeo@example.org"]
        return client, f"romeo@example.org/{resource}"

    def write(self, to: str, id: str) -> None:
        """A message from somebody."""
        if not hasattr(self, "juliet"):
            self.juliet = self.server.connect().login("juliet")
        self.juliet.send(f"<message to='{to}' id='{id}' type='chat'><body>x</body></message>")

    @spec("XEP-0386", "1")
    def test_behind(self) -> None:
        """It comes behind the success and the features, and is counted."""
        client, jid = self.begin(MANAGED)
        self.write(jid, "m1")
        self.assertEqual(client.take(), [])
        self.gate.callback(b"")
        names = [split(each.tag)[1] for each in client.take()]
        self.assertEqual(names, ["success", "features", "message"])
        client.send(f"<a xmlns='{ns.STREAM_MANAGEMENT}' h='1'/>")
        self.assertFalse(client.eof)
        self.write(jid, "m2")
        self.assertEqual([each.get("id") for each in client.take() if split(each.tag)[1] == "message"], ["m2"])

    @spec("XEP-0280", "4")
    def test_carbons(self) -> None:
        """Carbons work from the first moment on."""
        client, _jid = self.begin(bind(CARBONS))
        other = self.server.connect().login("romeo", "old").available()
        self.write(other.jid, "m1")
        self.gate.callback(b"")
        _success, _, carbon = client.take()
        self.assertIsNotNone(find(carbon, ns.CARBONS, "received"))

    def test_tooMuch(self) -> None:
        """A login that takes too long while much comes ends."""
        self.write("juliet@example.org", "m0")
        client, jid = self.begin(MANAGED)
        for _ in range(6):
            self.juliet.send(f"<message to='{jid}'><body>{'x' * 200_000}</body></message>")
        self.assertClosed(client, "resource-constraint")
        self.gate.callback(b"")
        self.server.pump()
        self.assertNotIn(jid.partition("/")[2], self.server.host.sessions.get("romeo@example.org", {}))


class EnablingTests(LaterCase):
    """Features enabled along with the resource."""

    def peers(self, inner: str) -> tuple[TestClient, TestClient]:
        """A client that has bound, with a contact that is available."""
        client, _ = self.login(plain("romeo"), bind(inner))
        client.send("<presence/>")
        client.take()
        return client, self.server.connect().login("juliet").available()

    def heard(self, client: TestClient, juliet: TestClient) -> list[str]:
        """What of a chat state and of a message reaches the client, at once."""
        juliet.send(f"<message to='{client.jid}' type='chat'><composing xmlns='{ns.CHAT_STATES}'/></message>")
        return [show(each) for each in client.take()]

    @spec("XEP-0352", "4.2")
    def test_inactive(self) -> None:
        """A session that begins as inactive isn't told of chat states."""
        client, juliet = self.peers(INACTIVE)
        self.assertEqual(self.heard(client, juliet), [])
        client.send(ACTIVE)
        self.assertTrue([each for each in client.take() if find(each, ns.CHAT_STATES, "composing") is not None])

    @spec("XEP-0352", "4.2")
    def test_active(self) -> None:
        """One that begins as active is."""
        for inner in (ACTIVE, ""):
            client, juliet = self.peers(inner)
            self.assertEqual(len(self.heard(client, juliet)), 1)
            client.disconnect()
            juliet.disconnect()

    @spec("XEP-0198", "9.1")
    def test_managedInactive(self) -> None:
        """With stream management what is held back is not counted yet, whichever is asked for first."""
        enable = f"<enable xmlns='{ns.STREAM_MANAGEMENT}' resume='true'/>"
        for inner in (enable + INACTIVE, INACTIVE + enable):
            client, juliet = self.peers(inner)
            session = next(iter(self.server.host.sessions["romeo@example.org"].values()))
            sent = session.slots["xep0198_sm"].queue.sent
            self.assertEqual(self.heard(client, juliet), [])
            self.assertEqual(session.slots["xep0198_sm"].queue.sent, sent)
            client.send("</stream:stream>")
            juliet.disconnect()

    @spec("XEP-0198", "9.1")
    def test_managed(self) -> None:
        """The answer to enabling is in C{<bound/>}."""
        _, success = self.login(plain("romeo"), MANAGED)
        enabled = success.find(f"{{{ns.BIND2}}}bound/{{{ns.STREAM_MANAGEMENT}}}enabled")
        assert enabled is not None
        self.assertEqual(enabled.get("resume"), "true")
        self.assertGreaterEqual(len(enabled.get("id", "")), 22)

    @spec("XEP-0198", "9.1.1")
    def test_notRecorded(self) -> None:
        """A session that can't be recorded can't be resumed, but is managed."""
        store = FailingStore()
        self.server = self.serve(tls=True, store=store)
        client = self.opened()
        store.failWrites = True
        client.send(authenticate("PLAIN", plain("romeo"), MANAGED))
        enabled = find(self.succeeds(client.take()), ns.STREAM_MANAGEMENT, "enabled")
        assert enabled is not None
        self.assertEqual(enabled.attrib, {})
        store.failWrites = 0
        client.send(f"<r xmlns='{ns.STREAM_MANAGEMENT}'/>")
        self.assertIn("a", [split(each.tag)[1] for each in client.take()])


class ArchiveTests(LaterCase):
    """Archive and offline messages (sections 3.2 and 3.2.1)."""

    host = "[host.\"example.org\".features.xep0313_archive]\naccounts = true\n"

    def write(self, *texts: str, type: str = "chat") -> None:
        """Messages to Romeo, who is away."""
        juliet = self.server.connect().login("juliet")
        for text in texts:
            juliet.send(f"<message to='romeo@example.org' type='{type}'><body>{text}</body></message>")
        juliet.disconnect()

    def offline(self) -> int:
        """How many messages wait for him."""
        return int(self.successResultOf(self.server.host.spool.count("romeo@example.org")))

    @spec("XEP-0386", "3.2", "3.2.1")
    @spec("XEP-0313", "5")
    def test_metadata(self) -> None:
        """The ends of the archive at the moment of binding."""
        _, success = self.login(plain("romeo"), BIND)
        metadata = find(success, ns.ARCHIVE, "metadata")
        assert metadata is not None
        self.assertEqual(len(metadata), 0)
        self.write("one", "two", "three")
        _, success = self.login(plain("romeo"), BIND)
        metadata = success.find(f"{{{ns.BIND2}}}bound/{ARCHIVED}metadata")
        assert metadata is not None
        self.assertEqual([split(each.tag)[1] for each in metadata], ["start", "end"])
        self.assertNotEqual(metadata[0].get("id"), metadata[1].get("id"))

    @spec("XEP-0386", "3.2")
    def test_offlineCleared(self) -> None:
        """What is in the archive doesn't come as an offline message, too."""
        self.write("one", "two")
        self.assertEqual(self.offline(), 2)
        client, _ = self.login(plain("romeo"), BIND)
        self.assertEqual(self.offline(), 0)
        client.take()
        client.send("<presence/>")
        self.assertEqual([each for each in client.take() if split(each.tag)[1] == "message"], [])

    def test_notInArchive(self) -> None:
        """What isn't in the archive is not lost."""
        self.write("one")
        self.successResultOf(self.server.host.archives.forget("romeo@example.org"))
        client, _ = self.login(plain("romeo"), BIND)
        self.assertEqual(self.offline(), 1)
        client.take()
        client.send("<presence/>")
        self.assertEqual([each.findtext(f"{{{ns.CLIENT}}}body") for each in client.take() if split(each.tag)[1] == "message"], ["one"])

    def test_withoutArchive(self) -> None:
        """Where there are no archives offline messages come as ever."""
        self.server = self.serve(tls=True)
        self.write("one")
        client, success = self.login(plain("romeo"), BIND)
        self.assertIsNone(find(success, ns.ARCHIVE, "metadata"))
        client.take()
        client.send("<presence/>")
        self.assertEqual(len([each for each in client.take() if split(each.tag)[1] == "message"]), 1)

    def test_unreadable(self) -> None:
        """A store that doesn't answer costs the client its metadata, and nobody a message."""
        store = FailingStore()
        self.server = self.serve(tls=True, host=self.host, store=store)
        self.write("one")

        def broken(session: Any) -> None:
            store.failReads = True

        self.server.host.hooks.bound.addObserver(broken)
        _client, success = self.login(plain("romeo"), BIND)
        self.assertIsNone(find(success, ns.ARCHIVE, "metadata"))
        store.failReads = False
        self.assertEqual(self.offline(), 1)
