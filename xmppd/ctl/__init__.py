"""Administration over a UNIX socket."""
