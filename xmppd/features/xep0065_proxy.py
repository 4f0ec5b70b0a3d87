"""
A proxy for SOCKS5 bytestreams (XEP-0065): two clients that can't reach each other send a file through the server.

Theory of operation. Both clients connect to the proxy's port and name the stream by a hash of its id and their two
addresses; the proxy can't tell who is who, or what the hash stands for. Then the requester asks by IQ to activate the
stream: its address is true, since the server has stamped it, so the hash can be made again, and the two connections
that have given it are joined. Nobody else's stream can be activated, since whoever asks has the own address in the
hash.

Streams are counted against the account of who activates them, and so are the octets, for all of an account's streams
together and for all accounts together.

Left out: UDP (section 8).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Sequence
from typing import Any, Final

from twisted.logger import Logger
from zope.interface import implementer

from xmppd.hooks import Feature, Option, Spec
from xmppd.ixmppd import IBytestreams, IClock, IHost, IRelayed, Request
from xmppd.wire import ns
from xmppd.wire.element import Element
from xmppd.wire.errors import ErrorType, StanzaCondition, StanzaError
from xmppd.wire.jid import parse

log = Logger(namespace="xmppd.proxy")

NAME: Final = "xep0065_proxy"
QUERY: Final = ns.BYTESTREAMS + " query"

HASH: Final = re.compile(r"[0-9a-f]{40}\Z")

WAITING: Final = 1000
"""How many names may have connections that wait."""

LONGEST_ID: Final = 1024
"""Characters of a stream's id."""


class Pace:
    """
    So many octets a second in the long run, and as many at once.
    """

    __slots__ = ("_clock", "_last", "_octets", "_rate")

    def __init__(self, clock: IClock, rate: int) -> None:
        self._clock = clock
        self._rate = rate
        self._octets = 0.0
        self._last = clock.seconds()

    def spend(self, octets: int) -> float:
        """Count octets; answers for how many seconds to pause."""
        now = self._clock.seconds()
        self._octets = max(0.0, self._octets - (now - self._last) * self._rate) + octets
        self._last = now
        return max(0.0, self._octets / self._rate - 1.0)


class _Use:
    """What an account uses."""

    __slots__ = ("pace", "streams")

    def __init__(self, pace: Pace | None) -> None:
        self.pace = pace
        self.streams: list[tuple[IRelayed, IRelayed]] = []


