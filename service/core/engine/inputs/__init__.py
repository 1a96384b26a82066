"""Inputs of graphs by kind: checks against the manifest, blank batches, feeds."""
