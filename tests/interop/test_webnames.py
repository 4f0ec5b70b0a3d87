"""
Names that may deceive, in the web page: the view that takes names apart, the creation of accounts, and contacts with
the server's warnings. As L{tests.interop.test_webchat}, in a real browser against a whole server.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from hashlib import sha1
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from tests.interop.chromium import Browser, Tab, missing
from tests.interop.daemon import DOMAIN, ROOT
from tests.interop.test_webchat import CONTRAST, LEVELS, NAMED, TWICE, WebChatTestCase
from tests.interop.wire import Element, Wire
from tests.marks import spec
from xmppd.wire import ns

VECTORS = """
Romeo usual 327.255249 0.865,0.000,0.686
juliet@capulet.lit usual 209.410400 0.000,0.515,0.573
😺 usual 331.199341 0.872,0.000,0.659
council usual 359.994507 0.918,0.000,0.394
Board usual 171.430664 0.000,0.527,0.457
Romeo red-green 327.255249 0.865,0.000,0.686
juliet@capulet.lit red-green 29.410400 0.742,0.359,0.000
😺 red-green 331.199341 0.872,0.000,0.659
council red-green 359.994507 0.918,0.000,0.394
Board red-green 351.430664 0.904,0.000,0.494
Romeo blue 147.255249 0.000,0.535,0.350
juliet@capulet.lit blue 29.410400 0.742,0.359,0.000
😺 blue 151.199341 0.000,0.533,0.373
council blue 179.994507 0.000,0.524,0.485
Board blue 171.430664 0.000,0.527,0.457
"""
"""The test vectors of XEP-0392: text, correction, hue, red, green and blue."""

SCRIPT = """
import { VISIONS, hueOf, rgbOf } from "{file}";
for (const line of process.argv[1].trim().split("\\n")) {
  const [text, vision] = line.split(" ");
  const hue = VISIONS[vision](hueOf(text));
  const rgb = rgbOf(hue, 100, 50).map((part) => part.toFixed(3));
  console.log(`${text} ${vision} ${hue.toFixed(6)} ${rgb}`);
}
"""


class ColourTests(SynchronousTestCase):
    """Colours, in Node."""

    skip = None if shutil.which("node") else "node is not installed: apt-get install nodejs"

    @spec("XEP-0392", "5.1", "5.2", "5.4")
    def test_vectors(self) -> None:
        """All test vectors of the specification for a full range of colours."""
        script = SCRIPT.replace("{file}", (ROOT / "xmppd" / "web" / "colours.js").as_uri())
        command = ["node", "--input-type=module", "-e", script, VECTORS]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
        self.assertEqual(done.stdout.strip(), VECTORS.strip())

    @spec("XEP-0392", "5.1")
    def test_lengths(self) -> None:
        """Texts of all lengths around the blocks of SHA-1."""
        texts = ["a" * length for length in range(1, 140)]
        script = SCRIPT.replace("{file}", (ROOT / "xmppd" / "web" / "colours.js").as_uri())
        command = ["node", "--input-type=module", "-e", script, "\n".join(f"{text} usual" for text in texts)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
        hues = [int.from_bytes(sha1(text.encode()).digest()[:2], "little") / 65536 * 360 for text in texts]
        self.assertEqual([line.split()[2] for line in done.stdout.splitlines()], [f"{hue:.6f}" for hue in hues])


class NamesCase(WebChatTestCase):
    """A server on which everybody can register; Romeo's contacts are in his roster."""

    host = """registration = "open"
[host."example.org".names]
handles = "refuse"
disclose = true"""
    contacts = (("paypal@example.org", "My bank"), ("juliet@example.org", "Sun"))

    def setUp(self) -> None:
        super().setUp()
        self.daemon.addAccount("paypal")
        romeo = Wire(self.daemon, "romeo")
        for number, (jid, name) in enumerate(self.contacts):
            item = f"<query xmlns='jabber:iq:roster'><item jid='{jid}' name='{name}'/></query>"
            romeo.say(f"<iq type='set' id='r{number}'>{item}</iq>")
            romeo.expect(lambda element, number=number: element.get("id") == f"r{number}")  # type: ignore[misc]
        romeo.close()

    def look(self, tab: Tab, where: str) -> None:
        """Names, contrast, headings, nothing beside the screen."""
        tab.run("Promise.allSettled(document.getAnimations().map((each) => each.finished)).then(() => true)")
        self.assertEqual(tab.run(NAMED), [], where)
        self.assertEqual(tab.run(CONTRAST), [], where)
        self.assertEqual(tab.run(LEVELS).count("H1"), 1, where)
        self.assertEqual(tab.run("document.documentElement.scrollWidth - document.documentElement.clientWidth"), 0, where)
        self.assertEqual(tab.run(TWICE), [], where)

    def account(self, name: str = "romeo", **named: Any) -> Tab:
        """Logged in, with the list of contacts."""
        tab = self.logIn(name, **named)
        tab.wait("document.getElementById('state').dataset.state === 'online'")
        tab.wait("!document.getElementById('views').hidden")
        return tab

    def pick(self, tab: Tab, jid: str) -> None:
        """Go to a conversation."""
        tab.wait(f"!!document.querySelector('#place-list [data-jid=\"{jid}\"]')")
        tab.run(f"document.querySelector('#place-list [data-jid=\"{jid}\"]').click()")

    def view(self, tab: Tab, name: str) -> None:
        """Go to a view."""
        tab.click(f"#views [data-view={name}]")
        tab.wait(f"document.getElementById('chat').dataset.view === '{name}'")


