"""Tests of L{xmppd.features.rfc3921_session}."""

from __future__ import annotations

from zope.interface.verify import verifyObject

from tests.features.asking import JULIET, ROMEO, AskingCase
from tests.marks import spec
from xmppd.features.rfc3921_session import feature
from xmppd.ixmppd import IStreamFeature

SESSION = "<session xmlns='urn:ietf:params:xml:ns:xmpp-session'/>"


class SessionTests(AskingCase):
    """Old clients establish a session."""

    features = (feature,)

    @spec("RFC 3921", "3")
    def test_established(self) -> None:
        """The request succeeds and does nothing."""
        for to in (None, "example.org", JULIET):
            self.assertIsNone(self.result(self.juliet, "set", SESSION, to))

    def test_others(self) -> None:
        """Nobody establishes a session for another."""
        self.assertEqual(self.error(self.juliet, "set", SESSION, ROMEO), "service-unavailable")

    def test_advertised(self) -> None:
        """It is advertised as optional between login and binding."""
        (offered,) = self.rig.host.streamFeatures
        verifyObject(IStreamFeature, offered)
        self.assertEqual(
            offered.advertise(self.streams[self.juliet]),
            b"<session xmlns='urn:ietf:params:xml:ns:xmpp-session'><optional/></session>",
        )
        self.assertEqual((offered.requires, offered.forbids), ({"authenticated"}, {"bound"}))
