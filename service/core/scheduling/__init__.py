"""Whose turn it is: admission, a fair queue, and the batcher."""
