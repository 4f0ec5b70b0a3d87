"""Tests of L{xmppd.features.xep0363_upload}: slots by XMPP, files by HTTP."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any
from urllib.parse import quote

from twisted.internet.error import ConnectionLost
from twisted.python.failure import Failure

from tests.doubles import FailingStore
from tests.features.serving import ServingCase, serve
from tests.marks import spec
from tests.net.test_http import WebTransport
from xmppd.config import Limits
from xmppd.features.xep0363_upload import feature
from xmppd.features.xep0363_upload.resource import partOf
from xmppd.features.xep0363_upload.shelf import Arriving
from xmppd.features.xep0363_upload.slots import DAY, SWEEP_SECONDS, nameOf
from xmppd.ixmppd import ISession, IStorageRestriction
from xmppd.net.admission import Admission
from xmppd.net.http import WebFactory
from xmppd.net.site import WebSite
from xmppd.wire.dates import dateTime, fromDateTime
from xmppd.wire.errors import StanzaCondition, StanzaError

UPLOAD = "upload.example.org"
NS = "urn:xmpp:http:upload:0"
PURPOSE = "urn:xmpp:http:upload:purpose:0"
BASE = f"https://{UPLOAD}"


def wish(name: str = "a.jpg", size: object = 10, type: str | None = "image/jpeg", inner: str = "") -> str:
    """A request for a slot."""
    declared = "" if type is None else f" content-type='{type}'"
    return f"<request xmlns='{NS}' filename='{name}' size='{size}'{declared}>{inner}</request>"


class UploadCase(ServingCase):
    """An upload service."""

    domain = UPLOAD
    settings: dict[str, Any] = {}

    def setUp(self) -> None:
        super().setUp()
        self.web = WebSite(443, {UPLOAD: 1}.get)
        self.folder = Path(self.mktemp())
        self.host = serve(self.rig, feature, UPLOAD, self.web, self.folder, **self.settings)
        self.start()
        self.factory = WebFactory(self.web, self.rig.clock, Admission(self.rig.clock, Limits()))

    def start(self) -> None:
        """Start the service."""
        for observer in self.host.hooks.starting.observe:
            done = observer()
            self.rig.clock.pump([0] * 20)
            self.successResultOf(done)

    def path(self, payload: str | None = None, session: Any = None) -> str:
        """The path of a new slot."""
        slot = self.result(session or self.romeo, "get", payload or wish(), UPLOAD)
        assert slot is not None
        urls = [each.attrs["url"] for each in slot.elements()]
        self.assertEqual((slot.qname, [each.name for each in slot.elements()]), (f"{NS} slot", ["put", "get"]))
        self.assertEqual((len(set(urls)), urls[0].startswith(f"{BASE}/upload/")), (1, True))
        return urls[0].removeprefix(BASE)

    def http(self, head: str, body: bytes = b"") -> tuple[int, dict[str, str], bytes]:
        """One request on a connection of its own."""
        channel: Any = self.factory.buildProtocol(None)
        transport = WebTransport()
        channel.makeConnection(transport)
        first, *headers = head.split("\n")
        lines = [f"{first} HTTP/1.1", "Host: x", "Connection: close", *headers, "", ""]
        channel.dataReceived("\r\n".join(lines).encode() + body)
        self.rig.clock.pump([0] * 5)
        top, _, rest = transport.value().partition(b"\r\n\r\n")
        status, *pairs = top.decode().split("\r\n")
        channel.connectionLost(Failure(ConnectionLost()))
        return int(status.split()[1]), {p.partition(": ")[0].lower(): p.partition(": ")[2] for p in pairs}, rest

    def put(self, path: str, body: bytes = b"0123456789", type: str = "image/jpeg", more: str = "") -> int:
        """Put a file; the status."""
        return self.http(f"PUT {path}\nContent-Length: {len(body)}\nContent-Type: {type}{more}", body)[0]

    def get(self, path: str, more: str = "", method: str = "GET") -> tuple[int, dict[str, str], bytes]:
        """Get a file."""
        return self.http(f"{method} {path}{more}")

    def files(self) -> list[str]:
        """All files on the disk, without their folders."""
        return sorted(name for _, _, names in os.walk(self.folder) for name in names)

    def facts(self, owner: str = "romeo@example.org") -> list[str]:
        """The tokens that the store has for an account."""
        return list(self.successResultOf(self.rig.store.facts.all(owner, "upload")))


class DiscoveryTests(UploadCase):
    """Section 3."""

    @spec("XEP-0363", "3", "5.1", "5.3")
    def test_discovered(self) -> None:
        """Identity, features, and the largest file."""
        self.assertEqual(self.host.identities, [("store", "file", "HTTP File Upload")])
        self.assertEqual(self.host.namespaces, {NS, f"{PURPOSE}#message", f"{PURPOSE}#ephemeral"})
        (form,) = self.host.disco.forms
        values = {field.attrs["var"]: field.textOf("value") for field in form.elements("field")}
        self.assertEqual(values, {"FORM_TYPE": NS, "max-file-size": "104857600"})

    def test_unreachable(self) -> None:
        """Without a URL that clients could trust it doesn't join."""
        for number, (web, folder) in enumerate(((None, self.folder), (self.web, None), (WebSite(), self.folder))):
            self.assertRaises(ValueError, serve, self.rig, feature, f"{number}.example", web, folder)


