"""
Data forms (XEP-0004), as values of L{Element}: to ask for fields, to read what was filled in, to give results.

Only what a server needs is here: building a form, and reading a submitted one as texts by field. Which fields there
have to be is said by L{missing}, which compares a submission with the form it answers.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from xmppd.wire import ns
from xmppd.wire.element import Element

FORM: Final = ns.DATA_FORMS + " x"
"""The name of a form as "namespace local"."""

FORM_TYPE: Final = "FORM_TYPE"
"""The field that says which registered form it is (XEP-0068)."""

Values = Mapping[str, tuple[str, ...]]
"""What was filled in: texts by the name of the field."""


def field(
    var: str,
    *values: str,
    type: str | None = None,
    label: str | None = None,
    required: bool = False,
    options: Iterable[tuple[str, str]] = (),
) -> Element:
    """
    A field (XEP-0004 section 3.2).

    @param type: "text-single", "text-private", "jid-multi" …, or None where it doesn't matter (a result).
    @param options: label and value of what there is to choose from.
    """
    attrs = {"var": var}
    if type is not None:
        attrs["type"] = type
    if label is not None:
        attrs["label"] = label
    children = [Element("required", ns.DATA_FORMS)] if required else []
    children += [_value(value) for value in values]
    children += [Element("option", ns.DATA_FORMS, {"label": text}, (_value(value),)) for text, value in options]
    return Element("field", ns.DATA_FORMS, attrs, tuple(children))


def _value(text: str) -> Element:
    return Element("value", ns.DATA_FORMS, {}, (text,) if text else ())


def form(
    type: str, *fields: Element, formType: str | None = None, title: str | None = None, instructions: str | None = None
) -> Element:
    """
    A form.

    @param type: "form" to fill in, or "result".
    @param formType: the value of its FORM_TYPE, or None for an unregistered form.
    """
    children: list[Element] = []
    if title is not None:
        children.append(Element("title", ns.DATA_FORMS, {}, (title,)))
    if instructions is not None:
        children.append(Element("instructions", ns.DATA_FORMS, {}, (instructions,)))
    if formType is not None:
        children.append(field(FORM_TYPE, formType, type="hidden"))
    return Element("x", ns.DATA_FORMS, {"type": type}, (*children, *fields))


def formIn(parent: Element) -> Element | None:
    """The form that is a child of an element, or None."""
    return parent.find("x", ns.DATA_FORMS)


def values(form: Element) -> dict[str, tuple[str, ...]]:
    """What a form says: the texts of each field that has a name. A field that occurs again replaces the former."""
    return {
        each.attrs["var"]: tuple(value.text for value in each.elements("value"))
        for each in form.elements("field")
        if "var" in each.attrs
    }


def first(values: Values, var: str) -> str | None:
    """The first text of a field, or None if there is none or it is empty."""
    texts = values.get(var, ())
    return texts[0] if texts and texts[0] else None


def formTypeOf(form: Element) -> str | None:
    """The FORM_TYPE of a form, or None."""
    return first(values(form), FORM_TYPE)


def truth(text: str | None) -> bool:
    """The meaning of a boolean field's text (XEP-0004 section 3.3): "1" and "true" are true, all else is not."""
    return text in ("1", "true")


def missing(asked: Element, given: Values) -> tuple[str, ...]:
    """The required fields of a form that a submission leaves out or leaves empty."""
    return tuple(
        each.attrs["var"]
        for each in asked.elements("field")
        if each.find("required") is not None and not any(given.get(each.attrs.get("var", ""), ()))
    )
