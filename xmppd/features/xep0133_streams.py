"""
Streams, certificates and their history as ad-hoc commands (XEP-0050) for the administrators of a host, so that any
client of theirs can determine what RFC 7590 section 3.6 wants to be determined: whether a stream is encrypted, with
which version and cipher suite, by what the other end was verified, its certificate, and whether that has changed.

XEP-0133 has no such commands; these are our own: C{urn:xmppd:streams:0#list}, C{#show}, C{#history} and
C{#acknowledge}. An administrator sees the streams of the own host, be it clients' or those with other servers. What
other domains have shown is the same for all hosts.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from itertools import islice
from typing import Any, Final

from xmppd.hooks import Command, CommandAnswer, CommandForm, CommandResult, Feature, Spec
from xmppd.ixmppd import IHost, IInspection, Request
from xmppd.wire import forms, ns
from xmppd.wire.dates import dateTime
from xmppd.wire.element import Element
from xmppd.wire.errors import StanzaCondition, StanzaError
from xmppd.wire.jid import JIDMalformed, parse, prepareDomain

Values = Mapping[str, tuple[str, ...]]
Act = Callable[[Request, Values], Awaitable[CommandResult]]

STREAMS: Final = "urn:xmppd:streams:0"
"""The namespace of the commands' nodes, and the FORM_TYPE of their forms."""

MOST: Final = 100
"""How many streams are listed at once."""

MOST_DOMAINS: Final = 500
"""How many domains with a history are listed."""

COLUMNS: Final = {
    "id": "Id",
    "kind": "Kind",
    "jid": "With",
    "address": "Address",
    "direction": "Direction",
    "state": "State",
    "tls": "TLS version",
    "cipher": "Cipher suite",
    "mechanism": "Mechanism",
    "channel_binding": "Channel binding",
    "proof": "Proof",
    "certificate_sha256": "SHA-256 of the certificate",
    "certificate_until": "Certificate valid until",
    "change": "Changed",
}
"""What is told of a stream, with a label for people."""

CERTIFICATE: Final = {
    "subject": "Subject",
    "issuer": "Issuer",
    "serial": "Serial number",
    "not_before": "Valid from",
    "not_after": "Valid until",
    "dns_names": "DNS names",
    "service_names": "Service names",
    "xmpp_addresses": "XMPP addresses",
    "key": "Key",
    "key_bits": "Bits of the key",
    "signature_hash": "Hash of the signature",
    "sha256": "SHA-256 of the certificate",
    "public_key_sha256": "SHA-256 of its public key",
    "pem": "Certificate in PEM",
}
"""What is told of a certificate."""

SIGHTING: Final = {
    "called": "Who called",
    "first_seen": "First seen",
    "last_seen": "Last seen",
    "prooftype": "Proof",
    "authority": "Issued by",
    "not_before": "Valid from",
    "not_after": "Valid until",
    "names": "Names",
    "sha256": "SHA-256 of the certificate",
    "public_key_sha256": "SHA-256 of its public key",
    "pem": "Certificates in PEM",
}
"""What is told of what a domain has shown."""

TIMES: Final = frozenset({"not_before", "not_after", "first_seen", "last_seen", "certificate_until"})
"""Seconds since the epoch."""

WHICH: Final = {"servers": "With other servers and components", "clients": "Of clients", "all": "All"}


class Streams:
    """What the commands of one host do."""

    def __init__(self, host: IHost, inspection: IInspection) -> None:
        self._host = host
        self._inspection = inspection

    async def list(self, request: Request, values: Values) -> CommandResult:
        """Streams and what secures each."""
        which = forms.first(values, "which") or "servers"
        if which not in WHICH:
            raise StanzaError(StanzaCondition.NOT_ACCEPTABLE, "Choose which streams.")
        servers = None if which == "all" else which == "servers"
        peer = _address(forms.first(values, "peer"))
        found = self._inspection.streams(self._host.domain, peer, servers)
        rows = [_streamRow(each) for each in islice(found, MOST + 1)]
        more = len(rows) > MOST
        note = f"Only the first {MOST} are shown." if more else None if rows else "There are none."
        return CommandResult(_table("Streams", COLUMNS, rows[:MOST]), note)

    async def show(self, request: Request, values: Values) -> CommandResult:
        """One stream, with all certificates that the other end has shown."""
        id = forms.first(values, "id") or ""
        stream = self._inspection.stream(self._host.domain, id) if id else None
        if stream is None:
            raise StanzaError(StanzaCondition.ITEM_NOT_FOUND, "There is no such stream of this host.")
        fields = [*_fields(COLUMNS, _streamRow(stream))]
        verdict = stream.get("verdict")
        if verdict:
            texts = map(_harmless, verdict)
            fields.append(forms.field("verdict", *texts, type="text-multi", label="What was found out"))
        for number, each in enumerate(stream.get("chain", ()), 1):
            fields += _fields(CERTIFICATE, each, f"certificate{number}_", f"{number}: ")
        return CommandResult(_result("Stream", fields))

    async def history(self, request: Request, values: Values) -> CommandResult:
        """What a domain has shown; without a domain, the domains that were seen."""
        domain = _domain(forms.first(values, "domain"))
        if domain is None:
            domains = (await self._inspection.domains())[:MOST_DOMAINS]
            return CommandResult(_result("Domains", [forms.field("domains", *domains, type="text-multi")]))
        history = await self._inspection.history(domain)
        if history is None:
            raise StanzaError(StanzaCondition.ITEM_NOT_FOUND, "That domain was never seen.")
        rows = [_sightingRow(each) for each in history["sightings"]]
        warnings = [_warningText(each) for each in history["warnings"]]
        shown = [forms.field("warnings", *warnings, type="text-multi", label="Warnings")]
        return CommandResult(_table(domain, SIGHTING, rows, shown))

    async def acknowledge(self, request: Request, values: Values) -> CommandResult:
        """Note that somebody has looked at the warnings about a domain."""
        domain = _domain(forms.first(values, "domain"))
        assert domain is not None  # the field is required
        count = await self._inspection.acknowledge(domain, request.sender.bare)
        if not count:
            raise StanzaError(StanzaCondition.ITEM_NOT_FOUND, "There is no warning that waits to be looked at.")
        return CommandResult(note=f"Acknowledged: {count}.")


