"""
Tests of L{xmppd.features.xep0484_fast.guests}: a guest whose page is loaded again is the same guest (mission A12).
"""

from __future__ import annotations

from typing import Any

from tests.auth.later import (
    AGENT,
    BIND,
    FAST,
    MANAGED,
    OTHER,
    REQUEST,
    LaterCase,
    authenticate,
    find,
    hashed,
    identity,
    resume,
    resumptionId,
    tokenIn,
)
from tests.marks import spec
from tests.server import TestClient, split
from xmppd.features.xep0484_fast.guests import GRACE
from xmppd.wire import ns

NONE = "HT-SHA-256-NONE"
SM = ns.STREAM_MANAGEMENT


class ReloadCase(LaterCase):
    """A guest with a page, and somebody to talk to."""

    def setUp(self) -> None:
        super().setUp()
        self.page, success = self.guest()
        self.page.take()
        self.jid = identity(success)
        self.bare, _, self.resource = self.jid.partition("/")
        self.name = self.bare.partition("@")[0]
        self.previd, self.token = resumptionId(success), tokenIn(success)

    def use(self, token: str, inner: str = "", agent: str | None = AGENT) -> tuple[TestClient, list[Any]]:
        """Another page comes with a token; it, and what it gets."""
        client = self.opened()
        client.send(authenticate(NONE, hashed(self.name, token), FAST + inner, agent))
        return client, client.take()

    def reload(self, token: str | None = None, h: int = 0) -> tuple[TestClient, str]:
        """The page is loaded again; it, and its next token."""
        client, answers = self.use(self.token if token is None else token, resume(self.previd, h))
        success = self.succeeds(answers)
        self.assertEqual(identity(success), self.jid)
        self.assertIsNotNone(success.find(f"{{{SM}}}resumed"))
        client.jid = self.jid
        return client, tokenIn(success)

    def refused(self, token: str, condition: str = "not-authorized", inner: str = "", agent: str = AGENT) -> TestClient:
        """A token isn't taken; the stream is open for a new guest."""
        client, (failure,) = self.use(token, inner or resume(self.previd), agent)
        self.assertEqual(split(failure.tag), (ns.SASL2, "failure"))
        self.assertEqual(split(failure[0].tag), (ns.SASL, condition))
        self.assertFalse(client.eof)
        return client


class ReloadTests(ReloadCase):
    """The way it is meant."""

    @spec("mission", "A12")
    @spec("XEP-0198", "9.2")
    def test_sameOccupant(self) -> None:
        """The page is gone and back: the same full JID, and what was said meanwhile arrives."""
        juliet = self.server.connect().login("juliet").available()
        for round, end in enumerate((TestClient.cut, lambda page: None)):  # also if the server hasn't noticed yet
            end(self.page)
            juliet.send(f"<message to='{self.jid}' id='m{round}' type='chat'><body>still there?</body></message>")
            self.page, answers = self.use(self.token, resume(self.previd, round))
            success = self.succeeds(answers)
            self.assertEqual(identity(success), self.jid)
            self.assertEqual([each.get("id") for each in answers[1:] if each.get("id")], [f"m{round}"])
            self.token = tokenIn(success)
            self.page.send(f"<message to='{juliet.jid}' type='chat'><body>yes</body></message>")
            self.assertEqual(juliet.take()[-1].get("from"), self.jid)
        self.assertEqual(len(self.server.host.sessions), 2)

    @spec("mission", "A12")
    def test_notGone(self) -> None:
        """Nothing of what the guest has done is undone, and others see nobody leave."""
        departed: list[str] = []
        self.patch(self.server.host.ledger, "departed", departed.append)
        juliet = self.server.connect().login("juliet").available()
        self.page.send(f"<presence to='{juliet.jid}'/>")
        juliet.take()
        for _ in range(3):
            self.page.cut()
            self.page, self.token = self.reload()
        self.assertEqual([split(each.tag)[1] for each in juliet.take()], [])
        self.assertEqual(departed, [])
        self.page.send("</stream:stream>")
        self.page.cut()
        self.assertEqual([each.get("type") for each in juliet.take()], ["unavailable"])
        self.assertEqual(departed, [self.bare])

    @spec("mission", "A12")
    def test_manyTimes(self) -> None:
        """Again and again, each time with the token of the time before."""
        tokens = {self.token}
        page, token = self.page, self.token
        for _ in range(10):
            page.cut()
            page, token = self.reload(token)
            self.assertNotIn(token, tokens)
            tokens.add(token)

    @spec("mission", "A12")
    def test_oneUse(self) -> None:
        """A token is good for one use: the next one ends it, and so does a short while."""
        _, second = self.reload()
        third_page, third = self.reload(second)
        self.refused(self.token)
        third_page.cut()
        self.server.advance(GRACE - 1)
        _, fourth = self.reload(second)  # the page never heard of the third
        self.refused(third)
        self.server.advance(GRACE + 1)
        self.refused(second, "credentials-expired")
        self.reload(fourth)

    @spec("mission", "A12")
    def test_diesWithSession(self) -> None:
        """When the guest has gone nobody comes back as it: after closing, and after the time to resume."""
        self.page.send("</stream:stream>")
        self.page.cut()
        client = self.refused(self.token)
        client.send(authenticate("ANONYMOUS", None, MANAGED + REQUEST))
        success = self.succeeds(client.take())
        self.assertNotEqual(identity(success).partition("@")[0], self.name)
        client.cut()
        self.name, self.previd = identity(success).partition("@")[0], resumptionId(success)
        self.server.advance(self.server.host.limits.managementSeconds + 1)
        self.refused(tokenIn(success))
        self.assertEqual(self.server.host.sessions, {})

    def test_nothingStored(self) -> None:
        """Nothing of it is in the store."""
        self.page.cut()
        self.reload()
        facts = self.server.store.facts
        self.assertEqual(dict(self.successResultOf(facts.kinds(self.bare))), {})

    @spec("mission", "A12")
    def test_others(self) -> None:
        """Neither another client's id nor another guest's token nor no token will do; resuming alone neither."""
        self.page.cut()
        _, other = self.guest(agent=OTHER)
        self.refused(self.token, agent=OTHER)
        self.refused(tokenIn(other))
        self.refused("")
        client = self.opened()
        client.send(authenticate("ANONYMOUS", None, resume(self.previd) + MANAGED))
        success = self.succeeds(client.take())
        failed = find(success, SM, "failed")
        assert failed is not None
        self.assertEqual(split(failed[0].tag)[1], "item-not-found")
        self.assertNotIn(self.name, identity(success))
        self.reload()

    def test_unguessable(self) -> None:
        """What resumes is at least 128 random bits, and so is the token."""
        self.assertGreaterEqual(len(self.previd), 22)
        self.assertGreaterEqual(len(self.token), 43)
        self.assertNotIn(self.name, self.previd + self.token)

    def test_oldProfile(self) -> None:
        """The older profile takes no tokens; ANONYMOUS there makes another guest, whatever its trace says."""
        self.page.cut()
        client = self.opened()
        client.anonymous(self.token)
        client.open()
        self.assertNotIn(self.name, client.bind())
        client.send(resume(self.previd))
        self.assertNotIn("resumed", [split(each.tag)[1] for each in client.take()])
        self.reload()

    def test_separately(self) -> None:
        """Resuming behind the login rather than along with it does as well."""
        self.page.cut()
        client, answers = self.use(self.token)
        self.assertEqual(identity(self.succeeds(answers)), self.bare)
        client.send(resume(self.previd))
        self.assertEqual(split(client.take()[0].tag), (SM, "resumed"))
        self.assertIn(self.resource, self.server.host.sessions[self.bare])

    def test_loginAlone(self) -> None:
        """A page that comes with the token and goes again changes nothing for the guest."""
        client, _ = self.use(self.token)
        client.send("</stream:stream>")
        client.cut()
        self.assertFalse(self.page.eof)
        self.page.send("<presence/>")
        self.assertTrue(self.page.take())
        self.assertIn(self.bare, self.server.host.sessions)

    def test_invalidate(self) -> None:
        """A page that logs out for good."""
        client = self.opened()
        sent = f"<fast xmlns='{ns.FAST}' invalidate='1'/>" + resume(self.previd)
        client.send(authenticate(NONE, hashed(self.name, self.token), sent))
        self.assertEqual(tokenIn(self.succeeds(client.take())), "")
        self.refused(self.token)
        self.assertFalse(client.eof)