class CheckingTests(NamesCase):
    """The view of names."""

    @spec("mission", "M2")
    @spec("XEP-0165", "2.1")
    def test_guest(self) -> None:
        """A guest types, and sees what a name is made of, letter by letter."""
        tab = self.comeIn("Wanderer")
        self.view(tab, "names")
        tab.fill("#names-input", "adm1n")
        tab.see("#names-verdict", "speaks for this server")
        tab.see("#names-verdict", "can't be registered")
        tab.see(".likes", "admin")
        tab.fill("#names-input", "p\u0430ypal@ex\u0430mple.org")
        tab.see(".part", "Before the @: p\u0430ypal")
        tab.see(".part td", "CYRILLIC SMALL LETTER A")
        tab.see(".part td", "U+0430")
        tab.see(".part .facts", "Cyrillic, Latin")
        tab.see(".part .facts", "paypal")
        tab.see("#names-verdict", "Its domain looks like one of this server")
        tab.see(".likes", "@example.org")
        self.picture(tab, "names-light")
        tab.fill("#names-input", "pay\u200bpal")
        tab.see("#names-verdict", "Nobody can have an address like that")
        tab.see("td", "ZERO WIDTH SPACE")
        tab.run("document.getElementById('names-kind').value = 'nickname'")
        tab.run("document.getElementById('names-kind').dispatchEvent(new Event('input'))")
        tab.see("#names-verdict", "characters that can't be seen")
        self.assertTrue(tab.run("document.querySelector('#views [data-view=contacts]').hidden"))
        tab.fill("#names-input", "")
        tab.run("document.getElementById('names-input').dispatchEvent(new Event('input'))")
        tab.wait("document.getElementById('names-verdict').hidden")

    @spec("mission", "M2")
    def test_account(self) -> None:
        """Somebody with an account is told which contact an address looks like; accounts that are no contacts aren't told."""
        tab = self.account()
        self.view(tab, "names")
        tab.fill("#names-input", "paypa1@example.org")
        tab.see(".likes", "My bank")
        tab.see("#names-verdict", "looks like one of your contacts")
        tab.fill("#names-input", "paypal@example.org")
        tab.see("#names-verdict", "one of your contacts")
        tab.see(".likes", "It is your contact My bank")
        other = self.account("juliet")
        self.view(other, "names")
        other.fill("#names-input", "paypa1@example.org")
        other.see("#names-verdict", "looks like nobody you know")


