"""
Which nodes clients want to hear of, by the hash in their presence (XEP-0115 section 5.4, XEP-0060 section 9.2).

Theory of operation. A hash that isn't known is asked for once, whoever shows it meanwhile waits for the same answer.
The answer is verified and only then remembered, in memory and, for the next start, among the facts of the domain; what
is remembered is the list of nodes alone. If an answer doesn't match its hash, the next client with that hash is asked.
Where a hash is of a kind we can't verify, the answer holds for that client only.
"""

from __future__ import annotations

import hashlib
import json
from base64 import b64encode
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from xmppd.ixmppd import IHost, StoreUnavailable
from xmppd.wire import forms, ns
from xmppd.wire.element import LANG, Element
from xmppd.wire.errors import StanzaError
from xmppd.wire.stanza import Stanza

log = Logger(namespace="xmppd.pep")

CAPS: Final = f"{ns.CAPS} c"
QUERY: Final = f"{ns.DISCO_INFO} query"
KIND: Final = "caps"
NOTIFY: Final = "+notify"
HASHES: Final = {"sha-1": "sha1", "sha-256": "sha256", "sha-512": "sha512"}

REMEMBERED: Final = 2000
"""How many hashes are remembered."""

LONGEST: Final = 512
"""How many characters node, hash and name of the algorithm may have, and a node that somebody wants to hear of."""

MOST_NODES: Final = 200
"""How many nodes of one client's interest are noted."""

WAITING: Final = 5000
"""How many clients may wait for answers."""

Interests = frozenset[str]
NOTHING: Final[Interests] = frozenset()
Then = Callable[[Interests], None]


@dataclass(frozen=True, slots=True)
class Caps:
    """What a presence says of its sender's capabilities (XEP-0115 section 4)."""

    hash: str
    node: str
    ver: str

    @property
    def key(self) -> str:
        """By what it is remembered."""
        return f"{self.hash} {self.ver}"


def capsOf(presence: Stanza) -> Caps | None:
    """The capabilities in a presence, or None: there are none, or in a format without a hash."""
    element = presence.find(CAPS)
    if element is None:
        return None
    hash, node, ver = (element.get(key) or "" for key in ("hash", "node", "ver"))
    if not hash or not ver or max(len(hash), len(node), len(ver)) > LONGEST:
        return None
    return Caps(hash, node, ver)


def interestsIn(query: Element) -> Interests:
    """The nodes a client wants to hear of, out of the features it has."""
    found = [each.get("var") or "" for each in query.elements("feature")]
    nodes = [var.removesuffix(NOTIFY) for var in found if var.endswith(NOTIFY) and len(var) <= LONGEST]
    return frozenset(nodes[:MOST_NODES])


def verification(query: Element, algorithm: str) -> str | None:
    """
    The hash of what disco#info says (XEP-0115 section 5.1), or None if it says something twice (section 5.4).
    """
    identities = [_identity(each) for each in query.elements("identity")]
    features = [each.get("var") or "" for each in query.elements("feature")]
    extended = [form for form in query.elements("x", ns.DATA_FORMS) if _hidden(form)]
    types = [forms.formTypeOf(form) or "" for form in extended]
    if any(len(set(each)) < len(each) for each in (identities, features, types)):
        return None
    parts = [*sorted(identities, key=str.encode), *sorted(features, key=str.encode)]
    for _, form in sorted(zip(types, extended, strict=True), key=lambda pair: pair[0].encode()):
        parts += _formParts(form)
    text = "".join(f"{part}<" for part in parts)
    return b64encode(hashlib.new(algorithm, text.encode(), usedforsecurity=False).digest()).decode()


def _identity(element: Element) -> str:
    attrs = element.attrs
    return "/".join(attrs.get(key, "") for key in ("category", "type", LANG, "name"))


def _hidden(form: Element) -> bool:
    """Whether a form has a proper FORM_TYPE; others don't count."""
    for each in form.elements("field"):
        if each.get("var") == forms.FORM_TYPE:
            return each.get("type") == "hidden"
    return False


