"""Tests of L{xmppd.route.sessions}."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from tests.doubles import FakeAccount, FakeStream, Rig
from tests.marks import spec
from xmppd.wire.element import LANG


class RouteTests(SynchronousTestCase):
    """Stanzas between two local sessions."""

    def setUp(self) -> None:
        self.rig = Rig()
        self.romeo, self.romeoStream = self.rig.bind("romeo@example.org/orchard")
        self.juliet, self.julietStream = self.rig.bind("juliet@example.org/balcony")

    @spec("RFC 6120", "8.1.2.1")
    def test_messageIsStampedAndOtherwiseVerbatim(self) -> None:
        """A message between full JIDs arrives with the true sender and not one other byte changed."""
        self.rig.send(self.romeo, b"<message\tto='juliet@example.org/balcony'><body>a &lt; \"b\"</body ></message >")
        self.assertEqual(
            self.julietStream.takeBytes(),
            [
                b"<message from='romeo@example.org/orchard'\tto='juliet@example.org/balcony'>"
                b'<body>a &lt; "b"</body ></message >'
            ],
        )

    @spec("RFC 6120", "8.1.2.1")
    def test_forgedSenderIsOverwritten(self) -> None:
        """Whatever C{from} the client claims, the receiver sees who sent it."""
        self.rig.send(self.romeo, b"<message from='admin@example.org' to='juliet@example.org/balcony'/>")
        self.assertEqual(self.julietStream.take()[0].sender, "romeo@example.org/orchard")

    @spec("RFC 6120", "8.1.5")
    def test_languageOfTheStream(self) -> None:
        """A stanza without a language gets that of its sender's stream; one with a language keeps it."""
        stream = FakeStream(self.rig.host, FakeAccount("romeo@example.org"), self.rig.clock)
        stream.language = "it"
        self.romeo.attach(stream)
        self.rig.send(self.romeo, b"<message to='juliet@example.org/balcony'/>")
        self.rig.send(self.romeo, b"<message xml:lang='de' to='juliet@example.org/balcony'/>")
        languages = [stanza.attrs[LANG] for stanza in self.julietStream.take()]
        self.assertEqual(languages, ["it", "de"])

    @spec("RFC 6120", "8.2.3")
    def test_badRequestsAreAnswered(self) -> None:
        """An IQ without id, with a bogus type, without a child, with two."""
        for raw in (
            b"<iq type='get' to='juliet@example.org/balcony'><a xmlns='b'/></iq>",
            b"<iq type='bogus' id='1' to='juliet@example.org/balcony'><a xmlns='b'/></iq>",
            b"<iq type='get' id='1' to='juliet@example.org/balcony'/>",
            b"<iq type='set' id='1' to='juliet@example.org/balcony'><a xmlns='b'/><c xmlns='b'/></iq>",
        ):
            self.rig.send(self.romeo, raw)
            (answer,) = self.romeoStream.takeBytes()
            self.assertIn(b"bad-request", answer)
            self.assertEqual(self.julietStream.take(), [])
