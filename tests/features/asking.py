"""
What tests of features that answer queries have in common: clients that ask one thing and look at the answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from twisted.internet.defer import succeed
from twisted.trial.unittest import SynchronousTestCase

from tests.doubles import FakeStream, Rig
from xmppd.ixmppd import ISession
from xmppd.wire.element import Element
from xmppd.wire.stanza import Stanza

JULIET = "juliet@example.org"
ROMEO = "romeo@example.org"
STANZAS = "urn:ietf:params:xml:ns:xmpp-stanzas"
ADMIN = "admin@example.org"


class AskingCase(SynchronousTestCase):
    """
    One host with Juliet and Romeo online.

    @cvar features: what joins the host.
    @cvar options: what is given to L{Rig} besides.
    """

    features: Sequence[Any] = ()
    options: dict[str, Any] = {}

    def setUp(self) -> None:
        self.rig = Rig(*self.features, **self.options)
        self.prepare()
        self.streams: dict[ISession, FakeStream] = {}
        self.juliet = self.bind(JULIET + "/balcony")
        self.romeo = self.bind(ROMEO + "/orchard")

    def prepare(self) -> None:
        """What has to be done before anybody is there."""

    def bind(self, full: str, **keywords: Any) -> ISession:
        """One more client."""
        session, stream = self.rig.bind(full, **keywords)
        self.streams[session] = stream
        return session

    def subscribe(self, owner: str, contact: str, state: str) -> None:
        """From now on there is one entry in one roster."""
        self.rig.host.presence.subscription = lambda o, c: succeed(state if (o, c) == (owner, contact) else "none")

    def send(self, session: ISession, type: str, payload: str, to: str | None = None) -> None:
        """Send a request."""
        address = "" if to is None else f" to='{to}'"
        self.rig.send(session, f"<iq type='{type}' id='1'{address}>{payload}</iq>".encode())

    def ask(self, session: ISession, type: str, payload: str, to: str | None = None) -> Stanza:
        """Send a request and take the one answer, which the client can parse; other stanzas are passed over."""
        stream = self.streams[session]
        stream.take()
        self.send(session, type, payload, to)
        (answer,) = (stanza for stanza in stream.received if stanza.id == "1" and stanza.kind == "iq")
        stream.takeBytes()
        return answer

    def result(self, session: ISession, type: str, payload: str, to: str | None = None) -> Element | None:
        """The payload of a result; None if it is empty."""
        answer = self.ask(session, type, payload, to)
        self.assertEqual(answer.type, "result", answer.raw)
        return answer.elements()[0] if answer.elements() else None

    def error(self, session: ISession, type: str, payload: str, to: str | None = None) -> str:
        """The condition of an error."""
        answer = self.ask(session, type, payload, to)
        self.assertEqual(answer.type, "error", answer.raw)
        error = answer.elements()[-1]
        (condition,) = (each.name for each in error.elements() if each.ns == STANZAS and each.name != "text")
        return condition
