Message carbons (XEP-0280) show all clients of a user both sides of all conversations.
