"""
The configuration: TOML in, frozen values out, or all mistakes at once.

Theory of operation
===================

Each section is a frozen dataclass. A field made by L{option<xmppd.readers.option>} names its default and the reader
that checks what the file says; its key is the field's name in snake case (C{requireC2s} is set by C{require_c2s}).
C{_section} walks a table and its dataclass side by side. Whatever is wrong becomes a L{Problem} and the default takes
its place, so that one start shows every mistake; at the end L{parse} raises them together as a L{ConfigurationError}.
Nothing here touches the network or the disk, but for reading the file itself: whether a folder exists or a port is
free is found out by those who use it.

What a feature may be told is known to the feature, not to this module: the options stay as the file has them, until
L{checkFeatureOptions} compares them with what the features declare.
"""

from __future__ import annotations

import dataclasses
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar

from xmppd import readers
from xmppd.guesting import PROFILES, GuestConfig
from xmppd.hooks import Option
from xmppd.naming import NamesConfig
from xmppd.peering import PeerConfig, S2SConfig
from xmppd.readers import Problem, Reading, option
from xmppd.wire.proxies import Networks

T = TypeVar("T")

MINIMUM_ITERATIONS = 10_000
"""The fewest PBKDF2 rounds behind a stored password."""


class ConfigurationError(Exception):
    """
    The configuration can't be used.

    @ivar problems: everything that is wrong with it, at least one L{Problem}.
    """

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(map(str, self.problems)))


# --- sections -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Listen:
    """
    C{[listen]}: where the server listens, as Twisted's endpoint strings. Nothing listens unless it is said here.

    @ivar c2s: clients, STARTTLS (RFC 6120).
    @ivar c2sTls: clients, TLS from the first byte (XEP-0368).
    @ivar s2s: servers, STARTTLS.
    @ivar s2sTls: servers, TLS from the first byte.
    @ivar http: HTTP without TLS, for a reverse proxy.
    @ivar https: HTTP with TLS.
    @ivar component: external components (XEP-0114); without TLS, so loopback is the place.
    @ivar metrics: HTTP for administrators and Prometheus: whoever gets there may read, so loopback is the place.
    @ivar proxyProtocol: whose connections to c2s, c2sTls, http and https begin with the PROXY protocol, which names
        the client's address; the others' never do.
    """

    c2s: tuple[str, ...] = option(readers.endpoints, ())
    c2sTls: tuple[str, ...] = option(readers.endpoints, ())
    s2s: tuple[str, ...] = option(readers.endpoints, ())
    s2sTls: tuple[str, ...] = option(readers.endpoints, ())
    http: tuple[str, ...] = option(readers.endpoints, ())
    https: tuple[str, ...] = option(readers.endpoints, ())
    component: tuple[str, ...] = option(readers.endpoints, ())
    metrics: tuple[str, ...] = option(readers.endpoints, ())
    proxyProtocol: Networks = option(readers.networks, Networks())


@dataclass(frozen=True, slots=True)
class WebConfig:
    """
    C{[web]}: clients that come by HTTP.

    @ivar websocket: whether there are WebSockets (RFC 7395), at C{/xmpp-websocket}.
    @ivar bosh: whether there is BOSH (XEP-0124 and 0206), at C{/http-bind}.
    @ivar url: where clients reach the web site, to be told to them (XEP-0156); without one, the domain of the host and
        the port of C{listen.https}.
    @ivar origins: whose web pages may connect, and have the chat in a frame; none: those of the hosts' domains and of
        C{url} may connect.
    @ivar proxies: the reverse proxies that are believed when they say whom they speak for.
    @ivar chat: whether there is a chat in web pages, at C{/}.
    @ivar chatRoom: the room that it suggests, by its bare JID, or None.
    @ivar seeOther: the URL of another server to which all clients with WebSockets are sent, or None.
    @ivar strictTransportDays: for how many days browsers are to use nothing but HTTPS (RFC 6797); 0: they aren't told.
    @ivar acmeChallenge: folder with answers to an authority's questions (RFC 8555 section 8.3), or None.
    """

    websocket: bool = option(readers.flag, True)
    bosh: bool = option(readers.flag, True)
    url: str | None = option(readers.secureURL("https"), None)
    origins: tuple[str, ...] = option(readers.origins, ())
    proxies: Networks = option(readers.networks, Networks.of(("127.0.0.0/8", "::1", "unix")))
    chat: bool = option(readers.flag, False)
    chatRoom: str | None = option(readers.bareJID, None)
    seeOther: str | None = option(readers.secureURL("wss", "https"), None)
    strictTransportDays: int = option(readers.number(0, 3650), 0)
    acmeChallenge: Path | None = option(readers.path, None)


