"""Runs every scenario of this folder as a test of its own, and tests the language they are written in."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Callable
from pathlib import Path

from twisted.trial.unittest import SkipTest, SynchronousTestCase

from tests.scenarios.script import Mistake, Run, Script, difference, elements, filled, read
from tests.server import DOMAIN, ServerCase

HERE = Path(__file__).parent

NAMES = ("romeo", "juliet", "admin")


class ScenarioTests(ServerCase):
    """One test for each C{*.txt}; its docstring is the file's first comment."""

    def play(self, script: Script) -> None:
        """Run a script with a server of its own."""
        settings = script.settings
        accounts = [name for value in settings.get("accounts", ()) for name in value.split()]
        server = self.serve(
            "\n".join(settings.get("limits", ())),
            "".join(line + "\n" for line in settings.get("host", ())),
            tls="tls" in settings,
            accounts=(*NAMES, *accounts),
            more="\n".join(settings.get("more", ())),
            listen="\n".join(settings.get("listen", ())),
        )
        missing = [
            name
            for value in settings.get("needs", ())
            for name in value.split()
            if name not in server.server.features[DOMAIN]
        ]
        if missing:
            raise SkipTest(f"this server has no {', '.join(missing)}")
        Run(script, server).run()


def _test(script: Script) -> Callable[[ScenarioTests], None]:
    def test(self: ScenarioTests) -> None:
        self.play(script)

    test.__doc__ = script.title
    test.specMarks = tuple(script.specifications())  # type: ignore[attr-defined]
    return test


for _path in sorted(HERE.glob("*.txt")):
    setattr(ScenarioTests, "test_" + _path.stem.replace("-", "_"), _test(read(_path)))


class LanguageTests(SynchronousTestCase):
    """What the comparison tells apart, and how it says so."""

    def compare(self, expected: str, got: str, known: dict[str, str] | None = None) -> str | None:
        """The difference between two elements."""
        return difference(elements(expected)[0], elements(got)[0], {} if known is None else known)

    def test_sameMeaning(self) -> None:
        """The order of attributes, prefixes and white space around elements make no difference."""
        self.assertIsNone(
            self.compare(
                "<message to='a' from='b'>\n  <body>x</body>\n</message>",
                '<c:message xmlns:c="jabber:client" from="b" to="a"><c:body>x</c:body></c:message>',
            )
        )

    def test_differences(self) -> None:
        """Each is found, and named by its path."""
        for expected, got, words in (
            ("<message/>", "<presence/>", "/message: expected <{jabber:client}message>, got <{jabber:client}presence>"),
            ("<message/>", "<message xmlns='other'/>", "/message: expected"),
            ("<message to='a'/>", "<message/>", "/message: the attribute to is missing"),
            ("<message to='a'/>", "<message to='b'/>", "/message/@to: expected 'a', got 'b'"),
            ("<message/>", "<message to='b'/>", "/message: there is an attribute to='b'"),
            ("<message><body>a</body></message>", "<message><body>b</body></message>", "/message/body: text: expected 'a'"),
            ("<message><body/></message>", "<message/>", "/message: <{jabber:client}body> is missing"),
            ("<message/>", "<message><body/></message>", "/message: there is a <{jabber:client}body> more"),
            ("<message/>", "<message>x</message>", "/message: text: expected '', got 'x'"),
        ):
            problem = self.compare(expected, got)
            assert problem is not None
            self.assertIn(words, problem)

    def test_places(self) -> None:
        """Anything, and something to be remembered."""
        known: dict[str, str] = {}
        self.assertIsNone(self.compare("<iq id='{any}' to='{jid:who}/x'/>", "<iq id='1' to='a@b/x'/>", known))
        self.assertEqual(known, {"who": "a@b"})
        self.assertIsNone(self.compare("<iq to='{who}'/>", "<iq to='a@b'/>", known))
        self.assertIsNotNone(self.compare("<iq to='{who}'/>", "<iq to='c@b'/>", known))
        self.assertIsNotNone(self.compare("<iq to='{jid:who}'/>", "<iq to='c@b'/>", known))
        self.assertEqual(filled("<iq to='{who}'/>", known), "<iq to='a@b'/>")
        self.assertRaises(Mistake, filled, "{unknown}", known)
        self.assertRaises(Mistake, self.compare, "<iq to='{unknown}'/>", "<iq to='c@b'/>")

    def test_rest(self) -> None:
        """What may be there besides."""
        expected = "<iq><query xmlns='q'>{rest}<b/></query></iq>"
        self.assertIsNone(self.compare(expected, "<iq><query xmlns='q' v='1'><a/><b/><c/></query></iq>"))
        self.assertIsNotNone(self.compare(expected, "<iq><query xmlns='q'><a/></query></iq>"))

    def test_badBlocks(self) -> None:
        """What is no XML is said to be none."""
        self.assertRaises(Mistake, elements, "<a>")
        self.assertIsInstance(elements("<a/>")[0], ET.Element)


