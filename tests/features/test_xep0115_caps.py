"""Tests of L{xmppd.features.xep0115_caps}."""

from __future__ import annotations

from base64 import b64encode
from hashlib import sha1

from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from tests.doubles import Rig
from tests.marks import spec
from xmppd.features import xep0030_disco, xep0115_caps
from xmppd.features.xep0115_caps import NODE, verification
from xmppd.hooks import DiscoInfo
from xmppd.ixmppd import IStreamFeature
from xmppd.wire import forms
from xmppd.wire.element import parse

MUC_CLIENT = (
    "http://jabber.org/protocol/muc",
    "http://jabber.org/protocol/disco#items",
    "http://jabber.org/protocol/disco#info",
    "http://jabber.org/protocol/caps",
)


class VerificationTests(SynchronousTestCase):
    """The verification string."""

    @spec("XEP-0115", "5.1", "5.2")
    def test_simpleExample(self) -> None:
        """The first example of the specification."""
        info = DiscoInfo((("client", "pc", "Exodus 0.9.1"),), MUC_CLIENT)
        self.assertEqual(verification(info), "QgayPKawpkPSDYmwT/WM94uAlu0=")

    @spec("XEP-0115", "5.1")
    def test_forms(self) -> None:
        """Forms are sorted by type, their fields by name, values among themselves; order doesn't matter."""
        one = forms.form("result", forms.field("b", "2", "1"), forms.field("a", "3"), formType="y")
        same = forms.form("result", forms.field("a", "3"), forms.field("b", "1", "2"), formType="y")
        other = forms.form("result", formType="x")
        identity = (("server", "im", ""),)
        self.assertEqual(
            verification(DiscoInfo(identity, ("f",), (one, other))), verification(DiscoInfo(identity, ("f",), (other, same)))
        )
        self.assertEqual(verification(DiscoInfo(identity, ("f",), (one, other))), b64encode(sha1(b"server/im//<f<x<y<a<3<b<1<2<").digest()).decode())


class CapabilitiesTests(SynchronousTestCase):
    """The server's capabilities."""

    def setUp(self) -> None:
        self.rig = Rig(xep0030_disco.feature, xep0115_caps.feature)
        self.session, self.stream = self.rig.bind("juliet@example.org/balcony")
        (self.capabilities,) = self.rig.host.streamFeatures

    def advertised(self) -> str:
        """The hash in the stream features."""
        element = parse(self.capabilities.advertise(self.stream))
        self.assertEqual(element.attrs["hash"], "sha-1")
        self.assertEqual(element.attrs["node"], NODE)
        return element.attrs["ver"]

    def ask(self, node: str) -> bytes:
        """What disco#info says of a node."""
        self.rig.send(
            self.session,
            f"<iq type='get' id='1' to='example.org'>"
            f"<query xmlns='http://jabber.org/protocol/disco#info' node='{node}'/></iq>".encode(),
        )
        return self.stream.takeBytes()[0]

    def test_provides(self) -> None:
        """It is a stream feature, after the login."""
        verifyObject(IStreamFeature, self.capabilities)
        self.assertEqual(self.capabilities.requires, {"authenticated"})

    @spec("XEP-0115", "6.2", "6.3")
    def test_node(self) -> None:
        """The advertised hash is that of what the node answers, which is what the domain answers."""
        ver = self.advertised()
        answer = self.ask(f"{NODE}#{ver}")
        query = next(parse(answer).elements())
        identities = tuple((e.attrs["category"], e.attrs["type"], e.attrs.get("name", "")) for e in query.elements("identity"))
        features = tuple(e.attrs["var"] for e in query.elements("feature"))
        self.assertEqual(verification(DiscoInfo(identities, features)), ver)

    @spec("XEP-0115", "6.1")
    def test_changes(self) -> None:
        """When features change the hash does; the former one is still answered, with the former features."""
        before = self.advertised()
        self.assertEqual(self.advertised(), before)
        self.rig.host.namespaces.add("urn:example:new")
        after = self.advertised()
        self.assertNotEqual(before, after)
        self.assertNotIn(b"urn:example:new", self.ask(f"{NODE}#{before}"))
        self.assertIn(b"urn:example:new", self.ask(f"{NODE}#{after}"))

    def test_unknownNode(self) -> None:
        """Another hash is not found, and only a few former ones are kept."""
        first = self.advertised()
        self.assertIn(b"item-not-found", self.ask(NODE + "#x"))
        for number in range(20):
            self.rig.host.namespaces.add(f"urn:example:{number}")
            self.advertised()
        self.assertIn(b"item-not-found", self.ask(f"{NODE}#{first}"))

    @spec("XEP-0115", "7")
    def test_advertised(self) -> None:
        """The namespace is among the features of the domain."""
        self.assertIn("http://jabber.org/protocol/caps", self.rig.host.namespaces)