@dataclass(frozen=True, slots=True)
class TLSConfig:
    """
    C{[tls]}.

    @ivar certificates: folder with C{DOMAIN.pem} files, chain and key in each.
    @ivar requireC2s: whether clients must use TLS before they log in.
    @ivar requireS2s: whether streams between servers must use TLS.
    @ivar clientCa: file with the authorities that vouch for clients' certificates (XEP-0178), or None for none.
    @ivar expiryWarningDays: with how many days left administrators are warned that a certificate ends, the most first.
    """

    certificates: Path | None = option(readers.path, None)
    requireC2s: bool = option(readers.flag, True)
    requireS2s: bool = option(readers.flag, True)
    clientCa: Path | None = option(readers.path, None)
    expiryWarningDays: tuple[int, ...] = option(readers.days, (30, 14, 7, 3, 1))


_count = readers.number(1)
_pace = readers.number(1, zero="no limit")


@dataclass(frozen=True, slots=True)
class Limits:
    """
    C{[limits]}: bounds on everything that somebody else can make grow. Octets, seconds, or plain counts. The fields
    in L{PACES} are limits of pace: for them 0 means none, and with C{enabled = false} the file's values give way to 0.
    Sizes always hold.

    @ivar enabled: whether limits of pace hold.
    @ivar stanzaBytes: octets of one first-level element of a stream (announced by XEP-0478).
    @ivar headBytes: octets of a start tag: the stream's header, or that of any element.
    @ivar depth: how deep elements may nest in a stanza.
    @ivar children: children of a stanza.
    @ivar elements: elements in a stanza, at every depth.
    @ivar attributes: attributes of an element.
    @ivar namespaces: namespace declarations in a stanza.
    @ivar unauthenticatedSeconds: how long a connection may take until a resource is bound.
    @ivar unauthenticatedBytes: octets a connection may send until it is authenticated.
    @ivar saslTries: failed logins on one stream before it is closed (RFC 6120 section 6.4.5).
    @ivar idleSeconds: silence after which a connection is checked, then again at the same pace; 0 for never.
        RFC 6120 section 4.6.4 recommends at least five minutes between checks.
    @ivar answerSeconds: how long a check of a stream may stay unanswered, and a closing handshake may take.
    @ivar connections: connections in all.
    @ivar connectionsPerAddress: connections from one address (IPv6: one /64).
    @ivar attemptsPerMinute: new connections from one address in a minute.
    @ivar authFailuresPerMinute: failed logins from one address in a minute.
    @ivar registrationsPerHour: accounts registered from one address in an hour.
    @ivar bytesPerSecond: octets a stream may send a second in the long run; reading pauses for those who send more.
    @ivar burstBytes: octets it may send at once after a silence.
    @ivar stanzasPerSecond: stanzas a stream may send a second in the long run.
    @ivar burstStanzas: stanzas it may send at once after a silence.
    @ivar resourcesPerAccount: sessions of an account at a time.
    @ivar sendQueueBytes: octets that may wait for a client that doesn't read.
    @ivar managementQueue: stanzas that may wait for acknowledgement (XEP-0198).
    @ivar managementBytes: octets that may wait for acknowledgement.
    @ivar managementSeconds: how long a stream can be resumed.
    @ivar offlineMessages: messages kept for an account that is away.
    @ivar rosterItems: contacts of an account.
    @ivar privateBytes: octets of private XML of an account (XEP-0049).
    @ivar factBytes: octets of everything else a feature keeps for an account.
    @ivar vcardBytes: octets of a vCard (XEP-0054).
    @ivar blockListItems: entries of a block list (XEP-0191).
    @ivar pbkdf2Queue: logins whose password check may wait for the thread that derives keys.
    """

    enabled: bool = option(readers.flag, True)
    stanzaBytes: int = option(readers.number(10_000, 64 << 20), 262_144)
    headBytes: int = option(readers.number(1024, 1 << 20), 16_384)
    depth: int = option(readers.number(4, 200), 64)
    children: int = option(_count, 5000)
    elements: int = option(_count, 20_000)
    attributes: int = option(readers.number(8), 64)
    namespaces: int = option(readers.number(16), 256)
    unauthenticatedSeconds: int = option(_count, 60)
    unauthenticatedBytes: int = option(readers.number(4096), 65_536)
    saslTries: int = option(readers.number(1, 5), 5)
    idleSeconds: int = option(readers.number(300, zero="never"), 600)
    answerSeconds: int = option(_count, 30)
    connections: int = option(_count, 10_000)
    connectionsPerAddress: int = option(_pace, 200)
    attemptsPerMinute: int = option(_pace, 120)
    authFailuresPerMinute: int = option(_pace, 30)
    registrationsPerHour: int = option(_pace, 10)
    bytesPerSecond: int = option(_pace, 1 << 20)
    burstBytes: int = option(_count, 1 << 20)
    stanzasPerSecond: int = option(_pace, 200)
    burstStanzas: int = option(_count, 1000)
    resourcesPerAccount: int = option(_count, 20)
    sendQueueBytes: int = option(readers.number(65_536), 4 << 20)
    managementQueue: int = option(_count, 1000)
    managementBytes: int = option(readers.number(65_536), 4 << 20)
    managementSeconds: int = option(_count, 600)
    offlineMessages: int = option(readers.number(1, zero="none"), 1000)
    rosterItems: int = option(_count, 5000)
    privateBytes: int = option(_count, 1 << 20)
    factBytes: int = option(_count, 4 << 20)
    vcardBytes: int = option(_count, 262_144)
    blockListItems: int = option(_count, 1000)
    pbkdf2Queue: int = option(_count, 200)


