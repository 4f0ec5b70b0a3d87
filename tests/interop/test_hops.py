"""
How the hops to a contact are secured, as people see it: two padlocks in the web chat, in a real browser, with contacts on
this server and on Debian's Prosody; and the example of the documentation, with slixmpp.
"""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import textwrap
import xml.etree.ElementTree as ET
from typing import Any
from unittest import skipUnless

from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256
from twisted.trial.unittest import SynchronousTestCase

from tests.interop import federation
from tests.interop.chromium import Browser, Tab, missing
from tests.interop.daemon import DEADLINE, DOMAIN, ROOT
from tests.interop.federation import PEER, World, waitFor
from tests.interop.test_webchat import CONTRAST, LEVELS, NAMED, TWICE, WebChatTestCase
from tests.interop.wire import Wire
from tests.marks import spec

NS = "{urn:xmppd:hops:0}"
JULIET = f"juliet@{PEER}"

WITH_PAGE = federation.CONFIGURATION.replace(
    "[listen]", '[web]\nchat = true\nproxies = []\n[listen]\nhttps = ["tcp:0:interface=127.0.0.1"]', 1
)

LOCKS = "[...document.querySelectorAll('#hop-locks .lock')].map((e) => e.classList[1]).join(' ')"
"""The padlocks that are seen."""

hasProsody = shutil.which("prosody") is not None


def locked(tab: Tab, levels: str) -> None:
    """Wait for two padlocks."""
    tab.wait(f"!document.getElementById('show-hops').hidden && {LOCKS} === {levels!r}")


def hops(tab: Tab) -> dict[str, tuple[str, str]]:
    """What is said of each hop: its level and all the words, by its title."""
    script = (
        "[...document.querySelectorAll('#hop-list li')].map((e) =>"
        " [e.querySelector('.what').innerText, e.className, e.innerText])"
    )
    return {title: (level, text) for title, level, text in tab.run(script)}


