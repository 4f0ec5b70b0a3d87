"""
The options of a subscription (XEP-0060 section 6.3): whether to deliver, in which states of presence, and until when.

Digests and message bodies are left out: their fields are in the form, and are refused if they ask for any.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Final

from xmppd.ixmppd import ISession
from xmppd.pubsub.configuration import boolean
from xmppd.pubsub.errors import invalidOptions
from xmppd.pubsub.names import SUBSCRIBE_OPTIONS
from xmppd.wire import forms, ns
from xmppd.wire.element import Element

SHOWS: Final = ("away", "chat", "dnd", "online", "xa")
"""The states of presence (RFC 6121 section 4.7.2.1); "online" stands for none of the others."""

SHOW: Final = f"{ns.CLIENT} show"


@dataclass(frozen=True, slots=True)
class SubscriptionOptions:
    """
    What a subscriber chose.

    @ivar deliver: whether to send notifications.
    @ivar shows: states of presence in which they are wanted; all of them make no difference.
    @ivar expire: when the subscription ends, seconds since the epoch, or None.
    """

    deliver: bool = True
    shows: tuple[str, ...] = SHOWS
    expire: float | None = None

    def toText(self) -> str:
        """As JSON, for the store."""
        return json.dumps(asdict(self), separators=(",", ":"))

    def toForm(self, type: str = "form") -> Element:
        """The form to fill in, or with type C{result} the bare values."""
        expire = () if self.expire is None else (stampOf(self.expire),)
        if type != "form":
            return forms.form(
                type,
                forms.field("pubsub#deliver", "1" if self.deliver else "0"),
                forms.field("pubsub#show-values", *self.shows),
                forms.field("pubsub#expire", *expire),
                formType=SUBSCRIBE_OPTIONS,
            )
        return forms.form(
            type,
            forms.field("pubsub#deliver", "1" if self.deliver else "0", type="boolean", label="Deliver notifications"),
            forms.field(
                "pubsub#show-values",
                *self.shows,
                type="list-multi",
                label="The states of presence in which to deliver",
                options=[(each, each) for each in SHOWS],
            ),
            forms.field("pubsub#expire", *expire, type="text-single", label="When the subscription ends"),
            formType=SUBSCRIBE_OPTIONS,
        )

    def current(self, now: float) -> bool:
        """Whether the subscription has not ended yet."""
        return self.expire is None or now < self.expire

    def wanted(self, sessions: Iterable[ISession]) -> bool:
        """Whether a subscriber of this server wants notifications in its present state."""
        if len(self.shows) == len(SHOWS):
            return True
        return any(showOf(each) in self.shows for each in sessions if each.presence is not None)


@lru_cache(1000)
def fromText(text: str) -> SubscriptionOptions:
    """What a store has. Most subscribers choose the same."""
    stored = json.loads(text)
    return SubscriptionOptions(
        bool(stored.get("deliver", True)), tuple(stored.get("shows", SHOWS)), stored.get("expire")
    )


def showOf(session: ISession) -> str:
    """The state of presence of an available session."""
    assert session.presence is not None
    show = session.presence.find(SHOW)
    return show.text.strip() if show is not None and show.text.strip() in SHOWS else "online"


def stampOf(seconds: float) -> str:
    """A moment as XEP-0082 writes it."""
    return datetime.fromtimestamp(int(seconds), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _moment(text: str) -> float:
    try:
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is None:
            raise ValueError("there is no time zone")
        return moment.timestamp()
    except (ValueError, OverflowError) as error:
        raise invalidOptions("The end of a subscription is a date and a time with a time zone.") from error


def changed(options: SubscriptionOptions, values: forms.Values, now: float) -> SubscriptionOptions:
    """
    The options as a submission changes them.

    @raise StanzaError: C{bad-request} with C{invalid-options} (section 6.3.6.2).
    """
    try:
        return _changed(options, values, now)
    except ValueError as error:
        raise invalidOptions(f"{error}.") from error


def _changed(options: SubscriptionOptions, values: forms.Values, now: float) -> SubscriptionOptions:
    changes: dict[str, Any] = {}
    for name, given in values.items():
        text = given[0] if given else ""
        if name == "pubsub#deliver":
            changes["deliver"] = boolean(text)
        elif name == "pubsub#show-values":
            if not set(given) <= set(SHOWS):
                raise invalidOptions("There is no such state of presence.")
            changes["shows"] = tuple(sorted(set(given)))
        elif name == "pubsub#expire":
            changes["expire"] = _moment(text) if text else None
            if text and changes["expire"] <= now:
                raise invalidOptions("That time has passed.")
        elif name in ("pubsub#digest", "pubsub#include_body"):
            if boolean(text):
                raise invalidOptions(f"There is no {name}.")
        elif name == "pubsub#subscription_type" and text not in ("", "items"):
            raise invalidOptions("There are no collections.")
    return replace(options, **changes)
