"""
How a node is configured (XEP-0060 sections 8.2 and 16.4.4): a value, its form, and what a submitted form changes.

Each field of the form is a row of L{FIELDS}. A submission is read field by field; those it leaves out keep their
values. Fields this server doesn't know are ignored in a configuration, as XEP-0004 has it, and refused in publish
options, as section 7.1.5 has it. A field that asks for something left out here is refused.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Final

from xmppd.pubsub.errors import refusal, unsupported
from xmppd.pubsub.names import NODE_CONFIG, PUBLISH_OPTIONS
from xmppd.wire import forms
from xmppd.wire.element import Element
from xmppd.wire.errors import StanzaCondition, StanzaError
from xmppd.wire.jid import JIDMalformed, parse

MODELS: Final = ("authorize", "open", "presence", "roster", "whitelist")
"""All access models (section 4.5)."""

MAX: Final = "max"
"""What stands for "as many as the server allows" (section 12.23)."""

LONGEST_TEXT: Final = 1000
"""How many characters a text in a configuration may have."""

MOST_VALUES: Final = 50
"""How many values a field may have."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """
    What nobody may exceed.

    @ivar nodes: nodes one entity may have.
    @ivar items: items of a node.
    @ivar payload: octets of an item's payload.
    @ivar bytes: octets of all nodes of an account, or of the whole service.
    @ivar subscribers: subscriptions of a node.
    @ivar subscriptions: subscriptions of an entity, at the account or the service.
    @ivar affiliations: affiliations of a node.
    @ivar models: the access models there are.
    @ivar lasts: when the last item may be sent.
    """

    nodes: int = 100
    items: int = 1000
    payload: int = 65_536
    bytes: int = 16 << 20
    subscribers: int = 10_000
    subscriptions: int = 1000
    affiliations: int = 1000
    models: tuple[str, ...] = MODELS
    lasts: tuple[str, ...] = ("never", "on_sub", "on_sub_and_presence")


@dataclass(frozen=True, slots=True)
class NodeConfig:
    """
    A node's configuration. Each attribute is a field of the form, see L{FIELDS}.

    @ivar maxItems: None stands for as many as the server allows.
    @ivar itemExpire: seconds, or None for ever.
    @ivar maxPayload: octets, or None for as many as the server allows.
    """

    title: str = ""
    description: str = ""
    language: str = ""
    type: str = ""
    contact: tuple[str, ...] = ()
    accessModel: str = "open"
    rosterGroups: tuple[str, ...] = ()
    publishModel: str = "publishers"
    persistItems: bool = True
    maxItems: int | None = None
    itemExpire: int | None = None
    maxPayload: int | None = None
    nodeFull: str = "retract-oldest"
    deliverNotifications: bool = True
    deliverPayloads: bool = True
    notificationType: str = "headline"
    notifyConfig: bool = False
    notifyDelete: bool = True
    notifyRetract: bool = False
    notifySub: bool = False
    sendLast: str = "never"
    subscribe: bool = True
    itemReply: str = "none"

    def toText(self) -> str:
        """As JSON, for the store."""
        return json.dumps(asdict(self), ensure_ascii=False, separators=(",", ":"))

    def fromText(self, text: str) -> NodeConfig:
        """What a store has; what it lacks is as in this one."""
        stored = json.loads(text)
        known: dict[str, Any] = {}
        for each in fields(self):
            if each.name in stored:
                value = stored[each.name]
                known[each.name] = tuple(value) if isinstance(value, list) else value
        return replace(self, **known)

    def most(self, bounds: Bounds) -> int:
        """How many items are kept."""
        return bounds.items if self.maxItems is None else min(self.maxItems, bounds.items)

    def largest(self, bounds: Bounds) -> int:
        """How many octets a payload may have."""
        return bounds.payload if self.maxPayload is None else min(self.maxPayload, bounds.payload)


Reader = Callable[[tuple[str, ...], Bounds], Any]


@dataclass(frozen=True, slots=True)
class Field:
    """
    A field of the form.

    @ivar name: the attribute of L{NodeConfig}.
    @ivar type: how it is shown (XEP-0004 section 3.3).
    @ivar read: texts to a value; raises ValueError, or a StanzaError.
    @ivar choices: what there is to choose from.
    """

    name: str
    type: str
    label: str
    read: Reader
    choices: Callable[[Bounds], tuple[str, ...]] | None = None


def _one(texts: tuple[str, ...]) -> str:
    if len(texts) > 1:
        raise ValueError("one value is wanted")
    return texts[0] if texts else ""


def _text(texts: tuple[str, ...], bounds: Bounds) -> str:
    text = _one(texts)
    if len(text) > LONGEST_TEXT:
        raise ValueError(f"a text has at most {LONGEST_TEXT} characters")
    return text


def _several(texts: tuple[str, ...], bounds: Bounds) -> tuple[str, ...]:
    if len(texts) > MOST_VALUES or any(len(text) > LONGEST_TEXT for text in texts):
        raise ValueError("there are too many values, or too long ones")
    return tuple(dict.fromkeys(texts))


def _jids(texts: tuple[str, ...], bounds: Bounds) -> tuple[str, ...]:
    try:
        return tuple(parse(text).full for text in _several(texts, bounds))
    except JIDMalformed as error:
        raise ValueError("an address is malformed") from error


def boolean(text: str) -> bool:
    """
    A boolean as XML Schema writes it.

    @raise ValueError: it is something else.
    """
    if text not in ("0", "1", "false", "true"):
        raise ValueError("a boolean is 0, 1, false or true")
    return forms.truth(text)


def _flag(texts: tuple[str, ...], bounds: Bounds) -> bool:
    return boolean(_one(texts))


def _number(text: str, least: int, most: int) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 18):
        raise ValueError("a number is wanted")
    if not least <= int(text) <= most:
        raise ValueError(f"the number is to be from {least} to {most}")
    return int(text)


def _items(texts: tuple[str, ...], bounds: Bounds) -> int | None:
    text = _one(texts)
    return None if text == MAX else _number(text, 1, bounds.items)


def _seconds(texts: tuple[str, ...], bounds: Bounds) -> int | None:
    text = _one(texts)
    return None if text in (MAX, "0", "") else _number(text, 1, 10**10)


def _octets(texts: tuple[str, ...], bounds: Bounds) -> int | None:
    return _number(_one(texts), 1, bounds.payload)


def _model(texts: tuple[str, ...], bounds: Bounds) -> str:
    model = _one(texts)
    if model not in bounds.models:
        raise refusal(StanzaCondition.NOT_ACCEPTABLE, "unsupported-access-model")
    return model


def _among(*choices: str) -> tuple[Reader, Callable[[Bounds], tuple[str, ...]]]:
    def read(texts: tuple[str, ...], bounds: Bounds) -> str:
        text = _one(texts)
        if text not in choices:
            raise ValueError("it is to be one of " + ", ".join(choices))
        return text

    return read, lambda bounds: choices


def _last(texts: tuple[str, ...], bounds: Bounds) -> str:
    text = _one(texts)
    if text not in bounds.lasts:
        raise ValueError("it is to be one of " + ", ".join(bounds.lasts))
    return text


FIELDS: Final[dict[str, Field]] = {
    "pubsub#title": Field("title", "text-single", "A short name for the node", _text),
    "pubsub#description": Field("description", "text-single", "A description of the node", _text),
    "pubsub#language": Field("language", "text-single", "The language of the node", _text),
    "pubsub#type": Field("type", "text-single", "The namespace of the payloads", _text),
    "pubsub#contact": Field("contact", "jid-multi", "Who can be asked about the node", _jids),
    "pubsub#access_model": Field(
        "accessModel", "list-single", "Who may subscribe and retrieve items", _model, lambda bounds: bounds.models
    ),
    "pubsub#roster_groups_allowed": Field(
        "rosterGroups", "text-multi", "The roster groups that may subscribe and retrieve items", _several
    ),
    "pubsub#publish_model": Field(
        "publishModel", "list-single", "Who may publish", *_among("publishers", "subscribers", "open")
    ),
    "pubsub#persist_items": Field("persistItems", "boolean", "Whether to keep items", _flag),
    "pubsub#max_items": Field("maxItems", "text-single", "How many items to keep, or max", _items),
    "pubsub#item_expire": Field("itemExpire", "text-single", "Seconds until an item expires, or max", _seconds),
    "pubsub#max_payload_size": Field("maxPayload", "text-single", "The largest payload in octets", _octets),
    "pubsub#publish_node_full": Field(
        "nodeFull",
        "list-single",
        "What to do when an item is published at a full node",
        *_among("retract-oldest", "discard-oldest", "reject"),
    ),
    "pubsub#deliver_notifications": Field("deliverNotifications", "boolean", "Whether to notify", _flag),
    "pubsub#deliver_payloads": Field(
        "deliverPayloads", "boolean", "Whether to deliver payloads with notifications", _flag
    ),
    "pubsub#notification_type": Field(
        "notificationType", "list-single", "The type of notifications", *_among("normal", "headline")
    ),
    "pubsub#notify_config": Field("notifyConfig", "boolean", "Whether to notify when the configuration changes", _flag),
    "pubsub#notify_delete": Field("notifyDelete", "boolean", "Whether to notify when the node is deleted", _flag),
    "pubsub#notify_retract": Field("notifyRetract", "boolean", "Whether to notify when items are removed", _flag),
    "pubsub#notify_sub": Field(
        "notifySub", "boolean", "Whether to tell owners about new and former subscribers", _flag
    ),
    "pubsub#send_last_published_item": Field(
        "sendLast", "list-single", "When to send the last published item", _last, lambda bounds: bounds.lasts
    ),
    "pubsub#subscribe": Field("subscribe", "boolean", "Whether to allow subscriptions", _flag),
    "pubsub#itemreply": Field(
        "itemReply", "list-single", "Whether items name their publisher", *_among("none", "publisher")
    ),
}
"""The fields there are, by their registered names."""

LEFT_OUT: Final[dict[str, tuple[str, ...]]] = {
    "pubsub#purge_offline": ("0", "false"),
    "pubsub#tempsub": ("0", "false"),
    "pubsub#presence_based_delivery": ("0", "false"),
    "pubsub#node_type": ("leaf",),
    "pubsub#collection": ("",),
    "pubsub#body_xslt": ("",),
    "pubsub#dataform_xslt": ("",),
}
"""Fields of things left out, with the values that don't ask for them."""


