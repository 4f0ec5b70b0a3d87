"""Tests of L{xmppd.restrict.names} and of what L{xmppd.naming} says about it."""

from __future__ import annotations

from typing import Any

from twisted.logger import LogLevel, globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from tests.doubles import Rig
from tests.marks import spec
from tests.wire.names import ordinary
from xmppd.config import ConfigurationError, HostConfig, parse
from xmppd.ixmppd import INames, NameVerdict
from xmppd.naming import EDITIONS, NamesConfig, strictest
from xmppd.restrict import names
from xmppd.store.memory import MemoryStore
from xmppd.wire import jid
from xmppd.wire.errors import StanzaCondition
from xmppd.wire.lookalikes import EDITION

KINDS = ("account", "room", "nickname", "handle", "met")
CONFIGURATION = 'data = "x"\n[host."example.org"]\n'


class NamesCase(SynchronousTestCase):
    """A host, and what it makes of names."""

    def setUp(self) -> None:
        self.make()

    def make(self, **values: Any) -> None:
        """A host with that configuration of names."""
        self.rig = Rig(config=HostConfig("example.org", names=NamesConfig(**values)))
        self.names = self.rig.host.names

    def reasons(self, kind: str, name: str, *alike: str, **more: Any) -> tuple[str, ...]:
        """Why a name is refused; nothing if it isn't."""
        verdict = self.names.judge(kind, name, alike, **more)
        self.assertEqual(verdict.refused, bool(verdict.reasons), verdict)
        return verdict.reasons


class VerdictTests(NamesCase):
    """What is made of a name."""

    def test_provides(self) -> None:
        """It provides its interface."""
        verifyObject(INames, self.names)

    @spec("mission", "M2")
    def test_ordinary(self) -> None:
        """An ordinary name is allowed, and nothing is said of it."""
        for kind in KINDS:
            self.assertEqual(self.names.judge(kind, "juliet"), NameVerdict(kind, "juliet"))

    @spec("XEP-0165", "1")
    @spec("mission", "M2")
    def test_alike(self) -> None:
        """A name that looks like others is refused, and it is known like which."""
        verdict = self.names.judge("account", "paypa1", ["paypal", "paypal"])
        self.assertEqual(verdict, NameVerdict("account", "paypa1", "refuse", ("look-alike",), ("paypal",)))

    @spec("mission", "M2")
    def test_protected(self) -> None:
        """Protected names and this server's domains are for those who are trusted, what looks like them is for nobody."""
        for name, like in (("admin", "admin"), ("adm1n", "admin"), ("adrnin", "admin"), ("\u0430dmin", "admin"), ("adam", None)):
            found = self.names.judge("account", name)
            self.assertEqual("protected" in found.reasons, like is not None, name)
            self.assertEqual(found.protected, like)
        self.assertEqual(self.reasons("room", "example.org"), ("protected",))
        self.assertEqual(self.reasons("nickname", "Support"), ("protected",))
        self.assertEqual(self.reasons("account", "admin", trusted=True), ())
        self.assertEqual(self.reasons("nickname", "Support", trusted=True), ())
        self.assertEqual(self.reasons("account", "adrnin", trusted=True), ("protected",))
        self.assertEqual(self.names.judge("account", "adrnin", ["admin", "adrnln"]).alike, ("adrnln", "admin"))
        self.assertEqual(self.names.judge("handle", "support").action, "allow")

    @spec("mission", "M2")
    def test_hidden(self) -> None:
        """Nicknames that can't be seen for what they are are refused."""
        for name, reason in (
            ("juliet\u200b", "invisible"),
            ("\u2800", "blank"),
            (" juliet", "padded"),
            ("juliet  capulet", "padded"),
            ("juliet\u00a0", "padded"),
            ("\u202etteiluj", "bidi-control"),
            ("jul\u0301\u0301iet", "marks"),
        ):
            self.assertIn(reason, self.reasons("nickname", name), ascii(name))

    def test_harmless(self) -> None:
        """What people write for fun, or must write, is no fault of a nickname."""
        for name in ("Juliet Capulet", "Ивaн (work)", "❤️ Romeo", "👩‍👩‍👧", "علی‌رضا", "יוסי2", "東京 Tower", "x_X-42", "Ελένη ok"):
            self.assertEqual(self.reasons("nickname", name), (), name)

    @spec("mission", "M2")
    def test_mixed(self) -> None:
        """Accounts and rooms don't mix scripts, nicknames may; how far is configured."""
        for kind in ("account", "room"):
            self.assertEqual(self.reasons(kind, "p\u0430ypal"), ("mixed-scripts",))
            self.assertEqual(self.reasons(kind, "東京tower"), ())
            self.assertEqual(self.reasons(kind, "иван"), ())
        self.assertEqual(self.reasons("nickname", "p\u0430ypal"), ())
        self.make(level="ascii-only", nicknameLevel="single-script")
        self.assertEqual(self.reasons("account", "иван"), ("mixed-scripts",))
        self.assertEqual(self.reasons("nickname", "p\u0430ypal"), ("mixed-scripts",))
        self.assertEqual(self.reasons("nickname", "иван"), ())

    def test_numbers(self) -> None:
        """An account whose name has digits of two systems can't be typed."""
        self.assertEqual(self.reasons("account", "कमल1\u0968"), ("mixed-numbers",))

    @spec("mission", "M2")
    def test_actions(self) -> None:
        """Each kind of name has its policy."""
        self.make(accounts="warn", rooms="allow")
        self.assertEqual(self.names.judge("account", "paypa1", ["paypal"]).action, "warn")
        self.assertEqual(self.names.judge("room", "paypa1", ["paypal"]), NameVerdict("room", "paypa1"))
        self.assertEqual([self.names.action(kind) for kind in KINDS], ["warn", "allow", "refuse", "warn", "warn"])

    @spec("XEP-0165", "2.1")
    @spec("mission", "M1")
    def test_foreign(self) -> None:
        """Names in other scripts than those of one's languages are foreign, of which one is warned at most."""
        verdict = self.names.judge("nickname", "иван", languages=["de"])
        self.assertEqual((verdict.action, verdict.reasons, verdict.scripts), ("warn", ("foreign",), ("Cyrl",)))
        self.assertEqual(self.names.judge("nickname", "иван", languages=["de", "uk"]).reasons, ())
        self.assertEqual(self.names.judge("nickname", "иван").reasons, ())

    def test_reconfigured(self) -> None:
        """What a reload changes holds at once."""
        host = self.rig.host
        self.assertEqual(self.reasons("account", "juliet"), ())
        host.reconfigure(HostConfig("example.org", names=NamesConfig(protected=("juliet",))), host.limits)
        self.assertEqual(self.reasons("account", "juliet"), ("protected",))
        self.assertEqual(self.reasons("account", "admin"), ())

    def test_long(self) -> None:
        """Names that are too long are judged by their beginning."""
        self.assertEqual(self.reasons("nickname", "x" * 5000), ())
        self.assertEqual(self.reasons("account", "ü" * 1023), ())

    @spec("mission", "M2")
    def test_noFalseAlarm(self) -> None:
        """Ten thousand ordinary names in many scripts are refused by nobody."""
        alarms = [name for _, name in ordinary() for kind in ("account", "nickname") if self.names.judge(kind, name).reasons]
        self.assertEqual(alarms, [])


