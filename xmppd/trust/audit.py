"""
An audit of TLS against RFC 9325 (BCP 195), finding by finding, each with its paragraph; RFC 7590 section 3 takes BCP
195 in for XMPP.

Theory of operation. What is audited comes as values: the L{TLSPolicy} from the configuration, our certificates, and
for each live listener L{ListenerFacts}, which C{net} has found out by shaking hands with it in ways that should fail.
Each statement of RFC 9325 that can be decided by them becomes one L{Finding} for each thing it is about, also if all
is well, so that the report shows what was looked at. A fact that is C{None} wasn't tried, and is reported as that:
nothing that wasn't tried passes.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from xmppd.trust.certificatefacts import (
    factsOf,
    keyOf,
    keyWeakness,
    load,
    shownNames,
    shownTime,
    signatureWeakness,
)
from xmppd.trust.expiry import stage
from xmppd.trust.ocsp import OCSPStatus, examine, hasResponder, mustStaple
from xmppd.trust.pkix import CLIENT, SERVER, matchNames
from xmppd.trust.tlspolicy import TLSPolicy

WEB: Final = "https"
"""The service of web browsers."""

WEEK: Final = 7 * 86_400

class Grade(StrEnum):
    """How a finding came out."""

    OK = "ok"
    UNKNOWN = "not tried"
    WARNING = "warning"
    VIOLATION = "violation"


@dataclass(frozen=True, slots=True)
class Finding:
    """
    One statement of RFC 9325 about one thing.

    @ivar grade: how it came out; a broken MUST is a violation, a broken SHOULD a warning.
    @ivar section: of RFC 9325.
    @ivar level: the statement's key word ("MUST NOT"); "advice" where it is ours and goes beyond it.
    @ivar subject: what it is about: "policy", "certificate example.org", "listener tcp:5222".
    @ivar text: what is so, in words.
    """

    grade: Grade
    section: str
    level: str
    subject: str
    text: str

    def __str__(self) -> str:
        return f"{self.grade}: {self.subject}: {self.text} (RFC 9325 section {self.section}, {self.level})"


@dataclass(frozen=True, slots=True)
class ListenerFacts:
    """
    What a live listener does. C{None} means that it wasn't tried.

    @ivar name: which, for people.
    @ivar service: "xmpp-client", "xmpp-server" or "https".
    @ivar direct: whether TLS begins at once, without STARTTLS.
    @ivar plaintext: whether one can go on without TLS.
    @ivar versions: the versions it accepts, by OpenSSL's names ("TLSv1.2"), of all in L{VERSIONS} that could be tried.
    @ivar untried: the versions that this machine's OpenSSL couldn't try.
    @ivar suites: the suites of TLS 1.2 and before that it accepts, by OpenSSL's names.
    @ivar groups: the groups that it accepts, by OpenSSL's names.
    @ivar compression: whether it compresses.
    @ivar renegotiation: whether the client can renegotiate.
    @ivar renegotiationInfo: whether it has the extension renegotiation_info.
    @ivar extendedMasterSecret: whether it has that extension.
    @ivar earlyData: whether its tickets allow early data.
    @ivar refusesUnknownName: whether it ends the handshake for a server name that it doesn't serve.
    @ivar refusesUnknownALPN: whether it ends the handshake if none of the protocols offered is XMPP.
    @ivar sha1: whether it signs handshakes with SHA-1 for who wants nothing else.
    @ivar truncatedHMAC: whether it has that extension.
    @ivar ticketLife: for how many seconds its tickets can be used; 0: there are none.
    @ivar strictTransport: whether it tells browsers to use nothing but HTTPS.
    @ivar certificate: DER of what it shows for C{domain}.
    @ivar issuer: DER of the certificate that it shows next; empty if there is none.
    @ivar stapled: the OCSP response that comes with it, in DER; empty for none.
    @ivar domain: the name that was asked for.
    """

    name: str
    service: str = CLIENT
    direct: bool = False
    plaintext: bool | None = None
    versions: frozenset[str] | None = None
    untried: frozenset[str] = frozenset()
    suites: tuple[str, ...] | None = None
    groups: tuple[str, ...] | None = None
    compression: bool | None = None
    renegotiation: bool | None = None
    renegotiationInfo: bool | None = None
    extendedMasterSecret: bool | None = None
    earlyData: bool | None = None
    refusesUnknownName: bool | None = None
    refusesUnknownALPN: bool | None = None
    sha1: bool | None = None
    truncatedHMAC: bool | None = None
    ticketLife: int | None = None
    strictTransport: bool | None = None
    certificate: bytes | None = None
    issuer: bytes = b""
    stapled: bytes | None = None
    domain: str = ""


# --- verdicts on single statements --------------------------------------------------------------------------------


def _finding(good: bool | None, section: str, level: str, subject: str, well: str, ill: str) -> Finding:
    """A finding from whether all is well; None: not tried."""
    if good is None:
        return Finding(Grade.UNKNOWN, section, level, subject, f"not tried: {well}")
    bad = Grade.VIOLATION if level.startswith(("MUST", "SHALL")) else Grade.WARNING
    return Finding(Grade.OK if good else bad, section, level, subject, well if good else ill)


VERSIONS: Final = {
    "SSLv2": ("MUST NOT", False),
    "SSLv3": ("MUST NOT", False),
    "TLSv1": ("MUST NOT", False),
    "TLSv1.1": ("MUST NOT", False),
    "TLSv1.2": ("MUST", True),
    "TLSv1.3": ("SHOULD", True),
}
"""RFC 9325 section 3.1.1: for each version the key word, and whether it should be there."""


@dataclass(frozen=True, slots=True)
class SuiteProblem:
    """
    What is wrong with a cipher suite.

    @ivar section: of RFC 9325.
    @ivar level: the key word.
    @ivar text: in words.
    """

    section: str
    level: str
    text: str


_FORBIDDEN: Final = (
    (("NULL",), "4.1", "doesn't encrypt"),
    (("RC4",), "4.1", "encrypts with RC4"),
    (
        ("EXP", "EXPORT", "EXP1024", "DES40", "RC2", "EXPORT40", "EXPORT1024"),
        "4.1",
        "has less than 112 bits of security",
    ),
    (("ADH", "AECDH", "ANON", "PSK", "SRP"), "5.1", "doesn't authenticate the server by its certificate"),
)
_AUTHENTICATED: Final = frozenset({"GCM", "CCM", "CCM8", "POLY1305", "CHACHA20"})


def suiteProblem(name: str) -> SuiteProblem | None:
    """
    What RFC 9325 has against a cipher suite, the gravest only, or None.

    @param name: by OpenSSL ("ECDHE-RSA-AES128-GCM-SHA256") or by IANA ("TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256").
    """
    exchange, words = _suiteWords(name)
    for marks, section, text in _FORBIDDEN:
        if words.intersection(marks):
            return SuiteProblem(section, "MUST NOT", text)
    triple = bool(words & {"3DES", "CBC3"})
    if "DES" in words and not triple:
        return SuiteProblem("4.1", "MUST NOT", "has less than 112 bits of security")
    if triple:
        return SuiteProblem("4.1", "SHOULD NOT", "has less than 128 bits of security")
    if exchange == "1.3":
        return None
    if exchange in ("DHE", "EDH"):
        return SuiteProblem("4.1", "SHOULD NOT", "agrees on keys by finite-field Diffie-Hellman")
    if exchange not in ("ECDHE", "EECDH"):
        return SuiteProblem("4.1", "SHOULD NOT", "has no forward secrecy")
    if not words & _AUTHENTICATED:
        return SuiteProblem("4.2", "SHOULD NOT", "is in CBC mode")
    return None


def _suiteWords(name: str) -> tuple[str, frozenset[str]]:
    """How a suite exchanges keys ("1.3": by TLS 1.3), and all parts of its name."""
    upper = name.upper()
    if upper.startswith("TLS_") and "_WITH_" not in upper:
        return "1.3", frozenset(upper.split("_"))
    words = upper.removeprefix("TLS_").replace("_WITH_", "_").replace("_", "-").split("-")
    return words[0], frozenset(words)


# --- what is audited ----------------------------------------------------------------------------------------------


def auditPolicy(policy: TLSPolicy) -> Iterable[Finding]:
    """The configuration's policy."""
    subject = "policy"
    broken = [each for each in policy.signatures if "sha1" in each.lower() or "md5" in each.lower()]
    text = f"handshakes may be signed by {', '.join(broken)}"
    yield _finding(not broken, "4.5", "MUST NOT", subject, "handshakes aren't signed with SHA-1 or MD5", text)
    yield from _auditSuites(policy.suites12, subject)
    wanted = {"ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-RSA-AES128-GCM-SHA256"}
    missing = sorted(wanted.difference(policy.suites12))
    text = f"without {', '.join(missing)}, which every peer has"
    yield _finding(not missing, "4.2", "RECOMMENDED", subject, "the recommended suites are there", text)
    yield from _auditGroups(policy.groups, subject)
    hours = policy.contextLife / 3600
    text = f"keys of session tickets change every {hours:g} hours"
    yield _finding(policy.contextLife <= WEEK, "3.4", "MUST", subject, text, f"{text}, more than a week")
    limit = policy.contextLife / 2
    text = f"sessions can be resumed for {policy.ticketLife / 3600:g} hours"
    yield _finding(
        policy.ticketLife <= limit, "3.4", "SHOULD", subject, text, f"{text}, more than half the life of the keys"
    )


