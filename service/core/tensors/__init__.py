"""Tensors of the Open Inference Protocol, and rows of a model's input and output."""
