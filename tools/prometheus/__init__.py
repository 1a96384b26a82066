"""Makes Prometheus' rules from what was measured, and runs it for tests and pictures."""
