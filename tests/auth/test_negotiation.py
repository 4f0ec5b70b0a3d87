"""Tests of L{xmppd.auth.negotiation}, with the whole server around it: RFC 6120 section 6 as a client sees it."""

from __future__ import annotations

import re
import uuid
from base64 import b64decode
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from OpenSSL import SSL
from twisted.logger import globalLogPublisher

from tests.doubles import FailingStore
from tests.marks import spec
from tests.server import (
    DOMAIN,
    MemoryServer,
    ScramClient,
    ServerCase,
    TestClient,
    auth,
    keysFor,
    response,
    show,
    split,
)
from xmppd.sasl.keys import checkPassword
from xmppd.wire import ns

MECHANISM = f"{{{ns.SASL}}}mechanism"
MECHANISMS = f"{{{ns.SASL}}}mechanisms"
BINDINGS = f"{{{ns.SASL_CHANNEL_BINDING}}}sasl-channel-binding"
ABORT = f"<abort xmlns='{ns.SASL}'/>"

GUESTS = "guests = 'public'\n"


@contextmanager
def logged() -> Iterator[list[dict[str, Any]]]:
    """What is logged meanwhile."""
    events: list[dict[str, Any]] = []
    globalLogPublisher.addObserver(events.append)
    try:
        yield events
    finally:
        globalLogPublisher.removeObserver(events.append)


class SASLCase(ServerCase):
    """A server without TLS and a client that has opened a stream."""

    def setUp(self) -> None:
        self.server = self.serve()
        self.client = self.opened()

    def opened(self, server: MemoryServer | None = None, address: str = "192.0.2.1") -> TestClient:
        """A client whose stream is open."""
        client = (server or self.server).connect(address=address)
        client.open()
        return client

    def mechanisms(self, client: TestClient) -> list[str]:
        """What is offered to it."""
        assert client.features is not None
        return [each.text or "" for each in client.features.iter(MECHANISM)]

    def assertAlive(self, client: TestClient) -> None:
        """The stream goes on: a login succeeds."""
        self.assertFalse(client.eof)
        self.assertSuccess(client.plain("romeo"))


class OfferTests(SASLCase):
    """Which mechanisms are offered (sections 6.3.1, 6.3.3, 6.4.1)."""

    @spec("RFC 6120", "6.3.3", "6.4.1", "13.8.3")
    def test_order(self) -> None:
        """Stronger mechanisms come first."""
        self.assertEqual(self.mechanisms(self.client), ["SCRAM-SHA-512", "SCRAM-SHA-256", "SCRAM-SHA-1", "PLAIN"])

    @spec("RFC 6120", "6.3.1", "6.3.4", "13.9.1")
    def test_nothingBeforeTLS(self) -> None:
        """Where TLS is required there is nothing to choose from before it, and PLAIN is not offered without it."""
        server = self.serve(tls=True)
        self.assertEqual(self.mechanisms(self.opened(server)), [])
        server = self.serve(host="plain_without_tls = false\n")
        self.assertNotIn("PLAIN", self.mechanisms(self.opened(server)))

    @spec("XEP-0440", "2")
    def test_channelBinding(self) -> None:
        """Under TLS the forms with channel binding come first, with the types that can be used."""
        client = self.opened(self.serve(tls=True))
        client.startTLS()
        features = client.open()
        assert features is not None
        self.assertEqual(self.mechanisms(client)[:3], [f"SCRAM-SHA-{n}-PLUS" for n in (512, 256, 1)])
        bindings = features.find(BINDINGS)
        assert bindings is not None
        self.assertEqual({each.get("type") for each in bindings}, {"tls-exporter", "tls-server-end-point"})
        self.assertIsNone(self.client.features.find(BINDINGS))  # type: ignore[union-attr]

    @spec("XEP-0175", "3")
    def test_anonymous(self) -> None:
        """ANONYMOUS is offered where guests are let in, last; alone where there are only guests."""
        self.assertEqual(self.mechanisms(self.opened(self.serve(host=GUESTS)))[-1], "ANONYMOUS")
        server = self.serve(host=GUESTS + "accounts = false\n", accounts=())
        self.assertEqual(self.mechanisms(self.opened(server)), ["ANONYMOUS"])


    def test_reconfigured(self) -> None:
        """After a reload: what is forbidden now is not offered; what is allowed now needs a start, and isn't either."""
        server = self.serve(host=GUESTS)
        server.host.reconfigure(replace(server.host.config, guests="off"), server.host.limits)
        self.assertNotIn("ANONYMOUS", self.mechanisms(self.opened(server)))
        self.server.host.reconfigure(replace(self.server.host.config, guests="public"), self.server.host.limits)
        client = self.opened()
        self.assertNotIn("ANONYMOUS", self.mechanisms(client))
        self.assertFailure(client.anonymous(), "invalid-mechanism")


