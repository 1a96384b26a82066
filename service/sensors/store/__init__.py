"""Rows and queries of sensors: configuration, state, epochs, results, events, reports."""
