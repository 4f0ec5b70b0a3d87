"""
External services (XEP-0215): clients are told of STUN and TURN servers, with credentials that last for a while.

Which services there are is the administrator's to say. A service with a secret shares that with the server, and gets
credentials made of it on the spot, as TURN servers take them ("A REST API for Access to TURN Services"): the user name
is the time when they expire and a name for the user, the password an HMAC of that. The name for the user is a hash, so
that no address travels to the service; it is the same each time, so that the service can count per user.

Left out: pushing changes (section 3.2), since services change with the configuration only.
"""

from __future__ import annotations

import hashlib
import hmac
from base64 import b64encode
from collections.abc import Mapping, Sequence
from typing import Any, Final

from xmppd.hooks import Feature, Option, Spec
from xmppd.ixmppd import IHost, Request
from xmppd.wire import ns
from xmppd.wire.dates import dateTime
from xmppd.wire.element import Element
from xmppd.wire.errors import StanzaCondition, StanzaError

NAME: Final = "xep0215_external_services"

TEXTS: Final = ("type", "host", "transport", "name", "username", "password", "secret")
"""The keys of a service that are texts; C{port} and C{seconds} are numbers."""

SECONDS: Final = 43200
"""How long credentials last unless a service says otherwise."""


def mistake(services: Any) -> str | None:
    """Why a list of services can't be used, or None."""
    for number, service in enumerate(services, 1):
        if not isinstance(service, dict):
            return f"service {number} is no table"
        wrong = _mistakeIn(service)
        if wrong is not None:
            return f"service {number}: {wrong}"
    return None


def _mistakeIn(service: Mapping[str, Any]) -> str | None:
    for key, value in service.items():
        if key not in (*TEXTS, "port", "seconds"):
            return f"unknown key {key}"
        if key in TEXTS and (not isinstance(value, str) or not value):
            return f"{key} is no text"
        if key not in TEXTS and (type(value) is not int or value < 1):
            return f"{key} is no number above 0"
    if "type" not in service or "host" not in service:
        return "a service has a type and a host"
    if service.get("port", 1) > 65535:
        return "that is no port"
    if "secret" in service and ("username" in service or "password" in service):
        return "it has a secret, or a username and a password"
    return None


class ExternalServices:
    """Tells clients of one host what there is."""

    def __init__(self, host: IHost, services: Sequence[Mapping[str, Any]]) -> None:
        self._host = host
        self._services = services

    def services(self, request: Request) -> Element:
        """All services, or those of a type (sections 3.1 and 3.2)."""
        self._mayAsk(request)
        type = request.payload.get("type")
        found = [each for each in self._services if type is None or each["type"] == type]
        attrs = {} if type is None else {"type": type}
        return Element("services", ns.EXTERNAL_SERVICES, attrs, tuple(self._shown(each, request) for each in found))

    def credentials(self, request: Request) -> Element:
        """Credentials for a service (section 3.3)."""
        self._mayAsk(request)
        wanted = list(request.payload.elements("service"))
        if len(wanted) != 1 or not wanted[0].get("host") or not wanted[0].get("type"):
            raise StanzaError(StanzaCondition.BAD_REQUEST, "Which service, by host and type?")
        found = [
            each
            for each in self._services
            if all(wanted[0].get(key) in (None, str(each.get(key))) for key in ("host", "type", "port"))
            and ("secret" in each or "password" in each)
        ]
        if not found:
            raise StanzaError(StanzaCondition.ITEM_NOT_FOUND, "There are no credentials for that.")
        return Element("credentials", ns.EXTERNAL_SERVICES, {}, tuple(self._shown(each, request) for each in found))

    def _mayAsk(self, request: Request) -> None:
        session = request.session
        guest = session is not None and session.account.anonymous
        if session is None or (guest and not self._host.option(NAME, "guests")):
            raise StanzaError(StanzaCondition.FORBIDDEN)

    def _shown(self, service: Mapping[str, Any], request: Request) -> Element:
        """A service with credentials, if it has any."""
        keys = ("type", "host", "port", "transport", "name", "username", "password")
        attrs = {key: str(service[key]) for key in keys if key in service}
        if "secret" in service:
            attrs.update(self._made(service, request.sender.bare))
        return Element("service", ns.EXTERNAL_SERVICES, attrs)

    def _made(self, service: Mapping[str, Any], bare: str) -> dict[str, str]:
        """Credentials that last for a while."""
        secret = service["secret"].encode()
        expires = int(self._host.clock.seconds()) + service.get("seconds", SECONDS)
        user = hmac.new(secret, b"user " + bare.encode(), hashlib.sha256).hexdigest()[:24]
        username = f"{expires}:{user}"
        password = b64encode(hmac.new(secret, username.encode(), hashlib.sha1).digest()).decode()
        return {"username": username, "password": password, "expires": dateTime(expires), "restricted": "true"}


def join(host: IHost) -> None:
    """Answer requests."""
    external = ExternalServices(host, host.option(NAME, "services"))
    host.respond("host", "get", f"{ns.EXTERNAL_SERVICES} services", external.services)
    host.respond("host", "get", f"{ns.EXTERNAL_SERVICES} credentials", external.credentials)


feature = Feature(
    name=NAME,
    specs=(Spec("XEP-0215", "1.0.0"),),
    namespaces=(ns.EXTERNAL_SERVICES,),
    options={
        "services": Option(
            [],
            "Tables with type and host, and port, transport, name; username and password, or secret and seconds.",
            mistake,
        ),
        "guests": Option(False, "Whether guests are told."),
    },
    join=join,
    optional=True,
)
