"""Grafting: a head onto the graph of its base, and the version that the server can load."""
