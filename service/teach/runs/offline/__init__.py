"""Runs without a server: from a folder or a dataset of the store, in the process of a command."""
