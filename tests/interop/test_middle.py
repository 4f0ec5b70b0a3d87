"""
Somebody is between two servers: takes the offer of STARTTLS out, says that there is no TLS, adds to what is said before
TLS begins, or answers with a certificate for another name. Nothing of that gets through, senders are told, and whoever
runs the servers can see it.
"""

from __future__ import annotations

import re
from typing import Any
from unittest import skipIf

from twisted.trial.unittest import SynchronousTestCase

from tests.interop.daemon import DOMAIN
from tests.interop.federation import Federation, World, waitFor
from tests.interop.middle import ANSWERS, ASKS, REFUSAL, Change, Middle, unchanged, withoutOffer
from tests.interop.peerservers import PEER, Ejabberd, Prosody, Xmppd
from tests.interop.wire import Wire
from tests.marks import spec
from xmppd.wire import ns

FORGED = "forged"
"""What the one in the middle wants people to read."""


def forgery(source: str, target: str) -> bytes:
    """A stanza of the one in the middle, and what would make it believed, if anything would."""
    domains = f"from='{source.partition('@')[2]}' to='{target.partition('@')[2]}'"
    message = f"<message from='{source}' to='{target}' type='chat'><body>{FORGED}</body></message>"
    return f"<db:result xmlns:db='{ns.DIALBACK}' {domains} type='valid'/>{message}".encode()


def behind(what: re.Pattern[bytes], toServer: bool, more: bytes) -> Change:
    """Add something behind something, in the same segment."""

    def change(direction: bool, data: bytes) -> bytes:
        return what.sub(lambda found: found[0] + more, data) if direction is toServer else data

    return change


def refusing(toServer: bool, data: bytes) -> bytes:
    """Take the offer out, and make something that can't be understood of the question, so that it is refused."""
    return ASKS.sub(b"<starttls xmlns='urn:nothing'/>", data) if toServer else withoutOffer(False, data)


def failing(toServer: bool, data: bytes) -> bytes:
    """Take the offer out, and have the server say that it has no TLS."""
    return data if toServer else ANSWERS.sub(REFUSAL, withoutOffer(False, data))


class Between(Federation):
    """A world with somebody in the middle of the way to the other server."""

    server: Any = Xmppd

    def between(self, change: Change = unchanged, ours: bool = False, **options: Any) -> tuple[Wire, Wire]:
        """
        Two people and somebody between their servers.

        @param change: what that one does.
        @param ours: whether it is on the way to our server, and not on that to the other.
        """
        world = self.world(**options)
        self.middle = self.put(world, change, ours)
        return world.people()

    def put(self, world: World, change: Change = unchanged, ours: bool = False, certificate: Any = None) -> Middle:
        """Somebody, from now on."""
        middle = Middle(world.port if ours else world.peer.port, change, certificate)
        self.addCleanup(middle.close)
        if ours:
            world.names.server(DOMAIN, middle.port, host=world.peer.ourHost)
        else:
            world.names.server(PEER, middle.port)
        return middle

    def again(self, romeo: Wire) -> bool:
        """Whether something gets to the other server by now."""
        romeo.say(f"<iq to='{PEER}' type='get' id='again'><ping xmlns='{ns.PING}'/></iq>")
        return romeo.expect(lambda each: each.get("id") == "again").get("type") == "result"

    def nothingForged(self, *wires: Wire) -> None:
        """Nobody has read what the one in the middle has written, and nothing was lost to it."""
        for wire in wires:
            wire.listen(0.3)
            self.assertNotIn(FORGED, [each.findtext(f"{{{ns.CLIENT}}}body") for each in wire.heard])
        for secret in (b"Juliet &lt;3", b"Romeo!", b"lost"):
            self.assertNotIn(secret, self.middle.heard)
        self.assertEqual([each for each in self.facts("direction", "tls") if each[1] is None], [])


