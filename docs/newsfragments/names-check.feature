Any client can have a name taken apart by the server: code points, scripts, skeleton, and what it looks like.