class AnotherSessionTests(ReloadCase):
    """A page that has the token and has lost the rest."""

    def test_bind(self) -> None:
        """It gets another session as the same guest; the old one ends, and the guest has not gone."""
        departed: list[str] = []
        self.patch(self.server.host.ledger, "departed", departed.append)
        client, answers = self.use(self.token, MANAGED)
        success = self.succeeds(answers)
        self.assertEqual(identity(success).partition("/")[0], self.bare)
        self.assertNotEqual(identity(success), self.jid)
        self.page.take()
        self.assertTrue(self.page.eof)
        self.assertEqual(list(self.server.host.sessions[self.bare]), [identity(success).partition("/")[2]])
        self.assertEqual(departed, [])
        client.cut()
        self.previd, self.jid = resumptionId(success), identity(success)
        self.reload(tokenIn(success))

    def test_resumptionFails(self) -> None:
        """So it does if the session can't be resumed."""
        self.page.cut()
        _, answers = self.use(self.token, resume("nonsense") + BIND)
        success = self.succeeds(answers)
        self.assertIsNotNone(success.find(f"{{{SM}}}failed"))
        self.assertEqual(identity(success).partition("/")[0], self.bare)

    def test_asGoodAsGone(self) -> None:
        """
        Who claims to have less than it has acknowledged can't go on with the session: that ends, and the guest with it.
        The page is told that its token is of no use any more.
        """
        juliet = self.server.connect().login("juliet")
        juliet.send(f"<message to='{self.jid}' type='chat'><body>x</body></message>")
        self.page.send(f"<a xmlns='{SM}' h='1'/>")
        client, (failure, *_rest) = self.use(self.token, resume(self.previd, 0) + BIND)
        self.assertEqual(split(failure[0].tag), (ns.SASL, "credentials-expired"))
        self.assertTrue(client.streamClosed)
        self.assertNotIn(self.bare, self.server.host.sessions)

    def test_banned(self) -> None:
        """Who was banned doesn't come back by a token."""
        self.page.cut()
        guests: Any = self.server.host.guests
        self.successResultOf(guests.ban(self.bare, "admin@example.org"))
        self.server.pump()
        self.refused(self.token)


class AccountNameTests(ReloadCase):
    """Guests and accounts side by side."""

    def test_account(self) -> None:
        """A guest's token is no account's."""
        self.name = "romeo"
        self.refused(self.token)

    def test_off(self) -> None:
        """Without the feature nothing is offered or taken, and guests come as ever."""
        self.server = self.serve(tls=True, host=self.host + "disabled = [\"xep0484_fast\"]\n")
        features = self.opened().features
        assert features is not None
        self.assertIsNone(find(features, ns.FAST, "fast"))
        client = self.opened()
        self.fails(client, authenticate(NONE, hashed("romeo", "x"), FAST), "invalid-mechanism")
        _, success = self.guest()
        self.assertEqual(tokenIn(success), "")
