"""Sources of models: the catalogue, downloads and built-in models."""
