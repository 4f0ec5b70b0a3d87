"""
Scenarios: conversations as text, run against the whole server in memory. C{docs/testing.rst} describes the language.

Theory of operation: L{read} makes steps of the lines, each with the number of its line; L{Run} goes through them with a
L{MemoryServer} and one L{TestClient} for each person. What a person is expected to receive is compared with the next
elements that have come by L{difference}, which answers in words what is wrong.
"""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.scenarios.wires import Wire, ask, bytestream
from tests.server import DOMAIN, MemoryServer, TestClient, show, split
from xmppd.wire import ns

_PLACE = re.compile(r"\{(any|[a-z][a-zA-Z0-9]*(?::[a-zA-Z][a-zA-Z0-9]*)?)\}")
_SETTINGS = ("specification", "needs", "host", "limits", "listen", "more", "accounts", "tls")

REST = "{rest}"


class Mistake(AssertionError):
    """The scenario went otherwise, or can't be read."""


@dataclass(frozen=True)
class Step:
    """
    One line that says what happens, and the indented block below it.

    @ivar line: its number, counted from one.
    """

    line: int
    text: str
    block: str = ""


@dataclass
class Script:
    """
    A file.

    @ivar title: its first comment.
    @ivar settings: values by setting, in the order of the file.
    """

    path: Path
    title: str = ""
    settings: dict[str, list[str]] = field(default_factory=dict)
    steps: list[Step] = field(default_factory=list)

    def specifications(self) -> Iterator[tuple[str, tuple[str, ...]]]:
        """Documents and sections: C{specification: RFC 6120 7.6, 7.7}."""
        for value in self.settings.get("specification", ()):
            document, _, sections = value.partition(" ")
            if document == "RFC":
                number, _, sections = sections.partition(" ")
                document = f"RFC {number}"
            yield document, tuple(each.strip() for each in sections.split(",") if each.strip())


def read(path: Path) -> Script:
    """
    Read a file.

    @raise Mistake: a line is none that the language has.
    """
    script = Script(path)
    lines = path.read_text("utf-8").splitlines()
    at = 0
    while at < len(lines):
        line, number = lines[at], at + 1
        at += 1
        if line.startswith("#"):
            script.title = script.title or line.lstrip("# ").strip()
        elif line.strip():
            block = []
            while at < len(lines) and (lines[at].startswith((" ", "\t")) or not lines[at].strip()):
                block.append(lines[at])
                at += 1
            _add(script, number, line.rstrip(), "\n".join(block).strip())
    return script


def _add(script: Script, number: int, line: str, block: str) -> None:
    key, colon, value = line.partition(":")
    if colon and key.lower() in _SETTINGS and value.strip():
        script.settings.setdefault(key.lower(), []).append(value.strip())
    elif line[0].isspace():
        raise Mistake(f"{script.path.name}:{number}: nothing stands before this block")
    else:
        script.steps.append(Step(number, line, block))


# --- comparing ----------------------------------------------------------------------------------------------------


def pattern(template: str, known: dict[str, str]) -> re.Pattern[str]:
    """
    A text with places as a regular expression: C{{any}} is anything, C{{kind:name}} is something to remember, C{{name}}
    is what was remembered by that name.
    """
    parts, last = [], 0
    for found in _PLACE.finditer(template):
        parts.append(re.escape(template[last : found.start()]))
        last = found.end()
        place = found[1]
        if place == "any":
            parts.append("(?:.*)")
        elif ":" in place:
            name = place.partition(":")[2]
            parts.append(re.escape(known[name]) if name in known else f"(?P<{name}>.+)")
        else:
            parts.append(re.escape(filled(found[0], known)))
    parts.append(re.escape(template[last:]))
    return re.compile("".join(parts), re.DOTALL)


def filled(text: str, known: dict[str, str]) -> str:
    """A text to be sent: names in braces replaced by what was remembered."""

    def value(found: re.Match[str]) -> str:
        if found[1] not in known:
            raise Mistake(f"nothing is known by the name {found[1]}")
        return known[found[1]]

    return _PLACE.sub(value, text)


def _sameText(what: str, expected: str, got: str, known: dict[str, str]) -> str | None:
    """Whether a text fits; remembers what is to be remembered."""
    found = pattern(expected, known).fullmatch(got)
    if found is None:
        return f"{what}: expected {expected!r}, got {got!r}"
    known.update(found.groupdict())
    return None


def difference(expected: ET.Element, got: ET.Element, known: dict[str, str], path: str = "") -> str | None:
    """
    What is different between an element and what was expected, in words; None if nothing is. The order of attributes
    and white space around elements don't matter. C{{rest}} inside the expected element allows more attributes and
    children than those it has.
    """
    path = f"{path}/{split(expected.tag)[1]}"
    if expected.tag != got.tag:
        return f"{path}: expected <{expected.tag}>, got <{got.tag}>"
    texts = [expected.text or "", *(child.tail or "" for child in expected)]
    tolerant = any(REST in text for text in texts)
    problem = _attributes(expected, got, known, path, tolerant)
    if problem is None:
        wanted = "".join(texts).replace(REST, "").strip()
        said = "".join([got.text or "", *(child.tail or "" for child in got)]).strip()
        if wanted or not tolerant:
            problem = _sameText(f"{path}: text", wanted, said, known)
    return problem or _children(expected, got, known, path, tolerant)


