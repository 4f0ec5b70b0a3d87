"""
Tests for L{xmppd.config}.
"""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path
from types import MappingProxyType
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.marks import spec
from xmppd import config
from xmppd.config import Configuration, ConfigurationError, HostConfig, Limits
from xmppd.hooks import Option
from xmppd.readers import snake

ETC = Path(__file__).parent.parent / "etc"

SMALLEST = """
data = "var"
[host."example.org"]
"""


def commentless(text: str) -> str:
    """A configuration with every commented-out option switched on."""
    return re.sub(r"(?m)^#(?=[a-z0-9_\[])", "", text)


class ConfigurationTestCase(SynchronousTestCase):
    """What tests of configurations share."""

    def parse(self, text: str) -> Configuration:
        """A configuration from a file in /etc/xmppd."""
        return config.parse(text, "/etc/xmppd/xmppd.toml")

    def wrongs(self, text: str) -> dict[str, str]:
        """What is wrong with a configuration, by key."""
        error = self.assertRaises(ConfigurationError, self.parse, text)
        for problem in error.problems:
            self.assertEqual(problem.file, "/etc/xmppd/xmppd.toml")
            self.assertTrue(problem.remedy)
            self.assertNotIn("\n", str(problem))
        return {problem.key: problem.wrong for problem in error.problems}


