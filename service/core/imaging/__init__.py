"""Image processing: encoded images to tensors, and scores to answers."""
