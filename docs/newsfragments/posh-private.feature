``posh_private`` in ``[s2s]`` lets POSH documents be fetched from addresses that aren't on the public Internet.
