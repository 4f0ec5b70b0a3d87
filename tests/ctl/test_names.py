"""
What xmppctl says about names that look like others, and what people see of it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from click.testing import CliRunner, Result
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from tests.ctl.servers import folderFor
from tests.ctl.test_rooms import CAVE, RoomsCase
from tests.marks import spec
from xmppd.ctl import nameaudit, names, namesgroup
from xmppd.ctl.exits import EX_DATAERR, EX_NOHOST, EX_USAGE
from xmppd.ctl.line import Target
from xmppd.ctl.main import xmppctlGroup
from xmppd.ctl.socket import CommandError
from xmppd.ixmppd import NameRecord, RosterItem

MIXED = "p\u0430ypal"
"""With a Cyrillic letter."""


class NamesCase(RoomsCase):
    """A server with two hosts, and rooms."""

    def check(self, name: str, kind: str = "account", domain: str = "example.org") -> dict[str, Any]:
        """What one host makes of a name."""
        (item,) = self.ask("names check", name=name, kind=kind, domain=domain)["items"][:1]
        found: dict[str, Any] = item
        return found

    def force(self, *locals: str) -> None:
        """Accounts that are made whatever they look like."""
        for each in locals:
            self.ask("user add", jid=f"{each}@example.org", password="x", anyway=True)

    def know(self, account: str, *contacts: str) -> None:
        """Contacts of an account."""
        rosters = self.server.store.rosters
        self.successResultOf(rosters.putMany(f"{account}@example.org", [RosterItem(each, listed=True) for each in contacts]))

    def audit(self, **arguments: Any) -> list[tuple[str, str, list[str]]]:
        """All pages of an audit; what was found where."""
        self.pagesOfAudit = 0
        found, after = [], None
        while True:
            given = arguments if after is None else {**arguments, "after": after}
            running: Deferred[Any] = Deferred.fromCoroutine(self.commands("names audit", given))
            for _ in range(200):
                self.clock.advance(0)
            answer = json.loads(json.dumps(self.successResultOf(running)))
            self.pagesOfAudit += 1
            self.assertIn("looked", answer)
            found += answer["items"]
            after = answer["after"]
            if after is None:
                self.found = found
                return [(each["what"], each["where"], each["names"]) for each in found]


class CheckTests(NamesCase):
    """C{names check}."""

    def test_ordinary(self) -> None:
        """Of an ordinary name there is nothing to say, on any host."""
        items = self.ask("names check", name="mercutio")["items"]
        self.assertEqual([(each["domain"], each["action"], each["reasons"], each["taken"]) for each in items],
                         [("example.net", "allow", [], False), ("example.org", "allow", [], False)])

    @spec("mission", "M2")
    def test_accounts(self) -> None:
        """Look-alikes among the accounts of each host, the protected names, and what is odd."""
        self.add("paypal")
        found = self.check("paypa1")
        self.assertEqual((found["action"], found["reasons"], found["alike"]), ("refuse", ["look-alike"], ["paypal"]))
        self.assertEqual(self.check("paypa1", domain="example.net")["reasons"], [])
        found = self.check("adm1n")
        self.assertEqual((found["reasons"], found["protected"]), (["protected"], "admin"))
        self.assertEqual(self.check(MIXED)["reasons"], ["look-alike", "mixed-scripts"])
        self.assertTrue(self.check("PAYPAL")["taken"])
        self.assertEqual(self.check("paypal")["reasons"], [])

    def test_allowed(self) -> None:
        """What is let through is told nevertheless, as that."""
        self.file.write_text(self.configuration + '[host."example.org".names]\naccounts = "allow"\n')
        self.assertEqual(self.ask("reload")["problems"], [])
        found = self.check("adm1n")
        self.assertEqual((found["policy"], found["action"], found["reasons"]), ("allow", "allow", ["protected"]))

    def test_rooms(self) -> None:
        """Rooms are compared with the rooms of their service, also with those that go when they are empty."""
        self.make("paypal@rooms.example.org")
        found = self.ask("names check", name="paypa1", kind="room")["items"]
        self.assertEqual({each["domain"]: each["alike"] for each in found},
                         {"rooms.example.org": ["paypal"], "talks.example.net": []})
        self.patch(names, "TURN", 1)
        self.make(CAVE)
        running: Deferred[Any] = Deferred.fromCoroutine(self.commands("names check", {"name": "cave", "kind": "room"}))
        self.assertNoResult(running)
        self.clock.advance(0)
        self.assertTrue(self.successResultOf(running)["items"][0]["taken"])

    def test_nicknames(self) -> None:
        """Nicknames may mix scripts, and may not be hidden; handles are asked of hosts."""
        self.assertEqual(self.check("Ромео M.", "nickname")["reasons"], [])
        self.assertEqual(self.check("a\u00adb", "handle")["reasons"], ["invisible"])
        self.assertEqual(self.ask("names check", name="x", kind="handle")["items"][0]["policy"], "warn")

    @spec("mission", "M2")
    def test_addresses(self) -> None:
        """Addresses are compared with the accounts of domains that look like theirs."""
        self.add("paypal")
        found = self.check("paypa1@example.org", "address")
        self.assertEqual((found["action"], found["alike"]), ("warn", ["paypal@example.org"]))
        found = self.check("paypal@examp1e.org", "address")
        self.assertEqual(found["reasons"], ["look-alike", "domain"])
        self.assertEqual(found["alike"], ["paypal@example.org"])
        self.assertEqual(self.check("paypa1@jabber.org", "address")["reasons"], [])
        self.assertEqual(self.check("jabber.org", "address")["reasons"], [])
        self.assertTrue(self.check("paypal@example.org", "address")["taken"])

    def test_pages(self) -> None:
        """Hosts come in pages."""
        self.patch(names, "HOSTS", 1)
        first = self.ask("names check", name="x")
        second = self.ask("names check", name="x", after=first["after"])
        self.assertEqual([each["items"][0]["domain"] for each in (first, second)], ["example.net", "example.org"])
        self.assertIsNone(second["after"])

    def test_refused(self) -> None:
        """Kinds, names and domains that are none."""
        for status, words, arguments in (
            (EX_USAGE, "there are: account", {"name": "x", "kind": "pet"}),
            (EX_DATAERR, "can't be", {"name": "a b"}),
            (EX_DATAERR, "can't be", {"name": "@", "kind": "address"}),
            (EX_NOHOST, "example.net", {"name": "x", "domain": "elsewhere.example"}),
            (EX_NOHOST, "rooms.example.org", {"name": "x", "domain": "pubsub.example.org"}),
            (EX_USAGE, "missing", {}),
        ):
            self.assertRefused(status, words, "names check", **arguments)


class AuditTests(NamesCase):
    """C{names audit}."""

    def test_nothing(self) -> None:
        """A server on which all is well; every part is looked at."""
        self.know("romeo", "juliet@example.org", "nurse@example.com")
        self.assertEqual(self.audit(), [])
        self.assertEqual(self.pagesOfAudit, 8)
        answer = self.ask("names audit", after="example.org/rosters/")
        self.assertEqual((answer["domain"], answer["part"], answer["looked"]), ("example.org", "rosters", 2))

    @spec("mission", "M8")
    def test_accounts(self) -> None:
        """Accounts that look alike, once though they have several keys in common; accounts like protected names."""
        self.force("paypal", "paypa1", "adm1n", "postmaster")
        self.assertEqual(self.audit(domain="example.org")[:1], [("accounts", "example.org", ["paypa1", "paypal"])])
        self.assertEqual(self.audit(domain="example.org")[1:], [
            ("account", "example.org", ["adm1n"]), ("account", "example.org", ["postmaster"]),
        ])
        self.assertEqual([each["like"] for each in self.found[1:]], [["admin"], []])
        self.assertEqual(self.audit(domain="example.net"), [])

    @spec("mission", "M8")
    def test_administrators(self) -> None:
        """Administrators have protected names by right."""
        self.force("admin")
        self.assertEqual(self.audit(), [])

    @spec("mission", "M8")
    def test_rosters(self) -> None:
        """Contacts that look like each other, like an account, or like what is protected; pending strangers aren't in."""
        self.add("paypal")
        self.know("romeo", "paypal@jabber.org", "paypa1@jabber.org/x", "paypa1@jabber.org", "stpeter@jabber.org")
        self.know("juliet", "paypa1@example.org", "adm1n@example.org", "pаypal@examp1e.org", "paypal@example.org")
        self.successResultOf(self.server.store.rosters.put("romeo@example.org", RosterItem("stpeteг@jabber.org", listed=False)))
        self.assertEqual(sorted(self.audit()), [
            ("roster", "juliet@example.org", ["adm1n@example.org"]),
            ("roster", "juliet@example.org", ["paypa1@example.org"]),
            ("roster", "juliet@example.org", ["paypa1@example.org", "paypal@example.org", "pаypal@examp1e.org"]),
            ("roster", "juliet@example.org", ["pаypal@examp1e.org"]),
            ("roster", "romeo@example.org", ["paypa1@jabber.org", "paypal@jabber.org"]),
        ])
        like = {each["names"][0]: each["like"] for each in self.found if each["like"]}
        self.assertEqual(like["paypa1@example.org"], ["paypal@example.org"])
        self.assertIn("paypal@example.org", like["pаypal@examp1e.org"])

    def test_both(self) -> None:
        """Who knows one of two accounts that look alike isn't told of: the accounts are."""
        self.force("paypal", "paypa1")
        self.know("romeo", "paypal@example.org")
        self.know("juliet", "paypa1@example.org")
        self.assertEqual([each[0] for each in self.audit()], ["accounts"])
        self.force("adm1n")
        self.know("romeo", "adm1n@example.org")
        self.assertEqual([each[0] for each in self.audit()], ["accounts", "account"])

    @spec("mission", "M8")
    def test_rooms(self) -> None:
        """Rooms that stay; who administrates the service may give protected names."""
        index = self.server.store.nameIndex
        records = [NameRecord("room", "rooms.example.org", each, f"{each}@rooms.example.org") for each in ("cave", "caѵe", "he1p")]
        self.successResultOf(index.add(records))
        self.assertEqual(self.audit(), [
            ("rooms", "rooms.example.org", ["cave", "caѵe"]),
            ("room", "rooms.example.org", ["caѵe"]),
            ("room", "rooms.example.org", ["he1p"]),
        ])
        self.assertEqual(self.audit(domain="talks.example.net"), [])
        self.force("admin")
        self.successResultOf(index.remove("room", "rooms.example.org", "he1p"))
        rooms: Any = self.server.serviceHosts["rooms.example.org"].rooms
        self.successResultOf(rooms.establish("help@rooms.example.org", "admin@example.org", "Help"))
        self.assertNotIn(("room", "rooms.example.org", ["help"]), self.audit())

    @spec("mission", "M8")
    def test_bounded(self) -> None:
        """A page looks at so much, and a turn of the reactor at less; nothing is lost between pages."""
        self.patch(nameaudit, "NAMES", 2)
        self.patch(nameaudit, "GROUPS", 1)
        self.patch(nameaudit, "CONTACTS", 3)
        self.patch(nameaudit, "TURN", 2)
        self.force("paypal", "paypa1", "tybalt", "tyba1t", "mercutio")
        for account in ("romeo", "juliet", "mercutio"):
            self.know(account, *(f"{number}x@example.com" for number in range(5)), "ox@a.example", "0x@a.example")
        found = self.audit(domain="example.org")
        self.assertEqual([each for each in found if each[0] == "accounts"],
                         [each for each in found if each[0] == "accounts" and each[1] == "example.org"])
        self.assertEqual({tuple(each[2]) for each in found if each[0] == "accounts"},
                         {("paypa1", "paypal"), ("tyba1t", "tybalt")})
        self.assertEqual(sorted(each[1] for each in found if each[0] == "roster"),
                         ["juliet@example.org", "mercutio@example.org", "romeo@example.org"])
        self.assertGreater(self.pagesOfAudit, 8)
        running: Deferred[Any] = Deferred.fromCoroutine(self.commands("names audit", {"after": "example.org/rosters/"}))
        self.assertNoResult(running)
        for _ in range(20):
            self.clock.advance(0)
        self.successResultOf(running)

    def test_many(self) -> None:
        """Of a large group the first are told, of a roster that is all deceit the first findings."""
        self.patch(nameaudit, "TOLD", 3)
        self.patch(nameaudit, "FINDINGS", 2)
        self.force(*(f"{'l' * number}{'1' * (5 - number)}x" for number in range(6)))
        self.audit(domain="example.org")
        self.assertEqual([(len(each["names"]), each["more"]) for each in self.found[:1]], [(3, 3)])
        self.know("romeo", *(f"adm1n@{'l' * number}{'1' * (5 - number)}.example" for number in range(6)), "adm1n@example.org")
        self.audit(domain="example.org")
        self.assertEqual(len([each for each in self.found if each["what"] == "roster"]), 2)

    def test_remembered(self) -> None:
        """What an address looks like is asked once in an audit, and what is remembered is bounded."""
        self.patch(nameaudit, "KNOWN", 1)
        self.know("romeo", "a@example.org", "b@example.org")
        audit: Any = names.NameCommands(self.server)._audit
        running: Deferred[Any] = Deferred.fromCoroutine(audit.page(["example.org"], "example.org/rosters/"))
        self.successResultOf(running)
        self.assertEqual(list(audit._likenesses), [("example.org", "b@example.org")])

    def test_slices(self) -> None:
        """The database looks at a part of the index at a time."""
        key, edges = "", []
        while edge := nameaudit.edgeBehind(key):
            edges.append(edge)
            key = edge
        self.assertEqual(len(edges), 63)
        self.assertEqual((nameaudit.edgeBehind(""), nameaudit.edgeBehind("03ff"), nameaudit.edgeBehind("04a0")), ("04", "04", "08"))
        self.assertEqual((nameaudit.edgeBehind("fb"), nameaudit.edgeBehind("fc" + "0" * 62), edges[-1]), ("fc", "", "fc"))

    def test_refused(self) -> None:
        """Pages that aren't there, and domains."""
        self.assertRefused(EX_USAGE, "not on any page", "names audit", after="example.org/dances/")
        self.assertRefused(EX_USAGE, "not on any page", "names audit", after="nowhere")
        for key in ("x", "abc", "zz"):
            self.assertRefused(EX_USAGE, "not on any page", "names audit", after=f"example.org/accounts/{key}")
        self.assertRefused(EX_NOHOST, "example.net", "names audit", domain="elsewhere.example")


