"""
All that was found out about a peer, and the proofs that follow from it: where the prooftypes come together.

Theory of operation. C{net} gathers an L{Evidence} while it connects or is connected to: what the handshake has shown,
what the DNS has said, what the web server has. L{Evidence.verdict} asks every prooftype and decides. A stream that
carries several domains has an evidence for each: the handshake's part is the same, the rest is the domain's own, and a
name that one of them has proved says nothing about the others (RFC 7712 section 4.4).
"""

from __future__ import annotations

from dataclasses import dataclass, field

from xmppd.ixmppd import TLSFacts
from xmppd.trust.dane import Endpoint, proveDANE, secureTargets
from xmppd.trust.ocsp import OCSPStatus, stapledStatus
from xmppd.trust.pkix import Verification, provePKIX
from xmppd.trust.posh import Material, provePOSH
from xmppd.trust.verdict import CERTIFICATE_PROOFTYPES, Past, PeerPolicies, Proof, Prooftype, Verdict, decide


@dataclass(frozen=True, slots=True)
class Evidence:
    """
    What is known about one peer and one domain. Whatever wasn't found out stays empty, and proves nothing.

    @ivar outgoing: whether we have connected.
    @ivar verification: what OpenSSL found (L{xmppd.trust.pkix.VerificationRecorder.of}).
    @ivar presented: DER of the certificates shown (L{xmppd.trust.pkix.presentedChain}), the peer's own first.
    @ivar stapled: the OCSP response that came with them, in DER.
    @ivar endpoints: what the DNS says; on an outgoing stream of the one endpoint that we are connected to, on an
        incoming one of all of the domain's.
    @ivar posh: what the domain's web server says.
    @ivar poshAbsence: why there is nothing, in words.
    @ivar known: host names that nobody has to wonder about in a certificate, though they prove nothing.
    @ivar dialback: what a dialback exchange has proved (L{xmppd.trust.dialback.proveDialback}).
    """

    outgoing: bool
    verification: Verification = field(default_factory=Verification)
    presented: tuple[bytes, ...] = ()
    stapled: bytes = b""
    endpoints: tuple[Endpoint, ...] = ()
    posh: Material | None = None
    poshAbsence: str = "no POSH document was looked for"
    known: tuple[str, ...] = ()
    dialback: Proof | None = None

    def proofs(self, domain: str, now: float) -> tuple[Proof, ...]:
        """
        What every prooftype comes to, the dialback only if there was one. Never raises for anything a peer can send.

        @param now: seconds since the epoch.
        """
        targets = secureTargets(domain, self.endpoints)
        own = self.presented[0] if self.presented else None
        proofs = (
            proveDANE(domain, self.endpoints, self.presented, now, outgoing=self.outgoing),
            provePKIX(domain, self.verification, now, targets=targets, ocsp=self._ocsp(now), known=self.known),
            provePOSH(domain, self.posh, own, now, self.poshAbsence),
        )
        return proofs if self.dialback is None else (*proofs, self.dialback)

    def verdict(
        self, domain: str, policies: PeerPolicies, tls: TLSFacts | None, now: float, past: Past | None = None
    ) -> Verdict:
        """
        What follows from it.

        @param tls: the facts of TLS, or None on a plaintext stream.
        @param now: seconds since the epoch.
        @param past: what the domain was proved by before, if that is known.
        """
        proofs = self.proofs(domain, now)
        return decide(domain, proofs, policies.of(domain), tls, past=past, outgoing=self.outgoing)

    def wantsPOSH(self, domain: str, policies: PeerPolicies, now: float) -> bool:
        """Whether a POSH document is worth looking for: it could help, and no certificate has proved anything yet."""
        accepted = policies.of(domain).prooftypes
        if Prooftype.POSH not in accepted or self.posh is not None or not self.presented:
            return False
        useful = CERTIFICATE_PROOFTYPES & accepted
        proofs = self.proofs(domain, now)
        return not any(proof.vetoes or (proof.held and proof.prooftype in useful) for proof in proofs)

    def _ocsp(self, now: float) -> OCSPStatus | None:
        """What the stapled response of a server says; None if there is none, and needn't be."""
        return stapledStatus(self.stapled, self.verification.chain, now) if self.outgoing else None
