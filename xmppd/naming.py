"""
What a host says about names that look like other names (XEP-0165): the section C{[host."DOMAIN".names]}.

Nothing is decided here; see L{xmppd.ixmppd.INames}. A domain of rooms goes by what the host says whose domain it is
below; if that isn't clear, by the strictest of all hosts.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from typing import Final

from xmppd import readers
from xmppd.readers import Reading, Refused, option
from xmppd.wire import ns
from xmppd.wire.element import Element, writable
from xmppd.wire.errors import StanzaCondition, StanzaError

LOOKS_ALIKE: Final = "look-alike"
"""The reason of a verdict on a name that looks like one that is there."""

ALLOW: Final = "allow"
WARN: Final = "warn"
REFUSE: Final = "refuse"

ACTIONS: Final = (ALLOW, WARN, REFUSE)
"""What can be done about a name, from lenient to strict."""

LEVELS: Final = (
    "ascii-only",
    "single-script",
    "highly-restrictive",
    "moderately-restrictive",
    "minimally-restrictive",
)
"""The restriction levels of UTS #39 section 5.2 by scripts alone, in the order of L{xmppd.wire.confusable.Level}."""

PROTECTED: Final = (
    "abuse",
    "admin",
    "administrator",
    "help",
    "helpdesk",
    "hostmaster",
    "moderator",
    "noc",
    "official",
    "operator",
    "postmaster",
    "root",
    "security",
    "server",
    "staff",
    "support",
    "sysadmin",
    "system",
    "webmaster",
)
"""Names that sound as if they spoke for the server; those of RFC 2142 among them."""

EDITIONS: Final = "names-edition"
"""
The kind of fact of a domain that says of which edition of the data its index of look-alikes was made, by kind of name.
"""

LONGEST_PROTECTED: Final = 255
"""Code points."""


def _names(reading: Reading, value: object) -> tuple[str, ...]:
    """A list of names, none of them empty or very long."""
    found = readers.texts(reading, value)
    for name in found:
        if not name.strip() or len(name) > LONGEST_PROTECTED:
            raise Refused("it holds an empty or a very long name", 'write a list of names, like ["admin", "support"]')
    return tuple(dict.fromkeys(found))


def _languages(reading: Reading, value: object) -> tuple[str, ...]:
    """A list of tags of languages."""
    found = readers.texts(reading, value)
    for tag in found:
        if not tag.replace("-", "").isalnum() or not tag.isascii() or len(tag) > 35:
            raise Refused(f"`{tag}` is no tag of a language", 'write tags as in xml:lang, like ["en", "zh-Hant"]')
    return found


_action = readers.choice(*ACTIONS)
_level = readers.choice(*LEVELS)


@dataclass(frozen=True, slots=True)
class NamesConfig:
    """
    C{[host."DOMAIN".names]}: what is done about names that may deceive. Each kind of name is refused, or let through
    and complained of in the audit log (and to whom it concerns, as far as there is a way), or let through.

    @ivar accounts: new accounts.
    @ivar rooms: new rooms.
    @ivar nicknames: nicknames in rooms, used and registered.
    @ivar handles: what users call their contacts.
    @ivar met: strangers' addresses, when they come.
    @ivar protected: names that only administrators can give, and like which no other may look.
    @ivar level: how freely the names of accounts and rooms may mix scripts.
    @ivar nicknameLevel: the same for nicknames, which are compared with those who are there in any case.
    @ivar languages: tags of the languages of users who haven't said which are theirs; none: nothing is foreign.
    @ivar disclose: whether somebody whose name is refused is told which account or unlisted room it looks like.
    """

    accounts: str = option(_action, REFUSE)
    rooms: str = option(_action, REFUSE)
    nicknames: str = option(_action, REFUSE)
    handles: str = option(_action, WARN)
    met: str = option(_action, WARN)
    protected: tuple[str, ...] = option(_names, PROTECTED)
    level: str = option(_level, "highly-restrictive")
    nicknameLevel: str = option(_level, "minimally-restrictive")
    languages: tuple[str, ...] = option(_languages, ())
    disclose: bool = option(readers.flag, False)


def strictest(configs: Iterable[NamesConfig]) -> NamesConfig:
    """What holds for a domain that belongs to several hosts: of each value the strictest; the defaults for none."""
    several = tuple(configs)
    if len(several) == 1:
        return several[0]
    if not several:
        return NamesConfig()
    values: dict[str, object] = {}
    for each in fields(NamesConfig):
        found = [getattr(config, each.name) for config in several]
        if each.name.casefold().endswith("level"):
            values[each.name] = min(found, key=LEVELS.index)
        elif each.name == "disclose":
            values[each.name] = all(found)
        elif isinstance(found[0], tuple):
            values[each.name] = tuple(dict.fromkeys(item for items in found for item in items))
        else:
            values[each.name] = max(found, key=ACTIONS.index)
    return NamesConfig(**values)  # type: ignore[arg-type]


def imitation(text: str, reasons: Sequence[str], alike: Sequence[str]) -> StanzaError:
    """
    How a refused name is told: C{conflict} if it looks like one that is there, else C{not-acceptable}.

    @param text: for people.
    @param alike: the names it looks like, as far as they may be told.
    """
    children = [Element("reason", ns.NAMES, {}, (each,)) for each in reasons]
    children += [Element("like", ns.NAMES, {}, (writable(each),)) for each in alike]
    application = Element("imitation", ns.NAMES, {}, tuple(children)).toBytes()
    condition = StanzaCondition.CONFLICT if LOOKS_ALIKE in reasons else StanzaCondition.NOT_ACCEPTABLE
    return StanzaError(condition, text, application=application)