def _attributes(expected: ET.Element, got: ET.Element, known: dict[str, str], path: str, tolerant: bool) -> str | None:
    for key, value in expected.attrib.items():
        if key not in got.attrib:
            return f"{path}: the attribute {key} is missing"
        problem = _sameText(f"{path}/@{key}", value, got.attrib[key], known)
        if problem:
            return problem
    extra = [] if tolerant else sorted(set(got.attrib) - set(expected.attrib))
    return f"{path}: there is an attribute {extra[0]}={got.attrib[extra[0]]!r}" if extra else None


def _children(expected: ET.Element, got: ET.Element, known: dict[str, str], path: str, tolerant: bool) -> str | None:
    there = list(got)
    for child in expected:
        problem: str | None = f"{path}: <{child.tag}> is missing"
        while there:
            problem = difference(child, there.pop(0), known, path)
            if problem is None or not tolerant:
                break
        if problem:
            return problem
    return f"{path}: there is a <{there[0].tag}> more" if there and not tolerant else None


def elements(block: str) -> list[ET.Element]:
    """The elements of a block, as they would be in a stream."""
    document = f"<r xmlns='{ns.CLIENT}' xmlns:stream='{ns.STREAMS}'>{block}</r>"
    try:
        return list(ET.fromstring(document))
    except ET.ParseError as error:
        raise Mistake(f"this is no XML: {error}") from None


# --- running ------------------------------------------------------------------------------------------------------


