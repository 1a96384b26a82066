"""Scheduling of items: admission, priorities, and the batcher."""
