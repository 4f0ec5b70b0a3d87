Rosters with versioning and pushes, presence subscriptions with pre-approval, presence, and the message delivery rules of RFC 6121.
