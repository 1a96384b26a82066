"""Caddy and Envoy with the shipped configuration, what stands behind them, and TLS."""
