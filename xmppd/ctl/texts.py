"""
What xmppctl shows to people of longer answers.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from xmppd.ctl.tables import cell, day, span, table
from xmppd.readers import snake


def statusText(answer: dict[str, Any]) -> str:
    """The status for people."""
    queue = answer["store_queue"]
    lines = [
        f"xmppd {answer['version']} (Python {answer['python']}), process {answer['pid']}, up {span(answer['uptime'])}",
        f"configuration {cell(answer['config'])}, data {cell(answer['data'])}",
        f"{answer['connections']} connections, {answer['sessions']} sessions ({answer['hibernating']} hibernating)",
        f"{answer['routed']} stanzas routed, {answer['bounced']} bounced, {queue} operations wait for the database",
        "",
        table(
            ("HOST", "ACCOUNTS", "REGISTRATION", "GUESTS", "SESSIONS", "FEATURES"),
            [
                (h["domain"], h["accounts"], h["registration"], h["guests"], h["sessions"], len(h["features"]))
                for h in answer["hosts"]
            ],
        ),
        *serviceLines(answer["services"]),
        "",
        table(("LISTENS FOR", "ADDRESS"), [(port["option"], port["address"]) for port in answer["ports"]]),
        "",
        table(
            ("CERTIFICATE", "EXPIRES (UTC)", "SHA-256"),
            [(each["domain"], day(each["expires"]), each["sha256"]) for each in answer["certificates"]],
        ),
    ]
    lines += [f"warning: {cell(line)}" for each in answer["certificates"] for line in each["warnings"]]
    return "\n".join(lines).rstrip()


def serviceLines(services: Iterable[dict[str, Any]]) -> list[str]:
    """The domains of services for people, if there are any."""
    rows = [(each["domain"], each["kind"], each["rooms"], len(each["features"])) for each in services]
    return ["", table(("SERVICE", "KIND", "ROOMS", "FEATURES"), rows)] if rows else []


def roomText(answer: dict[str, Any]) -> str:
    """A room for people."""
    rows = [(key, answer[key]) for key in ("name", "subject", "occupants", "locked")]
    config = {key: value for key, value in answer["config"].items() if key != "name"}
    rows += [(snake(key), ", ".join(value) if isinstance(value, list) else value) for key, value in config.items()]
    people = table(("JID", "AFFILIATION"), answer["affiliations"].items()) or "Nobody has an affiliation."
    return "\n".join((table(("ROOM", cell(answer["jid"])), rows), "", people))