class NearTests(WebChatTestCase):
    """Everybody on the same server."""

    @spec("mission", "T14")
    def test_guest(self) -> None:
        """A guest sees both hops in a room and in a chat: by keyboard, by ear, and small."""
        tab = self.comeIn("Wanderer")
        locked(tab, "closed closed")
        tab.fill("#write-jid", "juliet")
        tab.press("Enter")
        tab.see("#talk-title", "juliet")
        locked(tab, "closed closed")
        label = tab.run("document.getElementById('show-hops').getAttribute('aria-label')")
        self.assertIn("From you to the server: not encrypted, but nothing leaves this machine. Beyond: encrypted; both on", label)
        tab.run("document.getElementById('show-hops').focus()")
        tab.press("Enter")
        tab.see("#hops", "How this is secured")
        said = hops(tab)
        level, text = said[f"You and {DOMAIN}"]
        self.assertEqual(level, "closed")
        self.assertIn("Not encrypted, but nothing leaves this machine", text)
        self.assertIn("ANONYMOUS", text)
        level, text = said[f"{DOMAIN} and juliet"]
        self.assertEqual(level, "closed")
        self.assertIn("Encrypted; both on the same server", text)
        for width, height in ((1180, 760), (320, 640)):
            tab.resize(width, height)
            for question in (NAMED, CONTRAST, TWICE):
                self.assertEqual(tab.run(question), [])
            self.assertEqual(tab.run(LEVELS).count("H1"), 1)
            wide = tab.run("document.documentElement.scrollWidth - document.documentElement.clientWidth")
            self.assertEqual(wide, 0)
        tab.run("document.getElementById('hide-hops').focus()")
        tab.press("Escape")
        self.assertTrue(tab.run("document.getElementById('hops').hidden"))
        self.assertEqual(tab.run("document.activeElement.id"), "show-hops")
        self.assertEqual(tab.run("document.getElementById('show-hops').getAttribute('aria-expanded')"), "false")

    def test_room(self) -> None:
        """The room is here; where the others are isn't claimed to be known. After a reload it is as before."""
        tab = self.comeIn("Wanderer")
        for _ in range(2):
            locked(tab, "closed closed")
            tab.click("#show-hops")
            tab.see("#hops", "The room is on the same server")
            self.assertEqual(hops(tab)["The others in the room"][0], "unknown")
            tab.reload()
            tab.wait("document.getElementById('state').dataset.state === 'online'")
        self.assertEqual(tab.run("document.getElementById('notice').hidden"), True)

    def test_stranger(self) -> None:
        """Where a guest can't write, it learns nothing; and no refusal is shown for the mere look."""
        tab = self.comeIn("Wanderer")
        tab.fill("#write-jid", "somebody@elsewhere.example")
        tab.press("Enter")
        locked(tab, "closed unknown")
        tab.click("#show-hops")
        tab.see("#hops", "of those to whom you write")
        tab.click("#show-panel")
        tab.see("#panel", "Nothing so far")

    def assess(self, tab: Tab, inner: str, jid: str = JULIET, grouped: bool = False) -> Any:
        """What the page makes of an answer: levels of both padlocks, and each hop's title, level and words."""
        text = f"<hops xmlns='{NS[1:-1]}' to='{jid}'><client security='tls' version='TLSv1.2' cipher='C'/>{inner}</hops>"
        other = json.dumps({"name": "juliet", "jid": jid, "grouped": grouped})
        return tab.run(
            "Promise.all([import('/chat/hops.js'), import('/chat/xml.js')]).then(([h, x]) => {"
            f" const found = h.assess(x.parse({json.dumps(text)}), {other}, {json.dumps(DOMAIN)});"
            " return [found.own.level, found.second.level, found.hops.map((e) => [e.title, e.level, e.lines.join(' ')])]; })"
        )

    @spec("mission", "T11")
    def test_assessed(self) -> None:
        """What is weakest decides; what isn't understood is taken for the worst."""
        tab = self.open()
        tls = "security='tls' version='TLSv1.3' cipher='C'"
        good = f"<stream direction='out' {tls} proof='DANE-EE' authenticated='true'/>"
        weak = f"<stream direction='in' {tls} proof='dialback+DNSSEC' authenticated='false'/>"
        connected = "<server route='remote' state='connected'>{}</server><contact security='unknown'/>"
        own, second, said = self.assess(tab, connected.format(good + weak))
        self.assertEqual((own, second), ("closed", "half"))
        self.assertEqual([each[:2] for each in said], [
            [f"You and {DOMAIN}", "closed"], [f"From {DOMAIN} to {PEER}", "closed"],
            [f"From {PEER} to {DOMAIN}", "half"], [f"{PEER} and juliet", "unknown"],
        ])
        self.assertIn("signed DNS names (DANE-EE)", said[1][2])
        for stream, level in (
            (good, "closed"), (weak, "half"), (good.replace("'tls'", "'none'"), "open"),
            (good.replace("'tls'", "'quantum'"), "open"), (good.replace("DANE-EE", "NEWER"), "closed"),
            (weak.replace("authenticated='false'", ""), "half"),
        ):
            self.assertEqual(self.assess(tab, connected.format(stream))[1], level, stream)
        seen = "<seen direction='out' proof='PKIX' authenticated='true' on='2026-11-20' authority='Encrypt &lt;Us&gt;'/>"
        _, second, said = self.assess(tab, f"<server route='remote' state='not-connected'>{seen}</server>")
        self.assertEqual(second, "unknown")
        self.assertIn("Last seen on 2026-11-20, with a certificate from Encrypt <Us>", said[1][2])
        here = "<server route='{}'/><contact security='{}'/>"
        for route, security, grouped, level in (
            ("same", "encrypted", False, "closed"), ("same", "not-encrypted", False, "open"),
            ("same", "unknown", False, "unknown"), ("same", "unknown", True, "closed"),
            ("component", "unknown", False, "unknown"), ("elsewhere", "encrypted", False, "unknown"),
        ):
            self.assertEqual(self.assess(tab, here.format(route, security), "a@b.example", grouped)[1], level)

    def test_worsened(self) -> None:
        """That a conversation is less secure than before is said in it, once; a pause in between makes no difference."""
        tab = self.comeIn("Wanderer")
        locked(tab, "closed closed")
        tls = "security='tls' version='TLSv1.3' cipher='C' proof='{}' authenticated='{}'"
        good, weak = (f"<stream direction='out' {tls.format(*each)}/>" for each in (("PKIX", "true"), ("dialback", "false")))
        answers = [
            f"<hops xmlns='{NS[1:-1]}' to='{JULIET}'><client security='tls' version='TLSv1.3' cipher='C'/>"
            f"<server route='remote'>{streams}</server></hops>"
            for streams in (good, weak, good + good.replace("out", "in"), "", good, "", weak, weak)
        ]
        said = tab.run(
            "Promise.all([import('/chat/hops.js'), import('/chat/xml.js')]).then(async ([h, x]) => {"
            " const said = [], session = { state: 'online', domain: 'example.org' };"
            " const pane = new h.HopsPane('example.org', (place, text) => said.push([place.jid, text]));"
            f" const place = {{ jid: {json.dumps(JULIET)}, name: 'juliet', kind: 'chat' }};"
            " session.ask = () => new Promise(() => {}); pane.show(session, place); pane._asking = null;"
            f" for (const text of {json.dumps(answers)}) {{"
            "  session.ask = async () => x.parse(`<iq xmlns='jabber:client'>${text}</iq>`); await pane._refresh(); }"
            " return said; })"
        )
        ((jid, text),) = said
        self.assertEqual(jid, JULIET)
        self.assertIn("less secure than before: encrypted, but only weakly proved who is there", text)

    def test_dark(self) -> None:
        """Contrast of all levels, light and dark."""
        for dark in (False, True):
            tab = self.comeIn("Dark" if dark else "Light", dark=dark)
            locked(tab, "closed closed")
            tab.click("#show-hops")
            for level in ("half", "open", "unknown"):
                tab.run(f"document.querySelector('#hop-list li').className = {level!r}")
                self.assertEqual(tab.run(CONTRAST), [], f"{level} {dark}")


