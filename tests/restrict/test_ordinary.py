"""
Ten thousand ordinary names of 61 languages in 28 scripts (L{tests.wire.names}) raise no alarm on a host that is
configured as hosts are by default.
"""

from __future__ import annotations

from collections.abc import Iterator

from twisted.trial.unittest import SynchronousTestCase

from tests.doubles import Rig
from tests.marks import spec
from tests.wire.names import COUNT, ordinary
from xmppd.wire import confusable
from xmppd.wire.jid import JIDMalformed, fromParts, parse, prepareLocal, prepareResource
from xmppd.wire.lookalikes import NameIndex

ALIKE = {("mie", "mıe")}
"""Names that are drawn alike, as UTS #39 says, too."""


def localparts() -> Iterator[tuple[str, str]]:
    """Languages, and the names as localparts. Some can't be: they begin with what PRECIS wants something before."""
    for language, name in ordinary():
        try:
            yield language, prepareLocal(name.replace(" ", "."))
        except JIDMalformed:
            continue


class OrdinaryTests(SynchronousTestCase):
    """The policy of a host, as it is by default."""

    def setUp(self) -> None:
        self.names = Rig().host.names

    @spec("mission", "M1")
    @spec("mission", "M2")
    def test_shown(self) -> None:
        """As nicknames and as handles, for people who read that language."""
        for language, name in ordinary():
            for kind, text in (("nickname", prepareResource(name)), ("handle", name)):
                self.assertEqual(self.names.judge(kind, text, (), languages=[language]).reasons, (), (kind, text))

    @spec("mission", "M1")
    @spec("mission", "M2")
    def test_typed(self) -> None:
        """As accounts and rooms: nothing is odd, and they are alike only where the Unicode Consortium says so."""
        index, alike, count = NameIndex(), set(), 0
        for language, local in localparts():
            count += 1
            found = index.alike(local)
            alike |= {(local, other) if local < other else (other, local) for other in found}
            for kind in ("account", "room"):
                verdict = self.names.judge(kind, local, found, languages=[language])
                self.assertEqual(verdict.reasons, ("look-alike",) if found else (), (kind, local))
            index.add(local)
        self.assertGreater(count, 0.98 * COUNT)
        self.assertEqual(alike, ALIKE)
        for one, other in ALIKE:
            self.assertEqual(confusable.skeleton(one), confusable.skeleton(other))

    @spec("mission", "M1")
    @spec("mission", "M2")
    def test_met(self) -> None:
        """As addresses, at this host, elsewhere, and at domains that are written alike."""
        for number, (language, local) in enumerate(localparts()):
            domain = ("example.org", "example.com", f"{local.replace('.', '-')}.example")[number % 3]
            try:
                jid = fromParts(local, domain, None)
            except JIDMalformed:  # more than the 63 octets of a label, or a mark in front
                jid = parse(f"{local}@example.net")
            self.assertEqual(self.names.judgeAddress(jid, (), [language]).reasons, (), jid.bare)
