"""Tests of L{xmppd.features.xep0313_archive.queries} and C{answering}."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.doubles import FailingStore
from tests.features.asking import JULIET, ROMEO
from tests.features.xep0313_archive.archiving import (
    BALCONY,
    MAM,
    ORCHARD,
    RSM,
    ArchiveCase,
    field,
    messageIn,
    query,
)
from tests.marks import spec
from xmppd.features.xep0313_archive.answering import LOOKS, SWALLOWED, WAITING
from xmppd.features.xep0313_archive.queries import PAGE_OCTETS, asked, trimmed
from xmppd.ixmppd import ArchivedMessage, ArchivePage
from xmppd.wire.element import Element, parse
from xmppd.wire.errors import StanzaError
from xmppd.wire.resultsets import pageWanted

START = 1_000_000_000


class QueryCase(ArchiveCase):
    """Juliet's archive has the messages a to j of Romeo, one a minute, and one of somebody else's, k."""

    def setUp(self) -> None:
        super().setUp()
        for text in "abcdefghij":
            self.say(self.romeo, BALCONY, f"<body>{text}</body>")
            self.rig.clock.advance(60)
        self.inject(BALCONY, "<body>k</body>")
        self.ids = [message.id for message in self.archive(JULIET)]


class FilterTests(QueryCase):
    """Section 4.1."""

    @spec("XEP-0313", "4", "4.1", "4.2")
    def test_everything(self) -> None:
        """Without a form everything is sent, in order, and the end comes last; C{queryid} stands in each."""
        results, fin = self.page(self.juliet, query(attrs=" queryid='f&apos;27'"))
        self.assertEqual([messageIn(each).textOf("body") for each in results], list("abcdefghijk"))
        self.assertEqual({each.get("queryid") for each in results}, {"f'27"})
        self.assertEqual([each.get("id") for each in results], self.ids)
        self.assertEqual(fin.get("complete"), "true")
        self.assertNotIn("queryid", self.page(self.juliet, query())[0][0].attrs)

    @spec("XEP-0313", "4.2")
    def test_result(self) -> None:
        """A result has the message as it was, and when that came."""
        (result, *_), _ = self.page(self.juliet, query())
        forwarded = result.find("forwarded", "urn:xmpp:forward:0")
        assert forwarded is not None
        delay = forwarded.find("delay", "urn:xmpp:delay")
        assert delay is not None
        self.assertEqual(delay.get("stamp"), "2001-09-09T01:46:40.000Z")
        message = messageIn(result)
        self.assertEqual((message.get("from"), message.get("to")), (ORCHARD, BALCONY))

    @spec("XEP-0313", "4.1.1")
    def test_with(self) -> None:
        """With a bare address all of its resources, with a full one only that; also who is not in the archive."""
        self.assertEqual(self.said(self.juliet, query(field("with", ROMEO))), list("abcdefghij"))
        self.assertEqual(self.said(self.juliet, query(field("with", ORCHARD))), list("abcdefghij"))
        self.assertEqual(self.said(self.juliet, query(field("with", f"{ROMEO}/phone"))), [])
        self.assertEqual(self.said(self.juliet, query(field("with", "A@example.NET"))), ["k"])
        self.assertEqual(self.said(self.juliet, query(field("with", JULIET))), [])
        self.say(self.juliet, JULIET, "<body>to myself</body>")
        self.assertEqual(self.said(self.juliet, query(field("with", JULIET))), ["to myself"])

    @spec("XEP-0313", "4.1.2")
    def test_time(self) -> None:
        """Both ends of a span belong to it; zones count."""
        span = (field("start", "2001-09-09T01:48:40Z"), field("end", "2001-09-09T02:49:40+01:00"))
        self.assertEqual(self.said(self.juliet, query(*span)), list("cd"))
        self.assertEqual(self.said(self.juliet, query(span[0])), list("cdefghijk"))
        self.assertEqual(self.said(self.juliet, query(span[1])), list("abcd"))

    @spec("XEP-0313", "4.1.2")
    def test_toldTime(self) -> None:
        """Who asks up to the time he was told of a message gets that message."""
        self.rig.clock.advance(0.1239)
        self.say(self.romeo, BALCONY, "<body>l</body>")
        results, _ = self.page(self.juliet, query(field("with", ROMEO)))
        forwarded = results[-1].find("forwarded", "urn:xmpp:forward:0")
        assert forwarded is not None
        delay = forwarded.find("delay", "urn:xmpp:delay")
        assert delay is not None
        told = delay.get("stamp") or ""
        self.assertEqual(self.said(self.juliet, query(field("end", told)))[-1], "l")
        self.assertEqual(self.said(self.juliet, query(field("start", told))), ["l"])

    @spec("XEP-0313", "4.1")
    def test_absurdTime(self) -> None:
        """Spans without sense have no results; what is no date is refused."""
        for span in (
            (field("start", "9999-12-31T23:59:59Z"),),
            (field("end", "0001-01-01T00:00:00+14:00"),),
            (field("start", "2020-01-01T00:00:00Z"), field("end", "2001-01-01T00:00:00Z")),
        ):
            self.assertEqual(self.said(self.juliet, query(*span)), [])
        for text in ("yesterday", "2001-09-09", "2001-09-09T01:48:40", "", "9" * 100_000, "10000-01-01T00:00:00Z"):
            self.assertEqual(self.error(self.juliet, "set", query(field("start", text))), "bad-request")
            self.assertEqual(self.error(self.juliet, "set", query(field("end", text))), "bad-request")

    @spec("XEP-0313", "4.1.3")
    def test_ids(self) -> None:
        """Before, after, between, and by name."""
        b, d = self.ids[1], self.ids[3]
        self.assertEqual(self.said(self.juliet, query(field("after-id", d))), list("efghijk"))
        self.assertEqual(self.said(self.juliet, query(field("before-id", d))), list("abc"))
        self.assertEqual(self.said(self.juliet, query(field("after-id", b), field("before-id", d))), ["c"])
        self.assertEqual(self.said(self.juliet, query(field("ids", d, b))), list("bd"))
        self.assertEqual(self.said(self.juliet, query(field("ids", d, d))), ["d"])

    @spec("XEP-0313", "4.1.3", "4.3.2")
    def test_unknownIds(self) -> None:
        """An id that isn't there, whatever it looks like, is not found."""
        strange = ("no", "", "x" * 100_000, "ü", self.archive(ROMEO)[0].id)
        for id in strange:
            for name in ("after-id", "before-id", "ids"):
                self.assertEqual(self.error(self.juliet, "set", query(field(name, id))), "item-not-found", (name, id))
            self.assertEqual(self.error(self.juliet, "set", query(set=f"<after>{id}</after>")), "item-not-found")
        for id in strange[0], *strange[2:]:
            self.assertEqual(self.error(self.juliet, "set", query(set=f"<before>{id}</before>")), "item-not-found")
        self.assertEqual(
            self.error(self.juliet, "set", query(field("ids", *(str(n) for n in range(1000))))), "resource-constraint"
        )

    @spec("XEP-0313", "4.1.4")
    def test_groupchat(self) -> None:
        """The field is understood, though there are no such messages."""
        for value in ("true", "false"):
            self.assertEqual(len(self.said(self.juliet, query(field("include-groupchat", value)))), 11)

    @spec("XEP-0313", "4.1.5")
    def test_unknownField(self) -> None:
        """What is not understood is said to be so, and not passed over."""
        error = self.error(self.juliet, "set", query(field("{http://example.com/}free-text-search", "a")))
        self.assertEqual(error, "feature-not-implemented")
        self.assertEqual(self.error(self.juliet, "set", query(attrs=" node='n'")), "feature-not-implemented")

    @spec("XEP-0313", "4.1")
    def test_badForms(self) -> None:
        """A form has to be one for archives."""
        for form in (
            "<x xmlns='jabber:x:data' type='submit'/>",
            f"<x xmlns='jabber:x:data'>{field('FORM_TYPE', MAM)}</x>",
            f"<x xmlns='jabber:x:data' type='cancel'>{field('FORM_TYPE', MAM)}</x>",
            f"<x xmlns='jabber:x:data' type='submit'>{field('FORM_TYPE', 'urn:xmpp:mam:1')}</x>",
        ):
            self.assertEqual(self.error(self.juliet, "set", query(more=form)), "bad-request")
        self.assertEqual(self.error(self.juliet, "set", query(field("with", "a@b", "c@d"))), "bad-request")
        self.assertEqual(self.error(self.juliet, "set", query(field("with", "@"))), "jid-malformed")
        self.assertEqual(self.error(self.juliet, "set", query(attrs=f" queryid='{'q' * 600}'")), "bad-request")

    @spec("XEP-0313", "4.1.5")
    def test_form(self) -> None:
        """The form has the fields of the specification, none of them required; ids are open."""
        answer = self.result(self.juliet, "get", f"<query xmlns='{MAM}'/>")
        assert answer is not None
        form = answer.find("x", "jabber:x:data")
        assert form is not None
        types = {each.get("var"): each.get("type") for each in form.elements("field")}
        self.assertEqual(types.pop("FORM_TYPE"), "hidden")
        expected = dict.fromkeys(("start", "end", "before-id", "after-id"), "text-single")
        expected |= {"with": "jid-single", "ids": "list-multi", "include-groupchat": "boolean"}
        self.assertEqual(types, expected)
        self.assertNotIn(b"<required", form.toBytes())
        self.assertIn(b"<open/>", form.toBytes())
        self.assertNotIn(b"<option", form.toBytes())


