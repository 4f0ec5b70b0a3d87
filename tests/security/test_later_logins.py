"""
Hostile later logins: whatever order the parts of XEP-0388 come in, and whatever is in them, the server answers or
closes, other sessions are left alone, and nobody is logged in who has not shown that he may be.
"""

from __future__ import annotations

import random
from base64 import b64encode

from tests.auth.later import (
    AGENT,
    BIND,
    FAST,
    MANAGED,
    REQUEST,
    LaterCase,
    authenticate,
    find,
    hashed,
    identity,
    plain,
    response,
    resume,
    resumptionId,
    tokenIn,
)
from tests.server import TestClient, auth, split
from xmppd.wire import ns

ROUNDS = 150
"""How many conversations are tried."""


class DisorderTests(LaterCase):
    """Parts in any order, whole and broken."""

    more = {"config": "auth_failures_per_minute = 0\nattempts_per_minute = 0\n"}

    def setUp(self) -> None:
        super().setUp()
        self.random = random.Random(388)
        self.victim, success = self.login(plain("romeo"), MANAGED + REQUEST)
        self.previd, self.token = resumptionId(success), tokenIn(success)
        self.victim.take()

    def part(self) -> str:
        """Something to send; none of it proves anything."""
        draw = self.random
        junk = b64encode(draw.randbytes(draw.randrange(60))).decode()
        inner = draw.choice(["", BIND, MANAGED, REQUEST, FAST, resume(self.previd), BIND + resume(self.previd, 7),
                             f"<upgrade xmlns='{ns.SASL_UPGRADE}'>UPGR-SCRAM-SHA-512</upgrade>"])
        data = draw.choice([None, b"", b"\0", plain("romeo", "wrong"), hashed("romeo", "wrong"), b"n,,n=romeo,r=x",
                            draw.randbytes(40), plain("romeo", "wrong", "juliet@example.org")])
        mechanism = draw.choice(["PLAIN", "SCRAM-SHA-256", "HT-SHA-256-NONE", "HT-SHA-256-EXPR", "EXTERNAL", "", "x" * 99])
        agent = draw.choice([None, AGENT, AGENT, "", "../x"])
        return draw.choice([
            authenticate(mechanism, data, inner, agent),
            authenticate(mechanism, data, inner, agent),
            response(draw.randbytes(20)),
            f"<response xmlns='{ns.SASL2}'>{junk}</response>",
            f"<abort xmlns='{ns.SASL2}'/>",
            f"<next xmlns='{ns.SASL2}' task='UPGR-SCRAM-SHA-256'/>",
            f"<task-data xmlns='{ns.SASL2}'><hash xmlns='{ns.SCRAM_UPGRADE}'>{junk}</hash></task-data>",
            auth("PLAIN", b"\0romeo\0wrong"),
            resume(self.previd),
            BIND,
            f"<iq type='set' id='b'><bind xmlns='{ns.BIND}'/></iq>",
            "<message to='romeo@example.org'><body>x</body></message>",
            f"<initial-response xmlns='{ns.SASL2}'>{junk}</initial-response>",
        ])

    def test_disorder(self) -> None:
        """Nothing gets through, and the victim's session goes on."""
        for _ in range(ROUNDS):
            client = self.opened()
            parts = "".join(self.part() for _ in range(self.random.randrange(1, 7)))
            client.send(parts, self.random.choice([None, None, 1, 50]))
            for element in client.take():
                self.assertNotIn(split(element.tag)[1], ("success", "bound", "resumed", "continue"), parts)
            client.cut()
        self.assertEqual(list(self.server.host.sessions), ["romeo@example.org"])
        self.assertFalse(self.victim.eof)
        self.victim.send("<presence/>")
        self.assertEqual(split(self.victim.take()[0].tag)[1], "presence")

    def test_truncated(self) -> None:
        """A login cut off at any octet logs nobody in; the next one does."""
        whole = authenticate("HT-SHA-256-NONE", hashed("romeo", self.token), FAST + resume(self.previd))
        for at in range(0, len(whole) - 1, 7):
            client = self.opened()
            client.send(whole[:at])
            self.assertEqual(client.take(), [])
            client.cut()
        self.assertFalse(self.victim.eof)
        client = self.opened()
        client.send(whole)
        self.assertEqual(identity(self.succeeds(client.take())), self.victim.jid)

    def test_replayed(self) -> None:
        """What a guest has said once is of no use to who has overheard it, once the guest has gone on."""
        page, success = self.guest()
        name, token, previd = page.jid.partition("@")[0], tokenIn(success), resumptionId(success)
        overheard = authenticate("HT-SHA-256-NONE", hashed(name, token), FAST + resume(previd))
        for said in (overheard, None):
            client: TestClient = self.opened()
            client.send(said or authenticate("HT-SHA-256-NONE", hashed(name, token), FAST + resume(previd)))
            success = self.succeeds(client.take())
            token = tokenIn(success)
        self.fails(self.opened(), overheard, "not-authorized")
        self.assertFalse(client.eof)

    def test_manyTokens(self) -> None:
        """Clients by the hundred leave a bounded number of tokens."""
        for number in range(60):
            client, success = self.login(plain("romeo"), REQUEST, agent=f"d4565fa7-4d72-4749-b3d3-{number:012}")
            self.assertIsNotNone(find(success, ns.FAST, "token"))
            client.cut()
        kept = self.successResultOf(self.server.store.facts.all("romeo@example.org", "fast-token"))
        self.assertEqual(len(kept), 20)
