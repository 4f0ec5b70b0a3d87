"""Tests of L{xmppd.features.xep0050_commands}."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from twisted.internet.defer import Deferred

from tests.features.asking import ADMIN, AskingCase
from tests.marks import spec
from xmppd.features import xep0030_disco, xep0050_commands
from xmppd.features.xep0050_commands import SESSION_SECONDS, SESSIONS_EACH
from xmppd.hooks import Command, CommandAnswer, CommandForm, CommandResult
from xmppd.wire import forms
from xmppd.wire.element import LANG, Element
from xmppd.wire.errors import StanzaCondition, StanzaError

NS = "http://jabber.org/protocol/commands"


def command(node: str, content: str = "", **attributes: str) -> str:
    """The payload of a request."""
    written = "".join(f" {key}='{value}'" for key, value in attributes.items())
    return f"<command xmlns='{NS}' node='{node}'{written}>{content}</command>"


def submit(**values: str) -> str:
    """A form filled in."""
    fields = "".join(f"<field var='{var}'><value>{value}</value></field>" for var, value in values.items())
    return f"<x xmlns='jabber:x:data' type='submit'>{fields}</x>"


class CommandsCase(AskingCase):
    """A host with three commands: one that only answers, one of two stages, one for administrators."""

    features = (xep0030_disco.feature, xep0050_commands.feature)

    def prepare(self) -> None:
        """Add the commands."""
        self.calls: list[tuple[str, Any]] = []
        for name, execute, admin in (("list", self.list, False), ("steps", self.steps, False), ("stop", self.list, True)):
            self.rig.host.addCommand(Command(name, name.title(), execute, admin))

    def list(self, request: Any, values: Mapping[str, tuple[str, ...]] | None) -> CommandResult:
        """A result at once."""
        self.calls.append((request.sender.full, values))
        return CommandResult(forms.form("result", forms.field("a", "1")), "Careful.", "warn")

    async def steps(self, request: Any, values: Mapping[str, tuple[str, ...]] | None) -> CommandAnswer:
        """Two forms, then a result."""
        self.calls.append((request.sender.full, values))
        if values is None:
            return CommandForm(forms.form("form", forms.field("service", required=True)), last=False)
        if "state" not in values:
            return CommandForm(forms.form("form", forms.field("state", required=True)))
        if values["state"] == ("bad",):
            raise StanzaError(StanzaCondition.NOT_ACCEPTABLE)
        return CommandResult(note="Done.")

    def run_(self, payload: str, session: Any = None) -> Element:
        """The command element of a result."""
        answer = self.result(session or self.juliet, "set", payload, "example.org")
        self.assertEqual(answer.qname, NS + " command")
        return answer

    def refused(self, payload: str, session: Any = None) -> tuple[str, str | None]:
        """Condition and specific condition of an error."""
        answer = self.ask(session or self.juliet, "set", payload, "example.org")
        error = answer.elements()[-1]
        own = [each.name for each in error.elements() if each.ns == NS]
        return self.error(session or self.juliet, "set", payload, "example.org"), own[0] if own else None


class DiscoveryTests(CommandsCase):
    """Commands are found."""

    def ask_(self, session: Any, namespace: str, node: str | None = None) -> Element:
        attribute = "" if node is None else f" node='{node}'"
        query = f"<query xmlns='http://jabber.org/protocol/disco#{namespace}'{attribute}/>"
        return self.result(session, "get", query, "example.org")

    @spec("XEP-0050", "2.1")
    def test_feature(self) -> None:
        """The domain lists the feature."""
        self.assertIn(NS, [each.get("var") for each in self.ask_(self.juliet, "info").elements("feature")])

    @spec("XEP-0050", "2.2")
    def test_list(self) -> None:
        """The commands are items of a well-known node; those of administrators only for them."""
        items = [dict(item.attrs) for item in self.ask_(self.juliet, "items", NS).elements()]
        self.assertEqual(
            items,
            [
                {"jid": "example.org", "node": "list", "name": "List"},
                {"jid": "example.org", "node": "steps", "name": "Steps"},
            ],
        )
        admin = self.bind(ADMIN + "/x")
        self.assertIn("stop", [item.get("node") for item in self.ask_(admin, "items", NS).elements()])
        identity = self.ask_(self.juliet, "info", NS).find("identity")
        self.assertEqual((identity.get("category"), identity.get("type")), ("automation", "command-list"))

    @spec("XEP-0050", "2.2")
    def test_command(self) -> None:
        """A command's node has its identity and features, and no items."""
        info = self.ask_(self.juliet, "info", "list")
        identity = info.find("identity")
        self.assertEqual(dict(identity.attrs), {"category": "automation", "type": "command-node", "name": "List"})
        self.assertEqual([each.get("var") for each in info.elements("feature")], [NS, "jabber:x:data"])
        self.assertEqual(self.ask_(self.juliet, "items", "list").children, ())

    @spec("XEP-0050", "2.2")
    def test_forbidden(self) -> None:
        """Whoever may not execute a command learns nothing of it."""
        query = "<query xmlns='http://jabber.org/protocol/disco#info' node='stop'/>"
        self.assertEqual(self.error(self.juliet, "get", query, "example.org"), "forbidden")