class PolicyTests(NamesCase):
    """C{names policy}."""

    def policies(self, **arguments: Any) -> dict[str, Any]:
        """By domain."""
        return {each["domain"]: each for each in self.ask("names policy", **arguments)["items"]}

    def test_why(self) -> None:
        """Hosts say what is configured, services whom they follow."""
        self.file.write_text(self.configuration + '[host."example.org".names]\nrooms = "warn"\nprotected = ["pope"]\n')
        self.assertEqual(self.ask("reload")["problems"], [])
        found = self.policies()
        self.assertEqual(sorted(found), ["example.net", "example.org", "rooms.example.org", "talks.example.net"])
        values = found["example.org"]["values"]
        self.assertEqual(values["protected"], {"value": ["pope"], "why": '[host."example.org".names]'})
        self.assertEqual(values["accounts"], {"value": "refuse", "why": "default"})
        self.assertNotIn("rooms", values)
        self.assertIn("rooms.example.org", found["example.net"]["domains"])
        self.assertEqual(found["rooms.example.org"]["values"]["nicknames"]["why"], "as example.org has it")
        self.assertEqual(sorted(self.policies(domain="example.org")), ["example.org", "rooms.example.org"])
        self.assertEqual(sorted(self.policies(domain="ROOMS.example.org")), ["rooms.example.org"])

    def test_followed(self) -> None:
        """A service below no host goes by all of them."""
        strict, lenient = (type(self.server.hosts["example.org"].config.names)(rooms=each) for each in ("refuse", "warn"))
        self.assertEqual(names.followed({"a": strict, "b": lenient}, "rooms", "refuse"), "the strictest, as a has it")
        self.assertEqual(names.followed({"a": strict, "b": strict}, "rooms", "refuse"), "the strictest, as a, b have it")
        self.assertEqual(names.followed({"a": strict, "b": strict}, "protected", ()), "what all hosts have, together")
        self.assertEqual(names.listed("abcde"), "a, b, c and 2 more")


