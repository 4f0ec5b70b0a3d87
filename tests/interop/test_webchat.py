"""
The chat in web pages, in a real browser without a screen, against a whole server; with somebody over TCP to talk to.

Every test also looks at what the page complains about: nothing may be written to its console as an error, thrown, or
blocked by its own policy. C{XMPPD_PICTURES} names a folder for the pictures that are in the documentation.
"""

from __future__ import annotations

import contextlib
import functools
import http.server
import json
import os
import re
import shutil
import socket
import sqlite3
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from tests.interop.chromium import Browser, Tab, missing
from tests.interop.daemon import DOMAIN, ROOT, Daemon, mistakes
from tests.interop.png import shrunk
from tests.interop.wire import Wire
from tests.marks import spec

LOBBY = f"lobby@rooms.{DOMAIN}"
OCCUPANT = "{urn:xmpp:occupant-id:0}occupant-id"
AFFILIATION = "{urn:xmpp:raa:0}info"

CONFIGURATION = """\
data = "data"
[listen]
c2s = ["tcp:{port}:interface=127.0.0.1"]
c2s_tls = ["tcp:{tlsPort}:interface=127.0.0.1"]
http = ["tcp:WEB:interface=127.0.0.1"]
https = ["tcp:0:interface=127.0.0.1"]
[web]
chat = true
chat_room = "lobby@rooms.example.org"
origins = ["http://127.0.0.1:WEB", "http://localhost:SITE"]
proxies = []
[tls]
certificates = "certs"
[log]
file = "log"
[limits]
LIMITS
[host."example.org"]
guests = "public"
HOST
[rooms."rooms.example.org"]
logging = false
"""

EMBEDDING = """<!doctype html><html lang="en"><title>A shop</title><h1>A shop</h1>
<script type="module" src="http://127.0.0.1:{web}/widget.js" data-room="{room}" data-open></script>"""

NAMED = """
[...document.querySelectorAll("button, input, textarea, select, a[href], iframe, [role=log], [role=region], nav, aside")]
  .filter((e) => e.getClientRects().length)
  .filter((e) => {
    const by = (e.getAttribute("aria-labelledby") || "").split(" ").map((id) => document.getElementById(id)?.textContent || "").join("");
    const label = e.labels?.length ? [...e.labels].map((l) => l.textContent).join("") : "";
    const name = e.getAttribute("aria-label") || by || label || e.title || (["BUTTON", "A"].includes(e.tagName) ? e.textContent : "");
    return !name.trim();
  })
  .map((e) => e.outerHTML.slice(0, 120))
"""
"""What a screen reader would have no name for."""

CONTRAST = """
(() => {
  const parse = (c) => { const m = c.match(/[\\d.]+/g).map(Number); return m.length < 4 ? [...m, 1] : m; };
  const over = (a, b) => [0, 1, 2].map((i) => a[i] * a[3] + b[i] * (1 - a[3])).concat(1);
  const ground = (e) => {
    const layers = [];
    for (let n = e; n; n = n.parentElement) layers.push(parse(getComputedStyle(n).backgroundColor));
    const base = matchMedia("(prefers-color-scheme: dark)").matches ? [18, 18, 18, 1] : [255, 255, 255, 1];
    return layers.reduceRight((below, layer) => over(layer, below), base);
  };
  const light = (c) => {
    const [r, g, b] = c.slice(0, 3).map((v) => v / 255).map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const found = [];
  for (const e of document.querySelectorAll("body *")) {
    const own = [...e.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim());
    if (!(own || ["INPUT", "TEXTAREA"].includes(e.tagName)) || !e.getClientRects().length || e.closest(".unseen, .skip")) continue;
    const behind = ground(e);
    const colours = [getComputedStyle(e).color];
    if ("placeholder" in e) colours.push(getComputedStyle(e, "::placeholder").color);
    for (const colour of colours) {
      const [one, other] = [light(over(parse(colour), behind)), light(behind)];
      const ratio = (Math.max(one, other) + 0.05) / (Math.min(one, other) + 0.05);
      if (ratio < 4.5) found.push(`${ratio.toFixed(2)} ${colour} on ${behind} ${e.outerHTML.slice(0, 80)}`);
    }
  }
  return found;
})()
"""
"""Texts that are hard to read: WCAG 2.2, 1.4.3."""

TWICE = """
[...document.querySelectorAll("[id]")].map((e) => e.id).filter((id, index, all) => all.indexOf(id) !== index)
"""
"""Ids that are there more than once."""

LEVELS = "[...document.querySelectorAll('h1, h2, h3')].filter((e) => e.getClientRects().length).map((e) => e.tagName)"


