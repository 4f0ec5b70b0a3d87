"""
Evil goes between our server and Debian's Prosody, over real streams: what becomes of it is what the policy says
(XEP-0076), and look-alikes that come from there are marked (XEP-0165).
"""

from __future__ import annotations

import shutil
from unittest import skipUnless

from twisted.trial.unittest import SynchronousTestCase

from tests.interop.daemon import DOMAIN
from tests.interop.federation import PEER, Federation
from tests.interop.peerservers import Prosody
from tests.interop.wire import Wire
from tests.marks import spec
from xmppd.wire import ns

EVIL = f"{{{ns.EVIL}}}evil"
MARK = f"<evil xmlns='{ns.EVIL}'/>"


@skipUnless(shutil.which("prosody"), "Prosody is not installed")
class EvilTests(Federation, SynchronousTestCase):
    """Romeo is at our server, which has a policy; Juliet at Prosody, which knows nothing of evil."""

    server = Prosody

    def send(self, sender: Wire, to: str, words: str, evil: bool = True) -> None:
        """Somebody says something, well hidden in a payload."""
        hidden = f"<a xmlns='urn:example:a'><b>{MARK if evil else ''}</b></a>"
        sender.say(f"<message to='{to}' type='chat' id='{words}'><body>{words}</body>{hidden}</message>")

    def evilIn(self, receiver: Wire, words: str) -> bool:
        """Whether what has come is evil."""
        return next(receiver.body(words).iter(EVIL), None) is not None

    def conditionOf(self, sender: Wire, id: str) -> str:
        """With which condition something comes back."""
        error = sender.expect(lambda each: each.get("id") == id and each.get("type") == "error")
        return next(iter(error.find(f"{{{ns.CLIENT}}}error"))).tag.rpartition("}")[2]  # type: ignore[arg-type]

    def enter(self, romeo: Wire, juliet: Wire) -> str:
        """Both are in a room of ours."""
        room = f"hall@rooms.{DOMAIN}"
        for wire, nick in ((romeo, "romeo"), (juliet, "juliet")):
            wire.say(f"<presence to='{room}/{nick}' id='{nick}'><x xmlns='{ns.MUC}'/></presence>")
            wire.presence(f"{room}/{nick}")
            if wire is romeo:
                form = f"<query xmlns='{ns.MUC}#owner'><x xmlns='jabber:x:data' type='submit'/></query>"
                romeo.say(f"<iq to='{room}' type='set' id='c'>{form}</iq>")
                romeo.expect(lambda each: each.get("id") == "c" and each.get("type") == "result")
        return room

    def under(self, policy: str) -> tuple[Wire, Wire]:
        """Both are there, under a policy."""
        return self.world(section=f'\n[features.xep0076_evil]\npolicy = "{policy}"\n').people()

    @spec("XEP-0076", "5")
    @spec("mission", "E4")
    def test_pass(self) -> None:
        """Evil passes in both directions, and into rooms."""
        romeo, juliet = self.under("pass")
        self.send(romeo, f"juliet@{PEER}", "out")
        self.assertTrue(self.evilIn(juliet, "out"))
        self.send(juliet, f"romeo@{DOMAIN}", "in")
        self.assertTrue(self.evilIn(romeo, "in"))
        room = self.enter(romeo, juliet)
        juliet.say(f"<message to='{room}' type='groupchat' id='g'><body>to all</body>{MARK}</message>")
        self.assertTrue(self.evilIn(romeo, "to all"))

    @spec("XEP-0076", "5")
    @spec("mission", "E5")
    def test_strip(self) -> None:
        """It arrives without, in both directions, and in rooms."""
        romeo, juliet = self.under("strip")
        self.send(romeo, f"juliet@{PEER}", "out")
        self.assertFalse(self.evilIn(juliet, "out"))
        self.send(juliet, f"romeo@{DOMAIN}", "in")
        self.assertFalse(self.evilIn(romeo, "in"))
        room = self.enter(romeo, juliet)
        juliet.say(f"<message to='{room}' type='groupchat' id='g'><body>to all</body>{MARK}</message>")
        self.assertFalse(self.evilIn(romeo, "to all"))

    @spec("XEP-0076", "5")
    @spec("mission", "E7")
    def test_bounce(self) -> None:
        """It comes back."""
        self.refuse("bounce")

    @spec("XEP-0076", "5")
    @spec("mission", "E3")
    def test_ignore(self) -> None:
        """It is gone."""
        self.refuse("ignore")

    def refuse(self, policy: str) -> None:
        """In both directions; requests are answered; what isn't evil passes."""
        romeo, juliet = self.under(policy)
        for sender, receiver, to in ((romeo, juliet, f"juliet@{PEER}"), (juliet, romeo, f"romeo@{DOMAIN}")):
            self.send(sender, to, "evil")
            if policy == "bounce":
                self.assertEqual(self.conditionOf(sender, "evil"), "policy-violation")
            self.send(sender, to, "good", evil=False)
            self.assertFalse(self.evilIn(receiver, "good"))
            self.assertFalse([each for each in receiver.heard if each.get("id") == "evil" and each.get("type") == "chat"])
        juliet.say(f"<iq to='{DOMAIN}' type='get' id='q'><query xmlns='jabber:iq:version'>{MARK}</query></iq>")
        expected = "policy-violation" if policy == "bounce" else "service-unavailable"
        self.assertEqual(self.conditionOf(juliet, "q"), expected)

    @spec("XEP-0165", "1")
    @spec("mission", "M2", "M3")
    def test_mimicry(self) -> None:
        """Somebody over there looks like a contact of Romeo's: he is told."""
        romeo, juliet = self.world().people()
        contact = f"ju1iet@{PEER}"
        romeo.say(f"<iq type='set' id='r'><query xmlns='jabber:iq:roster'><item jid='{contact}' name='Love'/></query></iq>")
        romeo.expect(lambda each: each.get("id") == "r" and each.get("type") == "result")
        forged = f"<warning xmlns='{ns.NAMES}' jid='x'><reason>forged</reason></warning>"
        juliet.say(f"<message to='romeo@{DOMAIN}' type='chat' id='m'><body>Art thou?</body>{forged}</message>")
        headline = romeo.expect(lambda each: each.get("type") == "headline")
        self.assertIn(f"It is not {contact}.", headline.findtext(f"{{{ns.CLIENT}}}body"))
        (warning,) = romeo.body("Art thou?").iter(f"{{{ns.NAMES}}}warning")
        said = [(each.tag.rpartition("}")[2], each.text) for each in warning]
        self.assertEqual(said, [("reason", "look-alike"), ("like", contact)])
        self.assertEqual(warning.get("jid"), f"juliet@{PEER}")
