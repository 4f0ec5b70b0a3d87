"""Tests of L{xmppd.auth.sasl2}, with the whole server around it: XEP-0388 as a client sees it."""

from __future__ import annotations

import hashlib
import re
from base64 import b64decode, b64encode
from typing import Any

from twisted.internet.defer import Deferred
from zope.interface import implementer
from zope.interface.verify import verifyObject

from tests.auth.later import (
    AGENT,
    BIND,
    FAST,
    GUESTS,
    MANAGED,
    REQUEST,
    LaterCase,
    authenticate,
    find,
    identity,
    plain,
    response,
)
from tests.auth.test_negotiation import logged
from tests.doubles import FailingStore
from tests.marks import spec
from tests.server import DOMAIN, ScramClient, TestClient, auth, keysFor, show, split
from xmppd.auth.sasl2 import ExtensibleSASL, Login
from xmppd.ixmppd import ILogin, ILoginFeature, IStreamFeature
from xmppd.sasl.keys import checkPassword
from xmppd.sasl.scram import downgradeHash
from xmppd.wire import ns
from xmppd.wire.errors import SASLCondition, SASLError

MECHANISM = f"{{{ns.SASL2}}}mechanism"
FEATURES = (ns.STREAMS, "features")
ABORT = f"<abort xmlns='{ns.SASL2}'><text>changed my mind</text></abort>"
PING = f"<iq type='get' id='p' to='{DOMAIN}'><ping xmlns='{ns.PING}'/></iq>"


@implementer(ILoginFeature)
class Demanding:
    """A feature that is negotiated along with a login; does what the test says."""

    rank = 50

    def __init__(self) -> None:
        self.answer: Any = b""
        self.logins: list[ILogin] = []

    def offer(self) -> bytes:
        """See L{ILoginFeature}."""
        return b"<demand xmlns='urn:test'/>"

    async def negotiate(self, login: ILogin) -> bytes:
        """See L{ILoginFeature}."""
        self.logins.append(login)
        if isinstance(self.answer, Exception):
            raise self.answer
        if isinstance(self.answer, Deferred):
            return await self.answer  # type: ignore[no-any-return]
        return self.answer  # type: ignore[no-any-return]


class OfferTests(LaterCase):
    """Section 2.1."""

    def mechanisms(self, client: TestClient) -> list[str]:
        """What is offered in the element itself."""
        assert client.features is not None
        offered = client.features.find(f"{{{ns.SASL2}}}authentication")
        return [] if offered is None else [each.text or "" for each in offered.findall(MECHANISM)]

    @spec("XEP-0388", "2.1")
    @spec("XEP-0440", "2")
    def test_offer(self) -> None:
        """The same mechanisms as in the older profile, the types of channel binding beside them."""
        client = self.opened()
        assert client.features is not None
        older = [each.text for each in client.features.iter(f"{{{ns.SASL}}}mechanism")]
        self.assertEqual(self.mechanisms(client), older)
        self.assertEqual(len(list(client.features.iter(f"{{{ns.SASL_CHANNEL_BINDING}}}sasl-channel-binding"))), 1)

    @spec("XEP-0388", "2.1")
    def test_inline(self) -> None:
        """What can be negotiated along with it is listed."""
        features = self.opened().features
        inline = features.find(f"{{{ns.SASL2}}}authentication/{{{ns.SASL2}}}inline")  # type: ignore[union-attr]
        names = [split(each.tag) for each in inline]  # type: ignore[union-attr]
        self.assertEqual(names, [(ns.FAST, "fast"), (ns.STREAM_MANAGEMENT, "sm"), (ns.BIND2, "bind")])

    @spec("XEP-0388", "2.1")
    def test_stable(self) -> None:
        """The offer doesn't depend on who the client claims to be: nobody learns whether there is an account."""
        offers = set()
        for sender in ("romeo@example.org", "nobody@example.org", "example.org", "@", ""):
            client = self.opened(f"from='{sender}'")
            assert client.features is not None
            offered = client.features.find(f"{{{ns.SASL2}}}authentication")
            assert offered is not None
            offers.add(show(offered))
        self.assertEqual(len(offers), 1)

    @spec("XEP-0388", "3")
    def test_notWithoutTLS(self) -> None:
        """Without TLS it is neither offered nor taken; also where the older profile may be used without."""
        for server in (self.server, self.serve(host=GUESTS)):
            client = server.connect()
            client.open()
            self.assertEqual(self.mechanisms(client), [])
            self.fails(client, authenticate("PLAIN", plain("romeo")), "encryption-required")

    def test_loopback(self) -> None:
        """A connection that doesn't leave the machine needs no TLS where none is required."""
        server = self.serve(host=GUESTS)
        client = server.connect(address="127.0.0.1")
        client.open()
        self.assertIn("ANONYMOUS", self.mechanisms(client))
        client.send(authenticate("ANONYMOUS"))
        self.succeeds(client.take())
        client = self.server.connect(address="127.0.0.1")
        client.open()
        self.assertEqual(self.mechanisms(client), [])

    @spec("XEP-0388", "2.1")
    @spec("mission", "A11")
    def test_guestsOnly(self) -> None:
        """A host for guests alone offers ANONYMOUS alone, and no upgrades of keys."""
        self.server = self.serve(tls=True, host=GUESTS + "accounts = false\n", accounts=())
        client = self.opened()
        self.assertEqual(self.mechanisms(client), ["ANONYMOUS"])
        assert client.features is not None
        self.assertIsNone(find(client.features, ns.SASL_UPGRADE, "upgrade"))

    @spec("XEP-0484", "3.1")
    def test_noEarlyData(self) -> None:
        """Tokens are offered for each channel binding there is and for none, and early data is not."""
        features = self.opened().features
        assert features is not None
        fast = find(features, ns.FAST, "fast")
        assert fast is not None
        names = [each.text for each in fast]
        self.assertEqual(names, ["HT-SHA-256-EXPR", "HT-SHA-256-ENDP", "HT-SHA-256-NONE"])
        self.assertEqual(fast.attrib, {})