def freePorts(count: int) -> list[int]:
    """Ports that nobody has; a page's origin has to be configured before the server listens."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


class Silent(http.server.SimpleHTTPRequestHandler):
    """A web server that says nothing of its requests."""

    def log_message(self, format: str, *arguments: Any) -> None:
        """Nothing."""


class Forwarding:
    """
    A way to a port of this machine that can be cut.

    @ivar broken: whether connections lead nowhere.
    """

    def __init__(self, port: int, to: int) -> None:
        self.broken = False
        self._to = to
        self._open: list[socket.socket] = []
        self._listening = socket.create_server(("127.0.0.1", port))
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listening.accept()
            except OSError:
                return
            if self.broken:
                client.close()
                continue
            server = socket.create_connection(("127.0.0.1", self._to))
            self._open += [client, server]
            for source, target in ((client, server), (server, client)):
                threading.Thread(target=self._pass, args=(source, target), daemon=True).start()

    def _pass(self, source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                target.sendall(data)
        for each in (source, target):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def cut(self) -> None:
        """End all connections, without a word."""
        for each in self._open:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()
        self._open.clear()

    def close(self) -> None:
        """Take no more."""
        self._listening.close()
        self.cut()


class WebChatTestCase(SynchronousTestCase):
    """
    A server with the chat, and a browser.

    @ivar page: the chat's address.
    @ivar expected: what the page may complain about.
    @ivar host: more of the host's configuration.
    """

    skip = missing()
    maxDiff = None
    expected: tuple[str, ...] = ()
    flags: tuple[str, ...] = ()
    limits = ""
    host = ""

    def setUp(self) -> None:
        """Start both; Juliet is in the lobby."""
        folder = Path(tempfile.mkdtemp(prefix="xmppd-"))
        self.addCleanup(shutil.rmtree, folder, ignore_errors=True)
        self.web, self.site = freePorts(2)
        self.page = f"http://127.0.0.1:{self.web}/"
        text = CONFIGURATION.replace("WEB", str(self.web)).replace("SITE", str(self.site)).replace("LIMITS", self.limits)
        text = text.replace("HOST", self.host)
        self.daemon = Daemon(folder, text)
        self.addCleanup(self.daemon.kill)
        self.daemon.start()
        self.addCleanup(self.end)
        for name in ("romeo", "juliet"):
            self.daemon.addAccount(name)
        self.juliet = Wire(self.daemon, "juliet")
        self.addCleanup(self.juliet.close)
        self.enterLobby()
        self.tabs: list[Tab] = []
        self.browser = Browser(*self.flags)
        self.addCleanup(self.browser.close)
        self.addCleanup(self.complain)

    def enterLobby(self) -> None:
        """Juliet makes the lobby, and makes it stay."""
        muc = "http://jabber.org/protocol/muc"
        self.juliet.say(f"<presence to='{LOBBY}/Juliet'><x xmlns='{muc}'/></presence>")
        self.juliet.presence(f"{LOBBY}/Juliet")
        field = "<field var='muc#roomconfig_persistentroom'><value>1</value></field>"
        kind = f"<field var='FORM_TYPE' type='hidden'><value>{muc}#roomconfig</value></field>"
        form = f"<query xmlns='{muc}#owner'><x xmlns='jabber:x:data' type='submit'>{kind}{field}</x></query>"
        self.juliet.say(f"<iq type='set' id='o' to='{LOBBY}'>{form}</iq>")
        self.juliet.expect(lambda element: element.get("id") == "o" and element.get("type") == "result")

    def complain(self) -> None:
        """No page may have complained."""
        found = [each for tab in self.tabs for each in tab.complaints]
        self.assertEqual([each for each in found if not any(text in each for text in self.expected)], [])

    def end(self) -> None:
        """The server ends well, and has made no mistake."""
        status = self.daemon.stop() if self.daemon.alive else self.daemon.status
        self.assertEqual((status, mistakes(self.daemon.written(), ("authentication failed",))), (0, []))

    def open(self, url: str | None = None, **named: Any) -> Tab:
        """The page in a new tab."""
        tab = self.browser.open(url or self.page, **named)
        self.tabs.append(tab)
        return tab

    def comeIn(self, nick: str, tab: Tab | None = None, **named: Any) -> Tab:
        """A guest in the lobby."""
        tab = tab or self.open(**named)
        tab.wait("!document.getElementById('door').hidden")
        tab.fill("#guest-nick", nick)
        tab.click("#guest-form button")
        tab.see(".event", f"You are in, as {nick}")
        return tab

    def logIn(self, name: str, password: str | None = None, **named: Any) -> Tab:
        """Log in with an account."""
        tab = self.open(**named)
        tab.wait("!document.getElementById('door').hidden")
        tab.fill("#account-jid", f"{name}@{DOMAIN}")
        tab.fill("#account-password", password or name)
        tab.click("#account-form button")
        return tab

    def say(self, tab: Tab, text: str) -> None:
        """Write a message."""
        tab.fill("#message", text)
        tab.press("Enter")

    def kept(self, tab: Tab) -> dict[str, Any]:
        """What the page has kept."""
        found: dict[str, Any] = tab.run("JSON.parse(sessionStorage.getItem('xmppd-chat:page'))")
        return found

    def picture(self, tab: Tab, name: str) -> None:
        """Keep a picture, if somebody wants it."""
        folder = os.environ.get("XMPPD_PICTURES")
        if folder:
            tab.run("Promise.allSettled(document.getAnimations().map((each) => each.finished)).then(() => true)")
            file = ROOT / folder / f"webchat-{name}.png"
            tab.picture(file)
            file.write_bytes(shrunk(file.read_bytes()))

    def rows(self) -> dict[str, list[Any]]:
        """Everything in the database."""
        path = self.daemon.folder / "data" / "xmppd.sqlite"
        with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as database:
            names = [name for (name,) in database.execute("select name from sqlite_master where type = 'table'")]
            return {name: sorted(map(repr, database.execute(f'select * from "{name}"'))) for name in names}


class GuestTests(WebChatTestCase):
    """A guest's visit."""

    @spec("mission", "A2", "A7", "A12", "A13")
    @spec("RFC 7395", "3.6")
    def test_visit(self) -> None:
        """A guest comes, talks, loads the page again, is still the same occupant, and goes without a trace."""
        before = self.rows()
        tab = self.comeIn("Wanderer")
        came = self.juliet.presence(f"{LOBBY}/Wanderer")
        self.assertEqual(came.find(AFFILIATION).get("affiliation"), "anonymous")  # type: ignore[union-attr]
        occupant = came.find(OCCUPANT).get("id")  # type: ignore[union-attr]
        self.say(tab, "Good <b>day</b> & \"so on\" \U0001f642")
        self.juliet.body("Good <b>day</b> & \"so on\" \U0001f642")
        self.juliet.say(f"<message to='{LOBBY}' type='groupchat'><body>Who is &lt;there&gt;?</body></message>")
        tab.see(".said .text", "Who is <there>?")
        tab.see(".said .tag", "guest")
        tab.wait("!document.querySelector('.fate')")
        jid = self.kept(tab)["jid"]
        self.assertRegex(jid, rf"^[0-9a-f-]{{36}}@{DOMAIN}/.")
        heard = len(self.juliet.heard)
        for time_ in ("once", "2 times", "3 times"):
            tab.reload()
            tab.wait("document.getElementById('state').dataset.state === 'online'")
            tab.click("#show-panel")
            tab.see("#facts", time_)
            tab.click("#hide-panel")
            tab.see(".said .text", "Who is <there>?")
            self.assertEqual(self.kept(tab)["jid"], jid)
        self.say(tab, "Still me.")
        said = self.juliet.body("Still me.")
        self.assertEqual(said.find(OCCUPANT).get("id"), occupant)  # type: ignore[union-attr]
        self.assertEqual([each.tag for each in self.juliet.heard[heard:] if each.tag.endswith("presence")], [])
        tab.click("#leave")
        self.juliet.presence(f"{LOBBY}/Wanderer", "unavailable")
        tab.see("#door", "Come in as a guest")
        self.assertIsNone(tab.run("sessionStorage.getItem('xmppd-chat:page')"))
        self.gone(jid)
        self.assertEqual(self.rows(), before)

    def gone(self, jid: str) -> None:
        """Nothing is left of a session."""
        until = time.monotonic() + 20
        while any(each.get("jid") == jid for each in self.daemon.streams()):
            self.assertLess(time.monotonic(), until, "the session is still there")
            time.sleep(0.1)

    @spec("mission", "A12")
    def test_missed(self) -> None:
        """What is said while the page is loaded again is there afterwards, once."""
        tab = self.comeIn("Wanderer")
        self.juliet.presence(f"{LOBBY}/Wanderer")
        for turn in range(3):
            tab.go("about:blank")
            self.juliet.say(f"<message to='{LOBBY}' type='groupchat'><body>missed {turn}</body></message>")
            self.juliet.body(f"missed {turn}")
            tab.go(self.page)
            tab.see(".said .text", f"missed {turn}")
        texts = tab.run("[...document.querySelectorAll('.said .text')].map((e) => e.innerText)")
        self.assertEqual(texts, [f"missed {turn}" for turn in range(3)])
        self.assertEqual([e for e in self.juliet.heard if e.get("type") == "unavailable"], [])

    @spec("mission", "A12")
    def test_tabs(self) -> None:
        """Several tabs are several guests, also one that was made as a copy of another."""
        first = self.comeIn("First")
        jid = self.kept(first)["jid"]
        second = self.browser.openIn(first.context, self.page)
        self.tabs.append(second)
        self.comeIn("Second", second)
        self.assertNotEqual(self.kept(second)["jid"], jid)
        copy = self.browser.openIn(first.context, "about:blank")
        self.tabs.append(copy)
        copy.go(self.page)
        stolen = first.run("sessionStorage.getItem('xmppd-chat:page')")
        copy.run(f"sessionStorage.setItem('xmppd-chat:page', {stolen!r})")
        copy.reload()
        copy.see("#door", "Come in as a guest")
        self.say(first, "I am still here.")
        self.juliet.body("I am still here.")
        self.assertEqual(self.kept(first)["jid"], jid)

    def test_noNickname(self) -> None:
        """Blanks are no nickname."""
        tab = self.open()
        tab.wait("!document.getElementById('door').hidden")
        tab.fill("#guest-nick", "  ")
        tab.click("#guest-form button")
        tab.see("#door-problem", "Choose a nickname")

    def test_otherVersion(self) -> None:
        """What another version of the page has kept is of no use, and does no harm."""
        tab = self.open()
        tab.wait("!document.getElementById('door').hidden")
        tab.run("sessionStorage.setItem('xmppd-chat:page', JSON.stringify({ version: 0, agent: 'x', rooms: 7 }))")
        tab.reload()
        self.comeIn("Wanderer", tab)

    def test_insecure(self) -> None:
        """Where the browser has no cryptography the page says what to do about it."""
        self.browser.close()
        self.browser = Browser(f"--host-resolver-rules=MAP {DOMAIN} 127.0.0.1")
        self.addCleanup(self.browser.close)
        tab = self.open(f"http://{DOMAIN}:{self.web}/")
        self.expected = ("Cross-Origin-Opener-Policy",)
        tab.see("#door-problem", "open it by https")

    def test_conflict(self) -> None:
        """A nickname that is taken is explained, and another can be tried."""
        tab = self.open()
        tab.wait("!document.getElementById('door').hidden")
        tab.fill("#guest-nick", "Juliet")
        tab.click("#guest-form button")
        tab.see("#again-why", "The nickname Juliet is taken")
        tab.fill("#again-nick", "Nurse")
        tab.click("#again-form button")
        tab.see(".event", "You are in, as Nurse")
        tab.fill("#new-nick", "Angelica")
        tab.press("Enter")
        self.juliet.presence(f"{LOBBY}/Angelica")
        tab.see("#people-list", "Angelica (you)")

    def test_restart(self) -> None:
        """A server that is started again knows no guest any more, and the page says so."""
        self.expected = ("WebSocket connection to", "ERR_CONNECTION_REFUSED")
        tab = self.comeIn("Wanderer")
        self.daemon.stop()
        tab.wait("document.getElementById('state').dataset.state === 'waiting'")
        self.daemon.start()
        tab.see("#door-problem", "no longer a guest")


