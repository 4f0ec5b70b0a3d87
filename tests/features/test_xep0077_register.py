"""Tests of L{xmppd.features.xep0077_register} and, as far as they meet there, L{xmppd.features.xep0445_preauth}."""

from __future__ import annotations

from typing import Any, cast

from twisted.internet.defer import Deferred, fail
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from tests.doubles import FakeStream, Rig
from tests.features.asking import JULIET, ROMEO, STANZAS, AskingCase
from tests.marks import spec
from xmppd.config import HostConfig, Limits
from xmppd.features import xep0050_commands, xep0077_register, xep0445_preauth
from xmppd.features.xep0077_register import Pace, network
from xmppd.features.xep0445_preauth import DAY, registrationURI
from xmppd.ixmppd import IInvitations, IStreamFeature, StoreUnavailable
from xmppd.wire import forms
from xmppd.wire.element import Element
from xmppd.wire.errors import StanzaCondition, StanzaError, StreamCondition, StreamError
from xmppd.wire.ns import NAMES
from xmppd.wire.stanza import Stanza, fromBytes

NS = "jabber:iq:register"


def query(content: str = "") -> str:
    """The payload of a request."""
    return f"<query xmlns='{NS}'>{content}</query>"


def account(username: str, password: str = "pencil") -> str:
    """Name and password as fields."""
    return query(f"<username>{username}</username><password>{password}</password>")


class RegisterCase(SynchronousTestCase):
    """
    A host, and streams that have not logged in.

    @cvar registration: who may register.
    """

    registration = "open"

    def setUp(self) -> None:
        self.make()

    def make(self, **config: Any) -> None:
        """A host with that configuration."""
        values = {"registration": self.registration, "admins": ("admin@example.org",), **config}
        limits = Limits(registrationsPerHour=values.pop("pace", 3))
        self.rig = Rig(
            xep0050_commands.feature,
            xep0445_preauth.feature,
            xep0077_register.feature,
            config=HostConfig("example.org", **values),
            limits=limits,
        )
        self.preauth, self.register = self.rig.host.streamFeatures
        self.invitations = cast(IInvitations, self.rig.host.invitations)
        self.stream = self.connect()

    def connect(self, address: str = "192.0.2.1", *facts: str) -> FakeStream:
        """A new stream, with TLS unless facts are given."""
        stream = FakeStream(self.rig.host, cast(Any, None), self.rig.clock)
        stream.address = address
        stream.facts = set(facts or ("tls",))
        return stream

    def ask(self, type: str, payload: str, stream: FakeStream | None = None, to: str | None = "example.org") -> Stanza:
        """Send a request on a stream, as the negotiation does, and take the answer."""
        stream = stream or self.stream
        address = f" to='{to}'" if to else ""
        stanza = fromBytes(f"<iq type='{type}' id='r'{address}>{payload}</iq>".encode())
        feature = self.preauth if stanza.childNames[0].endswith("preauth") else self.register
        self.assertIn(stanza.childNames[0], feature.names)
        try:
            feature.negotiate(stream, stanza)
        except StanzaError as error:
            stream.transmit(stanza.error(error))
        for wait in stream.waits:
            self.successResultOf(wait)
        stream.waits.clear()
        (answer,) = stream.received
        stream.takeBytes()
        self.assertEqual(answer.id, "r")
        return answer

    def assertRegistered(self, payload: str, stream: FakeStream | None = None) -> None:
        """The registration succeeds."""
        answer = self.ask("set", payload, stream)
        self.assertEqual((answer.type, answer.sender), ("result", "example.org"), answer.raw)

    def refusal(self, type: str, payload: str, stream: FakeStream | None = None, to: str | None = "example.org") -> str:
        """The condition of the error."""
        answer = self.ask(type, payload, stream, to)
        self.assertEqual(answer.type, "error", answer.raw)
        error = answer.elements()[-1]
        (condition,) = (each.name for each in error.elements() if each.ns == STANZAS and each.name != "text")
        return condition

    def password(self, username: str, password: str) -> bool:
        """Whether it is the password of that account."""
        return self.successResultOf(self.rig.host.passwords.check(f"{username}@example.org", password))

    def invite(self, username: str | None = None, seconds: float | None = None) -> str:
        """A new invitation; answers its token."""
        _, token, _ = self.successResultOf(self.invitations.create(username, seconds))
        return token

    def show(self, token: str, stream: FakeStream | None = None) -> Stanza:
        """Show a token on a stream."""
        return self.ask("set", f"<preauth xmlns='urn:xmpp:pars:0' token='{token}'/>", stream)