class LoginTests(LaterCase):
    """Sections 2.3 to 2.6.1."""

    @spec("XEP-0388", "2.3", "2.6.1", "5.1")
    def test_plain(self) -> None:
        """The success names the user; the features of the stream follow, and it goes on without a restart."""
        client = self.opened()
        client.send(authenticate("PLAIN", plain("romeo")))
        success, features = client.take()
        self.assertEqual(show(self.succeeds([success])).count("<"), 4)
        self.assertEqual(identity(success), "romeo@example.org")
        self.assertEqual(split(features.tag), FEATURES)
        self.assertIsNone(find(features, ns.SASL2, "authentication"))
        self.assertIsNotNone(find(features, ns.BIND, "bind"))
        self.assertEqual(client.bind("orchard"), "romeo@example.org/orchard")

    @spec("XEP-0388", "2.5", "2.6.1")
    def test_scram(self) -> None:
        """Challenge and response; the server's proof is in the success, also with channel binding."""
        client = self.opened()
        self.succeeds(self.scram(client, "romeo"))
        client = self.opened()
        assert client.tls is not None
        data = client.tls.export_keying_material(b"EXPORTER-Channel-Binding", 32, b"")
        success = self.succeeds(
            self.scram(client, "romeo", "SCRAM-SHA-512-PLUS", binding=("tls-exporter", data))
        )
        self.assertIsNotNone(success.find(f"{{{ns.SASL2}}}additional-data"))

    @spec("XEP-0388", "2.2")
    def test_noInitialResponse(self) -> None:
        """Without an initial response the server asks for one with an empty challenge."""
        client = self.opened()
        challenge = client.ask(authenticate("PLAIN"))
        self.assertEqual(split(challenge.tag), (ns.SASL2, "challenge"))
        self.assertFalse(challenge.text)
        client.send(response(plain("romeo")))
        self.assertEqual(identity(self.succeeds(client.take())), "romeo@example.org")

    @spec("XEP-0388", "2.3")
    def test_anonymous(self) -> None:
        """A guest gets a name of its own."""
        client = self.opened()
        client.send(authenticate("ANONYMOUS", b"trace"))
        name = identity(self.succeeds(client.take()))
        self.assertRegex(name, "^[0-9a-f-]{36}@example.org$")

    @spec("XEP-0474", "6.1")
    def test_downgradeHash(self) -> None:
        """SCRAM's hash is of what this profile offers."""
        client = self.opened()
        exchange = ScramClient("SCRAM-SHA-256", "romeo", "romeo")
        challenge = client.ask(authenticate("SCRAM-SHA-256", exchange.first()))
        fields = dict(part.split("=", 1) for part in b64decode(challenge.text or "").decode().split(","))
        assert client.features is not None
        offered = client.features.find(f"{{{ns.SASL2}}}authentication")
        names = [each.text or "" for each in offered.findall(MECHANISM)]  # type: ignore[union-attr]
        bindings = [each.get("type", "") for each in client.features.iter(f"{{{ns.SASL_CHANNEL_BINDING}}}channel-binding")]
        self.assertEqual(fields["h"], downgradeHash(names, bindings, "sha256").decode())

    @spec("XEP-0515", "4.1")
    @spec("mission", "T16")
    def test_tlsVersion(self) -> None:
        """SCRAM says the version of TLS that the server sees."""
        client = self.opened()
        exchange = ScramClient("SCRAM-SHA-256", "romeo", "romeo")
        challenge = client.ask(authenticate("SCRAM-SHA-256", exchange.first()))
        fields = dict(part.split("=", 1) for part in b64decode(challenge.text or "").decode().split(","))
        self.assertEqual(fields["t"], "0304")

    @spec("XEP-0388", "2.4")
    def test_byteByByte(self) -> None:
        """However the bytes come, the answers are the same."""
        answers = []
        for chunk in (1, 7, None):
            client = self.opened()
            client.send(authenticate("PLAIN", plain("romeo"), MANAGED + REQUEST), chunk)
            client.send(PING, chunk)
            kinds = [split(each.tag) for each in client.take()]
            answers.append(kinds)
        self.assertEqual(answers[0], [(ns.SASL2, "success"), FEATURES, (ns.CLIENT, "iq")])
        self.assertEqual(answers, [answers[0]] * 3)

    def test_pipelined(self) -> None:
        """What comes in one segment with the login acts behind it."""
        client = self.opened()
        client.send(authenticate("PLAIN", plain("romeo"), BIND) + PING)
        success, _, pong = client.take()
        self.assertEqual(pong.get("to"), identity(success))

    def test_olderProfileStillThere(self) -> None:
        """A client that knows the older profile alone logs in as ever."""
        client = self.opened()
        self.assertSuccess(client.plain("romeo"))
        client.open()
        client.bind()

    def test_interfaces(self) -> None:
        """What is said to be provided is."""
        feature = next(each for each in self.server.host.streamFeatures if isinstance(each, ExtensibleSASL))
        verifyObject(IStreamFeature, feature)
        demanding = Demanding()
        self.server.host.inline.add(demanding)
        self.login(plain("romeo"))
        self.assertIsInstance(demanding.logins[0], Login)
        verifyObject(ILogin, demanding.logins[0])

    def test_userAgent(self) -> None:
        """Features see what the client says of itself; it is not in the log, but the login is."""
        demanding = Demanding()
        self.server.host.inline.add(demanding)
        with logged() as events:
            self.login(plain("romeo"), "<x xmlns='urn:unknown'/>")
        agent = demanding.logins[0].agent
        self.assertEqual((agent.id, agent.software, agent.device), (AGENT, "Tests", ""))
        texts = [str(event) for event in events]
        self.assertFalse([text for text in texts if AGENT in text])
        self.assertTrue([event for event in events if "authenticated:" in event.get("log_format", "")])


