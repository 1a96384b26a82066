"""Runs: a dataset is taught, judged, and published as a candidate version."""
