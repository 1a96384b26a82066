"""Scheduling of items: admission, a fair queue, and the batcher."""