class SlotTests(UploadCase):
    """Section 4 and 6: what is asked for, and refused."""

    @spec("XEP-0363", "4", "9.3")
    def test_slot(self) -> None:
        """The name and its ending stay, percent-encoded; the token has 24 random octets; the store knows it first."""
        path = self.path(wish("tr\u00e8s cool.jpg"))
        _, _, token, name = path.split("/")
        self.assertEqual((name, len(token)), ("tr%C3%A8s%20cool.jpg", 32))
        self.assertEqual(self.facts(), [token])
        self.assertEqual(self.files(), [])

    @spec("XEP-0363", "6")
    def test_tooLarge(self) -> None:
        """A file that is too large: the error says how large one may be."""
        answer = self.ask(self.romeo, "get", wish(size=104_857_601), UPLOAD)
        self.assertIn(b"<error type='modify'><not-acceptable", answer.raw)
        self.assertIn(f"<file-too-large xmlns='{NS}'><max-file-size>104857600</max-file-size>".encode(), answer.raw)

    @spec("XEP-0363", "4")
    def test_malformed(self) -> None:
        """Sizes and names that are none."""
        for size in ("", "0", "-5", "1e3", "x", "9" * 30, "\u0661"):
            self.assertEqual(self.condition("get", wish(size=size)), ("modify", "bad-request"), size)
        self.assertEqual(self.condition("get", wish(name="")), ("modify", "bad-request"))
        self.assertEqual(self.condition("get", f"<request xmlns='{NS}' size='5'/>"), ("modify", "bad-request"))
        for type in ("x", "a/b/c", "text/x&#10;Set-Cookie: a=b", "/"):
            self.assertEqual(self.condition("get", wish(type=type)), ("modify", "bad-request"), type)
        self.assertEqual(self.facts(), [])

    @spec("XEP-0363", "6")
    def test_strangers(self) -> None:
        """Nobody from elsewhere, and no guest."""
        guest = self.bind("guest@example.org/x", guest=True)
        self.assertEqual(self.condition("get", wish(), guest), ("auth", "forbidden"))
        answers: list[Any] = []

        class Elsewhere:
            domain = "example.net"

            def deliver(self, stanza: Any) -> None:
                answers.append(stanza)

        self.rig.router.addDestination(Elsewhere())
        self.rig.inject(f"<iq type='get' id='1' from='a@example.net/b' to='{UPLOAD}'>{wish()}</iq>".encode())
        self.assertIn(b"<forbidden", answers[0].raw)

    def test_restrictions(self) -> None:
        """Who may not store is refused by the restriction."""

        class Refusal:
            def __init__(self, session: ISession) -> None:
                pass

            def refuses(self, kind: str, size: int) -> StanzaError | None:
                return StanzaError(StanzaCondition.NOT_ALLOWED) if (kind, size) == ("upload", 10) else None

        self.rig.host.adapters.subscribe(ISession, IStorageRestriction, Refusal)
        self.assertEqual(self.condition("get", wish()), ("cancel", "not-allowed"))

    def test_waiting(self) -> None:
        """Only so many slots of an account wait; the error says until when."""
        for _ in range(20):
            self.path()
        answer = self.ask(self.romeo, "get", wish(), UPLOAD)
        self.assertIn(b"<error type='wait'><resource-constraint", answer.raw)
        stamp = dateTime(self.rig.clock.seconds() + 300)
        self.assertIn(f"<retry xmlns='{NS}' stamp='{stamp}'/>".encode(), answer.raw)
        self.path(session=self.juliet)
        self.rig.clock.advance(301)
        self.path()

    @spec("XEP-0363", "8")
    def test_lapses(self) -> None:
        """A slot waits for five minutes, then nothing is left of it."""
        path = self.path()
        self.rig.clock.advance(301)
        self.assertEqual((self.put(path), self.facts(), self.files()), (404, [], []))

    @spec("XEP-0363", "5.3")
    def test_ephemeral(self) -> None:
        """The client may have its file go earlier, but not stay longer."""
        now = self.rig.clock.seconds()
        for seconds, kept in ((3600, 3600), (90 * DAY, 30 * DAY)):
            inner = f"<ephemeral xmlns='{PURPOSE}' expire-before='{dateTime(now + seconds)}'/>"
            path = self.path(wish(inner=inner))
            entry, _ = self.host_slots().waiting[path.split("/")[2]]
            self.assertEqual(entry.expires, now + kept)
        for stamp in ("yesterday", dateTime(now - 1)):
            self.assertEqual(self.condition("get", wish(inner=f"<ephemeral xmlns='{PURPOSE}' expire-before='{stamp}'/>"))[0], "modify")

    def host_slots(self) -> Any:
        """The service itself."""
        return self.web._mounts["/upload"][0]._slots  # type: ignore[attr-defined]

    def test_storeFails(self) -> None:
        """A store that can't be written: an error, and nothing waits."""
        self.host.facts = FailingStore(self.rig.store).facts
        self.host.facts._store.failWrites = True
        self.assertEqual(self.condition("get", wish()), ("wait", "resource-constraint"))
        self.assertEqual(self.host_slots().waiting, {})

    def test_names(self) -> None:
        """Whatever a name is, it is a name: no path, no controls, not too long, with its ending."""
        self.assertEqual(nameOf("../../etc/passwd"), "passwd")
        self.assertEqual(nameOf("C:\\x\\y.txt"), "y.txt")
        for name in ("..", ".", "/", "a/", "\x00", " ", "\u202e"):
            self.assertEqual(nameOf(name), "file", repr(name))
        self.assertEqual(nameOf("a\r\nb\x7f.txt"), "ab.txt")
        self.assertEqual(nameOf("\u202egpj.exe"), "gpj.exe")
        long = nameOf("\u00e4" * 500 + ".jpg")
        self.assertTrue(long.endswith("\u00e4.jpg") and len(long.encode()) <= 200)
        self.assertEqual(len(nameOf("x." + "y" * 500)), 200)