class ClosedTabTests(WebChatTestCase):
    """A tab that is closed."""

    limits = "management_seconds = 3"

    @spec("mission", "A7", "A12")
    def test_closed(self) -> None:
        """It is a guest who goes once nobody can come back any more, and leaves nothing."""
        before = self.rows()
        tab = self.comeIn("Wanderer")
        self.juliet.presence(f"{LOBBY}/Wanderer")
        self.assertLessEqual(self.kept(tab)["management"]["seconds"], 60)
        tab.close()
        self.tabs.remove(tab)
        self.juliet.presence(f"{LOBBY}/Wanderer", "unavailable")
        self.assertEqual(self.rows(), before)


class CutTests(WebChatTestCase):
    """A connection that is lost under the page."""

    @spec("XEP-0198", "5")
    def test_cut(self) -> None:
        """The page comes back by itself; what was said meanwhile on either side arrives, once and in order."""
        self.expected = ("WebSocket connection to",)
        line = Forwarding(self.site, self.web)
        self.addCleanup(line.close)
        tab = self.comeIn("Wanderer", self.open(f"http://localhost:{self.site}/"))
        jid = self.kept(tab)["jid"]
        for turn in range(3):
            line.broken = True
            line.cut()
            tab.wait("document.getElementById('state').dataset.state !== 'online'")
            self.say(tab, f"mine {turn}")
            self.juliet.say(f"<message to='{LOBBY}' type='groupchat'><body>hers {turn}</body></message>")
            line.broken = False
            self.juliet.body(f"mine {turn}")
            tab.see(".said .text", f"hers {turn}")
        tab.wait("!document.querySelector('.fate')")
        self.assertEqual(self.kept(tab)["jid"], jid)
        texts = tab.run("[...document.querySelectorAll('.said .text')].map((e) => e.innerText)")
        self.assertEqual(sorted(texts), sorted([f"mine {n}" for n in range(3)] + [f"hers {n}" for n in range(3)]))
        said = [e.findtext("{jabber:client}body") or "" for e in self.juliet.heard]
        self.assertEqual([each for each in said if each.startswith("mine")], [f"mine {n}" for n in range(3)])
        self.assertEqual([e for e in self.juliet.heard if e.get("type") == "unavailable"], [])


