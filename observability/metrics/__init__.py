"""Metrics of Prometheus: definitions, and counters that take no lock."""
