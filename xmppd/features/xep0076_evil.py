"""
Malicious stanzas (XEP-0076): what a host does about stanzas that say that they are evil.

A stanza is evil if it holds C{<evil xmlns='http://jabber.org/protocol/evil'/>}, at any depth (section 3). It meets the
host's policy where it comes in: from a client of the host, from another server, at the door of the domain; and in front
of the host's clients, if there is a domain on this server (a component, another host) that lets pass what this one
doesn't:

 - C{pass}: it goes on unmodified, as evil servers may let it (section 5).
 - C{ignore}: it is gone, as mission-critical applications should have it (section 5).
 - C{bounce}: its sender is told C{<policy-violation/>}.
 - C{strip}: it goes on without the element, every other byte as it was, as really evil servers may do (section 5).

Whoever waits for an answer gets one under every policy: an ignored request is answered like one that nobody
understands, and in place of an evil answer its recipient gets an error.

A host that passes evil on or hides it is evil itself, and says so in service discovery and entity capabilities
(section 4); one that ignores or bounces it isn't. A host that passes evil can be told to mark what other features
suspect. A host that is evil to the core wants the bit of RFC 3514 in its packets, and says at the start if this
platform has no way to set it.
"""

from __future__ import annotations

import socket
from typing import Final, cast

from twisted.logger import Logger

from xmppd.hooks import EVERYWHERE, Feature, Hook, Option, Spec, Unanswered
from xmppd.ixmppd import IDestination, IHost, ISession
from xmppd.wire import ns
from xmppd.wire.cutting import cut, holds
from xmppd.wire.errors import StanzaCondition, StanzaError
from xmppd.wire.stanza import ERROR, Stanza
from xmppd.wire.stanza import join as serialised

log = Logger(namespace="xmppd.evil")

NAME: Final = "xep0076_evil"

EVIL: Final = ns.EVIL + " evil"

NAMESPACE: Final = ns.EVIL.encode()

WATCHED: Final = (NAMESPACE, b"&#")
"""What a client has to spell that wants to be evil: the namespace, or references that stand for some of its letters."""

MARK: Final = f"<evil xmlns='{ns.EVIL}'/>".encode()

POLICIES: Final = ("pass", "ignore", "bounce", "strip")

EVIL_POLICIES: Final = ("pass", "strip")
"""What only evil servers do (section 5)."""

BIT: Final[int | None] = getattr(socket, "IP_EVIL", None)
"""The socket option that sets the bit of RFC 3514, or None: no platform is known to have it by any name."""

NOT_UNDERSTOOD: Final = StanzaError(StanzaCondition.SERVICE_UNAVAILABLE)
IGNORED: Final = Unanswered(StanzaCondition.POLICY_VIOLATION)
BOUNCED: Final = StanzaError(StanzaCondition.POLICY_VIOLATION, "This server takes no evil stanzas.")
HOLLOW: Final = StanzaError(StanzaCondition.BAD_REQUEST, "There is nothing but evil in this request.")


