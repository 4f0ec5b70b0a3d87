"""
Which SASL mechanisms a stream offers, and the making of the one that a client picks.

Everything here follows from L{Facts}: what is offered is what can be created, and nothing else can.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from xmppd.sasl.anonymous import AnonymousMechanism
from xmppd.sasl.external import ExternalMechanism
from xmppd.sasl.plain import PlainMechanism
from xmppd.sasl.scram import BINDINGS, HASHES, ScramMechanism, downgradeHash, mechanismName
from xmppd.sasl.steps import Mechanism
from xmppd.sasl.tlsversion import versionDigits
from xmppd.sasl.token import TOKEN_MECHANISMS, HashedTokenMechanism
from xmppd.wire.errors import SASLCondition, SASLError

_SCRAM = {mechanismName(hashName, plus): (hashName, plus) for plus in (True, False) for hashName in reversed(HASHES)}
"""Hash and form by name: binding first, then the stronger hash."""


@dataclass(frozen=True, slots=True)
class Facts:
    """
    What decides about mechanisms on one stream. Keep the same object from advertising to authentication.

    @ivar secured: whether TLS is in place.
    @ivar channelBindings: data by channel binding type, empty without TLS.
    @ivar accounts: whether the host has accounts that can log in.
    @ivar guests: whether the host lets guests in (never by default, XEP-0175 section 3).
    @ivar clientCertificate: whether the client has shown a certificate that we accept as proof (XEP-0178 section 2).
    @ivar plainWithoutTLS: allow passwords in the clear. Unsafe.
    @ivar tlsVersion: the version of the TLS that ends here, by OpenSSL's name; empty if there is none.
    """

    secured: bool
    channelBindings: Mapping[str, bytes] = field(repr=False)
    accounts: bool
    guests: bool
    clientCertificate: bool
    plainWithoutTLS: bool = False
    tlsVersion: str = ""


def offered(facts: Facts) -> list[str]:
    """
    The mechanisms to advertise, in the order in which we prefer them (RFC 6120 section 6.3.3).

    A host for guests alone offers ANONYMOUS alone: clients pick whatever else they see.
    """
    return list(_offered(facts))


def offeredBindings(facts: Facts) -> list[str]:
    """The channel binding types to advertise (XEP-0440 section 2); none unless a -PLUS mechanism is offered."""
    return _bindings(facts) if facts.accounts else []


def create(name: str, facts: Facts, downgradeProtection: bool = True) -> Mechanism:
    """
    The mechanism that a client asked for, by its exact name.

    @param downgradeProtection: whether SCRAM sends the hash of L{offered} and L{offeredBindings} (XEP-0474) and the
        version of TLS (XEP-0515). Only for streams that advertised exactly these: a client that checks would see an
        attack.
    @raise SASLError: C{invalid-mechanism} if it isn't offered; C{encryption-required} for PLAIN that would be, but
        for TLS (RFC 6120 section 6.5.4).
    """
    if name not in _offered(facts):
        raise _refusal(name, facts)
    if name in _SCRAM:
        return _createScram(name, facts, downgradeProtection)
    if name == ExternalMechanism.name:
        return ExternalMechanism()
    if name == PlainMechanism.name:
        return PlainMechanism()
    return AnonymousMechanism()


def offeredTokens(facts: Facts) -> list[str]:
    """The mechanisms for tokens to advertise (XEP-0484 section 3.1): those whose channel binding can be had."""
    bindings = ("", *_bindings(facts))
    return [name for name, binding in TOKEN_MECHANISMS.items() if binding in bindings]


def createToken(name: str, facts: Facts) -> Mechanism:
    """The mechanism for tokens that a client asked for. Raises L{SASLError}: C{invalid-mechanism}."""
    if name not in offeredTokens(facts):
        raise SASLError(SASLCondition.INVALID_MECHANISM, "This mechanism is not offered for tokens.")
    binding = TOKEN_MECHANISMS[name]
    return HashedTokenMechanism(name, facts.channelBindings[binding] if binding else b"")


def _offered(facts: Facts) -> Iterator[str]:
    """The names behind L{offered}."""
    if facts.accounts:
        if facts.clientCertificate and facts.secured:
            yield ExternalMechanism.name
        bound = bool(_bindings(facts))
        yield from (name for name, (_, plus) in _SCRAM.items() if bound or not plus)
        if facts.secured or facts.plainWithoutTLS:
            yield PlainMechanism.name
    if facts.guests:
        yield AnonymousMechanism.name


def _bindings(facts: Facts) -> list[str]:
    """The types with data, of those that we know."""
    return [name for name in BINDINGS if facts.secured and facts.channelBindings.get(name)]


def _createScram(name: str, facts: Facts, downgradeProtection: bool) -> ScramMechanism:
    """One of the SCRAM family."""
    hashName, plus = _SCRAM[name]
    bindings = _bindings(facts)
    protection = downgradeHash(_offered(facts), bindings, hashName) if downgradeProtection else None
    usable = {binding: facts.channelBindings[binding] for binding in bindings}
    version = versionDigits(facts.tlsVersion) if downgradeProtection and facts.secured else None
    return ScramMechanism(
        hashName, plus, usable, plusOffered=bool(bindings), downgradeHash=protection, tlsVersion=version
    )


def _refusal(name: str, facts: Facts) -> SASLError:
    """Why a mechanism can't be had."""
    if name == PlainMechanism.name and facts.accounts:
        return SASLError(SASLCondition.ENCRYPTION_REQUIRED, "Passwords are taken under TLS only.")
    return SASLError(SASLCondition.INVALID_MECHANISM, "This mechanism is not offered here.")