class SettingsTests(UploadCase):
    """Options."""

    settings = {"types": ["image/*"], "guests": True, "url": "https://files.example.com/x/", "quota": 25, "files": 3, "total": 40}

    def test_types(self) -> None:
        """Only some types are taken; one without a type counts as octets."""
        for type in ("video/mp4", None):
            self.assertEqual(self.condition("get", wish(type=type)), ("modify", "not-acceptable"))
        slot = self.result(self.romeo, "get", wish(type="IMAGE/PNG; q=1"), UPLOAD)
        assert slot is not None
        self.assertTrue(next(slot.elements()).attrs["url"].startswith("https://files.example.com/x/upload/"))

    def test_guests(self) -> None:
        """Guests may upload where that is allowed; when they are gone their files are."""
        guest = self.bind("guest@example.org/x", guest=True)
        self.result(guest, "get", wish(), UPLOAD)
        self.host.hooks.removed.notify("guest@example.org")
        self.assertEqual(self.facts("guest@example.org"), [])

    def test_quota(self) -> None:
        """Octets and files of an account, slots that wait included."""
        for _ in range(2):
            self.result(self.romeo, "get", wish(), UPLOAD)
        answer = self.ask(self.romeo, "get", wish(), UPLOAD)
        self.assertIn(b"<error type='wait'><resource-constraint", answer.raw)
        self.assertIn(b"<retry", answer.raw)
        for _ in range(1):
            self.result(self.romeo, "get", wish(size=1), UPLOAD)
        self.assertEqual(self.condition("get", wish(size=1)), ("wait", "resource-constraint"))

    def test_atOnce(self) -> None:
        """Many requests while the store is slow get no more."""
        store = FailingStore(self.rig.store)
        self.host.facts = store.facts
        store.holding = True
        for _ in range(5):
            self.send(self.romeo, "get", wish(), UPLOAD)
        store.proceed()
        stream = self.streams[self.romeo]
        results = [stanza.type for stanza in stream.take()]
        self.assertLessEqual(results.count("result"), 2)
        self.assertEqual(len(results), 5)

    def test_total(self) -> None:
        """All accounts together have only so much room."""
        for session in (self.romeo, self.juliet):
            for _ in range(2):
                self.result(session, "get", wish(), UPLOAD)
        tybalt = self.bind("tybalt@example.org/x")
        self.assertEqual(self.condition("get", wish(), tybalt), ("wait", "resource-constraint"))


