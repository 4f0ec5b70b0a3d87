The session request of RFC 3921 is answered, so that older clients can log in.
