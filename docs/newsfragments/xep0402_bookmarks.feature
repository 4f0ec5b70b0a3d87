Bookmarks are the same in all three ways of keeping them (XEP-0402, XEP-0048, XEP-0049).