class ValuesTests(ConfigurationTestCase):
    """Good configurations."""

    def test_smallest(self) -> None:
        """A folder and a domain suffice; everything else has a safe default."""
        configuration = self.parse(SMALLEST)
        self.assertEqual(configuration.data, Path("/etc/xmppd/var"))
        self.assertEqual(configuration.listen, config.Listen())
        self.assertEqual(configuration.limits, Limits())
        self.assertTrue(configuration.tls.requireC2s)
        self.assertTrue(configuration.tls.requireS2s)
        self.assertEqual(configuration.store.url, "sqlite:////etc/xmppd/var/xmppd.sqlite")
        self.assertEqual(configuration.control.socket, Path("/etc/xmppd/var/xmppctl.sock"))
        host = configuration.hosts["example.org"]
        self.assertEqual(host, HostConfig("example.org"))
        self.assertEqual(host.registration, "closed")

    @spec("mission", "A1")
    def test_guestsAreOff(self) -> None:
        """Guests are off unless the administrator turns them on."""
        self.assertEqual(self.parse(SMALLEST).hosts["example.org"].guests, "off")

    @spec("mission", "A1")
    def test_guestsBesideAccounts(self) -> None:
        """A host may have accounts and guests."""
        host = self.parse(SMALLEST + 'guests = "private"').hosts["example.org"]
        self.assertEqual((host.accounts, host.guests), (True, "private"))

    def test_generated(self) -> None:
        """The form in which programs write a configuration is understood."""
        configuration = self.parse("""
data = "/tmp/x/var"
[listen]
c2s = ["tcp:5222:interface=127.0.0.1:backlog=512"]
[tls]
certificates = "/tmp/x/certs"
require_c2s = false
[limits]
enabled = false
[host."localhost"]
registration = "open"
[host."anon.localhost"]
accounts = false
guests = "specialized"
[rooms."conference.localhost"]
""")
        self.assertEqual(configuration.listen.c2s, ("tcp:5222:interface=127.0.0.1:backlog=512",))
        self.assertFalse(configuration.tls.requireC2s)
        self.assertEqual(configuration.hosts["localhost"].registration, "open")
        self.assertEqual(configuration.hosts["anon.localhost"].guests, "specialized")
        self.assertEqual(dict(configuration.rooms), {"conference.localhost": {}})

    def test_domainsAreCanonical(self) -> None:
        """Domains are normalised as addresses are, and keep their order."""
        configuration = self.parse(SMALLEST + '[host."BÜCHER.Example"]\n[rooms."Conference.Example.ORG"]')
        self.assertEqual(list(configuration.hosts), ["example.org", "bücher.example"])
        self.assertEqual(configuration.hosts["bücher.example"].domain, "bücher.example")
        self.assertEqual(list(configuration.rooms), ["conference.example.org"])

    def test_relativePaths(self) -> None:
        """Relative paths count from the folder of the file, wherever the server is started."""
        configuration = self.parse(
            'data = "../var"\n[tls]\ncertificates = "certs"\nclient_ca = "/ca.pem"\n[log]\nfile = "log/x"\n'
            '[control]\nsocket = "c.sock"\n[store]\nurl = "sqlite:///db/x.sqlite"\n[host."example.org"]'
        )
        self.assertEqual(configuration.data, Path("/etc/xmppd/../var"))
        self.assertEqual(configuration.tls.certificates, Path("/etc/xmppd/certs"))
        self.assertEqual(configuration.tls.clientCa, Path("/ca.pem"))
        self.assertEqual(configuration.log.file, Path("/etc/xmppd/log/x"))
        self.assertEqual(configuration.control.socket, Path("/etc/xmppd/c.sock"))
        self.assertEqual(configuration.store.url, "sqlite:////etc/xmppd/db/x.sqlite")

    def test_otherStores(self) -> None:
        """URLs that name no relative file stay as they are."""
        for url in ("postgresql+psycopg://u:p@h/d", "sqlite:////abs/x", "sqlite:///:memory:", "memory:"):
            self.assertEqual(self.parse(f'{SMALLEST}[store]\nurl = "{url}"').store.url, url)

    def test_paceSwitchedOff(self) -> None:
        """Without limits of pace, what the file says of them is void; sizes hold."""
        limits = self.parse(SMALLEST + "[limits]\nenabled = false\nstanzas_per_second = 5\nstanza_bytes = 20000").limits
        self.assertEqual([getattr(limits, name) for name in config.PACES], [0] * len(config.PACES))
        self.assertEqual(limits.stanzaBytes, 20000)
        self.assertEqual(limits.sendQueueBytes, Limits().sendQueueBytes)

    def test_featureOptionsMerge(self) -> None:
        """What a host says of a feature overrides what all hosts are told, key by key."""
        configuration = self.parse(
            'data = "var"\n[features.ping]\na = 1\nb = 2\n[host."example.org".features.ping]\nb = 3\n[host."b.example"]'
        )
        self.assertEqual(configuration.hosts["example.org"].features, {"ping": {"a": 1, "b": 3}})
        self.assertEqual(configuration.hosts["b.example"].features, {"ping": {"a": 1, "b": 2}})

    def test_adminsAreCanonical(self) -> None:
        """Administrators are compared as addresses."""
        host = self.parse(SMALLEST + 'admins = ["Admin@EXAMPLE.org"]').hosts["example.org"]
        self.assertEqual(host.admins, ("admin@example.org",))

    def test_frozen(self) -> None:
        """Nobody changes a configuration."""
        configuration = self.parse(SMALLEST)
        self.assertRaises(AttributeError, setattr, configuration, "data", None)
        self.assertRaises(AttributeError, setattr, configuration.limits, "depth", 1)
        self.assertRaises(TypeError, self.put, configuration.hosts)

    def put(self, mapping: Any) -> None:
        """Try to add something to a mapping."""
        mapping["x"] = 1

    def test_secretsAreNotShown(self) -> None:
        """The representation of a configuration can go to a log."""
        shown = repr(self.parse(SMALLEST + '[component."b.example"]\nsecret = "hush"\n[store]\nurl = "postgresql://u:hush@h/d"'))
        self.assertNotIn("hush", shown)


