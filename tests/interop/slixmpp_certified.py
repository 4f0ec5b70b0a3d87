"""
slixmpp logs in with a certificate: C{python -m tests.interop.slixmpp_certified}.

A process of its own, since slixmpp wants asyncio. Where the server and the certificate are comes as JSON on standard
input; who was logged in, and how, goes out as JSON.
"""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

from slixmpp import ClientXMPP

DEADLINE = 40.0
"""Seconds for the login."""


async def login(facts: dict[str, Any]) -> dict[str, Any]:
    """Log in as Romeo, without a password."""
    client = ClientXMPP("romeo@example.org", "")
    client.ca_certs = facts["certificate"]
    client.enable_direct_tls = False
    client.certfile = client.keyfile = facts["client"]
    begun: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    failed = "auth_failed_all", "no_auth", "connection_failed"
    client.add_event_handler("session_start", lambda _: begun.set_result(None))
    for name in failed:
        client.add_event_handler(name, lambda why: begun.done() or begun.set_exception(RuntimeError(str(why))))
    client.connect("127.0.0.1", facts["port"])
    await asyncio.wait_for(begun, DEADLINE)
    seen = {"jid": client.boundjid.bare, "mechanism": client.plugin["feature_mechanisms"].mech.name}
    await client.disconnect()
    return seen


if __name__ == "__main__":
    print(json.dumps(asyncio.run(login(json.loads(sys.stdin.read())))))