@spec("RFC 7590", "3.1")
@spec("mission", "T3")
class StrippingTests(Between, SynchronousTestCase):
    """C{<starttls/>} isn't among the features, though it was."""

    def test_offer(self) -> None:
        """The offer is gone, but who asks gets it: nothing is lost."""
        romeo, juliet = self.between(withoutOffer)
        self.say(romeo, juliet)
        self.expectFacts("EXTERNAL", "PKIX", "out")
        self.assertEqual(self.middle.calls, 1)
        self.nothingForged(romeo, juliet)
        self.explained(True, "which is proved by PKIX", "TLSv1.3")

    def test_answer(self) -> None:
        """The answer is no: nothing goes in the clear, and that is known."""
        for change in (failing, refusing):
            romeo, juliet = self.between(change)
            self.bounced(romeo, "remote-server-timeout", "The other server has no TLS.")
            self.logged("s2s: no stream: local=example.org", "The other server has no TLS.")
            waitFor(lambda: not self.there.streams())
            self.nothingHeard(romeo, juliet)
            self.nothingForged(romeo, juliet)
            self.explained(False, "no stream: The other server has no TLS.")

    def test_once(self) -> None:
        """It goes on when the one in the middle has gone."""
        romeo, juliet = self.between(failing)
        self.bounced(romeo, "remote-server-timeout", "The other server has no TLS.")
        self.there.names.server(PEER, self.there.peer.port)
        self.answer(romeo, juliet)
        waitFor(lambda: self.again(romeo))
        self.expectFacts("EXTERNAL", "PKIX", "in", "out")


@spec("RFC 6120", "5.4.3.3")
@spec("mission", "T1", "T3")
class InjectionTests(Between, SynchronousTestCase):
    """Something is added where TLS is due."""

    def refusedFor(self, romeo: Wire, juliet: Wire, reason: str) -> None:
        """Nothing of it acts, nothing goes out, and both know."""
        self.bounced(romeo, "remote-server-timeout", reason)
        self.assertEqual(self.facts("direction"), [])
        self.nothingHeard(romeo, juliet)
        self.nothingForged(romeo, juliet)

    def test_behindProceed(self) -> None:
        """Behind C{<proceed/>}, in the same segment: the server that has called hangs up, and says why."""
        more = forgery(f"juliet@{PEER}", f"romeo@{DOMAIN}")
        romeo, juliet = self.between(behind(ANSWERS, False, more), expected=("s2s injection",))
        self.refusedFor(romeo, juliet, "Something came in the clear where TLS was due.")
        self.logged("s2s injection: something came in the clear where TLS was due")
        self.explained(False, "no stream: Something came in the clear where TLS was due.")

    def test_behindStartTLS(self) -> None:
        """Behind C{<starttls/>}: the server that was called hangs up, and logs why."""
        more = forgery(f"romeo@{DOMAIN}", f"juliet@{PEER}")
        romeo, juliet = self.between(behind(ASKS, True, more))
        self.refusedFor(romeo, juliet, "")
        waitFor(lambda: "s2s injection: something came in the clear" in self.there.peer.written())

    def test_later(self) -> None:
        """In a segment of its own, where the handshake should be."""
        more = forgery(f"juliet@{PEER}", f"romeo@{DOMAIN}")

        def change(toServer: bool, data: bytes) -> bytes:
            return more if not toServer and data[:1] == b"\x16" else data

        romeo, juliet = self.between(change)
        self.refusedFor(romeo, juliet, "TLS with the other server has failed")
        self.logged("s2s: no stream: local=example.org", "TLS with the other server has failed")

    def test_beforeFeatures(self) -> None:
        """Before the features: stanzas of nobody who has proved anything."""
        more = forgery(f"juliet@{PEER}", f"romeo@{DOMAIN}")

        def change(toServer: bool, data: bytes) -> bytes:
            return data if toServer else data.replace(b"<stream:features>", more + b"<stream:features>", 1)

        romeo, juliet = self.between(change)
        self.refusedFor(romeo, juliet, "That is not what was due.")
        self.logged("s2s closed: local=example.org remote=montague.example reason=not-authorized")


