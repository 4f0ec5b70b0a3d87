"""
Tests of L{xmppd.route.host}: IQs (RFC 6120 section 10.5, RFC 6121 section 8.5) and binding.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred, fail
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from tests.doubles import FakeGuest, FakeStream, Rig
from tests.marks import spec
from xmppd.config import HostConfig, Limits
from xmppd.hooks import Unanswered
from xmppd.ixmppd import IAnonymousSession, IDestination, IHost, Request, StoreUnavailable
from xmppd.wire.element import Element
from xmppd.wire.errors import StanzaCondition, StanzaError, StreamCondition

QUESTION = "urn:example question"
JULIET, BALCONY, ORCHARD = "juliet@example.org", "juliet@example.org/balcony", "romeo@example.org/orchard"


class IQTests(SynchronousTestCase):
    """Who answers a request."""

    def setUp(self) -> None:
        self.rig = Rig()
        self.romeo, self.stream = self.rig.bind(ORCHARD)
        self.requests: list[Request] = []

    def ask(self, to: str | None, type: str = "get", payload: str = "<question xmlns='urn:example'/>") -> Any:
        """Romeo asks; the answers he gets."""
        address = f" to='{to}'" if to is not None else ""
        self.rig.send(self.romeo, f"<iq type='{type}' id='1'{address}>{payload}</iq>".encode())
        return self.stream.take()

    def respond(self, target: str, answer: Any = None) -> None:
        """Answer requests with C{answer}, or by raising it."""

        def responder(request: Request) -> Any:
            self.requests.append(request)
            if isinstance(answer, Exception):
                raise answer
            return answer

        self.rig.host.respond(target, "get", QUESTION, responder)

    def test_provides(self) -> None:
        """A host is what it has to be."""
        self.assertTrue(verifyObject(IHost, self.rig.host))
        self.assertTrue(verifyObject(IDestination, self.rig.host))

    def test_cameMeanwhile(self) -> None:
        """An answer of the store that was overtaken is not believed: the account has come, or gone, meanwhile."""
        host = self.rig.host
        for hook, found in ((host.hooks.registered, None), (host.hooks.removed, object())):
            lookup: Deferred[Any] = Deferred()
            self.patch(host.accounts, "get", lambda bare, lookup=lookup: lookup)
            asked = host.exists("paris@example.org")
            hook.notify("paris@example.org")
            lookup.callback(found)
            for each in (asked, host.exists("paris@example.org")):
                self.assertEqual(self.successResultOf(each), found is None)
            host._known.clear()

    @spec("RFC 6120", "10.1")
    def test_laterSuspends(self) -> None:
        """What the client sends behind a request that takes a while is processed when that is answered."""
        answer: Deferred[None] = Deferred()
        self.respond("host", answer)
        self.assertEqual((self.ask("example.org"), len(self.stream.waits)), ([], 1))
        self.assertNoResult(self.stream.waits[0])
        answer.callback(None)
        self.successResultOf(self.stream.waits[0])
        self.assertEqual([each.type for each in self.stream.take()], ["result"])

    @spec("RFC 6120", "10.1")
    def test_laterAndGone(self) -> None:
        """There is nothing to suspend for who asks from elsewhere, or has gone."""
        self.respond("host", Deferred())
        self.rig.inject(b"<iq from='bot.example.net' to='example.org' type='get' id='1'><question xmlns='urn:example'/></iq>")
        self.romeo.stream = None
        self.assertEqual((self.ask("example.org"), len(self.requests)), ([], 2))

    @spec("RFC 6120", "10.5.1")
    def test_domain(self) -> None:
        """The domain answers for itself."""
        self.respond("host", Element("answer", "urn:example"))
        (answer,) = self.ask("example.org")
        self.assertEqual((answer.type, answer.sender, answer.id), ("result", "example.org", "1"))
        self.assertEqual(answer.childNames, ("urn:example answer",))
        self.assertIs(self.requests[0].session, self.romeo)
        self.assertFalse(self.requests[0].own)

    @spec("RFC 6121", "8.5.2.1.3", "8.5.2.2.3")
    def test_account(self) -> None:
        """For an account the server answers, whether somebody is there or not; no resource gets to see it."""
        self.respond("account", b"<answer xmlns='urn:example'/>")
        self.rig.account("juliet")
        self.assertEqual(self.ask(JULIET)[0].type, "result")
        _, stream = self.rig.bind(BALCONY, available=True)
        (answer,) = self.ask(JULIET)
        self.assertEqual((answer.type, answer.sender), ("result", JULIET))
        self.assertEqual(stream.take(), [])

    @spec("RFC 6120", "10.3.3")
    @spec("RFC 6121", "8.2")
    def test_noAddress(self) -> None:
        """Without C{to} it is for the own account."""
        self.respond("account")
        (answer,) = self.ask(None)
        self.assertEqual((answer.type, answer.inner, answer.to), ("result", b"", ORCHARD))
        self.assertTrue(self.requests[0].own)
        self.assertEqual(self.requests[0].target.full, "romeo@example.org")

    @spec("RFC 6121", "8.5.1", "8.5.2.1.3", "8.5.2.2.3", "8.5.3.2.3")
    def test_nobodyAnswers(self) -> None:
        """What nobody understands, or for a resource that isn't there, is service-unavailable."""
        self.rig.bind(BALCONY, available=True)
        for to in ("example.org", JULIET, JULIET + "/nowhere", "nobody@example.org", "nobody@example.org/x", None):
            (answer,) = self.ask(to)
            self.assertEqual(answer.type, "error", to)
            self.assertIn(b"<service-unavailable ", answer.raw)

    @spec("RFC 6121", "8.5.3.1")
    def test_resource(self) -> None:
        """A resource answers for itself, also if its address is written unusually."""
        self.respond("account")
        _, stream = self.rig.bind(BALCONY)
        for to in (BALCONY, "Juliet@EXAMPLE.org/balcony"):
            self.assertEqual(self.ask(to), [])
            self.assertEqual(stream.take()[0].to, to)

    @spec("RFC 6121", "8.5.3.1")
    def test_presenceDecides(self) -> None:
        """Whether a request may reach a resource is for presence to say, however it is addressed; answers always do."""
        _, stream = self.rig.bind(BALCONY)
        self.patch(self.rig.host.presence, "passes", lambda session, stanza: False)
        for to in (BALCONY, "Juliet@EXAMPLE.org/balcony"):
            for type in ("get", "set"):
                self.assertIn(b"service-unavailable", self.ask(to, type)[0].raw)
            self.ask(to, "result", "")
            self.ask(to, "error", "")
        self.assertEqual([each.type for each in stream.take()], ["result", "error"] * 2)

    def test_errors(self) -> None:
        """What a responder raises is the answer; our own mistakes are called that."""
        for error, condition in (
            (StanzaError(StanzaCondition.NOT_ALLOWED), b"<not-allowed "),
            (ZeroDivisionError(), b"<internal-server-error "),
        ):
            self.rig.host._responders.clear()
            self.respond("host", error)
            self.assertIn(condition, self.ask("example.org")[0].raw)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_later(self) -> None:
        """An answer may come later; a store that fails makes it wait."""
        later: Deferred[Element] = Deferred()
        self.respond("host", later)
        self.assertEqual(self.ask("example.org"), [])
        later.callback(Element("answer", "urn:example"))
        self.assertEqual(self.stream.take()[0].type, "result")
        self.rig.host._responders.clear()
        self.respond("host", fail(StoreUnavailable()))
        answer = self.ask("example.org")[0].raw
        self.assertIn(b"type='wait'", answer)
        self.assertIn(b"resource-constraint", answer)

    @spec("RFC 6120", "8.2.3")
    def test_answersNobodyAskedFor(self) -> None:
        """They are dropped."""
        for to in ("example.org", JULIET, None):
            for type in ("result", "error"):
                self.assertEqual(self.ask(to, type, ""), [])

    def test_asking(self) -> None:
        """The host can ask; only who was asked can answer, once and in time."""
        answer = self.rig.host.ask(ORCHARD, "get", b"<question xmlns='urn:example'/>")
        (question,) = self.stream.take()
        other, _ = self.rig.bind(BALCONY)
        raw = f"<iq type='result' id='{question.id}' to='example.org'/>".encode()
        self.rig.send(other, raw)
        self.assertNoResult(answer)
        self.rig.send(self.romeo, raw)
        self.assertEqual(self.successResultOf(answer).sender, ORCHARD)
        late = self.rig.host.ask(ORCHARD, "get", b"<question xmlns='urn:example'/>")
        self.rig.clock.advance(31)
        self.assertEqual(self.failureResultOf(late, StanzaError).value.condition, "remote-server-timeout")

    @spec("RFC 6121", "8.4")
    def test_messageForDomain(self) -> None:
        """The domain has no mailbox."""
        self.rig.send(self.romeo, b"<message to='example.org'><body>hi</body></message>")
        self.assertIn(b"service-unavailable", self.stream.takeBytes()[0])
        self.rig.send(self.romeo, b"<message to='example.org' type='error'/>")
        self.assertEqual(self.stream.take(), [])

    @spec("RFC 6121", "8.5.2.1.2", "8.5.3.1")
    def test_presence(self) -> None:
        """Presence for accounts, and what concerns subscriptions, is for the presence of the host; the rest arrives."""
        _session, stream = self.rig.bind(BALCONY)
        nowhere = JULIET + "/nowhere"
        for to, type in ((JULIET, ""), (BALCONY, " type='subscribe'"), (BALCONY, " type='probe'"), (nowhere, "")):
            self.rig.inject(f"<presence from='a@b.example' to='{to}'{type}/>".encode())
        arrived = self.rig.host.presence.arrivedStanzas
        self.assertEqual([to.full for _, to in arrived], [JULIET, BALCONY, BALCONY, JULIET + "/nowhere"])
        self.assertEqual(stream.take(), [])
        for type in ("", " type='unavailable'", " type='error'"):
            self.rig.inject(f"<presence from='a@b.example' to='{BALCONY}'{type}/>".encode())
        self.assertEqual(len(stream.take()), 3)

    def test_refusals(self) -> None:
        """What a session refuses is answered, unless the refusal is a silent one."""
        session, stream = self.rig.bind(BALCONY)
        for error, answers in ((StanzaError(StanzaCondition.FORBIDDEN), 1), (Unanswered(StanzaCondition.FORBIDDEN), 0)):

            def refuses(session: Any, stanza: Any, error: StanzaError = error) -> StanzaError:
                return error

            session.addReceiveRefusal(refuses)
            self.rig.send(self.romeo, f"<message to='{BALCONY}'/>".encode())
            session.removeRefusal(refuses)
            self.romeo.addSendRefusal(refuses)
            self.rig.send(self.romeo, f"<message to='{BALCONY}'/>".encode())
            self.romeo.removeRefusal(refuses)
            self.assertEqual(len(self.stream.take()), 2 * answers)
        self.assertEqual(stream.take(), [])