class LoginTests(SASLCase):
    """Logins that succeed."""

    @spec("RFC 6120", "6.4.2", "6.4.6")
    def test_plain(self) -> None:
        """PLAIN; the success carries nothing, and the stream is restarted."""
        success = self.client.plain("romeo")
        self.assertSuccess(success)
        self.assertIn(success.text, (None, ""))
        self.client.open()
        self.assertEqual(self.client.bind("orchard"), "romeo@example.org/orchard")

    @spec("RFC 6120", "6.4.2")
    def test_withoutInitialResponse(self) -> None:
        """Without an initial response the server asks for it by an empty challenge."""
        challenge = self.client.ask(auth("PLAIN"))
        self.assertEqual((split(challenge.tag), challenge.text), ((ns.SASL, "challenge"), None))
        self.assertSuccess(self.client.ask(response(b"\0romeo\0romeo")))

    @spec("RFC 6120", "6.4.3", "6.4.6", "13.8.1")
    def test_scram(self) -> None:
        """Each SCRAM; the server proves with the success that it knows the keys."""
        for name in ("SCRAM-SHA-1", "SCRAM-SHA-256", "SCRAM-SHA-512"):
            client = self.opened()
            self.assertSuccess(client.scram("romeo", mechanism=name))

    @spec("RFC 6120", "13.8.1", "13.9.4")
    @spec("RFC 9266", "2")
    def test_scramPlus(self) -> None:
        """SCRAM bound to the channel, by both types that TLS 1.3 has; a wrong binding fails."""
        server = self.serve(tls=True)
        for type in ("tls-exporter", "tls-server-end-point"):
            client = self.opened(server)
            client.startTLS()
            client.open()
            assert client.tls is not None
            if type == "tls-exporter":
                data = client.tls.export_keying_material(b"EXPORTER-Channel-Binding", 32, b"")
            else:
                certificate = client.tls.get_peer_certificate(as_cryptography=True)
                from cryptography.hazmat.primitives import hashes
                data = certificate.fingerprint(hashes.SHA256())  # type: ignore[union-attr]
            self.assertFailure(client.scram("romeo", mechanism="SCRAM-SHA-1-PLUS", binding=(type, b"x" * 32)), "not-authorized")
            self.assertSuccess(client.scram("romeo", mechanism="SCRAM-SHA-256-PLUS", binding=(type, data)))

    @spec("RFC 5929", "3")
    def test_tlsUnique(self) -> None:
        """Below TLS 1.3 there is tls-unique too."""
        client = self.opened(self.serve(tls=True))
        context = SSL.Context(SSL.TLS_CLIENT_METHOD)
        context.set_max_proto_version(SSL.TLS1_2_VERSION)
        client.startTLS(context=context)
        client.open()
        assert client.tls is not None
        data = client.tls.get_finished()
        assert data is not None
        self.assertSuccess(client.scram("romeo", mechanism="SCRAM-SHA-1-PLUS", binding=("tls-unique", data)))

    @spec("XEP-0515", "4.1")
    @spec("mission", "T16")
    def test_tlsVersion(self) -> None:
        """SCRAM says the version of TLS that the server sees, below 1.3 too; without TLS it says nothing."""
        older = SSL.Context(SSL.TLS_CLIENT_METHOD)
        older.set_max_proto_version(SSL.TLS1_2_VERSION)
        secure = self.serve(tls=True)
        for context, digits in ((SSL.Context(SSL.TLS_CLIENT_METHOD), "0304"), (older, "0303"), (None, None)):
            client = self.client
            if context is not None:
                client = self.opened(secure)
                client.startTLS(context=context)
                client.open()
            challenge = client.ask(auth("SCRAM-SHA-256", ScramClient("SCRAM-SHA-256", "romeo", "romeo").first()))
            fields = dict(part.split("=", 1) for part in b64decode(challenge.text or "").decode().split(","))
            self.assertEqual(fields.get("t"), digits)

    @spec("RFC 5802", "6")
    def test_downgrade(self) -> None:
        """A client that believes the server has no channel binding, where it has: somebody is in between."""
        client = self.opened(self.serve(tls=True))
        client.startTLS()
        client.open()
        self.assertFailure(client.scram("romeo", flag="y"), "not-authorized")

    @spec("RFC 6120", "6.3.7")
    def test_userNames(self) -> None:
        """The name is a localpart, prepared; a bare JID of the domain does too."""
        for name in ("Romeo", "romeo@example.org", "ROMEO@EXAMPLE.ORG", "\N{FULLWIDTH LATIN SMALL LETTER R}omeo"):
            client = self.opened()
            self.assertSuccess(client.plain(name, "romeo"))
            client.open()
            self.assertTrue(client.bind().startswith("romeo@example.org/"))

    @spec("RFC 6120", "6.3.8", "6.5.6")
    def test_authzid(self) -> None:
        """The authorization identity may be the user's own bare JID, and nobody else's."""
        for own in ("romeo@example.org", "ROMEO@example.org"):
            self.assertSuccess(self.opened().plain("romeo", authzid=own))
            self.assertSuccess(self.opened().scram("romeo", authzid=own))
        for other in ("juliet@example.org", "romeo@example.org/x", "romeo@example.com", "admin@example.org", "romeo", "@"):
            client = self.opened()
            self.assertFailure(client.plain("romeo", authzid=other), "invalid-authzid")
            self.assertFailure(client.scram("romeo", authzid=other), "invalid-authzid")
            self.assertFailure(client.plain("romeo", "wrong", authzid=other), "not-authorized")

    @spec("RFC 6120", "6.4.6")
    def test_secondLogin(self) -> None:
        """After a success there is no other login on this stream."""
        self.client.plain("romeo")
        self.client.open()
        self.client.send(auth("PLAIN", b"\0juliet\0juliet"))
        self.assertClosed(self.client, "not-authorized")

    def test_passwordsBeyondASCII(self) -> None:
        """Passwords are prepared on both ways."""
        self.server.account("bob", "n\N{LATIN SMALL LETTER U WITH DIAERESIS}rnberg")
        self.assertSuccess(self.opened().plain("bob", "nu\N{COMBINING DIAERESIS}rnberg"))