PACES = (
    "connectionsPerAddress",
    "attemptsPerMinute",
    "authFailuresPerMinute",
    "registrationsPerHour",
    "bytesPerSecond",
    "stanzasPerSecond",
)
"""The fields of L{Limits} that C{enabled = false} sets to 0."""

CONTACTS = ("abuse", "admin", "feedback", "sales", "security", "status", "support")
"""The roles whose addresses a host can publish (XEP-0157)."""


@dataclass(frozen=True, slots=True)
class HostConfig:
    """
    C{[host."DOMAIN"]}: one domain of users.

    @ivar domain: the domain, canonical (the table's name; no key sets it).
    @ivar accounts: whether it has registered accounts.
    @ivar registration: who may register one: "closed" (administrators only), "open", "invite".
    @ivar guests: "off", or the profile of restrictions on guests: "public", "private", "specialized" (XEP-0175).
    @ivar guest: what is otherwise than in the profile.
    @ivar names: what is done about names that may deceive (XEP-0165).
    @ivar admins: bare JIDs that administrate the host.
    @ivar resourceConflict: what happens if a client asks for a resource in use: "replace" the old session, "refuse"
        the new one, or "rename" it (RFC 6120 section 7.7.2.2).
    @ivar scramIterations: PBKDF2 rounds of passwords set from now on.
    @ivar plainWithoutTls: whether SASL PLAIN is offered without TLS. Sends passwords in the clear.
    @ivar contacts: addresses to publish, by role (XEP-0157).
    @ivar features: options by feature; those of the top-level C{[features]} are merged in.
    @ivar disabled: names of features that don't join this host.
    @ivar table: the table of the file it is from: "host", or the kind of a service ("rooms" …; no key sets it).
    """

    domain: str
    table: str = "host"
    accounts: bool = option(readers.flag, True)
    registration: str = option(readers.choice("closed", "open", "invite"), "closed")
    guests: str = option(readers.choice("off", *PROFILES), "off")
    guest: GuestConfig = field(default_factory=GuestConfig)
    names: NamesConfig = field(default_factory=NamesConfig)
    admins: tuple[str, ...] = option(readers.bareJIDs, ())
    resourceConflict: str = option(readers.choice("replace", "refuse", "rename"), "replace")
    scramIterations: int = option(readers.number(MINIMUM_ITERATIONS, 10_000_000), MINIMUM_ITERATIONS)
    plainWithoutTls: bool = option(readers.flag, False)
    contacts: Mapping[str, tuple[str, ...]] = option(readers.addressesByRole(*CONTACTS), MappingProxyType({}))
    features: Mapping[str, Mapping[str, Any]] = option(readers.options, MappingProxyType({}))
    disabled: tuple[str, ...] = option(readers.texts, ())


