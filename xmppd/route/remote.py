"""
The door to all other domains, from both sides: stanzas wait here until there is a stream for their pair of domains, and
what comes from other servers enters here.

Theory of operation: for each pair of one of our domains and a remote one there is a L{Link}. While it has a carrier (a
stream) stanzas just go through. Otherwise they wait, and a stream is asked for, once. If none can be had they are
returned to their senders with the reason, and for a moment, longer with every failure and never quite as long as
somebody else's, what comes for that domain is returned at once (RFC 6120 section 3.3 wants no stampedes).

Everything that waits has bounds: stanzas and octets for each pair, octets and pairs in all, and time.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable, Mapping
from itertools import islice
from typing import Any, Final, Protocol

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from zope.interface import implementer

from xmppd.hooks import Unanswered
from xmppd.ixmppd import IClock, IDestination, IHost, IRouter
from xmppd.wire.errors import StanzaCondition, StanzaError
from xmppd.wire.jid import JIDMalformed, parse
from xmppd.wire.stanza import Stanza, iqMistake

log = Logger(namespace="xmppd.s2s")

LINKS: Final = 20_000
"""For how many pairs of domains something is remembered."""

OCTETS: Final = 32 << 20
"""How many octets may wait for all pairs together."""

FIRST_PAUSE: Final = 2.0
"""After the first failure nothing is tried for about so many seconds; after each further one for twice as many."""

LONGEST_PAUSE: Final = 300.0
"""But for no more than so many."""

QUIET: Final = frozenset({"unavailable", "probe", "error"})
"""Types of presence of which nobody needs to hear that they didn't arrive."""


class Carrier(Protocol):
    """A stream that is authorised for a pair of domains."""

    def transmit(self, stanza: Stanza) -> None:
        """Send a stanza. Per stanza."""


class Link:
    """
    What there is between one of our domains and a remote one.

    @ivar carriers: streams for it, the oldest first.
    @ivar waiting: stanzas, each with what its promise waits for.
    @ivar octets: how many octets they have.
    @ivar timer: gives up; None while no stream is being asked for.
    @ivar failures: how often that has failed since it last succeeded.
    @ivar until: until when nothing is tried, in the clock's seconds.
    @ivar reason: why it has failed last.
    """

    __slots__ = ("carriers", "failures", "local", "octets", "reason", "remote", "timer", "until", "waiting")

    def __init__(self, local: str, remote: str) -> None:
        self.local = local
        self.remote = remote
        self.carriers: list[Carrier] = []
        self.waiting: deque[tuple[Stanza, Deferred[None] | None]] = deque()
        self.octets = 0
        self.timer: Any = None
        self.failures = 0
        self.until = 0.0
        self.reason: StanzaError | None = None

    @property
    def idle(self) -> bool:
        """Whether it could be forgotten."""
        return not self.carriers and self.timer is None


