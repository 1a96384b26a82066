"""The default model: built once from a package of weights, without PyTorch."""