class RefusalTests(LaterCase):
    """Section 2.6.2, and the limits of logins."""

    @spec("XEP-0388", "2.6.2")
    @spec("RFC 6120", "6.5")
    def test_conditions(self) -> None:
        """Each mistake has its condition; the stream lives on."""
        client = self.opened()
        bad = authenticate("PLAIN", plain("romeo"))
        # in this profile = is no base64, an empty element is data of no length
        self.fails(client, re.sub("<initial-response>.*</initial-response>", "<initial-response>=</initial-response>", bad), "incorrect-encoding")
        self.fails(client, authenticate("PLAIN", b""), "malformed-request")
        self.fails(client, authenticate("plain", plain("romeo")), "invalid-mechanism")
        client = self.opened()
        self.fails(client, authenticate("PLAIN", plain("romeo", "wrong")), "not-authorized")
        self.fails(client, authenticate("PLAIN", plain("nobody")), "not-authorized")
        self.fails(client, authenticate("PLAIN", plain("romeo"), agent="no uuid"), "malformed-request")
        client.send(authenticate("PLAIN", plain("romeo")))
        self.succeeds(client.take())

    @spec("XEP-0388", "2.6.2")
    def test_nothingInlineOnFailure(self) -> None:
        """What is asked for along with a login that fails is not done."""
        client = self.opened()
        self.fails(client, authenticate("PLAIN", plain("romeo", "wrong"), BIND + REQUEST), "not-authorized")
        self.assertEqual(self.server.host.sessions, {})

    @spec("XEP-0388", "4.5")
    def test_abort(self) -> None:
        """An exchange can be aborted, and another begun."""
        client = self.opened()
        client.ask(authenticate("SCRAM-SHA-256", ScramClient("SCRAM-SHA-256", "romeo", "romeo").first()))
        self.fails(client, ABORT, "aborted")
        self.succeeds(self.scram(client, "romeo"))

    @spec("XEP-0388", "2.4")
    def test_outOfTurn(self) -> None:
        """Parts of an exchange that doesn't take place."""
        for sent in (response(b"x"), ABORT, f"<next xmlns='{ns.SASL2}' task='x'/>", f"<task-data xmlns='{ns.SASL2}'/>"):
            client = self.opened()
            self.fails(client, sent, "malformed-request")
            self.assertFalse(client.eof)

    @spec("XEP-0388", "2.4")
    def test_otherTraffic(self) -> None:
        """Anything else in the middle of an exchange ends the stream at once."""
        first = ScramClient("SCRAM-SHA-256", "romeo", "romeo").first()
        for sent in (PING, "<message/>", auth("PLAIN", plain("romeo")), authenticate("PLAIN", plain("romeo")),
                     f"<next xmlns='{ns.SASL2}' task='x'/>", "<x xmlns='urn:x'/>"):
            client = self.opened()
            client.ask(authenticate("SCRAM-SHA-256", first))
            client.send(sent)
            self.assertClosed(client, "policy-violation")

    @spec("XEP-0388", "4.8")
    def test_twice(self) -> None:
        """After a success another login is a stream error, with and without a session."""
        for inner, condition in (("", "not-authorized"), (BIND, "unsupported-stanza-type")):
            client, _ = self.login(plain("romeo"), inner)
            client.take()
            client.send(authenticate("PLAIN", plain("romeo")))
            self.assertClosed(client, condition)

    def test_beside(self) -> None:
        """An exchange of the older profile has to end first."""
        client = self.opened()
        client.ask(auth("SCRAM-SHA-256", ScramClient("SCRAM-SHA-256", "romeo", "romeo").first()))
        self.fails(client, authenticate("PLAIN", plain("romeo")), "malformed-request")
        self.assertSuccess(client.plain("romeo"))

    @spec("RFC 6120", "6.4.5")
    def test_fiveTries(self) -> None:
        """After five failures the stream ends; both profiles count together."""
        client = self.opened()
        for _ in range(2):
            self.assertFailure(client.plain("romeo", "wrong"), "not-authorized")
            self.fails(client, authenticate("PLAIN", plain("romeo", "wrong")), "not-authorized")
        client.send(authenticate("PLAIN", plain("romeo", "wrong")))
        self.assertClosed(client, "policy-violation")

    def test_guessing(self) -> None:
        """Wrong passwords count against the address; what can't be guessed doesn't."""
        refused = self.server.server.reception
        client = self.opened()
        for _ in range(3):
            self.fails(client, authenticate("HT-SHA-256-NONE", b"romeo\0" + bytes(32), FAST), "not-authorized")
        counted: list[str] = []
        self.patch(refused, "authenticationFailed", counted.append)
        client = self.opened()
        self.fails(client, authenticate("HT-SHA-256-NONE", b"romeo\0" + bytes(32), FAST), "not-authorized")
        self.assertEqual(counted, [])
        self.fails(client, authenticate("PLAIN", plain("romeo", "wrong")), "not-authorized")
        self.assertEqual(counted, ["192.0.2.1"])

    def test_tooSlow(self) -> None:
        """The time for a login goes on until there is a session."""
        client, _ = self.login(plain("romeo"))
        client.take()
        self.server.advance(self.server.host.limits.unauthenticatedSeconds + 1)
        self.assertClosed(client, "connection-timeout")
        client, _ = self.login(plain("romeo"), BIND)
        client.take()
        self.server.advance(self.server.host.limits.unauthenticatedSeconds + 1)
        self.assertFalse(client.eof)

    def test_tooMuch(self) -> None:
        """Too much before the login ends the stream."""
        client = self.opened()
        client.send(authenticate("PLAIN", plain("romeo", "x" * 100), "<x xmlns='urn:x'>" + "y" * 60_000 + "</x>"))
        client.send(" " * 60_000)
        self.assertClosed(client, "policy-violation")

    @spec("XEP-0388", "2.1")
    def test_foreignSender(self) -> None:
        """Who claims to be of another domain in the header gets a stream error."""
        client = self.opened("from='romeo@example.net'")
        client.send(authenticate("PLAIN", plain("romeo")))
        self.assertClosed(client, "invalid-from")

    @spec("XEP-0388", "2.3", "4.4")
    def test_sender(self) -> None:
        """Who asks for an identity has to be who the header says; who asks for none may leave the header empty."""
        for sender, authzid, right in (
            ("romeo@example.org", "romeo@example.org", True),
            ("Romeo@EXAMPLE.org/x", "romeo@Example.ORG", True),
            ("", "romeo@example.org", True),
            ("romeo@example.org", "", True),
            ("juliet@example.org", "romeo@example.org", False),
            ("example.org", "romeo@example.org", False),
            ("@", "romeo@example.org", False),
        ):
            client = self.opened(f"from='{sender}'" if sender else "")
            sent = authenticate("PLAIN", plain("romeo", authzid=authzid), BIND)
            if right:
                client.send(sent)
                self.succeeds(client.take())
            else:
                self.fails(client, sent, "invalid-authzid")
                self.assertEqual(client.eof, False)
            client.cut()

    def test_storeFails(self) -> None:
        """A store that doesn't answer is a temporary failure."""
        store = FailingStore()
        self.server = self.serve(tls=True, store=store)
        client = self.opened()
        store.failReads = True
        self.fails(client, authenticate("PLAIN", plain("romeo")), "temporary-auth-failure")

    def test_gone(self) -> None:
        """A client that goes while its login is being looked up leaves nothing."""
        store = FailingStore()
        self.server = self.serve(tls=True, store=store)
        for inner in ("", BIND + REQUEST):
            client = self.opened()
            store.holding = True
            client.send(authenticate("PLAIN", plain("romeo"), inner))
            client.cut()
            store.proceed()
            self.server.pump()
            self.assertEqual(self.server.host.sessions, {})


