"""
Archives of messages (XEP-0313), with stanza ids (XEP-0359), preferences (XEP-0441) and tombstones (XEP-0424).

 - L{rules<xmppd.features.xep0313_archive.rules>}: which messages are archived, and what their bytes get;
 - L{accounts<xmppd.features.xep0313_archive.accounts>}: the messages of accounts;
 - L{writing<xmppd.features.xep0313_archive.writing>}: many messages at a time;
 - L{preferences<xmppd.features.xep0313_archive.preferences>}: what users want;
 - L{queries<xmppd.features.xep0313_archive.queries>}: what is asked and how it is answered, as values;
 - L{answering<xmppd.features.xep0313_archive.answering>}: answering it;
 - L{rooms<xmppd.features.xep0313_archive.rooms>}: the archives of rooms;
 - L{retraction<xmppd.features.xep0313_archive.retraction>}: tombstones;
 - L{retention<xmppd.features.xep0313_archive.retention>}: deleting what is too old.

Messages of rooms (type C{groupchat}) are in no account's archive. Offline messages are delivered also to clients who
have asked the archive: they bear the ids by which a client knows them again. Left out: advanced configuration by a
command (XEP-0441 section 2.2), archives of nodes (XEP-0442).
"""

from xmppd.features.xep0313_archive.joining import feature

__all__ = ["feature"]
