"""The parts of training that measure and publish a model, without PyTorch."""
