"""Streams and certificates as ad-hoc commands."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from lxml import etree
from twisted.internet.defer import Deferred, fail, succeed
from zope.interface import implementer
from zope.interface.verify import verifyObject

from tests.features import administering
from tests.features.administering import AdministeringCase
from tests.features.asking import ADMIN
from tests.marks import spec
from xmppd.config import HostConfig
from xmppd.features import xep0050_commands, xep0133_streams
from xmppd.hooks import Feature
from xmppd.ixmppd import IInspection, StoreUnavailable
from xmppd.wire import forms
from xmppd.wire.element import Element

HOSTILE = "CN=<b>\x01\x1b\ud800 & co"

CERTIFICATE = {
    "subject": HOSTILE, "issuer": "CN=Encrypt Us", "serial": "ab", "not_before": 0.0, "not_after": 1e9,
    "dns_names": ["example.net", "*.example.net"], "service_names": [], "xmpp_addresses": [], "key": "RSA",
    "key_bits": 2048, "signature_hash": "sha256", "sha256": "ab" * 32, "public_key_sha256": "cd" * 32,
    "self_issued": False, "pem": "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
}

STREAM = {
    "id": "0123", "kind": "s2s", "direction": "out", "address": "192.0.2.1:5269", "jid": "example.org > example.net",
    "state": "server", "tls": "TLSv1.3", "cipher": "TLS_AES_128_GCM_SHA256", "mechanism": "EXTERNAL",
    "channel_binding": None, "proof": "DANE-EE", "certificate": CERTIFICATE, "change": {"changes": ["early", "new-key"]},
    "verdict": ["accepted by DANE-EE", "  because"],
}

SIGHTING = {
    "incoming": False, "first_seen": 1e8, "last_seen": 2e8, "prooftype": "PKIX", "authority": HOSTILE, "not_before": 0.0,
    "not_after": 1e9, "sha256": "ab" * 32, "public_key_sha256": "cd" * 32, "chain": [CERTIFICATE, CERTIFICATE],
}

WARNING = {"at": 2e8, "incoming": False, "changes": ["early"], "text": "a \x1b key", "acknowledged": None, "by": ""}


@implementer(IInspection)
class FakeInspection:
    """One stream, and one domain."""

    def __init__(self) -> None:
        self.asked: list[Any] = []
        self.count = 1
        self.waiting = 1

    def streams(self, host: str, peer: str | None = None, servers: bool | None = None) -> Iterator[Mapping[str, Any]]:
        """See L{IInspection}."""
        self.asked.append((host, peer, servers))
        return iter([STREAM] * self.count)

    def stream(self, host: str, id: str) -> Mapping[str, Any] | None:
        """See L{IInspection}."""
        return {**STREAM, "chain": [CERTIFICATE, {"unreadable": True, "pem": "x"}]} if id == "0123" else None

    def domains(self) -> Deferred[Sequence[str]]:
        """See L{IInspection}."""
        return succeed(["a.example", "example.net"])

    def history(self, domain: str) -> Deferred[Mapping[str, Any] | None]:
        """See L{IInspection}."""
        if domain == "broken.example":
            return fail(StoreUnavailable())
        empty = {**SIGHTING, "sha256": "", "chain": []}
        known = {"domain": domain, "sightings": [SIGHTING, empty], "warnings": [WARNING]}
        return succeed(known if domain == "example.net" else None)

    def acknowledge(self, domain: str, by: str) -> Deferred[int]:
        """See L{IInspection}."""
        self.asked.append((domain, by))
        found, self.waiting = self.waiting, 0
        return succeed(found)


@spec("XEP-0050", "2.4")
@spec("XEP-0004", "3.4")
@spec("mission", "T10", "T11", "T12", "T13")
class StreamsTests(AdministeringCase):
    """The commands, for an administrator and for somebody else."""

    inspection = FakeInspection()
    options = {"config": HostConfig("example.org", admins=(ADMIN,))}

    def setUp(self) -> None:
        self.inspection = FakeInspection()

        def join(host: Any) -> None:
            host.inspection = self.inspection

        self.features = (Feature(name="first", join=join), xep0050_commands.feature, xep0133_streams.feature)
        self.patch(administering, "NODE", "urn:xmppd:streams:0#")
        super().setUp()

    def form(self, command: Element) -> Element:
        """The form of a command, which has to be well-formed on the wire."""
        etree.fromstring(command.toBytes())
        form = forms.formIn(command)
        assert form is not None
        self.assertEqual(forms.formTypeOf(form), "urn:xmppd:streams:0")
        return form

    def table(self, form: Element) -> list[dict[str, tuple[str, ...]]]:
        """The rows, which have the columns that were reported."""
        reported = form.find("reported")
        assert reported is not None
        columns = [each.attrs["var"] for each in reported.elements("field")]
        rows = [forms.values(item) for item in form.elements("item")]
        for row in rows:
            self.assertEqual(list(row), columns)
        return rows

    def test_interface(self) -> None:
        """The double is none of another interface."""
        verifyObject(IInspection, self.inspection)

    def test_list(self) -> None:
        """A table of streams with what secures each."""
        (row,) = self.table(self.form(self.do("list")))
        for var, value in (("tls", "TLSv1.3"), ("cipher", "TLS_AES_128_GCM_SHA256"), ("proof", "DANE-EE"),
                           ("mechanism", "EXTERNAL"), ("certificate_sha256", "ab" * 32), ("change", "early new-key"),
                           ("certificate_until", "2001-09-09T01:46:40Z")):
            self.assertEqual(row[var], (value,))
        self.assertEqual(row["channel_binding"], ())
        self.do("list", which="all", peer="Example.NET")
        self.assertEqual(self.inspection.asked, [("example.org", None, True), ("example.org", "example.net", None)])

    def test_many(self) -> None:
        """A long list is cut, which is said."""
        self.inspection.count = 500
        done = self.do("list")
        self.assertEqual(len(self.table(self.form(done))), 100)
        self.assertEqual([note.text for note in done.elements("note")], ["Only the first 100 are shown."])

    def test_nonsense(self) -> None:
        """What can't be meant is refused."""
        self.assertEqual(self.failing("list", which="some"), "not-acceptable")
        self.assertEqual(self.failing("list", peer="@"), "not-acceptable")
        self.assertEqual(self.failing("show", id="9"), "item-not-found")
        self.assertEqual(self.failing("history", domain="a b"), "not-acceptable")
        self.assertEqual(self.failing("history", domain="nobody.example"), "item-not-found")

    def test_show(self) -> None:
        """One stream with its chain; what a certificate has in it doesn't break the stream."""
        values = forms.values(self.form(self.do("show", id="0123")))
        self.assertEqual(values["verdict"], ("accepted by DANE-EE", "  because"))
        self.assertEqual(values["certificate1_subject"], ("CN=<b>\ufffd\ufffd\ufffd & co",))
        self.assertEqual(values["certificate1_dns_names"], ("example.net", "*.example.net"))
        self.assertEqual(values["certificate1_pem"][0], "-----BEGIN CERTIFICATE-----")
        self.assertEqual(values["certificate1_not_after"], ("2001-09-09T01:46:40Z",))
        self.assertEqual(values["certificate2_pem"], ("x",))

    def test_history(self) -> None:
        """What a domain has shown, the certificates, the warnings; and the domains."""
        form = self.form(self.do("history", domain="EXAMPLE.net"))
        kept, gone = self.table(form)
        self.assertEqual(kept["names"], ("example.net, *.example.net",))
        self.assertEqual(len(kept["pem"]), 6)
        self.assertEqual((gone["pem"], gone["not_after"]), ((), ()))
        (warning,) = forms.values(form)["warnings"]
        self.assertIn("early: a \ufffd key", warning)
        self.assertEqual(forms.values(self.form(self.do("history")))["domains"], ("a.example", "example.net"))

    def test_acknowledge(self) -> None:
        """It is noted who has looked; once."""
        (note,) = self.do("acknowledge", domain="example.net").elements("note")
        self.assertEqual(note.text, "Acknowledged: 1.")
        self.assertEqual(self.inspection.asked, [("example.net", ADMIN)])
        self.assertEqual(self.failing("acknowledge", domain="example.net"), "item-not-found")

    def test_others(self) -> None:
        """Nobody else may, nor finds them."""
        for name in ("list", "show", "history", "acknowledge"):
            self.assertEqual(self.error(self.romeo, "set", self.command(name), "example.org"), "forbidden")
        query = "<query xmlns='http://jabber.org/protocol/disco#items' node='http://jabber.org/protocol/commands'/>"
        self.assertNotIn(b"streams", self.ask(self.romeo, "get", query, "example.org").raw)

    def test_unavailable(self) -> None:
        """The database can be away."""
        self.assertEqual(self.failing("history", domain="broken.example"), "resource-constraint")


class AbsentTests(AdministeringCase):
    """Where nothing can be looked at."""

    features = (xep0050_commands.feature, xep0133_streams.feature)
    options = {"config": HostConfig("example.org", admins=(ADMIN,))}

    def test_absent(self) -> None:
        """There are no commands."""
        self.patch(administering, "NODE", "urn:xmppd:streams:0#")
        self.assertEqual(self.error(self.admin, "set", self.command("list"), "example.org"), "item-not-found")
