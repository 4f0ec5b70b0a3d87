"""Tests of L{xmppd.features.xep0398_avatar}."""

from __future__ import annotations

from base64 import b64encode
from hashlib import sha1

from tests.features.xep0060_pubsub.base import form
from tests.features.xep0163_pep.base import JULIET, ROMEO, PersonalCase
from tests.marks import spec
from xmppd.features import rfc6121_im, xep0030_disco, xep0054_vcard, xep0163_pep, xep0398_avatar
from xmppd.features.xep0398_avatar import DATA, METADATA, UPDATE
from xmppd.ixmppd import ISession

PICTURE = b"\x89PNG picture"
TEXT = b64encode(PICTURE).decode()
HASH = sha1(PICTURE).hexdigest()
OTHER = b"other picture"


class AvatarTests(PersonalCase):
    """Juliet's avatar."""

    features = (
        rfc6121_im.feature, xep0030_disco.feature, xep0054_vcard.feature, xep0163_pep.feature, xep0398_avatar.feature,
    )

    def publishAvatar(self, picture: bytes = PICTURE, id: str | None = None, model: str = "open", url: str = "") -> None:
        """Publish data and metadata."""
        id = id or sha1(picture).hexdigest()
        options = f"<publish-options>{form({'access_model': model}, 'publish-options')}</publish-options>"
        data = f"<data xmlns='{DATA}'>{b64encode(picture).decode()}</data>"
        self.set(self.juliet, f"<publish node='{DATA}'><item id='{id}'>{data}</item></publish>{options}")
        info = f"<info bytes='1' id='{id}' type='image/png'{url}/>"
        metadata = f"<metadata xmlns='{METADATA}'><info bytes='1' id='x' type='image/gif' url='http://x.example/'/>{info}</metadata>"
        self.set(self.juliet, f"<publish node='{METADATA}'><item id='{id}'>{metadata}</item></publish>")

    def card(self, inner: str) -> None:
        """Replace the vCard."""
        self.result(self.juliet, "set", f"<vCard xmlns='vcard-temp'>{inner}</vCard>")

    def photo(self) -> str | None:
        """The picture in the vCard."""
        card = self.result(self.juliet, "get", "<vCard xmlns='vcard-temp'/>")
        found = card.find("PHOTO")
        return None if found is None else found.textOf("BINVAL")

    def hashes(self, session: ISession) -> list[str | None]:
        """The hashes in presence that came since the last time; None where there is no element."""
        found = []
        for stanza in self.streams[session].take():
            if stanza.kind == "presence" and stanza.type is None:
                update = stanza.find(f"{UPDATE} x")
                found.append(None if update is None else update.textOf("photo"))
        return found

    @spec("XEP-0398", "2")
    def test_disco(self) -> None:
        """The account says that its avatars are converted."""
        found = self.result(self.juliet, "get", "<query xmlns='http://jabber.org/protocol/disco#info'/>", JULIET)
        self.assertIn("urn:xmpp:pep-vcard-conversion:0", {each.get("var") for each in found.elements("feature")})

    @spec("XEP-0398", "3.1")
    def test_toCard(self) -> None:
        """A published avatar is in the vCard, whose other content stays; the info without a URL counts."""
        self.card("<FN>Juliet</FN><PHOTO><BINVAL>AAAA</BINVAL></PHOTO>")
        self.publishAvatar()
        self.assertEqual(self.photo(), TEXT)
        card = self.result(self.juliet, "get", "<vCard xmlns='vcard-temp'/>")
        self.assertEqual((card.textOf("FN"), len(list(card.elements("PHOTO")))), ("Juliet", 1))

    @spec("XEP-0398", "3.1", "7")
    def test_notToCard(self) -> None:
        """What only contacts may see stays out of the vCard; so does what isn't what it says."""
        self.card("<FN>Juliet</FN>")
        self.publishAvatar(id="a" * 40)
        self.assertIsNone(self.photo())
        self.set(self.juliet, f"<delete node='{DATA}'/>", owner=True)
        self.publishAvatar(model="presence")
        self.assertIsNone(self.photo())

    @spec("XEP-0084", "3.5")
    def test_disabled(self) -> None:
        """Without an avatar on the node there is none in the vCard."""
        self.available(self.romeo)
        self.available(self.juliet)
        self.publishAvatar()
        self.forgetAll()
        self.set(self.juliet, f"<publish node='{METADATA}'><item><metadata xmlns='{METADATA}'/></item></publish>")
        self.assertEqual(self.hashes(self.romeo), [""])
        self.assertIsNone(self.photo())

    @spec("XEP-0398", "3.2")
    @spec("XEP-0153", "3.1")
    def test_toNode(self) -> None:
        """The picture of a vCard is published, data first, for everybody; but only once."""
        self.available(self.romeo, METADATA)
        for _ in range(2):
            self.card(f"<PHOTO><TYPE>image/jpeg</TYPE><BINVAL>{TEXT[:4]}\n {TEXT[4:]}</BINVAL></PHOTO>")
        self.assertEqual(self.told(self.romeo), [(JULIET, METADATA, HASH)])
        stranger = self.bind("tybalt@example.org/x")
        (item,) = self.get(stranger, f"<items node='{DATA}'/>", to=JULIET).elements("item")
        self.assertEqual((item.get("id"), item.find("data", DATA).text), (HASH, TEXT))
        (item,) = self.get(stranger, f"<items node='{METADATA}'/>", to=JULIET).elements("item")
        info = item.find("metadata", METADATA).find("info")
        self.assertEqual((info.get("id"), info.get("type"), info.get("bytes")), (HASH, "image/jpeg", str(len(PICTURE))))

    @spec("XEP-0398", "3.2")
    def test_badPhoto(self) -> None:
        """What is no picture is published nowhere, and taking it out of the vCard takes it off the node."""
        self.card("<PHOTO><BINVAL>!!</BINVAL></PHOTO>")
        self.assertEqual(self.refused(self.romeo, "get", f"<items node='{METADATA}'/>", to=JULIET)[1], "item-not-found")
        self.card(f"<PHOTO><BINVAL>{TEXT}</BINVAL></PHOTO>")
        self.card("<FN>Juliet</FN>")
        (item,) = self.get(self.juliet, f"<items node='{METADATA}'/>").elements("item")
        self.assertEqual(list(item.find("metadata", METADATA).elements()), [])

    @spec("XEP-0398", "4")
    def test_presence(self) -> None:
        """The hash is put into presence, broadcast and directed; clients may show nothing, but not something else."""
        self.available(self.romeo)
        self.publishAvatar()
        for given, hash in (
            ("", HASH),
            (f"<x xmlns='{UPDATE}'/>", HASH),
            (f"<x xmlns='{UPDATE}'><photo/></x>", ""),
            (f"<x xmlns='{UPDATE}'><photo>{HASH}</photo></x>", HASH),
            (f"<x xmlns='{UPDATE}'><photo>{'0' * 40}</photo></x>", HASH),
        ):
            for to in ("", f" to='{ROMEO}/orchard'"):
                self.forgetAll()
                self.rig.send(self.juliet, f"<presence{to}>{given}</presence>".encode())
                self.assertEqual(self.hashes(self.romeo), [hash], given)

    @spec("XEP-0398", "4")
    def test_noAvatar(self) -> None:
        """Without an avatar presence is as the client sent it."""
        self.available(self.romeo)
        self.forgetAll()
        self.rig.send(self.juliet, b"<presence/>")
        self.assertEqual(self.hashes(self.romeo), [None])

    def test_changed(self) -> None:
        """A new avatar is broadcast at once, and remembered for the next session."""
        self.available(self.romeo)
        self.available(self.juliet)
        self.forgetAll()
        self.publishAvatar()
        self.publishAvatar(OTHER)
        self.assertEqual(self.hashes(self.romeo), [HASH, sha1(OTHER).hexdigest()])
        self.juliet.end()
        again = self.bind(JULIET + "/again")
        self.forgetAll()
        self.rig.send(again, b"<presence/>")
        self.assertEqual(self.hashes(self.romeo), [sha1(OTHER).hexdigest()])

    def test_older(self) -> None:
        """The hash of a vCard that was there before is found out."""
        fact = f"<vCard xmlns='vcard-temp'><PHOTO><BINVAL>{TEXT}</BINVAL></PHOTO></vCard>".encode()
        self.rig.host.facts.put("nurse@example.org", "vcard", "", fact)
        nurse = self.bind("nurse@example.org/x")
        self.rig.send(nurse, f"<presence to='{ROMEO}/orchard'/>".encode())
        self.assertEqual(self.hashes(self.romeo), [HASH])

    def test_tooLarge(self) -> None:
        """What doesn't fit into a vCard stays on the node."""
        self.rig.host.limits = type(self.rig.host.limits)(vcardBytes=200)
        self.card("<FN>Juliet</FN>")
        self.publishAvatar(b"x" * 1000)
        self.assertIsNone(self.photo())