@implementer(IDestination)
class Remote:
    """
    See the module.

    @ivar links: by pair of our domain and the remote one; the one used last is the last.
    @ivar dial: asks for a stream for a pair; the answer is L{connected} or L{failed}. Set by whoever can.
    @ivar sent: how many stanzas have left.
    @ivar arrivals: how many have come.
    """

    domain = ""

    def __init__(
        self,
        router: IRouter,
        hosts: Callable[[str], IHost | None],
        clock: IClock,
        limits: Any,
        draw: Callable[[], float],
    ) -> None:
        """
        @param hosts: answers which host of ours a domain is, if it is one.
        @param limits: C{connectSeconds}, C{queueStanzas}, C{queueBytes}.
        @param draw: answers a number from 0 to 1.
        """
        self.limits = limits
        self.links: OrderedDict[tuple[str, str], Link] = OrderedDict()
        self.dial: Callable[[str, str], None] | None = None
        self.sent = 0
        self.arrivals = 0
        self._router = router
        self._hosts = hosts
        self._clock = clock
        self._draw = draw
        self._octets = 0

    # --- out

    def deliver(self, stanza: Stanza) -> None:
        """See L{IDestination}."""
        attrs = stanza.attrs
        try:
            local, remote = parse(attrs["from"]).domain, parse(attrs["to"]).domain
        except JIDMalformed:  # the answer to something that was for an address that can't be
            return
        host = self._hosts(local)
        checked = self._leaving(host, stanza) if host is not None else stanza
        if checked is None:
            return
        link = self.links.get((local, remote)) or self._link(local, remote)
        if link is None:
            self._refuse(checked, StanzaError(StanzaCondition.RESOURCE_CONSTRAINT))
        elif link.carriers:
            self.sent += 1
            link.carriers[0].transmit(checked)
        else:
            self._wait(link, checked)

    def _leaving(self, host: IHost, stanza: Stanza) -> Stanza | None:
        """Run what joined C{hooks.leaving}; None if it was refused."""
        hook = host.hooks.leaving
        for refuses in hook.refuse:
            error = refuses(stanza)
            if error is not None:
                self._refuse(stanza, error)
                return None
        for change in hook.change:
            stanza = change(stanza)
        return stanza

    def _refuse(self, stanza: Stanza, error: StanzaError) -> None:
        """Return a stanza to its sender, unless nobody cares."""
        if isinstance(error, Unanswered) or (stanza.kind == "presence" and stanza.attrs.get("type") in QUIET):
            return
        self._router.bounce(stanza, error)

    def _link(self, local: str, remote: str) -> Link | None:
        """A new link; None if there are too many that can't be forgotten."""
        now = self._clock.seconds()
        if len(self.links) >= LINKS:
            looked = tuple(islice(self.links.items(), 100))
            idle = [(pair, each) for pair, each in looked if each.idle]
            over = [pair for pair, each in idle if each.until <= now]
            for pair, each in looked:
                if not each.idle:
                    self.links.move_to_end(pair)
            # Rather forget that one has failed a moment ago than serve nobody new.
            for pair in over or [pair for pair, _ in idle[:1]]:
                del self.links[pair]
            if len(self.links) >= LINKS:
                return None
        link = self.links[local, remote] = Link(local, remote)
        return link

    def _wait(self, link: Link, stanza: Stanza) -> None:
        """There is no stream."""
        if link.timer is None and link.until > self._clock.seconds():
            assert link.reason is not None
            self._refuse(stanza, link.reason)
            return
        octets, limits = len(stanza.raw), self.limits
        if (
            len(link.waiting) >= limits.queueStanzas
            or link.octets + octets > limits.queueBytes
            or self._octets + octets > OCTETS
        ):
            reason = "Too much waits for the other server already."
            self._refuse(stanza, StanzaError(StanzaCondition.RESOURCE_CONSTRAINT, reason))
            return
        done: Deferred[None] | None = None
        if stanza.promise is not None:
            done = Deferred()
            stanza.promise.append(done)
        link.waiting.append((stanza, done))
        link.octets += octets
        self._octets += octets
        if link.timer is None:
            link.timer = self._clock.callLater(limits.connectSeconds, self._tooLate, link)
            assert self.dial is not None
            self.dial(link.local, link.remote)

    def _taken(self, link: Link) -> deque[tuple[Stanza, Deferred[None] | None]]:
        """What waits; from now on nothing does."""
        waiting, link.waiting = link.waiting, deque()
        self._octets -= link.octets
        link.octets = 0
        if link.timer is not None and link.timer.active():
            link.timer.cancel()
        link.timer = None
        return waiting

    def connected(self, local: str, remote: str, carrier: Carrier) -> None:
        """There is a stream for a pair, perhaps one more."""
        link = self.links.get((local, remote))
        if link is None and len(self.links) < LINKS // 2:  # what only others have asked for leaves room
            link = self._link(local, remote)
        if link is None or carrier in link.carriers:
            return
        link.carriers.append(carrier)
        link.failures = 0
        link.until = 0.0
        for stanza, done in self._taken(link):
            if link.carriers:
                self.sent += 1
                link.carriers[0].transmit(stanza)
            else:  # it has ended over what it was given
                self._refuse(stanza, StanzaError(StanzaCondition.REMOTE_SERVER_TIMEOUT))
            if done is not None:
                done.callback(None)

    def disconnected(self, local: str, remote: str, carrier: Carrier) -> None:
        """A stream has ended; the next stanza asks for another."""
        link = self.links.get((local, remote))
        if link is not None and carrier in link.carriers:
            link.carriers.remove(carrier)
            self.links.move_to_end((local, remote))

    def failed(self, local: str, remote: str, reason: StanzaError) -> None:
        """No stream can be had at present."""
        link = self.links.get((local, remote))
        if link is None or link.carriers or link.timer is None:
            return
        pause = min(LONGEST_PAUSE, FIRST_PAUSE * 2.0 ** min(link.failures, 20))
        link.failures += 1
        link.until = self._clock.seconds() + pause * (0.5 + self._draw() / 2)
        link.reason = reason
        for stanza, done in self._taken(link):
            self._refuse(stanza, reason)
            if done is not None:
                done.callback(None)

    def _tooLate(self, link: Link) -> None:
        reason = "The other server could not be reached in time."
        self.failed(link.local, link.remote, StanzaError(StanzaCondition.REMOTE_SERVER_TIMEOUT, reason))

    def returned(self, stanza: Stanza) -> None:
        """A stanza whose stream has broken before it was acknowledged."""
        reason = "The connection to the other server broke. It may have arrived."
        self._refuse(stanza, StanzaError(StanzaCondition.REMOTE_SERVER_TIMEOUT, reason))

    # --- in

    def arrived(self, stanza: Stanza) -> None:
        """
        A stanza from another server, whose sender's domain was proved and whose C{to} is at a domain of ours. Addresses
        are made canonical, as everybody behind expects the sender's to be.
        """
        self.arrivals += 1
        attrs = stanza.attrs
        try:
            sender = parse(attrs["from"])
        except JIDMalformed:
            log.debug("s2s: a stanza of a malformed sender was dropped")
            return
        if sender.full != attrs["from"]:
            stanza = stanza.addressed({"from": sender.full})
        mistake = iqMistake(stanza) if stanza.kind == "iq" else None
        if mistake is not None:
            self._router.bounce(stanza, mistake)
            return
        try:
            host = self._hosts(parse(attrs["to"]).domain)
        except JIDMalformed as error:
            self._malformed(stanza, error)
            return
        checked = self._arriving(host, stanza) if host is not None else stanza
        if checked is not None:
            self._router.route(checked)

    def _malformed(self, stanza: Stanza, error: StanzaError) -> None:
        """A stanza is for an address that can't be: its domain answers, as nobody believes what comes from there."""
        if stanza.attrs.get("type") not in ("error", "result"):
            domain = stanza.attrs["to"].partition("/")[0].rpartition("@")[2]
            self._router.route(stanza.error(error, domain))

    def _arriving(self, host: IHost, stanza: Stanza) -> Stanza | None:
        """Run what joined C{hooks.arriving}; None if it was refused."""
        hook = host.hooks.arriving
        for refuses in hook.refuse:
            error = refuses(stanza)
            if error is not None:
                if not isinstance(error, Unanswered):
                    self._router.bounce(stanza, error)
                return None
        for change in hook.change:
            stanza = change(stanza)
        return stanza

    # --- for people

    def waiting(self) -> Mapping[tuple[str, str], int]:
        """How many stanzas wait, by pair."""
        return {pair: len(link.waiting) for pair, link in self.links.items() if link.waiting}