class AddressTests(NamesCase):
    """What is made of addresses that are met."""

    def judge(self, text: str, *alike: str, **more: Any) -> NameVerdict:
        """The verdict about an address."""
        return self.names.judgeAddress(jid.parse(text), alike, **more)

    @spec("XEP-0165", "1")
    @spec("mission", "M2")
    def test_alike(self) -> None:
        """An address that looks like one that is known."""
        verdict = self.judge("ᏚᎢᎵᎬᎢᎬᏒ@ᎫᎪᏴᏴᎬᏒ.org", "stpeter@jabber.org")
        self.assertEqual((verdict.kind, verdict.action), ("met", "warn"))
        self.assertEqual((verdict.reasons[0], verdict.alike), ("look-alike", ("stpeter@jabber.org",)))

    @spec("mission", "M2")
    def test_domain(self) -> None:
        """A domain that looks like ours, and names like the protected ones there; elsewhere they are anybody's."""
        verdict = self.judge("juliet@examp1e.org")
        self.assertEqual((verdict.reasons, verdict.alike), (("domain",), ("juliet@example.org",)))
        verdict = self.judge("adrnin@examp1e.org")
        self.assertEqual((verdict.reasons, verdict.protected), (("domain", "protected"), "admin"))
        self.assertEqual(self.judge("admin@example.net").reasons, ())
        self.assertEqual(self.judge("juliet@example.org").reasons, ())
        self.assertEqual(self.judge("examp1e.org").alike, ("example.org",))

    def test_ours(self) -> None:
        """All domains of the server are ours."""
        names.join(self.rig.host, lambda: ("example.org", "rooms.example.org"))
        self.names = self.rig.host.names
        self.assertEqual(self.judge("cave@rooms.example.org").reasons, ())
        self.assertEqual(self.judge("cave@roorns.example.org").reasons, ("domain",))

    @spec("XEP-0165", "2.1")
    @spec("mission", "M1")
    def test_foreign(self) -> None:
        """Without languages of who meets it, those that are configured count."""
        self.assertEqual(self.judge("иван@example.net").reasons, ())
        self.assertEqual(self.judge("иван@example.net", languages=["de"]).reasons, ("foreign",))
        self.make(languages=("de",))
        self.assertEqual(self.judge("иван@example.net").scripts, ("Cyrl",))
        self.assertEqual(self.judge("иван@example.net", languages=["ru"]).reasons, ())

    def test_allowed(self) -> None:
        """Where strangers are allowed whatever they are called, nothing is looked for."""
        self.make(met="allow")
        self.assertEqual(self.judge("juliet@examp1e.org", "x@y").reasons, ())


