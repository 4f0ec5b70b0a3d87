"""
Bind 2 (XEP-0386): a resource along with the login, and with it what a client would enable next.

Theory of operation: the resource is bound when the client is authenticated and nothing was resumed. What is sent to
the session from that moment on waits until the C{<success/>} is out, so that the client hears of the session first; a
client that asked for stream management counts all of it. What other features do with the new session they have told
L{Inline<xmppd.hooks.Inline>}: enabling, in the order of the request, and what C{<bound/>} says in any case.

Resources are made by the server: the tag, if it is fit for a resource, and a random part. They are not stable: nobody
can tell from its address that a client has been here before. An earlier session of the same client ends.
"""

from __future__ import annotations

from collections.abc import Awaitable, Iterable
from hashlib import sha256
from typing import Final

from zope.interface import implementer

from xmppd.hooks import Feature, Spec
from xmppd.ixmppd import (
    IClientStream,
    IHost,
    ILogin,
    ILoginFeature,
    IReturningGuest,
    ISession,
    StoreUnavailable,
)
from xmppd.wire import ns
from xmppd.wire.element import Element, escapeAttribute
from xmppd.wire.errors import SASLCondition, SASLError, StanzaError, StreamCondition, StreamError
from xmppd.wire.jid import JIDMalformed, prepareResource

NAME: Final = "xep0386_bind2"

LONGEST_TAG: Final = 64
"""The most characters of a tag; a longer one is left out of the resource."""

RANDOM_OCTETS: Final = 16
"""How much of a resource nobody can guess."""


def markOf(agent: str) -> str:
    """What is kept with a session to know its client again; the client's id can't be found from it."""
    return sha256(agent.encode()).hexdigest()[:32]


@implementer(ILoginFeature)
class Bind2:
    """Makes sessions along with logins to one host."""

    rank = 30

    def __init__(self, host: IHost) -> None:
        self._host = host

    def offer(self) -> bytes:
        """See L{ILoginFeature} (section 3.1)."""
        names = dict.fromkeys(name for name, _ in self._host.inline.bindable.values())
        features = "".join(f"<feature var='{escapeAttribute(name)}'/>" for name in names)
        inline = f"<inline>{features}</inline>" if features else ""
        return f"<bind xmlns='{ns.BIND2}'>{inline}</bind>".encode()

    async def negotiate(self, login: ILogin) -> bytes:
        """See L{ILoginFeature} (section 3.2)."""
        request = login.request.find("bind", ns.BIND2)
        if request is None:
            return b""
        login.stream.hold()
        session = login.session = await self._bind(login.stream, request.textOf("tag"))
        if login.agent.id is not None:
            self._replace(session, markOf(login.agent.id))
        said = [await self._enabled(session, each) for each in self._wishes(request)]
        for tell in self._host.inline.bound:
            said.append(await tell(session))
        return f"<bound xmlns='{ns.BIND2}'>".encode() + b"".join(said) + b"</bound>"

    async def _bind(self, stream: IClientStream, tag: str | None) -> ISession:
        """A session. Raises L{SASLError} if the host wants none."""
        try:
            return await self._host.bind(stream, self._resource(tag))
        except StanzaError as error:
            gone = IReturningGuest.providedBy(stream.account)  # or as good as gone: only another guest gets in
            condition = SASLCondition.CREDENTIALS_EXPIRED if gone else SASLCondition.TEMPORARY_AUTH_FAILURE
            raise SASLError(condition, error.text or error.condition) from error
        except StoreUnavailable:
            raise SASLError(SASLCondition.TEMPORARY_AUTH_FAILURE) from None

    def _resource(self, tag: str | None) -> str | None:
        """The resource for a tag (section 3.2.1); None: the server makes all of it."""
        if not tag or len(tag) > LONGEST_TAG:
            return None
        try:
            return prepareResource(f"{tag}/{self._host.entropy.token(RANDOM_OCTETS)}")
        except JIDMalformed:
            return None

    def _replace(self, session: ISession, mark: str) -> None:
        """End earlier sessions of the same client (section 3.2)."""
        for each in tuple(self._host.sessions.get(session.bare, {}).values()):
            if each is not session and each.slots.get("kept", {}).get(NAME) == mark:
                each.end(StreamError(StreamCondition.CONFLICT, "Replaced by a new session of the same client."))
        session.slots.setdefault("kept", {})[NAME] = mark

    def _wishes(self, request: Element) -> Iterable[Element]:
        """What the client wants enabled and can have, each once."""
        wishes: dict[str, Element] = {}
        for each in request.elements():
            if each.qname in self._host.inline.bindable:
                wishes.setdefault(each.qname, each)
        return wishes.values()

    async def _enabled(self, session: ISession, wish: Element) -> bytes:
        answer: Awaitable[bytes] | bytes = self._host.inline.bindable[wish.qname][1](session, wish)
        return answer if isinstance(answer, bytes) else await answer


def join(host: IHost) -> None:
    """Bind resources along with logins."""
    host.inline.add(Bind2(host))


feature = Feature(name=NAME, specs=(Spec("XEP-0386", "1.1.0"), Spec("XEP-0388", "1.0.4")), join=join)