class PagingTests(QueryCase):
    """Section 4.3 and XEP-0059."""

    def numbers(self, fin: Element) -> tuple[str | None, str | None, str | None, str | None]:
        """What the C{<set/>} says: first, last, index and count."""
        found = fin.find("set", RSM)
        assert found is not None
        first = found.find("first")
        index = first.get("index") if first is not None else None
        return found.textOf("first"), found.textOf("last"), index, found.textOf("count")

    @spec("XEP-0313", "4.2", "4.3.1", "4.3.2")
    @spec("XEP-0059", "2.1", "2.2")
    def test_forwards(self) -> None:
        """Page by page, in order, nothing twice; only the last page is complete."""
        results, fin = self.page(self.juliet, query(set="<max>4</max>"))
        self.assertEqual(self.numbers(fin), (self.ids[0], self.ids[3], "0", "11"))
        self.assertNotEqual(fin.get("complete"), "true")
        seen = [messageIn(each).textOf("body") for each in results]
        while fin.get("complete") != "true":
            results, fin = self.page(self.juliet, query(set=f"<max>4</max><after>{results[-1].get('id')}</after>"))
            seen += [messageIn(each).textOf("body") for each in results]
        self.assertEqual(seen, list("abcdefghijk"))
        self.assertEqual(self.numbers(fin), (self.ids[8], self.ids[10], "8", "11"))

    @spec("XEP-0313", "4.3.3")
    @spec("XEP-0059", "2.3", "2.5")
    def test_backwards(self) -> None:
        """From the end, each page in chronological order."""
        results, fin = self.page(self.juliet, query(set="<max>4</max><before/>"))
        self.assertEqual([messageIn(each).textOf("body") for each in results], list("hijk"))
        self.assertEqual((fin.get("complete"), self.numbers(fin)[2]), (None, "7"))
        results, fin = self.page(self.juliet, query(set=f"<max>9</max><before>{self.ids[7]}</before>"))
        self.assertEqual([messageIn(each).textOf("body") for each in results], list("abcdefg"))
        self.assertEqual(fin.get("complete"), "true")

    @spec("XEP-0313", "4.3.4")
    def test_flipped(self) -> None:
        """The page is the same, only sent in reverse."""
        plain, fin = self.page(self.juliet, query(set="<max>3</max>"))
        flipped, same = self.page(self.juliet, query(set="<max>3</max>", more="<flip-page/>"))
        self.assertEqual(flipped, plain[::-1])
        self.assertEqual(same, fin)

    @spec("XEP-0059", "2.6", "2.7")
    def test_indexAndCount(self) -> None:
        """A page by its index; the count alone; an index behind the end."""
        self.assertEqual(self.said(self.juliet, query(set="<max>2</max><index>5</index>")), list("fg"))
        results, fin = self.page(self.juliet, query(set="<max>0</max>"))
        self.assertEqual((results, self.numbers(fin)), ([], (None, None, None, "11")))
        self.assertEqual(self.said(self.juliet, query(set="<max>2</max><index>500</index>")), [])

    @spec("XEP-0059", "2.1")
    def test_badPages(self) -> None:
        """What is no number, or can't be meant together, is refused."""
        for set in ("<max>-1</max>", "<max>x</max>", "<max>٣</max>", "<max></max>", f"<max>{'9' * 50}</max>"):
            self.assertEqual(self.error(self.juliet, "set", query(set=set)), "bad-request", set)
        for set in (f"<before/><after>{self.ids[0]}</after>", "<index>1</index><before/>", "<index>-1</index>"):
            self.assertEqual(self.error(self.juliet, "set", query(set=set)), "bad-request", set)

    @spec("XEP-0313", "4.3.1")
    def test_most(self) -> None:
        """There is a bound to what one query gets, whatever is asked."""
        for _ in range(300):
            self.rig.send(self.romeo, f"<message to='{BALCONY}' type='chat'><body>x</body></message>".encode())
        self.turn()
        self.assertEqual(len(self.page(self.juliet, query())[0]), 50)
        results, fin = self.page(self.juliet, query(set="<max>9999999999</max>"))
        self.assertEqual((len(results), fin.get("complete")), (250, None))

    @spec("XEP-0313", "5")
    def test_metadata(self) -> None:
        """Where the archive begins and ends; nothing for an empty one."""
        answer = self.result(self.juliet, "get", f"<metadata xmlns='{MAM}'/>")
        assert answer is not None
        start, end = answer.find("start"), answer.find("end")
        assert start is not None and end is not None
        self.assertEqual((start.get("id"), end.get("id")), (self.ids[0], self.ids[-1]))
        self.assertEqual(start.get("timestamp"), "2001-09-09T01:46:40.000Z")
        nurse = self.bind("nurse@example.org/x")
        self.assertEqual(self.result(nurse, "get", f"<metadata xmlns='{MAM}'/>"), Element("metadata", MAM))
        self.assertEqual(self.page(nurse, query())[0], [])