class ErrorTests(NamesCase):
    """How a refusal is told."""

    def error(self, kind: str, name: str, *alike: str, known: Any = None) -> tuple[str, str, bytes]:
        """Condition, text and application-specific element of it."""
        error = self.names.error(self.names.judge(kind, name, alike), known)
        return error.condition, error.text or "", error.application

    @spec("mission", "M2")
    def test_taken(self) -> None:
        """A look-alike is a conflict; like which it is isn't told to strangers."""
        condition, text, application = self.error("account", "paypa1", "paypal")
        self.assertEqual((condition, text), (StanzaCondition.CONFLICT, "The name looks like one that is taken."))
        self.assertEqual(application, b"<imitation xmlns='urn:xmppd:names:0'><reason>look-alike</reason></imitation>")

    def test_disclosed(self) -> None:
        """It is told where that is configured, or where it is no secret."""
        _, text, application = self.error("account", "paypa1", "paypal", known=lambda name: name == "paypal")
        self.assertEqual(text, "The name looks like one that is taken: paypal.")
        self.assertIn(b"<like>paypal</like>", application)
        self.make(disclose=True)
        self.assertIn("paypal", self.error("account", "paypa1", "paypal")[1])

    def test_unacceptable(self) -> None:
        """What nobody may have is not acceptable, and it says why."""
        condition, text, application = self.error("account", "adrnin")
        self.assertEqual(condition, StanzaCondition.NOT_ACCEPTABLE)
        self.assertIn("reserved", text)
        self.assertIn(b"<like>admin</like>", application)
        self.assertIn("can't be seen", self.error("nickname", "a\u200bb")[1])

    def test_everyReason(self) -> None:
        """Each reason has words for people."""
        for reason in ("mixed-scripts", "invisible", "blank", "padded", "bidi-control", "mixed-numbers", "marks",
                       "protected", "domain", "foreign"):
            verdict = NameVerdict("account", "x", "refuse", (reason,))
            self.assertTrue((self.names.error(verdict).text or "").startswith("The name is refused: "))


class AuditTests(NamesCase):
    """What is counted and written down."""

    def setUp(self) -> None:
        super().setUp()
        self.events: list[Any] = []
        globalLogPublisher.addObserver(self.heard)
        self.addCleanup(globalLogPublisher.removeObserver, self.heard)

    def heard(self, event: Any) -> None:
        """Keep events of the audit log."""
        if event.get("log_namespace") == "xmppd.audit":
            self.events.append(event)

    @spec("mission", "M2", "M3")
    def test_noted(self) -> None:
        """A verdict is an event of the audit log that names who, what and why, and hides no direction."""
        self.names.note(self.names.judge("nickname", "\u202ex", ["x"]), by="romeo@example.org", room="r@rooms")
        (event,) = self.events
        self.assertEqual(event["log_level"], LogLevel.info)
        text = event["log_format"].format(**event)
        for part in ("host=example.org", "kind=nickname", "action=refuse", "look-alike", "bidi-control", "romeo@example.org"):
            self.assertIn(part, text)
        self.assertTrue(text.isascii())
        tally = self.rig.host.counters.tally("names", "", "host", "kind", "action")
        self.assertEqual(tally.values, {("example.org", "nickname", "refuse"): 1})

    def test_flood(self) -> None:
        """Nobody fills the disk by trying names: what isn't written is counted, and how much that was is written."""
        verdict = self.names.judge("nickname", " x")
        for _ in range(names.LINES + 7):
            self.names.note(verdict)
        self.assertEqual(len(self.events), names.LINES)
        self.rig.clock.advance(60)
        self.names.note(verdict)
        self.assertEqual(len(self.events), names.LINES + 2)
        self.assertEqual(self.events[-2]["count"], 7)
        self.assertEqual(self.rig.host.counters.tally("names", "", "host", "kind", "action").total, names.LINES + 8)

    def test_ordinary(self) -> None:
        """Of ordinary names nothing is noted."""
        self.names.note(self.names.judge("account", "juliet"))
        self.assertEqual(self.events, [])


