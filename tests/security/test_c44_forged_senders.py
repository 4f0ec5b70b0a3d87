"""C44: false senders; roster pushes and results for others."""

from __future__ import annotations

from tests.marks import spec
from tests.security.attack import AttackCase

OTHERS = ("romeo@example.org", "romeo@example.org/orchard", "example.org", "admin@example.org/x", "a@b@c", "", "mallory@example.org",
          "mallory@example.org/other", "x" * 5000)


@spec("RFC 6120", "8.1.2.1", "13.1")
class ForgedSenderTests(AttackCase):
    """The receiver sees who sent it."""

    def test_from(self) -> None:
        """Messages and requests with somebody else's address."""
        for sender in OTHERS:
            for chunk in (None, 1) if len(sender) < 100 else (None,):
                client = self.attacker()
                client.send(f"<message from='{sender}' to='{self.juliet.jid}'><body>x</body></message>", chunk)
                if client.eof:
                    self.assertClosed(client, "invalid-from")
                    client.disconnect()
                    continue
                self.assertEqual(self.juliet.one().get("from"), client.jid)
                client.send(f"<iq from='{sender}' to='{self.juliet.jid}' type='get' id='1'><ping xmlns='urn:xmpp:ping'/></iq>")
                for each in self.juliet.take():  # she may not be told of strangers' requests at all
                    self.assertEqual(each.get("from"), client.jid)
                client.disconnect()

    def test_otherSpellings(self) -> None:
        """An attribute C{from} in a namespace, in double quotes, with references, with white space."""
        for attribute in ('from="romeo@example.org"', "from = 'romeo@example.org'", "\nfrom\n=\n'romeo@example.org'",
                          "from='&#114;omeo@example.org'", "xmlns:a='urn:a' a:from='romeo@example.org'",
                          "x='>' from='romeo@example.org'", "xmlns:from='urn:from' from='romeo@example.org'"):
            client = self.attacker()
            client.send(f"<message {attribute} to='{self.juliet.jid}'/>")
            self.assertEqual(self.juliet.one().get("from"), client.jid)
            client.disconnect()

    @spec("RFC 6121", "2.1.6")
    def test_rosterPush(self) -> None:
        """What looks like a roster push comes to the contact with its true sender, or not at all; no roster changes."""
        client = self.attacker()
        push = "<query xmlns='jabber:iq:roster'><item jid='mallory@example.org' subscription='both'/></query>"
        for to in (self.juliet.jid, "juliet@example.org"):
            client.send(f"<iq from='juliet@example.org' to='{to}' type='set' id='push'>{push}</iq>")
            for each in self.juliet.take():
                self.assertEqual(each.get("from"), client.jid)
            for each in client.take():
                self.assertEqual(each.get("type"), "error")
        roster = self.juliet.ask("<iq type='get' id='r'><query xmlns='jabber:iq:roster'/></iq>")
        self.assertEqual(len(roster[0]), 0)

    @spec("RFC 6120", "8.2.3")
    def test_results(self) -> None:
        """Answers to nothing, to the server, to accounts, to nobody: dropped without an answer."""
        client = self.attacker()
        for type in ("result", "error"):
            for to in ("example.org", "juliet@example.org", "nobody@example.org", "juliet@example.org/nowhere", "mallory@example.org"):
                client.send(f"<iq type='{type}' id='1' to='{to}'/>")
                self.assertEqual((client.take(), self.juliet.take()), ([], []))
        client.send(f"<iq type='result' id='1' to='{self.juliet.jid}'/>")
        for each in self.juliet.take():
            self.assertEqual(each.get("from"), client.jid)

    def test_answersForOthers(self) -> None:
        """Somebody else's answer to the server's question is no answer."""
        self.server.host.ask(self.juliet.jid, "get", b"<ping xmlns='urn:xmpp:ping'/>").addErrback(lambda _: None)
        id = self.juliet.one().get("id")
        client = self.attacker()
        client.send(f"<iq type='result' id='{id}' to='example.org' from='{self.juliet.jid}'/>")
        self.assertEqual(len(self.server.host._asked), 1)
        self.juliet.send(f"<iq type='result' id='{id}' to='example.org'/>")
        self.assertEqual(len(self.server.host._asked), 0)
