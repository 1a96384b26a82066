"""One folder per shipped model: its training, evaluation and export."""