class FailureTests(SASLCase):
    """Logins that fail (sections 6.4.4, 6.4.5, 6.5), and leave the stream alive."""

    @spec("RFC 6120", "6.4.4", "6.5.1")
    def test_abort(self) -> None:
        """The client gives up in the middle."""
        self.client.ask(auth("SCRAM-SHA-256", b"n,,n=romeo,r=abc"))
        self.assertFailure(self.client.ask(ABORT), "aborted")
        self.assertFailure(self.client.ask(response(b"c=biws,r=abc,p=eA==")), "malformed-request")
        self.assertAlive(self.client)

    @spec("RFC 6120", "6.4.5", "6.5.10")
    def test_wrongPassword(self) -> None:
        """A wrong password; the client may try again."""
        self.assertFailure(self.client.plain("romeo", "wrong"), "not-authorized")
        self.assertFailure(self.client.scram("romeo", "wrong"), "not-authorized")
        self.assertAlive(self.client)

    @spec("RFC 6120", "6.4.5", "4.9.3.14")
    def test_fiveTries(self) -> None:
        """After the fifth failure, of whatever kind, the stream is closed."""
        for kinds in ("wwwww", "wamgr"):
            client = self.opened()
            for kind in kinds:
                client.send({
                    "w": auth("PLAIN", b"\0romeo\0wrong"),
                    "a": ABORT,
                    "m": auth("UNKNOWN"),
                    "g": auth("PLAIN", b"garbage"),
                    "r": response(b"x"),
                }[kind])
            taken = client.take()
            self.assertEqual([split(each.tag)[1] for each in taken], ["failure"] * 5 + ["error"])
            self.assertEqual(split(taken[-1][0].tag)[1], "policy-violation")
            self.assertTrue(client.streamClosed and client.eof)

    @spec("RFC 6120", "6.4.5")
    def test_fewerTries(self) -> None:
        """The limit can be lower."""
        client = self.opened(self.serve("sasl_tries = 2"))
        client.plain("romeo", "wrong")
        client.send(auth("PLAIN", b"\0romeo\0wrong"))
        self.assertClosed(client, "policy-violation")

    def test_triesBeyondTheLimitAreIgnored(self) -> None:
        """What comes in the same segment after the last try is not tried."""
        self.client.send(auth("PLAIN", b"\0romeo\0wrong") * 5 + auth("PLAIN", b"\0romeo\0romeo"))
        names = [split(each.tag)[1] for each in self.client.take()]
        self.assertEqual(names, ["failure"] * 5 + ["error"])

    @spec("RFC 6120", "6.5.2")
    def test_disabled(self) -> None:
        """A disabled account: said to who knows the password, and to nobody else."""
        self.server.store.accounts.setDisabled("romeo@example.org", True)
        self.assertFailure(self.client.plain("romeo"), "account-disabled")
        self.assertFailure(self.client.scram("romeo"), "account-disabled")
        self.assertFailure(self.client.plain("romeo", "wrong"), "not-authorized")
        self.assertFailure(self.client.scram("romeo", "wrong"), "not-authorized")

    @spec("RFC 6120", "6.5.4")
    def test_encryptionRequired(self) -> None:
        """A login without TLS where that is required, whatever the mechanism."""
        for name in ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-256-PLUS", "ANONYMOUS", "UNKNOWN"):
            client = self.opened(self.serve(tls=True))
            self.assertFailure(client.ask(auth(name, b"\0romeo\0romeo")), "encryption-required")
        client = self.opened(self.serve(host="plain_without_tls = false\n"))
        self.assertFailure(client.plain("romeo"), "encryption-required")
        self.assertSuccess(client.scram("romeo"))

    @spec("RFC 6120", "6.5.5")
    def test_incorrectEncoding(self) -> None:
        """What is no base64."""
        for text in ("*", "a", "AHJvbWVv AHJvbWVv", "AHJvbWVvAHJvbWVv\n", "AHJ=bWVv", "=AHJvbWVv", "AA", "AB=="):
            client = self.opened()
            answer = client.ask(f"<auth xmlns='{ns.SASL}' mechanism='PLAIN'>{text}</auth>")
            self.assertFailure(answer, "incorrect-encoding")
            client.ask(auth("PLAIN"))
            self.assertFailure(client.ask(f"<response xmlns='{ns.SASL}'>{text}</response>"), "incorrect-encoding")
            self.assertAlive(client)

    @spec("RFC 6120", "6.5.7", "6.4.2")
    def test_invalidMechanism(self) -> None:
        """A mechanism that isn't offered; names are exact."""
        for name in ("UNKNOWN", "ANONYMOUS", "EXTERNAL", "plain", "PLAIN ", "", "SCRAM-SHA-256-PLUS", "X" * 5000):
            client = self.opened()
            self.assertFailure(client.ask(auth(name, b"\0romeo\0romeo")), "invalid-mechanism")
            self.assertAlive(client)
        self.assertFailure(self.client.ask(f"<auth xmlns='{ns.SASL}'/>"), "invalid-mechanism")

    @spec("RFC 6120", "6.5.8")
    def test_malformedRequest(self) -> None:
        """Data that the mechanism can't read."""
        for mechanism, data in (
            ("PLAIN", b""), ("PLAIN", b"romeo"), ("PLAIN", b"\0romeo"), ("PLAIN", b"a\0b\0c\0d"), ("PLAIN", b"\0\0pass"),
            ("PLAIN", b"\0romeo\0"), ("PLAIN", b"\0\xff\0pass"), ("PLAIN", b"\0" + b"r" * 5000 + b"\0pass"),
            ("SCRAM-SHA-256", b""), ("SCRAM-SHA-256", b"n,,r=abc"), ("SCRAM-SHA-256", b"p=x,,n=romeo,r=abc"),
            ("SCRAM-SHA-256", b"n,,n=romeo"), ("SCRAM-SHA-256", b"n,,m=x,n=romeo,r=abc"),
        ):
            client = self.opened()
            self.assertFailure(client.ask(auth(mechanism, data)), "malformed-request")
            self.assertAlive(client)

    def test_outOfTurn(self) -> None:
        """A response or an abort that belongs to nothing, and a login while another is under way."""
        self.assertFailure(self.client.ask(response(b"x")), "malformed-request")
        self.assertFailure(self.client.ask(ABORT), "malformed-request")
        self.client.ask(auth("SCRAM-SHA-256", b"n,,n=romeo,r=abc"))
        self.assertFailure(self.client.ask(auth("PLAIN", b"\0romeo\0romeo")), "malformed-request")
        self.assertAlive(self.client)

    def test_elementsInsideElements(self) -> None:
        """Elements where data is due are not data."""
        answer = self.client.ask(f"<auth xmlns='{ns.SASL}' mechanism='PLAIN'><a>AHJvbWVvAHJvbWVv</a></auth>")
        self.assertEqual(split(answer.tag)[1], "challenge")
        self.assertSuccess(self.client.ask(response(b"\0romeo\0romeo")))

    def test_replayedProof(self) -> None:
        """A proof is good once: the same messages don't log in again."""
        self.client.ask(auth("SCRAM-SHA-256", b"n,,n=romeo,r=abc"))
        self.assertFailure(self.client.ask(response(b"c=biws,r=abc,p=" + b"A" * 43 + b"=")), "malformed-request")
        self.assertAlive(self.client)

    @spec("RFC 6120", "6.5.11")
    def test_temporaryFailure(self) -> None:
        """The store doesn't answer: a temporary failure, no traceback; later all is well."""
        store = FailingStore()
        server = self.serve(store=store)
        client = self.opened(server)
        store.failReads = True
        for answer in (client.plain("romeo"), client.scram("romeo")):
            self.assertFailure(answer, "temporary-auth-failure")
        store.failReads = 0
        self.assertAlive(client)

    def test_storeFailsWhileBinding(self) -> None:
        """The store doesn't answer while a resource is bound: the client may try again."""
        store = FailingStore()
        server = self.serve(store=store)
        client = self.opened(server)
        client.plain("romeo")
        client.open()
        store.failReads = True
        answer = client.ask(f"<iq type='set' id='1'><bind xmlns='{ns.BIND}'/></iq>")
        self.assertError(answer, "resource-constraint", "wait")
        store.failReads = 0
        self.assertTrue(client.bind())