class ModuleTests(WebChatTestCase):
    """The page's modules by themselves."""

    def play(self, script: str) -> Any:
        """The value of the body of a function that imports modules."""
        tab = self.open()
        tab.wait("!document.getElementById('door').hidden")
        return tab.run(f"(async () => {{ const load = (name) => import(`/chat/${{name}}.js`); {script} }})()")

    @spec("RFC 7677", "3")
    def test_scram(self) -> None:
        """The example of the specification; and a server that can't prove anything."""
        said = self.play("""
            const { Scram } = await load("sasl"), encoder = new TextEncoder(), decoder = new TextDecoder();
            const scram = new Scram("user", "pencil", "rOprNGfwEbeRWgbNEkqO");
            const first = decoder.decode(await scram.first());
            const nonce = "rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0";
            const last = decoder.decode(await scram.next(encoder.encode(`r=${nonce},s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096`)));
            const good = await scram.finish(encoder.encode("v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=")).then(() => "good");
            const bad = [];
            for (const proof of ["v=7rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=", "", "e=other-error"]) {
              bad.push(await scram.finish(encoder.encode(proof)).then(() => "good", (error) => error.condition));
            }
            for (const challenge of [`r=${nonce},s=AAAA,i=4095`, "r=other,s=AAAA,i=4096", `m=x,r=${nonce},s=AAAA,i=4096`]) {
              const other = new Scram("user", "pencil", "rOprNGfwEbeRWgbNEkqO");
              await other.first();
              bad.push(await other.next(encoder.encode(challenge)).then(() => "good", (error) => error.condition));
            }
            return [first, last, good, bad];
        """)
        first, last, good, bad = said
        self.assertEqual(first, "n,,n=user,r=rOprNGfwEbeRWgbNEkqO")
        self.assertEqual(last.partition(",p=")[2], "dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=")
        self.assertEqual(good, "good")
        self.assertEqual(bad, ["not-authorized"] * 3 + ["malformed-request"] * 3)

    @spec("RFC 6120", "6.4", "7.6")
    def test_older(self) -> None:
        """A server that has only the older profile of SASL."""
        for who, mechanism in (("{kind: 'guest'}", "ANONYMOUS"), ("{kind: 'account', username: 'romeo', password: 'romeo'}", "SCRAM-SHA-256")):
            said = self.play(f"""
                const {{ Connection }} = await load("connection"), {{ logIn }} = await load("login");
                class Older extends Connection {{
                  async open(domain) {{
                    const features = await super.open(domain);
                    [...features.children].find((each) => each.localName === "authentication")?.remove();
                    return features;
                  }}
                }}
                const connection = new Older(location.href.replace("http", "ws") + "xmpp-websocket");
                await connection.connect();
                const entry = await logIn(connection, "{DOMAIN}", {who}, crypto.randomUUID());
                connection.close();
                return [entry.jid, entry.profile, entry.mechanism, Boolean(entry.management.id)];
            """)
            self.assertIn(f"@{DOMAIN}/", said[0])
            self.assertEqual(said[1:], ["SASL", mechanism, True])

    @spec("XEP-0045", "7.2.14")
    def test_history(self) -> None:
        """What is in the history and here already is shown once; what was thought lost was not."""
        said = self.play(r"""
            const { Room } = await load("rooms"), { parse } = await load("xml");
            const room = Object.assign(new Room("r@x", "Me"), { state: "in", id: "mine" });
            const message = (nick, id, body, more = "") => room.message(parse(`<message xmlns='jabber:client' type='groupchat'
              from='r@x/${nick}' ${id && `id='${id}'`}><body>${body}</body>${more}</message>`));
            const past = "<delay xmlns='urn:xmpp:delay' stamp='2026-01-01T00:00:00Z'/>";
            const own = "<occupant-id xmlns='urn:xmpp:occupant-id:0' id='mine'/>";
            const forged = "<occupant-id xmlns='urn:xmpp:occupant-id:0' id='other'/>";
            room.saying("one", "a"); room.saying("two", "b"); room.saying("three", "c");
            message("Me", "a", "one", own);
            room.refused("b", "lost");
            message("You", "d", "hi");
            const asked = /seconds="[3-5]"/.test(String(room.joining()));
            message("Me", "a", "one", own + past); message("Me", "b", "two", own + past); message("You", "d", "hi", past);
            message("You", "d", "hi"); message("You", "", "hi", past); message("Me", "c", "three", forged);
            return [asked, room.lines.map((line) => [line.text, line.own, line.pending, line.refused])];
        """)
        self.assertTrue(said[0])
        self.assertEqual(said[1], [
            ["one", True, False, ""], ["two", True, False, ""], ["three", True, True, ""], ["hi", False, False, ""],
            ["hi", False, False, ""], ["hi", False, False, ""], ["three", False, False, ""],
        ])

    def test_xml(self) -> None:
        """What is written can be read, whatever is in it; and characters that XML can't hold are left out."""
        said = self.play(r"""
            const { x, parse, textOf } = await load("xml");
            const odd = "<b a='1'>&amp;\t\n\"'\u0000\ud800\uffff\u{1f642}]]>";
            const read = parse(String(x("a", { xmlns: "urn:x", odd, none: null }, x("c", {}, odd), false, null)));
            return [read.getAttribute("odd"), textOf(read, "c"), read.hasAttribute("none"), read.children.length];
        """)
        kept = "<b a='1'>&amp;\t\n\"'\ufffd\U0001f642]]>"
        self.assertEqual(said, [kept, kept, False, 1])


