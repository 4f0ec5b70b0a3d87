"""
Readers: what a value in the configuration may be, and what to say if it is something else.

A reader takes a value as TOML gives it and answers the value to keep, or raises L{Refused} with what is wrong and a
remedy. L{Reading.attempt} turns that into a L{Problem} with file and key, and goes on, so that one start shows every
mistake. Which key has which reader is written in L{xmppd.config}.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar

from xmppd.wire import jid
from xmppd.wire.jid import JIDMalformed
from xmppd.wire.origins import normalised
from xmppd.wire.proxies import Networks

T = TypeVar("T")

LONGEST_SOCKET_PATH = 107
"""The longest path of a UNIX socket in octets, on Linux."""


@dataclass(frozen=True, slots=True)
class Problem:
    """
    One mistake in a configuration.

    @ivar file: the file it is in, as it was named.
    @ivar key: the path of the key, as one would write it in TOML; empty if the file as a whole is meant.
    @ivar wrong: what is wrong.
    @ivar remedy: what to do about it.
    """

    file: str
    key: str
    wrong: str
    remedy: str

    def __str__(self) -> str:
        """One line: file, key, what is wrong, remedy; harmless on a terminal whatever the file holds."""
        sentence = self.wrong + (" " if self.wrong.endswith("?") else "; ") + self.remedy
        line = ": ".join(part for part in (self.file, self.key, sentence) if part)
        return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in line)


class Refused(Exception):
    """
    A value is not acceptable.

    @ivar wrong: what is wrong with it.
    @ivar remedy: what to write.
    """

    def __init__(self, wrong: str, remedy: str) -> None:
        super().__init__(wrong)
        self.wrong = wrong
        self.remedy = remedy


class Reading:
    """
    One reading of one file.

    @ivar file: its name, for messages.
    @ivar folder: from where relative paths count.
    @ivar problems: what was found wrong so far.
    """

    def __init__(self, file: str) -> None:
        self.file = file
        self.folder = Path(file).absolute().parent
        self.problems: list[Problem] = []

    def complain(self, key: str, wrong: str, remedy: str) -> None:
        """Note a mistake."""
        self.problems.append(Problem(self.file, key, wrong, remedy))

    def attempt(self, key: str, read: Reader, value: object, default: object) -> Any:
        """What C{read} makes of a value; C{default}, and a complaint, if it refuses."""
        try:
            return read(self, value)
        except Refused as refused:
            self.complain(key, refused.wrong, refused.remedy)
            return default

    def refuseUnknown(self, place: str, keys: Iterable[str], known: Iterable[str], noun: str = "key") -> None:
        """Complain of every key that isn't known, and name the most similar one that is."""
        known = tuple(known)
        for key in keys:
            if key not in known:
                close = suggestion(key, known)
                remedy = "correct it or remove it" if close else f"remove it; known here: {', '.join(known) or 'none'}"
                self.complain(joined(place, key), f"unknown {noun} `{key}`{close}", remedy)


Reader = Callable[[Reading, Any], Any]
"""From the reading and a value of TOML to the value to keep. Raises L{Refused}."""


def option(read: Reader, default: Any, **keywords: Any) -> Any:
    """A field of a dataclass that a key of the file sets."""
    metadata = {"read": read, "default": default}
    if isinstance(default, Mapping):  # which a dataclass takes for mutable
        return field(default_factory=lambda: default, metadata=metadata, **keywords)
    return field(default=default, metadata=metadata, **keywords)


def expect(value: object, kind: type[T], example: str) -> T:
    """
    The value, if it is exactly of that type: TOML's booleans are no numbers.

    @raise Refused: otherwise; C{example} says what to write.
    """
    if type(value) is kind:
        return value
    raise Refused(f"it is {_kind(value)}", f"write {example}")


# --- plain values -------------------------------------------------------------------------------------------------


def flag(reading: Reading, value: object) -> bool:
    """A boolean."""
    return expect(value, bool, "true or false")


def text(reading: Reading, value: object) -> str:
    """A text that is not empty."""
    string = expect(value, str, 'a text in quotes, like "text"')
    if not string.strip():
        raise Refused("it is empty", "write a text or leave the key out")
    return string