class SlowTests(SASLCase):
    """Keys that take their time to be derived."""

    def setUp(self) -> None:
        super().setUp()
        self.server.threads.holding = True

    def test_nothingActsMeanwhile(self) -> None:
        """While a password is checked nothing else of the client acts, and nothing is read."""
        self.client.send(auth("PLAIN", b"\0romeo\0wrong") + auth("PLAIN", b"\0romeo\0romeo"))
        self.assertEqual(self.client.take(), [])
        self.assertFalse(self.client.transport.reading)
        self.server.threads.proceed()
        self.assertFailure(self.client.one(), "not-authorized")
        self.server.threads.proceed()
        self.assertSuccess(self.client.one())
        self.server.pump()
        self.assertTrue(self.client.transport.reading)
        self.client.open()
        self.client.bind()

    def test_nothingIsCarriedOver(self) -> None:
        """What was sent for the stream before the login doesn't act in the one after."""
        self.client.send(auth("PLAIN", b"\0romeo\0romeo") + f"<iq type='set' id='1'><bind xmlns='{ns.BIND}'/></iq>")
        self.server.threads.proceed()
        self.assertSuccess(self.client.one())
        self.assertEqual(self.server.host.sessions, {})

    def test_goneMeanwhile(self) -> None:
        """A client that goes while its password is checked has not logged in."""
        self.client.send(auth("PLAIN", b"\0romeo\0romeo"))
        self.client.cut()
        self.server.threads.proceed()
        self.server.pump()
        self.assertEqual(self.server.host.sessions, {})

    def test_timeoutMeanwhile(self) -> None:
        """Time runs out while the password is checked: nothing comes behind the end of the stream."""
        self.client.send(auth("PLAIN", b"\0romeo\0romeo"))
        self.server.advance(self.server.host.limits.unauthenticatedSeconds + 1)
        self.assertClosed(self.client, "connection-timeout")
        self.server.threads.proceed()
        self.assertTrue(self.client.raw.endswith(b"</stream:stream>"))

    def test_queueIsBounded(self) -> None:
        """So many passwords may wait to be checked; to others the server says that it is busy."""
        server = self.serve("pbkdf2_queue = 3")
        server.threads.holding = True
        clients = [self.opened(server) for _ in range(4)]
        for client in clients:
            client.send(auth("PLAIN", b"\0romeo\0romeo"))
        self.assertFailure(clients[3].one(), "temporary-auth-failure")
        self.assertEqual(server.threads.proceed(), 3)
        for client in clients[:3]:
            self.assertSuccess(client.one())
        clients[3].send(auth("PLAIN", b"\0romeo\0romeo"))
        server.threads.proceed()
        self.assertSuccess(clients[3].one())