class AccountTests(WebChatTestCase):
    """Somebody with an account."""

    @spec("XEP-0388", "2.3")
    def test_chat(self) -> None:
        """Romeo logs in by SCRAM and talks to Juliet, before and after he has loaded the page again."""
        tab = self.logIn("romeo")
        tab.see("#who-name", f"romeo@{DOMAIN}")
        tab.click("#show-panel")
        tab.see("#facts", "SCRAM-SHA-256 (SASL2)")
        tab.click("#hide-panel")
        tab.fill("#write-jid", "juliet")
        tab.press("Enter")
        self.say(tab, "But soft!\nWhat light?")
        said = self.juliet.body("But soft!\nWhat light?")
        romeo = said.get("from")
        self.juliet.say(f"<message to='{romeo}' type='chat'><body>Ay me!</body></message>")
        tab.see(".said .text", "Ay me!")
        tab.reload()
        tab.see(".said .text", "Ay me!")
        self.say(tab, "O, speak again")
        self.assertEqual(self.juliet.body("O, speak again").get("from"), romeo)
        tab.click("#leave")
        tab.see("#door", "Log in")
        self.assertEqual(tab.run("document.getElementById('account-password').value"), "")

    @spec("XEP-0484", "3.6")
    def test_leaving(self) -> None:
        """Whoever leaves takes the token back: what the tab has kept until then is of no use to anybody."""
        tab = self.logIn("romeo")
        tab.see(".event", "You are in")
        tab.wait("sessionStorage.getItem('xmppd-chat:page')")
        kept = self.kept(tab)
        self.assertTrue(kept["token"])
        self.assertEqual(len(self.kinds()), 1)
        tab.click("#leave")
        tab.see("#door", "Log in")
        until = time.monotonic() + 20
        while self.kinds():
            self.assertLess(time.monotonic(), until, "the token is still there")
            time.sleep(0.1)
        tab.run(f"sessionStorage.setItem('xmppd-chat:page', {json.dumps(json.dumps(kept))})")
        tab.reload()
        tab.see("#door-problem", "Name or password are wrong")

    def kinds(self) -> list[str]:
        """The tokens in the database."""
        return [each for rows in self.rows().values() for each in rows if "fast" in each and "romeo" in each]

    def test_wrongPassword(self) -> None:
        """A wrong password is told, and the next try works."""
        tab = self.logIn("romeo", "juliet")
        tab.see("#door-problem", "Name or password are wrong")
        tab.fill("#account-password", "romeo")
        tab.press("Enter")
        tab.see("#who-name", f"romeo@{DOMAIN}")

    def test_carbons(self) -> None:
        """What another client of the same account says is seen."""
        tab = self.logIn("romeo")
        tab.see("#who-name", f"romeo@{DOMAIN}")
        other = Wire(self.daemon, "romeo")
        self.addCleanup(other.close)
        other.say(f"<message to='{self.juliet.jid}' type='chat'><body>From elsewhere</body></message>")
        tab.click(f"[data-jid='juliet@{DOMAIN}']")
        tab.see(".said.own .text", "From elsewhere")