class InlineTests(LaterCase):
    """What is negotiated along with a login."""

    def setUp(self) -> None:
        super().setUp()
        self.demanding = Demanding()
        self.server.host.inline.add(self.demanding)

    @spec("XEP-0388", "2.6.1")
    def test_result(self) -> None:
        """What a feature answers is in the success."""
        self.demanding.answer = b"<result xmlns='urn:test'/>"
        _, success = self.login(plain("romeo"))
        self.assertIsNotNone(find(success, "urn:test", "result"))

    def test_waits(self) -> None:
        """Nothing of the client acts until all are done, and nothing is sent to it."""
        self.demanding.answer = waiting = Deferred()
        client = self.opened()
        client.send(authenticate("PLAIN", plain("romeo"), BIND) + PING)
        self.assertEqual(client.take(), [])
        self.assertEqual(len(self.server.host.sessions["romeo@example.org"]), 1)
        waiting.callback(b"<late xmlns='urn:test'/>")
        success, _, pong = client.take()
        self.assertIsNotNone(find(self.succeeds([success]), "urn:test", "late"))
        self.assertEqual(pong.get("type"), "result")

    def test_fails(self) -> None:
        """A feature that can't do what is asked fails the login: the stream ends, and so does the session."""
        self.demanding.answer = SASLError(SASLCondition.TEMPORARY_AUTH_FAILURE, "not now")
        for inner in ("", BIND):
            client = self.opened()
            client.send(authenticate("PLAIN", plain("romeo"), inner))
            failure, *rest = client.take()
            self.assertEqual(split(failure[0].tag), (ns.SASL, "temporary-auth-failure"))
            self.assertEqual(failure.findtext(f"{{{ns.SASL2}}}text"), "not now")
            self.assertEqual(rest, [])
            self.assertTrue(client.streamClosed)
            self.assertEqual(self.server.host.sessions, {})

    def test_breaks(self) -> None:
        """A mistake of ours is logged and ends the stream with the session nobody has heard of."""
        self.demanding.answer = ZeroDivisionError()
        client = self.opened()
        client.send(authenticate("PLAIN", plain("romeo"), BIND))
        self.assertClosed(client, "internal-server-error")
        self.assertEqual(self.server.host.sessions, {})
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_goneMeanwhile(self) -> None:
        """A client that goes while something is negotiated leaves no session."""
        for end in (TestClient.cut, lambda client: client.send("</stream:stream>")):
            self.demanding.answer = waiting = Deferred()
            client = self.opened()
            client.send(authenticate("PLAIN", plain("romeo"), MANAGED))
            end(client)
            client.cut()
            waiting.callback(b"")
            self.server.pump()
            self.assertEqual(self.server.host.sessions, {})


