"""The nouns, pure: what may stand in haproxy.cfg as a name, an address or a port."""
