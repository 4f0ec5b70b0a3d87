"""Tests of L{xmppd.features.xep0165_mimicry.checking}."""

from __future__ import annotations

from typing import Any
from xml.sax.saxutils import quoteattr

from tests.doubles import FakeStream, Rig
from tests.marks import spec
from tests.server import ServerCase
from xmppd.config import HostConfig
from xmppd.features import rfc6121_im, xep0165_mimicry
from xmppd.features.xep0165_mimicry.checking import BURST, CHECK, LONGEST, PER_SECOND
from xmppd.ixmppd import ISession, RosterItem
from xmppd.naming import NamesConfig
from xmppd.wire import ns
from xmppd.wire.element import Element
from xmppd.wire.stanza import fromBytes

USER = "maineboy@example.org"
CHEROKEE = "\u13da\u13a2\u13b5\u13ac\u13a2\u13ac\u13d2"


class CheckingTests(ServerCase):
    """Somebody asks for names."""

    def setUp(self) -> None:
        super().setUp()
        config = HostConfig("example.org", admins=("admin@example.org",), names=NamesConfig())
        self.rig = Rig(rfc6121_im.feature, xep0165_mimicry.feature, config=config)
        self.rig.account("paypal", "secret")
        for contact, name in (("paypal@jabber.org", "My bank"), ("stpeter@jabber.org", "Peter")):
            self.rig.host.rosters.put(USER, RosterItem(contact, name=name, subscription="both"))
        self.rig.host.rosters.put(USER, RosterItem("hidden@jabber.org", listed=False))
        self.session, self.stream = self.rig.bind(f"{USER}/home", available=True)

    def ask(self, name: str | None, kind: str | None = None, who: tuple[ISession, FakeStream] | None = None) -> Any:
        """Ask; answers the element, or the condition of an error."""
        session, stream = who or (self.session, self.stream)
        stream.take()
        given = {"name": name, "kind": kind}
        attrs = "".join(f" {key}={quoteattr(value)}" for key, value in given.items() if value is not None)
        self.rig.send(
            session, f"<iq type='get' id='c' to='example.org'><check xmlns='{ns.NAMES}'{attrs}/></iq>".encode()
        )
        self.rig.clock.advance(0)
        (answer,) = stream.take()
        if answer.type == "error":
            return next(
                condition.name for each in answer.elements() if each.name == "error" for condition in each.elements()
            )
        found = answer.find(CHECK)
        assert found is not None
        return found

    def likes(self, found: Element) -> list[tuple[str, str, str]]:
        """What it says that a name is, or looks like."""
        return [
            (each.name, each.get("about") or "", each.text) for each in found.elements() if each.name in ("is", "like")
        ]

    def reasons(self, found: Element) -> list[str]:
        """What is said of a name."""
        return [each.text for each in found.elements("reason")]

    @spec("mission", "M2")
    @spec("XEP-0165", "1", "2.1")
    def test_address(self) -> None:
        """An address: its parts, and the contact that it looks like."""
        found = self.ask("p\u0430ypa1@jabber.org")
        self.assertEqual(
            (found.get("kind"), found.get("action"), found.get("jid")), ("address", "warn", "p\u0430ypa1@jabber.org")
        )
        self.assertEqual(self.reasons(found), ["look-alike", "mixed-scripts"])
        self.assertEqual(self.likes(found), [("like", "contact", "paypal@jabber.org")])
        local, domain = found.elements("part")
        self.assertEqual(
            (local.get("role"), local.get("text"), local.get("skeleton")), ("localpart", "p\u0430ypa1", "paypal")
        )
        self.assertEqual(
            (domain.get("role"), domain.get("text"), domain.get("level")), ("domain", "jabber.org", "ascii-only")
        )
        self.assertEqual([each.get("code") for each in local.elements("script")], ["Cyrl", "Latn"])
        letter = list(local.elements("character"))[1]
        said = [letter.get(key) for key in ("text", "code", "name", "script", "allowed", "like")]
        self.assertEqual(said, ["\u0430", "U+0430", "CYRILLIC SMALL LETTER A", "Cyrillic", "true", "a"])

    @spec("XEP-0165", "1")
    def test_cherokee(self) -> None:
        """The document's own example, as it is typed."""
        found = self.ask(f"{CHEROKEE}@jabber.org")
        self.assertEqual(self.likes(found), [("like", "contact", "stpeter@jabber.org")])
        self.assertNotEqual(found.get("jid"), found.get("name"))

    def test_contact(self) -> None:
        """A contact's own address is that contact, by the name the user has given."""
        found = self.ask("stpeter@jabber.org/home")
        self.assertEqual(self.likes(found), [("is", "contact", "stpeter@jabber.org")])
        self.assertEqual(found.find("is").get("handle"), "Peter")
        self.assertEqual([each.get("role") for each in found.elements("part")], ["localpart", "domain", "resource"])

    @spec("mission", "M2")
    def test_protected(self) -> None:
        """Protected names and the server's own domains are told to anybody."""
        found = self.ask("adm1n")
        self.assertEqual(
            (found.get("kind"), found.get("action"), self.reasons(found)), ("account", "refuse", ["protected"])
        )
        self.assertEqual(self.likes(found), [("like", "protected", "admin")])
        self.assertEqual(self.likes(self.ask("admin")), [("is", "protected", "admin")])
        found = self.ask("romeo@examp1e.org")
        self.assertEqual(self.reasons(found), ["domain"])
        self.assertEqual(self.likes(found), [("like", "domain", "romeo@example.org")])

    @spec("mission", "M2")
    def test_accountsAreNotTold(self) -> None:
        """Nothing differs between a name like that of an account, that of an account, and one that nobody has."""
        guest = self.rig.bind("f00@example.org/x", guest=True)

        def shape(name: str) -> Any:
            found = self.ask(name, None, guest)
            return found.get("action"), self.reasons(found), self.likes(found)

        for name in ("secret", "secre1", "paypa1", "nobody", "secret@example.org", "paypa1@example.org"):
            self.assertEqual(shape(name), ("allow", [], []), name)

    def test_nickname(self) -> None:
        """Nicknames are compared with handles and localparts, and are no addresses."""
        found = self.ask("My \u042cank", "nickname")
        self.assertIsNone(found.get("jid"))
        found = self.ask("Peter", "nickname")
        self.assertEqual(self.likes(found), [("like", "contact", "stpeter@jabber.org")])
        self.assertEqual(self.likes(self.ask("paypa1", "account")), [("like", "contact", "paypal@jabber.org")])

    def test_invalid(self) -> None:
        """What can't be an address is said to be none, and taken apart in any case."""
        found = self.ask("a b")
        self.assertIsNotNone(found.find("invalid"))
        (part,) = found.elements("part")
        self.assertEqual(part.get("level"), "unrestricted")
        self.assertIsNotNone(self.ask("x@y@z@").find("invalid"))
        self.assertIsNotNone(self.ask("romeo@example.net", "account").find("invalid"))

    def test_oddities(self) -> None:
        """What is odd, and what isn't allowed."""
        (part,) = self.ask("pay\u200bpal", "nickname").elements("part")
        self.assertEqual([each.text for each in part.elements("oddity")], ["invisible"])
        hidden = list(part.elements("character"))[3]
        self.assertEqual((hidden.get("allowed"), hidden.get("like")), ("false", ""))
        self.assertIn("Default_Ignorable", hidden.get("types") or "")
        (part,) = self.ask("paypal").elements("part")
        self.assertEqual([each.get("code") for each in part.elements("counterpart")], ["Cyrl", "Grek"])

    @spec("mission", "M2")
    def test_bounds(self) -> None:
        """Long names, wrong kinds, and too many."""
        self.assertEqual(self.ask("a" * (LONGEST + 1)), "not-acceptable")
        self.assertEqual(self.ask(""), "bad-request")
        self.assertEqual(self.ask(None), "bad-request")
        self.assertEqual(self.ask("a", "room"), "bad-request")
        self.rig.clock.advance(BURST / PER_SECOND)
        answers = [self.ask("\U00010400" * LONGEST) for _ in range(BURST + 1)]
        self.assertEqual(answers[-1], "resource-constraint")
        self.assertNotIn("resource-constraint", answers[:-1])
        self.rig.clock.advance(1 / PER_SECOND)
        self.assertEqual(self.ask("a").get("action"), "allow")

    def test_elsewhere(self) -> None:
        """Nobody from elsewhere asks."""
        answers: list[Any] = []
        stanza = fromBytes(
            f"<iq type='get' id='c' from='a@b.example/c' to='example.org'><check xmlns='{ns.NAMES}' name='a'/></iq>".encode()
        )
        self.rig.router.remote = type("Remote", (), {"deliver": lambda _, each: answers.append(each)})()
        self.rig.router.route(stanza)
        self.assertEqual([each.type for each in answers], ["error"])