class CreationTests(NamesCase):
    """Accounts that are made in the page."""

    def create(self, tab: Tab, name: str, password: str = "a secret", again: str | None = None) -> None:
        """Fill in the form."""
        for field, text in (("name", name), ("password", password), ("again", password if again is None else again)):
            tab.fill(f"#create-{field}", text)
        tab.press("Enter")

    @spec("mission", "M2")
    @spec("XEP-0077", "3.1.1")
    def test_create(self) -> None:
        """As a new user would: a name like another's is refused, and it is said why; another is taken."""
        tab = self.open()
        tab.wait("!document.getElementById('door').hidden")
        tab.click("#show-create")
        self.look(tab, "creation")
        self.create(tab, "paypa1")
        tab.see("#create-problem", "it looks like a name that is there already: paypal")
        self.look(tab, "refused")
        self.picture(tab, "create-light")
        self.create(tab, "p\u0430ypal")
        tab.see("#create-problem", "it mixes letters of several scripts")
        self.create(tab, "postmaster")
        tab.see("#create-problem", "reserved for those who run this server")
        self.create(tab, "paypal")
        tab.see("#create-problem", "There is an account by that name already")
        self.create(tab, "a b")
        tab.see("#create-problem", "can't be the name")
        self.create(tab, "mercutio", again="another secret")
        tab.see("#create-problem", "aren't the same")
        self.create(tab, "mercutio@elsewhere.example")
        tab.see("#create-problem", "at example.org only")
        self.create(tab, f"mercutio@{DOMAIN}")
        tab.wait("document.getElementById('state').dataset.state === 'online'")
        tab.see("#who-name", f"mercutio@{DOMAIN}")
        self.assertEqual(tab.run("document.getElementById('create-password').value"), "")
        tab.click("#leave")
        tab.wait("!document.getElementById('door').hidden")
        tab.click("#show-create")
        tab.click("#hide-create")
        tab.wait("!document.getElementById('account-form').hidden")


class ClosedTests(NamesCase):
    """Where nobody can register."""

    host = ""

    def test_closed(self) -> None:
        """Nothing is offered."""
        tab = self.open()
        tab.wait("!document.getElementById('door').hidden")
        self.assertTrue(tab.run("document.getElementById('create-offer').hidden"))


class DemoTests(SynchronousTestCase):
    """What somebody finds who starts the demo."""

    skip = missing()

    @spec("mission", "M2")
    def test_paypal(self) -> None:
        """The demo invites to register a name like one that is there, and the page says why that is refused."""
        folder = Path(tempfile.mkdtemp(prefix="xmppd-"))
        self.addCleanup(shutil.rmtree, folder, ignore_errors=True)
        command = [sys.executable, "-m", "xmppd", "demo", "--data", str(folder), "--port", "0"]
        environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
        process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True)
        self.addCleanup(process.wait)
        self.addCleanup(process.terminate)
        assert process.stdout is not None
        self.addCleanup(process.stdout.close)
        said = ""
        for line in process.stdout:
            said += line
            if "Ctrl-C" in line:
                break
        self.assertIn("paypa1 is refused", said)
        found = re.search(r"http://\S+/", said)
        assert found is not None, said
        browser = Browser()
        self.addCleanup(browser.close)
        tab = browser.open(found[0])
        tab.wait("!document.getElementById('door').hidden")
        tab.click("#show-create")
        for name, outcome in (("paypa1", "there already: paypal"), ("mercutio", "")):
            for field, text in (("name", name), ("password", "a secret"), ("again", "a secret")):
                tab.fill(f"#create-{field}", text)
            tab.press("Enter")
            if outcome:
                tab.see("#create-problem", outcome)
        tab.see("#who-name", "mercutio@example.org")
        self.assertEqual(tab.complaints, [])