class Run:
    """One run of a script."""

    def __init__(self, script: Script, server: MemoryServer) -> None:
        self._script = script
        self._server = server
        self._clients: dict[str, TestClient] = {}
        self._waiting: dict[str, list[ET.Element]] = {}
        self._known: dict[str, str] = {}
        self._answers: dict[str, tuple[str, dict[str, list[str]], str]] = {}
        self._bytestreams: dict[str, Wire] = {}
        self._grammar: list[tuple[re.Pattern[str], Callable[..., None]]] = [
            (re.compile(rule + "$"), action)
            for rule, action in (
                (r"(\w+) connects", self._connects),
                (r"(\w+) opens a stream(?: to (\S+))?", self._opens),
                (r"(\w+) starts TLS", self._startsTLS),
                (r"(\w+) logs in(?: as (\S+))?", self._logsIn),
                (r"(\w+) logs in as a guest", self._logsInAsGuest),
                (r"(\w+) is available(?: with priority (-?\d+))?", self._isAvailable),
                (r"(\w+) sends:", self._sends),
                (r"(\w+) receives:", self._receives),
                (r"(\w+) receives in any order:", self._receivesUnordered),
                (r"(\w+) receives nothing", self._receivesNothing),
                (r"(\w+) ignores the rest", self._ignores),
                (r"(\w+) disconnects", self._disconnects),
                (r"(\w+) is cut off", self._isCutOff),
                (r"(\w+) is disconnected", self._isDisconnected),
                (r"time passes (\d+) s", self._timePasses),
                (r"the server stops", self._serverStops),
                (r"(\w+) asks the web:", self._asksTheWeb),
                (r"(\w+) is answered:", self._isAnswered),
                (r"(\w+) joins bytestream (\S+) from (\w+) to (\w+)", self._joins),
                (r"(\w+) is refused bytestream (\S+) from (\w+) to (\w+)", self._isRefused),
                (r"(\w+) passes on (.+)", self._passes),
                (r"(\w+) gets (.+)", self._gets),
            )
        ]

    def run(self) -> None:
        """
        Go through all steps; at the end nobody may have received anything that nobody expected.

        @raise Mistake: with file, line and what was different.
        """
        step = None
        for step in self._script.steps:
            try:
                self._do(step)
            except AssertionError as error:
                raise Mistake(f"{self._script.path.name}:{step.line}: {step.text}\n{error}") from None
        for name in self._clients:
            left = self._arrived(name)
            if left:
                raise Mistake(f"{self._script.path.name}: at the end {name} has received more:\n{self._shown(left)}")

    def _do(self, step: Step) -> None:
        for rule, action in sorted(self._grammar, key=lambda each: -len(each[0].pattern)):
            found = rule.match(step.text)
            if found is not None:
                arguments: list[Any] = [group for group in found.groups()]
                if step.text.endswith(":"):
                    arguments.append(step.block)
                action(*arguments)
                return
        raise Mistake("there is no such step")

    def _client(self, name: str) -> TestClient:
        if name not in self._clients:
            raise Mistake(f"{name} has not connected")
        return self._clients[name]

    def _arrived(self, name: str) -> list[ET.Element]:
        """What has come for somebody and was not expected yet."""
        waiting = self._waiting.setdefault(name, [])
        waiting += self._client(name).take()
        return waiting

    def _shown(self, elements: list[ET.Element]) -> str:
        return "\n".join(f"    {show(each)}" for each in elements) or "    nothing"

    # --- steps

    def _connects(self, name: str) -> None:
        self._clients[name] = self._server.connect()
        self._waiting[name] = []

    def _opens(self, name: str, to: str | None) -> None:
        self._client(name).open(to or DOMAIN, features=False)

    def _startsTLS(self, name: str) -> None:
        self._client(name).startTLS()

    def _logsIn(self, name: str, who: str | None) -> None:
        local, _, resource = (who or name.lower()).partition("/")
        self._connects(name)
        client = self._clients[name].login(local.partition("@")[0], resource or None)
        self._known[name.lower()] = client.jid

    def _logsInAsGuest(self, name: str) -> None:
        self._connects(name)
        self._known[name.lower()] = self._clients[name].login(None).jid

    def _isAvailable(self, name: str, priority: str | None) -> None:
        self._client(name).available(None if priority is None else int(priority))

    def _sends(self, name: str, block: str) -> None:
        self._client(name).send(filled(block, self._known))

    def _receives(self, name: str, block: str) -> None:
        arrived = self._arrived(name)
        for expected in elements(block):
            if not arrived:
                raise Mistake(f"expected:\n    {show(expected)}\ngot:\n    nothing")
            got = arrived.pop(0)
            problem = difference(expected, got, self._known)
            if problem:
                raise Mistake(f"{problem}\nexpected:\n    {show(expected)}\ngot:\n{self._shown([got, *arrived])}")

    def _receivesUnordered(self, name: str, block: str) -> None:
        arrived = self._arrived(name)
        for expected in elements(block):
            for got in arrived:
                trial = dict(self._known)
                if difference(expected, got, trial) is None:
                    self._known.update(trial)
                    arrived.remove(got)
                    break
            else:
                raise Mistake(f"expected somewhere in what came:\n    {show(expected)}\ngot:\n{self._shown(arrived)}")

    def _receivesNothing(self, name: str) -> None:
        arrived = self._arrived(name)
        if arrived:
            raise Mistake(f"got:\n{self._shown(arrived)}")

    def _ignores(self, name: str) -> None:
        self._arrived(name).clear()

    def _disconnects(self, name: str) -> None:
        client = self._client(name)
        client.send("</stream:stream>")
        if not client.streamClosed:
            raise Mistake("the server has not ended its stream")
        client.disconnect()

    def _isCutOff(self, name: str) -> None:
        self._client(name).cut()

    def _isDisconnected(self, name: str) -> None:
        client = self._client(name)
        self._server.pump()
        if not (client.streamClosed and client.eof):
            raise Mistake(f"the stream is still open; it ended with {client.raw[-200:]!r}")

    def _timePasses(self, seconds: str) -> None:
        self._server.advance(float(seconds))

    def _serverStops(self) -> None:
        self._server.stop()

    # --- other connections

    def _asksTheWeb(self, name: str, block: str) -> None:
        self._answers[name] = ask(self._server, filled(block, self._known))

    def _isAnswered(self, name: str, block: str) -> None:
        """The block is the status, headers among those that have come, and after an empty line the content."""
        head, empty, content = block.partition("\n\n")
        status, *headers = (line.strip() for line in head.splitlines())
        came, found, body = self._answers.pop(name)
        problems = [_sameText("the status", status, came, self._known)]
        for line in headers:
            header, _, value = line.partition(": ")
            problems.append(_sameText(header, value, ", ".join(found.get(header.lower(), ["nothing"])), self._known))
        if empty:
            problems.append(_sameText("the content", content.strip(), body.strip(), self._known))
        for problem in filter(None, problems):
            raise Mistake(problem)

    def _bytestream(self, sid: str, requester: str, target: str) -> tuple[Wire, bool]:
        return bytestream(self._server, sid, self._known[requester], self._known[target])

    def _joins(self, name: str, sid: str, requester: str, target: str) -> None:
        self._bytestreams[name], taken = self._bytestream(sid, requester, target)
        if not taken:
            raise Mistake("the proxy has not taken the connection")

    def _isRefused(self, name: str, sid: str, requester: str, target: str) -> None:
        if self._bytestream(sid, requester, target)[1]:
            raise Mistake("the proxy has taken the connection")

    def _passes(self, name: str, text: str) -> None:
        self._bytestreams[name].send(text.encode())

    def _gets(self, name: str, text: str) -> None:
        came = self._bytestreams[name].take().decode("utf-8", "replace")
        if came != ("" if text == "no bytes" else text):
            raise Mistake(f"got: {came!r}")
