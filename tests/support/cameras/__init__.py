"""Cameras for tests: servers of snapshots and streams, with their faults."""