@dataclass(frozen=True, slots=True)
class StoreConfig:
    """
    C{[store]}.

    @ivar url: SQLAlchemy's URL of the database, or "memory:" for none at all; without one, SQLite in the data folder.
        May hold a password.
    """

    url: str = option(readers.storeURL, "", repr=False)


@dataclass(frozen=True, slots=True)
class LogConfig:
    """
    C{[log]}.

    @ivar format: "text" or "json".
    @ivar level: the least important level to be written, as L{twisted.logger} names it.
    @ivar file: where to, or None for standard error.
    """

    format: str = option(readers.choice("text", "json"), "text")
    level: str = option(readers.choice("debug", "info", "warn", "error", "critical"), "info")
    file: Path | None = option(readers.path, None)


@dataclass(frozen=True, slots=True)
class ControlConfig:
    """
    C{[control]}.

    @ivar socket: path of the UNIX socket for xmppctl; without one, it is in the data folder.
    """

    socket: Path = option(readers.socketPath, Path("xmppctl.sock"))


@dataclass(frozen=True, slots=True)
class ComponentConfig:
    """
    C{[component."DOMAIN"]}: an external component (XEP-0114).

    @ivar secret: what it shares with the server.
    """

    secret: str = option(readers.text, "", repr=False)


Tables = Mapping[str, Mapping[str, Any]]
"""Tables by name, as the file has them."""


@dataclass(frozen=True, slots=True)
class Configuration:
    """
    Everything a configuration file says.

    @ivar file: the file, absolute.
    @ivar data: folder of everything the server writes.
    @ivar hosts: hosts by domain, at least one.
    @ivar components: external components by domain.
    @ivar rooms: options of chat room services by domain, as the file has them.
    @ivar pubsub: the same of publish-subscribe services.
    @ivar upload: the same of file upload services.
    @ivar proxy: the same of bytestream proxies.
    @ivar features: options by feature for all domains, as the file has them; those of hosts have them merged in.
    """

    file: Path
    data: Path
    hosts: Mapping[str, HostConfig]
    listen: Listen = Listen()
    web: WebConfig = WebConfig()
    tls: TLSConfig = TLSConfig()
    limits: Limits = Limits()
    s2s: S2SConfig = field(default_factory=S2SConfig)
    store: StoreConfig = StoreConfig()
    log: LogConfig = LogConfig()
    control: ControlConfig = ControlConfig()
    components: Mapping[str, ComponentConfig] = field(default_factory=dict)
    rooms: Tables = field(default_factory=dict)
    pubsub: Tables = field(default_factory=dict)
    upload: Tables = field(default_factory=dict)
    proxy: Tables = field(default_factory=dict)
    features: Tables = field(default_factory=dict)


SECTIONS: Mapping[str, type[Any]] = MappingProxyType(
    {
        "listen": Listen,
        "web": WebConfig,
        "tls": TLSConfig,
        "limits": Limits,
        "s2s": S2SConfig,
        "store": StoreConfig,
        "log": LogConfig,
        "control": ControlConfig,
    }
)
"""The dataclass of each section that has no name of its own."""

TABLES: Mapping[str, tuple[str, ...]] = MappingProxyType({"s2s": ("peer",)})
"""The keys of sections that are tables of tables, read by themselves."""

SERVICES = ("rooms", "pubsub", "upload", "proxy")
"""The tables whose sub-tables are services by domain."""

_TOP = ("data", *SECTIONS, "host", "component", *SERVICES, "features")


# --- from text to values ------------------------------------------------------------------------------------------


def load(path: Path | str) -> Configuration:
    """
    Read a configuration file. Blocks on the disk.

    @raise ConfigurationError: with everything that is wrong.
    """
    try:
        text = Path(path).read_text("utf-8")
    except OSError as error:
        remedy = "name a file that can be read; etc/xmppd.toml is one to begin with"
        raise ConfigurationError([Problem(str(path), "", error.strerror or str(error), remedy)]) from None
    except UnicodeDecodeError as error:
        wrong = f"the octet at offset {error.start} is not UTF-8"
        raise ConfigurationError([Problem(str(path), "", wrong, "save it as UTF-8")]) from None
    return parse(text, str(path))