class ContactTests(NamesCase):
    """Contacts, requests and warnings."""

    def register(self, name: str) -> Wire:
        """Somebody whose name looks like another's; only an administrator can do that."""
        self.daemon.ask("user add", jid=f"{name}@{DOMAIN}", password=name, anyway=True)
        return Wire(self.daemon, name)

    def roster(self, name: str = "romeo") -> dict[str, tuple[str, str]]:
        """What is in somebody's roster: name and subscription."""
        wire = Wire(self.daemon, name)
        wire.say("<iq type='get' id='q'><query xmlns='jabber:iq:roster'/></iq>")
        found = wire.expect(lambda element: element.get("id") == "q")
        wire.close()
        items: list[Element] = found.findall("{jabber:iq:roster}query/{jabber:iq:roster}item")
        return {str(each.get("jid")): (each.get("name") or "", each.get("subscription") or "") for each in items}

    @spec("mission", "M4")
    @spec("XEP-0165", "2.2")
    def test_contacts(self) -> None:
        """Contacts have names of the user's own, beside the address; they are added, renamed and removed."""
        tab = self.account()
        self.view(tab, "contacts")
        tab.see("#contact-list .handle", "My bank")
        tab.see("#contact-list .address", "paypal@example.org")
        tab.fill("#add-jid", f"nurse@{DOMAIN}")
        self.assertEqual(tab.run("document.getElementById('add-name').value"), "")
        self.assertFalse(tab.run("document.getElementById('add-form').checkValidity()"))
        tab.fill("#add-name", "My b\u0430nk")
        tab.press("Enter")
        tab.see("#add-problem", "can't be used")
        tab.see("#add-problem", "it looks like a name that is there already: My bank")
        tab.fill("#add-name", "Angelica")
        tab.press("Enter")
        tab.see("#contact-list .handle", "Angelica")
        tab.see("#contacts-say", "Angelica is among your contacts")
        tab.see("#contact-list .presence", "has not answered yet")
        tab.fill("#add-jid", f"paypa1@{DOMAIN}")
        tab.fill("#add-name", "Another bank")
        tab.press("Enter")
        tab.see("#add-warning", "It is not My bank")
        self.look(tab, "added")
        self.assertNotIn(f"paypa1@{DOMAIN}", self.roster())
        tab.click("#add-button")
        tab.see("#contact-list .handle", "Another bank")
        self.assertEqual(tab.text("#add-button"), "Add")
        tab.click("[aria-label='Rename Angelica']")
        tab.wait("document.activeElement.name === 'name'")
        tab.fill("#contact-list input", "Sun")
        tab.press("Enter")
        tab.see("#contact-list .problem", "can't be used")
        tab.fill("#contact-list input", "The nurse")
        tab.press("Enter")
        tab.see("#contact-list .handle", "The nurse")
        self.assertEqual(self.roster()[f"nurse@{DOMAIN}"], ("The nurse", "none"))
        tab.click("[aria-label='Remove The nurse']")
        tab.press("Enter")
        tab.wait("![...document.querySelectorAll('#contact-list .handle')].some((e) => e.innerText === 'The nurse')")
        self.assertNotIn(f"nurse@{DOMAIN}", self.roster())
        tab.click("[aria-label='Write My bank']")
        tab.see("#talk-title", "My bank")
        tab.see("#talk-subject", "paypal@example.org")

    @spec("mission", "M3", "M4", "M7")
    @spec("XEP-0165", "2.5")
    def test_requests(self) -> None:
        """Who asks is shown with the warning; an acceptance takes a name; a denial is sent."""
        tab = self.account()
        impostor, nurse = self.register("paypa1"), self.register("nurse")
        nick = "<nick xmlns='http://jabber.org/protocol/nick'>My bank</nick>"
        impostor.say(f"<presence type='subscribe' to='romeo@{DOMAIN}'><status>Your account is at risk.</status>{nick}</presence>")
        nurse.say(f"<presence type='subscribe' to='romeo@{DOMAIN}'/>")
        tab.see("#contacts-badge", "2")
        self.view(tab, "contacts")
        tab.see("#request-list .warning", "it looks like another address")
        tab.see("#request-list .warning", "It is not My bank (paypal@example.org)")
        tab.see("#request-list", "They call themselves “My bank”. Anybody can say so.")
        tab.see("#request-list", "Accept nevertheless")
        self.assertEqual(tab.run("[...document.querySelectorAll('#refusals li')].map((e) => e.innerText)"), [])
        self.assertEqual(tab.run("[...document.querySelectorAll('#request-list input')].map((e) => e.value)"), ["", ""])
        self.look(tab, "requests")
        self.picture(tab, "contacts-light")
        tab.reload()
        tab.see("#request-list .warning", "It is not My bank (paypal@example.org)")
        tab.run("[...document.querySelectorAll('#request-list button')].find((e) => e.innerText === 'Deny').click()")
        impostor.expect(lambda e: e.tag == f"{{{ns.CLIENT}}}presence" and e.get("type") == "unsubscribed")
        tab.see("#contacts-say", "paypa1@example.org is not among your contacts")
        tab.click("#request-list button[type=submit]")
        tab.see("#request-list .problem", "name of your own")
        tab.fill("#request-list input", "Nurse")
        tab.press("Enter")
        nurse.presence(f"romeo@{DOMAIN}", "subscribed")
        tab.see("#contact-list .handle", "Nurse")
        nurse.presence(f"romeo@{DOMAIN}", "subscribe")
        tab.click("[aria-label='Rename Nurse']")
        tab.fill("#contact-list input", "Nur")
        nurse.say(f"<presence type='subscribed' to='romeo@{DOMAIN}'/>")
        tab.see("#contact-list .presence", "online")
        tab.type("se!")  # where the caret was
        self.assertEqual(tab.run("document.querySelector('#contact-list input').value"), "Nurse!")
        tab.press("Enter")
        tab.see("#contact-list .handle", "Nurse!")
        tab.wait("document.getElementById('requests').hidden")
        self.assertEqual(self.roster()[f"nurse@{DOMAIN}"], ("Nurse!", "both"))
        for wire in (impostor, nurse):
            wire.close()

    @spec("mission", "M3")
    @spec("XEP-0165", "2.5")
    def test_messages(self) -> None:
        """A stranger's message bears the warning, in words; no headline comes besides."""
        tab = self.account()
        impostor = self.register("paypa1")
        self.view(tab, "names")
        impostor.say(f"<message type='chat' to='romeo@{DOMAIN}'><body>Please log in here …</body></message>")
        tab.see("#chats-badge", "1")
        self.view(tab, "chats")
        self.pick(tab, "paypa1@example.org")
        tab.see(".said .warning", "It is not My bank (paypal@example.org)")
        tab.see("#place-list", "careful")
        tab.see("#talk-title", "paypa1@example.org")
        self.assertEqual(tab.run("document.querySelectorAll('#place-list li').length"), 2)
        self.look(tab, "message")
        self.picture(tab, "warning-light")
        tab.reload()
        tab.see(".said .warning", "It is not My bank (paypal@example.org)")
        tab.click(".said .warning button")
        tab.see(".likes", "My bank")
        self.assertEqual(tab.run("document.getElementById('names-input').value"), "paypa1@example.org")
        self.view(tab, "chats")
        tab.click("#add-this")
        tab.wait("document.activeElement.id === 'add-name'")
        self.assertEqual(tab.run("['add-jid', 'add-name'].map((id) => document.getElementById(id).value)"), ["paypa1@example.org", ""])
        impostor.close()

    @spec("mission", "M2")
    def test_writing(self) -> None:
        """Whoever is about to write to a look-alike of a contact hears of it before; of others there is nothing to say."""
        tab = self.account()
        for jid, warned in ((f"nurse@{DOMAIN}", False), (f"paypa1@{DOMAIN}", True), (f"paypal@{DOMAIN}", False)):
            tab.fill("#write-jid", jid)
            tab.press("Enter")
            tab.wait(f"document.querySelector('#place-list [aria-current]')?.dataset.jid === '{jid}'")
            if warned:
                tab.see("#log .warning", "It is not My bank (paypal@example.org)")
            self.assertEqual(tab.run("document.querySelectorAll('#log .warning').length"), int(warned))
        self.look(tab, "writing")

    @spec("mission", "M3")
    def test_forged(self) -> None:
        """Nobody but the server warns."""
        tab = self.account()
        mark = f"<warning xmlns='{ns.NAMES}' jid='x@y'><reason>look-alike</reason></warning>"
        self.juliet.say(f"<message type='chat' to='romeo@{DOMAIN}'><body>Hello</body>{mark}</message>")
        self.pick(tab, f"juliet@{DOMAIN}")
        tab.see(".said .text", "Hello")
        self.assertEqual(tab.run("document.querySelectorAll('.warning').length"), 0)
        tab.see("#talk-title", "Sun")

    @spec("XEP-0392", "3.2", "3.3", "4")
    def test_colours(self) -> None:
        """A contact has the colour of the address, wherever it is seen; one can have other colours, or none."""
        tab = self.account()
        self.view(tab, "contacts")
        tab.see("#contact-list .handle", "My bank")
        disc = "getComputedStyle([...document.querySelectorAll('#contact-list .entry')].find((e) => e.innerText.includes('%s')).querySelector('.face')).backgroundColor"
        self.assertNotEqual(tab.run(disc % "paypal@"), tab.run(disc % "juliet@"))
        usual = tab.run(disc % "juliet@")
        tab.click("[aria-label='Write Sun']")
        tab.see("#talk-title", "Sun")
        self.assertEqual(tab.run("getComputedStyle(document.querySelector('#place-list [aria-current] .face')).backgroundColor"), usual)
        tab.click("#show-panel")
        for choice in ("off", "blue", "red-green", "usual"):
            tab.run(f"document.getElementById('vision').value = '{choice}'")
            tab.run("document.getElementById('vision').dispatchEvent(new Event('change'))")
            tab.wait("!!document.querySelector('#place-list [aria-current] .face')")
            self.look(tab, choice)
            now = tab.run("getComputedStyle(document.querySelector('#place-list [aria-current] .face')).backgroundColor")
            self.assertEqual(now == usual, choice == "usual", choice)
        tab.run("document.getElementById('vision').value = 'off'")
        tab.run("document.getElementById('vision').dispatchEvent(new Event('change'))")
        tab.reload()
        tab.wait("!!document.querySelector('#place-list [aria-current] .face')")
        self.assertEqual(tab.run("document.getElementById('vision').value"), "off")


