"""Agreement with references: of pixels, tensors and answers."""
