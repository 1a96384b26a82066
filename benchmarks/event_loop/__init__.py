"""CPU time of the server's threads for each request, beside an earlier revision."""
