Nodes for displayed messages (XEP-0490), nicknames (XEP-0172) and public keys (XEP-0189) are created as their specifications want them.
