"""The answers of one version of one model."""
