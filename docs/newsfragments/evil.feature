Stanzas that say they are malicious (XEP-0076) are passed, ignored, bounced or stripped, as the administrator of each domain likes.
