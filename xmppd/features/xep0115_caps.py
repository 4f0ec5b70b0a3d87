"""
Entity capabilities (XEP-0115) of the server itself: a hash of what it can do, in the stream features.

Clients that know the hash need not ask; those that don't ask for the node C{NODE#HASH} and get what disco#info says
of the domain. The hash is computed again only when that has changed.

Left out: caps optimization (section 8.4) and any use of other entities' capabilities.
"""

from __future__ import annotations

from base64 import b64encode
from hashlib import sha1

from zope.interface import implementer

from xmppd.hooks import DiscoInfo, Feature, Spec, domainInfo
from xmppd.ixmppd import IClientStream, IHost, IStreamFeature, Request
from xmppd.wire import forms, ns
from xmppd.wire.element import Element
from xmppd.wire.errors import StanzaCondition, StanzaError
from xmppd.wire.stanza import Stanza

NODE = "urn:x-xmppd:server"
"""Names this software among others, as a URI."""

REMEMBERED = 8
"""How many former hashes are still answered, for clients that read the features before they changed."""


def verification(info: DiscoInfo) -> str:
    """The verification string (section 5.1): a SHA-1 of the whole information in a canonical order."""
    parts = [f"{category}/{type}//{name}" for category, type, name in sorted(info.identities)]
    parts += sorted(info.features, key=str.encode)
    for form in sorted(info.forms, key=lambda form: (forms.formTypeOf(form) or "").encode()):
        parts += _formParts(form)
    text = "".join(f"{part}<" for part in parts)
    return b64encode(sha1(text.encode(), usedforsecurity=False).digest()).decode()


def _formParts(form: Element) -> list[str]:
    """What of a form is hashed: its type, then fields and values in order."""
    values = forms.values(form)
    parts = [forms.first(values, forms.FORM_TYPE) or ""]
    for var in sorted(values.keys() - {forms.FORM_TYPE}, key=str.encode):
        parts += [var, *sorted(values[var], key=str.encode)]
    return parts


@implementer(IStreamFeature)
class Capabilities:
    """The server's capabilities, as stream feature and as disco node."""

    names: tuple[str, ...] = ()
    requires = frozenset({"authenticated"})
    forbids: frozenset[str] = frozenset()
    rank = 80

    def __init__(self, host: IHost) -> None:
        self._host = host
        self._info = DiscoInfo((), ())
        self._known: dict[str, DiscoInfo] = {}
        self._ver = ""

    def ver(self) -> str:
        """The verification string of the moment."""
        info = domainInfo(self._host)
        if info != self._info or not self._ver:
            self._info, self._ver = info, verification(info)
            self._known[f"{NODE}#{self._ver}"] = info
            if len(self._known) > REMEMBERED:
                del self._known[next(iter(self._known))]
        return self._ver

    def advertise(self, stream: IClientStream) -> bytes:
        """See L{IStreamFeature} (section 6.3)."""
        return Element("c", ns.CAPS, {"hash": "sha-1", "node": NODE, "ver": self.ver()}).toBytes()

    def negotiate(self, stream: IClientStream, stanza: Stanza) -> None:
        """See L{IStreamFeature}: there is nothing to negotiate."""
        raise StanzaError(StanzaCondition.FEATURE_NOT_IMPLEMENTED)

    def info(self, request: Request, node: str) -> DiscoInfo | None:
        """The information behind a verification string (section 6.2)."""
        self.ver()
        return self._known.get(node)


def join(host: IHost) -> None:
    """Advertise, and answer for the node."""
    capabilities = Capabilities(host)
    host.addStreamFeature(capabilities)
    host.disco.info.append(capabilities.info)


feature = Feature(
    name="xep0115_caps",
    specs=(Spec("XEP-0115", "1.6.0"),),
    namespaces=(ns.CAPS,),
    join=join,
)
