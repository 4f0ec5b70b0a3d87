"""
The verdict on a stream between servers: which proofs of the peer's domain held, which failed and why, and what the
policy for that domain makes of it (RFC 7712, RFC 7590 sections 3.3, 3.4 and 3.6).

Theory of operation. Each prooftype (L{xmppd.trust.pkix}, L{xmppd.trust.dane}, L{xmppd.trust.posh},
L{xmppd.trust.dialback}) answers one L{Proof}: it held, it failed, or the domain doesn't offer it; always with reasons
in plain words. L{decide} joins proofs, the facts of TLS and the L{PeerPolicy} of the domain to one L{Verdict}, which is
kept with the stream and named in every view. Nothing is looked up here and nothing is asked twice: when something
changes (a certificate is shown, a dialback result arrives), decide again with the new list of proofs.

A stream is accepted if all of these hold, else it isn't:

 1. no list says that the domain isn't wanted;
 2. it is encrypted, unless the policy lets that pass;
 3. no proof vetoes: secure TLSA records that contradict the certificate can't be made good by anything else (RFC 7673
    section 4.2);
 4. a proof of an accepted type held.

Weak identity is weaker still where something speaks against it, and by default isn't enough then (L{Downgrades}):

 5. the domain was proved by more before, and not long ago (L{Past}): whoever is on the path and has no certificate for
    it would have us fall back to dialback. Dialback with DNSSEC counts between;
 6. on a stream that we have opened, a certificate was shown that is good, but for others. Whoever has that may well be
    somebody else: had secure SRV records or a POSH document named him, that would be a proof. Names above and below the
    domain's own are no others': whoever has them has to do with the domain. On an incoming stream it says nothing, as a
    server may call with any certificate; its key is asked about on a stream that we open, and there it does.

Neither is looked for in a policy that takes no certificates anyway.

The strongest of those that held names the stream. L{Prooftype.NONE} can be accepted too, but only by writing it down:
then the stream is open to whoever comes.

The order of strength is that of what an attacker has to control. DANE: the domain's own DNS zone with its keys, or
those above it. PKIX: any one of many authorities. POSH: the same, or the domain's web server. Dialback with DNSSEC:
the path to the true address. Dialback: the path, or the DNS.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from enum import StrEnum
from typing import Any, Final

from xmppd.ixmppd import TLSFacts
from xmppd.trust.certificatefacts import CertificateFacts, factsOf, shown, shownNames, shownTime
from xmppd.trust.certificates import asciiDomain


class Prooftype(StrEnum):
    """How it is known that a domain is at the other end; the values are what views show."""

    DANE_EE = "DANE-EE"
    DANE_TA = "DANE-TA"
    PKIX = "PKIX"
    POSH = "POSH"
    DIALBACK_DNSSEC = "dialback+DNSSEC"
    DIALBACK = "dialback"
    NONE = "none"

    @property
    def strength(self) -> int:
        """Larger is stronger; 0 for none."""
        return _STRENGTH[self]

    @property
    def byCertificate(self) -> bool:
        """Whether the proof is the certificate itself, so that SASL EXTERNAL can be offered for it (XEP-0178)."""
        return self in CERTIFICATE_PROOFTYPES


    @property
    def grade(self) -> int:
        """What kind of proof it is: 2 by certificate, 1 by secure DNS alone, 0 by less."""
        return 2 if self.byCertificate else int(self is Prooftype.DIALBACK_DNSSEC)


STRONGEST_FIRST: Final = tuple(Prooftype)
"""The order of strength, which is the order of definition."""

_STRENGTH: Final = {each: len(STRONGEST_FIRST) - 1 - index for index, each in enumerate(STRONGEST_FIRST)}

CERTIFICATE_PROOFTYPES: Final = frozenset({Prooftype.DANE_EE, Prooftype.DANE_TA, Prooftype.PKIX, Prooftype.POSH})
"""Those that authenticate."""

WEAK_PROOFTYPES: Final = frozenset(Prooftype) - CERTIFICATE_PROOFTYPES
"""What is left: weak identity (RFC 7590 section 3.4), or none."""

DANE_PROOFTYPES: Final = frozenset({Prooftype.DANE_EE, Prooftype.DANE_TA})
"""Those that need a resolver that validates DNSSEC."""

ANY_PROOFTYPE: Final = frozenset(Prooftype) - {Prooftype.NONE}
"""What a policy accepts by default: anything but nothing."""


class Downgrades(StrEnum):
    """What becomes of weak identity where something speaks against it; the values are those of the configuration."""

    REFUSE = "refuse"
    WARN = "warn"
    ACCEPT = "accept"


@dataclass(frozen=True, slots=True)
class Past:
    """
    By what a domain was proved before.

    @ivar prooftype: the strongest that still counts; NONE if there is none.
    @ivar lastSeen: when it was last proved by that, in seconds since the epoch.
    @ivar problem: why that isn't known, in words, so that it may have been by anything; else empty.
    """

    prooftype: Prooftype = Prooftype.NONE
    lastSeen: float = 0.0
    problem: str = ""


class Outcome(StrEnum):
    """What became of a proof; the values are for people."""

    HELD = "held"
    FAILED = "failed"
    ABSENT = "not offered"


@dataclass(frozen=True, slots=True)
class Proof:
    """
    What one prooftype came to.

    @ivar prooftype: which.
    @ivar outcome: held, failed, or there was nothing to check.
    @ivar reasons: why, as plain sentences without a full stop.
    @ivar vetoes: that it failed forbids all others.
    @ivar until: when it has to be proved anew, in seconds since the epoch; None for as long as the stream lives.
    @ivar misdirects: it failed since the certificate, which is good, is for others that have nothing to do with the
        domain.
    """

    prooftype: Prooftype
    outcome: Outcome
    reasons: tuple[str, ...]
    vetoes: bool = False
    until: float | None = None
    misdirects: bool = False

    @property
    def held(self) -> bool:
        """Whether the peer is who it says, by this."""
        return self.outcome is Outcome.HELD

    def facts(self) -> dict[str, Any]:
        """The proof as values that JSON can hold."""
        return {
            "prooftype": str(self.prooftype),
            "outcome": str(self.outcome),
            "reasons": list(self.reasons),
            "until": self.until,
        }

    def __str__(self) -> str:
        return f"{self.prooftype} {self.outcome}: {'; '.join(self.reasons)}"


def held(prooftype: Prooftype, *reasons: str, until: float | None = None) -> Proof:
    """A proof that held."""
    return Proof(prooftype, Outcome.HELD, reasons, until=until)


def failed(prooftype: Prooftype, *reasons: str, vetoes: bool = False, misdirects: bool = False) -> Proof:
    """A proof that failed."""
    return Proof(prooftype, Outcome.FAILED, reasons, vetoes, misdirects=misdirects)


def absent(prooftype: Prooftype, *reasons: str) -> Proof:
    """A proof that the domain doesn't offer, or that can't be had now."""
    return Proof(prooftype, Outcome.ABSENT, reasons)


# --- policy -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class PeerPolicy:
    """
    What is asked of one domain.

    @ivar requireEncryption: without TLS nothing is accepted.
    @ivar prooftypes: by any of these the domain is accepted.
    @ivar unwanted: why a list keeps the domain out, in words, or None.
    @ivar downgrades: what becomes of weak identity where something speaks against it.
    """

    requireEncryption: bool = True
    prooftypes: frozenset[Prooftype] = ANY_PROOFTYPE
    unwanted: str | None = None
    downgrades: Downgrades = Downgrades.REFUSE

    @property
    def mayDialBack(self) -> bool:
        """Whether it is any use to try dialback keys."""
        return bool(self.prooftypes & {Prooftype.DIALBACK, Prooftype.DIALBACK_DNSSEC})


@dataclass(frozen=True, slots=True)
class PeerPolicies:
    """
    The policies for all domains. Keys and lists hold domains, or C{*.PARENT} for all domains below PARENT, at any
    depth, but not PARENT itself; all as ASCII (L{asciiDomain}). The longest key that fits a domain counts, a domain by
    name before any pattern.

    @ivar default: for domains that no key fits.
    @ivar domains: policies by domain or pattern.
    @ivar allow: if not None, nobody else is wanted.
    @ivar deny: who isn't wanted, even if allowed.
    """

    default: PeerPolicy = field(default_factory=PeerPolicy)
    domains: Mapping[str, PeerPolicy] = field(default_factory=dict)
    allow: frozenset[str] | None = None
    deny: frozenset[str] = frozenset()

    def of(self, domain: str) -> PeerPolicy:
        """
        The policy for a domain, lists included. What is no domain isn't wanted.

        @param domain: in any form.
        """
        try:
            name = asciiDomain(domain)
        except ValueError:
            return replace(self.default, unwanted="it isn't a domain")
        patterns = patternsFor(name)
        policy = next((self.domains[each] for each in patterns if each in self.domains), self.default)
        denied = next((each for each in patterns if each in self.deny), None)
        if denied is not None:
            return replace(policy, unwanted=f"the list of denied domains has {denied}")
        if self.allow is not None and self.allow.isdisjoint(patterns):
            return replace(policy, unwanted="the list of allowed domains doesn't have it")
        return policy


def patternsFor(name: str) -> list[str]:
    """A domain (ASCII) and the patterns that fit it, the most specific first."""
    labels = name.split(".")
    return [name, *("*." + ".".join(labels[index:]) for index in range(1, len(labels)))]


# --- verdict ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Verdict:
    """
    All that is known about who is at the other end of a stream, and what is made of it.

    @ivar domain: who the peer says it is.
    @ivar proofs: what was tried, in the order of strength.
    @ivar tls: the facts of TLS, or None on a plaintext stream.
    @ivar certificate: the facts of the peer's certificate, or None: none was shown, or it can't be read.
    @ivar prooftype: the strongest accepted proof that held; NONE if there is none.
    @ivar refusals: why the stream isn't accepted, as plain sentences; empty if it is.
    @ivar condition: what to tell the peer that isn't accepted: "policy-violation" or "not-authorized"; None if it is.
    @ivar downgrade: that the domain was proved by more before, in words; empty if it wasn't, or if that is no matter.
    @ivar misdirection: that a good certificate of others was shown, in words; empty as well.
    @ivar ignorance: why it isn't known whether it was proved by more, in words; empty if it is.
    """

    domain: str
    proofs: tuple[Proof, ...]
    tls: TLSFacts | None = field(repr=False)
    certificate: CertificateFacts | None
    prooftype: Prooftype
    refusals: tuple[str, ...] = ()
    condition: str | None = None
    downgrade: str = ""
    misdirection: str = ""
    ignorance: str = ""

    @property
    def accepted(self) -> bool:
        """Whether stanzas may pass."""
        return not self.refusals

    @property
    def encrypted(self) -> bool:
        """Whether there is TLS."""
        return self.tls is not None

    @property
    def authenticated(self) -> bool:
        """Whether the peer's certificate proves who it is, which is more than weak identity."""
        return self.accepted and self.prooftype.byCertificate

    @property
    def objections(self) -> tuple[str, ...]:
        """What speaks against the weak identity that there is."""
        return tuple(filter(None, (self.misdirection, self.downgrade, self.ignorance)))

    @property
    def notice(self) -> str:
        """What speaks against weak identity that would have been enough otherwise, as a sentence; else empty."""
        text = "" if self.accepted else "; ".join(self.objections)
        return f"{text[0].upper()}{text[1:]}." if text else ""

    @property
    def until(self) -> float | None:
        """When the proof that counts has to be renewed, in seconds since the epoch, or None."""
        return next((each.until for each in self.proofs if each.held and each.prooftype is self.prooftype), None)

    def summary(self) -> str:
        """One line for logs."""
        if self.accepted:
            return f"{shown(self.domain)} accepted by {self.prooftype}, {self._encryption()}"
        return f"{shown(self.domain)} refused, {self._encryption()}: {'; '.join(self.refusals)}"

    def interim(self) -> str:
        """The same line while the peer may still prove itself by dialback."""
        tried = "; ".join(f"{each.prooftype} {each.outcome}, {each.reasons[0]}" for each in self.proofs if each.reasons)
        return f"{shown(self.domain)} has dialback left to prove itself by, {self._encryption()}: {tried or 'no TLS'}"

    def facts(self) -> dict[str, Any]:
        """All of it as values that JSON can hold, for programs; times are in seconds since the epoch."""
        return {
            "domain": self.domain,
            "accepted": self.accepted,
            "prooftype": str(self.prooftype),
            "authenticated": self.authenticated,
            "encrypted": self.encrypted,
            "version": None if self.tls is None else self.tls.version,
            "cipher": None if self.tls is None else self.tls.cipher,
            "refusals": list(self.refusals),
            "objections": list(self.objections),
            "proofs": [proof.facts() for proof in self.proofs],
            "certificate": None if self.certificate is None else asdict(self.certificate),
        }

    def explain(self) -> str:
        """All of it, in plain words, one fact a line."""
        return "\n".join(self._lines())

    def _encryption(self) -> str:
        """The encryption in a few words."""
        return "not encrypted" if self.tls is None else f"{self.tls.version} {self.tls.cipher}"

    def _lines(self) -> Iterable[str]:
        """The lines of the explanation."""
        yield f"{shown(self.domain)}: " + (f"accepted by {self.prooftype}" if self.accepted else "refused")
        yield from (f"  because {reason}" for reason in self.refusals)
        yield from (f"  though {reason}" for reason in self.objections if self.accepted)
        yield f"  encryption: {self._encryption()}"
        if self.certificate is not None:
            yield from describe(self.certificate)
        for proof in self.proofs:
            until = "" if proof.until is None else f" until {shownTime(proof.until)}"
            yield f"  {proof.prooftype}: {proof.outcome}{until}"
            yield from (f"    {reason}" for reason in proof.reasons)


