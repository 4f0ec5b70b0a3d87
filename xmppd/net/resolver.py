"""
Where to connect to: SRV records, addresses, and what stands for them if there are none (RFC 6120 section 3.2, RFC 2782,
XEP-0368).

The records of C{_xmpp-server} and C{_xmpps-server} are put in one order by priority and weight, so the operator of the
other server decides whether direct TLS is preferred. A target "." says that the service isn't there. Only if nothing
at all is said about either, the domain itself is tried, at port 5269.

Each answer says whether DNSSEC has made it secure. That is the AD bit of the resolver that was asked, which is worth
nothing if somebody between it and us can set it; so it is believed of a resolver on loopback, or of one the
configuration declares trusted, and of no other (RFC 6698 section 4.1).
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from ipaddress import ip_address
from itertools import islice
from typing import Any, Final

from twisted.internet.defer import Deferred, gatherResults, maybeDeferred
from twisted.names import client, dns

from xmppd.trust.certificates import asciiDomain
from xmppd.trust.dane import Endpoint, Security, TLSARecord, isTrustedResolver, securityOf, tlsaName

PORT: Final = 5269
"""Where servers listen if nothing says otherwise."""

TIMEOUTS: Final = (1, 3, 6)
"""After how many seconds a query is repeated, and in the end given up."""

TARGETS: Final = 12
"""How many targets of a domain are tried."""

ADDRESSES: Final = 4
"""How many addresses of each kind of a target are tried."""

SYSTEM: Final = "/etc/resolv.conf"


class LookupFailed(Exception):
    """The DNS has given no answer, or one that says that something is wrong."""


class NoService(Exception):
    """There is nothing to connect to; says why, for people."""


class Withheld(NoService):
    """It may be that there is something: the DNS doesn't answer, or its answer can't be true."""


@dataclass(frozen=True, slots=True)
class Answer:
    """
    What the DNS says.

    @ivar records: the payloads of the records of the type asked for; empty if there is no such name or record.
    @ivar security: how far that can be believed; also of an empty answer.
    @ivar exists: whether there is such a name at all.
    @ivar until: when the first of the records expires, in seconds since the epoch; a resolver that validates lets none
        outlive its signature (RFC 4035 section 5.3.3). None if that isn't known.
    @ivar problem: why there is no answer, or none that can be true, in words.
    """

    records: tuple[Any, ...] = ()
    security: Security = Security.INSECURE
    exists: bool = True
    until: float | None = None
    problem: str = ""

    @property
    def failed(self) -> bool:
        """Whether there was no answer, or none that can be true."""
        return self.security is Security.FAILED


TLSA: Final = 52
"""The type of TLSA records (RFC 6698)."""

MOST_RECORDS: Final = 64
"""How many records of an answer are looked at; thousands have room in one, and to put them in order takes time."""


@dataclass(frozen=True, slots=True)
class Target:
    """
    A host and port to be tried.

    @ivar host: a host name as ASCII, or an address.
    @ivar direct: whether it speaks TLS from the first byte.
    @ivar security: how far the answer that names it can be believed.
    @ivar until: when that expires, in seconds since the epoch, or None.
    """

    host: str
    port: int
    direct: bool = False
    security: Security = Security.INSECURE
    until: float | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Place:
    """
    An address and port to be tried.

    @ivar target: what it is an address of.
    @ivar security: how far that can be believed.
    @ivar until: when that expires, in seconds since the epoch, or None.
    """

    target: Target
    address: str
    security: Security = Security.INSECURE
    until: float | None = field(default=None, compare=False)


class _Datagrams(dns.DNSDatagramProtocol):
    """Queries that ask for the AD bit (RFC 6840 section 5.7), or for what fails validation, too (RFC 4035 3.2.2)."""

    noisy = False

    def writeMessage(self, message: Any, address: Any) -> None:
        """See L{dns.DNSDatagramProtocol}."""
        message.authenticData, message.checkingDisabled = self.controller.bits
        super().writeMessage(message, address)


class _Stream(dns.DNSProtocol):
    """The same over TCP, for long answers."""

    def writeMessage(self, message: Any) -> None:
        """See L{dns.DNSProtocol}."""
        message.authenticData, message.checkingDisabled = self.controller.bits
        super().writeMessage(message)  # type: ignore[no-untyped-call]


class _Factory(client.DNSClientFactory):
    def buildProtocol(self, addr: Any) -> Any:
        """See L{client.DNSClientFactory}."""
        protocol: Any = _Stream(self.controller)  # type: ignore[no-untyped-call]
        protocol.factory = self
        return protocol


class _Client(client.Resolver):
    """
    Twisted's resolver, whose answers say whether they are authentic.

    @ivar bits: AD and CD of the queries.
    """

    def __init__(self, servers: Sequence[tuple[str, int]] | None, reactor: Any, checking: bool = True) -> None:
        """
        @param checking: whether the resolver that is asked is to check signatures.
        """
        self.bits = (1, 0) if checking else (0, 1)
        file = None if servers else SYSTEM
        given = list(servers or ())
        super().__init__(file, given, TIMEOUTS, reactor)  # type: ignore[no-untyped-call]
        self.factory: Any = _Factory(self, TIMEOUTS)  # type: ignore[no-untyped-call]
        self.factory.noisy = False

    def _lookup(self, name: bytes, cls: int, type: int, timeout: Any) -> Deferred[Any]:
        """
        Ask. Twisted's own code lets equal questions share an answer, and where asking itself fails (no socket to be
        had) the question is never answered again.
        """
        asked: Deferred[Any] = maybeDeferred(self.queryUDP, [dns.Query(name, type, cls)], timeout)
        return asked.addCallback(self.filterAnswers)

    def _connectedProtocol(self, interface: str = "") -> Any:
        protocol = _Datagrams(self, self._reactor)  # type: ignore[no-untyped-call]
        # Twisted's own code tries ports at random until one is free; a port of the system's choice is as good.
        self._reactor.listenUDP(0, protocol, interface=interface, maxPacketSize=4096)
        return protocol

    def filterAnswers(self, message: Any) -> Any:
        """The whole message, however long."""
        if message.trunc:
            again: Any = self.queryTCP(message.queries)  # type: ignore[no-untyped-call]
            return again.addCallback(self.filterAnswers)
        return message

    def stop(self) -> None:
        """Look no more at the file with the system's resolvers."""
        call: Any = getattr(self, "_parseCall", None)
        if call is not None and call.active():
            call.cancel()


