"""
HTTP File Upload (XEP-0363): a client asks for a slot, puts one file there, and hands out the URL.

 - L{slots<xmppd.features.xep0363_upload.slots>}: who may store how much, and until when;
 - L{shelf<xmppd.features.xep0363_upload.shelf>}: the files on the disk;
 - L{resource<xmppd.features.xep0363_upload.resource>}: putting and getting them by HTTP;
 - L{joining<xmppd.features.xep0363_upload.joining>}: the feature and its options.

Left out: the purposes C{profile} and C{permanent} (section 5), which count as C{message}; headers for the PUT request,
since the URL itself is the secret.
"""

from xmppd.features.xep0363_upload.joining import feature

__all__ = ["feature"]
