"""Streams of frames without sockets."""