@implementer(IBytestreams)
class Proxy:
    """
    The proxy of one domain.

    @ivar endpoints: see L{IBytestreams}.
    @ivar port: see L{IBytestreams}.
    """

    def __init__(self, host: IHost) -> None:
        self._host = host
        self.endpoints: Sequence[str] = tuple(self._option("listen"))
        self.port: int = self._option("port")
        self._waiting: dict[str, list[IRelayed]] = {}
        self._names: dict[IRelayed, str] = {}
        self._active: set[str] = set()
        self._uses: dict[str, _Use] = {}
        self._total = self._pace("total_bytes_per_second")

    def _option(self, key: str) -> Any:
        return self._host.option(NAME, key)

    def _pace(self, key: str) -> Pace | None:
        rate = self._option(key)
        return Pace(self._host.clock, rate) if rate else None

    # --- connections

    def arrived(self, connection: IRelayed, name: str) -> bool:
        """See L{IBytestreams}."""
        if not HASH.match(name) or name in self._active:
            return False
        there = self._waiting.get(name, [])
        if len(there) >= 2 or (not there and len(self._waiting) >= WAITING):
            return False
        self._waiting[name] = [*there, connection]
        self._names[connection] = name
        return True

    def departed(self, connection: IRelayed) -> None:
        """See L{IBytestreams}."""
        name = self._names.pop(connection, None)
        if name is None:
            return
        left = [each for each in self._waiting.get(name, ()) if each is not connection]
        if left:
            self._waiting[name] = left
        else:
            self._waiting.pop(name, None)

    # --- requests

    def address(self, request: Request) -> Element:
        """Where the proxy is (section 4)."""
        self._mayUse(request)
        if not self.port:
            raise StanzaError(StanzaCondition.NOT_ALLOWED, "The proxy isn't listening.")
        host = self._option("host") or self._host.domain
        attrs = {"jid": self._host.domain, "host": host, "port": str(self.port)}
        return Element("query", ns.BYTESTREAMS, {}, (Element("streamhost", ns.BYTESTREAMS, attrs),))

    def activate(self, request: Request) -> None:
        """Join the two connections of a stream (section 6.3.5)."""
        owner = self._mayUse(request)
        payload = request.payload
        sid, target = payload.get("sid"), payload.textOf("activate")
        if not sid or len(sid) > LONGEST_ID or not target:
            raise StanzaError(StanzaCondition.BAD_REQUEST, "Which stream, and to whom?")
        if payload.get("mode", "tcp") != "tcp":
            raise StanzaError(StanzaCondition.FEATURE_NOT_IMPLEMENTED, "There is only TCP here.")
        name = self._find(sid, request.sender.full, target.strip())
        use = self._useOf(owner)
        self._checkGuest(request, use)
        self._join(name, owner, use)
        log.info("bytestream: account={account}", account=owner)

    def _mayUse(self, request: Request) -> str:
        """Whose use it is, if it is allowed."""
        session = request.session
        if session is None and not self._option("remote"):
            raise StanzaError(StanzaCondition.FORBIDDEN, "The proxy is for users of this server only.")
        if session is not None and session.account.anonymous and not self._option("guests"):
            raise StanzaError(StanzaCondition.FORBIDDEN, "The proxy is not for guests.")
        return request.sender.bare

    def _find(self, sid: str, requester: str, target: str) -> str:
        """The name of a stream both of whose ends are there. Clients should, but may not, have prepared the address."""
        names = [
            hashlib.sha1(f"{sid}{requester}{address}".encode(), usedforsecurity=False).hexdigest()
            for address in dict.fromkeys((parse(target).full, target))
        ]
        there = {name: len(self._waiting[name]) for name in names if name in self._waiting}
        for name, count in there.items():
            if count == 2:
                return name
        if there:
            raise StanzaError(StanzaCondition.NOT_ALLOWED, "Only one side is connected.")
        raise StanzaError(StanzaCondition.ITEM_NOT_FOUND, "Nobody is connected for this stream.")

    def _useOf(self, owner: str) -> _Use:
        """The account's use, if it may have one stream more."""
        use = self._uses.get(owner) or _Use(self._pace("bytes_per_second"))
        if len(use.streams) >= self._option("sessions_per_account") or len(self._active) >= self._option("sessions"):
            raise StanzaError(StanzaCondition.RESOURCE_CONSTRAINT, "There are too many streams just now.")
        return use

    def _checkGuest(self, request: Request, use: _Use) -> None:
        """
        May a guest have one stream more?

        @raise StanzaError: resource-constraint (XEP-0205 section 4.4).
        """
        session = request.session
        guests = session.host.guests if session is not None and session.account.anonymous else None
        if guests is not None and len(use.streams) >= guests.allowed.bytestreams:
            condition = b"<resource-limit-exceeded xmlns='urn:xmpp:errors'/>"
            text = "Guests may not have so many streams."
            raise StanzaError(StanzaCondition.RESOURCE_CONSTRAINT, text, ErrorType.CANCEL, condition)

    def _join(self, name: str, owner: str, use: _Use) -> None:
        one, other = self._waiting.pop(name)
        del self._names[one], self._names[other]
        self._active.add(name)
        self._uses[owner] = use
        use.streams.append((one, other))
        paces = [pace for pace in (use.pace, self._total) if pace is not None]
        one.join(other, paces, self._leaving(name, owner, use, (one, other)))

    def _leaving(self, name: str, owner: str, use: _Use, pair: tuple[IRelayed, IRelayed]) -> Callable[[], None]:
        def left() -> None:
            self._active.discard(name)
            use.streams.remove(pair)
            if not use.streams and self._uses.get(owner) is use:
                del self._uses[owner]

        return left

    def forget(self, owner: str) -> None:
        """An account is gone: its streams end."""
        use = self._uses.get(owner)
        for one, other in tuple(use.streams) if use is not None else ():
            one.abort()
            other.abort()


def _atLeast(least: int) -> Callable[[Any], str | None]:
    return lambda value: None if value >= least else f"it is less than {least}"


def _endpoints(value: Any) -> str | None:
    return None if value and all(isinstance(each, str) and ":" in each for each in value) else "it names no endpoint"


def _port(value: int) -> str | None:
    return None if 0 <= value <= 65535 else "it is no port"


OPTIONS = {
    "listen": Option(["tcp:7777"], "Where clients connect, as Twisted's endpoint strings.", _endpoints),
    "host": Option("", "The name or address clients are told to connect to; the proxy's domain if empty."),
    "port": Option(0, "The port they are told; the one it listens on if 0.", _port),
    "sessions": Option(200, "Streams at a time.", _atLeast(1)),
    "sessions_per_account": Option(10, "Streams of an account at a time.", _atLeast(1)),
    "bytes_per_second": Option(
        1_048_576, "Octets a second for all streams of an account; 0 for no limit.", _atLeast(0)
    ),
    "total_bytes_per_second": Option(10_485_760, "Octets a second for all streams; 0 for no limit.", _atLeast(0)),
    "remote": Option(False, "Whether users of other servers may activate streams."),
    "guests": Option(False, "Whether guests may activate streams."),
}


def join(host: IHost) -> None:
    """Tell where the proxy is, and activate streams."""
    proxy = Proxy(host)
    host.bytestreams = proxy
    host.respond("host", "get", QUERY, proxy.address)
    host.respond("host", "set", QUERY, proxy.activate)
    host.hooks.farewell.addObserver(lambda departure: proxy.forget(departure.bare))
    host.hooks.removed.addObserver(proxy.forget)


feature = Feature(
    name=NAME,
    specs=(Spec("XEP-0065", "1.8.2"),),
    namespaces=(ns.BYTESTREAMS,),
    identities=(("proxy", "bytestreams", "File transfer proxy"),),
    options=OPTIONS,
    join=join,
    joins=(),
    serves="proxy",
)
