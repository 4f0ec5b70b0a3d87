"""Tests of L{xmppd.features.xep0157_contact}."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from tests.doubles import Rig
from tests.marks import spec
from xmppd.config import HostConfig
from xmppd.features.xep0157_contact import feature
from xmppd.hooks import domainInfo
from xmppd.wire import forms


class ContactTests(SynchronousTestCase):
    """Addresses in disco#info."""

    @spec("XEP-0157", "3")
    def test_form(self) -> None:
        """Each role with addresses is a field of the form for server information."""
        contacts = {"support": ("mailto:help@example.org",), "abuse": ("mailto:a@example.org", "xmpp:a@example.org"), "sales": ()}
        rig = Rig(feature, config=HostConfig("example.org", contacts=contacts))
        (form,) = domainInfo(rig.host).forms
        self.assertEqual(form.attrs["type"], "result")
        self.assertEqual(
            forms.values(form),
            {
                "FORM_TYPE": ("http://jabber.org/network/serverinfo",),
                "abuse-addresses": ("mailto:a@example.org", "xmpp:a@example.org"),
                "support-addresses": ("mailto:help@example.org",),
            },
        )

    def test_nothing(self) -> None:
        """Without addresses there is no form."""
        self.assertEqual(domainInfo(Rig(feature).host).forms, ())