def _auditSuites(suites: Sequence[str] | None, subject: str) -> Iterable[Finding]:
    """Suites of TLS 1.2: one finding for each bad one, or one for all."""
    problems = [(name, problem) for name in suites or () if (problem := suiteProblem(name)) is not None]
    for name, problem in problems:
        yield _finding(False, problem.section, problem.level, subject, "", f"the suite {name} {problem.text}")
    if not problems:
        good = None if suites is None else True
        well = "all suites have forward secrecy and authenticated encryption"
        yield _finding(good, "4.1", "SHOULD NOT", subject, well, "")


_SIZED_GROUP = re.compile(r"(FFDHE|SECP|SECT|P-|PRIME|BRAINPOOLP)(\d+)")
_SAME_GROUP: Final = {"PRIME256V1": "P-256", "SECP256R1": "P-256", "P256": "P-256"}


def _auditGroups(groups: Sequence[str] | None, subject: str) -> Iterable[Finding]:
    """Groups for the key exchange."""
    names = [_SAME_GROUP.get(each.upper(), each.upper()) for each in groups or ()]
    weak = [each for each in names if _isSmallGroup(each)]
    well, ill = "no group is too small", f"too small: {', '.join(weak)}"
    yield _finding(None if groups is None else not weak, "4.5", "MUST NOT", subject, well, ill)
    missing = [each for each in ("X25519", "P-256") if each not in names]
    well, ill = "X25519 and P-256 are there", f"{' and '.join(missing)} missing"
    yield _finding(None if groups is None else not missing, "4.2.1", "SHOULD", subject, well, ill)