def describe(certificate: CertificateFacts) -> Iterable[str]:
    """The lines that describe a certificate to people."""
    yield f"  certificate: {shownNames(certificate.names)}"
    yield f"    issued by {shown(certificate.issuer) or 'nobody'}"
    yield f"    valid from {shownTime(certificate.notBefore)} until {shownTime(certificate.notAfter)}"
    yield f"    key {certificate.key}, {certificate.keyBits} bits"
    yield f"    SHA-256 of the certificate {certificate.sha256}"
    yield f"    SHA-256 of its public key {certificate.publicKeySHA256}"


def decide(
    domain: str,
    proofs: Iterable[Proof],
    policy: PeerPolicy,
    tls: TLSFacts | None,
    *,
    past: Past | None = None,
    outgoing: bool = False,
) -> Verdict:
    """
    Join what is known to a verdict. Costs a few microseconds and the parsing of one certificate.

    @param domain: who the peer says it is.
    @param proofs: what was tried so far, in any order; may be empty, before anything was.
    @param policy: what is asked of that domain (L{PeerPolicies.of}).
    @param tls: the facts of TLS, or None on a plaintext stream.
    @param past: what it was proved by before; only looked at if L{isWeak} says so of the verdict without it.
    @param outgoing: whether we have connected.
    """
    ordered = tuple(sorted(proofs, key=lambda proof: -proof.prooftype.strength))
    counting = [proof.prooftype for proof in ordered if proof.held and proof.prooftype in policy.prooftypes]
    prooftype = max(counting, key=lambda each: each.strength, default=Prooftype.NONE)
    refusals = tuple(_policyRefusals(policy, tls)) or tuple(_proofRefusals(ordered, policy, prooftype))
    condition = "policy-violation" if any(_policyRefusals(policy, tls)) else "not-authorized" if refusals else None
    found = Verdict(domain, ordered, tls, _certificateOf(tls), prooftype, refusals, condition)
    if refusals:
        return replace(found, prooftype=Prooftype.NONE)
    return _objected(found, policy, past or Past(), outgoing) if isWeak(found, policy) else found