class OffTests(WebChatTestCase):
    """A server that doesn't tell."""

    def setUp(self) -> None:
        from tests.interop import test_webchat

        text = test_webchat.CONFIGURATION.replace('guests = "public"', 'guests = "public"\ndisabled = ["hops"]')
        self.patch(test_webchat, "CONFIGURATION", text)
        super().setUp()

    def test_off(self) -> None:
        """There are no padlocks, and no complaints."""
        tab = self.comeIn("Wanderer")
        self.say(tab, "Anybody?")
        self.juliet.body("Anybody?")
        tab.wait("document.getElementById('show-hops').hidden && document.getElementById('notice').hidden")
        tab.click("#show-panel")
        tab.see("#panel", "Nothing so far")


@skipUnless(hasProsody, "Prosody is not installed: apt-get install prosody")
@spec("mission", "T11", "T14")
class FarTests(SynchronousTestCase):
    """Romeo at our server in a browser, Juliet at Prosody."""

    skip = missing()

    def world(self, **named: Any) -> World:
        """Both servers, with a chat in web pages."""
        self.patch(federation, "CONFIGURATION", WITH_PAGE)
        self.there = World(self, **named)
        return self.there

    def page(self) -> Tab:
        """Romeo, who writes to Juliet."""
        browser = Browser(f"--host-resolver-rules=MAP {DOMAIN} 127.0.0.1", "--ignore-certificate-errors")
        self.addCleanup(browser.close)
        ports = {each["option"]: each["address"].rpartition(":")[2] for each in self.there.daemon.ask("status")["ports"]}
        tab = browser.open(f"https://{DOMAIN}:{ports['listen.https']}/")
        tab.wait("!document.getElementById('door').hidden")
        tab.fill("#account-jid", "romeo")
        tab.fill("#account-password", "romeo")
        tab.click("#account-form button")
        tab.see("#who-name", f"romeo@{DOMAIN}")
        tab.fill("#write-jid", JULIET)
        tab.press("Enter")
        self.addCleanup(lambda: self.assertEqual(tab.complaints, []))
        return tab

    def talk(self, tab: Tab, levels: str) -> dict[str, tuple[str, str]]:
        """A message each way; the padlocks before and afterwards, and what is said of them."""
        locked(tab, "closed unknown")
        tab.click("#show-hops")
        tab.see("#hops", "of those to whom you write")
        tab.fill("#message", "Juliet <3")
        tab.press("Enter")
        romeo = self.juliet.body("Juliet <3").get("from")
        locked(tab, levels)
        self.juliet.say(f"<message to='{romeo}' type='chat'><body>Romeo!</body></message>")
        tab.see(".said .text", "Romeo!")
        tab.click("#show-hops")
        tab.click("#show-hops")
        tab.see("#hop-list", f"{DOMAIN} and {PEER}, both ways")
        locked(tab, levels)
        return hops(tab)

    def meet(self, name: str, levels: str, **named: Any) -> dict[str, tuple[str, str]]:
        """
        All of it.

        @param name: of a picture, or empty.
        """
        _, self.juliet = self.world(**named).people()
        tab = self.page()
        said = self.talk(tab, levels)
        tab.run("Promise.allSettled(document.getAnimations().map((each) => each.finished)).then(() => true)")
        self.assertEqual(tab.run(NAMED), [])
        self.assertEqual(tab.run(CONTRAST), [])
        if name:
            WebChatTestCase.picture(self, tab, name)  # type: ignore[arg-type]
        return said

    def test_external(self) -> None:
        """Certificates on both sides: closed padlocks, and how that is known."""
        said = self.meet("", "closed closed")
        level, text = said[f"You and {DOMAIN}"]
        self.assertEqual(level, "closed")
        self.assertIn("TLS 1.3", text)
        self.assertIn("SCRAM-SHA-256", text)
        level, text = said[f"{DOMAIN} and {PEER}, both ways"]
        self.assertEqual(level, "closed")
        self.assertIn("PKIX", text)
        self.assertEqual(said[f"{PEER} and juliet@{PEER}"][0], "unknown")

    def test_dialback(self) -> None:
        """Encrypted, but nobody vouches: half."""
        said = self.meet("hops", "closed half", ours=None, theirs=None)
        level, text = said[f"{DOMAIN} and {PEER}, both ways"]
        self.assertEqual(level, "half")
        self.assertIn("only by calling back", text)
        self.assertIn("TLS 1.3", text)

    def test_plaintext(self) -> None:
        """Where both allow it and one has no TLS: open."""
        said = self.meet(
            "", "closed open", require="require_s2s = false",
            options='modules_disabled = { "tls" }\ns2s_require_encryption = false\nc2s_require_encryption = false',
        )
        self.assertEqual(said[f"{DOMAIN} and {PEER}, both ways"][0], "open")


