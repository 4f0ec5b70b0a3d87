``listen.proxy_protocol`` lists load balancers that tell the client's address by the PROXY protocol, versions 1 and 2.
