"""Tests of L{xmppd.features.xep0489_raa}."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from tests.doubles import Rig
from tests.marks import spec
from xmppd.config import HostConfig
from xmppd.features.rfc6121_im import feature as im
from xmppd.features.xep0489_raa import EMBEDDED, INFO, MARK, RAA, feature
from xmppd.wire.stanza import Stanza

DOMAIN = "example.org"
GUEST = "11111111-1111-4111-8111-111111111111@example.org"
JULIET = "juliet@example.org"
FORGED = b"<info xmlns='urn:xmpp:raa:0' affiliation='admin'/>"
QUERY = "<iq type='get' id='1' to='{}'><query xmlns='urn:xmpp:raa:0'/></iq>"


class Elsewhere:
    """Another domain, which keeps what comes."""

    domain = "rooms.example.org"

    def __init__(self) -> None:
        self.came: list[Stanza] = []

    def deliver(self, stanza: Stanza) -> None:
        """See L{IDestination}."""
        self.came.append(stanza)


class AffiliationCase(SynchronousTestCase):
    """Juliet and a guest."""

    settings: dict[str, Any] = {"guests": "public", "registration": "open"}

    def setUp(self) -> None:
        config = HostConfig(DOMAIN, admins=("admin@example.org",), **self.settings)
        self.rig = Rig(im, feature, config=config)
        self.rooms = Elsewhere()
        self.rig.router.addDestination(self.rooms)  # type: ignore[arg-type]
        self.juliet, self.stream = self.rig.bind(JULIET + "/balcony", available=True)
        self.guest, self.guests = self.rig.bind(GUEST + "/web", guest=True, available=True)

    def sent(self, session: Any, raw: bytes) -> bytes:
        """What of a stanza comes to another domain."""
        self.rig.send(session, raw)
        (stanza,) = self.rooms.came
        self.rooms.came.clear()
        self.assertEqual([each.qname for each in stanza.elements()], list(stanza.childNames))
        return stanza.raw

    def asked(self, session: Any, stream: Any, of: str) -> dict[str, str] | str:
        """The attributes that are the answer, or the error's condition."""
        stream.take()
        self.rig.send(session, QUERY.format(of).encode())
        (answer,) = stream.take()
        if answer.type == "error":
            return str(answer.elements()[-1].elements().__next__().name)
        return dict(answer.find(INFO).attrs)


@spec("mission", "A13")
class EmbeddingTests(AffiliationCase):
    """The mark on stanzas."""

    @spec("XEP-0489", "4.3")
    def test_guest(self) -> None:
        """A guest's messages, directed presence and requests have the mark."""
        for start, end in ((b"<message to='cave@rooms.example.org' type='groupchat'><body>a</body>", b"</message>"),
                           (b"<presence to='cave@rooms.example.org/a'><x xmlns='http://jabber.org/protocol/muc'/>", b"</presence>"),
                           (b"<presence to='x@rooms.example.org' type='unavailable'><status>a</status>", b"</presence>")):
            self.assertIn(MARK + end, self.sent(self.guest, start + end))
        self.rig.send(self.guest, b"<presence to='juliet@example.org' type='subscribe'/>")
        (request,) = [each for each in self.stream.take() if each.type == "subscribe"]
        self.assertIn(MARK, request.raw)

    @spec("XEP-0489", "5")
    def test_friends(self) -> None:
        """Who shows the guest its presence isn't told; neither is everybody, nor who is answered."""
        self.rig.send(self.guest, b"<presence to='juliet@example.org' type='subscribe'/>")
        self.rig.send(self.juliet, b"<presence to='%s' type='subscribed'/>" % GUEST.encode())
        self.stream.take()
        self.rig.send(self.guest, b"<message to='juliet@example.org'><body>a</body></message><presence/>")
        self.rig.send(self.guest, b"<presence to='juliet@example.org' type='subscribed'/>")
        came = self.stream.take()
        self.assertGreater(len(came), 0)
        self.assertNotIn(MARK, b"".join(each.raw for each in came))

    @spec("XEP-0489", "4.3", "7.2")
    def test_forged(self) -> None:
        """What clients say of themselves is taken out, whoever they are; the rest stays as it is."""
        message = b"<message to='cave@rooms.example.org'>%s<body a='1'  >b</body>%s</message>"
        raw = self.sent(self.juliet, message % (FORGED, b""))
        self.assertEqual(raw.partition(b">")[2], b"<body a='1'  >b</body></message>")
        raw = self.sent(self.guest, message % (FORGED, FORGED))
        self.assertEqual(raw.partition(b">")[2], b"<body a='1'  >b</body>" + MARK + b"</message>")
        renamed = b"<i:info xmlns:i='urn:xmpp:raa:0' affiliation='admin'/>"
        self.assertNotIn(b"admin", self.sent(self.juliet, message % (renamed, b"")))
        self.rig.send(self.juliet, b"<presence>" + FORGED + b"</presence>")
        self.assertNotIn(b"admin", self.juliet.presence.raw)  # type: ignore[union-attr]

    def test_others(self) -> None:
        """What isn't a guest's passes on as it came."""
        self.assertEqual(
            self.sent(self.juliet, b"<message  to='a@rooms.example.org' ><body>\n</body></message>"),
            b"<message from='juliet@example.org/balcony'  to='a@rooms.example.org' ><body>\n</body></message>",
        )

    @spec("XEP-0489", "6")
    def test_announced(self) -> None:
        """The domain says what it marks."""
        self.assertTrue({RAA, *EMBEDDED} <= self.rig.host.namespaces)