class AccessTests(QueryCase):
    """Who may ask, how often, and what becomes of the answers."""

    @spec("XEP-0313", "8.1")
    def test_others(self) -> None:
        """Nobody but the owner learns anything, be it only whether there is an archive."""
        guest = self.bind("guest@example.org/x", guest=True)
        for type, payload in (("set", query()), ("get", f"<metadata xmlns='{MAM}'/>"), ("get", f"<query xmlns='{MAM}'/>")):
            for address in (JULIET, "nobody@example.org"):
                self.assertEqual(self.error(self.romeo, type, payload, address), "forbidden")
            self.assertEqual(self.error(guest, type, payload), "forbidden")
        self.rig.inject(f"<iq from='a@example.net/x' to='{JULIET}' type='set' id='1'>{query()}</iq>".encode())

    def test_ownAddress(self) -> None:
        """The own bare address may be said."""
        self.assertEqual(len(self.said(self.juliet, query(), JULIET)), 11)

    def test_justSaid(self) -> None:
        """What was archived before the query, be it in the same turn, is found."""
        stream = self.streams[self.juliet]
        stream.take()
        self.rig.send(self.juliet, f"<message to='{ROMEO}' type='chat'><body>l</body></message>".encode())
        self.send(self.juliet, "set", query(field("with", ROMEO), set="<max>1</max><before/>"))
        self.turn(3)
        self.assertIn(b"<body>l</body>", stream.take()[0].raw)

    def test_behindReading(self) -> None:
        """The next query is worked off when the connection has swallowed what the former one brought."""
        stream = self.streams[self.juliet]
        stream.take()
        stream.queued = SWALLOWED + 1
        self.send(self.juliet, "set", query())
        self.rig.clock.advance(1)
        self.assertEqual(stream.take(), [])
        stream.queued = 0
        self.rig.clock.advance(1)
        self.assertEqual(len(stream.take()), 12)

    def test_neverReading(self) -> None:
        """Who doesn't read is told to; who asks too much at a time is refused; afterwards nothing is left."""
        stream = self.streams[self.juliet]
        stream.queued = SWALLOWED + 1
        stream.take()
        for _ in range(WAITING + 1):
            self.send(self.juliet, "set", query())
        (refused,) = stream.take()
        self.assertIn(b"<resource-constraint", refused.raw)
        for _ in range(LOOKS * (WAITING + 1)):
            self.rig.clock.advance(1)
        answers = stream.take()
        self.assertEqual([each.type for each in answers], ["error"] * WAITING)

    def test_gone(self) -> None:
        """Answers to a session that has ended meanwhile go nowhere."""
        stream = self.streams[self.juliet]
        stream.queued = SWALLOWED + 1
        self.send(self.juliet, "set", query())
        self.juliet.end()
        stream.take()
        self.rig.clock.advance(1)
        self.assertEqual([each.kind for each in stream.take() if each.kind == "message"], [])