def isWeak(verdict: Verdict, policy: PeerPolicy) -> bool:
    """
    Whether it matters what speaks against a verdict: the peer is accepted, or is but for that, by no certificate, where
    one would have been welcome.
    """
    if policy.downgrades is Downgrades.ACCEPT or not (verdict.accepted or verdict.objections):
        return False
    wanted = not CERTIFICATE_PROOFTYPES.isdisjoint(policy.prooftypes)
    return wanted and not any(proof.held and proof.prooftype.byCertificate for proof in verdict.proofs)


def _objected(verdict: Verdict, policy: PeerPolicy, past: Past, outgoing: bool) -> Verdict:
    """A verdict by weak identity, after it was looked at what speaks against that."""
    own = verdict.prooftype
    downgrade = misdirection = ""
    if past.prooftype.grade > own.grade:
        now = "by nothing" if own is Prooftype.NONE else f"only by {own}"
        downgrade = f"it was proved by {past.prooftype} until {shownTime(past.lastSeen)}, and now {now}"
    wrong = next((proof for proof in verdict.proofs if proof.misdirects), None) if outgoing else None
    if wrong is not None:
        misdirection = f"{'; '.join(wrong.reasons)}, so somebody else may be answering, which {own} doesn't rule out"
    unknown = f"it isn't known what it was proved by before: {past.problem}" if past.problem else ""
    found = replace(verdict, downgrade=downgrade, misdirection=misdirection, ignorance=unknown)
    if not found.objections or policy.downgrades is Downgrades.WARN:
        return found
    return replace(found, prooftype=Prooftype.NONE, refusals=found.objections, condition="not-authorized")