@skipUnless(hasProsody, "Prosody is not installed: apt-get install prosody")
@spec("mission", "T11", "T14")
class ExampleTests(SynchronousTestCase):
    """The example of the documentation."""

    maxDiff = None

    if importlib.util.find_spec("slixmpp") is None:
        skip = "slixmpp is not installed: pip install slixmpp"

    def example(self) -> str:
        """The program."""
        page = (ROOT / "docs" / "hops.rst").read_text()
        found = re.search(r"With slixmpp\n-+\n\n.*::\n\n((?:    .*\n|\n)+)", page)
        assert found is not None
        return textwrap.dedent(found[1])

    def run_(self, world: World, contact: str) -> ET.Element:
        """Run it."""
        file = world.daemon.folder / "example.py"
        file.write_text(self.example())
        argv = [sys.executable, str(file), f"romeo@{DOMAIN}", contact, "127.0.0.1", str(world.daemon.port)]
        environment = {**os.environ, "SSL_CERT_FILE": str(world.daemon.folder / "ca.pem")}
        done = subprocess.run(
            argv, input="romeo\n", capture_output=True, text=True, timeout=DEADLINE, env=environment, check=False
        )
        self.assertEqual((done.returncode, done.stderr), (0, ""), done.stdout)
        return ET.fromstring(done.stdout)

    @spec("mission", "T12")
    def test_past(self) -> None:
        """When the other server has gone, what it has shown is still known."""
        world = World(self)
        romeo, juliet = world.people()

        def ask(client: Wire, id: str) -> ET.Element:
            client.say(f"<iq type='get' id='{id}' to='{DOMAIN}'><hops xmlns='{NS[1:-1]}' to='{JULIET}'/></iq>")
            return client.expect(lambda each: each.get("id") == id)

        self.assertEqual(ask(romeo, "h1").get("type"), "error")
        romeo.say(f"<message to='{JULIET}' type='chat'><body>Still there?</body></message>")
        juliet.body("Still there?")
        server = waitFor(lambda: ask(romeo, "h2").find(f"{NS}hops/{NS}server[@state='connected']"))
        self.assertEqual(server[0].get("proof"), "PKIX")
        juliet.close()
        world.peer.stop()
        server = waitFor(lambda: ask(romeo, "h3").find(f"{NS}hops/{NS}server[@state='not-connected']"))
        seen = next(each for each in server if each.get("direction") == "out")
        sha256 = x509.load_pem_x509_certificate(world.peerCertificate).fingerprint(SHA256()).hex()
        self.assertEqual((seen.get("proof"), seen.get("sha-256"), seen.get("authority")), ("PKIX", sha256, "CN=The Tests"))

    def children(self, told: ET.Element) -> list[tuple[str, Any]]:
        """Names and what is said of security."""
        return [(each.tag.removeprefix(NS), each.get("security") or each.get("route")) for each in told]

    def test_example(self) -> None:
        """It works, for a contact elsewhere and for one here."""
        world = World(self)
        _, juliet = world.people()
        told = self.run_(world, JULIET)
        juliet.body("Hello!")
        self.assertEqual(self.children(told), [("client", "tls"), ("server", "remote"), ("contact", "unknown")])
        self.assertEqual(told[0].get("version"), "TLSv1.3")
        self.assertTrue(str(told[0].get("mechanism")).startswith("SCRAM-SHA-"))
        out = next(each for each in told[1] if each.get("direction") == "out")
        self.assertEqual((out.get("proof"), out.get("authenticated"), out.get("mechanism")), ("PKIX", "true", "EXTERNAL"))
        told = self.run_(world, f"romeo@{DOMAIN}")
        self.assertEqual(self.children(told)[1:], [("server", "same"), ("contact", "encrypted")])