def parse(text: str, filename: str) -> Configuration:
    """
    Make a configuration of TOML.

    @param filename: named in messages; relative paths in the file count from its folder.
    @raise ConfigurationError: with everything that is wrong.
    """
    reading = Reading(filename)
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        wrong = f"it is not TOML: {error}"
        raise ConfigurationError([Problem(filename, "", wrong, "correct it there")]) from None
    configuration = _configuration(reading, document)
    if reading.problems:
        raise ConfigurationError(reading.problems)
    return configuration


def _configuration(reading: Reading, document: dict[str, Any]) -> Configuration:
    """The values of a whole document; complaints go to C{reading}."""
    reading.refuseUnknown("", document, _TOP)
    values: dict[str, Any] = {}
    for key, kind in SECTIONS.items():
        values[key] = _section(reading, key, kind, document.get(key, {}))
    values["s2s"] = dataclasses.replace(values["s2s"], peer=_peers(reading, document.get("s2s", {})))
    for key in SERVICES:
        values[key] = MappingProxyType(
            {domain: MappingProxyType(table) for domain, _, table in _domains(reading, key, document)}
        )
    values["components"] = MappingProxyType(
        {domain: _component(reading, place, table) for domain, place, table in _domains(reading, "component", document)}
    )
    shared = values["features"] = reading.attempt("features", readers.options, document.get("features", {}), {})
    values["hosts"] = MappingProxyType(
        {
            domain: _host(reading, place, domain, table, shared)
            for domain, place, table in _domains(reading, "host", document)
        }
    )
    configuration = _completed(Configuration(Path(reading.file).absolute(), _data(reading, document), **values))
    _checkDomains(reading, configuration)
    _checkCertificates(reading, configuration)
    return configuration


def _section(reading: Reading, place: str, kind: type[T], value: object, **given: object) -> T:
    """A section's values: each key through its reader, the default for what is missing or wrong."""
    table = reading.attempt(place, readers.table, value, {})
    options = {readers.snake(f.name): f for f in dataclasses.fields(kind) if "read" in f.metadata}  # type: ignore[arg-type]
    reading.refuseUnknown(place, table, (*options, *TABLES.get(place, ())))
    values = {
        f.name: reading.attempt(readers.joined(place, key), f.metadata["read"], table[key], f.metadata["default"])
        for key, f in options.items()
        if key in table
    }
    return kind(**given, **values)


def _data(reading: Reading, document: dict[str, Any]) -> Path:
    """The data folder; there is no default, lest a server writes where nobody meant it to."""
    if "data" not in document:
        reading.complain("data", "it is missing", 'name the folder for everything the server writes: data = "DIR"')
        return reading.folder
    data: Path = reading.attempt("data", readers.path, document["data"], reading.folder)
    return data


def _domains(reading: Reading, key: str, document: dict[str, Any]) -> list[tuple[str, str, dict[str, Any]]]:
    """The tables below C{key}: of each its canonical domain, its place in the file, and the table."""
    found: list[tuple[str, str, dict[str, Any]]] = []
    places: dict[str, str] = {}
    for name, value in reading.attempt(key, readers.table, document.get(key, {}), {}).items():
        place = f'{key}."{name}"'
        domain = reading.attempt(place, readers.domain, name, name)
        if places.setdefault(domain, place) != place:
            reading.complain(place, f"it is the same domain as {places[domain]}", "remove one")
        found.append((domain, place, reading.attempt(place, readers.table, value, {})))
    return found


def _host(reading: Reading, place: str, domain: str, table: dict[str, Any], shared: Tables) -> HostConfig:
    """One host; what all hosts' features are told stands in for what this host's are not."""
    own = {key: value for key, value in table.items() if key not in ("guest", "names")}
    guest = _section(reading, f"{place}.guest", GuestConfig, table.get("guest", {}))
    names = _section(reading, f"{place}.names", NamesConfig, table.get("names", {}))
    host = _section(reading, place, HostConfig, own, domain=domain, guest=guest, names=names)
    if not host.accounts and host.guests == "off":
        remedy = 'set accounts = true, or guests to "public", "private" or "specialized"'
        reading.complain(f"{place}.accounts", "nobody could log in: neither accounts nor guests", remedy)
    if not host.accounts and host.registration != "closed":
        remedy = 'set accounts = true or registration = "closed"'
        reading.complain(f"{place}.registration", "there are no accounts to register", remedy)
    merged = {
        name: MappingProxyType({**shared.get(name, {}), **host.features.get(name, {})})
        for name in dict.fromkeys((*shared, *host.features))
    }
    return dataclasses.replace(host, features=MappingProxyType(merged))