def texts(config: NodeConfig, name: str, bounds: Bounds) -> tuple[str, ...]:
    """The values of a field as texts."""
    value = getattr(config, FIELDS[name].name)
    if isinstance(value, tuple):
        return value
    if value is None:
        return (str(bounds.payload),) if name == "pubsub#max_payload_size" else (MAX,)
    if isinstance(value, bool):
        return ("1" if value else "0",)
    return (str(value),) if value != "" else ()


def toForm(config: NodeConfig, bounds: Bounds, type: str = "form") -> Element:
    """The form to fill in, or with type C{result} the bare values."""
    rows = []
    for name, each in FIELDS.items():
        values = texts(config, name, bounds)
        if type != "form":
            rows.append(forms.field(name, *values))
            continue
        choices = each.choices(bounds) if each.choices is not None else ()
        options = [(choice, choice) for choice in choices]
        rows.append(forms.field(name, *values, type=each.type, label=each.label, options=options))
    return forms.form(type, *rows, formType=NODE_CONFIG)


def submitted(form: Element | None, formType: str) -> forms.Values:
    """
    What a submitted form says.

    @raise StanzaError: there is no form, or it is none of that type that is submitted.
    """
    if form is None or form.get("type") != "submit":
        raise StanzaError(StanzaCondition.BAD_REQUEST, "A submitted form is wanted.")
    values = forms.values(form)
    if values.pop(forms.FORM_TYPE, (formType,)) != (formType,):
        raise StanzaError(StanzaCondition.BAD_REQUEST, f"The form is to be of type {formType}.")
    return values