class ExecutionTests(CommandsCase):
    """Commands are executed."""

    def begin(self) -> str:
        """The first stage of two; answers the session."""
        return self.run_(command("steps")).attrs["sessionid"]

    @spec("XEP-0050", "2.4.1", "3.6")
    def test_simple(self) -> None:
        """A command without interaction completes at once, with form and note."""
        answer = self.run_(command("list", action="execute"))
        self.assertEqual((answer.attrs["status"], answer.attrs["node"], answer.attrs[LANG]), ("completed", "list", "en"))
        self.assertTrue(answer.attrs["sessionid"])
        self.assertIsNotNone(forms.formIn(answer))
        self.assertEqual(answer.find("note").attrs, {"type": "warn"})

    @spec("XEP-0050", "2.4.2", "3.4")
    def test_stages(self) -> None:
        """Forms follow one another; values add up; the actions say what is possible."""
        first = self.run_(command("steps"))
        id = first.attrs["sessionid"]
        self.assertEqual(first.attrs["status"], "executing")
        self.assertEqual(first.find("actions").attrs, {"execute": "next"})
        self.assertEqual([each.name for each in first.find("actions").elements()], ["next"])
        second = self.run_(command("steps", submit(service="httpd"), sessionid=id))
        self.assertEqual(second.attrs["sessionid"], id)
        self.assertEqual([each.name for each in second.find("actions").elements()], ["prev", "complete"])
        last = self.run_(command("steps", submit(state="on"), sessionid=id, action="complete"))
        self.assertEqual((last.attrs["status"], last.textOf("note")), ("completed", "Done."))
        self.assertEqual(self.calls[-1][1], {"service": ("httpd",), "state": ("on",)})

    @spec("XEP-0050", "2.4.2")
    def test_prev(self) -> None:
        """One can go back, as far as there are stages."""
        id = self.begin()
        self.run_(command("steps", submit(service="httpd"), sessionid=id))
        back = self.run_(command("steps", sessionid=id, action="prev"))
        self.assertEqual([each.name for each in back.find("actions").elements()], ["next"])
        self.assertIsNone(self.calls[-1][1])
        self.assertEqual(self.refused(command("steps", sessionid=id, action="prev")), ("bad-request", "bad-action"))

    @spec("XEP-0050", "2.4.3", "4.4")
    def test_cancel(self) -> None:
        """Cancelling succeeds; then there is no session any more."""
        id = self.begin()
        self.assertEqual(self.run_(command("steps", sessionid=id, action="cancel")).attrs["status"], "canceled")
        self.assertEqual(
            self.refused(command("steps", submit(service="x"), sessionid=id)), ("not-allowed", "session-expired")
        )

    @spec("XEP-0050", "3.3", "4.4")
    def test_completedSession(self) -> None:
        """A session ends with completion."""
        id = self.run_(command("list")).attrs["sessionid"]
        self.assertEqual(self.refused(command("list", sessionid=id)), ("not-allowed", "session-expired"))

    @spec("XEP-0050", "3.3")
    def test_foreignSession(self) -> None:
        """Nobody else, not even another client of the same user, goes on with a session."""
        id = self.begin()
        for other in (self.romeo, self.bind("juliet@example.org/other")):
            self.assertEqual(
                self.refused(command("steps", submit(service="x"), sessionid=id), other), ("not-allowed", "session-expired")
            )

    @spec("XEP-0050", "3.3")
    def test_expiry(self) -> None:
        """A session waits only so long; each stage begins the wait anew."""
        id = self.begin()
        self.rig.clock.advance(SESSION_SECONDS - 1)
        self.run_(command("steps", submit(service="httpd"), sessionid=id))
        self.rig.clock.advance(SESSION_SECONDS - 1)
        self.run_(command("steps", sessionid=id, action="prev"))
        self.rig.clock.advance(SESSION_SECONDS + 1)
        self.assertEqual(self.refused(command("steps", sessionid=id)), ("not-allowed", "session-expired"))
        self.assertEqual(self.rig.clock.getDelayedCalls(), [])

    def test_bound(self) -> None:
        """One requester has only so many sessions; ended ones don't count."""
        ids = [self.begin() for _ in range(SESSIONS_EACH)]
        self.assertEqual(self.error(self.juliet, "set", command("steps"), "example.org"), "resource-constraint")
        self.run_(command("steps", sessionid=ids[0], action="cancel"))
        self.begin()

    @spec("XEP-0050", "4.4")
    def test_mistakes(self) -> None:
        """Each mistake has its condition."""
        id = self.begin()
        self.assertEqual(self.refused(command("nothing")), ("item-not-found", None))
        self.assertEqual(self.refused(command("steps", action="dance")), ("bad-request", "malformed-action"))
        self.assertEqual(self.refused(command("steps", action="complete")), ("bad-request", "bad-action"))
        self.assertEqual(self.refused(command("steps", sessionid=id, action="complete")), ("bad-request", "bad-action"))
        self.assertEqual(self.refused(command("list", sessionid=id)), ("bad-request", "bad-sessionid"))
        self.assertEqual(self.refused(command("steps", sessionid=id)), ("bad-request", "bad-payload"))
        self.assertEqual(self.refused(command("steps", submit(service=""), sessionid=id)), ("bad-request", "bad-payload"))
        self.assertEqual(self.refused(command("stop")), ("forbidden", None))

    def test_errorKeepsTheStage(self) -> None:
        """After an error of the command the stage can be tried again."""
        id = self.begin()
        self.run_(command("steps", submit(service="httpd"), sessionid=id))
        self.assertEqual(self.refused(command("steps", submit(state="bad"), sessionid=id)), ("not-acceptable", None))
        self.assertEqual(self.run_(command("steps", submit(state="on"), sessionid=id)).attrs["status"], "completed")

    def test_errorAtFirst(self) -> None:
        """A command that fails at once leaves no session."""

        def fails(request: Any, values: Any) -> CommandAnswer:
            raise StanzaError(StanzaCondition.CONFLICT)

        self.rig.host.addCommand(Command("fails", "Fails", fails, False))
        for _ in range(SESSIONS_EACH + 1):
            self.assertEqual(self.refused(command("fails")), ("conflict", None))
        self.assertEqual(self.rig.clock.getDelayedCalls(), [])

    def test_busy(self) -> None:
        """While a stage is at work nothing else happens in its session."""
        waiting: Deferred[CommandAnswer] = Deferred()

        def slow(request: Any, values: Any) -> Any:
            return CommandForm(forms.form("form")) if values is None else waiting

        self.rig.host.addCommand(Command("slow", "Slow", slow, False))
        id = self.run_(command("slow")).attrs["sessionid"]
        self.send(self.juliet, "set", command("slow", submit(), sessionid=id), "example.org")
        self.assertEqual(self.refused(command("slow", submit(), sessionid=id)), ("unexpected-request", None))
        waiting.callback(CommandResult())
        self.assertIn(b"completed", self.streams[self.juliet].takeBytes()[0])

    @spec("XEP-0050", "3.5.1")
    def test_cancelledForm(self) -> None:
        """A form of type C{cancel} counts as submitted."""
        id = self.begin()
        form = submit(service="httpd").replace("'submit'", "'cancel'")
        self.assertEqual(self.run_(command("steps", form, sessionid=id)).attrs["status"], "executing")

    def test_admin(self) -> None:
        """Administrators execute theirs."""
        admin = self.bind(ADMIN + "/x")
        self.assertEqual(self.run_(command("stop"), admin).attrs["status"], "completed")