class PetnameTests(NamesCase):
    """Where every contact wants a name of the user's own."""

    host = """[host."example.org".names]
handles = "refuse"
[features.xep0165_mimicry]
petnames = true"""

    @spec("mission", "M4", "M6")
    @spec("XEP-0165", "2.2", "2.4", "3")
    def test_alleged(self) -> None:
        """What others call somebody is told, with who has said it, and can't become the name of a contact."""
        tab = self.account()
        self.daemon.addAccount("nurse")
        nurse = Wire(self.daemon, "nurse")
        items = f"<x xmlns='http://jabber.org/protocol/rosterx'><item action='add' jid='nurse@{DOMAIN}' name='Angelica'/></x>"
        self.juliet.say(f"<message to='romeo@{DOMAIN}'><body>You need her.</body>{items}</message>")
        self.pick(tab, f"juliet@{DOMAIN}")
        tab.see(".said .text", "You need her.")
        nick = "<nick xmlns='http://jabber.org/protocol/nick'>Angie</nick>"
        nurse.say(f"<presence type='subscribe' to='romeo@{DOMAIN}'>{nick}</presence>")
        self.view(tab, "contacts")
        tab.see("#request-list", "They call themselves “Angie”.")
        tab.see("#request-list", "Sun has recommended them as “Angelica”.")
        for name in ("Angelica", "Angie"):
            tab.fill("#request-list input", name)
            tab.press("Enter")
            tab.see("#request-list .problem", "it isn't your own")
        tab.fill("#request-list input", "Nurse")
        tab.press("Enter")
        tab.see("#contact-list .handle", "Nurse")
        nurse.close()


