"""
What tests of services have in common: a host with users, and a service at a domain of its own beside it.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.doubles import CountingEntropy, Rig
from tests.features.asking import STANZAS, AskingCase
from xmppd.config import HostConfig, Limits
from xmppd.hooks import Feature
from xmppd.ixmppd import IWeb
from xmppd.route.absence import Absence
from xmppd.route.host import Host


class LongEntropy(CountingEntropy):
    """Tokens that can be foretold and are as long as real ones."""

    def token(self, octets: int = 16) -> str:
        """See L{IEntropy}."""
        return super().token(octets).ljust(octets * 4 // 3, "_")


def serve(
    rig: Rig, feature: Feature, domain: str, web: IWeb | None = None, folder: Path | None = None, **options: Any
) -> Host:
    """A service that joins a rig, as the server itself makes them."""
    values: Mapping[str, Any] = {**{key: option.default for key, option in feature.options.items()}, **options}
    config = HostConfig(domain, table=feature.serves, accounts=False, admins=("admin@example.org",))
    host = Host(
        domain, config, Limits(), rig.router, rig.host.ledger, rig.clock, LongEntropy(), lambda name, key: values[key]
    )
    host.presence = Absence()
    host.web, host.folder = web, folder
    host.identities.extend(feature.identities)
    host.namespaces.update(feature.namespaces)
    rig.router.addDestination(host)
    feature.join(host)
    rig.host.hooks.removed.addObserver(host.hooks.removed.notify)
    return host


class ServingCase(AskingCase):
    """Romeo and Juliet, and a service."""

    domain = ""

    def condition(self, type: str, payload: str, session: Any = None) -> tuple[str, str]:
        """Type and condition of the error that a request to the service gets."""
        answer = self.ask(session or self.romeo, type, payload, self.domain)
        self.assertEqual(answer.type, "error", answer.raw)
        error = answer.elements()[-1]
        return error.attrs["type"], next(each.name for each in error.elements() if each.ns == STANZAS)
