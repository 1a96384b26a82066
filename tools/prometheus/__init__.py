"""Prometheus' rules, made from measurements, and Prometheus for tests and pictures."""
