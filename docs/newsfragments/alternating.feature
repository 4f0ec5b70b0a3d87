Servers whose nodes have a certificate each are warned of once, not at every stream.