def texts(reading: Reading, value: object) -> tuple[str, ...]:
    """A list of texts."""
    return tuple(text(reading, item) for item in expect(value, list, 'a list of texts, like ["one", "two"]'))


def table(reading: Reading, value: object) -> dict[str, Any]:
    """A table, as it is."""
    return expect(value, dict, "a table")


def number(least: int, most: int | None = None, zero: str = "") -> Reader:
    """
    A reader of whole numbers.

    @param zero: what 0 means, if it is allowed below C{least}.
    """
    bounds = f"a whole number, at least {least}" if most is None else f"a whole number from {least} to {most}"
    example = f"{bounds}, or 0 for {zero}" if zero else bounds

    def read(reading: Reading, value: object) -> int:
        whole = expect(value, int, example)
        if (zero and whole == 0) or (whole >= least and (most is None or whole <= most)):
            return whole
        raise Refused(f"{whole} is out of range", f"write {example}")

    return read


def days(reading: Reading, value: object) -> tuple[int, ...]:
    """A list of numbers of days, the most first."""
    example = "a list of whole numbers from 1 to 1000, like [30, 7, 1]"
    read = number(1, 1000)
    return tuple(sorted({read(reading, item) for item in expect(value, list, example)}, reverse=True))


def choice(*words: str) -> Reader:
    """A reader of one of a few words."""
    remedy = "write one of " + ", ".join(f'"{word}"' for word in words)

    def read(reading: Reading, value: object) -> str:
        if not isinstance(value, str):
            raise Refused(f"it is {_kind(value)}", remedy)
        if value not in words:
            raise Refused(f"`{value}` is unknown{suggestion(value, words)}", remedy)
        return value

    return read


def choices(*words: str) -> Reader:
    """A reader of lists of some of a few words."""
    example = "a list of some of " + ", ".join(f'"{word}"' for word in words)
    read = choice(*words)

    def readList(reading: Reading, value: object) -> tuple[str, ...]:
        found = expect(value, list, example)
        if not found:
            raise Refused("it is empty", f"write {example}")
        return tuple(dict.fromkeys(read(reading, word) for word in found))

    return readList


# --- paths and addresses ------------------------------------------------------------------------------------------


def path(reading: Reading, value: object) -> Path:
    """A path; a relative one counts from the folder of the configuration file."""
    string = text(reading, value)
    if "\0" in string:
        raise Refused("it holds a NUL", "write a path")
    return reading.folder / string


def socketPath(reading: Reading, value: object) -> Path:
    """The path of a UNIX socket, which the kernel wants short."""
    where = path(reading, value)
    if len(str(where).encode()) > LONGEST_SOCKET_PATH:
        raise Refused(f"{where} is longer than {LONGEST_SOCKET_PATH} octets", "choose a shorter path")
    return where


def endpoints(reading: Reading, value: object) -> tuple[str, ...]:
    """Endpoint strings, looked at only from afar; Twisted parses them when they are opened."""
    example = 'a list of endpoints, like ["tcp:5222"]'
    strings = tuple(expect(value, list, example))
    for index, endpoint in enumerate(strings):
        if not isinstance(endpoint, str) or not re.match(r"[A-Za-z][A-Za-z0-9_-]*:.", endpoint):
            raise Refused(f"{endpoint!r} is no endpoint", f"write {example}")
        if endpoint in strings[:index]:
            raise Refused(f"{endpoint!r} is there twice", "remove one")
    return strings


def networks(reading: Reading, value: object) -> Networks:
    """A list of addresses and networks, and "unix" for the peers of UNIX sockets."""
    strings = expect(value, list, 'a list of addresses and networks, like ["127.0.0.1", "10.0.0.0/8"]')
    for string in strings:
        try:
            Networks.of([expect(string, str, 'an address in quotes, like "127.0.0.1"')])
        except ValueError:
            wrong = f"`{string}` is neither an address nor a network nor \"unix\""
            raise Refused(wrong, 'write some like "127.0.0.1" or "10.0.0.0/8", without bits behind the mask') from None
    return Networks.of(strings)