def _address(text: str | None) -> str | None:
    """What was filled in as an address, in canonical form."""
    try:
        return None if text is None else parse(text.strip()).full
    except JIDMalformed as error:
        raise StanzaError(StanzaCondition.NOT_ACCEPTABLE, "That is no address.") from error


def _domain(text: str | None) -> str | None:
    """What was filled in as a domain, in canonical form."""
    try:
        return None if text is None else prepareDomain(text.strip())
    except JIDMalformed as error:
        raise StanzaError(StanzaCondition.NOT_ACCEPTABLE, "That is no domain.") from error


# --- rows and forms


def _streamRow(stream: Mapping[str, Any]) -> dict[str, Any]:
    certificate = stream["certificate"] or {}
    change = stream["change"]
    return {
        **stream,
        "certificate_sha256": certificate.get("sha256"),
        "certificate_until": certificate.get("not_after"),
        "change": None if change is None else " ".join(change["changes"]),
    }


def _sightingRow(sighting: Mapping[str, Any]) -> dict[str, Any]:
    chain = sighting["chain"]
    own = chain[0] if chain else {}
    names = [name for kind in ("dns_names", "service_names", "xmpp_addresses") for name in own.get(kind, ())]
    row = {
        **sighting,
        "called": "it called us" if sighting["incoming"] else "we called it",
        "names": ", ".join(names),
        "pem": "".join(each["pem"] for each in chain),
    }
    return row if sighting["sha256"] else {**row, "not_before": None, "not_after": None}


def _warningText(warning: Mapping[str, Any]) -> str:
    """A warning in one line."""
    looked = f" (looked at by {warning['by']})" if warning["acknowledged"] is not None else ""
    return _harmless(f"{dateTime(warning['at'])}: {' '.join(warning['changes'])}: {warning['text']}{looked}")


def _texts(var: str, value: Any) -> list[str]:
    """A value as the texts of a field."""
    if value is None or value == "":
        return []
    if isinstance(value, list):
        return [_harmless(str(each)) for each in value]
    if var == "pem":
        return str(value).splitlines()
    return [dateTime(value) if var in TIMES else _harmless(str(value))]


def _harmless(text: str) -> str:
    """A text without what has no place in XML: in a certificate there can be anything."""
    return "".join(each if each.isprintable() else "\N{REPLACEMENT CHARACTER}" for each in text)


def _fields(columns: Mapping[str, str], row: Mapping[str, Any], prefix: str = "", title: str = "") -> list[Element]:
    """What there is to tell, one field for each."""
    fields = []
    for var, label in columns.items():
        texts = _texts(var, row.get(var))
        kind = "text-multi" if var == "pem" or isinstance(row.get(var), list) else "text-single"
        if texts:
            fields.append(forms.field(prefix + var, *texts, type=kind, label=title + label))
    return fields


def _result(title: str, fields: list[Element]) -> Element:
    return forms.form("result", *fields, formType=STREAMS, title=title)


def _table(
    title: str, columns: Mapping[str, str], rows: list[dict[str, Any]], beside: list[Element] | None = None
) -> Element:
    """A form with a table (XEP-0004 section 3.4)."""
    heads = [
        forms.field(var, type="text-multi" if var == "pem" else "text-single", label=label)
        for var, label in columns.items()
    ]
    items = [
        Element("item", ns.DATA_FORMS, {}, tuple(forms.field(var, *_texts(var, row.get(var))) for var in columns))
        for row in rows
    ]
    return _result(title, [*(beside or ()), Element("reported", ns.DATA_FORMS, {}, tuple(heads)), *items])


def _command(name: str, title: str, act: Act, *fields: Element) -> Command:
    """A command that asks first, and then acts."""
    asked = forms.form("form", *fields, formType=STREAMS, title=title)

    async def execute(request: Request, values: Values | None) -> CommandAnswer:
        return CommandForm(asked) if values is None else await act(request, values)

    return Command(f"{STREAMS}#{name}", title, execute)


def join(host: IHost) -> None:
    """Offer the commands, if there is something to look at."""
    if host.inspection is None:
        return
    streams = Streams(host, host.inspection)
    options = [(label, value) for value, label in WHICH.items()]
    which = forms.field("which", "servers", type="list-single", label="Which streams", options=options)
    peer = forms.field("peer", type="jid-single", label="Only those with this domain or address")
    id = forms.field("id", type="text-single", label="The id of the stream, or how it begins", required=True)
    domain = forms.field("domain", type="text-single", label="The domain; leave it empty for a list")
    warned = forms.field("domain", type="text-single", label="The domain", required=True)
    for command in (
        _command("list", "List streams and what secures them", streams.list, which, peer),
        _command("show", "Show a stream and its certificates", streams.show, id),
        _command("history", "Show what another domain has shown", streams.history, domain),
        _command("acknowledge", "Acknowledge a changed certificate", streams.acknowledge, warned),
    ):
        host.addCommand(command)


feature = Feature(name="xep0133_streams", specs=(Spec("XEP-0050", "1.3.0"),), join=join)
