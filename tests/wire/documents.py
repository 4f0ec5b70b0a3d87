"""
Streams nobody would write by hand, made from a source of randomness, and a second opinion on what they say.

L{Documents} makes streams that are mostly well-formed and as inconvenient as possible: prefixes bound again and again,
namespaces that look like others, white space and closing brackets wherever XML allows them. L{infoset} reads XML with
libxml2, which shares nothing with expat, into tuples that can be compared.
"""

from __future__ import annotations

from random import Random
from typing import Any

from lxml import etree

from xmppd.wire import ns
from xmppd.wire.stanza import Stanza
from xmppd.wire.xmlstream import Event, ParserLimits, StreamHeader, XMLStreamParser

CONTENTS = frozenset({ns.CLIENT, ns.SERVER, ns.COMPONENT_ACCEPT})
OURS = f"<stream:stream xmlns='%s' xmlns:stream='{ns.STREAMS}'>"

HEADERS: tuple[tuple[str, dict[str, str]], ...] = (
    ("stream:stream", {"": ns.CLIENT, "stream": ns.STREAMS}),
    ("stream:stream", {"": ns.SERVER, "stream": ns.STREAMS}),
    ("stream:stream", {"": ns.SERVER, "stream": ns.STREAMS, "db": ns.DIALBACK}),
    ("stream:stream", {"": ns.COMPONENT_ACCEPT, "stream": ns.STREAMS}),
    ("s:stream", {"": ns.CLIENT, "s": ns.STREAMS, "stream": "urn:x", "p": "urn:p"}),
    ("stream", {"": ns.STREAMS, "c": ns.CLIENT}),
    ("stream", {"": ns.STREAMS, "p": ns.SERVER}),
    ("stream:stream", {"stream": ns.STREAMS, "message": ns.CLIENT}),
)

URIS = (
    (ns.CLIENT, ns.CLIENT),
    (ns.CLIENT, "jabber&#58;client"),
    (ns.SERVER, ns.SERVER),
    (ns.SERVER, "jabber:serve&#x72;"),
    (ns.COMPONENT_ACCEPT, ns.COMPONENT_ACCEPT),
    (ns.STREAMS, ns.STREAMS),
    ("urn:x", "urn:x"),
    ("urn:a&b'c", "urn:a&amp;b&apos;c"),
    ("jabber:client/", "jabber:client/"),
)
STRANGE_URIS = (
    "jabber:client&#9;",
    "jabber:client&#10;body",
    "jabber:client body",
    " jabber:client",
    "urn:&quot;&gt;",
    "urn:é",
)
LOCALS = ("message", "presence", "iq", "body", "error", "x", "forwarded", "é", "a.b-c_d")
PREFIXES = ("p", "stream", "message", "iq", "message2", "db", "xmlns2", "a0", "a1")
VALUES = (
    "",
    "x",
    "a>b",
    "/>",
    "&lt;/message>",
    "&#10;&#9;&#13; ",
    "a\nb\tc",
    "&lt;&amp;&apos;&quot;",
    "xmlns=",
    " xmlns:p=",
    "é😀",
    "p:x",
)
TEXTS = (
    "x",
    "\n",
    "\r\n",
    "&#13;",
    "]]&gt;",
    ">",
    "'",
    '"',
    '<![CDATA[</message> <x " ]]>',
    "<![CDATA[]]>",
    "é😀",
    "&#x1F600;",
    "jabber:client",
    "&amp;&lt;&gt;&quot;&apos;",
    " ",
)
KEYS = ("to", "id", "type", "from", "xml:lang", "x")


