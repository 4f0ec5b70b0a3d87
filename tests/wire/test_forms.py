"""Tests of L{xmppd.wire.forms}."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from tests.marks import spec
from xmppd.wire import forms
from xmppd.wire.element import Element, parse


class FormTests(SynchronousTestCase):
    """Building and reading forms."""

    @spec("XEP-0004", "3.1", "3.2")
    def test_form(self) -> None:
        """A form to fill in has title, instructions and fields with their properties."""
        made = forms.form(
            "form",
            forms.field("name", type="text-single", label="Name", required=True),
            forms.field("n", "2", type="list-single", options=[("two", "2")]),
            formType="urn:example",
            title="T",
            instructions="I",
        )
        self.assertEqual(
            made.toBytes(),
            b"<x xmlns='jabber:x:data' type='form'><title>T</title><instructions>I</instructions>"
            b"<field var='FORM_TYPE' type='hidden'><value>urn:example</value></field>"
            b"<field var='name' type='text-single' label='Name'><required/></field>"
            b"<field var='n' type='list-single'><value>2</value><option label='two'><value>2</value></option></field></x>",
        )

    def test_values(self) -> None:
        """What was filled in is read by the names of the fields; a field without a name says nothing."""
        read = parse(
            b"<x xmlns='jabber:x:data' type='submit'><field var='FORM_TYPE'><value>t</value></field>"
            b"<field var='a'><value>1</value><value>2</value></field><field><value>3</value></field>"
            b"<field var='e'/></x>"
        )
        self.assertEqual(forms.values(read), {"FORM_TYPE": ("t",), "a": ("1", "2"), "e": ()})
        self.assertEqual(forms.formTypeOf(read), "t")
        self.assertEqual(forms.first(forms.values(read), "a"), "1")
        self.assertIsNone(forms.first(forms.values(read), "e"))

    def test_formIn(self) -> None:
        """The form inside another element is found by its own namespace."""
        form = forms.form("submit")
        self.assertEqual(forms.formIn(Element("command", "urn:x", {}, (form,))), form)
        self.assertIsNone(forms.formIn(Element("command", "urn:x", {}, (Element("x", "urn:x"),))))

    def test_missing(self) -> None:
        """Required fields that are absent or empty are named."""
        asked = forms.form(
            "form", forms.field("a", required=True), forms.field("b", required=True), forms.field("c")
        )
        self.assertEqual(forms.missing(asked, {"a": ("",)}), ("a", "b"))
        self.assertEqual(forms.missing(asked, {"a": ("1",), "b": ("2",)}), ())

    def test_truth(self) -> None:
        """Booleans have two spellings of true."""
        self.assertEqual([forms.truth(text) for text in ("1", "true", "0", "false", "yes", None)], [True, True, *[False] * 4])
