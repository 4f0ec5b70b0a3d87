Avatars published in one way are there in the other (XEP-0398, XEP-0084, XEP-0153), and their hashes are in presence.