def _policyRefusals(policy: PeerPolicy, tls: TLSFacts | None) -> Iterable[str]:
    """What no proof can make good."""
    if policy.unwanted is not None:
        yield policy.unwanted
    if tls is None and policy.requireEncryption:
        yield "the stream isn't encrypted, and the policy asks for it"


def _proofRefusals(proofs: Sequence[Proof], policy: PeerPolicy, prooftype: Prooftype) -> Iterable[str]:
    """What is wrong with the proofs."""
    vetoes = [proof for proof in proofs if proof.vetoes and not proof.held]
    for proof in vetoes:
        yield f"{proof.prooftype} failed, which nothing else makes good ({'; '.join(proof.reasons)})"
    if vetoes or prooftype is not Prooftype.NONE or Prooftype.NONE in policy.prooftypes:
        return
    weak = [proof.prooftype for proof in proofs if proof.held]
    if weak:
        yield f"it is proved by {' and '.join(weak)} only, and the policy asks for {acceptedText(policy)}"
    else:
        yield "nothing proves that the peer is that domain"


def acceptedText(policy: PeerPolicy) -> str:
    """What a policy accepts, in words, the strongest first."""
    return " or ".join(each for each in STRONGEST_FIRST if each in policy.prooftypes) or "something that doesn't exist"


def _certificateOf(tls: TLSFacts | None) -> CertificateFacts | None:
    """The facts of the peer's certificate, if there is a readable one."""
    if tls is None or tls.peerCertificate is None:
        return None
    try:
        return factsOf(tls.peerCertificate)
    except ValueError:
        return None