def _isSmallGroup(name: str) -> bool:
    """Whether a group has less than 224 bits, or 2048 if it is a finite field; of hybrids the classical part counts."""
    match = _SIZED_GROUP.match(name)
    return match is not None and int(match.group(2)) < (2048 if match.group(1) == "FFDHE" else 224)


def auditCertificate(der: bytes, domain: str, now: float, subject: str | None = None) -> Iterable[Finding]:
    """
    One of our certificates.

    @param domain: what it is shown for; may begin with "*.".
    @param now: seconds since the epoch.
    @param subject: what to call it; by default "certificate DOMAIN".
    """
    subject = subject or f"certificate {domain}"
    try:
        facts, certificate = factsOf(der), load(der)
    except ValueError:
        yield Finding(Grade.VIOLATION, "7.1", "MUST", subject, "it can't be read")
        return
    weakness = keyWeakness(certificate)
    kind, bits = keyOf(certificate)
    # A curve of 224 bits isn't forbidden, but has no 128 bits of security either.
    section, level = ("4.1", "SHOULD NOT") if kind.startswith("ECDSA") and bits >= 224 else ("4.5", "MUST NOT")
    yield _finding(weakness is None, section, level, subject, f"{kind} key of {bits} bits", f"it has {weakness}")
    signature = None if facts.selfIssued else signatureWeakness(certificate)
    well = f"signed with {facts.signatureHash.upper() or kind}"
    yield _finding(signature is None, "4.5", "MUST NOT", subject, well, f"it has {signature}")
    example = domain.replace("*.", "any.", 1)
    fits = all(matchNames(facts.names, example, service) is not None for service in (SERVER, CLIENT))
    ill = f"it is for {shownNames(facts.names)}, not for {domain}"
    yield _finding(fits, "7.1", "MUST", subject, f"it is for {shownNames(facts.names)}", ill)
    valid = facts.notBefore <= now <= facts.notAfter
    until = f"valid until {shownTime(facts.notAfter)}"
    yield _finding(valid, "7.1", "MUST", subject, until, f"not valid now: from {shownTime(facts.notBefore)}, {until}")
    if valid:
        early = stage(facts.notBefore, facts.notAfter, now) is None
        yield _finding(early, "7.1", "advice", subject, "not to be renewed yet", f"soon over: {until}")


