"""The shipped configuration as parsed YAML."""
