"""Tests of L{xmppd.features.xep0484_fast.accounts} and L{xmppd.features.xep0484_fast.joining}: tokens of accounts."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from tests.auth.later import (
    AGENT,
    BIND,
    FAST,
    OTHER,
    REQUEST,
    LaterCase,
    authenticate,
    find,
    hashed,
    identity,
    plain,
    tokenIn,
)
from tests.auth.test_negotiation import logged
from tests.doubles import FailingStore
from tests.marks import spec
from tests.server import TestClient, keysFor
from xmppd.features.xep0484_fast.accounts import KIND, readKey
from xmppd.features.xep0484_fast.joining import Tokens
from xmppd.ixmppd import ILoginFeature, ITokens
from xmppd.wire import ns
from xmppd.wire.dates import fromDateTime

HOUR = 3600.0
DAY = 24 * HOUR
NONE = "HT-SHA-256-NONE"
INVALIDATE = f"<fast xmlns='{ns.FAST}' invalidate='true'/>"


OPTIONS = "[host.\"example.org\".features.xep0484_fast]\ndays = 1\nrotation_hours = 1\n"
"""Not many days: a server in memory lives through each second of them."""


class TokenCase(LaterCase):
    """A server whose accounts get tokens."""

    host = OPTIONS

    def first(self, inner: str = "", agent: str = AGENT, name: str = "romeo") -> str:
        """A token, by the password."""
        client, success = self.login(plain(name), REQUEST + inner, agent=agent)
        client.cut()
        return tokenIn(success)

    def use(self, token: str, inner: str = FAST, mechanism: str = NONE, name: str = "romeo", **named: Any) -> Any:
        """Log in with a token; answers the success."""
        client, success = self.login(hashed(name, token, named.pop("binding", b"")), inner, mechanism, **named)
        client.cut()
        return success

    def refused(self, token: str, condition: str = "not-authorized", inner: str = FAST, mechanism: str = NONE,
                name: str = "romeo", agent: str | None = AGENT, client: TestClient | None = None) -> None:
        """A token is not taken."""
        client = client or self.opened()
        self.fails(client, authenticate(mechanism, hashed(name, token), inner, agent), condition)
        self.assertFalse(client.eof)

    def facts(self, name: str = "romeo") -> Any:
        """What is kept."""
        return self.successResultOf(self.server.store.facts.all(f"{name}@example.org", KIND))


class GivingTests(TokenCase):
    """Sections 3.2 to 3.5."""

    @spec("XEP-0484", "3.2", "3.3", "3.4")
    def test_token(self) -> None:
        """A token with its expiry; with it the client is logged in, and the server proves that it knows it."""
        _client, success = self.login(plain("romeo"), REQUEST)
        element = success.find(f"{{{ns.FAST}}}token")
        assert element is not None
        self.assertEqual(set(element.attrib), {"token", "expiry"})
        self.assertEqual(fromDateTime(element.get("expiry", "")), int(self.server.reactor.seconds() + DAY))
        again = self.use(tokenIn(success), FAST + BIND)
        self.assertRegex(identity(again), "^romeo@example.org/Tests/")
        self.assertIsNotNone(again.find(f"{{{ns.SASL2}}}additional-data"))
        self.assertEqual(tokenIn(again), "")

    def test_interfaces(self) -> None:
        """What is said to be provided is."""
        tokens = self.server.host.inline.tokens
        self.assertIsInstance(tokens, Tokens)
        verifyObject(ITokens, tokens)
        verifyObject(ILoginFeature, tokens)

    @spec("XEP-0484", "3.2", "4.1")
    def test_notGiven(self) -> None:
        """None without asking, for a mechanism not offered, or to a client that doesn't say which it is."""
        for inner, agent in (
            ("", AGENT),
            (REQUEST.replace(NONE, "PLAIN"), AGENT),
            (REQUEST.replace(NONE, "HT-SHA-256-UNIQ"), AGENT),
            (f"<request-token xmlns='{ns.FAST}'/>", AGENT),
            (REQUEST, None),
        ):
            _, success = self.login(plain("romeo"), inner, agent=agent)
            self.assertEqual(tokenIn(success), "")
        self.assertEqual(self.facts(), {})

    @spec("XEP-0484", "3.3")
    def test_notOnFailure(self) -> None:
        """None for a wrong password."""
        self.fails(self.opened(), authenticate("PLAIN", plain("romeo", "x"), REQUEST), "not-authorized")
        self.assertEqual(self.facts(), {})

    def test_unique(self) -> None:
        """Each is another."""
        self.assertEqual(len({self.first() for _ in range(10)}), 10)

    @spec("XEP-0484", "3.4")
    def test_channelBinding(self) -> None:
        """A token for a mechanism with channel binding is good on its own connection's terms, and for nothing else."""
        exporter = "HT-SHA-256-EXPR"
        _, success = self.login(plain("romeo"), REQUEST.replace(NONE, exporter))
        token = tokenIn(success)
        client = self.opened()
        assert client.tls is not None
        data = client.tls.export_keying_material(b"EXPORTER-Channel-Binding", 32, b"")
        self.fails(client, authenticate(exporter, hashed("romeo", token), FAST), "not-authorized")
        self.fails(client, authenticate(NONE, hashed("romeo", token), FAST), "not-authorized")
        client.send(authenticate(exporter, hashed("romeo", token, data), FAST))
        self.succeeds(client.take())
        other = self.opened()  # what somebody in the middle has heard is of no use to him
        self.fails(other, authenticate(exporter, hashed("romeo", token, data), FAST), "not-authorized")

    @spec("XEP-0484", "3.5", "5.1")
    def test_rotation(self) -> None:
        """A token that is due is followed by another; it is good until that is used."""
        first = self.first()
        self.assertEqual(tokenIn(self.use(first)), "")
        self.server.advance(HOUR + 1)
        second = tokenIn(self.use(first))
        self.assertTrue(second)
        third = tokenIn(self.use(first))  # the client never got the second
        self.assertTrue(third)
        self.refused(second)
        self.use(third)
        self.refused(first)
        self.use(third)

    @spec("XEP-0484", "3.3")
    def test_expiry(self) -> None:
        """A token that has expired is refused as such; so is what was never one, otherwise."""
        token = self.first()
        self.server.advance(DAY - 1)
        self.use(token)
        self.server.advance(2)
        self.refused(token, "credentials-expired")
        self.refused("nonsense")

    @spec("XEP-0484", "3.6")
    def test_invalidate(self) -> None:
        """A client that logs out: its token is good this once, nothing is kept, and no other is given out."""
        token = self.first()
        self.server.advance(HOUR + 1)
        self.assertEqual(tokenIn(self.use(token, INVALIDATE)), "")
        self.assertEqual(self.facts(), {})
        self.refused(token)

    @spec("XEP-0484", "3.6")
    def test_invalidateForAnother(self) -> None:
        """Unless it asks for another."""
        token = self.first()
        other = tokenIn(self.use(token, INVALIDATE + REQUEST))
        self.refused(token)
        self.use(other)

    @spec("XEP-0484", "3.4", "4.1")
    def test_refusals(self) -> None:
        """Without saying so, without a client's id, by another client, for another user: refused."""
        token = self.first()
        self.refused(token, "invalid-mechanism", inner="")
        self.refused(token, "malformed-request", agent=None)
        self.refused(token, agent=OTHER)
        self.refused(token, name="juliet")
        self.refused(token, name="nobody")
        self.refused(token, name="a@b@c")
        self.refused("")
        self.fails(self.opened(), authenticate("PLAIN", plain("romeo"), FAST), "invalid-mechanism")
        self.use(token)

    def test_bare(self) -> None:
        """The name may be the bare JID."""
        self.use(self.first(), name="romeo@example.org")

    def test_clients(self) -> None:
        """Each client has its own."""
        one, two = self.first(), self.first(agent=OTHER)
        self.use(one)
        self.use(two, agent=OTHER)
        self.assertEqual(len(self.facts()), 2)

    def test_bounded(self) -> None:
        """The clients of an account that can have tokens are not more than the configuration says."""
        self.server = self.serve(tls=True, host="[host.\"example.org\".features.xep0484_fast]\nclients = 3\n")
        agents = [AGENT[:-1] + str(number) for number in range(6)]
        tokens = []
        for agent in agents:
            tokens.append(self.first(agent=agent))
            self.server.advance(60)
            self.assertLessEqual(len(self.facts()), 3)
        for agent, token in zip(agents[3:], tokens[3:], strict=True):
            self.use(token, agent=agent)
        self.refused(tokens[0], agent=agents[0])

    def test_tidied(self) -> None:
        """What has expired makes room first."""
        self.first(agent=OTHER)
        self.server.advance(2 * DAY)
        self.first()
        self.assertEqual(len(self.facts()), 1)

    def test_anotherMechanism(self) -> None:
        """A client that wants another kind of token gets that."""
        token = self.first()
        success = self.use(token, FAST + REQUEST.replace(NONE, "HT-SHA-256-ENDP"))
        self.assertTrue(tokenIn(success))
        self.refused(tokenIn(success))


