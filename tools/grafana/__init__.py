"""Dashboards as code: what operators look at, for Grafana and for the pictures in the docs."""
