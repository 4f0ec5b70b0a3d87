"""
One avatar for both ways of having one (XEP-0398): a node of the account (XEP-0084), and the vCard with a hash in
presence (XEP-0153).

Theory of operation. What a client publishes in one way is written in the other before it is answered. vCards are for
everybody, so an avatar goes from the node to the vCard only if everybody may read the node (section 7). The hash of the
vCard's photo is kept as a small fact of the account, is in memory while the account has sessions, and is put into their
presence (section 4). When it changes, presence is broadcast anew; directed presence is the client's business.

Left out: pictures in several formats, of which only the one stored on the node is taken.
"""

from __future__ import annotations

import re
from base64 import b64decode, b64encode
from collections.abc import Sequence
from hashlib import sha1
from typing import Any, Final

from twisted.internet.defer import Deferred
from twisted.logger import Logger

from xmppd.hooks import Feature, Spec
from xmppd.ixmppd import IHost, IPersonalNodes, ISession, NodeItem, Request, StoreUnavailable
from xmppd.wire import ns
from xmppd.wire.element import Element, parse
from xmppd.wire.errors import StanzaError
from xmppd.wire.stanza import Stanza

NAMESPACE: Final = "urn:xmpp:pep-vcard-conversion:0"
DATA: Final = "urn:xmpp:avatar:data"
METADATA: Final = "urn:xmpp:avatar:metadata"
UPDATE: Final = "vcard-temp:x:update"
PUBSUB: Final = "http://jabber.org/protocol/pubsub"
VCARD: Final = "vcard"
KIND: Final = "avatar"
KEY: Final = "sha1"
X: Final = f"{UPDATE} x"

MEDIA: Final = re.compile(r"[a-z]{1,20}/[A-Za-z0-9.+-]{1,60}\Z")
"""What a media type looks like."""

OPEN: Final = {"pubsub#access_model": ("open",)}
"""Who may read what was in the vCard, where everybody may."""

log = Logger(namespace="xmppd.avatar")


def decoded(text: str) -> bytes | None:
    """The octets of a picture in Base64, with whatever white space there is; None if it is none."""
    try:
        return b64decode("".join(text.split()), validate=True) or None
    except ValueError:
        return None


def photoOf(card: Element) -> tuple[bytes, str] | None:
    """The picture in a vCard, and its media type; None if there is none."""
    photo = card.find("PHOTO")
    picture = decoded(photo.textOf("BINVAL") or "") if photo is not None else None
    if photo is None or picture is None:
        return None
    type = (photo.textOf("TYPE") or "").strip()
    return picture, type if MEDIA.match(type) else "image/png"


def hashOf(picture: bytes) -> str:
    """What names a picture (XEP-0084 section 4.2.1)."""
    return sha1(picture, usedforsecurity=False).hexdigest()


def described(metadata: Element) -> Element | None:
    """The picture that is on the node, out of those that metadata describe (section 3.1); None if there is none."""
    for info in metadata.elements("info"):
        if "url" not in info.attrs and info.get("id"):
            return info
    return None