def _peers(reading: Reading, table: object) -> Mapping[str, PeerConfig]:
    """What is asked of single domains, by domain or pattern."""
    found = table.get("peer", {}) if isinstance(table, dict) else {}
    peers = {}
    for name, value in reading.attempt("s2s.peer", readers.table, found, {}).items():
        place = f's2s.peer."{name}"'
        pattern = reading.attempt(place, readers.pattern, name, name)
        peers[pattern] = _section(reading, place, PeerConfig, value)
    return MappingProxyType(peers)


def _component(reading: Reading, place: str, table: dict[str, Any]) -> ComponentConfig:
    """One external component, which must have a secret."""
    if "secret" not in table:
        reading.complain(f"{place}.secret", "it is missing", "set the secret that the component is given, too")
    return _section(reading, place, ComponentConfig, table)


def _completed(configuration: Configuration) -> Configuration:
    """The configuration with those defaults that follow from other values."""
    data, limits = configuration.data, configuration.limits
    if not limits.enabled:
        paces: dict[str, Any] = dict.fromkeys(PACES, 0)
        limits = dataclasses.replace(limits, **paces)
    return dataclasses.replace(
        configuration,
        limits=limits,
        control=ControlConfig(data / configuration.control.socket),
        store=StoreConfig(configuration.store.url or f"sqlite:///{data / 'xmppd.sqlite'}"),
    )


def _checkDomains(reading: Reading, configuration: Configuration) -> None:
    """There must be a host, and a domain has one owner."""
    if not configuration.hosts:
        reading.complain("host", "there is none", 'add a table for your domain: [host."example.org"]')
    owned = {"host": configuration.hosts, "component": configuration.components}
    owned.update({key: getattr(configuration, key) for key in SERVICES})
    owners: dict[str, str] = {}
    for key, domains in owned.items():
        for domain in domains:
            owner = owners.setdefault(domain, key)
            if owner != key:
                wrong = f'the domain is taken by {owner}."{domain}"'
                reading.complain(f'{key}."{domain}"', wrong, "give one of them another domain")


def _checkCertificates(reading: Reading, configuration: Configuration) -> None:
    """A listener that must speak TLS needs certificates."""
    listen, tls = configuration.listen, configuration.tls
    direct = listen.c2sTls or listen.s2sTls or listen.https
    upgraded = (tls.requireC2s and listen.c2s) or (tls.requireS2s and listen.s2s)
    if (direct or upgraded) and tls.certificates is None:
        remedy = "name a folder with a DOMAIN.pem (chain and key) for each domain"
        reading.complain("tls.certificates", "it is missing, and the listeners need certificates", remedy)


def hostsAbove(domain: str, hosts: Mapping[str, HostConfig]) -> list[HostConfig]:
    """The host that a service belongs to, or all of them if its name doesn't tell."""
    found = [host for host in hosts.values() if domain.endswith("." + host.domain)]
    return [max(found, key=lambda host: len(host.domain))] if found else list(hosts.values())


def checkFeatureOptions(configuration: Configuration, declared: Mapping[str, Mapping[str, Option]]) -> None:
    """
    Compare what the file tells the features with what they can be told.

    @param declared: options by the feature's name, then by key. A value must be of its default's type, where a default
        of None takes anything, and pass the option's own check.
    @raise ConfigurationError: with everything that is wrong.
    """
    reading = Reading(str(configuration.file))
    for host in configuration.hosts.values():
        place = f'{host.table}."{host.domain}"'
        reading.refuseUnknown(f"{place}.disabled", host.disabled, declared, "feature")
        reading.refuseUnknown(f"{place}.features", host.features, declared, "feature")
        for name in (name for name in host.features if name in declared):
            _checkOptions(reading, f"{place}.features.{name}", host.features[name], declared[name])
    if reading.problems:
        raise ConfigurationError(reading.problems)


def _checkOptions(reading: Reading, place: str, options: Mapping[str, Any], declared: Mapping[str, Option]) -> None:
    """Check the options of one feature on one host."""
    reading.refuseUnknown(place, options, declared, "option")
    for key in (key for key in options if key in declared):
        read = readers.likeDefault(declared[key].default, declared[key].check)
        reading.attempt(readers.joined(place, key), read, options[key], None)