class EncryptedTests(WebChatTestCase):
    """The page by HTTPS, at the name of the domain; which is on this machine, with a certificate that nobody knows."""

    flags = (f"--host-resolver-rules=MAP {DOMAIN} 127.0.0.1", "--ignore-certificate-errors")

    def test_encrypted(self) -> None:
        """The page tells what TLS it came with; its policy lets it connect."""
        ports = {each["option"]: each["address"].rpartition(":")[2] for each in self.daemon.ask("status")["ports"]}
        tab = self.comeIn("Wanderer", self.open(f"https://{DOMAIN}:{ports['listen.https']}/"))
        tab.click("#show-panel")
        tab.see("#facts", "TLSv1.3")
        jid = self.kept(tab)["jid"]
        tab.reload()
        tab.wait("document.getElementById('state').dataset.state === 'online'")
        self.assertEqual(self.kept(tab)["jid"], jid)


class RefusalTests(WebChatTestCase):
    """What the server refuses."""

    @spec("mission", "A6", "A9")
    def test_refused(self) -> None:
        """Another server is out of reach, and too much is too much: said in words, and kept in the list."""
        tab = self.comeIn("Wanderer")
        tab.fill("#write-jid", "somebody@elsewhere.example")
        tab.press("Enter")
        self.say(tab, "Hello?")
        tab.see("#notice", "The rules of this server forbid it")
        tab.see(".said.refused .why", "Not delivered")
        tab.click(f"[data-jid='{LOBBY}']")
        tab.run(
            "(() => { const m = document.getElementById('message'); for (let i = 0; i < 90; i++) {"
            " m.value = `${i}`; document.getElementById('composer').requestSubmit(); } })()"
        )
        tab.see(".said.refused .why", "too much at once")
        tab.click("#show-panel")
        tab.see("#refusals", "too-many-stanzas")
        tab.see("#refusals", "policy-violation")
        tab.reload()
        tab.click("#show-panel")
        tab.see("#refusals", "policy-violation")

    def test_noSuchRoom(self) -> None:
        """A room that isn't there can't be made by guests."""
        tab = self.comeIn("Wanderer")
        tab.fill("#join-room", "nowhere")
        tab.press("Enter")
        tab.see("#again-why", "no such room, and you may not make one")


