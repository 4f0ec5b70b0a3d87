"""
The command C{xmppctl streams}, and how streams and certificates are shown to people: no line of it is longer than
L{WIDTH}, but where a single word is.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

import click

from xmppd.ctl.line import Target, asJSON, show
from xmppd.ctl.tables import cell, day, octets, span, table

WIDTH: Final = 100
"""How many characters a line has."""

NARROWEST: Final = 18
"""How many characters the other end of a stream is named with at least."""

ID: Final = 10
"""How many characters of a stream's id are shown; more than enough to tell streams apart."""

INDENT: Final = "    "


@click.command("streams")
@click.option("--peer", help="Only those with this domain, account or resource at the other end.")
@click.option("--id", help="Only the one whose id begins like this.")
@click.option("--certificate", is_flag=True, help="All certificates that the other end has shown.")
@click.option("--pem", is_flag=True, help="These in PEM, too.")
@asJSON
@click.pass_obj
def streams(target: Target, peer: str | None, id: str | None, certificate: bool, pem: bool, asJSON: bool) -> None:
    """
    Every stream: who, from where, which TLS, by what authenticated and proved; and sessions that wait.
    """
    wanted = {"peer": peer, "id": id, "certificate": certificate or None, "pem": pem or None}
    items = list(target.client.pages("streams", **wanted))
    show(items, asJSON, streamsText(items) or "There are none.")


def streamsText(items: Sequence[Mapping[str, Any]]) -> str:
    """Streams for people: two lines for each, and its certificates if there are any."""
    headings = ("ID", "KIND", "WITH", "TLS", "MECHANISM", "PROOF", "STATE")
    keys = ("kind", "jid", "tls", "mechanism", "proof", "state")
    rows = [[(each["id"] or "")[:ID], *(each[key] for key in keys)] for each in items]
    widths = [max(len(cell(each)) for each in column) for column in zip(headings, *rows, strict=True)]
    left = max(WIDTH - sum(widths) - 2 * (len(widths) - 1) + widths[2], NARROWEST)
    for row in rows:
        row[2] = shortened(cell(row[2]), left)
    heading, *lines = table(headings, rows).splitlines() or [""]
    shown = [heading]
    for line, each in zip(lines, items, strict=True):
        shown += [line, *details(each)]
        for certificate in each.get("chain", ()):
            shown += certificateLines(certificate)
    return "\n".join(shown).rstrip()


def details(stream: Mapping[str, Any]) -> Iterator[str]:
    """What doesn't fit into the table."""
    said = [
        stream["address"],
        stream["cipher"],
        f"bound to {stream['channel_binding']}" if stream["channel_binding"] else None,
        f"in {octets(stream['in'])}, out {octets(stream['out'])}" if stream["in"] is not None else None,
        f"for {span(stream['age'])}",
        f"silent for {span(stream['idle'])}" if stream["idle"] is not None else None,
    ]
    yield from wrapped("; ".join(cell(each) for each in said if each is not None))
    pairs = stream.get("pairs") or ()
    if len(pairs) > 1:
        yield from wrapped("; ".join(cell(pairText(pair)) for pair in pairs))
    if stream["change"]:
        yield from wrapped(cell(f"CHANGED: {' '.join(stream['change']['changes'])}: {stream['change']['text']}"))


def pairText(pair: Mapping[str, Any]) -> str:
    """A pair of domains that share a stream with others."""
    arrow = {(True, False): "<", (False, True): ">"}.get((pair["in"], pair["out"]), "<>")
    return f"{pair['local']} {arrow} {pair['remote']} by {pair['proof'] or 'none'}"


def certificateLines(certificate: Mapping[str, Any]) -> Iterator[str]:
    """A certificate for people."""
    if certificate.get("unreadable"):
        yield f"{INDENT}a certificate that can't be read"
    else:
        names = [*certificate["dns_names"], *certificate["service_names"], *certificate["xmpp_addresses"]]
        yield from wrapped(cell(f"certificate of {certificate['subject'] or 'nobody'}"))
        for text in (
            f"for {', '.join(names) or 'no name'}",
            f"issued by {'itself' if certificate['self_issued'] else certificate['issuer'] or 'nobody'}",
            f"valid from {day(certificate['not_before'])} until {day(certificate['not_after'])} (UTC)",
            f"key {certificate['key']}, {certificate['key_bits']} bits; signed with"
            f" {certificate['signature_hash'] or 'its own hash'}",
            f"serial number {certificate['serial']}",
            f"SHA-256 of the certificate {certificate['sha256']}",
            f"SHA-256 of its public key  {certificate['public_key_sha256']}",
        ):
            yield from wrapped(cell(text), INDENT * 2)
    yield from certificate.get("pem", "").splitlines()


def wrapped(text: str, indent: str = INDENT) -> Iterable[str]:
    """A text in lines that are no longer than they may be."""
    whole: dict[str, Any] = {"break_long_words": False, "break_on_hyphens": False}
    return textwrap.wrap(text, WIDTH, initial_indent=indent, subsequent_indent=indent + "  ", **whole)


def shortened(text: str, most: int) -> str:
    """A text with something left out of its middle."""
    if len(text) <= most:
        return text
    head = (most - 1) // 2
    return f"{text[:head]}…{text[head + 1 - most:]}"


def domainsText(items: Iterable[Mapping[str, Any]]) -> str:
    """Domains for people, each in a line, with what has changed if nobody has looked at that."""
    lines = []
    for each in items:
        change = each.get("change")
        lines.append(cell(each["domain"]) + (f"  CHANGED: {cell(' '.join(change['changes']))}" if change else ""))
    return "\n".join(lines)


def historyText(answer: Mapping[str, Any]) -> str:
    """The history of a domain for people, the latest first."""
    headings = ("WHO CALLED", "FIRST (UTC)", "LAST (UTC)", "PROOF", "EXPIRES (UTC)", "ISSUED BY")
    rows = [
        (
            "it to us" if each["incoming"] else "we to it",
            *(day(each[key]) for key in ("first_seen", "last_seen")),
            each["prooftype"],
            day(each["not_after"]) if each["sha256"] else None,
            shortened(each["authority"], 24) or None,
        )
        for each in answer["sightings"]
    ]
    heading, *lines = table(headings, rows).splitlines() or [""]
    shown = [heading]
    for line, each in zip(lines, answer["sightings"], strict=True):
        shown.append(line)
        chain = each.get("chain") or ()
        for certificate in chain:
            shown += certificateLines(certificate)
        if not each["sha256"]:
            shown.append(f"{INDENT}no certificate")
        elif not chain:
            shown.append(f"{INDENT}SHA-256 of the certificate {cell(each['sha256'])}")
            shown.append(f"{INDENT}SHA-256 of its public key  {cell(each['public_key_sha256'])}")
    for each in answer.get("proved", ()):
        way = "it has called us" if each["incoming"] else "we have called it"
        less = ", and less is enough now" if each["incoming"] in answer.get("excused", ()) else ""
        shown.append(cell(f"proved by {each['prooftype']} until {day(each['last_seen'])}, when {way}{less}"))
    for each in answer["warnings"]:
        looked = f" (looked at by {each['by']})" if each.get("acknowledged") is not None else ""
        warning = f"{day(each['at'])}: {' '.join(each['changes'])}: {each['text']}{looked}"
        shown += wrapped(cell(warning), "")
    return "\n".join(shown)