class OutageTests(ArchiveCase):
    """The store can't be read."""

    def setUp(self) -> None:
        self.store = FailingStore()
        self.options = {"store": self.store}
        super().setUp()

    def test_error(self) -> None:
        """Who asks is told to come back."""
        self.store.failReads = True
        self.assertEqual(self.error(self.juliet, "set", query()), "resource-constraint")
        self.store.failReads = 0
        self.assertEqual(self.said(self.juliet, query()), [])


class ValueTests(SynchronousTestCase):
    """Queries and pages as values."""

    def test_trimmed(self) -> None:
        """A page of large messages is cut at the end towards which it is paged."""
        half = b"x" * (PAGE_OCTETS // 2)
        messages = tuple(ArchivedMessage(str(n), "a", "b", 0.0, half) for n in range(5))
        page = ArchivePage(messages, True, 5, 0)
        self.assertEqual(trimmed(page, False), ArchivePage(messages[:2], False, 5, 0))
        self.assertEqual(trimmed(page, True), ArchivePage(messages[3:], False, 5, 3))
        alone = ArchivePage((ArchivedMessage("0", "a", "b", 0.0, half * 3),), True)
        self.assertEqual(trimmed(alone, True), alone)

    @given(st.sampled_from(["with", "start", "end", "ids", "after-id", "before-id"]), st.text(max_size=50), st.text(max_size=9))
    def test_anything(self, var: str, value: str, most: str) -> None:
        """Whatever is submitted is understood or refused."""
        values = Element("value", "jabber:x:data", {}, (value,))
        kind = Element("value", "jabber:x:data", {}, (MAM,))
        fields = (
            Element("field", "jabber:x:data", {"var": "FORM_TYPE"}, (kind,)),
            Element("field", "jabber:x:data", {"var": var}, (values,)),
        )
        form = Element("x", "jabber:x:data", {"type": "submit"}, fields)
        page = Element("set", RSM, {}, (Element("max", RSM, {}, (most,)),))
        try:
            self.assertLessEqual(asked(Element("query", MAM, {}, (form, page)), 50, 250).query.limit, 250)
        except StanzaError:
            pass

    def test_noSet(self) -> None:
        """Without a C{<set/>} nothing is said of pages."""
        wanted = pageWanted(parse(f"<query xmlns='{MAM}'/>".encode()))
        self.assertEqual((wanted.most, wanted.after, wanted.before, wanted.index), (None,) * 4)