class Avatars:
    """
    The avatars of one host.

    @ivar hashes: the hashes of accounts with sessions; empty texts for those without a picture.
    """

    def __init__(self, host: IHost, personal: IPersonalNodes) -> None:
        self._host = host
        self._personal = personal
        self.hashes: dict[str, str] = {}

    # --- from the node to the vCard

    async def published(self, request: Request, item: NodeItem) -> None:
        """A client has published metadata (section 3.1)."""
        account = request.target.bare
        metadata = parse(item.payload) if item.payload else None
        if metadata is None or metadata.qname != f"{METADATA} metadata":
            return
        info = described(metadata)
        if info is None:
            if not list(metadata.elements("info")) and account in self.hashes and self.hashes[account]:
                await self._setPhoto(account, None, "")
            return
        if await self._personal.accessModel(account, DATA) != "open":
            return
        id = info.get("id") or ""
        data = await self._personal.item(account, DATA, id)
        picture = decoded(parse(data.payload).text) if data is not None and data.payload else None
        if picture is None or hashOf(picture) != id.lower():
            return
        type = info.get("type") or ""
        await self._setPhoto(account, picture, type if MEDIA.match(type) else "image/png")

    async def _setPhoto(self, account: str, picture: bytes | None, type: str) -> None:
        """Put a picture into the vCard, or take it out."""
        stored = await self._host.facts.get(account, VCARD, "")
        card = parse(stored) if stored is not None else Element("vCard", ns.VCARD)
        children: list[Element | str] = [
            each for each in card.children if not (isinstance(each, Element) and each.name == "PHOTO")
        ]
        if picture is not None:
            text = b64encode(picture).decode()
            parts = (Element("TYPE", ns.VCARD, {}, (type,)), Element("BINVAL", ns.VCARD, {}, (text,)))
            children.append(Element("PHOTO", ns.VCARD, {}, parts))
        data = Element("vCard", ns.VCARD, card.attrs, tuple(children)).toBytes()
        if len(data) > self._host.limits.vcardBytes:
            log.warn("the avatar of {account} is too large for a vCard", account=account)
            return
        await self._host.facts.put(account, VCARD, "", data)
        await self._setHash(account, "" if picture is None else hashOf(picture))

    # --- from the vCard to the node

    async def stored(self, request: Request, kind: str, elements: Sequence[Element]) -> None:
        """A client has replaced its vCard (section 3.2). See C{hooks.stored}."""
        if kind != VCARD:
            return
        photo = photoOf(elements[0])
        try:
            await self._setHash(request.target.bare, "" if photo is None else hashOf(photo[0]))
            if photo is not None:
                await self._publish(request, *photo)
            elif await self._published(request.target.bare) is not None:
                await self._publishMetadata(request, None, ())
        except (StanzaError, StoreUnavailable) as error:
            log.warn("converting an avatar failed: {error}", error=error)

    async def _published(self, account: str) -> str | None:
        """The hash of the avatar that the node has, or None."""
        items = await self._personal.items(account, METADATA)
        info = described(parse(items[-1].payload)) if items and items[-1].payload else None
        return None if info is None else info.get("id")

    async def _publish(self, request: Request, picture: bytes, type: str) -> None:
        id = hashOf(picture)
        if await self._published(request.target.bare) == id:
            return
        text = b64encode(picture).decode()
        data = Element("data", DATA, {}, (text,))
        await self._personal.publish(request, DATA, Element("item", PUBSUB, {"id": id}, (data,)), OPEN)
        info = Element("info", METADATA, {"bytes": str(len(picture)), "id": id, "type": type})
        await self._publishMetadata(request, id, (info,))

    async def _publishMetadata(self, request: Request, id: str | None, infos: tuple[Element, ...]) -> None:
        metadata = Element("metadata", METADATA, {}, infos)
        attrs = {} if id is None else {"id": id}
        await self._personal.publish(request, METADATA, Element("item", PUBSUB, attrs, (metadata,)), OPEN)

    # --- the hash in presence

    async def _setHash(self, account: str, hash: str) -> None:
        if self.hashes.get(account) == hash:
            return
        await self._host.facts.put(account, KIND, KEY, hash.encode())
        if account not in self.hashes:
            return
        self.hashes[account] = hash
        for session in self._host.router.sessionsOf(account):
            if session.presence is not None:
                self._host.presence.sent(session, _showing(session.presence, hash))

    def load(self, account: str) -> Deferred[None] | None:
        """A session is about to be bound. See C{hooks.loading}."""
        if account in self.hashes:
            return None
        if account in self._host.blank:
            self.hashes[account] = ""
            return None
        return Deferred.fromCoroutine(self._load(account))

    async def _load(self, account: str) -> None:
        hash = await self._host.facts.get(account, KIND, KEY)
        if hash is None:  # the vCard may be older than this feature
            card = await self._host.facts.get(account, VCARD, "")
            photo = photoOf(parse(card)) if card is not None else None
            hash = hashOf(photo[0]).encode() if photo is not None else b""
            if photo is not None:
                await self._host.facts.put(account, KIND, KEY, hash)
        self.hashes[account] = hash.decode()

    def ended(self, session: ISession) -> None:
        """With the last session, the hash leaves memory."""
        if session.bare not in self._host.sessions:
            self.hashes.pop(session.bare, None)

    def presenting(self, session: ISession, stanza: Stanza) -> Stanza:
        """Put the hash into available presence, unless the client says that it shows none (section 4)."""
        hash = self.hashes.get(session.bare)
        if not hash or stanza.type is not None:
            return stanza
        given = stanza.find(X)
        photo = given.find("photo") if given is not None else None
        if photo is not None and (not photo.text.strip() or photo.text.strip() == hash):
            return stanza
        return _showing(stanza, hash)


def _showing(stanza: Stanza, hash: str) -> Stanza:
    """A copy of a presence with a hash, or with none if it is empty."""
    update = Element("x", UPDATE, {}, (Element("photo", UPDATE, {}, (hash,) if hash else ()),))
    return stanza.without(frozenset({X})).extended(update.toBytes(), (X,))


def join(host: IHost) -> None:
    """Follow both ways."""
    personal: Any = host.personal
    if personal is None:
        return
    avatars = Avatars(host, personal)
    personal.follow(METADATA, avatars.published)
    host.hooks.stored.addObserver(avatars.stored)
    host.hooks.loading.addObserver(avatars.load)
    host.hooks.ended.addObserver(avatars.ended)
    host.hooks.presenting.addChange(avatars.presenting)
    host.accountNamespaces.add(NAMESPACE)


feature = Feature(
    name="xep0398_avatar",
    specs=(Spec("XEP-0398", "1.0.0"), Spec("XEP-0084", "1.1.4"), Spec("XEP-0153", "1.1.1")),
    join=join,
    after=("xep0163_pep", "xep0054_vcard", "rfc6121_im"),
)
