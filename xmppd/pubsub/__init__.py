"""
Publish-subscribe (XEP-0060) as such: nodes, items, affiliations, subscriptions, notifications, and the requests about
them. Two features put it to work: C{xep0060_pubsub} at a domain of its own, C{xep0163_pep} on every account. What
they do differently is a L{Profile<xmppd.pubsub.profile.Profile>}.

 - L{configuration<xmppd.pubsub.configuration>}, L{options<xmppd.pubsub.options>}: the forms of nodes, of subscriptions;
 - L{shelf<xmppd.pubsub.shelf>}: nodes as they are in the store, and who may read them;
 - L{notices<xmppd.pubsub.notices>}: events, and who is told;
 - L{publishing<xmppd.pubsub.publishing>}, L{retrieving<xmppd.pubsub.retrieving>},
   L{subscribing<xmppd.pubsub.subscribing>}, L{owning<xmppd.pubsub.owning>}, L{people<xmppd.pubsub.people>}: the use
   cases;
 - L{requests<xmppd.pubsub.requests>}: IQs to use cases;
 - L{discovery<xmppd.pubsub.discovery>}: what disco tells about nodes.

Left out: collection nodes (XEP-0248), subscriptions that end with the subscriber's presence, digests, message bodies
made from payloads, and purging when a publisher goes offline. Asking for them gets the error defined for it.
"""