class RevocationTests(TokenCase):
    """What ends tokens."""

    def test_password(self) -> None:
        """A changed password does, even if nobody hears of it."""
        token = self.first()
        self.server.store.accounts.setKeys("romeo@example.org", keysFor("new", 5000))
        self.refused(token)
        self.server.store.accounts.setKeys("romeo@example.org", keysFor("romeo"))
        self.use(token)
        self.successResultOf(self.server.host.registrar.setPassword("romeo@example.org", "new"))
        self.assertEqual(self.facts(), {})

    def test_passwordStoreFails(self) -> None:
        """Also if what is kept can't be removed just now."""
        store = FailingStore()
        self.server = self.serve(tls=True, store=store)
        token = self.first()
        tokens = self.server.host.inline.tokens
        store.failWrites = True
        tokens.rekeyed("romeo@example.org")  # type: ignore[union-attr]
        store.failWrites = 0
        self.assertEqual(len(self.facts()), 1)
        self.use(token)  # since the password hasn't changed in truth

    def test_removed(self) -> None:
        """With an account its tokens go; who gets the name next has none."""
        token = self.first()
        self.successResultOf(self.server.host.registrar.remove("romeo@example.org"))
        self.assertEqual(self.facts(), {})
        self.refused(token)
        self.server.account("romeo")
        self.refused(token)

    def test_disabled(self) -> None:
        """A disabled account lets nobody in."""
        token = self.first()
        self.server.store.accounts.setDisabled("romeo@example.org", True)
        self.refused(token, "account-disabled")
        self.refused("nonsense")

    def test_noKeys(self) -> None:
        """An account that has only old keys can have tokens, too."""
        self.server.store.accounts.setKeys("romeo@example.org", keysFor("romeo")[:1])
        client = self.opened()
        success = self.succeeds(self.scram(client, "romeo", "SCRAM-SHA-1", f"{REQUEST}<user-agent xmlns='{ns.SASL2}' id='{AGENT}'/>"))
        self.assertTrue(tokenIn(success))