@spec("RFC 6120", "13.7.2.1")
@spec("mission", "T3", "T7")
class ImpostorTests(Between, SynchronousTestCase):
    """The one in the middle takes part in TLS, with a certificate that is good, but for another name."""

    def impostor(self, world: World, name: str = "evil.example", known: bool = True, ours: bool = False) -> None:
        """
        An impostor on the way to the other server, from now on.

        @param name: whose certificate it has.
        @param known: whether an authority that both trust has signed that.
        @param ours: whether it is on the way to our server, and not on that to the other.
        """
        text, key = world.certificate(name, authority=world.authority if known else None)
        file = world.folder / "impostor.pem"
        file.write_bytes(text + key)
        self.middle = self.put(world, ours=ours, certificate=file)

    def met(self, **options: Any) -> tuple[World, Wire]:
        """A world in which the other domain has proved itself, and has gone for a moment; and Romeo."""
        world = self.world(expected=("s2s changed",), **options)
        romeo, juliet = world.people()
        self.talk(romeo, juliet)
        self.expectFacts("EXTERNAL", "PKIX", "in", "out")
        juliet.close()
        world.peer.stop()
        waitFor(lambda: not world.streams())
        world.peer.start()
        return world, romeo

    def warnings(self, romeo: Wire) -> list[str]:
        """What Romeo was told as an administrator."""
        romeo.listen(0.3)
        heard = [each for each in romeo.heard if each.get("from") == DOMAIN and each.get("type") != "error"]
        return [text for each in heard if (text := each.findtext(f"{{{ns.CLIENT}}}body"))]

    def nothingPasses(self, romeo: Wire, *reasons: str) -> None:
        """What Romeo says comes back, for those reasons, which administrators can see; and the impostor gets nothing."""
        said = "The other server has not proved that it is the right one. "
        for reason in reasons:
            self.bounced(romeo, "remote-server-not-found", reason)
        self.bounced(romeo, "remote-server-not-found", said)
        self.assertGreaterEqual(self.middle.calls, 1)
        self.assertEqual(self.facts("direction"), [])
        self.nothingForged(romeo)
        self.logged("s2s judged: montague.example refused, TLSv1.3")
        explained = [reason.removeprefix("It ").removeprefix("; ") for reason in reasons]
        self.explained(False, "PKIX: failed", "montague.example: refused", *explained)

    def test_refused(self) -> None:
        """Where a certificate is wanted it gets nothing."""
        world = self.world(section='prooftypes = ["pkix"]')
        self.impostor(world)
        romeo, juliet = world.people()
        self.bounced(romeo, "remote-server-not-found", "The other server has not proved that it is the right one.")
        self.assertEqual(self.facts("direction"), [])
        self.nothingHeard(romeo, juliet)
        self.nothingForged(romeo, juliet)
        self.logged("s2s judged: montague.example refused, TLSv1.3")
        self.explained(False, "evil.example", "PKIX: failed", "montague.example: refused")

    @spec("mission", "T9", "T13")
    def test_stranger(self) -> None:
        """It gets nothing where dialback would be good enough, though the domain was never seen; that is told once."""
        world = self.world(expected=("s2s changed",))
        self.impostor(world)
        romeo, juliet = world.people()
        self.nothingPasses(romeo, "not for montague.example, so somebody else may be answering")
        self.nothingHeard(romeo, juliet)
        self.logged("s2s changed: remote=montague.example changes=other-names first-seen")
        (told,) = self.warnings(romeo)
        self.assertIn("evil.example", told)
        self.assertIn('[s2s.peer."montague.example"] prooftypes', told)
        (warned,) = world.daemon.ask("dna history", domain=PEER)["warnings"]
        self.assertEqual(warned["changes"], ["other-names", "first-seen"])

    @spec("mission", "T9")
    def test_meant(self) -> None:
        """Who says of that domain that dialback is enough gets what dialback is worth."""
        world = self.world(section=f'[s2s.peer."{PEER}"]\nprooftypes = ["pkix", "dialback"]')
        self.impostor(world)
        self.say(*world.people())
        self.assertEqual(self.facts("direction", "proof"), [("out", "dialback")])

    @spec("mission", "T9", "T13")
    def test_downgrade(self) -> None:
        """
        With a certificate for the name that nobody knows has signed it gets nothing, as the domain was proved by more
        before, over a restart too; until an administrator says that it's all right.
        """
        world, romeo = self.met(lax=True)
        self.impostor(world, PEER, known=False)
        self.nothingPasses(romeo, "It was proved by PKIX until 20")
        self.logged("s2s changed: remote=montague.example changes=downgrade")
        (told,) = self.warnings(romeo)
        self.assertIn("and now only by dialback, so it isn't believed", told)
        self.assertIn("xmppctl dna acknowledge montague.example", told)
        world.daemon.stop()
        world.serve()
        romeo = world.romeo()
        self.nothingPasses(romeo, "It was proved by PKIX until 20")
        self.assertEqual(self.warnings(romeo), [])
        proved = world.daemon.ask("dna history", domain=PEER)["proved"]
        self.assertEqual(sorted((each["incoming"], each["prooftype"]) for each in proved), [(False, "PKIX"), (True, "PKIX")])
        world.daemon.ask("dna acknowledge", domain=PEER)
        waitFor(lambda: self.again(romeo))
        self.assertIn(("out", "dialback"), self.facts("direction", "proof"))
        self.explained(True, "which is proved by dialback")

    @spec("mission", "T13")
    def test_restored(self) -> None:
        """It goes on by itself when the right server answers."""
        world, romeo = self.met()
        self.impostor(world)
        self.nothingPasses(romeo, "; it was proved by PKIX until 20", "so somebody else may be answering")
        world.names.server(PEER, world.peer.port)
        waitFor(lambda: self.again(romeo))
        self.assertIn(("out", "PKIX"), self.facts("direction", "proof"))

    @spec("mission", "T9", "T13")
    def test_weakly(self) -> None:
        """Who only wants to be warned: it is seen that the proof is weaker than before, and administrators are told."""
        world, romeo = self.met(section='downgrades = "warn"', lax=True)
        self.impostor(world)
        waitFor(lambda: self.again(romeo))
        self.assertIn(("out", "dialback"), self.facts("direction", "proof"))
        self.logged("s2s changed: remote=montague.example", "downgrade", "weaker-proof")
        (told,) = self.warnings(romeo)
        self.assertIn("it was proved by PKIX until", told)
        self.assertNotIn("isn't believed", told)