@dataclass(frozen=True, slots=True)
class _Rule:
    """
    A statement about one fact of a listener.

    @ivar wanted: the value that is well.
    @ivar directOnly: doesn't apply to STARTTLS, where the stream's C{to} decides.
    @ivar webOnly: applies to HTTP only.
    """

    fact: str
    wanted: bool
    section: str
    level: str
    well: str
    ill: str
    directOnly: bool = False
    webOnly: bool = False

    def appliesTo(self, listener: ListenerFacts) -> bool:
        """Whether it is about such a listener."""
        return (listener.direct or not self.directOnly) and (listener.service == WEB or not self.webOnly)


_RULES: Final = (
    _Rule("plaintext", False, "3.2", "MUST", "nothing goes on without TLS", "one can go on without TLS"),
    _Rule("compression", False, "3.3", "SHOULD NOT", "no compression", "it compresses"),
    _Rule("renegotiation", False, "3.5", "advice", "no renegotiation", "clients can renegotiate"),
    _Rule(
        "renegotiationInfo",
        True,
        "3.5",
        "MUST",
        "renegotiation_info is there",
        "without the extension renegotiation_info",
    ),
    _Rule(
        "extendedMasterSecret",
        True,
        "3.5",
        "MUST",
        "the extended master secret is there",
        "without the extended master secret",
    ),
    _Rule(
        "refusesUnknownName",
        True,
        "3.7",
        "SHOULD",
        "unknown server names are refused",
        "a server name that isn't served is accepted",
        True,
    ),
    _Rule(
        "refusesUnknownALPN",
        True,
        "3.8",
        "SHALL",
        "other protocols by ALPN are refused",
        "a client that asks for another protocol by ALPN is accepted",
        True,
    ),
    _Rule("earlyData", False, "3.10", "MUST NOT", "no early data", "tickets allow early data"),
    _Rule("sha1", False, "4.5", "MUST NOT", "handshakes aren't signed with SHA-1", "it signs handshakes with SHA-1"),
    _Rule("truncatedHMAC", False, "4.6", "MUST NOT", "no truncated HMAC", "it truncates HMACs"),
    _Rule(
        "strictTransport",
        True,
        "3.2",
        "SHOULD",
        "browsers are told to use nothing but HTTPS",
        "browsers aren't told to use nothing but HTTPS (web.strict_transport_days)",
        webOnly=True,
    ),
)