class MistakesTests(ConfigurationTestCase):
    """Bad configurations."""

    def test_allAtOnce(self) -> None:
        """Every mistake is reported, not only the first."""
        wrongs = self.wrongs('hosst = 1\n[limits]\ndepth = "x"\n[log]\nformat = "xml"\n[host."example.org"]\nguest = "off"')
        self.assertEqual(set(wrongs), {"hosst", "data", "limits.depth", "log.format", 'host."example.org".guest'})

    def test_didYouMean(self) -> None:
        """An unknown key is answered with the one that was meant."""
        self.assertEqual(self.wrongs(SMALLEST + "[hosst]")["hosst"], "unknown key `hosst`, did you mean `host`?")
        self.assertEqual(
            self.wrongs(SMALLEST + "[limits]\nstanza_byte = 1")["limits.stanza_byte"],
            "unknown key `stanza_byte`, did you mean `stanza_bytes`?",
        )
        self.assertEqual(
            self.wrongs(SMALLEST + 'guests = "specialised"')['host."example.org".guests'],
            "`specialised` is unknown, did you mean `specialized`?",
        )

    def test_unlikeAnything(self) -> None:
        """A key that resembles none is answered with all that there are."""
        error = self.assertRaises(ConfigurationError, self.parse, SMALLEST + "[log]\nqqq = 1")
        self.assertEqual(error.problems[0].wrong, "unknown key `qqq`")
        self.assertIn("format, level, file", error.problems[0].remedy)

    def test_notTOML(self) -> None:
        """A syntax error comes with its line."""
        self.assertIn("line 2", self.wrongs('data = "x"\nhost =\n')[""])

    def test_noFile(self) -> None:
        """A file that can't be read is one problem with a remedy."""
        error = self.assertRaises(ConfigurationError, config.load, "/nonexistent/x.toml")
        self.assertIn("/nonexistent/x.toml: No such file or directory; ", str(error))

    def test_notUTF8(self) -> None:
        """A file in another encoding is one problem."""
        path = Path(self.mktemp())
        path.write_bytes(b'data = "\xe4"')
        error = self.assertRaises(ConfigurationError, config.load, path)
        self.assertIn("not UTF-8", str(error))

    def test_load(self) -> None:
        """A file is read and paths count from where it is."""
        path = Path(self.mktemp())
        path.write_text(SMALLEST)
        self.assertEqual(config.load(path).data, path.absolute().parent / "var")

    def test_types(self) -> None:
        """Nothing is converted: a boolean is no number, a text no list."""
        wrongs = self.wrongs(
            SMALLEST + 'accounts = 1\nadmins = "a@example.org"\nscram_iterations = true\n[listen]\nc2s = "tcp:1"\n'
            '[tls]\ncertificates = 5\n[log]\nlevel = 1\n[limits]\ndepth = 1.5\nattributes = 2026-01-01'
        )
        self.assertEqual(wrongs, {
            'host."example.org".accounts': "it is a whole number",
            'host."example.org".admins': "it is a text",
            'host."example.org".scram_iterations': "it is a boolean",
            "listen.c2s": "it is a text",
            "tls.certificates": "it is a whole number",
            "log.level": "it is a whole number",
            "limits.depth": "it is a fraction",
            "limits.attributes": "it is a date or time",
        })

    def test_tables(self) -> None:
        """What should be a table and isn't is a problem, not a traceback."""
        wrongs = self.wrongs('data = "x"\nlisten = 1\nfeatures = 2\nrooms = 3\n[host]\n"example.org" = 4')
        self.assertEqual(set(wrongs), {"listen", "features", "rooms", 'host."example.org"'})

    def test_range(self) -> None:
        """A number out of range is refused; RFC 6120 wants 10,000 octets of a stanza and at most five tries."""
        wrongs = self.wrongs(
            SMALLEST + "scram_iterations = 9999\n[limits]\nstanza_bytes = 9999\nsasl_tries = 6\ndepth = -1\nidle_seconds = 10"
        )
        self.assertEqual(set(wrongs), {
            'host."example.org".scram_iterations', "limits.stanza_bytes", "limits.sasl_tries", "limits.depth",
            "limits.idle_seconds",
        })

    def test_days(self) -> None:
        """Numbers of days are sorted, and each is there once."""
        tls = self.parse(SMALLEST + "[tls]\nexpiry_warning_days = [1, 60, 7, 7]").tls
        self.assertEqual(tls.expiryWarningDays, (60, 7, 1))
        self.assertEqual(self.parse(SMALLEST + "[tls]\nexpiry_warning_days = []").tls.expiryWarningDays, ())
        for wrong in ("5", "[0]", "[1001]", '["7"]'):
            wrongs = self.wrongs(SMALLEST + f"[tls]\nexpiry_warning_days = {wrong}")
            self.assertEqual(set(wrongs), {"tls.expiry_warning_days"}, wrong)

    def test_zero(self) -> None:
        """Where nothing is a sensible value, 0 stands for it."""
        limits = self.parse(SMALLEST + "[limits]\nidle_seconds = 0\noffline_messages = 0\nstanzas_per_second = 0").limits
        self.assertEqual((limits.idleSeconds, limits.offlineMessages, limits.stanzasPerSecond), (0, 0, 0))

    def test_noHost(self) -> None:
        """A server without a domain is refused."""
        self.assertEqual(self.wrongs('data = "x"'), {"host": "there is none"})

    def test_badDomain(self) -> None:
        """A name that is no domain is refused."""
        self.assertIn('host."a b"', self.wrongs(SMALLEST + '[host."a b"]'))

    def test_sameDomainTwice(self) -> None:
        """Two spellings of one domain are refused, and the mistakes in both tables are reported."""
        wrongs = self.wrongs(SMALLEST + 'guests = 1\n[host."EXAMPLE.org"]\nguests = 2')
        self.assertEqual(wrongs['host."EXAMPLE.org"'], 'it is the same domain as host."example.org"')
        self.assertIn('host."example.org".guests', wrongs)
        self.assertIn('host."EXAMPLE.org".guests', wrongs)

    def test_domainOfTwoServices(self) -> None:
        """A domain has one owner."""
        wrongs = self.wrongs(SMALLEST + '[rooms."example.org"]\n[pubsub."p.example"]\n[proxy."p.example"]')
        self.assertEqual(wrongs, {
            'rooms."example.org"': 'the domain is taken by host."example.org"',
            'proxy."p.example"': 'the domain is taken by pubsub."p.example"',
        })

    def test_nobodyCanLogIn(self) -> None:
        """A host without accounts and guests is refused; so is registration without accounts."""
        wrongs = self.wrongs(SMALLEST + 'accounts = false\nregistration = "open"')
        self.assertEqual(set(wrongs), {'host."example.org".accounts', 'host."example.org".registration'})

    @spec("mission", "T2")
    def test_certificatesNeeded(self) -> None:
        """A listener that must speak TLS needs certificates; one that may do without doesn't."""
        for listen in ("c2s", "c2s_tls", "s2s", "s2s_tls", "https"):
            self.assertIn("tls.certificates", self.wrongs(f'{SMALLEST}[listen]\n{listen} = ["tcp:1"]'))
        self.parse(SMALLEST + '[listen]\nc2s = ["tcp:1"]\nhttp = ["tcp:2"]\n[tls]\nrequire_c2s = false')

    def test_endpoints(self) -> None:
        """Endpoint strings look like endpoint strings, each once."""
        for bad in ('"5222"', '""', "1", '"tcp:1", "tcp:1"'):
            self.assertIn("listen.http", self.wrongs(f"{SMALLEST}[listen]\nhttp = [{bad}]"))

    def test_componentSecret(self) -> None:
        """A component needs a secret, and an empty one is none."""
        for line in ("", 'secret = ""', 'secret = " "', "secret = 1"):
            wrongs = self.wrongs(f'{SMALLEST}[component."b.example"]\n{line}')
            self.assertEqual(set(wrongs), {'component."b.example".secret'})

    def test_admins(self) -> None:
        """Only bare JIDs of accounts administrate."""
        for bad in ("example.org", "a@example.org/x", "a@b@c", ""):
            self.assertIn('host."example.org".admins', self.wrongs(f'{SMALLEST}admins = ["{bad}"]'))

    @spec("XEP-0157", "3")
    def test_contacts(self) -> None:
        """Contact addresses are URIs by the registered roles."""
        table = '[host."example.org".contacts]\n'
        contacts = self.parse(SMALLEST + table + 'abuse = ["mailto:a@example.org"]').hosts["example.org"].contacts
        self.assertEqual(contacts, {"abuse": ("mailto:a@example.org",)})
        key = 'host."example.org".contacts'
        self.assertIn("did you mean `abuse`", self.wrongs(SMALLEST + table + "abus = []")[key])
        self.assertIn("no URI", self.wrongs(SMALLEST + table + 'abuse = ["a b"]')[key])

    def test_store(self) -> None:
        """An unknown kind of database is refused without quoting the URL, which may hold a password."""
        error = self.assertRaises(ConfigurationError, self.parse, SMALLEST + '[store]\nurl = "mysql://u:hush@h/d"')
        self.assertNotIn("hush", str(error))

    def test_longSocketPath(self) -> None:
        """A path too long for a socket is refused before the kernel does."""
        self.assertIn("control.socket", self.wrongs(f'{SMALLEST}[control]\nsocket = "/{"x" * 120}"'))

    @given(st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)
    ))
    @settings(max_examples=100, deadline=None)
    def test_anythingAnywhere(self, value: object) -> None:
        """Whatever stands where, the answer is a configuration or a list of problems."""
        keys = ("data", *config.SECTIONS, "host", "component", *config.SERVICES, "features")
        documents = [{key: value} for key in keys]
        documents += [{"host": {"example.org": {snake(f.name): value}}} for f in dataclasses.fields(HostConfig)]
        for document in documents:
            reading = config.Reading("/etc/x.toml")
            config._configuration(reading, document)  # type: ignore[arg-type]
            self.assertTrue(reading.problems)
            self.assertTrue(all(str(problem).isprintable() for problem in reading.problems))


