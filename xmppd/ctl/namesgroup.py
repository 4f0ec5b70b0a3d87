"""
The commands C{xmppctl names}: what a name is made of and what it looks like, what there is of names that may deceive,
and what is done about them (XEP-0165).

Names are shown twice where somebody could be deceived by them here, too: as they are, and in ASCII.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

import click

from xmppd.ctl.exits import EX_CONFIG, EX_DATAERR, EX_NOPERM, EX_UNAVAILABLE
from xmppd.ctl.line import Commands, Target, asJSON, show
from xmppd.ctl.streamsgroup import wrapped
from xmppd.ctl.tables import cell, table

if TYPE_CHECKING:
    from xmppd.ctl.client import Client

DECEPTIVE: Final = EX_DATAERR
"""Exit status where a name may deceive."""

PARTS: Final = {"accounts": "accounts", "rosters": "rosters", "rooms": "rooms", "names": "names of rooms"}
"""What an audit looks at."""

LOOKED: Final = {"accounts": "look-alikes", "rosters": "contacts", "rooms": "look-alikes", "names": "names"}
"""And what it counts there."""


@click.group(cls=Commands)
@asJSON
def names(asJSON: bool) -> None:
    """Names that look like others, or can't be seen for what they are."""


hostOption = click.option("--host", help="The domain, if not all. Its services come with it.")


def told(name: str) -> str:
    """A name for people, also in ASCII if it is something else."""
    return cell(name) if name.isascii() else f"{cell(name)} ({ascii(name)[1:-1]})"


# --- check


@names.command("check")
@click.argument("name")
@click.option(
    "--kind",
    type=click.Choice(["account", "room", "nickname", "handle", "address"]),
    help="What it would be. Default: an address if there is an @ in it, else an account.",
)
@click.option("--against", multiple=True, metavar="NAME", help="Another name. May be given several times.")
@hostOption
@asJSON
@click.pass_obj
def check(
    target: Target, name: str, kind: str | None, against: Sequence[str], host: str | None, asJSON: bool
) -> int:
    """
    What a name is made of, what it looks like, and what the server would make of it. Without a server that runs, only
    what is in the name itself.

    Ends with status 65 if the name may deceive, or looks like one that it is compared with.
    """
    kind = kind or ("address" if "@" in name else "account")
    found = itself(name, kind, against)
    client, found["unasked"] = reached(target, host) if found["canonical"] is not None else (None, None)
    found["hosts"] = client and list(client.pages("names check", name=name, kind=kind, domain=host))
    show(found, asJSON, checkText(found))
    return DECEPTIVE if deceives(found) else 0


def reached(target: Target, host: str | None) -> tuple[Client | None, str | None]:
    """
    The server, or why it can't be asked.

    @raise CommandError: the latter, and somebody wanted to know what one host says; or it is something else.
    """
    from xmppd.ctl.socket import CommandError

    try:
        return target.client, None
    except CommandError as error:
        if host is not None or error.status not in (EX_UNAVAILABLE, EX_CONFIG, EX_NOPERM):
            raise
        return None, str(error)


def itself(name: str, kind: str, against: Sequence[str]) -> dict[str, Any]:
    """
    What can be said of a name without a server.

    @raise CommandError: it is too long for any.
    """
    from xmppd.ctl.names import canonical
    from xmppd.ctl.socket import CommandError
    from xmppd.wire import confusable
    from xmppd.wire.jid import JIDMalformed

    if max(map(len, (name, *against))) > confusable.LONGEST:
        raise CommandError(EX_DATAERR, f"a name has {confusable.LONGEST} code points at most; write a shorter one")
    kept, problem = None, None
    try:
        kept = canonical(kind, name)
    except JIDMalformed as error:
        problem = str(error.text or error).removesuffix(".")
    found = confusable.inspect(name)
    parts = [confusable.inspect(each) for each in partsOf(kept or name, kind)]
    return {
        "name": name,
        "kind": kind,
        "canonical": kept,
        "problem": problem,
        "code_points": [
            {
                "character": each.character, "code": each.code, "name": each.name, "script": each.script,
                "allowed": each.allowed, "types": sorted(each.types), "like": each.like,
            }
            for each in confusable.describe(name)
        ],
        "scripts": sorted(found.scripts),
        "level": worded(max((each.level for each in parts), default=found.level)),
        "mixing": worded(max((each.mixing for each in parts), default=found.mixing)),
        "skeleton": confusable.skeleton(name),
        "keys": sorted(confusable.keys(name)),
        "oddities": sorted({oddity.value for each in parts for oddity in each.oddities}),
        "counterparts": sorted(confusable.counterparts(name)),
        "against": [compared(name, other, kind) for other in against],
    }