class IndexTests(SynchronousTestCase):
    """The index of accounts at the start."""

    def setUp(self) -> None:
        self.store = MemoryStore()
        self.rig = Rig(store=self.store)
        self.host = self.rig.host

    def start(self) -> None:
        """The host starts."""
        for observer in self.host.hooks.starting.observe:
            self.successResultOf(observer())

    def found(self, name: str = "paypa1") -> list[str]:
        """Accounts that look like a name."""
        return [each.name for each in self.successResultOf(self.host.nameIndex.alike("account", "example.org", name))]

    @spec("mission", "M2")
    def test_upgrade(self) -> None:
        """Accounts of before there was an index are in it after the first start, however many there are."""
        self.rig.account("paypal", *(f"user{number}" for number in range(1234)))
        for name in ("paypal", "user7"):
            self.store.nameIndex.remove("account", "example.org", name)
        self.assertEqual(self.found(), [])
        self.start()
        self.assertEqual((self.found(), self.found("uѕer7")), (["paypal"], ["user7"]))

    @spec("mission", "M2")
    def test_otherUnicode(self) -> None:
        """If keys were made from other data all are made again; else the start reads one fact."""
        self.rig.account("paypal")
        self.start()
        kept = self.successResultOf(self.host.facts.get("example.org", EDITIONS, "account"))
        self.assertEqual(kept, EDITION.encode())
        self.store.nameIndex.remove("account", "example.org", "paypal")
        self.start()
        self.assertEqual(self.found(), [])
        self.host.facts.put("example.org", EDITIONS, "account", b"16.0.0/1")
        self.start()
        self.assertEqual(self.found(), ["paypal"])
        self.assertEqual(self.successResultOf(self.host.facts.get("example.org", EDITIONS, "account")), EDITION.encode())


class ConfigurationTests(SynchronousTestCase):
    """What the file can say."""

    def read(self, text: str) -> NamesConfig:
        """The section."""
        return parse(CONFIGURATION + '[host."example.org".names]\n' + text, "x.toml").hosts["example.org"].names

    def test_defaults(self) -> None:
        """Look-alikes are refused where names are made, and warned of where they are met."""
        config = parse(CONFIGURATION, "x.toml").hosts["example.org"].names
        self.assertEqual((config.accounts, config.rooms, config.nicknames), ("refuse", "refuse", "refuse"))
        self.assertEqual((config.handles, config.met, config.disclose), ("warn", "warn", False))
        self.assertIn("admin", config.protected)
        self.assertEqual(config, NamesConfig())

    def test_values(self) -> None:
        """What is there."""
        config = self.read('accounts = "warn"\nprotected = ["boss", "boss"]\nlanguages = ["de", "zh-Hant"]\nlevel = "ascii-only"')
        self.assertEqual((config.accounts, config.protected), ("warn", ("boss",)))
        self.assertEqual((config.languages, config.level), (("de", "zh-Hant"), "ascii-only"))

    def test_mistakes(self) -> None:
        """A mistake keeps the server from starting, it never opens a door."""
        for text in ('accounts = "refused"', 'level = "free"', 'protected = [""]', 'protected = "admin"',
                     'languages = ["d e"]', "acounts = 1", "disclose = 1"):
            error = self.assertRaises(ConfigurationError, self.read, text)
            self.assertIn('host."example.org".names', str(error))

    def test_strictest(self) -> None:
        """A domain of several hosts goes by the strictest."""
        one = NamesConfig(accounts="warn", level="single-script", protected=("a",), disclose=True, languages=("de",))
        other = NamesConfig(accounts="allow", rooms="allow", protected=("b",), disclose=False)
        both = strictest([one, other])
        self.assertEqual((both.accounts, both.rooms, both.level), ("warn", "refuse", "single-script"))
        self.assertEqual((both.protected, both.disclose, both.languages), (("a", "b"), False, ("de",)))
        self.assertEqual((strictest([]), strictest([one])), (NamesConfig(), one))
