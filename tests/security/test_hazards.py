"""Hazards besides the twenty: what parsers see, what normalisation costs, who is told what."""

from __future__ import annotations

import time

from lxml import etree

from tests.marks import spec
from tests.security.attack import AttackCase
from tests.server import auth, split
from xmppd.wire import ns


class RelayTests(AttackCase):
    """What the receiver's parser sees is what the sender sent and the server's filters saw."""

    def seen(self, sent: str) -> tuple[bytes, bytes]:
        """A message's content as lxml canonicalises it: as it was sent, and as it was received."""
        client = self.attacker()
        before = len(self.romeo.raw)
        client.send(f"<message to='{self.romeo.jid}' id='x'>{sent}</message>")
        raw = self.romeo.raw[before:]
        self.romeo.one()
        client.disconnect()
        context = f"<r xmlns='jabber:client' xmlns:stream='{ns.STREAMS}'>".encode()
        documents = (context + b"<message>" + sent.encode() + b"</message></r>", context + raw + b"</r>")
        there, here = (etree.fromstring(each)[0] for each in documents)
        return tuple(b"".join(etree.tostring(child, method="c14n", with_tail=True) for child in each) for each in (there, here))  # type: ignore[return-value]

    def test_same(self) -> None:
        """Prefixes bound again, default namespaces undone, white space and references in attributes and texts."""
        for content in (
            "<a:x xmlns:a='urn:one'><b xmlns:a='urn:two'><a:y/></b><a:z/></a:x>",
            "<x xmlns='urn:x'><y xmlns=''><z/></y></x>",
            "<x xmlns='urn:x' a='1&#10;2&#9;3&#13;4 5'/>",
            "<body>line&#13;\nline &amp; &lt;tag&gt; ]]&gt;</body>",
            "<body><![CDATA[<x>&amp;</x>]]></body>",
            "<x xmlns='urn:x' a=\"'\" b='\"' c='>'/>",
            "<x xmlns='urn:x'>\n <y />\n</x >",
            "<stanza-id xmlns='urn:xmpp:sid:0' by='example.org' id='forged'/>",
            "<s:stanza-id xmlns:s='urn:xmpp:sid:0' by='romeo@example.org' id='forged'/>",
            "<sent xmlns='urn:xmpp:carbons:2'><forwarded xmlns='urn:xmpp:forward:0'><message xmlns='jabber:client' from='juliet@example.org'/></forwarded></sent>",
            "<stream:x/>",
            "<x xmlns='urn:x' xml:lang='de' xml:space='preserve'> </x>",
            "<body>\N{SNOWMAN}\U0001F600\u0085\u2028</body>",
        ):
            before, after = self.seen(content)
            self.assertEqual(after, before)

    def test_attributesOfTheStanza(self) -> None:
        """Attributes of the stanza itself survive the new start tag."""
        client = self.attacker()
        client.send(f"<message to='{self.romeo.jid}' from='x' a='1&#10;2&#9;3 &lt;&amp;\"&gt;>' xml:lang='de' xmlns:q='urn:q' q:b='&apos;'/>")
        got = self.romeo.one()
        self.assertEqual(got.get("a"), "1\n2\t3 <&\">>")
        self.assertEqual(got.get("{urn:q}b"), "'")
        self.assertEqual(got.get(f"{{{ns.XML}}}lang"), "de")


class NormalisationTests(AttackCase):
    """Length limits come before normalisation."""

    MARKS = "\N{COMBINING DIAERESIS}\N{COMBINING CEDILLA}" * 50_000

    def test_everywhere(self) -> None:
        """100,000 combining marks wherever a name is prepared: no turn is long (the watchdog says so)."""
        client = self.attacker()
        for stanza in (
            f"<message to='{self.MARKS}@example.org'/>",
            f"<message to='a@example.org/{self.MARKS}'/>",
            f"<message to='a@{self.MARKS}'/>",
            f"<iq type='set' id='1'><query xmlns='jabber:iq:roster'><item jid='{self.MARKS}@example.org'/></query></iq>",
            f"<iq type='set' id='1'><query xmlns='jabber:iq:roster'><item jid='a@example.org' name='{self.MARKS}'/></query></iq>",
            f"<presence><show>{self.MARKS}</show></presence>",
        ):
            client.send(stanza)
            client.take()
        self.assertFalse(client.eof)


