"""
What comes with a command from xmppctl.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from xmppd.ctl.exits import EX_DATAERR, EX_USAGE
from xmppd.ctl.socket import CommandError
from xmppd.wire.jid import JID, JIDMalformed, parse, prepareDomain

Arguments = Mapping[str, Any]


def textOf(arguments: Arguments, name: str, default: str | None = None) -> str:
    """
    An argument that is a text.

    @raise CommandError: it is missing or something else.
    """
    value = arguments.get(name, default)
    if not isinstance(value, str):
        raise CommandError(EX_USAGE, f"the argument {name} is missing")
    return value


def jidOf(arguments: Arguments, name: str = "jid", example: str = "romeo@example.org") -> JID:
    """
    An argument that is an address.

    @param example: what somebody is shown who wrote something else.
    @raise CommandError: it is missing or none.
    """
    text = textOf(arguments, name)
    try:
        return parse(text)
    except JIDMalformed as error:
        reason = str(error.text or error).removesuffix(".")
        line = f"{text!r} is no address ({reason}); write one like {example}"
        raise CommandError(EX_DATAERR, line) from None


def domainOf(arguments: Arguments, name: str = "domain") -> str:
    """
    An argument that is a domain, in canonical form.

    @raise CommandError: it is missing or none.
    """
    try:
        return prepareDomain(textOf(arguments, name))
    except JIDMalformed:
        raise CommandError(EX_DATAERR, "that is no domain; write something like example.org") from None
