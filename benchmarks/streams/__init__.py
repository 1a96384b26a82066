"""Throughput and freshness of frames over one WebSocket."""