class OpenTests(RegisterCase):
    """Registration is open to everybody."""

    def test_provides(self) -> None:
        """Both are stream features, before the login."""
        for feature in (self.preauth, self.register):
            verifyObject(IStreamFeature, feature)
            self.assertIn("authenticated", feature.forbids)

    @spec("XEP-0077", "8")
    def test_advertised(self) -> None:
        """The feature is offered, but not where passwords would go in the clear."""
        offered = b"<register xmlns='http://jabber.org/features/iq-register'/>"
        self.assertEqual(self.register.advertise(self.stream), offered)
        self.assertEqual(self.register.advertise(self.connect("192.0.2.1", "plain")), b"")

    @spec("XEP-0077", "11")
    def test_withoutTLS(self) -> None:
        """Without TLS nothing is answered, unless the server neither wants TLS nor minds passwords in the clear."""
        plain = self.connect("192.0.2.1", "plain")
        self.assertEqual(self.refusal("set", account("juliet"), plain), "service-unavailable")
        self.assertEqual(self.refusal("get", query(), plain), "service-unavailable")
        self.make(plainWithoutTls=True)
        plain = self.connect("192.0.2.1", "plain")
        self.assertEqual(self.refusal("get", query(), plain), "service-unavailable")
        plain.reception.requireTLS = False
        self.assertEqual(self.ask("get", query(), plain).type, "result")

    @spec("XEP-0077", "3.1", "4")
    def test_fields(self) -> None:
        """Instructions, fields, and the same as a form; unregistered, whoever asks."""
        answer = self.ask("get", query(), to=None).elements()[0]
        self.assertEqual([each.name for each in answer.elements()], ["instructions", "username", "password", "x"])
        form = forms.formIn(answer)
        self.assertEqual(forms.values(form), {"FORM_TYPE": (NS,), "username": (), "password": ()})
        self.assertEqual(forms.missing(form, {}), ("username", "password"))

    @spec("XEP-0077", "3.1")
    def test_register(self) -> None:
        """An account is made, of the prepared name."""
        self.assertRegistered(account("Juliet"))
        self.assertTrue(self.password("juliet", "pencil"))

    @spec("XEP-0077", "3.1", "6")
    def test_form(self) -> None:
        """A form does, and goes before fields."""
        form = forms.form("submit", forms.field("username", "juliet"), forms.field("password", "a")).toBytes(NS).decode()
        self.assertRegistered(query("<username>x</username>" + form))
        self.assertTrue(self.password("juliet", "a"))

    @spec("XEP-0077", "3.1")
    def test_conflict(self) -> None:
        """A name that is taken is a conflict, and stays who it is."""
        self.assertRegistered(account("juliet", "first"))
        self.assertEqual(self.refusal("set", account("JULIET", "second"), self.connect()), "conflict")
        self.assertTrue(self.password("juliet", "first"))

    @spec("XEP-0165", "1")
    @spec("XEP-0077", "3.1")
    @spec("mission", "M2")
    def test_alike(self) -> None:
        """C{paypa1} beside C{paypal} is a conflict, and it is told why; so is the Cherokee C{stpeter}."""
        self.rig.account("paypal", "stpeter")
        answer = self.ask("set", account("paypa1"))
        error = answer.elements()[-1]
        self.assertEqual((error.attrs["type"], [each.name for each in error.elements()]), ("cancel", ["conflict", "text", "imitation"]))
        self.assertEqual(error.textOf("text", STANZAS), "The name looks like one that is taken.")
        self.assertEqual(error.find("imitation", NAMES).textOf("reason"), "look-alike")
        self.assertEqual(self.refusal("set", account("ᏚᎢᎵᎬᎢᎬᏒ")), "conflict")
        self.assertRegistered(account("juliet"))

    @spec("mission", "M2")
    def test_protected(self) -> None:
        """What is reserved isn't for everybody, nor is what mixes scripts."""
        for name in ("admin", "adrnin", "exarnple.org", "j\u0443liet"):
            self.make()
            self.assertEqual(self.refusal("set", account(name)), "not-acceptable", name)

    @spec("XEP-0077", "3.1")
    def test_incomplete(self) -> None:
        """Whatever is missing, empty or unusable is not acceptable."""
        for payload in (
            query(),
            query("<username>juliet</username>"),
            query("<password>x</password>"),
            account("", "x"),
            account("juliet", ""),
            account("juliet", "x" * 1024),
            account("juliet", "é" * 512),
            account("juliet", "&#9;"),
            account("a@b", "x"),
            account("a" * 1024, "x"),
        ):
            self.assertEqual(self.refusal("set", payload), "not-acceptable", payload)
        self.assertEqual(self.successResultOf(self.rig.host.accounts.count("example.org")), 0)

    @spec("XEP-0077", "3.1.1")
    def test_twice(self) -> None:
        """A stream makes one account."""
        self.assertRegistered(account("juliet"))
        self.assertEqual(self.refusal("set", account("romeo")), "not-acceptable")

    def test_pace(self) -> None:
        """From one address only so many attempts are taken in an hour, whatever became of them."""
        self.assertRegistered(account("one"))
        self.assertEqual(self.refusal("set", account("one"), self.connect()), "conflict")
        self.assertRegistered(account("two"), self.connect())
        self.assertEqual(self.refusal("set", account("three"), self.connect()), "resource-constraint")
        self.assertRegistered(account("three"), self.connect("192.0.2.2"))
        self.rig.clock.advance(3601)
        self.assertRegistered(account("four"), self.connect())

    def test_noPace(self) -> None:
        """0 is no limit."""
        self.make(pace=0)
        for number in range(10):
            self.assertRegistered(account(f"u{number}"), self.connect())

    def test_hook(self) -> None:
        """Others may refuse a name."""
        self.rig.host.hooks.registering.addRefusal(
            lambda request, name: StanzaError(StanzaCondition.NOT_ALLOWED) if name == "root" else None
        )
        self.assertEqual(self.refusal("set", account("root")), "not-allowed")

    @spec("XEP-0077", "3.2")
    def test_removeBeforeLogin(self) -> None:
        """Nobody can be cancelled before a login."""
        self.assertEqual(self.refusal("set", query("<remove/>")), "unexpected-request")

    def test_addressed(self) -> None:
        """A request is for this domain; an IQ that is no request ends the stream."""
        self.assertEqual(self.refusal("set", account("juliet"), to="example.com"), "bad-request")
        answer = fromBytes(f"<iq type='result' id='1'>{query()}</iq>".encode())
        error = self.assertRaises(StreamError, self.register.negotiate, self.stream, answer)
        self.assertEqual(error.condition, StreamCondition.NOT_AUTHORIZED)

    def test_storeUnavailable(self) -> None:
        """A store that fails is told as such, and the stream goes on."""
        self.rig.host.accounts.get = lambda bare: fail(StoreUnavailable())
        self.assertEqual(self.refusal("set", account("juliet")), "resource-constraint")

    def test_mistake(self) -> None:
        """A mistake of ours is told without details, and logged."""
        self.rig.host.accounts.get = lambda bare: fail(RuntimeError("pencil"))
        self.assertEqual(self.refusal("set", account("juliet")), "internal-server-error")
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)


