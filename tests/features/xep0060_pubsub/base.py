"""
What tests of publish-subscribe have in common: a service at its own domain beside a host of users.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tests.doubles import CountingEntropy, Rig
from tests.features.asking import JULIET, ROMEO, AskingCase
from xmppd.config import HostConfig
from xmppd.features import xep0030_disco, xep0050_commands
from xmppd.features.xep0060_pubsub import feature
from xmppd.ixmppd import ISession
from xmppd.route.absence import Absence
from xmppd.route.host import Host
from xmppd.wire.element import Element
from xmppd.wire.stanza import Stanza

SERVICE = "pubsub.example.org"
PUBSUB = "http://jabber.org/protocol/pubsub"
OWNER = PUBSUB + "#owner"
EVENT = PUBSUB + "#event"
ERRORS = PUBSUB + "#errors"
STANZAS = "urn:ietf:params:xml:ns:xmpp-stanzas"
ENTRY = "<entry xmlns='urn:entry'>{}</entry>"

__all__ = ["ERRORS", "EVENT", "JULIET", "OWNER", "PUBSUB", "ROMEO", "SERVICE", "ServiceCase"]


def form(values: dict[str, Any], type: str = "node_config") -> str:
    """A submitted form; the names of fields without their prefix."""
    rows = [f"<field var='FORM_TYPE' type='hidden'><value>{PUBSUB}#{type}</value></field>"]
    for name, value in values.items():
        texts = value if isinstance(value, (list, tuple)) else [value]
        rows.append(f"<field var='pubsub#{name}'>" + "".join(f"<value>{text}</value>" for text in texts) + "</field>")
    return "<x xmlns='jabber:x:data' type='submit'>" + "".join(rows) + "</x>"


class PubSubCase(AskingCase):
    """
    Requests about nodes, of a service or an account.

    @cvar service: whom they are sent to by default.
    """

    service: str | None = SERVICE

    def request(self, session: ISession, type: str, content: str, owner: bool = False, to: str | None = "") -> Stanza:
        """Ask, and take the answer."""
        namespace = OWNER if owner else PUBSUB
        payload = f"<pubsub xmlns='{namespace}'>{content}</pubsub>"
        return self.ask(session, type, payload, self.service if to == "" else to)

    def get(self, session: ISession, content: str, owner: bool = False, to: str | None = "") -> Element:
        """The first element inside the result."""
        answer = self.request(session, "get", content, owner, to)
        self.assertEqual(answer.type, "result", answer.raw)
        return next(answer.elements()[0].elements())

    def set(self, session: ISession, content: str, owner: bool = False, to: str | None = "") -> Element | None:
        """What the result of a change has in it, if anything."""
        answer = self.request(session, "set", content, owner, to)
        self.assertEqual(answer.type, "result", answer.raw)
        return answer.elements()[0] if answer.elements() else None

    def refused(
        self, session: ISession, type: str, content: str, owner: bool = False, to: str | None = ""
    ) -> tuple[str, ...]:
        """The type, the condition and the specific condition of an error (with the feature that is unsupported)."""
        answer = self.request(session, type, content, owner, to)
        self.assertEqual(answer.type, "error", answer.raw)
        error = answer.elements()[-1]
        found = [error.get("type") or ""]
        for each in error.elements():
            if each.name != "text":
                found.append(each.name + (f" {each.get('feature')}" if each.get("feature") else ""))
        return tuple(found)

    def create(self, session: ISession, node: str, **config: Any) -> None:
        """Create a node."""
        configure = f"<configure>{form(config)}</configure>" if config else ""
        self.set(session, f"<create node='{node}'/>{configure}")
        self.forgetAll()

    def publish(self, session: ISession, node: str, id: str, text: str = "x", **options: Any) -> None:
        """Publish an item."""
        more = f"<publish-options>{form(options, 'publish-options')}</publish-options>" if options else ""
        self.set(session, f"<publish node='{node}'><item id='{id}'>{ENTRY.format(text)}</item></publish>{more}")

    def subscribe(self, session: ISession, node: str, jid: str | None = None) -> str:
        """Subscribe; answers the id of the subscription."""
        result = self.set(session, f"<subscribe node='{node}' jid='{jid or session.bare}'/>")
        assert result is not None
        subscription = next(result.elements())
        self.forgetAll()
        return subscription.get("subid") or ""

    def ids(self, session: ISession, node: str, **attrs: Any) -> list[str]:
        """The ids of a node's items, as they are retrieved."""
        more = "".join(f" {key}='{value}'" for key, value in attrs.items())
        return [item.get("id") or "" for item in self.get(session, f"<items node='{node}'{more}/>").elements("item")]

    def events(self, session: ISession) -> list[Element]:
        """What is inside the events that came since the last time."""
        stream = self.streams[session]
        found = [event for stanza in stream.take() for event in [stanza.find(f"{EVENT} event")] if event is not None]
        return [next(event.elements()) for event in found]

    def messages(self, session: ISession) -> list[Stanza]:
        """The messages that came since the last time."""
        return [stanza for stanza in self.streams[session].take() if stanza.kind == "message"]

    def forgetAll(self) -> None:
        """Nothing has come yet."""
        for stream in self.streams.values():
            stream.take()

    def affiliate(self, session: ISession, node: str, **affiliations: str) -> None:
        """Change affiliations of users of the host."""
        changes = "".join(
            f"<affiliation jid='{who}@example.org' affiliation='{what}'/>" for who, what in affiliations.items()
        )
        self.set(session, f"<affiliations node='{node}'>{changes}</affiliations>", owner=True)
        self.forgetAll()


class ServiceCase(PubSubCase):
    """
    A service; Juliet and Romeo are online and available, and so is the administrator.

    @cvar serviceOptions: options of the service that aren't at their default.
    """

    serviceOptions: dict[str, Any] = {}
    serviceFeatures: Sequence[Any] = (xep0030_disco.feature, xep0050_commands.feature, feature)

    def setUp(self) -> None:
        super().setUp()
        for session in (self.juliet, self.romeo):
            self.rig.send(session, b"<presence/>")
        self.admin = self.bind("admin@example.org/desk")
        self.forgetAll()

    def prepare(self) -> None:
        """The service."""
        self.host = makeService(self.rig, self.serviceFeatures, self.serviceOptions)


def makeService(rig: Rig, features: Sequence[Any], given: dict[str, Any]) -> Host:
    """A service beside the host of a rig."""
    options = {(each.name, key): option.default for each in features for key, option in each.options.items()}
    options.update({(feature.name, key): value for key, value in given.items()})
    config = HostConfig(SERVICE, table="pubsub", accounts=False, admins=("admin@example.org",))
    host = Host(
        SERVICE,
        config,
        rig.host.limits,
        rig.router,
        rig.host.ledger,
        rig.clock,
        CountingEntropy(),
        lambda feature, key: options[feature, key],
    )
    host.presence = Absence()
    rig.router.addDestination(host)
    for each in features:
        each.join(host)
        host.identities.extend(each.identities)
        host.namespaces.update(each.namespaces)
    return host