class AccessTests(NamesCase):
    """For everybody: small screens, dark ones, keyboards."""

    def test_small(self) -> None:
        """Labels, contrast and reflow of all views, light and dark, from 320 pixels up (WCAG 2.2, 1.3.1, 1.4.3, 1.4.10)."""
        for dark in (False, True):
            shade = "dark" if dark else "light"
            tab = self.open(dark=dark)
            tab.wait("!document.getElementById('door').hidden")
            tab.resize(320, 640)
            tab.click("#show-create")
            self.look(tab, f"creation, {shade}")
            tab.click("#hide-create")
            tab.fill("#account-jid", "romeo")
            tab.fill("#account-password", "romeo")
            tab.press("Enter")
            tab.wait("document.getElementById('state').dataset.state === 'online'")
            self.juliet.say(f"<message type='chat' to='romeo@{DOMAIN}'><body>Hello {shade}</body></message>")
            self.pick(tab, f"juliet@{DOMAIN}")
            tab.see(".said .text", f"Hello {shade}")
            self.look(tab, f"chat, {shade}")
            self.view(tab, "contacts")
            tab.see("#contact-list", "My bank")
            self.look(tab, f"contacts, {shade}")
            if dark:
                self.picture(tab, f"contacts-phone-{shade}")
            tab.click("[aria-label='Rename My bank']")
            self.look(tab, f"renaming, {shade}")
            self.view(tab, "names")
            tab.fill("#names-input", "p\u0430ypa1@example.org")
            tab.see(".likes", "My bank")
            self.look(tab, f"names, {shade}")
            if dark:
                self.picture(tab, f"names-phone-{shade}")
            tab.resize(1000, 760)
            self.look(tab, f"names, wide, {shade}")
            self.view(tab, "chats")
            tab.resize(320, 640)
            tab.click("#show-places")
            box = tab.run("(() => { const b = document.getElementById('places').getBoundingClientRect(); return [b.top, document.querySelector('.bar').getBoundingClientRect().bottom]; })()")
            self.assertLessEqual(abs(box[0] - box[1]), 8, "the list begins below the bar")
            tab.press("Escape")
            tab.click("#leave")

    def test_keyboard(self) -> None:
        """From view to view, and about in them, without a mouse (WCAG 2.2, 2.1.1 and 2.4.3)."""
        tab = self.account()
        tab.run("document.querySelector('#views [data-view=contacts]').focus()")
        tab.press("Enter")
        tab.see("#contact-list .handle", "My bank")
        passed = []
        for _ in range(12):
            tab.press("Tab")
            passed.append(tab.run("document.activeElement.getAttribute('aria-label') || document.activeElement.id || document.activeElement.innerText"))
        self.assertIn("Rename My bank", passed)
        self.assertIn("add-name", passed)
        tab.run("document.querySelector('[aria-label=\"Rename My bank\"]').focus()")
        tab.press("Enter")
        tab.wait("document.activeElement.name === 'name'")
        tab.press("Tab")
        tab.press("Tab")
        tab.press("Enter")
        self.assertEqual(tab.run("document.activeElement.getAttribute('aria-label')"), "Rename My bank")
        self.assertTrue(re.search("role=.status", tab.run("document.getElementById('names-verdict').outerHTML")))
        self.assertEqual(tab.run("document.querySelector('#views [aria-current=page]').dataset.view"), "contacts")
