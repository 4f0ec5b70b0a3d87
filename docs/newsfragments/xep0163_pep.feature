Every account is a publish-subscribe service of its own (XEP-0163), also for private and public data (XEP-0223, XEP-0222); contacts get what their clients say they want to hear of (XEP-0115).
