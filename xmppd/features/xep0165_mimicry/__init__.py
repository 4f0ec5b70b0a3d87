"""
Best practices to discourage JID mimicking (XEP-0165), where names are met: what is made of strangers who write for the
first time, ask to subscribe, or invite somebody. Where names are made (accounts, rooms, nicknames) those ask who make
them (L{xmppd.ixmppd.INames}); what the configuration says about both is in C{[host."DOMAIN".names]}.

 - L{meeting<xmppd.features.xep0165_mimicry.meeting>}: stanzas of strangers wait until they have been looked at, and
   compared with L{contacts<xmppd.features.xep0165_mimicry.contacts>};
 - L{telling<xmppd.features.xep0165_mimicry.telling>}: how a person gets to know of it;
 - L{languages<xmppd.features.xep0165_mimicry.languages>}: what a user can read (section 2.1);
 - L{petnames<xmppd.features.xep0165_mimicry.petnames>}: handles, keys and recommendations (sections 2.2 to 2.5), with
   L{acquaintances<xmppd.features.xep0165_mimicry.acquaintances>} for what is remembered of somebody, and
   L{keys<xmppd.features.xep0165_mimicry.keys>} for what identifies a key;
 - L{checking<xmppd.features.xep0165_mimicry.checking>}: a name taken apart for whoever asks.

Clients that know the mark say so with C{<enable xmlns='urn:xmppd:names:0'/>}, and are sent no headlines.
"""

from __future__ import annotations

from xmppd.features.xep0165_mimicry.checking import CHECK, Checks
from xmppd.features.xep0165_mimicry.contacts import Rosters
from xmppd.features.xep0165_mimicry.keys import PUBKEY
from xmppd.features.xep0165_mimicry.languages import Languages
from xmppd.features.xep0165_mimicry.meeting import REFERRALS, Meetings
from xmppd.features.xep0165_mimicry.petnames import Petnames
from xmppd.features.xep0165_mimicry.telling import NAME, enable
from xmppd.hooks import Feature, Option, Spec
from xmppd.ixmppd import IHost, Request
from xmppd.wire import ns
from xmppd.wire.errors import StanzaCondition, StanzaError

ENABLE = f"{ns.NAMES} enable"
ACQUAINTANCE = f"{ns.NAMES} acquaintance"


def _enable(request: Request) -> None:
    """A client asks for marks in place of headlines."""
    if request.session is None or not request.own:
        raise StanzaError(StanzaCondition.NOT_ALLOWED, "Only clients of an account can ask for its marks.")
    enable(request.session)


def join(host: IHost) -> None:
    """Look at strangers, and let users say what they read."""
    languages = Languages(host)
    rosters = Rosters(host)
    meetings = Meetings(host, languages, rosters)
    petnames = Petnames(host, rosters)
    hooks = host.hooks
    host.watched.update((ns.NAMES.encode(), REFERRALS.partition(" ")[0].encode(), b"&#"))
    hooks.starting.addObserver(meetings.started)
    hooks.stopping.addObserver(meetings.stopping)
    hooks.arriving.addRefusal(petnames.arriving)  # refuses nothing, and looks before stanzas wait
    hooks.arriving.addRefusal(meetings.arrives)
    hooks.door.addRefusal(meetings.meets)
    hooks.bound.addObserver(meetings.bound)
    hooks.bound.addObserver(languages.bound)
    hooks.resumed.addObserver(meetings.resumed)
    hooks.spotted.addObserver(meetings.spotted)
    hooks.approached.addObserver(meetings.approached)
    hooks.registered.addObserver(meetings.registered)
    hooks.removed.addObserver(meetings.removed)
    hooks.removed.addObserver(languages.removed)
    hooks.naming.addRefusal(petnames.naming)
    hooks.naming.addRefusal(meetings.naming)  # refuses nothing
    hooks.meeting.addObserver(petnames.meeting)
    hooks.bound.addObserver(petnames.bound)
    hooks.resumed.addObserver(petnames.bound)
    hooks.spotted.addObserver(petnames.spotted)
    hooks.referred.addObserver(petnames.referred)
    hooks.removed.addObserver(petnames.removed)
    if host.personal is not None:
        host.personal.follow(PUBKEY, petnames.published)
    host.respond("account", "get", ACQUAINTANCE, petnames.asked)
    host.respond("host", "get", CHECK, Checks(host, languages).asked)
    host.addCommand(languages.command())
    host.respond("account", "set", ENABLE, _enable)


feature = Feature(
    name=NAME,
    specs=(Spec("XEP-0165", "0.6"),),
    namespaces=(ns.NAMES,),
    accountNamespaces=(ns.NAMES,),
    options={
        "petnames": Option(
            False,
            "Whether every contact wants a name of the user's own, not one that others have thought of; what happens to"
            " others is said by `handles` in [host.names].",
        ),
    },
    after=("rfc6121_im", "xep0050_commands", "xep0163_pep"),
    join=join,
)