class LineTests(NamesCase):
    """The command line, on commands that run in this process."""

    def setUp(self) -> None:
        super().setUp()
        self.patch(Target, "client", self)

    def pages(self, command: str, **arguments: Any) -> Iterator[dict[str, Any]]:
        """In place of a client's."""
        yield from self.ask(command, **arguments)["items"]

    def ask(self, name: str, /, **arguments: Any) -> Any:
        """As a client does: what is None isn't sent; a refusal is raised."""
        given = {key: value for key, value in arguments.items() if value is not None}
        try:
            return super().ask(name, **given)
        except self.failureException:
            raise self.refusal(name, **given) from None

    def line(self, *words: str) -> Result:
        """Run xmppctl."""
        return CliRunner().invoke(xmppctlGroup, words, standalone_mode=False)

    def test_check(self) -> None:
        """All there is to know, with the code points; a name that may deceive has a status."""
        self.add("paypal")
        result = self.line("names", "check", MIXED, "--against", "paypal", "--against", "romeo", "--host", "example.org")
        self.assertEqual(result.return_value, EX_DATAERR)
        for words in (
            f"{MIXED} (p\\u0430ypal)", "Cyrl Latn", "minimally-restrictive", "mixed-scripts",
            "CYRILLIC SMALL LETTER A", "paypal looks alike (mixed-script)", "romeo looks different",
            "refuse", "look-alike, mixed-scripts",
        ):
            self.assertIn(words, result.output)
        result = self.line("names", "check", "mercutio")
        self.assertEqual((result.return_value, "ordinary" in result.output), (0, True))

    def test_checkJSON(self) -> None:
        """The same for programs."""
        found = json.loads(self.line("names", "check", "--json", "Adm1n", "--host", "example.org").output)
        self.assertEqual((found["canonical"], found["skeleton"], found["kind"]), ("adm1n", "Adrnln", "account"))
        self.assertEqual(found["hosts"][0]["protected"], "admin")
        self.assertEqual(len(found["code_points"]), 5)
        self.assertEqual(found["code_points"][3]["like"], "l")
        found = json.loads(self.line("names", "check", "--json", "paypa1@example.org").output)
        self.assertEqual((found["kind"], found["oddities"], found["level"]), ("address", [], "ascii-only"))

    def test_audit(self) -> None:
        """Findings as they come, and how much was looked at."""
        result = self.line("names", "audit")
        self.assertEqual((result.return_value, result.output[-15:]), (0, "nothing found.\n"))
        self.force("paypal", "pаypal")
        self.know("romeo", "a@example.com")
        result = self.line("names", "audit", "--host", "example.org")
        self.assertEqual(result.return_value, EX_DATAERR)
        first, *_, last = result.output.splitlines()
        self.assertEqual(first, "accounts of example.org: paypal  pаypal (p\\u0430ypal) (look-alike)")
        self.assertEqual(last, "Looked at 1 contacts, 4 look-alikes, 0 names: 2 found.")
        found = json.loads(self.line("names", "audit", "--json").output)
        self.assertEqual(len(found["findings"]), 2)
        self.assertEqual(found["looked_at"]["contacts"], 1)

    def test_progress(self) -> None:
        """On a terminal, how far it has come is said and taken back."""
        said: list[str] = []
        self.patch(namesgroup.sys, "stderr", type("Terminal", (), {"isatty": lambda self: True})())
        self.patch(namesgroup.click, "echo", lambda text, **how: said.append(text))
        self.assertEqual(list(namesgroup.auditing(self, None, namesgroup.Counter(), True)), [])  # type: ignore[arg-type]
        self.assertEqual((said[0], said[-1]), ("\r\x1b[K", "\r\x1b[K"))
        self.assertEqual(said[1], "example.net: accounts, 0 look-alikes so far …")

    def test_policy(self) -> None:
        """A table for each domain."""
        output = self.line("names", "policy").output
        self.assertRegex(output, r"example.org\nWHAT +HOW +WHY\naccounts +refuse +default\n")
        self.assertRegex(output, r"rooms.example.org \(rooms\)\n")
        self.assertRegex(output, r"languages +none: nothing is foreign")
        self.assertRegex(output, r"\nprotected \(default\): abuse, admin, ")
        self.assertRegex(output, r"\nprotected, being domains of this server: .*\n?.*talks.example.net")
        self.assertLessEqual(max(map(len, output.splitlines())), 100)
        self.assertEqual(len(json.loads(self.line("names", "policy", "--json").output)), 4)


