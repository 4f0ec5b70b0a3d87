"""
Contact addresses (XEP-0157): whom to write to about abuse, support and the rest, in disco#info of the domain.

The addresses come from the host's table C{contacts}, whose reader has made sure that they are URIs.
"""

from __future__ import annotations

from xmppd.hooks import EVERYWHERE, Feature, Spec
from xmppd.ixmppd import IHost
from xmppd.wire import forms, ns


def join(host: IHost) -> None:
    """Add the form, if there is anything in it (section 3)."""
    roles = sorted((role, addresses) for role, addresses in host.config.contacts.items() if addresses)
    if roles:
        fields = [forms.field(f"{role}-addresses", *addresses, type="list-multi") for role, addresses in roles]
        host.disco.forms.append(forms.form("result", *fields, formType=ns.SERVER_INFO))


feature = Feature(name="xep0157_contact", specs=(Spec("XEP-0157", "1.1.1"),), join=join, joins=EVERYWHERE)