def origins(reading: Reading, value: object) -> tuple[str, ...]:
    """A list of origins of web pages as browsers write them, or "*" for all of them."""
    if value == "*":
        return ("*",)
    example = 'a list like ["https://chat.example.org"], or "*" for all'
    found = []
    for string in expect(value, list, example):
        try:
            found.append("*" if string == "*" else normalised(expect(string, str, example)))
        except ValueError:
            raise Refused(f"`{string}` is no origin", f"write {example}") from None
    return tuple(found)


def secureURL(*schemes: str) -> Reader:
    """A reader of URLs with TLS, without query and fragment; a slash at the end goes."""
    example = " or ".join(f'"{scheme}://chat.example.org"' for scheme in schemes)

    def read(reading: Reading, value: object) -> str:
        url = text(reading, value)
        if not re.fullmatch(rf"(?:{'|'.join(schemes)})://[A-Za-z0-9.\[\]:_-]+(?:/[^\s?#'\"<>&]*)?", url):
            raise Refused(f"`{url}` is no URL that would do", f"write one like {example}")
        return url.rstrip("/")

    return read


def domain(reading: Reading, value: str) -> str:
    """A domain, made canonical (RFC 7622 section 3.2)."""
    try:
        return jid.prepareDomain(value)
    except JIDMalformed as malformed:
        wrong = f"`{value}` is no domain ({(malformed.text or '').rstrip('.')})"
        raise Refused(wrong, 'write a domain in quotes, like "example.org"') from None


def pattern(reading: Reading, value: object) -> str:
    """A domain, or a star and a domain: all domains below it."""
    string = text(reading, value)
    return "*." + domain(reading, string[2:]) if string.startswith("*.") else domain(reading, string)


def patterns(reading: Reading, value: object) -> tuple[str, ...]:
    """A list of domains and patterns."""
    example = 'a list, like ["example.net", "*.example.com"]'
    return tuple(pattern(reading, item) for item in expect(value, list, example))


def routes(reading: Reading, value: object) -> Mapping[str, tuple[str, int, bool]]:
    """A table from domains to host, port, and whether that speaks TLS from the first byte."""
    found = {}
    for name, route in table(reading, value).items():
        string = text(reading, route)
        direct = string.startswith("tls:")
        host, port = _hostAndPort(string.removeprefix("tls:"), 5269)
        found[domain(reading, name)] = (host, port, direct)
    return MappingProxyType(found)


def resolver(reading: Reading, value: object) -> tuple[str, int]:
    """Address and port of a resolver."""
    host, port = _hostAndPort(text(reading, value), 53)
    try:
        return str(ip_address(host)), port
    except ValueError:
        raise Refused(f"`{host}` is no address", 'write one like "127.0.0.1:53" or "[::1]:53"') from None


def _hostAndPort(string: str, port: int) -> tuple[str, int]:
    """A host name or address, and the port if one is named."""
    found = re.fullmatch(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::(\d{1,5}))?", string)
    number = int(found[2]) if found and found[2] else port
    if found is None or not 0 < number < 65536:
        remedy = f'write one like "host.example.org:{port}" or "[::1]:{port}"'
        raise Refused(f"`{string}` is no host with a port", remedy)
    return found[1].strip("[]"), number


def bareJIDs(reading: Reading, value: object) -> tuple[str, ...]:
    """A list of bare JIDs of accounts, made canonical."""
    return tuple(bareJID(reading, item) for item in expect(value, list, 'a list, like ["admin@example.org"]'))


def bareJID(reading: Reading, value: object) -> str:
    """The bare JID of an account, made canonical."""
    string = text(reading, value)
    remedy = "write a bare JID, like admin@example.org"
    try:
        address = jid.parse(string)
    except JIDMalformed as malformed:
        raise Refused(f"`{string}` is no JID ({(malformed.text or '').rstrip('.')})", remedy) from None
    if address.local is None or address.resource is not None:
        raise Refused(f"`{string}` is not the bare JID of an account", remedy)
    return str(address)


def starOr(read: Reader) -> Reader:
    """A reader of lists whose items C{read} reads, or which are a star alone: everything."""

    def readList(reading: Reading, value: object) -> tuple[str, ...]:
        items = expect(value, list, 'a list of texts, or ["*"] for all')
        if items == ["*"]:
            return ("*",)
        if "*" in items:
            raise Refused("a star stands for everything", 'write ["*"] alone')
        return tuple(read(reading, text(reading, item)) for item in items)

    return readList


