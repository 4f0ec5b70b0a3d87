Stream management (XEP-0198): what the server acknowledges survives its sudden death, also messages for clients that are away, and streams can be resumed even after a restart.
