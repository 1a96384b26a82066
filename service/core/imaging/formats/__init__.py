"""Image formats: what is recognised, what a parser gets to see, and what its pixels mean."""
