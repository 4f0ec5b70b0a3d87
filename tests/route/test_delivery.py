"""
Tests of L{xmppd.route.delivery}: each cell of the table in RFC 6121 section 8.5.4, and what lies behind them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred, fail
from twisted.trial.unittest import SynchronousTestCase

from tests.doubles import Rig
from tests.marks import spec
from xmppd.ixmppd import StoreUnavailable
from xmppd.wire.stanza import Stanza

COLUMNS = ("normal", "chat", "groupchat", "headline", "error")

TABLE = """
    no account          bare      E  E  E  S  S
    no account          full      E  E  E  S  S
    no resources        bare      O  O  E  S  S
    no resources        full      E  O  E  S  S
    unavailable only    bare      O  O  E  S  S
    unavailable only    match     D  D  D  D  D
    unavailable only    full      E  O  E  S  S
    negative only       bare      O  O  E  S  S
    negative only       match     D  D  D  D  D
    negative only       full      E  O  E  S  S
    one                 bare      D  D  E  D  S
    one                 match     D  D  D  D  D
    one                 full      E  D  E  S  S
    several             bare      M  M  E  A  S
    several             match     D  D  D  D  D
    several             full      E  M  E  S  S
"""
"""
The RFC's table with the choices made: O stored offline, E error to the sender, S silently ignored, D delivered to the
(addressed) resource, M to the most available, A to all with non-negative priority.
"""

CONDITIONS: dict[str, dict[str, int | None]] = {
    "no account": {},
    "no resources": {},
    "unavailable only": {"balcony": None},
    "negative only": {"balcony": -1},
    "one": {"balcony": 0},
    "several": {"balcony": 5, "chamber": 5, "garden": 1, "cellar": -3, "attic": None},
}
"""Resources with their priorities; None is connected but not available."""

RECEIVERS = {"M": ["balcony", "chamber"], "A": ["balcony", "chamber", "garden"], "D": ["balcony"]}


class Spool:
    """Takes what can't be delivered."""

    def __init__(self) -> None:
        self.taken: list[tuple[str, str]] = []

    def take(self, stanza: Stanza, bare: str) -> None:
        """See the hook C{undeliverable}."""
        self.taken.append((stanza.attrs["to"], bare))


class TableTests(SynchronousTestCase):
    """One test for each cell; they are made below."""

    def cell(self, condition: str, address: str, type: str, expected: str) -> None:
        """Send one message of C{type} and see where it went."""
        rig = Rig()
        spool = Spool()
        rig.host.hooks.undeliverable.addChange(spool.take)
        romeo, romeoStream = rig.bind("romeo@example.org/orchard")
        streams = {}
        for resource, priority in CONDITIONS[condition].items():
            session, streams[resource] = rig.bind(f"juliet@example.org/{resource}")
            if priority is not None:
                rig.send(session, b"<presence/>")
                session.priority = priority
        if condition == "no resources":
            rig.account("juliet")
        to = "juliet@example.org" + {"bare": "", "match": "/balcony", "full": "/nowhere"}[address]
        rig.send(romeo, f"<message to='{to}' type='{type}'><body>hi</body></message>".encode())

        got = [name for name, stream in streams.items() for _ in stream.take()]
        answers = romeoStream.take()
        self.assertEqual(sorted(got), sorted(RECEIVERS.get(expected, [])))
        self.assertEqual(spool.taken, [(to, "juliet@example.org")] if expected == "O" else [])
        self.assertEqual([answer.type for answer in answers], ["error"] if expected == "E" else [])
        for answer in answers:
            self.assertIn(b"<service-unavailable ", answer.raw)
            self.assertEqual(answer.sender, to)


def _test(condition: str, address: str, type: str, expected: str) -> Callable[[TableTests], None]:
    def test(self: TableTests) -> None:
        self.cell(condition, address, type, expected)

    test.__doc__ = f"A message of type {type}, {address}, {condition}: {expected}."
    return test


