"""
Every cell of the tables in RFC 6121 appendix A, each tried with stanzas against a host and its store.
"""

from __future__ import annotations

from collections.abc import Callable

from tests.features.rfc6121_im.base import IMTestCase, told
from tests.marks import spec
from xmppd.features.rfc6121_im.states import INBOUND, OUTBOUND, State, stateOf
from xmppd.ixmppd import RosterItem

REQUEST = b"<presence from='nurse@example.net' to='juliet@example.org' type='subscribe'><status>first</status></presence>"

STATES = {
    "None": RosterItem("nurse@example.net"),
    "None + Pending Out": RosterItem("nurse@example.net", ask=True),
    "None + Pending In": RosterItem("nurse@example.net", pendingIn=REQUEST),
    "None + Pending Out+In": RosterItem("nurse@example.net", ask=True, pendingIn=REQUEST),
    "To": RosterItem("nurse@example.net", subscription="to"),
    "To + Pending In": RosterItem("nurse@example.net", subscription="to", pendingIn=REQUEST),
    "From": RosterItem("nurse@example.net", subscription="from"),
    "From + Pending Out": RosterItem("nurse@example.net", subscription="from", ask=True),
    "Both": RosterItem("nurse@example.net", subscription="both"),
}

# The columns are the states above in their order. Each cell: does the stanza pass ("yes", "no"), and the new state.
TABLES: dict[tuple[str, str], str] = {
    ("out", "subscribe"): """
        yes None + Pending Out | yes None + Pending Out | yes None + Pending Out+In | yes None + Pending Out+In
        | yes To | yes To + Pending In | yes From + Pending Out | yes From + Pending Out | yes Both
    """,
    ("out", "unsubscribe"): """
        yes None | yes None | yes None + Pending In | yes None + Pending In | yes None | yes None + Pending In
        | yes From | yes From | yes From
    """,
    ("out", "subscribed"): """
        no None | no None + Pending Out | yes From | yes From + Pending Out | no To | yes Both
        | no From | no From + Pending Out | no Both
    """,
    ("out", "unsubscribed"): """
        no None | no None + Pending Out | yes None | yes None + Pending Out | no To | yes To
        | yes None | yes None + Pending Out | yes To
    """,
    ("in", "subscribe"): """
        yes None + Pending In | yes None + Pending Out+In | no None + Pending In | no None + Pending Out+In
        | yes To + Pending In | no To + Pending In | no From | no From + Pending Out | no Both
    """,
    ("in", "unsubscribe"): """
        no None | no None + Pending Out | yes None | yes None + Pending Out | no To | yes To
        | yes None | yes None + Pending Out | yes To
    """,
    ("in", "subscribed"): """
        no None | yes To | no None + Pending In | yes To + Pending In | no To | no To + Pending In
        | no From | yes Both | no Both
    """,
    ("in", "unsubscribed"): """
        no None | yes None | no None + Pending In | yes None + Pending In | yes None | yes None + Pending In
        | no From | yes From | yes From
    """,
}

REPLIES = {
    ("subscribe", "From"): "subscribed",
    ("subscribe", "From + Pending Out"): "subscribed",
    ("subscribe", "Both"): "subscribed",
    ("unsubscribe", "None + Pending In"): "unsubscribed",
    ("unsubscribe", "None + Pending Out+In"): "unsubscribed",
    ("unsubscribe", "To + Pending In"): "unsubscribed",
    ("unsubscribe", "From"): "unsubscribed",
    ("unsubscribe", "From + Pending Out"): "unsubscribed",
    ("unsubscribe", "Both"): "unsubscribed",
}
"""What the server answers inbound stanzas on the user's behalf (notes 1 and 2 in A.3)."""

SECTIONS = {"subscribe": "1", "unsubscribe": "2", "subscribed": "3", "unsubscribed": "4"}


class CellTests(IMTestCase):
    """One test for each cell, made below."""

    def state(self) -> str:
        """The state juliet's item for nurse is in."""
        item = self.stored("juliet@example.org")["nurse@example.net"]
        return next(name for name, each in STATES.items() if stateOf(each) is stateOf(item))

    def cell(self, direction: str, type: str, old: str, passes: bool, new: str) -> None:
        """Put juliet's item for nurse into a state, send a stanza, and look at everything."""
        self.put("juliet@example.org", STATES[old])
        session, stream = self.interested("juliet@example.org/balcony")
        if direction == "out":
            self.rig.send(session, f"<presence to='nurse@example.net' type='{type}' id='1'/>".encode())
            seen = [each for each in map(told, self.elsewhere.take()) if each[0] == type]
            wanted = (type, "juliet@example.org", "nurse@example.net")
        else:
            self.rig.inject(f"<presence from='nurse@example.net' to='juliet@example.org' type='{type}' id='1'/>".encode())
            got, answers = stream.take(), self.elsewhere.take()
            seen = [each for each in map(told, got) if each[0] == type]
            wanted = (type, "nurse@example.net", "juliet@example.org")
            reply = REPLIES.get((type, old))
            replies = [each for each in map(told, answers) if each[0] not in (None, "unavailable")]
            self.assertEqual(replies, [(reply, "juliet@example.org", "nurse@example.net")] if reply else [])
        self.assertEqual(seen, [wanted] if passes else [])
        self.assertEqual(self.state(), new)


def _test(*cell: object) -> Callable[[CellTests], None]:
    def test(self: CellTests) -> None:
        self.cell(*cell)  # type: ignore[arg-type]

    test.__doc__ = "{}bound {} in the state {!r}: passes {}, new state {!r}.".format(*cell)
    return test


for (_direction, _type), _text in TABLES.items():
    _cells = [cell.strip() for cell in _text.split("|")]
    for _old, _cell in zip(STATES, _cells, strict=True):
        _passes, _, _new = _cell.partition(" ")
        _name = f"test_{_direction}{_type.title()}In{''.join(c for c in _old.title() if c.isalpha())}"
        assert not hasattr(CellTests, _name)
        _section = f"A.{2 if _direction == 'out' else 3}.{SECTIONS[_type]}"
        _made = _test(_direction, _type, _old, _passes == "yes", _new)
        setattr(CellTests, _name, spec("RFC 6121", _section)(_made))


class CompletenessTests(IMTestCase):
    """The tables have no holes."""

    def test_everyCell(self) -> None:
        """Every type has a step for every state, both ways."""
        for table in (OUTBOUND, INBOUND):
            self.assertEqual(set(table), set(SECTIONS))
            for steps in table.values():
                self.assertEqual(set(steps), set(State))

    def test_contradictions(self) -> None:
        """Items that say two things at once are read as the more settled one."""
        self.assertIs(stateOf(RosterItem("a@b", subscription="both", ask=True, pendingIn=b"x")), State.BOTH)
        self.assertIs(stateOf(RosterItem("a@b", subscription="to", ask=True)), State.TO)
        self.assertIs(stateOf(RosterItem("a@b", subscription="from", pendingIn=b"x")), State.FROM)
