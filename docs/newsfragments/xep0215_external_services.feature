Clients are told of STUN and TURN servers, with credentials that last for a while (XEP-0215).