class FeatureOptionsTests(ConfigurationTestCase):
    """Tests for L{config.checkFeatureOptions}."""

    defaults = {"seconds": 60, "greet": False, "names": ("a",), "factor": 0.5, "any": None, "text": "x"}
    declared = MappingProxyType({
        "ping": {
            **{key: Option(default, "…") for key, default in defaults.items()},
            "few": Option(3, "…", lambda value: None if value < 10 else f"{value} are too many"),
        },
        "time": {},
    })

    def check(self, lines: str) -> list[str]:
        """Problems with what one host tells its features."""
        configuration = self.parse(SMALLEST + lines)
        try:
            config.checkFeatureOptions(configuration, self.declared)
        except ConfigurationError as error:
            return [f"{problem.key}: {problem.wrong}" for problem in error.problems]
        return []

    def test_good(self) -> None:
        """Options of their defaults' types are taken."""
        self.assertEqual(self.check(
            'disabled = ["time"]\n[host."example.org".features.ping]\n'
            'seconds = 5\ngreet = true\nnames = ["b"]\nfactor = 2\nany = [1]\ntext = ""'
        ), [])

    def test_unknown(self) -> None:
        """Unknown features and options are answered with those that were meant."""
        self.assertEqual(self.check('disabled = ["tiem"]\n[host."example.org".features.pong]\n[host."example.org".features.ping]\nsecond = 1'), [
            'host."example.org".disabled.tiem: unknown feature `tiem`, did you mean `time`?',
            'host."example.org".features.pong: unknown feature `pong`, did you mean `ping`?',
            'host."example.org".features.ping.second: unknown option `second`, did you mean `seconds`?',
        ])

    def test_ownCheck(self) -> None:
        """An option's own check has the last word, after the type."""
        place = '[host."example.org".features.ping]\n'
        key = 'host."example.org".features.ping.few'
        self.assertEqual(self.check(place + "few = 9"), [])
        self.assertEqual(self.check(place + "few = 10"), [f"{key}: 10 are too many"])
        self.assertEqual(self.check(place + 'few = "x"'), [f"{key}: it is a text"])

    def test_noOptions(self) -> None:
        """A feature without options takes none."""
        self.assertEqual(
            self.check('[host."example.org".features.time]\nx = 1'), ['host."example.org".features.time.x: unknown option `x`']
        )

    def test_types(self) -> None:
        """A value of another type than the default's is refused."""
        self.assertEqual(self.check('[host."example.org".features.ping]\nseconds = true\nnames = "b"\ngreet = 0\nfactor = "1"'), [
            'host."example.org".features.ping.seconds: it is a boolean',
            'host."example.org".features.ping.names: it is a text',
            'host."example.org".features.ping.greet: it is a whole number',
            'host."example.org".features.ping.factor: it is a text',
        ])