def partsOf(name: str, kind: str) -> list[str]:
    """The parts of a name that are looked at one by one: an address may have each in another script."""
    if kind != "address":
        return [name]
    local, _, domain = name.rpartition("@")
    return [each for each in (local, *domain.split(".")) if each] or [name]


def worded(level: Any) -> str:
    """A restriction level as the configuration names it."""
    return str(level.name).lower().replace("_", "-")


def compared(name: str, other: str, kind: str) -> dict[str, Any]:
    """A name beside another."""
    from xmppd.wire import confusable
    from xmppd.wire.jid import JIDMalformed, parse
    from xmppd.wire.lookalikes import addressKeys

    alike = confusable.resembles(name, other)
    if kind == "address":
        with suppress(JIDMalformed):
            alike = not addressKeys(parse(name)).isdisjoint(addressKeys(parse(other)))
    confusion = confusable.confusion(name, other)
    return {
        "name": other,
        "same": name == other,
        "alike": alike,
        "confusion": None if confusion is None else confusion.value,
    }


def deceives(found: Mapping[str, Any]) -> bool:
    """Whether somebody should look again: something is odd about a name, or it looks like another."""
    if found["problem"] or any(each["alike"] and not each["same"] for each in found["against"]):
        return True
    if not found["hosts"]:
        return bool(set(found["oddities"]) - {"turned"})  # which is ordinary where people write in both directions
    return any(each["reasons"] for each in found["hosts"])


def checkText(found: Mapping[str, Any]) -> str:
    """What was found, for people."""
    rows = [
        (f"as {found['kind']}", told(found["canonical"]) if found["problem"] is None else f"no: {found['problem']}"),
        ("scripts", " ".join(found["scripts"])),
        ("mixing", found["mixing"]),
        ("level", found["level"]),
        ("skeleton", told(found["skeleton"])),
        ("keys", "  ".join(map(told, found["keys"]))),
        ("odd", ", ".join(found["oddities"]) or "nothing"),
        ("could be imitated in", " ".join(found["counterparts"])),
    ]
    lines = [table(("name", told(found["name"])), rows), "", *characterLines(found["code_points"])]
    if found["against"]:
        lines += ["", *map(againstText, found["against"])]
    if found["hosts"]:
        lines += ["", hostsText(found["hosts"])]
    if found["unasked"]:
        lines += ["", f"Nobody was asked what is protected, or taken: {cell(found['unasked'])}"]
    return "\n".join(lines)


def characterLines(characters: Iterable[Mapping[str, Any]]) -> list[str]:
    """The characters of a name one by one, for people."""
    rows = [
        (
            each["code"],
            each["character"] if each["character"] != " " else "(space)",
            each["script"],
            "as itself" if each["like"] is None else told(each["like"]) if each["like"] else "nothing",
            each["allowed"],
            each["name"],
        )
        for each in characters
    ]
    headings = ("CODE POINT", "CHARACTER", "SCRIPT", "DRAWN LIKE", "IN IDENTIFIERS", "NAME")
    return table(headings, rows).splitlines()


def againstText(each: Mapping[str, Any]) -> str:
    """How a name compares with another, for people."""
    if each["same"]:
        return f"{told(each['name'])} is the same name"
    if not each["alike"]:
        return f"{told(each['name'])} looks different"
    return f"{told(each['name'])} looks alike" + (f" ({each['confusion']})" if each["confusion"] else "")


