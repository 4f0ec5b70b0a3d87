"""
Fetches the documents in which domains name the certificates of their XMPP servers (RFC 7711).

Strangers decide where we go: first to the web server of a domain that they name, then wherever that sends us. So only
HTTPS is spoken, with the certificate checked; only to port and address that the reference may name
(L{xmppd.trust.posh.checkedURL}); and, unless the configuration has it otherwise, never to an address that isn't on the
public Internet, whatever the DNS says of the name. Documents, redirects and time have bounds; what was learnt, or that
there was nothing, is kept for a while.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from pathlib import Path
from typing import Any, Final
from urllib.parse import urljoin

from OpenSSL import crypto
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint, TCP6ClientEndpoint, wrapClientTLS
from twisted.internet.protocol import Protocol, connectionDone
from twisted.internet.ssl import Certificate, optionsForClientTLS, platformTrust, trustRootFromCertificates
from twisted.python.failure import Failure
from twisted.web.client import Agent
from twisted.web.http_headers import Headers
from twisted.web.iweb import IAgentEndpointFactory
from zope.interface import implementer

from xmppd.ixmppd import IClock
from xmppd.net.resolver import NoService, Resolver, Target
from xmppd.trust.posh import (
    MAX_DOCUMENT,
    MAX_REDIRECTS,
    Fingerprints,
    Material,
    POSHError,
    Reference,
    checkedURL,
    collect,
    parse,
    wellKnown,
)

SECONDS: Final = 10
"""How long fetching everything may take."""

REMEMBERED: Final = 1000
"""Of how many domains it is kept what they say."""

FETCHING: Final = 50
"""How many documents are fetched at a time; strangers can ask for them."""

NOTHING_SECONDS: Final = 300.0
"""For how long it is kept that there is nothing."""


NAT64: Final = ip_network("64:ff9b::/96")
COMPATIBLE: Final = ip_network("::/96")
LOCAL_NAT64: Final = ip_network("64:ff9b:1::/48")
"""Addresses of IPv6 behind which there are some of IPv4 (RFC 6052, RFC 4291 section 2.5.5.1, RFC 8215)."""


def isPublic(address: str) -> bool:
    """Whether an address is on the public Internet; of one that stands for another of IPv4, whether that one is."""
    found = ip_address(address)
    if isinstance(found, IPv6Address):
        inner = found.ipv4_mapped or found.sixtofour
        if found in NAT64 or found in COMPATIBLE:
            inner = IPv4Address(int(found) & 0xFFFFFFFF)
        if inner is not None:
            found = inner
        elif found in LOCAL_NAT64 or found.is_site_local:
            return False
    return found.is_global and not found.is_multicast


class Places:
    """
    Which domains name which certificates.

    @ivar connect: makes an endpoint of an address and a port.
    @ivar isPublic: says which addresses we go to.
    """

    def __init__(
        self, reactor: Any, resolver: Resolver, authorities: Path | None = None, private: bool = False
    ) -> None:
        """
        @param authorities: file of those who vouch for web servers; the system's if None.
        @param private: whether to go to addresses that aren't on the public Internet, too.
        """
        self.connect: Callable[[str, int], Any] = self._endpoint
        self.isPublic: Callable[[str], bool] = (lambda address: True) if private else isPublic
        self._clock: IClock = reactor
        self._reactor = reactor
        self._resolver = resolver
        self._authorities = authorities
        self._trusted: Any = None
        self._agent: Any = None
        self._fetching = 0
        self._known: OrderedDict[str, tuple[Material | None, float, str]] = OrderedDict()

    async def material(self, domain: str) -> tuple[Material | None, str]:
        """What a domain says, or None and why."""
        now = self._clock.seconds()
        found = self._known.get(domain)
        if found is None or found[1] <= now:
            found = await self._fetched(domain, now)
            self._known[domain] = found
            self._known.move_to_end(domain)
            if len(self._known) > REMEMBERED:
                self._known.popitem(last=False)
        return found[0], found[2]

    async def _fetched(self, domain: str, now: float) -> tuple[Material | None, float, str]:
        if self._fetching >= FETCHING:
            return None, now, "too many POSH documents are being fetched"
        self._fetching += 1
        fetching: Deferred[Material] = Deferred.fromCoroutine(self._fetch(domain, now))
        fetching.addTimeout(SECONDS, self._reactor)
        try:
            material = await fetching
        except Exception as problem:
            reason = " ".join(str(problem).split())[:200] if isinstance(problem, POSHError) else "it can't be fetched"
            return None, now + NOTHING_SECONDS, f"there is no POSH document of {domain}: {reason}"
        finally:
            self._fetching -= 1
        return material, material.until, ""

    async def _fetch(self, domain: str, now: float) -> Material:
        """
        The document, or what it refers to.

        @raise Exception: there is none.
        """
        first, source = await self._document(wellKnown(domain))
        second: Fingerprints | Reference | None = None
        if isinstance(first, Reference):
            second, source = await self._document(checkedURL(first.url))
        return collect(first, now, source, second)

    async def _document(self, url: str) -> tuple[Fingerprints | Reference, str]:
        """One document and where it was in the end, redirects followed."""
        for _ in range(MAX_REDIRECTS + 1):
            response = await self._request(url)
            if response.code in (301, 302, 303, 307, 308):
                (location,) = response.headers.getRawHeaders(b"location", [b""])[:1]
                url = checkedURL(urljoin(url, location.decode("ascii", "replace")))
                response.deliverBody(Body(0))
                continue
            if response.code != 200:
                raise POSHError(f"the web server says {response.code}")
            body = Body(MAX_DOCUMENT)
            response.deliverBody(body)
            return parse(await body.read), url
        raise POSHError("it is redirected too often")

    def _request(self, url: str) -> Deferred[Any]:
        if self._agent is None:
            self._agent = Agent.usingEndpointFactory(self._reactor, Endpoints(self))
        headers = Headers({b"accept": [b"application/json"], b"user-agent": [b"xmppd"]})
        answer: Deferred[Any] = self._agent.request(b"GET", url.encode("ascii"), headers)
        return answer

    # --- connections

    def trusted(self) -> Any:
        """Who vouches for web servers."""
        if self._trusted is None:
            if self._authorities is None:
                self._trusted = platformTrust()
            else:
                blocks = self._authorities.read_bytes().split(b"-----END CERTIFICATE-----")[:-1]
                certificates = [
                    Certificate(crypto.load_certificate(crypto.FILETYPE_PEM, each + b"-----END CERTIFICATE-----"))
                    for each in blocks
                ]
                self._trusted = trustRootFromCertificates(certificates)
        return self._trusted

    def _endpoint(self, address: str, port: int) -> Any:
        kind = TCP6ClientEndpoint if ":" in address else TCP4ClientEndpoint
        return kind(self._reactor, address, port, timeout=SECONDS)

    async def open(self, host: str, port: int, factory: Any) -> Any:
        """
        Connect to a web server with TLS.

        @raise POSHError: it isn't on the Internet.
        """
        try:
            places = await self._resolver.places(Target(host, port))
        except NoService as error:
            raise POSHError(str(error)) from None
        if not all(self.isPublic(each.address) for each in places):
            raise POSHError(f"{host} isn't on the public Internet")
        options = optionsForClientTLS(host, self.trusted())
        problem: Exception = POSHError("nobody is there")
        for place in places:
            try:
                return await wrapClientTLS(options, self.connect(place.address, port)).connect(factory)
            except Exception as error:
                problem = error
        raise problem


@implementer(IAgentEndpointFactory)
class Endpoints:
    """Makes the connections of an agent."""

    def __init__(self, places: Places) -> None:
        self._places = places

    def endpointForURI(self, uri: Any) -> Any:
        """See L{IAgentEndpointFactory}."""
        return Endpoint(self._places, uri.host.decode("ascii"), uri.port)


class Endpoint:
    """One web server."""

    def __init__(self, places: Places, host: str, port: int) -> None:
        self._places = places
        self._host = host
        self._port = port

    def connect(self, factory: Any) -> Deferred[Any]:
        """See C{IStreamClientEndpoint}."""
        return Deferred.fromCoroutine(self._places.open(self._host, self._port, factory))


class Body(Protocol):
    """
    Reads a body that isn't too long.

    @ivar read: fires with it.
    """

    def __init__(self, most: int) -> None:
        self.read: Deferred[bytes] = Deferred()
        self._most = most
        self._parts: list[bytes] = []
        self._size = 0

    def dataReceived(self, data: bytes) -> None:
        """See L{Protocol}."""
        self._size += len(data)
        if self._size <= self._most:
            self._parts.append(data)
            return
        if self._most and not self.read.called:
            self.read.errback(POSHError(f"the document has more than {self._most} octets"))
        transport: Any = self.transport
        abort = getattr(transport, "abortConnection", None) or transport.loseConnection
        abort()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """See L{Protocol}."""
        if not self.read.called:
            self.read.callback(b"".join(self._parts))