class WebTests(ConfigurationTestCase):
    """The section for clients that come by HTTP."""

    def web(self, text: str) -> config.WebConfig:
        """What a section comes to."""
        return self.parse(f"{SMALLEST}[web]\n{text}").web

    def test_defaults(self) -> None:
        """This machine is believed, nobody else."""
        web = self.parse(SMALLEST).web
        self.assertEqual((web.websocket, web.bosh, web.url, web.origins, web.seeOther), (True, True, None, (), None))
        self.assertTrue(all(each in web.proxies for each in ("127.0.0.1", "::1", "unix")))
        self.assertNotIn("10.0.0.1", web.proxies)

    def test_values(self) -> None:
        """Addresses are networks, origins are as browsers write them, URLs lose the slash at their end."""
        web = self.web(
            'proxies = ["10.0.0.0/8"]\norigins = ["HTTPS://Chat.example.org:443"]\nurl = "https://chat.example.org/"\n'
            'see_other = "wss://b.example.org/ws"'
        )
        self.assertIn("10.1.1.1", web.proxies)
        self.assertNotIn("127.0.0.1", web.proxies)
        self.assertEqual(web.origins, ("https://chat.example.org",))
        self.assertEqual((web.url, web.seeOther), ("https://chat.example.org", "wss://b.example.org/ws"))
        self.assertEqual(self.web('origins = "*"').origins, ("*",))
        self.assertFalse(self.web("proxies = []").proxies)

    def test_wrong(self) -> None:
        """What would not be safe, or is nothing, is a mistake."""
        for line in (
            'url = "http://chat.example.org"',
            'url = "https://chat.example.org/?a"',
            'url = "https://chat.example.org/\\"x"',
            'see_other = "ws://chat.example.org"',
            'origins = ["chat.example.org"]',
            'origins = "https://chat.example.org"',
            "origins = [1]",
            'proxies = ["10.0.0.1/8"]',
            'proxies = ["localhost"]',
            "proxies = [1]",
        ):
            self.assertEqual(list(self.wrongs(f"{SMALLEST}[web]\n{line}")), [f"web.{line.split()[0]}"])
        wrongs = self.wrongs(f'{SMALLEST}[listen]\nproxy_protocol = ["x"]')
        self.assertEqual(list(wrongs), ["listen.proxy_protocol"])


