"""``make bench``: throughput of the server relative to the bare loop of the same work."""