@spec("RFC 6120", "13.11")
@spec("RFC 5802", "9")
class UnknownUserTests(SASLCase):
    """Nobody can tell from the answers who has an account."""

    def setUp(self) -> None:
        self.server = self.serve(iterations=10_000)
        self.server.account("known", "secret", iterations=10_000)

    def plainly(self, name: str) -> tuple[str, int]:
        """The answer to a wrong password, and how many derivations it took."""
        before = self.server.threads.calls.count(checkPassword)
        client = self.opened()
        answer = show(client.plain(name, "wrong"))
        return answer, self.server.threads.calls.count(checkPassword) - before

    def test_plain(self) -> None:
        """PLAIN: the same answer after the same work."""
        known = self.plainly("known")
        self.assertEqual(known[1], 1)
        for unknown in ("unknown", "unknown@example.org"):
            self.assertEqual(self.plainly(unknown), known)

    def scrammed(self, name: str) -> tuple[str, list[str]]:
        """The answer to a wrong password, and what is in the challenge, by shape."""
        client = self.opened()
        challenge = client.ask(auth("SCRAM-SHA-256", f"n,,n={name},r=abc".encode()))
        text = b64decode(challenge.text or "").decode()
        salt = dict(part.split("=", 1) for part in text.split(","))["s"]
        shape = re.sub(r"r=abc[^,]*", "r=", text.replace(salt, "s" * len(salt)))
        return show(client.scram(name, "wrong")) if not client.ask(ABORT).text else "", [shape]

    def test_scram(self) -> None:
        """SCRAM: challenges of the same shape, then the same answer."""
        self.assertEqual(self.scrammed("unknown"), self.scrammed("known"))

    def test_saltsStay(self) -> None:
        """An unknown user's salt is always the same, as a known user's is; also in other spellings."""
        salts = set()
        for name in ("unknown", "Unknown", "unknown@example.org"):
            challenge = self.opened().ask(auth("SCRAM-SHA-256", f"n,,n={name},r=abc".encode()))
            salts.add(b64decode(challenge.text or "").decode().partition(",s=")[2])
        self.assertEqual(len(salts), 1)

    def test_namesThatCantBe(self) -> None:
        """Names that no account can have fail like those of unknown users."""
        expected = show(self.opened().plain("unknown", "x"))
        for name in ("a b", "x@example.com", "@", "a/b", "\N{COMBINING DIAERESIS}", "x" * 1100):
            self.assertEqual(show(self.opened().plain(name, "x")), expected)
            if "=" not in name and len(name) < 1000:
                self.assertFailure(self.opened().scram(name, "x"), "not-authorized")

    def test_otherHashes(self) -> None:
        """An account without keys for a hash can't log in by it, and doesn't show it."""
        self.server.store.accounts.setKeys("known@example.org", keysFor("secret", 10_000)[1:2])
        client = self.opened()
        self.assertFailure(client.scram("known", "secret", "SCRAM-SHA-1"), "not-authorized")
        self.assertSuccess(client.scram("known", "secret", "SCRAM-SHA-256"))


