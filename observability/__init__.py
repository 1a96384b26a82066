"""Logs, metrics, traces and request ids. Imports only ``schemas`` of ours."""
