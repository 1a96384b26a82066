"""Prometheus' rules, generated from measurements, and Prometheus for tests and pictures."""