class Documents:
    """Makes streams."""

    def __init__(self, random: Random, strange: bool = False) -> None:
        """
        @param strange: whether to name namespaces as they must not be named, sometimes.
        """
        self.random = random
        self.strange = strange

    def header(self, choice: int | None = None) -> tuple[bytes, dict[str, str]]:
        """A header, and the namespaces it binds by prefix."""
        name, bound = HEADERS[self.random.randrange(len(HEADERS)) if choice is None else choice]
        declared = "".join(f" xmlns{':' + prefix if prefix else ''}='{uri}'" for prefix, uri in bound.items())
        return f"<{name}{declared} to='example.com' version='1.0'>".encode(), dict(bound)

    def closing(self, header: bytes) -> bytes:
        """The end tag that belongs to a header."""
        return b"</" + header[1:].split(b" ")[0] + b">"

    def stanza(self, scope: dict[str, str]) -> bytes:
        """An element on the level of stanzas."""
        name = self.random.choice(("message", "presence", "iq", "message", "message", None))
        return self.element(scope, 0, name).encode()

    def element(self, scope: dict[str, str], depth: int, name: str | None = None) -> str:
        """An element; C{scope} tells what is bound where it stands."""
        random = self.random
        scope = dict(scope)
        attributes: list[tuple[str, str]] = []
        for _ in range(random.choice((0, 0, 0, 1, 1, 2))):
            self._bind(scope, attributes, default=depth > 0 or random.random() < 0.2)
        prefixes = [prefix for prefix in scope if prefix]
        prefix = random.choice(prefixes) + ":" if prefixes and random.random() < 0.2 else ""
        tag = prefix + (name or random.choice(LOCALS))
        self._attributes(scope, attributes)
        random.shuffle(attributes)
        head = tag + "".join(self._attribute(key, value) for key, value in attributes)
        space = random.choice(("", "", " ", "\n"))
        count = random.choice((0, 0, 1, 1, 2, 3)) if depth < 4 else 0
        if not count and random.random() < 0.5:
            return f"<{head}{space}/>"
        inside = "".join(
            random.choice(TEXTS) if random.random() < 0.4 else self.element(scope, depth + 1) for _ in range(count)
        )
        return f"<{head}{space}>{inside}</{tag}{random.choice(('', '', '  '))}>"

    def _bind(self, scope: dict[str, str], attributes: list[tuple[str, str]], default: bool) -> None:
        """Declare a namespace."""
        uri, written = self.random.choice(URIS)
        prefix = self.random.choice(PREFIXES)
        if self.strange and self.random.random() < 0.1:
            uri = written = self.random.choice(STRANGE_URIS)
        if default and self.random.random() < 0.5:
            prefix = ""
            if self.random.random() < 0.2:
                uri = written = ""
        key = f"xmlns:{prefix}" if prefix else "xmlns"
        if key not in dict(attributes):
            scope[prefix] = uri
            attributes.append((key, written))

    def _attributes(self, scope: dict[str, str], attributes: list[tuple[str, str]]) -> None:
        """Add attributes; none twice, by name and namespace."""
        seen: set[tuple[str, str]] = set()
        for _ in range(self.random.choice((0, 0, 1, 2, 3))):
            key = self.random.choice(KEYS)
            namespace = ""
            if self.random.random() < 0.15 and ":" not in key:
                prefix = self.random.choice([each for each in scope if each] or [""])
                if prefix:
                    key, namespace = f"{prefix}:{key}", scope[prefix]
            identity = (namespace, key.rpartition(":")[2])
            if identity not in seen:
                seen.add(identity)
                attributes.append((key, self.random.choice(VALUES)))

    def _attribute(self, key: str, value: str) -> str:
        """An attribute as it is written."""
        quote = self.random.choice("\"'")
        value = value.replace(quote, "&apos;" if quote == "'" else "&quot;")
        return f"{self.random.choice((' ', '  ', chr(10)))}{key}{self.random.choice(('=', '=', ' = '))}{quote}{value}{quote}"


def infoset(document: bytes) -> Any:
    """
    What libxml2 reads as the first child of the root element: tag, attributes, content, with adjacent texts joined.
    """
    parser = etree.XMLParser(resolve_entities=False, strip_cdata=True, remove_blank_text=False, huge_tree=True)
    return _information(etree.fromstring(document, parser)[0])


def _information(element: Any) -> Any:
    content: list[Any] = [element.text] if element.text else []
    for child in element:
        content.append(_information(child))
        if child.tail:
            content.append(child.tail)
    return (element.tag, dict(element.attrib), joined(content))


def joined(content: list[Any]) -> list[Any]:
    """The same content with adjacent texts joined."""
    result: list[Any] = []
    for each in content:
        if isinstance(each, str) and result and isinstance(result[-1], str):
            result[-1] += each
        else:
            result.append(each)
    return result


def received(raw: bytes, content: str = ns.CLIENT) -> Any:
    """What a peer reads when these bytes come in one of our streams."""
    return infoset((OURS % content).encode() + raw + b"</stream:stream>")


def clark(name: str) -> str:
    """C{"namespace local"} as libxml2's users write it."""
    namespace, _, local = name.rpartition(" ")
    return f"{{{namespace}}}{local}" if namespace else local


def exchanged(info: Any, old: str, new: str) -> Any:
    """A stanza's information with two content namespaces exchanged, down to where a foreign element begins."""
    if isinstance(info, str):
        return info
    tag, attrs, content = info
    for one, other in ((old, new), (new, old)):
        if tag.startswith(f"{{{one}}}"):
            moved = f"{{{other}}}" + tag[len(one) + 2 :]
            return (moved, attrs, [exchanged(each, old, new) for each in content])
    return info


def told(event: Event) -> tuple[Any, ...]:
    """Everything an event says, to compare it with another."""
    if isinstance(event, Stanza):
        return (event.kind, event.name, event.attrs, list(event.childNames), event.raw)
    if isinstance(event, StreamHeader):
        return (event.kind, event.attrs, event.content, event.prefixes)
    return (event.kind,)


def outcome(chunks: list[bytes], limits: ParserLimits = ParserLimits()) -> tuple[list[tuple[Any, ...]], str | None]:
    """What a parser tells of a stream: its events, and the condition of its error."""
    parser = XMLStreamParser(limits, CONTENTS)
    events = [told(event) for chunk in chunks for event in parser.feed(chunk)]
    return events, None if parser.error is None else parser.error.condition


def singles(data: bytes) -> list[bytes]:
    """One byte at a time."""
    return [data[index : index + 1] for index in range(len(data))]


def cut(data: bytes, random: Random) -> list[bytes]:
    """Into random pieces."""
    places = sorted(random.randrange(len(data) + 1) for _ in range(random.randrange(1, 12)))
    return [data[start:end] for start, end in zip([0, *places], [*places, len(data)], strict=True)]
