The server has a web site of its own on ``listen.http`` and ``listen.https``, with bounds on time, size and connections.
