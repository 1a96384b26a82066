"""Parts of a model's manifest: its input, of each kind, and its output."""