class EvilPolicy:
    """What one host does about evil."""

    def __init__(self, host: IHost, policy: str) -> None:
        """
        @param policy: one of L{POLICIES}.
        """
        self._host = host
        self._policy = policy
        self._met = host.counters.tally("evil_stanzas", "Stanzas that say they are evil.", "host", "policy", "kind")

    # --- whom it restricts

    def bound(self, session: ISession) -> None:
        """
        A client is there, or here again. It isn't restricted before it has spelled the namespace, which is found out
        for whole reads: other clients' stanzas are never looked into. See C{hooks.bound} and C{hooks.resumed}.
        """
        if session.stream is not None and session.stream.spotted:
            self.spotted(session)

    def spotted(self, session: ISession) -> None:
        """It has: from now on each of its stanzas is looked into. See C{hooks.spotted}."""
        if NAME in session.slots:
            return
        session.slots[NAME] = True
        session.addSendRefusal(self.refusesClient)
        if self._policy == "strip":
            session.addSendChange(self.stripsClient)

    def restrict(self, hook: Hook) -> None:
        """Restrict who comes from elsewhere, where hooks have only the stanza."""
        hook.addRefusal(self.refuses)
        if self._policy == "strip":
            hook.addChange(self.strips)

    def started(self) -> None:
        """
        All domains are there: what comes to a client has met this policy, unless one of them has a laxer one. See
        C{hooks.starting}.
        """
        if any(self._isLaxer(each) for each in self._host.router.destinations.values()):
            incoming = self._host.hooks.incoming
            incoming.addRefusal(self.refusesClient)
            if self._policy == "strip":
                incoming.addChange(self.stripsClient)

    def _isLaxer(self, other: IDestination) -> bool:
        """Whether what this host doesn't want can come from another domain of the server."""
        if NAME not in getattr(other, "features", ()):
            return True
        policy = cast(IHost, other).option(NAME, "policy")
        return policy != self._policy and policy in EVIL_POLICIES

    # --- how it restricts

    def refusesClient(self, session: ISession, stanza: Stanza) -> StanzaError | None:
        """From or to a client of the host. See C{hooks.outgoing} and C{hooks.incoming}."""
        return self.refuses(stanza)

    def refuses(self, stanza: Stanza) -> StanzaError | None:
        """From another server, or at the door of the host. See C{hooks.arriving} and C{hooks.door}."""
        if not holds(stanza, EVIL):
            return None
        if self._policy == "strip":
            return self._refusesHollow(stanza)
        self._count(stanza)
        if self._policy == "pass":
            return None
        if stanza.kind == "iq":
            return self._refusesIQ(stanza)
        return BOUNCED if self._policy == "bounce" else IGNORED

    def _refusesIQ(self, stanza: Stanza) -> StanzaError:
        """Whoever asked must not wait in vain."""
        error = BOUNCED if self._policy == "bounce" else NOT_UNDERSTOOD
        if stanza.type in ("get", "set"):
            return error
        attrs = {**stanza.attrs, "type": "error"}
        answer = Stanza("iq", stanza.name, attrs, (ERROR,), serialised("iq", attrs, error.toBytes()))
        answer.promise = stanza.promise
        self._host.router.route(answer)
        return IGNORED

    def _refusesHollow(self, stanza: Stanza) -> StanzaError | None:
        """A request whose payload is evil itself would be none without it."""
        if stanza.kind == "iq" and stanza.type in ("get", "set") and EVIL in stanza.childNames:
            self._count(stanza)
            return HOLLOW
        return None

    def stripsClient(self, session: ISession, stanza: Stanza) -> Stanza:
        """Like L{refusesClient}."""
        return self.strips(stanza)

    def strips(self, stanza: Stanza) -> Stanza:
        """Like L{refuses}."""
        if cut(stanza, EVIL):
            self._count(stanza)
        return stanza

    def _count(self, stanza: Stanza) -> None:
        self._met.add(self._host.domain, self._policy, stanza.kind)

    # --- what others suspect

    def marks(self, stanza: Stanza) -> None:
        """Another feature suspects a message: say so in the words of section 3.1. See C{hooks.suspected}."""
        if not holds(stanza, EVIL):
            stanza.append(MARK, (EVIL,))


def join(host: IHost) -> None:
    """Join the hooks that the policy needs, and advertise what the host is."""
    policy: str = host.option(NAME, "policy")
    evil = EvilPolicy(host, policy)
    hooks = host.hooks
    host.watched.update(WATCHED)
    hooks.bound.addObserver(evil.bound)
    hooks.resumed.addObserver(evil.bound)
    hooks.spotted.addObserver(evil.spotted)
    evil.restrict(hooks.arriving)
    if policy != "pass":
        evil.restrict(hooks.door)
        hooks.starting.addObserver(evil.started)
    if policy in EVIL_POLICIES:
        host.namespaces.add(ns.EVIL)
    if host.option(NAME, "mark"):
        if policy != "pass":
            raise ValueError(f"with the policy {policy} nobody would get what is marked; mark wants pass")
        hooks.suspected.addObserver(evil.marks)
    if host.option(NAME, "core"):
        beEvilToTheCore(host)


def beEvilToTheCore(host: IHost) -> None:
    """Have the bit of RFC 3514 set in all packets, or say why not (section 5)."""
    if BIT is None:
        log.warn("{host} can't be evil to the core: RFC 3514 has no socket option on this platform", host=host.domain)
    else:
        host.socketOptions.append((socket.IPPROTO_IP, BIT, 1))


def _isPolicy(value: str) -> str | None:
    return None if value in POLICIES else f"it is one of {', '.join(POLICIES)}"


feature = Feature(
    name=NAME,
    specs=(Spec("XEP-0076", "1.0.1"), Spec("RFC 3514")),
    options={
        "policy": Option("pass", "What happens to evil stanzas: pass, ignore, bounce or strip.", _isPolicy),
        "mark": Option(False, "Whether what other features suspect is marked as evil; only with the policy pass."),
        "core": Option(False, "Whether packets bear the bit of RFC 3514, where the platform can set it."),
    },
    optional=True,
    joins=EVERYWHERE,
    join=join,
)
