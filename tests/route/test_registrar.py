"""Tests of L{xmppd.route.registrar}."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from tests.doubles import Rig
from tests.marks import spec
from xmppd.config import HostConfig
from xmppd.ixmppd import Departure, IRegistrar
from xmppd.naming import NamesConfig
from xmppd.wire.errors import StanzaCondition, StanzaError, StreamCondition
from xmppd.wire.stanza import fromBytes

JULIET = "juliet@example.org"


class RegistrarTests(SynchronousTestCase):
    """Accounts come, change and go."""

    def setUp(self) -> None:
        self.rig = Rig()
        self.registrar = self.rig.host.registrar
        self.heard: list[tuple[str, str]] = []
        for name in ("registered", "removed", "rekeyed"):
            getattr(self.rig.host.hooks, name).addObserver(lambda bare, name=name: self.heard.append((name, bare)))

    def assertRefused(self, condition: StanzaCondition, deferred: Any) -> None:
        """The Deferred has failed with a stanza error."""
        self.assertEqual(self.failureResultOf(deferred, StanzaError).value.condition, condition)

    def test_provides(self) -> None:
        """It provides its interface."""
        verifyObject(IRegistrar, self.registrar)

    def test_create(self) -> None:
        """An account is made of a prepared name, and is told of."""
        self.assertEqual(self.successResultOf(self.registrar.create("Juliet", "R0m30")), JULIET)
        self.assertEqual(self.heard, [("registered", JULIET)])
        self.assertTrue(self.successResultOf(self.rig.host.passwords.check(JULIET, "R0m30")))

    def test_createConflict(self) -> None:
        """Twice the same name is a conflict, however it is written."""
        self.successResultOf(self.registrar.create("juliet", "a"))
        self.assertRefused(StanzaCondition.CONFLICT, self.registrar.create("JULIET", "b"))

    def test_createUnusable(self) -> None:
        """Bad names and passwords make no account."""
        for name, password in (("", "x"), ("a@b", "x"), ("a" * 1024, "x"), ("ok", ""), ("ok", "a\x07")):
            self.assertRefused(StanzaCondition.NOT_ACCEPTABLE, self.registrar.create(name, password))
        self.assertEqual(self.successResultOf(self.rig.host.accounts.count("example.org")), 0)

    @spec("XEP-0165", "1")
    @spec("mission", "M2")
    def test_createAlike(self) -> None:
        """Who looks like an account is refused, whoever makes it, unless it is meant; strangers aren't told like which."""
        self.successResultOf(self.registrar.create("paypal", "x"))
        for name in ("paypa1", "PAYPA1", "\u0440\u0430\u0443\u0440\u0430l", "PаYPAL"):
            error = self.failureResultOf(self.registrar.create(name, "x"), StanzaError).value
            self.assertEqual((error.condition, "paypal" in error.text), (StanzaCondition.CONFLICT, False), name)
        error = self.failureResultOf(self.registrar.create("paypa1", "x", by="admin@example.org"), StanzaError).value
        self.assertIn("paypal", error.text)
        created = self.registrar.create("paypa1", "x", by="admin@example.org", anyway=True)
        self.assertEqual(self.successResultOf(created), "paypa1@example.org")
        self.successResultOf(self.registrar.remove("paypal@example.org"))
        self.assertRefused(StanzaCondition.CONFLICT, self.registrar.create("paypal", "x"))

    @spec("XEP-0165", "1")
    @spec("mission", "M2")
    def test_createCherokee(self) -> None:
        """The example of the document."""
        self.successResultOf(self.registrar.create("stpeter", "x"))
        self.assertRefused(StanzaCondition.CONFLICT, self.registrar.create("ᏚᎢᎵᎬᎢᎬᏒ", "x"))

    @spec("mission", "M2")
    def test_createAtOnce(self) -> None:
        """Of two look-alikes that are made at the same time, one is, though neither was there when the other was asked."""
        waiting: list[Deferred[Any]] = []
        passwords = self.rig.host.passwords
        derive = passwords.derive

        def slowly(password: str) -> Deferred[Any]:
            gate: Deferred[Any] = Deferred()
            waiting.append(gate)
            return gate.addCallback(lambda _: derive(password))

        self.patch(passwords, "derive", slowly)
        first, second = (self.registrar.create(name, "x") for name in ("paypal", "paypa1"))
        for gate in waiting[::-1]:
            gate.callback(None)
        self.assertEqual(self.successResultOf(second), "paypa1@example.org")
        self.assertRefused(StanzaCondition.CONFLICT, first)
        self.assertEqual(self.heard, [("registered", "paypa1@example.org")])

    @spec("mission", "M2")
    def test_createProtected(self) -> None:
        """Protected names are made by administrators, what looks like them only if it is meant."""
        self.assertRefused(StanzaCondition.NOT_ACCEPTABLE, self.registrar.create("support", "x"))
        self.successResultOf(self.registrar.create("support", "x", by="xmppctl"))
        self.assertRefused(StanzaCondition.NOT_ACCEPTABLE, self.registrar.create("adrnin", "x", by="xmppctl"))
        self.successResultOf(self.registrar.create("adrnin", "x", by="xmppctl", anyway=True))
        self.assertRefused(StanzaCondition.NOT_ACCEPTABLE, self.registrar.create("p\u0430ypal", "x"))

    @spec("mission", "M2")
    def test_createAllowed(self) -> None:
        """Where look-alikes are allowed, or only warned of, they are made."""
        for action, count in (("allow", 0), ("warn", 1)):
            host = self.rig.host
            host.reconfigure(HostConfig("example.org", names=NamesConfig(accounts=action)), host.limits)
            self.successResultOf(self.registrar.create("paypal", "x"))
            self.successResultOf(self.registrar.create("paypa1", "x"))
            tally = host.counters.tally("names", "", "host", "kind", "action")
            self.assertEqual(tally.values.get(("example.org", "account", action), 0), count)
            for name in ("paypal", "paypa1"):
                self.successResultOf(self.registrar.remove(f"{name}@example.org"))

    @spec("mission", "M2")
    def test_check(self) -> None:
        """A name can be asked for without making anything."""
        self.successResultOf(self.registrar.create("paypal", "x"))
        self.assertEqual(self.successResultOf(self.registrar.check("Juliet")), "juliet")
        for name in ("paypal", "paypa1"):
            self.assertRefused(StanzaCondition.CONFLICT, self.registrar.check(name))
        self.assertRefused(StanzaCondition.NOT_ACCEPTABLE, self.registrar.check("a@b"))
        self.assertEqual(self.successResultOf(self.registrar.check("paypa1", "xmppctl", True)), "paypa1")
        self.assertEqual(self.successResultOf(self.rig.host.accounts.count("example.org")), 1)

    def test_createRefused(self) -> None:
        """What joined C{registering} may refuse."""
        error = StanzaError(StanzaCondition.NOT_ALLOWED)
        self.rig.host.hooks.registering.addRefusal(lambda request, name: error if name == "juliet" else None)
        self.assertRefused(StanzaCondition.NOT_ALLOWED, self.registrar.create("Juliet", "x"))
        self.successResultOf(self.registrar.create("romeo", "x"))

    def test_setPassword(self) -> None:
        """A new password replaces the old, and is told of."""
        self.successResultOf(self.registrar.create("juliet", "old"))
        self.successResultOf(self.registrar.setPassword(JULIET, "new"))
        self.assertFalse(self.successResultOf(self.rig.host.passwords.check(JULIET, "old")))
        self.assertTrue(self.successResultOf(self.rig.host.passwords.check(JULIET, "new")))
        self.assertIn(("rekeyed", JULIET), self.heard)

    def test_removeKeepsNothing(self) -> None:
        """What the sessions of a removed account leave is refused, and not kept for the name's next owner."""
        kept: list[str] = []
        host = self.rig.host
        self.successResultOf(self.registrar.create("juliet", "x"))
        _, stream = self.rig.bind("romeo@example.org/orchard")
        self.rig.bind("juliet@example.org/balcony")
        words = fromBytes(b"<message from='romeo@example.org/orchard' to='juliet@example.org'><body>hi</body></message>")
        host.hooks.ended.addObserver(lambda session: self.rig.router.route(words))
        host.hooks.undeliverable.addChange(lambda stanza, bare: kept.append(bare))
        self.successResultOf(self.registrar.remove(JULIET))
        self.assertEqual((kept, [each.type for each in stream.take()]), ([], ["error"]))

    def test_unknown(self) -> None:
        """Nobody's account, or another host's, is not found."""
        for bare in ("nobody@example.org", "juliet@example.com"):
            self.assertRefused(StanzaCondition.ITEM_NOT_FOUND, self.registrar.setPassword(bare, "x"))
            self.assertRefused(StanzaCondition.ITEM_NOT_FOUND, self.registrar.setDisabled(bare, True))
            self.assertRefused(StanzaCondition.ITEM_NOT_FOUND, self.registrar.remove(bare))

    @spec("XEP-0133", "4.3", "4.4")
    def test_setDisabled(self) -> None:
        """Disabling ends the sessions and keeps the data; a login under way comes to nothing until it is undone."""
        session, stream = self.rig.bind(JULIET + "/balcony")
        self.successResultOf(self.registrar.setDisabled(JULIET, True))
        self.assertTrue(session.over)
        self.assertEqual(stream.closedWith and stream.closedWith.condition, StreamCondition.NOT_AUTHORIZED)
        record = self.successResultOf(self.rig.host.accounts.get(JULIET))
        self.assertTrue(record and record.disabled)
        late, _ = self.rig.bind(JULIET + "/late")
        self.assertTrue(late.over)
        self.successResultOf(self.registrar.setDisabled(JULIET, False))
        again, _ = self.rig.bind(JULIET + "/again")
        self.assertFalse(again.over)

    @spec("XEP-0077", "3.2")
    def test_remove(self) -> None:
        """All features take leave, all data goes, all sessions end."""
        session, stream = self.rig.bind(JULIET + "/balcony")
        friend, _ = self.rig.bind("romeo@example.org/orchard")
        heard: list[Any] = []
        self.rig.host.hooks.farewell.addObserver(heard.append)
        self.successResultOf(self.registrar.remove(JULIET))
        leave = [Departure(JULIET, guest=False)]
        self.assertEqual((heard, self.rig.host.presence.dissolved), (leave, leave))
        self.assertTrue(session.over)
        self.assertEqual(stream.closedWith and stream.closedWith.condition, StreamCondition.NOT_AUTHORIZED)
        self.assertFalse(friend.over)
        self.assertIn(("removed", JULIET), self.heard)
        self.assertFalse(self.successResultOf(self.rig.host.exists(JULIET)))

    def test_removeSparesTheLast(self) -> None:
        """The session that asked hears the answer before it ends."""
        session, _ = self.rig.bind(JULIET + "/balcony")
        other, _ = self.rig.bind(JULIET + "/other")
        self.successResultOf(self.registrar.remove(JULIET, session))
        self.assertTrue(other.over)
        self.assertFalse(session.over)
        self.rig.clock.advance(0)
        self.assertTrue(session.over)

    def test_newOwner(self) -> None:
        """Whoever registers the name again can log in."""
        self.rig.bind(JULIET + "/balcony")
        self.successResultOf(self.registrar.remove(JULIET))
        self.successResultOf(self.registrar.create("juliet", "x"))
        session, _ = self.rig.bind(JULIET + "/balcony")
        self.assertFalse(session.over)

    @spec("XEP-0133", "4.5")
    def test_endSessions(self) -> None:
        """One session ends by its resource, all without one."""
        for resource in "abc":
            self.rig.bind(f"{JULIET}/{resource}")
        self.assertEqual(self.registrar.endSessions(JULIET, "a"), 1)
        self.assertEqual(self.registrar.endSessions(JULIET, "a"), 0)
        self.assertEqual(self.registrar.endSessions(JULIET), 2)
