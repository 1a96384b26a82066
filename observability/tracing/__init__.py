"""Traces: spans, their export over OTLP, and the names that OpenTelemetry gives to attributes."""
