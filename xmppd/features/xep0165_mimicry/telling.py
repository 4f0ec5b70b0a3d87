"""
How a person is told of a name that may deceive: a mark in the stanza for clients that know it, and a headline in plain
words for those that don't (docs/names.rst describes both).
"""

from __future__ import annotations

import unicodedata
from collections import OrderedDict
from typing import Final

from xmppd.ixmppd import IHost, ISession, NameVerdict
from xmppd.wire import ns
from xmppd.wire.element import Element, writable
from xmppd.wire.stanza import Stanza, build

NAME: Final = "xep0165_mimicry"

WARNING: Final = ns.NAMES + " warning"
"""The mark."""

WARNINGS: Final = frozenset({WARNING})

ENABLED: Final = "xep0165_mimicry enabled"
"""The slot of a session whose client knows the mark."""

TOLD: Final = 5
"""How many look-alikes, and of how many characters, are named."""

PER_HOUR: Final = 20
"""How many headlines an account gets in an hour; the last one says that what else comes is only marked."""

MORE: Final = "Many come: of others you won't be told in this hour. Careful with whoever writes for the first time."

REMEMBERED: Final = 10_000
"""Of how many accounts headlines are counted at a time."""

HOUR: Final = 3600.0

_WORDS: Final = {
    "look-alike": "it looks like another address",
    "protected": "it looks like an address that speaks for the server",
    "domain": "its domain looks like one of this server, and isn't",
    "foreign": "it is written in letters that your languages don't have",
    "mixed-scripts": "it mixes letters of several scripts",
    "nickname": "the name it goes by is, or looks like, what you call somebody else",
    "key": "its key isn't the one that was known for it",
    "referral": "its key isn't the one with which it was recommended to you",
}
"""Reasons for people."""

_OTHERWISE: Final = "it has characters that can't be seen or are easily mistaken"


def mark(verdict: NameVerdict) -> Element:
    """What clients are told."""
    children = [Element("reason", ns.NAMES, {}, (each,)) for each in verdict.reasons]
    children += [Element("like", ns.NAMES, {}, (writable(each),)) for each in verdict.alike[:TOLD]]
    children += [Element("script", ns.NAMES, {}, (each,)) for each in verdict.scripts]
    return Element("warning", ns.NAMES, {"jid": writable(verdict.name)}, tuple(children))


def visible(name: str) -> str:
    """A name with whatever can't be seen, or changes the direction of what follows, written as code points."""
    return "".join(
        f"<U+{ord(each):04X}>"
        if unicodedata.category(each) in ("Cc", "Cf", "Zl", "Zp", "Co", "Cn") or (each.isspace() and each != " ")
        else each
        for each in writable(name)
    )


def _letters(name: str) -> str:
    """The characters of a name that aren't ASCII, by code point and name."""
    odd = list(dict.fromkeys(each for each in name if not each.isascii()))
    named = [f"U+{ord(each):04X} {unicodedata.name(each, 'unnamed')}" for each in odd[:TOLD]]
    return "; ".join(named) + (f"; and {len(odd) - TOLD} more" if len(odd) > TOLD else "")


def sentences(verdict: NameVerdict) -> str:
    """The warning for people."""
    why = dict.fromkeys(_WORDS.get(each, _OTHERWISE) for each in verdict.reasons)
    said = [f"Careful with {visible(verdict.name)}: {'; '.join(why)}."]
    if verdict.alike:
        said.append(f"It is not {' and not '.join(visible(each) for each in verdict.alike[:TOLD])}.")
    letters = _letters(verdict.name)
    if letters:
        said.append(f"It is written with {letters}.")
    return " ".join(said)


class Headlines:
    """Tells the users of one host, not too often."""

    def __init__(self, host: IHost) -> None:
        self._host = host
        self._counts: OrderedDict[str, tuple[float, int]] = OrderedDict()

    def tell(self, bare: str, verdict: NameVerdict) -> None:
        """
        Tell a user whose clients don't know the mark: those who are there, with a headline, or a message that waits
        for them if nobody is.
        """
        present = [each for each in self._host.router.sessionsOf(bare) if each.presence is not None]
        unaware = [each for each in present if ENABLED not in each.slots]
        if (present and not unaware) or not self._mayTell(bare):
            return
        text = self._text(bare, verdict)
        if not present:
            self._send(bare, "normal", text)
        for session in unaware:
            self._send(session.full, "headline", text)

    def say(self, bare: str, text: str) -> None:
        """Say something else to all clients of a user who are there."""
        if self._mayTell(bare):
            for session in self._host.router.sessionsOf(bare):
                if session.presence is not None:
                    self._send(session.full, "headline", text)

    def alarm(self, bare: str, verdict: NameVerdict) -> None:
        """Tell a user of something that no stanza is about that could be marked: the headline bears the mark itself."""
        if not self._mayTell(bare):
            return
        present = [each for each in self._host.router.sessionsOf(bare) if each.presence is not None]
        text = self._text(bare, verdict)
        for session in present:
            self._send(session.full, "headline", text, mark(verdict))
        if not present:
            self._send(bare, "normal", text, mark(verdict))

    def _text(self, bare: str, verdict: NameVerdict) -> str:
        """What a user is told; nobody can have it go unnoticed that more isn't."""
        return sentences(verdict) + (f" {MORE}" if self._counts[bare][1] == PER_HOUR else "")

    def _send(self, to: str, type: str, text: str, *more: Element) -> None:
        body = Element("body", ns.CLIENT, {}, (text,))
        self._host.router.route(build("message", {"type": type, "from": self._host.domain, "to": to}, body, *more))

    def _mayTell(self, bare: str) -> bool:
        now = self._host.clock.seconds()
        since, count = self._counts.pop(bare, (now, 0))
        if now - since >= HOUR:
            since, count = now, 0
        self._counts[bare] = (since, count + 1)
        if len(self._counts) > REMEMBERED:
            self._counts.popitem(last=False)
        return count < PER_HOUR


def attach(stanza: Stanza, verdicts: tuple[NameVerdict, ...]) -> None:
    """Mark a stanza, in place."""
    elements = [mark(each) for each in verdicts]
    stanza.append(b"".join(each.toBytes() for each in elements), (WARNING,) * len(elements))


def enable(session: ISession) -> None:
    """A client knows the mark: its user needs no headlines there."""
    session.slots[ENABLED] = True
