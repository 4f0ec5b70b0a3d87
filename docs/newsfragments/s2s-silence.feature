Another server that acknowledges nothing for a minute is taken to be gone: what was sent goes back to its senders, instead of when TCP gives up.
