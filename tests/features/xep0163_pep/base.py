"""
What tests of personal eventing have in common: clients that say what they want to hear of.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Sequence
from hashlib import sha1
from typing import Any

from tests.features.xep0060_pubsub.base import ENTRY, EVENT, JULIET, PUBSUB, ROMEO, PubSubCase
from xmppd.features import rfc6121_im, xep0030_disco, xep0163_pep, xep0191_blocking
from xmppd.ixmppd import ISession, RosterItem
from xmppd.wire.stanza import Stanza

__all__ = ["ENTRY", "EVENT", "JULIET", "PUBSUB", "ROMEO", "TUNE", "PersonalCase", "caps", "infoFor"]


TUNE = "http://jabber.org/protocol/tune"


def infoFor(nodes: Sequence[str]) -> tuple[str, str]:
    """What a client interested in these nodes says of itself, and the hash of it."""
    features = sorted(["http://jabber.org/protocol/disco#info", *(f"{node}+notify" for node in nodes)])
    text = "client/pc//Test<" + "".join(f"{each}<" for each in features)
    inner = "<identity category='client' type='pc' name='Test'/>" + "".join(f"<feature var='{each}'/>" for each in features)
    return inner, b64encode(sha1(text.encode()).digest()).decode()


def caps(nodes: Sequence[str], ver: str | None = None, hash: str = "sha-1") -> str:
    """The capabilities of such a client, for its presence."""
    return f"<c xmlns='http://jabber.org/protocol/caps' hash='{hash}' node='urn:test' ver='{ver or infoFor(nodes)[1]}'/>"


class PersonalCase(PubSubCase):
    """
    Juliet and Romeo see each other's presence; both are bound, and not available yet.
    """

    service = None
    features: Sequence[Any] = (rfc6121_im.feature, xep0030_disco.feature, xep0191_blocking.feature, xep0163_pep.feature)

    def prepare(self) -> None:
        """Two rosters."""
        self.rig.store.rosters.put(JULIET, RosterItem(ROMEO, subscription="both", groups=("Lovers",)))
        self.rig.store.rosters.put(ROMEO, RosterItem(JULIET, subscription="both"))

    def available(self, session: ISession, *nodes: str, ver: str | None = None, hash: str = "sha-1") -> None:
        """Become available with these interests; whoever asks for them is answered."""
        self.rig.send(session, f"<presence>{caps(nodes, ver, hash)}</presence>".encode())
        self.answerDisco(session, nodes)

    def questions(self, session: ISession) -> list[Stanza]:
        """The questions for capabilities that came to a client; they stay there."""
        return [each for each in self.streams[session].received if each.type == "get" and b"disco#info" in each.raw]

    def answerDisco(self, session: ISession, nodes: Sequence[str]) -> int:
        """Answer what a client is asked about itself; answers how many questions there were."""
        asked = self.questions(session)
        for each in asked:
            self.streams[session].received.remove(each)
            node = each.elements()[0].get("node")
            query = f"<query xmlns='http://jabber.org/protocol/disco#info' node='{node}'>{infoFor(nodes)[0]}</query>"
            self.rig.send(session, f"<iq type='result' id='{each.id}' to='{each.sender}'>{query}</iq>".encode())
        return len(asked)

    def told(self, session: ISession) -> list[tuple[str, str, str]]:
        """Who told a client of which item of which node, since the last time."""
        found = []
        for stanza in self.streams[session].take():
            event = stanza.find(f"{EVENT} event")
            items = event.find("items") if event is not None else None
            for item in items.elements("item") if items is not None else ():
                found.append((stanza.sender or "", items.get("node") or "", item.get("id") or ""))
        return found