class ClosedTests(RegisterCase):
    """Registration is closed."""

    registration = "closed"

    @spec("XEP-0077", "3.1")
    def test_unavailable(self) -> None:
        """Nothing is offered, nothing is answered."""
        for feature in (self.preauth, self.register):
            self.assertEqual(feature.advertise(self.stream), b"")
        for type, payload in (("get", query()), ("set", account("juliet"))):
            self.assertEqual(self.refusal(type, payload), "service-unavailable")
        token = self.invite()
        self.assertEqual(self.refusal("set", f"<preauth xmlns='urn:xmpp:pars:0' token='{token}'/>"), "service-unavailable")


class InviteTests(RegisterCase):
    """Registration needs an invitation."""

    registration = "invite"

    def assertUnusable(self, token: str) -> None:
        """A token is refused."""
        self.assertIn(b"item-not-found", self.show(token, self.connect()).raw)

    def test_provides(self) -> None:
        """Invitations provide their interface."""
        verifyObject(IInvitations, self.invitations)

    @spec("XEP-0445", "3")
    def test_advertised(self) -> None:
        """Both features are offered."""
        self.assertEqual(self.preauth.advertise(self.stream), b"<register xmlns='urn:xmpp:ibr-token:0'/>")
        self.assertIn(b"iq-register", self.register.advertise(self.stream))

    def test_uninvited(self) -> None:
        """Without a token nothing can be done."""
        self.assertEqual(self.refusal("get", query()), "not-allowed")
        self.assertEqual(self.refusal("set", account("juliet")), "not-allowed")

    @spec("XEP-0445", "4")
    def test_invited(self) -> None:
        """With a token one registers; then it is used up."""
        token = self.invite()
        self.assertEqual(self.show(token).type, "result")
        self.assertRegistered(account("juliet"))
        self.assertTrue(self.password("juliet", "pencil"))
        self.assertUnusable(token)

    @spec("XEP-0445", "4")
    def test_failureDoesNotUseUp(self) -> None:
        """A registration that fails leaves the token as it was."""
        self.rig.account("juliet")
        token = self.invite()
        self.show(token)
        self.assertEqual(self.refusal("set", account("juliet")), "conflict")
        self.assertRegistered(account("romeo"))

    @spec("XEP-0445", "4")
    def test_unusable(self) -> None:
        """Unknown, long, empty, expired and revoked tokens are all the same."""
        token = self.invite(seconds=60)
        self.rig.clock.advance(60)
        revoked = self.invite()
        (invitation,) = self.successResultOf(self.invitations.open())
        self.assertTrue(self.successResultOf(self.invitations.revoke(invitation.id)))
        self.assertFalse(self.successResultOf(self.invitations.revoke(invitation.id)))
        answers = {self.show(each, self.connect()).raw for each in (token, revoked, "x", "", "x" * 5000)}
        self.assertEqual(len(answers), 1)
        self.assertUnusable(token)

    @spec("XEP-0445", "4")
    def test_expiryIsCheckedOnce(self) -> None:
        """What was shown in time is good until the stream ends, even if the list is looked through meanwhile."""
        token = self.invite(seconds=60)
        self.show(token)
        self.rig.clock.advance(100)
        self.assertEqual(self.successResultOf(self.invitations.open()), [])
        self.assertRegistered(account("juliet"))

    def test_idIsNoToken(self) -> None:
        """What administrators see and the database holds is not enough to register."""
        token = self.invite()
        (invitation,) = self.successResultOf(self.invitations.open())
        self.assertUnusable(invitation.id)
        facts = self.successResultOf(self.rig.host.facts.all("example.org", "invitation"))
        self.assertNotIn(token, repr(facts))

    def test_onceAtATime(self) -> None:
        """Two streams can't use a token at the same moment."""
        token = self.invite()
        other = self.connect("192.0.2.2")
        self.show(token)
        self.show(token, other)
        derive, waiting = self.rig.host.passwords.derive, Deferred()
        self.rig.host.passwords.derive = lambda password: waiting
        self.register.negotiate(self.stream, fromBytes(f"<iq type='set' id='r'>{account('one')}</iq>".encode()))
        self.assertEqual(self.refusal("set", account("two"), other), "not-allowed")
        self.rig.host.passwords.derive = derive
        waiting.callback(self.successResultOf(derive("pencil")))
        self.assertEqual(self.stream.take()[0].type, "result")
        self.assertEqual(self.refusal("set", account("two"), other), "not-allowed")

    @spec("XEP-0445", "2.1", "5")
    def test_reserved(self) -> None:
        """A name in an invitation is for its holder alone, until it expires."""
        token, anybody = self.invite("Juliet"), self.invite()
        stranger = self.connect("192.0.2.2")
        self.show(anybody, stranger)
        self.assertEqual(self.refusal("set", account("juliet"), stranger), "conflict")
        self.show(token)
        fields = self.ask("get", query()).elements()[0]
        self.assertEqual(fields.textOf("username"), "juliet")
        self.assertEqual(self.refusal("set", account("romeo")), "not-acceptable")
        self.rig.clock.advance(7 * DAY + 1)
        self.assertRegistered(account("juliet"), stranger)

    def test_reservedWhileOpen(self) -> None:
        """Where registration is open a reserved name is kept all the same."""
        self.registration = "open"
        self.make()
        self.invite("juliet")
        self.assertEqual(self.refusal("set", account("juliet")), "conflict")

    def test_create(self) -> None:
        """Names that are taken or reserved, or no names, are refused."""
        self.rig.account("juliet")
        self.invite("romeo")
        for name, condition in (("juliet", "conflict"), ("ROMEO", "conflict"), ("a@b", "not-acceptable")):
            failure = self.failureResultOf(self.invitations.create(name), StanzaError)
            self.assertEqual(failure.value.condition, condition)

    def test_bound(self) -> None:
        """Only so many are open; expired ones are removed a day later."""
        self.patch(xep0445_preauth, "MOST_OPEN", 2)
        self.invite(seconds=10)
        self.invite(seconds=10)
        self.assertEqual(
            self.failureResultOf(self.invitations.create(), StanzaError).value.condition, "resource-constraint"
        )
        self.rig.clock.advance(11)
        self.invite()
        self.assertEqual(len(self.successResultOf(self.rig.host.facts.all("example.org", "invitation"))), 3)
        self.rig.clock.advance(DAY)
        self.invite()
        self.assertEqual(len(self.successResultOf(self.rig.host.facts.all("example.org", "invitation"))), 2)

    def test_storeUnavailable(self) -> None:
        """A store that fails is told as such."""
        self.rig.host.facts.get = lambda *arguments: fail(StoreUnavailable())
        self.assertIn(b"resource-constraint", self.show("x").raw)

    def test_usedUpUnstored(self) -> None:
        """If only the end of the invitation can't be stored, the account is there, and the token useless for now."""
        token = self.invite()
        self.show(token)
        self.rig.host.facts.delete = lambda *arguments: fail(StoreUnavailable())
        self.assertRegistered(account("juliet"))
        other = self.connect("192.0.2.2")
        self.show(token, other)
        self.assertEqual(self.refusal("set", account("romeo"), other), "not-allowed")

    @spec("XEP-0445", "2.1", "2.2")
    def test_uri(self) -> None:
        """Addresses are escaped for a URI."""
        self.assertEqual(registrationURI("example.com", None, "T_-"), "xmpp:example.com?register;preauth=T_-")
        self.assertEqual(registrationURI("example.com", "juliet", "T"), "xmpp:juliet@example.com?register;preauth=T")
        self.assertEqual(registrationURI("b\u00fc.example", "a?b#c", "T"), "xmpp:a%3Fb%23c@b%C3%BC.example?register;preauth=T")

    def command(self, session: Any, content: str = "", id: str = "") -> Stanza:
        """The ad-hoc command of administrators."""
        attribute = f" sessionid='{id}'" if id else ""
        self.rig.send(
            session,
            f"<iq type='set' id='c' to='example.org'><command xmlns='http://jabber.org/protocol/commands'{attribute}"
            f" node='urn:xmpp:invite#create-account'>{content}</command></iq>".encode(),
        )
        (answer,) = session.stream.take()
        return answer

    @spec("XEP-0401", "5.4")
    def test_command(self) -> None:
        """Administrators get a URI and its expiry; others get nothing."""
        admin, _ = self.rig.bind("admin@example.org/x")
        juliet, _ = self.rig.bind("juliet@example.org/x")
        self.assertIn(b"forbidden", self.command(juliet).raw)
        first = self.command(admin).elements()[0]
        self.assertIn("username", forms.values(forms.formIn(first)))
        form = forms.form("submit", forms.field("username", "nurse")).toBytes("http://jabber.org/protocol/commands").decode()
        done = self.command(admin, form, first.attrs["sessionid"]).elements()[0]
        values = forms.values(cast(Element, forms.formIn(done)))
        self.assertEqual(values["FORM_TYPE"], ("urn:xmpp:invite#invitation",))
        self.assertRegex(values["uri"][0], r"^xmpp:nurse@example\.org\?register;preauth=token\d+$")
        self.assertEqual(values["expire"], ("2001-09-16T01:46:40Z",))
        self.assertNotIn("landing-url", values)
        (invitation,) = self.successResultOf(self.invitations.open())
        self.assertEqual((invitation.username, invitation.creator), ("nurse", "admin@example.org"))