class AddressTests(SASLCase):
    """Failed logins are counted by address."""

    def test_tooMany(self) -> None:
        """After so many in a minute an address can't log in for a while, even rightly; others can."""
        server = self.serve("auth_failures_per_minute = 3")
        for _ in range(3):
            self.assertFailure(self.opened(server).plain("romeo", "wrong"), "not-authorized")
        self.assertFailure(self.opened(server).plain("romeo"), "temporary-auth-failure")
        self.assertSuccess(self.opened(server, "192.0.2.2").plain("romeo"))
        server.advance(121)
        self.assertSuccess(self.opened(server).plain("romeo"))

    def test_refusalsDontProlong(self) -> None:
        """Logins that were refused for that reason, aborted or garbled are no guesses, and don't count."""
        server = self.serve("auth_failures_per_minute = 3")
        client = self.opened(server)
        for data in (ABORT, auth("UNKNOWN"), auth("PLAIN", b"x"), auth("PLAIN", b"")):
            client.ask(data)
        self.assertSuccess(self.opened(server).plain("romeo"))

    def test_limitOff(self) -> None:
        """The limit can be switched off, alone or with all limits of pace."""
        for limits in ("auth_failures_per_minute = 0", "enabled = false"):
            server = self.serve(limits)
            for _ in range(40):
                self.opened(server).plain("romeo", "wrong")
            self.assertSuccess(self.opened(server).plain("romeo"))

    def test_log(self) -> None:
        """A failure is logged in one line with the address, without the password, and safely for terminals."""
        with logged() as events:
            self.client.plain("ro\nmeo\x1b[0m", "hunter2")
        lines = [event for event in events if "authentication failed" in event.get("log_format", "")]
        self.assertEqual(len(lines), 1)
        from twisted.logger import formatEvent

        line = formatEvent(lines[0])
        self.assertIn("address=192.0.2.1", line)
        self.assertIn("domain=example.org", line)
        self.assertIn("mechanism=PLAIN", line)
        self.assertNotIn("hunter2", repr(events))
        self.assertNotIn("\n", line)
        self.assertNotIn("\x1b", line)

    def test_noSecretsInTheLog(self) -> None:
        """Neither a success nor a failure leaves a password in the log, nor a trace but in that of the audit."""
        server = self.serve(host=GUESTS)
        with logged() as events:
            self.opened(server).plain("romeo", "romeo")
            self.opened(server).scram("juliet", "wrong-password")
            self.opened(server).anonymous("sirhc@example.com")
        self.assertNotIn("wrong-password", repr(events))
        others = [event for event in events if event["log_namespace"] != "xmppd.audit"]
        self.assertNotIn("sirhc", repr(others))

    @spec("mission", "A3")
    def test_audit(self) -> None:
        """A trace goes to the audit log, escaped, with who it was; no trace leaves no line."""
        from twisted.logger import formatEvent

        server = self.serve(host=GUESTS)
        with logged() as events:
            self.opened(server).anonymous("\x1b[2J\n\N{SNOWMAN}")
            self.opened(server).anonymous()
        (found,) = [event for event in events if event["log_namespace"] == "xmppd.audit"]
        line = formatEvent(found)
        self.assertRegex(line, r"^guest: jid=[0-9a-f-]{36}@example\.org address=192\.0\.2\.1 trace=")
        self.assertTrue(line.endswith("trace='\\x1b[2J\\n\\u2603'"), line)