class FileTests(UploadCase):
    """Section 7: putting and getting."""

    @spec("XEP-0363", "2", "7")
    def test_roundTrip(self) -> None:
        """What was put is got, by everybody who knows the URL, when the answer is 201."""
        path = self.path()
        self.assertEqual(self.get(path)[0], 404)
        self.assertEqual(self.put(path), 201)
        status, headers, body = self.get(path)
        self.assertEqual((status, body), (200, b"0123456789"))
        self.assertEqual((headers["content-type"], headers["content-length"]), ("image/jpeg", "10"))
        status, headers, body = self.get(path, method="HEAD")
        self.assertEqual((status, headers["content-length"], body), (200, "10", b""))

    @spec("XEP-0363", "9.1")
    def test_protection(self) -> None:
        """A browser runs nothing, believes the type, and saves what isn't a picture or sound."""
        for type, disposition in (
            ("image/jpeg", "inline"), ("image/svg+xml", "attachment"), ("text/html", "attachment"),
            ("application/xhtml+xml", "attachment"), ("application/pdf", "attachment"), ("application/javascript", "attachment"),
        ):
            path = self.path(wish("\u00e4'\"b;.x".replace("'", "&apos;"), type=type))
            self.assertEqual(self.put(path, type=type), 201)
            headers = self.get(path)[1]
            self.assertEqual(headers["content-type"], type)
            self.assertEqual(headers["content-disposition"], f"{disposition}; filename*=UTF-8''%C3%A4%27%22b%3B.x")
            self.assertEqual(headers["content-security-policy"], "sandbox; default-src 'none'; frame-ancestors 'none'")
            self.assertEqual(headers["x-content-type-options"], "nosniff")

    @spec("XEP-0363", "8")
    def test_cors(self) -> None:
        """Web clients of other sites may put and get."""
        status, headers, body = self.get("/upload/x/y", method="OPTIONS")
        self.assertEqual((status, body), (204, b""))
        for each in (headers, self.get("/upload/x/y", method="POST")[1]):
            self.assertEqual(each["access-control-allow-origin"], "*")
        self.assertEqual(headers["access-control-allow-methods"], "OPTIONS, HEAD, GET, PUT")
        path = self.path()
        self.put(path)
        self.assertEqual(self.get(path)[1]["access-control-allow-origin"], "*")

    @spec("XEP-0363", "7")
    def test_noType(self) -> None:
        """A file without a type is octets; one whose slot has no type may be said to have any."""
        path = self.path(wish(type=None))
        self.assertEqual(self.put(path, type="text/html"), 201)
        headers = self.get(path)[1]
        self.assertEqual((headers["content-type"], headers["content-disposition"][:10]), ("application/octet-stream", "attachment"))

    def test_ranges(self) -> None:
        """Parts of a file (RFC 9110 section 14)."""
        path = self.path()
        self.put(path)
        for given, status, body, told in (
            ("bytes=0-3", 206, b"0123", "bytes 0-3/10"),
            ("bytes=8-", 206, b"89", "bytes 8-9/10"),
            ("bytes=-3", 206, b"789", "bytes 7-9/10"),
            ("bytes=2-99", 206, b"23456789", "bytes 2-9/10"),
            ("bytes=0-99", 200, b"0123456789", None),
            ("bytes=5-2", 200, b"0123456789", None),
            ("bytes=0-1,3-4", 200, b"0123456789", None),
            ("lines=1-2", 200, b"0123456789", None),
        ):
            answer = self.get(path, f"\nRange: {given}")
            self.assertEqual((answer[0], answer[2], answer[1].get("content-range")), (status, body, told), given)
        for given in ("bytes=10-", "bytes=-0"):
            answer = self.get(path, f"\nRange: {given}")
            self.assertEqual((answer[0], answer[1]["content-range"]), (416, "bytes */10"))
        self.assertEqual(partOf(None, 5), (0, 5))

    def test_unchanged(self) -> None:
        """A file never changes: who has it needn't get it again."""
        path = self.path()
        self.put(path)
        tag = self.get(path)[1]["etag"]
        self.assertEqual(self.get(path, f"\nIf-None-Match: {tag}")[::2], (304, b""))

    def test_large(self) -> None:
        """A file of many portions."""
        body = os.urandom(1_000_000)
        path = self.path(wish(size=len(body)))
        self.assertEqual(self.put(path, body), 201)
        self.assertEqual(self.get(path)[2], body)
        self.assertEqual(self.get(path, "\nRange: bytes=70000-200000")[2], body[70000:200001])

    def test_once(self) -> None:
        """A file can't be put again."""
        path = self.path()
        self.put(path)
        self.assertEqual(self.put(path, b"9876543210"), 404)
        self.assertEqual(self.get(path)[2], b"0123456789")

    def test_restart(self) -> None:
        """Files outlast the server; slots don't."""
        path, waiting = self.path(), self.path()
        self.put(path)
        self.web._mounts.clear()
        self.rig.router.removeDestination(self.host)
        (self.folder / "upload" / "arriving" / "left").write_text("over")
        next((self.folder / "upload" / "files").iterdir()).joinpath("left").write_text("over")
        self.host = serve(self.rig, feature, UPLOAD, self.web, self.folder)
        self.start()
        self.assertEqual((self.get(path)[2], self.put(waiting)), (b"0123456789", 404))
        self.assertNotIn("left", self.files())

    def test_quotaAfterRestart(self) -> None:
        """What was left behind by slots that came to nothing counts for nothing, and goes."""
        kept = self.path()
        self.put(kept)
        for n in range(1500):
            self.rig.store.facts.put("romeo@example.org", "upload", f"gone{n}", b'{"size": 1, "expires": 9999999999}')
        token = self.path().split("/")[2]
        self.assertEqual(sorted(self.facts()), sorted([kept.split("/")[2], token]))