class LookAlikeInvitationTests(RegisterCase):
    """Invitations and names that look like others (XEP-0165)."""

    registration = "invite"

    def failing(self, username: str, anyway: bool = False) -> str:
        """The condition that refuses an invitation for a name."""
        made = self.invitations.create(username, None, "admin@example.org", anyway)
        return str(self.failureResultOf(made, StanzaError).value.condition)

    @spec("mission", "M2")
    def test_made(self) -> None:
        """Nobody is invited to a look-alike, of an account or of another who is invited, unless it is meant."""
        self.rig.account("paypal")
        self.assertEqual(self.failing("paypa1"), "conflict")
        self.assertEqual(self.failing("adrnin"), "not-acceptable")
        self.invite("juliet")
        self.assertEqual(self.failing("jul\u0456et"), "not-acceptable")
        self.assertEqual(self.failing("ju1iet"), "conflict")
        self.assertEqual(self.failing("juliet", True), "conflict")
        self.successResultOf(self.invitations.create("ju1iet", None, "", True))
        self.successResultOf(self.invitations.create("paypa1", None, "", True))

    @spec("mission", "M2")
    def test_used(self) -> None:
        """Who was invited to a protected name, or to a look-alike that is meant, gets it."""
        self.rig.account("paypal")
        for name, anyway in (("support", False), ("paypa1", True)):
            _, token, _ = self.successResultOf(self.invitations.create(name, None, "", anyway))
            stream = self.connect()
            self.show(token, stream)
            self.assertRegistered(account(name), stream)

    @spec("mission", "M2")
    def test_reserved(self) -> None:
        """What looks like a reserved name isn't for others either, nor is what is protected, invited or not."""
        self.invite("paypal")
        for name, condition in (("paypa1", "conflict"), ("support", "not-acceptable")):
            stream = self.connect()
            self.show(self.invite(), stream)
            self.assertEqual(self.refusal("set", account(name), stream), condition)
            self.assertRegistered(account(f"other-{name}"), stream)

    def test_kept(self) -> None:
        """That a name is meant is kept with the invitation, and older ones are read."""
        self.rig.account("paypal")
        made, _, _ = self.successResultOf(self.invitations.create("paypa1", None, "", True))
        (open,) = self.successResultOf(self.invitations.open())
        self.assertEqual((open, open.anyway), (made, True))
        host = self.rig.host
        host.facts.put("example.org", "invitation", made.id, b'{"username": "x", "expires": 2e9, "creator": ""}')
        self.assertEqual([each.anyway for each in self.successResultOf(self.invitations.open())], [False])