class KeepingTests(TokenCase):
    """What is in the database and in the log."""

    def test_notInDatabase(self) -> None:
        """Neither token nor client's id is; nor in the log."""
        with logged() as events:
            token = self.first()
            self.use(token)
        kept = repr(self.facts())
        text = repr([{key: str(value) for key, value in event.items()} for event in events])
        for secret in (token, token.removeprefix("fast-"), AGENT):
            self.assertNotIn(secret, kept)
            self.assertNotIn(secret, text)

    def test_notFromDatabase(self) -> None:
        """What the database has makes no token with another key."""
        token = self.first()
        tokens: Any = self.server.host.inline.tokens
        tokens.accounts._key = b"another key" * 3
        self.refused(token)

    def test_unreadable(self) -> None:
        """What can't be read is no token."""
        token = self.first()
        (name,) = self.facts()
        for junk in (b"", b"{}", b"[]", b'{"new": [1], "current": null}', b"\xff"):
            self.server.store.facts.put("romeo@example.org", KIND, name, junk)
            self.refused(token)
        self.assertTrue(self.first())

    def test_storeFails(self) -> None:
        """Without a store to write to there is just no token; what must be written fails the login."""
        store = FailingStore()
        self.server = self.serve(tls=True, store=store)
        store.failWrites = True
        self.assertEqual(self.first(), "")
        store.failWrites = 0
        token = self.first()
        store.failWrites = 1
        client = self.opened()
        client.send(authenticate(NONE, hashed("romeo", token), INVALIDATE))
        self.assertIsNotNone(find(client.take()[0], ns.SASL, "temporary-auth-failure"))
        self.assertTrue(client.streamClosed)
        store.failReads = True
        self.refused(token, "temporary-auth-failure")
        store.failReads = 0
        self.use(token)

    def test_restart(self) -> None:
        """Tokens outlive the process: the key is in a file of the domain."""
        key = readKey(self.server.host.folder)
        self.assertEqual(readKey(self.server.host.folder), key)
        tokens: Any = self.server.host.inline.tokens
        self.assertEqual(tokens.accounts._key, key)


class KeyTests(SynchronousTestCase):
    """The key's file."""

    def test_file(self) -> None:
        """Made once, for nobody else to read."""
        folder = Path(self.mktemp()) / "files" / "example.org"
        key = readKey(folder)
        self.assertEqual(len(key), 32)
        self.assertEqual((folder / "fast.key").stat().st_mode & 0o777, 0o600)
        self.assertEqual(folder.stat().st_mode & 0o777, 0o700)
        self.assertEqual(readKey(folder), key)

    def test_none(self) -> None:
        """Without a folder each is another."""
        self.assertNotEqual(readKey(None), readKey(None))

    def test_unusable(self) -> None:
        """A file that is no key is left alone, and so is a folder that is none."""
        folder = Path(self.mktemp())
        folder.mkdir()
        (folder / "fast.key").write_bytes(b"short")
        self.assertEqual(len(readKey(folder)), 32)
        self.assertEqual((folder / "fast.key").read_bytes(), b"short")
        os.remove(folder / "fast.key")
        (folder / "file").write_bytes(b"")
        self.assertEqual(len(readKey(folder / "file")), 32)