class GuestTests(SASLCase):
    """ANONYMOUS (RFC 4505, XEP-0175)."""

    def setUp(self) -> None:
        self.server = self.serve(host=GUESTS)
        self.client = self.opened()

    @spec("mission", "A2")
    @spec("XEP-0175", "2")
    def test_names(self) -> None:
        """A guest gets a UUID as localpart, a new one each time, and nobody else's."""
        locals = set()
        for _ in range(20):
            client = self.server.login(None)
            local = client.jid.partition("@")[0]
            self.assertEqual(str(uuid.UUID(local)), local)
            self.assertEqual(uuid.UUID(local).version, 4)
            locals.add(local)
        self.assertEqual(len(locals), 20)

    @spec("mission", "A2")
    def test_nobodyElsesName(self) -> None:
        """A name that an account or another guest has is not given away, also if the account is a new one."""
        taken = iter(["11111111-1111-4111-8111-111111111111"] * 2 + ["22222222-2222-4222-8222-222222222222"])
        self.server.account("11111111-1111-4111-8111-111111111111", "x")
        self.patch(self.server.server.entropy, "uuid", lambda: next(taken))
        self.server.host.hooks.registered.notify("11111111-1111-4111-8111-111111111111@example.org")
        self.assertTrue(self.server.login(None).jid.startswith("22222222-"))

    @spec("mission", "A3")
    @spec("RFC 4505", "2")
    def test_trace(self) -> None:
        """Trace data are taken, kept with the account for the log, and used for nothing else."""
        for trace in (None, "", "sirhc", "a@b", "\N{SNOWMAN}" * 255, "<&'\">"):
            client = self.opened()
            self.assertSuccess(client.anonymous(trace))
            client.open()
            client.bind()
            session = self.server.server.router.session(client.jid)
            assert session is not None
            self.assertEqual(session.account.trace, trace or None)  # type: ignore[attr-defined]
            self.assertTrue(session.account.anonymous)

    @spec("mission", "A3")
    @spec("RFC 4505", "2")
    def test_badTrace(self) -> None:
        """Traces that are too long or no text are refused."""
        for data in (b"x" * 256, "\N{SNOWMAN}".encode() * 256, b"\xff"):
            self.assertFailure(self.client.ask(auth("ANONYMOUS", data)), "malformed-request")
        self.assertSuccess(self.client.anonymous("x" * 255))

    def test_off(self) -> None:
        """Where guests are off nobody gets in without an account."""
        client = self.opened(self.serve())
        self.assertFailure(client.anonymous(), "invalid-mechanism")

    def test_onlyGuests(self) -> None:
        """Where there are only guests an account that is still in the store can't log in."""
        client = self.opened(self.serve(host=GUESTS + "accounts = false\n"))
        self.assertFailure(client.plain("romeo"), "invalid-mechanism")
        self.assertFailure(client.ask(auth("SCRAM-SHA-256", b"n,,n=romeo,r=abc")), "invalid-mechanism")
        self.assertSuccess(client.anonymous())

    def test_loggedOut(self) -> None:
        """A guest who leaves has left nothing."""
        client = self.server.login(None)
        client.send("</stream:stream>")
        self.assertEqual(self.server.host.sessions, {})
        self.assertNotIn(client.jid, self.server.server.router.table)


