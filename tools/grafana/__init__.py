"""Operators' dashboards as code, for Grafana and for the pictures in the docs."""