def hostsText(items: Iterable[Mapping[str, Any]]) -> str:
    """What hosts make of a name, for people."""
    rows = [
        (
            each["domain"],
            each["policy"],
            each["action"] if each["reasons"] else "allow",
            ", ".join(each["reasons"]) or "ordinary",
            "  ".join(map(told, each["alike"])),
            each["taken"],
        )
        for each in items
    ]
    return table(("DOMAIN", "POLICY", "OUTCOME", "WHY", "LOOKS LIKE", "TAKEN"), rows)


# --- audit


@names.command("audit")
@hostOption
@asJSON
@click.pass_obj
def audit(target: Target, host: str | None, asJSON: bool) -> int:
    """
    List the names there are that may deceive: look-alikes among accounts, among rooms that stay, and in each user's
    roster, where contacts are compared with accounts and protected names, too.

    Ends with status 65 if there are any.
    """
    looked: Counter[str] = Counter()
    found: list[dict[str, Any]] = []
    for item in auditing(target.client, host, looked, not asJSON):
        found.append(item)
        if not asJSON:
            click.echo(findingText(item))
    summary = ", ".join(f"{count} {what}" for what, count in sorted(looked.items())) or "nothing"
    text = f"Looked at {summary}: {len(found) or 'nothing'} found."
    show({"findings": found, "looked_at": dict(looked)}, asJSON, text)
    return DECEPTIVE if found else 0


def auditing(client: Client, host: str | None, looked: Counter[str], verbose: bool) -> Iterator[dict[str, Any]]:
    """
    What an audit finds, as it goes on.

    @param looked: how much of what was looked at; it grows.
    @param verbose: whether to say on a terminal how far it has come.
    """
    shown = verbose and sys.stderr.isatty()
    after = None
    while True:
        answer = client.ask("names audit", domain=host, after=after)
        part = answer["part"]
        if part is not None:
            looked[LOOKED[part]] += answer["looked"]
        if shown:
            erase()
        yield from answer["items"]
        after = answer["after"]
        if after is None:
            return
        if shown:
            line = f"{cell(answer['domain'])}: {PARTS[part]}, {looked[LOOKED[part]]} {LOOKED[part]} so far …"
            click.echo(line[:79], err=True, nl=False)


def erase() -> None:
    """Take back the line that says how far an audit has come."""
    click.echo("\r\x1b[K", err=True, nl=False)


def findingText(item: Mapping[str, Any]) -> str:
    """Something that was found, for people."""
    shown = "  ".join(map(told, item["names"])) + (f"  and {item['more']} more" if item["more"] else "")
    like = "; like " + "  ".join(map(told, item["like"])) if item["like"] else ""
    return f"{item['what']} of {told(item['where'])}: {shown} ({', '.join(item['reasons'])}{like})"


# --- policy


@names.command("policy")
@hostOption
@asJSON
@click.pass_obj
def policy(target: Target, host: str | None, asJSON: bool) -> None:
    """What holds for names in each domain, and why."""
    items = list(target.client.pages("names policy", domain=host))
    show(items, asJSON, "\n\n".join(map(policyText, items)) or "There are none.")


def policyText(item: Mapping[str, Any]) -> str:
    """What holds in a domain, for people: a table, and the lists below it."""
    values = item["values"]
    lists = [key for key, each in values.items() if isinstance(each["value"], list) and each["value"]]
    rows = [(key, valueText(key, each["value"]), each["why"]) for key, each in values.items() if key not in lists]
    lines = [cell(item["domain"] if item["kind"] == "host" else f"{item['domain']} ({item['kind']})")]
    lines += table(("WHAT", "HOW", "WHY"), rows).splitlines()
    for key in lists:
        lines += wrapped(cell(f"{key} ({values[key]['why']}): {', '.join(values[key]['value'])}"), "")
    lines += wrapped(cell(f"protected, being domains of this server: {', '.join(item['domains'])}"), "")
    return "\n".join(lines)


def valueText(key: str, value: Any) -> Any:
    """A value of the configuration, for people."""
    if key == "languages" and not value:
        return "none: nothing is foreign"
    return value or "nothing" if isinstance(value, list) else value