class UpgradeTests(LaterCase):
    """XEP-0480: keys for another hash."""

    def setUp(self) -> None:
        super().setUp()
        self.accounts = self.server.store.accounts
        self.accounts.create("old@example.org", keysFor("old")[:1], 0.0)

    def keys(self, hashName: str) -> Any:
        """The stored keys."""
        return self.successResultOf(self.accounts.keys("old@example.org", hashName))[1]

    def wanted(self, *names: str) -> str:
        """Elements that ask for upgrades."""
        return "".join(f"<upgrade xmlns='{ns.SASL_UPGRADE}'>{name}</upgrade>" for name in names)

    def begun(self, *names: str) -> tuple[TestClient, list[Any]]:
        """A client that has proved its old keys."""
        client = self.opened()
        return client, self.scram(client, "old", "SCRAM-SHA-1", self.wanted(*names))

    def salt(self, client: TestClient, name: str) -> Any:
        """Begin a task; answers what it asks."""
        task = client.ask(f"<next xmlns='{ns.SASL2}' task='{name}'/>")
        self.assertEqual(split(task.tag), (ns.SASL2, "task-data"), show(task))
        return task[0]

    def answer(self, salt: Any, hashName: str, password: str = "old") -> str:
        """What a client answers."""
        salted = hashlib.pbkdf2_hmac(hashName, password.encode(), b64decode(salt.text), int(salt.get("iterations")))
        data = b64encode(salted).decode()
        return f"<task-data xmlns='{ns.SASL2}'><hash xmlns='{ns.SCRAM_UPGRADE}'>{data}</hash></task-data>"

    @spec("XEP-0480", "2.1")
    def test_offer(self) -> None:
        """The tasks there are stand beside the mechanisms."""
        features = self.opened().features
        assert features is not None
        names = [each.text for each in features.iter(f"{{{ns.SASL_UPGRADE}}}upgrade")]
        self.assertEqual(names, ["UPGR-SCRAM-SHA-256", "UPGR-SCRAM-SHA-512"])

    @spec("XEP-0480", "2.2", "2.3", "3")
    @spec("XEP-0388", "2.6.3")
    def test_upgrades(self) -> None:
        """Both tasks, one after the other; the server's proof is in the first answer, the success in the last."""
        client, answers = self.begun("UPGR-SCRAM-SHA-256", "UPGR-SCRAM-SHA-512")
        (goOn,) = answers
        self.assertEqual(split(goOn.tag), (ns.SASL2, "continue"))
        self.assertIsNotNone(goOn.find(f"{{{ns.SASL2}}}additional-data"))
        tasks = f"{{{ns.SASL2}}}tasks/{{{ns.SASL2}}}task"
        self.assertEqual([each.text for each in goOn.iterfind(tasks)], ["UPGR-SCRAM-SHA-256"])
        salt = self.salt(client, "UPGR-SCRAM-SHA-256")
        self.assertEqual(split(salt.tag), (ns.SCRAM_UPGRADE, "salt"))
        self.assertGreaterEqual(int(salt.get("iterations")), 4096)
        goOn = client.ask(self.answer(salt, "sha256"))
        self.assertIsNone(goOn.find(f"{{{ns.SASL2}}}additional-data"))
        self.assertEqual([each.text for each in goOn.iterfind(tasks)], ["UPGR-SCRAM-SHA-512"])
        client.send(self.answer(self.salt(client, "UPGR-SCRAM-SHA-512"), "sha512"))
        success = self.succeeds(client.take())
        self.assertEqual(identity(success), "old@example.org")
        self.assertIsNone(success.find(f"{{{ns.SASL2}}}additional-data"))
        for hashName in ("sha256", "sha512"):
            self.assertTrue(checkPassword(self.keys(hashName), "old"))
        client = self.opened()
        self.succeeds(self.scram(client, "old", "SCRAM-SHA-512"))

    @spec("XEP-0480", "4")
    def test_oldKeysStay(self) -> None:
        """The older keys stay."""
        before = self.keys("sha1")
        self.test_upgrades()
        self.assertEqual(self.keys("sha1"), before)

    def test_thenInline(self) -> None:
        """What comes along with the login comes behind the tasks, and not before."""
        client = self.opened()
        answers = self.scram(client, "old", "SCRAM-SHA-1", self.wanted("UPGR-SCRAM-SHA-256") + BIND)
        self.assertEqual(split(answers[0].tag)[1], "continue")
        self.assertEqual(self.server.host.sessions, {})
        client.send(self.answer(self.salt(client, "UPGR-SCRAM-SHA-256"), "sha256"))
        self.assertIsNotNone(find(self.succeeds(client.take()), ns.BIND2, "bound"))

    def test_needless(self) -> None:
        """What an account has needs no task; unknown tasks are ignored."""
        client = self.opened()
        self.succeeds(self.scram(client, "romeo", inner=self.wanted("UPGR-SCRAM-SHA-512", "UPGR-BLOOP2")))

    def test_passwordOnly(self) -> None:
        """Who has proved nothing about the password can add no keys."""
        client, _ = self.login(None, self.wanted("UPGR-SCRAM-SHA-256"), "ANONYMOUS")
        self.assertFalse(client.eof)

    def test_changedMeanwhile(self) -> None:
        """Keys of a password that was changed meanwhile are not added."""
        client, _ = self.begun("UPGR-SCRAM-SHA-256")
        salt = self.salt(client, "UPGR-SCRAM-SHA-256")
        self.accounts.setKeys("old@example.org", keysFor("new", 5000)[:1])
        client.send(self.answer(salt, "sha256"))
        self.succeeds(client.take())
        self.assertIsNone(self.keys("sha256"))

    @spec("XEP-0388", "2.6.3")
    def test_mistakes(self) -> None:
        """A task not offered, data out of turn, a hash of another length: the login fails."""
        name = "UPGR-SCRAM-SHA-256"
        short = f"<task-data xmlns='{ns.SASL2}'><hash xmlns='{ns.SCRAM_UPGRADE}'>AAAA</hash></task-data>"
        nothing = f"<task-data xmlns='{ns.SASL2}'/>"
        for sent in (
            [f"<next xmlns='{ns.SASL2}' task='UPGR-SCRAM-SHA-512'/>"],
            [f"<next xmlns='{ns.SASL2}'/>"],
            [nothing],
            [f"<next xmlns='{ns.SASL2}' task='{name}'/>", f"<next xmlns='{ns.SASL2}' task='{name}'/>"],
            [f"<next xmlns='{ns.SASL2}' task='{name}'/>", short],
            [f"<next xmlns='{ns.SASL2}' task='{name}'/>", nothing],
        ):
            client, _ = self.begun(name)
            for each in sent[:-1]:
                client.ask(each)
            self.fails(client, sent[-1], "malformed-request")
            self.succeeds(self.scram(client, "old", "SCRAM-SHA-1"))
        self.assertIsNone(self.keys("sha256"))

    def test_abort(self) -> None:
        """A task can be aborted: nobody is logged in."""
        client, _ = self.begun("UPGR-SCRAM-SHA-256")
        self.fails(client, ABORT, "aborted")
        client.send(PING)
        self.assertClosed(client, "not-authorized")

    @spec("XEP-0388", "2.4")
    def test_otherTraffic(self) -> None:
        """Between tasks nothing else may come: a login that isn't complete is none."""
        for sent in (PING, response(b"x"), authenticate("PLAIN", plain("romeo"))):
            client, _ = self.begun("UPGR-SCRAM-SHA-256")
            client.send(sent)
            self.assertClosed(client, "policy-violation")

    def test_storeFails(self) -> None:
        """Keys that can't be stored keep nobody out."""
        store = FailingStore(self.server.store)
        self.server = self.serve(tls=True, store=store, accounts=())
        client, _ = self.begun("UPGR-SCRAM-SHA-256")
        salt = self.salt(client, "UPGR-SCRAM-SHA-256")
        store.failWrites = 1
        client.send(self.answer(salt, "sha256"))
        self.succeeds(client.take())
