"""INT8 quantisation of a model, and comparison with the original."""
