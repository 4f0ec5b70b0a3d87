"""
What tests of ad-hoc commands for administrators have in common.
"""

from __future__ import annotations

from typing import Any

from tests.features.asking import ADMIN, AskingCase
from xmppd.wire import forms
from xmppd.wire.element import Element

COMMANDS = "http://jabber.org/protocol/commands"
NODE = "http://jabber.org/protocol/admin#"


class AdministeringCase(AskingCase):
    """Juliet and Romeo, and an administrator at work."""

    def setUp(self) -> None:
        super().setUp()
        self.admin = self.bind(ADMIN + "/desk")

    def command(self, name: str, content: str = "", id: str | None = None) -> str:
        """A request."""
        session = "" if id is None else f" sessionid='{id}'"
        return f"<command xmlns='{COMMANDS}' node='{NODE}{name}'{session}>{content}</command>"

    def begun(self, name: str) -> Element:
        """The first answer to a command."""
        answer = self.result(self.admin, "set", self.command(name), "example.org")
        assert answer is not None
        return answer

    def shown(self, name: str, var: str) -> tuple[str, ...]:
        """The values that a form has in one field."""
        form = forms.formIn(self.begun(name))
        assert form is not None
        return forms.values(form)[var]

    def note(self, name: str) -> str:
        """The sentence of a command without a form."""
        (note,) = self.begun(name).elements("note")
        return note.text

    def submission(self, name: str, values: dict[str, Any]) -> str:
        """Ask for the form of a command and fill it in."""
        first = self.begun(name)
        self.assertEqual(first.get("status"), "executing")
        form = forms.formIn(first)
        assert form is not None
        self.assertLessEqual(set(values), set(forms.values(form)))
        fields = []
        for var, given in values.items():
            texts = [given] if isinstance(given, str) else given
            fields.append(f"<field var='{var}'>{''.join(f'<value>{text}</value>' for text in texts)}</field>")
        return self.command(name, f"<x xmlns='jabber:x:data' type='submit'>{''.join(fields)}</x>", first.get("sessionid"))

    def do(self, name: str, **values: Any) -> Element:
        """Run a command of one form; answers the completed command."""
        done = self.result(self.admin, "set", self.submission(name, values), "example.org")
        assert done is not None
        self.assertEqual(done.get("status"), "completed")
        return done

    def failing(self, name: str, **values: Any) -> str:
        """Run a command that fails; answers the condition."""
        return self.error(self.admin, "set", self.submission(name, values), "example.org")