class PasswordTests(AttackCase):
    """Guessing."""

    limits = "auth_failures_per_minute = 0\nattempts_per_minute = 0"

    def test_guessesDontHoldTheReactor(self) -> None:
        """Hundreds of guesses wait for the threads; honest users don't wait for them."""
        self.server.threads.holding = True
        clients = []
        for _ in range(100):
            client = self.attacker("opened")
            client.send(auth("PLAIN", b"\0romeo\0guess"))
            clients.append(client)
        self.romeo.send(f"<message to='{self.juliet.jid}' id='meanwhile'/>")
        self.assertEqual(self.juliet.one().get("id"), "meanwhile")
        self.server.threads.holding = False
        self.server.threads.proceed()

    @spec("RFC 6120", "6.4.5")
    def test_triesPerStream(self) -> None:
        """A stream lets nobody try for ever."""
        client = self.attacker("opened")
        tries = 0
        while not client.eof and tries < 50:
            tries += 1
            client.send(auth("PLAIN", b"\0romeo\0guess%d" % tries))
        self.assertLessEqual(tries, 5)

    @spec("RFC 6120", "6.3.8")
    def test_anotherUsersAuthzid(self) -> None:
        """Nobody becomes somebody else by an authorization identity."""
        for authzid in ("romeo@example.org", "admin@example.org", "romeo", "example.org", "mallory@example.org/x"):
            client = self.attacker("opened")
            self.assertEqual(split(client.plain("mallory", authzid=authzid).tag)[1], "failure")
            self.assertEqual(split(client.scram("mallory", authzid=authzid).tag)[1], "failure")


class FloodTests(AttackCase):
    """Much of everything that is allowed."""

    limits = "attempts_per_minute = 0\nconnections_per_address = 50\nstanzas_per_second = 0"

    def test_connections(self) -> None:
        """One address can't take all places."""
        clients = [self.attacker("connected") for _ in range(200)]
        self.assertEqual(sum(not client.eof for client in clients), 50)
        self.server.advance(self.server.host.limits.unauthenticatedSeconds + 10)
        self.assertEqual(len(self.server.server.connections), 2)

    def test_stanzas(self) -> None:
        """In a flood of messages the victim's others get through at once."""
        client = self.attacker()
        flood = f"<message to='{self.romeo.jid}'><body>x</body></message>" * 500
        for _ in range(20):
            client.send(flood)
        self.romeo.take()
        self.juliet.send(f"<message to='{self.romeo.jid}' id='meanwhile'/>")
        self.assertEqual(self.romeo.one().get("id"), "meanwhile")
        client.cut()
        self.server.pump()
        self.romeo.take()

    def test_cheapToSend(self) -> None:
        """Thousands of stanzas in one read: the turn ends in time, others get theirs in between, nothing is lost."""
        for stanza in ("<iq/>", "<presence/>", "<iq type='get' id='1' to='example.org'><query xmlns='http://jabber.org/protocol/disco#info'/></iq>"):
            client = self.attacker()
            count = 65536 // len(stanza)
            client.send(stanza * count)
            self.server.pump()
            self.assertGreaterEqual(len(client.take()), min(count, 5000) - 1)
            self.assertHarmless(client)
            client.disconnect()

    def test_whitespace(self) -> None:
        """Megabytes of white space cost nothing and change nothing."""
        client = self.attacker()
        begun = time.process_time()
        for _ in range(30):
            client.send(b" \n\t\r" * 16384)
        self.assertLess(time.process_time() - begun, 1)
        self.assertFalse(client.eof)
