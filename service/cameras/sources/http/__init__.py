"""Snapshots and motion JPEG over HTTP."""