class ServersTests(ConfigurationTestCase):
    """C{[s2s]}."""

    def test_values(self) -> None:
        """What a file may say about other servers."""
        s2s = self.parse(
            f"""{SMALLEST}
            [s2s]
            deny = ["Spam.example", "*.bad.example"]
            resolver = "[::1]:5353"
            prooftypes = ["pkix", "pkix"]
            [s2s.connect]
            "A.example" = "10.0.0.1:5269"
            "b.example" = "tls:[::1]"
            [s2s.peer."*.Lab.example"]
            require = false
            """
        ).s2s
        self.assertEqual((s2s.deny, s2s.resolver), (("spam.example", "*.bad.example"), ("::1", 5353)))
        self.assertEqual(dict(s2s.connect), {"a.example": ("10.0.0.1", 5269, False), "b.example": ("::1", 5269, True)})
        self.assertEqual(s2s.prooftypes, ("pkix",))
        peers = {name: (each.require, each.prooftypes) for name, each in s2s.peer.items()}
        self.assertEqual(peers, {"*.lab.example": (False, None)})

    def test_serverMistakes(self) -> None:
        """What it may not."""
        for line, key in (
            ('resolver = "dns.example"', "s2s.resolver"),
            ('resolver = "127.0.0.1:0"', "s2s.resolver"),
            ('prooftypes = ["spf"]', "s2s.prooftypes"),
            ("prooftypes = []", "s2s.prooftypes"),
            ('allow = ["*.*"]', "s2s.allow"),
            ('connect = { "a.example" = "a b" }', "s2s.connect"),
            ('peer = { "a.example" = { requires = true } }', 's2s.peer."a.example".requires'),
            ("peers = 1", "s2s.peers"),
        ):
            self.assertEqual(list(self.wrongs(f"{SMALLEST}[s2s]\n{line}")), [key], line)


