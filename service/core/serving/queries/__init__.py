"""Questions about the models that are served, and their descriptions."""