def _formParts(form: Element) -> list[str]:
    values = forms.values(form)
    parts = [forms.first(values, forms.FORM_TYPE) or ""]
    for var in sorted(values.keys() - {forms.FORM_TYPE}, key=str.encode):
        parts += [var, *sorted(values[var], key=str.encode)]
    return parts


class Capabilities:
    """What is known of clients' interests on one host."""

    def __init__(self, host: IHost) -> None:
        self._host = host
        self._known: OrderedDict[str, Interests] = OrderedDict()
        self._waiting: dict[str, list[tuple[Caps, str, Then]]] = {}
        self._waits = 0

    def load(self) -> Deferred[None]:
        """Before anything listens: recall what was known at the last end."""
        return self._host.facts.all(self._host.domain, KIND).addCallback(self._recall)

    def _recall(self, facts: object) -> None:
        assert hasattr(facts, "items")
        for key, value in facts.items():
            self._known[key] = frozenset(json.loads(value))

    def learn(self, caps: Caps, jid: str, then: Then) -> None:
        """
        Call C{then} with a client's interests, at once or when they are known; not at all if they can't be found out.
        """
        known = self._known.get(caps.key)
        if known is not None:
            self._known.move_to_end(caps.key)
            then(known)
            return
        if self._waits >= WAITING:
            return
        self._waits += 1
        key = caps.key if caps.hash in HASHES else f"{caps.key} {jid}"
        waiting = self._waiting.setdefault(key, [])
        waiting.append((caps, jid, then))
        if len(waiting) == 1:
            self._ask(key)

    def _ask(self, key: str) -> None:
        """Ask the first who waits."""
        caps, jid, _ = self._waiting[key][0]
        query = Element("query", ns.DISCO_INFO, {"node": f"{caps.node}#{caps.ver}"})
        asked = self._host.ask(jid, "get", query.toBytes())
        asked.addCallbacks(self._answered, self._unanswered, callbackArgs=(key,), errbackArgs=(key,))
        asked.addErrback(lambda failure: log.failure("learning capabilities failed", failure))

    def _answered(self, stanza: Stanza, key: str) -> None:
        caps, jid, then = self._waiting[key][0]
        query = stanza.find(QUERY)
        if query is None:
            self._next(key)
            return
        interests = interestsIn(query)
        if caps.hash not in HASHES:
            self._next(key)
            then(interests)
        elif verification(query, HASHES[caps.hash]) == caps.ver:
            self._remember(key, interests, jid)
            waiting = self._waiting.pop(key)
            self._waits -= len(waiting)
            for _, _, each in waiting:
                each(interests)
        else:
            self._next(key)

    def _unanswered(self, failure: Failure, key: str) -> None:
        failure.trap(StanzaError)
        self._next(key)

    def _next(self, key: str) -> None:
        """The first who waits didn't help: ask the next."""
        waiting = self._waiting[key]
        waiting.pop(0)
        self._waits -= 1
        if waiting:
            self._ask(key)
        else:
            del self._waiting[key]

    def _remember(self, key: str, interests: Interests, jid: str) -> None:
        """Keep what a client has told; of guests nothing is kept beyond the end of the server."""
        self._known[key] = interests
        session = self._host.router.session(jid)
        if session is not None and session.account.anonymous:
            self._trim()
            return
        value = json.dumps(sorted(interests)).encode()
        self._host.facts.put(self._host.domain, KIND, key, value).addErrback(_unwritten)
        self._trim()

    def _trim(self) -> None:
        if len(self._known) > REMEMBERED:
            oldest, _ = self._known.popitem(last=False)
            self._host.facts.delete(self._host.domain, KIND, oldest).addErrback(_unwritten)


def _unwritten(failure: Failure) -> None:
    """It will be asked for again after the next start."""
    failure.trap(StoreUnavailable)