def auditListener(listener: ListenerFacts, now: float) -> Iterable[Finding]:
    """
    A live listener.

    @param now: seconds since the epoch.
    """
    subject = f"listener {listener.name}"
    for version, (level, wanted) in VERSIONS.items():
        tried = listener.versions is not None and version not in listener.untried
        good = (version in (listener.versions or ())) is wanted if tried else None
        words = ("is there", "isn't there") if wanted else ("is refused", "is accepted")
        yield _finding(good, "3.1.1", level, subject, f"{version} {words[0]}", f"{version} {words[1]}")
    for rule in _RULES:
        if rule.appliesTo(listener):
            value: bool | None = getattr(listener, rule.fact)
            good = None if value is None else value is rule.wanted
            yield _finding(good, rule.section, rule.level, subject, rule.well, rule.ill)
    yield from _auditSuites(listener.suites, subject)
    yield from _auditGroups(listener.groups, subject)
    yield from _auditTickets(listener.ticketLife, subject)
    if listener.certificate is None:
        yield Finding(Grade.UNKNOWN, "7.1", "MUST", subject, "not tried: its certificate")
    else:
        where = f"{subject}, certificate for {listener.domain}"
        yield from auditCertificate(listener.certificate, listener.domain, now, where)
        yield _auditStaple(listener, where, now)


def _auditTickets(life: int | None, subject: str) -> Iterable[Finding]:
    """For how long a listener's tickets can be used."""
    well = f"tickets can be used for {(life or 0) / 3600:g} hours" if life else "there are no tickets"
    good = None if life is None else life <= WEEK
    yield _finding(
        good, "3.4", "MUST", subject, "the life of tickets" if life is None else well, f"{well}, over a week"
    )


def _auditStaple(listener: ListenerFacts, subject: str, now: float) -> Finding:
    """What comes with a listener's certificate of its authority's answer."""
    leaf, response = listener.certificate or b"", listener.stapled
    if response is None:
        return Finding(Grade.UNKNOWN, "7.5", "SHOULD", subject, "not tried: whether an OCSP response is stapled")
    if not response:
        level = "MUST" if mustStaple(leaf) else "SHOULD"
        good = not mustStaple(leaf) and not hasResponder(leaf)
        ill = "nothing is stapled, though its authority answers by OCSP (see DOMAIN.ocsp)"
        return _finding(good, "7.5", level, subject, "its authority doesn't answer by OCSP, so nothing is stapled", ill)
    if not listener.issuer:
        return Finding(Grade.UNKNOWN, "7.5", "SHOULD", subject, "not tried: what is stapled, as no issuer is shown")
    found = examine(response, leaf, listener.issuer, now)
    level = "MUST" if found.status is OCSPStatus.REVOKED or mustStaple(leaf) else "SHOULD"
    good = found.status is OCSPStatus.GOOD
    return _finding(good, "7.5", level, subject, "a good OCSP response is stapled", f"what is stapled {found.why}")


def audit(
    policy: TLSPolicy, certificates: Mapping[str, bytes], listeners: Iterable[ListenerFacts], now: float
) -> tuple[Finding, ...]:
    """
    Everything, in the order of policy, certificates, listeners.

    @param certificates: DER by the domain that it is shown for.
    @param now: seconds since the epoch.
    """
    findings = list(auditPolicy(policy))
    listeners = tuple(listeners)
    for domain, der in certificates.items():
        findings += auditCertificate(der, domain, now)
    findings += _auditDirect(listeners)
    for listener in listeners:
        findings += auditListener(listener, now)
    return tuple(findings)


def _auditDirect(listeners: Sequence[ListenerFacts]) -> Iterable[Finding]:
    """Whether each service can be had by TLS from the first byte."""
    if not listeners:
        yield Finding(Grade.UNKNOWN, "3.2", "MUST", "listeners", "not tried: no listener was asked")
    for service in dict.fromkeys(listener.service for listener in listeners):
        good = any(each.direct for each in listeners if each.service == service)
        ill = f"{service} has no port for direct TLS, which is to be preferred to STARTTLS"
        yield _finding(good, "3.2", "MUST", "listeners", f"{service} has a port for direct TLS", ill)


def report(findings: Sequence[Finding], everything: bool = False) -> str:
    """
    Findings as text, the gravest first.

    @param everything: also what is well.
    """
    grades = (Grade.VIOLATION, Grade.WARNING, Grade.UNKNOWN, *((Grade.OK,) if everything else ()))
    lines = [str(finding) for grade in grades for finding in findings if finding.grade is grade]
    counts = ", ".join(f"{sum(each.grade is grade for each in findings)} {grade}" for grade in Grade)
    return "\n".join([*lines, f"RFC 9325: {counts}"]) + "\n"
