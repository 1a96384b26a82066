"""Rows and queries of cameras: configuration, state, events, reports, leases, credentials."""