for line in TABLE.strip().split("\n"):
    _condition, _rest = line.strip()[:20].strip(), line.strip()[20:].split()
    for _type, _cell in zip(COLUMNS, _rest[1:], strict=True):
        _name = f"test_{_condition.title().replace(' ', '')}{_rest[0].title()}{_type.title()}"
        setattr(TableTests, _name, spec("RFC 6121", "8.5.4")(_test(_condition, _rest[0], _type, _cell)))


class DeliveryTests(SynchronousTestCase):
    """The rest of section 8.5 about messages."""

    def setUp(self) -> None:
        self.rig = Rig()
        self.romeo, self.romeoStream = self.rig.bind("romeo@example.org/orchard")

    def say(self, raw: bytes) -> None:
        """Romeo sends."""
        self.rig.send(self.romeo, raw)

    @spec("RFC 6121", "8.5.2.1.1")
    def test_toIsNotRewritten(self) -> None:
        """A message for the bare JID arrives with the bare JID in C{to}."""
        _, stream = self.rig.bind("juliet@example.org/balcony", available=True)
        self.say(b"<message to='juliet@example.org'><body>hi</body></message>")
        self.assertEqual(
            stream.takeBytes(),
            [b"<message from='romeo@example.org/orchard' to='juliet@example.org'><body>hi</body></message>"],
        )

    @spec("RFC 6121", "5.2.2")
    def test_unknownTypeIsNormal(self) -> None:
        """A type nobody knows is treated as normal."""
        _, stream = self.rig.bind("juliet@example.org/balcony", available=True)
        self.say(b"<message to='juliet@example.org' type='billet-doux'><body>hi</body></message>")
        self.assertEqual(len(stream.take()), 1)
        self.say(b"<message to='juliet@example.org/nowhere' type='billet-doux'><body>hi</body></message>")
        self.assertIn(b"service-unavailable", self.romeoStream.takeBytes()[0])

    @spec("RFC 6121", "8.5.2.1.1")
    def test_nobodyTakesIt(self) -> None:
        """What can't be stored is answered with an error."""
        self.rig.account("juliet")
        self.say(b"<message to='juliet@example.org' type='chat'><body>hi</body></message>")
        self.assertIn(b"service-unavailable", self.romeoStream.takeBytes()[0])

    @spec("RFC 6120", "8.1.1.1")
    def test_ownAccount(self) -> None:
        """A message without C{to} is for the sender's own account."""
        session, stream = self.rig.bind("juliet@example.org/balcony", available=True)
        self.rig.send(session, b"<message><body>note</body></message>")
        self.assertEqual(stream.take()[0].sender, "juliet@example.org/balcony")

    @spec("RFC 6120", "10.1")
    def test_orderWhileAccountIsLookedUp(self) -> None:
        """Messages that wait for the answer about the account keep their order, also with those that come later."""
        answer: Deferred[Any] = Deferred()
        self.patch(self.rig.host.accounts, "get", lambda bare: answer)
        bodies: list[bytes] = []
        self.rig.host.hooks.undeliverable.addChange(lambda stanza, bare: bodies.append(stanza.inner))
        for word in (b"1", b"2", b"3"):
            self.say(b"<message to='juliet@example.org'><body>" + word + b"</body></message>")
        self.assertEqual(bodies, [])
        answer.callback(object())
        self.assertEqual(bodies, [b"<body>1</body>", b"<body>2</body>", b"<body>3</body>"])

    def test_storeFails(self) -> None:
        """If it can't be known whether there is the account, the sender may try again."""
        self.patch(self.rig.host.accounts, "get", lambda bare: fail(StoreUnavailable()))
        self.say(b"<message to='juliet@example.org'><body>hi</body></message>")
        (answer,) = self.romeoStream.takeBytes()
        self.assertIn(b"type='wait'", answer)
        self.assertIn(b"resource-constraint", answer)
