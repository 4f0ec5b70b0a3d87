"""
Chat rooms (XEP-0045), on a domain of their own.

 - L{affiliations<xmppd.features.xep0045_muc.affiliations>}: who may change which role and affiliation, as tables;
 - L{config<xmppd.features.xep0045_muc.config>}, L{forms<xmppd.features.xep0045_muc.forms>}: what a room can be, and
   the forms that say so;
 - L{encoding<xmppd.features.xep0045_muc.encoding>}: one stanza for many, and the elements that a room adds;
 - L{occupants<xmppd.features.xep0045_muc.occupants>}, L{rooms<xmppd.features.xep0045_muc.rooms>}: who is in a room
   and who hears what;
 - L{presence<xmppd.features.xep0045_muc.presence>}: entering, leaving, changing nicknames;
 - L{messages<xmppd.features.xep0045_muc.messages>}, L{history<xmppd.features.xep0045_muc.history>}: what is said;
 - L{invitations<xmppd.features.xep0045_muc.invitations>}, L{voice<xmppd.features.xep0045_muc.voice>},
   L{registration<xmppd.features.xep0045_muc.registration>}: what is asked for and granted;
 - L{admin<xmppd.features.xep0045_muc.admin>}, L{owner<xmppd.features.xep0045_muc.owner>}: lists and configuration;
 - L{relay<xmppd.features.xep0045_muc.relay>}: queries between occupants, and to oneself (XEP-0410);
 - L{information<xmppd.features.xep0045_muc.information>}: service discovery;
 - L{moderation<xmppd.features.xep0045_muc.moderation>} (XEP-0425), L{avatars<xmppd.features.xep0045_muc.avatars>}
   (XEP-0486), L{hats<xmppd.features.xep0045_muc.hats>} (XEP-0317), L{pace<xmppd.features.xep0045_muc.pace>} (XEP-0500
   and floods), L{turns<xmppd.features.xep0045_muc.turns>}: entering a large room;
 - L{storage<xmppd.features.xep0045_muc.storage>}: what outlives the server;
 - L{service<xmppd.features.xep0045_muc.service>}: the rooms of one domain, and its door.

Direct invitations (XEP-0249) pass between clients and need nothing here.

Left out: the groupchat 1.0 protocol (section 7.2.18 advises so), lists of occupants in service discovery (section 6.5
advises so), subscriptions to a room's presence (section 18.2.2), code 101 (section 18.1 allows it).
"""

from xmppd.features.xep0045_muc.joining import feature

__all__ = ["feature"]
