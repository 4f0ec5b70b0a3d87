"""
What a domain has shown before, and what to make of what it shows now (RFC 7590 section 3.6: people should be warned if
a certificate changes).

Theory of operation. Each finished handshake with a domain is a L{Sighting}: certificate, key, authority, proof.
Sightings of one domain, the latest first, are its history; where it is kept is not known here. L{observe} compares a
new sighting with the history and answers every L{Change} that it sees, whether somebody should look at it, and why in
words; L{remembered} answers the history with the new one in it. Whoever connects can claim to be anybody, so a refused
incoming stream says nothing about the domain: ask L{isMemorable} first.

What is ordinary. Authorities want certificates renewed every few months, mostly with a new key, so a new key from the
same authority is ordinary if it was due: if the old certificate had no more than a third of its life left, which is
when automatic renewal begins. A new key long before that is what an interception looks like whose certificate comes
from the very authority that the domain uses. So is an older certificate that comes back while the newer one is still
valid: two parties answer for the domain, or one path to it leads elsewhere. Both are told as warnings.

The nodes of a cluster may well have a certificate each. Once it was told that a certificate is back, that one and the
one it has taken turns with are I{alternating}, and that either of them is shown is ordinary from then on, as long as it
is seen every now and then. How many may be is bounded; and who wants to be one of them has been told of twice.

By what a domain was proved is remembered apart from its sightings (L{Proved}), which whoever is on the path can replace
by making up certificates. It is what speaks against weaker proofs later (L{pastOf}), until an administrator has said
that they are enough: from then on they are, in both directions, and in each until the domain is proved as before.

Authorities have several intermediate certificates and change between them, so "the same authority" is the same
organisation, where the issuer's name has one.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from cryptography import x509

from xmppd.trust.certificatefacts import CertificateFacts, load, shown, shownTime
from xmppd.trust.verdict import Past, Prooftype, Verdict

MAX_ALTERNATING: Final = 8
"""How many certificates of one domain may take turns, in one direction."""

ALTERNATING_SECONDS: Final = 30 * 86_400.0
"""After how many seconds without being seen a certificate that comes back is told of again."""

MAX_SIGHTINGS: Final = 32
"""How many different certificates of one domain are remembered."""

DUE: Final = 1 / 3
"""What part of its life a certificate has left when its renewal is due."""


class Change(StrEnum):
    """What is different; the values are for JSON and for the catalogue of warnings."""

    FIRST_SEEN = "first-seen"
    SAME = "same"
    RENEWED = "renewed"
    NEW_KEY = "new-key"
    EARLY = "early"
    NEW_ISSUER = "new-issuer"
    RETURNED = "returned"
    ALTERNATED = "alternated"
    NO_CERTIFICATE = "no-certificate"
    WEAKER_PROOF = "weaker-proof"
    STRONGER_PROOF = "stronger-proof"
    EXPIRED = "expired"
    DOWNGRADE = "downgrade"
    OTHER_NAMES = "other-names"


WARNED: Final = frozenset(
    {
        Change.EARLY,
        Change.NEW_ISSUER,
        Change.RETURNED,
        Change.NO_CERTIFICATE,
        Change.WEAKER_PROOF,
        Change.EXPIRED,
        Change.DOWNGRADE,
        Change.OTHER_NAMES,
    }
)
"""What administrators are told; the rest is kept in the history and no more."""


@dataclass(frozen=True, slots=True)
class Sighting:
    """
    One certificate of a domain, as it was seen over a time, in one direction: what a server shows when it is called may
    be something else than what it shows when it calls.

    @ivar incoming: whether the domain has connected to us.
    @ivar sha256: of the certificate, hexadecimal; empty if there was none.
    @ivar publicKeySHA256: of its key, hexadecimal.
    @ivar authority: who has issued it: the organisation, else the issuer's whole name; "itself" if nobody else has.
    @ivar notBefore: start of validity, seconds since the epoch.
    @ivar notAfter: end of validity, seconds since the epoch.
    @ivar prooftype: how the domain was known when it was last seen.
    @ivar firstSeen: seconds since the epoch.
    @ivar lastSeen: seconds since the epoch.
    @ivar alternating: whether it takes turns with others, which was told.
    """

    incoming: bool
    sha256: str
    publicKeySHA256: str
    authority: str
    notBefore: float
    notAfter: float
    prooftype: Prooftype
    firstSeen: float
    lastSeen: float
    alternating: bool = False

    def alternates(self, now: float) -> bool:
        """Whether it is ordinary that it takes turns with others."""
        return self.alternating and now - self.lastSeen <= ALTERNATING_SECONDS

    def isDue(self, now: float) -> bool:
        """Whether it is time to renew the certificate."""
        return self.notAfter - now <= DUE * (self.notAfter - self.notBefore)


@dataclass(frozen=True, slots=True)
class Observation:
    """
    What is different.

    @ivar changes: every change, the gravest first; SAME alone if there is none.
    @ivar texts: the same in words, a sentence for each.
    @ivar warns: whether somebody should look at it.
    """

    changes: tuple[Change, ...]
    texts: tuple[str, ...]
    warns: bool

    @property
    def text(self) -> str:
        """All of it in words."""
        return "; ".join(self.texts)


def isMemorable(verdict: Verdict, incoming: bool) -> bool:
    """
    Whether a verdict says something about its domain: it was accepted, or we have looked the domain up ourselves, so
    that even what was refused comes from its address.
    """
    return verdict.accepted or not incoming


def sightingOf(verdict: Verdict, incoming: bool, now: float) -> Sighting:
    """
    The sighting that a verdict is. If the stream was refused, its proof is the strongest that held.

    @param now: seconds since the epoch.
    """
    proofs = [proof.prooftype for proof in verdict.proofs if proof.held]
    prooftype = verdict.prooftype if verdict.accepted else next(iter(proofs), Prooftype.NONE)
    facts = verdict.certificate
    if facts is None:
        return Sighting(incoming, "", "", "", 0.0, 0.0, prooftype, now, now)
    assert verdict.tls is not None and verdict.tls.peerCertificate is not None
    authority = authorityOf(facts, verdict.tls.peerCertificate)
    return Sighting(
        incoming,
        facts.sha256,
        facts.publicKeySHA256,
        authority,
        facts.notBefore,
        facts.notAfter,
        prooftype,
        now,
        now,
    )


def authorityOf(facts: CertificateFacts, certificate: bytes) -> str:
    """Who has issued a certificate, by a name that stays when an authority changes its intermediate certificates."""
    if facts.selfIssued:
        return "itself"
    try:
        organisations = load(certificate).issuer.get_attributes_for_oid(x509.NameOID.ORGANIZATION_NAME)
    except ValueError:
        organisations = []
    return shown(str(organisations[0].value)) if organisations else shown(facts.issuer)


def observe(history: Sequence[Sighting], new: Sighting, now: float) -> Observation:
    """
    Compare what a domain shows now with what it has shown.

    @param history: the domain's sightings, the latest first, in both directions.
    @param now: seconds since the epoch.
    """
    earlier = [each for each in history if each.incoming is new.incoming]
    found = list(_certificateChanges(earlier, new, now)) + list(_proofChanges(earlier, new, now))
    if not found:
        return Observation((Change.SAME,), ("nothing has changed",), False)
    found.sort(key=lambda each: each[0] not in WARNED)
    changes = tuple(change for change, _ in found)
    return Observation(changes, tuple(text for _, text in found), not WARNED.isdisjoint(changes))


def _certificateChanges(earlier: Sequence[Sighting], new: Sighting, now: float) -> Iterable[tuple[Change, str]]:
    """What is different about the certificate."""
    if not earlier:
        yield Change.FIRST_SEEN, "the domain is seen for the first time"
        return
    last = earlier[0]
    if new.sha256 == last.sha256:
        return
    if not new.sha256:
        yield Change.NO_CERTIFICATE, "no certificate was shown, where there was one before"
        return
    same = next((each for each in earlier if each.sha256 == new.sha256), None)
    if same is not None:
        if same.alternates(now) and last.alternates(now):
            yield Change.ALTERNATED, "it is another of the certificates that take turns"
        elif _returns(last, now):
            since = shownTime(last.firstSeen)
            yield Change.RETURNED, f"an older certificate is back, though there has been another since {since}"
        return
    previous = next((each for each in earlier if each.sha256), None)
    if previous is not None:
        yield from _replacement(previous, [each for each in earlier if each.sha256], new, now)


def _returns(last: Sighting, now: float) -> bool:
    """Whether an older certificate has no business to be back, since the one before is still valid."""
    return not last.sha256 or last.notAfter > now


def _replacement(
    previous: Sighting, earlier: Sequence[Sighting], new: Sighting, now: float
) -> Iterable[tuple[Change, str]]:
    """What is to be said of a certificate that was never seen before."""
    if new.publicKeySHA256 in {each.publicKeySHA256 for each in earlier}:
        yield Change.RENEWED, "the certificate is new, for a key that is known"
    else:
        yield Change.NEW_KEY, "the certificate and its key are new"
        if not previous.isDue(now):
            yield Change.EARLY, f"the one before would have been valid until {shownTime(previous.notAfter)}"
    if new.authority not in {each.authority for each in earlier}:
        yield Change.NEW_ISSUER, f"it is issued by {new.authority}, the one before was by {previous.authority}"


def _proofChanges(earlier: Sequence[Sighting], new: Sighting, now: float) -> Iterable[tuple[Change, str]]:
    """What is different about the proof and the validity."""
    if (
        new.sha256
        and new.notAfter < now
        and not any(each.sha256 == new.sha256 and _wasExpired(each) for each in earlier)
    ):
        yield Change.EXPIRED, f"the certificate has expired on {shownTime(new.notAfter)}"
    if not earlier:
        return
    # Those that take turns may well be proved by different things; each is compared with itself.
    own = next((each for each in earlier if each.sha256 == new.sha256 and each.alternates(now)), earlier[0])
    before = own.prooftype
    if before is new.prooftype:
        return
    weaker = new.prooftype.strength < before.strength
    change = Change.WEAKER_PROOF if weaker else Change.STRONGER_PROOF
    yield change, f"the domain is proved by {new.prooftype}, where it was by {before}"


def _wasExpired(sighting: Sighting) -> bool:
    """Whether the certificate had expired when it was last seen, so that it has been told."""
    return sighting.lastSeen > sighting.notAfter


def remembered(history: Sequence[Sighting], new: Sighting, limit: int = MAX_SIGHTINGS) -> tuple[Sighting, ...]:
    """
    The history with a new sighting, the latest first. Of each certificate and direction there is one; the ones that
    weren't seen for longest go.
    """
    last = next((each for each in history if each.incoming is new.incoming), None)
    same = next((each for each in history if (each.incoming, each.sha256) == (new.incoming, new.sha256)), None)
    if same is None or last is None:
        return (new, *history)[:limit]
    turns = same is not last and bool(new.sha256 and last.sha256) and _returns(last, new.lastSeen)
    latest = replace(new, firstSeen=same.firstSeen, alternating=turns or same.alternates(new.lastSeen))
    others = [each for each in history if each is not same]
    if turns:
        others[others.index(last)] = replace(last, alternating=True)
    return _fewAlternating((latest, *others))[:limit]


def _fewAlternating(history: Sequence[Sighting]) -> tuple[Sighting, ...]:
    """The history in which only the latest few take turns, of each direction."""
    found, count = [], {True: 0, False: 0}
    for each in history:
        count[each.incoming] += each.alternating
        found.append(replace(each, alternating=False) if count[each.incoming] > MAX_ALTERNATING else each)
    return tuple(found)


# --- what it was proved by ------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Proved:
    """
    That a domain was proved by more than its word and the DNS. Of each direction and grade there is one.

    @ivar incoming: whether the domain had connected to us.
    @ivar prooftype: by what, the last time.
    @ivar lastSeen: when that was, seconds since the epoch.
    """

    incoming: bool
    prooftype: Prooftype
    lastSeen: float


def provedBy(sightings: Iterable[Sighting]) -> tuple[Proved, ...]:
    """What follows from sightings, for histories in which nothing else is remembered."""
    found: tuple[Proved, ...] = ()
    for each in sorted(sightings, key=lambda sighting: sighting.lastSeen):
        found = withProof(found, each)
    return found


def withProof(proved: Sequence[Proved], new: Sighting) -> tuple[Proved, ...]:
    """What is remembered once an accepted stream was seen, the latest first."""
    if not new.prooftype.grade:
        return tuple(proved)
    kind = (new.incoming, new.prooftype.grade)
    others = [each for each in proved if (each.incoming, each.prooftype.grade) != kind]
    return (Proved(new.incoming, new.prooftype, new.lastSeen), *others)


def isRestored(proved: Iterable[Proved], new: Sighting) -> bool:
    """Whether an accepted stream proves its domain as well as ever, so that what was put up with is over."""
    return new.prooftype.grade >= max((each.prooftype.grade for each in proved), default=0)


def pastOf(
    proved: Iterable[Proved], excused: Collection[bool], incoming: bool, since: float, confirmed: bool = False
) -> Past:
    """
    What a domain was proved by before, as far as that counts on a stream. A certificate shown in one direction counts
    in the other, too: who has one has no reason to hide it, and whoever is on the path could choose the direction.

    @param excused: for which directions (incoming or not) an administrator has said that less is enough.
    @param incoming: whether the domain has connected to us.
    @param since: what was last seen before that, in seconds since the epoch, doesn't count.
    @param confirmed: whether its server was asked over a stream that is proved by certificate: some servers show theirs
        only when they are called, and then it is only looked at what they show when they call.
    """
    if incoming in excused:
        return Past()
    counting = [each for each in proved if each.lastSeen >= since and (each.incoming is incoming or not confirmed)]
    best = max(counting, key=lambda each: (each.prooftype.grade, each.lastSeen), default=None)
    return Past() if best is None else Past(best.prooftype, best.lastSeen)


def alarmsOf(verdict: Verdict) -> Iterable[tuple[Change, str]]:
    """What speaks against a verdict, as changes with their texts."""
    end = "" if verdict.accepted else ", so it isn't believed"
    if verdict.misdirection:
        yield Change.OTHER_NAMES, verdict.misdirection + end
    if verdict.downgrade:
        yield Change.DOWNGRADE, verdict.downgrade + end