class BindingTests(SASLCase):
    """Resource binding (RFC 6120 section 7)."""

    def authenticated(self, server: MemoryServer | None = None, name: str = "romeo") -> TestClient:
        """A client that has logged in and may bind."""
        client = self.opened(server)
        client.plain(name)
        client.open()
        return client

    def wanted(self, resource: str) -> str:
        """A request for a resource."""
        return f"<iq type='set' id='1'><bind xmlns='{ns.BIND}'><resource>{resource}</resource></bind></iq>"

    @spec("RFC 6120", "7.6", "7.6.1", "7.5")
    def test_serverMade(self) -> None:
        """Without a wish the server makes a resource that can't be guessed."""
        jids = set()
        for wish in (None, None, ""):
            jid = self.authenticated().bind(wish)
            self.assertTrue(jid.startswith("romeo@example.org/"))
            self.assertGreaterEqual(len(jid.partition("/")[2]), 22)
            jids.add(jid)
        self.assertEqual(len(jids), 3)

    @spec("RFC 6120", "7.7", "7.7.1")
    def test_clientMade(self) -> None:
        """A client's wish is granted, as it was prepared."""
        self.assertEqual(self.authenticated().bind("balcony"), "romeo@example.org/balcony")
        self.assertEqual(self.authenticated().bind("a b/c@d \N{SNOWMAN}"), "romeo@example.org/a b/c@d \N{SNOWMAN}")
        self.assertEqual(self.authenticated().bind("e\N{COMBINING ACUTE ACCENT}"), "romeo@example.org/\N{LATIN SMALL LETTER E WITH ACUTE}")

    @spec("RFC 6120", "7.7.2.1")
    def test_badResource(self) -> None:
        """A resource that can't be: bad-request, and the client may ask again."""
        client = self.authenticated()
        for resource in ("x" * 1100, "a\x7fb", "a&#9;b"):
            self.assertError(client.ask(self.wanted(resource)), "bad-request", "modify")
        self.assertEqual(client.bind("good"), "romeo@example.org/good")

    @spec("RFC 6120", "7.7.2.2")
    def test_conflictRefuse(self) -> None:
        """The policy to refuse: the new one may choose another."""
        server = self.serve(host="resource_conflict = 'refuse'\n")
        old = self.authenticated(server)
        old.bind("orchard")
        new = self.authenticated(server)
        self.assertError(new.ask(self.wanted("orchard")), "conflict", "cancel")
        self.assertEqual(new.bind("other"), "romeo@example.org/other")
        self.assertFalse(old.eof)

    @spec("RFC 6120", "7.7.2.2")
    def test_conflictRename(self) -> None:
        """The policy to rename: both stay."""
        server = self.serve(host="resource_conflict = 'rename'\n")
        old = self.authenticated(server)
        old.bind("orchard")
        new = self.authenticated(server)
        self.assertNotEqual(new.bind("orchard"), old.jid)
        self.assertFalse(old.eof)

    @spec("RFC 6120", "7.7.2.3", "7.6.2.1")
    def test_tooManyResources(self) -> None:
        """An account can have so many resources at a time; ones that are replaced don't count."""
        server = self.serve("resources_per_account = 2")
        first, _ = (self.authenticated(server) for _ in range(2))
        first.bind("a")
        second = self.authenticated(server)
        second.bind("b")
        third = self.authenticated(server)
        self.assertError(third.ask(self.wanted("c")), "resource-constraint", "wait")
        self.assertEqual(third.bind("b"), second.jid)
        self.assertTrue(second.eof)
        self.assertTrue(self.authenticated(server, "juliet").bind("c"))

    @spec("RFC 6120", "7.3.1", "7.1")
    def test_twice(self) -> None:
        """One resource per stream."""
        client = self.authenticated()
        client.bind("a")
        self.assertError(client.ask(self.wanted("b")), "not-allowed")
        self.assertFalse(client.eof)
        self.assertEqual(list(self.server.host.sessions["romeo@example.org"]), ["a"])

    @spec("RFC 6120", "7.1", "7.3.1")
    def test_stanzasBeforeBinding(self) -> None:
        """Nothing can be sent before a resource is bound."""
        for stanza in ("<message to='juliet@example.org'/>", "<presence/>",
                       "<iq type='get' id='1' to='example.org'><ping xmlns='urn:xmpp:ping'/></iq>"):
            client = self.authenticated()
            client.send(stanza)
            self.assertClosed(client, "not-authorized")

    def test_strangeRequests(self) -> None:
        """A get, a request without id: bad-request; an answer to nothing: nothing."""
        client = self.authenticated()
        bind = f"<bind xmlns='{ns.BIND}'/>"
        self.assertError(client.ask(f"<iq type='get' id='1'>{bind}</iq>"), "bad-request")
        self.assertError(client.ask(f"<iq type='set'>{bind}</iq>"), "bad-request")
        for type in ("result", "error"):
            client.send(f"<iq type='{type}' id='1'>{bind}</iq>")
            self.assertEqual(client.take(), [])
        self.assertTrue(client.bind())

    def test_removedMeanwhile(self) -> None:
        """An account that is removed between login and binding has no session."""
        client = self.authenticated()
        self.server.host.registrar.remove("romeo@example.org")
        client.send(self.wanted("a"))
        self.assertTrue(client.eof)
        self.assertEqual(self.server.host.sessions, {})

    def test_addressInTheAnswer(self) -> None:
        """The answer says whose session it is in the one place where the RFC wants it."""
        client = self.authenticated()
        answer = client.ask(self.wanted("a"))
        self.assertEqual(answer.findtext(f"{{{ns.BIND}}}bind/{{{ns.BIND}}}jid"), f"romeo@{DOMAIN}/a")
