"""Features of photos: the penultimate tensor of a base model."""