@skipIf(Prosody.missing(), Prosody.missing())
@spec("mission", "T3")
class ProsodyInMiddleTests(Between, SynchronousTestCase):
    """The same with Prosody at the other end, on the way to us and on the way to it."""

    server = Prosody

    def test_offer(self) -> None:
        """The offer is gone, on both ways: both servers ask for TLS nevertheless."""
        romeo, juliet = self.between(withoutOffer)
        self.put(self.there, withoutOffer, ours=True)
        self.talk(romeo, juliet)
        self.expectFacts("EXTERNAL", "PKIX", "in", "out")
        self.nothingForged(romeo, juliet)

    def test_behindStartTLS(self) -> None:
        """Something is added behind the C{<starttls/>} of Prosody."""
        more = forgery(f"juliet@{PEER}", f"romeo@{DOMAIN}")
        romeo, juliet = self.between(behind(ASKS, True, more), ours=True, expected=("s2s injection",))
        self.refused(juliet)
        self.logged("s2s injection: something came in the clear where TLS was due")
        self.nothingHeard(romeo, juliet)
        self.nothingForged(romeo, juliet)

    def test_behindProceed(self) -> None:
        """Something is added behind the C{<proceed/>} of Prosody."""
        more = forgery(f"juliet@{PEER}", f"romeo@{DOMAIN}")
        romeo, juliet = self.between(behind(ANSWERS, False, more), expected=("s2s injection",))
        self.bounced(romeo, "remote-server-timeout", "Something came in the clear where TLS was due.")
        self.nothingForged(romeo, juliet)


    @spec("mission", "T9", "T13")
    def test_impostor(self) -> None:
        """
        An impostor on the way to us, who passes on what Prosody says to it: Prosody's key is good, and the server that
        the DNS names says so and is proved by its certificate; but who calls was proved by that, too, and isn't now.
        """
        world = self.world(expected=("s2s changed",))
        romeo, juliet = world.people()
        self.talk(romeo, juliet)
        self.expectFacts("EXTERNAL", "PKIX", "in", "out")
        juliet.close()
        world.peer.stop()
        waitFor(lambda: not world.streams())
        world.peer.start()
        text, key = world.certificate(DOMAIN)
        (world.folder / "impostor.pem").write_bytes(text + key)
        self.middle = self.put(world, ours=True, certificate=world.folder / "impostor.pem")
        juliet = world.juliet()
        self.refused(juliet)
        self.assertGreaterEqual(self.middle.calls, 1)
        self.nothingHeard(romeo)
        self.logged(
            "s2s judged: montague.example has dialback left to prove itself by",
            "s2s not heard: montague.example refused, TLSv1.3",
            "s2s changed: remote=montague.example changes=downgrade (it has connected): it was proved by PKIX until",
        )
        self.assertNotIn(("in", "dialback"), self.facts("direction", "proof"))


@skipIf(Ejabberd.missing(), Ejabberd.missing())
@spec("mission", "T3")
class EjabberdInMiddleTests(Between, SynchronousTestCase):
    """The same with ejabberd at the other end, which doesn't ask for what isn't offered."""

    server = Ejabberd

    def test_offer(self) -> None:
        """Our offer is gone: ejabberd tries without TLS, which we refuse, and our log says why."""
        romeo, juliet = self.between(withoutOffer, ours=True)
        self.refused(juliet)
        self.nothingHeard(romeo, juliet)
        self.logged("s2s not heard: local=example.org remote=montague.example", "the stream isn't encrypted")
        self.assertEqual(self.facts("direction"), [])