@spec("mission", "A13")
class QueryTests(AffiliationCase):
    """Asking."""

    @spec("XEP-0489", "4.2")
    def test_guest(self) -> None:
        """Everybody may know a guest."""
        self.assertEqual(self.asked(self.juliet, self.stream, GUEST), {"affiliation": "anonymous"})
        self.assertEqual(self.asked(self.guest, self.guests, GUEST), {"affiliation": "anonymous"})

    @spec("XEP-0489", "4.2", "5", "7.1")
    def test_account(self) -> None:
        """An account is known to itself, with the day it was made on for a while."""
        self.rig.clock.advance(7000)
        found = self.asked(self.juliet, self.stream, JULIET)
        self.assertEqual(found, {"affiliation": "registered", "since": "2001-09-09T00:00:00Z"})
        self.rig.clock.advance(40 * 86400)
        self.assertEqual(self.asked(self.juliet, self.stream, JULIET), {"affiliation": "registered"})

    @spec("XEP-0489", "4.2")
    def test_strangers(self) -> None:
        """To strangers an account is as good as none."""
        self.rig.account("romeo")
        for bare in ("romeo@example.org", "nobody@example.org"):
            self.assertEqual(self.asked(self.juliet, self.stream, bare), "forbidden")

    @spec("XEP-0489", "5")
    def test_admin(self) -> None:
        """An administrator is one to itself only."""
        admin, stream = self.rig.bind("admin@example.org/a")
        self.assertEqual(self.asked(admin, stream, "admin@example.org"), {"affiliation": "admin"})
        self.rig.send(admin, b"<presence to='juliet@example.org' type='subscribed'/>")
        self.rig.send(self.juliet, b"<presence to='admin@example.org' type='subscribe'/>")
        self.assertEqual(self.asked(self.juliet, self.stream, "admin@example.org")["affiliation"], "registered")  # type: ignore[index]


class MemberTests(AffiliationCase):
    """A host where nobody registers by themselves, without guests."""

    settings = {}

    @spec("XEP-0489", "3")
    def test_member(self) -> None:
        """Whoever was given an account is a member."""
        self.assertEqual(self.asked(self.juliet, self.stream, JULIET), {"affiliation": "member"})

    def test_unmarked(self) -> None:
        """Where there are no guests nothing is looked at, and nothing is announced."""
        self.assertFalse(self.juliet.sending)  # type: ignore[attr-defined]
        self.assertFalse(self.rig.host.namespaces & set(EMBEDDED))
