Client state indication (XEP-0352) holds back presence and chat states while nobody looks at a client.
