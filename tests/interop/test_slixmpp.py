"""
slixmpp against a whole server. What people do there is in L{tests.interop.slixmpp_people}; what has to come of it here.
"""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from collections.abc import Callable
from typing import Any

from tests.interop.daemon import DEADLINE, GUESTS, ROOT, DaemonTestCase
from tests.marks import spec

PEOPLE = ("romeo", "juliet", "tybalt", "admin")

WRONG_PASSWORD = "authentication failed"
"""The server's warning, which belongs in its log if a password was wrong."""

NO_MECHANISM = "slixmpp.features.feature_mechanisms.mechanisms: No appropriate login method."
"""slixmpp's warning when it has tried everything."""


class SlixmppTestCase(DaemonTestCase):
    """Plays scenes with slixmpp."""

    if importlib.util.find_spec("slixmpp") is None:
        skip = "slixmpp is not installed: pip install slixmpp"

    def setUp(self) -> None:
        """Start a server with some accounts."""
        super().setUp()
        for name in PEOPLE:
            self.daemon.addAccount(name)

    def play(self, scene: str, *warnings: str, ready: Callable[[], object] | None = None) -> dict[str, Any]:
        """
        Play a scene to its end, and answer what was seen.

        @param warnings: what slixmpp is to warn of.
        @param ready: called when the scene says that it is ready.
        """
        facts = {
            "port": self.daemon.port,
            "tlsPort": self.daemon.tlsPort,
            "certificate": str(self.daemon.certificate),
            "guestCertificate": str(self.daemon.folder / "certs" / f"{GUESTS}.pem"),
        }
        command = [sys.executable, "-m", "tests.interop.slixmpp_people", scene]
        pipe = subprocess.PIPE
        with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True, cwd=ROOT) as people:
            self.addCleanup(people.kill)
            assert people.stdin is not None and people.stdout is not None
            people.stdin.write(json.dumps(facts) + "\n")
            people.stdin.flush()
            if ready is not None and people.stdout.readline() == "ready\n":
                ready()
            try:
                output, complaints = people.communicate("\n", DEADLINE)
            finally:
                people.kill()
        self.assertEqual(people.returncode, 0, complaints[-4000:])
        seen: dict[str, Any] = json.loads(output)
        # slixmpp may be about to send when the server goes, and says so
        told = (each for each in seen.pop("warnings") if scene != "stopped" or "send queue" not in each)
        self.assertEqual(tuple(told), warnings)
        return seen


class LoginTests(SlixmppTestCase):
    """Who is let in, and how."""

    expected = (WRONG_PASSWORD,)

    @spec("RFC 6120", "5.4.3.3", "6.4.1")
    @spec("XEP-0368")
    @spec("RFC 5802")
    def test_login(self) -> None:
        """SCRAM over TLS 1.3 on both ports, channel binding where Python has it, and nobody with a wrong password."""
        seen = self.play("login", NO_MECHANISM)
        self.assertEqual(seen["as"], [["romeo@example.org/balcony", "TLSv1.3", "SCRAM-SHA-512"]] * 2)
        self.assertEqual(seen["mechanisms"], ["SCRAM-SHA-1", "SCRAM-SHA-256", "SCRAM-SHA-512", "PLAIN"])
        version, mechanism = seen["bound"]
        self.assertEqual(version, "TLSv1.2")
        self.assertTrue(mechanism.endswith("-PLUS"), mechanism)
        self.assertEqual(seen["wrong"], [True, False])

    @spec("XEP-0175")
    def test_guests(self) -> None:
        """Guests come and talk where they may, under addresses of their own."""
        seen = self.play("guests", NO_MECHANISM)
        self.assertEqual((seen["mechanism"], seen["version"]), ("ANONYMOUS", "TLSv1.3"))
        self.assertTrue(seen["different"])
        self.assertFalse(seen["refused"])

    @spec("XEP-0077", "3.1.1", "3.2", "3.3")
    def test_registration(self) -> None:
        """An account is registered over the stream, gets another password, and is removed."""
        seen = self.play("registration", NO_MECHANISM, NO_MECHANISM)
        self.assertEqual((seen["fields"], seen["registered"]), (["password", "username"], "result"))
        self.assertEqual((seen["old"], seen["new"]), (False, "mercutio@example.org"))
        self.assertEqual((seen["removed"], seen["gone"]), ("result", False))
        self.assertEqual(seen["events"], ["session_start", "stream_error: not-authorized", "disconnected"])