class ExpiryTests(UploadCase):
    """Files go."""

    def test_expires(self) -> None:
        """After thirty days a file is not given out; the next sweep removes it and what the store knows."""
        path = self.path()
        self.put(path)
        self.rig.clock.advance(30 * DAY - 10)
        self.rig.clock.pump([0] * 5)
        self.assertEqual(self.get(path)[0], 200)
        self.rig.clock.advance(10)
        self.assertEqual((self.get(path)[0], len(self.files())), (404, 2))
        self.rig.clock.advance(SWEEP_SECONDS)
        self.rig.clock.pump([0] * 5)
        self.assertEqual((self.files(), self.facts()), ([], []))

    def test_forgotten(self) -> None:
        """Whoever forgets an account in the store alone has its files gone: at once for everybody, then from the disk."""
        paths = [self.path() for _ in range(2)]
        for path in paths:
            self.put(path)
        self.successResultOf(self.rig.store.forget("romeo@example.org"))
        self.assertEqual((self.get(paths[0])[0], len(self.files())), (404, 2))
        self.rig.clock.advance(SWEEP_SECONDS)
        self.rig.clock.pump([0] * 5)
        self.assertEqual(self.files(), [])

    def test_removed(self) -> None:
        """A removed account's files go at once, with slots and what is on its way; others' stay."""
        gone, waiting, kept = self.path(), self.path(), self.path(session=self.juliet)
        self.put(gone)
        self.put(kept)
        channel: Any = self.factory.buildProtocol(None)
        transport = WebTransport()
        channel.makeConnection(transport)
        arriving = self.path()
        channel.dataReceived(f"PUT {arriving} HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n01234".encode())
        self.successResultOf(self.rig.host.registrar.remove("romeo@example.org"))
        self.rig.clock.pump([0] * 5)
        self.assertEqual((len(self.files()), self.facts()), (2, []))
        self.assertEqual([self.get(gone)[0], self.put(waiting), self.get(kept)[0]], [404, 404, 200])
        channel.dataReceived(b"56789")
        self.assertNotIn(b" 201 ", transport.value())
        self.assertEqual((len(self.files()), self.facts()), (2, []))

    def test_removedMeanwhile(self) -> None:
        """An account that is removed while its slot is being written gets none, and leaves nothing."""
        store = FailingStore(self.rig.store)
        self.host.facts = store.facts
        store.holding = True
        self.send(self.romeo, "get", wish(), UPLOAD)
        self.host.hooks.removed.notify("romeo@example.org")
        store.proceed()
        self.rig.clock.pump([0] * 5)
        self.assertEqual(self.facts(), [])

    def test_laterOwner(self) -> None:
        """What a later owner of the name puts while many files of the former one go stays."""
        for _ in range(50):
            self.put(self.path())
        self.host.hooks.removed.notify("romeo@example.org")
        path = self.path()
        self.assertGreater(len(self.files()), 2)
        self.assertEqual(self.put(path), 201)
        self.rig.clock.pump([0] * 5)
        self.assertEqual((len(self.files()), len(self.facts()), self.get(path)[0]), (2, 1, 200))

    def test_lastRequest(self) -> None:
        """The session that removed the account gets no slot any more, though it has not ended yet."""
        self.successResultOf(self.rig.host.registrar.remove("romeo@example.org", self.romeo))
        self.assertEqual(self.condition("get", wish()), ("auth", "not-authorized"))
        self.assertEqual(self.facts(), [])

    def test_many(self) -> None:
        """Many files go in many turns."""
        for _ in range(50):
            self.assertEqual(self.put(self.path()), 201)
        self.host.hooks.removed.notify("romeo@example.org")
        self.assertGreater(len(self.files()), 0)
        self.rig.clock.pump([0] * 5)
        self.assertEqual((self.files(), self.facts()), ([], []))