class WidgetTests(WebChatTestCase):
    """The chat in somebody else's page."""

    def serve(self) -> str:
        """A web server of another origin, with a page that has the widget."""
        folder = Path(tempfile.mkdtemp(prefix="xmppd-"))
        self.addCleanup(shutil.rmtree, folder, ignore_errors=True)
        (folder / "index.html").write_text(EMBEDDING.format(web=self.web, room=LOBBY))
        (folder / "favicon.ico").write_bytes(b"")
        handler = functools.partial(Silent, directory=str(folder))
        server = http.server.ThreadingHTTPServer(("127.0.0.1", self.site), handler)
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        self.addCleanup(server.server_close)
        self.addCleanup(server.shutdown)
        return f"http://localhost:{self.site}/"

    def test_otherOrigin(self) -> None:
        """A page of a listed origin has the chat; it can't look into it. One of another origin has not."""
        url = self.serve()
        tab = self.open(url)
        frame = tab.frame()
        frame.wait("document.getElementById('door') && !document.getElementById('door').hidden")
        self.assertTrue(frame.run("document.getElementById('account-form').hidden"))
        self.assertEqual(tab.run("document.querySelector('iframe').contentDocument"), None)
        frame.run("document.getElementById('guest-nick').value = 'Visitor'")
        frame.run("document.getElementById('guest-form').requestSubmit()")
        self.juliet.presence(f"{LOBBY}/Visitor")
        frame.wait("document.getElementById('log').innerText.includes('You are in')")
        stranger = self.open(url.replace("localhost", "127.0.0.1"))
        self.expected = ("frame-ancestors", "FrameAncestors", "Content Security Policy", "ERR_BLOCKED")
        until = time.monotonic() + 20
        while not any("frame-ancestors" in each for each in stranger.complaints):
            self.assertLess(time.monotonic(), until, stranger.complaints)
            stranger.run("1")
            time.sleep(0.1)

    def test_demo(self) -> None:
        """The page that shows the widget."""
        tab = self.open(f"{self.page}widget-demo.html")
        tab.click("button[aria-expanded=false]")
        inner = "document.querySelector('iframe').contentDocument"
        tab.wait(f"{inner}.getElementById('door') && !{inner}.getElementById('door').hidden")
        self.assertEqual(tab.run(NAMED), [])
        tab.run(f"{inner}.getElementById('guest-nick').value = 'Visitor'")
        tab.run(f"{inner}.getElementById('guest-form').requestSubmit()")
        tab.wait(f"{inner}.getElementById('log').innerText.includes('You are in')")
        self.juliet.say(f"<message to='{LOBBY}' type='groupchat'><body>Hello! How can we help?</body></message>")
        tab.wait(f"{inner}.getElementById('log').innerText.includes('How can we help')")
        tab.run(f"Promise.allSettled({inner}.getAnimations().map((each) => each.finished)).then(() => true)")
        self.picture(tab, "widget")


