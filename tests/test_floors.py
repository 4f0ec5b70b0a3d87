"""
The house stands: no floor looks up, no room looks sideways, and everything has a name and a docstring.

The rules are the tables below; C{docs/architecture.rst} explains them. They are read from the source, so nothing needs
to be imported, and the second half of this file feeds them bad examples, lest a rule stops ruling.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

ROOT = Path(__file__).parent.parent

LOWEST = ("ixmppd", "config", "counters", "guesting", "naming", "peering", "readers", "hooks", "adapters")
"""The modules of floor 2, which count as one room."""

BELOW = ("wire", *LOWEST)
"""What everybody above may import."""

ROOMS: dict[str, tuple[str, ...]] = {
    "wire": (),
    **dict.fromkeys(LOWEST, BELOW),
    "sasl": BELOW,
    "stream": BELOW,
    "trust": BELOW,
    "store": BELOW,
    "auth": (*BELOW, "sasl"),
    "restrict": BELOW,
    "route": BELOW,
    "pubsub": BELOW,
    "features": (*BELOW, "pubsub"),
    "net": (*BELOW, "sasl", "stream", "trust"),
    "services": (*BELOW, "net"),
    "ctl": (*BELOW, "sasl", "stream", "trust", "restrict", "net", "services", "tap"),
    "tap": (*BELOW, "sasl", "stream", "trust", "store", "auth", "restrict", "route", "features", "net", "services", "catalogue", "ctl"),
    "catalogue": (*BELOW, "features"),
    "__main__": ("ctl",),
}
"""By room (a package or module directly below C{xmppd}), which other rooms it may import."""

UNICODE = ("precis_i18n", "idna")
QUIET = (
    "twisted.cred", "twisted.internet.defer", "twisted.internet.error", "twisted.internet.interfaces",
    "twisted.internet.task", "twisted.logger", "twisted.python.compat", "twisted.python.failure", "zope", "attr", "attrs",
)
"""What may be imported from floor 3 up: parts of Twisted that work without a reactor."""

TYPES = ("twisted.internet.defer", "twisted.internet.interfaces", "twisted.python.failure")
"""What floor 2 may name in annotations."""

CRYPTOGRAPHY = ("OpenSSL", "service_identity", "cryptography")

LIBRARIES: dict[str, tuple[str, ...]] = {
    "wire": UNICODE,
    **dict.fromkeys(LOWEST, ("zope", "attr", "attrs")),
    "sasl": (*QUIET, *UNICODE),
    "stream": (*QUIET, "automat"),
    "trust": (*QUIET, *UNICODE, *CRYPTOGRAPHY, "automat"),
    "store": (*QUIET, "twisted.python.threadpool", "sqlalchemy", "alembic", "psycopg"),
    "auth": QUIET,
    "restrict": QUIET,
    "route": QUIET,
    "pubsub": QUIET,
    "features": (*QUIET, "segno"),
    "net": ("twisted", "zope", "attr", "attrs", "idna", "wsproto", "automat", *CRYPTOGRAPHY),
    "services": ("twisted", "zope", "attr", "attrs"),
    "catalogue": (),
    "ctl": ("twisted", "zope", "attr", "attrs", "click", "prometheus_client", *CRYPTOGRAPHY),
    "tap": ("twisted", "zope", "attr", "attrs"),
    "__main__": (),
}
"""By room, which libraries it may import besides Python's own."""

REACTOR = re.compile(r"twisted\.internet\.(reactor|endpoints|protocol|ssl)\b")
WITH_REACTOR = ("net", "tap", "ctl")

NEVER = re.compile(r"asyncio\b|twisted\.words\.xish\b|twisted\.words\.protocols\b|.*\bdomish\b")
"""What no module imports: a second event loop, and the parser that expands entities."""

CLOCKLESS = ("time", "socket", "select", "threading", "random")
"""What C{wire}, bytes and values, has no business with."""

BAD_NAMES = re.compile(r"handler|manager|util|helper|misc|processor|engine", re.IGNORECASE)

LONGEST = 660
"""How many lines a module may have."""


@dataclass(frozen=True)
class Import:
    """
    One import.

    @ivar name: the dotted name of what is imported; for C{from a import b} it is C{a.b}.
    @ivar typing: whether it stands under C{if TYPE_CHECKING}.
    @ivar line: where.
    """

    name: str
    typing: bool
    line: int