def changed(config: NodeConfig, values: forms.Values, bounds: Bounds) -> NodeConfig:
    """
    The configuration as a submission changes it.

    @raise StanzaError: C{not-acceptable} for what can't be had (section 8.2.5.2).
    """
    changes: dict[str, Any] = {}
    for name, given in values.items():
        if name in FIELDS:
            changes[FIELDS[name].name] = _read(name, given, bounds)
        elif name in LEFT_OUT and any(text not in LEFT_OUT[name] for text in given):
            if name in ("pubsub#node_type", "pubsub#collection"):
                raise unsupported("collections")
            raise StanzaError(StanzaCondition.NOT_ACCEPTABLE, f"There is no {name}.")
    return replace(config, **changes)


def _read(name: str, given: tuple[str, ...], bounds: Bounds) -> Any:
    try:
        return FIELDS[name].read(given, bounds)
    except ValueError as error:
        raise StanzaError(StanzaCondition.NOT_ACCEPTABLE, f"{name}: {error}.") from error


def _unmet(text: str) -> StanzaError:
    return refusal(StanzaCondition.CONFLICT, "precondition-not-met", text)


def preconditions(form: Element | None) -> forms.Values:
    """
    The fields of publish options (section 7.1.5).

    @raise StanzaError: a field isn't known.
    """
    values = submitted(form, PUBLISH_OPTIONS)
    for name in values:
        if name not in FIELDS and name not in LEFT_OUT:
            raise _unmet(f"There is no {name[:LONGEST_TEXT]}.")
    return values


def compare(config: NodeConfig, values: Mapping[str, tuple[str, ...]], bounds: Bounds) -> None:
    """
    Check preconditions against the configuration of a node.

    @raise StanzaError: one is not met.
    """
    for name, given in values.items():
        if name in LEFT_OUT:
            met = all(text in LEFT_OUT[name] for text in given)
        else:
            try:
                wanted = FIELDS[name].read(given, bounds)
            except (ValueError, StanzaError):
                raise _unmet(f"{name} can't be as asked.") from None
            value = getattr(config, FIELDS[name].name)
            met = sorted(value) == sorted(wanted) if isinstance(value, tuple) else value == wanted
        if not met:
            raise _unmet(f"{name} is not as asked.")