class OwnRegistrationTests(AskingCase):
    """What users may do with their accounts."""

    features = (xep0077_register.feature,)

    @spec("XEP-0077", "3.1", "10")
    def test_get(self) -> None:
        """Who is logged in is registered; the password isn't told."""
        for to in ("example.org", None, JULIET):
            answer = self.result(self.juliet, "get", query(), to)
            self.assertEqual(
                answer.toBytes(NS), b"<query><registered/><username>juliet</username><password/></query>"
            )
        self.assertIn(NS, self.rig.host.namespaces)

    @spec("XEP-0077", "3.3")
    def test_changePassword(self) -> None:
        """The password is changed, by a name in any spelling, or by a form."""
        for payload in (account("juliet", "new"), account("JULIET", "new"), account(JULIET, "new")):
            self.assertIsNone(self.result(self.juliet, "set", payload, "example.org"))
        self.assertTrue(self.successResultOf(self.rig.host.passwords.check(JULIET, "new")))

    @spec("XEP-0077", "3.3")
    def test_changePasswordMistakes(self) -> None:
        """No password, no name, another's name; the old password stays."""
        self.result(self.juliet, "set", account("juliet", "old"))
        self.assertEqual(self.error(self.juliet, "set", account("juliet", "")), "not-acceptable")
        self.assertEqual(self.error(self.juliet, "set", query("<password>x</password>")), "bad-request")
        self.assertEqual(self.error(self.juliet, "set", account("romeo", "x")), "not-allowed")
        self.assertTrue(self.successResultOf(self.rig.host.passwords.check(JULIET, "old")))

    @spec("XEP-0077", "3.3")
    def test_changePasswordWithoutTLS(self) -> None:
        """A password in the clear is not authorized."""
        self.streams[self.juliet].facts.discard("tls")
        self.assertEqual(self.error(self.juliet, "set", account("juliet", "x")), "not-authorized")

    @spec("XEP-0077", "3.3")
    def test_errorsDoNotRepeatPasswords(self) -> None:
        """The password is not sent back."""
        answer = self.ask(self.juliet, "set", account("romeo", "pencil"))
        self.assertNotIn(b"pencil", answer.raw)

    @spec("XEP-0077", "3.2")
    def test_remove(self) -> None:
        """The answer comes, then the stream error; nothing of the account is left."""
        other = self.bind(JULIET + "/other")
        self.assertIsNone(self.result(self.juliet, "set", query("<remove/>")))
        self.assertTrue(other.over)
        self.assertFalse(self.juliet.over)
        self.rig.clock.advance(0)
        self.assertEqual(self.streams[self.juliet].closedWith.condition, StreamCondition.NOT_AUTHORIZED)
        self.assertIsNone(self.successResultOf(self.rig.host.accounts.get(JULIET)))
        self.assertEqual([each.bare for each in self.rig.host.presence.dissolved], [JULIET])

    @spec("XEP-0077", "3.2")
    def test_removeMistakes(self) -> None:
        """C{<remove/>} stands alone; nobody removes another."""
        self.assertEqual(self.error(self.juliet, "set", query("<remove/><username>juliet</username>")), "bad-request")
        self.assertEqual(self.error(self.juliet, "set", query("<remove/>"), ROMEO), "service-unavailable")
        self.assertIsNotNone(self.successResultOf(self.rig.host.accounts.get(ROMEO)))

    @spec("XEP-0077", "3.2")
    def test_guest(self) -> None:
        """Guests have nothing to change or cancel."""
        guest = self.bind("g@example.org/x", guest=True)
        for payload in (query("<remove/>"), account("g", "x")):
            self.assertEqual(self.error(guest, "set", payload, "example.org"), "registration-required")
        self.assertEqual(self.error(guest, "get", query(), "example.org"), "registration-required")

    def test_elsewhere(self) -> None:
        """Entities elsewhere don't register here."""
        sent: list[Any] = []
        self.rig.router.remote = type("Remote", (), {"deliver": lambda self, stanza: sent.append(stanza)})()
        self.rig.inject(f"<iq type='set' id='1' from='a@b.c/d' to='example.org'>{query('<remove/>')}</iq>".encode())
        self.assertIn(b"service-unavailable", sent[0].raw)

    @spec("XEP-0077", "3.2", "3.3")
    def test_options(self) -> None:
        """An administrator may keep both to himself."""
        name = xep0077_register.NAME
        self.rig = Rig(xep0077_register.feature, options={(name, "cancel"): False, (name, "change_password"): False})
        juliet = self.bind(JULIET + "/balcony")
        for payload in (query("<remove/>"), account("juliet", "x")):
            self.assertEqual(self.error(juliet, "set", payload), "not-allowed")


class PaceTests(SynchronousTestCase):
    """Counting by addresses."""

    def test_networks(self) -> None:
        """A /64 of IPv6 is one address, also with a zone; an IPv4 address in IPv6 is the IPv4 address."""
        self.assertEqual(network("2001:db8::1"), network("2001:db8::ffff:1"))
        self.assertNotEqual(network("2001:db8::1"), network("2001:db8:0:1::1"))
        self.assertEqual(network("fe80::1%eth0"), network("fe80::2"))
        self.assertEqual(network("::ffff:192.0.2.1"), "192.0.2.1")
        self.assertEqual(network("unix"), "unix")

    def test_bound(self) -> None:
        """Only so many addresses are remembered."""
        self.patch(xep0077_register, "ADDRESSES", 2)
        pace = Pace(Clock())
        for number in range(5):
            self.assertTrue(pace.allows(f"192.0.2.{number}", 1))
        self.assertEqual(len(pace._times), 2)
        self.assertFalse(pace.allows("192.0.2.4", 1))