class ReferenceTests(ConfigurationTestCase):
    """C{etc/xmppd.toml} is the reference of all options, and true."""

    text = (ETC / "xmppd.toml").read_text("utf-8")

    def test_asItIs(self) -> None:
        """The file loads, with safe values."""
        configuration = config.load(ETC / "xmppd.toml")
        self.assertEqual(configuration.limits, Limits())
        self.assertEqual(configuration.hosts["example.org"], HostConfig("example.org"))

    def test_everythingOn(self) -> None:
        """With every option switched on it still loads."""
        configuration = self.parse(commentless(self.text))
        self.assertEqual(set(configuration.hosts["example.org"].contacts), set(config.CONTACTS))
        self.assertTrue(configuration.components)

    def test_defaultsAreTold(self) -> None:
        """What the file shows as the default is the default."""
        configuration = self.parse(commentless(self.text))
        self.assertEqual(configuration.limits, Limits())
        self.assertEqual((configuration.tls.requireC2s, configuration.tls.requireS2s), (True, True))
        host, default = configuration.hosts["example.org"], HostConfig("example.org")
        for name in ("accounts", "registration", "guests", "resourceConflict", "scramIterations", "plainWithoutTls"):
            self.assertEqual(getattr(host, name), getattr(default, name), name)
        self.assertEqual((configuration.log.format, configuration.log.level), ("text", "info"))

    def test_complete(self) -> None:
        """Every key there is has its line, and a comment above it."""
        for place, kind in (*config.SECTIONS.items(), ('host."example.org"', HostConfig), ('component."bot.example.org"', config.ComponentConfig)):
            section = self.section(place)
            for name in (f.name for f in dataclasses.fields(kind) if "read" in f.metadata):
                if name not in ("contacts", "features", "connect"):
                    self.assertRegex(section, rf"(?m)^#?{snake(name)} = ", f"{place}.{name}")
        for role in config.CONTACTS:
            self.assertIn(f"#{role} = ", self.section('host."example.org".contacts'))

    def section(self, place: str) -> str:
        """The lines of one table."""
        found = re.search(rf"(?ms)^#?\[{re.escape(place)}\]$(.*?)(?=^#?\[|\Z)", self.text)
        assert found is not None, place
        return found[1]

    def test_demo(self) -> None:
        """The demo's configuration loads, stays on loopback and lets guests in."""
        configuration = config.load(ETC / "demo.toml")
        self.assertEqual(list(configuration.hosts), ["example.org"])
        self.assertEqual(configuration.hosts["example.org"].guests, "public")
        self.assertFalse(configuration.listen.proxyProtocol)
        for endpoints in dataclasses.astuple(dataclasses.replace(configuration.listen, proxyProtocol=())):
            self.assertTrue(all("interface=127.0.0.1" in endpoint for endpoint in endpoints))

    def test_unit(self) -> None:
        """The systemd unit waits for readiness, may open files, and gives up on a bad configuration."""
        unit = (ETC / "xmppd.service").read_text()
        for line in ("Type=notify", "NoNewPrivileges=yes", "ProtectSystem=strict", "RestartPreventExitStatus=64 78"):
            self.assertIn(f"\n{line}\n", unit)
