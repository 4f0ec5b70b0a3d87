"""
Tests for the pages that C{docs/generate.py} makes, and for all pages: that they are well-formed.
"""

from __future__ import annotations

import importlib.util
import io
import re
import textwrap
import tomllib
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

ROOT = Path(__file__).parent.parent
_spec = importlib.util.spec_from_file_location("xmppd_docs_generate", ROOT / "docs" / "generate.py")
assert _spec is not None and _spec.loader is not None
generate = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(generate)

hasDocutils = importlib.util.find_spec("docutils") is not None


def warnings(text: str, name: str) -> str:
    """What docutils has to say about a page."""
    from docutils.core import publish_doctree

    stream = io.StringIO()
    publish_doctree(text, source_path=name, settings_overrides={"warning_stream": stream, "report_level": 2})
    return stream.getvalue()


class ConformanceTests(SynchronousTestCase):
    """The page about conformance."""

    def tree(self) -> Path:
        """A small project."""
        root = Path(self.mktemp())
        (root / "tests").mkdir(parents=True)
        (root / "xmppd" / "features" / "xep0045_muc").mkdir(parents=True)
        (root / "tests" / "test_x.py").write_text(
            '@spec("RFC 6120", "4.10", "4.9")\nclass XTests:\n    @spec("mission", "A2")\n    def test_y(self): pass\n'
        )
        (root / "xmppd" / "features" / "xep0199_ping.py").write_text(
            'feature = Feature(name="xep0199_ping", specs=(Spec("XEP-0199", "2.0.1"), hooks.Spec(document="RFC 6121")))\n'
        )
        (root / "xmppd" / "features" / "xep0045_muc" / "__init__.py").write_text('feature = Feature(specs=(Spec("XEP-0045", "1.35"),))\n')
        return root

    def test_marks(self) -> None:
        """Marks of test cases and of methods are found."""
        marks = generate.collectMarks(self.tree() / "tests")
        self.assertEqual(marks["RFC 6120"], {"4.10": ["tests.test_x.XTests"], "4.9": ["tests.test_x.XTests"]})
        self.assertEqual(marks["mission"], {"A2": ["tests.test_x.XTests.test_y"]})

    def test_scenarios(self) -> None:
        """So are those of scenarios, with and without sections."""
        root = self.tree()
        (root / "tests" / "scenarios").mkdir()
        (root / "tests" / "scenarios" / "chat.txt").write_text(
            "# Chat\nspecification: RFC 6121 8.5.1, 8.5.3\nSpecification: XEP-0203\nRomeo sends:\n    <a/>\n"
        )
        marks = generate.collectMarks(root / "tests")
        chat = ["tests/scenarios/chat.txt"]
        self.assertEqual(marks["RFC 6121"], {"8.5.1": chat, "8.5.3": chat})
        self.assertEqual(marks["XEP-0203"], {"": chat})

    def test_specs(self) -> None:
        """What features declare is found, sorted by document."""
        self.assertEqual(generate.collectSpecs(self.tree() / "xmppd" / "features"), [
            ("RFC 6121", "", "features.xep0199_ping"),
            ("XEP-0045", "1.35", "features.xep0045_muc"),
            ("XEP-0199", "2.0.1", "features.xep0199_ping"),
        ])

    def test_page(self) -> None:
        """The page names them, sections in the order of their numbers, and is the same each time."""
        root = self.tree()
        page = generate.conformance(root)
        self.assertEqual(page, generate.conformance(root))
        self.assertIn("      - 2.0.1", page)
        self.assertLess(page.index("Section 4.9"), page.index("Section 4.10"))

    def test_missionIds(self) -> None:
        """Every id of the mission that a test quotes exists."""
        known = {id for _, statements in generate.MISSION.values() for id in statements}
        self.assertEqual(set(generate.collectMarks(ROOT / "tests")["mission"]) - known, set())

    def test_documents(self) -> None:
        """Every document that a test quotes is called as documents are called."""
        for document in generate.collectMarks(ROOT / "tests"):
            self.assertRegex(document, r"^(mission|RFC \d{3,4}|XEP-\d{4}|(UTS|UAX) #\d+)$")


class PagesTests(SynchronousTestCase):
    """All pages."""

    def test_configuration(self) -> None:
        """The page about the configuration has every option of the file, and what is said about it."""
        page = generate.configuration(ROOT)
        self.assertIn("Children of a stanza.", page)
        self.assertIn("lists of Twisted endpoint strings", page)
        for line in (ROOT / "etc" / "xmppd.toml").read_text("utf-8").splitlines():
            if line and not line.startswith("# "):
                self.assertIn(line.removeprefix("#"), page)

    def test_index(self) -> None:
        """Every page is in the table of contents, and what it names is there."""
        index = (ROOT / "docs" / "index.rst").read_text("utf-8")
        named = {(ROOT / "docs" / name).resolve() for name in re.findall(r"<(\S+\.rst)>", index)}
        pages = {path for path in (ROOT / "docs").rglob("*.rst") if path.name not in ("index.rst", "changelog.rst")}
        self.assertEqual({path.relative_to(ROOT) for path in pages - named}, set(), "add them to docs/index.rst")
        self.assertEqual({path for path in named if not path.exists()}, set())

    def test_changelog(self) -> None:
        """Every fragment of the changelog has a name that says of which kind it is, and one paragraph."""
        with (ROOT / "pyproject.toml").open("rb") as file:
            kinds = {kind["directory"] for kind in tomllib.load(file)["tool"]["towncrier"]["type"]}
        for path in (ROOT / "docs" / "newsfragments").iterdir():
            if path.name != "README":
                self.assertIn(path.suffix.removeprefix("."), kinds, path.name)
                self.assertEqual(path.read_text("utf-8").strip().count("\n\n"), 0, path.name)

    def test_wellFormed(self) -> None:
        """Docutils has no complaint about any page, generated or written."""
        pages = {path.name: path.read_text("utf-8") for path in (ROOT / "docs").rglob("*.rst")}
        pages |= {name: make(ROOT) for name, make in generate.PAGES.items()}
        pages |= {name: (ROOT / name).read_text("utf-8") for name in ("README.rst", "benchmarks/README.rst")}
        for name, text in pages.items():
            self.assertEqual(warnings(text, name), "", name)

    if not hasDocutils:
        test_wellFormed.skip = "docutils isn't installed"  # type: ignore[attr-defined]

    def test_project(self) -> None:
        """What tools read of the project is TOML."""
        with (ROOT / "pyproject.toml").open("rb") as file:
            self.assertIn("build-system", tomllib.load(file))


class TutorialTests(SynchronousTestCase):
    """The page about writing features."""

    def test_code(self) -> None:
        """What it quotes is in the feature, or in its tests."""
        page = (ROOT / "docs" / "features.rst").read_text()
        sources = ("xmppd/features/xep0076_evil.py", "tests/features/test_xep0076_evil.py")
        code = "\n".join((ROOT / each).read_text() for each in sources)
        quoted = re.findall(r"^\.\. code::\n\n((?:(?:    .*)?\n)+)", page, re.MULTILINE)
        self.assertGreater(len(quoted), 10)
        for each in quoted:
            lines = textwrap.dedent(each).strip("\n")
            self.assertTrue(lines in code or textwrap.indent(lines, "    ") in code, each)