class BindTests(SynchronousTestCase):
    """Resources (RFC 6120 section 7)."""

    def rigWith(self, conflict: str) -> Rig:
        """A host with that conflict policy."""
        return Rig(config=HostConfig("example.org", resourceConflict=conflict), limits=Limits(resourcesPerAccount=2))

    @spec("RFC 6120", "7.7.2.2")
    def test_conflicts(self) -> None:
        """The old session goes, the new one is refused, or it gets another name."""
        rig = self.rigWith("replace")
        old, stream = rig.bind(BALCONY)
        new, _ = rig.bind(BALCONY)
        assert stream.closedWith is not None
        self.assertEqual((stream.closedWith.condition, old.over), (StreamCondition.CONFLICT, True))
        self.assertIs(rig.router.session(BALCONY), new)
        rig = self.rigWith("refuse")
        rig.bind(BALCONY)
        self.assertEqual(self.assertRaises(StanzaError, rig.bind, BALCONY).condition, "conflict")
        rig = self.rigWith("rename")
        rig.bind(BALCONY)
        self.assertNotEqual(rig.bind(BALCONY)[0].full, BALCONY)

    @spec("RFC 6120", "7.6.2.1")
    def test_tooMany(self) -> None:
        """There are only so many resources of an account."""
        rig = self.rigWith("refuse")
        rig.bind(BALCONY)
        rig.bind(JULIET + "/chamber")
        self.assertEqual(self.assertRaises(StanzaError, rig.bind, JULIET + "/c").condition, "resource-constraint")

    @spec("RFC 6120", "7.6.1", "7.7.2.1")
    def test_resources(self) -> None:
        """The server makes one if none is asked for, and refuses what can't be one."""
        rig = Rig()
        rig.account("juliet")
        session, _ = rig.bind(JULIET)
        self.assertTrue(session.jid.resource)
        stream = FakeStream(rig.host, session.account, rig.clock)
        for bad in ("", "x" * 1024, "a\x07"):
            error = self.failureResultOf(rig.host.bind(stream, bad), StanzaError).value
            self.assertEqual(error.condition, "bad-request")

    def test_loading(self) -> None:
        """A session isn't seen before everything for it is loaded; if that fails, there is none."""
        rig = Rig()
        loading: Deferred[None] = Deferred()
        rig.host.hooks.loading.addObserver(lambda bare: loading)
        guest = FakeGuest("g@example.org")
        binding = rig.host.bind(FakeStream(rig.host, guest, rig.clock), "x")
        self.assertNotIn("g@example.org", rig.host.sessions)
        loading.callback(None)
        self.assertTrue(IAnonymousSession.providedBy(self.successResultOf(binding)))
        rig.host.hooks.loading.addObserver(lambda bare: fail(StoreUnavailable()))
        failed = rig.host.bind(FakeStream(rig.host, guest, rig.clock), "y")
        self.assertTrue(failed.result.check(Exception))  # type: ignore[attr-defined]
        failed.addErrback(lambda _: None)
        self.assertEqual(list(rig.host.sessions["g@example.org"]), ["x"])