class Resolver:
    """
    Asks a resolver.

    @ivar trusted: whether its word about DNSSEC counts.
    """

    def __init__(
        self,
        reactor: Any,
        servers: Sequence[tuple[str, int]] | None = None,
        trusted: bool = False,
        draw: Callable[[int], int] = random.SystemRandom().randrange,
    ) -> None:
        """
        @param servers: addresses and ports of resolvers; the system's if None.
        @param trusted: whether the AD bit is believed though they aren't on loopback.
        @param draw: answers a number below its argument.
        """
        self._reactor = reactor
        self._servers = servers
        self._client: Any = None
        self._unchecked: Any = None
        self._trusted = trusted
        self._draw = draw

    def _resolver(self) -> Any:
        """The client; made at first use, since it reads a file."""
        if self._client is None:
            self._client = _Client(self._servers, self._reactor)
        return self._client

    @property
    def trusted(self) -> bool:
        """See the class."""
        resolver = self._resolver()
        asked = [*resolver.servers, *resolver.dynServers]
        return self._trusted or (bool(asked) and all(isTrustedResolver(address) for address, _ in asked))

    def stop(self) -> None:
        """Be done."""
        for each in (self._client, self._unchecked):
            if each is not None:
                each.stop()
        self._client = self._unchecked = None

    async def lookup(self, name: str, type: int) -> Answer:
        """
        Ask for records.

        @param name: a domain name as ASCII.
        @param type: of L{twisted.names.dns}: C{dns.SRV} and so on.
        @raise LookupFailed: there is no answer.
        """
        try:
            message = await self._resolver()._lookup(name.encode("ascii"), dns.IN, type, None)
        except Exception as problem:
            raise LookupFailed(f"the DNS doesn't answer about {name}") from problem
        if message.rCode not in (dns.OK, dns.ENAME):
            reason = _CODES.get(message.rCode, f"code {message.rCode}")
            if message.rCode == dns.ESERVER and self.trusted and await self._answersUnchecked(name, type):
                raise LookupFailed(
                    f"what the DNS says about {name} doesn't stand up to DNSSEC: it is forged, or its zone is signed"
                    " wrongly or not any more"
                )
            raise LookupFailed(f"the DNS has a problem with {name} ({reason})")
        records = tuple(islice((each.payload for each in message.answers if each.type == type), MOST_RECORDS))
        security = securityOf(True, bool(message.authenticData), self.trusted)
        lives = [each.ttl for each in (message.answers or message.authority)]
        until = self._reactor.seconds() + min(lives) if lives else None
        return Answer(records, security, message.rCode == dns.OK, until)

    async def _answersUnchecked(self, name: str, type: int) -> bool:
        """Whether there is an answer that the resolver keeps from us as it fails validation; for explanations only."""
        if self._unchecked is None:
            self._unchecked = _Client(self._servers, self._reactor, False)
        try:
            message = await self._unchecked._lookup(name.encode("ascii"), dns.IN, type, None)
        except Exception:
            return False
        return message.rCode in (dns.OK, dns.ENAME)

    # --- where a domain is

    async def targets(self, domain: str) -> list[Target]:
        """
        Where the servers of a domain are, in the order in which to try.

        @raise NoService: nowhere.
        """
        name = asciiDomain(domain)
        literal = _literal(name)
        if literal is not None:
            return [Target(literal, PORT)]
        plain, direct = await both(
            self._asked(f"_xmpp-server._tcp.{name}", dns.SRV), self._asked(f"_xmpps-server._tcp.{name}", dns.SRV)
        )
        found = [(each, False) for each in _there(plain)] + [(each, True) for each in _there(direct)]
        if found:
            return [
                Target(_hostOf(record), record.port, isDirect, answer.security, answer.until)
                for record, isDirect in ordered(found, self._draw)[:TARGETS]
                for answer in (direct if isDirect else plain,)
            ]
        if plain.records or direct.records:
            raise NoService(f"{domain} says that it has no server for XMPP")
        if plain.failed and self.trusted:
            # Somebody could keep the records from us, and they might say more than where to go (RFC 7673 section 3.1).
            raise Withheld(f"the DNS doesn't say where the server of {domain} is: {plain.problem}")
        # RFC 6120 section 3.2.1: only if there is no word about it at all.
        return [Target(name, PORT, False, plain.security, plain.until)]

    async def _asked(self, name: str, type: int) -> Answer:
        """Records, or that there is no answer."""
        try:
            return await self.lookup(name, type)
        except LookupFailed as problem:
            return Answer((), Security.FAILED, problem=str(problem))

    async def places(self, target: Target) -> list[Place]:
        """
        The addresses of a target, those of IPv6 and of IPv4 in turn.

        @raise NoService: it has none.
        """
        literal = _literal(target.host)
        if literal is not None:
            return [Place(target, literal)]
        six, four = await both(self._asked(target.host, dns.AAAA), self._asked(target.host, dns.A))
        found = [
            Place(target, str(ip_address(record.address)), answer.security, answer.until)
            for place in range(ADDRESSES)
            for answer in (six, four)
            for record in answer.records[place : place + 1]
        ]
        problem = six.problem or four.problem
        if not found and problem:
            raise Withheld(problem)
        if not found:
            raise NoService(f"{target.host} has no address")
        return found

    async def endpoint(self, place: Place) -> Endpoint:
        """What the DNS says of a place's certificate. Nobody is asked where the answer couldn't be believed anyway."""
        target = place.target
        tlsa = Answer()
        if place.security is Security.SECURE and _literal(target.host) is None:
            tlsa = await self._asked(tlsaName(target.host, target.port), TLSA)
        records = []
        for each in tlsa.records:
            try:
                records.append(TLSARecord.parse(each.data))
            except ValueError:
                continue
        return Endpoint(
            target.host,
            target.port,
            target.security,
            place.security,
            tlsa.security,
            tuple(records),
            earliest(target.until, place.until, tlsa.until),
            tlsa.problem,
        )

    async def endpoints(self, domain: str) -> list[Endpoint]:
        """
        What the DNS says of all places of a domain; nothing if it has none.

        @raise Withheld: the DNS doesn't say where they are, or whether there are any.
        """
        try:
            targets = await self.targets(domain)
        except Withheld:
            raise
        except NoService:
            return []
        found: list[Endpoint] = []
        problem: NoService | None = None
        for target in targets[:ADDRESSES]:
            try:
                places = await self.places(target)
            except NoService as error:
                problem = error
            else:
                found.append(await self.endpoint(places[0]))
        if not found and isinstance(problem, Withheld):
            raise problem
        return found


