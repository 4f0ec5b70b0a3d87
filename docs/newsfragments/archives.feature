The database holds message archives and the nodes of publish-subscribe; older databases are upgraded when the server starts, and removing an account removes both too.
