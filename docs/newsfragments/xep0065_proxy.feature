A proxy for SOCKS5 bytestreams (XEP-0065), with limits on streams and bandwidth for each account.