class MessagingTests(SlixmppTestCase):
    """Rosters, presence and messages."""

    @spec("RFC 6121", "2.1.6", "2.3", "2.5", "2.6.3")
    def test_roster(self) -> None:
        """All resources learn of every change; who has the newest version gets nothing."""
        seen = self.play("roster")
        self.assertEqual((seen["first"], seen["name"], seen["groups"]), (0, "Julia & Co", ["<b>", "Verona"]))
        pushes = [{"juliet@example.org": "none"}, {"juliet@example.org": "remove"}]
        self.assertEqual(seen["pushes"], [pushes, pushes])
        self.assertEqual((seen["unchanged"], seen["two"]), (True, "bad-request"))

    @spec("RFC 6121", "3.1", "3.2", "4.2.2", "4.4.2", "4.5.2")
    def test_subscription(self) -> None:
        """Both get each other's presence once both have agreed, the end of a cut connection included."""
        seen = self.play("subscription")
        self.assertEqual((seen["status"], seen["both"]), (["away", "in Mantua", -1], [True, True]))
        approved = [["juliet@example.org", "subscribed"], ["juliet@example.org/chamber", "available"]]
        self.assertEqual(seen["order"], approved)

    @spec("RFC 6121", "8.5.2.2")
    @spec("XEP-0160", "2")
    @spec("XEP-0203")
    def test_messages(self) -> None:
        """Messages to somebody away wait for their presence, in order, once; to nobody they come back."""
        seen = self.play("messages")
        self.assertEqual((seen["unasked"], seen["error"]), ([], [["nobody", "service-unavailable"]]))
        self.assertEqual((seen["inOrder"], seen["delayed"], seen["again"]), (True, [21, False], []))

    @spec("XEP-0280", "4", "5", "6", "7")
    def test_carbons(self) -> None:
        """The other resource gets copies of what is sent and received, but of nothing private."""
        seen = self.play("carbons")
        self.assertEqual(seen["phone"], [["romeo", "Good morrow"], ["juliet", "What light"]])
        self.assertEqual((seen["desk"], seen["inbox"]), ([], [[["juliet", "What light"]], []]))
        self.assertEqual(seen["juliet"], ["Good morrow", "secretly", "farewell"])

    @spec("XEP-0313", "4", "4.3", "5")
    @spec("XEP-0441", "2.1")
    def test_archive(self) -> None:
        """A conversation is found in the archive, forwards and backwards, in pages; preferences are kept to."""
        seen = self.play("archive")
        lines = [f"line {number}" for number in range(26)]
        self.assertEqual((seen["all"], seen["with"], seen["others"]), (lines, 26, []))
        self.assertEqual(seen["last"], lines[:-6:-1])
        self.assertEqual((seen["ends"], seen["default"], seen["kept"]), ([True, True], "never", 26))
        self.assertLessEqual({"with", "start", "end", "before-id", "after-id", "ids"}, set(seen["fields"]))

    @spec("XEP-0191", "3.2", "3.3", "3.4")
    def test_blocking(self) -> None:
        """The blocked get errors, whoever blocked them too; the other resource hears of it; until it ends."""
        seen = self.play("blocking")
        self.assertEqual((seen["list"], seen["errors"]), (["tybalt@example.org"], ["service-unavailable", "not-acceptable"]))
        self.assertEqual((seen["heard"], seen["after"]), (["not-acceptable", "again"], 0))

    @spec("XEP-0352", "5")
    def test_clientStates(self) -> None:
        """An inactive client gets only the last of twenty presences, and that with the next message."""
        self.assertEqual(self.play("clientStates"), {"presences": 1, "last": "19"})