_CODES: Final = {dns.EFORMAT: "format error", dns.ESERVER: "server failure", dns.EREFUSED: "refused"}


def earliest(*times: float | None) -> float | None:
    """The first of several times, of which some may not be known."""
    return min((each for each in times if each is not None), default=None)


async def both(one: Any, other: Any) -> tuple[Any, Any]:
    """Two coroutines at once."""
    first, second = await gatherResults(
        [Deferred.fromCoroutine(one), Deferred.fromCoroutine(other)], consumeErrors=True
    )
    return first, second


def _there(answer: Answer) -> list[Any]:
    """The SRV records of an answer that name a host, rather than say that there is nothing, or nonsense."""
    return [each for each in answer.records if each.port and _isHost(_hostOf(each))]


def _isHost(name: str) -> bool:
    """Whether a name is that of a host; the DNS lets names have any octets."""
    try:
        return asciiDomain(name) == name and "*" not in name
    except ValueError:
        return False


def _hostOf(record: Any) -> str:
    """The target of an SRV record; empty for the root."""
    return str(record.target.name.decode("ascii", "replace")).rstrip(".").lower()


def _literal(host: str) -> str | None:
    """The address that a host name is, or None."""
    try:
        return str(ip_address(host.strip("[]")))
    except ValueError:
        return None


def ordered(records: Iterable[tuple[Any, bool]], draw: Callable[[int], int]) -> list[tuple[Any, bool]]:
    """
    SRV records in the order in which to try them (RFC 2782): by priority, and among equals at random by weight.

    @param draw: answers a number below its argument.
    """
    left = sorted(records, key=lambda each: (each[0].priority, each[0].weight != 0))
    found: list[tuple[Any, bool]] = []
    while left:
        group = [each for each in left if each[0].priority == left[0][0].priority]
        mark = draw(sum(each[0].weight for each in group) + 1)
        for each in group:
            mark -= each[0].weight
            if mark <= 0:
                break
        left.remove(each)
        found.append(each)
    return found