def addresses(reading: Reading, value: object) -> tuple[str, ...]:
    """URIs to be published as they stand (XEP-0157)."""
    uris = texts(reading, value)
    for uri in uris:
        if not re.fullmatch(r"[A-Za-z][A-Za-z0-9+.-]*:\S+", uri):
            raise Refused(f"`{uri}` is no URI", 'write URIs, like "mailto:admin@example.org"')
    return uris


def storeURL(reading: Reading, value: object) -> str:
    """The URL of a database. It may hold a password, so no message quotes it."""
    url = text(reading, value)
    if not re.match(r"(sqlite|postgresql)(\+[a-z0-9]+)?://|memory:$", url):
        raise Refused("it names no store that we know", 'write "sqlite:///…", "postgresql://…" or "memory:"')
    relative = re.fullmatch(r"(sqlite[^:]*:///)(?!/|:memory:)(.+)", url)
    return relative[1] + str(reading.folder / relative[2]) if relative else url


# --- tables -------------------------------------------------------------------------------------------------------


def addressesByRole(*roles: str) -> Reader:
    """A reader of tables from some of C{roles} to URIs."""

    def read(reading: Reading, value: object) -> Mapping[str, tuple[str, ...]]:
        contacts = table(reading, value)
        for role in contacts:
            if role not in roles:
                raise Refused(f"unknown key `{role}`{suggestion(role, roles)}", "write some of " + ", ".join(roles))
        return MappingProxyType({role: addresses(reading, uris) for role, uris in contacts.items()})

    return read


def options(reading: Reading, value: object) -> Mapping[str, Mapping[str, Any]]:
    """Options by feature, unchecked."""
    return MappingProxyType({
        name: MappingProxyType(expect(settings, dict, f"a table for the options of {name}"))
        for name, settings in table(reading, value).items()
    })


def likeDefault(default: object, check: Callable[[Any], str | None] | None = None) -> Reader:
    """
    A reader of values that have the type of C{default}; None has any type, and a fraction may be whole.

    @param check: answers why a value of that type is not good, or None.
    """
    types: dict[type[Any], type[Any]] = {tuple: list, frozenset: list, set: list, MappingProxyType: dict}
    example = f"a value like {_asTOML(default)}"

    def read(reading: Reading, value: object) -> object:
        if default is not None and not (isinstance(default, float) and type(value) is int):
            expect(value, types.get(type(default), type(default)), example)
        wrong = check(value) if check else None
        if wrong:
            raise Refused(wrong, f"the default is {_asTOML(default)}")
        return value

    return read


# --- words --------------------------------------------------------------------------------------------------------


def suggestion(word: str, known: Iterable[str]) -> str:
    """The end of a sentence about an unknown word: the known one that was probably meant, if there is one."""
    close = difflib.get_close_matches(word.lower(), list(known), 1, 0.6)
    return f", did you mean `{close[0]}`?" if close else ""


def snake(name: str) -> str:
    """The key that sets a field: C{requireC2s} is set by C{require_c2s}."""
    return re.sub(r"([A-Z])", lambda match: "_" + match[1].lower(), name)


def joined(place: str, key: str) -> str:
    """The path of a key below a place, quoted where TOML wants quotes."""
    if not re.fullmatch(r"[A-Za-z0-9_-]+", key):
        key = '"' + key.replace("\\", "\\\\").replace('"', '\\"') + '"'
    return f"{place}.{key}" if place else key


def _kind(value: object) -> str:
    """What TOML calls a value, with its article."""
    names: dict[type[Any], str] = {
        bool: "a boolean", int: "a whole number", float: "a fraction", str: "a text", list: "a list", dict: "a table",
    }
    return names.get(type(value), "a date or time")


def _asTOML(value: object) -> str:
    """A default as one would write it, for messages."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return f'"{value}"'
    if isinstance(value, tuple | list | set | frozenset):
        return "[" + ", ".join(map(_asTOML, value)) + "]"
    return str(value)