class ManagementTests(SlixmppTestCase):
    """Stream management: nothing is lost, nothing comes twice (XEP-0198)."""

    @spec("XEP-0198", "4", "5")
    def test_resumption(self) -> None:
        """A connection that is cut three times while messages pass both ways."""
        seen = self.play("resumption")
        self.assertEqual((seen["delivered"], seen["romeo"], seen["juliet"]), ([90, 45], True, True))
        self.assertEqual((seen["sameSession"], seen["goneInBetween"]), (True, []))
        self.assertEqual(seen["events"], [1, 3, 0])

    @spec("XEP-0198", "5")
    def test_restart(self) -> None:
        """A session that waits to be resumed outlives the server's violent end, with what was said to it."""

        def crash() -> None:
            self.daemon.kill()
            self.daemon.start()

        seen = self.play("restart", ready=crash)
        self.assertEqual(seen["inbox"], ["before", *(f"{number} meanwhile" for number in range(10))])
        self.assertEqual(seen["resumed"], 1)

    @spec("RFC 6120", "4.9.3.19")
    def test_stopped(self) -> None:
        """A server that stops says so."""
        seen = self.play("stopped", ready=self.daemon.stop)
        self.assertEqual(seen["events"], ["session_start", "stream_error: system-shutdown", "disconnected"])


class ExpiryTests(SlixmppTestCase):
    """A session that nobody resumes in time."""

    limits = "management_seconds = 2"

    @spec("XEP-0198", "5")
    def test_expiry(self) -> None:
        """Its contacts see it go, and what was said to it waits for the next session."""
        self.assertEqual(self.play("expiry"), {"inbox": True, "delayed": True, "failed": 1})


class QueryTests(SlixmppTestCase):
    """Questions to the server."""

    @spec("XEP-0012", "4")
    @spec("XEP-0030", "3.1")
    @spec("XEP-0049", "2.1")
    @spec("XEP-0054", "3.1", "3.2", "3.3")
    @spec("XEP-0092", "2")
    @spec("XEP-0157", "2")
    @spec("XEP-0199", "4.2")
    @spec("XEP-0202", "3")
    def test_queries(self) -> None:
        """Private XML, vCards, ping, version, time, last activity, service discovery."""
        seen = self.play("queries")
        self.assertRegex(seen.pop("time"), r"^20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$")
        features = {
            "jabber:iq:last",
            "jabber:iq:private",
            "jabber:iq:register",
            "jabber:iq:version",
            "http://jabber.org/protocol/commands",
            "msgoffline",
            "urn:xmpp:blocking",
            "urn:xmpp:carbons:2",
            "urn:xmpp:ping",
            "urn:xmpp:time",
            "vcard-temp",
        }
        self.assertEqual(features - set(seen.pop("features")), set())
        self.assertEqual(
            seen,
            {
                "private": "x & y",
                "vcard": "Romeo Montague",
                "noVcard": "service-unavailable",
                "ping": True,
                "version": ["xmppd", True],
                "last": True,
                "lastOfStranger": "forbidden",
                "identities": [["pubsub", "pep"], ["server", "im"]],
                "abuse": True,
                "account": [["account", "registered"], ["pubsub", "pep"]],
                "strangersAccount": "service-unavailable",
                "unknown": "service-unavailable",
                "elsewhere": "remote-server-not-found",
            },
        )

    @spec("XEP-0050", "2")
    @spec("mission", "T10", "T11")
    def test_inspection(self) -> None:
        """The administrator sees from a client what secures each stream; nobody else does."""
        seen = self.play("inspection")
        self.assertEqual(seen["nodes"], ["acknowledge", "history", "list", "show"])
        self.assertEqual(seen["refused"], "forbidden")
        self.assertLessEqual({"tls", "cipher", "proof", "mechanism", "channel_binding"}, set(seen["reported"]))
        people = [[jid.partition("/")[0], *rest] for jid, *rest in seen["streams"]]
        self.assertEqual(people, [[f"{name}@example.org", "c2s", "TLSv1.3", "SCRAM-SHA-512"] for name in ("admin", "romeo")])
        self.assertTrue(seen["one"][1])

    @spec("XEP-0050", "2")
    @spec("XEP-0133", "4.1")
    def test_commands(self) -> None:
        """The administrator adds an account from a client; nobody else sees the command or may use it."""
        seen = self.play("commands")
        self.assertEqual((seen["listed"], seen["theirs"], seen["refused"]), (True, [], "forbidden"))
        self.assertEqual(seen["form"], ["FORM_TYPE", "accountjid", "anyway", "password", "password-verify"])
        self.assertEqual((seen["status"], seen["added"]), ("completed", "benvolio@example.org"))
