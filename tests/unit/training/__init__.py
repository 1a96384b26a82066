"""Training without PyTorch: what measures and publishes a model."""
