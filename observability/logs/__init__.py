"""Logs: structured lines, the audit log, and what a terminal shows."""
