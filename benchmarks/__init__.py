"""How fast dfsync is, beside the server's own limit and other tools."""