class AloneTests(SynchronousTestCase):
    """C{names check} where no server runs."""

    def line(self, *words: str) -> Result:
        """Run xmppctl."""
        socket = str(folderFor(self) / "xmppctl.sock")
        return CliRunner().invoke(xmppctlGroup, ["--socket", socket, "names", "check", *words], standalone_mode=False)

    def test_alone(self) -> None:
        """What is in the name itself, and that nobody was asked."""
        result = self.line("ромео")
        self.assertEqual(result.return_value, 0)
        self.assertIn("Nobody was asked what is protected, or taken: nobody listens on", result.output)
        found = json.loads(self.line("--json", "a\u202eb").output)
        self.assertEqual((found["hosts"], found["canonical"]), (None, None))
        self.assertEqual(self.line("paypa1", "--against", "paypal").return_value, EX_DATAERR)
        self.assertEqual(self.line("paypal", "--against", "paypal").return_value, 0)
        self.assertEqual(self.line(MIXED).return_value, EX_DATAERR)
        self.assertEqual(self.line("aאב", "--kind", "nickname").return_value, EX_DATAERR)

    def test_addresses(self) -> None:
        """Each part of an address may be in a script of its own; addresses are compared by parts."""
        self.assertEqual(self.line("ромео@example.org").return_value, 0)
        self.assertEqual(self.line("romeo@example.org", "--against", "romeo@examp1e.org").return_value, EX_DATAERR)
        self.assertEqual(self.line("romeo@example.org", "--against", "@").return_value, 0)
        self.assertEqual(self.line("иван@пример.example", "--against", "ivan@example.org").return_value, 0)

    def test_impossible(self) -> None:
        """What can't be a name, is too long, or isn't even text; and a host that can't be asked."""
        result = self.line("a b")
        self.assertEqual(result.return_value, EX_DATAERR)
        self.assertRegex(result.output, "as account +no: ")
        for words, status in ((("x" * 1024,), EX_DATAERR), (("x", "--host", "example.org"), 69)):
            error = self.line(*words).exception
            assert isinstance(error, CommandError)
            self.assertEqual(error.status, status)
        self.assertEqual(self.line("a\udcff\x1b[1m\u200b", "--kind", "handle").return_value, EX_DATAERR)
        self.assertNotIn("\x1b", self.line("a\udcff\x1b[1m\u200b", "--kind", "handle").output)
