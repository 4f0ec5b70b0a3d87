"""C20: a stanza before the login."""

from __future__ import annotations

from tests.marks import spec
from tests.security.attack import AttackCase
from xmppd.wire import ns


@spec("RFC 6120", "4.9.3.12", "9.1")
class BeforeLoginTests(AttackCase):
    """It is never processed."""

    def test_stanzas(self) -> None:
        """Each kind, with and without a sender."""
        for stanza in (
            "<message to='romeo@example.org/orchard'><body>x</body></message>",
            "<message from='juliet@example.org/balcony' to='romeo@example.org/orchard'/>",
            "<presence to='romeo@example.org'/>",
            "<presence/>",
            "<iq type='get' id='1' to='romeo@example.org/orchard'><ping xmlns='urn:xmpp:ping'/></iq>",
            "<iq type='get' id='1' to='example.org'><query xmlns='http://jabber.org/protocol/disco#info'/></iq>",
            f"<iq type='set' id='1'><bind xmlns='{ns.BIND}'/></iq>",
            "<iq type='set' id='1'><query xmlns='jabber:iq:roster'><item jid='a@b'/></query></iq>",
        ):
            self.eachWay("opened", stanza, self.killed("not-authorized"))

    def test_beforeTheHeader(self) -> None:
        """Before there is a stream at all."""
        stanza = "<message xmlns='jabber:client' to='romeo@example.org/orchard'/>"
        self.eachWay("connected", stanza, self.killed("not-authorized", "bad-format", "invalid-namespace"))


class BeforeLoginTLSTests(BeforeLoginTests):
    """The same where TLS is required and has not been started."""

    tls = True