class RunTests(ServerCase):
    """What a run says when something goes otherwise."""

    def played(self, text: str, **named: str) -> str:
        """The message with which a script fails, or nothing; C{named} goes to the server."""
        path = Path(self.mktemp())
        path.write_text(text)
        try:
            Run(read(path), self.serve(**named)).run()
        except Mistake as mistake:
            return str(mistake).replace(path.name, "file")
        return ""

    def test_mistakes(self) -> None:
        """File, line, step, and what was different."""
        login = "Romeo logs in as romeo/o\n"
        for text, words in (
            (login + "Romeo receives:\n  <a/>\n", "file:2: Romeo receives:\nexpected:"),
            (login + "Romeo is disconnected\n", "the stream is still open"),
            (login + "Romeo dances\n", "file:2: Romeo dances\nthere is no such step"),
            ("Romeo sends:\n  <a/>\n", "Romeo has not connected"),
            (login + "Romeo sends:\n  <iq type='get' id='1'/>\n", "at the end Romeo has received more"),
            (login + "Romeo sends:\n  <iq type='get' id='1'/>\nRomeo receives nothing\n", "file:4: Romeo receives nothing"),
            (login + "Romeo sends:\n  <message to='{x}'/>\n", "nothing is known by the name x"),
            (login + "Romeo receives in any order:\n  <a/>\n", "expected somewhere"),
        ):
            self.assertIn(words, self.played(text))
        self.assertEqual(self.played(login + "\n# comment\ntime passes 5 s\nRomeo disconnects\n"), "")

    def test_web(self) -> None:
        """What is different in an answer of the web server: the status, a header, the content."""
        asks = "Romeo asks the web:\n  GET /nowhere\nRomeo is answered:\n"
        for answer, words in (
            ("  200\n", "the status: expected '200', got '404'"),
            ("  404\n  Allow: GET\n", "Allow: expected 'GET', got 'nothing'"),
            ("  404\n\n  No.\n", "the content: expected 'No.'"),
            ("  404\n  Content-Type: text/{any}\n", ""),
        ):
            said = self.played(asks + answer, listen='http = ["tcp:5280"]')
            self.assertEqual((words in said, bool(said)), (True, bool(words)), said)

    def test_bytestreams(self) -> None:
        """What is different at the proxy: who is let in, and which bytes come."""
        romeo = "Romeo logs in as romeo/o\nJuliet logs in as juliet/b\n"
        joined = "".join(f"{who} joins bytestream s from romeo to juliet\n" for who in ("Romeo", "Juliet"))
        for steps, words in (
            ("Tybalt joins bytestream s from romeo to juliet\n", "the proxy has not taken the connection"),
            ("Juliet gets But soft\n", "got: ''"),
        ):
            self.assertIn(words, self.played(romeo + joined + steps, more='[proxy."proxy.example.org"]'))
        refused = "Tybalt is refused bytestream s from romeo to juliet\n"
        self.assertIn("has taken", self.played(romeo + refused, more='[proxy."proxy.example.org"]'))
        self.assertEqual(self.played(romeo + joined + refused, more='[proxy."proxy.example.org"]'), "")

    def test_stops(self) -> None:
        """The server ends what there is."""
        login = "Romeo logs in as romeo/o\nthe server stops\n"
        self.assertIn("at the end Romeo has received more", self.played(login))
        self.assertEqual(self.played(login + "Romeo ignores the rest\nRomeo is disconnected\n"), "")
