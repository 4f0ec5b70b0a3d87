Clients can upload files by HTTP (XEP-0363), with quotas, expiry, and headers that keep browsers from running what was uploaded.