class DiskTests(UploadCase):
    """A disk that fails."""

    def test_indexFails(self) -> None:
        """A file of which it can't be written whose it is doesn't stay."""
        path = self.path()

        def fails(*arguments: object) -> None:
            raise OSError(errno.ENOSPC, "no space left on device")

        self.patch(Path, "write_text", fails)
        self.assertEqual((self.put(path), self.files()), (507, []))

    def test_full(self) -> None:
        """A full disk: 507, nothing left, and it heals."""
        path = self.path()
        with_space = Arriving.write

        def full(self: Any, data: bytes) -> None:
            raise OSError(errno.ENOSPC, "no space left on device")

        self.patch(Arriving, "write", full)
        self.assertEqual((self.put(path), self.files(), self.facts()), (507, [], []))
        self.patch(Arriving, "write", with_space)
        self.assertEqual(self.put(self.path()), 201)

    def test_store(self) -> None:
        """A store that fails when the file is complete: 503, and no file."""
        path = self.path()
        store = FailingStore(self.rig.store)
        self.host.facts = store.facts
        store.failReads = True
        self.assertEqual((self.put(path), self.files()), (503, []))

    def test_truncated(self) -> None:
        """A file that isn't as long as it was is none, and goes."""
        path = self.path()
        self.put(path)
        (file,) = (self.folder / "upload" / "files").rglob("*_*")
        file.write_bytes(b"01234")
        self.assertEqual(self.get(path)[0], 404)
        self.rig.clock.advance(SWEEP_SECONDS)
        self.rig.clock.pump([0] * 5)
        self.assertEqual(len([name for name in self.files()]), 0)


class StampTests(UploadCase):
    """The time in an error."""

    settings = {"files": 1}

    @spec("XEP-0363", "6")
    def test_retry(self) -> None:
        """Who has too much is told when the first of it goes."""
        self.put(self.path())
        answer = self.ask(self.romeo, "get", wish(), UPLOAD)
        stamp = answer.raw.partition(b"stamp='")[2].partition(b"'")[0].decode()
        self.assertEqual(fromDateTime(stamp), self.rig.clock.seconds() + 30 * DAY)

    def test_quoting(self) -> None:
        """A name of any characters makes a URL of few, and both find the same file."""
        path = self.path(wish("100%25 a+b&amp;c?d#e.png"))
        self.assertRegex(path, r"^[A-Za-z0-9/_.%-]+$")
        self.put(path)
        self.assertEqual(self.get(path)[0], 200)
        self.assertEqual(quote("100%25 a+b&c?d#e.png", safe=""), path.rpartition("/")[2])
