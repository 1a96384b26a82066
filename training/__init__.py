"""Training recipes of the shipped models; its own environment, never imported by the server."""
