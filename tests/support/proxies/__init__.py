"""Caddy and Envoy with the shipped configuration, upstream servers, and TLS."""