def imports(module: str, tree: ast.AST, typing: bool = False) -> Iterator[Import]:
    """Every import of a module, wherever it stands, with relative ones made absolute."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(alias.name, typing, node.lineno)
        elif isinstance(node, ast.ImportFrom):
            package = module.split(".")[: -node.level] if node.level else []
            base = ".".join([*package, *([node.module] if node.module else [])])
            for alias in node.names:
                yield Import(f"{base}.{alias.name}", typing, node.lineno)
        elif isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            yield from imports(module, node, True)
        else:
            yield from imports(module, node, typing)


def room(name: str) -> str:
    """The room of a dotted name below C{xmppd}; of the package itself, an empty text."""
    below = name.split(".")[1:]
    return below[0] if below and below[0] != "__init__" else ""


def within(name: str, names: tuple[str, ...]) -> bool:
    """Whether a dotted name is one of C{names} or inside one."""
    return any(name == other or name.startswith(other + ".") for other in names)


def floorComplaints(module: str, tree: ast.Module) -> Iterator[str]:
    """What a module imports and may not."""
    here = room(module)
    if here and here not in ROOMS:
        yield f"{module}: there is no room {here}"
        return
    for imported in imports(module, tree):
        reason = importComplaint(here, imported)
        if reason:
            yield f"{module}:{imported.line}: imports {imported.name}: {reason}"


def importComplaint(here: str, imported: Import) -> str | None:
    """Why a room may not import this, or None."""
    name = imported.name
    top = name.split(".")[0]
    if NEVER.match(name):
        return "nobody may"
    if REACTOR.match(name) and here not in WITH_REACTOR:
        return "only net, tap and ctl may"
    if top == "xmppd":
        return roomComplaint(here, room(name), imported.typing)
    if here == "wire" and top in CLOCKLESS:
        return "wire is bytes and values"
    if top in sys.stdlib_module_names or (here in LOWEST and imported.typing and within(name, TYPES)):
        return None
    return None if within(name, LIBRARIES.get(here, ())) else f"not a library of {here or 'xmppd'}"


def roomComplaint(here: str, there: str, typing: bool) -> str | None:
    """Why one room may not import another, or None."""
    if there in (here, "") or there not in ROOMS or (typing and there in BELOW):
        return None
    return None if there in ROOMS.get(here, ()) else f"{here} may not look into {there}"


def nameComplaints(module: str, tree: ast.Module) -> Iterator[str]:
    """Names that say nothing."""
    if BAD_NAMES.search(module):
        yield f"{module}: says nothing"
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef) and BAD_NAMES.search(node.name):
            yield f"{module}:{node.lineno}: class {node.name} says nothing"


def docstringComplaints(module: str, tree: ast.Module) -> Iterator[str]:
    """The module, public classes, public functions and methods without a docstring."""
    if not ast.get_docstring(tree):
        yield f"{module}: the module has no docstring"
    for node in publicDefinitions(tree):
        if not ast.get_docstring(node):
            yield f"{module}:{node.lineno}: {node.name} has no docstring"


def publicDefinitions(tree: ast.Module | ast.ClassDef) -> Iterator[ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef]:
    """Classes, functions and methods that others use; not those inside functions."""
    for node in tree.body:
        if not isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) or node.name.startswith("_"):
            continue
        if not any(ast.unparse(d).endswith(("overload", ".setter")) for d in node.decorator_list):
            yield node
        if isinstance(node, ast.ClassDef):
            yield from publicDefinitions(node)


def lengthComplaints(module: str, source: str) -> Iterator[str]:
    """Modules nobody reads to the end."""
    lines = source.count("\n")
    if lines > LONGEST and module != "xmppd.ixmppd":  # all interfaces together, and nothing else
        yield f"{module}: {lines} lines"


def sources(root: Path) -> Iterator[tuple[str, str]]:
    """Dotted name and source of every module of the package in C{root}."""
    for path in sorted((root / "xmppd").rglob("*.py")):
        parts = path.relative_to(root).with_suffix("").parts
        # A package keeps its "__init__", so that relative imports count from the right place.
        yield ".".join(parts), path.read_text("utf-8")


class HouseTests(SynchronousTestCase):
    """The source as it is."""

    def assertNone(self, complaints: list[str]) -> None:
        """Fail with all complaints, one a line."""
        if complaints:
            self.fail("\n" + "\n".join(complaints))

    def test_found(self) -> None:
        """The modules are found at all."""
        names = [name for name, _ in sources(ROOT)]
        self.assertIn("xmppd.ixmppd", names)
        self.assertIn("xmppd.wire.jid", names)

    def test_floors(self) -> None:
        """No floor looks up and no room looks sideways."""
        self.assertNone([c for name, source in sources(ROOT) for c in floorComplaints(name, ast.parse(source))])

    def test_names(self) -> None:
        """Modules and classes are called by what they are."""
        self.assertNone([c for name, source in sources(ROOT) for c in nameComplaints(name, ast.parse(source))])

    def test_docstrings(self) -> None:
        """Everything that others use says what it is and why."""
        self.assertNone([c for name, source in sources(ROOT) for c in docstringComplaints(name, ast.parse(source))])

    def test_lengths(self) -> None:
        """No module is too long."""
        self.assertNone([c for name, source in sources(ROOT) for c in lengthComplaints(name, source)])

    def test_plugins(self) -> None:
        """The folder of the plug-in is no package: it would hide Twisted itself."""
        self.assertEqual(list((ROOT / "twisted").rglob("__init__.py")), [])

    def test_rooms(self) -> None:
        """The two tables speak of the same rooms, and nobody may look at a room that looks back."""
        self.assertEqual(set(ROOMS), set(LIBRARIES))
        for here, others in ROOMS.items():
            for there in others:
                if there not in LOWEST and (here, there) != ("ctl", "tap") and (here, there) != ("tap", "ctl"):
                    self.assertNotIn(here, ROOMS[there], f"{here} and {there} look at each other")


class RulesTests(SynchronousTestCase):
    """Each rule complains of what it is there for, and of nothing else."""

    def complaint(self, module: str, line: str) -> str:
        """All complaints about the imports of a module with one line."""
        return "; ".join(floorComplaints(module, ast.parse(line)))

    def assertRefused(self, module: str, *lines: str) -> None:
        """Every line is complained of."""
        for line in lines:
            self.assertTrue(self.complaint(module, line), f"{module}: {line}")

    def assertAllowed(self, module: str, *lines: str) -> None:
        """No line is complained of."""
        for line in lines:
            self.assertEqual(self.complaint(module, line), "", f"{module}: {line}")

    def test_wire(self) -> None:
        """Floor 1 knows Python and Unicode."""
        self.assertAllowed("xmppd.wire.jid", "import re, idna", "from xmppd.wire.ns import CLIENT", "from . import ns")
        self.assertRefused(
            "xmppd.wire.jid", "import time", "import zope.interface", "from twisted.logger import Logger",
            "from xmppd import config", "from xmppd.config import load", "from ..stream import c2s", "import requests",
        )

    def test_lowest(self) -> None:
        """Floor 2 adds zope.interface, and Deferreds in annotations only."""
        deferred = "from twisted.internet.defer import Deferred"
        self.assertAllowed(
            "xmppd.hooks", "from zope.interface import Interface", "from xmppd.ixmppd import IHost",
            f"if TYPE_CHECKING:\n    {deferred}",
        )
        self.assertRefused("xmppd.hooks", deferred, "import automat", "from xmppd.route.router import Router")

    def test_typesCountToo(self) -> None:
        """An annotation is no excuse, unless for values and interfaces."""
        self.assertRefused("xmppd.route.router", "if TYPE_CHECKING:\n    from xmppd.store.memory import Store")
        self.assertRefused("xmppd.wire.stanza", "if typing.TYPE_CHECKING:\n    from xmppd.stream.c2s import C2S")
        self.assertAllowed("xmppd.wire.stanza", "if TYPE_CHECKING:\n    from xmppd.ixmppd import IHost")

    def test_sideways(self) -> None:
        """Rooms of one floor don't know each other, nor floor 5 floor 4."""
        self.assertRefused("xmppd.route.router", "from xmppd.store import memory", "import xmppd.store.memory")
        self.assertRefused("xmppd.stream.c2s", "from xmppd.sasl.scram import SCRAM", "from xmppd import sasl")
        self.assertRefused("xmppd.features.xep0199_ping", "from xmppd.route.router import Router")
        self.assertAllowed("xmppd.features.xep0199_ping", "from xmppd.features.xep0030_disco import info")

    def test_inFunctions(self) -> None:
        """An import that hides in a function is found."""
        self.assertRefused("xmppd.route.router", "def f():\n    try:\n        import xmppd.net.tcp\n    finally: pass")

    def test_relative(self) -> None:
        """Relative imports are followed, from packages too."""
        self.assertRefused("xmppd.route.router", "from ..store import memory", "from .. import store")
        self.assertRefused("xmppd.features.xep0045_muc.__init__", "from ...store import memory")
        self.assertAllowed("xmppd.features.xep0045_muc.__init__", "from . import room", "from .. import xep0030_disco")

    def test_reactor(self) -> None:
        """Only the rooms that may have a reactor have one."""
        lines = ("from twisted.internet import reactor", "from twisted.internet.endpoints import serverFromString",
                 "import twisted.internet.ssl", "from twisted.internet.protocol import Protocol")
        for module in ("xmppd.route.router", "xmppd.services", "xmppd.trust.tls", "xmppd.store.sql.writer"):
            self.assertRefused(module, *lines)
        for module in ("xmppd.net.tcp", "xmppd.tap", "xmppd.ctl.control"):
            self.assertAllowed(module, *lines)

    def test_never(self) -> None:
        """A second event loop and the parser that expands entities are nowhere."""
        for module in ("xmppd.net.tcp", "xmppd.tap", "xmppd.wire.element"):
            self.assertRefused(module, "import asyncio", "from asyncio import sleep", "from twisted.words.xish import domish",
                               "from twisted.words.protocols.jabber import jid")

    def test_libraries(self) -> None:
        """A library belongs to the rooms that need it."""
        self.assertAllowed("xmppd.store.sql.tables", "import sqlalchemy.exc", "from alembic import op")
        self.assertAllowed("xmppd.trust.pkix", "from OpenSSL import SSL")
        self.assertAllowed("xmppd.ctl.main", "import click")
        self.assertRefused("xmppd.route.router", "import sqlalchemy", "from OpenSSL import SSL", "import click")
        self.assertRefused("xmppd.stream.c2s", "from twisted.web import http", "from twisted.python import log")

    def test_onlyTap(self) -> None:
        """The concrete classes of several rooms meet in one module."""
        line = "from xmppd.store.memory import Store"
        self.assertAllowed("xmppd.tap", line)
        for module in ("xmppd.ctl.main", "xmppd.services", "xmppd.net.tcp"):
            self.assertRefused(module, line)

    def test_newRoom(self) -> None:
        """A room that isn't in the table is complained of."""
        self.assertEqual(self.complaint("xmppd.attic.box", ""), "xmppd.attic.box: there is no room attic")

    def test_names(self) -> None:
        """Names that say nothing are found in modules and classes."""
        for module, source in (("xmppd.net.util", ""), ("xmppd.net.x", "class StreamManager: pass"),
                               ("xmppd.net.x", "def f():\n    class _Helper: pass"), ("xmppd.eventhandler", "")):
            self.assertEqual(len(list(nameComplaints(module, ast.parse(source)))), 1)
        self.assertEqual(list(nameComplaints("xmppd.net.x", ast.parse("class StreamManagement: pass"))), [])

    def test_docstrings(self) -> None:
        """Missing docstrings are found, also of methods and coroutines; private things may do without."""
        source = '"""M."""\nclass A:\n    """A."""\n    def b(self): pass\n    def _c(self): pass\n    async def d(self): pass\ndef e(): pass\nclass F: pass'
        found = [c.split(": ")[1] for c in docstringComplaints("m", ast.parse(source))]
        self.assertEqual(found, [f"{name} has no docstring" for name in ("b", "d", "e", "F")])
        self.assertEqual(list(docstringComplaints("m", ast.parse("x = 1"))), ["m: the module has no docstring"])

    def test_lengths(self) -> None:
        """A long module is found."""
        self.assertEqual(list(lengthComplaints("m", "\n" * LONGEST)), [])
        self.assertEqual(len(list(lengthComplaints("m", "\n" * (LONGEST + 1)))), 1)
