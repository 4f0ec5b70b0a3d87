"""Tests of L{xmppd.restrict.pace} and of the crowds of L{xmppd.restrict.visits}."""

from __future__ import annotations

from tests.marks import spec
from tests.restrict.cases import GuestCase
from xmppd.restrict.visits import FLOODS, Paces

PING = "<iq type='get' id='{}' to='example.org'><ping xmlns='urn:xmpp:ping'/></iq>"


@spec("mission", "A9")
@spec("XEP-0205", "4.7")
class PaceTests(GuestCase):
    """How fast a guest may send."""

    def test_burst(self) -> None:
        """So many stanzas at once pass, the next one is answered with too-many-stanzas and goes no further."""
        self.guests("stanzas_per_second = 2\nburst_stanzas = 5")
        romeo = self.server.login("romeo", available=True)
        client = self.guest()
        for n in range(7):
            client.send(f"<message to='{romeo.jid}' id='{n}' type='chat'><body>{n}</body></message>")
        self.assertEqual([each.get("id") for each in romeo.take()], ["0", "1", "2", "3", "4"])
        refused = self.errors(client)
        self.assertEqual([each.get("id") for each in refused], ["5", "6"])
        for each in refused:
            self.assertLimit(each, "unexpected-request", "too-many-stanzas", "wait")

    @spec("XEP-0478", "3.1")
    def test_told(self) -> None:
        """A guest is told how large a stanza may be; users with accounts, what they may send."""
        self.guests("stanza_bytes = 12345", config="stanza_bytes = 50000")
        self.assertIn(b"<max-bytes>12345</max-bytes>", self.guest().raw)
        self.assertIn(b"<max-bytes>50000</max-bytes>", self.server.login("romeo").raw)

    def test_recovers(self) -> None:
        """As time passes there is room again; no more than a burst is saved up."""
        self.guests("stanzas_per_second = 2\nburst_stanzas = 5")
        client = self.guest()
        self.server.advance(300)

        def passed(count: int) -> int:
            for n in range(count):
                client.send(PING.format(n))
            return sum(each.get("type") == "result" for each in client.take())

        self.assertEqual(passed(9), 5)
        self.server.advance(1)
        self.assertEqual(passed(9), 2)

    def test_octets(self) -> None:
        """Octets have their own pace."""
        self.guests("stanza_bytes = 10000\nburst_bytes = 10000\nbytes_per_second = 1000")
        client = self.guest()
        body = "x" * 4000
        for n in range(3):
            client.send(f"<message to='romeo@example.org' type='headline' id='{n}'><body>{body}</body></message>")
        (refused,) = self.errors(client)
        self.assertEqual(refused.get("id"), "2")
        self.assertLimit(refused, "unexpected-request", "too-many-stanzas", "wait")
        self.server.advance(10)
        client.send(f"<message to='romeo@example.org' type='headline' id='4'><body>{body}</body></message>")
        self.assertEqual(self.errors(client), [])

    @spec("XEP-0205", "4.5")
    def test_size(self) -> None:
        """A stanza that is too large is answered without its content."""
        self.guests("stanza_bytes = 10000")
        client = self.guest()
        client.send(f"<message to='romeo@example.org' id='1'><body>{'x' * 11_000}</body></message>")
        (refused,) = self.errors(client)
        self.assertLimit(refused, "not-allowed", "stanza-too-big", "modify")

    def test_floods(self) -> None:
        """Whoever doesn't heed the answers is disconnected, with a typed stream error; others stay."""
        self.guests("stanzas_per_second = 1\nburst_stanzas = 1\nrefusals_per_minute = 10")
        other = self.guest("192.0.2.2")
        client = self.guest()
        client.send("".join(PING.format(n) for n in range(50)))
        self.assertClosed(client, "policy-violation")
        self.assertEqual(client.raw.count(b"<unexpected-request "), 10)
        self.assertIn(b"<too-many-stanzas xmlns='urn:xmpp:errors'/></stream:error>", client.raw)
        other.send(PING.format("a"))
        self.assertEqual(other.take()[0].get("type"), "result")

    @spec("XEP-0205", "4.4")
    def test_floodsAgain(self) -> None:
        """Where guest after guest floods nobody is let in for the rest of a minute; who is here stays."""
        self.guests("stanzas_per_second = 1\nburst_stanzas = 1\nrefusals_per_minute = 10")
        stays = self.guest()
        for _ in range(FLOODS):
            client = self.guest()
            client.send("".join(PING.format(n) for n in range(50)))
            self.assertTrue(client.streamClosed)
            client.disconnect()
        client = self.server.connect(address="192.0.2.1")
        client.open()
        client.anonymous()
        client.open()
        bind = "<iq type='set' id='b'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>"
        self.assertLimit(client.ask(bind), "resource-constraint", "resource-limit-exceeded", "wait")
        stays.send(PING.format("a"))
        self.assertEqual(stays.take()[0].get("type"), "result")
        self.guest("192.0.2.2")
        self.server.advance(61)
        self.guest()

    def test_refusalsAreForgiven(self) -> None:
        """Refusals count for a minute."""
        self.guests("stanzas_per_second = 1\nburst_stanzas = 1\nrefusals_per_minute = 10")
        client = self.guest()
        for _ in range(3):
            client.send("".join(PING.format(n) for n in range(9)))
            self.assertTrue(client.take())
            self.server.advance(61)
        self.assertFalse(client.streamClosed)

    def test_addressTogether(self) -> None:
        """All guests of an address share a pace, also those of one /64; others don't."""
        self.guests("address_stanzas_per_second = 1\nburst_stanzas = 10")
        one, two = self.guest("2001:db8::1"), self.guest("2001:db8::2")
        three = self.guest("2001:db8:0:1::2")

        def passed(client: object) -> int:
            for n in range(8):
                client.send(PING.format(n))  # type: ignore[attr-defined]
            return sum(each.get("type") == "result" for each in client.take())  # type: ignore[attr-defined]

        self.assertEqual((passed(one), passed(two), passed(three)), (8, 2, 8))

    def test_addressOutlastsGuests(self) -> None:
        """Coming anew doesn't empty the bucket of the address, until a minute has passed."""
        self.guests("address_stanzas_per_second = 1\nburst_stanzas = 10")
        client = self.guest()
        client.send("".join(PING.format(n) for n in range(10)))
        client.disconnect()
        client = self.guest()
        client.send(PING.format(1))
        self.assertEqual(len(self.errors(client)), 1)
        client.disconnect()
        self.server.advance(61)
        self.guest("192.0.2.9").disconnect()
        visits = self.server.host.guests.visits  # type: ignore[union-attr]
        self.assertEqual(list(visits._crowds), ["192.0.2.9"])

    def test_off(self) -> None:
        """With limits of pace off everything passes, but what is too large."""
        self.guests("stanzas_per_second = 1\nburst_stanzas = 1\nstanza_bytes = 10000", config="enabled = false")
        client = self.guest()
        for n in range(200):
            client.send(PING.format(n))
        self.assertEqual({each.get("type") for each in client.take()}, {"result"})
        client.send(f"<message to='romeo@example.org' id='1'><body>{'x' * 11_000}</body></message>")
        self.assertEqual(len(self.errors(client)), 1)

    def test_plainSessionsPayNothing(self) -> None:
        """A user's session has no restriction at all."""
        self.guests()
        romeo = self.server.login("romeo")
        session = self.server.server.router.session(romeo.jid)
        assert session is not None
        self.assertEqual((session._sendRefusals, session._receiveRefusals), ((), ()))  # type: ignore[attr-defined]

    def test_reloaded(self) -> None:
        """A new configuration holds for guests who are here."""
        self.guests("burst_stanzas = 50")
        client = self.guest()
        server = self.server.server
        text = server.config.hosts["example.org"]
        from dataclasses import replace

        config = replace(server.config, hosts={"example.org": replace(text, guest=replace(text.guest, burstStanzas=2))})
        outcome = server.reload(config)
        self.assertEqual((outcome.problems, outcome.remarks), ((), ()))
        for n in range(4):
            client.send(PING.format(n))
        self.assertEqual(len(self.errors(client)), 2)


class PacesTests(GuestCase):
    """L{Paces}."""

    def test_none(self) -> None:
        """Without a limit a bucket never fills."""
        paces = Paces.of(0, 5, 0, 5)
        self.assertEqual((paces.secondsPerStanza, paces.secondsPerByte), (0.0, 0.0))
        self.assertEqual(paces.stanzaRoom, float("inf"))
