"""Shared by cameras and sensors: agreement on a state, leases, cursors of outputs, events."""
