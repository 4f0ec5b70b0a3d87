"""Tests of L{xmppd.features.xep0478_limits}."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from tests.doubles import FakeAccount, FakeStream, Rig
from tests.marks import spec
from xmppd.config import Limits
from xmppd.features.xep0478_limits import feature
from xmppd.ixmppd import IStreamFeature


class StreamLimitsTests(SynchronousTestCase):
    """Limits in the stream features."""

    def advertised(self, limits: Limits, *facts: str) -> bytes:
        """What a stream is told."""
        rig = Rig(feature, limits=limits)
        stream = FakeStream(rig.host, FakeAccount("a@example.org"), rig.clock)
        stream.facts = set(facts)
        (limited,) = rig.host.streamFeatures
        verifyObject(IStreamFeature, limited)
        return limited.advertise(stream)

    @spec("XEP-0478", "3.1", "4")
    def test_advertised(self) -> None:
        """Before the login the smaller size holds; afterwards the silence is told, too."""
        limits = Limits(stanzaBytes=100_000, unauthenticatedBytes=5000, idleSeconds=600)
        self.assertEqual(
            self.advertised(limits), b"<limits xmlns='urn:xmpp:stream-limits:0'><max-bytes>5000</max-bytes></limits>"
        )
        self.assertEqual(
            self.advertised(limits, "authenticated"),
            b"<limits xmlns='urn:xmpp:stream-limits:0'><max-bytes>100000</max-bytes>"
            b"<idle-seconds>600</idle-seconds></limits>",
        )

    def test_noIdleCheck(self) -> None:
        """Where nobody looks at silences none is told."""
        self.assertNotIn(b"idle", self.advertised(Limits(idleSeconds=0), "authenticated"))
