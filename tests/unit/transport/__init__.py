"""Transports without sockets."""