class AccessTests(WebChatTestCase):
    """For everybody: by keyboard, by ear, with little sight, on small screens."""

    def focus(self, tab: Tab) -> str:
        """Where the focus is; it has to be seen."""
        seen = tab.run(
            "(() => { const e = document.activeElement, s = getComputedStyle(e);"
            " return [e.id || e.title || e.tagName, s.outlineStyle !== 'none' && parseFloat(s.outlineWidth) >= 2]; })()"
        )
        if seen[0] not in ("BODY", "main"):
            self.assertTrue(seen[1], f"the focus on {seen[0]} can't be seen")
        return str(seen[0])

    def walk(self, tab: Tab, to: str, most: int = 40) -> list[str]:
        """Press Tab until the focus is there."""
        passed = []
        for _ in range(most):
            tab.press("Tab")
            passed.append(self.focus(tab))
            if passed[-1] == to:
                return passed
        raise AssertionError(f"{to} can't be reached: {passed}")

    def test_keyboard(self) -> None:
        """All of it without a mouse, and with the focus to be seen (WCAG 2.2, 2.1.1 and 2.4.7)."""
        tab = self.open()
        tab.wait("!document.getElementById('door').hidden")
        self.assertEqual(self.focus(tab), "guest-nick")
        tab.type("Keys")
        tab.press("Enter")
        tab.see(".event", "You are in, as Keys")
        tab.wait("document.activeElement.id === 'message'")
        tab.type("By hand")
        tab.press("Enter")
        self.juliet.body("By hand")
        self.walk(tab, "show-panel")
        tab.press("Enter")
        tab.see("#facts", "Resource")
        tab.press("Escape")
        self.assertEqual(self.focus(tab), "show-panel")
        self.assertTrue(tab.run("document.getElementById('panel').hidden"))
        self.walk(tab, "write-jid")
        tab.type("juliet")
        tab.press("Enter")
        tab.wait("document.activeElement.id === 'message'")
        tab.type("Psst")
        tab.press("Enter")
        self.juliet.body("Psst")
        self.walk(tab, LOBBY)
        tab.press(" ")
        tab.wait("document.getElementById('talk-title').textContent === 'lobby'")
        self.walk(tab, "leave")
        tab.press("Enter")
        self.juliet.presence(f"{LOBBY}/Keys", "unavailable")

    def look(self, tab: Tab, where: str) -> None:
        """Names, contrast, headings, nothing beside the screen."""
        tab.run("Promise.allSettled(document.getAnimations().map((each) => each.finished)).then(() => true)")
        self.assertEqual(tab.run(NAMED), [], where)
        self.assertEqual(tab.run(CONTRAST), [], where)
        self.assertEqual(tab.run(LEVELS).count("H1"), 1, where)
        wide = tab.run("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        self.assertEqual(wide, 0, where)
        self.assertEqual(tab.run(TWICE), [], where)

    def test_look(self) -> None:
        """
        Labels, contrast and reflow, light and dark, from 320 pixels up (WCAG 2.2, 1.3.1, 1.4.3, 1.4.10, 4.1.2); and
        pictures of it.
        """
        for dark in (False, True):
            shade = "dark" if dark else "light"
            tab = self.open(dark=dark)
            tab.wait("!document.getElementById('door').hidden")
            self.look(tab, f"door, {shade}")
            self.picture(tab, f"door-{shade}")
            nick = "Stranger" if dark else "Wanderer"
            self.comeIn(nick, tab)
            self.talk(tab, nick)
            tab.fill("#write-jid", "somebody@elsewhere.example")
            tab.press("Enter")
            self.say(tab, "Hello?")
            tab.see(".said.refused .why", "Not delivered")
            self.look(tab, f"refused, {shade}")
            tab.click(f"[data-jid='{LOBBY}']")
            tab.click("#show-panel")
            tab.see("#refusals", "policy-violation")
            self.look(tab, f"panel, {shade}")
            self.picture(tab, f"details-{shade}")
            tab.press("Escape")
            self.look(tab, f"room, {shade}")
            tab.resize(320, 640)
            self.look(tab, f"small, {shade}")
            tab.click("#show-places")
            self.look(tab, f"small places, {shade}")
            tab.press("Escape")
            tab.click("#show-people")
            self.look(tab, f"small people, {shade}")
            tab.click("#hide-people")
            tab.click("#show-people")
            tab.click("#people-list button")
            tab.see("#talk-title", "Juliet")
            self.assertTrue(tab.run("document.getElementById('people').hidden"))
            tab.click("#close-talk")
            tab.click("#show-places")
            tab.click(f"[data-jid='{LOBBY}']")
            tab.resize(390, 780)
            tab.run("document.getElementById('notice').hidden = true")
            self.picture(tab, f"phone-{shade}")
            tab.click("#leave")
            tab.wait("!document.getElementById('door').hidden")
            self.look(tab, f"small door, {shade}")

    def talk(self, tab: Tab, nick: str) -> None:
        """Something to see."""
        self.juliet.presence(f"{LOBBY}/{nick}")
        self.say(tab, "Good evening! Is anybody here?")
        self.juliet.body("Good evening! Is anybody here?")
        body = "<body>Welcome! The rules are at https://example.org/rules</body>"
        self.juliet.say(f"<message to='{LOBBY}' type='groupchat'>{body}</message>")
        tab.see(".said .text", "Welcome!")
        self.say(tab, "Thank you. No account, and yet I am the same after a reload.")
        tab.wait("!document.querySelector('.fate')")

    def test_motion(self) -> None:
        """Nothing moves for those who don't want it."""
        tab = self.comeIn("Wanderer")
        tab.prefer("prefers-reduced-motion", "reduce")
        self.say(tab, "Still")
        tab.see(".said .text", "Still")
        self.assertEqual(tab.run("getComputedStyle(document.querySelector('.said')).animationName"), "none")

    def test_live(self) -> None:
        """What is new is read out."""
        tab = self.comeIn("Wanderer")
        tab.wait("document.getElementById('log').getAttribute('aria-live') === 'polite'")
        self.assertTrue(re.search("role=.status", tab.run("document.getElementById('state').outerHTML")))
